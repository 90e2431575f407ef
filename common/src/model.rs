//! Models as teams know them: public aliases of providers' models.

use std::sync::Arc;
use std::time::Duration;

use crate::id::{ModelAlias, ProviderName};
use crate::price::{CATALOG, Price, PriceSource, RateCard};

/// The version of a price that is set on the alias.
pub const ALIAS_VERSION: &str = "alias";

/// How much of the load a model or a fallback takes among those of the same priority.
pub const WEIGHTS: std::ops::RangeInclusive<i64> = 1..=1_000;

/// How long a model's answer may take.
pub const TIMEOUTS: std::ops::RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_hours(24);

/// The most fallbacks that a model may have.
pub const FALLBACKS_MAX: usize = 16;

/// An alias and what stands behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Model {
    /// The public name.
    pub alias: ModelAlias,
    /// The provider account that serves it.
    pub provider: ProviderName,
    /// What the provider calls it. Teams never see it.
    pub upstream_model: String,
    /// The price set on the alias.
    pub own_price: Option<RateCard>,
    /// How many tokens an answer may have at most, if set on the alias.
    pub own_output_tokens_max: Option<i64>,
    /// Its own share of the load beside fallbacks of priority 0; within [`WEIGHTS`].
    pub weight: i64,
    /// How long a provider may take for an answer of it, or until a streamed one begins; `None` if
    /// the proxy's setting holds. Within [`TIMEOUTS`].
    pub timeout: Option<Duration>,
    /// Who else may serve its calls, by priority and alias.
    pub fallbacks: Vec<Fallback>,
    /// Prices and limits, from the alias and the lists.
    pub resolved: Resolved,
}

/// What is known of a provider's model, resolved when the model is read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Resolved {
    /// What it costs, if anyone knows.
    pub price: Option<Arc<Price>>,
    /// How many tokens an answer may have at most, if anyone knows.
    pub output_tokens_max: Option<i64>,
    /// How many tokens prompt and answer may have together, if anyone knows.
    pub context_tokens_max: Option<i64>,
}

impl Resolved {
    /// What the alias says, else the shipped table.
    pub fn new(
        upstream_model: &str,
        own_price: Option<&RateCard>,
        own_output_tokens_max: Option<i64>,
    ) -> Self {
        let own = own_price
            .map(|card| Arc::new(Price::new(card, PriceSource::Alias, ALIAS_VERSION, None)));
        Self {
            price: own.or_else(|| CATALOG.price(upstream_model)),
            output_tokens_max: own_output_tokens_max
                .or_else(|| CATALOG.output_tokens_max(upstream_model)),
            context_tokens_max: None,
        }
    }
}

/// A model that may serve the calls of another one.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Fallback {
    /// Its alias. Teams need not be granted it.
    pub alias: ModelAlias,
    /// 0 if it shares the load with the model itself; higher numbers are tried later.
    pub priority: i64,
    /// Its share among those of the same priority; within [`WEIGHTS`].
    pub weight: i64,
}

impl Model {
    /// What it costs: the alias' own price, else the lists', else nobody knows.
    pub const fn price(&self) -> Option<&Arc<Price>> {
        self.resolved.price.as_ref()
    }

    /// How many tokens an answer may have at most, if anyone knows.
    pub const fn output_tokens_max(&self) -> Option<i64> {
        self.resolved.output_tokens_max
    }

    /// How many tokens prompt and answer may have together, if anyone knows.
    pub const fn context_tokens_max(&self) -> Option<i64> {
        self.resolved.context_tokens_max
    }
}
