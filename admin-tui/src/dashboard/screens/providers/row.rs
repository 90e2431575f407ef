//! A provider and its keys as rows, and how they are.

use ratatui::style::Style;
use serde_json::json;
use tollgate_common::clock::Timestamp;
use tollgate_common::db::page::Place;
use tollgate_common::db::provider::list::ListedKey;

use crate::dashboard::context::Context;
use crate::dashboard::format;
use crate::dashboard::store::providers::{ProviderRow, Rest};
use crate::dashboard::theme::Theme;
use crate::dashboard::widgets::columns::{Column, ONLY_WIDE, numbers, words};
use crate::dashboard::widgets::list::{Cell, Row, cell};

/// Of fewer tries than this, a share says nothing.
const TRIES_MIN: u64 = 5;

/// A breaker that lets no call through, as nodes tell of it.
const OPEN: &str = "open";

/// How a provider is, by what is stored and by what nodes tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Health {
    Disabled,
    NoKey,
    Down,
    Failing,
    Resting,
    Limited,
    Errors,
    Ok,
    Idle,
    Unknown,
}

impl Health {
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Disabled => "disabled",
            Self::NoKey => "NO KEY",
            Self::Down => "DOWN",
            Self::Failing => "FAILING",
            Self::Resting => "resting",
            Self::Limited => "limited",
            Self::Errors => "errors",
            Self::Ok => "ok",
            Self::Idle => "idle",
            Self::Unknown => "unknown",
        }
    }

    /// What it means.
    pub(super) const fn meaning(self) -> &'static str {
        match self {
            Self::Disabled => "no node uses it: p enables it",
            Self::NoKey => "none is enabled: a adds one",
            Self::Down => "every key rests on every node",
            Self::Failing => "half of the tries or more fail",
            Self::Resting => "some keys are left alone after failures",
            Self::Limited => "some keys wait for a rate limit",
            Self::Errors => "more than one try in twenty fails",
            Self::Ok => "",
            Self::Idle => "nothing was asked of it lately",
            Self::Unknown => "no node has told anything just now",
        }
    }

    pub(super) const fn style(self, theme: &Theme) -> Style {
        match self {
            Self::NoKey | Self::Down | Self::Failing => theme.bad,
            Self::Resting | Self::Limited | Self::Errors => theme.warn,
            Self::Ok => theme.good,
            Self::Disabled | Self::Idle | Self::Unknown => theme.dim,
        }
    }
}

impl ProviderRow {
    /// How people call it: its name, and whose it is if it is not for all.
    pub(super) fn name(&self) -> String {
        let provider = &self.listed.provider;
        match &provider.org_id {
            Some(org) => format!("{} of {org}", provider.name),
            None => provider.name.to_string(),
        }
    }

    /// How many of its keys are enabled.
    pub(super) fn enabled_keys(&self) -> usize {
        self.listed.keys.iter().filter(|key| key.enabled).count()
    }

    /// How a key rests on the nodes that leave it alone.
    pub(super) fn rests_of(&self, key: &ListedKey) -> impl Iterator<Item = &Rest> {
        let id = key.id.to_string();
        self.rests
            .iter()
            .filter(move |rest| rest.key.credential_id == id)
    }

    pub(super) fn health(&self) -> Health {
        let enabled = || self.listed.keys.iter().filter(|key| key.enabled);
        if !self.listed.enabled {
            return Health::Disabled;
        }
        if self.enabled_keys() == 0 {
            return Health::NoKey;
        }
        if self.nodes == 0 {
            return Health::Unknown;
        }
        let is_down = |key: &ListedKey| {
            let open = self.rests_of(key).filter(|rest| rest.is_of_key());
            let open = open.filter(|rest| rest.key.condition == OPEN);
            open.count() >= self.nodes
        };
        if enabled().all(is_down) {
            return Health::Down;
        }
        let (tries, failures) = (self.traffic.tries, self.traffic.failures);
        if tries >= TRIES_MIN && failures * 2 >= tries {
            return Health::Failing;
        }
        let mut rests = enabled().flat_map(|key| self.rests_of(key)).peekable();
        if rests.peek().is_some() {
            let is_limit = |rest: &Rest| rest.key.condition == "rate_limited";
            return if rests.all(is_limit) {
                Health::Limited
            } else {
                Health::Resting
            };
        }
        match tries {
            0 => Health::Idle,
            _ if tries >= TRIES_MIN && failures * 20 > tries => Health::Errors,
            _ => Health::Ok,
        }
    }

