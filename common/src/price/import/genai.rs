//! Lists of genai-prices: providers with their models, prices with the days on which they begin,
//! tiers by the length of the prompt, and variants for service tiers.

use std::collections::{BTreeMap, BTreeSet};

use super::clause::Clause;
use super::figure::{Scale, fee, price, tokens};
use super::json::{Node, Object};
use super::seller::seller_of;
use super::{DatedCard, ListError, ListRow, Reading};
use crate::price::{Members, RateCard, ServiceTier, TieredMembers, day_of};

/// Members by their names there and here. Where two stand for one, the first has precedence.
const MEMBERS: [(&str, &str); 14] = [
    ("input_mtok", "input"),
    ("input_text_mtok", "input"),
    ("output_mtok", "output"),
    ("output_text_mtok", "output"),
    ("cache_read_mtok", "cache_read"),
    ("cache_write_mtok", "cache_write"),
    ("cache_write_5m_mtok", "cache_write"),
    ("cache_write_1h_mtok", "cache_write_1h"),
    ("input_audio_mtok", "input_audio"),
    ("cache_audio_read_mtok", "audio_cache_read"),
    ("input_image_mtok", "input_image"),
    ("output_reasoning_mtok", "output_reasoning"),
    ("output_audio_mtok", "output_audio"),
    ("output_image_mtok", "output_image"),
];

/// Fees by their names there and here.
const FEES: [(&str, &str); 4] = [
    ("web_searches_kcount", "web_search"),
    ("storage_searches_kcount", "file_search"),
    ("code_executions_kcount", "code_execution"),
    ("requests_kcount", "request"),
];

/// Members by the number of prompt tokens above which they hold; 0 is there.
type Tiers = BTreeMap<i64, Members>;

/// Reads all providers.
pub(super) fn read(root: Node<'_>, reading: &mut Reading) -> Result<(), ListError> {
    let providers = match root.list() {
        Some(providers) => Some(providers),
        None => reading
            .object(root, "the document")?
            .get("providers")
            .and_then(Node::list),
    };
    let why = "must be a list of providers";
    let providers = providers.ok_or_else(|| reading.shape("providers", why))?;
    for (index, provider) in providers.into_iter().enumerate() {
        let place = format!("providers[{index}]");
        let provider = reading.object(provider, &place)?;
        let id = provider.get("id").and_then(Node::text);
        let id = id.ok_or_else(|| reading.shape(format!("{place}.id"), "must be a text"))?;
        let models = provider.get("models").and_then(Node::list);
        let why = "must be a list of models";
        let models = models.ok_or_else(|| reading.shape(format!("{place}.models"), why))?;
        match seller_of(reading.format, &id) {
            Some(seller) => read_models(seller, &models, reading),
            None => reading.skip_provider(&id, models.len()),
        }
    }
    Ok(())
}

/// Reads the models of a seller, and gives each the names that lead to it.
fn read_models(seller: &'static str, models: &[Node<'_>], reading: &mut Reading) {
    let mut rows: Vec<(String, Option<Clause>, Option<ListRow>)> = Vec::new();
    for (index, node) in models.iter().enumerate() {
        let model = node.object();
        let id = model.as_ref().and_then(|model| model.get("id")?.text());
        let (Some(model), Some(id)) = (model, id) else {
            reading.refuse(format!("{seller}[{index}]"), "id: must be a text");
            continue;
        };
        let clause = model.get("match").and_then(Clause::read);
        let row = read_model((seller, &id), &model, reading);
        let row = row.map_err(|why| reading.refuse(format!("{seller}/{id}"), why));
        rows.push((id.to_ascii_lowercase(), clause, row.ok()));
    }
    let own: BTreeSet<&str> = rows.iter().map(|(id, ..)| id.as_str()).collect();
    let mut aliases: Vec<(u8, &str, &ListRow)> = Vec::new();
    for (id, clause, row) in &rows {
        let Some((clause, row)) = clause.as_ref().zip(row.as_ref()) else {
            continue;
        };
        for (rank, literal) in clause.literals() {
            let leads_to = rows
                .iter()
                .find(|(_, clause, _)| clause.as_ref().is_some_and(|c| c.is_match(literal)));
            let is_own = leads_to.is_some_and(|(other, ..)| other == id);
            if is_own && !own.contains(literal) {
                aliases.push((rank, literal, row));
            }
        }
    }
    aliases.sort_by_key(|(rank, name, _)| (*rank, *name));
    aliases.dedup_by_key(|(_, name, _)| *name);
    let named: Vec<ListRow> = aliases
        .into_iter()
        .filter(|(_, name, _)| super::is_name(name))
        .map(|(_, name, row)| ListRow {
            name: name.to_owned(),
            ..row.clone()
        })
        .collect();
    let rows = rows.into_iter().filter_map(|(.., row)| row);
    for row in rows.chain(named).collect::<Vec<_>>() {
        reading.take(row);
    }
}

