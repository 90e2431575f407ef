//! The scripted provider does what its scripts say: other tests rely on it.

use reqwest::header::HeaderMap;
use serde_json::{Value, json};
use tollgate_tests::client::prompt_body;
use tollgate_tests::{Answer, Event, EventStream, Upstream, wait};

const OPENAI: &str = "/v1/chat/completions";
const ANTHROPIC: &str = "/anthropic/v1/messages";
const GEMINI: &str = "/gemini/v1beta/models/gemini-2.5-flash:generateContent";
const GEMINI_STREAM: &str = "/gemini/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse";

fn root(upstream: &Upstream) -> String {
    upstream.base_url().trim_end_matches("/v1").to_owned()
}

fn headers() -> HeaderMap {
    let pairs = [
        ("authorization", "Bearer sk-x"),
        ("x-api-key", "sk-x"),
        ("x-goog-api-key", "sk-x"),
        ("anthropic-version", "2023-06-01"),
    ];
    let pairs = pairs.map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
    HeaderMap::from_iter(pairs)
}

async fn post(upstream: &Upstream, path: &str, body: &Value) -> EventStream {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let request = client.post(format!("{}{path}", root(upstream)));
    let response = request.headers(headers()).json(body).send().await.unwrap();
    EventStream::of(response)
}

/// A request in the dialect of the path.
fn body(path: &str, prompt: &str) -> Value {
    let mut body = prompt_body(prompt);
    match path {
        OPENAI => body["model"] = "gpt-4o".into(),
        ANTHROPIC => {
            body["model"] = "claude-sonnet-4-5".into();
            body["max_tokens"] = 100.into();
        }
        _ => {
            let parts = json!([{ "text": prompt }]);
            return json!({ "contents": [{ "role": "user", "parts": parts }] });
        }
    }
    body
}

async fn ask(upstream: &Upstream, path: &str, prompt: &str) -> Answer {
    post(upstream, path, &body(path, prompt))
        .await
        .answer()
        .await
}

async fn open(upstream: &Upstream, path: &str, prompt: &str) -> EventStream {
    let mut body = body(path, prompt);
    if path != GEMINI_STREAM {
        body["stream"] = true.into();
    }
    if path == OPENAI {
        body["stream_options"] = json!({ "include_usage": true });
    }
    post(upstream, path, &body).await
}

async fn events(upstream: &Upstream, path: &str, prompt: &str) -> Vec<Event> {
    let mut stream = open(upstream, path, prompt).await.expect_stream();
    let events = stream.collect().await;
    assert_eq!(stream.broken(), None, "{prompt}");
    events
}

#[tokio::test]
async fn a_stream_in_openais_dialect_has_its_form() {
    let upstream = Upstream::start().await;
    let events = events(&upstream, OPENAI, "Hi").await;
    let chunks: Vec<Value> = events.iter().map(Event::json).collect();
    let deltas: Vec<&Value> = chunks.iter().map(|c| &c["choices"][0]["delta"]).collect();
    assert_eq!(deltas[0]["role"], "assistant");
    assert_eq!(deltas[0]["content"], "");
    assert_eq!(deltas[1], &json!({ "content": "Hel" }));
    assert_eq!(deltas[2], &json!({ "content": "lo" }));
    assert_eq!(deltas[3], &json!({ "content": "!" }));
    assert_eq!(deltas[4], &json!({}));
    assert_eq!(chunks[4]["choices"][0]["finish_reason"], "stop");
    assert!(
        chunks[..5]
            .iter()
            .all(|c| c.get("usage") == Some(&Value::Null))
    );
    assert_eq!(chunks[5]["choices"], json!([]));
    assert_eq!(chunks[5]["usage"]["total_tokens"], 15);
    assert!(events[6].is_done());
    assert_eq!(events.len(), 7);

    let mut unasked = body(OPENAI, "Hi");
    unasked["stream"] = true.into();
    let unasked = post(&upstream, OPENAI, &unasked).await.collect().await;
    assert_eq!(unasked.len(), 6);
    assert!(
        unasked
            .iter()
            .all(|event| event.json().get("usage").is_none())
    );
}

