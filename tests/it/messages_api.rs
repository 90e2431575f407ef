//! The API that clients of Anthropic know, in front of every kind of provider.

use reqwest::Method;
use serde_json::{Value, json};
use tollgate_common::command::{Command, ModelSettings, TeamSettings};
use tollgate_common::job::JobState;
use tollgate_common::standing::Standing;
use tollgate_tests::fixture::{ALPHA, CLAUDE, FAST, GEM, PROVIDER, TOK, Team, UNGRANTED};
use tollgate_tests::upstream::Recorded;
use tollgate_tests::{Answer, Client, World, wait};

use crate::setup::{
    PLENTY, add_model, add_team, expect_anthropic, job_of, keys, merged, name, usd,
    world_with_plenty,
};

const MESSAGES: &str = "/v1/messages";
const KINDS: [&str; 3] = [FAST, CLAUDE, GEM];
const PNG: &str = "iVBORw0KGgo=";

fn body(model: &str, prompt: &str) -> Value {
    json!({
        "model": model, "max_tokens": 4_000,
        "messages": [{ "role": "user", "content": prompt }],
    })
}

async fn ask(client: &Client, model: &str, prompt: &str, more: Value) -> Answer {
    client
        .post(MESSAGES, &merged(body(model, prompt), more))
        .await
}

