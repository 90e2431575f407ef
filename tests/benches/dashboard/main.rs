//! How quick the dashboard is on a large database: the real program in a terminal of its own.
//!
//! Fills a database on SQLite, and one on PostgreSQL if `TOLLGATE_TEST_POSTGRES_URL` names a
//! server, with a made-up business, and prints for each how long it takes from a key to the first
//! bytes of a frame and to the last ones with what was read, how many bytes a cursor key costs, and
//! what the dashboard takes while nobody does anything.
//!
//! `cargo build --release --workspace && cargo bench -p tollgate-tests --bench dashboard`
//! `TOLLGATE_BENCH_JOBS` (100,000) and `TOLLGATE_BENCH_TEAMS` (200) change how large it is.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark may stop and prints"
)]

mod measure;

use std::time::{Duration, Instant};

use measure::{Process, Times, press, settle};
use tollgate_common::db::migrate;
use tollgate_tests::{Store, Terminal, World, postgres};

/// Screens by their keys and names.
const SCREENS: [(&str, &str); 10] = [
    ("1", "Overview"),
    ("2", "Jobs"),
    ("3", "Teams"),
    ("4", "Orgs"),
    ("5", "Keys"),
    ("6", "Credits"),
    ("7", "Models"),
    ("8", "Providers"),
    ("9", "Audit"),
    ("0", "Settings"),
];

/// How often each screen is opened and paged through, and the cursor is moved.
const VISITS: usize = 12;
const PAGES: usize = 20;
const STEPS: usize = 60;

const PAGE_DOWN: &str = "\u{1b}[6~";
const SIZE: (u16, u16) = (120, 40);
const IDLE: Duration = Duration::from_secs(10);

fn number(variable: &str, default: u64) -> u64 {
    let text = std::env::var(variable).ok();
    text.and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn main() {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(run());
}

async fn run() {
    on(Store::Sqlite, "SQLite").await;
    if std::env::var_os(postgres::VARIABLE).is_some() {
        on(Store::Postgres, "PostgreSQL").await;
    } else {
        println!(
            "\n{} is not set: PostgreSQL is left out",
            postgres::VARIABLE
        );
    }
}

async fn on(store: Store, name: &str) {
    let jobs = number("TOLLGATE_BENCH_JOBS", 100_000).to_string();
    let teams = number("TOLLGATE_BENCH_TEAMS", 200).to_string();
    let world = World::empty(store).await;
    migrate::migrate(world.database()).await.unwrap();
    let begun = Instant::now();
    let seeded = world
        .admin(&["dev", "seed", "--jobs", &jobs, "--teams", &teams])
        .await;
    assert_eq!(seeded.code, Some(0), "{}", seeded.stderr);
    let seconds = begun.elapsed().as_secs_f64();
    println!("\n{name}: {jobs} jobs of {teams} teams, made up in {seconds:.1} s");
    let mut terminal = world.terminal(&[], SIZE);
    terminal.until("live").await;
    println!(
        "start to a live screen   {:>8.1?}",
        begun
            .elapsed()
            .saturating_sub(Duration::from_secs_f64(seconds))
    );
    screens(&mut terminal).await;
    cursor(&mut terminal).await;
    idle(&mut terminal).await;
    terminal.keys("q");
    assert_eq!(terminal.ended().await, 0);
}

/// From a key to the frame with what was read.
async fn screens(terminal: &mut Terminal) {
    println!(
        "{:<12} {:^31} {:^31}",
        "", "open, ms p50/p99", "page down, ms p50/p99"
    );
    println!(
        "{:<12} {:>15} {:>15} {:>15} {:>15}",
        "", "first", "settled", "first", "settled"
    );
    for (key, name) in SCREENS {
        let (mut opened, mut paged) = (Times::default(), Times::default());
        for _ in 0..VISITS {
            let elsewhere = if key == "7" { "0" } else { "7" };
            press(terminal, elsewhere).await;
            opened.add(press(terminal, key).await);
        }
        for _ in 0..PAGES {
            paged.add(press(terminal, PAGE_DOWN).await);
        }
        println!("{name:<12} {opened} {paged}");
    }
}

/// What moving the cursor costs.
async fn cursor(terminal: &mut Terminal) {
    press(terminal, "2").await;
    let mut moved = Times::default();
    for step in 0..STEPS {
        moved.add(press(terminal, if step % 20 < 10 { "j" } else { "k" }).await);
    }
    println!("cursor key in Jobs: {} ms, {} bytes", moved, moved.bytes());
}

/// What it takes while nobody does anything.
async fn idle(terminal: &mut Terminal) {
    press(terminal, "7").await;
    settle(terminal).await;
    let process = Process::of(terminal.process_id());
    let ((bytes, _), cpu) = (terminal.written(), process.cpu());
    tokio::time::sleep(IDLE).await;
    let (written, used) = (
        terminal.written().0 - bytes,
        process.cpu().saturating_sub(cpu),
    );
    println!(
        "idle for {} s: {written} bytes, {:.2} % of a core; memory {} MiB now, {} MiB at most",
        IDLE.as_secs(),
        used.as_secs_f64() * 100.0 / IDLE.as_secs_f64(),
        process.memory("VmRSS"),
        process.memory("VmHWM"),
    );
}
