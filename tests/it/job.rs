//! The life of a job.

use reqwest::Method;
use serde_json::{Value, json};
use tollgate_tests::World;
use tollgate_tests::client::{job_id, prompt_body};
use tollgate_tests::fixture::{ALPHA, FAST, MINI};
use tollgate_tests::wait;

fn keys(object: &Value) -> Vec<&str> {
    let mut keys: Vec<&str> = object
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    keys.sort_unstable();
    keys
}

#[tokio::test]
async fn a_new_job_is_pending_and_has_what_it_was_created_with() {
    let world = World::sqlite().await;
    let proxy = world.start().await;
    let alpha = proxy.client(ALPHA);
    let body = json!({
        "team_id": ALPHA.id, "job_type": "document_analysis", "user_id": "user-1",
        "metadata": { "a": 1 }, "unknown": "ignored",
    });
    let created = alpha.post("/api/jobs/create", &body).await.expect(200);
    assert_eq!(created.json["status"], "pending");
    assert_eq!(created.json["team_id"], ALPHA.id);
    assert!(created.json["created_at"].as_str().unwrap().ends_with('Z'));

    let job = alpha.job(&job_id(&created)).await;
    assert_eq!(job["status"], "pending");
    assert_eq!(job["job_type"], "document_analysis");
    assert_eq!(job["user_id"], "user-1");
    assert_eq!(job["team_id"], ALPHA.id);
    assert_eq!(job["organization_id"], "o1");
    assert_eq!(job["metadata"], json!({ "a": 1 }));
    assert_eq!(job["credit_applied"], false);
    assert_eq!(job["model_groups_used"], json!([]));
    for empty in ["started_at", "completed_at", "error_message"] {
        assert!(job[empty].is_null() && job.get(empty).is_some(), "{empty}");
    }
}

#[tokio::test]
async fn a_job_goes_from_its_first_call_to_its_charge() {
    let world = World::sqlite().await;
    let proxy = world.start().await;
    let alpha = proxy.client(ALPHA);
    let job = alpha.create_job().await;
    let _ = alpha.call(&job, "Hi").await.expect(200);
    let shown = alpha.job(&job).await;
    assert_eq!(shown["status"], "in_progress");
    assert!(shown["started_at"].is_string());

    let done = alpha.complete(&job).await.expect(200).json;
    assert_eq!(done["job_id"], job.as_str());
    assert_eq!(done["status"], "completed");
    assert!(done["completed_at"].is_string());
    let costs = &done["costs"];
    assert_eq!(
        keys(costs),
        [
            "avg_latency_ms",
            "credit_applied",
            "credits_remaining",
            "failed_calls",
            "successful_calls",
            "total_calls",
            "total_cost_usd",
            "total_tokens"
        ]
    );
    assert_eq!(costs["total_calls"], 1);
    assert_eq!(costs["successful_calls"], 1);
    assert_eq!(costs["failed_calls"], 0);
    assert_eq!(costs["total_tokens"], 15);
    assert_eq!(costs["total_cost_usd"], 7.5e-05);
    assert_eq!(costs["credit_applied"], true);
    assert_eq!(costs["credits_remaining"], 9);
    assert!(costs["avg_latency_ms"].is_i64());
    let call = &done["calls"][0];
    assert_eq!(
        keys(call),
        [
            "call_id",
            "error",
            "latency_ms",
            "model_group",
            "purpose",
            "tokens"
        ]
    );
    let shown = alpha.job(&job).await;
    assert_eq!(shown["status"], "completed");
    assert_eq!(shown["credit_applied"], true);
    world.verify().await;
}

#[tokio::test]
async fn an_ended_job_stays_as_it_ended() {
    let world = World::sqlite().await;
    let proxy = world.start().await;
    let alpha = proxy.client(ALPHA);
    let job = alpha.create_job().await;
    let first = alpha.complete(&job).await.expect(200).json;
    let again = alpha.complete(&job).await.expect(200).json;
    assert_eq!(again, first);
    let as_failed = alpha.end(&job, "failed").await.expect(200).json;
    assert_eq!(as_failed["status"], "completed");
    alpha
        .call(&job, "Hi")
        .await
        .expect_error(409, "Job is already completed");
    assert_eq!(alpha.credits_remaining().await, 9);
    assert_eq!(world.upstream.count(), 0);
    world.verify().await;
}

