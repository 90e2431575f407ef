//! What goes wrong in a provider's stream, what its caller sees of it, and who pays.

use serde_json::Value;
use tollgate_common::command::{Command, ModelSettings};
use tollgate_common::job::{CallState, JobState};
use tollgate_common::model::Fallback;
use tollgate_common::provider::ProviderKind;
use tollgate_tests::door::text_of;
use tollgate_tests::fixture::{ALPHA, CLAUDE, FAST, GEM, PROVIDER_KEY, TOK};
use tollgate_tests::upstream::Recorded;
use tollgate_tests::{Canned, Client, Door, World, wait};

/// What a caller of the job API sees.
#[derive(Debug, Clone, Copy)]
enum Sees {
    /// This status, in place of a stream.
    Status(u16),
    /// This text, then a good end.
    All(&'static str),
    /// This text, then an error with these words.
    Broken(&'static str, &'static str),
}

use Sees::{All, Broken, Status};

/// What is recorded of the tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tokens {
    /// None.
    None,
    /// What the provider counted: 10 + 5.
    Counted,
    /// What we counted.
    Estimated,
    /// What we counted, and charged: the answer came to a limit of ours.
    Limited,
}

use Tokens::{Counted, Estimated, Limited};

const UNAVAILABLE: &str = "The model is temporarily unavailable";
const CUT: &str = "The model's answer was cut off";
const INVALID: &str = "The model's answer was not valid";
const TIMEOUT: &str = "The model did not answer in time (timeout)";
const TOO_LARGE: &str = "The model's answer was too large";

/// Script, what is seen, the recorded class of the error, tokens. A call without an error has
/// succeeded and is charged; all others have failed and cost nothing.
///
/// The events of "Hello!" are numbered: 0 says who speaks, 1 to 3 bring the text, 4 the reason of
/// the end, 5 the usage, 6 is `[DONE]`.
#[rustfmt::skip]
const FAULTS: &[(&str, Sees, &str, Tokens)] = &[
    // Before the first piece: the status is still free.
    ("status=400", Status(400), "provider_rejected", Tokens::None),
    ("status=404", Status(503), "provider_model_unknown", Tokens::None),
    ("status=401", Status(503), "provider_unauthorized", Tokens::None),
    ("status=403", Status(503), "provider_unauthorized", Tokens::None),
    ("status=429,retry-after=0", Status(429), "provider_rate_limited", Tokens::None),
    ("status=500", Status(503), "provider_error", Tokens::None),
    ("status=503", Status(503), "provider_error", Tokens::None),
    ("quote-key", Status(503), "provider_unauthorized", Tokens::None),
    ("hang-up", Status(503), "provider_cut", Tokens::None),
    ("silent", Status(504), "provider_timeout", Estimated),
    ("mute", Status(504), "provider_timeout", Estimated),
    ("murmur", Status(504), "provider_timeout", Estimated),
    ("cut=0", Status(503), "provider_cut", Tokens::None),
    ("reset=0", Status(503), "provider_cut", Tokens::None),
    ("end=0", Status(503), "provider_cut", Tokens::None),
    ("error=0", Status(503), "provider_error", Tokens::None),
    ("garbage=0", Status(503), "provider_invalid", Tokens::None),
    ("whole,cut", Status(503), "provider_cut", Tokens::None),
    ("whole,stall", Status(504), "provider_timeout", Estimated),
    ("whole,garbage", Status(503), "provider_invalid", Tokens::None),
    ("whole,large=300000", Status(503), "provider_too_large", Limited),
    // In the middle: what was said stays said, and nobody else is asked.
    ("cut=1", Broken("", CUT), "provider_cut", Estimated),
    ("cut=2", Broken("Hel", CUT), "provider_cut", Estimated),
    ("reset=3", Broken("Hello", CUT), "provider_cut", Estimated),
    ("end=4", Broken("Hello!", CUT), "provider_cut", Estimated),
    ("stall=2", Broken("Hel", TIMEOUT), "provider_timeout", Estimated),
    ("error=2", Broken("Hel", UNAVAILABLE), "provider_error", Estimated),
    ("garbage=2", Broken("Hel", INVALID), "provider_invalid", Estimated),
    ("large=300000", Broken("éé", TOO_LARGE), "provider_too_large", Limited),
    ("words=5000,gap=1", Broken("0 1 ", TIMEOUT), "provider_timeout", Limited),
    // After the last words: the answer is complete, whatever comes.
    ("cut=5", All("Hello!"), "", Estimated),
    ("stall=5", All("Hello!"), "", Estimated),
    ("garbage=5", All("Hello!"), "", Estimated),
    ("error=5", All("Hello!"), "", Estimated),
    ("cut=6", All("Hello!"), "", Counted),
    ("reset=6", All("Hello!"), "", Counted),
    ("stall=6", All("Hello!"), "", Counted),
    ("no-done", All("Hello!"), "", Counted),
    // No faults, though they might look like some.
    ("slow=100,gap=100", All("Hello!"), "", Counted),
    ("empty=0", All("Hello!"), "", Counted),
    ("empty=2", All("Hel!"), "", Counted),
    ("no-usage", All("Hello!"), "", Estimated),
    ("nulls", All("Hello!"), "", Counted),
    ("whole", All("Hello!"), "", Counted),
    ("blocked", All(""), "", Counted),
];

