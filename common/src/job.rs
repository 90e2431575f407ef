//! Jobs and calls: their states, and what may follow what.

use std::fmt;
use std::str::FromStr;

use crate::clock::Timestamp;
use crate::id::{JobId, OrgId, TeamId};
use crate::ledger::Account;
use crate::money::{CreditRate, Credits, Markup, NanoUsd, Rounding};

/// The state of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobState {
    /// Created; no call yet.
    Pending,
    /// At least one call was accepted.
    InProgress,
    /// Ended well, and charged.
    Completed,
    /// Ended badly, or expired; charged as its terms say.
    Failed,
    /// Ended by an administrator; charged as its terms say.
    Cancelled,
}

impl JobState {
    /// The stored and shown word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::InProgress => "in_progress",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether the job still holds credits and takes calls.
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Pending | Self::InProgress)
    }
}

/// Reads a state in any case.
impl FromStr for JobState {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let all = [
            Self::Pending,
            Self::InProgress,
            Self::Completed,
            Self::Failed,
            Self::Cancelled,
        ];
        all.into_iter()
            .find(|s| s.word().eq_ignore_ascii_case(text))
            .ok_or_else(|| {
                "status must be one of: pending, in_progress, completed, failed, cancelled"
                    .to_owned()
            })
    }
}

impl fmt::Display for JobState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// How a completed job becomes credits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BudgetMode {
    /// One credit a job.
    JobBased,
    /// Credits by the job's cost to the customer.
    ConsumptionUsd,
    /// Credits by the job's tokens.
    ConsumptionTokens,
}

impl BudgetMode {
    /// The stored and shown word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::JobBased => "job_based",
            Self::ConsumptionUsd => "consumption_usd",
            Self::ConsumptionTokens => "consumption_tokens",
        }
    }
}

impl FromStr for BudgetMode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        [
            Self::JobBased,
            Self::ConsumptionUsd,
            Self::ConsumptionTokens,
        ]
        .into_iter()
        .find(|mode| mode.word() == text)
        .ok_or_else(|| {
            "budget_mode must be one of: job_based, consumption_usd, consumption_tokens".to_owned()
        })
    }
}

/// What a job is charged that its owner ends as failed, that an administrator ends, or that
/// expires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChargeFailed {
    /// Nothing.
    Never,
    /// The same as if it had completed, if any of its calls used something.
    Used,
    /// The same as if it had completed, with or without calls.
    Always,
}

impl ChargeFailed {
    /// The stored and shown word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Never => "never",
            Self::Used => "used",
            Self::Always => "always",
        }
    }

    /// What holds for a team of this mode unless it is set: the flat price of a job is for its
    /// result, what was consumed is paid for.
    pub const fn default_of(mode: BudgetMode) -> Self {
        match mode {
            BudgetMode::JobBased => Self::Never,
            BudgetMode::ConsumptionUsd | BudgetMode::ConsumptionTokens => Self::Used,
        }
    }
}

impl FromStr for ChargeFailed {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        [Self::Never, Self::Used, Self::Always]
            .into_iter()
            .find(|rule| rule.as_str() == text)
            .ok_or_else(|| {
                format!(
                    "'{text}' does not say what a failed job is charged: use never, used or always"
                )
            })
    }
}

/// What a job or call has used or may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Spend {
    /// Cost to the customer with the markup; under the flat price of `job_based`, cost to the
    /// operator.
    pub cost: NanoUsd,
    /// Tokens of all buckets.
    pub tokens: i64,
}

impl Spend {
    /// The sum.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            cost: self.cost.plus(other.cost),
            tokens: self.tokens.saturating_add(other.tokens),
        }
    }

    /// The difference, never below nothing.
    #[must_use]
    pub fn minus(self, other: Self) -> Self {
        Self {
            cost: self.cost.minus(other.cost).max(NanoUsd::ZERO),
            tokens: self.tokens.saturating_sub(other.tokens).max(0),
        }
    }
}

/// The terms under which a job is charged, fixed when it is created.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// How it becomes credits.
    pub mode: BudgetMode,
    /// Credits per dollar, for `consumption_usd`.
    pub credits_per_dollar: CreditRate,
    /// Tokens per credit, for `consumption_tokens`; at least 1.
    pub tokens_per_credit: i64,
    /// The reseller's markup on the provider's cost.
    pub markup: Markup,
    /// What it is charged if it does not complete.
    pub charge_failed: ChargeFailed,
    /// Which way its credits are made whole.
    pub rounding: Rounding,
    /// What a `job_based` job may cost the operator at most.
    pub job_cost_max: Option<NanoUsd>,
}

