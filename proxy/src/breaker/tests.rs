//! What opens a circuit and for whom, what closes it again, one rule a test; then random histories.

use std::cell::Cell;

use proptest::prelude::*;
use tollgate_common::clock::{SystemRandom, Timestamp};

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn credential() -> CredentialId {
    CredentialId::new(Timestamp::default(), &SystemRandom)
}

fn team(name: &str) -> TeamId {
    name.parse().unwrap()
}

/// Circuits, a key and a clock that only moves by hand.
struct Desk {
    breakers: Breakers,
    key: CredentialId,
    now: Cell<Instant>,
    a: TeamId,
    b: TeamId,
    c: TeamId,
}

impl Desk {
    fn new() -> Self {
        Self {
            breakers: Breakers::new(Settings::default()),
            key: credential(),
            now: Cell::new(Instant::now()),
            a: team("a"),
            b: team("b"),
            c: team("c"),
        }
    }

    const fn unit<'m>(&self, upstream_model: &'m str) -> Unit<'m> {
        Unit {
            credential: self.key,
            upstream_model,
            host: "host",
            port: 443,
        }
    }

    fn admit<'t>(&self, team: &'t TeamId) -> Result<Permit<'t>, Refusal> {
        self.breakers.admit(self.unit("m"), team, self.now.get())
    }

    fn request(&self, team: &TeamId, outcome: Outcome) {
        self.admit(team).unwrap().report(outcome, self.now.get());
    }

    /// A request that is sent although the model has failed lately.
    fn insist(&self, team: &TeamId, outcome: Outcome) {
        let permit = self
            .breakers
            .admit_anyway(self.unit("m"), team, self.now.get());
        permit.unwrap().report(outcome, self.now.get());
    }

    fn fail(&self, team: &TeamId, times: usize) {
        for _ in 0..times {
            self.insist(team, Outcome::Failure);
        }
    }

    fn refusal(&self, team: &TeamId) -> Refusal {
        self.admit(team).expect_err("refused")
    }

    fn is_open_for(&self, team: &TeamId) -> bool {
        match self.admit(team) {
            Ok(_) => false,
            Err(refusal) => refusal.why == Why::Failing,
        }
    }

    fn wait(&self, time: Duration) {
        self.now.set(self.now.get() + time);
    }

    fn views(&self) -> Vec<BreakerView> {
        self.breakers.states(self.now.get())
    }
}

#[test]
fn a_team_that_fails_alone_opens_the_circuit_for_itself_alone() {
    let desk = Desk::new();
    desk.fail(&desk.a, 4);
    assert!(!desk.is_open_for(&desk.a));
    desk.fail(&desk.a, 1);
    assert_eq!(desk.refusal(&desk.a).wait, 5 * SECOND);
    assert_eq!(desk.refusal(&desk.a).why, Why::Failing);
    desk.fail(&desk.a, 1_000);
    assert!(!desk.is_open_for(&desk.b));
    let view = &desk.views()[0];
    assert!(matches!(view.subject, Subject::Model { teams: 1, .. }));
    assert_eq!(view.condition, Condition::Open);
}

#[test]
fn several_teams_that_fail_open_it_for_all_and_for_no_other_model() {
    let desk = Desk::new();
    desk.fail(&desk.a, 3);
    desk.fail(&desk.b, 1);
    assert!(!desk.is_open_for(&desk.c), "too few have been seen");
    desk.fail(&desk.b, 1);
    assert_eq!(desk.refusal(&desk.c).wait, 5 * SECOND);
    let other = desk
        .breakers
        .admit(desk.unit("other"), &desk.c, desk.now.get());
    assert!(other.is_ok());
    let view = &desk.views()[0];
    assert!(matches!(view.subject, Subject::Model { teams: 0, .. }));
    assert_eq!(view.failures, 5);
}

#[test]
fn one_failure_of_another_team_adds_little_to_the_failures_of_one() {
    let desk = Desk::new();
    desk.fail(&desk.b, 1);
    desk.fail(&desk.a, 1_000);
    assert!(!desk.is_open_for(&desk.c));
}

#[test]
fn teams_that_are_served_outweigh_those_that_fail() {
    let desk = Desk::new();
    desk.fail(&desk.a, 1);
    for healthy in ["c", "d", "e"] {
        desk.request(&team(healthy), Outcome::Success);
    }
    desk.fail(&desk.a, 20);
    desk.fail(&desk.b, 20);
    assert!(!desk.is_open_for(&desk.c));
}

