//! Lists of calls for administrators: those of one job in their order, and the newest of all.

use sqlx::{AnyConnection, AnyPool, AssertSqlSafe};

use super::{CallRow, read_call};
use crate::clock::Timestamp;
use crate::db::StoreError;
use crate::db::price::{self, input_tokens, output_tokens};
use crate::db::rows::{Columns, Values, select_in};
use crate::filter::{Bind, Choice, Filter, Kind, Vocabulary, Word};
use crate::id::{CallId, JobId, KeyId, NodeId, TeamId};
use crate::job::Spend;
use crate::money::NanoUsd;

/// How many calls are looked at in one step of a search that no index serves.
pub const SEARCHED_MAX: i64 = 20_000;

const STATES: &[Choice] = &[
    Choice {
        word: "in_flight",
        sql: "state = 'in_flight'",
    },
    Choice {
        word: "succeeded",
        sql: "state = 'succeeded'",
    },
    Choice {
        word: "failed",
        sql: "state = 'failed'",
    },
    Choice {
        word: "interrupted",
        sql: "state = 'interrupted'",
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

/// The words by which calls are filtered.
pub const VOCABULARY: Vocabulary = Vocabulary {
    noun: "calls",
    words: &[
        word("job", Kind::Name, "job_id", true),
        word("team", Kind::Name, "team_id", false),
        word("key", Kind::Name, "key_id", false),
        word("status", Kind::Choice(STATES), "", false),
        word("model", Kind::Name, "alias", false),
        word("provider", Kind::Name, "provider_name", false),
        word("error", Kind::Name, "error_kind", false),
        word("since", Kind::Since, "started_at", false),
        word("until", Kind::Until, "started_at", false),
        word(
            "tokens",
            Kind::Count,
            concat!("(", input_tokens!(), " + ", output_tokens!(), ")"),
            false,
        ),
        word("ms", Kind::Count, "latency_ms", false),
        word("cost", Kind::Dollars, "client_cost", false),
    ],
    text: &["id", "job_id", "purpose", "error", "upstream_model"],
};

/// A call with what only administrators see.
#[derive(Debug, Clone)]
pub struct CallEntry {
    /// The call.
    pub call: CallRow,
    /// Its job.
    pub job_id: JobId,
    /// Who pays.
    pub team_id: TeamId,
    /// The key that asked.
    pub key_id: KeyId,
    /// The process that made it.
    pub node_id: NodeId,
    /// Its worst case, for which credits were held.
    pub reserved: Spend,
}

macro_rules! entry_columns {
    () => {
        concat!(
            call_columns!(),
            ", job_id, team_id, key_id, node_id, reserved_cost, reserved_tokens"
        )
    };
}

fn read_entry(columns: &mut Columns<'_>) -> Result<CallEntry, StoreError> {
    Ok(CallEntry {
        call: read_call(columns)?,
        job_id: columns.parse()?,
        team_id: columns.parse()?,
        key_id: KeyId::new(&columns.take::<String>()?),
        node_id: columns.parse()?,
        reserved: Spend {
            cost: NanoUsd(columns.take()?),
            tokens: columns.take()?,
        },
    })
}

async fn attach_prices(
    connection: &mut AnyConnection,
    entries: &mut [CallEntry],
) -> Result<(), StoreError> {
    let calls = entries.iter_mut().map(|entry| &mut entry.call);
    price::attach(connection, calls).await
}

/// Which part of a job's calls is asked for, in the order in which they began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// The first.
    First,
    /// This one and those after it.
    At(CallId),
    /// Those just before this one.
    Before(CallId),
    /// The last.
    Last,
}

/// Calls of a job from one on.
pub const SELECT_FROM: &str = concat!(
    "SELECT ",
    entry_columns!(),
    " FROM calls
     WHERE job_id = $1 AND id >= $2
     ORDER BY id
     LIMIT $3"
);

/// Calls of a job before one, the latest first.
pub const SELECT_BEFORE: &str = concat!(
    "SELECT ",
    entry_columns!(),
    " FROM calls
     WHERE job_id = $1 AND id < $2
     ORDER BY id DESC
     LIMIT $3"
);

/// Greater than every id of a call.
const BEYOND: &str = "call_z";

/// Reads a part of a job's calls, and says whether there are more in the direction of reading.
pub async fn of_job(
    pool: &AnyPool,
    job_id: JobId,
    start: Start,
    limit: i64,
) -> Result<(Vec<CallEntry>, bool), StoreError> {
    let (sql, id) = match start {
        Start::First => (SELECT_FROM, String::new()),
        Start::At(id) => (SELECT_FROM, id.to_string()),
        Start::Before(id) => (SELECT_BEFORE, id.to_string()),
        Start::Last => (SELECT_BEFORE, BEYOND.to_owned()),
    };
    let query = sqlx::query(sql).bind(job_id.to_string()).bind(id);
    let rows = query.bind(limit + 1).fetch_all(pool).await?;
    let read = rows.iter().map(|row| read_entry(&mut Columns::of(row)));
    let mut calls: Vec<CallEntry> = read.collect::<Result<_, _>>()?;
    let limit = usize::try_from(limit).unwrap_or(0);
    let more = calls.len() > limit;
    calls.truncate(limit);
    if matches!(start, Start::Before(_) | Start::Last) {
        calls.reverse();
    }
    attach_prices(&mut *pool.acquire().await?, &mut calls).await?;
    Ok((calls, more))
}

/// How many calls of a job come before one, up to a limit.
pub const COUNT_BEFORE: &str = "
    SELECT COUNT(*)
    FROM (SELECT 1 FROM calls WHERE job_id = $1 AND id < $2 LIMIT $3) AS counted";

/// How many calls of a job come before this one, or are there in all, up to a limit.
pub async fn count_before(
    pool: &AnyPool,
    job_id: JobId,
    id: Option<CallId>,
    limit: i64,
) -> Result<i64, StoreError> {
    let id = id.map_or_else(|| BEYOND.to_owned(), |id| id.to_string());
    let query = sqlx::query_scalar(COUNT_BEFORE).bind(job_id.to_string());
    Ok(query.bind(id).bind(limit).fetch_one(pool).await?)
}

/// Calls by id, before the list of ids.
pub const SELECT_ENTRIES: &str = concat!("SELECT ", entry_columns!(), " FROM calls WHERE id IN ");

/// Reads the calls of these ids as they are now, in no order; those that are gone are left out.
pub async fn by_ids(pool: &AnyPool, ids: &[CallId]) -> Result<Vec<CallEntry>, StoreError> {
    let mut connection = pool.acquire().await?;
    let mut calls = select_in(&mut connection, (SELECT_ENTRIES, ""), ids, read_entry).await?;
    attach_prices(&mut connection, &mut calls).await?;
    Ok(calls)
}

/// What a reading of the newest calls has found.
#[derive(Debug, Clone)]
pub struct Found {
    /// Newest first.
    pub calls: Vec<CallEntry>,
    /// Where a search has stopped that did not see everything: the last call that it looked at.
    pub reach: Option<CallId>,
}

/// The newest calls before one, not beyond another, around conditions.
const NEWEST: (&str, &str) = (
    concat!(
        "SELECT ",
        entry_columns!(),
        " FROM calls WHERE id < $1 AND id >= $2"
    ),
    " ORDER BY id DESC LIMIT $3",
);

/// How far so many calls reach, around conditions.
const EDGE: (&str, &str) = (
    "SELECT COUNT(*), MIN(id) FROM (SELECT id FROM calls WHERE id < $1 AND id >= $2",
    " ORDER BY id DESC LIMIT $3) AS searched",
);

/// How many values come before those of the filter.
const FIXED: usize = 3;

fn newest_sql(filter: &Filter) -> (String, Vec<Bind>, bool) {
    let all = filter.predicates(FIXED + 1);
    let sql = format!("{}{}{}{}", NEWEST.0, all.indexed, all.rest, NEWEST.1);
    (sql, all.binds, !all.rest.is_empty())
}

fn edge_sql(filter: &Filter) -> (String, Vec<Bind>) {
    let indexed = filter.indexed_part().predicates(FIXED + 1);
    let sql = format!("{}{}{}", EDGE.0, indexed.indexed, EDGE.1);
    (sql, indexed.binds)
}

/// The statements by which the newest calls are read, for tests of their plans; the first three
/// values are two ids and a number.
pub fn statements(filter: &Filter) -> [String; 2] {
    [newest_sql(filter).0, edge_sql(filter).0]
}

/// Reads the newest calls of all jobs that the filter lets through and that began before one.
pub async fn newest(
    pool: &AnyPool,
    filter: &Filter,
    before: Option<CallId>,
    limit: i64,
) -> Result<Found, StoreError> {
    let before = before.map_or_else(|| BEYOND.to_owned(), |id| id.to_string());
    let (sql, binds, is_bounded) = newest_sql(filter);
    let mut edge = None;
    if is_bounded {
        let (sql, binds) = edge_sql(filter);
        let values = values((&before, ""), SEARCHED_MAX, &binds);
        let query = sqlx::query_with(AssertSqlSafe(sql), values.into_arguments());
        let row = query.fetch_one(pool).await?;
        let mut columns = Columns::of(&row);
        let count: i64 = columns.take()?;
        edge = columns
            .parse_optional::<CallId>()?
            .filter(|_| count >= SEARCHED_MAX);
    }
    let lowest = edge.map(|id| id.to_string()).unwrap_or_default();
    let values = values((&before, &lowest), limit, &binds);
    let query = sqlx::query_with(AssertSqlSafe(sql), values.into_arguments());
    let rows = query.fetch_all(pool).await?;
    let read = rows.iter().map(|row| read_entry(&mut Columns::of(row)));
    let mut calls: Vec<CallEntry> = read.collect::<Result<_, _>>()?;
    attach_prices(&mut *pool.acquire().await?, &mut calls).await?;
    let limit = usize::try_from(limit).unwrap_or(0);
    let reach = edge.filter(|_| calls.len() < limit);
    Ok(Found { calls, reach })
}

fn values((before, lowest): (&str, &str), limit: i64, binds: &[Bind]) -> Values {
    let mut values = Values::default();
    values.push(before.to_owned());
    values.push(lowest.to_owned());
    values.push(limit);
    values.push_binds(binds);
    values
}

/// Ids of calls that were made after one, in their order.
pub const SELECT_BEGUN: &str = "SELECT id FROM calls WHERE id > $1 ORDER BY id LIMIT $2";

/// The most calls that one look at what has begun takes note of.
pub const BEGUN_MAX: i64 = 20_000;

/// Calls that began at a moment or later, in their order.
///
/// Ids are made when a call is received, a little before it is committed, so whoever follows asks
/// from some time back and drops what is known.
pub async fn begun_since(pool: &AnyPool, moment: Timestamp) -> Result<Vec<CallId>, StoreError> {
    let query = sqlx::query(SELECT_BEGUN).bind(first_id_at(moment));
    let rows = query.bind(BEGUN_MAX).fetch_all(pool).await?;
    rows.iter().map(|row| Columns::of(row).parse()).collect()
}

/// Not greater than any id that is made at this moment or later: ids begin with milliseconds.
pub(in crate::db) fn first_id_at(moment: Timestamp) -> String {
    format!("call_{:012x}", moment.as_millis())
}

/// Those of some calls that have ended, before the list of ids.
pub const SELECT_ENDED: &str = "SELECT id FROM calls WHERE ended_at IS NOT NULL AND id IN ";

/// Those of these calls that have ended.
pub async fn ended(pool: &AnyPool, ids: &[CallId]) -> Result<Vec<CallId>, StoreError> {
    let mut connection = pool.acquire().await?;
    select_in(&mut connection, (SELECT_ENDED, ""), ids, |columns| {
        columns.parse()
    })
    .await
}

/// How many ids one statement of [`by_ids_that`] names.
const IDS_MAX: usize = 100;

/// Reads those of these calls that a filter lets through, in their order.
pub async fn by_ids_that(
    pool: &AnyPool,
    ids: &[CallId],
    filter: &Filter,
) -> Result<Vec<CallEntry>, StoreError> {
    let mut calls = Vec::new();
    for ids in ids.chunks(IDS_MAX) {
        let names: Vec<String> = (1..=ids.len()).map(|number| format!("${number}")).collect();
        let conditions = filter.predicates(ids.len() + 1);
        let sql = format!(
            "{SELECT_ENTRIES}({}){}{}",
            names.join(","),
            conditions.indexed,
            conditions.rest
        );
        let mut values = Values::default();
        for id in ids {
            values.push_text(id);
        }
        values.push_binds(&conditions.binds);
        let query = sqlx::query_with(AssertSqlSafe(sql), values.into_arguments());
        for row in &query.fetch_all(pool).await? {
            calls.push(read_entry(&mut Columns::of(row))?);
        }
    }
    attach_prices(&mut *pool.acquire().await?, &mut calls).await?;
    calls.sort_by_key(|entry| entry.call.id);
    Ok(calls)
}
