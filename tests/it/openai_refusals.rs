//! Who and what is refused by the API that clients of OpenAI know, and in which words.

use reqwest::Method;
use serde_json::json;
use tollgate_common::command::{Command, TeamSettings};
use tollgate_common::job::{CallState, JobState};
use tollgate_common::limit::LimitSettings;
use tollgate_common::standing::Standing;
use tollgate_tests::client::prompt_body;
use tollgate_tests::fixture::{
    ALPHA, ANTHROPIC_KEY, CLAUDE, FAST, GEM, GEMINI_KEY, PROVIDER_KEY, TEAM_B, Team, UNGRANTED,
    UNPRICED,
};
use tollgate_tests::{Client, World, wait};

use crate::setup::{
    COMPLETIONS, add_team, chat, chat_with, complete, expect_openai, job_of, name, set_team,
};
use crate::single::SINGLE;

#[tokio::test]
async fn requests_that_are_wrong_are_refused_in_openais_words() {
    const INVALID: &str = "invalid_request_error";
    const JSON: &str = "application/json";
    let world = World::sqlite()
        .await
        .with("TOLLGATE_LIMITS_CALL_BODY_BYTES", "4096");
    let proxy = world.start().await;
    let alpha = proxy.client(ALPHA);
    let post_text = async |body: &str, kind: &'static str| {
        let request = alpha.request(Method::POST, COMPLETIONS);
        let request = request.header("content-type", kind).body(body.to_owned());
        alpha.send(request).await
    };
    for bad in ["{", "", "[]", "{}{}", "nonsense"] {
        let answer = post_text(bad, JSON).await;
        expect_openai(&answer, 400, INVALID, "malformed_request");
    }
    let answer = post_text("{}", "text/plain").await;
    expect_openai(&answer, 415, INVALID, "unsupported_media_type");
    let answer = complete(&alpha, FAST, &"x".repeat(5_000)).await;
    expect_openai(&answer, 413, INVALID, "body_too_large");
    for (change, param) in [
        (json!({ "messages": null }), "messages"),
        (json!({ "messages": "Hi" }), "messages"),
        (json!({ "messages": [] }), "messages"),
        (
            json!({ "messages": [{ "role": "king" }] }),
            "messages[0].role",
        ),
        (json!({ "temperature": 2.5 }), "temperature"),
        (json!({ "top_p": "x" }), "top_p"),
        (json!({ "max_tokens": 0 }), "max_tokens"),
        (
            json!({ "max_completion_tokens": 1.5 }),
            "max_completion_tokens",
        ),
        (json!({ "stop": [1] }), "stop"),
        (json!({ "tools": {} }), "tools"),
        (json!({ "stream": "yes" }), "stream"),
        (json!({ "stream_options": 1 }), "stream_options"),
        (json!({ "model": 7 }), "model"),
    ] {
        let body = chat_with(FAST, "Hi", change);
        let answer = alpha.post(COMPLETIONS, &body).await;
        let found = expect_openai(&answer, 400, INVALID, "invalid_value");
        assert_eq!(found, param, "{}", answer.text());
    }
    for model in ["nope", UNGRANTED, "gpt-4o"] {
        let answer = complete(&alpha, model, "Hi").await;
        let param = expect_openai(&answer, 403, "permission_error", "model_not_found");
        assert_eq!(param, "model");
    }
    for (method, path, status, code) in [
        (Method::POST, "/v1/nothing", 404, "not_found"),
        (Method::GET, "/v1", 404, "not_found"),
        (Method::POST, "/v1/completions", 404, "not_found"),
        (Method::GET, COMPLETIONS, 405, "method_not_allowed"),
        (Method::DELETE, "/v1/models", 405, "method_not_allowed"),
    ] {
        let answer = alpha.send(alpha.request(method, path)).await;
        expect_openai(&answer, status, INVALID, code);
        assert_eq!(answer.header("allow").is_empty(), status == 404, "{path}");
    }
    assert_eq!((world.upstream.count(), world.jobs().await.len()), (0, 0));
}

