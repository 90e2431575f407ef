//! Answers that are given again without asking a provider.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tollgate_common::command::{Command, ModelSettings, TeamSettings};
use tollgate_tests::client::{heavy, prompt_body};
use tollgate_tests::fixture::{CLAUDE, EMBED, FAST, GEM, MINI, TOK, Team};
use tollgate_tests::{Answer, Client, Store, World, wait};

use crate::setup::{
    COMPLETIONS, PLENTY, add_team, chat, chat_with, expect_openai, job_of, merged, provider,
    set_model, set_team, weather_tool, world_with_plenty,
};
use crate::single::SINGLE;

/// Of the same organization as the team with plenty.
const SIBLING: Team = Team {
    id: "team-sibling",
    org: "o1",
    key: "sk-sibling-virtual-key-19",
    credits: 1_000,
};

/// Sends a body with what it wants of the cache.
async fn post(client: &Client, path: &str, body: &Value, wish: &str) -> Answer {
    let request = client.request(Method::POST, path).json(body);
    client.send(request.header("x-tollgate-cache", wish)).await
}

/// A chat, and what the header says of the cache.
async fn word(client: &Client, body: &Value, wish: &str) -> String {
    let answer = post(client, COMPLETIONS, body, wish).await.expect(200);
    answer.header("x-tollgate-cache").to_owned()
}

async fn cache_for(world: &World, team: Team, seconds: i64) {
    let settings = TeamSettings {
        cache_ttl_seconds: Some(Some(seconds)),
        ..TeamSettings::default()
    };
    set_team(world, team, settings).await;
}

fn only(answer: &Answer) -> &Value {
    &answer.json["choices"][0]["message"]
}

#[tokio::test]
async fn the_same_request_is_answered_again_without_the_provider() {
    let world = world_with_plenty().await;
    let proxy = world.start().await;
    let plenty = proxy.client(PLENTY);
    for model in [FAST, CLAUDE, GEM] {
        let body = chat(model, "do:think,usage=1000:100,say=Same as before");
        let first = post(&plenty, COMPLETIONS, &body, "on").await.expect(200);
        assert_eq!(first.header("x-tollgate-cache"), "miss");
        let count = world.upstream.count();
        let again = post(&plenty, COMPLETIONS, &body, "60").await.expect(200);
        assert_eq!(again.header("x-tollgate-cache"), "hit", "{model}");
        assert_eq!(world.upstream.count(), count);
        assert_eq!(only(&again), only(&first));
        assert_eq!(again.json["model"], model);
        assert_ne!(
            again.json["id"], first.json["id"],
            "it is a call of its own"
        );
        let call = &world.calls(&job_of(&again)).await[0];
        assert!(call.cached);
        assert_eq!((call.input_tokens, call.output_tokens), (0, 0));
        assert_eq!((call.provider_cost.0, call.client_cost.0), (0, 0));
        assert!(!world.calls(&job_of(&first)).await[0].cached);
        let job = world.job(&job_of(&again)).await;
        assert_eq!(job.charged.map(|credits| credits.0), Some(1));
    }
    let spaced = r#"{ "messages" : [ { "content":"do:think,usage=1000:100,say=Same as before",
        "role" : "\u0075ser" } ], "model": "chat-fast" }"#;
    let request = plenty.request(Method::POST, COMPLETIONS).body(spaced);
    let request = request.header("x-tollgate-cache", "on");
    let answer = plenty
        .send(request.header("content-type", "application/json"))
        .await;
    assert_eq!(answer.expect(200).header("x-tollgate-cache"), "hit");
    world.verify().await;
}

#[tokio::test]
async fn what_a_request_wishes_is_a_word_or_a_time() {
    let world = world_with_plenty().await;
    let proxy = world.start().await;
    let plenty = proxy.client(PLENTY);
    let body = chat(FAST, "Hi");
    let plain = plenty.post(COMPLETIONS, &body).await.expect(200);
    assert_eq!(plain.header("x-tollgate-cache"), "bypass");
    for bad in ["0", "-1", "yes", "2592001", "1.5", "on off"] {
        let answer = post(&plenty, COMPLETIONS, &body, bad).await;
        expect_openai(&answer, 400, "invalid_request_error", "malformed_request");
        assert!(answer.text().contains("x-tollgate-cache"), "{bad}");
    }
    for (wish, wanted) in [
        ("off", "bypass"),
        ("on", "miss"),
        ("off", "bypass"),
        ("on", "hit"),
        ("2592000", "hit"),
        ("no-store", "bypass"),
    ] {
        assert_eq!(word(&plenty, &body, wish).await, wanted, "{wish}");
    }
    assert_eq!(world.upstream.count(), 5);
}

