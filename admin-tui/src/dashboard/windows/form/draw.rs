//! How a form looks.

use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};

use super::{Entry, Form, Input, Values};
use crate::dashboard::context::Context;
use crate::dashboard::format;
use crate::dashboard::widgets::facts;
use crate::dashboard::widgets::pane::{line, rows};
use crate::dashboard::windows::framed;

const WIDTH: u16 = 76;

impl Form {
    pub(super) fn draw_in(
        &self,
        area: Rect,
        buffer: &mut Buffer,
        context: &Context,
    ) -> Option<Position> {
        match &self.review {
            Some((lines, change)) => {
                let title = format!("{}: review", self.title);
                let size = (WIDTH, lines.len() as u16 + 6);
                let inside = framed(area, buffer, context, (&title, ""), size);
                facts::draw(inside, buffer, context, lines, 0);
                let text = if change.is_some() {
                    "y writes it; esc goes back to the form"
                } else {
                    "writing"
                };
                self.draw_foot(inside, buffer, context, text);
                None
            }
            None => self.draw_fields(area, buffer, context),
        }
    }

    fn draw_fields(&self, area: Rect, buffer: &mut Buffer, context: &Context) -> Option<Position> {
        let preview = self.preview.as_ref();
        let preview = preview.map(|preview| preview(Values(&self.entries), context));
        let preview = preview.unwrap_or_default();
        let height = (self.entries.len() + preview.len()) as u16 + 6;
        let inside = framed(area, buffer, context, (&self.title, ""), (WIDTH, height));
        let fields = inside
            .height
            .saturating_sub(3)
            .min(self.entries.len() as u16);
        let skip = (self.place + 1).saturating_sub(fields.into());
        let label_width = self.entries.iter().map(|e| e.label.chars().count()).max();
        let label_width = label_width.unwrap_or(0) as u16 + 2;
        let room = Rect {
            height: fields,
            ..inside
        };
        let mut cursor = None;
        for (row, (place, entry)) in rows(room).zip(self.entries.iter().enumerate().skip(skip)) {
            let focused = place == self.place;
            let at = draw_entry(row, buffer, context, entry, (label_width, focused));
            cursor = cursor.or(at.filter(|_| focused));
        }
        let below = Rect {
            y: room.bottom() + 1,
            height: inside.bottom().saturating_sub(room.bottom() + 3),
            ..inside
        };
        facts::draw(below, buffer, context, &preview, 0);
        self.draw_foot(
            inside,
            buffer,
            context,
            "ctrl-s reviews; nothing is written yet",
        );
        cursor
    }

    fn draw_foot(&self, inside: Rect, buffer: &mut Buffer, context: &Context, text: &str) {
        let (text, style) = match &self.error {
            Some(error) => (error.as_str(), context.theme.bad),
            None => (text, context.theme.dim),
        };
        let text = format::cut(text, inside.width.into(), context.charset.ellipsis());
        let y = inside.bottom().saturating_sub(1);
        line(inside.x, y, inside.right(), buffer, &text, style);
    }
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
    let start =
        line(row.x, row.y, row.right(), buffer, entry.label, label_style).max(row.x + label_width);
    let note = entry.error.as_deref().unwrap_or(entry.hint);
    let note_style = match entry.error {
        Some(_) => theme.bad,
        None => theme.dim,
    };
    let note_room = row.right().saturating_sub(start) / 2;
    let note = format::cut(note, note_room.into(), context.charset.ellipsis());
    let note_width = note.chars().count() as u16;
    let room = Rect {
        x: start,
        width: row.right().saturating_sub(start + note_width + 2),
        ..row
    };
    let note_at = row.right().saturating_sub(note_width);
    line(note_at, row.y, row.right(), buffer, &note, note_style);
    match &entry.input {
        Input::Line(field) => Some(field.draw(room, buffer, context)),
        Input::One { options, chosen } => {
            let chosen = *chosen;
            let words = options.iter().enumerate();
            draw_options(
                room,
                buffer,
                context,
                words.map(|(i, word)| (word, i == chosen)),
            );
            focused.then_some(Position {
                x: room.x,
                y: row.y,
            })
        }
        Input::Many { options, place } => {
            let words = options.iter().map(|(word, on)| (word, *on));
            draw_options(room, buffer, context, words.skip(*place));
            focused.then_some(Position {
                x: room.x,
                y: row.y,
            })
        }
    }
}

fn draw_options<'a>(
    room: Rect,
    buffer: &mut Buffer,
    context: &Context,
    options: impl Iterator<Item = (&'a String, bool)>,
) {
    let mut x = room.x;
    for (word, on) in options {
        let sign = if on { "[x] " } else { "[ ] " };
        let style = if on {
            context.theme.title
        } else {
            context.theme.text
        };
        x = line(x, room.y, room.right(), buffer, sign, style);
        x = line(x, room.y, room.right(), buffer, word, style) + 2;
        if x >= room.right() {
            return;
        }
    }
}
