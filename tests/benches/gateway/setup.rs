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
use tollgate_common::db::{Access, Database, migrate, verify};
use tollgate_common::money::Credits;
use tollgate_common::secret::SealingKey;
use tollgate_tests::fixture;
use tollgate_tests::process::{binary, free_port};

use crate::bare;
use crate::target::Target;

/// About as long as a short question with a system prompt: half a kilobyte.
const PROMPT_LENGTH: usize = 400;

/// A proxy that is measured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    pub(crate) process: u32,
}

/// Everything that runs; killed when dropped.
pub(crate) struct Setup {
    pub(crate) bare: Proxy,
    pub(crate) gateway: Proxy,
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

/// A question of half a kilobyte, with these fields beside it.
pub(crate) fn prompt_body(fields: Value) -> Bytes {
    let prompt = "word ".repeat(PROMPT_LENGTH / 5);
    let mut body = json!({
        "model": fixture::FAST,
        "max_tokens": 50,
        "messages": [{ "role": "user", "content": prompt }],
    });
    for (name, value) in fields.as_object().unwrap() {
        body[name] = value.clone();
    }
    body.to_string().into()
}

impl Setup {
    /// Both proxies before the demo upstream, which answers whole and at once.
    pub(crate) async fn with_demo_upstream() -> Self {
        let address = local(free_port());
        let mut command = Process::new(binary("tollgate"));
        command.args(["demo-upstream", "--listen", &address.to_string()]);
        let upstream = spawn(&mut command);
        wait_for(address).await;
        let mut setup = Self::with_upstream(address).await;
        setup.children.push(upstream);
        setup
    }

    /// Both proxies before an upstream that listens here.
    pub(crate) async fn with_upstream(upstream: SocketAddr) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (bare, gateway) = (local(free_port()), local(free_port()));
        let file = folder.path().join("bench.db");
        let url = format!("sqlite:{}", file.display());
        let config = Config {
            database: url.parse().unwrap(),
            ..Config::default()
        };
        let database = Database::connect(&config, Access::Create).await.unwrap();
        let key_file = folder.path().join("bench.key");
        seed(&database, &key_file, upstream).await;
        let this = std::env::current_exe().unwrap();
        let children = vec![
            spawn(
                Process::new(this)
                    .arg(bare::ARGUMENT)
                    .args([bare.to_string(), upstream.to_string()]),
            ),
            spawn(
                Process::new(binary("tollgate"))
                    .current_dir(folder.path())
                    .env("DATABASE_URL", url)
                    .env("TOLLGATE_SERVER_LISTEN", gateway.to_string())
                    .env("TOLLGATE_SECRETS_KEY_FILE", key_file)
                    .env("TOLLGATE_LOG_FILTER", "warn"),
            ),
        ];
        for address in [bare, gateway] {
            wait_for(address).await;
        }
        let proxy = |address, child: &Child| Proxy {
            address,
            process: child.id(),
        };
        Self {
            bare: proxy(bare, &children[0]),
            gateway: proxy(gateway, &children[1]),
            database,
            children,
            _folder: folder,
        }
    }

    /// The pass-through, which the others are compared with.
    pub(crate) fn bare_target(&self, body: Bytes) -> Target {
        Target {
            name: "bare Pingora",
            address: self.bare.address,
            process: self.bare.process,
            paths: vec!["/v1/chat/completions".to_owned()],
            authorization: "Bearer none".to_owned(),
            body,
        }
    }

    /// Some paths of the gateway, used by a team.
    pub(crate) fn target(
        &self,
        name: &'static str,
        team: fixture::Team,
        paths: Vec<String>,
        body: Bytes,
    ) -> Target {
        Target {
            name,
            address: self.gateway.address,
            process: self.gateway.process,
            paths,
            authorization: format!("Bearer {}", team.key),
            body,
        }
    }

    /// Opens so many jobs and returns the paths of this operation in them.
    pub(crate) async fn open_jobs(
        &self,
        team: fixture::Team,
        count: usize,
        operation: &str,
    ) -> Vec<String> {
        let client = reqwest::Client::new();
        let mut paths = Vec::new();
        for _ in 0..count {
            let answer: Value = client
                .post(format!("http://{}/api/jobs/create", self.gateway.address))
                .bearer_auth(team.key)
                .json(&json!({ "team_id": team.id, "job_type": "bench" }))
                .send()
                .await
                .unwrap()
                .json()
                .await
                .unwrap();
            let job = answer["job_id"].as_str().unwrap();
            paths.push(format!("/api/jobs/{job}/{operation}"));
        }
        paths
    }

    /// Figures of a gateway that lost count would be worth nothing: all its calls are on record,
    /// and the ledger adds up.
    pub(crate) async fn check(&self, calls: usize) {
        let report = verify::verify(&self.database).await.unwrap();
        assert!(report.differences.is_empty(), "{:?}", report.differences);
        assert_eq!(usize::try_from(report.calls), Ok(calls), "calls on record");
        println!("\nledger verified: {calls} calls, no differences");
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
        let actor = Actor::new("bench", SystemClock.now(), &SystemRandom);
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
