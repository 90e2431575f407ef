//! A chat between the dialects: what every provider's answer is read into and every caller's answer
//! is written from.
//!
//! Texts stay JSON, borrowed from the bytes that came in where the dialects agree, so that nothing
//! is decoded and encoded again without need. The shapes are those of OpenAI's chat completions.

use std::borrow::Cow;

use serde_json::{Map, Value};
use tollgate_common::price::{ServiceTier, Usage};
use tollgate_common::usage_note::UsageNote;

/// A piece of valid JSON.
pub(crate) type Json<'a> = Cow<'a, str>;

/// Whose words a reason is told in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Vocabulary {
    OpenAi,
    Anthropic,
    Gemini,
}

/// Why an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum FinishReason {
    /// The model had said everything, or came to a stop sequence.
    #[default]
    Stop,
    /// The limit of tokens was reached.
    Length,
    /// The model wants tools to be used.
    ToolCalls,
    /// The provider held the answer back.
    ContentFilter,
    /// A word of the provider that has no counterpart.
    Foreign(ForeignReason),
}

impl FinishReason {
    /// OpenAI's word. What has none is no good end: the answer may lack something.
    pub(crate) fn word(&self) -> &str {
        match self {
            Self::Stop => "stop",
            Self::Length => "length",
            Self::ToolCalls => "tool_calls",
            Self::ContentFilter => "content_filter",
            Self::Foreign(foreign) => foreign.word_in(Vocabulary::OpenAi).unwrap_or("length"),
        }
    }
}

/// The longest reason of a provider that is passed on, in bytes.
const FOREIGN_BYTES_MAX: usize = 40;

/// A reason in a provider's own word, for callers of the same dialect.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct ForeignReason {
    vocabulary: Vocabulary,
    /// The word, and zeros after it.
    bytes: [u8; FOREIGN_BYTES_MAX],
}

impl ForeignReason {
    /// Keeps a word of letters, digits, `_` and `-`; of any other only that there was one.
    pub(crate) fn new(vocabulary: Vocabulary, word: &str) -> Self {
        let mut bytes = [0; FOREIGN_BYTES_MAX];
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
        if word.len() <= FOREIGN_BYTES_MAX && word.bytes().all(is_plain) {
            for (place, byte) in bytes.iter_mut().zip(word.bytes()) {
                *place = byte;
            }
        }
        Self { vocabulary, bytes }
    }

    /// The word, if it belongs to a dialect.
    pub(crate) fn word_in(&self, vocabulary: Vocabulary) -> Option<&str> {
        let end = self.bytes.iter().position(|byte| *byte == 0);
        let word = self.bytes.get(..end.unwrap_or(FOREIGN_BYTES_MAX))?;
        let word = std::str::from_utf8(word).ok()?;
        (self.vocabulary == vocabulary && !word.is_empty()).then_some(word)
    }
}

impl std::fmt::Debug for ForeignReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("ForeignReason")
            .field(&self.word_in(self.vocabulary))
            .finish()
    }
}

/// What a provider counted of one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each says of another count whether it is there"
)]
pub(crate) struct Counted {
    /// The tokens in disjoint buckets, as far as they were counted.
    pub(crate) usage: Usage,
    /// The prompt was not counted, or some parts of it only.
    pub(crate) lacks_input: bool,
    /// The completion was not counted, or some parts of it only.
    pub(crate) lacks_output: bool,
    /// Whether the output was counted just now, and not only by an earlier event of the stream.
    pub(crate) output_is_new: bool,
    /// The provider tells how often it searched the web, even if that is never.
    pub(crate) names_searches: bool,
    /// What the provider says that all tokens come to; 0 if it does not.
    pub(crate) total: i64,
    /// What is to be known about the counts.
    pub(crate) note: Option<UsageNote>,
    /// The service tier by which the provider served the call, if it tells.
    pub(crate) service_tier: Option<ServiceTier>,
}

/// Members of a provider's JSON, by name.
pub(crate) type Named<'a> = Vec<(Cow<'a, str>, Json<'a>)>;

