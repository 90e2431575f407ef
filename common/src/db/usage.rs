//! SQL of what teams used: sums per day, kept in the transactions that end jobs.

use sqlx::AnyPool;

use super::StoreError;
use super::rows::Columns;
use crate::clock::Timestamp;
use crate::id::TeamId;
use crate::job::JobState;
use crate::money::{Credits, NanoUsd};
use crate::usage::{JobSums, Period};

pub mod daily;

/// What a team used in a period.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TeamUsage {
    /// All its jobs.
    pub all: JobSums,
    /// How many types of jobs there are.
    pub type_count: i64,
    /// The first types in alphabetical order, at most [`JOB_TYPES_LISTED_MAX`].
    pub job_types: Vec<(String, JobSums)>,
}

/// Types are the callers' words: whoever makes one for each job must not get an endless report.
pub const JOB_TYPES_LISTED_MAX: i64 = 1_000;

/// Sums by type of job, and a last row with all of them; in one statement, so that a job that ends
/// meanwhile is counted once. Open jobs are few and found by their own index.
pub const SELECT_TEAM_USAGE: &str = "
    WITH parts AS (
        SELECT job_type, 0 AS open_jobs, completed, failed, cancelled
             , input_tokens + output_tokens AS tokens, client_cost AS cost
        FROM usage_daily
        WHERE team_id = $1 AND day >= $2 AND day < $3
        UNION ALL
        SELECT job_type, 1, 0, 0, 0, 0, 0
        FROM jobs
        WHERE team_id = $1
          AND created_at >= $4
          AND created_at < $5
          AND state IN ('pending', 'in_progress')
    ), types AS (
        SELECT job_type
             , SUM(open_jobs) AS open_jobs
             , SUM(completed) AS completed
             , SUM(failed) AS failed
             , SUM(cancelled) AS cancelled
             , SUM(tokens) AS tokens
             , SUM(cost) AS cost
        FROM parts
        GROUP BY job_type
    )
    SELECT job_type, CAST(1 AS BIGINT), CAST(open_jobs AS BIGINT), CAST(completed AS BIGINT)
         , CAST(failed AS BIGINT), CAST(cancelled AS BIGINT), CAST(tokens AS BIGINT)
         , CAST(cost AS BIGINT)
    FROM (SELECT * FROM types ORDER BY job_type LIMIT $6) AS listed
    UNION ALL
    SELECT NULL, COUNT(*), CAST(COALESCE(SUM(open_jobs), 0) AS BIGINT)
         , CAST(COALESCE(SUM(completed), 0) AS BIGINT), CAST(COALESCE(SUM(failed), 0) AS BIGINT)
         , CAST(COALESCE(SUM(cancelled), 0) AS BIGINT), CAST(COALESCE(SUM(tokens), 0) AS BIGINT)
         , CAST(COALESCE(SUM(cost), 0) AS BIGINT)
    FROM types";

/// What a team used in a period, by the days on which its jobs were created.
pub async fn team_usage(
    pool: &AnyPool,
    team_id: &TeamId,
    period: &Period,
) -> Result<TeamUsage, StoreError> {
    let days = period.days();
    let rows = sqlx::query(SELECT_TEAM_USAGE)
        .bind(team_id.to_string())
        .bind(days.start)
        .bind(days.end)
        .bind(Timestamp::of_day(days.start).as_micros())
        .bind(Timestamp::of_day(days.end).as_micros())
        .bind(JOB_TYPES_LISTED_MAX)
        .fetch_all(pool)
        .await?;
    let mut usage = TeamUsage {
        all: JobSums::default(),
        type_count: 0,
        job_types: Vec::with_capacity(rows.len()),
    };
    for row in &rows {
        let mut columns = Columns::of(row);
        let job_type: Option<String> = columns.take()?;
        let type_count = columns.take()?;
        let sums = read_sums(&mut columns)?;
        if let Some(job_type) = job_type {
            usage.job_types.push((job_type, sums));
        } else {
            usage.all = sums;
            usage.type_count = type_count;
        }
    }
    Ok(usage)
}

fn read_sums(columns: &mut Columns<'_>) -> Result<JobSums, StoreError> {
    Ok(JobSums {
        open: columns.take()?,
        completed: columns.take()?,
        failed: columns.take()?,
        cancelled: columns.take()?,
        tokens: columns.take()?,
        cost: NanoUsd(columns.take()?),
    })
}

/// How many jobs a team has in each state: ended ones from the days, open ones from their index.
pub const COUNT_TEAM_JOBS: &str = "
    SELECT CAST(COALESCE(SUM(pending), 0) AS BIGINT)
         , CAST(COALESCE(SUM(in_progress), 0) AS BIGINT)
         , CAST(COALESCE(SUM(completed), 0) AS BIGINT)
         , CAST(COALESCE(SUM(failed), 0) AS BIGINT)
         , CAST(COALESCE(SUM(cancelled), 0) AS BIGINT)
    FROM (
        SELECT 0 AS pending, 0 AS in_progress, completed, failed, cancelled
        FROM usage_daily
        WHERE team_id = $1
        UNION ALL
        SELECT CASE WHEN state = 'pending' THEN 1 ELSE 0 END
             , CASE WHEN state = 'in_progress' THEN 1 ELSE 0 END
             , 0, 0, 0
        FROM jobs
        WHERE team_id = $1 AND state IN ('pending', 'in_progress')
    ) AS counted";

/// How many jobs a team has in each state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JobCounts([i64; 5]);

impl JobCounts {
    /// How many are in this state, or in any.
    pub fn of(self, state: Option<JobState>) -> i64 {
        let [pending, in_progress, completed, failed, cancelled] = self.0;
        match state {
            None => self.0.iter().sum(),
            Some(JobState::Pending) => pending,
            Some(JobState::InProgress) => in_progress,
            Some(JobState::Completed) => completed,
            Some(JobState::Failed) => failed,
            Some(JobState::Cancelled) => cancelled,
        }
    }
}

/// Counts a team's jobs without reading them.
pub async fn count_team_jobs(pool: &AnyPool, team_id: &TeamId) -> Result<JobCounts, StoreError> {
    let row = sqlx::query(COUNT_TEAM_JOBS)
        .bind(team_id.to_string())
        .fetch_one(pool)
        .await?;
    let mut columns = Columns::of(&row);
    let mut counts = [0; 5];
    for count in &mut counts {
        *count = columns.take()?;
    }
    Ok(JobCounts(counts))
}

/// What jobs of each day of a team were charged, from a day on.
pub const SELECT_CREDITS_PER_DAY: &str = "
    SELECT day, CAST(SUM(credits) AS BIGINT)
    FROM usage_daily
    WHERE team_id = $1 AND day >= $2
    GROUP BY day
    ORDER BY day";

/// What a team's jobs of each day were charged, from a day on; days without jobs are left out.
pub async fn credits_per_day(
    pool: &AnyPool,
    team_id: &TeamId,
    since: i64,
) -> Result<Vec<(i64, Credits)>, StoreError> {
    let rows = sqlx::query(SELECT_CREDITS_PER_DAY)
        .bind(team_id.to_string())
        .bind(since)
        .fetch_all(pool)
        .await?;
    rows.iter()
        .map(|row| {
            let mut columns = Columns::of(row);
            Ok((columns.take()?, Credits(columns.take()?)))
        })
        .collect()
}
