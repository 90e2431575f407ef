//! Our own list: what `tollgate-admin price list --json` prints of listed prices, and what an
//! import takes back without a difference.

use std::collections::BTreeMap;

use serde::Serialize;

use super::figure::{Scale, fee, price, tokens};
use super::json::{Node, Object};
use super::seller::seller_of;
use super::{DatedCard, ListError, ListRow, Reading};
use crate::price::{
    FEE_NAMES, ListedPrice, Members, PRICE_NAMES, RateCard, ServiceTier, TieredMembers, day_of,
    day_text,
};

/// Listed prices of one condition, in dollars per million tokens.
#[derive(Debug, Clone, Serialize)]
struct ConditionEntry {
    service_tier: &'static str,
    above_prompt_tokens: i64,
    #[serde(flatten)]
    prices: BTreeMap<&'static str, f64>,
    /// Dollars per thousand billed calls.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    fees_per_thousand: BTreeMap<&'static str, f64>,
}

/// A listed price as it is printed. Every figure is exact.
#[derive(Debug, Clone, Serialize)]
pub struct PriceEntry {
    seller: String,
    model: String,
    source: &'static str,
    version: String,
    effective_from: Option<String>,
    max_output_tokens: Option<i64>,
    max_context_tokens: Option<i64>,
    prices: Vec<ConditionEntry>,
}

impl ConditionEntry {
    fn new((tier, above): (ServiceTier, i64), members: &Members) -> Self {
        let prices = PRICE_NAMES.into_iter().zip(members.prices());
        let prices = prices.filter_map(|(name, price)| Some((name, millionths(price?.0))));
        let fees = FEE_NAMES.into_iter().zip(members.fees());
        let fees = fees.filter_map(|(name, fee)| Some((name, millionths(fee?.0))));
        Self {
            service_tier: tier.as_str(),
            above_prompt_tokens: above,
            prices: prices.collect(),
            fees_per_thousand: fees.collect(),
        }
    }

    fn all((tier, tiered): (ServiceTier, &TieredMembers)) -> Vec<Self> {
        let above = tiered.above.iter();
        let above = above.map(|(threshold, members)| Self::new((tier, *threshold), members));
        let base = std::iter::once(Self::new((tier, 0), &tiered.base));
        base.chain(above).collect()
    }
}

/// A number of millionths; prices and fees are small enough for an exact figure.
fn millionths(count: i64) -> f64 {
    count as f64 / 1_000_000.0
}

impl PriceEntry {
    /// The entry of a listed price.
    pub fn new(listed: &ListedPrice) -> Self {
        let card = &listed.card;
        let services = card.services.iter().map(|(tier, tiered)| (*tier, tiered));
        let all = std::iter::once((ServiceTier::Standard, &card.standard)).chain(services);
        Self {
            seller: listed.seller.clone(),
            model: listed.name.clone(),
            source: listed.source.as_str(),
            version: listed.version.clone(),
            effective_from: listed.effective_from.map(day_text),
            max_output_tokens: listed.output_tokens_max,
            max_context_tokens: listed.context_tokens_max,
            prices: all.flat_map(ConditionEntry::all).collect(),
        }
    }
}

/// Reads all entries; those of one model and several days become one row.
pub(super) fn read(root: Node<'_>, reading: &mut Reading) -> Result<(), ListError> {
    let items = root.list();
    let items = items.ok_or_else(|| reading.shape("the document", "must be a list of prices"))?;
    let mut rows: BTreeMap<(String, String), ListRow> = BTreeMap::new();
    for (index, node) in items.into_iter().enumerate() {
        let place = format!("[{index}]");
        let entry = reading.object(node, &place)?;
        let text = |member: &str| entry.get(member).and_then(Node::text);
        let missing = |member: &str| reading.shape(format!("{place}.{member}"), "must be a text");
        let seller = text("seller").ok_or_else(|| missing("seller"))?;
        let model = text("model").ok_or_else(|| missing("model"))?;
        let Some(known) = seller_of(reading.format, &seller) else {
            reading.skip_provider(&seller, 1);
            continue;
        };
        let key = (known.to_owned(), model.to_ascii_lowercase());
        let row = read_entry((known, &model), &entry);
        let added = row.and_then(|row| match rows.remove(&key) {
            Some(other) => merged(other, row),
            None => Ok(row),
        });
        match added {
            Ok(row) => drop(rows.insert(key, row)),
            Err(why) => reading.refuse(format!("{seller}/{model}"), why),
        }
    }
    for row in rows.into_values() {
        reading.take(row);
    }
    Ok(())
}

