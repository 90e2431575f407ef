//! What callers, callees and books see of a provider that fails.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tollgate_common::command::{Command, ProviderRef};
use tollgate_common::job::CallState;
use tollgate_tests::client::prompt_body;
use tollgate_tests::fixture::{ALPHA, PROVIDER_KEY, TOK, add_model, add_provider, grant};
use tollgate_tests::{Answer, World, wait};

/// One failing call on a job of its own; checks what holds for every failure.
async fn failing_call(world: &World, answer: &Answer, job: &str) {
    assert!(
        answer.detail().starts_with("LLM call failed:"),
        "{}",
        answer.text()
    );
    assert!(!answer.text().contains(PROVIDER_KEY), "{}", answer.text());
    assert!(!answer.text().contains("127.0.0.1"), "{}", answer.text());
    assert_eq!(world.job(job).await.state.word(), "in_progress");
    let calls = world.calls(job).await;
    assert_eq!(calls.len(), 1);
    assert_eq!(calls[0].state, CallState::Failed);
    assert!(calls[0].error.as_deref().is_some_and(|e| e.len() <= 2_000));
    assert_eq!(calls[0].client_cost.0, 0);
}

#[tokio::test]
async fn each_failure_of_a_provider_has_its_status() {
    let world = World::sqlite()
        .await
        .with("TOLLGATE_ROUTING_BREAKER_PAUSE_MS", "1")
        .with("TOLLGATE_ROUTING_TRIES", "1");
    let proxy = world.start().await;
    let alpha = proxy.client(ALPHA);
    let cases = [
        ("do:status=400", 400, "the scripted failure"),
        ("do:status=404", 503, ""),
        ("do:status=410", 503, ""),
        ("do:status=402", 503, ""),
        ("do:status=413", 413, "the scripted failure"),
        ("do:status=422", 400, "the scripted failure"),
        ("do:long-error", 400, "no good"),
        ("do:status=401", 503, ""),
        ("do:quote-key", 503, ""),
        ("do:status=403", 503, ""),
        ("do:status=429", 429, ""),
        ("do:status=500", 503, ""),
        ("do:status=502", 503, ""),
        ("do:status=503", 503, ""),
        ("do:garbage", 503, ""),
        ("do:empty", 503, ""),
        ("do:cut", 503, ""),
    ];
    for (prompt, status, fragment) in cases {
        let job = alpha.create_job().await;
        let answer = alpha.call(&job, prompt).await;
        assert_eq!(answer.status, status, "{prompt}: {}", answer.text());
        assert!(
            answer.detail().contains(fragment),
            "{prompt}: {}",
            answer.text()
        );
        let has_answered = ["do:garbage", "do:empty"].contains(&prompt);
        let is_repeatable = !matches!(status, 400 | 413) && !has_answered;
        assert_eq!(answer.retry_after().is_some(), is_repeatable, "{prompt}");
        let should_retry = answer.header("x-should-retry");
        assert_eq!(
            should_retry,
            if has_answered { "false" } else { "" },
            "{prompt}"
        );
        failing_call(&world, &answer, &job).await;
        let done = alpha.end(&job, "failed").await.expect(200).json;
        assert_eq!(done["costs"]["failed_calls"], 1);
        assert_eq!(done["costs"]["total_tokens"], 0);
        assert!(done["calls"][0]["error"].is_string());
    }
    assert_eq!(alpha.credits_remaining().await, 10);
    world.verify().await;
}

#[tokio::test]
async fn a_long_error_text_is_cut_before_it_is_stored() {
    let world = World::sqlite().await;
    let proxy = world.start().await;
    let alpha = proxy.client(ALPHA);
    let job = alpha.create_job().await;
    alpha
        .call(&job, "do:long-error")
        .await
        .expect_error(400, "no good");
    let error = world.calls(&job).await[0].error.clone().unwrap();
    assert!((1..=2_000).contains(&error.len()), "{}", error.len());
}

#[tokio::test]
async fn a_call_that_failed_can_be_tried_again_in_the_same_job() {
    let world = World::sqlite().await;
    let proxy = world.start().await;
    let alpha = proxy.client(ALPHA);
    let job = alpha.create_job().await;
    let _ = alpha.call(&job, "do:cut").await.expect(503);
    let _ = alpha.call(&job, "Hi").await.expect(200);
    let costs = alpha.complete(&job).await.expect(200).json["costs"].clone();
    assert_eq!(costs["total_calls"], 2);
    assert_eq!(costs["successful_calls"], 1);
    assert_eq!(costs["failed_calls"], 1);
    assert_eq!(costs["total_tokens"], 15);
    assert_eq!(costs["credits_remaining"], 9);
}

