//! What a call used and was priced by, as subcommands print it.

use std::collections::BTreeMap;

use serde::Serialize;
use tollgate_common::price::{AppliedPrice, FEE_NAMES, FeePrices, UnitPrices, Usage};

use super::value;

/// Tokens of every bucket, and billed calls.
#[derive(Debug, Serialize)]
pub(super) struct UsageView {
    input_uncached: i64,
    input_cache_read: i64,
    input_cache_write: i64,
    input_cache_write_1h: i64,
    input_audio: i64,
    input_audio_cache_read: i64,
    input_image: i64,
    output_text: i64,
    output_reasoning: i64,
    output_audio: i64,
    output_image: i64,
    fees: BTreeMap<&'static str, i64>,
}

impl UsageView {
    pub(super) fn new(usage: &Usage) -> Self {
        let fees = FEE_NAMES.into_iter().zip(usage.fees.all());
        Self {
            input_uncached: usage.input_uncached,
            input_cache_read: usage.input_cache_read,
            input_cache_write: usage.input_cache_write,
            input_cache_write_1h: usage.input_cache_write_1h,
            input_audio: usage.input_audio,
            input_audio_cache_read: usage.input_audio_cache_read,
            input_image: usage.input_image,
            output_text: usage.output_text,
            output_reasoning: usage.output_reasoning,
            output_audio: usage.output_audio,
            output_image: usage.output_image,
            fees: fees.filter(|(_, count)| *count > 0).collect(),
        }
    }
}

/// Every price of one condition.
#[derive(Debug, Serialize)]
pub(super) struct MembersView {
    input: f64,
    output: f64,
    cache_read: f64,
    cache_write: f64,
    cache_write_1h: f64,
    input_audio: f64,
    audio_cache_read: f64,
    input_image: f64,
    output_reasoning: f64,
    output_audio: f64,
    output_image: f64,
    /// Dollars per thousand billed calls, by what is billed.
    fees_per_thousand: BTreeMap<&'static str, f64>,
}

/// Dollars per thousand billed calls; kinds without a known fee are left out.
fn fees_of(fees: &FeePrices) -> BTreeMap<&'static str, f64> {
    let named = FEE_NAMES.into_iter().zip(fees.all());
    let known = named.filter_map(|(name, fee)| Some((name, fee?.0 as f64 / 1_000_000.0)));
    known.collect()
}

impl MembersView {
    pub(super) fn new(unit: &UnitPrices) -> Self {
        Self {
            input: value::per_million(unit.input),
            output: value::per_million(unit.output),
            cache_read: value::per_million(unit.cache_read),
            cache_write: value::per_million(unit.cache_write),
            cache_write_1h: value::per_million(unit.cache_write_1h),
            input_audio: value::per_million(unit.input_audio),
            audio_cache_read: value::per_million(unit.audio_cache_read),
            input_image: value::per_million(unit.input_image),
            output_reasoning: value::per_million(unit.output_reasoning),
            output_audio: value::per_million(unit.output_audio),
            output_image: value::per_million(unit.output_image),
            fees_per_thousand: fees_of(&unit.fees),
        }
    }

    /// Input and output, and what else differs from them.
    pub(super) fn cell(&self) -> String {
        let mut text = format!("in {} out {}", self.input, self.output);
        let others = [
            ("cache read", self.cache_read, self.input),
            ("cache write", self.cache_write, self.input),
            ("1 h write", self.cache_write_1h, self.input),
            ("audio in", self.input_audio, self.input),
            ("image in", self.input_image, self.input),
            ("reasoning", self.output_reasoning, self.output),
            ("audio out", self.output_audio, self.output),
            ("image out", self.output_image, self.output),
        ];
        for (name, price, usual) in others {
            if price.total_cmp(&usual).is_ne() {
                text = format!("{text}, {name} {price}");
            }
        }
        for (name, fee) in &self.fees_per_thousand {
            text = format!("{text}, {name} {fee}/1000");
        }
        text
    }
}

/// What a call was priced by, in dollars per million tokens.
#[derive(Debug, Serialize)]
pub(super) struct PriceView {
    source: &'static str,
    version: String,
    service_tier: &'static str,
    above_prompt_tokens: i64,
    #[serde(flatten)]
    members: MembersView,
    /// Members that were used and that no list names.
    assumed: Vec<&'static str>,
}

impl PriceView {
    pub(super) fn new(price: &AppliedPrice, usage: &Usage) -> Self {
        Self {
            source: price.source.as_str(),
            version: price.version.clone(),
            service_tier: price.service_tier.as_str(),
            above_prompt_tokens: price.above_prompt_tokens,
            members: MembersView::new(&price.unit),
            assumed: price.unit.assumed_in(usage),
        }
    }
}
