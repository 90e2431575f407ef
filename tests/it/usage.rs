//! What a team used and which jobs it had, as it is told.

use reqwest::Method;
use serde_json::{Value, json};
use sqlx::Row as _;
use tollgate_common::job::CallState;
use tollgate_tests::client::{heavy, job_id, prompt_body};
use tollgate_tests::fixture::{ALPHA, FAST, MINI, TEAM_B, TOK};
use tollgate_tests::{Client, Store, World, wait};

use crate::contract::{check, get};

/// The report on all years in which this test can run; a test may meet the turn of one.
pub(crate) async fn whole_usage(client: &Client, team: &str) -> Value {
    let path = format!("/api/teams/{team}/jobs?limit=1");
    let newest = client.get(&path).await.expect(200).json["jobs"][0].clone();
    let year = &newest["created_at"].as_str().unwrap()[..4];
    usage_of(client, team, year).await
}

async fn usage_of(client: &Client, team: &str, period: &str) -> Value {
    let path = format!("/api/teams/{team}/usage?period={period}");
    client.get(&path).await.expect(200).json
}

const SELECT_DAYS: &str = "
    SELECT team_id, day, job_type, completed, failed, cancelled, calls, failed_calls,
           input_tokens, output_tokens, client_cost, provider_cost, credits
    FROM usage_daily
    ORDER BY team_id, job_type, day";

/// The stored sums, without latencies: team, type, and the numbers after the day.
pub(crate) async fn stored_days(world: &World) -> Vec<(String, String, Vec<i64>)> {
    let rows = sqlx::query(SELECT_DAYS).fetch_all(world.database().pool());
    let read = |row: &sqlx::any::AnyRow| {
        let sums = (3..row.len()).map(|column| row.get(column)).collect();
        (row.get(0), row.get(2), sums)
    };
    rows.await.unwrap().iter().map(read).collect()
}

async fn create_of_type(client: &Client, job_type: &str) -> String {
    let mut body = client.job_body();
    body["job_type"] = job_type.into();
    job_id(&client.post("/api/jobs/create", &body).await.expect(200))
}

async fn a_period_is_added_up(store: Store) {
    let world = World::on(store).await;
    let proxy = world.start().await;
    let tok = proxy.client(TOK);
    let chat = create_of_type(&tok, "chat").await;
    // 50,000 prompt tokens at $2.50 a million are $0.125.
    let _ = tok
        .call(&chat, &heavy("do:tok=50000", 50_000))
        .await
        .expect(200);
    let _ = tok.call(&chat, "do:status=500").await.expect(503);
    let _ = tok.complete(&chat).await.expect(200);
    let failed = create_of_type(&tok, "report").await;
    let _ = tok.call(&failed, "Hi").await.expect(200);
    let _ = tok.end(&failed, "failed").await.expect(200);
    let cancelled = create_of_type(&tok, "report").await;
    let done = world.admin(&["job", "cancel", &cancelled]).await;
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    let open = create_of_type(&tok, "idle").await;
    let _ = proxy.client(ALPHA).create_job().await;

    let created_at = tok.job(&open).await["created_at"].clone();
    let day = &created_at.as_str().unwrap()[..10];
    let report = usage_of(&tok, TOK.id, day).await;
    let wanted = json!({
        "team_id": TOK.id,
        "period": day,
        "summary": {
            "total_jobs": 4, "open_jobs": 1, "successful_jobs": 1, "failed_jobs": 1,
            "cancelled_jobs": 1, "total_cost_usd": 0.13, "total_tokens": 50_000 + 15,
            "avg_cost_per_job": 0.0313,
        },
        "job_types": {
            "chat": { "count": 1, "cost_usd": 0.13 },
            "idle": { "count": 1, "cost_usd": 0.0 },
            "report": { "count": 2, "cost_usd": 0.0 },
        },
        "job_types_omitted": 0,
    });
    assert_eq!(report, wanted);
    for period in [&day[..4], &day[..7]] {
        let longer = usage_of(&tok, TOK.id, period).await;
        assert_eq!(longer["summary"], wanted["summary"], "{period}");
        assert_eq!(longer["job_types"], wanted["job_types"], "{period}");
    }
    let nothing = usage_of(&tok, TOK.id, "2020-02-29").await;
    assert_eq!(nothing["summary"]["total_jobs"], 0);
    assert_eq!(nothing["summary"]["avg_cost_per_job"], 0.0);
    assert_eq!(nothing["job_types"], json!({}));
    let cost = 50_000 * 2_500;
    let small = 10 * 2_500 + 5 * 10_000;
    let days = [
        ("chat", vec![1, 0, 0, 2, 1, 50_000, 0, cost, cost, 50]),
        ("report", vec![0, 1, 1, 1, 0, 10, 5, small, small, 1]),
    ];
    let days = days.map(|(job_type, sums)| (TOK.id.to_owned(), job_type.to_owned(), sums));
    assert_eq!(stored_days(&world).await, days);
    world.verify().await;
}