#[test]
fn an_outage_after_many_successes_is_noticed_by_the_rate_of_failures() {
    let desk = Desk::new();
    for _ in 0..1_000 {
        desk.request(&desk.a, Outcome::Success);
    }
    for _ in 0..4 {
        desk.insist(&desk.a, Outcome::Failure);
        desk.insist(&desk.a, Outcome::Success);
    }
    assert!(!desk.is_open_for(&desk.a));
    desk.insist(&desk.a, Outcome::Failure);
    assert!(desk.is_open_for(&desk.a), "five of the last ten");
}

#[test]
fn what_is_long_ago_is_forgotten() {
    let desk = Desk::new();
    desk.fail(&desk.a, 4);
    desk.fail(&desk.b, 2);
    desk.wait(60 * SECOND);
    desk.fail(&desk.a, 1);
    assert!(!desk.is_open_for(&desk.a) && !desk.is_open_for(&desk.c));
}

#[test]
fn answers_that_are_no_evidence_open_nothing() {
    let desk = Desk::new();
    for outcome in [Outcome::Answered, Outcome::Neutral] {
        for name in ["a", "b", "c"] {
            for _ in 0..100 {
                desk.request(&team(name), outcome);
            }
        }
    }
    assert_eq!(desk.views(), []);
}

#[test]
fn a_slow_probe_does_not_keep_others_waiting() {
    let desk = Desk::new();
    desk.fail(&desk.a, 3);
    desk.fail(&desk.b, 3);
    assert!(desk.is_open_for(&desk.c));
    desk.wait(5 * SECOND);
    let slow = [desk.admit(&desk.a).unwrap(), desk.admit(&desk.a).unwrap()];
    assert_eq!(desk.refusal(&desk.a).wait, circuit::PROBE_PAUSE);
    // Another team probes beside them, and its success lets all pass.
    desk.request(&desk.c, Outcome::Success);
    assert!(!desk.is_open_for(&desk.a) && !desk.is_open_for(&desk.b));
    for probe in slow {
        probe.report(Outcome::Failure, desk.now.get());
    }
    assert!(!desk.is_open_for(&desk.c));
}

#[test]
fn the_places_of_slow_probes_become_free() {
    let desk = Desk::new();
    desk.request(&desk.a, Outcome::KeyRefused);
    desk.wait(60 * SECOND);
    let slow: Vec<_> = (0..2).map(|_| desk.admit(&desk.a).unwrap()).collect();
    assert!(desk.admit(&desk.a).is_err());
    desk.wait(5 * SECOND);
    desk.request(&desk.a, Outcome::Success);
    assert_eq!(desk.views(), []);
    drop(slow);
}

#[test]
fn failed_probes_of_one_team_do_not_open_it_again_for_others() {
    let desk = Desk::new();
    desk.fail(&desk.a, 3);
    desk.fail(&desk.b, 3);
    desk.wait(5 * SECOND);
    for _ in 0..10 {
        desk.request(&desk.b, Outcome::Failure);
        if desk.is_open_for(&desk.b) {
            break;
        }
    }
    desk.request(&desk.c, Outcome::Success);
    assert!(!desk.is_open_for(&desk.c));
}

#[test]
fn failed_probes_of_several_teams_double_the_pause_up_to_two_minutes() {
    let desk = Desk::new();
    desk.fail(&desk.a, 3);
    desk.fail(&desk.b, 3);
    let probing = ["c", "d"].map(team);
    for seconds in [5, 10, 20, 40, 80, 120, 120] {
        assert_eq!(desk.refusal(&team("e")).wait, seconds * SECOND);
        desk.wait(seconds * SECOND);
        for team in &probing {
            desk.request(team, Outcome::Failure);
        }
    }
    desk.wait(120 * SECOND);
    desk.request(&desk.a, Outcome::Success);
    assert!(!desk.is_open_for(&desk.b));
}

#[test]
fn who_is_served_all_the_same_closes_it() {
    let desk = Desk::new();
    desk.fail(&desk.a, 3);
    desk.fail(&desk.b, 3);
    desk.insist(&desk.c, Outcome::Success);
    assert!(!desk.is_open_for(&desk.b));
    desk.fail(&desk.a, 5);
    assert!(desk.is_open_for(&desk.a));
    desk.insist(&desk.a, Outcome::Success);
    assert!(!desk.is_open_for(&desk.a));
}

