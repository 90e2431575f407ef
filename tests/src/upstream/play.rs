//! Carries a script out.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::Response;
use serde_json::Value;

use super::answer::{Answer, Asked};
use super::delivery::{self, Performance, Step, Watch};
use super::dialect::{Dialect, Endpoint};
use super::openai;
use super::script::{Failure, FaultKind, Script};
use super::socket::Connection;
use super::{Record, Recorded};

/// What is said when a script fails.
const FAILURE: &str = "the scripted failure";

/// An answer before it is on its way.
struct Reply {
    status: u16,
    kind: &'static str,
    /// Announced only if the answer is no stream.
    length: Option<usize>,
    retry_after: Option<u64>,
    headers: Vec<(String, String)>,
    steps: Vec<Step>,
}

impl Reply {
    fn json(status: u16, body: &Value) -> Self {
        let body = body.to_string();
        Self {
            status,
            kind: "application/json",
            length: Some(body.len()),
            retry_after: None,
            headers: Vec::new(),
            steps: delivery::whole_steps(&body, None),
        }
    }
}

/// Answers any request.
pub(super) async fn answer(
    State(record): State<Arc<Record>>,
    ConnectInfo(connection): ConnectInfo<Connection>,
    request: Request,
) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let watch = Watch::new(Arc::clone(&record.aborted));
    let reply = match axum::body::to_bytes(body, usize::MAX).await {
        Ok(body) => {
            let request = Recorded {
                path: parts.uri.path().to_owned(),
                query: parts.uri.query().unwrap_or_default().to_owned(),
                headers: parts.headers,
                body,
            };
            record.memory().requests.push(request.clone());
            reply(&record, &request).await
        }
        // The caller died while it was sending: no provider works on half a request.
        Err(_) => {
            let error = openai::error(400, "the request was cut short");
            Reply::json(400, &error)
        }
    };
    let mut response = Response::builder()
        .status(reply.status)
        .header("content-type", reply.kind)
        .header("set-cookie", "provider-session=1")
        .header("x-provider-region", "upstream-region-1");
    if let Some(length) = reply.length {
        response = response.header("content-length", length);
    } else {
        response = response.header("cache-control", "no-cache");
    }
    if let Some(seconds) = reply.retry_after {
        response = response.header("retry-after", seconds);
    }
    for (name, value) in &reply.headers {
        response = response.header(name, value);
    }
    let gate = Arc::clone(&record.gate);
    let body = Performance::new(reply.steps, gate, connection, watch);
    response.body(Body::new(body)).expect("a response")
}

async fn reply(record: &Record, request: &Recorded) -> Reply {
    let dialect = Dialect::of(&request.path);
    let Some(endpoint) = dialect.endpoint(&request.path) else {
        return Reply::json(404, &dialect.error(404, "nothing is at this path"));
    };
    let asked = dialect.asked(request);
    if let Some(status) = broken(record, &asked) {
        return Reply::json(status, &dialect.error(status, FAILURE));
    }
    if let Some(failing) = record.memory().failing_models.get(&asked.model) {
        return Reply {
            status: failing.status,
            kind: "application/json",
            length: Some(failing.body.len()),
            retry_after: None,
            headers: failing.headers.clone(),
            steps: delivery::whole_steps(&failing.body, None),
        };
    }
    if endpoint == Endpoint::Models {
        return Reply::json(200, &dialect.models());
    }
    if let Err((status, message)) = dialect.check(&request.headers, &request.query, &asked.body) {
        return Reply::json(status, &dialect.error(status, &message));
    }
    let script = Script::of(&asked.prompt);
    if script.silent {
        std::future::pending::<()>().await;
    }
    if !script.slow.is_zero() {
        tokio::time::sleep(script.slow).await;
    }
    if let Some(reply) = failure(record, dialect, &asked, &script) {
        return Reply {
            retry_after: script.retry_after,
            ..reply
        };
    }
    match endpoint {
        Endpoint::Embeddings => Reply::json(200, &openai::embeddings(&asked)),
        _ if asked.stream && !script.whole => stream(dialect, &asked, &script, &request.query),
        _ => {
            if script.gated.is_some() {
                delivery::pass(Arc::clone(&record.gate)).await;
            }
            whole(dialect, &asked, &script)
        }
    }
}

/// The status with which this key or this model fails now, if either does.
fn broken(record: &Record, asked: &Asked) -> Option<u16> {
    let memory = record.memory();
    let by_key = memory.broken_keys.get(&asked.key);
    by_key
        .or_else(|| memory.broken_models.get(&asked.model))
        .copied()
}

fn failure(record: &Record, dialect: Dialect, asked: &Asked, script: &Script) -> Option<Reply> {
    let error = |status, message: &str| Reply::json(status, &dialect.error(status, message));
    match script.failure {
        None => {
            // An error comes first if there is no stream that it could come into.
            let kind = script.fault.map(|fault| fault.kind);
            let early = kind == Some(FaultKind::Error) && !asked.stream;
            early.then(|| error(500, FAILURE))
        }
        Some(Failure::Status(status)) => Some(error(status, FAILURE)),
        Some(Failure::QuoteKey) => {
            let (status, body) = dialect.refused_key(&asked.key);
            Some(Reply::json(status, &body))
        }
        Some(Failure::HangUp) => Some(Reply {
            steps: vec![Step::Break],
            ..error(500, FAILURE)
        }),
        Some(Failure::LongError) => Some(error(400, &"no good ".repeat(640))),
        Some(Failure::First { count, status }) => {
            let mut memory = record.memory();
            let heard = memory.heard.entry(asked.prompt.clone()).or_default();
            *heard += 1;
            (*heard <= count).then(|| error(status, FAILURE))
        }
    }
}

fn whole(dialect: Dialect, asked: &Asked, script: &Script) -> Reply {
    let answer = Answer::of(script, asked, dialect.usual());
    let body = dialect.whole(asked, &answer).to_string();
    let steps = delivery::whole_steps(&body, script.fault);
    let length = match script.fault.map(|fault| fault.kind) {
        Some(FaultKind::Garbage | FaultKind::Empty | FaultKind::End) => None,
        _ => Some(body.len()),
    };
    Reply {
        status: 200,
        kind: "application/json",
        length,
        retry_after: None,
        headers: Vec::new(),
        steps,
    }
}

fn stream(dialect: Dialect, asked: &Asked, script: &Script, query: &str) -> Reply {
    let answer = Answer::of(script, asked, dialect.usual());
    let events = dialect.events(asked, &answer);
    if dialect == Dialect::Gemini && !query.split('&').any(|pair| pair == "alt=sse") {
        let chunks = events.iter().map(|event| event.data.as_str());
        let list = format!("[{}]", chunks.collect::<Vec<_>>().join(",\r\n"));
        let list: Value = serde_json::from_str(&list).expect("chunks are JSON");
        return Reply::json(200, &list);
    }
    let error = dialect.error_event(FAILURE);
    Reply {
        status: 200,
        kind: "text/event-stream; charset=utf-8",
        length: None,
        retry_after: None,
        headers: Vec::new(),
        steps: delivery::stream_steps(events, error, script, dialect.line_end()),
    }
}
