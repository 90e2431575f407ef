//! The tools of a request.

use std::borrow::Cow;

use serde_json::json;

use super::object::Object;
use crate::conversation::{Tool, ToolChoice};

/// The longest name of a tool, in characters.
const NAME_LENGTH_MAX: usize = 128;

/// Reads the tools that the model may ask for.
pub(super) fn tools<'a>(object: &mut Object<'a>) -> Vec<Tool<'a>> {
    let list = object.list("tools").unwrap_or_default();
    object.each("tools", list, tool)
}

fn tool<'a>(object: &mut Object<'a>) -> Option<Tool<'a>> {
    let kind = object.optional_text("type");
    if let Some(kind) = kind.filter(|kind| kind != "custom") {
        let shown: String = kind.chars().take(NAME_LENGTH_MAX).collect();
        let message = format!(
            "must be custom: {shown} is a tool of one provider's own; declare a tool with name, \
             description and input_schema instead, and carry it out yourself"
        );
        object.fields.problem("type", message, "enum");
        return None;
    }
    object.only(&[
        "type",
        "name",
        "description",
        "input_schema",
        "strict",
        "cache_control",
        "eager_input_streaming",
        "defer_loading",
        "allowed_callers",
        "input_examples",
    ]);
    // In how large pieces arguments arrive has no effect on what they say.
    object.fields.optional_flag("eager_input_streaming");
    object.only_if("defer_loading", &json!(false), "leave it out");
    object.only_if("allowed_callers", &json!(["direct"]), "leave it out");
    let remedy = "put them into the description";
    object.only_if("input_examples", &json!([]), remedy);
    let cache_control = object.cache_control();
    let description = object.optional_text("description");
    let strict = object.fields.optional_flag("strict");
    let (name, parameters) = (name(object), object.json_object("input_schema"));
    Some(Tool {
        name: name?,
        description,
        parameters: Some(parameters?),
        strict,
        cache_control,
    })
}

fn name<'a>(object: &mut Object<'a>) -> Option<Cow<'a, str>> {
    let name = object.name("name")?;
    if name.chars().count() > NAME_LENGTH_MAX {
        let message = format!("must have at most {NAME_LENGTH_MAX} characters");
        object.fields.problem("name", message, "string_too_long");
        return None;
    }
    Some(name)
}

/// Reads which tools the model may or must ask for, and whether for several at once.
pub(super) fn choice<'a>(object: &mut Object<'a>) -> (Option<ToolChoice<'a>>, Option<bool>) {
    let has_tools = object.fields.raw("tools").is_some();
    let choice = object.member("tool_choice", |choice| {
        let kind = choice.text("type")?;
        let known: &[&str] = match kind.as_ref() {
            "none" => &["type"],
            "tool" => &["type", "name", "disable_parallel_tool_use"],
            _ => &["type", "disable_parallel_tool_use"],
        };
        choice.only(known);
        let disabled = choice.fields.optional_flag("disable_parallel_tool_use");
        if !has_tools && matches!(&*kind, "any" | "tool") {
            let message = "needs tools: declare some, or leave tool_choice out";
            choice.fields.problem("type", message, "value_error");
        }
        let chosen = match kind.as_ref() {
            "auto" => ToolChoice::Auto,
            "any" => ToolChoice::Required,
            "none" => ToolChoice::None,
            "tool" => ToolChoice::Named(choice.name("name")?),
            _ => {
                let message = "must be auto, any, tool or none";
                choice.fields.problem("type", message, "enum");
                return None;
            }
        };
        Some((chosen, disabled.map(|disabled| !disabled)))
    });
    choice.map_or((None, None), |(chosen, parallel)| (Some(chosen), parallel))
}
