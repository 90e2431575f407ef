//! The events of a streamed answer.

use std::fmt;
use std::io::Write as _;

use bytes::Bytes;
use serde_json::Value;
use tollgate_common::id::CallId;
use tollgate_common::price::Usage;

use super::super::{write_on_one_line, write_text};
use super::{NOTHING, stop_reason, tool_call, write_call_name, write_usage};
use crate::chat::{Chunk, FinishReason, Said};

/// Writes a streamed answer: its blocks one after the other, each begun, told and ended.
pub(crate) struct StreamWriter {
    /// The answer's id without what says of which kind it is.
    id: String,
    alias: String,
    has_begun: bool,
    open: Option<Block>,
    /// How many blocks were begun.
    blocks: u32,
    calls: Vec<Told>,
    has_refused: bool,
    finish_reason: Option<FinishReason>,
    /// A JSON string.
    stop_sequence: Option<String>,
}

/// The block that is being told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Block {
    Text,
    Thinking,
    ToolUse,
}

/// A request for a tool, and where it is told.
struct Told {
    index: u32,
    id: Option<String>,
    block: u32,
}

impl fmt::Debug for StreamWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("StreamWriter");
        shown.field("id", &self.id).field("open", &self.open);
        shown.finish_non_exhaustive()
    }
}

impl StreamWriter {
    pub(crate) fn new(call_id: CallId, alias: &str) -> Self {
        Self {
            id: call_id.as_uuid().simple().to_string(),
            alias: alias.to_owned(),
            has_begun: false,
            open: None,
            blocks: 0,
            calls: Vec::new(),
            has_refused: false,
            finish_reason: None,
            stop_sequence: None,
        }
    }

    /// What comes before the model's first words. `usage` is what the provider has counted by then;
    /// the last event but one tells the whole.
    pub(crate) fn begin(&mut self, usage: Option<&Usage>) -> Bytes {
        let mut out = Vec::with_capacity(512);
        self.write_beginning(&mut out, usage);
        out.into()
    }

    fn write_beginning(&mut self, out: &mut Vec<u8>, usage: Option<&Usage>) {
        if self.has_begun {
            return;
        }
        self.has_begun = true;
        begin_event(out, "message_start");
        // Writing into memory does not fail.
        let _ = write!(
            out,
            ",\"message\":{{\"id\":\"msg_{}\",\"type\":\"message\",\"role\":\"assistant\",\
             \"model\":",
            self.id
        );
        write_text(out, &self.alias);
        out.extend_from_slice(
            b",\"content\":[],\"stop_reason\":null,\"stop_sequence\":null,\"usage\":",
        );
        write_usage(out, &usage.copied().unwrap_or_default());
        out.push(b'}');
        end_event(out);
    }

    /// A piece of the answer; empty if it says nothing to the caller.
    pub(crate) fn chunk(&mut self, chunk: &Chunk<'_>) -> Bytes {
        let mut out = Vec::new();
        let counted = chunk.counted.map(|counted| counted.usage);
        self.write_beginning(&mut out, counted.as_ref());
        for delta in chunk.deltas.iter().filter(|delta| delta.index == 0) {
            self.write_said(&mut out, &delta.said);
            self.finish_reason = self.finish_reason.or(delta.finish_reason);
            if let Some(sequence) = &delta.stop_sequence {
                self.stop_sequence = Some(sequence.clone().into_owned());
            }
        }
        out.into()
    }

    fn write_said(&mut self, out: &mut Vec<u8>, said: &Said<'_>) {
        let texts = [
            (&said.reasoning, Block::Thinking),
            (&said.reasoning_signature, Block::Thinking),
            (&said.content, Block::Text),
            (&said.refusal, Block::Text),
        ];
        let [reasoning, signature, content, refusal] = texts.map(|(text, block)| {
            let text = text.as_deref().filter(|text| *text != NOTHING);
            (text, block)
        });
        self.write_text_piece(out, reasoning, ("thinking_delta", "thinking"));
        if signature.0.is_some() {
            self.write_text_piece(out, signature, ("signature_delta", "signature"));
            // What is thought from here on has a signature of its own.
            self.end_block(out);
        }
        if let Some(data) = &said.redacted_reasoning {
            self.begin_block(out, Block::Thinking, |out| {
                out.extend_from_slice(b"{\"type\":\"redacted_thinking\",\"data\":");
                write_on_one_line(out, data);
                out.push(b'}');
            });
            self.end_block(out);
        }
        self.write_text_piece(out, content, ("text_delta", "text"));
        self.has_refused |= refusal.0.is_some();
        self.write_text_piece(out, refusal, ("text_delta", "text"));
        let calls = tool_call::list_of(said);
        for call in calls.as_deref().map(tool_call::read).unwrap_or_default() {
            self.write_call(out, &call);
        }
    }

