//! A scripted provider that speaks OpenAI's chat completions and remembers every request.
//!
//! What it does follows from the last message: if that begins with `do:`, the word after it is
//! carried out (see [`Script`]); otherwise it answers "Hello!" with 10 + 5 tokens.

use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Response};
use axum::serve::ListenerExt as _;
use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

mod script;

use script::Script;

/// A request as the provider received it.
#[derive(Debug, Clone)]
pub struct Recorded {
    /// The path.
    pub path: String,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl Recorded {
    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("the proxy sends JSON")
    }

    /// The text of the last message; empty if it is no text.
    pub fn prompt(&self) -> String {
        script::last_message(&self.json())
    }
}

#[derive(Debug, Default)]
struct Record {
    requests: Mutex<Vec<Recorded>>,
    connections: AtomicUsize,
}

/// A provider listening on a port of its own. Dropping it stops it.
#[derive(Debug)]
pub struct Upstream {
    port: u16,
    record: Arc<Record>,
    server: JoinHandle<()>,
}

impl Upstream {
    /// Starts it on a free port.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let record = Arc::new(Record::default());
        let app = Router::new()
            .fallback(answer)
            .with_state(Arc::clone(&record));
        let connected = Arc::clone(&record);
        let listener = listener.tap_io(move |_| {
            connected.connections.fetch_add(1, Ordering::Relaxed);
        });
        let server = tokio::spawn(async move {
            // Ends only when the test drops the provider.
            let _ = axum::serve(listener, app).await;
        });
        Self {
            port,
            record,
            server,
        }
    }

    /// What a provider account has as its base URL.
    pub fn base_url(&self) -> String {
        format!("http://127.0.0.1:{}/v1", self.port)
    }

    /// All requests so far.
    pub fn requests(&self) -> Vec<Recorded> {
        self.record
            .requests
            .lock()
            .expect("nobody panics inside")
            .clone()
    }

    /// How many requests there were so far.
    pub fn count(&self) -> usize {
        self.record
            .requests
            .lock()
            .expect("nobody panics inside")
            .len()
    }

    /// How many connections were made to it so far.
    pub fn connections(&self) -> usize {
        self.record.connections.load(Ordering::Relaxed)
    }

    /// The latest request.
    pub fn last(&self) -> Recorded {
        let requests = self.record.requests.lock().expect("nobody panics inside");
        requests.last().expect("a request came").clone()
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn answer(State(record): State<Arc<Record>>, request: Request) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, usize::MAX).await else {
        // The caller died while it was sending: no provider works on half a request.
        return error(400, "the request was cut short");
    };
    let recorded = Recorded {
        path: parts.uri.path().to_owned(),
        headers: parts.headers,
        body,
    };
    let authorization = recorded.headers.get("authorization").cloned();
    let request: Value = serde_json::from_slice(&recorded.body).unwrap_or_default();
    record
        .requests
        .lock()
        .expect("nobody panics inside")
        .push(recorded);
    let authorization = authorization.as_ref().and_then(|value| value.to_str().ok());
    play(
        Script::of(&request),
        &request,
        authorization.unwrap_or_default(),
    )
    .await
}

async fn play(script: Script, request: &Value, authorization: &str) -> Response<Body> {
    match script {
        Script::Hello => completion(request, &json!({ "content": "Hello!" }), &usage(10, 5)),
        Script::Tokens(count) => {
            completion(request, &json!({ "content": "Hello!" }), &usage(count, 0))
        }
        Script::Slow(pause) => {
            tokio::time::sleep(pause).await;
            completion(request, &json!({ "content": "Hello!" }), &usage(10, 5))
        }
        Script::Status(status) => error(status, "the scripted failure"),
        Script::QuoteKey => {
            let key = authorization.trim_start_matches("Bearer ");
            error(401, &format!("Incorrect API key provided: {key}."))
        }
        Script::LongError => error(400, &"no good ".repeat(640)),
        Script::Garbage => respond(200, Body::from("<html>It works!</html>")),
        Script::Empty => respond(200, Body::from("{}")),
        Script::Cut => halfway(End::Broken),
        Script::Stall => halfway(End::Never),
        Script::Silent => std::future::pending().await,
        Script::Tools => completion(request, &tool_calls(), &usage(10, 5)),
        Script::NoUsage => completion(request, &json!({ "content": "Hello!" }), &Value::Null),
        Script::Large(length) => {
            let content = "é".repeat(length / 2);
            completion(request, &json!({ "content": content }), &usage(10, 5))
        }
    }
}

fn usage(input: i64, output: i64) -> Value {
    json!({ "prompt_tokens": input, "completion_tokens": output, "total_tokens": input + output })
}

fn tool_calls() -> Value {
    json!({
        "content": null,
        "tool_calls": [{
            "id": "call_1",
            "type": "function",
            "function": { "name": "weather", "arguments": "{\"city\":\"Paris\"}" },
        }],
    })
}

fn completion(request: &Value, message: &Value, usage: &Value) -> Response<Body> {
    let mut message = message.clone();
    message["role"] = "assistant".into();
    let reason = if message["tool_calls"].is_null() {
        "stop"
    } else {
        "tool_calls"
    };
    let mut body = json!({
        "id": "chatcmpl-scripted",
        "object": "chat.completion",
        "created": 1_790_000_000,
        "model": format!("{}-2024-08-06", request["model"].as_str().unwrap_or_default()),
        "choices": [{ "index": 0, "message": message, "finish_reason": reason }],
    });
    if !usage.is_null() {
        body["usage"] = usage.clone();
    }
    respond(200, Body::from(body.to_string()))
}

fn error(status: u16, message: &str) -> Response<Body> {
    let body = json!({ "error": { "message": message, "type": "scripted", "code": null } });
    respond(status, Body::from(body.to_string()))
}

fn respond(status: u16, body: Body) -> Response<Body> {
    Response::builder()
        .status(status)
        .header("content-type", "application/json")
        .header("set-cookie", "provider-session=1")
        .header("x-provider-region", "upstream-region-1")
        .body(body)
        .expect("a response")
}

/// The first half of an answer that is announced as a whole.
fn halfway(end: End) -> Response<Body> {
    let whole = json!({ "id": "chatcmpl-cut", "choices": [], "padding": "x".repeat(1_000) });
    let whole = whole.to_string();
    let body = Halfway {
        first: Some(Bytes::from(whole[..whole.len() / 2].to_owned())),
        end,
    };
    Response::builder()
        .status(200)
        .header("content-type", "application/json")
        .header("content-length", whole.len())
        .body(Body::new(body))
        .expect("a response")
}

/// What follows the first half.
#[derive(Debug, Clone, Copy)]
enum End {
    /// The connection breaks.
    Broken,
    /// Nothing, and the connection stays.
    Never,
}

struct Halfway {
    first: Option<Bytes>,
    end: End,
}

impl HttpBody for Halfway {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match (self.first.take(), self.end) {
            (Some(first), _) => Poll::Ready(Some(Ok(Frame::data(first)))),
            (None, End::Broken) => Poll::Ready(Some(Err(std::io::Error::other("cut")))),
            (None, End::Never) => Poll::Pending,
        }
    }
}
