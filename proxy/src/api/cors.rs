//! Which browser applications may call the API (Fetch standard, CORS protocol).

use http::header;
use pingora::proxy::Session;

use crate::reply::Reply;
use crate::services::Services;

/// How long a browser may remember the answer to a preflight, in seconds.
const PREFLIGHT_AGE_SECONDS: &str = "600";

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
        None => reply,
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