    /// Tells a piece of text in a block of its kind.
    fn write_text_piece(
        &mut self,
        out: &mut Vec<u8>,
        (text, block): (Option<&str>, Block),
        words: (&str, &str),
    ) {
        let Some(text) = text else {
            return;
        };
        if self.open != Some(block) {
            self.begin_block(out, block, |out| {
                out.extend_from_slice(match block {
                    Block::Thinking => {
                        b"{\"type\":\"thinking\",\"thinking\":\"\",\"signature\":\"\"}".as_slice()
                    }
                    _ => b"{\"type\":\"text\",\"text\":\"\"}",
                });
            });
        }
        write_delta(out, self.blocks - 1, words, text);
    }

    fn write_call(&mut self, out: &mut Vec<u8>, call: &tool_call::Call<'_>) {
        let known = self.calls.iter().rposition(|told| told.is_of(call));
        let position = known.unwrap_or_else(|| self.begin_call(out, call));
        let Some(told) = self.calls.get(position) else {
            return;
        };
        // Providers tell one request after the other. Should a piece come late, its block has
        // ended; it is told nevertheless, because its index says where it belongs.
        if let Some(arguments) = call.arguments() {
            let words = ("input_json_delta", "partial_json");
            write_delta(out, told.block, words, &arguments);
        }
    }

    /// Begins the block of a request; returns the place where it is remembered.
    fn begin_call(&mut self, out: &mut Vec<u8>, call: &tool_call::Call<'_>) -> usize {
        let position = self.calls.len();
        let id = self.id.clone();
        self.begin_block(out, Block::ToolUse, |out| {
            out.extend_from_slice(b"{\"type\":\"tool_use\"");
            write_call_name(out, call, &id, position);
            out.extend_from_slice(b",\"input\":{}}");
        });
        self.calls.push(Told {
            index: call.index,
            id: call.id().map(str::to_owned),
            block: self.blocks - 1,
        });
        position
    }

    fn begin_block(&mut self, out: &mut Vec<u8>, block: Block, write: impl FnOnce(&mut Vec<u8>)) {
        self.end_block(out);
        begin_event(out, "content_block_start");
        let _ = write!(out, ",\"index\":{},\"content_block\":", self.blocks);
        write(out);
        end_event(out);
        self.blocks += 1;
        self.open = Some(block);
    }

    fn end_block(&mut self, out: &mut Vec<u8>) {
        if self.open.take().is_some() {
            begin_event(out, "content_block_stop");
            let _ = write!(out, ",\"index\":{}", self.blocks - 1);
            end_event(out);
        }
    }

    /// What comes after the model's last words.
    pub(crate) fn finish(&mut self, usage: &Usage) -> Bytes {
        let mut out = Vec::with_capacity(512);
        self.write_beginning(&mut out, Some(usage));
        self.end_block(&mut out);
        let likely = if self.calls.is_empty() {
            FinishReason::Stop
        } else {
            FinishReason::ToolCalls
        };
        let reason = self.finish_reason.unwrap_or(likely);
        let reason = stop_reason(&reason, self.has_refused, self.stop_sequence.is_some());
        begin_event(&mut out, "message_delta");
        let _ = write!(
            out,
            ",\"delta\":{{\"stop_reason\":\"{reason}\",\"stop_sequence\":"
        );
        write_on_one_line(&mut out, self.stop_sequence.as_deref().unwrap_or("null"));
        out.extend_from_slice(b"},\"usage\":");
        write_usage(&mut out, usage);
        end_event(&mut out);
        begin_event(&mut out, "message_stop");
        end_event(&mut out);
        out.into()
    }

    /// The end of a stream that failed.
    pub(crate) fn error(kind: &str, message: &str) -> Bytes {
        let [kind, message] = [kind, message].map(Value::from);
        let mut out = Vec::with_capacity(256);
        begin_event(&mut out, "error");
        let _ = write!(out, ",\"error\":{{\"type\":{kind},\"message\":{message}}}");
        end_event(&mut out);
        out.into()
    }

    /// A sign of life while the provider is silent.
    pub(crate) const fn ping() -> Bytes {
        Bytes::from_static(b"event: ping\ndata: {\"type\":\"ping\"}\n\n")
    }
}

impl Told {
    /// Whether a piece belongs to this request. Some servers give every request the same index;
    /// then another id is another request.
    fn is_of(&self, call: &tool_call::Call<'_>) -> bool {
        let is_other = match (call.id(), self.id.as_deref()) {
            (Some(one), Some(other)) => one != other,
            _ => false,
        };
        self.index == call.index && !is_other
    }
}

/// Begins an event whose object says its name once more, as the API has it.
fn begin_event(out: &mut Vec<u8>, name: &str) {
    let _ = write!(out, "event: {name}\ndata: {{\"type\":\"{name}\"");
}

fn end_event(out: &mut Vec<u8>) {
    out.extend_from_slice(b"}\n\n");
}

fn write_delta(out: &mut Vec<u8>, block: u32, (kind, name): (&str, &str), text: &str) {
    begin_event(out, "content_block_delta");
    let _ = write!(
        out,
        ",\"index\":{block},\"delta\":{{\"type\":\"{kind}\",\"{name}\":"
    );
    write_on_one_line(out, text);
    out.push(b'}');
    end_event(out);
}
