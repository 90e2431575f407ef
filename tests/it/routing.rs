//! Which providers and keys a call is tried at, how often, and when they are left alone.

use std::time::Duration;

use serde_json::json;
use tollgate_common::command::{Command, ModelSettings};
use tollgate_common::db::call::AttemptRow;
use tollgate_common::id::CredentialId;
use tollgate_common::job::CallState;
use tollgate_tests::fixture::{
    ALPHA, CLAUDE, FAST, GEM, GROUP, MINI, PROVIDER, PROVIDER_KEY, TEAM_B,
};
use tollgate_tests::{Answer, World, wait};

use crate::setup::{
    PLENTY, add_key, add_model, complete, credential, enable_provider, job_of, keys, provider,
    world_with_plenty,
};

const SECOND_KEY: &str = "sk-provider-second-93ab";
const THIRD_KEY: &str = "sk-provider-third-15fe";

/// A world whose keys never rest because of failures.
async fn tireless() -> World {
    let world = world_with_plenty().await;
    world.with("TOLLGATE_ROUTING_BREAKER_FAILURES", "1000")
}

async fn attempts(world: &World, answer: &Answer) -> Vec<AttemptRow> {
    let calls = world.calls(&job_of(answer)).await;
    assert_eq!(calls.len(), 1);
    world.attempts(calls[0].id).await
}

/// How many requests showed this secret.
fn uses_of(world: &World, secret: &str) -> usize {
    let requests = world.upstream.requests();
    requests.iter().filter(|r| r.key() == secret).count()
}

#[tokio::test]
async fn what_may_pass_is_tried_again_and_what_will_not_is_not() {
    let world = tireless().await;
    let proxy = world.start().await;
    let plenty = proxy.client(PLENTY);
    for (prompt, status, tries, kind) in [
        ("fail-first=1", 200, 2, "provider_error"),
        ("fail-first=2:500", 200, 3, "provider_error"),
        ("fail-first=1:529", 200, 2, "provider_error"),
        ("fail-first=1:408", 200, 2, "provider_error"),
        ("fail-first=3", 503, 3, "provider_error"),
        (
            "fail-first=1:429,retry-after=1",
            200,
            2,
            "provider_rate_limited",
        ),
        ("status=502", 503, 3, "provider_error"),
        ("cut", 503, 3, "provider_cut"),
        ("garbage", 503, 1, "provider_invalid"),
        ("empty", 503, 1, "provider_invalid"),
        ("fail-first=1:400", 400, 1, "provider_rejected"),
        ("fail-first=1:404", 503, 1, "provider_model_unknown"),
        ("fail-first=1:410", 503, 1, "provider_model_unknown"),
        ("fail-first=1:422", 400, 1, "provider_rejected"),
        ("fail-first=1:403", 503, 1, "provider_unauthorized"),
    ] {
        let before = world.upstream.count();
        let answer = complete(&plenty, FAST, &format!("do:{prompt}")).await;
        assert_eq!(answer.status, status, "{prompt}: {}", answer.text());
        assert_eq!(world.upstream.count() - before, tries, "{prompt}");
        let failed = attempts(&world, &answer).await;
        let wanted = if status == 200 { tries - 1 } else { tries };
        assert_eq!(failed.len(), wanted, "{prompt}");
        for (attempt, number) in failed.iter().zip(1..) {
            assert_eq!(attempt.number, number);
            assert_eq!(attempt.error_kind, kind, "{prompt}");
            assert_eq!(attempt.provider, PROVIDER);
            assert_eq!(attempt.upstream_model, "gpt-4o");
            assert!(attempt.credential_id.starts_with("cred_"), "{attempt:?}");
            assert!(!attempt.error.contains(PROVIDER_KEY) && !attempt.error.is_empty());
        }
        let call = &world.calls(&job_of(&answer)).await[0];
        assert_eq!(call.state == CallState::Succeeded, status == 200);
        assert_eq!(call.client_cost.is_positive(), status == 200, "{prompt}");
    }
    world.verify().await;
}

