//! Reads errors in all shapes in which providers and their frameworks write them.
//!
//! `{"error": {"message", "code", ...}}`, an error that is a text, a message at the top, `detail` as
//! a text or a list, `errors`, a list around any of them, an error as text within another one, and
//! plain text. What decides (codes) is read apart from what is said (the message): a message may
//! quote the caller, codes are the provider's own.

use serde_json::{Map, Value};

use super::retry_after;

/// A longer body is no error that somebody wrote for us.
const BODY_BYTES_MAX: usize = 256 * 1024;

/// How deep errors are looked for within errors.
const DEPTH_MAX: usize = 6;

/// The most codes that are looked at.
const CODES_MAX: usize = 32;

/// What an error says.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct ErrorReport {
    /// Whether the body is an error object.
    pub(super) is_error: bool,
    /// The first text for people.
    pub(super) message: Option<String>,
    /// All words for programs, in lower case: codes, types, reasons.
    pub(super) codes: Vec<String>,
    /// The status that is named within the error.
    pub(super) status: Option<u16>,
    /// The parameter that is wrong.
    pub(super) param: Option<String>,
    /// How long to wait, if the body says so.
    pub(super) retry_after: Option<std::time::Duration>,
    /// Whether a filter has refused what the caller wrote.
    pub(super) is_flagged: bool,
    /// Whether the body is no JSON, but a page or nothing.
    pub(super) is_page: bool,
}

impl ErrorReport {
    /// Reads a body.
    pub(super) fn read(body: &[u8]) -> Self {
        let mut report = Self::default();
        let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
        if body.len() > BODY_BYTES_MAX {
            report.is_page = true;
            return report;
        }
        match serde_json::from_slice::<Value>(body) {
            Ok(value) => report.take_top(&value),
            Err(_) => report.take_text(&String::from_utf8_lossy(body)),
        }
        let message = report.message.as_deref().unwrap_or_default();
        report.retry_after = report.retry_after.or_else(|| retry_after::in_text(message));
        report
    }

    /// Whether one of these words for programs was said.
    pub(super) fn has_code(&self, words: &[&str]) -> bool {
        self.codes.iter().any(|code| words.contains(&code.as_str()))
    }

    fn take_text(&mut self, text: &str) {
        let text = text.trim();
        self.is_page = text.is_empty() || text.starts_with('<');
        if !self.is_page {
            self.message = Some(text.to_owned());
        }
    }

    fn take_top(&mut self, value: &Value) {
        let mut value = value;
        let mut depth = 0;
        while let (Value::Array(items), true) = (value, depth < DEPTH_MAX) {
            let Some(first) = items.first() else { return };
            value = first;
            depth += 1;
        }
        if let Value::Object(object) = value {
            let is_named_error = |name: &str| object.get(name).is_some_and(|v| v == "error");
            let is_present =
                |name: &str| object.get(name).is_some_and(|v| !v.is_null() && v != false);
            self.is_error = is_present("error")
                || is_present("errors")
                || is_named_error("object")
                || is_named_error("type");
        }
        self.take(value, depth);
    }

    /// Takes what a value says, the outermost first.
    fn take(&mut self, value: &Value, depth: usize) {
        if depth > DEPTH_MAX {
            return;
        }
        match value {
            Value::String(text) => self.take_message(text, depth),
            Value::Array(items) => {
                for item in items.iter().take(CODES_MAX) {
                    self.take(item, depth + 1);
                }
            }
            Value::Object(object) => self.take_object(object, depth),
            _ => {}
        }
    }

    fn take_object(&mut self, object: &Map<String, Value>, depth: usize) {
        for name in ["code", "type", "status", "reason"] {
            match object.get(name) {
                Some(Value::String(text)) => self.add_code(text),
                Some(Value::Number(number)) => self.take_status(number.as_u64()),
                _ => {}
            }
        }
        // What is inside says more than what is around it.
        for name in [
            "error",
            "message",
            "msg",
            "detail",
            "errors",
            "error_message",
        ] {
            if let Some(inner) = object.get(name) {
                self.take(inner, depth + 1);
            }
        }
        for name in ["details", "innererror", "metadata"] {
            if let Some(inner) = object.get(name).filter(|inner| !inner.is_string()) {
                self.take_details(inner, depth + 1);
            }
        }
        if self.param.is_none() {
            self.param = param_of(object);
        }
    }

    /// Takes codes, but no words: details repeat and explain.
    fn take_details(&mut self, value: &Value, depth: usize) {
        if depth > DEPTH_MAX {
            return;
        }
        match value {
            Value::Array(items) => {
                for item in items.iter().take(CODES_MAX) {
                    self.take_details(item, depth + 1);
                }
            }
            Value::Object(object) => {
                for name in ["code", "reason"] {
                    if let Some(Value::String(text)) = object.get(name) {
                        self.add_code(text);
                    }
                }
                self.is_flagged |= object.contains_key("flagged_input");
                if let Some(Value::String(delay)) = object.get("retryDelay") {
                    self.retry_after = retry_after::duration(delay).or(self.retry_after);
                }
                // A gateway quotes the error of the provider behind it.
                if let Some(Value::String(raw)) = object.get("raw")
                    && let Ok(inner @ Value::Object(_)) = serde_json::from_str::<Value>(raw)
                {
                    self.message = None;
                    self.take(&inner, depth + 1);
                }
            }
            _ => {}
        }
    }

    fn take_message(&mut self, text: &str, depth: usize) {
        let text = text.trim();
        if text.is_empty() || self.message.is_some() {
            return;
        }
        // An error that was written into the text of another one. Only its words are taken: what
        // stands in a message may be quoted from the caller.
        let inner = serde_json::from_str::<Value>(text).ok();
        if let Some(inner @ Value::Object(_)) = inner
            && text.starts_with('{')
        {
            let mut quoted = Self::default();
            quoted.take(&inner, depth + 1);
            self.message = quoted.message;
        }
        self.message.get_or_insert_with(|| text.to_owned());
    }

    fn take_status(&mut self, number: Option<u64>) {
        let status = number.and_then(|number| u16::try_from(number).ok());
        let status = status.filter(|status| (400..600).contains(status));
        self.status = self.status.or(status);
    }

    fn add_code(&mut self, text: &str) {
        if self.codes.len() < CODES_MAX {
            self.codes.push(text.trim().to_ascii_lowercase());
        }
        self.take_status(text.trim().parse().ok());
    }
}

/// The parameter that an error names, as `param` or as the way of a validation error.
fn param_of(object: &Map<String, Value>) -> Option<String> {
    let path = match (object.get("param"), object.get("loc")) {
        (Some(Value::String(param)), _) => param.clone(),
        (_, Some(Value::Array(parts))) => {
            let parts = parts.iter().filter(|part| *part != "body");
            let parts = parts.map(|part| match part {
                Value::String(name) => name.clone(),
                other => other.to_string(),
            });
            parts.collect::<Vec<_>>().join(".")
        }
        _ => return None,
    };
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_.[]-".contains(c);
    ((1..=100).contains(&path.len()) && path.chars().all(is_plain)).then_some(path)
}
