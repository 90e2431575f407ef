//! Who leaves in the middle of a stream: the caller, the proxy, or everybody's patience.

use serde_json::Value;
use tollgate_common::command::{Command, TeamSettings};
use tollgate_common::db::call::CallRow;
use tollgate_common::job::{CallState, JobState};
use tollgate_common::team::DisconnectPolicy;
use tollgate_tests::fixture::{FAST, TOK};
use tollgate_tests::raw::{self, Caller};
use tollgate_tests::{Client, Door, Proxy, World, wait};

/// Asks through a door with a connection that can be dropped at a known moment.
async fn ask(proxy: &Proxy, door: Door, job: &str, prompt: &str) -> Caller {
    let body = door.body(&proxy.client(TOK), FAST, prompt);
    let request = raw::post_json(&door.path(job), TOK.key, &body);
    Caller::send(proxy.port(), &request).await
}

/// Waits until the provider has been asked so often.
async fn until_asked(world: &World, count: usize) {
    wait::until("the provider has the call", async || {
        (world.upstream.count() == count).then_some(())
    })
    .await;
}

/// The only job besides `others`, once its only call has ended.
async fn ended_call(world: &World, others: &[String]) -> (String, CallRow) {
    wait::until("the call has ended", async || {
        let jobs = world.jobs().await;
        let mut ids = jobs.iter().map(|job| job.id.to_string());
        let id = ids.find(|id| !others.contains(id))?;
        let call = world.calls(&id).await.into_iter().next()?;
        (call.state != CallState::InFlight).then_some((id, call))
    })
    .await
}

/// Where a call of this test takes place: in an open job, or in one of its own.
async fn place(door: Door, tok: &Client) -> String {
    match door {
        Door::Job => tok.create_job().await,
        _ => String::new(),
    }
}

/// Ends the job if it is open, and checks that nothing is held and everything adds up.
async fn nothing_is_left(world: &World, tok: &Client, job: &str, charged: bool) {
    let state = world.job(job).await.state;
    if state.is_open() {
        let _ = tok.complete(job).await.expect(200);
    } else {
        let wanted = if charged {
            JobState::Completed
        } else {
            JobState::Failed
        };
        assert_eq!(state, wanted);
    }
    assert_eq!(world.account(TOK.id).await.held.0, 0);
    world.verify().await;
}

async fn ids_of_jobs(world: &World) -> Vec<String> {
    let jobs = world.jobs().await;
    jobs.iter().map(|job| job.id.to_string()).collect()
}

#[tokio::test]
async fn an_answer_is_finished_for_a_caller_that_has_left() {
    let world = World::sqlite().await;
    let proxy = world.start().await;
    let tok = proxy.client(TOK);
    for door in Door::ALL {
        let others = ids_of_jobs(&world).await;
        let place = place(door, &tok).await;
        let mut caller = ask(&proxy, door, &place, "do:gated,usage=10:990").await;
        for _ in 0..2 {
            world.upstream.release();
        }
        caller.read_until("Hel").await;
        drop(caller);
        for _ in 0..5 {
            world.upstream.release();
        }
        let (job, call) = ended_call(&world, &others).await;
        assert_eq!(call.state, CallState::Succeeded, "{door:?}");
        assert_eq!(call.error_kind.as_deref(), Some("caller_gone"), "{door:?}");
        assert_eq!((call.input_tokens, call.output_tokens), (10, 990));
        assert!(!call.usage_estimated && call.client_cost.0 > 0);
        assert_eq!(call.finish_reason.as_deref(), Some("stop"));
        nothing_is_left(&world, &tok, &job, true).await;
        assert_eq!(world.job(&job).await.charged.unwrap().0, 1);
    }
    assert_eq!(world.upstream.aborted(), 0);
    assert!(!proxy.log().contains("ERROR"));
}

