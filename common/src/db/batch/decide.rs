//! What becomes of each piece of work, by the rules of `crate::ledger`. No I/O.

use super::{Batch, claim_key};
use crate::clock::Timestamp;
use crate::db::idempotency::StoredClaim;
use crate::db::job::totals::CallSums;
use crate::db::work::{
    BalanceChange, BeginCall, CallBegun, ChangeBalance, CompleteJob, EndJob, IDEMPOTENCY_WINDOW,
    IdempotencyClaim, OpenJob, Outcome, PatchMetadata, Replay, SettleCall, Settled, Work,
    WorkError,
};
use crate::id::{CallId, JobId, TeamId};
use crate::job::{CallState, Job, JobState, Spend};
use crate::ledger::{self, Account, CallEnd, Cause, JobCharge, Refusal};
use crate::metadata::Metadata;
use crate::money::Credits;

/// The longest error message of a job that is stored, in characters.
const ERROR_MESSAGE_MAX: usize = 1_000;

impl<'w> Batch<'w> {
    pub(super) fn decide(&mut self, work: &'w Work) -> Result<Outcome, WorkError> {
        // What is owed is paid before new work is refused for it, and as soon as there is something
        // to pay it with.
        match work {
            Work::OpenJob(work) => self.pay_debt(&work.team_id, work.now),
            Work::BeginCall(work) => self.pay_debt(&work.team_id, work.now),
            _ => {}
        }
        match work {
            Work::OpenJob(work) => self.open_job(work),
            Work::BeginCall(work) => self.begin_call(work),
            Work::SettleCall(work) => {
                let settled = self.settle_call(work);
                self.pay_debt(&work.team_id, work.now);
                Ok(Outcome::CallSettled(settled))
            }
            Work::CompleteJob(work) => {
                let ended = self.complete_job(work);
                self.pay_debt(&work.team_id, work.now);
                ended
            }
            Work::EndJob(work) => {
                let ended = self.end_job(work);
                self.pay_debt(&work.team_id, work.now);
                ended
            }
            Work::PatchMetadata(work) => self.patch_metadata(work),
            Work::ChangeBalance(work) => {
                let changed = self.change_balance(work);
                self.pay_debt(&work.team_id, work.now);
                changed
            }
        }
    }

    fn pay_debt(&mut self, team_id: &TeamId, now: Timestamp) {
        let account = self.accounts.get_mut(team_id);
        if let Some(entry) = account.and_then(|account| ledger::pay_debt(account, now)) {
            self.entries.push(entry);
            self.changed_accounts.insert(team_id.clone());
        }
    }

    fn open_job(&mut self, work: &OpenJob) -> Result<Outcome, WorkError> {
        if let Some(stored) = self.earlier(work.claim.as_ref(), "create", work.now)? {
            let job = self
                .jobs
                .get(&stored.job_id)
                .ok_or(WorkError::JobNotFound)?;
            return Ok(Outcome::JobOpened(Box::new(job.clone())));
        }
        let mut job = new_job(work);
        let account = self.account_mut(&work.team_id)?;
        match &work.failed {
            None => ledger::open_job(account, &mut job, work.now)?,
            Some(why) => {
                ledger::release_job(account, &mut job, JobState::Failed, 0, work.now)?;
                job.error_message = Some(shortened(why));
                self.ended_calls_of.insert(job.id);
            }
        }
        self.changed_accounts.insert(work.team_id.clone());
        self.remember(work.claim.as_ref(), "create", job.id, None, work.now);
        self.new_jobs.push(job.id);
        self.jobs.insert(job.id, job.clone());
        Ok(Outcome::JobOpened(Box::new(job)))
    }

