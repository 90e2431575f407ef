//! Gemini's dialect: `generateContent`.

use axum::http::HeaderMap;
use serde_json::{Value, json};

use super::answer::{Answer, Asked, Form, Part, Usage, text_of};
use super::delivery::Event;
use super::script::Ending;

mod request;

pub(super) use request::check;

/// Tokens in and out, if the script does not say.
pub(super) const USUAL: (i64, i64) = (25, 15);

/// Ends the lines of streams.
pub(super) const LINE_END: &str = "\r\n";

/// What proves that a thought is the model's own.
const SIGNATURE: &str = "CscBc2NyaXB0ZWQ=";

pub(super) fn asked(headers: &HeaderMap, model: &str, stream: bool, body: Value) -> Asked {
    let key = headers.get("x-goog-api-key").and_then(|v| v.to_str().ok());
    let contents = body["contents"].as_array();
    let last = contents.and_then(|contents| contents.last());
    let stop = body.pointer("/generationConfig/stopSequences/0");
    Asked {
        model: model.to_owned(),
        key: key.unwrap_or_default().to_owned(),
        stream,
        include_usage: true,
        prompt: last
            .map(|content| text_of(&content["parts"]))
            .unwrap_or_default(),
        form: form(&body),
        stop: stop.and_then(Value::as_str).map(str::to_owned),
        body,
    }
}

/// The function that must be called, else the one that may be, else the format of the answer.
fn form(body: &Value) -> Option<Form> {
    let forced = body
        .pointer("/toolConfig/functionCallingConfig/allowedFunctionNames/0")
        .and_then(Value::as_str);
    let tools = body["tools"].as_array().into_iter().flatten();
    let mut functions = tools
        .filter_map(|tool| tool["functionDeclarations"].as_array())
        .flatten();
    let function = functions.find(|function| forced.is_none_or(|name| function["name"] == *name));
    if let Some(function) = function {
        let schema = function.get("parametersJsonSchema");
        return Some(Form {
            tool: function["name"].as_str().map(str::to_owned),
            schema: schema.unwrap_or_else(|| &function["parameters"]).clone(),
        });
    }
    let config = &body["generationConfig"];
    let schema = config
        .get("responseJsonSchema")
        .or_else(|| config.get("responseSchema"))?;
    Some(Form {
        tool: None,
        schema: schema.clone(),
    })
}

/// A whole response.
pub(super) fn response(asked: &Asked, answer: &Answer) -> Value {
    if answer.parts.is_empty() {
        return blocked(asked, answer);
    }
    let parts = answer.parts.iter().map(|part| match part {
        Part::Thought(fragments) => thought(&fragments.concat()),
        Part::Text(fragments) => json!({ "text": fragments.concat() }),
        Part::Tool { name, arguments } => function_call(name, arguments),
    });
    let parts = signed(answer, parts.collect());
    chunk(asked, parts, Some(answer), answer.usage.map(usage_object))
}

fn thought(text: &str) -> Value {
    json!({ "text": text, "thought": true })
}

fn function_call(name: &str, arguments: &[String]) -> Value {
    let arguments: Value = serde_json::from_str(&arguments.concat()).expect("arguments are JSON");
    json!({ "functionCall": { "name": name, "args": arguments } })
}

/// What follows a thought is signed.
fn signed(answer: &Answer, mut parts: Vec<Value>) -> Vec<Value> {
    let thinks = matches!(answer.parts.first(), Some(Part::Thought(_)));
    let after = parts.iter_mut().find(|part| part["thought"] != true);
    if let (true, Some(part)) = (thinks, after) {
        part["thoughtSignature"] = SIGNATURE.into();
    }
    parts
}

/// A response with these parts; the last one of a stream has an end.
fn chunk(asked: &Asked, parts: Vec<Value>, end: Option<&Answer>, usage: Option<Value>) -> Value {
    let mut candidate = json!({ "content": { "parts": parts, "role": "model" }, "index": 0 });
    if let Some(answer) = end {
        candidate["finishReason"] = finish_reason(answer).into();
    }
    let mut chunk = json!({
        "candidates": [candidate], "modelVersion": asked.model, "responseId": "scripted",
    });
    if let Some(usage) = usage {
        chunk["usageMetadata"] = usage;
    }
    chunk
}

