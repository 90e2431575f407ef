//! How an answer travels: its events as writes, pauses and ends.

use std::collections::VecDeque;
use std::mem::take;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame};
use serde_json::Value;
use tokio::sync::Semaphore;

use super::script::{Fault, FaultKind, Framing, Gated, Script};
use super::socket::Connection;

/// What is sent where an event or an answer belongs.
pub(super) const GARBAGE: &str = "<html>It works!</html>";

/// Long enough for the other side to read the first half of an event by itself.
const BETWEEN_HALVES: Duration = Duration::from_millis(1);

/// A comment comes so often when nothing else does.
const BETWEEN_COMMENTS: Duration = Duration::from_millis(20);

/// A server-sent event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Event {
    pub(super) name: Option<&'static str>,
    pub(super) data: String,
}

impl Event {
    /// An event without a name.
    pub(super) fn unnamed(data: &Value) -> Self {
        Self {
            name: None,
            data: data.to_string(),
        }
    }
}

/// One step of an answer's way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// Bytes in a write of their own.
    Send(Bytes),
    /// A moment in which the server writes what it has: the header, or what was sent last.
    Flush,
    /// Time passes.
    Pause(Duration),
    /// Nothing goes on before the test says so.
    Gate,
    /// Nothing goes on any more.
    Stall,
    /// Nothing comes any more but comments.
    Murmur,
    /// The connection ends in the middle.
    Break,
    /// The connection is reset.
    Reset,
}

/// The steps of an answer that is announced as a whole.
pub(super) fn whole_steps(body: &str, fault: Option<Fault>) -> Vec<Step> {
    let send = |text: &str| Step::Send(Bytes::copy_from_slice(text.as_bytes()));
    let Some(fault) = fault else {
        return vec![send(body)];
    };
    let middle = body.floor_char_boundary(body.len() / 2);
    let mut steps = match fault.position {
        Some(0) => vec![Step::Flush],
        _ => vec![send(&body[..middle])],
    };
    match fault.kind {
        FaultKind::Cut => steps.push(Step::Break),
        FaultKind::Reset => steps.push(Step::Reset),
        FaultKind::Stall => steps.push(Step::Stall),
        FaultKind::Garbage => steps = vec![send(GARBAGE)],
        FaultKind::Empty => steps = vec![send("{}")],
        FaultKind::End | FaultKind::Error | FaultKind::Murmur => {}
    }
    steps
}

/// The steps of a stream; `error` is the event that tells of an error in its dialect.
pub(super) fn stream_steps(
    mut events: Vec<Event>,
    error: Event,
    script: &Script,
    line_end: &'static str,
) -> Vec<Step> {
    if script.no_done {
        events.pop();
    }
    let end = script
        .fault
        .and_then(|fault| take_effect(&mut events, fault, error));
    let line_end = if script.framing == Framing::Crlf {
        "\r\n"
    } else {
        line_end
    };
    let written = events
        .iter()
        .map(|event| write(event, script.framing, line_end));
    let mut steps = vec![Step::Flush];
    if script.framing == Framing::Joined {
        let mut joined = Vec::new();
        for (index, bytes) in written.enumerate() {
            if script.gated.is_some_and(|gated| gated.holds(index)) {
                steps.push(Step::Send(take(&mut joined).into()));
                steps.push(Step::Gate);
            }
            joined.extend(bytes);
        }
        steps.push(Step::Send(joined.into()));
    } else {
        for (index, bytes) in written.enumerate() {
            if script.gated.is_some_and(|gated| gated.holds(index)) {
                steps.push(Step::Gate);
            }
            if index > 0 && !script.gap.is_zero() {
                steps.push(Step::Pause(script.gap));
            }
            send(&mut steps, &bytes, script.framing, index);
        }
    }
    if script.gated == Some(Gated::All) && end.is_some() {
        steps.push(Step::Gate);
    }
    steps.extend(end);
    steps
}

/// Changes the events as the fault says, and returns the step that follows the last of them.
fn take_effect(events: &mut Vec<Event>, fault: Fault, error: Event) -> Option<Step> {
    let usual = match fault.kind {
        FaultKind::Garbage | FaultKind::Empty => 1,
        _ => 2,
    };
    let position = fault.position.unwrap_or(usual).min(events.len());
    match fault.kind {
        FaultKind::Garbage | FaultKind::Empty => {
            let event = events.get_mut(position)?;
            event.data = match fault.kind {
                FaultKind::Garbage => GARBAGE.to_owned(),
                _ => "{}".to_owned(),
            };
            return None;
        }
        _ => events.truncate(position),
    }
    match fault.kind {
        FaultKind::Cut => Some(Step::Break),
        FaultKind::Reset => Some(Step::Reset),
        FaultKind::Stall => Some(Step::Stall),
        FaultKind::Murmur => Some(Step::Murmur),
        FaultKind::Error => {
            events.push(error);
            None
        }
        FaultKind::End | FaultKind::Garbage | FaultKind::Empty => None,
    }
}

