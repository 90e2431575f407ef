//! Requests that are sent twice and done once.

use reqwest::Method;
use serde_json::json;
use tollgate_tests::client::{job_id, prompt_body};
use tollgate_tests::fixture::{ALPHA, CLAUDE, EMBED, FAST, TOK};
use tollgate_tests::{Answer, Store, World, wait};

use crate::setup::{COMPLETIONS, chat, chat_with, expect_openai, job_of, merged};

const MISMATCH: &str = "Idempotency-Key was used before with a different request";

/// The call that an answer belongs to.
fn call_of(answer: &Answer) -> &str {
    let call = answer.header("x-tollgate-call-id");
    assert!(call.starts_with("call_"), "no call is named: {call}");
    call
}

async fn each_request_is_done_once(store: Store) {
    let world = World::on(store).await;
    let proxy = world.start().await;
    let alpha = proxy.client(ALPHA);
    let create = alpha.job_body();
    let first = alpha
        .post_once("/api/jobs/create", &create, "k1")
        .await
        .expect(200);
    let again = alpha
        .post_once("/api/jobs/create", &create, "k1")
        .await
        .expect(200);
    assert_eq!(first.bytes, again.bytes);
    assert_eq!(first.header("idempotent-replayed"), "");
    assert_eq!(again.header("idempotent-replayed"), "true");
    assert_eq!(world.jobs().await.len(), 1);

    let job = job_id(&first);
    let path = format!("/api/jobs/{job}/llm-call");
    let prompt = prompt_body("Hi");
    let first = alpha.post_once(&path, &prompt, "k2").await.expect(200);
    let again = alpha.post_once(&path, &prompt, "k2").await.expect(200);
    assert_eq!(first.bytes, again.bytes);
    assert_eq!(again.header("idempotent-replayed"), "true");
    assert_eq!(world.upstream.count(), 1);

    let path = format!("/api/jobs/{job}/complete");
    let done = json!({ "status": "completed" });
    let first = alpha.post_once(&path, &done, "k3").await.expect(200);
    let again = alpha.post_once(&path, &done, "k3").await.expect(200);
    assert_eq!(first.bytes, again.bytes);
    assert_eq!(alpha.credits_remaining().await, 9);
    world.verify().await;
}

#[tokio::test]
async fn each_request_is_done_once_on_sqlite() {
    each_request_is_done_once(Store::Sqlite).await;
}

#[tokio::test]
async fn each_request_is_done_once_on_postgres() {
    each_request_is_done_once(Store::Postgres).await;
}

#[tokio::test]
async fn a_key_stands_for_one_request_only() {
    let world = World::sqlite().await;
    let proxy = world.start().await;
    let alpha = proxy.client(ALPHA);
    let created = alpha
        .post_once("/api/jobs/create", &alpha.job_body(), "k")
        .await;
    let job = job_id(&created.expect(200));
    let mut other = alpha.job_body();
    other["job_type"] = "other".into();
    let answer = alpha.post_once("/api/jobs/create", &other, "k").await;
    answer.expect_error(409, MISMATCH);
    let path = format!("/api/jobs/{job}/llm-call");
    let answer = alpha.post_once(&path, &prompt_body("Hi"), "k").await;
    answer.expect_error(409, MISMATCH);
    assert_eq!(world.upstream.count(), 0);

    // Another team's same key is another key.
    let tok = proxy.client(TOK);
    let _ = tok
        .post_once("/api/jobs/create", &tok.job_body(), "k")
        .await
        .expect(200);
    assert_eq!(world.jobs().await.len(), 2);
}

#[tokio::test]
async fn a_request_still_running_is_not_started_again() {
    let world = World::sqlite().await;
    let proxy = world.start().await;
    let alpha = proxy.client(ALPHA);
    let job = alpha.create_job().await;
    let path = format!("/api/jobs/{job}/llm-call");
    let running = tokio::spawn({
        let (alpha, path) = (alpha.clone(), path.clone());
        async move {
            alpha
                .post_once(&path, &prompt_body("do:slow=1000"), "k")
                .await
        }
    });
    wait::until("the provider has the call", async || {
        (world.upstream.count() == 1).then_some(())
    })
    .await;
    let early = alpha
        .post_once(&path, &prompt_body("do:slow=1000"), "k")
        .await;
    early.expect_error(409, "still running");
    assert!(early.retry_after().is_some());
    let first = running.await.unwrap().expect(200);
    let late = alpha
        .post_once(&path, &prompt_body("do:slow=1000"), "k")
        .await
        .expect(200);
    assert_eq!(late.bytes, first.bytes);
    assert_eq!(world.upstream.count(), 1);
}

