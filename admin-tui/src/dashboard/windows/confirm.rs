//! The question before a change that is hard to take back. Cancel has the focus; the key that
//! confirms is never the one that opened the window, nor Enter; the target is fixed by its id.

use std::time::Duration;

use crossterm::event::KeyCode;
use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use tollgate_common::clock::Timestamp;

use super::field::Field;
use super::form::LOST;
use super::{Window, framed, scrolled};
use crate::dashboard::change::{Change, Outcome};
use crate::dashboard::context::Context;
use crate::dashboard::format;
use crate::dashboard::keys::Key;
use crate::dashboard::problem::Problem;
use crate::dashboard::step::{Slot, Step};
use crate::dashboard::store::{Answer, Query};
use crate::dashboard::widgets::facts::{self, Fact};
use crate::dashboard::widgets::pane::{line, rows};

/// How long the confirming key does nothing after the window has opened, for the gravest changes.
const DEAD_TIME: Duration = Duration::from_secs(1);

/// How hard a change is to take back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Gravity {
    /// It can be taken back with effort: `y` confirms.
    Hard,
    /// It cannot be taken back, moves money, or concerns many: this text must be typed, and a
    /// reason.
    Final(String),
}

/// What is asked before a change.
#[derive(Debug)]
pub(crate) struct Confirm {
    title: String,
    verb: &'static str,
    facts: Vec<Fact>,
    /// The first fact that is shown.
    skip: usize,
    /// Something more that may be done at the same time.
    choice: Option<Choice>,
    gravity: Gravity,
    typed: Field,
    reason: Field,
    asks_reason: bool,
    /// Which part has the focus.
    focus: Focus,
    change: Option<Box<Change>>,
    /// Reads what the change will touch.
    query: Option<Query>,
    /// Whether what it will touch is still being read.
    is_reading: bool,
    opened_at: Option<Timestamp>,
    error: Option<String>,
    /// Whether nobody knows what became of the change.
    is_lost: bool,
}

/// Something more that may be done at the same time.
#[derive(Debug)]
struct Choice {
    label: String,
    on: bool,
    /// The change that is not chosen at present.
    other: Box<Change>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Focus {
    Choice,
    Typed,
    Reason,
    Buttons,
}

impl Confirm {
    /// Asks whether to do `change`; `verb` is what the button says, `facts` what will happen.
    pub(crate) fn new(
        title: impl Into<String>,
        verb: &'static str,
        facts: Vec<Fact>,
        gravity: Gravity,
        change: Change,
    ) -> Self {
        let focus = match gravity {
            Gravity::Hard => Focus::Reason,
            Gravity::Final(_) => Focus::Typed,
        };
        Self {
            title: title.into(),
            verb,
            facts,
            skip: 0,
            choice: None,
            gravity,
            typed: Field::default(),
            reason: Field::default(),
            asks_reason: true,
            focus,
            change: Some(Box::new(change)),
            query: None,
            is_reading: false,
            opened_at: None,
            error: None,
            is_lost: false,
        }
    }

    /// The same with a box to tick: with it, `more` is done in place of the change.
    pub(crate) fn offering(mut self, label: impl Into<String>, more: Change) -> Self {
        self.choice = Some(Choice {
            label: label.into(),
            on: false,
            other: Box::new(more),
        });
        self
    }

    /// The same without asking for a reason, which the change holds already.
    pub(crate) fn without_reason(mut self) -> Self {
        self.asks_reason = false;
        self.focus = match self.gravity {
            Gravity::Hard => Focus::Buttons,
            Gravity::Final(_) => Focus::Typed,
        };
        self
    }

    /// The same with a query whose `Answer::Impact` is added to the facts when it arrives.
    pub(crate) fn reading(mut self, query: Query) -> Self {
        self.query = Some(query);
        self.is_reading = true;
        self
    }

    /// What can have the focus, in order.
    fn places(&self) -> Vec<Focus> {
        let is_final = matches!(self.gravity, Gravity::Final(_));
        [
            (self.choice.is_some(), Focus::Choice),
            (is_final, Focus::Typed),
            (self.asks_reason, Focus::Reason),
            (true, Focus::Buttons),
        ]
        .into_iter()
        .filter_map(|(is_there, focus)| is_there.then_some(focus))
        .collect()
    }

    fn move_focus(&mut self, forward: bool) {
        let places = self.places();
        let here = places.iter().position(|focus| *focus == self.focus);
        let step = if forward { 1 } else { places.len() - 1 };
        let next = (here.unwrap_or(0) + step) % places.len();
        self.focus = places[next];
    }

