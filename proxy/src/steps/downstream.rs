//! The caller's end of a call that takes its time: a streamed answer, signs of life while a
//! provider is silent, and whether the caller is still there.

use std::pin::pin;
use std::time::{Duration, Instant};

use bytes::Bytes;
use pingora::proxy::Session;
use tokio::task::unconstrained;

use crate::recording::Recording;
use crate::reply::Reply;

/// How long a caller may take to accept a piece before it is given up.
const WRITE_MAX: Duration = Duration::from_mins(1);

/// A caller that has kept pieces waiting for so long altogether does not read promptly: what goes
/// wrong at a provider that could not be read meanwhile is its doing.
const PROMPT_MAX: Duration = Duration::from_secs(2);

/// The caller has closed the connection, and the work is not to go on for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Gone;

/// Why work was not waited for any longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    /// The caller has left, and has been worked for as long as its team wants that.
    Gone,
    /// The work has taken too long.
    Late,
}

/// How a caller is dealt with while a provider is at work.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Manners {
    /// After how much silence it gets a sign of life.
    pub(crate) heartbeat: Duration,
    /// How long the work goes on after it has left; `None` if it ends at that moment.
    pub(crate) drain: Option<Duration>,
    /// How long it may keep pieces waiting altogether before it counts as having left.
    pub(crate) held_up_max: Duration,
}

/// The caller's end of a streamed answer.
pub(crate) struct Downstream<'s> {
    session: &'s mut Session,
    /// The header, as long as it has not been sent: the status can still be another one.
    head: Option<Reply>,
    manners: Manners,
    /// When the caller was found to have left.
    left_at: Option<Instant>,
    /// How long it has kept pieces waiting. The time of a provider does not run meanwhile.
    held_up: Duration,
    ping: Bytes,
    recorded: Option<Recording>,
}

impl<'s> Downstream<'s> {
    /// A stream that begins with `head` as soon as there is something to send.
    pub(crate) fn new(
        session: &'s mut Session,
        head: Reply,
        ping: Bytes,
        manners: Manners,
    ) -> Self {
        session.set_write_timeout(Some(WRITE_MAX));
        Self {
            session,
            head: Some(head),
            manners,
            left_at: None,
            held_up: Duration::ZERO,
            ping,
            recorded: None,
        }
    }

    /// Keeps what is sent from now on, to replay it.
    pub(crate) fn record(&mut self, recording: Option<Recording>) {
        self.recorded = recording;
    }

    /// Whether the caller has seen a status already.
    pub(crate) const fn has_begun(&self) -> bool {
        self.head.is_none()
    }

    /// Whether the caller is known to have left.
    pub(crate) const fn is_gone(&self) -> bool {
        self.left_at.is_some()
    }

    /// Whether the caller reads so slowly that its provider may have suffered from it.
    pub(crate) fn is_slow(&self) -> bool {
        self.held_up > PROMPT_MAX
    }

    /// Waits for `work` until `deadline`, telling the caller now and then that somebody is at work.
    /// The deadline moves by the time for which the caller has kept pieces waiting.
    ///
    /// Where work ends with its caller, the connection is watched. Where it does not, that the
    /// caller has left shows when something is sent: one that only closes its own direction of the
    /// connection still reads.
    pub(crate) async fn wait<T>(
        &mut self,
        work: impl Future<Output = T>,
        deadline: Instant,
    ) -> Result<T, Stop> {
        let mut work = pin!(work);
        loop {
            let last_moment = self.last_moment();
            let deadline = deadline + self.held_up;
            // Work that is always ready would never let the timer below be asked.
            let now = Instant::now();
            if last_moment.is_some_and(|moment| moment <= now) {
                return Err(Stop::Gone);
            }
            if deadline <= now {
                return Err(Stop::Late);
            }
            let is_there = self.left_at.is_none();
            let is_watched = is_there && self.manners.drain.is_none();
            let until = last_moment.map_or(deadline, |moment| moment.min(deadline));
            // A provider that sends without a pause uses up the turn of this task, and a timer
            // that keeps to turns would not be heard.
            tokio::select! {
                biased;
                done = &mut work => return Ok(done),
                () = unconstrained(left(self.session)), if is_watched => self.leave(),
                () = unconstrained(tokio::time::sleep(self.manners.heartbeat)), if is_there => {
                    self.send(self.ping.clone()).await;
                }
                () = unconstrained(tokio::time::sleep_until(until.into())) => {}
            }
        }
    }

    /// Until when there is work for a caller that has left.
    fn last_moment(&self) -> Option<Instant> {
        let drain = self.manners.drain.unwrap_or_default();
        self.left_at.map(|left_at| left_at + drain)
    }

    fn leave(&mut self) {
        self.left_at.get_or_insert_with(Instant::now);
    }

    /// Sends a piece of the answer, and keeps it if that is wanted.
    pub(crate) async fn write(&mut self, piece: Bytes) {
        if self
            .recorded
            .as_mut()
            .is_some_and(|recorded| !recorded.add(&piece))
        {
            self.recorded = None;
        }
        self.send(piece).await;
    }

    async fn send(&mut self, piece: Bytes) {
        if self.is_gone() || piece.is_empty() {
            return;
        }
        let began_at = Instant::now();
        let patience = self.manners.held_up_max.saturating_sub(self.held_up);
        let sent = async {
            if let Some(head) = self.head.take() {
                head.send_head(self.session).await?;
            }
            self.session.write_response_body(Some(piece), false).await
        };
        let sent = tokio::time::timeout(patience, sent).await;
        self.held_up += began_at.elapsed();
        if !matches!(sent, Ok(Ok(()))) {
            self.leave();
        }
    }

    /// What was sent, if all of it was kept.
    pub(crate) fn take_recorded(&mut self) -> Option<Vec<u8>> {
        self.recorded.take().map(Recording::take)
    }

    /// Ends the answer as it should end.
    pub(crate) async fn end(self) {
        if self.is_gone() {
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
    loop {
        let read = session.as_downstream_mut().read_body_or_idle(true).await;
        match read {
            Ok(_) => {}
            // More than a request has come. It is not answered, but neither is it a departure.
            Err(error) if *error.etype() == pingora::ErrorType::ConnectError => {
                session.set_keepalive(None);
            }
            Err(_) => return,
        }
    }
}
