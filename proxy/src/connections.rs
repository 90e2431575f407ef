//! The connections of callers: how many there may be, and how long one may take until its request
//! has been read.
//!
//! Pingora bounds each read, but not the whole header, and keeps idle connections for ever. So
//! each connection is served here: its first bytes are waited for, and Pingora gets them to parse
//! under a deadline.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::BytesMut;
use ipnet::IpNet;
use pingora::apps::{HttpPersistentSettings, HttpServerApp as _, ServerApp};
use pingora::protocols::Stream;
use pingora::protocols::http::ServerSession;
use pingora::proxy::HttpProxy;
use pingora::server::ShutdownWatch;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt};
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use crate::gateway::Gateway;

/// How much is read of a request before Pingora goes on.
const FIRST_READ: usize = 4_096;

/// How long a caller that is refused may take to read why.
const REFUSAL_MAX: Duration = Duration::from_secs(1);

/// What a caller is told whose connection is one too many.
const REFUSAL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\n\
    Content-Type: application/json\r\nContent-Length: 61\r\nRetry-After: 1\r\n\
    Connection: close\r\n\r\n\
    {\"detail\": \"Too many connections. Close idle ones and retry\"}";

tokio::task_local! {
    /// The request that this task reads.
    static PROGRESS: Arc<RequestProgress>;
}

/// Tells the connection how much of its request has been read.
#[derive(Debug, Default)]
struct RequestProgress {
    header_complete: Notify,
    request_complete: Notify,
}

/// Notes that the header of the current connection's request has been read.
pub(crate) fn note_header_complete() {
    let _ = PROGRESS.try_with(|progress| progress.header_complete.notify_one());
}

/// Notes that the current connection's request has been read with its body. Until then its
/// connection gives way to others when there are too many.
pub(crate) fn note_request_complete() {
    let _ = PROGRESS.try_with(|progress| progress.request_complete.notify_one());
}

/// Bounds of connections.
#[derive(Debug, Clone)]
pub(crate) struct ConnectionLimits {
    pub(crate) connections_max: usize,
    pub(crate) address_connections_max: usize,
    pub(crate) trusted: Vec<IpNet>,
}

impl ConnectionLimits {
    /// Whether a balancer or proxy in front of this one has this address.
    fn is_trusted(&self, address: IpAddr) -> bool {
        self.trusted
            .iter()
            .any(|network| network.contains(&address))
    }
}

/// Connections of one address.
#[derive(Debug, Default)]
struct AddressState {
    count: usize,
    /// Those whose request has not been read to its end, by the order in which they began to wait.
    idle: BTreeMap<u64, Arc<Notify>>,
}

#[derive(Debug, Default)]
struct ConnectionsState {
    count: usize,
    next_number: u64,
    addresses: HashMap<IpAddr, AddressState>,
}

/// All connections. One that is idle, or whose request has not been read to its end, gives way to a
/// new one when there are too many.
#[derive(Debug)]
pub(crate) struct Connections {
    limits: ConnectionLimits,
    state: Mutex<ConnectionsState>,
}

/// One connection; dropping it makes room for another.
#[derive(Debug)]
pub(crate) struct Connection {
    all: Arc<Connections>,
    address: IpAddr,
    /// Its place among the idle ones, if it is idle.
    idle_number: Option<u64>,
    evicted: Arc<Notify>,
}

/// Clients with IPv6 have whole networks of addresses.
fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let network = u128::from(address) & !u128::from(u64::MAX);
            IpAddr::V6(Ipv6Addr::from(network))
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

impl Connections {
    pub(crate) fn new(limits: ConnectionLimits) -> Arc<Self> {
        Arc::new(Self {
            limits,
            state: Mutex::default(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, ConnectionsState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a new connection as idle; nothing if there is no room and none is idle.
    fn admit(self: &Arc<Self>, address: IpAddr) -> Option<Connection> {
        let is_trusted = self.limits.is_trusted(address.to_canonical());
        let address = network_of(address);
        let mut state = self.lock();
        let count = state.addresses.get(&address).map_or(0, |at| at.count);
        if !is_trusted && count >= self.limits.address_connections_max && !state.evict_of(address) {
            return None;
        }
        if state.count >= self.limits.connections_max && !state.evict_any() {
            return None;
        }
        state.count += 1;
        state.addresses.entry(address).or_default().count += 1;
        drop(state);
        let mut connection = Connection {
            all: self.clone(),
            address,
            idle_number: None,
            evicted: Arc::default(),
        };
        connection.set_idle();
        Some(connection)
    }
}

impl ConnectionsState {
    /// Ends the connection of this address that has been idle for longest.
    fn evict_of(&mut self, address: IpAddr) -> bool {
        let Some(at) = self.addresses.get_mut(&address) else {
            return false;
        };
        let Some((_, evicted)) = at.idle.pop_first() else {
            return false;
        };
        evicted.notify_one();
        self.forget(address);
        true
    }

    /// Ends an idle connection of the address that has the most connections.
    fn evict_any(&mut self) -> bool {
        let with_idle = self.addresses.iter().filter(|(_, at)| !at.idle.is_empty());
        let busiest = with_idle.max_by_key(|(_, at)| at.count);
        match busiest.map(|(address, _)| *address) {
            Some(address) => self.evict_of(address),
            None => false,
        }
    }

    fn forget(&mut self, address: IpAddr) {
        self.count = self.count.saturating_sub(1);
        if let Some(at) = self.addresses.get_mut(&address) {
            at.count = at.count.saturating_sub(1);
            if at.count == 0 {
                self.addresses.remove(&address);
            }
        }
    }
}

impl Connection {
    /// It waits for a request from now on, and may be ended for another one.
    fn set_idle(&mut self) {
        let mut state = self.all.lock();
        let number = state.next_number;
        state.next_number += 1;
        let at = state.addresses.entry(self.address).or_default();
        at.idle.insert(number, self.evicted.clone());
        drop(state);
        self.idle_number = Some(number);
    }

    /// It has a request from now on. False if it was ended meanwhile.
    fn set_busy(&mut self) -> bool {
        let Some(number) = self.idle_number else {
            return true;
        };
        let mut state = self.all.lock();
        let at = state.addresses.get_mut(&self.address);
        let is_left = at.is_some_and(|at| at.idle.remove(&number).is_some());
        drop(state);
        if is_left {
            self.idle_number = None;
        }
        is_left
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // One that was ended for another is not counted any more.
        if self.set_busy() {
            self.all.lock().forget(self.address);
        }
    }
}

/// Serves the connections of the listener.
pub(crate) struct ConnectionApp {
    pub(crate) proxy: Arc<HttpProxy<Gateway>>,
    pub(crate) connections: Arc<Connections>,
    pub(crate) header_timeout: Duration,
    pub(crate) keepalive: Duration,
}

#[async_trait]
impl ServerApp for ConnectionApp {
    async fn process_new(
        self: &Arc<Self>,
        stream: Stream,
        shutdown: &ShutdownWatch,
    ) -> Option<Stream> {
        match self.connections.admit(peer_address(&stream)) {
            Some(connection) => self.serve(stream, connection, shutdown).await,
            None => {
                let _ = timeout(REFUSAL_MAX, refuse(stream)).await;
            }
        }
        None
    }

    async fn cleanup(&self) {
        self.proxy.http_cleanup().await;
    }
}

fn peer_address(stream: &Stream) -> IpAddr {
    let digest = stream.get_socket_digest();
    let address = digest.and_then(|digest| Some(digest.peer_addr()?.as_inet()?.ip()));
    address.unwrap_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED))
}

/// Says that there are too many connections. What has come is read first: closing a connection with
/// unread bytes would take the answer away.
async fn refuse(mut stream: Stream) -> std::io::Result<()> {
    let mut ignored = BytesMut::with_capacity(FIRST_READ);
    let _ = timeout(REFUSAL_MAX / 2, stream.read_buf(&mut ignored)).await;
    stream.write_all(REFUSAL).await?;
    stream.flush().await?;
    AsyncWriteExt::shutdown(&mut stream).await
}

impl ConnectionApp {
    async fn serve(
        &self,
        mut stream: Stream,
        mut connection: Connection,
        shutdown: &ShutdownWatch,
    ) {
        let mut settings: Option<HttpPersistentSettings> = None;
        let mut idle_max = self.header_timeout;
        loop {
            let evicted = connection.evicted.clone();
            let first_bytes = tokio::select! {
                read = timeout(idle_max, first_bytes(&mut stream)) => read.ok().flatten(),
                () = evicted.notified() => None,
                () = stopping(shutdown.clone()) => None,
            };
            let Some(first_bytes) = first_bytes else {
                let _ = timeout(REFUSAL_MAX, AsyncWriteExt::shutdown(&mut stream)).await;
                return;
            };
            let mut session = ServerSession::new_http1(stream);
            if let Some(settings) = settings.take() {
                settings.apply_to_session(&mut session);
            }
            session.set_keepalive((!*shutdown.borrow()).then_some(self.keepalive.as_secs()));
            session.set_pipelined_prefix(first_bytes);
            let Some(reused) = self.process(session, &mut connection, shutdown).await else {
                return;
            };
            (stream, settings) = reused;
            connection.set_idle();
            idle_max = self.keepalive;
        }
    }

    /// Has one request answered. Nothing if the connection has ended.
    async fn process(
        &self,
        session: ServerSession,
        connection: &mut Connection,
        shutdown: &ShutdownWatch,
    ) -> Option<(Stream, Option<HttpPersistentSettings>)> {
        let progress = Arc::new(RequestProgress::default());
        let evicted = connection.evicted.clone();
        let processing = self.proxy.process_new_http(session, shutdown);
        let mut processing = std::pin::pin!(PROGRESS.scope(progress.clone(), processing));
        let mut reused = tokio::select! {
            biased;
            reused = &mut processing => Some(reused),
            () = progress.header_complete.notified() => None,
            () = evicted.notified() => return None,
            () = sleep(self.header_timeout) => return None,
        };
        if reused.is_none() {
            reused = tokio::select! {
                biased;
                reused = &mut processing => Some(reused),
                () = progress.request_complete.notified() => None,
                () = evicted.notified() => return None,
            };
        }
        if !connection.set_busy() {
            return None;
        }
        let reused = match reused {
            Some(reused) => reused,
            None => processing.await,
        };
        reused.map(pingora::apps::ReusedHttpStream::consume)
    }
}

/// The first bytes of a request; nothing if the caller closes instead.
async fn first_bytes(stream: &mut Stream) -> Option<BytesMut> {
    let mut bytes = BytesMut::with_capacity(FIRST_READ);
    let count = stream.read_buf(&mut bytes).await.ok()?;
    (count > 0).then_some(bytes)
}

/// Ends when the process begins to stop.
async fn stopping(mut shutdown: ShutdownWatch) {
    if shutdown.wait_for(|stops| *stops).await.is_err() {
        std::future::pending::<()>().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connections(all: usize, per_address: usize, trusted: &[&str]) -> Arc<Connections> {
        Connections::new(ConnectionLimits {
            connections_max: all,
            address_connections_max: per_address,
            trusted: trusted.iter().map(|text| text.parse().unwrap()).collect(),
        })
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_idle_connection_gives_way_and_a_busy_one_does_not() {
        let all = connections(2, 9, &[]);
        let mut first = all.admit(address("192.0.2.1")).unwrap();
        let mut second = all.admit(address("192.0.2.1")).unwrap();
        let mut third = all.admit(address("192.0.2.2")).unwrap();
        assert!(!first.set_busy(), "the first one was ended");
        assert!(second.set_busy() && third.set_busy());
        assert!(all.admit(address("192.0.2.3")).is_none());
        drop(first);
        assert!(all.admit(address("192.0.2.3")).is_none());
        drop(second);
        assert!(all.admit(address("192.0.2.3")).is_some());
    }

    #[test]
    fn the_address_with_the_most_connections_gives_way_first() {
        let all = connections(3, 9, &[]);
        let mut other = all.admit(address("192.0.2.9")).unwrap();
        let mut many: Vec<Connection> = (0..2)
            .map(|_| all.admit(address("192.0.2.1")).unwrap())
            .collect();
        let _new = all.admit(address("192.0.2.2")).unwrap();
        assert!(other.set_busy());
        let left: Vec<bool> = many.iter_mut().map(Connection::set_busy).collect();
        assert_eq!(left, [false, true]);
    }

    #[test]
    fn one_address_or_network_has_its_share_unless_it_is_trusted() {
        let all = connections(9, 1, &["10.0.0.0/8"]);
        let busy = |text: &str| {
            let mut connection = all.admit(address(text))?;
            connection.set_busy();
            Some(connection)
        };
        let _held = busy("192.0.2.1").unwrap();
        assert!(busy("192.0.2.1").is_none() && busy("::ffff:192.0.2.1").is_none());
        let _v6 = busy("2001:db8::1").unwrap();
        assert!(busy("2001:db8::2").is_none() && busy("2001:db8:0:1::1").is_some());
        let _balancer = [busy("10.1.1.1").unwrap(), busy("10.1.1.1").unwrap()];
    }
}