#[tokio::test]
async fn tool_calls_come_in_fragments_by_index() {
    let upstream = Upstream::start().await;
    let events = events(&upstream, OPENAI, "do:tools=2,nulls").await;
    let mut arguments = [String::new(), String::new()];
    let mut ids = Vec::new();
    for event in &events {
        let json = event.json();
        let delta = &json["choices"][0]["delta"];
        let call = &delta["tool_calls"][0];
        if call.is_null() {
            continue;
        }
        assert_eq!(delta.get("content"), Some(&Value::Null));
        let index = call["index"].as_u64().unwrap() as usize;
        arguments[index] += call["function"]["arguments"].as_str().unwrap();
        ids.extend(call["id"].as_str().map(str::to_owned));
    }
    assert_eq!(arguments, [r#"{"city":"Paris"}"#, r#"{"city":"Oslo"}"#]);
    assert_eq!(ids, ["call_1", "call_2"]);
}

#[tokio::test]
async fn however_a_stream_travels_it_says_the_same() {
    let upstream = Upstream::start().await;
    for way in [
        "bytes", "split=3", "splits", "joined", "crlf", "lines", "noise", "tight", "gap=1",
    ] {
        for path in [OPENAI, ANTHROPIC, GEMINI_STREAM] {
            let messages = |events: Vec<Event>| -> Vec<(String, Value)> {
                let messages = events.iter().filter(|event| !event.is_comment());
                let pairs = messages.map(|event| (event.name().to_owned(), event.json()));
                pairs
                    .map(|(name, json)| (name.trim_start_matches("message").to_owned(), json))
                    .collect()
            };
            let plain = messages(events(&upstream, path, "Hi").await);
            let other = messages(events(&upstream, path, &format!("do:{way}")).await);
            assert_eq!(plain, other, "{way} {path}");
        }
    }
    let unicode = open(&upstream, OPENAI, "do:unicode").await.text().await;
    assert_eq!(unicode, "Grüße, 世界! 🦀");
    let long = open(&upstream, OPENAI, "do:words=2000").await.text().await;
    assert!(long.ends_with(" 1998 1999 "));
    let comments = events(&upstream, OPENAI, "do:noise").await;
    assert!(comments.contains(&Event::Comment("still at work".to_owned())));
}

#[tokio::test]
async fn a_gated_stream_waits_for_each_release() {
    let upstream = Upstream::start().await;
    let mut stream = open(&upstream, OPENAI, "do:gated").await.expect_stream();
    let mut next = tokio::spawn(async move {
        let event = stream.next().await.unwrap();
        (stream, event)
    });
    for _ in 0..20 {
        tokio::task::yield_now().await;
        assert!(!next.is_finished());
    }
    for wanted in ["", "Hel", "lo", "!"] {
        upstream.release();
        let (mut stream, event) = next.await.unwrap();
        assert_eq!(event.content(), wanted);
        next = tokio::spawn(async move {
            let event = stream.next().await.unwrap();
            (stream, event)
        });
    }
    upstream.release_all();
    let (mut stream, event) = next.await.unwrap();
    assert_eq!(event.json()["choices"][0]["finish_reason"], "stop");
    assert!(stream.collect().await.last().unwrap().is_done());
    assert_eq!(ask(&upstream, OPENAI, "do:gated").await.status, 200);
}

#[tokio::test]
async fn streams_end_badly_as_scripted() {
    let upstream = Upstream::start().await;
    for (prompt, count, breaks) in [
        ("do:cut", 2, true),
        ("do:cut=4", 4, true),
        ("do:cut=0", 0, true),
        ("do:reset=3", 3, true),
        ("do:end=3", 3, false),
        ("do:no-done", 6, false),
        ("do:error=2", 3, false),
        ("do:garbage", 7, false),
        ("do:empty=2", 7, false),
    ] {
        let mut stream = open(&upstream, OPENAI, prompt).await.expect_stream();
        let events = stream.collect().await;
        assert_eq!(events.len(), count, "{prompt}");
        assert_eq!(stream.broken().is_some(), breaks, "{prompt}");
        if prompt.starts_with("do:reset") {
            assert!(stream.broken().unwrap().contains("reset"));
        }
    }
    let error = events(&upstream, OPENAI, "do:error=2").await;
    assert_eq!(error[2].json()["error"]["type"], "server_error");
    let garbage = events(&upstream, OPENAI, "do:garbage").await;
    assert!(garbage[1].data().starts_with("<html>"));
    assert_eq!(upstream.aborted(), 0, "the provider itself gave up");
}

#[tokio::test]
async fn a_caller_that_hangs_up_is_noticed() {
    let upstream = Upstream::start().await;
    for prompt in ["do:stall=1", "do:gated", "do:mute", "do:words=20000,gap=1"] {
        let before = upstream.aborted();
        let stream = open(&upstream, OPENAI, prompt).await.expect_stream();
        assert_eq!(upstream.aborted(), before);
        drop(stream);
        wait::until("the provider notices", async || {
            (upstream.aborted() == before + 1).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn failures_come_in_the_words_of_their_dialect() {
    let upstream = Upstream::start().await;
    for path in [OPENAI, ANTHROPIC, GEMINI] {
        let answer = ask(&upstream, path, "do:status=429,retry-after=7").await;
        assert_eq!((answer.status, answer.retry_after()), (429, Some(7)));
        let kind = ["/error/type", "/error/status"].map(|p| answer.json.pointer(p).cloned());
        let wanted = match path {
            OPENAI => json!("requests"),
            ANTHROPIC => json!("rate_limit_error"),
            _ => json!("RESOURCE_EXHAUSTED"),
        };
        assert!(kind.contains(&Some(wanted)), "{}", answer.text());
        for (wanted, prompt) in [503, 503, 200].into_iter().zip([path; 3]) {
            let prompt = format!("do:fail-first=2 {prompt}");
            assert_eq!(ask(&upstream, path, &prompt).await.status, wanted);
        }
        assert_eq!(ask(&upstream, path, "do:cut=0,slow=1").await.bytes, b"");
        let request = reqwest::Client::builder().no_proxy().build().unwrap();
        let request = request.post(format!("{}{path}", root(&upstream)));
        let request = request.headers(headers()).json(&body(path, "do:hang-up"));
        assert!(request.send().await.is_err());
    }
    let overloaded = ask(&upstream, ANTHROPIC, "do:status=529").await;
    assert_eq!(overloaded.json["error"]["type"], "overloaded_error");
    upstream.break_key("sk-x", 401);
    assert_eq!(ask(&upstream, OPENAI, "Hi").await.status, 401);
    upstream.heal();
    upstream.break_model("gemini-2.5-flash", 503);
    assert_eq!(ask(&upstream, GEMINI, "Hi").await.status, 503);
    assert_eq!(ask(&upstream, OPENAI, "Hi").await.status, 200);
}

#[tokio::test]
async fn anthropics_dialect_has_its_form() {
    let upstream = Upstream::start().await;
    let message = ask(&upstream, ANTHROPIC, "Hi").await.expect(200).json;
    assert_eq!(
        message["content"],
        json!([{ "type": "text", "text": "Hello!" }])
    );
    assert_eq!(message["stop_reason"], "end_turn");
    assert_eq!(message["usage"]["input_tokens"], 25);
    assert_eq!(message["usage"]["output_tokens"], 15);
    let events = events(&upstream, ANTHROPIC, "do:think,tools,cached=7").await;
    let names: Vec<&str> = events.iter().map(Event::name).collect();
    let ends = [&names[..4], &names[names.len() - 3..]].concat();
    let wanted = [
        "message_start",
        "content_block_start",
        "ping",
        "content_block_delta",
    ];
    let wanted = [
        &wanted[..],
        &["content_block_stop", "message_delta", "message_stop"],
    ]
    .concat();
    assert_eq!(ends, wanted);
    assert!(
        events
            .iter()
            .all(|event| event.json()["type"] == event.name())
    );
    let start = events[0].json();
    assert_eq!(start["message"]["usage"]["cache_read_input_tokens"], 7);
    let delta = events[events.len() - 2].json();
    assert_eq!(delta["delta"]["stop_reason"], "tool_use");
    assert_eq!(delta["usage"]["output_tokens"], 15);
    let of = |kind: &str, field: &str| -> String {
        let deltas = events.iter().map(|event| event.json()["delta"].clone());
        let texts = deltas.filter(|delta| delta["type"] == kind);
        texts
            .map(|d| d[field].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(of("thinking_delta", "thinking"), "Let me think.");
    assert_eq!(
        of("input_json_delta", "partial_json"),
        r#"{"city":"Paris"}"#
    );
    assert_ne!(of("signature_delta", "signature"), "");
}

#[tokio::test]
async fn geminis_dialect_has_its_form() {
    let upstream = Upstream::start().await;
    let response = ask(&upstream, GEMINI, "do:think,tools,reasoned=4,cached=3").await;
    let response = response.expect(200).json;
    let parts = &response["candidates"][0]["content"]["parts"];
    assert_eq!(parts[0]["thought"], true);
    assert_eq!(parts[1]["functionCall"]["args"], json!({ "city": "Paris" }));
    assert_eq!(response["candidates"][0]["finishReason"], "STOP");
    assert_eq!(response["usageMetadata"]["totalTokenCount"], 44);
    assert_eq!(response["usageMetadata"]["cachedContentTokenCount"], 3);
    let events = events(&upstream, GEMINI_STREAM, "Hi").await;
    let texts: Vec<Value> = events
        .iter()
        .map(|e| e.json()["candidates"][0]["content"]["parts"][0]["text"].clone())
        .collect();
    assert_eq!(texts, ["Hel", "lo", "!"]);
    let last = events[2].json();
    assert_eq!(last["candidates"][0]["finishReason"], "STOP");
    assert_eq!(last["usageMetadata"]["candidatesTokenCount"], 15);
    let blocked = ask(&upstream, GEMINI, "do:blocked").await.expect(200).json;
    assert_eq!(blocked["promptFeedback"]["blockReason"], "SAFETY");
}

#[tokio::test]
async fn what_the_real_providers_refuse_is_refused() {
    let upstream = Upstream::start().await;
    let refused = async |path: &str, change: fn(&mut Value)| {
        let mut body = body(path, "Hi");
        change(&mut body);
        let answer = post(&upstream, path, &body).await.answer().await;
        assert_eq!(answer.status, 400, "{body} {}", answer.text());
    };
    refused(ANTHROPIC, |b| b["max_tokens"] = Value::Null).await;
    refused(ANTHROPIC, |b| b["frequency_penalty"] = 0.into()).await;
    refused(ANTHROPIC, |b| b["messages"][0]["role"] = "system".into()).await;
    refused(ANTHROPIC, |b| b["temperature"] = 1.5.into()).await;
    refused(ANTHROPIC, |b| {
        b["tools"] = json!([{ "type": "function", "function": {} }]);
    })
    .await;
    refused(ANTHROPIC, |b| {
        let result = json!([{ "type": "tool_result", "tool_use_id": "toolu_1" }]);
        b["messages"][0]["content"] = result;
    })
    .await;
    refused(GEMINI, |b| b["contents"] = json!([])).await;
    refused(GEMINI, |b| b["contents"][0]["role"] = "assistant".into()).await;
    refused(GEMINI, |b| b["model"] = "gemini-2.5-flash".into()).await;
    refused(GEMINI, |b| {
        let schema = json!({ "type": "object", "additionalProperties": false });
        b["tools"] = json!([{ "functionDeclarations": [{ "name": "f", "parameters": schema }] }]);
    })
    .await;
    let key = format!("{GEMINI}?key=sk-x");
    let answer = post(&upstream, &key, &body(GEMINI, "Hi"))
        .await
        .answer()
        .await;
    assert_eq!(answer.status, 400);
}

#[tokio::test]
async fn forms_are_filled_and_vectors_given() {
    let upstream = Upstream::start().await;
    let mut form = body(OPENAI, "do:fill");
    let properties = json!({ "title": { "type": "string" }, "pages": { "type": "integer" } });
    let schema = json!({ "type": "object", "properties": properties });
    let format = json!({ "type": "json_schema", "json_schema": { "name": "b", "schema": schema } });
    form["response_format"] = format;
    let answer = post(&upstream, OPENAI, &form).await.answer().await.json;
    let content = answer["choices"][0]["message"]["content"].as_str().unwrap();
    assert_eq!(content, r#"{"pages":36,"title":"Ada"}"#);
    let echo = ask(&upstream, OPENAI, "do:echo").await.json;
    let echo = echo["choices"][0]["message"]["content"].as_str().unwrap();
    assert!(echo.contains("do:echo"));
    let input = json!({ "model": "text-embedding-3-small", "input": ["a", "b"] });
    let vectors = post(&upstream, "/v1/embeddings", &input)
        .await
        .answer()
        .await;
    let vectors = vectors.expect(200).json;
    assert_eq!(
        vectors["data"][1]["embedding"],
        json!([0.25, 0.265_625, 0.28125, 0.296_875])
    );
    assert_eq!(vectors["usage"]["prompt_tokens"], 8);
    assert_eq!(upstream.last().model(), "text-embedding-3-small");
}
