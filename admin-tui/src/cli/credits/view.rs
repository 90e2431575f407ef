//! Balances, entries and reports as they are shown.

use serde::Serialize;
use tollgate_common::clock::Timestamp;
use tollgate_common::db::ledger::EntryRow;
use tollgate_common::db::verify::{Difference, Report};
use tollgate_common::id::TeamId;
use tollgate_common::ledger::{Account, Entry};
use tollgate_common::money::Credits;

use crate::cli::output::{Column, Row, Show, numbers, or_dash, time, words};

/// What a team has.
#[derive(Debug, Serialize)]
pub(super) struct BalanceView {
    team: TeamId,
    balance: Credits,
    held: Credits,
    available: Credits,
    overdraft: Credits,
    allocated: Credits,
    used: Credits,
}

impl From<Account> for BalanceView {
    fn from(account: Account) -> Self {
        Self {
            available: account.available(),
            team: account.team_id,
            balance: account.balance,
            held: account.held,
            overdraft: account.overdraft,
            allocated: account.allocated,
            used: account.used,
        }
    }
}

impl Show for BalanceView {
    fn fields(&self) -> Vec<(&'static str, String)> {
        vec![
            ("team", self.team.to_string()),
            ("balance", self.balance.to_string()),
            ("held", self.held.to_string()),
            ("available", self.available.to_string()),
            ("overdraft", self.overdraft.to_string()),
            ("allocated", self.allocated.to_string()),
            ("used", self.used.to_string()),
        ]
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
