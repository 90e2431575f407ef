use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::conversation::{Part, Source, Speaker, Turn};
use crate::request::{Prompt, messages as door};

fn encoded_for(upstream_model: &str, body: &Value) -> Result<Value, Untranslatable> {
    let body = body.to_string();
    let request = door::parse(body.as_bytes()).unwrap();
    let Prompt::Messages(conversation) = &request.prompt else {
        panic!("it is a message");
    };
    let order = Order {
        upstream_model,
        output_tokens_max: request.max_tokens,
        thoughts_max: None,
        stream: request.stream,
    };
    let encoded = encode(conversation, order)?;
    assert_eq!(encoded.endpoint, "/chat/completions");
    Ok(serde_json::from_slice(&encoded.body).unwrap())
}

fn encoded(body: &Value) -> Result<Value, Untranslatable> {
    encoded_for("gpt-4o", body)
}

fn with(fields: Value) -> Value {
    let mut body = json!({"max_tokens": 2_000, "messages": [{"role": "user", "content": "hi"}]});
    let all = body.as_object_mut().unwrap();
    all.extend(fields.as_object().unwrap().clone());
    body
}

fn messages(messages: Value) -> Result<Value, Untranslatable> {
    let mut encoded = encoded(&with(json!({"messages": messages})))?;
    Ok(encoded["messages"].take())
}

fn refusal(body: &Value) -> String {
    let refusal = encoded(body).unwrap_err();
    format!("{}: {}", refusal.field, refusal.message)
}

#[test]
fn a_request_is_written_in_full() {
    let body = br#"{"model":"claude","max_tokens":2000,"stream":true,"temperature":0.50,
        "top_p":1,"stop_sequences":["a","\n"],"metadata":{"user_id":"u"},
        "system":[{"type":"text","text":"Be kind.","cache_control":{"type":"ephemeral"}},
            {"type":"text","text":"Be brief."}],
        "tools":[{"name":"f","description":"does \"it\"","strict":true,
            "input_schema":{"type": "object"}},{"name":"g","input_schema":{}}],
        "tool_choice":{"type":"any","disable_parallel_tool_use":true},
        "output_config":{"format":{"type":"json_schema","schema":{"type":"object"}}},
        "messages":[{"role":"user","content":"h\u00e9"}]}"#;
    let request = door::parse(body).unwrap();
    let Prompt::Messages(conversation) = &request.prompt else {
        panic!("it is a message");
    };
    let order = Order {
        upstream_model: "gpt-4o",
        output_tokens_max: Some(500),
        thoughts_max: None,
        stream: true,
    };
    let json = encode(conversation, order).unwrap().body;
    let expected = concat!(
        r#"{"model":"gpt-4o","max_tokens":500,"stream":true,"stream_options":{"include_usage":true},"#,
        r#""temperature":0.50,"top_p":1,"stop":["a","\n"],"#,
        r#""response_format":{"type":"json_schema","json_schema":{"name":"answer","#,
        r#""schema":{"type":"object"},"strict":true}},"#,
        r#""tools":[{"type":"function","function":{"name":"f","description":"does \"it\"","#,
        r#""parameters":{"type": "object"},"strict":true}},"#,
        r#"{"type":"function","function":{"name":"g","parameters":{}}}],"#,
        r#""tool_choice":"required","parallel_tool_calls":false,"user":"u","#,
        r#""messages":[{"role":"system","content":"Be kind.\n\nBe brief."},"#,
        r#"{"role":"user","content":"hé"}]}"#,
    );
    assert_eq!(std::str::from_utf8(&json).unwrap(), expected);
}

