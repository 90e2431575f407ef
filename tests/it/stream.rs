//! Streamed answers of the job API.

use serde_json::json;
use tollgate_common::job::CallState;
use tollgate_tests::World;
use tollgate_tests::client::{Client, prompt_body};
use tollgate_tests::events::{Event, EventStream};
use tollgate_tests::fixture::ALPHA;

async fn stream(client: &Client, job: &str, prompt: &str) -> EventStream {
    let path = format!("/api/jobs/{job}/llm-call-stream");
    client.stream(&path, &prompt_body(prompt)).await
}

#[tokio::test]
async fn pieces_come_as_chunks_and_the_last_one_tells_the_usage() {
    let world = World::sqlite().await;
    let proxy = world.start().await;
    let alpha = proxy.client(ALPHA);
    let job = alpha.create_job().await;
    let mut answer = stream(&alpha, &job, "Hi").await.expect_stream();
    assert_eq!(answer.header("cache-control"), "no-cache");
    assert_eq!(answer.header("x-accel-buffering"), "no");
    assert_eq!(answer.header("x-job-id"), job);
    assert_eq!(answer.header("x-tollgate-job-id"), job);
    let events = answer.collect().await;
    let text: String = events.iter().map(Event::content).collect();
    assert_eq!(text, "Hello!");
    assert!(events.last().unwrap().is_done());
    let last = events[events.len() - 2].json();
    assert_eq!(last["choices"][0]["finish_reason"], "stop");
    assert_eq!(last["usage"]["total_tokens"], 15);
    for event in &events[..events.len() - 1] {
        let chunk = event.json();
        assert_eq!(chunk["object"], "chat.completion.chunk");
        assert!(
            !event.data().contains("gpt-4o"),
            "the alias is the only name"
        );
    }
    let call = &world.calls(&job).await[0];
    assert_eq!(call.state, CallState::Succeeded);
    assert_eq!((call.input_tokens, call.output_tokens), (10, 5));
    assert!(call.streamed && call.first_token_ms.is_some());
    let done = alpha.complete(&job).await.expect(200).json;
    assert_eq!(done["costs"]["credit_applied"], json!(true));
    world.verify().await;
}
