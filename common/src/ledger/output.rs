//! How the completion tokens that are held divide into the answer, which a limit is sent for, and
//! what providers bill beside that limit.
#![deny(clippy::arithmetic_side_effects)]

/// The completion tokens that a request may cause at one of the models that may serve it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutputShares {
    /// The longest answer that is wanted.
    pub limit: i64,
    /// The shortest answer that makes sense, at least 1.
    pub limit_min: i64,
    /// Tokens that the provider may bill for each answer beside its limit: thoughts that a server
    /// counts apart from the answer, predicted text that the answer did not take. Nothing shortens
    /// them.
    pub beside: i64,
    /// How many answers are wanted.
    pub choices: i64,
}

impl OutputShares {
    const fn of_all(self, limit: i64) -> i64 {
        limit
            .saturating_add(self.beside)
            .saturating_mul(self.choices)
    }

    /// The most tokens of all answers together.
    pub const fn most(self) -> i64 {
        self.of_all(self.limit)
    }

    /// The fewest tokens that the request can be made with.
    pub fn least(self) -> i64 {
        self.of_all(self.limit_min.clamp(1, self.limit.max(1)))
    }

    /// The limit of one answer for which, with all that is billed beside it, `tokens` suffice.
    pub fn limit_within(self, tokens: i64) -> i64 {
        let one = tokens.checked_div(self.choices).unwrap_or(tokens);
        let limit = one.saturating_sub(self.beside);
        limit.min(self.limit).max(1)
    }
}
