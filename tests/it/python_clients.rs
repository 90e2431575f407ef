//! The clients that applications are written with, unchanged, against the proxy.
//!
//! What they do is in `tests/python`; the scripts compare what they read with what is documented.

use tollgate_common::command::{Command, TeamSettings};
use tollgate_common::standing::Standing;
use tollgate_tests::fixture::{
    ALPHA, ANTHROPIC_KEY, GEMINI_KEY, PROVIDER_KEY, Team, add_model, add_provider, create_team,
    grant, import_key,
};
use tollgate_tests::process::Environment;
use tollgate_tests::python::{self, Packages};
use tollgate_tests::{Proxy, World};

const fn team(id: &'static str, key: &'static str, credits: i64) -> Team {
    Team {
        id,
        org: ALPHA.org,
        key,
        credits,
    }
}

const TEAM: Team = team("team-python", "sk-python-virtual-key-3c91", 1_000_000);
const POOR: Team = team("team-poor", "sk-poor-virtual-key-77aa", 0);
const SUSPENDED: Team = team("team-suspended", "sk-suspended-virtual-key-18", 10);
const PAUSED: Team = team("team-paused", "sk-paused-virtual-key-52", 10);

/// A world with the teams and models that the scripts speak of.
async fn prepare() -> (World, Proxy, Environment) {
    let world = World::sqlite().await;
    for team in [TEAM, POOR, SUSPENDED, PAUSED] {
        world
            .execute(create_team(team, TeamSettings::default()))
            .await;
        world.execute(import_key(team.id, team.key)).await;
    }
    for (team, standing) in [
        (SUSPENDED, Standing::Suspended),
        (PAUSED, Standing::Paused { until: None }),
    ] {
        let id = team.id.parse().unwrap();
        world
            .execute(Command::SetTeamStanding { id, standing })
            .await;
    }
    for account in ["broken", "flaky", "limited"] {
        let alias = format!("chat-{account}");
        let url = world.upstream.base_url();
        let provider = add_provider(account, &url, PROVIDER_KEY, world.sealing_key());
        let model = add_model(&alias, account, "gpt-4o");
        for command in [provider, model, grant(&alias)] {
            world.execute(command).await;
        }
    }
    let proxy = world.start().await;
    let secrets = [PROVIDER_KEY, ANTHROPIC_KEY, GEMINI_KEY].join(",");
    let environment = [
        ("TOLLGATE_URL", format!("http://127.0.0.1:{}", proxy.port())),
        ("TOLLGATE_KEY", TEAM.key.to_owned()),
        ("TOLLGATE_TEAM", TEAM.id.to_owned()),
        ("TOLLGATE_POOR_KEY", POOR.key.to_owned()),
        ("TOLLGATE_SUSPENDED_KEY", SUSPENDED.key.to_owned()),
        ("TOLLGATE_PAUSED_KEY", PAUSED.key.to_owned()),
        ("TOLLGATE_PROVIDER_KEYS", secrets),
    ];
    let environment = environment.map(|(name, value)| (name.to_owned(), value));
    (world, proxy, environment.to_vec())
}

/// Runs a script against a world of its own, whose books balance afterwards.
async fn run(script: &str, packages: Packages) {
    let (world, _proxy, environment) = prepare().await;
    python::run(script, packages, &environment).await;
    world.verify().await;
}

#[tokio::test]
async fn openai() {
    run("with_openai.py", Packages::Newest).await;
}

#[tokio::test]
async fn openai_before_its_latest_major_version() {
    run("with_openai.py", Packages::Instructor).await;
}

#[tokio::test]
async fn anthropic() {
    run("with_anthropic.py", Packages::Newest).await;
}

#[tokio::test]
async fn langchain() {
    run("with_langchain.py", Packages::Newest).await;
}

#[tokio::test]
async fn instructor() {
    run("with_instructor.py", Packages::Instructor).await;
}

#[tokio::test]
async fn requests() {
    run("with_requests.py", Packages::Newest).await;
}

#[tokio::test]
async fn a_typed_client() {
    run("with_typed_client.py", Packages::Newest).await;
}
