//! The words that tell the provider what to do.
//!
//! The last message of a request begins with `do:` and words joined by commas, such as
//! `do:tools=2,gap=20,cut=5`. What follows a space is not read, so that it can make prompts differ;
//! only `say=` takes all of the rest. A position N counts the events of a stream from 0.
//!
//! What is said (otherwise "Hello!"):
//! - `say=TEXT`, `words=N` ("0 1 2 …", one chunk each), `large=N` (bytes), `unicode` (and every
//!   event is cut inside a character)
//! - `echo`: the request's own body; `fill`: JSON for the schema that was sent with it
//! - `tools`, `tools=N`: N tool calls; `think`: reasoning first; `blocked`: nothing at all
//! - `length`, `filter`, `stopped`: why it ended
//!
//! How many tokens it says it took:
//! - `tok=N` (N + 0), `usage=IN:OUT`, `cached=N`, `written=N`, `reasoned=N`, `no-usage`
//!
//! How it fails:
//! - `status=N`, `retry-after=SECONDS`, `quote-key`, `long-error`
//! - `fail-first=N`, `fail-first=N:STATUS`: only the first N times that it hears this prompt
//! - `silent`: never answers; `mute`: nothing after the header; `slow=MS`: a late header;
//!   `murmur`: a stream of comments without an end, in place of the first event;
//!   `hang-up`: the connection is closed without an answer
//! - `cut`, `reset`, `end`, `stall`, `error`, each also `=N`: instead of event N the connection is
//!   closed or reset, the answer ends properly, nothing more comes, or an error comes. An answer
//!   that is no stream has two halves.
//! - `garbage`, `empty`, also `=N`: instead of event N comes what is not JSON, or `{}`
//! - `no-done`: the stream's last event is missing; `whole`: no stream although one was asked for
//!
//! How a stream travels:
//! - `gated`: each event waits for `Upstream::release`; `gated=N`: only event N does; `gap=MS`: a
//!   pause between events
//! - `bytes`: each byte by itself; `split=N`: each event in two, the first with N bytes; `splits`:
//!   the same, event N after byte N + 1; `joined`: all events in one write, or
//!   those before and after a gate
//! - `crlf`: other line ends; `lines`: data of several lines; `noise`: comments and fields that
//!   mean nothing; `tight`: no space after `data:`; `nulls`: `content: null` where it may be

use std::time::Duration;

/// What the provider does with one request.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a word of its own that may stand beside any other"
)]
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Script {
    pub(super) says: Says,
    pub(super) thinks: bool,
    pub(super) ending: Ending,
    pub(super) tokens: Tokens,
    pub(super) failure: Option<Failure>,
    pub(super) retry_after: Option<u64>,
    pub(super) silent: bool,
    pub(super) slow: Duration,
    pub(super) fault: Option<Fault>,
    pub(super) whole: bool,
    pub(super) no_done: bool,
    pub(super) gated: Option<Gated>,
    pub(super) gap: Duration,
    pub(super) framing: Framing,
    pub(super) nulls: bool,
}

/// What the answer is made of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) enum Says {
    #[default]
    Hello,
    Text(String),
    Words(usize),
    Large(usize),
    Unicode,
    Echo,
    Fill,
    Tools(usize),
    Nothing,
}

/// Why the answer ended, as far as it was not for a tool.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Ending {
    #[default]
    Stop,
    Length,
    Filter,
    StopSequence,
}

/// The tokens that the script names.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Tokens {
    pub(super) input: Option<i64>,
    pub(super) output: Option<i64>,
    pub(super) cached: i64,
    pub(super) written: i64,
    pub(super) reasoned: i64,
    pub(super) untold: bool,
}

/// What waits for the test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gated {
    All,
    Only(usize),
}

impl Gated {
    pub(super) fn holds(self, index: usize) -> bool {
        self == Self::All || self == Self::Only(index)
    }
}

/// A refusal instead of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failure {
    Status(u16),
    QuoteKey,
    LongError,
    HangUp,
    First { count: usize, status: u16 },
}

/// What goes wrong in the middle of an answer, and before which event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) kind: FaultKind,
    pub(super) position: Option<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FaultKind {
    Cut,
    Reset,
    End,
    Stall,
    Murmur,
    Error,
    Garbage,
    Empty,
}

/// How events become bytes, and bytes writes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Framing {
    #[default]
    Plain,
    Bytes,
    Split(usize),
    Splits,
    InsideCharacters,
    Joined,
    Crlf,
    Lines,
    Noise,
    Tight,
}

impl Script {
    /// What a prompt asks for.
    pub(super) fn of(prompt: &str) -> Self {
        let mut script = Self::default();
        let Some(words) = prompt.strip_prefix("do:") else {
            return script;
        };
        let (words, said) = match words.find("say=") {
            Some(0) => ("", Some(&words[4..])),
            Some(at) if words[..at].ends_with(',') => (&words[..at - 1], Some(&words[at + 4..])),
            _ => (words, None),
        };
        if let Some(said) = said {
            script.says = Says::Text(said.to_owned());
        }
        let words = words.split_whitespace().next().unwrap_or_default();
        for word in words.split(',').filter(|word| !word.is_empty()) {
            script.read(word);
        }
        script
    }

