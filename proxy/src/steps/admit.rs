//! Counts a call against the limits of its key and its team.

use tollgate_common::clock::Timestamp;
use tollgate_common::limit::Limits;

use super::authenticate::Caller;
use crate::error::ApiError;
use crate::limits::{Grant, LimitStore, Scope, Subject};

/// Takes the call from all limits that apply, or from none.
pub(crate) async fn admit(
    store: &dyn LimitStore,
    caller: &Caller,
    tokens: i64,
    now: Timestamp,
) -> Result<Grant, ApiError> {
    let none = Limits::default();
    if caller.key_limits == none && caller.team.limits == none {
        return Ok(Grant::unlimited());
    }
    let scopes = [
        Scope {
            subject: Subject::Key(caller.key_id.clone()),
            limits: caller.key_limits,
        },
        Scope {
            subject: Subject::Team(caller.team.id.clone()),
            limits: caller.team.limits,
        },
    ];
    store
        .take(&scopes, tokens, now)
        .await
        .map_err(ApiError::RateLimited)
}