#[tokio::test]
async fn a_request_that_failed_may_be_tried_again_with_its_key() {
    let world = World::sqlite().await.with("TOLLGATE_ROUTING_TRIES", "1");
    let proxy = world.start().await;
    let alpha = proxy.client(ALPHA);
    let job = alpha.create_job().await;
    let path = format!("/api/jobs/{job}/llm-call");
    for calls in 1..=2 {
        let answer = alpha
            .post_once(&path, &prompt_body("do:status=500"), "k")
            .await;
        answer.expect_error(503, "LLM call failed:");
        assert_eq!(world.upstream.count(), calls);
    }
}

#[tokio::test]
async fn many_at_once_with_one_key_are_done_once() {
    let world = World::sqlite().await;
    let proxy = world.start().await;
    let alpha = proxy.client(ALPHA);
    let mut running = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let alpha = alpha.clone();
        running.spawn(async move {
            let body = alpha.job_body();
            alpha.post_once("/api/jobs/create", &body, "same").await
        });
    }
    let answers = running.join_all().await;
    let mut ids: Vec<String> = answers
        .into_iter()
        .map(|a| job_id(&a.expect(200)))
        .collect();
    ids.dedup();
    assert_eq!(ids.len(), 1);
    assert_eq!(world.account(ALPHA.id).await.held.0, 1);
}

#[tokio::test]
async fn a_key_that_is_no_key_is_refused() {
    let world = World::sqlite().await;
    let proxy = world.start().await;
    let alpha = proxy.client(ALPHA);
    let long = "k".repeat(300);
    for key in ["", long.as_str()] {
        let answer = alpha
            .post_once("/api/jobs/create", &alpha.job_body(), key)
            .await;
        answer.expect_error(400, "Idempotency-Key");
    }
}

#[tokio::test]
async fn a_repeated_answer_names_the_call_that_it_was_made_by() {
    let world = World::sqlite().await;
    let proxy = world.start().await;
    let alpha = proxy.client(ALPHA);
    let job = alpha.create_job().await;
    let body = alpha.job_body();
    for (path, body) in [
        (format!("/api/jobs/{job}/llm-call"), prompt_body("Hi")),
        (
            format!("/api/jobs/{job}/llm-call-stream"),
            prompt_body("Hi"),
        ),
        (
            "/api/jobs/create-and-call".to_owned(),
            merged(prompt_body("Hi"), body.clone()),
        ),
        (
            "/api/jobs/create-and-call-stream".to_owned(),
            merged(prompt_body("Hi"), body),
        ),
    ] {
        let first = alpha.post_once(&path, &body, &path).await.expect(200);
        let again = alpha.post_once(&path, &body, &path).await.expect(200);
        assert_eq!(again.header("idempotent-replayed"), "true", "{path}");
        assert_eq!(call_of(&first), call_of(&again), "{path}");
    }
}

#[tokio::test]
async fn each_api_does_a_request_once() {
    let world = World::sqlite().await;
    let proxy = world.start().await;
    let alpha = proxy.client(ALPHA);
    for (path, body) in [
        (COMPLETIONS, chat(FAST, "Hi")),
        (
            "/v1/messages",
            chat_with(CLAUDE, "Hi", json!({ "max_tokens": 9 })),
        ),
        (
            "/v1/embeddings",
            json!({ "model": EMBED, "input": ["a", "b"] }),
        ),
    ] {
        let count = world.upstream.count();
        let first = alpha.post_once(path, &body, path).await.expect(200);
        let again = alpha.post_once(path, &body, path).await.expect(200);
        assert_eq!(first.bytes, again.bytes, "{path}");
        assert_eq!(again.header("idempotent-replayed"), "true");
        assert_eq!(job_of(&first), job_of(&again));
        assert_eq!(call_of(&first), call_of(&again), "{path}");
        assert_eq!(world.upstream.count(), count + 1);
        let other = merged(body, json!({ "user": "another" }));
        let other = alpha.post_once(path, &other, path).await;
        assert_eq!(other.status, if path == "/v1/messages" { 400 } else { 409 });
    }
    let job = alpha.create_job().await;
    let request = alpha.request(Method::POST, COMPLETIONS);
    let request = request
        .json(&chat(FAST, "Hi"))
        .header("idempotency-key", COMPLETIONS)
        .header("x-tollgate-job-id", job);
    let elsewhere = alpha.send(request).await;
    expect_openai(
        &elsewhere,
        409,
        "invalid_request_error",
        "idempotency_key_reused",
    );
    assert_eq!(alpha.credits_remaining().await, 7);
    world.verify().await;
}
