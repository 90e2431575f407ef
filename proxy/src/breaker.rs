//! Circuit breakers: a credential that fails again and again is left alone for a while, then tried
//! with one request before the others follow.
//!
//! [`Breaker`] decides, without clock or lock; [`Breakers`] keeps one for each credential. Nothing
//! here knows providers: whether another credential is tried instead is the caller's decision.

use std::collections::{HashMap, HashSet};
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use tollgate_common::id::CredentialId;

/// How long a rate limit is respected if the provider does not say how long.
const RATE_LIMIT_PAUSE: Duration = Duration::from_secs(2);

/// A provider that asks for more patience is asked again sooner all the same.
const RATE_LIMIT_PAUSE_MAX: Duration = Duration::from_mins(1);

/// What those are told who come while a probe is under way: nobody knows when it ends.
const PROBE_PAUSE: Duration = Duration::from_secs(1);

/// When breakers open, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Settings {
    /// So many failures in a row open a breaker.
    pub(crate) failures_max: u32,
    /// How long it stays open the first time. Each failed probe doubles it.
    pub(crate) open_first: Duration,
    /// How long it stays open at most.
    pub(crate) open_max: Duration,
    /// How long it stays open after the key was refused: it may be repaired at the provider.
    pub(crate) unauthorized: Duration,
}

/// A credential is left alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rest {
    /// After how long it may be tried.
    pub(crate) wait: Duration,
    /// Whether the provider has asked for it, and will serve again afterwards.
    pub(crate) is_rate_limit: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            failures_max: 5,
            open_first: Duration::from_secs(5),
            open_max: Duration::from_mins(2),
            unauthorized: Duration::from_mins(1),
        }
    }
}

/// What a request tells about the credential it used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The provider did what it was asked.
    Success,
    /// The provider did not: a 5xx, a cut answer, a time-out, no connection.
    Failure,
    /// The provider wants fewer requests with this credential, as a 429 says.
    RateLimited {
        /// How long the provider wants to be left alone, if it says so.
        retry_after: Option<Duration>,
    },
    /// The provider refuses this credential, as a 401 says. Others may still be good.
    Unauthorized,
    /// Nothing: the request was the caller's fault or was cancelled.
    Neutral,
}

/// Whether requests pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// All pass.
    Closed { failures: u32 },
    /// None passes until then.
    Open { until: Instant },
    /// One passes, as the probe, unless one is under way.
    HalfOpen { is_probing: bool },
}

/// The breaker of one credential.
#[derive(Debug)]
struct Breaker {
    state: State,
    /// Counts changes of state. What a request of an earlier epoch reports is old news.
    epoch: u64,
    /// How often it has opened by failures since it was last closed.
    openings: u32,
    /// The end of the provider's last rate limit.
    limited_until: Option<Instant>,
}

// === impl Breaker ===

impl Breaker {
    const fn new() -> Self {
        Self {
            state: State::Closed { failures: 0 },
            epoch: 0,
            openings: 0,
            limited_until: None,
        }
    }

    /// The epoch of the request that may go, or how long it should wait.
    fn admit(&mut self, now: Instant) -> Result<u64, Rest> {
        let limited_for = self.limited_for(now);
        if !limited_for.is_zero() {
            return Err(Rest {
                wait: limited_for,
                is_rate_limit: true,
            });
        }
        let rest = |wait| {
            Err(Rest {
                wait,
                is_rate_limit: false,
            })
        };
        match self.state {
            State::Closed { .. } => {}
            State::Open { until } if now < until => return rest(until.duration_since(now)),
            State::HalfOpen { is_probing: true } => return rest(PROBE_PAUSE),
            State::Open { .. } | State::HalfOpen { is_probing: false } => {
                self.change(State::HalfOpen { is_probing: true });
            }
        }
        Ok(self.epoch)
    }

    /// Takes note of how the request of this epoch ended.
    fn report(&mut self, settings: &Settings, epoch: u64, outcome: Outcome, now: Instant) {
        if let Outcome::RateLimited { retry_after } = outcome {
            let pause = retry_after.map_or(RATE_LIMIT_PAUSE, |time| time.min(RATE_LIMIT_PAUSE_MAX));
            self.limited_until = self.limited_until.max(Some(now + pause));
        }
        if epoch != self.epoch {
            return;
        }
        match (outcome, &mut self.state) {
            (Outcome::Success, State::Closed { failures }) => *failures = 0,
            (Outcome::Success, _) => {
                self.openings = 0;
                self.change(State::Closed { failures: 0 });
            }
            (Outcome::Failure, State::Closed { failures }) => {
                *failures = failures.saturating_add(1);
                if *failures >= settings.failures_max {
                    self.open(settings, now);
                }
            }
            (Outcome::Failure, _) => self.open(settings, now),
            (Outcome::Unauthorized, _) => self.change(State::Open {
                until: now + settings.unauthorized,
            }),
            (Outcome::RateLimited { .. } | Outcome::Neutral, _) => self.give_back(epoch),
        }
    }