/// A prompt that gets no answer.
fn blocked(asked: &Asked, answer: &Answer) -> Value {
    let mut response = json!({
        "promptFeedback": { "blockReason": "SAFETY" },
        "modelVersion": asked.model,
        "responseId": "scripted",
    });
    if let Some(usage) = answer.usage {
        response["usageMetadata"] = prompt_only(usage);
    }
    response
}

fn finish_reason(answer: &Answer) -> &'static str {
    match answer.ending {
        Ending::Length => "MAX_TOKENS",
        Ending::Filter => "SAFETY",
        Ending::Stop | Ending::StopSequence => "STOP",
    }
}

/// Thoughts are not part of the candidates' tokens, but what was cached is part of the prompt's.
fn usage_object(usage: Usage) -> Value {
    let mut object = prompt_only(usage);
    object["candidatesTokenCount"] = usage.output.into();
    object["totalTokenCount"] = (usage.input + usage.output + usage.reasoned).into();
    if usage.reasoned > 0 {
        object["thoughtsTokenCount"] = usage.reasoned.into();
    }
    object
}

fn prompt_only(usage: Usage) -> Value {
    let mut object = json!({
        "promptTokenCount": usage.input,
        "totalTokenCount": usage.input,
        "promptTokensDetails": [{ "modality": "TEXT", "tokenCount": usage.input }],
    });
    if usage.cached > 0 {
        object["cachedContentTokenCount"] = usage.cached.into();
    }
    object
}

/// The events of a stream. A function call comes in one piece.
pub(super) fn events(asked: &Asked, answer: &Answer) -> Vec<Event> {
    if answer.parts.is_empty() {
        return vec![Event::unnamed(&blocked(asked, answer))];
    }
    let mut parts = Vec::new();
    for part in &answer.parts {
        match part {
            Part::Thought(fragments) => parts.extend(fragments.iter().map(|text| thought(text))),
            Part::Text(fragments) => {
                parts.extend(fragments.iter().map(|text| json!({ "text": text })));
            }
            Part::Tool { name, arguments } => parts.push(function_call(name, arguments)),
        }
    }
    let last = parts.len() - 1;
    let parts = signed(answer, parts).into_iter().enumerate();
    let chunks = parts.map(|(index, part)| {
        let (end, usage) = if index == last {
            (Some(answer), answer.usage.map(usage_object))
        } else {
            (None, answer.usage.map(prompt_only))
        };
        Event::unnamed(&chunk(asked, vec![part], end, usage))
    });
    chunks.collect()
}

/// The body of an error.
pub(super) fn error(status: u16, message: &str) -> Value {
    let word = match status {
        401 => "UNAUTHENTICATED",
        403 => "PERMISSION_DENIED",
        404 => "NOT_FOUND",
        429 => "RESOURCE_EXHAUSTED",
        503 => "UNAVAILABLE",
        504 => "DEADLINE_EXCEEDED",
        500.. => "INTERNAL",
        _ => "INVALID_ARGUMENT",
    };
    json!({ "error": { "code": status, "message": message, "status": word } })
}

/// A key that is not valid is an invalid argument.
pub(super) fn refused_key(key: &str) -> Value {
    let message = format!("API key not valid: {key}. Please pass a valid API key.");
    let mut body = error(400, &message);
    body["error"]["details"] = json!([{
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": "API_KEY_INVALID",
        "domain": "googleapis.com",
    }]);
    body
}

/// The event of an error in the middle of a stream.
pub(super) fn error_event(message: &str) -> Event {
    Event::unnamed(&error(503, message))
}

/// The list of models.
pub(super) fn models() -> Value {
    json!({
        "models": [{
            "name": "models/gemini-2.5-flash",
            "displayName": "Gemini 2.5 Flash",
            "supportedGenerationMethods": ["generateContent", "countTokens"],
        }],
    })
}
