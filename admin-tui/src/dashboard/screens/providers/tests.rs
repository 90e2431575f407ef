//! The screens of providers.

use std::time::Duration;

use tollgate_common::clock::SystemRandom;
use tollgate_common::command::{Command, ProviderRef};
use tollgate_common::db::page::Place;
use tollgate_common::db::provider::list::{ListedKey, ListedProvider};
use tollgate_common::id::CredentialId;
use tollgate_common::live::{ProviderTraffic, RestingKey};
use tollgate_common::provider::ProviderKind;

use super::row::Health;
use crate::dashboard::change::{Operation, SealedCommand};
use crate::dashboard::store::providers::{Answer as Read, ProviderRow, Query as Ask, Rest};
use crate::dashboard::store::{Answer, Query};
use crate::dashboard::testing::NOW;
use crate::dashboard::testing::stand::Stand;
use crate::dashboard::widgets::list::Page;

const SIZES: [(u16, u16); 3] = [(80, 24), (120, 40), (200, 60)];

const SECRET: &str = "sk-proj-0123456789abcdefWXYZ";

fn key(number: u8, enabled: bool) -> ListedKey {
    let id = format!("cred_019f1e2d0000700080000000000000{number:02x}");
    ListedKey {
        id: id.parse().unwrap(),
        hint: format!("…key{number}"),
        enabled,
        created_at: NOW.minus(Duration::from_hours(24 * u64::from(number))),
    }
}

fn provider(name: &str, org: Option<&str>, keys: Vec<ListedKey>) -> ProviderRow {
    let url = match name {
        "local" => "http://10.0.0.7:8000/v1",
        "anthropic" => "https://api.anthropic.com/v1",
        _ => "https://api.openai.com/v1",
    };
    let mut traffic = ProviderTraffic::default();
    if name == "openai" {
        traffic.tries = 1_204;
        traffic.failures = 3;
        (0..1_200).for_each(|n| traffic.total_ms.record(300 + n));
    }
    ProviderRow {
        place: Place::new(),
        listed: ListedProvider {
            provider: ProviderRef {
                org_id: org.map(|org| org.parse().unwrap()),
                name: name.parse().unwrap(),
            },
            kind: if name == "anthropic" {
                ProviderKind::Anthropic
            } else {
                ProviderKind::OpenAi
            },
            base_url: url.parse().unwrap(),
            pass_fields: tollgate_common::provider::PassFields::default(),
            enabled: name != "local",
            created_at: NOW.minus(Duration::from_hours(2_000)),
            updated_at: NOW.minus(Duration::from_hours(30)),
            keys,
            models: 4,
        },
        traffic,
        rests: Vec::new(),
        nodes: 2,
        nodes_known: 3,
        read_at: NOW,
    }
}

fn rest(key: &ListedKey, node: &str, condition: &str) -> Rest {
    Rest {
        node: node.to_owned(),
        key: RestingKey {
            credential_id: key.id.to_string(),
            condition: condition.to_owned(),
            failures: 5,
            rests_until: NOW.as_micros() + 42_000_000,
            ..RestingKey::default()
        },
        at: NOW,
    }
}

fn rows() -> Vec<ProviderRow> {
    let mut anthropic = provider("anthropic", None, vec![key(1, true), key(2, true)]);
    anthropic.rests = vec![
        rest(&key(1, true), "node-one", "open"),
        rest(&key(1, true), "node-two", "rate_limited"),
    ];
    vec![
        anthropic,
        provider("local", None, vec![key(3, true)]),
        provider("openai", None, vec![key(4, true), key(5, false)]),
        provider("openai", Some("acme"), Vec::new()),
    ]
}

fn answers(query: &Query) -> Option<Answer> {
    match query {
        Query::Providers(Ask::Page(..)) => Some(Answer::Providers(Read::Page(Page::whole(rows())))),
        Query::Providers(Ask::One(wanted)) => {
            let found = rows()
                .into_iter()
                .find(|row| row.listed.provider == *wanted);
            Some(Answer::Providers(Read::One(found.map(Box::new))))
        }
        Query::Providers(Ask::Impact(_)) => {
            let line = ("! Models".to_owned(), "sonnet, haiku".to_owned());
            Some(Answer::Impact(vec![line]))
        }
        _ => None,
    }
}

fn stand(size: (u16, u16)) -> Stand {
    let mut stand = Stand::new(size, answers);
    stand.press("8");
    stand
}

#[test]
fn how_the_list_and_a_provider_look() {
    for size in SIZES {
        let (width, height) = size;
        let mut stand = stand(size);
        insta::assert_snapshot!(format!("list_{width}x{height}"), stand.look());
        stand.press("enter");
        insta::assert_snapshot!(format!("provider_{width}x{height}"), stand.look());
    }
    let mut stand = stand((80, 24)).mono();
    insta::assert_snapshot!("list_mono", stand.look());
    stand.press("D");
    insta::assert_snapshot!("remove_mono", stand.look());
}

