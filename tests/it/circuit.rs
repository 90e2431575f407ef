//! What one team brings about at a provider does not concern another one.

use serde_json::{Value, json};
use tokio::task::JoinSet;
use tollgate_common::command::{ModelSettings, TeamSettings};
use tollgate_common::db::live;
use tollgate_common::live::NodeFigures;
use tollgate_tests::fixture::{CLAUDE, FAST, MINI, PROVIDER, PROVIDER_KEY, Team};
use tollgate_tests::{Answer, Client, Door, World, wait};

use crate::setup::{
    COMPLETIONS, PLENTY, add_model, add_team, chat_with, complete, expect_openai, job_of,
    set_fallbacks, set_model, world_with_plenty,
};

/// Two other teams with plenty of credits.
const OTHER: Team = Team {
    id: "team-other",
    org: "o2",
    key: "sk-other-virtual-key-11c2",
    credits: 1_000_000,
};
const THIRD: Team = Team {
    id: "team-third",
    org: "o1",
    key: "sk-third-virtual-key-77aa",
    credits: 1_000_000,
};

/// A world with three teams, of which the breakers are as they are shipped.
async fn world_of_three() -> World {
    let world = world_with_plenty().await;
    for team in [OTHER, THIRD] {
        add_team(&world, team, TeamSettings::default()).await;
    }
    world
}

/// Many calls at once that end badly, whole or streamed.
async fn attack(client: &Client, prompt: &'static str, is_streamed: bool) {
    let mut calls = JoinSet::new();
    for _ in 0..8 {
        let client = client.clone();
        calls.spawn(async move {
            if !is_streamed {
                let _ = complete(&client, MINI, prompt).await;
                return;
            }
            let mut stream = Door::OpenAi.ask(&client, "", MINI, prompt).await;
            if stream.status == 200 {
                stream.collect().await;
            }
        });
    }
    calls.join_all().await;
}

/// The present of the only node, as soon as `fits` likes it.
async fn told(world: &World, what: &str, fits: impl Fn(&NodeFigures) -> bool) -> NodeFigures {
    wait::until(what, async || {
        let told = live::list(world.database().pool()).await.unwrap();
        let figures = told.into_iter().map(|told| told.figures).next()?;
        fits(&figures).then_some(figures)
    })
    .await
}

#[tokio::test]
async fn no_fault_that_a_team_provokes_takes_a_model_from_another_team() {
    let world = world_of_three()
        .await
        .with("TOLLGATE_UPSTREAM_TOTAL_TIMEOUT_MS", "1000")
        .with("TOLLGATE_UPSTREAM_FIRST_BYTE_TIMEOUT_MS", "300")
        .with("TOLLGATE_UPSTREAM_IDLE_TIMEOUT_MS", "300")
        .with("TOLLGATE_LIMITS_RESPONSE_BYTES", "100000");
    set_fallbacks(&world, FAST, &[(CLAUDE, 1)]).await;
    let proxy = world.start().await;
    let (attacker, other) = (proxy.client(PLENTY), proxy.client(OTHER));
    for prompt in [
        "do:status=500",
        "do:status=503",
        "do:silent",
        "do:garbage",
        "do:empty",
        "do:large=300000",
        "do:cut",
        "do:hang-up",
        "do:status=400",
        "do:status=404",
        "do:status=403",
    ] {
        attack(&attacker, prompt, false).await;
        attack(&attacker, prompt, true).await;
        for model in [MINI, FAST] {
            let before = world.upstream.count();
            let answer = complete(&other, model, "Hi").await;
            assert_eq!(answer.status, 200, "{prompt} {model}: {}", answer.text());
            assert_eq!(world.upstream.count(), before + 1, "{prompt} {model}");
            let wanted = if model == MINI {
                "gpt-4o-mini"
            } else {
                "gpt-4o"
            };
            assert_eq!(world.upstream.last().model(), wanted, "{prompt}");
        }
    }
    for prompt in ["do:error=1", "do:cut=2", "do:garbage=2", "do:stall=2"] {
        attack(&attacker, prompt, true).await;
        let _ = complete(&other, MINI, "Hi").await.expect(200);
    }
    world.verify().await;
}

