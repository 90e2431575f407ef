//! Models as teams know them: public aliases of providers' models.

use crate::id::{ModelAlias, ProviderName};
use crate::money::NanoUsd;
use crate::price::{CATALOG, Price, UnitPrices};

/// An alias and what stands behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Model {
    /// The public name.
    pub alias: ModelAlias,
    /// The provider account that serves it.
    pub provider: ProviderName,
    /// What the provider calls it. Teams never see it.
    pub upstream_model: String,
    /// Prices set on the alias, per token: input, output.
    pub own_price: Option<(NanoUsd, NanoUsd)>,
    /// How many tokens an answer may have at most, if set on the alias.
    pub own_output_tokens_max: Option<i64>,
}

impl Model {
    /// What a token costs: the alias' own price, else the shipped table's, else nobody knows.
    pub fn price(&self) -> Option<Price> {
        match self.own_price {
            Some((input, output)) => Some(Price {
                unit: UnitPrices::flat(input, output),
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
