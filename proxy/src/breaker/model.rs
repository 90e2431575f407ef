//! The circuit of a model behind a key. Its failures may be of a caller's own making: a prompt that
//! breaks the server, an answer that takes long. So a team's failures open the circuit for that
//! team alone; it opens for all only when several teams see it fail, more than see it work.

use std::time::{Duration, Instant};

use tollgate_common::id::TeamId;

use super::circuit::{Gate, Rule, Shown};

/// How long a rate limit is respected if the provider does not say how long.
const RATE_LIMIT_PAUSE: Duration = Duration::from_secs(2);

/// A provider that asks for more patience is asked again sooner all the same.
const RATE_LIMIT_PAUSE_MAX: Duration = Duration::from_mins(1);

/// So many teams must see a model fail before it counts as failing for all.
const TEAMS_MIN: usize = 2;

/// How many teams are remembered of one model, those that were seen last.
const TEAMS_MAX: usize = 64;

/// What a team has seen is forgotten after so long without a call of its own.
const EVIDENCE_AGE_MAX: Duration = Duration::from_mins(1);

/// How many outcomes are remembered of a team.
const OUTCOMES_MAX: u32 = u64::BITS;

/// Why a request is not let through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Held {
    /// The provider has asked for it.
    RateLimited(Duration),
    /// It has failed lately; others may be better.
    Failing(Duration),
}

/// The epochs in which a request was let through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ticket {
    shared: u64,
    own: u64,
}

/// What one team has seen lately.
#[derive(Debug)]
struct TeamRecord {
    team: TeamId,
    /// The circuit for this team alone.
    own: Gate,
    /// The last outcomes, the latest in the lowest bit; a set bit is a failure.
    outcomes: u64,
    observed: u32,
    failures_in_row: u32,
    last_at: Instant,
}

impl TeamRecord {
    fn new(team: &TeamId, now: Instant) -> Self {
        Self {
            team: team.clone(),
            own: Gate::default(),
            outcomes: 0,
            observed: 0,
            failures_in_row: 0,
            last_at: now,
        }
    }

    fn observe(&mut self, is_failure: bool, now: Instant) {
        self.outcomes = self.outcomes << 1 | u64::from(is_failure);
        self.observed = (self.observed + 1).min(OUTCOMES_MAX);
        self.failures_in_row = if is_failure {
            self.failures_in_row.saturating_add(1)
        } else {
            0
        };
        self.last_at = now;
    }

    fn forget(&mut self) {
        (self.outcomes, self.observed, self.failures_in_row) = (0, 0, 0);
    }

    /// Failures among the latest outcomes, at most twice as many as open a circuit; and how many
    /// outcomes these are.
    fn recent(&self, rule: &Rule) -> (u32, u32) {
        let window = rule.failures_max.saturating_mul(2).min(self.observed);
        let latest = match window {
            0 => 0,
            _ => self.outcomes << (OUTCOMES_MAX - window),
        };
        (
            latest.count_ones().max(self.failures_in_row),
            window.max(self.failures_in_row),
        )
    }

    /// Whether more of its requests have failed than not.
    fn sees_failure(&self, rule: &Rule) -> bool {
        let (failures, all) = self.recent(rule);
        failures * 2 > all
    }
}

/// The circuit of one model behind one key.
#[derive(Debug, Default)]
pub(super) struct ModelCircuit {
    /// The circuit for all teams.
    shared: Gate,
    /// The teams whose requests have failed since it is half-open.
    failed_probes: Vec<TeamId>,
    /// What teams have seen, as long as any of them has seen a failure.
    teams: Vec<TeamRecord>,
    /// The end of the provider's last rate limit.
    limited_until: Option<Instant>,
}

impl ModelCircuit {
    /// Lets a team's request through, or says why not.
    pub(super) fn admit(&mut self, team: &TeamId, now: Instant) -> Result<Ticket, Held> {
        self.respect_limit(now)?;
        let shared = self.shared.pass(team, now).map_err(Held::Failing)?;
        let own = match self.teams.iter_mut().find(|record| record.team == *team) {
            None => Ok(0),
            Some(record) => record.own.pass(team, now),
        };
        match own {
            Ok(own) => Ok(Ticket { shared, own }),
            Err(wait) => {
                self.shared.end_probe(shared, team);
                Err(Held::Failing(wait))
            }
        }
    }

    /// Lets a request through that nobody else can serve. Only the provider's own limit holds.
    pub(super) fn admit_anyway(&mut self, team: &TeamId, now: Instant) -> Result<Ticket, Held> {
        self.respect_limit(now)?;
        let record = self.teams.iter().find(|record| record.team == *team);
        Ok(Ticket {
            shared: self.shared.epoch(),
            own: record.map_or(0, |record| record.own.epoch()),
        })
    }

    fn respect_limit(&mut self, now: Instant) -> Result<(), Held> {
        match self.limited_until {
            Some(until) if now < until => Err(Held::RateLimited(until - now)),
            _ => {
                self.limited_until = None;
                Ok(())
            }
        }
    }

    /// The provider wants fewer requests for this model with this key.
    pub(super) fn limit(&mut self, retry_after: Option<Duration>, now: Instant) {
        let pause = retry_after.map_or(RATE_LIMIT_PAUSE, |time| time.min(RATE_LIMIT_PAUSE_MAX));
        self.limited_until = self.limited_until.max(Some(now + pause));
    }