    fn begin_call(&mut self, work: &'w BeginCall) -> Result<Outcome, WorkError> {
        if work.opens.is_none() {
            self.own_job(work.job_id, &work.team_id)?;
        }
        if let Some(stored) = self.earlier(work.claim.as_ref(), "call", work.now)? {
            let sealed_answer = stored.sealed_body.clone().ok_or(WorkError::ClaimRunning)?;
            let job = self.jobs.get(&stored.job_id).cloned();
            let job = job.ok_or(WorkError::JobNotFound)?;
            return Ok(Outcome::CallReplayed(Box::new(Replay {
                sealed_answer,
                claim: stored.claim.clone(),
                call_id: stored.call_id,
                job,
            })));
        }
        match &work.opens {
            None => self.admit_call(work),
            Some(opens) => self.open_with_call(opens, work),
        }
    }

    /// The job of a single call is opened with its call, or not at all.
    fn open_with_call(
        &mut self,
        opens: &OpenJob,
        work: &'w BeginCall,
    ) -> Result<Outcome, WorkError> {
        let mut job = new_job(opens);
        let account = self.account_mut(&work.team_id)?;
        let untouched = account.clone();
        ledger::open_job(account, &mut job, work.now)?;
        self.jobs.insert(job.id, job);
        let admitted = self.admit_call(work);
        if admitted.is_ok() {
            self.new_jobs.push(work.job_id);
        } else {
            self.jobs.remove(&work.job_id);
            self.accounts.insert(work.team_id.clone(), untouched);
        }
        admitted
    }

    fn admit_call(&mut self, work: &'w BeginCall) -> Result<Outcome, WorkError> {
        let (account, job) = self.account_and_job(&work.team_id, work.job_id)?;
        if let Some(patch) = &work.metadata {
            patch.require_room_in(&job.metadata, work.metadata_bytes_max)?;
        }
        if job.terms.needs_price() && work.estimate.unit.is_none() {
            return Err(Refusal::Unpriced {
                alias: work.alias.to_string(),
            }
            .into());
        }
        let was_pending = job.state == JobState::Pending;
        let admission = ledger::begin_call(account, job, &work.estimate, work.now)?;
        job.active_at = job.active_at.max(work.now);
        let terms = job.terms;
        if was_pending || terms.tracks_spend() {
            self.changed_jobs.insert(work.job_id);
        }
        self.changed_accounts.insert(work.team_id.clone());
        self.totals.entry(work.job_id).or_default().begin(work.now);
        self.count_in_flight(work.job_id, 1);
        self.remember(
            work.claim.as_ref(),
            "call",
            work.job_id,
            Some(work.id),
            work.now,
        );
        self.new_calls.push((work, admission));
        Ok(Outcome::CallBegun(CallBegun { admission, terms }))
    }

    /// Settles a call once. A call that was given up as interrupted may still report how it really
    /// ended; its hold is gone by then.
    fn settle_call(&mut self, work: &'w SettleCall) -> Settled {
        let not_again = Settled {
            is_first: false,
            job: None,
        };
        let Some(call) = self.calls.get_mut(&work.id) else {
            return not_again;
        };
        let reserved = match (call.state, work.state) {
            (CallState::InFlight, _) => call.reserved,
            (CallState::Interrupted, CallState::Succeeded | CallState::Failed) => Spend::default(),
            _ => return not_again,
        };
        let totals = self.totals.entry(work.job_id).or_default();
        if call.state == CallState::InFlight {
            totals.in_flight -= 1;
        } else {
            // Given up and reported in one batch: the report is what counts.
            self.settled_calls.retain(|earlier| earlier.id != work.id);
            totals.take_back(call.state, &call.recorded);
        }
        let was_in_flight = call.state == CallState::InFlight;
        (call.state, call.recorded) = (work.state, CallSums::of(&work.result));
        totals.end(call.state, &call.recorded);
        if was_in_flight {
            self.count_in_flight(work.job_id, -1);
        }
        let succeeded = work.state == CallState::Succeeded;
        self.charge_call(work, reserved);
        if let (true, Some(patch)) = (succeeded, &work.metadata) {
            self.merge_into_job(work.job_id, patch, work.metadata_bytes_max, work.now);
        }
        self.answer_claim(work, succeeded);
        self.changed_accounts.insert(work.team_id.clone());
        let is_open = match self.jobs.get(&work.job_id) {
            Some(job) => job.state.is_open(),
            None => self.known_open_jobs.contains(&work.job_id),
        };
        if !is_open {
            self.ended_calls_of.insert(work.job_id);
        }
        self.settled_calls.push(work);
        Settled {
            is_first: true,
            job: self.end_with_call(work),
        }
    }

