//! Fees by the request and by the search: held with the tokens, and charged once for each call.

use serde_json::json;
use tollgate_common::command::ModelSettings;
use tollgate_common::money::{NanoUsd, PicoUsd};
use tollgate_common::price::{Members, RateCard};
use tollgate_tests::client::job_id;
use tollgate_tests::fixture::{PROVIDER, TOK};
use tollgate_tests::{Answer, Client, World};

use crate::setup::{COMPLETIONS, add_model, chat_with, job_of, merged, set_team, usd};
use crate::single::SINGLE;

/// Each request has a fee of 12 dollars per thousand.
const SONAR: &str = "with-request-fee";

/// Searches for every answer, for 10 dollars per thousand searches.
const SEARCHES: &str = "with-search-fee";

/// Searches for every answer, and nobody knows for how much.
const UNKNOWN: &str = "without-search-fee";

/// A world whose team TOK pays a credit for a tenth of a cent; tokens cost next to nothing.
async fn world() -> World {
    let world = World::sqlite().await;
    set_team(&world, TOK, usd("1000")).await;
    let base = Members {
        input: Some(PicoUsd(1_000)),
        output: Some(PicoUsd(1_000)),
        ..Members::default()
    };
    let by_request = Members {
        request: Some(NanoUsd(12_000_000)),
        ..base
    };
    let by_search = Members {
        web_search: Some(NanoUsd(10_000_000)),
        ..base
    };
    for (alias, upstream_model, price) in [
        (SONAR, "sonar", by_request),
        (SEARCHES, "gpt-4o-mini-search-preview", by_search),
        (UNKNOWN, "gpt-4o-search-preview", base),
    ] {
        let settings = ModelSettings {
            price: Some(Some(RateCard::from(price))),
            ..ModelSettings::default()
        };
        add_model(&world, alias, PROVIDER, upstream_model, settings).await;
    }
    world
}

/// Asks at every door, without a word of searches.
async fn ask_everywhere(client: &Client, model: &str) -> [Answer; 4] {
    let body = chat_with(model, "do:usage=10:10", json!({ "max_tokens": 10 }));
    let job = job_id(&client.create().await.expect(200));
    let called = client.call_with(&job, &body).await;
    let _ = client.complete(&job).await.expect(200);
    [
        called,
        client
            .post(SINGLE, &merged(client.job_body(), body.clone()))
            .await,
        client.post(COMPLETIONS, &body).await,
        client.post("/v1/messages", &body).await,
    ]
}

async fn credits_of(world: &World, answer: &Answer) -> i64 {
    world
        .job(&job_of(answer))
        .await
        .charged
        .unwrap_or_default()
        .0
}

#[tokio::test]
async fn every_door_charges_the_fees_of_a_call_once() {
    let world = world().await;
    let proxy = world.start().await;
    let tok = proxy.client(TOK);
    for (model, credits) in [(SONAR, 12), (SEARCHES, 10)] {
        world.allocate(TOK.id, 100).await;
        for answer in ask_everywhere(&tok, model).await {
            let answer = answer.expect(200);
            assert_eq!(credits_of(&world, &answer).await, credits, "{model}");
        }
    }
    world.allocate(TOK.id, 100).await;
    let options = json!({ "web_search_options": {}, "max_tokens": 10 });
    let answer = tok
        .post(COMPLETIONS, &chat_with(SEARCHES, "Hi", options))
        .await;
    assert_eq!(
        credits_of(&world, &answer.expect(200)).await,
        10,
        "not twice"
    );
    let stream = json!({ "stream": true, "max_tokens": 10 });
    let answer = tok
        .post(COMPLETIONS, &chat_with(SONAR, "do:no-usage", stream))
        .await;
    assert_eq!(
        credits_of(&world, &answer.expect(200)).await,
        12,
        "uncounted"
    );
    world.verify().await;
}

#[tokio::test]
async fn fees_that_cannot_be_paid_or_are_not_known_refuse_the_call() {
    let world = world().await;
    let proxy = world.start().await;
    let tok = proxy.client(TOK);
    let create = merged(tok.job_body(), json!({ "max_credits": 5 }));
    let job = job_id(&tok.post("/api/jobs/create", &create).await.expect(200));
    for model in [SONAR, SEARCHES] {
        let body = chat_with(model, "Hi", json!({ "max_tokens": 1 }));
        let refused = tok.call_with(&job, &body).await;
        refused.expect_error(403, "max_credits");
    }
    let _ = tok.end(&job, "failed").await.expect(200);
    for answer in ask_everywhere(&tok, UNKNOWN).await {
        let text = answer.expect(400).text();
        assert!(
            text.contains("model") && text.contains("web_search"),
            "{text}"
        );
    }
    assert_eq!(world.upstream.count(), 0);
    assert_eq!(world.account(TOK.id).await.held.0, 0);
    world.verify().await;
}
