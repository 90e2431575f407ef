//! The ledger: credits are held before work, then settled or released. Pure rules, no I/O.
//!
//! What always holds, checked by `ledger/tests.rs` after every step of random histories and by
//! `tollgate-admin credits verify` on a live database:
//! - the entries of an account add up to its balance, and each begins where the last one ended;
//! - the holds of its jobs add up to what it has held; an ended job holds something only for its
//!   calls in flight;
//! - balance − held ≥ −overdraft: nobody spends what is not there;
//! - what is owed is the sum of the entries' debts, and no work begins while something is owed;
//! - no work begins that brings what is charged in a window and held above the window's budget.
#![deny(clippy::arithmetic_side_effects)]

use crate::clock::Timestamp;
use crate::id::{CallId, JobId, TeamId};
use crate::job::Job;
use crate::money::{CREDITS_MAX, Credits, NanoUsd};

pub use budget::{Budget, SKEW_MAX, Window};
pub use charge::{CallEnd, complete_job, fail_job, pay_debt, release_job, settle_call};
pub use correction::{JobCharge, adjust, refund};
pub use estimate::{Admission, CallEstimate, LimitedBy, PromptWeight};
pub use output::OutputShares;
pub use refusal::Refusal;

mod budget;
mod charge;
mod correction;
mod estimate;
mod output;
mod refusal;
#[cfg(test)]
mod tests;

/// What a job holds from its creation on, and the least that a completed one costs.
pub const JOB_MINIMUM: Credits = Credits(1);

/// The credits of a team.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Whose they are.
    pub team_id: TeamId,
    /// What the team has: all entries added up.
    pub balance: Credits,
    /// What of it is promised to open jobs and to calls in flight.
    pub held: Credits,
    /// What it could not pay for work already done.
    pub owed: Credits,
    /// All that was ever put in, corrections included.
    pub allocated: Credits,
    /// All that was ever spent, refunds taken off.
    pub used: Credits,
    /// How far below zero the team may go.
    pub overdraft: Credits,
    /// What may be charged in a day.
    pub budget_day: Budget,
    /// What may be charged in a month.
    pub budget_month: Budget,
    /// How many entries there are; the number of the last one.
    pub entry_count: i64,
    /// How often the account, its jobs or its calls were changed.
    pub version: i64,
}

impl Account {
    /// An account with nothing in it.
    pub fn new(team_id: TeamId) -> Self {
        Self {
            team_id,
            balance: Credits::ZERO,
            held: Credits::ZERO,
            owed: Credits::ZERO,
            allocated: Credits::ZERO,
            used: Credits::ZERO,
            overdraft: Credits::ZERO,
            budget_day: Budget::default(),
            budget_month: Budget::default(),
            entry_count: 0,
            version: 0,
        }
    }

    /// What may still be held or spent by the balance; budgets may leave less of it.
    pub fn available(&self) -> Credits {
        self.balance
            .minus(self.held)
            .plus(self.overdraft)
            .max(Credits::ZERO)
    }

    fn insufficient(&self, required: Credits) -> Refusal {
        Refusal::InsufficientCredits {
            remaining: self.balance.minus(self.held),
            required,
            allocated: self.allocated,
            used: self.used,
        }
    }
}

/// Why an entry was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryKind {
    /// Credits were put in.
    Allocation,
    /// A job that has ended was charged within its hold.
    Deduction,
    /// Spent credits were given back.
    Refund,
    /// An administrator corrected the balance.
    Adjustment,
    /// A job had used more than its hold foresaw, or what was owed for one was paid.
    Overrun,
}

impl EntryKind {
    /// The stored and shown word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Allocation => "allocation",
            Self::Deduction => "deduction",
            Self::Refund => "refund",
            Self::Adjustment => "adjustment",
            Self::Overrun => "overrun",
        }
    }
}

/// One immutable change of a balance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Whose balance.
    pub team_id: TeamId,
    /// Its place in the account, from 1 on without gaps.
    pub number: i64,
    /// Why.
    pub kind: EntryKind,
    /// What was added; negative if taken.
    pub amount: Credits,
    /// The balance before.
    pub before: Credits,
    /// The balance after.
    pub after: Credits,
    /// What could not be taken because the account or the job's limit had no more (only for
    /// overruns).
    pub shortfall: Credits,
    /// By how much it changed what the account owes: what of the shortfall is owed, or, below zero,
    /// what was paid of it.
    pub debt: Credits,
    /// The job that was charged or refunded.
    pub job_id: Option<JobId>,
    /// The call whose settlement was charged, if its job had ended before.
    pub call_id: Option<CallId>,
    /// The reason in words.
    pub reason: String,
    /// Who did it: `proxy` or an administrator.
    pub actor: String,
    /// When.
    pub at: Timestamp,
}

/// Why and by whom a balance changes.
#[derive(Debug, Clone, Copy)]
pub struct Cause<'a> {
    /// The reason in words.
    pub reason: &'a str,
    /// Who does it.
    pub actor: &'a str,
    /// When.
    pub at: Timestamp,
}

/// Holds the minimum for a new job.
pub fn open_job(account: &mut Account, job: &mut Job, now: Timestamp) -> Result<(), Refusal> {
    account.require_no_debt()?;
    account.require(JOB_MINIMUM, now)?;
    raise_hold(account, job, JOB_MINIMUM);
    Ok(())
}

