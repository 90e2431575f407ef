//! OpenAI's embeddings as callers ask for them.

use tollgate_common::ledger::PromptWeight;
use tollgate_common::price::{FeeCounts, OutputKinds, RequestedTier};

use super::{BYTES_PER_TOKEN, CallRequest, MODEL_LENGTH_MAX, Prompt};
use crate::error::ApiError;
use crate::fields::Fields;

/// Parses a body of `POST /v1/embeddings`. Every field but the model travels as it is.
pub(crate) fn parse(body: &[u8]) -> Result<CallRequest<'_>, ApiError> {
    let mut fields = Fields::of_body(body)?;
    let model = fields.optional_text("model", MODEL_LENGTH_MAX);
    match fields.raw("input").map(|raw| raw.get().as_bytes().first()) {
        None => fields.problem("input", "Field required", "missing"),
        Some(Some(b'"' | b'[')) => {}
        Some(_) => fields.problem("input", "must be a string or a list", "string_type"),
    }
    let parameters: Vec<_> = fields.all().filter(|(name, _)| name != "model").collect();
    fields.finish()?;
    let bytes: usize = parameters.iter().map(|(_, raw)| raw.get().len()).sum();
    Ok(CallRequest {
        model,
        prompt: Prompt::Embeddings(parameters),
        max_tokens: None,
        choices: 1,
        stream: false,
        include_usage: false,
        purpose: None,
        call_metadata: None,
        weight: PromptWeight::of_text(i64::try_from(bytes / BYTES_PER_TOKEN).unwrap_or(i64::MAX)),
        service_tier: RequestedTier::Standard,
        fees_max: FeeCounts::NONE,
        output_kinds: OutputKinds::default(),
    })
}
