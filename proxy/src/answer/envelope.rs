//! The answer to an LLM call: the job API's envelope and OpenAI's completion in one object.

use std::io::Write as _;

use bytes::Bytes;
use tollgate_common::clock::Timestamp;
use tollgate_common::id::CallId;
use tollgate_common::price::Usage;

use crate::chat::{Completion, Said};

/// What the envelope says beside the model's words.
#[derive(Debug)]
pub(crate) struct Envelope<'a> {
    pub(crate) call_id: CallId,
    /// The model's public name, whatever the caller wrote.
    pub(crate) alias: &'a str,
    /// The name that the caller used.
    pub(crate) requested_model: &'a str,
    pub(crate) usage: Usage,
    pub(crate) latency_ms: i64,
    pub(crate) created_at: Timestamp,
}

/// Writes the answer. The model's texts are copied as the provider wrote them.
pub(crate) fn write(envelope: &Envelope<'_>, completion: &Completion<'_>) -> Bytes {
    let mut json = Vec::with_capacity(completion.text_bytes() * 2 + 1_024);
    let Some(first) = completion.choices.first() else {
        return Bytes::new();
    };
    // Writing into memory does not fail.
    let _ = write!(
        json,
        "{{\"call_id\":\"{}\",\"response\":{{",
        envelope.call_id
    );
    write_said(&mut json, &first.said);
    let _ = write!(
        json,
        ",\"finish_reason\":\"{}\"}},\"metadata\":{{\"tokens_used\":{},\"latency_ms\":{},\"model\":",
        first.finish_reason.word(),
        envelope.usage.total(),
        envelope.latency_ms
    );
    write_text(&mut json, envelope.alias);
    json.extend_from_slice(b",\"model_group\":");
    write_text(&mut json, envelope.requested_model);
    let id = envelope.call_id.as_uuid().simple();
    let created = envelope.created_at.as_seconds();
    let _ = write!(
        json,
        "}},\"id\":\"chatcmpl-{id}\",\"object\":\"chat.completion\",\"created\":{created},\"model\":"
    );
    write_text(&mut json, envelope.alias);
    json.extend_from_slice(b",\"choices\":[");
    for (index, choice) in completion.choices.iter().enumerate() {
        let separator = if index == 0 { "" } else { "," };
        let _ = write!(json, "{separator}{{\"index\":{index},\"message\":{{");
        write_said(&mut json, &choice.said);
        let _ = write!(
            json,
            "}},\"finish_reason\":\"{}\"}}",
            choice.finish_reason.word()
        );
    }
    let usage = &envelope.usage;
    let _ = write!(
        json,
        "],\"usage\":{{\"prompt_tokens\":{},\"completion_tokens\":{},\"total_tokens\":{}}}}}",
        usage.input(),
        usage.output(),
        usage.total()
    );
    json.into()
}

fn write_said(json: &mut Vec<u8>, said: &Said<'_>) {
    json.extend_from_slice(b"\"role\":\"assistant\",\"content\":");
    json.extend_from_slice(said.content.as_deref().unwrap_or("null").as_bytes());
    for (name, text) in [
        ("refusal", &said.refusal),
        ("reasoning_content", &said.reasoning),
        ("tool_calls", &said.tool_calls),
    ] {
        if let Some(text) = text {
            let _ = write!(json, ",\"{name}\":{text}");
        }
    }
}

fn write_text(json: &mut Vec<u8>, text: &str) {
    let _ = serde_json::to_writer(json, text);
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use tollgate_common::clock::SystemRandom;

    use super::*;
    use crate::provider::openai;

    #[test]
    fn the_envelope_is_the_job_apis_and_openais_at_once() {
        let body = json!({"id": "chatcmpl-real", "model": "gpt-4o-real", "choices": [{
            "message": {"role": "assistant", "content": "Hé \"you\"", "tool_calls": [{"id": "t"}]},
            "finish_reason": "tool_calls"}], "usage": {"prompt_tokens": 10, "completion_tokens": 5}})
        .to_string();
        let completion = openai::decode(body.as_bytes()).unwrap();
        let envelope = Envelope {
            call_id: CallId::new(Timestamp::from_micros(0), &SystemRandom),
            alias: "fast",
            requested_model: "my-group",
            usage: completion.usage.unwrap(),
            latency_ms: 12,
            created_at: Timestamp::from_micros(5_000_000),
        };
        let answer: Value = serde_json::from_slice(&write(&envelope, &completion)).unwrap();
        assert_eq!(answer["response"]["content"], "Hé \"you\"");
        assert_eq!(answer["response"]["role"], "assistant");
        assert_eq!(answer["response"]["tool_calls"][0]["id"], "t");
        assert_eq!(answer["metadata"]["tokens_used"], 15);
        assert_eq!(answer["metadata"]["model_group"], "my-group");
        assert_eq!(answer["choices"][0]["message"]["content"], "Hé \"you\"");
        assert_eq!(answer["usage"]["total_tokens"], 15);
        assert_eq!(
            (&answer["created"], &answer["model"]),
            (&json!(5), &json!("fast"))
        );
        assert!(
            !answer.to_string().contains("real"),
            "the real model stays hidden"
        );
    }
}
