//! What Gemini refuses. A translation that it would refuse must not pass a test.

use axum::http::HeaderMap;
use serde_json::{Map, Value};

type Checked = Result<(), (u16, String)>;

const FIELDS: [&str; 7] = [
    "contents",
    "tools",
    "toolConfig",
    "safetySettings",
    "systemInstruction",
    "generationConfig",
    "cachedContent",
];

const GENERATION_FIELDS: [&str; 18] = [
    "stopSequences",
    "responseMimeType",
    "responseSchema",
    "responseJsonSchema",
    "responseModalities",
    "candidateCount",
    "maxOutputTokens",
    "temperature",
    "topP",
    "topK",
    "seed",
    "presencePenalty",
    "frequencyPenalty",
    "responseLogprobs",
    "logprobs",
    "thinkingConfig",
    "mediaResolution",
    "imageConfig",
];

/// The part of JSON schema that is known; all of it is known only as `…JsonSchema`.
const SCHEMA_FIELDS: [&str; 22] = [
    "type",
    "format",
    "title",
    "description",
    "nullable",
    "enum",
    "maxItems",
    "minItems",
    "properties",
    "required",
    "minProperties",
    "maxProperties",
    "minLength",
    "maxLength",
    "pattern",
    "example",
    "anyOf",
    "propertyOrdering",
    "default",
    "items",
    "minimum",
    "maximum",
];

const PART_FIELDS: [&str; 8] = [
    "text",
    "inlineData",
    "fileData",
    "functionCall",
    "functionResponse",
    "thought",
    "thoughtSignature",
    "videoMetadata",
];

/// Fails with the status and the message of the refusal.
pub(in super::super) fn check(headers: &HeaderMap, query: &str, body: &Value) -> Checked {
    if query.split('&').any(|pair| pair.starts_with("key=")) {
        return refuse("the key must not be in the URL, where logs show it");
    }
    if headers.get("x-goog-api-key").is_none() {
        let message = "Method doesn't allow unregistered callers.";
        return Err((403, message.to_owned()));
    }
    let Some(fields) = body.as_object() else {
        return refuse("Invalid JSON payload received.");
    };
    known(fields, &FIELDS, "")?;
    if let Some(instruction) = fields.get("systemInstruction") {
        check_parts(instruction, "system_instruction")?;
    }
    check_generation(fields)?;
    check_tools(fields)?;
    check_contents(body["contents"].as_array().map_or(&[], Vec::as_slice))
}

fn refuse(message: &str) -> Checked {
    Err((400, message.to_owned()))
}

fn require(holds: bool, message: &str) -> Checked {
    if holds { Ok(()) } else { refuse(message) }
}

fn known(fields: &Map<String, Value>, names: &[&str], place: &str) -> Checked {
    let unknown = fields.keys().find(|name| !names.contains(&name.as_str()));
    match unknown {
        None => Ok(()),
        Some(name) => refuse(&format!(
            "Invalid JSON payload received. Unknown name \"{name}\" at '{place}': Cannot find field."
        )),
    }
}

fn check_generation(fields: &Map<String, Value>) -> Checked {
    let Some(config) = fields.get("generationConfig").and_then(Value::as_object) else {
        return Ok(());
    };
    known(config, &GENERATION_FIELDS, "generation_config")?;
    if let Some(temperature) = config.get("temperature") {
        let inside = temperature
            .as_f64()
            .is_some_and(|t| (0.0..=2.0).contains(&t));
        require(inside, "temperature must be in the range [0.0, 2.0]")?;
    }
    if let Some(limit) = config.get("maxOutputTokens") {
        let positive = limit.as_u64().is_some_and(|limit| limit > 0);
        require(positive, "max_output_tokens must be positive")?;
    }
    if let Some(stops) = config.get("stopSequences") {
        let few = stops.as_array().is_some_and(|stops| stops.len() <= 5);
        require(few, "at most 5 stop sequences")?;
    }
    let is_json = config
        .get("responseMimeType")
        .is_some_and(|kind| kind == "application/json");
    for name in ["responseSchema", "responseJsonSchema"] {
        let without = config.contains_key(name) && !is_json;
        require(!without, "a response schema needs application/json")?;
    }
    require(
        !(is_json && fields.contains_key("tools")),
        "Function calling with a response mime type: 'application/json' is unsupported",
    )?;
    match config.get("responseSchema") {
        Some(schema) => check_schema(schema, "generation_config.response_schema"),
        None => Ok(()),
    }
}

