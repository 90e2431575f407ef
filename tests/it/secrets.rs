//! Planted secrets that must not turn up where they do not belong.

use std::fmt::Write as _;

use reqwest::Method;
use sqlx::{AssertSqlSafe, Row as _};
use tollgate_tests::client::prompt_body;
use tollgate_tests::fixture::{ALPHA, PROVIDER_KEY};
use tollgate_tests::{Client, Proxy, Store, World, wait};

const PROMPT: &str = "PLANTED-PROMPT-4711";
const COOKIE: &str = "session=PLANTED-COOKIE-4712";
/// What the scripted provider answers.
const COMPLETION: &str = "Hello!";

const TABLES: [&str; 20] = [
    "accounts",
    "audit_log",
    "calls",
    "idempotency",
    "jobs",
    "ledger_checks",
    "ledger_entries",
    "model_fallbacks",
    "model_group_members",
    "model_groups",
    "models",
    "node_figures",
    "nodes",
    "organizations",
    "policy_revision",
    "provider_credentials",
    "providers",
    "teams",
    "traffic",
    "virtual_keys",
];

/// Successes and failures of every kind, with the secrets in them.
async fn drive(world: &World, alpha: &Client) {
    let job = alpha.create_job().await;
    let scripts = [
        "",
        "do:quote-key ",
        "do:status=400 ",
        "do:status=429 ",
        "do:status=500 ",
        "do:garbage ",
        "do:cut ",
        "do:tools ",
        "do:no-usage ",
    ];
    for script in scripts {
        let body = prompt_body(&format!("{script}{PROMPT}"));
        let asked_before = world.upstream.requests().len();
        wait::until("the provider is asked", async || {
            let request = alpha
                .request(Method::POST, &format!("/api/jobs/{job}/llm-call"))
                .header("cookie", COOKIE)
                .header("x-api-key", ALPHA.key)
                .json(&body);
            let _ = alpha.send(request).await;
            (world.upstream.requests().len() > asked_before).then_some(())
        })
        .await;
    }
    let body = prompt_body(PROMPT);
    let path = format!("/api/jobs/{job}/llm-call");
    wait::until("the key has rested from its failures", async || {
        let answer = alpha.post_once(&path, &body, "once").await;
        (answer.status == 200).then_some(())
    })
    .await;
    let mut invalid = body.clone();
    invalid["temperature"] = 9.into();
    let _ = alpha.call_with(&job, &invalid).await.expect(400);
    let broken = format!("{{\"messages\": \"{PROMPT}");
    let request = alpha.request(Method::POST, &path).body(broken);
    let _ = alpha
        .send(request.header("content-type", "application/json"))
        .await;
    let _ = alpha.complete(&job).await.expect(200);
    let _ = alpha
        .get(&format!("/api/jobs/{job}?key={}", ALPHA.key))
        .await;
}

/// All that the database holds, as text.
async fn dump(world: &World) -> String {
    let mut text = String::new();
    for table in TABLES {
        let sql = AssertSqlSafe(format!("SELECT * FROM {table}"));
        let rows = sqlx::query(sql)
            .fetch_all(world.database().pool())
            .await
            .unwrap();
        for row in rows {
            for column in 0..row.len() {
                let cell: Option<String> = row.try_get(column).ok().flatten();
                let _ = write!(text, "{} ", cell.unwrap_or_default());
            }
        }
    }
    text
}

fn absent(place: &str, text: &str, secrets: &[(&str, &str)]) {
    for (name, secret) in secrets {
        let at = text.find(secret);
        let around = at.map(|at| {
            let start = text.floor_char_boundary(at.saturating_sub(200));
            let end = text.ceil_char_boundary((at + 100).min(text.len()));
            &text[start..end]
        });
        assert_eq!(around, None, "{name} is in {place}");
    }
}

async fn secrets_stay_where_they_belong(store: Store) {
    let world = World::on(store)
        .await
        .with("TOLLGATE_LOG_FILTER", "debug")
        .with("TOLLGATE_ROUTING_BREAKER_PAUSE_MS", "1");
    let mut proxy = world.start().await;
    drive(&world, &proxy.client(ALPHA)).await;
    let _ = proxy
        .client_with_key("sk-PLANTED-WRONG-KEY-4713")
        .create()
        .await
        .expect(401);
    proxy.terminate();
    assert!(proxy.wait().await.success());

    let everything = [
        ("the virtual key", ALPHA.key),
        ("a wrong key", "sk-PLANTED-WRONG-KEY-4713"),
        ("the provider's key", PROVIDER_KEY),
        ("the prompt", PROMPT),
        ("the cookie", "PLANTED-COOKIE-4712"),
        ("the completion", COMPLETION),
    ];
    assert!(!proxy.log().is_empty());
    absent("the log", &proxy.log(), &everything);
    let dump = dump(&world).await;
    assert!(dump.contains(ALPHA.id), "the dump has the data");
    absent("the database", &dump, &everything);
    if store == Store::Sqlite {
        for file in ["test.db", "test.db-wal"] {
            let bytes = std::fs::read(world.folder().join(file)).unwrap_or_default();
            absent(file, &String::from_utf8_lossy(&bytes), &everything);
        }
    }
    upstream_saw_only_its_own(&world, &proxy);
}

fn upstream_saw_only_its_own(world: &World, proxy: &Proxy) {
    let ours = [
        ("the virtual key", ALPHA.key),
        ("the cookie", "PLANTED-COOKIE-4712"),
        ("the team", ALPHA.id),
    ];
    let requests = world.upstream.requests();
    assert!(requests.len() >= 9, "the provider was called");
    for request in requests {
        let mut headers = request.headers.clone();
        let authorization = headers.remove("authorization").unwrap();
        assert_eq!(authorization, format!("Bearer {PROVIDER_KEY}").as_str());
        let text = format!("{headers:?} {}", String::from_utf8_lossy(&request.body));
        absent("a request to the provider", &text, &ours);
        absent(
            "a request to the provider",
            &text,
            &[("the provider's key", PROVIDER_KEY)],
        );
        assert!(text.contains(PROMPT));
        assert!(!text.contains(&format!("127.0.0.1:{}", proxy.port())));
    }
}

#[tokio::test]
async fn secrets_stay_where_they_belong_on_sqlite() {
    secrets_stay_where_they_belong(Store::Sqlite).await;
}

#[tokio::test]
async fn secrets_stay_where_they_belong_on_postgres() {
    secrets_stay_where_they_belong(Store::Postgres).await;
}

#[tokio::test]
async fn the_configuration_is_shown_without_its_passwords() {
    let world = World::sqlite().await;
    let url = "postgres://admin:PLANTED-PASSWORD@127.0.0.1:1/none";
    let world = world.with("TOLLGATE_DATABASE_URL", url);
    for arguments in [["config", "show"], ["migrate", "--check"]] {
        let shown = world.tollgate(&arguments).await;
        let text = format!("{}{}", shown.stdout, shown.stderr);
        assert!(!text.is_empty());
        absent("the output", &text, &[("the password", "PLANTED-PASSWORD")]);
    }
}
