//! SQL of jobs.

use sqlx::any::AnyRow;
use sqlx::{AnyConnection, AnyPool};

use super::StoreError;
use super::rows::{Columns, Values, execute_tuples, select_in};
use crate::clock::Timestamp;
use crate::id::{JobId, TeamId};
use crate::job::{ChargeFailed, Job, JobState, Spend, Terms};
use crate::money::{CreditRate, Credits, Markup, NanoUsd, Rounding};
use totals::TotalsChange;

macro_rules! job_columns {
    () => {
        job_columns!("metadata")
    };
    ($metadata:literal) => {
        concat!(
            "id, team_id, org_id, state, job_type, user_id, ",
            $metadata,
            ", error_message, budget_mode, credits_per_dollar, tokens_per_credit, markup, \
             credits_max, hold, spent_cost, spent_tokens, reserved_cost, reserved_tokens, charged, \
             credits_remaining, created_at, started_at, completed_at, active_at, updated_at, \
             single_call, charge_failed, rounding, job_cost_max"
        )
    };
}

pub mod list;
pub mod totals;

fn read_job(columns: &mut Columns<'_>) -> Result<Job, StoreError> {
    let mut job = Job {
        id: columns.parse()?,
        team_id: columns.parse()?,
        org_id: columns.parse()?,
        state: columns.parse()?,
        job_type: columns.take()?,
        user_id: columns.take()?,
        metadata: columns.take()?,
        error_message: columns.take()?,
        terms: Terms {
            mode: columns.parse()?,
            credits_per_dollar: CreditRate::from_micros(columns.take()?),
            tokens_per_credit: columns.take()?,
            markup: Markup::from_basis_points(columns.take()?),
            charge_failed: ChargeFailed::Never,
            rounding: Rounding::Down,
            job_cost_max: None,
        },
        credits_max: columns.take::<Option<i64>>()?.map(Credits),
        hold: Credits(columns.take()?),
        spent: Spend {
            cost: NanoUsd(columns.take()?),
            tokens: columns.take()?,
        },
        reserved: Spend {
            cost: NanoUsd(columns.take()?),
            tokens: columns.take()?,
        },
        charged: columns.take::<Option<i64>>()?.map(Credits),
        credits_remaining: columns.take::<Option<i64>>()?.map(Credits),
        created_at: columns.time()?,
        started_at: columns.optional_time()?,
        completed_at: columns.optional_time()?,
        active_at: columns.time()?,
        updated_at: columns.time()?,
        single_call: columns.flag()?,
    };
    job.terms.charge_failed = columns.parse()?;
    job.terms.rounding = columns.parse()?;
    job.terms.job_cost_max = columns.take::<Option<i64>>()?.map(NanoUsd);
    Ok(job)
}

/// Jobs by id, before the list of ids.
pub const SELECT_JOBS: &str = concat!("SELECT ", job_columns!(), " FROM jobs WHERE id IN ");

/// Reads jobs inside a transaction that has locked their accounts.
pub(crate) async fn select_jobs(
    connection: &mut AnyConnection,
    ids: &[JobId],
) -> Result<Vec<Job>, StoreError> {
    select_in(connection, (SELECT_JOBS, ""), ids, read_job).await
}

/// One job by id.
pub const SELECT_JOB: &str = concat!("SELECT ", job_columns!(), " FROM jobs WHERE id = $1");

/// Reads one job, if there is such a one.
pub async fn find_job(pool: &AnyPool, id: JobId) -> Result<Option<Job>, StoreError> {
    let row = sqlx::query(SELECT_JOB)
        .bind(id.to_string())
        .fetch_optional(pool)
        .await?;
    row.map(|row| read_job(&mut Columns::of(&row))).transpose()
}

const INSERT_JOBS: &str = concat!(
    "INSERT INTO jobs (",
    job_columns!(),
    ", total_calls, calls_in_flight) VALUES "
);

