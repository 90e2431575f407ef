//! The events of a streamed answer: `message_start`, blocks of content that begin, grow and end one
//! after the other, `message_delta`, `message_stop`.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::super::failure;
use super::answer::{Asked, WireBlock, WireUsage, finish_reason, said, said_stop_sequence};
use crate::chat::{Chunk, Delta, Said};
use crate::sse::Event;
use crate::steps::forward::UpstreamFailure;

/// Ends the streams of some compatible servers, beside the documented last event.
const DONE: &str = "[DONE]";

/// Reads a streamed answer.
#[derive(Debug, Default)]
pub(crate) struct StreamDecoder {
    is_complete: bool,
    /// How many tools have been asked for.
    tool_calls: u32,
    open: Open,
    usage: WireUsage,
}

/// The block that is being told, as far as that matters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Open {
    #[default]
    Other,
    /// The input of the answer tool is the answer.
    Answer { block: u64, is_empty: bool },
    /// A request for a tool: which of them, from 0 on.
    Call {
        block: u64,
        index: u32,
        is_empty: bool,
    },
}

#[derive(Deserialize)]
struct WireEvent<'a> {
    #[serde(rename = "type", borrow)]
    kind: Option<Cow<'a, str>>,
    #[serde(default)]
    index: u64,
    #[serde(borrow)]
    message: Option<WireStart<'a>>,
    #[serde(borrow)]
    content_block: Option<WireBlock<'a>>,
    /// A piece of a block, or of the message.
    #[serde(borrow)]
    delta: Option<&'a RawValue>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct WireStart<'a> {
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct WireEnd<'a> {
    #[serde(borrow)]
    stop_reason: Option<Cow<'a, str>>,
    #[serde(borrow)]
    stop_sequence: Option<&'a RawValue>,
}

fn invalid(reason: &str) -> UpstreamFailure {
    UpstreamFailure::Invalid {
        reason: format!("event: {reason}"),
    }
}

/// Reads the JSON of an event.
fn parse<'e, T: Deserialize<'e>>(json: &'e str) -> Result<T, UpstreamFailure> {
    serde_json::from_str(json).map_err(|error| invalid(&format!("column {}", error.column())))
}

