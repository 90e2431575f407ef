//! SQL of nodes: which proxies are alive.

use sqlx::AnyConnection;

use super::StoreError;
use crate::clock::Timestamp;
use crate::id::NodeId;

const UPSERT_NODE: &str = "
    INSERT INTO nodes (id, started_at, seen_at)
    VALUES ($1, $2, $3)
    ON CONFLICT (id) DO UPDATE
    SET seen_at = excluded.seen_at";

/// Says that a node is alive at `now`.
pub async fn beat(
    connection: &mut AnyConnection,
    id: NodeId,
    started_at: Timestamp,
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query(UPSERT_NODE)
        .bind(id.to_string())
        .bind(started_at.as_micros())
        .bind(now.as_micros())
        .execute(connection)
        .await?;
    Ok(())
}

const DELETE_NODE: &str = "DELETE FROM nodes WHERE id = $1";

/// Says that a node has ended.
pub async fn leave(connection: &mut AnyConnection, id: NodeId) -> Result<(), StoreError> {
    sqlx::query(DELETE_NODE)
        .bind(id.to_string())
        .execute(connection)
        .await?;
    Ok(())
}

const DELETE_GONE: &str = "DELETE FROM nodes WHERE seen_at < $1";

/// Forgets nodes that gave no sign of life since `cutoff`.
pub async fn forget_gone(
    connection: &mut AnyConnection,
    cutoff: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query(DELETE_GONE)
        .bind(cutoff.as_micros())
        .execute(connection)
        .await?;
    Ok(())
}
