//! Requests that came in Anthropic's dialect, in OpenAI's. Refusals name the fields as the caller
//! has written them.

use std::io::Write as _;

use super::super::{Encoded, Order};
use super::{ENDPOINT, begin, reasons, write_text};
use crate::chat::Untranslatable;
use crate::conversation::{Conversation, Effort, Format, Thinking, Tool, ToolChoice};

mod messages;
#[cfg(test)]
mod tests;

/// The most texts that may end an answer.
const STOPS_MAX: usize = 4;

/// What the API takes for the arguments of a tool that has none.
const NO_PARAMETERS: &str = "{\"type\":\"object\",\"properties\":{}}";

/// Writes the provider's request.
///
/// A `cache_control` is left out: it is a hint that changes no answer, and this API decides by
/// itself what it remembers.
pub(crate) fn encode(
    conversation: &Conversation<'_>,
    order: Order<'_>,
) -> Result<Encoded, Untranslatable> {
    let mut json = Vec::with_capacity(4_096);
    begin(&mut json, order);
    write_numbers(&mut json, conversation)?;
    write_stop(&mut json, conversation)?;
    write_thinking(&mut json, conversation.thinking, order.upstream_model)?;
    write_format(&mut json, &conversation.format);
    write_tools(&mut json, conversation);
    if let Some(user) = &conversation.user {
        json.extend_from_slice(b",\"user\":");
        write_text(&mut json, user);
    }
    json.extend_from_slice(b",\"messages\":[");
    messages::write(&mut json, conversation)?;
    json.extend_from_slice(b"]}");
    Ok(Encoded {
        endpoint: ENDPOINT.to_owned(),
        body: json.into(),
    })
}

fn write_numbers(
    json: &mut Vec<u8>,
    conversation: &Conversation<'_>,
) -> Result<(), Untranslatable> {
    if conversation.top_k.is_some() {
        let message = "is not known to this model's provider; use top_p, or leave it out";
        return Err(Untranslatable::new("top_k", message));
    }
    for (name, number) in [
        ("temperature", &conversation.temperature),
        ("top_p", &conversation.top_p),
        ("frequency_penalty", &conversation.frequency_penalty),
        ("presence_penalty", &conversation.presence_penalty),
        ("seed", &conversation.seed),
    ] {
        if let Some(number) = number {
            // Writing into memory does not fail.
            let _ = write!(json, ",\"{name}\":{number}");
        }
    }
    if let Some(choices) = conversation.choices {
        let _ = write!(json, ",\"n\":{choices}");
    }
    Ok(())
}

fn write_stop(json: &mut Vec<u8>, conversation: &Conversation<'_>) -> Result<(), Untranslatable> {
    if conversation.stop.len() > STOPS_MAX {
        let message = format!("must have at most {STOPS_MAX} for this model's provider");
        return Err(Untranslatable::new("stop_sequences", message));
    }
    for (place, stop) in conversation.stop.iter().enumerate() {
        json.extend_from_slice(if place == 0 { b",\"stop\":[" } else { b"," });
        write_text(json, stop);
    }
    if !conversation.stop.is_empty() {
        json.push(b']');
    }
    Ok(())
}

/// The API knows efforts, not budgets. Each stands for budgets up to so many tokens; larger ones
/// are a high effort.
const EFFORTS: [(i64, &str); 2] = [(4_096, "low"), (16_384, "medium")];

fn effort_of(budget_tokens: i64) -> &'static str {
    let known = EFFORTS.iter().find(|(most, _)| budget_tokens <= *most);
    known.map_or("high", |(_, effort)| effort)
}

fn write_thinking(
    json: &mut Vec<u8>,
    thinking: Option<Thinking>,
    upstream_model: &str,
) -> Result<(), Untranslatable> {
    let effort = match thinking {
        None | Some(Thinking::Off) => return Ok(()),
        Some(_) if !reasons(upstream_model) => {
            let message = "cannot be asked of this model, which does not reason; leave it out";
            return Err(Untranslatable::new("thinking", message));
        }
        // A model that reasons sees by itself how much is fit.
        Some(Thinking::Adaptive) => return Ok(()),
        Some(Thinking::Budget(tokens)) => effort_of(tokens),
        Some(Thinking::Effort(Effort::Minimal)) => "minimal",
        Some(Thinking::Effort(Effort::Low)) => "low",
        Some(Thinking::Effort(Effort::Medium)) => "medium",
        Some(Thinking::Effort(Effort::High)) => "high",
    };
    let _ = write!(json, ",\"reasoning_effort\":\"{effort}\"");
    Ok(())
}

fn write_format(json: &mut Vec<u8>, format: &Format<'_>) {
    match format {
        Format::Text => {}
        Format::Object => {
            json.extend_from_slice(b",\"response_format\":{\"type\":\"json_object\"}");
        }
        Format::Schema {
            name,
            schema,
            strict,
        } => {
            json.extend_from_slice(
                b",\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":",
            );
            write_text(json, name);
            let _ = write!(json, ",\"schema\":{schema},\"strict\":{strict}}}}}");
        }
    }
}

fn write_tools(json: &mut Vec<u8>, conversation: &Conversation<'_>) {
    for (place, tool) in conversation.tools.iter().enumerate() {
        json.extend_from_slice(if place == 0 { b",\"tools\":[" } else { b"," });
        write_tool(json, tool);
    }
    // What is said of tools means nothing without any, and the API refuses it then.
    if conversation.tools.is_empty() {
        return;
    }
    json.push(b']');
    if let Some(choice) = &conversation.tool_choice {
        json.extend_from_slice(b",\"tool_choice\":");
        match choice {
            ToolChoice::Auto => json.extend_from_slice(b"\"auto\""),
            ToolChoice::None => json.extend_from_slice(b"\"none\""),
            ToolChoice::Required => json.extend_from_slice(b"\"required\""),
            ToolChoice::Named(name) => {
                json.extend_from_slice(b"{\"type\":\"function\",\"function\":{\"name\":");
                write_text(json, name);
                json.extend_from_slice(b"}}");
            }
        }
    }
    if let Some(parallel) = conversation.parallel_tool_calls {
        let _ = write!(json, ",\"parallel_tool_calls\":{parallel}");
    }
}

fn write_tool(json: &mut Vec<u8>, tool: &Tool<'_>) {
    json.extend_from_slice(b"{\"type\":\"function\",\"function\":{\"name\":");
    write_text(json, &tool.name);
    if let Some(description) = &tool.description {
        json.extend_from_slice(b",\"description\":");
        write_text(json, description);
    }
    let parameters = tool.parameters.as_deref().unwrap_or(NO_PARAMETERS);
    let _ = write!(json, ",\"parameters\":{parameters}");
    if let Some(strict) = tool.strict {
        let _ = write!(json, ",\"strict\":{strict}");
    }
    json.extend_from_slice(b"}}");
}