/// Writes new jobs, each with the calls that have begun with it.
pub(crate) async fn insert_jobs(
    connection: &mut AnyConnection,
    jobs: &[(Job, TotalsChange)],
) -> Result<(), StoreError> {
    let bind = |values: &mut Values, (job, totals): &(Job, TotalsChange)| {
        bind_new_job(values, job);
        values.push(totals.calls);
        values.push(totals.in_flight);
    };
    execute_tuples(connection, (INSERT_JOBS, ""), 31, jobs, bind).await?;
    Ok(())
}

pub(super) fn bind_new_job(values: &mut Values, job: &Job) {
    values.push_text(job.id);
    values.push_text(&job.team_id);
    values.push_text(&job.org_id);
    values.push(job.state.word());
    values.push(job.job_type.clone());
    values.push(job.user_id.clone());
    values.push(job.metadata.clone());
    values.push(job.error_message.clone());
    values.push(job.terms.mode.word());
    values.push(job.terms.credits_per_dollar.micros());
    values.push(job.terms.tokens_per_credit);
    values.push(job.terms.markup.basis_points());
    values.push(job.credits_max.map(|credits| credits.0));
    values.push(job.hold.0);
    values.push(job.spent.cost.0);
    values.push(job.spent.tokens);
    values.push(job.reserved.cost.0);
    values.push(job.reserved.tokens);
    values.push(job.charged.map(|credits| credits.0));
    values.push(job.credits_remaining.map(|credits| credits.0));
    values.push_time(job.created_at);
    values.push_optional_time(job.started_at);
    values.push_optional_time(job.completed_at);
    values.push_time(job.active_at);
    values.push_time(job.updated_at);
    values.push(i32::from(job.single_call));
    values.push(job.terms.charge_failed.as_str());
    values.push(job.terms.rounding.as_str());
    values.push(job.terms.job_cost_max.map(|cost| cost.0));
}

