//! A business that never was: organizations, teams and a history of jobs, for demonstrations and
//! tests of large databases. Pure: the same seed makes the same history; only what must not be
//! guessed, secrets and hashes, comes from the system's randomness.
//!
//! Credits move by the rules of the ledger alone, in the order of time, so that the books balance.

mod call;
pub(crate) mod cast;
pub(crate) mod dice;
pub(crate) mod history;
mod present;
#[cfg(test)]
mod tests;

use tollgate_common::clock::Timestamp;

/// How large the business is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Size {
    /// Jobs that are created.
    pub(crate) jobs: u64,
    /// Teams.
    pub(crate) teams: usize,
    /// Days of history before now.
    pub(crate) days: u32,
    /// The end of the history.
    pub(crate) now: Timestamp,
}
