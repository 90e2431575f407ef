//! `/api/jobs`: a job's life but for its calls.

use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Uri};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tollgate_common::db::call::{self, CallRow};
use tollgate_common::db::job::{self, JobTotals};
use tollgate_common::db::work::{CompleteJob, PatchMetadata, WorkError};
use tollgate_common::id::JobId;
use tollgate_common::job::{CallState, Job};
use tollgate_common::ledger::Refusal;

use super::{Segment, Shared};
use crate::error::ApiError;
use crate::fields::Fields;
use crate::request::job::JobSpec;
use crate::services::Services;
use crate::steps::authenticate::Caller;
use crate::steps::receive;

/// The longest error message that a caller may give, in characters.
const ERROR_MESSAGE_LENGTH_MAX: usize = 1_000;

/// How long completing waits for calls whose answers are on their way into the ledger, perhaps by
/// another node; and how often it looks.
const IN_FLIGHT_WAIT_MAX: Duration = Duration::from_secs(2);
const IN_FLIGHT_LOOK_FIRST: Duration = Duration::from_millis(20);
const IN_FLIGHT_LOOK_MAX: Duration = Duration::from_millis(200);

/// A job's id as callers write it; anything else names no job.
pub(crate) fn parse_id(text: &str) -> Result<JobId, ApiError> {
    text.parse()
        .map_err(|_| ApiError::Work(WorkError::JobNotFound))
}

/// Reads a job that must be the caller's.
pub(crate) async fn find_own(
    services: &Services,
    caller: &Caller,
    id: JobId,
) -> Result<Job, ApiError> {
    match job::find_job(services.database.pool(), id).await? {
        None => Err(WorkError::JobNotFound.into()),
        Some(job) if job.team_id != caller.team.id => Err(WorkError::NotYourJob.into()),
        Some(job) => Ok(job),
    }
}

