//! The events of a streamed answer: `chat.completion.chunk` objects, then `[DONE]`.

use super::super::ending::{Endings, Progress};
use super::super::failure;
use super::super::members::Members;
use super::super::usage::RunningCounts;
use super::answer::{
    counted, logprobs, other_choice_members, other_members, read_counts, read_said, reason,
};
use crate::chat::{Chunk, Counted, Delta};
use crate::sse::Event;
use crate::steps::forward::UpstreamFailure;

/// Reads a streamed answer.
#[derive(Debug)]
pub(crate) struct StreamDecoder {
    is_done: bool,
    /// How many answers were asked for.
    choices: usize,
    endings: Endings,
    counts: RunningCounts,
}

impl StreamDecoder {
    /// A reader of so many answers to one prompt.
    pub(crate) fn new(choices: usize) -> Self {
        Self {
            is_done: false,
            choices,
            endings: Endings::default(),
            counts: RunningCounts::default(),
        }
    }

    /// What an event says.
    pub(crate) fn read<'e>(&mut self, event: &'e Event) -> Result<Chunk<'e>, UpstreamFailure> {
        self.counts.begin_event();
        let Some(wire) = Members::of_stream(&event.data)? else {
            self.is_done |= event.is_done();
            return Ok(Chunk::default());
        };
        let choices: Vec<Members<'e>> = wire.list("choices").into_iter().map(Members::of).collect();
        // Failures have their price, too.
        let counts = self.counts.update(&read_counts(&wire, &choices), counted);
        let is_called_error = event.name.as_deref() == Some("error")
            || wire.word("object").as_deref() == Some("error");
        if is_called_error || failure::is_error(&wire, choices.is_empty()) {
            return Err(failure::in_stream(&event.data));
        }
        let mut deltas = Vec::with_capacity(choices.len());
        for (choice, position) in choices.iter().zip(0..) {
            if !choice.is_empty() {
                deltas.push(self.read_delta(choice, position)?);
            }
        }
        if !deltas.iter().any(|delta| delta.said.says_something()) {
            self.endings.note_quiet_event();
        }
        Ok(Chunk {
            deltas,
            counted: counts,
            others: other_members(&wire),
        })
    }

    fn read_delta<'e>(
        &mut self,
        wire: &Members<'e>,
        position: u32,
    ) -> Result<Delta<'e>, UpstreamFailure> {
        let reason = reason(wire)?;
        let index = wire.index("index").unwrap_or(position);
        let delta = Delta {
            // Whoever asks for one answer gets one, whatever number it has.
            index: if self.choices <= 1 { 0 } else { index },
            said: read_said(&wire.object("delta")).unwrap_or_default(),
            finish_reason: None,
            stop_sequence: None,
            logprobs: logprobs(wire),
            others: other_choice_members(wire),
        };
        self.endings.note(&delta, reason);
        Ok(delta)
    }

    /// How far the answer has come. Some servers leave the last event out.
    pub(crate) fn progress(&self) -> Progress {
        if self.is_done {
            Progress::Ended
        } else {
            self.endings.progress(self.choices)
        }
    }

    /// Whether the last event has come.
    pub(crate) const fn is_done(&self) -> bool {
        self.is_done
    }

    /// What the last event counted, even if it told of a failure.
    pub(crate) const fn counted_last(&self) -> Option<Counted> {
        self.counts.latest()
    }

    /// The ends of the answers, once the stream has ended.
    pub(crate) fn finish(&mut self) -> Chunk<'static> {
        self.endings.finish()
    }
}
