//! The keys of providers: several beside one another, and tested at the provider.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tollgate_tests::fixture::{ALPHA, PROVIDER, PROVIDER_KEY};
use tollgate_tests::process::{Finished, free_port};
use tollgate_tests::{Store, World, wait};

use crate::admin_cli::admin_line as admin;

const GOOD: &str = "sk-provider-good-aaaa1111";
const BAD: &str = "sk-provider-bad-bbbb2222";
const BROKEN: &str = "sk-provider-broken-cccc3333";
const MOVED: &str = "sk-provider-moved-dddd4444";

async fn run(world: &World, line: &str) -> Finished {
    let words: Vec<&str> = line.split_whitespace().collect();
    world.admin(&words).await
}

/// A world whose administrator has these keys in the environment.
async fn world_on(store: Store) -> World {
    let world = World::on(store).await;
    world
        .with("GOOD", GOOD)
        .with("BAD", BAD)
        .with("BROKEN", BROKEN)
        .with("MOVED", MOVED)
}

type Seen = Arc<Mutex<Vec<(String, HeaderMap)>>>;

/// A provider that lists two models to whoever shows the good key in any of the known headers.
struct Listing {
    base_url: String,
    seen: Seen,
    server: JoinHandle<()>,
}

impl Listing {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen = Seen::default();
        let app = Router::new().fallback(answer).with_state(Arc::clone(&seen));
        let server = tokio::spawn(async move {
            let _ = axum::serve(listener, app).await;
        });
        Self {
            base_url: format!("http://127.0.0.1:{port}/root"),
            seen,
            server,
        }
    }

    /// The paths and headers of all requests so far, which are then forgotten.
    fn take(&self) -> Vec<(String, HeaderMap)> {
        std::mem::take(&mut self.seen.lock().unwrap())
    }
}

