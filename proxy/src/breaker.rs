//! Circuit breakers: what fails again and again is left alone for a while, then tried with a few
//! requests before the others follow.
//!
//! There is a circuit for each host (can it be reached?), for each key (is it accepted, has its
//! account money?) and for each model behind a key (does it serve, has it a rate limit?). What a
//! caller can bring about counts only for the model, and for others only if several teams see it.
//!
//! [`circuit`] and [`model`] decide, without clock or lock; [`Breakers`] keeps the circuits.
//! Nothing here knows providers: whether another key or model is tried is the plan's decision.

use std::borrow::Borrow;
use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::mem;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use tollgate_common::id::{CredentialId, TeamId};

use circuit::{Circuit, Rule, Shown};
use model::{Held, ModelCircuit, Ticket};

mod circuit;
mod model;
#[cfg(test)]
mod tests;

/// When circuits open, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Settings {
    /// So many failures open a circuit.
    pub(crate) failures_max: u32,
    /// How long it stays open the first time. Each failed probe doubles it.
    pub(crate) open_first: Duration,
    /// How long it stays open at most.
    pub(crate) open_max: Duration,
    /// How long that of a refused key stays open: it may be repaired at the provider.
    pub(crate) unauthorized: Duration,
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

impl Settings {
    const fn failing(&self) -> Rule {
        Rule {
            failures_max: self.failures_max,
            open_first: self.open_first,
            open_max: self.open_max,
        }
    }

    const fn refused(&self) -> Rule {
        Rule {
            failures_max: 1,
            open_first: self.unauthorized,
            open_max: self.unauthorized,
        }
    }
}

/// What a request uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unit<'a> {
    pub(crate) credential: CredentialId,
    /// The provider's name of the model.
    pub(crate) upstream_model: &'a str,
    pub(crate) host: &'a str,
    pub(crate) port: u16,
}

/// A request is not let through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// After how long it may be.
    pub(crate) wait: Duration,
    pub(crate) why: Why,
}

/// Why a request is not let through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Why {
    /// The provider has asked for it, and will serve again afterwards.
    RateLimited,
    /// The key is refused, or the host cannot be reached: no request would be served.
    Unusable,
    /// The model has failed lately. The request may be sent all the same, if nobody else can serve
    /// it.
    Failing,
}

/// What a request tells about what it used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The provider did what it was asked.
    Success,
    /// The provider answered, and what it said tells nothing of its health.
    Answered,
    /// The provider did not do it: a 5xx, a cut answer, a time-out. A caller may have caused it.
    Failure,
    /// The provider wants fewer requests for this model with this key, as a 429 says.
    RateLimited {
        /// How long the provider wants to be left alone, if it says so.
        retry_after: Option<Duration>,
    },
    /// The provider refuses the key or its account, as a 401 or a 402 says.
    KeyRefused,
    /// No connection could be made.
    Unreachable,
    /// Nothing: the request was not sent, or was cancelled.
    Neutral,
}

/// Something that decides, which is asked without a lock while there is nothing to decide.
trait Decides: Default {
    /// The epoch to report in, if nothing is remembered.
    fn clear_epoch(&self) -> Option<u64>;
}

impl Decides for Circuit {
    fn clear_epoch(&self) -> Option<u64> {
        Self::clear_epoch(self)
    }
}

impl Decides for ModelCircuit {
    fn clear_epoch(&self) -> Option<u64> {
        Self::clear_epoch(self)
    }
}

/// Stands for a circuit that has something to remember.
const NOT_CLEAR: u64 = u64::MAX;

/// A circuit behind a lock.
#[derive(Debug)]
struct Locked<T> {
    /// The epoch, or [`NOT_CLEAR`].
    clear_epoch: AtomicU64,
    circuit: Mutex<T>,
}

impl<T: Decides> Default for Locked<T> {
    fn default() -> Self {
        Self {
            clear_epoch: AtomicU64::new(0),
            circuit: Mutex::default(),
        }
    }
}

impl<T: Decides> Locked<T> {
    /// The epoch, if there is nothing to remember.
    fn clear_epoch(&self) -> Option<u64> {
        let epoch = self.clear_epoch.load(Ordering::Acquire);
        (epoch != NOT_CLEAR).then_some(epoch)
    }

