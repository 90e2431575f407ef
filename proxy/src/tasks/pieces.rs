//! Tasks that go through jobs and calls one by one: what fails with one is noted, and the next one
//! is taken.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tollgate_common::clock::Timestamp;
use tollgate_common::db::call::OrphanedCall;
use tollgate_common::db::work::{CallResult, EndJob, SettleCall, WorkError};
use tollgate_common::db::{StoreError, call, job};
use tollgate_common::job::{CallState, JobState};
use tollgate_common::ledger::{Refusal, SKEW_MAX};

use crate::services::Services;

/// How many rows are read at once.
const PAGE: i64 = 500;

/// After how long a piece that failed is tried again.
const RETRY_AFTER: Duration = Duration::from_mins(10);

/// Jobs and calls with which something failed, and when.
#[derive(Debug, Default)]
pub(crate) struct FailedPieces(Mutex<HashMap<String, Instant>>);

impl FailedPieces {
    /// Whether a piece is left alone because it failed lately.
    fn failed_recently(&self, id: &str) -> bool {
        let mut failed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        failed.retain(|_, at| at.elapsed() < RETRY_AFTER);
        failed.contains_key(id)
    }

    /// Notes what came of a piece. Fails if the others would fail as well.
    fn note(&self, id: &str, outcome: Result<(), WorkError>) -> Result<(), StoreError> {
        match outcome {
            Ok(()) | Err(WorkError::QueueFull) => Ok(()),
            Err(error @ (WorkError::Unavailable(_) | WorkError::TimedOut(_))) => {
                Err(StoreError::Unavailable(error.to_string()))
            }
            Err(error) => {
                tracing::error!(%id, %error, "a job or call could not be ended; the others are");
                let mut failed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
                failed.insert(id.to_owned(), Instant::now());
                Ok(())
            }
        }
    }
}

/// Ends jobs that nobody worked on for long, and gives their holds back.
pub(crate) async fn expire_jobs(
    services: Arc<Services>,
    failed: Arc<FailedPieces>,
) -> Result<(), StoreError> {
    let now = services.clock.now();
    let cutoff = now.minus(services.config.job_expiry);
    let pool = services.task_database.pool();
    // What was dated later than this can only come from a clock that was ahead.
    let bounds = (cutoff, now.plus(SKEW_MAX));
    let mut page = job::list_stale(pool, bounds, None, PAGE).await?;
    while let Some(last) = page.last().cloned() {
        for stale in page {
            let id = stale.id.to_string();
            if failed.failed_recently(&id) {
                continue;
            }
            let work = EndJob {
                id: stale.id,
                team_id: stale.team_id,
                state: JobState::Failed,
                message: format!("expired: no activity for {:?}", services.config.job_expiry),
                unless_active_since: Some(cutoff),
                release: false,
                now,
            };
            let outcome = match services.writer.end_job(work).await {
                Ok(_) | Err(WorkError::Refused(Refusal::JobEnded { .. })) => Ok(()),
                Err(error) => Err(error),
            };
            failed.note(&id, outcome)?;
        }
        page = job::list_stale(pool, bounds, Some(&last), PAGE).await?;
    }
    Ok(())
}

/// Closes calls in flight of nodes that are gone. Nothing of an answer is recorded before it is
/// complete, so their holds are released.
pub(crate) async fn close_orphaned_calls(
    services: Arc<Services>,
    failed: Arc<FailedPieces>,
) -> Result<(), StoreError> {
    let now = services.clock.now();
    let pool = services.task_database.pool();
    let mut page = call::list_orphaned(pool, None, PAGE).await?;
    while let Some(last) = page.last().cloned() {
        for orphaned in page {
            let id = orphaned.id.to_string();
            if !failed.failed_recently(&id) {
                let outcome = close_orphaned_call(&services, &orphaned, now).await;
                failed.note(&id, outcome)?;
            }
        }
        page = call::list_orphaned(pool, Some(&last), PAGE).await?;
    }
    Ok(())
}

async fn close_orphaned_call(
    services: &Services,
    call: &OrphanedCall,
    now: Timestamp,
) -> Result<(), WorkError> {
    tracing::warn!(call_id = %call.id, job_id = %call.job_id, "call was interrupted: its node is gone");
    let settlement = SettleCall {
        id: call.id,
        job_id: call.job_id,
        team_id: call.team_id.clone(),
        tracked: true,
        single_call: true,
        state: CallState::Interrupted,
        planned_price: None,
        result: CallResult {
            error_kind: Some("gateway_interrupted"),
            error: Some("the gateway stopped before the call ended".to_owned()),
            public_error: Some("The call was interrupted".to_owned()),
            ..CallResult::default()
        },
        metadata: None,
        metadata_bytes_max: services.config.metadata_bytes_max,
        claim: None,
        now,
    };
    services.writer.settle_call(settlement).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_that_failed_is_left_alone_and_the_others_go_on() {
        let failed = FailedPieces::default();
        let refused = WorkError::Unrecordable("overflow".to_owned());
        assert!(failed.note("a", Err(refused)).is_ok());
        assert!(failed.failed_recently("a") && !failed.failed_recently("b"));
        assert!(failed.note("b", Ok(())).is_ok() && !failed.failed_recently("b"));
        let away = WorkError::Unavailable("gone".to_owned());
        assert!(failed.note("b", Err(away)).is_err() && !failed.failed_recently("b"));
    }
}
