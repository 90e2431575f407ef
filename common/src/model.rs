//! Models as teams know them: public aliases of providers' models.

use crate::id::{ModelAlias, ProviderName};
use crate::money::NanoUsd;
use crate::price::{CATALOG, Price, UnitPrices};

/// How much of the load a model or a fallback takes among those of the same priority.
pub const WEIGHTS: std::ops::RangeInclusive<i64> = 1..=1_000;

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
    pub own_price: Option<OwnPrice>,
    /// How many tokens an answer may have at most, if set on the alias.
    pub own_output_tokens_max: Option<i64>,
    /// Its own share of the load beside fallbacks of priority 0; within [`WEIGHTS`].
    pub weight: i64,
    /// Who else may serve its calls, by priority and alias.
    pub fallbacks: Vec<Fallback>,
}

/// A price set on an alias, in nano-dollars per token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct OwnPrice {
    /// Prompt tokens.
    pub input: NanoUsd,
    /// Completion tokens.
    pub output: NanoUsd,
    /// Prompt tokens read from the provider's cache; `None` if they cost what others do.
    pub cache_read: Option<NanoUsd>,
    /// Prompt tokens written to the provider's cache; `None` if they cost what others do.
    pub cache_write: Option<NanoUsd>,
}

impl OwnPrice {
    /// A price at which cached tokens cost what others do.
    pub const fn new(input: NanoUsd, output: NanoUsd) -> Self {
        Self {
            input,
            output,
            cache_read: None,
            cache_write: None,
        }
    }

    /// What a token of each bucket costs.
    pub fn unit(&self) -> UnitPrices {
        UnitPrices {
            cache_read: self.cache_read.unwrap_or(self.input),
            cache_write: self.cache_write.unwrap_or(self.input),
            ..UnitPrices::flat(self.input, self.output)
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
    /// What a token costs: the alias' own price, else the shipped table's, else nobody knows.
    pub fn price(&self) -> Option<Price> {
        match self.own_price {
            Some(own_price) => Some(Price {
                unit: own_price.unit(),
                version: "alias".to_owned(),
            }),
            None => CATALOG.price(&self.upstream_model),
        }
    }

    /// How many tokens an answer may have at most, if anyone knows.
    pub fn output_tokens_max(&self) -> Option<i64> {
        self.own_output_tokens_max
            .or_else(|| CATALOG.output_tokens_max(&self.upstream_model))
    }
}
