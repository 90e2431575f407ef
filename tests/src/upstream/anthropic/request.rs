//! What Anthropic refuses. A translation that it would refuse must not pass a test.

use axum::http::HeaderMap;
use serde_json::{Map, Value};

type Checked = Result<(), (u16, String)>;

const FIELDS: [&str; 23] = [
    "model",
    "messages",
    "max_tokens",
    "system",
    "temperature",
    "top_p",
    "top_k",
    "stop_sequences",
    "stream",
    "metadata",
    "tools",
    "tool_choice",
    "thinking",
    "service_tier",
    "container",
    "context_management",
    "mcp_servers",
    "output_config",
    "output_format",
    "cache_control",
    "diagnostics",
    "inference_geo",
    "speed",
];

const IMAGES: [&str; 4] = ["image/jpeg", "image/png", "image/gif", "image/webp"];

/// Fails with the status and the message of the refusal.
pub(in super::super) fn check(headers: &HeaderMap, body: &Value) -> Checked {
    if headers.get("x-api-key").is_none() {
        return Err((401, "x-api-key header is required".to_owned()));
    }
    if headers
        .get("anthropic-version")
        .is_none_or(|v| v != "2023-06-01")
    {
        return refuse("anthropic-version: header is required");
    }
    let Some(fields) = body.as_object() else {
        return refuse("the request is not an object");
    };
    if let Some(unknown) = fields.keys().find(|name| !FIELDS.contains(&name.as_str())) {
        return refuse(&format!("{unknown}: Extra inputs are not permitted"));
    }
    require(body["model"].is_string(), "model: Field required")?;
    let max_tokens = body["max_tokens"].as_u64().unwrap_or_default();
    require(max_tokens > 0, "max_tokens: Field required")?;
    check_system(&body["system"])?;
    check_sampling(fields)?;
    check_thinking(fields, max_tokens)?;
    check_tools(fields)?;
    check_messages(body["messages"].as_array().map_or(&[], Vec::as_slice))
}

fn refuse(message: &str) -> Checked {
    Err((400, message.to_owned()))
}

fn require(holds: bool, message: &str) -> Checked {
    if holds { Ok(()) } else { refuse(message) }
}

fn check_system(system: &Value) -> Checked {
    match system {
        Value::Null => Ok(()),
        Value::String(text) => require(!text.is_empty(), "system: must not be empty"),
        Value::Array(blocks) => {
            let is_text = |block: &Value| block["type"] == "text" && has_text(&block["text"]);
            let all = blocks.iter().all(is_text);
            require(all, "system: text content blocks must be non-empty")
        }
        _ => refuse("system: Input should be a valid string"),
    }
}

fn has_text(value: &Value) -> bool {
    value.as_str().is_some_and(|text| !text.is_empty())
}

fn check_sampling(fields: &Map<String, Value>) -> Checked {
    for name in ["temperature", "top_p"] {
        if let Some(value) = fields.get(name) {
            let inside = value.as_f64().is_some_and(|x| (0.0..=1.0).contains(&x));
            require(inside, &format!("{name}: range: 0..1"))?;
        }
    }
    let both = fields.contains_key("temperature") && fields.contains_key("top_p");
    require(
        !both,
        "`temperature` and `top_p` cannot both be specified for this model",
    )?;
    if let Some(stops) = fields.get("stop_sequences") {
        let is_visible = |stop: &Value| stop.as_str().is_some_and(|s| !s.trim().is_empty());
        let visible = stops.as_array().is_some_and(|s| s.iter().all(is_visible));
        require(
            visible,
            "stop_sequences: each stop sequence must contain non-whitespace",
        )?;
    }
    if let Some(metadata) = fields.get("metadata") {
        let mut names = metadata.as_object().into_iter().flat_map(Map::keys);
        require(
            names.all(|name| name == "user_id"),
            "metadata: Extra inputs are not permitted",
        )?;
    }
    Ok(())
}

fn check_thinking(fields: &Map<String, Value>, max_tokens: u64) -> Checked {
    let Some(thinking) = fields.get("thinking") else {
        return Ok(());
    };
    if thinking["type"] != "enabled" {
        let known = ["disabled", "adaptive"]
            .iter()
            .any(|word| thinking["type"] == *word);
        return require(
            known,
            "thinking.type: Input should be 'enabled' or 'disabled'",
        );
    }
    let budget = thinking["budget_tokens"].as_u64().unwrap_or_default();
    require(
        (1_024..max_tokens).contains(&budget),
        "thinking.budget_tokens: at least 1024 and less than max_tokens",
    )?;
    let warm = fields
        .get("temperature")
        .is_none_or(|t| t.as_f64() == Some(1.0));
    require(
        warm,
        "`temperature` may only be set to 1 when thinking is enabled",
    )?;
    let forced = fields
        .get("tool_choice")
        .is_some_and(|choice| ["any", "tool"].iter().any(|word| choice["type"] == *word));
    require(
        !forced,
        "Thinking may not be enabled when tool_choice forces tool use.",
    )
}