fn read_model(
    (seller, id): (&str, &str),
    model: &Object<'_>,
    reading: &mut Reading,
) -> Result<ListRow, String> {
    if let Some(name) = model.repeated() {
        return Err(format!("'{name}' is there twice"));
    }
    let dated = read_dated(model.get("prices").ok_or("prices: is missing")?, reading)?;
    let variants = read_variants(model.get("price_variants"), reading)?;
    let starts = dated.iter().filter_map(Dated::starts_on);
    let starts = starts.chain(variants.iter().filter_map(|variant| variant.starts_on));
    let later: BTreeSet<i64> = starts.filter(|start| *start > reading.day).collect();
    let mut cards = Vec::new();
    for day in std::iter::once(reading.day).chain(later) {
        let Some(card) = card_on(&dated, &variants, day) else {
            continue;
        };
        let from = if day > reading.day {
            Some(day)
        } else {
            let begun = dated.iter().filter_map(Dated::starts_on);
            begun.filter(|start| *start <= day).max()
        };
        cards.push(DatedCard { from, card });
    }
    let context = model.get("context_window").map(tokens).transpose();
    Ok(ListRow {
        seller: seller.to_owned(),
        name: id.to_owned(),
        cards,
        output_tokens_max: None,
        context_tokens_max: context.map_err(|why| format!("context_window: {why}"))?,
    })
}

/// When prices hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Constraint {
    Always,
    From(i64),
    /// At some hours of each day.
    Hours,
}

struct Dated {
    constraint: Constraint,
    tiers: Tiers,
}

impl Dated {
    const fn starts_on(&self) -> Option<i64> {
        match self.constraint {
            Constraint::From(day) => Some(day),
            Constraint::Always | Constraint::Hours => None,
        }
    }
}

/// Prices that replace the usual ones member by member for a service tier.
struct Variant {
    tier: ServiceTier,
    starts_on: Option<i64>,
    tiers: Tiers,
}

fn read_constraint(node: Option<Node<'_>>) -> Result<Constraint, String> {
    let Some(node) = node else {
        return Ok(Constraint::Always);
    };
    let object = node.object().ok_or("constraint: must be an object")?;
    if object.get("start_time").is_some() {
        return Ok(Constraint::Hours);
    }
    let day = object.get("start_date").and_then(Node::text);
    let day = day.as_deref().and_then(day_of);
    day.map(Constraint::From)
        .ok_or_else(|| "constraint.start_date: must be a day as 2026-12-31".to_owned())
}

fn read_dated(node: Node<'_>, reading: &mut Reading) -> Result<Vec<Dated>, String> {
    let Some(list) = node.list() else {
        let tiers = read_tiers(node, reading).map_err(|why| format!("prices.{why}"))?;
        let constraint = Constraint::Always;
        return Ok(vec![Dated { constraint, tiers }]);
    };
    let mut dated = Vec::with_capacity(list.len());
    for (index, node) in list.into_iter().enumerate() {
        let named = |why| format!("prices[{index}].{why}");
        let object = node
            .object()
            .ok_or_else(|| named("must be an object".to_owned()))?;
        let prices = object.get("prices");
        let prices = prices.ok_or_else(|| named("prices: is missing".to_owned()))?;
        dated.push(Dated {
            constraint: read_constraint(object.get("constraint")).map_err(named)?,
            tiers: read_tiers(prices, reading).map_err(|why| named(format!("prices.{why}")))?,
        });
    }
    Ok(dated)
}

