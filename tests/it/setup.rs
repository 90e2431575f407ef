//! Administrative changes that many tests make, and the bodies that they send.

use serde_json::{Value, json};
use tollgate_common::command::{Command, ModelSettings, NewCredential, ProviderRef, TeamSettings};
use tollgate_common::id::CredentialId;
use tollgate_common::job::BudgetMode;
use tollgate_common::model::Fallback;
use tollgate_common::money::PicoUsd;
use tollgate_common::price::RateCard;
use tollgate_tests::client::prompt_body;
use tollgate_tests::fixture::{Team, add_provider, create_team, grant, import_key};
use tollgate_tests::{Answer, Client, Store, World};

/// OpenAI's chat completions.
pub(crate) const COMPLETIONS: &str = "/v1/chat/completions";

/// Charged one credit a job, with plenty.
pub(crate) const PLENTY: Team = Team {
    id: "team-plenty",
    org: "o1",
    key: "sk-plenty-virtual-key-60d1",
    credits: 1_000_000,
};

/// A world with a team that does not run out of credits.
pub(crate) async fn world_with_plenty() -> World {
    world_with_plenty_on(Store::Sqlite).await
}

/// The same, on either engine.
pub(crate) async fn world_with_plenty_on(store: Store) -> World {
    let world = World::on(store).await;
    add_team(&world, PLENTY, TeamSettings::default()).await;
    world
}

/// A name that is known to be valid.
pub(crate) fn name<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().unwrap()
}

/// A chat of one message with a model.
pub(crate) fn chat(model: &str, prompt: &str) -> Value {
    let mut body = prompt_body(prompt);
    body["model"] = model.into();
    body
}

/// The same with more fields.
pub(crate) fn chat_with(model: &str, prompt: &str, more: Value) -> Value {
    merged(chat(model, prompt), more)
}

/// An object with the fields of another one.
pub(crate) fn merged(mut body: Value, more: Value) -> Value {
    let Value::Object(more) = more else {
        panic!("{more} is no object");
    };
    body.as_object_mut().unwrap().extend(more);
    body
}

/// Asks a model for a completion.
pub(crate) async fn complete(client: &Client, model: &str, prompt: &str) -> Answer {
    client.post(COMPLETIONS, &chat(model, prompt)).await
}

/// The job of an answer that is a success or a failure.
pub(crate) fn job_of(answer: &Answer) -> String {
    let job = answer.header("x-tollgate-job-id").to_owned();
    assert!(!job.is_empty(), "no job: {}", answer.text());
    job
}

/// An account of the scripted provider in OpenAI's dialect.
pub(crate) async fn add_account(world: &World, provider: &str, secret: &str) {
    let base_url = world.upstream.base_url();
    let command = add_provider(provider, &base_url, secret, world.sealing_key());
    world.execute(command).await;
}

/// A provider for all organizations.
pub(crate) fn provider(text: &str) -> ProviderRef {
    ProviderRef {
        org_id: None,
        name: name(text),
    }
}

/// A secret as it is stored.
pub(crate) fn credential(world: &World, secret: &str) -> NewCredential {
    tollgate_tests::fixture::credential(secret, world.sealing_key())
}

/// A second key of a provider.
pub(crate) async fn add_key(world: &World, to: &str, secret: &str) -> CredentialId {
    let credential = credential(world, secret);
    let id = credential.id;
    let provider = provider(to);
    world
        .execute(Command::AddCredential {
            provider,
            credential,
        })
        .await;
    id
}

/// Enables or disables a provider.
pub(crate) async fn enable_provider(world: &World, text: &str, enabled: bool) {
    let provider = provider(text);
    world
        .execute(Command::EnableProvider { provider, enabled })
        .await;
}

