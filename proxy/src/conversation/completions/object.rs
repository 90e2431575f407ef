//! A JSON object of a request, taken apart field by field. What is left at the end is refused, so
//! that nothing gets lost on the way to a provider that has another dialect.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::chat::{Json, Untranslatable};
use crate::fields::Fields;

/// What callers read about a field that means something to OpenAI alone.
const UNKNOWN: &str = "is not known to this model's provider; leave it out";

/// A piece of a request and the way to it, as `messages[2].content[0]`.
#[derive(Debug)]
pub(super) struct Item<'a> {
    pub(super) path: String,
    pub(super) raw: &'a RawValue,
}

/// A text that is copied only if it is escaped.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// Reads a JSON string.
pub(super) fn text_of(raw: &RawValue) -> Option<Cow<'_, str>> {
    let Text(text) = serde_json::from_str(raw.get()).ok()?;
    Some(text)
}

/// Whether a piece of JSON is an object.
pub(super) fn is_object(json: &str) -> bool {
    json.trim_start().starts_with('{') && serde_json::from_str::<&RawValue>(json).is_ok()
}

/// The fields of an object that nobody has asked for yet; those that are null do not count.
#[derive(Debug)]
pub(super) struct Object<'a> {
    path: String,
    fields: Vec<(Cow<'a, str>, &'a RawValue)>,
}

impl<'a> Object<'a> {
    /// The object that is the request itself.
    pub(super) fn of_request(fields: &[(Cow<'a, str>, &'a RawValue)]) -> Self {
        Self {
            path: String::new(),
            fields: fields.to_vec(),
        }
    }

    pub(super) fn read(item: Item<'a>) -> Result<Self, Untranslatable> {
        let Some(fields) = Fields::of_nested(item.raw, Vec::new()) else {
            return Err(Untranslatable::new(item.path, "must be an object"));
        };
        let object = Self {
            path: item.path,
            fields: fields.all().collect(),
        };
        let problem = fields.into_problems().into_iter().next();
        match problem {
            Some(problem) => {
                let name = problem.location.last().and_then(Value::as_str);
                Err(object.refusal(name.unwrap_or_default(), problem.message))
            }
            None => Ok(object),
        }
    }

    /// The way to a field.
    pub(super) fn path_of(&self, name: &str) -> String {
        if self.path.is_empty() {
            name.to_owned()
        } else {
            format!("{}.{name}", self.path)
        }
    }

    pub(super) fn refusal(&self, name: &str, message: impl Into<String>) -> Untranslatable {
        Untranslatable::new(self.path_of(name), message)
    }

    pub(super) fn take(&mut self, name: &str) -> Option<&'a RawValue> {
        let index = self.fields.iter().position(|(field, _)| field == name)?;
        let (_, raw) = self.fields.remove(index);
        (raw.get() != "null").then_some(raw)
    }

    fn take_item(&mut self, name: &str) -> Option<Item<'a>> {
        let raw = self.take(name)?;
        let path = self.path_of(name);
        Some(Item { path, raw })
    }

    /// Takes a field that must be what `read` understands.
    fn take_as<T>(
        &mut self,
        name: &str,
        what: &str,
        read: impl FnOnce(&'a RawValue) -> Option<T>,
    ) -> Result<Option<T>, Untranslatable> {
        let Some(raw) = self.take(name) else {
            return Ok(None);
        };
        match read(raw) {
            Some(value) => Ok(Some(value)),
            None => Err(self.refusal(name, format!("must be {what}"))),
        }
    }

    pub(super) fn text(&mut self, name: &str) -> Result<Option<Cow<'a, str>>, Untranslatable> {
        self.take_as(name, "a string", text_of)
    }

    pub(super) fn required_text(&mut self, name: &str) -> Result<Cow<'a, str>, Untranslatable> {
        let text = self.text(name)?;
        text.ok_or_else(|| self.refusal(name, "must be a string"))
    }

    pub(super) fn flag(&mut self, name: &str) -> Result<Option<bool>, Untranslatable> {
        self.take_as(name, "true or false", |raw| {
            serde_json::from_str(raw.get()).ok()
        })
    }

    pub(super) fn integer(&mut self, name: &str) -> Result<Option<i64>, Untranslatable> {
        self.take_as(name, "a whole number", |raw| {
            serde_json::from_str(raw.get()).ok()
        })
    }

    /// A whole number as it was written.
    pub(super) fn whole(&mut self, name: &str) -> Result<Option<Json<'a>>, Untranslatable> {
        self.take_as(name, "a whole number", |raw| {
            let is_whole = serde_json::from_str::<i64>(raw.get()).is_ok();
            is_whole.then(|| raw.get().into())
        })
    }

    /// A number as it was written.
    pub(super) fn number(&mut self, name: &str) -> Result<Option<Json<'a>>, Untranslatable> {
        self.take_as(name, "a number", |raw| {
            let is_number = raw
                .get()
                .starts_with(|c: char| c == '-' || c.is_ascii_digit());
            is_number.then(|| raw.get().into())
        })
    }

    /// An object that travels as it was written.
    pub(super) fn json_object(&mut self, name: &str) -> Result<Option<Json<'a>>, Untranslatable> {
        self.take_as(name, "an object", |raw| {
            raw.get().starts_with('{').then(|| raw.get().into())
        })
    }

    /// An object inside this one.
    pub(super) fn object(&mut self, name: &str) -> Result<Option<Self>, Untranslatable> {
        self.take_item(name).map(Self::read).transpose()
    }

    pub(super) fn required_object(&mut self, name: &str) -> Result<Self, Untranslatable> {
        let object = self.object(name)?;
        object.ok_or_else(|| self.refusal(name, "must be an object"))
    }

    /// The items of a list; none if the list is absent.
    pub(super) fn list(&mut self, name: &str) -> Result<Vec<Item<'a>>, Untranslatable> {
        match self.take_item(name) {
            Some(item) => items(item, "a list"),
            None => Ok(Vec::new()),
        }
    }

    /// Ends the reading: the first field that nobody asked for is refused, unless it says nothing.
    pub(super) fn finish(self) -> Result<(), Untranslatable> {
        let says_something = |raw: &RawValue| !matches!(raw.get(), "[]" | "{}");
        let mut rest = self.fields.iter();
        match rest.find(|(_, raw)| says_something(raw)) {
            Some((name, _)) => Err(self.refusal(name, UNKNOWN)),
            None => Ok(()),
        }
    }
}

/// Takes a list apart.
pub(super) fn items<'a>(list: Item<'a>, what: &str) -> Result<Vec<Item<'a>>, Untranslatable> {
    let Ok(raws) = serde_json::from_str::<Vec<&'a RawValue>>(list.raw.get()) else {
        return Err(Untranslatable::new(list.path, format!("must be {what}")));
    };
    let items = raws.into_iter().enumerate().map(|(index, raw)| Item {
        path: format!("{}[{index}]", list.path),
        raw,
    });
    Ok(items.collect())
}
