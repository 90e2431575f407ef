//! One call: what happened to it, what it used, what it cost.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use tollgate_common::clock::Timestamp;

use super::draw::{draw_text, indented, lowered};
use super::row::{CallLine, JobRow, call_state};
use super::timeline::{self, Event, Turn};
use super::{facts, links};
use crate::dashboard::context::{Class, Context};
use crate::dashboard::format;
use crate::dashboard::keys::{Action, Binding, bind};
use crate::dashboard::screens::Screen;
use crate::dashboard::step::{Slot, Step};
use crate::dashboard::store::jobs::{Answer as JobsAnswer, CallDetail, Query};
use crate::dashboard::store::{Answer, Query as AnyQuery};
use crate::dashboard::tab::Tab;
use crate::dashboard::widgets::facts as facts_widget;
use crate::dashboard::widgets::list::Row as _;
use crate::dashboard::widgets::pane::{line, pane, rows};

/// What keys do here.
pub(crate) const BINDINGS: &[Binding] = &[
    bind(Action::CopyId, &["y"], "copy id"),
    bind(Action::CopyRow, &["Y"], "copy as JSON"),
    bind(Action::ShowTeam, &["T"], "team"),
    bind(Action::ShowCredits, &["C"], "credits"),
    bind(Action::ShowAudit, &["A"], "audit"),
];

/// What this dashboard cannot show, said so that nobody looks for it.
const NOT_STORED: &str = "Prompts and answers are not stored.";

/// One call.
#[derive(Debug)]
pub(crate) struct CallScreen {
    detail: CallDetail,
    job: JobRow,
    skip: usize,
}

impl CallScreen {
    /// A call as its line was.
    pub(super) const fn new(line: CallLine, job: JobRow) -> Self {
        Self {
            detail: CallDetail {
                line,
                attempts: Vec::new(),
            },
            job,
            skip: 0,
        }
    }
}

impl Screen for CallScreen {
    fn tab(&self) -> Tab {
        Tab::Jobs
    }

    fn crumb(&self) -> Option<String> {
        Some(format!("call {}", self.detail.line.number))
    }

    fn bindings(&self) -> &'static [Binding] {
        BINDINGS
    }

    fn refresh(&mut self, _context: &Context) -> Vec<Step> {
        let id = self.detail.line.entry.call.id;
        vec![Step::Load(0, AnyQuery::Jobs(Query::Call(id)))]
    }

    fn receive(&mut self, _slot: Slot, answer: Answer, _context: &Context) -> Vec<Step> {
        if let Answer::Jobs(JobsAnswer::Call(call)) = answer {
            self.detail = *call;
        }
        Vec::new()
    }

    fn act(&mut self, action: Action, context: &Context) -> Vec<Step> {
        let last = timeline::events(&self.detail, context.now).len();
        match action {
            Action::Down => self.skip = (self.skip + 1).min(last.saturating_sub(1)),
            Action::Up => self.skip = self.skip.saturating_sub(1),
            Action::Top => self.skip = 0,
            Action::Bottom => self.skip = last.saturating_sub(1),
            Action::CopyId => return vec![Step::Copy(self.detail.line.id())],
            Action::CopyRow => return vec![Step::Copy(self.detail.line.json().to_string())],
            _ => return links::follow(action, &self.job.entry.job),
        }
        Vec::new()
    }

    fn next_look(&self, context: &Context) -> Option<Timestamp> {
        let is_open = self.detail.line.is_in_flight();
        is_open.then(|| context.now.plus(std::time::Duration::from_secs(1)))
    }

    fn status(&self, _context: &Context) -> String {
        NOT_STORED.to_owned()
    }

    fn draw(&self, area: Rect, buffer: &mut Buffer, context: &Context) {
        let events = timeline::events(&self.detail, context.now);
        let wanted = events.len() as u16 + 3;
        let is_compact = context.class() == Class::Compact;
        let least = if is_compact { 7 } else { 12 };
        let height = wanted.max(least).min(area.height / 2);
        let top = Rect {
            height: area.height - height,
            ..area
        };
        let below = lowered(area, top.height);
        self.draw_facts(top, buffer, context);
        let detail = &self.detail;
        let skip = self.skip.min(events.len().saturating_sub(1));
        draw_events(
            below,
            buffer,
            context,
            "Timeline",
            (detail, &events[skip..]),
        );
    }
}

