//! Sends a call to its provider and takes the whole answer, within bounds of size and time.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{StatusCode, header};
use pingora::connectors::ConnectorOptions;
use pingora::connectors::http::Connector;
use pingora::http::RequestHeader;
use pingora::protocols::http::client::HttpSession;
use pingora::upstreams::peer::HttpPeer;
use tollgate_common::config::Config;
use tollgate_common::provider::{BaseUrl, ProviderKind};
use tollgate_common::secret::Secret;

use crate::breaker::Outcome;
use crate::chat::Untranslatable;
use crate::provider::{self, Encoded};
use crate::resolve::Resolver;

/// How long an idle connection to a provider is kept. Most servers close theirs after a minute.
const KEEPALIVE: Duration = Duration::from_secs(50);

/// A longer wait than a day is not meant.
const RETRY_AFTER_SECONDS_MAX: f64 = 86_400.0;

/// How many addresses of a provider's name are tried.
const ADDRESSES_MAX: usize = 3;

/// Why a provider did not answer a call.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum UpstreamFailure {
    /// The provider says that the request is wrong: its own words, scrubbed.
    #[error("{message}")]
    Rejected { status: u16, message: String },
    /// The provider does not accept our key.
    #[error("The model is temporarily unavailable")]
    Unauthorized { status: u16, message: String },
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
    Timeout { phase: &'static str },
    /// The connection broke before the answer was complete.
    #[error("The model's answer was cut off")]
    Cut { reason: String },
    /// The answer is larger than we take.
    #[error("The model's answer was too large")]
    TooLarge { bytes_max: usize },
    /// The answer is not what it should be.
    #[error("The model's answer was not valid")]
    Invalid { reason: String },
    /// The provider has no word for something that the caller asked for.
    #[error("{}: {}", .0.field, .0.message)]
    Untranslatable(Untranslatable),
    /// Every key of every provider of the model has failed lately and is left alone.
    #[error("The model is temporarily unavailable")]
    CircuitOpen { retry_after: Duration },
    /// The caller has gone, and its team does not want calls to be finished then.
    #[error("The caller closed the connection")]
    CallerGone,
}

impl UpstreamFailure {
    /// What callers are told.
    pub(crate) const fn status(&self) -> StatusCode {
        match self {
            Self::Rejected { .. } | Self::Untranslatable(_) => StatusCode::BAD_REQUEST,
            Self::RateLimited { .. } => StatusCode::TOO_MANY_REQUESTS,
            _ => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// When callers may try again, if that can help.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Rejected { .. } | Self::Untranslatable(_) => None,
            Self::RateLimited { retry_after } => {
                Some(retry_after.unwrap_or(Duration::from_secs(5)))
            }
            Self::ServerError {
                retry_after: Some(wait),
                ..
            }
            | Self::CircuitOpen { retry_after: wait } => Some(*wait),
            _ => Some(Duration::from_secs(1)),
        }
    }

    /// The word by which operators group failures.
    pub(crate) const fn kind(&self) -> &'static str {
        match self {
            Self::Rejected { .. } => "provider_rejected",
            Self::Unauthorized { .. } => "provider_unauthorized",
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

    /// What it tells about the key that was used.
    pub(crate) const fn outcome(&self) -> Outcome {
        match self {
            Self::Unauthorized { status: 401, .. } => Outcome::Unauthorized,
            // A 403 may be about the one model; others may still be served with the key.
            Self::Unauthorized { .. }
            | Self::Rejected { .. }
            | Self::Untranslatable(_)
            | Self::CallerGone
            | Self::CircuitOpen { .. } => Outcome::Neutral,
            Self::RateLimited { retry_after } => Outcome::RateLimited {
                retry_after: *retry_after,
            },
            _ => Outcome::Failure,
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

    /// Whether the same provider may do better in a moment. A provider that was only slow may be at
    /// work still, and would be paid twice.
    pub(crate) const fn is_worth_repeating(&self) -> bool {
        matches!(
            self,
            Self::RateLimited { .. }
                | Self::ServerError { .. }
                | Self::Connect { .. }
                | Self::Cut { .. }
                | Self::Invalid { .. }
        )
    }

    /// What operators read in the call's row.
    pub(crate) fn for_operators(&self) -> String {
        match self {
            Self::Rejected { status, message }
            | Self::Unauthorized { status, message }
            | Self::ServerError {
                status, message, ..
            } => format!("status {status}: {message}"),
            Self::RateLimited { .. } => "status 429".to_owned(),
            Self::Connect { reason } | Self::Cut { reason } | Self::Invalid { reason } => {
                format!("{self}: {reason}")
            }
            Self::Untranslatable(_) | Self::CircuitOpen { .. } | Self::CallerGone => {
                self.to_string()
            }
            Self::Timeout { phase } => format!("{self}: {phase}"),
            Self::TooLarge { bytes_max } => format!("{self}: more than {bytes_max} bytes"),
        }
    }
}

/// Bounds of an exchange with a provider.
#[derive(Debug, Clone, Copy)]
struct Bounds {
    connect: Duration,
    first_byte: Duration,
    idle: Duration,
    response_bytes_max: usize,
}

/// Where a request goes, and what is sent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Target<'a> {
    pub(crate) base_url: &'a BaseUrl,
    pub(crate) kind: ProviderKind,
    pub(crate) key: &'a Secret,
    /// Whether the answer is wanted piece by piece.
    pub(crate) stream: bool,
    pub(crate) request: &'a Encoded,
}

/// A provider's answer, taken whole.
#[derive(Debug)]
pub(crate) struct UpstreamReply {
    pub(crate) status: u16,
    pub(crate) retry_after: Option<Duration>,
    pub(crate) body: Bytes,
}

/// A provider's answer of which the header has come.
pub(crate) struct Exchange<'f> {
    forwarder: &'f Forwarder,
    session: HttpSession,
    peer: HttpPeer,
    pub(crate) status: u16,
    pub(crate) retry_after: Option<Duration>,
    /// Whether the body is a stream of events.
    pub(crate) is_event_stream: bool,
}

/// The connections to providers.
pub(crate) struct Forwarder {
    connector: Connector,
    resolver: Resolver,
    bounds: Bounds,
}

impl std::fmt::Debug for Forwarder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Forwarder")
            .field("bounds", &self.bounds)
            .finish_non_exhaustive()
    }
}

