//! One job: what there is to say of it, its calls, and what happened to the call under the cursor.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use serde_json::json;
use tollgate_common::clock::Timestamp;
use tollgate_common::id::{CallId, JobId};

use super::call::{CallScreen, draw_timeline};
use super::draw::{draw_text, indented, lowered};
use super::row::{CallLine, JobRow, job_state};
use super::{ask, facts, links};
use crate::dashboard::context::{Class, Context};
use crate::dashboard::format;
use crate::dashboard::keys::{Action, Binding, bind};
use crate::dashboard::screens::Screen;
use crate::dashboard::step::{Slot, Step};
use crate::dashboard::store::jobs::{Answer as JobsAnswer, CallDetail, Query};
use crate::dashboard::store::{Answer, Query as AnyQuery};
use crate::dashboard::tab::Tab;
use crate::dashboard::widgets::facts as facts_widget;
use crate::dashboard::widgets::facts::Fact;
use crate::dashboard::widgets::list::{List, Row as _};
use crate::dashboard::widgets::pane::pane;

/// What keys do here.
pub(crate) const BINDINGS: &[Binding] = &[
    bind(Action::Open, &["enter"], "timeline"),
    bind(Action::CancelJob, &["K"], "cancel"),
    bind(Action::FailJob, &["F"], "fail"),
    bind(Action::ShowTeam, &["T"], "team"),
    bind(Action::ShowCredits, &["C"], "credits"),
    bind(Action::ShowAudit, &["A"], "audit"),
    bind(Action::CopyId, &["y"], "copy call id"),
    bind(Action::CopyRow, &["Y"], "copy all"),
];

/// What is kept loaded.
const JOB: Slot = 0;
const CALLS: Slot = 1;
const CALL: Slot = 2;

/// How many lines the timeline below the calls has, its frame included.
const TIMELINE_LINES: u16 = 6;

/// One job.
#[derive(Debug)]
pub(crate) struct JobScreen {
    row: JobRow,
    list: List<CallLine>,
    call: Option<Box<CallDetail>>,
    /// Whether the job could not be read again.
    is_gone: bool,
}

impl JobScreen {
    /// A job as its row was.
    pub(super) fn new(row: JobRow) -> Self {
        Self {
            row,
            list: List::default(),
            call: None,
            is_gone: false,
        }
    }

    const fn id(&self) -> JobId {
        self.row.entry.job.id
    }

    fn current_id(&self) -> Option<CallId> {
        self.list.current().map(|line| line.entry.call.id)
    }

    fn load_calls(&self) -> Step {
        load(CALLS, Query::Calls(self.id(), self.list.start()))
    }

    fn load_call(&self) -> Option<Step> {
        self.current_id().map(|id| load(CALL, Query::Call(id)))
    }

    /// Reads the call under the cursor if that has become another one.
    fn follow_cursor(&self, was: Option<CallId>) -> Vec<Step> {
        let now = self.current_id();
        let step = (now != was).then(|| self.load_call()).flatten();
        step.into_iter().collect()
    }

    fn copy_all(&self) -> Vec<Step> {
        let calls: Vec<_> = self.list.rows().iter().map(CallLine::json).collect();
        let all = json!({ "job": self.row.json(), "calls": calls });
        vec![Step::Copy(all.to_string())]
    }

    fn facts(&self, context: &Context) -> Vec<Fact> {
        let mut facts = facts::of_job(&self.row, context);
        if context.class() > Class::Compact {
            facts.extend(facts::metadata(&self.row));
        } else {
            // The title has the id.
            facts.remove(0);
        }
        facts
    }
}

const fn load(slot: Slot, query: Query) -> Step {
    Step::Load(slot, AnyQuery::Jobs(query))
}

impl Screen for JobScreen {
    fn tab(&self) -> Tab {
        Tab::Jobs
    }

    fn crumb(&self) -> Option<String> {
        Some(format::short_id(&self.id().to_string()))
    }