/// What has changed in jobs, around the rows.
pub const UPDATE_JOBS: (&str, &str) = (
    "UPDATE jobs
     SET state = v.column2
       , metadata = v.column3
       , error_message = v.column4
       , hold = v.column5
       , spent_cost = v.column6
       , spent_tokens = v.column7
       , reserved_cost = v.column8
       , reserved_tokens = v.column9
       , charged = v.column10
       , credits_remaining = v.column11
       , started_at = v.column12
       , completed_at = v.column13
       , active_at = v.column14
       , updated_at = v.column15
       , charge_failed = v.column16
     FROM (VALUES ",
    ") AS v WHERE jobs.id = v.column1",
);

/// Writes jobs that have changed.
pub(crate) async fn update_jobs(
    connection: &mut AnyConnection,
    jobs: &[Job],
) -> Result<(), StoreError> {
    let bind = |values: &mut Values, job: &Job| {
        values.push_text(job.id);
        values.push(job.state.word());
        values.push(job.metadata.clone());
        values.push(job.error_message.clone());
        values.push(job.hold.0);
        values.push(job.spent.cost.0);
        values.push(job.spent.tokens);
        values.push(job.reserved.cost.0);
        values.push(job.reserved.tokens);
        values.push(job.charged.map(|credits| credits.0));
        values.push(job.credits_remaining.map(|credits| credits.0));
        values.push_optional_time(job.started_at);
        values.push_optional_time(job.completed_at);
        values.push_time(job.active_at);
        values.push_time(job.updated_at);
        values.push(job.terms.charge_failed.as_str());
    };
    let changed = execute_tuples(connection, UPDATE_JOBS, 16, jobs, bind).await?;
    if changed != jobs.len() as u64 {
        return Err(StoreError::Inconsistent(
            "a job vanished while it was locked".to_owned(),
        ));
    }
    Ok(())
}

/// Open jobs behind a place that nobody has worked on since a moment, or only by a clock that was
/// ahead.
pub const SELECT_STALE: &str = "
    SELECT id, team_id, active_at
    FROM (
        SELECT * FROM (
            SELECT id, team_id, active_at
            FROM jobs
            WHERE state IN ('pending', 'in_progress') AND active_at < $1
              AND (active_at, id) > ($3, $4)
            ORDER BY active_at, id
            LIMIT $5
        ) AS old
        UNION ALL
        SELECT * FROM (
            SELECT id, team_id, active_at
            FROM jobs
            WHERE state IN ('pending', 'in_progress') AND active_at > $2
              AND (active_at, id) > ($3, $4)
            ORDER BY active_at, id
            LIMIT $5
        ) AS early
    ) AS stale";

/// A job that nobody has worked on.
#[derive(Debug, Clone)]
pub struct StaleJob {
    /// The job.
    pub id: JobId,
    /// Whose it is.
    pub team_id: TeamId,
    /// When it was worked on last.
    pub active_at: Timestamp,
}

/// Open jobs that were not worked on since `cutoff`, as far as the jobs themselves tell, and those
/// that were worked on after `latest`, which no right clock can have said; from behind `after` on,
/// by the time of the latest work.
pub async fn list_stale(
    pool: &AnyPool,
    (cutoff, latest): (Timestamp, Timestamp),
    after: Option<&StaleJob>,
    limit: i64,
) -> Result<Vec<StaleJob>, StoreError> {
    let (active_at, id) = after.map_or((i64::MIN, String::new()), |job| {
        (job.active_at.as_micros(), job.id.to_string())
    });
    let rows = sqlx::query(SELECT_STALE)
        .bind(cutoff.as_micros())
        .bind(latest.as_micros())
        .bind(active_at)
        .bind(id)
        .bind(limit)
        .fetch_all(pool)
        .await?;
    let stale: Result<Vec<StaleJob>, StoreError> = rows.iter().map(read_stale).collect();
    let mut stale = stale?;
    // Both parts are in order, but not together.
    stale.sort_unstable_by_key(|job| (job.active_at, job.id));
    stale.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    Ok(stale)
}

fn read_stale(row: &AnyRow) -> Result<StaleJob, StoreError> {
    let mut columns = Columns::of(row);
    Ok(StaleJob {
        id: columns.parse()?,
        team_id: columns.parse()?,
        active_at: columns.time()?,
    })
}

/// Totals of a job's calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct JobTotals {
    /// Calls of any outcome, those in flight included.
    pub calls: i64,
    /// Calls in flight.
    pub in_flight: i64,
    /// Calls that were answered.
    pub succeeded: i64,
    /// Calls that failed or were interrupted.
    pub failed: i64,
    /// Tokens of all calls.
    pub tokens: i64,
    /// What the customer is asked.
    pub cost: NanoUsd,
    /// Latencies of ended calls added up.
    pub latency_ms: i64,
}

/// The totals of one job.
pub const SELECT_TOTALS: &str = "
    SELECT total_calls, calls_in_flight, succeeded_calls, failed_calls, total_tokens, total_cost,
           total_latency_ms
    FROM jobs
    WHERE id = $1";

/// Reads the totals of a job's calls; nothing if there is no such job.
pub async fn find_totals(pool: &AnyPool, id: JobId) -> Result<Option<JobTotals>, StoreError> {
    let row = sqlx::query(SELECT_TOTALS)
        .bind(id.to_string())
        .fetch_optional(pool)
        .await?;
    row.map(|row| {
        let mut columns = Columns::of(&row);
        Ok(JobTotals {
            calls: columns.take()?,
            in_flight: columns.take()?,
            succeeded: columns.take()?,
            failed: columns.take()?,
            tokens: columns.take()?,
            cost: NanoUsd(columns.take()?),
            latency_ms: columns.take()?,
        })
    })
    .transpose()
}

