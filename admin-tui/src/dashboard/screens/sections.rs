//! Everything about one thing, as sections of facts: beside a list, or on a page of its own.

use std::cell::Cell;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use tollgate_common::clock::Timestamp;
use tollgate_common::db::audit::AuditRecord;

use crate::dashboard::context::{Class, Context};
use crate::dashboard::format;
use crate::dashboard::keys::Action;
use crate::dashboard::widgets::facts::{self, Fact, fact};
use crate::dashboard::widgets::pane::{line, pane};

/// Facts that belong together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Section {
    /// What they are about.
    pub(crate) title: String,
    /// The facts.
    pub(crate) facts: Vec<Fact>,
}

/// A section of these facts.
pub(crate) fn section(title: impl Into<String>, facts: Vec<Fact>) -> Section {
    Section {
        title: title.into(),
        facts,
    }
}

/// What administrators did last, one a line.
pub(crate) fn records(records: &[AuditRecord], now: Timestamp) -> Vec<Fact> {
    if records.is_empty() {
        return vec![fact("none", "")];
    }
    let lines = records.iter().map(|record| {
        let label = format!("{} ago", format::age(record.at, now));
        fact(label, format!("{} by {}", record.action, record.actor))
    });
    lines.collect()
}

/// How far a page of sections is scrolled.
#[derive(Debug, Default)]
pub(crate) struct Scroll {
    skip: usize,
    /// How far down the last drawing could go.
    last: Cell<usize>,
}

impl Scroll {
    /// Moves if the action asks for that; says whether it did.
    pub(crate) fn act(&mut self, action: Action) -> bool {
        let last = self.last.get();
        let skip = self.skip.min(last);
        self.skip = match action {
            Action::Down => (skip + 1).min(last),
            Action::Up => skip.saturating_sub(1),
            Action::PageDown | Action::HalfDown => (skip + 10).min(last),
            Action::PageUp | Action::HalfUp => skip.saturating_sub(10),
            Action::Top => 0,
            Action::Bottom => last,
            _ => return false,
        };
        true
    }

    /// Draws sections in as many columns as there is room for.
    pub(crate) fn draw(
        &self,
        area: Rect,
        buffer: &mut Buffer,
        context: &Context,
        (title, sections): (&str, Vec<Section>),
    ) {
        let columns = match context.class() {
            Class::Tiny | Class::Compact => 1,
            Class::Normal => 2,
            Class::Wide => 3,
        };
        let parts = dealt(sections, columns);
        let width = area.width / columns as u16;
        let mut last = 0;
        for (place, part) in parts.iter().enumerate() {
            let x = area.x + width * place as u16;
            let is_last = place + 1 == columns;
            let room = Rect {
                x,
                width: if is_last {
                    area.right().saturating_sub(x)
                } else {
                    width
                },
                ..area
            };
            let title = if place == 0 { title } else { "" };
            let seen = usize::from(area.height.saturating_sub(2));
            let below = stacked_height(part).saturating_sub(seen);
            last = last.max(below);
            let skip = self.skip.min(below);
            let remark = if skip < below { "more below" } else { "" };
            let inside = pane(room, buffer, context, (title, remark), place == 0);
            draw_stacked(inside, buffer, context, part, skip);
        }
        self.last.set(last);
    }
}

/// How many lines sections take one below the other.
fn stacked_height(sections: &[Section]) -> usize {
    let heights = sections.iter().map(|section| section.facts.len() + 2);
    heights.sum::<usize>().saturating_sub(1)
}

/// Draws sections one below the other, from a line on.
pub(crate) fn draw_stacked(
    area: Rect,
    buffer: &mut Buffer,
    context: &Context,
    sections: &[Section],
    skip: usize,
) {
    let area = Rect {
        x: area.x + 1.min(area.width),
        width: area.width.saturating_sub(1),
        ..area
    };
    // The end of this section among all lines.
    let mut top = 0;
    for section in sections {
        let height = section.facts.len() + 2;
        let hidden = skip.saturating_sub(top).min(height);
        let y = area.y as usize + top.saturating_sub(skip);
        top += height;
        let Some(room) = usize::from(area.bottom())
            .checked_sub(y)
            .filter(|room| *room > 0)
        else {
            return;
        };
        let mut part = Rect {
            y: y as u16,
            height: room.min(height - hidden) as u16,
            ..area
        };
        if hidden == 0 {
            let style = context.theme.title;
            line(part.x, part.y, part.right(), buffer, &section.title, style);
            part.y += 1;
            part.height -= 1;
        }
        let skipped = hidden.saturating_sub(1);
        facts::draw(part, buffer, context, &section.facts, skipped);
    }
}

/// Sections in so many columns of about the same height, in their order.
fn dealt(sections: Vec<Section>, columns: usize) -> Vec<Vec<Section>> {
    let share = stacked_height(&sections).div_ceil(columns);
    let mut parts: Vec<Vec<Section>> = vec![Vec::new()];
    for section in sections {
        let is_full = parts.last().is_some_and(|part| {
            !part.is_empty() && stacked_height(part) + section.facts.len() / 2 > share
        });
        if is_full && parts.len() < columns {
            parts.push(Vec::new());
        }
        if let Some(part) = parts.last_mut() {
            part.push(section);
        }
    }
    parts.resize(columns, Vec::new());
    parts
}