/// A granted model with these settings.
pub(crate) async fn add_model(
    world: &World,
    alias: &str,
    provider: &str,
    upstream_model: &str,
    settings: ModelSettings,
) {
    let settings = ModelSettings {
        provider: Some(name(provider)),
        upstream_model: Some(upstream_model.to_owned()),
        ..settings
    };
    let alias_of = name(alias);
    world
        .execute(Command::AddModel {
            alias: alias_of,
            settings,
        })
        .await;
    world.execute(grant(alias)).await;
}

/// Changes a model.
pub(crate) async fn set_model(world: &World, alias: &str, settings: ModelSettings) {
    let alias = name(alias);
    world.execute(Command::SetModel { alias, settings }).await;
}

/// Gives a model these fallbacks: alias and priority.
pub(crate) async fn set_fallbacks(world: &World, alias: &str, fallbacks: &[(&str, i64)]) {
    let fallbacks = fallbacks.iter().map(|(alias, priority)| Fallback {
        alias: name(alias),
        priority: *priority,
        weight: 1,
    });
    let settings = ModelSettings {
        fallbacks: Some(fallbacks.collect()),
        ..ModelSettings::default()
    };
    set_model(world, alias, settings).await;
}

/// A price in dollars per million tokens, in and out.
pub(crate) fn priced(input: i64, output: i64) -> ModelSettings {
    let price = RateCard::flat(PicoUsd(input * 1_000_000), PicoUsd(output * 1_000_000));
    ModelSettings {
        price: Some(Some(price)),
        ..ModelSettings::default()
    }
}

/// Changes a team.
pub(crate) async fn set_team(world: &World, team: Team, settings: TeamSettings) {
    let id = name(team.id);
    world.execute(Command::SetTeam { id, settings }).await;
}

/// Adds a team with its key.
pub(crate) async fn add_team(world: &World, team: Team, settings: TeamSettings) {
    world.execute(create_team(team, settings)).await;
    world.execute(import_key(team.id, team.key)).await;
}

/// Charged by cost.
pub(crate) fn usd(credits_per_dollar: &str) -> TeamSettings {
    TeamSettings {
        budget_mode: Some(BudgetMode::ConsumptionUsd),
        credits_per_dollar: Some(name(credits_per_dollar)),
        ..TeamSettings::default()
    }
}

/// The names of an object's fields, in order.
pub(crate) fn keys(object: &Value) -> Vec<&str> {
    let object = object.as_object().unwrap_or_else(|| panic!("{object}"));
    let mut keys: Vec<&str> = object.keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys
}

/// Fails unless the answer is this error in OpenAI's form. Returns its `param`.
#[track_caller]
pub(crate) fn expect_openai(answer: &Answer, status: u16, kind: &str, code: &str) -> String {
    assert_eq!(answer.status, status, "{}", answer.text());
    assert_eq!(keys(&answer.json), ["error"], "{}", answer.text());
    let error = &answer.json["error"];
    assert_eq!(keys(error), ["code", "message", "param", "type"]);
    assert_eq!(
        (error["type"].as_str(), error["code"].as_str()),
        (Some(kind), Some(code)),
        "{}",
        answer.text()
    );
    assert_ne!(error["message"].as_str().unwrap_or_default(), "");
    error["param"].as_str().unwrap_or_default().to_owned()
}

/// Fails unless the answer is this error in Anthropic's form. Returns its message.
#[track_caller]
pub(crate) fn expect_anthropic(answer: &Answer, status: u16, kind: &str) -> String {
    assert_eq!(answer.status, status, "{}", answer.text());
    assert_eq!(answer.json["type"], "error", "{}", answer.text());
    assert_eq!(answer.json["error"]["type"], kind, "{}", answer.text());
    assert_ne!(answer.header("request-id"), "");
    let message = answer.json["error"]["message"].as_str();
    message.expect("an error has a message").to_owned()
}

/// A tool in OpenAI's form.
pub(crate) fn weather_tool() -> Value {
    json!({ "type": "function", "function": {
        "name": "weather", "description": "Tells the weather.",
        "parameters": {
            "type": "object",
            "properties": { "city": { "type": "string" } },
            "required": ["city"],
        },
    } })
}
