//! Why a provider did not answer a call, whose trouble that is, and what callers are told of it.
//!
//! A refusal is the caller's only if the caller could have avoided it. The provider's key, account,
//! model name, region and address are the operator's: callers learn no more of them than that the
//! model is not available.

use std::time::Duration;

use http::StatusCode;

use super::members::Members;
use crate::breaker::Outcome;
use crate::chat::Untranslatable;
use crate::steps::forward::UpstreamReply;

mod classify;
mod reader;
mod retry_after;
mod scrub;
#[cfg(test)]
mod tests;

pub(crate) use classify::in_stream;
pub(crate) use retry_after::of_headers as retry_after;
pub(crate) use scrub::Scrub;

/// What is wrong on the operator's side of a provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OperatorFault {
    /// The provider does not accept the key.
    Key,
    /// The account has no money, is blocked or was closed.
    Account,
    /// The account may not do this: a missing right, a region.
    Access,
    /// The provider does not know the model, or not any more.
    Model,
    /// Nothing of the provider's API is at the base URL.
    Endpoint,
}

impl OperatorFault {
    /// The word by which operators group failures.
    pub(crate) const fn kind(self) -> &'static str {
        match self {
            Self::Key | Self::Access => "provider_unauthorized",
            Self::Account => "provider_account",
            Self::Model => "provider_model_unknown",
            Self::Endpoint => "provider_misconfigured",
        }
    }

    /// What operators read in alerts.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Key => "the key is refused",
            Self::Account => "the account cannot be used",
            Self::Access => "access is denied",
            Self::Model => "the model is unknown or retired",
            Self::Endpoint => "the base URL does not lead to the API",
        }
    }
}

/// Why a provider did not answer a call.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum UpstreamFailure {
    /// The provider says that the request is wrong: its own words, scrubbed.
    #[error("{}", .0.message)]
    Rejected(Box<Rejection>),
    /// The provider refuses for a reason that only the operator can remove.
    #[error("The model is temporarily unavailable")]
    Operator {
        fault: OperatorFault,
        status: u16,
        message: String,
    },
    /// The provider has had enough of us for now.
    #[error("The model is receiving too many requests. Please retry later")]
    RateLimited { retry_after: Option<Duration> },
    /// The provider failed.
    #[error("The model is temporarily unavailable")]
    ServerError {
        status: u16,
        message: String,
        retry_after: Option<Duration>,
    },
    /// No connection could be made.
    #[error("The model could not be reached")]
    Connect { reason: String },
    /// The provider took too long.
    #[error("The model did not answer in time (timeout)")]
    Timeout { phase: Phase },
    /// The connection broke before the answer was complete.
    #[error("The model's answer was cut off")]
    Cut { reason: String },
    /// The answer is larger than we take.
    #[error("The model's answer was too large")]
    TooLarge { bytes_max: usize },
    /// The answer came to its end, but is not what it should be.
    #[error("The model's answer was not valid")]
    Invalid { reason: String },
    /// The provider has no word for something that the caller asked for.
    #[error("{}: {}", .0.field, .0.message)]
    Untranslatable(Untranslatable),
    /// All that could serve the call is left alone, for reasons that another request cannot change.
    #[error("The model is temporarily unavailable")]
    CircuitOpen { retry_after: Duration },
    /// The caller has gone, and its team does not want calls to be finished then.
    #[error("The caller closed the connection")]
    CallerGone,
}

/// A provider's refusal of what the caller asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rejection {
    /// The provider's status.
    pub(crate) status: u16,
    /// The provider's words, scrubbed.
    pub(crate) message: String,
    /// The machine-readable code, if it is one that callers may act on.
    pub(crate) code: Option<&'static str>,
    /// The parameter that is wrong, if the provider names it.
    pub(crate) param: Option<String>,
    /// Whether another model of the call may take the request as it is.
    pub(crate) is_limit_of_account: bool,
}