/// `POST /api/jobs/create`: opens a job and holds its first credit.
pub(crate) async fn create(
    State(services): Shared,
    caller: Caller,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, ApiError> {
    let now = services.clock.now();
    caller.require_active(now)?;
    receive::require_json(&headers)?;
    let mut fields = Fields::of_body(&body)?;
    let bytes_max = services.config.metadata_bytes_max;
    let spec = JobSpec::of_fields(&mut fields, &["metadata"], bytes_max);
    fields.finish()?;
    spec.require_team_of(&caller)?;
    let claim = receive::claim(&headers, caller.first_key_id(), uri.path(), &body)?;
    let id = JobId::new(now, &*services.random);
    let work = spec.into_work(&caller, id, false, claim, now);
    let job = services.writer.open_job(work).await?;
    let body = json!({
        "job_id": job.id,
        "team_id": job.team_id,
        "status": "pending",
        "created_at": job.created_at,
    });
    Ok(answer(body, job.id != id))
}

/// An answer that says whether the same request was answered before.
fn answer(body: Value, is_replay: bool) -> Response {
    let mut response = Json(body).into_response();
    if is_replay {
        let headers = response.headers_mut();
        headers.insert("idempotent-replayed", HeaderValue::from_static("true"));
    }
    response
}

/// `GET /api/jobs/{job_id}`
pub(crate) async fn show(
    State(services): Shared,
    caller: Caller,
    Segment(id): Segment,
) -> Result<Json<Value>, ApiError> {
    let job = find_own(&services, &caller, parse_id(&id)?).await?;
    let mut models = call::models_used(services.database.pool(), &[job.id]).await?;
    let models = models.remove(&job.id).unwrap_or_default();
    Ok(Json(shown(&job, &models)?))
}

/// A job as its team sees it, alone or in a list; `models` are the names by which it called models.
pub(super) fn shown(job: &Job, models: &[String]) -> Result<Value, ApiError> {
    Ok(json!({
        "job_id": job.id,
        "team_id": job.team_id,
        "organization_id": job.org_id,
        "user_id": job.user_id,
        "job_type": job.job_type,
        "status": job.state.word(),
        "created_at": job.created_at,
        "started_at": job.started_at,
        "completed_at": job.completed_at,
        "metadata": metadata_of(job)?,
        "error_message": job.error_message,
        "external_task_id": null,
        "credit_applied": job.charged.is_some(),
        "credits_charged": job.charged,
        "model_groups_used": models,
    }))
}

/// `POST /api/jobs/{job_id}/complete`: ends a job, once. Asked again, it answers the same again.
pub(crate) async fn complete(
    State(services): Shared,
    caller: Caller,
    Segment(id): Segment,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, ApiError> {
    let now = services.clock.now();
    caller.require_active(now)?;
    receive::require_json(&headers)?;
    let id = parse_id(&id)?;
    let mut fields = Fields::of_body(&body)?;
    let status = fields.required_text("status", 20).to_ascii_lowercase();
    if !status.is_empty() && !["completed", "failed"].contains(&status.as_str()) {
        fields.problem("status", "must be 'completed' or 'failed'", "literal_error");
    }
    let bytes_max = services.config.metadata_bytes_max;
    let metadata = fields.optional_metadata("metadata", bytes_max);
    let error_message = fields.optional_text("error_message", ERROR_MESSAGE_LENGTH_MAX);
    fields.finish()?;
    let work = CompleteJob {
        id,
        team_id: caller.team.id.clone(),
        succeeded: status == "completed",
        metadata,
        metadata_bytes_max: bytes_max,
        error_message,
        claim: receive::claim(&headers, caller.first_key_id(), uri.path(), &body)?,
        now,
    };
    let (job, is_repeated) = complete_when_calls_have_ended(&services, work).await?;
    let pool = services.database.pool();
    let _permit = services.lists.acquire_always(&caller.team.id).await?;
    let totals = job::find_totals(pool, job.id).await?.unwrap_or_default();
    let calls = call::list_calls(pool, job.id).await?;
    Ok(answer(completed_body(&job, totals, &calls), is_repeated))
}

/// The job as it ended, and whether it had done so before. Calls in flight are waited for by
/// looking at their number in the job's row; the writer is asked again once there are none.
async fn complete_when_calls_have_ended(
    services: &Services,
    mut work: CompleteJob,
) -> Result<(Job, bool), ApiError> {
    let deadline = Instant::now() + IN_FLIGHT_WAIT_MAX;
    loop {
        match services.writer.complete_job(work.clone()).await {
            Err(WorkError::Refused(Refusal::CallsInFlight { .. }))
                if wait_for_calls(services, work.id, deadline).await? =>
            {
                // A job ends after its calls, and is charged in the day in which it ends.
                work.now = services.clock.now();
            }
            other => {
                let job = other?;
                let is_repeated = job.completed_at != Some(work.now);
                return Ok((job, is_repeated));
            }
        }
    }
}

/// Waits until no call of a job is in flight. False if that takes until `deadline`.
async fn wait_for_calls(
    services: &Services,
    id: JobId,
    deadline: Instant,
) -> Result<bool, ApiError> {
    let mut pause = IN_FLIGHT_LOOK_FIRST;
    while Instant::now() < deadline {
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(IN_FLIGHT_LOOK_MAX);
        let totals = job::find_totals(services.database.pool(), id).await?;
        if totals.is_none_or(|totals| totals.in_flight == 0) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn completed_body(job: &Job, totals: JobTotals, calls: &[CallRow]) -> Value {
    let measured = (totals.succeeded + totals.failed).max(1);
    let listed: Vec<Value> = calls
        .iter()
        .map(|call| {
            json!({
                "call_id": call.id,
                "purpose": call.purpose,
                "model_group": call.requested_model,
                "tokens": call.input_tokens + call.output_tokens,
                "latency_ms": call.latency_ms,
                "error": public_error(call),
            })
        })
        .collect();
    json!({
        "job_id": job.id,
        "status": job.state.word(),
        "completed_at": job.completed_at,
        "costs": {
            "total_calls": totals.calls,
            "successful_calls": totals.succeeded,
            "failed_calls": totals.calls - totals.succeeded,
            "total_tokens": totals.tokens,
            "total_cost_usd": totals.cost.dollars(6),
            "avg_latency_ms": totals.latency_ms / measured,
            "credit_applied": job.charged.is_some(),
            "credits_remaining": job.credits_remaining,
        },
        "calls": listed,
    })
}

/// What a team may know about a failed call: the class of the failure, not the provider's words.
fn public_error(call: &CallRow) -> Option<String> {
    match call.state {
        CallState::Succeeded | CallState::InFlight => None,
        CallState::Interrupted => Some("interrupted".to_owned()),
        CallState::Failed => call
            .error_kind
            .clone()
            .or_else(|| Some("failed".to_owned())),
    }
}

/// `PATCH /api/jobs/{job_id}/metadata`: merges key by key, in any state.
pub(crate) async fn patch_metadata(
    State(services): Shared,
    caller: Caller,
    Segment(id): Segment,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<Value>, ApiError> {
    let now = services.clock.now();
    caller.require_active(now)?;
    receive::require_json(&headers)?;
    let id = parse_id(&id)?;
    let mut fields = Fields::of_body(&body)?;
    let bytes_max = services.config.metadata_bytes_max;
    let metadata = fields.optional_metadata("metadata", bytes_max);
    if fields.raw("metadata").is_none() {
        fields.problem("metadata", "Field required", "missing");
    }
    fields.finish()?;
    let work = PatchMetadata {
        id,
        team_id: caller.team.id.clone(),
        metadata: metadata.unwrap_or_default(),
        metadata_bytes_max: bytes_max,
        now,
    };
    let job = services.writer.patch_metadata(work).await?;
    Ok(Json(json!({
        "job_id": job.id,
        "metadata": metadata_of(&job)?,
        "updated_at": job.updated_at,
    })))
}

/// `GET /api/jobs/{job_id}/costs`: what the customer is asked, never what the provider asks.
pub(crate) async fn costs(
    State(services): Shared,
    caller: Caller,
    Segment(id): Segment,
) -> Result<Json<Value>, ApiError> {
    let job = find_own(&services, &caller, parse_id(&id)?).await?;
    let pool = services.database.pool();
    let totals = job::find_totals(pool, job.id).await?.unwrap_or_default();
    let calls = call::list_calls(pool, job.id).await?;
    let breakdown: Vec<Value> = calls
        .iter()
        .map(|call| {
            json!({
                "call_id": call.id,
                "model": call.alias,
                "purpose": call.purpose,
                "prompt_tokens": call.input_tokens,
                "completion_tokens": call.output_tokens,
                "usage": {
                    "input_uncached": call.usage.input_uncached,
                    "input_cache_read": call.usage.input_cache_read,
                    "input_cache_write": call.usage.input_cache_write,
                    "output_text": call.usage.output_text,
                    "output_reasoning": call.usage.output_reasoning,
                    "estimated": call.usage_estimated,
                },
                "cost_usd": call.client_cost.dollars(9),
                "created_at": call.started_at,
            })
        })
        .collect();
    Ok(Json(json!({
        "job_id": job.id,
        "team_id": job.team_id,
        "job_type": job.job_type,
        "status": job.state.word(),
        "costs": {
            "total_cost_usd": totals.cost.dollars(6),
            "breakdown": breakdown,
        },
    })))
}

/// The stored metadata, as it is.
fn metadata_of(job: &Job) -> Result<Box<RawValue>, ApiError> {
    RawValue::from_string(job.metadata.clone())
        .map_err(|error| ApiError::Internal(format!("metadata of job {}: {error}", job.id)))
}
