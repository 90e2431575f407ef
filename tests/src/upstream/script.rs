//! The words that tell the provider what to do.

use std::time::Duration;

use serde_json::Value;

/// What the provider does with one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Script {
    /// Answers "Hello!" with 10 + 5 tokens.
    Hello,
    /// `tok=N`: the same, with N prompt tokens.
    Tokens(i64),
    /// `slow=MS`: waits before it answers.
    Slow(Duration),
    /// `status=N`: fails in OpenAI's way.
    Status(u16),
    /// `quote-key`: refuses the key and repeats it, as some providers do.
    QuoteKey,
    /// `long-error`: fails with 5 kB of text.
    LongError,
    /// `garbage`: answers 200 with something that is not JSON.
    Garbage,
    /// `empty`: answers 200 with JSON that is no completion.
    Empty,
    /// `cut`: breaks the connection in the middle of its answer.
    Cut,
    /// `stall`: stops in the middle of its answer.
    Stall,
    /// `silent`: takes the request and never answers.
    Silent,
    /// `tools`: asks for a tool.
    Tools,
    /// `no-usage`: does not tell how many tokens it used.
    NoUsage,
    /// `large=N`: answers with N bytes of text.
    Large(usize),
}

impl Script {
    /// What a request asks for.
    pub(super) fn of(request: &Value) -> Self {
        let prompt = last_message(request);
        let word = prompt
            .strip_prefix("do:")
            .and_then(|rest| rest.split_whitespace().next());
        word.map_or(Self::Hello, Self::parse)
    }

    fn parse(word: &str) -> Self {
        let (name, value) = word.split_once('=').unwrap_or((word, "0"));
        let number: u64 = value.parse().expect("a script's value is a number");
        match name {
            "tok" => Self::Tokens(i64::try_from(number).expect("few tokens")),
            "slow" => Self::Slow(Duration::from_millis(number)),
            "status" => Self::Status(u16::try_from(number).expect("a status code")),
            "quote-key" => Self::QuoteKey,
            "long-error" => Self::LongError,
            "garbage" => Self::Garbage,
            "empty" => Self::Empty,
            "cut" => Self::Cut,
            "stall" => Self::Stall,
            "silent" => Self::Silent,
            "tools" => Self::Tools,
            "no-usage" => Self::NoUsage,
            "large" => Self::Large(usize::try_from(number).expect("a length")),
            _ => panic!("the provider knows no script '{name}'"),
        }
    }
}

/// The text of the last message of a request; empty if it is no text.
pub(super) fn last_message(request: &Value) -> String {
    let messages = request["messages"].as_array();
    let last = messages.and_then(|messages| messages.last());
    let text = last.and_then(|message| message["content"].as_str());
    text.unwrap_or_default().to_owned()
}
