//! The same story on SQLite and on PostgreSQL, in every budget mode.

use serde_json::json;
use tollgate_common::job::CallState;
use tollgate_tests::client::{job_id, prompt_body};
use tollgate_tests::fixture::{ALPHA, MINI, TEAM_B, TOK};
use tollgate_tests::{Proxy, Store, World};

const SUCCEEDED: CallState = CallState::Succeeded;

async fn story(store: Store) {
    let world = World::on(store).await;
    let mut proxy = world.start().await;
    charged_by_job(&world, &proxy).await;
    charged_by_tokens(&world, &proxy).await;
    charged_by_cost(&world, &proxy).await;
    world.verify().await;

    let before = proxy.client(ALPHA).balance().await;
    proxy.terminate();
    assert!(proxy.wait().await.success());
    proxy.restart().await;
    assert_eq!(proxy.client(ALPHA).balance().await, before);
    let report = world.verify().await;
    assert_eq!((report.accounts, report.jobs, report.calls), (3, 5, 8));
}

async fn charged_by_job(world: &World, proxy: &Proxy) {
    let alpha = proxy.client(ALPHA);
    let body = json!({
        "team_id": ALPHA.id, "job_type": "chat", "user_id": "u-1", "metadata": { "a": "ä\"\\" },
    });
    let job = job_id(&alpha.post("/api/jobs/create", &body).await.expect(200));
    let mut prompt = prompt_body("Grüße");
    prompt["call_metadata"] = json!({ "turn": 1 });
    let _ = alpha.call_with(&job, &prompt).await.expect(200);
    prompt["model"] = MINI.into();
    let _ = alpha.call_with(&job, &prompt).await.expect(200);
    let _ = alpha.call(&job, "do:status=500").await.expect(503);
    let path = format!("/api/jobs/{job}/metadata");
    let _ = alpha
        .patch(&path, &json!({ "metadata": { "b": 2 } }))
        .await
        .expect(200);
    let done = alpha.complete(&job).await.expect(200).json;
    assert_eq!(done["costs"]["total_calls"], 3);
    assert_eq!(done["costs"]["failed_calls"], 1);
    assert_eq!(done["costs"]["total_tokens"], 30);
    // 75,000 and 4,500 nano-dollars.
    assert_eq!(done["costs"]["total_cost_usd"], 0.000_08);
    assert_eq!(done["costs"]["credits_remaining"], 9);
    let shown = alpha.job(&job).await;
    assert_eq!(
        shown["metadata"],
        json!({ "a": "ä\"\\", "turn": 1, "b": 2 })
    );
    let states: Vec<CallState> = world.calls(&job).await.iter().map(|c| c.state).collect();
    assert_eq!(states, [SUCCEEDED, SUCCEEDED, CallState::Failed]);
    let failed = alpha.create_job().await;
    let _ = alpha.end(&failed, "failed").await.expect(200);
    assert_eq!(alpha.credits_remaining().await, 9);
}

async fn charged_by_tokens(world: &World, proxy: &Proxy) {
    let tok = proxy.client(TOK);
    let job = tok.create_job().await;
    for prompt in ["do:tok=999", "do:tok=6", "do:tok=1999"] {
        let _ = tok.call(&job, prompt).await.expect(200);
    }
    assert!(world.account(TOK.id).await.held.0 >= 3);
    let done = tok.complete(&job).await.expect(200).json;
    assert_eq!(done["costs"]["credits_remaining"], 97);
    let job = tok.create_job().await;
    let _ = tok.call(&job, "do:tok=2500").await.expect(200);
    let done = tok.complete(&job).await.expect(200).json;
    assert_eq!(done["costs"]["credits_remaining"], 95);
    assert_eq!(world.account(TOK.id).await.held.0, 0);
}

async fn charged_by_cost(world: &World, proxy: &Proxy) {
    let b = proxy.client(TEAM_B);
    let job = b.create_job().await;
    // 1,000 prompt tokens at $2.50 a million and 1,000 credits a dollar.
    let _ = b.call(&job, "do:tok=1000").await.expect(200);
    let done = b.complete(&job).await.expect(200).json;
    assert_eq!(done["costs"]["credits_remaining"], 3);
    assert_eq!(done["costs"]["total_cost_usd"], 0.0025);
    let account = world.account(TEAM_B.id).await;
    assert_eq!(
        (account.balance.0, account.held.0, account.used.0),
        (3, 0, 2)
    );
}

#[tokio::test]
async fn the_story_on_sqlite() {
    story(Store::Sqlite).await;
}

#[tokio::test]
async fn the_story_on_postgres() {
    story(Store::Postgres).await;
}
