//! What callers write in OpenAI's dialect, and what is understood.

use proptest::prelude::*;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::*;
use crate::conversation::{Part, Source, Speaker, Turn};
use crate::request::{CallRequest, Prompt};

/// Reads a body as it comes through the door. Tests may leak.
fn read_body(body: Value) -> Result<Conversation<'static>, Untranslatable> {
    let body: &'static str = Box::leak(body.to_string().into_boxed_str());
    let request = CallRequest::parse_completions(body.as_bytes()).unwrap();
    let Prompt::Completions(chat) = request.prompt else {
        panic!("chat completions are kept as they came");
    };
    Conversation::of_completions(&chat)
}

fn messages(messages: Value) -> Conversation<'static> {
    read_body(json!({"messages": messages})).unwrap()
}

fn with(field: &str, value: Value) -> Result<Conversation<'static>, Untranslatable> {
    let mut body = json!({"messages": [{"role": "user", "content": "hi"}]});
    body[field] = value;
    read_body(body)
}

/// `field: message` of a refused field.
fn refused(field: &str, value: Value) -> String {
    let refusal = with(field, value).unwrap_err();
    format!("{}: {}", refusal.field, refusal.message)
}

/// The way to what is refused in a message.
fn refused_message(message: Value) -> String {
    read_body(json!({"messages": [message]})).unwrap_err().field
}

fn text(text: &'static str) -> Part<'static> {
    Part::text(text.into())
}

fn turn(speaker: Speaker, parts: Vec<Part<'static>>) -> Turn<'static> {
    Turn { speaker, parts }
}

fn png() -> Source<'static> {
    Source::Base64 {
        media_type: "image/png".into(),
        data: "AAAA".into(),
    }
}

#[test]
fn instructions_keep_their_order_wherever_they_stand() {
    let read = messages(json!([
        {"role": "system", "content": "one", "cache_control": {"type": "ephemeral"}},
        {"role": "user", "content": "hi"},
        {"role": "developer", "content": [{"type": "text", "text": "two"}]},
        {"role": "user", "content": "there"},
    ]));
    let one = Part::Text {
        text: "one".into(),
        cache_control: Some(r#"{"type":"ephemeral"}"#.into()),
    };
    assert_eq!(read.system, [one, text("two")]);
    let expected = [
        turn(Speaker::User, vec![text("hi")]),
        turn(Speaker::User, vec![text("there")]),
    ];
    assert_eq!(read.turns, expected);
}

#[test]
fn parts_of_every_kind_are_read() {
    let read = messages(json!([{"role": "user", "content": [
        {"type": "text", "text": "look", "cache_control": {"type": "ephemeral", "ttl": "1h"}},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA", "detail": "low"}},
        {"type": "image_url", "image_url": {"url": "https://x.example/a.png"}},
        {"type": "input_audio", "input_audio": {"data": "UklG", "format": "wav"}},
        {"type": "file", "file": {"filename": "a.pdf",
            "file_data": "DATA:application/pdf;name=a.pdf;base64,JVBE"}},
    ]}]));
    let expected = vec![
        Part::Text {
            text: "look".into(),
            cache_control: Some(r#"{"ttl":"1h","type":"ephemeral"}"#.into()),
        },
        Part::Image {
            source: png(),
            cache_control: None,
        },
        Part::Image {
            source: Source::Url("https://x.example/a.png".into()),
            cache_control: None,
        },
        Part::Audio {
            source: Source::Base64 {
                media_type: "audio/wav".into(),
                data: "UklG".into(),
            },
        },
        Part::Document {
            source: Source::Base64 {
                media_type: "application/pdf".into(),
                data: "JVBE".into(),
            },
            name: Some("a.pdf".into()),
            cache_control: None,
        },
    ];
    assert_eq!(read.turns, [turn(Speaker::User, expected)]);
}

#[test]
fn tools_are_asked_for_and_answer() {
    let read = messages(json!([
        {"role": "assistant", "content": "", "annotations": [], "audio": null, "refusal": null,
         "tool_calls": [
            {"id": "a", "type": "function", "index": 0,
             "function": {"name": "f", "arguments": "{\"x\":\"\\u00e9\"}"}},
            {"id": "b", "type": "function", "function": {"name": "g", "arguments": ""}}]},
        {"role": "tool", "tool_call_id": "a", "name": "f", "content": "1"},
        {"role": "tool", "tool_call_id": "b", "content": [
            {"type": "text", "text": "2"},
            {"type": "image_url", "image_url": "data:image/png;base64,AAAA"}]},
    ]));
    let tool_use = |id: &'static str, name: &'static str, input: &'static str| Part::ToolUse {
        id: id.into(),
        name: name.into(),
        input: input.into(),
        cache_control: None,
    };
    let result = |id: &'static str, content| Part::ToolResult {
        id: id.into(),
        content,
        is_error: false,
        cache_control: None,
    };
    let image = Part::Image {
        source: png(),
        cache_control: None,
    };
    let asked = vec![
        tool_use("a", "f", r#"{"x":"\u00e9"}"#),
        tool_use("b", "g", "{}"),
    ];
    let expected = [
        turn(Speaker::Assistant, asked),
        turn(Speaker::User, vec![result("a", vec![text("1")])]),
        turn(Speaker::User, vec![result("b", vec![text("2"), image])]),
    ];
    assert_eq!(read.turns, expected);
}

#[test]
fn functions_of_the_old_kind_are_paired_by_name() {
    let read = messages(json!([
        {"role": "assistant", "content": null,
         "function_call": {"name": "f", "arguments": "{}"}},
        {"role": "function", "name": "f", "content": "1"},
    ]));
    let (Part::ToolUse { id: asked, .. }, Part::ToolResult { id: answered, .. }) =
        (&read.turns[0].parts[0], &read.turns[1].parts[0])
    else {
        panic!("{:?}", read.turns);
    };
    assert_eq!(asked, answered);
    let alone = json!({"role": "function", "name": "f", "content": "1"});
    assert_eq!(refused_message(alone), "messages[0].name");
}

#[test]
fn what_the_assistant_thought_and_refused_is_read() {
    let read = messages(json!([
        {"role": "assistant", "content": "a", "reasoning_content": "t"},
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}],
         "reasoning_content": "t", "thinking_blocks": [
            {"type": "thinking", "thinking": "t", "signature": "s"},
            {"type": "redacted_thinking", "data": "d"}]},
        {"role": "assistant", "refusal": "never"},
        {"role": "assistant", "content": ""},
    ]));
    let thought = |signature: Option<&'static str>| Part::Thinking {
        text: "t".into(),
        signature: signature.map(Cow::Borrowed),
    };
    let redacted = Part::RedactedThinking { data: "d".into() };
    let expected = [
        turn(Speaker::Assistant, vec![thought(None), text("a")]),
        turn(
            Speaker::Assistant,
            vec![thought(Some("s")), redacted, text("no")],
        ),
        turn(Speaker::Assistant, vec![text("never")]),
    ];
    assert_eq!(read.turns, expected);
}

