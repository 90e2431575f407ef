//! Objects in a request, field by field. What is wrong in a nested one is told with the way to it.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::chat::Json;
use crate::error::{ApiError, FieldProblem};
use crate::fields::Fields;

/// How much of an unknown field's name an answer repeats, in characters.
const NAME_SHOWN_MAX: usize = 64;

/// An object that is being read.
#[derive(Debug)]
pub(super) struct Object<'a> {
    pub(super) fields: Fields<'a>,
    is_body: bool,
}

#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'a> Object<'a> {
    pub(super) fn of_body(body: &'a [u8]) -> Result<Self, ApiError> {
        Ok(Self {
            fields: Fields::of_body(body)?,
            is_body: true,
        })
    }

    /// Reads a nested object; `None` if it is none, or by the word of `read`. The way to it is made
    /// only for what is wrong.
    fn inside<T>(
        &mut self,
        (name, index): (&str, Option<usize>),
        raw: &'a RawValue,
        read: impl FnOnce(&mut Self) -> Option<T>,
    ) -> Option<T> {
        let Some(fields) = Fields::of_nested(raw, Vec::new()) else {
            let problem = FieldProblem {
                location: Vec::new(),
                message: "must be an object".to_owned(),
                kind: "dict_type",
            };
            self.absorb((name, index), vec![problem]);
            return None;
        };
        let is_body = false;
        let mut inner = Self { fields, is_body };
        let value = read(&mut inner);
        self.absorb((name, index), inner.fields.into_problems());
        value
    }

    fn absorb(&mut self, (name, index): (&str, Option<usize>), mut problems: Vec<FieldProblem>) {
        for problem in &mut problems {
            let mut location = Vec::with_capacity(problem.location.len() + 3);
            location.extend(self.is_body.then(|| json!("body")));
            location.push(json!(name));
            location.extend(index.map(|index| json!(index)));
            location.append(&mut problem.location);
            problem.location = location;
        }
        self.fields.absorb(problems);
    }

    /// Reads the object in a field.
    pub(super) fn member<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(&mut Self) -> Option<T>,
    ) -> Option<T> {
        let raw = self.fields.raw(name)?;
        self.inside((name, None), raw, read)
    }

    /// Reads the object in a field that must be there.
    pub(super) fn required_member<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(&mut Self) -> Option<T>,
    ) -> Option<T> {
        self.require(name)?;
        self.member(name, read)
    }

    /// The values of a list, not looked at.
    pub(super) fn list(&mut self, name: &str) -> Option<Vec<&'a RawValue>> {
        let raw = self.fields.raw(name)?;
        let list = serde_json::from_str(raw.get()).ok();
        if list.is_none() {
            self.fields.problem(name, "must be a list", "list_type");
        }
        list
    }

    /// Reads the objects of a list.
    pub(super) fn each<T>(
        &mut self,
        name: &str,
        list: Vec<&'a RawValue>,
        mut read: impl FnMut(&mut Self) -> Option<T>,
    ) -> Vec<T> {
        let values = list.into_iter().enumerate();
        let read =
            values.filter_map(|(index, raw)| self.inside((name, Some(index)), raw, &mut read));
        read.collect()
    }

    /// The value of a field that must be there.
    pub(super) fn require(&mut self, name: &str) -> Option<&'a RawValue> {
        let raw = self.fields.raw(name);
        if raw.is_none() {
            self.fields.problem(name, "Field required", "missing");
        }
        raw
    }

    /// A text, borrowed if it was written without escapes.
    pub(super) fn optional_text(&mut self, name: &str) -> Option<Cow<'a, str>> {
        let raw = self.fields.raw(name)?;
        match serde_json::from_str(raw.get()) {
            Ok(Text(text)) => Some(text),
            Err(_) => {
                self.fields.problem(name, "must be a string", "string_type");
                None
            }
        }
    }

    /// A text that must be there.
    pub(super) fn text(&mut self, name: &str) -> Option<Cow<'a, str>> {
        self.require(name)?;
        self.optional_text(name)
    }

    /// A text that must be there and say something.
    pub(super) fn name(&mut self, name: &str) -> Option<Cow<'a, str>> {
        let text = self.text(name)?;
        if text.is_empty() {
            self.fields
                .problem(name, "must not be empty", "string_too_short");
            return None;
        }
        Some(text)
    }

    /// A JSON object that must be there and travels as it is.
    pub(super) fn json_object(&mut self, name: &str) -> Option<Json<'a>> {
        let raw = self.require(name)?;
        if !raw.get().starts_with('{') {
            self.fields.problem(name, "must be an object", "dict_type");
            return None;
        }
        Some(raw.get().into())
    }

    pub(super) fn required_integer(&mut self, name: &str, least: i64) -> Option<i64> {
        self.require(name)?;
        self.fields.optional_integer(name, least)
    }

    /// A number from 0 to 1.
    pub(super) fn number(&mut self, name: &str) -> Option<Json<'a>> {
        let raw = self.fields.optional_number(name, 0.0..=1.0)?;
        Some(raw.get().into())
    }

    /// A whole number of at least 0.
    pub(super) fn whole_number(&mut self, name: &str) -> Option<Json<'a>> {
        self.fields.optional_integer(name, 0)?;
        Some(self.fields.raw(name)?.get().into())
    }

    /// Refuses all other fields than these.
    pub(super) fn only(&mut self, known: &[&str]) {
        let names = self.fields.all().map(|(name, _)| name);
        let others: Vec<_> = names.filter(|name| !known.contains(&&**name)).collect();
        for name in others {
            let shown: String = name.chars().take(NAME_SHOWN_MAX).collect();
            let message = "is not supported; leave it out";
            self.fields.problem(&shown, message, "extra_forbidden");
        }
    }

    /// Refuses a field unless it says what goes without saying.
    pub(super) fn only_if(&mut self, name: &str, harmless: &Value, remedy: &str) {
        let Some(raw) = self.fields.raw(name) else {
            return;
        };
        if serde_json::from_str::<Value>(raw.get()).ok().as_ref() != Some(harmless) {
            let message = format!("is not supported; {remedy}");
            self.fields.problem(name, message, "extra_forbidden");
        }
    }

    /// Until where the provider should remember the prompt.
    pub(super) fn cache_control(&mut self) -> Option<Json<'a>> {
        self.member("cache_control", |control| {
            control.only(&["type", "ttl"]);
            if control.text("type")? != "ephemeral" {
                control.fields.problem("type", "must be ephemeral", "enum");
            }
            let ttl = control.optional_text("ttl");
            if ttl.is_some_and(|ttl| ttl != "5m" && ttl != "1h") {
                control.fields.problem("ttl", "must be 5m or 1h", "enum");
            }
            Some(())
        })?;
        Some(self.fields.raw("cache_control")?.get().into())
    }
}
