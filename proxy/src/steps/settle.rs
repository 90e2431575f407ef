//! Ends a call in the ledger. The caller's answer waits for this commit.

use std::time::Duration;

use bytes::Bytes;
use tollgate_common::db::work::{CallResult, Outcome};
use tollgate_common::job::{CallState, Job};

use super::forward::UpstreamFailure;
use super::meter::{self, Metered, StreamMeter};
use super::plan::{Plan, Try};
use super::reserve::OpenCall;
use super::underway::{Underway, note_service};
use super::wasted;
use crate::error::ApiError;
use crate::figures::Ending;

/// How long an answer waits for the ledger. The writer goes on trying after that: the provider has
/// been paid, so the caller gets what was bought, and the hold stays until the settlement is in.
const SETTLE_WAIT_MAX: Duration = Duration::from_secs(10);

/// Notes why a call failed, for operators and for its caller.
pub(crate) fn describe(result: &mut CallResult, failure: &UpstreamFailure) {
    result.error_kind = Some(failure.kind());
    result.error = Some(failure.for_operators());
    result.public_error = Some(ApiError::Upstream(failure.clone()).to_string());
}

/// Records a call that no provider has answered. It costs the customer nothing; what providers will
/// probably ask for that were too slow, or counted something with their failure, is kept for the
/// operator.
pub(crate) async fn fail(
    underway: &Underway<'_>,
    call: OpenCall,
    mut plan: Plan<'_>,
) -> UpstreamFailure {
    let mut result = CallResult {
        latency_ms: underway.latency_ms(),
        failed_attempts: plan.take_failed(),
        ..CallResult::default()
    };
    let wasted = plan.take_wasted();
    if let Some(last) = wasted.last() {
        result.usage = last.usage(underway.request);
        result.usage_estimated = true;
    }
    wasted::note_cost(&mut result, &wasted, underway);
    let failure = plan.into_failure();
    describe(&mut result, &failure);
    let reason = failure.for_operators();
    tracing::warn!(call_id = %underway.call_id, reason, "LLM call failed");
    settle(underway, call, CallState::Failed, result, None).await;
    failure
}

/// Records a call whose caller has gone before an answer began, and whose team does not want it to
/// be finished. If a provider was asked, what it has probably read is paid for, and what the model
/// may have made unseen: thoughts before a stream, and all of a whole answer.
pub(crate) async fn abandon(
    underway: &Underway<'_>,
    call: OpenCall,
    plan: Plan<'_>,
    attempt: Option<Try<'_>>,
) -> i64 {
    let failure = UpstreamFailure::CallerGone;
    let Some(attempt) = attempt else {
        let mut result = CallResult::default();
        describe(&mut result, &failure);
        settle(underway, call, CallState::Failed, result, None).await;
        return 0;
    };
    let broken = underway.broken_off(&attempt, &call);
    let metered = if underway.request.stream {
        StreamMeter::default().abandoned_usage(&broken)
    } else {
        StreamMeter::unknown_usage(&broken)
    };
    charge_unread(underway, call, plan, &attempt, (&metered, &failure)).await
}

/// Records a call whose answer is larger than is taken. The provider has made it, and requests can
/// bring that about, so that the longest answer is paid for that was held.
pub(crate) async fn exceed(
    underway: &Underway<'_>,
    call: OpenCall,
    plan: Plan<'_>,
    attempt: Try<'_>,
    failure: &UpstreamFailure,
) -> i64 {
    let broken = underway.broken_off(&attempt, &call);
    let metered = StreamMeter::unknown_usage(&broken);
    tracing::warn!(
        call_id = %underway.call_id,
        reason = failure.for_operators(),
        "an LLM provider's answer was not taken"
    );
    let tokens = charge_unread(underway, call, plan, &attempt, (&metered, failure)).await;
    attempt.failed(failure);
    tokens
}

/// Charges a call whose answer nobody has read. Returns its tokens.
async fn charge_unread(
    underway: &Underway<'_>,
    call: OpenCall,
    mut plan: Plan<'_>,
    attempt: &Try<'_>,
    (metered, failure): (&Metered, &UpstreamFailure),
) -> i64 {
    let price = (attempt.route.price(), underway.untold_tier());
    let mut result = meter::result_of(metered, price, call.terms(), underway.latency_ms());
    note_service(&mut result, underway, attempt, &mut plan);
    describe(&mut result, failure);
    let tokens = result.usage.total();
    settle(underway, call, CallState::Succeeded, result, None).await;
    tokens
}

/// Gives the end of a call to the ledger and waits for its commit. Returns the job if it has ended
/// with the call.
pub(crate) async fn settle(
    underway: &Underway<'_>,
    call: OpenCall,
    state: CallState,
    result: CallResult,
    answer: Option<&Bytes>,
) -> Option<Box<Job>> {
    let services = underway.services;
    let sealed = answer.zip(call.claim()).map(|(answer, claim)| {
        let key = services.policy.sealing_key();
        let answer = String::from_utf8_lossy(answer);
        key.seal(&answer, claim.sealed_at(), &*services.random)
    });
    let ending = Ending::new(state, &result);
    let settlement = call.into_settlement(state, result, sealed, services.clock.now())?;
    let call_id = settlement.id;
    let settled = services.writer.settle_call_later(settlement);
    let settled = tokio::time::timeout(SETTLE_WAIT_MAX, settled).await;
    let now = services.clock.now();
    services.figures.ended(underway.figures, &ending, now);
    match settled {
        Ok(Ok(Ok(Outcome::CallSettled(settled)))) => {
            if !settled.is_first {
                tracing::warn!(%call_id, "the call had been settled before");
            }
            return settled.job;
        }
        Ok(Ok(Ok(_))) => {}
        Ok(Ok(Err(error))) => tracing::error!(%call_id, %error, "the call could not be settled"),
        Ok(Err(_)) => {
            tracing::error!(%call_id, "the writer has stopped; the next start closes the call");
        }
        Err(_) => tracing::error!(%call_id, "the call is not settled yet; the writer goes on"),
    }
    None
}
