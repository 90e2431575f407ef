//! Stopping on request: what was begun is finished.

use tollgate_common::job::CallState;
use tollgate_tests::fixture::ALPHA;
use tollgate_tests::{World, wait};

#[tokio::test]
async fn a_stopping_proxy_finishes_its_calls_and_takes_no_more() {
    let world = World::sqlite().await;
    let mut proxy = world.start().await;
    let alpha = proxy.client(ALPHA);
    let job = alpha.create_job().await;
    let calling = tokio::spawn({
        let (alpha, job) = (alpha.clone(), job.clone());
        async move { alpha.call(&job, "do:slow=1500").await }
    });
    wait::until("the provider has the call", async || {
        (world.upstream.count() == 1).then_some(())
    })
    .await;
    proxy.terminate();
    let answer = calling.await.unwrap().expect(200);
    assert_eq!(answer.json["response"]["content"], "Hello!");
    assert_eq!(proxy.wait().await.code(), Some(0));
    assert!(
        alpha.try_get("/health").await.is_err(),
        "nobody listens any more"
    );
    assert_eq!(world.calls(&job).await[0].state, CallState::Succeeded);
    world.verify().await;

    proxy.restart().await;
    let done = alpha.complete(&job).await.expect(200).json;
    assert_eq!(done["costs"]["successful_calls"], 1);
}

#[tokio::test]
async fn an_idle_proxy_stops_at_once_and_can_be_started_again() {
    let world = World::sqlite().await;
    let mut proxy = world.start().await;
    for _ in 0..3 {
        proxy.terminate();
        assert_eq!(proxy.wait().await.code(), Some(0));
        proxy.restart().await;
    }
    let _ = proxy.client(ALPHA).create().await.expect(200);
}
