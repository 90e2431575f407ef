//! OpenAI's chat completions, taken apart. What another provider could not be told is refused by
//! its name; nothing is dropped but what cannot change an answer.

use std::borrow::Cow;

use serde_json::Value;
use serde_json::json;
use tollgate_common::provider::{Endpoint, FieldRule};

use self::object::{Item, Object, text_of};
use super::{Conversation, Effort, Format, Thinking, Tool, ToolChoice};
use crate::chat::Untranslatable;
use crate::request::Completions;

mod messages;
mod object;
mod part;
#[cfg(test)]
mod tests;

/// Reads a request in full.
pub(super) fn read<'a>(request: &Completions<'a>) -> Result<Conversation<'a>, Untranslatable> {
    let mut rest = Object::of_request(&request.parameters);
    let (system, turns) = messages::read(request.messages)?;
    let conversation = Conversation {
        system,
        turns,
        tools: tools(&mut rest)?,
        tool_choice: tool_choice(&mut rest)?,
        parallel_tool_calls: rest.flag("parallel_tool_calls")?,
        max_tokens: None,
        choices: rest.integer("n")?,
        temperature: rest.number("temperature")?,
        top_p: rest.number("top_p")?,
        top_k: rest.whole("top_k")?,
        frequency_penalty: rest.number("frequency_penalty")?,
        presence_penalty: rest.number("presence_penalty")?,
        seed: rest.whole("seed")?,
        stop: stop(&mut rest)?,
        format: format(&mut rest)?,
        thinking: thinking(&mut rest)?,
        user: rest.text("user")?.map(Cow::into_owned),
    };
    refuse_what_has_another_name(&mut rest)?;
    leave_out_what_changes_nothing(&mut rest)?;
    rest.finish()?;
    Ok(conversation)
}

fn tools<'a>(rest: &mut Object<'a>) -> Result<Vec<Tool<'a>>, Untranslatable> {
    let list = rest.list("tools")?;
    list.into_iter().map(tool).collect()
}

fn tool(item: Item<'_>) -> Result<Tool<'_>, Untranslatable> {
    let mut outer = Object::read(item)?;
    expect_function(&mut outer)?;
    let mut function = outer.required_object("function")?;
    let tool = Tool {
        name: function.required_text("name")?,
        description: function.text("description")?,
        parameters: function.json_object("parameters")?,
        strict: function.flag("strict")?,
        cache_control: outer.json_object("cache_control")?,
    };
    function.finish()?;
    outer.finish()?;
    Ok(tool)
}

/// Checks the `type` of a tool, or of a request for one.
fn expect_function(object: &mut Object<'_>) -> Result<(), Untranslatable> {
    let kind = object.required_text("type")?;
    if kind == "function" {
        return Ok(());
    }
    Err(object.refusal(
        "type",
        "must be function: this model's provider knows no other tools",
    ))
}

fn tool_choice<'a>(rest: &mut Object<'a>) -> Result<Option<ToolChoice<'a>>, Untranslatable> {
    let Some(raw) = rest.take("tool_choice") else {
        return Ok(None);
    };
    let path = rest.path_of("tool_choice");
    let word = text_of(raw);
    Ok(Some(match word.as_deref() {
        Some("auto") => ToolChoice::Auto,
        Some("none") => ToolChoice::None,
        Some("required") => ToolChoice::Required,
        Some(_) => {
            let message = "must be auto, none, required or an object that names a function";
            return Err(Untranslatable::new(path, message));
        }
        None => {
            let mut outer = Object::read(Item { path, raw })?;
            expect_function(&mut outer)?;
            let mut function = outer.required_object("function")?;
            let name = function.required_text("name")?;
            function.finish()?;
            outer.finish()?;
            ToolChoice::Named(name)
        }
    }))
}

fn stop(rest: &mut Object<'_>) -> Result<Vec<String>, Untranslatable> {
    let Some(raw) = rest.take("stop") else {
        return Ok(Vec::new());
    };
    if let Some(text) = text_of(raw) {
        return Ok(vec![text.into_owned()]);
    }
    serde_json::from_str(raw.get())
        .map_err(|_| rest.refusal("stop", "must be a string or a list of strings"))
}