/// For what a provider was waited for too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// The connection.
    Connect,
    /// The beginning of a stream.
    FirstByte,
    /// The next piece.
    Idle,
    /// The whole answer.
    Total,
}

impl Phase {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::FirstByte => "first byte",
            Self::Idle => "idle",
            Self::Total => "total",
        }
    }
}

/// How long callers are asked to wait after a rate limit of which nobody said how long it lasts.
const RATE_LIMIT_RETRY: Duration = Duration::from_secs(5);

/// How long callers are asked to wait after a failure that may be over in a moment.
const FAILURE_RETRY: Duration = Duration::from_secs(1);

impl UpstreamFailure {
    /// What callers are told.
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::Rejected(rejection) if rejection.status == 413 => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Rejected(_) | Self::Untranslatable(_) => StatusCode::BAD_REQUEST,
            Self::RateLimited { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::Timeout { .. } if self.was_accepted() => StatusCode::GATEWAY_TIMEOUT,
            _ => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// When callers may try again, if that can help. A provider that has worked on the request is
    /// paid for it, and will be again.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Rejected(_) | Self::Untranslatable(_) => None,
            _ if self.is_costly_to_repeat() => None,
            Self::RateLimited { retry_after } => Some(retry_after.unwrap_or(RATE_LIMIT_RETRY)),
            Self::ServerError {
                retry_after: Some(wait),
                ..
            }
            | Self::CircuitOpen { retry_after: wait } => Some(*wait),
            _ => Some(FAILURE_RETRY),
        }
    }

    /// Whether a provider has done the work that was asked for, or is still at it.
    pub(crate) const fn is_costly_to_repeat(&self) -> bool {
        match self {
            Self::Invalid { .. } | Self::TooLarge { .. } => true,
            Self::Timeout { .. } => self.was_accepted(),
            _ => false,
        }
    }

    /// Whether it is a time-out that came after the provider had taken the request.
    pub(crate) const fn was_accepted(&self) -> bool {
        matches!(
            self,
            Self::Timeout {
                phase: Phase::FirstByte | Phase::Idle | Phase::Total
            }
        )
    }

    /// The word by which operators group failures.
    pub(crate) const fn kind(&self) -> &'static str {
        match self {
            Self::Rejected(_) => "provider_rejected",
            Self::Operator { fault, .. } => fault.kind(),
            Self::RateLimited { .. } => "provider_rate_limited",
            Self::ServerError { .. } => "provider_error",
            Self::Connect { .. } => "provider_unreachable",
            Self::Timeout { .. } => "provider_timeout",
            Self::Cut { .. } => "provider_cut",
            Self::TooLarge { .. } => "provider_too_large",
            Self::Invalid { .. } => "provider_invalid",
            Self::Untranslatable(_) => "caller_untranslatable",
            Self::CircuitOpen { .. } => "provider_circuit_open",
            Self::CallerGone => "caller_gone",
        }
    }

    /// What it tells about the key, the model and the host that were used.
    pub(crate) const fn outcome(&self) -> Outcome {
        match self {
            Self::Operator { fault, .. } => match fault {
                OperatorFault::Key | OperatorFault::Account => Outcome::KeyRefused,
                // They concern the one model, and with other models the key may be good.
                OperatorFault::Access | OperatorFault::Model | OperatorFault::Endpoint => {
                    Outcome::Failure
                }
            },
            Self::RateLimited { retry_after } => Outcome::RateLimited {
                retry_after: *retry_after,
            },
            Self::Connect { .. }
            | Self::Timeout {
                phase: Phase::Connect,
            } => Outcome::Unreachable,
            // What a whole answer holds says nothing about the provider's health, whether or not
            // we can use it.
            Self::Rejected(_) | Self::Invalid { .. } | Self::TooLarge { .. } => Outcome::Answered,
            Self::Untranslatable(_) | Self::CallerGone | Self::CircuitOpen { .. } => {
                Outcome::Neutral
            }
            Self::ServerError { .. } | Self::Timeout { .. } | Self::Cut { .. } => Outcome::Failure,
        }
    }

    /// How long the provider wants to be left alone, if it says so.
    pub(crate) const fn asked_pause(&self) -> Option<Duration> {
        match self {
            Self::RateLimited { retry_after } | Self::ServerError { retry_after, .. } => {
                *retry_after
            }
            _ => None,
        }
    }

    /// Whether the same provider may do better in a moment. One that was only slow may be at work
    /// still, and one whose answer cannot be used has done it: both would be paid twice.
    pub(crate) const fn is_worth_repeating(&self) -> bool {
        matches!(
            self,
            Self::RateLimited { .. }
                | Self::ServerError { .. }
                | Self::Connect { .. }
                | Self::Cut { .. }
        )
    }

    /// Whether another key of the same provider may do where this one does not.
    pub(crate) const fn concerns_key(&self) -> bool {
        matches!(
            self,
            Self::RateLimited { .. }
                | Self::Operator {
                    fault: OperatorFault::Key | OperatorFault::Account | OperatorFault::Access,
                    ..
                }
        )
    }

    /// Whether the call ends with it, because no other model would do better.
    pub(crate) fn ends_call(&self) -> bool {
        match self {
            Self::Rejected(rejection) => !rejection.is_limit_of_account,
            Self::CallerGone => true,
            _ => false,
        }
    }

    /// What operators read in the call's row.
    pub(crate) fn for_operators(&self) -> String {
        match self {
            Self::Rejected(rejection) => {
                format!("status {}: {}", rejection.status, rejection.message)
            }
            Self::Operator {
                fault,
                status,
                message,
            } => format!("{} (status {status}): {message}", fault.as_str()),
            Self::ServerError {
                status, message, ..
            } => format!("status {status}: {message}"),
            Self::RateLimited { .. } => "status 429".to_owned(),
            Self::Connect { reason } | Self::Cut { reason } | Self::Invalid { reason } => {
                format!("{self}: {reason}")
            }
            Self::Untranslatable(_) | Self::CircuitOpen { .. } | Self::CallerGone => {
                self.to_string()
            }
            Self::Timeout { phase } => format!("{self}: {}", phase.as_str()),
            Self::TooLarge { bytes_max } => format!("{self}: more than {bytes_max} bytes"),
        }
    }
}

