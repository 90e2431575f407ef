//! `/v1/models` and `/api/model-groups`: what a team may use, by its public names.

use axum::Json;
use axum::extract::State;
use http::Uri;
use serde_json::{Value, json};
use tollgate_common::model::Model;

use super::{Segment, Shared};
use crate::error::ApiError;
use crate::steps::authenticate::Caller;

/// Who serves the models, as far as teams know.
const OWNER: &str = "tollgate";

/// Nobody knows when a model was made; clients want a number.
const CREATED: i64 = 0;

fn shown(model: &Model) -> Value {
    json!({ "id": model.alias, "object": "model", "created": CREATED, "owned_by": OWNER })
}

/// `GET /v1/models`: the aliases that the caller's team is granted.
pub(crate) async fn list(caller: Caller) -> Json<Value> {
    let models = caller.snapshot.policy.granted_models(&caller.team);
    let shown: Vec<Value> = models.into_iter().map(shown).collect();
    Json(json!({ "object": "list", "data": shown }))
}

/// `GET /v1/models/{model}`
pub(crate) async fn show(caller: Caller, Segment(name): Segment) -> Result<Json<Value>, ApiError> {
    let models = caller.snapshot.policy.granted_models(&caller.team);
    let model = models
        .into_iter()
        .find(|model| model.alias.as_str() == name);
    model
        .map(|model| Json(shown(model)))
        .ok_or(ApiError::NoSuchModel(name))
}

/// `GET /api/model-groups/{group}/resolve?team_id=`: which models a group stands for, in order.
pub(crate) async fn resolve(
    State(_): Shared,
    caller: Caller,
    Segment(group): Segment,
    uri: Uri,
) -> Result<Json<Value>, ApiError> {
    let query = uri.query().unwrap_or_default();
    let mut pairs = url::form_urlencoded::parse(query.as_bytes());
    let team_id = pairs.find_map(|(name, value)| (name == "team_id").then_some(value));
    let team_id = team_id.ok_or_else(|| ApiError::query("team_id", "Field required"))?;
    if team_id != caller.team.id.as_str() {
        let message = "Cannot resolve model group for a different team".to_owned();
        return Err(ApiError::Forbidden(message));
    }
    let policy = &caller.snapshot.policy;
    let Some(aliases) = policy.groups.get(group.as_str()) else {
        return Err(ApiError::NoSuchGroup(group));
    };
    if !caller
        .team
        .groups
        .iter()
        .any(|granted| granted.as_str() == group)
    {
        let error = format!("Team '{team_id}' does not have access to model group '{group}'");
        return Ok(Json(json!({
            "group_name": group,
            "primary_model": null,
            "fallback_models": [],
            "team_has_access": false,
            "error": error,
        })));
    }
    Ok(Json(json!({
        "group_name": group,
        "primary_model": aliases.first(),
        "fallback_models": aliases.get(1..).unwrap_or_default(),
        "team_has_access": true,
    })))
}
