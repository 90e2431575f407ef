//! When data is read again.

use std::time::Duration;

use tollgate_common::clock::Timestamp;

use super::Owner;
use crate::dashboard::context::Link;
use crate::dashboard::model::Model;
use crate::dashboard::step::Effect;

/// How often a watched screen asks a database that does not tell of changes.
const ASKING: Duration = Duration::from_millis(800);

/// The least time between two readings after the database has told of changes.
const TOLD: Duration = Duration::from_millis(400);

/// How often a screen is read again although nothing has told of a change: figures that depend on
/// the time.
const UNTOLD: Duration = Duration::from_secs(10);

/// How often a screen that has lost the keyboard is read.
const UNFOCUSED: Duration = Duration::from_secs(5);

/// How often a screen is read that nobody has touched for long.
const RESTING: Duration = Duration::from_secs(30);
const RESTS_AFTER: Duration = Duration::from_mins(5);

/// How long a reading may take before another is begun beside it.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long to wait before each further try to reach the database, in seconds.
const RETRIES: [u64; 5] = [1, 2, 4, 8, 15];

impl Model {
    /// When the screen is to be read again, if ever.
    pub(super) fn refresh_at(&self) -> Option<Timestamp> {
        if self.context.frozen {
            return None;
        }
        if let Link::Offline { retry_at, .. } = self.context.link {
            return Some(retry_at);
        }
        let waiting = self.place.last().and_then(|top| top.waiting.values().min());
        if let Some(since) = waiting {
            return Some(since.plus(PATIENCE));
        }
        Some(self.refreshed_at.plus(self.period()))
    }

    fn period(&self) -> Duration {
        let untouched = self.context.now.since(self.key_at);
        let watched = match (self.has_bell, self.changed) {
            (true, true) => TOLD,
            (true, false) => UNTOLD,
            (false, _) => ASKING,
        };
        if untouched > RESTS_AFTER {
            watched.max(RESTING)
        } else if !self.has_focus {
            watched.max(UNFOCUSED)
        } else {
            watched
        }
    }

    pub(super) fn refresh_if_due(&mut self, effects: &mut Vec<Effect>) {
        let now = self.context.now;
        if self.refresh_at().is_some_and(|due| due <= now) {
            self.refresh(effects);
        }
    }

    /// Reads what the screen shows, now.
    pub(super) fn refresh(&mut self, effects: &mut Vec<Effect>) {
        self.refreshed_at = self.context.now;
        self.changed = false;
        if let Link::Offline { retry_at, .. } = &mut self.context.link {
            // The answer says when to try again.
            *retry_at = self.context.now.plus(PATIENCE);
        }
        let Some(top) = self.place.last_mut() else {
            return;
        };
        let owner: Owner = top.number;
        let steps = top.item.refresh(&self.context);
        self.follow(owner, steps, effects);
    }

    /// Takes note that the database cannot be reached.
    pub(super) fn lose_link(&mut self) {
        let now = self.context.now;
        let (since, tries) = match self.context.link {
            Link::Live(since) => (since, 0),
            Link::Connecting => (now, 0),
            Link::Offline { since, tries, .. } => (since, tries),
        };
        let last = RETRIES.len() - 1;
        let wait = RETRIES[last.min(tries as usize)];
        // Dashboards that lost the same database do not all return at once.
        let jitter = self.last_number % 10 * 50;
        self.context.link = Link::Offline {
            since,
            retry_at: now.plus(Duration::from_millis(wait * 1_000 + jitter)),
            tries: tries + 1,
        };
    }
}
