//! Parts of lists that may be of any length: found by their place in an order, never by counting
//! rows, in either direction, narrowed by a filter.

use sqlx::any::AnyRow;
use sqlx::{AnyConnection, AssertSqlSafe};

use super::StoreError;
use super::rows::{Columns, Values};
use crate::filter::{Bind, Filter, Predicates};

/// The place of a row in an order: what it is sorted by.
pub type Place = Vec<Bind>;

/// Which part of a list is asked for, in the order in which it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    /// The first rows.
    First,
    /// The row at this place and those after it.
    At(Place),
    /// The rows after this place.
    After(Place),
    /// The rows just before this place.
    Before(Place),
    /// The last rows.
    Last,
}

/// What is asked of a list beside its order.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// What it is narrowed to.
    pub filter: &'a Filter,
    /// Which part.
    pub start: &'a Start,
    /// How many rows at most.
    pub limit: i64,
    /// How many rows may be looked through for conditions that no index serves.
    pub search: i64,
    /// Whether to count the rows in all and those before the part.
    pub counted: bool,
}

/// All rows that a filter lets through, for a list that is printed as a whole: at most a million.
pub const fn everything(filter: &Filter) -> Request<'_> {
    const ROWS_MAX: i64 = 1_000_000;
    Request {
        filter,
        start: &Start::First,
        limit: ROWS_MAX,
        search: ROWS_MAX,
        counted: false,
    }
}

/// How many rows are looked through before a search asks whether to go on.
pub const SEARCH: i64 = 20_000;

/// Rows beyond this number are not counted.
pub const COUNT_MAX: i64 = 100_000;

/// A row with its place in the order in which it was read.
#[derive(Debug, Clone, PartialEq)]
pub struct Listed<R> {
    /// Its place.
    pub place: Place,
    /// The row.
    pub row: R,
}

/// A part of a list.
#[derive(Debug, Clone, PartialEq)]
pub struct Part<R> {
    /// The rows.
    pub rows: Vec<Listed<R>>,
    /// How many rows come before them, up to [`COUNT_MAX`]; 0 if nothing was to be counted.
    pub above: i64,
    /// Whether rows come after them.
    pub below: bool,
    /// How many rows there are in all, up to [`COUNT_MAX`]; 0 if nothing was to be counted.
    pub count: i64,
    /// Where the search has stopped though there is more to look through: after so many rows.
    pub searched: Option<i64>,
}

/// What a list is made of. The texts are constants; only conditions of a filter's vocabulary and
/// placeholders are added.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Listing {
    /// `SELECT … FROM …` of all rows, with the columns that filters and orders name.
    pub(crate) rows: &'static str,
    /// What holds of every row, worded like the index that serves it.
    pub(crate) condition: &'static str,
    /// What is read of each row that is shown. `{extra}` stands for a number of the caller's.
    pub(crate) shown: &'static str,
}

/// In what order: by these columns, all of them up or all of them down. The last tells rows apart.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Order {
    pub(crate) columns: &'static [&'static str],
    pub(crate) descending: bool,
}

impl Order {
    fn sql(self, reversed: bool) -> String {
        let down = self.descending != reversed;
        let direction = if down { " DESC" } else { "" };
        let columns = self.columns.iter();
        let columns: Vec<String> = columns.map(|c| format!("{c}{direction}")).collect();
        columns.join(", ")
    }
}

/// How a place bounds the rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    From,
    After,
    Before,
}

/// A statement that is being put together.
struct Statement<'a> {
    listing: &'a Listing,
    order: Order,
    predicates: Predicates,
    binds: Vec<Bind>,
}

impl<'a> Statement<'a> {
    fn new(listing: &'a Listing, order: Order, filter: &Filter) -> Self {
        let predicates = filter.predicates(1);
        Self {
            listing,
            order,
            binds: predicates.binds.clone(),
            predicates,
        }
    }

    fn placeholder(&mut self, value: Bind) -> String {
        self.binds.push(value);
        format!("${}", self.binds.len())
    }

