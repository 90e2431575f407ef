//! What nodes tell administrators of the present.

use sqlx::Row as _;
use tollgate_common::db::live::{self, Told};
use tollgate_common::live::{NodeFigures, Traffic};
use tollgate_tests::fixture::{ALPHA, FAST};
use tollgate_tests::{Client, Door, Store, World, wait};

/// The present of the only node, as soon as `fits` likes it.
async fn told(world: &World, what: &str, fits: impl Fn(&NodeFigures) -> bool) -> NodeFigures {
    wait::until(what, async || {
        let told = live::list(world.database().pool()).await.unwrap();
        let [Told { figures, .. }] = told.as_slice() else {
            return None;
        };
        fits(figures).then(|| figures.clone())
    })
    .await
}

/// What passed up to now, as soon as `fits` likes it.
async fn passed(world: &World, what: &str, fits: impl Fn(&Traffic) -> bool) -> Traffic {
    wait::until(what, async || {
        let mut sum = Traffic::default();
        for (_, traffic) in live::traffic(world.database().pool(), 0).await.unwrap() {
            sum.add(&traffic);
        }
        fits(&sum).then_some(sum)
    })
    .await
}

async fn calls_are_told_while_and_after(store: Store) {
    let world = World::on(store).await;
    let mut proxy = world.start().await;
    let alpha = proxy.client(ALPHA);
    let job = alpha.create_job().await;
    let mut stream = Door::Job
        .ask(&alpha, &job, FAST, "do:words=40,gap=100")
        .await
        .expect_stream();
    let call_id = stream.header("x-tollgate-call-id").to_owned();
    let early = told(&world, "the stream is told of", |now| {
        now.streams == 1 && now.calls.iter().any(|call| call.output_tokens > 0)
    })
    .await;
    let call = &early.calls[0];
    assert_eq!((early.calls_in_flight, early.calls.len()), (1, 1));
    assert_eq!((&call.id, &call.job_id), (&call_id, &job));
    assert_eq!(
        (call.team_id.as_str(), call.alias.as_str()),
        (ALPHA.id, FAST)
    );
    assert!(call.streamed && call.provider.is_some());
    told(&world, "its tokens grow", |now| {
        now.calls
            .first()
            .is_some_and(|later| later.output_tokens > call.output_tokens)
    })
    .await;
    let _ = stream.collect().await;
    told(&world, "the stream has ended", |now| now.calls.is_empty()).await;
    let sum = passed(&world, "the call is counted", |sum| sum.calls == 1).await;
    assert_eq!((sum.streams, sum.retries), (1, 0));
    assert_eq!(sum.teams[ALPHA.id].calls, 1);
    assert_eq!(sum.models[FAST], 1);
    let provider = call.provider.clone().unwrap();
    assert_eq!(sum.providers[&provider].tries, 1);
    assert_eq!(sum.total_ms.count(), 1);
    assert_eq!(
        (sum.first_token_ms.count(), sum.overhead_us.count()),
        (1, 1)
    );
    assert!(sum.total_ms.max() > sum.first_token_ms.max());
    proxy.terminate();
    assert!(proxy.wait().await.success());
    let left = live::list(world.database().pool()).await.unwrap();
    assert_eq!(left, [], "a node that has ended tells of nothing");
}

#[tokio::test]
async fn calls_are_told_while_and_after_on_sqlite() {
    calls_are_told_while_and_after(Store::Sqlite).await;
}

#[tokio::test]
async fn calls_are_told_while_and_after_on_postgres() {
    calls_are_told_while_and_after(Store::Postgres).await;
}

/// When the key of a team was last used, in microseconds.
async fn used_at(world: &World) -> Option<i64> {
    const SELECT: &str = "SELECT MAX(used_at) FROM virtual_keys";
    let row = sqlx::query(SELECT).fetch_one(world.database().pool()).await;
    row.unwrap().get(0)
}

async fn revision(world: &World) -> i64 {
    const SELECT: &str = "SELECT revision FROM policy_revision";
    let row = sqlx::query(SELECT).fetch_one(world.database().pool()).await;
    row.unwrap().get(0)
}

#[tokio::test]
async fn what_goes_wrong_is_told_by_its_cause_and_keys_by_their_last_use() {
    let world = World::sqlite().await;
    let proxy = world.start().await;
    let before = revision(&world).await;
    let alpha = proxy.client(ALPHA);
    let job = alpha.create_job().await;
    let failed = alpha.call(&job, "do:garbage").await;
    assert_eq!(failed.status, 503);
    let wrong: Client = proxy.client_with_key("sk-nobody");
    wrong.create().await.expect(401);
    let sum = passed(&world, "both are counted", |sum| sum.errors.len() >= 2).await;
    assert_eq!(sum.errors["provider_invalid"], 1);
    assert_eq!(sum.errors["invalid_api_key"], 1);
    assert!(sum.retries > 0 && sum.total_ms.count() == 0);
    wait::until("the key's use is told", async || used_at(&world).await).await;
    assert_eq!(revision(&world).await, before, "no proxy decides by it");
}

/// The rows of the tables that nodes tell in, as they were written last.
async fn written(world: &World) -> Vec<(String, i64)> {
    const SELECT: &str = "SELECT node_id, at FROM node_figures
                          UNION ALL SELECT figures, minute FROM traffic";
    let rows = sqlx::query(SELECT).fetch_all(world.database().pool()).await;
    rows.unwrap()
        .iter()
        .map(|row| (row.get(0), row.get(1)))
        .collect()
}

#[tokio::test]
async fn a_node_with_nothing_new_writes_nothing() {
    let world = World::sqlite().await;
    let _proxy = world.start().await;
    told(&world, "the node is told of", |_| true).await;
    // Readiness was asked at the start; once that is told, there is nothing more to tell.
    passed(&world, "the start is told", |sum| sum.requests > 0).await;
    let first = written(&world).await;
    let seen = wait::until("three heartbeats", {
        let mut beats = std::collections::BTreeSet::new();
        let world = &world;
        async move || {
            let nodes = tollgate_common::db::node::list(world.database().pool()).await;
            beats.extend(nodes.unwrap().into_iter().map(|(_, seen_at)| seen_at));
            (beats.len() > 2).then(|| beats.len())
        }
    });
    assert!(seen.await > 2);
    assert_eq!(written(&world).await, first);
}
