//! How much teams and keys may ask for at once and per minute.

use serde_json::{Value, json};
use tokio::task::JoinSet;
use tollgate_common::command::{Command, KeySettings, TeamSettings};
use tollgate_common::limit::LimitSettings;
use tollgate_tests::client::prompt_body;
use tollgate_tests::fixture::{CLAUDE, EMBED, FAST, Team, import_key};
use tollgate_tests::{Answer, Client, World, wait};

use crate::setup::{
    COMPLETIONS, PLENTY, add_team, chat, chat_with, complete, expect_anthropic, expect_openai,
    merged, set_team, world_with_plenty,
};
use crate::single::SINGLE;

/// Another key of the same team.
const SECOND_KEY: &str = "sk-plenty-second-key-71c2";

fn limits(
    requests: Option<i64>,
    tokens: Option<i64>,
    parallel_calls: Option<i64>,
) -> LimitSettings {
    LimitSettings {
        requests_per_minute: Some(requests),
        tokens_per_minute: Some(tokens),
        parallel_calls: Some(parallel_calls),
    }
}

async fn limit_team(world: &World, team: Team, limits: LimitSettings) {
    let settings = TeamSettings {
        limits,
        ..TeamSettings::default()
    };
    set_team(world, team, settings).await;
}

async fn limit_key(world: &World, key: &str, limits: LimitSettings) {
    let id = tollgate_tests::fixture::key_id(key);
    let settings = KeySettings {
        limits,
        ..KeySettings::default()
    };
    world.execute(Command::SetKey { id, settings }).await;
}

/// Asks until the header says this limit, and returns that answer.
async fn until_limit(client: &Client, header: &str, limit: &str) -> Answer {
    wait::until("the limit is known", async || {
        let answer = complete(client, FAST, "Hi").await;
        (answer.header(header) == limit).then_some(answer)
    })
    .await
}

/// What every refusal has.
#[track_caller]
fn refused(answer: &Answer) {
    assert_eq!(answer.status, 429, "{}", answer.text());
    assert!(answer.text().contains("Rate limit exceeded"));
    let seconds = answer.retry_after().unwrap_or_default();
    assert!((1..=60).contains(&seconds), "{seconds}");
    assert_eq!(answer.header("x-tollgate-job-id"), "");
}

#[tokio::test]
async fn the_sixty_first_of_sixty_in_a_minute_has_to_wait() {
    let world = world_with_plenty().await;
    limit_team(&world, PLENTY, limits(Some(60), None, None)).await;
    let proxy = world.start().await;
    let plenty = proxy.client(PLENTY);
    let job = plenty.create_job().await;
    for left in (0..60).rev() {
        let answer = plenty.call(&job, "Hi").await.expect(200);
        assert_eq!(answer.header("x-ratelimit-limit-requests"), "60");
        let remaining = answer.header("x-ratelimit-remaining-requests");
        assert_eq!(remaining, left.to_string());
        assert_ne!(answer.header("x-ratelimit-reset-requests"), "");
        assert_eq!(answer.header("x-ratelimit-limit-tokens"), "");
    }
    let before = (world.upstream.count(), world.jobs().await.len());
    let late = plenty.call(&job, "Hi").await;
    refused(&late);
    assert_eq!(late.detail(), "Rate limit exceeded");
    assert_eq!(late.header("x-ratelimit-remaining-requests"), "0");
    assert_eq!(late.header("x-ratelimit-limit-requests"), "60");

    let single = merged(plenty.job_body(), prompt_body("Hi"));
    let unknown = merged(single.clone(), json!({ "model": "nope" }));
    for body in [single, unknown] {
        refused(&plenty.post(SINGLE, &body).await);
    }
    let late = complete(&plenty, FAST, "Hi").await;
    refused(&late);
    expect_openai(&late, 429, "rate_limit_error", "rate_limit_exceeded");
    let body = merged(chat(CLAUDE, "Hi"), json!({ "max_tokens": 5 }));
    let late = plenty.post("/v1/messages", &body).await;
    refused(&late);
    expect_anthropic(&late, 429, "rate_limit_error");
    let body = json!({ "model": EMBED, "input": "Hi" });
    refused(&plenty.post("/v1/embeddings", &body).await);

    let after = (world.upstream.count(), world.jobs().await.len());
    assert_eq!(before, after, "a refused call leaves nothing behind");
    assert_eq!(world.calls(&job).await.len(), 60);
    assert_eq!(world.account(PLENTY.id).await.held.0, 1);
    let _ = plenty.complete(&job).await.expect(200);
    let _ = plenty.get("/v1/models").await.expect(200);
    world.verify().await;
}