#[tokio::test]
async fn a_team_caches_only_what_should_not_vary() {
    let world = world_with_plenty().await;
    cache_for(&world, PLENTY, 600).await;
    let proxy = world.start().await;
    let plenty = proxy.client(PLENTY);
    let ask = async |body: &Value| {
        let answer = plenty.post(COMPLETIONS, body).await.expect(200);
        answer.header("x-tollgate-cache").to_owned()
    };
    let steady = chat_with(FAST, "Hi", json!({ "temperature": 0 }));
    assert_eq!(ask(&steady).await, "miss");
    assert_eq!(ask(&steady).await, "hit");
    assert_eq!(word(&plenty, &steady, "off").await, "bypass");
    for change in [
        json!({ "temperature": 0.1 }),
        json!({ "temperature": null }),
        json!({ "tools": [weather_tool()] }),
    ] {
        let body = merged(steady.clone(), change);
        assert_eq!(ask(&body).await, "bypass", "{body}");
        assert_eq!(ask(&body).await, "bypass", "{body}");
    }
    for change in [
        json!({ "max_tokens": 7 }),
        json!({ "seed": 1 }),
        json!({ "stop": ["x"] }),
        json!({ "model": MINI }),
        json!({ "temperature": 0.0 }),
        json!({ "messages": [{ "role": "user", "content": "hi" }] }),
    ] {
        let body = merged(steady.clone(), change);
        assert_eq!(ask(&body).await, "miss", "{body}");
    }
    let vectors = json!({ "model": EMBED, "input": "Hi" });
    for wanted in ["miss", "hit"] {
        let answer = plenty.post("/v1/embeddings", &vectors).await.expect(200);
        assert_eq!(answer.header("x-tollgate-cache"), wanted);
        assert!(answer.json["data"][0]["embedding"].is_array());
    }
    let messages = merged(steady, json!({ "max_tokens": 5 }));
    for _ in 0..2 {
        let answer = plenty.post("/v1/messages", &messages).await.expect(200);
        assert_eq!(answer.header("x-tollgate-cache"), "bypass");
    }
}

#[tokio::test]
async fn the_job_api_and_v1_share_and_the_job_api_says_so() {
    let world = world_with_plenty().await;
    let proxy = world.start().await;
    let plenty = proxy.client(PLENTY);
    let body = chat(FAST, "Hi");
    assert_eq!(word(&plenty, &body, "on").await, "miss");
    let job = plenty.create_job().await;
    let path = format!("/api/jobs/{job}/llm-call");
    let answer = post(&plenty, &path, &body, "on").await.expect(200);
    assert_eq!(answer.header("x-tollgate-cache"), "hit");
    assert_eq!(answer.json["metadata"]["cached"], true);
    assert_eq!(answer.json["metadata"]["tokens_used"], 0);
    assert_eq!(answer.json["response"]["content"], "Hello!");
    let whole = merged(plenty.job_body(), body.clone());
    let answer = post(&plenty, SINGLE, &whole, "on").await.expect(200);
    assert_eq!(answer.json["metadata"]["cached"], true);
    assert_eq!(answer.json["costs"]["total_tokens"], 0);
    assert_eq!(answer.json["costs"]["credit_applied"], true);
    assert_eq!(world.upstream.count(), 1);
    let fresh = post(&plenty, &path, &body, "off").await.expect(200);
    assert!(fresh.json["metadata"].get("cached").is_none());
    let done = plenty.complete(&job).await.expect(200).json;
    assert_eq!(done["costs"]["total_calls"], 2);
    assert_eq!(done["costs"]["total_tokens"], 15);
    world.verify().await;
}

async fn a_hit_costs_the_least_that_a_job_costs(store: Store) {
    let world = World::on(store).await;
    let proxy = world.start().await;
    let tok = proxy.client(TOK);
    let body = chat(FAST, &heavy("do:usage=20000:5000", 20_000));
    assert_eq!(word(&tok, &body, "on").await, "miss");
    assert_eq!(tok.credits_remaining().await, 75);
    assert_eq!(word(&tok, &body, "on").await, "hit");
    assert_eq!(tok.credits_remaining().await, 74);
    assert_eq!(world.account(TOK.id).await.held.0, 0);
    world.verify().await;
}

#[tokio::test]
async fn a_hit_costs_the_least_that_a_job_costs_on_sqlite() {
    a_hit_costs_the_least_that_a_job_costs(Store::Sqlite).await;
}

#[tokio::test]
async fn a_hit_costs_the_least_that_a_job_costs_on_postgres() {
    a_hit_costs_the_least_that_a_job_costs(Store::Postgres).await;
}

#[tokio::test]
async fn nobody_gets_the_answer_to_another_one() {
    let world = world_with_plenty().await;
    add_team(&world, SIBLING, TeamSettings::default()).await;
    let twin = ModelSettings {
        provider: Some("openai".parse().unwrap()),
        upstream_model: Some("gpt-4o".to_owned()),
        ..ModelSettings::default()
    };
    let alias = "chat-twin".parse().unwrap();
    world
        .execute(Command::AddModel {
            alias,
            settings: twin,
        })
        .await;
    world
        .execute(tollgate_tests::fixture::grant("chat-twin"))
        .await;
    let proxy = world.start().await;
    let plenty = proxy.client(PLENTY);
    let body = chat(FAST, "Hi");
    assert_eq!(word(&plenty, &body, "on").await, "miss");
    assert_eq!(word(&proxy.client(SIBLING), &body, "on").await, "miss");
    let twin = chat("chat-twin", "Hi");
    assert_eq!(word(&plenty, &twin, "on").await, "miss");
    assert_eq!(word(&plenty, &body, "on").await, "hit");
    let group = chat(tollgate_tests::fixture::GROUP, "Hi");
    assert_eq!(
        word(&plenty, &group, "on").await,
        "hit",
        "it is the same model"
    );
    assert_eq!(world.upstream.count(), 3);
}

