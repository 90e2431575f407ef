//! Lenient reading of providers' JSON: each member by itself, so that one that is not as it should
//! be is as if it were absent, and costs nothing but itself.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::chat::Json;
use crate::sse::{BYTE_ORDER_MARK, is_done};
use crate::steps::forward::UpstreamFailure;

/// How many members an object of an answer usually has at most.
const MEMBERS_USUAL: usize = 8;

/// The members of a JSON object, in their order. The values are JSON texts, not looked into.
#[derive(Default)]
pub(crate) struct Members<'a>(Vec<(Cow<'a, str>, &'a str)>);

/// Values are parts of answers, so they are not shown.
impl fmt::Debug for Members<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.0.iter().map(|(name, _)| name))
            .finish()
    }
}

/// A member's name, borrowed unless it has escapes.
struct Name<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Name<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NameVisitor;
        impl<'de> Visitor<'de> for NameVisitor {
            type Value = Name<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name")
            }

            fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Self::Value, E> {
                Ok(Name(Cow::Borrowed(name)))
            }

            fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
                Ok(Name(Cow::Owned(name.to_owned())))
            }
        }
        deserializer.deserialize_str(NameVisitor)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MembersVisitor;
        impl<'de> Visitor<'de> for MembersVisitor {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::with_capacity(MEMBERS_USUAL);
                while let Some(Name(name)) = map.next_key()? {
                    let value: &'de RawValue = map.next_value()?;
                    members.push((name, value.get()));
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(MembersVisitor)
    }
}

/// Whether a JSON value says nothing.
fn is_nothing(json: &str) -> bool {
    matches!(json, "null" | "[]" | "{}" | r#""""# | "false")
}

impl<'a> Members<'a> {
    /// Reads a body that must be JSON. What is JSON but no object has no members.
    pub(crate) fn of_body(body: &'a [u8]) -> Result<Self, UpstreamFailure> {
        let body = body.strip_prefix(BYTE_ORDER_MARK).unwrap_or(body);
        let raw: &RawValue = serde_json::from_slice(body).map_err(|error| invalid(&error))?;
        Ok(Self::of_top(raw.get()))
    }

    /// Reads the data of an event, which must be JSON; `None` if it has none, or only the mark of a
    /// stream's end.
    pub(crate) fn of_stream(data: &'a str) -> Result<Option<Self>, UpstreamFailure> {
        if data.trim().is_empty() || is_done(data) {
            return Ok(None);
        }
        let raw: &RawValue = serde_json::from_str(data).map_err(|error| invalid(&error))?;
        Ok(Some(Self::of_top(raw.get())))
    }

    /// Some servers put the object into a list.
    fn of_top(json: &'a str) -> Self {
        if json.starts_with('[') {
            let first = list(json).into_iter().next();
            return first.map(Self::of).unwrap_or_default();
        }
        Self::of(json)
    }

    /// The members of an object; none if it is something else.
    pub(crate) fn of(json: &'a str) -> Self {
        if !json.starts_with('{') {
            return Self::default();
        }
        serde_json::from_str(json).unwrap_or_default()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A member's JSON. Of several with one name the last counts; null is absent.
    pub(crate) fn raw(&self, name: &str) -> Option<&'a str> {
        let named = self.0.iter().rev().find(|(known, _)| known == name);
        named.map(|(_, json)| *json).filter(|json| *json != "null")
    }

    /// A member that says something: neither empty nor false.
    pub(crate) fn said(&self, name: &str) -> Option<&'a str> {
        self.raw(name).filter(|json| !is_nothing(json))
    }

    /// A member that is an object; none if it is something else.
    pub(crate) fn object(&self, name: &str) -> Self {
        self.raw(name).map(Self::of).unwrap_or_default()
    }

    /// The items of a member that is a list; none if it is something else.
    pub(crate) fn list(&self, name: &str) -> Vec<&'a str> {
        self.raw(name).map(list).unwrap_or_default()
    }

    /// A member that is a string, as JSON.
    pub(crate) fn string(&self, name: &str) -> Option<&'a str> {
        self.raw(name).filter(|json| json.starts_with('"'))
    }

    /// A member that is a string and not empty, as JSON.
    pub(crate) fn text(&self, name: &str) -> Option<Json<'a>> {
        let json = self.string(name).filter(|json| *json != r#""""#);
        json.map(Cow::Borrowed)
    }

    /// A member that is a string and not empty, decoded.
    pub(crate) fn word(&self, name: &str) -> Option<String> {
        let word: String = serde_json::from_str(self.string(name)?).ok()?;
        Some(word).filter(|word| !word.is_empty())
    }

    /// A member that is a small whole number.
    pub(crate) fn index(&self, name: &str) -> Option<u32> {
        serde_json::from_str(self.raw(name)?).ok()
    }

    /// A member that is a count of tokens or calls.
    pub(crate) fn count(&self, name: &str) -> Count {
        self.raw(name).map_or(Count::Absent, Count::of)
    }

    /// The members whose names pass and that say something.
    pub(crate) fn others(&self, passes: impl Fn(&str) -> bool) -> Vec<(Cow<'a, str>, Json<'a>)> {
        let others = self.0.iter();
        let others = others.filter(|(name, json)| !is_nothing(json) && passes(name));
        others
            .map(|(name, json)| (name.clone(), Cow::Borrowed(*json)))
            .collect()
    }
}