#[tokio::test]
async fn a_caller_that_has_left_is_not_waited_for_without_end() {
    let world = World::sqlite()
        .await
        .with("TOLLGATE_STREAMS_HEARTBEAT_MS", "50")
        .with("TOLLGATE_STREAMS_DRAIN_MS", "200");
    let proxy = world.start().await;
    let tok = proxy.client(TOK);
    let mut aborted = 0;
    for (prompt, seen) in [
        ("do:stall=2", "Hel"),
        ("do:words=2000,gap=10", "\"1 \""),
        // The provider is silent from the beginning.
        ("do:silent", "200 OK"),
        ("do:mute", "200 OK"),
    ] {
        for door in [Door::Job, Door::Single, Door::OpenAi, Door::Anthropic] {
            let others = ids_of_jobs(&world).await;
            let place = place(door, &tok).await;
            let mut caller = ask(&proxy, door, &place, prompt).await;
            caller.read_until(seen).await;
            drop(caller);
            let (job, call) = ended_call(&world, &others).await;
            assert_eq!(call.state, CallState::Succeeded, "{prompt}");
            assert_eq!(call.error_kind.as_deref(), Some("caller_gone"));
            assert!(call.usage_estimated && call.input_tokens > 0);
            assert_eq!(call.output_tokens > 0, seen != "200 OK");
            nothing_is_left(&world, &tok, &job, true).await;
            aborted += 1;
            wait::until("the provider notices", async || {
                (world.upstream.aborted() == aborted).then_some(())
            })
            .await;
        }
    }
    assert!(!proxy.log().contains("ERROR"), "nobody is at fault");
}

/// A world whose team wants calls to end with their callers.
async fn cancelling_world() -> World {
    let world = World::sqlite().await;
    let settings = TeamSettings {
        disconnect: Some(DisconnectPolicy::Cancel),
        ..TeamSettings::default()
    };
    let id = TOK.id.parse().unwrap();
    world.execute(Command::SetTeam { id, settings }).await;
    world
}

#[tokio::test]
async fn a_call_ends_with_its_caller_if_its_team_wants_that() {
    let world = cancelling_world().await;
    let proxy = world.start().await;
    let tok = proxy.client(TOK);
    let mut aborted = 0;
    for (prompt, seen) in [("do:stall=2", "Hel"), ("do:silent", ""), ("do:mute", "")] {
        for door in Door::ALL {
            let others = ids_of_jobs(&world).await;
            let place = place(door, &tok).await;
            let mut caller = ask(&proxy, door, &place, prompt).await;
            until_asked(&world, aborted + 1).await;
            caller.read_until(seen).await;
            drop(caller);
            aborted += 1;
            wait::until("the provider is told to stop", async || {
                (world.upstream.aborted() == aborted).then_some(())
            })
            .await;
            let (job, call) = ended_call(&world, &others).await;
            assert_eq!(call.state, CallState::Succeeded, "{door:?} {prompt}");
            assert_eq!(call.error_kind.as_deref(), Some("caller_gone"));
            assert!(call.usage_estimated && call.client_cost.0 > 0);
            assert!(call.input_tokens > 0);
            assert_eq!(call.output_tokens > 0, seen == "Hel", "{door:?} {prompt}");
            nothing_is_left(&world, &tok, &job, true).await;
        }
    }
    assert!(!proxy.log().contains("ERROR"), "nobody is at fault");
}

#[tokio::test]
async fn an_operator_is_shown_that_a_caller_has_left() {
    let world = cancelling_world().await;
    let proxy = world.start().await;
    let tok = proxy.client(TOK);
    let others = ids_of_jobs(&world).await;
    let mut caller = ask(&proxy, Door::Single, "", "do:stall=2").await;
    caller.read_until("Hel").await;
    drop(caller);
    let (job, _) = ended_call(&world, &others).await;
    let shown = world.admin(&["job", "show", &job]).await;
    assert!(shown.stdout.contains("caller_gone"), "{}", shown.stdout);
    nothing_is_left(&world, &tok, &job, true).await;
}