fn read_variants(node: Option<Node<'_>>, reading: &mut Reading) -> Result<Vec<Variant>, String> {
    let Some(node) = node else {
        return Ok(Vec::new());
    };
    let list = node.list().ok_or("price_variants: must be a list")?;
    let mut variants = Vec::new();
    for (index, node) in list.into_iter().enumerate() {
        let named = |why: String| format!("price_variants[{index}].{why}");
        let object = node
            .object()
            .ok_or_else(|| named("must be an object".to_owned()))?;
        let when = object.get("when").and_then(Node::object);
        let when = when.ok_or_else(|| named("when: must be an object".to_owned()))?;
        let Some(tier) = tier_of(&when) else {
            reading.skip_member("price_variants for other conditions than a service tier");
            continue;
        };
        let prices = object.get("prices");
        let prices = prices.ok_or_else(|| named("prices: is missing".to_owned()))?;
        let constraint = read_constraint(object.get("constraint")).map_err(named)?;
        let tiers = read_tiers(prices, reading).map_err(|why| named(format!("prices.{why}")))?;
        match (tier, constraint) {
            (ServiceTier::Standard, _) => {}
            (_, Constraint::Hours) => reading.skip_member("price_variants by the hour"),
            (tier, constraint) => variants.push(Variant {
                tier,
                starts_on: match constraint {
                    Constraint::From(day) => Some(day),
                    Constraint::Always | Constraint::Hours => None,
                },
                tiers,
            }),
        }
    }
    Ok(variants)
}

/// The service tier that a variant is for, if it is for nothing else.
fn tier_of(when: &Object<'_>) -> Option<ServiceTier> {
    let mut conditions = when.iter();
    let (key, value) = conditions.next()?;
    if conditions.next().is_some() {
        return None;
    }
    let value = value.text()?;
    match (key, value.as_str()) {
        ("service_tier", "default") => Some(ServiceTier::Standard),
        ("service_tier", tier) => tier.parse().ok(),
        ("speed", "fast") => Some(ServiceTier::Fast),
        ("processing", "batch") => Some(ServiceTier::Batch),
        _ => None,
    }
}

/// Reads a set of prices, each a figure or one by tiers of the prompt's length.
fn read_tiers(node: Node<'_>, reading: &mut Reading) -> Result<Tiers, String> {
    let object = node.object().ok_or("must be an object")?;
    let mut figures: BTreeMap<&str, BTreeMap<i64, Node<'_>>> = BTreeMap::new();
    for (name, node) in object.iter() {
        figures.insert(
            name,
            by_threshold(node).map_err(|why| format!("{name}: {why}"))?,
        );
    }
    let thresholds = figures.values().flat_map(BTreeMap::keys).copied();
    let thresholds: BTreeSet<i64> = thresholds.chain(std::iter::once(0)).collect();
    let mut tiers = Tiers::new();
    for threshold in thresholds {
        let mut members = Members::default();
        for (name, by_threshold) in &figures {
            let Some((_, node)) = by_threshold.range(..=threshold).next_back() else {
                continue;
            };
            let is_known = set(&mut members, name, *node);
            let is_known = is_known.map_err(|why| format!("{name}: {why}"))?;
            if !is_known && threshold == 0 {
                reading.skip_member(name);
            }
        }
        tiers.insert(threshold, members);
    }
    Ok(tiers)
}

