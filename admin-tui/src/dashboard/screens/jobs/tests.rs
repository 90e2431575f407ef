//! The screens of jobs over a table that a test makes up.

use std::time::Duration;

use ratatui::buffer::Buffer;
use ratatui::layout::{Rect, Size};
use tollgate_common::clock::Timestamp;
use tollgate_common::command::Command;
use tollgate_common::db::call::AttemptRow;
use tollgate_common::db::call::list::CallEntry;
use tollgate_common::db::job::list::{JobEntry, Totals};
use tollgate_common::id::{CallId, KeyId};
use tollgate_common::job::{BudgetMode, CallState, Job, JobState, Spend, Terms};
use tollgate_common::live::LiveCall;
use tollgate_common::money::{CreditRate, Credits, Markup, NanoUsd};
use tollgate_common::price::{UnitPrices, Usage};

use super::row::CallLine;
use super::*;
use crate::dashboard::message::Message;
use crate::dashboard::model::Model;
use crate::dashboard::step::Effect;
use crate::dashboard::store::jobs::CallDetail;
use crate::dashboard::testing::{NOW, context, dump};
use crate::dashboard::theme::{Theme, ThemeName};
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
fn created(number: usize, count: usize) -> Timestamp {
    let seconds = (count - number) as u64 * 7 + 4;
    NOW.minus(Duration::from_secs(seconds))
}

fn job(number: usize, count: usize) -> Job {
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

fn job_row(number: usize, count: usize) -> JobRow {
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

fn call_id(number: i64) -> CallId {
    format!("call_019f1e2d00007000800000000000{number:04x}")
        .parse()
        .unwrap()
}

/// Calls 1 to 3: answered, failed, in flight.
fn call_line(number: i64) -> CallLine {
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
        provider_cost: NanoUsd(if is_good { 41_200_000 } else { 0 }),
        client_cost: NanoUsd(if is_good { 61_800_000 } else { 0 }),
        price_version: Some(text("2026-06-30")),
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
            prices: Some(UnitPrices::flat(NanoUsd(3_000), NanoUsd(15_000))),
        },
    }
}

