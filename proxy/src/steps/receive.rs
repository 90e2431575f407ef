//! Takes the caller's body, within bounds of size and time.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderValue, header};
use pingora::proxy::Session;
use sha2::{Digest as _, Sha256};
use tollgate_common::db::work::IdempotencyClaim;
use tollgate_common::id::KeyId;

use crate::connections::note_request_complete;
use crate::error::ApiError;

/// What is set aside for a body before any of it has arrived: a length alone is only a promise.
const FIRST_ALLOCATION_MAX: usize = 64 * 1024;

/// The longest `Idempotency-Key`, in characters.
const IDEMPOTENCY_KEY_LENGTH_MAX: usize = 255;

/// Bounds of a body.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BodyLimits {
    pub(crate) bytes_max: usize,
    pub(crate) timeout: Duration,
}

/// Reads the whole body. Whatever is wrong with it ends the connection: where the next request
/// begins is not known any more.
pub(crate) async fn read_body(
    session: &mut Session,
    limits: BodyLimits,
) -> Result<Bytes, ApiError> {
    if session.is_body_empty() {
        return Ok(Bytes::new());
    }
    let read = read_framed_body(session, limits).await;
    note_request_complete();
    if read.is_err() {
        session.set_keepalive(None);
    }
    read
}

async fn read_framed_body(session: &mut Session, limits: BodyLimits) -> Result<Bytes, ApiError> {
    let too_large = ApiError::BodyTooLarge {
        bytes_max: limits.bytes_max,
    };
    let length = session.get_header(header::CONTENT_LENGTH);
    let length = length.and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if length.is_some_and(|length| length > limits.bytes_max) {
        return Err(too_large);
    }
    if session.get_header(header::EXPECT).is_some() {
        session
            .write_continue_response()
            .await
            .map_err(|error| unreadable(&error))?;
    }
    let mut body = BytesMut::with_capacity(length.unwrap_or(0).min(FIRST_ALLOCATION_MAX));
    let reading = async {
        while let Some(piece) = session
            .read_request_body()
            .await
            .map_err(|error| unreadable(&error))?
        {
            if body.len() + piece.len() > limits.bytes_max {
                return Err(too_large);
            }
            body.extend_from_slice(&piece);
        }
        Ok(())
    };
    tokio::time::timeout(limits.timeout, reading)
        .await
        .map_err(|_| ApiError::BodyTimeout(limits.timeout))??;
    Ok(body.freeze())
}

/// How long the rest of a body that nobody wants is taken.
const DISCARD_MAX: Duration = Duration::from_secs(2);

/// Takes the rest of a body after the answer was sent. Closing a connection with unread data would
/// reset it, and the caller might never see the answer.
pub(crate) async fn discard_rest(session: &mut Session) {
    if !session.is_body_done() {
        session.set_keepalive(None);
        // A caller that goes on for longer has had its answer.
        let _ = tokio::time::timeout(DISCARD_MAX, session.drain_request_body()).await;
    }
}

fn unreadable(error: &pingora::Error) -> ApiError {
    ApiError::MalformedRequest(format!(
        "The body could not be read: {}",
        error.etype().as_str()
    ))
}

/// Refuses bodies that say they are something else than JSON. Saying nothing is accepted.
pub(crate) fn require_json(headers: &http::HeaderMap) -> Result<(), ApiError> {
    let Some(value) = headers.get(header::CONTENT_TYPE) else {
        return Ok(());
    };
    let essence = value
        .to_str()
        .unwrap_or_default()
        .split(';')
        .next()
        .unwrap_or_default()
        .trim();
    if essence.eq_ignore_ascii_case("application/json") {
        Ok(())
    } else {
        Err(ApiError::UnsupportedMediaType)
    }
}

/// Reads `Idempotency-Key`, if there is one, and what it stands for: this very request.
pub(crate) fn claim(
    headers: &http::HeaderMap,
    key_id: &KeyId,
    path: &str,
    body: &[u8],
) -> Result<Option<IdempotencyClaim>, ApiError> {
    let mut values = headers.get_all("idempotency-key").iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    let text = value.to_str().unwrap_or_default();
    let is_valid = (1..=IDEMPOTENCY_KEY_LENGTH_MAX).contains(&text.len());
    if !is_valid || values.next().is_some() {
        return Err(ApiError::MalformedRequest(format!(
            "Idempotency-Key must be one text of 1 to {IDEMPOTENCY_KEY_LENGTH_MAX} visible characters"
        )));
    }
    let mut hash = Sha256::new();
    hash.update(path.as_bytes());
    hash.update([0]);
    for name in ["x-tollgate-job-id", "x-tollgate-job-type"] {
        hash.update(headers.get(name).map_or(&[][..], HeaderValue::as_bytes));
        hash.update([0]);
    }
    hash.update(body);
    let fingerprint = hash
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let idempotency_key = text.to_owned();
    Ok(Some(IdempotencyClaim {
        key_id: key_id.clone(),
        idempotency_key,
        fingerprint,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderMap;

    #[test]
    fn only_json_is_taken_for_json() {
        let check = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_TYPE, value.parse().unwrap());
            require_json(&headers).is_ok()
        };
        assert!(check("application/json") && check("Application/JSON; charset=utf-8"));
        assert!(!check("text/plain") && !check("application/jsonp") && !check(""));
        assert!(require_json(&HeaderMap::new()).is_ok());
    }

    #[test]
    fn a_claim_is_about_the_path_and_the_body() {
        let mut headers = HeaderMap::new();
        headers.insert("idempotency-key", "abc".parse().unwrap());
        let fingerprint = |path: &str, body: &[u8]| {
            claim(&headers, &KeyId::new("k"), path, body)
                .unwrap()
                .unwrap()
                .fingerprint
        };
        assert_eq!(fingerprint("/a", b"1"), fingerprint("/a", b"1"));
        assert_ne!(fingerprint("/a", b"1"), fingerprint("/a", b"2"));
        assert_ne!(fingerprint("/a", b"1"), fingerprint("/b", b"1"));
        headers.append("idempotency-key", "def".parse().unwrap());
        assert!(claim(&headers, &KeyId::new("k"), "/a", b"").is_err());
    }
}
