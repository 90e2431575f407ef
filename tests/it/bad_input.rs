//! Input that no honest client sends: always a 4xx with a reason, never a 500, never a hang.

use reqwest::Method;
use serde_json::{Value, json};
use tollgate_tests::client::prompt_body;
use tollgate_tests::fixture::ALPHA;
use tollgate_tests::{Client, Proxy, World, raw};

const JSON: &str = "Content-Type: application/json\r\n";

async fn post_text(client: &Client, path: &str, body: impl Into<String>) -> tollgate_tests::Answer {
    let request = client
        .request(Method::POST, path)
        .header("content-type", "application/json")
        .body(body.into());
    client.send(request).await
}

/// The paths that take a body, with a job that is open.
fn paths(job: &str) -> [String; 3] {
    [
        "/api/jobs/create".to_owned(),
        format!("/api/jobs/{job}/llm-call"),
        format!("/api/jobs/{job}/complete"),
    ]
}

/// The proxy still does its work.
async fn still_works(proxy: &Proxy, job: &str) {
    let _ = proxy.client(ALPHA).call(job, "Hi").await.expect(200);
}

#[tokio::test]
async fn json_that_is_none_is_a_bad_request() {
    let world = World::sqlite().await;
    let proxy = world.start().await;
    let alpha = proxy.client(ALPHA);
    let job = alpha.create_job().await;
    for path in paths(&job) {
        for body in [
            "{",
            "",
            "nonsense",
            "{\"a\":}",
            "[",
            "\u{feff}{}",
            "{}{}",
            "null",
            "7",
            "\"x\"",
        ] {
            let answer = post_text(&alpha, &path, body).await;
            answer.expect_error(400, "");
            assert!(!answer.detail().is_empty(), "{path} {body}");
        }
    }
    let answer = post_text(&alpha, "/api/jobs/create", "{").await.expect(400);
    assert_eq!(answer.json["errors"][0]["loc"][0], "body");
    assert_eq!(answer.json["errors"][0]["type"], "json_invalid");
    still_works(&proxy, &job).await;
}

#[tokio::test]
async fn another_content_type_is_unsupported() {
    let world = World::sqlite().await;
    let proxy = world.start().await;
    let alpha = proxy.client(ALPHA);
    let job = alpha.create_job().await;
    for path in paths(&job) {
        for kind in [
            "text/plain",
            "application/xml",
            "multipart/form-data",
            "application/jsonx",
        ] {
            let request = alpha
                .request(Method::POST, &path)
                .header("content-type", kind)
                .body(alpha.job_body().to_string());
            alpha
                .send(request)
                .await
                .expect_error(415, "application/json");
        }
    }
    for kind in ["application/json; charset=utf-8", "Application/JSON"] {
        let request = alpha
            .request(Method::POST, "/api/jobs/create")
            .header("content-type", kind)
            .body(alpha.job_body().to_string());
        let _ = alpha.send(request).await.expect(200);
    }
}

