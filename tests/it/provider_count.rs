//! What is charged if a provider's counts and its answer do not go together: never less than was
//! handed on, and what failed has its price for the operator.

use serde_json::{Value, json};
use tollgate_common::command::{Command, TeamSettings};
use tollgate_common::db::call::CallRow;
use tollgate_common::job::CallState;
use tollgate_common::money::NanoUsd;
use tollgate_common::provider::ProviderKind;
use tollgate_common::team::DisconnectPolicy;
use tollgate_common::usage_note::UsageNote;
use tollgate_tests::fixture::{ALPHA, EMBED, FAST, TOK};
use tollgate_tests::raw::{self, Caller};
use tollgate_tests::{Canned, Door, Proxy, World, wait};

use crate::setup::{chat, chat_with, merged};

const ODD: &str = "chat-odd";

/// 6,000 bytes of text.
fn long_text() -> String {
    " wordy".repeat(1_000)
}

/// The only call of a job, once it has ended.
async fn ended_call(world: &World, job: &str) -> CallRow {
    wait::until("the call has ended", async || {
        let call = world.calls(job).await.into_iter().next()?;
        (call.state != CallState::InFlight).then_some(call)
    })
    .await
}

/// A world whose model `chat-odd` always gives one answer, and its proxy.
async fn world_of(kind: ProviderKind, provider: &Canned) -> (World, Proxy) {
    let world = World::sqlite().await;
    world.add_model(ODD, kind, &provider.base_url()).await;
    let proxy = world.start().await;
    (world, proxy)
}

/// What a stream of these events is charged in a job of its own.
async fn streamed(kind: ProviderKind, events: &[Value], more: Value) -> CallRow {
    let mut events: Vec<String> = events.iter().map(Value::to_string).collect();
    events.push("[DONE]".to_owned());
    let events: Vec<&str> = events.iter().map(String::as_str).collect();
    let provider = Canned::events(&events).await;
    let (world, proxy) = world_of(kind, &provider).await;
    let alpha = proxy.client(ALPHA);
    let job = alpha.create_job().await;
    let body = merged(Door::Job.body(&alpha, ODD, "hi"), more);
    let _ = alpha
        .stream(&Door::Job.path(&job), &body)
        .await
        .collect()
        .await;
    let call = ended_call(&world, &job).await;
    world.verify().await;
    call
}

/// What a whole answer is charged in a job of its own, and the status that the caller saw.
async fn whole(kind: ProviderKind, answer: &Value, body: &Value) -> (CallRow, u16, World) {
    let provider = Canned::start("application/json", &answer.to_string()).await;
    let (world, proxy) = world_of(kind, &provider).await;
    let alpha = proxy.client(ALPHA);
    let job = alpha.create_job().await;
    let told = alpha.call_with(&job, body).await;
    let call = ended_call(&world, &job).await;
    world.verify().await;
    (call, told.status, world)
}

fn piece(delta: Value, reason: Value) -> Value {
    json!({"choices": [{"index": 0, "delta": delta, "finish_reason": reason}]})
}

fn words(text: &str) -> Value {
    piece(json!({"content": text}), Value::Null)
}

fn stop() -> Value {
    piece(json!({}), "stop".into())
}

fn usage(completion: i64) -> Value {
    json!({"choices": [], "usage": {"prompt_tokens": 20, "completion_tokens": completion}})
}

fn dollars(call: &CallRow) -> (i64, i64) {
    (call.client_cost.0 / 1_000, call.provider_cost.0 / 1_000)
}

/// Checks what a stream of OpenAI's dialect is charged, at $10 a million tokens.
async fn is_charged(events: &[Value], more: Value, output: i64, note: Option<UsageNote>) {
    let call = streamed(ProviderKind::OpenAi, events, more).await;
    assert_eq!(call.state, CallState::Succeeded, "{output} {note:?}");
    assert_eq!((call.output_tokens, call.usage_note), (output, note));
    assert!(call.client_cost.0 >= output * 10_000, "{output} {note:?}");
    assert_eq!(call.client_cost, call.provider_cost, "{output} {note:?}");
}

