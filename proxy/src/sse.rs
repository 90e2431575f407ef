//! Server-sent events without I/O: bytes of a stream in, events out.
//!
//! The rules are those of the WHATWG HTML Living Standard, §9.2.5 "Parsing an event stream" and
//! §9.2.6 "Interpreting an event stream". `id` and `retry` are known and ignored: they steer
//! reconnections, and a model's answer is never asked for again half-way.

use std::mem;

/// May stand at the beginning of a stream and means nothing.
pub(crate) const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// A larger buffer is given back when it is empty: thousands of quiet streams keep theirs.
const IDLE_BUFFER_BYTES_MAX: usize = 16 * 1024;

/// One event of a stream.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Event {
    /// The `event` field; absent if it was empty or not there, which means `message`.
    pub(crate) name: Option<String>,
    /// The `data` lines, joined by line feeds.
    pub(crate) data: String,
}

/// Ends most providers' streams. Some write it as JSON.
pub(crate) fn is_done(data: &str) -> bool {
    matches!(data.trim(), "[DONE]" | "\"[DONE]\"" | "[done]" | "DONE")
}

impl Event {
    /// Whether it is the mark of a stream's end.
    pub(crate) fn is_done(&self) -> bool {
        is_done(&self.data)
    }
}

/// Data are parts of answers, so they are not shown.
impl std::fmt::Debug for Event {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Event")
            .field("name", &self.name)
            .field("data_bytes", &self.data.len())
            .finish()
    }
}

/// An event, or a single line, has more bytes than the parser may remember.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an event of the stream has more than {bytes_max} bytes")]
pub(crate) struct TooLarge {
    pub(crate) bytes_max: usize,
}

/// Reads events from a stream that comes in arbitrary pieces.
///
/// Each byte is looked at once. The memory is bounded by the largest event and one piece if
/// [`Parser::next`] is called after each [`Parser::push`] until it has nothing left.
pub(crate) struct Parser {
    event_bytes_max: usize,
    /// What was pushed; the part from `line_start` on is not interpreted yet.
    input: Vec<u8>,
    line_start: usize,
    /// No line ends in `input` between `line_start` and here.
    searched_to: usize,
    /// The last line ended with a carriage return: a line feed that follows belongs to it.
    is_after_return: bool,
    /// The first bytes may still be a byte order mark.
    is_at_start: bool,
    name: Vec<u8>,
    data: Vec<u8>,
    /// There was a `data` line, perhaps an empty one.
    has_data: bool,
}

impl std::fmt::Debug for Parser {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Parser")
            .field("event_bytes_max", &self.event_bytes_max)
            .field("input_bytes", &self.input.len())
            .field("data_bytes", &self.data.len())
            .finish_non_exhaustive()
    }
}

// === impl Parser ===

impl Parser {
    /// A parser that remembers at most so many bytes of an event.
    pub(crate) const fn new(event_bytes_max: usize) -> Self {
        Self {
            event_bytes_max,
            input: Vec::new(),
            line_start: 0,
            searched_to: 0,
            is_after_return: false,
            is_at_start: true,
            name: Vec::new(),
            data: Vec::new(),
            has_data: false,
        }
    }

    /// Takes the next piece of the stream.
    pub(crate) fn push(&mut self, piece: &[u8]) {
        // Moving what is left costs no more than reading what is gone did.
        if self.line_start > 0 && self.line_start * 2 >= self.input.len() {
            self.input.drain(..self.line_start);
            self.searched_to -= self.line_start;
            self.line_start = 0;
        }
        self.input.extend_from_slice(piece);
    }

    /// The next complete event; `None` if the pieces so far hold no more.
    pub(crate) fn next(&mut self) -> Result<Option<Event>, TooLarge> {
        if !self.skip_byte_order_mark() {
            return Ok(None);
        }
        while let Some(line_end) = self.find_line_end()? {
            let event = if line_end == self.line_start {
                self.dispatch()
            } else {
                self.interpret(line_end);
                None
            };
            self.is_after_return = self.input[line_end] == b'\r';
            self.line_start = line_end + 1;
            self.searched_to = self.line_start;
            if event.is_some() {
                return Ok(event);
            }
        }
        Ok(None)
    }

