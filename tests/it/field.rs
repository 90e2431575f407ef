//! Which fields of a request travel to a provider: those that cannot make it dearer than what is
//! held, and no others.

use serde_json::{Value, json};
use tollgate_common::command::ModelSettings;
use tollgate_common::money::{NanoUsd, PicoUsd};
use tollgate_common::price::{RateCard, ServiceTier};
use tollgate_tests::client::job_id;
use tollgate_tests::fixture::{CLAUDE, EMBED, FAST, GEM, MINI, PROVIDER, TOK, UNPRICED};
use tollgate_tests::{Answer, Client, World, wait};

use crate::setup::{
    COMPLETIONS, PLENTY, add_model, chat_with, complete, expect_openai, keys, merged, weather_tool,
    world_with_plenty,
};
use crate::single::SINGLE;

const EMBEDDINGS: &str = "/v1/embeddings";
const MESSAGES: &str = "/v1/messages";

/// Asks in the three ways in which messages are OpenAI's.
async fn ask_everywhere(client: &Client, body: &Value) -> [Answer; 3] {
    let job = job_id(&client.create().await.expect(200));
    let single = merged(client.job_body(), body.clone());
    [
        client.call_with(&job, body).await,
        client.post(SINGLE, &single).await,
        client.post(COMPLETIONS, body).await,
    ]
}

/// Adds a model with a price of its own that knows nothing but texts at the standard service.
async fn add_plain_model(world: &World) {
    let card = RateCard::flat(PicoUsd(1_000_000), PicoUsd(2_000_000));
    let settings = ModelSettings {
        price: Some(Some(card)),
        ..ModelSettings::default()
    };
    add_model(world, "plain", PROVIDER, "plain-model", settings).await;
}

fn with_part(model: &str, part: &Value) -> Value {
    json!({ "model": model, "messages": [{ "role": "user", "content": [part] }] })
}

#[tokio::test]
async fn fields_that_may_change_the_bill_are_refused_by_their_name() {
    let world = world_with_plenty().await;
    add_plain_model(&world).await;
    let proxy = world.start().await;
    let plenty = proxy.client(PLENTY);
    let dear: [(&str, Value); 16] = [
        ("service_tier", json!("priority")),
        ("web_search_options", json!({})),
        ("modalities", json!(["text", "audio"])),
        ("audio", json!({ "voice": "alloy", "format": "mp3" })),
        ("extra_of_a_server", json!(1)),
        ("models", json!(["openai/o1-pro"])),
        ("api_base", json!("http://10.0.0.1")),
        ("fallbacks", json!(["gpt-4-32k"])),
        ("max_new_tokens", json!(100_000)),
        ("best_of", json!(20)),
        ("Model", json!("gpt-4-32k")),
        ("MAX_TOKENS", json!(100_000)),
        ("N", json!(50)),
        ("Stream", json!(true)),
        ("Messages", json!([])),
        ("\u{17f}tream", json!(true)),
    ];
    for (field, value) in dear {
        let body = chat_with("plain", "Hi", json!({ field: value }));
        let refused = plenty.post(COMPLETIONS, &body).await.expect(400);
        assert_eq!(refused.json["error"]["param"], field, "{}", refused.text());
    }
    assert_eq!(world.upstream.count(), 0);
}