fn attempt(number: i64, provider: &str, kind: &str, error: &str) -> AttemptRow {
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

fn call_detail(id: CallId) -> CallDetail {
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
struct Desk {
    model: Model,
    count: usize,
    /// What a search has still to look at: each step finds one job, the last one nothing.
    steps_left: usize,
    changes: Vec<Change>,
    copied: usize,
    asked: Vec<Query>,
}

impl Desk {
    fn new(size: Size, count: usize) -> Self {
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

    fn press(&mut self, keys: &str) {
        for key in keys.split(' ') {
            let message = Message::Key(key.parse().unwrap());
            let effects = self.model.update(NOW, message);
            self.settle(effects);
        }
    }

    fn write(&mut self, text: &str) {
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
    fn refresh(&mut self) {
        self.press("ctrl-r");
    }

    fn settle(&mut self, effects: Vec<Effect>) {
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
                let held = (
                    "Held now".to_owned(),
                    "36 credits, released at once".to_owned(),
                );
                let calls = (
                    "In flight".to_owned(),
                    "1 goes on to its end, uncharged".to_owned(),
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

    fn look(&self) -> String {
        let size = self.model.context.size;
        let mut buffer = Buffer::empty(Rect::from((ratatui::layout::Position::ORIGIN, size)));
        view(&self.model, &mut buffer);
        dump(&buffer)
    }

    fn last_line_but_one(&self) -> String {
        let look = self.look();
        let height = usize::from(self.model.context.size.height);
        look.lines().nth(height - 2).unwrap().trim().to_owned()
    }
}

const SIZES: [(u16, u16); 3] = [(80, 24), (120, 40), (200, 60)];

#[test]
fn how_lists_jobs_and_calls_look() {
    for (width, height) in SIZES {
        let mut desk = Desk::new(Size::new(width, height), 900);
        desk.press("j j space");
        let shot = |desk: &Desk, name: &str| {
            insta::assert_snapshot!(format!("{name}_{width}x{height}"), desk.look());
        };
        shot(&desk, "list");
        desk.press("ctrl-\\ enter");
        desk.press("j");
        shot(&desk, "job");
        desk.press("enter");
        shot(&desk, "call_failed");
        desk.press("esc j enter");
        shot(&desk, "call_in_flight");
    }
}

#[test]
fn how_the_questions_look() {
    let mut desk = Desk::new(Size::new(80, 24), 12);
    desk.press("j j K");
    insta::assert_snapshot!("ask_one", desk.look());
    desk.press("esc j j space space space space space K");
    insta::assert_snapshot!("ask_many", desk.look());
}

#[test]
fn how_it_looks_without_colours_and_while_searching() {
    let mut desk = Desk::new(Size::new(80, 24), 5);
    desk.model.context.theme = Theme::of(ThemeName::Mono);
    desk.steps_left = 3;
    desk.press("/");
    desk.write("type:chat team:zeta");
    desk.press("enter");
    insta::assert_snapshot!("search_mono", desk.look());
}

#[test]
fn no_size_is_too_small_or_too_large() {
    for (width, height) in [
        (1, 1),
        (20, 5),
        (60, 15),
        (61, 16),
        (79, 29),
        (100, 30),
        (160, 45),
        (300, 100),
    ] {
        let mut desk = Desk::new(Size::new(width, height), 300);
        desk.press("j");
        let _ = desk.look();
        desk.press("K");
        let _ = desk.look();
        desk.press("esc enter");
        let _ = desk.look();
        desk.press("enter");
        let _ = desk.look();
    }
}

#[test]
fn the_tail_follows_at_the_top_and_holds_still_below() {
    let mut desk = Desk::new(Size::new(80, 24), 50);
    assert!(desk.last_line_but_one().ends_with("following"));
    desk.count += 1;
    desk.refresh();
    assert!(desk.last_line_but_one().starts_with("row 1 of"));
    desk.press("j j");
    let before = desk.look();
    desk.count += 12;
    desk.refresh();
    let status = desk.last_line_but_one();
    assert!(status.contains("^ 12 new above (g to follow)"), "{status}");
    // The ages are the same in this table, so nothing but the status may have moved.
    let rows = |look: &str| {
        look.lines()
            .skip(3)
            .take(5)
            .map(|l| l[..20].to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(rows(&before), rows(&desk.look()));
    desk.press("g");
    assert!(desk.last_line_but_one().ends_with("following"));
}

#[test]
fn a_search_goes_on_until_it_has_found_something() {
    let mut desk = Desk::new(Size::new(80, 24), 3);
    desk.steps_left = 4;
    desk.press("/");
    desk.write("type:chat");
    desk.press("enter");
    assert!(desk.last_line_but_one().contains("o goes on"));
    // Each second step finds nothing, and one key goes over it.
    desk.press("o");
    let steps = |desk: &Desk| {
        let asked = desk.asked.iter();
        asked
            .filter(|query| matches!(query, Query::More(..)))
            .count()
    };
    assert_eq!(steps(&desk), 1);
    assert!(desk.last_line_but_one().contains("of 4 found"));
    desk.press("o");
    assert_eq!(steps(&desk), 3);
    desk.press("o");
    assert_eq!(steps(&desk), 4);
    assert!(!desk.last_line_but_one().contains("goes on"));
    let again = desk.asked.len();
    desk.refresh();
    let asked = &desk.asked[again..];
    assert!(
        asked
            .iter()
            .any(|query| matches!(query, Query::Again(ids) if ids.len() == 5))
    );
}

#[test]
fn what_another_search_has_found_is_dropped() {
    let mut jobs = Jobs::default();
    let looks = context();
    jobs.reach = Some(NOW);
    let _ = jobs.search_on();
    let _ = jobs.set_filter("type:other", &looks).unwrap();
    let late = JobsAnswer::More(vec![job_row(0, 1)], None);
    assert!(jobs.receive(MORE, Answer::Jobs(late), &looks).is_empty());
    assert!(jobs.list.rows().is_empty());
}

#[test]
fn cancelling_asks_and_names_the_job_by_its_id() {
    let mut desk = Desk::new(Size::new(80, 24), 12);
    // Number 11 is cancelled, 10 completed, 9 pending.
    desk.press("K");
    assert!(
        desk.last_line_but_one()
            .contains("the job has ended: cancelled")
    );
    desk.press("j j K enter y");
    let change = desk.changes.pop().expect("a change");
    assert_eq!(change.reason, None);
    let Operation::Command(command) = change.operation else {
        panic!("{change:?}");
    };
    let wanted = job(9, 12).id;
    assert!(matches!(*command, Command::CancelJob { id, .. } if id == wanted));
    desk.press("esc F");
    desk.write("stuck");
    desk.press("tab y");
    let change = desk.changes.pop().expect("a change");
    assert_eq!(change.reason.as_deref(), Some("stuck"));
    assert!(matches!(change.operation, Operation::Command(command)
        if matches!(*command, Command::FailJob { id, .. } if id == wanted)));
}

#[test]
fn several_jobs_are_cancelled_by_typing_their_number() {
    let mut desk = Desk::new(Size::new(80, 24), 12);
    desk.press("space space space space space space K");
    // Numbers 11 to 6; those that have ended are left out.
    desk.write("2");
    desk.press("tab");
    desk.write("runaway");
    desk.press("tab y");
    assert!(desk.changes.is_empty(), "the first second is for reading");
    let later = NOW.plus(Duration::from_secs(2));
    let effects = desk.model.update(later, Message::Key("y".parse().unwrap()));
    desk.settle(effects);
    let change = desk.changes.pop().expect("a change");
    let Operation::Commands(commands) = change.operation else {
        panic!("{change:?}");
    };
    let ids: Vec<JobId> = commands
        .iter()
        .filter_map(|command| match command {
            Command::CancelJob { id, .. } => Some(*id),
            _ => None,
        })
        .collect();
    assert_eq!(ids, [job(6, 12).id, job(9, 12).id]);
}

#[test]
fn filters_are_read_and_times_gone_to() {
    let mut jobs = Jobs::default();
    let looks = context();
    let error = jobs.set_filter("colour:red", &looks).unwrap_err();
    assert!(error.contains("use team, org, status"), "{error}");
    assert!(
        jobs.set_filter("at:soon", &looks)
            .unwrap_err()
            .contains("at: write a time")
    );
    jobs.set_filter("team:zeta at:2026-07-01T10:00 status:failed", &looks)
        .unwrap();
    assert_eq!(jobs.filter(), Some("team:zeta status:failed"));
    let ten = Timestamp::parse_rfc3339("2026-07-01T10:00:00.000001Z").unwrap();
    let place = Place {
        created_at: ten,
        id: None,
    };
    assert_eq!(jobs.list.start(), Start::At(place));
    let id = job(1, 2).id;
    jobs.set_filter(&id.to_string(), &looks).unwrap();
    assert_eq!(jobs.filter(), Some(format!("id:{id}").as_str()));
    assert_eq!(jobs.complete_filter("status:op"), ["status:open"]);
    assert_eq!(jobs.complete_filter("team:a a"), ["team:a at:"]);
    assert!(
        jobs.set_filter(&format!("id:{id}"), &looks)
            .unwrap()
            .is_empty()
    );
}

#[test]
fn copies_and_exports_leave_by_their_own_ways() {
    let mut desk = Desk::new(Size::new(80, 24), 12);
    desk.press("y Y E");
    assert_eq!(desk.copied, 2);
    let change = desk.changes.pop().expect("an export");
    let Operation::Export(export) = change.operation else {
        panic!("{change:?}");
    };
    assert_eq!(export.noun, "jobs");
    assert_eq!(export.file_name, "jobs-2026-07-01-12-41-11.csv");
}
