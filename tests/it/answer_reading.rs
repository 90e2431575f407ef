//! Answers of providers are read leniently: what is strange costs only itself, ends are told last,
//! and usage is what the provider counted, as far as the request makes that possible.

use serde_json::{Value, json};
use tollgate_common::job::{CallState, JobState};
use tollgate_common::provider::ProviderKind;
use tollgate_common::usage_note::UsageNote;
use tollgate_tests::door::text_of;
use tollgate_tests::fixture::{ALPHA, TEAM_B};
use tollgate_tests::{Canned, Client, Door, Proxy, World};

use crate::setup::{chat, chat_with};

const ODD: &str = "chat-odd";

/// A world whose model `chat-odd` always gives one answer.
async fn world_with(kind: ProviderKind, provider: &Canned) -> (World, Proxy, Client) {
    let world = World::sqlite().await;
    world.add_model(ODD, kind, &provider.base_url()).await;
    let proxy = world.start().await;
    let alpha = proxy.client(ALPHA);
    (world, proxy, alpha)
}

/// What a whole answer of a provider becomes for a caller of OpenAI's API.
async fn whole(kind: ProviderKind, answer: &Value) -> (World, tollgate_tests::Answer) {
    let provider = Canned::start("application/json", &answer.to_string()).await;
    let (world, _proxy, alpha) = world_with(kind, &provider).await;
    let body = chat(ODD, "hi");
    let told = alpha.post("/v1/chat/completions", &body).await;
    (world, told)
}

fn openai_answer(content: Value, reason: Value, usage: Value) -> Value {
    json!({"id": "c", "choices": [{"index": 0, "finish_reason": reason,
        "message": {"role": "assistant", "content": content}}], "usage": usage})
}

#[tokio::test]
async fn strange_members_of_a_whole_answer_do_not_lose_it() {
    let parts = json!([
        {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]},
        {"type": "text", "text": "Paris"},
    ]);
    for (content, usage) in [
        (parts, json!({"prompt_tokens": 10, "completion_tokens": 5})),
        (
            "Paris".into(),
            json!({"prompt_tokens": 10.0, "completion_tokens": "5"}),
        ),
        (
            "Paris".into(),
            json!({"prompt_tokens": 10, "completion_tokens": 5,
            "prompt_tokens_details": 7, "completion_tokens_details": []}),
        ),
        (
            "Paris".into(),
            json!({"prompt_tokens": 10, "completion_tokens": null,
            "total_tokens": 15}),
        ),
    ] {
        let answer = openai_answer(content, "stop".into(), usage.clone());
        let (world, told) = whole(ProviderKind::OpenAi, &answer).await;
        let told = told.expect(200).json;
        assert_eq!(told["choices"][0]["message"]["content"], "Paris", "{usage}");
        assert_eq!(told["usage"]["total_tokens"], 15, "{usage}");
        world.verify().await;
    }
    let answer = openai_answer("Paris".into(), Value::Null, json!("none"));
    let (_world, told) = whole(ProviderKind::OpenAi, &answer).await;
    let told = told.expect(200).json;
    assert_eq!(told["choices"][0]["message"]["content"], "Paris");
    assert!(told["usage"]["completion_tokens"].as_i64().unwrap() > 0);
}

#[tokio::test]
async fn frames_without_words_do_not_spoil_a_stream() {
    let piece = r#"{"choices":[{"index":0,"delta":{"content":"a"},"finish_reason":""}]}"#;
    let end = r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#;
    let usage = r#"{"choices":null,"usage":{"prompt_tokens":1000,"completion_tokens":1}}"#;
    for strange in [
        "",
        "null",
        r#"{"choices":null}"#,
        r#"{"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":null}}"#,
        r#"{"choices":[null,5,{}],"usage":"x"}"#,
    ] {
        let events = [strange, piece, strange, end, usage, strange, "[DONE]"];
        let provider = Canned::events(&events).await;
        let (world, _proxy, alpha) = world_with(ProviderKind::OpenAi, &provider).await;
        let job = alpha.create_job().await;
        for door in Door::ALL {
            let stream = door.ask(&alpha, &job, ODD, "hi").await;
            let events = stream.expect_stream().collect().await;
            assert_eq!(text_of(&events), "a", "{strange} {door:?}");
            assert_eq!(door.error_in(&events), Value::Null, "{strange} {door:?}");
        }
        let call = &world.calls(&job).await[0];
        assert_eq!(call.state, CallState::Succeeded);
        let is_later = strange.contains("prompt_tokens");
        assert_eq!(
            call.input_tokens,
            if is_later { 3 } else { 1_000 },
            "{strange}"
        );
        world.verify().await;
    }
}

