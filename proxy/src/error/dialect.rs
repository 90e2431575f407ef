//! Errors in the words of OpenAI's and Anthropic's APIs, by which their clients know what to do.

use http::StatusCode;
use serde_json::{Value, json};
use tollgate_common::db::work::WorkError;
use tollgate_common::ledger::Refusal;
use tollgate_common::policy::RouteRefusal;

use super::ApiError;
use crate::operation::Dialect;
use crate::steps::forward::UpstreamFailure;

impl ApiError {
    /// The status in a dialect: clients of the other APIs know 402 as the lack of credits.
    pub(crate) fn status_in(&self, dialect: Dialect) -> StatusCode {
        let lacks_credits = matches!(
            self,
            Self::Work(WorkError::Refused(
                Refusal::InsufficientCredits { .. }
                    | Refusal::Owing { .. }
                    | Refusal::JobLimit { .. }
                    | Refusal::JobCost
            ))
        );
        if lacks_credits && dialect != Dialect::Job {
            StatusCode::PAYMENT_REQUIRED
        } else {
            self.status()
        }
    }

    /// The JSON body in a dialect.
    pub(crate) fn body_in(&self, dialect: Dialect) -> Value {
        match dialect {
            Dialect::Job => self.body(),
            Dialect::OpenAi => json!({
                "error": {
                    "message": self.detail(),
                    "type": self.openai_type(),
                    "param": self.param(),
                    "code": self.code(),
                }
            }),
            Dialect::Anthropic => json!({
                "type": "error",
                "error": { "type": self.anthropic_type(), "message": self.detail() },
            }),
        }
    }

    /// The first field that is not as it must be.
    fn param(&self) -> Option<String> {
        match self {
            Self::InvalidFields(problems) => problems.first().map(super::FieldProblem::path),
            Self::Upstream(UpstreamFailure::Untranslatable(refusal)) => Some(refusal.field.clone()),
            Self::Upstream(UpstreamFailure::Rejected(rejection)) => rejection.param.clone(),
            Self::Route(_) => Some("model".to_owned()),
            _ => None,
        }
    }

    /// OpenAI's class of the error.
    pub(crate) fn openai_type(&self) -> &'static str {
        match self.status_in(Dialect::OpenAi).as_u16() {
            401 => "authentication_error",
            402 => "insufficient_quota",
            403 => "permission_error",
            429 => "rate_limit_error",
            400..=499 => "invalid_request_error",
            _ => "server_error",
        }
    }

    /// Anthropic's class of the error.
    pub(crate) fn anthropic_type(&self) -> &'static str {
        match self.status_in(Dialect::Anthropic).as_u16() {
            401 => "authentication_error",
            402 => "billing_error",
            403 => "permission_error",
            404 => "not_found_error",
            413 => "request_too_large",
            429 => "rate_limit_error",
            400..=499 => "invalid_request_error",
            503 => "overloaded_error",
            504 => "timeout_error",
            _ => "api_error",
        }
    }

    /// A word for programs, the same in every dialect and for good.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::MissingAuthorization | Self::MalformedAuthorization | Self::UnknownKey => {
                "invalid_api_key"
            }
            Self::Suspended => "team_suspended",
            Self::Paused { .. } => "team_paused",
            Self::Forbidden(_) => "forbidden",
            Self::NoSuchPath | Self::NoSuchGroup(_) => "not_found",
            Self::MethodNotAllowed { .. } => "method_not_allowed",
            Self::UnsupportedMediaType => "unsupported_media_type",
            Self::BodyTooLarge { .. } => "body_too_large",
            Self::BodyTimeout(_) => "body_timeout",
            Self::MalformedRequest(_) => "malformed_request",
            Self::InvalidFields(_) => "invalid_value",
            Self::Route(RouteRefusal::NoModel { .. }) => "model_required",
            Self::Route(RouteRefusal::NoCredentials { .. }) => "model_unavailable",
            Self::Route(_) | Self::NoSuchModel(_) => "model_not_found",
            Self::Work(error) => work_code(error),
            Self::Upstream(failure) => upstream_code(failure),
            Self::RateLimited(_) | Self::TooManyLists => "rate_limit_exceeded",
            Self::Store(_) | Self::StalePolicy(_) => "unavailable",
            Self::Internal(_) => "internal_error",
        }
    }
}

const fn work_code(error: &WorkError) -> &'static str {
    match error {
        WorkError::JobNotFound | WorkError::NoAccount(_) => "not_found",
        WorkError::NotYourJob => "forbidden",
        WorkError::MetadataTooLarge { .. } => "metadata_too_large",
        WorkError::ClaimMismatch => "idempotency_key_reused",
        WorkError::ClaimRunning => "idempotency_key_in_use",
        WorkError::Unavailable(_) | WorkError::TimedOut(_) => "unavailable",
        WorkError::QueueFull => "rate_limit_exceeded",
        WorkError::Unrecordable(_) => "internal_error",
        WorkError::Refused(refusal) => match refusal {
            Refusal::InsufficientCredits { .. } | Refusal::Owing { .. } => "insufficient_credits",
            Refusal::JobCost => "job_cost_limit",
            Refusal::JobLimit { .. } => "job_credit_limit",
            Refusal::JobEnded { .. } => "job_ended",
            Refusal::CallsInFlight { .. } => "calls_in_flight",
            Refusal::Unpriced { .. } => "model_unpriced",
            Refusal::BudgetExceeded { .. } => "budget_exceeded",
            _ => "invalid_value",
        },
    }
}

fn upstream_code(failure: &UpstreamFailure) -> &'static str {
    match failure {
        UpstreamFailure::Rejected(rejection) => rejection.code.unwrap_or("model_rejected_request"),
        UpstreamFailure::Untranslatable(_) => "unsupported_parameter",
        UpstreamFailure::RateLimited { .. } => "model_rate_limited",
        UpstreamFailure::Timeout { .. } => "model_timeout",
        UpstreamFailure::CallerGone => "caller_gone",
        _ => "model_unavailable",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tollgate_common::money::Credits;

    #[test]
    fn the_lack_of_credits_has_its_own_status_and_code() {
        let refusal = Refusal::InsufficientCredits {
            remaining: Credits(0),
            required: Credits(1),
            allocated: Credits(5),
            used: Credits(5),
        };
        let error = ApiError::Work(WorkError::Refused(refusal));
        assert_eq!(error.status_in(Dialect::Job), StatusCode::FORBIDDEN);
        assert_eq!(
            error.status_in(Dialect::OpenAi),
            StatusCode::PAYMENT_REQUIRED
        );
        let body = error.body_in(Dialect::OpenAi);
        assert_eq!(body["error"]["code"], "insufficient_credits");
        assert_eq!(body["error"]["type"], "insufficient_quota");
        let body = error.body_in(Dialect::Anthropic);
        assert_eq!(body["type"], "error");
        assert_eq!(body["error"]["type"], "billing_error");
    }

    #[test]
    fn an_invalid_field_is_named_in_every_dialect() {
        let error = ApiError::field("temperature", "must be a number from 0 to 2");
        assert_eq!(
            error.body_in(Dialect::OpenAi)["error"]["param"],
            "temperature"
        );
        let anthropic = error.body_in(Dialect::Anthropic);
        let message = anthropic["error"]["message"].as_str().unwrap();
        assert!(message.starts_with("temperature: "), "{message}");
        assert_eq!(anthropic["error"]["type"], "invalid_request_error");
    }
}