#[tokio::test]
async fn no_more_tries_are_made_than_are_set() {
    for (tries, prompt, status) in [("1", "fail-first=1", 503), ("2", "fail-first=2", 503)] {
        let world = tireless().await.with("TOLLGATE_ROUTING_TRIES", tries);
        let proxy = world.start().await;
        let plenty = proxy.client(PLENTY);
        let answer = complete(&plenty, FAST, &format!("do:{prompt}")).await;
        assert_eq!(answer.status, status, "{}", answer.text());
        assert_eq!(world.upstream.count().to_string(), tries);
        let _ = complete(&plenty, FAST, &format!("do:{prompt}"))
            .await
            .expect(200);
    }
}

#[tokio::test]
async fn who_was_only_slow_or_is_not_there_is_not_paid_twice() {
    let world = tireless()
        .await
        .with("TOLLGATE_UPSTREAM_TOTAL_TIMEOUT_MS", "1000");
    let nowhere = "http://127.0.0.1:9/v1";
    let account =
        tollgate_tests::fixture::add_provider("nowhere", nowhere, "sk-x", world.sealing_key());
    world.execute(account).await;
    let settings = ModelSettings::default();
    add_model(&world, "lost", "nowhere", "gpt-4o", settings).await;
    let proxy = world.start().await;
    let plenty = proxy.client(PLENTY);
    for prompt in ["do:silent", "do:stall"] {
        let before = world.upstream.count();
        let answer = complete(&plenty, FAST, prompt).await.expect(504);
        assert_eq!(world.upstream.count() - before, 1, "{prompt}");
        let failed = attempts(&world, &answer).await;
        assert_eq!(failed[0].error_kind, "provider_timeout");
    }
    let answer = complete(&plenty, "lost", "Hi").await.expect(503);
    let failed = attempts(&world, &answer).await;
    let kinds: Vec<&str> = failed.iter().map(|a| a.error_kind.as_str()).collect();
    assert_eq!(kinds, ["provider_unreachable"; 3]);
    world.verify().await;
}

#[tokio::test]
async fn a_provider_that_asks_for_too_much_patience_is_not_waited_for() {
    let world = tireless()
        .await
        .with("TOLLGATE_ROUTING_RETRY_PAUSE_MAX_MS", "500");
    let proxy = world.start().await;
    let plenty = proxy.client(PLENTY);
    let failed = complete(&plenty, FAST, "do:status=503,retry-after=30")
        .await
        .expect(503);
    assert_eq!(failed.retry_after(), Some(30));
    assert_eq!(world.upstream.count(), 1);
    let limited = complete(&plenty, FAST, "do:status=429,retry-after=30")
        .await
        .expect(429);
    assert_eq!(limited.retry_after(), Some(30));
    assert_eq!(world.upstream.count(), 2);
    // The model is left alone for that time; others behind the same key are not concerned.
    let resting = complete(&plenty, FAST, "Hi").await.expect(429);
    assert!((28..=30).contains(&resting.retry_after().unwrap()));
    assert_eq!(world.upstream.count(), 2);
    assert_eq!(attempts(&world, &resting).await, []);
    for model in [MINI, CLAUDE] {
        let _ = complete(&plenty, model, "Hi").await.expect(200);
    }
    world.verify().await;
}

