//! What usage costs. One pure function prices every path.
//!
//! A [`RateCard`] is what somebody lists. A [`Price`] is a card with every gap filled, for each
//! condition: the length of the prompt and the service tier. What a call was charged by is an
//! [`AppliedPrice`], stored once and named by each call.
#![deny(clippy::arithmetic_side_effects)]

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use sha2::{Digest, Sha256};

pub use card::{Members, PRICE_NAMES, RateCard, TieredMembers};
pub use catalog::{CATALOG, Catalog, ListedPrice, PriceBook, day_of, day_text, names_to_look_up};
pub use tier::{RequestedTier, ServiceTier};
pub use unit::{AssumedMembers, FEE_NAMES, FeePrices, OutputKinds, UNKNOWN_FEES, UnitPrices};
pub use usage::{FeeCounts, Usage};

mod card;
mod catalog;
pub mod import;
mod name;
mod tier;
mod unit;
mod usage;

/// Where a price comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PriceSource {
    /// The catalogue that this build ships.
    Catalogue,
    /// A list that an administrator has imported.
    Imported,
    /// The model's alias.
    Alias,
}

impl PriceSource {
    /// The stored and shown name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Catalogue => "catalogue",
            Self::Imported => "imported",
            Self::Alias => "alias",
        }
    }
}

impl FromStr for PriceSource {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let all = [Self::Catalogue, Self::Imported, Self::Alias];
        let found = all.into_iter().find(|source| source.as_str() == text);
        found.ok_or_else(|| format!("'{text}' is not a source of prices"))
    }
}

/// Names the content of an [`AppliedPrice`]: equal prices have equal ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct PriceId(u64);

impl fmt::Display for PriceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// Reads an id as it is stored.
impl FromStr for PriceId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parsed = u64::from_str_radix(text, 16);
        parsed
            .map(Self)
            .map_err(|_| format!("'{text}' is not the id of a price"))
    }
}

/// Prices of one condition, as calls are charged by them and as they are stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppliedPrice {
    /// Names the content.
    pub id: PriceId,
    /// Where the price comes from.
    pub source: PriceSource,
    /// The list's version, or `alias`.
    pub version: String,
    /// The day on which the price began, in days since 1970, if its list says so.
    pub effective_from: Option<i64>,
    /// The service tier that it is for.
    pub service_tier: ServiceTier,
    /// It is for prompts of more than so many tokens.
    pub above_prompt_tokens: i64,
    /// Prices per token and fees per call.
    pub unit: UnitPrices,
}

/// Says what prices of a condition belong to.
#[derive(Debug, Clone)]
struct Label {
    source: PriceSource,
    version: String,
    effective_from: Option<i64>,
}

impl AppliedPrice {
    fn new(
        label: &Label,
        (service_tier, above_prompt_tokens): (ServiceTier, i64),
        unit: UnitPrices,
    ) -> Arc<Self> {
        let mut price = Self {
            id: PriceId(0),
            source: label.source,
            version: label.version.clone(),
            effective_from: label.effective_from,
            service_tier,
            above_prompt_tokens,
            unit,
        };
        // The debug form names every member, so a member that is added later changes the id.
        let digest = Sha256::digest(format!("{price:?}"));
        let first = digest.first_chunk::<8>().copied().unwrap_or_default();
        price.id = PriceId(u64::from_be_bytes(first));
        Arc::new(price)
    }
}

impl AppliedPrice {
    /// The condition in words: service and length of the prompt.
    pub fn label(&self) -> String {
        let service = self.service_tier;
        match self.above_prompt_tokens {
            0 => service.to_string(),
            above if service == ServiceTier::Standard => format!("above {above}"),
            above => format!("{service} above {above}"),
        }
    }
}

/// Prices by the length of the prompt.
#[derive(Debug, Clone, PartialEq, Eq)]
struct TieredPrices {
    base: Arc<AppliedPrice>,
    /// By growing thresholds.
    above: Vec<Arc<AppliedPrice>>,
}

impl TieredPrices {
    fn new(label: &Label, service_tier: ServiceTier, members: &TieredMembers) -> Self {
        let above = members.above.iter().map(|(threshold, listed)| {
            let unit = RateCard::follow(&members.base, listed).unit();
            AppliedPrice::new(label, (service_tier, *threshold), unit)
        });
        Self {
            base: AppliedPrice::new(label, (service_tier, 0), members.base.unit()),
            above: above.collect(),
        }
    }

    /// The tier that a prompt is in applies to the whole call.
    fn of_prompt(&self, prompt_tokens: i64) -> &Arc<AppliedPrice> {
        let reached = self.reached(prompt_tokens);
        reached.last().unwrap_or(&self.base)
    }

    fn reached(&self, prompt_tokens: i64) -> impl Iterator<Item = &Arc<AppliedPrice>> {
        let is_reached =
            move |price: &&Arc<AppliedPrice>| price.above_prompt_tokens < prompt_tokens;
        self.above.iter().filter(is_reached)
    }