    /// Whether the pieces so far end inside an event, to be asked when `next` has no more. A
    /// stream that ends so was cut.
    pub(crate) fn is_mid_event(&self) -> bool {
        let unfinished_line = &self.input[self.line_start..];
        let is_line_feed_of_last = self.is_after_return && unfinished_line == b"\n";
        let has_line = !matches!(unfinished_line, [] | [b':', ..]) && !is_line_feed_of_last;
        self.has_data || !self.name.is_empty() || has_line
    }

    /// Says whether it is settled what the stream begins with.
    fn skip_byte_order_mark(&mut self) -> bool {
        if !self.is_at_start {
            return true;
        }
        if self.input.starts_with(BYTE_ORDER_MARK) {
            self.line_start = BYTE_ORDER_MARK.len();
            self.searched_to = self.line_start;
        } else if BYTE_ORDER_MARK.starts_with(&self.input) {
            return false;
        }
        self.is_at_start = false;
        true
    }

    /// The index of the byte that ends the current line, if it is there.
    fn find_line_end(&mut self) -> Result<Option<usize>, TooLarge> {
        if self.is_after_return && self.line_start < self.input.len() {
            self.is_after_return = false;
            if self.input[self.line_start] == b'\n' {
                self.line_start += 1;
                self.searched_to = self.line_start;
            }
        }
        let found = line_end_in(&self.input[self.searched_to..]).map(|at| self.searched_to + at);
        let line_bytes = found.unwrap_or(self.input.len()) - self.line_start;
        if self.name.len() + self.data.len() + line_bytes > self.event_bytes_max {
            return Err(TooLarge {
                bytes_max: self.event_bytes_max,
            });
        }
        if found.is_none() {
            self.searched_to = self.input.len();
            self.release_read_input();
        }
        Ok(found)
    }

    /// Forgets the input once all of it is interpreted.
    fn release_read_input(&mut self) {
        if self.line_start < self.input.len() {
            return;
        }
        self.line_start = 0;
        self.searched_to = 0;
        if self.input.capacity() > IDLE_BUFFER_BYTES_MAX {
            self.input = Vec::new();
        } else {
            self.input.clear();
        }
    }

    /// Takes a line that is not blank into the event.
    fn interpret(&mut self, line_end: usize) {
        let line = &self.input[self.line_start..line_end];
        let (field, value) = match line.iter().position(|byte| *byte == b':') {
            Some(colon) => (&line[..colon], &line[colon + 1..]),
            None => (line, &line[line.len()..]),
        };
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match field {
            b"data" => {
                if self.has_data {
                    self.data.push(b'\n');
                }
                self.has_data = true;
                self.data.extend_from_slice(value);
            }
            b"event" => {
                self.name.clear();
                self.name.extend_from_slice(value);
            }
            // A comment has an empty field; `id`, `retry` and unknown fields change nothing here.
            _ => {}
        }
    }

    /// Ends the event at a blank line. One without data is none.
    fn dispatch(&mut self) -> Option<Event> {
        let name = mem::take(&mut self.name);
        let data = mem::take(&mut self.data);
        mem::take(&mut self.has_data).then(|| Event {
            name: (!name.is_empty()).then(|| into_text(name)),
            data: into_text(data),
        })
    }
}

/// Decodes without copying unless there is something to replace.
fn into_text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes)
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

/// The first line feed or carriage return.
fn line_end_in(bytes: &[u8]) -> Option<usize> {
    /// A block is searched without branches, which compiles to vector instructions.
    const BLOCK_BYTES: usize = 32;
    let is_end = |byte: &u8| matches!(byte, b'\n' | b'\r');
    let blocks = bytes.chunks_exact(BLOCK_BYTES);
    let clear_blocks = blocks
        .take_while(|block| !block.iter().fold(false, |found, byte| found | is_end(byte)))
        .count();
    let clear_bytes = clear_blocks * BLOCK_BYTES;
    let in_rest = bytes[clear_bytes..].iter().position(is_end);
    in_rest.map(|at| clear_bytes + at)
}

#[cfg(test)]
mod tests;