fn chunk(said: Said<'_>) -> Chunk<'_> {
    let delta = Delta {
        said,
        ..Delta::default()
    };
    Chunk {
        deltas: vec![delta],
        usage: None,
    }
}

impl StreamDecoder {
    /// What an event says.
    pub(crate) fn read<'e>(&mut self, event: &'e Event) -> Result<Chunk<'e>, UpstreamFailure> {
        if event.data.trim() == DONE {
            return Ok(Chunk::default());
        }
        let wire: WireEvent<'e> = parse(&event.data)?;
        if wire.error.is_some() {
            return Err(failure::in_stream(&event.data));
        }
        match wire.kind.as_deref().or(event.name.as_deref()) {
            Some("message_start") => {
                self.usage = WireUsage::parse(wire.message.and_then(|message| message.usage));
                Ok(Chunk {
                    usage: self.usage.read(),
                    ..Chunk::default()
                })
            }
            Some("content_block_start") => {
                let block = wire.content_block.ok_or_else(|| invalid("no block"))?;
                self.begin(wire.index, &block)
            }
            Some("content_block_delta") => {
                let delta = wire.delta.ok_or_else(|| invalid("no delta"))?;
                Ok(self.grow(wire.index, &parse(delta.get())?))
            }
            Some("content_block_stop") => Ok(self.end(wire.index)),
            Some("message_delta") => self.finish(&wire),
            Some("message_stop") => {
                self.is_complete = true;
                Ok(Chunk::default())
            }
            Some("error") => Err(failure::in_stream(&event.data)),
            // More kinds may come, by the documentation.
            _ => Ok(Chunk::default()),
        }
    }

    fn begin<'e>(
        &mut self,
        block: u64,
        wire: &WireBlock<'e>,
    ) -> Result<Chunk<'e>, UpstreamFailure> {
        self.open = Open::Other;
        if wire.kind != "tool_use" {
            return Ok(grown(wire));
        }
        let is_empty = true;
        match wire
            .asked()
            .ok_or_else(|| invalid("no id or name of a tool"))?
        {
            Asked::Answer => {
                self.open = Open::Answer { block, is_empty };
                Ok(Chunk::default())
            }
            Asked::Tool { id, name } => {
                let index = self.tool_calls;
                self.tool_calls = index.saturating_add(1);
                self.open = Open::Call {
                    block,
                    index,
                    is_empty,
                };
                Ok(asks(format!(
                    "[{{\"index\":{index},\"id\":{id},\"type\":\"function\",\
                     \"function\":{{\"name\":{name},\"arguments\":\"\"}}}}]"
                )))
            }
        }
    }

    fn grow<'e>(&mut self, index: u64, delta: &WireBlock<'e>) -> Chunk<'e> {
        if delta.kind != "input_json_delta" {
            return grown(delta);
        }
        let Some(json) = said(delta.partial_json) else {
            return Chunk::default();
        };
        match &mut self.open {
            Open::Answer { block, is_empty } if *block == index => {
                *is_empty = false;
                chunk(Said {
                    content: Some(json),
                    ..Said::default()
                })
            }
            Open::Call {
                block,
                index: call,
                is_empty,
            } if *block == index => {
                *is_empty = false;
                asks(arguments(*call, &json))
            }
            _ => Chunk::default(),
        }
    }

    /// Ends a block. An input without fields may have had no pieces, but is an object.
    fn end<'e>(&mut self, index: u64) -> Chunk<'e> {
        match std::mem::take(&mut self.open) {
            Open::Answer {
                block,
                is_empty: true,
            } if block == index => chunk(Said {
                content: Some(r#""{}""#.into()),
                ..Said::default()
            }),
            Open::Call {
                block,
                index: call,
                is_empty: true,
            } if block == index => asks(arguments(call, r#""{}""#)),
            _ => Chunk::default(),
        }
    }

    fn finish<'e>(&mut self, wire: &WireEvent<'e>) -> Result<Chunk<'e>, UpstreamFailure> {
        self.usage.update(WireUsage::parse(wire.usage));
        let usage = self.usage.read();
        let Some(delta) = wire.delta else {
            let deltas = Vec::new();
            return Ok(Chunk { deltas, usage });
        };
        let end: WireEnd<'e> = parse(delta.get())?;
        let word = end.stop_reason.as_deref();
        let deltas = word.map(|word| Delta {
            finish_reason: Some(finish_reason(Some(word), self.tool_calls > 0)),
            stop_sequence: said_stop_sequence(Some(word), end.stop_sequence),
            ..Delta::default()
        });
        Ok(Chunk {
            deltas: deltas.into_iter().collect(),
            usage,
        })
    }

    /// Whether the answer has ended as it should.
    pub(crate) const fn is_complete(&self) -> bool {
        self.is_complete
    }
}

/// What a block that begins or grows adds, if it is not the input of a tool.
fn grown<'e>(wire: &WireBlock<'e>) -> Chunk<'e> {
    let mut added = Said::default();
    match wire.kind.as_ref() {
        "text" | "text_delta" => added.content = said(wire.text),
        "thinking" | "thinking_delta" | "signature_delta" => {
            added.reasoning = said(wire.thinking);
            added.reasoning_signature = said(wire.signature);
        }
        "redacted_thinking" => added.redacted_reasoning = said(wire.data),
        _ => {}
    }
    let parts = [
        &added.content,
        &added.reasoning,
        &added.reasoning_signature,
        &added.redacted_reasoning,
    ];
    if parts.iter().all(|part| part.is_none()) {
        return Chunk::default();
    }
    chunk(added)
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
