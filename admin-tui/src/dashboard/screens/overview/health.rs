//! How nodes and providers are, in words.

use ratatui::style::Style;
use tollgate_common::clock::Timestamp;
use tollgate_common::live::ProviderTraffic;

use super::SILENT_AFTER;
use crate::dashboard::format;
use crate::dashboard::store::overview::{NodeLine, Present, ProviderKeys};
use crate::dashboard::theme::Theme;

/// The slowest answer of twenty that still counts as well, in milliseconds.
const SLOW_MS: u64 = 10_000;

/// Tries from which on a share of failures says something.
const TRIES_LEAST: u64 = 5;

/// Whether a node has been silent for too long.
pub(super) fn is_silent(node: &NodeLine, now: Timestamp) -> bool {
    now.since(node.seen_at) > SILENT_AFTER
}

/// How many nodes there are and how many of them live.
pub(super) fn nodes(nodes: &[NodeLine], now: Timestamp) -> String {
    let living = nodes.iter().filter(|node| !is_silent(node, now)).count();
    match (nodes.len(), living) {
        (0, _) => "no proxy is running".to_owned(),
        (1, 1) => "1 proxy".to_owned(),
        (all, living) if all == living => format!("{all} proxies"),
        (all, living) => format!("{living}/{all} proxies"),
    }
}

/// How a provider is: a word and how it looks.
pub(super) fn provider(
    keys: &ProviderKeys,
    resting: usize,
    traffic: Option<&ProviderTraffic>,
    theme: &Theme,
) -> (String, Style) {
    if !keys.enabled {
        return ("off".to_owned(), theme.dim);
    }
    if keys.keys.is_empty() {
        return ("NO KEY".to_owned(), theme.bad);
    }
    if resting == keys.keys.len() {
        return ("DOWN".to_owned(), theme.bad);
    }
    if resting > 0 {
        return (format!("{resting} of {} rest", keys.keys.len()), theme.warn);
    }
    let Some(traffic) = traffic else {
        return ("idle".to_owned(), theme.dim);
    };
    let is_failing = traffic.tries >= TRIES_LEAST && traffic.failures * 2 >= traffic.tries;
    if is_failing {
        return ("FAILING".to_owned(), theme.bad);
    }
    if traffic
        .total_ms
        .quantile(950)
        .is_some_and(|p95| p95 >= SLOW_MS)
    {
        return ("SLOW".to_owned(), theme.warn);
    }
    ("ok".to_owned(), theme.good)
}

/// How many of a provider's keys rest at any node.
pub(super) fn resting(present: &Present, keys: &ProviderKeys) -> usize {
    let rests = |key: &&String| {
        let nodes = present.nodes.iter().filter_map(|node| node.told.as_ref());
        let mut rested = nodes.flat_map(|told| &told.figures.resting);
        rested.any(|rest| rest.credential_id == **key)
    };
    keys.keys.iter().filter(rests).count()
}

/// Milliseconds as people read them, or a dash.
pub(super) fn millis(value: Option<u64>) -> String {
    value.map_or_else(
        || "-".to_owned(),
        |value| format::millis(i64::try_from(value).unwrap_or(i64::MAX)),
    )
}

/// Microseconds as milliseconds with a decimal, or a dash.
pub(super) fn micros(value: Option<u64>) -> String {
    value.map_or_else(
        || "-".to_owned(),
        |value| format!("{}.{}ms", value / 1_000, value % 1_000 / 100),
    )
}
