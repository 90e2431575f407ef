//! Reads what the screen of providers shows.

use tollgate_common::command::{Command, ProviderRef};
use tollgate_common::id::CredentialId;
use tollgate_common::secret::Secret;

use super::Source;
use crate::dashboard::change::{Outcome, SealedCommand};
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

/// The command that stores a provider's secret, with the secret sealed.
pub(super) fn sealed(
    _source: &Source,
    _secret: &Secret,
    _command: &SealedCommand,
) -> Result<Command, Problem> {
    Err(Problem::new("not connected"))
}

/// Asks a provider whether it takes its keys.
pub(super) async fn test(
    _source: &Source,
    _provider: &ProviderRef,
    _credential: Option<CredentialId>,
) -> Result<Outcome, Problem> {
    std::future::ready(Err(Problem::new("not connected"))).await
}
