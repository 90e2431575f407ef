//! What asks for attention, each with the place where something can be done about it.

use tollgate_common::clock::Timestamp;
use tollgate_common::db::overview::OddJob;

use super::health::{is_silent, resting};
use crate::dashboard::format;
use crate::dashboard::store::overview::{Books, Present};
use crate::dashboard::tab::Tab;

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    /// Whether it is urgent.
    pub(super) urgent: bool,
    /// What is the matter.
    pub(super) text: String,
    /// Where something can be done about it, and the filter there.
    pub(super) target: Option<(Tab, String)>,
}

fn line(urgent: bool, text: String, tab: Tab, filter: impl Into<String>) -> Line {
    Line {
        urgent,
        text,
        target: Some((tab, filter.into())),
    }
}

/// All lines, the most urgent first.
pub(super) fn lines(present: Option<&Present>, books: Option<&Books>, now: Timestamp) -> Vec<Line> {
    let mut lines = Vec::new();
    if let Some(present) = present {
        nodes(present, now, &mut lines);
        providers(present, &mut lines);
    }
    if let Some(books) = books {
        ledger(books, now, &mut lines);
        balances(books, &mut lines);
        jobs(books, now, &mut lines);
        policy(books, now, &mut lines);
    }
    lines.sort_by_key(|line| !line.urgent);
    lines
}

fn nodes(present: &Present, now: Timestamp, lines: &mut Vec<Line>) {
    if present.nodes.is_empty() {
        let text = "no proxy is running: no call can be served".to_owned();
        lines.push(line(true, text, Tab::Settings, ""));
    }
    for node in present.nodes.iter().filter(|node| is_silent(node, now)) {
        let id = format::short_id(&node.id.to_string());
        let age = format::age(node.seen_at, now);
        let text = format!("proxy {id} has been silent for {age}");
        lines.push(line(true, text, Tab::Settings, ""));
    }
}

fn providers(present: &Present, lines: &mut Vec<Line>) {
    for (name, keys) in present.providers.iter().filter(|(_, keys)| keys.enabled) {
        let rest = resting(present, keys);
        let all = keys.keys.len();
        let text = match (all, rest) {
            (0, _) => format!("provider {name} has no key that may be used"),
            (_, 0) => continue,
            (all, rest) if all == rest => format!("provider {name}: all its keys rest"),
            (all, rest) => format!("provider {name}: {rest} of {all} keys rest"),
        };
        lines.push(line(all == rest, text, Tab::Providers, name));
    }
}

fn ledger(books: &Books, now: Timestamp, lines: &mut Vec<Line>) {
    let Some(check) = books.check.as_ref().filter(|check| check.differences > 0) else {
        return;
    };
    let age = format::age(check.at, now);
    let text = format!("{} differences in the ledger, {age} ago", check.differences);
    lines.push(line(true, text, Tab::Credits, ""));
}

fn balances(books: &Books, lines: &mut Vec<Line>) {
    for low in &books.low {
        let team = low.team_id.to_string();
        let urgent = !low.available.is_positive();
        let text = if urgent {
            format!("team {team} has no credits left")
        } else {
            let left = format::credits(low.available);
            let share = format::percent(low.available.0, low.allocated.0);
            format!("team {team} has {left} credits left ({share})")
        };
        lines.push(line(urgent, text, Tab::Teams, team));
    }
}

fn jobs(books: &Books, now: Timestamp, lines: &mut Vec<Line>) {
    let described = |job: &OddJob| {
        let id = job.id.to_string();
        let age = format::age(job.at, now);
        (
            format!("job {} of {}", format::short_id(&id), job.team_id),
            age,
            id,
        )
    };
    for job in &books.stuck {
        let (what, age, id) = described(job);
        let held = format::credits(job.hold);
        let text = format!("{what} holds {held} and nothing happened for {age}");
        lines.push(line(false, text, Tab::Jobs, id));
    }
    for job in &books.failed {
        let (what, age, id) = described(job);
        let why = job.error.as_deref().unwrap_or("without a reason");
        let text = format!("{what} failed {age} ago: {why}");
        lines.push(line(false, text, Tab::Jobs, id));
    }
}

fn policy(books: &Books, now: Timestamp, lines: &mut Vec<Line>) {
    for alias in &books.unpriced {
        let text = format!("model {alias} has no price: teams charged by cost are refused");
        lines.push(line(true, text, Tab::Models, alias.to_string()));
    }
    for (key, team, ends_at) in &books.expiring {
        let span = format::span(ends_at.since(now));
        let text = format!("key {key} of {team} ends in {span}");
        lines.push(line(false, text, Tab::Keys, key.to_string()));
    }
}
