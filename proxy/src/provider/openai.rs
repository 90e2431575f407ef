//! OpenAI's chat completions (`POST /chat/completions`), which most providers and local servers
//! offer: <https://platform.openai.com/docs/api-reference/chat>.

use std::borrow::Cow;
use std::io::Write as _;

use serde_json::value::RawValue;

use super::{Encoded, Order};
use crate::request::Completions;
use crate::request::thoughts::BUDGET as THOUGHTS_BUDGET;

pub(crate) mod answer;
pub(crate) mod conversation;
pub(crate) mod stream;

pub(crate) use answer::decode;

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
    if let Some(tokens) = order.thoughts_max {
        // Writing into memory does not fail.
        let _ = write!(json, ",\"{THOUGHTS_BUDGET}\":{tokens}");
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::{CallRequest, Prompt};

    const BODY: &[u8] = br#"{"temperature":0.5,"messages":[{"role":"user","content":"h\u00e9"}],
        "stop":["a"],"max_tokens":7,"stream":true,"user":"u","seed":1}"#;

    #[test]
    fn only_known_fields_travel_and_texts_are_not_changed() {
        let request = CallRequest::parse(BODY, 10_240).unwrap();
        let Prompt::Completions(chat) = &request.prompt else {
            panic!("the job API speaks of completions");
        };
        let order = |upstream_model, output_tokens_max| Order {
            upstream_model,
            output_tokens_max,
            thoughts_max: None,
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
}