#[tokio::test]
async fn a_message_has_its_form_whoever_serves_it() {
    let world = World::sqlite().await;
    let proxy = world.start().await;
    let alpha = proxy.client(ALPHA);
    for model in KINDS {
        let answer = ask(&alpha, model, "Hi", json!({})).await.expect(200);
        let json = &answer.json;
        let fields = [
            "content",
            "id",
            "model",
            "role",
            "stop_reason",
            "stop_sequence",
            "type",
            "usage",
        ];
        assert_eq!(keys(json), fields);
        assert!(json["id"].as_str().unwrap().starts_with("msg_"));
        assert_eq!(json["type"], "message");
        assert_eq!(json["role"], "assistant");
        assert_eq!(json["model"], model);
        let text = json!([{ "type": "text", "text": "Hello!" }]);
        assert_eq!(json["content"], text);
        assert_eq!(json["stop_reason"], "end_turn");
        assert_eq!(json["stop_sequence"], Value::Null);
        let (input, output) = if model == FAST { (10, 5) } else { (25, 15) };
        let usage = json!({
            "input_tokens": input, "output_tokens": output,
            "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0,
            "cache_creation": { "ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0 },
        });
        assert_eq!(json["usage"], usage);
        assert_ne!(answer.header("request-id"), "");
        assert_eq!(answer.header("request-id"), answer.header("x-request-id"));
        let job = world.job(&job_of(&answer)).await;
        assert_eq!(
            (job.job_type.as_str(), job.state),
            ("llm-call", JobState::Completed)
        );
    }
    assert_eq!(alpha.credits_remaining().await, 7);
    let job = alpha.create_job().await;
    let request = alpha
        .request(Method::POST, MESSAGES)
        .json(&body(CLAUDE, "Hi"));
    let request = request.header("x-tollgate-job-id", &job);
    let answer = alpha.send(request).await.expect(200);
    assert_eq!(job_of(&answer), job);
    assert_eq!(alpha.job(&job).await["status"], "in_progress");
    world.verify().await;
}

/// Instructions, a picture, a tool that was used, and what else a request may say.
fn everything(model: &str) -> Value {
    let image = json!({ "type": "base64", "media_type": "image/png", "data": PNG });
    json!({
        "model": model, "max_tokens": 300, "temperature": 0.5,
        "stop_sequences": ["END", "STOP"], "metadata": { "user_id": "u-1" },
        "system": [
            { "type": "text", "text": "Be brief.", "cache_control": { "type": "ephemeral" } },
            { "type": "text", "text": "Be kind." },
        ],
        "tools": [{
            "name": "weather", "description": "Tells the weather.",
            "input_schema": {
                "type": "object", "properties": { "city": { "type": "string" } },
                "required": ["city"],
            },
        }],
        "tool_choice": { "type": "tool", "name": "weather" },
        "messages": [
            { "role": "user", "content": [
                { "type": "image", "source": image },
                { "type": "text", "text": "Where is this?" },
            ] },
            { "role": "assistant", "content": [
                { "type": "text", "text": "I shall look." },
                { "type": "tool_use", "id": "toolu_7", "name": "weather",
                  "input": { "city": "Rome" } },
            ] },
            { "role": "user", "content": [
                { "type": "tool_result", "tool_use_id": "toolu_7", "content": "sunny" },
                { "type": "text", "text": "do:tools=2" },
            ] },
        ],
    })
}

#[tokio::test]
async fn all_that_a_request_says_reaches_every_kind() {
    let world = World::sqlite().await;
    let proxy = world.start().await;
    let alpha = proxy.client(ALPHA);
    for model in KINDS {
        let answer = alpha.post(MESSAGES, &everything(model)).await.expect(200);
        let json = &answer.json;
        assert_eq!(json["stop_reason"], "tool_use", "{model}");
        let content = json["content"].as_array().unwrap();
        assert_eq!(content.len(), 2);
        for (block, city) in content.iter().zip(["Paris", "Oslo"]) {
            assert_eq!(keys(block), ["id", "input", "name", "type"]);
            assert_eq!(block["type"], "tool_use");
            assert_eq!(block["name"], "weather");
            assert_eq!(block["input"], json!({ "city": city }));
        }
        assert_ne!(content[0]["id"], content[1]["id"]);
    }
    let sent: Vec<Value> = world
        .upstream
        .requests()
        .iter()
        .map(Recorded::json)
        .collect();
    let (openai, anthropic, gemini) = (&sent[0], &sent[1], &sent[2]);
    told_to_openai(openai);
    let mut wanted = everything(CLAUDE);
    wanted["model"] = "claude-sonnet-4-5".into();
    for field in [
        "tools",
        "messages",
        "stop_sequences",
        "metadata",
        "system",
        "max_tokens",
    ] {
        assert_eq!(anthropic[field], wanted[field], "{field}");
    }
    assert_eq!(anthropic["tool_choice"]["name"], "weather");
    let config = &gemini["generationConfig"];
    assert_eq!(config["maxOutputTokens"], 300);
    assert_eq!(config["stopSequences"], json!(["END", "STOP"]));
    let instructions = gemini["systemInstruction"].to_string();
    assert!(instructions.contains("Be brief.") && instructions.contains("Be kind."));
    let image = json!({ "mimeType": "image/png", "data": PNG });
    assert_eq!(gemini["contents"][0]["parts"][0]["inlineData"], image);
    let mode = &gemini["toolConfig"]["functionCallingConfig"]["mode"];
    assert_eq!(mode, "ANY");
}

fn told_to_openai(sent: &Value) {
    let messages = sent["messages"].as_array().unwrap();
    let roles: Vec<&str> = messages
        .iter()
        .map(|m| m["role"].as_str().unwrap())
        .collect();
    assert_eq!(roles, ["system", "user", "assistant", "tool", "user"]);
    let instructions = messages[0]["content"].as_str().unwrap();
    assert!(instructions.contains("Be brief.") && instructions.contains("Be kind."));
    let url = &messages[1]["content"][0]["image_url"]["url"];
    assert_eq!(*url, format!("data:image/png;base64,{PNG}"));
    let call = &messages[2]["tool_calls"][0];
    assert_eq!(call["id"], "toolu_7");
    assert_eq!(call["function"]["arguments"], r#"{"city":"Rome"}"#);
    assert_eq!(messages[3]["tool_call_id"], "toolu_7");
    assert_eq!(messages[3]["content"], "sunny");
    assert_eq!(sent["stop"], json!(["END", "STOP"]));
    assert_eq!(sent["max_tokens"], 300);
    assert_eq!(sent["user"], "u-1");
    assert_eq!(sent["tool_choice"]["function"]["name"], "weather");
    let schema = &sent["tools"][0]["function"]["parameters"];
    assert_eq!(schema["required"], json!(["city"]));
}

#[tokio::test]
async fn thoughts_are_asked_for_and_told() {
    let world = world_with_plenty().await;
    add_model(&world, "deep", PROVIDER, "gpt-5", ModelSettings::default()).await;
    let proxy = world.start().await;
    let plenty = proxy.client(PLENTY);
    let budget = json!({ "thinking": { "type": "enabled", "budget_tokens": 2_000 } });
    for model in ["deep", CLAUDE, GEM] {
        let answer = ask(&plenty, model, "do:think", budget.clone()).await;
        let content = answer.expect(200).json["content"].clone();
        assert_eq!(content[0]["type"], "thinking", "{model}");
        assert_eq!(content[0]["thinking"], "Let me think.");
        assert!(content[0]["signature"].is_string());
        assert_eq!(content[1], json!({ "type": "text", "text": "Hello!" }));
        let sent = world.upstream.last().json();
        match model {
            CLAUDE => assert_eq!(sent["thinking"], budget["thinking"]),
            GEM => {
                let thinking = &sent["generationConfig"]["thinkingConfig"];
                assert_eq!(thinking["thinkingBudget"], 2_000);
            }
            _ => {
                assert_eq!(sent["reasoning_effort"], "low");
                assert_eq!(sent["max_completion_tokens"], 4_000);
            }
        }
        // What was thought is sent back, as the API wants it.
        let messages = json!([
            { "role": "user", "content": "Hi" },
            { "role": "assistant", "content": content },
            { "role": "user", "content": "Go on" },
        ]);
        let back = merged(budget.clone(), json!({ "messages": messages }));
        let _ = ask(&plenty, model, "", back).await.expect(200);
        if model == CLAUDE {
            let sent = world.upstream.last().json();
            assert_eq!(sent["messages"][1]["content"][0], content[0]);
        }
    }
    let refused = ask(&plenty, FAST, "Hi", budget).await;
    let message = expect_anthropic(&refused, 400, "invalid_request_error");
    assert!(message.contains("thinking"), "{message}");
}

#[tokio::test]
async fn an_ending_has_anthropics_word_for_it() {
    let world = world_with_plenty().await;
    let proxy = world.start().await;
    let plenty = proxy.client(PLENTY);
    for model in KINDS {
        for (word, reason) in [("length", "max_tokens"), ("filter", "refusal")] {
            let prompt = format!("do:{word}");
            let answer = ask(&plenty, model, &prompt, json!({})).await.expect(200);
            assert_eq!(answer.json["stop_reason"], reason, "{model} {word}");
        }
        let stops = json!({ "stop_sequences": ["END"] });
        let answer = ask(&plenty, model, "do:stopped", stops).await.expect(200);
        let told = (&answer.json["stop_reason"], &answer.json["stop_sequence"]);
        let wanted = match model {
            CLAUDE => (json!("stop_sequence"), json!("END")),
            // The others do not tell which one it was.
            _ => (json!("end_turn"), Value::Null),
        };
        assert_eq!(told, (&wanted.0, &wanted.1), "{model}");
    }
}

#[tokio::test]
async fn what_caches_saved_is_counted_apart_and_priced() {
    let by_cost = Team {
        id: "team-by-cost",
        org: "o2",
        key: "sk-by-cost-virtual-key-0a",
        credits: 1_000,
    };
    let world = World::sqlite().await;
    add_team(&world, by_cost, usd("1000")).await;
    let proxy = world.start().await;
    let client = proxy.client(by_cost);
    let prompt = "do:usage=1000:100,cached=500,written=200";
    for (model, input, written, cost) in [
        (
            CLAUDE,
            1_000,
            200,
            1_000 * 3_000 + 500 * 300 + 200 * 3_750 + 100 * 15_000,
        ),
        (FAST, 500, 0, 500 * 2_500 + 500 * 1_250 + 100 * 10_000),
        (GEM, 500, 0, 500 * 300 + 500 * 30 + 100 * 2_500),
    ] {
        let prompt = match model {
            CLAUDE => prompt.to_owned(),
            _ => prompt.replace(",written=200", ""),
        };
        let few = json!({ "max_tokens": 100 });
        let answer = ask(&client, model, &prompt, few).await.expect(200);
        let usage = json!({
            "input_tokens": input, "output_tokens": 100,
            "cache_creation_input_tokens": written, "cache_read_input_tokens": 500,
            "cache_creation": {
                "ephemeral_5m_input_tokens": written, "ephemeral_1h_input_tokens": 0,
            },
        });
        assert_eq!(answer.json["usage"], usage, "{model}");
        let call = &world.calls(&job_of(&answer)).await[0];
        assert_eq!(call.provider_cost.0, cost, "{model}");
        assert_eq!(call.usage.input_cache_write, written);
    }
    // 5.4, 2.875 and 0.415 thousandths of a dollar at 1,000 credits a dollar, each at least 1.
    assert_eq!(client.credits_remaining().await, 1_000 - 5 - 2 - 1);
    world.verify().await;
}

#[tokio::test]
async fn what_is_wrong_is_told_in_anthropics_words() {
    const INVALID: &str = "invalid_request_error";
    let world = World::sqlite()
        .await
        .with("TOLLGATE_LIMITS_CALL_BODY_BYTES", "4096");
    let proxy = world.start().await;
    let alpha = proxy.client(ALPHA);
    for (change, part) in [
        (json!({ "max_tokens": null }), "max_tokens"),
        (json!({ "max_tokens": 0 }), "max_tokens"),
        (json!({ "messages": [] }), "messages"),
        (
            json!({ "messages": [{ "role": "system", "content": "x" }] }),
            "messages[0].role",
        ),
        (json!({ "temperature": "hot" }), "temperature"),
        (json!({ "new_field": 1 }), "new_field"),
        (json!({ "stop_sequences": [1] }), "stop_sequences"),
        (json!({ "tools": [{}] }), "tools[0]"),
    ] {
        let answer = ask(&alpha, CLAUDE, "Hi", change).await;
        let message = expect_anthropic(&answer, 400, INVALID);
        assert!(message.contains(part), "{part}: {message}");
    }
    let answer = ask(&alpha, FAST, "Hi", json!({ "top_k": 5 })).await;
    assert!(expect_anthropic(&answer, 400, INVALID).contains("top_k"));
    let answer = ask(&alpha, CLAUDE, &"x".repeat(5_000), json!({})).await;
    expect_anthropic(&answer, 413, "request_too_large");
    for model in ["nope", UNGRANTED] {
        let answer = ask(&alpha, model, "Hi", json!({})).await;
        let message = expect_anthropic(&answer, 403, "permission_error");
        assert!(message.contains("does not have access"), "{message}");
    }
    let request = alpha.request(Method::POST, MESSAGES).body("{");
    let answer = alpha.send(request).await;
    expect_anthropic(&answer, 400, INVALID);
    let answer = alpha.post("/v1/messages/count_tokens", &json!({})).await;
    expect_anthropic(&answer, 404, "not_found_error");
    let answer = alpha.get(MESSAGES).await;
    expect_anthropic(&answer, 405, INVALID);
    let nobody = proxy.client_with_key("");
    let answer = ask(&nobody, CLAUDE, "Hi", json!({})).await;
    expect_anthropic(&answer, 401, "authentication_error");
    let request = nobody
        .request(Method::POST, MESSAGES)
        .json(&body(CLAUDE, "Hi"));
    let answer = nobody.send(request.header("x-api-key", ALPHA.key)).await;
    assert_eq!(answer.expect(200).json["stop_reason"], "end_turn");
    assert_eq!(world.upstream.count(), 1);
}

#[tokio::test]
async fn who_may_not_work_and_what_fails_is_told_in_anthropics_words() {
    let empty = Team {
        id: "team-empty-messages",
        org: "o1",
        key: "sk-empty-messages-virtual-key",
        credits: 0,
    };
    let world = World::sqlite()
        .await
        .with("TOLLGATE_ROUTING_BREAKER_PAUSE_MS", "1")
        .with("TOLLGATE_ROUTING_TRIES", "1");
    add_team(&world, empty, TeamSettings::default()).await;
    let proxy = world.start().await;
    let answer = ask(&proxy.client(empty), CLAUDE, "Hi", json!({})).await;
    expect_anthropic(&answer, 402, "billing_error");
    let tok = proxy.client(TOK);
    for (prompt, status, kind) in [
        ("do:status=400", 400, "invalid_request_error"),
        ("do:status=401", 503, "overloaded_error"),
        ("do:status=529", 503, "overloaded_error"),
        ("do:cut", 503, "overloaded_error"),
        ("do:status=429,retry-after=9", 429, "rate_limit_error"),
    ] {
        let answer = wait::until("the key is used again", async || {
            let before = world.upstream.count();
            let answer = ask(&tok, CLAUDE, prompt, json!({})).await;
            (world.upstream.count() > before).then_some(answer)
        })
        .await;
        let message = expect_anthropic(&answer, status, kind);
        assert!(message.starts_with("LLM call failed:"), "{message}");
        let job = world.job(&job_of(&answer)).await;
        assert_eq!(job.state, JobState::Failed);
    }
    for (standing, status, kind) in [
        (Standing::Suspended, 403, "permission_error"),
        (Standing::Paused { until: None }, 429, "rate_limit_error"),
    ] {
        let id = name(TOK.id);
        world
            .execute(Command::SetTeamStanding { id, standing })
            .await;
        let answer = wait::until("the team's standing is known", async || {
            let answer = ask(&tok, FAST, "Hi", json!({})).await;
            (answer.status == status && answer.header("x-tollgate-job-id").is_empty())
                .then_some(answer)
        })
        .await;
        expect_anthropic(&answer, status, kind);
    }
    world.verify().await;
}
