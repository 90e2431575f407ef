//! What is sent back to a caller.

use std::time::Duration;

use bytes::Bytes;
use http::header::{HeaderName, HeaderValue};
use http::{StatusCode, header};
use pingora::http::ResponseHeader;
use pingora::proxy::Session;

use crate::error::ApiError;
use crate::operation::Dialect;

/// How long a caller may take to accept an answer, unless it is so large that this rate in bytes
/// per second takes longer.
const SEND_MAX: Duration = Duration::from_mins(1);
const SEND_RATE_MIN: u64 = 65_536;

/// A complete answer.
#[derive(Debug)]
pub(crate) struct Reply {
    status: StatusCode,
    headers: Vec<(HeaderName, HeaderValue)>,
    body: Bytes,
}

impl Reply {
    /// A JSON answer with status 200.
    pub(crate) fn json(body: impl Into<Bytes>) -> Self {
        let headers = vec![(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        )];
        Self {
            status: StatusCode::OK,
            headers,
            body: body.into(),
        }
    }

    /// An error as the caller may see it; operators get the rest in the log.
    pub(crate) fn error(error: &ApiError, dialect: Dialect) -> Self {
        error.log();
        let mut reply = Self::json(error.body_in(dialect).to_string());
        reply.status = error.status_in(dialect);
        reply.headers.extend(error.headers());
        reply
    }

    /// An answer that is a stream of events, whole or still to come.
    pub(crate) fn events(body: impl Into<Bytes>) -> Self {
        let headers = vec![
            (
                header::CONTENT_TYPE,
                HeaderValue::from_static("text/event-stream; charset=utf-8"),
            ),
            (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
            (
                HeaderName::from_static("x-accel-buffering"),
                HeaderValue::from_static("no"),
            ),
        ];
        Self {
            status: StatusCode::OK,
            headers,
            body: body.into(),
        }
    }

    /// Takes over an answer of the local router.
    pub(crate) fn from_parts(parts: http::response::Parts, body: Bytes) -> Self {
        let headers = parts
            .headers
            .iter()
            .filter(|(name, _)| *name != header::CONTENT_LENGTH)
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        Self {
            status: parts.status,
            headers,
            body,
        }
    }

    /// Adds a header whose value is made by us; one that cannot be a header is left out.
    #[must_use]
    pub(crate) fn with(mut self, name: &'static str, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.push((HeaderName::from_static(name), value));
        }
        self
    }

    pub(crate) const fn status(&self) -> StatusCode {
        self.status
    }

    /// Writes the header of an answer whose body comes piece by piece.
    pub(crate) async fn send_head(self, session: &mut Session) -> pingora::Result<()> {
        let mut header = ResponseHeader::build(self.status, Some(self.headers.len() + 1))?;
        for (name, value) in self.headers {
            header.append_header(name, value)?;
        }
        if session.req_header().version == http::Version::HTTP_11 {
            header.insert_header(header::TRANSFER_ENCODING, "chunked")?;
        }
        session.write_response_header(Box::new(header), false).await
    }

    /// Writes the answer.
    pub(crate) async fn send(self, session: &mut Session) -> pingora::Result<()> {
        let is_head = session.req_header().method == http::Method::HEAD;
        let mut header = ResponseHeader::build(self.status, Some(self.headers.len() + 1))?;
        for (name, value) in self.headers {
            header.append_header(name, value)?;
        }
        header.insert_header(header::CONTENT_LENGTH, self.body.len())?;
        let has_body = !is_head && !self.body.is_empty();
        // A caller that takes its answer by drops is given up.
        let by_rate = Duration::from_secs(self.body.len() as u64 / SEND_RATE_MIN);
        session.set_write_timeout(Some(by_rate.max(SEND_MAX)));
        session
            .write_response_header(Box::new(header), !has_body)
            .await?;
        if has_body {
            session.write_response_body(Some(self.body), true).await?;
        }
        Ok(())
    }
}
