//! `tollgate-admin audit`.

use clap::Subcommand;
use serde::Serialize;
use serde_json::Value;
use tollgate_common::clock::Timestamp;
use tollgate_common::db::audit::{self, AuditRecord};
use tollgate_common::id::AuditId;

use super::error::Failure;
use super::output::{Column, Output, Row, time, words};
use super::value;
use crate::session::Session;

/// What can be done with the audit log.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// List the newest changes
    List {
        /// Only those of one thing, as team:acme-corp
        #[arg(long, value_name = "NOUN:ID", value_parser = value::text)]
        target: Option<String>,
        /// How many at most
        #[arg(long, value_name = "N", allow_negative_numbers = true, default_value = "50", value_parser = value::limit)]
        limit: i64,
        /// Only changes older than this one
        #[arg(long, value_name = "ID")]
        before: Option<AuditId>,
    },
}

#[derive(Debug, Serialize)]
struct AuditView {
    id: AuditId,
    at: Timestamp,
    actor: String,
    action: String,
    target: String,
    detail: Value,
}

impl From<AuditRecord> for AuditView {
    fn from(record: AuditRecord) -> Self {
        Self {
            id: record.id,
            at: record.at,
            actor: record.actor,
            action: record.action,
            target: record.target,
            detail: serde_json::from_str(&record.detail).unwrap_or(Value::Null),
        }
    }
}

impl Row for AuditView {
    const COLUMNS: &'static [Column] = &[
        words("TIME"),
        words("ACTOR"),
        words("ACTION"),
        words("TARGET"),
        words("DETAIL"),
    ];

    fn cells(&self) -> Vec<String> {
        vec![
            time(self.at),
            self.actor.clone(),
            self.action.clone(),
            self.target.clone(),
            self.detail.to_string(),
        ]
    }
}

/// Does what the verb says.
pub(super) async fn run(session: &Session, output: Output, verb: Verb) -> Result<(), Failure> {
    let Verb::List {
        target,
        limit,
        before,
    } = verb;
    let pool = session.database.pool();
    let records = audit::list(pool, target.as_deref(), before, limit).await?;
    let is_full = i64::try_from(records.len()) == Ok(limit);
    let last = records.last().filter(|_| is_full);
    let next = last.map(|record| record.id.to_string());
    let views: Vec<AuditView> = records.into_iter().map(AuditView::from).collect();
    output.page(&views, "No changes recorded.", next)
}