#[tokio::test]
async fn an_answer_is_forgotten_after_its_time() {
    let world = world_with_plenty().await;
    let proxy = world.start().await;
    let plenty = proxy.client(PLENTY);
    let body = chat(FAST, "Hi");
    assert_eq!(word(&plenty, &body, "2").await, "miss");
    assert_eq!(word(&plenty, &body, "2").await, "hit");
    wait::until_within(Duration::from_secs(20), "it is forgotten", async || {
        let heard = word(&plenty, &body, "2").await;
        (heard == "miss").then_some(())
    })
    .await;
    assert_eq!(world.upstream.count(), 2);
}

#[tokio::test]
async fn streams_and_failures_are_not_kept() {
    let world = world_with_plenty()
        .await
        .with("TOLLGATE_ROUTING_TRIES", "1");
    let proxy = world.start().await;
    let plenty = proxy.client(PLENTY);
    let body = chat(FAST, "Hi");
    assert_eq!(word(&plenty, &body, "on").await, "miss");
    let stream = merged(body, json!({ "stream": true }));
    let answer = post(&plenty, COMPLETIONS, &stream, "on").await.expect(200);
    assert_eq!(answer.header("x-tollgate-cache"), "bypass");
    assert!(answer.text().starts_with("data: "));
    for (prompt, status) in [("do:fail-first=1", 503), ("do:fail-first=1:400", 400)] {
        let body = chat(FAST, prompt);
        let failed = post(&plenty, COMPLETIONS, &body, "on").await.expect(status);
        assert_eq!(failed.header("x-tollgate-cache"), "miss");
        assert_eq!(word(&plenty, &body, "on").await, "miss");
        assert_eq!(word(&plenty, &body, "on").await, "hit");
    }
    world.verify().await;
}

#[tokio::test]
async fn what_only_the_lack_of_credits_cut_short_is_not_kept() {
    let world = world_with_plenty().await;
    let proxy = world.start().await;
    let tok = proxy.client(TOK);
    // In two calls, because each holds more than it uses.
    for tokens in [60_000, 26_000] {
        let spend = chat(FAST, &heavy(&format!("do:usage={tokens}:0"), tokens));
        let _ = tok.post(COMPLETIONS, &spend).await.expect(200);
    }
    let poor = chat(FAST, "do:length");
    for _ in 0..2 {
        assert_eq!(word(&tok, &poor, "on").await, "miss");
        let cap = world.upstream.last().json()["max_tokens"].as_i64().unwrap();
        assert!(cap < 16_384, "{cap}");
    }
    let meant = chat_with(FAST, "do:length", json!({ "max_tokens": 9 }));
    assert_eq!(word(&tok, &meant, "on").await, "miss");
    assert_eq!(word(&tok, &meant, "on").await, "hit");
}

#[tokio::test]
async fn an_alias_that_stands_for_another_model_has_no_old_answers() {
    let world = world_with_plenty().await;
    let proxy = world.start().await;
    let plenty = proxy.client(PLENTY);
    let body = merged(prompt_body("Hi"), json!({ "model": FAST }));
    assert_eq!(word(&plenty, &body, "on").await, "miss");
    let points_to = |upstream_model: &str, provider: &str| ModelSettings {
        upstream_model: Some(upstream_model.to_owned()),
        provider: Some(provider.parse().unwrap()),
        ..ModelSettings::default()
    };
    let until_miss = async |model: &str| {
        wait::until("the old answer is not given", async || {
            (word(&plenty, &body, "on").await == "miss").then_some(())
        })
        .await;
        assert_eq!(world.upstream.last().model(), model);
        assert_eq!(word(&plenty, &body, "on").await, "hit");
    };
    set_model(&world, FAST, points_to("gpt-4.1", "openai")).await;
    until_miss("gpt-4.1").await;
    set_model(&world, FAST, points_to("gpt-4.1", "anthropic")).await;
    until_miss("gpt-4.1").await;
    set_model(&world, FAST, points_to("gpt-4o", "openai")).await;
    wait::until("the alias stands for its first model", async || {
        let answer = plenty.post(COMPLETIONS, &body).await.expect(200);
        (world.upstream.last().model() == "gpt-4o").then_some(answer)
    })
    .await;
    assert_eq!(
        word(&plenty, &body, "on").await,
        "hit",
        "its answer is kept"
    );
    let moved = Command::SetProvider {
        provider: provider("openai"),
        base_url: world
            .upstream
            .base_url()
            .replace("127.0.0.1", "localhost")
            .parse()
            .unwrap(),
    };
    world.execute(moved).await;
    until_miss("gpt-4o").await;
}
