//! Answers given as streams: how late each chunk comes, and what it costs.

use std::time::{Duration, Instant};

use http_body_util::BodyExt as _;
use serde_json::json;
use tollgate_tests::fixture;

use crate::Rounds;
use crate::measure::{Figure, Row, cpu_time, micros, percentile};
use crate::setup::{Setup, prompt_body};
use crate::target::{Caller, Target};
use crate::upstream::{MARK, Pace, STAMP_DIGITS, StreamingUpstream, nanos};

const CONCURRENCIES: [usize; 3] = [64, 16, 1];

const PACED: Pace = Pace {
    chunks: 20,
    pause: Duration::from_millis(5),
};

const AT_ONCE: Pace = Pace {
    chunks: 100,
    pause: Duration::ZERO,
};

const FIGURES: [Figure; 8] = [
    Figure::new("streams/s", 0),
    Figure::new("chunks/s", 0).compared("chunks/s ×"),
    Figure::new("first p50", 0),
    Figure::new("first p99", 0),
    Figure::new("delay p50", 0).compared("delay p50 ×"),
    Figure::new("delay p99", 0),
    Figure::new("CPU/stream", 1),
    Figure::new("CPU/chunk", 2).compared("CPU ×"),
];

/// Drives all targets and prints what came of it.
pub(crate) async fn run(rounds: Rounds) {
    let upstream = StreamingUpstream::start(PACED);
    let setup = Setup::with_upstream(upstream.address).await;
    let targets = targets(&setup, CONCURRENCIES[0]).await;
    let mut calls = 0;
    for pace in [PACED, AT_ONCE] {
        upstream.set_pace(pace);
        for concurrency in CONCURRENCIES {
            let mut rows: Vec<Row> = targets.iter().map(|t| Row::new(t.name)).collect();
            for _ in 0..rounds.count {
                for (target, row) in targets.iter().zip(&mut rows) {
                    let (streams, figures) =
                        drive(target, pace, concurrency, rounds.duration).await;
                    if target.process == setup.gateway.process {
                        calls += streams;
                    }
                    row.add(figures);
                }
            }
            println!(
                "\nstreams of {} chunks {:?} apart, concurrency {concurrency}, \
                 medians of {rounds}; times in µs",
                pace.chunks, pace.pause
            );
            Row::print(&FIGURES, &rows);
        }
    }
    setup.check(calls).await;
}

/// The pass-through and the two ways to a stream: OpenAI's path, where each call has a job of its
/// own, and the job API's.
pub(crate) async fn targets(setup: &Setup, jobs: usize) -> [Target; 3] {
    let team = fixture::ALPHA;
    let body = prompt_body(json!({ "stream": true }));
    let completions = vec!["/v1/chat/completions".to_owned()];
    let in_jobs = setup.open_jobs(team, jobs, "llm-call-stream").await;
    [
        setup.bare_target(body.clone()),
        setup.target(
            "tollgate /v1, implicit job",
            team,
            completions,
            body.clone(),
        ),
        setup.target("tollgate llm-call-stream", team, in_jobs, body),
    ]
}

/// What one stream, or several, came to.
#[derive(Debug, Default)]
pub(crate) struct Received {
    /// From the request to the first bytes of the answer, for each stream.
    pub(crate) first: Vec<Duration>,
    /// From the sending of a chunk to its arrival.
    pub(crate) delays: Vec<Duration>,
}

impl Received {
    pub(crate) fn extend(&mut self, other: Self) {
        self.first.extend(other.first);
        self.delays.extend(other.delays);
    }
}

/// One run against one target: how many streams there were, and the figures.
async fn drive(
    target: &Target,
    pace: Pace,
    concurrency: usize,
    duration: Duration,
) -> (usize, Vec<f64>) {
    let mut callers = Vec::new();
    for index in 0..concurrency {
        let caller = Caller::connect(target.clone(), index).await;
        callers.push(caller);
    }
    let (cpu_before, began) = (cpu_time(target.process), Instant::now());
    let deadline = began + duration;
    let streaming: Vec<_> = callers
        .into_iter()
        .map(|caller| tokio::spawn(stream_until(caller, pace.chunks, deadline)))
        .collect();
    let mut received = Received::default();
    for caller in streaming {
        received.extend(caller.await.unwrap());
    }
    let elapsed = began.elapsed().as_secs_f64();
    let cpu = micros(cpu_time(target.process).saturating_sub(cpu_before));
    let Received {
        mut first,
        mut delays,
    } = received;
    first.sort_unstable();
    delays.sort_unstable();
    let (streams, chunks) = (first.len(), delays.len());
    let figures = vec![
        streams as f64 / elapsed,
        chunks as f64 / elapsed,
        percentile(&first, 0.5),
        percentile(&first, 0.99),
        percentile(&delays, 0.5),
        percentile(&delays, 0.99),
        cpu / streams as f64,
        cpu / chunks as f64,
    ];
    (streams, figures)
}

async fn stream_until(mut caller: Caller, chunks: usize, deadline: Instant) -> Received {
    let mut received = Received::default();
    while Instant::now() < deadline {
        received.extend(stream(&mut caller, chunks, || {}).await);
    }
    received
}

/// Reads one stream to its end, which has to be complete. `on_first` is called when it begins.
pub(crate) async fn stream(
    caller: &mut Caller,
    chunks: usize,
    on_first: impl FnOnce(),
) -> Received {
    let began = Instant::now();
    let mut body = caller.ask().await;
    let (mut received, mut reader) = (Received::default(), Reader::default());
    let mut on_first = Some(on_first);
    while let Some(frame) = body.frame().await {
        let now = Instant::now();
        if let Ok(bytes) = frame.unwrap().into_data() {
            if let Some(on_first) = on_first.take() {
                received.first.push(now - began);
                on_first();
            }
            reader.read(&bytes, now, &mut received.delays);
        }
    }
    assert_eq!(received.delays.len(), chunks, "no chunk is lost or doubled");
    assert!(reader.is_done(), "the stream is complete");
    received
}

/// Finds the times in a stream's bytes.
#[derive(Debug, Default)]
struct Reader {
    /// The end of what has come, in which a time may have begun.
    tail: Vec<u8>,
    last_sent: u64,
}

impl Reader {
    /// How many bytes of the end are remembered.
    const TAIL_BYTES: usize = 32;

    fn read(&mut self, bytes: &[u8], now: Instant, delays: &mut Vec<Duration>) {
        let now = nanos(now);
        self.tail.extend_from_slice(bytes);
        let mut start = 0;
        while let Some(mark) = self.tail[start..].iter().position(|byte| *byte == MARK) {
            let digits = start + mark + 1;
            let Some(digits) = self.tail.get(digits..digits + STAMP_DIGITS) else {
                start += mark;
                self.tail.drain(..start);
                return;
            };
            let sent = digits
                .iter()
                .fold(0, |sent, digit| sent * 10 + u64::from(digit - b'0'));
            assert!(sent >= self.last_sent, "chunks keep their order");
            self.last_sent = sent;
            delays.push(Duration::from_nanos(now.saturating_sub(sent)));
            start += mark + 1 + STAMP_DIGITS;
        }
        let end = self.tail.len().saturating_sub(Self::TAIL_BYTES).max(start);
        self.tail.drain(..end);
    }

    /// Whether the last event has come.
    fn is_done(&self) -> bool {
        self.tail.ends_with(b"data: [DONE]\n\n")
    }
}
