//! Jobs of a single call: created, called and completed in one request.

use reqwest::Method;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tollgate_common::command::TeamSettings;
use tollgate_common::job::{CallState, JobState};
use tollgate_common::team::DisconnectPolicy;
use tollgate_tests::client::{heavy, prompt_body};
use tollgate_tests::fixture::{ALPHA, FAST, GROUP, TEAM_B, TOK, Team};
use tollgate_tests::{Answer, Client, Store, World, wait};

use crate::setup::{add_team, job_of, keys, merged, set_team, usd};

pub(crate) const SINGLE: &str = "/api/jobs/create-and-call";

/// Charged by cost, with plenty.
const RICH: Team = Team {
    id: "team-rich-single",
    org: "o2",
    key: "sk-rich-single-virtual-key",
    credits: 100_000,
};

/// With one credit.
const POOR: Team = Team {
    id: "team-poor-single",
    org: "o1",
    key: "sk-poor-single-virtual-key",
    credits: 1,
};

fn body(client: &Client, prompt: &str) -> Value {
    merged(client.job_body(), prompt_body(prompt))
}

async fn single(client: &Client, prompt: &str) -> Answer {
    client.post(SINGLE, &body(client, prompt)).await
}

#[tokio::test]
async fn one_request_creates_calls_completes_and_charges() {
    let world = World::sqlite().await;
    let proxy = world.start().await;
    let alpha = proxy.client(ALPHA);
    let more = json!({
        "job_metadata": { "s": 1 }, "call_metadata": { "t": 2 }, "user_id": "user-1",
        "purpose": "greeting", "model": FAST,
    });
    let body = merged(body(&alpha, "Hi"), more);
    let answer = alpha.post(SINGLE, &body).await.expect(200);
    let json = &answer.json;
    let job = json["job_id"].as_str().unwrap().to_owned();
    assert_eq!(job, job_of(&answer));
    assert_eq!(json["status"], "completed");
    let said = json!({ "content": "Hello!", "role": "assistant", "finish_reason": "stop" });
    assert_eq!(json["response"], said);
    assert_eq!(json["metadata"]["tokens_used"], 15);
    assert_eq!(json["metadata"]["model"], FAST);
    assert!(json["metadata"]["latency_ms"].is_i64());
    assert!(json["completed_at"].as_str().unwrap().ends_with('Z'));
    assert_eq!(json["choices"][0]["message"]["content"], "Hello!");
    assert_eq!(json["usage"]["total_tokens"], 15);
    let costs = &json["costs"];
    let wanted = [
        "avg_latency_ms",
        "credit_applied",
        "credits_remaining",
        "failed_calls",
        "successful_calls",
        "total_calls",
        "total_cost_usd",
        "total_tokens",
    ];
    assert_eq!(keys(costs), wanted);
    assert_eq!(costs["total_calls"], 1);
    assert_eq!(costs["successful_calls"], 1);
    assert_eq!(costs["failed_calls"], 0);
    assert_eq!(costs["total_tokens"], 15);
    assert_eq!(costs["total_cost_usd"], 7.5e-5);
    assert_eq!(costs["credit_applied"], true);
    assert_eq!(costs["credits_remaining"], 9);

    let shown = alpha.job(&job).await;
    assert_eq!(shown["status"], "completed");
    assert_eq!(shown["metadata"], json!({ "s": 1, "t": 2 }));
    assert_eq!(shown["user_id"], "user-1");
    assert_eq!(shown["credits_charged"], 1);
    assert_eq!(shown["model_groups_used"], json!([FAST]));
    assert_eq!(shown["completed_at"], json["completed_at"]);
    let done = alpha.complete(&job).await.expect(200).json;
    assert_eq!(done["costs"], *costs, "completing again tells the same");
    assert_eq!(done["calls"][0]["call_id"], json["call_id"]);
    assert_eq!(done["calls"][0]["purpose"], "greeting");
    let entry = &world.entries(ALPHA.id).await[0];
    assert_eq!(entry.kind, "deduction");
    let late = alpha.call(&job, "Hi").await;
    late.expect_error(409, "Job is already completed");
    world.verify().await;
}