#[tokio::test]
async fn every_door_sends_only_what_it_knows() {
    let world = world_with_plenty().await;
    let proxy = world.start().await;
    let plenty = proxy.client(PLENTY);
    let tools = json!([weather_tool(), { "type": "web_search" }]);
    let body = chat_with(FAST, "Hi", json!({ "tools": tools }));
    for refused in ask_everywhere(&plenty, &body).await {
        assert!(refused.expect(400).text().contains("tools[1].type"));
    }
    let mut hiding = weather_tool();
    hiding["googleSearch"] = json!({});
    let body = chat_with(FAST, "Hi", json!({ "tools": [hiding] }));
    for refused in ask_everywhere(&plenty, &body).await {
        assert!(refused.expect(400).text().contains("tools[0].googleSearch"));
    }
    let format = json!({ "type": "json_object", "extra": 1 });
    let body = chat_with(FAST, "Hi", json!({ "response_format": format }));
    for refused in ask_everywhere(&plenty, &body).await {
        assert!(refused.expect(400).text().contains("response_format.extra"));
    }
    for (field, value) in [
        ("Model", json!("text-embedding-3-large")),
        ("models", json!(["x"])),
        ("messages", json!([])),
    ] {
        let body = merged(
            json!({ "model": EMBED, "input": "a" }),
            json!({ field: value }),
        );
        let refused = plenty.post(EMBEDDINGS, &body).await.expect(400);
        assert_eq!(refused.json["error"]["param"], field, "{}", refused.text());
    }
    let body = json!({ "model": EMBED, "input": [{ "image": "https://x.example/a.png" }] });
    let _ = plenty.post(EMBEDDINGS, &body).await.expect(400);
    for change in [
        json!({ "service_tier": "priority" }),
        json!({ "speed": "fast" }),
        json!({ "mcp_servers": [{ "type": "url" }] }),
        json!({ "container": "c" }),
        json!({ "tools": [{ "type": "web_search_20250305", "name": "web_search" }] }),
    ] {
        let body = merged(chat_with(CLAUDE, "Hi", json!({ "max_tokens": 10 })), change);
        let refused = plenty.post(MESSAGES, &body).await.expect(400);
        let field = keys(&body)
            .into_iter()
            .find(|name| refused.text().contains(name));
        assert!(field.is_some(), "{}", refused.text());
    }
    assert_eq!(world.upstream.count(), 0);
    let unknown = json!({ "Model": "x", "MAX_TOKENS": 9, "service_tier": "priority" });
    let job = job_id(&plenty.create().await.expect(200));
    let body = chat_with(FAST, "Hi", unknown);
    let _ = plenty.call_with(&job, &body).await.expect(200);
    let sent = world.upstream.last().json();
    assert_eq!(
        keys(&sent),
        ["messages", "model"],
        "the job API sends what it knows"
    );
    world.verify().await;
}

#[tokio::test]
async fn parts_that_are_not_what_they_are_said_to_be_are_refused() {
    let world = world_with_plenty().await;
    let proxy = world.start().await;
    let plenty = proxy.client(PLENTY);
    let hidden = "data:text/plain;base64,aGVsbG8gd29ybGQsIGhlbGxvIHdvcmxk";
    let as_png = "data:image/png;base64,aGVsbG8gd29ybGQsIGhlbGxvIHdvcmxk";
    for model in [FAST, CLAUDE, GEM] {
        for part in [
            json!({ "type": "image_url", "image_url": { "url": hidden } }),
            json!({ "type": "image_url", "image_url": { "url": as_png } }),
            json!({ "type": "image_url", "image_url": { "url": "data:video/mp4;base64,AAAA" } }),
            json!({ "type": "image_url", "image_url": { "url": "https://x.example/million.txt" } }),
            json!({ "type": "image_url", "image_url": { "url": "https://x.example/a.pdf" } }),
            json!({ "type": "image_url", "image_url": { "url": "https://m.youtube.com/a" } }),
            json!({ "type": "image_url", "image_url": { "url": "https://youtu.be/a.png" } }),
            json!({ "type": "image_url", "image_url": { "url": "gs://bucket/a.png" } }),
            json!({ "type": "image_url", "Image_URL": { "url": "https://x.example/a.png" } }),
            json!({ "type": "file", "file": { "file_id": "file-1" } }),
            json!({ "type": "text", "text": "Hi", "video": "https://x.example/v.mp4" }),
            json!({ "type": "item_reference", "id": "x" }),
        ] {
            for refused in ask_everywhere(&plenty, &with_part(model, &part)).await {
                let text = refused.expect(400).text();
                assert!(
                    text.contains("messages[0].content[0]"),
                    "{model} {part}: {text}"
                );
            }
        }
    }
    let spoken = json!([{ "role": "assistant", "audio": { "id": "audio-1" } }]);
    for refused in ask_everywhere(&plenty, &json!({ "model": FAST, "messages": spoken })).await {
        assert!(refused.expect(400).text().contains("messages[0].audio"));
    }
    assert_eq!(world.upstream.count(), 0);
    world.verify().await;
}

