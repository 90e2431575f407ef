//! Models as teams know them: public aliases of providers' models.

use std::sync::Arc;
use std::time::Duration;

use crate::id::{ModelAlias, OrgId, ProviderName};
use crate::price::{ListedPrice, Price, PriceBook, PriceSource, RateCard};
use crate::provider::{Provider, ProviderKind};

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
    /// Where its provider is: the one that all organizations share, if there is one.
    pub provider_at: ProviderAt,
    /// Prices and limits at that provider, from the alias and the lists.
    pub resolved: Resolved,
    /// The same at the providers of this name that single organizations have.
    pub resolved_by_org: Vec<(OrgId, Resolved)>,
}

/// What is known of a provider's model, resolved when the model is read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Resolved {
    /// What it costs, if anyone knows.
    pub price: Option<Arc<Price>>,
    /// What it costs by the lists, whatever the alias says.
    pub listed_price: Option<Arc<Price>>,
    /// How many tokens an answer may have at most, if anyone knows.
    pub output_tokens_max: Option<i64>,
    /// How many tokens prompt and answer may have together, if anyone knows.
    pub context_tokens_max: Option<i64>,
}

/// The kind of a provider and the host of its base URL: they say whose prices hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderAt {
    /// The dialect.
    pub kind: ProviderKind,
    /// The host's name or address.
    pub host: String,
}

impl ProviderAt {
    /// Where a provider is.
    pub fn of(provider: &Provider) -> Self {
        Self {
            kind: provider.kind,
            host: provider.base_url.host().to_owned(),
        }
    }
}

/// An OpenAI-compatible server at an unknown host.
impl Default for ProviderAt {
    fn default() -> Self {
        Self {
            kind: ProviderKind::OpenAi,
            host: String::new(),
        }
    }
}

impl Resolved {
    /// What the alias says, else the lists.
    pub fn new(model: &Model, provider: &ProviderAt, book: &PriceBook) -> Self {
        let listed = book.find((provider.kind, &provider.host), &model.upstream_model);
        let own = model.own_price.as_ref();
        let own = own.map(|card| Price::new(card, PriceSource::Alias, ALIAS_VERSION, None));
        let listed_price = listed.as_ref().map(|listed| Arc::new(listed.price()));
        let limit = |of: fn(&ListedPrice) -> Option<i64>| listed.as_ref().and_then(of);
        Self {
            price: own.map(Arc::new).or_else(|| listed_price.clone()),
            listed_price,
            output_tokens_max: model
                .own_output_tokens_max
                .or_else(|| limit(|listed| listed.output_tokens_max)),
            context_tokens_max: limit(|listed| listed.context_tokens_max),
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
    /// Looks its prices and limits up.
    pub fn resolve(&mut self, book: &PriceBook) {
        self.resolved = Resolved::new(self, &self.provider_at, book);
    }

    /// Looks its prices and limits up at a provider that one organization has for itself.
    pub fn resolve_for(&mut self, org_id: OrgId, provider: &Provider, book: &PriceBook) {
        let resolved = Resolved::new(self, &ProviderAt::of(provider), book);
        self.resolved_by_org.push((org_id, resolved));
    }

    /// What is known of it at one of the providers that may serve it.
    pub fn at(&self, provider: &Provider) -> &Resolved {
        let own = provider.org_id.as_ref().and_then(|org_id| {
            let mut all = self.resolved_by_org.iter();
            all.find(|(of, _)| of == org_id)
        });
        own.map_or(&self.resolved, |(_, resolved)| resolved)
    }

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
