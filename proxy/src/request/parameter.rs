//! Parameters in OpenAI's dialect, by the table of fields: what travels, and what that may cost.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;
use tollgate_common::price::{RequestedTier, ServiceTier};
use tollgate_common::provider::{Endpoint, FieldRule};

use super::demand::{Ask, Service};
use super::message::{Place, check_cache_control, note_unknown};
use super::{text, thoughts};
use crate::fields::Fields;

/// The most of an unknown name that an answer repeats, in characters.
const NAME_SHOWN_MAX: usize = 64;

/// Fields of a request that travel, by name.
pub(super) type Parameters<'a> = Vec<(Cow<'a, str>, &'a RawValue)>;

/// Takes all fields of a request that may travel. Refused are those that never do, and those whose
/// names servers may take for another one.
pub(super) fn by_table<'a>(
    fields: &mut Fields<'a>,
    endpoint: Endpoint,
    ask: &mut Ask,
) -> Parameters<'a> {
    let all: Vec<_> = fields.all().collect();
    let mut parameters = Vec::with_capacity(all.len());
    for (name, raw) in all {
        match endpoint.rule_of(&name) {
            Some(FieldRule::Own) => continue,
            Some(FieldRule::Neutral | FieldRule::Hint | FieldRule::Priced) => {
                read(fields, endpoint, &name, raw, ask);
            }
            Some(FieldRule::Refused(_)) if says_nothing(&name, raw) => continue,
            Some(FieldRule::Refused(remedy)) => {
                let message = format!("is not taken here; {remedy}");
                fields.problem(&name, message, "extra_forbidden");
            }
            None => {
                let shown: String = name.chars().take(NAME_SHOWN_MAX).collect();
                if let Some(alike) = endpoint.look_alike(&name) {
                    let message = format!("must be written as {alike}");
                    fields.problem(&shown, message, "look_alike");
                } else {
                    ask.pass(shown, name.clone());
                    ask.content.add_text(raw.get());
                }
            }
        }
        parameters.push((name, raw));
    }
    parameters
}

/// Whether a field that never travels asks for nothing.
fn says_nothing(name: &str, raw: &RawValue) -> bool {
    matches!(raw.get(), "[]" | "{}" | "false" | "\"\"") || (name == "best_of" && raw.get() == "1")
}

/// Counts what a known field weighs, and notes what it asks for.
pub(super) fn read(
    fields: &mut Fields<'_>,
    endpoint: Endpoint,
    name: &str,
    raw: &RawValue,
    ask: &mut Ask,
) {
    match name {
        "tools" => read_tools(fields, raw, ask),
        "functions" | "response_format" | "guided_json" | "guided_grammar"
        | "structured_outputs" | "structural_tag" | "json_schema" | "grammar" | "ebnf"
        | "format" => {
            ask.content.add_schema(raw.get());
        }
        _ => ask.content.add_text(raw.get()),
    }
    read_members(fields, name, raw, ask);
    match name {
        "input" if endpoint == Endpoint::Embeddings => {
            check_input(fields, raw);
            ask.content.set_inputs(inputs_of(raw));
        }
        "tool_choice" => {
            let known = ["function", "custom", "allowed_tools"];
            check_type(fields, "tool_choice", raw, &known);
        }
        "response_format" => {
            let known = [
                "text",
                "json_object",
                "json_schema",
                "structural_tag",
                "grammar",
                "regex",
                "json",
            ];
            check_type(fields, "response_format", raw, &known);
        }
        "service_tier" => read_tier(fields, raw, ask),
        "web_search_options" => ask.service(name, Service::WebSearch),
        "modalities" => read_modalities(fields, raw, ask),
        "audio" => ask.service(name, Service::AudioOutput),
        "cache_control" => check_cache_control(raw, name, ask),
        // What is predicted wrongly is billed beside the answer.
        "prediction" => add_output(ask, text::tokens_max(raw.get())),
        _ => thoughts::read(fields, name, raw, &mut ask.thoughts),
    }
}

