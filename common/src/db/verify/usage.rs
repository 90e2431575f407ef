//! Recomputes the daily sums from jobs and calls.

use std::collections::BTreeMap;

use sqlx::AnyConnection;

use super::Difference;
use crate::db::StoreError;
use crate::db::price::{input_tokens, output_tokens};
use crate::db::rows::Columns;

macro_rules! rules {
    ($($column:literal),*) => {
        [$(concat!("usage_daily.", $column, " is what the day's ended jobs add up to")),*]
    };
}

/// What each column of a day must be, in the order of the statement.
const RULES: [&str; 11] = rules!(
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
);

/// Days that are stored but not expected, and days that are expected but not stored.
const SELECT_DIFFERING_DAYS: &str = concat!(
    "
    WITH totals AS (
        SELECT job_id
             , COUNT(*) AS calls
             , SUM(CASE WHEN state IN ('failed', 'interrupted') THEN 1 ELSE 0 END) AS failed
             , SUM(",
    input_tokens!(),
    ") AS input_tokens
             , SUM(",
    output_tokens!(),
    ") AS output_tokens
             , SUM(client_cost) AS client_cost
             , SUM(provider_cost) AS provider_cost
             , SUM(COALESCE(latency_ms, 0)) AS latency_ms
        FROM calls
        GROUP BY job_id
    ), expected AS (
        SELECT j.team_id
             , j.created_at / 86400000000 AS day
             , j.job_type
             , CAST(SUM(CASE WHEN j.state = 'completed' THEN 1 ELSE 0 END) AS BIGINT) AS completed
             , CAST(SUM(CASE WHEN j.state = 'failed' THEN 1 ELSE 0 END) AS BIGINT) AS failed
             , CAST(SUM(CASE WHEN j.state = 'cancelled' THEN 1 ELSE 0 END) AS BIGINT) AS cancelled
             , CAST(SUM(COALESCE(t.calls, 0)) AS BIGINT) AS calls
             , CAST(SUM(COALESCE(t.failed, 0)) AS BIGINT) AS failed_calls
             , CAST(SUM(COALESCE(t.input_tokens, 0)) AS BIGINT) AS input_tokens
             , CAST(SUM(COALESCE(t.output_tokens, 0)) AS BIGINT) AS output_tokens
             , CAST(SUM(COALESCE(t.client_cost, 0)) AS BIGINT) AS client_cost
             , CAST(SUM(COALESCE(t.provider_cost, 0)) AS BIGINT) AS provider_cost
             , CAST(SUM(COALESCE(j.charged, 0)) AS BIGINT) AS credits
             , CAST(SUM(COALESCE(t.latency_ms, 0)) AS BIGINT) AS latency_ms
        FROM jobs AS j
        LEFT JOIN totals AS t ON t.job_id = j.id
        WHERE j.state NOT IN ('pending', 'in_progress')
        GROUP BY j.team_id, j.created_at / 86400000000, j.job_type
    ), stored AS (
        SELECT team_id, day, job_type, completed, failed, cancelled, calls, failed_calls
             , input_tokens, output_tokens, client_cost, provider_cost, credits, latency_ms
        FROM usage_daily
    )
    SELECT CAST(0 AS BIGINT), a.*
    FROM (SELECT * FROM stored EXCEPT SELECT * FROM expected) AS a
    UNION ALL
    SELECT CAST(1 AS BIGINT), b.*
    FROM (SELECT * FROM expected EXCEPT SELECT * FROM stored) AS b"
);

type Day = (String, i64, String);
type Sums = [i64; RULES.len()];

/// Each sum that is not what the jobs and calls of its day add up to.
pub(super) async fn check(connection: &mut AnyConnection) -> Result<Vec<Difference>, StoreError> {
    let mut days: BTreeMap<Day, [Sums; 2]> = BTreeMap::new();
    let rows = sqlx::query(SELECT_DIFFERING_DAYS)
        .fetch_all(connection)
        .await?;
    for row in &rows {
        let mut columns = Columns::of(row);
        let is_expected: i64 = columns.take()?;
        let day = (columns.take()?, columns.take()?, columns.take()?);
        let sides = days.entry(day).or_default();
        for sum in &mut sides[usize::from(is_expected != 0)] {
            *sum = columns.take()?;
        }
    }
    Ok(days.iter().flat_map(differences).collect())
}

fn differences(
    ((team, day, job_type), [stored, expected]): (&Day, &[Sums; 2]),
) -> impl Iterator<Item = Difference> {
    let place = format!("{team}, day {day}, {job_type}");
    let sums = stored.iter().zip(expected).zip(RULES);
    sums.filter(|((stored, expected), _)| stored != expected)
        .map(move |((stored, expected), rule)| Difference {
            place: place.clone(),
            rule,
            stored: *stored,
            expected: *expected,
        })
}
