//! Lists of jobs for administrators: filtered, paged in both directions, newest first.
//!
//! What an index serves is read as it is. The rest of a filter is applied to a bounded number of
//! jobs at a time, and whoever asked is told how far that went.

use std::collections::HashMap;

use sqlx::any::AnyRow;
use sqlx::{AnyConnection, AnyPool, AssertSqlSafe};

use super::read_job;
use crate::clock::Timestamp;
use crate::db::StoreError;
use crate::db::price::{input_tokens, output_tokens};
use crate::db::rows::{Columns, Values, select_in};
use crate::filter::{Bind, Choice, Filter, Kind, Vocabulary, Word};
use crate::id::JobId;
use crate::job::Job;
use crate::money::NanoUsd;

pub mod recent;

/// How many jobs are looked at in one step of a search that no index serves: some tens of
/// milliseconds of reading.
pub const SEARCHED_MAX: i64 = 20_000;

/// Rows are counted up to this many.
pub const COUNTED_MAX: i64 = 10_000;

const STATES: &[Choice] = &[
    Choice {
        word: "open",
        sql: "state IN ('pending', 'in_progress')",
    },
    Choice {
        word: "pending",
        sql: "state = 'pending'",
    },
    Choice {
        word: "running",
        sql: "state = 'in_progress'",
    },
    Choice {
        word: "completed",
        sql: "state = 'completed'",
    },
    Choice {
        word: "failed",
        sql: "state = 'failed'",
    },
    Choice {
        word: "cancelled",
        sql: "state = 'cancelled'",
    },
];

const fn word(name: &'static str, kind: Kind, column: &'static str, is_indexed: bool) -> Word {
    Word {
        name,
        kind,
        column,
        is_indexed,
    }
}

/// The words by which jobs are filtered. Totals are stored when a job ends; of an open job they are
/// added up.
pub const VOCABULARY: Vocabulary = Vocabulary {
    noun: "jobs",
    words: &[
        word("team", Kind::Name, "team_id", true),
        word("org", Kind::Name, "org_id", false),
        // Which states an index serves depends on the other words, so that is decided here.
        word("status", Kind::Choice(STATES), "", false),
        word("type", Kind::Name, "job_type", false),
        word("user", Kind::Name, "user_id", false),
        word("since", Kind::Since, "created_at", true),
        word("until", Kind::Until, "created_at", true),
        word(
            "calls",
            Kind::Count,
            "(CASE WHEN completed_at IS NULL
                   THEN (SELECT COUNT(*) FROM calls WHERE calls.job_id = jobs.id)
                   ELSE total_calls END)",
            false,
        ),
        word(
            "cost",
            Kind::Dollars,
            "(CASE WHEN completed_at IS NULL
                   THEN (SELECT COALESCE(SUM(client_cost), 0)
                         FROM calls
                         WHERE calls.job_id = jobs.id)
                   ELSE total_cost END)",
            false,
        ),
        word("credits", Kind::Count, "COALESCE(charged, 0)", false),
        word("held", Kind::Count, "hold", false),
        word("id", Kind::Name, "id", true),
    ],
    text: &["id", "user_id", "error_message", "metadata"],
};

/// A place in the order of jobs: newest first, and among those of one moment by their ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// When the job was created.
    pub created_at: Timestamp,
    /// The job; without one, the place is below all jobs of its moment and above all older ones.
    pub id: Option<JobId>,
}

impl Place {
    fn key(self) -> (i64, String) {
        let id = self.id.map(|id| id.to_string()).unwrap_or_default();
        (self.created_at.as_micros(), id)
    }
}

/// Which part of a list is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// The newest.
    First,
    /// The job at this place and older ones.
    At(Place),
    /// Those just newer than this one.
    Before(Place),
    /// The oldest.
    Last,
}

/// What a job's calls come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    /// Calls of any outcome, those in flight included.
    pub calls: i64,
    /// Calls that were answered.
    pub succeeded: i64,
    /// Calls that failed or were interrupted.
    pub failed: i64,
    /// Tokens of all buckets.
    pub tokens: i64,
    /// Tokens of prompts among them.
    pub input_tokens: i64,
    /// What the customer is asked.
    pub cost: NanoUsd,
    /// What the providers ask.
    pub provider_cost: NanoUsd,
    /// Their latencies added up.
    pub latency_ms: i64,
}

