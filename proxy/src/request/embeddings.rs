//! OpenAI's embeddings as callers ask for them.

use tollgate_common::ledger::PromptWeight;
use tollgate_common::provider::Endpoint;

use super::demand::Ask;
use super::{CallRequest, MODEL_LENGTH_MAX, Prompt, parameter};
use crate::error::ApiError;
use crate::fields::Fields;

/// Parses a body of `POST /v1/embeddings`. Fields travel by the table of fields.
pub(crate) fn parse(body: &[u8]) -> Result<CallRequest<'_>, ApiError> {
    let mut fields = Fields::of_body(body)?;
    let model = fields.optional_text("model", MODEL_LENGTH_MAX);
    match fields.raw("input").map(|raw| raw.get().as_bytes().first()) {
        None => fields.problem("input", "Field required", "missing"),
        Some(Some(b'"' | b'[')) => {}
        Some(_) => fields.problem("input", "must be a string or a list", "string_type"),
    }
    let mut ask = Ask::default();
    let parameters = parameter::by_table(&mut fields, Endpoint::Embeddings, &mut ask);
    fields.finish()?;
    Ok(CallRequest {
        model,
        prompt: Prompt::Embeddings(parameters),
        max_tokens: None,
        choices: 1,
        stream: false,
        include_usage: false,
        purpose: None,
        call_metadata: None,
        weight: PromptWeight::of_text(ask.content.typical_tokens()),
        service_tier: ask.tier,
        fees_max: ask.fees_max,
        output_kinds: ask.output_kinds,
        ask,
    })
}
