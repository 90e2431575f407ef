//! Sums of a day's ended jobs, which the transactions that end jobs keep.

use std::collections::BTreeMap;

use sqlx::AnyConnection;

use crate::db::StoreError;
use crate::db::rows::{Columns, Values, execute_tuples, select_in};
use crate::id::JobId;

/// Team, day since 1970 UTC, type of job.
pub(crate) type DayKey = (String, i64, String);

/// Completed, failed and cancelled jobs, calls, failed calls, input and output tokens, cost to the
/// customer and of the provider, credits, latencies: the order of the columns.
pub(crate) type DaySums = [i64; 11];

/// Sums by day that are to be added. They saturate: a day that is too large stays a number.
#[derive(Debug, Default)]
pub(crate) struct DayChanges(BTreeMap<DayKey, DaySums>);

impl DayChanges {
    /// Adds the sums of jobs.
    pub(crate) fn add(&mut self, jobs: Vec<(DayKey, DaySums)>) {
        self.change(jobs, i64::saturating_add);
    }

    /// Takes out sums that were added before.
    pub(crate) fn subtract(&mut self, jobs: Vec<(DayKey, DaySums)>) {
        self.change(jobs, i64::saturating_sub);
    }

    fn change(&mut self, jobs: Vec<(DayKey, DaySums)>, change: fn(i64, i64) -> i64) {
        for (key, sums) in jobs {
            let day = self.0.entry(key).or_default();
            for (sum, value) in day.iter_mut().zip(sums) {
                *sum = change(*sum, value);
            }
        }
    }

    fn into_rows(self) -> Vec<(DayKey, DaySums)> {
        let changed = |sums: &DaySums| sums.iter().any(|sum| *sum != 0);
        self.0
            .into_iter()
            .filter(|(_, sums)| changed(sums))
            .collect()
    }
}

/// What ended jobs are in the sums of their days, before the list of jobs. Open jobs are left out.
pub const SELECT_JOB_SUMS: &str = "
    SELECT team_id, created_at / 86400000000, job_type
         , CAST(CASE WHEN state = 'completed' THEN 1 ELSE 0 END AS BIGINT)
         , CAST(CASE WHEN state = 'failed' THEN 1 ELSE 0 END AS BIGINT)
         , CAST(CASE WHEN state = 'cancelled' THEN 1 ELSE 0 END AS BIGINT)
         , total_calls, failed_calls, total_input_tokens, total_tokens - total_input_tokens
         , total_cost, total_provider_cost, COALESCE(charged, 0), total_latency_ms
    FROM jobs
    WHERE state NOT IN ('pending', 'in_progress') AND id IN ";

/// Reads what those of these jobs that have ended are in the sums of their days.
pub(crate) async fn select_job_sums(
    connection: &mut AnyConnection,
    jobs: &[JobId],
) -> Result<Vec<(DayKey, DaySums)>, StoreError> {
    select_in(connection, (SELECT_JOB_SUMS, ""), jobs, read_day).await
}

pub(crate) fn read_day(columns: &mut Columns<'_>) -> Result<(DayKey, DaySums), StoreError> {
    let key = (columns.take()?, columns.take()?, columns.take()?);
    let mut sums = DaySums::default();
    for sum in &mut sums {
        *sum = columns.take()?;
    }
    Ok((key, sums))
}

/// `SQLite` would make a sum that overflows a floating-point number.
macro_rules! saturating_upsert {
    ($table:literal, $first:literal $(, $column:literal)*) => {
        (
            concat!(
                "INSERT INTO ", $table, " (team_id, day, job_type, ", $first, $(", ", $column,)*
                ") VALUES "
            ),
            concat!(
                " ON CONFLICT (team_id, day, job_type) DO UPDATE SET ",
                saturating_upsert!(@sum $table, $first),
                $(", ", saturating_upsert!(@sum $table, $column),)*
            ),
        )
    };
    (@sum $table:literal, $column:literal) => {
        concat!(
            $column, " = CASE WHEN excluded.", $column, " > 0 AND ", $table, ".", $column,
            " > 9223372036854775807 - excluded.", $column, " THEN 9223372036854775807 ELSE ",
            $table, ".", $column, " + excluded.", $column, " END"
        )
    };
}

macro_rules! with_day_columns {
    ($table:literal) => {
        saturating_upsert!(
            $table,
            "completed",
            "failed",
            "cancelled",
            "calls",
            "failed_calls",
            "input_tokens",
            "output_tokens",
            "client_cost",
            "provider_cost",
            "credits",
            "latency_ms"
        )
    };
}

/// Adds to the sums of days, around the rows.
pub const ADD_TO_DAYS: (&str, &str) = with_day_columns!("usage_daily");

/// Adds to what deleted jobs were in the sums of days, around the rows.
pub const ADD_TO_DELETED: (&str, &str) = with_day_columns!("usage_deleted");

/// Adds to the sums of days.
pub(crate) async fn add_to_days(
    connection: &mut AnyConnection,
    changes: DayChanges,
) -> Result<(), StoreError> {
    execute_tuples(connection, ADD_TO_DAYS, 14, &changes.into_rows(), bind_day).await?;
    Ok(())
}

/// Adds to what deleted jobs were in the sums of days.
pub(crate) async fn add_to_deleted(
    connection: &mut AnyConnection,
    changes: DayChanges,
) -> Result<(), StoreError> {
    let rows = changes.into_rows();
    execute_tuples(connection, ADD_TO_DELETED, 14, &rows, bind_day).await?;
    Ok(())
}

fn bind_day(values: &mut Values, ((team, day, job_type), sums): &(DayKey, DaySums)) {
    values.push(team.clone());
    values.push(*day);
    values.push(job_type.clone());
    for sum in sums {
        values.push(*sum);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_out_and_added_again_changes_nothing() {
        let key: DayKey = ("t".to_owned(), 1, "chat".to_owned());
        let mut changes = DayChanges::default();
        changes.subtract(vec![(key.clone(), [1; 11])]);
        changes.add(vec![(key.clone(), [1; 11])]);
        assert!(changes.into_rows().is_empty());
        let mut changes = DayChanges::default();
        changes.add(vec![(key.clone(), [i64::MAX; 11]), (key.clone(), [1; 11])]);
        assert_eq!(changes.into_rows(), [(key, [i64::MAX; 11])]);
    }
}
