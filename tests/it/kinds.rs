//! Models of every kind of provider, through the doors of the job API and of OpenAI's.

use serde_json::{Value, json};
use tollgate_common::price::Usage;
use tollgate_tests::client::job_id;
use tollgate_tests::fixture::{CLAUDE, FAST, GEM};
use tollgate_tests::{Answer, Client};

use crate::setup::{
    COMPLETIONS, PLENTY, chat, chat_with, expect_openai, job_of, merged, weather_tool,
    world_with_plenty,
};
use crate::single::SINGLE;

const KINDS: [&str; 3] = [FAST, CLAUDE, GEM];

/// The smallest picture that is one.
const PNG: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

/// A way in for a chat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Door {
    Job,
    Single,
    Completions,
}

const DOORS: [Door; 3] = [Door::Job, Door::Single, Door::Completions];

async fn send(client: &Client, door: Door, body: &Value) -> Answer {
    match door {
        Door::Job => {
            let job = job_id(&client.create().await.expect(200));
            client.call_with(&job, body).await
        }
        Door::Single => {
            let body = merged(client.job_body(), body.clone());
            client.post(SINGLE, &body).await
        }
        Door::Completions => client.post(COMPLETIONS, body).await,
    }
}

#[tokio::test]
async fn usage_and_cost_are_exact_for_every_kind() {
    let world = world_with_plenty().await;
    let proxy = world.start().await;
    let plenty = proxy.client(PLENTY);
    let usage = |input: [i64; 3], output: [i64; 2]| Usage {
        input_uncached: input[0],
        input_cache_read: input[1],
        input_cache_write: input[2],
        output_text: output[0],
        output_reasoning: output[1],
        ..Usage::default()
    };
    for (model, words, wanted, cost) in [
        (
            FAST,
            "cached=400,reasoned=30",
            usage([600, 400, 0], [70, 30]),
            600 * 2_500 + 400 * 1_250 + 100 * 10_000,
        ),
        (
            CLAUDE,
            "cached=400,written=200",
            usage([1_000, 400, 200], [100, 0]),
            1_000 * 3_000 + 400 * 300 + 200 * 3_750 + 100 * 15_000,
        ),
        (
            GEM,
            "cached=400,reasoned=30",
            usage([600, 400, 0], [100, 30]),
            600 * 300 + 400 * 30 + 130 * 2_500,
        ),
    ] {
        let prompt = format!("do:usage=1000:100,{words}");
        for door in DOORS {
            let answer = send(&plenty, door, &chat(model, &prompt)).await.expect(200);
            let job = job_of(&answer);
            let call = &world.calls(&job).await[0];
            assert_eq!(call.usage, wanted, "{model} {door:?}");
            assert_eq!(call.provider_cost.0, cost, "{model} {door:?}");
            assert!(!call.usage_estimated);
            let told = &answer.json["usage"];
            assert_eq!(told["prompt_tokens"], wanted.input());
            assert_eq!(told["completion_tokens"], wanted.output());
            assert_eq!(told["total_tokens"], wanted.total());
            if door == Door::Completions {
                let details = &told["prompt_tokens_details"];
                assert_eq!(details["cached_tokens"], 400);
                let details = &told["completion_tokens_details"];
                assert_eq!(details["reasoning_tokens"], wanted.output_reasoning);
            }
            assert_eq!(answer.json["model"], model);
            let message = &answer.json["choices"][0]["message"];
            assert_eq!(message["content"], "Hello!");
            let costs = plenty.get(&format!("/api/jobs/{job}/costs")).await;
            let line = &costs.expect(200).json["costs"]["breakdown"][0];
            assert_eq!(line["cost_usd"], cost as f64 / 1e9);
            let cached = &line["usage"]["input_cache_read"];
            assert_eq!(*cached, wanted.input_cache_read);
        }
    }
    world.verify().await;
}

/// A tool was asked for, has answered, and another question follows.
fn round_trip(model: &str) -> Value {
    json!({
        "model": model,
        "messages": [
            { "role": "system", "content": "Be brief" },
            { "role": "user", "content": "How is the weather in Rome?" },
            { "role": "assistant", "content": null, "tool_calls": [{
                "id": "call_7", "type": "function",
                "function": { "name": "weather", "arguments": "{\"city\":\"Rome\"}" } }] },
            { "role": "tool", "tool_call_id": "call_7", "content": "sunny" },
            { "role": "user", "content": "do:tools=2" },
        ],
        "tools": [weather_tool()],
        "tool_choice": { "type": "function", "function": { "name": "weather" } },
    })
}

