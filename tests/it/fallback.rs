//! Models that stand in for others.

use serde_json::{Value, json};
use tollgate_common::command::{Command, ModelSettings, TeamSettings};
use tollgate_common::job::BudgetMode;
use tollgate_common::model::Fallback;
use tollgate_tests::client::prompt_body;
use tollgate_tests::fixture::{
    ANTHROPIC_KEY, CLAUDE, FAST, MINI, PROVIDER, Team, UNGRANTED, UNPRICED,
};
use tollgate_tests::upstream::Recorded;
use tollgate_tests::{Answer, Store, World, wait};

use crate::setup::{
    COMPLETIONS, PLENTY, add_account, add_model, add_team, chat_with, complete, expect_openai,
    job_of, merged, name, priced, set_fallbacks, set_model, usd, world_with_plenty,
    world_with_plenty_on,
};

/// Charged by cost: 100 credits a dollar.
const BY_COST: Team = Team {
    id: "team-by-cost-2",
    org: "o2",
    key: "sk-by-cost-2-virtual-key",
    credits: 100_000,
};

/// Charged by tokens: 1,000 a credit.
const BY_TOKENS: Team = Team {
    id: "team-by-tokens",
    org: "o1",
    key: "sk-by-tokens-virtual-key",
    credits: 100_000,
};

/// The models that were asked, from this request on.
fn asked_since(world: &World, first: usize) -> Vec<String> {
    let requests = world.upstream.requests();
    requests[first..].iter().map(Recorded::model).collect()
}

/// A world whose keys never rest because of failures.
async fn tireless() -> World {
    tireless_on(Store::Sqlite).await
}

async fn tireless_on(store: Store) -> World {
    let world = world_with_plenty_on(store).await;
    let by_tokens = TeamSettings {
        budget_mode: Some(BudgetMode::ConsumptionTokens),
        tokens_per_credit: Some(1_000),
        ..TeamSettings::default()
    };
    add_team(&world, BY_COST, usd("100")).await;
    add_team(&world, BY_TOKENS, by_tokens).await;
    world.with("TOLLGATE_ROUTING_BREAKER_FAILURES", "1000")
}

async fn who_stands_in_is_tried_by_priority_recorded_and_priced(store: Store) {
    let world = tireless_on(store).await;
    set_fallbacks(&world, FAST, &[(MINI, 2), (CLAUDE, 1)]).await;
    let proxy = world.start().await;
    let client = proxy.client(BY_COST);
    world.upstream.break_model("gpt-4o", 503);
    let served = complete(&client, FAST, "do:usage=1000:100")
        .await
        .expect(200);
    assert_eq!(served.json["model"], FAST);
    assert!(!served.text().contains("claude"), "{}", served.text());
    assert_eq!(asked_since(&world, 0), ["gpt-4o", "claude-sonnet-4-5"]);
    assert_eq!(world.upstream.last().key(), ANTHROPIC_KEY);
    let call = &world.calls(&job_of(&served)).await[0];
    assert_eq!(
        (call.alias.as_str(), call.requested_model.as_str()),
        (FAST, FAST)
    );
    assert_eq!(call.provider, "anthropic");
    assert_eq!(call.upstream_model, "claude-sonnet-4-5");
    assert_eq!(call.provider_cost.0, 1_000 * 3_000 + 100 * 15_000);
    let failed = world.attempts(call.id).await;
    assert_eq!(failed.len(), 1);
    assert_eq!(
        (
            failed[0].provider.as_str(),
            failed[0].upstream_model.as_str()
        ),
        (PROVIDER, "gpt-4o")
    );

    world.upstream.break_model("claude-sonnet-4-5", 529);
    let served = complete(&client, FAST, "Hi").await.expect(200);
    let asked = asked_since(&world, 2);
    assert_eq!(asked, ["gpt-4o", "claude-sonnet-4-5", "gpt-4o-mini"]);
    let call = &world.calls(&job_of(&served)).await[0];
    assert_eq!(
        (call.provider.as_str(), call.upstream_model.as_str()),
        (PROVIDER, "gpt-4o-mini")
    );
    assert_eq!(call.provider_cost.0, 10 * 150 + 5 * 600);
    assert_eq!(world.attempts(call.id).await.len(), 2);
    let costs = client
        .get(&format!("/api/jobs/{}/costs", job_of(&served)))
        .await;
    assert_eq!(
        costs.expect(200).json["costs"]["breakdown"][0]["model"],
        FAST
    );

    world.upstream.break_model("gpt-4o-mini", 500);
    let failed = complete(&client, FAST, "Hi").await.expect(503);
    assert_eq!(asked_since(&world, 5).len(), 3, "the tries are used up");
    let call = &world.calls(&job_of(&failed)).await[0];
    assert_eq!(call.upstream_model, "gpt-4o", "what was planned");
    assert_eq!(world.attempts(call.id).await.len(), 3);
    world.upstream.heal();
    let before = world.upstream.count();
    let _ = complete(&client, FAST, "do:status=400").await.expect(400);
    assert_eq!(
        world.upstream.count(),
        before + 1,
        "a wrong request stays wrong"
    );
    world.verify().await;
}

