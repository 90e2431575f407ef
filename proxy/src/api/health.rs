//! Whether the process lives, and whether it should get traffic.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde_json::{Value, json};

use super::Shared;

/// `GET /health`: the process answers.
pub(crate) async fn health() -> Json<Value> {
    Json(json!({ "status": "healthy", "service": "saas-llm-api" }))
}

/// `GET /livez`: the process answers.
pub(crate) async fn live() -> Json<Value> {
    Json(json!({ "status": "alive" }))
}

/// `GET /readyz`: new traffic is welcome. Not while stopping, not while the ledger cannot be
/// written, and not on a policy that nobody could confirm for long: a revoked key might still be
/// taken.
pub(crate) async fn ready(State(services): Shared) -> Response {
    let problem = if services.drain.is_draining() {
        Some("stopping")
    } else if !services.policy.is_fresh() {
        Some("the policy could not be read from the database for long")
    } else {
        services.writer.health().problem()
    };
    match problem {
        None => Json(json!({ "status": "ready" })).into_response(),
        Some(reason) => {
            let body = json!({ "status": "not ready", "detail": reason });
            (StatusCode::SERVICE_UNAVAILABLE, Json(body)).into_response()
        }
    }
}