    fn read(&mut self, word: &str) {
        let (name, value) = match word.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (word, None),
        };
        let known = self.read_content(name, value)
            || self.read_tokens(name, value)
            || self.read_failure(name, value)
            || self.read_delivery(name, value);
        assert!(known, "the provider knows no script '{name}'");
    }

    fn read_content(&mut self, name: &str, value: Option<&str>) -> bool {
        let count = || number(value).unwrap_or(1);
        match name {
            "words" => self.says = Says::Words(count()),
            "large" => self.says = Says::Large(count()),
            "unicode" => {
                self.says = Says::Unicode;
                self.framing = Framing::InsideCharacters;
            }
            "echo" => self.says = Says::Echo,
            "fill" => self.says = Says::Fill,
            "tools" => self.says = Says::Tools(count()),
            "think" => self.thinks = true,
            "blocked" => {
                self.says = Says::Nothing;
                self.ending = Ending::Filter;
            }
            "length" => self.ending = Ending::Length,
            "filter" => self.ending = Ending::Filter,
            "stopped" => self.ending = Ending::StopSequence,
            _ => return false,
        }
        true
    }

    fn read_tokens(&mut self, name: &str, value: Option<&str>) -> bool {
        let count = || number(value).expect("a number of tokens");
        match name {
            "tok" | "tokens" => (self.tokens.input, self.tokens.output) = (Some(count()), Some(0)),
            "usage" => {
                let (input, output) = value.and_then(|v| v.split_once(':')).expect("IN:OUT");
                self.tokens.input = number(Some(input));
                self.tokens.output = number(Some(output));
            }
            "cached" => self.tokens.cached = count(),
            "written" => self.tokens.written = count(),
            "reasoned" => self.tokens.reasoned = count(),
            "no-usage" => self.tokens.untold = true,
            _ => return false,
        }
        true
    }

    fn read_failure(&mut self, name: &str, value: Option<&str>) -> bool {
        let fault = |kind, position: Option<usize>| Some(Fault { kind, position });
        match name {
            "status" => {
                self.failure = Some(Failure::Status(number(value).expect("a status code")));
            }
            "retry-after" => self.retry_after = number(value),
            "quote-key" => self.failure = Some(Failure::QuoteKey),
            "long-error" => self.failure = Some(Failure::LongError),
            "hang-up" => self.failure = Some(Failure::HangUp),
            "fail-first" => {
                let value = value.expect("a count");
                let (count, status) = value.split_once(':').unwrap_or((value, "503"));
                self.failure = Some(Failure::First {
                    count: number(Some(count)).expect("a count"),
                    status: number(Some(status)).expect("a status code"),
                });
            }
            "silent" => self.silent = true,
            "mute" => self.fault = fault(FaultKind::Stall, Some(0)),
            "murmur" => self.fault = fault(FaultKind::Murmur, Some(0)),
            "slow" => self.slow = milliseconds(value),
            "cut" => self.fault = fault(FaultKind::Cut, number(value)),
            "reset" => self.fault = fault(FaultKind::Reset, number(value)),
            "end" => self.fault = fault(FaultKind::End, number(value)),
            "stall" => self.fault = fault(FaultKind::Stall, number(value)),
            "error" => self.fault = fault(FaultKind::Error, number(value)),
            "garbage" => self.fault = fault(FaultKind::Garbage, number(value)),
            "empty" => self.fault = fault(FaultKind::Empty, number(value)),
            "no-done" => self.no_done = true,
            "whole" => self.whole = true,
            _ => return false,
        }
        true
    }

    fn read_delivery(&mut self, name: &str, value: Option<&str>) -> bool {
        match name {
            "gated" => self.gated = Some(number(value).map_or(Gated::All, Gated::Only)),
            "gap" => self.gap = milliseconds(value),
            "bytes" => self.framing = Framing::Bytes,
            "split" => self.framing = Framing::Split(number(value).expect("a length")),
            "splits" => self.framing = Framing::Splits,
            "joined" => self.framing = Framing::Joined,
            "crlf" => self.framing = Framing::Crlf,
            "lines" => self.framing = Framing::Lines,
            "noise" => self.framing = Framing::Noise,
            "tight" => self.framing = Framing::Tight,
            "nulls" => self.nulls = true,
            _ => return false,
        }
        true
    }
}

fn number<T: std::str::FromStr>(value: Option<&str>) -> Option<T> {
    value.map(|value| {
        let Ok(number) = value.parse() else {
            panic!("'{value}' is not a number that this script takes");
        };
        number
    })
}

fn milliseconds(value: Option<&str>) -> Duration {
    Duration::from_millis(number(value).expect("milliseconds"))
}
