//! The events of a streamed answer: `chat.completion.chunk` objects, then `[DONE]`.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{WireSaid, WireUsage, finish_reason, present, read_usage};
use crate::chat::{Chunk, Delta, FinishReason};
use crate::sse::Event;
use crate::steps::forward::UpstreamFailure;

/// Ends a stream.
const DONE: &str = "[DONE]";

/// Reads a streamed answer.
#[derive(Debug, Default)]
pub(crate) struct StreamDecoder {
    is_done: bool,
    /// The answers that have begun, in the order of their first words, and whether they have ended.
    answers: Vec<(u32, bool)>,
    has_tool_calls: bool,
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
        self.has_tool_calls |= said.tool_calls.is_some();
        let word = wire.finish_reason.as_deref();
        let reason: Option<FinishReason> =
            word.map(|word| finish_reason(Some(word), self.has_tool_calls));
        self.note(wire.index, reason.is_some());
        Some(Delta {
            index: wire.index,
            said,
            finish_reason: reason,
            stop_sequence: None,
            logprobs: present(wire.logprobs),
        })
    }

    fn note(&mut self, index: u32, has_ended: bool) {
        match self.answers.iter_mut().find(|(known, _)| *known == index) {
            Some((_, ended)) => *ended |= has_ended,
            None => self.answers.push((index, has_ended)),
        }
    }

    /// Whether the last event has come.
    pub(crate) const fn is_done(&self) -> bool {
        self.is_done
    }

    /// Whether the answer has ended as it should. Some servers leave the last event out.
    pub(crate) fn is_complete(&self) -> bool {
        let have_ended = self.answers.iter().all(|(_, has_ended)| *has_ended);
        self.is_done || have_ended && !self.answers.is_empty()
    }
}
