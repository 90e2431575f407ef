//! Who is asking, and whether they may work now. Decided from memory, without the database.

use std::sync::Arc;

use http::{HeaderMap, header};
use tollgate_common::clock::Timestamp;
use tollgate_common::id::KeyId;
use tollgate_common::limit::Limits;
use tollgate_common::standing::Standing;
use tollgate_common::team::Team;

use crate::error::ApiError;
use crate::policy_cache::Snapshot;

/// An authenticated caller.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    /// The policy as it was when the request came; the whole request sees this one.
    pub(crate) snapshot: Arc<Snapshot>,
    /// The caller's team.
    pub(crate) team: Arc<Team>,
    /// The public part of the caller's key.
    pub(crate) key_id: KeyId,
    /// What the key itself may ask for.
    pub(crate) key_limits: Limits,
}

/// Finds the caller by the request's key: a bearer, or one of the headers in which other providers'
/// clients send theirs.
pub(crate) fn authenticate(
    snapshot: Arc<Snapshot>,
    headers: &HeaderMap,
    now: Timestamp,
) -> Result<Caller, ApiError> {
    let presented = match own_header_key(headers) {
        Some(key) => key,
        None => bearer_key(headers)?,
    };
    let (key, team) = snapshot
        .policy
        .authenticate(presented, now)
        .ok_or(ApiError::UnknownKey)?;
    let (key_id, key_limits, team) = (key.id.clone(), key.limits, team.clone());
    Ok(Caller {
        snapshot,
        team,
        key_id,
        key_limits,
    })
}

/// The key in the header of Anthropic's or Azure's clients, unless there is a bearer too.
fn own_header_key(headers: &HeaderMap) -> Option<&str> {
    if headers.contains_key(header::AUTHORIZATION) {
        return None;
    }
    let value = headers
        .get("x-api-key")
        .or_else(|| headers.get("api-key"))?;
    value.to_str().ok()
}

/// `Bearer` in any case, then exactly one word.
fn bearer_key(headers: &HeaderMap) -> Result<&str, ApiError> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let value = values.next().ok_or(ApiError::MissingAuthorization)?;
    let text = value
        .to_str()
        .map_err(|_| ApiError::MalformedAuthorization)?;
    let mut words = text.split_ascii_whitespace();
    match (values.next(), words.next(), words.next(), words.next()) {
        (None, Some(scheme), Some(key), None) if scheme.eq_ignore_ascii_case("bearer") => Ok(key),
        _ => Err(ApiError::MalformedAuthorization),
    }
}

impl Caller {
    /// The key in whose scope an `Idempotency-Key` is: a key that replaces another one by rotation
    /// goes on where that one was.
    pub(crate) fn first_key_id(&self) -> &KeyId {
        self.snapshot.policy.first_key(&self.key_id)
    }

    /// Refuses new work of teams and organizations that are suspended or paused. Reading what was
    /// done stays allowed, so only work asks this.
    pub(crate) fn require_active(&self, now: Timestamp) -> Result<(), ApiError> {
        match self.snapshot.policy.standing(&self.team, now) {
            Standing::Active => Ok(()),
            Standing::Suspended => Err(ApiError::Suspended),
            Standing::Paused { until } => Err(ApiError::paused(until, now)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key_of(values: &[&'static str]) -> Result<String, String> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::AUTHORIZATION, value.parse().unwrap());
        }
        bearer_key(&headers)
            .map(str::to_owned)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn the_scheme_is_read_in_any_case_and_everything_else_is_refused() {
        for valid in ["Bearer sk-1", "bearer sk-1", "BEARER   sk-1 "] {
            assert_eq!(key_of(&[valid]), Ok("sk-1".to_owned()));
        }
        assert!(
            key_of(&[])
                .unwrap_err()
                .starts_with("Missing Authorization header.")
        );
        for bad in ["sk-1", "Bearer", "Basic sk-1", "Bearer sk-1 sk-2", ""] {
            assert!(
                key_of(&[bad])
                    .unwrap_err()
                    .starts_with("Invalid Authorization"),
                "{bad}"
            );
        }
        assert!(key_of(&["Bearer sk-1", "Bearer sk-2"]).is_err());
    }
}
