//! Prices that are imported: shown, accepted, kept, and charged by proxies that are running.

use serde_json::{Value, json};
use tollgate_common::job::CallState;
use tollgate_common::price::PriceSource;
use tollgate_tests::fixture::{FAST, MINI, UNGRANTED, UNPRICED};
use tollgate_tests::{Proxy, Store, World, wait};

use crate::admin_cli::{self, admin_line as admin};
use crate::setup::{COMPLETIONS, PLENTY, chat, job_of, world_with_plenty, world_with_plenty_on};

const FILE: &str = "prices.json";

/// Puts a list in `LiteLLM`'s format into the world's folder, with gpt-4o at these prices in
/// dollars per token.
fn write_list(world: &World, input: &str, output: &str) {
    let row = |name: &str, input: &str, output: &str| {
        format!(
            r#""{name}": {{"litellm_provider": "openai", "mode": "chat",
                "input_cost_per_token": {input}, "output_cost_per_token": {output},
                "cache_read_input_token_cost": 1e-06}}"#
        )
    };
    let text = format!(
        r#"{{{}, {}, "m": {{"litellm_provider": "novita", "mode": "chat"}}}}"#,
        row("gpt-4o", input, output),
        row("wrong", "-1e-06", "1e-06"),
    );
    std::fs::write(world.folder().join(FILE), text).unwrap();
}

/// What a call of 10 prompt tokens and 5 completion tokens costs, and by whose list.
async fn cost(world: &World, proxy: &Proxy) -> (i64, PriceSource) {
    let answer = proxy
        .client(PLENTY)
        .post(COMPLETIONS, &chat(FAST, "Hi"))
        .await;
    let job = job_of(&answer.expect(200));
    let call = world.calls(&job).await.remove(0);
    assert_eq!(call.state, CallState::Succeeded);
    (call.provider_cost.0, call.price.unwrap().source)
}

async fn until_cost(world: &World, proxy: &Proxy, nanos: i64) {
    wait::until("calls are charged by the imported price", async || {
        let (cost, source) = cost(world, proxy).await;
        (cost == nanos).then(|| assert_eq!(source, PriceSource::Imported))
    })
    .await;
}

/// Runs a subcommand that prints a document and exits with this code.
async fn document(world: &World, line: &str, code: i32) -> Value {
    let words: Vec<&str> = line.split_whitespace().chain(["--json"]).collect();
    let finished = world.admin(&words).await;
    assert_eq!(finished.code, Some(code), "{line}: {}", finished.stderr);
    serde_json::from_str(&finished.stdout).unwrap()
}

async fn an_import_is_charged_by_running_proxies(store: Store) {
    let world = world_with_plenty_on(store).await;
    let proxy = world.start().await;
    assert_eq!(cost(&world, &proxy).await, (75_000, PriceSource::Catalogue));

    write_list(&world, "2e-06", "8e-06");
    let shown = document(&world, &format!("price sync {FILE} --dry-run"), 0).await;
    assert_eq!(
        (&shown["imported"], &shown["dry_run"]),
        (&json!(false), &json!(true))
    );
    assert_eq!(admin(&world, "price list --imported").await, json!([]));
    let done = document(&world, &format!("price sync {FILE}"), 0).await;
    assert_eq!(done["imported"], true);
    assert_eq!(done["format"], "litellm");
    assert_eq!(
        done["counts"],
        json!({ "added": 0, "changed": 1, "unchanged": 0 })
    );
    let moves = done["changes"].as_array().unwrap();
    let input = moves.iter().find(|step| step["figure"] == "input").unwrap();
    assert_eq!(
        (&input["before"], &input["after"]),
        (&json!(2.5), &json!(2.0))
    );
    assert_eq!(input["factor"], 0.8);
    assert_eq!(done["refused"][0]["row"], "wrong");
    assert_eq!(done["skipped"]["providers"], json!({ "novita": 1 }));
    until_cost(&world, &proxy, 60_000).await;

    // Ten times as much is no update, but a mistake, until somebody says otherwise.
    write_list(&world, "2e-05", "8e-05");
    let sync = format!("price sync {FILE}");
    let refused = document(&world, &sync, 5).await;
    assert_eq!(refused["imported"], false);
    assert_eq!(refused["needs_acceptance"], json!(["openai/gpt-4o"]));
    let text = world.admin(&["price", "sync", FILE]).await;
    assert!(text.stdout.contains("needs --accept"), "{}", text.stdout);
    assert!(text.stderr.contains("openai/gpt-4o") && text.stderr.contains("--accept"));
    let unknown = admin_cli::refused(&world, &["price", "sync", FILE, "--accept", "o3"], 2).await;
    assert!(unknown.stderr.contains("--accept o3"), "{}", unknown.stderr);
    assert_eq!(cost(&world, &proxy).await.0, 60_000, "nothing has changed");
    let accepted = document(&world, &format!("{sync} --accept gpt-4o"), 0).await;
    assert_eq!(accepted["imported"], true);
    until_cost(&world, &proxy, 600_000).await;

    let again = document(&world, &sync, 0).await;
    assert_eq!(
        (&again["changes"], &again["added"]),
        (&json!([]), &json!([]))
    );
    the_record_is_kept(&world).await;
    world.verify().await;
}