#[test]
fn a_refused_key_is_closed_to_all_its_models_and_to_nothing_else() {
    let desk = Desk::new();
    desk.request(&desk.a, Outcome::KeyRefused);
    let now = desk.now.get();
    for model in ["m", "other"] {
        let refusal = desk
            .breakers
            .admit(desk.unit(model), &desk.b, now)
            .unwrap_err();
        assert_eq!((refusal.why, refusal.wait), (Why::Unusable, 60 * SECOND));
        assert!(
            desk.breakers
                .admit_anyway(desk.unit(model), &desk.b, now)
                .is_err()
        );
    }
    let other = Unit {
        credential: credential(),
        ..desk.unit("m")
    };
    assert!(desk.breakers.admit(other, &desk.b, now).is_ok());
    desk.wait(60 * SECOND);
    desk.request(&desk.b, Outcome::KeyRefused);
    assert_eq!(desk.refusal(&desk.a).wait, 60 * SECOND);
    desk.wait(60 * SECOND);
    desk.request(&desk.a, Outcome::Answered);
    assert_eq!(desk.views(), [], "the key was accepted");
}

#[test]
fn a_host_that_cannot_be_reached_is_closed_to_all_keys_and_models() {
    let desk = Desk::new();
    let other = Unit {
        credential: credential(),
        ..desk.unit("other")
    };
    for _ in 0..4 {
        desk.request(&desk.a, Outcome::Unreachable);
    }
    desk.request(&desk.b, Outcome::Failure);
    for _ in 0..4 {
        desk.request(&desk.a, Outcome::Unreachable);
    }
    assert!(desk.admit(&desk.b).is_ok(), "it was reached in between");
    desk.request(&desk.a, Outcome::Unreachable);
    let refusal = desk.breakers.admit(other, &desk.b, desk.now.get());
    assert_eq!(refusal.unwrap_err().why, Why::Unusable);
    let elsewhere = Unit { port: 80, ..other };
    assert!(
        desk.breakers
            .admit(elsewhere, &desk.b, desk.now.get())
            .is_ok()
    );
    assert!(matches!(
        desk.views()[0].subject,
        Subject::Host { port: 443, .. }
    ));
    desk.wait(5 * SECOND);
    desk.request(&desk.b, Outcome::Failure);
    assert!(desk.admit(&desk.a).is_ok());
}

#[test]
fn a_rate_limit_is_of_one_model_with_one_key() {
    let desk = Desk::new();
    for (retry_after, seconds) in [(None, 2), (Some(7), 7), (Some(3_600), 60)] {
        for _ in 0..10 {
            let late = desk.admit(&desk.a).unwrap();
            let retry_after = retry_after.map(Duration::from_secs);
            desk.request(&desk.a, Outcome::RateLimited { retry_after });
            let refusal = desk.refusal(&desk.b);
            assert_eq!(
                (refusal.why, refusal.wait),
                (Why::RateLimited, seconds * SECOND)
            );
            assert_eq!(desk.views()[0].condition, Condition::RateLimited);
            let now = desk.now.get();
            assert!(
                desk.breakers
                    .admit(desk.unit("other"), &desk.b, now)
                    .is_ok()
            );
            assert!(
                desk.breakers
                    .admit_anyway(desk.unit("m"), &desk.b, now)
                    .is_err()
            );
            // A shorter limit does not end a longer one.
            let shorter = Outcome::RateLimited {
                retry_after: Some(SECOND),
            };
            late.report(shorter, desk.now.get());
            assert_eq!(desk.views()[0].pause, seconds * SECOND);
            desk.wait(seconds * SECOND);
        }
    }
    desk.request(&desk.a, Outcome::Success);
    assert_eq!(desk.views(), []);
}

#[test]
fn what_is_gone_or_idle_takes_no_memory() {
    let desk = Desk::new();
    for index in 0..1_000 {
        let (model, host) = (format!("m{index}"), format!("h{index}"));
        let unit = Unit {
            host: &host,
            ..desk.unit(&model)
        };
        let permit = desk.breakers.admit(unit, &desk.a, desk.now.get()).unwrap();
        permit.report(Outcome::Failure, desk.now.get());
    }
    let teams: Vec<TeamId> = (0..1_000).map(|index| team(&format!("t{index}"))).collect();
    for team in &teams {
        desk.insist(team, Outcome::Failure);
    }
    let key = desk.breakers.keys.get(&desk.key);
    let count = |key: &Key| key.models.0.load().len();
    assert!(desk.views()[0].failures <= 64, "few teams are remembered");
    assert_eq!(count(&key), 1_001);
    desk.wait(Duration::from_mins(5));
    desk.insist(&desk.a, Outcome::Success);
    desk.wait(Duration::from_mins(5));
    desk.breakers.sweep(desk.now.get());
    assert_eq!(count(&key), 0);
    assert!(desk.breakers.hosts.0.load().is_empty());
    desk.breakers.retain(&HashSet::new());
    assert!(desk.breakers.keys.0.load().is_empty());
}

