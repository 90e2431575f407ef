//! What a call used and cost.

use tollgate_common::db::work::CallResult;
use tollgate_common::job::Terms;
use tollgate_common::price::{Price, Usage};

use crate::chat::Completion;

/// Bytes of text that are taken for one token when the provider does not count.
const BYTES_PER_TOKEN: i64 = 4;

/// Usage as the provider counted it, else an estimate (true) by the answer's length.
pub(crate) fn usage_of(completion: &Completion<'_>, input_tokens_estimate: i64) -> (Usage, bool) {
    match completion.usage {
        Some(usage) => (usage, false),
        None => {
            let bytes = i64::try_from(completion.text_bytes()).unwrap_or(i64::MAX);
            let output_text = bytes / BYTES_PER_TOKEN + 1;
            let usage = Usage {
                input_uncached: input_tokens_estimate,
                output_text,
                ..Usage::default()
            };
            (usage, true)
        }
    }
}

/// Prices usage under a job's terms. Without a price the cost is nothing, and the call's row says
/// that no price was known.
pub(crate) fn result_of(
    (usage, usage_estimated): (Usage, bool),
    price: Option<&Price>,
    terms: &Terms,
    latency_ms: i64,
) -> CallResult {
    let provider_cost = price
        .map(|price| price.unit.cost(&usage))
        .unwrap_or_default();
    CallResult {
        usage,
        usage_estimated,
        provider_cost,
        client_cost: terms.markup.apply(provider_cost),
        latency_ms,
        ..CallResult::default()
    }
}
