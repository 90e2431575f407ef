//! Windows above a screen. The topmost takes all keys; none reaches the screen below.

use std::fmt;

use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use ratatui::widgets::{Clear, Widget as _};
use tollgate_common::clock::Timestamp;

use super::change::{Change, Outcome};
use super::context::Context;
use super::keys::Key;
use super::problem::Problem;
use super::step::{Slot, Step};
use super::store::Answer;
use super::widgets::pane::pane;

pub(crate) mod confirm;
pub(crate) mod field;
pub(crate) mod filter;
pub(crate) mod form;
pub(crate) mod help;
pub(crate) mod key;
pub(crate) mod menu;
pub(crate) mod palette;
pub(crate) mod text;

/// A window above a screen.
pub(crate) trait Window: fmt::Debug + Send {
    /// Takes a key; there is none that goes elsewhere.
    fn key(&mut self, key: Key, context: &Context) -> Vec<Step>;

    /// Takes pasted text.
    fn paste(&mut self, _text: &str, _context: &Context) -> Vec<Step> {
        Vec::new()
    }

    /// What to read when it opens.
    fn open(&mut self, _context: &Context) -> Vec<Step> {
        Vec::new()
    }

    /// Takes what was read.
    fn receive(&mut self, _slot: Slot, _answer: Answer, _context: &Context) -> Vec<Step> {
        Vec::new()
    }

    /// Takes note that a filter text of it was not understood.
    fn refuse(&mut self, _why: String) {}

    /// The filter text that Tab should complete, if this is where one is typed.
    fn completing(&mut self, _context: &Context) -> Option<String> {
        None
    }

    /// Takes what Tab may complete the text to.
    fn propose(&mut self, _proposals: Vec<String>) {}

    /// Takes what came of a change that it asked for. It gets the change back if it failed.
    fn done(
        &mut self,
        _change: Box<Change>,
        _result: &Result<Outcome, Problem>,
        _context: &Context,
    ) -> Vec<Step> {
        vec![Step::Close]
    }

    /// Does what has become due.
    fn tick(&mut self, _context: &Context) -> Vec<Step> {
        Vec::new()
    }

    /// When it wants to be told the time.
    fn wake_at(&self) -> Option<Timestamp> {
        None
    }

    /// Whether even Ctrl-C leaves it open, as what it shows cannot be shown again.
    fn is_stubborn(&self) -> bool {
        false
    }

    /// What the keys do, for the last line.
    fn hints(&self, context: &Context) -> Vec<(String, &'static str)>;

    /// Draws itself within an area; says where the terminal's cursor belongs.
    fn draw(&self, area: Rect, buffer: &mut Buffer, context: &Context) -> Option<Position>;
}

/// An empty frame in the middle of an area; returns the room inside.
pub(crate) fn framed(
    area: Rect,
    buffer: &mut Buffer,
    context: &Context,
    (title, remark): (&str, &str),
    (width, height): (u16, u16),
) -> Rect {
    let width = width.min(area.width);
    let height = height.min(area.height);
    let frame = Rect {
        x: area.x + (area.width - width) / 2,
        y: area.y + (area.height - height) / 2,
        width,
        height,
    };
    Clear.render(frame, buffer);
    let inside = pane(frame, buffer, context, (title, remark), true);
    Rect {
        x: inside.x + 1.min(inside.width),
        width: inside.width.saturating_sub(2),
        ..inside
    }
}

/// Says where there is more than what is seen: of so many lines, `room` from `skip` on.
pub(crate) const fn scrolled((skip, room, count): (usize, usize, usize)) -> &'static str {
    match (skip > 0, skip + room < count) {
        (true, true) => "more above and below",
        (true, false) => "more above",
        (false, true) => "more below",
        (false, false) => "",
    }
}
