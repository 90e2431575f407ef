//! The line in which a filter is typed. What is typed takes effect after a short pause, so that
//! nobody waits for a key; Esc brings the filter from before back.

use std::time::Duration;

use crossterm::event::KeyCode;
use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use ratatui::widgets::{Clear, Widget as _};
use tollgate_common::clock::Timestamp;
use unicode_width::UnicodeWidthStr as _;

use super::Window;
use super::field::Field;
use crate::dashboard::context::Context;
use crate::dashboard::format;
use crate::dashboard::keys::Key;
use crate::dashboard::step::Step;
use crate::dashboard::widgets::pane::{line, rows};

/// How long after the last key the filter takes effect.
const PAUSE: Duration = Duration::from_millis(150);

/// The line in which a filter is typed.
#[derive(Debug)]
pub(crate) struct FilterLine {
    field: Field,
    before: String,
    due: Option<Timestamp>,
    error: Option<String>,
    proposals: Vec<String>,
    proposed: usize,
    /// The name under which the filter is to be saved, while it is typed.
    name: Option<Field>,
}

impl FilterLine {
    /// Begins with the filter in effect.
    pub(crate) fn new(text: &str) -> Self {
        Self {
            field: Field::with(text),
            before: text.to_owned(),
            due: None,
            error: None,
            proposals: Vec::new(),
            proposed: 0,
            name: None,
        }
    }

    fn name_key(&mut self, key: Key) -> Vec<Step> {
        let Some(name) = &mut self.name else {
            return Vec::new();
        };
        let typed = name.text().trim().to_owned();
        match key.code {
            KeyCode::Esc => self.name = None,
            KeyCode::Enter if !typed.is_empty() => {
                self.name = None;
                return vec![Step::SaveFilter(typed, self.field.text().to_owned())];
            }
            _ => {
                name.key(key);
            }
        }
        Vec::new()
    }

    /// Begins with the filter in effect and the beginning of a word more.
    pub(crate) fn adding(text: &str, word: &str) -> Self {
        let gap = if text.is_empty() { "" } else { " " };
        Self {
            field: Field::with(format!("{text}{gap}{word}")),
            ..Self::new(text)
        }
    }

    fn take_proposal(&mut self) {
        if let Some(text) = self.proposals.get(self.proposed) {
            self.field = Field::with(text.clone());
        }
    }
}

impl Window for FilterLine {
    fn key(&mut self, key: Key, context: &Context) -> Vec<Step> {
        if self.name.is_some() {
            return self.name_key(key);
        }
        if key == Key::control('s') {
            if !self.field.text().trim().is_empty() {
                self.name = Some(Field::default());
            }
            return Vec::new();
        }
        match key.code {
            KeyCode::Esc => return vec![Step::Filter(self.before.clone(), true), Step::Close],
            KeyCode::Enter => return vec![Step::Filter(self.field.text().to_owned(), true)],
            KeyCode::Tab => return Vec::new(),
            _ => {}
        }
        if self.field.key(key) {
            self.error = None;
            self.proposals.clear();
            self.due = Some(context.now.plus(PAUSE));
        }
        Vec::new()
    }

    fn paste(&mut self, text: &str, context: &Context) -> Vec<Step> {
        if let Some(name) = &mut self.name {
            name.paste(text);
            return Vec::new();
        }
        self.field.paste(text);
        self.due = Some(context.now.plus(PAUSE));
        Vec::new()
    }

    fn tick(&mut self, context: &Context) -> Vec<Step> {
        if self.due.is_some_and(|due| due <= context.now) {
            self.due = None;
            return vec![Step::Filter(self.field.text().to_owned(), false)];
        }
        Vec::new()
    }

    fn wake_at(&self) -> Option<Timestamp> {
        self.due
    }

    fn refuse(&mut self, why: String) {
        self.error = Some(why);
    }

