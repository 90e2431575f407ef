//! The screens of models and groups.

use std::time::Duration;

use tollgate_common::command::{Command, ModelSettings};
use tollgate_common::db::model::group::ListedGroup;
use tollgate_common::db::model::list::{ListedModel, Ties};
use tollgate_common::db::page::Place;
use tollgate_common::model::{Fallback, Model, ProviderAt, Resolved};
use tollgate_common::money::{Markup, PicoUsd};
use tollgate_common::price::{PriceBook, RateCard};

use crate::dashboard::change::{Change, Operation};
use crate::dashboard::store::models::{Answer as Read, Desk, GroupRow, ModelRow, Query as Ask};
use crate::dashboard::store::{Answer, Query};
use crate::dashboard::testing::NOW;
use crate::dashboard::testing::stand::Stand;
use crate::dashboard::widgets::list::Page;

const SIZES: [(u16, u16); 3] = [(80, 24), (120, 40), (200, 60)];

fn model(alias: &str, provider: &str, upstream: &str) -> ListedModel {
    ListedModel {
        model: Model {
            alias: alias.parse().unwrap(),
            provider: provider.parse().unwrap(),
            upstream_model: upstream.to_owned(),
            own_price: None,
            own_output_tokens_max: None,
            timeout: None,
            weight: 1,
            fallbacks: Vec::new(),
            provider_at: ProviderAt::default(),
            resolved: Resolved::default(),
            resolved_by_org: Vec::new(),
        },
        groups: Vec::new(),
        updated_at: NOW.minus(Duration::from_hours(50)),
    }
}

fn models() -> Vec<ListedModel> {
    let fallback = |alias: &str, priority, weight| Fallback {
        alias: alias.parse().unwrap(),
        priority,
        weight,
    };
    let mut chat = model("chat-smart", "anthropic", "claude-sonnet-4-5");
    chat.model.fallbacks = vec![fallback("gpt-4o", 0, 3), fallback("house", 1, 1)];
    chat.groups = vec!["premium".parse().unwrap()];
    let mut gpt = model("gpt-4o", "openai", "gpt-4o");
    gpt.groups = vec!["cheap".parse().unwrap(), "premium".parse().unwrap()];
    let mut house = model("house", "local", "house-1");
    let card = RateCard::flat(PicoUsd(200_000), PicoUsd(625_000));
    house.model.own_price = Some(card);
    let lost = model("lost", "nowhere", "some-model");
    let mut models = vec![chat, gpt, house, lost];
    let book = PriceBook::new(Vec::new(), NOW.day());
    for listed in &mut models {
        listed.model.resolve(&book);
    }
    models
}

fn model_rows() -> Vec<ModelRow> {
    let rows = models().into_iter().map(|listed| ModelRow {
        place: Place::new(),
        calls: listed.model.upstream_model.len() as u64 * 321,
        has_provider: listed.model.provider.to_string() != "nowhere",
        listed,
    });
    rows.collect()
}

fn group_rows() -> Vec<GroupRow> {
    let group = |name: &str, models: &[&str], teams| GroupRow {
        place: Place::new(),
        calls: vec![12; models.len()],
        listed: ListedGroup {
            name: name.parse().unwrap(),
            models: models.iter().map(|alias| alias.parse().unwrap()).collect(),
            teams,
            created_at: NOW.minus(Duration::from_hours(500)),
        },
        read_at: NOW,
    };
    vec![
        group("cheap", &["gpt-4o"], 3),
        group("empty", &[], 0),
        group("premium", &["chat-smart", "gpt-4o"], 1_204),
    ]
}

fn ties() -> Ties {
    Ties {
        stands_in_for: vec!["house".parse().unwrap()],
        default_of: 2,
        markups: vec![
            (Markup::from_basis_points(2_000), 40),
            (Markup::from_basis_points(1_250), 1),
        ],
    }
}

