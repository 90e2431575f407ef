//! How amounts, times and names are written in cells.

use std::time::Duration;

use tollgate_common::clock::Timestamp;
use tollgate_common::money::{Credits, NanoUsd};
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

/// A whole number with thousands set apart.
pub(crate) fn number(value: i64) -> String {
    let digits = value.unsigned_abs().to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3 + 1);
    if value < 0 {
        text.push('-');
    }
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A count of any type, with thousands set apart.
pub(crate) fn count(things: impl TryInto<i64>) -> String {
    number(things.try_into().unwrap_or(i64::MAX))
}

/// Credits: never with a currency.
pub(crate) fn credits(amount: Credits) -> String {
    number(amount.0)
}

/// Dollars with as many decimals as small amounts need.
pub(crate) fn dollars(amount: NanoUsd) -> String {
    let decimals = if amount.0.unsigned_abs() < 1_000_000_000 {
        4
    } else {
        2
    };
    let cents = amount.dollars(decimals);
    let text = format!("{:.*}", decimals as usize, cents.abs());
    let (whole, rest) = text.split_once('.').unwrap_or((&text, "0"));
    let whole = number(whole.parse().unwrap_or(0));
    let sign = if cents < 0.0 { "-" } else { "" };
    format!("{sign}${whole}.{rest}")
}

/// How long: 4s, 1m02, 3h05, 2d.
pub(crate) fn span(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3_600 => format!("{}m{:02}", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{}h{:02}", seconds / 3_600, seconds / 60 % 60),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// How long ago.
pub(crate) fn age(moment: Timestamp, now: Timestamp) -> String {
    span(now.since(moment))
}

/// Milliseconds as people read them: 280ms, 1.9s, 2m05.
pub(crate) fn millis(milliseconds: i64) -> String {
    match milliseconds {
        ..1_000 => format!("{milliseconds}ms"),
        1_000..60_000 => {
            let tenths = milliseconds / 100;
            format!("{}.{}s", tenths / 10, tenths % 10)
        }
        _ => span(Duration::from_millis(milliseconds.unsigned_abs())),
    }
}

/// The time of day in UTC.
pub(crate) fn clock(moment: Timestamp) -> String {
    let text = moment.to_string();
    text.get(11..19).unwrap_or("-").to_owned()
}

/// Day and time to the second in UTC.
pub(crate) fn moment(moment: Timestamp) -> String {
    let text = moment.to_string();
    let day = text.get(..10).unwrap_or("-");
    format!("{day} {}", clock(moment))
}

/// A share of a whole in percent with one decimal; a dash of nothing.
pub(crate) fn percent(part: impl TryInto<i64>, whole: impl TryInto<i64>) -> String {
    let part: i64 = part.try_into().unwrap_or(i64::MAX);
    let whole: i64 = whole.try_into().unwrap_or(i64::MAX);
    if whole <= 0 {
        return "-".to_owned();
    }
    format!("{:.1}%", part as f64 * 100.0 / whole as f64)
}

/// A text that cannot steer the terminal, cut to a width with a sign that it was cut.
pub(crate) fn cut(text: &str, width: usize, ellipsis: &str) -> String {
    let clean: String = text
        .chars()
        .take(width * 4 + 4)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    if clean.width() <= width {
        return clean;
    }
    let room = width.saturating_sub(ellipsis.width());
    let mut used = 0;
    let mut kept: String = clean
        .chars()
        .take_while(|c| {
            used += c.width().unwrap_or(0);
            used <= room
        })
        .collect();
    if ellipsis.width() <= width {
        kept.push_str(ellipsis);
    }
    kept
}

/// The part of an id that tells it apart in a list: the last eight characters, which are random.
pub(crate) fn short_id(id: &str) -> String {
    let count = id.chars().count();
    id.chars().skip(count.saturating_sub(8)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_at_a_glance() {
        assert_eq!(number(-1_234_567), "-1,234,567");
        assert_eq!(number(100), "100");
        assert_eq!(dollars(NanoUsd(41_200_000)), "$0.0412");
        assert_eq!(dollars(NanoUsd(1_102_310_000_000)), "$1,102.31");
        assert_eq!(dollars(NanoUsd(-2_000_000_000)), "-$2.00");
        assert_eq!(percent(1, 3), "33.3%");
        assert_eq!(percent(1, 0), "-");
    }

    #[test]
    fn spans_are_short() {
        let seconds = |s| span(Duration::from_secs(s));
        assert_eq!(seconds(4), "4s");
        assert_eq!(seconds(62), "1m02");
        assert_eq!(seconds(11_100), "3h05");
        assert_eq!(seconds(200_000), "2d");
        assert_eq!(millis(280), "280ms");
        assert_eq!(millis(1_949), "1.9s");
    }

    #[test]
    fn texts_are_cut_by_columns_and_cannot_steer() {
        assert_eq!(cut("größer", 4, "…"), "grö…");
        assert_eq!(cut("日本語", 4, "~"), "日~");
        assert_eq!(cut("a\u{1b}[2J", 10, "~"), "a [2J");
        assert_eq!(cut("abc", 0, "~"), "");
        assert_eq!(short_id("job_0123456789"), "23456789");
    }
}