impl Forwarder {
    pub(crate) fn new(config: &Config) -> Self {
        let options = ConnectorOptions::new(config.upstream_keepalive_connections);
        Self {
            connector: Connector::new(Some(options)),
            resolver: Resolver::default(),
            bounds: Bounds {
                connect: config.upstream_connect_timeout,
                first_byte: config.upstream_first_byte_timeout,
                idle: config.upstream_idle_timeout,
                response_bytes_max: config.response_bytes_max,
            },
        }
    }

    /// Sends a request and waits for the header of the answer.
    ///
    /// A pooled connection that turns out to be dead before a byte of answer has come is replaced
    /// by a new one, once: the server had closed it before it saw the request.
    pub(crate) async fn open(&self, target: Target<'_>) -> Result<Exchange<'_>, UpstreamFailure> {
        let addresses = self.addresses(target.base_url).await?;
        let (mut session, mut peer, reused) = self.connect(target.base_url, &addresses).await?;
        let mut begun = self.begin(&mut session, target).await;
        if reused && begun.as_ref().is_err_and(|error| was_closed(error)) {
            let (fresh, fresh_peer, _) = self.connect_fresh(target.base_url, &addresses).await?;
            (session, peer) = (fresh, fresh_peer);
            begun = self.begin(&mut session, target).await;
        }
        begun.map_err(|error| exchange_failure(&error, "first byte"))?;
        session.set_read_timeout(Some(self.bounds.idle));
        let header = session.response_header();
        let text = |name| header.and_then(|header| header.headers.get(name)?.to_str().ok());
        Ok(Exchange {
            status: header.map_or(0, |header| header.status.as_u16()),
            retry_after: text(header::RETRY_AFTER).and_then(parse_retry_after),
            is_event_stream: text(header::CONTENT_TYPE)
                .is_some_and(|value| value.trim_start().starts_with("text/event-stream")),
            forwarder: self,
            session,
            peer,
        })
    }

    async fn addresses(&self, base_url: &BaseUrl) -> Result<Vec<SocketAddr>, UpstreamFailure> {
        self.resolver
            .addresses(base_url.host(), base_url.port())
            .await
            .map_err(|reason| UpstreamFailure::Connect { reason })
    }

    async fn connect(
        &self,
        base_url: &BaseUrl,
        addresses: &[SocketAddr],
    ) -> Result<(HttpSession, HttpPeer, bool), UpstreamFailure> {
        let mut failure = UpstreamFailure::Connect {
            reason: "the name has no address".to_owned(),
        };
        for address in addresses.iter().take(ADDRESSES_MAX) {
            let peer = self.peer(base_url, *address);
            match self.connector.get_http_session(&peer).await {
                Ok((session, reused)) => return Ok((session, peer, reused)),
                Err(error) => failure = connect_failure(&error),
            }
        }
        Err(failure)
    }

    /// Empties the pool of this peer until a connection is new.
    async fn connect_fresh(
        &self,
        base_url: &BaseUrl,
        addresses: &[SocketAddr],
    ) -> Result<(HttpSession, HttpPeer, bool), UpstreamFailure> {
        loop {
            let connected = self.connect(base_url, addresses).await?;
            if !connected.2 {
                return Ok(connected);
            }
        }
    }

    fn peer(&self, base_url: &BaseUrl, address: SocketAddr) -> HttpPeer {
        let mut peer = HttpPeer::new(address, base_url.is_tls(), base_url.host().to_owned());
        peer.options.connection_timeout = Some(self.bounds.connect);
        peer.options.total_connection_timeout = Some(self.bounds.connect);
        peer.options.idle_timeout = Some(KEEPALIVE);
        peer
    }

    /// Sends the request and waits for the header of the answer.
    async fn begin(&self, session: &mut HttpSession, target: Target<'_>) -> pingora::Result<()> {
        session.set_write_timeout(Some(self.bounds.idle));
        session.set_read_timeout(Some(self.bounds.first_byte));
        let header = request_header(target)?;
        session.write_request_header(Box::new(header)).await?;
        let body = target.request.body.clone();
        session.write_request_body(body, true).await?;
        session.finish_request_body().await?;
        loop {
            session.read_response_header().await?;
            match session.response_header().map(|header| header.status) {
                Some(status) if status.is_informational() => {}
                _ => return Ok(()),
            }
        }
    }
}

impl Exchange<'_> {
    /// Takes the whole answer and gives the connection back.
    pub(crate) async fn read_whole(mut self) -> Result<UpstreamReply, UpstreamFailure> {
        let body = self.read_body().await?;
        let (status, retry_after) = (self.status, self.retry_after);
        self.release().await;
        Ok(UpstreamReply {
            status,
            retry_after,
            body,
        })
    }

