//! Golden requests, answers and streams, each a file for one feature; and that nothing panics.

use std::fs;
use std::path::Path;

use proptest::prelude::*;
use serde_json::{Map, Value, json};
use tollgate_common::price::Usage;
use tollgate_common::provider::ProviderKind;
use tollgate_common::secret::Secret;

use super::stream::StreamDecoder;
use super::*;
use crate::chat::{Chunk, Delta, Said};
use crate::provider::failure::{Scrub, failure};
use crate::provider::{Order, encode as encode_for};
use crate::request::CallRequest;
use crate::sse::Event;
use crate::steps::forward::{UpstreamFailure, UpstreamReply};

/// The fixtures whose names begin so, with their names.
fn fixtures(beginning: &str) -> Vec<(String, Value)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/provider/fixtures/anthropic");
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if name.starts_with(beginning) {
            let json = fs::read_to_string(&path).unwrap();
            found.push((name, serde_json::from_str(&json).unwrap()));
        }
    }
    assert!(!found.is_empty(), "there are fixtures of {beginning}");
    found
}

fn value(json: &str) -> Value {
    serde_json::from_str(json).unwrap()
}

fn said(said: &Said<'_>) -> Value {
    let mut object = Map::new();
    for (name, json) in [
        ("content", &said.content),
        ("reasoning", &said.reasoning),
        ("reasoning_signature", &said.reasoning_signature),
        ("redacted_reasoning", &said.redacted_reasoning),
        ("refusal", &said.refusal),
        ("tool_calls", &said.tool_calls),
    ] {
        if let Some(json) = json {
            object.insert(name.to_owned(), value(json));
        }
    }
    assert!(said.others.is_empty());
    Value::Object(object)
}

fn buckets(usage: Usage) -> Value {
    json!([
        usage.input_uncached,
        usage.input_cache_read,
        usage.input_cache_write,
        usage.output_text,
        usage.output_reasoning,
    ])
}

fn delta(delta: &Delta<'_>) -> Value {
    let mut object = json!({"said": said(&delta.said)});
    if let Some(reason) = delta.finish_reason {
        object["finish_reason"] = json!(reason.word());
    }
    if let Some(json) = &delta.stop_sequence {
        object["stop_sequence"] = value(json);
    }
    assert_eq!(delta.index, 0, "there is one answer");
    object
}

fn chunk(chunk: &Chunk<'_>) -> Value {
    let mut object = json!({});
    if !chunk.deltas.is_empty() {
        object["deltas"] = chunk.deltas.iter().map(delta).collect();
    }
    if let Some(counted) = chunk.counted {
        object["usage"] = buckets(counted.usage);
    }
    object
}

fn event(data: String) -> Event {
    Event { name: None, data }
}

#[test]
fn requests_are_said_in_anthropics_dialect() {
    for (name, fixture) in fixtures("request-") {
        let body = fixture["request"].to_string();
        let request = CallRequest::parse_completions(body.as_bytes()).unwrap();
        let order = Order {
            upstream_model: "claude-upstream",
            output_tokens_max: request.max_tokens,
            thoughts_max: None,
            stream: request.stream,
        };
        match encode_for(ProviderKind::Anthropic, &request, order) {
            Ok(encoded) => {
                let body: Value = serde_json::from_slice(&encoded.body).unwrap();
                assert_eq!(body, fixture["expected"], "{name}");
                assert_eq!(encoded.endpoint, "/messages");
            }
            Err(refusal) => {
                let refusal = format!("{}: {}", refusal.field, refusal.message);
                assert_eq!(json!(refusal), fixture["refused"], "{name}");
            }
        }
    }
}

#[test]
fn answers_are_read() {
    for (name, fixture) in fixtures("answer-") {
        let body = fixture["answer"].to_string();
        let completion = decode(body.as_bytes()).unwrap();
        let [choice] = &completion.choices[..] else {
            panic!("{name}: there is one answer");
        };
        let mut read = json!({
            "said": said(&choice.said),
            "finish_reason": choice.finish_reason.word(),
            "usage": completion.counted.map(|counted| buckets(counted.usage)),
        });
        if let Some(json) = &choice.stop_sequence {
            read["stop_sequence"] = value(json);
        }
        assert_eq!(read, fixture["expected"], "{name}");
    }
}