#[tokio::test]
async fn who_may_not_work_is_told_so_in_openais_words() {
    let world = World::sqlite().await;
    let poor = Team {
        id: "team-empty",
        org: "o1",
        key: "sk-empty-virtual-key-123",
        credits: 0,
    };
    add_team(&world, poor, TeamSettings::default()).await;
    let aimless = Team {
        id: "team-aimless",
        key: "sk-aimless-virtual-key-123",
        ..poor
    };
    add_team(&world, aimless, TeamSettings::default()).await;
    let settings = TeamSettings {
        default_model: Some(None),
        ..TeamSettings::default()
    };
    set_team(&world, aimless, settings).await;
    let proxy = world.start().await;
    for key in ["", "sk-unknown-key"] {
        let answer = complete(&proxy.client_with_key(key), FAST, "Hi").await;
        expect_openai(&answer, 401, "authentication_error", "invalid_api_key");
        assert_eq!(answer.header("www-authenticate"), "Bearer");
    }
    let answer = complete(&proxy.client(poor), FAST, "Hi").await;
    expect_openai(&answer, 402, "insufficient_quota", "insufficient_credits");
    let body = prompt_body("Hi");
    let answer = proxy.client(aimless).post(COMPLETIONS, &body).await;
    let param = expect_openai(&answer, 400, "invalid_request_error", "model_required");
    assert_eq!(param, "model");
    let answer = complete(&proxy.client(TEAM_B), UNPRICED, "Hi").await;
    expect_openai(&answer, 403, "permission_error", "model_unpriced");
    assert_eq!(world.jobs().await.len(), 0);

    let alpha = proxy.client(ALPHA);
    for (standing, status, kind, code) in [
        (
            Standing::Suspended,
            403,
            "permission_error",
            "team_suspended",
        ),
        (
            Standing::Paused { until: None },
            429,
            "rate_limit_error",
            "team_paused",
        ),
    ] {
        let id = name(ALPHA.id);
        world
            .execute(Command::SetTeamStanding { id, standing })
            .await;
        let answer = wait::until("the team's standing is known", async || {
            let answer = complete(&alpha, FAST, "Hi").await;
            (answer.status == status).then_some(answer)
        })
        .await;
        expect_openai(&answer, status, kind, code);
        assert_eq!(answer.retry_after().is_some(), status == 429);
        let _ = alpha.get("/v1/models").await.expect(200);
    }
}

#[tokio::test]
async fn failures_of_a_provider_come_in_openais_words() {
    let world = World::sqlite()
        .await
        .with("TOLLGATE_ROUTING_BREAKER_PAUSE_MS", "1")
        .with("TOLLGATE_ROUTING_TRIES", "1");
    let proxy = world.start().await;
    let alpha = proxy.client(ALPHA);
    let invalid = ("invalid_request_error", "model_rejected_request");
    let failed = ("server_error", "model_unavailable");
    for (prompt, status, (kind, code)) in [
        ("status=400", 400, invalid),
        ("status=404", 503, failed),
        ("status=413", 413, invalid),
        ("status=422", 400, invalid),
        ("status=401", 503, failed),
        ("quote-key", 503, failed),
        ("status=403", 503, failed),
        ("status=500", 503, failed),
        ("garbage", 503, failed),
        (
            "status=429,retry-after=7",
            429,
            ("rate_limit_error", "model_rate_limited"),
        ),
    ] {
        // A key that was refused rests for a moment.
        let answer = wait::until("the key is used again", async || {
            let before = world.upstream.count();
            let answer = complete(&alpha, FAST, &format!("do:{prompt}")).await;
            (world.upstream.count() > before).then_some(answer)
        })
        .await;
        expect_openai(&answer, status, kind, code);
        let is_repeatable = !matches!(status, 400 | 413) && prompt != "garbage";
        assert_eq!(answer.retry_after().is_some(), is_repeatable, "{prompt}");
        for secret in [PROVIDER_KEY, "127.0.0.1", "gpt-4o"] {
            assert!(!answer.text().contains(secret), "{}", answer.text());
        }
        let job = job_of(&answer);
        assert_eq!(world.job(&job).await.state, JobState::Failed);
        assert_eq!(world.calls(&job).await[0].state, CallState::Failed);
    }
    assert_eq!(alpha.credits_remaining().await, 10);
    world.verify().await;
}