/// The items of a JSON list; none if it is something else.
pub(crate) fn list(json: &str) -> Vec<&str> {
    if !json.starts_with('[') {
        return Vec::new();
    }
    let items: Vec<&RawValue> = serde_json::from_str(json).unwrap_or_default();
    items.into_iter().map(RawValue::get).collect()
}

fn invalid(error: &serde_json::Error) -> UpstreamFailure {
    let reason = format!("line {} column {}", error.line(), error.column());
    UpstreamFailure::Invalid { reason }
}

/// A count of tokens or calls as a provider wrote it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Count {
    /// There is none.
    #[default]
    Absent,
    /// What stands there is no count: negative, broken, or something else than a number.
    Unusable,
    /// A count, at most [`Count::MAX`].
    Of(i64),
}

impl Count {
    /// Stands for every larger count. No request can have taken so many tokens, so that whoever
    /// compares counts with the request finds it out, and sums of counts stay within an `i64`.
    pub(crate) const MAX: i64 = 1_000_000_000_000;

    /// Reads a JSON number, or a string with one. `10`, `10.0`, `1e1` and `"10"` are the same.
    pub(crate) fn of(json: &str) -> Self {
        let inner = json.strip_prefix('"');
        let text = inner.and_then(|json| json.strip_suffix('"'));
        let text = text.unwrap_or(json).trim();
        whole_number(text).map_or(Self::Unusable, Self::Of)
    }

    /// The number, if it is one.
    pub(crate) const fn get(self) -> Option<i64> {
        match self {
            Self::Of(count) => Some(count),
            Self::Absent | Self::Unusable => None,
        }
    }

    /// Takes over a later count. One that is absent, unusable or zero erases no earlier one.
    pub(crate) const fn update(&mut self, later: Self) {
        let is_news = match (later, *self) {
            (Self::Of(0) | Self::Unusable, earlier) => !matches!(earlier, Self::Of(_)),
            (Self::Of(_), _) => true,
            (Self::Absent, _) => false,
        };
        if is_news {
            *self = later;
        }
    }
}

