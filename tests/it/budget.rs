//! Budgets per day and month: what they refuse, until when, and what is told of them.

use serde_json::{Value, json};
use tollgate_tests::fixture::{ALPHA, TOK};
use tollgate_tests::{Client, Store, World};

const SECONDS_PER_DAY: u64 = 86_400;

/// Runs a subcommand that must succeed and returns its JSON document.
async fn admin(world: &World, line: &str) -> Value {
    let mut words: Vec<&str> = line.split(' ').collect();
    words.push("--json");
    let done = world.admin(&words).await;
    assert_eq!(done.code, Some(0), "{line}: {}", done.stderr);
    serde_json::from_str(&done.stdout).unwrap()
}

/// The budgets and what is used of them, as the team is told.
async fn budgets(client: &Client) -> Value {
    let balance = client.balance().await;
    let keys = [
        "budget_day",
        "used_today",
        "budget_month",
        "used_this_month",
    ];
    let shown = keys.map(|key| balance.get(key).expect(key).clone());
    Value::from_iter(shown)
}

async fn a_daily_budget_refuses_until_the_day_ends(store: Store) {
    let world = World::on(store).await;
    let proxy = world.start().await;
    let alpha = proxy.client(ALPHA);
    assert_eq!(budgets(&alpha).await, json!([null, 0, null, 0]));
    let _ = admin(&world, "team set team-alpha --budget-day 2").await;
    let (completed, failed) = (alpha.create_job().await, alpha.create_job().await);
    let refused = alpha.create().await;
    let told =
        "Daily budget reached. Of 2 credits 0 are used, 2 held and 1 more required. It resets";
    refused.expect_error(429, told);
    let wait = refused.retry_after().expect("a time to wait");
    assert!((1..=SECONDS_PER_DAY).contains(&wait), "{wait}");
    assert_eq!(
        world.account(ALPHA.id).await.held.0,
        2,
        "a refusal holds nothing"
    );
    assert_eq!(world.jobs().await.len(), 2);

    let _ = alpha.complete(&completed).await.expect(200);
    let _ = alpha.end(&failed, "failed").await.expect(200);
    assert_eq!(budgets(&alpha).await, json!([2, 1, null, 1]));
    let open = alpha.create_job().await;
    let used = "Of 2 credits 1 are used, 1 held";
    alpha.create().await.expect_error(429, used);
    let path = format!("/api/credits/teams/{}/check", ALPHA.id);
    let check = alpha.post(&path, &json!({})).await.expect(200).json;
    assert_eq!(check["has_credits"], false);
    assert!(check["error"].as_str().unwrap().contains(used), "{check}");

    // What is held is charged, whatever the budget has become.
    let _ = admin(&world, "team set team-alpha --budget-day 0").await;
    let _ = alpha.call(&open, "Hi").await.expect(200);
    let done = alpha.complete(&open).await.expect(200).json;
    assert_eq!(done["costs"]["credits_remaining"], 8);
    assert_eq!(budgets(&alpha).await, json!([0, 2, null, 2]));
    alpha
        .create()
        .await
        .expect_error(429, "Daily budget reached");
    let _ = admin(&world, "team set team-alpha --budget-day none").await;
    let _ = alpha.create().await.expect(200);
    world.verify().await;
}

#[tokio::test]
async fn a_daily_budget_refuses_until_the_day_ends_on_sqlite() {
    a_daily_budget_refuses_until_the_day_ends(Store::Sqlite).await;
}

#[tokio::test]
async fn a_daily_budget_refuses_until_the_day_ends_on_postgres() {
    a_daily_budget_refuses_until_the_day_ends(Store::Postgres).await;
}

/// Makes all that was charged a charge of the day before.
const A_DAY_LATER: [&str; 2] = [
    "UPDATE ledger_entries SET created_at = created_at - 86400000000",
    "UPDATE accounts SET day_began_at = day_began_at - 86400000000, version = version + 1",
];

async fn a_new_day_has_its_whole_budget(store: Store) {
    let world = World::on(store).await;
    let _ = admin(&world, "team set team-alpha --budget-day 1").await;
    let proxy = world.start().await;
    let alpha = proxy.client(ALPHA);
    let job = alpha.create_job().await;
    let _ = alpha.complete(&job).await.expect(200);
    alpha
        .create()
        .await
        .expect_error(429, "Of 1 credits 1 are used, 0 held");
    for change in A_DAY_LATER {
        let done = sqlx::query(change).execute(world.database().pool());
        done.await.unwrap();
    }
    assert_eq!(budgets(&alpha).await[1], 0);
    let job = alpha.create_job().await;
    let _ = alpha.complete(&job).await.expect(200);
    assert_eq!(budgets(&alpha).await[1], 1);
    alpha
        .create()
        .await
        .expect_error(429, "Daily budget reached");
}