    /// Takes the whole body.
    pub(crate) async fn read_body(&mut self) -> Result<Bytes, UpstreamFailure> {
        let bytes_max = self.forwarder.bounds.response_bytes_max;
        let mut body = BytesMut::new();
        while let Some(piece) = self.next_piece().await? {
            if body.len() + piece.len() > bytes_max {
                self.session.shutdown().await;
                return Err(UpstreamFailure::TooLarge { bytes_max });
            }
            body.extend_from_slice(&piece);
        }
        Ok(body.freeze())
    }

    /// The next bytes of the answer; nothing once it has ended.
    pub(crate) async fn next_piece(&mut self) -> Result<Option<Bytes>, UpstreamFailure> {
        let piece = self.session.read_response_body().await;
        piece.map_err(|error| exchange_failure(&error, "idle"))
    }

    /// Gives the connection back after the answer has been read to its end.
    pub(crate) async fn release(self) {
        let connector = &self.forwarder.connector;
        connector
            .release_http_session(self.session, &self.peer, Some(KEEPALIVE))
            .await;
    }
}

/// Seconds, or nothing: providers do not say dates.
fn parse_retry_after(text: &str) -> Option<Duration> {
    let seconds: f64 = text.trim().parse().ok()?;
    (0.0..=RETRY_AFTER_SECONDS_MAX)
        .contains(&seconds)
        .then(|| Duration::from_secs_f64(seconds))
}

/// The whole header is made here: nothing of the caller's request travels on but its translation.
fn request_header(target: Target<'_>) -> pingora::Result<RequestHeader> {
    let path = target.base_url.path_of(&target.request.endpoint);
    let accept = if target.stream {
        "text/event-stream"
    } else {
        "application/json"
    };
    let mut header = RequestHeader::build("POST", path.as_bytes(), Some(8))?;
    header.insert_header(header::HOST, target.base_url.authority())?;
    header.insert_header(header::CONTENT_TYPE, "application/json")?;
    header.insert_header(header::ACCEPT, accept)?;
    header.insert_header(
        header::USER_AGENT,
        concat!("tollgate/", env!("CARGO_PKG_VERSION")),
    )?;
    header.insert_header(header::CONTENT_LENGTH, target.request.body.len())?;
    for (name, value) in provider::headers(target.kind, target.base_url, target.key) {
        header.insert_header(name, value.as_ref())?;
    }
    Ok(header)
}

/// Whether the other side had closed the connection when the request came.
fn was_closed(error: &pingora::Error) -> bool {
    use pingora::ErrorType::{ConnectionClosed, ReadError, WriteError};
    matches!(error.etype(), ConnectionClosed | ReadError | WriteError)
}

fn connect_failure(error: &pingora::Error) -> UpstreamFailure {
    match error.etype() {
        pingora::ErrorType::ConnectTimedout | pingora::ErrorType::TLSHandshakeTimedout => {
            UpstreamFailure::Timeout { phase: "connect" }
        }
        other => UpstreamFailure::Connect {
            reason: other.as_str().to_owned(),
        },
    }
}

fn exchange_failure(error: &pingora::Error, phase: &'static str) -> UpstreamFailure {
    match error.etype() {
        pingora::ErrorType::ReadTimedout | pingora::ErrorType::WriteTimedout => {
            UpstreamFailure::Timeout { phase }
        }
        other => UpstreamFailure::Cut {
            reason: other.as_str().to_owned(),
        },
    }
}
