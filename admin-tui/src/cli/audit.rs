//! `tollgate-admin audit`.

use clap::Subcommand;
use serde::Serialize;
use serde_json::Value;
use tollgate_common::clock::Timestamp;
use tollgate_common::db::audit::{self, AuditRecord, Place};
use tollgate_common::filter::Filter;
use tollgate_common::id::AuditId;

use super::error::Failure;
use super::output::{Column, Output, Row, or_dash, time, words};
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
        #[arg(
            long,
            help = "Only those that fit, as: actor:bob action:~suspend since:7d until:2026-07-01 \
                    \"words of the reason\""
        )]
        filter: Option<String>,
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
    before: Value,
    reason: Option<String>,
    origin: Option<String>,
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
            before: record
                .before
                .and_then(|before| serde_json::from_str(&before).ok())
                .unwrap_or(Value::Null),
            reason: record.reason,
            origin: record.origin,
        }
    }
}

/// What of a detail says something: what is null has stayed as it was.
fn said(detail: &Value) -> Value {
    let Value::Object(fields) = detail else {
        return detail.clone();
    };
    let fields = fields.iter().filter_map(|(key, value)| {
        let value = said(value);
        let is_empty = value.as_object().is_some_and(serde_json::Map::is_empty);
        (!value.is_null() && !is_empty).then(|| (key.clone(), value))
    });
    Value::Object(fields.collect())
}

impl Row for AuditView {
    const COLUMNS: &'static [Column] = &[
        words("TIME"),
        words("ACTOR"),
        words("ACTION"),
        words("TARGET"),
        words("DETAIL"),
        words("REASON"),
        words("FROM"),
    ];

    fn cells(&self) -> Vec<String> {
        vec![
            time(self.at),
            self.actor.clone(),
            self.action.clone(),
            self.target.clone(),
            said(&self.detail).to_string(),
            or_dash(self.reason.as_ref()),
            or_dash(self.origin.as_ref()),
        ]
    }
}

/// How many rows a list may have, as a number of them.
fn rows(limit: i64) -> usize {
    usize::try_from(limit).unwrap_or(0)
}

/// Does what the verb says.
pub(super) async fn run(session: &Session, output: Output, verb: Verb) -> Result<(), Failure> {
    let Verb::List {
        target,
        filter,
        limit,
        before,
    } = verb;
    let target = target.map(|target| format!("target:\"{target}\""));
    let words: Vec<String> = filter.into_iter().chain(target).collect();
    let words = words.join(" ");
    let filter = Filter::parse(&audit::VOCABULARY, &words, session.now());
    let filter = filter.map_err(|why| Failure::Usage(format!("--filter: {why}")))?;
    let place = before.map_or(Place::Newest, Place::Below);
    let page = audit::page(session.database.pool(), &filter, place, rows(limit)).await?;
    let last = page.records.last().filter(|_| page.below);
    let next = last.map(|record| record.id.to_string());
    let views: Vec<AuditView> = page.records.into_iter().map(AuditView::from).collect();
    output.page(&views, "No changes recorded.", next)
}
