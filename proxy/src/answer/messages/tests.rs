use proptest::prelude::*;
use serde_json::{Value, json};
use tollgate_common::clock::Timestamp;
use tollgate_common::id::CallId;

use super::*;
use crate::chat::{Chunk, Delta};

const USAGE: Usage = Usage {
    input_uncached: 6,
    input_cache_read: 3,
    input_cache_write: 1,
    input_cache_write_1h: 0,
    input_audio: 0,
    input_audio_cache_read: 0,
    input_image: 0,
    output_text: 4,
    output_reasoning: 2,
    output_audio: 0,
    output_image: 0,
    fees: tollgate_common::price::FeeCounts::NONE,
};

const CALL: &str = "call_00000000000000000000000000000001";

fn call_id() -> CallId {
    CALL.parse().unwrap()
}

fn written(choice: Choice<'_>) -> Value {
    let answer = Answer {
        call_id: call_id(),
        alias: "claude",
        requested_model: "group",
        usage: USAGE,
        latency_ms: 5,
        created_at: Timestamp::from_micros(7_000_000),
        is_cached: false,
    };
    let completion = Completion {
        choices: vec![choice],
        ..Completion::default()
    };
    serde_json::from_slice(&write(&answer, &completion)).unwrap()
}

fn choice(said: Said<'_>, finish_reason: FinishReason) -> Choice<'_> {
    Choice {
        said,
        finish_reason,
        ..Choice::default()
    }
}

fn content(text: &str) -> Said<'_> {
    Said {
        content: Some(text.into()),
        ..Said::default()
    }
}

fn tool_calls(json: &str) -> Said<'_> {
    Said {
        tool_calls: Some(json.into()),
        ..Said::default()
    }
}

#[test]
fn a_whole_answer_has_all_blocks_in_order() {
    let said = Said {
        content: Some("\"It is\"".into()),
        reasoning: Some("\"hm\"".into()),
        reasoning_signature: Some("\"sig\"".into()),
        redacted_reasoning: Some("\"xyz\"".into()),
        tool_calls: Some(
            r#"[{"id":"t1","type":"function","function":{"name":"f","arguments":"{\"a\": [1]}"}}]"#
                .into(),
        ),
        ..Said::default()
    };
    assert_eq!(
        written(choice(said, FinishReason::ToolCalls)),
        json!({
            "id": "msg_00000000000000000000000000000001", "type": "message",
            "role": "assistant", "model": "claude",
            "content": [
                {"type": "thinking", "thinking": "hm", "signature": "sig"},
                {"type": "redacted_thinking", "data": "xyz"},
                {"type": "text", "text": "It is"},
                {"type": "tool_use", "id": "t1", "name": "f", "input": {"a": [1]}}],
            "stop_reason": "tool_use", "stop_sequence": null,
            "usage": {"input_tokens": 6, "cache_creation_input_tokens": 1,
                "cache_creation": {"ephemeral_5m_input_tokens": 1, "ephemeral_1h_input_tokens": 0},
                "cache_read_input_tokens": 3, "output_tokens": 6}
        })
    );
}

#[test]
fn writes_to_a_cache_are_told_as_a_whole_and_by_how_long_they_are_kept() {
    let usage = Usage {
        input_uncached: 7,
        input_cache_write: 400,
        input_cache_write_1h: 600,
        ..Usage::default()
    };
    let mut json = Vec::new();
    write_usage(&mut json, &usage);
    let told: Value = serde_json::from_slice(&json).unwrap();
    assert_eq!(told["cache_creation_input_tokens"], 1_000);
    let parts = json!({"ephemeral_5m_input_tokens": 400, "ephemeral_1h_input_tokens": 600});
    assert_eq!(told["cache_creation"], parts);
    assert_eq!(told["input_tokens"], 7);
}

/// A message of a server that still writes `function_call`.
fn function_call(json: &str) -> Said<'_> {
    Said {
        others: vec![("function_call".into(), json.into())],
        ..Said::default()
    }
}

