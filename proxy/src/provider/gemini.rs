//! Google's Gemini API (`POST /models/{model}:generateContent`):
//! <https://ai.google.dev/api/generate-content>.

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use tollgate_common::price::Usage;

use self::parts::{Heard, Naming, WirePart};
use crate::chat::{Choice, Completion, FinishReason, Said};
use crate::steps::forward::UpstreamFailure;

mod contents;
mod json;
mod media;
mod parts;
mod request;
pub(crate) mod stream;
#[cfg(test)]
mod tests;

pub(crate) use request::encode;

/// No answer of any model comes near this; a larger count is a fault, and is estimated instead.
const PLAUSIBLE_TOKENS_MAX: i64 = 1_000_000_000;

/// An answer, or a piece of one.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireAnswer<'a> {
    #[serde(borrow)]
    candidates: Option<Vec<WireCandidate<'a>>>,
    prompt_feedback: Option<WireFeedback>,
    usage_metadata: Option<WireUsage>,
    response_id: Option<String>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireFeedback {
    block_reason: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireCandidate<'a> {
    #[serde(default)]
    index: u32,
    #[serde(borrow)]
    content: Option<WireContent<'a>>,
    finish_reason: Option<String>,
}

#[derive(Deserialize, Default)]
struct WireContent<'a> {
    #[serde(borrow)]
    parts: Option<Vec<WirePart<'a>>>,
}

impl WireAnswer<'_> {
    /// Whether the provider would not answer at all.
    fn is_blocked(&self) -> bool {
        let feedback = self.prompt_feedback.as_ref();
        feedback.is_some_and(|feedback| feedback.block_reason.is_some())
    }
}

impl<'a> WireCandidate<'a> {
    fn take_parts(&mut self) -> Vec<WirePart<'a>> {
        let content = self.content.take().unwrap_or_default();
        content.parts.unwrap_or_default()
    }
}

/// What was counted, in tokens. Counts that are zero are left out.
#[derive(Deserialize, Debug, Clone, Copy, Default)]
struct WireUsage {
    #[serde(rename = "promptTokenCount")]
    prompt: Option<i64>,
    #[serde(rename = "cachedContentTokenCount")]
    cached: Option<i64>,
    #[serde(rename = "toolUsePromptTokenCount")]
    tool_results: Option<i64>,
    #[serde(rename = "candidatesTokenCount")]
    candidates: Option<i64>,
    #[serde(rename = "thoughtsTokenCount")]
    thoughts: Option<i64>,
}

impl WireUsage {
    /// Takes over a later count of the same answer. What it leaves out has not changed: not every
    /// piece of a stream tells everything.
    fn update(&mut self, later: &Self) {
        *self = Self {
            prompt: later.prompt.or(self.prompt),
            cached: later.cached.or(self.cached),
            tool_results: later.tool_results.or(self.tool_results),
            candidates: later.candidates.or(self.candidates),
            thoughts: later.thoughts.or(self.thoughts),
        };
    }

    /// Disjoint buckets: the prompt's count has the cached tokens inside, the answer's is without
    /// the thoughts.
    fn buckets(&self) -> Usage {
        let count = |tokens: Option<i64>| tokens.unwrap_or(0).max(0);
        let prompt = count(self.prompt);
        let cached = count(self.cached).min(prompt);
        Usage {
            input_uncached: (prompt - cached).saturating_add(count(self.tool_results)),
            input_cache_read: cached,
            output_text: count(self.candidates),
            output_reasoning: count(self.thoughts),
            ..Usage::default()
        }
    }

    fn read(&self) -> Option<Usage> {
        let usage = self.buckets();
        (1..=PLAUSIBLE_TOKENS_MAX)
            .contains(&usage.total())
            .then_some(usage)
    }
}

/// Why an answer ended.
fn finish_reason(word: Option<&str>, has_tool_calls: bool) -> FinishReason {
    match word {
        Some("MAX_TOKENS") => FinishReason::Length,
        None | Some("STOP" | "FINISH_REASON_UNSPECIFIED") if has_tool_calls => {
            FinishReason::ToolCalls
        }
        None | Some("STOP" | "FINISH_REASON_UNSPECIFIED") => FinishReason::Stop,
        // All other words say that the answer, or the rest of it, is held back: for what it says
        // (SAFETY, RECITATION, BLOCKLIST, PROHIBITED_CONTENT, SPII, LANGUAGE, IMAGE_SAFETY) or
        // because nobody could use it (MALFORMED_FUNCTION_CALL, UNEXPECTED_TOOL_CALL, OTHER).
        // Taken for a regular end, an empty answer would pass for a success.
        Some(_) => FinishReason::ContentFilter,
    }
}

fn invalid(reason: impl Into<String>) -> UpstreamFailure {
    UpstreamFailure::Invalid {
        reason: reason.into(),
    }
}

/// Reads a successful answer.
pub(crate) fn decode(body: &[u8]) -> Result<Completion<'_>, UpstreamFailure> {
    let mut wire: WireAnswer<'_> = serde_json::from_slice(body)
        .map_err(|error| invalid(format!("line {} column {}", error.line(), error.column())))?;
    let usage = wire.usage_metadata.as_ref().and_then(WireUsage::read);
    let mut candidates = wire.candidates.take().unwrap_or_default();
    if candidates.is_empty() {
        if !wire.is_blocked() {
            return Err(invalid("no candidates"));
        }
        let choices = vec![Choice {
            said: Said::default(),
            finish_reason: FinishReason::ContentFilter,
            stop_sequence: None,
            logprobs: None,
        }];
        return Ok(Completion { choices, usage });
    }
    candidates.sort_by_key(|candidate| candidate.index);
    let response_id = wire.response_id.as_deref().unwrap_or_default();
    let choices = candidates
        .into_iter()
        .map(|candidate| read_choice(candidate, response_id))
        .collect::<Result<_, _>>()
        .map_err(invalid)?;
    Ok(Completion { choices, usage })
}

fn read_choice<'a>(
    mut wire: WireCandidate<'a>,
    response_id: &str,
) -> Result<Choice<'a>, &'static str> {
    let naming = Naming {
        response_id,
        candidate: wire.index,
        calls_before: None,
    };
    let heard = Heard::read(wire.take_parts(), naming)?;
    let has_tool_calls = heard.calls > 0;
    let mut said = heard.said;
    said.reasoning_signature = heard.call_signature.or(heard.text_signature);
    Ok(Choice {
        said,
        finish_reason: finish_reason(wire.finish_reason.as_deref(), has_tool_calls),
        stop_sequence: None,
        logprobs: None,
    })
}
