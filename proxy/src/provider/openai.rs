//! OpenAI's chat completions (`POST /chat/completions`), which most providers and local servers
//! offer: <https://platform.openai.com/docs/api-reference/chat>.

use std::borrow::Cow;
use std::io::Write as _;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use tollgate_common::price::Usage;
use tollgate_common::secret::Secret;

use super::{Choice, Completion};
use crate::request::CallRequest;
use crate::steps::forward::{UpstreamFailure, UpstreamReply};

/// Below the base URL.
pub(crate) const ENDPOINT: &str = "/chat/completions";

/// Models that reason take the limit of their answer under another name.
fn length_parameter(upstream_model: &str) -> &'static str {
    let name = upstream_model.rsplit('/').next().unwrap_or(upstream_model);
    let reasons = ["o1", "o3", "o4", "gpt-5"]
        .iter()
        .any(|prefix| name.starts_with(prefix));
    if reasons {
        "max_completion_tokens"
    } else {
        "max_tokens"
    }
}

/// Writes the provider's request. The caller's texts are copied as they are, not encoded again.
pub(crate) fn encode(
    request: &CallRequest<'_>,
    upstream_model: &str,
    output_tokens_max: Option<i64>,
) -> Bytes {
    let mut json = Vec::with_capacity(request.messages.get().len() + 512);
    json.extend_from_slice(b"{\"model\":");
    // Writing JSON into memory fails only for maps with keys that are no strings.
    let _ = serde_json::to_writer(&mut json, upstream_model);
    if let Some(tokens) = output_tokens_max.or(request.max_tokens) {
        let _ = write!(json, ",\"{}\":{tokens}", length_parameter(upstream_model));
    }
    for (name, value) in &request.parameters {
        let _ = write!(json, ",\"{name}\":{}", value.get());
    }
    json.extend_from_slice(b",\"messages\":");
    json.extend_from_slice(request.messages.get().as_bytes());
    json.push(b'}');
    json.into()
}

/// No answer of any model comes near this; a larger count is a fault, and is estimated instead.
const PLAUSIBLE_TOKENS_MAX: i64 = 1_000_000_000;

#[derive(Deserialize)]
struct WireCompletion<'a> {
    #[serde(borrow)]
    choices: Vec<WireChoice<'a>>,
    usage: Option<WireUsage>,
}

#[derive(Deserialize)]
struct WireChoice<'a> {
    #[serde(borrow)]
    message: WireMessage<'a>,
    #[serde(borrow)]
    finish_reason: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct WireMessage<'a> {
    #[serde(borrow)]
    content: Option<&'a RawValue>,
    #[serde(borrow)]
    refusal: Option<&'a RawValue>,
    #[serde(borrow)]
    tool_calls: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct WireUsage {
    #[serde(default)]
    prompt_tokens: i64,
    #[serde(default)]
    completion_tokens: i64,
    prompt_tokens_details: Option<WirePromptDetails>,
    completion_tokens_details: Option<WireCompletionDetails>,
}

#[derive(Deserialize)]
struct WirePromptDetails {
    cached_tokens: Option<i64>,
}

#[derive(Deserialize)]
struct WireCompletionDetails {
    reasoning_tokens: Option<i64>,
}

impl WireUsage {
    /// Disjoint buckets: OpenAI counts cached and reasoning tokens inside the totals.
    fn buckets(&self) -> Usage {
        let (input, output) = (self.prompt_tokens.max(0), self.completion_tokens.max(0));
        let cached = self
            .prompt_tokens_details
            .as_ref()
            .and_then(|details| details.cached_tokens);
        let reasoning = self
            .completion_tokens_details
            .as_ref()
            .and_then(|details| details.reasoning_tokens);
        let (cached, reasoning) = (
            cached.unwrap_or(0).clamp(0, input),
            reasoning.unwrap_or(0).clamp(0, output),
        );
        Usage {
            input_uncached: input - cached,
            input_cache_read: cached,
            input_cache_write: 0,
            output_text: output - reasoning,
            output_reasoning: reasoning,
        }
    }
}

/// Why an answer ended, in OpenAI's words; other words of compatible servers are mapped.
fn finish_reason(word: Option<&str>, has_tool_calls: bool) -> &'static str {
    match word {
        Some("length" | "max_tokens" | "model_length") => "length",
        Some("content_filter" | "safety") => "content_filter",
        Some("tool_calls" | "function_call" | "tool_use") => "tool_calls",
        _ if has_tool_calls => "tool_calls",
        _ => "stop",
    }
}

