//! What a call may use at most, and how much of that is paid for.

use crate::job::{Spend, Terms};
use crate::price::{FeeCounts, OutputKinds, UnitPrices};

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
    /// Completion tokens without which the request makes no sense, at least 1: one for each choice,
    /// what it wants to be thought, and what nothing shortens.
    pub output_tokens_min: i64,
    /// Kinds of output beside text that the caller asks for.
    pub output_kinds: OutputKinds,
    /// Billed calls of the provider's tools.
    pub fees_max: FeeCounts,
    /// What a token costs; `None` if nobody knows.
    pub unit: Option<UnitPrices>,
}

impl CallEstimate {
    /// The worst case if the answer has at most `output_tokens`.
    pub(super) fn worst(&self, output_tokens: i64, terms: &Terms) -> Spend {
        let output = (output_tokens, self.output_kinds);
        let cost = self
            .unit
            .map(|unit| unit.worst_cost(&self.prompt, output, &self.fees_max));
        Spend {
            cost: terms.cost_of(cost.unwrap_or_default()),
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
    /// What made that less than the call asked for.
    pub limited_by: Option<LimitedBy>,
}

/// What shortens an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LimitedBy {
    /// The account's credits.
    Credits,
    /// The budget of a day or month.
    Budget,
    /// The limit that the job's creator set.
    MaxCredits,
    /// What a job of the team may cost the operator.
    JobCost,
}

impl LimitedBy {
    /// The word that callers read.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Credits => "credits",
            Self::Budget => "budget",
            Self::MaxCredits => "max_credits",
            Self::JobCost => "job_cost",
        }
    }
}

impl CallEstimate {
    /// The fewest completion tokens that the call can be made with.
    pub(super) fn least(&self) -> i64 {
        self.output_tokens_min
            .clamp(1, self.output_tokens_max.max(1))
    }

    /// The most completion tokens that fit, given that the fewest do.
    pub(super) fn largest_within(&self, fits: impl Fn(i64) -> bool) -> i64 {
        largest_within((self.least(), self.output_tokens_max), fits)
    }

    /// Whether so many tokens are fewer than the call may use otherwise.
    pub(super) const fn is_cut_to(&self, output_tokens: i64) -> bool {
        output_tokens < self.output_tokens_max
    }
}

/// The largest number of a range that fits, given that its first one does and that smaller ones fit
/// if a larger one does.
fn largest_within((min, max): (i64, i64), fits: impl Fn(i64) -> bool) -> i64 {
    let (mut low, mut high) = (min, max.max(min));
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
