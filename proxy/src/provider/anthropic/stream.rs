//! The events of a streamed answer: `message_start`, blocks of content that begin, grow and end one
//! after the other, `message_delta`, `message_stop`.

use std::borrow::Cow;

use super::super::ending::{Endings, Progress};
use super::super::failure;
use super::super::members::Members;
use super::super::usage::RunningCounts;
use super::answer::{Asked, Asks, Block, BlockKind, counted, counts_of, reason, stop_sequence};
use crate::chat::{Chunk, Counted, Delta, Json, Said};
use crate::sse::Event;
use crate::steps::forward::UpstreamFailure;

/// Reads a streamed answer.
#[derive(Debug, Default)]
pub(crate) struct StreamDecoder {
    is_done: bool,
    /// How many tools have been asked for.
    tool_calls: u32,
    asks: Asks,
    open: Open,
    counts: RunningCounts,
    endings: Endings,
}

/// The block that is being told, as far as that matters.
#[derive(Default)]
enum Open {
    #[default]
    Other,
    /// The input of the answer tool is the answer.
    Answer(Input),
    /// A request for a tool: which of them, from 0 on.
    Call { index: u32, input: Input },
}

/// Inputs are parts of answers, so they are not shown.
impl std::fmt::Debug for Open {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Other => "Other",
            Self::Answer(_) => "Answer",
            Self::Call { .. } => "Call",
        })
    }
}

/// The input of a tool, as far as it has been told.
struct Input {
    /// The number of its block, if it has one.
    block: Option<u32>,
    /// Whether a piece of it has come.
    has_grown: bool,
    /// What came with the beginning of the block: a JSON string of JSON. It counts if no pieces
    /// come.
    initial: Option<String>,
}

impl Input {
    /// Whether an event is about this block. Blocks come one after the other, so that one without a
    /// usable number can only mean the one that is open.
    fn is_of(&self, block: Option<u32>) -> bool {
        match (self.block, block) {
            (Some(own), Some(other)) => own == other,
            _ => true,
        }
    }

    /// What is still to be told when the block ends. An input without fields may have had no
    /// pieces, but is an object.
    fn rest(self) -> Option<String> {
        let nothing = || r#""{}""#.to_owned();
        (!self.has_grown).then(|| self.initial.unwrap_or_else(nothing))
    }
}

/// What an event is about.
enum EventKind {
    Start,
    BlockStart,
    BlockDelta,
    BlockStop,
    MessageDelta,
    Stop,
    Error,
    /// More kinds may come, by the documentation.
    Other,
}

impl EventKind {
    /// By the event's own word, else by its name, else by what it has.
    fn of(wire: &Members<'_>, event: &Event) -> Self {
        let own = wire.word("type");
        let by_word = |word: Option<&str>| {
            Some(match word? {
                "message_start" => Self::Start,
                "content_block_start" => Self::BlockStart,
                "content_block_delta" => Self::BlockDelta,
                "content_block_stop" => Self::BlockStop,
                "message_delta" => Self::MessageDelta,
                "message_stop" => Self::Stop,
                "error" => Self::Error,
                _ => return None,
            })
        };
        by_word(own.as_deref())
            .or_else(|| by_word(event.name.as_deref()))
            .unwrap_or_else(|| Self::by_members(wire))
    }

    fn by_members(wire: &Members<'_>) -> Self {
        let delta = wire.object("delta");
        if !wire.object("message").is_empty() {
            Self::Start
        } else if !wire.object("content_block").is_empty() {
            Self::BlockStart
        } else if delta.said("stop_reason").is_some() {
            Self::MessageDelta
        } else if delta.is_empty() {
            Self::Other
        } else {
            Self::BlockDelta
        }
    }
}

