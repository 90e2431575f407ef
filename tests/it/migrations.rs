//! The schema: from nothing, again, and from the future.

use tollgate_common::db::migrate::{SchemaState, migrate, schema_state};
use tollgate_tests::{Store, World};

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
