//! How the screen of jobs looks.

use std::time::Duration;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use tollgate_common::clock::Timestamp;

use super::Jobs;
use super::facts;
use super::row::{CallLine, JobRow, call_state};
use crate::dashboard::context::{Class, Context};
use crate::dashboard::format;
use crate::dashboard::store::jobs::Detail;
use crate::dashboard::widgets::facts as facts_widget;
use crate::dashboard::widgets::list::{COUNTED_MAX, List};
use crate::dashboard::widgets::pane::{line, pane, rows};

/// How wide the detail beside the list is.
const DETAIL_WIDTH: u16 = 48;
const DETAIL_WIDTH_WIDE: u16 = 72;

/// Ages of rows are written in seconds up to this age.
const SECONDS_SHOWN: Duration = Duration::from_hours(1);

/// When ages that are shown have grown.
pub(super) fn next_look(list: &List<JobRow>, context: &Context) -> Option<Timestamp> {
    let newest = list.rows().first()?;
    let age = context.now.since(newest.entry.job.created_at);
    let step = if age < SECONDS_SHOWN { 1 } else { 60 };
    Some(context.now.plus(Duration::from_secs(step)))
}

impl Jobs {
    /// Where the list is, marks, what has come in above, how far a search went.
    pub(super) fn status_text(&self) -> String {
        if !self.list.is_loaded() {
            return String::new();
        }
        let mut parts = vec![self.position()];
        if self.list.marked() > 0 {
            parts.push(format!("{} marked", self.list.marked()));
        }
        if self.newer > 0 {
            let newer = format::count(self.newer.min(COUNTED_MAX));
            let more = if self.newer > COUNTED_MAX { "+" } else { "" };
            parts.push(format!("^ {newer}{more} new above (g to follow)"));
        } else if self.reach.is_none() && self.list.is_following() && !self.is_extended {
            parts.push("following".to_owned());
        } else if self.reach.is_none() {
            parts.push("holding still (g to follow)".to_owned());
        }
        parts.extend(self.search_note());
        parts.join("   ")
    }

    /// Where the cursor is among all rows, as far as anybody has counted them.
    fn position(&self) -> String {
        let position = self.list.position();
        let is_part = self.is_extended || self.reach.is_some();
        if self.list.rows().is_empty() || self.list.above() > COUNTED_MAX {
            position
        } else if is_part {
            let found = self.list.above() + self.list.rows().len();
            format!("{position} of {} found", format::count(found))
        } else if self.count.is_empty() {
            position
        } else {
            format!("{position} of {}", self.count)
        }
    }

    /// How far a search went that no index serves.
    fn search_note(&self) -> Option<String> {
        let reach = format::moment(self.reach?);
        Some(if self.is_searching {
            format!("searching, at {reach}")
        } else {
            format!("searched down to {reach}; o goes on")
        })
    }

    /// Draws the list, and the job under the cursor where there is room for it.
    pub(super) fn draw_all(&self, area: Rect, buffer: &mut Buffer, context: &Context) {
        let class = context.class();
        if class < Class::Normal {
            self.draw_list(area, buffer, context);
            return;
        }
        let wanted = if class == Class::Wide {
            DETAIL_WIDTH_WIDE
        } else {
            DETAIL_WIDTH
        };
        let width = wanted.min(area.width / 2);
        let left = Rect {
            width: area.width - width,
            ..area
        };
        let right = Rect {
            x: left.right(),
            width,
            ..area
        };
        let following = if self.list.is_following() {
            "following"
        } else {
            "holding still"
        };
        let title = if self.filter.only("team").is_some() {
            "Jobs (TEAM hidden: constant)"
        } else {
            "Jobs, newest first"
        };
        let inside = pane(left, buffer, context, (title, following), true);
        self.draw_list(inside, buffer, context);
        let height = super::recent::HEIGHT.min(right.height / 3);
        let above = Rect {
            height: right.height - height,
            ..right
        };
        self.draw_detail(above, buffer, context);
        let below = lowered(right, above.height);
        super::recent::draw(below, buffer, context, self.recent.as_deref());
    }

    fn draw_list(&self, area: Rect, buffer: &mut Buffer, context: &Context) {
        let empty = match (&self.reach, self.text.is_empty()) {
            (Some(_), _) => "nothing found so far; o goes on",
            (None, true) => "no jobs yet",
            (None, false) => "no job fits the filter; esc takes it away",
        };
        self.list.draw(area, buffer, context, empty);
        if self.is_outdated && self.list.is_loaded() {
            let area = area.intersection(buffer.area);
            buffer.set_style(area, context.theme.dim);
        }
    }

