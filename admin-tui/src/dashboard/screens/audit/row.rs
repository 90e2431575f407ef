//! A change in a list, and the way to what was changed.

use ratatui::style::Style;
use serde_json::{Value, json};
use tollgate_common::clock::Timestamp;
use tollgate_common::db::audit::AuditRecord;
use tollgate_common::id::AuditId;

use crate::dashboard::context::Context;
use crate::dashboard::format;
use crate::dashboard::screens::place_of;
use crate::dashboard::step::Step;
use crate::dashboard::store::Found;
use crate::dashboard::theme::Theme;
use crate::dashboard::widgets::columns::{Column, ONLY_WIDE, words};
use crate::dashboard::widgets::list::{Cell, Row, cell};

impl Row for AuditRecord {
    type Cursor = AuditId;

    const COLUMNS: &'static [Column] = &[
        words("TIME (UTC)", 14, 14, 0),
        words("WHO", 8, 14, 1),
        words("WHAT", 15, 20, 0),
        words("TARGET", 16, 28, 0),
        words("WHY", 14, 30, 2),
        words("FROM", 15, 15, ONLY_WIDE),
    ];

    fn cursor(&self) -> AuditId {
        self.id
    }

    fn id(&self) -> String {
        self.id.to_string()
    }

    fn cells(&self, context: &Context) -> Vec<Cell> {
        let theme = &context.theme;
        let missing = || "-".to_owned();
        vec![
            cell(time(self.at, context.now), theme.dim),
            Cell::from(self.actor.clone()),
            cell(self.action.clone(), action_style(&self.action, theme)),
            Cell::from(self.target.clone()),
            cell(self.reason.clone().unwrap_or_else(missing), theme.dim),
            cell(self.origin.clone().unwrap_or_else(missing), theme.dim),
        ]
    }

    fn json(&self) -> Value {
        json!({
            "id": self.id,
            "at": self.at,
            "actor": self.actor,
            "action": self.action,
            "target": self.target,
            "detail": parsed(Some(&self.detail)),
            "before": parsed(self.before.as_deref()),
            "reason": self.reason,
            "origin": self.origin,
        })
    }
}

/// JSON of the log as a value; nothing if it is none.
pub(super) fn parsed(text: Option<&str>) -> Value {
    text.and_then(|text| serde_json::from_str(text).ok())
        .unwrap_or(Value::Null)
}

/// Day and time, without the year if it is this one.
fn time(at: Timestamp, now: Timestamp) -> String {
    let (text, today) = (format::moment(at), format::moment(now));
    match (text.get(..5), today.get(..5)) {
        (Some(year), Some(this)) if year == this => text.get(5..).unwrap_or("-").to_owned(),
        // To the minute, which is as wide.
        _ => text.get(2..16).unwrap_or("-").to_owned(),
    }
}

/// What stops or ends something stands out.
pub(super) fn action_style(action: &str, theme: &Theme) -> Style {
    let (_, verb) = action.split_once('.').unwrap_or(("", action));
    match verb {
        "suspend" | "revoke" | "remove" | "remove_key" | "fail" => theme.bad,
        "pause" | "disable" | "disable_key" | "cancel" | "adjust" | "rotate" => theme.warn,
        _ => theme.text,
    }
}

/// What was changed, as something that can be gone to.
pub(super) fn object(record: &AuditRecord) -> Option<Found> {
    let (noun, id) = record.target.split_once(':')?;
    let nouns = ["team", "org", "key", "job", "model", "provider"];
    let noun = nouns.into_iter().find(|known| *known == noun)?;
    // A provider of one organization is found by its own name.
    let id = match noun {
        "provider" => id.rsplit('/').next().unwrap_or(id),
        _ => id,
    };
    Some(Found {
        noun,
        id: id.to_owned(),
        label: id.to_owned(),
    })
}

/// How to get to what was changed.
pub(super) fn steps_to_object(record: &AuditRecord) -> Vec<Step> {
    let found = object(record);
    found.as_ref().map(place_of).unwrap_or_default()
}
