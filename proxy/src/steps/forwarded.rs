//! How much of an answer has been handed on, and how many tokens that has: at least, probably, and
//! at most.

use crate::chat::{Chunk, Completion, Said};
use crate::provider::members::{Members, list};

use super::abandoned;

/// Bytes of text that are taken for one token when the provider does not count.
const BYTES_PER_TOKEN: usize = 4;

/// No text has fewer tokens than one for so many bytes: words have 4 to 6, runs of spaces and long
/// words more.
const BYTES_PER_TOKEN_MAX: usize = 16;

/// How deep texts are looked for in members that have no counterpart in other dialects.
const DEPTH_MAX: usize = 8;

/// Members by which objects hold what the model has written.
const WRITTEN: [&str; 8] = [
    "text",
    "summary",
    "thinking",
    "reasoning",
    "content",
    "transcript",
    "arguments",
    "name",
];

/// Members of a message that hold what the model has not written as text.
const NOT_WRITTEN: [&str; 4] = ["images", "annotations", "citations", "phase"];

/// What has been handed on of an answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Forwarded {
    /// Bytes that the model has written, as JSON.
    bytes: usize,
    /// Those of them that came after the provider had counted the output for the last time.
    uncounted_bytes: usize,
    /// The most tokens that all of them can be.
    tokens_max: i64,
    /// Whether reasoning has come as text.
    shows_reasoning: bool,
}

impl Forwarded {
    /// What a whole answer hands on, which the provider counts at its end.
    pub(crate) fn of_completion(completion: &Completion<'_>) -> Self {
        let mut forwarded = Self::default();
        for choice in &completion.choices {
            forwarded.add(&choice.said);
        }
        forwarded.note_count();
        forwarded
    }

    /// Adds a piece of an answer.
    pub(crate) fn add_chunk(&mut self, chunk: &Chunk<'_>) {
        for delta in &chunk.deltas {
            self.add(&delta.said);
        }
    }

    fn add(&mut self, said: &Said<'_>) {
        let length = |json: &Option<_>| json.as_deref().map_or(0, str::len);
        let (thoughts, others) = other_bytes(said);
        // Some servers tell the same thoughts as a text and once more in parts.
        let reasoning = length(&said.reasoning).max(thoughts);
        let beside = others + said.tool_calls.as_deref().map_or(0, tool_bytes);
        let bytes = length(&said.content) + length(&said.refusal) + reasoning + beside;
        self.bytes = self.bytes.saturating_add(bytes);
        self.uncounted_bytes = self.uncounted_bytes.saturating_add(bytes);
        self.shows_reasoning |= reasoning > 0;
        let tokens = abandoned::tokens_of(said).saturating_add(long(thoughts + beside));
        self.tokens_max = self.tokens_max.saturating_add(tokens);
    }

    /// The provider has counted the output up to here.
    pub(crate) const fn note_count(&mut self) {
        self.uncounted_bytes = 0;
    }

    /// Whether reasoning has come as text.
    pub(crate) const fn shows_reasoning(&self) -> bool {
        self.shows_reasoning
    }

    /// How many tokens it probably has.
    pub(crate) fn tokens(&self) -> i64 {
        tokens_in(self.bytes)
    }

    /// How many tokens those probably have that came after the last count of the output.
    pub(crate) fn uncounted_tokens(&self) -> i64 {
        tokens_in(self.uncounted_bytes)
    }

    /// The fewest tokens that it can have.
    pub(crate) fn tokens_min(&self) -> i64 {
        long(self.bytes / BYTES_PER_TOKEN_MAX)
    }

    /// The most tokens that it can have.
    pub(crate) fn tokens_max(&self) -> i64 {
        self.tokens_max.max(self.tokens())
    }

    #[cfg(test)]
    pub(crate) const fn of_bytes(bytes: usize, uncounted_bytes: usize, tokens_max: i64) -> Self {
        Self {
            bytes,
            uncounted_bytes,
            tokens_max,
            shows_reasoning: false,
        }
    }
}

