//! How many refused jobs of a team are recorded: whoever has no credits must not fill the disk.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use tollgate_common::clock::Timestamp;
use tollgate_common::id::TeamId;

const MICROS_PER_MINUTE: i64 = 60_000_000;

#[derive(Debug, Default)]
struct Minute {
    number: i64,
    counts: HashMap<TeamId, u32>,
}

/// Counts the refused jobs that each team has had recorded in the current minute.
#[derive(Debug)]
pub(crate) struct RefusalCounter {
    minute_max: u32,
    minute: Mutex<Minute>,
}

impl RefusalCounter {
    pub(crate) fn new(minute_max: u32) -> Self {
        Self {
            minute_max,
            minute: Mutex::default(),
        }
    }

    /// Whether another refused job of the team is recorded.
    pub(crate) fn may_record(&self, team_id: &TeamId, now: Timestamp) -> bool {
        let number = now.as_micros() / MICROS_PER_MINUTE;
        let mut minute = self.minute.lock().unwrap_or_else(PoisonError::into_inner);
        if minute.number != number {
            *minute = Minute {
                number,
                counts: HashMap::new(),
            };
        }
        let count = minute.counts.entry(team_id.clone()).or_default();
        *count = count.saturating_add(1);
        *count <= self.minute_max
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_team_has_its_number_in_each_minute() {
        let counter = RefusalCounter::new(2);
        let (one, other): (TeamId, TeamId) = ("one".parse().unwrap(), "other".parse().unwrap());
        let at = Timestamp::from_micros;
        let seen = [0, 1, 2].map(|micros| counter.may_record(&one, at(micros)));
        assert_eq!(seen, [true, true, false]);
        assert!(counter.may_record(&other, at(3)));
        assert!(counter.may_record(&one, at(MICROS_PER_MINUTE)));
    }
}
