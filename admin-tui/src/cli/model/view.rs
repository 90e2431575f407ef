//! A model as it is shown.

use serde::Serialize;
use tollgate_common::db::model::list::ListedModel;
use tollgate_common::id::{GroupName, ModelAlias, ProviderName};
use tollgate_common::model::Fallback;
use tollgate_common::price::AppliedPrice;

use crate::cli::charge::MembersView;
use crate::cli::output::{Column, Row, Show, joined, numbers, or_dash, words};
use crate::cli::value;

/// Prices of a service tier and a length of the prompt.
#[derive(Debug, Serialize)]
struct ConditionView {
    condition: String,
    #[serde(flatten)]
    members: MembersView,
}

impl ConditionView {
    fn new(price: &AppliedPrice) -> Self {
        Self {
            condition: price.label(),
            members: MembersView::new(&price.unit),
        }
    }
}

/// A model with its groups.
#[derive(Debug, Serialize)]
pub(super) struct ModelView {
    pub(super) alias: ModelAlias,
    provider: ProviderName,
    upstream_model: String,
    input_price: Option<f64>,
    output_price: Option<f64>,
    cache_read_price: Option<f64>,
    cache_write_price: Option<f64>,
    price_version: Option<String>,
    price_source: Option<&'static str>,
    /// Every condition with its prices, in dollars per million tokens.
    prices: Vec<ConditionView>,
    max_output_tokens: Option<i64>,
    max_context_tokens: Option<i64>,
    weight: i64,
    timeout_ms: Option<u64>,
    fallbacks: Vec<Fallback>,
    groups: Vec<GroupName>,
}

impl ModelView {
    /// The model with its groups.
    pub(super) fn new(listed: ListedModel) -> Self {
        let model = &listed.model;
        let price = model.price();
        let unit = price.map(|price| price.base().unit);
        Self {
            alias: model.alias.clone(),
            provider: model.provider.clone(),
            upstream_model: model.upstream_model.clone(),
            input_price: unit.map(|unit| value::per_million(unit.input)),
            output_price: unit.map(|unit| value::per_million(unit.output)),
            cache_read_price: unit.map(|unit| value::per_million(unit.cache_read)),
            cache_write_price: unit.map(|unit| value::per_million(unit.cache_write)),
            price_version: price.map(|price| price.version().to_owned()),
            price_source: price.map(|price| price.source().as_str()),
            prices: price.map_or_else(Vec::new, |price| {
                let conditions = price.conditions();
                conditions
                    .map(|condition| ConditionView::new(condition))
                    .collect()
            }),
            max_output_tokens: model.output_tokens_max(),
            max_context_tokens: model.context_tokens_max(),
            weight: model.weight,
            timeout_ms: model.timeout.map(|timeout| timeout.as_millis() as u64),
            fallbacks: model.fallbacks.clone(),
            groups: listed.groups,
        }
    }

    /// Every condition on its own, in dollars per million tokens.
    fn price_cells(&self) -> String {
        let conditions = self.prices.iter();
        let written: Vec<String> = conditions
            .map(|prices| format!("{}: {}", prices.condition, prices.members.cell()))
            .collect();
        if written.is_empty() {
            return "-".to_owned();
        }
        written.join("; ")
    }

    /// The fallbacks as the options take them.
    fn fallback_cell(&self) -> String {
        let written: Vec<String> = self
            .fallbacks
            .iter()
            .map(|fallback| {
                let (alias, priority) = (&fallback.alias, fallback.priority);
                format!("{alias}:{priority}:{}", fallback.weight)
            })
            .collect();
        joined(&written)
    }
}

fn price_cell(price: Option<f64>) -> String {
    price.map_or_else(|| "-".to_owned(), |dollars| format!("{dollars}"))
}

impl Row for ModelView {
    const COLUMNS: &'static [Column] = &[
        words("ALIAS"),
        words("PROVIDER"),
        words("UPSTREAM MODEL"),
        numbers("INPUT $/M"),
        numbers("OUTPUT $/M"),
        words("PRICE FROM"),
        numbers("MAX OUTPUT"),
        numbers("WEIGHT"),
        words("FALLBACKS"),
        words("GROUPS"),
    ];

    fn cells(&self) -> Vec<String> {
        vec![
            self.alias.to_string(),
            self.provider.to_string(),
            self.upstream_model.clone(),
            price_cell(self.input_price),
            price_cell(self.output_price),
            or_dash(self.price_version.as_ref()),
            or_dash(self.max_output_tokens),
            self.weight.to_string(),
            self.fallback_cell(),
            joined(&self.groups),
        ]
    }
}

impl Show for ModelView {
    fn fields(&self) -> Vec<(&'static str, String)> {
        vec![
            ("alias", self.alias.to_string()),
            ("provider", self.provider.to_string()),
            ("upstream model", self.upstream_model.clone()),
            ("input $/million", price_cell(self.input_price)),
            ("output $/million", price_cell(self.output_price)),
            ("cache read $/million", price_cell(self.cache_read_price)),
            ("cache write $/million", price_cell(self.cache_write_price)),
            ("price from", or_dash(self.price_version.as_ref())),
            ("prices", self.price_cells()),
            ("max output tokens", or_dash(self.max_output_tokens)),
            ("max context tokens", or_dash(self.max_context_tokens)),
            ("weight", self.weight.to_string()),
            ("timeout ms", or_dash(self.timeout_ms)),
            ("fallbacks", self.fallback_cell()),
            ("groups", joined(&self.groups)),
        ]
    }
}
