//! Answers. Whatever is not as documented costs only itself.

use std::borrow::Cow;
use std::fmt::Write as _;

use tollgate_common::price::ServiceTier;

use super::super::ending;
use super::super::failure;
use super::super::members::{Members, list};
use super::super::usage::{Beside, Counts, first, service_tier};
use super::ANSWER_TOOL;
use crate::chat::{Choice, Completion, Counted, FinishReason, Json, Said, Vocabulary, joined};
use crate::steps::forward::UpstreamFailure;

/// The API counts the prompt in parts, but thoughts inside the output.
const BESIDE: Beside = Beside {
    caches: true,
    reasoning: false,
};

/// What a block of content is, or a piece of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BlockKind {
    Text,
    Thinking,
    RedactedThinking,
    ToolUse,
    InputJson,
    /// What says nothing to callers.
    Other,
}

/// Who is asked to do something.
pub(super) enum Asked<'a> {
    /// Nobody: the input is the answer.
    Answer,
    /// A tool of the caller.
    Tool { id: Cow<'a, str>, name: &'a str },
}

/// A block of content, or a piece of one.
pub(super) struct Block<'a>(pub(super) Members<'a>);

impl<'a> Block<'a> {
    /// What it is, by its type; if that is missing or unknown, by what it has. Only what is called
    /// so asks for a tool: the provider carries out requests of other types itself.
    pub(super) fn kind(&self) -> BlockKind {
        let kind = self.0.word("type");
        match kind.as_deref() {
            Some("text" | "text_delta") => BlockKind::Text,
            Some("thinking" | "thinking_delta" | "signature_delta") => BlockKind::Thinking,
            Some("redacted_thinking") => BlockKind::RedactedThinking,
            Some("tool_use") => BlockKind::ToolUse,
            Some("input_json_delta") => BlockKind::InputJson,
            _ if self.0.string("text").is_some() => BlockKind::Text,
            _ if self.0.string("thinking").is_some() => BlockKind::Thinking,
            None if self.0.string("partial_json").is_some() => BlockKind::InputJson,
            None if self.0.string("name").is_some() => BlockKind::ToolUse,
            _ => BlockKind::Other,
        }
    }

    /// Whom a block of the kind `ToolUse` asks; `None` if nobody can tell. A request without an id
    /// gets one by its place, because its result refers to it.
    pub(super) fn asked(&self, place: u32) -> Option<Asked<'a>> {
        let name = self.0.string("name").filter(|name| *name != r#""""#)?;
        if name.strip_prefix('"')?.strip_suffix('"')? == ANSWER_TOOL {
            return Some(Asked::Answer);
        }
        let id = self.0.text("id");
        let id = id.unwrap_or_else(|| Cow::Owned(format!("\"toolu_{place}\"")));
        Some(Asked::Tool { id, name })
    }

    /// The input of a request for a tool, as a JSON string of its JSON; `None` if it has no fields.
    /// What is no object is the model's fault: the caller sees what it wrote.
    pub(super) fn input(&self) -> Option<String> {
        let input = self.0.said("input")?;
        let is_empty = input.starts_with('{') && Members::of(input).is_empty();
        (!is_empty).then(|| serde_json::Value::from(input).to_string())
    }
}

/// Reads counts. What are none is left to estimates: the answer is paid for all the same.
pub(super) fn counts_of(usage: &Members<'_>) -> Counts {
    let written = usage.object("cache_creation");
    let output = usage.object("output_tokens_details");
    let tools = usage.object("server_tool_use");
    Counts {
        prompt: first(usage, &["input_tokens", "prompt_tokens"]),
        completion: first(usage, &["output_tokens", "completion_tokens"]),
        total: usage.count("total_tokens"),
        cache_read: usage.count("cache_read_input_tokens"),
        cache_write: usage.count("cache_creation_input_tokens"),
        cache_write_5m: written.count("ephemeral_5m_input_tokens"),
        cache_write_1h: written.count("ephemeral_1h_input_tokens"),
        reasoning: first(&output, &["thinking_tokens", "reasoning_tokens"]),
        web_searches: tools.count("web_search_requests"),
        code_executions: tools.count("code_execution_requests"),
        service_tier: service_tier(usage.word("speed"))
            .filter(|tier| *tier == ServiceTier::Fast)
            .or_else(|| service_tier(usage.word("service_tier"))),
        ..Counts::default()
    }
}

/// Disjoint buckets of what was counted.
pub(super) fn counted(counts: &Counts) -> Option<Counted> {
    counts.resolve(BESIDE)
}

/// What an answer counts, whatever else is in it.
pub(crate) fn counted_in(answer: &Members<'_>) -> Option<Counted> {
    counted(&counts_of(&answer.object("usage")))
}

/// Which tools an answer asks for.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Asks {
    /// Tools of the caller.
    pub(super) tools: bool,
    /// The answer tool, which is none.
    pub(super) answers: bool,
}