#[tokio::test]
async fn what_several_teams_see_failing_is_left_to_those_that_stand_in() {
    let world = world_of_three().await;
    set_fallbacks(&world, FAST, &[(CLAUDE, 1)]).await;
    let proxy = world.start().await;
    world.upstream.break_model("gpt-4o", 503);
    for team in [PLENTY, OTHER] {
        for _ in 0..3 {
            let _ = complete(&proxy.client(team), FAST, "Hi").await.expect(200);
        }
    }
    let before = world.upstream.count();
    let third = proxy.client(THIRD);
    let served = complete(&third, FAST, "Hi").await.expect(200);
    assert_eq!(
        world.upstream.count(),
        before + 1,
        "the failing one is not asked"
    );
    let call = &world.calls(&job_of(&served)).await[0];
    assert_eq!(call.provider, "anthropic");
    assert_eq!(world.attempts(call.id).await, []);
    let figures = told(&world, "the circuit is told of", |now| {
        !now.resting.is_empty()
    })
    .await;
    let resting = &figures.resting[0];
    assert_eq!(resting.upstream_model.as_deref(), Some("gpt-4o"));
    assert_eq!((resting.condition.as_str(), resting.teams), ("open", 0));
    // Other models behind the same key are not concerned.
    let _ = complete(&third, MINI, "Hi").await.expect(200);
    assert_eq!(world.upstream.last().model(), "gpt-4o-mini");
    world.upstream.heal();
    wait::until("the model serves again", async || {
        let _ = complete(&third, FAST, "Hi").await.expect(200);
        (world.upstream.last().model() == "gpt-4o").then_some(())
    })
    .await;
    world.verify().await;
}

#[tokio::test]
async fn the_only_way_to_serve_is_not_held_back() {
    let world = world_of_three().await.with("TOLLGATE_ROUTING_TRIES", "1");
    let proxy = world.start().await;
    world.upstream.break_model("gpt-4o", 500);
    for team in [PLENTY, OTHER, THIRD] {
        for _ in 0..10 {
            let before = world.upstream.count();
            let failed = complete(&proxy.client(team), FAST, "Hi").await.expect(503);
            assert_eq!(world.upstream.count(), before + 1, "it is asked");
            let call = &world.calls(&job_of(&failed)).await[0];
            assert_eq!(call.error_kind.as_deref(), Some("provider_error"));
        }
    }
    world.upstream.heal();
    for team in [PLENTY, OTHER, THIRD] {
        let _ = complete(&proxy.client(team), FAST, "Hi").await.expect(200);
    }
}

#[tokio::test]
async fn a_rate_limit_of_one_model_leaves_others_on_the_same_key_alone() {
    let world = world_of_three().await;
    set_fallbacks(&world, FAST, &[(MINI, 1)]).await;
    let proxy = world.start().await;
    let limited = json!({ "error": { "message": "tokens per minute" } });
    let headers = [("retry-after", "30")];
    world.upstream.fail_model("gpt-4o", 429, &headers, &limited);
    let (plenty, other) = (proxy.client(PLENTY), proxy.client(OTHER));
    // The alias and its fallback share a key, but no limit.
    let _ = complete(&plenty, FAST, "Hi").await.expect(200);
    assert_eq!(world.upstream.last().model(), "gpt-4o-mini");
    for client in [&plenty, &other] {
        let before = world.upstream.count();
        let _ = complete(client, MINI, "Hi").await.expect(200);
        let _ = complete(client, FAST, "Hi").await.expect(200);
        assert_eq!(world.upstream.count(), before + 2, "the limit is respected");
    }
}

#[tokio::test]
async fn a_refused_key_is_left_alone_by_all() {
    let world = world_of_three().await;
    let proxy = world.start().await;
    world.upstream.break_key(PROVIDER_KEY, 401);
    let _ = complete(&proxy.client(PLENTY), FAST, "Hi")
        .await
        .expect(503);
    let before = world.upstream.count();
    for model in [FAST, MINI] {
        let held = complete(&proxy.client(OTHER), model, "Hi").await;
        expect_openai(&held, 503, "server_error", "model_unavailable");
        assert!(held.retry_after().is_some());
    }
    assert_eq!(world.upstream.count(), before);
    let figures = told(&world, "the key is told of", |now| {
        !now.resting.is_empty() && !now.alerts.is_empty()
    })
    .await;
    assert_eq!(figures.resting[0].upstream_model, None);
    assert_eq!(figures.alerts[0].fault, "the key is refused");
}