#[derive(Debug, Clone)]
enum Step {
    /// A team's request, to one of the models; sent even if that fails lately.
    Begin {
        team: usize,
        model: usize,
    },
    /// Ends one of the requests under way; `None` drops it.
    End(usize, Option<Outcome>),
    Wait(Duration),
}

const TEAMS: [&str; 4] = ["attacker", "b", "c", "d"];
const MODELS: [&str; 2] = ["m", "n"];

/// All that a caller can bring about.
fn provoked() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        6 => Just(Outcome::Failure),
        2 => Just(Outcome::Success),
        1 => Just(Outcome::Answered),
        1 => Just(Outcome::Neutral),
    ]
}

fn any_outcome() -> impl Strategy<Value = Outcome> {
    let limited = proptest::option::of(0_u64..100).prop_map(|seconds| Outcome::RateLimited {
        retry_after: seconds.map(Duration::from_secs),
    });
    prop_oneof![
        8 => provoked(),
        1 => limited,
        1 => Just(Outcome::KeyRefused),
        2 => Just(Outcome::Unreachable),
    ]
}

fn steps(outcome: impl Strategy<Value = Outcome>) -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (0..TEAMS.len(), 0..MODELS.len())
            .prop_map(|(team, model)| Step::Begin { team, model }),
        6 => (any::<usize>(), proptest::option::weighted(0.9, outcome))
            .prop_map(|(index, outcome)| Step::End(index, outcome)),
        1 => (0_u64..20_000).prop_map(|millis| Step::Wait(Duration::from_millis(millis))),
        1 => (0_u64..150).prop_map(|seconds| Step::Wait(Duration::from_secs(seconds))),
    ];
    proptest::collection::vec(step, 0..250)
}

proptest! {
    /// Whatever one team brings about, at whatever pace: the others' requests pass, to all models.
    #[test]
    fn one_teams_requests_never_open_a_circuit_for_another_team(steps in steps(provoked())) {
        let desk = Desk::new();
        let teams = TEAMS.map(team);
        let mut under_way = Vec::new();
        for step in steps {
            let now = desk.now.get();
            match step {
                Step::Begin { team, model } => {
                    let unit = desk.unit(MODELS[model]);
                    let permit = desk.breakers.admit(unit, &teams[team], now);
                    prop_assert!(team == 0 || permit.is_ok(), "{permit:?}");
                    let permit = permit.or_else(|_| {
                        desk.breakers.admit_anyway(unit, &teams[team], now)
                    });
                    under_way.push((team, permit.unwrap()));
                }
                Step::End(..) if under_way.is_empty() => {}
                Step::End(index, outcome) => {
                    let (team, permit) = under_way.swap_remove(index % under_way.len());
                    match outcome {
                        Some(outcome) if team == 0 => permit.report(outcome, now),
                        Some(_) => permit.report(Outcome::Success, now),
                        None => drop(permit),
                    }
                }
                Step::Wait(time) => desk.wait(time),
            }
        }
        for victim in &teams[1..] {
            for model in MODELS {
                let now = desk.now.get();
                prop_assert!(desk.breakers.admit(desk.unit(model), victim, now).is_ok());
            }
        }
    }

    /// In every history pauses end, and what works again is used again.
    #[test]
    fn every_pause_ends(steps in steps(any_outcome())) {
        let desk = Desk::new();
        let teams = TEAMS.map(team);
        let mut under_way = Vec::new();
        for step in steps {
            let now = desk.now.get();
            match step {
                Step::Begin { team, model } => {
                    match desk.breakers.admit(desk.unit(MODELS[model]), &teams[team], now) {
                        Ok(permit) => under_way.push(permit),
                        Err(refusal) => {
                            prop_assert!(!refusal.wait.is_zero());
                            prop_assert!(refusal.wait <= 120 * SECOND);
                        }
                    }
                }
                Step::End(..) if under_way.is_empty() => {}
                Step::End(index, outcome) => {
                    let permit = under_way.swap_remove(index % under_way.len());
                    match outcome {
                        Some(outcome) => permit.report(outcome, now),
                        None => drop(permit),
                    }
                }
                Step::Wait(time) => desk.wait(time),
            }
        }
        under_way.clear();
        for model in MODELS {
            desk.wait(121 * SECOND);
            for team in &teams {
                let permit = desk.breakers.admit(desk.unit(model), team, desk.now.get());
                permit.unwrap().report(Outcome::Success, desk.now.get());
            }
        }
        prop_assert_eq!(desk.views(), []);
    }
}