#[tokio::test]
async fn the_limits_of_a_key_and_of_its_team_both_count() {
    let world = world_with_plenty().await;
    world.execute(import_key(PLENTY.id, SECOND_KEY)).await;
    limit_team(&world, PLENTY, limits(Some(5), None, None)).await;
    limit_key(&world, PLENTY.key, limits(Some(2), None, None)).await;
    let proxy = world.start().await;
    let (first, second) = (proxy.client(PLENTY), proxy.client_with_key(SECOND_KEY));
    for _ in 0..2 {
        let answer = complete(&first, FAST, "Hi").await.expect(200);
        assert_eq!(answer.header("x-ratelimit-limit-requests"), "2");
    }
    refused(&complete(&first, FAST, "Hi").await);
    for left in ["2", "1", "0"] {
        let answer = complete(&second, FAST, "Hi").await.expect(200);
        assert_eq!(answer.header("x-ratelimit-limit-requests"), "5");
        assert_eq!(answer.header("x-ratelimit-remaining-requests"), left);
    }
    refused(&complete(&second, FAST, "Hi").await);
    let other = proxy.client(tollgate_tests::fixture::TOK);
    let free = complete(&other, FAST, "Hi").await.expect(200);
    assert_eq!(free.header("x-ratelimit-limit-requests"), "");
}

#[tokio::test]
async fn an_administrators_change_counts_at_once() {
    let world = world_with_plenty().await;
    let proxy = world.start().await;
    let plenty = proxy.client(PLENTY);
    let free = complete(&plenty, FAST, "Hi").await.expect(200);
    assert_eq!(free.header("x-ratelimit-limit-requests"), "");
    limit_team(&world, PLENTY, limits(Some(1), None, None)).await;
    let header = "x-ratelimit-limit-requests";
    let first = until_limit(&plenty, header, "1").await;
    assert_eq!(first.status, 200);
    refused(&complete(&plenty, FAST, "Hi").await);
    limit_team(&world, PLENTY, limits(Some(1_000), None, None)).await;
    let more = until_limit(&plenty, header, "1000").await;
    assert_eq!(more.status, 200);
    limit_team(&world, PLENTY, limits(None, None, None)).await;
    let _ = until_limit(&plenty, header, "").await.expect(200);
}

fn remaining_tokens(answer: &Answer) -> i64 {
    let text = answer.header("x-ratelimit-remaining-tokens");
    text.parse().expect("a number of tokens")
}

#[tokio::test]
async fn tokens_are_held_by_an_estimate_and_reconciled() {
    let world = world_with_plenty().await;
    limit_team(&world, PLENTY, limits(None, Some(10_000), None)).await;
    let proxy = world.start().await;
    let plenty = proxy.client(PLENTY);
    let few = |prompt: &str, max_tokens: i64| {
        chat_with(FAST, prompt, json!({ "max_tokens": max_tokens }))
    };
    let ask = async |body: &Value| plenty.post(COMPLETIONS, body).await;
    let first = ask(&few("do:usage=100:50", 1_000)).await.expect(200);
    assert_eq!(first.header("x-ratelimit-limit-tokens"), "10000");
    let left = remaining_tokens(&first);
    assert!(
        (8_900..9_000).contains(&left),
        "the estimate is held: {left}"
    );
    let second = ask(&few("do:usage=3850:0", 1)).await.expect(200);
    let left = remaining_tokens(&second);
    assert!((9_750..9_850).contains(&left), "150 were used: {left}");
    let third = ask(&few("do:usage=5900:0", 1)).await.expect(200);
    let left = remaining_tokens(&third);
    assert!((5_900..6_000).contains(&left), "4,000 were used: {left}");
    let late = ask(&few("Hi", 1_000)).await;
    refused(&late);
    assert_eq!(late.header("x-ratelimit-remaining-tokens"), "100");
    assert_ne!(late.header("x-ratelimit-reset-tokens"), "");
    let small = ask(&few("do:status=400", 1)).await;
    assert_eq!(small.status, 400, "100 are left");
    let small = ask(&few("Hi", 1)).await.expect(200);
    assert!(remaining_tokens(&small) > 0, "a failed call used none");
    world.verify().await;
}