/// Two entries of one model, which must be of different days.
fn merged(mut one: ListRow, other: ListRow) -> Result<ListRow, String> {
    let days: Vec<Option<i64>> = one.cards.iter().map(|dated| dated.from).collect();
    if other.cards.iter().any(|dated| days.contains(&dated.from)) {
        return Err("is there twice for the same day".to_owned());
    }
    one.cards.extend(other.cards);
    one.cards.sort_by_key(|dated| dated.from);
    Ok(one)
}

fn read_entry((seller, model): (&str, &str), entry: &Object<'_>) -> Result<ListRow, String> {
    let from = match entry.get("effective_from") {
        None => None,
        Some(node) => {
            let day = node.text().as_deref().and_then(day_of);
            Some(day.ok_or("effective_from: must be a day as 2026-12-31")?)
        }
    };
    let limit = |member: &str| {
        let tokens = entry.get(member).map(tokens).transpose();
        tokens.map_err(|why| format!("{member}: {why}"))
    };
    Ok(ListRow {
        seller: seller.to_owned(),
        name: model.to_owned(),
        cards: vec![DatedCard {
            from,
            card: read_card(entry)?,
        }],
        output_tokens_max: limit("max_output_tokens")?,
        context_tokens_max: limit("max_context_tokens")?,
    })
}

fn read_card(entry: &Object<'_>) -> Result<RateCard, String> {
    let conditions = entry.get("prices").and_then(Node::list);
    let mut card = RateCard::from(Members::default());
    for (index, node) in conditions
        .ok_or("prices: must be a list")?
        .into_iter()
        .enumerate()
    {
        let named = |why: String| format!("prices[{index}].{why}");
        let condition = node
            .object()
            .ok_or_else(|| named("must be an object".to_owned()))?;
        if let Some(name) = condition.repeated() {
            return Err(named(format!("{name}: is there twice")));
        }
        let tier = condition.get("service_tier").and_then(Node::text);
        let tier: ServiceTier = tier.unwrap_or_default().parse().map_err(named)?;
        let above = condition
            .get("above_prompt_tokens")
            .filter(|node| node.raw() != "0");
        let above = above.map(tokens).transpose();
        let above = above.map_err(|why| named(format!("above_prompt_tokens: {why}")))?;
        let members = read_members(&condition).map_err(named)?;
        let tiered = match tier {
            ServiceTier::Standard => &mut card.standard,
            tier => card.services.entry(tier).or_default(),
        };
        match above {
            Some(above) => drop(tiered.above.insert(above, members)),
            None => tiered.base = members,
        }
    }
    Ok(card)
}

fn read_members(condition: &Object<'_>) -> Result<Members, String> {
    let mut members = Members::default();
    for (name, node) in condition.iter() {
        if let Some(place) = members.price_mut(name) {
            let figure = price(node, Scale::Million);
            *place = Some(figure.map_err(|why| format!("{name}: {why}"))?);
        } else if !["service_tier", "above_prompt_tokens", "fees_per_thousand"].contains(&name) {
            return Err(format!("{name}: is not the name of a price"));
        }
    }
    let fees = condition.get("fees_per_thousand");
    let fees = fees.map(|fees| fees.object().ok_or("fees_per_thousand: must be an object"));
    if let Some(fees) = fees.transpose()? {
        for (name, node) in fees.iter() {
            let named = |why: &str| format!("fees_per_thousand.{name}: {why}");
            let place = members.fee_mut(name);
            let place = place.ok_or_else(|| named("is not the name of a fee"))?;
            let figure = fee(node, Scale::ThousandCalls);
            *place = Some(figure.map_err(|why| named(&why))?);
        }
    }
    Ok(members)
}