impl CallScreen {
    fn draw_facts(&self, area: Rect, buffer: &mut Buffer, context: &Context) {
        let call = &self.detail.line.entry.call;
        let (state, _) = call_state(call.state, &context.theme);
        let half = area.width / 2;
        let left = Rect {
            width: half,
            ..area
        };
        let right = Rect {
            x: left.right(),
            width: area.width - half,
            ..area
        };
        let title = format!("Call {}", self.detail.line.number);
        let inside = indented(pane(left, buffer, context, (&title, state), false));
        let mut of_call = facts::of_call(&self.detail.line, context);
        of_call.push(facts_widget::fact("job", call_job(&self.job)));
        facts_widget::draw(inside, buffer, context, &of_call, 0);
        let below = lowered(inside, of_call.len() as u16 + 1);
        let inside = indented(pane(right, buffer, context, ("Usage and cost", ""), false));
        let usage = facts::usage_of_call(&self.detail.line);
        facts_widget::draw(inside, buffer, context, &usage, 0);
        let room = lowered(inside, usage.len() as u16 + 1);
        if room.height > 0 {
            line(
                room.x,
                room.y,
                room.right(),
                buffer,
                NOT_STORED,
                context.theme.dim,
            );
        }
        if let Some(error) = &call.error
            && below.height > 1
        {
            draw_text(below, buffer, context, ("ERROR", error));
        }
    }
}

fn call_job(job: &JobRow) -> String {
    let job = &job.entry.job;
    format!(
        "{}  {}, holds {}",
        format::short_id(&job.id.to_string()),
        job.state,
        format::credits(job.hold)
    )
}

/// What happened to a call, as far as there is room: the end is always shown.
pub(super) fn draw_timeline(
    area: Rect,
    buffer: &mut Buffer,
    context: &Context,
    title: &str,
    detail: &CallDetail,
) {
    let events = timeline::events(detail, context.now);
    // A frame and the bar take three lines.
    let room = usize::from(area.height.saturating_sub(3));
    if events.len() <= room {
        draw_events(area, buffer, context, title, (detail, &events));
        return;
    }
    let inside = framed(area, buffer, context, title, detail);
    let width = usize::from(inside.width);
    let flowing = flow(&events, width, context);
    let skip = flowing.len().saturating_sub(room);
    for (row, pieces) in rows(inside).take(room).zip(flowing.iter().skip(skip)) {
        let mut x = row.x;
        for (text, style) in pieces {
            x = line(x, row.y, row.right(), buffer, text, *style);
        }
    }
}

/// Events one after the other, in as many lines as they need.
fn flow(events: &[Event], width: usize, context: &Context) -> Vec<Vec<(String, Style)>> {
    let mut lines: Vec<Vec<(String, Style)>> = Vec::new();
    let mut used = width;
    for event in events {
        let sign = if event.turn == Turn::Bad { "! " } else { "" };
        let text = format!("{} {sign}{}", format::millis(event.at_ms), event.text);
        let text = format::cut(&text, width, context.charset.ellipsis());
        let style = turn_style(event.turn, context);
        let needed = text.chars().count();
        match lines.last_mut() {
            Some(last) if used + needed + 3 <= width => {
                last.push((" | ".to_owned(), context.theme.dim));
                last.push((text, style));
                used += needed + 3;
            }
            _ => {
                lines.push(vec![(text, style)]);
                used = needed;
            }
        }
    }
    lines
}

fn turn_style(turn: Turn, context: &Context) -> Style {
    match turn {
        Turn::Plain => context.theme.text,
        Turn::Good => context.theme.good,
        Turn::Bad => context.theme.bad,
    }
}

/// A frame with the bar in its last line; returns the room inside, the bar's line included.
fn framed(
    area: Rect,
    buffer: &mut Buffer,
    context: &Context,
    title: &str,
    detail: &CallDetail,
) -> Rect {
    let remark = if detail.line.is_in_flight() {
        "tries are told at the end"
    } else {
        ""
    };
    let inside = indented(pane(area, buffer, context, (title, remark), false));
    let width = usize::from(inside.width);
    let bar = timeline::bar(detail, context.now, width, context.charset);
    let y = inside.bottom().saturating_sub(1);
    if inside.height > 1 {
        line(
            inside.x,
            y,
            inside.right(),
            buffer,
            &bar,
            context.theme.accent,
        );
    }
    inside
}

fn draw_events(
    area: Rect,
    buffer: &mut Buffer,
    context: &Context,
    title: &str,
    (detail, events): (&CallDetail, &[Event]),
) {
    let inside = framed(area, buffer, context, title, detail);
    let room = Rect {
        height: inside.height.saturating_sub(1),
        ..inside
    };
    for (row, event) in rows(room).zip(events) {
        let style = turn_style(event.turn, context);
        let sign = if event.turn == Turn::Bad { "!" } else { " " };
        let text = format!("{:>7} {sign} {}", format::millis(event.at_ms), event.text);
        let text = format::cut(&text, row.width.into(), context.charset.ellipsis());
        line(row.x, row.y, row.right(), buffer, &text, style);
    }
}
