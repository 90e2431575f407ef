//! OpenAI's embeddings: a provider's answer, handed on with the model's public name.

use std::io::Write as _;

use bytes::Bytes;
use tollgate_common::price::Usage;

use super::Answer;
use crate::chat::Counted;
use crate::provider::failure;
use crate::provider::members::Members;
use crate::steps::forward::UpstreamFailure;

/// Vectors as a provider gave them.
#[derive(Debug)]
pub(crate) struct Embeddings<'a> {
    /// A JSON list.
    data: &'a str,
    counted: Option<Counted>,
}

impl Embeddings<'_> {
    /// What the provider counted, if it did. Vectors have no tokens.
    pub(crate) const fn counted(&self) -> Option<Counted> {
        self.counted
    }
}

/// Reads a successful answer.
pub(crate) fn decode(body: &[u8]) -> Result<Embeddings<'_>, UpstreamFailure> {
    let answer = Members::of_body(body)?;
    let data = answer.raw("data").filter(|json| json.starts_with('['));
    let data = data.ok_or_else(|| failure::no_answer("data"))?;
    let usage = answer.object("usage");
    let prompt = usage.count("prompt_tokens").get();
    let total = usage.count("total_tokens").get();
    let tokens = prompt.max(total).filter(|tokens| *tokens > 0);
    let counted = tokens.map(|tokens| Counted {
        usage: Usage {
            input_uncached: tokens,
            ..Usage::default()
        },
        ..Counted::default()
    });
    Ok(Embeddings { data, counted })
}

/// Writes the answer; the vectors are copied.
pub(crate) fn write(answer: &Answer<'_>, vectors: &Embeddings<'_>) -> Bytes {
    let mut json = Vec::with_capacity(vectors.data.len() + 256);
    json.extend_from_slice(b"{\"object\":\"list\",\"data\":");
    json.extend_from_slice(vectors.data.as_bytes());
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
        let counted = decode(body).unwrap().counted().unwrap();
        assert_eq!(counted.usage.input_uncached, 8);
    }
}