    fn completing(&mut self, context: &Context) -> Option<String> {
        if self.name.is_some() {
            return None;
        }
        if self.proposals.is_empty() {
            return Some(self.field.before_cursor());
        }
        self.proposed = (self.proposed + 1) % self.proposals.len();
        self.take_proposal();
        self.due = Some(context.now.plus(PAUSE));
        None
    }

    fn propose(&mut self, proposals: Vec<String>) {
        self.proposed = 0;
        self.proposals = proposals;
        self.take_proposal();
    }

    fn hints(&self, _context: &Context) -> Vec<(String, &'static str)> {
        if self.name.is_some() {
            return vec![
                ("enter".to_owned(), "save under this name"),
                ("esc".to_owned(), "do not save"),
            ];
        }
        vec![
            ("enter".to_owned(), "keep"),
            ("tab".to_owned(), "complete"),
            ("ctrl-s".to_owned(), "save"),
            ("esc".to_owned(), "as before"),
        ]
    }

    fn draw(&self, area: Rect, buffer: &mut Buffer, context: &Context) -> Option<Position> {
        let row = Rect {
            y: area.bottom().saturating_sub(1),
            height: 1,
            ..area
        };
        Clear.render(row, buffer);
        let (prompt, field) = match &self.name {
            Some(name) => (" save as: ", name),
            None => (" / ", &self.field),
        };
        let x = line(row.x, row.y, row.right(), buffer, prompt, context.theme.key);
        let room = Rect {
            x,
            width: row.right().saturating_sub(x),
            ..row
        };
        if let Some(error) = &self.error {
            draw_error(area, buffer, context, error);
        }
        Some(field.draw(room, buffer, context))
    }
}

/// Says what is wrong in as many lines as it needs, above the last line of an area.
fn draw_error(area: Rect, buffer: &mut Buffer, context: &Context, error: &str) {
    let width = usize::from(area.width.saturating_sub(2)).max(1);
    let mut lines = vec![String::new()];
    for word in error.split_whitespace() {
        let fits = lines
            .last()
            .is_some_and(|line| line.width() + word.width() < width);
        match lines.last_mut() {
            Some(line) if fits && !line.is_empty() => {
                line.push(' ');
                line.push_str(word);
            }
            Some(line) if line.is_empty() => line.push_str(word),
            _ => lines.push(word.to_owned()),
        }
    }
    let height = (lines.len() as u16).min(area.height.saturating_sub(1));
    let above = Rect {
        y: area.bottom().saturating_sub(1 + height),
        height,
        ..area
    };
    Clear.render(above, buffer);
    for (row, text) in rows(above).zip(lines) {
        let text = format::cut(&text, width, context.charset.ellipsis());
        line(
            row.x + 1,
            row.y,
            row.right(),
            buffer,
            &text,
            context.theme.bad,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dashboard::testing::context;

    fn typed(line: &mut FilterLine, text: &str) {
        for character in text.chars() {
            let _ = line.key(Key::plain(KeyCode::Char(character)), &context());
        }
    }

    #[test]
    fn a_filter_is_saved_under_a_name() {
        let context = context();
        let mut line = FilterLine::new("");
        assert!(line.key(Key::control('s'), &context).is_empty());
        typed(&mut line, "status:failed");
        let _ = line.key(Key::control('s'), &context);
        assert!(
            line.key(Key::plain(KeyCode::Enter), &context).is_empty(),
            "it needs a name"
        );
        typed(&mut line, "bad jobs");
        let steps = line.key(Key::plain(KeyCode::Enter), &context);
        assert!(
            matches!(&steps[..], [Step::SaveFilter(name, text)]
                if name == "bad jobs" && text == "status:failed"),
            "{steps:?}"
        );
        let _ = line.key(Key::control('s'), &context);
        assert!(line.key(Key::plain(KeyCode::Esc), &context).is_empty());
        let steps = line.key(Key::plain(KeyCode::Enter), &context);
        assert!(matches!(&steps[..], [Step::Filter(text, true)] if text == "status:failed"));
    }
}