    /// A circuit is whole between any two statements, so a panic elsewhere does not spoil it.
    fn with<R>(&self, work: impl FnOnce(&mut T) -> R) -> R {
        let mut circuit = self.circuit.lock().unwrap_or_else(PoisonError::into_inner);
        let done = work(&mut circuit);
        let epoch = circuit.clear_epoch().unwrap_or(NOT_CLEAR);
        self.clear_epoch.store(epoch, Ordering::Release);
        done
    }
}

/// Entries that requests read without a lock; only one for something new writes.
#[derive(Debug)]
struct Entries<K, V>(ArcSwap<HashMap<K, Arc<V>>>);

impl<K, V> Default for Entries<K, V> {
    fn default() -> Self {
        Self(ArcSwap::default())
    }
}

impl<K: Clone + Eq + Hash, V: Default> Entries<K, V> {
    /// Another request may insert the same one meanwhile; all use the one that came first.
    fn get<Q>(&self, key: &Q) -> Arc<V>
    where
        K: Borrow<Q>,
        Q: ToOwned<Owned = K> + Eq + Hash + ?Sized,
    {
        if let Some(known) = self.0.load().get(key) {
            return known.clone();
        }
        let new = Arc::new(V::default());
        let mut used = new.clone();
        self.0.rcu(|entries| {
            let mut more = HashMap::clone(entries);
            let entry = more.entry(key.to_owned());
            used = entry.or_insert_with(|| new.clone()).clone();
            more
        });
        used
    }

    fn retain(&self, is_kept: impl Fn(&K, &V) -> bool) {
        let entries = self.0.load();
        if entries.iter().all(|(key, value)| is_kept(key, value)) {
            return;
        }
        self.0.rcu(|entries| {
            let kept = entries.iter().filter(|(key, value)| is_kept(key, value));
            let kept = kept.map(|(key, value)| (key.clone(), value.clone()));
            kept.collect::<HashMap<K, Arc<V>>>()
        });
    }
}

/// A key and the models behind it.
#[derive(Debug, Default)]
struct Key {
    circuit: Locked<Circuit>,
    models: Entries<String, Locked<ModelCircuit>>,
}

/// A host by its ports.
type Ports = Entries<u16, Locked<Circuit>>;

/// All circuits.
#[derive(Debug)]
pub(crate) struct Breakers {
    settings: Settings,
    keys: Entries<CredentialId, Key>,
    hosts: Entries<String, Ports>,
}

impl Breakers {
    /// All circuits closed.
    pub(crate) fn new(settings: Settings) -> Self {
        Self {
            settings,
            keys: Entries::default(),
            hosts: Entries::default(),
        }
    }

