//! Providers' dialects: requests and answers as pure functions over bytes.

use serde_json::value::RawValue;
use tollgate_common::price::Usage;

pub(crate) mod openai;

/// A provider's answer to a call, in the terms of the API that callers know.
#[derive(Debug)]
pub(crate) struct Completion<'a> {
    /// At least one.
    pub(crate) choices: Vec<Choice<'a>>,
    /// What the provider counted, if it did.
    pub(crate) usage: Option<Usage>,
}

/// One answer of a completion. Texts are JSON as the provider wrote it.
#[derive(Debug)]
pub(crate) struct Choice<'a> {
    /// A JSON string or null.
    pub(crate) content: Option<&'a RawValue>,
    /// A JSON string: why the model would not answer.
    pub(crate) refusal: Option<&'a RawValue>,
    /// A JSON list.
    pub(crate) tool_calls: Option<&'a RawValue>,
    /// In OpenAI's words.
    pub(crate) finish_reason: &'static str,
}

impl Completion<'_> {
    /// How long the texts are, as JSON.
    pub(crate) fn text_bytes(&self) -> usize {
        let length = |raw: Option<&RawValue>| raw.map_or(0, |raw| raw.get().len());
        self.choices
            .iter()
            .map(|c| length(c.content) + length(c.tool_calls))
            .sum()
    }
}
