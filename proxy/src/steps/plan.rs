//! Which providers a call is tried at: every key of every model that may serve it, in order, then
//! once more those that may have recovered.
//!
//! It ends with the first success, with the first answer that says that the request itself is
//! wrong, or when tries or time are used up. Nothing is tried again once the caller has seen a
//! piece of an answer: that is for whoever drives the plan.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use tollgate_common::clock::Random;
use tollgate_common::db::work::FailedAttempt;
use tollgate_common::id::CredentialId;
use tollgate_common::policy::Route;
use tollgate_common::secret::Secret;

use super::forward::UpstreamFailure;
use crate::breaker::{Breakers, Outcome, Permit, Rest};
use crate::policy_cache::Snapshot;

/// The pause before providers are tried again, doubled at each further round.
const PAUSE_FIRST: Duration = Duration::from_millis(100);

/// Doubling ends here.
const ROUNDS_MAX: u32 = 6;

/// Bounds of a plan.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// How many tries there are at most, the first among them.
    pub(crate) tries_max: u32,
    /// The longest pause before a try.
    pub(crate) pause_max: Duration,
    /// When it must have ended.
    pub(crate) deadline: Instant,
}

/// One model at one provider with one key.
#[derive(Debug, Clone, Copy)]
struct Target<'p> {
    /// Its place among the models that may serve the call.
    place: usize,
    route: Route<'p>,
    key: &'p (CredentialId, Secret),
}

/// A try that may be made.
#[derive(Debug)]
pub(crate) struct Try<'p> {
    pub(crate) route: Route<'p>,
    pub(crate) key: &'p Secret,
    place: usize,
    credential: &'p (CredentialId, Secret),
    began_at: Instant,
    permit: Permit,
}

impl Try<'_> {
    /// The provider did what it was asked.
    pub(crate) fn succeeded(self) {
        self.permit.report(Outcome::Success, Instant::now());
    }

    /// The provider failed after its answer had begun.
    pub(crate) fn failed(self, failure: &UpstreamFailure) {
        self.permit.report(failure.outcome(), Instant::now());
    }

    /// Whether it was made at the model that was planned first.
    pub(crate) const fn is_planned(&self) -> bool {
        self.place == 0
    }
}

/// The tries of a call.
#[derive(Debug)]
pub(crate) struct Plan<'p> {
    queue: VecDeque<Target<'p>>,
    /// Those that may do better later, and from when on.
    again: Vec<(Instant, Target<'p>)>,
    bounds: Bounds,
    tries: u32,
    round: u32,
    /// The key that may be tried soonest of those that are left alone.
    rest: Option<Rest>,
    /// The last failure, which is what the caller is told.
    failure: Option<UpstreamFailure>,
    failed: Vec<FailedAttempt>,
}

impl<'p> Plan<'p> {
    /// Each provider's keys are tried in turn, beginning with another one at each call.
    pub(crate) fn new(
        snapshot: &'p Snapshot,
        routes: &[Route<'p>],
        bounds: Bounds,
        random: &dyn Random,
    ) -> Self {
        let mut queue = VecDeque::new();
        for (place, route) in routes.iter().enumerate() {
            let keys = snapshot.keys_of(route.provider);
            let first = random_below(random, keys.len());
            let (before, from) = keys.split_at(first);
            queue.extend(from.iter().chain(before).map(|key| Target {
                place,
                route: *route,
                key,
            }));
        }
        Self {
            queue,
            again: Vec::new(),
            bounds,
            tries: 0,
            round: 0,
            rest: None,
            failure: None,
            failed: Vec::new(),
        }
    }

    /// When the call must have ended, or a streamed answer begun.
    pub(crate) const fn deadline(&self) -> Instant {
        self.bounds.deadline
    }

    /// The next try, after the pause that it needs; `None` if there is none.
    pub(crate) async fn next(
        &mut self,
        breakers: &Breakers,
        random: &dyn Random,
    ) -> Option<Try<'p>> {
        loop {
            if self.tries >= self.bounds.tries_max || self.bounds.deadline <= Instant::now() {
                return None;
            }
            if let Some(permitted) = self.permitted(breakers, Instant::now()) {
                self.tries += 1;
                return Some(permitted);
            }
            let wake_at = self.wake_at(random, Instant::now())?;
            tokio::time::sleep_until(wake_at.into()).await;
            self.round += 1;
            let (ready, later) = self.again.drain(..).partition(|(at, _)| *at <= wake_at);
            self.again = later;
            self.queue = Vec::into_iter(ready).map(|(_, target)| target).collect();
        }
    }

