//! What a team's application sends, and what it gets back.

use std::time::Duration;

use reqwest::header::HeaderMap;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::events::EventStream;
use crate::fixture::ALPHA;

/// Longer than any answer takes; a request that hangs fails its test.
const TIMEOUT: Duration = Duration::from_mins(2);

/// An answer, read to its end.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub bytes: Vec<u8>,
    /// The body as JSON; null if it is none.
    pub json: Value,
}

impl Answer {
    /// Fails unless the status is this one.
    #[must_use]
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.text());
        self
    }

    /// Fails unless the status is this one and the `detail` contains the fragment.
    #[track_caller]
    pub fn expect_error(&self, status: u16, fragment: &str) {
        assert_eq!(self.status, status, "{}", self.text());
        assert!(self.detail().contains(fragment), "{}", self.text());
    }

    /// The human sentence of an error; empty if there is none.
    pub fn detail(&self) -> &str {
        self.json["detail"].as_str().unwrap_or_default()
    }

    /// A header as text; empty if it is not there.
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }

    /// The seconds of `Retry-After`, if it says some.
    pub fn retry_after(&self) -> Option<u64> {
        self.header("retry-after").parse().ok()
    }

    /// The start of the body, for people.
    pub fn text(&self) -> String {
        let text = String::from_utf8_lossy(&self.bytes);
        text.chars().take(1_000).collect()
    }
}

/// A caller of one proxy with one key.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    base: String,
    key: String,
    team: String,
}

impl Client {
    /// A caller of the proxy on this port; an empty key is not sent.
    pub fn new(port: u16, key: &str) -> Self {
        let http = reqwest::Client::builder()
            .no_proxy()
            .timeout(TIMEOUT)
            .build()
            .expect("a client");
        Self {
            http,
            base: format!("http://127.0.0.1:{port}"),
            key: key.to_owned(),
            team: ALPHA.id.to_owned(),
        }
    }

    /// The same, creating jobs for this team.
    #[must_use]
    pub fn of_team(self, team: &str) -> Self {
        Self {
            team: team.to_owned(),
            ..self
        }
    }

    /// A request with the key, to be finished by the caller.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.base));
        if self.key.is_empty() {
            request
        } else {
            request.bearer_auth(&self.key)
        }
    }

    /// Sends a request and reads its answer, which may fail to come.
    pub async fn try_send(&self, request: RequestBuilder) -> reqwest::Result<Answer> {
        let response = request.send().await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let bytes = response.bytes().await?.to_vec();
        let json = serde_json::from_slice(&bytes).unwrap_or_default();
        Ok(Answer {
            status,
            headers,
            bytes,
            json,
        })
    }

    /// Sends a request and reads its answer.
    pub async fn send(&self, request: RequestBuilder) -> Answer {
        match self.try_send(request).await {
            Ok(answer) => answer,
            Err(error) => panic!("the proxy did not answer: {error:?}"),
        }
    }

    /// GET, where no answer is an answer too.
    pub async fn try_get(&self, path: &str) -> reqwest::Result<Answer> {
        self.try_send(self.request(Method::GET, path)).await
    }

    /// GET.
    pub async fn get(&self, path: &str) -> Answer {
        self.send(self.request(Method::GET, path)).await
    }

    /// POST of a JSON body.
    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(self.request(Method::POST, path).json(body)).await
    }

    /// POST of a JSON body whose answer is read as it comes. Dropping the stream hangs up.
    pub async fn stream(&self, path: &str, body: &Value) -> EventStream {
        let request = self.request(Method::POST, path).json(body);
        match request.send().await {
            Ok(response) => EventStream::of(response),
            Err(error) => panic!("the proxy did not answer: {error:?}"),
        }
    }

    /// PATCH of a JSON body.
    pub async fn patch(&self, path: &str, body: &Value) -> Answer {
        self.send(self.request(Method::PATCH, path).json(body))
            .await
    }

    /// POST of a JSON body with an `Idempotency-Key`.
    pub async fn post_once(&self, path: &str, body: &Value, idempotency_key: &str) -> Answer {
        let request = self.request(Method::POST, path).json(body);
        self.send(request.header("idempotency-key", idempotency_key))
            .await
    }

    /// The body that creates a job of this client's team.
    pub fn job_body(&self) -> Value {
        json!({ "team_id": self.team, "job_type": "chat" })
    }

    /// Tries to create a job.
    pub async fn create(&self) -> Answer {
        self.post("/api/jobs/create", &self.job_body()).await
    }

    /// The status with which creating a job is answered; asked again, it is the same job.
    pub async fn knock(&self) -> Answer {
        self.post_once("/api/jobs/create", &self.job_body(), "knock")
            .await
    }

    /// Creates a job and returns its id.
    pub async fn create_job(&self) -> String {
        job_id(&self.create().await.expect(200))
    }

    /// Says one thing to the team's default model.
    pub async fn call(&self, job: &str, prompt: &str) -> Answer {
        self.call_with(job, &prompt_body(prompt)).await
    }

    /// A call with any body.
    pub async fn call_with(&self, job: &str, body: &Value) -> Answer {
        self.post(&format!("/api/jobs/{job}/llm-call"), body).await
    }

    /// Completes a job well.
    pub async fn complete(&self, job: &str) -> Answer {
        self.end(job, "completed").await
    }

    /// Ends a job with this status.
    pub async fn end(&self, job: &str, status: &str) -> Answer {
        let path = format!("/api/jobs/{job}/complete");
        self.post(&path, &json!({ "status": status })).await
    }

    /// The job as the API shows it.
    pub async fn job(&self, job: &str) -> Value {
        self.get(&format!("/api/jobs/{job}")).await.expect(200).json
    }

    /// The balance of this client's team.
    pub async fn balance(&self) -> Value {
        let path = format!("/api/credits/teams/{}/balance", self.team);
        self.get(&path).await.expect(200).json
    }

    /// The credits that this client's team has left.
    pub async fn credits_remaining(&self) -> i64 {
        let balance = self.balance().await;
        balance["credits_remaining"].as_i64().expect("a number")
    }
}

/// The body of a call with one user message.
pub fn prompt_body(prompt: &str) -> Value {
    json!({ "messages": [{ "role": "user", "content": prompt }] })
}

/// A script for the provider, in a prompt of so many tokens at least: a provider's count of many
/// more than the prompt can have is not believed.
pub fn heavy(script: &str, tokens: usize) -> String {
    format!("{script} {}", "ab".repeat(tokens))
}

/// The id in the answer to a creation.
pub fn job_id(created: &Answer) -> String {
    created.json["job_id"]
        .as_str()
        .expect("a job id")
        .to_owned()
}