#[tokio::test]
async fn a_refused_key_rests_while_another_one_serves() {
    let world = tireless().await;
    let second = add_key(&world, PROVIDER, SECOND_KEY).await;
    let proxy = world.start().await;
    let plenty = proxy.client(PLENTY);
    world.upstream.break_key(PROVIDER_KEY, 401);
    let mut refused = Vec::new();
    for _ in 0..20 {
        let answer = complete(&plenty, FAST, "Hi").await.expect(200);
        refused.extend(attempts(&world, &answer).await);
    }
    assert_eq!(uses_of(&world, PROVIDER_KEY), 1, "it was refused once");
    assert_eq!(uses_of(&world, SECOND_KEY), 20);
    assert_eq!(refused.len(), 1);
    assert_eq!(refused[0].error_kind, "provider_unauthorized");
    assert_ne!(refused[0].credential_id, second.to_string());

    world.upstream.break_key(SECOND_KEY, 401);
    let before = world.upstream.count();
    let failed = complete(&plenty, FAST, "Hi").await.expect(503);
    assert_eq!(world.upstream.count() - before, 1);
    assert!(!failed.text().contains("sk-provider"));
    let resting = complete(&plenty, FAST, "Hi").await.expect(503);
    assert_eq!(world.upstream.count() - before, 1, "all keys rest");
    assert!((10..=20).contains(&resting.retry_after().unwrap()));

    let rotate = Command::RotateProvider {
        provider: provider(PROVIDER),
        credential: credential(&world, THIRD_KEY),
    };
    world.execute(rotate).await;
    wait::until_within(Duration::from_secs(10), "the new key serves", async || {
        (complete(&plenty, FAST, "Hi").await.status == 200).then_some(())
    })
    .await;
    assert_eq!(world.upstream.last().key(), THIRD_KEY);
    world.verify().await;
}

#[tokio::test]
async fn a_key_that_is_limited_hands_over_to_the_next() {
    let world = tireless().await;
    let second = add_key(&world, PROVIDER, SECOND_KEY).await;
    let proxy = world.start().await;
    let plenty = proxy.client(PLENTY);
    world.upstream.break_key(SECOND_KEY, 429);
    let limited = wait::until("the limited key was tried", async || {
        let answer = complete(&plenty, FAST, "Hi").await.expect(200);
        let failed = attempts(&world, &answer).await;
        (!failed.is_empty()).then_some(failed)
    })
    .await;
    assert_eq!(limited.len(), 1);
    assert_eq!(limited[0].error_kind, "provider_rate_limited");
    assert_eq!(limited[0].credential_id, second.to_string());
    assert_eq!(world.upstream.last().key(), PROVIDER_KEY);
    let (first, second) = (uses_of(&world, PROVIDER_KEY), uses_of(&world, SECOND_KEY));
    let _ = complete(&plenty, FAST, "Hi").await.expect(200);
    assert_eq!(uses_of(&world, PROVIDER_KEY), first + 1);
    assert_eq!(uses_of(&world, SECOND_KEY), second, "it rests for a moment");
}

#[tokio::test]
async fn keys_share_the_load_and_what_is_disabled_is_not_used() {
    let world = tireless().await;
    let second = add_key(&world, PROVIDER, SECOND_KEY).await;
    let proxy = world.start().await;
    let plenty = proxy.client(PLENTY);
    for _ in 0..40 {
        let _ = complete(&plenty, FAST, "Hi").await.expect(200);
    }
    for secret in [PROVIDER_KEY, SECOND_KEY] {
        let uses = uses_of(&world, secret);
        assert!((5..=35).contains(&uses), "{secret}: {uses} of 40");
    }
    let enable = async |id: CredentialId, enabled: bool| {
        world
            .execute(Command::EnableCredential { id, enabled })
            .await;
    };
    enable(second, false).await;
    let refreshed = wait::until("the key is not used", async || {
        let before = uses_of(&world, SECOND_KEY);
        for _ in 0..20 {
            let _ = complete(&plenty, FAST, "Hi").await.expect(200);
        }
        (uses_of(&world, SECOND_KEY) == before).then_some(before)
    })
    .await;
    for _ in 0..20 {
        let _ = complete(&plenty, FAST, "Hi").await.expect(200);
    }
    assert_eq!(uses_of(&world, SECOND_KEY), refreshed);
    enable_provider(&world, PROVIDER, false).await;
    let refused = wait::until("the provider is not used", async || {
        let answer = complete(&plenty, FAST, "Hi").await;
        (answer.status != 200).then_some(answer)
    })
    .await;
    assert_eq!(refused.status, 503, "{}", refused.text());
    assert_eq!(refused.json["error"]["code"], "model_unavailable");
    let count = world.upstream.count();
    let _ = complete(&plenty, FAST, "Hi").await.expect(503);
    assert_eq!(world.upstream.count(), count);
}

