//! Deletes ended jobs with their calls, in small steps. What they were in the sums of their days is
//! kept, so that these can still be recomputed; ledger entries are never deleted.

use sqlx::AnyConnection;

use super::job::totals::{CallSums, TotalsChange, add_to_totals};
use super::lease::Lease;
use super::price;
use super::rows::{Columns, execute_in};
use super::usage::daily::{self, DayChanges, DayKey, DaySums};
use super::{Database, Engine, StoreError};
use crate::clock::Timestamp;
use crate::id::{CallId, JobId};
use crate::job::CallState;

/// How many jobs and calls one transaction deletes: others write in between.
const JOBS_MAX: i64 = 50;
const CALLS_MAX: usize = 200;

/// Jobs that ended before a moment, the earliest first.
pub const SELECT_ENDED: &str = "
    SELECT id, team_id, created_at / 86400000000, job_type
    FROM jobs
    WHERE completed_at IS NOT NULL AND completed_at < $1 AND calls_in_flight = 0
    ORDER BY completed_at, id
    LIMIT $2";

/// The first calls of a job.
pub const SELECT_FIRST_CALLS: &str = concat!(
    "SELECT id, state, ",
    price::input_tokens!(),
    ", ",
    price::output_tokens!(),
    ", client_cost, provider_cost, COALESCE(latency_ms, 0)
     FROM calls
     WHERE job_id = $1
     ORDER BY id
     LIMIT $2"
);

const DELETE_ATTEMPTS: &str = "DELETE FROM call_attempts WHERE call_id IN ";
const DELETE_CALLS: &str = "DELETE FROM calls WHERE id IN ";
const DELETE_JOBS: &str = "DELETE FROM jobs WHERE id IN ";

/// Gives pages that have become free back to the file system, a few at a time.
const SHRINK_SQLITE: &str = "PRAGMA incremental_vacuum(500)";

/// Deletes some of the jobs that ended before `cutoff`, with their calls. Returns whether there may
/// be more.
pub async fn delete_ended(database: &Database, cutoff: Timestamp) -> Result<bool, StoreError> {
    let mut lease = Lease::acquire(database).await?;
    let mut transaction = lease.begin(database).await?;
    let more = delete_step(&mut transaction, cutoff).await?;
    transaction.commit().await.map_err(StoreError::of_commit)?;
    lease.give_back();
    if database.engine() == Engine::Sqlite {
        sqlx::query(SHRINK_SQLITE)
            .fetch_all(database.pool())
            .await?;
    }
    Ok(more)
}

async fn delete_step(
    connection: &mut AnyConnection,
    cutoff: Timestamp,
) -> Result<bool, StoreError> {
    let ended = select_ended(connection, cutoff).await?;
    let mut room = CALLS_MAX;
    let mut calls = Vec::new();
    let mut emptied = Vec::new();
    let mut totals = Vec::new();
    let mut deleted = DayChanges::default();
    for (id, day) in &ended {
        if room == 0 {
            break;
        }
        let found = select_first_calls(connection, *id, room).await?;
        let is_emptied = found.len() < room;
        room -= found.len();
        let mut change = TotalsChange::default();
        for (call, state, sums) in &found {
            change.calls -= 1;
            change.take_back(*state, sums);
            calls.push(*call);
            deleted.add(vec![(day.clone(), of_call(*state, sums))]);
        }
        totals.push((*id, change));
        if is_emptied {
            emptied.push(*id);
        }
    }
    add_to_totals(connection, &totals).await?;
    deleted.add(daily::select_job_sums(connection, &emptied).await?);
    execute_in(connection, (DELETE_ATTEMPTS, ""), &calls).await?;
    execute_in(connection, (DELETE_CALLS, ""), &calls).await?;
    execute_in(connection, (DELETE_JOBS, ""), &emptied).await?;
    daily::add_to_deleted(connection, deleted).await?;
    Ok(!ended.is_empty())
}

/// What a call is in the sums of its day.
const fn of_call(state: CallState, sums: &CallSums) -> DaySums {
    let failed = matches!(state, CallState::Failed | CallState::Interrupted) as i64;
    let (input, output) = (sums.input_tokens, sums.output_tokens);
    let (client_cost, provider_cost) = (sums.client_cost, sums.provider_cost);
    let latency = sums.latency_ms;
    [
        0,
        0,
        0,
        1,
        failed,
        input,
        output,
        client_cost,
        provider_cost,
        0,
        latency,
    ]
}

async fn select_ended(
    connection: &mut AnyConnection,
    cutoff: Timestamp,
) -> Result<Vec<(JobId, DayKey)>, StoreError> {
    let rows = sqlx::query(SELECT_ENDED)
        .bind(cutoff.as_micros())
        .bind(JOBS_MAX)
        .fetch_all(connection)
        .await?;
    rows.iter()
        .map(|row| {
            let mut columns = Columns::of(row);
            let id = columns.parse()?;
            Ok((id, (columns.take()?, columns.take()?, columns.take()?)))
        })
        .collect()
}

async fn select_first_calls(
    connection: &mut AnyConnection,
    job: JobId,
    limit: usize,
) -> Result<Vec<(CallId, CallState, CallSums)>, StoreError> {
    let rows = sqlx::query(SELECT_FIRST_CALLS)
        .bind(job.to_string())
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .fetch_all(connection)
        .await?;
    rows.iter()
        .map(|row| {
            let mut columns = Columns::of(row);
            let (id, state) = (columns.parse()?, columns.parse()?);
            let sums = CallSums {
                input_tokens: columns.take()?,
                output_tokens: columns.take()?,
                client_cost: columns.take()?,
                provider_cost: columns.take()?,
                latency_ms: columns.take()?,
            };
            Ok((id, state, sums))
        })
        .collect()
}
