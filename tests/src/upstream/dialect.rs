//! Which dialect a request is in, and what differs between them.

use axum::http::HeaderMap;
use serde_json::Value;

use super::answer::{Answer, Asked};
use super::delivery::Event;
use super::{Recorded, anthropic, gemini, openai};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    OpenAi,
    Anthropic,
    Gemini,
}

/// What a request wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Endpoint {
    Chat,
    Embeddings,
    Models,
}

impl Dialect {
    pub(super) fn of(path: &str) -> Self {
        match path.split('/').nth(1) {
            Some("anthropic") => Self::Anthropic,
            Some("gemini") => Self::Gemini,
            _ => Self::OpenAi,
        }
    }

    /// What is at this path, if anything is.
    pub(super) fn endpoint(self, path: &str) -> Option<Endpoint> {
        match (self, path) {
            (Self::OpenAi, "/v1/chat/completions")
            | (Self::Anthropic, "/anthropic/v1/messages") => Some(Endpoint::Chat),
            (Self::OpenAi, "/v1/embeddings") => Some(Endpoint::Embeddings),
            (Self::OpenAi, "/v1/models")
            | (Self::Anthropic, "/anthropic/v1/models")
            | (Self::Gemini, "/gemini/v1beta/models") => Some(Endpoint::Models),
            (Self::Gemini, path) => gemini_method(path).map(|_| Endpoint::Chat),
            _ => None,
        }
    }

    pub(super) fn asked(self, request: &Recorded) -> Asked {
        let (headers, body) = (&request.headers, serde_json::from_slice(&request.body));
        let body = body.unwrap_or_default();
        match self {
            Self::OpenAi => openai::asked(headers, body),
            Self::Anthropic => anthropic::asked(headers, body),
            Self::Gemini => {
                let (model, stream) = gemini_method(&request.path).unwrap_or_default();
                gemini::asked(headers, model, stream, body)
            }
        }
    }

    /// Refuses what the real provider refuses.
    pub(super) fn check(
        self,
        headers: &HeaderMap,
        query: &str,
        body: &Value,
    ) -> Result<(), (u16, String)> {
        match self {
            Self::OpenAi => Ok(()),
            Self::Anthropic => anthropic::check(headers, body),
            Self::Gemini => gemini::check(headers, query, body),
        }
    }

    /// Tokens in and out, if the script does not say.
    pub(super) const fn usual(self) -> (i64, i64) {
        match self {
            Self::OpenAi => openai::USUAL,
            Self::Anthropic => anthropic::USUAL,
            Self::Gemini => gemini::USUAL,
        }
    }

    pub(super) const fn line_end(self) -> &'static str {
        match self {
            Self::Gemini => gemini::LINE_END,
            Self::OpenAi | Self::Anthropic => "\n",
        }
    }

    pub(super) fn whole(self, asked: &Asked, answer: &Answer) -> Value {
        match self {
            Self::OpenAi => openai::completion(asked, answer),
            Self::Anthropic => anthropic::message(asked, answer),
            Self::Gemini => gemini::response(asked, answer),
        }
    }

    pub(super) fn events(self, asked: &Asked, answer: &Answer) -> Vec<Event> {
        match self {
            Self::OpenAi => openai::events(asked, answer),
            Self::Anthropic => anthropic::events(asked, answer),
            Self::Gemini => gemini::events(asked, answer),
        }
    }

    pub(super) fn error(self, status: u16, message: &str) -> Value {
        match self {
            Self::OpenAi => openai::error(status, message),
            Self::Anthropic => anthropic::error(status, message),
            Self::Gemini => gemini::error(status, message),
        }
    }

    /// The refusal of a key, which repeats it as some providers do.
    pub(super) fn refused_key(self, key: &str) -> (u16, Value) {
        let message = format!("Incorrect API key provided: {key}.");
        match self {
            Self::OpenAi | Self::Anthropic => (401, self.error(401, &message)),
            Self::Gemini => (400, gemini::refused_key(key)),
        }
    }

    pub(super) fn error_event(self, message: &str) -> Event {
        match self {
            Self::OpenAi => openai::error_event(message),
            Self::Anthropic => anthropic::error_event(message),
            Self::Gemini => gemini::error_event(message),
        }
    }

    pub(super) fn models(self) -> Value {
        match self {
            Self::OpenAi => openai::models(),
            Self::Anthropic => anthropic::models(),
            Self::Gemini => gemini::models(),
        }
    }
}

/// The model in a path, and whether it is asked for a stream.
fn gemini_method(path: &str) -> Option<(&str, bool)> {
    let rest = path.strip_prefix("/gemini/v1beta/models/")?;
    match rest.split_once(':')? {
        (model, "generateContent") => Some((model, false)),
        (model, "streamGenerateContent") => Some((model, true)),
        _ => None,
    }
}
