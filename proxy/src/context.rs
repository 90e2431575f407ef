//! What is known about one request while it is answered, for headers and the log.

use std::sync::Arc;
use std::time::Instant;

use http::StatusCode;
use pingora::proxy::Session;
use tollgate_common::id::{CallId, JobId, TeamId};

use crate::services::{Drain, InFlight, Services};

/// The longest request id that is taken over from a caller, in characters.
const REQUEST_ID_LENGTH_MAX: usize = 64;

/// What is known about one request.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) request_id: String,
    pub(crate) status: StatusCode,
    pub(crate) team_id: Option<TeamId>,
    pub(crate) job_id: Option<JobId>,
    pub(crate) call_id: Option<CallId>,
    began: Instant,
    _in_flight: InFlight,
}

impl Context {
    pub(crate) fn new(drain: &Arc<Drain>) -> Self {
        Self {
            request_id: String::new(),
            status: StatusCode::INTERNAL_SERVER_ERROR,
            team_id: None,
            job_id: None,
            call_id: None,
            began: Instant::now(),
            _in_flight: InFlight::begin(drain),
        }
    }

    /// Takes the caller's request id if it is a plain word, else makes one.
    pub(crate) fn identify(&mut self, session: &Session, services: &Services) {
        let given = session
            .get_header("x-request-id")
            .and_then(|value| value.to_str().ok());
        let is_word = |text: &&str| {
            (1..=REQUEST_ID_LENGTH_MAX).contains(&text.len())
                && text
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
        };
        self.request_id = given.filter(is_word).map_or_else(
            || JobId::new(services.clock.now(), &*services.random).to_string(),
            str::to_owned,
        );
    }

    /// One line for each request: what, for whom, how it ended. Never a key, prompt or answer.
    pub(crate) fn log(&self, session: &Session, error: Option<&pingora::Error>) {
        let header = session.req_header();
        let latency_ms = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        tracing::debug!(
            request_id = self.request_id,
            method = header.method.as_str(),
            path = header.uri.path(),
            status = self.status.as_u16(),
            latency_ms,
            team_id = self.team_id.as_ref().map(TeamId::as_str),
            job_id = self.job_id.map(tracing::field::display),
            call_id = self.call_id.map(tracing::field::display),
            error = error.map(|error| error.etype().as_str()),
            "request"
        );
    }
}