    /// The first target in the queue whose key may be used.
    fn permitted(&mut self, breakers: &Breakers, now: Instant) -> Option<Try<'p>> {
        while let Some(target) = self.queue.pop_front() {
            match breakers.admit(target.key.0, now) {
                Ok(permit) => {
                    return Some(Try {
                        route: target.route,
                        key: &target.key.1,
                        place: target.place,
                        credential: target.key,
                        began_at: now,
                        permit,
                    });
                }
                Err(rest) => {
                    if self.rest.is_none_or(|known| rest.wait < known.wait) {
                        self.rest = Some(rest);
                    }
                    if rest.is_rate_limit {
                        self.again.push((now + rest.wait, target));
                    }
                }
            }
        }
        None
    }

    /// When those that may do better are tried; `None` if there are none, or if they need longer
    /// than this call may wait.
    fn wake_at(&self, random: &dyn Random, now: Instant) -> Option<Instant> {
        let ready_at = self.again.iter().map(|(at, _)| *at).min()?;
        let doubled = PAUSE_FIRST * 2_u32.pow(self.round.min(ROUNDS_MAX));
        // Half of the pause is left to chance, so that many callers do not come back at once.
        let pause = doubled / 2 + doubled.mul_f64(random_fraction(random) / 2.0);
        let wake_at = ready_at.max(now) + pause;
        (wake_at <= now + self.bounds.pause_max && wake_at < self.bounds.deadline)
            .then_some(wake_at)
    }

    /// A try has failed: what is left to try depends on why.
    pub(crate) fn failed(&mut self, attempt: Try<'p>, failure: UpstreamFailure) {
        let now = Instant::now();
        let latency = now.saturating_duration_since(attempt.began_at);
        attempt.permit.report(failure.outcome(), now);
        tracing::warn!(
            provider = %attempt.route.provider.name,
            credential = %attempt.credential.0,
            reason = failure.for_operators(),
            "a try at an LLM provider failed"
        );
        self.failed.push(FailedAttempt {
            provider: attempt.route.provider.name.clone(),
            credential_id: attempt.credential.0,
            upstream_model: attempt.route.model.upstream_model.clone(),
            error_kind: failure.kind(),
            error: failure.for_operators(),
            latency_ms: i64::try_from(latency.as_millis()).unwrap_or(i64::MAX),
        });
        match &failure {
            UpstreamFailure::Rejected { .. } | UpstreamFailure::CallerGone => self.end(),
            // Another key of the same provider may do.
            UpstreamFailure::Unauthorized { .. } | UpstreamFailure::RateLimited { .. } => {}
            _ => self.queue.retain(|target| target.place != attempt.place),
        }
        if failure.is_worth_repeating() {
            // A provider that says when to come back is not asked before.
            let ready_at = now + failure.asked_pause().unwrap_or_default();
            let (place, route) = (attempt.place, attempt.route);
            self.again.push((
                ready_at,
                Target {
                    place,
                    route,
                    key: attempt.credential,
                },
            ));
        }
        self.failure = Some(failure);
    }

    /// The request has no words in this provider's dialect; nothing was sent.
    pub(crate) fn skipped(&mut self, attempt: &Try<'p>, refusal: crate::chat::Untranslatable) {
        let place = attempt.place;
        self.queue.retain(|target| target.place != place);
        self.tries -= 1;
        self.failure
            .get_or_insert(UpstreamFailure::Untranslatable(refusal));
    }

    fn end(&mut self) {
        self.queue.clear();
        self.again.clear();
    }

    /// The tries that failed, for the call's record.
    pub(crate) fn take_failed(&mut self) -> Vec<FailedAttempt> {
        std::mem::take(&mut self.failed)
    }

    /// Why the call was given up.
    pub(crate) fn into_failure(self) -> UpstreamFailure {
        match (self.failure, self.rest) {
            // A provider that could be told the request is left alone just now.
            (None | Some(UpstreamFailure::Untranslatable(_)), Some(rest)) => resting(rest),
            (Some(failure), _) => failure,
            (None, None) => UpstreamFailure::CircuitOpen {
                retry_after: PAUSE_FIRST,
            },
        }
    }
}

/// What callers are told while all that could serve them is left alone.
const fn resting(rest: Rest) -> UpstreamFailure {
    if rest.is_rate_limit {
        UpstreamFailure::RateLimited {
            retry_after: Some(rest.wait),
        }
    } else {
        UpstreamFailure::CircuitOpen {
            retry_after: rest.wait,
        }
    }
}

/// A whole number below `limit`; 0 if there is none.
fn random_below(random: &dyn Random, limit: usize) -> usize {
    if limit < 2 {
        return 0;
    }
    let mut bytes = [0; 8];
    random.fill(&mut bytes);
    usize::try_from(u64::from_le_bytes(bytes) % limit as u64).unwrap_or(0)
}

/// A number from 0 to 1.
fn random_fraction(random: &dyn Random) -> f64 {
    let mut bytes = [0; 4];
    random.fill(&mut bytes);
    f64::from(u32::from_le_bytes(bytes)) / f64::from(u32::MAX)
}
