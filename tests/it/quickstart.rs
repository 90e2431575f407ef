//! The first command that a newcomer runs.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use serde_json::{Value, json};
use tollgate_tests::client::{job_id, prompt_body};
use tollgate_tests::process::{self, Environment, Process, free_port};
use tollgate_tests::{Client, Upstream, wait};

struct Quickstart {
    process: Process,
    port: u16,
}

impl Quickstart {
    /// Runs it in a folder and waits until it serves.
    async fn run(folder: &Path, extra: &[&str]) -> Self {
        Self::run_with(folder, extra, &Vec::new()).await
    }

    /// The same with these environment variables.
    async fn run_with(folder: &Path, extra: &[&str], environment: &Environment) -> Self {
        let port = free_port();
        let listen = format!("127.0.0.1:{port}");
        let mut arguments = vec!["quickstart", "--listen", &listen];
        arguments.extend(extra);
        let log = folder.join(format!("quickstart-{port}.log"));
        let mut process = Process::spawn("tollgate", &arguments, folder, environment, log);
        let anyone = Client::new(port, "");
        wait::until("quickstart serves", async || {
            assert!(process.ended().is_none(), "it ended:\n{}", process.log());
            let ready = anyone.try_get("/readyz").await;
            ready.ok().filter(|answer| answer.status == 200).map(|_| ())
        })
        .await;
        Self { process, port }
    }

    /// The keys that it has printed.
    fn keys(&self) -> Vec<String> {
        let mut keys: Vec<String> = self
            .process
            .log()
            .split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'))
            .filter(|word| word.starts_with("sk-") && word.len() == 51)
            .map(str::to_owned)
            .collect();
        keys.sort();
        keys.dedup();
        keys
    }

    async fn stop(mut self) {
        self.process.terminate();
        assert!(self.process.wait().await.success());
    }
}

/// Runs `tollgate-admin` in the folder, where it needs no option to find the database.
async fn admin(folder: &Path, arguments: &[&str]) -> Value {
    let finished = process::run("tollgate-admin", arguments, folder, &Vec::new()).await;
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    serde_json::from_str(&finished.stdout).unwrap()
}

/// The workflow of the documentation.
async fn workflow(client: &Client) -> i64 {
    let body = json!({ "team_id": "acme-corp", "job_type": "document_analysis" });
    let created = client.post("/api/jobs/create", &body).await.expect(200);
    let job = job_id(&created);
    let prompt = "Analyze this document and summarize the key points";
    let answer = client
        .call_with(&job, &prompt_body(prompt))
        .await
        .expect(200);
    let content = answer.json["response"]["content"].as_str().unwrap();
    assert!(!content.is_empty());
    let done = client.complete(&job).await.expect(200);
    done.json["costs"]["credits_remaining"].as_i64().unwrap()
}

#[tokio::test]
async fn quickstart_serves_and_a_second_run_finds_the_same_data() {
    let folder = tempfile::tempdir().unwrap();
    let quickstart = Quickstart::run(folder.path(), &[]).await;
    let keys = quickstart.keys();
    assert_eq!(keys.len(), 1, "{}", quickstart.process.log());
    let mode = |file| {
        std::fs::metadata(folder.path().join(file))
            .unwrap()
            .permissions()
            .mode()
    };
    assert_eq!(mode("tollgate.key") & 0o777, 0o600);
    assert!(folder.path().join("tollgate.db").exists());
    assert!(
        quickstart.process.log().contains("curl"),
        "{}",
        quickstart.process.log()
    );
    let client = Client::new(quickstart.port, &keys[0]);
    assert_eq!(workflow(&client).await, 999);
    let balance = admin(
        folder.path(),
        &["credits", "balance", "acme-corp", "--json"],
    )
    .await;
    assert!(balance.to_string().contains("999"), "{balance}");
    quickstart.stop().await;

    let again = Quickstart::run(folder.path(), &[]).await;
    assert_eq!(again.keys(), Vec::<String>::new(), "no second key is made");
    assert!(
        again.process.log().contains("tollgate-admin key create"),
        "{}",
        again.process.log()
    );
    let client = Client::new(again.port, &keys[0]);
    assert_eq!(workflow(&client).await, 998);
    let listed = admin(folder.path(), &["key", "list", "--json"]).await;
    assert_eq!(listed.as_array().unwrap().len(), 1);
    again.stop().await;
}

#[tokio::test]
async fn quickstart_uses_the_upstream_that_it_is_given() {
    let folder = tempfile::tempdir().unwrap();
    let upstream = Upstream::start().await;
    let url = upstream.base_url();
    let given = ["--upstream", &url, "--upstream-model", "local-model"];
    let quickstart = Quickstart::run(folder.path(), &given).await;
    let client = Client::new(quickstart.port, &quickstart.keys()[0]);
    assert_eq!(workflow(&client).await, 999);
    assert_eq!(upstream.count(), 1);
    assert_eq!(upstream.last().json()["model"], "local-model");
    quickstart.stop().await;
}

#[tokio::test]
async fn quickstart_adds_the_providers_whose_keys_it_finds() {
    let folder = tempfile::tempdir().unwrap();
    let keys = [
        ("OPENAI_API_KEY", ""),
        ("ANTHROPIC_API_KEY", "sk-ant-planted-0001"),
        ("GOOGLE_API_KEY", "AIza-planted-0002"),
    ];
    let keys = keys.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let quickstart = Quickstart::run_with(folder.path(), &[], &keys.to_vec()).await;
    assert!(!quickstart.process.log().contains("planted"));
    let providers = admin(folder.path(), &["provider", "list", "--json"]).await;
    let providers: Vec<(&str, &str)> = providers
        .as_array()
        .unwrap()
        .iter()
        .map(|provider| {
            let text = |field: &str| provider[field].as_str().unwrap();
            assert_eq!(text("name"), text("kind"));
            (text("kind"), text("base_url"))
        })
        .collect();
    let gemini = "https://generativelanguage.googleapis.com/v1beta";
    let expected = [
        ("anthropic", "https://api.anthropic.com/v1"),
        ("gemini", gemini),
    ];
    assert_eq!(providers, expected);
    let models = admin(folder.path(), &["model", "list", "--json"]).await;
    let models = models.as_array().unwrap();
    assert_eq!(models.len(), 4);
    for model in models {
        assert!(model["output_price"].is_f64(), "{model}");
        assert_eq!(model["alias"], model["upstream_model"]);
    }
    let team = admin(folder.path(), &["team", "show", "acme-corp", "--json"]).await;
    assert_eq!(team["default_model"], "claude-haiku-4-5");
    quickstart.stop().await;
}

#[tokio::test]
async fn the_demo_moves_when_its_port_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    let quickstart = Quickstart::run(folder.path(), &[]).await;
    let keys = quickstart.keys();
    quickstart.stop().await;
    let base_url = async || {
        let listed = admin(folder.path(), &["provider", "list", "--json"]).await;
        listed[0]["base_url"].as_str().unwrap().to_owned()
    };
    let before = base_url().await;
    let address = before.trim_start_matches("http://").trim_end_matches("/v1");
    let taken = std::net::TcpListener::bind(address).unwrap();
    let again = Quickstart::run(folder.path(), &[]).await;
    assert_ne!(base_url().await, before);
    let client = Client::new(again.port, &keys[0]);
    assert_eq!(workflow(&client).await, 999);
    again.stop().await;
    drop(taken);
}
