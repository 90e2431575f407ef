//! Who is let in.

use reqwest::Method;
use serde_json::json;
use tollgate_tests::World;
use tollgate_tests::client::prompt_body;
use tollgate_tests::fixture::{ALPHA, TEAM_B};

use crate::contract::{Case, check, get, patch, post, verb};

const MISSING: &str = "Missing Authorization header. Expected: 'Authorization: Bearer sk-xxx...'";
const MALFORMED: &str =
    "Invalid Authorization header format. Expected: 'Authorization: Bearer sk-xxx...'";
const INVALID: &str = "Invalid API key";

fn shown(authorization: &'static str) -> Case {
    get("show a job", "/api/jobs/{job}").showing(authorization)
}

#[tokio::test]
async fn a_live_key_in_a_bearer_header_is_needed() {
    check(vec![
        shown("").gives(401, MISSING),
        shown("Basic YTpi").gives(401, MALFORMED),
        shown("Bearer").gives(401, MALFORMED),
        shown("sk-alpha-virtual-key-7f3a").gives(401, MALFORMED),
        shown("Bearer sk-alpha-virtual-key-7f3a x").gives(401, MALFORMED),
        shown("Bearer sk-unknown").gives(401, INVALID),
        shown("Bearer SK-ALPHA-VIRTUAL-KEY-7F3A").gives(401, INVALID),
        shown("Bearer sk-alpha-virtual-key-7f3").gives(401, INVALID),
        shown("Bearer sk-alpha-virtual-key-7f3ab").gives(401, INVALID),
        shown("bearer sk-alpha-virtual-key-7f3a").gives(200, ""),
        shown("BEARER sk-alpha-virtual-key-7f3a").gives(200, ""),
    ])
    .await;
}

#[tokio::test]
async fn every_route_of_a_team_asks_for_the_key_before_it_reads_anything() {
    let routes = [
        (Method::POST, "/api/jobs/create"),
        (Method::GET, "/api/jobs/{job}"),
        (Method::GET, "/api/jobs/not-a-job"),
        (Method::GET, "/api/jobs/{job}/costs"),
        (Method::PATCH, "/api/jobs/{job}/metadata"),
        (Method::POST, "/api/jobs/{job}/llm-call"),
        (Method::POST, "/api/jobs/{job}/llm-call-stream"),
        (Method::POST, "/api/jobs/create-and-call"),
        (Method::POST, "/api/jobs/create-and-call-stream"),
        (Method::GET, "/api/model-groups/gpt-models/resolve"),
        (Method::GET, "/api/teams/team-alpha/jobs"),
        (Method::GET, "/api/teams/team-alpha/usage"),
        (Method::POST, "/api/jobs/{job}/complete"),
        (Method::GET, "/api/credits/teams/team-alpha/balance"),
        (Method::GET, "/api/credits/teams/team-alpha/transactions"),
    ];
    let mut cases = Vec::new();
    for (method, path) in routes {
        for (authorization, detail) in [("", MISSING), ("Bearer sk-unknown", INVALID)] {
            let case = verb("no valid body", method.clone(), path);
            cases.push(case.showing(authorization).gives(401, detail));
        }
    }
    check(cases).await;
}

#[tokio::test]
async fn a_key_opens_nothing_of_another_team() {
    let other = "API key does not belong to team 'team-b'";
    let foreign = "Job does not belong to your team";
    let balance = "Cannot access credit balance for a different team";
    let transactions = "Cannot access credit transactions for a different team";
    let team = json!({ "team_id": "team-b", "job_type": "chat" });
    let done = json!({ "status": "completed" });
    let metadata = json!({ "metadata": {} });
    check(vec![
        post("create", "/api/jobs/create", team).gives(403, other),
        get("show", "/api/jobs/{foreign}").gives(403, foreign),
        get("costs", "/api/jobs/{foreign}/costs").gives(403, foreign),
        patch("metadata", "/api/jobs/{foreign}/metadata", metadata).gives(403, foreign),
        post("call", "/api/jobs/{foreign}/llm-call", prompt_body("Hi")).gives(403, foreign),
        post("complete", "/api/jobs/{foreign}/complete", done).gives(403, foreign),
        get("balance", "/api/credits/teams/team-b/balance").gives(403, balance),
        get("ledger", "/api/credits/teams/team-b/transactions").gives(403, transactions),
    ])
    .await;
}

#[tokio::test]
async fn a_refused_caller_costs_and_changes_nothing() {
    let world = World::sqlite().await;
    let proxy = world.start().await;
    let job = proxy.client(TEAM_B).create_job().await;
    let before = world.account(TEAM_B.id).await;
    proxy
        .client(ALPHA)
        .call(&job, "Hi")
        .await
        .expect_error(403, "Job does not belong to your team");
    proxy
        .client_with_key("sk-unknown")
        .call(&job, "Hi")
        .await
        .expect_error(401, INVALID);
    assert_eq!(world.upstream.count(), 0);
    assert_eq!(world.account(TEAM_B.id).await, before);
    assert!(world.calls(&job).await.is_empty());
}
