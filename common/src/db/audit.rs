//! SQL of the audit log.

use sqlx::{AnyConnection, AnyPool};

use super::StoreError;
use super::rows::Columns;
use crate::clock::Timestamp;
use crate::command::Command;
use crate::id::AuditId;

const INSERT_RECORD: &str = "
    INSERT INTO audit_log (id, at, actor, action, target, detail)
    VALUES ($1, $2, $3, $4, $5, $6)";

pub(crate) async fn insert(
    connection: &mut AnyConnection,
    id: AuditId,
    actor: &str,
    at: Timestamp,
    command: &Command,
) -> Result<(), StoreError> {
    sqlx::query(INSERT_RECORD)
        .bind(id.to_string())
        .bind(at.as_micros())
        .bind(actor.to_owned())
        .bind(command.action())
        .bind(command.target())
        .bind(command.detail().to_string())
        .execute(connection)
        .await?;
    Ok(())
}

/// A record of the audit log.
#[derive(Debug, Clone)]
pub struct AuditRecord {
    /// Its id; later records have larger ones.
    pub id: AuditId,
    /// When.
    pub at: Timestamp,
    /// Who.
    pub actor: String,
    /// What, as `team.suspend`.
    pub action: String,
    /// Whom or what, as `team:acme-corp`.
    pub target: String,
    /// What changed, as JSON.
    pub detail: String,
}

/// The newest records.
pub const LIST_RECORDS: &str = "
    SELECT id, at, actor, action, target, detail
    FROM audit_log
    WHERE id < $1
    ORDER BY id DESC
    LIMIT $2";

/// The newest records about one target.
pub const LIST_RECORDS_OF: &str = "
    SELECT id, at, actor, action, target, detail
    FROM audit_log
    WHERE target = $3 AND id < $1
    ORDER BY id DESC
    LIMIT $2";

/// Sorts after every id.
const LAST: &str = "audit_z";

/// The newest records before `before`, of one target or of all.
pub async fn list(
    pool: &AnyPool,
    target: Option<&str>,
    before: Option<AuditId>,
    limit: i64,
) -> Result<Vec<AuditRecord>, StoreError> {
    let sql = if target.is_some() {
        LIST_RECORDS_OF
    } else {
        LIST_RECORDS
    };
    let before = before.map_or_else(|| LAST.to_owned(), |id| id.to_string());
    let mut query = sqlx::query(sql).bind(before).bind(limit);
    if let Some(target) = target {
        query = query.bind(target.to_owned());
    }
    let rows = query.fetch_all(pool).await?;
    rows.iter()
        .map(|row| {
            let mut columns = Columns::of(row);
            Ok(AuditRecord {
                id: columns.parse()?,
                at: columns.time()?,
                actor: columns.take()?,
                action: columns.take()?,
                target: columns.take()?,
                detail: columns.take()?,
            })
        })
        .collect()
}