    /// The share of tries that failed.
    pub(super) fn error_share(&self) -> String {
        let whole = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        format::percent(whole(self.traffic.failures), whole(self.traffic.tries))
    }

    /// The time that 95 of 100 answers took at most.
    pub(super) fn p95(&self) -> String {
        let quantile = self.traffic.total_ms.quantile(950);
        quantile.map_or_else(
            || "-".to_owned(),
            |ms| format::millis(i64::try_from(ms).unwrap_or(i64::MAX)),
        )
    }

    /// Its enabled keys by their ends, or how many there are.
    fn keys_cell(&self, context: &Context) -> Cell {
        let (enabled, all) = (self.enabled_keys(), self.listed.keys.len());
        let text = if enabled == all {
            all.to_string()
        } else {
            format!("{enabled} of {all}")
        };
        let style = if enabled == 0 {
            context.theme.bad
        } else {
            context.theme.text
        };
        cell(text, style)
    }
}

/// A rest in words: what, since how many failures, for how long yet.
pub(super) fn rest_words(rest: &Rest, context: &Context) -> String {
    let until = Timestamp::from_micros(rest.key.rests_until);
    let left = format::span(until.since(context.now));
    let words = match rest.key.condition.as_str() {
        OPEN if rest.key.is_unreachable => format!("open: host unreachable, {left} left"),
        OPEN if rest.is_of_key() && rest.key.failures == 0 => {
            format!("open: key or account refused, {left} left")
        }
        OPEN => format!("open after {} failures, {left} left", rest.key.failures),
        "half_open" => "half open: a few calls probe it".to_owned(),
        "rate_limited" => format!("rate limited, {left} left"),
        other => other.to_owned(),
    };
    let whom = match rest.key.teams {
        0 => String::new(),
        1 => " for one team".to_owned(),
        teams => format!(" for {teams} teams"),
    };
    match &rest.key.upstream_model {
        Some(model) => format!("{model}: {words}{whom}"),
        None => words,
    }
}

impl Rest {
    /// Whether it is of the key itself and not of one model behind it.
    pub(super) const fn is_of_key(&self) -> bool {
        self.key.upstream_model.is_none()
    }
}

impl Row for ProviderRow {
    type Cursor = Place;

    const COLUMNS: &'static [Column] = &[
        words("NAME", 10, 20, 0),
        words("ORG", 6, 14, 4),
        words("KIND", 9, 9, 3),
        words("HEALTH", 8, 8, 0),
        words("KEYS", 6, 7, 1),
        numbers("TRIES 15M", 9, 2),
        numbers("ERRORS", 6, 1),
        numbers("P95", 6, 1),
        numbers("MODELS", 6, 3),
        words("BASE URL", 20, 40, 5),
        words("CHANGED", 7, 19, ONLY_WIDE),
    ];

    fn cursor(&self) -> Place {
        self.place.clone()
    }

    fn id(&self) -> String {
        let provider = &self.listed.provider;
        match &provider.org_id {
            Some(org) => format!("{org}/{}", provider.name),
            None => provider.name.to_string(),
        }
    }

    fn cells(&self, context: &Context) -> Vec<Cell> {
        let (listed, theme) = (&self.listed, &context.theme);
        let health = self.health();
        let org = listed.provider.org_id.as_ref();
        let shown = match health {
            Health::Down | Health::Failing | Health::Errors => health.style(theme),
            _ => theme.text,
        };
        vec![
            listed.provider.name.to_string().into(),
            org.map_or_else(|| "all".into(), |org| org.to_string().into()),
            listed.kind.word().into(),
            cell(health.word(), health.style(theme)),
            self.keys_cell(context),
            format::count(self.traffic.tries).into(),
            cell(self.error_share(), shown),
            self.p95().into(),
            format::number(listed.models).into(),
            listed.base_url.to_string().into(),
            format::moment(listed.updated_at).into(),
        ]
    }

    fn json(&self) -> serde_json::Value {
        let listed = &self.listed;
        let keys = listed.keys.iter().map(|key| {
            json!({
                "id": key.id,
                "hint": key.hint,
                "enabled": key.enabled,
                "created_at": key.created_at,
            })
        });
        json!({
            "name": listed.provider.name,
            "org": listed.provider.org_id,
            "kind": listed.kind.word(),
            "base_url": listed.base_url.to_string(),
            "pass_fields": listed.pass_fields,
            "enabled": listed.enabled,
            "keys": keys.collect::<Vec<_>>(),
            "models": listed.models,
            "tries_15m": self.traffic.tries,
            "failures_15m": self.traffic.failures,
            "p95_ms_15m": self.traffic.total_ms.quantile(950),
            "health": self.health().word(),
            "resting": self.rests.iter().map(|rest| json!({
                "node": rest.node,
                "key": rest.key,
            })).collect::<Vec<_>>(),
        })
    }
}

