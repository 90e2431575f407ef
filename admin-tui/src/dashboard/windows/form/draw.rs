//! How a form looks: one line a field, and what is wrong with a field below it.

use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use ratatui::style::Style;
use unicode_width::UnicodeWidthStr as _;

use super::{Entry, Form, Input, Values, Written};
use crate::dashboard::context::Context;
use crate::dashboard::format;
use crate::dashboard::widgets::facts;
use crate::dashboard::widgets::pane::line;
use crate::dashboard::windows::{framed, scrolled};

const WIDTH: u16 = 76;

/// Below the fields: a space and the foot; around them: the frame.
const AROUND: u16 = 4;

impl Form {
    pub(super) fn draw_in(
        &self,
        area: Rect,
        buffer: &mut Buffer,
        context: &Context,
    ) -> Option<Position> {
        match &self.review {
            Some(review) => {
                self.draw_review(area, buffer, context, review);
                None
            }
            None => self.draw_fields(area, buffer, context),
        }
    }

    fn draw_review(&self, area: Rect, buffer: &mut Buffer, context: &Context, review: &Written) {
        let title = format!("{}: review", self.title);
        let count = review.facts.len();
        let room = area.height.saturating_sub(AROUND).min(count as u16);
        let skip = review.skip.min(count.saturating_sub(room.into()));
        let remark = scrolled((skip, room.into(), count));
        let size = (WIDTH, room + AROUND);
        let inside = framed(area, buffer, context, (&title, remark), size);
        let lines = Rect {
            height: room.min(inside.height),
            ..inside
        };
        facts::draw(lines, buffer, context, &review.facts, skip);
        let text = if review.change.is_some() {
            "y writes it; esc goes back to the form"
        } else {
            "writing"
        };
        self.draw_foot(inside, buffer, context, text);
    }

    fn draw_fields(&self, area: Rect, buffer: &mut Buffer, context: &Context) -> Option<Position> {
        let preview = self.preview.as_ref();
        let preview = preview.map(|preview| preview(Values(&self.entries), context));
        let mut preview = preview.unwrap_or_default();
        preview.extend_from_slice(self.looked_up());
        let below = (preview.len() + usize::from(!preview.is_empty())) as u16;
        let width = usize::from(WIDTH.min(area.width)).saturating_sub(4);
        let lines = self.lines(width);
        let room = area.height.saturating_sub(AROUND + below).max(1);
        let fields = room.min(lines.len() as u16);
        let skip = self.first_line(&lines, fields.into());
        let remark = scrolled((skip, fields.into(), lines.len()));
        let size = (WIDTH, fields + below + AROUND);
        let inside = framed(area, buffer, context, (&self.title, remark), size);
        let mut cursor = None;
        for (place, shown) in lines.iter().skip(skip).take(fields.into()).enumerate() {
            let row = Rect {
                y: inside.y + place as u16,
                height: 1,
                ..inside
            };
            let at = self.draw_line(row.intersection(inside), buffer, context, shown);
            cursor = cursor.or(at);
        }
        let under = Rect {
            y: inside.y + fields + 1,
            height: preview.len() as u16,
            ..inside
        };
        facts::draw(under.intersection(inside), buffer, context, &preview, 0);
        let foot = "ctrl-s reviews; nothing is written yet";
        self.draw_foot(inside, buffer, context, foot);
        cursor
    }

    /// The lines of all fields: each field, and below it what is wrong with it.
    fn lines(&self, width: usize) -> Vec<Shown> {
        let mut lines = Vec::new();
        for (place, entry) in self.entries.iter().enumerate() {
            lines.push(Shown { place, error: None });
            let wrong = entry.error.as_deref().unwrap_or_default();
            let pieces = wrapped(wrong, width.saturating_sub(INDENT.into())).into_iter();
            lines.extend(pieces.map(|piece| Shown {
                place,
                error: Some(piece),
            }));
        }
        lines
    }

    /// The first line to show, so that the field with the cursor is seen with its error.
    fn first_line(&self, lines: &[Shown], room: usize) -> usize {
        let of_field = |line: &Shown| line.place == self.place;
        let first = lines.iter().position(of_field).unwrap_or(0);
        let last = lines.iter().rposition(of_field).unwrap_or(0);
        let skip = self.skip.get();
        let skip = skip.max((last + 1).saturating_sub(room)).min(first);
        let skip = skip.min(lines.len().saturating_sub(room));
        self.skip.set(skip);
        skip
    }

    fn draw_line(
        &self,
        row: Rect,
        buffer: &mut Buffer,
        context: &Context,
        shown: &Shown,
    ) -> Option<Position> {
        let entry = self.entries.get(shown.place)?;
        let focused = shown.place == self.place;
        if let Some(why) = &shown.error {
            let start = row.x + INDENT;
            line(start, row.y, row.right(), buffer, why, context.theme.bad);
            return None;
        }
        let widths = self.entries.iter().map(|entry| entry.label.width());
        let label_width = (widths.max().unwrap_or(0) as u16 + 2).min(row.width / 2);
        let at = draw_entry(row, buffer, context, entry, (label_width, focused));
        at.filter(|_| focused)
    }