#[tokio::test]
async fn a_whole_answer_is_waited_for_until_the_total_time_out() {
    let world = World::sqlite()
        .await
        .with("TOLLGATE_UPSTREAM_FIRST_BYTE_TIMEOUT_MS", "100")
        .with("TOLLGATE_UPSTREAM_IDLE_TIMEOUT_MS", "100")
        .with("TOLLGATE_UPSTREAM_TOTAL_TIMEOUT_MS", "2500");
    let proxy = world.start().await;
    let tok = proxy.client(TOK);
    let job = tok.create_job().await;
    let _ = tok.call(&job, "do:slow=600").await.expect(200);
    let _ = tok.complete(&job).await.expect(200);
    for prompt in ["do:silent", "do:stall"] {
        let before = world.upstream.count();
        let job = tok.create_job().await;
        let answer = tok.call(&job, prompt).await.expect(504);
        assert_eq!(answer.retry_after(), None, "{prompt}");
        assert_eq!(answer.header("x-should-retry"), "false", "{prompt}");
        assert_eq!(world.upstream.count() - before, 1, "it is not paid twice");
        failing_call(&world, &answer, &job).await;
        let call = &world.calls(&job).await[0];
        assert_eq!(call.error_kind.as_deref(), Some("provider_timeout"));
        assert!(call.provider_cost.is_positive(), "the provider has worked");
        assert!(call.usage_estimated);
        let _ = tok.end(&job, "failed").await.expect(200);
    }
    assert_eq!(world.account(TOK.id).await.held.0, 0);
    world.verify().await;
}

#[tokio::test]
async fn a_provider_that_is_not_there_or_has_no_key_is_no_fault_of_the_caller() {
    let world = World::sqlite().await;
    let nowhere = "http://127.0.0.1:9/v1";
    world
        .execute(add_provider(
            "nowhere",
            nowhere,
            "sk-x",
            world.sealing_key(),
        ))
        .await;
    world
        .execute(add_model("chat-nowhere", "nowhere", "gpt-4o"))
        .await;
    world.execute(grant("chat-nowhere")).await;
    let proxy = world.start().await;
    let alpha = proxy.client(ALPHA);
    let job = alpha.create_job().await;
    let mut body = prompt_body("Hi");
    body["model"] = "chat-nowhere".into();
    let answer = alpha.call_with(&job, &body).await.expect(503);
    assert!(answer.retry_after().is_some());
    failing_call(&world, &answer, &job).await;

    let disable = Command::EnableProvider {
        provider: ProviderRef {
            org_id: None,
            name: "nowhere".parse().unwrap(),
        },
        enabled: false,
    };
    world.execute(disable).await;
    let answer = wait::until("the provider is disabled", async || {
        let answer = alpha.call_with(&job, &body).await;
        answer
            .detail()
            .contains("No provider credentials")
            .then_some(answer)
    })
    .await;
    assert!(matches!(answer.status, 500 | 503), "{}", answer.text());
    assert!(
        answer.detail().starts_with("LLM call failed:"),
        "{}",
        answer.text()
    );
}

/// A provider that ends each connection after one answer without having announced it.
async fn hang_up_after_each_answer(listener: TcpListener) {
    let body = json!({
        "choices": [{ "index": 0, "finish_reason": "stop",
                      "message": { "role": "assistant", "content": "Hello!" } }],
        "usage": { "prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15 },
    });
    let body = body.to_string();
    let answer = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    while let Ok((mut stream, _)) = listener.accept().await {
        let mut request = vec![0; 65_536];
        // A prompt of a few bytes comes in one piece; a connection without a request is let go.
        if stream
            .read(&mut request)
            .await
            .is_ok_and(|length| length > 0)
        {
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    }
}

#[tokio::test]
async fn a_connection_that_the_provider_has_closed_is_not_an_error() {
    let world = World::sqlite().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let provider = tokio::spawn(hang_up_after_each_answer(listener));
    let url = format!("http://127.0.0.1:{port}/v1");
    world
        .execute(add_provider("rude", &url, "sk-x", world.sealing_key()))
        .await;
    world
        .execute(add_model("chat-rude", "rude", "gpt-4o"))
        .await;
    world.execute(grant("chat-rude")).await;
    let proxy = world.start().await;
    let alpha = proxy.client(ALPHA);
    let job = alpha.create_job().await;
    let mut body = prompt_body("Hi");
    body["model"] = "chat-rude".into();
    for _ in 0..20 {
        let _ = alpha.call_with(&job, &body).await.expect(200);
    }
    provider.abort();
    world.verify().await;
}

/// Reads a request to the end of its body. `false` if the connection has ended before.
async fn read_request(stream: &mut TcpStream) -> bool {
    let (mut request, mut piece) = (Vec::new(), [0; 4_096]);
    loop {
        let text = String::from_utf8_lossy(&request).to_ascii_lowercase();
        if let Some((header, body)) = text.split_once("\r\n\r\n") {
            let length = header.split_once("content-length: ").unwrap().1;
            let length: usize = length.lines().next().unwrap().parse().unwrap();
            if body.len() >= length {
                return true;
            }
        }
        match stream.read(&mut piece).await {
            Ok(length) if length > 0 => request.extend_from_slice(&piece[..length]),
            _ => return false,
        }
    }
}

/// A provider that answers the first request of each connection. It takes a second one, too, works
/// on it, and hangs up.
async fn work_and_hang_up(listener: TcpListener, requests: Arc<AtomicUsize>) {
    let body = r#"{"choices":[{"index":0,"finish_reason":"stop","message":
        {"role":"assistant","content":"Hello!"}}]}"#;
    let answer = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    while let Ok((mut stream, _)) = listener.accept().await {
        let (requests, answer) = (requests.clone(), answer.clone());
        tokio::spawn(async move {
            if read_request(&mut stream).await {
                requests.fetch_add(1, Ordering::SeqCst);
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
            if read_request(&mut stream).await {
                requests.fetch_add(1, Ordering::SeqCst);
            }
        });
    }
}

