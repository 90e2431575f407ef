//! How much a request in OpenAI's dialect wants the model to think, by the fields of all servers
//! that speak it.
//!
//! Servers differ in what they count as part of the answer's limit. A budget of thoughts is held
//! beside the limit, and thoughts that are asked for without a budget as long as the model's
//! longest answer. An effort is a share of the limit.

use serde_json::Value;
use serde_json::value::RawValue;

use crate::fields::Fields;

/// The field in which servers that have `enable_thinking` take a budget.
pub(crate) const BUDGET: &str = "thinking_budget";

/// The largest budget that all of those servers take, in tokens.
const BUDGET_SENT_MAX: i64 = 32_768;

const BUDGET_FORM: &str = "must be a whole number";

/// How much a request wants the model to think.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Thoughts {
    /// The largest budget that any field names, in tokens.
    budget: i64,
    /// The largest of those that most servers count as part of the answer.
    within: i64,
    /// Asked for by `enable_thinking`.
    is_enabled: bool,
    /// `thinking_budget` names a budget.
    has_budget: bool,
    /// Asked for by another field without a budget.
    is_open: bool,
}

impl Thoughts {
    /// Whether any field asks for thoughts.
    pub(crate) const fn are_wanted(&self) -> bool {
        self.budget > 0 || self.is_enabled || self.is_open
    }

    /// Tokens of thoughts that must leave room for words within an answer.
    pub(crate) const fn within_limit(&self) -> i64 {
        self.within
    }

    /// Tokens of thoughts that a server may bill beside the limit of an answer; `longest` are those
    /// of the model's longest answer.
    pub(crate) fn beside_limit(&self, longest: i64) -> i64 {
        if self.is_open {
            return self.budget.max(longest);
        }
        let sent = self.budget_to_send(longest);
        self.budget.max(sent.unwrap_or_default())
    }

    /// The budget that is sent because the request names none.
    pub(crate) fn budget_to_send(&self, longest: i64) -> Option<i64> {
        let needs_budget = self.is_enabled && !self.has_budget;
        needs_budget.then(|| longest.min(BUDGET_SENT_MAX))
    }

    /// Notes a budget. A negative one leaves the length to the model.
    fn add_budget(&mut self, tokens: i64) {
        self.budget = self.budget.max(tokens);
        self.is_open |= tokens < 0;
    }
}

/// Reads what a field says of thoughts, if it does.
pub(super) fn read(fields: &mut Fields<'_>, name: &str, raw: &RawValue, thoughts: &mut Thoughts) {
    match name {
        BUDGET | "thinking_token_budget" => match whole_number(raw) {
            Some(tokens) => {
                thoughts.has_budget |= name == BUDGET;
                thoughts.add_budget(tokens);
            }
            None => fields.problem(name, BUDGET_FORM, "int_type"),
        },
        "enable_thinking" => {
            thoughts.is_enabled |= fields.optional_flag(name).unwrap_or_default();
        }
        // Where an effort is a number, that is a budget.
        "reasoning_effort" => {
            if let Some(tokens) = whole_number(raw) {
                thoughts.add_budget(tokens);
            }
        }
        "think" => thoughts.is_open |= !matches!(raw.get(), "false" | "\"none\""),
        "thinking" | "reasoning" => read_object(fields, name, raw, thoughts),
        "chat_template_kwargs" => read_template(fields, name, raw, thoughts),
        _ => {}
    }
}

fn whole_number(raw: &RawValue) -> Option<i64> {
    serde_json::from_str(raw.get()).ok()
}

/// Opens an object in a field; it must be one.
fn object<'a>(fields: &mut Fields<'_>, name: &str, raw: &'a RawValue) -> Option<Fields<'a>> {
    let inner = Fields::of_nested(raw, vec!["body".into(), name.into()]);
    if inner.is_none() {
        fields.problem(name, "must be an object", "dict_type");
    }
    inner
}

/// Reads `thinking`, as Anthropic has it, and `reasoning`, as `OpenRouter` has it.
fn read_object(fields: &mut Fields<'_>, name: &str, raw: &RawValue, thoughts: &mut Thoughts) {
    let Some(mut inner) = object(fields, name, raw) else {
        return;
    };
    let mut has_budget = false;
    for member in ["budget_tokens", "max_tokens", BUDGET] {
        let Some(raw) = inner.raw(member) else {
            continue;
        };
        match whole_number(raw) {
            Some(tokens) => {
                has_budget = true;
                thoughts.add_budget(tokens);
                thoughts.within = thoughts.within.max(tokens);
            }
            None => inner.problem(member, BUDGET_FORM, "int_type"),
        }
    }
    let asks = inner
        .raw("type")
        .is_some_and(|raw| raw.get() != "\"disabled\"")
        || inner.raw("enabled").is_some_and(|raw| raw.get() != "false");
    thoughts.is_open |= asks && !has_budget;
    fields.absorb(inner.into_problems());
}

/// What members that say something else of thoughts begin with.
const NO_SWITCHES: [&str; 6] = ["clear", "preserve", "keep", "strip", "truncate", "separate"];

