//! Random histories of callers that try to get answers without paying for them, and what has to
//! hold once everything has come to rest.
//!
//! The acts follow from a seed alone; how they interleave does not, so that what is checked holds
//! for every order of events.

use tollgate_tests::{Store, World, wait};

use driver::Driver;
use teams::TEAMS;

mod acts;
mod checks;
mod driver;
mod teams;

/// How many acts a history has.
const ACTS: usize = 70;

async fn hostile_world(store: Store) -> World {
    let world = World::on(store)
        .await
        .with("TOLLGATE_STREAMS_HEARTBEAT_MS", "50")
        .with("TOLLGATE_STREAMS_DRAIN_MS", "300");
    acts::add_models(&world).await;
    for team in &TEAMS {
        team.create(&world).await;
    }
    world
}

/// Waits until no call is in flight.
async fn until_quiet(world: &World) {
    const COUNT: &str = "SELECT COUNT(*) FROM calls WHERE state = 'in_flight'";
    let deadline = 2 * wait::DEADLINE;
    wait::until_within(deadline, "no call is in flight", async || {
        let count: i64 = sqlx::query_scalar(COUNT)
            .fetch_one(world.database().pool())
            .await
            .unwrap();
        (count == 0).then_some(())
    })
    .await;
}

/// Lets all jobs that are still open expire.
async fn expire_open_jobs(world: World) -> World {
    let world = world.with("TOLLGATE_JOBS_EXPIRY_SECONDS", "1");
    let proxy = world.start().await;
    wait::until("open jobs have expired", async || {
        let jobs = world.jobs().await;
        (!jobs.iter().any(|job| job.state.is_open())).then_some(())
    })
    .await;
    drop(proxy);
    world
}

async fn nothing_is_free(store: Store, proxies: usize, seed: u64) {
    let world = hostile_world(store).await;
    let mut started = Vec::new();
    for _ in 0..proxies {
        started.push(world.start().await);
    }
    let mut driver = Driver::new(&world, &started, seed);
    for act in acts::history(seed, ACTS) {
        driver.carry_out(act).await;
    }
    let made = driver.finish().await;
    until_quiet(&world).await;
    drop(started);
    let world = expire_open_jobs(world).await;
    checks::of_calls(&world, &made, seed).await;
    checks::of_jobs(&world, seed).await;
    checks::of_accounts(&world, seed).await;
    let asked = made.iter().filter(|made| made.was_asked).count();
    assert!(asked > ACTS / 4, "seed {seed} tried too little");
}

#[tokio::test]
async fn no_hostile_history_gets_an_answer_for_nothing_on_sqlite() {
    nothing_is_free(Store::Sqlite, 1, 1).await;
}

#[tokio::test]
async fn another_hostile_history_gets_no_answer_for_nothing_on_sqlite() {
    nothing_is_free(Store::Sqlite, 1, 2).await;
}

#[tokio::test]
async fn a_third_hostile_history_gets_no_answer_for_nothing_on_sqlite() {
    nothing_is_free(Store::Sqlite, 1, 3).await;
}

#[tokio::test]
async fn no_hostile_history_gets_an_answer_for_nothing_on_two_proxies() {
    nothing_is_free(Store::Postgres, 2, 4).await;
}
