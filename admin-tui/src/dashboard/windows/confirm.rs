//! The question before a change that is hard to take back. Cancel has the focus; the key that
//! confirms is never the one that opened the window, nor Enter; the target is fixed by its id.

use std::time::Duration;

use crossterm::event::KeyCode;
use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use tollgate_common::clock::Timestamp;

use super::field::Field;
use super::{Window, framed};
use crate::dashboard::change::{Change, Outcome};
use crate::dashboard::context::Context;
use crate::dashboard::format;
use crate::dashboard::keys::Key;
use crate::dashboard::problem::Problem;
use crate::dashboard::step::{Slot, Step, Tone};
use crate::dashboard::store::{Answer, Query};
use crate::dashboard::widgets::facts::{self, Fact};
use crate::dashboard::widgets::pane::line;

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
    gravity: Gravity,
    typed: Field,
    reason: Field,
    asks_reason: bool,
    /// Which part has the focus.
    focus: Focus,
    change: Option<Box<Change>>,
    /// Reads what the change will touch.
    query: Option<Query>,
    opened_at: Option<Timestamp>,
    error: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Focus {
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
            gravity,
            typed: Field::default(),
            reason: Field::default(),
            asks_reason: true,
            focus,
            change: Some(Box::new(change)),
            query: None,
            opened_at: None,
            error: None,
        }
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
        self
    }

    fn next_focus(&self, focus: Focus) -> Focus {
        let is_final = matches!(self.gravity, Gravity::Final(_));
        match focus {
            Focus::Typed if self.asks_reason => Focus::Reason,
            Focus::Typed | Focus::Reason => Focus::Buttons,
            Focus::Buttons if is_final => Focus::Typed,
            Focus::Buttons if self.asks_reason => Focus::Reason,
            Focus::Buttons => Focus::Buttons,
        }
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

    fn height(&self) -> u16 {
        let typed = u16::from(matches!(self.gravity, Gravity::Final(_)));
        self.facts.len() as u16 + typed + u16::from(self.asks_reason) + 6
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
            let found = impact.into_iter();
            self.facts
                .extend(found.map(|(label, value)| facts::fact(label, value)));
        }
        Vec::new()
    }

    fn key(&mut self, key: Key, context: &Context) -> Vec<Step> {
        match (key.code, self.focus) {
            (KeyCode::Esc, _) | (KeyCode::Enter, Focus::Buttons) => return vec![Step::Close],
            (KeyCode::Tab | KeyCode::Enter, focus) => self.focus = self.next_focus(focus),
            (KeyCode::BackTab, focus) => {
                self.focus = self.next_focus(self.next_focus(focus));
            }
            (KeyCode::Char('y'), Focus::Buttons) => return self.confirm(context),
            (_, Focus::Buttons) => {}
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
            Err(problem) => {
                self.error = Some(problem.sentence.clone());
                self.change = Some(change);
                vec![Step::Say(Tone::Bad, problem.sentence.clone())]
            }
        }
    }

    fn hints(&self, _context: &Context) -> Vec<(String, &'static str)> {
        if self.focus == Focus::Buttons {
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
        let inside = framed(area, buffer, context, (&title, ""), (68, self.height()));
        let (theme, end) = (&context.theme, inside.right());
        let fields = self.height().saturating_sub(6 + self.facts.len() as u16);
        let room = inside.height.saturating_sub(fields + 3);
        let facts_area = Rect {
            height: room.min(self.facts.len() as u16),
            ..inside
        };
        facts::draw(facts_area, buffer, context, &self.facts, 0);
        let mut y = facts_area.bottom() + 1;
        let mut cursor = None;
        if let Gravity::Final(wanted) = &self.gravity {
            let label = format!("Type {wanted}");
            let at = labelled(inside, y, buffer, context, &label, &self.typed);
            cursor = (self.focus == Focus::Typed).then_some(at);
            y += 1;
        }
        if self.asks_reason {
            let at = labelled(inside, y, buffer, context, "Reason", &self.reason);
            cursor = cursor.or((self.focus == Focus::Reason).then_some(at));
            y += 1;
        }
        let note = self.error.as_deref().unwrap_or_default();
        let note = format::cut(note, inside.width.into(), context.charset.ellipsis());
        line(inside.x, y, end, buffer, &note, theme.bad);
        let (cancel, act) = if self.focus == Focus::Buttons {
            (theme.selected, theme.key)
        } else {
            (theme.text, theme.dim)
        };
        let x = line(inside.x, y + 1, end, buffer, "[ Cancel ]", cancel);
        let act_label = format!("[ y  {} ]", self.verb);
        line(x + 3, y + 1, end, buffer, &act_label, act);
        cursor
    }
}

fn labelled(
    area: Rect,
    y: u16,
    buffer: &mut Buffer,
    context: &Context,
    label: &str,
    field: &Field,
) -> Position {
    let width = (label.chars().count() as u16 + 2)
        .max(12)
        .min(area.width / 2);
    line(area.x, y, area.x + width, buffer, label, context.theme.dim);
    let room = Rect {
        x: area.x + width,
        y: y.min(area.bottom().saturating_sub(1)),
        width: area.width.saturating_sub(width),
        height: 1,
    };
    field.draw(room, buffer, context)
}
