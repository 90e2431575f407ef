//! Random histories of several teams over many days: the invariants hold after every single step.
#![expect(
    clippy::arithmetic_side_effects,
    reason = "small numbers, and a panic is a failed test"
)]

use proptest::prelude::*;

mod refunds;

use super::*;
use crate::clock::{SystemRandom, Timestamp};
use crate::job::{BudgetMode, ChargeFailed, JobState, Spend, Terms};
use crate::money::{CreditRate, Markup, PicoUsd, Rounding};
use crate::price::{FeeCounts, OutputKinds, UnitPrices};

mod cases;
mod output;

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
        charge_failed: ChargeFailed::default_of(mode),
        rounding: Rounding::Down,
        job_cost_max: None,
    }
}

fn estimate(input_tokens: i64, output_tokens_max: i64) -> CallEstimate {
    let unit = UnitPrices::flat(PicoUsd(2_500_000), PicoUsd(10_000_000));
    CallEstimate {
        prompt: PromptWeight::of_text(input_tokens),
        output_tokens_max,
        output_kinds: OutputKinds::default(),
        fees_max: FeeCounts::NONE,
        output_tokens_min: 1,
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
        terms: Terms,
        credits_max: Option<i64>,
    },
    Begin {
        job: usize,
        input: i64,
        output: i64,
        output_min: i64,
    },
    /// Permille of the worst case that the call really used; above 1000 nobody foresaw it.
    Settle {
        call: usize,
        permille: i64,
    },
    Complete(usize),
    /// A job ends without being completed, with or without calls in flight.
    Fail {
        job: usize,
        cancelled: bool,
        released: bool,
    },
    PayDebt,
}

fn any_terms() -> impl Strategy<Value = Terms> {
    let modes = [
        BudgetMode::JobBased,
        BudgetMode::ConsumptionUsd,
        BudgetMode::ConsumptionTokens,
    ];
    let rules = [
        ChargeFailed::Never,
        ChargeFailed::Used,
        ChargeFailed::Always,
    ];
    let roundings = [Rounding::Down, Rounding::Up];
    let bound = proptest::option::of(1_i64..100_000_000);
    (
        proptest::sample::select(modes.to_vec()),
        proptest::sample::select(rules.to_vec()),
        proptest::sample::select(roundings.to_vec()),
        bound,
    )
        .prop_map(|(mode, charge_failed, rounding, bound)| Terms {
            charge_failed,
            rounding,
            job_cost_max: bound.map(NanoUsd),
            ..terms(mode)
        })
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        1 => (-5_i64..200).prop_map(Step::Allocate),
        1 => (-50_i64..50).prop_map(Step::Adjust),
        1 => (-5_i64..50).prop_map(Step::Refund),
        1 => (proptest::option::of(0_i64..20), proptest::option::of(0_i64..60))
            .prop_map(|(day, month)| Step::Budget { day, month }),
        4 => (any_terms(), proptest::option::of(1_i64..40))
            .prop_map(|(terms, credits_max)| Step::Open { terms, credits_max }),
        6 => (0_usize..5, 0_i64..3_000, 1_i64..3_000, 1_i64..1_000).prop_map(
            |(job, input, output, output_min)| Step::Begin { job, input, output, output_min }
        ),
        6 => (0_usize..6, 0_i64..1_500)
            .prop_map(|(call, permille)| Step::Settle { call, permille }),
        4 => (0_usize..5).prop_map(Step::Complete),
        3 => (0_usize..5, any::<bool>(), prop_oneof![3 => Just(false), 1 => Just(true)])
            .prop_map(|(job, cancelled, released)| Step::Fail { job, cancelled, released }),
        1 => Just(Step::PayDebt),
    ]
}

/// A step and when it is taken: so many hours after the one before, by a clock that lags behind by
/// so many minutes.
fn timed_step() -> impl Strategy<Value = (i64, i64, Step)> {
    // From noon on, half days meet every midnight.
    let hours = prop_oneof![8 => Just(0_i64), 2 => Just(12_i64), 1 => 0_i64..400];
    let minutes = prop_oneof![3 => Just(0_i64), 1 => 0_i64..=5];
    (hours, minutes, step())
}