    /// A request has succeeded.
    pub(super) fn succeed(&mut self, rule: &Rule, ticket: Ticket, team: &TeamId, now: Instant) {
        if self.teams.is_empty() && self.shared.is_closed() {
            return;
        }
        let record = self.record(team, now);
        record.observe(false, now);
        if ticket.own == record.own.epoch() && !record.own.is_closed() {
            record.own.close();
            record.forget();
        }
        let is_current = ticket.shared == self.shared.epoch();
        if !self.shared.is_closed() && (is_current || !self.fails_for_all(rule)) {
            self.shared.close();
            self.teams.retain(|record| !record.own.is_closed());
        }
        let has_failures = |record: &TeamRecord| record.outcomes != 0 || !record.own.is_closed();
        if self.shared.is_closed() && !self.teams.iter().any(has_failures) {
            self.teams.clear();
        }
    }

    /// A request has failed.
    pub(super) fn fail(&mut self, rule: &Rule, ticket: Ticket, team: &TeamId, now: Instant) {
        let record = self.record(team, now);
        record.observe(true, now);
        let failures = record.recent(rule).0;
        let is_failed_probe = record.own.is_half_open() && ticket.own == record.own.epoch();
        if is_failed_probe || (record.own.is_closed() && failures >= rule.failures_max) {
            record.own.open(rule, now);
        }
        if self.shared.is_closed() {
            if self.fails_for_all(rule) {
                self.failed_probes.clear();
                self.shared.open(rule, now);
            }
        } else if self.shared.is_half_open() && ticket.shared == self.shared.epoch() {
            if !self.failed_probes.contains(team) {
                self.failed_probes.push(team.clone());
            }
            // A probe of one team may fail by that team's own doing.
            if self.failed_probes.len() >= TEAMS_MIN {
                self.failed_probes.clear();
                self.shared.open(rule, now);
            }
        }
    }

    /// A request tells nothing about the model.
    pub(super) fn give_back(&mut self, ticket: Ticket, team: &TeamId) {
        self.shared.end_probe(ticket.shared, team);
        if let Some(record) = self.teams.iter_mut().find(|record| record.team == *team) {
            record.own.end_probe(ticket.own, team);
        }
    }

    /// Whether several teams see it fail, more than see it work. No team's failures weigh more than
    /// half of what opens a circuit.
    fn fails_for_all(&self, rule: &Rule) -> bool {
        let failing = self.teams.iter().filter(|team| team.sees_failure(rule));
        let failing: Vec<&TeamRecord> = failing.collect();
        let share_max = rule.failures_max.div_ceil(2);
        let weight: u32 = failing
            .iter()
            .map(|team| team.recent(rule).0.min(share_max))
            .fold(0, u32::saturating_add);
        failing.len() >= TEAMS_MIN
            && failing.len() * 2 > self.teams.len()
            && weight >= rule.failures_max
    }

    /// What a team has seen; the oldest record makes room for a new one.
    fn record(&mut self, team: &TeamId, now: Instant) -> &mut TeamRecord {
        self.teams.retain(|record| {
            let kept_for = if record.own.is_closed() { 1 } else { 10 };
            record.team == *team || now < record.last_at + EVIDENCE_AGE_MAX * kept_for
        });
        let found = self.teams.iter().position(|record| record.team == *team);
        let index = found.unwrap_or_else(|| {
            if self.teams.len() >= TEAMS_MAX {
                let oldest = self.teams.iter().enumerate();
                let oldest = oldest.min_by_key(|(_, record)| record.last_at);
                let oldest = oldest.map_or(0, |(index, _)| index);
                self.teams.swap_remove(oldest);
            }
            self.teams.push(TeamRecord::new(team, now));
            self.teams.len() - 1
        });
        let record = &mut self.teams[index];
        if now >= record.last_at + EVIDENCE_AGE_MAX {
            record.forget();
        }
        record
    }

    /// The epoch, if there is nothing to remember.
    pub(super) fn clear_epoch(&self) -> Option<u64> {
        let is_clear =
            self.teams.is_empty() && self.shared.is_closed() && self.limited_until.is_none();
        is_clear.then_some(self.shared.epoch())
    }

    /// The ticket of a request that finds nothing remembered.
    pub(super) const fn clear_ticket(epoch: u64) -> Ticket {
        Ticket {
            shared: epoch,
            own: 0,
        }
    }

    /// Whether nothing is remembered that still matters.
    pub(super) fn is_idle(&self, now: Instant) -> bool {
        let is_old = |record: &TeamRecord| now >= record.last_at + EVIDENCE_AGE_MAX;
        self.shared.is_closed() && self.limited_for(now).is_zero() && self.teams.iter().all(is_old)
    }

    /// How long the provider still wants to be left alone.
    pub(super) fn limited_for(&self, now: Instant) -> Duration {
        let until = self.limited_until.unwrap_or(now);
        until.saturating_duration_since(now)
    }

    /// The circuit for all teams, and for how many teams alone it is open.
    pub(super) fn shown(&self, now: Instant) -> (Option<Shown>, Vec<Shown>) {
        let own = self.teams.iter().filter_map(|record| record.own.shown(now));
        (self.shared.shown(now), own.collect())
    }

    /// Failures that are remembered, of all teams.
    pub(super) fn failures(&self, rule: &Rule) -> u32 {
        let failures = self.teams.iter().map(|record| record.recent(rule).0);
        failures.fold(0, u32::saturating_add)
    }
}
