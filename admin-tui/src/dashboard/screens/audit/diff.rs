//! What a change has changed, in words: each setting with its value before and after.

use serde_json::{Map, Value};
use tollgate_common::money::NanoUsd;

use crate::dashboard::format;

/// One setting: what it is called, and what it was and is. Without a value before, the change has
/// added it; without one after, it has taken it away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Difference {
    pub(super) label: String,
    pub(super) before: Option<String>,
    pub(super) after: Option<String>,
}

/// The settings that a change has set, in the order of their names.
pub(super) fn differences(detail: &Value, before: &Value) -> Vec<Difference> {
    let (after, before) = (flat(detail), flat(before));
    let of = |fields: &[(String, String)], label: &str| {
        let found = fields.iter().find(|(known, _)| known == label);
        found.map(|(_, value)| value.clone())
    };
    let mut labels: Vec<&String> = after
        .iter()
        .chain(&before)
        .map(|(label, _)| label)
        .collect();
    labels.sort_unstable();
    labels.dedup();
    let difference = |label: &String| Difference {
        label: label.clone(),
        before: of(&before, label),
        after: of(&after, label),
    };
    labels.into_iter().map(difference).collect()
}

/// Fields with their paths as labels; what is null says nothing.
fn flat(value: &Value) -> Vec<(String, String)> {
    let mut fields = Vec::new();
    collect("", value, &mut fields);
    fields
}

fn collect(path: &str, value: &Value, fields: &mut Vec<(String, String)>) {
    match value {
        Value::Null => {}
        Value::Object(price) if path == "price" => {
            fields.push((path.to_owned(), price_shown(price)));
        }
        // The reason has a line of its own.
        Value::Object(object) => {
            for (key, value) in object.iter().filter(|(key, _)| *key != "reason") {
                let inner = match (path, key.as_str()) {
                    (_, "settings" | "limits") => path.to_owned(),
                    ("", _) => key.replace('_', " "),
                    _ => format!("{path} {}", key.replace('_', " ")),
                };
                collect(&inner, value, fields);
            }
        }
        other => fields.push((path.to_owned(), shown(other))),
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::Number(number) => match number.as_i64() {
            Some(whole) => format::number(whole),
            None => number.to_string(),
        },
        Value::Array(items) if items.is_empty() => "none".to_owned(),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(shown).collect();
            items.join(", ")
        }
        Value::Object(object) => {
            let parts: Vec<String> = object.values().map(shown).collect();
            parts.join(":")
        }
        Value::Null => "none".to_owned(),
    }
}

/// The unit prices of a model, in dollars per million tokens.
fn price_shown(price: &Map<String, Value>) -> String {
    let of = |name: &str, label: &str| {
        let unit = price.get(name)?.as_i64()?;
        // A nano-dollar per token is a thousandth of a dollar per million tokens.
        let dollars = format::dollars(NanoUsd(unit.saturating_mul(1_000_000)));
        Some(format!("{label} {dollars}"))
    };
    let parts = [
        of("input", "in"),
        of("output", "out"),
        of("cache_read", "cache read"),
        of("cache_write", "cache write"),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    format!("{} per million", parts.join(", "))
}
