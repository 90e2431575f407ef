//! What a call used and cost.

use std::sync::Arc;

use tollgate_common::db::work::CallResult;
use tollgate_common::job::Terms;
use tollgate_common::price::{Price, ServiceTier, Usage};

use crate::chat::{Chunk, Completion, FinishReason};
use crate::request::CallRequest;

/// Bytes of text that are taken for one token when the provider does not count.
const BYTES_PER_TOKEN: i64 = 4;

/// Usage as the provider counted it, else an estimate (true) by the answer's length.
pub(crate) fn usage_of(completion: &Completion<'_>, request: &CallRequest<'_>) -> (Usage, bool) {
    let estimated = || (estimate(request, completion.text_bytes()), true);
    completion
        .usage
        .map_or_else(estimated, |usage| (usage, false))
}

/// What an answer of so many bytes has probably used.
fn estimate(request: &CallRequest<'_>, text_bytes: usize) -> Usage {
    Usage {
        input_uncached: request.weight.total(),
        output_text: tokens_in(text_bytes),
        ..Usage::default()
    }
}

fn tokens_in(text_bytes: usize) -> i64 {
    i64::try_from(text_bytes).unwrap_or(i64::MAX) / BYTES_PER_TOKEN + 1
}

/// Counts a streamed answer as it passes.
#[derive(Debug, Default)]
pub(crate) struct StreamMeter {
    /// What the provider has counted up to now.
    counted: Option<Usage>,
    text_bytes: usize,
    /// Why the first answer ended.
    pub(crate) finish_reason: Option<FinishReason>,
    /// From the caller's request to the first piece.
    pub(crate) first_token_ms: i64,
}

impl StreamMeter {
    /// The first piece has come.
    pub(crate) fn began(first_token_ms: i64) -> Self {
        Self {
            first_token_ms,
            ..Self::default()
        }
    }

    /// How long the texts are so far, as JSON.
    pub(crate) const fn text_bytes(&self) -> usize {
        self.text_bytes
    }

    pub(crate) fn add(&mut self, chunk: &Chunk<'_>) {
        self.text_bytes += chunk.text_bytes();
        self.counted = chunk.usage.or(self.counted);
        let reason = chunk.deltas.iter().find_map(|delta| delta.finish_reason);
        self.finish_reason = self.finish_reason.or(reason);
    }

    /// What a complete answer used: as counted, else estimated (true).
    pub(crate) fn usage(&self, request: &CallRequest<'_>) -> (Usage, bool) {
        let estimated = || (estimate(request, self.text_bytes), true);
        self.counted.map_or_else(estimated, |usage| (usage, false))
    }

    /// What an answer that was broken off used: what was counted, but at least what has come.
    pub(crate) fn partial_usage(&self, request: &CallRequest<'_>) -> (Usage, bool) {
        let estimated = estimate(request, self.text_bytes);
        let output_text = if self.text_bytes == 0 {
            0
        } else {
            estimated.output_text
        };
        let usage = match self.counted {
            Some(counted) => {
                let missing = output_text.saturating_sub(counted.output()).max(0);
                Usage {
                    output_text: counted.output_text.saturating_add(missing),
                    ..counted
                }
            }
            None => Usage {
                output_text,
                ..estimated
            },
        };
        (usage, true)
    }
}

/// Prices usage under a job's terms, by the service tier in which the provider served it. Without
/// a price the cost is nothing, and the call's row says that no price was known.
pub(crate) fn result_of(
    (usage, usage_estimated): (Usage, bool),
    (price, service_tier): (Option<&Arc<Price>>, ServiceTier),
    terms: &Terms,
    latency_ms: i64,
) -> CallResult {
    let price = price.map(|price| price.served(usage.input(), service_tier));
    let provider_cost = price
        .as_ref()
        .map(|price| price.unit.cost(&usage))
        .unwrap_or_default();
    CallResult {
        usage,
        usage_estimated,
        service_tier,
        price,
        provider_cost,
        client_cost: terms.markup.apply(provider_cost),
        latency_ms,
        ..CallResult::default()
    }
}