#[tokio::test]
async fn each_budget_mode_charges_what_the_call_used() {
    let world = World::sqlite().await;
    add_team(&world, RICH, usd("1000")).await;
    let proxy = world.start().await;
    for (team, prompt, charged) in [
        (ALPHA, "do:usage=5000:5000", 1),
        (TOK, "do:usage=2000:500", 2),
        (TOK, "do:usage=10:5", 1),
        (TEAM_B, "do:usage=400:200", 3),
        (RICH, &heavy("do:usage=1000000:0", 1_000_000), 2_500),
    ] {
        let client = proxy.client(team);
        let before = client.credits_remaining().await;
        let answer = single(&client, prompt).await.expect(200);
        let costs = &answer.json["costs"];
        assert_eq!(costs["credit_applied"], true, "{prompt}");
        let after = before - charged;
        assert_eq!(costs["credits_remaining"], after, "{} {prompt}", team.id);
        assert_eq!(client.credits_remaining().await, after);
        assert_eq!(world.account(team.id).await.held.0, 0);
        let job = client.job(&job_of(&answer)).await;
        assert_eq!(job["credits_charged"], charged);
    }
    world.verify().await;
}

#[tokio::test]
async fn what_cannot_begin_leaves_no_job_but_an_unknown_model_a_failed_one() {
    let world = World::sqlite().await;
    let proxy = world.start().await;
    let alpha = proxy.client(ALPHA);
    let other = merged(body(&alpha, "Hi"), json!({ "team_id": TEAM_B.id }));
    let answer = alpha.post(SINGLE, &other).await;
    answer.expect_error(403, "API key does not belong to team 'team-b'");
    for (change, field) in [
        (json!({ "job_type": null }), "job_type"),
        (json!({ "messages": [] }), "messages"),
        (json!({ "temperature": 3 }), "temperature"),
        (json!({ "job_metadata": [] }), "job_metadata"),
        (
            json!({ "job_metadata": { "x": "y".repeat(20_000) } }),
            "job_metadata",
        ),
        (json!({ "max_credits": 0 }), "max_credits"),
    ] {
        let wrong = merged(body(&alpha, "Hi"), change);
        alpha.post(SINGLE, &wrong).await.expect_error(400, field);
    }
    assert_eq!(world.jobs().await.len(), 0);

    let why = "Team 'team-alpha' does not have access to model group 'nope'";
    let unknown = merged(body(&alpha, "Hi"), json!({ "model": "nope" }));
    alpha.post(SINGLE, &unknown).await.expect_error(403, why);
    let path = "/api/teams/team-alpha/jobs?status=failed";
    let listed = alpha.get(path).await.expect(200).json;
    assert_eq!(listed["total"], 1);
    assert_eq!(listed["jobs"][0]["error_message"], why);
    assert_eq!(listed["jobs"][0]["job_type"], "chat");
    assert_eq!(listed["jobs"][0]["credit_applied"], false);
    assert_eq!(world.upstream.count(), 0);
    assert_eq!(alpha.credits_remaining().await, 10);
    assert_eq!(world.account(ALPHA.id).await.held.0, 0);
    world.verify().await;
}

#[tokio::test]
async fn a_failure_of_the_provider_fails_the_job_and_charges_nothing() {
    let world = World::sqlite().await.with("TOLLGATE_ROUTING_TRIES", "1");
    let proxy = world.start().await;
    for (team, prompt, status) in [
        (ALPHA, "do:status=400", 400),
        (TOK, "do:status=503", 503),
        (TEAM_B, "do:cut", 503),
    ] {
        let client = proxy.client(team);
        let answer = single(&client, prompt).await;
        answer.expect_error(status, "LLM call failed:");
        let id = job_of(&answer);
        let job = client.job(&id).await;
        assert_eq!(job["status"], "failed");
        assert_eq!(job["error_message"], answer.detail());
        assert_eq!(job["credit_applied"], false);
        assert_eq!(world.calls(&id).await[0].state, CallState::Failed);
        let done = client.complete(&id).await.expect(200).json;
        assert_eq!(done["status"], "failed");
        assert_eq!(done["costs"]["credit_applied"], false);
        assert_eq!(client.credits_remaining().await, team.credits);
        assert_eq!(world.account(team.id).await.held.0, 0);
    }
    world.verify().await;
}

#[tokio::test]
async fn without_credits_there_is_no_job() {
    let world = World::sqlite().await;
    add_team(&world, POOR, TeamSettings::default()).await;
    let proxy = world.start().await;
    let poor = proxy.client(POOR);
    let _ = single(&poor, "Hi").await.expect(200);
    let refused = single(&poor, "Hi").await;
    let why = "Insufficient credits. Team has 0 credits remaining, but 1 required.";
    refused.expect_error(403, why);
    assert_eq!(refused.header("x-tollgate-job-id"), "");
    assert_eq!(world.jobs().await.len(), 1);
    assert_eq!(world.upstream.count(), 1);
    world.verify().await;
}

