//! What providers have probably worked for nothing: they had taken a request, and were waited for
//! too long. The customer pays nothing for that, but the provider asks the operator for it.

use std::time::Duration;

use tollgate_common::db::work::CallResult;
use tollgate_common::money::NanoUsd;
use tollgate_common::policy::Route;
use tollgate_common::price::Usage;

use super::underway::Underway;
use crate::request::{CallRequest, Prompt};

/// How many tokens a model is taken to make in a second. Most make between 20 and 100.
const TOKENS_PER_SECOND: i64 = 40;

/// A try that ended with a time-out while its provider was at work.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wasted<'p> {
    pub(crate) route: Route<'p>,
    /// How long the provider was waited for.
    pub(crate) waited: Duration,
}

impl Wasted<'_> {
    /// What the provider has probably read and made until then.
    pub(crate) fn usage(&self, request: &CallRequest<'_>) -> Usage {
        let limit = request.max_tokens;
        let limit = limit.or_else(|| self.route.model.output_tokens_max());
        Usage {
            input_uncached: request.weight.total(),
            output_text: match request.prompt {
                Prompt::Embeddings(_) => 0,
                _ => tokens_made(self.waited, limit),
            },
            ..Usage::default()
        }
    }

    fn cost(&self, underway: &Underway<'_>) -> NanoUsd {
        let usage = self.usage(underway.request);
        let price = self.route.price();
        let price = price.map(|price| price.served(usage.input(), underway.untold_tier()));
        price
            .map(|price| price.unit.cost(&usage))
            .unwrap_or_default()
    }
}

/// How many tokens are made in a time, at most as many as were asked for.
fn tokens_made(waited: Duration, limit: Option<i64>) -> i64 {
    let seconds = i64::try_from(waited.as_secs()).unwrap_or(i64::MAX);
    let tokens = seconds.saturating_mul(TOKENS_PER_SECOND);
    limit.map_or(tokens, |limit| tokens.min(limit)).max(1)
}

/// Adds what was wasted to the operator's cost of a call.
pub(crate) fn note_cost(result: &mut CallResult, wasted: &[Wasted<'_>], underway: &Underway<'_>) {
    let cost = wasted.iter().map(|one| one.cost(underway).0);
    let cost = cost.fold(result.provider_cost.0, i64::saturating_add);
    result.provider_cost = NanoUsd(cost);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_tokens_are_made_than_time_and_the_request_allow() {
        assert_eq!(tokens_made(Duration::ZERO, None), 1);
        assert_eq!(tokens_made(Duration::from_secs(10), None), 400);
        assert_eq!(tokens_made(Duration::from_secs(10), Some(100)), 100);
        assert_eq!(tokens_made(Duration::MAX, None), i64::MAX);
    }
}
