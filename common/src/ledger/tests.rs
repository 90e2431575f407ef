//! Random histories of several teams over many days: the invariants hold after every single step.
#![expect(
    clippy::arithmetic_side_effects,
    reason = "small numbers, and a panic is a failed test"
)]

use proptest::prelude::*;

mod refunds;

use super::*;
use crate::clock::{SystemRandom, Timestamp};
use crate::job::{BudgetMode, JobState};
use crate::money::{CreditRate, Markup, NanoUsd, PicoUsd};

/// 2026-11-23T12:00:00Z: a month ends within a few steps.
const NOW: Timestamp = Timestamp::from_micros(1_795_435_200_000_000);
const CAUSE: Cause<'static> = cause(NOW);
const WINDOWS: [Window; 2] = [Window::Day, Window::Month];

const fn cause(at: Timestamp) -> Cause<'static> {
    Cause {
        reason: "test",
        actor: "test",
        at,
    }
}

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
    let unit = UnitPrices::flat(PicoUsd(2_500_000), PicoUsd(10_000_000));
    CallEstimate {
        prompt: PromptWeight::of_text(input_tokens),
        output_tokens_max,
        output_kinds: OutputKinds::default(),
        fees_max: FeeCounts::NONE,
        unit: Some(unit),
    }
}

/// Jobs and calls are counted from the newest, so that most steps meet open ones.
#[derive(Debug, Clone)]
enum Step {
    Allocate(i64),
    Adjust(i64),
    Refund(i64),
    Budget {
        day: Option<i64>,
        month: Option<i64>,
    },
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
        1 => (proptest::option::of(0_i64..20), proptest::option::of(0_i64..60))
            .prop_map(|(day, month)| Step::Budget { day, month }),
        4 => (0_u8..3, proptest::option::of(1_i64..40))
            .prop_map(|(mode, credits_max)| Step::Open { mode, credits_max }),
        6 => (0_usize..5, 0_i64..3_000, 1_i64..3_000)
            .prop_map(|(job, input, output)| Step::Begin { job, input, output }),
        6 => (0_usize..6, 0_i64..1_500)
            .prop_map(|(call, permille)| Step::Settle { call, permille }),
        4 => (0_usize..5).prop_map(Step::Complete),
        1 => (0_usize..5, any::<bool>())
            .prop_map(|(job, cancelled)| Step::Release { job, cancelled }),
    ]
}

/// A step and when it is taken: so many hours after the one before, by a clock that lags behind by
/// so many minutes.
fn timed_step() -> impl Strategy<Value = (i64, i64, Step)> {
    // From noon on, half days meet every midnight.
    let hours = prop_oneof![8 => Just(0_i64), 2 => Just(12_i64), 1 => 0_i64..400];
    let minutes = prop_oneof![3 => Just(0_i64), 1 => 0_i64..120];
    (hours, minutes, step())
}

const MICROS_PER_MINUTE: i64 = 60_000_000;

/// One team's whole world: its account, jobs, calls in flight and entries.
struct World {
    /// The true time, and what the clock of the present step says.
    time: Timestamp,
    now: Timestamp,
    /// What may be charged and held in the present windows: the limit, or what was held when the
    /// window began and what was charged and held when the limit was set, if that is more.
    ceilings: [Credits; 2],
    account: Account,
    jobs: Vec<Job>,
    calls: Vec<(usize, Spend)>,
    entries: Vec<Entry>,
}

impl World {
    fn new(name: &str) -> Self {
        let account = Account::new(name.parse().unwrap());
        Self {
            time: NOW,
            now: NOW,
            ceilings: [Credits(i64::MAX); 2],
            account,
            jobs: Vec::new(),
            calls: Vec::new(),
            entries: Vec::new(),
        }
    }

    /// Takes a step; it does not bring what is charged and held above a budget.
    fn take(&mut self, hours: i64, lag_minutes: i64, step: Step) {
        let before = WINDOWS.map(|window| window_of(window, self.time));
        let micros = self.time.as_micros() + hours * 60 * MICROS_PER_MINUTE;
        self.time = Timestamp::from_micros(micros);
        self.now = Timestamp::from_micros(micros - lag_minutes * MICROS_PER_MINUTE);
        for (index, window) in WINDOWS.into_iter().enumerate() {
            if window_of(window, self.time) != before[index] {
                self.ceilings[index] = self.limit(window).max(self.account.held);
            }
        }
        let taken = WINDOWS.map(|window| self.taken(window));
        self.do_step(step);
        for (index, window) in WINDOWS.into_iter().enumerate() {
            let most = self.limit(window).max(taken[index]);
            assert!(self.taken(window) <= most, "{window:?} {taken:?}");
        }
    }

