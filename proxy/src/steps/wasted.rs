//! What providers have worked for nothing: they counted it with a failure, or had taken a request
//! and were waited for too long. The customer pays nothing for that, but the provider asks the
//! operator for it.

use std::time::Duration;

use tollgate_common::db::work::CallResult;
use tollgate_common::money::NanoUsd;
use tollgate_common::policy::Route;
use tollgate_common::price::Usage;

use super::forward::UpstreamFailure;
use super::meter::Metered;
use super::underway::Underway;
use crate::chat::Counted;
use crate::request::{CallRequest, Prompt};

/// How many tokens a model is taken to make in a second. Most make between 20 and 100.
const TOKENS_PER_SECOND: i64 = 40;

/// Why a try has failed, and what its provider counted with that.
#[derive(Debug)]
pub(crate) struct TryFailure {
    pub(crate) failure: UpstreamFailure,
    pub(crate) counted: Option<Box<Counted>>,
}

impl From<UpstreamFailure> for TryFailure {
    fn from(failure: UpstreamFailure) -> Self {
        Self {
            failure,
            counted: None,
        }
    }
}

/// What is known of a provider's work.
#[derive(Debug)]
pub(crate) enum Work {
    /// The provider has counted it.
    Counted(Box<Metered>),
    /// How long the provider was waited for.
    Waited(Duration),
}

/// A try for which its provider will probably want to be paid, though it failed.
#[derive(Debug)]
pub(crate) struct Wasted<'p> {
    pub(crate) route: Route<'p>,
    pub(crate) work: Work,
}

impl Wasted<'_> {
    /// What the provider has read and made until then, as it counted or probably.
    pub(crate) fn usage(&self, request: &CallRequest<'_>) -> Usage {
        let waited = match &self.work {
            Work::Counted(metered) => return metered.usage,
            Work::Waited(waited) => *waited,
        };
        let limit = request.max_tokens;
        let limit = limit.or_else(|| self.route.model.output_tokens_max());
        Usage {
            input_uncached: request.weight.total(),
            output_text: match request.prompt {
                Prompt::Embeddings(_) => 0,
                _ => tokens_made(waited, limit),
            },
            ..Usage::default()
        }
    }

    fn cost(&self, underway: &Underway<'_>) -> NanoUsd {
        let usage = self.usage(underway.request);
        let price = self.route.price();
        let service_tier = match &self.work {
            Work::Counted(metered) => metered.service_tier,
            Work::Waited(_) => None,
        };
        let service_tier = service_tier.unwrap_or_else(|| underway.untold_tier());
        let price = price.map(|price| price.served(usage.input(), service_tier));
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
