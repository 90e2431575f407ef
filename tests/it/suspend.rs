//! Teams and organizations that may not work for a while.

use std::time::Duration;

use tollgate_common::clock::{Clock as _, SystemClock};
use tollgate_common::command::Command;
use tollgate_common::standing::Standing;
use tollgate_tests::fixture::{ALPHA, TEAM_B};
use tollgate_tests::{Client, World, wait};

const SUSPENDED: &str = "Team access is suspended. Please contact support.";

fn team(standing: Standing) -> Command {
    let id = ALPHA.id.parse().unwrap();
    Command::SetTeamStanding { id, standing }
}

fn org(standing: Standing) -> Command {
    let id = ALPHA.org.parse().unwrap();
    Command::SetOrgStanding { id, standing }
}

/// Waits until creating a job is answered with this status.
async fn until_status(client: &Client, status: u16) -> tollgate_tests::Answer {
    let what = format!("creating a job is answered {status}");
    wait::until_within(Duration::from_secs(10), &what, async || {
        let answer = client.knock().await;
        (answer.status == status).then_some(answer)
    })
    .await
}

/// Whatever the standing, history can be read and nothing can be changed.
async fn reads_but_does_not_write(client: &Client, job: &str, status: u16) {
    for path in [
        format!("/api/jobs/{job}"),
        format!("/api/jobs/{job}/costs"),
        "/api/credits/teams/team-alpha/balance".to_owned(),
        "/api/credits/teams/team-alpha/transactions".to_owned(),
    ] {
        let _ = client.get(&path).await.expect(200);
    }
    let _ = client.call(job, "Hi").await.expect(status);
    let _ = client.create().await.expect(status);
}

#[tokio::test]
async fn a_suspended_team_reads_its_history_and_nothing_else() {
    let world = World::sqlite().await;
    let proxy = world.start().await;
    let alpha = proxy.client(ALPHA);
    let job = alpha.create_job().await;
    world.execute(team(Standing::Suspended)).await;
    let refused = until_status(&alpha, 403).await;
    assert_eq!(refused.detail(), SUSPENDED);
    reads_but_does_not_write(&alpha, &job, 403).await;
    assert_eq!(world.upstream.count(), 0);
    let _ = proxy.client(TEAM_B).create().await.expect(200);

    world.execute(team(Standing::Active)).await;
    let _ = until_status(&alpha, 200).await;
    let _ = alpha.call(&job, "Hi").await.expect(200);
}

#[tokio::test]
async fn a_paused_team_is_told_when_to_come_back() {
    let world = World::sqlite().await;
    let proxy = world.start().await;
    let alpha = proxy.client(ALPHA);
    let job = alpha.create_job().await;
    let until = Some(SystemClock.now().plus(Duration::from_hours(1)));
    world.execute(team(Standing::Paused { until })).await;
    let refused = until_status(&alpha, 429).await;
    let seconds = refused.retry_after().expect("Retry-After");
    assert!((1..=3_600).contains(&seconds), "{seconds}");
    assert!(refused.detail().contains("paused"), "{}", refused.text());
    reads_but_does_not_write(&alpha, &job, 429).await;

    let until = Some(SystemClock.now().plus(Duration::from_secs(2)));
    world.execute(team(Standing::Paused { until })).await;
    let _ = until_status(&alpha, 200).await;
    world.execute(team(Standing::Paused { until: None })).await;
    let refused = until_status(&alpha, 429).await;
    assert!(refused.retry_after().is_some());
}

#[tokio::test]
async fn an_organization_stops_all_its_teams_and_no_others() {
    let world = World::sqlite().await;
    let proxy = world.start().await;
    let (alpha, b) = (proxy.client(ALPHA), proxy.client(TEAM_B));
    let job = alpha.create_job().await;
    world.execute(org(Standing::Suspended)).await;
    let _ = until_status(&alpha, 403).await;
    reads_but_does_not_write(&alpha, &job, 403).await;
    let _ = b.create().await.expect(200);
    world.execute(org(Standing::Paused { until: None })).await;
    let _ = until_status(&alpha, 429).await;
    world.execute(org(Standing::Active)).await;
    let _ = until_status(&alpha, 200).await;
}

#[tokio::test]
async fn a_call_under_way_is_finished() {
    let world = World::sqlite().await;
    let proxy = world.start().await;
    let alpha = proxy.client(ALPHA);
    let job = alpha.create_job().await;
    let calling = tokio::spawn({
        let (alpha, job) = (alpha.clone(), job.clone());
        async move { alpha.call(&job, "do:slow=1500").await }
    });
    wait::until("the provider has the call", async || {
        (world.upstream.count() == 1).then_some(())
    })
    .await;
    world.execute(team(Standing::Suspended)).await;
    let _ = until_status(&alpha, 403).await;
    let _ = calling.await.unwrap().expect(200);
}
