//! What came in during the last hour, minute by minute.

use std::time::Duration;

use sqlx::AnyPool;

use super::{DOWN, Reading, SEARCHED_MAX, Search, Start};
use crate::clock::Timestamp;
use crate::db::StoreError;
use crate::db::rows::Columns;
use crate::filter::Filter;
use crate::job::JobState;

/// How many minutes are told of.
pub const MINUTES: usize = 60;

/// The jobs of the last hour, around conditions: by minute and state, how many, and how long those
/// that have ended took, in microseconds.
const BY_MINUTE: (&str, &str) = (
    "SELECT (created_at - $3) / 60000000 AS minute
          , state
          , COUNT(*)
          , CAST(SUM(COALESCE(completed_at, created_at) - created_at) AS BIGINT)
     FROM (SELECT created_at, state, completed_at FROM ",
    ") AS recent
     GROUP BY 1, 2",
);

/// What the jobs of the last hour come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recent {
    /// Jobs created in each minute, the latest last.
    pub created: Vec<u64>,
    /// Those among them that have failed.
    pub failed: Vec<u64>,
    /// How many there are in each state, in the order of [`Recent::STATES`].
    pub states: [u64; 5],
    /// How long those took on average that have ended.
    pub took: Option<Duration>,
    /// Whether not all were looked at.
    pub is_part: bool,
}

impl Recent {
    /// The states that are counted.
    pub const STATES: [JobState; 5] = [
        JobState::InProgress,
        JobState::Pending,
        JobState::Completed,
        JobState::Failed,
        JobState::Cancelled,
    ];
}

fn sql(search: &Search) -> String {
    let inner = format!("{}{}{}{}", search.source, DOWN.0, search.all, DOWN.1);
    format!("{}{inner}{}", BY_MINUTE.0, BY_MINUTE.1)
}

/// The statement for a filter, for a test of its plan; the first four values are a time, an id, a
/// time and a number.
pub fn statement(filter: &Filter) -> String {
    sql(&Search::new(filter))
}

/// Adds up the jobs that a filter lets through of the hour before `now`, as many as one step of a
/// search looks at.
pub async fn recent(pool: &AnyPool, filter: &Filter, now: Timestamp) -> Result<Recent, StoreError> {
    let search = Search::new(filter);
    let mut connection = pool.acquire().await?;
    let mut reading = Reading::new(Start::First);
    reading.bound(&mut connection, &search).await?;
    let hour = Duration::from_secs(60 * MINUTES as u64);
    let first = now.minus(hour).as_micros();
    let mut is_part = reading.edge > first;
    reading.edge = reading.edge.max(first);
    let offset = (reading.edge - first) / 60_000_000;
    let rows = reading
        .fetch(&mut connection, sql(&search), SEARCHED_MAX, &search.binds)
        .await?;
    let mut recent = Recent {
        created: vec![0; MINUTES],
        failed: vec![0; MINUTES],
        states: [0; 5],
        took: None,
        is_part: false,
    };
    let (mut ended, mut took) = (0, 0);
    for row in &rows {
        let mut columns = Columns::of(row);
        let minute: i64 = columns.take()?;
        let state: JobState = columns.parse()?;
        let count = u64::try_from(columns.take::<i64>()?).unwrap_or(0);
        took += columns.take::<i64>()?.max(0);
        recent.add(minute + offset, state, count);
        ended += if state.is_open() { 0 } else { count };
    }
    let all: u64 = recent.states.iter().sum();
    is_part |= i64::try_from(all).is_ok_and(|all| all >= SEARCHED_MAX);
    recent.is_part = is_part;
    let took = u64::try_from(took).unwrap_or(0).checked_div(ended);
    recent.took = took.map(Duration::from_micros);
    Ok(recent)
}

impl Recent {
    fn add(&mut self, minute: i64, state: JobState, count: u64) {
        let last = MINUTES - 1;
        // A job may be created while this is read.
        let minute = usize::try_from(minute).unwrap_or(0).min(last);
        self.created[minute] += count;
        if state == JobState::Failed {
            self.failed[minute] += count;
        }
        let known = Self::STATES.iter().position(|known| *known == state);
        if let Some(place) = known {
            self.states[place] += count;
        }
    }
}