#[test]
fn a_function_call_of_the_former_kind_is_a_request_for_a_tool() {
    let whole = function_call(r#"{"name":"f","arguments":"{\"a\":1}"}"#);
    let answer = written(choice(whole, FinishReason::ToolCalls));
    assert_eq!(answer["stop_reason"], "tool_use");
    let block = &answer["content"][0];
    assert_eq!(
        (&block["type"], &block["name"]),
        (&json!("tool_use"), &json!("f"))
    );
    assert_eq!(block["input"], json!({"a": 1}));
    let chunks = [
        chunk(function_call(r#"{"name":"f","arguments":""}"#)),
        chunk(function_call(r#"{"arguments":"{\"a\":"}"#)),
        chunk(function_call(r#"{"arguments":"1}"}"#)),
        end(FinishReason::ToolCalls, None),
    ];
    let events = told(&chunks);
    assert_eq!(
        events.matches(r#""type":"tool_use""#).count(),
        1,
        "{events}"
    );
    assert!(events.contains(r#""partial_json":"{\"a\":""#), "{events}");
    assert!(events.contains(r#""partial_json":"1}""#), "{events}");
}

#[test]
fn every_end_has_its_word() {
    let refused = || Said {
        refusal: Some("\"I will not\"".into()),
        ..Said::default()
    };
    for (choice, reason, sequence) in [
        (
            choice(content("\"a\""), FinishReason::Stop),
            "end_turn",
            json!(null),
        ),
        (
            choice(content("\"a\""), FinishReason::Length),
            "max_tokens",
            json!(null),
        ),
        (
            choice(content("\"\""), FinishReason::ContentFilter),
            "refusal",
            json!(null),
        ),
        (
            choice(refused(), FinishReason::Stop),
            "refusal",
            json!(null),
        ),
        (
            Choice {
                stop_sequence: Some("\"END\"".into()),
                ..choice(content("\"a\""), FinishReason::Stop)
            },
            "stop_sequence",
            json!("END"),
        ),
    ] {
        let answer = written(choice);
        assert_eq!(
            (&answer["stop_reason"], &answer["stop_sequence"]),
            (&json!(reason), &sequence)
        );
    }
    let answer = written(choice(refused(), FinishReason::Stop));
    assert_eq!(
        answer["content"],
        json!([{"type": "text", "text": "I will not"}])
    );
    let empty = written(choice(content("\"\""), FinishReason::Stop));
    assert_eq!(empty["content"], json!([]));
}

#[test]
fn arguments_that_are_no_object_are_never_taken_for_a_request_without_any() {
    for (arguments, input) in [
        (r#""{\"a\":1}""#, json!({"a": 1})),
        (r#""""#, json!({})),
        (r#"" \n""#, json!({})),
        (r#"{"a":1}"#, json!({"a": 1})),
        ("null", json!({})),
        (r#""{\"a\":""#, json!({"invalid_arguments": "{\"a\":"})),
        (r#""[1]""#, json!({"invalid_arguments": "[1]"})),
        (
            r#""delete everything""#,
            json!({"invalid_arguments": "delete everything"}),
        ),
    ] {
        let list = format!(r#"[{{"function":{{"name":"f","arguments":{arguments}}}}}]"#);
        let answer = written(choice(tool_calls(&list), FinishReason::ToolCalls));
        let expected = json!([{"type": "tool_use", "name": "f", "input": input,
            "id": "toolu_00000000000000000000000000000001_0"}]);
        assert_eq!(answer["content"], expected, "{arguments}");
    }
}

fn chunk(said: Said<'_>) -> Chunk<'_> {
    Chunk {
        deltas: vec![Delta {
            said,
            ..Delta::default()
        }],
        ..Chunk::default()
    }
}

fn end(finish_reason: FinishReason, stop_sequence: Option<&str>) -> Chunk<'_> {
    Chunk {
        deltas: vec![Delta {
            finish_reason: Some(finish_reason),
            stop_sequence: stop_sequence.map(Into::into),
            ..Delta::default()
        }],
        ..Chunk::default()
    }
}

fn told(chunks: &[Chunk<'_>]) -> String {
    let mut writer = StreamWriter::new(call_id(), "claude");
    let mut told = Vec::from(writer.begin(None));
    for chunk in chunks {
        told.extend(writer.chunk(chunk));
    }
    told.extend(writer.finish(&USAGE));
    String::from_utf8(told).unwrap()
}

/// What a stream says between its first and its last two events, one event a line.
fn middle(chunks: &[Chunk<'_>]) -> String {
    let stream = told(chunks);
    let events: Vec<&str> = stream.split_terminator("\n\n").collect();
    let (first, last) = (events[0], &events[events.len() - 2..]);
    assert!(first.starts_with("event: message_start\n"), "{first}");
    assert!(last[0].starts_with("event: message_delta\n"), "{last:?}");
    let data = events[1..events.len() - 2].iter().map(|event| {
        let (name, data) = event.split_once('\n').unwrap();
        let name = name.strip_prefix("event: ").unwrap();
        let data = data.strip_prefix("data: ").unwrap();
        let named = data
            .strip_prefix(&format!("{{\"type\":\"{name}\","))
            .unwrap();
        format!("{name} {{{named}\n")
    });
    data.collect()
}

#[test]
fn a_text_is_told_as_the_api_tells_it() {
    let chunks = [
        chunk(content("\"\"")),
        chunk(content("\"Hi\"")),
        chunk(content("\" you\"")),
        end(FinishReason::Stop, Some("\"END\"")),
    ];
    let expected = concat!(
        "event: message_start\n",
        r#"data: {"type":"message_start","message":{"id":"msg_00000000000000000000000000000001","#,
        r#""type":"message","role":"assistant","model":"claude","content":[],"stop_reason":null,"#,
        r#""stop_sequence":null,"usage":{"input_tokens":0,"cache_creation_input_tokens":0,"#,
        r#""cache_read_input_tokens":0,"cache_creation":{"ephemeral_5m_input_tokens":0,"#,
        r#""ephemeral_1h_input_tokens":0},"output_tokens":0}}}"#,
        "\n\nevent: content_block_start\n",
        r#"data: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#,
        "\n\nevent: content_block_delta\n",
        r#"data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hi"}}"#,
        "\n\nevent: content_block_delta\n",
        r#"data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":" you"}}"#,
        "\n\nevent: content_block_stop\n",
        r#"data: {"type":"content_block_stop","index":0}"#,
        "\n\nevent: message_delta\n",
        r#"data: {"type":"message_delta","delta":{"stop_reason":"stop_sequence","#,
        r#""stop_sequence":"END"},"usage":{"input_tokens":6,"cache_creation_input_tokens":1,"#,
        r#""cache_read_input_tokens":3,"cache_creation":{"ephemeral_5m_input_tokens":1,"#,
        r#""ephemeral_1h_input_tokens":0},"output_tokens":6}}"#,
        "\n\nevent: message_stop\n",
        r#"data: {"type":"message_stop"}"#,
        "\n\n",
    );
    assert_eq!(told(&chunks), expected);
}

#[test]
fn blocks_follow_one_another() {
    let chunks = [
        chunk(Said {
            reasoning: Some("\"hm\"".into()),
            ..Said::default()
        }),
        chunk(Said {
            reasoning_signature: Some("\"sig\"".into()),
            ..Said::default()
        }),
        chunk(Said {
            redacted_reasoning: Some("\"xyz\"".into()),
            ..Said::default()
        }),
        chunk(content("\"Hi\"")),
        chunk(tool_calls(
            r#"[{"index":0,"id":"a","function":{"name":"f","arguments":""}}]"#,
        )),
        chunk(tool_calls(
            r#"[{"index":0,"function":{"arguments":"{\"a\""}}]"#,
        )),
        chunk(tool_calls(
            r#"[{"index":0,"function":{"arguments":":1}"}},
                {"index":1,"id":"b","function":{"name":"g","arguments":"{}"}}]"#,
        )),
        end(FinishReason::ToolCalls, None),
    ];
    let expected = r#"content_block_start {"index":0,"content_block":{"type":"thinking","thinking":"","signature":""}}
content_block_delta {"index":0,"delta":{"type":"thinking_delta","thinking":"hm"}}
content_block_delta {"index":0,"delta":{"type":"signature_delta","signature":"sig"}}
content_block_stop {"index":0}
content_block_start {"index":1,"content_block":{"type":"redacted_thinking","data":"xyz"}}
content_block_stop {"index":1}
content_block_start {"index":2,"content_block":{"type":"text","text":""}}
content_block_delta {"index":2,"delta":{"type":"text_delta","text":"Hi"}}
content_block_stop {"index":2}
content_block_start {"index":3,"content_block":{"type":"tool_use","id":"a","name":"f","input":{}}}
content_block_delta {"index":3,"delta":{"type":"input_json_delta","partial_json":"{\"a\""}}
content_block_delta {"index":3,"delta":{"type":"input_json_delta","partial_json":":1}"}}
content_block_stop {"index":3}
content_block_start {"index":4,"content_block":{"type":"tool_use","id":"b","name":"g","input":{}}}
content_block_delta {"index":4,"delta":{"type":"input_json_delta","partial_json":"{}"}}
content_block_stop {"index":4}
"#;
    assert_eq!(middle(&chunks), expected);
    assert!(told(&chunks).contains("\"stop_reason\":\"tool_use\""));
}

#[test]
fn requests_with_one_index_but_two_ids_are_two() {
    let call = |id: &str, arguments: &str| {
        format!(
            r#"[{{"index":0,"id":"{id}","function":{{"name":"f","arguments":"{arguments}"}}}}]"#
        )
    };
    let lists = [call("a", "{}"), call("b", "{"), call("b", "}")];
    let chunks: Vec<_> = lists.iter().map(|list| chunk(tool_calls(list))).collect();
    let middle = middle(&chunks);
    assert_eq!(middle.matches("content_block_start").count(), 2, "{middle}");
    assert!(middle.contains(
        "{\"index\":1,\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":\"}\"}}"
    ));
    let stream = told(&chunks);
    assert!(stream.contains("\"stop_reason\":\"tool_use\""), "{stream}");
}

#[test]
fn other_answers_than_the_first_are_not_told() {
    let second = Chunk {
        deltas: vec![Delta {
            index: 1,
            said: content("\"not me\""),
            finish_reason: Some(FinishReason::Length),
            ..Delta::default()
        }],
        ..Chunk::default()
    };
    assert_eq!(middle(std::slice::from_ref(&second)), "");
    assert!(told(&[second]).contains("\"stop_reason\":\"end_turn\""));
}

#[test]
fn errors_and_signs_of_life_are_events() {
    assert_eq!(
        StreamWriter::error("overloaded_error", "not \"now\""),
        "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\
         \"message\":\"not \\\"now\\\"\"}}\n\n"
    );
    assert_eq!(
        StreamWriter::ping(),
        "event: ping\ndata: {\"type\":\"ping\"}\n\n"
    );
}

#[test]
fn nothing_that_was_said_is_shown_for_debugging() {
    let mut writer = StreamWriter::new(call_id(), "claude");
    writer.chunk(&end(FinishReason::Stop, Some("\"secret\"")));
    assert!(!format!("{writer:?}").contains("secret"));
}

/// A piece of an answer: a text, a thought, a signature, or a piece of a request.
#[derive(Debug, Clone)]
enum Piece {
    Text(String),
    Thought(String),
    Signature,
    Arguments(u32, String),
    Nonsense(String),
}

fn piece() -> impl Strategy<Value = Piece> {
    prop_oneof![
        ".*".prop_map(Piece::Text),
        ".*".prop_map(Piece::Thought),
        Just(Piece::Signature),
        (0_u32..3, ".*").prop_map(|(index, text)| Piece::Arguments(index, text)),
        ".*".prop_map(Piece::Nonsense),
    ]
}

fn said_by(piece: &Piece) -> Said<'static> {
    let quoted = |text: &str| Some(Value::from(text).to_string().into());
    let mut said = Said::default();
    match piece {
        Piece::Text(text) => said.content = quoted(text),
        Piece::Thought(text) => said.reasoning = quoted(text),
        Piece::Signature => said.reasoning_signature = quoted("sig"),
        Piece::Arguments(index, text) => {
            let call = json!([{"index": index, "function": {"arguments": text}}]);
            said.tool_calls = Some(call.to_string().into());
        }
        Piece::Nonsense(text) => said.tool_calls = Some(text.clone().into()),
    }
    said
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn texts_arrive_whole_in_blocks_that_are_begun_and_ended(
        pieces in prop::collection::vec(piece(), 0..20),
    ) {
        let chunks: Vec<_> = pieces.iter().map(|piece| chunk(said_by(piece))).collect();
        let stream = told(&chunks);
        let (mut text, mut thought) = (String::new(), String::new());
        let mut arguments: Vec<String> = Vec::new();
        let mut open = None;
        let mut blocks = 0;
        for event in stream.split_terminator("\n\n") {
            let data = event.split_once("\ndata: ").expect("a name and data").1;
            prop_assert!(!data.contains(['\n', '\r']));
            let data: Value = serde_json::from_str(data).expect("JSON");
            match data["type"].as_str().unwrap() {
                "content_block_start" => {
                    prop_assert_eq!(open, None);
                    prop_assert_eq!(&data["index"], blocks);
                    open = Some(blocks);
                    blocks += 1;
                    arguments.push(String::new());
                }
                "content_block_stop" => {
                    prop_assert_eq!(open.take(), data["index"].as_i64());
                }
                "content_block_delta" => {
                    let delta = &data["delta"];
                    let block = usize::try_from(data["index"].as_u64().unwrap()).unwrap();
                    text.push_str(delta["text"].as_str().unwrap_or_default());
                    thought.push_str(delta["thinking"].as_str().unwrap_or_default());
                    let partial = delta["partial_json"].as_str().unwrap_or_default();
                    arguments[block].push_str(partial);
                }
                _ => prop_assert_eq!(open, None),
            }
        }
        let of = |wanted: fn(&Piece) -> Option<&str>| -> String {
            pieces.iter().filter_map(wanted).collect()
        };
        prop_assert_eq!(text, of(|p| match p { Piece::Text(t) => Some(t), _ => None }));
        prop_assert_eq!(thought, of(|p| match p { Piece::Thought(t) => Some(t), _ => None }));
        let mut wanted = [0, 1, 2].map(|index| -> String {
            let own = pieces.iter().filter_map(|piece| match piece {
                Piece::Arguments(of, text) if *of == index => Some(text.as_str()),
                _ => None,
            });
            own.collect()
        });
        arguments.retain(|text| !text.is_empty());
        arguments.sort();
        wanted.sort();
        let wanted: Vec<&String> = wanted.iter().filter(|text| !text.is_empty()).collect();
        prop_assert_eq!(arguments.iter().collect::<Vec<_>>(), wanted);
    }

    #[test]
    fn whole_answers_are_json_whatever_a_request_holds(list in ".*", arguments in ".*") {
        let call = json!([{"id": list, "function": {"name": list, "arguments": arguments}}]);
        for json in [list, call.to_string()] {
            let answer = written(choice(tool_calls(&json), FinishReason::ToolCalls));
            prop_assert_eq!(&answer["type"], "message");
        }
    }
}
