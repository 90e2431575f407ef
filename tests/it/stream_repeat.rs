//! Streams that are refused, asked for twice, or many at once.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::sync::Barrier;
use tokio::task::JoinSet;
use tollgate_common::command::Command;
use tollgate_common::job::{CallState, JobState};
use tollgate_common::standing::Standing;
use tollgate_tests::door::text_of;
use tollgate_tests::events::EventStream;
use tollgate_tests::fixture::{ALPHA, CLAUDE, FAST, TEAM_B, TOK, UNGRANTED, UNPRICED};
use tollgate_tests::{Answer, Client, Door, World, wait};

/// Asks with an `Idempotency-Key`.
async fn once(client: &Client, door: Door, job: &str, prompt: &str, key: &str) -> Answer {
    let body = door.body(client, FAST, prompt);
    client.post_once(&door.path(job), &body, key).await
}

/// Signs of life are not part of the answer, but for the one that a single call begins with.
fn without_signs(answer: &Answer, door: Door) -> String {
    let text = String::from_utf8_lossy(&answer.bytes);
    let events = text.split_inclusive("\n\n").enumerate();
    let shown = events.filter(|(index, event)| {
        let is_sign = event.starts_with(':') || event.starts_with("event: ping");
        !is_sign || (*index == 0 && door == Door::Single)
    });
    shown.map(|(_, event)| event).collect()
}

#[tokio::test]
async fn a_stream_that_is_asked_for_twice_is_made_once() {
    let world = World::sqlite().await;
    let world = world.with("TOLLGATE_STREAMS_HEARTBEAT_MS", "30");
    let proxy = world.start().await;
    let alpha = proxy.client(ALPHA);
    for door in Door::ALL {
        let key = format!("{door:?}");
        let job = alpha.create_job().await;
        let count = world.upstream.count();
        let first = once(&alpha, door, &job, "do:unicode,gap=50", &key).await;
        let again = once(&alpha, door, &job, "do:unicode,gap=50", &key).await;
        let (first, again) = (first.expect(200), again.expect(200));
        assert_eq!(again.header("content-type"), first.header("content-type"));
        assert_eq!(again.header("x-job-id"), first.header("x-job-id"));
        assert_eq!(first.header("idempotent-replayed"), "");
        assert_eq!(again.header("idempotent-replayed"), "true");
        let again = String::from_utf8(again.bytes).unwrap();
        assert_eq!(again, without_signs(&first, door));
        assert_eq!(world.upstream.count(), count + 1);
        let mismatch = once(&alpha, door, &job, "Hi", &key).await;
        assert_eq!(mismatch.status, 409, "{}", mismatch.text());
        assert!(!mismatch.header("content-type").contains("event-stream"));
    }
    let (job, long) = (alpha.create_job().await, "do:words=6000");
    let first = once(&alpha, Door::Job, &job, long, "long").await;
    let again = once(&alpha, Door::Job, &job, long, "long").await;
    assert!(again.bytes.len() > 1024 * 1024);
    assert!(without_signs(&first, Door::Job).as_bytes() == again.bytes);
    world.verify().await;
}

#[tokio::test]
async fn a_stream_that_there_is_no_memory_to_record_says_so_and_is_made_again() {
    let world = World::sqlite().await;
    let world = world.with("TOLLGATE_LIMITS_RECORDED_BYTES", "0");
    let proxy = world.start().await;
    let alpha = proxy.client(ALPHA);
    for door in Door::ALL {
        let key = format!("{door:?}");
        let job = alpha.create_job().await;
        for _ in 0..2 {
            let count = world.upstream.count();
            let answer = once(&alpha, door, &job, "Hi", &key).await.expect(200);
            assert_eq!(answer.header("x-tollgate-idempotency"), "not recorded");
            assert_eq!(answer.header("idempotent-replayed"), "");
            assert_eq!(world.upstream.count(), count + 1);
        }
    }
    world.verify().await;
}