/// A world whose proxy has little patience and tries once.
async fn impatient_world() -> World {
    let world = World::sqlite().await;
    world.allocate(TOK.id, 1_000).await;
    world
        .with("TOLLGATE_UPSTREAM_FIRST_BYTE_TIMEOUT_MS", "1000")
        .with("TOLLGATE_UPSTREAM_IDLE_TIMEOUT_MS", "1000")
        .with("TOLLGATE_UPSTREAM_TOTAL_TIMEOUT_MS", "2500")
        .with("TOLLGATE_STREAMS_TOTAL_TIMEOUT_MS", "3000")
        .with("TOLLGATE_LIMITS_RESPONSE_BYTES", "200000")
        .with("TOLLGATE_ROUTING_BREAKER_PAUSE_MS", "1")
        .with("TOLLGATE_ROUTING_BREAKER_FAILURES", "1000000")
        .with("TOLLGATE_ROUTING_TRIES", "1")
}

/// A key that was refused rests for a moment; the next case needs it.
async fn recovered(client: &Client) {
    let job = client.create_job().await;
    wait::until("the key is used again", async || {
        (client.call(&job, "Hi").await.status == 200).then_some(())
    })
    .await;
    let _ = client.complete(&job).await.expect(200);
}

/// Checks what a caller sees; returns the job.
async fn sees(door: Door, client: &Client, job: &str, prompt: &str, wanted: Sees) -> String {
    let mut stream = door.ask(client, job, FAST, prompt).await;
    let job = stream.header("x-job-id").to_owned();
    // The stream of a job of one call begins at once.
    let (text, error) = match wanted {
        Status(status) if door == Door::Job => {
            let answer = stream.answer().await;
            assert_eq!(answer.status, status, "{prompt}: {}", answer.text());
            assert!(answer.detail().starts_with("LLM call failed: "), "{prompt}");
            let has_worked = answer.header("x-should-retry") == "false";
            let is_repeatable = status != 400 && !has_worked;
            assert_eq!(answer.retry_after().is_some(), is_repeatable, "{prompt}");
            assert!(!answer.text().contains(PROVIDER_KEY));
            return job;
        }
        Status(_) => ("", "LLM call failed: "),
        All(text) => (text, ""),
        Broken(text, error) => (text, error),
    };
    assert_eq!(stream.status, 200, "{prompt}");
    let events = stream.collect().await;
    assert_eq!(
        stream.broken(),
        None,
        "{prompt}: even a bad stream ends well"
    );
    assert!(events.last().unwrap().is_done(), "{prompt}: {events:?}");
    assert_eq!(events[0].is_comment(), door == Door::Single, "{prompt}");
    let told = door.error_in(&events);
    if error.is_empty() {
        assert_eq!(text_of(&events), text, "{prompt}");
        assert_eq!(told, Value::Null, "{prompt}");
    } else {
        assert!(text_of(&events).starts_with(text), "{prompt}: {events:?}");
        let message = told["error"].as_str().unwrap_or_default();
        assert!(message.contains(error), "{prompt}: {told}");
        assert_eq!(told["error_detail"]["message"], message);
        assert!(told["error_detail"]["type"].is_string());
        assert!(told["error_detail"]["code"].is_string());
        assert_eq!(
            events[events.len() - 2].json(),
            told,
            "the error comes last"
        );
    }
    job
}