    /// A request that tells nothing: if it was the probe, another one may be.
    fn give_back(&mut self, epoch: u64) {
        if epoch == self.epoch && self.state == (State::HalfOpen { is_probing: true }) {
            self.state = State::HalfOpen { is_probing: false };
        }
    }

    /// Opens because of failures, each time for twice as long.
    fn open(&mut self, settings: &Settings, now: Instant) {
        let factor = 2_u32.saturating_pow(self.openings);
        let pause = settings
            .open_first
            .saturating_mul(factor)
            .min(settings.open_max);
        self.openings = self.openings.saturating_add(1);
        self.change(State::Open { until: now + pause });
    }

    fn change(&mut self, state: State) {
        self.state = state;
        self.epoch += 1;
    }

    fn limited_for(&self, now: Instant) -> Duration {
        let until = self.limited_until.unwrap_or(now);
        until.saturating_duration_since(now)
    }

    fn view(&self, credential: CredentialId, now: Instant) -> BreakerView {
        let limited_for = self.limited_for(now);
        let (condition, pause, failures) = match self.state {
            State::Closed { failures } if limited_for.is_zero() => {
                (Condition::Closed, limited_for, failures)
            }
            State::Closed { failures } => (Condition::RateLimited, limited_for, failures),
            State::Open { until } => (Condition::Open, until.saturating_duration_since(now), 0),
            State::HalfOpen { .. } => (Condition::HalfOpen, Duration::ZERO, 0),
        };
        BreakerView {
            credential,
            condition,
            failures,
            pause: pause.max(limited_for),
        }
    }
}

/// What metrics and people are shown of a breaker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BreakerView {
    pub(crate) credential: CredentialId,
    pub(crate) condition: Condition,
    /// Failures in a row while closed.
    pub(crate) failures: u32,
    /// How long no request passes.
    pub(crate) pause: Duration,
}

/// Whether a credential is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Condition {
    Closed,
    /// Closed, but waiting as long as the provider asked.
    RateLimited,
    Open,
    HalfOpen,
}

impl Condition {
    /// The word for it in metrics and on screens.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::RateLimited => "rate_limited",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
        }
    }
}

/// The breakers of all credentials.
///
/// Requests read the map without a lock; only one for a credential never seen before writes it.
#[derive(Debug)]
pub(crate) struct Breakers {
    settings: Settings,
    breakers: ArcSwap<HashMap<CredentialId, Arc<Mutex<Breaker>>>>,
}

// === impl Breakers ===

impl Breakers {
    /// All breakers closed.
    pub(crate) fn new(settings: Settings) -> Self {
        Self {
            settings,
            breakers: ArcSwap::default(),
        }
    }

    /// Lets a request use a credential, or says after how long it may be tried.
    pub(crate) fn admit(&self, id: CredentialId, now: Instant) -> Result<Permit, Rest> {
        let known = self.breakers.load().get(&id).cloned();
        let breaker = known.unwrap_or_else(|| self.insert(id));
        let epoch = lock(&breaker).admit(now)?;
        Ok(Permit {
            breaker,
            settings: self.settings,
            epoch,
            is_reported: false,
        })
    }

    /// Forgets the credentials that are not among these.
    pub(crate) fn retain(&self, live: &HashSet<CredentialId>) {
        if self.breakers.load().keys().all(|id| live.contains(id)) {
            return;
        }
        self.breakers.rcu(|breakers| {
            let mut remaining = HashMap::clone(breakers);
            remaining.retain(|id, _| live.contains(id));
            remaining
        });
    }

    /// All breakers that requests have used, in the order of their credentials.
    pub(crate) fn states(&self, now: Instant) -> Vec<BreakerView> {
        let breakers = self.breakers.load();
        let views = breakers.iter().map(|(id, one)| lock(one).view(*id, now));
        let mut views: Vec<_> = views.collect();
        views.sort_unstable_by_key(|view| view.credential);
        views
    }

    /// Another request may insert the same one meanwhile; all use the one that came first.
    fn insert(&self, id: CredentialId) -> Arc<Mutex<Breaker>> {
        let new = Arc::new(Mutex::new(Breaker::new()));
        let mut used = new.clone();
        self.breakers.rcu(|breakers| {
            let mut more = HashMap::clone(breakers);
            used = more.entry(id).or_insert_with(|| new.clone()).clone();
            more
        });
        used
    }
}

/// A breaker is whole between any two statements, so a panic elsewhere does not spoil it.
fn lock(breaker: &Mutex<Breaker>) -> MutexGuard<'_, Breaker> {
    breaker.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A request's leave to use a credential. Dropped without a report, it tells nothing.
#[derive(Debug)]
#[must_use]
pub(crate) struct Permit {
    breaker: Arc<Mutex<Breaker>>,
    settings: Settings,
    epoch: u64,
    is_reported: bool,
}

impl Permit {
    /// Says how the request ended.
    pub(crate) fn report(mut self, outcome: Outcome, now: Instant) {
        self.is_reported = true;
        lock(&self.breaker).report(&self.settings, self.epoch, outcome, now);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if !mem::replace(&mut self.is_reported, true) {
            lock(&self.breaker).give_back(self.epoch);
        }
    }
}

#[cfg(test)]
mod tests;