    fn draw_detail(&self, area: Rect, buffer: &mut Buffer, context: &Context) {
        let id = self.current_id();
        let shown = self.detail.as_ref();
        let shown = shown.filter(|detail| Some(detail.job.entry.job.id) == id);
        match shown {
            Some(detail) => draw_detail(area, buffer, context, detail),
            None => {
                pane(area, buffer, context, ("Detail", ""), false);
            }
        }
    }
}

/// A job, its latest calls and its error.
fn draw_detail(area: Rect, buffer: &mut Buffer, context: &Context, detail: &Detail) {
    let row = &detail.job;
    let (state, _) = super::row::job_state(row.entry.job.state, &context.theme);
    let inside = pane(area, buffer, context, ("Detail", state), false);
    let inside = indented(inside);
    let facts = facts::of_job(row, context);
    facts_widget::draw(inside, buffer, context, &facts, 0);
    let mut below = lowered(inside, facts.len() as u16 + 1);
    if let Some(error) = &row.entry.job.error_message {
        below = draw_text(below, buffer, context, ("ERROR", error));
    }
    let metadata = facts::metadata(row);
    if context.class() == Class::Wide && !metadata.is_empty() && below.height > 2 {
        line(
            below.x,
            below.y,
            below.right(),
            buffer,
            "METADATA",
            context.theme.title,
        );
        let room = lowered(below, 1);
        let few = metadata.len().min(8);
        facts_widget::draw(room, buffer, context, &metadata[..few], 0);
        below = lowered(room, few as u16 + 1);
    }
    draw_calls(below, buffer, context, detail);
}

/// A title and a text below it in as many lines as it needs, four at most; returns what is left.
pub(super) fn draw_text(
    area: Rect,
    buffer: &mut Buffer,
    context: &Context,
    (title, text): (&str, &str),
) -> Rect {
    if area.height < 2 {
        return area;
    }
    line(
        area.x,
        area.y,
        area.right(),
        buffer,
        title,
        context.theme.title,
    );
    let width = usize::from(area.width).max(1);
    let clean = format::cut(text, width.saturating_mul(4), context.charset.ellipsis());
    let characters: Vec<char> = clean.chars().collect();
    let mut left = lowered(area, 1);
    for piece in characters.chunks(width).take(left.height.min(4).into()) {
        let piece: String = piece.iter().collect();
        line(
            left.x,
            left.y,
            left.right(),
            buffer,
            piece.trim(),
            context.theme.bad,
        );
        left = lowered(left, 1);
    }
    lowered(left, 1)
}

fn draw_calls(area: Rect, buffer: &mut Buffer, context: &Context, detail: &Detail) {
    if area.is_empty() {
        return;
    }
    let theme = &context.theme;
    let earlier = match detail.earlier {
        0 => String::new(),
        count => format!("  ({} earlier)", format::number(count)),
    };
    let title = format!("CALLS{earlier}");
    line(area.x, area.y, area.right(), buffer, &title, theme.title);
    let room = lowered(area, 1);
    // The latest calls matter most where not all fit.
    let skip = detail.calls.len().saturating_sub(room.height.into());
    for (row, call) in rows(room).zip(detail.calls.iter().skip(skip)) {
        draw_call(row, buffer, context, call);
    }
}

fn draw_call(area: Rect, buffer: &mut Buffer, context: &Context, call: &CallLine) {
    let theme = &context.theme;
    let (state, style) = call_state(call.entry.call.state, theme);
    let state = call.entry.call.error_kind.as_deref().unwrap_or(state);
    let ellipsis = context.charset.ellipsis();
    let right = format!(
        "{} {:>6}",
        format::cut(state, 16, ellipsis),
        format::millis(call.millis(context.now))
    );
    let width = right.chars().count() as u16;
    let start = area.right().saturating_sub(width).max(area.x);
    let left = format!(
        "{:>3} {}  {}",
        call.number,
        call.entry.call.alias,
        call.served_by()
    );
    let room = usize::from(start.saturating_sub(area.x + 1));
    let left = format::cut(&left, room, ellipsis);
    line(area.x, area.y, start, buffer, &left, theme.text);
    line(start, area.y, area.right(), buffer, &right, style);
}

/// An area without its first column and its last.
pub(super) fn indented(area: Rect) -> Rect {
    Rect {
        x: area.x.saturating_add(1),
        width: area.width.saturating_sub(2),
        ..area
    }
}

/// What is left of an area below some lines.
pub(super) fn lowered(area: Rect, lines: u16) -> Rect {
    let lines = lines.min(area.height);
    Rect {
        y: area.y + lines,
        height: area.height - lines,
        ..area
    }
}
