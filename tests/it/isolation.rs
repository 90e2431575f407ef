//! What goes wrong with one piece of work or with the database, and what others see of it.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::json;
use sqlx::{AnyConnection, Connection as _};
use tollgate_common::clock::{Clock as _, SystemClock, SystemRandom};
use tollgate_common::command::Command;
use tollgate_common::db::StoreError;
use tollgate_common::db::lease::Lease;
use tollgate_common::job::JobState;
use tollgate_common::key::PlainKey;
use tollgate_tests::client::{job_id, prompt_body};
use tollgate_tests::fixture::{ALPHA, TEAM_B, TOK, key_id, new_key};
use tollgate_tests::{Client, Store, World, wait};

/// Runs a statement that no proxy would.
pub(crate) async fn tamper(world: &World, sql: &'static str) {
    let mut connection = world.database().dedicated_connection().await.unwrap();
    sqlx::query(sql).execute(&mut connection).await.unwrap();
}

async fn until_ready(client: &Client, status: u16) -> String {
    wait::until("readiness changes", async || {
        let ready = client.get("/readyz").await;
        (ready.status == status).then(|| ready.detail().to_owned())
    })
    .await
}

#[tokio::test]
async fn metadata_is_measured_before_it_is_parsed() {
    let world = World::sqlite().await;
    let proxy = world.start().await;
    let alpha = proxy.client(ALPHA);
    let job = alpha.create_job().await;
    let large = json!({ "a": "x".repeat(10_240) });
    let messages = json!([{ "role": "user", "content": "Hi" }]);
    let team = ALPHA.id;
    let cases = [
        (
            "call_metadata",
            format!("/api/jobs/{job}/llm-call"),
            json!({ "messages": messages, "call_metadata": large }),
        ),
        (
            "metadata",
            format!("/api/jobs/{job}/complete"),
            json!({ "status": "completed", "metadata": large }),
        ),
        (
            "metadata",
            "/api/jobs/create".to_owned(),
            json!({ "team_id": team, "job_type": "t", "metadata": large }),
        ),
        (
            "job_metadata",
            "/api/jobs/create-and-call".to_owned(),
            json!({ "team_id": team, "job_type": "t", "messages": messages, "job_metadata": large }),
        ),
        (
            "call_metadata",
            "/api/jobs/create-and-call".to_owned(),
            json!({ "team_id": team, "job_type": "t", "messages": messages, "call_metadata": large }),
        ),
    ];
    for (name, path, body) in &cases {
        let answer = alpha.post(path, body).await;
        answer.expect_error(400, &format!("{name}: must have at most 10240 bytes"));
        assert_eq!(
            answer.json["errors"][0]["loc"],
            json!(["body", name]),
            "{path}"
        );
    }
    let patched = alpha
        .patch(
            &format!("/api/jobs/{job}/metadata"),
            &json!({ "metadata": large }),
        )
        .await;
    patched.expect_error(400, "metadata: must have at most 10240 bytes");
    assert_eq!(world.upstream.count(), 0);
    // Two that fit one by one do not fit together.
    let half = json!({ "metadata": { "b": "x".repeat(6_000) } });
    let other = json!({ "metadata": { "c": "x".repeat(6_000) } });
    let path = format!("/api/jobs/{job}/metadata");
    let _ = alpha.patch(&path, &half).await.expect(200);
    alpha
        .patch(&path, &other)
        .await
        .expect_error(400, "after merging");
}

