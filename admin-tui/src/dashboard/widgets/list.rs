//! A list that shows a window of a table which may be of any size: rows around the cursor, never
//! the whole. The cursor and the marks hold on to ids, so rows may come and go under them.

use std::cell::Cell as Shared;
use std::collections::BTreeSet;
use std::fmt;

use ratatui::style::Style;

use super::columns::Column;
use crate::dashboard::context::Context;
use crate::dashboard::keys::Action;

mod draw;
#[cfg(test)]
mod tests;

/// What one cell shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cell {
    /// The text.
    pub(crate) text: String,
    /// How it looks.
    pub(crate) style: Style,
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self {
            text: text.into(),
            style: Style::new(),
        }
    }
}

/// A cell in a style of its own.
pub(crate) fn cell(text: impl Into<String>, style: Style) -> Cell {
    Cell {
        text: text.into(),
        style,
    }
}

/// What stands in a list.
pub(crate) trait Row: Clone + fmt::Debug + Send + 'static {
    /// Its place in the order, from which a page can be asked for.
    type Cursor: Clone + fmt::Debug + PartialEq + Send;

    /// The list's columns.
    const COLUMNS: &'static [Column];

    /// Its place in the order.
    fn cursor(&self) -> Self::Cursor;

    /// What tells it apart.
    fn id(&self) -> String;

    /// One cell a column.
    fn cells(&self, context: &Context) -> Vec<Cell>;

    /// All of it, for a copy.
    fn json(&self) -> serde_json::Value;
}

/// Which part of a table is asked for, in the order in which it is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Start<C> {
    /// The first rows.
    First,
    /// This row and those after it.
    At(C),
    /// The rows just before this one.
    Before(C),
    /// The last rows.
    Last,
}

/// A part of a table.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Page<R> {
    /// The rows.
    pub(crate) rows: Vec<R>,
    /// How many rows there are before them; may be cut off at some number.
    pub(crate) above: usize,
    /// Whether there are rows after them.
    pub(crate) below: bool,
    /// How many rows there are in all, as text; empty if nobody counted.
    pub(crate) count: String,
    /// What else there is to say, as how far a search went.
    pub(crate) note: String,
}

impl<R> Page<R> {
    /// A table that was read as a whole.
    pub(crate) fn whole(rows: Vec<R>) -> Self {
        Self {
            count: rows.len().to_string(),
            rows,
            above: 0,
            below: false,
            note: String::new(),
        }
    }
}

/// How many rows one page has.
pub(crate) const PAGE_ROWS: usize = 200;

/// Rows before a page are counted up to this many; then nobody knows the number of a row.
pub(crate) const COUNTED_MAX: usize = 10_000;

/// The state of a list.
#[derive(Debug, Clone)]
pub(crate) struct List<R: Row> {
    page: Page<R>,
    loaded: bool,
    selected: Option<String>,
    /// The place of the cursor, by which it finds a neighbour when its row is gone.
    place: usize,
    offset: usize,
    marks: BTreeSet<String>,
    last_mark: Option<String>,
    wide: bool,
    /// Titles of columns that are not shown, as they would say the same in each row.
    hidden: &'static [&'static str],
    /// The asked part, so that a refresh asks for the same.
    start: Start<R::Cursor>,
    /// How many rows the last drawing had room for: moving by pages needs it.
    height: Shared<usize>,
}

impl<R: Row> Default for List<R> {
    fn default() -> Self {
        Self {
            page: Page::whole(Vec::new()),
            loaded: false,
            selected: None,
            place: 0,
            offset: 0,
            marks: BTreeSet::new(),
            last_mark: None,
            wide: false,
            hidden: &[],
            start: Start::First,
            height: Shared::new(20),
        }
    }
}

impl<R: Row> List<R> {
    /// The part to ask for now.
    pub(crate) fn start(&self) -> Start<R::Cursor> {
        self.start.clone()
    }

    /// Whether anything has arrived yet.
    pub(crate) const fn is_loaded(&self) -> bool {
        self.loaded
    }

    /// The rows at hand.
    pub(crate) fn rows(&self) -> &[R] {
        &self.page.rows
    }

    /// What the page had to say beside its rows.
    pub(crate) fn note(&self) -> &str {
        &self.page.note
    }

