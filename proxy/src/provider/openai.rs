//! OpenAI's chat completions (`POST /chat/completions`), which most providers and local servers
//! offer: <https://platform.openai.com/docs/api-reference/chat>.

use std::borrow::Cow;
use std::io::Write as _;

use serde::Deserialize;
use serde_json::value::RawValue;
use tollgate_common::price::Usage;

use super::{Encoded, Order};
use crate::chat::{Choice, Completion, FinishReason, Json, Said};
use crate::request::Completions;
use crate::steps::forward::UpstreamFailure;

pub(crate) mod conversation;
pub(crate) mod stream;

/// Below the base URL.
const ENDPOINT: &str = "/chat/completions";

/// Whether a model of OpenAI's thinks before it answers, as its name has it.
fn reasons(upstream_model: &str) -> bool {
    let name = upstream_model.rsplit('/').next().unwrap_or(upstream_model);
    ["o1", "o3", "o4", "gpt-5"]
        .iter()
        .any(|prefix| name.starts_with(prefix))
}

/// Models that reason take the limit of their answer under another name.
fn length_parameter(upstream_model: &str) -> &'static str {
    if reasons(upstream_model) {
        "max_completion_tokens"
    } else {
        "max_tokens"
    }
}

/// Writes the provider's request. The caller's texts are copied as they are, not encoded again.
pub(crate) fn encode(chat: &Completions<'_>, order: Order<'_>) -> Encoded {
    let mut json = Vec::with_capacity(chat.messages.get().len() + 512);
    begin(&mut json, order);
    for (name, value) in &chat.parameters {
        json.extend_from_slice(b",");
        write_text(&mut json, name);
        let _ = write!(json, ":{}", value.get());
    }
    json.extend_from_slice(b",\"messages\":");
    json.extend_from_slice(chat.messages.get().as_bytes());
    json.push(b'}');
    Encoded {
        endpoint: ENDPOINT.to_owned(),
        body: json.into(),
    }
}

/// Writes a request for embeddings: the caller's, with the provider's name of the model.
pub(crate) fn encode_embeddings(
    fields: &[(Cow<'_, str>, &RawValue)],
    upstream_model: &str,
) -> Encoded {
    let mut json = b"{\"model\":".to_vec();
    write_text(&mut json, upstream_model);
    for (name, value) in fields {
        json.push(b',');
        write_text(&mut json, name);
        let _ = write!(json, ":{}", value.get());
    }
    json.push(b'}');
    Encoded {
        endpoint: "/embeddings".to_owned(),
        body: json.into(),
    }
}

/// Writes what every request has, whatever dialect it came in. The object is left open.
fn begin(json: &mut Vec<u8>, order: Order<'_>) {
    json.extend_from_slice(b"{\"model\":");
    write_text(json, order.upstream_model);
    if let Some(tokens) = order.output_tokens_max {
        // Writing into memory does not fail.
        let _ = write!(
            json,
            ",\"{}\":{tokens}",
            length_parameter(order.upstream_model)
        );
    }
    if order.stream {
        json.extend_from_slice(b",\"stream\":true,\"stream_options\":{\"include_usage\":true}");
    }
}

fn write_text(json: &mut Vec<u8>, text: &str) {
    // Writing JSON into memory fails only for maps with keys that are no strings.
    let _ = serde_json::to_writer(json, text);
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
    message: WireSaid<'a>,
    #[serde(borrow)]
    finish_reason: Option<Cow<'a, str>>,
    #[serde(borrow)]
    logprobs: Option<&'a RawValue>,
}

/// A message, or a piece of one.
#[derive(Deserialize, Default)]
struct WireSaid<'a> {
    #[serde(borrow)]
    content: Option<&'a RawValue>,
    #[serde(borrow)]
    reasoning_content: Option<&'a RawValue>,
    /// The other name of the same, as some servers have it.
    #[serde(borrow)]
    reasoning: Option<&'a RawValue>,
    #[serde(borrow)]
    refusal: Option<&'a RawValue>,
    #[serde(borrow)]
    tool_calls: Option<&'a RawValue>,
    #[serde(borrow)]
    function_call: Option<&'a RawValue>,
    #[serde(borrow)]
    annotations: Option<&'a RawValue>,
    #[serde(borrow)]
    audio: Option<&'a RawValue>,
}

fn present(raw: Option<&RawValue>) -> Option<Json<'_>> {
    raw.map(RawValue::get)
        .filter(|json| !matches!(*json, "null" | "[]"))
        .map(Cow::Borrowed)
}