/// An event as bytes.
fn write(event: &Event, framing: Framing, line_end: &str) -> Vec<u8> {
    let mut lines = Vec::new();
    if framing == Framing::Noise {
        lines
            .extend([": still at work", "", ":", "id: 7", "", "unknown: field"].map(str::to_owned));
        lines.push("retry: 3000".to_owned());
        lines.push("id".to_owned());
        if event.name.is_none() {
            lines.push("event: message".to_owned());
        }
    }
    lines.extend(event.name.map(|name| format!("event: {name}")));
    let data = match (framing, serde_json::from_str::<Value>(&event.data)) {
        (Framing::Lines, Ok(json)) => format!("{json:#}"),
        _ => event.data.clone(),
    };
    let space = if framing == Framing::Tight { "" } else { " " };
    lines.extend(data.lines().map(|line| format!("data:{space}{line}")));
    lines.extend([String::new(), String::new()]);
    lines.join(line_end).into_bytes()
}

fn send(steps: &mut Vec<Step>, bytes: &[u8], framing: Framing, index: usize) {
    let piece = |bytes: &[u8]| Step::Send(Bytes::copy_from_slice(bytes));
    let first = match framing {
        Framing::Bytes => {
            steps.extend(bytes.chunks(1).map(piece));
            return;
        }
        Framing::Split(length) => length % bytes.len(),
        Framing::Splits => (index + 1) % bytes.len(),
        Framing::InsideCharacters => {
            let inside = bytes.iter().position(|byte| !byte.is_ascii());
            inside.map_or(0, |position| position + 1)
        }
        _ => 0,
    };
    if first == 0 {
        steps.push(piece(bytes));
    } else {
        steps.push(piece(&bytes[..first]));
        steps.push(Step::Pause(BETWEEN_HALVES));
        steps.push(piece(&bytes[first..]));
    }
}

/// Counts an answer whose caller went away before its end.
#[derive(Debug)]
pub(super) struct Watch {
    aborted: Arc<AtomicUsize>,
    ended: bool,
}

impl Watch {
    pub(super) const fn new(aborted: Arc<AtomicUsize>) -> Self {
        Self {
            aborted,
            ended: false,
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if !self.ended {
            self.aborted.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// A body that goes through its steps.
pub(super) struct Performance {
    steps: VecDeque<Step>,
    doing: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    gate: Arc<Semaphore>,
    connection: Connection,
    watch: Watch,
}

impl Performance {
    pub(super) fn new(
        steps: Vec<Step>,
        gate: Arc<Semaphore>,
        connection: Connection,
        mut watch: Watch,
    ) -> Self {
        watch.ended = steps.is_empty();
        Self {
            steps: steps.into(),
            doing: None,
            gate,
            connection,
            watch,
        }
    }
}

/// Waits until the test opens the gate, for one passage.
pub(super) async fn pass(gate: Arc<Semaphore>) {
    let permit = gate.acquire().await.expect("the gate is never torn down");
    permit.forget();
}

impl HttpBody for Performance {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        loop {
            if let Some(doing) = &mut self.doing {
                ready!(doing.as_mut().poll(context));
                self.doing = None;
            }
            match self.steps.pop_front() {
                None => {
                    self.watch.ended = true;
                    return Poll::Ready(None);
                }
                Some(Step::Send(bytes)) => {
                    self.watch.ended = self.steps.is_empty();
                    self.steps.push_front(Step::Flush);
                    return Poll::Ready(Some(Ok(Frame::data(bytes))));
                }
                Some(Step::Flush) => {
                    self.doing = Some(Box::pin(tokio::task::yield_now()));
                }
                Some(Step::Pause(pause)) => {
                    self.doing = Some(Box::pin(tokio::time::sleep(pause)));
                }
                Some(Step::Gate) => {
                    self.doing = Some(Box::pin(pass(Arc::clone(&self.gate))));
                }
                Some(Step::Murmur) => {
                    self.steps.push_front(Step::Murmur);
                    self.steps.push_front(Step::Pause(BETWEEN_COMMENTS));
                    let comment = Bytes::from_static(b": still at work\n\n");
                    return Poll::Ready(Some(Ok(Frame::data(comment))));
                }
                Some(Step::Stall) => {
                    self.doing = Some(Box::pin(std::future::pending()));
                }
                Some(end @ (Step::Break | Step::Reset)) => {
                    if end == Step::Reset {
                        self.connection.reset_at_its_end();
                    }
                    self.watch.ended = true;
                    return Poll::Ready(Some(Err(std::io::Error::other("as scripted"))));
                }
            }
        }
    }
}
