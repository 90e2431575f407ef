//! Answers.

use std::borrow::Cow;
use std::fmt::Write as _;

use serde::Deserialize;
use serde_json::value::RawValue;
use tollgate_common::price::Usage;

use super::ANSWER_TOOL;
use crate::chat::{Choice, Completion, FinishReason, Json, Said};
use crate::steps::forward::UpstreamFailure;

/// No answer of any model comes near this; a larger count is a fault, and is estimated instead.
const PLAUSIBLE_TOKENS_MAX: i64 = 1_000_000_000;

#[derive(Deserialize)]
struct WireMessage<'a> {
    #[serde(borrow)]
    content: Vec<WireBlock<'a>>,
    #[serde(borrow)]
    stop_reason: Option<Cow<'a, str>>,
    #[serde(borrow)]
    stop_sequence: Option<&'a RawValue>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
}

/// A block of content, or a piece of one.
#[derive(Deserialize)]
pub(super) struct WireBlock<'a> {
    #[serde(rename = "type", borrow)]
    pub(super) kind: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) text: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) thinking: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) signature: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) data: Option<&'a RawValue>,
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    name: Option<&'a RawValue>,
    #[serde(borrow)]
    input: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) partial_json: Option<&'a RawValue>,
}

/// Who is asked to do something.
pub(super) enum Asked<'a> {
    /// Nobody: the input is the answer.
    Answer,
    /// A tool of the caller.
    Tool { id: &'a str, name: &'a str },
}

impl<'a> WireBlock<'a> {
    /// Whom a block of the type `tool_use` asks; `None` if it is not as documented.
    pub(super) fn asked(&self) -> Option<Asked<'a>> {
        let (id, name) = (string(self.id)?, string(self.name)?);
        let is_answer = name.strip_prefix('"')?.strip_suffix('"')? == ANSWER_TOOL;
        Some(if is_answer {
            Asked::Answer
        } else {
            Asked::Tool { id, name }
        })
    }
}

/// A JSON string; `None` if there is none.
pub(super) fn string(raw: Option<&RawValue>) -> Option<&str> {
    raw.map(RawValue::get).filter(|json| json.starts_with('"'))
}

/// A JSON string that says something.
pub(super) fn said(raw: Option<&RawValue>) -> Option<Json<'_>> {
    let json = string(raw).filter(|json| *json != r#""""#);
    json.map(Cow::Borrowed)
}

/// What the API counts. Of the counts in a stream, later ones include earlier ones.
#[derive(Debug, Default, Deserialize)]
pub(super) struct WireUsage {
    input_tokens: Option<i64>,
    cache_read_input_tokens: Option<i64>,
    cache_creation_input_tokens: Option<i64>,
    output_tokens: Option<i64>,
    output_tokens_details: Option<WireOutputDetails>,
}

#[derive(Debug, Deserialize)]
struct WireOutputDetails {
    thinking_tokens: Option<i64>,
}

impl WireUsage {
    /// Reads counts. What are none is left to estimates: the answer is paid for all the same.
    pub(super) fn parse(raw: Option<&RawValue>) -> Self {
        raw.and_then(|raw| serde_json::from_str(raw.get()).ok())
            .unwrap_or_default()
    }

    /// Takes over later counts. Some servers count the prompt only at first and say 0 at the end.
    pub(super) fn update(&mut self, later: Self) {
        for (count, later) in [
            (&mut self.input_tokens, later.input_tokens),
            (
                &mut self.cache_read_input_tokens,
                later.cache_read_input_tokens,
            ),
            (
                &mut self.cache_creation_input_tokens,
                later.cache_creation_input_tokens,
            ),
        ] {
            *count = later.filter(|tokens| *tokens != 0).or(*count);
        }
        self.output_tokens = later.output_tokens.or(self.output_tokens);
        let details = self.output_tokens_details.take();
        self.output_tokens_details = later.output_tokens_details.or(details);
    }

    /// Disjoint buckets: the API counts the prompt in parts, but thoughts inside the output.
    pub(super) fn read(&self) -> Option<Usage> {
        let tokens = |count: Option<i64>| count.unwrap_or(0).max(0);
        let output = tokens(self.output_tokens);
        let details = self.output_tokens_details.as_ref();
        let thinking = tokens(details.and_then(|details| details.thinking_tokens)).min(output);
        let usage = Usage {
            input_uncached: tokens(self.input_tokens),
            input_cache_read: tokens(self.cache_read_input_tokens),
            input_cache_write: tokens(self.cache_creation_input_tokens),
            output_text: output - thinking,
            output_reasoning: thinking,
            ..Usage::default()
        };
        (1..=PLAUSIBLE_TOKENS_MAX)
            .contains(&usage.total())
            .then_some(usage)
    }
}

