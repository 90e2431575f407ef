//! Jobs as rows, the newest first.

use tollgate_common::db::job::list::{self, JobEntry, Place, Start, VOCABULARY};
use tollgate_common::filter::{Filter, Vocabulary};
use tollgate_common::id::JobId;

use crate::dashboard::export::{Exported, Field, Reader};
use crate::dashboard::problem::Problem;

/// Where to go on, and the job that was written already.
pub(crate) struct Mark {
    place: Place,
    written: Option<JobId>,
}

impl Exported for JobEntry {
    type Mark = Mark;

    const VOCABULARY: &'static Vocabulary = &VOCABULARY;

    const HEADINGS: &'static [&'static str] = &[
        "id",
        "team",
        "org",
        "status",
        "type",
        "user",
        "created_at",
        "completed_at",
        "budget_mode",
        "credits_held",
        "credits_charged",
        "calls",
        "succeeded_calls",
        "failed_calls",
        "tokens",
        "input_tokens",
        "cost_usd_nanos",
        "provider_cost_usd_nanos",
        "latency_ms",
        "error",
    ];

    fn csv_row(&self) -> Vec<Field> {
        let (job, totals) = (&self.job, &self.totals);
        vec![
            Field::text(job.id),
            Field::text(&job.team_id),
            Field::text(&job.org_id),
            Field::text(job.state.word()),
            Field::text(&job.job_type),
            Field::optional(job.user_id.as_ref()),
            Field::text(job.created_at),
            Field::moment(job.completed_at),
            Field::text(job.terms.mode.word()),
            Field::Number(job.hold.0),
            Field::number(job.charged.map(|credits| credits.0)),
            Field::Number(totals.calls),
            Field::Number(totals.succeeded),
            Field::Number(totals.failed),
            Field::Number(totals.tokens),
            Field::Number(totals.input_tokens),
            Field::Number(totals.cost.0),
            Field::Number(totals.provider_cost.0),
            Field::Number(totals.latency_ms),
            Field::optional(job.error_message.as_ref()),
        ]
    }

    async fn next(
        reader: &mut Reader<'_>,
        filter: &Filter,
        after: Option<Mark>,
        limit: i64,
    ) -> Result<(Vec<Self>, Option<Mark>), Problem> {
        let start = after.as_ref().map_or(Start::First, |m| Start::At(m.place));
        // A part begins with the last job of the one before it.
        let found = list::page(reader.pool, filter, start, limit + 1).await?;
        let next = match (found.more, found.jobs.last(), found.reach) {
            (true, Some(last), _) => Some(Mark {
                place: last.place(),
                written: Some(last.job.id),
            }),
            // The search has stopped there, with everything of that moment seen.
            (false, _, Some(created_at)) => Some(Mark {
                place: Place {
                    created_at,
                    id: None,
                },
                written: None,
            }),
            _ => None,
        };
        let written = after.and_then(|mark| mark.written);
        let mut jobs = found.jobs;
        jobs.retain(|entry| Some(entry.job.id) != written);
        Ok((jobs, next))
    }
}
