//! The API that clients of OpenAI know.

use reqwest::Method;
use serde_json::{Value, json};
use tollgate_common::command::ModelSettings;
use tollgate_common::job::JobState;
use tollgate_tests::client::prompt_body;
use tollgate_tests::fixture::{
    ALPHA, CLAUDE, EMBED, FAST, GEM, GROUP, MINI, PROVIDER, TEAM_B, TOK, UNGRANTED, UNPRICED,
};
use tollgate_tests::{Client, World, wait};

use crate::setup::{
    COMPLETIONS, PLENTY, add_model, chat, chat_with, complete, expect_openai, job_of, keys, merged,
    priced, set_model, weather_tool, world_with_plenty,
};

#[tokio::test]
async fn a_completion_has_its_form_and_a_job_of_its_own_that_is_charged() {
    let world = World::sqlite().await;
    let proxy = world.start().await;
    let alpha = proxy.client(ALPHA);
    let answer = complete(&alpha, FAST, "Hi").await.expect(200);
    let json = &answer.json;
    let fields = ["choices", "created", "id", "model", "object", "usage"];
    assert_eq!(keys(json), fields);
    assert!(json["id"].as_str().unwrap().starts_with("chatcmpl-"));
    assert_eq!(json["object"], "chat.completion");
    assert_eq!(json["model"], FAST);
    assert!(json["created"].is_i64());
    let message = json!({ "role": "assistant", "content": "Hello!" });
    let choice = json!([{ "index": 0, "message": message, "finish_reason": "stop" }]);
    assert_eq!(json["choices"], choice);
    let usage = json!({
        "prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15,
        "prompt_tokens_details": { "cached_tokens": 0 },
        "completion_tokens_details": { "reasoning_tokens": 0 },
    });
    assert_eq!(json["usage"], usage);
    assert!(answer.header("x-tollgate-call-id").starts_with("call_"));
    assert_ne!(answer.header("x-request-id"), "");

    let job = world.job(&job_of(&answer)).await;
    assert_eq!(job.job_type, "llm-call");
    assert_eq!(job.state, JobState::Completed);
    assert_eq!(alpha.credits_remaining().await, 9);
    let unnamed = alpha.post(COMPLETIONS, &prompt_body("Hi")).await;
    assert_eq!(unnamed.expect(200).json["model"], FAST, "the team's own");
    let tok = proxy.client(TOK);
    let answer = complete(&tok, FAST, "do:usage=3000:500").await.expect(200);
    assert_eq!(tok.credits_remaining().await, 97);
    assert_eq!(
        world.job(&job_of(&answer)).await.charged.map(|c| c.0),
        Some(3)
    );
    let body = chat("nope", "Hi");
    let refused = alpha.post(COMPLETIONS, &body).await;
    expect_openai(&refused, 403, "permission_error", "model_not_found");
    assert_eq!(world.jobs().await.len(), 3, "a refusal leaves no job here");
    world.verify().await;
}

async fn in_job(
    client: &Client,
    header: &'static str,
    value: &str,
    body: &Value,
) -> tollgate_tests::Answer {
    let request = client.request(Method::POST, COMPLETIONS).json(body);
    client.send(request.header(header, value)).await
}

