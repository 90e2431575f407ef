//! The schema: embedded migrations, forward only, and the gate against versions nobody here knows.

use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};
use sqlx::{Row as _, SqlSafeStr as _};

use super::{Database, Engine, StoreError};

/// Version, what it is about, and its SQL: the files of `migrations/` in order.
const MIGRATIONS: &[(i64, &str, &str)] = &[
    (
        20_260_101_000_000,
        "policy",
        include_str!("../../../migrations/20260101000000_policy.sql"),
    ),
    (
        20_260_101_000_001,
        "ledger",
        include_str!("../../../migrations/20260101000001_ledger.sql"),
    ),
    (
        20_260_101_000_002,
        "audit",
        include_str!("../../../migrations/20260101000002_audit.sql"),
    ),
    (
        20_260_101_000_003,
        "routing",
        include_str!("../../../migrations/20260101000003_routing.sql"),
    ),
    (
        20_260_101_000_004,
        "usage",
        include_str!("../../../migrations/20260101000004_usage.sql"),
    ),
    (
        20_260_101_000_005,
        "calls",
        include_str!("../../../migrations/20260101000005_calls.sql"),
    ),
    (
        20_260_101_000_006,
        "live",
        include_str!("../../../migrations/20260101000006_live.sql"),
    ),
    (
        20_260_101_000_007,
        "audit_reason",
        include_str!("../../../migrations/20260101000007_audit_reason.sql"),
    ),
    (
        20_260_101_000_008,
        "key_lists",
        include_str!("../../../migrations/20260101000008_key_lists.sql"),
    ),
    (
        20_260_101_000_009,
        "seals_and_refunds",
        include_str!("../../../migrations/20260101000009_seals_and_refunds.sql"),
    ),
    (
        20_260_101_000_010,
        "prices",
        include_str!("../../../migrations/20260101000010_prices.sql"),
    ),
    (
        20_260_101_000_011,
        "pass_fields",
        include_str!("../../../migrations/20260101000011_pass_fields.sql"),
    ),
    (
        20_260_101_000_012,
        "model_timeout",
        include_str!("../../../migrations/20260101000012_model_timeout.sql"),
    ),
    (
        20_260_101_000_013,
        "fairness",
        include_str!("../../../migrations/20260101000013_fairness.sql"),
    ),
    (
        20_260_101_000_014,
        "usage_note",
        include_str!("../../../migrations/20260101000014_usage_note.sql"),
    ),
    (
        20_260_101_000_015,
        "charges",
        include_str!("../../../migrations/20260101000015_charges.sql"),
    ),
    (
        20_260_101_000_016,
        "price_versions",
        include_str!("../../../migrations/20260101000016_price_versions.sql"),
    ),
    (
        20_260_101_000_018,
        "attention",
        include_str!("../../../migrations/20260101000018_attention.sql"),
    ),
];

/// How the schema of a database compares with what this binary knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SchemaState {
    /// The same.
    Current,
    /// So many migrations are still to be applied.
    Behind(usize),
    /// The database has a migration that this binary does not know.
    Newer(i64),
}

fn migrator() -> Migrator {
    let migrations = MIGRATIONS.iter().map(|(version, about, sql)| {
        let kind = MigrationType::Simple;
        Migration::new(*version, (*about).into(), kind, sql.into_sql_str(), false)
    });
    Migrator::with_migrations(migrations.collect())
}

/// Rewriting a table that has grown for years takes longer than any statement of a proxy may.
const UNBOUNDED_POSTGRES: &str = "SET statement_timeout = 0; SET lock_timeout = 0";

/// Applies what is missing; refuses a schema that is newer than this binary.
pub async fn migrate(database: &Database) -> Result<(), StoreError> {
    let mut connection = database.dedicated_connection().await?;
    if database.engine() == Engine::Postgres {
        let unbounded = sqlx::raw_sql(UNBOUNDED_POSTGRES);
        unbounded.execute(&mut connection).await?;
    }
    migrator()
        .run_direct(None, &mut connection, false)
        .await
        .map_err(schema_error)
}

fn schema_error(error: MigrateError) -> StoreError {
    StoreError::Schema(match error {
        MigrateError::VersionMissing(version) => newer(version),
        MigrateError::VersionMismatch(version) => {
            format!(
                "migration {version} was applied in another form; this database is not one of this product's releases"
            )
        }
        other => format!("the schema could not be migrated: {other}"),
    })
}

fn newer(version: i64) -> String {
    format!(
        "the database has migration {version}, which this version of Tollgate does not know: use a newer version"
    )
}

const SELECT_TABLE: &str = "SELECT version FROM _sqlx_migrations ORDER BY version";

/// Compares without changing anything.
pub async fn schema_state(database: &Database) -> Result<SchemaState, StoreError> {
    let applied: Vec<i64> = match sqlx::query(SELECT_TABLE).fetch_all(database.pool()).await {
        Ok(rows) => rows
            .iter()
            .map(|row| row.try_get(0))
            .collect::<Result<_, _>>()?,
        Err(sqlx::Error::Database(_)) => Vec::new(), // no migration was ever applied
        Err(error) => return Err(error.into()),
    };
    let known = |version: &i64| MIGRATIONS.iter().any(|migration| migration.0 == *version);
    Ok(match applied.iter().find(|version| !known(version)) {
        Some(version) => SchemaState::Newer(*version),
        None if applied.len() == MIGRATIONS.len() => SchemaState::Current,
        None => SchemaState::Behind(MIGRATIONS.len() - applied.len()),
    })
}

/// Refuses any schema but the current one, saying what to do.
pub async fn require_current(database: &Database) -> Result<(), StoreError> {
    match schema_state(database).await? {
        SchemaState::Current => Ok(()),
        SchemaState::Behind(count) => Err(StoreError::Schema(format!(
            "the database lacks {count} migration(s): run tollgate migrate"
        ))),
        SchemaState::Newer(version) => Err(StoreError::Schema(newer(version))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_the_folder() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../migrations");
        let mut files: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name != "README.md")
            .collect();
        files.sort();
        let listed: Vec<String> = MIGRATIONS
            .iter()
            .map(|(version, about, _)| format!("{version}_{about}.sql"))
            .collect();
        assert_eq!(files, listed);
    }
}
