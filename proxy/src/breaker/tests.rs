//! What opens a breaker and what closes it again, one rule a test, then random histories.

use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use proptest::prelude::*;
use tollgate_common::clock::{SystemRandom, Timestamp};

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn credential() -> CredentialId {
    CredentialId::new(Timestamp::default(), &SystemRandom)
}

/// A registry, a credential and a clock that only moves by hand.
struct Desk {
    breakers: Breakers,
    id: CredentialId,
    now: Instant,
}

impl Desk {
    fn new() -> Self {
        Self {
            breakers: Breakers::new(Settings::default()),
            id: credential(),
            now: Instant::now(),
        }
    }

    fn admit(&self) -> Result<Permit, Rest> {
        self.breakers.admit(self.id, self.now)
    }

    fn request(&self, outcome: Outcome) {
        self.admit().unwrap().report(outcome, self.now);
    }

    fn pause(&self) -> Duration {
        self.admit().expect_err("refused").wait
    }

    fn wait(&mut self, time: Duration) {
        self.now += time;
    }

    fn fail(&self) {
        for _ in 0..5 {
            self.request(Outcome::Failure);
        }
    }

    fn view(&self) -> BreakerView {
        self.breakers.states(self.now).remove(0)
    }
}

#[test]
fn only_failures_in_a_row_open_it() {
    let desk = Desk::new();
    for _ in 0..3 {
        for _ in 0..4 {
            desk.request(Outcome::Failure);
            desk.request(Outcome::Neutral);
        }
        desk.request(Outcome::Success);
    }
    desk.fail();
    assert_eq!(desk.pause(), 5 * SECOND);
    assert_eq!(desk.view().condition.word(), "open");
}

#[test]
fn one_probe_goes_first_and_its_success_lets_all_pass() {
    let mut desk = Desk::new();
    desk.fail();
    desk.wait(Duration::from_millis(4_999));
    assert_eq!(desk.pause(), Duration::from_millis(1));
    desk.wait(Duration::from_millis(1));
    let probe = desk.admit().unwrap();
    assert_eq!(desk.pause(), PROBE_PAUSE);
    assert_eq!(desk.view().condition, Condition::HalfOpen);
    probe.report(Outcome::Success, desk.now);
    let _both = (desk.admit().unwrap(), desk.admit().unwrap());
    assert_eq!(
        (desk.view().condition, desk.view().failures),
        (Condition::Closed, 0)
    );
}

#[test]
fn each_failed_probe_doubles_the_pause_up_to_two_minutes() {
    let mut desk = Desk::new();
    desk.fail();
    for seconds in [5, 10, 20, 40, 80, 120, 120] {
        assert_eq!(desk.pause(), seconds * SECOND);
        desk.wait(seconds * SECOND);
        desk.request(Outcome::Failure);
    }
    desk.wait(120 * SECOND);
    desk.request(Outcome::Success);
    desk.fail();
    assert_eq!(desk.pause(), 5 * SECOND);
}

#[test]
fn a_probe_that_tells_nothing_gives_its_slot_back() {
    let mut desk = Desk::new();
    desk.fail();
    desk.wait(5 * SECOND);
    drop(desk.admit().unwrap());
    desk.request(Outcome::Neutral);
    desk.request(Outcome::RateLimited {
        retry_after: Some(3 * SECOND),
    });
    assert_eq!(desk.pause(), 3 * SECOND);
    desk.wait(3 * SECOND);
    let _probe = desk.admit().unwrap();
    assert_eq!(desk.pause(), PROBE_PAUSE);
}

#[test]
fn a_refused_key_opens_at_once_and_only_its_own_breaker() {
    let mut desk = Desk::new();
    desk.request(Outcome::Unauthorized);
    assert_eq!(desk.pause(), 60 * SECOND);
    assert!(desk.breakers.admit(credential(), desk.now).is_ok());
    desk.wait(60 * SECOND);
    desk.request(Outcome::Unauthorized);
    assert_eq!(desk.pause(), 60 * SECOND);
}

#[test]
fn a_rate_limit_pauses_and_is_no_failure() {
    let mut desk = Desk::new();
    for (retry_after, seconds) in [(None, 2), (Some(7), 7), (Some(3_600), 60)] {
        for _ in 0..10 {
            let late = desk.admit().unwrap();
            let retry_after = retry_after.map(Duration::from_secs);
            desk.request(Outcome::RateLimited { retry_after });
            assert_eq!(desk.pause(), seconds * SECOND);
            assert_eq!(desk.view().condition, Condition::RateLimited);
            // A shorter limit does not end a longer one.
            late.report(
                Outcome::RateLimited {
                    retry_after: Some(SECOND),
                },
                desk.now,
            );
            assert_eq!(desk.view().pause, seconds * SECOND);
            desk.wait(seconds * SECOND);
        }
    }
    // No probe afterwards: the provider is well.
    let _both = (desk.admit().unwrap(), desk.admit().unwrap());
    for _ in 0..4 {
        desk.request(Outcome::Failure);
    }
    desk.request(Outcome::RateLimited {
        retry_after: Some(Duration::ZERO),
    });
    assert_eq!(desk.view().failures, 4);
}