impl Terms {
    /// Tokens per credit where nobody set another number.
    pub const TOKENS_PER_CREDIT_DEFAULT: i64 = 10_000;

    /// What a job that spent this much costs: at least one credit, otherwise rounded.
    pub fn credits_for(&self, spend: Spend) -> Credits {
        let credits = match self.mode {
            BudgetMode::JobBased => Credits(1),
            BudgetMode::ConsumptionUsd => {
                self.credits_per_dollar.credits(spend.cost, self.rounding)
            }
            BudgetMode::ConsumptionTokens => {
                let per_credit = i128::from(self.tokens_per_credit.max(1));
                let credits = self.rounding.divide(i128::from(spend.tokens), per_credit);
                Credits(i64::try_from(credits).unwrap_or(i64::MAX))
            }
        };
        credits.max(Credits(1))
    }

    /// What a job costs that does not complete.
    pub fn credits_for_failed(&self, spend: Spend) -> Credits {
        // Under the flat price, calls that failed count as cost, but used nothing for the customer.
        let has_used = spend.tokens > 0 || (self.is_metered() && spend.cost.is_positive());
        match self.charge_failed {
            ChargeFailed::Always => self.credits_for(spend),
            ChargeFailed::Used if has_used => self.credits_for(spend),
            ChargeFailed::Used | ChargeFailed::Never => Credits::ZERO,
        }
    }

    /// Whether what a job holds depends on what its calls use.
    pub const fn is_metered(&self) -> bool {
        !matches!(self.mode, BudgetMode::JobBased)
    }

    /// What the job may cost the operator at most, if that is limited.
    pub const fn cost_bound(&self) -> Option<NanoUsd> {
        match self.mode {
            BudgetMode::JobBased => self.job_cost_max,
            BudgetMode::ConsumptionUsd | BudgetMode::ConsumptionTokens => None,
        }
    }

    /// Whether the job's row adds up what its calls use.
    pub const fn tracks_spend(&self) -> bool {
        self.is_metered()
            || self.cost_bound().is_some()
            || !matches!(self.charge_failed, ChargeFailed::Never)
    }

    /// Whether a call can only be made of a model whose price is known.
    pub const fn needs_price(&self) -> bool {
        matches!(self.mode, BudgetMode::ConsumptionUsd) || self.cost_bound().is_some()
    }

    /// What a provider's cost counts as: the customer's, or the operator's under a flat price.
    pub fn cost_of(&self, provider_cost: NanoUsd) -> NanoUsd {
        if self.is_metered() {
            self.markup.apply(provider_cost)
        } else {
            provider_cost
        }
    }
}

/// A job as the ledger sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct Job {
    /// Its id.
    pub id: JobId,
    /// Who pays.
    pub team_id: TeamId,
    /// The team's organization when the job was created.
    pub org_id: OrgId,
    /// Its state.
    pub state: JobState,
    /// The terms fixed at its creation.
    pub terms: Terms,
    /// Credits held for it; once it has ended, for its calls in flight.
    pub hold: Credits,
    /// The most that it may cost, if its creator said so.
    pub credits_max: Option<Credits>,
    /// What its ended calls used; kept only under terms that need it.
    pub spent: Spend,
    /// The worst case of its calls in flight; kept only under terms that need it.
    pub reserved: Spend,
    /// Whether it consists of one call, and ends with it.
    pub single_call: bool,
    /// What kind of business operation it is.
    pub job_type: String,
    /// The end user on whose behalf it runs.
    pub user_id: Option<String>,
    /// The creator's JSON object.
    pub metadata: String,
    /// Why it failed.
    pub error_message: Option<String>,
    /// What it was charged, once it has ended.
    pub charged: Option<Credits>,
    /// The team's credits right after it ended.
    pub credits_remaining: Option<Credits>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When its first call was accepted.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub completed_at: Option<Timestamp>,
    /// When it was last known to be worked on.
    pub active_at: Timestamp,
    /// When its metadata last changed.
    pub updated_at: Timestamp,
}

impl Job {
    /// The most that it may hold or be charged.
    pub(crate) fn ceiling(&self) -> Credits {
        self.credits_max.unwrap_or(Credits(i64::MAX))
    }