/// Objects that are copied with all that is in them, and their members.
const OBJECTS: [(&str, &[&str]); 8] = [
    (
        "response_format",
        &[
            "type",
            "json_schema",
            "schema",
            "strict",
            "name",
            "description",
            "structures",
            "triggers",
            "format",
            "pattern",
            "regex",
            "grammar",
            "value",
        ],
    ),
    (
        "thinking",
        &[
            "type",
            "budget_tokens",
            "max_tokens",
            "thinking_budget",
            "display",
            "clear_thinking",
        ],
    ),
    (
        "reasoning",
        &[
            "effort",
            "max_tokens",
            "budget_tokens",
            "thinking_budget",
            "enabled",
            "exclude",
            "summary",
            "generate_summary",
        ],
    ),
    (
        "tool_choice",
        &["type", "name", "function", "custom", "allowed_tools"],
    ),
    ("prediction", &["type", "content"]),
    ("audio", &["voice", "format"]),
    (
        "web_search_options",
        &["search_context_size", "user_location"],
    ),
    ("usage", &["include"]),
];

/// The members of a function that a model may ask for.
const FUNCTION_MEMBERS: &[&str] = &["name", "description", "parameters", "strict"];

/// The members of a schema in `response_format`.
const SCHEMA_MEMBERS: &[&str] = &["name", "description", "schema", "strict"];

/// Notes the unknown members of an object that a parameter is, or of those in a list.
fn read_members(fields: &mut Fields<'_>, name: &str, raw: &RawValue, ask: &mut Ask) {
    if name == "functions" {
        let functions = serde_json::from_str::<Vec<&RawValue>>(raw.get()).unwrap_or_default();
        for (index, raw) in functions.into_iter().enumerate() {
            let place = Place {
                field: format!("functions[{index}]"),
                name: "functions".to_owned(),
            };
            note_members(fields, FUNCTION_MEMBERS, &place, raw, ask);
        }
    }
    let Some((_, known)) = OBJECTS.iter().find(|(object, _)| *object == name) else {
        return;
    };
    let place = |name: &str| Place {
        field: name.to_owned(),
        name: name.to_owned(),
    };
    note_members(fields, known, &place(name), raw, ask);
    if name == "response_format"
        && let Some(format) = Fields::of_nested(raw, Vec::new())
        && let Some(schema) = format.raw("json_schema")
    {
        let place = place("response_format.json_schema");
        note_members(fields, SCHEMA_MEMBERS, &place, schema, ask);
    }
}

/// Notes the unknown members of an object.
fn note_members(
    fields: &mut Fields<'_>,
    known: &[&str],
    place: &Place,
    raw: &RawValue,
    ask: &mut Ask,
) {
    let location = vec!["body".into(), place.field.as_str().into()];
    if let Some(mut object) = Fields::of_nested(raw, location) {
        note_unknown(&mut object, &[known], place, ask);
        fields.absorb(object.into_problems());
    }
}

const fn add_output(ask: &mut Ask, tokens: i64) {
    ask.extra_output_tokens = ask.extra_output_tokens.saturating_add(tokens);
}

/// Names of the usual service tier.
const USUAL_TIERS: [&str; 4] = ["default", "standard", "standard_only", "on_demand"];

fn read_tier(fields: &mut Fields<'_>, raw: &RawValue, ask: &mut Ask) {
    let tier = serde_json::from_str::<String>(raw.get()).unwrap_or_default();
    if tier == "auto" {
        ask.tier = RequestedTier::Auto;
    } else if let Ok(named) = tier.parse::<ServiceTier>()
        && named != ServiceTier::Standard
    {
        ask.tier = RequestedTier::Named(named);
        ask.service("service_tier", Service::Tier);
    } else if !USUAL_TIERS.contains(&tier.as_str()) {
        let message = "must be auto, default, flex, priority or scale";
        fields.problem("service_tier", message, "enum");
    }
}

fn read_modalities(fields: &mut Fields<'_>, raw: &RawValue, ask: &mut Ask) {
    let Ok(kinds) = serde_json::from_str::<Vec<String>>(raw.get()) else {
        fields.problem("modalities", "must be a list of strings", "list_type");
        return;
    };
    for kind in kinds {
        match kind.as_str() {
            "text" => {}
            "audio" => ask.service("modalities", Service::AudioOutput),
            "image" => ask.service("modalities", Service::ImageOutput),
            _ => fields.problem("modalities", "must be text, audio or image", "enum"),
        }
    }
}

