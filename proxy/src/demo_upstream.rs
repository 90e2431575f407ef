//! A small OpenAI-compatible provider for demonstrations, tests and capacity runs. It knows no
//! language: it repeats the question, or takes the values that a prompt asks for out of the prompt.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use bytes::Bytes;
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};
use tokio::net::TcpListener;

mod stream;

/// The model's name.
pub(crate) const MODEL: &str = "demo-model";

/// The longest question that is repeated in an answer, in characters.
const REPEATED_MAX: usize = 2_000;

/// How many bytes of a request are counted as one token.
const BYTES_PER_TOKEN: usize = 4;

/// The longest vector.
const DIMENSIONS_MAX: usize = 4_096;

/// Bodies up to this size are taken.
const BODY_BYTES_MAX: usize = 64 * 1024 * 1024;

/// How the provider behaves.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct Behaviour {
    /// How long it thinks before the first token, in milliseconds.
    #[arg(long, default_value_t = 0)]
    pub(crate) first_token_ms: u64,
    /// How long each further token takes, in milliseconds.
    #[arg(long, default_value_t = 0)]
    pub(crate) token_ms: u64,
    /// Answers every call with this HTTP status and an error.
    #[arg(long, value_parser = clap::value_parser!(u16).range(400..=599))]
    pub(crate) error: Option<u16>,
}

#[derive(Debug, Deserialize)]
struct Question {
    #[serde(default)]
    messages: Vec<Message>,
    max_tokens: Option<usize>,
    stop: Option<Stop>,
    #[serde(default)]
    stream: bool,
    #[serde(default)]
    stream_options: StreamOptions,
}

#[derive(Debug, Default, Deserialize)]
struct StreamOptions {
    #[serde(default)]
    include_usage: bool,
}

