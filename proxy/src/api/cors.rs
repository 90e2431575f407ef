//! Which browser applications may call the API (Fetch standard, CORS protocol).

use http::header;
use pingora::proxy::Session;

use crate::reply::Reply;
use crate::services::Services;

/// How long a browser may remember the answer to a preflight, in seconds.
const PREFLIGHT_AGE_SECONDS: &str = "600";

/// What a script in a browser may read of an answer beside its body: all of ours. With credentials
/// allowed, `*` would name no header at all.
const EXPOSED_HEADERS: &str = "x-request-id, x-tollgate-call-id, x-tollgate-job-id, x-job-id, \
    x-tollgate-cache, idempotent-replayed, retry-after, \
    x-ratelimit-limit-requests, x-ratelimit-remaining-requests, x-ratelimit-reset-requests, \
    x-ratelimit-limit-tokens, x-ratelimit-remaining-tokens, x-ratelimit-reset-tokens";

/// Adds the CORS headers if the request comes from an origin that is allowed.
pub(crate) fn allow(services: &Services, session: &Session, reply: Reply) -> Reply {
    let Some(origin) = session
        .get_header(header::ORIGIN)
        .and_then(|value| value.to_str().ok())
    else {
        return reply;
    };
    if !services
        .config
        .cors_origins
        .iter()
        .any(|allowed| allowed == origin)
    {
        return reply;
    }
    let reply = reply
        .with("access-control-allow-origin", origin)
        .with("access-control-allow-credentials", "true")
        .with("vary", "Origin");
    let asked = session.get_header("access-control-request-headers");
    match asked.and_then(|value| value.to_str().ok()) {
        Some(headers) => preflight(reply).with("access-control-allow-headers", headers),
        None if session.req_header().method == http::Method::OPTIONS => preflight(reply),
        None => reply.with("access-control-expose-headers", EXPOSED_HEADERS),
    }
}

fn preflight(reply: Reply) -> Reply {
    reply
        .with(
            "access-control-allow-methods",
            "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT",
        )
        .with("access-control-max-age", PREFLIGHT_AGE_SECONDS)
}
