//! What a provider's refusal means, and what of its words may be seen.

use std::borrow::Cow;

use serde::Deserialize;
use tollgate_common::secret::Secret;

use crate::steps::forward::{UpstreamFailure, UpstreamReply};

#[derive(Deserialize)]
struct WireError<'a> {
    #[serde(borrow)]
    error: WireErrorBody<'a>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum WireErrorBody<'a> {
    Object {
        message: String,
        #[serde(default)]
        details: serde_json::Value,
    },
    Text(#[serde(borrow)] Cow<'a, str>),
}

/// What must not leave us in a provider's words.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scrub<'a> {
    /// The key that was sent.
    pub(crate) key: &'a Secret,
    /// The provider's host.
    pub(crate) host: &'a str,
    /// The provider's name of the model.
    pub(crate) upstream_model: &'a str,
    /// What callers call the model.
    pub(crate) alias: &'a str,
}

/// The longest message of a provider that is kept, in characters.
const MESSAGE_LENGTH_MAX: usize = 500;

impl Scrub<'_> {
    /// Takes keys, hosts, addresses and the real model out of a provider's message.
    fn clean(&self, message: &str) -> String {
        // Databases refuse NUL, and terminals obey control characters.
        let message: String = message
            .chars()
            .filter(|c| !c.is_control() || *c == '\n')
            .collect();
        let message = replaced(&message, self.key.expose(), "[key]");
        let message = replaced(&message, self.host, "[provider]");
        let message = replaced(&message, self.upstream_model, self.alias);
        let is_secret = |word: &str| {
            let word = word.trim_start_matches(|c: char| !c.is_ascii_alphanumeric());
            word.starts_with("http://")
                || word.starts_with("https://")
                || ["sk-", "sk_", "org-", "gsk_", "AIza", "key-"]
                    .iter()
                    .any(|p| word.starts_with(p))
        };
        let words = message.split_whitespace();
        let words = words.map(|word| if is_secret(word) { "[removed]" } else { word });
        let text = words.collect::<Vec<_>>().join(" ");
        text.chars().take(MESSAGE_LENGTH_MAX).collect()
    }
}

fn replaced<'t>(text: &'t str, what: &str, with: &str) -> Cow<'t, str> {
    if what.is_empty() {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(text.replace(what, with))
    }
}

/// What an answer with another status than 200 means.
pub(crate) fn failure(reply: &UpstreamReply, scrub: Scrub<'_>) -> UpstreamFailure {
    let (message, is_about_key) = match serde_json::from_slice::<WireError<'_>>(&reply.body) {
        Ok(WireError {
            error: WireErrorBody::Object { message, details },
        }) => (scrub.clean(&message), refuses_key(&details)),
        Ok(WireError {
            error: WireErrorBody::Text(message),
        }) => (scrub.clean(&message), false),
        Err(_) => ("no message".to_owned(), false),
    };
    let (status, retry_after) = (reply.status, reply.retry_after);
    match status {
        400 if is_about_key => UpstreamFailure::Unauthorized {
            status: 401,
            message,
        },
        401 | 403 => UpstreamFailure::Unauthorized { status, message },
        429 => UpstreamFailure::RateLimited { retry_after },
        400 | 404 | 405 | 409 | 410 | 413 | 415 | 422 => {
            UpstreamFailure::Rejected { status, message }
        }
        _ => UpstreamFailure::ServerError {
            status,
            message,
            retry_after,
        },
    }
}

/// Whether the details of a 400 say that it is about our key: Gemini has no other status for that.
fn refuses_key(details: &serde_json::Value) -> bool {
    let mut details = details.as_array().into_iter().flatten();
    details.any(|detail| detail["reason"] == "API_KEY_INVALID")
}

/// What an error event in the middle of a stream means. Nothing of its words is shown: there is no
/// telling what they hold.
pub(crate) fn in_stream(_data: &str) -> UpstreamFailure {
    UpstreamFailure::ServerError {
        status: 200,
        message: "the provider reported an error within its stream".to_owned(),
        retry_after: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_of_providers_are_scrubbed() {
        let key = Secret::new("sk-real-secret");
        let scrub = Scrub {
            key: &key,
            host: "api.x.com",
            upstream_model: "gpt-4o",
            alias: "fast",
        };
        let reply = |status, message: &str| UpstreamReply {
            status,
            retry_after: None,
            body: serde_json::json!({"error": {"message": message}})
                .to_string()
                .into(),
        };
        let text = "Incorrect key 'sk-real-secret' (sk-rea***) for gpt-4o, see https://api.x.com/k";
        let UpstreamFailure::Rejected { message, .. } = failure(&reply(400, text), scrub) else {
            panic!("a 400 is a rejection");
        };
        for secret in ["sk-", "api.x.com", "gpt-4o"] {
            assert!(!message.contains(secret), "{message}");
        }
        assert!(message.contains("fast"));
        let with_nul = failure(&reply(400, "bad name 'a\0'"), scrub);
        assert!(!with_nul.for_operators().contains('\0'));
        let long = failure(&reply(500, &"x ".repeat(5_000)), scrub);
        assert!(long.for_operators().len() < 600);
        assert_eq!(failure(&reply(401, ""), scrub).status().as_u16(), 503);
        assert_eq!(failure(&reply(429, ""), scrub).status().as_u16(), 429);
    }
}
