//! Bars of one line each: a name, a bar, an amount.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::pane::{line, rows};
use crate::dashboard::context::Context;
use crate::dashboard::format;

/// A bar: its name, its size, and how the size is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Bar {
    /// Whose.
    pub(crate) name: String,
    /// How much.
    pub(crate) size: u64,
    /// How much, in words.
    pub(crate) amount: String,
}

/// Draws as many bars as fit, scaled to the largest.
pub(crate) fn draw(area: Rect, buffer: &mut Buffer, context: &Context, bars: &[Bar]) {
    let widest = |of: fn(&Bar) -> &str| {
        let widths = bars.iter().map(|bar| of(bar).chars().count());
        widths.max().unwrap_or(0) as u16
    };
    let name_width = widest(|bar| &bar.name).min(area.width / 3);
    let amount_width = widest(|bar| &bar.amount).min(area.width / 3);
    let room = area.width.saturating_sub(name_width + amount_width + 4);
    let largest = bars.iter().map(|bar| bar.size).max().unwrap_or(0).max(1);
    for (row, bar) in rows(area).zip(bars) {
        let name = format::cut(&bar.name, name_width.into(), context.charset.ellipsis());
        line(row.x, row.y, row.right(), buffer, &name, context.theme.text);
        let length = (bar.size * u64::from(room)).div_ceil(largest) as usize;
        let full = context.charset.bar().repeat(length);
        let start = row.x + name_width + 2;
        line(
            start,
            row.y,
            start + room,
            buffer,
            &full,
            context.theme.accent,
        );
        let end = row.right();
        let at = end.saturating_sub(bar.amount.chars().count() as u16);
        line(
            at.max(row.x),
            row.y,
            end,
            buffer,
            &bar.amount,
            context.theme.text,
        );
    }
}
