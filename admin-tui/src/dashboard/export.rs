//! Rows of a screen as comma-separated values: read page by page, so that a table of any size
//! streams through little memory.

use std::io::{self, Write};

use sqlx::{AnyConnection, AnyPool};
use tollgate_common::clock::Timestamp;
use tollgate_common::db::Engine;
use tollgate_common::db::page::{Part, Place, Request, Start};
use tollgate_common::filter::{Filter, Vocabulary};

use crate::dashboard::change::Outcome;
use crate::dashboard::format;
use crate::dashboard::problem::Problem;
use crate::dashboard::store::Source;
use crate::session::Session;

mod csv;
mod file;
mod nouns;
#[cfg(test)]
mod tests;

pub(crate) use csv::Field;
pub(crate) use file::create_new;
pub(crate) use nouns::{NOUNS, vocabulary};

/// How many rows are read at a time.
#[cfg(not(test))]
const ROWS: i64 = 1_000;
#[cfg(test)]
const ROWS: i64 = 2;

/// What is written into a file of comma-separated values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Export {
    /// What: one of [`NOUNS`].
    pub(crate) noun: &'static str,
    /// The filter in effect.
    pub(crate) filter: String,
    /// The name of the file without its folder.
    pub(crate) file_name: String,
}

/// Where rows are read from.
pub(crate) struct Reader<'a> {
    /// A connection of its own, so that a long export keeps nobody waiting.
    pub(crate) connection: AnyConnection,
    /// The connections of everybody, for lists that are read in small parts from these.
    pub(crate) pool: &'a AnyPool,
    /// The present moment.
    pub(crate) now: Timestamp,
    /// Whether texts are written as they are stored.
    pub(crate) raw: bool,
}

/// A kind of row that can be exported, part by part in an order that rows do not move in.
pub(crate) trait Exported: Sized {
    /// What a part leaves for the next one to go on from.
    type Mark;

    /// What the rows can be filtered by.
    const VOCABULARY: &'static Vocabulary;

    /// The headings of the columns.
    const HEADINGS: &'static [&'static str];

    /// One field a column.
    fn csv_row(&self) -> Vec<Field>;

    /// Reads at most so many rows after those before; without a mark, these were the last.
    async fn next(
        reader: &mut Reader<'_>,
        filter: &Filter,
        after: Option<Self::Mark>,
        limit: i64,
    ) -> Result<(Vec<Self>, Option<Self::Mark>), Problem>;
}

/// Writes all rows into a new file.
pub(crate) async fn write(source: &Source, export: &Export) -> Result<Outcome, Problem> {
    let session = &source.session;
    let file_name = Some(export.file_name.as_str());
    session
        .record_export(export.noun, &export.filter, file_name)
        .await?;
    let (path, mut file) = file::create(&source.files, &export.file_name)?;
    let rows = stream(session, (export.noun, &export.filter), false, &mut file).await;
    let finished = rows.and_then(|rows| {
        let written = file.flush().and_then(|()| file.get_ref().sync_all());
        written
            .map(|()| rows)
            .map_err(|why| Problem::new(why.to_string()))
    });
    match finished {
        Ok(rows) => Ok(Outcome::good(format!(
            "{} rows in {} (0600)",
            format::number(rows),
            path.display()
        ))),
        Err(problem) => {
            drop(file);
            // Half a file would be taken for a whole one; nothing more can be done if it stays.
            let _ = std::fs::remove_file(&path);
            Err(problem)
        }
    }
}

/// Writes headings and all rows of a noun that the filter lets through; says how many. `raw`
/// leaves characters in that could steer a terminal or break a line.
pub(crate) async fn stream(
    session: &Session,
    (noun, filter): (&str, &str),
    raw: bool,
    out: &mut impl Write,
) -> Result<i64, Problem> {
    let mut connection = session.database.dedicated_connection().await?;
    if session.database.engine() == Engine::Postgres {
        // A filter that lets few rows through reads far in one statement.
        sqlx::raw_sql(NO_TIMEOUT).execute(&mut connection).await?;
    }
    let mut reader = Reader {
        connection,
        pool: session.database.pool(),
        now: session.now(),
        raw,
    };
    nouns::stream(&mut reader, noun, filter, out).await
}

const NO_TIMEOUT: &str = "SET statement_timeout = 0";

async fn stream_rows<R: Exported>(
    reader: &mut Reader<'_>,
    filter: &str,
    out: &mut impl Write,
) -> Result<i64, Problem> {
    let filter = Filter::parse(R::VOCABULARY, filter, reader.now);
    let filter = filter.map_err(|error| Problem::new(error.to_string()))?;
    let failed = |why: io::Error| Problem::new(format!("not written: {why}"));
    csv::headings(out, R::HEADINGS).map_err(failed)?;
    let (mut count, mut mark) = (0, None);
    loop {
        let (rows, next) = R::next(reader, &filter, mark, ROWS).await?;
        for row in &rows {
            csv::line(out, &row.csv_row(), reader.raw).map_err(failed)?;
            count += 1;
        }
        if next.is_none() {
            return Ok(count);
        }
        mark = next;
    }
}

/// What is asked of a list for the part after a place.
pub(super) fn request<'a>(filter: &'a Filter, start: &'a Start, limit: i64) -> Request<'a> {
    Request {
        filter,
        start,
        limit,
        search: i64::MAX,
        counted: false,
    }
}

/// From where a part begins.
pub(super) fn start(after: Option<Place>) -> Start {
    after.map_or(Start::First, Start::After)
}

/// The rows of a part, and the place of the last of them if more follow.
pub(super) fn marked<R>(part: Part<R>) -> (Vec<R>, Option<Place>) {
    let last = part.rows.last().map(|listed| listed.place.clone());
    let rows = part.rows.into_iter().map(|listed| listed.row);
    (rows.collect(), last.filter(|_| part.below))
}