/// Checks what is recorded of the only call of a job.
async fn is_recorded(world: &World, job: &str, prompt: &str, error_kind: &str, tokens: Tokens) {
    let calls = world.calls(job).await;
    let [call] = &calls[..] else {
        panic!("{prompt}: {} calls", calls.len());
    };
    let state = if error_kind.is_empty() || tokens == Limited {
        CallState::Succeeded
    } else {
        CallState::Failed
    };
    assert_eq!(call.state, state, "{prompt}");
    let recorded = call.error_kind.as_deref().unwrap_or_default();
    assert_eq!(recorded, error_kind, "{prompt}");
    assert_eq!(call.error.is_some(), !error_kind.is_empty(), "{prompt}");
    assert_eq!(
        call.client_cost.0 > 0,
        state == CallState::Succeeded,
        "{prompt}"
    );
    assert_eq!(call.provider_cost.0 > 0, tokens != Tokens::None, "{prompt}");
    let counts = (call.input_tokens, call.output_tokens);
    match tokens {
        Tokens::None => assert_eq!(counts, (0, 0), "{prompt}"),
        Counted => assert_eq!(counts, (10, 5), "{prompt}"),
        Estimated => assert!(counts.0 > 0, "{prompt}"),
        Limited => assert!(counts.0 > 0 && counts.1 > 0, "{prompt}"),
    }
    let is_estimated = matches!(tokens, Estimated | Limited);
    assert_eq!(call.usage_estimated, is_estimated, "{prompt}");
}

#[tokio::test]
async fn every_fault_has_its_outcome_in_a_job() {
    let world = impatient_world().await;
    let proxy = world.start().await;
    let tok = proxy.client(TOK);
    for (script, wanted, error_kind, tokens) in FAULTS {
        let prompt = format!("do:{script}");
        let job = tok.create_job().await;
        let count = world.upstream.count();
        let told = sees(Door::Job, &tok, &job, &prompt, *wanted).await;
        assert_eq!(told, job, "{prompt}");
        assert_eq!(world.upstream.count() - count, 1, "{prompt}");
        is_recorded(&world, &job, &prompt, error_kind, *tokens).await;
        let held = world.account(TOK.id).await.held.0;
        assert!(held == 1 || *tokens == Limited, "{prompt}: {held} held");
        let before = tok.credits_remaining().await;
        let done = tok.complete(&job).await.expect(200).json;
        let succeeded = i64::from(error_kind.is_empty() || *tokens == Limited);
        assert_eq!(done["costs"]["successful_calls"], succeeded, "{prompt}");
        let after = tok.credits_remaining().await;
        assert_eq!(after, before - held, "{prompt}: the least, or what came");
        assert_eq!(world.account(TOK.id).await.held.0, 0, "{prompt}");
        world.verify().await;
        if *error_kind == "provider_unauthorized" {
            recovered(&tok).await;
        }
    }
}

#[tokio::test]
async fn every_fault_has_its_outcome_in_a_job_of_one_call() {
    let world = impatient_world().await;
    let proxy = world.start().await;
    let tok = proxy.client(TOK);
    for (script, wanted, error_kind, tokens) in FAULTS {
        let prompt = format!("do:{script}");
        let before = tok.credits_remaining().await;
        let id = sees(Door::Single, &tok, "", &prompt, *wanted).await;
        is_recorded(&world, &id, &prompt, error_kind, *tokens).await;
        let job = world.job(&id).await;
        let (state, charge) = if error_kind.is_empty() || *tokens == Limited {
            (JobState::Completed, job.charged.unwrap().0)
        } else {
            (JobState::Failed, 0)
        };
        assert_eq!(job.state, state, "{prompt}");
        assert_eq!(job.error_message.is_some(), charge == 0, "{prompt}");
        assert_eq!(tok.credits_remaining().await, before - charge, "{prompt}");
        assert_eq!(world.account(TOK.id).await.held.0, 0, "{prompt}");
        world.verify().await;
        if *error_kind == "provider_unauthorized" {
            recovered(&tok).await;
        }
        if *error_kind == "provider_unauthorized" {
            recovered(&tok).await;
        }
    }
}

#[tokio::test]
async fn a_piece_that_is_too_large_is_not_taken() {
    let world = impatient_world().await;
    let proxy = world.start().await;
    let tok = proxy.client(TOK);
    let prompt = format!("do:say={}", "x".repeat(300_000));
    let job = tok.create_job().await;
    let wanted = Broken("", TOO_LARGE);
    sees(Door::Job, &tok, &job, &prompt, wanted).await;
    let kind = "provider_too_large";
    is_recorded(&world, &job, "a large piece", kind, Limited).await;
    let done = tok.complete(&job).await.expect(200).json;
    assert_eq!(done["costs"]["failed_calls"], 0);
    assert_eq!(world.account(TOK.id).await.held.0, 0);
    world.verify().await;
}

