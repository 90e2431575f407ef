//! What is taken for the work of jobs: at their end, by late settlements, and for what is owed.

use super::{Account, Cause, Entry, EntryKind, Refusal, lower_hold, negative, post, raise_hold};
use crate::clock::Timestamp;
use crate::id::CallId;
use crate::job::{ChargeFailed, Job, JobState, Spend};
use crate::money::Credits;

/// How a call ended, as its job's account sees it.
#[derive(Debug, Clone, Copy)]
pub struct CallEnd {
    /// The call.
    pub id: CallId,
    /// What it had reserved.
    pub reserved: Spend,
    /// What it used.
    pub used: Spend,
    /// How many other calls of its job are in flight.
    pub others_in_flight: i64,
}

/// A call has ended: its worst case gives way to what it used, and the hold follows.
///
/// A hold that turns out too small is raised as far as the account goes, whatever its budgets say,
/// because the work is done; the rest shows as an overrun when the job completes. A job that has
/// ended before is charged what the call adds to it.
pub fn settle_call(
    account: &mut Account,
    job: &mut Job,
    call: &CallEnd,
    now: Timestamp,
) -> Vec<Entry> {
    let price_before = price_of(job);
    if job.terms.tracks_spend() {
        job.reserved = job.reserved.minus(call.reserved);
        job.spent = job.spent.plus(call.used);
    }
    if job.state.is_open() {
        if job.terms.is_metered() {
            follow_spend(account, job);
        }
        return Vec::new();
    }
    let price = price_of(job);
    let late = Charge {
        credits: price.minus(price_before),
        kept: hold_after_end(job, price, call.others_in_flight),
        call_id: Some(call.id),
    };
    charge(account, job, job.state, late, now)
}

/// What a job costs that ends, or has ended, in its state; an open one if it completed.
fn price_of(job: &Job) -> Credits {
    match job.state {
        JobState::Failed | JobState::Cancelled => job.terms.credits_for_failed(job.spent),
        JobState::Pending | JobState::InProgress | JobState::Completed => {
            job.terms.credits_for(job.spent)
        }
    }
}

/// Brings the hold of an open job to what it has spent and reserved.
fn follow_spend(account: &mut Account, job: &mut Job) {
    let wanted = job.terms.credits_for(job.spent.plus(job.reserved));
    if wanted < job.hold {
        lower_hold(account, job, wanted);
    } else {
        let affordable = wanted
            .min(job.hold.plus(account.available()))
            .min(job.ceiling());
        raise_hold(account, job, affordable.max(job.hold));
    }
}

/// Charges a job that has done its work, and ends it. The entries are at most two: what its hold
/// covers, and an overrun.
pub fn complete_job(
    account: &mut Account,
    job: &mut Job,
    calls_in_flight: i64,
    at: Timestamp,
) -> Result<Vec<Entry>, Refusal> {
    if !job.state.is_open() {
        return Err(Refusal::JobEnded { state: job.state });
    }
    if calls_in_flight > 0 {
        return Err(Refusal::CallsInFlight {
            count: calls_in_flight,
        });
    }
    let price = job.terms.credits_for(job.spent);
    let entries = charge(account, job, JobState::Completed, Charge::of_job(price), at);
    job.end(JobState::Completed, account, at);
    Ok(entries)
}

/// Ends a job that does not complete and charges it as its terms say. What its calls in flight may
/// cost stays held until they are settled.
pub fn fail_job(
    account: &mut Account,
    job: &mut Job,
    state: JobState,
    calls_in_flight: i64,
    at: Timestamp,
) -> Result<Vec<Entry>, Refusal> {
    if !job.state.is_open() {
        return Err(Refusal::JobEnded { state: job.state });
    }
    let price = job.terms.credits_for_failed(job.spent);
    let kept = hold_after_end(job, price, calls_in_flight);
    let entries = charge(
        account,
        job,
        state,
        Charge {
            kept,
            ..Charge::of_job(price)
        },
        at,
    );
    job.end(state, account, at);
    Ok(entries)
}

