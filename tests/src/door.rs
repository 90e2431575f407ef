//! The ways in which a caller may ask for a stream.

use serde_json::{Value, json};

use crate::client::{Client, prompt_body};
use crate::events::{Event, EventStream};

/// A way to ask for a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// A call in a job that is open.
    Job,
    /// A job of one call, created with it.
    Single,
    /// OpenAI's chat completions.
    OpenAi,
    /// Anthropic's messages.
    Anthropic,
}

impl Door {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Job, Self::Single, Self::OpenAi, Self::Anthropic];

    /// The path; only a call in a job has the job in it.
    pub fn path(self, job: &str) -> String {
        match self {
            Self::Job => format!("/api/jobs/{job}/llm-call-stream"),
            Self::Single => "/api/jobs/create-and-call-stream".to_owned(),
            Self::OpenAi => "/v1/chat/completions".to_owned(),
            Self::Anthropic => "/v1/messages".to_owned(),
        }
    }

    /// The body that asks this model to answer the prompt.
    pub fn body(self, client: &Client, model: &str, prompt: &str) -> Value {
        let mut body = prompt_body(prompt);
        body["model"] = model.into();
        match self {
            Self::Job => {}
            Self::Single => {
                for (name, value) in client.job_body().as_object().into_iter().flatten() {
                    body[name] = value.clone();
                }
            }
            Self::OpenAi => body["stream"] = true.into(),
            Self::Anthropic => {
                body["stream"] = true.into();
                body["max_tokens"] = 1_000.into();
            }
        }
        body
    }

    /// Asks through this door; `job` matters only for a call in a job.
    pub async fn ask(self, client: &Client, job: &str, model: &str, prompt: &str) -> EventStream {
        let body = self.body(client, model, prompt);
        client.stream(&self.path(job), &body).await
    }

    /// The error that a stream ended with; null if it did not.
    pub fn error_in(self, events: &[Event]) -> Value {
        let errors = events.iter().map(Event::json);
        let mut errors = errors.filter(|json| !json["error"].is_null());
        let error = errors.next().unwrap_or_default();
        assert_eq!(errors.next(), None, "one error is enough");
        error
    }

    /// Whether a stream ended as this API ends a good one.
    pub fn is_ended(self, events: &[Event]) -> bool {
        let last = events.iter().rfind(|event| !event.is_comment());
        last.is_some_and(|event| match self {
            Self::Anthropic => event.name() == "message_stop",
            _ => event.is_done(),
        })
    }

    /// The tokens that a stream told of, in and out; null if it did not.
    pub fn usage_in(self, events: &[Event]) -> Value {
        let mut usages = events.iter().map(|event| event.json()["usage"].clone());
        let usage = usages.rfind(Value::is_object).unwrap_or_default();
        let names = match self {
            Self::Anthropic => ["input_tokens", "output_tokens"],
            _ => ["prompt_tokens", "completion_tokens"],
        };
        if usage.is_null() {
            return usage;
        }
        json!(names.map(|name| usage[name].clone()))
    }
}

/// All the text that events add, in whatever dialect.
pub fn text_of(events: &[Event]) -> String {
    events.iter().map(Event::content).collect()
}