    fn toggle(&mut self) {
        if let (Some(choice), Some(change)) = (&mut self.choice, &mut self.change) {
            choice.on = !choice.on;
            std::mem::swap(&mut choice.other, change);
        }
    }

    fn scroll(&mut self, code: KeyCode) {
        let last = self.facts.len().saturating_sub(1);
        self.skip = match code {
            KeyCode::Down | KeyCode::PageDown => (self.skip + 1).min(last),
            _ => self.skip.saturating_sub(1),
        };
    }

    fn confirm(&mut self, context: &Context) -> Vec<Step> {
        if let Gravity::Final(wanted) = &self.gravity {
            let opened_at = self.opened_at.unwrap_or(context.now);
            if context.now.since(opened_at) < DEAD_TIME {
                self.error = Some("read it first; then confirm".to_owned());
                return Vec::new();
            }
            if self.typed.text().trim() != wanted {
                self.error = Some(format!("type {wanted} to confirm"));
                self.focus = Focus::Typed;
                return Vec::new();
            }
            if self.asks_reason && self.reason.text().trim().is_empty() {
                self.error = Some("a reason is required".to_owned());
                self.focus = Focus::Reason;
                return Vec::new();
            }
        }
        let Some(change) = self.change.take() else {
            return Vec::new();
        };
        let change = if self.asks_reason {
            Box::new((*change).because(self.reason.text().trim()))
        } else {
            change
        };
        self.error = None;
        vec![Step::Change(change)]
    }

    /// The lines of what can be filled in.
    fn asked(&self) -> u16 {
        self.places().len() as u16 - 1
    }
}

impl Window for Confirm {
    fn open(&mut self, context: &Context) -> Vec<Step> {
        self.opened_at = Some(context.now);
        self.query
            .take()
            .map(|query| Step::Load(0, query))
            .into_iter()
            .collect()
    }

    fn receive(&mut self, _slot: Slot, answer: Answer, _context: &Context) -> Vec<Step> {
        if let Answer::Impact(impact) = answer {
            self.is_reading = false;
            let found = impact.into_iter();
            self.facts
                .extend(found.map(|(label, value)| facts::fact(label, value)));
        }
        Vec::new()
    }

    fn key(&mut self, key: Key, context: &Context) -> Vec<Step> {
        match (key.code, self.focus) {
            (KeyCode::Esc, _) | (KeyCode::Enter, Focus::Buttons) => return vec![Step::Close],
            (KeyCode::Tab | KeyCode::Enter, _) => self.move_focus(true),
            (KeyCode::BackTab, _) => self.move_focus(false),
            (KeyCode::Down | KeyCode::Up | KeyCode::PageDown | KeyCode::PageUp, _) => {
                self.scroll(key.code);
            }
            (KeyCode::Char(' '), Focus::Choice) => self.toggle(),
            (KeyCode::Char('y'), Focus::Buttons) => return self.confirm(context),
            (_, Focus::Choice | Focus::Buttons) => {}
            (_, Focus::Typed) => {
                self.typed.key(key);
            }
            (_, Focus::Reason) => {
                self.reason.key(key);
            }
        }
        Vec::new()
    }

    fn paste(&mut self, text: &str, _context: &Context) -> Vec<Step> {
        // What must be typed must be typed: a paste would make it a habit.
        if self.focus == Focus::Reason {
            self.reason.paste(text);
        }
        Vec::new()
    }

    fn done(
        &mut self,
        change: Box<Change>,
        result: &Result<Outcome, Problem>,
        _context: &Context,
    ) -> Vec<Step> {
        match result {
            Ok(_) => vec![Step::Close],
            Err(problem) if problem.is_lost => {
                self.is_lost = true;
                self.error = Some(LOST.to_owned());
                Vec::new()
            }
            Err(problem) => {
                self.error = Some(problem.sentence.clone());
                self.change = Some(change);
                Vec::new()
            }
        }
    }

    fn hints(&self, _context: &Context) -> Vec<(String, &'static str)> {
        if self.is_lost {
            vec![("esc".to_owned(), "close")]
        } else if self.focus == Focus::Choice {
            vec![
                ("space".to_owned(), "tick"),
                ("tab".to_owned(), "on"),
                ("esc".to_owned(), "cancel"),
            ]
        } else if self.focus == Focus::Buttons {
            vec![
                ("y".to_owned(), self.verb),
                ("esc".to_owned(), "cancel"),
                ("tab".to_owned(), "back"),
            ]
        } else {
            vec![
                ("tab".to_owned(), "to the buttons, then y"),
                ("esc".to_owned(), "cancel"),
            ]
        }
    }

