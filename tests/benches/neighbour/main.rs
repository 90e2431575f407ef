//! What one team's calls take while another team, or somebody without a key, does its worst.
//!
//! Starts a proxy on SQLite before a scripted provider that answers at once, and measures the calls
//! of one team alone and beside each attack. The table says what carries over: how often the others
//! are slower than without any attack.
//!
//! `cargo build --release --workspace && cargo bench -p tollgate-tests --bench neighbour`
//! `TOLLGATE_BENCH_SECONDS` changes how long each attack takes, `TOLLGATE_BENCH_ONLY` selects
//! attacks by parts of their names, separated by commas.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark may stop and prints"
)]

mod attack;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tollgate_tests::fixture::{ALPHA, TEAM_B};
use tollgate_tests::{Client, Proxy, World};

use attack::{ATTACKS, Attack};

/// The pause between two calls of the team that is measured.
const PAUSE: Duration = Duration::from_millis(10);

/// How long an attack runs before anything is measured.
const WARM_UP: Duration = Duration::from_millis(500);

fn seconds() -> u64 {
    let text = std::env::var("TOLLGATE_BENCH_SECONDS").ok();
    text.and_then(|text| text.parse().ok()).unwrap_or(5)
}

fn is_wanted(name: &str) -> bool {
    let wanted = std::env::var("TOLLGATE_BENCH_ONLY").unwrap_or_default();
    wanted.split(',').any(|part| name.contains(part.trim()))
}

/// What calls took, in milliseconds, and how many were not answered with 200.
#[derive(Debug, Default)]
struct Sample {
    millis: Vec<f64>,
    failed: usize,
}

impl Sample {
    fn quantile(&mut self, per_cent: usize) -> f64 {
        self.millis.sort_unstable_by(f64::total_cmp);
        let last = self.millis.len().saturating_sub(1);
        let index = self.millis.len() * per_cent / 100;
        self.millis
            .get(index.min(last))
            .copied()
            .unwrap_or(f64::NAN)
    }
}

async fn measure(client: &Client, job: &str, duration: Duration) -> Sample {
    let mut sample = Sample::default();
    let end = Instant::now() + duration;
    while Instant::now() < end {
        let began = Instant::now();
        let answer = client.call(job, "Hi").await;
        sample.millis.push(began.elapsed().as_secs_f64() * 1_000.0);
        sample.failed += usize::from(answer.status != 200);
        tokio::time::sleep(PAUSE).await;
    }
    sample
}

async fn run(proxy: &Proxy, client: &Client, job: &str, attack: &Attack, duration: Duration) {
    let stop = Arc::new(AtomicBool::new(false));
    let attackers = (attack.start)(proxy.port(), stop.clone()).await;
    tokio::time::sleep(WARM_UP).await;
    let mut sample = measure(client, job, duration).await;
    stop.store(true, Ordering::SeqCst);
    for attacker in attackers {
        attacker.abort();
    }
    let [median, high, highest] = [50, 99, 100].map(|per_cent| sample.quantile(per_cent));
    println!(
        "{:<44} {:>6} {:>7} {median:>9.1} {high:>9.1} {highest:>9.1}",
        attack.name,
        sample.millis.len(),
        sample.failed,
    );
}

#[tokio::main]
async fn main() {
    let world = World::sqlite().await;
    world.allocate(ALPHA.id, 10_000_000).await;
    world.allocate(TEAM_B.id, 10_000_000).await;
    let proxy = world.start().await;
    let client = proxy.client(TEAM_B);
    let job = client.create_job().await;
    let duration = Duration::from_secs(seconds());
    println!(
        "{:<44} {:>6} {:>7} {:>9} {:>9} {:>9}",
        "the other team's calls beside", "calls", "failed", "p50 ms", "p99 ms", "max ms"
    );
    for attack in ATTACKS.iter().filter(|attack| is_wanted(attack.name)) {
        run(&proxy, &client, &job, attack, duration).await;
    }
    let _ = client.complete(&job).await.expect(200);
    let _ = world.verify().await;
}
