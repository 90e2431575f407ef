//! Requests. What the API has no word for is refused.

use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use self::blocks::{Block, Content};
use super::super::{Encoded, Order};
use super::ANSWER_TOOL;
use crate::chat::{Json, Untranslatable};
use crate::conversation::{
    Conversation, Effort, Format, Speaker, Thinking, Tool, ToolChoice, Turn,
};

mod blocks;

/// Below the base URL.
const ENDPOINT: &str = "/messages";

/// The longest answer if nobody limits it, in tokens: the API wants a limit, and every model allows
/// this one.
const OUTPUT_TOKENS_DEFAULT: i64 = 4_096;

/// The least that a model may be allowed to think, in tokens.
const THINKING_TOKENS_MIN: i64 = 1_024;

/// The highest temperature.
const TEMPERATURE_MAX: f64 = 1.0;

/// A tool without arguments.
const NO_ARGUMENTS: &str = r#"{"type":"object","properties":{}}"#;

/// Any JSON object.
const ANY_OBJECT: &str = r#"{"type":"object"}"#;

/// A piece of JSON that is copied as it is.
#[derive(Debug, Clone, Copy)]
struct Raw<'p>(&'p str);

impl<'p> Raw<'p> {
    fn of(json: Option<&'p Json<'_>>) -> Option<Self> {
        json.map(|json| Self(json))
    }
}

impl Serialize for Raw<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let raw: &RawValue = serde_json::from_str(self.0).map_err(serde::ser::Error::custom)?;
        raw.serialize(serializer)
    }
}

#[derive(Serialize)]
struct Body<'p> {
    model: &'p str,
    max_tokens: i64,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    stream: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    system: Option<Content<'p>>,
    messages: Vec<Message<'p>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<WireTool<'p>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_choice: Option<WireToolChoice<'p>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thinking: Option<WireThinking>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<Raw<'p>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<Raw<'p>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_k: Option<Raw<'p>>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    stop_sequences: &'p [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<Metadata<'p>>,
}

#[derive(Serialize)]
struct Message<'p> {
    role: &'static str,
    content: Content<'p>,
}

#[derive(Serialize)]
struct WireTool<'p> {
    name: &'p str,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    input_schema: Raw<'p>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    strict: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache_control: Option<Raw<'p>>,
}

#[derive(Serialize)]
struct WireToolChoice<'p> {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'p str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    disable_parallel_tool_use: bool,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum WireThinking {
    Enabled { budget_tokens: i64 },
    Adaptive,
}

#[derive(Serialize)]
struct Metadata<'p> {
    user_id: &'p str,
}

/// Writes the provider's request.
pub(crate) fn encode(
    conversation: &Conversation<'_>,
    order: Order<'_>,
) -> Result<Encoded, Untranslatable> {
    refuse_what_is_unknown(conversation)?;
    let (max_tokens, thinking) = thinking(conversation.thinking, order.output_tokens_max)?;
    let (tools, tool_choice) = match answer_tool(conversation)? {
        Some(tool) => (vec![tool], Some(forced(ANSWER_TOOL))),
        None => (tools(&conversation.tools)?, tool_choice(conversation)?),
    };
    let body = Body {
        model: order.upstream_model,
        max_tokens,
        stream: order.stream,
        system: blocks::content(&conversation.system)?,
        messages: messages(&conversation.turns)?,
        tools,
        tool_choice,
        thinking,
        temperature: Raw::of(conversation.temperature.as_ref()),
        top_p: Raw::of(conversation.top_p.as_ref()),
        top_k: Raw::of(conversation.top_k.as_ref()),
        stop_sequences: &conversation.stop,
        metadata: conversation
            .user
            .as_deref()
            .map(|user_id| Metadata { user_id }),
    };
    let body = serde_json::to_vec(&body)
        .map_err(|_| Untranslatable::new("messages", "cannot be sent to this model's provider"))?;
    Ok(Encoded {
        endpoint: ENDPOINT.to_owned(),
        body: body.into(),
    })
}

fn refuse_what_is_unknown(conversation: &Conversation<'_>) -> Result<(), Untranslatable> {
    if conversation.choices.is_some_and(|choices| choices > 1) {
        let message = "must be 1: this model's provider gives one answer; ask several times";
        return Err(Untranslatable::new("n", message));
    }
    for (name, number) in [
        ("frequency_penalty", &conversation.frequency_penalty),
        ("presence_penalty", &conversation.presence_penalty),
        ("seed", &conversation.seed),
    ] {
        if number.as_deref().is_some_and(|json| value(json) != 0.0) {
            let message = "is not known to this model's provider; leave it out";
            return Err(Untranslatable::new(name, message));
        }
    }
    let temperature = conversation.temperature.as_deref();
    if temperature.is_some_and(|json| value(json) > TEMPERATURE_MAX) {
        let message = "must be a number from 0 to 1 for this model's provider";
        return Err(Untranslatable::new("temperature", message));
    }
    Ok(())
}

fn value(json: &str) -> f64 {
    json.parse().unwrap_or(f64::NAN)
}

/// How long the answer may be and how much of that may be thought, in tokens. If nobody limits the
/// answer, it gets its usual length beside the thoughts.
fn thinking(
    asked: Option<Thinking>,
    tokens_max: Option<i64>,
) -> Result<(i64, Option<WireThinking>), Untranslatable> {
    let budget_tokens = match asked {
        None | Some(Thinking::Off) => {
            return Ok((tokens_max.unwrap_or(OUTPUT_TOKENS_DEFAULT), None));
        }
        Some(Thinking::Adaptive) => {
            let tokens = tokens_max.unwrap_or(OUTPUT_TOKENS_DEFAULT);
            return Ok((tokens, Some(WireThinking::Adaptive)));
        }
        Some(Thinking::Effort(effort)) => budget_of(effort, tokens_max),
        Some(Thinking::Budget(tokens)) => tokens,
    };
    let max_tokens =
        tokens_max.unwrap_or_else(|| budget_tokens.saturating_add(OUTPUT_TOKENS_DEFAULT));
    if budget_tokens >= max_tokens {
        let message = format!(
            "must be more than the {budget_tokens} tokens for thinking; raise it or think less"
        );
        return Err(Untranslatable::new("max_tokens", message));
    }
    Ok((max_tokens, Some(WireThinking::Enabled { budget_tokens })))
}