    /// The condition that keeps rows on one side of a place.
    fn bound(&mut self, side: Side, place: &Place) -> String {
        let values = place.iter().cloned().map(|value| self.placeholder(value));
        let values: Vec<String> = values.collect();
        let sign = match (side, self.order.descending) {
            (Side::From, false) => ">=",
            (Side::From, true) => "<=",
            (Side::After, false) | (Side::Before, true) => ">",
            (Side::After, true) | (Side::Before, false) => "<",
        };
        let columns = self.order.columns.join(", ");
        let bound = format!(" AND ({columns}) {sign} ({})", values.join(", "));
        // SQLite finds its way into an index of an expression by a comparison of its own only.
        match (self.order.columns.first(), values.first()) {
            (Some(first), Some(value)) if first.contains('(') => {
                let way_in = if sign.starts_with('<') { "<=" } else { ">=" };
                format!(" AND {first} {way_in} {value}{bound}")
            }
            _ => bound,
        }
    }

    /// Rows in order: those that an index finds, and of these, up to `search`, those that fit.
    ///
    /// The outer statements keep the order of the inner one: both engines read a part that is
    /// limited from beginning to end.
    fn rows(&mut self, bound: &str, reversed: bool, (limit, search): (i64, i64)) -> String {
        let order = self.order.sql(reversed);
        let Listing {
            rows, condition, ..
        } = *self.listing;
        let has_rest = !self.predicates.rest.is_empty();
        let most = if has_rest { search } else { limit };
        let most = self.placeholder(Bind::Number(most));
        let indexed = &self.predicates.indexed;
        let found =
            format!("{rows} WHERE {condition}{indexed}{bound} ORDER BY {order} LIMIT {most}");
        if !has_rest {
            return found;
        }
        let limit = self.placeholder(Bind::Number(limit));
        let rest = &self.predicates.rest;
        format!("SELECT * FROM ({found}) AS s WHERE TRUE{rest} LIMIT {limit}")
    }

    fn values(&self) -> Values {
        let mut values = Values::default();
        values.push_binds(&self.binds);
        values
    }

    async fn fetch(
        &self,
        connection: &mut AnyConnection,
        sql: String,
    ) -> Result<Vec<AnyRow>, StoreError> {
        let query = sqlx::query_with(AssertSqlSafe(sql), self.values().into_arguments());
        Ok(query.fetch_all(connection).await?)
    }
}

/// What a page's statement needs: from where, whether it is read backwards, how many rows, and the
/// caller's number.
fn page_statement(
    statement: &mut Statement<'_>,
    request: &Request<'_>,
    extra: i64,
) -> (String, bool) {
    let (bound, reversed) = match request.start {
        Start::First => (String::new(), false),
        Start::Last => (String::new(), true),
        Start::At(place) => (statement.bound(Side::From, place), false),
        Start::After(place) => (statement.bound(Side::After, place), false),
        Start::Before(place) => (statement.bound(Side::Before, place), true),
    };
    // One more row tells whether there are more.
    let limit = request.limit.saturating_add(1);
    let rows = statement.rows(&bound, reversed, (limit, request.search));
    let mut shown = statement.listing.shown.to_owned();
    if shown.contains(EXTRA) {
        let placeholder = statement.placeholder(Bind::Number(extra));
        shown = shown.replace(EXTRA, &placeholder);
    }
    let order = statement.order.sql(reversed);
    let first = statement.order.columns.first().copied().unwrap_or("1");
    // The condition, which always holds, keeps SQLite from merging the statements: what is shown
    // is computed of the rows that are shown, not of all that are sorted.
    let sql =
        format!("SELECT {shown} FROM ({rows}) AS p WHERE {first} IS NOT NULL ORDER BY {order}");
    (sql, reversed)
}

const EXTRA: &str = "{extra}";

/// The statement of a part, for tests of its plan.
pub(crate) fn page_sql(
    listing: &Listing,
    order: Order,
    request: &Request<'_>,
    extra: i64,
) -> (String, Vec<Bind>) {
    let mut statement = Statement::new(listing, order, request.filter);
    let (sql, _) = page_statement(&mut statement, request, extra);
    (sql, statement.binds)
}

