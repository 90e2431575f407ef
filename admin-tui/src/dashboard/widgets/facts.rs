//! Labels and values, one a line.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::pane::{line, rows};
use crate::dashboard::context::Context;
use crate::dashboard::format;

/// One line: what it is, and its value in a style.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fact {
    /// What it is; empty for a line that goes on.
    pub(crate) label: String,
    /// The value.
    pub(crate) value: String,
    /// How the value looks.
    pub(crate) style: Style,
}

/// A fact in ordinary style.
pub(crate) fn fact(label: impl Into<String>, value: impl Into<String>) -> Fact {
    styled(label, value, Style::new())
}

/// A fact in a style of its own.
pub(crate) fn styled(label: impl Into<String>, value: impl Into<String>, style: Style) -> Fact {
    Fact {
        label: label.into(),
        value: value.into(),
        style,
    }
}

/// Draws as many facts as fit from `skip` on.
pub(crate) fn draw(
    area: Rect,
    buffer: &mut Buffer,
    context: &Context,
    facts: &[Fact],
    skip: usize,
) {
    let widest = facts.iter().map(|fact| fact.label.chars().count()).max();
    let width = (widest.unwrap_or(0) as u16).min(area.width / 2);
    for (row, fact) in rows(area).zip(facts.iter().skip(skip)) {
        let label = format::cut(&fact.label, width.into(), context.charset.ellipsis());
        line(
            row.x,
            row.y,
            row.x + width,
            buffer,
            &label,
            context.theme.dim,
        );
        let start = row.x + width + 2;
        let room = row.right().saturating_sub(start);
        let value = format::cut(&fact.value, room.into(), context.charset.ellipsis());
        line(start, row.y, row.right(), buffer, &value, fact.style);
    }
}
