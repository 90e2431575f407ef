//! However a provider's stream travels, its callers read the same.

use serde_json::{Value, json};
use tollgate_common::provider::ProviderKind;
use tollgate_tests::door::text_of;
use tollgate_tests::events::Event;
use tollgate_tests::fixture::{ALPHA, CLAUDE, FAST, GEM};
use tollgate_tests::{Canned, Client, Door, Proxy, World};

const MODELS: [&str; 3] = [FAST, CLAUDE, GEM];

/// A world where all dialects are spoken and credits do not matter.
async fn world() -> (World, Proxy, Client, String) {
    let world = World::sqlite().await;
    world.allocate(ALPHA.id, 1_000).await;
    let proxy = world.start().await;
    let alpha = proxy.client(ALPHA);
    let job = alpha.create_job().await;
    (world, proxy, alpha, job)
}

async fn read(door: Door, client: &Client, job: &str, model: &str, prompt: &str) -> Vec<Event> {
    let stream = door.ask(client, job, model, prompt).await;
    let events = stream.expect_stream().collect().await;
    let prompt: String = prompt.chars().take(50).collect();
    assert!(
        door.is_ended(&events),
        "{door:?} {model} {prompt}: {events:?}"
    );
    assert_eq!(door.error_in(&events), Value::Null, "{prompt}");
    events
}

#[tokio::test]
async fn cuts_line_ends_and_comments_change_nothing() {
    let (world, _proxy, alpha, job) = world().await;
    for model in MODELS {
        for way in [
            "bytes",
            "split=3",
            "split=7",
            "splits",
            "joined",
            "crlf",
            "lines",
            "noise",
            "tight",
            "nulls",
            "gap=1",
            "no-done",
            "whole",
            "crlf,bytes",
            "noise,crlf",
            "empty=2",
        ] {
            for door in [Door::Job, Door::OpenAi, Door::Anthropic] {
                let prompt = format!("do:{way}");
                // The other providers' events before the text are needed to understand it.
                let (is_openai, is_gap) = (model == FAST, way == "empty=2");
                if is_gap && !is_openai || way == "no-done" && model != FAST {
                    continue;
                }
                let text = text_of(&read(door, &alpha, &job, model, &prompt).await);
                let wanted = if is_gap { "Hel!" } else { "Hello!" };
                assert_eq!(text, wanted, "{model} {way} {door:?}");
            }
        }
        for door in [Door::Job, Door::OpenAi, Door::Anthropic] {
            for prompt in ["do:unicode", "do:unicode,gap=1"] {
                let text = text_of(&read(door, &alpha, &job, model, prompt).await);
                assert_eq!(text, "Grüße, 世界! 🦀", "{model} {door:?}");
            }
        }
    }
    world.verify().await;
}

/// The calls of tools that chunks in OpenAI's dialect tell: id, name, arguments.
fn tools_of_chunks(events: &[Event]) -> Vec<[String; 3]> {
    let mut tools: Vec<[String; 3]> = Vec::new();
    for event in events {
        let json = event.json();
        let delta = &json["choices"][0]["delta"];
        assert_ne!(delta.get("content"), Some(&Value::Null), "{json}");
        for call in delta["tool_calls"].as_array().into_iter().flatten() {
            let index = usize::try_from(call["index"].as_u64().unwrap()).unwrap();
            let text = |pointer| call.pointer(pointer).and_then(Value::as_str);
            if index == tools.len() {
                let [id, name] = ["/id", "/function/name"].map(|p| text(p).unwrap().to_owned());
                assert_eq!(call["type"], "function");
                tools.push([id, name, String::new()]);
            }
            tools[index][2] += text("/function/arguments").unwrap_or_default();
        }
    }
    tools
}

