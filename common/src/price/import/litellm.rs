//! `LiteLLM`'s list: models by their names, with members whose names also say for which service
//! tier and which length of the prompt they are.

use super::figure::{Scale, fee, price, tokens};
use super::json::{Node, Object};
use super::seller::seller_of;
use super::{DatedCard, ListError, ListRow, Reading};
use crate::money::NanoUsd;
use crate::price::{Members, RateCard, ServiceTier};

/// Members by the beginnings of their names there, the longest first, and their names here.
const MEMBERS: [(&str, &str); 12] = [
    (
        "cache_creation_input_token_cost_above_1hr",
        "cache_write_1h",
    ),
    ("cache_creation_input_token_cost", "cache_write"),
    ("cache_read_input_audio_token_cost", "audio_cache_read"),
    ("cache_read_input_token_cost", "cache_read"),
    ("input_cost_per_audio_token", "input_audio"),
    ("input_cost_per_image_token", "input_image"),
    ("input_cost_per_token_cache_hit", "cache_read"),
    ("input_cost_per_token", "input"),
    ("output_cost_per_audio_token", "output_audio"),
    ("output_cost_per_image_token", "output_image"),
    ("output_cost_per_reasoning_token", "output_reasoning"),
    ("output_cost_per_token", "output"),
];

/// What the name of a member that only some rows have is, and which member it stands for.
const CACHE_HIT: &str = "input_cost_per_token_cache_hit";

/// The example in the list that explains its members.
const SAMPLE: &str = "sample_spec";

/// Kinds of models that are called through this gateway.
const MODES: [&str; 4] = ["chat", "completion", "responses", "embedding"];

/// Prefixes of names that say which provider is asked.
const PREFIXES: [&str; 4] = ["fireworks_ai", "vertex_ai", "gemini", "azure"];

/// Reads all rows.
pub(super) fn read(root: Node<'_>, reading: &mut Reading) -> Result<(), ListError> {
    let rows = reading.object(root, "the document")?;
    for (full, node) in rows.iter().filter(|(full, _)| *full != SAMPLE) {
        let Some(row) = node.object() else {
            reading.refuse(full, "must be an object");
            continue;
        };
        let provider = row.get("litellm_provider").and_then(Node::text);
        let provider = provider.unwrap_or_default();
        let mode = row.get("mode").and_then(Node::text).unwrap_or_default();
        let Some(seller) = seller_of(reading.format, &provider) else {
            reading.skip_provider(&provider, 1);
            continue;
        };
        let name = name_of(full, &provider);
        // Of Azure's names, those of single regions stand for no deployment.
        let is_regional = seller == "azure" && name.contains('/');
        if !MODES.contains(&mode.as_str()) || is_regional || full.contains('*') {
            let skipped = &mut reading.skipped.not_by_token;
            *skipped = skipped.saturating_add(1);
            continue;
        }
        match read_row((seller, name), &row, reading) {
            Ok(row) => reading.take(row),
            Err(why) => reading.refuse(full, why),
        }
    }
    Ok(())
}

/// The model's name without the prefix that says which provider is asked.
fn name_of<'n>(full: &'n str, provider: &str) -> &'n str {
    match full.split_once('/') {
        Some((prefix, name)) if prefix == provider || PREFIXES.contains(&prefix) => name,
        _ => full,
    }
}

fn read_row(
    (seller, name): (&str, &str),
    row: &Object<'_>,
    reading: &mut Reading,
) -> Result<ListRow, String> {
    if let Some(name) = row.repeated() {
        return Err(format!("{name}: is there twice"));
    }
    let mut card = RateCard::from(Members::default());
    for (key, node) in row.iter() {
        set(&mut card, key, node, reading).map_err(|why| format!("{key}: {why}"))?;
    }
    if let Some(tiers) = row.get("tiered_pricing") {
        read_ranges(&mut card, tiers).map_err(|why| format!("tiered_pricing{why}"))?;
    }
    if let Some(searches) = row.get("search_context_cost_per_query") {
        let named = |why| format!("search_context_cost_per_query.{why}");
        card.standard.base.web_search = dearest_search(searches).map_err(named)?;
    }
    let limit = |member: &str| {
        // Some rows explain a limit in words.
        let node = row
            .get(member)
            .filter(|node| node.text().is_none() && node.raw() != "0");
        let tokens = node.map(tokens).transpose();
        tokens.map_err(|why| format!("{member}: {why}"))
    };
    Ok(ListRow {
        seller: seller.to_owned(),
        name: name.to_owned(),
        cards: vec![DatedCard { from: None, card }],
        output_tokens_max: limit("max_output_tokens")?,
        context_tokens_max: limit("max_input_tokens")?,
    })
}