    /// Lets the job follow what a call has used. Nothing but the job's end depends on it under
    /// terms that do not add up calls.
    fn charge_call(&mut self, work: &SettleCall, reserved: Spend) {
        let others_in_flight = self.in_flight.get(&work.job_id).copied().unwrap_or(0);
        let Ok((account, job)) = self.account_and_job(&work.team_id, work.job_id) else {
            return;
        };
        if job.state.is_open() && !job.terms.tracks_spend() {
            return;
        }
        let succeeded = work.state == CallState::Succeeded;
        let call = CallEnd {
            id: work.id,
            reserved,
            used: work.result.spend(&job.terms, succeeded),
            others_in_flight,
        };
        let entries = ledger::settle_call(account, job, &call, work.now);
        self.entries.extend(entries);
        self.changed_jobs.insert(work.job_id);
    }

    /// The job of a single call ends as its call does. One that fails with its call used nothing:
    /// its provider, not its caller, ended it.
    fn end_with_call(&mut self, work: &SettleCall) -> Option<Box<Job>> {
        let (account, job) = self.account_and_job(&work.team_id, work.job_id).ok()?;
        if !job.single_call || !job.state.is_open() {
            return None;
        }
        let ended = if work.state == CallState::Succeeded {
            ledger::complete_job(account, job, 0, work.now)
        } else {
            job.error_message = work.result.public_error.as_deref().map(shortened);
            // A late report that the call was answered after all is still charged.
            let terms = job.terms;
            let released = ledger::release_job(account, job, JobState::Failed, 0, work.now);
            job.terms = terms;
            released.map(|()| Vec::new())
        };
        let entries = ended.ok()?;
        let job = Box::new(job.clone());
        self.entries.extend(entries);
        self.job_ended(work.job_id, &work.team_id);
        Some(job)
    }

    /// The size was checked when the call began. If another call has filled the metadata since,
    /// this one's part is left out: the answer is worth more than the note about it.
    fn merge_into_job(&mut self, id: JobId, patch: &Metadata, bytes_max: usize, now: Timestamp) {
        let Some(job) = self.jobs.get_mut(&id) else {
            return;
        };
        if let Ok(metadata) = patch.merge_into(&job.metadata, bytes_max) {
            job.metadata = metadata;
            job.updated_at = now;
            self.changed_jobs.insert(id);
        }
    }

    fn answer_claim(&mut self, work: &SettleCall, succeeded: bool) {
        match &work.claim {
            Some((claim, Some(sealed))) if succeeded => {
                let key = claim_key(claim);
                let of_this_call = |stored: &&mut StoredClaim| stored.call_id == Some(work.id);
                if let Some(stored) = self.claims.get_mut(&key).filter(of_this_call) {
                    stored.sealed_body = Some(sealed.clone());
                    self.changed_claims.insert(key);
                }
            }
            Some(_) => self.dropped_claims.push(work.id),
            None if work.state == CallState::Interrupted => self.dropped_claims.push(work.id),
            None => {}
        }
    }

