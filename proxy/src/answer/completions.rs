//! Answers in the dialect of OpenAI's chat completions, whole (`chat.completion`) and piece by
//! piece (`chat.completion.chunk`): <https://platform.openai.com/docs/api-reference/chat>.

use std::io::Write as _;

use bytes::Bytes;
use tollgate_common::price::Usage;

use super::{Answer, write_on_one_line, write_text};
use crate::chat::{Completion, Named, Said};

mod stream;
#[cfg(test)]
mod tests;

pub(crate) use stream::{DONE, StreamWriter};

/// Whose customs a stream follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    /// The job API: the last piece tells the usage, and an error is a text.
    Job,
    /// OpenAI's.
    OpenAi {
        /// Whether the caller wants to be told the usage.
        include_usage: bool,
    },
}

/// Writes the whole answer. The model's texts are copied as the provider wrote them.
pub(crate) fn write(answer: &Answer<'_>, completion: &Completion<'_>) -> Bytes {
    let mut json = Vec::with_capacity(completion.text_bytes() + 1_024);
    json.push(b'{');
    write_fields(&mut json, answer, completion);
    json.extend_from_slice(b",\"usage\":");
    write_usage(&mut json, &answer.usage);
    write_others(&mut json, &completion.others);
    json.push(b'}');
    json.into()
}

/// Writes a provider's own members behind others.
fn write_others(json: &mut Vec<u8>, others: &Named<'_>) {
    for (name, value) in others {
        json.push(b',');
        write_text(json, name);
        json.push(b':');
        write_on_one_line(json, value);
    }
}

/// Writes the fields of a `chat.completion` up to its usage.
pub(super) fn write_fields(json: &mut Vec<u8>, answer: &Answer<'_>, completion: &Completion<'_>) {
    let id = answer.call_id.as_uuid().simple();
    let created = answer.created_at.as_seconds();
    // Writing into memory does not fail.
    let _ = write!(
        json,
        "\"id\":\"chatcmpl-{id}\",\"object\":\"chat.completion\",\"created\":{created},\"model\":"
    );
    write_text(json, answer.alias);
    json.extend_from_slice(b",\"choices\":[");
    for (index, choice) in completion.choices.iter().enumerate() {
        let separator = if index == 0 { "" } else { "," };
        let _ = write!(json, "{separator}{{\"index\":{index},\"message\":{{");
        write_said(json, &choice.said);
        json.push(b'}');
        if let Some(logprobs) = &choice.logprobs {
            let _ = write!(json, ",\"logprobs\":{logprobs}");
        }
        write_others(json, &choice.others);
        let word = choice.finish_reason.word();
        let _ = write!(json, ",\"finish_reason\":\"{word}\"}}");
    }
    json.push(b']');
}

/// Writes the fields of a message.
pub(super) fn write_said(json: &mut Vec<u8>, said: &Said<'_>) {
    json.extend_from_slice(b"\"role\":\"assistant\",\"content\":");
    json.extend_from_slice(said.content.as_deref().unwrap_or("null").as_bytes());
    let texts = [
        ("refusal", &said.refusal),
        ("reasoning_content", &said.reasoning),
        ("tool_calls", &said.tool_calls),
    ];
    for (name, text) in texts {
        if let Some(text) = text {
            let _ = write!(json, ",\"{name}\":{text}");
        }
    }
    write_others(json, &said.others);
}

/// Writes the sums of a call's tokens.
pub(super) fn write_totals(json: &mut Vec<u8>, usage: &Usage) {
    write_open_totals(json, usage);
    json.push(b'}');
}

/// Writes the sums, and what cache and reasoning have in them.
fn write_usage(json: &mut Vec<u8>, usage: &Usage) {
    write_open_totals(json, usage);
    let _ = write!(
        json,
        ",\"prompt_tokens_details\":{{\"cached_tokens\":{}}},\
         \"completion_tokens_details\":{{\"reasoning_tokens\":{}}}}}",
        usage.input_cache_read, usage.output_reasoning
    );
}

/// Writes the sums. The object is left open.
fn write_open_totals(json: &mut Vec<u8>, usage: &Usage) {
    let _ = write!(
        json,
        "{{\"prompt_tokens\":{},\"completion_tokens\":{},\"total_tokens\":{}",
        usage.input(),
        usage.output(),
        usage.total()
    );
}
