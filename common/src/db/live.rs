//! SQL of what nodes tell of the present.

use sqlx::{AnyConnection, AnyPool};

use super::StoreError;
use super::rows::Columns;
use crate::clock::Timestamp;
use crate::id::NodeId;
use crate::live::{NodeFigures, Traffic};

const UPSERT_FIGURES: &str = "
    INSERT INTO node_figures (node_id, at, figures)
    VALUES ($1, $2, $3)
    ON CONFLICT (node_id) DO UPDATE
    SET at = excluded.at, figures = excluded.figures";

const UPSERT_TRAFFIC: &str = "
    INSERT INTO traffic (minute, node_id, figures)
    VALUES ($1, $2, $3)
    ON CONFLICT (minute, node_id) DO UPDATE
    SET figures = excluded.figures";

fn json(value: &impl serde::Serialize) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| StoreError::Inconsistent(error.to_string()))
}

/// Writes a node's present.
pub async fn tell(
    connection: &mut AnyConnection,
    id: NodeId,
    now: Timestamp,
    figures: &NodeFigures,
) -> Result<(), StoreError> {
    sqlx::query(UPSERT_FIGURES)
        .bind(id.to_string())
        .bind(now.as_micros())
        .bind(json(figures)?)
        .execute(connection)
        .await?;
    Ok(())
}

/// Writes what passed through a node in a minute, in place of what it told of this minute before.
pub async fn tell_traffic(
    connection: &mut AnyConnection,
    id: NodeId,
    minute: i64,
    traffic: &Traffic,
) -> Result<(), StoreError> {
    sqlx::query(UPSERT_TRAFFIC)
        .bind(minute)
        .bind(id.to_string())
        .bind(json(traffic)?)
        .execute(connection)
        .await?;
    Ok(())
}

const DELETE_SILENT: &str = "DELETE FROM node_figures WHERE node_id NOT IN (SELECT id FROM nodes)";

const DELETE_OLD_TRAFFIC: &str = "DELETE FROM traffic WHERE minute < $1";

/// Forgets nodes that are gone, and minutes before this one.
pub async fn forget(connection: &mut AnyConnection, minute: i64) -> Result<(), StoreError> {
    sqlx::query(DELETE_SILENT).execute(&mut *connection).await?;
    sqlx::query(DELETE_OLD_TRAFFIC)
        .bind(minute)
        .execute(connection)
        .await?;
    Ok(())
}

/// What one node has told last, and when by its own clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// The node.
    pub node_id: NodeId,
    /// When.
    pub at: Timestamp,
    /// What.
    pub figures: NodeFigures,
}

const LIST_FIGURES: &str = "SELECT node_id, at, figures FROM node_figures ORDER BY node_id";

/// What all nodes have told last.
pub async fn list(pool: &AnyPool) -> Result<Vec<Told>, StoreError> {
    let rows = sqlx::query(LIST_FIGURES).fetch_all(pool).await?;
    rows.iter()
        .map(|row| {
            let mut columns = Columns::of(row);
            Ok(Told {
                node_id: columns.parse()?,
                at: columns.time()?,
                figures: parse(&columns.take::<String>()?)?,
            })
        })
        .collect()
}

/// The traffic of all nodes from a minute on.
pub const LIST_TRAFFIC: &str = "
    SELECT minute, node_id, figures
    FROM traffic
    WHERE minute >= $1
    ORDER BY minute, node_id";

/// What passed in each minute from this one on, of all nodes together, the earliest first; minutes
/// in which nothing was told are left out.
pub async fn traffic(pool: &AnyPool, minute: i64) -> Result<Vec<(i64, Traffic)>, StoreError> {
    let rows = sqlx::query(LIST_TRAFFIC)
        .bind(minute)
        .fetch_all(pool)
        .await?;
    let mut minutes: Vec<(i64, Traffic)> = Vec::new();
    for row in &rows {
        let mut columns = Columns::of(row);
        let minute: i64 = columns.take()?;
        let _node: String = columns.take()?;
        let traffic: Traffic = parse(&columns.take::<String>()?)?;
        match minutes.last_mut() {
            Some((last, sum)) if *last == minute => sum.add(&traffic),
            _ => minutes.push((minute, traffic)),
        }
    }
    Ok(minutes)
}

fn parse<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|error| StoreError::Inconsistent(error.to_string()))
}
