//! The list of what can be done here. What cannot be done now stays in its place and says why.

use crossterm::event::KeyCode;
use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};

use super::{Window, framed, scrolled};
use crate::dashboard::context::Context;
use crate::dashboard::format;
use crate::dashboard::keys::{Action, Key};
use crate::dashboard::step::{Step, Tone};
use crate::dashboard::widgets::pane::{line, rows};

/// One line of a menu.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    /// The key that does it outside the menu.
    pub(crate) key: String,
    /// What it is.
    pub(crate) label: String,
    /// Why it cannot be done now.
    pub(crate) refusal: Option<String>,
    /// What it does.
    pub(crate) choice: Choice,
}

/// What a line of a menu does.
#[derive(Debug, Clone)]
pub(crate) enum Choice {
    /// What a key of the screen does.
    Action(Action),
    /// Sorts the screen's list by the order of this place.
    Sort(usize),
}

/// A list to choose from.
#[derive(Debug)]
pub(crate) struct Menu {
    title: String,
    entries: Vec<Entry>,
    place: usize,
}

impl Menu {
    /// A menu of these lines.
    pub(crate) fn new(title: impl Into<String>, entries: Vec<Entry>) -> Self {
        Self {
            title: title.into(),
            entries,
            place: 0,
        }
    }

    /// A menu of orders, of which one is in effect.
    pub(crate) fn of_orders(words: &[&str], chosen: usize) -> Self {
        let entries = words.iter().enumerate().map(|(order, word)| Entry {
            key: (order + 1).to_string(),
            label: (*word).to_owned(),
            refusal: None,
            choice: Choice::Sort(order),
        });
        let mut menu = Self::new("Sort by", entries.collect());
        menu.place = chosen;
        menu
    }

    fn choose(&self, place: usize) -> Vec<Step> {
        let Some(entry) = self.entries.get(place) else {
            return Vec::new();
        };
        if let Some(why) = &entry.refusal {
            return vec![Step::Say(Tone::Warn, format!("{}: {why}", entry.label))];
        }
        let step = match &entry.choice {
            Choice::Action(action) => Step::Perform(*action),
            Choice::Sort(order) => Step::Sort(*order),
        };
        vec![Step::Close, step]
    }
}

impl Window for Menu {
    fn key(&mut self, key: Key, _context: &Context) -> Vec<Step> {
        match key.code {
            KeyCode::Esc => vec![Step::Close],
            KeyCode::Enter => self.choose(self.place),
            KeyCode::Down => {
                self.place = (self.place + 1).min(self.entries.len().saturating_sub(1));
                Vec::new()
            }
            KeyCode::Up => {
                self.place = self.place.saturating_sub(1);
                Vec::new()
            }
            _ => {
                let shown = key.to_string();
                let named = self.entries.iter().position(|entry| entry.key == shown);
                named.map(|place| self.choose(place)).unwrap_or_default()
            }
        }
    }

    fn hints(&self, _context: &Context) -> Vec<(String, &'static str)> {
        vec![
            ("enter".to_owned(), "do"),
            ("up down".to_owned(), "choose"),
            ("esc".to_owned(), "close"),
        ]
    }

    fn draw(&self, area: Rect, buffer: &mut Buffer, context: &Context) -> Option<Position> {
        let height = self.entries.len() as u16 + 2;
        let seen = usize::from(height.min(area.height).saturating_sub(2));
        let skip = (self.place + 1).saturating_sub(seen);
        let remark = scrolled((skip, seen, self.entries.len()));
        let inside = framed(area, buffer, context, (&self.title, remark), (64, height));
        for (row, (place, entry)) in rows(inside).zip(self.entries.iter().enumerate().skip(skip)) {
            let style = match &entry.refusal {
                Some(_) => context.theme.dim,
                None => context.theme.text,
            };
            let why = entry.refusal.as_deref().map(|why| format!("  ({why})"));
            let text = format!(
                "{:<10} {}{}",
                entry.key,
                entry.label,
                why.unwrap_or_default()
            );
            let text = format::cut(&text, row.width.into(), context.charset.ellipsis());
            line(row.x, row.y, row.right(), buffer, &text, style);
            if place == self.place {
                buffer.set_style(row, context.theme.selected);
            }
        }
        None
    }
}