/// Why an answer ended. `asks` says whether a tool of the caller is asked for: the answer tool is
/// none.
pub(super) fn finish_reason(word: Option<&str>, asks: bool) -> FinishReason {
    match word {
        Some("max_tokens" | "model_context_window_exceeded") => FinishReason::Length,
        Some("refusal") => FinishReason::ContentFilter,
        _ if asks => FinishReason::ToolCalls,
        _ => FinishReason::Stop,
    }
}

/// What the blocks say, piece by piece.
#[derive(Default)]
struct Pieces<'a> {
    content: Vec<Json<'a>>,
    reasoning: Vec<Json<'a>>,
    signatures: Vec<Json<'a>>,
    redacted: Vec<Json<'a>>,
    /// Requests for tools, with commas between them.
    tool_calls: String,
}

impl<'a> Pieces<'a> {
    /// `None` if a block is not as documented. Blocks of an unknown type say nothing to callers.
    fn take(&mut self, block: &WireBlock<'a>) -> Option<()> {
        match block.kind.as_ref() {
            "text" => {
                string(block.text)?;
                self.content.extend(said(block.text));
            }
            "thinking" => {
                self.reasoning.extend(said(block.thinking));
                self.signatures.extend(said(block.signature));
            }
            "redacted_thinking" => self.redacted.extend(said(block.data)),
            "tool_use" => {
                let input = block.input.map(RawValue::get);
                let input = input.filter(|json| json.starts_with('{'))?;
                let input = serde_json::to_string(input).ok()?;
                match block.asked()? {
                    Asked::Answer => self.content.push(Cow::Owned(input)),
                    Asked::Tool { id, name } => self.ask(id, name, &input),
                }
            }
            _ => {}
        }
        Some(())
    }

    fn ask(&mut self, id: &str, name: &str, arguments: &str) {
        let separator = if self.tool_calls.is_empty() { "" } else { "," };
        // Writing into memory does not fail.
        let _ = write!(
            self.tool_calls,
            "{separator}{{\"id\":{id},\"type\":\"function\",\
             \"function\":{{\"name\":{name},\"arguments\":{arguments}}}}}"
        );
    }

    fn put_together(self) -> Said<'a> {
        let tool_calls = (!self.tool_calls.is_empty()).then(|| format!("[{}]", self.tool_calls));
        // Callers who are told nothing at all take that for a fault.
        let nothing = || tool_calls.is_none().then_some(Cow::Borrowed(r#""""#));
        Said {
            content: joined(self.content).or_else(nothing),
            reasoning: joined(self.reasoning),
            reasoning_signature: only(self.signatures),
            redacted_reasoning: only(self.redacted),
            tool_calls: tool_calls.map(Cow::Owned),
            ..Said::default()
        }
    }
}

/// Makes one JSON string of several, without decoding them.
fn joined(mut strings: Vec<Json<'_>>) -> Option<Json<'_>> {
    if strings.len() < 2 {
        return strings.pop();
    }
    let inner = strings.iter().map(|json| {
        let inner = json
            .strip_prefix('"')
            .and_then(|json| json.strip_suffix('"'));
        inner.unwrap_or_default()
    });
    let inner: String = inner.collect();
    Some(Cow::Owned(format!("\"{inner}\"")))
}

/// The only one. Each of several signatures signs its own thoughts, and none of them all together.
fn only(mut strings: Vec<Json<'_>>) -> Option<Json<'_>> {
    if strings.len() == 1 {
        strings.pop()
    } else {
        None
    }
}

/// Reads a successful answer.
pub(crate) fn decode(body: &[u8]) -> Result<Completion<'_>, UpstreamFailure> {
    let invalid = |reason: String| UpstreamFailure::Invalid { reason };
    let wire: WireMessage<'_> = serde_json::from_slice(body)
        .map_err(|error| invalid(format!("line {} column {}", error.line(), error.column())))?;
    let mut pieces = Pieces::default();
    for (index, block) in wire.content.iter().enumerate() {
        pieces
            .take(block)
            .ok_or_else(|| invalid(format!("block {index} of the content")))?;
    }
    let said = pieces.put_together();
    let word = wire.stop_reason.as_deref();
    let choice = Choice {
        finish_reason: finish_reason(word, said.tool_calls.is_some()),
        stop_sequence: said_stop_sequence(word, wire.stop_sequence),
        said,
        logprobs: None,
    };
    Ok(Completion {
        choices: vec![choice],
        usage: WireUsage::parse(wire.usage).read(),
    })
}

/// The stop sequence that ended the answer, if one did.
pub(super) fn said_stop_sequence<'a>(
    word: Option<&str>,
    raw: Option<&'a RawValue>,
) -> Option<Json<'a>> {
    said(raw).filter(|_| word == Some("stop_sequence"))
}
