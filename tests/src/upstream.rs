//! A scripted provider that speaks the dialects of OpenAI, Anthropic and Gemini and remembers
//! every request.
//!
//! What it does follows from the last message: if that begins with `do:`, the words after it are
//! carried out (see `tests/src/upstream/script.rs`); otherwise it answers "Hello!", with 10 + 5
//! tokens in OpenAI's dialect and 25 + 15 in the others. It refuses what the real providers refuse.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use axum::Router;
use axum::http::HeaderMap;
use bytes::Bytes;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

mod answer;
mod anthropic;
mod delivery;
mod dialect;
mod gemini;
mod openai;
mod play;
mod schema;
mod script;
mod socket;

use dialect::Dialect;
use socket::{Connection, Listener};

/// A request as the provider received it.
#[derive(Debug, Clone)]
pub struct Recorded {
    /// The path.
    pub path: String,
    /// What follows the question mark; empty if nothing does.
    pub query: String,
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
        Dialect::of(&self.path).asked(self).prompt
    }

    /// The model that is asked for.
    pub fn model(&self) -> String {
        Dialect::of(&self.path).asked(self).model
    }

    /// The secret that the request shows; empty if it shows none.
    pub fn key(&self) -> String {
        Dialect::of(&self.path).asked(self).key
    }
}

/// What the provider has seen and what it has been told.
#[derive(Debug, Default)]
struct Memory {
    requests: Vec<Recorded>,
    /// How often a prompt was heard that is to fail at first.
    heard: HashMap<String, usize>,
    broken_keys: HashMap<String, u16>,
    broken_models: HashMap<String, u16>,
    /// What models answer in place of anything else.
    failing_models: HashMap<String, Failing>,
}

/// An answer that was given to a model beforehand.
#[derive(Debug, Clone)]
struct Failing {
    status: u16,
    headers: Vec<(String, String)>,
    body: String,
}

#[derive(Debug)]
struct Record {
    memory: Mutex<Memory>,
    connections: Arc<AtomicUsize>,
    aborted: Arc<AtomicUsize>,
    gate: Arc<Semaphore>,
}

impl Record {
    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().expect("nobody panics inside")
    }
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
        let tcp = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = tcp.local_addr().expect("an address").port();
        let record = Arc::new(Record {
            memory: Mutex::default(),
            connections: Arc::default(),
            aborted: Arc::default(),
            gate: Arc::new(Semaphore::new(0)),
        });
        let app = Router::new()
            .fallback(play::answer)
            .with_state(Arc::clone(&record))
            .into_make_service_with_connect_info::<Connection>();
        let accepted = Arc::clone(&record.connections);
        let server = tokio::spawn(async move {
            // Ends only when the test drops the provider.
            let _ = axum::serve(Listener { tcp, accepted }, app).await;
        });
        Self {
            port,
            record,
            server,
        }
    }

    /// What an account that speaks OpenAI's dialect has as its base URL.
    pub fn base_url(&self) -> String {
        format!("http://127.0.0.1:{}/v1", self.port)
    }

    /// What an account that speaks Anthropic's dialect has as its base URL.
    pub fn anthropic_base_url(&self) -> String {
        format!("http://127.0.0.1:{}/anthropic/v1", self.port)
    }

    /// What an account that speaks Gemini's dialect has as its base URL.
    pub fn gemini_base_url(&self) -> String {
        format!("http://127.0.0.1:{}/gemini/v1beta", self.port)
    }

    /// All requests so far.
    pub fn requests(&self) -> Vec<Recorded> {
        self.record.memory().requests.clone()
    }

    /// How many requests there were so far.
    pub fn count(&self) -> usize {
        self.record.memory().requests.len()
    }

    /// The latest request.
    pub fn last(&self) -> Recorded {
        let memory = self.record.memory();
        memory.requests.last().expect("a request came").clone()
    }

    /// How many connections were made to it so far.
    pub fn connections(&self) -> usize {
        self.record.connections.load(Ordering::Relaxed)
    }

    /// How many requests were given up by the other side before they were answered to the end.
    pub fn aborted(&self) -> usize {
        self.record.aborted.load(Ordering::Relaxed)
    }

    /// Lets one more event of a gated stream pass, or one gated answer that is no stream.
    pub fn release(&self) {
        self.record.gate.add_permits(1);
    }

    /// Lets everything pass that is gated.
    pub fn release_all(&self) {
        self.record.gate.add_permits(Semaphore::MAX_PERMITS / 2);
    }

    /// Fails every request that shows this secret, with this status.
    pub fn break_key(&self, secret: &str, status: u16) {
        let mut memory = self.record.memory();
        memory.broken_keys.insert(secret.to_owned(), status);
    }

    /// Fails every request for this model, with this status.
    pub fn break_model(&self, model: &str, status: u16) {
        let mut memory = self.record.memory();
        memory.broken_models.insert(model.to_owned(), status);
    }

    /// Answers every request for this model so. A text is sent as it is, anything else as JSON.
    pub fn fail_model(&self, model: &str, status: u16, headers: &[(&str, &str)], body: &Value) {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let failing = Failing {
            status,
            headers: headers.iter().map(own).collect(),
            body: body
                .as_str()
                .map_or_else(|| body.to_string(), str::to_owned),
        };
        let mut memory = self.record.memory();
        memory.failing_models.insert(model.to_owned(), failing);
    }

    /// Takes back what [`Self::break_key`], [`Self::break_model`] and [`Self::fail_model`] did.
    pub fn heal(&self) {
        let mut memory = self.record.memory();
        memory.broken_keys.clear();
        memory.broken_models.clear();
        memory.failing_models.clear();
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.server.abort();
    }
}