#[tokio::test]
async fn a_host_that_cannot_be_reached_is_told_of_with_its_keys() {
    let world = world_of_three().await;
    let nowhere = "http://127.0.0.1:9/v1";
    let account =
        tollgate_tests::fixture::add_provider("nowhere", nowhere, "sk-x", world.sealing_key());
    world.execute(account).await;
    let settings = ModelSettings::default();
    add_model(&world, "lost", "nowhere", "gpt-4o", settings).await;
    let proxy = world.start().await;
    let plenty = proxy.client(PLENTY);
    for _ in 0..5 {
        let failed = complete(&plenty, "lost", "Hi").await.expect(503);
        let call = &world.calls(&job_of(&failed)).await[0];
        assert_eq!(call.error_kind.as_deref(), Some("provider_unreachable"));
    }
    let held = complete(&plenty, "lost", "Hi").await.expect(503);
    let call = &world.calls(&job_of(&held)).await[0];
    assert_eq!(call.error_kind.as_deref(), Some("provider_circuit_open"));
    told(&world, "the host is told of", |now| {
        now.resting.iter().any(|key| key.is_unreachable)
    })
    .await;
    let _ = complete(&plenty, FAST, "Hi").await.expect(200);
}

/// Bodies of providers whose trouble is the operator's, the status, and what an alert says.
fn troubles() -> Vec<(u16, Value, &'static str, &'static str)> {
    let anthropic = |message: &str| json!({ "type": "error", "error": { "type": "invalid_request_error", "message": message } });
    let (account, model) = (
        "the account cannot be used",
        "the model is unknown or retired",
    );
    let openai = |message: &str, code: &str| json!({ "error": { "message": message, "type": "invalid_request_error", "code": code } });
    vec![
        (
            400,
            anthropic("Your credit balance is too low to access the Anthropic API."),
            account,
            "provider_account",
        ),
        (
            429,
            openai(
                "You exceeded your current quota of OpenAI",
                "insufficient_quota",
            ),
            account,
            "provider_account",
        ),
        (
            402,
            openai("Insufficient Balance", "x"),
            account,
            "provider_account",
        ),
        (
            404,
            openai("The model `gpt-4o` does not exist", "model_not_found"),
            model,
            "provider_model_unknown",
        ),
        (410, openai("gone", "x"), model, "provider_model_unknown"),
        (
            403,
            openai("no access", "x"),
            "access is denied",
            "provider_unauthorized",
        ),
        (
            404,
            Value::String("<html>404</html>".to_owned()),
            "the base URL does not lead to the API",
            "provider_misconfigured",
        ),
    ]
}

#[tokio::test]
async fn the_operators_trouble_is_not_the_callers_fault() {
    for (status, body, fault, kind) in troubles() {
        let world = world_of_three().await;
        set_fallbacks(&world, FAST, &[(CLAUDE, 1)]).await;
        let proxy = world.start().await;
        let plenty = proxy.client(PLENTY);
        world.upstream.fail_model("gpt-4o", status, &[], &body);
        world.upstream.fail_model("gpt-4o-mini", status, &[], &body);
        let served = complete(&plenty, FAST, "Hi").await;
        assert_eq!(served.status, 200, "{body}: {}", served.text());
        let call = &world.calls(&job_of(&served)).await[0];
        let attempts = world.attempts(call.id).await;
        assert_eq!(attempts.len(), 1, "{body}");
        assert_eq!(attempts[0].error_kind, kind, "{body}");
        let alone = complete(&plenty, MINI, "Hi").await;
        expect_openai(&alone, 503, "server_error", "model_unavailable");
        for word in ["credit", "Anthropic", "OpenAI", "quota", "gpt-4o", "exist"] {
            assert!(!alone.text().contains(word), "{}", alone.text());
        }
        let figures = told(&world, "an alert", |now| !now.alerts.is_empty()).await;
        assert_eq!(figures.alerts[0].fault, fault, "{body}");
        assert_eq!(figures.alerts[0].provider, PROVIDER);
        world.upstream.heal();
        world.verify().await;
    }
}