/// What an answer with another status than 200 means.
pub(crate) fn failure(reply: &UpstreamReply, scrub: Scrub<'_>) -> UpstreamFailure {
    let report = reader::ErrorReport::read(&reply.body);
    classify::classify(reply.status, reply.retry_after, &report, &scrub)
}

/// What a whole body with status 200 means that is an error in place of an answer; `None` if it is
/// none.
pub(crate) fn in_body(body: &[u8], scrub: Scrub<'_>) -> Option<UpstreamFailure> {
    let report = reader::ErrorReport::read(body);
    report
        .is_error
        .then(|| classify::classify(classify::status_of(&report), None, &report, &scrub))
}

/// Whether an answer, or an event of one, tells an error. Some servers have an empty member for it
/// in every answer; `is_bare` says that nothing else is told.
pub(super) fn is_error(answer: &Members<'_>, is_bare: bool) -> bool {
    let error = answer.said("error");
    error.is_some_and(|json| is_bare || json.starts_with(['{', '"']))
}

/// What an answer means that cannot be read. `lacking` is the member that should be there.
pub(crate) fn no_answer(lacking: &str) -> UpstreamFailure {
    UpstreamFailure::Invalid {
        reason: format!("nothing that can be read in {lacking}"),
    }
}

/// What it means that a provider gives a fault of its own as the reason why an answer ended.
pub(super) fn broken_off(word: &str) -> UpstreamFailure {
    let plain = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    let word: String = word.chars().filter(plain).take(40).collect();
    UpstreamFailure::ServerError {
        status: 200,
        message: format!("the provider broke the answer off: {word}"),
        retry_after: None,
    }
}
