//! How much a team or a key may ask for at once and per minute.

/// Limits of a team or of a key. What is `None` has no limit; the others are at least 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Limits {
    /// Calls per minute.
    pub requests_per_minute: Option<i64>,
    /// Prompt and completion tokens per minute.
    pub tokens_per_minute: Option<i64>,
    /// Calls in flight at one moment.
    pub parallel_calls: Option<i64>,
}
