//! Values that fit a JSON schema.

use serde_json::{Map, Value, json};

/// The string where any will do.
const WORD: &str = "Ada";
/// The number where any will do.
const NUMBER: i64 = 36;
/// How deep schemas may refer to themselves.
const DEPTH_MAX: u32 = 16;

/// A value that fits this schema. All properties are there, required or not.
pub(super) fn sample(schema: &Value) -> Value {
    value_of(schema, schema, DEPTH_MAX)
}

fn value_of(schema: &Value, root: &Value, depth: u32) -> Value {
    if depth == 0 {
        return Value::Null;
    }
    if let Some(reference) = schema["$ref"].as_str() {
        let pointed = root.pointer(reference.trim_start_matches('#'));
        let pointed = pointed.expect("the schema refers to something in it");
        return value_of(pointed, root, depth - 1);
    }
    if let Some(value) = schema.get("const") {
        return value.clone();
    }
    if let Some(first) = schema["enum"].get(0) {
        return first.clone();
    }
    for union in ["anyOf", "oneOf", "allOf"] {
        if let Some(first) = schema[union].get(0) {
            return value_of(first, root, depth - 1);
        }
    }
    match type_of(schema).as_str() {
        "object" => object_of(schema, root, depth),
        "array" => json!([value_of(&schema["items"], root, depth - 1)]),
        "integer" => json!(NUMBER),
        "number" => json!(1.5),
        "boolean" => json!(true),
        "null" => Value::Null,
        _ => json!(WORD),
    }
}

/// The type's name in small letters: some dialects write it in large ones.
fn type_of(schema: &Value) -> String {
    let named = schema["type"]
        .as_str()
        .or_else(|| schema["type"][0].as_str());
    match named {
        Some(name) => name.to_lowercase(),
        None if schema["properties"].is_object() => "object".to_owned(),
        None => "string".to_owned(),
    }
}

/// Something to put into an object of which nothing is said.
pub(super) fn person() -> Value {
    json!({ "name": WORD, "age": NUMBER })
}

fn object_of(schema: &Value, root: &Value, depth: u32) -> Value {
    let properties = schema["properties"].as_object();
    let Some(properties) = properties.filter(|properties| !properties.is_empty()) else {
        return person();
    };
    let values = properties.iter().map(|(name, property)| {
        let value = value_of(property, root, depth - 1);
        (name.clone(), value)
    });
    Value::Object(values.collect::<Map<_, _>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_fit_their_schemas() {
        let schema = json!({
            "type": "object",
            "$defs": { "Kind": { "enum": ["a", "b"] } },
            "properties": {
                "kind": { "$ref": "#/$defs/Kind" },
                "tags": { "type": "ARRAY", "items": { "type": "STRING" } },
                "age": { "anyOf": [{ "type": "integer" }, { "type": "null" }] },
            },
        });
        let wanted = json!({ "kind": "a", "tags": [WORD], "age": NUMBER });
        assert_eq!(sample(&schema), wanted);
    }
}
