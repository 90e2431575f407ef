//! The administration of what calls are routed and limited by: fallbacks, weights, prices, limits.

use std::time::Duration;

use serde_json::{Value, json};
use tollgate_common::db::policy;
use tollgate_common::key::KeyHash;
use tollgate_common::policy::Policy;
use tollgate_tests::fixture::{ALPHA, FAST, MINI, PROVIDER, UNGRANTED};
use tollgate_tests::{Store, World, wait};

use crate::admin_cli::{self, admin_line as admin};
use crate::setup::chat;

/// Runs a subcommand that must fail with this exit code, for a reason with these words in it.
async fn refused(world: &World, line: &str, code: i32, reason: &str) {
    let words: Vec<&str> = line.split_whitespace().collect();
    let finished = admin_cli::refused(world, &words, code).await;
    assert!(
        finished.stderr.contains(reason),
        "{line}: {}",
        finished.stderr
    );
}

async fn policy_of(world: &World) -> Policy {
    policy::load(world.database()).await.unwrap()
}

/// The newest audit record of an action.
async fn recorded(world: &World, action: &str) -> Value {
    let log = admin(world, "audit list").await;
    let records = log.as_array().unwrap();
    let record = records.iter().find(|record| record["action"] == action);
    record
        .unwrap_or_else(|| panic!("{action} is recorded: {log}"))
        .clone()
}

async fn fallbacks_are_set_shown_and_taken_away(store: Store) {
    let world = World::on(store).await;
    let line = format!("model set {FAST} --weight 9 --fallback {UNGRANTED} --fallback {MINI}:0:7");
    let shown = admin(&world, &line).await;
    let (spare, shared) = (
        json!({ "alias": UNGRANTED, "priority": 1, "weight": 1 }),
        json!({ "alias": MINI, "priority": 0, "weight": 7 }),
    );
    assert_eq!(shown["fallbacks"], json!([shared, spare]));
    assert_eq!(shown["weight"], 9);
    let listed = world.admin(&["model", "list"]).await.stdout;
    let cell = format!("{MINI}:0:7, {UNGRANTED}:1:1");
    assert!(listed.contains(&cell), "{listed}");
    let record = recorded(&world, "model.set").await;
    let detail = record["detail"].to_string();
    assert!(
        detail.contains(UNGRANTED) && detail.contains("priority"),
        "{detail}"
    );

    let set = |rest: &str| format!("model set {FAST} --fallback {rest}");
    refused(&world, &set(FAST), 5, "cannot be its own").await;
    refused(&world, &set("nobody"), 3, "model 'nobody' not found").await;
    let twice = format!("{MINI} --fallback {MINI}:2");
    refused(&world, &set(&twice), 5, "given twice").await;
    refused(&world, &set(&format!("{MINI}:1:0")), 2, "a weight is").await;
    let unchanged = admin(&world, &format!("model show {FAST}")).await;
    assert_eq!(unchanged["fallbacks"], json!([shared, spare]));

    let _ = admin(&world, &format!("model remove {MINI}")).await;
    let left = admin(&world, &format!("model show {FAST}")).await;
    assert_eq!(left["fallbacks"], json!([spare]));
    let bare = admin(&world, &format!("model set {FAST} --no-fallbacks")).await;
    assert_eq!(bare["fallbacks"], json!([]));
    assert_eq!(bare["weight"], 9);
    let again =
        format!("model add third --provider {PROVIDER} --upstream-model m --fallback {FAST}");
    let added = admin(&world, &again).await;
    assert_eq!(added["fallbacks"][0]["priority"], 1);
    assert_eq!(added["weight"], 1);
}

#[tokio::test]
async fn fallbacks_are_set_shown_and_taken_away_on_sqlite() {
    fallbacks_are_set_shown_and_taken_away(Store::Sqlite).await;
}

#[tokio::test]
async fn fallbacks_are_set_shown_and_taken_away_on_postgres() {
    fallbacks_are_set_shown_and_taken_away(Store::Postgres).await;
}

