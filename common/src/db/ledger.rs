//! SQL of accounts and ledger entries.

use sqlx::{AnyConnection, AnyPool};

use super::rows::{Columns, Values, execute_tuples, select_in};
use super::{Engine, StoreError};
use crate::clock::Timestamp;
use crate::id::{JobId, TeamId};
use crate::ledger::{Account, Budget, Entry};
use crate::money::Credits;

pub mod accounts;
pub mod entries;
pub mod holds;

macro_rules! account_columns {
    () => {
        "team_id, balance, held, allocated, used, overdraft, entry_count, version, \
         budget_day, day_began_at, day_charged, budget_month, month_began_at, month_charged, owed"
    };
}

/// Accounts by team, before the list of teams.
pub const SELECT_ACCOUNTS: &str = concat!(
    "SELECT ",
    account_columns!(),
    " FROM accounts WHERE team_id IN "
);

/// PostgreSQL locks the rows in the order of their ids, so that two nodes never wait for each other
/// in a circle. SQLite's writing transaction has locked everything already.
pub const LOCK_POSTGRES: &str = " ORDER BY team_id COLLATE \"C\" FOR UPDATE";
/// The order alone: the transaction has locked the file.
pub const LOCK_SQLITE: &str = " ORDER BY team_id";

pub(crate) fn read_account(columns: &mut Columns<'_>) -> Result<Account, StoreError> {
    Ok(Account {
        team_id: columns.parse()?,
        balance: Credits(columns.take()?),
        held: Credits(columns.take()?),
        allocated: Credits(columns.take()?),
        used: Credits(columns.take()?),
        overdraft: Credits(columns.take()?),
        entry_count: columns.take()?,
        version: columns.take()?,
        budget_day: read_budget(columns)?,
        budget_month: read_budget(columns)?,
        owed: Credits(columns.take()?),
    })
}

fn read_budget(columns: &mut Columns<'_>) -> Result<Budget, StoreError> {
    Ok(Budget {
        limit: columns.take::<Option<i64>>()?.map(Credits),
        began_at: columns.time()?,
        charged: Credits(columns.take()?),
    })
}

/// Reads accounts and keeps others from changing them until the transaction ends.
pub(crate) async fn lock_accounts(
    connection: &mut AnyConnection,
    engine: Engine,
    team_ids: &[TeamId],
) -> Result<Vec<Account>, StoreError> {
    let lock = match engine {
        Engine::Sqlite => LOCK_SQLITE,
        Engine::Postgres => LOCK_POSTGRES,
    };
    select_in(connection, (SELECT_ACCOUNTS, lock), team_ids, read_account).await
}

/// One account by team.
pub const SELECT_ACCOUNT: &str = concat!(
    "SELECT ",
    account_columns!(),
    " FROM accounts WHERE team_id = $1"
);

/// Reads one account, if the team has one.
pub async fn find_account(pool: &AnyPool, team_id: &TeamId) -> Result<Option<Account>, StoreError> {
    let row = sqlx::query(SELECT_ACCOUNT)
        .bind(team_id.to_string())
        .fetch_optional(pool)
        .await?;
    row.map(|row| read_account(&mut Columns::of(&row)))
        .transpose()
}

const LIST_ACCOUNTS: &str = concat!(
    "SELECT ",
    account_columns!(),
    " FROM accounts ORDER BY team_id"
);

/// All accounts by team.
pub async fn list_accounts(pool: &AnyPool) -> Result<Vec<Account>, StoreError> {
    let rows = sqlx::query(LIST_ACCOUNTS).fetch_all(pool).await?;
    rows.iter()
        .map(|row| read_account(&mut Columns::of(row)))
        .collect()
}

const INSERT_ACCOUNTS: &str = concat!("INSERT INTO accounts (", account_columns!(), ") VALUES ");

fn bind_account(values: &mut Values, account: &Account) {
    values.push_text(&account.team_id);
    values.push(account.balance.0);
    values.push(account.held.0);
    values.push(account.allocated.0);
    values.push(account.used.0);
    values.push(account.overdraft.0);
    values.push(account.entry_count);
    values.push(account.version);
    for budget in [&account.budget_day, &account.budget_month] {
        values.push(budget.limit.map(|credits| credits.0));
        values.push_time(budget.began_at);
        values.push(budget.charged.0);
    }
    values.push(account.owed.0);
}

/// Creates an account.
pub(crate) async fn insert_account(
    connection: &mut AnyConnection,
    account: &Account,
) -> Result<(), StoreError> {
    let accounts = std::slice::from_ref(account);
    execute_tuples(
        connection,
        (INSERT_ACCOUNTS, ""),
        15,
        accounts,
        bind_account,
    )
    .await?;
    Ok(())
}

