//! What the database tells of itself: its version, its size, how large its tables are. Nothing here
//! reads a table from end to end.

use super::rows::Columns;
use super::{Database, Engine, StoreError};
use crate::clock::Timestamp;

/// What the database tells of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About {
    /// The engine's version.
    pub version: String,
    /// The size of everything in it, in bytes.
    pub bytes: i64,
    /// The newest migration that was applied.
    pub schema: i64,
    /// The server's clock; SQLite has none of its own.
    pub now: Option<Timestamp>,
    /// The tables that grow, the largest first.
    pub tables: Vec<Table>,
}

/// How large a table is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// Its name.
    pub name: String,
    /// About how many rows it has; on SQLite, about how many were ever added. `None` if the server
    /// has not looked yet.
    pub rows: Option<i64>,
    /// How many bytes it takes with its indexes, if the engine knows.
    pub bytes: Option<i64>,
}

const SQLITE: &str = "
    SELECT sqlite_version(), page_count * page_size
    FROM pragma_page_count(), pragma_page_size()";

const POSTGRES: &str = "
    SELECT current_setting('server_version')
         , pg_database_size(current_database())
         , CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)";

const SCHEMA: &str = "SELECT COALESCE(MAX(version), 0) FROM _sqlx_migrations";

/// The largest row id is found at the end of the table.
const TABLES_SQLITE: &str = "
    SELECT 'jobs', COALESCE((SELECT MAX(rowid) FROM jobs), 0)
    UNION ALL SELECT 'calls', COALESCE((SELECT MAX(rowid) FROM calls), 0)
    UNION ALL SELECT 'call_attempts', COALESCE((SELECT MAX(rowid) FROM call_attempts), 0)
    UNION ALL SELECT 'ledger_entries', COALESCE((SELECT MAX(rowid) FROM ledger_entries), 0)
    UNION ALL SELECT 'usage_daily', COALESCE((SELECT MAX(rowid) FROM usage_daily), 0)
    UNION ALL SELECT 'idempotency', COALESCE((SELECT MAX(rowid) FROM idempotency), 0)
    UNION ALL SELECT 'audit_log', COALESCE((SELECT MAX(rowid) FROM audit_log), 0)
    UNION ALL SELECT 'traffic', COALESCE((SELECT MAX(rowid) FROM traffic), 0)
    UNION ALL SELECT 'teams', COALESCE((SELECT MAX(rowid) FROM teams), 0)
    UNION ALL SELECT 'virtual_keys', COALESCE((SELECT MAX(rowid) FROM virtual_keys), 0)";

/// What the server knows from its last look at each table.
const TABLES_POSTGRES: &str = "
    SELECT CAST(c.relname AS TEXT), CAST(c.reltuples AS BIGINT), pg_total_relation_size(c.oid)
    FROM pg_class AS c
    JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE c.relkind = 'r'
      AND n.nspname = current_schema()
      AND c.relname IN ('jobs', 'calls', 'call_attempts', 'ledger_entries', 'usage_daily',
                        'idempotency', 'audit_log', 'traffic', 'teams', 'virtual_keys')";

/// Asks the database about itself.
pub async fn about(database: &Database) -> Result<About, StoreError> {
    let engine = database.engine();
    let sql = match engine {
        Engine::Sqlite => SQLITE,
        Engine::Postgres => POSTGRES,
    };
    let row = sqlx::query(sql).fetch_one(database.pool()).await?;
    let mut columns = Columns::of(&row);
    let (version, bytes) = (columns.take()?, columns.take()?);
    let now = match engine {
        Engine::Sqlite => None,
        Engine::Postgres => Some(columns.time()?),
    };
    let schema = sqlx::query(SCHEMA).fetch_one(database.pool()).await?;
    Ok(About {
        version,
        bytes,
        schema: Columns::of(&schema).take()?,
        now,
        tables: tables(database).await?,
    })
}

async fn tables(database: &Database) -> Result<Vec<Table>, StoreError> {
    let engine = database.engine();
    let sql = match engine {
        Engine::Sqlite => TABLES_SQLITE,
        Engine::Postgres => TABLES_POSTGRES,
    };
    let rows = sqlx::query(sql).fetch_all(database.pool()).await?;
    let read = |row| {
        let mut columns = Columns::of(row);
        let name = columns.take()?;
        let rows: i64 = columns.take()?;
        let bytes = match engine {
            Engine::Sqlite => None,
            Engine::Postgres => Some(columns.take()?),
        };
        Ok(Table {
            name,
            // A table that was never looked at has less than no rows.
            rows: Some(rows).filter(|rows| *rows >= 0),
            bytes,
        })
    };
    let tables: Result<Vec<Table>, StoreError> = rows.iter().map(read).collect();
    let mut tables = tables?;
    tables.sort_by_key(|table| std::cmp::Reverse((table.bytes, table.rows)));
    Ok(tables)
}