    /// The row under the cursor.
    pub(crate) fn current(&self) -> Option<&R> {
        self.page.rows.get(self.place)
    }

    /// The marked rows that are at hand, else the row under the cursor.
    pub(crate) fn targets(&self) -> Vec<&R> {
        if self.marks.is_empty() {
            return self.current().into_iter().collect();
        }
        let marked = |row: &&R| self.marks.contains(&row.id());
        self.page.rows.iter().filter(marked).collect()
    }

    /// The ids of marked rows, at hand or not.
    pub(crate) fn marked_ids(&self) -> impl Iterator<Item = &str> {
        self.marks.iter().map(String::as_str)
    }

    /// Takes the marks of these ids away.
    pub(crate) fn unmark(&mut self, ids: impl IntoIterator<Item = String>) {
        for id in ids {
            self.marks.remove(&id);
        }
    }

    /// Leaves columns out, by their titles, as a filter makes them say the same in each row.
    pub(crate) fn hide(&mut self, titles: &'static [&'static str]) {
        self.hidden = titles;
    }

    /// How many rows there are before those at hand; counted up to [`COUNTED_MAX`].
    pub(crate) const fn above(&self) -> usize {
        self.page.above
    }

    /// Takes rows as they are now in the place of those with their ids; no row comes or goes.
    pub(crate) fn renew(&mut self, rows: Vec<R>) {
        for row in rows {
            let id = row.id();
            if let Some(known) = self.page.rows.iter_mut().find(|known| known.id() == id) {
                *known = row;
            }
        }
    }

    /// Takes further rows that a search has found below those at hand, as many as a page holds.
    pub(crate) fn extend(&mut self, rows: Vec<R>) {
        let room = PAGE_ROWS.saturating_sub(self.page.rows.len());
        self.page.below |= rows.len() > room;
        self.page.rows.extend(rows.into_iter().take(room));
        self.hold();
    }

    /// How many rows are marked.
    pub(crate) fn marked(&self) -> usize {
        self.marks.len()
    }

    /// Begins anew at the top, as after another filter; what is shown stays until rows arrive.
    pub(crate) fn restart(&mut self) {
        self.start = Start::First;
        self.selected = None;
        self.place = 0;
        self.offset = 0;
        self.marks.clear();
        self.last_mark = None;
    }

    /// Begins anew at a row.
    pub(crate) fn restart_at(&mut self, cursor: R::Cursor) {
        self.restart();
        self.start = Start::At(cursor);
    }

    /// Whether the list shows its first rows and the cursor is on the first of them.
    pub(crate) fn is_following(&self) -> bool {
        self.start == Start::First && self.place == 0
    }

    /// Takes a page that has arrived.
    pub(crate) fn receive(&mut self, page: Page<R>) {
        let followed = self.is_following();
        match (&self.start, page.rows.first(), page.rows.last()) {
            (Start::Before(_) | Start::Last, Some(first), _) => {
                self.start = if page.above == 0 {
                    Start::First
                } else {
                    Start::At(first.cursor())
                };
            }
            (Start::Before(_) | Start::Last, None, _) => self.start = Start::First,
            _ => {}
        }
        let kept = self.selected.take();
        let found = kept
            .as_ref()
            .and_then(|id| page.rows.iter().position(|row| row.id() == *id));
        let before = self.place;
        self.page = page;
        self.loaded = true;
        self.place = match found {
            Some(place) if !followed => place,
            _ if followed => 0,
            _ => before,
        };
        self.place = self.place.min(self.page.rows.len().saturating_sub(1));
        // Below the top the rows are held, or so many could come in that the cursor's row is lost.
        if self.start == Start::First
            && self.place > 0
            && let Some(first) = self.page.rows.first()
        {
            self.start = Start::At(first.cursor());
        }
        // The same row stays on the same line of the screen.
        self.offset = (self.offset + self.place).saturating_sub(before);
        self.hold();
    }

    fn hold(&mut self) {
        self.selected = self.current().map(Row::id);
        self.reveal();
    }

    fn reveal(&mut self) {
        self.offset = visible_offset(self.offset, self.place, self.height.get());
    }

    /// Does what an action asks of a list. Says whether another page is needed, or `None` if the
    /// action is none of a list's.
    pub(crate) fn act(&mut self, action: Action) -> Option<bool> {
        let page = isize::try_from(self.height.get()).unwrap_or(isize::MAX);
        let page = page.max(2) - 1;
        let half = (page + 1) / 2;
        match action {
            Action::Down => Some(self.move_by(1)),
            Action::Up => Some(self.move_by(-1)),
            Action::HalfDown => Some(self.move_by(half)),
            Action::HalfUp => Some(self.move_by(-half)),
            Action::PageDown => Some(self.move_by(page)),
            Action::PageUp => Some(self.move_by(-page)),
            Action::Top => Some(self.jump_to_top()),
            Action::Bottom => Some(self.jump_to_bottom()),
            Action::Mark => {
                self.mark();
                Some(self.move_by(1))
            }
            Action::MarkRange => {
                self.mark_range();
                Some(false)
            }
            Action::ClearMarks => {
                self.marks.clear();
                self.last_mark = None;
                Some(false)
            }
            Action::Wide => {
                self.wide = !self.wide;
                Some(false)
            }
            _ => None,
        }
    }

    fn move_by(&mut self, rows: isize) -> bool {
        let last = self.page.rows.len().saturating_sub(1);
        let wanted = self.place.saturating_add_signed(rows);
        let beyond_top = rows < 0 && self.place < rows.unsigned_abs();
        self.place = wanted.min(last);
        // One step down from the top holds the rows that are there.
        if self.start == Start::First
            && self.place > 0
            && let Some(first) = self.page.rows.first()
        {
            self.start = Start::At(first.cursor());
        }
        self.hold();
        if rows > 0 && self.page.below && wanted + self.height.get() > last {
            return self.move_window_down();
        }
        if rows < 0 && self.page.above > 0 && (beyond_top || self.place < self.height.get()) {
            return self.move_window_up();
        }
        if self.place == 0 && self.page.above == 0 {
            self.start = Start::First;
        }
        false
    }

    /// Asks for the rows around the cursor and those after them.
    fn move_window_down(&mut self) -> bool {
        let start = self.place.saturating_sub(PAGE_ROWS / 2);
        let Some(row) = self.page.rows.get(start) else {
            return false;
        };
        self.start = Start::At(row.cursor());
        start > 0
    }

    /// Asks for the rows before those around the cursor, which stay within the page.
    fn move_window_up(&mut self) -> bool {
        let last = self.page.rows.len().saturating_sub(1);
        let end = (self.place + PAGE_ROWS / 2).min(last);
        let Some(row) = self.page.rows.get(end) else {
            return false;
        };
        self.start = Start::Before(row.cursor());
        true
    }

    fn jump_to_top(&mut self) -> bool {
        let known = self.page.above == 0;
        self.start = Start::First;
        self.place = 0;
        self.offset = 0;
        self.selected = None;
        if known {
            self.hold();
        }
        !known
    }

    fn jump_to_bottom(&mut self) -> bool {
        self.place = self.page.rows.len().saturating_sub(1);
        let more = self.page.below;
        if more {
            self.start = Start::Last;
            self.selected = None;
            self.place = PAGE_ROWS;
        } else {
            self.move_by(0);
        }
        self.reveal();
        more
    }

    fn mark(&mut self) {
        let Some(id) = self.current().map(Row::id) else {
            return;
        };
        if !self.marks.remove(&id) {
            self.marks.insert(id.clone());
            self.last_mark = Some(id);
        }
    }

    fn mark_range(&mut self) {
        let rows = &self.page.rows;
        let other = self
            .last_mark
            .as_ref()
            .and_then(|id| rows.iter().position(|row| row.id() == *id))
            .unwrap_or(self.place);
        let range = self.place.min(other)..=self.place.max(other);
        let ids = rows.get(range).unwrap_or_default().iter().map(Row::id);
        self.marks.extend(ids);
        self.last_mark = self.current().map(Row::id);
    }
}

/// The first row to show, so that the cursor is among those that fit.
const fn visible_offset(offset: usize, place: usize, height: usize) -> usize {
    if place < offset {
        place
    } else if height > 0 && place >= offset + height {
        place + 1 - height
    } else {
        offset
    }
}