#[test]
fn streams_are_read_event_by_event() {
    for (name, fixture) in fixtures("stream-") {
        let mut decoder = StreamDecoder::default();
        let mut read = Vec::new();
        for data in fixture["events"].as_array().unwrap() {
            assert!(!decoder.is_done(), "{name}: only the last event ends it");
            let event = event(data.to_string());
            read.push(chunk(&decoder.read(&event).unwrap()));
        }
        assert_eq!(Value::Array(read), fixture["expected"], "{name}");
        assert_eq!(json!(decoder.is_done()), fixture["complete"], "{name}");
        let told = decoder.finish();
        let end: Value = told.deltas.iter().map(delta).collect();
        if decoder.is_done() {
            assert_eq!(end, fixture["end"], "{name}");
        }
    }
}

#[test]
fn what_is_not_an_answer_is_refused() {
    for bad in [
        "",
        "<html>",
        "{}",
        r#"{"content":5}"#,
        r#"{"content":[{"type":"text","text":5}]}"#,
        r#"{"content":[{"type":"tool_use","id":"a","input":{}}]}"#,
        r#"{"content":[{"type":"text","text":"x"}"#,
    ] {
        let failure = decode(bad.as_bytes());
        assert!(
            matches!(failure, Err(UpstreamFailure::Invalid { .. })),
            "{bad}"
        );
    }
}

#[test]
fn errors_within_a_stream_end_it() {
    let overloaded = r#"{"type":"error","error":{"type":"overloaded_error","message":"busy"}}"#;
    let overloaded = event(overloaded.to_owned());
    let failure = StreamDecoder::default().read(&overloaded);
    assert!(
        matches!(failure, Err(UpstreamFailure::ServerError { .. })),
        "{failure:?}"
    );
    let bad = event("x".to_owned());
    let failure = StreamDecoder::default().read(&bad);
    assert!(
        matches!(failure, Err(UpstreamFailure::Invalid { .. })),
        "{failure:?}"
    );
    let tool = r#"{"type":"content_block_start","index":0,"content_block":{"type":"tool_use"}}"#;
    for nothing in [
        "",
        "[]",
        "null",
        tool,
        r#"{"type":"content_block_delta","index":0}"#,
    ] {
        let nothing = event(nothing.to_owned());
        let read = StreamDecoder::default().read(&nothing);
        assert!(read.unwrap().is_empty());
    }
}

#[test]
fn an_input_that_comes_with_its_block_is_told_once() {
    let start = r#"{"type":"content_block_start","index":0,
        "content_block":{"type":"tool_use","id":"t","name":"f","input":{"path":"/a \"x\""}}}"#;
    let piece = r#"{"type":"content_block_delta","index":0,
        "delta":{"type":"input_json_delta","partial_json":"{\"path\":1}"}}"#;
    let stop = r#"{"type":"content_block_stop","index":0}"#;
    let told = |events: &[&str]| {
        let mut decoder = StreamDecoder::default();
        let mut arguments = String::new();
        for data in events {
            let event = event((*data).to_owned());
            for delta in decoder.read(&event).unwrap().deltas {
                let calls = value(&delta.said.tool_calls.unwrap());
                arguments += calls[0]["function"]["arguments"].as_str().unwrap();
            }
        }
        value(&arguments)
    };
    assert_eq!(told(&[start, stop]), json!({"path": "/a \"x\""}));
    assert_eq!(told(&[start, piece, stop]), json!({"path": 1}));
    // A server that does not end its blocks.
    let delta = r#"{"type":"message_delta","delta":{"stop_reason":"tool_use"}}"#;
    assert_eq!(told(&[start, delta]), json!({"path": "/a \"x\""}));
    let named_outside = r#"{"content":[{"type":"tool_use","name":"f","input":"x"}]}"#;
    let whole = decode(named_outside.as_bytes()).unwrap();
    let calls = value(whole.choices[0].said.tool_calls.as_ref().unwrap());
    assert_eq!(calls[0]["function"]["arguments"], "\"x\"");
    assert_eq!(calls[0]["id"], "toolu_0");
}

#[test]
fn an_event_may_be_named_outside_its_data() {
    let mut decoder = StreamDecoder::default();
    let stop = Event {
        name: Some("message_stop".to_owned()),
        data: "{}".to_owned(),
    };
    decoder.read(&stop).unwrap();
    assert!(decoder.is_done());
}

