//! How much a team or a key may ask for at once and per minute.

/// Limits of a team or of a key. What is `None` has no limit; the others are at least 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub struct Limits {
    /// Calls per minute.
    pub requests_per_minute: Option<i64>,
    /// Prompt and completion tokens per minute.
    pub tokens_per_minute: Option<i64>,
    /// Calls in flight at one moment.
    pub parallel_calls: Option<i64>,
}

/// A change of limits: `None` leaves one as it is, an inner `None` takes it away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LimitSettings {
    /// Calls per minute.
    pub requests_per_minute: Option<Option<i64>>,
    /// Prompt and completion tokens per minute.
    pub tokens_per_minute: Option<Option<i64>>,
    /// Calls in flight at one moment.
    pub parallel_calls: Option<Option<i64>>,
}

impl LimitSettings {
    /// The limits of something new, which has none but these.
    pub fn of_new(self) -> Limits {
        Limits {
            requests_per_minute: self.requests_per_minute.flatten(),
            tokens_per_minute: self.tokens_per_minute.flatten(),
            parallel_calls: self.parallel_calls.flatten(),
        }
    }
}
