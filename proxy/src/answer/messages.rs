//! Answers in the dialect of Anthropic's Messages API, whole and piece by piece:
//! <https://docs.anthropic.com/en/api/messages>.
//!
//! It has one answer for a prompt: only the first choice is told.

use std::io::Write as _;

use bytes::Bytes;
use tollgate_common::price::Usage;

use super::{Answer, write_text};
use crate::chat::{Choice, Completion, FinishReason, Said, Vocabulary};

mod stream;
#[cfg(test)]
mod tests;
mod tool_call;

pub(crate) use stream::StreamWriter;

/// An empty text.
const NOTHING: &str = "\"\"";

/// Writes the whole answer.
pub(crate) fn write(answer: &Answer<'_>, completion: &Completion<'_>) -> Bytes {
    let Some(first) = completion.choices.first() else {
        return Bytes::new();
    };
    let mut json = Vec::with_capacity(first.said.text_bytes() + 1_024);
    let id = answer.call_id.as_uuid().simple();
    // Writing into memory does not fail.
    let _ = write!(
        json,
        "{{\"id\":\"msg_{id}\",\"type\":\"message\",\"role\":\"assistant\",\"model\":"
    );
    write_text(&mut json, answer.alias);
    json.extend_from_slice(b",\"content\":[");
    write_blocks(&mut json, &first.said, &id.to_string());
    let _ = write!(
        json,
        "],\"stop_reason\":\"{}\",\"stop_sequence\":{},\"usage\":",
        choice_stop_reason(first),
        first.stop_sequence.as_deref().unwrap_or("null")
    );
    write_usage(&mut json, &answer.usage);
    json.push(b'}');
    json.into()
}

fn choice_stop_reason<'c>(choice: &'c Choice<'_>) -> &'c str {
    let is_refused = choice
        .said
        .refusal
        .as_deref()
        .is_some_and(|text| text != NOTHING);
    let has_stop_sequence = choice.stop_sequence.is_some();
    stop_reason(&choice.finish_reason, is_refused, has_stop_sequence)
}

/// Writes the content, in the order in which the API has it. An empty text is no block: the API
/// does not take it back.
fn write_blocks(json: &mut Vec<u8>, said: &Said<'_>, id: &str) {
    let start = json.len();
    let begin = |json: &mut Vec<u8>, kind: &str| {
        let separator = if json.len() == start { "" } else { "," };
        let _ = write!(json, "{separator}{{\"type\":\"{kind}\"");
    };
    if said.reasoning.is_some() || said.reasoning_signature.is_some() {
        begin(json, "thinking");
        let [thinking, signature] =
            [&said.reasoning, &said.reasoning_signature].map(|text| text.as_deref());
        let (thinking, signature) = (thinking.unwrap_or(NOTHING), signature.unwrap_or(NOTHING));
        let _ = write!(json, ",\"thinking\":{thinking},\"signature\":{signature}}}");
    }
    if let Some(data) = &said.redacted_reasoning {
        begin(json, "redacted_thinking");
        let _ = write!(json, ",\"data\":{data}}}");
    }
    // A refusal is told as text: the API has a reason to stop for it, but no block.
    for text in [&said.content, &said.refusal].into_iter().flatten() {
        if text != NOTHING {
            begin(json, "text");
            let _ = write!(json, ",\"text\":{text}}}");
        }
    }
    let calls = tool_call::list_of(said);
    let calls = calls.as_deref().map(tool_call::read);
    for (position, call) in calls.unwrap_or_default().iter().enumerate() {
        begin(json, "tool_use");
        write_call_name(json, call, id, position);
        let _ = write!(json, ",\"input\":{}}}", call.input());
    }
}

/// Writes who is asked for. A provider that gives its requests no ids gets them from us, because
/// the results refer to them.
fn write_call_name(json: &mut Vec<u8>, call: &tool_call::Call<'_>, id: &str, position: usize) {
    json.extend_from_slice(b",\"id\":");
    match call.id() {
        Some(own) => write_text(json, own),
        None => {
            let _ = write!(json, "\"toolu_{id}_{position}\"");
        }
    }
    json.extend_from_slice(b",\"name\":");
    write_text(json, call.name());
}

/// Why an answer ended, in the API's words.
fn stop_reason(reason: &FinishReason, is_refused: bool, has_stop_sequence: bool) -> &str {
    match reason {
        FinishReason::Foreign(foreign) => foreign
            .word_in(Vocabulary::Anthropic)
            .unwrap_or("max_tokens"),
        FinishReason::ContentFilter => "refusal",
        FinishReason::Length => "max_tokens",
        FinishReason::ToolCalls => "tool_use",
        FinishReason::Stop if is_refused => "refusal",
        FinishReason::Stop if has_stop_sequence => "stop_sequence",
        FinishReason::Stop => "end_turn",
    }
}

/// Writes the tokens as the API counts them: what a cache served is not in `input_tokens`, and what
/// was written to one is told as a whole and by how long it is kept.
fn write_usage(json: &mut Vec<u8>, usage: &Usage) {
    let _ = write!(
        json,
        "{{\"input_tokens\":{},\"cache_creation_input_tokens\":{},\
         \"cache_read_input_tokens\":{},\"cache_creation\":{{\"ephemeral_5m_input_tokens\":{},\
         \"ephemeral_1h_input_tokens\":{}}},\"output_tokens\":{}}}",
        usage.input_uncached,
        usage
            .input_cache_write
            .saturating_add(usage.input_cache_write_1h),
        usage.input_cache_read,
        usage.input_cache_write,
        usage.input_cache_write_1h,
        usage.output()
    );
}
