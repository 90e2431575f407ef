//! Balances, entries and reports as they are shown.

use serde::Serialize;
use tollgate_common::clock::Timestamp;
use tollgate_common::db::ledger::EntryRow;
use tollgate_common::db::verify::{Difference, Report};
use tollgate_common::id::{JobId, TeamId};
use tollgate_common::ledger::{Account, Entry, Window};
use tollgate_common::money::Credits;

use crate::cli::output::{Column, Row, Show, numbers, or_dash, time, words};

/// What a team may be charged in a window, and what of it is used.
#[derive(Debug, Serialize)]
pub(crate) struct BudgetsView {
    budget_day: Option<Credits>,
    used_today: Credits,
    budget_month: Option<Credits>,
    used_this_month: Credits,
}

impl BudgetsView {
    /// The budgets as they stand at `now`.
    pub(crate) fn new(account: &Account, now: Timestamp) -> Self {
        Self {
            budget_day: account.budget_day.limit,
            used_today: account.charged_in(Window::Day, now),
            budget_month: account.budget_month.limit,
            used_this_month: account.charged_in(Window::Month, now),
        }
    }

    /// The same for people.
    pub(crate) fn fields(&self) -> [(&'static str, String); 4] {
        [
            ("budget a day", or_dash(self.budget_day)),
            ("used today", self.used_today.to_string()),
            ("budget a month", or_dash(self.budget_month)),
            ("used this month", self.used_this_month.to_string()),
        ]
    }
}

/// What a team has.
#[derive(Debug, Serialize)]
pub(super) struct BalanceView {
    team: TeamId,
    balance: Credits,
    held: Credits,
    available: Credits,
    owed: Credits,
    overdraft: Credits,
    allocated: Credits,
    used: Credits,
    #[serde(flatten)]
    budgets: BudgetsView,
}

impl BalanceView {
    /// The balance as it stands at `now`.
    pub(super) fn new(account: Account, now: Timestamp) -> Self {
        Self {
            budgets: BudgetsView::new(&account, now),
            available: account.available(),
            team: account.team_id,
            balance: account.balance,
            held: account.held,
            owed: account.owed,
            overdraft: account.overdraft,
            allocated: account.allocated,
            used: account.used,
        }
    }
}

/// A hold that was given back.
#[derive(Debug, Serialize)]
pub(super) struct ReleasedView {
    /// Its job.
    pub(super) job_id: JobId,
    /// What it held.
    pub(super) credits: Credits,
}

impl BalanceView {
    /// Whose.
    pub(super) const fn team(&self) -> &TeamId {
        &self.team
    }
}

impl Show for BalanceView {
    fn fields(&self) -> Vec<(&'static str, String)> {
        let mut fields = vec![
            ("team", self.team.to_string()),
            ("balance", self.balance.to_string()),
            ("held", self.held.to_string()),
            ("available", self.available.to_string()),
            ("owed", self.owed.to_string()),
            ("overdraft", self.overdraft.to_string()),
            ("allocated", self.allocated.to_string()),
            ("used", self.used.to_string()),
        ];
        fields.extend(self.budgets.fields());
        fields
    }
}

/// An entry of the ledger.
#[derive(Debug, Serialize)]
pub(super) struct EntryView {
    number: i64,
    kind: String,
    amount: Credits,
    balance_before: Credits,
    balance_after: Credits,
    shortfall: Credits,
    debt: Credits,
    job_id: Option<String>,
    reason: String,
    actor: String,
    created_at: Timestamp,
}

impl From<EntryRow> for EntryView {
    fn from(entry: EntryRow) -> Self {
        Self {
            number: entry.number,
            kind: entry.kind,
            amount: entry.amount,
            balance_before: entry.before,
            balance_after: entry.after,
            shortfall: entry.shortfall,
            debt: entry.debt,
            job_id: entry.job_id,
            reason: entry.reason,
            actor: entry.actor,
            created_at: entry.at,
        }
    }
}

impl From<Entry> for EntryView {
    fn from(entry: Entry) -> Self {
        Self {
            number: entry.number,
            kind: entry.kind.word().to_owned(),
            amount: entry.amount,
            balance_before: entry.before,
            balance_after: entry.after,
            shortfall: entry.shortfall,
            debt: entry.debt,
            job_id: entry.job_id.map(|id| id.to_string()),
            reason: entry.reason,
            actor: entry.actor,
            created_at: entry.at,
        }
    }
}

impl Row for EntryView {
    const COLUMNS: &'static [Column] = &[
        numbers("NUMBER"),
        words("TIME"),
        words("KIND"),
        numbers("AMOUNT"),
        numbers("BALANCE"),
        words("JOB"),
        words("ACTOR"),
        words("REASON"),
    ];

    fn cells(&self) -> Vec<String> {
        vec![
            self.number.to_string(),
            time(self.created_at),
            self.kind.clone(),
            format!("{:+}", self.amount.0),
            self.balance_after.to_string(),
            or_dash(self.job_id.as_ref()),
            self.actor.clone(),
            self.reason.clone(),
        ]
    }
}

impl Show for Report {
    fn fields(&self) -> Vec<(&'static str, String)> {
        vec![
            ("accounts", self.accounts.to_string()),
            ("entries", self.entries.to_string()),
            ("jobs", self.jobs.to_string()),
            ("calls", self.calls.to_string()),
            ("differences", self.differences.len().to_string()),
        ]
    }
}

impl Row for Difference {
    const COLUMNS: &'static [Column] = &[
        words("PLACE"),
        numbers("STORED"),
        numbers("EXPECTED"),
        words("RULE"),
    ];

    fn cells(&self) -> Vec<String> {
        vec![
            self.place.clone(),
            self.stored.to_string(),
            self.expected.to_string(),
            self.rule.to_owned(),
        ]
    }
}