#[test]
fn pieces_of_text_are_not_copied() {
    let data = r#"{"type":"content_block_delta","delta":{"type":"text_delta","text":"a\u00e9"}}"#;
    let event = event(data.to_owned());
    let read = StreamDecoder::default().read(&event).unwrap();
    let content = read.deltas[0].said.content.as_ref().unwrap();
    assert!(matches!(
        content,
        std::borrow::Cow::Borrowed(r#""a\u00e9""#)
    ));
}

#[test]
fn errors_are_told_in_the_providers_words() {
    let key = Secret::new("sk-ant-secret");
    let scrub = Scrub {
        key: &key,
        host: "api.anthropic.com",
        upstream_model: "claude-upstream",
        alias: "fast",
    };
    let body = json!({"type": "error", "request_id": "req_1", "error":
        {"type": "invalid_request_error", "message": "claude-upstream: max_tokens is too large"}});
    let reply = |status| UpstreamReply {
        status,
        retry_after: None,
        body: body.to_string().into(),
    };
    let rejected = failure(&reply(400), scrub);
    assert!(matches!(rejected, UpstreamFailure::Rejected(_)));
    assert_eq!(rejected.to_string(), "fast: max_tokens is too large");
    let overloaded = failure(&reply(529), scrub);
    assert!(matches!(overloaded, UpstreamFailure::ServerError { .. }));
}

const EVENTS: [&str; 6] = [
    "message_start",
    "content_block_start",
    "content_block_delta",
    "content_block_stop",
    "message_delta",
    "message_stop",
];

const BLOCKS: [&str; 8] = [
    "text",
    "thinking",
    "redacted_thinking",
    "tool_use",
    "text_delta",
    "thinking_delta",
    "signature_delta",
    "input_json_delta",
];

const FIELDS: [&str; 10] = [
    "text",
    "thinking",
    "signature",
    "data",
    "id",
    "name",
    "input",
    "partial_json",
    "stop_reason",
    "stop_sequence",
];

fn wild_leaf() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        proptest::sample::select(vec!["", "{}", "stop_sequence", ANSWER_TOOL])
            .prop_map(Value::from),
        Just(json!({})),
        Just(json!([1])),
    ]
}

/// A block of a known type with anything in its fields.
fn wild_block() -> impl Strategy<Value = Value> {
    let field = (proptest::sample::select(FIELDS.to_vec()), wild_leaf());
    let fields = proptest::collection::vec(field, 0..8);
    (proptest::sample::select(BLOCKS.to_vec()), fields).prop_map(|(kind, fields)| {
        let mut block = json!({"type": kind});
        for (name, json) in fields {
            block[name] = json;
        }
        block
    })
}

/// An event of a known type with anything in its fields.
fn wild_event() -> impl Strategy<Value = Value> {
    let kind = proptest::sample::select(EVENTS.to_vec());
    let tokens = prop_oneof![
        wild_leaf(),
        any::<i64>().prop_map(|n| json!({"output_tokens": n}))
    ];
    (kind, 0_u64..2, wild_block(), tokens).prop_map(|(kind, index, block, usage)| {
        json!({"type": kind, "index": index, "content_block": block.clone(), "delta": block,
            "message": {"usage": usage.clone()}, "usage": usage})
    })
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 512,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn no_bytes_make_the_decoders_panic(bytes in any::<Vec<u8>>(), leaf in wild_leaf()) {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        for data in [text, leaf.to_string(), json!({"content": leaf}).to_string()] {
            let _ = decode(data.as_bytes());
            let _ = StreamDecoder::default().read(&event(data));
        }
        let _ = decode(&bytes);
    }

    #[test]
    fn whatever_is_read_is_valid_json(
        blocks in proptest::collection::vec(wild_block(), 0..4),
        events in proptest::collection::vec(wild_event(), 0..8),
    ) {
        let body = json!({"content": blocks}).to_string();
        if let Ok(completion) = decode(body.as_bytes()) {
            said(&completion.choices[0].said);
        }
        let mut decoder = StreamDecoder::default();
        for data in events {
            if let Ok(read) = decoder.read(&event(data.to_string())) {
                chunk(&read);
            }
        }
    }
}
