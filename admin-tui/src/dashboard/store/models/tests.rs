//! Lists of models and groups, read from a database.

use tollgate_common::command::{Command, ModelSettings, TeamSettings};
use tollgate_common::id::ProviderName;
use tollgate_common::money::{Credits, Markup};
use tollgate_common::provider::{PassFields, ProviderKind};
use tollgate_common::secret::Secret;

use super::*;
use crate::dashboard::change::{Change, Operation, SealedCommand};
use crate::dashboard::store::{Answer as AnyAnswer, Query as AnyQuery, Store as _};
use crate::dashboard::testing::installation::source;
use crate::dashboard::widgets::list::{Row as _, Start};

async fn change(source: &Source, operation: Operation) {
    let change = Change::new(operation, "done");
    source.change(&change).await.unwrap();
}

fn model(alias: &str, provider: &str, upstream: &str, fallback: Option<&str>) -> Command {
    let fallback = fallback.map(|alias| tollgate_common::model::Fallback {
        alias: alias.parse().unwrap(),
        priority: 1,
        weight: 1,
    });
    Command::AddModel {
        alias: alias.parse().unwrap(),
        settings: ModelSettings {
            provider: Some(provider.parse().unwrap()),
            upstream_model: Some(upstream.to_owned()),
            fallbacks: Some(fallback.into_iter().collect()),
            ..ModelSettings::default()
        },
    }
}

fn team(id: &str, group: &str, markup: i64) -> Command {
    Command::CreateTeam {
        id: id.parse().unwrap(),
        org_id: "acme".parse().unwrap(),
        credits: Credits(0),
        settings: TeamSettings {
            markup: Some(Markup::from_basis_points(markup)),
            groups: Some(vec![group.parse().unwrap()]),
            default_model: Some(Some("gpt".parse().unwrap())),
            ..TeamSettings::default()
        },
    }
}

/// Two providers, four models, two groups, three teams.
async fn fill(source: &Source) {
    for name in ["openai", "local"] {
        let command = SealedCommand::AddProvider {
            provider: tollgate_common::command::ProviderRef {
                org_id: None,
                name: name.parse::<ProviderName>().unwrap(),
            },
            kind: ProviderKind::OpenAi,
            base_url: "http://127.0.0.1:9".parse().unwrap(),
            pass_fields: PassFields::default(),
        };
        let secret = Secret::new("sk-0123456789abcdefghij");
        change(source, Operation::WithSecret { secret, command }).await;
    }
    let group = |name: &str, models: &[&str]| Command::CreateGroup {
        name: name.parse().unwrap(),
        models: models.iter().map(|alias| alias.parse().unwrap()).collect(),
    };
    let commands = vec![
        model("gpt", "openai", "gpt-4o", None),
        model("meta/llama:70b", "local", "llama", Some("gpt")),
        model("mini", "openai", "gpt-4o-mini", Some("gpt")),
        model("house", "local", "house-1", None),
        group("premium", &["mini", "gpt"]),
        group("cheap", &["house"]),
        Command::CreateOrg {
            id: "acme".parse().unwrap(),
            name: "Acme".to_owned(),
        },
        team("one", "premium", 2_000),
        team("two", "premium", 2_000),
        team("three", "cheap", 0),
    ];
    change(source, Operation::Commands(commands)).await;
}

async fn ask(source: &Source, query: Query) -> Answer {
    match source.load(AnyQuery::Models(query)).await.unwrap() {
        AnyAnswer::Models(answer) => answer,
        other => panic!("{other:?}"),
    }
}

async fn found(source: &Source, filter: &str) -> Vec<String> {
    let ask_page = Query::Page(Ask::new(filter, Start::First), ModelOrder::Alias, false);
    match ask(source, ask_page).await {
        Answer::Page(page) => page.rows.iter().map(ModelRow::id).collect(),
        other => panic!("{other:?}"),
    }
}

