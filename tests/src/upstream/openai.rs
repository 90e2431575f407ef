//! OpenAI's dialect: chat completions, embeddings, models.

use axum::http::HeaderMap;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::answer::{Answer, Asked, Form, Part, Usage, text_of};
use super::delivery::Event;
use super::script::Ending;

/// Tokens in and out, if the script does not say.
pub(super) const USUAL: (i64, i64) = (10, 5);

/// When everything was created, in seconds since 1970.
const CREATED: i64 = 1_790_000_000;

/// How many numbers a vector has, if the request does not say.
const DIMENSIONS: usize = 4;

pub(super) fn asked(headers: &HeaderMap, body: Value) -> Asked {
    let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
    let authorization = headers.get("authorization").and_then(|v| v.to_str().ok());
    let prompt = if body["input"].is_null() {
        last_message(&body)
    } else {
        last_input(&body["input"])
    };
    let stop = body["stop"].as_str().or_else(|| body["stop"][0].as_str());
    Asked {
        model: text("model"),
        key: authorization
            .unwrap_or_default()
            .trim_start_matches("Bearer ")
            .to_owned(),
        stream: body["stream"] == true,
        include_usage: body["stream_options"]["include_usage"] == true,
        prompt,
        form: form(&body),
        stop: stop.map(str::to_owned),
        body,
    }
}

fn last_message(body: &Value) -> String {
    let messages = body["messages"].as_array();
    let last = messages.and_then(|messages| messages.last());
    last.map(|message| text_of(&message["content"]))
        .unwrap_or_default()
}

fn last_input(input: &Value) -> String {
    let last = input.as_array().and_then(|inputs| inputs.last());
    let text = last.unwrap_or(input).as_str();
    text.unwrap_or_default().to_owned()
}

/// The tool that must be called, else the one that may be, else the format of the answer.
fn form(body: &Value) -> Option<Form> {
    let forced = body["tool_choice"]["function"]["name"].as_str();
    let tools = body["tools"].as_array().into_iter().flatten();
    let mut functions = tools.map(|tool| &tool["function"]);
    let function = functions.find(|function| forced.is_none_or(|name| function["name"] == *name));
    if let Some(function) = function {
        return Some(Form {
            tool: function["name"].as_str().map(str::to_owned),
            schema: function["parameters"].clone(),
        });
    }
    let schema = body.pointer("/response_format/json_schema/schema")?;
    Some(Form {
        tool: None,
        schema: schema.clone(),
    })
}

/// A whole completion.
pub(super) fn completion(asked: &Asked, answer: &Answer) -> Value {
    let mut message = json!({
        "role": "assistant", "content": answer.text(), "refusal": null, "annotations": [],
    });
    let mut calls = Vec::new();
    for part in &answer.parts {
        match part {
            Part::Thought(fragments) => message["reasoning_content"] = fragments.concat().into(),
            Part::Text(_) => {}
            Part::Tool { name, arguments } => calls.push(json!({
                "id": call_id(calls.len()),
                "type": "function",
                "function": { "name": name, "arguments": arguments.concat() },
            })),
        }
    }
    if !calls.is_empty() {
        message["tool_calls"] = calls.into();
    }
    let mut body = json!({
        "id": "chatcmpl-scripted",
        "object": "chat.completion",
        "created": CREATED,
        "model": snapshot(asked),
        "choices": [{
            "index": 0,
            "message": message,
            "logprobs": null,
            "finish_reason": finish_reason(answer),
        }],
        "service_tier": "default",
        "system_fingerprint": "fp_scripted",
    });
    if let Some(usage) = answer.usage {
        body["usage"] = usage_object(usage);
    }
    body
}

/// A model answers under the name of its version.
fn snapshot(asked: &Asked) -> String {
    format!("{}-2024-08-06", asked.model)
}

fn call_id(index: usize) -> String {
    format!("call_{}", index + 1)
}

fn finish_reason(answer: &Answer) -> &'static str {
    match answer.ending {
        Ending::Length => "length",
        Ending::Filter => "content_filter",
        Ending::Stop | Ending::StopSequence if answer.has_tools() => "tool_calls",
        Ending::Stop | Ending::StopSequence => "stop",
    }
}

fn usage_object(usage: Usage) -> Value {
    json!({
        "prompt_tokens": usage.input,
        "completion_tokens": usage.output,
        "total_tokens": usage.input + usage.output,
        "prompt_tokens_details": { "cached_tokens": usage.cached, "audio_tokens": 0 },
        "completion_tokens_details": {
            "reasoning_tokens": usage.reasoned, "audio_tokens": 0,
            "accepted_prediction_tokens": 0, "rejected_prediction_tokens": 0,
        },
    })
}

