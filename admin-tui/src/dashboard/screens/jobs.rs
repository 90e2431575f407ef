//! The screen of jobs: what comes in at the top as it comes, or what a filter finds in the past.

use std::time::Duration;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use tollgate_common::clock::Timestamp;
use tollgate_common::db::job::list::recent::Recent;
use tollgate_common::db::job::list::{Place, VOCABULARY};
use tollgate_common::filter::{self, Filter};
use tollgate_common::id::JobId;

use super::Screen;
use crate::dashboard::change::{Change, Operation};
use crate::dashboard::context::{Class, Context};
use crate::dashboard::export::Export;
use crate::dashboard::format;
use crate::dashboard::keys::{Action, Binding, bind};
use crate::dashboard::problem::Problem;
use crate::dashboard::step::{Slot, Step, Tone};
use crate::dashboard::store::jobs::{Answer as JobsAnswer, Detail, JobsPage, Query};
use crate::dashboard::store::{Answer, Query as AnyQuery};
use crate::dashboard::tab::Tab;
use crate::dashboard::widgets::list::{List, Row as _};
use crate::dashboard::windows::filter::FilterLine;
use row::JobRow;

mod ask;
pub(crate) mod call;
mod draw;
mod facts;
pub(crate) mod job;
mod links;
mod recent;
pub(crate) mod row;
#[cfg(test)]
mod tests;
mod timeline;

/// What keys do here.
pub(crate) const BINDINGS: &[Binding] = &[
    bind(Action::Open, &["enter"], "calls"),
    bind(Action::Filter, &["/"], "filter"),
    bind(Action::SearchOn, &["."], "search on"),
    bind(Action::CancelJob, &["K"], "cancel"),
    bind(Action::FailJob, &["F"], "fail"),
    bind(Action::Range, &["t"], "go to a time"),
    bind(Action::Sort, &["s"], "order"),
    bind(Action::Export, &["E"], "export"),
    bind(Action::ShowTeam, &["T"], "team"),
    bind(Action::ShowCredits, &["C"], "credits"),
    bind(Action::ShowAudit, &["A"], "audit"),
];

/// What is kept loaded.
const LIST: Slot = 0;
const COUNT: Slot = 1;
const MORE: Slot = 2;
const DETAIL: Slot = 3;
const RECENT: Slot = 4;

/// How often rows are counted.
const COUNT_AGAIN: Duration = Duration::from_secs(10);

/// How many steps one key searches on for, unless something is found before.
const STEPS: u8 = 25;

/// What is written in place of a filter word to go to a time.
const AT: &str = "at:";

/// The screen of jobs.
#[derive(Debug)]
pub(crate) struct Jobs {
    list: List<JobRow>,
    filter: Filter,
    /// The filter as it was written.
    text: String,
    count: String,
    counted_at: Option<Timestamp>,
    /// How far a search has gone that has not seen everything.
    reach: Option<Timestamp>,
    /// How many steps are still to be searched.
    steps: u8,
    /// Whether the answer of a step is waited for; one of another search is dropped.
    is_searching: bool,
    /// Whether rows beyond the first step of a search are shown: then they are renewed in place.
    is_extended: bool,
    /// The newest job that was shown while the list followed.
    seen: Option<Place>,
    /// How many jobs have come in since.
    newer: usize,
    detail: Option<Box<Detail>>,
    /// What came in during the last hour.
    recent: Option<Box<Recent>>,
    /// Which jobs were to be ended: once they are, they lose their marks.
    ending: Vec<JobId>,
    /// Whether the rows are still those of another filter.
    is_outdated: bool,
}

impl Default for Jobs {
    fn default() -> Self {
        Self {
            list: List::default(),
            filter: Filter::all(&VOCABULARY),
            text: String::new(),
            count: String::new(),
            counted_at: None,
            reach: None,
            steps: 0,
            is_searching: false,
            is_extended: false,
            seen: None,
            newer: 0,
            detail: None,
            recent: None,
            ending: Vec::new(),
            is_outdated: false,
        }
    }
}

const fn load(slot: Slot, query: Query) -> Step {
    Step::Load(slot, AnyQuery::Jobs(query))
}