#[test]
fn parameters_are_read() {
    let read = read_body(json!({
        "messages": [{"role": "user", "content": "hi"}],
        "n": 2, "temperature": 0.5, "top_p": 1, "top_k": 40, "frequency_penalty": -1,
        "presence_penalty": 0, "seed": 7, "stop": "END", "user": "u", "max_tokens": 5,
        "parallel_tool_calls": false, "reasoning_effort": "low", "metadata": {"a": "b"},
        "store": false, "logprobs": false, "service_tier": "auto", "modalities": ["text"],
        "logit_bias": {}, "stream": true, "stream_options": {"include_usage": true},
        "tools": [{"type": "function", "function": {"name": "f", "description": "d",
            "parameters": {"type": "object"}, "strict": true}}],
        "tool_choice": {"type": "function", "function": {"name": "f"}},
        "response_format": {"type": "json_schema",
            "json_schema": {"name": "s", "schema": {"type": "object"}, "strict": true}},
    }))
    .unwrap();
    let expected = Conversation {
        system: Vec::new(),
        turns: vec![turn(Speaker::User, vec![text("hi")])],
        tools: vec![Tool {
            name: "f".into(),
            description: Some("d".into()),
            parameters: Some(r#"{"type":"object"}"#.into()),
            strict: Some(true),
            cache_control: None,
        }],
        tool_choice: Some(ToolChoice::Named("f".into())),
        parallel_tool_calls: Some(false),
        max_tokens: None,
        choices: Some(2),
        temperature: Some("0.5".into()),
        top_p: Some("1".into()),
        top_k: Some("40".into()),
        frequency_penalty: Some("-1".into()),
        presence_penalty: Some("0".into()),
        seed: Some("7".into()),
        stop: vec!["END".to_owned()],
        format: Format::Schema {
            name: "s".into(),
            schema: r#"{"type":"object"}"#.into(),
            strict: true,
        },
        thinking: Some(Thinking::Effort(Effort::Low)),
        user: Some("u".to_owned()),
    };
    assert_eq!(read, expected);
}

#[test]
fn thinking_is_asked_for_in_either_way() {
    for (field, value, thinking) in [
        ("reasoning_effort", json!("none"), Thinking::Off),
        (
            "reasoning_effort",
            json!("minimal"),
            Thinking::Effort(Effort::Minimal),
        ),
        ("thinking", json!({"type": "disabled"}), Thinking::Off),
        ("thinking", json!({"type": "adaptive"}), Thinking::Adaptive),
        (
            "thinking",
            json!({"type": "enabled", "budget_tokens": 2048}),
            Thinking::Budget(2_048),
        ),
    ] {
        assert_eq!(with(field, value).unwrap().thinking, Some(thinking));
    }
    let both = json!({"messages": [{"role": "user", "content": "hi"}],
        "reasoning_effort": "low", "thinking": {"type": "adaptive"}});
    assert_eq!(read_body(both).unwrap_err().field, "thinking");
}

#[test]
fn parameters_without_a_counterpart_are_refused_by_name() {
    assert_eq!(
        refused("logit_bias", json!({"50256": -100})),
        "logit_bias: is not known to this model's provider; leave it out"
    );
    for (field, value, path) in [
        ("logprobs", json!(true), "logprobs"),
        ("store", json!(true), "store"),
        ("modalities", json!(["text", "audio"]), "modalities"),
        ("audio", json!({"voice": "x"}), "audio"),
        ("prediction", json!({"type": "content"}), "prediction"),
        ("service_tier", json!("flex"), "service_tier"),
        ("functions", json!([{"name": "f"}]), "functions"),
        ("function_call", json!("auto"), "function_call"),
        ("web_search_options", json!({}), "web_search_options"),
        ("anything", json!(0), "anything"),
        ("tools", json!([{"type": "custom"}]), "tools[0].type"),
        (
            "tools",
            json!([{"type": "function", "function": {"name": 5}}]),
            "tools[0].function.name",
        ),
        ("tool_choice", json!("any"), "tool_choice"),
        (
            "tool_choice",
            json!({"type": "allowed_tools"}),
            "tool_choice.type",
        ),
        (
            "response_format",
            json!({"type": "grammar"}),
            "response_format.type",
        ),
        (
            "response_format",
            json!({"type": "json_schema", "json_schema": {"name": "s"}}),
            "response_format.json_schema.schema",
        ),
        ("reasoning_effort", json!("xhigh"), "reasoning_effort"),
        (
            "thinking",
            json!({"type": "enabled"}),
            "thinking.budget_tokens",
        ),
        ("top_k", json!(1.5), "top_k"),
        ("user", json!(5), "user"),
    ] {
        let refusal = refused(field, value);
        assert!(refusal.starts_with(&format!("{path}: ")), "{refusal}");
    }
}

#[test]
fn what_cannot_be_understood_in_messages_is_refused_by_its_path() {
    let user = |part: Value| json!({"role": "user", "content": [part]});
    for (message, path) in [
        (json!({"role": "user"}), "messages[0].content"),
        (
            json!({"role": "user", "content": "hi", "name": "bob"}),
            "messages[0].name",
        ),
        (
            user(json!({"type": "video_url", "video_url": {"url": "https://x.example/v"}})),
            "messages[0].content[0].type",
        ),
        (
            user(json!({"type": "text", "text": "a", "colour": "red"})),
            "messages[0].content[0].colour",
        ),
        (
            user(json!({"type": "image_url", "image_url": {"url": "data:image/png,AA"}})),
            "messages[0].content[0].image_url",
        ),
        (
            user(json!({"type": "file", "file": {"file_id": "f"}})),
            "messages[0].content[0].file.file_id",
        ),
        (
            user(json!({"type": "file", "file": {"file_data": "https://x.example"}})),
            "messages[0].content[0].file.file_data",
        ),
        (
            json!({"role": "system", "content": [{"type": "file", "file": {}}]}),
            "messages[0].content[0].type",
        ),
        (
            json!({"role": "assistant", "audio": {"id": "a"}}),
            "messages[0].audio",
        ),
        (
            json!({"role": "assistant", "tool_calls": [{"id": "a", "type": "function",
                "function": {"name": "f", "arguments": "[1]"}}]}),
            "messages[0].tool_calls[0].function.arguments",
        ),
        (
            json!({"role": "tool", "content": "x"}),
            "messages[0].tool_call_id",
        ),
    ] {
        assert_eq!(refused_message(message), path);
    }
}

#[test]
fn a_field_that_is_given_twice_is_refused() {
    let raw = RawValue::from_string(r#"[{"role":"user","content":"a","content":"b"}]"#.to_owned());
    let chat = Completions {
        messages: &raw.unwrap(),
        parameters: Vec::new(),
    };
    let refusal = Conversation::of_completions(&chat).unwrap_err();
    assert_eq!(refusal.field, "messages[0].content");
    assert_eq!(refusal.message, "must be given once");
}

#[test]
fn texts_without_escapes_are_not_copied() {
    let read = messages(json!([{"role": "user", "content": [
        {"type": "text", "text": "a"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]}]));
    let [
        Part::Text { text, .. },
        Part::Image {
            source: Source::Base64 { data, .. },
            ..
        },
    ] = &read.turns[0].parts[..]
    else {
        panic!("{:?}", read.turns);
    };
    assert!(matches!((text, data), (Cow::Borrowed(_), Cow::Borrowed(_))));
}

/// Words by which the reader goes, so that random JSON gets past the first check.
const NAMES: [&str; 32] = [
    "role",
    "content",
    "type",
    "text",
    "image_url",
    "url",
    "input_audio",
    "data",
    "format",
    "file",
    "file_data",
    "filename",
    "refusal",
    "tool_calls",
    "function_call",
    "function",
    "id",
    "name",
    "arguments",
    "tool_call_id",
    "thinking_blocks",
    "thinking",
    "reasoning_content",
    "cache_control",
    "tools",
    "tool_choice",
    "response_format",
    "json_schema",
    "stop",
    "n",
    "reasoning_effort",
    "parameters",
];

const WORDS: [&str; 15] = [
    "user",
    "assistant",
    "system",
    "tool",
    "function",
    "text",
    "image_url",
    "input_audio",
    "file",
    "json_schema",
    "thinking",
    "enabled",
    "{}",
    "data:image/png;base64,AAAA",
    "data:,",
];

fn wild_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        proptest::sample::select(WORDS.to_vec()).prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 60, 8, |inner| {
        let field = (proptest::sample::select(NAMES.to_vec()), inner.clone());
        prop_oneof![
            proptest::collection::vec(inner, 0..4).prop_map(Value::from),
            proptest::collection::vec(field, 0..8).prop_map(|fields| {
                let fields = fields.into_iter();
                Value::Object(fields.map(|(name, json)| (name.to_owned(), json)).collect())
            }),
        ]
    })
}

fn raw(json: &Value) -> Box<RawValue> {
    RawValue::from_string(json.to_string()).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 512,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn no_json_makes_the_reader_panic(
        anything in wild_json(),
        role in proptest::sample::select(vec!["user", "assistant", "system", "tool", "function"]),
        mut message in wild_json(),
        part in wild_json(),
        name in proptest::sample::select(NAMES.to_vec()),
        value in wild_json(),
    ) {
        if message.is_object() {
            message["role"] = json!(role);
        }
        let messages = [
            anything,
            json!([message, {"role": role, "content": [part], "tool_call_id": "a"}]),
        ];
        let value = raw(&value);
        for messages in messages {
            let messages = raw(&messages);
            let parameters = vec![(Cow::Borrowed(name), &*value)];
            let chat = Completions { messages: &messages, parameters };
            if let Err(refusal) = Conversation::of_completions(&chat) {
                prop_assert!(!refusal.field.is_empty() && !refusal.message.is_empty());
            }
        }
    }
}