/// The events of a stream, down to `[DONE]`.
pub(super) fn events(asked: &Asked, answer: &Answer) -> Vec<Event> {
    let chunk = |choices: Value, usage: Value| {
        let mut chunk = json!({
            "id": "chatcmpl-scripted",
            "object": "chat.completion.chunk",
            "created": CREATED,
            "model": snapshot(asked),
            "service_tier": "default",
            "system_fingerprint": "fp_scripted",
            "choices": choices,
        });
        if asked.include_usage && answer.usage.is_some() {
            chunk["usage"] = usage;
        }
        Event::unnamed(&chunk)
    };
    let choice = |delta: Value, reason: Option<&str>| {
        let choice =
            json!({ "index": 0, "delta": delta, "logprobs": null, "finish_reason": reason });
        chunk(json!([choice]), Value::Null)
    };
    let mut events: Vec<Event> = deltas(answer)
        .into_iter()
        .map(|delta| choice(delta, None))
        .collect();
    let last = if answer.nulls {
        json!({ "content": null })
    } else {
        json!({})
    };
    events.push(choice(last, Some(finish_reason(answer))));
    if let (true, Some(usage)) = (asked.include_usage, answer.usage) {
        events.push(chunk(json!([]), usage_object(usage)));
    }
    events.push(Event {
        name: None,
        data: "[DONE]".to_owned(),
    });
    events
}

fn deltas(answer: &Answer) -> Vec<Value> {
    let content = if answer.has_tools() {
        Value::Null
    } else {
        "".into()
    };
    let mut deltas = vec![json!({ "role": "assistant", "content": content, "refusal": null })];
    let mut calls = 0;
    for part in &answer.parts {
        match part {
            Part::Thought(fragments) => deltas.extend(fragments.iter().map(|fragment| {
                let mut delta = json!({ "reasoning_content": fragment });
                if answer.nulls {
                    delta["content"] = Value::Null;
                }
                delta
            })),
            Part::Text(fragments) => {
                deltas.extend(fragments.iter().map(|text| json!({ "content": text })));
            }
            Part::Tool { name, arguments } => {
                deltas.extend(tool_deltas(calls, name, arguments, answer.nulls));
                calls += 1;
            }
        }
    }
    deltas
}

/// Who is called first, then with what, bit by bit.
fn tool_deltas(index: usize, name: &str, arguments: &[String], nulls: bool) -> Vec<Value> {
    let mut calls = vec![json!({
        "index": index,
        "id": call_id(index),
        "type": "function",
        "function": { "name": name, "arguments": "" },
    })];
    calls.extend(
        arguments
            .iter()
            .map(|fragment| json!({ "index": index, "function": { "arguments": fragment } })),
    );
    let with_calls = |call| {
        let mut delta = json!({ "tool_calls": [call] });
        if nulls {
            delta["content"] = Value::Null;
        }
        delta
    };
    calls.into_iter().map(with_calls).collect()
}

/// The body of an error.
pub(super) fn error(status: u16, message: &str) -> Value {
    let (kind, code) = match status {
        401 => ("invalid_request_error", Some("invalid_api_key")),
        404 => ("invalid_request_error", Some("model_not_found")),
        429 => ("requests", Some("rate_limit_exceeded")),
        500.. => ("server_error", None),
        _ => ("invalid_request_error", None),
    };
    json!({ "error": { "message": message, "type": kind, "param": null, "code": code } })
}

/// The event of an error in the middle of a stream.
pub(super) fn error_event(message: &str) -> Event {
    Event::unnamed(&error(500, message))
}

/// A vector for each input.
pub(super) fn embeddings(asked: &Asked) -> Value {
    let count = match &asked.body["input"] {
        // A list of numbers is one input, given as tokens.
        Value::Array(inputs) if !inputs.iter().all(Value::is_number) => inputs.len(),
        _ => 1,
    };
    let dimensions = asked.body["dimensions"].as_u64();
    let dimensions = dimensions.map_or(DIMENSIONS, |number| number as usize);
    let data = (0..count).map(|index| {
        let vector = vector(index, dimensions);
        let embedding = if asked.body["encoding_format"] == "base64" {
            let bytes: Vec<u8> = vector.iter().flat_map(|x| x.to_le_bytes()).collect();
            json!(STANDARD.encode(bytes))
        } else {
            json!(vector)
        };
        json!({ "object": "embedding", "index": index, "embedding": embedding })
    });
    json!({
        "object": "list",
        "data": data.collect::<Vec<_>>(),
        "model": asked.model,
        "usage": { "prompt_tokens": 8, "total_tokens": 8 },
    })
}

/// Numbers that both formats hold exactly.
fn vector(index: usize, dimensions: usize) -> Vec<f32> {
    (0..dimensions)
        .map(|place| (index + 1) as f32 / 8.0 + place as f32 / 64.0)
        .collect()
}

/// The list of models.
pub(super) fn models() -> Value {
    let model =
        |id| json!({ "id": id, "object": "model", "created": CREATED, "owned_by": "system" });
    let models = ["gpt-4o", "gpt-4o-mini"].map(model);
    json!({ "object": "list", "data": models })
}
