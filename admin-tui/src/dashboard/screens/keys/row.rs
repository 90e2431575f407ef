//! A key as a row of the list.

use std::time::Duration;

use serde_json::json;
use tollgate_common::clock::Timestamp;
use tollgate_common::db::page::Place;

use crate::dashboard::context::Context;
use crate::dashboard::format;
use crate::dashboard::store::keys::KeyRow;
use crate::dashboard::widgets::columns::{Column, ONLY_WIDE, numbers, words};
use crate::dashboard::widgets::list::{Cell, Row, cell};

/// Keys that end within so long are said to be expiring.
const SOON: Duration = Duration::from_hours(7 * 24);

/// A key that was used so recently has callers now.
const IN_USE: Duration = Duration::from_mins(5);

/// Ages are shown by the minute at best, as last uses are known to the minute.
const LOOK: Duration = Duration::from_secs(30);

/// When the ages in the list are to be drawn again.
pub(super) fn next_look(context: &Context) -> Timestamp {
    context.now.plus(LOOK)
}

impl KeyRow {
    /// `active`, `expiring`, `expired` or `revoked`.
    pub(super) fn status(&self, now: Timestamp) -> &'static str {
        let key = &self.listed.key;
        match key.expires_at {
            _ if key.revoked_at.is_some() => "revoked",
            Some(end) if end <= now => "expired",
            Some(end) if end <= now.plus(SOON) => "expiring",
            _ => "active",
        }
    }

    /// Whether callers have shown it in the last minutes.
    pub(super) fn is_in_use(&self, now: Timestamp) -> bool {
        let used_at = self.listed.used_at;
        used_at.is_some_and(|at| now.since(at) < IN_USE)
    }

    /// When it was last used, in words.
    pub(super) fn last_use(&self, now: Timestamp) -> String {
        match self.listed.used_at {
            None => "never".to_owned(),
            Some(at) if now.since(at) < Duration::from_mins(1) => "just now".to_owned(),
            // Last uses are known to the minute.
            Some(at) if now.since(at) < Duration::from_hours(1) => {
                format!("{}m ago", now.since(at).as_secs() / 60)
            }
            Some(at) => format!("{} ago", format::age(at, now)),
        }
    }

    /// When it ends, in words.
    pub(super) fn end(&self, now: Timestamp) -> String {
        let key = &self.listed.key;
        if let Some(at) = key.revoked_at {
            return format!("{} ago", format::age(at, now));
        }
        match key.expires_at {
            None => "never".to_owned(),
            Some(end) if end <= now => format!("{} ago", format::age(end, now)),
            Some(end) => format!("in {}", format::span(end.since(now))),
        }
    }
}

fn limit(limit: Option<i64>) -> String {
    limit.map_or_else(|| "-".to_owned(), format::number)
}

impl Row for KeyRow {
    type Cursor = Place;

    const COLUMNS: &'static [Column] = &[
        words("KEY", 8, 8, 0),
        words("TEAM", 10, 24, 1),
        words("LABEL", 8, 24, 2),
        words("STATUS", 8, 8, 1),
        words("LAST USED", 9, 11, 2),
        words("ENDS", 9, 15, 3),
        numbers("RPM", 7, 5),
        numbers("TPM", 9, 6),
        numbers("PARALLEL", 8, 6),
        words("SUCCESSOR", 9, 9, 7),
        words("MADE", 10, 19, ONLY_WIDE),
    ];

    fn cursor(&self) -> Place {
        self.place.clone()
    }

    fn id(&self) -> String {
        self.listed.key.id.to_string()
    }

    fn cells(&self, context: &Context) -> Vec<Cell> {
        let (key, theme, now) = (&self.listed.key, &context.theme, context.now);
        let status = self.status(now);
        let style = match status {
            "active" => theme.good,
            "expiring" => theme.warn,
            _ => theme.dim,
        };
        vec![
            self.id().into(),
            key.team_id.to_string().into(),
            key.label.clone().unwrap_or_else(|| "-".to_owned()).into(),
            cell(status, style),
            self.last_use(now).into(),
            cell(
                self.end(now),
                if status == "expiring" {
                    style
                } else {
                    theme.text
                },
            ),
            limit(key.limits.requests_per_minute).into(),
            limit(key.limits.tokens_per_minute).into(),
            limit(key.limits.parallel_calls).into(),
            match &self.listed.successor {
                Some(id) => id.to_string().into(),
                None => "-".into(),
            },
            format::moment(key.created_at).into(),
        ]
    }

    fn json(&self) -> serde_json::Value {
        let key = &self.listed.key;
        json!({
            "id": key.id,
            "team": key.team_id,
            "label": key.label,
            "limits": key.limits,
            "expires_at": key.expires_at,
            "revoked_at": key.revoked_at,
            "created_at": key.created_at,
            "used_at": self.listed.used_at,
            "successor": self.listed.successor,
        })
    }
}
