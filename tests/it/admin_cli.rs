//! The administrative subcommands, beside a proxy that serves meanwhile.

use std::time::Duration;

use serde_json::Value;
use tollgate_common::id::KeyId;
use tollgate_tests::fixture::ALPHA;
use tollgate_tests::process::Finished;
use tollgate_tests::{Client, World, wait};

/// Runs a subcommand that must succeed and returns its JSON document.
pub(crate) async fn admin(world: &World, arguments: &[&str]) -> Value {
    let mut arguments = arguments.to_vec();
    arguments.push("--json");
    let finished = world.admin(&arguments).await;
    assert_eq!(finished.code, Some(0), "{arguments:?}: {}", finished.stderr);
    serde_json::from_str(&finished.stdout)
        .unwrap_or_else(|_| panic!("{arguments:?} printed {:?}", finished.stdout))
}

/// As [`admin`], given as one line of words.
pub(crate) async fn admin_line(world: &World, line: &str) -> Value {
    let words: Vec<&str> = line.split_whitespace().collect();
    admin(world, &words).await
}

/// Runs a subcommand that must fail with this exit code and print nothing but the reason.
pub(crate) async fn refused(world: &World, arguments: &[&str], code: i32) -> Finished {
    let finished = world.admin(arguments).await;
    assert_eq!(
        finished.code,
        Some(code),
        "{arguments:?}: {}",
        finished.stderr
    );
    assert_eq!(finished.stdout, "", "{arguments:?}");
    assert_ne!(finished.stderr, "", "{arguments:?}");
    finished
}

async fn until_status(client: &Client, status: u16) {
    let what = format!("creating a job is answered {status}");
    wait::until_within(Duration::from_secs(10), &what, async || {
        (client.knock().await.status == status).then_some(())
    })
    .await;
}

fn key_id(key: &str) -> KeyId {
    tollgate_tests::fixture::key_id(key)
}

#[tokio::test]
async fn keys_are_made_rotated_and_revoked_under_a_running_proxy() {
    let world = World::sqlite().await;
    let proxy = world.start().await;
    let create = ["key", "create", "--team", ALPHA.id, "--label", "second"];
    let created = admin(&world, &create).await;
    let second = created["key"].as_str().expect("the key, once").to_owned();
    assert_eq!(second.len(), 51);
    let (first, second) = (proxy.client(ALPHA), proxy.client_with_key(&second));
    until_status(&second, 200).await;

    let id = key_id(ALPHA.key).to_string();
    let rotated = admin(&world, &["key", "rotate", &id, "--grace", "10m"]).await;
    let third = proxy.client_with_key(rotated["key"].as_str().unwrap());
    until_status(&third, 200).await;
    until_status(&first, 200).await;
    let _ = admin(&world, &["key", "revoke", &id]).await;
    until_status(&first, 401).await;
    until_status(&second, 200).await;

    let listed = admin(&world, &["key", "list", "--team", ALPHA.id]).await;
    assert_eq!(listed.as_array().unwrap().len(), 3);
    let text = listed.to_string();
    assert!(
        !text.contains(rotated["key"].as_str().unwrap()),
        "a key is shown once"
    );
    assert!(
        text.contains("revoked") && text.contains("second"),
        "{text}"
    );
}

#[tokio::test]
async fn teams_and_organizations_are_suspended_under_a_running_proxy() {
    let world = World::sqlite().await;
    let proxy = world.start().await;
    let alpha = proxy.client(ALPHA);
    for (noun, id) in [("team", ALPHA.id), ("org", ALPHA.org)] {
        let _ = admin(&world, &[noun, "suspend", id]).await;
        until_status(&alpha, 403).await;
        let _ = admin(&world, &[noun, "pause", id]).await;
        until_status(&alpha, 429).await;
        let _ = admin(&world, &[noun, "resume", id]).await;
        until_status(&alpha, 200).await;
    }
    let log = admin(&world, &["audit", "list"]).await.to_string();
    for action in ["team.suspend", "team.pause", "team.resume", "org.suspend"] {
        assert!(log.contains(action), "{action}");
    }
}

