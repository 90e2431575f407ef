use std::borrow::Cow;

use proptest::prelude::*;
use serde_json::{Value, json};
use tollgate_common::clock::Timestamp;
use tollgate_common::id::CallId;

use super::*;
use crate::chat::{Choice, Chunk, Delta, FinishReason};

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

fn writer(style: Style) -> StreamWriter {
    StreamWriter::new(call_id(), Timestamp::from_micros(7_000_000), "fast", style)
}

const OPEN_AI: Style = Style::OpenAi {
    include_usage: true,
};

const OPEN_AI_WITHOUT_USAGE: Style = Style::OpenAi {
    include_usage: false,
};

fn delta(said: Said<'_>) -> Delta<'_> {
    Delta {
        said,
        ..Delta::default()
    }
}

fn content(text: &str) -> Said<'_> {
    Said {
        content: Some(text.into()),
        ..Said::default()
    }
}

fn end(reason: FinishReason) -> Delta<'static> {
    Delta {
        finish_reason: Some(reason),
        ..Delta::default()
    }
}

fn chunk<'a>(deltas: impl IntoIterator<Item = Delta<'a>>) -> Chunk<'a> {
    Chunk {
        deltas: deltas.into_iter().collect(),
        ..Chunk::default()
    }
}

/// A stream as text, without what every event begins with.
fn told(style: Style, chunks: &[Chunk<'_>]) -> String {
    let mut writer = writer(style);
    let mut told = Vec::new();
    for chunk in chunks {
        told.extend(writer.chunk(chunk));
    }
    told.extend(writer.finish(&USAGE));
    let head = "data: {\"id\":\"chatcmpl-00000000000000000000000000000001\",\
                \"object\":\"chat.completion.chunk\",\"created\":7,\"model\":\"fast\",\"choices\":[";
    String::from_utf8(told).unwrap().replace(head, "> ")
}

#[test]
fn a_whole_answer_has_all_that_the_model_said_and_the_details_of_its_usage() {
    let choice = |said, finish_reason, logprobs| Choice {
        said,
        finish_reason,
        logprobs,
        ..Choice::default()
    };
    let everything = Said {
        content: Some("\"H\\u00e9\"".into()),
        reasoning: Some("\"hm\"".into()),
        reasoning_signature: Some("\"only for its own dialect\"".into()),
        refusal: Some("\"no\"".into()),
        tool_calls: Some("[{\"id\":\"t\"}]".into()),
        others: vec![("annotations".into(), "[1]".into())],
        ..Said::default()
    };
    let completion = Completion {
        choices: vec![
            choice(
                everything,
                FinishReason::ToolCalls,
                Some("{\"content\":[]}".into()),
            ),
            choice(Said::default(), FinishReason::Length, None),
        ],
        counted: None,
        others: vec![("citations".into(), "[\n1]".into())],
    };
    let answer = Answer {
        call_id: call_id(),
        alias: "fast \"one\"",
        requested_model: "group",
        usage: USAGE,
        latency_ms: 5,
        created_at: Timestamp::from_micros(7_000_000),
        is_cached: false,
    };
    let json = write(&answer, &completion);
    let expected = concat!(
        r#"{"id":"chatcmpl-00000000000000000000000000000001","object":"chat.completion","#,
        r#""created":7,"model":"fast \"one\"","choices":[{"index":0,"message":{"#,
        r#""role":"assistant","content":"H\u00e9","refusal":"no","reasoning_content":"hm","#,
        r#""tool_calls":[{"id":"t"}],"annotations":[1]},"logprobs":{"content":[]},"#,
        r#""finish_reason":"tool_calls"},{"index":1,"message":{"role":"assistant","#,
        r#""content":null},"finish_reason":"length"}],"usage":{"prompt_tokens":10,"#,
        r#""completion_tokens":6,"total_tokens":16,"#,
        r#""prompt_tokens_details":{"cached_tokens":3},"#,
        r#""completion_tokens_details":{"reasoning_tokens":2}},"citations":[ 1]}"#,
    );
    assert_eq!(std::str::from_utf8(&json).unwrap(), expected);
}

#[test]
fn openais_stream_ends_the_answer_at_once_and_tells_the_usage_last() {
    let chunks = [
        // The provider's own first piece, which all of them write differently.
        chunk([delta(content("\"\""))]),
        chunk([delta(content("\"Hi\""))]),
        chunk([delta(Said::default())]),
        Chunk::default(),
        chunk([Delta {
            finish_reason: Some(FinishReason::Stop),
            logprobs: Some("{\n\"content\":[]}".into()),
            ..delta(content("\" you\""))
        }]),
    ];
    let expected = concat!(
        r#"> {"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}],"usage":null}"#,
        "\n\n",
        r#"> {"index":0,"delta":{"content":"Hi"},"finish_reason":null}],"usage":null}"#,
        "\n\n",
        r#"> {"index":0,"delta":{"content":" you"},"logprobs":{ "content":[]},"finish_reason":null}],"usage":null}"#,
        "\n\n",
        r#"> {"index":0,"delta":{},"finish_reason":"stop"}],"usage":null}"#,
        "\n\n",
        r#"> ],"usage":{"prompt_tokens":10,"completion_tokens":6,"total_tokens":16,"prompt_tokens_details":{"cached_tokens":3},"completion_tokens_details":{"reasoning_tokens":2}}}"#,
        "\n\n",
    );
    assert_eq!(told(OPEN_AI, &chunks), expected);
    let without = told(OPEN_AI_WITHOUT_USAGE, &chunks);
    assert!(!without.contains("usage"), "{without}");
    assert!(without.ends_with("\"finish_reason\":\"stop\"}]}\n\n"));
}

#[test]
fn the_job_apis_stream_ends_with_reason_and_usage_in_one_piece() {
    let chunks = [
        chunk([delta(content("\"Hi\"")), end(FinishReason::Length)]),
        chunk([Delta {
            index: 2,
            ..delta(content("\"Ho\""))
        }]),
    ];
    let expected = concat!(
        r#"> {"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}"#,
        "\n\n",
        r#"> {"index":0,"delta":{"content":"Hi"},"finish_reason":null}]}"#,
        "\n\n",
        r#"> {"index":2,"delta":{"role":"assistant","content":""},"finish_reason":null}]}"#,
        "\n\n",
        r#"> {"index":2,"delta":{"content":"Ho"},"finish_reason":null}]}"#,
        "\n\n",
        r#"> {"index":0,"delta":{},"finish_reason":"length"}],"usage":{"prompt_tokens":10,"completion_tokens":6,"total_tokens":16}}"#,
        "\n\n",
        r#"> {"index":2,"delta":{},"finish_reason":"stop"}],"usage":{"prompt_tokens":10,"completion_tokens":6,"total_tokens":16}}"#,
        "\n\n",
    );
    assert_eq!(told(Style::Job, &chunks), expected);
}

#[test]
fn everything_that_a_piece_says_travels_on_one_line() {
    let said = Said {
        reasoning: Some("\"hm\"".into()),
        refusal: Some("\"no\"".into()),
        tool_calls: Some("[\n  {\"index\": 0}\r\n]".into()),
        others: vec![("audio".into(), "{\"id\":\"a\"}".into())],
        ..Said::default()
    };
    let told = told(OPEN_AI_WITHOUT_USAGE, &[chunk([delta(said)])]);
    let pieces: Vec<&str> = told.split_terminator("\n\n").collect();
    assert_eq!(
        pieces[1],
        "> {\"index\":0,\"delta\":{\"refusal\":\"no\",\"reasoning_content\":\"hm\",\
         \"tool_calls\":[   {\"index\": 0}  ],\"audio\":{\"id\":\"a\"}},\"finish_reason\":null}]}"
    );
    assert_eq!(
        pieces[2],
        "> {\"index\":0,\"delta\":{},\"finish_reason\":\"tool_calls\"}]}"
    );
}

#[test]
fn an_answer_of_nothing_is_a_whole_stream_too() {
    for style in [Style::Job, OPEN_AI, OPEN_AI_WITHOUT_USAGE] {
        let told = told(style, &[]);
        assert!(told.contains("\"role\":\"assistant\""), "{told}");
        assert!(told.contains("\"finish_reason\":\"stop\""), "{told}");
    }
}

#[test]
fn a_reason_is_told_once() {
    let chunks = [
        chunk([end(FinishReason::ContentFilter)]),
        chunk([end(FinishReason::Stop)]),
    ];
    for style in [Style::Job, OPEN_AI] {
        let told = told(style, &chunks);
        assert_eq!(told.matches("\"content_filter\"").count(), 1, "{told}");
        assert!(!told.contains("\"stop\""), "{told}");
    }
}

#[test]
fn errors_end_the_stream_in_the_words_of_the_api() {
    let told = |style| {
        let bytes = writer(style).error("too \"much\"\n", "rate_limit_error", "rate_limit");
        String::from_utf8(bytes.to_vec()).unwrap()
    };
    assert_eq!(
        told(Style::Job),
        "data: {\"error\":\"too \\\"much\\\"\\n\",\"error_detail\":{\"message\":\
         \"too \\\"much\\\"\\n\",\"type\":\"rate_limit_error\",\"code\":\"rate_limit\"}}\n\n\
         data: [DONE]\n\n"
    );
    assert_eq!(
        told(OPEN_AI),
        "data: {\"error\":{\"message\":\"too \\\"much\\\"\\n\",\"type\":\"rate_limit_error\",\
         \"param\":null,\"code\":\"rate_limit\"}}\n\ndata: [DONE]\n\n"
    );
    assert_eq!(StreamWriter::ping(), ": keepalive\n\n");
}

/// The events of a stream, each of which must be one line of valid JSON.
fn events(stream: &str) -> Vec<Value> {
    let pieces = stream.split_terminator("\n\n");
    let events = pieces.map(|piece| {
        let data = piece.strip_prefix("data: ").expect("data");
        assert!(!data.contains(['\n', '\r']), "{data:?}");
        serde_json::from_str(data).expect("JSON")
    });
    events.collect()
}

fn any_style() -> impl Strategy<Value = Style> {
    prop_oneof![Just(Style::Job), Just(OPEN_AI), Just(OPEN_AI_WITHOUT_USAGE)]
}

fn any_reason() -> impl Strategy<Value = Option<FinishReason>> {
    prop_oneof![
        4 => Just(None),
        1 => Just(Some(FinishReason::Stop)),
        1 => Just(Some(FinishReason::ToolCalls)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn texts_arrive_whole_whatever_they_are(
        style in any_style(),
        pieces in prop::collection::vec((0_u32..3, ".*", any_reason()), 0..12),
    ) {
        let mut writer = writer(style);
        let mut stream = Vec::new();
        let mut said = [String::new(), String::new(), String::new()];
        for (index, text, finish_reason) in &pieces {
            said[*index as usize].push_str(text);
            let json = Value::from(text.as_str()).to_string();
            let delta = Delta {
                index: *index,
                said: Said { content: Some(Cow::Owned(json)), ..Said::default() },
                finish_reason: *finish_reason,
                ..Delta::default()
            };
            stream.extend(writer.chunk(&chunk([delta])));
        }
        stream.extend(writer.finish(&USAGE));
        let mut heard = [String::new(), String::new(), String::new()];
        let mut ends = 0;
        for event in events(std::str::from_utf8(&stream).unwrap()) {
            for choice in event["choices"].as_array().unwrap() {
                let index = usize::try_from(choice["index"].as_u64().unwrap()).unwrap();
                let content = &choice["delta"]["content"];
                prop_assert!(choice["delta"].get("content") != Some(&json!(null)));
                heard[index].push_str(content.as_str().unwrap_or_default());
                ends += usize::from(!choice["finish_reason"].is_null());
            }
        }
        prop_assert_eq!(said, heard);
        let mut indexes: Vec<u32> = pieces.iter().map(|(index, ..)| *index).collect();
        indexes.sort_unstable();
        indexes.dedup();
        prop_assert_eq!(ends, indexes.len().max(1));
    }
}
