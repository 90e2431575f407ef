//! Lists that are read part by part and printed as a whole.

use tollgate_common::clock::Timestamp;
use tollgate_common::db::StoreError;
use tollgate_common::db::page::{Part, Request, Start};
use tollgate_common::filter::{Filter, Vocabulary};

use super::error::Failure;

/// How many rows are read at a time.
const ROWS: i64 = 1_000;

/// Reads a filter of the command line.
pub(super) fn filter(
    vocabulary: &'static Vocabulary,
    text: &str,
    now: Timestamp,
) -> Result<Filter, Failure> {
    let filter = Filter::parse(vocabulary, text, now);
    filter.map_err(|error| Failure::Usage(format!("--filter: {error}")))
}

/// Reads every row that the filter lets through.
pub(super) async fn row<R>(
    filter: &Filter,
    mut page: impl AsyncFnMut(&Request<'_>) -> Result<Part<R>, StoreError>,
) -> Result<Vec<R>, Failure> {
    let mut rows = Vec::new();
    let mut start = Start::First;
    loop {
        let request = Request {
            filter,
            start: &start,
            limit: ROWS,
            search: i64::MAX,
            counted: false,
        };
        let part = page(&request).await?;
        let last = part.rows.last().map(|listed| listed.place.clone());
        rows.extend(part.rows.into_iter().map(|listed| listed.row));
        match last {
            Some(place) if part.below => start = Start::After(place),
            _ => return Ok(rows),
        }
    }
}
