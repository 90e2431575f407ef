//! The endpoints that Tollgate answers itself: an axum router, called inside Pingora's request
//! filter, so that one port serves everything and each endpoint can be tested without a socket.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{FromRequestParts, Path, Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, MethodRouter, get, on, patch, post};
use bytes::Bytes;
use http::Method;
use http::request::Parts;
use http_body_util::BodyExt as _;
use pingora::proxy::Session;
use tower::ServiceExt as _;

use crate::error::ApiError;
use crate::operation::Dialect;
use crate::reply::Reply;
use crate::services::Services;
use crate::steps::authenticate::{Caller, authenticate};
use crate::steps::receive::{self, BodyLimits};

pub(crate) mod cors;
pub(crate) mod credit;
pub(crate) mod document;
pub(crate) mod health;
pub(crate) mod job;
pub(crate) mod model;
pub(crate) mod team;

/// What handlers share.
pub(crate) type Shared = State<Arc<Services>>;

/// All endpoints but LLM calls, which `gateway` takes before.
pub(crate) fn router(services: Arc<Services>) -> Router {
    Router::new()
        .route("/health", endpoint(get(health::health), "GET"))
        .route("/livez", endpoint(get(health::live), "GET"))
        .route("/readyz", endpoint(get(health::ready), "GET"))
        .route("/openapi.json", endpoint(get(document::openapi), "GET"))
        .route("/docs", endpoint(get(document::page), "GET"))
        .route("/redoc", endpoint(get(document::page), "GET"))
        .route("/api/jobs/create", endpoint(post(job::create), "POST"))
        .route("/api/jobs/{job_id}", endpoint(get(job::show), "GET"))
        .route(
            "/api/jobs/{job_id}/llm-call",
            endpoint(MethodRouter::new(), "POST"),
        )
        .route(
            "/api/jobs/{job_id}/llm-call-stream",
            endpoint(MethodRouter::new(), "POST"),
        )
        .route(
            "/api/jobs/create-and-call",
            endpoint(MethodRouter::new(), "POST"),
        )
        .route(
            "/api/jobs/create-and-call-stream",
            endpoint(MethodRouter::new(), "POST"),
        )
        .route(
            "/v1/chat/completions",
            endpoint(MethodRouter::new(), "POST"),
        )
        .route("/v1/embeddings", endpoint(MethodRouter::new(), "POST"))
        .route("/v1/messages", endpoint(MethodRouter::new(), "POST"))
        .route("/v1/models", endpoint(get(model::list), "GET"))
        .route("/v1/models/{*model}", endpoint(get(model::show), "GET"))
        .route(
            "/api/model-groups/{group}/resolve",
            endpoint(get(model::resolve), "GET"),
        )
        .route(
            "/api/jobs/{job_id}/complete",
            endpoint(post(job::complete), "POST"),
        )
        .route(
            "/api/jobs/{job_id}/metadata",
            endpoint(patch(job::patch_metadata), "PATCH"),
        )
        .route("/api/jobs/{job_id}/costs", endpoint(get(job::costs), "GET"))
        .route(
            "/api/credits/teams/{team_id}/balance",
            endpoint(get(credit::balance), "GET"),
        )
        .route(
            "/api/credits/teams/{team_id}/check",
            endpoint(post(credit::check), "POST"),
        )
        .route(
            "/api/credits/teams/{team_id}/transactions",
            endpoint(get(credit::transactions), "GET"),
        )
        .route(
            "/api/teams/{team_id}/usage",
            endpoint(get(team::usage), "GET"),
        )
        .route(
            "/api/teams/{team_id}/jobs",
            endpoint(get(team::jobs), "GET"),
        )
        .fallback(no_such_path)
        .with_state(services)
}

/// Another method than those of an endpoint is told which ones there are.
fn endpoint(
    router: MethodRouter<Arc<Services>>,
    allow: &'static str,
) -> MethodRouter<Arc<Services>> {
    let refuse = move || async move { ApiError::MethodNotAllowed { allow } };
    router
        .merge(on(MethodFilter::OPTIONS, async || http::StatusCode::OK))
        .fallback(refuse)
}

async fn no_such_path(request: Request) -> Response {
    if request.method() == Method::OPTIONS {
        return http::StatusCode::OK.into_response();
    }
    ApiError::NoSuchPath.into_response()
}

/// Hands a request to the router and takes its answer.
pub(crate) async fn answer(
    router: &Router,
    services: &Services,
    session: &mut Session,
) -> Result<Reply, ApiError> {
    let path = session.req_header().uri.path();
    let caller = Some(path)
        .filter(|path| needs_key(path))
        .and_then(|_| authenticate_now(services, &session.req_header().headers).ok());
    let body = match &caller {
        Some(_) => {
            let limits = BodyLimits {
                bytes_max: services.config.body_bytes_max,
                timeout: services.config.body_read_timeout,
            };
            receive::read_body(session, limits).await?
        }
        // Nothing is kept of the body of whoever has no key: the answer does not depend on it.
        None => Bytes::new(),
    };
    let is_list = session.req_header().method == Method::GET && path_is_list(session);
    let _permit = match &caller {
        Some(caller) if is_list => Some(services.lists.acquire(&caller.team.id).await?),
        _ => None,
    };
    let dialect = Dialect::of_path(session.req_header().uri.path());
    let header = session.req_header();
    let mut request = Request::new(Body::from(body));
    *request.method_mut() = header.method.clone();
    *request.uri_mut() = header.uri.clone();
    *request.headers_mut() = header.headers.clone();
    let Ok(response) = router.clone().oneshot(request).await;
    let (parts, body) = response.into_parts();
    if let Some(error) = parts.extensions.get::<Arc<ApiError>>() {
        services.figures.refused(error.code());
        return Ok(Reply::error(error, dialect));
    }
    let body = body
        .collect()
        .await
        .map_err(|error| ApiError::Internal(error.to_string()))?;
    Ok(Reply::from_parts(parts, body.to_bytes()))
}

/// Whether a path is answered only to those who have a key. Others are answered without looking at
/// their bodies.
fn needs_key(path: &str) -> bool {
    path.starts_with("/api/") || path.starts_with("/v1/")
}

/// Whether a request may read many rows.
fn path_is_list(session: &Session) -> bool {
    session.req_header().uri.path().starts_with("/api/")
}

fn authenticate_now(services: &Services, headers: &http::HeaderMap) -> Result<Caller, ApiError> {
    services.policy.require_fresh()?;
    authenticate(services.policy.current(), headers, services.clock.now())
}

/// The variable part of a path. One that is not UTF-8 names nothing, like any unknown name.
#[derive(Debug)]
pub(crate) struct Segment(pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for Segment {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let path = Path::<String>::from_request_parts(parts, state).await;
        Ok(Self(path.map(|Path(text)| text).unwrap_or_default()))
    }
}

impl FromRequestParts<Arc<Services>> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(
        parts: &mut Parts,
        services: &Arc<Services>,
    ) -> Result<Self, ApiError> {
        let now = services.clock.now();
        let caller = authenticate_now(services, &parts.headers)?;
        services.figures.accepted(&caller.key_id, now);
        Ok(caller)
    }
}
