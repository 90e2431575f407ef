//! Anthropic's Messages API as callers speak it: <https://docs.anthropic.com/en/api/messages>.
//!
//! Everything that is said must reach the model. What cannot is refused by its name, in nested
//! objects too; only what has no effect on the answer is left out.

use serde::Deserialize;
use serde_json::value::RawValue;
use tollgate_common::ledger::PromptWeight;

use self::block::Place;
use self::object::Object;
use super::demand::Ask;
use super::message::check_cache_control;
use super::{CallRequest, MESSAGES_MAX, MODEL_LENGTH_MAX, Prompt};
use crate::chat::Json;
use crate::conversation::{Conversation, Part, Speaker, Turn};
use crate::error::ApiError;

mod block;
mod object;
mod option;
#[cfg(test)]
mod tests;
mod tool;

const FIELDS: [&str; 18] = [
    "model",
    "messages",
    "max_tokens",
    "system",
    "tools",
    "tool_choice",
    "stop_sequences",
    "stream",
    "temperature",
    "top_p",
    "top_k",
    "thinking",
    "metadata",
    "output_config",
    "output_format",
    "service_tier",
    "speed",
    "cache_control",
];

/// Parses a body of `POST /v1/messages`; reports everything that is wrong with it.
pub(crate) fn parse(body: &[u8]) -> Result<CallRequest<'_>, ApiError> {
    let mut object = Object::of_body(body)?;
    object.only(&FIELDS);
    let model = object.fields.optional_text("model", MODEL_LENGTH_MAX);
    let max_tokens = object.required_integer("max_tokens", 1);
    let stream = object.fields.optional_flag("stream").unwrap_or(false);
    option::check_service_tier(&mut object);
    let mut ask = Ask::default();
    count_options(&object, &mut ask);
    let mut conversation = Conversation {
        system: block::content(&mut object, "system", Place::System, &mut ask),
        turns: turns(&mut object, &mut ask),
        max_tokens,
        ..Conversation::default()
    };
    if let Some(control) = object.cache_control() {
        remember_all(&mut conversation.turns, &control);
    }
    read_options(&mut object, &mut conversation);
    object.fields.finish()?;
    Ok(CallRequest {
        model,
        prompt: Prompt::Messages(Box::new(conversation)),
        max_tokens,
        choices: 1,
        stream,
        include_usage: true,
        purpose: None,
        call_metadata: None,
        weight: PromptWeight::of_text(ask.content.typical_tokens()),
        service_tier: ask.tier,
        fees_max: ask.fees_max,
        output_kinds: ask.output_kinds,
        ask,
    })
}

/// Counts what is not said in messages: tools, schemas and the rest.
fn count_options(object: &Object<'_>, ask: &mut Ask) {
    for (name, raw) in object.fields.all() {
        match name.as_ref() {
            "messages" | "system" | "model" => {}
            "cache_control" => check_cache_control(raw, "cache_control", ask),
            "tools" => {
                let tools = serde_json::from_str::<Vec<ToolMark<'_>>>(raw.get());
                let tools = tools.unwrap_or_default();
                ask.content.add_tools(tools.len());
                ask.content.add_schema(raw.get());
                for mark in tools.iter().filter_map(|tool| tool.cache_control) {
                    check_cache_control(mark, "tools.cache_control", ask);
                }
            }
            "output_config" | "output_format" => ask.content.add_schema(raw.get()),
            _ => ask.content.add_text(raw.get()),
        }
    }
}

#[derive(Deserialize)]
struct ToolMark<'a> {
    #[serde(borrow)]
    cache_control: Option<&'a RawValue>,
}

fn turns<'a>(object: &mut Object<'a>, ask: &mut Ask) -> Vec<Turn<'a>> {
    object.require("messages");
    let Some(messages) = object.list("messages") else {
        return Vec::new();
    };
    if messages.is_empty() {
        let message = "must have at least one message";
        object.fields.problem("messages", message, "too_short");
    }
    if messages.len() > MESSAGES_MAX {
        let message = format!("must have at most {MESSAGES_MAX} messages");
        object.fields.problem("messages", message, "too_long");
        return Vec::new();
    }
    object.each("messages", messages, |message| turn(message, ask))
}

fn turn<'a>(object: &mut Object<'a>, ask: &mut Ask) -> Option<Turn<'a>> {
    object.only(&["role", "content"]);
    ask.content.add_message();
    let role = object.text("role");
    let speaker = match role.as_deref() {
        Some("user") => Speaker::User,
        Some("assistant") => Speaker::Assistant,
        Some(_) => {
            let message = "must be user or assistant; instructions belong in the field system";
            object.fields.problem("role", message, "enum");
            return None;
        }
        None => return None,
    };
    object.require("content");
    let place = match speaker {
        Speaker::User => Place::User,
        Speaker::Assistant => Place::Assistant,
    };
    let parts = block::content(object, "content", place, ask);
    Some(Turn { speaker, parts })
}

/// The request's own `cache_control` stands for one at the last part that can have it.
fn remember_all<'a>(turns: &mut [Turn<'a>], control: &Json<'a>) {
    let mut parts = turns
        .iter_mut()
        .rev()
        .flat_map(|turn| turn.parts.iter_mut().rev());
    if let Some(slot) = parts.find_map(cache_control_of) {
        slot.get_or_insert_with(|| control.clone());
    }
}

const fn cache_control_of<'p, 'a>(part: &'p mut Part<'a>) -> Option<&'p mut Option<Json<'a>>> {
    match part {
        Part::Text { cache_control, .. }
        | Part::Image { cache_control, .. }
        | Part::Document { cache_control, .. }
        | Part::ToolUse { cache_control, .. }
        | Part::ToolResult { cache_control, .. } => Some(cache_control),
        Part::Audio { .. } | Part::Thinking { .. } | Part::RedactedThinking { .. } => None,
    }
}

fn read_options<'a>(object: &mut Object<'a>, conversation: &mut Conversation<'a>) {
    conversation.tools = tool::tools(object);
    (conversation.tool_choice, conversation.parallel_tool_calls) = tool::choice(object);
    conversation.temperature = object.number("temperature");
    conversation.top_p = object.number("top_p");
    conversation.top_k = object.whole_number("top_k");
    conversation.stop = option::stop_sequences(object);
    conversation.user = option::user(object);
    let thinking = option::thinking(object, conversation.max_tokens);
    let (thinking, format) = option::output_config(object, thinking);
    conversation.thinking = thinking;
    conversation.format = option::output_format(object, format);
}
