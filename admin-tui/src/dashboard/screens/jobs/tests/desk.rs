//! A dashboard over a table of jobs that a test makes up.

use std::sync::Arc;
use std::time::Duration;

use ratatui::buffer::Buffer;
use ratatui::layout::{Rect, Size};
use tollgate_common::clock::Timestamp;
use tollgate_common::db::call::AttemptRow;
use tollgate_common::db::call::list::CallEntry;
use tollgate_common::db::job::list::{JobEntry, Totals};
use tollgate_common::id::{CallId, KeyId};
use tollgate_common::job::{BudgetMode, CallState, ChargeFailed, Job, JobState, Spend, Terms};
use tollgate_common::live::LiveCall;
use tollgate_common::money::{CreditRate, Credits, Markup, NanoUsd, PicoUsd, Rounding};
use tollgate_common::price::{Price, PriceSource, RateCard, ServiceTier, Usage};

use super::super::row::CallLine;
use super::super::*;
use crate::dashboard::message::Message;
use crate::dashboard::model::Model;
use crate::dashboard::step::Effect;
use crate::dashboard::store::jobs::CallDetail;
use crate::dashboard::testing::{NOW, context, dump};
use crate::dashboard::view::view;
use crate::dashboard::widgets::list::{PAGE_ROWS, Page, Start};

const STATES: [JobState; 6] = [
    JobState::InProgress,
    JobState::Completed,
    JobState::Failed,
    JobState::Pending,
    JobState::Completed,
    JobState::Cancelled,
];

/// When job `number` was created: the higher its number, the newer it is.
pub(super) fn created(number: usize, count: usize) -> Timestamp {
    let seconds = (count - number) as u64 * 7 + 4;
    NOW.minus(Duration::from_secs(seconds))
}

pub(super) fn job(number: usize, count: usize) -> Job {
    let state = STATES[number % STATES.len()];
    let created_at = created(number, count);
    let ended = (!state.is_open()).then(|| created_at.plus(Duration::from_millis(9_870)));
    let charged = (state == JobState::Completed).then_some(Credits(1_204));
    let hold = if state.is_open() { 36 } else { 0 };
    Job {
        id: format!("019f1e2d-0000-7000-8000-{number:012x}")
            .parse()
            .unwrap(),
        team_id: ["acme-search", "beta-voice", "zeta"][number % 3]
            .parse()
            .unwrap(),
        org_id: "acme".parse().unwrap(),
        state,
        terms: Terms {
            mode: BudgetMode::ConsumptionUsd,
            credits_per_dollar: CreditRate::DEFAULT,
            tokens_per_credit: 10_000,
            markup: Markup::from_basis_points(1_250),
            charge_failed: ChargeFailed::Never,
            rounding: Rounding::Down,
            job_cost_max: None,
        },
        hold: Credits(hold),
        credits_max: None,
        spent: Spend::default(),
        reserved: Spend::default(),
        single_call: false,
        job_type: ["summarise", "extract", "chat"][number % 3].to_owned(),
        user_id: Some(format!("user-{number}")),
        metadata: r#"{"task": "task-88213", "steer": "\u001b[2Jred"}"#.to_owned(),
        error_message: (state == JobState::Failed)
            .then(|| "no provider answered \u{1b}[31m within 6.0 s (gemini/pro)".to_owned()),
        charged,
        credits_remaining: ended.map(|_| Credits(99_000)),
        created_at,
        started_at: Some(created_at),
        completed_at: ended,
        active_at: created_at,
        updated_at: created_at,
    }
}

pub(super) fn job_row(number: usize, count: usize) -> JobRow {
    let job = job(number, count);
    let failed = i64::from(job.state == JobState::Failed) * 3;
    let in_flight = i64::from(job.state == JobState::InProgress);
    JobRow {
        live_tokens: in_flight * 214,
        entry: JobEntry {
            job,
            totals: Totals {
                calls: 3,
                succeeded: 3 - failed - in_flight,
                failed,
                tokens: 21_313,
                input_tokens: 18_402,
                cost: NanoUsd(61_800_000),
                provider_cost: NanoUsd(41_200_000),
                latency_ms: 9_000,
            },
        },
    }
}

pub(super) fn call_id(number: i64) -> CallId {
    format!("call_019f1e2d00007000800000000000{number:04x}")
        .parse()
        .unwrap()
}