#[tokio::test]
async fn json_as_deep_as_a_well_neither_crashes_nor_hangs() {
    let world = World::sqlite().await;
    let proxy = world.start().await;
    let alpha = proxy.client(ALPHA);
    let job = alpha.create_job().await;
    let deep = format!("{}1{}", "[".repeat(10_000), "]".repeat(10_000));
    let objects = format!("{}1{}", "{\"a\":".repeat(10_000), "}".repeat(10_000));
    for nested in [&deep, &objects] {
        let create =
            format!(r#"{{"team_id":"team-alpha","job_type":"chat","metadata":{{"x":{nested}}}}}"#);
        post_text(&alpha, "/api/jobs/create", create)
            .await
            .expect_error(400, "");
        for path in paths(&job) {
            post_text(&alpha, &path, nested.clone())
                .await
                .expect_error(400, "");
        }
        let call = format!(r#"{{"messages":[{{"role":"user","content":{nested}}}]}}"#);
        let path = format!("/api/jobs/{job}/llm-call");
        post_text(&alpha, &path, call).await.expect_error(400, "");
    }
    still_works(&proxy, &job).await;
}

#[tokio::test]
async fn nul_and_half_characters_are_never_an_error_of_ours() {
    let world = World::sqlite().await;
    let proxy = world.start().await;
    refuses_nul(&proxy).await;
    let world = World::postgres().await;
    let proxy = world.start().await;
    refuses_nul(&proxy).await;
}

async fn refuses_nul(proxy: &Proxy) {
    let alpha = proxy.client(ALPHA);
    let job = alpha.create_job().await;
    for field in ["job_type", "user_id"] {
        let mut body = alpha.job_body();
        body[field] = "a\0b".into();
        alpha
            .post("/api/jobs/create", &body)
            .await
            .expect_error(400, field);
    }
    for text in [r#""\u0000""#, r#""\ud800""#, r#""\ud800\u0041""#] {
        let body =
            format!(r#"{{"team_id":"team-alpha","job_type":"chat","metadata":{{"x":{text}}}}}"#);
        let answer = post_text(&alpha, "/api/jobs/create", body).await;
        assert!(
            matches!(answer.status, 200 | 400),
            "{text}: {}",
            answer.text()
        );
    }
    let mut body = prompt_body("a\0b");
    let answer = alpha.call_with(&job, &body).await;
    assert!(matches!(answer.status, 200 | 400), "{}", answer.text());
    body["purpose"] = "a\0b".into();
    alpha
        .call_with(&job, &body)
        .await
        .expect_error(400, "purpose");
    let done = json!({ "status": "failed", "error_message": "a\0b" });
    let answer = alpha
        .post(&format!("/api/jobs/{job}/complete"), &done)
        .await;
    assert!(matches!(answer.status, 200 | 400), "{}", answer.text());
}

#[tokio::test]
async fn bytes_that_are_no_text_are_a_bad_request() {
    let world = World::sqlite().await;
    let proxy = world.start().await;
    let alpha = proxy.client(ALPHA);
    let job = alpha.create_job().await;
    let mut body = prompt_body("XX").to_string().into_bytes();
    let at = body.windows(2).position(|pair| pair == b"XX").unwrap();
    body[at..at + 2].copy_from_slice(&[0xff, 0xfe]);
    let request = alpha
        .request(Method::POST, &format!("/api/jobs/{job}/llm-call"))
        .header("content-type", "application/json")
        .body(body);
    alpha.send(request).await.expect_error(400, "");
    assert_eq!(world.upstream.count(), 0);
}

#[tokio::test]
async fn huge_ids_are_not_found() {
    let world = World::sqlite().await;
    let proxy = world.start().await;
    let alpha = proxy.client(ALPHA);
    for length in [100, 1_000, 7_000] {
        let id = "a".repeat(length);
        alpha
            .get(&format!("/api/jobs/{id}"))
            .await
            .expect_error(404, "Job not found");
        let body = json!({ "team_id": id, "job_type": "chat" });
        let answer = alpha.post("/api/jobs/create", &body).await;
        assert!(matches!(answer.status, 400 | 403), "{}", answer.text());
        assert!(
            answer.detail().len() < 400,
            "a refusal does not repeat {length} characters"
        );
        let mut body = prompt_body("Hi");
        body["model"] = id.into();
        let job = alpha.create_job().await;
        let answer = alpha.call_with(&job, &body).await;
        assert!(matches!(answer.status, 400 | 403), "{}", answer.text());
        assert!(answer.bytes.len() < 1_000);
        let _ = alpha.end(&job, "failed").await.expect(200);
    }
    let path = format!("/api/jobs/{}", "a".repeat(1_000_000));
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    let answer = raw::exchange(proxy.port(), request.as_bytes()).await;
    assert!(
        (400..500).contains(&answer.status) || answer.status == 0,
        "{}",
        answer.status
    );
}

#[tokio::test]
async fn headers_that_are_there_twice_are_refused_where_they_matter() {
    let world = World::sqlite().await;
    let proxy = world.start().await;
    let alpha = proxy.client(ALPHA);
    let job = alpha.create_job().await;
    let body = prompt_body("Hi").to_string();
    let path = format!("/api/jobs/{job}/llm-call");
    let length = format!("Content-Length: {}\r\n", body.len());
    let twice = [
        format!("{JSON}{length}Authorization: Bearer sk-other\r\n"),
        format!("{JSON}{length}Idempotency-Key: a\r\nIdempotency-Key: b\r\n"),
        format!("{JSON}{length}Content-Length: 5\r\n"),
        format!("{JSON}{length}Transfer-Encoding: chunked\r\n"),
    ];
    for headers in twice {
        let request = raw::post(&path, ALPHA.key, &headers, &body);
        let answer = raw::exchange(proxy.port(), &request).await;
        assert!(
            (400..500).contains(&answer.status),
            "{headers:?} was answered {}: {}",
            answer.status,
            answer.text
        );
    }
    assert_eq!(world.upstream.count(), 0);
    still_works(&proxy, &job).await;
}

#[tokio::test]
async fn what_is_no_http_at_all_ends_without_harm() {
    let world = World::sqlite().await;
    let proxy = world.start().await;
    let alpha = proxy.client(ALPHA);
    let job = alpha.create_job().await;
    let too_many: String = (0..2_000).map(|n| format!("X-{n}: y\r\n")).collect();
    let garbage = [
        "nonsense\r\n\r\n".to_owned(),
        "\0\0\0\0\r\n\r\n".to_owned(),
        "GET\r\n\r\n".to_owned(),
        "GET / HTTP/9.9\r\n\r\n".to_owned(),
        format!("GET /health HTTP/1.1\r\nHost: x\r\n{too_many}\r\n"),
        format!(
            "GET /health HTTP/1.1\r\nX: {}\r\n\r\n",
            "y".repeat(2_000_000)
        ),
    ];
    for text in garbage {
        let answer = raw::exchange(proxy.port(), text.as_bytes()).await;
        let start: String = text.chars().take(20).collect();
        assert!(
            answer.status < 500,
            "{start:?} was answered {}",
            answer.status
        );
    }
    still_works(&proxy, &job).await;
}

#[tokio::test]
async fn a_caller_that_never_finishes_its_body_is_given_up() {
    let world = World::sqlite()
        .await
        .with("TOLLGATE_LIMITS_BODY_READ_TIMEOUT_MS", "500");
    let proxy = world.start().await;
    let job = proxy.client(ALPHA).create_job().await;
    for path in paths(&job) {
        let headers = format!("{JSON}Content-Length: 1000\r\n");
        let request = raw::post(&path, ALPHA.key, &headers, "{\"messages\":");
        let answer = raw::exchange(proxy.port(), &request).await;
        assert!(
            (400..500).contains(&answer.status) || answer.status == 0,
            "{path}: {}",
            answer.text
        );
    }
    assert_eq!(world.upstream.count(), 0);
    assert!(world.calls(&job).await.is_empty());
    still_works(&proxy, &job).await;
}

#[tokio::test]
async fn names_repeated_in_an_object_do_not_confuse_the_books() {
    let world = World::sqlite().await;
    let proxy = world.start().await;
    let alpha = proxy.client(ALPHA);
    let job = alpha.create_job().await;
    let body = r#"{"messages":[{"role":"user","content":"a"}],"model":"chat-fast",
                   "model":"chat-ungranted","messages":[{"role":"user","content":"b"}]}"#;
    let answer = post_text(&alpha, &format!("/api/jobs/{job}/llm-call"), body).await;
    assert!(matches!(answer.status, 400 | 403), "{}", answer.text());
    assert_eq!(world.upstream.count(), 0);
    let both = json!({ "model": "chat-mini", "model_group": "chat-fast",
                       "messages": [{ "role": "user", "content": "a" }] });
    let answer = alpha.call_with(&job, &both).await;
    assert!(matches!(answer.status, 200 | 400), "{}", answer.text());
    if answer.status == 200 {
        assert_ne!(answer.json["model"], Value::Null);
    }
}