#[tokio::test]
async fn a_new_day_has_its_whole_budget_on_sqlite() {
    a_new_day_has_its_whole_budget(Store::Sqlite).await;
}

#[tokio::test]
async fn a_new_day_has_its_whole_budget_on_postgres() {
    a_new_day_has_its_whole_budget(Store::Postgres).await;
}

#[tokio::test]
async fn a_call_is_cut_to_the_budget_or_refused() {
    let world = World::sqlite().await;
    let _ = admin(&world, "team set team-tok --budget-month 3").await;
    let proxy = world.start().await;
    let tok = proxy.client(TOK);
    let job = tok.create_job().await;
    let other = tok.create_job().await;
    let _ = tok.call(&job, "do:tok=1500").await.expect(200);
    let sent = world.upstream.last().json();
    let either = ["max_tokens", "max_completion_tokens"];
    let cap = either.iter().find_map(|name| sent[name].as_i64());
    // Two of the three credits, at 1,000 tokens each.
    assert!(
        cap.is_some_and(|cap| (2_000..3_000).contains(&cap)),
        "{sent}"
    );

    let refused = tok.call(&other, &"many words ".repeat(2_000)).await;
    refused.expect_error(
        429,
        "Monthly budget reached. Of 3 credits 0 are used, 2 held",
    );
    assert!(
        refused
            .retry_after()
            .is_some_and(|wait| wait <= 31 * SECONDS_PER_DAY)
    );
    assert_eq!(world.upstream.count(), 1);
    let account = world.account(TOK.id).await;
    assert_eq!(account.held.0, 2, "a refusal holds nothing");
    assert!(world.calls(&other).await.is_empty());

    // More than anyone foresaw is charged, whatever the budget leaves: the work is done.
    let _ = tok.call(&other, "do:tok=9000").await.expect(200);
    for job in [&job, &other] {
        let _ = tok.complete(job).await.expect(200);
    }
    assert_eq!(budgets(&tok).await, json!([null, 10, 3, 10]));
    let missing: i64 = world
        .entries(TOK.id)
        .await
        .iter()
        .map(|e| e.shortfall.0)
        .sum();
    assert_eq!(missing, 0);
    world.verify().await;
}

#[tokio::test]
async fn budgets_are_set_shown_and_taken_away() {
    let world = World::sqlite().await;
    let create = "team create spenders --org o1 --credits 9 --budget-day 5 --budget-month 50";
    let created = admin(&world, create).await;
    assert_eq!(
        (&created["budget_day"], &created["budget_month"]),
        (&json!(5), &json!(50))
    );
    let _ = admin(&world, "team set spenders --budget-month none").await;
    for line in ["team show spenders", "credits balance spenders"] {
        let shown = admin(&world, line).await;
        assert_eq!(shown["budget_day"], 5, "{line}");
        assert_eq!(shown["used_today"], 0, "{line}");
        assert_eq!(shown["budget_month"], Value::Null, "{line}");
        assert_eq!(shown["used_this_month"], 0, "{line}");
    }
    let log = admin(&world, "audit list").await.to_string();
    assert!(log.contains("\"budget_month\":50"), "{log}");
    assert!(log.contains("\"budget_month\":\"none\""), "{log}");
    for bad in ["-1", "1.5", "many"] {
        let line = ["team", "set", "spenders", "--budget-day", bad];
        assert_eq!(world.admin(&line).await.code, Some(2), "{bad}");
    }
}

#[tokio::test]
async fn a_window_that_was_tampered_with_is_reported() {
    let world = World::sqlite().await;
    let proxy = world.start().await;
    let alpha = proxy.client(ALPHA);
    let job = alpha.create_job().await;
    let _ = alpha.complete(&job).await.expect(200);
    world.verify().await;
    let tampering = "UPDATE accounts SET day_charged = 0, month_charged = 5 WHERE used > 0";
    let done = sqlx::query(tampering).execute(world.database().pool());
    assert_eq!(done.await.unwrap().rows_affected(), 1);
    let report = world.admin(&["credits", "verify", "--json"]).await;
    assert_eq!(report.code, Some(5), "{}", report.stderr);
    for rule in ["the day's charges are", "the month's charges are"] {
        assert!(report.stdout.contains(rule), "{}", report.stdout);
    }
}
