//! The caller's end of a call that takes its time: a streamed answer, signs of life while a
//! provider is silent, and whether the caller is still there.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use pingora::proxy::Session;

use crate::reply::Reply;

/// The largest streamed answer that is kept to be replayed.
const RECORDED_BYTES_MAX: usize = 1024 * 1024;

/// How long a caller may take to accept a piece before it is given up.
const WRITE_MAX: Duration = Duration::from_mins(1);

/// The caller has closed the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Gone;

/// The caller's end of a streamed answer.
pub(crate) struct Downstream<'s> {
    session: &'s mut Session,
    /// The header, as long as it has not been sent: the status can still be another one.
    head: Option<Reply>,
    is_gone: bool,
    /// Whether the work ends as soon as the caller leaves.
    is_watching: bool,
    heartbeat: Duration,
    ping: Bytes,
    recorded: Option<Vec<u8>>,
}

impl<'s> Downstream<'s> {
    /// A stream that begins with `head` as soon as there is something to send.
    pub(crate) fn new(
        session: &'s mut Session,
        head: Reply,
        ping: Bytes,
        heartbeat: Duration,
    ) -> Self {
        session.set_write_timeout(Some(WRITE_MAX));
        Self {
            session,
            head: Some(head),
            is_gone: false,
            is_watching: false,
            heartbeat,
            ping,
            recorded: None,
        }
    }

    /// Lets waiting end when the caller leaves.
    pub(crate) const fn watch(&mut self) {
        self.is_watching = true;
    }

    /// Keeps what is sent from now on, to replay it.
    pub(crate) fn record(&mut self) {
        self.recorded = Some(Vec::new());
    }

    /// Whether the caller has seen a status already.
    pub(crate) const fn has_begun(&self) -> bool {
        self.head.is_none()
    }

    /// Whether the caller is known to have left.
    pub(crate) const fn is_gone(&self) -> bool {
        self.is_gone
    }

    /// Waits for `work`, telling the caller now and then that somebody is at work.
    pub(crate) async fn wait<T>(&mut self, work: impl Future<Output = T>) -> Result<T, Gone> {
        let mut work = pin!(work);
        loop {
            let is_watching = self.is_watching && !self.is_gone;
            let left = tokio::select! {
                biased;
                done = &mut work => return Ok(done),
                () = left(self.session), if is_watching => true,
                () = tokio::time::sleep(self.heartbeat), if !self.is_gone => false,
            };
            if left {
                self.is_gone = true;
                return Err(Gone);
            }
            self.send(self.ping.clone()).await;
        }
    }

    /// Sends a piece of the answer, and keeps it if that is wanted.
    pub(crate) async fn write(&mut self, piece: Bytes) {
        if let Some(recorded) = &mut self.recorded {
            recorded.extend_from_slice(&piece);
            if recorded.len() > RECORDED_BYTES_MAX {
                self.recorded = None;
            }
        }
        self.send(piece).await;
    }

    async fn send(&mut self, piece: Bytes) {
        if self.is_gone || piece.is_empty() {
            return;
        }
        if let Some(head) = self.head.take() {
            self.is_gone = head.send_head(self.session).await.is_err();
        }
        let sent = self.session.write_response_body(Some(piece), false).await;
        self.is_gone |= sent.is_err();
    }

    /// What was sent, if all of it was kept.
    pub(crate) fn take_recorded(&mut self) -> Option<Vec<u8>> {
        self.recorded.take()
    }

    /// Ends the answer as it should end.
    pub(crate) async fn end(self) {
        if self.is_gone {
            self.session.set_keepalive(None);
        } else {
            // A caller that leaves now has had everything.
            let _ = self.session.write_response_body(None, true).await;
        }
    }
}

/// Waits for `work`, but not longer than the caller stays.
pub(crate) async fn while_there<T>(
    session: &mut Session,
    work: impl Future<Output = T>,
) -> Result<T, Gone> {
    tokio::select! {
        biased;
        done = work => Ok(done),
        () = left(session) => Err(Gone),
    }
}

/// Ends when the caller closes its connection.
async fn left(session: &mut Session) {
    while session
        .as_downstream_mut()
        .read_body_or_idle(true)
        .await
        .is_ok()
    {}
}