fn chunk(said: Said<'_>) -> Chunk<'_> {
    let delta = Delta {
        said,
        ..Delta::default()
    };
    Chunk {
        deltas: vec![delta],
        ..Chunk::default()
    }
}

impl StreamDecoder {
    /// What an event says.
    pub(crate) fn read<'e>(&mut self, event: &'e Event) -> Result<Chunk<'e>, UpstreamFailure> {
        self.counts.begin_event();
        let Some(wire) = Members::of_stream(&event.data)? else {
            self.is_done |= event.is_done();
            return Ok(Chunk::default());
        };
        let kind = EventKind::of(&wire, event);
        let is_error = matches!(kind, EventKind::Error);
        if is_error || failure::is_error(&wire, matches!(kind, EventKind::Other)) {
            // Failures have their price, too.
            self.counts
                .update(&counts_of(&wire.object("usage")), counted);
            return Err(failure::in_stream(&event.data));
        }
        let index = wire.index("index");
        let chunk = match kind {
            EventKind::Start => self.count(&wire.object("message").object("usage")),
            EventKind::BlockStart => {
                let begun = self.begin(index, &Block(wire.object("content_block")));
                self.noted(begun)
            }
            EventKind::BlockDelta => {
                let grown = self.grow(index, &Block(wire.object("delta")));
                self.noted(grown)
            }
            EventKind::BlockStop => {
                let ended = self.end(index);
                self.noted(ended)
            }
            EventKind::MessageDelta => self.finish_message(&wire)?,
            EventKind::Stop => {
                self.is_done = true;
                Chunk::default()
            }
            EventKind::Error | EventKind::Other => Chunk::default(),
        };
        Ok(chunk)
    }

    /// Notes the words that a chunk has.
    fn noted<'e>(&mut self, chunk: Chunk<'e>) -> Chunk<'e> {
        for delta in &chunk.deltas {
            self.endings.note(delta, None);
        }
        chunk
    }

    /// Takes over counts.
    fn count<'e>(&mut self, usage: &Members<'_>) -> Chunk<'e> {
        Chunk {
            counted: self.counts.update(&counts_of(usage), counted),
            ..Chunk::default()
        }
    }

    fn begin<'e>(&mut self, index: Option<u32>, block: &Block<'e>) -> Chunk<'e> {
        self.open = Open::Other;
        if block.kind() != BlockKind::ToolUse {
            return grown(block);
        }
        let input = Input {
            block: index,
            has_grown: false,
            initial: block.input(),
        };
        match block.asked(self.tool_calls) {
            None => Chunk::default(),
            Some(Asked::Answer) => {
                self.asks.answers = true;
                self.open = Open::Answer(input);
                Chunk::default()
            }
            Some(Asked::Tool { id, name }) => {
                let index = self.tool_calls;
                self.tool_calls = index.saturating_add(1);
                self.asks.tools = true;
                self.open = Open::Call { index, input };
                asks(format!(
                    "[{{\"index\":{index},\"id\":{id},\"type\":\"function\",\
                     \"function\":{{\"name\":{name},\"arguments\":\"\"}}}}]"
                ))
            }
        }
    }

    fn grow<'e>(&mut self, index: Option<u32>, delta: &Block<'e>) -> Chunk<'e> {
        if delta.kind() != BlockKind::InputJson {
            return grown(delta);
        }
        let Some(json) = delta.0.text("partial_json") else {
            return Chunk::default();
        };
        match &mut self.open {
            Open::Answer(input) if input.is_of(index) => {
                input.has_grown = true;
                says(json)
            }
            Open::Call { index: call, input } if input.is_of(index) => {
                input.has_grown = true;
                asks(arguments(*call, &json))
            }
            _ => Chunk::default(),
        }
    }

    fn end<'e>(&mut self, index: Option<u32>) -> Chunk<'e> {
        match std::mem::take(&mut self.open) {
            Open::Answer(input) if input.is_of(index) => {
                let rest = input.rest();
                rest.map_or_else(Chunk::default, |json| says(Cow::Owned(json)))
            }
            Open::Call { index: call, input } if input.is_of(index) => {
                let rest = input.rest();
                rest.map_or_else(Chunk::default, |json| asks(arguments(call, &json)))
            }
            other => {
                self.open = other;
                Chunk::default()
            }
        }
    }

    fn finish_message<'e>(&mut self, wire: &Members<'e>) -> Result<Chunk<'e>, UpstreamFailure> {
        // Some servers do not end their last block.
        let rest = self.end(None);
        let rest = self.noted(rest);
        let counts = self.count(&wire.object("usage"));
        let end = wire.object("delta");
        let reason = reason(&end, self.asks)?;
        self.endings.note(&Delta::default(), reason);
        if let Some(sequence) = stop_sequence(&end) {
            self.endings.note_stop_sequence(0, &sequence);
        }
        Ok(Chunk {
            deltas: rest.deltas,
            ..counts
        })
    }

    /// Whether the last event has come.
    pub(crate) const fn is_done(&self) -> bool {
        self.is_done
    }

    /// How far the answer has come. Some servers leave the last event out.
    pub(crate) fn progress(&self) -> Progress {
        if self.is_done {
            Progress::Ended
        } else if self.endings.progress(1) == Progress::Open {
            Progress::Open
        } else {
            Progress::Likely
        }
    }

    /// What the last event counted, even if it told of a failure.
    pub(crate) const fn counted_last(&self) -> Option<Counted> {
        self.counts.latest()
    }

    /// The end of the answer, once the stream has ended.
    pub(crate) fn finish(&mut self) -> Chunk<'static> {
        self.endings.finish()
    }
}

/// What a block that begins or grows adds, if it is not the input of a tool.
fn grown<'e>(block: &Block<'e>) -> Chunk<'e> {
    let mut added = Said::default();
    let members = &block.0;
    match block.kind() {
        BlockKind::Text => added.content = members.text("text"),
        BlockKind::Thinking => {
            added.reasoning = members.text("thinking");
            added.reasoning_signature = members.text("signature");
        }
        BlockKind::RedactedThinking => added.redacted_reasoning = members.text("data"),
        BlockKind::ToolUse | BlockKind::InputJson | BlockKind::Other => {}
    }
    if added.says_something() || added.reasoning_signature.is_some() {
        chunk(added)
    } else {
        Chunk::default()
    }
}

fn says(content: Json<'_>) -> Chunk<'_> {
    chunk(Said {
        content: Some(content),
        ..Said::default()
    })
}

fn asks<'e>(tool_calls: String) -> Chunk<'e> {
    chunk(Said {
        tool_calls: Some(tool_calls.into()),
        ..Said::default()
    })
}

/// A piece of the arguments of a request for a tool.
fn arguments(call: u32, json: &str) -> String {
    format!("[{{\"index\":{call},\"function\":{{\"arguments\":{json}}}}}]")
}
