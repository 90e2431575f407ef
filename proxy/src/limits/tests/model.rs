//! Random histories: the store and a model that remembers every call agree at every step.

use super::*;

/// A call as the model remembers it.
#[derive(Debug)]
struct Call {
    at: Timestamp,
    tokens: i64,
}

/// A subject with limits that do not change.
#[derive(Debug)]
struct Remembered {
    scope: Scope,
    calls: Vec<Call>,
    in_flight: i64,
}

impl Remembered {
    /// When a call no longer counts: a minute after the last one of the same second.
    fn end_of(&self, call: &Call) -> Timestamp {
        let same_second = |other: &&Call| other.at.as_seconds() == call.at.as_seconds();
        let last = self.calls.iter().filter(same_second).map(|call| call.at);
        last.max().unwrap().plus(WINDOW)
    }

    fn sum(&self, now: Timestamp, amount: impl Fn(&Call) -> i64) -> i64 {
        let counting = self.calls.iter().filter(|call| self.end_of(call) > now);
        counting.map(amount).sum()
    }

    /// How long it takes until `more` fits.
    fn wait(&self, limit: i64, more: i64, now: Timestamp, amount: fn(&Call) -> i64) -> Duration {
        let mut moments: Vec<_> = self.calls.iter().map(|call| self.end_of(call)).collect();
        moments.push(now);
        let fitting = moments
            .into_iter()
            .filter(|moment| *moment >= now && self.sum(*moment, amount) + more <= limit);
        fitting.min().unwrap().since(now)
    }

    /// What keeps a call waiting, and how long.
    fn obstacles(&self, tokens: i64, now: Timestamp) -> Vec<(Duration, LimitKind)> {
        let limits = self.scope.limits;
        let mut obstacles = Vec::new();
        if let Some(limit) = limits.requests_per_minute {
            obstacles.push((self.wait(limit, 1, now, |_| 1), LimitKind::Requests));
        }
        if let Some(limit) = limits.tokens_per_minute {
            let more = tokens.clamp(1, limit);
            obstacles.push((
                self.wait(limit, more, now, |call| call.tokens),
                LimitKind::Tokens,
            ));
        }
        if limits
            .parallel_calls
            .is_some_and(|limit| self.in_flight >= limit)
        {
            obstacles.push((RETRY_AFTER_MIN, LimitKind::Parallel));
        }
        obstacles.retain(|(wait, _)| !wait.is_zero());
        obstacles
    }

    fn remaining(&self, now: Timestamp) -> (Option<i64>, Option<i64>) {
        let limits = self.scope.limits;
        let left = |limit: i64, used: i64| (limit - used).max(0);
        let requests = limits
            .requests_per_minute
            .map(|limit| left(limit, self.sum(now, |_| 1)));
        let tokens = limits.tokens_per_minute;
        (
            requests,
            tokens.map(|limit| left(limit, self.sum(now, |call| call.tokens))),
        )
    }

    /// What no reading of the rule allows: more calls than the limit in less than a minute.
    fn is_overrun(&self) -> bool {
        let Some(limit) = self.scope.limits.requests_per_minute else {
            return false;
        };
        self.calls.windows(limit as usize + 1).any(|calls| {
            let (first, last) = (&calls[0], &calls[calls.len() - 1]);
            last.at.since(first.at) < WINDOW
        })
    }
}

/// The least of what the scopes say.
fn tightest(scopes: &[usize], model: &[Remembered], now: Timestamp) -> (Option<i64>, Option<i64>) {
    let said: Vec<_> = scopes
        .iter()
        .map(|index| model[*index].remaining(now))
        .collect();
    let requests = said.iter().filter_map(|(requests, _)| *requests).min();
    (
        requests,
        said.iter().filter_map(|(_, tokens)| *tokens).min(),
    )
}

#[derive(Debug, Clone)]
enum Step {
    /// A call of a key, by its index, and of the team.
    Take {
        key: usize,
        tokens: i64,
    },
    /// Ends one of the calls in flight; `None` drops it.
    End(usize, Option<i64>),
    Wait(Duration),
    /// Waits as long as the last refusal said.
    WaitAsTold,
    Sweep,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => (0_usize..2, 0_i64..40).prop_map(|(key, tokens)| Step::Take { key, tokens }),
        8 => (any::<usize>(), proptest::option::of(0_i64..60))
            .prop_map(|(index, actual)| Step::End(index, actual)),
        4 => (0_u64..1_500).prop_map(|millis| Step::Wait(Duration::from_millis(millis))),
        1 => (0_u64..70_000).prop_map(|millis| Step::Wait(Duration::from_millis(millis))),
        2 => Just(Step::WaitAsTold),
        1 => Just(Step::Sweep),
    ]
}

