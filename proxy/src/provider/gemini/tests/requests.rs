//! What the examples cannot say in OpenAI's words.

use serde_json::{Value, json};

use super::encode;
use crate::chat::Untranslatable;
use crate::conversation::{
    Conversation, Effort, Format, Part, Source, Speaker, Thinking, Tool, ToolChoice, Turn,
};
use crate::provider::Order;

const ORDER: Order<'_> = Order {
    upstream_model: "gemini-2.5-pro",
    output_tokens_max: None,
    thoughts_max: None,
    stream: false,
};

fn turn<'a>(speaker: Speaker, parts: impl Into<Vec<Part<'a>>>) -> Turn<'a> {
    Turn {
        speaker,
        parts: parts.into(),
    }
}

fn text(text: &str) -> Part<'_> {
    Part::text(text.into())
}

fn call<'a>(id: &'a str, name: &'a str) -> Part<'a> {
    Part::ToolUse {
        id: id.into(),
        name: name.into(),
        input: "{}".into(),
        cache_control: None,
    }
}

fn result<'a>(id: &'a str, content: impl Into<Vec<Part<'a>>>) -> Part<'a> {
    Part::ToolResult {
        id: id.into(),
        content: content.into(),
        is_error: false,
        cache_control: None,
    }
}

fn thought(signature: &str) -> Part<'_> {
    Part::Thinking {
        text: "Hm.".into(),
        signature: Some(signature.into()),
    }
}

fn tool(name: &str) -> Tool<'_> {
    Tool {
        name: name.into(),
        description: None,
        parameters: None,
        strict: None,
        cache_control: None,
    }
}

/// A conversation that is as short as it can be.
fn hello<'a>() -> Conversation<'a> {
    Conversation {
        turns: vec![turn(Speaker::User, [text("Hi")])],
        ..Conversation::default()
    }
}

fn body(conversation: &Conversation<'_>) -> Value {
    serde_json::from_slice(&encode(conversation, ORDER).unwrap().body).unwrap()
}

fn contents<'a>(turns: impl Into<Vec<Turn<'a>>>, model: &str) -> Value {
    let conversation = Conversation {
        turns: turns.into(),
        ..Conversation::default()
    };
    let order = Order {
        upstream_model: model,
        ..ORDER
    };
    let body = encode(&conversation, order).unwrap().body;
    serde_json::from_slice::<Value>(&body).unwrap()["contents"].take()
}

fn refusal(conversation: &Conversation<'_>) -> Untranslatable {
    encode(conversation, ORDER).unwrap_err()
}

#[test]
fn models_are_named_in_the_path() {
    for (model, path) in [
        ("gemini-2.5-pro", "/models/gemini-2.5-pro"),
        ("models/gemini-2.5-pro", "/models/gemini-2.5-pro"),
        ("tunedModels/mine-1", "/tunedModels/mine-1"),
        ("other/name", "/models/other%2Fname"),
        ("models/a/b", "/models/a%2Fb"),
        ("a?b#c é:%", "/models/a%3Fb%23c%20%C3%A9%3A%25"),
        ("../keys", "/models/..%2Fkeys"),
    ] {
        let order = Order {
            upstream_model: model,
            ..ORDER
        };
        let endpoint = encode(&hello(), order).unwrap().endpoint;
        assert_eq!(endpoint, format!("{path}:generateContent"));
    }
}

#[test]
fn numbers_travel_as_they_were_written() {
    let conversation = Conversation {
        temperature: Some("0.50".into()),
        seed: Some("9007199254740993".into()),
        ..hello()
    };
    let order = Order {
        output_tokens_max: Some(5),
        ..ORDER
    };
    let body = encode(&conversation, order).unwrap().body;
    let body = std::str::from_utf8(&body).unwrap();
    let config =
        r#""generationConfig":{"maxOutputTokens":5,"temperature":0.50,"seed":9007199254740993}"#;
    assert!(body.contains(config), "{body}");
}

