//! One table from what went wrong to what the caller is told: status, body, headers.

use std::sync::Arc;
use std::time::Duration;

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde_json::{Value, json};
use tollgate_common::clock::Timestamp;
use tollgate_common::db::StoreError;
use tollgate_common::db::work::WorkError;
use tollgate_common::ledger::Refusal;
use tollgate_common::policy::RouteRefusal;

use crate::limits::Exceeded;
use crate::steps::forward::UpstreamFailure;

mod dialect;

/// One field that is not as it must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FieldProblem {
    /// The way to the field, as `["body", "messages", 0, "role"]`.
    pub(crate) location: Vec<Value>,
    /// What it must be.
    pub(crate) message: String,
    /// A word for programs.
    pub(crate) kind: &'static str,
}

impl FieldProblem {
    /// `messages[0].role` for people.
    fn path(&self) -> String {
        let mut path = String::new();
        for part in self.location.iter().skip(1) {
            match part {
                Value::Number(index) => path = format!("{path}[{index}]"),
                Value::String(name) if path.is_empty() => path.push_str(name),
                Value::String(name) => path = format!("{path}.{name}"),
                _ => {}
            }
        }
        path
    }

    fn sentence(&self) -> String {
        let path = self.path();
        if path.is_empty() {
            self.message.clone()
        } else {
            format!("{path}: {}", self.message)
        }
    }
}

