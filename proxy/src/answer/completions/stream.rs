//! The events of a streamed answer.

use std::collections::BTreeMap;
use std::io::Write as _;

use bytes::Bytes;
use serde_json::Value;
use tollgate_common::clock::Timestamp;
use tollgate_common::id::CallId;
use tollgate_common::price::Usage;

use super::super::{write_on_one_line, write_text};
use super::{Style, write_others, write_totals, write_usage};
use crate::chat::{Chunk, Delta, FinishReason, Named, Said};

/// Ends every stream. Whoever ends a stream may have more to say after the answer.
pub(crate) const DONE: &str = "data: [DONE]\n\n";

/// Members that providers repeat with each piece: they are no reason for an event of their own.
const ROUTINE: [&str; 1] = ["obfuscation"];

/// Writes a streamed answer.
#[derive(Debug)]
pub(crate) struct StreamWriter {
    /// What every event begins with, up to its choices.
    head: Vec<u8>,
    style: Style,
    /// What was told of each answer, by its index.
    told: BTreeMap<u32, Told>,
}

/// What was told of an answer.
#[derive(Debug, Default)]
struct Told {
    has_tool_calls: bool,
    finish_reason: Option<FinishReason>,
}

impl Told {
    /// Why the answer ended, with or without the provider's word.
    fn reason(&self) -> FinishReason {
        let likely = if self.has_tool_calls {
            FinishReason::ToolCalls
        } else {
            FinishReason::Stop
        };
        self.finish_reason.unwrap_or(likely)
    }
}

impl StreamWriter {
    pub(crate) fn new(call_id: CallId, created_at: Timestamp, alias: &str, style: Style) -> Self {
        let mut head = Vec::with_capacity(160);
        let (id, created) = (call_id.as_uuid().simple(), created_at.as_seconds());
        // Writing into memory does not fail.
        let _ = write!(
            head,
            "data: {{\"id\":\"chatcmpl-{id}\",\"object\":\"chat.completion.chunk\",\
             \"created\":{created},\"model\":"
        );
        write_text(&mut head, alias);
        head.extend_from_slice(b",\"choices\":[");
        Self {
            head,
            style,
            told: BTreeMap::new(),
        }
    }

    /// A piece of the answer; empty if it says nothing to the caller.
    pub(crate) fn chunk(&mut self, chunk: &Chunk<'_>) -> Bytes {
        let mut out = Vec::new();
        // The job API has no members of others.
        let nothing = Named::new();
        let others = if self.style == Style::Job {
            &nothing
        } else {
            &chunk.others
        };
        for delta in &chunk.deltas {
            self.write_delta(&mut out, delta, others);
        }
        let says_something = others.iter().any(|(name, _)| !ROUTINE.contains(&&**name));
        if chunk.deltas.is_empty() && says_something {
            out.extend_from_slice(&self.head);
            out.push(b']');
            write_others(&mut out, others);
            self.end_event(&mut out);
        }
        out.into()
    }

    fn write_delta(&mut self, out: &mut Vec<u8>, delta: &Delta<'_>, others: &Named<'_>) {
        let index = delta.index;
        if !self.told.contains_key(&index) {
            self.introduce(out, index);
        }
        let has_others = self.style != Style::Job && !delta.others.is_empty();
        if delta.logprobs.is_some() || has_others || words(&delta.said).next().is_some() {
            self.open(out, index);
            for (place, (name, json)) in words(&delta.said).enumerate() {
                if place > 0 {
                    out.push(b',');
                }
                write_text(out, name);
                out.push(b':');
                write_on_one_line(out, json);
            }
            out.push(b'}');
            if let Some(logprobs) = &delta.logprobs {
                out.extend_from_slice(b",\"logprobs\":");
                write_on_one_line(out, logprobs);
            }
            if has_others {
                write_others(out, &delta.others);
            }
            self.close_with(out, None, others);
        }
        let told = self.told.entry(index).or_default();
        told.has_tool_calls |= delta.said.tool_calls.is_some();
        if told.finish_reason.is_none() && delta.finish_reason.is_some() {
            told.finish_reason = delta.finish_reason;
            // The job API's last piece waits for the usage.
            if self.style != Style::Job {
                self.write_end(out, index, delta.finish_reason);
            }
        }
    }

    /// The first piece of an answer says who speaks. Providers do so in many ways, or not at all.
    fn introduce(&mut self, out: &mut Vec<u8>, index: u32) {
        self.told.insert(index, Told::default());
        self.open(out, index);
        out.extend_from_slice(b"\"role\":\"assistant\",\"content\":\"\"}");
        self.close(out, None);
    }