/// Makes the engine itself fail whenever a job of type "poison" is to change, with an error that is
/// not about the way to it.
async fn poison_jobs(world: &World, store: Store) {
    match store {
        Store::Sqlite => {
            tamper(
                world,
                "CREATE TRIGGER bad BEFORE UPDATE ON jobs WHEN old.job_type = 'poison' \
                 BEGIN SELECT abs(-9223372036854775807 - 1); END",
            )
            .await;
        }
        Store::Postgres => {
            tamper(
                world,
                "CREATE FUNCTION bad() RETURNS trigger LANGUAGE plpgsql AS \
                 $$ BEGIN RAISE EXCEPTION 'integer overflow' USING ERRCODE = 'P0001'; END $$",
            )
            .await;
            tamper(
                world,
                "CREATE TRIGGER bad BEFORE UPDATE ON jobs FOR EACH ROW \
                 WHEN (old.job_type = 'poison') EXECUTE FUNCTION bad()",
            )
            .await;
        }
    }
}

async fn one_bad_row_hurts_nobody_else(store: Store) {
    let world = World::on(store)
        .await
        .with("TOLLGATE_JOBS_EXPIRY_SECONDS", "2");
    let proxy = world.start().await;
    let (alpha, other) = (proxy.client(ALPHA), proxy.client(TEAM_B));
    let (one, two) = (alpha.create_job().await, alpha.create_job().await);
    poison_jobs(&world, store).await;
    let poison = alpha
        .post(
            "/api/jobs/create",
            &json!({ "team_id": ALPHA.id, "job_type": "poison" }),
        )
        .await
        .expect(200);
    let poison = job_id(&poison).clone();
    let mut calls = Vec::new();
    for round in 0..40 {
        let (client, job) = match round % 4 {
            0 => (alpha.clone(), poison.clone()),
            1 => (alpha.clone(), one.clone()),
            2 => (alpha.clone(), two.clone()),
            _ => (other.clone(), String::new()),
        };
        calls.push(tokio::spawn(async move {
            let status = if job.is_empty() {
                client.knock().await.status
            } else {
                client.call(&job, "Hi").await.status
            };
            (round % 4, status)
        }));
    }
    for call in calls {
        let (kind, status) = call.await.unwrap();
        if kind == 0 {
            assert_eq!(status, 500, "what the database refuses is not done");
        } else {
            assert!(!matches!(status, 500 | 503), "kind {kind} got {status}");
        }
    }
    // The bad job cannot be ended; the others expire all the same.
    wait::until("the others have expired", async || {
        let jobs = world.jobs().await;
        let ended = jobs.iter().filter(|job| job.job_type != "poison");
        ended.clone().all(|job| !job.state.is_open()).then_some(())
    })
    .await;
    assert_eq!(world.job(&poison).await.state, JobState::Pending);
    assert!(proxy.log().contains(&poison), "the log names the job");
}

#[tokio::test]
async fn one_bad_row_hurts_nobody_else_on_sqlite() {
    one_bad_row_hurts_nobody_else(Store::Sqlite).await;
}

#[tokio::test]
async fn one_bad_row_hurts_nobody_else_on_postgres() {
    one_bad_row_hurts_nobody_else(Store::Postgres).await;
}

async fn sums_that_overflow_are_reported(store: Store) {
    let world = World::on(store).await;
    let proxy = world.start().await;
    let alpha = proxy.client(ALPHA);
    let job = alpha.create_job().await;
    for _ in 0..3 {
        let _ = alpha.call(&job, "Hi").await.expect(200);
    }
    tamper(&world, "UPDATE calls SET client_cost = 9000000000000000000").await;
    tamper(
        &world,
        "UPDATE ledger_entries SET amount = 9000000000000000000, \
         balance_after = balance_before + 9000000000000000000 WHERE balance_before < 100",
    )
    .await;
    let report = tollgate_common::db::verify::verify(world.database())
        .await
        .unwrap();
    assert!(
        report
            .differences
            .iter()
            .any(|d| d.rule.contains("total cost")),
        "{report:?}"
    );
    let done = alpha.complete(&job).await.expect(200);
    assert_eq!(done.json["status"], "completed");
}

