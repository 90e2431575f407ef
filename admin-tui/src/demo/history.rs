//! The history: jobs come with the rhythm of days and weeks, call models, end, and are charged.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap};
use std::time::Duration;

use tollgate_common::clock::Timestamp;
use tollgate_common::command::Command;
use tollgate_common::db::demo::{Call, Day, Ending, Record, Rows, Totals};
use tollgate_common::db::work::BalanceChange;
use tollgate_common::id::{JobId, KeyId, NodeId};
use tollgate_common::job::{Job, JobState, Spend};
use tollgate_common::ledger::{self, Account, Admission, Cause, JobCharge};
use tollgate_common::money::Credits;

use super::Size;
use super::cast::{ACTORS, Cast};
use super::dice::{Dice, sums};
use super::present::{Minutes, figures};

mod arrivals;
mod plan;

use arrivals::Arrivals;
use plan::{Fate, Plan};

/// A job that has not ended.
#[derive(Debug)]
struct Running {
    job: Job,
    team: usize,
    key: KeyId,
    job_type: &'static str,
    plan: Plan,
    begun: usize,
    /// The call in flight and what was decided of it.
    call: Option<(Call, Admission)>,
    ended: Vec<Call>,
    totals: Totals,
}

/// What is due at a moment.
#[derive(Debug)]
enum Event {
    /// The next step of a job.
    Step(Box<Running>),
    /// Credits are given back.
    Refund(usize, JobId, Credits),
}

/// A history under way.
pub(crate) struct History<'a> {
    size: Size,
    dice: &'a Dice,
    cast: &'a Cast,
    /// Of each player.
    accounts: Vec<Account>,
    arrivals: Arrivals,
    players: Vec<u64>,
    offers: Vec<u64>,
    due: BinaryHeap<Reverse<(Timestamp, u64)>>,
    events: HashMap<u64, Event>,
    last_event: u64,
    rows: Rows,
    days: BTreeMap<(usize, i64, &'static str), Day>,
    uses: HashMap<KeyId, Timestamp>,
    minutes: Minutes,
    node: (NodeId, Timestamp),
}

/// How long the one node runs already.
const UPTIME: Duration = Duration::from_hours(52);

/// Jobs that are handed over together.
const JOBS_TOGETHER: usize = 4_000;

impl<'a> History<'a> {
    /// A history that has not begun; `accounts` are those of the players, in their order.
    pub(crate) fn new(size: Size, dice: &'a Dice, cast: &'a Cast, accounts: Vec<Account>) -> Self {
        let started_at = size.now.minus(UPTIME);
        Self {
            size,
            dice,
            cast,
            accounts,
            arrivals: Arrivals::new(size),
            players: sums(cast.players.iter().map(|player| player.weight)),
            offers: sums(cast.offers.iter().map(|offer| offer.weight)),
            due: BinaryHeap::new(),
            events: HashMap::new(),
            last_event: 0,
            rows: Rows::default(),
            days: BTreeMap::new(),
            uses: cast.past_uses.iter().cloned().collect(),
            minutes: Minutes::before(size.now),
            node: (NodeId::new(started_at, dice), started_at),
        }
    }

    /// Goes on until there is enough to be written; nothing once the present is reached.
    pub(crate) fn go_on(&mut self) -> Option<Rows> {
        while self.rows.jobs.len() < JOBS_TOGETHER {
            let Some((at, is_last)) = self.arrivals.next(self.dice) else {
                self.happen_until(self.size.now);
                let rest = std::mem::take(&mut self.rows);
                return (!rest.jobs.is_empty()).then_some(rest);
            };
            self.happen_until(at);
            self.arrive(at, is_last);
        }
        Some(std::mem::take(&mut self.rows))
    }

    fn schedule(&mut self, at: Timestamp, event: Event) {
        self.last_event += 1;
        self.due.push(Reverse((at, self.last_event)));
        self.events.insert(self.last_event, event);
    }

    fn happen_until(&mut self, end: Timestamp) {
        while let Some(Reverse((at, number))) = self.due.peek().copied() {
            if at > end {
                return;
            }
            self.due.pop();
            match self.events.remove(&number) {
                Some(Event::Step(running)) => self.step(*running, at),
                Some(Event::Refund(team, job, credits)) => self.refund(team, job, credits, at),
                None => {}
            }
        }
    }

    /// Who may and can pay for a job at this moment.
    fn choose(&mut self, at: Timestamp) -> usize {
        for _ in 0..16 {
            let team = self.dice.weighted(&self.players);
            let player = &self.cast.players[team];
            if player.stops_at.is_some_and(|stop| stop <= at) {
                continue;
            }
            if self.accounts[team].spendable(at) < Credits(40) {
                if !player.is_funded {
                    continue;
                }
                self.fund(team, at);
            }
            if self.accounts[team].spendable(at) >= Credits(20) {
                return team;
            }
        }
        // The first team works whatever happens.
        if self.accounts[0].spendable(at) < Credits(40) {
            self.fund(0, at);
        }
        0
    }

