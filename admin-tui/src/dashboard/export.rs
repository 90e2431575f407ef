//! Rows of a screen as a file.

use crate::dashboard::change::Outcome;
use crate::dashboard::problem::Problem;
use crate::dashboard::store::Source;

/// What is written into a file of comma-separated values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Export {
    /// What: `jobs`, `teams`, `keys`, `entries`, `audit`.
    pub(crate) noun: &'static str,
    /// The filter in effect.
    pub(crate) filter: String,
    /// The name of the file without its folder.
    pub(crate) file_name: String,
}

/// Writes all rows into a new file.
pub(crate) async fn write(_source: &Source, _export: &Export) -> Result<Outcome, Problem> {
    std::future::ready(Err(Problem::new("exports are not connected"))).await
}