/// Ends a job without a charge, whatever its terms say, also for calls that are in flight.
pub fn release_job(
    account: &mut Account,
    job: &mut Job,
    state: JobState,
    calls_in_flight: i64,
    at: Timestamp,
) -> Result<(), Refusal> {
    if job.state.is_open() {
        job.terms.charge_failed = ChargeFailed::Never;
    }
    fail_job(account, job, state, calls_in_flight, at).map(drop)
}

/// What a job that has ended still holds for its calls in flight.
fn hold_after_end(job: &Job, price: Credits, calls_in_flight: i64) -> Credits {
    if calls_in_flight == 0 {
        return Credits::ZERO;
    }
    let spent = match job.terms.charge_failed {
        ChargeFailed::Never => Spend::default(),
        ChargeFailed::Used | ChargeFailed::Always => job.spent,
    };
    let needed = job.terms.credits_for(spent.plus(job.reserved)).minus(price);
    needed.clamp(Credits::ZERO, job.hold)
}

/// What is taken for a job at one moment.
#[derive(Debug, Clone, Copy)]
struct Charge {
    /// How much.
    credits: Credits,
    /// What the job goes on holding.
    kept: Credits,
    /// The call whose settlement is charged, if the job had ended before.
    call_id: Option<CallId>,
}

impl Charge {
    const fn of_job(credits: Credits) -> Self {
        Self {
            credits,
            kept: Credits::ZERO,
            call_id: None,
        }
    }
}

/// Takes credits for a job: out of its hold, then out of what the account has. Budgets do not limit
/// it, because the work is done; what the account does not have is owed. What goes beyond the limit
/// that the job's creator set is only reported.
fn charge(
    account: &mut Account,
    job: &mut Job,
    state: JobState,
    charge: Charge,
    at: Timestamp,
) -> Vec<Entry> {
    let before = job.charged.unwrap_or_default();
    let covered = charge.credits.min(job.hold.minus(charge.kept));
    lower_hold(account, job, charge.kept);
    if !charge.credits.is_positive() {
        return Vec::new();
    }
    let reason = reason_of(job, state, charge);
    let cause = Cause {
        reason: &reason,
        actor: "proxy",
        at,
    };
    let mut entries = Vec::with_capacity(2);
    if covered.is_positive() {
        let kind = EntryKind::Deduction;
        entries.push(post(account, kind, negative(covered), Some(job.id), cause));
    }
    let uncovered = charge.credits.minus(covered);
    if uncovered.is_positive() {
        let room = job.ceiling().minus(before).minus(covered);
        let payable = uncovered.min(room.max(Credits::ZERO));
        let taken = payable.min(account.available());
        let kind = EntryKind::Overrun;
        let mut entry = post(account, kind, negative(taken), Some(job.id), cause);
        entry.shortfall = uncovered.minus(taken);
        entry.debt = payable.minus(taken);
        account.owed = account.owed.plus(entry.debt);
        entries.push(entry);
    }
    let mut charged = before;
    for entry in &mut entries {
        entry.call_id = charge.call_id;
        charged = charged.minus(entry.amount);
    }
    job.charged = Some(charged);
    entries
}

fn reason_of(job: &Job, state: JobState, charge: Charge) -> String {
    let after = match charge.call_id {
        Some(_) => ", for a call that ended later",
        None => "",
    };
    format!(
        "Job {} {state} ({} mode: {} credits{after})",
        job.job_type,
        job.terms.mode.word(),
        charge.credits
    )
}

/// Pays what is owed as far as the account has credits that are neither spent nor held.
pub fn pay_debt(account: &mut Account, at: Timestamp) -> Option<Entry> {
    let paid = account.owed.min(account.available());
    if !paid.is_positive() {
        return None;
    }
    let cause = Cause {
        reason: "Payment of credits that were owed",
        actor: "ledger",
        at,
    };
    let mut entry = post(account, EntryKind::Overrun, negative(paid), None, cause);
    entry.debt = negative(paid);
    account.owed = account.owed.minus(paid);
    Some(entry)
}
