//! Recomputes the daily sums from jobs and calls.

use std::collections::BTreeMap;

use sqlx::AnyConnection;

use super::{Difference, shown_sum};
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

/// Days that are stored but not expected, and days that are expected but not stored. What retention
/// has deleted is expected too.
const SELECT_DIFFERING_DAYS: &str = concat!(
    "WITH totals AS (
        SELECT job_id
             , COUNT(*) AS calls
             , SUM(CASE WHEN state IN ('failed', 'interrupted') THEN 1 ELSE 0 END) AS failed
             , ",
    shown_sum!(concat!("(", input_tokens!(), ")")),
    " AS input_tokens, ",
    shown_sum!(concat!("(", output_tokens!(), ")")),
    " AS output_tokens, ",
    shown_sum!("client_cost"),
    " AS client_cost, ",
    shown_sum!("provider_cost"),
    " AS provider_cost, ",
    shown_sum!("COALESCE(latency_ms, 0)"),
    " AS latency_ms
        FROM calls
        GROUP BY job_id
    ), parts AS (
        SELECT j.team_id
             , j.created_at / 86400000000 AS day
             , j.job_type
             , CASE WHEN j.state = 'completed' THEN 1 ELSE 0 END AS completed
             , CASE WHEN j.state = 'failed' THEN 1 ELSE 0 END AS failed
             , CASE WHEN j.state = 'cancelled' THEN 1 ELSE 0 END AS cancelled
             , COALESCE(t.calls, 0) AS calls
             , COALESCE(t.failed, 0) AS failed_calls
             , COALESCE(t.input_tokens, 0) AS input_tokens
             , COALESCE(t.output_tokens, 0) AS output_tokens
             , COALESCE(t.client_cost, 0) AS client_cost
             , COALESCE(t.provider_cost, 0) AS provider_cost
             , COALESCE(j.charged, 0) AS credits
             , COALESCE(t.latency_ms, 0) AS latency_ms
        FROM jobs AS j
        LEFT JOIN totals AS t ON t.job_id = j.id
        WHERE j.state NOT IN ('pending', 'in_progress')
        UNION ALL
        SELECT team_id, day, job_type, completed, failed, cancelled, calls, failed_calls
             , input_tokens, output_tokens, client_cost, provider_cost, credits, latency_ms
        FROM usage_deleted
    ), expected AS (
        SELECT team_id, day, job_type, ",
    shown_sum!("completed"),
    " AS completed, ",
    shown_sum!("failed"),
    " AS failed, ",
    shown_sum!("cancelled"),
    " AS cancelled, ",
    shown_sum!("calls"),
    " AS calls, ",
    shown_sum!("failed_calls"),
    " AS failed_calls, ",
    shown_sum!("input_tokens"),
    " AS input_tokens, ",
    shown_sum!("output_tokens"),
    " AS output_tokens, ",
    shown_sum!("client_cost"),
    " AS client_cost, ",
    shown_sum!("provider_cost"),
    " AS provider_cost, ",
    shown_sum!("credits"),
    " AS credits, ",
    shown_sum!("latency_ms"),
    " AS latency_ms
        FROM parts
        GROUP BY team_id, day, job_type
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
