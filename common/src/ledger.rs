//! The ledger: credits are held before work, then settled or released. Pure rules, no I/O.
//!
//! What always holds, checked by `ledger/tests.rs` after every step of random histories and by
//! `tollgate-admin credits verify` on a live database:
//! - the entries of an account add up to its balance, and each begins where the last one ended;
//! - the holds of its open jobs add up to what it has held; an ended job holds nothing;
//! - balance − held ≥ −overdraft: nobody spends what is not there;
//! - nothing brings what is charged in a window and held above the window's budget.
#![deny(clippy::arithmetic_side_effects)]

use std::time::Duration;

use crate::clock::Timestamp;
use crate::id::{JobId, TeamId};
use crate::job::{Job, JobState, Spend, Terms};
use crate::money::{CREDITS_MAX, Credits};
use crate::price::{FeeCounts, OutputKinds, UnitPrices};

pub use budget::{Budget, Window};
pub use correction::{JobCharge, adjust, refund};

mod budget;
mod correction;
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
    /// What of it is promised to open jobs.
    pub held: Credits,
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
    /// A completed job was charged within its hold.
    Deduction,
    /// Spent credits were given back.
    Refund,
    /// An administrator corrected the balance.
    Adjustment,
    /// A completed job had used more than its hold foresaw.
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
    /// What could not be taken because account, budgets or the job's limit had no more (only for
    /// overruns).
    pub shortfall: Credits,
    /// The job that was charged or refunded.
    pub job_id: Option<JobId>,
    /// The reason in words.
    pub reason: String,
    /// Who did it: `proxy` or an administrator.
    pub actor: String,
    /// When.
    pub at: Timestamp,
}

/// A rule that said no. Nothing has changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The account does not have what the work may cost.
    #[error(
        "Insufficient credits. Team has {remaining} credits remaining, but {required} required. Allocated: {allocated}, Used: {used}"
    )]
    InsufficientCredits {
        /// Balance less what is held.
        remaining: Credits,
        /// What would have to be held in addition.
        required: Credits,
        /// All that was ever put in.
        allocated: Credits,
        /// All that was ever spent.
        used: Credits,
    },
    /// A budget leaves less than the work may cost.
    #[error(
        "{} budget reached. Of {limit} credits {used} are used, {held} held and {required} more required. It resets at {resets_at}",
        .window.adjective()
    )]
    BudgetExceeded {
        /// Which budget.
        window: Window,
        /// How much may be charged in a window.
        limit: Credits,
        /// What was charged in this one.
        used: Credits,
        /// What is held for open jobs.
        held: Credits,
        /// What would have to be held in addition.
        required: Credits,
        /// When the next window begins.
        resets_at: Timestamp,
        /// How long that is from now.
        resets_in: Duration,
    },
    /// The job would cost more than its creator allowed.
    #[error(
        "This call may bring the job to {required} credits, but the job was created with max_credits {limit}. Lower max_tokens or create a job with a higher max_credits"
    )]
    JobLimit {
        /// What the job would have to hold.
        required: Credits,
        /// Its limit.
        limit: Credits,
    },
    /// The job has ended.
    #[error("Job is already {state}. Create a new job for further calls")]
    JobEnded {
        /// How it ended.
        state: JobState,
    },
    /// The job has calls that nobody knows the cost of yet.
    #[error("Job has {count} call(s) in flight. Complete it once they have been answered")]
    CallsInFlight {
        /// How many.
        count: i64,
    },
    /// The team pays by cost, and the model has no price.
    #[error(
        "Model '{alias}' has no price, and the team is charged by cost. Ask your administrator to set one"
    )]
    Unpriced {
        /// The model's public name.
        alias: String,
    },
    /// More would be given back than was spent.
    #[error("cannot refund {amount} credits: only {used} were used")]
    RefundAboveUse {
        /// What was asked for.
        amount: Credits,
        /// What was spent.
        used: Credits,
    },
    /// More of a job would be given back than it was charged.
    #[error(
        "cannot refund {amount} credits for job {job_id}: it was charged {charged}, and {refunded} of that were given back already"
    )]
    RefundAboveCharge {
        /// What was asked for.
        amount: Credits,
        /// Which job.
        job_id: JobId,
        /// What it was charged.
        charged: Credits,
        /// What was given back of it.
        refunded: Credits,
    },
    /// The correction would take credits that are spent or held.
    #[error("cannot take {amount} credits: only {available} are neither spent nor held")]
    AdjustmentAboveAvailable {
        /// What was asked for.
        amount: Credits,
        /// What there is.
        available: Credits,
    },
    /// The account would have been given more than any account may.
    #[error(
        "credits: at most {limit} may be allocated to a team in all, and it would be {allocated}"
    )]
    AllocatedAboveMaximum {
        /// What would have been put in altogether.
        allocated: Credits,
        /// The most there may be.
        limit: Credits,
    },
    /// An amount that must be above zero is not.
    #[error("the number of credits must be a positive integer")]
    NotPositive,
}

/// How heavy a prompt is: upper bounds in tokens, by kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PromptWeight {
    /// Text.
    pub text: i64,
    /// Images.
    pub image: i64,
    /// Sound.
    pub audio: i64,
    /// Whether the request asks the provider to cache for one hour.
    pub cache_write_1h: bool,
}

impl PromptWeight {
    /// A prompt of text alone.
    pub const fn of_text(tokens: i64) -> Self {
        Self {
            text: tokens,
            image: 0,
            audio: 0,
            cache_write_1h: false,
        }
    }

