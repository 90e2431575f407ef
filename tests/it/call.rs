//! Calls of a model inside a job.

use serde_json::{Value, json};
use tollgate_common::job::CallState;
use tollgate_tests::World;
use tollgate_tests::client::prompt_body;
use tollgate_tests::fixture::{ALPHA, FAST, GROUP, MINI, PROVIDER_KEY};

use crate::contract::{Case, check, post};

/// The body of a call with one more field.
fn body_with(field: &str, value: Value) -> Value {
    let mut body = prompt_body("Hi");
    body[field] = value;
    body
}

#[tokio::test]
async fn an_answer_has_the_documented_and_the_openai_form() {
    let world = World::sqlite().await;
    let proxy = world.start().await;
    let alpha = proxy.client(ALPHA);
    let job = alpha.create_job().await;
    let answer = alpha.call(&job, "Hi").await.expect(200);
    let json = &answer.json;
    let call_id = json["call_id"].as_str().unwrap();
    assert!(call_id.starts_with("call_"), "{call_id}");
    let wanted = json!({ "content": "Hello!", "role": "assistant", "finish_reason": "stop" });
    assert_eq!(json["response"], wanted);
    assert_eq!(json["metadata"]["tokens_used"], 15);
    assert!(json["metadata"]["latency_ms"].is_i64());
    assert_eq!(json["metadata"]["model"], FAST);
    assert_eq!(json["metadata"]["model_group"], FAST);

    assert_eq!(json["object"], "chat.completion");
    assert!(json["id"].is_string() && json["created"].is_i64());
    assert_eq!(json["model"], FAST);
    assert_eq!(json["choices"][0]["index"], 0);
    assert_eq!(json["choices"][0]["message"]["content"], "Hello!");
    assert_eq!(json["choices"][0]["message"]["role"], "assistant");
    assert_eq!(json["choices"][0]["finish_reason"], "stop");
    let usage = &json["usage"];
    assert_eq!(usage["prompt_tokens"], 10);
    assert_eq!(usage["completion_tokens"], 5);
    assert_eq!(usage["total_tokens"], 15);

    assert_eq!(answer.header("x-tollgate-call-id"), call_id);
    assert_eq!(answer.header("x-tollgate-job-id"), job);
    assert!(
        answer
            .header("content-type")
            .starts_with("application/json")
    );
    assert_eq!(
        answer.header("set-cookie"),
        "",
        "the provider's cookies stay away"
    );
    assert_eq!(
        answer.header("x-provider-region"),
        "",
        "the provider's headers stay away"
    );
    assert!(
        !answer.text().contains("gpt-4o"),
        "the alias is the only name"
    );
}

#[tokio::test]
async fn the_call_is_recorded_with_its_price() {
    let world = World::sqlite().await;
    let proxy = world.start().await;
    let alpha = proxy.client(ALPHA);
    let job = alpha.create_job().await;
    let answer = alpha
        .call_with(&job, &body_with("purpose", json!("greeting")))
        .await
        .expect(200);
    let calls = world.calls(&job).await;
    assert_eq!(calls.len(), 1);
    let call = &calls[0];
    assert_eq!(
        call.id.to_string(),
        answer.json["call_id"].as_str().unwrap()
    );
    assert_eq!(call.state, CallState::Succeeded);
    assert_eq!((call.input_tokens, call.output_tokens), (10, 5));
    assert_eq!((call.provider_cost.0, call.client_cost.0), (75_000, 75_000));
    assert_eq!(
        (call.alias.as_str(), call.upstream_model.as_str()),
        (FAST, "gpt-4o")
    );
    assert_eq!(call.purpose.as_deref(), Some("greeting"));
    assert!(call.price.is_some() && call.ended_at.is_some());
    let shown = &alpha.complete(&job).await.expect(200).json["calls"][0];
    assert_eq!(shown["purpose"], "greeting");
    assert_eq!(shown["tokens"], 15);
    assert_eq!(shown["model_group"], FAST);
    assert!(shown["error"].is_null());
}

