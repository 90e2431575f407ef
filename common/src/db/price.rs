//! SQL of prices: what calls were charged by.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use sqlx::AnyConnection;

use super::StoreError;
use super::call::CallRow;
use super::rows::{Columns, Values, execute_tuples, select_in};
use crate::clock::{Clock as _, SystemClock, Timestamp};
use crate::model::ProviderAt;
use crate::money::{NanoUsd, PicoUsd};
use crate::price::{
    AppliedPrice, AssumedMembers, FeePrices, ListedPrice, PriceBook, PriceId, PriceSource,
    ServiceTier, UnitPrices, names_to_look_up,
};

pub mod import;
pub mod list;

/// All prompt tokens of a call, as SQL.
macro_rules! input_tokens {
    () => {
        "input_uncached + input_cache_read + input_cache_write + input_cache_write_1h \
         + input_audio + input_audio_cache_read + input_image"
    };
}
pub(crate) use input_tokens;

/// All completion tokens of a call, as SQL.
macro_rules! output_tokens {
    () => {
        "output_text + output_reasoning + output_audio + output_image"
    };
}
pub(crate) use output_tokens;

/// A price is written once, whoever uses it first.
const INSERT_PRICES: (&str, &str) = (
    "INSERT INTO prices
        (id, source, version, effective_from, service_tier, above_prompt_tokens, input,
         cache_read, cache_write, cache_write_1h, input_audio, audio_cache_read, input_image,
         output, output_reasoning, output_audio, output_image, web_search_fee, file_search_fee,
         code_execution_fee, request_fee, assumed)
    VALUES ",
    " ON CONFLICT (id) DO NOTHING",
);

/// Writes prices that may not have been used before, in the order of their ids, so that two nodes
/// do not wait for each other.
pub(crate) async fn insert(
    connection: &mut AnyConnection,
    prices: &BTreeMap<PriceId, Arc<AppliedPrice>>,
) -> Result<(), StoreError> {
    let prices: Vec<&Arc<AppliedPrice>> = prices.values().collect();
    let bind = |values: &mut Values, price: &&Arc<AppliedPrice>| {
        let unit = price.unit;
        values.push_text(price.id);
        values.push(price.source.as_str());
        values.push(price.version.clone());
        values.push(price.effective_from);
        values.push(price.service_tier.as_str());
        values.push(price.above_prompt_tokens);
        for member in members_of(&unit) {
            values.push(member.0);
        }
        for fee in unit.fees.all() {
            values.push(fee.map(|fee| fee.0));
        }
        values.push(i64::from(unit.assumed.bits()));
    };
    execute_tuples(connection, INSERT_PRICES, 22, &prices, bind).await?;
    Ok(())
}

/// Prices per token in the order of their columns.
const fn members_of(unit: &UnitPrices) -> [PicoUsd; 11] {
    [
        unit.input,
        unit.cache_read,
        unit.cache_write,
        unit.cache_write_1h,
        unit.input_audio,
        unit.audio_cache_read,
        unit.input_image,
        unit.output,
        unit.output_reasoning,
        unit.output_audio,
        unit.output_image,
    ]
}

/// Prices by id, before the list of ids.
pub const SELECT_PRICES: &str = "
    SELECT id, source, version, effective_from, service_tier, above_prompt_tokens, input,
           cache_read, cache_write, cache_write_1h, input_audio, audio_cache_read, input_image,
           output, output_reasoning, output_audio, output_image, web_search_fee, file_search_fee,
           code_execution_fee, request_fee, assumed
    FROM prices
    WHERE id IN ";

fn read_price(columns: &mut Columns<'_>) -> Result<AppliedPrice, StoreError> {
    let (id, source, version) = (columns.parse()?, columns.parse()?, columns.take()?);
    let effective_from = columns.take()?;
    let (service_tier, above_prompt_tokens) = (columns.parse()?, columns.take()?);
    let mut member = || Ok::<_, StoreError>(PicoUsd(columns.take()?));
    let unit = UnitPrices {
        input: member()?,
        cache_read: member()?,
        cache_write: member()?,
        cache_write_1h: member()?,
        input_audio: member()?,
        audio_cache_read: member()?,
        input_image: member()?,
        output: member()?,
        output_reasoning: member()?,
        output_audio: member()?,
        output_image: member()?,
        fees: read_fees(columns)?,
        assumed: AssumedMembers::from_bits(columns.take()?),
    };
    Ok(AppliedPrice {
        id,
        source,
        version,
        effective_from,
        service_tier,
        above_prompt_tokens,
        unit,
    })
}

