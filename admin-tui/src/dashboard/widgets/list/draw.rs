//! How a list looks.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::{COUNTED_MAX, Cell, List, Row, visible_offset};
use crate::dashboard::charset::Charset;
use crate::dashboard::context::Context;
use crate::dashboard::format;
use crate::dashboard::widgets::columns::{Column, GAP, ONLY_WIDE, fit};
use crate::dashboard::widgets::pane::{line, rows};

/// The sign of the cursor, of a mark, and a space.
const SIGNS: u16 = 3;

impl<R: Row> List<R> {
    /// Draws headings and the rows around the cursor; `empty` stands in for no rows.
    pub(crate) fn draw(&self, area: Rect, buffer: &mut Buffer, context: &Context, empty: &str) {
        if area.height < 2 || area.width <= SIGNS {
            return;
        }
        let columns = self.columns(area.width - SIGNS);
        let mut lines = rows(area);
        if let Some(heading) = lines.next() {
            draw_headings::<R>(heading, buffer, context, &columns);
        }
        let height = usize::from(area.height) - 1;
        self.height.set(height);
        if self.page.rows.is_empty() {
            let text = if self.loaded { empty } else { "loading" };
            let text = format::cut(text, area.width.into(), context.charset.ellipsis());
            line(
                area.x + SIGNS,
                area.y + 1,
                area.right(),
                buffer,
                &text,
                context.theme.dim,
            );
            return;
        }
        let offset = visible_offset(self.offset, self.place, height);
        let shown = self.page.rows.iter().enumerate().skip(offset);
        for (row, (place, item)) in lines.zip(shown) {
            let selected = place == self.place;
            let marked = self.marks.contains(&item.id());
            draw_row(row, buffer, context, &columns, (item, selected, marked));
        }
    }

    fn columns(&self, room: u16) -> Vec<(usize, u16)> {
        let shown = |index: &usize| {
            let column = &R::COLUMNS[*index];
            let is_asked_for = self.wide || column.rank < ONLY_WIDE;
            is_asked_for && !self.hidden.contains(&column.title)
        };
        let places: Vec<usize> = (0..R::COLUMNS.len()).filter(shown).collect();
        let columns: Vec<Column> = places.iter().map(|&index| R::COLUMNS[index]).collect();
        let fitted = fit(&columns, room).into_iter();
        fitted
            .map(|(index, width)| (places[index], width))
            .collect()
    }

    /// Where the rows are among all, for a title: `1-17 of 10,000+`.
    pub(crate) fn position(&self) -> String {
        let total = &self.page.count;
        if !self.loaded {
            return String::new();
        }
        if self.page.rows.is_empty() {
            return "none".to_owned();
        }
        if self.page.above > COUNTED_MAX {
            return format!("beyond row {}", format::count(COUNTED_MAX));
        }
        let first = self.page.above + self.place + 1;
        if total.is_empty() {
            format!("row {}", format::count(first))
        } else {
            format!("row {} of {total}", format::count(first))
        }
    }

    /// What a status line says of the list: where it is, marks, and what has come in above.
    pub(crate) fn status(&self) -> String {
        let mut parts = vec![self.position()];
        if !self.marks.is_empty() {
            parts.push(format!("{} marked", self.marks.len()));
        }
        if self.page.above > 0 {
            parts.push(format!("{} above (g to follow)", self.page.above));
        } else if self.is_following() && self.loaded {
            parts.push("following".to_owned());
        }
        if !self.page.note.is_empty() {
            parts.push(self.page.note.clone());
        }
        parts.retain(|part| !part.is_empty());
        parts.join("   ")
    }
}

fn draw_row<R: Row>(
    area: Rect,
    buffer: &mut Buffer,
    context: &Context,
    columns: &[(usize, u16)],
    (item, selected, marked): (&R, bool, bool),
) {
    let mark = if marked { "*" } else { " " };
    let cursor = if selected { ">" } else { " " };
    let theme = &context.theme;
    line(area.x, area.y, area.right(), buffer, cursor, theme.accent);
    line(area.x + 1, area.y, area.right(), buffer, mark, theme.warn);
    let cells = item.cells(context);
    let mut x = area.x + SIGNS;
    for (index, width) in columns {
        if let Some(cell) = cells.get(*index) {
            let right = R::COLUMNS[*index].right;
            let text = aligned(cell, *width, right, context.charset);
            line(x, area.y, area.right(), buffer, &text, cell.style);
        }
        x += width + GAP;
    }
    if selected {
        buffer.set_style(area, theme.selected);
    }
}

fn draw_headings<R: Row>(
    area: Rect,
    buffer: &mut Buffer,
    context: &Context,
    columns: &[(usize, u16)],
) {
    let mut x = area.x + SIGNS;
    for (index, width) in columns {
        let column = R::COLUMNS[*index];
        let heading = Cell {
            text: column.title.to_owned(),
            style: Style::new(),
        };
        let text = aligned(&heading, *width, column.right, context.charset);
        line(x, area.y, area.right(), buffer, &text, context.theme.title);
        x += width + GAP;
    }
}

fn aligned(cell: &Cell, width: u16, right: bool, charset: Charset) -> String {
    let width = usize::from(width);
    let text = format::cut(&cell.text, width, charset.ellipsis());
    if right {
        format!("{text:>width$}")
    } else {
        text
    }
}