    fn draw_foot(&self, inside: Rect, buffer: &mut Buffer, context: &Context, text: &str) {
        let (text, style) = match &self.error {
            Some(error) => (error.as_str(), context.theme.bad),
            None => (text, context.theme.dim),
        };
        // What is wrong may need the empty line above too.
        let mut pieces = wrapped(text, inside.width.into());
        pieces.truncate(2);
        let bottom = inside.bottom();
        for (y, piece) in (inside.y..bottom).rev().zip(pieces.iter().rev()) {
            line(inside.x, y, inside.right(), buffer, piece, style);
        }
    }
}

/// How far to the right an error below a field begins.
const INDENT: u16 = 2;

/// A text in lines of at most so many columns, cut between words.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(last) if last.width() + 1 + word.width() <= width => {
                last.push(' ');
                last.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// A line of a form: a field by its place, or a piece of what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Shown {
    place: usize,
    error: Option<String>,
}

fn draw_entry(
    row: Rect,
    buffer: &mut Buffer,
    context: &Context,
    entry: &Entry,
    (label_width, focused): (u16, bool),
) -> Option<Position> {
    let theme = &context.theme;
    let label_style = if focused { theme.focus } else { theme.dim };
    let start = row.x + label_width;
    let label = format::cut(
        entry.label,
        label_width.saturating_sub(1).into(),
        context.charset.ellipsis(),
    );
    line(row.x, row.y, row.right(), buffer, &label, label_style);
    let room = Rect {
        x: start,
        width: row.right().saturating_sub(start),
        ..row
    };
    let room = draw_hint(room, buffer, context, entry.hint);
    match &entry.input {
        Input::Line(field) => Some(field.draw(room, buffer, context)),
        Input::One { options, chosen } => {
            let words = options.iter().enumerate();
            let words: Vec<(&str, bool)> = words
                .map(|(place, word)| (word.as_str(), place == *chosen))
                .collect();
            if needed(&words) > usize::from(room.width) {
                let word = options.get(*chosen).map_or("", String::as_str);
                let text = format!("< {word} >  {}/{}", chosen + 1, options.len());
                line(room.x, room.y, room.right(), buffer, &text, theme.title);
            } else {
                draw_words(room, buffer, context, &words, (*chosen, focused));
            }
            at_start(room, focused)
        }
        Input::Many { options, .. } if options.is_empty() => {
            line(
                room.x,
                room.y,
                room.right(),
                buffer,
                "there are none",
                theme.dim,
            );
            at_start(room, focused)
        }
        Input::Many { options, place } => {
            let words: Vec<(&str, bool)> = options
                .iter()
                .map(|(word, on)| (word.as_str(), *on))
                .collect();
            draw_words(room, buffer, context, &words, (*place, focused));
            at_start(room, focused)
        }
    }
}

/// Draws what stands beside a field; returns the room that is left for the field.
fn draw_hint(area: Rect, buffer: &mut Buffer, context: &Context, hint: &str) -> Rect {
    let room = usize::from(area.width / 2);
    let hint = format::cut(hint, room, context.charset.ellipsis());
    let width = hint.width() as u16;
    let at = area.right().saturating_sub(width);
    line(at, area.y, area.right(), buffer, &hint, context.theme.dim);
    let gap = if width == 0 { 0 } else { width + 2 };
    Rect {
        width: area.width.saturating_sub(gap),
        ..area
    }
}

fn at_start(room: Rect, focused: bool) -> Option<Position> {
    let at = Position {
        x: room.x,
        y: room.y,
    };
    focused.then_some(at)
}

/// The columns that words with their boxes take.
fn needed(words: &[(&str, bool)]) -> usize {
    let widths = words.iter().map(|(word, _)| word.width() + 6);
    widths.sum::<usize>().saturating_sub(2)
}

/// Words with their boxes. If not all fit, those from the cursor on, and how many there are.
fn draw_words(
    room: Rect,
    buffer: &mut Buffer,
    context: &Context,
    words: &[(&str, bool)],
    (place, focused): (usize, bool),
) {
    let theme = &context.theme;
    let fits = needed(words) <= usize::from(room.width);
    let count = format!(" {}/{}", place + 1, words.len());
    let end = if fits {
        room.right()
    } else {
        let at = room.right().saturating_sub(count.width() as u16);
        line(at, room.y, room.right(), buffer, &count, theme.dim);
        at
    };
    let skip = if fits { 0 } else { place };
    let mut x = room.x;
    for (index, (word, on)) in words.iter().enumerate().skip(skip) {
        let sign = if *on { "[x] " } else { "[ ] " };
        let style = match (focused && index == place, on) {
            (true, _) => theme.selected,
            (false, true) => theme.title,
            (false, false) => theme.text,
        };
        x = line(x, room.y, end, buffer, sign, Style::new());
        x = line(x, room.y, end, buffer, word, style) + 2;
        if x >= end {
            return;
        }
    }
}
