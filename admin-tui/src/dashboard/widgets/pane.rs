//! A framed part of the screen with a title on its left and a remark on its right.

use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use ratatui::style::Style;
use ratatui::widgets::{Block, Widget as _};
use unicode_width::UnicodeWidthStr as _;

use crate::dashboard::context::Context;
use crate::dashboard::format;

/// Draws the frame and returns the room inside it.
pub(crate) fn pane(
    area: Rect,
    buffer: &mut Buffer,
    context: &Context,
    (title, remark): (&str, &str),
    focus: bool,
) -> Rect {
    let area = area.intersection(buffer.area);
    if area.is_empty() {
        return area;
    }
    let style = if focus {
        context.theme.focus
    } else {
        context.theme.border
    };
    let block = Block::bordered()
        .border_set(context.charset.border())
        .border_style(style);
    let inside = block.inner(area);
    block.render(area, buffer);
    let room = area.width.saturating_sub(4);
    let title = padded(title, room, context);
    line(
        area.x + 2,
        area.y,
        area.right(),
        buffer,
        &title,
        context.theme.title,
    );
    let left = room.saturating_sub(title.width() as u16 + 2);
    let remark = padded(remark, left, context);
    let width = remark.width() as u16;
    let start = area.right().saturating_sub(2 + width);
    line(
        start,
        area.y,
        area.right(),
        buffer,
        &remark,
        context.theme.dim,
    );
    inside
}

fn padded(text: &str, room: u16, context: &Context) -> String {
    if text.is_empty() || room < 3 {
        return String::new();
    }
    let cut = format::cut(text, usize::from(room) - 2, context.charset.ellipsis());
    format!(" {cut} ")
}

/// Writes a text from `x` on, up to `end`, on one line; nothing outside the buffer.
pub(crate) fn line(x: u16, y: u16, end: u16, buffer: &mut Buffer, text: &str, style: Style) -> u16 {
    let end = end.min(buffer.area.right());
    if x >= end || !buffer.area.contains(Position { x, y }) {
        return x;
    }
    let (next, _) = buffer.set_stringn(x, y, text, usize::from(end - x), style);
    next
}

/// The rows of an area, each one line high.
pub(crate) fn rows(area: Rect) -> impl Iterator<Item = Rect> {
    (area.y..area.bottom()).map(move |y| Rect {
        y,
        height: 1,
        ..area
    })
}