const MICROS_PER_MINUTE: i64 = 60_000_000;

/// A call in flight.
struct InFlight {
    id: CallId,
    job: usize,
    reserved: Spend,
}

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
    calls: Vec<InFlight>,
    entries: Vec<Entry>,
    /// Whether a call has used more than its worst case, which no hold covers.
    has_overrun: bool,
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
            has_overrun: false,
        }
    }

    /// Takes a step; it does not bring what is charged and held above a budget, unless a call has
    /// used more than anyone could foresee.
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
            let is_within = self.taken(window) <= most;
            assert!(self.has_overrun || is_within, "{window:?} {taken:?}");
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
            Step::Open { terms, credits_max } => self.open(terms, credits_max),
            Step::Begin {
                job,
                input,
                output,
                output_min,
            } => {
                if let Some(index) = self.jobs.len().checked_sub(job + 1) {
                    let estimate = CallEstimate {
                        output_tokens_min: output_min,
                        ..estimate(input, output)
                    };
                    self.begin(index, &estimate);
                }
            }
            Step::Settle { call, permille } => self.settle(call, permille),
            Step::Complete(job) => {
                if let Some(index) = self.jobs.len().checked_sub(job + 1) {
                    self.complete(index);
                }
            }
            Step::Fail {
                job,
                cancelled,
                released,
            } => {
                let state = if cancelled {
                    JobState::Cancelled
                } else {
                    JobState::Failed
                };
                if let Some(index) = self.jobs.len().checked_sub(job + 1) {
                    self.fail(index, state, released);
                }
            }
            Step::PayDebt => {
                let entry = pay_debt(&mut self.account, self.now);
                self.entries.extend(entry);
                let is_paid = self.account.owed == Credits::ZERO;
                assert!(is_paid || self.account.available() == Credits::ZERO);
            }
        }
    }

    fn open(&mut self, terms: Terms, credits_max: Option<i64>) {
        let owed = self.account.owed;
        let mut job = new_job(&self.account.team_id, terms, credits_max);
        if open_job(&mut self.account, &mut job, self.now).is_ok() {
            assert_eq!(owed, Credits::ZERO, "no work begins on credit");
            self.jobs.push(job);
        }
    }

    fn begin(&mut self, index: usize, estimate: &CallEstimate) {
        let job = &mut self.jobs[index];
        let before = (self.account.clone(), job.clone());
        let output = estimate.output_tokens_max;
        match begin_call(&mut self.account, job, estimate, self.now) {
            Ok(admission) => {
                assert_eq!(before.0.owed, Credits::ZERO, "no work begins on credit");
                if let Some(granted) = admission.output_tokens_max {
                    let least = estimate.output_tokens_min.min(output);
                    assert!((least..=output).contains(&granted));
                    assert_eq!(admission.limited_by.is_some(), granted < output);
                }
                assert!(job.credits_max.is_none_or(|max| job.hold <= max));
                let bound = job.terms.cost_bound();
                let committed = job.spent.plus(job.reserved).cost;
                assert!(bound.is_none_or(|bound| committed <= bound));
                self.calls.push(InFlight {
                    id: CallId::new(NOW, &SystemRandom),
                    job: index,
                    reserved: admission.reserved,
                });
            }
            Err(_) => assert_eq!(before, (self.account.clone(), job.clone())),
        }
    }

    fn in_flight(&self, job: usize) -> i64 {
        let calls = self.calls.iter().filter(|call| call.job == job);
        i64::try_from(calls.count()).unwrap()
    }

    fn settle(&mut self, call: usize, permille: i64) {
        let Some(call) = self.calls.len().checked_sub(call + 1) else {
            return;
        };
        let InFlight { id, job, reserved } = self.calls.remove(call);
        self.has_overrun |= permille > 1_000;
        let call = CallEnd {
            id,
            reserved,
            used: Spend {
                cost: NanoUsd(reserved.cost.0 * permille / 1_000),
                tokens: reserved.tokens * permille / 1_000,
            },
            others_in_flight: self.in_flight(job),
        };
        let entries = settle_call(&mut self.account, &mut self.jobs[job], &call, self.now);
        self.entries.extend(entries);
    }

    fn complete(&mut self, index: usize) {
        let in_flight = self.in_flight(index);
        let job = &mut self.jobs[index];
        if let Ok(entries) = complete_job(&mut self.account, job, in_flight, self.now) {
            self.entries.extend(entries);
        }
    }

    fn fail(&mut self, index: usize, state: JobState, released: bool) {
        let in_flight = self.in_flight(index);
        let (account, job) = (&mut self.account, &mut self.jobs[index]);
        if released {
            let _ = release_job(account, job, state, in_flight, self.now);
        } else if let Ok(entries) = fail_job(account, job, state, in_flight, self.now) {
            self.entries.extend(entries);
        }
    }

    /// What the entries of a job have asked for: taken or reported as missing.
    fn asked(&self, job: &Job) -> Credits {
        let entries = self.entries.iter().filter(|e| e.job_id == Some(job.id));
        let charges =
            entries.filter(|e| matches!(e.kind, EntryKind::Deduction | EntryKind::Overrun));
        charges.fold(Credits::ZERO, |sum, e| {
            sum.plus(e.shortfall).minus(e.amount)
        })
    }

    /// However a job has ended: it was asked what its terms say for all that its calls used, it
    /// holds the rest of those in flight, and nothing else.
    fn check_job(&self, index: usize) {
        let job = &self.jobs[index];
        let in_flight = self.in_flight(index);
        let asked = self.asked(job);
        let price = match job.state {
            JobState::Pending | JobState::InProgress => Credits::ZERO,
            JobState::Completed => job.terms.credits_for(job.spent),
            JobState::Failed | JobState::Cancelled => job.terms.credits_for_failed(job.spent),
        };
        assert_eq!(asked, price, "charged or reported");
        let spent = match job.terms.charge_failed {
            ChargeFailed::Never if !job.state.is_open() => Spend::default(),
            _ => job.spent,
        };
        let needed = job.terms.credits_for(spent.plus(job.reserved)).minus(asked);
        if in_flight > 0 && !self.has_overrun {
            assert!(job.hold >= needed, "calls in flight are covered");
        }
        assert!(job.state.is_open() || in_flight > 0 || job.hold == Credits::ZERO);
        let charged = job.charged.unwrap_or_default();
        assert!(job.credits_max.is_none_or(|max| charged <= max));
        let deductions = self
            .entries
            .iter()
            .filter(|e| e.kind == EntryKind::Deduction);
        let mut calls: Vec<_> = deductions
            .filter(|e| e.job_id == Some(job.id))
            .map(|e| e.call_id)
            .collect();
        let count = calls.len();
        let at_end = calls.iter().filter(|call| call.is_none()).count();
        calls.sort_unstable();
        calls.dedup();
        assert_eq!(calls.len(), count, "each moment is charged once");
        assert!(job.state != JobState::Completed || at_end == 1);
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
        assert_eq!(account.held, held, "holds of jobs add up to what is held");
        assert!(
            account.balance.minus(account.held) >= Credits::ZERO,
            "nothing is overspent"
        );
        self.check_windows();
        let owed = self.entries.iter();
        let owed = owed.fold(Credits::ZERO, |sum, entry| sum.plus(entry.debt));
        assert_eq!(account.owed, owed, "debts and payments add up");
        for index in 0..self.jobs.len() {
            self.check_job(index);
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
            let step = match step {
                Step::Settle { call, permille } => Step::Settle {
                    call,
                    permille: permille.min(1_000),
                },
                other => other,
            };
            world.take(hours, 0, step);
            world.check();
            world.check_ceilings();
        }
    }
}