/// The same of events in Anthropic's dialect.
fn tools_of_blocks(events: &[Event]) -> Vec<[String; 3]> {
    let mut tools: Vec<(Value, [String; 3])> = Vec::new();
    for json in events.iter().map(Event::json) {
        let block = &json["content_block"];
        if block["type"] == "tool_use" {
            let [id, name] = ["id", "name"].map(|n| block[n].as_str().unwrap().to_owned());
            tools.push((json["index"].clone(), [id, name, String::new()]));
        }
        if let Some(more) = json["delta"]["partial_json"].as_str() {
            let (_, tool) = tools
                .iter_mut()
                .find(|tool| tool.0 == json["index"])
                .unwrap();
            tool[2] += more;
        }
    }
    tools.into_iter().map(|(_, tool)| tool).collect()
}

#[tokio::test]
async fn calls_of_tools_come_bit_by_bit_and_side_by_side() {
    let (world, _proxy, alpha, job) = world().await;
    for model in MODELS {
        for (prompt, count) in [
            ("do:tools", 1),
            ("do:tools=2", 2),
            ("do:tools=3,nulls", 3),
            ("do:tools=2,bytes", 2),
            ("do:tools=2,lines,crlf", 2),
            ("do:tools=2,whole", 2),
        ] {
            for door in [Door::Job, Door::OpenAi, Door::Anthropic] {
                let events = read(door, &alpha, &job, model, prompt).await;
                let tools = match door {
                    Door::Anthropic => tools_of_blocks(&events),
                    _ => tools_of_chunks(&events),
                };
                assert_eq!(text_of(&events), "");
                let cities = ["Paris", "Oslo", "Lima"].map(|city| json!({ "city": city }));
                let told = tools.iter().map(|[_, name, arguments]| {
                    assert_eq!(name, "weather");
                    serde_json::from_str::<Value>(arguments).unwrap()
                });
                assert_eq!(
                    told.collect::<Vec<_>>(),
                    cities[..count],
                    "{model} {prompt}"
                );
                let mut ids: Vec<&String> = tools.iter().map(|[id, ..]| id).collect();
                ids.dedup();
                assert_eq!(ids.len(), count, "each has an id of its own");
                assert!(ids.iter().all(|id| !id.is_empty()));
            }
        }
    }
    world.verify().await;
}

#[tokio::test]
async fn thoughts_are_told_apart_from_the_answer() {
    let (world, _proxy, alpha, job) = world().await;
    for model in MODELS {
        for prompt in ["do:think", "do:think,nulls,splits", "do:think,whole"] {
            for door in [Door::Job, Door::OpenAi, Door::Anthropic] {
                let events = read(door, &alpha, &job, model, prompt).await;
                let pointer = match door {
                    Door::Anthropic => "/delta/thinking",
                    _ => "/choices/0/delta/reasoning_content",
                };
                let thoughts: String = events
                    .iter()
                    .filter_map(|event| Some(event.json().pointer(pointer)?.as_str()?.to_owned()))
                    .collect();
                assert_eq!(thoughts, "Let me think.", "{model} {door:?} {prompt}");
                assert_eq!(text_of(&events), "Hello!");
            }
        }
    }
    world.verify().await;
}

#[tokio::test]
async fn a_refusal_is_told_as_one() {
    let world = World::sqlite().await;
    let provider = Canned::events(&[
        r#"{"choices":[{"index":0,"delta":{"role":"assistant","content":"","refusal":null}}]}"#,
        r#"{"choices":[{"index":0,"delta":{"refusal":"I will "}}],"usage":null}"#,
        r#"{"choices":[{"index":0,"delta":{"content":null,"refusal":"not."}}],"usage":null}"#,
        r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":null}"#,
        r#"{"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":3}}"#,
        "[DONE]",
    ])
    .await;
    let url = provider.base_url();
    world
        .add_model("chat-shy", ProviderKind::OpenAi, &url)
        .await;
    let proxy = world.start().await;
    let alpha = proxy.client(ALPHA);
    let job = alpha.create_job().await;
    for door in [Door::Job, Door::OpenAi] {
        let events = read(door, &alpha, &job, "chat-shy", "Hi").await;
        let deltas = events
            .iter()
            .map(|e| e.json()["choices"][0]["delta"].clone());
        let refusal: String = deltas
            .filter_map(|delta| delta["refusal"].as_str().map(str::to_owned))
            .collect();
        assert_eq!(refusal, "I will not.");
        assert_eq!(text_of(&events), "");
    }
    let events = read(Door::Anthropic, &alpha, "", "chat-shy", "Hi").await;
    assert_eq!(text_of(&events), "I will not.");
    let reasons = events
        .iter()
        .map(|e| e.json()["delta"]["stop_reason"].clone());
    assert!(reasons.into_iter().any(|reason| reason == "refusal"));
}