#[test]
fn news_from_before_a_change_is_old() {
    let mut desk = Desk::new();
    let mut early: Vec<Permit> = (0..10).map(|_| desk.admit().unwrap()).collect();
    desk.fail();
    early.pop().unwrap().report(Outcome::Success, desk.now);
    early.pop().unwrap().report(Outcome::Failure, desk.now);
    assert_eq!(desk.pause(), 5 * SECOND);
    desk.wait(5 * SECOND);
    let probe = desk.admit().unwrap();
    drop(early.pop());
    early.pop().unwrap().report(Outcome::Success, desk.now);
    assert_eq!(desk.pause(), PROBE_PAUSE);
    probe.report(Outcome::Success, desk.now);
    for permit in early {
        permit.report(Outcome::Failure, desk.now);
    }
    assert_eq!(desk.view().failures, 0);
}

#[test]
fn credentials_that_are_gone_are_forgotten() {
    let desk = Desk::new();
    desk.fail();
    let other = credential();
    let in_flight = desk.breakers.admit(other, desk.now).unwrap();
    desk.breakers.retain(&HashSet::from([desk.id]));
    in_flight.report(Outcome::Failure, desk.now);
    let views = desk.breakers.states(desk.now);
    assert_eq!(views.len(), 1);
    assert_eq!((views[0].credential, views[0].pause), (desk.id, 5 * SECOND));
}

#[test]
fn of_many_requests_at_once_one_is_the_probe() {
    const THREADS: usize = 8;
    let mut desk = Desk::new();
    desk.fail();
    for round in 1_u32..=20 {
        desk.wait(120 * SECOND);
        let (barrier, admitted) = (Barrier::new(THREADS), AtomicUsize::new(0));
        thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    barrier.wait();
                    let permit = desk.admit();
                    admitted.fetch_add(usize::from(permit.is_ok()), Ordering::SeqCst);
                    barrier.wait();
                    if let Ok(probe) = permit {
                        probe.report(Outcome::Failure, desk.now);
                    }
                });
            }
        });
        assert_eq!(admitted.into_inner(), 1, "round {round}");
    }
}

#[derive(Debug, Clone)]
enum Step {
    Admit,
    /// Ends one of the requests under way; `None` drops it.
    End(usize, Option<Outcome>),
    Wait(Duration),
}

fn step() -> impl Strategy<Value = Step> {
    let outcome = prop_oneof![
        3 => Just(Outcome::Success),
        8 => Just(Outcome::Failure),
        1 => proptest::option::of(0_u64..100).prop_map(|seconds| Outcome::RateLimited {
            retry_after: seconds.map(Duration::from_secs),
        }),
        1 => Just(Outcome::Unauthorized),
        1 => Just(Outcome::Neutral),
    ];
    prop_oneof![
        5 => Just(Step::Admit),
        5 => (any::<usize>(), proptest::option::weighted(0.9, outcome))
            .prop_map(|(index, outcome)| Step::End(index, outcome)),
        2 => (0_u64..20_000).prop_map(|millis| Step::Wait(Duration::from_millis(millis))),
        1 => (0_u64..150).prop_map(|seconds| Step::Wait(Duration::from_secs(seconds))),
    ]
}

proptest! {
    #[test]
    fn in_every_history_pauses_end_and_probes_are_alone(
        steps in proptest::collection::vec(step(), 0..200),
    ) {
        let mut desk = Desk::new();
        drop(desk.admit());
        let mut under_way = Vec::new();
        let mut refused_until = None;
        for step in steps {
            let condition = desk.view().condition;
            match step {
                Step::Admit => match desk.admit() {
                    Ok(permit) => {
                        let is_late = refused_until.is_none_or(|until| until <= desk.now);
                        prop_assert!(is_late, "admitted within a pause");
                        let is_probe = condition != Condition::Closed;
                        prop_assert!(!is_probe || desk.pause() == PROBE_PAUSE);
                        under_way.push(permit);
                    }
                    Err(Rest { wait: pause, .. }) => {
                        prop_assert!(!pause.is_zero() && pause <= 120 * SECOND);
                        prop_assert!(condition != Condition::Closed);
                        if condition == Condition::Open {
                            refused_until = Some(desk.now + pause);
                        }
                    }
                },
                Step::End(..) if under_way.is_empty() => {}
                Step::End(index, outcome) => {
                    let permit = under_way.swap_remove(index % under_way.len());
                    match outcome {
                        Some(outcome) => permit.report(outcome, desk.now),
                        None => drop(permit),
                    }
                }
                Step::Wait(time) => desk.wait(time),
            }
        }
        under_way.clear();
        desk.wait(120 * SECOND);
        desk.request(Outcome::Success);
        let _both = (desk.admit().unwrap(), desk.admit().unwrap());
    }
}