/// The versions that were replaced, and the audit log, tell what was imported.
async fn the_record_is_kept(world: &World) {
    let shown = admin(world, &format!("price show {FAST}")).await;
    assert_eq!(shown["price_source"], "imported");
    let versions = shown["versions"].as_array().unwrap();
    let states: Vec<&Value> = versions.iter().map(|version| &version["status"]).collect();
    assert_eq!(states, [&json!("current"), &json!("replaced")]);
    assert_eq!(versions[0]["prices"][0]["input"], 20.0);
    assert_eq!(versions[1]["prices"][0]["input"], 2.0);
    let log = admin(world, "audit list").await;
    let records = log.as_array().unwrap().iter();
    let imports: Vec<&Value> = records
        .filter(|record| record["action"] == "price.sync")
        .collect();
    assert_eq!(imports.len(), 2, "{log}");
    let detail = &imports[0]["detail"];
    assert_eq!(
        (&detail["format"], &detail["file"]),
        (&json!("litellm"), &json!(FILE))
    );
    assert_eq!(detail["accepted"], json!(["gpt-4o"]));
    assert_eq!(detail["sha256"].as_str().unwrap().len(), 64);
    let csv = world.admin(&["export", "prices"]).await.stdout;
    assert_eq!(csv.lines().count(), 3, "{csv}");
    assert!(csv.contains(",20.00,80.00,1.00,"), "{csv}");
}

#[tokio::test]
async fn an_import_is_charged_by_running_proxies_on_sqlite() {
    an_import_is_charged_by_running_proxies(Store::Sqlite).await;
}

#[tokio::test]
async fn an_import_is_charged_by_running_proxies_on_postgres() {
    an_import_is_charged_by_running_proxies(Store::Postgres).await;
}

#[tokio::test]
async fn what_is_listed_moves_to_another_installation_without_a_difference() {
    let (one, other) = (World::sqlite().await, World::sqlite().await);
    let genai = r#"{"providers": [{"id": "openai", "models": [{"id": "gpt-4o",
        "match": {"starts_with": "gpt-4o"}, "prices": [
          {"prices": {"input_mtok": {"base": 2.4, "tiers": [{"start": 100000, "price": 4}]},
            "output_mtok": 9.000001, "cache_read_mtok": 1.2, "web_searches_kcount": 25}},
          {"constraint": {"start_date": "2099-01-01"},
            "prices": {"input_mtok": 2, "output_mtok": 8, "cache_read_mtok": 1}}],
        "price_variants": [{"when": {"service_tier": "priority"},
          "prices": {"input_mtok": 4, "output_mtok": 16}}]}]}]}"#;
    std::fs::write(one.folder().join(FILE), genai).unwrap();
    let done = document(&one, &format!("price sync {FILE} --accept all"), 0).await;
    assert_eq!(done["format"], "genai-prices");
    let listed = one
        .admin(&["price", "list", "--imported", "--json"])
        .await
        .stdout;
    std::fs::write(other.folder().join(FILE), &listed).unwrap();
    std::fs::write(one.folder().join("own.json"), &listed).unwrap();
    let same = document(&one, "price sync own.json", 0).await;
    assert_eq!(
        (&same["changes"], &same["format"]),
        (&json!([]), &json!("tollgate"))
    );
    let moved = document(&other, &format!("price sync {FILE} --accept all"), 0).await;
    assert_eq!(moved["imported"], true);
    let prices = async |world: &World| {
        let listed = admin(world, "price list --imported").await;
        let rows = listed.as_array().unwrap().iter();
        let rows = rows.map(|row| (row["effective_from"].clone(), row["prices"].clone()));
        rows.collect::<Vec<_>>()
    };
    assert_eq!(prices(&one).await.len(), 2);
    assert_eq!(prices(&one).await, prices(&other).await);
}