impl Jobs {
    fn current_id(&self) -> Option<JobId> {
        self.list.current().map(|row| row.entry.job.id)
    }

    fn load_page(&mut self) -> Step {
        self.is_extended = false;
        self.is_searching = false;
        self.steps = 0;
        let query = Query::Page {
            filter: self.filter.clone(),
            start: self.list.start(),
            seen: self.seen,
        };
        load(LIST, query)
    }

    /// The rows that are shown, as they are now.
    fn load_again(&self) -> Step {
        let rows = self.list.rows().iter();
        load(
            LIST,
            Query::Again(rows.map(|row| row.entry.job.id).collect()),
        )
    }

    /// Counts anew, from time to time.
    fn load_sums(&mut self, context: &Context) -> Vec<Step> {
        let is_due = self
            .counted_at
            .is_none_or(|at| context.now.since(at) >= COUNT_AGAIN);
        if !is_due {
            return Vec::new();
        }
        self.counted_at = Some(context.now);
        let mut steps = vec![load(COUNT, Query::Count(self.filter.clone()))];
        if context.class() >= Class::Normal {
            steps.push(load(RECENT, Query::Recent(self.filter.clone())));
        }
        steps
    }

    /// The job under the cursor, where there is room for it beside the list.
    fn load_detail(&self, context: &Context) -> Option<Step> {
        if context.class() < Class::Normal {
            return None;
        }
        self.current_id().map(|id| load(DETAIL, Query::Detail(id)))
    }

    fn receive_page(&mut self, answer: JobsPage, context: &Context) -> Vec<Step> {
        let was = self.current_id();
        self.is_outdated = false;
        self.reach = answer.reach;
        self.list.receive(answer.page);
        self.unmark_ended();
        if self.list.is_following() {
            self.seen = self.list.rows().first().map(JobRow::cursor);
            self.newer = 0;
        } else {
            self.newer = answer.newer;
        }
        self.follow_cursor(was, context)
    }

    /// Takes the marks of jobs that were to be ended and are, or have left the list.
    fn unmark_ended(&mut self) {
        if self.ending.is_empty() {
            return;
        }
        let rows = self.list.rows().iter();
        let open: Vec<JobId> = rows
            .filter(|row| row.entry.job.state.is_open())
            .map(|row| row.entry.job.id)
            .collect();
        let over = self.ending.iter().filter(|id| !open.contains(id));
        let over: Vec<String> = over.map(ToString::to_string).collect();
        self.list.unmark(over);
        self.ending.retain(|id| open.contains(id));
    }

    /// Reads the job under the cursor if that has become another one.
    fn follow_cursor(&self, was: Option<JobId>, context: &Context) -> Vec<Step> {
        let is_shown = self.detail.as_ref().map(|detail| detail.job.entry.job.id);
        let now = self.current_id();
        if now == was && (now.is_none() || now == is_shown) {
            return Vec::new();
        }
        self.load_detail(context).into_iter().collect()
    }

    fn receive_more(&mut self, rows: Vec<JobRow>, reach: Option<Timestamp>) -> Vec<Step> {
        if !std::mem::take(&mut self.is_searching) {
            return Vec::new();
        }
        let found = !rows.is_empty();
        self.is_extended = true;
        self.reach = reach;
        self.list.extend(rows);
        self.steps = if found { 0 } else { self.steps };
        self.search_step().into_iter().collect()
    }

    fn search_step(&mut self) -> Option<Step> {
        let reach = self.reach.filter(|_| self.steps > 0)?;
        self.steps -= 1;
        self.is_searching = true;
        Some(load(MORE, Query::More(self.filter.clone(), reach)))
    }

    fn search_on(&mut self) -> Vec<Step> {
        self.steps = STEPS;
        self.search_step().into_iter().collect()
    }

    fn move_in_list(&mut self, action: Action, context: &Context) -> Option<Vec<Step>> {
        let was = self.current_id();
        let needs_page = self.list.act(action)?;
        let mut steps = Vec::new();
        if needs_page || action == Action::Top {
            steps.push(self.load_page());
        }
        steps.extend(self.follow_cursor(was, context));
        Some(steps)
    }