/// Programs of old end a body with a line end too many, and some send the next request early.
#[tokio::test]
async fn a_caller_that_says_more_has_not_left() {
    let world = cancelling_world().await;
    let world = world.with("TOLLGATE_STREAMS_HEARTBEAT_MS", "50");
    let proxy = world.start().await;
    let tok = proxy.client(TOK);
    for more in ["\r\n", "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"] {
        let job = tok.create_job().await;
        let mut caller = ask(&proxy, Door::Job, &job, "do:gated=2").await;
        caller.read_until("Hel").await;
        caller.send_more(more.as_bytes()).await;
        // The connection is looked at between signs of life.
        let signs = caller.seen().matches(": keepalive").count();
        caller.read_times(": keepalive", signs + 3).await;
        world.upstream.release();
        let seen = caller.read_to_end().await;
        assert!(seen.contains("data: [DONE]"), "{seen}");
        assert!(!seen.contains("healthy"), "the connection has ended");
        let call = &world.calls(&job).await[0];
        assert_eq!(call.error_kind, None);
        assert_eq!((call.input_tokens, call.output_tokens), (10, 5));
        nothing_is_left(&world, &tok, &job, true).await;
    }
    assert_eq!(world.upstream.aborted(), 0);
}

#[tokio::test]
async fn a_call_that_is_no_stream_ends_with_its_caller_too() {
    let world = cancelling_world().await;
    let proxy = world.start().await;
    let tok = proxy.client(TOK);
    let mut aborted = 0;
    for prompt in ["do:silent", "do:stall"] {
        for path in ["llm-call", "create-and-call", "/v1/chat/completions"] {
            let others = ids_of_jobs(&world).await;
            let (job, door) = match path {
                "llm-call" => (tok.create_job().await, Door::Job),
                "create-and-call" => (String::new(), Door::Single),
                _ => (String::new(), Door::OpenAi),
            };
            let mut body = door.body(&tok, FAST, prompt);
            body["stream"] = false.into();
            let path = door.path(&job);
            let path = path.strip_suffix("-stream").unwrap_or(&path);
            let request = raw::post_json(path, TOK.key, &body);
            let caller = Caller::send(proxy.port(), &request).await;
            until_asked(&world, aborted + 1).await;
            drop(caller);
            let (job, call) = ended_call(&world, &others).await;
            assert_eq!(call.error_kind.as_deref(), Some("caller_gone"), "{path}");
            assert!(call.usage_estimated && call.client_cost.0 > 0);
            nothing_is_left(&world, &tok, &job, true).await;
            aborted += 1;
            wait::until("the provider is told to stop", async || {
                (world.upstream.aborted() == aborted).then_some(())
            })
            .await;
        }
    }
    assert!(!proxy.log().contains("ERROR"), "nobody is at fault");
}

/// Between two tries no provider is at work, so there is nothing to pay.
#[tokio::test]
async fn a_caller_that_leaves_between_two_tries_pays_nothing() {
    let world = cancelling_world().await;
    let proxy = world.start().await;
    let tok = proxy.client(TOK);
    for door in [Door::Job, Door::Single] {
        let others = ids_of_jobs(&world).await;
        let place = place(door, &tok).await;
        let before = tok.credits_remaining().await;
        let count = world.upstream.count();
        let caller = ask(&proxy, door, &place, "do:status=429,retry-after=4").await;
        until_asked(&world, count + 1).await;
        drop(caller);
        let (job, call) = ended_call(&world, &others).await;
        assert_eq!(call.state, CallState::Failed, "{door:?}");
        assert_eq!(call.error_kind.as_deref(), Some("caller_gone"));
        assert_eq!((call.input_tokens, call.client_cost.0), (0, 0));
        assert_eq!(world.upstream.count(), count + 1);
        if door == Door::Single {
            assert_eq!(tok.credits_remaining().await, before);
        }
        nothing_is_left(&world, &tok, &job, false).await;
        // The key rests as long as the provider asked.
        wait::until("the key is used again", async || {
            let job = tok.create_job().await;
            let status = tok.call(&job, "Hi").await.status;
            let _ = tok.complete(&job).await.expect(200);
            (status == 200).then_some(())
        })
        .await;
    }
    assert!(!proxy.log().contains("ERROR"), "nobody is at fault");
}

