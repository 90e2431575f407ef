//! Values of options that are more than a type of their own: moments, amounts, texts for people.

use std::str::FromStr;
use std::time::Duration;

use tollgate_common::clock::{Timestamp, parse_span};
use tollgate_common::filter::{Filter, Vocabulary};
use tollgate_common::job::ChargeFailed;
use tollgate_common::money::{Credits, NanoUsd, PicoUsd};
use tollgate_common::standing::Standing;

use super::error::Failure;
use crate::text::is_unprintable;

/// The most credits that one option may name: many of them still add up without overflow.
const CREDITS_MAX: i64 = tollgate_common::money::CREDITS_MAX.0;

/// The longest span: a century.
const SPAN_MAX: Duration = Duration::from_hours(24 * 36_525);

/// The longest text for people.
const TEXT_CHARACTERS_MAX: usize = 500;

/// The most rows that one list may have.
const LIMIT_MAX: i64 = 1_000;

/// A moment, said outright or as a span from now on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    /// The moment itself.
    At(Timestamp),
    /// So long from now on.
    In(Duration),
}

impl Moment {
    /// The moment itself, which must lie ahead; `option` is what an error names.
    pub(crate) fn after(self, now: Timestamp, option: &str) -> Result<Timestamp, Failure> {
        let moment = match self {
            Self::At(moment) => moment,
            Self::In(span) => now.plus(span),
        };
        if moment <= now {
            return Err(Failure::Usage(format!(
                "{option}: {moment} is not in the future"
            )));
        }
        Ok(moment)
    }
}

impl FromStr for Moment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match Timestamp::parse_rfc3339(text) {
            Some(moment) => Ok(Self::At(moment)),
            None => span(text).map(Self::In).map_err(|_| {
                "write a time as 2026-12-31T23:59:59Z, or a span of at most 100 years as 90s, 10m, 2h or 7d".to_owned()
            }),
        }
    }
}

/// When something ends, if it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Expiry(Option<Moment>);

/// What lets something live on.
const NEVER: &str = "never";

impl Expiry {
    /// The end itself, which must lie ahead; `option` is what an error names.
    pub(crate) fn after(self, now: Timestamp, option: &str) -> Result<Option<Timestamp>, Failure> {
        let end = self.0.map(|moment| moment.after(now, option));
        end.transpose()
    }
}

impl FromStr for Expiry {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == NEVER {
            return Ok(Self(None));
        }
        let moment = text.parse().map_err(|why| format!("{why}; or {NEVER}"))?;
        Ok(Self(Some(moment)))
    }
}

/// A pause, until a moment that must lie ahead or until someone resumes.
pub(crate) fn pause(until: Option<Moment>, now: Timestamp) -> Result<Standing, Failure> {
    let until = until.map(|moment| moment.after(now, "--until"));
    Ok(Standing::Paused {
        until: until.transpose()?,
    })
}

/// Reads a filter in the words of the dashboard's list.
pub(super) fn filter(
    vocabulary: &'static Vocabulary,
    text: Option<&str>,
    now: Timestamp,
) -> Result<Filter, Failure> {
    Filter::parse(vocabulary, text.unwrap_or_default(), now)
        .map_err(|why| Failure::Usage(format!("--filter: {why}")))
}

/// Reads a span of at most a century.
pub(crate) fn span(text: &str) -> Result<Duration, String> {
    let span = parse_span(text)?;
    if span > SPAN_MAX {
        return Err("write a span of at most 100 years".to_owned());
    }
    Ok(span)
}

/// Reads a text for people: not empty, not endless, without characters that steer or reorder what
/// is around them.
pub(crate) fn text(text: &str) -> Result<String, String> {
    let length = text.chars().count();
    if text.trim().is_empty() || length > TEXT_CHARACTERS_MAX || text.contains(is_unprintable) {
        return Err(format!(
            "write 1 to {TEXT_CHARACTERS_MAX} characters without line breaks, marks of direction or invisible characters"
        ));
    }
    Ok(text.to_owned())
}

fn credits_within(text: &str, least: i64) -> Result<Credits, String> {
    text.parse()
        .ok()
        .filter(|credits| (least..=CREDITS_MAX).contains(credits))
        .map(Credits)
        .ok_or_else(|| format!("write a whole number of credits from {least} to {CREDITS_MAX}"))
}

/// Reads credits to be given: at least one.
pub(crate) fn credits_given(text: &str) -> Result<Credits, String> {
    credits_within(text, 1)
}