#[tokio::test]
async fn a_count_that_the_words_support_is_believed_beyond_the_limit() {
    let text = long_text();
    let limit = json!({"max_tokens": 10});
    let events = [words(&text), stop(), usage(3_000)];
    is_charged(&events, limit.clone(), 3_000, None).await;
    // Thoughts that were shown, counted without details.
    let thoughts = piece(json!({"reasoning_content": text.repeat(6)}), Value::Null);
    let events = [thoughts, words("a"), stop(), usage(10_010)];
    is_charged(&events, limit.clone(), 10_010, None).await;
    let absurd = [words(&text), stop(), usage(5_000_000)];
    is_charged(&absurd, limit, 1_501, Some(UsageNote::Implausible)).await;
}

#[tokio::test]
async fn a_stream_is_never_charged_less_than_was_handed_on() {
    let text = long_text();
    let estimated = Some(UsageNote::Estimated);
    let partly = Some(UsageNote::PartlyEstimated);
    let uncounted = [words(&text), stop()];
    is_charged(&uncounted, json!({"max_tokens": 10}), 1_501, estimated).await;
    // Thoughts in a member of the provider's own.
    let details = json!([{"type": "reasoning.text", "text": text}]);
    let details = piece(json!({"reasoning_details": details}), Value::Null);
    let events = [details, words("a"), stop()];
    is_charged(&events, json!({}), 1_502, estimated).await;
    // No text of this length has so few tokens.
    let too_few = [words(&text), stop(), usage(2)];
    is_charged(&too_few, json!({}), 1_501, partly).await;
    // What was counted before the words does not count them.
    let early = json!({"usage": {"prompt_tokens": 20, "completion_tokens": 1}});
    let stale = [merged(words("a"), early), words(&text), stop()];
    is_charged(&stale, json!({}), 1_502, partly).await;
}

#[tokio::test]
async fn counts_of_the_prompt_alone_do_not_make_words_free() {
    let text = long_text();
    let gemini = |parts: Value, more: Value| {
        let candidate = json!({"content": {"parts": parts}, "index": 0});
        let candidate = merged(candidate, more);
        json!({"candidates": [candidate], "usageMetadata": {"promptTokenCount": 40}})
    };
    let events = [
        gemini(json!([{"text": "a"}]), json!({})),
        gemini(json!([{"text": text}]), json!({})),
        gemini(json!([]), json!({"finishReason": "STOP"})),
    ];
    let call = streamed(ProviderKind::Gemini, &events, json!({})).await;
    assert!(call.output_tokens >= 1_501, "{}", call.output_tokens);
    assert_eq!(call.input_tokens, 40);
    let begun = json!({"type": "message_start",
        "message": {"usage": {"input_tokens": 25, "output_tokens": 1}}});
    let grown = json!({"type": "content_block_delta", "index": 0,
        "delta": {"type": "text_delta", "text": text}});
    let ended = json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}});
    let call = streamed(ProviderKind::Anthropic, &[begun, grown, ended], json!({})).await;
    assert!(call.output_tokens >= 1_501, "{}", call.output_tokens);
    assert_eq!(call.usage_note, Some(UsageNote::PartlyEstimated));
}

#[tokio::test]
async fn the_context_limits_each_text_for_vectors_and_not_all_together() {
    let world = World::sqlite().await;
    let vectors = json!({"object": "list", "data": [{"index": 0, "embedding": [0.1]}],
        "usage": {"prompt_tokens": 300_000, "total_tokens": 300_000}});
    let provider = Canned::start("application/json", &vectors.to_string()).await;
    let line = format!("provider set openai --base-url {}", provider.base_url());
    let words: Vec<&str> = line.split(' ').collect();
    let changed = world.admin(&words).await;
    assert_eq!(changed.code, Some(0), "{}", changed.stderr);
    let proxy = world.start().await;
    let alpha = proxy.client(ALPHA);
    let tokens: Vec<Vec<u32>> = vec![vec![7; 5_000]; 60];
    for input in [json!(vec!["word ".repeat(4_000); 60]), json!(tokens)] {
        let body = json!({"model": EMBED, "input": input});
        let told = alpha.post("/v1/embeddings", &body).await.expect(200);
        let call = ended_call(&world, told.header("x-tollgate-job-id")).await;
        assert_eq!((call.input_tokens, call.usage_note), (300_000, None));
        // The dearest seller asks 2.2 cents a million.
        assert_eq!(dollars(&call), (6_600, 6_600));
    }
    world.verify().await;
}

