//! Nothing that comes in makes the dialect fail, and what goes out is well formed.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{chunk, completion, decode, encode, event};
use crate::chat::Json;
use crate::conversation::{
    Conversation, Effort, Format, Part, Source, Speaker, Thinking, Tool, ToolChoice, Turn,
};
use crate::provider::Order;
use crate::provider::gemini::stream::StreamDecoder;

/// Words that mean something somewhere in the dialect, and some that do not.
const WORDS: [&str; 10] = [
    "",
    "STOP",
    "SAFETY",
    "a",
    "é\"\\\n",
    "{\"a\":1}",
    "gemini-3-pro",
    "image/png",
    "https://example.com/a.png",
    "\u{0}\u{10ffff}",
];

fn word() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => proptest::sample::select(&WORDS[..]).prop_map(str::to_owned),
        1 => any::<String>(),
    ]
}

/// Any JSON.
fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        word().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..3).prop_map(Value::from),
            vec((word(), inner), 0..3).prop_map(|fields| fields.into_iter().collect()),
        ]
    })
}

/// Mostly what it should be, sometimes anything.
fn mostly(what: impl Strategy<Value = Value>) -> impl Strategy<Value = Value> {
    prop_oneof![12 => what, 1 => value()]
}

/// An object with some of these fields.
fn object(fields: Vec<(&'static str, BoxedStrategy<Value>)>) -> impl Strategy<Value = Value> {
    let fields: Vec<_> = fields
        .into_iter()
        .map(|(name, field)| option::of(field).prop_map(move |field| (name, field)))
        .collect();
    fields.prop_map(|fields| {
        let present = fields
            .into_iter()
            .filter_map(|(name, field)| Some((name.to_owned(), field?)));
        present.collect::<Value>()
    })
}

fn arguments() -> impl Strategy<Value = Value> {
    vec((word(), value()), 0..3).prop_map(|fields| fields.into_iter().collect())
}

fn text_part() -> impl Strategy<Value = Value> {
    (word(), any::<bool>()).prop_map(|(text, thought)| json!({"text": text, "thought": thought}))
}

fn signed_part() -> impl Strategy<Value = Value> {
    (word(), word())
        .prop_map(|(text, signature)| json!({"text": text, "thoughtSignature": signature}))
}

fn call_part() -> impl Strategy<Value = Value> {
    (word(), option::of(arguments()), option::of(word())).prop_map(
        |(name, args, id)| json!({"functionCall": {"name": name, "args": args, "id": id}}),
    )
}

/// Parts that the dialect allows.
fn parts() -> impl Strategy<Value = Vec<Value>> {
    vec(prop_oneof![text_part(), signed_part(), call_part()], 0..6)
}

fn usage() -> impl Strategy<Value = Value> {
    let count = || mostly((0_i64..2_000).prop_map(Value::from)).boxed();
    object(vec![
        ("promptTokenCount", count()),
        ("cachedContentTokenCount", count()),
        ("candidatesTokenCount", count()),
        ("thoughtsTokenCount", count()),
        ("toolUsePromptTokenCount", count()),
    ])
}

/// Something that looks like an answer.
fn answer() -> impl Strategy<Value = Value> {
    let part = mostly(prop_oneof![text_part(), signed_part(), call_part()]);
    let parts = mostly(vec(part, 0..4).prop_map(Value::from));
    let content = mostly(object(vec![("parts", parts.boxed())]));
    let candidate = mostly(object(vec![
        ("content", content.boxed()),
        ("index", mostly((0_u32..3).prop_map(Value::from)).boxed()),
        ("finishReason", mostly(word().prop_map(Value::from)).boxed()),
    ]));
    let candidates = mostly(vec(candidate, 0..4).prop_map(Value::from));
    let feedback = object(vec![("blockReason", value().boxed())]);
    object(vec![
        ("candidates", candidates.boxed()),
        ("promptFeedback", mostly(feedback).boxed()),
        ("usageMetadata", mostly(usage()).boxed()),
        ("responseId", mostly(word().prop_map(Value::from)).boxed()),
    ])
}

fn owned(text: String) -> std::borrow::Cow<'static, str> {
    text.into()
}

fn json_of(value: impl Strategy<Value = Value>) -> impl Strategy<Value = Json<'static>> {
    value.prop_map(|value| value.to_string().into())
}

