//! What the writer remembers of the teams that it serves, so that a call need not read its job
//! again.
//!
//! Every transaction that touches a team's account, jobs or calls moves the version of its account.
//! What is remembered is good only together with the version under which it was read or written, so
//! a change by another node or by an administrator is always seen.

use std::collections::{HashMap, HashSet};

use super::call::OpenCall;
use crate::id::{CallId, JobId, TeamId};
use crate::job::Job;
use crate::price::PriceId;

/// How many jobs and calls are added before all are forgotten. Most weigh some hundred bytes; a job
/// weighs its metadata too.
const ADDITIONS_MAX: usize = 20_000;

/// What is remembered of one team.
#[derive(Debug, Default)]
struct KnownTeam {
    version: i64,
    open_jobs: HashMap<JobId, Job>,
    open_calls: HashMap<CallId, OpenCall>,
}

/// What the writer remembers.
#[derive(Debug, Default)]
pub struct Known {
    teams: HashMap<TeamId, KnownTeam>,
    /// Prices that are in the database; they never change.
    prices: HashSet<PriceId>,
    additions: usize,
}

impl Known {
    /// Forgets a team unless its account still has the version under which it was remembered.
    pub(crate) fn confirm(&mut self, team_id: &TeamId, version: i64) {
        if self
            .teams
            .get(team_id)
            .is_some_and(|team| team.version != version)
        {
            self.teams.remove(team_id);
        }
    }

    /// An open job of a confirmed team.
    pub(crate) fn job(&self, team_id: &TeamId, id: JobId) -> Option<&Job> {
        self.teams.get(team_id)?.open_jobs.get(&id)
    }

    /// A call in flight of a confirmed team.
    pub(crate) fn call(&self, team_id: &TeamId, id: CallId) -> Option<&OpenCall> {
        self.teams.get(team_id)?.open_calls.get(&id)
    }

    /// Whether a price is known to be written.
    pub(crate) fn has_price(&self, id: PriceId) -> bool {
        self.prices.contains(&id)
    }

    /// Remembers that a price is written.
    pub(crate) fn put_price(&mut self, id: PriceId) {
        self.additions += 1;
        self.prices.insert(id);
    }

    /// Notes the version under which a team was written.
    pub(crate) fn set_version(&mut self, team_id: &TeamId, version: i64) {
        self.teams.entry(team_id.clone()).or_default().version = version;
    }

    /// Remembers a job as it was written, or forgets it if it has ended.
    pub(crate) fn put_job(&mut self, job: Job) {
        let Some(team) = self.teams.get_mut(&job.team_id) else {
            return;
        };
        if job.state.is_open() {
            self.additions += 1;
            team.open_jobs.insert(job.id, job);
        } else {
            team.open_jobs.remove(&job.id);
        }
    }

    /// Remembers a call in flight.
    pub(crate) fn put_call(&mut self, team_id: &TeamId, call: OpenCall) {
        if let Some(team) = self.teams.get_mut(team_id) {
            self.additions += 1;
            team.open_calls.insert(call.id, call);
        }
    }

    /// Forgets a call that has ended.
    pub(crate) fn drop_call(&mut self, team_id: &TeamId, id: CallId) {
        if let Some(team) = self.teams.get_mut(team_id) {
            team.open_calls.remove(&id);
        }
    }

    /// Keeps the memory bounded: after so many additions everything is forgotten, and what is still
    /// at work is read again once.
    pub(crate) fn trim(&mut self) {
        if self.additions > ADDITIONS_MAX {
            *self = Self::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{SystemRandom, Timestamp};
    use crate::db::job::totals::CallSums;
    use crate::job::{CallState, Spend};

    #[test]
    fn a_team_is_forgotten_when_its_version_has_moved() {
        let team: TeamId = "t".parse().unwrap();
        let id = CallId::new(Timestamp::from_micros(0), &SystemRandom);
        let call = OpenCall {
            id,
            state: CallState::InFlight,
            reserved: Spend::default(),
            recorded: CallSums::default(),
        };
        let mut known = Known::default();
        known.set_version(&team, 7);
        known.put_call(&team, call);
        known.confirm(&team, 7);
        assert!(known.call(&team, id).is_some());
        known.confirm(&team, 8);
        assert!(known.call(&team, id).is_none());
    }
}
