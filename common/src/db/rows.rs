//! Reading columns into types, and statements over lists of rows.

use std::fmt::{Display, Write as _};
use std::str::FromStr;

use sqlx::any::{AnyArguments, AnyRow};
use sqlx::query::Query;
use sqlx::{AnyConnection, Arguments as _, AssertSqlSafe, Decode, Encode, Row as _, Type};

use super::StoreError;
use crate::clock::Timestamp;
use crate::filter::Bind;

/// Reads the columns of a row from left to right.
pub(crate) struct Columns<'r> {
    row: &'r AnyRow,
    next: usize,
}

impl<'r> Columns<'r> {
    pub(crate) const fn of(row: &'r AnyRow) -> Self {
        Self { row, next: 0 }
    }

    /// The next column as the database has it.
    pub(crate) fn take<T: Decode<'r, sqlx::Any> + Type<sqlx::Any>>(
        &mut self,
    ) -> Result<T, StoreError> {
        let value = self.row.try_get(self.next)?;
        self.next += 1;
        Ok(value)
    }

    /// The next column, a text, as the type that it stands for.
    pub(crate) fn parse<T: FromStr<Err: Display>>(&mut self) -> Result<T, StoreError> {
        let text: String = self.take()?;
        text.parse()
            .map_err(|error: T::Err| StoreError::Inconsistent(error.to_string()))
    }

    /// The next column, a text or nothing, as the type that it stands for.
    pub(crate) fn parse_optional<T: FromStr<Err: Display>>(
        &mut self,
    ) -> Result<Option<T>, StoreError> {
        let text: Option<String> = self.take()?;
        text.map(|text| text.parse())
            .transpose()
            .map_err(|error: T::Err| StoreError::Inconsistent(error.to_string()))
    }

    pub(crate) fn time(&mut self) -> Result<Timestamp, StoreError> {
        self.take().map(Timestamp::from_micros)
    }

    pub(crate) fn optional_time(&mut self) -> Result<Option<Timestamp>, StoreError> {
        Ok(self.take::<Option<i64>>()?.map(Timestamp::from_micros))
    }

    pub(crate) fn flag(&mut self) -> Result<bool, StoreError> {
        Ok(self.take::<i64>()? != 0)
    }
}

/// The values of a statement, in order.
#[derive(Default)]
pub(crate) struct Values(AnyArguments);

impl Values {
    /// Adds a number or a text.
    pub(crate) fn push<'t, T: Encode<'t, sqlx::Any> + Type<sqlx::Any>>(&mut self, value: T) {
        // Encoding into a list of Any values has no way to fail for numbers and texts.
        let _ = self.0.add(value);
    }

    pub(crate) fn push_text(&mut self, value: impl Display) {
        self.push(value.to_string());
    }

    /// Adds the values of a filter.
    pub(crate) fn push_binds(&mut self, binds: &[Bind]) {
        for bind in binds {
            match bind {
                Bind::Number(number) => self.push(*number),
                Bind::Text(text) => self.push(text.clone()),
            }
        }
    }

    /// The values for a query.
    pub(crate) fn into_arguments(self) -> AnyArguments {
        self.0
    }

    pub(crate) fn push_time(&mut self, value: Timestamp) {
        self.push(value.as_micros());
    }

    pub(crate) fn push_optional_time(&mut self, value: Option<Timestamp>) {
        self.push(value.map(Timestamp::as_micros));
    }
}

/// Statements over lists come in lengths of powers of two, so that few of them are prepared.
const CHUNK_MAX: usize = 256;

/// The largest power of two that is at most `count` and [`CHUNK_MAX`].
const fn chunk_length(count: usize) -> usize {
    let capped = if count > CHUNK_MAX { CHUNK_MAX } else { count };
    1 << capped.ilog2()
}

/// `($1,$2),($3,$4)` for two rows of two values.
///
/// SQLite takes this too, but looks each name up in a list as long as the statement; there the
/// placeholders are `?`, in the same order.
fn tuples(rows: usize, width: usize, engine: &str) -> String {
    if engine == "SQLite" {
        let tuple = format!("({}?)", "?,".repeat(width.saturating_sub(1)));
        return vec![tuple; rows].join(",");
    }
    let mut text = String::with_capacity(rows * width * 5);
    for row in 0..rows {
        text.push_str(if row == 0 { "(" } else { ",(" });
        for column in 0..width {
            let separator = if column == 0 { "" } else { "," };
            let _ = write!(text, "{separator}${}", row * width + column + 1);
        }
        text.push(')');
    }
    text
}