#[test]
fn each_way_to_think_is_a_budget() {
    for (thinking, budget) in [
        (Thinking::Adaptive, -1),
        (Thinking::Effort(Effort::Minimal), 1_024),
        (Thinking::Effort(Effort::Low), 1_024),
        (Thinking::Effort(Effort::Medium), 8_192),
        (Thinking::Effort(Effort::High), 24_576),
        (Thinking::Budget(2_000), 2_000),
    ] {
        let conversation = Conversation {
            thinking: Some(thinking),
            ..hello()
        };
        assert_eq!(
            body(&conversation)["generationConfig"]["thinkingConfig"],
            json!({"thinkingBudget": budget, "includeThoughts": true})
        );
    }
    let off = Conversation {
        thinking: Some(Thinking::Off),
        ..hello()
    };
    assert_eq!(
        body(&off)["generationConfig"]["thinkingConfig"],
        json!({"thinkingBudget": 0})
    );
}

#[test]
fn each_choice_of_tools_is_a_mode() {
    let config = |tool_choice, strict| {
        let conversation = Conversation {
            tools: vec![
                tool("now"),
                Tool {
                    strict,
                    ..tool("f")
                },
            ],
            tool_choice,
            ..hello()
        };
        body(&conversation)["toolConfig"]["functionCallingConfig"].take()
    };
    let strict = Some(true);
    for (tool_choice, strict, expected) in [
        (None, None, Value::Null),
        (None, Some(false), Value::Null),
        (None, strict, json!({"mode": "VALIDATED"})),
        (Some(ToolChoice::Auto), None, json!({"mode": "AUTO"})),
        (Some(ToolChoice::Auto), strict, json!({"mode": "VALIDATED"})),
        (Some(ToolChoice::None), strict, json!({"mode": "NONE"})),
        (Some(ToolChoice::Required), strict, json!({"mode": "ANY"})),
        (
            Some(ToolChoice::Named("f".into())),
            None,
            json!({"mode": "ANY", "allowedFunctionNames": ["f"]}),
        ),
    ] {
        assert_eq!(config(tool_choice, strict), expected);
    }
    let without_tools = Conversation {
        tool_choice: Some(ToolChoice::None),
        parallel_tool_calls: Some(false),
        ..hello()
    };
    assert_eq!(body(&without_tools)["toolConfig"], Value::Null);
}

#[test]
fn one_function_alone_needs_no_word_against_several_calls() {
    for (tools, tool_choice) in [
        (vec![tool("f")], None),
        (
            vec![tool("f"), tool("g")],
            Some(ToolChoice::Named("f".into())),
        ),
    ] {
        let conversation = Conversation {
            tools,
            tool_choice,
            parallel_tool_calls: Some(false),
            ..hello()
        };
        assert!(body(&conversation)["tools"].is_array());
    }
}

#[test]
fn errors_of_tools_are_told_as_errors() {
    let failed = |content: &'static str| Part::ToolResult {
        id: "a".into(),
        content: vec![text(content)],
        is_error: true,
        cache_control: None,
    };
    let asked = || turn(Speaker::Assistant, [call("a", "now")]);
    for (content, response) in [
        ("no clock", json!({"error": "no clock"})),
        ("{\"code\": 5}", json!({"error": {"code": 5}})),
        ("{\"code\": ", json!({"error": "{\"code\": "})),
    ] {
        let turns = [asked(), turn(Speaker::User, [failed(content)])];
        assert_eq!(
            contents(turns, "gemini-2.5-pro")[1]["parts"][0]["functionResponse"]["response"],
            response
        );
    }
}

#[test]
fn a_result_belongs_to_the_last_request_with_its_id() {
    let turns = [
        turn(Speaker::Assistant, [call("a", "first")]),
        turn(Speaker::User, [result("a", [])]),
        turn(Speaker::Assistant, [call("a", "second")]),
        turn(Speaker::User, [result("a", [])]),
    ];
    let contents = contents(turns, "gemini-2.5-pro");
    let name = |index: usize| &contents[index]["parts"][0]["functionResponse"]["name"];
    assert_eq!((name(1), name(3)), (&json!("first"), &json!("second")));
}

