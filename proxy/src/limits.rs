//! Rate limits of keys and teams: requests per minute, tokens per minute, calls in flight.
//!
//! A call takes from all its scopes at once or from none. Its tokens are held by an estimate and
//! reconciled when they are known. Where the counts are kept is behind [`LimitStore`].

pub(crate) mod memory;

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use tollgate_common::clock::Timestamp;
use tollgate_common::id::{KeyId, TeamId};
use tollgate_common::limit::Limits;

/// The shortest wait that a caller is asked for.
const RETRY_AFTER_MIN: Duration = Duration::from_secs(1);

/// Whose calls are counted together.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Subject {
    Key(KeyId),
    Team(TeamId),
}

/// A subject and what it may do at present.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Scope {
    pub(crate) subject: Subject,
    pub(crate) limits: Limits,
}

/// Where calls are counted.
#[async_trait]
pub(crate) trait LimitStore: Send + Sync + fmt::Debug {
    /// Counts a call with about so many tokens in all scopes, or in none if one of them is full.
    ///
    /// An estimate above the whole limit counts as the limit, so that it passes when nothing else
    /// was asked for. A subject that is named twice counts once, with its first limits.
    async fn take(&self, scopes: &[Scope], tokens: i64, now: Timestamp) -> Result<Grant, Exceeded>;

    /// Forgets subjects that have been idle for long. To be called about once a minute.
    fn sweep(&self, now: Timestamp);
}

/// What a store has counted for a call and reconciles at its end.
pub(crate) trait Hold: Send + Sync + fmt::Debug {
    /// Ends the call: its place is free again, and it has used so many tokens, which count at the
    /// moment they were taken.
    fn settle(self: Box<Self>, tokens: i64);
}

/// A call's leave to go on. While it lives, the call counts as one in flight.
///
/// Dropped without [`Grant::settle`], the call has used no tokens; the request stays counted.
#[derive(Debug)]
#[must_use]
pub(crate) struct Grant {
    status: LimitStatus,
    hold: Option<Box<dyn Hold>>,
}

// === impl Grant ===

impl Grant {
    /// The grant of a call that no limit applies to.
    pub(crate) fn unlimited() -> Self {
        Self {
            status: LimitStatus::default(),
            hold: None,
        }
    }

    /// The grant of a call that a store has counted.
    pub(crate) fn new(status: LimitStatus, hold: Box<dyn Hold>) -> Self {
        Self {
            status,
            hold: Some(hold),
        }
    }

    /// What is left after this call was counted.
    pub(crate) const fn status(&self) -> LimitStatus {
        self.status
    }

    /// Ends the call, which has used so many tokens.
    pub(crate) fn settle(mut self, actual_tokens: i64) {
        if let Some(hold) = self.hold.take() {
            hold.settle(actual_tokens);
        }
    }
}

impl Drop for Grant {
    fn drop(&mut self) {
        if let Some(hold) = self.hold.take() {
            hold.settle(0);
        }
    }
}

/// What a call has asked too much of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum LimitKind {
    Requests,
    Tokens,
    Parallel,
}

/// A call has to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Exceeded {
    /// The limit that asks for the longest wait.
    pub(crate) kind: LimitKind,
    /// When it would fit if nobody else asked, at least a second.
    pub(crate) retry_after: Duration,
    pub(crate) status: LimitStatus,
}

/// How much is left in the tightest scope: the one with the least remaining.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct LimitStatus {
    pub(crate) requests: Option<Allowance>,
    pub(crate) tokens: Option<Allowance>,
}

/// How much of one limit is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Allowance {
    /// Per minute.
    pub(crate) limit: i64,
    pub(crate) remaining: i64,
    /// After this time all of it is there again if nobody asks meanwhile.
    pub(crate) reset: Duration,
}

// === impl LimitStatus ===

impl LimitStatus {
    /// The headers by which OpenAI tells the same, for the limits that exist.
    pub(crate) fn headers(&self) -> Vec<(&'static str, String)> {
        const REQUESTS: [&str; 3] = [
            "x-ratelimit-limit-requests",
            "x-ratelimit-remaining-requests",
            "x-ratelimit-reset-requests",
        ];
        const TOKENS: [&str; 3] = [
            "x-ratelimit-limit-tokens",
            "x-ratelimit-remaining-tokens",
            "x-ratelimit-reset-tokens",
        ];
        let mut headers = Vec::new();
        for (names, allowance) in [(REQUESTS, self.requests), (TOKENS, self.tokens)] {
            let Some(allowance) = allowance else {
                continue;
            };
            let values = [
                allowance.limit.to_string(),
                allowance.remaining.to_string(),
                span(allowance.reset),
            ];
            headers.extend(names.into_iter().zip(values));
        }
        headers
    }

    /// Keeps the tighter allowance of each kind.
    fn tighten(&mut self, requests: Option<Allowance>, tokens: Option<Allowance>) {
        for (kept, other) in [(&mut self.requests, requests), (&mut self.tokens, tokens)] {
            let both = [*kept, other].into_iter().flatten();
            *kept = both.min_by_key(|allowance| allowance.remaining);
        }
    }
}

/// A time as OpenAI's headers show it, rounded up: `6ms`, `1s`, `1m30s`.
fn span(time: Duration) -> String {
    let millis = time.as_nanos().div_ceil(1_000_000);
    let seconds = millis.div_ceil(1_000);
    match (millis, seconds / 60, seconds % 60) {
        (1..1_000, _, _) => format!("{millis}ms"),
        (_, 0, seconds) => format!("{seconds}s"),
        (_, minutes, seconds) => format!("{minutes}m{seconds}s"),
    }
}

#[cfg(test)]
mod tests;
