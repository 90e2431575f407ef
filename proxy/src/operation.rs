//! Which LLM operation a request asks for, and in whose words its caller speaks.

use http::{HeaderMap, Method};
use pingora::proxy::Session;
use tollgate_common::config::Config;
use tollgate_common::id::JobId;

use crate::api;
use crate::error::ApiError;
use crate::request::job::JobSpec;
use crate::request::{self, CallRequest};

/// The kind of an implicit job whose caller does not name one.
const IMPLICIT_JOB_TYPE: &str = "llm-call";

/// The longest kind of a job, in characters.
const JOB_TYPE_LENGTH_MAX: usize = 100;

/// In whose words a caller is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// Those of the job API.
    Job,
    /// Those of OpenAI's API.
    OpenAi,
    /// Those of Anthropic's API.
    Anthropic,
}

impl Dialect {
    /// The dialect of whoever uses this path.
    pub(crate) fn of_path(path: &str) -> Self {
        if path == "/v1/messages" || path.starts_with("/v1/messages/") {
            Self::Anthropic
        } else if path == "/v1" || path.starts_with("/v1/") {
            Self::OpenAi
        } else {
            Self::Job
        }
    }
}

/// An operation that asks a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Operation {
    /// A call in a job that the caller has opened: its id as the caller wrote it.
    JobCall { job: String, stream: bool },
    /// A job of one call, created with it.
    SingleCall { stream: bool },
    /// OpenAI's chat completions.
    Completions,
    /// OpenAI's embeddings.
    Embeddings,
    /// Anthropic's messages.
    Messages,
}

/// The job that a call belongs to.
#[derive(Debug)]
pub(crate) enum Home {
    /// One that is open, or so its caller says.
    Open(JobId),
    /// One of its own, which begins and ends with it.
    Own(JobSpec),
}

impl Operation {
    /// The operation that a request asks for, if it asks for one.
    pub(crate) fn of(session: &Session) -> Option<Self> {
        let header = session.req_header();
        if header.method != Method::POST {
            return None;
        }
        Self::of_path(header.uri.path())
    }

    fn of_path(path: &str) -> Option<Self> {
        match path {
            "/v1/chat/completions" => return Some(Self::Completions),
            "/v1/embeddings" => return Some(Self::Embeddings),
            "/v1/messages" => return Some(Self::Messages),
            "/api/jobs/create-and-call" => return Some(Self::SingleCall { stream: false }),
            "/api/jobs/create-and-call-stream" => return Some(Self::SingleCall { stream: true }),
            _ => {}
        }
        let (job, verb) = path.strip_prefix("/api/jobs/")?.split_once('/')?;
        let stream = match verb {
            "llm-call" => false,
            "llm-call-stream" => true,
            _ => return None,
        };
        Some(Self::JobCall {
            job: job.to_owned(),
            stream,
        })
    }

    pub(crate) const fn dialect(&self) -> Dialect {
        match self {
            Self::JobCall { .. } | Self::SingleCall { .. } => Dialect::Job,
            Self::Completions | Self::Embeddings => Dialect::OpenAi,
            Self::Messages => Dialect::Anthropic,
        }
    }

    /// Whether a refused call leaves a failed job behind: its caller asked for a job by name.
    pub(crate) const fn records_refusals(&self) -> bool {
        matches!(self, Self::SingleCall { .. })
    }

    /// Whether a stream begins with a comment before a provider has answered. Its caller learns at
    /// once that the job is there, and how it is called; the status can say no more after that.
    pub(crate) const fn begins_at_once(&self) -> bool {
        matches!(self, Self::SingleCall { .. })
    }

    /// Reads the body, and which job the call belongs to.
    pub(crate) fn parse<'b>(
        &self,
        headers: &HeaderMap,
        body: &'b [u8],
        config: &Config,
    ) -> Result<(Home, CallRequest<'b>), ApiError> {
        match self {
            Self::JobCall { job, stream } => {
                let home = Home::Open(api::job::parse_id(job)?);
                let request = CallRequest::parse(body, config.metadata_bytes_max)?;
                Ok((
                    home,
                    CallRequest {
                        stream: *stream,
                        ..request
                    },
                ))
            }
            Self::SingleCall { stream } => {
                let (spec, request) = request::job::parse(body, config.metadata_bytes_max)?;
                Ok((
                    Home::Own(spec),
                    CallRequest {
                        stream: *stream,
                        ..request
                    },
                ))
            }
            Self::Completions => Ok((
                home_by_header(headers)?,
                CallRequest::parse_completions(body)?,
            )),
            Self::Embeddings => Ok((home_by_header(headers)?, request::embeddings::parse(body)?)),
            Self::Messages => Ok((home_by_header(headers)?, request::messages::parse(body)?)),
        }
    }
}

/// The job that a header names, else one of the call's own.
fn home_by_header(headers: &HeaderMap) -> Result<Home, ApiError> {
    let text = |name| {
        headers
            .get(name)
            .map(|value| value.to_str().unwrap_or_default())
    };
    if let Some(job) = text("x-tollgate-job-id") {
        return api::job::parse_id(job).map(Home::Open);
    }
    let job_type = text("x-tollgate-job-type").unwrap_or(IMPLICIT_JOB_TYPE);
    if job_type.is_empty() || job_type.chars().count() > JOB_TYPE_LENGTH_MAX {
        return Err(ApiError::MalformedRequest(format!(
            "x-tollgate-job-type must have 1 to {JOB_TYPE_LENGTH_MAX} visible characters"
        )));
    }
    Ok(Home::Own(JobSpec::implicit(job_type)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_are_known_by_their_path() {
        let job = |stream| Operation::JobCall {
            job: "j".to_owned(),
            stream,
        };
        for (path, operation) in [
            ("/api/jobs/j/llm-call", Some(job(false))),
            ("/api/jobs/j/llm-call-stream", Some(job(true))),
            (
                "/api/jobs/create-and-call",
                Some(Operation::SingleCall { stream: false }),
            ),
            (
                "/api/jobs/create-and-call-stream",
                Some(Operation::SingleCall { stream: true }),
            ),
            ("/v1/chat/completions", Some(Operation::Completions)),
            ("/v1/messages", Some(Operation::Messages)),
            ("/v1/embeddings", Some(Operation::Embeddings)),
            ("/api/jobs/create", None),
            ("/api/jobs/j/k/llm-call", None),
            ("/api/jobs/j/complete", None),
            ("/v1/models", None),
        ] {
            assert_eq!(Operation::of_path(path), operation, "{path}");
        }
    }

    #[test]
    fn errors_are_told_in_the_words_of_the_path() {
        assert_eq!(Dialect::of_path("/v1/messages"), Dialect::Anthropic);
        assert_eq!(Dialect::of_path("/v1/nothing"), Dialect::OpenAi);
        assert_eq!(Dialect::of_path("/v11"), Dialect::Job);
        assert_eq!(Dialect::of_path("/api/jobs/create"), Dialect::Job);
    }
}
