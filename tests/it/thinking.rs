//! Thoughts that a request asks for: they are paid for like the answer, or the call is not made.

use reqwest::Method;
use serde_json::{Value, json};
use tollgate_common::command::ModelSettings;
use tollgate_common::money::PicoUsd;
use tollgate_common::price::RateCard;
use tollgate_tests::client::job_id;
use tollgate_tests::fixture::{ALPHA, PROVIDER, TOK};
use tollgate_tests::{Answer, Client, World};

use crate::setup::{COMPLETIONS, add_model, chat_with, job_of, merged, set_team, usd};

/// The alias of a model whose answers cost 100 dollars per million tokens.
const DEAR: &str = "dear";

/// Thinks 30,000 tokens, whatever the limit of its answer is.
const PROMPT: &str = "do:usage=20:30001,reasoned=30000";

/// A world whose team TOK pays a credit for a tenth of a cent.
async fn world() -> World {
    let world = World::sqlite().await;
    let settings = ModelSettings {
        price: Some(Some(RateCard::flat(
            PicoUsd(10_000_000),
            PicoUsd(100_000_000),
        ))),
        ..ModelSettings::default()
    };
    add_model(&world, DEAR, PROVIDER, "own-model", settings).await;
    set_team(&world, TOK, usd("1000")).await;
    world
}

/// Requests for thoughts without a budget.
fn switches() -> [Value; 6] {
    let switches = [
        json!({ "enable_thinking": true }),
        json!({ "chat_template_kwargs": { "enable_thinking": true } }),
        json!({ "thinking": { "type": "enabled" } }),
        json!({ "think": true }),
        json!({ "reasoning": { "enabled": true } }),
        json!({ "thinking_budget": -1 }),
    ];
    switches.map(|switch| chat_with(DEAR, PROMPT, merged(json!({ "max_tokens": 10 }), switch)))
}

/// Requests whose thoughts have a budget.
fn budgets() -> [Value; 5] {
    let budgets = [
        json!({ "enable_thinking": true, "thinking_budget": 30_000 }),
        json!({ "thinking_token_budget": 30_000 }),
        json!({ "thinking": { "type": "enabled", "budget_tokens": 30_000 } }),
        json!({ "reasoning": { "max_tokens": 30_000 } }),
        json!({ "chat_template_kwargs": { "thinking_budget": 30_000 } }),
    ];
    budgets.map(|budget| chat_with(DEAR, PROMPT, merged(json!({ "max_tokens": 10 }), budget)))
}

async fn run(world: &World, line: &str) {
    let words: Vec<&str> = line.split(' ').collect();
    let done = world.admin(&words).await;
    assert_eq!(done.code, Some(0), "{line}: {}", done.stderr);
}

/// Creates a job that may cost so many credits.
async fn job_within(client: &Client, credits: i64) -> String {
    let body = merged(client.job_body(), json!({ "max_credits": credits }));
    job_id(&client.post("/api/jobs/create", &body).await.expect(200))
}

/// Fails unless the answer is this refusal.
#[track_caller]
fn expect_refusal(answer: &Answer, status: u16, fragment: &str) {
    let text = answer.text();
    assert!(answer.status == status && text.contains(fragment), "{text}");
}

/// Asks as part of a job.
async fn ask_in(client: &Client, job: &str, body: &Value) -> Answer {
    let request = client.request(Method::POST, COMPLETIONS);
    client
        .send(request.header("x-tollgate-job-id", job).json(body))
        .await
}

#[tokio::test]
async fn thoughts_that_cannot_be_paid_are_not_asked_for() {
    let world = world().await;
    let proxy = world.start().await;
    let tok = proxy.client(TOK);
    let job = job_within(&tok, 5).await;
    for body in budgets().into_iter().chain(switches()) {
        let refused = ask_in(&tok, &job, &body).await;
        expect_refusal(&refused, 402, "max_credits");
        let refused = tok.post(COMPLETIONS, &body).await;
        expect_refusal(&refused, 402, "Insufficient credits");
    }
    let _ = tok.end(&job, "failed").await.expect(200);
    world.allocate(TOK.id, 100_000).await;
    run(&world, &format!("team set {} --budget-day 6", TOK.id)).await;
    for body in budgets().into_iter().chain(switches()) {
        let refused = tok.post(COMPLETIONS, &body).await;
        expect_refusal(&refused, 429, "Daily budget");
    }
    assert_eq!(world.upstream.count(), 0);
    assert_eq!(world.account(TOK.id).await.held.0, 0);
    world.verify().await;
}

#[tokio::test]
async fn thoughts_do_not_bring_a_job_above_what_it_may_cost() {
    let world = world().await;
    run(
        &world,
        &format!("team set {} --job-cost-max 0.02", ALPHA.id),
    )
    .await;
    let proxy = world.start().await;
    let alpha = proxy.client(ALPHA);
    for body in budgets().into_iter().chain(switches()) {
        let refused = alpha.post(COMPLETIONS, &body).await;
        expect_refusal(&refused, 402, "job_cost_max");
    }
    assert_eq!(world.upstream.count(), 0);
    world.verify().await;
}

#[tokio::test]
async fn thoughts_are_held_and_charged_beside_the_limit_of_the_answer() {
    let world = world().await;
    world.allocate(TOK.id, 100_000).await;
    let proxy = world.start().await;
    let tok = proxy.client(TOK);
    let [budgeted, ..] = budgets();
    let answer = tok.post(COMPLETIONS, &budgeted).await.expect(200);
    let sent = world.upstream.last().json();
    assert_eq!(
        (&sent["max_tokens"], &sent["thinking_budget"]),
        (&json!(10), &json!(30_000))
    );
    let job = world.job(&job_of(&answer)).await;
    assert_eq!(
        job.charged.unwrap_or_default().0,
        3_000,
        "20 tokens in, 30,001 out"
    );
    assert_eq!(world.account(TOK.id).await.owed.0, 0);
    for body in switches() {
        let _ = tok.post(COMPLETIONS, &body).await.expect(200);
        let sent = world.upstream.last().json();
        assert_eq!(sent["max_tokens"], 10);
        let has_budget = sent["thinking_budget"]
            .as_i64()
            .is_some_and(|tokens| tokens > 0);
        assert_eq!(has_budget, body["enable_thinking"] == true, "{sent}");
    }
    world.verify().await;
}

#[tokio::test]
async fn an_answer_is_shortened_for_the_sake_of_its_thoughts() {
    let world = world().await;
    let proxy = world.start().await;
    let tok = proxy.client(TOK);
    let body = chat_with(
        DEAR,
        "Hi",
        json!({ "max_tokens": 20_000, "thinking_budget": 700 }),
    );
    let answer = tok.post(COMPLETIONS, &body).await.expect(200);
    assert_eq!(answer.header("x-tollgate-limited-by"), "credits");
    let sent = world.upstream.last().json();
    assert_eq!(sent["thinking_budget"], 700);
    let limit = sent["max_tokens"].as_i64().unwrap();
    assert!(
        (100..=310).contains(&limit),
        "100 credits pay for 1,000 tokens: {limit}"
    );
    world.verify().await;
}
