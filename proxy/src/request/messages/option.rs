//! What else a request asks for.

use super::object::Object;
use crate::conversation::{Effort, Format, Thinking};

/// The least that the API lets a model think, in tokens.
const BUDGET_TOKENS_MIN: i64 = 1_024;

/// The longest name of an end user, in characters.
const USER_LENGTH_MAX: usize = 1_024;

/// What a schema is called where it must have a name.
const SCHEMA_NAME: &str = "answer";

/// Which capacity of one provider serves a request has no effect on the answer.
pub(super) fn check_service_tier(object: &mut Object<'_>) {
    let tier = object.optional_text("service_tier");
    if tier.is_some_and(|tier| tier != "auto" && tier != "standard_only") {
        let message = "must be auto or standard_only";
        object.fields.problem("service_tier", message, "enum");
    }
    object.only_if("speed", &"standard".into(), "leave it out");
}

/// Reads the texts that end the answer.
pub(super) fn stop_sequences(object: &mut Object<'_>) -> Vec<String> {
    let list = object.list("stop_sequences").unwrap_or_default();
    let texts = list.into_iter().map(|raw| {
        let text = serde_json::from_str::<String>(raw.get()).ok();
        text.filter(|text| !text.is_empty())
    });
    let texts: Option<Vec<String>> = texts.collect();
    if texts.is_none() {
        let message = "must have only strings that are not empty";
        object
            .fields
            .problem("stop_sequences", message, "string_type");
    }
    texts.unwrap_or_default()
}

/// Reads the caller's own name of its end user.
pub(super) fn user(object: &mut Object<'_>) -> Option<String> {
    object.member("metadata", |metadata| {
        metadata.only(&["user_id"]);
        metadata.fields.optional_text("user_id", USER_LENGTH_MAX)
    })
}

/// Reads how much the model should think.
pub(super) fn thinking(object: &mut Object<'_>, max_tokens: Option<i64>) -> Option<Thinking> {
    object.member("thinking", |thinking| {
        let kind = thinking.text("type")?;
        let known: &[&str] = match kind.as_ref() {
            "enabled" => &["type", "budget_tokens", "display"],
            "adaptive" => &["type", "display"],
            _ => &["type"],
        };
        thinking.only(known);
        thinking.only_if("display", &"summarized".into(), "leave it out");
        match kind.as_ref() {
            "enabled" => budget(thinking, max_tokens),
            "adaptive" => Some(Thinking::Adaptive),
            "disabled" => Some(Thinking::Off),
            _ => {
                let message = "must be enabled, adaptive or disabled";
                thinking.fields.problem("type", message, "enum");
                None
            }
        }
    })
}

fn budget(thinking: &mut Object<'_>, max_tokens: Option<i64>) -> Option<Thinking> {
    let tokens = thinking.required_integer("budget_tokens", BUDGET_TOKENS_MIN)?;
    if max_tokens.is_some_and(|max_tokens| tokens >= max_tokens) {
        let message = "must be less than max_tokens, which has to suffice for the answer too";
        thinking
            .fields
            .problem("budget_tokens", message, "less_than");
    }
    Some(Thinking::Budget(tokens))
}

/// Reads `output_config`: how much the model should think, and what the answer must look like.
pub(super) fn output_config<'a>(
    object: &mut Object<'a>,
    thinking: Option<Thinking>,
) -> (Option<Thinking>, Option<Format<'a>>) {
    let config = object.member("output_config", |config| {
        config.only(&["effort", "format"]);
        Some((effort(config, thinking), config.member("format", format)))
    });
    config.unwrap_or((thinking, None))
}

/// An effort is told where a model decides by itself how much to think. A high one is what models
/// make anyway.
fn effort(config: &mut Object<'_>, thinking: Option<Thinking>) -> Option<Thinking> {
    let Some(word) = config.optional_text("effort") else {
        return thinking;
    };
    let effort = match word.as_ref() {
        "low" => Effort::Low,
        "medium" => Effort::Medium,
        "high" => Effort::High,
        _ => {
            let message = "must be low, medium or high";
            config.fields.problem("effort", message, "enum");
            return thinking;
        }
    };
    match thinking {
        Some(Thinking::Adaptive) => Some(Thinking::Effort(effort)),
        _ if effort == Effort::High => thinking,
        _ => {
            let message = "needs thinking of the type adaptive; without it, leave effort out";
            config.fields.problem("effort", message, "value_error");
            thinking
        }
    }
}

/// Reads `output_format`, the older place of `output_config.format`.
pub(super) fn output_format<'a>(
    object: &mut Object<'a>,
    configured: Option<Format<'a>>,
) -> Format<'a> {
    if configured.is_some() && object.fields.raw("output_format").is_some() {
        let message = "must not be given together with output_config.format; leave it out";
        object
            .fields
            .problem("output_format", message, "value_error");
    }
    let older = object.member("output_format", format);
    configured.or(older).unwrap_or_default()
}

fn format<'a>(format: &mut Object<'a>) -> Option<Format<'a>> {
    format.only(&["type", "schema"]);
    if format.text("type")? != "json_schema" {
        format.fields.problem("type", "must be json_schema", "enum");
    }
    Some(Format::Schema {
        name: SCHEMA_NAME.into(),
        schema: format.json_object("schema")?,
        strict: true,
    })
}
