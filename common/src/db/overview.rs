//! SQL of what administrators see first: money of the day, and what asks for attention. Every
//! statement reads few rows, whatever has been stored.

use sqlx::AnyPool;

use super::StoreError;
use super::rows::Columns;
use crate::clock::Timestamp;
use crate::id::{JobId, KeyId, ModelAlias, TeamId};
use crate::money::{Credits, NanoUsd};

/// What all teams came to in one day, by the days on which their jobs were created.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DaySums {
    /// Jobs that ended well.
    pub completed: i64,
    /// Jobs that did not.
    pub failed: i64,
    /// Credits that were charged.
    pub credits: Credits,
    /// What the customers are asked.
    pub client_cost: NanoUsd,
    /// What the providers ask.
    pub provider_cost: NanoUsd,
}

/// Sums over all teams of one day.
pub const SELECT_DAY: &str = "
    SELECT CAST(COALESCE(SUM(completed), 0) AS BIGINT), CAST(COALESCE(SUM(failed), 0) AS BIGINT)
         , CAST(COALESCE(SUM(credits), 0) AS BIGINT)
         , CAST(COALESCE(SUM(client_cost), 0) AS BIGINT)
         , CAST(COALESCE(SUM(provider_cost), 0) AS BIGINT)
    FROM usage_daily
    WHERE day = $1";

/// What all teams came to in the day that `moment` is in.
pub async fn day(pool: &AnyPool, moment: Timestamp) -> Result<DaySums, StoreError> {
    let row = sqlx::query(SELECT_DAY)
        .bind(moment.day())
        .fetch_one(pool)
        .await?;
    let mut columns = Columns::of(&row);
    Ok(DaySums {
        completed: columns.take()?,
        failed: columns.take()?,
        credits: Credits(columns.take()?),
        client_cost: NanoUsd(columns.take()?),
        provider_cost: NanoUsd(columns.take()?),
    })
}

/// A team that has little left of what it was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LowBalance {
    /// The team.
    pub team_id: TeamId,
    /// What it may still hold, overdraft included.
    pub available: Credits,
    /// What it was given in all.
    pub allocated: Credits,
}

/// Of active teams, those with a twentieth left at most, and how many they are.
pub const LIST_LOW: &str = "
    SELECT a.team_id, a.balance - a.held + a.overdraft, a.allocated, COUNT(*) OVER ()
    FROM accounts AS a
    JOIN teams AS t ON t.id = a.team_id
    WHERE t.status = 'active'
      AND a.allocated > 0
      AND (a.balance - a.held + a.overdraft) * 20 <= a.allocated
    ORDER BY a.balance - a.held + a.overdraft, a.team_id
    LIMIT $1";

/// Active teams with a twentieth left at most, the poorest first, and how many there are.
pub async fn low_balances(
    pool: &AnyPool,
    limit: i64,
) -> Result<(Vec<LowBalance>, i64), StoreError> {
    let rows = sqlx::query(LIST_LOW).bind(limit).fetch_all(pool).await?;
    let mut count = 0;
    let mut low = Vec::with_capacity(rows.len());
    for row in &rows {
        let mut columns = Columns::of(row);
        low.push(LowBalance {
            team_id: columns.parse()?,
            available: Credits(columns.take()?),
            allocated: Credits(columns.take()?),
        });
        count = columns.take()?;
    }
    Ok((low, count))
}

/// A job that asks for attention: it failed, or holds credits and nothing happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OddJob {
    /// The job.
    pub id: JobId,
    /// Whose.
    pub team_id: TeamId,
    /// When it failed, or when it was worked on last.
    pub at: Timestamp,
    /// Why it failed.
    pub error: Option<String>,
    /// What it holds.
    pub hold: Credits,
}

fn odd_job(columns: &mut Columns<'_>) -> Result<OddJob, StoreError> {
    Ok(OddJob {
        id: columns.parse()?,
        team_id: columns.parse()?,
        at: columns.time()?,
        error: columns.take()?,
        hold: Credits(columns.take()?),
    })
}

/// The jobs that failed last, of those created since a moment.
pub const LIST_FAILED: &str = "
    SELECT id, team_id, COALESCE(completed_at, created_at), error_message, hold
    FROM jobs
    WHERE state = 'failed' AND created_at >= $1
    ORDER BY created_at DESC, id DESC
    LIMIT $2";

/// Jobs that failed, of those created since a moment, the newest first.
pub async fn failed_jobs(
    pool: &AnyPool,
    since: Timestamp,
    limit: i64,
) -> Result<Vec<OddJob>, StoreError> {
    list_odd(pool, LIST_FAILED, since, limit).await
}

/// Open jobs that hold credits and were not worked on since a moment.
pub const LIST_STUCK: &str = "
    SELECT id, team_id, active_at, error_message, hold
    FROM jobs
    WHERE state IN ('pending', 'in_progress') AND active_at < $1 AND hold > 0
    ORDER BY active_at, id
    LIMIT $2";

/// Open jobs that hold credits and were not worked on since a moment, the longest silent first.
pub async fn stuck_jobs(
    pool: &AnyPool,
    cutoff: Timestamp,
    limit: i64,
) -> Result<Vec<OddJob>, StoreError> {
    list_odd(pool, LIST_STUCK, cutoff, limit).await
}

async fn list_odd(
    pool: &AnyPool,
    sql: &'static str,
    moment: Timestamp,
    limit: i64,
) -> Result<Vec<OddJob>, StoreError> {
    let rows = sqlx::query(sql)
        .bind(moment.as_micros())
        .bind(limit)
        .fetch_all(pool)
        .await?;
    rows.iter()
        .map(|row| odd_job(&mut Columns::of(row)))
        .collect()
}

/// Keys that end between two moments.
pub const LIST_EXPIRING: &str = "
    SELECT id, team_id, expires_at
    FROM virtual_keys
    WHERE revoked_at IS NULL AND successor IS NULL AND expires_at > $1 AND expires_at <= $2
    ORDER BY expires_at, id
    LIMIT $3";

/// Keys without a successor that end between two moments, the next first.
pub async fn expiring_keys(
    pool: &AnyPool,
    (from, until): (Timestamp, Timestamp),
    limit: i64,
) -> Result<Vec<(KeyId, TeamId, Timestamp)>, StoreError> {
    let rows = sqlx::query(LIST_EXPIRING)
        .bind(from.as_micros())
        .bind(until.as_micros())
        .bind(limit)
        .fetch_all(pool)
        .await?;
    rows.iter()
        .map(|row| {
            let mut columns = Columns::of(row);
            let id: String = columns.take()?;
            Ok((KeyId::new(&id), columns.parse()?, columns.time()?))
        })
        .collect()
}

/// Models that teams which are charged by cost are granted.
pub const LIST_CHARGED_BY_COST: &str = "
    SELECT DISTINCT m.alias
    FROM model_group_members AS m
    WHERE EXISTS (
        SELECT 1
        FROM team_groups AS g
        JOIN teams AS t ON t.id = g.team_id
        WHERE g.group_name = m.group_name AND t.budget_mode = 'consumption_usd'
    )
    ORDER BY m.alias";

/// Models that are granted to teams which are charged by cost, so that they need a price.
pub async fn models_charged_by_cost(pool: &AnyPool) -> Result<Vec<ModelAlias>, StoreError> {
    let rows = sqlx::query(LIST_CHARGED_BY_COST).fetch_all(pool).await?;
    rows.iter().map(|row| Columns::of(row).parse()).collect()
}
