//! Requests.

use std::fmt::Write as _;

use super::super::{Encoded, Order};
use super::contents;
use super::json::Writer;
use crate::chat::{Json, Untranslatable};
use crate::conversation::{Conversation, Effort, Format, Part, Thinking, Tool, ToolChoice};

/// The most stop sequences that the API takes.
const STOP_SEQUENCES_MAX: usize = 5;

/// The most answers to one prompt that the API gives.
const CANDIDATES_MAX: i64 = 8;

/// The budget, in tokens, that lets the model think as much as it sees fit.
const BUDGET_ADAPTIVE_TOKENS: i64 = -1;

/// The tokens that an effort stands for. Google's own translation of OpenAI's words has the same:
/// <https://ai.google.dev/gemini-api/docs/openai>.
const fn budget_tokens(effort: Effort) -> i64 {
    match effort {
        Effort::Minimal | Effort::Low => 1_024,
        Effort::Medium => 8_192,
        Effort::High => 24_576,
    }
}

/// Writes the provider's request.
///
/// `user` is left out: it only names the caller's end user to whoever looks for abuse, and the API
/// has no field for it.
pub(crate) fn encode(
    conversation: &Conversation<'_>,
    order: Order<'_>,
) -> Result<Encoded, Untranslatable> {
    refuse_what_cannot_be_said(conversation)?;
    let mut json = Writer::with_capacity(1_024);
    json.object(|json| {
        write_instructions(json, &conversation.system)?;
        let checks_signatures = checks_signatures(order.upstream_model);
        contents::write(json, &conversation.turns, checks_signatures)?;
        if !conversation.tools.is_empty() {
            write_tools(json, &conversation.tools);
            write_tool_choice(json, conversation);
        }
        json.name("generationConfig").object(|json| {
            write_generation_config(json, conversation, order.output_tokens_max);
        });
        Ok(())
    })?;
    Ok(Encoded {
        endpoint: endpoint(order),
        body: json.into_bytes(),
    })
}

/// Where the model answers. Its name is one segment of the path, whatever is in it.
fn endpoint(order: Order<'_>) -> String {
    let (collection, name) = match order.upstream_model.split_once('/') {
        Some((collection @ ("models" | "tunedModels"), name)) => (collection, name),
        _ => ("models", order.upstream_model),
    };
    let mut endpoint = format!("/{collection}/");
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            endpoint.push(char::from(byte));
        } else {
            // Writing into memory does not fail.
            let _ = write!(endpoint, "%{byte:02X}");
        }
    }
    endpoint.push_str(if order.stream {
        ":streamGenerateContent?alt=sse"
    } else {
        ":generateContent"
    });
    endpoint
}

/// Whether a model refuses calls without a signature, as all do since Gemini 3.
fn checks_signatures(upstream_model: &str) -> bool {
    let name = upstream_model.rsplit('/').next().unwrap_or(upstream_model);
    let version = name.strip_prefix("gemini-");
    version.is_some_and(|version| !["1.", "2."].iter().any(|old| version.starts_with(old)))
}

fn refuse_what_cannot_be_said(conversation: &Conversation<'_>) -> Result<(), Untranslatable> {
    let has_tools = !conversation.tools.is_empty();
    let needs_tools = matches!(
        conversation.tool_choice,
        Some(ToolChoice::Required | ToolChoice::Named(_))
    );
    let is_text = matches!(conversation.format, Format::Text);
    // Where one function alone can be called, calls of several do not come up.
    let is_choice = conversation.tools.len() > 1
        && !matches!(
            conversation.tool_choice,
            Some(ToolChoice::Named(_) | ToolChoice::None)
        );
    let refusals = [
        (
            is_choice && conversation.parallel_tool_calls == Some(false),
            "parallel_tool_calls",
            "cannot be false with several tools for this model's provider; leave it out and carry \
             out the calls one after the other",
        ),
        (
            needs_tools && !has_tools,
            "tool_choice",
            "needs tools; give at least one or leave tool_choice out",
        ),
        (
            has_tools && !is_text,
            "response_format",
            "cannot be given together with tools for this model's provider; leave one of them \
             out, or give a tool that has the schema as its parameters",
        ),
        (
            conversation.stop.len() > STOP_SEQUENCES_MAX,
            "stop",
            "must have at most 5 sequences for this model's provider",
        ),
        (
            conversation.choices.is_some_and(|n| n > CANDIDATES_MAX),
            "n",
            "must be at most 8 for this model's provider",
        ),
    ];
    match refusals.into_iter().find(|(is_refused, _, _)| *is_refused) {
        Some((_, field, message)) => Err(Untranslatable::new(field, message)),
        None => Ok(()),
    }
}