#[tokio::test]
async fn a_job_without_calls_costs_its_minimum() {
    let world = World::sqlite().await;
    let proxy = world.start().await;
    let alpha = proxy.client(ALPHA);
    let job = alpha.create_job().await;
    let done = alpha.complete(&job).await.expect(200).json;
    assert_eq!(done["costs"]["total_calls"], 0);
    assert_eq!(done["costs"]["avg_latency_ms"], 0);
    assert_eq!(done["calls"], json!([]));
    assert_eq!(done["costs"]["credits_remaining"], 9);
}

#[tokio::test]
async fn a_failed_job_costs_nothing_and_keeps_its_reason() {
    let world = World::sqlite().await;
    let proxy = world.start().await;
    let alpha = proxy.client(ALPHA);
    let job = alpha.create_job().await;
    let _ = alpha.call(&job, "Hi").await.expect(200);
    let body = json!({ "status": "failed", "error_message": "the document was empty" });
    let path = format!("/api/jobs/{job}/complete");
    let done = alpha.post(&path, &body).await.expect(200).json;
    assert_eq!(done["status"], "failed");
    assert_eq!(done["costs"]["credit_applied"], false);
    assert_eq!(done["costs"]["credits_remaining"], 10);
    let shown = alpha.job(&job).await;
    assert_eq!(shown["error_message"], "the document was empty");
    assert_eq!(world.account(ALPHA.id).await.held.0, 0);
    world.verify().await;
}

#[tokio::test]
async fn metadata_is_merged_key_by_key_and_kept_to_the_end() {
    let world = World::sqlite().await;
    let proxy = world.start().await;
    let alpha = proxy.client(ALPHA);
    let body =
        json!({ "team_id": ALPHA.id, "job_type": "chat", "metadata": { "a": 1, "keep": true } });
    let job = job_id(&alpha.post("/api/jobs/create", &body).await.expect(200));
    let path = format!("/api/jobs/{job}/metadata");
    let change = json!({ "metadata": { "b": { "x": 1 }, "a": 2 } });
    let answer = alpha.patch(&path, &change).await.expect(200).json;
    assert_eq!(answer["job_id"], job.as_str());
    assert!(answer["updated_at"].is_string());
    assert_eq!(
        answer["metadata"],
        json!({ "a": 2, "b": { "x": 1 }, "keep": true })
    );
    let change = json!({ "metadata": { "b": { "y": 2 } } });
    let answer = alpha.patch(&path, &change).await.expect(200).json;
    assert_eq!(answer["metadata"]["b"], json!({ "y": 2 }));

    let body = json!({ "status": "completed", "metadata": { "final": true } });
    let complete = format!("/api/jobs/{job}/complete");
    let _ = alpha.post(&complete, &body).await.expect(200);
    let wanted = json!({ "a": 2, "b": { "y": 2 }, "keep": true, "final": true });
    assert_eq!(alpha.job(&job).await["metadata"], wanted);

    let _ = alpha
        .patch(&path, &json!({ "metadata": { "late": 1 } }))
        .await
        .expect(200);
    assert_eq!(alpha.job(&job).await["metadata"]["late"], 1);
}

#[tokio::test]
async fn too_much_metadata_is_refused_and_nothing_changes() {
    let world = World::sqlite().await;
    let proxy = world.start().await;
    let alpha = proxy.client(ALPHA);
    let job = alpha.create_job().await;
    let much = json!({ "text": "x".repeat(11_000) });
    let path = format!("/api/jobs/{job}/metadata");
    let half = json!({ "metadata": { "half": "x".repeat(6_000) } });
    let _ = alpha.patch(&path, &half).await.expect(200);
    let body = json!({ "metadata": { "other": "x".repeat(6_000) } });
    let refused = alpha.patch(&path, &body).await;
    refused.expect_error(400, "metadata: at most 10240 bytes");
    let message = &refused.json["errors"][0]["msg"];
    assert!(message.as_str().unwrap().starts_with("at most 10240 bytes"));
    let body = json!({ "status": "completed", "metadata": much });
    let complete = format!("/api/jobs/{job}/complete");
    alpha
        .post(&complete, &body)
        .await
        .expect_error(400, "metadata");
    let body = json!({ "team_id": ALPHA.id, "job_type": "chat", "metadata": much });
    let created = alpha.post("/api/jobs/create", &body).await;
    created.expect_error(400, "metadata");
    let shown = alpha.job(&job).await;
    assert_eq!(shown["status"], "pending");
    assert_eq!(keys(&shown["metadata"]), ["half"]);
    assert_eq!(world.jobs().await.len(), 1);
    world.verify().await;
}