/// Counts of a Gemini answer with thoughts that nobody sees.
fn gemini_usage() -> Value {
    json!({"promptTokenCount": 40, "candidatesTokenCount": 1_500, "thoughtsTokenCount": 8_000,
        "totalTokenCount": 9_540})
}

/// What Gemini asks for that: 30 cents and $2.50 a million.
const GEMINI_COST: NanoUsd = NanoUsd(40 * 300 + 9_500 * 2_500);

#[tokio::test]
async fn ends_that_requests_can_cause_at_gemini_are_charged_and_not_repeated() {
    for reason in [
        "UNEXPECTED_TOOL_CALL",
        "MALFORMED_FUNCTION_CALL",
        "TOO_MANY_TOOL_CALLS",
        "MISSING_THOUGHT_SIGNATURE",
        "NO_IMAGE",
        "OTHER",
    ] {
        let said = json!({"candidates": [{"index": 0,
            "content": {"parts": [{"text": long_text()}]}}]});
        let ended = json!({"candidates": [{"index": 0, "finishReason": reason}],
            "usageMetadata": gemini_usage()});
        let call = streamed(ProviderKind::Gemini, &[said, ended.clone()], json!({})).await;
        assert_eq!(call.state, CallState::Succeeded, "{reason}");
        assert_eq!(call.client_cost, GEMINI_COST, "{reason}");
        assert_eq!(call.finish_reason.as_deref(), Some("content_filter"));
        let (call, status, world) = whole(ProviderKind::Gemini, &ended, &chat(ODD, "hi")).await;
        assert_eq!(status, 200, "{reason}");
        assert_eq!(
            (call.client_cost, call.provider_cost),
            (GEMINI_COST, GEMINI_COST)
        );
        assert_eq!(world.attempts(call.id).await.len(), 0, "{reason}");
    }
}

#[tokio::test]
async fn what_providers_count_with_failures_is_the_operators_cost() {
    let counts = json!({"prompt_tokens": 40, "completion_tokens": 900});
    let failed = json!({"choices": [{"index": 0, "finish_reason": "error",
        "message": {"role": "assistant", "content": "x"}}], "usage": counts});
    // $2.50 and $10 a million.
    let openai = 40 * 2_500 + 900 * 10_000;
    let stopped = json!({"type": "message", "stop_reason": "error",
        "content": [{"type": "text", "text": "x"}],
        "usage": {"input_tokens": 40, "output_tokens": 900}});
    // $3 and $15 a million.
    let anthropic = 40 * 3_000 + 900 * 15_000;
    let gemini = json!({"candidates": [{"finishReason": "INTERNAL_ERROR"}],
        "usageMetadata": gemini_usage()});
    let error = json!({"error": {"message": "overloaded", "code": 503}, "usage": counts});
    for (kind, answer, cost) in [
        (ProviderKind::OpenAi, failed, openai),
        (ProviderKind::OpenAi, error, openai),
        (ProviderKind::Anthropic, stopped, anthropic),
        (ProviderKind::Gemini, gemini, GEMINI_COST.0),
    ] {
        let (call, status, world) = whole(kind, &answer, &chat(ODD, "hi")).await;
        assert_eq!((status, call.state), (503, CallState::Failed), "{answer}");
        let tries = i64::try_from(world.attempts(call.id).await.len()).unwrap();
        assert!(tries >= 2, "{answer}");
        assert_eq!(call.client_cost, NanoUsd::ZERO);
        assert_eq!(call.provider_cost.0, tries * cost, "{answer}");
    }
}

#[tokio::test]
async fn what_providers_count_as_they_break_a_stream_off_is_the_operators_cost() {
    let text = long_text();
    let broken = merged(
        piece(json!({}), "error".into()),
        json!({"usage": {"prompt_tokens": 40, "completion_tokens": 9_000}}),
    );
    let call = streamed(ProviderKind::OpenAi, &[words(&text), broken], json!({})).await;
    assert_eq!(call.state, CallState::Failed);
    assert_eq!(call.client_cost, NanoUsd::ZERO);
    assert_eq!(call.provider_cost.0, 40 * 2_500 + 9_000 * 10_000);
    let grown = json!({"type": "content_block_delta", "index": 0,
        "delta": {"type": "text_delta", "text": text}});
    let broken = json!({"type": "message_delta", "delta": {"stop_reason": "error"},
        "usage": {"input_tokens": 40, "output_tokens": 9_000}});
    let call = streamed(ProviderKind::Anthropic, &[grown, broken], json!({})).await;
    assert_eq!(call.provider_cost.0, 40 * 3_000 + 9_000 * 15_000);
}

