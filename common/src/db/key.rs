//! SQL of virtual keys.

use std::collections::HashMap;

use sqlx::{AnyConnection, AnyPool};

use super::StoreError;
use super::limit::{limit_query, read_limits};
use super::rows::{Columns, Values, execute_tuples};
use crate::clock::Timestamp;
use crate::command::{Command, CommandError, KeySettings, NewKey};
use crate::id::{KeyId, TeamId};
use crate::key::{KeyHash, VirtualKey};
use crate::limit::Limits;
pub use list::{KEYS, KeyOrder, ListedKey, find, page, page_statement};

mod list;

pub(crate) async fn apply(
    connection: &mut AnyConnection,
    command: &Command,
    now: Timestamp,
) -> Result<(), CommandError> {
    match command {
        Command::CreateKey {
            team_id,
            key,
            label,
            limits,
            expires_at,
        } => {
            let label = label.as_deref();
            insert(connection, team_id, key, label, *limits, *expires_at, now).await
        }
        Command::SetKey { id, settings } => update(connection, id, settings).await,
        Command::RotateKey {
            id,
            successor,
            ends_at,
        } => rotate(connection, id, successor, *ends_at, now).await,
        Command::RevokeKey { id } => revoke(connection, id, now).await,
        _ => Ok(()),
    }
}

const FIND_KEY_BY_HASH: &str = "SELECT id FROM virtual_keys WHERE hash = $1";

/// Refuses a key that is stored already, by the id that it has.
async fn require_new(connection: &mut AnyConnection, key: &NewKey) -> Result<(), CommandError> {
    let found: Option<String> = sqlx::query_scalar(FIND_KEY_BY_HASH)
        .bind(key.hash.to_hex())
        .fetch_optional(connection)
        .await?;
    match found {
        Some(id) => Err(CommandError::Exists { noun: "key", id }),
        None => Ok(()),
    }
}

const INSERT_KEY: &str = "
    INSERT INTO virtual_keys
        (id, team_id, label, hash, expires_at, requests_per_minute, tokens_per_minute,
         parallel_calls, created_at)
    SELECT $1, id, $3, $4, $5, $6, $7, $8, $9 FROM teams WHERE id = $2";

async fn insert(
    connection: &mut AnyConnection,
    team_id: &TeamId,
    key: &NewKey,
    label: Option<&str>,
    limits: Limits,
    expires_at: Option<Timestamp>,
    now: Timestamp,
) -> Result<(), CommandError> {
    require_new(connection, key).await?;
    let result = sqlx::query(INSERT_KEY)
        .bind(key.id.to_string())
        .bind(team_id.to_string())
        .bind(label.map(str::to_owned))
        .bind(key.hash.to_hex())
        .bind(expires_at.map(Timestamp::as_micros))
        .bind(limits.requests_per_minute)
        .bind(limits.tokens_per_minute)
        .bind(limits.parallel_calls)
        .bind(now.as_micros())
        .execute(connection)
        .await
        .map_err(|error| CommandError::on_insert(error.into(), "key", &key.id))?;
    if result.rows_affected() == 0 {
        return Err(CommandError::not_found("team", team_id));
    }
    Ok(())
}

const UPDATE_KEY: &str = "
    UPDATE virtual_keys
    SET label = COALESCE($2, label)
      , expires_at = CASE WHEN $3 = 1 THEN $4 ELSE expires_at END
    WHERE id = $1 AND revoked_at IS NULL";

const SET_LIMITS: &str = "
    UPDATE virtual_keys
    SET requests_per_minute = CASE WHEN $2 = 1 THEN $3 ELSE requests_per_minute END
      , tokens_per_minute = CASE WHEN $4 = 1 THEN $5 ELSE tokens_per_minute END
      , parallel_calls = CASE WHEN $6 = 1 THEN $7 ELSE parallel_calls END
    WHERE id = $1";

async fn update(
    connection: &mut AnyConnection,
    id: &KeyId,
    settings: &KeySettings,
) -> Result<(), CommandError> {
    let expires_at = settings.expires_at.flatten();
    let result = sqlx::query(UPDATE_KEY)
        .bind(id.to_string())
        .bind(settings.label.clone())
        .bind(i64::from(settings.expires_at.is_some()))
        .bind(expires_at.map(Timestamp::as_micros))
        .execute(&mut *connection)
        .await?;
    if result.rows_affected() == 0 {
        return Err(CommandError::not_found("key in use", id));
    }
    limit_query(SET_LIMITS, id.to_string(), &settings.limits)
        .execute(connection)
        .await?;
    Ok(())
}

const SELECT_SUCCESSOR: &str = "
    SELECT successor
    FROM virtual_keys
    WHERE id = $1 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $2)";

