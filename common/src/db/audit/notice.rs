//! Records of what administrators were refused, or did without a command: the one way to write that
//! a session which may only read has.

use serde_json::Value;
use sqlx::AnyConnection;
use std::time::Duration;

use super::INSERT_RECORD;
use crate::clock::Timestamp;
use crate::db::admin::Actor;
use crate::db::{Database, StoreError};
use crate::id::AuditId;

/// What a notice is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoticeKind {
    /// Something that was asked for and refused.
    Refused,
    /// Rows that were written out.
    Export,
    /// A provider that was sent its keys to see whether it takes them.
    ProviderTest,
    /// A made-up business that was put beside what is in the database.
    Seed,
}

impl NoticeKind {
    /// All kinds.
    pub const ALL: [Self; 4] = [Self::Refused, Self::Export, Self::ProviderTest, Self::Seed];

    /// What the audit log calls it.
    pub const fn action(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Export => "export",
            Self::ProviderTest => "provider.test",
            Self::Seed => "dev.seed",
        }
    }
}

/// Something to be recorded that is no change by a command.
#[derive(Debug, Clone)]
pub struct Notice {
    /// What kind.
    pub kind: NoticeKind,
    /// Whom or what it concerns, as `team:acme-corp`.
    pub target: String,
    /// What else is known of it, as a JSON object.
    pub detail: Value,
}

/// Whether a notice was recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recorded {
    /// It was.
    Yes,
    /// It was not: there are too many of this kind within [`WINDOW`].
    TooMany,
}

/// Over how long notices are counted.
pub const WINDOW: Duration = Duration::from_hours(1);

/// How many notices of one kind an administrator leaves within [`WINDOW`]: far more than anybody
/// needs, far fewer than would fill a disk.
pub const PER_ACTOR_MAX: i64 = 120;

/// How many notices of one kind all administrators leave within [`WINDOW`], because where the
/// system does not fix names, somebody may use many.
pub const PER_KIND_MAX: i64 = 1_200;

/// The longest target, in characters.
const TARGET_CHARACTERS_MAX: usize = 200;

/// The longest detail, in bytes of JSON.
const DETAIL_BYTES_MAX: usize = 4_096;

/// Counts notices of a kind, all and one actor's, in the part of the log from an id on.
pub const COUNT_RECENT: &str = "
    SELECT COUNT(*), COALESCE(SUM(CASE WHEN actor = $3 THEN 1 ELSE 0 END), 0)
    FROM audit_log
    WHERE id >= $1 AND action = $2";

/// Records a notice, on a connection of its own that can do nothing else, unless there are too
/// many already. The last one that fits says that later ones are left out.
pub async fn append(
    database: &Database,
    actor: Actor<'_>,
    notice: &Notice,
) -> Result<Recorded, StoreError> {
    database
        .append(async |connection| {
            let (all, own) = count(connection, actor, notice.kind).await?;
            if all >= PER_KIND_MAX || own >= PER_ACTOR_MAX {
                return Ok(Recorded::TooMany);
            }
            let is_last = all + 1 == PER_KIND_MAX || own + 1 == PER_ACTOR_MAX;
            insert(connection, actor, notice, is_last).await?;
            Ok(Recorded::Yes)
        })
        .await
}

async fn count(
    connection: &mut AnyConnection,
    actor: Actor<'_>,
    kind: NoticeKind,
) -> Result<(i64, i64), StoreError> {
    let from = AuditId::least_at(since(actor.now));
    let counts: (i64, i64) = sqlx::query_as(COUNT_RECENT)
        .bind(from.to_string())
        .bind(kind.action())
        .bind(actor.name.to_owned())
        .fetch_one(connection)
        .await?;
    Ok(counts)
}

fn since(now: Timestamp) -> Timestamp {
    now.minus(WINDOW)
}

async fn insert(
    connection: &mut AnyConnection,
    actor: Actor<'_>,
    notice: &Notice,
    is_last: bool,
) -> Result<(), StoreError> {
    sqlx::query(INSERT_RECORD)
        .bind(AuditId::new(actor.now, actor.random).to_string())
        .bind(actor.now.as_micros())
        .bind(actor.name.to_owned())
        .bind(notice.kind.action())
        .bind(shortened(&notice.target))
        .bind(detail(notice, is_last))
        .bind(actor.reason.map(str::to_owned))
        .bind(actor.origin.map(str::to_owned))
        .bind(None::<String>)
        .execute(connection)
        .await?;
    Ok(())
}

fn shortened(target: &str) -> String {
    target.chars().take(TARGET_CHARACTERS_MAX).collect()
}

fn detail(notice: &Notice, is_last: bool) -> String {
    let mut detail = notice.detail.clone();
    if detail.to_string().len() > DETAIL_BYTES_MAX {
        detail = serde_json::json!({ "left_out": "the detail is too long" });
    }
    if is_last && let Some(fields) = detail.as_object_mut() {
        let note = "more within the same hour are not recorded";
        fields.insert("note".to_owned(), note.into());
    }
    detail.to_string()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::db::audit::LAST_CHANGE;

    #[test]
    fn a_notice_is_no_change_of_its_target() {
        for kind in NoticeKind::ALL {
            assert!(LAST_CHANGE.contains(&format!("'{}'", kind.action())));
        }
    }

    #[test]
    fn targets_and_details_are_bounded() {
        let notice = Notice {
            kind: NoticeKind::Refused,
            target: "x".repeat(10_000),
            detail: json!({ "why": "y".repeat(10_000) }),
        };
        assert_eq!(shortened(&notice.target).len(), TARGET_CHARACTERS_MAX);
        let text = detail(&notice, true);
        assert!(text.len() < 200 && text.contains("not recorded"), "{text}");
    }
}