#[tokio::test]
async fn an_own_price_always_wins_and_a_check_finds_what_to_look_at() {
    let world = World::sqlite().await;
    write_list(&world, "2e-06", "8e-06");
    let _ = document(&world, &format!("price sync {FILE}"), 0).await;
    let own = "--input-price 3 --output-price 8 --cache-read-price 1 --web-search-fee 10";
    let set = admin(&world, &format!("model set {FAST} {own}")).await;
    assert_eq!(
        set["prices"][0]["fees_per_thousand"],
        json!({ "web_search": 10.0 })
    );
    let listed = admin(&world, &format!("price list --filter model:{FAST}")).await;
    assert_eq!(listed[0]["price_source"], "alias");
    assert_eq!(
        (&listed[0]["input_price"], &listed[0]["listed_input_price"]),
        (&json!(3.0), &json!(2.0))
    );
    let text = world.admin(&["price", "show", FAST]).await.stdout;
    assert!(
        text.contains("own price always wins") && text.contains("imported litellm"),
        "{text}"
    );

    let found = document(&world, "price check", 5).await;
    let findings = found["findings"].as_array().unwrap();
    let kinds = |alias: &str| {
        let of = findings.iter().filter(|finding| finding["model"] == alias);
        of.map(|finding| finding["kind"].as_str().unwrap())
            .collect::<Vec<_>>()
    };
    assert_eq!(kinds(UNPRICED), ["no_price"]);
    assert_eq!(kinds(FAST), ["differs"]);
    assert_eq!(found["imports"][0]["format"], "litellm");
    let differs = findings
        .iter()
        .find(|finding| finding["kind"] == "differs")
        .unwrap();
    assert_eq!(differs["factor"], 0.667, "{differs}");

    let _ = admin(&world, &format!("model set {FAST} --catalog-price")).await;
    let _ = admin(
        &world,
        &format!("model set {UNPRICED} --input-price 1 --output-price 2"),
    )
    .await;
    let found = document(&world, "price check --days 36525", 0).await;
    assert_eq!(
        found["findings"],
        json!([]),
        "{MINI} and {UNGRANTED} cost what the catalogue says"
    );
}

#[tokio::test]
async fn only_an_owner_imports_and_nobody_reads_files_over_ssh() {
    let world = world_with_plenty().await;
    write_list(&world, "2e-06", "8e-06");
    let secret = world.folder().join("secret.json");
    std::fs::write(&secret, "{\"hidden\": word}").unwrap();
    let secret = secret.display().to_string();
    for role in ["viewer", "operator"] {
        for dry in [&["--dry-run"][..], &[]] {
            let line = ["--role", role, "price", "sync", &secret];
            let line: Vec<&str> = line.into_iter().chain(dry.iter().copied()).collect();
            let refused = admin_cli::refused(&world, &line, 5).await;
            assert!(!refused.stderr.contains("JSON"), "{}", refused.stderr);
        }
    }
    let bad = admin_cli::refused(&world, &["price", "sync", &secret], 1).await;
    assert!(
        bad.stderr.contains("secret.json is not JSON"),
        "{}",
        bad.stderr
    );
    assert!(!bad.stderr.contains("hidden"), "{}", bad.stderr);
    let missing = admin_cli::refused(&world, &["price", "sync", "none.json"], 1).await;
    assert!(missing.stderr.contains("none.json"), "{}", missing.stderr);
    let world = world.with("SSH_ORIGINAL_COMMAND", &format!("price sync {FILE}"));
    let forced = admin_cli::refused(&world, &["--role", "owner"], 5).await;
    assert!(
        forced.stderr.contains("standard input"),
        "{}",
        forced.stderr
    );
    assert_eq!(admin(&world, "price list --imported").await, json!([]));
}
