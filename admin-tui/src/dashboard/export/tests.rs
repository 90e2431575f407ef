//! Exports of a real database.

use tollgate_common::clock::SystemRandom;
use tollgate_common::command::{Command, NewKey, TeamSettings};
use tollgate_common::key::PlainKey;
use tollgate_common::limit::Limits;
use tollgate_common::money::Credits;

use super::*;
use crate::dashboard::testing;

/// A team with more keys than are read at a time, and a few credits.
async fn filled(source: &Source, keys: usize) {
    let org = Command::CreateOrg {
        id: "acme".parse().unwrap(),
        name: "Acme".to_owned(),
    };
    source.session.execute(&org).await.unwrap();
    for id in ["search", "other"] {
        let team = Command::CreateTeam {
            id: id.parse().unwrap(),
            org_id: "acme".parse().unwrap(),
            credits: Credits(5),
            settings: TeamSettings::default(),
        };
        source.session.execute(&team).await.unwrap();
    }
    for number in 0..keys {
        let plain = PlainKey::import(&format!("sk-{number:08}"), &SystemRandom).unwrap();
        let key = Command::CreateKey {
            team_id: "search".parse().unwrap(),
            key: NewKey {
                id: plain.id().clone(),
                hash: plain.hash(),
            },
            label: Some("=cmd()".to_owned()),
            limits: Limits::default(),
            expires_at: None,
        };
        source.session.execute(&key).await.unwrap();
    }
}

async fn text(source: &Source, noun: &str, filter: &str) -> String {
    let mut out = Vec::new();
    stream(&source.session, (noun, filter), false, &mut out)
        .await
        .unwrap();
    String::from_utf8(out).unwrap()
}

#[tokio::test]
async fn every_row_is_exported_once_however_many_pages_there_are() {
    let home = tempfile::tempdir().unwrap();
    let source = testing::source(home.path()).await;
    filled(&source, 3).await;
    let export = Export {
        noun: "keys",
        filter: "team:search".to_owned(),
        file_name: "keys.csv".to_owned(),
    };
    let outcome = write(&source, &export).await.unwrap();
    assert!(
        outcome.sentence.starts_with("3 rows in "),
        "{}",
        outcome.sentence
    );
    let written = std::fs::read_to_string(source.files.join("keys.csv")).unwrap();
    assert_eq!(written.lines().count(), 4);
    assert!(written.contains("search,'=cmd(),"), "{written}");
    let entries = text(&source, "entries", "").await;
    assert_eq!(entries.lines().count(), 3, "{entries}");
    assert!(entries.contains("search,1,"), "{entries}");
    let teams = text(&source, "teams", "org:acme").await;
    assert_eq!(teams.lines().count(), 3, "{teams}");
    assert!(teams.contains("search,acme,search,active,"), "{teams}");
    let audit = text(&source, "audit", "actor:alice").await;
    assert_eq!(audit.lines().count(), 8, "{audit}");
    assert!(audit.contains("alice,export,export:keys,"), "{audit}");
    assert!(audit.contains("key.create,key:"), "{audit}");
    assert_eq!(text(&source, "jobs", "").await.lines().count(), 1);
    let accounts = text(&source, "accounts", "balance>4 team:other").await;
    assert_eq!(accounts.lines().count(), 2);
    assert!(
        accounts.contains("other,acme,other,active,5,0,5,"),
        "{accounts}"
    );
}

#[tokio::test]
async fn an_export_that_fails_leaves_no_file() {
    let home = tempfile::tempdir().unwrap();
    let source = testing::source(home.path()).await;
    let export = Export {
        noun: "keys",
        filter: "colour:red".to_owned(),
        file_name: "keys.csv".to_owned(),
    };
    let problem = write(&source, &export).await.unwrap_err();
    assert!(problem.sentence.contains("no word for keys"));
    assert!(!source.files.join("keys.csv").exists());
}