/// Reads a successful answer.
pub(crate) fn decode(body: &[u8]) -> Result<Completion<'_>, UpstreamFailure> {
    let invalid = |reason: String| UpstreamFailure::Invalid { reason };
    let wire: WireCompletion<'_> = serde_json::from_slice(body)
        .map_err(|error| invalid(format!("line {} column {}", error.line(), error.column())))?;
    if wire.choices.is_empty() {
        return Err(invalid("no choices".to_owned()));
    }
    let choices = wire
        .choices
        .into_iter()
        .map(read_choice)
        .collect::<Option<Vec<_>>>();
    let choices = choices.ok_or_else(|| invalid("content is not a string".to_owned()))?;
    let plausible = |usage: &Usage| (1..=PLAUSIBLE_TOKENS_MAX).contains(&usage.total());
    let usage = wire
        .usage
        .as_ref()
        .map(WireUsage::buckets)
        .filter(plausible);
    Ok(Completion { choices, usage })
}

fn read_choice(wire: WireChoice<'_>) -> Option<Choice<'_>> {
    fn present(raw: Option<&RawValue>) -> Option<&RawValue> {
        raw.filter(|raw| raw.get() != "null")
    }
    let message = wire.message;
    let (content, refusal) = (present(message.content), present(message.refusal));
    let tool_calls = present(message.tool_calls).filter(|raw| raw.get() != "[]");
    let is_text = |raw: Option<&RawValue>| raw.is_none_or(|raw| raw.get().starts_with('"'));
    let finish_reason = finish_reason(wire.finish_reason.as_deref(), tool_calls.is_some());
    (is_text(content) && is_text(refusal)).then_some(Choice {
        content,
        refusal,
        tool_calls,
        finish_reason,
    })
}

#[derive(Deserialize)]
struct WireError<'a> {
    #[serde(borrow)]
    error: WireErrorBody<'a>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum WireErrorBody<'a> {
    Object { message: String },
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
    let message = match serde_json::from_slice::<WireError<'_>>(&reply.body) {
        Ok(WireError {
            error: WireErrorBody::Object { message },
        }) => scrub.clean(&message),
        Ok(WireError {
            error: WireErrorBody::Text(message),
        }) => scrub.clean(&message),
        Err(_) => "no message".to_owned(),
    };
    let (status, retry_after) = (reply.status, reply.retry_after);
    match status {
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

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &[u8] = br#"{"temperature":0.5,"messages":[{"role":"user","content":"h\u00e9"}],
        "stop":["a"],"max_tokens":7,"stream":true,"user":"u","seed":1}"#;

    #[test]
    fn only_known_fields_travel_and_texts_are_not_changed() {
        let request = CallRequest::parse(BODY).unwrap();
        let json = encode(&request, "gpt-4o", None);
        assert_eq!(
            std::str::from_utf8(&json).unwrap(),
            "{\"model\":\"gpt-4o\",\"max_tokens\":7,\"temperature\":0.5,\"stop\":[\"a\"],\
             \"messages\":[{\"role\":\"user\",\"content\":\"h\\u00e9\"}]}"
        );
        let capped = encode(&request, "gpt-5-mini", Some(3));
        assert!(capped.starts_with(b"{\"model\":\"gpt-5-mini\",\"max_completion_tokens\":3,"));
    }

    #[test]
    fn answers_are_read_with_disjoint_usage() {
        let body = br#"{"id":"x","choices":[{"index":0,"message":{"role":"assistant",
            "content":"Hi"},"finish_reason":"eos"}],"usage":{"prompt_tokens":10,
            "completion_tokens":8,"prompt_tokens_details":{"cached_tokens":4},
            "completion_tokens_details":{"reasoning_tokens":3}}}"#;
        let completion = decode(body).unwrap();
        assert_eq!(completion.choices[0].content.unwrap().get(), "\"Hi\"");
        assert_eq!(completion.choices[0].finish_reason, "stop");
        let usage = completion.usage.unwrap();
        assert_eq!((usage.input_uncached, usage.input_cache_read), (6, 4));
        assert_eq!((usage.output_text, usage.output_reasoning), (5, 3));
        assert_eq!(usage.total(), 18);
    }

    #[test]
    fn what_is_not_an_answer_is_refused() {
        for bad in [
            "",
            "<html>",
            "{}",
            r#"{"choices":[]}"#,
            r#"{"choices":[{}]}"#,
            r#"{"choices":[{"message":{"content":5}}]}"#,
            r#"{"choices":[{"message":{"content":"x"}"#,
        ] {
            assert!(
                matches!(decode(bad.as_bytes()), Err(UpstreamFailure::Invalid { .. })),
                "{bad}"
            );
        }
        let tools = br#"{"choices":[{"message":{"content":null,"tool_calls":[{"id":"t"}]}}]}"#;
        assert_eq!(
            decode(tools).unwrap().choices[0].finish_reason,
            "tool_calls"
        );
    }

    #[test]
    fn counts_that_no_model_reaches_are_not_believed() {
        let body = br#"{"choices":[{"message":{"content":"x"}}],
            "usage":{"prompt_tokens":9223372036854775807,"completion_tokens":5}}"#;
        assert_eq!(decode(body).unwrap().usage, None);
    }

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
