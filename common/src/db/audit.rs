//! SQL of the audit log.

use serde_json::Value;
use sqlx::AnyConnection;

use super::StoreError;
use super::admin::Actor;
use super::rows::Columns;
use crate::clock::Timestamp;
use crate::command::Command;
use crate::id::AuditId;

mod notice;
mod page;

pub use notice::{
    COUNT_RECENT, Notice, NoticeKind, PER_ACTOR_MAX, PER_KIND_MAX, Recorded, WINDOW, append,
};
pub use page::{ABOVE_MAX, AuditPage, COUNT_MAX, LOOKED_AT_MAX, Place, VOCABULARY, page, page_sql};

const INSERT_RECORD: &str = "
    INSERT INTO audit_log (id, at, actor, action, target, detail, reason, origin, before)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";

/// Records a change; `replaced` is what was there before it.
pub(crate) async fn insert(
    connection: &mut AnyConnection,
    actor: Actor<'_>,
    command: &Command,
    replaced: Option<Value>,
) -> Result<(), StoreError> {
    let reason = actor.reason.or_else(|| command.reason());
    sqlx::query(INSERT_RECORD)
        .bind(AuditId::new(actor.now, actor.random).to_string())
        .bind(actor.now.as_micros())
        .bind(actor.name.to_owned())
        .bind(command.action())
        .bind(command.target())
        .bind(command.detail().to_string())
        .bind(reason.map(str::to_owned))
        .bind(actor.origin.map(str::to_owned))
        .bind(replaced.map(|value| value.to_string()))
        .execute(connection)
        .await?;
    Ok(())
}

/// When administrators last changed something. Notices are about what was not changed.
pub const LAST_CHANGE: &str = "
    SELECT at
    FROM audit_log
    WHERE target = $1
      AND action NOT IN ('refused', 'export', 'provider.test', 'dev.seed')
    ORDER BY id DESC
    LIMIT 1";

/// Who made the change of a moment.
pub const ACTOR_AT: &str = "
    SELECT actor
    FROM audit_log
    WHERE target = $1 AND at = $2
    ORDER BY id DESC
    LIMIT 1";

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
    /// Why, if it was said.
    pub reason: Option<String>,
    /// The address that it was asked from, if it is known.
    pub origin: Option<String>,
    /// What the change replaced, as JSON with the keys of `detail`, if it replaced something.
    pub before: Option<String>,
}

fn read_record(columns: &mut Columns<'_>) -> Result<AuditRecord, StoreError> {
    Ok(AuditRecord {
        id: columns.parse()?,
        at: columns.time()?,
        actor: columns.take()?,
        action: columns.take()?,
        target: columns.take()?,
        detail: columns.take()?,
        reason: columns.take()?,
        origin: columns.take()?,
        before: columns.take()?,
    })
}
