//! Counts in the memory of one node: sliding windows, exact to a second.

use std::collections::hash_map::RandomState;
use std::collections::{HashMap, VecDeque};
use std::hash::BuildHasher as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use tollgate_common::clock::Timestamp;
use tollgate_common::limit::Limits;

use super::{
    Allowance, Exceeded, Grant, Hold, LimitKind, LimitStatus, LimitStore, RETRY_AFTER_MIN, Scope,
    Subject,
};

/// What counts against a limit per minute was taken less than this ago.
const WINDOW: Duration = Duration::from_mins(1);

/// A subject that nobody has asked for in so long is forgotten. Its windows are empty by then.
const IDLE_MAX: Duration = Duration::from_mins(2);

/// Subjects are spread over so many maps, so that new ones do not wait for one lock.
const SHARDS: usize = 16;

/// What was taken within one second of the clock.
#[derive(Debug)]
struct Slot {
    /// The last time that something was taken. All of it counts until a window later, so no window
    /// ever holds more than the limit, and nothing counts for more than a second too long.
    last_at: Timestamp,
    amount: i64,
}

/// A sum over the last minute.
#[derive(Debug, Default)]
struct Window {
    /// In the order of their seconds; at most 61 at a time.
    slots: VecDeque<Slot>,
    total: i64,
}

// === impl Window ===

impl Window {
    /// Forgets what has left the window.
    fn advance(&mut self, now: Timestamp) {
        while let Some(slot) = self.slots.front()
            && now.since(slot.last_at) >= WINDOW
        {
            self.total = self.total.saturating_sub(slot.amount);
            self.slots.pop_front();
        }
    }

    /// How long it takes until so much more fits below the limit.
    fn wait(&self, limit: i64, amount: i64, now: Timestamp) -> Option<Duration> {
        let fits = |total: i64| total.saturating_add(amount) <= limit;
        if fits(self.total) {
            return None;
        }
        let mut total = self.total;
        let freeing = self.slots.iter().find(|slot| {
            total = total.saturating_sub(slot.amount);
            fits(total)
        });
        // Nothing fits below a limit of zero: who waits a window learns it anew.
        Some(freeing.map_or(WINDOW, |slot| slot.last_at.plus(WINDOW).since(now)))
    }

    fn add(&mut self, amount: i64, now: Timestamp) {
        self.total = self.total.saturating_add(amount);
        match self.slots.back_mut() {
            Some(slot) if slot.last_at.as_seconds() == now.as_seconds() => {
                slot.last_at = now;
                slot.amount = slot.amount.saturating_add(amount);
            }
            _ => self.slots.push_back(Slot {
                last_at: now,
                amount,
            }),
        }
    }

    /// Corrects what was taken in the second of `taken_at`, unless it has left the window.
    fn correct(&mut self, taken_at: Timestamp, difference: i64) {
        let second = taken_at.as_seconds();
        let found = self
            .slots
            .binary_search_by_key(&second, |slot| slot.last_at.as_seconds());
        if let Some(slot) = found.ok().and_then(|index| self.slots.get_mut(index)) {
            let corrected = slot.amount.saturating_add(difference).max(0);
            self.total = self.total.saturating_sub(slot.amount);
            self.total = self.total.saturating_add(corrected);
            slot.amount = corrected;
        }
    }

    fn allowance(&self, limit: i64, now: Timestamp) -> Allowance {
        let newest = self.slots.iter().rev().find(|slot| slot.amount > 0);
        Allowance {
            limit,
            remaining: limit.saturating_sub(self.total).max(0),
            reset: newest.map_or(Duration::ZERO, |slot| slot.last_at.plus(WINDOW).since(now)),
        }
    }
}

/// What a subject has used.
#[derive(Debug, Default)]
struct Usage {
    requests: Window,
    tokens: Window,
    parallel_calls: i64,
    /// The latest moment that it was asked for.
    latest: Timestamp,
}

// === impl Usage ===

impl Usage {
    /// Moves the windows to `now`, or the moment that counts as now: the clock may be set back.
    fn advance(&mut self, now: Timestamp) -> Timestamp {
        if self.latest.since(now) > WINDOW {
            self.requests = Window::default();
            self.tokens = Window::default();
            self.latest = now;
        }
        self.latest = self.latest.max(now);
        self.requests.advance(self.latest);
        self.tokens.advance(self.latest);
        self.latest
    }

    /// The limit that a call has to wait for the longest.
    fn obstacle(&self, limits: &Limits, tokens: i64) -> Option<(Duration, LimitKind)> {
        let requests = limits
            .requests_per_minute
            .and_then(|limit| self.requests.wait(limit, 1, self.latest))
            .map(|wait| (wait, LimitKind::Requests));
        let tokens = limits
            .tokens_per_minute
            .and_then(|limit| self.tokens.wait(limit, clamp(tokens, limit), self.latest))
            .map(|wait| (wait, LimitKind::Tokens));
        // Nobody knows when a call in flight ends.
        let parallel_calls = limits
            .parallel_calls
            .filter(|limit| self.parallel_calls >= *limit)
            .map(|_| (RETRY_AFTER_MIN, LimitKind::Parallel));
        [requests, tokens, parallel_calls]
            .into_iter()
            .flatten()
            .max()
    }