fn format<'a>(rest: &mut Object<'a>) -> Result<Format<'a>, Untranslatable> {
    let Some(mut outer) = rest.object("response_format")? else {
        return Ok(Format::Text);
    };
    let kind = outer.required_text("type")?;
    let format = match kind.as_ref() {
        "text" => Format::Text,
        "json_object" => Format::Object,
        "json_schema" => schema(&mut outer)?,
        _ => {
            return Err(outer.refusal("type", "must be text, json_object or json_schema"));
        }
    };
    outer.finish()?;
    Ok(format)
}

fn schema<'a>(outer: &mut Object<'a>) -> Result<Format<'a>, Untranslatable> {
    let mut inner = outer.required_object("json_schema")?;
    if inner.take("description").is_some() {
        let message = "is not known to this model's provider; put it into the schema";
        return Err(inner.refusal("description", message));
    }
    let format = Format::Schema {
        name: inner.required_text("name")?,
        schema: inner
            .json_object("schema")?
            .ok_or_else(|| inner.refusal("schema", "must be an object"))?,
        strict: inner.flag("strict")?.unwrap_or(false),
    };
    inner.finish()?;
    Ok(format)
}

/// Reads OpenAI's `reasoning_effort`, or `thinking` as Anthropic has it.
fn thinking(rest: &mut Object<'_>) -> Result<Option<Thinking>, Untranslatable> {
    let effort = effort(rest)?;
    let Some(mut object) = rest.object("thinking")? else {
        return Ok(effort);
    };
    if effort.is_some() {
        let message = "must not be given together with reasoning_effort; leave one of them out";
        return Err(rest.refusal("thinking", message));
    }
    let kind = object.required_text("type")?;
    let thinking = match kind.as_ref() {
        "disabled" => Thinking::Off,
        "adaptive" => Thinking::Adaptive,
        "enabled" => match object.integer("budget_tokens")? {
            Some(tokens) if tokens > 0 => Thinking::Budget(tokens),
            _ => {
                let message = "must be a whole number of at least 1";
                return Err(object.refusal("budget_tokens", message));
            }
        },
        _ => {
            return Err(object.refusal("type", "must be enabled, disabled or adaptive"));
        }
    };
    object.finish()?;
    Ok(Some(thinking))
}

fn effort(rest: &mut Object<'_>) -> Result<Option<Thinking>, Untranslatable> {
    let Some(word) = rest.text("reasoning_effort")? else {
        return Ok(None);
    };
    let effort = match word.as_ref() {
        "none" => return Ok(Some(Thinking::Off)),
        "minimal" => Effort::Minimal,
        "low" => Effort::Low,
        "medium" => Effort::Medium,
        "high" => Effort::High,
        _ => {
            let message = "must be none, minimal, low, medium or high";
            return Err(rest.refusal("reasoning_effort", message));
        }
    };
    Ok(Some(Thinking::Effort(effort)))
}

/// Fields that have a successor which does travel.
fn refuse_what_has_another_name(rest: &mut Object<'_>) -> Result<(), Untranslatable> {
    for (name, successor) in [("functions", "tools"), ("function_call", "tool_choice")] {
        if rest.take(name).is_some_and(|raw| raw.get() != "[]") {
            let message = format!("is not known to this model's provider; use {successor} instead");
            return Err(rest.refusal(name, message));
        }
    }
    Ok(())
}

/// Takes out what changes no answer, and what asks for what every provider does anyway.
fn leave_out_what_changes_nothing(rest: &mut Object<'_>) -> Result<(), Untranslatable> {
    for (name, rule) in Endpoint::Completions.all() {
        if rule == FieldRule::Hint {
            rest.take(name);
        }
    }
    for (name, harmless, remedy) in [
        ("store", json!(false), "leave it out or say false"),
        ("logprobs", json!(false), "leave it out or say false"),
        ("top_logprobs", json!(0), "leave it out"),
        ("service_tier", json!("auto"), "leave it out or say auto"),
        ("modalities", json!(["text"]), "only text can be answered"),
        // Even an empty one asks for a search.
        ("web_search_options", Value::Null, "leave it out"),
    ] {
        let Some(raw) = rest.take(name) else {
            continue;
        };
        if serde_json::from_str::<Value>(raw.get()).ok() != Some(harmless) {
            let message = format!("is not known to this model's provider; {remedy}");
            return Err(rest.refusal(name, message));
        }
    }
    Ok(())
}