#[test]
fn how_the_windows_look() {
    let mut stand = stand((80, 24));
    stand.press("n");
    stand.write("groq");
    stand.press("tab tab");
    stand.write("http://10.0.0.7/v1");
    stand.press("tab tab");
    stand.write("my_field");
    stand.press("tab");
    stand.write(SECRET);
    insta::assert_snapshot!("new", stand.look());
    stand.press("ctrl-s");
    insta::assert_snapshot!("new_review", stand.look());
    stand.press("esc esc R");
    stand.write(SECRET);
    stand.press("ctrl-s");
    insta::assert_snapshot!("rotate_review", stand.look());
    stand.press("esc esc enter D");
    insta::assert_snapshot!("remove_key", stand.look());
}

#[test]
fn a_key_that_is_typed_shows_nowhere() {
    let mut stand = stand((120, 40));
    stand.press("j j a");
    stand.write(SECRET);
    let hidden = |stand: &Stand| {
        let all = format!("{}{:?}{:?}", stand.look(), stand.model, stand.changes);
        !all.contains("0123456789abcdef")
    };
    assert!(hidden(&stand));
    stand.press("ctrl-s");
    assert!(hidden(&stand));
    assert!(stand.look().contains("~WXYZ, 28 characters"));
    stand.press("y");
    assert!(hidden(&stand));
    let [change] = stand.changes.as_slice() else {
        panic!("{:?}", stand.changes);
    };
    assert_eq!(change.expected, Some(rows()[2].listed.updated_at));
    assert!(matches!(
        &change.operation,
        Operation::WithSecret { secret, command: SealedCommand::AddCredential { provider } }
            if secret.expose() == SECRET && provider.name.to_string() == "openai"
    ));
}

#[test]
fn a_provider_is_disabled_at_once_and_that_can_be_undone() {
    let mut stand = stand((80, 24));
    stand.press("p");
    let change = &stand.changes[0];
    let enables = |operation: &Operation| match operation {
        Operation::Command(command) => match &**command {
            Command::EnableProvider { enabled, .. } => Some(*enabled),
            _ => None,
        },
        _ => None,
    };
    assert_eq!(enables(&change.operation), Some(false));
    let undo = change.undo.as_ref().unwrap();
    assert_eq!(enables(&undo.operation), Some(true));
    assert_eq!(change.sentence, "anthropic disabled; 4 models name it");
}

#[test]
fn removal_needs_the_name_a_reason_and_a_second() {
    let mut stand = stand((80, 24));
    stand.press("D");
    assert!(stand.look().contains("sonnet, haiku"));
    stand.write("anthropic");
    stand.press("tab x tab y");
    assert!(stand.changes.is_empty(), "within the first second");
    stand.press("esc D tab tab y enter");
    assert!(stand.changes.is_empty());
}

#[test]
fn a_provider_without_an_enabled_key_cannot_be_tested_whole() {
    let mut stand = stand((80, 24));
    stand.press("j j j t");
    assert!(stand.changes.is_empty());
    assert!(stand.look().contains("no key is enabled"));
    stand.press("k t");
    assert!(matches!(
        &stand.changes[0].operation,
        Operation::TestProvider {
            credential: None,
            ..
        }
    ));
    stand.press("enter j t");
    let wanted = key(5, false).id;
    assert!(matches!(
        &stand.changes[1].operation,
        Operation::TestProvider { credential: Some(id), .. } if *id == wanted
    ));
}

#[test]
fn health_is_what_nodes_tell_of_the_keys_that_are_in_use() {
    let (one, two) = (key(1, true), key(2, true));
    let mut row = provider("openai", None, vec![one.clone(), two.clone()]);
    assert_eq!(row.health(), Health::Ok);
    row.rests = vec![rest(&one, "a", "open"), rest(&one, "b", "open")];
    assert_eq!(row.health(), Health::Resting);
    row.rests.push(rest(&two, "a", "open"));
    assert_eq!(row.health(), Health::Resting);
    row.rests.push(rest(&two, "b", "open"));
    assert_eq!(row.health(), Health::Down);
    // A model that fails leaves the key's other models alone.
    for rest in &mut row.rests {
        rest.key.upstream_model = Some("m".to_owned());
    }
    assert_eq!(row.health(), Health::Resting);
    row.rests = vec![rest(&two, "b", "rate_limited")];
    assert_eq!(row.health(), Health::Limited);
    row.rests.clear();
    (row.traffic.tries, row.traffic.failures) = (100, 50);
    assert_eq!(row.health(), Health::Failing);
    row.traffic.failures = 6;
    assert_eq!(row.health(), Health::Errors);
    row.traffic = ProviderTraffic::default();
    assert_eq!(row.health(), Health::Idle);
    row.nodes = 0;
    assert_eq!(row.health(), Health::Unknown);
    row.listed.keys = vec![key(1, false)];
    assert_eq!(row.health(), Health::NoKey);
    row.listed.enabled = false;
    assert_eq!(row.health(), Health::Disabled);
}

#[test]
fn no_size_is_too_small_or_too_large() {
    for size in [
        (1, 1),
        (20, 5),
        (60, 15),
        (61, 16),
        (79, 29),
        (100, 30),
        (300, 100),
    ] {
        let mut stand = stand(size);
        for keys in ["n", "esc", "a", "esc", "D", "esc", "enter", "j", "D", "esc"] {
            stand.press(keys);
            let _ = stand.look();
        }
    }
}

#[test]
fn ids_of_tests_are_ids() {
    let id = CredentialId::new(NOW, &SystemRandom).to_string();
    assert!(id.starts_with("cred_") && id.len() == key(1, true).id.to_string().len());
}