    /// The dearest of every tier that a prompt of at most so many tokens can be in.
    fn reachable(&self, prompt_tokens_max: i64) -> UnitPrices {
        self.reached(prompt_tokens_max)
            .fold(self.base.unit, |dearest, price| {
                dearest.max_per_bucket(price.unit)
            })
    }
}

/// The prices of a model, for every condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Price {
    label: Label,
    standard: TieredPrices,
    services: Vec<(ServiceTier, TieredPrices)>,
}

impl PartialEq for Label {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
            && self.version == other.version
            && self.effective_from == other.effective_from
    }
}

impl Eq for Label {}

impl Price {
    /// Makes the price of a card. `effective_from` is in days since 1970.
    pub fn new(
        card: &RateCard,
        source: PriceSource,
        version: impl Into<String>,
        effective_from: Option<i64>,
    ) -> Self {
        let label = Label {
            source,
            version: version.into(),
            effective_from,
        };
        let services = card.services.iter().map(|(tier, listed)| {
            let members = follow_tiers(&card.standard, listed);
            (*tier, TieredPrices::new(&label, *tier, &members))
        });
        Self {
            services: services.collect(),
            standard: TieredPrices::new(&label, ServiceTier::Standard, &card.standard),
            label,
        }
    }

    /// Where it comes from.
    pub const fn source(&self) -> PriceSource {
        self.label.source
    }

    /// The list's version, or `alias`.
    pub fn version(&self) -> &str {
        &self.label.version
    }

    /// The day on which it began, in days since 1970, if its list says so.
    pub const fn effective_from(&self) -> Option<i64> {
        self.label.effective_from
    }

    /// Prices of the usual service for short prompts.
    pub const fn base(&self) -> &Arc<AppliedPrice> {
        &self.standard.base
    }

    /// Every condition with its prices, the usual service first, each by growing prompts.
    pub fn conditions(&self) -> impl Iterator<Item = &Arc<AppliedPrice>> {
        let services = self.services.iter().map(|(_, prices)| prices);
        let all = std::iter::once(&self.standard).chain(services);
        all.flat_map(|prices| std::iter::once(&prices.base).chain(&prices.above))
    }

    fn of_tier(&self, tier: ServiceTier) -> Option<&TieredPrices> {
        if tier == ServiceTier::Standard {
            return Some(&self.standard);
        }
        let found = self.services.iter().find(|(listed, _)| *listed == tier);
        found.map(|(_, prices)| prices)
    }

    /// Prices of a call that was served: its prompt tokens decide the context tier, the answer the
    /// service tier. A service tier that is not listed costs as the dearest one that is, and is
    /// marked as assumed.
    pub fn served(&self, prompt_tokens: i64, tier: ServiceTier) -> Arc<AppliedPrice> {
        if let Some(prices) = self.of_tier(tier) {
            return Arc::clone(prices.of_prompt(prompt_tokens));
        }
        let usual = self.standard.of_prompt(prompt_tokens);
        let services = self.services.iter();
        let mut unit = services
            .map(|(_, prices)| prices.of_prompt(prompt_tokens).unit)
            .fold(usual.unit, UnitPrices::max_per_bucket);
        unit.assumed = unit.assumed.and(AssumedMembers::SERVICE_TIER);
        AppliedPrice::new(&self.label, (tier, usual.above_prompt_tokens), unit)
    }

    /// The dearest prices that a request can reach: by the service tiers that may serve it, and by
    /// every context tier that its prompt may be in. `None` if it asks for a tier without a price.
    pub fn reachable(&self, prompt_tokens_max: i64, tier: RequestedTier) -> Option<UnitPrices> {
        let usual = self.standard.reachable(prompt_tokens_max);
        match tier {
            RequestedTier::Standard => Some(usual),
            // Nobody is served by a batch who did not hand one in.
            RequestedTier::Auto => {
                let services = self.services.iter();
                let services = services.filter(|(tier, _)| *tier != ServiceTier::Batch);
                let units = services.map(|(_, prices)| prices.reachable(prompt_tokens_max));
                Some(units.fold(usual, UnitPrices::max_per_bucket))
            }
            RequestedTier::Named(tier) => {
                let prices = self.of_tier(tier)?;
                Some(usual.max_per_bucket(prices.reachable(prompt_tokens_max)))
            }
        }
    }
}

/// What a service tier costs, for every threshold that it or the usual service has.
fn follow_tiers(usual: &TieredMembers, listed: &TieredMembers) -> TieredMembers {
    let base = RateCard::follow(&usual.base, &listed.base);
    let mut above = listed.above.clone();
    for (threshold, members) in &usual.above {
        // A long prompt raises the service's prices as it raises the usual ones.
        let usual_above = RateCard::follow(&usual.base, members);
        let of_service = above.entry(*threshold).or_default();
        let input = of_service.input.or_else(|| {
            let input = base.input?;
            Some(input.in_proportion(usual.base.input, usual_above.input))
        });
        let output = of_service.output.or_else(|| {
            let output = base.output?;
            Some(output.in_proportion(usual.base.output, usual_above.output))
        });
        of_service.input = input;
        of_service.output = output;
    }
    TieredMembers { base, above }
}

#[cfg(test)]
mod tests;
