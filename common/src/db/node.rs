//! SQL of nodes: which proxies are alive.

use sqlx::{AnyConnection, AnyPool};

use super::StoreError;
use super::rows::Columns;
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

const LIST_NODES: &str = "SELECT id, seen_at FROM nodes ORDER BY id";

/// All nodes and when each last said that it lives, by its own clock.
pub async fn list(pool: &AnyPool) -> Result<Vec<(NodeId, Timestamp)>, StoreError> {
    let rows = sqlx::query(LIST_NODES).fetch_all(pool).await?;
    rows.iter()
        .map(|row| {
            let mut columns = Columns::of(row);
            Ok((columns.parse()?, columns.time()?))
        })
        .collect()
}

const DELETE_SILENT: &str = "DELETE FROM nodes WHERE id = $1 AND seen_at = $2";

/// Takes a node off the list unless it has said since then that it lives.
pub async fn forget(
    connection: &mut AnyConnection,
    id: NodeId,
    seen_at: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query(DELETE_SILENT)
        .bind(id.to_string())
        .bind(seen_at.as_micros())
        .execute(connection)
        .await?;
    Ok(())
}

const DELETE_ALL: &str = "DELETE FROM nodes";

/// Takes all nodes off the list: for a database that has one node at a time.
pub async fn forget_all(connection: &mut AnyConnection) -> Result<(), StoreError> {
    sqlx::query(DELETE_ALL).execute(connection).await?;
    Ok(())
}
