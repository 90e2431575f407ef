//! What this node can tell administrators of the present: its calls in flight, and what has ended
//! since somebody asked last.
//!
//! Requests only count here, each in one of a few parts, so that they hardly ever wait for each
//! other; a task takes the counts about once a second. Nothing of it decides anything.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tollgate_common::clock::Timestamp;
use tollgate_common::db::work::CallResult;
use tollgate_common::id::{CallId, JobId, KeyId, ModelAlias, ProviderName, TeamId};
use tollgate_common::job::CallState;
use tollgate_common::live::{CALLS_TOLD_MAX, LiveCall, Traffic, minute_of};

#[cfg(test)]
mod tests;

/// Counts are spread over so many parts, so that requests do not wait for one lock.
const PARTS: usize = 16;

/// Bytes of an answer that are taken for one token while it is on its way.
const BYTES_PER_TOKEN: u64 = 4;

/// A call on its way, as far as administrators are told of it.
#[derive(Debug)]
pub(crate) struct CallFigures {
    id: CallId,
    job_id: JobId,
    team_id: TeamId,
    alias: ModelAlias,
    began_at: Timestamp,
    streamed: bool,
    provider: Mutex<Option<ProviderName>>,
    text_bytes: AtomicU64,
    has_begun: AtomicBool,
    waited_us: AtomicU64,
    /// What the gateway took until the first piece of a stream; below zero if there was none.
    overhead_us: AtomicI64,
}

impl CallFigures {
    pub(crate) fn new(
        (id, job_id): (CallId, JobId),
        team_id: TeamId,
        alias: ModelAlias,
        began_at: Timestamp,
        streamed: bool,
    ) -> Self {
        Self {
            id,
            job_id,
            team_id,
            alias,
            began_at,
            streamed,
            provider: Mutex::new(None),
            text_bytes: AtomicU64::new(0),
            has_begun: AtomicBool::new(false),
            waited_us: AtomicU64::new(0),
            overhead_us: AtomicI64::new(-1),
        }
    }

    /// A provider is asked.
    pub(crate) fn asks(&self, provider: &ProviderName) {
        *whole(&self.provider) = Some(provider.clone());
    }

    /// Waits for a provider, or until one may be tried again: time that the gateway does not take.
    pub(crate) async fn waiting<T>(&self, work: impl Future<Output = T>) -> T {
        let began = Instant::now();
        let done = work.await;
        self.waited(began.elapsed());
        done
    }

    fn waited(&self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.waited_us.fetch_add(micros, Ordering::Relaxed);
    }

    /// The first piece of a stream was shown.
    pub(crate) fn has_shown(&self, now: Timestamp) {
        let overhead = i64::try_from(self.overhead(now)).unwrap_or(i64::MAX);
        self.overhead_us.store(overhead, Ordering::Relaxed);
        self.has_begun.store(true, Ordering::Relaxed);
    }

    /// So long is the answer by now.
    pub(crate) fn has_come(&self, text_bytes: usize) {
        self.text_bytes.store(text_bytes as u64, Ordering::Relaxed);
    }

    /// What the gateway itself has taken until now, in microseconds.
    fn overhead(&self, now: Timestamp) -> u64 {
        let passed = u64::try_from(now.since(self.began_at).as_micros()).unwrap_or(u64::MAX);
        passed.saturating_sub(self.waited_us.load(Ordering::Relaxed))
    }

    fn told(&self) -> LiveCall {
        let bytes = self.text_bytes.load(Ordering::Relaxed);
        LiveCall {
            id: self.id.to_string(),
            job_id: self.job_id.to_string(),
            team_id: self.team_id.to_string(),
            alias: self.alias.to_string(),
            provider: whole(&self.provider).as_ref().map(ToString::to_string),
            began_at: self.began_at.as_micros(),
            streamed: self.streamed,
            output_tokens: i64::try_from(bytes.div_ceil(BYTES_PER_TOKEN)).unwrap_or(i64::MAX),
        }
    }
}

/// How a call ended, taken before its settlement and counted after it.
#[derive(Debug)]
pub(crate) struct Ending {
    is_answered: bool,
    cause: Option<&'static str>,
    latency_ms: u64,
    first_token_ms: Option<u64>,
    input_tokens: u64,
    output_tokens: u64,
    client_cost: u64,
    /// Who was tried in vain.
    failed: Vec<ProviderName>,
}

impl Ending {
    pub(crate) fn new(state: CallState, result: &CallResult) -> Self {
        let failed = result.failed_attempts.iter();
        let output = result.usage.output();
        Self {
            is_answered: state == CallState::Succeeded,
            cause: result.error_kind,
            latency_ms: natural(result.latency_ms),
            first_token_ms: result.first_token_ms.map(natural),
            input_tokens: natural(result.usage.total() - output),
            output_tokens: natural(output),
            client_cost: natural(result.client_cost.0),
            failed: failed.map(|attempt| attempt.provider.clone()).collect(),
        }
    }
}

fn natural(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

#[derive(Debug, Default)]
struct Part {
    calls: HashMap<CallId, Arc<CallFigures>>,
    ended: Traffic,
    /// The minute in which each key was accepted last.
    used_keys: HashMap<KeyId, i64>,
}

/// What was counted since it was asked last.
#[derive(Debug, Default)]
pub(crate) struct Taken {
    pub(crate) ended: Traffic,
    /// The minute in which each key was accepted last.
    pub(crate) used_keys: HashMap<KeyId, i64>,
}

/// The calls in flight at one moment.
#[derive(Debug, Default)]
pub(crate) struct InFlightFigures {
    pub(crate) count: u64,
    pub(crate) streams: u64,
    /// The oldest of them, at most [`CALLS_TOLD_MAX`].
    pub(crate) calls: Vec<LiveCall>,
}

/// The counts of a node.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    parts: [Mutex<Part>; PARTS],
    next: AtomicUsize,
}