/// Events of OpenAI's dialect with these texts and reasons.
fn pieces(pieces: &[(&str, Value)]) -> Vec<String> {
    let events = pieces.iter().map(|(text, reason)| {
        json!({"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": reason}]})
    });
    events.map(|event| event.to_string()).collect()
}

#[tokio::test]
async fn the_end_is_told_after_the_last_words() {
    let gemini = |text: &str| {
        json!({"candidates": [{"content": {"parts": [{"text": text}]}, "finishReason": "STOP"}]})
            .to_string()
    };
    let mut empty_reasons = pieces(&[("Hello ", "".into()), ("world", "".into())]);
    empty_reasons.extend(pieces(&[("", "stop".into())]));
    empty_reasons.push("[DONE]".to_owned());
    let mut always_stop = pieces(&[("Hello ", "stop".into()), ("world", "stop".into())]);
    always_stop.push("[DONE]".to_owned());
    let without_mark = pieces(&[("Hello ", Value::Null), ("world", "stop".into())]);
    for (kind, events) in [
        (ProviderKind::OpenAi, empty_reasons),
        (ProviderKind::OpenAi, always_stop),
        (ProviderKind::OpenAi, without_mark),
        (
            ProviderKind::Gemini,
            vec![gemini("Hello "), gemini("world")],
        ),
    ] {
        let events: Vec<&str> = events.iter().map(String::as_str).collect();
        let provider = Canned::events(&events).await;
        let (_world, _proxy, alpha) = world_with(kind, &provider).await;
        let job = alpha.create_job().await;
        for door in Door::ALL {
            let stream = door.ask(&alpha, &job, ODD, "hi").await;
            let told = stream.expect_stream().collect().await;
            assert_eq!(text_of(&told), "Hello world", "{door:?} {events:?}");
            assert!(door.is_ended(&told), "{door:?} {events:?}");
            let whole: Vec<String> = told.iter().map(|event| event.data().to_owned()).collect();
            let words = whole.iter().rposition(|data| data.contains("world"));
            let reasons = whole.iter().position(|data| {
                data.contains("\"finish_reason\":\"stop\"") || data.contains("\"end_turn\"")
            });
            assert!(words < reasons, "{door:?} {whole:?}");
        }
    }
}

#[tokio::test]
async fn a_stream_whose_reasons_were_empty_when_it_was_cut_is_a_failure() {
    let events = pieces(&[("Hello ", "".into()), ("wor", "".into())]);
    let events: Vec<&str> = events.iter().map(String::as_str).collect();
    let provider = Canned::events(&events).await;
    let (world, _proxy, alpha) = world_with(ProviderKind::OpenAi, &provider).await;
    for door in Door::ALL {
        let job = alpha.create_job().await;
        let before = world.jobs().await.len();
        let stream = door.ask(&alpha, &job, ODD, "hi").await;
        let told = stream.expect_stream().collect().await;
        assert_ne!(door.error_in(&told), Value::Null, "{door:?}");
        let newest = &world.jobs().await;
        let own = newest.len() > before;
        let id = if own { newest[0].id.to_string() } else { job };
        let call = &world.calls(&id).await[0];
        assert_eq!(call.state, CallState::Failed, "{door:?}");
        if own {
            assert_eq!(newest[0].state, JobState::Failed);
        }
    }
    world.verify().await;
}