/// What selects jobs in a list.
#[derive(Debug, Clone, Default)]
pub struct JobFilter {
    /// Only this team's.
    pub team_id: Option<TeamId>,
    /// Only those in this state.
    pub state: Option<JobState>,
    /// Only those created before this one.
    pub before: Option<(Timestamp, JobId)>,
}

/// The newest jobs of all teams.
pub const LIST_JOBS: &str = concat!(
    "SELECT ",
    job_columns!(),
    " FROM jobs
     WHERE ($1 = '' OR state = $1)
       AND (created_at, id) < ($2, $3)
     ORDER BY created_at DESC, id DESC
     LIMIT $4"
);

macro_rules! list_team_jobs {
    ($state:literal) => {
        concat!(
            "SELECT ",
            job_columns!(),
            " FROM jobs WHERE team_id = $1",
            $state,
            " AND (created_at, id) < ($2, $3)
              ORDER BY created_at DESC, id DESC
              LIMIT $4 OFFSET $5"
        )
    };
}

/// The newest jobs of a team in one state, or in any. Each state is a statement of its own, because
/// a state that is bound to a placeholder selects no partial index.
pub const fn list_team_jobs_sql(state: Option<JobState>) -> &'static str {
    match state {
        None => list_team_jobs!(""),
        Some(JobState::Pending) => {
            list_team_jobs!(" AND state IN ('pending', 'in_progress') AND state = 'pending'")
        }
        Some(JobState::InProgress) => {
            list_team_jobs!(" AND state IN ('pending', 'in_progress') AND state = 'in_progress'")
        }
        Some(JobState::Completed) => list_team_jobs!(" AND state = 'completed'"),
        Some(JobState::Failed) => list_team_jobs!(" AND state = 'failed'"),
        Some(JobState::Cancelled) => list_team_jobs!(" AND state = 'cancelled'"),
    }
}

/// Where a page of a list begins.
#[derive(Debug, Clone, Copy, Default)]
pub struct PageStart {
    /// After the job with this creation and id; at the newest one if there is none.
    pub before: Option<(Timestamp, JobId)>,
    /// So many rows further on. Each of them is read, so that callers bound it.
    pub offset: i64,
}

/// The key of the first job that is not listed any more.
fn key_of(before: Option<(Timestamp, JobId)>) -> (i64, String) {
    match before {
        Some((created_at, id)) => (created_at.as_micros(), id.to_string()),
        None => (i64::MAX, String::new()),
    }
}

/// The newest jobs of a team, from `start` on.
pub async fn list_team_jobs(
    pool: &AnyPool,
    team_id: &TeamId,
    state: Option<JobState>,
    start: PageStart,
    limit: i64,
) -> Result<Vec<Job>, StoreError> {
    let (created_at, id) = key_of(start.before);
    let rows = sqlx::query(list_team_jobs_sql(state))
        .bind(team_id.to_string())
        .bind(created_at)
        .bind(id)
        .bind(limit)
        .bind(start.offset)
        .fetch_all(pool)
        .await?;
    rows.iter()
        .map(|row| read_job(&mut Columns::of(row)))
        .collect()
}

/// The newest jobs that the filter selects.
pub async fn list_jobs(
    pool: &AnyPool,
    filter: &JobFilter,
    limit: i64,
) -> Result<Vec<Job>, StoreError> {
    if let Some(team_id) = &filter.team_id {
        let start = PageStart {
            before: filter.before,
            offset: 0,
        };
        return list_team_jobs(pool, team_id, filter.state, start, limit).await;
    }
    let (created_at, id) = key_of(filter.before);
    let rows = sqlx::query(LIST_JOBS)
        .bind(filter.state.map(JobState::word).unwrap_or_default())
        .bind(created_at)
        .bind(id)
        .bind(limit)
        .fetch_all(pool)
        .await?;
    rows.iter()
        .map(|row| read_job(&mut Columns::of(row)))
        .collect()
}
