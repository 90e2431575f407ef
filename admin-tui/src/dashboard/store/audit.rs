//! Reads what the screen of audit shows.

use tollgate_common::db::audit::{self, AuditPage, AuditRecord, COUNT_MAX, LOOKED_AT_MAX, Place};
use tollgate_common::filter::Filter;
use tollgate_common::id::AuditId;

use super::Source;
use crate::dashboard::format;
use crate::dashboard::problem::Problem;
use crate::dashboard::widgets::list::{PAGE_ROWS, Page, Start};

/// What can be asked.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Query {
    /// A part of the log that fits a filter.
    Page(Filter, Start<AuditId>),
}

/// What is answered.
#[derive(Debug)]
pub(crate) enum Answer {
    /// A part of the log.
    Page(Page<AuditRecord>),
}

/// Reads it.
pub(super) async fn load(source: &Source, query: Query) -> Result<super::Answer, Problem> {
    let Query::Page(filter, start) = query;
    let place = match start {
        Start::First => Place::Newest,
        Start::At(id) => Place::From(id),
        Start::Before(id) => Place::Above(id),
        Start::Last => Place::Oldest,
    };
    let page = audit::page(source.pool(), &filter, place, PAGE_ROWS).await?;
    Ok(super::Answer::Audit(Answer::Page(shown(page))))
}

/// The newest records of one target.
pub(super) async fn latest_of(
    source: &Source,
    target: &str,
    count: usize,
) -> Result<Vec<AuditRecord>, Problem> {
    let filter = Filter::only_word(&audit::VOCABULARY, "target", target);
    let page = audit::page(source.pool(), &filter, Place::Newest, count).await?;
    Ok(page.records)
}

fn shown(page: AuditPage) -> Page<AuditRecord> {
    let count = page.count.map(|count| {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        let more = if count > COUNT_MAX { "+" } else { "" };
        format!("{}{more}", format::number(count.min(COUNT_MAX)))
    });
    let note = page.gave_up.then(|| {
        format!(
            "searched {} changes: narrow it with since:, until: or target:",
            format::number(LOOKED_AT_MAX)
        )
    });
    Page {
        rows: page.records,
        above: page.above,
        below: page.below,
        count: count.unwrap_or_default(),
        note: note.unwrap_or_default(),
    }
}
