//! What requests about jobs must look like.

use serde_json::json;
use tollgate_tests::World;
use tollgate_tests::client::prompt_body;
use tollgate_tests::fixture::ALPHA;

use crate::contract::{check, get, patch, post};

#[tokio::test]
async fn ids_that_name_no_job_are_not_found() {
    let unknown = "/api/jobs/00000000-0000-0000-0000-000000000000";
    let unknown_call = "/api/jobs/00000000-0000-0000-0000-000000000000/llm-call";
    let none = "Job not found";
    let done = json!({ "status": "completed" });
    let metadata = json!({ "metadata": {} });
    check(vec![
        get("unknown", unknown).gives(404, none),
        post("call of an unknown one", unknown_call, prompt_body("Hi")).gives(404, none),
        get("no UUID", "/api/jobs/123").gives(404, none),
        get("bytes that are no text", "/api/jobs/%00%ff").gives(404, none),
        get("costs", "/api/jobs/nope/costs").gives(404, none),
        post("call", "/api/jobs/nope/llm-call", prompt_body("Hi")).gives(404, none),
        post("complete", "/api/jobs/nope/complete", done).gives(404, none),
        patch("metadata", "/api/jobs/nope/metadata", metadata).gives(404, none),
    ])
    .await;
}

#[tokio::test]
async fn a_request_that_lacks_something_is_told_what() {
    let (team, kind) = (ALPHA.id, "chat");
    let create = |body, field| post("create", "/api/jobs/create", body).gives(400, field);
    let end = |body, field| post("end", "/api/jobs/{job}/complete", body).gives(400, field);
    let note = |body, field| patch("note", "/api/jobs/{job}/metadata", body).gives(400, field);
    check(vec![
        create(json!({ "team_id": team }), "job_type"),
        create(json!({ "job_type": kind }), "team_id"),
        create(json!({ "team_id": 1, "job_type": kind }), "team_id"),
        create(json!({ "team_id": team, "job_type": ["x"] }), "job_type"),
        create(
            json!({ "team_id": team, "job_type": "x".repeat(101) }),
            "job_type",
        ),
        create(
            json!({ "team_id": team, "job_type": kind, "metadata": [] }),
            "metadata",
        ),
        create(
            json!({ "team_id": team, "job_type": kind, "metadata": "x" }),
            "metadata",
        ),
        create(
            json!({ "team_id": team, "job_type": kind, "user_id": 7 }),
            "user_id",
        ),
        create(json!([]), ""),
        end(json!({}), "status"),
        end(json!({ "status": "done" }), "status"),
        end(json!({ "status": 1 }), "status"),
        end(json!({ "status": "completed", "metadata": 1 }), "metadata"),
        note(json!({}), "metadata"),
        note(json!({ "metadata": null }), "metadata"),
        note(json!({ "metadata": [1] }), "metadata"),
    ])
    .await;
}

#[tokio::test]
async fn words_and_absent_values_are_taken_generously() {
    let create = json!({
        "team_id": ALPHA.id, "job_type": "x", "metadata": null, "user_id": null,
    });
    let complete = json!({ "status": "COMPLETED", "result": {} });
    check(vec![
        post("nulls", "/api/jobs/create", create).gives(200, ""),
        post("any case", "/api/jobs/{job}/complete", complete).gives(200, ""),
    ])
    .await;
}

#[tokio::test]
async fn an_invalid_field_is_located_for_programs() {
    let world = World::sqlite().await;
    let proxy = world.start().await;
    let alpha = proxy.client(ALPHA);
    let body = json!({ "team_id": ALPHA.id });
    let answer = alpha.post("/api/jobs/create", &body).await.expect(400);
    let error = &answer.json["errors"][0];
    assert_eq!(error["loc"], json!(["body", "job_type"]));
    assert!(error["msg"].is_string() && error["type"].is_string());
}