    /// Lets a team's request use a model, or says why not.
    pub(crate) fn admit<'t>(
        &self,
        unit: Unit<'_>,
        team: &'t TeamId,
        now: Instant,
    ) -> Result<Permit<'t>, Refusal> {
        self.admit_by(unit, team, now, ModelCircuit::admit)
    }

    /// The same for a request that nobody else can serve: that a model has failed lately does not
    /// hold it back.
    pub(crate) fn admit_anyway<'t>(
        &self,
        unit: Unit<'_>,
        team: &'t TeamId,
        now: Instant,
    ) -> Result<Permit<'t>, Refusal> {
        self.admit_by(unit, team, now, ModelCircuit::admit_anyway)
    }

    fn admit_by<'t>(
        &self,
        unit: Unit<'_>,
        team: &'t TeamId,
        now: Instant,
        admit: fn(&mut ModelCircuit, &TeamId, Instant) -> Result<Ticket, Held>,
    ) -> Result<Permit<'t>, Refusal> {
        let key = self.keys.get(&unit.credential);
        let model = key.models.get(unit.upstream_model);
        let host = self.hosts.get(unit.host).get(&unit.port);
        let unusable = |wait| Refusal {
            wait,
            why: Why::Unusable,
        };
        let mut permit = Permit {
            team,
            settings: self.settings,
            host_epoch: pass(&host, team, now).map_err(unusable)?,
            host,
            key,
            key_epoch: None,
            model,
            ticket: None,
            is_reported: false,
        };
        // What was passed is given back if a later circuit refuses, because the permit is dropped.
        permit.key_epoch = Some(pass(&permit.key.circuit, team, now).map_err(unusable)?);
        let ticket = match permit.model.clear_epoch() {
            Some(epoch) => Ok(ModelCircuit::clear_ticket(epoch)),
            None => permit.model.with(|model| admit(model, team, now)),
        };
        permit.ticket = Some(ticket.map_err(|held| match held {
            Held::RateLimited(wait) => Refusal {
                wait,
                why: Why::RateLimited,
            },
            Held::Failing(wait) => Refusal {
                wait,
                why: Why::Failing,
            },
        })?);
        Ok(permit)
    }

    /// Forgets the keys that are not among these.
    pub(crate) fn retain(&self, live: &HashSet<CredentialId>) {
        self.keys.retain(|id, _| live.contains(id));
    }

    /// Forgets models and hosts of which nothing is remembered that still matters, so that those
    /// that are gone take no memory.
    pub(crate) fn sweep(&self, now: Instant) {
        for key in self.keys.0.load().values() {
            key.models
                .retain(|_, model| !model.with(|model| model.is_idle(now)));
        }
        self.hosts.retain(|_, ports| {
            ports.retain(|_, host| host.clear_epoch().is_none());
            !ports.0.load().is_empty()
        });
    }

    /// All circuits that are not simply closed, in the order of their keys; those of hosts first.
    pub(crate) fn states(&self, now: Instant) -> Vec<BreakerView> {
        let mut views = Vec::new();
        for (host, ports) in self.hosts.0.load().iter() {
            for (port, circuit) in ports.0.load().iter() {
                let shown = circuit.with(|circuit| circuit.shown(now));
                let subject = || Subject::Host {
                    host: host.clone(),
                    port: *port,
                };
                views.extend(shown.map(|shown| BreakerView::new(subject(), shown, 0)));
            }
        }
        for (credential, key) in self.keys.0.load().iter() {
            let shown = key.circuit.with(|circuit| circuit.shown(now));
            let subject = || Subject::Key(*credential);
            views.extend(shown.map(|shown| BreakerView::new(subject(), shown, 0)));
            for (upstream_model, model) in key.models.0.load().iter() {
                views.extend(self.model_state((*credential, upstream_model), model, now));
            }
        }
        views.sort_unstable_by(|one, other| one.subject.cmp(&other.subject));
        views
    }

    fn model_state(
        &self,
        (credential, upstream_model): (CredentialId, &str),
        model: &Locked<ModelCircuit>,
        now: Instant,
    ) -> Option<BreakerView> {
        let rule = self.settings.failing();
        let ((shared, own), limited_for, failures) = model.with(|model| {
            let limited_for = model.limited_for(now);
            (model.shown(now), limited_for, model.failures(&rule))
        });
        let teams = if shared.is_some() { 0 } else { own.len() };
        let subject = Subject::Model {
            credential,
            upstream_model: upstream_model.to_owned(),
            teams,
        };
        if let Some(shown) = shared.or_else(|| own.first().copied()) {
            return Some(BreakerView::new(subject, shown, failures));
        }
        (!limited_for.is_zero()).then_some(BreakerView {
            subject,
            condition: Condition::RateLimited,
            failures: 0,
            pause: limited_for,
        })
    }
}

/// The epoch in which a request passes a circuit that holds for all teams alike.
fn pass(circuit: &Locked<Circuit>, team: &TeamId, now: Instant) -> Result<u64, Duration> {
    match circuit.clear_epoch() {
        Some(epoch) => Ok(epoch),
        None => circuit.with(|circuit| circuit.admit(team, now)),
    }
}

/// A request's leave to use a model. Dropped without a report, it tells nothing.
#[derive(Debug)]
#[must_use]
pub(crate) struct Permit<'t> {
    team: &'t TeamId,
    settings: Settings,
    host: Arc<Locked<Circuit>>,
    host_epoch: u64,
    key: Arc<Key>,
    key_epoch: Option<u64>,
    model: Arc<Locked<ModelCircuit>>,
    ticket: Option<Ticket>,
    is_reported: bool,
}