    fn fund(&mut self, team: usize, at: Timestamp) {
        let credits = Credits(20_000 + 1_000 * self.dice.between(0, 60));
        let number = self.accounts[team].entry_count;
        let reason = format!("Invoice DEMO-{:05}-{number}", team + 1);
        let change = BalanceChange::Allocate(credits);
        self.change_balance(team, change, reason, at);
    }

    fn refund(&mut self, team: usize, job: JobId, credits: Credits, at: Timestamp) {
        let change = BalanceChange::Refund(credits, Some(job));
        self.change_balance(team, change, "The answer was of no use".to_owned(), at);
    }

    fn change_balance(&mut self, team: usize, change: BalanceChange, why: String, at: Timestamp) {
        let actor = ACTORS[self.dice.below(ACTORS.len() as u64) as usize];
        let cause = Cause {
            reason: &why,
            actor,
            at,
        };
        let account = &mut self.accounts[team];
        let entry = match change {
            BalanceChange::Allocate(credits) => ledger::allocate(account, credits, cause),
            BalanceChange::Refund(credits, job) => {
                // Jobs of the demonstration are refunded once, all that they were charged.
                let all_of = |job_id| JobCharge {
                    job_id,
                    charged: credits,
                    refunded: Credits(0),
                };
                ledger::refund(account, credits, job.map(all_of), cause)
            }
            BalanceChange::Adjust(credits) => ledger::adjust(account, credits, cause),
        };
        let Ok(entry) = entry else {
            return;
        };
        account.version += 1;
        self.rows.entries.push(entry);
        let command = Command::ChangeBalance {
            team_id: self.cast.players[team].id.clone(),
            change,
            reason: why,
        };
        self.rows.records.push(Record { at, actor, command });
    }

    /// A job is created.
    fn arrive(&mut self, at: Timestamp, is_last: bool) {
        let team = self.choose(at);
        let player = &self.cast.players[team];
        let (job_type, mut job) = plan::job(self.dice, player, at);
        let mut plan = Plan::new(self.dice, &self.cast.offers, &self.offers, job.single_call);
        if is_last {
            plan.outlast(self.size.now.since(at));
        }
        let account = &mut self.accounts[team];
        if ledger::open_job(account, &mut job, at).is_err() {
            return;
        }
        account.version += 1;
        // Few keys, the first much busier than the others.
        let key = self.dice.skewed(0, player.keys.len().cast_signed() as i64) as usize;
        let key = player.keys.get(key).or_else(|| player.keys.first());
        let running = Running {
            key: key.cloned().unwrap_or_else(|| KeyId::new("demo")),
            job,
            team,
            job_type,
            plan,
            begun: 0,
            call: None,
            ended: Vec::new(),
            totals: Totals::default(),
        };
        let next = running.plan.next_at(0, at);
        self.schedule(next, Event::Step(Box::new(running)));
    }

    /// A call ends, the next one begins, or the job ends.
    fn step(&mut self, mut running: Running, at: Timestamp) {
        if let Some((call, admission)) = running.call.take() {
            self.settle(&mut running, (call, admission), at);
            let next = running.plan.next_at(running.begun, at);
            self.schedule(next, Event::Step(Box::new(running)));
            return;
        }
        let Some(planned) = running.plan.calls.get(running.begun).cloned() else {
            self.end(running, at);
            return;
        };
        let offer = &self.cast.offers[planned.offer];
        let account = &mut self.accounts[running.team];
        let estimate = planned.estimate(offer);
        match ledger::begin_call(account, &mut running.job, &estimate, at) {
            Ok(admission) => {
                account.version += 1;
                let player = &self.cast.players[running.team];
                let place = (running.job.id, self.node.0);
                let call = planned.begin(
                    self.dice,
                    (player, &running.key),
                    place,
                    offer,
                    (admission, at),
                );
                running.job.active_at = at;
                self.uses.insert(running.key.clone(), at);
                running.begun += 1;
                running.call = Some((call, admission));
                let latency = Duration::from_millis(planned.latency_ms as u64);
                self.schedule(at.plus(latency), Event::Step(Box::new(running)));
            }
            Err(refusal) => {
                running.plan.calls.truncate(running.begun);
                running.plan.fate = Fate::Failed;
                running.job.error_message = Some(refusal.to_string());
                self.end(running, at);
            }
        }
    }