impl Totals {
    /// Calls that have not ended.
    pub const fn in_flight(&self) -> i64 {
        self.calls - self.succeeded - self.failed
    }
}

/// A job as it is listed.
#[derive(Debug, Clone, PartialEq)]
pub struct JobEntry {
    /// The job; in lists, long metadata is cut off.
    pub job: Job,
    /// What its calls come to.
    pub totals: Totals,
}

impl JobEntry {
    /// Its place in the order.
    pub const fn place(&self) -> Place {
        Place {
            created_at: self.job.created_at,
            id: Some(self.job.id),
        }
    }
}

/// What a reading has found.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// Newest first.
    pub jobs: Vec<JobEntry>,
    /// Whether there are more in the direction of reading.
    pub more: bool,
    /// How far a search went that did not see everything.
    pub reach: Option<Timestamp>,
}

macro_rules! entry_columns {
    () => {
        concat!(
            job_columns!("SUBSTR(metadata, 1, 1000)"),
            ", total_calls, succeeded_calls, failed_calls, total_tokens, total_input_tokens, \
             total_cost, total_provider_cost, total_latency_ms"
        )
    };
}

/// The beginning of a page of a list.
const SELECT: &str = concat!("SELECT ", entry_columns!(), " FROM ");

/// All jobs, in the order of time.
const ALL: &str = "jobs";

/// Open jobs over all teams are in an index by when they were last worked on, so they are read from
/// there and put in order.
const OPEN: &str = "(
    SELECT *
    FROM jobs
    WHERE state IN ('pending', 'in_progress')
    ORDER BY active_at DESC, id DESC
    LIMIT 20000
) AS jobs";

/// From a place on to older ones, not beyond a moment.
const DOWN: (&str, &str) = (
    " WHERE (created_at, id) <= ($1, $2) AND created_at >= $3",
    " ORDER BY created_at DESC, id DESC LIMIT $4",
);

/// From a place on to newer ones, not beyond a moment.
const UP: (&str, &str) = (
    " WHERE (created_at, id) > ($1, $2) AND created_at <= $3",
    " ORDER BY created_at, id LIMIT $4",
);

/// How many values come before those of the filter.
const FIXED: usize = 4;

/// How far so many rows reach, around conditions.
const EDGE: (&str, &str) = (
    "SELECT COUNT(*), MIN(created_at), MAX(created_at) FROM (SELECT created_at FROM ",
    ") AS searched",
);

/// How many rows there are, around conditions.
const COUNT: (&str, &str) = ("SELECT COUNT(*) FROM (SELECT 1 FROM ", ") AS counted");

/// A filter as parts of statements.
struct Search {
    source: &'static str,
    /// Conditions that an index serves.
    indexed: String,
    indexed_binds: Vec<Bind>,
    /// All conditions.
    all: String,
    binds: Vec<Bind>,
    /// Whether only so many rows may be looked at in one step.
    is_bounded: bool,
}

impl Search {
    fn new(filter: &Filter) -> Self {
        let team = filter.only("team").is_some() || filter.only("id").is_some();
        let state = filter.choice("status");
        let (source, condition) = match state {
            Some("open" | "pending" | "running") if team => {
                (ALL, " AND state IN ('pending', 'in_progress')")
            }
            Some("open" | "pending" | "running") => (OPEN, ""),
            Some("failed") => (ALL, " AND state = 'failed'"),
            Some("cancelled") => (ALL, " AND state = 'cancelled'"),
            _ => (ALL, ""),
        };
        let indexed = filter.indexed_part().predicates(FIXED + 1);
        let all = filter.predicates(FIXED + 1);
        Self {
            source,
            indexed: format!("{condition}{}", indexed.indexed),
            indexed_binds: indexed.binds,
            all: format!("{condition}{}{}", all.indexed, all.rest),
            binds: all.binds,
            is_bounded: source == ALL && !all.rest.is_empty(),
        }
    }

    fn page_sql(&self, (before, after): (&str, &str)) -> String {
        format!("{SELECT}{}{before}{}{after}", self.source, self.all)
    }

    fn edge_sql(&self, (before, after): (&str, &str)) -> String {
        let inner = format!("{}{before}{}{after}", self.source, self.indexed);
        format!("{}{inner}{}", EDGE.0, EDGE.1)
    }

    fn count_sql(&self, (before, _): (&str, &str)) -> String {
        let inner = format!("{}{before}{} LIMIT $4", self.source, self.all);
        format!("{}{inner}{}", COUNT.0, COUNT.1)
    }
}