const INSERT_SUCCESSOR: &str = "
    INSERT INTO virtual_keys
        (id, team_id, label, hash, expires_at, requests_per_minute, tokens_per_minute,
         parallel_calls, created_at)
    SELECT $1, team_id, label, $3, expires_at, requests_per_minute, tokens_per_minute,
           parallel_calls, $4
    FROM virtual_keys
    WHERE id = $2";

const END_KEY: &str = "
    UPDATE virtual_keys
    SET expires_at = CASE WHEN expires_at < $2 THEN expires_at ELSE $2 END
      , successor = $3
    WHERE id = $1 AND successor IS NULL";

/// Puts a key in the place of another one. The old key's expiry is copied before it is cut to the
/// grace; for the same reason a key that has a successor cannot get a second one.
async fn rotate(
    connection: &mut AnyConnection,
    id: &KeyId,
    successor: &NewKey,
    ends_at: Timestamp,
    now: Timestamp,
) -> Result<(), CommandError> {
    let live = sqlx::query(SELECT_SUCCESSOR)
        .bind(id.to_string())
        .bind(now.as_micros())
        .fetch_optional(&mut *connection)
        .await?;
    let live = live.ok_or_else(|| CommandError::not_found("live key", id))?;
    if let Some(earlier) = Columns::of(&live).take::<Option<String>>()? {
        return Err(has_successor(id, &earlier));
    }
    require_new(connection, successor).await?;
    sqlx::query(INSERT_SUCCESSOR)
        .bind(successor.id.to_string())
        .bind(id.to_string())
        .bind(successor.hash.to_hex())
        .bind(now.as_micros())
        .execute(&mut *connection)
        .await
        .map_err(|error| CommandError::on_insert(error.into(), "key", &successor.id))?;
    let ended = sqlx::query(END_KEY)
        .bind(id.to_string())
        .bind(ends_at.as_micros())
        .bind(successor.id.to_string())
        .execute(connection)
        .await?;
    if ended.rows_affected() == 0 {
        return Err(has_successor(id, "made at the same moment"));
    }
    Ok(())
}

fn has_successor(id: &KeyId, successor: &str) -> CommandError {
    CommandError::Conflict(format!(
        "key '{id}' has a successor already ({successor}): rotate that one"
    ))
}

const REVOKE_KEY: &str =
    "UPDATE virtual_keys SET revoked_at = COALESCE(revoked_at, $2) WHERE id = $1";

async fn revoke(
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
    SELECT id, team_id, label, hash, requests_per_minute, tokens_per_minute, parallel_calls,
           expires_at, revoked_at, created_at
    FROM virtual_keys
    ORDER BY team_id, created_at, id";

/// All keys by team and age, for the policy.
pub async fn list(pool: &AnyPool) -> Result<Vec<VirtualKey>, StoreError> {
    let rows = sqlx::query(LIST_KEYS).fetch_all(pool).await?;
    rows.iter()
        .map(|row| read_key(&mut Columns::of(row)))
        .collect()
}

const LIST_ROTATIONS: &str = "SELECT successor, id FROM virtual_keys WHERE successor IS NOT NULL";

/// The key that each rotated key has replaced.
pub async fn list_rotations(pool: &AnyPool) -> Result<HashMap<KeyId, KeyId>, StoreError> {
    let rows = sqlx::query(LIST_ROTATIONS).fetch_all(pool).await?;
    rows.iter()
        .map(|row| {
            let mut columns = Columns::of(row);
            let (successor, id): (String, String) = (columns.take()?, columns.take()?);
            Ok((KeyId::new(&successor), KeyId::new(&id)))
        })
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
        limits: read_limits(columns)?,
        expires_at: columns.optional_time()?,
        revoked_at: columns.optional_time()?,
        created_at: columns.time()?,
    })
}

/// When keys were accepted last, around the rows. The policy's revision does not move: no proxy
/// decides by it.
const MARK_USED: (&str, &str) = (
    "UPDATE virtual_keys SET used_at = v.column2 FROM (VALUES ",
    ") AS v WHERE virtual_keys.id = v.column1",
);

const MICROS_PER_MINUTE: i64 = 60_000_000;

/// Notes in which minute each of these keys was accepted last.
pub(crate) async fn mark_used(
    connection: &mut AnyConnection,
    used: &[(KeyId, i64)],
) -> Result<(), StoreError> {
    let bind = |values: &mut Values, (id, minute): &(KeyId, i64)| {
        values.push_text(id);
        values.push(minute.saturating_mul(MICROS_PER_MINUTE));
    };
    execute_tuples(connection, MARK_USED, 2, used, bind).await?;
    Ok(())
}