#[derive(Deserialize)]
struct Typed {
    r#type: Option<String>,
}

/// Checks the type of an object; texts are checked elsewhere.
fn check_type(fields: &mut Fields<'_>, name: &str, raw: &RawValue, known: &[&str]) {
    if !raw.get().starts_with('{') {
        return;
    }
    let kind = serde_json::from_str::<Typed>(raw.get()).ok();
    let kind = kind.and_then(|typed| typed.r#type).unwrap_or_default();
    if !known.contains(&kind.as_str()) {
        let field = format!("{name}.type");
        fields.problem(
            &field,
            format!("must be one of: {}", known.join(", ")),
            "enum",
        );
    }
}

/// Reads the tools: functions, and texts by a grammar. Tools that a provider runs by itself have
/// prices of their own, and no request limits how often they run.
fn read_tools(fields: &mut Fields<'_>, raw: &RawValue, ask: &mut Ask) {
    ask.content.add_schema(raw.get());
    let tools = serde_json::from_str::<Vec<&RawValue>>(raw.get()).unwrap_or_default();
    ask.content.add_tools(tools.len());
    for (index, raw) in tools.into_iter().enumerate() {
        let Some(mut tool) =
            Fields::of_nested(raw, vec!["body".into(), "tools".into(), index.into()])
        else {
            continue;
        };
        let kind = tool.raw("type");
        let kind = kind.and_then(|raw| serde_json::from_str::<String>(raw.get()).ok());
        let inner: &[&str] = match kind.as_deref() {
            Some("function") => FUNCTION_MEMBERS,
            Some("custom") => &["name", "description", "format"],
            _ => {
                let message = "must be function or custom: tools that the provider runs have \
                               prices that are not held; declare a function and carry it out \
                               yourself";
                tool.problem("type", message, "enum");
                fields.absorb(tool.into_problems());
                continue;
            }
        };
        let kind = kind.unwrap_or_default();
        let known: &[&str] = &["type", "cache_control"];
        let place = Place {
            field: format!("tools[{index}]"),
            name: "tools".to_owned(),
        };
        note_unknown(&mut tool, &[known, &[kind.as_str()]], &place, ask);
        if let Some(raw) = tool.raw("cache_control") {
            check_cache_control(raw, &format!("tools[{index}].cache_control"), ask);
        }
        if let Some(mut object) = tool
            .raw(&kind)
            .and_then(|raw| Fields::of_nested(raw, Vec::new()))
        {
            let place = Place {
                field: format!("tools[{index}].{kind}"),
                name: format!("tools.{kind}"),
            };
            note_unknown(&mut object, &[inner], &place, ask);
            tool.absorb(object.into_problems());
        }
        fields.absorb(tool.into_problems());
    }
}

/// How many texts are to be turned into vectors. A list of numbers is one text, as tokens.
fn inputs_of(raw: &RawValue) -> usize {
    let items = serde_json::from_str::<Vec<&RawValue>>(raw.get()).unwrap_or_default();
    let is_token = |item: &&RawValue| item.get().starts_with(|c: char| c.is_ascii_digit());
    if items.iter().all(is_token) {
        1
    } else {
        items.len()
    }
}

/// Checks that what is to be turned into vectors is text or tokens: objects may be images.
fn check_input(fields: &mut Fields<'_>, raw: &RawValue) {
    let items = serde_json::from_str::<Vec<&RawValue>>(raw.get()).unwrap_or_default();
    let is_text = |item: &&RawValue| {
        let json = item.get();
        json.starts_with('"')
            || json.bytes().all(|byte| byte.is_ascii_digit())
            || serde_json::from_str::<Vec<u32>>(json).is_ok()
    };
    if !items.iter().all(is_text) {
        let message = "must be a string, a list of strings, or tokens as whole numbers";
        fields.problem("input", message, "string_type");
    }
}