/// Why an answer ended. A provider that says so, but whose requests for tools nobody can read, has
/// not said everything.
pub(super) fn reason(
    members: &Members<'_>,
    asks: Asks,
) -> Result<Option<FinishReason>, UpstreamFailure> {
    let reason = ending::reason(Vocabulary::Anthropic, members, "stop_reason")?;
    Ok(reason.map(|reason| match reason {
        FinishReason::ToolCalls | FinishReason::Stop if asks.tools => FinishReason::ToolCalls,
        FinishReason::ToolCalls if asks.answers => FinishReason::Stop,
        FinishReason::ToolCalls => FinishReason::Length,
        reason => reason,
    }))
}

/// What the blocks say, piece by piece.
#[derive(Default)]
struct Pieces<'a> {
    content: Vec<Json<'a>>,
    reasoning: Vec<Json<'a>>,
    signatures: Vec<Json<'a>>,
    redacted: Vec<Json<'a>>,
    /// Requests for tools, with commas between them.
    tool_calls: String,
    calls: u32,
    asks: Asks,
    /// Whether any block could be read.
    is_readable: bool,
}

impl<'a> Pieces<'a> {
    /// Takes a block. Blocks of an unknown type say nothing to callers.
    fn take(&mut self, json: &'a str) {
        if json.starts_with('"') {
            self.is_readable = true;
            self.content.push(Cow::Borrowed(json));
            return;
        }
        let block = Block(Members::of(json));
        let kind = block.kind();
        let members = &block.0;
        self.is_readable |= match kind {
            BlockKind::Text => members.string("text").is_some(),
            BlockKind::ToolUse => block.asked(0).is_some(),
            _ => !members.is_empty(),
        };
        match kind {
            BlockKind::Text => self.content.extend(members.text("text")),
            BlockKind::Thinking => {
                self.reasoning.extend(members.text("thinking"));
                self.signatures.extend(members.text("signature"));
            }
            BlockKind::RedactedThinking => self.redacted.extend(members.text("data")),
            BlockKind::ToolUse => self.ask(&block),
            BlockKind::InputJson | BlockKind::Other => {}
        }
    }

    fn ask(&mut self, block: &Block<'a>) {
        let input = block.input();
        let input = input.unwrap_or_else(|| r#""{}""#.to_owned());
        match block.asked(self.calls) {
            None => {}
            Some(Asked::Answer) => {
                self.asks.answers = true;
                self.content.push(Cow::Owned(input));
            }
            Some(Asked::Tool { id, name }) => {
                let separator = if self.calls == 0 { "" } else { "," };
                self.calls = self.calls.saturating_add(1);
                self.asks.tools = true;
                // Writing into memory does not fail.
                let _ = write!(
                    self.tool_calls,
                    "{separator}{{\"id\":{id},\"type\":\"function\",\
                     \"function\":{{\"name\":{name},\"arguments\":{input}}}}}"
                );
            }
        }
    }

    fn put_together(self) -> Said<'a> {
        let tool_calls = (!self.tool_calls.is_empty()).then(|| format!("[{}]", self.tool_calls));
        // Callers who are told nothing at all take that for a fault.
        let nothing = || tool_calls.is_none().then_some(Cow::Borrowed(r#""""#));
        Said {
            content: joined(self.content).or_else(nothing),
            reasoning: joined(self.reasoning),
            reasoning_signature: only(self.signatures),
            redacted_reasoning: only(self.redacted),
            tool_calls: tool_calls.map(Cow::Owned),
            ..Said::default()
        }
    }
}

/// The only one. Each of several signatures signs its own thoughts, and none of them all together.
fn only(mut strings: Vec<Json<'_>>) -> Option<Json<'_>> {
    if strings.len() == 1 {
        strings.pop()
    } else {
        None
    }
}

/// Reads a successful answer.
pub(crate) fn decode(body: &[u8]) -> Result<Completion<'_>, UpstreamFailure> {
    let wire = Members::of_body(body)?;
    let mut pieces = Pieces::default();
    let content = wire.raw("content");
    let is_list = content.is_some_and(|json| json.starts_with('['));
    let blocks = content.map(list).unwrap_or_default();
    match content {
        Some(json) if json.starts_with(['"', '{']) => pieces.take(json),
        _ => blocks.iter().for_each(|block| pieces.take(block)),
    }
    // A list without blocks is an answer that says nothing.
    let is_empty = is_list && blocks.is_empty();
    if !(pieces.is_readable || is_empty) {
        return Err(failure::no_answer("content"));
    }
    let asks = pieces.asks;
    let reason = reason(&wire, asks)?.unwrap_or(if asks.tools {
        FinishReason::ToolCalls
    } else {
        FinishReason::Stop
    });
    let choice = Choice {
        finish_reason: reason,
        stop_sequence: stop_sequence(&wire),
        said: pieces.put_together(),
        ..Choice::default()
    };
    Ok(Completion {
        choices: vec![choice],
        counted: counted(&counts_of(&wire.object("usage"))),
        ..Completion::default()
    })
}

/// The stop sequence that ended the answer, if one did.
pub(super) fn stop_sequence<'a>(members: &Members<'a>) -> Option<Json<'a>> {
    let ended_by_one = members.word("stop_reason").as_deref() == Some("stop_sequence");
    members.text("stop_sequence").filter(|_| ended_by_one)
}
