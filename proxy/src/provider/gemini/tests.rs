//! The dialect by example: each file in `fixtures/gemini` is one.

use std::fs;
use std::path::Path;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tollgate_common::price::Usage;

use super::stream::StreamDecoder;
use super::{decode, encode};
use crate::chat::{Choice, Chunk, Completion, Delta, FinishReason, Said};
use crate::conversation::Conversation;
use crate::provider::Order;
use crate::request::{CallRequest, Prompt};
use crate::sse::Event;
use crate::steps::forward::UpstreamFailure;

mod arbitrary;
mod requests;

/// The examples in a folder, by name.
fn examples(folder: &str) -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/provider/fixtures/gemini");
    let mut examples = Vec::new();
    for entry in fs::read_dir(root.join(folder)).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        examples.push((name, fs::read_to_string(path).unwrap()));
    }
    assert!(!examples.is_empty(), "there are examples of {folder}");
    examples
}

fn value(json: &str) -> Value {
    serde_json::from_str(json).unwrap_or_else(|error| panic!("{error}: {json}"))
}

/// What is said, with every text read as JSON.
fn said(said: &Said<'_>) -> Value {
    let mut shown = json!({});
    for (name, json) in [
        ("content", &said.content),
        ("reasoning", &said.reasoning),
        ("reasoning_signature", &said.reasoning_signature),
        ("redacted_reasoning", &said.redacted_reasoning),
        ("refusal", &said.refusal),
        ("tool_calls", &said.tool_calls),
    ] {
        if let Some(json) = json {
            shown[name] = value(json);
        }
    }
    assert!(said.others.is_empty());
    shown
}

fn choice(choice: &Choice<'_>) -> Value {
    let mut shown = said(&choice.said);
    shown["finish_reason"] = json!(choice.finish_reason.word());
    shown
}

fn delta(delta: &Delta<'_>) -> Value {
    let mut shown = said(&delta.said);
    shown["index"] = json!(delta.index);
    if let Some(reason) = delta.finish_reason {
        shown["finish_reason"] = json!(reason.word());
    }
    shown
}

fn usage(usage: &Usage) -> Value {
    assert_eq!(usage.input_cache_write, 0);
    json!({
        "input_uncached": usage.input_uncached, "input_cache_read": usage.input_cache_read,
        "output_text": usage.output_text, "output_reasoning": usage.output_reasoning,
    })
}

fn completion(completion: &Completion<'_>) -> Value {
    let choices: Vec<Value> = completion.choices.iter().map(choice).collect();
    let mut shown = json!({"choices": choices});
    if let Some(counted) = &completion.counted {
        shown["usage"] = usage(&counted.usage);
    }
    shown
}

fn chunk(chunk: &Chunk<'_>) -> Value {
    let deltas: Vec<Value> = chunk.deltas.iter().map(delta).collect();
    let mut shown = json!({"deltas": deltas});
    if let Some(counted) = &chunk.counted {
        shown["usage"] = usage(&counted.usage);
    }
    shown
}

fn event(data: &str) -> Event {
    Event {
        name: None,
        data: data.to_owned(),
    }
}

#[test]
fn requests_are_said_as_the_examples_say_them() {
    #[derive(Deserialize)]
    struct Example<'a> {
        about: String,
        model: String,
        #[serde(borrow)]
        request: &'a RawValue,
        endpoint: String,
        body: Value,
    }
    for (name, text) in examples("encode") {
        let example: Example<'_> = serde_json::from_str(&text).unwrap();
        let name = format!("{name}: {}", example.about);
        let request = CallRequest::parse_completions(example.request.get().as_bytes()).unwrap();
        let Prompt::Completions(chat) = &request.prompt else {
            panic!("{name}: a chat is read");
        };
        let conversation = Conversation::of_completions(chat).unwrap();
        let order = Order {
            upstream_model: &example.model,
            output_tokens_max: request.max_tokens,
            thoughts_max: None,
            stream: request.stream,
        };
        let encoded = encode(&conversation, order).unwrap();
        assert_eq!(encoded.endpoint, example.endpoint, "{name}");
        let body: Value = serde_json::from_slice(&encoded.body).unwrap();
        assert_eq!(body, example.body, "{name}");
    }
}

#[test]
fn answers_are_read_as_the_examples_say() {
    #[derive(Deserialize)]
    struct Example<'a> {
        about: String,
        #[serde(borrow)]
        answer: &'a RawValue,
        completion: Value,
    }
    for (name, text) in examples("decode") {
        let example: Example<'_> = serde_json::from_str(&text).unwrap();
        let read = decode(example.answer.get().as_bytes()).unwrap();
        assert_eq!(
            completion(&read),
            example.completion,
            "{name}: {}",
            example.about
        );
    }
}

#[test]
fn streams_are_read_as_the_examples_say() {
    #[derive(Deserialize)]
    struct Example<'a> {
        about: String,
        #[serde(borrow)]
        events: Vec<&'a RawValue>,
        chunks: Vec<Value>,
        /// What is told once the stream has ended.
        end: Value,
        /// How many events it takes.
        complete_after: usize,
    }
    for (name, text) in examples("stream") {
        let example: Example<'_> = serde_json::from_str(&text).unwrap();
        let name = format!("{name}: {}", example.about);
        let mut decoder = StreamDecoder::default();
        assert_eq!(example.events.len(), example.chunks.len(), "{name}");
        for (index, (data, expected)) in example.events.iter().zip(&example.chunks).enumerate() {
            let event = event(data.get());
            let read = decoder.read(&event).unwrap();
            assert_eq!(&chunk(&read), expected, "{name}: event {index}");
            let is_complete = index + 1 >= example.complete_after;
            let may_end = decoder.progress().may_end();
            assert_eq!(may_end, is_complete, "{name}: event {index}");
        }
        let end: Value = decoder.finish().deltas.iter().map(delta).collect();
        assert_eq!(end, example.end, "{name}");
    }
}