fn desk(alias: Option<&str>) -> Desk {
    let found = models().into_iter();
    let mut found = found.filter(|m| Some(m.model.alias.to_string().as_str()) == alias);
    Desk {
        model: found.next(),
        ties: ties(),
        providers: ["anthropic", "local", "openai"]
            .map(|name| name.parse().unwrap())
            .into(),
        aliases: models().into_iter().map(|m| m.model.alias).collect(),
        groups: ["cheap", "premium"]
            .map(|name| name.parse().unwrap())
            .into(),
    }
}

fn answers(query: &Query) -> Option<Answer> {
    let Query::Models(query) = query else {
        return None;
    };
    Some(Answer::Models(match query {
        Ask::Page(..) => Read::Page(Page::whole(model_rows())),
        Ask::One(alias) => {
            let mut rows = model_rows().into_iter();
            let found = rows.find(|row| row.listed.model.alias == *alias);
            Read::One(found.map(|row| Box::new((row, ties()))))
        }
        Ask::Desk(alias) => {
            let alias = alias.as_ref().map(ToString::to_string);
            Read::Desk(Box::new(desk(alias.as_deref())))
        }
        Ask::Impact(_) => {
            let line = (
                "Teams".to_owned(),
                "41 teams can no longer call it".to_owned(),
            );
            return Some(Answer::Impact(vec![line]));
        }
        Ask::Groups(..) => Read::Groups(Page::whole(group_rows())),
        Ask::Granted(name) => {
            let teams = ["acme", "zeta"].map(|team| team.parse().unwrap());
            Read::Granted(name.clone(), teams.into())
        }
    }))
}

fn stand(size: (u16, u16)) -> Stand {
    let mut stand = Stand::new(size, answers);
    stand.press("7");
    stand
}