fn owned_all(named: Named<'_>) -> Named<'static> {
    let named = named.into_iter();
    named
        .map(|(name, json)| (name.into_owned().into(), json.into_owned().into()))
        .collect()
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
    /// Members of OpenAI's message that have no counterpart elsewhere.
    pub(crate) others: Named<'a>,
}

fn owned(json: Option<Json<'_>>) -> Option<Json<'static>> {
    json.map(|json| Cow::Owned(json.into_owned()))
}

impl Said<'_> {
    /// The same, living on its own.
    fn into_owned(self) -> Said<'static> {
        Said {
            content: owned(self.content),
            reasoning: owned(self.reasoning),
            reasoning_signature: owned(self.reasoning_signature),
            redacted_reasoning: owned(self.redacted_reasoning),
            refusal: owned(self.refusal),
            tool_calls: owned(self.tool_calls),
            others: owned_all(self.others),
        }
    }

    /// Whether it says anything at all. An empty text says nothing.
    pub(crate) fn says_something(&self) -> bool {
        let texts = [&self.content, &self.reasoning, &self.refusal];
        let texts = texts.into_iter().flatten();
        texts.into_iter().any(|json| json.as_ref() != r#""""#)
            || self.redacted_reasoning.is_some()
            || self.tool_calls.is_some()
            || !self.others.is_empty()
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

/// Makes one JSON string of several, without decoding them.
pub(crate) fn joined(mut strings: Vec<Json<'_>>) -> Option<Json<'_>> {
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

/// A provider's whole answer.
#[derive(Debug, Default)]
pub(crate) struct Completion<'a> {
    /// At least one.
    pub(crate) choices: Vec<Choice<'a>>,
    /// What the provider counted, if it did.
    pub(crate) counted: Option<Counted>,
    /// Members of OpenAI's answer that have no counterpart elsewhere.
    pub(crate) others: Named<'a>,
}

/// One answer of a completion.
#[derive(Debug, Default)]
pub(crate) struct Choice<'a> {
    pub(crate) said: Said<'a>,
    pub(crate) finish_reason: FinishReason,
    /// A JSON string: the stop sequence that ended the answer, if the provider tells.
    pub(crate) stop_sequence: Option<Json<'a>>,
    /// A JSON object.
    pub(crate) logprobs: Option<Json<'a>>,
    /// Members of OpenAI's choice that have no counterpart elsewhere.
    pub(crate) others: Named<'a>,
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
                others: choice.others,
            });
        Chunk {
            deltas: deltas.collect(),
            counted: self.counted,
            others: self.others,
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
    pub(crate) counted: Option<Counted>,
    /// Members of OpenAI's answer that have no counterpart elsewhere.
    pub(crate) others: Named<'a>,
}

/// What a piece adds to one answer.
#[derive(Debug, Default)]
pub(crate) struct Delta<'a> {
    /// Which answer, from 0 on.
    pub(crate) index: u32,
    pub(crate) said: Said<'a>,
    /// Comes once for each answer, after its last words.
    pub(crate) finish_reason: Option<FinishReason>,
    /// A JSON string: the stop sequence that ended the answer, if the provider tells.
    pub(crate) stop_sequence: Option<Json<'a>>,
    /// A JSON object.
    pub(crate) logprobs: Option<Json<'a>>,
    /// Members of OpenAI's choice that have no counterpart elsewhere.
    pub(crate) others: Named<'a>,
}

impl Chunk<'_> {
    /// Whether it says nothing that concerns anyone.
    pub(crate) fn is_empty(&self) -> bool {
        self.deltas.is_empty() && self.counted.is_none() && self.others.is_empty()
    }

    /// The same, living on its own.
    pub(crate) fn into_owned(self) -> Chunk<'static> {
        Chunk {
            deltas: self.deltas.into_iter().map(Delta::into_owned).collect(),
            counted: self.counted,
            others: owned_all(self.others),
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
            others: owned_all(self.others),
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
