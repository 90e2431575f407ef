//! JSON of lists, read level by level. Numbers stay the texts that they are written as, so that no
//! figure passes through a floating-point number.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::ListError;

/// Words that some writers put in the place of numbers; they are not JSON.
const NOT_NUMBERS: [&str; 3] = ["-Infinity", "Infinity", "NaN"];

/// A value of a document as it is written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Node<'a>(&'a str);

/// The members of an object in their order.
pub(super) struct Object<'a>(Vec<(String, Node<'a>)>);

impl<'de> Deserialize<'de> for Object<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;

        impl<'de> Visitor<'de> for Members {
            type Value = Object<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some((name, value)) = map.next_entry::<String, &RawValue>()? {
                    members.push((name, Node(value.get())));
                }
                Ok(Object(members))
            }
        }

        deserializer.deserialize_map(Members)
    }
}

impl<'a> Object<'a> {
    /// The member of a name that is there and not null.
    pub(super) fn get(&self, name: &str) -> Option<Node<'a>> {
        let mut members = self.0.iter();
        let found = members.find(|(own, _)| own == name);
        found.map(|(_, node)| *node).filter(|node| !node.is_null())
    }

    /// All members that are not null.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, Node<'a>)> {
        let members = self.0.iter().map(|(name, node)| (name.as_str(), *node));
        members.filter(|(_, node)| !node.is_null())
    }

    /// A name that two members have.
    pub(super) fn repeated(&self) -> Option<&str> {
        let mut names: Vec<&str> = self.0.iter().map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        let mut pairs = names.windows(2);
        let pair = pairs.find(|pair| pair.first() == pair.last())?;
        pair.first().copied()
    }
}

impl<'a> Node<'a> {
    /// Checks a whole document.
    pub(super) fn parse(text: &'a str) -> Result<Self, ListError> {
        let raw: &RawValue = serde_json::from_str(text).map_err(ListError::Json)?;
        Ok(Self(raw.get()))
    }

    /// The value as it is written.
    pub(super) const fn raw(self) -> &'a str {
        self.0
    }

    fn is_null(self) -> bool {
        self.0 == "null"
    }

    /// The members, if this is an object.
    pub(super) fn object(self) -> Option<Object<'a>> {
        self.0
            .starts_with('{')
            .then(|| serde_json::from_str(self.0).ok())?
    }

    /// The items, if this is a list.
    pub(super) fn list(self) -> Option<Vec<Self>> {
        let raw: Vec<&'a RawValue> = self
            .0
            .starts_with('[')
            .then(|| serde_json::from_str(self.0).ok())??;
        Some(raw.into_iter().map(|raw| Node(raw.get())).collect())
    }

    /// The characters, if this is a text.
    pub(super) fn text(self) -> Option<String> {
        self.0
            .starts_with('"')
            .then(|| serde_json::from_str(self.0).ok())?
    }
}

/// Puts words that stand for no number into quotes, so that the rest of the document can be read
/// and the row that has one is refused by itself.
pub(super) fn quote_not_numbers(text: &str) -> Cow<'_, str> {
    if !NOT_NUMBERS.iter().any(|word| text.contains(word)) {
        return Cow::Borrowed(text);
    }
    let mut quoted = String::with_capacity(text.len().saturating_add(64));
    let (mut rest, mut is_text) = (text, false);
    while let Some(first) = rest.chars().next() {
        let word = NOT_NUMBERS.into_iter().find(|word| rest.starts_with(word));
        let length = match (word, first) {
            (Some(word), _) if !is_text => {
                quoted.extend(["\"", word, "\""]);
                rest = rest.get(word.len()..).unwrap_or_default();
                continue;
            }
            // What follows a backslash ends no text.
            (_, '\\') if is_text => {
                let next = rest.chars().nth(1).map_or(0, char::len_utf8);
                next.saturating_add(1)
            }
            (_, '"') => {
                is_text = !is_text;
                1
            }
            _ => first.len_utf8(),
        };
        let (taken, left) = rest.split_at_checked(length).unwrap_or((rest, ""));
        quoted.push_str(taken);
        rest = left;
    }
    Cow::Owned(quoted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stay_as_they_are_written() {
        let node = Node::parse(r#"{"a": 1.50, "b": [2e-07, null], "a": "x", "c": null}"#).unwrap();
        let object = node.object().unwrap();
        assert_eq!(object.get("a").unwrap().raw(), "1.50");
        let items = object.get("b").unwrap().list().unwrap();
        assert_eq!(items[0].raw(), "2e-07");
        assert_eq!(object.repeated(), Some("a"));
        assert!(object.get("c").is_none() && node.list().is_none() && node.text().is_none());
    }

    #[test]
    fn words_for_no_number_become_texts_and_texts_stay() {
        let text = r#"{"NaN \" NaN": NaN, "b": [-Infinity, "Infinity"]}"#;
        let quoted = quote_not_numbers(text);
        let expected = r#"{"NaN \" NaN": "NaN", "b": ["-Infinity", "Infinity"]}"#;
        assert_eq!(quoted, expected);
        assert!(matches!(quote_not_numbers("{}"), Cow::Borrowed("{}")));
    }
}
