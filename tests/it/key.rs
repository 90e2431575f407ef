//! Keys while the proxy runs: several, expiring, rotated, revoked.

use std::time::Duration;

use tollgate_common::clock::{Clock as _, SystemClock, SystemRandom};
use tollgate_common::command::Command;
use tollgate_common::key::PlainKey;
use tollgate_common::limit::Limits;
use tollgate_tests::fixture::{ALPHA, import_key, new_key};
use tollgate_tests::{Proxy, Store, World, wait};

/// Waits until the proxy answers this key with this status.
async fn until_status(proxy: &Proxy, key: &str, status: u16) {
    let client = proxy.client_with_key(key);
    let what = format!("a key is answered {status}");
    wait::until_within(Duration::from_secs(10), &what, async || {
        (client.knock().await.status == status).then_some(())
    })
    .await;
}

fn id_of(key: &str) -> tollgate_common::id::KeyId {
    tollgate_tests::fixture::key_id(key)
}

async fn a_revoked_key_is_refused_while_the_proxy_runs(store: Store) {
    let world = World::on(store).await;
    let proxy = world.start().await;
    let alpha = proxy.client(ALPHA);
    let job = alpha.create_job().await;
    let id = id_of(ALPHA.key);
    world.execute(Command::RevokeKey { id }).await;
    until_status(&proxy, ALPHA.key, 401).await;
    alpha
        .call(&job, "Hi")
        .await
        .expect_error(401, "Invalid API key");
    assert_eq!(world.upstream.count(), 0);
}

#[tokio::test]
async fn a_revoked_key_is_refused_while_the_proxy_runs_on_sqlite() {
    a_revoked_key_is_refused_while_the_proxy_runs(Store::Sqlite).await;
}

#[tokio::test]
async fn a_revoked_key_is_refused_while_the_proxy_runs_on_postgres() {
    a_revoked_key_is_refused_while_the_proxy_runs(Store::Postgres).await;
}

#[tokio::test]
async fn a_new_key_works_without_a_restart_beside_the_old_one() {
    let world = World::sqlite().await;
    let proxy = world.start().await;
    let literal = "sk-your-virtual-key-here";
    until_status(&proxy, literal, 401).await;
    world.execute(import_key(ALPHA.id, literal)).await;
    until_status(&proxy, literal, 200).await;
    until_status(&proxy, ALPHA.key, 200).await;
}

#[tokio::test]
async fn a_rotated_key_lives_through_its_grace_and_no_longer() {
    let world = World::sqlite().await;
    let proxy = world.start().await;
    let successor = PlainKey::generate(&SystemRandom);
    let rotate = |grace| Command::RotateKey {
        id: id_of(ALPHA.key),
        successor: new_key(&successor),
        ends_at: SystemClock.now().plus(grace),
    };
    world.execute(rotate(Duration::from_secs(3))).await;
    until_status(&proxy, successor.reveal(), 200).await;
    until_status(&proxy, ALPHA.key, 401).await;
    until_status(&proxy, successor.reveal(), 200).await;
}

#[tokio::test]
async fn a_key_ends_when_it_expires() {
    let world = World::sqlite().await;
    let key = PlainKey::generate(&SystemRandom);
    let create = Command::CreateKey {
        team_id: ALPHA.id.parse().unwrap(),
        key: new_key(&key),
        label: None,
        limits: Limits::default(),
        expires_at: Some(SystemClock.now().minus(Duration::from_secs(1))),
    };
    world.execute(create).await;
    let proxy = world.start().await;
    let answer = proxy.client_with_key(key.reveal()).create().await;
    answer.expect_error(401, "Invalid API key");
}
