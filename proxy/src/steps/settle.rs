//! Ends a call in the ledger. The caller's answer waits for this commit.

use std::time::Duration;

use tollgate_common::clock::Timestamp;
use tollgate_common::db::work::{CallResult, Outcome};
use tollgate_common::db::writer::LedgerWriter;
use tollgate_common::job::CallState;

use super::forward::UpstreamFailure;
use super::reserve::OpenCall;

/// How long an answer waits for the ledger. The writer goes on trying after that: the provider has
/// been paid, so the caller gets what was bought, and the hold stays until the settlement is in.
const SETTLE_WAIT_MAX: Duration = Duration::from_secs(10);

/// Records an answered call.
pub(crate) async fn succeed(
    writer: &LedgerWriter,
    call: OpenCall,
    result: CallResult,
    sealed_answer: Option<String>,
    now: Timestamp,
) {
    settle(
        writer,
        call,
        CallState::Succeeded,
        result,
        sealed_answer,
        now,
    )
    .await;
}

/// Records a call that the provider refused or broke. It costs nothing.
pub(crate) async fn fail(
    writer: &LedgerWriter,
    call: OpenCall,
    failure: &UpstreamFailure,
    latency_ms: i64,
    now: Timestamp,
) {
    let result = CallResult {
        error_kind: Some(failure.kind()),
        error: Some(failure.for_operators()),
        latency_ms,
        ..CallResult::default()
    };
    settle(writer, call, CallState::Failed, result, None, now).await;
}

async fn settle(
    writer: &LedgerWriter,
    call: OpenCall,
    state: CallState,
    result: CallResult,
    sealed_answer: Option<String>,
    now: Timestamp,
) {
    let Some(settlement) = call.into_settlement(state, result, sealed_answer, now) else {
        return;
    };
    let call_id = settlement.id;
    let answer = writer.settle_call_later(settlement);
    match tokio::time::timeout(SETTLE_WAIT_MAX, answer).await {
        Ok(Ok(Ok(Outcome::CallSettled(false)))) => {
            tracing::warn!(%call_id, "the call had been settled before");
        }
        Ok(Ok(Ok(_))) => {}
        Ok(Ok(Err(error))) => tracing::error!(%call_id, %error, "the call could not be settled"),
        Ok(Err(_)) => {
            tracing::error!(%call_id, "the writer has stopped; the next start closes the call");
        }
        Err(_) => tracing::error!(%call_id, "the call is not settled yet; the writer goes on"),
    }
}
