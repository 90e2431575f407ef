//! Answers in the callers' dialects.

use bytes::Bytes;
use tollgate_common::clock::Timestamp;
use tollgate_common::id::CallId;
use tollgate_common::price::Usage;

use crate::chat::Chunk;
use crate::error::ApiError;
use crate::operation::Dialect;

pub(crate) mod completions;
pub(crate) mod embeddings;
pub(crate) mod envelope;
pub(crate) mod messages;
pub(crate) mod single;

/// What an answer says beside the model's words.
#[derive(Debug)]
pub(crate) struct Answer<'a> {
    pub(crate) call_id: CallId,
    /// The model's public name, whatever the caller wrote.
    pub(crate) alias: &'a str,
    /// The name that the caller used.
    pub(crate) requested_model: &'a str,
    pub(crate) usage: Usage,
    pub(crate) latency_ms: i64,
    pub(crate) created_at: Timestamp,
    /// Whether it comes from the response cache.
    pub(crate) is_cached: bool,
}

/// Writes a streamed answer, event by event, as the caller's dialect has it.
#[derive(Debug)]
pub(crate) enum StreamWriter {
    Completions(completions::StreamWriter),
    Messages(messages::StreamWriter),
}

impl StreamWriter {
    /// The writer for a caller's dialect.
    pub(crate) fn new(dialect: Dialect, include_usage: bool, answer: &Answer<'_>) -> Self {
        let completions = |style| {
            let (id, created_at) = (answer.call_id, answer.created_at);
            Self::Completions(completions::StreamWriter::new(
                id,
                created_at,
                answer.alias,
                style,
            ))
        };
        match dialect {
            Dialect::Job => completions(completions::Style::Job),
            Dialect::OpenAi => completions(completions::Style::OpenAi { include_usage }),
            Dialect::Anthropic => {
                Self::Messages(messages::StreamWriter::new(answer.call_id, answer.alias))
            }
        }
    }

    /// The end of a stream that failed, in the caller's words.
    pub(crate) fn failure(&self, error: &ApiError) -> Bytes {
        let kind = match self {
            Self::Completions(_) => error.openai_type(),
            Self::Messages(_) => error.anthropic_type(),
        };
        self.error(kind, error.code(), &error.detail())
    }

    /// What comes before the model's first words. `usage` is what the provider has counted by then.
    pub(crate) fn begin(&mut self, usage: Option<&Usage>) -> Bytes {
        match self {
            Self::Completions(_) => Bytes::new(),
            Self::Messages(writer) => writer.begin(usage),
        }
    }

    /// A piece of the answer; empty if it says nothing to the caller.
    pub(crate) fn chunk(&mut self, chunk: &Chunk<'_>) -> Bytes {
        match self {
            Self::Completions(writer) => writer.chunk(chunk),
            Self::Messages(writer) => writer.chunk(chunk),
        }
    }

    /// What comes after the model's last words, but for [`StreamWriter::done`].
    pub(crate) fn finish(&mut self, usage: &Usage) -> Bytes {
        match self {
            Self::Completions(writer) => writer.finish(usage),
            Self::Messages(writer) => writer.finish(usage),
        }
    }

    /// The mark of a stream's end, where the dialect has one beside its last event.
    pub(crate) const fn done(&self) -> Bytes {
        match self {
            Self::Completions(_) => Bytes::from_static(completions::DONE.as_bytes()),
            Self::Messages(_) => Bytes::new(),
        }
    }

    /// The end of a stream that failed. `kind` is a word of the caller's dialect; `code` is told
    /// where the dialect has a place for it.
    pub(crate) fn error(&self, kind: &str, code: &str, message: &str) -> Bytes {
        match self {
            Self::Completions(writer) => writer.error(message, kind, code),
            Self::Messages(_) => messages::StreamWriter::error(kind, message),
        }
    }

    /// A sign of life while the provider is silent.
    pub(crate) const fn ping(&self) -> Bytes {
        match self {
            Self::Completions(_) => completions::StreamWriter::ping(),
            Self::Messages(_) => messages::StreamWriter::ping(),
        }
    }
}

/// Writes a text as a JSON string.
fn write_text(json: &mut Vec<u8>, text: &str) {
    // Writing JSON into memory fails only for maps with keys that are no strings.
    let _ = serde_json::to_writer(json, text);
}

/// Copies JSON into an event. A line break there would end the event's line; in JSON it can only
/// stand between values, where a space is as good.
fn write_on_one_line(out: &mut Vec<u8>, json: &str) {
    let start = out.len();
    out.extend_from_slice(json.as_bytes());
    for byte in out.iter_mut().skip(start) {
        if matches!(*byte, b'\n' | b'\r') {
            *byte = b' ';
        }
    }
}