#[tokio::test]
async fn a_period_is_added_up_on_sqlite() {
    a_period_is_added_up(Store::Sqlite).await;
}

#[tokio::test]
async fn a_period_is_added_up_on_postgres() {
    a_period_is_added_up(Store::Postgres).await;
}

async fn a_call_that_ends_after_its_job_counts_once(store: Store) {
    let world = World::on(store).await;
    let proxy = world.start().await;
    let alpha = proxy.client(ALPHA);
    let job = alpha.create_job().await;
    let _ = alpha.call(&job, "Hi").await.expect(200);
    let late = tokio::spawn({
        let (alpha, job) = (alpha.clone(), job.clone());
        async move { alpha.call(&job, "do:slow=1000").await }
    });
    wait::until("the provider has the call", async || {
        (world.upstream.count() == 2).then_some(())
    })
    .await;
    let _ = alpha.end(&job, "failed").await.expect(200);
    assert_eq!(world.calls(&job).await[1].state, CallState::InFlight);
    let early = whole_usage(&alpha, ALPHA.id).await;
    assert_eq!(early["summary"]["failed_jobs"], 1);
    assert_eq!(early["summary"]["total_tokens"], 15);
    world.verify().await;

    let _ = late.await.unwrap().expect(200);
    let both = whole_usage(&alpha, ALPHA.id).await;
    assert_eq!(both["summary"]["failed_jobs"], 1);
    assert_eq!(both["summary"]["total_tokens"], 30);
    let (_, _, sums) = &stored_days(&world).await[0];
    assert_eq!(sums[..5], [0, 1, 0, 2, 0]);
    world.verify().await;
}

#[tokio::test]
async fn a_call_that_ends_after_its_job_counts_once_on_sqlite() {
    a_call_that_ends_after_its_job_counts_once(Store::Sqlite).await;
}

#[tokio::test]
async fn a_call_that_ends_after_its_job_counts_once_on_postgres() {
    a_call_that_ends_after_its_job_counts_once(Store::Postgres).await;
}

/// The ids of listed jobs.
fn ids(page: &Value) -> Vec<String> {
    let jobs = page["jobs"].as_array().unwrap();
    let id = |job: &Value| job["job_id"].as_str().unwrap().to_owned();
    jobs.iter().map(id).collect()
}

async fn jobs_are_listed_newest_first(store: Store) {
    let world = World::on(store).await;
    let proxy = world.start().await;
    let tok = proxy.client(TOK);
    let mut created = Vec::new();
    for end in ["completed", "failed", "completed", "", "failed"] {
        let job = tok.create_job().await;
        for model in [MINI, FAST, MINI] {
            let mut body = prompt_body("Hi");
            body["model"] = model.into();
            let _ = tok.call_with(&job, &body).await.expect(200);
        }
        if !end.is_empty() {
            let _ = tok.end(&job, end).await.expect(200);
        }
        created.insert(0, job);
    }
    let _ = proxy.client(ALPHA).create_job().await;
    let list = async |query: &str| {
        let path = format!("/api/teams/{}/jobs{query}", TOK.id);
        tok.get(&path).await.expect(200).json
    };
    let all = list("").await;
    assert_eq!(ids(&all), created);
    assert_eq!(all["team_id"], TOK.id);
    assert_eq!(
        (&all["total"], &all["limit"], &all["offset"]),
        (&json!(5), &json!(100), &json!(0))
    );
    assert_eq!(all["next_cursor"], Value::Null);
    assert_eq!(
        all["jobs"][0],
        tok.job(&created[0]).await,
        "shown as it is shown alone"
    );
    assert_eq!(all["jobs"][0]["model_groups_used"], json!([MINI, FAST]));

    let mut paged = Vec::new();
    let mut query = "?limit=2".to_owned();
    loop {
        let page = list(&query).await;
        assert_eq!(page["total"], 5);
        paged.extend(ids(&page));
        let Some(cursor) = page["next_cursor"].as_str() else {
            break;
        };
        query = format!("?limit=2&cursor={cursor}");
    }
    assert_eq!(paged, created);
    assert_eq!(ids(&list("?limit=2&offset=3").await), created[3..]);
    assert_eq!(ids(&list("?offset=10000").await), [""; 0]);

    for (status, expected) in [
        ("completed", vec![2, 4]),
        ("COMPLETED", vec![2, 4]),
        ("Failed", vec![0, 3]),
        ("in_progress", vec![1]),
        ("pending", vec![]),
        ("cancelled", vec![]),
    ] {
        let page = list(&format!("?status={status}")).await;
        let expected: Vec<String> = expected.into_iter().map(|n| created[n].clone()).collect();
        assert_eq!(page["total"], expected.len(), "{status}");
        assert_eq!(ids(&page), expected, "{status}");
    }
    world.verify().await;
}