/// Calls 1 to 3: answered, failed, in flight.
pub(super) fn call_line(number: i64) -> CallLine {
    let state = [CallState::Succeeded, CallState::Failed, CallState::InFlight][number as usize - 1];
    let is_over = state != CallState::InFlight;
    let is_good = state == CallState::Succeeded;
    let began = NOW.minus(Duration::from_millis(7_200));
    let text = |text: &str| text.to_owned();
    let usage = Usage {
        input_uncached: 8_400,
        input_cache_read: 600,
        output_text: 120,
        ..Usage::default()
    };
    let usage = if is_good { usage } else { Usage::default() };
    let card = RateCard::flat(PicoUsd(3_000_000), PicoUsd(15_000_000));
    let price = Price::new(&card, PriceSource::Catalogue, "2026-06-30", None);
    let call = tollgate_common::db::call::CallRow {
        id: call_id(number),
        alias: text("chat-smart"),
        requested_model: text("smart-group"),
        provider: text("anthropic"),
        upstream_model: text("claude-sonnet-4-5"),
        purpose: Some(text("plan")),
        state,
        usage,
        input_tokens: usage.input(),
        output_tokens: usage.output(),
        usage_estimated: false,
        usage_note: None,
        provider_cost: NanoUsd(if is_good { 41_200_000 } else { 0 }),
        client_cost: NanoUsd(if is_good { 61_800_000 } else { 0 }),
        price: Some(Arc::clone(price.base())),
        service_tier: ServiceTier::Standard,
        finish_reason: is_good.then(|| text("stop")),
        error_kind: (number == 2).then(|| text("provider_timeout")),
        error: (number == 2).then(|| text("no answer \u{1b}[2Jwithin 6 s")),
        latency_ms: is_over.then_some(6_540),
        started_at: began,
        ended_at: is_over.then_some(NOW),
        streamed: true,
        cached: false,
        first_token_ms: is_good.then_some(1_280),
    };
    CallLine {
        number,
        live: (!is_over).then(|| LiveCall {
            id: call_id(number).to_string(),
            job_id: String::new(),
            team_id: text("acme-search"),
            alias: text("chat-smart"),
            provider: Some(text("gemini")),
            began_at: began.as_micros(),
            streamed: true,
            output_tokens: 214,
        }),
        entry: CallEntry {
            call,
            job_id: job(0, 1).id,
            team_id: "acme-search".parse().unwrap(),
            key_id: KeyId::new("7Yq2hP0c"),
            node_id: "node_019f1e2d000070008000000000000001".parse().unwrap(),
            reserved: Spend {
                cost: NanoUsd(180_000_000),
                tokens: 12_400,
            },
        },
    }
}

pub(super) fn attempt(number: i64, provider: &str, kind: &str, error: &str) -> AttemptRow {
    AttemptRow {
        number,
        provider: provider.to_owned(),
        credential_id: "cred_019f1e2d00007000800000000000abcd".to_owned(),
        upstream_model: "claude-sonnet-4-5".to_owned(),
        error_kind: kind.to_owned(),
        error: error.to_owned(),
        latency_ms: 640 * number,
    }
}

pub(super) fn call_detail(id: CallId) -> CallDetail {
    let number = (1..=3).find(|number| call_id(*number) == id).unwrap();
    let line = call_line(number);
    let mut attempts = vec![attempt(
        1,
        "anthropic",
        "provider_unavailable",
        "529 overloaded",
    )];
    if number == 2 {
        attempts.push(attempt(
            2,
            "gemini",
            "provider_timeout",
            "no answer within 6 s",
        ));
    }
    if number == 3 {
        attempts.clear();
    }
    CallDetail { line, attempts }
}

/// A dashboard over a table of so many jobs, and what it has asked of the world.
pub(super) struct Desk {
    pub(super) model: Model,
    pub(super) count: usize,
    /// What a search has still to look at: each step finds one job, the last one nothing.
    pub(super) steps_left: usize,
    pub(super) changes: Vec<Change>,
    pub(super) copied: usize,
    pub(super) asked: Vec<Query>,
}

impl Desk {
    pub(super) fn new(size: Size, count: usize) -> Self {
        let mut looks = context();
        looks.size = size;
        let mut desk = Self {
            model: Model::new(looks, true),
            count,
            steps_left: 0,
            changes: Vec::new(),
            copied: 0,
            asked: Vec::new(),
        };
        desk.press("2");
        desk
    }