/// Counts are whole between any two statements, so a panic elsewhere does not spoil them.
fn whole<T>(part: &Mutex<T>) -> MutexGuard<'_, T> {
    part.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Figures {
    /// The part of a call, by the last of its id, which is random.
    fn part_of(&self, id: CallId) -> MutexGuard<'_, Part> {
        let last = id.as_uuid().as_bytes()[15];
        whole(&self.parts[usize::from(last) % PARTS])
    }

    /// Any part: in turn.
    fn part(&self) -> MutexGuard<'_, Part> {
        let next = self.next.fetch_add(1, Ordering::Relaxed);
        whole(&self.parts[next % PARTS])
    }

    /// Tells of a call from now on, until what is returned is dropped.
    pub(crate) fn enter(self: &Arc<Self>, call: &Arc<CallFigures>) -> Told {
        self.part_of(call.id).calls.insert(call.id, call.clone());
        Told {
            figures: self.clone(),
            id: call.id,
        }
    }

    /// Counts a request that was answered, of any kind.
    pub(crate) fn request(&self) {
        self.part().ended.requests += 1;
    }

    /// Counts a request that was refused, by a word for the reason.
    pub(crate) fn refused(&self, cause: &str) {
        add_to(&mut self.part().ended.errors, cause, 1);
    }

    /// Notes that a key was accepted.
    pub(crate) fn accepted(&self, key: &KeyId, now: Timestamp) {
        let minute = minute_of(now);
        let mut part = self.part();
        match part.used_keys.get_mut(key) {
            Some(known) => *known = minute,
            None => {
                part.used_keys.insert(key.clone(), minute);
            }
        }
    }

    /// Counts a call that has been settled.
    pub(crate) fn ended(&self, call: &CallFigures, ending: &Ending, now: Timestamp) {
        let provider = whole(&call.provider).clone();
        let mut part = self.part_of(call.id);
        let ended = &mut part.ended;
        ended.calls += 1;
        ended.streams += u64::from(call.streamed);
        ended.input_tokens += ending.input_tokens;
        ended.output_tokens += ending.output_tokens;
        ended.retries += ending.failed.len() as u64;
        if let Some(cause) = ending.cause {
            add_to(&mut ended.errors, cause, 1);
        }
        for provider in &ending.failed {
            change(&mut ended.providers, provider.as_str(), |theirs| {
                theirs.tries += 1;
                theirs.failures += 1;
            });
        }
        change(&mut ended.teams, call.team_id.as_str(), |team| {
            team.calls += 1;
            team.tokens += ending.input_tokens + ending.output_tokens;
            team.client_cost += ending.client_cost;
        });
        if !ending.is_answered {
            return;
        }
        add_to(&mut ended.models, call.alias.as_str(), 1);
        ended.total_ms.record(ending.latency_ms);
        if let Some(first) = ending.first_token_ms {
            ended.first_token_ms.record(first);
        }
        let overhead = call.overhead_us.load(Ordering::Relaxed);
        let overhead = u64::try_from(overhead).unwrap_or_else(|_| call.overhead(now));
        ended.overhead_us.record(overhead);
        // Answers of the cache have none.
        if let Some(provider) = provider {
            change(&mut ended.providers, provider.as_str(), |theirs| {
                theirs.tries += 1;
                theirs.total_ms.record(ending.latency_ms);
            });
        }
    }

    /// Takes what was counted since the last time.
    pub(crate) fn take(&self) -> Taken {
        let mut taken = Taken::default();
        for part in &self.parts {
            let mut part = whole(part);
            let ended = std::mem::take(&mut part.ended);
            let used_keys = std::mem::take(&mut part.used_keys);
            drop(part);
            taken.ended.add(&ended);
            for (key, minute) in used_keys {
                let known = taken.used_keys.entry(key).or_insert(minute);
                *known = minute.max(*known);
            }
        }
        taken
    }

    /// The calls in flight now.
    pub(crate) fn in_flight(&self) -> InFlightFigures {
        let mut calls: Vec<Arc<CallFigures>> = Vec::new();
        for part in &self.parts {
            calls.extend(whole(part).calls.values().cloned());
        }
        calls.sort_unstable_by_key(|call| (call.began_at, call.id));
        let begun = |call: &&Arc<CallFigures>| call.has_begun.load(Ordering::Relaxed);
        InFlightFigures {
            count: calls.len() as u64,
            streams: calls.iter().filter(begun).count() as u64,
            calls: calls
                .iter()
                .take(CALLS_TOLD_MAX)
                .map(|call| call.told())
                .collect(),
        }
    }
}

/// Changes the value of a name, which is copied only when it is new.
fn change<T: Default>(map: &mut BTreeMap<String, T>, name: &str, work: impl FnOnce(&mut T)) {
    if let Some(known) = map.get_mut(name) {
        return work(known);
    }
    let mut value = T::default();
    work(&mut value);
    map.insert(name.to_owned(), value);
}

fn add_to(map: &mut BTreeMap<String, u64>, name: &str, count: u64) {
    change(map, name, |known| *known += count);
}

/// While it lives, its call is told of as one in flight.
#[derive(Debug)]
#[must_use]
pub(crate) struct Told {
    figures: Arc<Figures>,
    id: CallId,
}

impl Drop for Told {
    fn drop(&mut self) {
        self.figures.part_of(self.id).calls.remove(&self.id);
    }
}