/// A decimal number without sign whose value is whole, however it is written.
fn whole_number(text: &str) -> Option<i64> {
    let (number, exponent) = match text.split_once(['e', 'E']) {
        Some((number, exponent)) => (number, exponent.trim_start_matches('+').parse().ok()?),
        None => (text, 0_usize),
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = format!("{whole}{fraction}");
    let is_number = !whole.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number {
        return None;
    }
    // What stands right of the point after it has moved must be zeros.
    let moved = whole.len().saturating_add(exponent);
    if digits.bytes().skip(moved).any(|digit| digit != b'0') {
        return None;
    }
    let significant = digits.get(..moved).unwrap_or(&digits);
    let significant = significant.trim_start_matches('0');
    let zeros = moved.saturating_sub(digits.len());
    if significant.is_empty() {
        return Some(0);
    }
    if significant.len().saturating_add(zeros) > 18 {
        return Some(Count::MAX);
    }
    let value: i64 = format!("{significant}{}", "0".repeat(zeros)).parse().ok()?;
    Some(value.min(Count::MAX))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn whole_counts_are_read_in_every_form_of_a_number() {
        for (json, count) in [
            ("0", Count::Of(0)),
            ("10", Count::Of(10)),
            ("10.0", Count::Of(10)),
            ("\"10\"", Count::Of(10)),
            ("\" 10.00 \"", Count::Of(10)),
            ("1e1", Count::Of(10)),
            ("1.05E+2", Count::Of(105)),
            ("1.055e2", Count::Unusable),
            ("1e400", Count::Of(Count::MAX)),
            ("0e400", Count::Of(0)),
            ("9223372036854775807", Count::Of(Count::MAX)),
            ("99999999999999999999999", Count::Of(Count::MAX)),
            ("1.5", Count::Unusable),
            ("-1", Count::Unusable),
            ("1e-1", Count::Unusable),
            ("\"x\"", Count::Unusable),
            ("\"\"", Count::Unusable),
            ("true", Count::Unusable),
            ("[]", Count::Unusable),
            ("{}", Count::Unusable),
        ] {
            assert_eq!(Count::of(json), count, "{json}");
        }
    }

    #[test]
    fn a_byte_order_mark_means_nothing() {
        let members = Members::of_body(b"\xef\xbb\xbf {\"a\":1}").unwrap();
        assert_eq!(members.raw("a"), Some("1"));
    }

    #[test]
    fn members_are_read_one_by_one() {
        let members = Members::of(r#"{"a":1,"b":"x","a":2,"n":null,"l":[1,"y"],"\u0063":{"d":3}}"#);
        assert_eq!(members.raw("a"), Some("2"), "the last of a name counts");
        assert_eq!((members.raw("n"), members.raw("z")), (None, None));
        assert_eq!(members.word("b").as_deref(), Some("x"));
        assert_eq!(members.list("l"), ["1", "\"y\""]);
        assert!(members.list("b").is_empty() && members.object("l").is_empty());
        assert_eq!(members.object("c").count("d"), Count::Of(3));
        for other in ["", "5", "[1]", "\"x\"", "{\"a\":"] {
            assert!(Members::of(other).is_empty(), "{other}");
        }
    }

    #[test]
    fn later_counts_replace_earlier_ones_but_nothings_erase_none() {
        let mut count = Count::Absent;
        for (later, now) in [
            (Count::Unusable, Count::Unusable),
            (Count::Of(0), Count::Of(0)),
            (Count::Of(5), Count::Of(5)),
            (Count::Of(0), Count::Of(5)),
            (Count::Absent, Count::Of(5)),
            (Count::Unusable, Count::Of(5)),
            (Count::Of(3), Count::Of(3)),
        ] {
            count.update(later);
            assert_eq!(count, now, "after {later:?}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            failure_persistence: None,
            ..ProptestConfig::default()
        })]

        #[test]
        fn any_text_is_read_as_a_count_or_refused(text in ".*", whole in 0_i64..Count::MAX) {
            let _ = Count::of(&text);
            prop_assert_eq!(Count::of(&whole.to_string()), Count::Of(whole));
            prop_assert_eq!(Count::of(&format!("{whole}.000")), Count::Of(whole));
            prop_assert_eq!(Count::of(&format!("-{whole}")), Count::Unusable);
        }
    }
}
