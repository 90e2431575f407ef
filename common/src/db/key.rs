//! SQL of virtual keys.

use sqlx::{AnyConnection, AnyPool};

use super::StoreError;
use super::rows::Columns;
use crate::clock::Timestamp;
use crate::command::{CommandError, NewKey};
use crate::id::{KeyId, TeamId};
use crate::key::{KeyHash, VirtualKey};

const INSERT_KEY: &str = "
    INSERT INTO virtual_keys (id, team_id, label, hash, expires_at, created_at)
    SELECT $1, id, $3, $4, $5, $6 FROM teams WHERE id = $2";

pub(crate) async fn insert(
    connection: &mut AnyConnection,
    team_id: &TeamId,
    key: &NewKey,
    label: Option<&str>,
    expires_at: Option<Timestamp>,
    now: Timestamp,
) -> Result<(), CommandError> {
    let result = sqlx::query(INSERT_KEY)
        .bind(key.id.to_string())
        .bind(team_id.to_string())
        .bind(label.map(str::to_owned))
        .bind(key.hash.to_hex())
        .bind(expires_at.map(Timestamp::as_micros))
        .bind(now.as_micros())
        .execute(connection)
        .await
        .map_err(|error| CommandError::on_insert(error.into(), "key", &key.id))?;
    if result.rows_affected() == 0 {
        return Err(CommandError::not_found("team", team_id));
    }
    Ok(())
}

const END_KEY: &str = "
    UPDATE virtual_keys
    SET expires_at = CASE WHEN expires_at < $2 THEN expires_at ELSE $2 END
    WHERE id = $1 AND revoked_at IS NULL";

const INSERT_SUCCESSOR: &str = "
    INSERT INTO virtual_keys (id, team_id, label, hash, created_at)
    SELECT $1, team_id, label, $3, $4 FROM virtual_keys WHERE id = $2";

pub(crate) async fn rotate(
    connection: &mut AnyConnection,
    id: &KeyId,
    successor: &NewKey,
    ends_at: Timestamp,
    now: Timestamp,
) -> Result<(), CommandError> {
    let ended = sqlx::query(END_KEY)
        .bind(id.to_string())
        .bind(ends_at.as_micros())
        .execute(&mut *connection)
        .await?;
    if ended.rows_affected() == 0 {
        return Err(CommandError::not_found("live key", id));
    }
    sqlx::query(INSERT_SUCCESSOR)
        .bind(successor.id.to_string())
        .bind(id.to_string())
        .bind(successor.hash.to_hex())
        .bind(now.as_micros())
        .execute(connection)
        .await
        .map_err(|error| CommandError::on_insert(error.into(), "key", &successor.id))?;
    Ok(())
}

const REVOKE_KEY: &str =
    "UPDATE virtual_keys SET revoked_at = COALESCE(revoked_at, $2) WHERE id = $1";

pub(crate) async fn revoke(
    connection: &mut AnyConnection,
    id: &KeyId,
    now: Timestamp,
) -> Result<(), CommandError> {
    let result = sqlx::query(REVOKE_KEY)
        .bind(id.to_string())
        .bind(now.as_micros())
        .execute(connection)
        .await?;
    if result.rows_affected() == 0 {
        return Err(CommandError::not_found("key", id));
    }
    Ok(())
}

const LIST_KEYS: &str = "
    SELECT id, team_id, label, hash, expires_at, revoked_at, created_at
    FROM virtual_keys
    ORDER BY team_id, created_at, id";

/// All keys by team and age.
pub async fn list(pool: &AnyPool) -> Result<Vec<VirtualKey>, StoreError> {
    let rows = sqlx::query(LIST_KEYS).fetch_all(pool).await?;
    rows.iter()
        .map(|row| read_key(&mut Columns::of(row)))
        .collect()
}

fn read_key(columns: &mut Columns<'_>) -> Result<VirtualKey, StoreError> {
    let id: String = columns.take()?;
    Ok(VirtualKey {
        id: KeyId::new(&id),
        team_id: columns.parse()?,
        label: columns.take()?,
        hash: KeyHash::from_hex(&columns.take::<String>()?)
            .ok_or_else(|| StoreError::Inconsistent(format!("the hash of key {id}")))?,
        expires_at: columns.optional_time()?,
        revoked_at: columns.optional_time()?,
        created_at: columns.time()?,
    })
}
