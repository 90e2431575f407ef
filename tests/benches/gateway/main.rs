//! What the gateway costs beside a bare Pingora pass-through, in one run on one machine.
//!
//! Starts a bare pass-through and `tollgate` on SQLite with billing on, drives them in turn, round
//! by round, and prints their figures side by side, in three parts: answers given whole, answers
//! given as streams, and the memory of a thousand streams at once. Each part ends with a check of
//! the ledger. Figures of a small or busy machine vary; the ratios are what carries over.
//!
//! `cargo build --release --workspace && cargo bench -p tollgate-tests`
//! `TOLLGATE_BENCH_SECONDS` and `TOLLGATE_BENCH_ROUNDS` change how long it takes,
//! `TOLLGATE_BENCH_ONLY` (`whole`, `stream`, `memory`, or several with commas) selects parts.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a benchmark may stop and prints"
)]

mod bare;
mod measure;
mod memory;
mod setup;
mod stream;
mod target;
mod upstream;
mod whole;

use std::time::Duration;

const PARTS: [&str; 3] = ["whole", "stream", "memory"];

/// How often each target is driven, and how long.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rounds {
    pub(crate) count: u64,
    pub(crate) duration: Duration,
}

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(default)
}

/// The parts that are wanted; all if nobody chooses.
fn parts() -> Vec<String> {
    let wanted = std::env::var("TOLLGATE_BENCH_ONLY").unwrap_or_else(|_| PARTS.join(","));
    let wanted: Vec<String> = wanted.split(',').map(str::to_owned).collect();
    for part in &wanted {
        let is_known = PARTS.contains(&part.as_str());
        assert!(
            is_known,
            "TOLLGATE_BENCH_ONLY: {part:?} is none of {PARTS:?}"
        );
    }
    wanted
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let Some(place) = arguments
        .iter()
        .position(|argument| argument == bare::ARGUMENT)
    {
        bare::serve(&arguments[place + 1], &arguments[place + 2]);
    }
    let parts = parts();
    if parts.iter().any(|part| part == "memory") {
        memory::raise_limit_of_files();
    }
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(run(&parts));
}

async fn run(parts: &[String]) {
    let rounds = Rounds {
        count: number("TOLLGATE_BENCH_ROUNDS", 3),
        duration: Duration::from_secs(number("TOLLGATE_BENCH_SECONDS", 1)),
    };
    for part in parts {
        match part.as_str() {
            "whole" => whole::run(rounds).await,
            "stream" => stream::run(rounds).await,
            _ => memory::run().await,
        }
    }
}
