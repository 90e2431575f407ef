//! SQL of imports of price lists: what one would change, and the change itself.

use sqlx::{AnyConnection, AnyPool};

use super::read_imported;
use crate::clock::Timestamp;
use crate::command::{CommandError, PriceImport};
use crate::db::StoreError;
use crate::db::rows::{Columns, Values, execute_tuples};
use crate::price::ListedPrice;
use crate::price::import::{self, Acceptance, ImportPlan, ListRow, PriceList};

/// How many names a refusal spells out.
const NAMES_SHOWN: usize = 10;

/// An import as it is on record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportRecord {
    /// Its number; later imports have larger ones.
    pub number: i64,
    /// The list's format.
    pub format: String,
    /// The name of the file that was read.
    pub file_name: String,
    /// The file's SHA-256.
    pub file_sha256: String,
    /// When.
    pub imported_at: Timestamp,
    /// Who.
    pub actor: String,
}

const LIST_IMPORTS: &str = "
    SELECT number, format, file_name, file_sha256, imported_at, actor
    FROM price_imports
    ORDER BY number DESC
    LIMIT $1";

/// The latest imports, the last one first.
pub async fn latest(pool: &AnyPool, limit: i64) -> Result<Vec<ImportRecord>, StoreError> {
    let rows = sqlx::query(LIST_IMPORTS)
        .bind(limit)
        .fetch_all(pool)
        .await?;
    rows.iter()
        .map(|row| {
            let mut columns = Columns::of(row);
            Ok(ImportRecord {
                number: columns.take()?,
                format: columns.take()?,
                file_name: columns.take()?,
                file_sha256: columns.take()?,
                imported_at: columns.time()?,
                actor: columns.take()?,
            })
        })
        .collect()
}

const SELECT_CURRENT: &str = "
    SELECT v.maker, v.model, v.rate_card, v.starts_on, v.output_tokens_max
         , v.context_tokens_max, i.format, i.imported_at
    FROM price_versions AS v
    JOIN price_imports AS i ON i.number = v.import_number
    WHERE v.is_current = 1";

/// All imported prices in force.
async fn current(connection: &mut AnyConnection) -> Result<Vec<ListedPrice>, StoreError> {
    let rows = sqlx::query(SELECT_CURRENT).fetch_all(connection).await?;
    let read = rows.iter().map(|row| read_imported(&mut Columns::of(row)));
    read.collect()
}

/// What an import of a list would do at a moment.
pub async fn plan(
    connection: &mut AnyConnection,
    list: &PriceList,
    acceptance: &Acceptance,
    now: Timestamp,
) -> Result<ImportPlan, StoreError> {
    let current = current(connection).await?;
    Ok(import::plan(list, current, acceptance, now.day()))
}

/// Imports a list, all of it or nothing, inside a transaction that has locked out other
/// administrators.
pub(crate) async fn insert(
    connection: &mut AnyConnection,
    import: &PriceImport,
    (actor, now): (&str, Timestamp),
) -> Result<(), CommandError> {
    let plan = plan(connection, &import.list, &import.accepted, now).await?;
    let unaccepted = plan.unaccepted(&import.accepted);
    if !unaccepted.is_empty() {
        let names = unaccepted.iter().map(|change| change.full_name());
        let names: Vec<String> = names.take(NAMES_SHOWN).collect();
        let count = unaccepted.len();
        let more = if count > NAMES_SHOWN { ", ..." } else { "" };
        return Err(CommandError::Refused(format!(
            "{count} price(s) would move beyond a factor of 2, so nothing is imported: {}{more}; \
             check them, then repeat this with --accept MODEL for each, or --accept all",
            names.join(", ")
        )));
    }
    if plan.counts() != import.counts {
        let message = "prices have changed meanwhile, so nothing is imported: repeat this";
        return Err(CommandError::Conflict(message.to_owned()));
    }
    let number = insert_import(connection, import, (actor, now)).await?;
    retire(connection, &plan.store).await?;
    insert_versions(connection, &plan.store, number).await?;
    confirm(connection, &plan.confirm).await?;
    Ok(())
}

const NEXT_NUMBER: &str = "SELECT COALESCE(MAX(number), 0) + 1 FROM price_imports";

const INSERT_IMPORT: &str = "
    INSERT INTO price_imports (number, format, file_name, file_sha256, imported_at, actor)
    VALUES ($1, $2, $3, $4, $5, $6)";

async fn insert_import(
    connection: &mut AnyConnection,
    import: &PriceImport,
    (actor, now): (&str, Timestamp),
) -> Result<i64, StoreError> {
    let number: i64 = sqlx::query_scalar(NEXT_NUMBER)
        .fetch_one(&mut *connection)
        .await?;
    sqlx::query(INSERT_IMPORT)
        .bind(number)
        .bind(import.list.format.as_str())
        .bind(import.file_name.clone())
        .bind(import.file_sha256.clone())
        .bind(now.as_micros())
        .bind(actor.to_owned())
        .execute(connection)
        .await?;
    Ok(number)
}

const RETIRE_VERSIONS: (&str, &str) = (
    "UPDATE price_versions SET is_current = 0
     WHERE is_current = 1 AND (maker, model) IN (VALUES ",
    ")",
);

/// Ends the versions that new ones replace; they stay on record.
async fn retire(connection: &mut AnyConnection, rows: &[ListRow]) -> Result<(), StoreError> {
    let bind = |values: &mut Values, row: &ListRow| {
        values.push(row.seller.clone());
        values.push(row.name.clone());
    };
    execute_tuples(connection, RETIRE_VERSIONS, 2, rows, bind).await?;
    Ok(())
}

const INSERT_VERSIONS: (&str, &str) = (
    "INSERT INTO price_versions
        (maker, model, import_number, starts_on, rate_card, output_tokens_max, context_tokens_max,
         is_current, confirmed_by)
     VALUES ",
    "",
);

async fn insert_versions(
    connection: &mut AnyConnection,
    rows: &[ListRow],
    number: i64,
) -> Result<(), CommandError> {
    let mut versions = Vec::with_capacity(rows.len());
    for row in rows {
        for dated in &row.cards {
            let json = serde_json::to_string(&dated.card);
            let json = json.map_err(|error| {
                CommandError::Conflict(format!("the price of {} cannot be kept: {error}", row.name))
            })?;
            versions.push((row, dated.from.unwrap_or(0), json));
        }
    }
    let bind = |values: &mut Values, (row, starts_on, json): &(&ListRow, i64, String)| {
        values.push(row.seller.clone());
        values.push(row.name.clone());
        values.push(number);
        values.push(*starts_on);
        values.push(json.clone());
        values.push(row.output_tokens_max);
        values.push(row.context_tokens_max);
        values.push(1_i64);
        values.push(number);
    };
    execute_tuples(connection, INSERT_VERSIONS, 9, &versions, bind).await?;
    Ok(())
}

const CONFIRM_VERSIONS: (&str, &str) = (
    "UPDATE price_versions
     SET confirmed_by = (SELECT MAX(number) FROM price_imports)
     WHERE is_current = 1 AND (maker, model) IN (VALUES ",
    ")",
);

/// Notes that the latest import says what versions in force say already.
async fn confirm(
    connection: &mut AnyConnection,
    names: &[(String, String)],
) -> Result<(), StoreError> {
    let bind = |values: &mut Values, (seller, name): &(String, String)| {
        values.push(seller.clone());
        values.push(name.clone());
    };
    execute_tuples(connection, CONFIRM_VERSIONS, 2, names, bind).await?;
    Ok(())
}
