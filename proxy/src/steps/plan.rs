//! Which providers a call is tried at: every key of every model that may serve it, in order, then
//! models that have failed lately, then once more those that may have recovered.
//!
//! It ends with the first success, with the first answer that says that the request itself is
//! wrong, or when tries or time are used up. Nothing is tried again once the caller has seen a
//! piece of an answer: that is for whoever drives the plan.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use tollgate_common::clock::Random;
use tollgate_common::db::work::FailedAttempt;
use tollgate_common::id::{CredentialId, TeamId};
use tollgate_common::policy::Route;
use tollgate_common::secret::Secret;

use super::forward::UpstreamFailure;
use super::meter::Metered;
use super::wasted::{Wasted, Work};
use crate::alerts::{Alerts, Refused};
use crate::breaker::{Breakers, Outcome, Permit, Refusal, Unit, Why};
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

impl<'p> Target<'p> {
    fn unit(&self) -> Unit<'p> {
        let base_url = &self.route.provider.base_url;
        Unit {
            credential: self.key.0,
            upstream_model: &self.route.model.upstream_model,
            host: base_url.host(),
            port: base_url.port(),
        }
    }
}

/// A try that may be made.
#[derive(Debug)]
pub(crate) struct Try<'p> {
    pub(crate) route: Route<'p>,
    pub(crate) key: &'p Secret,
    place: usize,
    credential: &'p (CredentialId, Secret),
    began_at: Instant,
    permit: Permit<'p>,
    /// Whether a try of this call has failed there before. All tries of a call are one observation.
    has_failed_before: bool,
    alerts: &'p Alerts,
}

impl Try<'_> {
    /// The provider did what it was asked.
    pub(crate) fn succeeded(self) {
        let upstream_model = &self.route.model.upstream_model;
        self.alerts.clear(self.credential.0, upstream_model);
        self.permit.report(Outcome::Success, Instant::now());
    }

    /// The provider failed after its answer had begun.
    pub(crate) fn failed(self, failure: &UpstreamFailure) {
        self.report(failure, Instant::now());
    }

    fn report(self, failure: &UpstreamFailure, now: Instant) {
        if let UpstreamFailure::Operator { fault, message, .. } = failure {
            let refused = Refused {
                provider: self.route.provider.name.clone(),
                credential: self.credential.0,
                upstream_model: self.route.model.upstream_model.clone(),
            };
            self.alerts.raise(refused, *fault, message, now);
        }
        let outcome = match failure.outcome() {
            Outcome::Failure | Outcome::Unreachable if self.has_failed_before => Outcome::Neutral,
            outcome => outcome,
        };
        self.permit.report(outcome, now);
    }

    /// Whether it was made at the model that was planned first.
    pub(crate) const fn is_planned(&self) -> bool {
        self.place == 0
    }
}

/// The tries of a call.
#[derive(Debug)]
pub(crate) struct Plan<'p> {
    team: &'p TeamId,
    queue: VecDeque<Target<'p>>,
    /// Those that have failed lately: asked only when nobody better is left.
    held_back: VecDeque<Target<'p>>,
    /// Where tries of this call have failed.
    failed_at: Vec<Unit<'p>>,
    /// Those that may do better later, and from when on.
    again: Vec<(Instant, Target<'p>)>,
    bounds: Bounds,
    tries: u32,
    round: u32,
    /// What may be tried soonest of all that must not be now.
    refusal: Option<Refusal>,
    /// The last failure, which is what the caller is told.
    failure: Option<UpstreamFailure>,
    failed: Vec<FailedAttempt>,
    /// The tries whose providers have worked for nothing.
    wasted: Vec<Wasted<'p>>,
    alerts: &'p Alerts,
}

impl<'p> Plan<'p> {
    /// Each provider's keys are tried in turn, beginning with another one at each call.
    pub(crate) fn new(
        snapshot: &'p Snapshot,
        team: &'p TeamId,
        routes: &[Route<'p>],
        bounds: Bounds,
        random: &dyn Random,
        alerts: &'p Alerts,
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
            team,
            queue,
            held_back: VecDeque::new(),
            failed_at: Vec::new(),
            again: Vec::new(),
            bounds,
            tries: 0,
            round: 0,
            refusal: None,
            failure: None,
            failed: Vec::new(),
            wasted: Vec::new(),
            alerts,
        }
    }

    /// When the call must have ended, or a streamed answer begun.
    pub(crate) const fn deadline(&self) -> Instant {
        self.bounds.deadline
    }

    /// When a try must have ended, or its streamed answer begun: a model may have less time than
    /// the call.
    pub(crate) fn deadline_of(&self, attempt: &Try<'_>) -> Instant {
        let own = attempt.route.model.timeout;
        let own = own.map(|timeout| attempt.began_at + timeout);
        own.map_or(self.bounds.deadline, |own| own.min(self.bounds.deadline))
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

    /// The first target in the queue that may be used, else the first that has failed lately.
    fn permitted(&mut self, breakers: &Breakers, now: Instant) -> Option<Try<'p>> {
        while let Some(target) = self.queue.pop_front() {
            match breakers.admit(target.unit(), self.team, now) {
                Ok(permit) => return Some(self.begin(target, permit, now)),
                Err(refusal) if refusal.why == Why::Failing => self.held_back.push_back(target),
                Err(refusal) => self.note(target, refusal, now),
            }
        }
        while let Some(target) = self.held_back.pop_front() {
            match breakers.admit_anyway(target.unit(), self.team, now) {
                Ok(permit) => return Some(self.begin(target, permit, now)),
                Err(refusal) => self.note(target, refusal, now),
            }
        }
        None
    }

