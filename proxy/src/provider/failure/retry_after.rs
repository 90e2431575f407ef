//! How long a provider wants to be left alone, in all forms in which providers say it.

use std::time::{Duration, SystemTime};

use http::HeaderMap;
use tollgate_common::clock::Timestamp;

/// A longer wait than a day is not meant.
const RETRY_AFTER_MAX: Duration = Duration::from_hours(24);

/// What precedes a duration in messages, in lower case.
const PHRASES: &[&str] = &[
    "try again in ",
    "retry in ",
    "retry after ",
    "try again after ",
];

/// The wait that headers ask for: in milliseconds, in seconds or as a date. The most exact form
/// decides.
pub(crate) fn of_headers(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = |name: &str| headers.get(name)?.to_str().ok();
    let millis = text("retry-after-ms").and_then(number);
    let millis = millis.or_else(|| text("x-ms-retry-after-ms").and_then(number));
    if let Some(millis) = millis {
        return bounded(millis / 1_000.0);
    }
    let value = text("retry-after")?.trim();
    match number(value) {
        Some(seconds) => bounded(seconds),
        None => duration(value).or_else(|| until_date(value, text("date"), now)),
    }
}

/// The wait until a date. It is measured by the clock of whoever wrote it, where that says its own
/// time.
fn until_date(value: &str, sent_at: Option<&str>, now: Timestamp) -> Option<Duration> {
    let until = httpdate::parse_http_date(value).ok()?;
    let micros = u64::try_from(now.as_micros()).ok()?;
    let now = SystemTime::UNIX_EPOCH + Duration::from_micros(micros);
    let now = sent_at
        .and_then(|date| httpdate::parse_http_date(date).ok())
        .unwrap_or(now);
    let wait = until.duration_since(now).unwrap_or_default();
    (wait <= RETRY_AFTER_MAX).then_some(wait)
}

/// The wait that a message names, as in "Please try again in 20s".
pub(super) fn in_text(message: &str) -> Option<Duration> {
    let message = message.to_ascii_lowercase();
    PHRASES.iter().find_map(|phrase| {
        let (_, rest) = message.split_once(phrase)?;
        duration(rest)
    })
}

/// Reads a duration at the beginning of a text: `20s`, `1m30.5s`, `250ms`, `26 seconds`.
pub(super) fn duration(text: &str) -> Option<Duration> {
    let mut rest = text.trim_start();
    let mut seconds = None;
    loop {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.');
        let (amount, after) = rest.split_at(digits.unwrap_or(rest.len()));
        // A full stop may end the sentence.
        let Some(amount) = number(amount.trim_end_matches('.')) else {
            break;
        };
        let after = after.trim_start();
        let end = after.find(|c: char| !c.is_ascii_alphabetic());
        let (unit, next) = after.split_at(end.unwrap_or(after.len()));
        let factor = match unit {
            "ms" | "millisecond" | "milliseconds" => 0.001,
            "s" | "sec" | "secs" | "second" | "seconds" => 1.0,
            "m" | "min" | "mins" | "minute" | "minutes" => 60.0,
            "h" | "hour" | "hours" => 3_600.0,
            _ => break,
        };
        seconds = Some(seconds.unwrap_or(0.0) + amount * factor);
        rest = next.trim_start();
    }
    seconds.and_then(bounded)
}

fn number(text: &str) -> Option<f64> {
    let text = text.trim();
    let is_plain = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    is_plain.then(|| text.parse().ok()).flatten()
}

fn bounded(seconds: f64) -> Option<Duration> {
    let wait = Duration::try_from_secs_f64(seconds).ok()?;
    (wait <= RETRY_AFTER_MAX).then_some(wait)
}