/// Cuts a list into pieces for which few statements have to be prepared.
fn chunks<T>(items: &[T]) -> impl Iterator<Item = &[T]> {
    let mut rest = items;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let (chunk, remaining) = rest.split_at(chunk_length(rest.len()));
        rest = remaining;
        Some(chunk)
    })
}

/// A statement with so many rows of placeholders between its two constant halves.
fn statement(
    connection: &AnyConnection,
    (before, after): (&'static str, &'static str),
    (rows, width): (usize, usize),
    values: Values,
) -> Query<'static, sqlx::Any, AnyArguments> {
    let placeholders = tuples(rows, width, connection.backend_name());
    sqlx::query_with(
        AssertSqlSafe(format!("{before}{placeholders}{after}")),
        values.0,
    )
}

fn keys_of<K: Display>(keys: &[K]) -> Values {
    let mut values = Values::default();
    for key in keys {
        values.push_text(key);
    }
    values
}

/// Runs `before (…),(…) after` over all items and returns how many rows it changed.
///
/// `before` and `after` are constants; only placeholders are added to them.
pub(crate) async fn execute_tuples<T>(
    connection: &mut AnyConnection,
    halves: (&'static str, &'static str),
    width: usize,
    items: &[T],
    bind: impl Fn(&mut Values, &T),
) -> Result<u64, StoreError> {
    let mut changed = 0;
    for chunk in chunks(items) {
        let mut values = Values::default();
        for item in chunk {
            bind(&mut values, item);
        }
        let query = statement(connection, halves, (chunk.len(), width), values);
        changed += query.execute(&mut *connection).await?.rows_affected();
    }
    Ok(changed)
}

/// Runs `before ($1,$2) after` for all keys and reads each row.
pub(crate) async fn select_in<K: Display, T>(
    connection: &mut AnyConnection,
    halves: (&'static str, &'static str),
    keys: &[K],
    read: impl Fn(&mut Columns<'_>) -> Result<T, StoreError>,
) -> Result<Vec<T>, StoreError> {
    let mut found = Vec::with_capacity(keys.len());
    for chunk in chunks(keys) {
        let query = statement(connection, halves, (1, chunk.len()), keys_of(chunk));
        for row in &query.fetch_all(&mut *connection).await? {
            found.push(read(&mut Columns::of(row))?);
        }
    }
    Ok(found)
}

/// Runs `before ($1,$2),($3,$4) after` for pairs of texts and reads each row.
pub(crate) async fn select_pairs<T>(
    connection: &mut AnyConnection,
    halves: (&'static str, &'static str),
    pairs: &[(String, String)],
    read: impl Fn(&mut Columns<'_>) -> Result<T, StoreError>,
) -> Result<Vec<T>, StoreError> {
    let mut found = Vec::with_capacity(pairs.len());
    for chunk in chunks(pairs) {
        let mut values = Values::default();
        for (first, second) in chunk {
            values.push_text(first);
            values.push_text(second);
        }
        let query = statement(connection, halves, (chunk.len(), 2), values);
        for row in &query.fetch_all(&mut *connection).await? {
            found.push(read(&mut Columns::of(row))?);
        }
    }
    Ok(found)
}

/// Runs `before ($1,$2) after` for all keys as a change.
pub(crate) async fn execute_in<K: Display>(
    connection: &mut AnyConnection,
    halves: (&'static str, &'static str),
    keys: &[K],
) -> Result<u64, StoreError> {
    let mut changed = 0;
    for chunk in chunks(keys) {
        let query = statement(connection, halves, (1, chunk.len()), keys_of(chunk));
        changed += query.execute(&mut *connection).await?.rows_affected();
    }
    Ok(changed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_numbered_through() {
        assert_eq!(tuples(2, 2, "PostgreSQL"), "($1,$2),($3,$4)");
        assert_eq!(tuples(1, 3, "PostgreSQL"), "($1,$2,$3)");
        assert_eq!(tuples(2, 2, "SQLite"), "(?,?),(?,?)");
        assert_eq!([1, 3, 64, 1_000].map(chunk_length), [1, 2, 64, 256]);
        let lengths: Vec<usize> = chunks(&[0; 300]).map(<[i32]>::len).collect();
        assert_eq!(lengths, [256, 32, 8, 4]);
    }
}