#[tokio::test]
async fn the_key_may_come_in_other_headers_and_none_travels_on() {
    let world = World::sqlite().await;
    let proxy = world.start().await;
    let nobody = proxy.client_with_key("");
    let mut count = 0;
    for model in [FAST, CLAUDE, GEM] {
        for (header, value) in [
            ("x-api-key", ALPHA.key.to_owned()),
            ("api-key", ALPHA.key.to_owned()),
            ("authorization", format!("bearer {}", ALPHA.key)),
        ] {
            let request = nobody.request(Method::POST, COMPLETIONS);
            let request = request
                .json(&chat(model, "Hi"))
                .header(header, value)
                .header("cookie", "session=1")
                .header("x-goog-api-key", "AIza-of-the-caller")
                .header("openai-organization", "org-of-the-caller")
                .header("anthropic-beta", "beta-of-the-caller")
                .header("x-forwarded-for", "10.0.0.1")
                .header("x-stainless-lang", "rust");
            let _ = nobody.send(request).await.expect(200);
            count += 1;
        }
    }
    assert_eq!(world.upstream.count(), count);
    let known = [
        "accept",
        "anthropic-version",
        "accept-encoding",
        "authorization",
        "content-length",
        "content-type",
        "host",
        "user-agent",
        "x-api-key",
        "x-goog-api-key",
    ];
    for request in world.upstream.requests() {
        for (header, value) in &request.headers {
            let value = value.to_str().unwrap();
            assert!(known.contains(&header.as_str()), "{header}: {value}");
            assert!(!value.contains(ALPHA.key), "{header}: {value}");
            assert!(!value.contains("caller"), "{header}: {value}");
        }
        let ours = [PROVIDER_KEY, ANTHROPIC_KEY, GEMINI_KEY];
        assert!(ours.contains(&request.key().as_str()), "{}", request.path);
    }
    let request = nobody
        .request(Method::POST, COMPLETIONS)
        .json(&chat(FAST, "Hi"));
    let wrong = nobody.send(request.header("x-api-key", "sk-unknown")).await;
    expect_openai(&wrong, 401, "authentication_error", "invalid_api_key");
    let request = nobody
        .request(Method::POST, COMPLETIONS)
        .json(&chat(FAST, "Hi"));
    let request = request
        .header("x-api-key", ALPHA.key)
        .header("authorization", "Bearer sk-unknown");
    let wrong = nobody.send(request).await;
    expect_openai(&wrong, 401, "authentication_error", "invalid_api_key");
}

#[tokio::test]
async fn browsers_of_known_origins_may_call() {
    const ORIGIN: &str = "http://localhost:3001";
    let world = World::sqlite().await;
    let proxy = world.start().await;
    let alpha = proxy.client(ALPHA);
    let nobody = proxy.client_with_key("");
    for path in [COMPLETIONS, "/v1/messages", "/v1/models", SINGLE] {
        let request = nobody
            .request(Method::OPTIONS, path)
            .header("origin", ORIGIN)
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", "authorization,x-api-key");
        let answer = nobody.send(request).await.expect(200);
        assert_eq!(answer.header("access-control-allow-origin"), ORIGIN);
        let headers = answer.header("access-control-allow-headers");
        assert_eq!(headers, "authorization,x-api-key");
        assert!(
            answer
                .header("access-control-allow-methods")
                .contains("POST")
        );
    }
    let call = async |client: &Client, origin: &'static str| {
        let request = client.request(Method::POST, COMPLETIONS);
        let request = request.json(&chat(FAST, "Hi")).header("origin", origin);
        client.send(request).await
    };
    let answer = call(&alpha, ORIGIN).await.expect(200);
    assert_eq!(answer.header("access-control-allow-origin"), ORIGIN);
    assert_eq!(answer.header("vary"), "Origin");
    let refused = call(&nobody, ORIGIN).await.expect(401);
    assert_eq!(refused.header("access-control-allow-origin"), ORIGIN);
    let foreign = call(&alpha, "https://evil.example").await.expect(200);
    assert_eq!(foreign.header("access-control-allow-origin"), "");
}

#[tokio::test]
async fn scripts_in_browsers_may_read_our_headers() {
    let world = World::sqlite().await;
    let settings = TeamSettings {
        limits: LimitSettings {
            requests_per_minute: Some(Some(1)),
            tokens_per_minute: Some(Some(100_000)),
            ..LimitSettings::default()
        },
        ..TeamSettings::default()
    };
    set_team(&world, ALPHA, settings).await;
    let proxy = world.start().await;
    let alpha = proxy.client(ALPHA);
    for status in [200, 429] {
        let request = alpha.request(Method::POST, COMPLETIONS);
        let request = request.json(&chat_with(FAST, "Hi", json!({ "max_tokens": 9 })));
        let request = request.header("origin", "http://localhost:3001");
        let answer = alpha.send(request).await.expect(status);
        let exposed = answer.header("access-control-expose-headers");
        for name in answer.headers.keys() {
            let name = name.as_str();
            let is_for_callers = name.starts_with("x-") || name == "retry-after";
            assert!(
                !is_for_callers || exposed.contains(name),
                "{status}: {name}"
            );
        }
    }
}