/// Holds what the job would cost if this call used its worst case, less what it holds already.
///
/// The answer's length is cut to what the account, its budgets and the job's own limit can pay for;
/// the call is refused if not even one token can be paid.
pub fn begin_call(
    account: &mut Account,
    job: &mut Job,
    estimate: &CallEstimate,
    now: Timestamp,
) -> Result<Admission, Refusal> {
    if !job.state.is_open() {
        return Err(Refusal::JobEnded { state: job.state });
    }
    account.require_no_debt()?;
    let admission = if job.terms.is_metered() {
        reserve_worst_case(account, job, estimate, now)?
    } else if let Some(bound) = job.terms.cost_bound() {
        reserve_cost(job, estimate, bound)?
    } else {
        Admission::default()
    };
    job.start(now);
    Ok(admission)
}

fn reserve_worst_case(
    account: &mut Account,
    job: &mut Job,
    estimate: &CallEstimate,
    now: Timestamp,
) -> Result<Admission, Refusal> {
    let committed = job.spent.plus(job.reserved);
    let needed = |output_tokens| {
        job.terms
            .credits_for(committed.plus(estimate.worst(output_tokens, &job.terms)))
    };
    let payable = account.spendable(now).plus(job.hold);
    let limit = payable.min(job.ceiling());
    let least = needed(estimate.least());
    if let Some(max) = job.credits_max.filter(|max| least > *max) {
        return Err(Refusal::JobLimit {
            required: least,
            limit: max,
        });
    }
    if least > limit {
        account.require(least.minus(job.hold), now)?;
    }
    let output_tokens = estimate.largest_within(|n| needed(n) <= limit);
    let limited_by = estimate.is_cut_to(output_tokens).then(|| {
        if job.ceiling() <= payable {
            LimitedBy::MaxCredits
        } else if account.spendable(now) < account.available() {
            LimitedBy::Budget
        } else {
            LimitedBy::Credits
        }
    });
    let reserved = estimate.worst(output_tokens, &job.terms);
    let hold = needed(output_tokens).max(job.hold);
    job.reserved = job.reserved.plus(reserved);
    raise_hold(account, job, hold);
    Ok(Admission {
        reserved,
        output_tokens_max: Some(output_tokens),
        limited_by,
    })
}

/// Reserves a call's worst case within what its job may cost the operator. The job's flat price
/// does not depend on it.
fn reserve_cost(
    job: &mut Job,
    estimate: &CallEstimate,
    bound: NanoUsd,
) -> Result<Admission, Refusal> {
    let committed = job.spent.plus(job.reserved);
    let fits = |output_tokens| {
        let worst = estimate.worst(output_tokens, &job.terms);
        committed.plus(worst).cost <= bound
    };
    if !fits(estimate.least()) {
        return Err(Refusal::JobCost);
    }
    let output_tokens = estimate.largest_within(fits);
    let reserved = estimate.worst(output_tokens, &job.terms);
    let limited_by = estimate
        .is_cut_to(output_tokens)
        .then_some(LimitedBy::JobCost);
    job.reserved = job.reserved.plus(reserved);
    Ok(Admission {
        reserved,
        output_tokens_max: Some(output_tokens),
        limited_by,
    })
}

/// Puts credits in.
pub fn allocate(
    account: &mut Account,
    credits: Credits,
    cause: Cause<'_>,
) -> Result<Entry, Refusal> {
    if !credits.is_positive() {
        return Err(Refusal::NotPositive);
    }
    require_room(account, credits)?;
    Ok(post(account, EntryKind::Allocation, credits, None, cause))
}

/// Keeps what is ever put into an account within [`CREDITS_MAX`], so that no sum overflows.
fn require_room(account: &Account, credits: Credits) -> Result<(), Refusal> {
    let allocated = account.allocated.plus(credits);
    if credits.is_positive() && allocated > CREDITS_MAX {
        let limit = CREDITS_MAX;
        return Err(Refusal::AllocatedAboveMaximum { allocated, limit });
    }
    Ok(())
}

const fn negative(credits: Credits) -> Credits {
    Credits::ZERO.minus(credits)
}

fn raise_hold(account: &mut Account, job: &mut Job, hold: Credits) {
    account.held = account.held.plus(hold.minus(job.hold));
    job.hold = hold;
}

fn lower_hold(account: &mut Account, job: &mut Job, hold: Credits) {
    account.held = account.held.minus(job.hold.minus(hold));
    job.hold = hold;
}

/// Writes one entry: the only function that changes a balance.
fn post(
    account: &mut Account,
    kind: EntryKind,
    amount: Credits,
    job_id: Option<JobId>,
    cause: Cause<'_>,
) -> Entry {
    let before = account.balance;
    let mut at = cause.at;
    account.balance = before.plus(amount);
    match kind {
        EntryKind::Allocation | EntryKind::Adjustment => {
            account.allocated = account.allocated.plus(amount);
        }
        EntryKind::Refund => account.used = account.used.minus(amount),
        EntryKind::Deduction | EntryKind::Overrun => {
            account.used = account.used.minus(amount);
            at = account.charge(negative(amount), at);
        }
    }
    account.entry_count = account.entry_count.saturating_add(1);
    Entry {
        team_id: account.team_id.clone(),
        number: account.entry_count,
        kind,
        amount,
        before,
        after: account.balance,
        shortfall: Credits::ZERO,
        debt: Credits::ZERO,
        job_id,
        call_id: None,
        reason: cause.reason.to_owned(),
        actor: cause.actor.to_owned(),
        at,
    }
}
