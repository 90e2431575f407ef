//! Reads JSON objects field by field, collecting everything that is wrong with them.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;
use std::ops::RangeInclusive;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tollgate_common::metadata::{Metadata, MetadataError};

use crate::error::{ApiError, FieldProblem};

/// How deep the JSON of a body may be nested; deeper bodies only cost whoever parses them.
const DEPTH_MAX: usize = 128;

/// How many problems of one request are reported: a hostile body must not make an endless answer.
const PROBLEMS_MAX: usize = 20;

/// How much of a field's name an answer repeats, in characters.
const NAME_SHOWN_MAX: usize = 64;

/// A JSON object whose values have not been looked at yet.
#[derive(Debug, Default)]
struct RawObject<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for RawObject<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ObjectVisitor;

        impl<'de> Visitor<'de> for ObjectVisitor {
            type Value = RawObject<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<RawObject<'de>, M::Error> {
                let mut fields = Vec::new();
                while let Some(Name(name)) = map.next_key()? {
                    fields.push((name, map.next_value()?));
                }
                Ok(RawObject(fields))
            }
        }

        deserializer.deserialize_map(ObjectVisitor)
    }
}

#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

/// How deep brackets are nested, without building anything. Text in strings does not count.
fn depth(json: &[u8]) -> usize {
    let (mut depth, mut deepest, mut in_string, mut escaped) = (0_usize, 0, false, false);
    for byte in json {
        if in_string {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_string = false,
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => in_string = true,
            b'{' | b'[' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// The fields of a JSON object, and what was found wrong with them so far.
#[derive(Debug)]
pub(crate) struct Fields<'a> {
    object: RawObject<'a>,
    location: Vec<Value>,
    problems: Vec<FieldProblem>,
}

impl<'a> Fields<'a> {
    /// Reads a request's body.
    pub(crate) fn of_body(body: &'a [u8]) -> Result<Self, ApiError> {
        if depth(body) > DEPTH_MAX {
            let message = format!("The body must not be nested deeper than {DEPTH_MAX} levels");
            return Err(ApiError::MalformedRequest(message));
        }
        let object = serde_json::from_slice(body).map_err(|error| {
            ApiError::MalformedRequest(if error.is_data() {
                "The body must be a JSON object".to_owned()
            } else {
                format!("The body is not valid JSON: {error}")
            })
        })?;
        let mut fields = Self {
            object,
            location: vec![json!("body")],
            problems: Vec::new(),
        };
        fields.refuse_duplicates();
        Ok(fields)
    }

    fn refuse_duplicates(&mut self) {
        let mut seen = HashSet::with_capacity(self.object.0.len());
        let twice: Vec<String> = self
            .object
            .0
            .iter()
            .filter(|(name, _)| !seen.insert(name.as_ref()))
            .map(|(name, _)| name.chars().take(NAME_SHOWN_MAX).collect())
            .take(PROBLEMS_MAX)
            .collect();
        for name in twice {
            self.problem(&name, "must be given once", "duplicate");
        }
    }

    /// Reads an object inside the body, at `location`.
    pub(crate) fn of_nested(raw: &'a RawValue, location: Vec<Value>) -> Option<Self> {
        let object = serde_json::from_str(raw.get()).ok()?;
        let mut fields = Self {
            object,
            location,
            problems: Vec::new(),
        };
        fields.refuse_duplicates();
        Some(fields)
    }

    /// The value of a field, if it is there and not null.
    pub(crate) fn raw(&self, name: &str) -> Option<&'a RawValue> {
        let (_, raw) = self.object.0.iter().find(|(field, _)| field == name)?;
        (raw.get() != "null").then_some(*raw)
    }

    /// All fields that are not null, in their order.
    pub(crate) fn all(&self) -> impl Iterator<Item = (Cow<'a, str>, &'a RawValue)> {
        let present = self.object.0.iter().filter(|(_, raw)| raw.get() != "null");
        present.map(|(name, raw)| (name.clone(), *raw))
    }

    /// Notes that a field is not as it must be.
    pub(crate) fn problem(&mut self, name: &str, message: impl Into<String>, kind: &'static str) {
        if self.problems.len() >= PROBLEMS_MAX {
            return;
        }
        let mut location = self.location.clone();
        location.push(json!(name));
        self.problems.push(FieldProblem {
            location,
            message: message.into(),
            kind,
        });
    }

    /// Takes over what was found in a nested object.
    pub(crate) fn absorb(&mut self, problems: Vec<FieldProblem>) {
        let room = PROBLEMS_MAX.saturating_sub(self.problems.len());
        self.problems.extend(problems.into_iter().take(room));
    }

    pub(crate) fn into_problems(self) -> Vec<FieldProblem> {
        self.problems
    }

    /// Ends the reading: everything that was wrong at once, or nothing.
    pub(crate) fn finish(self) -> Result<(), ApiError> {
        if self.problems.is_empty() {
            Ok(())
        } else {
            Err(ApiError::InvalidFields(self.problems))
        }
    }

    /// A text of at most `length_max` characters without NUL; empty ones are refused.
    pub(crate) fn required_text(&mut self, name: &str, length_max: usize) -> String {
        match self.optional_text(name, length_max) {
            Some(text) if text.is_empty() => {
                self.problem(name, "must not be empty", "string_too_short");
                text
            }
            Some(text) => text,
            None if self.raw(name).is_none() => {
                self.problem(name, "Field required", "missing");
                String::new()
            }
            None => String::new(),
        }
    }

    /// A text of at most `length_max` characters without NUL, which databases cannot store.
    pub(crate) fn optional_text(&mut self, name: &str, length_max: usize) -> Option<String> {
        let raw = self.raw(name)?;
        let problem = match serde_json::from_str::<String>(raw.get()) {
            Err(_) => "must be a string".to_owned(),
            Ok(text) if text.contains('\0') => "must not contain NUL characters".to_owned(),
            Ok(text) if text.chars().count() > length_max => {
                format!("must have at most {length_max} characters")
            }
            Ok(text) => return Some(text),
        };
        self.problem(name, problem, "string_type");
        None
    }

    /// A JSON object of at most `bytes_max` bytes. It is measured as the caller wrote it, before it
    /// is parsed.
    pub(crate) fn optional_metadata(&mut self, name: &str, bytes_max: usize) -> Option<Metadata> {
        let raw = self.raw(name)?;
        let parsed = Metadata::parse(raw.get(), bytes_max);
        let kind = match &parsed {
            Err(MetadataError::TooLarge(_)) => "too_long",
            _ => "dict_type",
        };
        parsed
            .map_err(|error| self.problem(name, error.to_string(), kind))
            .ok()
    }

    /// True or false.
    pub(crate) fn optional_flag(&mut self, name: &str) -> Option<bool> {
        let raw = self.raw(name)?;
        let flag = serde_json::from_str(raw.get()).ok();
        if flag.is_none() {
            self.problem(name, "must be true or false", "bool_type");
        }
        flag
    }

    /// A whole number of at least `least`.
    pub(crate) fn optional_integer(&mut self, name: &str, least: i64) -> Option<i64> {
        let raw = self.raw(name)?;
        let number = serde_json::from_str::<i64>(raw.get())
            .ok()
            .filter(|n| *n >= least);
        if number.is_none() {
            self.problem(
                name,
                format!("must be a whole number of at least {least}"),
                "int_type",
            );
        }
        number
    }

    /// A number in a range, kept as the caller wrote it.
    pub(crate) fn optional_number(
        &mut self,
        name: &str,
        range: RangeInclusive<f64>,
    ) -> Option<&'a RawValue> {
        let raw = self.raw(name)?;
        let in_range = serde_json::from_str::<f64>(raw.get()).is_ok_and(|n| range.contains(&n));
        if !in_range {
            let (least, most) = (range.start(), range.end());
            let message = format!("must be a number from {least} to {most}");
            self.problem(name, message, "float_type");
        }
        in_range.then_some(raw)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_wrong_is_reported_at_once() {
        let body = br#"{"team_id": 5, "note": "a\u0000b", "n": 3, "n": 0, "big": "xxxx"}"#;
        let mut fields = Fields::of_body(body).unwrap();
        fields.required_text("team_id", 10);
        fields.required_text("job_type", 10);
        fields.optional_text("note", 10);
        fields.optional_text("big", 3);
        let detail = fields.finish().unwrap_err().body()["detail"].to_string();
        for part in [
            "n: must be given once",
            "team_id: must be a string",
            "job_type: Field required",
        ] {
            assert!(detail.contains(part), "{detail}");
        }
        assert!(
            detail.contains("NUL") && detail.contains("at most 3"),
            "{detail}"
        );
    }

    #[test]
    fn bodies_that_are_not_objects_are_refused() {
        for bad in [
            "",
            "{",
            "[]",
            "5",
            "\"x\"",
            "null",
            "{\"a\":}",
            "{} {}",
            "\u{feff}{}",
        ] {
            assert!(Fields::of_body(bad.as_bytes()).is_err(), "{bad}");
        }
        assert!(Fields::of_body(b"{\"a\": \"\xff\"}").is_err());
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(10_000), "]".repeat(10_000));
        assert!(Fields::of_body(deep.as_bytes()).is_err());
        assert_eq!(depth(br#"{"a": "[[[[\"[", "b": [1]}"#), 2);
    }
}
