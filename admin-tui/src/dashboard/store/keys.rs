//! Reads what the screen of keys shows.

use tollgate_common::db::key::{self, KEYS, KeyOrder, ListedKey};
use tollgate_common::db::page::{Listed, Place};
use tollgate_common::id::{KeyId, TeamId};

use super::Source;
use super::part::{self, Ask};
use crate::dashboard::problem::Problem;
use crate::dashboard::widgets::list::Page;

/// What can be asked.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Query {
    /// A part of the list, in this order or in its reverse.
    Page(Ask, KeyOrder, bool),
    /// One key.
    One(KeyId),
}

/// What is answered.
#[derive(Debug)]
pub(crate) enum Answer {
    /// A part of the list.
    Page(Page<KeyRow>),
    /// The key, if it is there.
    One(Option<Box<KeyRow>>),
}

/// A key with its place in the list.
#[derive(Debug, Clone)]
pub(crate) struct KeyRow {
    /// Its place.
    pub(crate) place: Place,
    /// The key.
    pub(crate) listed: ListedKey,
}

impl From<Listed<ListedKey>> for KeyRow {
    fn from(listed: Listed<ListedKey>) -> Self {
        Self {
            place: listed.place,
            listed: listed.row,
        }
    }
}

/// Reads it.
pub(super) async fn load(source: &Source, query: Query) -> Result<super::Answer, Problem> {
    let answer = match query {
        Query::Page(ask, order, reversed) => {
            let read = ask.read(&KEYS, source.now())?;
            let request = ask.request(&read);
            let mut connection = source.pool().acquire().await?;
            let found = key::page(&mut connection, (order, reversed), &request).await?;
            Answer::Page(part::page(found, KeyRow::from))
        }
        Query::One(id) => {
            let found = key::find(source.pool(), &id).await?;
            Answer::One(found.map(|listed| {
                Box::new(KeyRow {
                    place: Place::new(),
                    listed,
                })
            }))
        }
    };
    Ok(super::Answer::Keys(answer))
}

/// The team of a key.
pub(super) async fn team_of(source: &Source, id: &KeyId) -> Result<TeamId, Problem> {
    let found = key::find(source.pool(), id).await?;
    found
        .map(|found| found.key.team_id)
        .ok_or_else(|| Problem::new(format!("key {id} is gone")))
}
