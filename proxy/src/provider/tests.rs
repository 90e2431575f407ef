//! What holds for all dialects: one member that is not as it should be costs only itself.

use serde_json::{Value, json};
use tollgate_common::price::Usage;
use tollgate_common::provider::ProviderKind;

use super::{StreamDecoder, decode};
use crate::chat::{Counted, FinishReason, Said};
use crate::sse::Event;

mod usage;

/// What a dialect says, and where its texts and counts are.
struct Golden {
    kind: ProviderKind,
    /// A whole answer, or the events of a stream.
    json: Value,
    /// JSON pointers of the texts, in order.
    texts: &'static [&'static str],
    /// JSON pointers of the counts of the prompt, and of the completion.
    input: &'static [&'static str],
    output: &'static [&'static str],
}

/// What each golden answer comes to.
const INPUT: i64 = 10;
const OUTPUT: i64 = 8;

fn whole_answers() -> [Golden; 3] {
    [
        Golden {
            kind: ProviderKind::OpenAi,
            json: json!({"id": "c1", "object": "chat.completion", "created": 1, "model": "m",
                "service_tier": "default", "choices": [{"index": 0, "message":
                {"role": "assistant", "content": "Paris", "reasoning_content": "hm",
                    "refusal": null, "annotations": [], "tool_calls": [{"id": "t", "type":
                    "function", "function": {"name": "f", "arguments": "{}"}}]},
                "logprobs": {"content": []}, "finish_reason": "stop"}],
                "usage": {"prompt_tokens": 10, "completion_tokens": 8, "total_tokens": 18,
                    "prompt_tokens_details": {"cached_tokens": 4, "audio_tokens": 1},
                    "completion_tokens_details": {"reasoning_tokens": 3, "audio_tokens": 1}}}),
            texts: &["/choices/0/message/content"],
            input: &["/usage/prompt_tokens"],
            output: &["/usage/completion_tokens"],
        },
        Golden {
            kind: ProviderKind::Anthropic,
            json: json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "m",
                "content": [{"type": "thinking", "thinking": "hm", "signature": "s"},
                    {"type": "text", "text": "Paris", "citations": null},
                    {"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}}],
                "stop_reason": "tool_use", "stop_sequence": null, "usage": {"input_tokens": 10,
                    "cache_read_input_tokens": 0, "cache_creation_input_tokens": 0,
                    "cache_creation": {"ephemeral_5m_input_tokens": 0}, "output_tokens": 8,
                    "output_tokens_details": {"thinking_tokens": 3}, "service_tier": "standard"}}),
            texts: &["/content/1/text"],
            input: &["/usage/input_tokens"],
            output: &["/usage/output_tokens"],
        },
        Golden {
            kind: ProviderKind::Gemini,
            json: json!({"candidates": [{"index": 0, "content": {"role": "model", "parts": [
                    {"text": "hm", "thought": true}, {"text": "Paris", "thoughtSignature": "cw=="},
                    {"functionCall": {"name": "f", "args": {"a": 1}, "id": "i"}}]},
                    "finishReason": "STOP", "safetyRatings": []}], "modelVersion": "m",
                "responseId": "r", "usageMetadata": {"promptTokenCount": 10,
                    "candidatesTokenCount": 5, "thoughtsTokenCount": 3, "totalTokenCount": 18,
                    "cachedContentTokenCount": 4,
                    "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 10}]}}),
            texts: &["/candidates/0/content/parts/1/text"],
            input: &["/usageMetadata/promptTokenCount"],
            output: &[
                "/usageMetadata/candidatesTokenCount",
                "/usageMetadata/thoughtsTokenCount",
            ],
        },
    ]
}

fn streams() -> [Golden; 3] {
    [
        Golden {
            kind: ProviderKind::OpenAi,
            json: json!([
                {"id": "c", "object": "chat.completion.chunk", "choices": [{"index": 0, "delta":
                    {"role": "assistant", "content": ""}, "finish_reason": null}], "usage": null},
                {"id": "c", "object": "chat.completion.chunk", "choices": [{"index": 0, "delta":
                    {"content": "Pa"}, "logprobs": null, "finish_reason": ""}]},
                {"id": "c", "object": "chat.completion.chunk", "choices": [{"index": 0, "delta":
                    {"content": "ris"}, "finish_reason": null}]},
                {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
                {"choices": [], "usage": {"prompt_tokens": 10, "completion_tokens": 8,
                    "total_tokens": 18, "completion_tokens_details": {"reasoning_tokens": 3}}},
            ]),
            texts: &["/1/choices/0/delta/content", "/2/choices/0/delta/content"],
            input: &["/4/usage/prompt_tokens"],
            output: &["/4/usage/completion_tokens"],
        },
        Golden {
            kind: ProviderKind::Anthropic,
            json: json!([
                {"type": "message_start", "message": {"id": "m", "type": "message", "content": [],
                    "usage": {"input_tokens": 10, "output_tokens": 1}}},
                {"type": "content_block_start", "index": 0, "content_block":
                    {"type": "text", "text": ""}},
                {"type": "ping"},
                {"type": "content_block_delta", "index": 0, "delta":
                    {"type": "text_delta", "text": "Pa"}},
                {"type": "content_block_delta", "index": 0, "delta":
                    {"type": "text_delta", "text": "ris"}},
                {"type": "content_block_stop", "index": 0},
                {"type": "message_delta", "delta": {"stop_reason": "end_turn",
                    "stop_sequence": null}, "usage": {"output_tokens": 8}},
                {"type": "message_stop"},
            ]),
            texts: &["/3/delta/text", "/4/delta/text"],
            input: &["/0/message/usage/input_tokens"],
            output: &["/6/usage/output_tokens"],
        },
        Golden {
            kind: ProviderKind::Gemini,
            json: json!([
                {"candidates": [{"content": {"parts": [{"text": "Pa"}], "role": "model"},
                    "index": 0}], "usageMetadata": {"promptTokenCount": 10}},
                {"candidates": [{"content": {"parts": [{"text": "ris"}], "role": "model"},
                    "finishReason": "STOP", "index": 0}], "usageMetadata": {"promptTokenCount": 10,
                    "candidatesTokenCount": 8, "totalTokenCount": 18}, "responseId": "r"},
            ]),
            texts: &[
                "/0/candidates/0/content/parts/0/text",
                "/1/candidates/0/content/parts/0/text",
            ],
            input: &[
                "/0/usageMetadata/promptTokenCount",
                "/1/usageMetadata/promptTokenCount",
            ],
            output: &["/1/usageMetadata/candidatesTokenCount"],
        },
    ]
}

/// The JSON pointers of all members and items.
fn pointers(json: &Value, at: &str, found: &mut Vec<String>) {
    let inner: Vec<(String, &Value)> = match json {
        Value::Object(members) => members.iter().map(|(n, v)| (n.clone(), v)).collect(),
        Value::Array(items) => {
            let items = items.iter().enumerate();
            items
                .map(|(place, item)| (place.to_string(), item))
                .collect()
        }
        _ => Vec::new(),
    };
    for (name, value) in inner {
        let pointer = format!("{at}/{name}");
        pointers(value, &pointer, found);
        found.push(pointer);
    }
}

/// The same JSON with something else, or nothing, in a place.
fn replaced(json: &Value, pointer: &str, with: Option<&Value>) -> Value {
    let mut json = json.clone();
    match with {
        Some(value) => *json.pointer_mut(pointer).unwrap() = value.clone(),
        None => {
            let (parent, name) = pointer.rsplit_once('/').unwrap();
            match json.pointer_mut(parent).unwrap() {
                Value::Object(members) => drop(members.remove(name)),
                Value::Array(items) => drop(items.remove(name.parse::<usize>().unwrap())),
                _ => unreachable!(),
            }
        }
    }
    json
}

fn replacements() -> Vec<Option<Value>> {
    let values = json!([null, "", [], {}, 1.5, "x", -1, true]);
    let values = values.as_array().unwrap().iter().cloned().map(Some);
    values.chain([None]).collect()
}

/// Whether a change of one place leaves another as it was.
fn leaves(pointer: &str, changed: &str) -> bool {
    pointer != changed && !pointer.starts_with(&format!("{changed}/"))
}

/// Tries every change of one member; `read` gives the text and the counts.
fn every_change(golden: &Golden, read: impl Fn(&Value) -> (String, Option<Counted>)) {
    let mut places = Vec::new();
    pointers(&golden.json, "", &mut places);
    assert!(places.len() > 10);
    for place in &places {
        for with in replacements() {
            // Without an item the next ones move up: nothing else says where they are.
            if with.is_none() && place.rsplit('/').next().unwrap().parse::<u32>().is_ok() {
                continue;
            }
            let changed = replaced(&golden.json, place, with.as_ref());
            let why = format!("{} {place} = {with:?}", golden.kind.word());
            let (text, counted) = read(&changed);
            for pointer in golden.texts.iter().filter(|text| leaves(text, place)) {
                let words = golden.json.pointer(pointer).unwrap().as_str().unwrap();
                assert!(text.contains(words), "{why}: {text}");
            }
            let untouched = |all: &[&str]| all.iter().all(|count| leaves(count, place));
            let usage = counted.map(|counted| counted.usage).unwrap_or_default();
            if untouched(golden.input) {
                assert_eq!(usage.input(), INPUT, "{why}");
            }
            if untouched(golden.output) {
                assert_eq!(usage.output(), OUTPUT, "{why}");
            }
        }
    }
}

fn text_of(said: &Said<'_>) -> String {
    let content = said.content.as_deref();
    content.map_or_else(String::new, |json| serde_json::from_str(json).unwrap())
}

#[test]
fn one_strange_member_of_a_whole_answer_costs_only_itself() {
    for golden in whole_answers() {
        every_change(&golden, |json| {
            let body = json.to_string();
            match decode(golden.kind, body.as_bytes()) {
                Ok(read) => (text_of(&read.choices[0].said), read.counted),
                // The message itself was taken away.
                Err(_) => (String::new(), Some(expected())),
            }
        });
    }
}

fn expected() -> Counted {
    let usage = Usage {
        input_uncached: INPUT,
        output_text: OUTPUT,
        ..Usage::default()
    };
    Counted {
        usage,
        ..Counted::default()
    }
}

fn event(data: impl ToString) -> Event {
    Event {
        name: None,
        data: data.to_string(),
    }
}

fn read_stream(kind: ProviderKind, events: &[String]) -> (String, Option<Counted>) {
    let mut decoder = StreamDecoder::new(kind, 1);
    let (mut text, mut counted) = (String::new(), None);
    for data in events {
        let event = event(data);
        let chunk = decoder
            .read(&event)
            .unwrap_or_else(|error| panic!("{error:?}: {data}"));
        counted = chunk.counted.or(counted);
        for delta in &chunk.deltas {
            assert_eq!(delta.finish_reason, None, "the end is told last");
            text += &text_of(&delta.said);
        }
    }
    (text, counted)
}

#[test]
fn one_strange_member_of_a_stream_costs_only_itself() {
    for golden in streams() {
        every_change(&golden, |json| {
            let events: Vec<String> = json
                .as_array()
                .unwrap()
                .iter()
                .map(Value::to_string)
                .collect();
            read_stream(golden.kind, &events)
        });
    }
}

#[test]
fn frames_that_say_nothing_are_passed_over() {
    for golden in streams() {
        let mut events: Vec<String> = Vec::new();
        for frame in golden.json.as_array().unwrap() {
            for nothing in ["", " ", "null", "[]", "{}", "true", r#"{"choices":null}"#] {
                events.push(nothing.to_owned());
            }
            events.push(frame.to_string());
        }
        let zeros = match golden.kind {
            ProviderKind::OpenAi => {
                r#"{"choices":[],"usage":{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0}}"#
            }
            ProviderKind::Anthropic => {
                r#"{"type":"message_delta","delta":{},"usage":{"input_tokens":0,"output_tokens":0}}"#
            }
            ProviderKind::Gemini => {
                r#"{"usageMetadata":{"promptTokenCount":0,"totalTokenCount":0}}"#
            }
        };
        events.extend([zeros, r#"{"usage":null,"usageMetadata":null}"#].map(str::to_owned));
        let (text, counted) = read_stream(golden.kind, &events);
        assert_eq!(text, "Paris");
        let usage = counted.unwrap().usage;
        assert_eq!((usage.input(), usage.output()), (INPUT, OUTPUT));
    }
}

#[test]
fn contents_in_parts_are_told_apart() {
    let body = json!({"choices": [{"index": 0, "message": {"role": "assistant", "content": [
        {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]},
        {"type": "text", "text": "Pa"}, {"type": "reference", "reference_ids": [1]}, "ris", 5,
    ]}, "finish_reason": "stop"}]})
    .to_string();
    let read = decode(ProviderKind::OpenAi, body.as_bytes()).unwrap();
    let said = &read.choices[0].said;
    assert_eq!(said.content.as_deref(), Some("\"Paris\""));
    assert_eq!(said.reasoning.as_deref(), Some("\"hm\""));
}

#[test]
fn members_that_are_not_ours_travel_but_for_those_that_name_the_provider() {
    let body = json!({"id": "x", "model": "real", "provider": "Secret", "citations": ["u"],
        "x_groq": {"id": 1}, "system_fingerprint": "fp", "choices": [{"index": 0,
            "content_filter_results": {"hate": {}}, "native_finish_reason": "stop", "message":
            {"role": "assistant", "content": "here", "images": [1], "model_name": "real"}}]})
    .to_string();
    let read = decode(ProviderKind::OpenAi, body.as_bytes()).unwrap();
    let names = |named: &crate::chat::Named<'_>| -> Vec<String> {
        named.iter().map(|(name, _)| name.to_string()).collect()
    };
    assert_eq!(names(&read.others), ["citations"]);
    let choice = &read.choices[0];
    assert_eq!(
        names(&choice.others),
        ["content_filter_results", "native_finish_reason"]
    );
    assert_eq!(names(&choice.said.others), ["images"]);
}

#[test]
fn what_is_no_answer_is_refused() {
    for bad in [
        "",
        "<html>",
        "{}",
        r#"{"choices":[]}"#,
        r#"{"choices":[{}]}"#,
        r#"{"choices":[null]}"#,
        r#"{"choices":[{"message":{"content":5}}]}"#,
        r#"{"choices":[{"message":{"content":"x"}"#,
    ] {
        let refused = decode(ProviderKind::OpenAi, bad.as_bytes()).unwrap_err();
        assert_eq!(refused.kind(), "provider_invalid", "{bad}");
    }
    let tools = br#"{"choices":[{"message":{"content":null,"tool_calls":[{"id":"t"}]}}]}"#;
    let read = decode(ProviderKind::OpenAi, tools).unwrap();
    assert_eq!(read.choices[0].finish_reason, FinishReason::ToolCalls);
}

#[test]
fn arguments_that_are_an_object_reach_callers_as_a_text() {
    let arguments = json!({"city": "Paris", "n": [1]});
    let call = json!({"id": "t", "type": "function",
        "function": {"name": "f", "arguments": arguments}});
    let documented = json!({"id": "u", "type": "function",
        "function": {"name": "f", "arguments": "{}"}});
    let answer = json!({"choices": [{"message": {"content": null,
        "tool_calls": [call, documented],
        "function_call": {"name": "f", "arguments": arguments}}}]});
    let bytes = answer.to_string();
    let read = decode(ProviderKind::OpenAi, bytes.as_bytes()).unwrap();
    let said = &read.choices[0].said;
    let calls: Value = serde_json::from_str(said.tool_calls.as_deref().unwrap()).unwrap();
    let text = calls[0]["function"]["arguments"].as_str().unwrap();
    assert_eq!(serde_json::from_str::<Value>(text).unwrap(), arguments);
    assert_eq!(calls[1], documented);
    let (_, call) = said
        .others
        .iter()
        .find(|(name, _)| name == "function_call")
        .unwrap();
    let call: Value = serde_json::from_str(call).unwrap();
    let text = call["arguments"].as_str().unwrap();
    assert_eq!(serde_json::from_str::<Value>(text).unwrap(), arguments);
}