#[tokio::test]
async fn codes_that_callers_act_on_are_kept_in_their_dialect() {
    let world = world_of_three().await;
    let proxy = world.start().await;
    let plenty = proxy.client(PLENTY);
    let body = json!({ "error": {
        "message": "maximum context length is 8192 tokens", "type": "invalid_request_error",
        "param": "messages", "code": "context_length_exceeded" } });
    world.upstream.fail_model("gpt-4o", 400, &[], &body);
    let refused = complete(&plenty, FAST, "Hi").await;
    let kind = "invalid_request_error";
    let param = expect_openai(&refused, 400, kind, "context_length_exceeded");
    assert_eq!(param, "messages");
    world.upstream.fail_model("gpt-4o", 413, &[], &body);
    let too_large = complete(&plenty, FAST, "Hi").await;
    assert_eq!(too_large.status, 413);
    for body in [
        json!({ "detail": [{ "loc": ["body", "x"], "msg": "field required" }] }),
        json!({ "object": "error", "message": "field required", "code": 400 }),
        json!([{ "error": { "message": "field required" } }]),
    ] {
        world.upstream.fail_model("gpt-4o", 422, &[], &body);
        let refused = complete(&plenty, FAST, "Hi").await.expect(400);
        assert!(
            refused.text().contains("field required"),
            "{}",
            refused.text()
        );
        let call = &world.calls(&job_of(&refused)).await[0];
        let stored = call.error.as_deref().unwrap_or_default();
        assert!(stored.contains("field required"), "{stored}");
    }
}

#[tokio::test]
async fn a_complete_answer_is_not_bought_again() {
    let world = world_of_three().await;
    set_fallbacks(&world, FAST, &[(CLAUDE, 1)]).await;
    let proxy = world.start().await;
    let plenty = proxy.client(PLENTY);
    for model in [MINI, CLAUDE] {
        for _ in 0..6 {
            let before = world.upstream.count();
            let answer = complete(&plenty, model, "do:garbage").await.expect(503);
            assert_eq!(world.upstream.count(), before + 1, "it was bought once");
            assert_eq!(answer.retry_after(), None);
            assert_eq!(answer.header("x-should-retry"), "false");
        }
    }
    // An error in place of an answer is none.
    let error = json!({ "error": { "message": "busy", "code": 502 } });
    world.upstream.fail_model("gpt-4o", 200, &[], &error);
    let served = complete(&plenty, FAST, "Hi").await.expect(200);
    let call = &world.calls(&job_of(&served)).await[0];
    assert_eq!(
        world.attempts(call.id).await[0].error_kind,
        "provider_error"
    );
}

#[tokio::test]
async fn a_model_may_have_less_or_more_time_than_others() {
    let world = world_of_three()
        .await
        .with("TOLLGATE_UPSTREAM_TOTAL_TIMEOUT_MS", "3000");
    let with = |seconds| ModelSettings {
        timeout: Some(Some(std::time::Duration::from_secs(seconds))),
        ..ModelSettings::default()
    };
    set_model(&world, FAST, with(1)).await;
    set_model(&world, MINI, with(60)).await;
    set_fallbacks(&world, FAST, &[(CLAUDE, 1)]).await;
    let proxy = world.start().await;
    let plenty = proxy.client(PLENTY);
    let _ = complete(&plenty, MINI, "do:slow=4000").await.expect(200);
    // It has a second, and the fallback the rest of the call's time.
    let served = complete(&plenty, FAST, "do:slow=1500").await.expect(200);
    let call = &world.calls(&job_of(&served)).await[0];
    assert_eq!(call.provider, "anthropic");
    assert_eq!(
        world.attempts(call.id).await[0].error_kind,
        "provider_timeout"
    );
    let alone = chat_with(CLAUDE, "do:silent", json!({ "stream": false }));
    let late: Answer = plenty.post(COMPLETIONS, &alone).await;
    expect_openai(&late, 504, "server_error", "model_timeout");
    world.verify().await;
}

/// One call that fails again and again is one observation, however often it was tried.
#[tokio::test]
async fn all_attempts_of_a_call_are_one_failure_to_the_circuit_breaker() {
    let world = world_of_three().await.with("TOLLGATE_ROUTING_TRIES", "6");
    set_fallbacks(&world, FAST, &[(CLAUDE, 1)]).await;
    let proxy = world.start().await;
    let plenty = proxy.client(PLENTY);
    let fail = async || {
        world.upstream.break_model("gpt-4o", 500);
        world.upstream.break_model("claude-sonnet-4-5", 500);
        let before = world.upstream.count();
        let _ = complete(&plenty, FAST, "Hi").await.expect(503);
        world.upstream.heal();
        let requests = world.upstream.requests();
        let models = requests[before..]
            .iter()
            .map(tollgate_tests::upstream::Recorded::model);
        models.filter(|model| model == "gpt-4o").count()
    };
    let mut attempts = 0;
    for _ in 0..4 {
        attempts += fail().await;
    }
    assert_eq!(attempts, 4 * 3, "each call tries three times");
    // Five failures open the circuit: there were twelve, of four calls.
    let _ = complete(&plenty, FAST, "Hi").await.expect(200);
    assert_eq!(world.upstream.last().model(), "gpt-4o");
}
