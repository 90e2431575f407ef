use serde_json::{Value, json};

use super::*;
use crate::conversation::{Effort, Format, Source, Thinking, ToolChoice};

mod strange_bodies;

/// Parses a body that must be valid.
fn parsed(body: &Value, check: impl FnOnce(CallRequest<'_>)) {
    let body = body.to_string();
    match parse(body.as_bytes()) {
        Ok(request) => check(request),
        Err(error) => panic!("{body}: {error}"),
    }
}

fn conversation(body: &Value, check: impl FnOnce(&Conversation<'_>)) {
    parsed(body, |request| match &request.prompt {
        Prompt::Messages(conversation) => check(conversation),
        Prompt::Completions(_) | Prompt::Embeddings(_) => panic!("it is a message"),
    });
}

/// What is wrong with a body.
fn problems(body: &str) -> String {
    match parse(body.as_bytes()) {
        Ok(_) => "valid".to_owned(),
        Err(error) => {
            assert_eq!(error.status(), 400);
            error.body()["detail"].as_str().unwrap().to_owned()
        }
    }
}

/// A small body with these fields added.
fn with(fields: Value) -> Value {
    let mut body = json!({"model": "claude", "max_tokens": 2_000,
        "messages": [{"role": "user", "content": "hi"}]});
    let all = body.as_object_mut().unwrap();
    all.extend(fields.as_object().unwrap().clone());
    body
}

fn with_block(role: &str, block: &Value) -> Value {
    with(json!({"messages": [{"role": role, "content": [block]}]}))
}

/// The cases of a fixture: what is sent, and what comes of it.
fn cases(fixture: &str) -> impl Iterator<Item = (&str, &str)> {
    let (sent, comes): (Vec<_>, Vec<_>) = fixture.lines().partition(|line| !line.starts_with("  "));
    assert_eq!(sent.len(), comes.len());
    let comes = comes.into_iter().map(str::trim_start);
    sent.into_iter().zip(comes)
}

/// The body that a line stands for: a message's only block with its role, or fields of a body.
fn body_of(line: &str) -> String {
    if let Some((role @ ("user" | "assistant"), block)) = line.split_once(' ') {
        return format!(
            r#"{{"max_tokens":2000,"messages":[{{"role":"{role}","content":[{block}]}}]}}"#
        );
    }
    let own: Value = serde_json::from_str(line).unwrap();
    let mut body = line.strip_suffix('}').unwrap().to_owned();
    for (name, value) in [
        ("max_tokens", "2000"),
        ("messages", r#"[{"role":"user","content":"hi"}]"#),
    ] {
        if own.get(name).is_none() {
            body.extend([",\"", name, "\":", value]);
        }
    }
    body + "}"
}

#[test]
fn the_smallest_request_is_read() {
    parsed(&with(json!({})), |request| {
        assert_eq!(request.model.as_deref(), Some("claude"));
        assert_eq!((request.max_tokens, request.choices), (Some(2_000), 1));
        assert!(!request.stream && request.include_usage);
        assert!((16..100).contains(&request.weight.total()));
    });
    parsed(&with(json!({"stream": true, "model": null})), |request| {
        assert!(request.stream);
        assert_eq!(request.model, None);
    });
}

#[test]
fn every_block_is_read() {
    for (line, shown) in cases(include_str!("tests/blocks.txt")) {
        let body = body_of(line);
        let request = parse(body.as_bytes()).unwrap();
        let Prompt::Messages(conversation) = &request.prompt else {
            panic!("it is a message");
        };
        let [part] = &conversation.turns[0].parts[..] else {
            panic!("it is one block");
        };
        assert_eq!(format!("{part:?}"), shown, "{line}");
    }
}

#[test]
fn instructions_tools_and_options_are_read() {
    let body = with(json!({
        "system": [{"type": "text", "text": "be kind", "cache_control": {"type": "ephemeral"}}],
        "tools": [{"name": "f", "description": "does", "input_schema": {"type": "object"},
            "strict": true, "type": "custom", "eager_input_streaming": true,
            "defer_loading": false, "allowed_callers": ["direct"],
            "cache_control": {"type": "ephemeral"}}],
        "tool_choice": {"type": "tool", "name": "f", "disable_parallel_tool_use": true},
        "stop_sequences": ["a", "b"], "temperature": 0.5, "top_p": 1, "top_k": 40,
        "thinking": {"type": "enabled", "budget_tokens": 1_024, "display": "summarized"},
        "metadata": {"user_id": "u"}, "service_tier": "auto", "speed": "standard",
        "output_config": {"effort": "high",
            "format": {"type": "json_schema", "schema": {"type": "object"}}}
    }));
    conversation(&body, |read| {
        let control = "cache_control: Some(\"{\\\"type\\\":\\\"ephemeral\\\"}\")";
        assert_eq!(
            format!("{:?} {:?}", read.system, read.tools),
            format!(
                "[Text {{ text: \"be kind\", {control} }}] [Tool {{ name: \"f\", description: \
                 Some(\"does\"), parameters: Some(\"{{\\\"type\\\":\\\"object\\\"}}\"), strict: \
                 Some(true), {control} }}]"
            )
        );
        assert_eq!(read.tool_choice, Some(ToolChoice::Named("f".into())));
        assert_eq!(read.parallel_tool_calls, Some(false));
        assert_eq!(read.stop, ["a", "b"]);
        let numbers = [&read.temperature, &read.top_p, &read.top_k];
        assert_eq!(
            numbers.map(|number| number.as_deref().unwrap()),
            ["0.5", "1", "40"]
        );
        assert_eq!(read.thinking, Some(Thinking::Budget(1_024)));
        assert_eq!(read.user.as_deref(), Some("u"));
        let Format::Schema { schema, strict, .. } = &read.format else {
            panic!("it has a schema");
        };
        assert_eq!((schema.as_ref(), *strict), ("{\"type\":\"object\"}", true));
    });
}

#[test]
fn efforts_are_for_models_that_decide_how_much_to_think() {
    let thinking = |fields| {
        let mut thinking = None;
        conversation(&with(fields), |read| thinking = read.thinking);
        thinking
    };
    let adaptive = json!({"type": "adaptive"});
    for (fields, expected) in [
        (json!({"thinking": adaptive}), Some(Thinking::Adaptive)),
        (
            json!({"thinking": {"type": "disabled"}}),
            Some(Thinking::Off),
        ),
        (
            json!({"thinking": adaptive, "output_config": {"effort": "low"}}),
            Some(Thinking::Effort(Effort::Low)),
        ),
        (
            json!({"thinking": adaptive, "output_config": {"effort": "high"}}),
            Some(Thinking::Effort(Effort::High)),
        ),
        (json!({"output_config": {"effort": "high"}}), None),
    ] {
        assert_eq!(thinking(fields), expected);
    }
}

#[test]
fn the_older_place_of_a_schema_is_known() {
    let schema = json!({"type": "json_schema", "schema": {}});
    conversation(&with(json!({"output_format": schema})), |read| {
        assert!(matches!(read.format, Format::Schema { .. }));
    });
}

#[test]
fn the_requests_own_cache_control_is_that_of_its_last_block() {
    let body = with(json!({"cache_control": {"type": "ephemeral"}, "messages": [
        {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
        {"role": "assistant", "content": [{"type": "thinking", "thinking": "hm"}]}]}));
    conversation(&body, |read| {
        assert_eq!(
            format!("{:?}", read.turns[0].parts),
            "[Text { text: \"a\", cache_control: None }, Text { text: \"b\", \
             cache_control: Some(\"{\\\"type\\\":\\\"ephemeral\\\"}\") }]"
        );
    });
}

#[test]
fn everything_wrong_is_told_at_once_with_its_way() {
    let body = json!({"max_tokens": 0, "frequency_penalty": 1, "messages": [
        {"role": "user", "content": [
            {"type": "text", "text": "a"},
            {"type": "tool_result", "tool_use_id": "t", "content": [
                {"type": "image", "source": {"type": "file", "file_id": "f"}}]}]},
        {"role": "system", "content": "b"},
        {"role": "user", "content": 5}],
        "tools": [{"type": "web_search_20250305", "name": "web_search"}],
        "temperature": 1.5});
    assert_eq!(
        problems(&body.to_string()),
        "frequency_penalty: is not supported; leave it out; \
         max_tokens: must be a whole number of at least 1; \
         messages[0].content[1].content[0].source.type: must be base64 or url; uploaded files \
         are not kept here; \
         messages[1].role: must be user or assistant; instructions belong in the field system; \
         messages[2].content: must be a string or a list of blocks; \
         tools[0].type: must be custom: web_search_20250305 is a tool of one provider's own; \
         declare a tool with name, description and input_schema instead, and carry it out \
         yourself; \
         temperature: must be a number from 0 to 1"
    );
    let error = parse(body.to_string().as_bytes()).unwrap_err();
    assert_eq!(
        error.body()["errors"][2]["loc"],
        json!([
            "body", "messages", 0, "content", 1, "content", 0, "source", "type"
        ])
    );
}

#[test]
fn what_cannot_be_told_on_is_refused() {
    for (line, problem) in cases(include_str!("tests/refusals.txt")) {
        assert_eq!(problems(&body_of(line)), problem, "{line}");
    }
}

#[test]
fn everything_that_travels_counts_in_the_estimate() {
    let long = "x".repeat(100_000);
    let tokens = |body: &Value| {
        let mut tokens = 0;
        parsed(body, |request| tokens = request.weight.total());
        tokens
    };
    for body in [
        with(json!({"system": long})),
        with(json!({"tools": [{"name": "f", "description": long, "input_schema": {}}]})),
        with(json!({"messages": [{"role": "user", "content": long}]})),
        with_block(
            "user",
            &json!({"type": "tool_result", "tool_use_id": "t", "content": long}),
        ),
        with_block("assistant", &json!({"type": "thinking", "thinking": long})),
        with_block(
            "user",
            &json!({"type": "document", "source":
            {"type": "base64", "media_type": "application/pdf", "data": long}}),
        ),
    ] {
        assert!(
            (50_000..50_200).contains(&tokens(&body)),
            "{}",
            tokens(&body)
        );
    }
    let image = json!({"type": "image", "source":
        {"type": "base64", "media_type": "image/png", "data": long}});
    let nested = json!({"type": "tool_result", "tool_use_id": "t", "content": [image, image]});
    assert!((2_000..2_200).contains(&tokens(&with_block("user", &image))));
    assert!((4_000..4_200).contains(&tokens(&with_block("user", &nested))));
    let linked = json!({"type": "document", "source": {"type": "url", "url": "https://a.example"}});
    assert!(tokens(&with_block("user", &linked)) >= 200_000);
}

#[test]
fn texts_without_escapes_are_not_copied() {
    let body = br#"{"max_tokens":1,"messages":[{"role":"user","content":[{"type":"image","source":
        {"type":"base64","media_type":"image/png","data":"AA=="}}]}]}"#;
    let request = parse(body).unwrap();
    let Prompt::Messages(conversation) = &request.prompt else {
        panic!("it is a message");
    };
    let Part::Image { source, .. } = &conversation.turns[0].parts[0] else {
        panic!("it is an image");
    };
    let Source::Base64 { data, .. } = source else {
        panic!("it is here");
    };
    assert!(matches!(data, std::borrow::Cow::Borrowed(_)));
}