#[tokio::test]
async fn an_administrator_lets_fields_pass_to_one_provider() {
    let world = world_with_plenty().await;
    let proxy = world.start().await;
    let plenty = proxy.client(PLENTY);
    let body = chat_with(FAST, "Hi", json!({ "my_field": { "deep": [1, 2.50] } }));
    let refused = plenty.post(COMPLETIONS, &body).await;
    let param = expect_openai(
        &refused,
        400,
        "invalid_request_error",
        "unsupported_parameter",
    );
    assert_eq!(param, "my_field");
    assert!(
        refused.text().contains("pass my_field"),
        "{}",
        refused.text()
    );

    let set = async |fields: &str| {
        let words = [
            "provider",
            "set",
            "openai",
            "--pass-fields",
            fields,
            "--json",
        ];
        world.admin(&words).await
    };
    for bad in [
        "model",
        "Model",
        "models",
        "service_tier",
        "top_k",
        "a b",
        "x,X",
    ] {
        assert_ne!(set(bad).await.code, Some(0), "{bad}");
    }
    let done = set("my_field,messages.content.file.file_id").await;
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    let shown: Value = serde_json::from_str(&done.stdout).unwrap();
    let passed = json!(["messages.content.file.file_id", "my_field"]);
    assert_eq!(shown["pass_fields"], passed);
    let words = ["provider", "set", "anthropic", "--pass-fields", "x"];
    let refused = world.admin(&words).await;
    assert!(refused.stderr.contains("kind openai"), "{}", refused.stderr);
    let log = world.admin(&["audit", "list", "--json"]).await;
    assert!(log.stdout.contains("my_field"), "{}", log.stdout);
    passed_fields_travel(&world, &plenty, &body).await;
    world.verify().await;
}

async fn passed_fields_travel(world: &World, plenty: &Client, body: &Value) {
    wait::until("the field travels", async || {
        let answer = plenty.post(COMPLETIONS, body).await;
        (answer.status == 200).then_some(())
    })
    .await;
    assert_eq!(world.upstream.last().json()["my_field"], body["my_field"]);
    let file = json!({ "type": "file", "file": { "file_id": "file-1" } });
    for answer in ask_everywhere(plenty, &with_part(FAST, &file)).await {
        let _ = answer.expect(200);
        assert_eq!(
            world.upstream.last().json()["messages"][0]["content"][0],
            file
        );
    }
    let body = chat_with(FAST, "Hi", json!({ "My_Field": 1 }));
    let _ = plenty.post(COMPLETIONS, &body).await.expect(400);
    let body = chat_with(CLAUDE, "Hi", json!({ "my_field": 1 }));
    let _ = plenty.post(COMPLETIONS, &body).await.expect(400);
}

#[tokio::test]
async fn hints_are_left_out_where_a_provider_has_no_word_for_them() {
    let world = world_with_plenty().await;
    let proxy = world.start().await;
    let plenty = proxy.client(PLENTY);
    let hints = json!({ "prompt_cache_key": "k", "safety_identifier": "s", "metadata": { "a": "b" },
        "prompt_cache_retention": "24h" });
    for model in [FAST, CLAUDE, GEM] {
        let body = chat_with(model, "Hi", hints.clone());
        let _ = plenty.post(COMPLETIONS, &body).await.expect(200);
        let sent = world.upstream.last().json();
        let is_sent = sent.get("prompt_cache_key").is_some();
        assert_eq!(is_sent, model == FAST, "{model}");
    }
}

/// What a team holds while a call with this body is on its way.
async fn held(world: &World, client: &Client, path: &str, body: &Value) -> i64 {
    let before = world.account(TOK.id).await.held.0;
    let count = world.upstream.count();
    let asked = tokio::spawn({
        let (client, path, body) = (client.clone(), path.to_owned(), body.clone());
        async move { client.post(&path, &body).await }
    });
    wait::until("the provider has the call", async || {
        (world.upstream.count() > count).then_some(())
    })
    .await;
    let held = world.account(TOK.id).await.held.0 - before;
    world.upstream.release();
    let _ = asked.await.unwrap().expect(200);
    held
}