#[tokio::test]
async fn a_refused_key_is_not_the_callers_fault_at_any_kind() {
    let world = world_with_plenty().await;
    let proxy = world.start().await;
    let plenty = proxy.client(PLENTY);
    for model in [FAST, CLAUDE, GEM] {
        let answer = complete(&plenty, model, "do:quote-key").await;
        assert_eq!(answer.status, 503, "{model}: {}", answer.text());
        assert!(!answer.text().contains("provider-secret"));
        let failed = attempts(&world, &answer).await;
        assert_eq!(failed[0].error_kind, "provider_unauthorized", "{model}");
        assert!(!failed[0].error.contains("provider-secret"), "{failed:?}");
        let before = world.upstream.count();
        let _ = complete(&plenty, model, "Hi").await.expect(503);
        assert_eq!(world.upstream.count(), before, "the key rests");
    }
}

#[tokio::test]
async fn an_organizations_own_account_goes_before_the_one_for_all() {
    let world = world_with_plenty().await;
    let own = tollgate_tests::fixture::add_provider(
        PROVIDER,
        &world.upstream.base_url(),
        "sk-provider-of-o2",
        world.sealing_key(),
    );
    let Command::AddProvider {
        mut provider,
        kind,
        base_url,
        credential,
    } = own
    else {
        panic!("it adds a provider");
    };
    provider.org_id = Some("o2".parse().unwrap());
    world
        .execute(Command::AddProvider {
            provider,
            kind,
            base_url,
            credential,
        })
        .await;
    let proxy = world.start().await;
    let _ = complete(&proxy.client(TEAM_B), FAST, "Hi")
        .await
        .expect(200);
    assert_eq!(world.upstream.last().key(), "sk-provider-of-o2");
    let _ = complete(&proxy.client(ALPHA), FAST, "Hi").await.expect(200);
    assert_eq!(world.upstream.last().key(), PROVIDER_KEY);
}

#[tokio::test]
async fn a_group_tells_its_models_to_whom_it_is_granted() {
    let world = world_with_plenty().await;
    let create = Command::CreateGroup {
        name: "hidden".parse().unwrap(),
        models: vec![FAST.parse().unwrap()],
    };
    world.execute(create).await;
    let proxy = world.start().await;
    let alpha = proxy.client(ALPHA);
    let resolve = async |group: &str, query: &str| {
        let path = format!("/api/model-groups/{group}/resolve{query}");
        alpha.get(&path).await
    };
    let mine = "?team_id=team-alpha";
    let granted = resolve(GROUP, mine).await.expect(200).json;
    let fields = [
        "fallback_models",
        "group_name",
        "primary_model",
        "team_has_access",
    ];
    assert_eq!(keys(&granted), fields);
    assert_eq!(granted["group_name"], GROUP);
    assert_eq!(granted["primary_model"], FAST);
    let others = granted["fallback_models"].as_array().unwrap();
    assert_eq!((&others[0], others.len()), (&json!(MINI), 5));
    assert_eq!(granted["team_has_access"], true);

    let hidden = resolve("hidden", mine).await.expect(200).json;
    let wanted = json!({
        "group_name": "hidden", "primary_model": null, "fallback_models": [],
        "team_has_access": false,
        "error": "Team 'team-alpha' does not have access to model group 'hidden'",
    });
    assert_eq!(hidden, wanted);
    let answer = resolve("nope", mine).await;
    answer.expect_error(404, "Model group 'nope' not found");
    let answer = resolve(GROUP, "?team_id=team-b").await;
    answer.expect_error(403, "Cannot resolve model group for a different team");
    resolve(GROUP, "").await.expect_error(400, "team_id");
    let nobody = proxy.client_with_key("");
    let path = format!("/api/model-groups/{GROUP}/resolve{mine}");
    nobody
        .get(&path)
        .await
        .expect_error(401, "Missing Authorization");
}
