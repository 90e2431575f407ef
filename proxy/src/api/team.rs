//! `/api/teams`: what a team used, and its jobs.

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tollgate_common::clock::Timestamp;
use tollgate_common::db::job::{self, PageStart};
use tollgate_common::db::{call, usage};
use tollgate_common::id::JobId;
use tollgate_common::job::{Job, JobState};
use tollgate_common::usage::Period;

use super::credit::{query_number, require_own};
use super::job::shown;
use super::{Segment, Shared};
use crate::error::ApiError;
use crate::steps::authenticate::Caller;

/// How many jobs are listed unless the caller says otherwise, and at most.
const JOBS_DEFAULT: i64 = 100;
const JOBS_MAX: i64 = 1_000;

/// How many jobs may be passed over: each of them is read. A cursor goes as far as there are jobs.
const OFFSET_MAX: i64 = 10_000;

/// Query of the report on usage.
#[derive(Debug, Deserialize)]
pub(crate) struct UsageQuery {
    period: Option<String>,
}

/// `GET /api/teams/{team_id}/usage`: what the jobs that were created in a period came to. Costs are
/// the customer's, never the provider's.
pub(crate) async fn usage(
    State(services): Shared,
    caller: Caller,
    Segment(team): Segment,
    query: Result<Query<UsageQuery>, QueryRejection>,
) -> Result<Json<Value>, ApiError> {
    require_own(&caller, &team, "access usage data")?;
    let Query(query) = query.map_err(|error| ApiError::MalformedRequest(error.to_string()))?;
    let text = query.period.unwrap_or_default();
    let period = text
        .parse::<Period>()
        .map_err(|problem| ApiError::query("period", problem))?;
    let used = usage::team_usage(services.database.pool(), &caller.team.id, &period).await?;
    let mut job_types = Map::new();
    for (job_type, sums) in &used.job_types {
        let entry = json!({ "count": sums.jobs(), "cost_usd": sums.cost.dollars(2) });
        job_types.insert(job_type.clone(), entry);
    }
    let listed = i64::try_from(job_types.len()).unwrap_or(i64::MAX);
    Ok(Json(json!({
        "team_id": caller.team.id,
        "period": period.to_string(),
        "summary": {
            "total_jobs": used.all.jobs(),
            "open_jobs": used.all.open,
            "successful_jobs": used.all.completed,
            "failed_jobs": used.all.failed,
            "cancelled_jobs": used.all.cancelled,
            "total_cost_usd": used.all.cost.dollars(2),
            "total_tokens": used.all.tokens,
            "avg_cost_per_job": used.all.average_cost().dollars(4),
        },
        "job_types": job_types,
        "job_types_omitted": used.type_count.saturating_sub(listed),
    })))
}

/// Query of the list of jobs.
#[derive(Debug, Deserialize)]
pub(crate) struct JobsQuery {
    limit: Option<String>,
    offset: Option<String>,
    status: Option<String>,
    cursor: Option<String>,
}

/// Which jobs to list.
#[derive(Debug)]
struct Page {
    state: Option<JobState>,
    start: PageStart,
    limit: i64,
}

impl JobsQuery {
    fn parse(&self) -> Result<Page, ApiError> {
        let limit = query_number("limit", self.limit.as_deref(), 1, JOBS_MAX)?;
        let offset = query_number("offset", self.offset.as_deref(), 0, OFFSET_MAX);
        let offset = offset.map_err(|_| {
            let range = format!("must be a whole number from 0 to {OFFSET_MAX}");
            ApiError::query("offset", format!("{range}; use cursor to go further"))
        })?;
        let before = self.cursor.as_deref().map(parse_cursor).transpose()?;
        if before.is_some() && offset.is_some_and(|offset| offset > 0) {
            let message = "must be left out beside cursor, which says where to begin";
            return Err(ApiError::query("offset", message));
        }
        let state = self.status.as_deref().map(parse_status).transpose()?;
        Ok(Page {
            state,
            start: PageStart {
                before,
                offset: offset.unwrap_or(0),
            },
            limit: limit.unwrap_or(JOBS_DEFAULT),
        })
    }
}