fn settings(change: &Change) -> &ModelSettings {
    match &change.operation {
        Operation::Command(command) => match &**command {
            Command::SetModel { settings, .. } => settings,
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
}

#[test]
fn how_lists_of_models_and_groups_look() {
    for size in SIZES {
        let (width, height) = size;
        let mut stand = stand(size);
        insta::assert_snapshot!(format!("list_{width}x{height}"), stand.look());
        stand.press("enter");
        insta::assert_snapshot!(format!("model_{width}x{height}"), stand.look());
        stand.press("esc tab G");
        insta::assert_snapshot!(format!("groups_{width}x{height}"), stand.look());
    }
    let mut stand = stand((80, 24)).mono();
    stand.press("G");
    insta::assert_snapshot!("list_mono", stand.look());
    stand.press("tab enter");
    insta::assert_snapshot!("group_mono", stand.look());
}

#[test]
fn how_the_windows_look() {
    let mut stand = stand((80, 24));
    stand.press("n");
    insta::assert_snapshot!("new", stand.look());
    stand.press("esc b");
    insta::assert_snapshot!("fallbacks", stand.look());
    stand.press("esc $ tab backspace backspace backspace backspace 2");
    insta::assert_snapshot!("price", stand.look());
    stand.press("ctrl-s");
    insta::assert_snapshot!("price_review", stand.look());
    stand.press("esc esc D");
    insta::assert_snapshot!("remove", stand.look());
    stand.press("esc tab D");
    insta::assert_snapshot!("take_out", stand.look());
}

#[test]
fn a_price_returns_to_the_shipped_table_and_back() {
    let mut stand = stand((80, 24));
    stand.press("j $ tab backspace backspace backspace backspace 3 ctrl-s y");
    let change = stand.changes.pop().unwrap();
    let own = settings(&change).price.clone().unwrap().unwrap();
    let own = own.standard();
    assert_eq!(
        (own.input, own.output),
        (PicoUsd(3_000_000), PicoUsd(10_000_000))
    );
    assert_eq!(change.expected, Some(models()[1].updated_at));
    assert_eq!(settings(change.undo.as_ref().unwrap()).price, Some(None));
    // What the shipped table does not know has no price to return to: the form says so.
    let mut stand = self::stand((80, 24));
    stand.press("j j $ right");
    assert!(
        stand
            .look()
            .contains("none: teams that are charged by cost")
    );
    stand.press("ctrl-s y");
    let change = stand.changes.pop().unwrap();
    assert_eq!(settings(&change).price, Some(None));
    let own = settings(change.undo.as_ref().unwrap())
        .price
        .clone()
        .flatten();
    assert_eq!(own.unwrap().standard().output, PicoUsd(625_000));
}

#[test]
fn fallbacks_are_others_that_exist_each_once() {
    let mut stand = stand((80, 24));
    stand.press("b tab tab");
    stand.write("ghost");
    stand.press("ctrl-s");
    assert!(
        stand.look().contains("there is no such model"),
        "{}",
        stand.look()
    );
    stand.press("ctrl-u");
    for _ in 0..5 {
        stand.press("backspace");
    }
    stand.write("lost:1:9");
    stand.press("ctrl-s y");
    let change = stand.changes.pop().unwrap();
    let set = settings(&change).fallbacks.as_ref().unwrap();
    let written: Vec<String> = set.iter().map(super::row::written).collect();
    assert_eq!(written, ["gpt-4o:0:3", "house:1:1", "lost:1:9"]);
    let before = settings(change.undo.as_ref().unwrap());
    assert_eq!(before.fallbacks, Some(models()[0].model.fallbacks.clone()));
}

#[test]
fn a_new_model_and_its_grants_are_one_change() {
    let mut stand = stand((80, 24));
    stand.press("n");
    stand.write("mini");
    stand.press("tab");
    stand.write("openai");
    stand.press("tab");
    stand.write("gpt-4o-mini");
    stand.press("tab tab tab space ctrl-s");
    assert!(
        stand.look().contains("$0.15 in, $0.60 out"),
        "{}",
        stand.look()
    );
    stand.press("y");
    let change = stand.changes.pop().unwrap();
    let Operation::Commands(commands) = &change.operation else {
        panic!("{change:?}");
    };
    assert!(matches!(&commands[0], Command::AddModel { alias, .. } if alias.to_string() == "mini"));
    assert!(
        matches!(&commands[1], Command::AddToGroup { name, .. } if name.to_string() == "cheap")
    );
}

#[test]
fn a_provider_that_is_not_there_is_named_at_its_field() {
    let mut stand = stand((80, 24));
    stand.press("e x ctrl-s");
    assert!(
        stand.look().contains("there is no provider"),
        "{}",
        stand.look()
    );
    assert!(stand.changes.is_empty());
}

#[test]
fn only_the_last_model_of_a_group_returns_to_its_place() {
    let mut stand = stand((80, 24));
    stand.press("tab G D");
    stand.write("chat-smart");
    stand.press("ctrl-s y");
    assert!(stand.changes.pop().unwrap().undo.is_none());
    let mut stand = self::stand((80, 24));
    stand.press("tab G D");
    stand.write("gpt-4o");
    stand.press("ctrl-s y");
    assert!(stand.changes.pop().unwrap().undo.is_some());
}

#[test]
fn places_lead_to_each_other_by_filters() {
    let mut stand = stand((80, 24));
    stand.press("tab G o");
    let filters = |stand: &Stand| {
        let screen = stand.model.screen().unwrap();
        (screen.tab().word(), screen.filter().map(str::to_owned))
    };
    assert_eq!(
        filters(&stand),
        ("models", Some("group:premium".to_owned()))
    );
    stand.press("o");
    assert_eq!(
        filters(&stand),
        ("providers", Some("provider:anthropic".to_owned()))
    );
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
        let keys = "n esc $ esc b esc e esc D esc enter j esc tab j enter esc a esc D esc n esc";
        for key in keys.split(' ') {
            stand.press(key);
            let _ = stand.look();
        }
    }
}
