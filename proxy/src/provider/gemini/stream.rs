//! The events of a streamed answer: each is an answer of its own, with the next piece of it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use super::parts::{Heard, Naming};
use super::{counted, counts_of, is_blocked, parts_of, reason};
use crate::chat::{Chunk, Counted, Delta, FinishReason, Json, Said};
use crate::provider::ending::{Endings, Progress};
use crate::provider::failure;
use crate::provider::members::Members;
use crate::provider::usage::RunningCounts;
use crate::sse::Event;
use crate::steps::forward::UpstreamFailure;

/// Reads a streamed answer.
#[derive(Debug, Default)]
pub(crate) struct StreamDecoder {
    candidates: BTreeMap<u32, Candidate>,
    endings: Endings,
    counts: RunningCounts,
    is_done: bool,
}

/// How far a candidate has come.
#[derive(Default)]
struct Candidate {
    calls: u32,
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
            .finish_non_exhaustive()
    }
}

impl StreamDecoder {
    /// What an event says.
    pub(crate) fn read<'e>(&mut self, event: &'e Event) -> Result<Chunk<'e>, UpstreamFailure> {
        self.counts.begin_event();
        let Some(wire) = Members::of_stream(&event.data)? else {
            // There is no last event by the documentation, but servers in between may add one.
            self.is_done |= event.is_done() && self.endings.progress_of_begun().may_end();
            return Ok(Chunk::default());
        };
        let candidates: Vec<_> = wire
            .list("candidates")
            .into_iter()
            .map(Members::of)
            .collect();
        // Failures have their price, too.
        let counts = self.counts.update(&counts_of(&wire), counted);
        let is_called_error = event.name.as_deref() == Some("error");
        if is_called_error || failure::is_error(&wire, candidates.is_empty()) {
            return Err(failure::in_stream(&event.data));
        }
        let mut deltas = Vec::new();
        if candidates.is_empty() && is_blocked(&wire) {
            let reason = Some(FinishReason::ContentFilter);
            self.endings.note(&Delta::default(), reason);
        }
        let response_id = wire.word("responseId").unwrap_or_default();
        for (candidate, place) in candidates.iter().zip(0..) {
            if !candidate.is_empty() {
                deltas.extend(self.read_delta(candidate, place, &response_id)?);
            }
        }
        if !deltas.iter().any(|delta| delta.said.says_something()) {
            self.endings.note_quiet_event();
        }
        Ok(Chunk {
            deltas,
            counted: counts,
            ..Chunk::default()
        })
    }

    /// What a piece adds to a candidate, if anything.
    fn read_delta<'e>(
        &mut self,
        wire: &Members<'e>,
        place: u32,
        response_id: &str,
    ) -> Result<Option<Delta<'e>>, UpstreamFailure> {
        let reason = reason(wire)?;
        let index = wire.index("index").unwrap_or(place);
        let candidate = self.candidates.entry(index).or_default();
        let naming = Naming {
            response_id,
            candidate: index,
            calls_before: Some(candidate.calls),
        };
        let mut heard = Heard::read(&parts_of(wire), naming);
        candidate.calls = candidate.calls.saturating_add(heard.calls);
        let signature = candidate.signature(&mut heard);
        let said = Said {
            reasoning_signature: signature,
            ..heard.said
        };
        let delta = Delta {
            index,
            said,
            ..Delta::default()
        };
        self.endings.note(&delta, reason);
        let says_something =
            delta.said.reasoning_signature.is_some() || delta.said.says_something();
        Ok(says_something.then_some(delta))
    }

    /// Whether the last event has come.
    pub(crate) const fn is_done(&self) -> bool {
        self.is_done
    }

    /// How far the answer has come.
    pub(crate) fn progress(&self) -> Progress {
        if self.is_done {
            Progress::Ended
        } else {
            self.endings.progress_of_begun()
        }
    }

    /// What the last event counted, even if it told of a failure.
    pub(crate) const fn counted_last(&self) -> Option<Counted> {
        self.counts.latest()
    }

    /// The ends of the answers, and the signatures that were held back, once the stream has ended.
    pub(crate) fn finish(&mut self) -> Chunk<'static> {
        let mut chunk = self.endings.finish();
        for delta in &mut chunk.deltas {
            let candidate = self.candidates.get_mut(&delta.index);
            let held = candidate.and_then(|candidate| candidate.held_signature.take());
            delta.said.reasoning_signature = held.map(Cow::Owned);
        }
        chunk
    }
}

impl Candidate {
    /// The signature that is told with a piece: a call's at once, another at the end.
    fn signature<'e>(&mut self, heard: &mut Heard<'e>) -> Option<Json<'e>> {
        if self.has_signature {
            return None;
        }
        if let Some(other) = heard.text_signature.take() {
            self.held_signature = Some(other.into_owned());
        }
        let told = heard.call_signature.take()?;
        self.held_signature = None;
        self.has_signature = true;
        Some(told)
    }
}
