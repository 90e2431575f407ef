//! What a node tells of the present, for administrators: calls in flight, what passed in the last
//! minutes, how long it took and what went wrong, which providers' keys rest. Nodes write it into
//! the database about once a second; nothing of it decides anything.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;

mod histogram;

pub use histogram::Histogram;

/// How many calls in flight a node tells of, the oldest first.
pub const CALLS_TOLD_MAX: usize = 500;

/// How many seconds of its recent past a node tells of.
pub const SECONDS_TOLD: usize = 60;

/// The present of one node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NodeFigures {
    /// The version of its binary.
    pub version: String,
    /// When it began, in microseconds.
    pub started_at: i64,
    /// The policy revision that it serves by.
    pub policy_revision: i64,
    /// Where it listens.
    pub listen: String,
    /// Requests under way, of any kind.
    pub requests: u64,
    /// Calls in flight, also those that are not told of.
    pub calls_in_flight: u64,
    /// Streams among them that have begun.
    pub streams: u64,
    /// The oldest calls in flight.
    pub calls: Vec<LiveCall>,
    /// Calls that ended in each of the last seconds, the latest last.
    pub ended_per_second: Vec<u64>,
    /// Keys of providers that do not simply work, or some of their models.
    pub resting: Vec<RestingKey>,
    /// Refusals of providers that only the operator can end.
    pub alerts: Vec<ProviderAlert>,
}

/// A call in flight.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LiveCall {
    /// Its id.
    pub id: String,
    /// Its job.
    pub job_id: String,
    /// Whose.
    pub team_id: String,
    /// The model's public name.
    pub alias: String,
    /// The provider that is asked at present, if one is.
    pub provider: Option<String>,
    /// When it began, in microseconds.
    pub began_at: i64,
    /// Whether the answer is given piece by piece.
    pub streamed: bool,
    /// Tokens of the answer so far, estimated from its length.
    pub output_tokens: i64,
}

/// A provider's key that is left alone or is being probed, or one model behind it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestingKey {
    /// The credential.
    pub credential_id: String,
    /// `open`, `half_open` or `rate_limited`.
    pub condition: String,
    /// Failures in a row.
    pub failures: u32,
    /// Until when it rests, in microseconds, to the second.
    pub rests_until: i64,
    /// The model that it is about, as the provider calls it; `None` if about all of them.
    #[serde(default)]
    pub upstream_model: Option<String>,
    /// For how many teams alone; 0 if for all.
    #[serde(default)]
    pub teams: u64,
    /// Whether the provider's host cannot be reached, so that no key of it is used.
    #[serde(default)]
    pub is_unreachable: bool,
}

/// A provider refuses for a reason that only the operator can remove.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProviderAlert {
    /// The provider.
    pub provider: String,
    /// The credential that was used.
    pub credential_id: String,
    /// The model, as the provider calls it.
    pub upstream_model: String,
    /// What is wrong, for people.
    pub fault: String,
    /// The provider's words, without secrets.
    pub message: String,
    /// How often it was seen lately.
    pub count: u64,
    /// When it was seen last, in microseconds, to the second.
    pub last_at: i64,
}

/// What passed through one node in one minute.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Traffic {
    /// Requests of any kind.
    pub requests: u64,
    /// Calls that ended.
    pub calls: u64,
    /// Streams among them.
    pub streams: u64,
    /// Tokens, of prompts and answers.
    pub input_tokens: u64,
    /// Tokens of answers.
    pub output_tokens: u64,
    /// Tries that failed before a call was served or given up.
    pub retries: u64,
    /// What did not end well, by cause: `rate_limited`, `no_credits`, `provider_timeout`, ...
    pub errors: BTreeMap<String, u64>,
    /// Calls from request to answer, in milliseconds.
    pub total_ms: Histogram,
    /// Streams from request to first piece, in milliseconds.
    pub first_token_ms: Histogram,
    /// What the gateway itself took of each answered call, in microseconds.
    pub overhead_us: Histogram,
    /// By provider.
    pub providers: BTreeMap<String, ProviderTraffic>,
    /// By team: the busiest only.
    pub teams: BTreeMap<String, TeamTraffic>,
    /// Answered calls by the model's public name.
    pub models: BTreeMap<String, u64>,
}

/// What one provider did in one minute.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ProviderTraffic {
    /// Tries that it was given.
    pub tries: u64,
    /// Tries that failed.
    pub failures: u64,
    /// How long its answers took, in milliseconds.
    pub total_ms: Histogram,
}

/// What one team did in one minute.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TeamTraffic {
    /// Its calls that ended.
    pub calls: u64,
    /// Their tokens.
    pub tokens: u64,
    /// Their cost to the customer in nano-dollars.
    pub client_cost: u64,
}

impl Traffic {
    /// Adds what passed elsewhere or at another time.
    pub fn add(&mut self, other: &Self) {
        self.requests += other.requests;
        self.calls += other.calls;
        self.streams += other.streams;
        self.input_tokens += other.input_tokens;
        self.output_tokens += other.output_tokens;
        self.retries += other.retries;
        self.total_ms.add(&other.total_ms);
        self.first_token_ms.add(&other.first_token_ms);
        self.overhead_us.add(&other.overhead_us);
        for (cause, count) in &other.errors {
            *self.errors.entry(cause.clone()).or_default() += count;
        }
        for (name, count) in &other.models {
            *self.models.entry(name.clone()).or_default() += count;
        }
        for (name, theirs) in &other.providers {
            let ours = self.providers.entry(name.clone()).or_default();
            ours.tries += theirs.tries;
            ours.failures += theirs.failures;
            ours.total_ms.add(&theirs.total_ms);
        }
        for (id, theirs) in &other.teams {
            let ours = self.teams.entry(id.clone()).or_default();
            ours.calls += theirs.calls;
            ours.tokens += theirs.tokens;
            ours.client_cost += theirs.client_cost;
        }
    }
}

/// The minute that a moment is in, counted from 1970-01-01 UTC.
pub const fn minute_of(moment: Timestamp) -> i64 {
    moment.as_micros().div_euclid(60_000_000)
}