fn check_schema(schema: &Value, place: &str) -> Checked {
    let Some(fields) = schema.as_object() else {
        return refuse(&format!("Invalid value at '{place}'"));
    };
    known(fields, &SCHEMA_FIELDS, place)?;
    require(
        fields.get("type").is_none_or(Value::is_string),
        &format!("'{place}.type': Proto field is not repeating, cannot start list."),
    )?;
    let properties = fields.get("properties").and_then(Value::as_object);
    let inner = properties.into_iter().flat_map(Map::values);
    let variants = fields.get("anyOf").and_then(Value::as_array);
    let inner = inner.chain(fields.get("items"));
    for schema in inner.chain(variants.into_iter().flatten()) {
        check_schema(schema, place)?;
    }
    Ok(())
}

fn check_tools(fields: &Map<String, Value>) -> Checked {
    let tools = fields.get("tools").and_then(Value::as_array);
    let declarations = tools
        .into_iter()
        .flatten()
        .filter_map(|tool| tool["functionDeclarations"].as_array());
    for function in declarations.flatten() {
        let fields = function.as_object();
        let fields = fields.ok_or_else(|| (400, "a declaration is an object".to_owned()))?;
        let names = [
            "name",
            "description",
            "parameters",
            "parametersJsonSchema",
            "response",
            "responseJsonSchema",
            "behavior",
        ];
        known(fields, &names, "tools[0].function_declarations[0]")?;
        require(is_name(&function["name"]), "Invalid function name.")?;
        if let Some(schema) = fields.get("parameters") {
            check_schema(schema, "tools[0].function_declarations[0].parameters")?;
        }
    }
    let Some(config) = fields.get("toolConfig") else {
        return Ok(());
    };
    let config = &config["functionCallingConfig"];
    let mode = config["mode"].as_str().unwrap_or_default();
    let modes = ["AUTO", "ANY", "NONE", "VALIDATED"];
    require(modes.contains(&mode), "Invalid value at 'tool_config.mode'")?;
    require(
        config.get("allowedFunctionNames").is_none() || matches!(mode, "ANY" | "VALIDATED"),
        "allowed_function_names can only be set when mode is ANY",
    )
}

fn is_name(value: &Value) -> bool {
    let name = value.as_str().unwrap_or_default();
    let fits = |c: char| c.is_ascii_alphanumeric() || "_.:-".contains(c);
    let begins = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    begins && name.len() <= 64 && name.chars().all(fits)
}

fn check_contents(contents: &[Value]) -> Checked {
    require(!contents.is_empty(), "contents is not specified")?;
    let mut calls = 0;
    for (index, content) in contents.iter().enumerate() {
        let is_known = ["user", "model"]
            .iter()
            .any(|role| content["role"] == *role);
        require(is_known, "Please use a valid role: user, model.")?;
        check_parts(content, &format!("contents[{index}]"))?;
        let count = |name: &str| {
            let parts = content["parts"].as_array().into_iter().flatten();
            parts.filter(|part| part.get(name).is_some()).count()
        };
        require(
            count("functionResponse") == calls,
            "Please ensure that the number of function response parts is equal to the number of \
             function call parts of the function call turn.",
        )?;
        calls = count("functionCall");
    }
    Ok(())
}

fn check_parts(content: &Value, place: &str) -> Checked {
    let parts = content["parts"].as_array().map_or(&[][..], Vec::as_slice);
    require(
        !parts.is_empty(),
        &format!("{place}.parts: must not be empty"),
    )?;
    for part in parts {
        let fields = part.as_object();
        let fields = fields.ok_or_else(|| (400, format!("{place}.parts: not an object")))?;
        known(fields, &PART_FIELDS, &format!("{place}.parts"))?;
        let data = PART_FIELDS[..5]
            .iter()
            .filter(|name| fields.contains_key(**name));
        require(
            data.count() == 1,
            &format!("{place}.parts: exactly one of the data fields must be set"),
        )?;
        let holds = fields.get("text").is_none_or(Value::is_string)
            && fields
                .get("inlineData")
                .is_none_or(|data| data["mimeType"].is_string() && data["data"].is_string())
            && fields.get("functionCall").is_none_or(|call| {
                is_name(&call["name"]) && (call["args"].is_object() || call["args"].is_null())
            })
            && fields
                .get("functionResponse")
                .is_none_or(|answer| is_name(&answer["name"]) && answer["response"].is_object());
        require(holds, &format!("Invalid value at '{place}.parts'"))?;
    }
    Ok(())
}