async fn limits_and_settings_of_a_team_come_and_go(store: Store) {
    let world = World::on(store).await;
    let id = ALPHA.id;
    let plain = admin(&world, &format!("team show {id}")).await;
    assert_eq!(plain["requests_per_minute"], Value::Null);
    assert_eq!(plain["on_disconnect"], "drain");
    assert_eq!(plain["cache_ttl_seconds"], Value::Null);
    let line = "--rpm 60 --tpm 90000 --max-parallel 4 --on-disconnect cancel --cache-ttl 2592000";
    let _ = admin(&world, &format!("team set {id} {line}")).await;
    let changed = admin(&world, &format!("team set {id} --tpm none --name Alpha")).await;
    assert_eq!(changed["requests_per_minute"], 60);
    assert_eq!(changed["tokens_per_minute"], Value::Null);
    assert_eq!(changed["parallel_calls"], 4);
    assert_eq!(changed["on_disconnect"], "cancel");
    assert_eq!(changed["cache_ttl_seconds"], 2_592_000);
    let record = recorded(&world, "team.set").await.to_string();
    assert!(record.contains(r#""tokens_per_minute":"none""#), "{record}");

    let policy = policy_of(&world).await;
    let team = &policy.teams[id];
    assert_eq!(team.limits.requests_per_minute, Some(60));
    assert_eq!(team.limits.tokens_per_minute, None);
    assert_eq!(team.disconnect.word(), "cancel");
    let none = "--rpm 0 --max-parallel none --cache-ttl none --on-disconnect drain";
    let bare = admin(&world, &format!("team set {id} {none}")).await;
    for field in ["requests_per_minute", "parallel_calls", "cache_ttl_seconds"] {
        assert_eq!(bare[field], Value::Null, "{field}");
    }
    let created = "team create t9 --org o1 --rpm 5 --cache-ttl 60 --on-disconnect cancel";
    let created = admin(&world, created).await;
    assert_eq!(created["requests_per_minute"], 5);
    assert_eq!(created["cache_ttl_seconds"], 60);
    assert_eq!(created["on_disconnect"], "cancel");
    let reason = "from 1 to";
    refused(&world, "team set t9 --cache-ttl 2592001", 2, reason).await;
    refused(&world, "team set t9 --rpm -1", 2, reason).await;
    refused(
        &world,
        "team set t9 --on-disconnect stop",
        2,
        "drain or cancel",
    )
    .await;
}

#[tokio::test]
async fn limits_and_settings_of_a_team_come_and_go_on_sqlite() {
    limits_and_settings_of_a_team_come_and_go(Store::Sqlite).await;
}

#[tokio::test]
async fn limits_and_settings_of_a_team_come_and_go_on_postgres() {
    limits_and_settings_of_a_team_come_and_go(Store::Postgres).await;
}

async fn a_successor_has_the_label_limits_and_expiry_of_its_key(store: Store) {
    let world = World::on(store).await;
    let created = format!(
        "key create --team {} --label web --expires 90d --rpm 7 --max-parallel 2",
        ALPHA.id
    );
    let old = admin(&world, &created).await;
    let id = old["id"].as_str().unwrap();
    assert_eq!(old["requests_per_minute"], 7);
    let new = admin(&world, &format!("key rotate {id} --grace 10m")).await;
    let fields = [
        "label",
        "expires_at",
        "requests_per_minute",
        "tokens_per_minute",
        "parallel_calls",
        "team",
    ];
    for field in fields {
        assert_eq!(new[field], old[field], "{field}");
    }
    assert_ne!(old["expires_at"], Value::Null);
    let reason = format!("has a successor already ({})", new["id"].as_str().unwrap());
    refused(&world, &format!("key rotate {id}"), 4, &reason).await;

    let hash = KeyHash::of(new["key"].as_str().unwrap());
    let policy = policy_of(&world).await;
    let stored = &policy.keys[&hash];
    assert_eq!(stored.limits.requests_per_minute, Some(7));
    assert_eq!(stored.limits.parallel_calls, Some(2));
}

#[tokio::test]
async fn a_successor_has_the_label_limits_and_expiry_of_its_key_on_sqlite() {
    a_successor_has_the_label_limits_and_expiry_of_its_key(Store::Sqlite).await;
}

#[tokio::test]
async fn a_successor_has_the_label_limits_and_expiry_of_its_key_on_postgres() {
    a_successor_has_the_label_limits_and_expiry_of_its_key(Store::Postgres).await;
}

#[tokio::test]
async fn a_key_is_changed_until_it_is_revoked() {
    let world = World::sqlite().await;
    let key = admin(&world, &format!("key create --team {}", ALPHA.id)).await;
    let id = key["id"].as_str().unwrap();
    let line = format!("key set {id} --label app --tpm 500 --expires 2999-01-01T00:00:00Z");
    let changed = admin(&world, &line).await;
    assert_eq!(changed["label"], "app");
    assert_eq!(changed["tokens_per_minute"], 500);
    assert_eq!(changed["expires_at"], "2999-01-01T00:00:00.000000Z");
    let bare = admin(&world, &format!("key set {id} --tpm 0 --expires never")).await;
    assert_eq!(bare["label"], "app");
    assert_eq!(bare["tokens_per_minute"], Value::Null);
    assert_eq!(bare["expires_at"], Value::Null);
    let record = recorded(&world, "key.set").await;
    assert_eq!(record["target"], format!("key:{id}"));
    refused(&world, &format!("key set {id}"), 2, "required").await;
    refused(&world, "key set nokey --rpm 1", 3, "'nokey' not found").await;
    let _ = admin(&world, &format!("key revoke {id}")).await;
    refused(&world, &format!("key set {id} --rpm 1"), 3, "not found").await;
}

#[tokio::test]
async fn cached_tokens_have_prices_of_their_own_or_the_input_price() {
    let world = World::sqlite().await;
    let set = |rest: &str| format!("model set {FAST} {rest}");
    let catalog = admin(&world, &format!("model show {FAST}")).await;
    assert_eq!(catalog["cache_read_price"], 1.25);
    assert_eq!(catalog["cache_write_price"], 2.5);
    let own = "--input-price 3 --output-price 15";
    let flat = admin(&world, &set(own)).await;
    assert_eq!(flat["cache_read_price"], 3.0);
    assert_eq!(flat["cache_write_price"], 3.0);
    let cached = format!("{own} --cache-read-price 0.3 --cache-write-price 3.75");
    let cached = admin(&world, &set(&cached)).await;
    assert_eq!(cached["cache_read_price"], 0.3);
    assert_eq!(cached["cache_write_price"], 3.75);
    let unit = policy_of(&world).await.models[FAST]
        .price()
        .unwrap()
        .base()
        .unit;
    assert_eq!(unit.cache_write.0, 3_750_000);
    let dropped = admin(&world, &set("--catalog-price")).await;
    assert_eq!(dropped["cache_read_price"], 1.25);
    refused(&world, &set("--cache-read-price 1"), 2, "--input-price").await;
}

#[tokio::test]
async fn a_model_takes_a_price_for_every_condition_and_shows_them_all() {
    let world = World::sqlite().await;
    let line = format!(
        "model set {FAST} --input-price 0.0028 --output-price 10 --cache-write-1h-price 2 \
         --audio-input-price 40 --price-above 200000:2.5:15 --price-service priority:5:20"
    );
    let shown = admin(&world, &line).await;
    assert_eq!(shown["price_source"], "alias");
    let prices = shown["prices"].as_array().unwrap();
    let conditions: Vec<_> = prices.iter().map(|price| &price["condition"]).collect();
    let wanted = [
        "standard",
        "above 200000",
        "priority",
        "priority above 200000",
    ];
    assert_eq!(conditions, wanted);
    assert_eq!(prices[0]["input"], 0.0028);
    assert_eq!(prices[0]["cache_write_1h"], 2.0);
    assert_eq!(prices[0]["input_audio"], 40.0);
    assert_eq!(
        (&prices[1]["input"], &prices[1]["output"]),
        (&2.5.into(), &15.0.into())
    );
    assert_eq!(
        (&prices[2]["input"], &prices[2]["output"]),
        (&5.0.into(), &20.0.into())
    );
    let served = policy_of(&world).await.models[FAST]
        .price()
        .unwrap()
        .served(200_001, tollgate_common::price::ServiceTier::Standard);
    assert_eq!(served.unit.output.per_million(), "15.00");
    let catalog = admin(&world, &format!("model set {FAST} --catalog-price")).await;
    assert_eq!(catalog["price_source"], "catalogue");
    assert_eq!(catalog["max_context_tokens"], 128_000);
}

#[tokio::test]
async fn prices_and_credits_beyond_all_bounds_are_refused_and_the_dearest_still_add_up() {
    let world = World::sqlite().await;
    let set =
        |price: &str| format!("model set {FAST} --input-price {price} --output-price {price}");
    refused(&world, &set("1000000.000001"), 2, "at most 1000000 dollars").await;
    refused(
        &world,
        &set("9000000000000000"),
        2,
        "at most 1000000 dollars",
    )
    .await;
    let _ = admin(&world, &set("1000000")).await;
    let team = ALPHA.id;
    let above = "1000000000000001";
    refused(
        &world,
        &format!("credits add {team} {above}"),
        2,
        "1000000000000000",
    )
    .await;
    let most = format!("credits add {team} 1000000000000000");
    refused(&world, &most, 5, "in all").await;
    let proxy = world.start().await;
    let alpha = proxy.client(ALPHA);
    let job = alpha.create_job().await;
    let body = chat(FAST, "do:usage=900000:900000");
    for _ in 0..3 {
        let _ = alpha.call_with(&job, &body).await.expect(200);
    }
    let _ = alpha.complete(&job).await.expect(200);
    let calls = world.calls(&job).await;
    let dearest = tollgate_common::money::CALL_COST_MAX;
    assert!(calls.iter().all(|call| call.provider_cost == dearest));
    world.verify().await;
}

#[tokio::test]
async fn a_provider_that_models_use_is_not_removed() {
    let world = World::sqlite().await.with("OWN_KEY", "sk-own-1");
    let line = format!("provider remove {PROVIDER}");
    let reason = format!("is used by model {FAST}, {MINI}, {UNGRANTED},");
    refused(&world, &line, 4, &reason).await;
    let base_url = world.upstream.base_url();
    let add = |name: &str| {
        format!(
            "provider add {name} --kind openai --base-url {base_url} --key-env OWN_KEY --org o1"
        )
    };
    // The provider for all stands in for an organization's own, which may go.
    let _ = admin(&world, &add(PROVIDER)).await;
    let _ = admin(&world, &format!("{line} --org o1")).await;
    refused(&world, &format!("{line} --org o1"), 3, "not found").await;
    let _ = admin(&world, &add("own")).await;
    let _ = admin(&world, "model add m --provider own --upstream-model m").await;
    refused(&world, "provider remove own --org o1", 4, "model m:").await;
    let _ = admin(&world, "model remove m").await;
    let _ = admin(&world, "provider remove own --org o1").await;
}

#[tokio::test]
async fn a_fallback_serves_under_the_name_that_was_asked_for() {
    let world = World::sqlite()
        .await
        .with("SPARE_KEY", "sk-spare-provider-key-77");
    let proxy = world.start().await;
    let alpha = proxy.client(ALPHA);
    let base_url = world.upstream.base_url();
    let add = "provider add spare --kind openai --key-env SPARE_KEY --base-url";
    let _ = admin(&world, &format!("{add} {base_url}")).await;
    let model = "model add spare --provider spare --upstream-model spare-model";
    let _ = admin(&world, &format!("{model} --input-price 1 --output-price 1")).await;
    let _ = admin(&world, &format!("model set {FAST} --fallback spare")).await;
    let _ = admin(&world, &format!("provider disable {PROVIDER}")).await;
    let job = alpha.create_job().await;
    wait::until_within(Duration::from_secs(10), "the fallback serves", async || {
        let answer = alpha.call(&job, "Hi").await;
        (answer.status == 200 && world.upstream.last().json()["model"] == "spare-model")
            .then(|| assert_eq!(answer.json["model"], FAST))
    })
    .await;
    let authorization = world.upstream.last().headers["authorization"].clone();
    assert_eq!(authorization, "Bearer sk-spare-provider-key-77");
}