/// A key of a provider as a row.
#[derive(Debug, Clone)]
pub(super) struct KeyRow {
    /// The key.
    pub(super) key: ListedKey,
    /// How it rests, on each node that leaves it alone.
    pub(super) rests: Vec<Rest>,
    /// How many nodes have told of themselves just now.
    nodes: usize,
    /// Its place among the provider's keys.
    place: usize,
}

impl KeyRow {
    /// The keys of a provider.
    pub(super) fn of(provider: &ProviderRow) -> Vec<Self> {
        let keys = provider.listed.keys.iter().enumerate();
        keys.map(|(place, key)| Self {
            key: key.clone(),
            rests: provider.rests_of(key).cloned().collect(),
            nodes: provider.nodes,
            place,
        })
        .collect()
    }

    fn condition(&self, context: &Context) -> (String, Style) {
        let theme = &context.theme;
        match self.rests.as_slice() {
            _ if !self.key.enabled => ("not used".to_owned(), theme.dim),
            _ if self.nodes == 0 => ("no node has told".to_owned(), theme.dim),
            [] => ("closed".to_owned(), theme.good),
            [one] if self.nodes == 1 => (rest_words(one, context), theme.warn),
            more => {
                let count = more.iter().filter(|rest| rest.is_of_key()).count();
                if count == 0 {
                    return ("closed, but not for all models".to_owned(), theme.warn);
                }
                let text = format!("rests on {count} of {} nodes", self.nodes);
                let is_everywhere = count >= self.nodes;
                (text, if is_everywhere { theme.bad } else { theme.warn })
            }
        }
    }
}

impl Row for KeyRow {
    type Cursor = usize;

    const COLUMNS: &'static [Column] = &[
        words("KEY", 6, 8, 0),
        words("STATUS", 8, 8, 0),
        words("BREAKER", 16, 40, 1),
        numbers("AGE", 6, 2),
        words("ID", 8, 41, 3),
        words("STORED", 10, 19, ONLY_WIDE),
    ];

    fn cursor(&self) -> usize {
        self.place
    }

    fn id(&self) -> String {
        self.key.id.to_string()
    }

    fn cells(&self, context: &Context) -> Vec<Cell> {
        let theme = &context.theme;
        let (status, style) = if self.key.enabled {
            ("enabled", theme.good)
        } else {
            ("disabled", theme.dim)
        };
        let (condition, condition_style) = self.condition(context);
        vec![
            hint(&self.key, context).into(),
            cell(status, style),
            cell(condition, condition_style),
            format::age(self.key.created_at, context.now).into(),
            self.id().into(),
            format::moment(self.key.created_at).into(),
        ]
    }

    fn json(&self) -> serde_json::Value {
        json!({
            "id": self.key.id,
            "hint": self.key.hint,
            "enabled": self.key.enabled,
            "created_at": self.key.created_at,
            "resting": self.rests.iter().map(|rest| json!({
                "node": rest.node,
                "key": rest.key,
            })).collect::<Vec<_>>(),
        })
    }
}

/// The end of a key, in characters that the terminal has.
pub(super) fn hint(key: &ListedKey, context: &Context) -> String {
    key.hint.replace('…', context.charset.ellipsis())
}
