//! What can be exported: each noun's rows and columns.

use std::io::Write;

use tollgate_common::db::audit::AuditRecord;
use tollgate_common::db::job::list::JobEntry;
use tollgate_common::db::key::{self, KEYS, KeyOrder, ListedKey};
use tollgate_common::db::ledger::accounts::{self, ACCOUNTS, AccountOrder, ListedAccount};
use tollgate_common::db::ledger::entries::{self, ENTRIES, EntryOrder, ListedEntry};
use tollgate_common::db::page::Place;
use tollgate_common::db::team::list::ListedTeam;
use tollgate_common::filter::{Filter, Vocabulary};

use super::{Exported, Field, Reader, marked, request, start, stream_rows};
use crate::dashboard::problem::Problem;
use prices::PriceLine;

mod audit;
mod jobs;
mod prices;
mod teams;

/// What can be exported.
pub(crate) const NOUNS: [&str; 7] = [
    "jobs", "teams", "keys", "entries", "accounts", "audit", "prices",
];

/// What the rows of a noun can be filtered by.
pub(crate) fn vocabulary(noun: &str) -> Option<&'static Vocabulary> {
    match noun {
        "jobs" => Some(JobEntry::VOCABULARY),
        "keys" => Some(ListedKey::VOCABULARY),
        "entries" => Some(ListedEntry::VOCABULARY),
        "accounts" => Some(ListedAccount::VOCABULARY),
        "teams" => Some(ListedTeam::VOCABULARY),
        "audit" => Some(AuditRecord::VOCABULARY),
        "prices" => Some(PriceLine::VOCABULARY),
        _ => None,
    }
}

/// Writes the rows of a noun.
pub(super) async fn stream(
    reader: &mut Reader<'_>,
    noun: &str,
    filter: &str,
    out: &mut impl Write,
) -> Result<i64, Problem> {
    match noun {
        "keys" => stream_rows::<ListedKey>(reader, filter, out).await,
        "entries" => stream_rows::<ListedEntry>(reader, filter, out).await,
        "accounts" => stream_rows::<ListedAccount>(reader, filter, out).await,
        "jobs" => stream_rows::<JobEntry>(reader, filter, out).await,
        "teams" => stream_rows::<ListedTeam>(reader, filter, out).await,
        "audit" => stream_rows::<AuditRecord>(reader, filter, out).await,
        "prices" => stream_rows::<PriceLine>(reader, filter, out).await,
        other => Err(Problem::new(format!(
            "there is no export of {other}: use {}",
            NOUNS.join(", ")
        ))),
    }
}

impl Exported for ListedKey {
    type Mark = Place;

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

    async fn next(
        reader: &mut Reader<'_>,
        filter: &Filter,
        after: Option<Place>,
        limit: i64,
    ) -> Result<(Vec<Self>, Option<Place>), Problem> {
        let start = start(after);
        let request = request(filter, &start, limit);
        let order = (KeyOrder::Team, false);
        let part = key::page(&mut reader.connection, order, &request).await?;
        Ok(marked(part))
    }
}

impl Exported for ListedEntry {
    type Mark = Place;

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
        "debt",
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
            Field::Number(entry.debt.0),
            Field::optional(entry.job_id.as_ref()),
            Field::text(&entry.actor),
            Field::text(&entry.reason),
        ]
    }

    async fn next(
        reader: &mut Reader<'_>,
        filter: &Filter,
        after: Option<Place>,
        limit: i64,
    ) -> Result<(Vec<Self>, Option<Place>), Problem> {
        let (start, order) = (start(after), EntryOrder::Account);
        let request = request(filter, &start, limit);
        let part = entries::page(&mut reader.connection, order, &request).await?;
        Ok(marked(part))
    }
}

impl Exported for ListedAccount {
    type Mark = Place;

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
        "owed",
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
            Field::Number(account.owed.0),
            budget(account.budget_day.limit),
            budget(account.budget_month.limit),
            Field::Number(self.spent.0),
            Field::Number(account.entry_count),
        ]
    }

    async fn next(
        reader: &mut Reader<'_>,
        filter: &Filter,
        after: Option<Place>,
        limit: i64,
    ) -> Result<(Vec<Self>, Option<Place>), Problem> {
        let (start, now) = (start(after), reader.now);
        let request = request(filter, &start, limit);
        let order = (AccountOrder::Team, false);
        let part = accounts::page(&mut reader.connection, order, &request, now).await?;
        Ok(marked(part))
    }
}
