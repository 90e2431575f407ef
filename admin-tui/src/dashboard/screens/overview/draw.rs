//! Where the panes stand, and how each looks.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::figures::{RECENT, Range};
use super::lines::Line;
use super::{Overview, facts};
use crate::dashboard::context::{Class, Context};
use crate::dashboard::format;
use crate::dashboard::widgets::facts::{self as facts_widget, Fact};
use crate::dashboard::widgets::pane::{self, pane};
use crate::dashboard::widgets::{bars, curve};

/// A part of the screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pane {
    /// What goes on now.
    Traffic,
    /// How long it takes.
    Latency,
    /// What went wrong.
    Errors,
    /// What it costs.
    Money,
    /// How providers are.
    Providers,
    /// Who asks most.
    Teams,
    /// What is asked for most.
    Models,
    /// Who tells.
    Nodes,
    /// Calls in flight.
    Calls,
    /// What may need a look.
    Attention,
}

/// A row of panes: how high at most, with 0 for what is left, and each pane's share of the width.
type Row = (u16, &'static [(Pane, u16)]);

const COMPACT: &[Row] = &[
    (8, &[(Pane::Traffic, 1), (Pane::Money, 1)]),
    (6, &[(Pane::Providers, 5), (Pane::Teams, 4)]),
    (0, &[(Pane::Attention, 1)]),
];

const NORMAL: &[Row] = &[
    (
        10,
        &[(Pane::Traffic, 4), (Pane::Latency, 4), (Pane::Money, 5)],
    ),
    (
        9,
        &[(Pane::Providers, 5), (Pane::Teams, 4), (Pane::Errors, 4)],
    ),
    (0, &[(Pane::Attention, 7), (Pane::Nodes, 6)]),
];

const WIDE: &[Row] = &[
    (
        12,
        &[
            (Pane::Traffic, 5),
            (Pane::Latency, 4),
            (Pane::Errors, 4),
            (Pane::Money, 5),
        ],
    ),
    (
        12,
        &[
            (Pane::Providers, 5),
            (Pane::Teams, 4),
            (Pane::Models, 4),
            (Pane::Nodes, 5),
        ],
    ),
    (0, &[(Pane::Calls, 1), (Pane::Attention, 1)]),
];

const fn layout(class: Class) -> &'static [Row] {
    match class {
        Class::Tiny | Class::Compact => COMPACT,
        Class::Normal => NORMAL,
        Class::Wide => WIDE,
    }
}

/// The panes that are shown, in the order in which Tab goes through them.
pub(super) fn panes(class: Class) -> impl Iterator<Item = Pane> {
    let rows = layout(class).iter();
    rows.flat_map(|(_, panes)| panes.iter().map(|(pane, _)| *pane))
}

/// Each pane with its place.
fn places(area: Rect, class: Class) -> Vec<(Pane, Rect)> {
    let mut places = Vec::new();
    let mut y = area.y;
    for (height, panes) in layout(class) {
        let left = area.bottom().saturating_sub(y);
        let height = if *height == 0 {
            left
        } else {
            left.min(*height)
        };
        let whole: u16 = panes.iter().map(|(_, share)| share).sum();
        let mut used = 0;
        for (pane, share) in *panes {
            let start = u32::from(area.width) * u32::from(used) / u32::from(whole.max(1));
            used += share;
            let end = u32::from(area.width) * u32::from(used) / u32::from(whole.max(1));
            let place = Rect {
                x: area.x.saturating_add(start as u16),
                y,
                width: end.saturating_sub(start) as u16,
                height,
            };
            places.push((*pane, place));
        }
        y = y.saturating_add(height);
    }
    places
}

/// Draws all panes.
pub(super) fn draw(screen: &Overview, area: Rect, buffer: &mut Buffer, context: &Context) {
    for (name, place) in places(area, context.class()) {
        let has_focus = screen.focus(context) == name;
        let (title, remark) = head(screen, name, context);
        let inside = pane(place, buffer, context, (&title, &remark), has_focus);
        if inside.is_empty() {
            continue;
        }
        match body(screen, name, context) {
            Body::Facts(facts, values) => draw_facts(inside, buffer, context, &facts, &values),
            Body::Lines(lines, empty) => {
                let cursor = has_focus.then(|| screen.cursor(&lines));
                draw_lines(inside, buffer, context, &lines, (cursor, empty));
            }
        }
    }
}

fn head(screen: &Overview, name: Pane, context: &Context) -> (String, String) {
    let range = screen.range.word();
    let figures = &screen.figures;
    match name {
        Pane::Traffic => (format!("Traffic {range}"), facts::proxies(figures)),
        Pane::Latency => (format!("Latency {range}"), String::new()),
        Pane::Errors => (format!("Errors {range}"), String::new()),
        Pane::Money => {
            let read = screen.standing.as_ref();
            let remark = read.map_or_else(
                || "reading".to_owned(),
                |standing| format!("read {} ago", format::age(standing.at, context.now)),
            );
            ("Money today UTC".to_owned(), remark)
        }
        Pane::Providers => (format!("Providers {RECENT}m"), String::new()),
        Pane::Teams => (format!("Top teams {RECENT}m"), String::new()),
        Pane::Models => (format!("Models {range}"), String::new()),
        Pane::Nodes => ("Proxies".to_owned(), facts::proxies(figures)),
        Pane::Calls => {
            let (told, all) = (figures.calls.len(), figures.in_flight);
            let remark = format!("{} of {}", format::count(told), format::count(all));
            ("Calls in flight, the oldest first".to_owned(), remark)
        }
        Pane::Attention => {
            let count = screen.lines(name, context).len();
            let remark = if screen.is_read() {
                format::count(count)
            } else {
                String::new()
            };
            ("Attention".to_owned(), remark)
        }
    }
}

