//! Why work, or a change of a balance, is refused.

use std::time::Duration;

use super::Window;
use crate::clock::Timestamp;
use crate::id::JobId;
use crate::job::JobState;
use crate::money::Credits;

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
    /// The account owes credits for work already done.
    #[error(
        "Insufficient credits. Team owes {owed} credits for work already done, and new work starts once they are paid. Remaining: {remaining}"
    )]
    Owing {
        /// How many.
        owed: Credits,
        /// Balance less what is held.
        remaining: Credits,
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
    /// The job would cost the operator more than its team's jobs may.
    #[error(
        "This call may bring the job above the cost that a job of this team may have (job_cost_max). Shorten the prompt, lower max_tokens or create a new job"
    )]
    JobCost,
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
    /// The team pays by cost, or its jobs are limited by it, and the model has no price.
    #[error(
        "Model '{alias}' has no price, and the team's jobs are charged or limited by cost. Ask your administrator to set one"
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