#[tokio::test]
async fn tools_make_their_round_trip_at_every_kind() {
    let world = world_with_plenty().await;
    let proxy = world.start().await;
    let plenty = proxy.client(PLENTY);
    for model in KINDS {
        for door in DOORS {
            let answer = send(&plenty, door, &round_trip(model)).await.expect(200);
            let choice = &answer.json["choices"][0];
            assert_eq!(choice["finish_reason"], "tool_calls", "{model} {door:?}");
            let calls = choice["message"]["tool_calls"].as_array().unwrap();
            assert_eq!(calls.len(), 2);
            let arguments = [r#"{"city":"Paris"}"#, r#"{"city":"Oslo"}"#];
            for (call, arguments) in calls.iter().zip(arguments) {
                assert_eq!(call["type"], "function");
                assert_eq!(call["function"]["name"], "weather");
                let found: Value =
                    serde_json::from_str(call["function"]["arguments"].as_str().unwrap()).unwrap();
                assert_eq!(found, serde_json::from_str::<Value>(arguments).unwrap());
            }
            assert_ne!(calls[0]["id"], calls[1]["id"]);
            assert_ne!(calls[0]["id"].as_str().unwrap_or_default(), "");
            if door != Door::Completions {
                assert_eq!(answer.json["response"]["tool_calls"], json!(calls));
            }
        }
        let sent = world.upstream.last().json();
        let schema = &weather_tool()["function"]["parameters"];
        match model {
            CLAUDE => {
                assert_eq!(sent["system"], "Be brief");
                assert_eq!(sent["tools"][0]["input_schema"], *schema);
                let choice = json!({ "type": "tool", "name": "weather" });
                assert_eq!(sent["tool_choice"], choice);
                let used = &sent["messages"][1]["content"][0];
                assert_eq!(used["input"], json!({ "city": "Rome" }));
                let result = &sent["messages"][2]["content"][0];
                assert_eq!(result["tool_use_id"], used["id"]);
                assert!(result["content"].to_string().contains("sunny"), "{result}");
            }
            GEM => {
                let text = sent.to_string();
                for part in ["functionDeclarations", "functionResponse", "sunny", "Rome"] {
                    assert!(text.contains(part), "{part}: {text}");
                }
                assert_eq!(sent["systemInstruction"]["parts"][0]["text"], "Be brief");
            }
            _ => assert_eq!(sent["messages"], round_trip(model)["messages"]),
        }
    }
}

#[tokio::test]
async fn json_by_a_schema_comes_from_every_kind() {
    let world = world_with_plenty().await;
    let proxy = world.start().await;
    let plenty = proxy.client(PLENTY);
    let schema = json!({
        "type": "object",
        "properties": { "title": { "type": "string" }, "pages": { "type": "integer" } },
        "required": ["title", "pages"],
        "additionalProperties": false,
    });
    let format = json!({ "type": "json_schema",
        "json_schema": { "name": "book", "schema": schema, "strict": true } });
    for model in KINDS {
        for door in DOORS {
            let body = chat_with(model, "do:fill", json!({ "response_format": format }));
            let answer = send(&plenty, door, &body).await.expect(200).json;
            let choice = &answer["choices"][0];
            let content = choice["message"]["content"].as_str().unwrap();
            let filled: Value = serde_json::from_str(content).unwrap();
            assert_eq!(filled, json!({ "title": "Ada", "pages": 36 }), "{model}");
            assert_eq!(choice["finish_reason"], "stop", "{model} {door:?}");
            assert!(choice["message"].get("tool_calls").is_none());
        }
    }
    let both = json!({ "response_format": format, "tools": [weather_tool()] });
    for model in [CLAUDE, GEM] {
        for door in DOORS {
            let before = world.upstream.count();
            let body = chat_with(model, "Hi", both.clone());
            let answer = send(&plenty, door, &body).await.expect(400);
            assert!(
                answer.text().contains("response_format"),
                "{}",
                answer.text()
            );
            assert_eq!(world.upstream.count(), before);
        }
    }
}

fn pictured(model: &str, url: &str) -> Value {
    json!({ "model": model, "messages": [{ "role": "user", "content": [
        { "type": "image_url", "image_url": { "url": url } },
        { "type": "text", "text": "What is this?" },
    ] }] })
}

#[tokio::test]
async fn pictures_are_shown_to_every_kind() {
    let world = world_with_plenty().await;
    let proxy = world.start().await;
    let plenty = proxy.client(PLENTY);
    for model in KINDS {
        for door in DOORS {
            let body = pictured(model, &format!("data:image/png;base64,{PNG}"));
            let _ = send(&plenty, door, &body).await.expect(200);
            let sent = world.upstream.last().json();
            let part = match model {
                CLAUDE => {
                    let source = json!({ "type": "base64", "media_type": "image/png",
                        "data": PNG });
                    assert_eq!(sent["messages"][0]["content"][0]["source"], source);
                    continue;
                }
                GEM => &sent["contents"][0]["parts"][0]["inlineData"],
                _ => {
                    assert_eq!(sent["messages"], body["messages"]);
                    continue;
                }
            };
            assert_eq!(*part, json!({ "mimeType": "image/png", "data": PNG }));
        }
    }
    let body = pictured(CLAUDE, "https://pictures.example/cat.png");
    let _ = send(&plenty, Door::Completions, &body).await.expect(200);
    let sent = world.upstream.last().json();
    let source = json!({ "type": "url", "url": "https://pictures.example/cat.png" });
    assert_eq!(sent["messages"][0]["content"][0]["source"], source);
}

#[tokio::test]
async fn what_a_provider_cannot_be_told_is_refused_by_its_name() {
    let world = world_with_plenty().await;
    let proxy = world.start().await;
    let plenty = proxy.client(PLENTY);
    for (model, change, field) in [
        (CLAUDE, json!({ "n": 2 }), "n"),
        (
            CLAUDE,
            json!({ "frequency_penalty": 1 }),
            "frequency_penalty",
        ),
        (CLAUDE, json!({ "seed": 7 }), "seed"),
        (CLAUDE, json!({ "temperature": 1.5 }), "temperature"),
        (CLAUDE, json!({ "logit_bias": { "1": 1 } }), "logit_bias"),
        (CLAUDE, json!({ "logprobs": true }), "logprobs"),
        (CLAUDE, json!({ "some_new_field": 1 }), "some_new_field"),
        (GEM, json!({ "logit_bias": { "1": 1 } }), "logit_bias"),
        (GEM, json!({ "some_new_field": 1 }), "some_new_field"),
    ] {
        let answer = plenty
            .post(COMPLETIONS, &chat_with(model, "Hi", change))
            .await;
        let kind = "invalid_request_error";
        let param = expect_openai(&answer, 400, kind, "unsupported_parameter");
        assert_eq!(param, field, "{model}");
        assert!(answer.text().contains(field), "{}", answer.text());
    }
    for door in [Door::Job, Door::Single] {
        let body = chat_with(CLAUDE, "Hi", json!({ "presence_penalty": 1 }));
        let answer = send(&plenty, door, &body).await;
        answer.expect_error(
            400,
            "presence_penalty: is not known to this model's provider",
        );
        let call = &world.calls(&job_of(&answer)).await[0];
        assert_eq!(call.error_kind.as_deref(), Some("caller_untranslatable"));
    }
    assert_eq!(world.upstream.count(), 0);
    let harmless = json!({
        "frequency_penalty": 0, "presence_penalty": 0, "n": 1, "user": "u-1",
        "logprobs": false, "metadata": { "a": "b" }, "store": false,
    });
    for model in KINDS {
        let body = chat_with(model, "Hi", harmless.clone());
        let _ = plenty.post(COMPLETIONS, &body).await.expect(200);
    }
    world.verify().await;
}

#[tokio::test]
async fn thoughts_and_endings_of_every_kind_have_one_form() {
    let world = world_with_plenty().await;
    let proxy = world.start().await;
    let plenty = proxy.client(PLENTY);
    for model in KINDS {
        let body = chat(model, "do:think,say=Yes.");
        let answer = send(&plenty, Door::Completions, &body)
            .await
            .expect(200)
            .json;
        let message = &answer["choices"][0]["message"];
        assert_eq!(message["reasoning_content"], "Let me think.", "{model}");
        assert_eq!(message["content"], "Yes.");
        for (word, reason) in [("length", "length"), ("filter", "content_filter")] {
            let body = chat(model, &format!("do:{word}"));
            let answer = send(&plenty, Door::Job, &body).await.expect(200).json;
            assert_eq!(answer["response"]["finish_reason"], reason, "{model}");
        }
    }
    let effort = json!({ "reasoning_effort": "low", "max_tokens": 8_000 });
    let body = chat_with(CLAUDE, "do:think", effort);
    let _ = send(&plenty, Door::Completions, &body).await.expect(200);
    let sent = world.upstream.last().json();
    let thinking = json!({ "type": "enabled", "budget_tokens": 2_048 });
    assert_eq!(sent["thinking"], thinking);
    assert_eq!(sent["max_tokens"], 8_000);
}

#[tokio::test]
async fn limits_and_stops_have_their_place_at_every_kind() {
    let world = world_with_plenty().await;
    let proxy = world.start().await;
    let plenty = proxy.client(PLENTY);
    let given = json!({ "max_tokens": 77, "temperature": 0.5, "stop": ["END", "\n6."] });
    for (model, tokens, stop) in [
        (FAST, "/max_tokens", "/stop"),
        (CLAUDE, "/max_tokens", "/stop_sequences"),
        (
            GEM,
            "/generationConfig/maxOutputTokens",
            "/generationConfig/stopSequences",
        ),
    ] {
        for door in DOORS {
            let body = chat_with(model, "Hi", given.clone());
            let _ = send(&plenty, door, &body).await.expect(200);
            let sent = world.upstream.last().json();
            assert_eq!(sent.pointer(tokens), Some(&json!(77)), "{model} {sent}");
            assert_eq!(sent.pointer(stop), Some(&given["stop"]), "{model} {sent}");
            let warm = sent.pointer("/temperature");
            let warm = warm.or_else(|| sent.pointer("/generationConfig/temperature"));
            assert_eq!(warm, Some(&json!(0.5)), "{model} {sent}");
        }
    }
    let _ = send(&plenty, Door::Job, &chat(CLAUDE, "Hi"))
        .await
        .expect(200);
    assert_eq!(world.upstream.last().json()["max_tokens"], 4_096);
}
