//! What is deleted of ended jobs after their time, and what stays.

use std::time::Duration;

use tollgate_common::clock::{Clock as _, SystemClock};
use tollgate_common::command::Command;
use tollgate_common::db::retention;
use tollgate_common::db::work::BalanceChange;
use tollgate_common::job::JobState;
use tollgate_common::money::Credits;
use tollgate_tests::fixture::{ALPHA, TOK};
use tollgate_tests::{Store, World, wait};

use crate::isolation::tamper;
use crate::usage::whole_usage;

async fn refund(world: &World, team: &str, job: &str) {
    world
        .execute(Command::ChangeBalance {
            team_id: team.parse().unwrap(),
            change: BalanceChange::Refund(Credits(1), Some(job.parse().unwrap())),
            reason: "not useful".to_owned(),
        })
        .await;
}

async fn old_jobs_are_deleted_and_the_sums_stay(store: Store) {
    let world = World::on(store).await;
    let proxy = world.start().await;
    let tok = proxy.client(TOK);
    for status in ["completed", "failed"] {
        let job = tok.create_job().await;
        let _ = tok.call(&job, "Hi").await.expect(200);
        let _ = tok.call(&job, "do:status=400").await;
        let _ = tok.end(&job, status).await.expect(200);
        if status == "completed" {
            refund(&world, TOK.id, &job).await;
        }
    }
    let open = tok.create_job().await;
    let _ = tok.call(&open, "Hi").await.expect(200);
    let usage = whole_usage(&tok, TOK.id).await;
    let entries = world.entries(TOK.id).await.len();
    let cutoff = SystemClock.now().plus(Duration::from_mins(1));
    while retention::delete_ended(world.database(), cutoff)
        .await
        .unwrap()
    {}
    let left: Vec<String> = world
        .jobs()
        .await
        .iter()
        .map(|job| job.id.to_string())
        .collect();
    assert_eq!(left, std::slice::from_ref(&open));
    assert_eq!(world.calls(&open).await.len(), 1);
    assert_eq!(world.entries(TOK.id).await.len(), entries);
    assert_eq!(whole_usage(&tok, TOK.id).await, usage);
    let _ = world.verify().await;
    let _ = tok.complete(&open).await.expect(200);
    let _ = world.verify().await;
}

#[tokio::test]
async fn old_jobs_are_deleted_and_the_sums_stay_on_sqlite() {
    old_jobs_are_deleted_and_the_sums_stay(Store::Sqlite).await;
}

#[tokio::test]
async fn old_jobs_are_deleted_and_the_sums_stay_on_postgres() {
    old_jobs_are_deleted_and_the_sums_stay(Store::Postgres).await;
}

#[tokio::test]
async fn the_proxy_deletes_jobs_that_ended_before_the_retention_time() {
    let world = World::sqlite()
        .await
        .with("TOLLGATE_JOBS_RETENTION_DAYS", "2");
    let mut proxy = world.start().await;
    let alpha = proxy.client(ALPHA);
    let old = alpha.create_job().await;
    let _ = alpha.call(&old, "Hi").await.expect(200);
    let _ = alpha.complete(&old).await.expect(200);
    tamper(
        &world,
        "UPDATE jobs SET completed_at = completed_at - 3 * 86400000000",
    )
    .await;
    let recent = alpha.create_job().await;
    let _ = alpha.complete(&recent).await.expect(200);
    proxy.restart().await;
    wait::until("the old job is deleted", async || {
        let jobs = world.jobs().await;
        jobs.iter()
            .all(|job| job.id.to_string() != old)
            .then_some(())
    })
    .await;
    assert_eq!(world.job(&recent).await.state, JobState::Completed);
    let _ = world.verify().await;
}
