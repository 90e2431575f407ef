//! Metadata of jobs: JSON objects that are kept as text and merged without building trees.

use std::collections::BTreeMap;

use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// A JSON object as compact text of a bounded size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metadata(String);

/// Why a text is no metadata.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MetadataError {
    /// It is something else than a JSON object.
    #[error("must be a JSON object")]
    NotAnObject,
    /// It is too long.
    #[error(transparent)]
    TooLarge(#[from] MetadataTooLarge),
}

/// A JSON text is longer than it may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must have at most {bytes_max} bytes as JSON; it has {bytes}")]
pub struct MetadataTooLarge {
    /// Its length in bytes.
    pub bytes: usize,
    /// The longest that is accepted.
    pub bytes_max: usize,
}

impl Default for Metadata {
    fn default() -> Self {
        Self("{}".to_owned())
    }
}

impl Metadata {
    /// Reads an object. Its size is measured before it is parsed, so that a text of megabytes costs
    /// nothing.
    pub fn parse(text: &str, bytes_max: usize) -> Result<Self, MetadataError> {
        if !text.trim_start().starts_with('{') {
            return Err(MetadataError::NotAnObject);
        }
        require_size(text, bytes_max)?;
        let object: Map<String, Value> =
            serde_json::from_str(text).map_err(|_| MetadataError::NotAnObject)?;
        let compact = Value::Object(object).to_string();
        require_size(&compact, bytes_max)?;
        Ok(Self(compact))
    }

    /// The JSON text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Merges these members into a stored object, key by key; a nested object is replaced as a
    /// whole. Fails if the result has more than `bytes_max` bytes.
    pub fn merge_into(&self, stored: &str, bytes_max: usize) -> Result<String, MetadataTooLarge> {
        let mut members: BTreeMap<String, &RawValue> =
            serde_json::from_str(stored).unwrap_or_default();
        let patch: BTreeMap<String, &RawValue> = serde_json::from_str(&self.0).unwrap_or_default();
        members.extend(patch);
        // A map of texts to JSON has no way to fail.
        let merged = serde_json::to_string(&members).unwrap_or_else(|_| stored.to_owned());
        require_size(&merged, bytes_max)?;
        Ok(merged)
    }

    /// Whether the merged object fits into `bytes_max`. It is merged only if the sum of both sizes
    /// does not answer that.
    pub fn require_room_in(&self, stored: &str, bytes_max: usize) -> Result<(), MetadataTooLarge> {
        if stored.len().saturating_add(self.0.len()) <= bytes_max {
            return Ok(());
        }
        self.merge_into(stored, bytes_max).map(drop)
    }
}

const fn require_size(text: &str, bytes_max: usize) -> Result<(), MetadataTooLarge> {
    let bytes = text.len();
    if bytes > bytes_max {
        Err(MetadataTooLarge { bytes, bytes_max })
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_objects_within_the_limit_are_metadata() {
        let parse = |text: &str| Metadata::parse(text, 20);
        assert_eq!(parse(r#" { "a" : 1 } "#).unwrap().as_str(), r#"{"a":1}"#);
        for other in ["[]", "1", "\"{\"", "", "{", r#"{"a":}"#] {
            assert_eq!(parse(other), Err(MetadataError::NotAnObject), "{other}");
        }
        let too_large = MetadataError::TooLarge(MetadataTooLarge {
            bytes: 21,
            bytes_max: 20,
        });
        // Not even valid JSON is looked for in what is too large.
        assert_eq!(parse("{...................}"), Err(too_large));
    }

    #[test]
    fn members_replace_members_and_the_sum_of_both_is_bounded() {
        let patch = Metadata::parse(r#"{"b":{"c":2},"d":"é"}"#, 100).unwrap();
        let merged = patch.merge_into(r#"{"a":1,"b":{"x":9}}"#, 100).unwrap();
        assert_eq!(merged, r#"{"a":1,"b":{"c":2},"d":"é"}"#);
        assert!(patch.merge_into(r#"{"a":1}"#, merged.len() - 1).is_err());
        assert!(patch.require_room_in(r#"{"b":1}"#, merged.len()).is_ok());
    }

    proptest! {
        #[test]
        fn there_is_room_exactly_if_the_merged_object_fits(
            stored in proptest::collection::btree_map("[a-d]", 0..99_i64, 0..4),
            patch in proptest::collection::btree_map("[a-d]", 0..99_i64, 0..4),
            bytes_max in 0..60_usize,
        ) {
            let stored = serde_json::to_string(&stored).unwrap();
            let patch = serde_json::to_string(&patch).unwrap();
            let patch = Metadata::parse(&patch, 1_000).unwrap();
            let merged = patch.merge_into(&stored, bytes_max);
            prop_assert_eq!(merged.is_ok(), patch.require_room_in(&stored, bytes_max).is_ok());
            if let Ok(merged) = merged {
                prop_assert!(merged.len() <= bytes_max);
            }
        }
    }
}
