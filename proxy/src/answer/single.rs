//! The answer to a job of a single call: the job's end and the call's answer in one object.
//!
//! It is written in two steps. The first is made before the call is settled, and is what is kept
//! under an `Idempotency-Key`; the second adds what only the settled job knows. The first and every
//! repeated answer come out the same.

use bytes::Bytes;
use serde_json::{Value, json};
use tollgate_common::db::work::CallResult;
use tollgate_common::id::JobId;
use tollgate_common::job::Job;

use super::{Answer, envelope};
use crate::chat::Completion;

/// What is known before the job has ended.
pub(crate) fn write(
    answer: &Answer<'_>,
    job_id: JobId,
    completion: &Completion<'_>,
    result: &CallResult,
) -> Bytes {
    let mut json = envelope::write(answer, completion).to_vec();
    let more = json!({
        "job_id": job_id,
        "costs": {
            "total_calls": 1,
            "successful_calls": 1,
            "failed_calls": 0,
            "total_tokens": result.usage.total(),
            "total_cost_usd": result.client_cost.dollars(6),
            "avg_latency_ms": result.latency_ms,
        },
    })
    .to_string();
    // One object: the first without its end, a comma, the second without its beginning.
    json.pop();
    json.push(b',');
    json.extend_from_slice(&more.as_bytes()[1..]);
    json.into()
}

/// Adds how the job ended. Without it the job is not settled yet, because the ledger cannot be
/// written at the moment; it will be.
pub(crate) fn close(written: &[u8], job: Option<&Job>) -> Bytes {
    let Ok(Value::Object(mut body)) = serde_json::from_slice(written) else {
        return Bytes::copy_from_slice(written);
    };
    body.insert(
        "status".to_owned(),
        json!(job.map_or("in_progress", |job| job.state.word())),
    );
    body.insert(
        "completed_at".to_owned(),
        json!(job.and_then(|job| job.completed_at)),
    );
    if let Some(Value::Object(costs)) = body.get_mut("costs") {
        let charged = job.is_some_and(|job| job.charged.is_some());
        costs.insert("credit_applied".to_owned(), json!(charged));
        let remaining = job.and_then(|job| job.credits_remaining);
        costs.insert("credits_remaining".to_owned(), json!(remaining));
    }
    Value::Object(body).to_string().into()
}
