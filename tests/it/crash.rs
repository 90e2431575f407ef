//! `kill -9` under load: whatever was in flight, the books balance and nothing is done twice.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use reqwest::Method;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tollgate_common::command::TeamSettings;
use tollgate_common::job::{BudgetMode, CallState, JobState};
use tollgate_tests::client::{job_id, prompt_body};
use tollgate_tests::fixture::{ALPHA, TOK, Team, create_team, import_key};
use tollgate_tests::{Answer, Client, World, wait};

const KILLS: usize = 20;
const WORKERS: usize = 12;
const CREDITS: i64 = 1_000_000;

const PER_JOB: Team = Team {
    id: "team-crash-jobs",
    org: "o1",
    key: "sk-crash-jobs-virtual-key",
    credits: CREDITS,
};

const PER_TOKEN: Team = Team {
    id: "team-crash-tokens",
    org: "o1",
    key: "sk-crash-tokens-virtual-key",
    credits: CREDITS,
};

/// What the workers share.
#[derive(Default)]
struct Load {
    stopping: AtomicBool,
    completed: AtomicUsize,
}

/// One application that works on and on, repeating what got no answer.
struct Worker {
    client: Client,
    load: Arc<Load>,
    name: String,
}

impl Worker {
    async fn run(self) {
        let mut turn = 0;
        while !self.load.stopping.load(Ordering::SeqCst) {
            turn += 1;
            self.workflow(turn).await;
        }
    }

    /// Create, call, complete, each until it is answered for good.
    async fn workflow(&self, turn: usize) {
        let name = format!("{}-{turn}", self.name);
        let body = self.client.job_body();
        let created = self
            .insist("/api/jobs/create", &body, &format!("{name}-create"))
            .await;
        let job = job_id(&created);
        // The job's id in the prompt tells the provider's record and the database apart.
        let prompt = prompt_body(&format!("do:slow=5 job={job}"));
        let path = format!("/api/jobs/{job}/llm-call");
        let _ = self.insist(&path, &prompt, &format!("{name}-call")).await;
        let path = format!("/api/jobs/{job}/complete");
        let done = json!({ "status": "completed" });
        let done = self.insist(&path, &done, &format!("{name}-complete")).await;
        assert_eq!(done.json["status"], "completed");
        self.load.completed.fetch_add(1, Ordering::SeqCst);
    }

    /// Repeats a request with its idempotency key until it succeeds.
    async fn insist(&self, path: &str, body: &Value, key: &str) -> Answer {
        let patience = wait::Patience::new(&format!("{path} succeeds"));
        loop {
            let request = self.client.request(Method::POST, path).json(body);
            let request = request.header("idempotency-key", key);
            match self.client.try_send(request).await {
                Ok(answer) if answer.status == 200 => return answer,
                // What was in flight when the proxy died may still be settling.
                Ok(answer) if matches!(answer.status, 409 | 503) => {}
                Ok(answer) => panic!("{path}: {} {}", answer.status, answer.text()),
                Err(_) => {}
            }
            patience.pause().await;
        }
    }
}