#[tokio::test]
async fn an_answer_that_is_too_large_is_paid_for_once() {
    let mut answer = json!({"choices": [{"index": 0, "finish_reason": "stop",
        "message": {"role": "assistant", "content": "x"}}],
        "usage": {"prompt_tokens": 20, "completion_tokens": 3_200}});
    answer["padding"] = "x".repeat(200_000).into();
    let provider = Canned::start("application/json", &answer.to_string()).await;
    let world = World::sqlite().await;
    let world = world.with("TOLLGATE_LIMITS_RESPONSE_BYTES", "100000");
    world
        .add_model(ODD, ProviderKind::OpenAi, &provider.base_url())
        .await;
    let proxy = world.start().await;
    let alpha = proxy.client(ALPHA);
    for stream in [false, true] {
        let more = json!({"n": 64, "max_tokens": 50, "stream": stream});
        let body = chat_with(ODD, "hi", more);
        let told = alpha.post("/v1/chat/completions", &body).await;
        assert!(told.expect(503).text().contains("too large"));
    }
    let mut seen = 0;
    for job in world.jobs().await {
        for call in world.calls(&job.id.to_string()).await {
            seen += 1;
            assert_eq!(call.state, CallState::Succeeded);
            assert_eq!(call.error_kind.as_deref(), Some("provider_too_large"));
            assert_eq!(call.output_tokens, 64 * 50);
            assert!(call.client_cost.0 >= 64 * 50 * 10_000);
            assert_eq!(call.client_cost, call.provider_cost);
            assert_eq!(world.attempts(call.id).await.len(), 0);
        }
    }
    assert_eq!(seen, 2);
    world.verify().await;
}

async fn cancelling(world: &World) {
    let settings = TeamSettings {
        disconnect: Some(DisconnectPolicy::Cancel),
        ..TeamSettings::default()
    };
    let id = TOK.id.parse().unwrap();
    world.execute(Command::SetTeam { id, settings }).await;
}

#[tokio::test]
async fn who_leaves_a_whole_answer_pays_for_the_longest_that_was_held() {
    let world = World::sqlite().await;
    cancelling(&world).await;
    let proxy = world.start().await;
    let tok = proxy.client(TOK);
    let job = tok.create_job().await;
    let body = chat_with(
        FAST,
        "do:silent",
        json!({"max_tokens": 3_000, "stream": false}),
    );
    let path = format!("/api/jobs/{job}/llm-call");
    let request = raw::post_json(&path, TOK.key, &body);
    let caller = Caller::send(proxy.port(), &request).await;
    wait::until("the provider has the call", async || {
        (world.upstream.count() == 1).then_some(())
    })
    .await;
    drop(caller);
    let call = ended_call(&world, &job).await;
    assert_eq!(call.error_kind.as_deref(), Some("caller_gone"));
    assert_eq!(
        (call.state, call.output_tokens),
        (CallState::Succeeded, 3_000)
    );
    world.verify().await;
}

#[tokio::test]
async fn a_stream_that_stalls_after_its_caller_left_is_charged() {
    let world = World::sqlite().await;
    let world = world.with("TOLLGATE_UPSTREAM_IDLE_TIMEOUT_MS", "1500");
    let world = world.with("TOLLGATE_STREAMS_HEARTBEAT_MS", "50");
    let proxy = world.start().await;
    let tok = proxy.client(TOK);
    let job = tok.create_job().await;
    let body = Door::Job.body(&tok, FAST, "do:words=50,stall=40");
    let request = raw::post_json(&Door::Job.path(&job), TOK.key, &body);
    let mut caller = Caller::send(proxy.port(), &request).await;
    caller.read_until("20").await;
    drop(caller);
    let call = ended_call(&world, &job).await;
    assert_eq!(call.state, CallState::Succeeded);
    assert_eq!(call.error_kind.as_deref(), Some("caller_gone"));
    assert!(call.output_tokens >= 20 && call.client_cost.0 > 0);
    world.verify().await;
}
