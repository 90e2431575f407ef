//! Many at once, and credits for few: nobody spends what is not there.

use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tollgate_common::command::{Command, TeamSettings};
use tollgate_common::job::CallState;
use tollgate_common::money::Credits;
use tollgate_tests::fixture::{Team, create_team, import_key};
use tollgate_tests::{Answer, Client, Proxy, Store, World};

/// Fits under the usual limit of 1,024 open files, on both sides of each connection.
const CONNECTIONS_MAX: usize = 400;

const fn team(credits: i64) -> Team {
    Team {
        id: "team-race",
        org: "o1",
        key: "sk-race-virtual-key-55ee",
        credits,
    }
}

/// A world with a team that has so many credits, and so many proxies on its database.
async fn race_track(store: Store, credits: i64, proxies: usize) -> (World, Vec<Proxy>) {
    let world = World::on(store).await;
    let team = team(credits);
    world
        .execute(create_team(team, TeamSettings::default()))
        .await;
    world.execute(import_key(team.id, team.key)).await;
    let mut started = Vec::new();
    for _ in 0..proxies {
        started.push(world.start().await);
    }
    (world, started)
}

/// Runs `run` so often at once, in turn on each proxy.
async fn at_once<T: Send + 'static, F: Future<Output = T> + Send>(
    count: usize,
    proxies: &[Proxy],
    run: impl Fn(Client, Arc<Semaphore>) -> F + Copy + Send + 'static,
) -> Vec<T> {
    let lanes = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let clients: Vec<Client> = proxies.iter().map(|proxy| proxy.client(team(0))).collect();
    let mut running = JoinSet::new();
    for index in 0..count {
        let (client, lanes) = (clients[index % clients.len()].clone(), Arc::clone(&lanes));
        running.spawn(async move { run(client, lanes).await });
    }
    running.join_all().await
}

/// An answer, as soon as a connection is free for its request.
async fn in_lane(lanes: &Semaphore, request: impl Future<Output = Answer>) -> Answer {
    let _lane = lanes.acquire().await.expect("lanes stay open");
    request.await
}

async fn create(client: Client, lanes: Arc<Semaphore>) -> u16 {
    let answer = in_lane(&lanes, client.create()).await;
    if answer.status != 200 {
        answer.expect_error(403, "Insufficient credits. Team has 0 credits remaining");
    }
    answer.status
}

async fn one_credit_makes_one_job(store: Store, proxies: usize) {
    let (world, proxies) = race_track(store, 1, proxies).await;
    let statuses = at_once(200, &proxies, create).await;
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1);
    let account = world.account(team(1).id).await;
    assert_eq!((account.balance.0, account.held.0), (1, 1));
    assert_eq!(world.jobs().await.len(), 1);
    world.verify().await;
}

/// Create, call, complete; false if there was no credit to begin with.
async fn workflow(client: Client, lanes: Arc<Semaphore>) -> bool {
    let created = in_lane(&lanes, client.create()).await;
    if created.status == 403 {
        return false;
    }
    let job = tollgate_tests::client::job_id(&created.expect(200));
    let _ = in_lane(&lanes, client.call(&job, "Hi")).await.expect(200);
    let done = in_lane(&lanes, client.complete(&job)).await.expect(200);
    assert_eq!(done.json["costs"]["credit_applied"], true);
    true
}

async fn a_budget_of_five_makes_five_jobs(store: Store, proxies: usize) {
    let (world, proxies) = race_track(store, 1_000, proxies).await;
    let settings = TeamSettings {
        budget_day: Some(Some(Credits(5))),
        ..TeamSettings::default()
    };
    let id = team(0).id.parse().unwrap();
    world.execute(Command::SetTeam { id, settings }).await;
    let statuses = at_once(200, &proxies, async |client, lanes: Arc<Semaphore>| {
        in_lane(&lanes, client.create()).await.status
    });
    let mut statuses = statuses.await;
    statuses.sort_unstable();
    assert_eq!(statuses[..5], [200; 5]);
    assert_eq!(statuses[5..], [429; 195]);
    assert_eq!(world.account(team(0).id).await.held.0, 5);
    world.verify().await;
}

async fn five_credits_make_five_workflows(store: Store, proxies: usize) {
    let (world, proxies) = race_track(store, 5, proxies).await;
    let paid = at_once(1_000, &proxies, workflow).await;
    assert_eq!(paid.iter().filter(|paid| **paid).count(), 5);
    assert_eq!(
        world.upstream.count(),
        5,
        "the provider saw what was paid for"
    );
    let account = world.account(team(5).id).await;
    assert_eq!(
        (account.balance.0, account.held.0, account.used.0),
        (0, 0, 5)
    );
    let entries = world.entries(team(5).id).await;
    let deductions: Vec<_> = entries.iter().filter(|e| e.kind == "deduction").collect();
    assert_eq!(deductions.len(), 5);
    for job in world.jobs().await {
        let calls = world.calls(&job.id.to_string()).await;
        assert_eq!(calls.len(), 1);
        assert_eq!(calls[0].state, CallState::Succeeded);
    }
    world.verify().await;
}