#[tokio::test]
async fn sudden_death_in_mid_stream_leaves_no_hold_behind() {
    let world = World::sqlite().await;
    let mut proxy = world.start().await;
    let tok = proxy.client(TOK);
    let open = tok.create_job().await;
    let before = tok.credits_remaining().await;
    let mut in_job = ask(&proxy, Door::Job, &open, "do:stall=3").await;
    let mut in_single = ask(&proxy, Door::Single, "", "do:stall=3").await;
    in_job.read_until("lo").await;
    in_single.read_until("lo").await;
    assert!(world.account(TOK.id).await.held.0 > 2);
    proxy.kill();
    for caller in [in_job, in_single] {
        assert!(!caller.read_to_end().await.contains("[DONE]"));
    }
    proxy.restart().await;
    let (single, call) = ended_call(&world, std::slice::from_ref(&open)).await;
    assert_eq!(call.state, CallState::Interrupted);
    assert_eq!(world.calls(&open).await[0].state, CallState::Interrupted);
    assert_eq!(world.job(&single).await.state, JobState::Failed);
    assert_eq!(world.account(TOK.id).await.held.0, 1, "the open job's own");
    let done = tok.complete(&open).await.expect(200).json;
    assert_eq!(done["costs"]["credits_remaining"], before - 1);
    assert_eq!(world.account(TOK.id).await.held.0, 0);
    world.verify().await;
}

#[tokio::test]
async fn a_stopping_proxy_finishes_its_streams() {
    let world = World::sqlite().await;
    let mut proxy = world.start().await;
    let tok = proxy.client(TOK);
    let job = tok.create_job().await;
    let mut in_job = ask(&proxy, Door::Job, &job, "do:gated=1").await;
    let mut in_single = ask(&proxy, Door::Single, "", "do:gated=1").await;
    in_job.read_until("assistant").await;
    in_single.read_until("assistant").await;
    proxy.terminate();
    wait::until("it takes no more", async || {
        let ready = tok.try_get("/readyz").await;
        (!ready.is_ok_and(|answer| answer.status == 200)).then_some(())
    })
    .await;
    world.upstream.release_all();
    for caller in [in_job, in_single] {
        let seen = caller.read_to_end().await;
        assert!(seen.contains("data: [DONE]"), "{seen}");
    }
    assert_eq!(proxy.wait().await.code(), Some(0));
    for job in world.jobs().await {
        let call = &world.calls(&job.id.to_string()).await[0];
        assert_eq!(call.state, CallState::Succeeded);
        assert_eq!((call.input_tokens, call.output_tokens), (10, 5));
        assert_eq!(job.state.is_open(), !job.single_call);
    }
    world.verify().await;
}

#[tokio::test]
async fn a_proxy_that_cannot_wait_any_longer_gives_its_streams_up() {
    let world = World::sqlite().await;
    let world = world.with("TOLLGATE_SERVER_SHUTDOWN_GRACE_SECONDS", "1");
    let mut proxy = world.start().await;
    let tok = proxy.client(TOK);
    let job = tok.create_job().await;
    let mut in_job = ask(&proxy, Door::Job, &job, "do:stall=2").await;
    let mut in_single = ask(&proxy, Door::Single, "", "do:stall=2").await;
    in_job.read_until("Hel").await;
    in_single.read_until("Hel").await;
    proxy.terminate();
    assert_eq!(proxy.wait().await.code(), Some(0));
    let (single, call) = ended_call(&world, std::slice::from_ref(&job)).await;
    assert_eq!(call.state, CallState::Failed);
    assert_eq!(call.error_kind.as_deref(), Some("gateway_abandoned"));
    assert_eq!(world.job(&single).await.state, JobState::Failed);
    proxy.restart().await;
    let done = tok.complete(&job).await.expect(200).json;
    assert_eq!(done["costs"]["failed_calls"], 1);
    assert_eq!(done["costs"]["total_cost_usd"], Value::from(0.0));
    assert_eq!(world.account(TOK.id).await.held.0, 0);
    world.verify().await;
}
