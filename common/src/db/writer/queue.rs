//! The writer's queue: one queue for each team, served in turn, so that a flood of one team makes
//! only that team wait.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::id::TeamId;

/// How much new work of all teams may wait. Each piece is at most a few kilobytes.
const QUEUE_LENGTH: usize = 8_192;

/// How much new work of one team may wait; the rest is left to others.
const TEAM_QUEUE_LENGTH: usize = 2_048;

/// How many pieces one transaction takes: bounds what a rollback repeats.
pub(super) const BATCH_MAX: usize = 512;

/// How many pieces of one team a transaction takes, also if no other team has work: whoever comes
/// next waits for no more than these.
pub(super) const TEAM_SHARE_MAX: usize = 64;

/// Why a piece is not queued.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum QueueFull {
    /// Too much of this team waits.
    Team,
    /// Too much waits altogether.
    All,
}

/// Pieces by team, each team's in the order in which they came.
#[derive(Debug)]
struct TeamQueues<T> {
    teams: HashMap<TeamId, VecDeque<T>>,
    /// Teams with pieces, the next one first.
    turns: VecDeque<TeamId>,
    length: usize,
}

impl<T> Default for TeamQueues<T> {
    fn default() -> Self {
        Self {
            teams: HashMap::new(),
            turns: VecDeque::new(),
            length: 0,
        }
    }
}

impl<T> TeamQueues<T> {
    /// Whether new work of a team is taken.
    fn require_room(&self, team_id: &TeamId) -> Result<(), QueueFull> {
        if self.length >= QUEUE_LENGTH {
            return Err(QueueFull::All);
        }
        match self.teams.get(team_id) {
            Some(queue) if queue.len() >= TEAM_QUEUE_LENGTH => Err(QueueFull::Team),
            _ => Ok(()),
        }
    }

    fn push(&mut self, team_id: &TeamId, piece: T) {
        self.length += 1;
        match self.teams.get_mut(team_id) {
            Some(queue) => queue.push_back(piece),
            None => {
                self.teams.insert(team_id.clone(), VecDeque::from([piece]));
                self.turns.push_back(team_id.clone());
            }
        }
    }

    /// Takes one piece of each team in turn, again and again, until there are `batch_max`, none are
    /// left, or every team has given its share.
    fn take(&mut self, batch_max: usize, share_max: usize) -> Vec<T> {
        let mut batch = Vec::new();
        for _ in 0..share_max {
            for _ in 0..self.turns.len() {
                if batch.len() >= batch_max {
                    return batch;
                }
                batch.extend(self.take_turn());
            }
        }
        batch
    }

    fn take_turn(&mut self) -> Option<T> {
        let team_id = self.turns.pop_front()?;
        let queue = self.teams.get_mut(&team_id)?;
        let piece = queue.pop_front()?;
        if queue.is_empty() {
            self.teams.remove(&team_id);
        } else {
            self.turns.push_back(team_id);
        }
        self.length -= 1;
        Some(piece)
    }
}

/// A queue that many push to and one takes from.
#[derive(Debug)]
pub(super) struct FairQueue<T> {
    queues: Mutex<TeamQueues<T>>,
    is_closed: std::sync::atomic::AtomicBool,
    /// Tells the one who takes that there is something, or that nothing will come any more.
    news: Notify,
}

impl<T> Default for FairQueue<T> {
    fn default() -> Self {
        Self {
            queues: Mutex::default(),
            is_closed: false.into(),
            news: Notify::new(),
        }
    }
}

impl<T> FairQueue<T> {
    /// No panic can happen while this lock is held.
    fn lock(&self) -> MutexGuard<'_, TeamQueues<T>> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues new work, if there is room.
    pub(super) fn try_push(&self, team_id: &TeamId, piece: T) -> Result<(), QueueFull> {
        let mut queues = self.lock();
        queues.require_room(team_id)?;
        queues.push(team_id, piece);
        drop(queues);
        self.news.notify_one();
        Ok(())
    }

    /// Queues work that has to be done in any case.
    pub(super) fn push(&self, team_id: &TeamId, piece: T) {
        self.lock().push(team_id, piece);
        self.news.notify_one();
    }

    /// Nothing is pushed from now on.
    pub(super) fn close(&self) {
        self.is_closed
            .store(true, std::sync::atomic::Ordering::SeqCst);
        self.news.notify_one();
    }

    pub(super) fn is_closed(&self) -> bool {
        self.is_closed.load(std::sync::atomic::Ordering::SeqCst)
    }

    /// What is next, as far as there is anything.
    pub(super) fn take(&self) -> Vec<T> {
        self.lock().take(BATCH_MAX, TEAM_SHARE_MAX)
    }

    /// Waits for what is next. Nothing once the queue is closed and empty.
    pub(super) async fn next(&self) -> Option<Vec<T>> {
        loop {
            let was_closed = self.is_closed();
            let batch = self.take();
            if !batch.is_empty() {
                return Some(batch);
            }
            if was_closed {
                return None;
            }
            self.news.notified().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn team(name: &str) -> TeamId {
        name.parse().unwrap()
    }

    #[test]
    fn a_team_with_one_piece_is_in_the_next_batch_behind_any_flood() {
        let mut queues = TeamQueues::default();
        for number in 0..2_000 {
            queues.push(&team("flood"), ("flood", number));
        }
        queues.push(&team("other"), ("other", 0));
        let batch = queues.take(BATCH_MAX, TEAM_SHARE_MAX);
        assert_eq!(batch[1], ("other", 0));
        assert_eq!(batch.len(), TEAM_SHARE_MAX + 1);
        let numbers: Vec<i32> = batch
            .iter()
            .filter(|(name, _)| *name == "flood")
            .map(|(_, number)| *number)
            .collect();
        assert!(numbers.is_sorted(), "a team's pieces keep their order");
        assert_eq!(queues.take(10, 100).len(), 10);
        assert_eq!(queues.length, 2_000 - TEAM_SHARE_MAX - 10);
    }

    #[test]
    fn every_team_is_served_in_turn() {
        let mut queues = TeamQueues::default();
        for name in ["a", "b", "c"] {
            for number in 0..3 {
                queues.push(&team(name), format!("{name}{number}"));
            }
        }
        assert_eq!(queues.take(4, 9), ["a0", "b0", "c0", "a1"]);
        assert_eq!(queues.take(9, 9), ["b1", "c1", "a2", "b2", "c2"]);
        assert!(queues.take(9, 9).is_empty() && queues.length == 0);
    }

    #[test]
    fn a_full_queue_of_one_team_leaves_room_for_others() {
        let queue = FairQueue::default();
        for number in 0..TEAM_QUEUE_LENGTH {
            queue.try_push(&team("flood"), number).unwrap();
        }
        assert_eq!(queue.try_push(&team("flood"), 0), Err(QueueFull::Team));
        assert_eq!(queue.try_push(&team("other"), 0), Ok(()));
        queue.push(&team("flood"), 1);
        for number in 0..QUEUE_LENGTH {
            let _ = queue.try_push(&team(&format!("t{}", number % 100)), number);
        }
        assert_eq!(queue.try_push(&team("new"), 0), Err(QueueFull::All));
    }
}