#[tokio::test]
async fn a_stream_under_way_is_not_begun_again_and_a_broken_one_may_be() {
    let world = World::sqlite().await;
    let world = world.with("TOLLGATE_ROUTING_TRIES", "1");
    let proxy = world.start().await;
    let alpha = proxy.client(ALPHA);
    for door in Door::ALL {
        let key = format!("{door:?}");
        let job = alpha.create_job().await;
        let count = world.upstream.count();
        let first = tokio::spawn({
            let (alpha, job, key) = (alpha.clone(), job.clone(), key.clone());
            async move { once(&alpha, door, &job, "do:gated", &key).await }
        });
        wait::until("the provider has the call", async || {
            (world.upstream.count() == count + 1).then_some(())
        })
        .await;
        let early = once(&alpha, door, &job, "do:gated", &key).await;
        let early = early.expect(409);
        assert!(early.retry_after().is_some());
        assert!(early.json.is_object(), "{}", early.text());
        for _ in 0..7 {
            world.upstream.release();
        }
        let first = first.await.unwrap().expect(200);
        let again = once(&alpha, door, &job, "do:gated", &key).await.expect(200);
        assert_eq!(first.bytes, again.bytes);

        let key = format!("{door:?} breaks");
        for _ in 0..2 {
            let broken = once(&alpha, door, &job, "do:cut=2", &key).await;
            assert!(broken.text().contains("cut off"), "{}", broken.text());
            assert_eq!(broken.header("idempotent-replayed"), "");
        }
        assert_eq!(world.upstream.count(), count + 3);
    }
    world.verify().await;
}

/// A refusal before the stream is an ordinary answer in the caller's dialect.
async fn is_refused(stream: EventStream, door: Door, status: u16, words: &str) {
    let answer = stream.answer().await;
    assert_eq!(answer.status, status, "{door:?} {}", answer.text());
    assert_eq!(answer.header("content-type"), "application/json");
    let message = match door {
        Door::Job | Door::Single => &answer.json["detail"],
        Door::OpenAi => {
            assert!(answer.json["error"]["type"].is_string());
            assert!(answer.json["error"]["code"].is_string());
            &answer.json["error"]["message"]
        }
        Door::Anthropic => {
            assert_eq!(answer.json["type"], "error");
            assert!(answer.json["error"]["type"].is_string());
            &answer.json["error"]["message"]
        }
    };
    let message = message.as_str().unwrap_or_default();
    assert!(message.contains(words), "{door:?} {}", answer.text());
}

#[tokio::test]
async fn what_is_refused_before_the_stream_has_its_own_status() {
    let world = World::sqlite().await;
    let proxy = world.start().await;
    let (alpha, b) = (proxy.client(ALPHA), proxy.client(TEAM_B));
    let ended = alpha.create_job().await;
    let _ = alpha.complete(&ended).await.expect(200);
    let foreign = b.create_job().await;
    let unknown = "01890000-0000-7000-8000-000000000000".to_owned();
    for (job, status, words) in [
        (&ended, 409, "completed"),
        (&foreign, 403, "belong"),
        (&unknown, 404, "not found"),
        (&"nonsense".to_owned(), 404, ""),
    ] {
        let stream = Door::Job.ask(&alpha, job, FAST, "Hi").await;
        is_refused(stream, Door::Job, status, words).await;
    }
    let job = alpha.create_job().await;
    // What no provider has a word for is known before one is asked.
    for door in [Door::Job, Door::Single, Door::OpenAi] {
        let mut body = door.body(&alpha, CLAUDE, "Hi");
        body["frequency_penalty"] = 0.5.into();
        let stream = alpha.stream(&door.path(&job), &body).await;
        is_refused(stream, door, 400, "frequency_penalty").await;
    }
    let nobody = proxy.client_with_key("").of_team(ALPHA.id);
    for door in Door::ALL {
        let stream = door.ask(&alpha, &job, UNGRANTED, "Hi").await;
        is_refused(stream, door, 403, "does not have access").await;
        let stream = door.ask(&nobody, &job, FAST, "Hi").await;
        is_refused(stream, door, 401, "Authorization").await;
        let mut body = door.body(&alpha, FAST, "Hi");
        body["messages"] = json!([]);
        let stream = alpha.stream(&door.path(&job), &body).await;
        is_refused(stream, door, 400, "messages").await;
        let stream = door.ask(&b, &foreign, UNPRICED, "Hi").await;
        is_refused(stream, door, 403, UNPRICED).await;
    }
    assert_eq!(world.upstream.count(), 0);
    world.verify().await;
}