/// What has changed in accounts, around the rows.
pub const UPDATE_ACCOUNTS: (&str, &str) = (
    "UPDATE accounts
     SET balance = v.column2
       , held = v.column3
       , allocated = v.column4
       , used = v.column5
       , overdraft = v.column6
       , entry_count = v.column7
       , version = v.column8
       , budget_day = v.column9
       , day_began_at = v.column10
       , day_charged = v.column11
       , budget_month = v.column12
       , month_began_at = v.column13
       , month_charged = v.column14
       , owed = v.column15
     FROM (VALUES ",
    ") AS v WHERE accounts.team_id = v.column1",
);

/// Writes accounts that were locked before.
pub(crate) async fn update_accounts(
    connection: &mut AnyConnection,
    accounts: &[Account],
) -> Result<(), StoreError> {
    let changed = execute_tuples(connection, UPDATE_ACCOUNTS, 15, accounts, bind_account).await?;
    if changed != accounts.len() as u64 {
        return Err(StoreError::Inconsistent(
            "an account vanished while it was locked".to_owned(),
        ));
    }
    Ok(())
}

/// What was charged since a moment. Entries before the last one of an earlier day do not count: a
/// clock that was ahead for a while has dated them.
pub const SUM_CHARGES: &str = "
    SELECT CAST(COALESCE(SUM(-amount), 0) AS BIGINT)
    FROM ledger_entries
    WHERE team_id = $1
      AND kind IN ('deduction', 'overrun')
      AND number > (
          SELECT COALESCE(MAX(number), 0)
          FROM ledger_entries
          WHERE team_id = $1 AND kind IN ('deduction', 'overrun') AND created_at < $2
      )";

/// Puts the present window in the place of one that began by a clock that was far ahead, so that
/// its budget is the present day's or month's.
pub(crate) async fn restore_windows(
    connection: &mut AnyConnection,
    account: &mut Account,
    now: Timestamp,
) -> Result<(), StoreError> {
    for (window, began_at) in account.windows_of_the_future(now) {
        tracing::warn!(
            team_id = %account.team_id,
            ?window,
            "a budget's window begins in the future: the clock was ahead, or is behind now; \
             the present window counts"
        );
        let row = sqlx::query(SUM_CHARGES)
            .bind(account.team_id.to_string())
            .bind(began_at.as_micros())
            .fetch_one(&mut *connection)
            .await?;
        let charged = Credits(Columns::of(&row).take()?);
        account.restore_window(window, began_at, charged);
    }
    Ok(())
}

const INSERT_ENTRIES: &str = "
    INSERT INTO ledger_entries
        (team_id, number, kind, amount, balance_before, balance_after, shortfall, job_id, reason,
         actor, created_at, debt, call_id)
    VALUES ";

/// Appends entries.
pub(crate) async fn insert_entries(
    connection: &mut AnyConnection,
    entries: &[Entry],
) -> Result<(), StoreError> {
    let bind = |values: &mut Values, entry: &Entry| {
        values.push_text(&entry.team_id);
        values.push(entry.number);
        values.push(entry.kind.word());
        values.push(entry.amount.0);
        values.push(entry.before.0);
        values.push(entry.after.0);
        values.push(entry.shortfall.0);
        values.push(entry.job_id.map(|id| id.to_string()));
        values.push(entry.reason.clone());
        values.push(entry.actor.clone());
        values.push_time(entry.at);
        values.push(entry.debt.0);
        values.push(entry.call_id.map(|id| id.to_string()));
    };
    execute_tuples(connection, (INSERT_ENTRIES, ""), 13, entries, bind).await?;
    Ok(())
}

/// A ledger entry as it is listed.
#[derive(Debug, Clone, serde::Serialize)]
pub struct EntryRow {
    /// Its place in the account.
    pub number: i64,
    /// Why: a word of [`crate::ledger::EntryKind`].
    pub kind: String,
    /// What was added; negative if taken.
    pub amount: Credits,
    /// The balance before.
    pub before: Credits,
    /// The balance after.
    pub after: Credits,
    /// What could not be taken.
    pub shortfall: Credits,
    /// By how much it changed what the account owes.
    pub debt: Credits,
    /// The job that was charged or refunded.
    pub job_id: Option<String>,
    /// The reason in words.
    pub reason: String,
    /// Who did it.
    pub actor: String,
    /// When.
    pub at: Timestamp,
}

impl EntryRow {
    /// The job, if the entry is about one.
    pub fn job_id(&self) -> Option<JobId> {
        self.job_id.as_deref().and_then(|id| id.parse().ok())
    }
}

/// The newest entries of an account.
pub const SELECT_ENTRIES: &str = "
    SELECT number, kind, amount, balance_before, balance_after, shortfall, debt, job_id, reason,
           actor, created_at
    FROM ledger_entries
    WHERE team_id = $1 AND number < $2
    ORDER BY number DESC
    LIMIT $3";

/// The newest entries of an account that come before `before` (or the newest of all).
pub async fn list_entries(
    pool: &AnyPool,
    team_id: &TeamId,
    before: Option<i64>,
    limit: i64,
) -> Result<Vec<EntryRow>, StoreError> {
    let rows = sqlx::query(SELECT_ENTRIES)
        .bind(team_id.to_string())
        .bind(before.unwrap_or(i64::MAX))
        .bind(limit)
        .fetch_all(pool)
        .await?;
    rows.iter()
        .map(|row| read_entry(&mut Columns::of(row)))
        .collect()
}

fn read_entry(columns: &mut Columns<'_>) -> Result<EntryRow, StoreError> {
    Ok(EntryRow {
        number: columns.take()?,
        kind: columns.take()?,
        amount: Credits(columns.take()?),
        before: Credits(columns.take()?),
        after: Credits(columns.take()?),
        shortfall: Credits(columns.take()?),
        debt: Credits(columns.take()?),
        job_id: columns.take()?,
        reason: columns.take()?,
        actor: columns.take()?,
        at: columns.time()?,
    })
}

/// What was given back of jobs, before the list of jobs.
pub const SELECT_REFUNDED: (&str, &str) = (
    "
    SELECT job_id, CAST(SUM(amount) AS BIGINT)
    FROM ledger_entries
    WHERE kind = 'refund' AND job_id IN ",
    " GROUP BY job_id",
);

/// What was given back of those of the jobs of which anything was.
pub async fn refunded(
    connection: &mut AnyConnection,
    jobs: &[JobId],
) -> Result<Vec<(JobId, Credits)>, StoreError> {
    let read = |columns: &mut Columns<'_>| Ok((columns.parse()?, Credits(columns.take()?)));
    select_in(connection, SELECT_REFUNDED, jobs, read).await
}