/// The statements by which a list is read: its page, the reach of a step, its count. For tests of
/// their plans; the first four values are a time, an id, a time and a number.
pub fn statements(filter: &Filter) -> Vec<String> {
    let search = Search::new(filter);
    [DOWN, UP]
        .into_iter()
        .flat_map(|way| {
            [
                search.page_sql(way),
                search.edge_sql(way),
                search.count_sql(way),
            ]
        })
        .collect()
}

/// One reading: which way, from where, and not beyond which moment.
#[derive(Debug, Clone)]
struct Reading {
    is_up: bool,
    from: (i64, String),
    edge: i64,
}

impl Reading {
    fn new(start: Start) -> Self {
        let (is_up, from) = match start {
            Start::First => (false, (i64::MAX, String::new())),
            Start::At(place) => (false, place.key()),
            Start::Before(place) => (true, place.key()),
            Start::Last => (true, (i64::MIN, String::new())),
        };
        Self {
            is_up,
            from,
            edge: if is_up { i64::MAX } else { i64::MIN },
        }
    }

    const fn way(&self) -> (&'static str, &'static str) {
        if self.is_up { UP } else { DOWN }
    }

    async fn fetch(
        &self,
        connection: &mut AnyConnection,
        sql: String,
        limit: i64,
        binds: &[Bind],
    ) -> Result<Vec<AnyRow>, StoreError> {
        let mut values = Values::default();
        values.push(self.from.0);
        values.push(self.from.1.clone());
        values.push(self.edge);
        values.push(limit);
        values.push_binds(binds);
        let query = sqlx::query_with(AssertSqlSafe(sql), values.into_arguments());
        Ok(query.fetch_all(connection).await?)
    }

    /// Holds a search within one step; says how far that reaches, unless it is to the end.
    async fn bound(
        &mut self,
        connection: &mut AnyConnection,
        search: &Search,
    ) -> Result<Option<Timestamp>, StoreError> {
        if !search.is_bounded {
            return Ok(None);
        }
        let sql = search.edge_sql(self.way());
        let rows = self
            .fetch(connection, sql, SEARCHED_MAX, &search.indexed_binds)
            .await?;
        let Some(row) = rows.first() else {
            return Ok(None);
        };
        let mut columns = Columns::of(row);
        let count: i64 = columns.take()?;
        let oldest: Option<i64> = columns.take()?;
        let newest: Option<i64> = columns.take()?;
        let edge = if self.is_up { newest } else { oldest };
        match edge {
            Some(edge) if count >= SEARCHED_MAX => {
                self.edge = edge;
                Ok(Some(Timestamp::from_micros(edge)))
            }
            _ => Ok(None),
        }
    }

    async fn count(
        &self,
        connection: &mut AnyConnection,
        search: &Search,
    ) -> Result<i64, StoreError> {
        let sql = search.count_sql(self.way());
        let rows = self
            .fetch(connection, sql, COUNTED_MAX + 1, &search.binds)
            .await?;
        rows.first()
            .map_or(Ok(0), |row| Columns::of(row).take::<i64>())
    }
}

fn read_entry(columns: &mut Columns<'_>) -> Result<JobEntry, StoreError> {
    Ok(JobEntry {
        job: read_job(columns)?,
        totals: read_totals(columns)?,
    })
}

fn read_totals(columns: &mut Columns<'_>) -> Result<Totals, StoreError> {
    Ok(Totals {
        calls: columns.take()?,
        succeeded: columns.take()?,
        failed: columns.take()?,
        tokens: columns.take()?,
        input_tokens: columns.take()?,
        cost: NanoUsd(columns.take()?),
        provider_cost: NanoUsd(columns.take()?),
        latency_ms: columns.take()?,
    })
}

/// Reads a part of the list.
pub async fn page(
    pool: &AnyPool,
    filter: &Filter,
    start: Start,
    limit: i64,
) -> Result<Found, StoreError> {
    let search = Search::new(filter);
    let mut connection = pool.acquire().await?;
    let mut reading = Reading::new(start);
    let reach = reading.bound(&mut connection, &search).await?;
    let sql = search.page_sql(reading.way());
    let rows = reading
        .fetch(&mut connection, sql, limit + 1, &search.binds)
        .await?;
    let read = rows.iter().map(|row| read_entry(&mut Columns::of(row)));
    let mut jobs: Vec<JobEntry> = read.collect::<Result<_, _>>()?;
    let limit = usize::try_from(limit).unwrap_or(0);
    let more = jobs.len() > limit;
    jobs.truncate(limit);
    if reading.is_up {
        jobs.reverse();
    }
    add_up_open(&mut connection, &mut jobs).await?;
    Ok(Found {
        jobs,
        more,
        reach: reach.filter(|_| !more),
    })
}

