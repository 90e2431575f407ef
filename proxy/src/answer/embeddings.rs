//! OpenAI's embeddings: a provider's answer, handed on with the model's public name.

use std::io::Write as _;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use tollgate_common::price::Usage;

use super::Answer;
use crate::request::CallRequest;
use crate::steps::forward::UpstreamFailure;

/// No request comes near this; a larger count is a fault, and is estimated instead.
const PLAUSIBLE_TOKENS_MAX: i64 = 1_000_000_000;

/// Vectors as a provider gave them.
#[derive(Debug, Deserialize)]
pub(crate) struct Embeddings<'a> {
    #[serde(borrow)]
    data: &'a RawValue,
    usage: Option<WireUsage>,
}

#[derive(Debug, Deserialize)]
struct WireUsage {
    #[serde(default)]
    prompt_tokens: i64,
}

impl Embeddings<'_> {
    /// Usage as the provider counted it, else an estimate (true) by the request's length.
    pub(crate) fn usage(&self, request: &CallRequest<'_>) -> (Usage, bool) {
        let counted = self.usage.as_ref().map(|usage| usage.prompt_tokens);
        let counted = counted.filter(|count| (1..=PLAUSIBLE_TOKENS_MAX).contains(count));
        let input_uncached = counted.unwrap_or_else(|| request.weight.total());
        (
            Usage {
                input_uncached,
                ..Usage::default()
            },
            counted.is_none(),
        )
    }
}

/// Reads a successful answer.
pub(crate) fn decode(body: &[u8]) -> Result<Embeddings<'_>, UpstreamFailure> {
    let read: Embeddings<'_> = serde_json::from_slice(body).map_err(|error| {
        let reason = format!("line {} column {}", error.line(), error.column());
        UpstreamFailure::Invalid { reason }
    })?;
    if read.data.get().starts_with('[') {
        Ok(read)
    } else {
        Err(UpstreamFailure::Invalid {
            reason: "data is not a list".to_owned(),
        })
    }
}

/// Writes the answer; the vectors are copied.
pub(crate) fn write(answer: &Answer<'_>, vectors: &Embeddings<'_>) -> Bytes {
    let mut json = Vec::with_capacity(vectors.data.get().len() + 256);
    json.extend_from_slice(b"{\"object\":\"list\",\"data\":");
    json.extend_from_slice(vectors.data.get().as_bytes());
    json.extend_from_slice(b",\"model\":");
    // Writing into memory does not fail.
    let _ = serde_json::to_writer(&mut json, answer.alias);
    let tokens = answer.usage.total();
    let _ = write!(
        json,
        ",\"usage\":{{\"prompt_tokens\":{tokens},\"total_tokens\":{tokens}}}}}"
    );
    json.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_without_a_list_of_vectors_are_refused() {
        for bad in ["", "{}", r#"{"data":5}"#, r#"{"data":null}"#, "[]"] {
            assert!(decode(bad.as_bytes()).is_err(), "{bad}");
        }
        let body = br#"{"object":"list","data":[{"index":0,"embedding":[0.5]}],
            "usage":{"prompt_tokens":8,"total_tokens":8}}"#;
        let request = crate::request::embeddings::parse(br#"{"input":"hi"}"#).unwrap();
        assert_eq!(decode(body).unwrap().usage(&request).0.input_uncached, 8);
    }
}