#[tokio::test]
async fn jobs_are_listed_newest_first_on_sqlite() {
    jobs_are_listed_newest_first(Store::Sqlite).await;
}

#[tokio::test]
async fn jobs_are_listed_newest_first_on_postgres() {
    jobs_are_listed_newest_first(Store::Postgres).await;
}

#[tokio::test]
async fn lists_and_reports_are_of_the_callers_team_and_sensible() {
    let (usage, jobs) = ("/api/teams/team-alpha/usage", "/api/teams/team-alpha/jobs");
    let foreign = |name, path| {
        get(name, path)
            .showing("Bearer sk-b-virtual-key-c04d")
            .gives(403, "for a different team")
    };
    check(vec![
        foreign("usage", usage).gives(403, "Cannot access usage data for a different team"),
        foreign("jobs", jobs).gives(403, "Cannot access jobs for a different team"),
        get("no such team", "/api/teams/nobody/jobs").gives(403, "different team"),
        get("no key", usage)
            .showing("")
            .gives(401, "Missing Authorization"),
        get("no period", usage).gives(400, "period"),
        get("wild", "/api/teams/team-alpha/usage?period=%25").gives(400, "period"),
        get("no month", "/api/teams/team-alpha/usage?period=2026-13").gives(400, "period"),
        get("no day", "/api/teams/team-alpha/usage?period=2026-02-30").gives(400, "period"),
        get("a day", "/api/teams/team-alpha/usage?period=2026-02-28").gives(200, ""),
        get("jobs", jobs).gives(200, ""),
        get("limit", "/api/teams/team-alpha/jobs?limit=0").gives(400, "limit"),
        get("limit", "/api/teams/team-alpha/jobs?limit=1001").gives(400, "limit"),
        get("offset", "/api/teams/team-alpha/jobs?offset=-1").gives(400, "offset"),
        get("offset", "/api/teams/team-alpha/jobs?offset=10001").gives(400, "use cursor"),
        get("status", "/api/teams/team-alpha/jobs?status=done").gives(400, "status"),
        get("cursor", "/api/teams/team-alpha/jobs?cursor=abc").gives(400, "cursor"),
        crate::contract::verb("verb", Method::DELETE, jobs).gives(405, "Method Not Allowed"),
    ])
    .await;
}

#[tokio::test]
async fn each_call_lists_its_tokens_by_bucket() {
    let world = World::sqlite().await;
    let proxy = world.start().await;
    let b = proxy.client(TEAM_B);
    let job = b.create_job().await;
    for prompt in ["Hi", "do:no-usage"] {
        let _ = b.call(&job, prompt).await.expect(200);
    }
    let costs = b.get(&format!("/api/jobs/{job}/costs")).await.expect(200);
    let calls = &costs.json["costs"]["breakdown"];
    let buckets = json!({
        "input_uncached": 10, "input_cache_read": 0, "input_cache_write": 0,
        "output_text": 5, "output_reasoning": 0, "estimated": false,
    });
    assert_eq!(calls[0]["usage"], buckets);
    assert_eq!(calls[1]["usage"]["estimated"], true);
}

#[tokio::test]
async fn a_day_that_was_tampered_with_is_reported() {
    let world = World::sqlite().await;
    let proxy = world.start().await;
    let alpha = proxy.client(ALPHA);
    for end in ["completed", "failed"] {
        let job = create_of_type(&alpha, end).await;
        let _ = alpha.end(&job, end).await.expect(200);
    }
    world.verify().await;
    for tampering in [
        "UPDATE usage_daily SET calls = calls + 7 WHERE job_type = 'completed'",
        "DELETE FROM usage_daily WHERE job_type = 'failed'",
    ] {
        let done = sqlx::query(tampering).execute(world.database().pool());
        assert_eq!(done.await.unwrap().rows_affected(), 1);
    }
    let report = world.admin(&["credits", "verify", "--json"]).await;
    assert_eq!(report.code, Some(5), "{}", report.stderr);
    let report: Value = serde_json::from_str(&report.stdout).unwrap();
    let differences = report["differences"].as_array().unwrap();
    let found: Vec<(&str, i64, i64)> = differences
        .iter()
        .map(|found| {
            let rule = found["rule"].as_str().unwrap();
            let number = |name: &str| found[name].as_i64().unwrap();
            (rule, number("stored"), number("expected"))
        })
        .collect();
    let days = "is what the day's ended jobs add up to";
    let calls = format!("usage_daily.calls {days}");
    let failed = format!("usage_daily.failed {days}");
    assert_eq!(found, [(calls.as_str(), 7, 0), (failed.as_str(), 0, 1)]);
}