#[tokio::test]
async fn who_stands_in_is_recorded_and_priced_on_sqlite() {
    who_stands_in_is_tried_by_priority_recorded_and_priced(Store::Sqlite).await;
}

#[tokio::test]
async fn who_stands_in_is_recorded_and_priced_on_postgres() {
    who_stands_in_is_tried_by_priority_recorded_and_priced(Store::Postgres).await;
}

#[tokio::test]
async fn models_of_one_priority_share_the_calls_by_weight() {
    let world = tireless().await;
    let shared = Fallback {
        alias: name(UNGRANTED),
        priority: 0,
        weight: 3,
    };
    let settings = ModelSettings {
        weight: Some(1),
        fallbacks: Some(vec![shared]),
        ..ModelSettings::default()
    };
    set_model(&world, FAST, settings).await;
    let proxy = world.start().await;
    let plenty = proxy.client(PLENTY);
    let job = plenty.create_job().await;
    for _ in 0..60 {
        let answer = plenty
            .call_with(&job, &crate::setup::chat(FAST, "Hi"))
            .await;
        assert_eq!(answer.expect(200).json["model"], FAST);
    }
    let asked = asked_since(&world, 0);
    let others = asked.iter().filter(|model| *model == "gpt-4.1").count();
    assert!((27..=58).contains(&others), "{others} of 60, about 45");
    let calls = world.calls(&job).await;
    assert!(calls.iter().all(|call| call.alias == FAST), "{calls:?}");
    let recorded = calls
        .iter()
        .filter(|c| c.upstream_model == "gpt-4.1")
        .count();
    assert_eq!(recorded, others);
    let costs = plenty
        .get(&format!("/api/jobs/{job}/costs"))
        .await
        .expect(200);
    assert!(!costs.text().contains(UNGRANTED), "{}", costs.text());
    world.verify().await;
}

#[tokio::test]
async fn the_models_of_a_group_stand_in_for_one_another_in_their_order() {
    let world = tireless().await;
    let create = Command::CreateGroup {
        name: name("pair"),
        models: [CLAUDE, MINI, FAST].map(name).to_vec(),
    };
    world.execute(create).await;
    let settings = TeamSettings {
        groups: Some(vec![name("pair")]),
        ..TeamSettings::default()
    };
    crate::setup::set_team(&world, PLENTY, settings).await;
    let proxy = world.start().await;
    let plenty = proxy.client(PLENTY);
    let job = plenty.create_job().await;
    let body = merged(prompt_body("Hi"), json!({ "model_group": "pair" }));
    let answer = plenty.call_with(&job, &body).await.expect(200).json;
    assert_eq!(answer["metadata"]["model"], CLAUDE);
    world.upstream.break_model("claude-sonnet-4-5", 503);
    let answer = plenty.call_with(&job, &body).await.expect(200).json;
    assert_eq!(answer["metadata"]["model_group"], "pair");
    assert_eq!(answer["model"], CLAUDE, "the caller is not aware of it");
    world.upstream.break_model("gpt-4o-mini", 503);
    let _ = plenty.call_with(&job, &body).await.expect(200);
    let asked = asked_since(&world, 0);
    let claude = "claude-sonnet-4-5";
    let wanted = [
        claude,
        claude,
        "gpt-4o-mini",
        claude,
        "gpt-4o-mini",
        "gpt-4o",
    ];
    assert_eq!(asked, wanted);
    let served: Vec<String> = world
        .calls(&job)
        .await
        .iter()
        .map(|c| c.upstream_model.clone())
        .collect();
    assert_eq!(served, [claude, "gpt-4o-mini", "gpt-4o"]);
}