#[tokio::test]
async fn a_call_whose_texts_are_refused_is_charged_by_its_counts() {
    let world = World::sqlite().await;
    let proxy = world.start().await;
    let tok = proxy.client(TOK);
    let job = tok.create_job().await;
    tamper(
        &world,
        "CREATE TRIGGER bad BEFORE UPDATE ON jobs WHEN new.metadata LIKE '%refused%' \
         BEGIN SELECT abs(-9223372036854775807 - 1); END",
    )
    .await;
    let mut body = prompt_body("do:usage=9000:8000");
    body["call_metadata"] = json!({ "note": "refused" });
    let _ = tok.call_with(&job, &body).await.expect(200);
    let _ = tok.end(&job, "failed").await.expect(200);
    // 17,000 tokens, at 1,000 a credit.
    assert_eq!(tok.job(&job).await["credits_charged"], 17);
    let call = &world.calls(&job).await[0];
    assert_eq!((call.input_tokens, call.output_tokens), (9_000, 8_000));
    world.verify().await;
}

#[tokio::test]
async fn sums_that_overflow_are_reported_on_sqlite() {
    sums_that_overflow_are_reported(Store::Sqlite).await;
}

#[tokio::test]
async fn sums_that_overflow_are_reported_on_postgres() {
    sums_that_overflow_are_reported(Store::Postgres).await;
}

#[tokio::test]
async fn behind_a_lock_new_work_is_refused_in_time_and_readiness_is_denied() {
    let world = World::sqlite()
        .await
        .with("TOLLGATE_DATABASE_WAIT_TIMEOUT_MS", "1500");
    let proxy = world.start().await;
    let alpha = proxy.client(ALPHA);
    let job = alpha.create_job().await;
    let mut locker = world.database().dedicated_connection().await.unwrap();
    let lock = locker.begin_with("BEGIN IMMEDIATE").await.unwrap();
    let began = Instant::now();
    let answer = alpha.call(&job, "Hi").await;
    answer.expect_error(503, "could not be written within 1.5s. Nothing was charged");
    assert!(answer.retry_after().is_some());
    // Far below the minute for which such calls used to hang.
    assert!(began.elapsed() < Duration::from_secs(20));
    assert!(until_ready(&alpha, 503).await.contains("locked"));
    lock.rollback().await.unwrap();
    let _ = until_ready(&alpha, 200).await;
    let _ = alpha.call(&job, "Hi").await.expect(200);
    let _ = alpha.complete(&job).await.expect(200);
    let _ = world.verify().await;
    assert_eq!(world.upstream.count(), 1, "a refused call went nowhere");
}

#[tokio::test]
async fn a_read_only_database_denies_readiness() {
    let world = World::postgres().await;
    let proxy = world.start().await;
    let alpha = proxy.client(ALPHA);
    tamper(
        &world,
        "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET \
                    default_transaction_read_only = on', current_database()); END $$",
    )
    .await;
    // Connections that are open already keep their setting, so they are ended.
    tamper(
        &world,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                    WHERE datname = current_database() AND pid <> pg_backend_pid()",
    )
    .await;
    assert!(until_ready(&alpha, 503).await.contains("read-only"));
    assert_eq!(alpha.create().await.status, 503);
}

#[tokio::test]
async fn a_policy_that_cannot_be_confirmed_is_not_decided_by() {
    let world = World::sqlite()
        .await
        .with("TOLLGATE_DATABASE_POLICY_AGE_MAX_SECONDS", "1");
    let proxy = world.start().await;
    let alpha = proxy.client(ALPHA);
    tamper(
        &world,
        "ALTER TABLE policy_revision RENAME TO policy_revision_away",
    )
    .await;
    let balance = format!("/api/credits/teams/{}/balance", ALPHA.id);
    let refused = wait::until("requests are refused", async || {
        Some(alpha.get(&balance).await).filter(|answer| answer.status == 503)
    })
    .await;
    refused.expect_error(503, "settings could not be read");
    let job = alpha.create().await;
    job.expect_error(503, "settings could not be read");
    assert!(world.jobs().await.is_empty());
    tamper(
        &world,
        "ALTER TABLE policy_revision_away RENAME TO policy_revision",
    )
    .await;
    wait::until("requests are taken again", async || {
        (alpha.get(&balance).await.status == 200).then_some(())
    })
    .await;
    let _ = alpha.create_job().await;
}