    fn draw(&self, area: Rect, buffer: &mut Buffer, context: &Context) -> Option<Position> {
        let title = format!("{} ?", self.title);
        let count = self.facts.len();
        let around = self.asked() + AROUND;
        let room = (count as u16).min(area.height.saturating_sub(around));
        let skip = self.skip.min(count.saturating_sub(room.into()));
        let remark = match scrolled((skip, room.into(), count)) {
            "" if self.is_reading => "numbers are being read",
            remark => remark,
        };
        let size = (WIDTH, room + around);
        let inside = framed(area, buffer, context, (&title, remark), size);
        let facts_area = Rect {
            height: room.min(inside.height),
            ..inside
        };
        facts::draw(facts_area, buffer, context, &self.facts, skip);
        let asked = Rect {
            y: facts_area.bottom() + 1,
            height: inside.bottom().saturating_sub(facts_area.bottom() + 1),
            ..inside
        };
        let cursor = self.draw_asked(asked, buffer, context);
        self.draw_foot(inside, buffer, context);
        cursor
    }
}

/// Two empty lines, what is wrong, the buttons, and the frame.
const AROUND: u16 = 6;

const WIDTH: u16 = 68;

impl Confirm {
    fn draw_asked(&self, area: Rect, buffer: &mut Buffer, context: &Context) -> Option<Position> {
        let theme = &context.theme;
        let mut cursor = None;
        for (row, focus) in rows(area).zip(self.places()) {
            let at = match (focus, &self.choice) {
                (Focus::Choice, Some(choice)) => {
                    let sign = if choice.on { "[x] " } else { "[ ] " };
                    let text = format!("{sign}{} (space)", choice.label);
                    let style = if self.focus == Focus::Choice {
                        theme.focus
                    } else {
                        theme.text
                    };
                    line(row.x, row.y, row.right(), buffer, &text, style);
                    Position {
                        x: row.x + 1,
                        y: row.y,
                    }
                }
                (Focus::Typed, _) => {
                    let label = match &self.gravity {
                        Gravity::Final(wanted) => format!("Type {wanted}"),
                        Gravity::Hard => String::new(),
                    };
                    labelled(row, buffer, context, &label, &self.typed)
                }
                (Focus::Reason, _) => labelled(row, buffer, context, "Reason", &self.reason),
                _ => continue,
            };
            cursor = cursor.or_else(|| (self.focus == focus).then_some(at));
        }
        cursor
    }

    fn draw_foot(&self, inside: Rect, buffer: &mut Buffer, context: &Context) {
        let (theme, end) = (&context.theme, inside.right());
        let y = inside.bottom().saturating_sub(2);
        let note = self.error.as_deref().unwrap_or_default();
        let width = usize::from(inside.width);
        let note = format::cut(note, width, context.charset.ellipsis());
        line(inside.x, y, end, buffer, &note, theme.bad);
        let y = inside.bottom().saturating_sub(1);
        if self.change.is_none() && !self.is_lost {
            line(inside.x, y, end, buffer, "working", theme.dim);
            return;
        }
        let (cancel, act) = if self.focus == Focus::Buttons {
            (theme.selected, theme.key)
        } else {
            (theme.text, theme.dim)
        };
        let x = line(inside.x, y, end, buffer, "[ Cancel ]", cancel);
        if !self.is_lost {
            let act_label = format!("[ y  {} ]", self.verb);
            line(x + 3, y, end, buffer, &act_label, act);
        }
    }
}

fn labelled(
    area: Rect,
    buffer: &mut Buffer,
    context: &Context,
    label: &str,
    field: &Field,
) -> Position {
    let width = (label.chars().count() as u16 + 2)
        .max(12)
        .min(area.width / 2);
    let label = format::cut(
        label,
        usize::from(width).saturating_sub(1),
        context.charset.ellipsis(),
    );
    line(
        area.x,
        area.y,
        area.x + width,
        buffer,
        &label,
        context.theme.dim,
    );
    let room = Rect {
        x: area.x + width,
        width: area.width.saturating_sub(width),
        ..area
    };
    field.draw(room, buffer, context)
}
