//! A chat between the dialects: what every provider's answer is read into and every caller's answer
//! is written from.
//!
//! Texts stay JSON, borrowed from the bytes that came in where the dialects agree, so that nothing
//! is decoded and encoded again without need. The shapes are those of OpenAI's chat completions.

use std::borrow::Cow;

use serde_json::{Map, Value};
use tollgate_common::price::Usage;

/// A piece of valid JSON.
pub(crate) type Json<'a> = Cow<'a, str>;

/// Why an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FinishReason {
    /// The model had said everything, or came to a stop sequence.
    Stop,
    /// The limit of tokens was reached.
    Length,
    /// The model wants tools to be used.
    ToolCalls,
    /// The provider held the answer back.
    ContentFilter,
}

impl FinishReason {
    /// OpenAI's word.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Length => "length",
            Self::ToolCalls => "tool_calls",
            Self::ContentFilter => "content_filter",
        }
    }
}

/// What a model says, whole or a piece of it. Absent and null are the same.
#[derive(Debug, Default)]
pub(crate) struct Said<'a> {
    /// A JSON string.
    pub(crate) content: Option<Json<'a>>,
    /// A JSON string: what the model thought before it answered.
    pub(crate) reasoning: Option<Json<'a>>,
    /// A JSON string: the provider's signature of the reasoning, which it wants back with it.
    pub(crate) reasoning_signature: Option<Json<'a>>,
    /// A JSON string: reasoning that only the provider can read, and wants back.
    pub(crate) redacted_reasoning: Option<Json<'a>>,
    /// A JSON string: why the model would not answer.
    pub(crate) refusal: Option<Json<'a>>,
    /// A JSON list of `{"id", "type": "function", "function": {"name", "arguments"}}`; in a piece
    /// each has an `index`, and what was said before is left out.
    pub(crate) tool_calls: Option<Json<'a>>,
    /// Fields of OpenAI's message that have no counterpart elsewhere, by name.
    pub(crate) others: Vec<(&'static str, Json<'a>)>,
}

fn owned(json: Option<Json<'_>>) -> Option<Json<'static>> {
    json.map(|json| Cow::Owned(json.into_owned()))
}

impl Said<'_> {
    /// The same, living on its own.
    fn into_owned(self) -> Said<'static> {
        let others = self.others.into_iter();
        Said {
            content: owned(self.content),
            reasoning: owned(self.reasoning),
            reasoning_signature: owned(self.reasoning_signature),
            redacted_reasoning: owned(self.redacted_reasoning),
            refusal: owned(self.refusal),
            tool_calls: owned(self.tool_calls),
            others: others
                .map(|(name, json)| (name, Cow::Owned(json.into_owned())))
                .collect(),
        }
    }

    /// A whole message as the only piece of one: its calls of tools get their places.
    fn into_piece(self) -> Self {
        let numbered = self.tool_calls.as_deref().and_then(|calls| {
            let mut calls: Vec<Map<String, Value>> = serde_json::from_str(calls).ok()?;
            for (call, index) in calls.iter_mut().zip(0_u32..) {
                call.insert("index".to_owned(), index.into());
            }
            serde_json::to_string(&calls).ok()
        });
        Self {
            tool_calls: numbered.map(Cow::Owned),
            ..self
        }
    }

    /// How long the texts are, as JSON.
    pub(crate) fn text_bytes(&self) -> usize {
        [
            &self.content,
            &self.reasoning,
            &self.refusal,
            &self.tool_calls,
        ]
        .into_iter()
        .flatten()
        .map(|json| json.len())
        .sum()
    }
}

/// A provider's whole answer.
#[derive(Debug, Default)]
pub(crate) struct Completion<'a> {
    /// At least one.
    pub(crate) choices: Vec<Choice<'a>>,
    /// What the provider counted, if it did.
    pub(crate) usage: Option<Usage>,
}

/// One answer of a completion.
#[derive(Debug)]
pub(crate) struct Choice<'a> {
    pub(crate) said: Said<'a>,
    pub(crate) finish_reason: FinishReason,
    /// A JSON string: the stop sequence that ended the answer, if the provider tells.
    pub(crate) stop_sequence: Option<Json<'a>>,
    /// A JSON object.
    pub(crate) logprobs: Option<Json<'a>>,
}

impl<'a> Completion<'a> {
    /// The same answer as the only piece of a stream.
    pub(crate) fn into_chunk(self) -> Chunk<'a> {
        let deltas = self
            .choices
            .into_iter()
            .zip(0..)
            .map(|(choice, index)| Delta {
                index,
                said: choice.said.into_piece(),
                finish_reason: Some(choice.finish_reason),
                stop_sequence: choice.stop_sequence,
                logprobs: choice.logprobs,
            });
        Chunk {
            deltas: deltas.collect(),
            usage: self.usage,
        }
    }

    /// How long the texts are, as JSON.
    pub(crate) fn text_bytes(&self) -> usize {
        self.choices
            .iter()
            .map(|choice| choice.said.text_bytes())
            .sum()
    }
}

/// A piece of a provider's streamed answer.
#[derive(Debug, Default)]
pub(crate) struct Chunk<'a> {
    pub(crate) deltas: Vec<Delta<'a>>,
    /// What the provider counted, up to here: a later count replaces an earlier one.
    pub(crate) usage: Option<Usage>,
}

/// What a piece adds to one answer.
#[derive(Debug, Default)]
pub(crate) struct Delta<'a> {
    /// Which answer, from 0 on.
    pub(crate) index: u32,
    pub(crate) said: Said<'a>,
    /// Comes once for each answer, with or after its last words.
    pub(crate) finish_reason: Option<FinishReason>,
    /// A JSON string: the stop sequence that ended the answer, if the provider tells.
    pub(crate) stop_sequence: Option<Json<'a>>,
    /// A JSON object.
    pub(crate) logprobs: Option<Json<'a>>,
}

impl Chunk<'_> {
    /// Whether it says nothing that concerns anyone.
    pub(crate) fn is_empty(&self) -> bool {
        self.deltas.is_empty() && self.usage.is_none()
    }

    /// The same, living on its own.
    pub(crate) fn into_owned(self) -> Chunk<'static> {
        Chunk {
            deltas: self.deltas.into_iter().map(Delta::into_owned).collect(),
            usage: self.usage,
        }
    }

    /// How long the texts are, as JSON.
    pub(crate) fn text_bytes(&self) -> usize {
        self.deltas
            .iter()
            .map(|delta| delta.said.text_bytes())
            .sum()
    }
}

impl Delta<'_> {
    fn into_owned(self) -> Delta<'static> {
        Delta {
            index: self.index,
            said: self.said.into_owned(),
            finish_reason: self.finish_reason,
            stop_sequence: owned(self.stop_sequence),
            logprobs: owned(self.logprobs),
        }
    }
}

/// A field of a request that a provider's dialect has no word for. It is refused, never dropped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Untranslatable {
    /// The way to the field, as `messages[2].content[0]`.
    pub(crate) field: String,
    /// What the caller can do about it.
    pub(crate) message: String,
}

impl Untranslatable {
    pub(crate) fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            field: field.into(),
            message: message.into(),
        }
    }
}
