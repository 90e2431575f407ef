//! What the one node of a demonstration tells: the calls in flight and the minutes of the last day.

use std::collections::BTreeMap;
use std::time::Duration;

use tollgate_common::clock::Timestamp;
use tollgate_common::db::demo::Call;
use tollgate_common::id::CredentialId;
use tollgate_common::job::CallState;
use tollgate_common::live::{LiveCall, NodeFigures, RestingKey, SECONDS_TOLD, Traffic, minute_of};

use super::dice::Dice;

/// Minutes that are told of.
const MINUTES: i64 = 1_440;

/// The minutes of the last day.
#[derive(Debug)]
pub(crate) struct Minutes {
    first: i64,
    minutes: BTreeMap<i64, Traffic>,
}

impl Minutes {
    /// The day before `now`, still empty.
    pub(crate) fn before(now: Timestamp) -> Self {
        Self {
            first: minute_of(now) - MINUTES,
            minutes: BTreeMap::new(),
        }
    }

    /// Counts a call that has ended.
    pub(crate) fn count(&mut self, dice: &Dice, call: &Call) {
        let (Some(ended_at), Some(latency)) = (call.ended_at, call.latency_ms) else {
            return;
        };
        let minute = minute_of(ended_at);
        if minute < self.first {
            return;
        }
        let traffic = self.minutes.entry(minute).or_default();
        let tokens = call.usage.total() as u64;
        traffic.requests += 1 + dice.below(2);
        traffic.calls += 1;
        traffic.streams += u64::from(call.streamed);
        traffic.input_tokens += call.usage.input() as u64;
        traffic.output_tokens += call.usage.output() as u64;
        traffic.retries += call.attempts.len() as u64;
        if let Some((kind, _)) = &call.error {
            *traffic.errors.entry((*kind).to_owned()).or_default() += 1;
        }
        traffic.total_ms.record(latency as u64);
        if let Some(first) = call.first_token_ms {
            traffic.first_token_ms.record(first as u64);
        }
        traffic.overhead_us.record(dice.skewed(180, 2_400) as u64);
        let provider = traffic.providers.entry(call.provider.to_string());
        let provider = provider.or_default();
        let failed = u64::from(call.state == CallState::Failed);
        provider.tries += 1 + call.attempts.len() as u64;
        provider.failures += failed + call.attempts.len() as u64;
        provider.total_ms.record(latency as u64);
        let team = traffic.teams.entry(call.team_id.to_string()).or_default();
        team.calls += 1;
        team.tokens += tokens;
        team.client_cost += call.client_cost.0 as u64;
        if failed == 0 {
            *traffic.models.entry(call.alias.to_string()).or_default() += 1;
        }
    }

    /// All minutes in which something passed.
    pub(crate) fn into_rows(self) -> Vec<(i64, Traffic)> {
        self.minutes.into_iter().collect()
    }

    /// Calls that ended in each of the last seconds, about.
    fn per_second(&self, dice: &Dice) -> Vec<u64> {
        let last = self
            .minutes
            .values()
            .next_back()
            .map_or(0, |last| last.calls);
        let seconds = SECONDS_TOLD as u64;
        let one = |_| (last + dice.below(seconds)) / seconds;
        (0..SECONDS_TOLD).map(one).collect()
    }
}

/// What the node tells of the moment in which the history ends.
pub(crate) fn figures(
    dice: &Dice,
    in_flight: &[&Call],
    minutes: &Minutes,
    (started_at, now): (Timestamp, Timestamp),
    resting: CredentialId,
) -> NodeFigures {
    let told = |call: &&Call| LiveCall {
        id: call.id.to_string(),
        job_id: call.job_id.to_string(),
        team_id: call.team_id.to_string(),
        alias: call.alias.to_string(),
        provider: Some(call.provider.to_string()),
        began_at: call.started_at.as_micros(),
        streamed: call.streamed,
        output_tokens: dice.between(0, 600),
    };
    NodeFigures {
        version: "demo".to_owned(),
        started_at: started_at.as_micros(),
        policy_revision: 1,
        listen: "demo:0".to_owned(),
        requests: in_flight.len() as u64 + dice.below(3),
        calls_in_flight: in_flight.len() as u64,
        streams: in_flight.iter().filter(|call| call.streamed).count() as u64,
        calls: in_flight.iter().map(told).collect(),
        ended_per_second: minutes.per_second(dice),
        resting: vec![RestingKey {
            credential_id: resting.to_string(),
            condition: "rate_limited".to_owned(),
            failures: 3,
            rests_until: now.plus(Duration::from_secs(24)).as_micros(),
            ..RestingKey::default()
        }],
        alerts: Vec::new(),
    }
}
