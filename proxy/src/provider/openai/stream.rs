//! The events of a streamed answer: `chat.completion.chunk` objects, then `[DONE]`.

use std::borrow::Cow;
use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{WireSaid, WireUsage, finish_reason, present, read_usage};
use crate::chat::{Chunk, Delta, FinishReason};
use crate::sse::Event;
use crate::steps::forward::UpstreamFailure;

/// Ends a stream.
const DONE: &str = "[DONE]";

/// Reads a streamed answer.
#[derive(Debug)]
pub(crate) struct StreamDecoder {
    is_done: bool,
    /// How many answers were asked for.
    choices: usize,
    /// Those that have ended.
    ended: BTreeSet<u32>,
    /// Those that ask for tools.
    with_tools: BTreeSet<u32>,
}

#[derive(Deserialize)]
struct WireChunk<'a> {
    /// What some servers call an error.
    #[serde(borrow)]
    object: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    choices: Vec<WireDelta<'a>>,
    usage: Option<WireUsage>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct WireDelta<'a> {
    #[serde(default)]
    index: u32,
    #[serde(borrow)]
    delta: Option<WireSaid<'a>>,
    #[serde(borrow)]
    finish_reason: Option<Cow<'a, str>>,
    #[serde(borrow)]
    logprobs: Option<&'a RawValue>,
}

impl StreamDecoder {
    /// A reader of so many answers to one prompt.
    pub(crate) const fn new(choices: usize) -> Self {
        Self {
            is_done: false,
            choices,
            ended: BTreeSet::new(),
            with_tools: BTreeSet::new(),
        }
    }

    /// What an event says.
    pub(crate) fn read<'e>(&mut self, event: &'e Event) -> Result<Chunk<'e>, UpstreamFailure> {
        if event.data.trim() == DONE {
            self.is_done = true;
            return Ok(Chunk::default());
        }
        let wire: WireChunk<'e> =
            serde_json::from_str(&event.data).map_err(|error| UpstreamFailure::Invalid {
                reason: format!("event: column {}", error.column()),
            })?;
        let is_called_error =
            event.name.as_deref() == Some("error") || wire.object.as_deref() == Some("error");
        if wire.error.is_some() || is_called_error {
            return Err(super::super::failure::in_stream(&event.data));
        }
        let usage = read_usage(wire.usage.as_ref());
        let deltas = wire
            .choices
            .into_iter()
            .map(|choice| self.read_delta(choice));
        let deltas = deltas.collect::<Option<Vec<_>>>();
        let deltas = deltas.ok_or_else(|| UpstreamFailure::Invalid {
            reason: "content is not a string".to_owned(),
        })?;
        Ok(Chunk { deltas, usage })
    }

    fn read_delta<'e>(&mut self, wire: WireDelta<'e>) -> Option<Delta<'e>> {
        let said = wire.delta.unwrap_or_default().read()?;
        if said.tool_calls.is_some() {
            self.with_tools.insert(wire.index);
        }
        let has_tool_calls = self.with_tools.contains(&wire.index);
        let word = wire.finish_reason.as_deref();
        let reason: Option<FinishReason> =
            word.map(|word| finish_reason(Some(word), has_tool_calls));
        if reason.is_some() {
            self.ended.insert(wire.index);
        }
        Some(Delta {
            index: wire.index,
            said,
            finish_reason: reason,
            stop_sequence: None,
            logprobs: present(wire.logprobs),
        })
    }

    /// Whether the last event has come.
    pub(crate) const fn is_done(&self) -> bool {
        self.is_done
    }

    /// Whether the answer has ended as it should. Some servers leave the last event out.
    pub(crate) fn is_complete(&self) -> bool {
        self.is_done || self.ended.len() >= self.choices
    }
}
