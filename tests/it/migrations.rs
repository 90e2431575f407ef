//! The schema: from nothing, again, and from the future.

use tollgate_common::db::migrate::{SchemaState, migrate, schema_state};
use tollgate_tests::fixture::{ALPHA, TOK};
use tollgate_tests::{Store, World};

use crate::usage;

/// A migration that no binary has.
const FROM_THE_FUTURE: &str = "
    INSERT INTO _sqlx_migrations
        (version, description, success, checksum, execution_time)
    SELECT 29990101000000, 'from the future', success, checksum, execution_time
    FROM _sqlx_migrations
    ORDER BY version
    LIMIT 1";

async fn migrating_twice_changes_nothing(store: Store) {
    let world = World::empty(store).await;
    let state = async || schema_state(world.database()).await.unwrap();
    assert!(matches!(state().await, SchemaState::Behind(1..)));
    let check = world.tollgate(&["migrate", "--check"]).await;
    assert_ne!(check.code, Some(0), "{}", check.stdout);
    for _ in 0..2 {
        let applied = world.tollgate(&["migrate"]).await;
        assert_eq!(applied.code, Some(0), "{}", applied.stderr);
        assert_eq!(state().await, SchemaState::Current);
    }
    migrate(world.database()).await.unwrap();
    let check = world.tollgate(&["migrate", "--check"]).await;
    assert_eq!(check.code, Some(0), "{}", check.stderr);
    let proxy = world.start().await;
    let _ = proxy.client_with_key("").get("/health").await.expect(200);
}

async fn a_newer_schema_is_refused(store: Store) {
    let world = World::on(store).await;
    sqlx::query(FROM_THE_FUTURE)
        .execute(world.database().pool())
        .await
        .unwrap();
    let port = tollgate_tests::process::free_port();
    let world = world.with("TOLLGATE_SERVER_LISTEN", &format!("127.0.0.1:{port}"));
    let says_so = "does not know: use a newer version";
    for arguments in [&["serve"][..], &["migrate"], &["migrate", "--check"]] {
        let mut process = world.spawn(arguments);
        let status = process.wait().await;
        assert!(!status.success(), "{arguments:?}");
        assert!(
            process.log().contains(says_so),
            "{arguments:?}: {}",
            process.log()
        );
        assert!(process.log().contains("29990101000000"));
    }
    let listed = world.admin(&["org", "list"]).await;
    assert_ne!(listed.code, Some(0));
    assert!(listed.stderr.contains(says_so), "{}", listed.stderr);
}

/// A database with jobs as it was before the daily sums came.
const BEFORE_USAGE: &str = "
    DROP INDEX jobs_open_by_team;
    DROP INDEX jobs_failed_by_team;
    DROP INDEX jobs_cancelled_by_team;
    DROP TABLE usage_daily;
    ALTER TABLE jobs DROP COLUMN failed_calls;
    ALTER TABLE jobs DROP COLUMN total_input_tokens;
    ALTER TABLE jobs DROP COLUMN total_provider_cost;
    ALTER TABLE accounts DROP COLUMN budget_day;
    ALTER TABLE accounts DROP COLUMN budget_month;
    ALTER TABLE accounts DROP COLUMN day_began_at;
    ALTER TABLE accounts DROP COLUMN day_charged;
    ALTER TABLE accounts DROP COLUMN month_began_at;
    ALTER TABLE accounts DROP COLUMN month_charged;
    DELETE FROM _sqlx_migrations WHERE version = 20260101000004";

async fn the_days_are_added_up_from_the_jobs_that_are_there(store: Store) {
    let world = World::on(store).await;
    let mut proxy = world.start().await;
    for team in [ALPHA, TOK] {
        let client = proxy.client(team);
        for end in ["completed", "failed", ""] {
            let job = client.create_job().await;
            let _ = client.call(&job, "do:tok=2500").await.expect(200);
            let _ = client.call(&job, "do:status=500").await.expect(503);
            if !end.is_empty() {
                let _ = client.end(&job, end).await.expect(200);
            }
        }
    }
    let kept = usage::stored_days(&world).await;
    assert_eq!(kept.len(), 2, "one day, one type, two teams");
    let accounts = [world.account(ALPHA.id).await, world.account(TOK.id).await];
    proxy.terminate();
    assert!(proxy.wait().await.success());

    let before = sqlx::raw_sql(BEFORE_USAGE).execute(world.database().pool());
    before.await.unwrap();
    assert_eq!(
        schema_state(world.database()).await.unwrap(),
        SchemaState::Behind(1)
    );
    migrate(world.database()).await.unwrap();
    assert_eq!(usage::stored_days(&world).await, kept);
    let filled = [world.account(ALPHA.id).await, world.account(TOK.id).await];
    assert_eq!(filled, accounts);
    world.verify().await;
}

#[tokio::test]
async fn the_days_are_added_up_from_the_jobs_that_are_there_on_sqlite() {
    the_days_are_added_up_from_the_jobs_that_are_there(Store::Sqlite).await;
}

#[tokio::test]
async fn the_days_are_added_up_from_the_jobs_that_are_there_on_postgres() {
    the_days_are_added_up_from_the_jobs_that_are_there(Store::Postgres).await;
}

#[tokio::test]
async fn migrating_twice_changes_nothing_on_sqlite() {
    migrating_twice_changes_nothing(Store::Sqlite).await;
}

#[tokio::test]
async fn migrating_twice_changes_nothing_on_postgres() {
    migrating_twice_changes_nothing(Store::Postgres).await;
}

#[tokio::test]
async fn a_newer_schema_is_refused_on_sqlite() {
    a_newer_schema_is_refused(Store::Sqlite).await;
}

#[tokio::test]
async fn a_newer_schema_is_refused_on_postgres() {
    a_newer_schema_is_refused(Store::Postgres).await;
}

#[tokio::test]
async fn two_proxies_that_start_at_once_migrate_one_database() {
    let world = World::empty(Store::Postgres).await;
    let (one, other) = tokio::join!(world.start(), world.start());
    for proxy in [one, other] {
        let _ = proxy.client_with_key("").get("/readyz").await.expect(200);
    }
    assert_eq!(
        schema_state(world.database()).await.unwrap(),
        SchemaState::Current
    );
}
