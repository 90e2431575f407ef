//! What came in during the last hour, beside the list.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use tollgate_common::db::job::list::recent::Recent;

use super::draw::{indented, lowered};
use super::row::job_state;
use crate::dashboard::context::Context;
use crate::dashboard::format;
use crate::dashboard::widgets::curve;
use crate::dashboard::widgets::pane::{line, pane};

/// How many lines it has, its frame included.
pub(super) const HEIGHT: u16 = 10;

/// How wide the names before curves are, and the numbers after them.
const NAME: u16 = 12;
const NUMBER: u16 = 9;

/// Draws jobs a minute, failures a minute and how many are in each state.
pub(super) fn draw(area: Rect, buffer: &mut Buffer, context: &Context, recent: Option<&Recent>) {
    let remark = match recent {
        Some(recent) if recent.is_part => "a part of it",
        _ => "10s",
    };
    let title = "Last hour for this filter";
    let inside = indented(pane(area, buffer, context, (title, remark), false));
    let Some(recent) = recent else {
        return;
    };
    let theme = &context.theme;
    let curves = [
        ("jobs/min", &recent.created, theme.accent),
        ("failed/min", &recent.failed, theme.bad),
    ];
    let mut room = inside;
    for (name, values, style) in curves {
        draw_curve(room, buffer, context, (name, values, style));
        room = lowered(room, 1);
    }
    let took = recent.took.map(|took| took.as_millis() as i64);
    let took = took.map_or_else(|| "-".to_owned(), format::millis);
    draw_words(
        room,
        buffer,
        context,
        ("took", &format!("{took} on average")),
    );
    room = lowered(room, 1);
    for (state, count) in Recent::STATES.into_iter().zip(recent.states) {
        let (word, style) = job_state(state, theme);
        if room.height > 0 {
            let end = room.x.saturating_add(NAME);
            line(room.x, room.y, end, buffer, word, style);
            let count = format::number(i64::try_from(count).unwrap_or(i64::MAX));
            let count = format!("{count:>9}");
            line(end, room.y, room.right(), buffer, &count, theme.text);
        }
        room = lowered(room, 1);
    }
}

fn draw_words(area: Rect, buffer: &mut Buffer, context: &Context, (name, text): (&str, &str)) {
    if area.height == 0 {
        return;
    }
    let theme = &context.theme;
    let start = area.x.saturating_add(NAME);
    line(area.x, area.y, start, buffer, name, theme.dim);
    line(start, area.y, area.right(), buffer, text, theme.text);
}

fn draw_curve(
    area: Rect,
    buffer: &mut Buffer,
    context: &Context,
    (name, values, style): (&str, &[u64], Style),
) {
    if area.height == 0 || area.width < NAME + NUMBER {
        return;
    }
    // The minute that goes on is not over yet, so the one before it is told.
    let now = values.iter().rev().nth(1).copied().unwrap_or(0);
    let now = format::number(i64::try_from(now).unwrap_or(i64::MAX));
    line(
        area.x,
        area.y,
        area.x + NAME,
        buffer,
        name,
        context.theme.dim,
    );
    let curve_area = Rect {
        x: area.x + NAME,
        width: area.width - NAME - NUMBER,
        height: 1,
        ..area
    };
    curve::draw(curve_area, buffer, context.charset, values, style);
    let number = format!("{now:>8}");
    let start = area.right() - NUMBER + 1;
    line(
        start,
        area.y,
        area.right(),
        buffer,
        &number,
        context.theme.text,
    );
}