    fn copy(&self, as_json: bool) -> Vec<Step> {
        let rows = self.list.targets();
        let texts = rows.iter().map(|row| {
            if as_json {
                row.json().to_string()
            } else {
                row.id()
            }
        });
        let texts: Vec<String> = texts.collect();
        vec![Step::Copy(texts.join("\n"))]
    }

    fn export(&self, context: &Context) -> Vec<Step> {
        let time = format::moment(context.now).replace([' ', ':'], "-");
        let export = Export {
            noun: "jobs",
            filter: self.text.clone(),
            file_name: format!("jobs-{time}.csv"),
        };
        let operation = Operation::Export(Box::new(export));
        let change = Change::new(operation, "jobs are written");
        vec![Step::Change(Box::new(change))]
    }

    fn open_job(&self) -> Vec<Step> {
        let Some(row) = self.list.current() else {
            return Vec::new();
        };
        vec![Step::Push(Box::new(job::JobScreen::new(row.clone())))]
    }

    fn end(&mut self, action: Action) -> Vec<Step> {
        let marked = self.list.marked_ids().filter_map(|id| id.parse().ok());
        let marked: Vec<JobId> = marked.collect();
        let known: Vec<&JobRow> = self.list.rows().iter().collect();
        let ids = if marked.is_empty() {
            self.current_id().into_iter().collect()
        } else {
            marked
        };
        let question = ask::ending(action, &ids, &known);
        self.ending = ids;
        vec![Step::Open(Box::new(question))]
    }

    fn set_text(&mut self, text: String, filter: Filter) {
        self.text = text;
        self.filter = filter;
        let is_team = self.filter.only("team").is_some();
        self.list.hide(if is_team { &["TEAM"] } else { &[] });
    }

    /// Begins anew with another filter or at another time.
    fn restart(&mut self, at: Option<Timestamp>, context: &Context) -> Vec<Step> {
        match at {
            Some(moment) => self.list.restart_at(Place {
                created_at: moment.plus(Duration::from_micros(1)),
                id: None,
            }),
            None => self.list.restart(),
        }
        self.is_outdated = true;
        self.reach = None;
        self.seen = None;
        self.newer = 0;
        self.count.clear();
        self.recent = None;
        self.counted_at = None;
        let page = self.load_page();
        std::iter::once(page)
            .chain(self.load_sums(context))
            .collect()
    }
}

/// Takes the word that goes to a time out of a filter text.
fn split_time(text: &str, now: Timestamp) -> Result<(String, Option<Timestamp>), String> {
    let Some(start) = text.find(AT).filter(|&at| {
        let before = text[..at].chars().next_back();
        before.is_none_or(char::is_whitespace)
    }) else {
        return Ok((text.trim().to_owned(), None));
    };
    let (before, word) = text.split_at(start);
    let (word, after) = word.split_once(' ').unwrap_or((word, ""));
    let written = word.trim_start_matches(AT);
    let moment = filter::moment(written, now).ok_or_else(|| {
        "at: write a time as 2026-07-01T12:00 or 2026-07-01, or a span back as 2h".to_owned()
    })?;
    let rest = format!("{} {}", before.trim(), after.trim());
    Ok((rest.trim().to_owned(), Some(moment)))
}

impl Screen for Jobs {
    fn tab(&self) -> Tab {
        Tab::Jobs
    }

    fn filter(&self) -> Option<&str> {
        Some(&self.text)
    }