async fn fifty_completes_charge_once(store: Store, proxies: usize) {
    let (world, proxies) = race_track(store, 100, proxies).await;
    let clients: Vec<Client> = proxies.iter().map(|proxy| proxy.client(team(0))).collect();
    let job = clients[0].create_job().await;
    let _ = clients[0].call(&job, "Hi").await.expect(200);
    let mut running = JoinSet::new();
    for index in 0..50 {
        let (client, job) = (clients[index % clients.len()].clone(), job.clone());
        running.spawn(async move { client.complete(&job).await.expect(200) });
    }
    let answers = running.join_all().await;
    for answer in &answers {
        assert_eq!(answer.bytes, answers[0].bytes);
    }
    assert_eq!(world.account(team(0).id).await.balance.0, 99);
    world.verify().await;
}

/// One job completed, one failed, one left open; jobs of two types.
async fn end_in_every_way(client: Client, lanes: Arc<Semaphore>) {
    let jobs = [("chat", "completed"), ("report", "failed"), ("report", "")];
    for (job_type, end) in jobs {
        let body = serde_json::json!({ "team_id": team(0).id, "job_type": job_type });
        let created = in_lane(&lanes, client.post("/api/jobs/create", &body)).await;
        let job = tollgate_tests::client::job_id(&created.expect(200));
        let _ = in_lane(&lanes, client.call(&job, "Hi")).await.expect(200);
        if !end.is_empty() {
            let _ = in_lane(&lanes, client.end(&job, end)).await.expect(200);
        }
    }
}

async fn many_jobs_that_end_at_once_are_added_up(store: Store, proxies: usize) {
    const RUNS: usize = 100;
    let (world, proxies) = race_track(store, 1_000, proxies).await;
    at_once(RUNS, &proxies, end_in_every_way).await;
    let client = proxies[0].client(team(0));
    let report = crate::usage::whole_usage(&client, team(0).id).await;
    let summary = &report["summary"];
    assert_eq!(summary["total_jobs"], 3 * RUNS);
    assert_eq!(summary["successful_jobs"], RUNS);
    assert_eq!(summary["failed_jobs"], RUNS);
    assert_eq!(
        summary["total_tokens"],
        2 * RUNS * 15,
        "open jobs come later"
    );
    assert_eq!(report["job_types"]["chat"]["count"], RUNS);
    assert_eq!(report["job_types"]["report"]["count"], 2 * RUNS);
    let path = format!("/api/teams/{}/jobs?limit=1", team(0).id);
    let total = |listed: Answer| listed.expect(200).json["total"].clone();
    assert_eq!(total(client.get(&path).await), 3 * RUNS);
    let failed = format!("{path}&status=failed");
    assert_eq!(total(client.get(&failed).await), RUNS);
    world.verify().await;
}

#[tokio::test]
async fn many_jobs_that_end_at_once_are_added_up_on_sqlite() {
    many_jobs_that_end_at_once_are_added_up(Store::Sqlite, 1).await;
}

#[tokio::test]
async fn many_jobs_that_end_at_once_are_added_up_on_two_proxies() {
    many_jobs_that_end_at_once_are_added_up(Store::Postgres, 2).await;
}

#[tokio::test]
async fn one_credit_makes_one_job_on_sqlite() {
    one_credit_makes_one_job(Store::Sqlite, 1).await;
}

#[tokio::test]
async fn one_credit_makes_one_job_on_two_proxies() {
    one_credit_makes_one_job(Store::Postgres, 2).await;
}

#[tokio::test]
async fn a_budget_of_five_makes_five_jobs_on_sqlite() {
    a_budget_of_five_makes_five_jobs(Store::Sqlite, 1).await;
}

#[tokio::test]
async fn a_budget_of_five_makes_five_jobs_on_two_proxies() {
    a_budget_of_five_makes_five_jobs(Store::Postgres, 2).await;
}

#[tokio::test]
async fn five_credits_make_five_workflows_on_sqlite() {
    five_credits_make_five_workflows(Store::Sqlite, 1).await;
}

#[tokio::test]
async fn five_credits_make_five_workflows_on_two_proxies() {
    five_credits_make_five_workflows(Store::Postgres, 2).await;
}

#[tokio::test]
async fn fifty_completes_charge_once_on_sqlite() {
    fifty_completes_charge_once(Store::Sqlite, 1).await;
}

#[tokio::test]
async fn fifty_completes_charge_once_on_two_proxies() {
    fifty_completes_charge_once(Store::Postgres, 2).await;
}

#[tokio::test]
async fn different_jobs_completed_on_two_proxies_leave_an_unbroken_ledger() {
    let (world, proxies) = race_track(Store::Postgres, 100, 2).await;
    let paid = at_once(40, &proxies, workflow).await;
    assert!(paid.iter().all(|paid| *paid));
    let account = world.account(team(0).id).await;
    assert_eq!((account.used.0, account.balance.0), (40, 60));
    world.verify().await;
}