#[tokio::test]
async fn a_call_may_name_its_job_or_the_kind_of_its_job() {
    let world = World::sqlite().await;
    let proxy = world.start().await;
    let alpha = proxy.client(ALPHA);
    let job = alpha.create_job().await;
    let ended = alpha.create_job().await;
    let _ = alpha.complete(&ended).await.expect(200);
    let foreign = proxy.client(TEAM_B).create_job().await;
    let call = async |header, value: &str| in_job(&alpha, header, value, &chat(FAST, "Hi")).await;
    for _ in 0..2 {
        let answer = call("x-tollgate-job-id", &job).await.expect(200);
        assert_eq!(job_of(&answer), job);
    }
    assert_eq!(world.calls(&job).await.len(), 2);
    assert_eq!(alpha.job(&job).await["status"], "in_progress");
    let done = alpha.complete(&job).await.expect(200).json;
    assert_eq!(done["costs"]["total_calls"], 2);

    let absent = "00000000-0000-0000-0000-000000000000";
    for (job, status, kind, code) in [
        (absent, 404, "invalid_request_error", "not_found"),
        ("no-job", 404, "invalid_request_error", "not_found"),
        (foreign.as_str(), 403, "permission_error", "forbidden"),
        (ended.as_str(), 409, "invalid_request_error", "job_ended"),
    ] {
        let answer = call("x-tollgate-job-id", job).await;
        expect_openai(&answer, status, kind, code);
    }
    let answer = call("x-tollgate-job-type", "nightly report").await;
    let typed = world.job(&job_of(&answer.expect(200))).await;
    assert_eq!(typed.job_type, "nightly report");
    for bad in [String::new(), "x".repeat(101)] {
        let answer = call("x-tollgate-job-type", &bad).await;
        expect_openai(&answer, 400, "invalid_request_error", "malformed_request");
    }
    assert_eq!(world.upstream.count(), 3);
    assert_eq!(alpha.credits_remaining().await, 7);
    world.verify().await;
}

#[tokio::test]
async fn every_known_field_travels_as_the_caller_wrote_it() {
    let world = world_with_plenty().await;
    let proxy = world.start().await;
    let plenty = proxy.client(PLENTY);
    let given = json!({
        "temperature": 0.25, "top_p": 0.5, "frequency_penalty": -1.5, "presence_penalty": 2,
        "stop": ["END"], "n": 3, "seed": 12_345_678_901_234_567_890_u64,
        "logit_bias": { "50256": -100 }, "logprobs": true, "top_logprobs": 3, "user": "u-1",
        "metadata": { "a": "b" }, "service_tier": "auto", "store": false,
        "parallel_tool_calls": false, "reasoning_effort": "low", "verbosity": "low",
        "prediction": { "type": "content", "content": "x" }, "modalities": ["text"],
        "response_format": { "type": "json_object" }, "tools": [weather_tool()],
        "tool_choice": { "type": "function", "function": { "name": "weather" } },
        "chat_template_kwargs": { "nested": [1, 2.50, { "deep": null }] },
    });
    let messages = json!([
        { "role": "developer", "content": "Be brief", "name": "boss" },
        { "role": "user", "content": [
            { "type": "text", "text": "Hi" },
            { "type": "image_url", "image_url": { "url": "https://x.example/y.png", "detail": "low" } },
        ] },
        { "role": "assistant", "content": null, "refusal": "no", "tool_calls": [
            { "id": "c1", "type": "function", "function": { "name": "weather", "arguments": "{}" } },
        ] },
        { "role": "tool", "tool_call_id": "c1", "content": "sunny" },
    ]);
    let mut body = given.clone();
    body["messages"] = messages.clone();
    body["model"] = FAST.into();
    body["top_k"] = Value::Null;
    let _ = plenty.post(COMPLETIONS, &body).await.expect(200);
    let sent = world.upstream.last().json();
    let mut wanted = given;
    wanted["messages"] = messages;
    wanted["model"] = "gpt-4o".into();
    assert_eq!(sent, wanted);

    let limited = json!({ "max_completion_tokens": 40, "max_tokens": 50 });
    let body = chat_with(FAST, "Hi", limited);
    let _ = plenty.post(COMPLETIONS, &body).await.expect(200);
    let sent = world.upstream.last().json();
    assert_eq!(keys(&sent), ["max_tokens", "messages", "model"]);
    assert_eq!(sent["max_tokens"], 40, "the newer name counts");
    let thinks = ModelSettings {
        upstream_model: Some("gpt-5-mini".to_owned()),
        ..ModelSettings::default()
    };
    set_model(&world, FAST, thinks).await;
    let body = chat_with(FAST, "Hi", json!({ "max_tokens": 50 }));
    wait::until("the model is another one", async || {
        let _ = plenty.post(COMPLETIONS, &body).await.expect(200);
        let sent = world.upstream.last().json();
        (sent["model"] == "gpt-5-mini").then(|| {
            assert_eq!(keys(&sent), ["max_completion_tokens", "messages", "model"]);
            assert_eq!(sent["max_completion_tokens"], 50);
        })
    })
    .await;
}

