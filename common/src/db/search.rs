//! Objects by the beginning of their names, for somebody who types one.

use sqlx::AnyPool;

use super::rows::Columns;
use super::{Database, Engine, StoreError};

/// How many objects of each noun are found.
pub const FOUND_MAX: usize = 8;

/// Something that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Match {
    /// What it is, one of [`NOUNS`].
    pub noun: &'static str,
    /// Its id.
    pub id: String,
    /// What else tells it apart: a name, whose it is.
    pub remark: String,
}

/// What can be found.
pub const NOUNS: [&str; 6] = ["team", "org", "key", "job", "model", "provider"];

/// What is asked of one table. SQLite finds the beginning of a name by an index if it is asked for
/// as a range; PostgreSQL orders names by the language of its cluster, so that only a pattern says
/// what is meant.
struct Table {
    noun: &'static str,
    sqlite: &'static str,
    postgres: &'static str,
}

macro_rules! by_name {
    ($noun:literal, $column:literal, $select:literal) => {
        Table {
            noun: $noun,
            sqlite: concat!(
                $select,
                " WHERE ",
                $column,
                " >= $1 AND ",
                $column,
                " < $2",
                " ORDER BY ",
                $column,
                " LIMIT 8"
            ),
            postgres: concat!(
                $select,
                " WHERE ",
                $column,
                " LIKE $1 AND $2 <> ''",
                " ORDER BY ",
                $column,
                " LIMIT 8"
            ),
        }
    };
}

const TABLES: [Table; 5] = [
    by_name!("team", "id", "SELECT id, name FROM teams"),
    by_name!("org", "id", "SELECT id, name FROM organizations"),
    by_name!(
        "key",
        "id",
        "SELECT id, COALESCE(label, '') || ' of ' || team_id FROM virtual_keys"
    ),
    by_name!("model", "alias", "SELECT alias, upstream_model FROM models"),
    by_name!(
        "provider",
        "name",
        "SELECT name, kind || ' ' || org_id FROM providers"
    ),
];

/// Jobs between two ids: the beginning of an id stands for a range on both engines.
pub const FIND_JOBS: &str = "
    SELECT id, state || ' of ' || team_id
    FROM jobs
    WHERE id >= $1 AND id <= $2
    ORDER BY id
    LIMIT 8";

/// The statements on SQLite, for the test of their plans.
pub fn statements() -> impl Iterator<Item = (&'static str, &'static str)> {
    let tables = TABLES.iter().map(|table| (table.noun, table.sqlite));
    tables.chain(std::iter::once(("job", FIND_JOBS)))
}

/// Finds objects whose ids begin with a text, of one noun or of all.
pub async fn search(
    database: &Database,
    noun: Option<&str>,
    text: &str,
) -> Result<Vec<Match>, StoreError> {
    let mut found = Vec::new();
    if text.is_empty() {
        return Ok(found);
    }
    let is_wanted = |known: &str| noun.is_none_or(|noun| noun == known);
    for table in TABLES.iter().filter(|table| is_wanted(table.noun)) {
        let (sql, first, second) = match database.engine() {
            Engine::Sqlite => (table.sqlite, text.to_owned(), format!("{text}\u{10ffff}")),
            Engine::Postgres => (table.postgres, pattern(text), text.to_owned()),
        };
        found.extend(find(database.pool(), table.noun, sql, (first, second)).await?);
    }
    if is_wanted("job")
        && let Some(range) = job_ids(text)
    {
        found.extend(find(database.pool(), "job", FIND_JOBS, range).await?);
    }
    Ok(found)
}

async fn find(
    pool: &AnyPool,
    noun: &'static str,
    sql: &'static str,
    (first, second): (String, String),
) -> Result<Vec<Match>, StoreError> {
    let query = sqlx::query(sql).bind(first).bind(second);
    let rows = query.fetch_all(pool).await?;
    let read = |row| {
        let mut columns = Columns::of(row);
        Ok(Match {
            noun,
            id: columns.take()?,
            remark: columns.take::<String>()?.trim().to_owned(),
        })
    };
    rows.iter().map(read).collect()
}

/// The pattern for texts that begin with this one.
fn pattern(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len() + 1);
    for character in text.chars() {
        if matches!(character, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern.push('%');
    pattern
}

/// The lengths of the parts of a UUID.
const PARTS: [usize; 5] = [8, 4, 4, 4, 12];

/// The least and the greatest job id that begin with a text, if one can.
fn job_ids(text: &str) -> Option<(String, String)> {
    let digits: String = text.chars().filter(|c| *c != '-').collect();
    let digits = digits.to_ascii_lowercase();
    let length = digits.len();
    if digits.is_empty() || length > 32 || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    Some((
        hyphenated(&format!("{digits:0<32}")),
        hyphenated(&format!("{digits:f<32}")),
    ))
}

fn hyphenated(digits: &str) -> String {
    let mut rest = digits;
    let parts = PARTS.map(|length| {
        let (part, after) = rest.split_at(length.min(rest.len()));
        rest = after;
        part
    });
    parts.join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_beginning_of_a_job_id_is_a_range() {
        let (least, greatest) = job_ids("0192AB-cd").unwrap();
        assert_eq!(least, "0192abcd-0000-0000-0000-000000000000");
        assert_eq!(greatest, "0192abcd-ffff-ffff-ffff-ffffffffffff");
        assert_eq!(job_ids("acme"), None);
        assert_eq!(job_ids("-"), None);
        assert_eq!(job_ids(&"0".repeat(33)), None);
    }

    #[test]
    fn what_is_typed_is_no_pattern() {
        assert_eq!(pattern("a_b%"), "a\\_b\\%%");
    }
}
