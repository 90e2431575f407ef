//! Figures in words: traffic, times, money.

use tollgate_common::clock::Timestamp;
use tollgate_common::live::Histogram;
use tollgate_common::money::NanoUsd;

use super::figures::{Figures, Range, TOLD_WITHIN};
use super::lines;
use crate::dashboard::context::Context;
use crate::dashboard::format;
use crate::dashboard::store::overview::Standing;
use crate::dashboard::widgets::facts::{Fact, fact, styled};

/// Why figures of the present cannot be shown, if so.
pub(super) fn untold(figures: &Figures, now: Timestamp) -> Option<String> {
    figures.at?;
    if figures.nodes.is_empty() {
        return Some("no proxy is running".to_owned());
    }
    match figures.last_told() {
        Some(at) if now.since(at) <= TOLD_WITHIN => None,
        Some(at) => Some(format!("no proxy has told for {}", format::age(at, now))),
        None => {
            let seen = figures.nodes.iter().map(|node| node.at).max();
            let age = seen.map_or_else(String::new, |at| {
                format!(", last sign {} ago", format::age(at, now))
            });
            Some(format!("no proxy tells{age}"))
        }
    }
}

/// `2/3 proxies`, with a sign if some are missing.
pub(super) fn proxies(figures: &Figures) -> String {
    if figures.at.is_none() {
        return "reading".to_owned();
    }
    let (told, all) = figures.told();
    let sign = if told < all { "! " } else { "" };
    format!("{sign}{told}/{all} proxies")
}

/// Traffic: what goes on now.
pub(super) fn traffic(
    figures: &Figures,
    context: &Context,
    (range, is_compact): (Range, bool),
) -> Vec<Fact> {
    if figures.at.is_none() {
        return Vec::new();
    }
    if let Some(why) = untold(figures, context.now) {
        return vec![
            styled("now", why, context.theme.bad),
            fact(
                "calls",
                format!("{} in the range", format::count(figures.sum.calls)),
            ),
        ];
    }
    let number = |value: u64| format::count(value);
    let tenths = figures.rate_tenths();
    let rate = format!("{}.{}", tenths / 10, tenths % 10);
    let flight = format!(
        "{}   streams {}",
        number(figures.in_flight),
        number(figures.streams)
    );
    let sum = &figures.sum;
    let mut facts = Vec::new();
    if is_compact {
        facts.extend([fact("calls/s", rate), fact("in flight", flight)]);
        facts.extend(latency(figures, true));
    } else {
        let rate = format!("{rate}   curve of {}", range.curve());
        let calls = format!("{}   streams {}", number(sum.calls), number(sum.streams));
        let tokens = format!(
            "{} in, {} out",
            number(sum.input_tokens),
            number(sum.output_tokens)
        );
        facts.extend([
            fact("calls/s", rate),
            fact("in flight", flight),
            fact("requests", number(sum.requests)),
            fact("calls", calls),
            fact("tokens", tokens),
        ]);
    }
    facts.push(errors(figures, context, is_compact));
    facts
}

fn errors(figures: &Figures, context: &Context, is_compact: bool) -> Fact {
    let sum = &figures.sum;
    let count = lines::errors(sum);
    let share = format::percent(count, sum.calls.max(count));
    // Where there is no room for all causes, the most frequent one is told.
    let lines = lines::of_errors(sum);
    let first = lines.iter().find(|line| line.id != lines::CALLER_GONE);
    let text = match first.filter(|_| is_compact) {
        Some(cause) => format!("{share}  {} {}", cause.left, cause.right),
        None => format!("{share}   retries {}", format::count(sum.retries)),
    };
    let style = if count * 20 > sum.calls.max(count) {
        context.theme.warn
    } else {
        context.theme.text
    };
    styled("errors", text, style)
}

fn times(label: &str, times: &Histogram, write: fn(u64) -> String) -> Fact {
    let at = |per_mille| {
        times
            .quantile(per_mille)
            .map_or_else(|| "-".to_owned(), write)
    };
    let text = format!("{:>7} {:>7} {:>7}", at(500), at(950), at(990));
    fact(label, text)
}

fn millis(value: u64) -> String {
    format::millis(i64::try_from(value).unwrap_or(i64::MAX))
}

/// Microseconds as people read them: 850us, 1.2ms.
fn micros(value: u64) -> String {
    match value {
        ..1_000 => format!("{value}us"),
        1_000..10_000 => format!("{}.{}ms", value / 1_000, value % 1_000 / 100),
        _ => millis(value / 1_000),
    }
}

/// Times by p50, p95 and p99. What the gateway takes itself stands apart.
pub(super) fn latency(figures: &Figures, is_compact: bool) -> Vec<Fact> {
    if figures.at.is_none() {
        return Vec::new();
    }
    let sum = &figures.sum;
    let (first, own) = if is_compact {
        ("ttfb 50/95/99", "own overhead")
    } else {
        ("ttfb", "overhead")
    };
    let mut facts = Vec::new();
    if !is_compact {
        facts.push(fact("", format!("{:>7} {:>7} {:>7}", "p50", "p95", "p99")));
    }
    facts.extend([
        times(first, &sum.first_token_ms, millis),
        times("total", &sum.total_ms, millis),
        times(own, &sum.overhead_us, micros),
    ]);
    if !is_compact {
        facts.push(fact("", "overhead: the gateway's own part"));
    }
    facts
}

fn margin(billed: NanoUsd, cost: NanoUsd) -> String {
    format::percent(billed.minus(cost).0, billed.0)
}

/// Money of today, beside yesterday's where there is room.
pub(super) fn money(standing: &Standing, context: &Context, wide: bool) -> Vec<Fact> {
    let (today, before) = (&standing.today, &standing.yesterday);
    let both = |now: String, then: String| {
        if wide {
            format!("{now:>14} {then:>14}")
        } else {
            format!("{now:>14}")
        }
    };
    let mut facts = Vec::new();
    if wide {
        facts.push(styled(
            "",
            both("today".into(), "yesterday".into()),
            context.theme.dim,
        ));
    }
    facts.extend([
        fact(
            "credits used",
            both(
                format::credits(today.credits),
                format::credits(before.credits),
            ),
        ),
        fact(
            "provider cost",
            both(
                format::dollars(today.provider_cost),
                format::dollars(before.provider_cost),
            ),
        ),
        fact(
            "billed",
            both(
                format::dollars(today.client_cost),
                format::dollars(before.client_cost),
            ),
        ),
        fact(
            "margin",
            both(
                margin(today.client_cost, today.provider_cost),
                margin(before.client_cost, before.provider_cost),
            ),
        ),
        low(standing, context),
        checked(standing, context),
    ]);
    facts
}

fn low(standing: &Standing, context: &Context) -> Fact {
    match standing.low.1 {
        0 => fact("low balance", format!("{:>14}", "none")),
        1 => styled(
            "low balance",
            format!("{:>14}", "1 team !"),
            context.theme.warn,
        ),
        count => {
            let text = format!("{} teams !", format::number(count));
            styled("low balance", format!("{text:>14}"), context.theme.warn)
        }
    }
}

fn checked(standing: &Standing, context: &Context) -> Fact {
    let theme = &context.theme;
    match &standing.check {
        None => styled("ledger", "never verified", theme.warn),
        Some(check) => {
            let age = format::age(check.at, context.now);
            match check.differences {
                0 => styled("ledger", format!("balanced, {age} ago"), theme.good),
                count => {
                    let text = format!("! {} wrong, {age} ago", format::number(count));
                    styled("ledger", text, theme.bad)
                }
            }
        }
    }
}
