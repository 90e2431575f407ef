//! The options and fields of limits, which teams and keys have alike.

use std::str::FromStr;

use tollgate_common::limit::{LimitSettings, Limits};

use super::output::or_dash;

/// The options below by their fields.
pub(super) const OPTIONS: [&str; 3] = ["rpm", "tpm", "max_parallel"];

/// What takes a limit away, as 0 does.
const NO_LIMIT: &str = "none";

/// The highest limit: above it, none is meant.
const LIMIT_MAX: i64 = 1_000_000_000_000;

/// Limits; what is not given stays, or is none for what is new.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct LimitOptions {
    /// How many calls it may begin per minute; 0 or "none" for any number
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    rpm: Option<Limit>,
    /// How many tokens it may use per minute; 0 or "none" for any number
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    tpm: Option<Limit>,
    /// How many calls it may have in flight; 0 or "none" for any number
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    max_parallel: Option<Limit>,
}

/// One limit, or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limit(pub(crate) Option<i64>);

impl FromStr for Limit {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == NO_LIMIT {
            return Ok(Self(None));
        }
        match text.parse() {
            Ok(0) => Ok(Self(None)),
            Ok(limit @ 1..=LIMIT_MAX) => Ok(Self(Some(limit))),
            _ => Err(format!(
                "write a number from 1 to {LIMIT_MAX}, or 0 or {NO_LIMIT} for no limit"
            )),
        }
    }
}

impl LimitOptions {
    /// The limits as a change.
    pub(super) fn settings(self) -> LimitSettings {
        let change = |limit: Option<Limit>| limit.map(|limit| limit.0);
        LimitSettings {
            requests_per_minute: change(self.rpm),
            tokens_per_minute: change(self.tpm),
            parallel_calls: change(self.max_parallel),
        }
    }
}

/// Limits as fields of what has them.
pub(super) fn fields(limits: &Limits) -> [(&'static str, String); 3] {
    [
        ("calls per minute", or_dash(limits.requests_per_minute)),
        ("tokens per minute", or_dash(limits.tokens_per_minute)),
        ("parallel calls", or_dash(limits.parallel_calls)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_a_number_or_none() {
        assert_eq!("60".parse(), Ok(Limit(Some(60))));
        for no_limit in ["0", "none"] {
            assert_eq!(no_limit.parse(), Ok(Limit(None)));
        }
        for bad in ["", "-1", "1.5", "None", "1000000000001", "many"] {
            assert!(bad.parse::<Limit>().is_err(), "{bad}");
        }
    }
}