/// A provider that never pauses leaves no moment in which to look at the time by chance.
#[tokio::test]
async fn a_flood_ends_in_time() {
    let world = World::sqlite().await;
    let world = world.with("TOLLGATE_STREAMS_TOTAL_TIMEOUT_MS", "20");
    let proxy = world.start().await;
    let tok = proxy.client(TOK);
    let job = tok.create_job().await;
    let (prompt, wanted) = ("do:words=100000", Broken("0 1 ", TIMEOUT));
    sees(Door::Job, &tok, &job, prompt, wanted).await;
    let kind = "provider_timeout";
    is_recorded(&world, &job, prompt, kind, Limited).await;
    world.verify().await;
}

/// A fault of each kind, in every provider's dialect and for every kind of caller.
#[tokio::test]
async fn faults_are_told_in_the_callers_words_whatever_the_provider_speaks() {
    let world = impatient_world().await;
    world.allocate(ALPHA.id, 100).await;
    let proxy = world.start().await;
    let alpha = proxy.client(ALPHA);
    for (model, last) in [(FAST, 4), (CLAUDE, 5), (GEM, 2)] {
        for fault in ["cut", "reset", "end", "stall", "error", "garbage"] {
            for door in [Door::OpenAi, Door::Anthropic] {
                let prompt = format!("do:{fault}={last}");
                let stream = door.ask(&alpha, "", model, &prompt).await;
                let mut stream = stream.expect_stream();
                let job = stream.header("x-job-id").to_owned();
                let events = stream.collect().await;
                assert!(text_of(&events).starts_with("Hello"), "{model} {prompt}");
                let told = door.error_in(&events);
                let error = &told["error"];
                let message = error["message"].as_str().unwrap_or_default();
                assert!(
                    message.starts_with("LLM call failed: "),
                    "{model} {prompt}: {told}"
                );
                if door == Door::OpenAi {
                    assert_eq!(error["type"], "server_error");
                    assert!(error["code"].is_string() && error["param"].is_null());
                    assert!(events.last().unwrap().is_done());
                } else {
                    let is_late = fault == "stall";
                    let kind = ["overloaded_error", "timeout_error"][usize::from(is_late)];
                    assert_eq!(error["type"], kind, "{prompt}");
                    assert_eq!(told["type"], "error");
                    assert_eq!(events.last().unwrap().name(), "error");
                    assert!(!door.is_ended(&events));
                }
                let call = &world.calls(&job).await[0];
                assert_eq!(call.state, CallState::Failed, "{model} {prompt}");
                assert!(call.usage_estimated && call.client_cost.0 == 0);
                assert_eq!(world.job(&job).await.state, JobState::Failed);
            }
        }
    }
    assert_eq!(alpha.credits_remaining().await, 110);
    world.verify().await;
}

/// A key of another provider, which serves when the first does not.
const SPARE: &str = "chat-spare";
const SPARE_KEY: &str = "sk-of-its-own";

/// A world where one model has another to fall back on, at a provider of its own.
async fn world_with_a_spare() -> World {
    let world = World::sqlite()
        .await
        .with("TOLLGATE_ROUTING_BREAKER_PAUSE_MS", "1")
        .with("TOLLGATE_ROUTING_BREAKER_FAILURES", "1000000");
    world.allocate(ALPHA.id, 100).await;
    let url = world.upstream.base_url();
    world.add_model(SPARE, ProviderKind::OpenAi, &url).await;
    let fallback = Fallback {
        alias: SPARE.parse().unwrap(),
        priority: 1,
        weight: 1,
    };
    let settings = ModelSettings {
        fallbacks: Some(vec![fallback]),
        ..ModelSettings::default()
    };
    let alias = FAST.parse().unwrap();
    world.execute(Command::SetModel { alias, settings }).await;
    world
}