    /// Tokens of all kinds.
    pub const fn total(&self) -> i64 {
        self.text
            .saturating_add(self.image)
            .saturating_add(self.audio)
    }
}

/// What a call may use at most, as far as anyone can tell beforehand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallEstimate {
    /// The prompt.
    pub prompt: PromptWeight,
    /// Completion tokens that the caller or the model allows.
    pub output_tokens_max: i64,
    /// Kinds of output beside text that the caller asks for.
    pub output_kinds: OutputKinds,
    /// Billed calls of the provider's tools.
    pub fees_max: FeeCounts,
    /// What a token costs; `None` if nobody knows.
    pub unit: Option<UnitPrices>,
}

impl CallEstimate {
    /// The worst case if the answer has at most `output_tokens`.
    fn worst(&self, output_tokens: i64, terms: &Terms) -> Spend {
        let output = (output_tokens, self.output_kinds);
        let cost = self
            .unit
            .map(|unit| unit.worst_cost(&self.prompt, output, &self.fees_max));
        Spend {
            cost: terms.markup.apply(cost.unwrap_or_default()),
            tokens: self.prompt.total().saturating_add(output_tokens),
        }
    }
}

/// A call may go: what it holds and how long its answer may get.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Admission {
    /// Its worst case, part of the job's hold until it is settled.
    pub reserved: Spend,
    /// The most completion tokens that are paid for; `None` if the job's price does not depend on
    /// it.
    pub output_tokens_max: Option<i64>,
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
    let admission = if job.terms.is_metered() {
        reserve_worst_case(account, job, estimate, now)?
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
    let limit = job.credits_max.map_or(payable, |max| max.min(payable));
    let least = needed(1);
    if let Some(max) = job.credits_max.filter(|max| least > *max) {
        return Err(Refusal::JobLimit {
            required: least,
            limit: max,
        });
    }
    if least > limit {
        account.require(least.minus(job.hold), now)?;
    }
    let output_tokens = largest_within(estimate.output_tokens_max, |n| needed(n) <= limit);
    let reserved = estimate.worst(output_tokens, &job.terms);
    let hold = needed(output_tokens).max(job.hold);
    job.reserved = job.reserved.plus(reserved);
    raise_hold(account, job, hold);
    Ok(Admission {
        reserved,
        output_tokens_max: Some(output_tokens),
    })
}

/// The largest number from 1 to `max` that fits, given that 1 does and that smaller ones fit if a
/// larger one does.
fn largest_within(max: i64, fits: impl Fn(i64) -> bool) -> i64 {
    let (mut low, mut high) = (1_i64, max.max(1));
    while low < high {
        let middle = high.saturating_sub(high.saturating_sub(low).div_euclid(2));
        if fits(middle) {
            low = middle;
        } else {
            high = middle.saturating_sub(1);
        }
    }
    low
}

/// A call has ended: its worst case gives way to what it used, and the hold follows.
///
/// A hold that turns out too small is raised as far as the account and its budgets go; the rest
/// shows as an overrun when the job completes.
pub fn settle_call(
    account: &mut Account,
    job: &mut Job,
    reserved: Spend,
    used: Spend,
    now: Timestamp,
) {
    if !job.terms.is_metered() {
        return;
    }
    job.reserved = job.reserved.minus(reserved);
    job.spent = job.spent.plus(used);
    if !job.state.is_open() {
        return;
    }
    let wanted = job.terms.credits_for(job.spent.plus(job.reserved));
    if wanted < job.hold {
        lower_hold(account, job, wanted);
    } else {
        let affordable = wanted
            .min(job.hold.plus(account.spendable(now)))
            .min(job.ceiling());
        raise_hold(account, job, affordable.max(job.hold));
    }
}

/// Charges a job and ends it. The entries are at most two: what its hold covers, and an overrun.
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
    let covered = price.min(job.hold);
    lower_hold(account, job, Credits::ZERO);
    let reason = format!(
        "Job {} completed ({} mode: {} credits)",
        job.job_type,
        job.terms.mode.word(),
        price
    );
    let cause = Cause {
        reason: &reason,
        actor: "proxy",
        at,
    };
    let mut entries = vec![post(
        account,
        EntryKind::Deduction,
        negative(covered),
        Some(job.id),
        cause,
    )];
    let uncovered = price.minus(covered);
    if uncovered.is_positive() {
        let within_ceiling = job.ceiling().minus(covered).max(Credits::ZERO);
        let taken = uncovered.min(account.spendable(at)).min(within_ceiling);
        let mut entry = post(
            account,
            EntryKind::Overrun,
            negative(taken),
            Some(job.id),
            cause,
        );
        entry.shortfall = uncovered.minus(taken);
        entries.push(entry);
    }
    let charged = entries
        .iter()
        .fold(Credits::ZERO, |sum, entry| sum.minus(entry.amount));
    job.end(JobState::Completed, Some(charged), account, at);
    Ok(entries)
}

/// Ends a job without a charge and gives its hold back.
pub fn release_job(
    account: &mut Account,
    job: &mut Job,
    state: JobState,
    at: Timestamp,
) -> Result<(), Refusal> {
    if !job.state.is_open() {
        return Err(Refusal::JobEnded { state: job.state });
    }
    lower_hold(account, job, Credits::ZERO);
    job.end(state, None, account, at);
    Ok(())
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
        job_id,
        reason: cause.reason.to_owned(),
        actor: cause.actor.to_owned(),
        at,
    }
}