/// Sets what a member says, if calls are charged by it.
fn set(
    card: &mut RateCard,
    key: &str,
    node: Node<'_>,
    reading: &mut Reading,
) -> Result<(), String> {
    let fee_of = match key {
        "input_cost_per_request" => Some("request"),
        "code_interpreter_cost_per_session" => Some("code_execution"),
        "file_search_cost_per_1k_calls" => Some("file_search"),
        _ => None,
    };
    if let Some(name) = fee_of {
        let scale = match name {
            "file_search" => Scale::ThousandCalls,
            _ => Scale::Call,
        };
        let figure = fee(node, scale)?;
        if let Some(place) = card.standard.base.fee_mut(name) {
            *place = Some(figure);
        }
        return Ok(());
    }
    let Some((member, above, tier)) = parse_key(key) else {
        if is_unknown_cost(key, node) {
            reading.skip_member(key);
        }
        return Ok(());
    };
    let figure = price(node, Scale::Token)?;
    let tiered = match tier {
        ServiceTier::Standard => &mut card.standard,
        tier => card.services.entry(tier).or_default(),
    };
    let members = match above {
        0 => &mut tiered.base,
        above => tiered.above.entry(above).or_default(),
    };
    if let Some(place) = members.price_mut(member) {
        let is_other_name = key.starts_with(CACHE_HIT);
        *place = if is_other_name {
            place.or(Some(figure))
        } else {
            Some(figure)
        };
    }
    Ok(())
}

/// Whether a member looks like a price that is more than nothing.
fn is_unknown_cost(key: &str, node: Node<'_>) -> bool {
    let is_read_apart = ["tiered_pricing", "search_context_cost_per_query"].contains(&key);
    let is_cost = key.contains("cost") || key.contains("pricing");
    let is_nothing = price(node, Scale::Token).is_ok_and(|price| price.0 == 0);
    is_cost && !is_read_apart && !is_nothing
}

/// Takes the name of a member apart: what it is a price of, above which number of prompt tokens,
/// and by which service tier.
fn parse_key(key: &str) -> Option<(&'static str, i64, ServiceTier)> {
    MEMBERS.iter().find_map(|(start, member)| {
        let rest = key.strip_prefix(start)?;
        let (above, rest) = match rest.strip_prefix("_above_") {
            Some(rest) => {
                let (thousands, rest) = rest.split_once("k_tokens")?;
                let thousands: i64 = thousands.parse().ok().filter(|count| *count > 0)?;
                (thousands.checked_mul(1_000)?, rest)
            }
            None => (0, rest),
        };
        let tier = match rest {
            "" => ServiceTier::Standard,
            "_flex" => ServiceTier::Flex,
            "_priority" => ServiceTier::Priority,
            "_batches" => ServiceTier::Batch,
            _ => return None,
        };
        Some((*member, above, tier))
    })
}

/// Reads prices by ranges of the prompt's length: the first is the usual one.
fn read_ranges(card: &mut RateCard, node: Node<'_>) -> Result<(), String> {
    let ranges = node.list().ok_or(": must be a list")?;
    for (index, node) in ranges.into_iter().enumerate() {
        let named = |why: String| format!("[{index}].{why}");
        let range = node
            .object()
            .ok_or_else(|| named("must be an object".to_owned()))?;
        let start = range.get("range").and_then(Node::list);
        let start = start.and_then(|bounds| bounds.first().copied());
        let start = start.ok_or_else(|| named("range: must be two numbers".to_owned()))?;
        let above = match start.raw().trim_end_matches(".0") {
            "0" => 0,
            _ => tokens(start).map_err(|why| named(format!("range: {why}")))?,
        };
        let mut members = Members::default();
        for (key, node) in range.iter() {
            let Some((member, 0, ServiceTier::Standard)) = parse_key(key) else {
                continue;
            };
            let figure = price(node, Scale::Token);
            let figure = figure.map_err(|why| named(format!("{key}: {why}")))?;
            if let Some(place) = members.price_mut(member) {
                *place = Some(figure);
            }
        }
        if above == 0 {
            card.standard.base = card.standard.base.or(&members);
        } else {
            card.standard.above.insert(above, members);
        }
    }
    Ok(())
}

/// The dearest size of a search: which one the provider bills is not known beforehand.
fn dearest_search(node: Node<'_>) -> Result<Option<NanoUsd>, String> {
    let sizes = node.object().ok_or("must be an object")?;
    let mut dearest = None;
    for (size, node) in sizes.iter() {
        let figure = fee(node, Scale::Call).map_err(|why| format!("{size}: {why}"))?;
        dearest = dearest.max(Some(figure));
    }
    Ok(dearest)
}