/// Reads a part of a list; `place` says where a row stands in the order.
pub(crate) async fn read<R>(
    connection: &mut AnyConnection,
    (listing, order, extra): (&Listing, Order, i64),
    request: &Request<'_>,
    (read, place): (
        impl Fn(&mut Columns<'_>) -> Result<R, StoreError>,
        impl Fn(&R) -> Place,
    ),
) -> Result<Part<R>, StoreError> {
    let mut statement = Statement::new(listing, order, request.filter);
    let (sql, reversed) = page_statement(&mut statement, request, extra);
    let found = statement.fetch(connection, sql).await?;
    let mut rows = Vec::with_capacity(found.len());
    for row in &found {
        let row = read(&mut Columns::of(row))?;
        rows.push(Listed {
            place: place(&row),
            row,
        });
    }
    let limit = usize::try_from(request.limit).unwrap_or(usize::MAX);
    let more = rows.len() > limit;
    rows.truncate(limit);
    if reversed {
        rows.reverse();
    }
    let mut part = Part {
        rows,
        above: 0,
        below: match request.start {
            Start::Before(_) => true,
            Start::Last => false,
            _ => more,
        },
        count: 0,
        searched: None,
    };
    if request.counted {
        count(connection, (listing, order), request, &mut part).await?;
    }
    Ok(part)
}

/// Counts the rows of a list and those before a part of it.
async fn count<R>(
    connection: &mut AnyConnection,
    list: (&Listing, Order),
    request: &Request<'_>,
    part: &mut Part<R>,
) -> Result<(), StoreError> {
    let (all, looked_through) = count_rows(connection, list, request, None).await?;
    part.count = all;
    part.searched = looked_through.filter(|rows| *rows >= request.search);
    if matches!(request.start, Start::First) {
        return Ok(());
    }
    if let Some(first) = part.rows.first() {
        let before = Some(&first.place);
        (part.above, _) = count_rows(connection, list, request, before).await?;
    }
    Ok(())
}

/// How many rows fit, and how many were looked through for that if no index finds them.
async fn count_rows(
    connection: &mut AnyConnection,
    (listing, order): (&Listing, Order),
    request: &Request<'_>,
    before: Option<&Place>,
) -> Result<(i64, Option<i64>), StoreError> {
    let mut statement = Statement::new(listing, order, request.filter);
    let bound = before.map(|place| statement.bound(Side::Before, place));
    let bound = bound.unwrap_or_default();
    let has_rest = !statement.predicates.rest.is_empty();
    let most = if has_rest { request.search } else { COUNT_MAX };
    let most = statement.placeholder(Bind::Number(most));
    let Listing {
        rows, condition, ..
    } = *listing;
    let Predicates { indexed, rest, .. } = &statement.predicates;
    let found = format!("{condition}{indexed}{bound}");
    let sql = if has_rest {
        let order = order.sql(before.is_some());
        format!(
            "SELECT CAST(COALESCE(SUM(CASE WHEN TRUE{rest} THEN 1 ELSE 0 END), 0) AS BIGINT), \
             COUNT(*) FROM ({rows} WHERE {found} ORDER BY {order} LIMIT {most}) AS s"
        )
    } else {
        let from = from_of(rows);
        format!("SELECT COUNT(*), 0 FROM (SELECT 1 AS one {from} WHERE {found} LIMIT {most}) AS c")
    };
    let counted = statement.fetch(connection, sql).await?;
    let Some(row) = counted.first() else {
        return Ok((0, None));
    };
    let mut columns = Columns::of(row);
    let count = columns.take()?;
    let looked_through = if has_rest {
        Some(columns.take()?)
    } else {
        None
    };
    Ok((count, looked_through))
}

/// What follows the columns, which may be statements of their own, in parentheses.
fn from_of(rows: &'static str) -> &'static str {
    let is_outside = |place: &usize| {
        let before = &rows[..*place];
        before.matches('(').count() == before.matches(')').count()
    };
    let mut places = rows.match_indices("FROM ").map(|(place, _)| place);
    places.find(is_outside).map_or("", |place| &rows[place..])
}
