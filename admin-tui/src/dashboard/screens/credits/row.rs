//! Accounts, holds and entries as rows of lists.

use std::time::Duration;

use serde_json::json;
use tollgate_common::db::page::Place;
use tollgate_common::ledger::Window;
use tollgate_common::money::Credits;

use crate::dashboard::context::Context;
use crate::dashboard::format;
use crate::dashboard::store::credits::{AccountRow, HoldRow, LedgerRow};
use crate::dashboard::widgets::columns::{Column, ONLY_WIDE, numbers, words};
use crate::dashboard::widgets::list::{Cell, Row, cell};

/// How often ages and windows of budgets are drawn again.
pub(super) const LOOK: Duration = Duration::from_secs(10);

/// What lasts for less than so many days needs a look.
pub(super) const SOON: i64 = 3;

/// A hold that nobody has worked on for so long, without a call in flight, may be stuck.
const STUCK: Duration = Duration::from_hours(1);

/// Used of a budget: `12 of 50`.
fn budget(used: Credits, limit: Option<Credits>) -> String {
    match limit {
        Some(limit) => format!("{} of {}", format::credits(used), format::credits(limit)),
        None => format::credits(used),
    }
}

impl Row for AccountRow {
    type Cursor = Place;

    const COLUMNS: &'static [Column] = &[
        words("TEAM", 12, 26, 0),
        words("ORG", 8, 18, 5),
        numbers("AVAILABLE", 12, 1),
        numbers("BALANCE", 12, 2),
        numbers("HELD", 9, 2),
        numbers("USED", 12, 4),
        numbers("ALLOCATED", 12, 6),
        numbers("OVERDRAFT", 9, 7),
        numbers("PER DAY", 9, 3),
        numbers("LASTS", 7, 3),
        words("TODAY", 10, 18, 7),
        words("MONTH", 10, 20, 8),
        words("STATUS", 9, 9, ONLY_WIDE),
    ];

    fn cursor(&self) -> Place {
        self.place.clone()
    }

    fn id(&self) -> String {
        self.listed.account.team_id.to_string()
    }

    fn cells(&self, context: &Context) -> Vec<Cell> {
        let (listed, account) = (&self.listed, &self.listed.account);
        let (theme, now) = (&context.theme, context.now);
        let available = account.available();
        let days = listed.days_left(now);
        let is_low = days.is_some_and(|days| days < SOON);
        let style = if !available.is_positive() {
            theme.bad
        } else if is_low {
            theme.warn
        } else {
            theme.text
        };
        let lasts = match days {
            _ if !available.is_positive() => "! empty".to_owned(),
            None => "-".to_owned(),
            Some(0) => "! <1d".to_owned(),
            Some(days) if days < SOON => format!("! {days}d"),
            Some(days) if days > 999 => ">999d".to_owned(),
            Some(days) => format!("{days}d"),
        };
        let charged = |window| account.charged_in(window, now);
        vec![
            self.id().into(),
            listed.org_id.to_string().into(),
            cell(format::credits(available), style),
            format::credits(account.balance).into(),
            format::credits(account.held).into(),
            format::credits(account.used).into(),
            format::credits(account.allocated).into(),
            format::credits(account.overdraft).into(),
            format::credits(listed.burn(now)).into(),
            cell(lasts, style),
            budget(charged(Window::Day), account.budget_day.limit).into(),
            budget(charged(Window::Month), account.budget_month.limit).into(),
            listed.status.clone().into(),
        ]
    }

    fn json(&self) -> serde_json::Value {
        let (listed, account) = (&self.listed, &self.listed.account);
        json!({
            "team": account.team_id,
            "org": listed.org_id,
            "balance": account.balance,
            "held": account.held,
            "available": account.available(),
            "allocated": account.allocated,
            "used": account.used,
            "owed": account.owed,
            "overdraft": account.overdraft,
            "budget_day": account.budget_day.limit,
            "budget_month": account.budget_month.limit,
        })
    }
}