/// A provider that answers everything with one body.
struct Canned {
    base_url: String,
    server: tokio::task::JoinHandle<()>,
}

impl Canned {
    async fn start(body: Value) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let app = axum::Router::new().fallback(async move || axum::Json(body));
        let server = tokio::spawn(async move {
            let _ = axum::serve(listener, app).await;
        });
        Self {
            base_url: format!("http://127.0.0.1:{port}/v1"),
            server,
        }
    }
}

impl Drop for Canned {
    fn drop(&mut self) {
        self.server.abort();
    }
}

#[tokio::test]
async fn all_that_a_model_says_reaches_the_caller() {
    let logprobs = json!({ "content": [{ "token": "Hi", "logprob": -0.1, "bytes": [72],
        "top_logprobs": [] }], "refusal": null });
    let call = json!({ "id": "c", "type": "function",
        "function": { "name": "weather", "arguments": "{\"city\":\"Paris\"}" } });
    let messages = [
        json!({ "role": "assistant", "content": "Hi" }),
        json!({ "role": "assistant", "content": null, "refusal": "I will not." }),
        json!({ "role": "assistant", "content": null, "tool_calls": [call] }),
        json!({ "role": "assistant", "content": "Hi", "annotations": [{ "type": "url_citation" }],
            "audio": { "id": "a", "data": "AA==" }, "reasoning_content": "Hmm" }),
    ];
    let choices = messages.iter().enumerate().map(|(index, message)| {
        let reason = ["stop", "content_filter", "tool_calls", "length"][index];
        json!({ "index": index, "message": message, "logprobs": logprobs,
            "finish_reason": reason })
    });
    let choices: Vec<Value> = choices.collect();
    let usage = json!({
        "prompt_tokens": 100, "completion_tokens": 80, "total_tokens": 180,
        "prompt_tokens_details": { "cached_tokens": 40, "audio_tokens": 0 },
        "completion_tokens_details": { "reasoning_tokens": 30 },
    });
    let canned = Canned::start(json!({
        "id": "x", "object": "chat.completion", "created": 1, "model": "hidden-name",
        "choices": choices, "usage": usage, "system_fingerprint": "fp_hidden",
    }))
    .await;
    let world = World::sqlite().await;
    let key = world.sealing_key();
    let account = tollgate_tests::fixture::add_provider("canned", &canned.base_url, "sk-x", key);
    world.execute(account).await;
    add_model(
        &world,
        "canned",
        "canned",
        "gpt-4o",
        ModelSettings::default(),
    )
    .await;
    let proxy = world.start().await;
    let alpha = proxy.client(ALPHA);
    let body = chat_with("canned", "Hi", json!({ "n": 4 }));
    let answer = alpha.post(COMPLETIONS, &body).await.expect(200);
    assert_eq!(answer.json["choices"], json!(choices));
    assert_eq!(answer.json["usage"]["total_tokens"], 180);
    let details = &answer.json["usage"]["prompt_tokens_details"];
    assert_eq!(*details, json!({ "cached_tokens": 40 }));
    let details = &answer.json["usage"]["completion_tokens_details"];
    assert_eq!(*details, json!({ "reasoning_tokens": 30 }));
    assert!(!answer.text().contains("hidden"), "{}", answer.text());
    let call = &world.calls(&job_of(&answer)).await[0];
    let usage = call.usage;
    assert_eq!((usage.input_uncached, usage.input_cache_read), (60, 40));
    assert_eq!((usage.output_text, usage.output_reasoning), (50, 30));
    let cost = 60 * 2_500 + 40 * 1_250 + 80 * 10_000;
    assert_eq!(call.provider_cost.0, cost);
    for (bad, what) in [(0, "at least 1"), (129, "at most 128")] {
        let body = chat_with("canned", "Hi", json!({ "n": bad }));
        let refused = alpha.post(COMPLETIONS, &body).await;
        let param = expect_openai(&refused, 400, "invalid_request_error", "invalid_value");
        assert_eq!(param, "n");
        assert!(refused.text().contains(what), "{}", refused.text());
    }
}

