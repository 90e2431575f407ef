//! Whose trouble a refusal is: tables of the words by which providers tell it.
//!
//! A caller can have its own words quoted in a message. So a message decides only where it begins
//! with a phrase of the provider's own; everything else is decided by status and codes.

use std::time::Duration;

use super::reader::ErrorReport;
use super::{OperatorFault, Rejection, Scrub, UpstreamFailure};

/// Codes that say that the key is not accepted.
const KEY_CODES: &[&str] = &[
    "invalid_api_key",
    "incorrect_api_key",
    "api_key_invalid",
    "authentication_error",
    "unauthenticated",
    "api_key_service_blocked",
    "no_auth_credentials",
];
/// How messages begin that say so where the status does not.
const KEY_PHRASES: &[&str] = &[
    "incorrect api key provided",
    "invalid api key",
    "api key not valid",
    "invalid x-api-key",
    "authentication fails",
];

/// Codes that say that the account has no money, is blocked or was closed.
const ACCOUNT_CODES: &[&str] = &[
    "insufficient_quota",
    "insufficient_balance",
    "insufficient_credits",
    "billing_hard_limit_reached",
    "billing_not_active",
    "billing_error",
    "billing_disabled",
    "consumer_suspended",
    "account_deactivated",
    "account_suspended",
    "account_disabled",
    "access_terminated",
    "organization_restricted",
    "exceeded_current_quota_error",
    "arrearage",
];
/// How messages begin that say so, whatever the status.
const ACCOUNT_PHRASES: &[&str] = &[
    "your credit balance is too low",
    "you have reached your specified api usage limits",
    "you have reached your specified workspace api usage limits",
    "this organization has been disabled",
    "organization has been restricted",
    "your account is not active",
    "your account has been",
    "the openai account associated with this api key has been deactivated",
    "this request requires more credits",
    "your newly created team doesn't have any credits",
    "billing hard limit has been reached",
    "billing is not active",
];
/// What messages hold that say so, unless the request is called wrong, which may quote it.
const ACCOUNT_WORDS: &[&str] = &[
    "used all available credits",
    "doesn't have any credits",
    "monthly spending limit",
    "insufficient balance",
    "insufficient credits",
    "insufficient funds",
    "credit balance",
    "account has been suspended",
    "account has been deactivated",
    "account is suspended",
];

/// Codes that say that the model is not there.
const MODEL_CODES: &[&str] = &[
    "model_not_found",
    "model_decommissioned",
    "model_deprecated",
    "model_not_available",
    "invalid_model",
    "deploymentnotfound",
    "notfounderror",
    "not_found_error",
    "not_found",
];
/// How messages begin that say so with a status of 400 or 422.
const MODEL_PHRASES: &[&str] = &[
    "invalid model",
    "model not exist",
    "model not found",
    "unknown model",
    "no such model",
];
/// What messages hold that begin with "the model" or "the requested model" and say so.
const MODEL_WORDS: &[&str] = &[
    "does not exist",
    "not found",
    "decommissioned",
    "deprecated",
    "no longer",
    "retired",
];

/// How messages begin that speak of a region or a missing right with a status of 400.
const ACCESS_PHRASES: &[&str] = &[
    "user location is not supported",
    "your organization must be verified",
    "your organization is not allowed",
    "country, region, or territory not supported",
];
/// Codes that say so.
const ACCESS_CODES: &[&str] = &[
    "unsupported_country_region_territory",
    "permission_denied",
    "permission_error",
    "service_disabled",
];