/// Reads the variables of a template: all whose names tell of thoughts.
fn read_template(fields: &mut Fields<'_>, name: &str, raw: &RawValue, thoughts: &mut Thoughts) {
    let Some(inner) = object(fields, name, raw) else {
        return;
    };
    let (mut has_budget, mut asks) = (false, false);
    for (member, raw) in inner.all() {
        let member = member.to_ascii_lowercase();
        let is_of_thoughts = ["think", "reason"].iter().any(|word| member.contains(word));
        if !is_of_thoughts || NO_SWITCHES.iter().any(|start| member.starts_with(start)) {
            continue;
        }
        match serde_json::from_str(raw.get()) {
            Ok(Value::Number(number)) => {
                has_budget = true;
                thoughts.add_budget(number.as_i64().unwrap_or(-1));
            }
            // An effort is a share of the limit.
            Ok(Value::String(_)) if member.contains("effort") => {}
            Ok(Value::Bool(false) | Value::Null) => {}
            _ => asks = true,
        }
    }
    thoughts.is_open |= asks && !has_budget;
    fields.absorb(inner.into_problems());
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const LONGEST: i64 = 4_096;

    /// What is held beside the limit, what is held within it, and the budget that is sent.
    fn read_all(body: &Value) -> Result<(i64, i64, Option<i64>), String> {
        let text = body.to_string();
        let mut fields = Fields::of_body(text.as_bytes()).unwrap();
        let mut thoughts = Thoughts::default();
        let all: Vec<_> = fields.all().collect();
        for (name, raw) in all {
            read(&mut fields, &name, raw, &mut thoughts);
        }
        let detail = |error: crate::error::ApiError| error.body()["detail"].to_string();
        fields.finish().map_err(detail)?;
        Ok((
            thoughts.beside_limit(LONGEST),
            thoughts.within_limit(),
            thoughts.budget_to_send(LONGEST),
        ))
    }

    #[test]
    fn budgets_are_held_beside_the_limit() {
        for (body, beside, within) in [
            (json!({}), 0, 0),
            (json!({ "thinking_budget": 30_000 }), 30_000, 0),
            (json!({ "thinking_token_budget": 500 }), 500, 0),
            (
                json!({ "enable_thinking": true, "thinking_budget": 0 }),
                0,
                0,
            ),
            (
                json!({ "enable_thinking": true, "thinking_budget": 9 }),
                9,
                0,
            ),
            (
                json!({ "thinking": { "type": "enabled", "budget_tokens": 7 } }),
                7,
                7,
            ),
            (json!({ "reasoning": { "max_tokens": 50 } }), 50, 50),
            (json!({ "reasoning_effort": 800 }), 800, 0),
            (
                json!({ "chat_template_kwargs": { "thinking_budget": 60 } }),
                60,
                0,
            ),
        ] {
            assert_eq!(read_all(&body), Ok((beside, within, None)), "{body}");
        }
    }

    #[test]
    fn thoughts_without_a_budget_are_held_at_the_longest() {
        for body in [
            json!({ "thinking_budget": -1 }),
            json!({ "think": true }),
            json!({ "thinking": { "type": "enabled" } }),
            json!({ "thinking": { "type": "adaptive" } }),
            json!({ "reasoning": { "enabled": true } }),
            json!({ "chat_template_kwargs": { "enable_thinking": true } }),
            json!({ "chat_template_kwargs": { "thinking": "on" } }),
            // A budget in one server's field limits no other server's thoughts.
            json!({ "think": true, "thinking_budget": 9 }),
        ] {
            assert_eq!(read_all(&body), Ok((LONGEST, 0, None)), "{body}");
        }
        let alone = json!({ "enable_thinking": true, "thinking_token_budget": 5 });
        assert_eq!(read_all(&alone), Ok((LONGEST, 0, Some(LONGEST))));
    }

    #[test]
    fn what_asks_for_no_thoughts_is_not_held_for() {
        for body in [
            json!({ "enable_thinking": false }),
            json!({ "think": false }),
            json!({ "thinking": { "type": "disabled" } }),
            json!({ "reasoning": { "effort": "high" } }),
            json!({ "reasoning_effort": "high" }),
            json!({ "chat_template_kwargs": { "enable_thinking": false } }),
            json!({ "chat_template_kwargs": { "clear_thinking": true } }),
            json!({ "chat_template_kwargs": { "reasoning_effort": "low" } }),
        ] {
            assert_eq!(read_all(&body), Ok((0, 0, None)), "{body}");
        }
    }

    #[test]
    fn what_a_server_may_read_as_a_budget_is_refused_by_its_name() {
        for (body, field) in [
            (json!({ "thinking_budget": "30000" }), "thinking_budget"),
            (json!({ "thinking_budget": 3e4 }), "thinking_budget"),
            (json!({ "enable_thinking": "true" }), "enable_thinking"),
            (json!({ "enable_thinking": 1 }), "enable_thinking"),
            (json!({ "thinking": true }), "thinking"),
            (
                json!({ "thinking": { "budget_tokens": "9" } }),
                "thinking.budget_tokens",
            ),
            (
                json!({ "reasoning": { "max_tokens": 1.5 } }),
                "reasoning.max_tokens",
            ),
            (
                json!({ "chat_template_kwargs": "x" }),
                "chat_template_kwargs",
            ),
        ] {
            let refused = read_all(&body).unwrap_err();
            assert!(refused.contains(field), "{body}: {refused}");
        }
        let twice = r#"{"thinking":{"budget_tokens":1,"budget_tokens":30000}}"#;
        let mut fields = Fields::of_body(twice.as_bytes()).unwrap();
        let raw = fields.raw("thinking").unwrap();
        read(&mut fields, "thinking", raw, &mut Thoughts::default());
        assert!(fields.finish().is_err());
    }
}