fn bytes() -> impl Strategy<Value = Source<'static>> {
    (word(), word()).prop_map(|(media_type, data)| Source::Base64 {
        media_type: owned(media_type),
        data: owned(data),
    })
}

fn image(source: Source<'static>) -> Part<'static> {
    Part::Image {
        source,
        cache_control: None,
    }
}

fn call(id: &'static str, name: String, input: Json<'static>) -> Part<'static> {
    Part::ToolUse {
        id: id.into(),
        name: owned(name),
        input,
        cache_control: None,
    }
}

fn id() -> impl Strategy<Value = &'static str> {
    prop_oneof![9 => Just("a"), 1 => Just("b")]
}

fn text() -> impl Strategy<Value = Part<'static>> {
    word().prop_map(|text| Part::text(owned(text)))
}

fn result() -> impl Strategy<Value = Part<'static>> {
    let content = prop_oneof![
        9 => text(),
        3 => bytes().prop_map(image),
        1 => word().prop_map(|url| image(Source::Url(owned(url)))),
    ];
    (id(), vec(content, 0..3), any::<bool>()).prop_map(|(id, content, is_error)| Part::ToolResult {
        id: id.into(),
        content,
        is_error,
        cache_control: None,
    })
}

fn part() -> impl Strategy<Value = Part<'static>> {
    let thought = (word(), option::of(word())).prop_map(|(text, signature)| Part::Thinking {
        text: owned(text),
        signature: signature.map(owned),
    });
    let called = (id(), word(), json_of(arguments()));
    prop_oneof![
        8 => text(),
        3 => bytes().prop_map(image),
        3 => bytes().prop_map(|source| Part::Audio { source }),
        1 => word().prop_map(|url| image(Source::Url(owned(url)))),
        6 => called.prop_map(|(id, name, input)| call(id, name, input)),
        6 => result(),
        4 => thought,
        2 => word().prop_map(|data| Part::RedactedThinking { data: owned(data) }),
    ]
}

/// Some turns, mostly after one that asks for a tool.
fn turns() -> impl Strategy<Value = Vec<Turn<'static>>> {
    let speaker = prop_oneof![Just(Speaker::User), Just(Speaker::Assistant)];
    let turn = (speaker, vec(part(), 0..4));
    let turn = turn.prop_map(|(speaker, parts)| Turn { speaker, parts });
    (proptest::bool::weighted(0.9), vec(turn, 0..5)).prop_map(|(asks, turns)| {
        let asked = asks.then(|| Turn {
            speaker: Speaker::Assistant,
            parts: vec![call("a", "f".to_owned(), "{}".into())],
        });
        asked.into_iter().chain(turns).collect()
    })
}

fn tool() -> impl Strategy<Value = Tool<'static>> {
    let schema = option::of(json_of(arguments()));
    (word(), option::of(word()), schema, any::<Option<bool>>()).prop_map(
        |(name, description, parameters, strict)| Tool {
            name: owned(name),
            description: description.map(owned),
            parameters,
            strict,
            cache_control: None,
        },
    )
}

fn conversation() -> impl Strategy<Value = Conversation<'static>> {
    let choice = prop_oneof![
        Just(ToolChoice::Auto),
        Just(ToolChoice::None),
        Just(ToolChoice::Required),
        word().prop_map(|name| ToolChoice::Named(owned(name))),
    ];
    let format = prop_oneof![
        8 => Just(None),
        1 => Just(Some(None)),
        1 => json_of(arguments()).prop_map(|schema| Some(Some(schema))),
    ];
    let thinking = prop_oneof![
        Just(Thinking::Off),
        Just(Thinking::Adaptive),
        Just(Thinking::Effort(Effort::High)),
        any::<i64>().prop_map(Thinking::Budget),
    ];
    let number = option::of(any::<i32>().prop_map(|n| Json::from(n.to_string())));
    (
        vec(word(), 0..3),
        turns(),
        vec(tool(), 0..3),
        option::of(choice),
        format,
        option::of(thinking),
        number,
        vec(word(), 0..3),
    )
        .prop_map(
            |(system, turns, tools, tool_choice, format, thinking, number, stop)| Conversation {
                system: system.into_iter().map(|t| Part::text(owned(t))).collect(),
                turns,
                tools,
                tool_choice,
                temperature: number.clone(),
                top_k: number,
                stop,
                format: match format {
                    None => Format::Text,
                    Some(None) => Format::Object,
                    Some(Some(schema)) => Format::Schema {
                        name: "a".into(),
                        schema,
                        strict: true,
                    },
                },
                thinking,
                ..Conversation::default()
            },
        )
}