fn parse_status(text: &str) -> Result<JobState, ApiError> {
    text.parse().map_err(|_| {
        let states = "must be one of: pending, in_progress, completed, failed, cancelled";
        ApiError::query("status", states)
    })
}

/// A cursor is the key of the last job that was listed. Callers hand it back as it is.
fn cursor_after(job: &Job) -> String {
    format!("{}.{}", job.created_at.as_micros(), job.id)
}

fn parse_cursor(text: &str) -> Result<(Timestamp, JobId), ApiError> {
    let key = text.split_once('.').and_then(|(created_at, id)| {
        let created_at = Timestamp::from_micros(created_at.parse().ok()?);
        Some((created_at, id.parse().ok()?))
    });
    key.ok_or_else(|| ApiError::query("cursor", "must be the next_cursor of an earlier page"))
}

/// `GET /api/teams/{team_id}/jobs`: newest first; `next_cursor` leads to the rest.
pub(crate) async fn jobs(
    State(services): Shared,
    caller: Caller,
    Segment(team): Segment,
    query: Result<Query<JobsQuery>, QueryRejection>,
) -> Result<Json<Value>, ApiError> {
    require_own(&caller, &team, "access jobs")?;
    let Query(query) = query.map_err(|error| ApiError::MalformedRequest(error.to_string()))?;
    let Page {
        state,
        start,
        limit,
    } = query.parse()?;
    let (pool, team_id) = (services.database.pool(), &caller.team.id);
    let total = usage::count_team_jobs(pool, team_id).await?.of(state);
    // One more than is listed tells whether there are more.
    let mut jobs = job::list_team_jobs(pool, team_id, state, start, limit + 1).await?;
    let has_more = i64::try_from(jobs.len()).is_ok_and(|count| count > limit);
    jobs.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    let next_cursor = jobs.last().filter(|_| has_more).map(cursor_after);
    let ids: Vec<JobId> = jobs.iter().map(|job| job.id).collect();
    let models = call::models_used(pool, &ids).await?;
    let listed = jobs
        .iter()
        .map(|job| shown(job, models.get(&job.id).map_or(&[], Vec::as_slice)))
        .collect::<Result<Vec<Value>, ApiError>>()?;
    Ok(Json(json!({
        "team_id": team_id,
        "total": total,
        "limit": limit,
        "offset": start.offset,
        "next_cursor": next_cursor,
        "jobs": listed,
    })))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(limit: &str, offset: &str, status: &str, cursor: &str) -> Result<Page, ApiError> {
        let given = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        let query = JobsQuery {
            limit: given(limit),
            offset: given(offset),
            status: given(status),
            cursor: given(cursor),
        };
        query.parse()
    }

    #[test]
    fn a_page_is_read_with_its_defaults() {
        let first = page("", "", "", "").unwrap();
        assert_eq!((first.limit, first.start.offset), (100, 0));
        assert!(first.state.is_none() && first.start.before.is_none());
        let id = "019ab3c4-1111-7222-8333-444455556666";
        let later = page("5", "0", "FAILED", &format!("17.{id}")).unwrap();
        assert_eq!(later.state, Some(JobState::Failed));
        let key = (Timestamp::from_micros(17), id.parse().unwrap());
        assert_eq!(later.start.before, Some(key));
    }

    #[test]
    fn what_cannot_be_is_refused_by_its_name() {
        let cursor = "17.019ab3c4-1111-7222-8333-444455556666";
        for (query, name) in [
            (page("0", "", "", ""), "limit: "),
            (page("1001", "", "", ""), "limit: "),
            (page("", "-1", "", ""), "offset: "),
            (page("", "10001", "", ""), "; use cursor to go further"),
            (page("", "1", "", cursor), "offset: "),
            (page("", "", "done", ""), "status: "),
            (page("", "", "", "17"), "cursor: "),
            (page("", "", "", "x.y"), "cursor: "),
        ] {
            let error = query.unwrap_err();
            assert_eq!(error.status(), 400);
            assert!(error.to_string().contains(name), "{error}");
        }
    }
}