enum Body {
    /// Facts, with a curve above them if there is room.
    Facts(Vec<Fact>, Vec<u64>),
    /// Lines, and what stands there if there are none.
    Lines(Vec<Line>, &'static str),
}

fn body(screen: &Overview, name: Pane, context: &Context) -> Body {
    let figures = &screen.figures;
    let is_compact = context.class() <= Class::Compact;
    let empty = match name {
        Pane::Traffic => {
            let is_told = facts::untold(figures, context.now).is_none();
            let values = match (is_told, screen.range) {
                (true, Range::Quarter) => figures.per_second.clone(),
                (false, Range::Quarter) => Vec::new(),
                _ => figures.per_minute(screen.range),
            };
            let shown = (screen.range, is_compact);
            return Body::Facts(facts::traffic(figures, context, shown), values);
        }
        Pane::Latency => return Body::Facts(facts::latency(figures, is_compact), Vec::new()),
        Pane::Money => {
            let standing = screen.standing.as_ref();
            let facts = standing.map_or_else(Vec::new, |standing| {
                facts::money(standing, context, !is_compact)
            });
            return Body::Facts(facts, Vec::new());
        }
        Pane::Errors | Pane::Calls => "none",
        Pane::Providers => "no provider has a key",
        Pane::Teams | Pane::Models => "no calls",
        Pane::Nodes => "no proxy is running",
        Pane::Attention => "nothing needs a look",
    };
    let lines = screen.lines(name, context);
    let empty = if screen.is_read() { empty } else { "reading" };
    Body::Lines(lines, empty)
}

fn draw_facts(area: Rect, buffer: &mut Buffer, context: &Context, facts: &[Fact], values: &[u64]) {
    let left = area.height.saturating_sub(facts.len() as u16);
    let height = if values.is_empty() { 0 } else { left.min(4) };
    let above = Rect { height, ..area };
    curve::draw(above, buffer, context.charset, values, context.theme.accent);
    if height == 0 && !values.is_empty() {
        draw_beside(area, buffer, context, values);
    }
    let below = Rect {
        y: area.y.saturating_add(height),
        height: area.height.saturating_sub(height),
        ..area
    };
    facts_widget::draw(below, buffer, context, facts, 0);
}

/// Where the first fact of a pane without room for a curve ends.
const FIRST_FACT: u16 = 23;

/// Draws a curve of one line beside the first fact, because there is no room above.
fn draw_beside(area: Rect, buffer: &mut Buffer, context: &Context, values: &[u64]) {
    let beside = Rect {
        x: area.x.saturating_add(FIRST_FACT),
        width: area.width.saturating_sub(FIRST_FACT),
        height: area.height.min(1),
        ..area
    };
    curve::draw(
        beside,
        buffer,
        context.charset,
        values,
        context.theme.accent,
    );
}

fn draw_lines(
    area: Rect,
    buffer: &mut Buffer,
    context: &Context,
    lines: &[Line],
    (cursor, empty): (Option<usize>, &str),
) {
    if lines.is_empty() {
        pane::line(
            area.x + 1,
            area.y,
            area.right(),
            buffer,
            empty,
            context.theme.dim,
        );
        return;
    }
    let skip = cursor.map_or(0, |at| (at + 1).saturating_sub(area.height.into()));
    if lines.iter().all(|line| line.bar.is_some()) && cursor.is_none() {
        let bars: Vec<bars::Bar> = lines.iter().filter_map(bar).collect();
        bars::draw(area, buffer, context, &bars);
        return;
    }
    for (place, (row, line)) in pane::rows(area).zip(lines.iter().skip(skip)).enumerate() {
        let is_selected = cursor == Some(skip + place);
        let style = if is_selected {
            context.theme.selected
        } else {
            line.look.style(&context.theme)
        };
        if is_selected {
            let blank = " ".repeat(row.width.into());
            pane::line(row.x, row.y, row.right(), buffer, &blank, style);
        }
        let right = line.right.chars().count() as u16;
        let start = row.right().saturating_sub(right).max(row.x);
        let room = start.saturating_sub(row.x + u16::from(right > 0));
        let left = format::cut(&line.left, room.into(), context.charset.ellipsis());
        pane::line(row.x, row.y, row.right(), buffer, &left, style);
        pane::line(start, row.y, row.right(), buffer, &line.right, style);
    }
}

fn bar(line: &Line) -> Option<bars::Bar> {
    let size = line.bar?;
    Some(bars::Bar {
        name: line.left.clone(),
        size,
        amount: line.right.clone(),
    })
}