    fn limit(&self, window: Window) -> Credits {
        let budget = match window {
            Window::Day => self.account.budget_day,
            Window::Month => self.account.budget_month,
        };
        budget.limit.unwrap_or(Credits(i64::MAX))
    }

    /// What is charged in the present window and held.
    fn taken(&self, window: Window) -> Credits {
        let charged = self.account.charged_in(window, self.now);
        charged.plus(self.account.held)
    }

    fn do_step(&mut self, step: Step) {
        let cause = cause(self.now);
        match step {
            Step::Allocate(n) => {
                let entry = allocate(&mut self.account, Credits(n), cause);
                self.entries.extend(entry);
            }
            Step::Adjust(n) => {
                let entry = adjust(&mut self.account, Credits(n), cause);
                self.entries.extend(entry);
            }
            Step::Refund(n) => {
                let entry = refund(&mut self.account, Credits(n), None, cause);
                self.entries.extend(entry);
            }
            Step::Budget { day, month } => {
                self.account.budget_day.limit = day.map(Credits);
                self.account.budget_month.limit = month.map(Credits);
                self.ceilings = WINDOWS.map(|window| self.limit(window).max(self.taken(window)));
            }
            Step::Open { mode, credits_max } => self.open(mode, credits_max),
            Step::Begin { job, input, output } => {
                if let Some(index) = self.jobs.len().checked_sub(job + 1) {
                    self.begin(index, input, output);
                }
            }
            Step::Settle { call, permille } => self.settle(call, permille),
            Step::Complete(job) => {
                if let Some(index) = self.jobs.len().checked_sub(job + 1) {
                    self.complete(index);
                }
            }
            Step::Release { job, cancelled } => {
                let state = if cancelled {
                    JobState::Cancelled
                } else {
                    JobState::Failed
                };
                if let Some(job) = self.jobs.iter_mut().nth_back(job) {
                    let _ = release_job(&mut self.account, job, state, self.now);
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
        if open_job(&mut self.account, &mut job, self.now).is_ok() {
            self.jobs.push(job);
        }
    }

    fn begin(&mut self, index: usize, input: i64, output: i64) {
        let job = &mut self.jobs[index];
        let before = (self.account.clone(), job.clone());
        match begin_call(&mut self.account, job, &estimate(input, output), self.now) {
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
        let Some(call) = self.calls.len().checked_sub(call + 1) else {
            return;
        };
        let (index, reserved) = self.calls.remove(call);
        let used = Spend {
            cost: NanoUsd(reserved.cost.0 * permille / 1_000),
            tokens: reserved.tokens * permille / 1_000,
        };
        let job = &mut self.jobs[index];
        settle_call(&mut self.account, job, reserved, used, self.now);
    }

    fn complete(&mut self, index: usize) {
        let calls_of_job = self.calls.iter().filter(|(job, _)| *job == index);
        let in_flight = i64::try_from(calls_of_job.count()).unwrap();
        let job = &mut self.jobs[index];
        if let Ok(entries) = complete_job(&mut self.account, job, in_flight, self.now) {
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
        self.check_windows();
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

/// The day or month that a moment is in, as it is written.
fn window_of(window: Window, at: Timestamp) -> String {
    let length = match window {
        Window::Day => "2026-11-23".len(),
        Window::Month => "2026-11".len(),
    };
    at.to_string()[..length].to_owned()
}

impl World {
    /// What an account says was charged in a window is what its entries of that window say.
    fn check_windows(&self) {
        let budgets = [self.account.budget_day, self.account.budget_month];
        for (window, budget) in WINDOWS.into_iter().zip(budgets) {
            // A clock that lags is in the window that has begun.
            let present = window_of(window, self.now.max(budget.began_at));
            let is_charge =
                |entry: &&Entry| matches!(entry.kind, EntryKind::Deduction | EntryKind::Overrun);
            let entries = self.entries.iter().filter(is_charge);
            let charged = entries
                .filter(|entry| window_of(window, entry.at) == present)
                .fold(Credits::ZERO, |sum, entry| sum.minus(entry.amount));
            assert_eq!(
                self.account.charged_in(window, self.now),
                charged,
                "{window:?}"
            );
        }
    }

    /// With a clock that is right, no window is charged more than its budget, but for what was held
    /// when it began or when the budget was set.
    fn check_ceilings(&self) {
        for (window, ceiling) in WINDOWS.into_iter().zip(self.ceilings) {
            assert!(self.taken(window) <= ceiling, "{window:?} {ceiling}");
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
        steps in proptest::collection::vec((0_usize..3, timed_step()), 1..120)
    ) {
        let mut worlds = ["a", "b", "c"].map(World::new);
        for world in &mut worlds[..2] {
            world.take(0, 0, Step::Allocate(100));
        }
        for (team, (hours, lag_minutes, step)) in steps {
            worlds[team].take(hours, lag_minutes, step);
            worlds[team].check();
        }
    }

    #[test]
    fn no_window_is_charged_more_than_its_budget(
        steps in proptest::collection::vec(timed_step(), 1..120)
    ) {
        let mut world = World::new("a");
        world.take(0, 0, Step::Allocate(1_000));
        world.take(0, 0, Step::Budget { day: Some(9), month: Some(20) });
        for (hours, _, step) in steps {
            world.take(hours, 0, step);
            world.check();
            world.check_ceilings();
        }
    }
}

#[test]
fn a_budget_is_charged_in_the_window_in_which_a_job_completes() {
    let mut account = Account::new("t".parse().unwrap());
    allocate(&mut account, Credits(100), CAUSE).unwrap();
    account.budget_day.limit = Some(Credits(2));
    let mut jobs = [(); 3].map(|()| new_job(&account.team_id, terms(BudgetMode::JobBased), None));
    open_job(&mut account, &mut jobs[0], NOW).unwrap();
    open_job(&mut account, &mut jobs[1], NOW).unwrap();
    let refusal = open_job(&mut account, &mut jobs[2], NOW).unwrap_err();
    assert!(
        matches!(refusal, Refusal::BudgetExceeded { .. }),
        "{refusal}"
    );

    let tomorrow = Timestamp::from_micros(NOW.as_micros() + 24 * 60 * MICROS_PER_MINUTE);
    complete_job(&mut account, &mut jobs[0], 0, NOW).unwrap();
    complete_job(&mut account, &mut jobs[1], 0, tomorrow).unwrap();
    assert_eq!(account.charged_in(Window::Day, tomorrow), Credits(1));
    assert_eq!(account.charged_in(Window::Month, tomorrow), Credits(2));

    open_job(&mut account, &mut jobs[2], tomorrow).unwrap();
    account.budget_day.limit = Some(Credits(0));
    complete_job(&mut account, &mut jobs[2], 0, tomorrow).unwrap();
    assert_eq!(
        account.charged_in(Window::Day, tomorrow),
        Credits(2),
        "what was held is charged, whatever the budget has become"
    );
}

#[test]
fn an_overrun_is_charged_as_far_as_the_budget_goes() {
    let mut account = Account::new("t".parse().unwrap());
    allocate(&mut account, Credits(100), CAUSE).unwrap();
    account.budget_month.limit = Some(Credits(4));
    let mut job = new_job(&account.team_id, terms(BudgetMode::ConsumptionTokens), None);
    open_job(&mut account, &mut job, NOW).unwrap();
    let admission = begin_call(&mut account, &mut job, &estimate(10, 10_000), NOW).unwrap();
    assert_eq!(
        admission.output_tokens_max,
        Some(489),
        "4 credits are 499 tokens, rounded down"
    );
    let used = Spend {
        tokens: 700,
        ..Spend::default()
    };
    settle_call(&mut account, &mut job, admission.reserved, used, NOW);
    let entries = complete_job(&mut account, &mut job, 0, NOW).unwrap();
    assert_eq!(job.charged, Some(Credits(4)));
    assert_eq!(entries.last().unwrap().shortfall, Credits(3));
    assert_eq!(account.available(), Credits(96));
}

#[test]
fn a_call_is_cut_to_what_the_team_can_pay() {
    let mut account = Account::new("t".parse().unwrap());
    allocate(&mut account, Credits(5), CAUSE).unwrap();
    let mut job = new_job(&account.team_id, terms(BudgetMode::ConsumptionTokens), None);
    open_job(&mut account, &mut job, NOW).unwrap();
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
    open_job(&mut account, &mut job, NOW).unwrap();
    let admission = begin_call(&mut account, &mut job, &estimate(10, 50), NOW).unwrap();
    settle_call(
        &mut account,
        &mut job,
        admission.reserved,
        Spend {
            tokens: 500,
            ..Spend::default()
        },
        NOW,
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
    open_job(&mut account, &mut job, NOW).unwrap();
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
