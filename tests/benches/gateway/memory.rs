//! The memory of a thousand slow streams at once, and what a chunk of them costs.

use std::os::unix::process::CommandExt as _;
use std::process::Command as Process;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;
use tokio::time::{sleep, sleep_until};

use crate::measure::{Figure, Row, cpu_time, micros, percentile, resident_kib};
use crate::setup::Setup;
use crate::stream::{Received, stream, targets};
use crate::target::{Caller, Target};
use crate::upstream::{Pace, StreamingUpstream};

const STREAMS: usize = 1_000;

/// Ten seconds.
const PACE: Pace = Pace {
    chunks: 20,
    pause: Duration::from_millis(500),
};

/// A stream that lets a process make what it makes only once.
const WARM_UP: Pace = Pace {
    chunks: 1,
    pause: Duration::ZERO,
};

/// Streams begin one after the other over the time between two chunks, so that chunks come evenly.
const BETWEEN_BEGINNINGS: Duration = Duration::from_micros(500);

/// How long the streams are watched while all of them are open and none begins or ends.
const WATCHED: Duration = Duration::from_secs(5);

/// After how long without work the memory is looked at again.
const REST: Duration = Duration::from_secs(2);

/// Each process has two connections for a stream; this one has both ends.
const FILES: usize = 2 * STREAMS + 500;

/// Set once the limit of open files was raised.
const RAISED: &str = "TOLLGATE_BENCH_FILES_RAISED";

const FIGURES: [Figure; 7] = [
    Figure::new("MiB before", 1),
    Figure::new("MiB open", 1),
    Figure::new("MiB after", 1),
    Figure::new("KiB/stream", 1).compared("KiB/str. ×"),
    Figure::new("delay p50", 0).compared("delay p50 ×"),
    Figure::new("delay p99", 0),
    Figure::new("CPU/chunk", 2).compared("CPU ×"),
];

/// Begins the program anew in a shell that lets it have enough open files: only systems' own calls
/// change the limit of a process that runs.
pub(crate) fn raise_limit_of_files() {
    if std::env::var_os(RAISED).is_some() {
        return;
    }
    let script = format!(
        "[ \"$(ulimit -n)\" = unlimited ] || [ \"$(ulimit -n)\" -ge {FILES} ] || \
         ulimit -n {FILES} || exit; exec \"$0\" \"$@\""
    );
    let error = Process::new("sh")
        .args(["-c", &script])
        .arg(std::env::current_exe().unwrap())
        .args(std::env::args().skip(1))
        .env(RAISED, "yes")
        .exec();
    panic!("sh cannot be started: {error}");
}

/// Opens the streams at each target in turn and prints what came of it.
pub(crate) async fn run() {
    let upstream = StreamingUpstream::start(PACE);
    let setup = Setup::with_upstream(upstream.address).await;
    let [bare, completions, _] = targets(&setup, 1).await;
    let mut rows = Vec::new();
    for target in [bare, completions] {
        let mut row = Row::new(target.name);
        row.add(drive(&target, &upstream).await);
        rows.push(row);
    }
    println!(
        "\n{STREAMS} streams at once, {} chunks {:?} apart; times in µs",
        PACE.chunks, PACE.pause
    );
    Row::print(&FIGURES, &rows);
    setup.check(STREAMS + 1).await;
}

async fn drive(target: &Target, upstream: &StreamingUpstream) -> Vec<f64> {
    upstream.set_pace(WARM_UP);
    let mut first_caller = Caller::connect(target.clone(), 0).await;
    stream(&mut first_caller, WARM_UP.chunks, || {}).await;
    upstream.set_pace(PACE);
    let process = target.process;
    let before = resident_kib(process);
    let opened = Arc::new(AtomicUsize::new(0));
    let (streams, began) = (open(target, &opened).await, Instant::now());
    while opened.load(Ordering::Relaxed) < STREAMS {
        sleep(Duration::from_millis(10)).await;
    }
    let cpu_before = cpu_time(process);
    sleep(WATCHED).await;
    let cpu = micros(cpu_time(process).saturating_sub(cpu_before));
    let open = resident_kib(process);
    let shortest = PACE.pause * u32::try_from(PACE.chunks - 1).unwrap();
    assert!(began.elapsed() < shortest, "all streams were open together");
    let mut delays = Vec::new();
    for stream in streams {
        delays.extend(stream.await.unwrap().delays);
    }
    delays.sort_unstable();
    sleep(REST).await;
    let mib = |kib: f64| kib / 1024.0;
    let chunks = STREAMS as f64 * WATCHED.as_secs_f64() / PACE.pause.as_secs_f64();
    vec![
        mib(before),
        mib(open),
        mib(resident_kib(process)),
        (open - before) / STREAMS as f64,
        percentile(&delays, 0.5),
        percentile(&delays, 0.99),
        cpu / chunks,
    ]
}

/// Connects all callers, then lets them ask one after the other. Each that gets an answer is
/// counted.
async fn open(target: &Target, opened: &Arc<AtomicUsize>) -> Vec<JoinHandle<Received>> {
    let mut callers = Vec::new();
    for index in 0..STREAMS {
        callers.push(Caller::connect(target.clone(), index).await);
    }
    let mut due = tokio::time::Instant::now();
    let mut streams = Vec::new();
    for mut caller in callers {
        due += BETWEEN_BEGINNINGS;
        let opened = opened.clone();
        streams.push(tokio::spawn(async move {
            sleep_until(due).await;
            let count = || {
                opened.fetch_add(1, Ordering::Relaxed);
            };
            stream(&mut caller, PACE.chunks, count).await
        }));
    }
    streams
}