async fn world_under_test() -> World {
    let world = World::sqlite().await;
    let per_token = TeamSettings {
        budget_mode: Some(BudgetMode::ConsumptionTokens),
        tokens_per_credit: Some(10),
        ..TeamSettings::default()
    };
    world
        .execute(create_team(PER_JOB, TeamSettings::default()))
        .await;
    world.execute(create_team(PER_TOKEN, per_token)).await;
    for team in [PER_JOB, PER_TOKEN] {
        world.execute(import_key(team.id, team.key)).await;
    }
    world
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_kills_under_load_lose_and_double_nothing() {
    let world = world_under_test().await;
    let mut proxy = world.start().await;
    let load = Arc::new(Load::default());
    let mut workers = JoinSet::new();
    for number in 0..WORKERS {
        let team = if number % 2 == 0 { PER_JOB } else { PER_TOKEN };
        let worker = Worker {
            client: proxy.client(team),
            load: Arc::clone(&load),
            name: format!("worker{number}"),
        };
        workers.spawn(worker.run());
    }
    for kill in 0..KILLS {
        // Another number of calls each time, so that the kills meet other moments of the work.
        let goal = world.upstream.count() + 5 + kill * 7 % 23;
        wait::until("more calls have reached the provider", async || {
            (world.upstream.count() >= goal).then_some(())
        })
        .await;
        proxy.kill();
        proxy.restart().await;
    }
    load.stopping.store(true, Ordering::SeqCst);
    let _ = workers.join_all().await;
    nothing_is_left_over(&world, &load).await;
}

async fn nothing_is_left_over(world: &World, load: &Load) {
    wait::until("no job is open", async || {
        let jobs = world.jobs().await;
        jobs.iter().all(|job| !job.state.is_open()).then_some(())
    })
    .await;
    let report = world.verify().await;
    let jobs = world.jobs().await;
    let completed = jobs.iter().filter(|job| job.state == JobState::Completed);
    assert_eq!(completed.count(), load.completed.load(Ordering::SeqCst));
    for team in [PER_JOB, PER_TOKEN] {
        assert_eq!(
            world.account(team.id).await.held.0,
            0,
            "{} still holds",
            team.id
        );
    }
    every_call_that_was_sent_is_recorded(world).await;
    assert!(report.calls >= i64::try_from(world.upstream.count()).unwrap());
}

async fn every_call_that_was_sent_is_recorded(world: &World) {
    let mut sent: HashMap<String, usize> = HashMap::new();
    for request in world.upstream.requests() {
        let prompt = request.prompt();
        let (_, job) = prompt.split_once("job=").unwrap();
        *sent.entry(job.to_owned()).or_default() += 1;
    }
    let mut interrupted = 0;
    for (job, sent) in sent {
        let calls = world.calls(&job).await;
        assert!(
            calls.len() >= sent,
            "{job}: {sent} sent, {} recorded",
            calls.len()
        );
        let succeeded = calls
            .iter()
            .filter(|c| c.state == CallState::Succeeded)
            .count();
        assert_eq!(succeeded, 1, "the answer of {job} was given once");
        for call in calls {
            assert_ne!(call.state, CallState::InFlight, "{}", call.id);
            interrupted += usize::from(call.state == CallState::Interrupted);
        }
    }
    assert!(
        interrupted > 0,
        "the kills met no call in flight, so nothing was shown"
    );
}

#[tokio::test]
async fn a_restart_closes_what_the_dead_process_left_in_flight() {
    let world = World::sqlite().await;
    let mut proxy = world.start().await;
    let tok = proxy.client(TOK);
    let job = tok.create_job().await;
    let stuck = tokio::spawn({
        let (tok, job) = (tok.clone(), job.clone());
        async move {
            let path = format!("/api/jobs/{job}/llm-call");
            let request = tok
                .request(Method::POST, &path)
                .json(&prompt_body("do:silent"));
            tok.try_send(request).await.map(|answer| answer.status)
        }
    });
    wait::until("the provider has the call", async || {
        (world.upstream.count() == 1).then_some(())
    })
    .await;
    assert_eq!(world.calls(&job).await[0].state, CallState::InFlight);
    assert!(world.account(TOK.id).await.held.0 > 1);
    proxy.kill();
    assert!(stuck.await.unwrap().is_err());
    proxy.restart().await;
    wait::until("the call is closed", async || {
        (world.calls(&job).await[0].state == CallState::Interrupted).then_some(())
    })
    .await;
    let _ = tok.complete(&job).await.expect(200);
    assert_eq!(world.account(TOK.id).await.held.0, 0);
    world.verify().await;
}

#[tokio::test]
async fn another_proxy_closes_what_a_dead_one_left_in_flight() {
    let world = World::postgres().await;
    let (mut dying, living) = (world.start().await, world.start().await);
    let client = dying.client(ALPHA);
    let job = client.create_job().await;
    let path = format!("/api/jobs/{job}/llm-call");
    let request = client
        .request(Method::POST, &path)
        .json(&prompt_body("do:silent"));
    let stuck = tokio::spawn(async move { client.try_send(request).await.is_err() });
    wait::until("the provider has the call", async || {
        (world.upstream.count() == 1).then_some(())
    })
    .await;
    dying.kill();
    assert!(stuck.await.unwrap());
    wait::until("the call is closed", async || {
        (world.calls(&job).await[0].state == CallState::Interrupted).then_some(())
    })
    .await;
    let _ = living.client(ALPHA).complete(&job).await.expect(200);
    world.verify().await;
}

#[tokio::test]
async fn a_second_proxy_on_one_sqlite_file_does_not_start() {
    let world = World::sqlite().await;
    let proxy = world.start().await;
    let port = tollgate_tests::process::free_port().to_string();
    let world = world.with("TOLLGATE_SERVER_LISTEN", &format!("127.0.0.1:{port}"));
    let mut second = world.spawn(&["serve"]);
    let status = second.wait().await;
    assert!(!status.success());
    assert!(second.log().contains("test.db"), "{}", second.log());
    let _ = proxy.client(ALPHA).create().await.expect(200);
}