#[test]
fn every_end_is_understood() {
    let body = |word: &str, parts: &str| {
        format!(r#"{{"candidates":[{{"finishReason":{word},"content":{{"parts":[{parts}]}}}}]}}"#)
    };
    let ended = |word: &str, parts: &str| {
        decode(body(word, parts).as_bytes()).unwrap().choices[0].finish_reason
    };
    let call = r#"{"functionCall":{"name":"f"}}"#;
    for word in ["null", "\"STOP\"", "\"FINISH_REASON_UNSPECIFIED\""] {
        assert_eq!(ended(word, ""), FinishReason::Stop, "{word}");
        assert_eq!(ended(word, call), FinishReason::ToolCalls, "{word}");
    }
    assert_eq!(ended("\"MAX_TOKENS\"", call), FinishReason::Length);
    for word in [
        "SAFETY",
        "RECITATION",
        "LANGUAGE",
        "BLOCKLIST",
        "PROHIBITED_CONTENT",
        "SPII",
        "IMAGE_SAFETY",
        "MALFORMED_FUNCTION_CALL",
        "UNEXPECTED_TOOL_CALL",
        "TOO_MANY_TOOL_CALLS",
        "OTHER",
    ] {
        let word = format!("\"{word}\"");
        assert_eq!(ended(&word, ""), FinishReason::ContentFilter, "{word}");
    }
    let internal = body("\"INTERNAL_ERROR\"", r#"{"text":"half"}"#);
    let broken = decode(internal.as_bytes());
    assert!(matches!(broken, Err(UpstreamFailure::ServerError { .. })));
    assert_eq!(ended("\"A_WORD_OF_TOMORROW\"", "").word(), "length");
}

#[test]
fn what_is_not_an_answer_is_refused() {
    for bad in [
        "",
        "<html>",
        "[]",
        "{}",
        r#"{"candidates":[]}"#,
        r#"{"candidates":[],"promptFeedback":{"safetyRatings":[]}}"#,
        r#"{"candidates":[{"content":{"parts":[{"text":5}]}}]}"#,
        r#"{"candidates":[{"content":{"parts":[{"functionCall":{}}]}}]}"#,
        r#"{"candidates":[{"content":{"parts":[{"functionCall":{"name":1}}]}}]}"#,
        r#"{"candidates":[{"content":{"parts":[{"inlineData":{"data":"AAAA"}}]}}]}"#,
        r#"{"candidates":[{"content":{"parts":[{"text":"a"}]}}"#,
    ] {
        let read = decode(bad.as_bytes());
        assert!(
            matches!(read, Err(UpstreamFailure::Invalid { .. })),
            "{bad}"
        );
    }
}

#[test]
fn counts_are_read_as_they_are() {
    let counted = |usage: &str| {
        let body = format!(r#"{{"candidates":[{{}}],"usageMetadata":{usage}}}"#);
        let counted = decode(body.as_bytes()).unwrap().counted;
        counted.map(|counted| counted.usage)
    };
    for usage in [
        "null",
        "{}",
        r#"{"promptTokenCount":-5,"candidatesTokenCount":-1}"#,
    ] {
        assert_eq!(counted(usage), None, "{usage}");
    }
    let absurd = r#"{"promptTokenCount":9223372036854775807,"toolUsePromptTokenCount":5}"#;
    assert!(counted(absurd).unwrap().input() > 1_000_000_000);
    let more_cached = counted(r#"{"promptTokenCount":5,"cachedContentTokenCount":9}"#).unwrap();
    assert_eq!(
        (more_cached.input_uncached, more_cached.input_cache_read),
        (5, 9),
        "no count is lowered"
    );
}

#[test]
fn an_error_within_a_stream_ends_it() {
    let mut decoder = StreamDecoder::default();
    let quiet = event(" ");
    assert!(decoder.read(&quiet).unwrap().deltas.is_empty());
    assert!(!decoder.progress().may_end());
    let error = event(r#"{"error":{"code":503,"message":"secret words","status":"UNAVAILABLE"}}"#);
    let failure = decoder.read(&error).unwrap_err();
    assert!(matches!(failure, UpstreamFailure::ServerError { .. }));
    assert!(!failure.for_operators().contains("secret"));
    let done = event("[DONE]");
    assert!(decoder.read(&done).unwrap().is_empty());
    assert!(!decoder.progress().may_end());
}

#[test]
fn images_that_a_model_made_are_told() {
    let body = r#"{"candidates":[{"finishReason":"STOP","content":{"parts":[{"text":"here"},
        {"inlineData":{"mimeType":"image/png","data":"AAAA"}},
        {"inlineData":{"mimeType":"x\"y","data":"AAAA"}}]}}]}"#;
    let read = decode(body.as_bytes()).unwrap();
    let said = &read.choices[0].said;
    assert_eq!(said.content.as_deref(), Some("\"here\""));
    let url = json!({"url": "data:image/png;base64,AAAA"});
    let expected = json!([{"type": "image_url", "image_url": url}]);
    assert_eq!(said.others[0].0, "images");
    assert_eq!(value(&said.others[0].1), expected);
}

#[test]
fn signatures_are_not_shown_among_what_went_wrong() {
    let mut decoder = StreamDecoder::default();
    let signed =
        r#"{"candidates":[{"content":{"parts":[{"text":"a","thoughtSignature":"hush"}]}}]}"#;
    decoder.read(&event(signed)).unwrap();
    assert!(!format!("{decoder:?}").contains("hush"));
}
