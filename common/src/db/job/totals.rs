//! Sums over a job's calls, kept in its row by the transactions in which calls begin and end.

use std::collections::HashMap;

use sqlx::AnyConnection;

use crate::clock::Timestamp;
use crate::db::StoreError;
use crate::db::rows::{Values, execute_tuples, select_in};
use crate::db::work::CallResult;
use crate::id::JobId;
use crate::job::CallState;

/// What an ended call adds to its job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct CallSums {
    pub(crate) input_tokens: i64,
    pub(crate) output_tokens: i64,
    pub(crate) client_cost: i64,
    pub(crate) provider_cost: i64,
    pub(crate) latency_ms: i64,
}

impl CallSums {
    pub(crate) fn of(result: &CallResult) -> Self {
        Self {
            input_tokens: result.usage.input(),
            output_tokens: result.usage.output(),
            client_cost: result.client_cost.0,
            provider_cost: result.provider_cost.0,
            latency_ms: result.latency_ms,
        }
    }
}

/// What the calls of one transaction add to their job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct TotalsChange {
    pub(crate) in_flight: i64,
    pub(crate) calls: i64,
    succeeded: i64,
    failed: i64,
    tokens: i64,
    input_tokens: i64,
    client_cost: i64,
    provider_cost: i64,
    latency_ms: i64,
    active_at: Timestamp,
}

impl TotalsChange {
    /// A call has begun.
    pub(crate) fn begin(&mut self, now: Timestamp) {
        self.calls += 1;
        self.in_flight += 1;
        self.active_at = self.active_at.max(now);
    }

    /// A call has ended in `state`.
    pub(crate) fn end(&mut self, state: CallState, sums: &CallSums) {
        self.add(state, sums, 1);
    }

    /// What was recorded of a call's end is replaced.
    pub(crate) fn take_back(&mut self, state: CallState, sums: &CallSums) {
        self.add(state, sums, -1);
    }

    fn add(&mut self, state: CallState, sums: &CallSums, sign: i64) {
        let count = match state {
            CallState::InFlight => return,
            CallState::Succeeded => &mut self.succeeded,
            CallState::Failed | CallState::Interrupted => &mut self.failed,
        };
        *count += sign;
        let tokens = sums.input_tokens.saturating_add(sums.output_tokens);
        for (sum, value) in [
            (&mut self.tokens, tokens),
            (&mut self.input_tokens, sums.input_tokens),
            (&mut self.client_cost, sums.client_cost),
            (&mut self.provider_cost, sums.provider_cost),
            (&mut self.latency_ms, sums.latency_ms),
        ] {
            *sum = sum.saturating_add(value.saturating_mul(sign));
        }
    }
}

/// A column and what is added to it; a sum that would overflow stays at the largest number, because
/// `SQLite` would make it a floating-point number.
macro_rules! saturating_sum {
    ($column:literal, $value:literal) => {
        concat!(
            $column,
            " = CASE WHEN ",
            $value,
            " > 0 AND jobs.",
            $column,
            " > 9223372036854775807 - ",
            $value,
            " THEN 9223372036854775807 ELSE jobs.",
            $column,
            " + ",
            $value,
            " END"
        )
    };
}

/// Adds to the totals of jobs, around the rows.
pub const ADD_TO_TOTALS: (&str, &str) = (
    concat!(
        "UPDATE jobs
         SET calls_in_flight = jobs.calls_in_flight + v.column2
           , total_calls = jobs.total_calls + v.column3
           , succeeded_calls = jobs.succeeded_calls + v.column4
           , failed_calls = jobs.failed_calls + v.column5
           , ",
        saturating_sum!("total_tokens", "v.column6"),
        ", ",
        saturating_sum!("total_input_tokens", "v.column7"),
        ", ",
        saturating_sum!("total_cost", "v.column8"),
        ", ",
        saturating_sum!("total_provider_cost", "v.column9"),
        ", ",
        saturating_sum!("total_latency_ms", "v.column10"),
        ", active_at = CASE WHEN v.column11 > jobs.active_at THEN v.column11
                            ELSE jobs.active_at END
         FROM (VALUES "
    ),
    ") AS v WHERE jobs.id = v.column1",
);

/// Adds what calls have changed to the rows of their jobs.
pub(crate) async fn add_to_totals(
    connection: &mut AnyConnection,
    changes: &[(JobId, TotalsChange)],
) -> Result<(), StoreError> {
    let bind = |values: &mut Values, (id, change): &(JobId, TotalsChange)| {
        values.push_text(id);
        values.push(change.in_flight);
        values.push(change.calls);
        values.push(change.succeeded);
        values.push(change.failed);
        values.push(change.tokens);
        values.push(change.input_tokens);
        values.push(change.client_cost);
        values.push(change.provider_cost);
        values.push(change.latency_ms);
        values.push_time(change.active_at);
    };
    execute_tuples(connection, ADD_TO_TOTALS, 11, changes, bind).await?;
    Ok(())
}

/// Calls in flight by job, before the list of jobs.
pub const SELECT_IN_FLIGHT: &str = "SELECT id, calls_in_flight FROM jobs WHERE id IN ";

/// How many calls of each of these jobs are in flight.
pub(crate) async fn select_in_flight(
    connection: &mut AnyConnection,
    jobs: &[JobId],
) -> Result<HashMap<JobId, i64>, StoreError> {
    let rows = select_in(connection, (SELECT_IN_FLIGHT, ""), jobs, |columns| {
        Ok((columns.parse()?, columns.take()?))
    });
    Ok(rows.await?.into_iter().collect())
}