async fn one_credit_pays_for_one_of_fifty(store: Store, proxies: usize) {
    let world = World::on(store).await;
    add_team(&world, POOR, TeamSettings::default()).await;
    let mut started = Vec::new();
    for _ in 0..proxies {
        started.push(world.start().await);
    }
    let mut running = JoinSet::new();
    for index in 0..50 {
        let client = started[index % proxies].client(POOR);
        running.spawn(async move { single(&client, "Hi").await });
    }
    let answers = running.join_all().await;
    let (paid, refused): (Vec<_>, Vec<_>) = answers.iter().partition(|a| a.status == 200);
    assert_eq!(paid.len(), 1);
    for answer in refused {
        answer.expect_error(403, "Insufficient credits.");
    }
    assert_eq!(world.upstream.count(), 1);
    let account = world.account(POOR.id).await;
    assert_eq!((account.balance.0, account.held.0), (0, 0));
    let jobs = world.jobs().await;
    assert_eq!(jobs.len(), 1);
    assert_eq!(jobs[0].state, JobState::Completed);
    world.verify().await;
}

#[tokio::test]
async fn one_credit_pays_for_one_of_fifty_on_sqlite() {
    one_credit_pays_for_one_of_fifty(Store::Sqlite, 1).await;
}

#[tokio::test]
async fn one_credit_pays_for_one_of_fifty_on_two_proxies() {
    one_credit_pays_for_one_of_fifty(Store::Postgres, 2).await;
}

#[tokio::test]
async fn the_same_request_is_done_once_and_answered_alike() {
    let world = World::sqlite().await.with("TOLLGATE_ROUTING_TRIES", "1");
    let proxy = world.start().await;
    let alpha = proxy.client(ALPHA);
    let gated = body(&alpha, "do:gated");
    let running = tokio::spawn({
        let (alpha, gated) = (alpha.clone(), gated.clone());
        async move { alpha.post_once(SINGLE, &gated, "k").await }
    });
    wait::until("the provider has the call", async || {
        (world.upstream.count() == 1).then_some(())
    })
    .await;
    for _ in 0..5 {
        let early = alpha.post_once(SINGLE, &gated, "k").await;
        early.expect_error(409, "still running");
        assert!(early.retry_after().is_some());
    }
    world.upstream.release_all();
    let first = running.await.unwrap().expect(200);
    assert_eq!(first.json["costs"]["credits_remaining"], 9);
    let _ = single(&alpha, "something else").await.expect(200);
    for _ in 0..2 {
        let again = alpha.post_once(SINGLE, &gated, "k").await.expect(200);
        assert_eq!(again.bytes, first.bytes);
        assert_eq!(again.header("idempotent-replayed"), "true");
        assert_eq!(job_of(&again), job_of(&first));
    }
    let other = alpha
        .post_once(SINGLE, &body(&alpha, "do:gated other"), "k")
        .await;
    other.expect_error(409, "Idempotency-Key was used before");
    assert_eq!((world.upstream.count(), world.jobs().await.len()), (2, 2));

    let failing = body(&alpha, "do:fail-first=1");
    let failed = alpha.post_once(SINGLE, &failing, "f").await.expect(503);
    let done = alpha.post_once(SINGLE, &failing, "f").await.expect(200);
    assert_ne!(job_of(&failed), job_of(&done), "it is tried as a job anew");
    assert_eq!(alpha.credits_remaining().await, 7);
    world.verify().await;
}

#[tokio::test]
async fn many_at_once_with_one_key_cost_one_job() {
    let world = World::sqlite().await;
    let proxy = world.start().await;
    let alpha = proxy.client(ALPHA);
    let mut running = JoinSet::new();
    for _ in 0..20 {
        let alpha = alpha.clone();
        running.spawn(async move {
            let patience = wait::Patience::new("the first of them is answered");
            loop {
                let answer = alpha.post_once(SINGLE, &body(&alpha, "Hi"), "same").await;
                if answer.status != 409 {
                    return answer.expect(200).bytes;
                }
                patience.pause().await;
            }
        });
    }
    let mut answers = running.join_all().await;
    answers.dedup();
    assert_eq!(answers.len(), 1);
    assert_eq!((world.upstream.count(), world.jobs().await.len()), (1, 1));
    assert_eq!(alpha.credits_remaining().await, 9);
    world.verify().await;
}