    fn bindings(&self) -> &'static [Binding] {
        BINDINGS
    }

    fn refusal(&self, action: Action, _context: &Context) -> Option<String> {
        match action {
            Action::CancelJob | Action::FailJob => ask::refusal_of(&self.row),
            Action::Open | Action::CopyId => self
                .list
                .current()
                .is_none()
                .then(|| "there is no call here".to_owned()),
            _ => None,
        }
    }

    fn refresh(&mut self, _context: &Context) -> Vec<Step> {
        let mut steps = vec![load(JOB, Query::Detail(self.id())), self.load_calls()];
        steps.extend(self.load_call());
        steps
    }

    fn receive(&mut self, _slot: Slot, answer: Answer, _context: &Context) -> Vec<Step> {
        match answer {
            Answer::Jobs(JobsAnswer::Detail(detail)) => self.row = detail.job,
            Answer::Jobs(JobsAnswer::Calls(page)) => {
                let was = self.current_id();
                self.list.receive(page);
                return self.follow_cursor(was);
            }
            Answer::Jobs(JobsAnswer::Call(call)) => self.call = Some(call),
            _ => {}
        }
        Vec::new()
    }

    fn fail(&mut self, slot: Slot, problem: &crate::dashboard::problem::Problem) {
        self.is_gone = slot == JOB && !problem.is_offline;
    }

    fn act(&mut self, action: Action, _context: &Context) -> Vec<Step> {
        let was = self.current_id();
        if let Some(needs_page) = self.list.act(action) {
            let mut steps = self.follow_cursor(was);
            if needs_page {
                steps.push(self.load_calls());
            }
            return steps;
        }
        match action {
            Action::Open => {
                let current = self.list.current().cloned();
                let screen = current.map(|line| CallScreen::new(line, self.row.clone()));
                screen
                    .map(|screen| Step::Push(Box::new(screen)))
                    .into_iter()
                    .collect()
            }
            Action::CancelJob | Action::FailJob => {
                let question = ask::ending(action, &[self.id()], &[&self.row]);
                vec![Step::Open(Box::new(question))]
            }
            Action::CopyId => {
                let id = self.list.current().map(CallLine::id);
                id.map(Step::Copy).into_iter().collect()
            }
            Action::CopyRow => self.copy_all(),
            _ => links::follow(action, &self.row.entry.job),
        }
    }

    fn next_look(&self, context: &Context) -> Option<Timestamp> {
        let is_open = self.row.entry.job.state.is_open();
        is_open.then(|| context.now.plus(std::time::Duration::from_secs(1)))
    }

    fn status(&self, _context: &Context) -> String {
        if self.is_gone {
            return "this job is gone; what is shown is what it was".to_owned();
        }
        let position = self.list.position();
        let marked = match self.list.marked() {
            0 => String::new(),
            count => format!("   {count} marked"),
        };
        format!("calls: {position}{marked}")
    }

    fn draw(&self, area: Rect, buffer: &mut Buffer, context: &Context) {
        let facts = self.facts(context);
        let is_compact = context.class() == Class::Compact;
        let error = self.row.entry.job.error_message.as_deref();
        let lines = if is_compact {
            facts.len().div_ceil(2) as u16 + u16::from(error.is_some())
        } else {
            facts.len() as u16 + if error.is_some() { 4 } else { 0 }
        };
        let height = (lines + 2).min(area.height / 2);
        let top = Rect { height, ..area };
        let (state, _) = job_state(self.row.entry.job.state, &context.theme);
        let title = format!("Job {}", self.id());
        let inside = indented(pane(top, buffer, context, (&title, state), false));
        if is_compact {
            draw_twice(inside, buffer, context, &facts, error);
        } else {
            facts_widget::draw(inside, buffer, context, &facts, 0);
            if let Some(error) = error {
                let below = lowered(inside, facts.len() as u16 + 1);
                draw_text(below, buffer, context, ("ERROR", error));
            }
        }
        self.draw_calls(lowered(area, height), buffer, context);
    }
}

/// Facts in two columns, and the error in one line below them.
fn draw_twice(
    area: Rect,
    buffer: &mut Buffer,
    context: &Context,
    facts: &[Fact],
    error: Option<&str>,
) {
    let half = facts.len().div_ceil(2);
    let (first, second) = facts.split_at(half);
    let width = (area.width / 2).saturating_sub(2);
    let left = Rect { width, ..area };
    let right = Rect {
        x: left.right() + 1,
        width: area.width.saturating_sub(width + 1),
        ..area
    };
    facts_widget::draw(left, buffer, context, first, 0);
    facts_widget::draw(right, buffer, context, second, 0);
    if let Some(error) = error {
        let below = lowered(area, half as u16);
        let style = context.theme.bad;
        let fact = facts_widget::styled("error", error, style);
        facts_widget::draw(below, buffer, context, &[fact], 0);
    }
}

impl JobScreen {
    fn draw_calls(&self, area: Rect, buffer: &mut Buffer, context: &Context) {
        let more = if context.class() == Class::Compact {
            0
        } else {
            TIMELINE_LINES
        };
        let timeline = (TIMELINE_LINES + more).min(area.height / 2);
        let top = Rect {
            height: area.height - timeline,
            ..area
        };
        let count = format::number(self.row.entry.totals.calls);
        let inside = pane(top, buffer, context, ("Calls", &count), true);
        self.list.draw(inside, buffer, context, "no calls yet");
        let below = lowered(area, top.height);
        let id = self.current_id();
        let call = self.call.as_ref();
        match call.filter(|call| Some(call.line.entry.call.id) == id) {
            Some(call) => {
                let title = format!("Timeline of call {}", call.line.number);
                draw_timeline(below, buffer, context, &title, call);
            }
            None => {
                pane(below, buffer, context, ("Timeline", ""), false);
            }
        }
    }
}
