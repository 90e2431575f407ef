//! What can be exported: each noun's rows and columns.

use std::io::Write;

use sqlx::AnyConnection;
use tollgate_common::clock::Timestamp;
use tollgate_common::db::key::{self, KEYS, KeyOrder, ListedKey};
use tollgate_common::db::ledger::accounts::{self, ACCOUNTS, AccountOrder, ListedAccount};
use tollgate_common::db::ledger::entries::{self, ENTRIES, EntryOrder, ListedEntry};
use tollgate_common::db::page::{Part, Request};
use tollgate_common::filter::Vocabulary;

use super::{Exported, Field, stream_rows};
use crate::dashboard::problem::Problem;

/// What can be exported.
pub(crate) const NOUNS: [&str; 3] = ["keys", "entries", "accounts"];

/// Writes the rows of a noun.
pub(super) async fn stream(
    connection: &mut AnyConnection,
    noun: &str,
    filter: &str,
    now: Timestamp,
    out: &mut impl Write,
) -> Result<i64, Problem> {
    match noun {
        "keys" => stream_rows::<ListedKey>(connection, filter, now, out).await,
        "entries" => stream_rows::<ListedEntry>(connection, filter, now, out).await,
        "accounts" => stream_rows::<ListedAccount>(connection, filter, now, out).await,
        other => Err(Problem::new(format!(
            "there is no export of {other}: use {}",
            NOUNS.join(", ")
        ))),
    }
}

impl Exported for ListedKey {
    const VOCABULARY: &'static Vocabulary = &KEYS;

    const HEADINGS: &'static [&'static str] = &[
        "id",
        "team",
        "label",
        "created_at",
        "expires_at",
        "revoked_at",
        "used_at",
        "successor",
        "requests_per_minute",
        "tokens_per_minute",
        "parallel_calls",
    ];

    fn csv_row(&self) -> Vec<Field> {
        let (key, limits) = (&self.key, &self.key.limits);
        vec![
            Field::text(&key.id),
            Field::text(&key.team_id),
            Field::optional(key.label.as_ref()),
            Field::text(key.created_at),
            Field::moment(key.expires_at),
            Field::moment(key.revoked_at),
            Field::moment(self.used_at),
            Field::optional(self.successor.as_ref()),
            Field::number(limits.requests_per_minute),
            Field::number(limits.tokens_per_minute),
            Field::number(limits.parallel_calls),
        ]
    }

    async fn read(
        connection: &mut AnyConnection,
        request: &Request<'_>,
        _now: Timestamp,
    ) -> Result<Part<Self>, Problem> {
        let order = (KeyOrder::Team, false);
        Ok(key::page(connection, order, request).await?)
    }
}

impl Exported for ListedEntry {
    const VOCABULARY: &'static Vocabulary = &ENTRIES;

    const HEADINGS: &'static [&'static str] = &[
        "team",
        "number",
        "created_at",
        "kind",
        "amount",
        "balance_before",
        "balance_after",
        "shortfall",
        "job_id",
        "actor",
        "reason",
    ];

    fn csv_row(&self) -> Vec<Field> {
        let entry = &self.entry;
        vec![
            Field::text(&self.team_id),
            Field::Number(entry.number),
            Field::text(entry.at),
            Field::text(&entry.kind),
            Field::Number(entry.amount.0),
            Field::Number(entry.before.0),
            Field::Number(entry.after.0),
            Field::Number(entry.shortfall.0),
            Field::optional(entry.job_id.as_ref()),
            Field::text(&entry.actor),
            Field::text(&entry.reason),
        ]
    }

    async fn read(
        connection: &mut AnyConnection,
        request: &Request<'_>,
        _now: Timestamp,
    ) -> Result<Part<Self>, Problem> {
        Ok(entries::page(connection, EntryOrder::Account, request).await?)
    }
}

impl Exported for ListedAccount {
    const VOCABULARY: &'static Vocabulary = &ACCOUNTS;

    const HEADINGS: &'static [&'static str] = &[
        "team",
        "org",
        "name",
        "status",
        "balance",
        "held",
        "available",
        "overdraft",
        "allocated",
        "used",
        "budget_day",
        "budget_month",
        "spent_in_7_days",
        "entries",
    ];

    fn csv_row(&self) -> Vec<Field> {
        let account = &self.account;
        let budget = |limit: Option<tollgate_common::money::Credits>| {
            Field::number(limit.map(|credits| credits.0))
        };
        vec![
            Field::text(&account.team_id),
            Field::text(&self.org_id),
            Field::text(&self.name),
            Field::text(&self.status),
            Field::Number(account.balance.0),
            Field::Number(account.held.0),
            Field::Number(account.available().0),
            Field::Number(account.overdraft.0),
            Field::Number(account.allocated.0),
            Field::Number(account.used.0),
            budget(account.budget_day.limit),
            budget(account.budget_month.limit),
            Field::Number(self.spent.0),
            Field::Number(account.entry_count),
        ]
    }

    async fn read(
        connection: &mut AnyConnection,
        request: &Request<'_>,
        now: Timestamp,
    ) -> Result<Part<Self>, Problem> {
        let order = (AccountOrder::Team, false);
        Ok(accounts::page(connection, order, request, now).await?)
    }
}