fn write_instructions(json: &mut Writer, system: &[Part<'_>]) -> Result<(), Untranslatable> {
    let mut texts = Vec::with_capacity(system.len());
    for (index, part) in system.iter().enumerate() {
        match part {
            Part::Text { text, .. } if text.is_empty() => {}
            Part::Text { text, .. } => texts.push(text),
            _ => {
                let message = "must be text: this model's provider takes no other instructions";
                return Err(Untranslatable::new(format!("system[{index}]"), message));
            }
        }
    }
    if !texts.is_empty() {
        json.name("systemInstruction").object(|json| {
            json.name("parts").list(|json| {
                for text in texts {
                    json.object(|json| json.name("text").text(text));
                }
            });
        });
    }
    Ok(())
}

fn write_tools(json: &mut Writer, tools: &[Tool<'_>]) {
    json.name("tools").list(|json| {
        json.object(|json| {
            json.name("functionDeclarations").list(|json| {
                for tool in tools {
                    json.object(|json| write_tool(json, tool));
                }
            });
        });
    });
}

fn write_tool(json: &mut Writer, tool: &Tool<'_>) {
    json.name("name").text(&tool.name);
    if let Some(description) = &tool.description {
        json.name("description").text(description);
    }
    // The other field, `parameters`, knows only a part of JSON Schema.
    if let Some(schema) = &tool.parameters {
        json.name("parametersJsonSchema").raw(schema);
    }
}

fn write_tool_choice(json: &mut Writer, conversation: &Conversation<'_>) {
    // The API has no word for a single tool. In this mode all arguments follow their schemas, as
    // they do wherever a tool must be asked for.
    let is_strict = conversation.tools.iter().any(|t| t.strict == Some(true));
    let mode = match conversation.tool_choice {
        None | Some(ToolChoice::Auto) if is_strict => "VALIDATED",
        None => return,
        Some(ToolChoice::Auto) => "AUTO",
        Some(ToolChoice::None) => "NONE",
        Some(ToolChoice::Required | ToolChoice::Named(_)) => "ANY",
    };
    json.name("toolConfig").object(|json| {
        json.name("functionCallingConfig").object(|json| {
            json.name("mode").text(mode);
            if let Some(ToolChoice::Named(name)) = &conversation.tool_choice {
                json.name("allowedFunctionNames")
                    .list(|json| json.text(name));
            }
        });
    });
}

fn write_generation_config(
    json: &mut Writer,
    conversation: &Conversation<'_>,
    output_tokens_max: Option<i64>,
) {
    if let Some(tokens) = output_tokens_max {
        json.name("maxOutputTokens").integer(tokens);
    }
    let numbers: [(_, &Option<Json<'_>>); 6] = [
        ("temperature", &conversation.temperature),
        ("topP", &conversation.top_p),
        ("topK", &conversation.top_k),
        ("seed", &conversation.seed),
        ("frequencyPenalty", &conversation.frequency_penalty),
        ("presencePenalty", &conversation.presence_penalty),
    ];
    for (name, number) in numbers {
        if let Some(number) = number {
            json.name(name).raw(number);
        }
    }
    if !conversation.stop.is_empty() {
        json.name("stopSequences").list(|json| {
            for sequence in &conversation.stop {
                json.text(sequence);
            }
        });
    }
    if let Some(choices) = conversation.choices.filter(|choices| *choices != 1) {
        json.name("candidateCount").integer(choices);
    }
    write_format(json, &conversation.format);
    if let Some(thinking) = conversation.thinking {
        json.name("thinkingConfig")
            .object(|json| write_thinking(json, thinking));
    }
}

/// Writes the format. The API needs no name of a schema, and always follows it exactly.
fn write_format(json: &mut Writer, format: &Format<'_>) {
    if !matches!(format, Format::Text) {
        json.name("responseMimeType").text("application/json");
    }
    if let Format::Schema { schema, .. } = format {
        json.name("responseJsonSchema").raw(schema);
    }
}

fn write_thinking(json: &mut Writer, thinking: Thinking) {
    let budget_tokens = match thinking {
        Thinking::Off => 0,
        Thinking::Adaptive => BUDGET_ADAPTIVE_TOKENS,
        Thinking::Effort(effort) => budget_tokens(effort),
        Thinking::Budget(tokens) => tokens,
    };
    json.name("thinkingBudget").integer(budget_tokens);
    if thinking != Thinking::Off {
        json.name("includeThoughts").raw("true");
    }
}