#[tokio::test]
async fn words_for_a_break_are_failures_and_unknown_ones_no_good_ends() {
    let usage = json!({"prompt_tokens": 10, "completion_tokens": 5});
    for word in ["error", "insufficient_system_resource"] {
        let answer = openai_answer("half an ans".into(), word.into(), usage.clone());
        let (world, told) = whole(ProviderKind::OpenAi, &answer).await;
        assert_eq!(told.status, 503, "{word}");
        world.verify().await;
        let events = pieces(&[("half ", Value::Null), ("an ans", word.into())]);
        let events: Vec<&str> = events.iter().map(String::as_str).collect();
        let provider = Canned::events(&events).await;
        let (_world, _proxy, alpha) = world_with(ProviderKind::OpenAi, &provider).await;
        let job = alpha.create_job().await;
        let stream = Door::OpenAi.ask(&alpha, &job, ODD, "hi").await;
        let told = stream.expect_stream().collect().await;
        assert_ne!(Door::OpenAi.error_in(&told), Value::Null, "{word}");
    }
    let answer = openai_answer("x".into(), "word_of_tomorrow".into(), usage);
    let (_world, told) = whole(ProviderKind::OpenAi, &answer).await;
    let told = told.expect(200).json;
    assert_eq!(told["choices"][0]["finish_reason"], "word_of_tomorrow");
    let malformed = json!({"candidates": [{"finishReason": "MALFORMED_FUNCTION_CALL"}]});
    let (_world, told) = whole(ProviderKind::Gemini, &malformed).await;
    let told = told.expect(200).json;
    assert_eq!(told["choices"][0]["finish_reason"], "content_filter");
    let paused = json!({"type": "message", "role": "assistant", "stop_reason": "pause_turn",
        "content": [{"type": "text", "text": "x"}], "usage": {"input_tokens": 1, "output_tokens": 1}});
    let provider = Canned::start("application/json", &paused.to_string()).await;
    let (_world, _proxy, alpha) = world_with(ProviderKind::Anthropic, &provider).await;
    let told = alpha.post("/v1/chat/completions", &chat(ODD, "hi")).await;
    assert_eq!(
        told.expect(200).json["choices"][0]["finish_reason"],
        "length"
    );
    let body = chat_with(ODD, "hi", json!({"max_tokens": 100}));
    let told = alpha.post("/v1/messages", &body).await;
    assert_eq!(told.expect(200).json["stop_reason"], "pause_turn");
}

#[tokio::test]
async fn reasoning_beside_the_completion_is_charged() {
    let usage = json!({"prompt_tokens": 36, "completion_tokens": 10, "total_tokens": 736,
        "completion_tokens_details": {"reasoning_tokens": 690}});
    let answer = openai_answer("x".into(), "stop".into(), usage);
    let (_world, told) = whole(ProviderKind::OpenAi, &answer).await;
    let usage = &told.expect(200).json["usage"];
    assert_eq!(usage["completion_tokens"], 700);
    assert_eq!(usage["completion_tokens_details"]["reasoning_tokens"], 690);
    assert_eq!(usage["total_tokens"], 736);
}

#[tokio::test]
async fn counts_that_the_request_makes_impossible_are_charged_as_held() {
    for usage in [
        json!({"prompt_tokens": 900_000_000, "completion_tokens": 5}),
        json!({"prompt_tokens": 10, "completion_tokens": 500_000}),
        json!({"prompt_tokens": 1e15, "completion_tokens": 1e15, "total_tokens": 2e15}),
    ] {
        let answer = openai_answer("x".into(), "stop".into(), usage.clone());
        let provider = Canned::start("application/json", &answer.to_string()).await;
        let (world, proxy, _) = world_with(ProviderKind::OpenAi, &provider).await;
        let team = proxy.client(TEAM_B);
        let job = team.create_job().await;
        let body = chat_with(ODD, "hi", json!({"max_tokens": 20}));
        let told = team.call_with(&job, &body).await.expect(200).json;
        assert!(
            told["usage"]["total_tokens"].as_i64().unwrap() < 1_000,
            "{told}"
        );
        let call = &world.calls(&job).await[0];
        assert_eq!(call.usage_note, Some(UsageNote::Implausible), "{usage}");
        let shown = world.admin(&["job", "show", &job, "--json"]).await.stdout;
        assert!(shown.contains("\"usage_note\": \"implausible\""), "{shown}");
        // A credit is a tenth of a cent; the call held less.
        let done = team.complete(&job).await.expect(200).json;
        assert_eq!(done["costs"]["credits_remaining"], 4, "{usage}");
        world.verify().await;
    }
}

#[tokio::test]
async fn members_that_are_not_ours_reach_openais_callers() {
    let mut answer = openai_answer("here".into(), "stop".into(), Value::Null);
    answer["citations"] = json!(["https://a.example"]);
    answer["provider"] = "Secret".into();
    let image = json!({"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}});
    answer["choices"][0]["message"]["images"] = json!([image]);
    let (_world, told) = whole(ProviderKind::OpenAi, &answer).await;
    let told = told.expect(200).json;
    assert_eq!(told["citations"], json!(["https://a.example"]));
    assert_eq!(told["choices"][0]["message"]["images"], json!([image]));
    assert_eq!(told.get("provider"), None);
}