fn long(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// How many tokens a text of so many bytes probably has.
fn tokens_in(bytes: usize) -> i64 {
    if bytes == 0 {
        0
    } else {
        long(bytes / BYTES_PER_TOKEN + 1)
    }
}

/// The bytes of names and arguments in a JSON list of calls of tools: what is around them is not
/// the model's.
fn tool_bytes(json: &str) -> usize {
    let calls = list(json).into_iter().map(Members::of);
    let bytes = calls.map(|call| {
        let function = call.object("function");
        let custom = call.object("custom");
        let texts = [
            function.string("name"),
            function.string("arguments"),
            custom.string("name"),
            custom.string("input"),
        ];
        texts.into_iter().flatten().map(str::len).sum::<usize>()
    });
    bytes.sum()
}

/// The bytes that the model has written in members without a counterpart: thoughts, and all else.
fn other_bytes(said: &Said<'_>) -> (usize, usize) {
    let (mut thoughts, mut others) = (0_usize, 0_usize);
    for (name, json) in &said.others {
        let is_media = name == "audio" && !json.starts_with('{');
        if is_media || NOT_WRITTEN.contains(&name.as_ref()) {
            continue;
        }
        let bytes = written_bytes(json, 0);
        let is_thought = ["reasoning", "thinking", "thought"];
        if is_thought.iter().any(|start| name.starts_with(start)) {
            thoughts = thoughts.saturating_add(bytes);
        } else {
            others = others.saturating_add(bytes);
        }
    }
    (thoughts, others)
}

fn written_bytes(json: &str, depth: usize) -> usize {
    if depth > DEPTH_MAX {
        return 0;
    }
    match json.as_bytes().first() {
        Some(b'"') => json.len(),
        Some(b'[') => {
            let items = list(json).into_iter();
            items.map(|item| written_bytes(item, depth + 1)).sum()
        }
        Some(b'{') => {
            let members = Members::of(json);
            let texts = WRITTEN.iter().filter_map(|name| members.said(name));
            texts.map(|text| written_bytes(text, depth + 1)).sum()
        }
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said_with(name: &'static str, json: &'static str) -> Forwarded {
        let mut forwarded = Forwarded::default();
        forwarded.add(&Said {
            others: vec![(name.into(), json.into())],
            ..Said::default()
        });
        forwarded
    }

    #[test]
    fn what_the_model_wrote_counts_in_whatever_member_it_comes() {
        for (name, json, bytes) in [
            (
                "reasoning_details",
                r#"[{"type":"reasoning.text","text":"abcd"},{"summary":"ef"}]"#,
                10,
            ),
            (
                "thinking_blocks",
                r#"[{"thinking":"abc","signature":"x"}]"#,
                5,
            ),
            ("function_call", r#"{"name":"f","arguments":"{}"}"#, 7),
            (
                "audio",
                r#"{"id":"a","data":"AAAAAAAA","transcript":"hey"}"#,
                5,
            ),
            ("audio", r#""AAAAAAAA""#, 0),
            ("images", r#"[{"image_url":{"url":"data:AAAA"}}]"#, 0),
            ("annotations", r#"[{"text":"quoted"}]"#, 0),
        ] {
            assert_eq!(said_with(name, json).bytes, bytes, "{name} {json}");
        }
    }

    #[test]
    fn thoughts_that_are_told_twice_count_once() {
        let mut forwarded = Forwarded::default();
        forwarded.add(&Said {
            reasoning: Some(r#""abcd""#.into()),
            others: vec![("reasoning_details".into(), r#"[{"text":"abcd"}]"#.into())],
            ..Said::default()
        });
        assert_eq!(forwarded.bytes, 6);
        assert!(forwarded.shows_reasoning());
    }

    #[test]
    fn only_names_and_arguments_of_tools_are_the_models() {
        let calls = r#"[{"index":0,"id":"call_1","type":"function",
            "function":{"name":"f","arguments":"{\"a\":1}"}}]"#;
        assert_eq!(tool_bytes(calls), 3 + 11);
        assert_eq!(tool_bytes(r#"[{"custom":{"input":"abc"}},5]"#), 5);
    }
}