#[tokio::test]
async fn until_the_first_piece_others_are_tried_and_the_caller_does_not_notice() {
    let world = world_with_a_spare().await;
    let proxy = world.start().await;
    let alpha = proxy.client(ALPHA);
    for status in [401, 403, 429, 500, 503] {
        world.upstream.break_key(PROVIDER_KEY, status);
        for door in Door::ALL {
            let job = alpha.create_job().await;
            let stream = door.ask(&alpha, &job, FAST, "Hi").await;
            let mut stream = stream.expect_stream();
            let job = stream.header("x-job-id").to_owned();
            let events = stream.collect().await;
            assert_eq!(text_of(&events), "Hello!", "{status} {door:?}");
            assert!(door.is_ended(&events));
            assert!(events.iter().all(|event| !event.data().contains(SPARE)));
            let call = &world.calls(&job).await[0];
            assert_eq!(call.state, CallState::Succeeded);
            assert_eq!(call.alias, FAST);
            assert_eq!(call.provider, "chat-spare-provider");
            assert_eq!((call.input_tokens, call.output_tokens), (10, 5));
        }
        world.upstream.heal();
    }
    // The same provider may do better the next time.
    for (number, door) in Door::ALL.into_iter().enumerate() {
        let job = alpha.create_job().await;
        let prompt = format!("do:fail-first=1 {number}");
        let before = world.upstream.count();
        let stream = door.ask(&alpha, &job, SPARE, &prompt).await;
        let events = stream.expect_stream().collect().await;
        assert_eq!(text_of(&events), "Hello!");
        assert_eq!(world.upstream.count(), before + 2);
    }
    world.verify().await;
}

#[tokio::test]
async fn once_a_piece_was_shown_nobody_else_is_asked() {
    let world = world_with_a_spare().await;
    let proxy = world.start().await;
    let alpha = proxy.client(ALPHA);
    let job = alpha.create_job().await;
    for (prompt, keys) in [
        ("do:cut=1", &[PROVIDER_KEY][..]),
        ("do:error=2", &[PROVIDER_KEY]),
        ("do:garbage=3", &[PROVIDER_KEY]),
        // What the request itself is to blame for is not better elsewhere.
        ("do:status=400", &[PROVIDER_KEY]),
        // Not even the first piece has come.
        ("do:cut=0", &[PROVIDER_KEY, SPARE_KEY, PROVIDER_KEY]),
        ("do:error=0", &[PROVIDER_KEY, SPARE_KEY, PROVIDER_KEY]),
    ] {
        let before = world.upstream.count();
        let mut stream = Door::Job.ask(&alpha, &job, FAST, prompt).await;
        let events = stream.collect().await;
        assert!(!text_of(&events).contains('!'), "{prompt}");
        let asked = &world.upstream.requests()[before..];
        let asked: Vec<String> = asked.iter().map(Recorded::key).collect();
        assert_eq!(asked, keys, "{prompt}");
    }
    let done = alpha.complete(&job).await.expect(200).json;
    assert_eq!(done["costs"]["failed_calls"], 6);
    world.verify().await;
}

/// Errors of other servers that do not look like OpenAI's.
#[tokio::test]
async fn errors_of_compatible_servers_are_not_taken_for_answers() {
    let text = r#"data: {"choices":[{"index":0,"delta":{"content":"Hel"}}]}"#;
    let done = "data: [DONE]";
    let errors = [
        r#"data: {"error":"out of memory"}"#,
        r#"data: {"error":{"message":"out of memory","code":500}}"#,
        r#"data: {"object":"error","message":"out of memory","code":500}"#,
        "event: error\ndata: {\"message\":\"out of memory\"}",
    ];
    let world = world_with_a_spare().await;
    let mut providers = Vec::new();
    for (number, error) in errors.iter().enumerate() {
        let body = format!("{text}\n\n{error}\n\n{done}\n\n");
        let provider = Canned::start("text/event-stream", &body).await;
        let alias = format!("chat-odd-{number}");
        let url = provider.base_url();
        world.add_model(&alias, ProviderKind::OpenAi, &url).await;
        providers.push(provider);
    }
    let proxy = world.start().await;
    let alpha = proxy.client(ALPHA);
    for (number, error) in errors.iter().enumerate() {
        let job = alpha.create_job().await;
        let alias = format!("chat-odd-{number}");
        let stream = Door::Job.ask(&alpha, &job, &alias, "Hi").await;
        let events = stream.expect_stream().collect().await;
        let told = Door::Job.error_in(&events);
        assert!(told["error"].is_string(), "{error}");
        assert!(!told.to_string().contains("memory"), "{told}");
        let call = &world.calls(&job).await[0];
        assert_eq!(call.error_kind.as_deref(), Some("provider_error"));
    }
    world.verify().await;
}