#[tokio::test]
async fn a_job_that_its_process_did_not_survive_is_failed_and_may_be_sent_again() {
    let world = World::sqlite().await;
    let mut proxy = world.start().await;
    let tok = proxy.client(TOK);
    let gated = body(&tok, "do:gated");
    let stuck = tokio::spawn({
        let (tok, gated) = (tok.clone(), gated.clone());
        async move {
            let request = tok.request(Method::POST, SINGLE).json(&gated);
            let request = request.header("idempotency-key", "k");
            tok.try_send(request).await.is_err()
        }
    });
    wait::until("the provider has the call", async || {
        (world.upstream.count() == 1).then_some(())
    })
    .await;
    let job = world.jobs().await[0].id.to_string();
    assert!(world.account(TOK.id).await.held.0 > 1);
    proxy.kill();
    assert!(stuck.await.unwrap());
    proxy.restart().await;
    wait::until("the job is closed", async || {
        (world.job(&job).await.state == JobState::Failed).then_some(())
    })
    .await;
    assert_eq!(world.calls(&job).await[0].state, CallState::Interrupted);
    assert_eq!(world.account(TOK.id).await.held.0, 0);
    let shown = tok.job(&job).await;
    assert!(shown["error_message"].is_string(), "{shown}");
    world.verify().await;

    world.upstream.release_all();
    let done = tok.post_once(SINGLE, &gated, "k").await.expect(200);
    assert_ne!(job_of(&done), job);
    assert_eq!(tok.credits_remaining().await, 99);
    world.verify().await;
}

#[tokio::test]
async fn a_jobs_own_limit_shortens_the_answer_or_refuses_the_call() {
    let world = World::sqlite().await;
    let proxy = world.start().await;
    let tok = proxy.client(TOK);
    let limited = |prompt: &str| merged(body(&tok, prompt), json!({ "max_credits": 2 }));
    let answer = tok.post(SINGLE, &limited("Hi")).await.expect(200);
    assert_eq!(answer.json["costs"]["credits_remaining"], 99);
    let cap = world.upstream.last().json()["max_tokens"].as_i64().unwrap();
    assert!((2_900..3_000).contains(&cap), "{cap}");
    let long = "word ".repeat(4_000);
    let refused = tok.post(SINGLE, &limited(&long)).await;
    refused.expect_error(403, "max_credits 2");
    assert_eq!((world.upstream.count(), world.jobs().await.len()), (1, 1));
    world.verify().await;
}

#[tokio::test]
async fn a_group_names_the_model_that_answers_first() {
    let world = World::sqlite().await;
    let proxy = world.start().await;
    let alpha = proxy.client(ALPHA);
    let body = merged(body(&alpha, "Hi"), json!({ "model_group": GROUP }));
    let answer = alpha.post(SINGLE, &body).await.expect(200).json;
    assert_eq!(answer["metadata"]["model"], FAST);
    assert_eq!(answer["metadata"]["model_group"], GROUP);
    let list = alpha.get("/api/teams/team-alpha/jobs").await.expect(200);
    assert_eq!(list.json["jobs"][0]["model_groups_used"], json!([GROUP]));
}

/// Begins a job of a single call and leaves once the provider has it. Returns the job.
async fn begin_and_leave(world: &World, client: &Client) -> String {
    let before = (world.upstream.count(), world.jobs().await.len());
    let leaving = tokio::spawn({
        let client = client.clone();
        async move { single(&client, "do:gated").await }
    });
    wait::until("the provider has the call", async || {
        (world.upstream.count() > before.0).then_some(())
    })
    .await;
    leaving.abort();
    let jobs = world.jobs().await;
    assert_eq!(jobs.len(), before.1 + 1);
    jobs[0].id.to_string()
}

#[tokio::test]
async fn what_a_caller_left_is_finished_or_ended_as_its_team_wants() {
    let world = World::sqlite().await;
    let settings = TeamSettings {
        disconnect: Some(DisconnectPolicy::Cancel),
        ..TeamSettings::default()
    };
    set_team(&world, TOK, settings).await;
    let proxy = world.start().await;
    let (alpha, tok) = (proxy.client(ALPHA), proxy.client(TOK));
    let drained = begin_and_leave(&world, &alpha).await;
    world.upstream.release();
    wait::until("the job is completed", async || {
        (world.job(&drained).await.state == JobState::Completed).then_some(())
    })
    .await;
    assert_eq!(world.upstream.aborted(), 0);
    assert_eq!(alpha.credits_remaining().await, 9);

    let left = begin_and_leave(&world, &tok).await;
    wait::until("the job has ended", async || {
        (!world.job(&left).await.state.is_open()).then_some(())
    })
    .await;
    wait::until("the provider is left alone", async || {
        (world.upstream.aborted() == 1).then_some(())
    })
    .await;
    let call = &world.calls(&left).await[0];
    assert_eq!(call.error_kind.as_deref(), Some("caller_gone"));
    // Nobody knows what was made in silence: it is taken for the longest answer asked for.
    let sent = world.upstream.last().json();
    let limit = sent["max_tokens"].as_i64();
    let limit = limit.or_else(|| sent["max_completion_tokens"].as_i64());
    assert_eq!(
        (call.usage_estimated, Some(call.output_tokens)),
        (true, limit),
        "{call:?}"
    );
    assert_eq!(world.account(TOK.id).await.held.0, 0);
    world.verify().await;
}