#[tokio::test]
async fn a_service_travels_where_its_price_is_known() {
    let world = world_with_plenty().await;
    add_plain_model(&world).await;
    let proxy = world.start().await;
    let plenty = proxy.client(PLENTY);
    let mut card = RateCard::flat(PicoUsd(1_000_000), PicoUsd(2_000_000));
    card.standard.base.web_search = Some(NanoUsd(10_000_000));
    card.standard.base.input_audio = Some(PicoUsd(40_000_000));
    card.standard.base.output_audio = Some(PicoUsd(80_000_000));
    card.standard.base.cache_write_1h = Some(PicoUsd(2_000_000));
    let mut priority = card.standard.clone();
    priority.base.output = Some(PicoUsd(4_000_000));
    card.services.insert(ServiceTier::Priority, priority);
    let settings = ModelSettings {
        price: Some(Some(card)),
        ..ModelSettings::default()
    };
    add_model(&world, "dear", PROVIDER, "dear-model", settings).await;
    let ttl = json!({ "type": "ephemeral", "ttl": "1h" });
    for (field, value) in [
        ("service_tier", json!("priority")),
        (
            "web_search_options",
            json!({ "search_context_size": "low" }),
        ),
        ("modalities", json!(["text", "audio"])),
        ("cache_control", ttl),
    ] {
        let body = chat_with("dear", "Hi", json!({ field: value }));
        wait::until("the model is known", async || {
            let answer = plenty.post(COMPLETIONS, &body).await;
            (answer.status == 200).then_some(())
        })
        .await;
        assert_eq!(world.upstream.last().json()[field], value);
        let body = chat_with("plain", "Hi", json!({ field: value }));
        let refused = plenty.post(COMPLETIONS, &body).await.expect(400);
        assert!(refused.text().contains(field), "{}", refused.text());
    }
    let flex = chat_with("dear", "Hi", json!({ "service_tier": "flex" }));
    let refused = plenty.post(COMPLETIONS, &flex).await;
    let param = expect_openai(
        &refused,
        400,
        "invalid_request_error",
        "unsupported_parameter",
    );
    assert_eq!(param, "service_tier");
    let sound =
        json!({ "type": "input_audio", "input_audio": { "data": "AAAA", "format": "wav" } });
    let _ = plenty
        .post(COMPLETIONS, &with_part("dear", &sound))
        .await
        .expect(200);
    let refused = plenty
        .post(COMPLETIONS, &with_part(FAST, &sound))
        .await
        .expect(400);
    assert!(
        refused.text().contains("messages[0].content[0]"),
        "{}",
        refused.text()
    );
    world.verify().await;
}

#[tokio::test]
async fn what_is_held_covers_what_a_part_can_weigh() {
    let world = World::sqlite().await;
    world.allocate(TOK.id, 10_000).await;
    let proxy = world.start().await;
    let tok = proxy.client(TOK);
    let image = json!({ "type": "image_url", "image_url": { "url": "https://x.example/a.png" } });
    let gate = json!({ "type": "text", "text": "do:gated" });
    let of = |model: &str, parts: Value| {
        json!({ "model": model, "max_tokens": 100,
            "messages": [{ "role": "user", "content": parts }] })
    };
    // Most tokens of one image: gpt-4o-mini 2,833 + 8 x 5,667; Claude 4,784; Gemini 24 x 258.
    for (model, least, most) in [(MINI, 48, 50), (FAST, 1, 3), (CLAUDE, 4, 6), (GEM, 6, 8)] {
        let body = of(model, json!([image, gate]));
        let credits = held(&world, &tok, COMPLETIONS, &body).await;
        assert!((least..=most).contains(&credits), "{model}: {credits}");
    }
    let rare = "ꙮ".repeat(10_000);
    let body = of(FAST, json!([{ "type": "text", "text": rare }, gate]));
    let credits = held(&world, &tok, COMPLETIONS, &body).await;
    assert!(
        (30..=32).contains(&credits),
        "a token has at least a byte: {credits}"
    );
    let prose = "the gateway holds what a call may cost before it is made. ".repeat(1_000);
    let body = of(FAST, json!([{ "type": "text", "text": prose }, gate]));
    let credits = held(&world, &tok, COMPLETIONS, &body).await;
    assert!((13..25).contains(&credits), "12,000 words: {credits}");
    let sound =
        json!({ "type": "input_audio", "input_audio": { "data": "AAAA", "format": "opus" } });
    let pdf =
        json!({ "type": "document", "source": { "type": "url", "url": "https://x.example/a" } });
    let credits = held(
        &world,
        &tok,
        COMPLETIONS,
        &of(UNPRICED, json!([sound, gate])),
    )
    .await;
    assert!(credits >= 1_000, "a sound of any length: {credits}");
    let credits = held(&world, &tok, MESSAGES, &of(CLAUDE, json!([pdf, gate]))).await;
    assert!(credits >= 200, "a document of any length: {credits}");
    let predicted = json!({ "prediction": { "type": "content", "content": "7".repeat(30_000) } });
    let body = merged(of(FAST, json!([gate])), predicted);
    let credits = held(&world, &tok, COMPLETIONS, &body).await;
    assert!(
        credits >= 60,
        "what is predicted is read and may be billed again: {credits}"
    );
    assert_eq!(world.upstream.last().json()["max_tokens"], 100);
    let answer = complete(&tok, FAST, "Hi").await.expect(200);
    assert!(
        world.upstream.last().json()["max_tokens"].is_i64(),
        "{}",
        answer.text()
    );
    world.verify().await;
}
