//! Anthropic's dialect: the Messages API.

use axum::http::HeaderMap;
use serde_json::{Value, json};

use super::answer::{Answer, Asked, Form, Part, Usage, text_of};
use super::delivery::Event;
use super::script::Ending;

mod request;

pub(super) use request::check;

/// Tokens in and out, if the script does not say.
pub(super) const USUAL: (i64, i64) = (25, 15);

/// What proves that a thought is the model's own.
const SIGNATURE: &str = "EqQBCgIYAhIkc2NyaXB0ZWQ=";

pub(super) fn asked(headers: &HeaderMap, body: Value) -> Asked {
    let key = headers.get("x-api-key").and_then(|v| v.to_str().ok());
    let messages = body["messages"].as_array();
    let last = messages.and_then(|messages| messages.last());
    Asked {
        model: body["model"].as_str().unwrap_or_default().to_owned(),
        key: key.unwrap_or_default().to_owned(),
        stream: body["stream"] == true,
        include_usage: true,
        prompt: last
            .map(|message| text_of(&message["content"]))
            .unwrap_or_default(),
        form: form(&body),
        stop: body["stop_sequences"][0].as_str().map(str::to_owned),
        body,
    }
}

/// The tool that must be called, else the one that may be, else the format of the answer.
fn form(body: &Value) -> Option<Form> {
    let forced = body["tool_choice"]["name"].as_str();
    let mut tools = body["tools"].as_array().into_iter().flatten();
    if let Some(tool) = tools.find(|tool| forced.is_none_or(|name| tool["name"] == *name)) {
        return Some(Form {
            tool: tool["name"].as_str().map(str::to_owned),
            schema: tool["input_schema"].clone(),
        });
    }
    let schema = body
        .pointer("/output_config/format/schema")
        .or_else(|| body.pointer("/output_format/schema"))?;
    Some(Form {
        tool: None,
        schema: schema.clone(),
    })
}

/// A whole message.
pub(super) fn message(asked: &Asked, answer: &Answer) -> Value {
    let blocks = answer.parts.iter().enumerate().map(|(index, part)| {
        let mut block = begun(index, part);
        match part {
            Part::Thought(fragments) => {
                block["thinking"] = fragments.concat().into();
                block["signature"] = SIGNATURE.into();
            }
            Part::Text(fragments) => block["text"] = fragments.concat().into(),
            Part::Tool { arguments, .. } => {
                let input = serde_json::from_str::<Value>(&arguments.concat());
                block["input"] = input.expect("arguments are JSON");
            }
        }
        block
    });
    let mut message = envelope(asked);
    message["content"] = blocks.collect::<Vec<_>>().into();
    let (reason, sequence) = stop_reason(asked, answer);
    message["stop_reason"] = reason.into();
    message["stop_sequence"] = sequence;
    if let Some(usage) = answer.usage {
        message["usage"] = usage_object(usage);
    }
    message
}

fn envelope(asked: &Asked) -> Value {
    json!({
        "id": "msg_scripted",
        "type": "message",
        "role": "assistant",
        "model": format!("{}-20250929", asked.model),
        "content": [],
        "stop_reason": null,
        "stop_sequence": null,
    })
}

/// A content block as it is before anything is in it.
fn begun(index: usize, part: &Part) -> Value {
    match part {
        Part::Thought(_) => json!({ "type": "thinking", "thinking": "", "signature": "" }),
        Part::Text(_) => json!({ "type": "text", "text": "" }),
        Part::Tool { name, .. } => json!({
            "type": "tool_use", "id": format!("toolu_{}", index + 1), "name": name, "input": {},
        }),
    }
}

fn stop_reason(asked: &Asked, answer: &Answer) -> (&'static str, Value) {
    match answer.ending {
        Ending::Length => ("max_tokens", Value::Null),
        Ending::Filter => ("refusal", Value::Null),
        Ending::StopSequence => ("stop_sequence", json!(asked.stop)),
        Ending::Stop if answer.has_tools() => ("tool_use", Value::Null),
        Ending::Stop => ("end_turn", Value::Null),
    }
}