fn read_fees(columns: &mut Columns<'_>) -> Result<FeePrices, StoreError> {
    let mut fee = || Ok::<_, StoreError>(columns.take::<Option<i64>>()?.map(NanoUsd));
    Ok(FeePrices::of([fee()?, fee()?, fee()?, fee()?]))
}

/// Reads by what a call names its price: the id, whose content [`attach`] adds, or the prices that
/// earlier releases wrote with the call, in nano-dollars per token.
pub(super) fn read_reference(
    columns: &mut Columns<'_>,
) -> Result<Option<Arc<AppliedPrice>>, StoreError> {
    let id: Option<PriceId> = columns.parse_optional()?;
    let version: Option<String> = columns.take()?;
    let mut price = || {
        let nanos: Option<i64> = columns.take()?;
        Ok::<_, StoreError>(PicoUsd(nanos.unwrap_or(0).saturating_mul(1_000)))
    };
    let (input, cache_read, cache_write, output) = (price()?, price()?, price()?, price()?);
    let unit = UnitPrices {
        cache_read,
        cache_write,
        cache_write_1h: cache_write,
        ..UnitPrices::flat(input, output)
    };
    let is_alias = version.as_deref() == Some(crate::model::ALIAS_VERSION);
    let source = if is_alias {
        PriceSource::Alias
    } else {
        PriceSource::Catalogue
    };
    let named = id.is_some() || version.is_some();
    Ok(named.then(|| {
        Arc::new(AppliedPrice {
            id: id.unwrap_or_default(),
            source,
            version: version.unwrap_or_default(),
            effective_from: None,
            service_tier: ServiceTier::Standard,
            above_prompt_tokens: 0,
            unit,
        })
    }))
}

/// Replaces the ids of prices that calls were read with by the prices themselves. Many calls share
/// few prices.
pub(super) async fn attach<'c>(
    connection: &mut AnyConnection,
    calls: impl Iterator<Item = &'c mut CallRow>,
) -> Result<(), StoreError> {
    let calls: Vec<&mut CallRow> = calls.collect();
    let named = calls.iter().filter_map(|call| call.price.as_ref());
    let ids = named.map(|price| price.id);
    let ids: BTreeSet<PriceId> = ids.filter(|id| *id != PriceId::default()).collect();
    let ids: Vec<PriceId> = ids.into_iter().collect();
    let prices = select_in(connection, (SELECT_PRICES, ""), &ids, read_price).await?;
    let prices = prices.into_iter().map(|price| (price.id, Arc::new(price)));
    let prices: HashMap<PriceId, Arc<AppliedPrice>> = prices.collect();
    for call in calls {
        let id = call.price.as_ref().map(|price| price.id);
        if let Some(price) = id.and_then(|id| prices.get(&id)) {
            call.price = Some(Arc::clone(price));
        }
    }
    Ok(())
}

/// The prices in force that were imported, around a list of names.
const SELECT_IMPORTED: (&str, &str) = (
    "SELECT v.maker, v.model, v.rate_card, v.starts_on, v.output_tokens_max
          , v.context_tokens_max, i.format, i.imported_at
     FROM price_versions AS v
     JOIN price_imports AS i ON i.number = v.import_number
     WHERE v.is_current = 1 AND v.model IN ",
    "",
);

pub(super) fn read_imported(columns: &mut Columns<'_>) -> Result<ListedPrice, StoreError> {
    let (seller, name) = (columns.take()?, columns.take()?);
    let json: String = columns.take()?;
    let card = serde_json::from_str(&json)
        .map_err(|error| StoreError::Inconsistent(format!("a rate card: {error}")))?;
    let starts_on: i64 = columns.take()?;
    let output_tokens_max = columns.take()?;
    let context_tokens_max = columns.take()?;
    let (format, imported_at): (String, Timestamp) = (columns.take()?, columns.time()?);
    let text = imported_at.to_string();
    let day = text.get(..10).unwrap_or(&text);
    Ok(ListedPrice {
        seller,
        name,
        card,
        source: PriceSource::Imported,
        version: format!("{format} {day}"),
        effective_from: Some(starts_on).filter(|day| *day != 0),
        output_tokens_max,
        context_tokens_max,
    })
}

/// The lists as far as these models are in them, as they hold today.
pub(crate) async fn book(
    connection: &mut AnyConnection,
    models: &[(ProviderAt, String)],
) -> Result<PriceBook, StoreError> {
    let names = models
        .iter()
        .flat_map(|(at, upstream_model)| names_to_look_up((at.kind, &at.host), upstream_model));
    let names: BTreeSet<String> = names.collect();
    let names: Vec<String> = names.into_iter().collect();
    let imported = select_in(connection, SELECT_IMPORTED, &names, read_imported).await?;
    Ok(PriceBook::new(imported, SystemClock.now().day()))
}
