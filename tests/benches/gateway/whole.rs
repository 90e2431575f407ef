//! Answers given whole: callers ask as fast as they are answered, each on a connection of its own.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::BodyExt as _;
use serde_json::json;
use tollgate_tests::fixture;

use crate::Rounds;
use crate::measure::{Figure, Row, cpu_time, micros, percentile};
use crate::setup::{Setup, prompt_body};
use crate::target::{Caller, Target};

const CONCURRENCIES: [usize; 3] = [64, 16, 1];

const FIGURES: [Figure; 4] = [
    Figure::new("req/s", 0).compared("req/s ×"),
    Figure::new("p50 µs", 0),
    Figure::new("p99 µs", 0),
    Figure::new("CPU µs", 1).compared("CPU ×"),
];

/// Drives all targets and prints what came of it.
pub(crate) async fn run(rounds: Rounds) {
    let setup = Setup::with_demo_upstream().await;
    let targets = targets(&setup).await;
    let mut calls = 0;
    for concurrency in CONCURRENCIES {
        let mut rows: Vec<Row> = targets.iter().map(|t| Row::new(t.name)).collect();
        for _ in 0..rounds.count {
            for (target, row) in targets.iter().zip(&mut rows) {
                let (answers, figures) = drive(target, concurrency, rounds.duration).await;
                if target.process == setup.gateway.process {
                    calls += answers;
                }
                row.add(figures);
            }
        }
        println!("\nwhole answers, concurrency {concurrency}, medians of {rounds}");
        Row::print(&FIGURES, &rows);
    }
    setup.check(calls).await;
}

async fn targets(setup: &Setup) -> Vec<Target> {
    let in_jobs = prompt_body(json!({}));
    let single = json!({ "team_id": fixture::ALPHA.id, "job_type": "bench" });
    let mut targets = vec![setup.bare_target(in_jobs.clone())];
    for (name, team) in [
        ("tollgate llm-call, job_based", fixture::ALPHA),
        ("tollgate llm-call, consumption", fixture::TOK),
    ] {
        let paths = setup.open_jobs(team, CONCURRENCIES[0], "llm-call").await;
        targets.push(setup.target(name, team, paths, in_jobs.clone()));
    }
    targets.push(setup.target(
        "tollgate create-and-call",
        fixture::ALPHA,
        vec!["/api/jobs/create-and-call".to_owned()],
        prompt_body(single),
    ));
    targets
}

/// One run against one target: how many answers there were, and the figures.
async fn drive(target: &Target, concurrency: usize, duration: Duration) -> (usize, Vec<f64>) {
    let mut callers = Vec::new();
    for index in 0..concurrency {
        callers.push(tokio::spawn(call_until(target.clone(), index, duration)));
    }
    let (cpu_before, began) = (cpu_time(target.process), Instant::now());
    let mut latencies = Vec::new();
    for caller in callers {
        latencies.extend(caller.await.unwrap());
    }
    let elapsed = began.elapsed();
    let cpu = cpu_time(target.process).saturating_sub(cpu_before);
    let count = latencies.len();
    latencies.sort_unstable();
    let figures = vec![
        count as f64 / elapsed.as_secs_f64(),
        percentile(&latencies, 0.5),
        percentile(&latencies, 0.99),
        micros(cpu) / count as f64,
    ];
    (count, figures)
}

async fn call_until(target: Target, index: usize, duration: Duration) -> Vec<Duration> {
    let mut caller = Caller::connect(target, index).await;
    let deadline = Instant::now() + duration;
    let mut latencies = Vec::new();
    while Instant::now() < deadline {
        let began = Instant::now();
        let body: Bytes = caller.ask().await.collect().await.unwrap().to_bytes();
        latencies.push(began.elapsed());
        assert!(!body.is_empty(), "an answer says something");
    }
    latencies
}
