//! Random histories of several teams: the invariants hold after every single step.
#![expect(
    clippy::arithmetic_side_effects,
    reason = "small numbers, and a panic is a failed test"
)]

use proptest::prelude::*;

use super::*;
use crate::clock::{SystemRandom, Timestamp};
use crate::job::{BudgetMode, JobState};
use crate::money::{CreditRate, Markup, NanoUsd};

const NOW: Timestamp = Timestamp::from_micros(1_000_000);
const CAUSE: Cause<'static> = Cause {
    reason: "test",
    actor: "test",
    at: NOW,
};

fn new_job(team: &TeamId, terms: Terms, credits_max: Option<i64>) -> Job {
    Job {
        id: JobId::new(NOW, &SystemRandom),
        team_id: team.clone(),
        org_id: "org".parse().unwrap(),
        state: JobState::Pending,
        terms,
        hold: Credits::ZERO,
        credits_max: credits_max.map(Credits),
        single_call: false,
        spent: Spend::default(),
        reserved: Spend::default(),
        job_type: "test".to_owned(),
        user_id: None,
        metadata: "{}".to_owned(),
        error_message: None,
        charged: None,
        credits_remaining: None,
        created_at: NOW,
        started_at: None,
        completed_at: None,
        active_at: NOW,
        updated_at: NOW,
    }
}

fn terms(mode: BudgetMode) -> Terms {
    Terms {
        mode,
        credits_per_dollar: CreditRate::from_micros(1_000_000_000),
        tokens_per_credit: 100,
        markup: Markup::from_basis_points(2_500),
    }
}

fn estimate(input_tokens: i64, output_tokens_max: i64) -> CallEstimate {
    let unit = UnitPrices::flat(NanoUsd(2_500), NanoUsd(10_000));
    CallEstimate {
        input_tokens,
        output_tokens_max,
        unit: Some(unit),
    }
}

#[derive(Debug, Clone)]
enum Step {
    Allocate(i64),
    Adjust(i64),
    Refund(i64),
    Open {
        mode: u8,
        credits_max: Option<i64>,
    },
    Begin {
        job: usize,
        input: i64,
        output: i64,
    },
    /// Permille of the worst case that the call really used; above 1000 nobody foresaw it.
    Settle {
        call: usize,
        permille: i64,
    },
    Complete(usize),
    Release {
        job: usize,
        cancelled: bool,
    },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        1 => (-5_i64..200).prop_map(Step::Allocate),
        1 => (-50_i64..50).prop_map(Step::Adjust),
        1 => (-5_i64..50).prop_map(Step::Refund),
        4 => (0_u8..3, proptest::option::of(1_i64..40))
            .prop_map(|(mode, credits_max)| Step::Open { mode, credits_max }),
        6 => (0_usize..20, 0_i64..3_000, 1_i64..3_000)
            .prop_map(|(job, input, output)| Step::Begin { job, input, output }),
        6 => (0_usize..40, 0_i64..1_500)
            .prop_map(|(call, permille)| Step::Settle { call, permille }),
        4 => (0_usize..20).prop_map(Step::Complete),
        1 => (0_usize..20, any::<bool>())
            .prop_map(|(job, cancelled)| Step::Release { job, cancelled }),
    ]
}

/// One team's whole world: its account, jobs, calls in flight and entries.
struct World {
    account: Account,
    jobs: Vec<Job>,
    calls: Vec<(usize, Spend)>,
    entries: Vec<Entry>,
}

