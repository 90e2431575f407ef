//! Records the call and holds what it may cost, before anything reaches a provider.

use tollgate_common::clock::Timestamp;
use tollgate_common::db::work::{
    BeginCall, CallBegun, CallResult, IdempotencyClaim, Replay, SettleCall, WorkError,
};
use tollgate_common::db::writer::LedgerWriter;
use tollgate_common::job::CallState;
use tollgate_common::ledger::LimitedBy;

/// A call that is recorded as in flight. It ends exactly once: by [`OpenCall::into_settlement`],
/// or, if whoever carries it is dropped, as failed.
#[derive(Debug)]
#[must_use = "a call in flight must be settled"]
pub(crate) struct OpenCall {
    begun: CallBegun,
    writer: LedgerWriter,
    settlement: Option<Box<SettleCall>>,
}

/// What the ledger said to a new call.
#[derive(Debug)]
pub(crate) enum Reserved {
    /// It may go.
    Open(OpenCall),
    /// The same request was answered before: its sealed answer.
    Replay(Box<Replay>),
}

/// Asks the ledger to begin a call.
pub(crate) async fn reserve(writer: &LedgerWriter, work: BeginCall) -> Result<Reserved, WorkError> {
    let claim = work.claim.clone();
    let settlement = Box::new(SettleCall {
        id: work.id,
        job_id: work.job_id,
        team_id: work.team_id.clone(),
        tracked: true,
        single_call: work.opens.is_some(),
        state: CallState::Failed,
        planned_price: work.price.as_ref().map(|price| price.id),
        result: CallResult {
            error_kind: Some("gateway_abandoned"),
            error: Some("the request was dropped before its call ended".to_owned()),
            ..CallResult::default()
        },
        metadata: work.metadata.clone(),
        metadata_bytes_max: work.metadata_bytes_max,
        claim: claim.map(|claim| (claim, None)),
        now: work.now,
    });
    match writer.begin_call(work).await? {
        Ok(begun) => {
            let mut settlement = settlement;
            settlement.tracked = begun.terms.tracks_spend();
            let settlement = Some(settlement);
            Ok(Reserved::Open(OpenCall {
                begun,
                writer: writer.clone(),
                settlement,
            }))
        }
        Err(replay) => Ok(Reserved::Replay(replay)),
    }
}

impl OpenCall {
    /// The most completion tokens that are paid for, if that matters.
    pub(crate) const fn output_tokens_max(&self) -> Option<i64> {
        self.begun.admission.output_tokens_max
    }

    /// What makes that less than the call asked for.
    pub(crate) const fn limited_by(&self) -> Option<LimitedBy> {
        self.begun.admission.limited_by
    }

    /// The terms of its job.
    pub(crate) const fn terms(&self) -> &tollgate_common::job::Terms {
        &self.begun.terms
    }

    /// The claim that its request came with.
    pub(crate) fn claim(&self) -> Option<&IdempotencyClaim> {
        self.settlement
            .as_ref()?
            .claim
            .as_ref()
            .map(|(claim, _)| claim)
    }

    /// Ends the call; the settlement is to be given to the ledger.
    pub(crate) fn into_settlement(
        mut self,
        state: CallState,
        result: CallResult,
        sealed_answer: Option<String>,
        now: Timestamp,
    ) -> Option<SettleCall> {
        let mut settlement = *self.settlement.take()?;
        settlement.state = state;
        settlement.result = result;
        settlement.now = now;
        if let Some((_, sealed)) = &mut settlement.claim {
            *sealed = sealed_answer;
        }
        Some(settlement)
    }
}

impl Drop for OpenCall {
    fn drop(&mut self) {
        if let Some(settlement) = self.settlement.take() {
            tracing::error!(call_id = %settlement.id, "a call was dropped before it ended");
            drop(self.writer.settle_call_later(*settlement));
        }
    }
}
