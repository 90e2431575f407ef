//! Sends a call to its provider and takes the whole answer, within bounds of size and time.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header;
use pingora::connectors::ConnectorOptions;
use pingora::connectors::http::Connector;
use pingora::http::RequestHeader;
use pingora::protocols::http::client::HttpSession;
use pingora::upstreams::peer::HttpPeer;
use tollgate_common::clock::Clock;
use tollgate_common::config::Config;
use tollgate_common::provider::{BaseUrl, ProviderKind};
use tollgate_common::secret::Secret;

use crate::provider::failure::{self, Phase};
use crate::provider::{self, Encoded};
use crate::resolve::Resolver;

pub(crate) use crate::provider::failure::UpstreamFailure;

/// How long an idle connection to a provider is kept. Most servers close theirs after a minute or
/// more; those that close sooner are noticed when a connection is taken from the pool.
const KEEPALIVE: Duration = Duration::from_secs(50);

/// How many addresses of a provider's name are tried.
const ADDRESSES_MAX: usize = 3;

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
    clock: Arc<dyn Clock>,
}

impl std::fmt::Debug for Forwarder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Forwarder")
            .field("bounds", &self.bounds)
            .finish_non_exhaustive()
    }
}

impl Forwarder {
    pub(crate) fn new(config: &Config, clock: Arc<dyn Clock>) -> Self {
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
            clock,
        }
    }

    /// Sends a request and waits for the header of the answer.
    ///
    /// A pooled connection that turns out to be dead is replaced by a new one, once, if it is
    /// certain that the server has not taken the request. Otherwise the exchange has failed:
    /// whether the request is sent again is for the plan to decide and to record.
    pub(crate) async fn open(&self, target: Target<'_>) -> Result<Exchange<'_>, UpstreamFailure> {
        let addresses = self.addresses(target.base_url).await?;
        let (mut session, mut peer, reused) = self.connect(target.base_url, &addresses).await?;
        let mut begun = self.begin(&mut session, target).await;
        if reused && begun.as_ref().is_err_and(|broken| broken.is_unsent) {
            let (fresh, fresh_peer, _) = self.connect_fresh(target.base_url, &addresses).await?;
            (session, peer) = (fresh, fresh_peer);
            begun = self.begin(&mut session, target).await;
        }
        begun.map_err(|broken| exchange_failure(&broken.error, Phase::FirstByte))?;
        session.set_read_timeout(target.stream.then_some(self.bounds.idle));
        let header = session.response_header();
        let text = |name| header.and_then(|header| header.headers.get(name)?.to_str().ok());
        let now = self.clock.now();
        Ok(Exchange {
            status: header.map_or(0, |header| header.status.as_u16()),
            retry_after: header.and_then(|header| failure::retry_after(&header.headers, now)),
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
    async fn begin(&self, session: &mut HttpSession, target: Target<'_>) -> Result<(), Broken> {
        session.set_write_timeout(Some(self.bounds.idle));
        // The header of a whole answer comes when the answer is done: only the caller of this
        // function bounds the time for that.
        session.set_read_timeout(target.stream.then_some(self.bounds.first_byte));
        let acknowledged = acknowledged_bytes(session);
        write_request(session, target)
            .await
            .map_err(|error| Broken {
                is_unsent: matches!(error.etype(), pingora::ErrorType::WriteError),
                error,
            })?;
        loop {
            if let Err(error) = session.read_response_header().await {
                let is_closed = matches!(error.etype(), pingora::ErrorType::ConnectionClosed);
                // An orderly end acknowledges what has come until then.
                let is_unsent = is_closed
                    && acknowledged.is_some()
                    && acknowledged == acknowledged_bytes(session);
                return Err(Broken { error, is_unsent });
            }
            match session.response_header().map(|header| header.status) {
                Some(status) if status.is_informational() => {}
                _ => return Ok(()),
            }
        }
    }
}

/// An exchange that broke before the header of the answer had come.
struct Broken {
    error: Box<pingora::Error>,
    /// Whether the server has certainly not taken the request: a part of it could not be written,
    /// or the server had closed the connection before any of it came.
    is_unsent: bool,
}

async fn write_request(session: &mut HttpSession, target: Target<'_>) -> pingora::Result<()> {
    let header = request_header(target)?;
    session.write_request_header(Box::new(header)).await?;
    let body = target.request.body.clone();
    session.write_request_body(body, true).await?;
    session.finish_request_body().await
}

/// How much of what was sent on this connection the other side has acknowledged, where the system
/// tells.
fn acknowledged_bytes(session: &HttpSession) -> Option<u64> {
    let socket = session.digest()?.socket_digest.as_ref()?;
    let info = socket.tcp_info()?;
    // Systems that do not tell fill the structure with zeros.
    (info.tcpi_segs_out > 0).then_some(info.tcpi_bytes_acked)
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
        piece.map_err(|error| exchange_failure(&error, Phase::Idle))
    }

    /// Gives the connection back after the answer has been read to its end.
    pub(crate) async fn release(self) {
        let connector = &self.forwarder.connector;
        connector
            .release_http_session(self.session, &self.peer, Some(KEEPALIVE))
            .await;
    }
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
    // Answers are read as they come; servers that compress must be told not to.
    header.insert_header(header::ACCEPT_ENCODING, "identity")?;
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

fn connect_failure(error: &pingora::Error) -> UpstreamFailure {
    match error.etype() {
        pingora::ErrorType::ConnectTimedout | pingora::ErrorType::TLSHandshakeTimedout => {
            UpstreamFailure::Timeout {
                phase: Phase::Connect,
            }
        }
        other => UpstreamFailure::Connect {
            reason: other.as_str().to_owned(),
        },
    }
}

fn exchange_failure(error: &pingora::Error, phase: Phase) -> UpstreamFailure {
    match error.etype() {
        pingora::ErrorType::ReadTimedout => UpstreamFailure::Timeout { phase },
        // The provider has not taken the whole request, so it is not at work on it.
        other => UpstreamFailure::Cut {
            reason: other.as_str().to_owned(),
        },
    }
}