fn any_limits() -> impl Strategy<Value = Limits> {
    let limit = proptest::option::of;
    (limit(1_i64..6), limit(1_i64..80), limit(1_i64..4)).prop_map(|(requests, tokens, parallel)| {
        Limits {
            requests_per_minute: requests,
            tokens_per_minute: tokens,
            parallel_calls: parallel,
        }
    })
}

/// The store and the model side by side.
struct Pair {
    store: MemoryLimits,
    model: Vec<Remembered>,
    /// Calls in flight, with where the model remembers them.
    in_flight: Vec<(Grant, Vec<(usize, usize)>)>,
    now: Timestamp,
    told: Duration,
}

impl Pair {
    fn new(limits: [Limits; 3]) -> Self {
        let subjects = [
            Subject::Key(KeyId::new("aaaaaaaa")),
            Subject::Key(KeyId::new("bbbbbbbb")),
            Subject::Team("acme".parse().unwrap()),
        ];
        let model = subjects
            .into_iter()
            .zip(limits)
            .map(|(subject, limits)| Remembered {
                scope: Scope { subject, limits },
                calls: Vec::new(),
                in_flight: 0,
            });
        Self {
            store: MemoryLimits::default(),
            model: model.collect(),
            in_flight: Vec::new(),
            now: at(0),
            told: Duration::ZERO,
        }
    }

    fn take(&mut self, key: usize, tokens: i64) -> Result<(), TestCaseError> {
        let indexes = [key, 2];
        let scopes = indexes.map(|index| self.model[index].scope.clone());
        let waits = indexes.map(|index| self.model[index].obstacles(tokens, self.now));
        let expected = waits.into_iter().flatten().max();
        match take(&self.store, &scopes, tokens, self.now) {
            Ok(grant) => {
                prop_assert_eq!(expected, None, "granted");
                let places = indexes.map(|index| (index, self.remember(index, tokens)));
                let left = tightest(&indexes, &self.model, self.now);
                prop_assert_eq!(remaining(grant.status()), left);
                self.in_flight.push((grant, places.to_vec()));
            }
            Err(refusal) => {
                let told = (refusal.retry_after, refusal.kind);
                let expected = expected.map(|(wait, kind)| (wait.max(RETRY_AFTER_MIN), kind));
                prop_assert_eq!(Some(told), expected, "refused");
                let left = tightest(&indexes, &self.model, self.now);
                prop_assert_eq!(remaining(refusal.status), left);
                self.told = refusal.retry_after;
            }
        }
        Ok(())
    }

    fn remember(&mut self, index: usize, tokens: i64) -> usize {
        let remembered = &mut self.model[index];
        let limit = remembered
            .scope
            .limits
            .tokens_per_minute
            .unwrap_or(i64::MAX);
        remembered.in_flight += 1;
        remembered.calls.push(Call {
            at: self.now,
            tokens: tokens.clamp(1, limit),
        });
        remembered.calls.len() - 1
    }

    fn end(&mut self, index: usize, actual: Option<i64>) {
        let index = index % self.in_flight.len();
        let (grant, places) = self.in_flight.swap_remove(index);
        for (index, place) in places {
            let remembered = &mut self.model[index];
            remembered.calls[place].tokens = actual.unwrap_or(0);
            remembered.in_flight -= 1;
        }
        match actual {
            Some(actual) => grant.settle(actual),
            None => drop(grant),
        }
    }
}

proptest! {
    #[test]
    fn the_windows_agree_with_one_who_remembers_everything(
        limits in [any_limits(), any_limits(), any_limits()],
        steps in proptest::collection::vec(step(), 0..120),
    ) {
        let mut pair = Pair::new(limits);
        for step in steps {
            match step {
                Step::Take { key, tokens } => pair.take(key, tokens)?,
                Step::End(..) if pair.in_flight.is_empty() => {}
                Step::End(index, actual) => pair.end(index, actual),
                Step::Wait(time) => pair.now = pair.now.plus(time),
                Step::WaitAsTold => pair.now = pair.now.plus(pair.told),
                Step::Sweep => pair.store.sweep(pair.now),
            }
        }
        prop_assert!(!pair.model.iter().any(Remembered::is_overrun));
    }
}
