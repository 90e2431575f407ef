//! SQL of what administrators see first: the day's money, and what may need a look. Each statement
//! reads few rows, however much is stored.

use sqlx::AnyPool;

use super::StoreError;
use super::call::list::first_id_at;
use super::rows::Columns;
use crate::clock::Timestamp;
use crate::id::{CallId, JobId, KeyId, ModelAlias, ProviderName, TeamId};
use crate::money::{Credits, NanoUsd};

/// What the jobs of all teams that were created on one day and have ended come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DaySums {
    /// Credits charged.
    pub credits: Credits,
    /// What providers ask.
    pub provider_cost: NanoUsd,
    /// What customers are asked.
    pub client_cost: NanoUsd,
}

/// The sums of a day over all teams.
pub const SUM_DAY: &str = "
    SELECT CAST(COALESCE(SUM(credits), 0) AS BIGINT)
         , CAST(COALESCE(SUM(provider_cost), 0) AS BIGINT)
         , CAST(COALESCE(SUM(client_cost), 0) AS BIGINT)
    FROM usage_daily
    WHERE day = $1";

/// Adds up a day, counted from 1970-01-01 UTC.
pub async fn day(pool: &AnyPool, day: i64) -> Result<DaySums, StoreError> {
    let row = sqlx::query(SUM_DAY).bind(day).fetch_one(pool).await?;
    let mut columns = Columns::of(&row);
    Ok(DaySums {
        credits: Credits(columns.take()?),
        provider_cost: NanoUsd(columns.take()?),
        client_cost: NanoUsd(columns.take()?),
    })
}

/// A team with little or nothing left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LowBalance {
    /// The team.
    pub team_id: TeamId,
    /// What it may still spend, its overdraft included.
    pub available: Credits,
    /// What it was given in all.
    pub allocated: Credits,
}

/// There is one account per team, so that reading them all is bounded by what people have made.
const LIST_LOW: &str = "
    SELECT team_id, available, allocated, CAST(COUNT(*) OVER () AS BIGINT)
    FROM (
        SELECT a.team_id AS team_id
             , a.balance - a.held + a.overdraft AS available
             , a.allocated AS allocated
        FROM accounts AS a
        JOIN teams AS t ON t.id = a.team_id
        WHERE t.status = 'active'
    ) AS active
    WHERE available <= 0 OR available <= allocated / 20
    ORDER BY available, team_id
    LIMIT $1";

/// Active teams that have nothing left, or a twentieth of what they were given at most: the poorest
/// ones, and how many there are.
pub async fn low_balances(
    pool: &AnyPool,
    limit: i64,
) -> Result<(Vec<LowBalance>, i64), StoreError> {
    let rows = sqlx::query(LIST_LOW).bind(limit).fetch_all(pool).await?;
    let mut count = 0;
    let mut teams = Vec::with_capacity(rows.len());
    for row in &rows {
        let mut columns = Columns::of(row);
        teams.push(LowBalance {
            team_id: columns.parse()?,
            available: Credits(columns.take()?),
            allocated: Credits(columns.take()?),
        });
        count = columns.take()?;
    }
    Ok((teams, count))
}

/// A team that owes credits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwingTeam {
    /// The team.
    pub team_id: TeamId,
    /// What it could not pay for work already done.
    pub owed: Credits,
}

/// Teams that owe credits, the largest debt first.
pub const LIST_OWING: &str = "
    SELECT team_id, owed
    FROM accounts
    WHERE owed > 0
    ORDER BY owed DESC, team_id DESC
    LIMIT $1";

/// Teams that owe credits, the largest debt first. No work begins for them.
pub async fn owing_teams(pool: &AnyPool, limit: i64) -> Result<Vec<OwingTeam>, StoreError> {
    let rows = sqlx::query(LIST_OWING).bind(limit).fetch_all(pool).await?;
    let read = |row| {
        let mut columns = Columns::of(row);
        Ok(OwingTeam {
            team_id: columns.parse()?,
            owed: Credits(columns.take()?),
        })
    };
    rows.iter().map(read).collect()
}