#[tokio::test]
async fn a_model_is_named_by_alias_by_group_or_not_at_all() {
    let world = World::sqlite().await;
    let proxy = world.start().await;
    let alpha = proxy.client(ALPHA);
    let job = alpha.create_job().await;
    for (field, name, alias, upstream) in [
        ("model", MINI, MINI, "gpt-4o-mini"),
        ("model_group", MINI, MINI, "gpt-4o-mini"),
        ("model", GROUP, FAST, "gpt-4o"),
        ("purpose", "no model named", FAST, "gpt-4o"),
    ] {
        let body = body_with(field, json!(name));
        let answer = alpha.call_with(&job, &body).await.expect(200);
        assert_eq!(answer.json["model"], alias, "{field} {name}");
        assert_eq!(world.upstream.last().json()["model"], upstream);
    }
}

#[tokio::test]
async fn the_provider_gets_what_the_caller_gave_and_nothing_else() {
    let world = World::sqlite().await;
    let proxy = world.start().await;
    let alpha = proxy.client(ALPHA);
    let job = alpha.create_job().await;
    let given = json!({
        "temperature": 1.5, "top_p": 0.5, "frequency_penalty": -1.0, "presence_penalty": 1.0,
        "stop": ["\n6.", "END"], "max_tokens": 500,
        "response_format": { "type": "json_object" },
        "tools": [{ "type": "function", "function": { "name": "weather" } }],
        "tool_choice": "auto",
    });
    let mut body = given.clone();
    body["messages"] = json!([
        { "role": "system", "content": "Be brief" },
        { "role": "user", "content": [{ "type": "text", "text": "Hi" }] },
    ]);
    for ours in ["purpose", "model_group", "unknown"] {
        body[ours] = if ours == "model_group" {
            FAST.into()
        } else {
            "x".into()
        };
    }
    body["call_metadata"] = json!({ "turn": 1 });
    let _ = alpha.call_with(&job, &body).await.expect(200);
    let request = world.upstream.last();
    assert_eq!(request.path, "/v1/chat/completions");
    let sent = request.json();
    for (field, value) in given.as_object().unwrap() {
        assert_eq!(sent[field], *value, "{field}");
    }
    assert_eq!(sent["messages"], body["messages"]);
    for ours in ["purpose", "model_group", "unknown", "call_metadata"] {
        assert!(sent.get(ours).is_none(), "{ours} went to the provider");
    }
    let key = format!("Bearer {PROVIDER_KEY}");
    assert_eq!(request.headers["authorization"], key.as_str());
}

#[tokio::test]
async fn absent_parameters_are_not_invented() {
    let world = World::sqlite().await;
    let proxy = world.start().await;
    let alpha = proxy.client(ALPHA);
    let job = alpha.create_job().await;
    let _ = alpha.call(&job, "Hi").await.expect(200);
    let sent = world.upstream.last().json();
    let mut fields: Vec<&String> = sent.as_object().unwrap().keys().collect();
    fields.retain(|field| *field != "stream");
    fields.sort();
    assert_eq!(fields, ["messages", "model"]);
    assert_ne!(sent["stream"], true);
    let mut body = prompt_body("Hi");
    for absent in [
        "temperature",
        "max_tokens",
        "stop",
        "tools",
        "purpose",
        "model",
    ] {
        body[absent] = Value::Null;
    }
    let _ = alpha.call_with(&job, &body).await.expect(200);
    let sent = world.upstream.last().json();
    assert!(sent.get("temperature").is_none_or(Value::is_null));
}

fn call_case(field: &'static str, value: Value) -> Case {
    post(field, "/api/jobs/{job}/llm-call", body_with(field, value))
}

