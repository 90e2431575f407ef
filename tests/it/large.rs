//! Bodies far above what fits into one read.

use reqwest::Method;
use serde_json::json;
use tollgate_tests::client::prompt_body;
use tollgate_tests::fixture::{ALPHA, TOK};
use tollgate_tests::{World, raw};

const TWO_MEGABYTES: usize = 2 * 1024 * 1024;

#[tokio::test]
async fn a_large_prompt_and_a_large_answer_pass_unharmed() {
    let world = World::sqlite().await;
    let proxy = world.start().await;
    let alpha = proxy.client(ALPHA);
    let job = alpha.create_job().await;
    // Multi-byte characters and escapes must survive the rewriting.
    let prompt = "Zeile \"é\"\n\u{1F600} ".repeat(TWO_MEGABYTES / 20);
    let answer = alpha.call(&job, &prompt).await.expect(200);
    assert_eq!(answer.json["response"]["content"], "Hello!");
    assert!(
        world.upstream.last().prompt() == prompt,
        "the prompt has changed on its way"
    );

    let answer = alpha
        .call(&job, &format!("do:large={TWO_MEGABYTES}"))
        .await
        .expect(200);
    let content = answer.json["response"]["content"].as_str().unwrap();
    assert!(
        content == "é".repeat(TWO_MEGABYTES / 2),
        "the answer has changed on its way"
    );
    world.verify().await;
}

#[tokio::test]
async fn bodies_around_the_size_of_buffers_pass() {
    let world = World::sqlite().await;
    let proxy = world.start().await;
    let alpha = proxy.client(ALPHA);
    let job = alpha.create_job().await;
    let envelope = prompt_body("").to_string().len();
    for size in [
        8_191, 8_192, 16_384, 65_535, 65_536, 65_537, 131_072, 1_000_000,
    ] {
        let prompt = "x".repeat(size - envelope);
        let _ = alpha.call(&job, &prompt).await.expect(200);
        assert_eq!(world.upstream.last().prompt().len(), prompt.len());
    }
}

#[tokio::test]
async fn bodies_in_chunks_pass() {
    let world = World::sqlite().await;
    let proxy = world.start().await;
    let alpha = proxy.client(ALPHA);
    let job = alpha.create_job().await;
    let headers = "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n";
    for (length, chunk) in [
        (100, 7),
        (70_000, 1_000),
        (200_000, 4_096),
        (200_000, 200_000),
    ] {
        let prompt = "y".repeat(length);
        let path = format!("/api/jobs/{job}/llm-call");
        let mut request = raw::post(&path, ALPHA.key, headers, "");
        let body = prompt_body(&prompt).to_string();
        request.extend(raw::chunked(body.as_bytes(), chunk));
        let answer = raw::exchange(proxy.port(), &request).await;
        assert_eq!(answer.status, 200, "{length} in {chunk}: {}", answer.text);
        assert_eq!(world.upstream.last().prompt().len(), length);
    }
}

#[tokio::test]
async fn a_prompt_that_waits_to_be_asked_for_is_asked_for() {
    let world = World::sqlite().await;
    let proxy = world.start().await;
    let alpha = proxy.client(ALPHA);
    let job = alpha.create_job().await;
    let request = alpha
        .request(Method::POST, &format!("/api/jobs/{job}/llm-call"))
        .header("expect", "100-continue")
        .json(&prompt_body(&"z".repeat(100_000)));
    let _ = alpha.send(request).await.expect(200);
}

#[tokio::test]
async fn what_is_too_large_is_refused_before_it_costs_anything() {
    let world = World::sqlite().await;
    let proxy = world.start().await;
    let tok = proxy.client(TOK);
    let job = tok.create_job().await;
    let path = format!("/api/jobs/{job}/llm-call");
    let twenty_megabytes = prompt_body(&"x".repeat(20 * 1024 * 1024)).to_string();
    let announced = format!(
        "Content-Type: application/json\r\nContent-Length: {}\r\n",
        twenty_megabytes.len()
    );
    let request = raw::post(&path, TOK.key, &announced, &twenty_megabytes);
    let answer = raw::exchange(proxy.port(), &request).await;
    assert_eq!(answer.status, 413, "{}", answer.text);
    assert!(answer.json()["detail"].is_string(), "{}", answer.text);

    let headers = "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n";
    let mut request = raw::post(&path, TOK.key, headers, "");
    request.extend(raw::chunked(twenty_megabytes.as_bytes(), 65_536));
    let answer = raw::exchange(proxy.port(), &request).await;
    assert_eq!(answer.status, 413, "{}", answer.text);

    let body = json!({ "team_id": TOK.id, "job_type": "x".repeat(2_000_000) });
    let request = tok.request(Method::POST, "/api/jobs/create").json(&body);
    // The proxy may answer and close before it has been sent everything.
    if let Ok(answer) = tok.try_send(request).await {
        let _ = answer.expect(413);
    }
    assert_eq!(world.upstream.count(), 0);
    assert!(world.calls(&job).await.is_empty());
    let _ = tok.call(&job, "Hi").await.expect(200);
    world.verify().await;
}
