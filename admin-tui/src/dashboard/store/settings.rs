//! Reads what the screen of settings shows.

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
