//! Answers that are given piece by piece: what a good one looks like, and what it costs.

use serde_json::{Value, json};
use tollgate_common::job::{CallState, JobState};
use tollgate_tests::door::text_of;
use tollgate_tests::events::Event;
use tollgate_tests::fixture::{ALPHA, CLAUDE, FAST, GEM, TEAM_B, TOK, Team};
use tollgate_tests::{Canned, Client, Door, World, raw};

/// Reads to the end, which must be a good one.
async fn read(door: Door, client: &Client, job: &str, model: &str, prompt: &str) -> Vec<Event> {
    let stream = door.ask(client, job, model, prompt).await;
    let mut stream = stream.expect_stream();
    let events = stream.collect().await;
    assert_eq!(stream.broken(), None, "{prompt}");
    assert!(door.is_ended(&events), "{prompt}: {events:?}");
    assert_eq!(door.error_in(&events), Value::Null, "{prompt}");
    events
}

#[tokio::test]
async fn pieces_come_as_chunks_and_the_last_one_tells_the_usage() {
    let world = World::sqlite().await;
    let proxy = world.start().await;
    let alpha = proxy.client(ALPHA);
    let job = alpha.create_job().await;
    let mut answer = Door::Job
        .ask(&alpha, &job, FAST, "Hi")
        .await
        .expect_stream();
    let kind = answer.header("content-type");
    assert_eq!(kind, "text/event-stream; charset=utf-8");
    assert_eq!(answer.header("cache-control"), "no-cache");
    assert_eq!(answer.header("x-accel-buffering"), "no");
    assert_eq!(answer.header("content-length"), "");
    assert_ne!(answer.header("x-request-id"), "");
    assert_eq!(answer.header("x-job-id"), job);
    assert_eq!(answer.header("x-tollgate-job-id"), job);
    let call_id = answer.header("x-tollgate-call-id").to_owned();
    let events = answer.collect().await;
    assert_eq!(text_of(&events), "Hello!");
    assert!(events.last().unwrap().is_done());
    let (last, before) = events[..events.len() - 1].split_last().unwrap();
    let last = last.json();
    assert_eq!(last["choices"][0]["finish_reason"], "stop");
    assert_eq!(last["choices"][0]["delta"], json!({}));
    let usage = json!({ "prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15 });
    assert_eq!(last["usage"], usage);
    for chunk in before.iter().map(Event::json).chain([last]) {
        assert_eq!(chunk["object"], "chat.completion.chunk");
        assert_eq!(chunk["model"], FAST, "the alias is the only name");
        assert!(chunk["id"].as_str().unwrap().starts_with("chatcmpl-"));
        assert!(chunk["created"].is_i64());
        assert_eq!(chunk["choices"][0]["index"], 0);
        assert_ne!(
            chunk.pointer("/choices/0/delta/content"),
            Some(&Value::Null)
        );
    }
    let sent = world.upstream.last().json();
    assert_eq!(sent["stream_options"]["include_usage"], true);
    let call = &world.calls(&job).await[0];
    assert_eq!(call.id.to_string(), call_id);
    assert_eq!(call.state, CallState::Succeeded);
    assert_eq!((call.input_tokens, call.output_tokens), (10, 5));
    assert!(!call.usage_estimated && call.client_cost.0 > 0);
    assert!(call.streamed && call.first_token_ms <= call.latency_ms);
    assert_eq!(call.finish_reason.as_deref(), Some("stop"));
    let done = alpha.complete(&job).await.expect(200).json;
    assert_eq!(done["costs"]["credit_applied"], json!(true));
    world.verify().await;
}

/// The caller has what the provider has said before the provider says more: nothing else is let
/// through until it has come.
#[tokio::test]
async fn each_piece_arrives_before_the_next_one_is_made() {
    let world = World::sqlite().await;
    let proxy = world.start().await;
    let alpha = proxy.client(ALPHA);
    let job = alpha.create_job().await;
    // Anthropic begins with three events that say nothing; Gemini with the text.
    for (model, first, last) in [(FAST, 1, 3), (CLAUDE, 4, 3), (GEM, 1, 0)] {
        for door in [Door::Job, Door::OpenAi, Door::Anthropic] {
            let release = |count| (0..count).for_each(|_| world.upstream.release());
            // The status comes with the first piece.
            release(first);
            let asking = door.ask(&alpha, &job, model, "do:gated");
            let mut stream = asking.await.expect_stream();
            for word in ["Hel", "lo", "!"] {
                let came_first = word == "Hel" && model != FAST;
                release(usize::from(!came_first));
                let piece = loop {
                    let event = stream.next().await.expect("the stream goes on");
                    assert!(
                        !event.is_comment(),
                        "nobody waits so long: {model} {door:?}"
                    );
                    if !event.content().is_empty() {
                        break event.content();
                    }
                };
                assert_eq!(piece, word, "{model} {door:?}");
            }
            release(last);
            assert!(door.is_ended(&stream.collect().await), "{model} {door:?}");
        }
    }
    world.verify().await;
}

#[tokio::test]
async fn a_job_of_one_call_begins_with_a_comment_before_the_provider_answers() {
    let world = World::sqlite().await;
    let proxy = world.start().await;
    let body = Door::Single.body(&proxy.client(ALPHA), FAST, "do:gated");
    let request = raw::post_json(&Door::Single.path(""), ALPHA.key, &body);
    let mut caller = raw::Caller::send(proxy.port(), &request).await;
    caller.read_until(": keepalive\n\n").await;
    let seen = caller.seen();
    let (head, first) = seen.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    let job = head.to_lowercase();
    let (_, job) = job.split_once("\r\nx-job-id: ").unwrap();
    let job = job.lines().next().unwrap();
    let lines: Vec<&str> = first
        .lines()
        .skip(1)
        .filter(|line| !line.is_empty())
        .collect();
    assert_eq!(lines, [": keepalive"], "nothing else has been said");
    assert_eq!(world.calls(job).await[0].state, CallState::InFlight);
    world.upstream.release_all();
    caller.read_until("data: [DONE]").await;
    assert_eq!(world.job(job).await.state, JobState::Completed);
    assert!(caller.seen().contains("Hel"));
}

#[tokio::test]
async fn silence_is_filled_with_comments_between_events() {
    let world = World::sqlite().await;
    let world = world.with("TOLLGATE_STREAMS_HEARTBEAT_MS", "50");
    let proxy = world.start().await;
    let alpha = proxy.client(ALPHA);
    let job = alpha.create_job().await;
    let keepalive = Event::Comment("keepalive".to_owned());
    for door in [Door::Job, Door::OpenAi] {
        let mut stream = door.ask(&alpha, &job, FAST, "do:gated").await;
        for _ in 0..2 {
            assert_eq!(stream.next().await.unwrap(), keepalive);
        }
        for piece in ["", "Hel"] {
            world.upstream.release();
            assert_eq!(stream.next_message().await.unwrap().content(), piece);
            for _ in 0..2 {
                assert_eq!(stream.next().await.unwrap(), keepalive);
            }
        }
        for _ in 0..5 {
            world.upstream.release();
        }
        let rest = stream.collect().await;
        assert_eq!(text_of(&rest), "lo!");
        assert!(door.is_ended(&rest));
    }
    // Anthropic's API has an event for it.
    let mut stream = Door::Anthropic.ask(&alpha, "", FAST, "do:gated").await;
    let ping = stream.next().await.unwrap();
    assert_eq!(
        (ping.name(), ping.json()),
        ("ping", json!({ "type": "ping" }))
    );
    for _ in 0..7 {
        world.upstream.release();
    }
    assert_eq!(text_of(&stream.collect().await), "Hello!");
    let events = read(Door::Job, &alpha, &job, FAST, "do:words=12,gap=60").await;
    assert!(events.iter().any(Event::is_comment));
    assert_eq!(text_of(&events), "0 1 2 3 4 5 6 7 8 9 10 11 ");
    world.verify().await;
}

#[tokio::test]
async fn callers_of_v1_are_told_the_usage_only_if_they_ask() {
    let world = World::sqlite().await;
    let proxy = world.start().await;
    let alpha = proxy.client(ALPHA);
    let path = Door::OpenAi.path("");
    let mut body = Door::OpenAi.body(&alpha, FAST, "do:cached=4,reasoned=2");
    let events = alpha.stream(&path, &body).await.collect().await;
    assert!(
        events
            .iter()
            .all(|event| event.json().get("usage").is_none())
    );
    assert!(
        events
            .iter()
            .all(|event| event.json()["choices"] != json!([]))
    );
    let sent = world.upstream.last().json();
    assert_eq!(sent["stream_options"]["include_usage"], true);

    body["stream_options"] = json!({ "include_usage": true });
    let events = alpha.stream(&path, &body).await.collect().await;
    let chunks: Vec<Value> = events.iter().map(Event::json).collect();
    let (last, before) = chunks[..chunks.len() - 1].split_last().unwrap();
    assert!(
        before
            .iter()
            .all(|chunk| chunk.get("usage") == Some(&Value::Null))
    );
    assert_eq!(
        before.last().unwrap()["choices"][0]["finish_reason"],
        "stop"
    );
    assert_eq!(last["choices"], json!([]));
    assert_eq!(last["usage"]["total_tokens"], 15);
    assert_eq!(last["usage"]["prompt_tokens_details"]["cached_tokens"], 4);
    assert_eq!(
        last["usage"]["completion_tokens_details"]["reasoning_tokens"],
        2
    );

    body["stream_options"] = json!({ "include_usage": false });
    let events = alpha.stream(&path, &body).await.collect().await;
    assert!(
        events
            .iter()
            .all(|event| event.json().get("usage").is_none())
    );
}

#[tokio::test]
async fn a_provider_that_does_not_count_is_counted_by_us() {
    let world = World::sqlite().await;
    let proxy = world.start().await;
    let tok = proxy.client(TOK);
    for model in [FAST, CLAUDE, GEM] {
        for door in [Door::Job, Door::Anthropic] {
            let job = tok.create_job().await;
            let stream = door.ask(&tok, &job, model, "do:no-usage,words=100").await;
            let mut stream = stream.expect_stream();
            let events = stream.collect().await;
            let job = stream.header("x-job-id").to_owned();
            let call = &world.calls(&job).await[0];
            assert_eq!(call.state, CallState::Succeeded);
            assert!(call.usage_estimated, "{model} {door:?}");
            assert!(call.output_tokens > 50, "{model}: {}", call.output_tokens);
            let told = json!([call.input_tokens, call.output_tokens]);
            assert_eq!(door.usage_in(&events), told, "{model} {door:?}");
        }
    }
    world.verify().await;
}

#[tokio::test]
async fn every_end_has_its_reason() {
    let world = World::sqlite().await;
    world.allocate(ALPHA.id, 100).await;
    let proxy = world.start().await;
    let alpha = proxy.client(ALPHA);
    let job = alpha.create_job().await;
    let ends = [
        ("Hi", "stop", "end_turn"),
        ("do:length", "length", "max_tokens"),
        ("do:filter", "content_filter", "refusal"),
        ("do:blocked", "content_filter", "refusal"),
        ("do:tools", "tool_calls", "tool_use"),
    ];
    for model in [FAST, CLAUDE, GEM] {
        for (prompt, reason, messages_reason) in ends {
            for door in [Door::Job, Door::OpenAi, Door::Anthropic] {
                let events = read(door, &alpha, &job, model, prompt).await;
                let pointer = match door {
                    Door::Anthropic => "/delta/stop_reason",
                    _ => "/choices/0/finish_reason",
                };
                let reasons = events.iter().map(Event::json);
                let reasons = reasons.filter_map(|json| json.pointer(pointer).cloned());
                let reasons: Vec<Value> = reasons.filter(Value::is_string).collect();
                let wanted = if door == Door::Anthropic {
                    messages_reason
                } else {
                    reason
                };
                assert_eq!(reasons, [wanted], "{model} {door:?} {prompt}");
            }
        }
    }
    let calls = world.calls(&job).await;
    let recorded = calls
        .iter()
        .map(|call| call.finish_reason.as_deref().unwrap());
    let wanted = ends.iter().map(|end| end.1);
    assert!(recorded.eq(wanted.clone().chain(wanted.clone()).chain(wanted)));
    world.verify().await;
}

#[tokio::test]
async fn answers_to_one_prompt_may_be_told_side_by_side() {
    let chunk = |index: usize, delta: Value, reason: Value| {
        json!({ "choices": [{ "index": index, "delta": delta, "finish_reason": reason }] })
            .to_string()
    };
    let (a, b) = (json!({ "content": "a" }), json!({ "content": "b" }));
    let usage = json!({ "choices": [], "usage": { "prompt_tokens": 3, "completion_tokens": 4 } });
    let good = [
        chunk(0, json!({ "role": "assistant" }), Value::Null),
        chunk(1, json!({ "role": "assistant" }), Value::Null),
        chunk(1, b.clone(), Value::Null),
        chunk(0, a.clone(), Value::Null),
        chunk(0, json!({}), "stop".into()),
        chunk(1, b.clone(), Value::Null),
        chunk(1, json!({}), "length".into()),
        usage.to_string(),
        "[DONE]".to_owned(),
    ];
    let good: Vec<&str> = good.iter().map(String::as_str).collect();
    let world = World::sqlite().await;
    // One answer has ended when this provider breaks off, but not the other.
    for (alias, events) in [("chat-two", &good[..]), ("chat-half", &good[..5])] {
        let provider = Canned::events(events).await;
        let kind = tollgate_common::provider::ProviderKind::OpenAi;
        world.add_model(alias, kind, &provider.base_url()).await;
        let proxy = world.start().await;
        let alpha = proxy.client(ALPHA);
        let mut body = Door::OpenAi.body(&alpha, alias, "Hi");
        body["n"] = 2.into();
        let mut stream = alpha.stream(&Door::OpenAi.path(""), &body).await;
        let told = stream.collect().await;
        let job = stream.header("x-job-id").to_owned();
        let choices: Vec<Value> = told
            .iter()
            .map(|e| e.json()["choices"][0].clone())
            .collect();
        let of = |index: i64| -> String {
            let own = choices.iter().filter(|choice| choice["index"] == index);
            own.filter_map(|choice| choice["delta"]["content"].as_str())
                .collect()
        };
        let call = &world.calls(&job).await[0];
        if alias == "chat-two" {
            assert_eq!((of(0).as_str(), of(1).as_str()), ("a", "bb"));
            let reasons = choices.iter().filter_map(|c| c["finish_reason"].as_str());
            assert_eq!(reasons.collect::<Vec<_>>(), ["stop", "length"]);
            assert_eq!((call.input_tokens, call.output_tokens), (3, 4));
        } else {
            assert_eq!(call.state, CallState::Failed);
            assert_eq!(call.error_kind.as_deref(), Some("provider_cut"));
            assert!(Door::OpenAi.error_in(&told)["error"]["message"].is_string());
        }
    }
    world.verify().await;
}

#[tokio::test]
async fn a_caller_of_http_1_0_gets_the_stream_until_the_connection_ends() {
    let world = World::sqlite().await;
    let proxy = world.start().await;
    let alpha = proxy.client(ALPHA);
    let body = Door::OpenAi.body(&alpha, FAST, "Hi");
    for connection in ["", "Connection: keep-alive\r\n"] {
        let request = raw::post_json(&Door::OpenAi.path(""), ALPHA.key, &body);
        let request = String::from_utf8(request).unwrap();
        let request = request.replace("HTTP/1.1\r\n", &format!("HTTP/1.0\r\n{connection}"));
        let caller = raw::Caller::send(proxy.port(), request.as_bytes()).await;
        let seen = caller.read_to_end().await;
        assert!(seen.ends_with("\n\ndata: [DONE]\n\n"), "{seen}");
        assert!(!seen.to_lowercase().contains("transfer-encoding"), "{seen}");
    }
}

/// What a team is charged for one call with 1,500 tokens in and 1,000 out.
const CHARGES: [(Team, i64); 3] = [(ALPHA, 1), (TOK, 2), (TEAM_B, 13)];

#[tokio::test]
async fn when_the_end_is_told_everything_is_settled() {
    let world = World::sqlite().await;
    world.allocate(TEAM_B.id, 95).await;
    let proxy = world.start().await;
    for (team, charge) in CHARGES {
        let client = proxy.client(team);
        let prompt = "do:usage=1500:1000";
        let before = client.credits_remaining().await;
        let stream = Door::Single.ask(&client, "", FAST, prompt).await;
        let mut stream = stream.expect_stream();
        let single = stream.header("x-job-id").to_owned();
        while !stream.next().await.expect("the end comes").is_done() {}
        assert_eq!(world.job(&single).await.state, JobState::Completed);
        assert_eq!(client.credits_remaining().await, before - charge);

        let job = client.create_job().await;
        let mut stream = Door::Job.ask(&client, &job, FAST, prompt).await;
        while !stream.next().await.expect("the end comes").is_done() {}
        assert_eq!(world.calls(&job).await[0].state, CallState::Succeeded);
        let done = client.complete(&job).await.expect(200).json;
        assert_eq!(done["costs"]["credits_remaining"], before - 2 * charge);
        assert_eq!(world.account(team.id).await.held.0, 0);
    }
    world.verify().await;
}