    /// Counts a call; returns what it holds.
    fn take(&mut self, limits: &Limits, tokens: i64) -> Taken {
        let now = self.latest;
        if limits.requests_per_minute.is_some() {
            self.requests.add(1, now);
        }
        let tokens = limits.tokens_per_minute.map(|limit| clamp(tokens, limit));
        if let Some(tokens) = tokens {
            self.tokens.add(tokens, now);
        }
        let is_parallel = limits.parallel_calls.is_some();
        self.parallel_calls += i64::from(is_parallel);
        Taken {
            at: now,
            tokens,
            is_parallel,
        }
    }

    /// Ends a call.
    fn settle(&mut self, taken: &Taken, actual_tokens: i64) {
        if let Some(tokens) = taken.tokens {
            let difference = actual_tokens.max(0).saturating_sub(tokens);
            self.tokens.correct(taken.at, difference);
        }
        self.parallel_calls -= i64::from(taken.is_parallel);
    }

    fn is_recent(&self, now: Timestamp) -> bool {
        now.since(self.latest).max(self.latest.since(now)) < IDLE_MAX
    }

    fn tighten(&self, status: &mut LimitStatus, limits: &Limits) {
        let requests = limits.requests_per_minute;
        let tokens = limits.tokens_per_minute;
        status.tighten(
            requests.map(|limit| self.requests.allowance(limit, self.latest)),
            tokens.map(|limit| self.tokens.allowance(limit, self.latest)),
        );
    }
}

/// A call has at least one token, and never more than fit at all.
fn clamp(tokens: i64, limit: i64) -> i64 {
    tokens.min(limit).max(1)
}

/// What a call has taken of a subject.
#[derive(Debug)]
struct Taken {
    at: Timestamp,
    tokens: Option<i64>,
    is_parallel: bool,
}

type SharedUsage = Arc<Mutex<Usage>>;

/// Usage is whole between any two statements, so a panic elsewhere does not spoil it.
fn lock(usage: &SharedUsage) -> MutexGuard<'_, Usage> {
    usage.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A call in flight. It keeps its subjects from being forgotten.
#[derive(Debug)]
struct MemoryHold(Vec<(SharedUsage, Taken)>);

impl Hold for MemoryHold {
    fn settle(self: Box<Self>, tokens: i64) {
        for (usage, taken) in &self.0 {
            lock(usage).settle(taken, tokens);
        }
    }
}

/// Counts in the memory of this node.
#[derive(Debug, Default)]
pub(crate) struct MemoryLimits {
    shards: [RwLock<HashMap<Subject, SharedUsage>>; SHARDS],
    hasher: RandomState,
}

// === impl MemoryLimits ===

impl MemoryLimits {
    /// The usage of a subject, which is new if nobody has asked for it lately.
    fn usage(&self, subject: &Subject) -> SharedUsage {
        let index = self.hasher.hash_one(subject) as usize % SHARDS;
        let shard = &self.shards[index];
        let known = shard.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(usage) = known.get(subject) {
            return usage.clone();
        }
        drop(known);
        let mut known = shard.write().unwrap_or_else(PoisonError::into_inner);
        known.entry(subject.clone()).or_default().clone()
    }

    fn take_now(&self, scopes: &[&Scope], tokens: i64, now: Timestamp) -> Result<Grant, Exceeded> {
        let usages: Vec<SharedUsage> = scopes.iter().map(|s| self.usage(&s.subject)).collect();
        let mut guards: Vec<MutexGuard<'_, Usage>> = usages.iter().map(lock).collect();
        let mut longest = None;
        for (usage, scope) in guards.iter_mut().zip(scopes) {
            usage.advance(now);
            longest = longest.max(usage.obstacle(&scope.limits, tokens));
        }
        let mut holds = Vec::new();
        if longest.is_none() {
            let taken = guards.iter_mut().zip(scopes);
            holds = taken
                .map(|(usage, s)| usage.take(&s.limits, tokens))
                .collect();
        }
        let mut status = LimitStatus::default();
        for (usage, scope) in guards.iter().zip(scopes) {
            usage.tighten(&mut status, &scope.limits);
        }
        drop(guards);
        match longest {
            Some((wait, kind)) => Err(Exceeded {
                kind,
                retry_after: wait.max(RETRY_AFTER_MIN),
                status,
            }),
            None => {
                let hold = MemoryHold(usages.into_iter().zip(holds).collect());
                Ok(Grant::new(status, Box::new(hold)))
            }
        }
    }
}

#[async_trait]
impl LimitStore for MemoryLimits {
    async fn take(&self, scopes: &[Scope], tokens: i64, now: Timestamp) -> Result<Grant, Exceeded> {
        let is_limited = |scope: &&Scope| scope.limits != Limits::default();
        let mut limited: Vec<&Scope> = scopes.iter().filter(is_limited).collect();
        if limited.is_empty() {
            return Ok(Grant::unlimited());
        }
        // Everyone locks in the same order, and nothing twice, so nobody waits in a circle.
        limited.sort_by(|a, b| a.subject.cmp(&b.subject));
        limited.dedup_by(|a, b| a.subject == b.subject);
        self.take_now(&limited, tokens, now)
    }

    fn sweep(&self, now: Timestamp) {
        for shard in &self.shards {
            let mut known = shard.write().unwrap_or_else(PoisonError::into_inner);
            known.retain(|_, usage| {
                // Who has it keeps it; nobody else can get at it while the map is locked.
                Arc::strong_count(usage) > 1 || lock(usage).is_recent(now)
            });
            if known.len() * 4 < known.capacity() {
                known.shrink_to_fit();
            }
        }
    }
}