/// Why a request was not done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApiError {
    #[error("Missing Authorization header. Expected: 'Authorization: Bearer sk-xxx...'")]
    MissingAuthorization,
    #[error("Invalid Authorization header format. Expected: 'Authorization: Bearer sk-xxx...'")]
    MalformedAuthorization,
    #[error("Invalid API key")]
    UnknownKey,
    #[error("Team access is suspended. Please contact support.")]
    Suspended,
    #[error("Team access is paused. Please contact support.")]
    Paused { retry_after: Option<Duration> },
    #[error("{0}")]
    Forbidden(String),
    #[error("Not Found")]
    NoSuchPath,
    #[error("Model '{0}' not found")]
    NoSuchModel(String),
    #[error("Model group '{0}' not found")]
    NoSuchGroup(String),
    #[error("Method Not Allowed")]
    MethodNotAllowed { allow: &'static str },
    #[error("Content-Type must be application/json")]
    UnsupportedMediaType,
    #[error("The body must not be larger than {bytes_max} bytes")]
    BodyTooLarge { bytes_max: usize },
    #[error("The body did not arrive within {0:?}")]
    BodyTimeout(Duration),
    #[error("{0}")]
    MalformedRequest(String),
    #[error("{}", .0.iter().map(FieldProblem::sentence).collect::<Vec<_>>().join("; "))]
    InvalidFields(Vec<FieldProblem>),
    #[error(transparent)]
    Route(#[from] RouteRefusal),
    #[error(transparent)]
    Work(#[from] WorkError),
    #[error("LLM call failed: {0}")]
    Upstream(#[from] UpstreamFailure),
    #[error("Rate limit exceeded")]
    RateLimited(Exceeded),
    #[error("The service is temporarily unavailable")]
    Store(#[from] StoreError),
    #[error("Too many lists of your team are being read. Retry in a moment")]
    TooManyLists,
    #[error(
        "The service is temporarily unavailable: its settings could not be read for {0:?}. Retry in a moment"
    )]
    StalePolicy(Duration),
    #[error("Internal server error")]
    Internal(String),
}

/// How long callers are asked to wait when nothing better is known.
const RETRY_AFTER_DEFAULT: Duration = Duration::from_secs(1);

/// Keeps the official clients from sending a request again by themselves, which they do with every
/// status from 500 on.
const SHOULD_RETRY: header::HeaderName = header::HeaderName::from_static("x-should-retry");

impl ApiError {
    /// One invalid field of the body.
    pub(crate) fn field(name: &str, message: impl Into<String>) -> Self {
        Self::InvalidFields(vec![FieldProblem {
            location: vec![json!("body"), json!(name)],
            message: message.into(),
            kind: "value_error",
        }])
    }

    /// One invalid parameter of the query.
    pub(crate) fn query(name: &str, message: impl Into<String>) -> Self {
        Self::InvalidFields(vec![FieldProblem {
            location: vec![json!("query"), json!(name)],
            message: message.into(),
            kind: "value_error",
        }])
    }

    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::MissingAuthorization | Self::MalformedAuthorization | Self::UnknownKey => {
                StatusCode::UNAUTHORIZED
            }
            Self::Suspended | Self::Forbidden(_) => StatusCode::FORBIDDEN,
            Self::Paused { .. } | Self::RateLimited(_) | Self::TooManyLists => {
                StatusCode::TOO_MANY_REQUESTS
            }
            Self::NoSuchPath | Self::NoSuchModel(_) | Self::NoSuchGroup(_) => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Self::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::BodyTooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::BodyTimeout(_) => StatusCode::REQUEST_TIMEOUT,
            Self::MalformedRequest(_) | Self::InvalidFields(_) => StatusCode::BAD_REQUEST,
            Self::Route(refusal) => route_status(refusal),
            Self::Work(error) => work_status(error),
            Self::Upstream(failure) => failure.status(),
            Self::Store(_) | Self::StalePolicy(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// When the caller may try again, if that can help.
    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Paused { retry_after } => Some(retry_after.unwrap_or(Duration::from_mins(1))),
            Self::Upstream(failure) => failure.retry_after(),
            Self::RateLimited(exceeded) => Some(exceeded.retry_after),
            Self::Work(WorkError::Refused(Refusal::BudgetExceeded { resets_in, .. })) => {
                Some(*resets_in)
            }
            Self::Work(
                WorkError::ClaimRunning
                | WorkError::QueueFull
                | WorkError::Refused(Refusal::CallsInFlight { .. }),
            )
            | Self::TooManyLists => Some(RETRY_AFTER_DEFAULT),
            _ if self.status() == StatusCode::SERVICE_UNAVAILABLE => Some(RETRY_AFTER_DEFAULT),
            _ => None,
        }
    }

    /// What the caller reads. Never the operator's side of the story.
    pub(crate) fn detail(&self) -> String {
        match self {
            Self::Route(RouteRefusal::NoCredentials { .. }) => {
                "LLM call failed: No provider credentials configured for this model. Please contact support."
                    .to_owned()
            }
            Self::Work(WorkError::Unavailable(_)) => {
                "The service is temporarily unavailable".to_owned()
            }
            Self::Work(WorkError::Unrecordable(_)) => {
                "The request could not be recorded. Please contact support.".to_owned()
            }
            other => other.to_string(),
        }
    }

    /// The JSON body.
    pub(crate) fn body(&self) -> Value {
        let problems = match self {
            Self::InvalidFields(problems) => problems.clone(),
            Self::Upstream(UpstreamFailure::Untranslatable(refusal)) => vec![FieldProblem {
                location: vec![json!("body"), json!(refusal.field)],
                message: refusal.message.clone(),
                kind: "unsupported",
            }],
            Self::MalformedRequest(message) => vec![FieldProblem {
                location: vec![json!("body")],
                message: message.clone(),
                kind: "json_invalid",
            }],
            Self::Route(refusal @ RouteRefusal::NoModel { .. }) => vec![FieldProblem {
                location: vec![json!("body"), json!("model")],
                message: refusal.to_string(),
                kind: "missing",
            }],
            Self::Work(WorkError::MetadataTooLarge { bytes, bytes_max }) => vec![FieldProblem {
                location: vec![json!("body"), json!("metadata")],
                message: format!(
                    "at most {bytes_max} bytes as JSON after merging; it would be {bytes}"
                ),
                kind: "too_long",
            }],
            _ => return json!({ "detail": self.detail() }),
        };
        let errors: Vec<Value> = problems
            .iter()
            .map(|p| json!({ "loc": p.location, "msg": p.message, "type": p.kind }))
            .collect();
        json!({ "detail": self.detail(), "errors": errors })
    }

    /// Headers beside the body's.
    pub(crate) fn headers(&self) -> Vec<(header::HeaderName, HeaderValue)> {
        let mut headers = Vec::new();
        if let Some(wait) = self.retry_after() {
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            headers.push((header::RETRY_AFTER, HeaderValue::from(seconds.max(1))));
        }
        if let Self::RateLimited(exceeded) = self {
            headers.extend(
                exceeded
                    .status
                    .headers()
                    .into_iter()
                    .filter_map(|(name, value)| {
                        let value = HeaderValue::from_str(&value).ok()?;
                        Some((header::HeaderName::from_static(name), value))
                    }),
            );
        }
        if let Self::Upstream(failure) = self
            && failure.is_costly_to_repeat()
        {
            headers.push((SHOULD_RETRY, HeaderValue::from_static("false")));
        }
        if let Self::MethodNotAllowed { allow } = self {
            headers.push((header::ALLOW, HeaderValue::from_static(allow)));
        }
        if self.status() == StatusCode::UNAUTHORIZED {
            headers.push((header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer")));
        }
        headers
    }

    /// Tells operators what callers are not told.
    pub(crate) fn log(&self) {
        match self {
            Self::Store(error) => tracing::error!(%error, "database failed"),
            Self::Work(WorkError::Unavailable(why)) => {
                tracing::error!(%why, "ledger writer failed");
            }
            Self::Work(WorkError::TimedOut(limit)) => {
                tracing::error!(?limit, "the ledger could not be written in time");
            }
            Self::Internal(why) => tracing::error!(%why, "internal error"),
            Self::Route(refusal @ RouteRefusal::NoCredentials { .. }) => {
                tracing::error!(%refusal, "no usable provider");
            }
            _ => {}
        }
    }

    /// The end of a pause as the time to wait.
    pub(crate) fn paused(until: Option<Timestamp>, now: Timestamp) -> Self {
        Self::Paused {
            retry_after: until.map(|until| until.since(now)),
        }
    }
}

fn route_status(refusal: &RouteRefusal) -> StatusCode {
    match refusal {
        RouteRefusal::NoModel { .. } => StatusCode::BAD_REQUEST,
        RouteRefusal::AliasNotGranted { .. } | RouteRefusal::GroupNotGranted { .. } => {
            StatusCode::FORBIDDEN
        }
        RouteRefusal::NoCredentials { .. } => StatusCode::SERVICE_UNAVAILABLE,
    }
}

fn work_status(error: &WorkError) -> StatusCode {
    match error {
        WorkError::JobNotFound | WorkError::NoAccount(_) => StatusCode::NOT_FOUND,
        WorkError::NotYourJob => StatusCode::FORBIDDEN,
        WorkError::MetadataTooLarge { .. } => StatusCode::BAD_REQUEST,
        WorkError::ClaimMismatch | WorkError::ClaimRunning => StatusCode::CONFLICT,
        WorkError::Unavailable(_) | WorkError::TimedOut(_) => StatusCode::SERVICE_UNAVAILABLE,
        WorkError::QueueFull => StatusCode::TOO_MANY_REQUESTS,
        WorkError::Unrecordable(_) => StatusCode::INTERNAL_SERVER_ERROR,
        WorkError::Refused(refusal) => match refusal {
            Refusal::InsufficientCredits { .. }
            | Refusal::Owing { .. }
            | Refusal::JobLimit { .. }
            | Refusal::JobCost
            | Refusal::Unpriced { .. } => StatusCode::FORBIDDEN,
            Refusal::BudgetExceeded { .. } => StatusCode::TOO_MANY_REQUESTS,
            Refusal::JobEnded { .. } | Refusal::CallsInFlight { .. } => StatusCode::CONFLICT,
            Refusal::RefundAboveUse { .. }
            | Refusal::RefundAboveCharge { .. }
            | Refusal::AdjustmentAboveAvailable { .. }
            | Refusal::AllocatedAboveMaximum { .. }
            | Refusal::NotPositive => StatusCode::BAD_REQUEST,
        },
    }
}

/// The error travels with the answer, so that it can be told in other words: the router does not
/// know in which dialect its caller speaks.
impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = self.status().into_response();
        response.extensions_mut().insert(Arc::new(self));
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invalid_field_is_named_with_its_way() {
        let error = ApiError::InvalidFields(vec![FieldProblem {
            location: vec![json!("body"), json!("messages"), json!(2), json!("role")],
            message: "required".to_owned(),
            kind: "missing",
        }]);
        let body = error.body();
        assert_eq!(body["detail"], "messages[2].role: required");
        assert_eq!(
            body["errors"][0]["loc"],
            json!(["body", "messages", 2, "role"])
        );
        assert_eq!(error.status(), StatusCode::BAD_REQUEST);
    }

    #[test]
    fn callers_do_not_learn_which_provider_lacks_a_key() {
        let refusal = RouteRefusal::NoCredentials {
            provider: "acme-openai".parse().unwrap(),
        };
        let error = ApiError::Route(refusal);
        assert_eq!(error.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(!error.body().to_string().contains("acme-openai"));
        assert_eq!(error.headers()[0].0, header::RETRY_AFTER);
    }
}
