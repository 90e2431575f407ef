//! The processes that are compared, and the data that they serve.

use std::net::SocketAddr;
use std::process::{Child, Command as Process, Stdio};
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};
use tollgate_common::clock::{Clock as _, SystemClock, SystemRandom};
use tollgate_common::command::Command;
use tollgate_common::config::Config;
use tollgate_common::db::admin::{Actor, execute};
use tollgate_common::db::work::BalanceChange;
use tollgate_common::db::{Database, migrate, verify};
use tollgate_common::money::Credits;
use tollgate_common::secret::SealingKey;
use tollgate_tests::fixture;
use tollgate_tests::process::{binary, free_port};

use crate::bare;

/// About as long as a short question with a system prompt: half a kilobyte.
const PROMPT_LENGTH: usize = 400;

/// One thing that is measured.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) name: &'static str,
    pub(crate) address: SocketAddr,
    pub(crate) process: u32,
    pub(crate) paths: Vec<String>,
    pub(crate) authorization: String,
    pub(crate) body: Bytes,
}

/// Everything that runs; killed when dropped.
pub(crate) struct Setup {
    pub(crate) targets: Vec<Target>,
    database: Database,
    children: Vec<Child>,
    _folder: tempfile::TempDir,
}

fn local(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

fn spawn(command: &mut Process) -> Child {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

fn body() -> Bytes {
    let prompt = "word ".repeat(PROMPT_LENGTH / 5);
    json!({
        "model": fixture::FAST,
        "max_tokens": 50,
        "messages": [{ "role": "user", "content": prompt }],
    })
    .to_string()
    .into()
}

impl Setup {
    pub(crate) async fn start(jobs: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (upstream, bare, gateway) =
            (local(free_port()), local(free_port()), local(free_port()));
        let mut children = vec![spawn(
            Process::new(binary("tollgate"))
                .args(["demo-upstream", "--listen"])
                .arg(upstream.to_string()),
        )];
        let this = std::env::current_exe().unwrap();
        children.push(spawn(Process::new(this).args([
            bare::ARGUMENT,
            &bare.to_string(),
            &upstream.to_string(),
        ])));
        let file = folder.path().join("bench.db");
        let config = Config {
            database: format!("sqlite:{}", file.display()).parse().unwrap(),
            ..Config::default()
        };
        let database = Database::connect(&config, true).await.unwrap();
        let key_file = folder.path().join("bench.key");
        seed(&database, &key_file, upstream).await;
        children.push(spawn(
            Process::new(binary("tollgate"))
                .current_dir(folder.path())
                .env("DATABASE_URL", format!("sqlite:{}", file.display()))
                .env("TOLLGATE_SERVER_LISTEN", gateway.to_string())
                .env("TOLLGATE_SECRETS_KEY_FILE", key_file)
                .env("TOLLGATE_LOG_FILTER", "warn"),
        ));
        for address in [upstream, bare, gateway] {
            wait_for(address).await;
        }
        let mut targets = vec![Target {
            name: "bare Pingora",
            address: bare,
            process: children[1].id(),
            paths: vec!["/v1/chat/completions".to_owned()],
            authorization: "Bearer none".to_owned(),
            body: body(),
        }];
        for (name, team) in [
            ("tollgate job_based, SQLite", fixture::ALPHA),
            ("tollgate consumption_tokens, SQLite", fixture::TOK),
        ] {
            targets.push(Target {
                name,
                address: gateway,
                process: children[2].id(),
                paths: open_jobs(gateway, team, jobs).await,
                authorization: format!("Bearer {}", team.key),
                body: body(),
            });
        }
        Self {
            targets,
            database,
            children,
            _folder: folder,
        }
    }

    /// Figures of a gateway that lost count would be worth nothing.
    pub(crate) async fn check(&self) {
        let report = verify::verify(&self.database).await.unwrap();
        assert!(report.differences.is_empty(), "{:?}", report.differences);
        println!("\nledger verified: {} calls, no differences", report.calls);
    }
}

impl Drop for Setup {
    fn drop(&mut self) {
        for child in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

async fn seed(database: &Database, key_file: &std::path::Path, upstream: SocketAddr) {
    migrate::migrate(database).await.unwrap();
    let sealing_key = SealingKey::read_or_create(key_file, &SystemRandom).unwrap();
    let base_url = format!("http://{upstream}/v1");
    let mut commands = fixture::commands(&base_url, &sealing_key);
    for team in [fixture::ALPHA, fixture::TOK] {
        commands.push(Command::ChangeBalance {
            team_id: team.id.parse().unwrap(),
            change: BalanceChange::Allocate(Credits(1_000_000_000)),
            reason: "bench".to_owned(),
        });
    }
    for command in &commands {
        let actor = Actor {
            name: "bench",
            now: SystemClock.now(),
            random: &SystemRandom,
        };
        execute(database, actor, command).await.unwrap();
    }
}

async fn wait_for(address: SocketAddr) {
    for _ in 0..500 {
        if tokio::net::TcpStream::connect(address).await.is_ok() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("nothing listens on {address}");
}

async fn open_jobs(address: SocketAddr, team: fixture::Team, count: usize) -> Vec<String> {
    let client = reqwest::Client::new();
    let mut paths = Vec::new();
    for _ in 0..count {
        let answer: Value = client
            .post(format!("http://{address}/api/jobs/create"))
            .bearer_auth(team.key)
            .json(&json!({ "team_id": team.id, "job_type": "bench" }))
            .send()
            .await
            .unwrap()
            .json()
            .await
            .unwrap();
        paths.push(format!(
            "/api/jobs/{}/llm-call",
            answer["job_id"].as_str().unwrap()
        ));
    }
    paths
}