/// Codes that callers may act on, and the words for them of all providers.
const CALLER_CODES: &[(&str, &[&str])] = &[
    (
        "context_length_exceeded",
        &[
            "context_length_exceeded",
            "prompt_too_long",
            "request_too_large_for_context",
        ],
    ),
    (
        "content_filter",
        &[
            "content_filter",
            "content_policy_violation",
            "moderation_blocked",
            "responsibleaipolicyviolation",
            "data_inspection_failed",
            "content_filtered",
        ],
    ),
    ("string_above_max_length", &["string_above_max_length"]),
    ("array_above_max_length", &["array_above_max_length"]),
    ("integer_above_max_value", &["integer_above_max_value"]),
    ("integer_below_min_value", &["integer_below_min_value"]),
    ("decimal_above_max_value", &["decimal_above_max_value"]),
    ("decimal_below_min_value", &["decimal_below_min_value"]),
    ("unsupported_parameter", &["unsupported_parameter"]),
    ("unsupported_value", &["unsupported_value"]),
    ("unknown_parameter", &["unknown_parameter"]),
    (
        "missing_required_parameter",
        &["missing_required_parameter"],
    ),
    ("invalid_type", &["invalid_type"]),
    ("invalid_value", &["invalid_value"]),
    ("invalid_image", &["invalid_image"]),
    (
        "invalid_image_url",
        &["invalid_image_url", "image_url_invalid"],
    ),
    ("invalid_image_format", &["invalid_image_format"]),
    (
        "invalid_base64",
        &["invalid_base64", "invalid_base64_image"],
    ),
    ("image_too_large", &["image_too_large"]),
    ("image_parse_error", &["image_parse_error"]),
    (
        "invalid_json_schema",
        &["invalid_json_schema", "invalid_function_parameters"],
    ),
    ("invalid_prompt", &["invalid_prompt"]),
    ("tool_use_failed", &["tool_use_failed"]),
    ("json_validate_failed", &["json_validate_failed"]),
];
/// How messages begin that mean one of these codes where no code is given.
const CALLER_PHRASES: &[(&str, &[&str])] = &[
    (
        "context_length_exceeded",
        &[
            "prompt is too long",
            "this model's maximum context length is",
            "input length and `max_tokens` exceed context limit",
            "the input token count",
            "please reduce the length of the messages",
            "input is too long",
            "prompt contains",
        ],
    ),
    (
        "content_filter",
        &[
            "content exists risk",
            "input was flagged",
            "the response was filtered due to the prompt",
            "output blocked by content filtering policy",
        ],
    ),
];

/// How messages of a 429 begin that speak of this one request: waiting does not help.
const REQUEST_LIMIT_PHRASES: &[&str] = &["request too large"];

/// The message that is kept if the provider gives none.
const NO_MESSAGE: &str = "no message";

/// What a refusal means.
pub(super) fn classify(
    status: u16,
    header_retry_after: Option<Duration>,
    report: &ErrorReport,
    scrub: &Scrub<'_>,
) -> UpstreamFailure {
    let retry_after = header_retry_after.or(report.retry_after);
    let raw = report.message.as_deref().unwrap_or(NO_MESSAGE);
    let message = scrub.clean(if report.is_page { NO_MESSAGE } else { raw });
    if let Some(fault) = operator_fault(status, report, scrub.upstream_model) {
        return UpstreamFailure::Operator {
            fault,
            status,
            message,
        };
    }
    if let Some(is_limit_of_account) = is_callers(status, report) {
        return UpstreamFailure::Rejected(Box::new(Rejection {
            status: if is_limit_of_account { 413 } else { status },
            message: with_param(message, report.param.as_deref()),
            code: caller_code(report),
            param: report.param.clone(),
            is_limit_of_account,
        }));
    }
    if status == 429 {
        return UpstreamFailure::RateLimited { retry_after };
    }
    UpstreamFailure::ServerError {
        status,
        message,
        retry_after,
    }
}

/// What is wrong on the operator's side, if that is why the provider refuses.
fn operator_fault(
    status: u16,
    report: &ErrorReport,
    upstream_model: &str,
) -> Option<OperatorFault> {
    let message = report.message.as_deref().unwrap_or_default();
    let message = message.trim_start().to_ascii_lowercase();
    let begins = |phrases: &[&str]| phrases.iter().any(|phrase| message.starts_with(phrase));
    let holds = |words: &[&str]| words.iter().any(|word| message.contains(word));
    let is_about_account = report.has_code(ACCOUNT_CODES) || begins(ACCOUNT_PHRASES);
    if !(400..500).contains(&status) {
        return match status {
            300..400 => Some(OperatorFault::Endpoint),
            _ => is_about_account.then_some(OperatorFault::Account),
        };
    }
    if status == 402 || is_about_account || (!matches!(status, 400 | 422) && holds(ACCOUNT_WORDS)) {
        return Some(OperatorFault::Account);
    }
    if status == 401 || report.has_code(KEY_CODES) || (status != 429 && begins(KEY_PHRASES)) {
        return Some(OperatorFault::Key);
    }
    if caller_code(report).is_some() && matches!(status, 400 | 403 | 413 | 422) {
        let is_verification = status == 400 && begins(ACCESS_PHRASES);
        return is_verification.then_some(OperatorFault::Access);
    }
    match status {
        403 | 451 => Some(OperatorFault::Access),
        404 | 410 if report.is_page || report.message.is_none() => Some(OperatorFault::Endpoint),
        404 | 410 => Some(OperatorFault::Model),
        405 | 426 => Some(OperatorFault::Endpoint),
        400 | 422 if report.has_code(ACCESS_CODES) || begins(ACCESS_PHRASES) => {
            Some(OperatorFault::Access)
        }
        400 | 409 | 422 if is_about_model(report, &message, upstream_model) => {
            Some(OperatorFault::Model)
        }
        400 if report.is_page => Some(OperatorFault::Endpoint),
        _ => None,
    }
}