#[tokio::test]
async fn without_credits_or_standing_there_is_no_stream() {
    let world = World::sqlite().await;
    let proxy = world.start().await;
    let (alpha, b) = (proxy.client(ALPHA), proxy.client(TEAM_B));
    let alphas = alpha.create_job().await;
    let bs = b.create_job().await;
    for _ in 0..4 {
        b.create_job().await;
    }
    // Five jobs hold all five credits, so no call can be paid.
    let dear = format!("do:say={}", "x".repeat(20_000));
    for door in Door::ALL {
        let status = match door {
            Door::Job | Door::Single => 403,
            Door::OpenAi | Door::Anthropic => 402,
        };
        let stream = door.ask(&b, &bs, FAST, &dear).await;
        is_refused(stream, door, status, "Insufficient credits").await;
    }
    let id = ALPHA.id.parse().unwrap();
    let standing = Standing::Suspended;
    world
        .execute(Command::SetTeamStanding { id, standing })
        .await;
    wait::until("the team is suspended", async || {
        (alpha.knock().await.status == 403).then_some(())
    })
    .await;
    for door in Door::ALL {
        let stream = door.ask(&alpha, &alphas, FAST, "Hi").await;
        is_refused(stream, door, 403, "Team access is suspended").await;
    }
    assert_eq!(world.upstream.count(), 0);
    world.verify().await;
}

/// So many streams are open at once.
const STREAMS: usize = 200;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_streams_are_open_at_once() {
    let world = World::sqlite().await;
    world.allocate(TOK.id, 1_000_000).await;
    let proxy = world.start().await;
    let all_begun = Arc::new(Barrier::new(STREAMS + 1));
    let mut running = JoinSet::new();
    for number in 0..STREAMS {
        let (tok, all_begun) = (proxy.client(TOK), Arc::clone(&all_begun));
        running.spawn(async move {
            let door = Door::ALL[number % Door::ALL.len()];
            let job = tok.create_job().await;
            let prompt = format!("do:gated=1,say=stream {number} ends");
            let stream = door.ask(&tok, &job, FAST, &prompt).await;
            let mut stream = stream.expect_stream();
            let first = stream.next_message().await.expect("a first piece");
            all_begun.wait().await;
            let mut events = vec![first];
            events.extend(stream.collect().await);
            assert!(door.is_ended(&events), "{number}");
            assert_eq!(text_of(&events), format!("stream {number} ends"));
            let _ = tok.complete(&job).await.expect(200);
        });
    }
    all_begun.wait().await;
    let mut in_flight = 0;
    for job in world.jobs().await {
        let calls = world.calls(&job.id.to_string()).await;
        in_flight += calls
            .iter()
            .filter(|c| c.state == CallState::InFlight)
            .count();
    }
    assert_eq!(in_flight, STREAMS);
    world.upstream.release_all();
    running.join_all().await;
    for job in world.jobs().await {
        assert_eq!(job.state, JobState::Completed);
    }
    assert_eq!(world.account(TOK.id).await.held.0, 0);
    let report = world.verify().await;
    assert_eq!(report.calls, i64::try_from(STREAMS).unwrap());
    assert_eq!(Value::from(world.upstream.count()), Value::from(STREAMS));
}
