//! SQL of what nodes tell of the present.

use sqlx::{AnyConnection, AnyPool};

use super::lease::Lease;
use super::rows::Columns;
use super::{Database, StoreError, key};
use crate::clock::Timestamp;
use crate::id::{KeyId, NodeId};
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

/// What a node has to tell at one time.
#[derive(Debug, Clone, Copy)]
pub struct News<'a> {
    /// The node.
    pub node_id: NodeId,
    /// When, by its clock.
    pub now: Timestamp,
    /// Its present, if that has changed.
    pub figures: Option<&'a NodeFigures>,
    /// What passed in a minute, if that has grown; in place of what it told of this minute before.
    pub traffic: Option<(i64, &'a Traffic)>,
    /// Keys that were accepted, each with the minute of its last use.
    pub used_keys: &'a [(KeyId, i64)],
    /// Nodes that are gone, and minutes before this one, are forgotten.
    pub forget_before: Option<i64>,
}

/// Writes what a node has to tell, in one transaction.
pub async fn tell(database: &Database, news: &News<'_>) -> Result<(), StoreError> {
    let mut lease = Lease::acquire(database).await?;
    let mut transaction = lease.begin(database).await?;
    write(&mut transaction, news).await?;
    transaction.commit().await.map_err(StoreError::of_commit)?;
    lease.give_back();
    Ok(())
}

/// Writes what a node has to tell, inside the caller's transaction.
pub(super) async fn write(
    connection: &mut AnyConnection,
    news: &News<'_>,
) -> Result<(), StoreError> {
    if let Some(figures) = news.figures {
        sqlx::query(UPSERT_FIGURES)
            .bind(news.node_id.to_string())
            .bind(news.now.as_micros())
            .bind(json(figures)?)
            .execute(&mut *connection)
            .await?;
    }
    if let Some((minute, traffic)) = news.traffic {
        sqlx::query(UPSERT_TRAFFIC)
            .bind(minute)
            .bind(news.node_id.to_string())
            .bind(json(traffic)?)
            .execute(&mut *connection)
            .await?;
    }
    key::mark_used(connection, news.used_keys).await?;
    if let Some(minute) = news.forget_before {
        forget(connection, minute).await?;
    }
    Ok(())
}

const DELETE_FIGURES: &str = "DELETE FROM node_figures WHERE node_id = $1";

/// Forgets a node that has ended.
pub async fn leave(connection: &mut AnyConnection, id: NodeId) -> Result<(), StoreError> {
    sqlx::query(DELETE_FIGURES)
        .bind(id.to_string())
        .execute(connection)
        .await?;
    Ok(())
}

const DELETE_SILENT: &str = "DELETE FROM node_figures WHERE node_id NOT IN (SELECT id FROM nodes)";

const DELETE_OLD_TRAFFIC: &str = "DELETE FROM traffic WHERE minute < $1";

/// Forgets nodes that are gone, and minutes before this one.
async fn forget(connection: &mut AnyConnection, minute: i64) -> Result<(), StoreError> {
    sqlx::query(DELETE_SILENT).execute(&mut *connection).await?;
    sqlx::query(DELETE_OLD_TRAFFIC)
        .bind(minute)
        .execute(connection)
        .await?;
    Ok(())
}

/// What one node has told last, and when it was heard of last, by its own clock: a node that only
/// says that it lives has nothing new to tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// The node.
    pub node_id: NodeId,
    /// When.
    pub at: Timestamp,
    /// What.
    pub figures: NodeFigures,
}

const LIST_FIGURES: &str = "
    SELECT f.node_id, CASE WHEN n.seen_at > f.at THEN n.seen_at ELSE f.at END, f.figures
    FROM node_figures AS f
    LEFT JOIN nodes AS n ON n.id = f.node_id
    ORDER BY f.node_id";

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
