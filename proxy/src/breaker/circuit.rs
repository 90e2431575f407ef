//! The states of a circuit, and the circuit of a key or a host. Time is an argument.

use std::time::{Duration, Instant};

use tollgate_common::id::TeamId;

/// How many requests may probe a half-open circuit at once.
const PROBES_MAX: usize = 4;

/// How many of them may be of one team, so that no team can take all places.
const TEAM_PROBES_MAX: usize = 2;

/// A probe that takes longer gives its place to the next one: a slow answer is no reason to let
/// others wait.
const PROBE_AGE_MAX: Duration = Duration::from_secs(5);

/// What those are told who find all places of probes taken.
pub(super) const PROBE_PAUSE: Duration = Duration::from_secs(1);

/// When a circuit opens, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rule {
    /// So many failures open it.
    pub(super) failures_max: u32,
    /// How long it stays open the first time. Each failed probe doubles it.
    pub(super) open_first: Duration,
    /// How long it stays open at most.
    pub(super) open_max: Duration,
}

/// A request that finds out whether things are well again.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Probe {
    team: TeamId,
    began_at: Instant,
}

/// Whether requests pass.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
enum State {
    /// All pass.
    #[default]
    Closed,
    /// None passes until then.
    Open { until: Instant },
    /// Some pass, as probes.
    HalfOpen { probes: Vec<Probe> },
}

/// What people are shown of a circuit that is not closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shown {
    Open(Duration),
    HalfOpen,
}

/// Closed, open or half-open.
#[derive(Debug, Default)]
pub(super) struct Gate {
    state: State,
    /// Counts changes of state. What a request of an earlier epoch reports is old news.
    epoch: u64,
    /// How often it has opened since it was last closed.
    openings: u32,
}

impl Gate {
    /// The epoch of a request that may pass, or how long it should wait.
    pub(super) fn pass(&mut self, team: &TeamId, now: Instant) -> Result<u64, Duration> {
        let probe = || Probe {
            team: team.clone(),
            began_at: now,
        };
        match &mut self.state {
            State::Closed => {}
            State::Open { until } if now < *until => return Err(until.duration_since(now)),
            State::Open { .. } => {
                let probes = vec![probe()];
                self.change(State::HalfOpen { probes });
            }
            State::HalfOpen { probes } => {
                probes.retain(|probe| now < probe.began_at + PROBE_AGE_MAX);
                let own = probes.iter().filter(|probe| probe.team == *team).count();
                if own >= TEAM_PROBES_MAX || probes.len() >= PROBES_MAX {
                    return Err(PROBE_PAUSE);
                }
                probes.push(probe());
            }
        }
        Ok(self.epoch)
    }

    /// Gives the place of a probe back that tells nothing.
    pub(super) fn end_probe(&mut self, epoch: u64, team: &TeamId) {
        if let State::HalfOpen { probes } = &mut self.state
            && epoch == self.epoch
            && let Some(index) = probes.iter().position(|probe| probe.team == *team)
        {
            probes.swap_remove(index);
        }
    }

    /// Opens, each time for twice as long.
    pub(super) fn open(&mut self, rule: &Rule, now: Instant) {
        let factor = 2_u32.saturating_pow(self.openings);
        let pause = rule.open_first.saturating_mul(factor).min(rule.open_max);
        self.openings = self.openings.saturating_add(1);
        self.change(State::Open { until: now + pause });
    }

    pub(super) fn close(&mut self) {
        if !self.is_closed() {
            self.openings = 0;
            self.change(State::Closed);
        }
    }

    fn change(&mut self, state: State) {
        self.state = state;
        self.epoch += 1;
    }

    pub(super) const fn epoch(&self) -> u64 {
        self.epoch
    }

    pub(super) fn is_closed(&self) -> bool {
        self.state == State::Closed
    }

    pub(super) const fn is_half_open(&self) -> bool {
        matches!(self.state, State::HalfOpen { .. })
    }

    /// What people are shown; nothing while it is closed. An open circuit whose time is over lets
    /// the next request pass.
    pub(super) fn shown(&self, now: Instant) -> Option<Shown> {
        match self.state {
            State::Closed => None,
            State::Open { until } if now < until => Some(Shown::Open(until - now)),
            State::Open { .. } | State::HalfOpen { .. } => Some(Shown::HalfOpen),
        }
    }
}

/// The circuit of a key or a host: it opens after failures in a row that no caller can bring about,
/// whoever sees them, and nothing passes while it is open.
#[derive(Debug, Default)]
pub(super) struct Circuit {
    gate: Gate,
    failures: u32,
}

impl Circuit {
    pub(super) fn admit(&mut self, team: &TeamId, now: Instant) -> Result<u64, Duration> {
        self.gate.pass(team, now)
    }

    /// A request of this epoch has failed.
    pub(super) fn fail(&mut self, rule: &Rule, epoch: u64, now: Instant) {
        if epoch != self.gate.epoch() {
            return;
        }
        self.failures = self.failures.saturating_add(1);
        if self.gate.is_half_open() || self.failures >= rule.failures_max {
            self.failures = 0;
            self.gate.open(rule, now);
        }
    }

    /// A request of this epoch shows that all is well.
    pub(super) fn succeed(&mut self, epoch: u64) {
        if epoch == self.gate.epoch() {
            self.failures = 0;
            self.gate.close();
        }
    }

    /// A request of this epoch tells nothing.
    pub(super) fn give_back(&mut self, epoch: u64, team: &TeamId) {
        self.gate.end_probe(epoch, team);
    }

    /// The epoch, if there is nothing to remember.
    pub(super) fn clear_epoch(&self) -> Option<u64> {
        (self.failures == 0 && self.gate.is_closed()).then_some(self.gate.epoch())
    }

    pub(super) fn shown(&self, now: Instant) -> Option<Shown> {
        self.gate.shown(now)
    }
}