#[tokio::test]
async fn vectors_take_no_more_tokens_than_their_texts() {
    let world = world_with_plenty().await;
    limit_team(&world, PLENTY, limits(None, Some(1_000), None)).await;
    let proxy = world.start().await;
    let plenty = proxy.client(PLENTY);
    let body = json!({ "model": EMBED, "input": ["one", "two"] });
    for used in 0..3 {
        let answer = plenty.post("/v1/embeddings", &body).await.expect(200);
        let left = remaining_tokens(&answer);
        assert!(left > 900 && left < 1_000 - 8 * used, "{left}");
    }
}

#[tokio::test]
async fn only_so_many_calls_are_under_way_at_once() {
    let world = world_with_plenty().await;
    limit_team(&world, PLENTY, limits(None, None, Some(2))).await;
    let other = Team {
        id: "team-beside",
        org: "o1",
        key: "sk-beside-virtual-key-77",
        credits: 10,
    };
    add_team(&world, other, TeamSettings::default()).await;
    let proxy = world.start().await;
    let plenty = proxy.client(PLENTY);
    let running: Vec<_> = (0..2)
        .map(|number| {
            let plenty = plenty.clone();
            let prompt = format!("do:gated {number}");
            tokio::spawn(async move { complete(&plenty, FAST, &prompt).await })
        })
        .collect();
    wait::until("both are under way", async || {
        (world.upstream.count() == 2).then_some(())
    })
    .await;
    for _ in 0..3 {
        let third = complete(&plenty, FAST, "Hi").await;
        refused(&third);
        assert_eq!(third.retry_after(), Some(1));
    }
    let _ = complete(&proxy.client(other), FAST, "Hi").await.expect(200);
    world.upstream.release_all();
    for call in running {
        let _ = call.await.unwrap().expect(200);
    }
    for prompt in ["do:status=400", "Hi", "Hi"] {
        let answer = complete(&plenty, FAST, prompt).await;
        assert_ne!(answer.status, 429, "those that ended made room");
    }
    assert_eq!(world.account(PLENTY.id).await.held.0, 0);
    world.verify().await;
}

#[tokio::test]
async fn many_at_once_get_no_more_than_the_limit() {
    let world = world_with_plenty().await;
    limit_team(&world, PLENTY, limits(Some(10), None, None)).await;
    let proxy = world.start().await;
    let mut running = JoinSet::new();
    for _ in 0..60 {
        let plenty = proxy.client(PLENTY);
        running.spawn(async move { complete(&plenty, FAST, "Hi").await });
    }
    let answers = running.join_all().await;
    let (served, late): (Vec<_>, Vec<_>) = answers.iter().partition(|a| a.status == 200);
    assert_eq!((served.len(), late.len()), (10, 50));
    for answer in late {
        refused(answer);
    }
    assert_eq!((world.upstream.count(), world.jobs().await.len()), (10, 10));
    world.verify().await;
}

#[tokio::test]
async fn tokens_of_a_call_under_way_are_not_there_for_another() {
    let world = world_with_plenty().await;
    limit_team(&world, PLENTY, limits(None, Some(10_000), None)).await;
    let proxy = world.start().await;
    let plenty = proxy.client(PLENTY);
    let half = |prompt: &str| chat_with(FAST, prompt, json!({ "max_tokens": 6_000 }));
    let running = tokio::spawn({
        let (plenty, body) = (plenty.clone(), half("do:gated"));
        async move { plenty.post(COMPLETIONS, &body).await }
    });
    wait::until("the provider has the call", async || {
        (world.upstream.count() == 1).then_some(())
    })
    .await;
    refused(&plenty.post(COMPLETIONS, &half("Hi")).await);
    world.upstream.release_all();
    let _ = running.await.unwrap().expect(200);
    let _ = plenty.post(COMPLETIONS, &half("Hi")).await.expect(200);
    assert_eq!(world.upstream.count(), 2);
}