/// A call whose provider counted what the request made impossible.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImplausibleCall {
    /// The call.
    pub id: CallId,
    /// Its job.
    pub job_id: JobId,
    /// Whose.
    pub team_id: TeamId,
    /// Who counted.
    pub provider: ProviderName,
    /// What the customer is asked: the worst case that was held.
    pub client_cost: NanoUsd,
    /// When it began.
    pub at: Timestamp,
}

/// Calls with impossible counts that began since a moment, the newest first.
pub const LIST_IMPLAUSIBLE: &str = "
    SELECT id, job_id, team_id, provider_name, client_cost, started_at
    FROM calls
    WHERE usage_note = 'implausible' AND id >= $1
    ORDER BY id DESC
    LIMIT $2";

/// Calls with impossible counts that began since a moment, the newest first.
pub async fn implausible_calls(
    pool: &AnyPool,
    since: Timestamp,
    limit: i64,
) -> Result<Vec<ImplausibleCall>, StoreError> {
    let rows = sqlx::query(LIST_IMPLAUSIBLE)
        .bind(first_id_at(since))
        .bind(limit)
        .fetch_all(pool)
        .await?;
    let read = |row| {
        let mut columns = Columns::of(row);
        Ok(ImplausibleCall {
            id: columns.parse()?,
            job_id: columns.parse()?,
            team_id: columns.parse()?,
            provider: columns.parse()?,
            client_cost: NanoUsd(columns.take()?),
            at: columns.time()?,
        })
    };
    rows.iter().map(read).collect()
}

/// What providers ask for calls that nobody was charged for: those that failed after a provider had
/// begun to work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Uncharged {
    /// How many calls; [`UNCHARGED_MAX`] if there are as many or more.
    pub calls: i64,
    /// What providers ask for these.
    pub provider_cost: NanoUsd,
    /// The job of the newest.
    pub job_id: JobId,
}

/// How many calls without a charge are added up at most.
pub const UNCHARGED_MAX: i64 = 10_000;

/// Provider cost without a charge since a moment, over the newest calls.
pub const SUM_UNCHARGED: &str = "
    SELECT COUNT(*), CAST(SUM(provider_cost) AS BIGINT), MAX(id)
    FROM (
        SELECT id, provider_cost
        FROM calls
        WHERE provider_cost > 0 AND client_cost = 0 AND id >= $1
        ORDER BY id DESC
        LIMIT $2
    ) AS newest";

/// The job of a call.
const SELECT_JOB_OF: &str = "SELECT job_id FROM calls WHERE id = $1";

/// What providers ask for calls that began since a moment and that nobody was charged for; nothing
/// if there are none.
pub async fn uncharged(pool: &AnyPool, since: Timestamp) -> Result<Option<Uncharged>, StoreError> {
    let row = sqlx::query(SUM_UNCHARGED)
        .bind(first_id_at(since))
        .bind(UNCHARGED_MAX)
        .fetch_one(pool)
        .await?;
    let mut columns = Columns::of(&row);
    let (calls, cost): (i64, Option<i64>) = (columns.take()?, columns.take()?);
    let newest: Option<String> = columns.take()?;
    let (Some(cost), Some(newest)) = (cost, newest) else {
        return Ok(None);
    };
    let row = sqlx::query(SELECT_JOB_OF)
        .bind(newest)
        .fetch_one(pool)
        .await?;
    Ok(Some(Uncharged {
        calls,
        provider_cost: NanoUsd(cost),
        job_id: Columns::of(&row).parse()?,
    }))
}

/// A job that has failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedJob {
    /// The job.
    pub id: JobId,
    /// Whose.
    pub team_id: TeamId,
    /// When it ended.
    pub at: Timestamp,
    /// Why, in a few words.
    pub error: Option<String>,
}

/// The newest failed jobs. What is said of them is cut, because a cell shows no more.
pub const LIST_FAILED: &str = "
    SELECT id, team_id, COALESCE(completed_at, created_at), SUBSTR(error_message, 1, 120)
    FROM jobs
    WHERE state = 'failed' AND created_at >= $1
    ORDER BY created_at DESC, id DESC
    LIMIT $2";