/// What an effort is in tokens. At least half of a limited answer is left for its words, if that
/// is possible at all.
fn budget_of(effort: Effort, tokens_max: Option<i64>) -> i64 {
    let tokens = match effort {
        Effort::Minimal => THINKING_TOKENS_MIN,
        Effort::Low => 2_048,
        Effort::Medium => 8_192,
        Effort::High => 16_384,
    };
    let room = tokens_max.map_or(tokens, |tokens_max| tokens_max / 2);
    tokens.min(room.max(THINKING_TOKENS_MIN))
}

/// The tool whose input is the answer, if the answer must be JSON.
fn answer_tool<'p>(
    conversation: &'p Conversation<'_>,
) -> Result<Option<WireTool<'p>>, Untranslatable> {
    let (description, schema, strict) = match &conversation.format {
        Format::Text => return Ok(None),
        Format::Object => (
            "Gives the answer, as a JSON object.".to_owned(),
            ANY_OBJECT,
            false,
        ),
        Format::Schema {
            name,
            schema,
            strict,
        } => (format!("Gives the answer: {name}."), &**schema, *strict),
    };
    let rival = match conversation.thinking {
        _ if !conversation.tools.is_empty() => "tools",
        None | Some(Thinking::Off) => {
            return Ok(Some(WireTool {
                name: ANSWER_TOOL,
                description: Some(description),
                input_schema: Raw(schema),
                strict,
                cache_control: None,
            }));
        }
        Some(_) => "thinking",
    };
    let message =
        format!("cannot be combined with {rival} at this model's provider; leave one of them out");
    Err(Untranslatable::new("response_format", message))
}

/// This tool, once.
const fn forced(name: &str) -> WireToolChoice<'_> {
    WireToolChoice {
        kind: "tool",
        name: Some(name),
        disable_parallel_tool_use: true,
    }
}

fn tools<'p>(tools: &'p [Tool<'_>]) -> Result<Vec<WireTool<'p>>, Untranslatable> {
    let is_reserved = |tool: &Tool<'_>| tool.name == ANSWER_TOOL;
    if let Some(index) = tools.iter().position(is_reserved) {
        let message = format!("must not be called {ANSWER_TOOL}; give it another name");
        return Err(Untranslatable::new(format!("tools[{index}]"), message));
    }
    let says_something = |schema: &&str| schema.trim_start_matches('{').trim() != "}";
    let wire = tools.iter().map(|tool| WireTool {
        name: &tool.name,
        description: tool.description.as_deref().map(str::to_owned),
        input_schema: Raw(tool
            .parameters
            .as_deref()
            .filter(says_something)
            .unwrap_or(NO_ARGUMENTS)),
        strict: tool.strict.unwrap_or(false),
        cache_control: Raw::of(tool.cache_control.as_ref()),
    });
    Ok(wire.collect())
}

fn tool_choice<'p>(
    conversation: &'p Conversation<'_>,
) -> Result<Option<WireToolChoice<'p>>, Untranslatable> {
    let one_at_a_time = conversation.parallel_tool_calls == Some(false);
    let has_tools = !conversation.tools.is_empty();
    let (kind, name) = match &conversation.tool_choice {
        // Without tools there is no choice, and the API takes none.
        None | Some(ToolChoice::Auto | ToolChoice::None) if !has_tools => return Ok(None),
        Some(_) if !has_tools => {
            let message = "must not be given without tools; leave it out";
            return Err(Untranslatable::new("tool_choice", message));
        }
        None if !one_at_a_time => return Ok(None),
        None | Some(ToolChoice::Auto) => ("auto", None),
        Some(ToolChoice::None) => ("none", None),
        Some(ToolChoice::Required) => ("any", None),
        Some(ToolChoice::Named(name)) => ("tool", Some(&**name)),
    };
    Ok(Some(WireToolChoice {
        kind,
        name,
        disable_parallel_tool_use: one_at_a_time && kind != "none",
    }))
}

/// Turns in which each speaker follows the other one, as the API wants them.
fn messages<'p>(turns: &'p [Turn<'_>]) -> Result<Vec<Message<'p>>, Untranslatable> {
    let mut merged: Vec<(Speaker, Vec<Block<'p>>)> = Vec::with_capacity(turns.len());
    for turn in turns {
        let blocks = blocks::of_parts(&turn.parts)?;
        match merged.last_mut() {
            _ if blocks.is_empty() => {}
            Some((speaker, said)) if *speaker == turn.speaker => said.extend(blocks),
            _ => merged.push((turn.speaker, blocks)),
        }
    }
    if merged.is_empty() {
        let message = "must have a message of the user with content for this model's provider";
        return Err(Untranslatable::new("messages", message));
    }
    let messages = merged.into_iter().map(|(speaker, mut blocks)| {
        // The API wants results right after the requests for tools, before anything else.
        blocks.sort_by_key(|block| !matches!(block, Block::ToolResult { .. }));
        let role = match speaker {
            Speaker::User => "user",
            Speaker::Assistant => "assistant",
        };
        let content = Content::of(blocks);
        Message { role, content }
    });
    Ok(messages.collect())
}