impl HoldRow {
    /// Whether nobody seems to work on it any more.
    pub(super) fn is_idle(&self, context: &Context) -> bool {
        self.hold.in_flight == 0 && context.now.since(self.hold.active_at) > STUCK
    }
}

impl Row for HoldRow {
    type Cursor = Place;

    const COLUMNS: &'static [Column] = &[
        words("JOB", 8, 8, 0),
        words("TYPE", 8, 20, 2),
        words("STATUS", 11, 11, 3),
        numbers("HELD", 9, 1),
        numbers("AGE", 6, 2),
        numbers("IDLE", 8, 1),
        numbers("IN FLIGHT", 9, 2),
        words("USER", 8, 16, 5),
    ];

    fn cursor(&self) -> Place {
        self.place.clone()
    }

    fn id(&self) -> String {
        self.hold.job_id.to_string()
    }

    fn cells(&self, context: &Context) -> Vec<Cell> {
        let (hold, now) = (&self.hold, context.now);
        let idle = format::age(hold.active_at, now);
        let idle = if self.is_idle(context) {
            cell(format!("! {idle}"), context.theme.warn)
        } else {
            idle.into()
        };
        vec![
            format::short_id(&self.id()).into(),
            hold.job_type.clone().into(),
            hold.state.word().into(),
            format::credits(hold.credits).into(),
            format::age(hold.created_at, now).into(),
            idle,
            format::number(hold.in_flight).into(),
            hold.user_id
                .clone()
                .unwrap_or_else(|| "-".to_owned())
                .into(),
        ]
    }

    fn json(&self) -> serde_json::Value {
        let hold = &self.hold;
        json!({
            "job_id": hold.job_id,
            "team": hold.team_id,
            "status": hold.state.word(),
            "job_type": hold.job_type,
            "held": hold.credits,
            "created_at": hold.created_at,
            "active_at": hold.active_at,
            "calls_in_flight": hold.in_flight,
        })
    }
}

/// An amount with its sign.
pub(super) fn signed(amount: Credits) -> String {
    let text = format::credits(amount);
    if amount.is_positive() {
        format!("+{text}")
    } else {
        text
    }
}

impl Row for LedgerRow {
    type Cursor = Place;

    const COLUMNS: &'static [Column] = &[
        numbers("NUMBER", 9, 3),
        words("TIME", 19, 19, 1),
        words("KIND", 10, 10, 0),
        numbers("AMOUNT", 11, 0),
        numbers("BALANCE", 12, 0),
        words("JOB", 8, 8, 4),
        words("BY", 8, 14, 5),
        words("REASON", 10, 40, 2),
        numbers("SHORTFALL", 9, ONLY_WIDE),
    ];

    fn cursor(&self) -> Place {
        self.place.clone()
    }

    fn id(&self) -> String {
        format!("{}/{}", self.listed.team_id, self.listed.entry.number)
    }

    fn cells(&self, context: &Context) -> Vec<Cell> {
        let (entry, theme) = (&self.listed.entry, &context.theme);
        let style = match entry.kind.as_str() {
            "overrun" => theme.warn,
            "deduction" => theme.text,
            _ => theme.accent,
        };
        let job = entry.job_id.as_deref().map(format::short_id);
        vec![
            format::number(entry.number).into(),
            format::moment(entry.at).into(),
            cell(entry.kind.clone(), style),
            signed(entry.amount).into(),
            format::credits(entry.after).into(),
            job.unwrap_or_else(|| "-".to_owned()).into(),
            entry.actor.clone().into(),
            entry.reason.clone().into(),
            format::credits(entry.shortfall).into(),
        ]
    }

    fn json(&self) -> serde_json::Value {
        let entry = &self.listed.entry;
        json!({
            "team": self.listed.team_id,
            "number": entry.number,
            "kind": entry.kind,
            "amount": entry.amount,
            "balance_before": entry.before,
            "balance_after": entry.after,
            "shortfall": entry.shortfall,
            "debt": entry.debt,
            "job_id": entry.job_id,
            "reason": entry.reason,
            "actor": entry.actor,
            "created_at": entry.at,
        })
    }
}
