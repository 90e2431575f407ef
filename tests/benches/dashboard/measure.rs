//! Times of keys, and what the system says of a process.

use std::fmt;
use std::fs;
use std::time::{Duration, Instant};

use tollgate_tests::Terminal;

/// After so long without a byte a screen has all that it waits for.
const QUIET: Duration = Duration::from_millis(120);

/// A key that changes nothing is waited for so long.
const PATIENCE: Duration = Duration::from_millis(400);

/// How often the terminal is looked at.
const LOOK: Duration = Duration::from_micros(200);

/// What a key has led to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Frame {
    first: Duration,
    settled: Duration,
    bytes: u64,
}

/// Presses a key and waits until the screen has settled; nothing if it changed nothing.
pub(crate) async fn press(terminal: &mut Terminal, key: &str) -> Option<Frame> {
    settle(terminal).await;
    let (before, _) = terminal.written();
    let begun = Instant::now();
    terminal.keys(key);
    let first = loop {
        let (bytes, at) = terminal.written();
        if bytes > before {
            break at - begun;
        }
        if begun.elapsed() > PATIENCE {
            return None;
        }
        tokio::time::sleep(LOOK).await;
    };
    settle(terminal).await;
    let (bytes, at) = terminal.written();
    Some(Frame {
        first,
        settled: at - begun,
        bytes: bytes - before,
    })
}

/// Waits until nothing more is written.
pub(crate) async fn settle(terminal: &Terminal) {
    while terminal.written().1.elapsed() < QUIET {
        tokio::time::sleep(LOOK).await;
    }
}

/// What many keys have led to.
#[derive(Debug, Default)]
pub(crate) struct Times(Vec<Frame>);

impl Times {
    pub(crate) fn add(&mut self, frame: Option<Frame>) {
        self.0.extend(frame);
    }

    /// The value that so many per cent do not exceed, in milliseconds.
    fn quantile(&self, per_cent: usize, of: impl Fn(&Frame) -> Duration) -> f64 {
        let mut sorted: Vec<Duration> = self.0.iter().map(of).collect();
        sorted.sort_unstable();
        let rank = (sorted.len() * per_cent).div_ceil(100).max(1) - 1;
        sorted
            .get(rank)
            .map_or(f64::NAN, |time| time.as_secs_f64() * 1_000.0)
    }

    /// Bytes of one key, the middle value.
    pub(crate) fn bytes(&self) -> u64 {
        let mut sorted: Vec<u64> = self.0.iter().map(|frame| frame.bytes).collect();
        sorted.sort_unstable();
        sorted.get(sorted.len() / 2).copied().unwrap_or(0)
    }
}

/// Half and nearly all: until the first byte, and until the last.
impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pair = |of: fn(&Frame) -> Duration| {
            format!(
                "{:.1} / {:.1}",
                self.quantile(50, of),
                self.quantile(99, of)
            )
        };
        let (first, settled) = (pair(|frame| frame.first), pair(|frame| frame.settled));
        write!(f, "{first:>15} {settled:>15}")
    }
}

/// A process as the system sees it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Process(u32);

/// Ticks of a second in which Linux tells of times.
const TICKS: u64 = 100;

impl Process {
    pub(crate) const fn of(id: u32) -> Self {
        Self(id)
    }

    /// The time that it has worked.
    pub(crate) fn cpu(self) -> Duration {
        let text = fs::read_to_string(format!("/proc/{}/stat", self.0)).unwrap_or_default();
        let rest = text.rsplit(')').next().unwrap_or_default();
        let fields: Vec<&str> = rest.split_whitespace().collect();
        let ticks = |place: usize| fields.get(place).and_then(|text| text.parse::<u64>().ok());
        let sum = ticks(11).unwrap_or(0) + ticks(12).unwrap_or(0);
        Duration::from_millis(sum * 1_000 / TICKS)
    }

    /// Its memory in MiB, `VmRSS` or `VmHWM`.
    pub(crate) fn memory(self, field: &str) -> u64 {
        let text = fs::read_to_string(format!("/proc/{}/status", self.0)).unwrap_or_default();
        let line = text.lines().find(|line| line.starts_with(field));
        let number = line.and_then(|line| line.split_whitespace().nth(1));
        number
            .and_then(|text| text.parse::<u64>().ok())
            .unwrap_or(0)
            / 1_024
    }
}