fn check_tools(fields: &Map<String, Value>) -> Checked {
    let tools = fields.get("tools").and_then(Value::as_array);
    for (index, tool) in tools.into_iter().flatten().enumerate() {
        // The tools that run at the provider are named with a date.
        if tool["type"]
            .as_str()
            .is_some_and(|kind| kind.contains("_20"))
        {
            continue;
        }
        let place = format!("tools.{index}");
        require(
            is_name(&tool["name"]),
            &format!("{place}.custom.name: not a name"),
        )?;
        require(
            tool["input_schema"]["type"] == "object",
            &format!("{place}.custom.input_schema.type: Field required"),
        )?;
        let strange = tool.get("function").or_else(|| tool.get("parameters"));
        require(
            strange.is_none(),
            &format!("{place}.custom: Extra inputs are not permitted"),
        )?;
    }
    let Some(choice) = fields.get("tool_choice") else {
        return Ok(());
    };
    require(tools.is_some(), "tool_choice: may only be used with tools")?;
    match choice["type"].as_str() {
        Some("auto" | "any" | "none") => Ok(()),
        Some("tool") => {
            let mut tools = tools.into_iter().flatten();
            let there = tools.any(|tool| tool["name"] == choice["name"]);
            require(there, "tool_choice: the tool was not found in `tools`")
        }
        _ => refuse("tool_choice: Input should be a valid dictionary with a type"),
    }
}

fn is_name(value: &Value) -> bool {
    let name = value.as_str().unwrap_or_default();
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    !name.is_empty() && name.len() <= 128 && name.chars().all(fits)
}

fn check_messages(messages: &[Value]) -> Checked {
    require(
        !messages.is_empty(),
        "messages: at least one message is required",
    )?;
    for (index, message) in messages.iter().enumerate() {
        let place = format!("messages.{index}");
        let role = message["role"].as_str().unwrap_or_default();
        require(
            ["user", "assistant"].contains(&role),
            &format!("{place}.role: Input should be 'user' or 'assistant'"),
        )?;
        match &message["content"] {
            Value::String(text) => {
                require(
                    !text.is_empty(),
                    &format!("{place}: must have non-empty content"),
                )?;
            }
            Value::Array(blocks) if !blocks.is_empty() => {
                for (at, block) in blocks.iter().enumerate() {
                    check_block(block, role, &format!("{place}.content.{at}"))?;
                }
            }
            _ => return refuse(&format!("{place}: must have non-empty content")),
        }
    }
    check_turns(messages)
}

fn check_block(block: &Value, role: &str, place: &str) -> Checked {
    let holds = match block["type"].as_str().unwrap_or_default() {
        "text" => has_text(&block["text"]),
        "image" | "document" => role == "user" && is_source(&block["source"]),
        "tool_use" => {
            role == "assistant"
                && is_name(&block["id"])
                && is_name(&block["name"])
                && block["input"].is_object()
        }
        "tool_result" => role == "user" && is_name(&block["tool_use_id"]),
        "thinking" => role == "assistant" && has_text(&block["signature"]),
        "redacted_thinking" => role == "assistant" && has_text(&block["data"]),
        "server_tool_use" => role == "assistant",
        "search_result" | "container_upload" => role == "user",
        kind if kind.ends_with("_tool_result") => true,
        _ => false,
    };
    require(
        holds,
        &format!("{place}: not a block of {role}: {}", block["type"]),
    )
}

fn is_source(source: &Value) -> bool {
    match source["type"].as_str() {
        Some("base64") => {
            let kind = source["media_type"].as_str().unwrap_or_default();
            (IMAGES.contains(&kind) || kind == "application/pdf") && has_text(&source["data"])
        }
        Some("url") => has_text(&source["url"]),
        Some("text") => has_text(&source["data"]),
        Some("file") => has_text(&source["file_id"]),
        _ => false,
    }
}

/// Each use of a tool is followed by its result, and each result follows its use.
fn check_turns(messages: &[Value]) -> Checked {
    let mut open: Vec<&Value> = Vec::new();
    for turn in messages.chunk_by(|a, b| a["role"] == b["role"]) {
        let blocks = turn
            .iter()
            .filter_map(|message| message["content"].as_array());
        let blocks: Vec<&Value> = blocks.flatten().collect();
        let of = |kind: &str, id: &str| -> Vec<&Value> {
            let found = blocks.iter().filter(|block| block["type"] == kind);
            found.map(|block| &block[id]).collect()
        };
        let results = of("tool_result", "tool_use_id");
        let first = blocks
            .iter()
            .take_while(|block| block["type"] == "tool_result");
        require(
            first.count() == results.len(),
            "tool_result blocks must come before other content",
        )?;
        require(
            results.iter().all(|id| open.contains(id)),
            "unexpected `tool_use_id` found in `tool_result` blocks",
        )?;
        require(
            open.iter().all(|id| results.contains(id)),
            "`tool_use` ids were found without `tool_result` blocks immediately after",
        )?;
        open = of("tool_use", "id");
    }
    require(
        open.is_empty(),
        "`tool_use` ids were found without `tool_result` blocks immediately after",
    )
}