#[tokio::test]
async fn a_request_that_a_provider_has_taken_is_not_sent_again_unrecorded() {
    for (tries, status, asked) in [("1", 503, 2), ("2", 200, 3)] {
        let world = World::sqlite().await.with("TOLLGATE_ROUTING_TRIES", tries);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let requests = Arc::new(AtomicUsize::new(0));
        let provider = tokio::spawn(work_and_hang_up(listener, requests.clone()));
        let url = format!("http://127.0.0.1:{port}/v1");
        let key = world.sealing_key();
        world.execute(add_provider("rude", &url, "sk-x", key)).await;
        let model = add_model("chat-rude", "rude", "gpt-4o");
        world.execute(model).await;
        world.execute(grant("chat-rude")).await;
        let proxy = world.start().await;
        let alpha = proxy.client(ALPHA);
        let job = alpha.create_job().await;
        let mut body = prompt_body("Hi");
        body["model"] = "chat-rude".into();
        let _ = alpha.call_with(&job, &body).await.expect(200);
        let second = alpha.call_with(&job, &body).await;
        assert_eq!(second.status, status, "{}", second.text());
        assert_eq!(requests.load(Ordering::SeqCst), asked, "once for each try");
        let mut failed = Vec::new();
        for call in world.calls(&job).await {
            failed.extend(world.attempts(call.id).await);
        }
        assert_eq!(failed.len(), 1, "the failed try is on record");
        assert_eq!(failed[0].error_kind, "provider_cut");
        provider.abort();
        world.verify().await;
    }
}

#[tokio::test]
async fn a_caller_that_leaves_does_not_leave_a_hold_behind() {
    let world = World::sqlite().await;
    let proxy = world.start().await;
    let tok = proxy.client(TOK);
    let job = tok.create_job().await;
    let leaving = tokio::spawn({
        let (tok, job) = (tok.clone(), job.clone());
        async move { tok.call(&job, "do:slow=500").await }
    });
    wait::until("the provider has the call", async || {
        (world.upstream.count() == 1).then_some(())
    })
    .await;
    leaving.abort();
    let state = wait::until("the call has ended", async || {
        let state = world.calls(&job).await[0].state;
        (state != CallState::InFlight).then_some(state)
    })
    .await;
    assert!(matches!(state, CallState::Succeeded | CallState::Failed));
    let done = tok.complete(&job).await.expect(200).json;
    assert_eq!(done["costs"]["total_calls"], 1);
    assert_eq!(world.account(TOK.id).await.held.0, 0);
    world.verify().await;
}

#[tokio::test]
async fn what_the_provider_says_is_scrubbed_of_keys() {
    let world = World::sqlite().await;
    let proxy = world.start().await;
    let alpha = proxy.client(ALPHA);
    let job = alpha.create_job().await;
    let answer = alpha.call(&job, "do:quote-key").await.expect(503);
    assert!(!answer.text().contains(PROVIDER_KEY));
    let done = alpha.end(&job, "failed").await.expect(200);
    assert!(!done.text().contains(PROVIDER_KEY));
    let stored = world.calls(&job).await[0].error.clone().unwrap_or_default();
    assert!(!stored.contains(PROVIDER_KEY), "{stored}");
    assert_eq!(done.json["calls"][0]["tokens"], json!(0));
    assert_ne!(done.json["calls"][0]["error"], Value::Null);
}