    /// What comes after the model's last words. The caller writes [`DONE`].
    pub(crate) fn finish(&mut self, usage: &Usage) -> Bytes {
        let mut out = Vec::with_capacity(1_024);
        if self.told.is_empty() {
            self.introduce(&mut out, 0);
        }
        let unfinished = |told: &Told| self.style == Style::Job || told.finish_reason.is_none();
        let ends: Vec<_> = self
            .told
            .iter()
            .filter(|(_, told)| unfinished(told))
            .map(|(index, told)| (*index, told.reason()))
            .collect();
        for (index, reason) in ends {
            if self.style == Style::Job {
                self.write_last(&mut out, index, reason, usage);
            } else {
                self.write_end(&mut out, index, Some(reason));
            }
        }
        if self.tells_usage() {
            out.extend_from_slice(&self.head);
            out.extend_from_slice(b"],\"usage\":");
            write_usage(&mut out, usage);
            out.extend_from_slice(b"}\n\n");
        }
        out.into()
    }

    /// Whether the usage has a piece of its own.
    fn tells_usage(&self) -> bool {
        let include_usage = true;
        self.style == Style::OpenAi { include_usage }
    }

    fn open(&self, out: &mut Vec<u8>, index: u32) {
        out.extend_from_slice(&self.head);
        let _ = write!(out, "{{\"index\":{index},\"delta\":{{");
    }

    fn close(&self, out: &mut Vec<u8>, reason: Option<FinishReason>) {
        self.close_with(out, reason, &Named::new());
    }

    /// Ends a choice and its event, with members of the provider's own behind the choices.
    fn close_with(&self, out: &mut Vec<u8>, reason: Option<FinishReason>, others: &Named<'_>) {
        match reason {
            Some(reason) => {
                let _ = write!(out, ",\"finish_reason\":\"{}\"}}]", reason.word());
            }
            None => out.extend_from_slice(b",\"finish_reason\":null}]"),
        }
        write_others(out, others);
        self.end_event(out);
    }

    fn end_event(&self, out: &mut Vec<u8>) {
        // The API's readers tell by it that the usage is still to come.
        if self.tells_usage() {
            out.extend_from_slice(b",\"usage\":null");
        }
        out.extend_from_slice(b"}\n\n");
    }

    fn write_end(&self, out: &mut Vec<u8>, index: u32, reason: Option<FinishReason>) {
        self.open(out, index);
        out.push(b'}');
        self.close(out, reason);
    }

    /// The last piece of the job API, with its usage.
    fn write_last(&self, out: &mut Vec<u8>, index: u32, reason: FinishReason, usage: &Usage) {
        self.open(out, index);
        let word = reason.word();
        let _ = write!(out, "}},\"finish_reason\":\"{word}\"}}],\"usage\":");
        write_totals(out, usage);
        out.extend_from_slice(b"}\n\n");
    }

    /// The end of a stream that failed.
    pub(crate) fn error(&self, message: &str, kind: &str, code: &str) -> Bytes {
        let [message, kind, code] = [message, kind, code].map(Value::from);
        let event = match self.style {
            Style::Job => format!(
                "data: {{\"error\":{message},\"error_detail\":{{\"message\":{message},\
                 \"type\":{kind},\"code\":{code}}}}}\n\n{DONE}"
            ),
            Style::OpenAi { .. } => format!(
                "data: {{\"error\":{{\"message\":{message},\"type\":{kind},\"param\":null,\
                 \"code\":{code}}}}}\n\n{DONE}"
            ),
        };
        event.into()
    }

    /// A comment, which readers of events skip.
    pub(crate) const fn ping() -> Bytes {
        Bytes::from_static(b": keepalive\n\n")
    }
}

/// What a piece says, by name. Nothing is said in many ways.
fn words<'s>(said: &'s Said<'_>) -> impl Iterator<Item = (&'s str, &'s str)> {
    let texts = [
        ("content", &said.content),
        ("refusal", &said.refusal),
        ("reasoning_content", &said.reasoning),
        ("tool_calls", &said.tool_calls),
    ];
    let texts = texts
        .into_iter()
        .filter_map(|(name, text)| Some((name, text.as_deref()?)));
    let others = said.others.iter().map(|(name, value)| (&**name, &**value));
    texts
        .chain(others)
        .filter(|(_, json)| !matches!(*json, "\"\"" | "null" | "[]" | "{}"))
}