/// What is held while a call of so many tokens is under way.
async fn held_for(world: &World, team: Team, client: &tollgate_tests::Client) -> i64 {
    let before = world.upstream.count();
    let body = chat_with(FAST, "do:gated", json!({ "max_tokens": 1_000 }));
    let running = tokio::spawn({
        let client = client.clone();
        async move { client.post(COMPLETIONS, &body).await }
    });
    wait::until("the provider has the call", async || {
        (world.upstream.count() == before + 1).then_some(())
    })
    .await;
    let held = world.account(team.id).await.held.0;
    world.upstream.release();
    let _ = running.await.unwrap().expect(200);
    held
}

#[tokio::test]
async fn the_dearest_that_may_serve_is_held_for() {
    let world = tireless().await;
    add_model(&world, "dear", PROVIDER, "dear-model", priced(100, 1_000)).await;
    let proxy = world.start().await;
    let client = proxy.client(BY_COST);
    assert_eq!(held_for(&world, BY_COST, &client).await, 1);
    set_fallbacks(&world, FAST, &[("dear", 1)]).await;
    let held = wait::until("the fallback is known", async || {
        let held = held_for(&world, BY_COST, &client).await;
        (held > 1).then_some(held)
    })
    .await;
    assert!(
        (100..=101).contains(&held),
        "1,000 tokens at $1,000 a million: {held}"
    );
    assert_eq!(world.account(BY_COST.id).await.held.0, 0);
    world.verify().await;
}

#[tokio::test]
async fn a_model_that_cannot_be_told_the_request_is_passed_over() {
    let world = tireless().await;
    set_fallbacks(&world, FAST, &[(CLAUDE, 1), (MINI, 2)]).await;
    set_fallbacks(&world, CLAUDE, &[(FAST, 1)]).await;
    let proxy = world.start().await;
    let plenty = proxy.client(PLENTY);
    let ask = async |model: &str| {
        let odd = json!({ "logit_bias": { "1": 1 } });
        plenty.post(COMPLETIONS, &chat_with(model, "Hi", odd)).await
    };
    let served = ask(CLAUDE).await.expect(200);
    assert_eq!(served.json["model"], CLAUDE);
    assert_eq!(asked_since(&world, 0), ["gpt-4o"]);
    let call = &world.calls(&job_of(&served)).await[0];
    assert_eq!(
        (call.provider.as_str(), call.upstream_model.as_str()),
        (PROVIDER, "gpt-4o")
    );
    assert_eq!(world.attempts(call.id).await, []);
    world.upstream.break_model("gpt-4o", 503);
    let served = ask(FAST).await.expect(200);
    assert_eq!(asked_since(&world, 1), ["gpt-4o", "gpt-4o-mini"]);
    let call = &world.calls(&job_of(&served)).await[0];
    assert_eq!(world.attempts(call.id).await.len(), 1);
    let failed = ask(CLAUDE).await;
    assert_eq!(failed.status, 503, "{}", failed.text());
    world.verify().await;
}

#[tokio::test]
async fn a_request_is_not_wrong_because_who_could_serve_it_rests() {
    let world = world_with_plenty().await;
    set_fallbacks(&world, CLAUDE, &[(FAST, 1)]).await;
    let proxy = world.start().await;
    let plenty = proxy.client(PLENTY);
    let _ = complete(&plenty, FAST, "do:status=401").await.expect(503);
    let odd = chat_with(CLAUDE, "Hi", json!({ "logit_bias": { "1": 1 } }));
    let resting = plenty.post(COMPLETIONS, &odd).await;
    expect_openai(&resting, 503, "server_error", "model_unavailable");
    assert!(resting.retry_after().is_some());
    assert_eq!(world.upstream.count(), 1);
}

#[tokio::test]
async fn a_resting_key_lets_who_stands_in_serve_at_once() {
    let world = world_with_plenty()
        .await
        .with("TOLLGATE_ROUTING_BREAKER_FAILURES", "2");
    set_fallbacks(&world, FAST, &[(CLAUDE, 1)]).await;
    let proxy = world.start().await;
    let plenty = proxy.client(PLENTY);
    world.upstream.break_model("gpt-4o", 503);
    for _ in 0..2 {
        let _ = complete(&plenty, FAST, "Hi").await.expect(200);
    }
    let before = world.upstream.count();
    let served = complete(&plenty, FAST, "Hi").await.expect(200);
    assert_eq!(asked_since(&world, before), ["claude-sonnet-4-5"]);
    let call = &world.calls(&job_of(&served)).await[0];
    assert_eq!(call.provider, "anthropic");
    assert_eq!(world.attempts(call.id).await, []);
}