impl World {
    fn new(name: &str) -> Self {
        let account = Account::new(name.parse().unwrap());
        Self {
            account,
            jobs: Vec::new(),
            calls: Vec::new(),
            entries: Vec::new(),
        }
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Allocate(n) => {
                self.entries
                    .extend(allocate(&mut self.account, Credits(n), CAUSE));
            }
            Step::Adjust(n) => self
                .entries
                .extend(adjust(&mut self.account, Credits(n), CAUSE)),
            Step::Refund(n) => {
                self.entries
                    .extend(refund(&mut self.account, Credits(n), None, CAUSE));
            }
            Step::Open { mode, credits_max } => self.open(mode, credits_max),
            Step::Begin { job, input, output } => self.begin(job, input, output),
            Step::Settle { call, permille } => self.settle(call, permille),
            Step::Complete(job) => self.complete(job),
            Step::Release { job, cancelled } => {
                let state = if cancelled {
                    JobState::Cancelled
                } else {
                    JobState::Failed
                };
                if let Some(job) = self.jobs.get_mut(job) {
                    let _ = release_job(&mut self.account, job, state, NOW);
                }
            }
        }
    }

    fn open(&mut self, mode: u8, credits_max: Option<i64>) {
        let modes = [
            BudgetMode::JobBased,
            BudgetMode::ConsumptionUsd,
            BudgetMode::ConsumptionTokens,
        ];
        let terms = terms(modes[usize::from(mode)]);
        let mut job = new_job(&self.account.team_id, terms, credits_max);
        if open_job(&mut self.account, &mut job).is_ok() {
            self.jobs.push(job);
        }
    }

    fn begin(&mut self, index: usize, input: i64, output: i64) {
        let Some(job) = self.jobs.get_mut(index) else {
            return;
        };
        let before = (self.account.clone(), job.clone());
        match begin_call(&mut self.account, job, &estimate(input, output), NOW) {
            Ok(admission) => {
                assert!(
                    admission
                        .output_tokens_max
                        .is_none_or(|n| (1..=output).contains(&n))
                );
                assert!(job.credits_max.is_none_or(|max| job.hold <= max));
                self.calls.push((index, admission.reserved));
            }
            Err(_) => assert_eq!(before, (self.account.clone(), job.clone())),
        }
    }

    fn settle(&mut self, call: usize, permille: i64) {
        if call >= self.calls.len() {
            return;
        }
        let (index, reserved) = self.calls.swap_remove(call);
        let used = Spend {
            cost: NanoUsd(reserved.cost.0 * permille / 1_000),
            tokens: reserved.tokens * permille / 1_000,
        };
        settle_call(&mut self.account, &mut self.jobs[index], reserved, used);
    }

    fn complete(&mut self, index: usize) {
        let calls_of_job = self.calls.iter().filter(|(job, _)| *job == index);
        let in_flight = i64::try_from(calls_of_job.count()).unwrap();
        let Some(job) = self.jobs.get_mut(index) else {
            return;
        };
        if let Ok(entries) = complete_job(&mut self.account, job, in_flight, NOW) {
            let total: i64 = entries.iter().map(|e| e.shortfall.0 - e.amount.0).sum();
            assert_eq!(
                Credits(total),
                job.terms.credits_for(job.spent),
                "charged or reported"
            );
            self.entries.extend(entries);
        }
    }

    fn check(&self) {
        let account = &self.account;
        let mut balance = Credits::ZERO;
        for (number, entry) in (1_i64..).zip(&self.entries) {
            assert_eq!(entry.number, number, "entries are numbered without gaps");
            assert_eq!(
                entry.before, balance,
                "an entry begins where the last one ended"
            );
            balance = balance.plus(entry.amount);
            assert_eq!(entry.after, balance);
        }
        assert_eq!(account.balance, balance, "entries add up to the balance");
        assert_eq!(account.allocated.minus(account.used), balance);
        let held = self
            .jobs
            .iter()
            .fold(Credits::ZERO, |sum, job| sum.plus(job.hold));
        assert_eq!(
            account.held, held,
            "holds of open jobs add up to what is held"
        );
        assert!(
            account.balance.minus(account.held) >= Credits::ZERO,
            "nothing is overspent"
        );
        for job in &self.jobs {
            assert!(
                job.state.is_open() || job.hold == Credits::ZERO,
                "an ended job holds nothing"
            );
            let charges = self.entries.iter().filter(|e| e.job_id == Some(job.id));
            let deductions = charges.filter(|e| e.kind == EntryKind::Deduction).count();
            assert_eq!(
                deductions,
                usize::from(job.state == JobState::Completed),
                "charged once"
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 512,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn invariants_hold_after_every_step(
        steps in proptest::collection::vec((0_usize..3, step()), 1..120)
    ) {
        let mut worlds = ["a", "b", "c"].map(World::new);
        for (team, step) in steps {
            worlds[team].take(step);
            worlds[team].check();
        }
    }
}

#[test]
fn a_call_is_cut_to_what_the_team_can_pay() {
    let mut account = Account::new("t".parse().unwrap());
    allocate(&mut account, Credits(5), CAUSE).unwrap();
    let mut job = new_job(&account.team_id, terms(BudgetMode::ConsumptionTokens), None);
    open_job(&mut account, &mut job).unwrap();
    let admission = begin_call(&mut account, &mut job, &estimate(100, 10_000), NOW).unwrap();
    assert_eq!(
        admission.output_tokens_max,
        Some(499),
        "5 credits are 599 tokens, rounded down"
    );
    assert_eq!(account.available(), Credits::ZERO);
    let refusal = begin_call(&mut account, &mut job, &estimate(100, 10), NOW).unwrap_err();
    assert!(
        matches!(refusal, Refusal::InsufficientCredits { .. }),
        "{refusal}"
    );
}

#[test]
fn an_overrun_is_charged_as_far_as_the_account_goes_and_the_rest_is_reported() {
    let mut account = Account::new("t".parse().unwrap());
    allocate(&mut account, Credits(3), CAUSE).unwrap();
    let mut job = new_job(&account.team_id, terms(BudgetMode::ConsumptionTokens), None);
    open_job(&mut account, &mut job).unwrap();
    let admission = begin_call(&mut account, &mut job, &estimate(10, 50), NOW).unwrap();
    settle_call(
        &mut account,
        &mut job,
        admission.reserved,
        Spend {
            tokens: 500,
            ..Spend::default()
        },
    );
    let entries = complete_job(&mut account, &mut job, 0, NOW).unwrap();
    assert_eq!(account.balance, Credits::ZERO);
    assert_eq!(entries.last().unwrap().shortfall, Credits(2));
    assert_eq!(job.charged, Some(Credits(3)));
}

#[test]
fn completing_twice_and_calling_after_the_end_are_refused() {
    let mut account = Account::new("t".parse().unwrap());
    allocate(&mut account, Credits(1), CAUSE).unwrap();
    let mut job = new_job(&account.team_id, terms(BudgetMode::JobBased), None);
    open_job(&mut account, &mut job).unwrap();
    let in_flight = complete_job(&mut account, &mut job, 1, NOW);
    assert_eq!(in_flight, Err(Refusal::CallsInFlight { count: 1 }));
    complete_job(&mut account, &mut job, 0, NOW).unwrap();
    let ended = Refusal::JobEnded {
        state: JobState::Completed,
    };
    assert_eq!(
        complete_job(&mut account, &mut job, 0, NOW),
        Err(ended.clone())
    );
    assert_eq!(
        begin_call(&mut account, &mut job, &estimate(1, 1), NOW),
        Err(ended)
    );
}
