//! What the gateway costs beside a bare Pingora pass-through, in one run on one machine.
//!
//! Starts the demo upstream, a bare pass-through and `tollgate` on SQLite with billing on, drives
//! them in turn, round by round, and prints requests per second, latencies and CPU time per
//! request. Figures of a small or busy machine vary; the ratios are what carries over.
//!
//! `cargo build --release --workspace && cargo bench -p tollgate-tests`
//! `TOLLGATE_BENCH_SECONDS` and `TOLLGATE_BENCH_ROUNDS` change how long it takes.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a benchmark may stop and prints"
)]

mod bare;
mod load;
mod measure;
mod setup;

use std::time::Duration;

use load::Load;
use measure::Row;
use setup::Setup;

/// How many callers ask at once.
const CONCURRENCY: usize = 64;

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(default)
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let Some(place) = arguments
        .iter()
        .position(|argument| argument == bare::ARGUMENT)
    {
        bare::serve(&arguments[place + 1], &arguments[place + 2]);
    }
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(run());
}

async fn run() {
    let seconds = Duration::from_secs(number("TOLLGATE_BENCH_SECONDS", 4));
    let rounds = number("TOLLGATE_BENCH_ROUNDS", 5);
    let setup = Setup::start(CONCURRENCY).await;
    for concurrency in [CONCURRENCY, 16, 1] {
        let mut rows: Vec<Row> = setup.targets.iter().map(|t| Row::new(t.name)).collect();
        for _ in 0..rounds {
            for (target, row) in setup.targets.iter().zip(&mut rows) {
                let load = Load {
                    target,
                    concurrency,
                    duration: seconds,
                };
                row.add(load.run().await);
            }
        }
        println!("\nconcurrency {concurrency}, medians of {rounds} rounds of {seconds:?}");
        Row::print(&rows);
    }
    setup.check().await;
}
