//! How long an old key works beside its successor.

use std::time::Duration;

use crossterm::event::KeyCode;
use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};

use crate::dashboard::change::{Change, Operation};
use crate::dashboard::context::Context;
use crate::dashboard::format;
use crate::dashboard::keys::Key;
use crate::dashboard::step::Step;
use crate::dashboard::store::keys::KeyRow;
use crate::dashboard::widgets::facts::{self, Fact, fact, styled};
use crate::dashboard::widgets::list::Row as _;
use crate::dashboard::widgets::pane::line;
use crate::dashboard::windows::confirm::{Confirm, Gravity};
use crate::dashboard::windows::{Window, framed};

/// The overlaps to choose from.
const OVERLAPS: [(&str, Duration); 5] = [
    ("now", Duration::ZERO),
    ("10m", Duration::from_mins(10)),
    ("1h", Duration::from_hours(1)),
    ("24h", Duration::from_hours(24)),
    ("7d", Duration::from_hours(7 * 24)),
];

/// A day is enough for most deployments, and not so long that the old key is forgotten.
const USUAL: usize = 3;

/// Asks how long the old key still works.
#[derive(Debug)]
pub(super) struct Rotate {
    key: KeyRow,
    chosen: usize,
}

impl Rotate {
    pub(super) fn new(key: &KeyRow) -> Self {
        Self {
            key: key.clone(),
            chosen: USUAL,
        }
    }

    fn facts(&self, context: &Context) -> Vec<Fact> {
        let (key, now) = (&self.key.listed.key, context.now);
        let label = key.label.as_deref().unwrap_or("no label");
        let used = if self.key.is_in_use(now) {
            styled(
                "Last used",
                format!("{}: callers show it now", self.key.last_use(now)),
                context.theme.warn,
            )
        } else {
            fact("Last used", self.key.last_use(now))
        };
        vec![
            fact(
                "Key",
                format!("{} of team {} ({label})", key.id, key.team_id),
            ),
            used,
            fact("Successor", "same team, label, limits and end; shown once"),
        ]
    }

    fn confirm(&self, context: &Context) -> Confirm {
        let (word, overlap) = OVERLAPS[self.chosen];
        let (now, id) = (context.now, self.key.id());
        let end = now.plus(overlap);
        let end = self.key.listed.key.expires_at.map_or(end, |at| at.min(end));
        let mut facts = self.facts(context);
        let gravity = if overlap > Duration::ZERO {
            let at = format::moment(end);
            facts.push(fact(
                "Old key",
                format!("works for {word} more, until {at} UTC"),
            ));
            Gravity::Hard
        } else {
            facts.push(fact("Old key", "callers get 401 within a second"));
            if self.key.is_in_use(now) {
                Gravity::Final(id.clone())
            } else {
                Gravity::Hard
            }
        };
        let operation = Operation::RotateKey {
            id: self.key.listed.key.id.clone(),
            ends_at: end,
        };
        let change = Change::new(operation, format!("key {id} has a successor"));
        Confirm::new(format!("Rotate key {id}"), "Rotate", facts, gravity, change)
    }
}

impl Window for Rotate {
    fn key(&mut self, key: Key, context: &Context) -> Vec<Step> {
        let last = OVERLAPS.len() - 1;
        match key.code {
            KeyCode::Esc => return vec![Step::Close],
            KeyCode::Left | KeyCode::Up | KeyCode::Char('h' | 'k') => {
                self.chosen = self.chosen.saturating_sub(1);
            }
            KeyCode::Right | KeyCode::Down | KeyCode::Tab | KeyCode::Char('l' | 'j') => {
                self.chosen = (self.chosen + 1).min(last);
            }
            KeyCode::Enter => {
                return vec![Step::Close, Step::Open(Box::new(self.confirm(context)))];
            }
            _ => {}
        }
        Vec::new()
    }

    fn hints(&self, _context: &Context) -> Vec<(String, &'static str)> {
        vec![
            ("left right".to_owned(), "overlap"),
            ("enter".to_owned(), "review"),
            ("esc".to_owned(), "cancel"),
        ]
    }

    fn draw(&self, area: Rect, buffer: &mut Buffer, context: &Context) -> Option<Position> {
        let title = format!("Rotate key {}", self.key.id());
        let inside = framed(area, buffer, context, (&title, ""), (68, 10));
        let theme = &context.theme;
        let facts = self.facts(context);
        facts::draw(inside, buffer, context, &facts, 0);
        let y = inside.y + facts.len() as u16 + 1;
        let end = inside.right();
        let mut x = line(inside.x, y, end, buffer, "Old key works", theme.dim) + 2;
        for (place, (word, _)) in OVERLAPS.iter().enumerate() {
            let (text, style) = if place == self.chosen {
                (format!("(o) {word}"), theme.title)
            } else {
                (format!("( ) {word}"), theme.text)
            };
            x = line(x, y, end, buffer, &text, style) + 2;
        }
        let (word, overlap) = OVERLAPS[self.chosen];
        let note = if overlap > Duration::ZERO {
            format!("both keys work for {word}: deploy the successor meanwhile")
        } else if self.key.is_in_use(context.now) {
            "! the old key is in use: its callers get 401 at once".to_owned()
        } else {
            "the old key ends at once".to_owned()
        };
        line(inside.x, y + 2, end, buffer, &note, theme.text);
        None
    }
}