/// The newest failed jobs of those that were created since a moment.
pub async fn failed_jobs(
    pool: &AnyPool,
    since: Timestamp,
    limit: i64,
) -> Result<Vec<FailedJob>, StoreError> {
    let rows = sqlx::query(LIST_FAILED)
        .bind(since.as_micros())
        .bind(limit)
        .fetch_all(pool)
        .await?;
    let read = |row| {
        let mut columns = Columns::of(row);
        Ok(FailedJob {
            id: columns.parse()?,
            team_id: columns.parse()?,
            at: columns.time()?,
            error: columns.take()?,
        })
    };
    rows.iter().map(read).collect()
}

/// Credits that are held though nothing goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdleHold {
    /// The job that holds them.
    pub job_id: JobId,
    /// Whose.
    pub team_id: TeamId,
    /// How many.
    pub credits: Credits,
    /// When the job was worked on last.
    pub active_at: Timestamp,
}

/// Open jobs with a hold and without a call in flight that nobody has worked on since a moment.
pub const LIST_IDLE: &str = "
    SELECT id, team_id, hold, active_at
    FROM jobs
    WHERE state IN ('pending', 'in_progress')
      AND active_at < $1
      AND hold > 0
      AND NOT EXISTS (
          SELECT 1 FROM calls AS c WHERE c.job_id = jobs.id AND c.state = 'in_flight'
      )
    ORDER BY active_at, id
    LIMIT $2";

/// Holds without a call whose jobs nobody has worked on since a moment, the longest idle first.
pub async fn idle_holds(
    pool: &AnyPool,
    before: Timestamp,
    limit: i64,
) -> Result<Vec<IdleHold>, StoreError> {
    let rows = sqlx::query(LIST_IDLE)
        .bind(before.as_micros())
        .bind(limit)
        .fetch_all(pool)
        .await?;
    let read = |row| {
        let mut columns = Columns::of(row);
        Ok(IdleHold {
            job_id: columns.parse()?,
            team_id: columns.parse()?,
            credits: Credits(columns.take()?),
            active_at: columns.time()?,
        })
    };
    rows.iter().map(read).collect()
}

/// A key that ends soon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndingKey {
    /// The key.
    pub id: KeyId,
    /// Whose.
    pub team_id: TeamId,
    /// When.
    pub expires_at: Timestamp,
}

/// Keys by their end, in the words of the index that has them in this order.
pub const LIST_ENDING: &str = "
    SELECT id, team_id, expires_at
    FROM virtual_keys
    WHERE COALESCE(expires_at, 9223372036854775807) > $1
      AND COALESCE(expires_at, 9223372036854775807) <= $2
      AND revoked_at IS NULL
      AND successor IS NULL
    ORDER BY COALESCE(expires_at, 9223372036854775807), id
    LIMIT $3";

/// Keys that end between two moments and that no other key has replaced, the next first.
pub async fn ending_keys(
    pool: &AnyPool,
    (after, until): (Timestamp, Timestamp),
    limit: i64,
) -> Result<Vec<EndingKey>, StoreError> {
    let rows = sqlx::query(LIST_ENDING)
        .bind(after.as_micros())
        .bind(until.as_micros())
        .bind(limit)
        .fetch_all(pool)
        .await?;
    let read = |row| {
        let mut columns = Columns::of(row);
        Ok(EndingKey {
            id: KeyId::new(&columns.take::<String>()?),
            team_id: columns.parse()?,
            expires_at: columns.time()?,
        })
    };
    rows.iter().map(read).collect()
}

/// Groups first, of which there are few, so that members are not read once for each team.
const LIST_CHARGED_BY_COST: &str = "
    SELECT DISTINCT alias
    FROM model_group_members
    WHERE group_name IN (
        SELECT g.group_name
        FROM team_groups AS g
        JOIN teams AS t ON t.id = g.team_id
        WHERE t.budget_mode = 'consumption_usd'
    )
    ORDER BY alias";

/// Models that are granted to teams which are charged by cost: without a price they are refused.
pub async fn charged_by_cost(pool: &AnyPool) -> Result<Vec<ModelAlias>, StoreError> {
    let rows = sqlx::query(LIST_CHARGED_BY_COST).fetch_all(pool).await?;
    rows.iter().map(|row| Columns::of(row).parse()).collect()
}