#[tokio::test]
async fn the_costs_of_a_job_are_listed_by_call() {
    let world = World::sqlite().await;
    let proxy = world.start().await;
    let alpha = proxy.client(ALPHA);
    let job = alpha.create_job().await;
    for model in [FAST, MINI] {
        let mut body = prompt_body("Hi");
        body["model"] = model.into();
        body["purpose"] = format!("ask {model}").into();
        let _ = alpha.call_with(&job, &body).await.expect(200);
    }
    let costs = alpha
        .get(&format!("/api/jobs/{job}/costs"))
        .await
        .expect(200)
        .json;
    let breakdown = costs["costs"]["breakdown"].as_array().unwrap();
    let models: Vec<&str> = breakdown
        .iter()
        .map(|c| c["model"].as_str().unwrap())
        .collect();
    assert_eq!(models, [FAST, MINI]);
    let first = &breakdown[0];
    assert_eq!(first["prompt_tokens"], 10);
    assert_eq!(first["completion_tokens"], 5);
    assert_eq!(first["cost_usd"], 7.5e-05);
    assert_eq!(first["purpose"], "ask chat-fast");
    let text = costs.to_string();
    assert!(
        !text.contains("gpt-4o"),
        "the provider's model is not shown: {text}"
    );
    let used = &alpha.job(&job).await["model_groups_used"];
    assert_eq!(*used, json!([FAST, MINI]));
}

#[tokio::test]
async fn an_abandoned_job_expires_and_gives_its_credit_back() {
    let world = World::sqlite()
        .await
        .with("TOLLGATE_JOBS_EXPIRY_SECONDS", "1");
    let proxy = world.start().await;
    let alpha = proxy.client(ALPHA);
    let job = alpha.create_job().await;
    wait::until("the job has expired", async || {
        (alpha.job(&job).await["status"] == "failed").then_some(())
    })
    .await;
    assert!(alpha.job(&job).await["error_message"].is_string());
    assert_eq!(alpha.credits_remaining().await, 10);
    assert_eq!(world.account(ALPHA.id).await.held.0, 0);
    world.verify().await;
}

#[tokio::test]
async fn a_job_with_a_call_under_way_is_completed_after_it_or_not_at_all() {
    let world = World::sqlite().await;
    let proxy = world.start().await;
    let alpha = proxy.client(ALPHA);
    let job = alpha.create_job().await;
    let calling = tokio::spawn({
        let (alpha, job) = (alpha.clone(), job.clone());
        async move { alpha.call(&job, "do:slow=700").await }
    });
    wait::until("the provider has the call", async || {
        (world.upstream.count() == 1).then_some(())
    })
    .await;
    let done = alpha.complete(&job).await.expect(200).json;
    assert_eq!(done["costs"]["successful_calls"], 1);
    let _ = calling.await.unwrap().expect(200);

    let job = alpha.create_job().await;
    let stuck = tokio::spawn({
        let (alpha, job) = (alpha.clone(), job.clone());
        async move {
            alpha
                .try_send(
                    alpha
                        .request(Method::POST, &format!("/api/jobs/{job}/llm-call"))
                        .json(&prompt_body("do:silent")),
                )
                .await
        }
    });
    wait::until("the provider has the call", async || {
        (world.upstream.count() == 2).then_some(())
    })
    .await;
    let refused = alpha.complete(&job).await;
    refused.expect_error(409, "in flight");
    assert!(refused.retry_after().is_some());
    stuck.abort();
}

#[tokio::test]
async fn a_job_ends_after_its_calls() {
    let world = World::sqlite().await;
    let proxy = world.start().await;
    let alpha = proxy.client(ALPHA);
    let job = alpha.create_job().await;
    let calling = tokio::spawn({
        let (alpha, job) = (alpha.clone(), job.clone());
        async move { alpha.call(&job, "do:slow=500").await }
    });
    wait::until("the provider has the call", async || {
        (world.upstream.count() == 1).then_some(())
    })
    .await;
    let first = alpha.complete(&job).await.expect(200);
    assert_eq!(first.header("idempotent-replayed"), "");
    let _ = calling.await.unwrap().expect(200);
    let ended_at = world.calls(&job).await[0].ended_at;
    let completed_at = world.job(&job).await.completed_at;
    assert!(ended_at.is_some() && completed_at >= ended_at);
    let again = alpha.complete(&job).await.expect(200);
    assert_eq!(again.header("idempotent-replayed"), "true");
    assert_eq!(first.bytes, again.bytes);
}
