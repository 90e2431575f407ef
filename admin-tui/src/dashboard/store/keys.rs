//! Reads what the screen of keys shows.

use tollgate_common::db::key;
use tollgate_common::id::{KeyId, TeamId};

use super::Source;
use crate::dashboard::problem::Problem;

/// What can be asked.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Query {}

/// What is answered.
#[derive(Debug)]
pub(crate) enum Answer {}

/// Reads it.
pub(super) async fn load(_source: &Source, query: Query) -> Result<super::Answer, Problem> {
    match query {}
}

/// The team of a key.
pub(super) async fn team_of(source: &Source, id: &KeyId) -> Result<TeamId, Problem> {
    let keys = key::list(source.pool()).await?;
    let found = keys.into_iter().find(|key| key.id == *id);
    found
        .map(|key| key.team_id)
        .ok_or_else(|| Problem::new(format!("key {id} is gone")))
}