/// All that is said in a stream, put together as clients do it.
fn put_together(chunks: &[Value]) -> Value {
    let mut whole = json!({});
    for deltas in chunks.iter().filter_map(|chunk| chunk["deltas"].as_array()) {
        for (name, piece) in deltas.iter().filter_map(Value::as_object).flatten() {
            let so_far = whole[name].take();
            whole[name] = match (so_far, piece) {
                (Value::String(before), Value::String(piece)) => json!(before + piece),
                (Value::Array(before), Value::Array(piece)) => {
                    json!([before, piece.clone()].concat())
                }
                (_, piece) => piece.clone(),
            };
        }
    }
    whole
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 512,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn any_bytes_are_read_or_refused(bytes in any::<Vec<u8>>()) {
        if let Ok(read) = decode(&bytes) {
            completion(&read);
        }
        let event = event(&String::from_utf8_lossy(&bytes));
        if let Ok(read) = StreamDecoder::default().read(&event) {
            chunk(&read);
        }
    }

    /// What is read is well formed JSON: `completion` and `chunk` parse all of it.
    #[test]
    fn anything_like_an_answer_is_read_or_refused(answers in vec(answer(), 1..5)) {
        let mut decoder = StreamDecoder::default();
        for answer in answers {
            let pretty = serde_json::to_string_pretty(&answer).unwrap();
            if let Ok(read) = decode(pretty.as_bytes()) {
                prop_assert!(!read.choices.is_empty());
                completion(&read);
            }
            if let Ok(read) = decoder.read(&event(&pretty)) {
                chunk(&read);
            }
        }
    }

    #[test]
    fn a_stream_says_what_the_whole_answer_says(parts in parts()) {
        let piece = |parts: &[Value], reason: Option<&str>| {
            json!({"candidates": [{"content": {"parts": parts}, "finishReason": reason}]})
        };
        let whole = piece(&parts, Some("STOP")).to_string();
        let whole = completion(&decode(whole.as_bytes()).unwrap());
        let mut expected = whole["choices"][0].clone();
        for (index, call) in expected["tool_calls"].as_array_mut().into_iter().flatten().enumerate()
        {
            call["index"] = json!(index);
        }
        if expected["tool_calls"].is_null() {
            expected.as_object_mut().unwrap().remove("tool_calls");
        }
        expected["index"] = json!(0);

        let mut decoder = StreamDecoder::default();
        let pieces = parts.chunks(1).map(|parts| piece(parts, None));
        let mut chunks = Vec::new();
        for piece in pieces.chain([piece(&[], Some("STOP"))]) {
            prop_assert!(!decoder.progress().may_end());
            chunks.push(chunk(&decoder.read(&event(&piece.to_string())).unwrap()));
        }
        prop_assert!(decoder.progress().may_end());
        chunks.push(chunk(&decoder.finish()));
        prop_assert_eq!(put_together(&chunks), expected);
    }

    #[test]
    fn any_conversation_is_said_in_json_or_refused(
        conversation in conversation(),
        model in word(),
        stream in any::<bool>(),
    ) {
        let order = Order {
            upstream_model: &model,
            output_tokens_max: Some(5),
            thoughts_max: None,
            stream,
        };
        if let Ok(encoded) = encode(&conversation, order) {
            let body: Value = serde_json::from_slice(&encoded.body).unwrap();
            let contents = body["contents"].as_array().unwrap();
            prop_assert!(!contents.is_empty());
            for pair in contents.windows(2) {
                prop_assert_ne!(&pair[0]["role"], &pair[1]["role"]);
            }
            for content in contents {
                prop_assert!(!content["parts"].as_array().unwrap().is_empty());
            }
            let path = encoded.endpoint.strip_prefix('/').unwrap();
            prop_assert!(path.is_ascii() && path.matches('/').count() == 1);
        }
    }
}
