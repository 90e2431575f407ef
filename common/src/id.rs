//! Identifiers. Each kind is its own type, so that a job id cannot stand where a team id is meant.
//!
//! Names are chosen by administrators and checked here; the others are made from a clock and a
//! source of randomness and sort by the time they were made (UUID version 7, RFC 9562 §5.7).

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use uuid::Uuid;

use crate::clock::{Random, Timestamp};

/// Why a text is not a valid identifier; says what would be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{shown}' is not a valid {noun}: use {rule}")]
pub struct InvalidId {
    noun: &'static str,
    rule: &'static str,
    shown: String,
}

impl InvalidId {
    fn new(noun: &'static str, rule: &'static str, text: &str) -> Self {
        Self {
            noun,
            rule,
            shown: text.chars().take(40).collect(),
        }
    }
}

const NAME_RULE: &str = "1 to 64 letters, digits, '.', '_' or '-', starting with a letter or digit";
const MODEL_RULE: &str =
    "1 to 128 letters, digits, '.', '_', '-', ':' or '/', starting with a letter or digit";

fn is_name(text: &str, length_max: usize, extra: &[u8]) -> bool {
    let bytes = text.as_bytes();
    (1..=length_max).contains(&bytes.len())
        && bytes[0].is_ascii_alphanumeric()
        && bytes
            .iter()
            .all(|b| b.is_ascii_alphanumeric() || b"._-".contains(b) || extra.contains(b))
}

macro_rules! name_id {
    ($(#[$doc:meta])* $name:ident, $noun:literal, $rule:expr, $length_max:literal, $extra:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The text as the administrator wrote it.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                if is_name(text, $length_max, $extra) {
                    Ok(Self(text.into()))
                } else {
                    Err(InvalidId::new($noun, $rule, text))
                }
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }
    };
}

name_id!(
    /// An organization: a customer, the owner of teams.
    OrgId, "organization id", NAME_RULE, 64, b""
);
name_id!(
    /// A team: what authenticates, holds credits and is granted models.
    TeamId, "team id", NAME_RULE, 64, b""
);
name_id!(
    /// A provider account as administrators call it.
    ProviderName, "provider name", NAME_RULE, 64, b""
);
name_id!(
    /// A named set of model aliases that teams are granted.
    GroupName, "group name", NAME_RULE, 64, b""
);
name_id!(
    /// The public name of a model; the only model name that a team ever sees.
    ModelAlias, "model alias", MODEL_RULE, 128, b":/"
);

/// The public part of a virtual key: eight characters that name it without revealing it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId(Arc<str>);

impl KeyId {
    /// Takes the public part of a key as stored or as cut from a key.
    pub fn new(public_part: &str) -> Self {
        Self(public_part.into())
    }

    /// The eight characters.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl serde::Serialize for KeyId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Makes a UUID version 7: 48 bits of milliseconds, then random bits.
fn uuid_v7(now: Timestamp, random: &dyn Random) -> Uuid {
    let mut bytes = [0_u8; 10];
    random.fill(&mut bytes);
    uuid::Builder::from_unix_timestamp_millis(now.as_millis(), &bytes).into_uuid()
}

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident, $noun:literal, $prefix:literal, $rule:literal, $show:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Uuid);

        impl $name {
            /// A new id, sorting after those made earlier.
            pub fn new(now: Timestamp, random: &dyn Random) -> Self {
                Self(uuid_v7(now, random))
            }

            /// Sorts before all ids that are made from this moment's millisecond on, and after all
            /// that were made earlier.
            pub fn least_at(moment: Timestamp) -> Self {
                let millis = moment.as_millis();
                Self(uuid::Builder::from_unix_timestamp_millis(millis, &[0; 10]).into_uuid())
            }

            /// The underlying UUID.
            pub fn as_uuid(&self) -> Uuid {
                self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                text.strip_prefix($prefix)
                    .and_then(|rest| Uuid::try_parse(rest).ok())
                    .map(Self)
                    .ok_or_else(|| InvalidId::new($noun, $rule, text))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}{}", $prefix, self.0.$show())
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
    };
}

uuid_id!(
    /// One business operation of a team.
    JobId, "job id", "", "a UUID", hyphenated
);
uuid_id!(
    /// One call of a model inside a job, written `call_` and 32 hexadecimal digits.
    CallId, "call id", "call_", "'call_' and a UUID", simple
);
uuid_id!(
    /// One run of a proxy process.
    NodeId, "node id", "node_", "'node_' and a UUID", simple
);
uuid_id!(
    /// One record of the audit log.
    AuditId, "audit id", "audit_", "'audit_' and a UUID", simple
);
uuid_id!(
    /// One stored secret of a provider account.
    CredentialId, "credential id", "cred_", "'cred_' and a UUID", simple
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked_and_the_error_says_the_rule() {
        assert!("acme-corp".parse::<TeamId>().is_ok());
        assert!("meta-llama/Llama-3.1:70b".parse::<ModelAlias>().is_ok());
        for bad in ["", "-a", "a b", "a/b", "ä", "a\0", &"x".repeat(65)] {
            let error = bad.parse::<TeamId>().unwrap_err().to_string();
            assert!(
                error.contains("team id") && error.contains("1 to 64"),
                "{error}"
            );
        }
    }

    #[test]
    fn a_call_id_survives_the_round_trip() {
        let id = CallId(Uuid::from_u128(42));
        assert_eq!(id.to_string().parse::<CallId>().unwrap(), id);
        assert!("42".parse::<CallId>().is_err());
    }
}