    /// A call was accepted.
    pub fn start(&mut self, now: Timestamp) {
        if self.state == JobState::Pending {
            self.state = JobState::InProgress;
            self.started_at = Some(now);
            self.active_at = now;
        }
    }

    /// The job ends; the account's figures at that moment are kept for replays of the answer.
    pub(crate) fn end(&mut self, state: JobState, account: &Account, now: Timestamp) {
        self.state = state;
        self.credits_remaining = Some(account.balance);
        self.completed_at = Some(now);
        self.updated_at = now;
    }
}

/// How a call ended, or that it has not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallState {
    /// Sent upstream, or about to be.
    InFlight,
    /// Answered.
    Succeeded,
    /// Refused or broken by the provider or by us; costs nothing.
    Failed,
    /// Its node died; nobody knows what the provider did.
    Interrupted,
}

impl CallState {
    /// The stored and shown word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::InFlight => "in_flight",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Interrupted => "interrupted",
        }
    }
}

impl FromStr for CallState {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        [
            Self::InFlight,
            Self::Succeeded,
            Self::Failed,
            Self::Interrupted,
        ]
        .into_iter()
        .find(|state| state.word() == text)
        .ok_or_else(|| format!("'{text}' is not the state of a call"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terms(mode: BudgetMode, tokens_per_credit: i64) -> Terms {
        let credits_per_dollar = CreditRate::DEFAULT;
        Terms {
            mode,
            credits_per_dollar,
            tokens_per_credit,
            markup: Markup::default(),
            charge_failed: ChargeFailed::default_of(mode),
            rounding: Rounding::Down,
            job_cost_max: None,
        }
    }

    #[test]
    fn a_job_that_fails_costs_what_its_terms_say() {
        let used = Spend {
            cost: NanoUsd(150_000_000),
            tokens: 15_000,
        };
        let nothing = Spend::default();
        for mode in [
            BudgetMode::JobBased,
            BudgetMode::ConsumptionUsd,
            BudgetMode::ConsumptionTokens,
        ] {
            for (charge_failed, wanted) in [
                (ChargeFailed::Never, [0, 0]),
                (ChargeFailed::Used, [1, 0]),
                (ChargeFailed::Always, [1, 1]),
            ] {
                let terms = Terms {
                    charge_failed,
                    ..terms(mode, 10_000)
                };
                let costs = [used, nothing].map(|spend| terms.credits_for_failed(spend).0);
                assert_eq!(costs, wanted, "{mode:?} {charge_failed:?}");
            }
        }
    }

    #[test]
    fn a_part_of_a_credit_is_rounded_as_the_terms_say() {
        let mut terms = terms(BudgetMode::ConsumptionTokens, 1_000);
        let spend = |tokens| Spend {
            cost: NanoUsd::ZERO,
            tokens,
        };
        assert_eq!(terms.credits_for(spend(1_999)), Credits(1));
        terms.rounding = Rounding::Up;
        let credits = [0, 1, 1_000, 1_001].map(|tokens| terms.credits_for(spend(tokens)).0);
        assert_eq!(credits, [1, 1, 1, 2]);
    }

    #[test]
    fn a_job_costs_what_the_documented_examples_say() {
        let usd = |cost| {
            let spend = Spend {
                cost: NanoUsd(cost),
                tokens: 0,
            };
            terms(BudgetMode::ConsumptionUsd, 1).credits_for(spend).0
        };
        assert_eq!(
            [usd(50_000_000), usd(152_000_000), usd(1_500_000_000)],
            [1, 1, 15]
        );
        let tokens = |count, rate| {
            let spend = Spend {
                cost: NanoUsd::ZERO,
                tokens: count,
            };
            terms(BudgetMode::ConsumptionTokens, rate)
                .credits_for(spend)
                .0
        };
        assert_eq!([tokens(5_000, 10_000), tokens(55_000, 10_000)], [1, 5]);
        assert_eq!(
            [tokens(2_500, 1_000), tokens(999 + 6 + 1_999, 1_000)],
            [2, 3]
        );
        assert_eq!(
            terms(BudgetMode::JobBased, 1).credits_for(Spend::default()),
            Credits(1)
        );
    }

    #[test]
    fn states_are_read_in_any_case() {
        assert_eq!("IN_PROGRESS".parse(), Ok(JobState::InProgress));
        assert!("done".parse::<JobState>().is_err());
    }
}
