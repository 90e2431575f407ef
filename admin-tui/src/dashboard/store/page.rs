//! Between the lists of the screen and those of the database.

use tollgate_common::db::page::{self, Part, Place, Request, SEARCH};
use tollgate_common::filter::Filter;

use crate::dashboard::format;
use crate::dashboard::widgets::list::{PAGE_ROWS, Page, Start};

/// The part that a list asks for, in the database's words.
pub(super) fn start(start: &Start<Place>) -> page::Start {
    match start {
        Start::First => page::Start::First,
        Start::At(place) => page::Start::At(place.clone()),
        Start::Before(place) => page::Start::Before(place.clone()),
        Start::Last => page::Start::Last,
    }
}

/// One page of a list from here on, with its rows counted.
pub(super) const fn request<'a>(filter: &'a Filter, start: &'a page::Start) -> Request<'a> {
    Request {
        filter,
        start,
        limit: PAGE_ROWS as i64,
        search: SEARCH,
        counted: true,
    }
}

/// A part of the database's list as a page of the screen's.
pub(super) fn page<T, R>(part: Part<T>, row: impl Fn(T, Place) -> R) -> Page<R> {
    let rows = part.rows.into_iter();
    Page {
        rows: rows.map(|listed| row(listed.row, listed.place)).collect(),
        above: usize::try_from(part.above).unwrap_or(0),
        below: part.below,
        count: format::number(part.count),
        note: part
            .searched
            .map(|rows| format!("searched {} rows", format::number(rows)))
            .unwrap_or_default(),
    }
}