impl<'a> WireSaid<'a> {
    /// `None` if a text is none.
    fn read(self) -> Option<Said<'a>> {
        let texts = [self.content, self.reasoning_content, self.refusal].map(present);
        if texts.iter().flatten().any(|json| !json.starts_with('"')) {
            return None;
        }
        let [content, reasoning_content, refusal] = texts;
        let reasoning = present(self.reasoning).filter(|json| json.starts_with('"'));
        let others = [
            ("function_call", self.function_call),
            ("annotations", self.annotations),
            ("audio", self.audio),
        ];
        let others = others
            .into_iter()
            .filter_map(|(name, raw)| Some((name, present(raw)?)));
        Some(Said {
            content,
            reasoning: reasoning_content.or(reasoning),
            refusal,
            tool_calls: present(self.tool_calls),
            others: others.collect(),
            ..Said::default()
        })
    }
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
            output_text: output - reasoning,
            output_reasoning: reasoning,
            ..Usage::default()
        }
    }
}

/// Why an answer ended; other words of compatible servers are understood too.
fn finish_reason(word: Option<&str>, has_tool_calls: bool) -> FinishReason {
    match word {
        Some("length" | "max_tokens" | "model_length") => FinishReason::Length,
        Some("content_filter" | "safety") => FinishReason::ContentFilter,
        Some("tool_calls" | "function_call" | "tool_use") => FinishReason::ToolCalls,
        _ if has_tool_calls => FinishReason::ToolCalls,
        _ => FinishReason::Stop,
    }
}

fn read_usage(wire: Option<&WireUsage>) -> Option<Usage> {
    let plausible = |usage: &Usage| (1..=PLAUSIBLE_TOKENS_MAX).contains(&usage.total());
    wire.map(WireUsage::buckets).filter(plausible)
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
    let usage = read_usage(wire.usage.as_ref());
    Ok(Completion { choices, usage })
}

fn read_choice(wire: WireChoice<'_>) -> Option<Choice<'_>> {
    let said = wire.message.read()?;
    let finish_reason = finish_reason(wire.finish_reason.as_deref(), said.tool_calls.is_some());
    let logprobs = present(wire.logprobs);
    Some(Choice {
        said,
        finish_reason,
        stop_sequence: None,
        logprobs,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::{CallRequest, Prompt};

    const BODY: &[u8] = br#"{"temperature":0.5,"messages":[{"role":"user","content":"h\u00e9"}],
        "stop":["a"],"max_tokens":7,"stream":true,"user":"u","seed":1}"#;

    #[test]
    fn only_known_fields_travel_and_texts_are_not_changed() {
        let request = CallRequest::parse(BODY).unwrap();
        let Prompt::Completions(chat) = &request.prompt else {
            panic!("the job API speaks of completions");
        };
        let order = |upstream_model, output_tokens_max| Order {
            upstream_model,
            output_tokens_max,
            stream: false,
        };
        let json = encode(chat, order("gpt-4o", request.max_tokens)).body;
        assert_eq!(
            std::str::from_utf8(&json).unwrap(),
            "{\"model\":\"gpt-4o\",\"max_tokens\":7,\"temperature\":0.5,\"stop\":[\"a\"],\
             \"messages\":[{\"role\":\"user\",\"content\":\"h\\u00e9\"}]}"
        );
        let capped = encode(chat, order("gpt-5-mini", Some(3))).body;
        assert!(capped.starts_with(b"{\"model\":\"gpt-5-mini\",\"max_completion_tokens\":3,"));
    }

    #[test]
    fn answers_are_read_with_disjoint_usage() {
        let body = br#"{"id":"x","choices":[{"index":0,"message":{"role":"assistant",
            "content":"Hi"},"finish_reason":"eos"}],"usage":{"prompt_tokens":10,
            "completion_tokens":8,"prompt_tokens_details":{"cached_tokens":4},
            "completion_tokens_details":{"reasoning_tokens":3}}}"#;
        let completion = decode(body).unwrap();
        assert_eq!(
            completion.choices[0].said.content.as_deref(),
            Some("\"Hi\"")
        );
        assert_eq!(completion.choices[0].finish_reason, FinishReason::Stop);
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
            FinishReason::ToolCalls
        );
    }

    #[test]
    fn counts_that_no_model_reaches_are_not_believed() {
        let body = br#"{"choices":[{"message":{"content":"x"}}],
            "usage":{"prompt_tokens":9223372036854775807,"completion_tokens":5}}"#;
        assert_eq!(decode(body).unwrap().usage, None);
    }
}