#[test]
fn results_of_tools_come_at_once_after_their_requests() {
    let told = messages(json!([
        {"role": "user", "content": "weather?"},
        {"role": "assistant", "content": [
            {"type": "thinking", "thinking": "hm", "signature": "s"},
            {"type": "redacted_thinking", "data": "x"},
            {"type": "text", "text": "I look."},
            {"type": "tool_use", "id": "a", "name": "f", "input": {"at": "Paris"}},
            {"type": "tool_use", "id": "b", "name": "f", "input": {}}]},
        {"role": "user", "content": "and hurry"},
        {"role": "user", "content": [
            {"type": "text", "text": "please"},
            {"type": "tool_result", "tool_use_id": "a", "content": [
                {"type": "text", "text": "rain"}, {"type": "text", "text": "wind"}]},
            {"type": "tool_result", "tool_use_id": "b", "content": "no such place",
                "is_error": true}]},
        {"role": "assistant", "content": [
            {"type": "tool_use", "id": "c", "name": "f", "input": {}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c"}]}]));
    assert_eq!(
        told.unwrap(),
        json!([
            {"role": "user", "content": "weather?"},
            {"role": "assistant", "content": "I look.", "tool_calls": [
                {"id": "a", "type": "function",
                    "function": {"name": "f", "arguments": "{\"at\":\"Paris\"}"}},
                {"id": "b", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
            {"role": "tool", "tool_call_id": "a", "content": "rain\n\nwind"},
            {"role": "tool", "tool_call_id": "b",
                "content": "The tool failed:\n\nno such place"},
            {"role": "user", "content": "and hurry\n\nplease"},
            {"role": "assistant", "content": null, "tool_calls": [
                {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
            {"role": "tool", "tool_call_id": "c", "content": ""}])
    );
}

#[test]
fn thoughts_alone_are_no_message() {
    let told = messages(json!([
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": [{"type": "thinking", "thinking": "hm"}]},
        {"role": "user", "content": "b"}]));
    let expected = json!([{"role": "user", "content": "a\n\nb"}]);
    assert_eq!(told.unwrap(), expected);
}

#[test]
fn images_and_documents_are_parts() {
    let base64 = |kind: &str| json!({"type": "base64", "media_type": kind, "data": "AA=="});
    let told = messages(json!([{"role": "user", "content": [
        {"type": "text", "text": "see"},
        {"type": "image", "source": base64("image/png")},
        {"type": "image", "source": {"type": "url", "url": "https://a.example/b.png"}},
        {"type": "document", "source": base64("application/pdf")},
        {"type": "document", "source": base64("application/pdf"), "title": "Report \"1\""},
        {"type": "document", "source": base64("application/pdf"), "title": "r.PDF"}]}]));
    let file = |name: &str| {
        json!({"type": "file", "file": {"filename": name,
            "file_data": "data:application/pdf;base64,AA=="}})
    };
    assert_eq!(
        told.unwrap()[0]["content"],
        json!([
            {"type": "text", "text": "see"},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}},
            {"type": "image_url", "image_url": {"url": "https://a.example/b.png"}},
            file("document.pdf"), file("Report \"1\".pdf"), file("r.PDF")])
    );
}

#[test]
fn sounds_are_parts_if_they_are_of_a_known_kind() {
    let told = |source: Source<'static>| {
        let conversation = Conversation {
            turns: vec![Turn {
                speaker: Speaker::User,
                parts: vec![Part::Audio { source }],
            }],
            ..Conversation::default()
        };
        let order = Order {
            upstream_model: "gpt-4o",
            output_tokens_max: None,
            thoughts_max: None,
            stream: false,
        };
        let encoded = encode(&conversation, order);
        encoded.map(|encoded| String::from_utf8(encoded.body.to_vec()).unwrap())
    };
    let base64 = |kind: &'static str| Source::Base64 {
        media_type: kind.into(),
        data: "AA==".into(),
    };
    for (kind, format) in [
        ("audio/wav", "wav"),
        ("audio/mpeg", "mp3"),
        ("audio/mp3", "mp3"),
    ] {
        let part = format!(
            "[{{\"type\":\"input_audio\",\"input_audio\":{{\"data\":\"AA==\",\
             \"format\":\"{format}\"}}}}]"
        );
        assert!(told(base64(kind)).unwrap().contains(&part));
    }
    let ogg = told(base64("audio/ogg")).unwrap_err();
    assert_eq!(ogg.field, "messages[0].content[0]");
    assert!(ogg.message.contains("wav or mp3"));
    let linked = told(Source::Url("https://a.example".into())).unwrap_err();
    assert!(linked.message.contains("base64"));
}

#[test]
fn models_that_reason_are_told_how_much() {
    let budget = |tokens: i64| json!({"type": "enabled", "budget_tokens": tokens});
    let adaptive = json!({"type": "adaptive"});
    for (thinking, effort) in [
        (budget(1_024), json!("low")),
        (budget(4_096), json!("low")),
        (budget(4_097), json!("medium")),
        (budget(16_384), json!("medium")),
        (budget(16_385), json!("high")),
        (adaptive.clone(), json!(null)),
        (json!({"type": "disabled"}), json!(null)),
    ] {
        let body = with(json!({"max_tokens": 30_000, "thinking": thinking}));
        let told = encoded_for("openai/o4-mini", &body).unwrap();
        assert_eq!(told["reasoning_effort"], effort, "{thinking}");
        assert_eq!(told["max_completion_tokens"], 30_000);
    }
    let body = with(json!({"thinking": adaptive, "output_config": {"effort": "medium"}}));
    let told = encoded_for("gpt-5", &body).unwrap();
    assert_eq!(told["reasoning_effort"], "medium");
    for thinking in [adaptive, budget(1_024)] {
        let told = refusal(&with(json!({"thinking": thinking})));
        assert!(
            told.starts_with("thinking: cannot be asked of this model"),
            "{told}"
        );
    }
    let off = encoded(&with(json!({"thinking": {"type": "disabled"}}))).unwrap();
    assert!(off.get("reasoning_effort").is_none());
}

#[test]
fn choices_of_tools_have_their_words() {
    let tools = json!([{"name": "f", "input_schema": {"type": "object"}}]);
    for (choice, expected) in [
        (json!({"type": "auto"}), json!("auto")),
        (json!({"type": "any"}), json!("required")),
        (json!({"type": "none"}), json!("none")),
        (
            json!({"type": "tool", "name": "f"}),
            json!({"type": "function", "function": {"name": "f"}}),
        ),
    ] {
        let told = encoded(&with(json!({"tools": tools, "tool_choice": choice}))).unwrap();
        assert_eq!(told["tool_choice"], expected);
        assert!(told.get("parallel_tool_calls").is_none());
    }
    let choice = json!({"type": "auto", "disable_parallel_tool_use": true});
    let without = encoded(&with(json!({"tool_choice": choice}))).unwrap();
    assert!(without.get("tool_choice").is_none() && without.get("parallel_tool_calls").is_none());
}

#[test]
fn what_the_dialect_has_no_word_for_is_refused_by_its_name() {
    let block = |block: Value| with(json!({"messages": [{"role": "user", "content": [block]}]}));
    let image = json!({"type": "image", "source": {"type": "url", "url": "https://a.example"}});
    for (body, told) in [
        (with(json!({"top_k": 5})), "top_k: is not known"),
        (
            with(json!({"stop_sequences": ["1", "2", "3", "4", "5"]})),
            "stop_sequences: must have at most 4",
        ),
        (
            block(json!({"type": "document", "source": {"type": "url", "url": "https://a.b"}})),
            "messages[0].content[0]: must be sent as base64",
        ),
        (
            block(json!({"type": "tool_result", "tool_use_id": "t", "content": [image]})),
            "messages[0].content[0]: must be text for this model's provider; put images",
        ),
        (
            with(json!({"messages": [{"role": "user", "content": "a"},
                {"role": "assistant", "content": "The answer is"}]})),
            "messages[1].role: must be the user's",
        ),
    ] {
        let refusal = refusal(&body);
        assert!(refusal.starts_with(told), "{refusal}");
    }
}

#[test]
fn a_part_on_the_wrong_side_is_refused_with_its_place() {
    let refused = |speaker, part: Part<'static>| {
        let text = |speaker| Turn {
            speaker,
            parts: vec![Part::text("a".into())],
        };
        let conversation = Conversation {
            turns: vec![
                text(Speaker::User),
                text(speaker),
                Turn {
                    speaker,
                    parts: vec![Part::text("b".into()), part],
                },
                text(Speaker::User),
            ],
            ..Conversation::default()
        };
        let order = Order {
            upstream_model: "m",
            output_tokens_max: None,
            thoughts_max: None,
            stream: false,
        };
        encode(&conversation, order).unwrap_err().field
    };
    let image = Part::Image {
        source: Source::Url("https://a.example".into()),
        cache_control: None,
    };
    let data = "x".into();
    let thought = Part::RedactedThinking { data };
    assert_eq!(refused(Speaker::Assistant, image), "messages[2].content[1]");
    assert_eq!(refused(Speaker::User, thought), "messages[2].content[1]");
}

/// A block that may stand in a message of the user or of the assistant.
fn block() -> impl Strategy<Value = (bool, Value)> {
    let text = ".{0,12}";
    let data = json!({"type": "base64", "media_type": "application/pdf", "data": "A\"A"});
    prop_oneof![
        (any::<bool>(), text)
            .prop_map(|(of_user, t)| (of_user, json!({"type": "text", "text": t}))),
        text.prop_map(|t| (false, json!({"type": "thinking", "thinking": t}))),
        (text, text).prop_map(|(a, b)| (
            false,
            json!({"type": "tool_use", "id": format!("i{a}"),
            "name": format!("n{b}"), "input": {(a): b}})
        )),
        (text, any::<bool>()).prop_map(|(t, is_error)| (
            true,
            json!({"type": "tool_result",
            "tool_use_id": format!("i{t}"), "content": t, "is_error": is_error})
        )),
        text.prop_map(move |t| (
            true,
            json!({"type": "document", "title": t, "source": data})
        )),
        text.prop_map(|t| (
            true,
            json!({"type": "image", "source":
            {"type": "url", "url": format!("https://{t}")}})
        )),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_conversation_that_the_user_ends_can_be_told(
        blocks in prop::collection::vec(block(), 0..12),
        system in ".*",
    ) {
        let role = |of_user| if of_user { "user" } else { "assistant" };
        let mut said: Vec<_> = blocks
            .iter()
            .map(|(of_user, block)| json!({"role": role(*of_user), "content": [block]}))
            .collect();
        said.push(json!({"role": "user", "content": "go on"}));
        let told = encoded(&with(json!({"system": system, "messages": said}))).unwrap();
        let told = told["messages"].as_array().unwrap();
        let count = |role: &str| told.iter().filter(|message| message["role"] == role).count();
        let of_kind = |kind: &str| blocks.iter().filter(|(_, b)| b["type"] == kind).count();
        prop_assert_eq!(count("tool"), of_kind("tool_result"));
        prop_assert_eq!(&told[0]["content"], &json!(system));
        let calls = told.iter().filter_map(|message| message["tool_calls"].as_array());
        prop_assert_eq!(calls.map(Vec::len).sum::<usize>(), of_kind("tool_use"));
        let pairs = told.windows(2);
        prop_assert!(
            pairs.clone().all(|pair| pair[1]["role"] != "tool" || pair[0]["role"] != "user"),
            "results come before the rest"
        );
    }
}
