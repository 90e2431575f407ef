//! What becomes of a job, decided when it is created.

use std::time::Duration;

use tollgate_common::clock::Timestamp;
use tollgate_common::id::JobId;
use tollgate_common::job::{Job, JobState, Spend};
use tollgate_common::money::Credits;

use super::super::call::Planned;
use super::super::cast::{Offer, Player};
use super::super::dice::Dice;

/// How a job ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// Well.
    Completed,
    /// Its owner gave it up.
    Failed,
    /// Nobody ended it, until it expired.
    Forgotten,
    /// An administrator ended it.
    Cancelled,
}

impl Fate {
    pub(super) const fn state(self) -> JobState {
        match self {
            Self::Completed => JobState::Completed,
            Self::Failed | Self::Forgotten => JobState::Failed,
            Self::Cancelled => JobState::Cancelled,
        }
    }

    pub(super) const fn message(self) -> &'static str {
        match self {
            Self::Completed => "",
            Self::Failed => "no model answered",
            Self::Forgotten => "expired: no call for 24 hours",
            Self::Cancelled => "stuck for long",
        }
    }

    /// Most jobs whose last call failed fail.
    pub(super) fn after_failure(self, dice: &Dice) -> Self {
        match self {
            Self::Completed if dice.chance(850) => Self::Failed,
            other => other,
        }
    }
}

/// What a job is going to do.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) calls: Vec<Planned>,
    pub(super) fate: Fate,
}

/// After how long a forgotten job expires.
const EXPIRY: Duration = Duration::from_hours(24);

impl Plan {
    pub(super) fn new(dice: &Dice, offers: &[Offer], sums: &[u64], single: bool) -> Self {
        let count = match dice.below(100) {
            _ if single => 1,
            0..5 => 0,
            5..65 => 1,
            65..90 => 2,
            90..97 => 3,
            _ => 5,
        };
        let fate = match dice.below(1_000) {
            _ if single => Fate::Completed,
            0..4 => Fate::Forgotten,
            4..10 => Fate::Cancelled,
            10..20 => Fate::Failed,
            _ => Fate::Completed,
        };
        Self {
            calls: (0..count)
                .map(|_| Planned::new(dice, offers, sums))
                .collect(),
            fate,
        }
    }

    /// Lets it still be open at a moment that is so far away.
    pub(super) fn outlast(&mut self, time: Duration) {
        match self.calls.first_mut() {
            Some(call) => {
                let longer = time.as_millis() as i64 + 30_000;
                call.latency_ms = call.latency_ms.max(longer);
            }
            None => self.fate = Fate::Forgotten,
        }
    }

    /// When the step after so many calls follows on one at `at`.
    pub(super) fn next_at(&self, begun: usize, at: Timestamp) -> Timestamp {
        match (self.calls.get(begun), self.fate) {
            (Some(call), _) => at.plus(Duration::from_micros(call.after as u64)),
            (None, Fate::Forgotten) => at.plus(EXPIRY),
            (None, Fate::Cancelled) => at.plus(Duration::from_mins(47)),
            (None, Fate::Completed | Fate::Failed) => at.plus(Duration::from_millis(9)),
        }
    }
}

/// Types of jobs and how frequent they are in a hundred.
const TYPES: [(&str, u64); 7] = [
    ("chat", 40),
    ("summarise", 20),
    ("extract", 15),
    ("classify", 10),
    ("embed-batch", 7),
    ("eval", 5),
    ("agent", 3),
];

/// A job that was just created, and its type.
pub(super) fn job(dice: &Dice, player: &Player, at: Timestamp) -> (&'static str, Job) {
    let mut target = dice.below(100);
    let mut job_type = TYPES[0].0;
    for (name, share) in TYPES {
        job_type = name;
        if target < share {
            break;
        }
        target -= share;
    }
    let user = dice.skewed(1, 900);
    let metadata = match dice.below(4) {
        0 => format!("{{\"ticket\":{}}}", 10_000 + dice.below(90_000)),
        1 => "{\"channel\":\"web\"}".to_owned(),
        _ => "{}".to_owned(),
    };
    let job = Job {
        id: JobId::new(at, dice),
        team_id: player.id.clone(),
        org_id: player.org_id.clone(),
        state: JobState::Pending,
        terms: player.terms,
        hold: Credits::ZERO,
        credits_max: dice.chance(60).then_some(Credits(500)),
        spent: Spend::default(),
        reserved: Spend::default(),
        single_call: dice.chance(520),
        job_type: job_type.to_owned(),
        user_id: dice.chance(700).then(|| format!("user-{user:03}")),
        metadata,
        error_message: None,
        charged: None,
        credits_remaining: None,
        created_at: at,
        started_at: None,
        completed_at: None,
        active_at: at,
        updated_at: at,
    };
    (job_type, job)
}