/// The figures of one price by the number of prompt tokens above which they hold.
fn by_threshold(node: Node<'_>) -> Result<BTreeMap<i64, Node<'_>>, String> {
    let Some(object) = node.object() else {
        return Ok(BTreeMap::from([(0, node)]));
    };
    let base = object.get("base").ok_or("base: is missing")?;
    let tiers = object.get("tiers").and_then(Node::list);
    let mut figures = BTreeMap::from([(0, base)]);
    for tier in tiers.ok_or("tiers: must be a list")? {
        let tier = tier.object().ok_or("tiers: must be objects")?;
        let start = tier.get("start").ok_or("tiers.start: is missing")?;
        let start = tokens(start).map_err(|why| format!("tiers.start: {why}"))?;
        let price = tier.get("price").ok_or("tiers.price: is missing")?;
        figures.insert(start, price);
    }
    Ok(figures)
}

/// Sets a member by the list's name of it; says whether it is known.
fn set(members: &mut Members, name: &str, node: Node<'_>) -> Result<bool, String> {
    if let Some((_, own)) = FEES.iter().find(|(theirs, _)| *theirs == name) {
        let figure = fee(node, Scale::ThousandCalls)?;
        if let Some(place) = members.fee_mut(own) {
            *place = Some(figure);
        }
        return Ok(true);
    }
    let Some(at) = MEMBERS.iter().position(|(theirs, _)| *theirs == name) else {
        return Ok(false);
    };
    let figure = price(node, Scale::Million)?;
    let (_, own) = MEMBERS.get(at).copied().unwrap_or_default();
    // The general name goes before the one for texts or for five minutes.
    let is_first = MEMBERS.iter().position(|(_, other)| *other == own) == Some(at);
    if let Some(place) = members.price_mut(own) {
        *place = if is_first {
            Some(figure)
        } else {
            place.or(Some(figure))
        };
    }
    Ok(true)
}

/// The prices of a day.
fn card_on(dated: &[Dated], variants: &[Variant], day: i64) -> Option<RateCard> {
    let mut begun: Option<Tiers> = None;
    let mut by_hours: Vec<&Tiers> = Vec::new();
    for price in dated {
        match price.constraint {
            Constraint::From(start) if start <= day => {
                begun = Some(price.tiers.clone());
                by_hours.clear();
            }
            Constraint::From(_) => {}
            Constraint::Always => begun = begun.or_else(|| Some(price.tiers.clone())),
            Constraint::Hours => by_hours.push(&price.tiers),
        }
    }
    // Where the hour decides, the dearer price is charged at every hour.
    for tiers in by_hours {
        begun = Some(begun.map_or_else(|| tiers.clone(), |begun| dearest(&begun, tiers)));
    }
    let usual = begun?;
    let mut card = RateCard::from(Members::default());
    card.standard = tiered(usual.clone());
    for tier in ServiceTier::ALL {
        let active = variants.iter().filter(|variant| {
            variant.tier == tier && variant.starts_on.is_none_or(|start| start <= day)
        });
        let changed = active.fold(None, |changed: Option<Tiers>, variant| {
            Some(match changed {
                Some(first) => combined(&first, &variant.tiers),
                None => variant.tiers.clone(),
            })
        });
        if let Some(changed) = changed {
            card.services
                .insert(tier, tiered(combined(&changed, &usual)));
        }
    }
    Some(card)
}

fn tiered(mut tiers: Tiers) -> TieredMembers {
    TieredMembers {
        base: tiers.remove(&0).unwrap_or_default(),
        above: tiers,
    }
}

/// The members of a threshold, or of the next lower one.
fn at(tiers: &Tiers, threshold: i64) -> Members {
    let reached = tiers.range(..=threshold).next_back();
    reached.map(|(_, members)| *members).unwrap_or_default()
}

fn thresholds(one: &Tiers, other: &Tiers) -> BTreeSet<i64> {
    one.keys().chain(other.keys()).copied().collect()
}

/// The members of `first`, and of `others` those that it does not have.
fn combined(first: &Tiers, others: &Tiers) -> Tiers {
    let all = thresholds(first, others).into_iter();
    all.map(|threshold| {
        let members = at(first, threshold).or(&at(others, threshold));
        (threshold, members)
    })
    .collect()
}

/// The higher price of each member.
fn dearest(one: &Tiers, other: &Tiers) -> Tiers {
    let all = thresholds(one, other).into_iter();
    all.map(|threshold| {
        let (mut members, others) = (at(one, threshold), at(other, threshold));
        for (name, price) in crate::price::PRICE_NAMES.into_iter().zip(others.prices()) {
            if let Some(place) = members.price_mut(name) {
                *place = (*place).max(price);
            }
        }
        for (name, fee) in crate::price::FEE_NAMES.into_iter().zip(others.fees()) {
            if let Some(place) = members.fee_mut(name) {
                *place = (*place).max(fee);
            }
        }
        (threshold, members)
    })
    .collect()
}