#[tokio::test]
async fn who_pays_by_cost_is_served_only_by_models_with_a_price() {
    let world = tireless().await;
    let equal = |alias: &str, priority, weight| Fallback {
        alias: name(alias),
        priority,
        weight,
    };
    let settings = ModelSettings {
        weight: Some(1),
        fallbacks: Some(vec![equal(UNPRICED, 0, 1_000), equal(MINI, 1, 1)]),
        ..ModelSettings::default()
    };
    set_model(&world, FAST, settings).await;
    let proxy = world.start().await;
    let by_cost = proxy.client(BY_COST);
    for _ in 0..10 {
        let _ = complete(&by_cost, FAST, "Hi").await.expect(200);
        assert_eq!(world.upstream.last().model(), "gpt-4o");
    }
    world.upstream.break_model("gpt-4o", 503);
    let served = complete(&by_cost, FAST, "Hi").await.expect(200);
    assert_eq!(world.upstream.last().model(), "gpt-4o-mini");
    assert!(world.calls(&job_of(&served)).await[0].price.is_some());
    let before = world.upstream.count();
    let plenty = proxy.client(PLENTY);
    let served = complete(&plenty, FAST, "Hi").await.expect(200);
    assert!(asked_since(&world, before).contains(&"house-model".to_owned()));
    let call = &world.calls(&job_of(&served)).await[0];
    assert_eq!((call.price.is_none(), call.provider_cost.0), (true, 0));
    set_fallbacks(&world, UNPRICED, &[(MINI, 1)]).await;
    let refused = wait::until("the fallback is known", async || {
        let before = world.upstream.count();
        let _ = complete(&plenty, UNPRICED, "do:status=503").await;
        let is_known = asked_since(&world, before).contains(&"gpt-4o-mini".to_owned());
        let refused = complete(&by_cost, UNPRICED, "Hi").await;
        is_known.then_some(refused)
    })
    .await;
    expect_openai(&refused, 403, "permission_error", "model_unpriced");
    assert!(refused.text().contains(UNPRICED), "{}", refused.text());
    world.verify().await;
}

#[tokio::test]
async fn nobody_is_asked_for_a_longer_answer_than_it_can_give() {
    let world = tireless().await;
    let settings = ModelSettings {
        output_tokens_max: Some(4_096),
        ..ModelSettings::default()
    };
    add_account(&world, "spare", "sk-provider-spare-key").await;
    add_model(&world, "short", "spare", "claude-3-haiku", settings).await;
    set_fallbacks(&world, FAST, &[("short", 1)]).await;
    set_fallbacks(&world, "short", &[(CLAUDE, 1)]).await;
    let proxy = world.start().await;
    world.upstream.break_model("gpt-4o", 503);
    let caps = |first: usize| -> Vec<Value> {
        let requests = world.upstream.requests();
        requests[first..]
            .iter()
            .map(|r| r.json()["max_tokens"].clone())
            .collect()
    };
    for (team, more, wanted) in [
        (BY_TOKENS, json!({}), [json!(16_384), json!(4_096)]),
        (
            BY_TOKENS,
            json!({ "max_tokens": 9_000 }),
            [json!(9_000), json!(4_096)],
        ),
        (
            PLENTY,
            json!({ "max_tokens": 9_000 }),
            [json!(9_000), json!(4_096)],
        ),
        (PLENTY, json!({}), [Value::Null, Value::Null]),
    ] {
        let first = world.upstream.count();
        let body = chat_with(FAST, "Hi", more);
        let answer: Answer = proxy.client(team).post(COMPLETIONS, &body).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(caps(first), wanted, "{} {body}", team.id);
    }
    world.upstream.break_model("claude-3-haiku", 503);
    let first = world.upstream.count();
    let _ = complete(&proxy.client(BY_TOKENS), "short", "Hi")
        .await
        .expect(200);
    assert_eq!(caps(first), [json!(4_096), json!(64_000)]);
    world.verify().await;
}
