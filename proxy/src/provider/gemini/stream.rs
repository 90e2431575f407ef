//! The events of a streamed answer: each is an answer of its own, with the next piece of it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use super::parts::{Heard, Naming};
use super::{WireAnswer, WireCandidate, WireUsage, finish_reason, invalid};
use crate::chat::{Chunk, Delta, FinishReason, Json, Said};
use crate::provider::failure;
use crate::sse::Event;
use crate::steps::forward::UpstreamFailure;

/// Reads a streamed answer.
#[derive(Debug, Default)]
pub(crate) struct StreamDecoder {
    candidates: BTreeMap<u32, Candidate>,
    usage: WireUsage,
    is_complete: bool,
}

/// How far a candidate has come.
#[derive(Default)]
struct Candidate {
    calls: u32,
    has_finished: bool,
    /// The signature of what is not a call, held back until it is sure that no call brings the one
    /// that is wanted back: only one can be told.
    held_signature: Option<String>,
    has_signature: bool,
}

/// Signatures hold what the model thought, so they are not shown.
impl fmt::Debug for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Candidate")
            .field("calls", &self.calls)
            .field("has_finished", &self.has_finished)
            .finish_non_exhaustive()
    }
}

impl StreamDecoder {
    /// What an event says.
    pub(crate) fn read<'e>(&mut self, event: &'e Event) -> Result<Chunk<'e>, UpstreamFailure> {
        if event.data.trim().is_empty() {
            return Ok(Chunk::default());
        }
        let mut wire: WireAnswer<'e> = serde_json::from_str(&event.data)
            .map_err(|error| invalid(format!("event: column {}", error.column())))?;
        if wire.error.is_some() {
            return Err(failure::in_stream(&event.data));
        }
        let mut deltas = Vec::new();
        let candidates = wire.candidates.take().unwrap_or_default();
        if candidates.is_empty() && wire.is_blocked() {
            deltas.extend(self.blocked());
        }
        let response_id = wire.response_id.as_deref().unwrap_or_default();
        for candidate in candidates {
            let delta = self.read_delta(candidate, response_id).map_err(invalid)?;
            deltas.extend(delta);
        }
        let mut begun = self.candidates.values();
        self.is_complete = !self.candidates.is_empty() && begun.all(|c| c.has_finished);
        let usage = wire.usage_metadata.and_then(|later| {
            self.usage.update(&later);
            self.usage.read()
        });
        Ok(Chunk { deltas, usage })
    }

    /// The end of an answer that the provider would not begin.
    fn blocked<'e>(&mut self) -> Option<Delta<'e>> {
        let candidate = self.candidates.entry(0).or_default();
        let reason = candidate.finish(FinishReason::ContentFilter)?;
        Some(Delta {
            finish_reason: Some(reason),
            ..Delta::default()
        })
    }

    /// What a piece adds to a candidate, if anything.
    fn read_delta<'e>(
        &mut self,
        mut wire: WireCandidate<'e>,
        response_id: &str,
    ) -> Result<Option<Delta<'e>>, &'static str> {
        let candidate = self.candidates.entry(wire.index).or_default();
        let naming = Naming {
            response_id,
            candidate: wire.index,
            calls_before: Some(candidate.calls),
        };
        let mut heard = Heard::read(wire.take_parts(), naming)?;
        candidate.calls = candidate.calls.saturating_add(heard.calls);
        let word = wire.finish_reason.as_deref();
        let word = word.filter(|word| *word != "FINISH_REASON_UNSPECIFIED");
        let reason = word.map(|word| finish_reason(Some(word), candidate.calls > 0));
        let signature = candidate.signature(&mut heard, reason.is_some());
        let said = Said {
            reasoning_signature: signature,
            ..heard.said
        };
        let delta = Delta {
            index: wire.index,
            finish_reason: reason.and_then(|reason| candidate.finish(reason)),
            said,
            ..Delta::default()
        };
        let says_something = delta.finish_reason.is_some()
            || delta.said.reasoning_signature.is_some()
            || delta.said.text_bytes() > 0;
        Ok(says_something.then_some(delta))
    }

    /// Whether the answer has ended as it should.
    pub(crate) const fn is_complete(&self) -> bool {
        self.is_complete
    }
}

impl Candidate {
    /// Notes the end. Models that repeat it in each event are heard once.
    fn finish(&mut self, reason: FinishReason) -> Option<FinishReason> {
        let is_first = !self.has_finished;
        self.has_finished = true;
        is_first.then_some(reason)
    }

    /// The signature that is told with a piece: a call's at once, another at the end.
    fn signature<'e>(&mut self, heard: &mut Heard<'e>, is_last: bool) -> Option<Json<'e>> {
        if self.has_signature {
            return None;
        }
        let held = self.held_signature.take().map(Cow::Owned);
        let other = heard.text_signature.take().or(held);
        let told = match heard.call_signature.take() {
            None if is_last => other,
            None => {
                self.held_signature = other.map(Cow::into_owned);
                None
            }
            signature => signature,
        };
        self.has_signature = told.is_some();
        told
    }
}