#[tokio::test]
async fn long_answers_and_large_pieces_come_whole() {
    let (world, _proxy, alpha, job) = world().await;
    let words: String = (0..5_000).map(|number| format!("{number} ")).collect();
    // A megabyte without a space is one piece.
    let megabyte = "é".repeat(512 * 1024);
    for model in MODELS {
        for (prompt, wanted) in [
            ("do:words=5000".to_owned(), &words),
            (format!("do:say={megabyte}"), &megabyte),
            (
                format!("do:joined,say={megabyte} {megabyte}"),
                &format!("{megabyte} {megabyte}"),
            ),
        ] {
            for door in [Door::Job, Door::Anthropic] {
                let events = read(door, &alpha, &job, model, &prompt).await;
                assert!(text_of(&events) == *wanted, "{model} {door:?}");
            }
        }
    }
    world.verify().await;
}

/// What other servers of OpenAI's dialect do differently.
#[tokio::test]
async fn customs_of_compatible_servers_are_understood() {
    let text = r#"{"choices":[{"index":0,"delta":{"content":"Hello!"}}]}"#;
    let end = r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#;
    let both = r#"{"choices":[{"delta":{"content":"Hello!"},"finish_reason":"eos"}]}"#;
    let counted = r#"{"choices":[{"index":0,"delta":{"content":"Hello!"},"finish_reason":"stop"}],
        "usage":{"prompt_tokens":9,"completion_tokens":1}}"#;
    let counted = counted.replace('\n', "");
    let filtered = r#"{"choices":[],"prompt_filter_results":[]}"#;
    let streams = [
        format!("data: {text}\n\ndata: {end}\n\ndata: [DONE]\n\n"),
        format!("data: {text}\n\ndata: [DONE]\n\n"),
        format!("data: {text}\n\ndata: {end}\n\ndata: [DONE]"),
        format!("data: {text}\n\ndata: {end}\n\n"),
        format!("data: {both}\n\n"),
        format!("data: {counted}\n\ndata: [DONE]\n\n"),
        format!("data: {filtered}\n\ndata: {text}\n\ndata: {end}\n\ndata: [DONE]\n\n"),
        format!("\u{feff}data: {text}\r\rdata: {end}\r\rdata:[DONE] \r\r"),
        format!("event: completion\ndata: {both}\n\nevent: done\ndata: [DONE]\n\n"),
    ];
    let world = World::sqlite().await;
    let mut providers = Vec::new();
    for (number, stream) in streams.iter().enumerate() {
        let kind = "text/event-stream;charset=UTF-8";
        let provider = Canned::start(kind, stream).await;
        let alias = format!("chat-custom-{number}");
        let url = provider.base_url();
        world.add_model(&alias, ProviderKind::OpenAi, &url).await;
        providers.push(provider);
    }
    let proxy = world.start().await;
    let alpha = proxy.client(ALPHA);
    let job = alpha.create_job().await;
    for number in 0..streams.len() {
        let alias = format!("chat-custom-{number}");
        let events = read(Door::Job, &alpha, &job, &alias, "Hi").await;
        assert_eq!(text_of(&events), "Hello!", "{}", streams[number]);
        let last = events[events.len() - 2].json();
        assert_eq!(last["choices"][0]["finish_reason"], "stop");
    }
    world.verify().await;
}