#[test]
fn thoughts_without_a_signature_stay_here() {
    let redacted = Part::RedactedThinking {
        data: "another provider's".into(),
    };
    let plain = Part::Thinking {
        text: "Hm.".into(),
        signature: Some("".into()),
    };
    let turns = [
        turn(Speaker::User, [text("a")]),
        turn(Speaker::Assistant, [redacted, plain, text("")]),
        turn(Speaker::User, [text("b")]),
    ];
    assert_eq!(
        contents(turns, "gemini-3-pro"),
        json!([{"role": "user", "parts": [{"text": "a"}, {"text": "b"}]}])
    );
}

#[test]
fn each_signature_goes_back_with_what_came_of_its_thought() {
    let parts = [
        thought("1"),
        text("a"),
        call("a", "f"),
        call("b", "f"),
        thought("2"),
        thought("3"),
        text("b"),
        text("c"),
    ];
    assert_eq!(
        contents([turn(Speaker::Assistant, parts)], "gemini-3-pro")[0]["parts"],
        json!([
            {"text": "a"},
            {"functionCall": {"id": "a", "name": "f", "args": {}}, "thoughtSignature": "1"},
            {"functionCall": {"id": "b", "name": "f", "args": {}}},
            {"text": "", "thoughtSignature": "2"},
            {"text": "b"},
            {"text": "c", "thoughtSignature": "3"},
        ])
    );
}

#[test]
fn only_models_that_ask_for_signatures_are_told_of_missing_ones() {
    for (model, is_told) in [
        ("gemini-1.5-pro", false),
        ("gemini-2.5-flash", false),
        ("models/gemini-2.0-flash", false),
        ("gemma-3-27b-it", false),
        ("tunedModels/mine", false),
        ("gemini-3-pro-preview", true),
        ("models/gemini-3.1-flash", true),
        ("gemini-10-pro", true),
        ("gemini-flash-latest", true),
    ] {
        let contents = contents([turn(Speaker::Assistant, [call("a", "f")])], model);
        let signature = &contents[0]["parts"][0]["thoughtSignature"];
        assert_eq!(!signature.is_null(), is_told, "{model}");
    }
}

#[test]
fn parameters_that_cannot_be_said_are_refused_by_their_names() {
    let with_tools = || Conversation {
        tools: vec![tool("f")],
        ..hello()
    };
    for (conversation, field) in [
        (
            Conversation {
                parallel_tool_calls: Some(false),
                tools: vec![tool("f"), tool("g")],
                ..hello()
            },
            "parallel_tool_calls",
        ),
        (
            Conversation {
                format: Format::Object,
                ..with_tools()
            },
            "response_format",
        ),
        (
            Conversation {
                tool_choice: Some(ToolChoice::Required),
                ..hello()
            },
            "tool_choice",
        ),
        (
            Conversation {
                stop: vec!["a".to_owned(); 6],
                ..hello()
            },
            "stop",
        ),
        (
            Conversation {
                choices: Some(9),
                ..hello()
            },
            "n",
        ),
    ] {
        assert_eq!(refusal(&conversation).field, field);
    }
}

#[test]
fn parts_that_cannot_be_said_are_refused_by_their_places() {
    let image = || Part::Image {
        source: Source::Url("https://example.com/picture".into()),
        cache_control: None,
    };
    let asked = || turn(Speaker::Assistant, [call("a", "f")]);
    let of_user = |parts| turn(Speaker::User, parts);
    for (turns, field) in [
        (vec![turn(Speaker::Assistant, [])], "messages"),
        (
            vec![of_user(vec![text("a"), image()])],
            "messages[0].content[1]",
        ),
        (
            vec![asked(), of_user(vec![result("b", [])])],
            "messages[1].content[0]",
        ),
        (
            vec![of_user(vec![result("a", [])]), asked()],
            "messages[0].content[0]",
        ),
        (
            vec![asked(), of_user(vec![result("a", [text("b"), image()])])],
            "messages[1].content[0].content[1]",
        ),
    ] {
        let refusal = refusal(&Conversation {
            turns,
            ..Conversation::default()
        });
        assert_eq!(refusal.field, field);
        assert!(!refusal.message.contains("example.com"), "{refusal:?}");
    }
    let instructions = Conversation {
        system: vec![text("a"), image()],
        ..hello()
    };
    assert_eq!(refusal(&instructions).field, "system[1]");
}
