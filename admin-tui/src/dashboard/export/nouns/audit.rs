//! Records of the audit log as rows, the newest first.

use tollgate_common::db::audit::{self, AuditRecord, LOOKED_AT_MAX, Place, VOCABULARY};
use tollgate_common::filter::{Filter, Vocabulary};

use crate::dashboard::export::{Exported, Field, Reader};
use crate::dashboard::problem::Problem;

impl Exported for AuditRecord {
    type Mark = Place;

    const VOCABULARY: &'static Vocabulary = &VOCABULARY;

    const HEADINGS: &'static [&'static str] = &[
        "id", "at", "actor", "action", "target", "reason", "origin", "detail", "before",
    ];

    fn csv_row(&self) -> Vec<Field> {
        vec![
            Field::text(self.id),
            Field::text(self.at),
            Field::text(&self.actor),
            Field::text(&self.action),
            Field::text(&self.target),
            Field::optional(self.reason.as_ref()),
            Field::optional(self.origin.as_ref()),
            Field::text(&self.detail),
            Field::optional(self.before.as_ref()),
        ]
    }

    async fn next(
        reader: &mut Reader<'_>,
        filter: &Filter,
        after: Option<Place>,
        limit: i64,
    ) -> Result<(Vec<Self>, Option<Place>), Problem> {
        let place = after.unwrap_or(Place::Newest);
        let limit = usize::try_from(limit).unwrap_or(1);
        let found = audit::page(reader.pool, filter, place, limit).await?;
        let last = if found.gave_up {
            // The search goes on below the last record that it has looked at.
            let all = filter.indexed_part();
            let looked_at = usize::try_from(LOOKED_AT_MAX).unwrap_or(1);
            let seen = audit::page(reader.pool, &all, place, looked_at).await?;
            seen.records.last().map(|record| record.id)
        } else {
            let last = found.records.last().map(|record| record.id);
            last.filter(|_| found.below)
        };
        Ok((found.records, last.map(Place::Below)))
    }
}