#[tokio::test]
async fn parameters_outside_their_range_are_refused_by_name() {
    let good = |field, value| call_case(field, value).gives(200, "");
    let bad = |field, value| call_case(field, value).gives(400, field);
    check(vec![
        good("temperature", json!(0)),
        good("temperature", json!(2.0)),
        bad("temperature", json!(2.01)),
        bad("temperature", json!(-0.1)),
        bad("temperature", json!("hot")),
        good("top_p", json!(1)),
        bad("top_p", json!(1.1)),
        bad("top_p", json!(-1)),
        good("frequency_penalty", json!(-2.0)),
        bad("frequency_penalty", json!(-2.1)),
        good("presence_penalty", json!(2)),
        bad("presence_penalty", json!(2.5)),
        good("max_tokens", json!(1)),
        bad("max_tokens", json!(0)),
        bad("max_tokens", json!(-5)),
        bad("max_tokens", json!(1.5)),
        bad("max_tokens", json!("500")),
        good("stop", json!("END")),
        good("stop", json!(["a", "b", "c", "d"])),
        bad("stop", json!(["a", "b", "c", "d", "e"])),
        bad("stop", json!([1])),
        bad("stop", json!(7)),
        bad("messages", json!("Hi")),
        bad("messages", json!([])),
        bad("messages", json!(["Hi"])),
        bad("messages", Value::Null),
        bad("tools", json!("none")),
        bad("response_format", json!(1)),
        bad("call_metadata", json!([])),
        bad("purpose", json!(1)),
        bad("model", json!(1)),
    ])
    .await;
}

#[tokio::test]
async fn models_that_a_team_was_not_granted_are_refused() {
    let alias = "Team 'team-alpha' does not have access to model alias 'chat-ungranted'";
    let group = "Team 'team-alpha' does not have access to model group 'nope'";
    let call = |model: &str, detail| call_case("model", json!(model)).gives(403, detail);
    check(vec![
        call("chat-ungranted", alias),
        call("nope", group),
        call("gpt-4o", "does not have access to model group 'gpt-4o'"),
        call("", "does not have access to model group ''"),
    ])
    .await;
}

#[tokio::test]
async fn a_tool_that_the_model_asks_for_reaches_the_caller() {
    let world = World::sqlite().await;
    let proxy = world.start().await;
    let alpha = proxy.client(ALPHA);
    let job = alpha.create_job().await;
    let answer = alpha.call(&job, "do:tools").await.expect(200).json;
    let response = &answer["response"];
    assert_eq!(response["finish_reason"], "tool_calls");
    assert_eq!(response["tool_calls"][0]["function"]["name"], "weather");
    let message = &answer["choices"][0]["message"];
    assert_eq!(message["tool_calls"], response["tool_calls"]);
}

#[tokio::test]
async fn tokens_are_counted_here_if_the_provider_does_not_tell() {
    let world = World::sqlite().await;
    let proxy = world.start().await;
    let alpha = proxy.client(ALPHA);
    let job = alpha.create_job().await;
    let answer = alpha.call(&job, "do:no-usage").await.expect(200).json;
    assert!(answer["metadata"]["tokens_used"].as_i64().unwrap() > 0);
    let calls = world.calls(&job).await;
    assert!(calls[0].usage_estimated);
    assert!(calls[0].client_cost.is_positive());
}

#[tokio::test]
async fn notes_of_a_call_join_the_jobs_metadata_only_if_it_succeeds() {
    let world = World::sqlite().await;
    let proxy = world.start().await;
    let alpha = proxy.client(ALPHA);
    let job = alpha.create_job().await;
    let _ = alpha
        .call_with(&job, &body_with("call_metadata", json!({ "turn": 1 })))
        .await
        .expect(200);
    let mut failing = prompt_body("do:status=500");
    failing["call_metadata"] = json!({ "turn": 2, "failed": true });
    let _ = alpha.call_with(&job, &failing).await.expect(503);
    assert_eq!(alpha.job(&job).await["metadata"], json!({ "turn": 1 }));
}

#[tokio::test]
async fn many_calls_in_turn_do_not_need_many_connections() {
    let world = World::sqlite().await;
    let proxy = world.start().await;
    let alpha = proxy.client(ALPHA);
    let job = alpha.create_job().await;
    for turn in 0..20 {
        let _ = alpha.call(&job, &format!("turn {turn}")).await.expect(200);
    }
    let done = alpha.complete(&job).await.expect(200).json;
    assert_eq!(done["costs"]["total_calls"], 20);
    assert_eq!(done["costs"]["total_tokens"], 300);
    assert_eq!(done["costs"]["credits_remaining"], 9);
    let connections = world.upstream.connections();
    assert!(
        connections < 5,
        "{connections} connections for 20 calls in turn"
    );
    world.verify().await;
}