    fn complete_job(&mut self, work: &CompleteJob) -> Result<Outcome, WorkError> {
        let job = self.own_job(work.id, &work.team_id)?;
        if self
            .earlier(work.claim.as_ref(), "complete", work.now)?
            .is_some()
            || !job.state.is_open()
        {
            return Ok(Outcome::JobEnded(Box::new(job)));
        }
        let patch = work.metadata.as_ref();
        let metadata = patch
            .map(|patch| patch.merge_into(&job.metadata, work.metadata_bytes_max))
            .transpose()?;
        let in_flight = self.in_flight.get(&work.id).copied().unwrap_or(0);
        let (account, job) = self.account_and_job(&work.team_id, work.id)?;
        let entries = if work.succeeded {
            ledger::complete_job(account, job, in_flight, work.now)?
        } else {
            ledger::fail_job(account, job, JobState::Failed, in_flight, work.now)?
        };
        if let Some(metadata) = metadata {
            job.metadata = metadata;
        }
        job.error_message = work.error_message.as_deref().map(shortened);
        let ended = Box::new(job.clone());
        self.entries.extend(entries);
        self.remember(work.claim.as_ref(), "complete", work.id, None, work.now);
        self.job_ended(work.id, &work.team_id);
        Ok(Outcome::JobEnded(ended))
    }

    fn end_job(&mut self, work: &EndJob) -> Result<Outcome, WorkError> {
        let in_flight = self.in_flight.get(&work.id).copied().unwrap_or(0);
        let (account, job) = self.account_and_job(&work.team_id, work.id)?;
        if let Some(cutoff) = work.unless_active_since {
            // A clock that was ahead does not keep a job open.
            let is_believable = job.active_at <= work.now.plus(ledger::SKEW_MAX);
            let active_at = if in_flight > 0 || !is_believable {
                work.now
            } else {
                job.active_at
            };
            if active_at >= cutoff {
                job.active_at = active_at;
                let still_open = Box::new(job.clone());
                self.changed_accounts.insert(work.team_id.clone());
                self.changed_jobs.insert(work.id);
                return Ok(Outcome::JobEnded(still_open));
            }
        }
        let entries = if work.release {
            ledger::release_job(account, job, work.state, in_flight, work.now)?;
            Vec::new()
        } else {
            ledger::fail_job(account, job, work.state, in_flight, work.now)?
        };
        job.error_message = Some(shortened(&work.message));
        let ended = Box::new(job.clone());
        self.entries.extend(entries);
        self.job_ended(work.id, &work.team_id);
        Ok(Outcome::JobEnded(ended))
    }

    fn patch_metadata(&mut self, work: &PatchMetadata) -> Result<Outcome, WorkError> {
        let mut job = self.own_job(work.id, &work.team_id)?;
        job.metadata = work
            .metadata
            .merge_into(&job.metadata, work.metadata_bytes_max)?;
        job.updated_at = work.now;
        self.changed_accounts.insert(work.team_id.clone());
        self.changed_jobs.insert(work.id);
        self.jobs.insert(work.id, job.clone());
        Ok(Outcome::MetadataPatched(Box::new(job)))
    }

    fn change_balance(&mut self, work: &ChangeBalance) -> Result<Outcome, WorkError> {
        let cause = Cause {
            reason: &work.reason,
            actor: &work.actor,
            at: work.now,
        };
        let job = match work.change {
            BalanceChange::Refund(_, Some(id)) => Some(self.charge_of(id, &work.team_id)?),
            _ => None,
        };
        let account = self.account_mut(&work.team_id)?;
        let entry = match work.change {
            BalanceChange::Allocate(credits) => ledger::allocate(account, credits, cause),
            BalanceChange::Refund(credits, _) => ledger::refund(account, credits, job, cause),
            BalanceChange::Adjust(credits) => ledger::adjust(account, credits, cause),
        }?;
        if let Some(job) = job {
            let refunded = job.refunded.plus(entry.amount);
            self.refunded.insert(job.job_id, refunded);
        }
        self.changed_accounts.insert(work.team_id.clone());
        self.entries.push(entry.clone());
        Ok(Outcome::BalanceChanged(Box::new(entry)))
    }