/// How many jobs there are, up to [`COUNTED_MAX`] and one more, and how far they were counted if
/// not all were looked at.
pub async fn count(
    pool: &AnyPool,
    filter: &Filter,
) -> Result<(i64, Option<Timestamp>), StoreError> {
    let search = Search::new(filter);
    let mut connection = pool.acquire().await?;
    let mut reading = Reading::new(Start::First);
    let reach = reading.bound(&mut connection, &search).await?;
    Ok((reading.count(&mut connection, &search).await?, reach))
}

/// How many jobs are newer than this place, up to [`COUNTED_MAX`] and one more; a search is held
/// within one step.
pub async fn count_newer(pool: &AnyPool, filter: &Filter, than: Place) -> Result<i64, StoreError> {
    let search = Search::new(filter);
    let mut connection = pool.acquire().await?;
    let mut reading = Reading::new(Start::Before(than));
    reading.bound(&mut connection, &search).await?;
    reading.count(&mut connection, &search).await
}

/// Jobs by id with their totals, before the list of ids.
pub const SELECT_ENTRIES: &str = concat!("SELECT ", entry_columns!(), " FROM jobs WHERE id IN ");

/// Reads the jobs of these ids as they are now, in no order; those that are gone are left out.
pub async fn by_ids(pool: &AnyPool, ids: &[JobId]) -> Result<Vec<JobEntry>, StoreError> {
    let mut connection = pool.acquire().await?;
    let mut jobs = select_in(&mut connection, (SELECT_ENTRIES, ""), ids, read_entry).await?;
    add_up_open(&mut connection, &mut jobs).await?;
    Ok(jobs)
}

/// The same jobs with all of their metadata, in their order; those that are gone are left out.
pub async fn whole(pool: &AnyPool, entries: &[JobEntry]) -> Result<Vec<Job>, StoreError> {
    let ids: Vec<JobId> = entries.iter().map(|entry| entry.job.id).collect();
    let mut connection = pool.acquire().await?;
    let mut jobs = super::select_jobs(&mut connection, &ids).await?;
    jobs.sort_by_key(|job| ids.iter().position(|id| *id == job.id));
    Ok(jobs)
}

/// What the calls of open jobs come to so far, around the list of jobs.
pub const ADD_UP_OPEN: (&str, &str) = (
    concat!(
        "SELECT job_id
          , COUNT(*)
          , CAST(SUM(CASE WHEN state = 'succeeded' THEN 1 ELSE 0 END) AS BIGINT)
          , CAST(SUM(CASE WHEN state IN ('failed', 'interrupted') THEN 1 ELSE 0 END) AS BIGINT)
          , CAST(SUM(",
        input_tokens!(),
        " + ",
        output_tokens!(),
        ") AS BIGINT)
          , CAST(SUM(",
        input_tokens!(),
        ") AS BIGINT)
          , CAST(SUM(client_cost) AS BIGINT)
          , CAST(SUM(provider_cost) AS BIGINT)
          , CAST(SUM(COALESCE(latency_ms, 0)) AS BIGINT)
     FROM calls
     WHERE job_id IN "
    ),
    " GROUP BY job_id",
);

/// Gives the open ones among these jobs the totals of their calls so far.
async fn add_up_open(
    connection: &mut AnyConnection,
    jobs: &mut [JobEntry],
) -> Result<(), StoreError> {
    let open = jobs.iter().filter(|entry| entry.job.state.is_open());
    let ids: Vec<JobId> = open.map(|entry| entry.job.id).collect();
    let read = |columns: &mut Columns<'_>| {
        let id: JobId = columns.parse()?;
        Ok((id, read_totals(columns)?))
    };
    let totals = select_in(connection, ADD_UP_OPEN, &ids, read).await?;
    let totals: HashMap<JobId, Totals> = totals.into_iter().collect();
    for entry in jobs {
        if let Some(totals) = totals.get(&entry.job.id) {
            entry.totals = *totals;
        }
    }
    Ok(())
}
