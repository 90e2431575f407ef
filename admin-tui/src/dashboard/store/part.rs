//! Parts of lists: from what the screen asks to what the database reads, and back.

use tollgate_common::clock::Timestamp;
use tollgate_common::db::page::{COUNT_MAX, Listed, Part, Place, Request, SEARCH, Start as Read};
use tollgate_common::filter::{Filter, Vocabulary};

use crate::dashboard::format;
use crate::dashboard::problem::Problem;
use crate::dashboard::widgets::list::{PAGE_ROWS, Page, Start};

/// How many rows one page has, as the database counts.
#[expect(clippy::cast_possible_wrap, reason = "a page has a few hundred rows")]
const ROWS: i64 = PAGE_ROWS as i64;

/// What a screen asks of a list: a filter as it was written, and which part.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Ask {
    /// The filter.
    pub(crate) filter: String,
    /// Which part.
    pub(crate) start: Start<Place>,
    /// How many rows may be looked through for conditions that no index serves.
    pub(crate) search: i64,
}

impl Ask {
    /// This part of a list, with a search of the usual length.
    pub(crate) fn new(filter: impl Into<String>, start: Start<Place>) -> Self {
        Self {
            filter: filter.into(),
            start,
            search: SEARCH,
        }
    }

    /// What it comes to for the database.
    pub(super) fn read(
        &self,
        vocabulary: &'static Vocabulary,
        now: Timestamp,
    ) -> Result<(Filter, Read), Problem> {
        let filter = Filter::parse(vocabulary, &self.filter, now);
        let filter = filter.map_err(|error| Problem::new(error.to_string()))?;
        let start = match self.start.clone() {
            Start::First => Read::First,
            Start::At(place) => Read::At(place),
            Start::Before(place) => Read::Before(place),
            Start::Last => Read::Last,
        };
        Ok((filter, start))
    }

    /// The request for one page.
    pub(super) const fn request<'a>(&self, (filter, start): &'a (Filter, Read)) -> Request<'a> {
        Request {
            filter,
            start,
            limit: ROWS,
            search: self.search,
            counted: true,
        }
    }
}

/// A part as a page of rows.
pub(super) fn page<R, T>(part: Part<R>, row: impl Fn(Listed<R>) -> T) -> Page<T> {
    let is_more = part.count == COUNT_MAX || part.searched.is_some();
    let count = format::number(part.count);
    let note = part.searched.map(|rows| {
        let rows = format::number(rows);
        format!("searched {rows} rows; . searches on")
    });
    Page {
        rows: part.rows.into_iter().map(row).collect(),
        above: usize::try_from(part.above).unwrap_or(0),
        below: part.below,
        count: if is_more { format!("{count}+") } else { count },
        note: note.unwrap_or_default(),
    }
}