#[tokio::test]
async fn several_answers_are_held_for_and_share_what_is_paid() {
    let world = World::sqlite().await;
    let proxy = world.start().await;
    let tok = proxy.client(TOK);
    let body = chat_with(FAST, "do:gated", json!({ "n": 3, "max_tokens": 10_000 }));
    let running = tokio::spawn({
        let tok = tok.clone();
        async move { tok.post(COMPLETIONS, &body).await }
    });
    wait::until("the provider has the call", async || {
        (world.upstream.count() == 1).then_some(())
    })
    .await;
    assert_eq!(world.account(TOK.id).await.held.0, 30);
    assert_eq!(world.upstream.last().json()["max_tokens"], 10_000);
    world.upstream.release_all();
    let _ = running.await.unwrap().expect(200);
    let body = chat_with(FAST, "Hi", json!({ "n": 100, "max_tokens": 10_000 }));
    let _ = tok.post(COMPLETIONS, &body).await.expect(200);
    let cap = world.upstream.last().json()["max_tokens"].as_i64().unwrap();
    assert!((900..1_000).contains(&cap), "99 credits for 100: {cap}");
    world.verify().await;
}

#[tokio::test]
async fn json_by_a_schema_and_calls_of_tools_come_in_openais_form() {
    let world = World::sqlite().await;
    let proxy = world.start().await;
    let alpha = proxy.client(ALPHA);
    let schema = json!({ "type": "object", "properties": { "title": { "type": "string" } } });
    let format = json!({ "type": "json_schema",
        "json_schema": { "name": "book", "schema": schema, "strict": true } });
    let body = chat_with(FAST, "do:fill", json!({ "response_format": format }));
    let answer = alpha.post(COMPLETIONS, &body).await.expect(200).json;
    let content = answer["choices"][0]["message"]["content"].as_str().unwrap();
    assert_eq!(content, r#"{"title":"Ada"}"#);
    assert_eq!(world.upstream.last().json()["response_format"], format);
    let tools = json!({ "tools": [weather_tool()] });
    let body = chat_with(FAST, "do:tools=2", tools);
    let answer = alpha.post(COMPLETIONS, &body).await.expect(200).json;
    let choice = &answer["choices"][0];
    assert_eq!(choice["finish_reason"], "tool_calls");
    assert!(choice["message"]["content"].is_null());
    let calls = choice["message"]["tool_calls"].as_array().unwrap();
    assert_eq!(calls.len(), 2);
    assert_eq!(calls[1]["function"]["name"], "weather");
    assert_eq!(calls[1]["function"]["arguments"], r#"{"city":"Oslo"}"#);
    assert_eq!(calls[1]["type"], "function");
    for (word, reason) in [("length", "length"), ("filter", "content_filter")] {
        let answer = complete(&alpha, FAST, &format!("do:{word}")).await.json;
        assert_eq!(answer["choices"][0]["finish_reason"], reason);
    }
}

#[tokio::test]
async fn only_granted_models_are_listed() {
    let world = World::sqlite().await;
    let deep = "house/deep-model:v1";
    add_model(&world, deep, PROVIDER, "gpt-4o", ModelSettings::default()).await;
    let proxy = world.start().await;
    let alpha = proxy.client(ALPHA);
    let listed = alpha.get("/v1/models").await.expect(200).json;
    assert_eq!(listed["object"], "list");
    let models = listed["data"].as_array().unwrap();
    let ids: Vec<&str> = models.iter().map(|m| m["id"].as_str().unwrap()).collect();
    assert_eq!(ids, [FAST, MINI, UNPRICED, CLAUDE, EMBED, GEM, deep]);
    for model in models {
        assert_eq!(keys(model), ["created", "id", "object", "owned_by"]);
        assert_eq!(model["object"], "model");
        let path = format!("/v1/models/{}", model["id"].as_str().unwrap());
        assert_eq!(alpha.get(&path).await.expect(200).json, *model);
    }
    let encoded = alpha.get("/v1/models/house%2Fdeep-model%3Av1").await;
    assert_eq!(encoded.expect(200).json["id"], deep);
    for absent in [UNGRANTED, "nope", "gpt-4o", GROUP] {
        let answer = alpha.get(&format!("/v1/models/{absent}")).await;
        expect_openai(&answer, 404, "invalid_request_error", "model_not_found");
    }
    let answer = proxy.client_with_key("").get("/v1/models").await;
    expect_openai(&answer, 401, "authentication_error", "invalid_api_key");
}

#[tokio::test]
async fn vectors_are_given_for_texts_and_cost_their_input() {
    const EMBEDDINGS: &str = "/v1/embeddings";
    let world = World::sqlite().await;
    set_model(&world, EMBED, priced(20, 20)).await;
    let proxy = world.start().await;
    let b = proxy.client(TEAM_B);
    for (input, count) in [
        (json!("one text"), 1),
        (json!(["a", "b"]), 2),
        (json!([1, 2, 3]), 1),
    ] {
        let body = json!({ "model": EMBED, "input": input, "dimensions": 8, "user": "u" });
        let answer = b.post(EMBEDDINGS, &body).await.expect(200);
        let json = &answer.json;
        assert_eq!(keys(json), ["data", "model", "object", "usage"]);
        assert_eq!(
            (&json["object"], &json["model"]),
            (&json!("list"), &json!(EMBED))
        );
        let vectors = json["data"].as_array().unwrap();
        assert_eq!(vectors.len(), count);
        assert_eq!(vectors[0]["embedding"].as_array().unwrap().len(), 8);
        let usage = json!({ "prompt_tokens": 8, "total_tokens": 8 });
        assert_eq!(json["usage"], usage);
        let mut sent = world.upstream.last().json();
        assert_eq!(sent["model"], "text-embedding-3-small");
        sent["model"] = EMBED.into();
        assert_eq!(sent, body, "everything else travels as it is");
        let call = &world.calls(&job_of(&answer)).await[0];
        assert_eq!(call.provider_cost.0, 8 * 20_000);
        assert_eq!((call.input_tokens, call.output_tokens), (8, 0));
    }
    let body = json!({ "model": EMBED, "input": "a", "encoding_format": "base64" });
    let answer = b.post(EMBEDDINGS, &body).await.expect(200).json;
    assert!(answer["data"][0]["embedding"].is_string());
    assert_eq!(b.credits_remaining().await, 1);
    let job = proxy.client(ALPHA).create_job().await;
    let alpha = proxy.client(ALPHA);
    let request = alpha.request(Method::POST, EMBEDDINGS).json(&body);
    let request = request.header("x-tollgate-job-id", &job);
    let _ = alpha.send(request).await.expect(200);
    assert_eq!(world.calls(&job).await.len(), 1);

    for model in [CLAUDE, GEM] {
        let body = merged(body.clone(), json!({ "model": model }));
        let refused = alpha.post(EMBEDDINGS, &body).await;
        let kind = "invalid_request_error";
        let param = expect_openai(&refused, 400, kind, "unsupported_parameter");
        assert_eq!(param, "model");
    }
    for bad in [
        json!({ "model": EMBED }),
        json!({ "model": EMBED, "input": 5 }),
    ] {
        let refused = alpha.post(EMBEDDINGS, &bad).await;
        let kind = "invalid_request_error";
        assert_eq!(expect_openai(&refused, 400, kind, "invalid_value"), "input");
    }
    let failed = json!({ "model": EMBED, "input": "do:status=400" });
    let failed = alpha.post(EMBEDDINGS, &failed).await;
    let kind = "invalid_request_error";
    expect_openai(&failed, 400, kind, "model_rejected_request");
    world.verify().await;
}