#[tokio::test]
async fn a_connection_whose_commit_failed_is_not_used_again() {
    let world = World::sqlite().await;
    let database = world.database().with_own_pool(1);
    let fails = async || -> Result<(), StoreError> {
        let mut lease = Lease::acquire(&database).await?;
        let mut transaction = lease.begin(&database).await?;
        // Checked at the commit, which fails and leaves the transaction open.
        sqlx::query("PRAGMA defer_foreign_keys = ON")
            .execute(&mut *transaction)
            .await?;
        sqlx::query(
            "INSERT INTO ledger_entries VALUES \
             ('nobody', 1, 'allocation', 1, 0, 1, 0, NULL, 'r', 'a', 0)",
        )
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await.map_err(StoreError::of_commit)?;
        lease.give_back();
        Ok(())
    };
    for _ in 0..3 {
        assert!(fails().await.unwrap_err().is_about_piece());
        let mut lease = Lease::acquire(&database).await.unwrap();
        let mut transaction = lease.begin(&database).await.unwrap();
        sqlx::query("UPDATE teams SET name = name")
            .execute(&mut *transaction)
            .await
            .unwrap();
        transaction.commit().await.unwrap();
        lease.give_back();
    }
}

#[tokio::test]
async fn a_retry_with_the_rotated_key_is_not_done_again() {
    let world = World::sqlite().await;
    let proxy = world.start().await;
    let alpha = proxy.client(ALPHA);
    let job = alpha.create_job().await;
    let path = format!("/api/jobs/{job}/llm-call");
    let first = alpha
        .post_once(&path, &prompt_body("Hi"), "k")
        .await
        .expect(200);
    let mut id = key_id(ALPHA.key);
    let mut client = alpha.clone();
    for _ in 0..2 {
        let successor = PlainKey::generate(&SystemRandom);
        let made = new_key(&successor);
        let next = made.id.clone();
        world
            .execute(Command::RotateKey {
                id,
                successor: made,
                ends_at: SystemClock.now().plus(Duration::from_mins(5)),
            })
            .await;
        id = next;
        client = proxy.client_with_key(successor.reveal());
        wait::until("the new key is known", async || {
            let asked = client.get("/v1/models").await;
            (asked.status == 200).then_some(())
        })
        .await;
    }
    let again = client
        .post_once(&path, &prompt_body("Hi"), "k")
        .await
        .expect(200);
    assert_eq!(again.header("idempotent-replayed"), "true");
    assert_eq!(again.bytes, first.bytes);
    assert_eq!(world.upstream.count(), 1);
    // A key of the team that has nothing to do with the first one has its own scope.
    let unrelated = PlainKey::generate(&SystemRandom);
    world
        .execute(Command::CreateKey {
            team_id: ALPHA.id.parse().unwrap(),
            key: new_key(&unrelated),
            label: None,
            limits: tollgate_common::limit::Limits::default(),
            expires_at: None,
        })
        .await;
    let client = proxy.client_with_key(unrelated.reveal());
    wait::until("the other key is known", async || {
        (client.get("/v1/models").await.status == 200).then_some(())
    })
    .await;
    let other = client
        .post_once(&path, &prompt_body("Hi"), "k")
        .await
        .expect(200);
    assert_eq!(other.header("idempotent-replayed"), "");
    assert_eq!(world.upstream.count(), 2);
}