impl Permit<'_> {
    /// Says how the request ended.
    pub(crate) fn report(mut self, outcome: Outcome, now: Instant) {
        self.is_reported = true;
        self.report_host(outcome, now);
        self.report_key(outcome, now);
        self.report_model(outcome, now);
    }

    fn report_host(&self, outcome: Outcome, now: Instant) {
        let epoch = self.host_epoch;
        match outcome {
            Outcome::Neutral => self.give_back_host(),
            Outcome::Unreachable => {
                let rule = self.settings.failing();
                self.host.with(|host| host.fail(&rule, epoch, now));
            }
            _ if self.host.clear_epoch().is_some() => {}
            _ => self.host.with(|host| host.succeed(epoch)),
        }
    }

    fn report_key(&self, outcome: Outcome, now: Instant) {
        let circuit = &self.key.circuit;
        let Some(epoch) = self.key_epoch else { return };
        match outcome {
            Outcome::KeyRefused => {
                let rule = self.settings.refused();
                circuit.with(|key| key.fail(&rule, epoch, now));
            }
            // Whether a key is accepted is known before anything else can go wrong but this.
            Outcome::Failure | Outcome::Unreachable | Outcome::Neutral => self.give_back_key(),
            _ if circuit.clear_epoch().is_some() => {}
            _ => circuit.with(|key| key.succeed(epoch)),
        }
    }

    fn report_model(&self, outcome: Outcome, now: Instant) {
        let (model, team, rule) = (&self.model, self.team, self.settings.failing());
        let Some(ticket) = self.ticket else { return };
        match outcome {
            Outcome::Success if model.clear_epoch().is_some() => {}
            Outcome::Success => model.with(|model| model.succeed(&rule, ticket, team, now)),
            Outcome::Failure => model.with(|model| model.fail(&rule, ticket, team, now)),
            Outcome::RateLimited { retry_after } => model.with(|model| {
                model.give_back(ticket, team);
                model.limit(retry_after, now);
            }),
            _ => self.give_back_model(),
        }
    }

    fn give_back_host(&self) {
        if self.host.clear_epoch().is_none() {
            let (epoch, team) = (self.host_epoch, self.team);
            self.host.with(|host| host.give_back(epoch, team));
        }
    }

    fn give_back_key(&self) {
        let circuit = &self.key.circuit;
        if let (Some(epoch), None) = (self.key_epoch, circuit.clear_epoch()) {
            circuit.with(|key| key.give_back(epoch, self.team));
        }
    }

    fn give_back_model(&self) {
        if let (Some(ticket), None) = (self.ticket, self.model.clear_epoch()) {
            self.model.with(|model| model.give_back(ticket, self.team));
        }
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        if !mem::replace(&mut self.is_reported, true) {
            self.give_back_host();
            self.give_back_key();
            self.give_back_model();
        }
    }
}

/// What a circuit is of.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Subject {
    Host {
        host: String,
        port: u16,
    },
    Key(CredentialId),
    Model {
        credential: CredentialId,
        upstream_model: String,
        /// For how many teams alone it is open; 0 if for all.
        teams: usize,
    },
}

/// What people are shown of a circuit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BreakerView {
    pub(crate) subject: Subject,
    pub(crate) condition: Condition,
    /// Failures that are remembered of a model.
    pub(crate) failures: u32,
    /// How long no request passes.
    pub(crate) pause: Duration,
}

impl BreakerView {
    const fn new(subject: Subject, shown: Shown, failures: u32) -> Self {
        let (condition, pause) = match shown {
            Shown::Open(pause) => (Condition::Open, pause),
            Shown::HalfOpen => (Condition::HalfOpen, Duration::ZERO),
        };
        Self {
            subject,
            condition,
            failures,
            pause,
        }
    }
}

/// Why something is not simply used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Condition {
    /// It waits as long as the provider asked.
    RateLimited,
    Open,
    HalfOpen,
}

impl Condition {
    /// The word for it in logs and on screens.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::RateLimited => "rate_limited",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
        }
    }
}