    fn settle(
        &mut self,
        running: &mut Running,
        (mut call, admission): (Call, Admission),
        at: Timestamp,
    ) {
        let planned = &running.plan.calls[running.begun - 1];
        let offer = &self.cast.offers[planned.offer];
        let longest = admission.output_tokens_max;
        let terms = running.job.terms;
        let used: Spend = planned.settle(self.dice, &mut call, offer, (&terms, longest), at);
        let account = &mut self.accounts[running.team];
        let end = ledger::CallEnd {
            id: call.id,
            reserved: admission.reserved,
            used,
            others_in_flight: 0,
        };
        let entries = ledger::settle_call(account, &mut running.job, &end, at);
        self.rows.entries.extend(entries);
        account.version += 1;
        running.job.active_at = at;
        let failed = i64::from(call.error.is_some());
        running.totals.add(&Totals {
            calls: 1,
            in_flight: 0,
            succeeded: 1 - failed,
            failed,
            input_tokens: call.usage.input(),
            output_tokens: call.usage.output(),
            client_cost: call.client_cost,
            provider_cost: call.provider_cost,
            latency_ms: call.latency_ms.unwrap_or(0),
        });
        if failed == 1 && running.begun == running.plan.calls.len() {
            running.plan.fate = running.plan.fate.after_failure(self.dice);
        }
        self.minutes.count(self.dice, &call);
        running.ended.push(call);
    }

    fn end(&mut self, mut running: Running, at: Timestamp) {
        let account = &mut self.accounts[running.team];
        let job = &mut running.job;
        let fate = running.plan.fate;
        match fate {
            Fate::Completed => {
                if let Ok(entries) = ledger::complete_job(account, job, 0, at) {
                    self.rows.entries.extend(entries);
                }
            }
            Fate::Failed | Fate::Forgotten | Fate::Cancelled => {
                let message = fate.message();
                job.error_message.get_or_insert_with(|| message.to_owned());
                // A job that is running can end.
                if let Ok(entries) = ledger::fail_job(account, job, fate.state(), 0, at) {
                    self.rows.entries.extend(entries);
                }
            }
        }
        account.version += 1;
        let charged = job.charged.unwrap_or_default();
        let (id, team) = (job.id, running.team);
        if fate == Fate::Cancelled {
            let actor = ACTORS[self.dice.below(ACTORS.len() as u64) as usize];
            let reason = fate.message().to_owned();
            let command = Command::CancelJob {
                id,
                reason,
                release: false,
            };
            self.rows.records.push(Record { at, actor, command });
        }
        if charged > Credits(1) && self.dice.chance(2) {
            let later = at.plus(Duration::from_mins(self.dice.below(600) + 5));
            self.schedule(later, Event::Refund(team, id, charged));
        }
        self.add_up(&running, charged);
        self.rows.calls.append(&mut running.ended);
        self.rows.jobs.push((running.job, running.totals));
    }

    fn add_up(&mut self, running: &Running, charged: Credits) {
        let day = running.job.created_at.day();
        let entry = self.days.entry((running.team, day, running.job_type));
        let sums = entry.or_insert_with(|| Day {
            team_id: running.job.team_id.clone(),
            day,
            job_type: running.job_type,
            ended: [0; 3],
            credits: 0,
            totals: Totals::default(),
        });
        let place = match running.job.state {
            JobState::Completed => 0,
            JobState::Cancelled => 2,
            _ => 1,
        };
        sums.ended[place] += 1;
        sums.credits += charged.0;
        sums.totals.add(&running.totals);
    }

    /// The present: rows of jobs that are still open, and what the history has come to.
    pub(crate) fn end_here(mut self) -> (Rows, Ending) {
        let mut open = Vec::new();
        let mut numbers: Vec<u64> = self.events.keys().copied().collect();
        numbers.sort_unstable();
        for number in numbers {
            if let Some(Event::Step(running)) = self.events.remove(&number) {
                open.push(*running);
            }
        }
        let flying = open.iter().filter_map(|running| running.call.as_ref());
        let flying: Vec<&Call> = flying.map(|(call, _)| call).collect();
        let times = (self.node.1, self.size.now);
        let resting = self.cast.resting;
        let figures = figures(self.dice, &flying, &self.minutes, times, resting);
        let mut rows = std::mem::take(&mut self.rows);
        for mut running in open {
            rows.calls.append(&mut running.ended);
            if let Some((call, _)) = running.call {
                running.totals.calls += 1;
                running.totals.in_flight += 1;
                rows.calls.push(call);
            }
            rows.jobs.push((running.job, running.totals));
        }
        let ending = Ending {
            accounts: self.accounts,
            days: self.days.into_values().collect(),
            uses: self.uses.into_iter().collect(),
            node: self.node,
            figures,
            traffic: self.minutes.into_rows(),
        };
        (rows, ending)
    }
}