#[tokio::test]
async fn refused_jobs_are_recorded_without_metadata_and_only_so_many() {
    let world = World::sqlite()
        .await
        .with("TOLLGATE_JOBS_REFUSED_PER_MINUTE", "3");
    let proxy = world.start().await;
    let alpha = proxy.client(ALPHA);
    let body = json!({
        "team_id": ALPHA.id, "job_type": "t", "model": "nobody-has-this",
        "messages": [{ "role": "user", "content": "Hi" }],
        "job_metadata": { "a": "x".repeat(10_000) },
    });
    for _ in 0..20 {
        alpha
            .post("/api/jobs/create-and-call", &body)
            .await
            .expect_error(403, "nobody-has-this");
    }
    let jobs = world.jobs().await;
    // A minute may have ended in between.
    assert!((3..=6).contains(&jobs.len()), "{} jobs", jobs.len());
    assert!(
        jobs.iter()
            .all(|job| job.metadata == "{}" && job.state == JobState::Failed)
    );
    let _ = world.verify().await;
}

#[tokio::test]
async fn lists_of_one_team_wait_for_each_other() {
    let world = World::sqlite()
        .await
        .with("TOLLGATE_LIMITS_LISTS_PER_TEAM", "1");
    let proxy = world.start().await;
    let alpha = proxy.client(ALPHA);
    let path = format!("/api/teams/{}/jobs?limit=1000", ALPHA.id);
    let lists = (0..20).map(|_| {
        let (alpha, path) = (alpha.clone(), path.clone());
        tokio::spawn(async move { alpha.send(alpha.request(Method::GET, &path)).await.status })
    });
    for list in lists.collect::<Vec<_>>() {
        assert_eq!(list.await.unwrap(), 200);
    }
}

/// How many connections to the database are asleep in a statement.
const COUNT_SLEEPING: &str = "
    SELECT COUNT(*)
    FROM pg_stat_activity
    WHERE datname = current_database() AND wait_event = 'PgSleep'";

async fn count_sleeping(connection: &mut AnyConnection) -> i64 {
    sqlx::query_scalar(COUNT_SLEEPING)
        .fetch_one(connection)
        .await
        .unwrap()
}

#[tokio::test]
async fn a_new_key_is_known_while_lists_hold_all_connections() {
    let world = World::postgres()
        .await
        .with("TOLLGATE_DATABASE_CONNECTIONS", "2")
        .with("TOLLGATE_DATABASE_STATEMENT_TIMEOUT_MS", "600000");
    let proxy = world.start().await;
    let teams = [ALPHA, TEAM_B];
    for team in teams {
        let _ = proxy.client(team).create_job().await;
    }
    // Reading jobs takes longer than this test.
    tamper(&world, "ALTER TABLE jobs RENAME TO stored_jobs").await;
    tamper(
        &world,
        "CREATE VIEW jobs AS SELECT * FROM stored_jobs WHERE pg_sleep(300) IS NOT NULL",
    )
    .await;
    for team in teams {
        let client = proxy.client(team);
        for _ in 0..2 {
            let request = client.request(Method::GET, &format!("/api/teams/{}/jobs", team.id));
            tokio::spawn(request.send());
        }
    }
    let mut connection = world.database().dedicated_connection().await.unwrap();
    wait::until("lists hold all connections", async || {
        (count_sleeping(&mut connection).await >= 2).then_some(())
    })
    .await;
    let key = PlainKey::generate(&SystemRandom);
    world
        .execute(Command::CreateKey {
            team_id: ALPHA.id.parse().unwrap(),
            key: new_key(&key),
            label: None,
            limits: tollgate_common::limit::Limits::default(),
            expires_at: None,
        })
        .await;
    let client = proxy.client_with_key(key.reveal());
    wait::until("the new key is known", async || {
        (client.get("/v1/models").await.status == 200).then_some(())
    })
    .await;
    assert!(count_sleeping(&mut connection).await >= 2);
    tamper(
        &world,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
         WHERE datname = current_database() AND wait_event = 'PgSleep'",
    )
    .await;
}