#[derive(Debug, Deserialize)]
struct Message {
    #[serde(default)]
    role: String,
    content: Option<Value>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Stop {
    One(String),
    Many(Vec<String>),
}

/// Serves until the process ends.
pub(crate) async fn serve(listener: TcpListener, behaviour: Behaviour) -> std::io::Result<()> {
    let router = Router::new()
        .route("/v1/chat/completions", post(complete))
        .route("/v1/embeddings", post(embed))
        .route("/v1/models", get(models))
        .layer(axum::extract::DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(Arc::new(behaviour));
    axum::serve(listener, router).await
}

/// Binds the address; another port if this one is taken and `any_port` allows it.
pub(crate) async fn bind(address: SocketAddr, any_port: bool) -> std::io::Result<TcpListener> {
    match TcpListener::bind(address).await {
        Err(_) if any_port => TcpListener::bind((address.ip(), 0)).await,
        bound => bound,
    }
}

async fn models() -> Json<Value> {
    Json(json!({ "object": "list", "data": [{ "id": MODEL, "object": "model" }] }))
}

async fn complete(State(behaviour): State<Arc<Behaviour>>, body: Bytes) -> Response {
    if let Some(refusal) = refusal(&behaviour) {
        return refusal;
    }
    let question: Question = match serde_json::from_slice(&body) {
        Ok(question) => question,
        Err(problem) => return error(StatusCode::BAD_REQUEST, &problem.to_string()),
    };
    let answer = answer(&question);
    pause(behaviour.first_token_ms).await;
    let prompt_tokens = body.len() / BYTES_PER_TOKEN;
    let usage = json!({
        "prompt_tokens": prompt_tokens,
        "completion_tokens": answer.tokens,
        "total_tokens": prompt_tokens + answer.tokens,
    });
    if question.stream {
        let usage = question.stream_options.include_usage.then_some(usage);
        let token = Duration::from_millis(behaviour.token_ms);
        return stream::answer(&answer, usage, token);
    }
    pause(behaviour.token_ms * answer.tokens as u64).await;
    Json(json!({
        "id": "chatcmpl-demo",
        "object": "chat.completion",
        "created": 0,
        "model": MODEL,
        "choices": [{
            "index": 0,
            "message": { "role": "assistant", "content": answer.text },
            "finish_reason": answer.finish_reason,
        }],
        "usage": usage,
    }))
    .into_response()
}

async fn pause(ms: u64) {
    // A timer without time would still wait for the next tick of the clock.
    if ms > 0 {
        tokio::time::sleep(Duration::from_millis(ms)).await;
    }
}

#[derive(Debug, Deserialize)]
struct Texts {
    input: Value,
    #[serde(default = "Texts::usual_dimensions")]
    dimensions: usize,
}

impl Texts {
    const fn usual_dimensions() -> usize {
        8
    }
}

async fn embed(State(behaviour): State<Arc<Behaviour>>, body: Bytes) -> Response {
    if let Some(refusal) = refusal(&behaviour) {
        return refusal;
    }
    let texts: Texts = match serde_json::from_slice(&body) {
        Ok(texts) => texts,
        Err(problem) => return error(StatusCode::BAD_REQUEST, &problem.to_string()),
    };
    if !(1..=DIMENSIONS_MAX).contains(&texts.dimensions) {
        let problem = format!("dimensions: must be from 1 to {DIMENSIONS_MAX}");
        return error(StatusCode::BAD_REQUEST, &problem);
    }
    let inputs = match &texts.input {
        // A list of numbers is one text, given as tokens.
        Value::Array(inputs) if !inputs.iter().all(Value::is_number) => inputs.as_slice(),
        one => std::slice::from_ref(one),
    };
    let data = inputs.iter().enumerate().map(|(index, input)| {
        let vector = vector(&input.to_string(), texts.dimensions);
        json!({ "object": "embedding", "index": index, "embedding": vector })
    });
    let tokens = body.len() / BYTES_PER_TOKEN;
    Json(json!({
        "object": "list",
        "data": data.collect::<Vec<_>>(),
        "model": MODEL,
        "usage": { "prompt_tokens": tokens, "total_tokens": tokens },
    }))
    .into_response()
}

/// Numbers from -1 to 1 that only the text decides.
fn vector(text: &str, dimensions: usize) -> Vec<f32> {
    let number = |place: usize| {
        let hash = Sha256::new()
            .chain_update(text)
            .chain_update(place.to_le_bytes());
        let hash = hash.finalize();
        f32::from(i16::from_le_bytes([hash[0], hash[1]])) / 32_768.0
    };
    (0..dimensions).map(number).collect()
}

fn refusal(behaviour: &Behaviour) -> Option<Response> {
    let status = StatusCode::from_u16(behaviour.error?);
    let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    Some(error(status, "the demo upstream was told to fail"))
}

fn error(status: StatusCode, message: &str) -> Response {
    let body = json!({ "error": { "message": message, "type": "invalid_request_error" } });
    (status, Json(body)).into_response()
}

#[derive(Debug, PartialEq, Eq)]
struct Answer {
    text: String,
    tokens: usize,
    finish_reason: &'static str,
}

/// Answers as the limits of the question allow. A word is a token.
fn answer(question: &Question) -> Answer {
    let prompt = question
        .messages
        .iter()
        .rev()
        .find(|m| m.role == "user")
        .map(text_of);
    let prompt = prompt.unwrap_or_default();
    let wants_json = question
        .messages
        .iter()
        .any(|message| text_of(message).contains("JSON"));
    let mut text = if wants_json {
        json_answer(&prompt)
    } else {
        plain_answer(&prompt)
    };
    let stops = match &question.stop {
        None => Vec::new(),
        Some(Stop::One(stop)) => vec![stop.as_str()],
        Some(Stop::Many(stops)) => stops.iter().map(String::as_str).collect(),
    };
    let end = stops
        .into_iter()
        .filter(|stop| !stop.is_empty())
        .filter_map(|stop| text.find(stop));
    if let Some(end) = end.min() {
        text.truncate(end);
    }
    let tokens = text.split_whitespace().count().max(1);
    match question.max_tokens {
        Some(max) if tokens > max => {
            let text = text
                .split_whitespace()
                .take(max)
                .collect::<Vec<_>>()
                .join(" ");
            Answer {
                text,
                tokens: max,
                finish_reason: "length",
            }
        }
        _ => Answer {
            text,
            tokens,
            finish_reason: "stop",
        },
    }
}

fn text_of(message: &Message) -> String {
    match &message.content {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(parts)) => {
            let texts = parts.iter().filter_map(|part| part["text"].as_str());
            texts.collect::<Vec<_>>().join(" ")
        }
        _ => String::new(),
    }
}

fn plain_answer(prompt: &str) -> String {
    let repeated: String = prompt.chars().take(REPEATED_MAX).collect();
    format!("The demo upstream has no model behind it. You asked: {repeated}")
}

/// An object with the keys that the prompt lists after "keys:", filled from its words.
fn json_answer(prompt: &str) -> String {
    let Some((facts, keys)) = prompt.split_once("keys:") else {
        return json!({ "answer": plain_answer(prompt) }).to_string();
    };
    let words: Vec<&str> = facts
        .split([' ', ',', '\n', ':'])
        .filter(|w| !w.is_empty())
        .collect();
    let names = keys
        .split([',', ' ', '.', '\n'])
        .filter(|name| !name.is_empty());
    let object: Map<String, Value> = names
        .map(|name| (name.to_owned(), value_of(name, &words)))
        .collect();
    Value::Object(object).to_string()
}

/// The word after the key's own name, else the words that look like a person's name.
fn value_of(key: &str, words: &[&str]) -> Value {
    let after = words.iter().position(|word| word.eq_ignore_ascii_case(key));
    if let Some(word) = after.and_then(|index| words.get(index + 1)) {
        let word = word.trim_end_matches('.');
        return word
            .parse::<i64>()
            .map_or_else(|_| json!(word), |number| json!(number));
    }
    let is_name = |word: &&&str| {
        let mut letters = word.chars();
        letters.next().is_some_and(char::is_uppercase) && letters.all(char::is_lowercase)
    };
    let is_instruction = |word: &&str| ["Extract", "Find", "Return"].contains(word);
    let names: Vec<&str> = words
        .iter()
        .filter(is_name)
        .copied()
        .filter(|word| !is_instruction(word))
        .collect();
    json!(names.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(body: Value) -> Answer {
        answer(&serde_json::from_value(body).unwrap())
    }

    #[test]
    fn limits_and_stops_are_kept() {
        let question = |extra: Value| {
            let mut body = json!({ "messages": [{ "role": "user", "content": "one two three" }] });
            body.as_object_mut()
                .unwrap()
                .extend(extra.as_object().unwrap().clone());
            ask(body)
        };
        assert!(question(json!({})).text.ends_with("one two three"));
        assert_eq!(question(json!({ "max_tokens": 2 })).text, "The demo");
        assert_eq!(question(json!({ "max_tokens": 2 })).finish_reason, "length");
        assert!(question(json!({ "stop": [" two"] })).text.ends_with("one"));
    }

    #[test]
    fn vectors_depend_on_the_text_alone() {
        assert_eq!(vector("a", 3), vector("a", 3));
        assert_eq!(vector("a", 3)[..2], vector("a", 2));
        assert_ne!(vector("a", 3), vector("b", 3));
        assert!(vector("a", 500).iter().all(|x| (-1.0..=1.0).contains(x)));
    }

    #[test]
    fn a_prompt_for_json_is_answered_with_its_keys() {
        let content = "Extract person info: John Smith, age 35, email john@example.com. Return as \
                       JSON with keys: name, age, email";
        let answer = ask(json!({ "messages": [{ "role": "user", "content": content }] }));
        let data: Value = serde_json::from_str(&answer.text).unwrap();
        assert_eq!(data["name"], "John Smith");
        assert_eq!(data["age"], 35);
        assert_eq!(data["email"], "john@example.com");
    }
}