/// What was read from a cache or written to it is not part of the input.
fn usage_object(usage: Usage) -> Value {
    json!({
        "input_tokens": usage.input,
        "cache_creation_input_tokens": usage.written,
        "cache_read_input_tokens": usage.cached,
        "cache_creation": {
            "ephemeral_5m_input_tokens": usage.written, "ephemeral_1h_input_tokens": 0,
        },
        "output_tokens": usage.output,
        "output_tokens_details": { "thinking_tokens": usage.reasoned },
        "service_tier": "standard",
    })
}

/// The events of a stream, down to `message_stop`.
pub(super) fn events(asked: &Asked, answer: &Answer) -> Vec<Event> {
    let mut message = envelope(asked);
    if let Some(usage) = answer.usage {
        message["usage"] = usage_object(Usage { output: 1, ..usage });
    }
    let mut events = vec![event("message_start", json!({ "message": message }))];
    for (index, part) in answer.parts.iter().enumerate() {
        let start = json!({ "index": index, "content_block": begun(index, part) });
        events.push(event("content_block_start", start));
        if index == 0 {
            events.push(event("ping", json!({})));
        }
        let deltas = deltas(part).into_iter().map(|delta| {
            event(
                "content_block_delta",
                json!({ "index": index, "delta": delta }),
            )
        });
        events.extend(deltas);
        events.push(event("content_block_stop", json!({ "index": index })));
    }
    let (reason, sequence) = stop_reason(asked, answer);
    let mut end = json!({ "delta": { "stop_reason": reason, "stop_sequence": sequence } });
    if let Some(usage) = answer.usage {
        end["usage"] = json!({ "output_tokens": usage.output });
    }
    events.push(event("message_delta", end));
    events.push(event("message_stop", json!({})));
    events
}

fn event(name: &'static str, mut data: Value) -> Event {
    data["type"] = name.into();
    Event {
        name: Some(name),
        data: data.to_string(),
    }
}

fn deltas(part: &Part) -> Vec<Value> {
    match part {
        Part::Thought(fragments) => {
            let thoughts = fragments
                .iter()
                .map(|text| json!({ "type": "thinking_delta", "thinking": text }));
            let signature = json!({ "type": "signature_delta", "signature": SIGNATURE });
            thoughts.chain([signature]).collect()
        }
        Part::Text(fragments) => fragments
            .iter()
            .map(|text| json!({ "type": "text_delta", "text": text }))
            .collect(),
        Part::Tool { arguments, .. } => [""]
            .into_iter()
            .chain(arguments.iter().map(String::as_str))
            .map(|text| json!({ "type": "input_json_delta", "partial_json": text }))
            .collect(),
    }
}

/// The body of an error.
pub(super) fn error(status: u16, message: &str) -> Value {
    let kind = match status {
        401 => "authentication_error",
        402 => "billing_error",
        403 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        504 => "timeout_error",
        529 => "overloaded_error",
        500.. => "api_error",
        _ => "invalid_request_error",
    };
    json!({
        "type": "error",
        "error": { "type": kind, "message": message },
        "request_id": "req_scripted",
    })
}

/// The event of an error in the middle of a stream.
pub(super) fn error_event(message: &str) -> Event {
    let error = json!({ "error": { "type": "overloaded_error", "message": message } });
    event("error", error)
}

/// The list of models.
pub(super) fn models() -> Value {
    let id = "claude-sonnet-4-5-20250929";
    json!({
        "data": [{
            "type": "model", "id": id, "display_name": "Claude Sonnet 4.5",
            "created_at": "2025-09-29T00:00:00Z",
        }],
        "has_more": false,
        "first_id": id,
        "last_id": id,
    })
}
