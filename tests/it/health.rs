//! What anyone may ask: health, readiness, and answers to what does not exist.

use reqwest::Method;
use serde_json::json;
use tollgate_tests::World;
use tollgate_tests::fixture::ALPHA;

use crate::contract::{check, get, post, verb};

const NOT_FOUND: &str = "Not Found";
const NOT_ALLOWED: &str = "Method Not Allowed";

#[tokio::test]
async fn health_readiness_and_liveness_need_no_key() {
    let world = World::sqlite().await;
    let proxy = world.start().await;
    let anyone = proxy.client_with_key("");
    let health = anyone.get("/health").await.expect(200);
    assert_eq!(
        health.json,
        json!({ "status": "healthy", "service": "saas-llm-api" })
    );
    for path in ["/readyz", "/livez"] {
        let _ = anyone.get(path).await.expect(200);
    }
}

#[tokio::test]
async fn unknown_paths_and_wrong_verbs_are_named_as_such() {
    let (known, job) = ("/api/jobs/create", "/api/jobs/{job}");
    let metadata = "/api/jobs/{job}/metadata";
    check(vec![
        get("unknown path", "/nope")
            .showing("")
            .gives(404, NOT_FOUND),
        get("root", "/").showing("").gives(404, NOT_FOUND),
        get("below a job", "/api/jobs/{job}/x").gives(404, NOT_FOUND),
        post("below api", "/api/nope", json!({})).gives(404, NOT_FOUND),
        post("health", "/health", json!({}))
            .showing("")
            .gives(405, NOT_ALLOWED),
        get("GET on a POST path", known).gives(405, NOT_ALLOWED),
        verb("PUT of metadata", Method::PUT, metadata).gives(405, NOT_ALLOWED),
        verb("DELETE of a job", Method::DELETE, job).gives(405, NOT_ALLOWED),
    ])
    .await;
}

#[tokio::test]
async fn a_wrong_verb_is_told_the_right_one() {
    let world = World::sqlite().await;
    let proxy = world.start().await;
    let alpha = proxy.client(ALPHA);
    let answer = alpha.get("/api/jobs/create").await.expect(405);
    assert!(answer.header("allow").contains("POST"));
    let answer = alpha.post("/health", &json!({})).await.expect(405);
    assert!(answer.header("allow").contains("GET"));
}

#[tokio::test]
async fn browsers_of_known_origins_may_call() {
    let world = World::sqlite().await;
    let proxy = world.start().await;
    let anyone = proxy.client_with_key("");
    let preflight = |origin: &'static str| {
        anyone
            .request(Method::OPTIONS, "/api/jobs/create")
            .header("origin", origin)
            .header("access-control-request-method", "POST")
    };
    let known = "http://localhost:3002";
    let answer = anyone.send(preflight(known)).await;
    assert!(matches!(answer.status, 200 | 204), "{}", answer.status);
    assert_eq!(answer.header("access-control-allow-origin"), known);
    assert_eq!(answer.header("access-control-allow-credentials"), "true");

    let answer = anyone.send(preflight("https://elsewhere.example")).await;
    assert_eq!(answer.header("access-control-allow-origin"), "");
}

#[tokio::test]
async fn every_answer_has_its_own_request_id() {
    let world = World::sqlite().await;
    let proxy = world.start().await;
    let alpha = proxy.client(ALPHA);
    let job = alpha.create_job().await;
    let answers = [
        alpha.get("/health").await.expect(200),
        alpha.get("/nope").await.expect(404),
        alpha.get("/api/jobs/create").await.expect(405),
        alpha.create().await.expect(200),
        alpha.call(&job, "Hi").await.expect(200),
        alpha.call(&job, "do:status=500").await.expect(503),
    ];
    let mut ids: Vec<&str> = answers.iter().map(|a| a.header("x-request-id")).collect();
    assert!(ids.iter().all(|id| !id.is_empty()), "{ids:?}");
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), answers.len());
}