/// Reads an allowance of credits: at least none.
pub(crate) fn credits_allowed(text: &str) -> Result<Credits, String> {
    credits_within(text, 0)
}

/// The most that a team may be charged in a window, if anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Budget(pub(crate) Option<Credits>);

/// Reads a budget: so many credits, or `none`.
pub(crate) fn budget(text: &str) -> Result<Budget, String> {
    if text == "none" {
        return Ok(Budget(None));
    }
    let credits = credits_allowed(text).map_err(|problem| format!("{problem}, or none"))?;
    Ok(Budget(Some(credits)))
}

/// The highest limit of what a job may cost: a million dollars.
const JOB_COST_MAX: NanoUsd = NanoUsd(1_000_000_000_000_000);

/// What a job may cost the operator, if that is limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct JobCost(pub(crate) Option<NanoUsd>);

impl FromStr for JobCost {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "none" {
            return Ok(Self(None));
        }
        NanoUsd::parse_dollars(text)
            .filter(|cost| cost.is_positive() && *cost <= JOB_COST_MAX)
            .map(|cost| Self(Some(cost)))
            .ok_or_else(|| {
                format!("'{text}' is no amount: write dollars above 0, at most 1000000, or none")
            })
    }
}

/// What a job is charged that does not complete; nothing is what the budget mode says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FailedCharge(pub(crate) Option<ChargeFailed>);

impl FromStr for FailedCharge {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "default" {
            return Ok(Self(None));
        }
        text.parse()
            .map(|rule| Self(Some(rule)))
            .map_err(|problem: String| format!("{problem}, or default"))
    }
}

/// Reads a correction: up or down, but not by nothing.
pub(crate) fn correction(text: &str) -> Result<Credits, String> {
    credits_within(text, -CREDITS_MAX)
        .ok()
        .filter(|credits| *credits != Credits::ZERO)
        .ok_or_else(|| {
            format!(
                "write a whole number of credits other than 0, at most {CREDITS_MAX} up or down"
            )
        })
}

/// Reads how many rows a list may have.
pub(crate) fn limit(text: &str) -> Result<i64, String> {
    text.parse()
        .ok()
        .filter(|limit| (1..=LIMIT_MAX).contains(limit))
        .ok_or_else(|| format!("write a number from 1 to {LIMIT_MAX}"))
}

/// Reads dollars per million tokens.
pub(crate) fn price(text: &str) -> Result<PicoUsd, String> {
    PicoUsd::parse_per_million(text)
}

/// Reads dollars per thousand billed calls.
pub(crate) fn fee(text: &str) -> Result<NanoUsd, String> {
    NanoUsd::parse_per_thousand(text)
}

/// A price per token as dollars per million tokens.
pub(crate) fn per_million(price: PicoUsd) -> f64 {
    price.0 as f64 / 1_000_000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_times_or_spans_and_must_lie_ahead() {
        let now = Timestamp::from_micros(0);
        let later = "2h".parse::<Moment>().unwrap();
        assert_eq!(later, Moment::In(Duration::from_hours(2)));
        assert!(later.after(now, "--until").is_ok());
        assert!(
            "0s".parse::<Moment>()
                .unwrap()
                .after(now, "--until")
                .is_err()
        );
        assert!("2026-12-31T23:59:59Z".parse::<Moment>().is_ok());
        for bad in ["", "tomorrow", "2026-12-31", "-2h", "99999999999d"] {
            assert!(bad.parse::<Moment>().is_err(), "{bad}");
        }
    }

    #[test]
    fn texts_for_people_have_no_characters_that_reorder_or_hide_others() {
        for fine in ["Acme", "größer שלום", "👍 ok"] {
            assert_eq!(text(fine).as_deref(), Ok(fine));
        }
        for bad in [
            "",
            " ",
            "a\nb",
            "a\u{202e}b",
            "a\u{2066}b",
            "a\u{200d}b",
            "\u{feff}a",
        ] {
            assert!(text(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn credits_are_bounded_and_corrections_signed() {
        assert_eq!(credits_given("5"), Ok(Credits(5)));
        assert_eq!(correction("-5"), Ok(Credits(-5)));
        for bad in ["0", "-1", "1.5", "9223372036854775807", ""] {
            assert!(credits_given(bad).is_err(), "{bad}");
        }
        assert!(correction("0").is_err());
        assert!(correction("-9223372036854775808").is_err());
    }
}