async fn groups_found(source: &Source, filter: &str) -> Vec<GroupRow> {
    match ask(source, Query::Groups(Ask::new(filter, Start::First), false)).await {
        Answer::Groups(page) => page.rows,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn models_are_found_by_what_they_are_and_what_holds_them() {
    let folder = tempfile::tempdir().unwrap();
    let source = source(folder.path()).await;
    fill(&source).await;
    for (filter, wanted) in [
        ("", &["gpt", "house", "meta/llama:70b", "mini"][..]),
        ("model:meta/llama:70b", &["meta/llama:70b"]),
        ("provider:openai", &["gpt", "mini"]),
        ("group:premium", &["gpt", "mini"]),
        ("group:premium,cheap", &["gpt", "house", "mini"]),
        ("!group:~PREM", &["house", "meta/llama:70b"]),
        ("fallback:gpt", &["meta/llama:70b", "mini"]),
        ("price:own", &[]),
        ("upstream:~4o provider:openai", &["gpt", "mini"]),
        ("llama", &["meta/llama:70b"]),
        ("changed:1h", &["gpt", "house", "meta/llama:70b", "mini"]),
    ] {
        assert_eq!(found(&source, filter).await, wanted, "{filter}");
    }
}

#[tokio::test]
async fn a_model_tells_what_hangs_on_it() {
    let folder = tempfile::tempdir().unwrap();
    let source = source(folder.path()).await;
    fill(&source).await;
    let alias: ModelAlias = "gpt".parse().unwrap();
    let Answer::One(Some(found)) = ask(&source, Query::One(alias.clone())).await else {
        panic!("no such model");
    };
    let (row, ties) = *found;
    assert!(row.has_provider);
    assert_eq!(row.listed.groups.len(), 1);
    assert_eq!(ties.default_of, 3);
    assert_eq!(ties.markups, [(Markup::from_basis_points(2_000), 2)]);
    assert_eq!(ties.stands_in_for.len(), 2);
    let impact = source.load(AnyQuery::Models(Query::Impact(alias))).await;
    let AnyAnswer::Impact(lines) = impact.unwrap() else {
        panic!("no impact");
    };
    let texts: Vec<&str> = lines.iter().map(|(_, text)| text.as_str()).collect();
    assert_eq!(
        texts,
        [
            "2 teams can no longer call it",
            "taken out of premium",
            "no longer stands in for meta/llama:70b, mini",
            "3 teams have none any more",
        ]
    );
}

#[tokio::test]
async fn groups_have_their_models_in_order_and_their_teams() {
    let folder = tempfile::tempdir().unwrap();
    let source = source(folder.path()).await;
    fill(&source).await;
    let all = groups_found(&source, "").await;
    let named: Vec<String> = all.iter().map(GroupRow::id).collect();
    assert_eq!(named, ["cheap", "premium"]);
    let models: Vec<String> = all[1]
        .listed
        .models
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(models, ["mini", "gpt"]);
    assert_eq!(all[1].listed.teams, 2);
    assert_eq!(groups_found(&source, "model:house").await[0].id(), "cheap");
    assert_eq!(groups_found(&source, "team:two").await[0].id(), "premium");
    assert!(groups_found(&source, "group:none").await.is_empty());
    let granted = Query::Granted("premium".parse().unwrap());
    let Answer::Granted(_, teams) = ask(&source, granted).await else {
        panic!("no teams");
    };
    let teams: Vec<String> = teams.iter().map(ToString::to_string).collect();
    assert_eq!(teams, ["one", "two"]);
}

#[tokio::test]
async fn a_change_made_meanwhile_is_not_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let source = source(folder.path()).await;
    fill(&source).await;
    let alias: ModelAlias = "mini".parse().unwrap();
    let seen = list::find(source.pool(), &alias).await.unwrap().unwrap();
    let set = || Command::SetModel {
        alias: alias.clone(),
        settings: ModelSettings {
            weight: Some(7),
            ..ModelSettings::default()
        },
    };
    let expecting = || Change::command(set(), "").unless_changed_since(seen.updated_at);
    source.change(&expecting()).await.unwrap();
    let refused = source.change(&expecting()).await.unwrap_err();
    assert!(refused.sentence.contains("was changed"), "{refused:?}");
}
