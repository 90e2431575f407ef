//! The answer of the job API: its envelope and OpenAI's completion in one object.

use std::io::Write as _;

use bytes::Bytes;

use super::{Answer, completions, write_text};
use crate::chat::Completion;

/// Writes the answer. The model's texts are copied as the provider wrote them.
pub(crate) fn write(answer: &Answer<'_>, completion: &Completion<'_>) -> Bytes {
    let mut json = Vec::with_capacity(completion.text_bytes() * 2 + 1_024);
    let Some(first) = completion.choices.first() else {
        return Bytes::new();
    };
    // Writing into memory does not fail.
    let _ = write!(json, "{{\"call_id\":\"{}\",\"response\":{{", answer.call_id);
    completions::write_said(&mut json, &first.said);
    let _ = write!(
        json,
        ",\"finish_reason\":\"{}\"}},\"metadata\":{{\"tokens_used\":{},\"latency_ms\":{},\"model\":",
        first.finish_reason.word(),
        answer.usage.total(),
        answer.latency_ms
    );
    write_text(&mut json, answer.alias);
    json.extend_from_slice(b",\"model_group\":");
    write_text(&mut json, answer.requested_model);
    if answer.is_cached {
        json.extend_from_slice(b",\"cached\":true");
    }
    json.extend_from_slice(b"},");
    completions::write_fields(&mut json, answer, completion);
    json.extend_from_slice(b",\"usage\":");
    completions::write_totals(&mut json, &answer.usage);
    json.push(b'}');
    json.into()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use tollgate_common::clock::{SystemRandom, Timestamp};
    use tollgate_common::id::CallId;

    use super::*;
    use crate::provider::openai;

    #[test]
    fn the_envelope_is_the_job_apis_and_openais_at_once() {
        let body = json!({"id": "chatcmpl-real", "model": "gpt-4o-real", "choices": [{
            "message": {"role": "assistant", "content": "Hé \"you\"", "tool_calls": [{"id": "t"}]},
            "finish_reason": "tool_calls"}], "usage": {"prompt_tokens": 10, "completion_tokens": 5}})
        .to_string();
        let completion = openai::decode(body.as_bytes()).unwrap();
        let envelope = Answer {
            call_id: CallId::new(Timestamp::from_micros(0), &SystemRandom),
            alias: "fast",
            requested_model: "my-group",
            usage: completion.counted.unwrap().usage,
            latency_ms: 12,
            created_at: Timestamp::from_micros(5_000_000),
            is_cached: false,
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