impl Drop for Listing {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn answer(
    State(seen): State<Seen>,
    request: Request,
) -> (StatusCode, [(&'static str, &'static str); 1], String) {
    let (path, headers) = (request.uri().to_string(), request.headers().clone());
    let shown = ["authorization", "api-key", "x-api-key", "x-goog-api-key"]
        .into_iter()
        .find_map(|name| headers.get(name)?.to_str().ok())
        .unwrap_or_default()
        .trim_start_matches("Bearer ")
        .to_owned();
    seen.lock().unwrap().push((path, headers));
    let (status, body) = match shown.as_str() {
        GOOD => (200, json!({ "data": [{ "id": "a" }, { "id": "b" }] })),
        BROKEN => (
            500,
            json!({ "error": { "message": format!("no {shown}") } }),
        ),
        MOVED => (302, json!({})),
        _ => (
            401,
            json!({ "error": { "message": format!("bad {shown}") } }),
        ),
    };
    let status = StatusCode::from_u16(status).unwrap();
    (status, [("location", "/elsewhere")], body.to_string())
}

/// Fails if any of the keys can be read.
fn no_key_in(text: &str) {
    for key in [GOOD, BAD, BROKEN, MOVED, PROVIDER_KEY] {
        assert!(!text.contains(key), "{text}");
    }
}

async fn keys_stand_beside_one_another(store: Store) {
    let world = world_on(store).await;
    let second = admin(
        &world,
        &format!("provider add-key {PROVIDER} --key-env GOOD"),
    )
    .await;
    let id = second["id"].as_str().unwrap();
    assert_eq!(second["hint"], "…1111");
    assert_eq!(second["enabled"], true);
    let keys = format!("provider keys {PROVIDER}");
    let listed = admin(&world, &keys).await;
    assert_eq!(listed.as_array().unwrap().len(), 2);
    assert_eq!(listed[1], second, "the oldest comes first");
    let first = listed[0]["id"].as_str().unwrap();

    let proxy = world.start().await;
    let alpha = proxy.client(ALPHA);
    let job = alpha.create_job().await;
    let until_key = async |key: &str| {
        let expected = format!("Bearer {key}");
        wait::until_within(Duration::from_secs(10), "a key is used", async || {
            let _ = alpha.call(&job, "Hi").await.expect(200);
            (world.upstream.last().headers["authorization"] == expected).then_some(())
        })
        .await;
    };
    let _ = admin(&world, &format!("provider disable-key {first}")).await;
    until_key(GOOD).await;
    let enabled = admin(&world, &format!("provider enable-key {first}")).await;
    assert_eq!(enabled["enabled"], true);
    let _ = admin(&world, &format!("provider remove-key {id}")).await;
    until_key(PROVIDER_KEY).await;

    let _ = admin(&world, &format!("provider rotate {PROVIDER} --key-env BAD")).await;
    let rotated = admin(&world, &keys).await;
    let enabled: Vec<&Value> = rotated.as_array().unwrap().iter().collect();
    let enabled: Vec<bool> = enabled.iter().map(|key| key["enabled"] == true).collect();
    assert_eq!(enabled, [false, true], "a new key replaces all");
    let log = admin(&world, "audit list").await.to_string();
    for action in ["add_key", "disable_key", "enable_key", "remove_key"] {
        assert!(log.contains(&format!("provider.{action}")), "{action}");
    }
    assert!(log.contains(&format!("credential:{id}")), "{log}");
    no_key_in(&log);
}

#[tokio::test]
async fn keys_stand_beside_one_another_on_sqlite() {
    keys_stand_beside_one_another(Store::Sqlite).await;
}

#[tokio::test]
async fn keys_stand_beside_one_another_on_postgres() {
    keys_stand_beside_one_another(Store::Postgres).await;
}

#[tokio::test]
async fn a_key_in_place_of_an_id_is_not_repeated() {
    let world = world_on(Store::Sqlite).await;
    for verb in ["enable-key", "disable-key", "remove-key"] {
        let finished = run(&world, &format!("provider {verb} {GOOD}")).await;
        assert_eq!(finished.code, Some(2), "{verb}");
        no_key_in(&finished.stderr);
        let unknown = "cred_01900000000070008000000000000000";
        let finished = run(&world, &format!("provider {verb} {unknown}")).await;
        assert_eq!(finished.code, Some(3), "{verb}: {}", finished.stderr);
    }
    let finished = run(&world, "provider add-key nobody --key-env GOOD").await;
    assert_eq!(finished.code, Some(3), "{}", finished.stderr);
}

#[tokio::test]
async fn each_kind_is_asked_for_its_models_with_the_key_in_its_header() {
    let world = world_on(Store::Sqlite).await;
    let listing = Listing::start().await;
    let plain = listing.base_url.clone();
    let azure = format!("{plain}/deployments/d?api-version=2024-10-21");
    let bearer = format!("Bearer {GOOD}");
    for (kind, base_url, path, header, value) in [
        ("openai", &plain, "/root/models", "authorization", &*bearer),
        (
            "openai",
            &azure,
            "/root/models?api-version=2024-10-21",
            "api-key",
            GOOD,
        ),
        (
            "anthropic",
            &plain,
            "/root/models?limit=1000",
            "x-api-key",
            GOOD,
        ),
        (
            "gemini",
            &plain,
            "/root/models?pageSize=1000",
            "x-goog-api-key",
            GOOD,
        ),
    ] {
        let add = format!("provider add p --kind {kind} --base-url {base_url} --key-env GOOD");
        let _ = admin(&world, &add).await;
        let tested = admin(&world, "provider test p").await;
        assert_eq!(tested[0]["result"], "ok", "{kind}: {tested}");
        assert_eq!(tested[0]["models"], 2);
        assert!(tested[0]["latency_ms"].is_u64());
        let seen = listing.take();
        assert_eq!(seen.len(), 1);
        let (seen_path, headers) = &seen[0];
        assert_eq!(seen_path, path);
        assert_eq!(headers[header], value, "{kind}");
        let version = headers.get("anthropic-version");
        assert_eq!(version.is_some(), kind == "anthropic");
        assert_eq!(headers.contains_key("authorization"), value == bearer);
        let _ = admin(&world, "provider remove p").await;
    }
}

#[tokio::test]
async fn a_test_tells_which_keys_are_refused() {
    let world = world_on(Store::Sqlite).await;
    let listing = Listing::start().await;
    let base_url = &listing.base_url;
    let add = format!("provider add p --org o1 --kind openai --base-url {base_url} --key-env GOOD");
    let _ = admin(&world, &add).await;
    let _ = admin(&world, "provider add-key p --org o1 --key-env BROKEN").await;
    let _ = admin(&world, "provider add-key p --org o1 --key-env MOVED").await;
    let test = "provider test p --org o1 --json";
    let finished = run(&world, test).await;
    assert_eq!(finished.code, Some(1), "{}", finished.stderr);
    let bad = admin(&world, "provider add-key p --org o1 --key-env BAD").await;
    let finished = run(&world, test).await;
    assert_eq!(finished.code, Some(5), "{}", finished.stderr);
    assert!(finished.stderr.contains("1 key(s) refused"));
    let tested: Value = serde_json::from_str(&finished.stdout).unwrap();
    let results: Vec<_> = (0..4)
        .map(|n| (tested[n]["result"].as_str(), tested[n]["status"].as_i64()))
        .collect();
    let expected = [
        (Some("ok"), Some(200)),
        (Some("status"), Some(500)),
        (Some("status"), Some(302)),
        (Some("unauthorized"), Some(401)),
    ];
    assert_eq!(results, expected);
    assert_eq!(tested[3]["hint"], "…2222");
    let paths: Vec<String> = listing.take().into_iter().map(|(path, _)| path).collect();
    assert!(paths.iter().all(|path| path == "/root/models"), "{paths:?}");
    let as_text = run(&world, "provider test p --org o1").await;
    assert!(as_text.stdout.contains("unauthorized"));
    for output in [
        finished.stdout,
        finished.stderr,
        as_text.stdout,
        as_text.stderr,
    ] {
        no_key_in(&output);
    }

    let id = bad["id"].as_str().unwrap();
    let _ = admin(&world, &format!("provider disable-key {id}")).await;
    let finished = run(&world, test).await;
    assert_eq!(finished.code, Some(1), "a disabled key is not tested");
    let elsewhere = run(&world, "provider test p").await;
    assert_eq!(elsewhere.code, Some(3), "{}", elsewhere.stderr);
}

#[tokio::test]
async fn a_provider_that_is_not_there_is_unreachable() {
    let world = world_on(Store::Sqlite).await;
    let base_url = format!("http://127.0.0.1:{}/v1", free_port());
    let _ = admin(
        &world,
        &format!("provider add p --kind anthropic --base-url {base_url} --key-env GOOD"),
    )
    .await;
    let finished = run(&world, "provider test p --json").await;
    assert_eq!(finished.code, Some(1), "{}", finished.stderr);
    let tested: Value = serde_json::from_str(&finished.stdout).unwrap();
    assert_eq!(tested[0]["result"], "unreachable");
    assert_eq!(tested[0]["status"], Value::Null);
    no_key_in(&format!("{}{}", finished.stdout, finished.stderr));

    let listing = Listing::start().await;
    let set = format!("provider set p --base-url {}", listing.base_url);
    let _ = admin(&world, &set).await;
    let tested = admin(&world, "provider test p").await;
    assert_eq!(tested[0]["result"], "ok");
    let id = tested[0]["id"].as_str().unwrap();
    let _ = admin(&world, &format!("provider remove-key {id}")).await;
    let finished = run(&world, "provider test p").await;
    assert_eq!(finished.code, Some(5), "{}", finished.stderr);
    assert!(finished.stderr.contains("no enabled key"));
}