#[tokio::test]
async fn a_team_is_set_up_from_nothing_to_its_first_answer() {
    let world = World::sqlite().await;
    let proxy = world.start().await;
    let _ = admin(&world, &["org", "create", "o9", "--name", "Nine"]).await;
    let _ = admin(
        &world,
        &[
            "model",
            "add",
            "nine",
            "--provider",
            "openai",
            "--upstream-model",
            "gpt-4o-mini",
            "--input-price",
            "1",
            "--output-price",
            "2",
        ],
    )
    .await;
    let _ = admin(&world, &["group", "create", "g9", "--model", "nine"]).await;
    let _ = admin(
        &world,
        &[
            "team",
            "create",
            "t9",
            "--org",
            "o9",
            "--credits",
            "3",
            "--default-model",
            "nine",
            "--group",
            "g9",
        ],
    )
    .await;
    let key = admin(&world, &["key", "create", "--team", "t9"]).await;
    let key = key["key"].as_str().unwrap();
    let nine = proxy.client_with_key(key).of_team("t9");
    until_status(&nine, 200).await;
    let job = nine.create_job().await;
    let answer = nine.call(&job, "Hi").await.expect(200);
    assert_eq!(answer.json["model"], "nine");
    let done = nine.complete(&job).await.expect(200);
    assert_eq!(done.json["costs"]["total_cost_usd"], 0.000_02);

    let shown = admin(&world, &["job", "show", &job]).await.to_string();
    assert!(
        shown.contains("completed") && shown.contains("t9"),
        "{shown}"
    );
    let jobs = admin(&world, &["job", "list", "--team", "t9"]).await;
    assert_eq!(jobs.as_array().unwrap().len(), 2);
    world.verify().await;
}

#[tokio::test]
async fn credits_are_added_refunded_adjusted_and_verified() {
    let world = World::sqlite().await;
    let proxy = world.start().await;
    let alpha = proxy.client(ALPHA);
    let job = alpha.create_job().await;
    let _ = alpha.complete(&job).await.expect(200);
    let _ = admin(
        &world,
        &["credits", "add", ALPHA.id, "5", "--reason", "gift"],
    )
    .await;
    let _ = admin(&world, &["credits", "refund", ALPHA.id, "1"]).await;
    let _ = admin(
        &world,
        &["credits", "adjust", ALPHA.id, "-3", "--reason", "typo"],
    )
    .await;
    assert_eq!(alpha.credits_remaining().await, 12);
    let balance = admin(&world, &["credits", "balance", ALPHA.id]).await;
    assert!(balance.to_string().contains("12"), "{balance}");
    let ledger = admin(&world, &["credits", "ledger", ALPHA.id]).await;
    assert_eq!(ledger.as_array().unwrap().len(), 5);
    let report = admin(&world, &["credits", "verify"]).await;
    assert_eq!(
        report["differences"].as_array().map(Vec::len),
        Some(0),
        "{report}"
    );
}

#[tokio::test]
async fn a_difference_in_the_books_is_found() {
    let world = World::sqlite().await;
    sqlx::query("UPDATE accounts SET balance = balance + 1, allocated = allocated + 1")
        .execute(world.database().pool())
        .await
        .unwrap();
    let finished = world.admin(&["credits", "verify"]).await;
    assert_eq!(finished.code, Some(5), "{}", finished.stderr);
    let text = format!("{}{}", finished.stdout, finished.stderr);
    assert!(
        text.contains("the balance is the sum of the entries"),
        "{text}"
    );
}

#[tokio::test]
async fn exit_codes_say_what_was_wrong() {
    let world = World::sqlite().await;
    let _ = refused(&world, &["no-such-noun"], 2).await;
    let _ = refused(&world, &["team", "create"], 2).await;
    let _ = refused(&world, &["team", "show", "nobody"], 3).await;
    let _ = refused(&world, &["key", "revoke", "nokey"], 3).await;
    let _ = refused(&world, &["org", "create", "o1", "--name", "Again"], 4).await;
    let _ = refused(&world, &["credits", "refund", ALPHA.id, "1"], 5).await;
    let _ = refused(
        &world,
        &["credits", "adjust", ALPHA.id, "-11", "--reason", "x"],
        5,
    )
    .await;
    world.verify().await;
}

#[tokio::test]
async fn a_database_that_is_not_there_is_said_so() {
    let world = World::sqlite().await;
    let arguments = ["--database-url", "sqlite:nothing.db", "org", "list"];
    let finished = world.admin(&arguments).await;
    assert_eq!(finished.code, Some(1), "{}", finished.stderr);
    assert!(
        finished.stderr.contains("nothing.db"),
        "{}",
        finished.stderr
    );
    assert!(!world.folder().join("nothing.db").exists());
}

#[tokio::test]
async fn a_cancelled_job_gives_its_credit_back() {
    let world = World::sqlite().await;
    let proxy = world.start().await;
    let alpha = proxy.client(ALPHA);
    let job = alpha.create_job().await;
    let _ = admin(&world, &["job", "cancel", &job]).await;
    assert_eq!(alpha.job(&job).await["status"], "cancelled");
    alpha.call(&job, "Hi").await.expect_error(409, "cancelled");
    assert_eq!(world.account(ALPHA.id).await.held.0, 0);
    world.verify().await;
}