    fn bindings(&self) -> &'static [Binding] {
        BINDINGS
    }

    fn refusal(&self, action: Action, _context: &Context) -> Option<String> {
        let current = self.list.current();
        match action {
            Action::Open
            | Action::ShowTeam
            | Action::ShowCredits
            | Action::ShowAudit
            | Action::CopyId
            | Action::CopyRow => current.is_none().then(|| "there is no job here".to_owned()),
            Action::CancelJob | Action::FailJob => ask::refusal(&self.list),
            Action::SearchOn if self.reach.is_none() => {
                Some("everything that fits has been found".to_owned())
            }
            Action::Sort => Some("always by time: no other order has an index".to_owned()),
            _ => None,
        }
    }

    fn refresh(&mut self, context: &Context) -> Vec<Step> {
        // Spans as 1h are counted from now on, whenever now is.
        if let Ok(filter) = Filter::parse(&VOCABULARY, &self.text, context.now) {
            self.filter = filter;
        }
        let rows = if self.is_extended || self.is_searching {
            self.load_again()
        } else {
            self.load_page()
        };
        let mut steps = vec![rows];
        steps.extend(self.load_sums(context));
        steps.extend(self.load_detail(context));
        steps
    }

    fn receive(&mut self, _slot: Slot, answer: Answer, context: &Context) -> Vec<Step> {
        let Answer::Jobs(answer) = answer else {
            return Vec::new();
        };
        match answer {
            JobsAnswer::Page(page) => return self.receive_page(*page, context),
            JobsAnswer::More(rows, reach) => return self.receive_more(rows, reach),
            JobsAnswer::Count(count) => self.count = count,
            JobsAnswer::Recent(recent) => self.recent = Some(recent),
            JobsAnswer::Again(rows) => self.list.renew(rows),
            JobsAnswer::Detail(detail) => self.detail = Some(detail),
            JobsAnswer::Calls(_) | JobsAnswer::Call(_) => {}
        }
        Vec::new()
    }

    fn fail(&mut self, slot: Slot, _problem: &Problem) {
        if slot == MORE {
            self.steps = 0;
            self.is_searching = false;
        }
    }

    fn act(&mut self, action: Action, context: &Context) -> Vec<Step> {
        if let Some(steps) = self.move_in_list(action, context) {
            return steps;
        }
        match action {
            Action::Open => self.open_job(),
            Action::SearchOn => self.search_on(),
            Action::CancelJob | Action::FailJob => self.end(action),
            Action::Range => vec![Step::Open(Box::new(FilterLine::adding(&self.text, AT)))],
            Action::CopyId => self.copy(false),
            Action::CopyRow => self.copy(true),
            Action::Export => self.export(context),
            Action::ShowTeam | Action::ShowCredits | Action::ShowAudit => {
                let job = self.list.current().map(|row| &row.entry.job);
                job.map(|job| links::follow(action, job))
                    .unwrap_or_default()
            }
            _ => vec![Step::Say(Tone::Warn, "not here".to_owned())],
        }
    }

    fn set_filter(&mut self, text: &str, context: &Context) -> Result<Vec<Step>, String> {
        let (text, at) = split_time(text, context.now)?;
        // The id of a job alone asks for this job, which an index finds among any number.
        let text = match text.parse::<JobId>() {
            Ok(id) => format!("id:{id}"),
            Err(_) => text,
        };
        let parsed = Filter::parse(&VOCABULARY, &text, context.now);
        let filter = parsed.map_err(|error| error.message)?;
        if text == self.text && at.is_none() {
            return Ok(Vec::new());
        }
        self.set_text(text, filter);
        Ok(self.restart(at, context))
    }

    fn complete_filter(&self, text: &str) -> Vec<String> {
        let rows = self.list.rows();
        let names = |word: &str| {
            let names = rows.iter().filter_map(|row| match word {
                "team" => Some(row.entry.job.team_id.to_string()),
                "org" => Some(row.entry.job.org_id.to_string()),
                "type" => Some(row.entry.job.job_type.clone()),
                "user" => row.entry.job.user_id.clone(),
                _ => None,
            });
            let mut names: Vec<String> = names.collect();
            names.sort_unstable();
            names.dedup();
            names
        };
        let mut proposals = filter::complete(&VOCABULARY, text, &names);
        let last = text.rsplit(' ').next().unwrap_or_default();
        if !last.is_empty() && AT.starts_with(last) {
            proposals.push(format!("{}{AT}", &text[..text.len() - last.len()]));
        }
        proposals
    }

    fn next_look(&self, context: &Context) -> Option<Timestamp> {
        draw::next_look(&self.list, context)
    }

    fn status(&self, _context: &Context) -> String {
        self.status_text()
    }

    fn draw(&self, area: Rect, buffer: &mut Buffer, context: &Context) {
        self.draw_all(area, buffer, context);
    }
}
