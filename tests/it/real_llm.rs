//! The documented workflow on a real model, for whoever asks for it.

use tollgate_tests::World;
use tollgate_tests::client::prompt_body;
use tollgate_tests::fixture::{ALPHA, GROUP, add_model, add_provider};

/// The base URL of an OpenAI-compatible server, such as `http://127.0.0.1:9191/v1`.
const URL: &str = "TOLLGATE_TEST_REAL_LLM_URL";
/// The model to ask for, if the server has several.
const MODEL: &str = "TOLLGATE_TEST_REAL_LLM_MODEL";
/// The key, if the server checks one.
const KEY: &str = "TOLLGATE_TEST_REAL_LLM_KEY";

#[tokio::test]
async fn the_workflow_runs_on_a_real_model() {
    let Ok(url) = std::env::var(URL) else {
        println!("not asked for: set {URL} to the base URL of an OpenAI-compatible server");
        return;
    };
    let setting = |name, default: &str| std::env::var(name).unwrap_or_else(|_| default.to_owned());
    let (model, key) = (
        setting(MODEL, "smollm2-135m-instruct"),
        setting(KEY, "none"),
    );
    let world = World::sqlite().await;
    world
        .execute(add_provider("real", &url, &key, world.sealing_key()))
        .await;
    world.execute(add_model("real-model", "real", &model)).await;
    let name = GROUP.parse().unwrap();
    let alias = "real-model".parse().unwrap();
    world
        .execute(tollgate_common::command::Command::AddToGroup { name, alias })
        .await;

    let proxy = world.start().await;
    let alpha = proxy.client(ALPHA);
    let job = alpha.create_job().await;
    for question in [
        "Analyze this document and summarize the key points",
        "What is the capital of France?",
    ] {
        let mut body = prompt_body(question);
        body["model"] = "real-model".into();
        body["temperature"] = 0.2.into();
        body["max_tokens"] = 40.into();
        let answer = alpha.call_with(&job, &body).await.expect(200).json;
        let content = answer["response"]["content"].as_str().unwrap();
        assert!(!content.trim().is_empty());
        let reason = answer["response"]["finish_reason"].as_str().unwrap();
        assert!(["stop", "length"].contains(&reason), "{reason}");
        let used = answer["metadata"]["tokens_used"].as_i64().unwrap();
        assert!((2..=200).contains(&used), "{used}");
        println!("{question} -> {content} ({used} tokens)");
    }
    let done = alpha.complete(&job).await.expect(200).json;
    assert_eq!(done["costs"]["successful_calls"], 2);
    assert_eq!(done["costs"]["credits_remaining"], 9);
    world.verify().await;
}
