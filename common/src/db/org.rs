//! SQL of organizations.

use sqlx::{AnyConnection, AnyPool};

use super::StoreError;
use super::rows::Columns;
use crate::clock::Timestamp;
use crate::command::CommandError;
use crate::id::OrgId;
use crate::org::Organization;
use crate::standing::Standing;

pub mod list;

const INSERT_ORG: &str = "
    INSERT INTO organizations (id, name, status, paused_until, created_at, updated_at)
    VALUES ($1, $2, 'active', NULL, $3, $3)";

pub(crate) async fn insert(
    connection: &mut AnyConnection,
    id: &OrgId,
    name: &str,
    now: Timestamp,
) -> Result<(), CommandError> {
    sqlx::query(INSERT_ORG)
        .bind(id.to_string())
        .bind(name.to_owned())
        .bind(now.as_micros())
        .execute(connection)
        .await
        .map_err(|error| CommandError::on_insert(error.into(), "organization", id))?;
    Ok(())
}

const RENAME_ORG: &str = "UPDATE organizations SET name = $2, updated_at = $3 WHERE id = $1";

pub(crate) async fn rename(
    connection: &mut AnyConnection,
    id: &OrgId,
    name: &str,
    now: Timestamp,
) -> Result<(), CommandError> {
    let result = sqlx::query(RENAME_ORG)
        .bind(id.to_string())
        .bind(name.to_owned())
        .bind(now.as_micros())
        .execute(connection)
        .await?;
    if result.rows_affected() == 0 {
        return Err(CommandError::not_found("organization", id));
    }
    Ok(())
}

const SET_STANDING: &str = "
    UPDATE organizations
    SET status = $2, paused_until = $3, updated_at = $4
    WHERE id = $1";

pub(crate) async fn set_standing(
    connection: &mut AnyConnection,
    id: &OrgId,
    standing: Standing,
    now: Timestamp,
) -> Result<(), CommandError> {
    let result = sqlx::query(SET_STANDING)
        .bind(id.to_string())
        .bind(standing.word())
        .bind(standing.paused_until().map(Timestamp::as_micros))
        .bind(now.as_micros())
        .execute(connection)
        .await?;
    if result.rows_affected() == 0 {
        return Err(CommandError::not_found("organization", id));
    }
    Ok(())
}

const LIST_ORGS: &str = "
    SELECT id, name, status, paused_until, created_at
    FROM organizations
    ORDER BY id";

/// All organizations by id.
pub async fn list(pool: &AnyPool) -> Result<Vec<Organization>, StoreError> {
    let rows = sqlx::query(LIST_ORGS).fetch_all(pool).await?;
    rows.iter()
        .map(|row| {
            let mut columns = Columns::of(row);
            Ok(Organization {
                id: columns.parse()?,
                name: columns.take()?,
                standing: read_standing(&mut columns)?,
                created_at: columns.time()?,
            })
        })
        .collect()
}

/// Reads the columns `status` and `paused_until`.
pub(crate) fn read_standing(columns: &mut Columns<'_>) -> Result<Standing, StoreError> {
    let word: String = columns.take()?;
    let until = columns.optional_time()?;
    Standing::from_parts(&word, until)
        .ok_or_else(|| StoreError::Inconsistent(format!("unknown status '{word}'")))
}
