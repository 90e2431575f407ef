//! A window with lines to read.

use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};

use super::{Window, framed};
use crate::dashboard::context::Context;
use crate::dashboard::format;
use crate::dashboard::keys::{Action, Key};
use crate::dashboard::step::Step;
use crate::dashboard::widgets::pane::{line, rows};

/// Lines to read, with a title.
#[derive(Debug)]
pub(crate) struct Text {
    title: String,
    lines: Vec<String>,
    skip: usize,
}

impl Text {
    /// A window of these lines.
    pub(crate) fn new(title: impl Into<String>, lines: Vec<String>) -> Self {
        Self {
            title: title.into(),
            lines,
            skip: 0,
        }
    }

    fn height(&self, context: &Context) -> usize {
        let room = context.size.height.saturating_sub(6);
        self.lines.len().min(room.into())
    }
}

impl Window for Text {
    fn key(&mut self, key: Key, context: &Context) -> Vec<Step> {
        let height = self.height(context);
        let last = self.lines.len().saturating_sub(height);
        match context.keymap.action(&[], key) {
            Some(Action::Down) => self.skip = (self.skip + 1).min(last),
            Some(Action::Up) => self.skip = self.skip.saturating_sub(1),
            Some(Action::PageDown | Action::HalfDown) => self.skip = (self.skip + height).min(last),
            Some(Action::PageUp | Action::HalfUp) => self.skip = self.skip.saturating_sub(height),
            Some(Action::Top) => self.skip = 0,
            Some(Action::Bottom) => self.skip = last,
            Some(Action::Back | Action::Leave | Action::Help) => return vec![Step::Close],
            _ if key == Key::plain(crossterm::event::KeyCode::Enter) => return vec![Step::Close],
            _ => {}
        }
        Vec::new()
    }

    fn hints(&self, _context: &Context) -> Vec<(String, &'static str)> {
        vec![("j k".to_owned(), "scroll"), ("esc".to_owned(), "close")]
    }

    fn draw(&self, area: Rect, buffer: &mut Buffer, context: &Context) -> Option<Position> {
        let widest = self.lines.iter().map(|line| line.chars().count()).max();
        let width = (widest.unwrap_or(0).max(40) as u16).saturating_add(6);
        let height = self.height(context);
        let more = self.lines.len() > self.skip + height;
        let remark = if more { "more below" } else { "" };
        let size = (width, height as u16 + 2);
        let inside = framed(area, buffer, context, (&self.title, remark), size);
        for (row, text) in rows(inside).zip(self.lines.iter().skip(self.skip)) {
            let text = format::cut(text, row.width.into(), context.charset.ellipsis());
            line(row.x, row.y, row.right(), buffer, &text, context.theme.text);
        }
        None
    }
}