    pub(super) fn press(&mut self, keys: &str) {
        for key in keys.split(' ') {
            let message = Message::Key(key.parse().unwrap());
            let effects = self.model.update(NOW, message);
            self.settle(effects);
        }
    }

    pub(super) fn write(&mut self, text: &str) {
        for character in text.chars() {
            let key = if character == ' ' {
                "space".to_owned()
            } else {
                character.to_string()
            };
            self.press(&key);
        }
    }

    /// A reading some time later, as the dashboard makes it by itself.
    pub(super) fn refresh(&mut self) {
        self.press("ctrl-r");
    }

    pub(super) fn settle(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Load(ticket, AnyQuery::Jobs(query)) => {
                    let answer = self.answer(&query);
                    self.asked.push(query);
                    let message = Message::Answer(ticket, Box::new(Ok(answer)));
                    let effects = self.model.update(NOW, message);
                    self.settle(effects);
                }
                Effect::Change(_, change) => self.changes.push(*change),
                Effect::Copy(_) => self.copied += 1,
                _ => {}
            }
        }
    }

    fn answer(&mut self, query: &Query) -> Answer {
        let count = self.count;
        Answer::Jobs(match query {
            Query::Page { start, seen, .. } => JobsAnswer::Page(Box::new(self.page(*start, *seen))),
            Query::Count(_) => JobsAnswer::Count("10,000+".to_owned()),
            Query::Recent(_) => {
                let mut failed = vec![0; 60];
                failed[40] = 3;
                JobsAnswer::Recent(Box::new(Recent {
                    created: (0..60).map(|minute| minute % 9 + 4).collect(),
                    failed,
                    states: [212, 9, 1_301, 33, 2],
                    took: Some(Duration::from_millis(4_200)),
                    is_part: false,
                }))
            }
            Query::More(..) => {
                self.steps_left -= 1;
                let rows = if self.steps_left % 2 == 1 {
                    vec![job_row(0, count)]
                } else {
                    Vec::new()
                };
                JobsAnswer::More(rows, self.reach())
            }
            Query::Again(_) => JobsAnswer::Again(Vec::new()),
            Query::Detail(id) => {
                let number = (0..count).find(|n| job(*n, count).id == *id).unwrap();
                JobsAnswer::Detail(Box::new(Detail {
                    job: job_row(number, count),
                    calls: (1..=3).map(call_line).collect(),
                    earlier: 0,
                }))
            }
            Query::Calls(..) => JobsAnswer::Calls(Page::whole((1..=3).map(call_line).collect())),
            Query::Call(id) => JobsAnswer::Call(Box::new(call_detail(*id))),
            Query::Impact(_) => {
                let held = ("Held now".to_owned(), "36 credits".to_owned());
                let calls = (
                    "In flight".to_owned(),
                    "1 goes on to its end, with its part of the hold".to_owned(),
                );
                return Answer::Impact(vec![held, calls]);
            }
        })
    }

    fn reach(&self) -> Option<Timestamp> {
        (self.steps_left > 0).then(|| NOW.minus(Duration::from_hours(30)))
    }

    fn page(&self, start: Start<Place>, seen: Option<Place>) -> JobsPage {
        let newest_first: Vec<JobRow> = (0..self.count)
            .rev()
            .map(|n| job_row(n, self.count))
            .collect();
        let at = |place: Place| {
            let found = newest_first
                .iter()
                .position(|row| row.cursor().id == place.id);
            found.unwrap_or(0)
        };
        let last = self.count.saturating_sub(PAGE_ROWS);
        let first = match start {
            Start::First => 0,
            Start::At(place) => at(place),
            Start::Before(place) => at(place).saturating_sub(PAGE_ROWS),
            Start::Last => last,
        };
        let end = (first + PAGE_ROWS).min(self.count);
        JobsPage {
            page: Page {
                rows: newest_first[first..end].to_vec(),
                above: first,
                below: end < self.count,
                count: String::new(),
                note: String::new(),
            },
            reach: self.reach(),
            newer: seen.map_or(0, at),
        }
    }

    pub(super) fn look(&self) -> String {
        let size = self.model.context.size;
        let mut buffer = Buffer::empty(Rect::from((ratatui::layout::Position::ORIGIN, size)));
        view(&self.model, &mut buffer);
        dump(&buffer)
    }

    pub(super) fn last_line_but_one(&self) -> String {
        let look = self.look();
        let height = usize::from(self.model.context.size.height);
        look.lines().nth(height - 2).unwrap().trim().to_owned()
    }
}