    fn begin(&self, target: Target<'p>, permit: Permit<'p>, now: Instant) -> Try<'p> {
        Try {
            route: target.route,
            key: &target.key.1,
            place: target.place,
            credential: target.key,
            began_at: now,
            permit,
            has_failed_before: self.failed_at.contains(&target.unit()),
            alerts: self.alerts,
        }
    }

    /// Remembers what must not be used now, and when it may be.
    fn note(&mut self, target: Target<'p>, refusal: Refusal, now: Instant) {
        let is_sooner = |known: Refusal| refusal.wait < known.wait;
        if self.refusal.is_none_or(is_sooner) {
            self.refusal = Some(refusal);
        }
        if refusal.why == Why::RateLimited {
            self.again.push((now + refusal.wait, target));
        }
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

    /// A try has failed: what is left to try depends on why. `counted` is what the provider has
    /// counted all the same.
    pub(crate) fn failed(
        &mut self,
        attempt: Try<'p>,
        failure: UpstreamFailure,
        counted: Option<Box<Metered>>,
    ) {
        let now = Instant::now();
        self.record(&attempt, &failure, now);
        let waited = failure
            .was_accepted()
            .then(|| Work::Waited(now.saturating_duration_since(attempt.began_at)));
        let route = attempt.route;
        let work = counted.map(Work::Counted).or(waited);
        self.wasted.extend(work.map(|work| Wasted { route, work }));
        let target = Target {
            place: attempt.place,
            route: attempt.route,
            key: attempt.credential,
        };
        attempt.report(&failure, now);
        self.failed_at.push(target.unit());
        if failure.ends_call() {
            self.end();
        } else if !failure.concerns_key() {
            self.drop_model(target.place);
        }
        if failure.is_worth_repeating() {
            // A provider that says when to come back is not asked before.
            let ready_at = now + failure.asked_pause().unwrap_or_default();
            self.again.push((ready_at, target));
        }
        self.failure = Some(failure);
    }

    /// Keeps the failed try for the call's record, and tells operators.
    fn record(&mut self, attempt: &Try<'p>, failure: &UpstreamFailure, now: Instant) {
        let provider = &attempt.route.provider.name;
        let upstream_model = &attempt.route.model.upstream_model;
        let (credential, reason) = (attempt.credential.0, failure.for_operators());
        if let UpstreamFailure::Operator { .. } = failure {
            tracing::error!(%provider, %credential, upstream_model, reason, "an LLM provider refuses to serve: this needs the operator");
        } else {
            tracing::warn!(%provider, %credential, upstream_model, reason, "a try at an LLM provider failed");
        }
        let latency = now.saturating_duration_since(attempt.began_at);
        self.failed.push(FailedAttempt {
            provider: provider.clone(),
            credential_id: credential,
            upstream_model: upstream_model.clone(),
            error_kind: failure.kind(),
            error: reason,
            latency_ms: i64::try_from(latency.as_millis()).unwrap_or(i64::MAX),
        });
    }

    /// The request has no words in this provider's dialect; nothing was sent.
    pub(crate) fn skipped(&mut self, attempt: &Try<'p>, refusal: crate::chat::Untranslatable) {
        self.drop_model(attempt.place);
        self.tries -= 1;
        self.failure
            .get_or_insert(UpstreamFailure::Untranslatable(refusal));
    }

    /// No other key is tried for this model.
    fn drop_model(&mut self, place: usize) {
        self.queue.retain(|target| target.place != place);
        self.held_back.retain(|target| target.place != place);
    }

    fn end(&mut self) {
        self.queue.clear();
        self.held_back.clear();
        self.again.clear();
    }

    /// The tries that failed, for the call's record.
    pub(crate) fn take_failed(&mut self) -> Vec<FailedAttempt> {
        std::mem::take(&mut self.failed)
    }

    /// What providers have worked for nothing.
    pub(crate) fn take_wasted(&mut self) -> Vec<Wasted<'p>> {
        std::mem::take(&mut self.wasted)
    }

    /// Why the call was given up.
    pub(crate) fn into_failure(self) -> UpstreamFailure {
        match (self.failure, self.refusal) {
            // A provider that could be told the request is left alone just now.
            (None | Some(UpstreamFailure::Untranslatable(_)), Some(refusal)) => held(refusal),
            (Some(failure), _) => failure,
            (None, None) => UpstreamFailure::CircuitOpen {
                retry_after: PAUSE_FIRST,
            },
        }
    }
}

/// What callers are told while all that could serve them is left alone.
const fn held(refusal: Refusal) -> UpstreamFailure {
    match refusal.why {
        Why::RateLimited => UpstreamFailure::RateLimited {
            retry_after: Some(refusal.wait),
        },
        Why::Unusable | Why::Failing => UpstreamFailure::CircuitOpen {
            retry_after: refusal.wait,
        },
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