    /// What a job of the team was charged, and what of it was given back.
    fn charge_of(&self, id: JobId, team_id: &TeamId) -> Result<JobCharge, WorkError> {
        let job = self.own_job(id, team_id)?;
        Ok(JobCharge {
            job_id: id,
            charged: job.charged.unwrap_or(Credits::ZERO),
            refunded: self.refunded.get(&id).copied().unwrap_or(Credits::ZERO),
        })
    }

    fn account_mut(&mut self, team_id: &TeamId) -> Result<&mut Account, WorkError> {
        self.accounts
            .get_mut(team_id)
            .ok_or_else(|| WorkError::NoAccount(team_id.clone()))
    }

    fn account_and_job(
        &mut self,
        team_id: &TeamId,
        job_id: JobId,
    ) -> Result<(&mut Account, &mut Job), WorkError> {
        let account = self.accounts.get_mut(team_id);
        let account = account.ok_or_else(|| WorkError::NoAccount(team_id.clone()))?;
        let job = self.jobs.get_mut(&job_id).ok_or(WorkError::JobNotFound)?;
        Ok((account, job))
    }

    fn own_job(&self, id: JobId, team_id: &TeamId) -> Result<Job, WorkError> {
        match self.jobs.get(&id) {
            None => Err(WorkError::JobNotFound),
            Some(job) if job.team_id != *team_id => Err(WorkError::NotYourJob),
            Some(job) => Ok(job.clone()),
        }
    }

    fn job_ended(&mut self, id: JobId, team_id: &TeamId) {
        self.changed_accounts.insert(team_id.clone());
        self.changed_jobs.insert(id);
        self.ended_calls_of.insert(id);
    }

    fn count_in_flight(&mut self, job: JobId, change: i64) {
        if let Some(count) = self.in_flight.get_mut(&job) {
            *count += change;
        }
    }

    /// The stored claim if this very request was made before.
    fn earlier(
        &self,
        claim: Option<&IdempotencyClaim>,
        operation: &str,
        now: Timestamp,
    ) -> Result<Option<&StoredClaim>, WorkError> {
        let stored = claim.and_then(|claim| self.claims.get(&claim_key(claim)));
        // One of the future was made by a clock that was ahead, and would be remembered too long.
        let stored = stored.filter(|s| {
            now.since(s.created_at) < IDEMPOTENCY_WINDOW
                && s.created_at <= now.plus(ledger::SKEW_MAX)
        });
        match (claim, stored) {
            (Some(claim), Some(stored))
                if stored.claim.fingerprint != claim.fingerprint
                    || stored.operation != operation =>
            {
                Err(WorkError::ClaimMismatch)
            }
            (_, stored) => Ok(stored),
        }
    }

    fn remember(
        &mut self,
        claim: Option<&IdempotencyClaim>,
        operation: &str,
        job_id: JobId,
        call_id: Option<CallId>,
        now: Timestamp,
    ) {
        let Some(claim) = claim else { return };
        let stored = StoredClaim {
            claim: claim.clone(),
            operation: operation.to_owned(),
            job_id,
            call_id,
            sealed_body: None,
            created_at: now,
        };
        let key = claim_key(claim);
        self.changed_claims.insert(key.clone());
        self.claims.insert(key, stored);
    }
}

fn shortened(message: &str) -> String {
    message.chars().take(ERROR_MESSAGE_MAX).collect()
}

fn new_job(work: &OpenJob) -> Job {
    Job {
        id: work.id,
        team_id: work.team_id.clone(),
        org_id: work.org_id.clone(),
        state: JobState::Pending,
        terms: work.terms,
        hold: Credits::ZERO,
        credits_max: work.credits_max,
        single_call: work.single_call,
        spent: Spend::default(),
        reserved: Spend::default(),
        job_type: work.job_type.clone(),
        user_id: work.user_id.clone(),
        metadata: work.metadata.as_str().to_owned(),
        error_message: None,
        charged: None,
        credits_remaining: None,
        created_at: work.now,
        started_at: None,
        completed_at: None,
        active_at: work.now,
        updated_at: work.now,
    }
}
