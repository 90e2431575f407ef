//! The list of models.dev: providers by their ids, each with models by their names.

use super::figure::{Scale, price, tokens};
use super::json::{Node, Object};
use super::seller::seller_of;
use super::{DatedCard, ListError, ListRow, Reading};
use crate::price::{Members, RateCard, ServiceTier, TieredMembers};

/// Members by their names there and here.
const MEMBERS: [(&str, &str); 7] = [
    ("input", "input"),
    ("output", "output"),
    ("cache_read", "cache_read"),
    ("cache_write", "cache_write"),
    ("reasoning", "output_reasoning"),
    ("input_audio", "input_audio"),
    ("output_audio", "output_audio"),
];

/// What else a cost has: prices by the length of the prompt, or what such a price is for.
const TIERS: [&str; 3] = ["tiers", "context_over_200k", "tier"];

/// The length of the prompt that `context_over_200k` is about.
const CONTEXT_OVER: i64 = 200_000;

/// Reads all providers.
pub(super) fn read(root: Node<'_>, reading: &mut Reading) -> Result<(), ListError> {
    let providers = reading.object(root, "the document")?;
    for (id, node) in providers.iter() {
        let provider = reading.object(node, id)?;
        let models = provider.get("models").map(|models| {
            let place = format!("{id}.models");
            reading.object(models, &place)
        });
        let why = "must be an object of models";
        let models = models.ok_or_else(|| reading.shape(format!("{id}.models"), why))??;
        let Some(seller) = seller_of(reading.format, id) else {
            reading.skip_provider(id, models.iter().count());
            continue;
        };
        for (name, node) in models.iter() {
            match read_model((seller, name), node, reading) {
                Ok(Some(row)) => reading.take(row),
                Ok(None) => {
                    let skipped = &mut reading.skipped.not_by_token;
                    *skipped = skipped.saturating_add(1);
                }
                Err(why) => reading.refuse(format!("{seller}/{name}"), why),
            }
        }
    }
    Ok(())
}

fn read_model(
    (seller, name): (&str, &str),
    node: Node<'_>,
    reading: &mut Reading,
) -> Result<Option<ListRow>, String> {
    let model = node.object().ok_or("must be an object")?;
    let Some(cost) = model.get("cost") else {
        return Ok(None);
    };
    let cost = cost.object().ok_or("cost: must be an object")?;
    let named = |why| format!("cost.{why}");
    let mut card = RateCard::from(Members::default());
    card.standard = read_tiered(&cost, reading).map_err(named)?;
    for (tier, cost) in modes_of(&model) {
        let named = |why| format!("experimental.modes.{tier}.cost.{why}");
        let tiered = read_tiered(&cost, reading).map_err(named)?;
        card.services.insert(tier, tiered);
    }
    let limits = model.get("limit").and_then(Node::object);
    let limit = |member: &str| {
        let node = limits.as_ref().and_then(|limits| limits.get(member));
        // Where a limit is not known, the list says 0.
        let node = node.filter(|node| node.raw() != "0");
        let tokens = node.map(tokens).transpose();
        tokens.map_err(|why| format!("limit.{member}: {why}"))
    };
    Ok(Some(ListRow {
        seller: seller.to_owned(),
        name: name.to_owned(),
        cards: vec![DatedCard { from: None, card }],
        output_tokens_max: limit("output")?,
        context_tokens_max: limit("context")?,
    }))
}

/// The costs of the modes that are service tiers here.
fn modes_of<'a>(model: &Object<'a>) -> Vec<(ServiceTier, Object<'a>)> {
    let known = model.get("experimental").and_then(Node::object);
    let known = known.and_then(|experimental| experimental.get("modes")?.object());
    let Some(known) = known else {
        return Vec::new();
    };
    let tiers = known.iter().filter_map(|(name, mode)| {
        let tier: ServiceTier = name.parse().ok()?;
        let cost = mode.object()?.get("cost")?.object()?;
        (tier != ServiceTier::Standard).then_some((tier, cost))
    });
    tiers.collect()
}

/// Reads a cost with its prices for long prompts.
fn read_tiered(cost: &Object<'_>, reading: &mut Reading) -> Result<TieredMembers, String> {
    let mut tiered = TieredMembers {
        base: read_members(cost, reading)?,
        ..TieredMembers::default()
    };
    let tiers = cost
        .get("tiers")
        .map(|tiers| tiers.list().ok_or("tiers: must be a list"));
    for (index, tier) in tiers
        .transpose()?
        .unwrap_or_default()
        .into_iter()
        .enumerate()
    {
        let named = |why: &str| format!("tiers[{index}].{why}");
        let tier = tier.object().ok_or_else(|| named("must be an object"))?;
        let about = tier.get("tier").and_then(Node::object);
        let about = about.ok_or_else(|| named("tier: must be an object"))?;
        if about.get("type").and_then(Node::text).as_deref() != Some("context") {
            reading.skip_member("cost.tiers for other conditions than the length of the prompt");
            continue;
        }
        let size = about
            .get("size")
            .ok_or_else(|| named("tier.size: is missing"))?;
        let size = tokens(size).map_err(|why| named(&format!("tier.size: {why}")))?;
        let members = read_members(&tier, reading).map_err(|why| named(&why))?;
        tiered.above.insert(size, members);
    }
    if let Some(over) = cost.get("context_over_200k") {
        let over = over
            .object()
            .ok_or("context_over_200k: must be an object")?;
        let members = read_members(&over, reading);
        let members = members.map_err(|why| format!("context_over_200k.{why}"))?;
        tiered.above.entry(CONTEXT_OVER).or_insert(members);
    }
    Ok(tiered)
}

fn read_members(cost: &Object<'_>, reading: &mut Reading) -> Result<Members, String> {
    if let Some(name) = cost.repeated() {
        return Err(format!("{name}: is there twice"));
    }
    let mut members = Members::default();
    for (name, node) in cost.iter() {
        let Some((_, own)) = MEMBERS.iter().find(|(theirs, _)| *theirs == name) else {
            if !TIERS.contains(&name) {
                reading.skip_member(&format!("cost.{name}"));
            }
            continue;
        };
        let figure = price(node, Scale::Million).map_err(|why| format!("{name}: {why}"))?;
        if let Some(place) = members.price_mut(own) {
            *place = Some(figure);
        }
    }
    Ok(members)
}