/// Whether a 400 is about the name of the model, which is the operator's.
fn is_about_model(report: &ErrorReport, message: &str, upstream_model: &str) -> bool {
    let upstream_model = upstream_model.to_ascii_lowercase();
    let names_it = message
        .strip_prefix(upstream_model.as_str())
        .is_some_and(|rest| rest.trim_start().starts_with("is not a valid model"));
    let says_so = ["the model", "the requested model"]
        .iter()
        .any(|start| message.starts_with(start))
        && MODEL_WORDS.iter().any(|word| message.contains(word));
    report.has_code(MODEL_CODES)
        || report.param.as_deref() == Some("model")
        || names_it
        || says_so
        || MODEL_PHRASES
            .iter()
            .any(|phrase| message.starts_with(phrase))
}

/// Whether the caller could have avoided it; then, whether only this account's limit is in the way.
fn is_callers(status: u16, report: &ErrorReport) -> Option<bool> {
    let message = report.message.as_deref().unwrap_or_default();
    let message = message.trim_start().to_ascii_lowercase();
    let is_too_large = REQUEST_LIMIT_PHRASES
        .iter()
        .any(|phrase| message.starts_with(phrase));
    match status {
        429 => is_too_large.then_some(true),
        400 | 409 | 413 | 415 | 422 => Some(false),
        403 => caller_code(report).map(|_| false),
        _ => None,
    }
}

/// The code by which callers know what to do, if the provider gives one or means one.
fn caller_code(report: &ErrorReport) -> Option<&'static str> {
    if report.is_flagged {
        return Some("content_filter");
    }
    let coded = CALLER_CODES
        .iter()
        .find(|(_, words)| report.has_code(words));
    let message = report.message.as_deref().unwrap_or_default();
    let message = message.trim_start().to_ascii_lowercase();
    let meant = || {
        CALLER_PHRASES
            .iter()
            .find(|(_, phrases)| phrases.iter().any(|phrase| message.starts_with(phrase)))
    };
    coded.or_else(meant).map(|(code, _)| *code)
}

/// Names the parameter, if the message does not.
fn with_param(message: String, param: Option<&str>) -> String {
    match param {
        Some(param) if !message.contains(param) => format!("{param}: {message}"),
        _ => message,
    }
}

/// The status that an error has which came with status 200, by what it says of itself.
pub(super) fn status_of(report: &ErrorReport) -> u16 {
    const CODES: &[(u16, &[&str])] = &[
        (
            401,
            &["authentication_error", "unauthenticated", "invalid_api_key"],
        ),
        (402, &["billing_error", "insufficient_quota"]),
        (403, &["permission_error", "permission_denied"]),
        (404, &["not_found_error", "not_found", "model_not_found"]),
        (413, &["request_too_large"]),
        (
            429,
            &[
                "rate_limit_error",
                "rate_limit_exceeded",
                "resource_exhausted",
                "tokens",
            ],
        ),
        (
            400,
            &[
                "invalid_request_error",
                "invalid_argument",
                "failed_precondition",
            ],
        ),
    ];
    let known = || CODES.iter().find(|(_, words)| report.has_code(words));
    let named = report.status.or_else(|| known().map(|(status, _)| *status));
    let unnamed = || match caller_code(report) {
        Some(_) => 400,
        None => 500,
    };
    named.unwrap_or_else(unnamed)
}

/// What an error event in the middle of a stream means. Nothing of its words is shown: there is no
/// telling what they hold.
pub(crate) fn in_stream(data: &str) -> UpstreamFailure {
    let report = ErrorReport::read(data.as_bytes());
    let message = "the provider reported an error within its stream".to_owned();
    let key = tollgate_common::secret::Secret::new("");
    let scrub = Scrub {
        key: &key,
        host: "",
        upstream_model: "",
        alias: "",
    };
    let status = status_of(&report);
    match classify(status, None, &report, &scrub) {
        UpstreamFailure::Rejected(rejection) => UpstreamFailure::Rejected(Box::new(Rejection {
            message: "the model refused the request".to_owned(),
            param: None,
            ..*rejection
        })),
        UpstreamFailure::Operator { fault, status, .. } => UpstreamFailure::Operator {
            fault,
            status,
            message,
        },
        UpstreamFailure::ServerError { retry_after, .. } => UpstreamFailure::ServerError {
            status,
            message,
            retry_after,
        },
        other => other,
    }
}
