//! Rate cards: prices as somebody lists them, with gaps.
#![deny(clippy::arithmetic_side_effects)]

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::tier::ServiceTier;
use super::unit::{AssumedMembers, FeePrices, UnitPrices};
use crate::money::{NanoUsd, PicoUsd};

/// Listed prices of one condition. What is absent follows from the rest; see
/// [`RateCard::standard`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Members {
    /// Text tokens of the prompt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input: Option<PicoUsd>,
    /// Text tokens of the completion.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<PicoUsd>,
    /// Prompt tokens read from the provider's cache.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_read: Option<PicoUsd>,
    /// Prompt tokens written to the provider's cache for its usual lifetime.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_write: Option<PicoUsd>,
    /// Prompt tokens written to the provider's cache for one hour.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_write_1h: Option<PicoUsd>,
    /// Audio tokens of the prompt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_audio: Option<PicoUsd>,
    /// Audio tokens of the prompt read from the provider's cache.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audio_cache_read: Option<PicoUsd>,
    /// Image tokens of the prompt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_image: Option<PicoUsd>,
    /// Completion tokens spent on reasoning.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_reasoning: Option<PicoUsd>,
    /// Audio tokens of the completion.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_audio: Option<PicoUsd>,
    /// Image tokens of the completion.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_image: Option<PicoUsd>,
    /// A search of the web, in nano-dollars.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub web_search: Option<NanoUsd>,
    /// A search of files that the provider keeps, in nano-dollars.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file_search: Option<NanoUsd>,
    /// A run of code in the provider's sandbox, in nano-dollars.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code_execution: Option<NanoUsd>,
    /// A request, in nano-dollars.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request: Option<NanoUsd>,
}

/// Names of the prices per token, in the order of [`Members::prices`].
pub const PRICE_NAMES: [&str; 11] = [
    "input",
    "output",
    "cache_read",
    "cache_write",
    "cache_write_1h",
    "input_audio",
    "audio_cache_read",
    "input_image",
    "output_reasoning",
    "output_audio",
    "output_image",
];

impl Members {
    /// The listed prices per token, in the order of [`PRICE_NAMES`].
    pub const fn prices(&self) -> [Option<PicoUsd>; 11] {
        [
            self.input,
            self.output,
            self.cache_read,
            self.cache_write,
            self.cache_write_1h,
            self.input_audio,
            self.audio_cache_read,
            self.input_image,
            self.output_reasoning,
            self.output_audio,
            self.output_image,
        ]
    }

    /// The listed fees, in the order of [`FEE_NAMES`](super::FEE_NAMES).
    pub const fn fees(&self) -> [Option<NanoUsd>; 4] {
        [
            self.web_search,
            self.file_search,
            self.code_execution,
            self.request,
        ]
    }

    /// The place of a price per token, by its name in [`PRICE_NAMES`].
    pub fn price_mut(&mut self, name: &str) -> Option<&mut Option<PicoUsd>> {
        Some(match name {
            "input" => &mut self.input,
            "output" => &mut self.output,
            "cache_read" => &mut self.cache_read,
            "cache_write" => &mut self.cache_write,
            "cache_write_1h" => &mut self.cache_write_1h,
            "input_audio" => &mut self.input_audio,
            "audio_cache_read" => &mut self.audio_cache_read,
            "input_image" => &mut self.input_image,
            "output_reasoning" => &mut self.output_reasoning,
            "output_audio" => &mut self.output_audio,
            "output_image" => &mut self.output_image,
            _ => return None,
        })
    }

    /// The place of a fee, by its name in [`FEE_NAMES`](super::FEE_NAMES).
    pub fn fee_mut(&mut self, name: &str) -> Option<&mut Option<NanoUsd>> {
        Some(match name {
            "web_search" => &mut self.web_search,
            "file_search" => &mut self.file_search,
            "code_execution" => &mut self.code_execution,
            "request" => &mut self.request,
            _ => return None,
        })
    }

    /// These members, and from `others` those that are not listed here.
    #[must_use]
    pub fn or(mut self, others: &Self) -> Self {
        for (name, price) in PRICE_NAMES.into_iter().zip(others.prices()) {
            if let Some(place) = self.price_mut(name) {
                *place = place.or(price);
            }
        }
        for (name, fee) in super::FEE_NAMES.into_iter().zip(others.fees()) {
            if let Some(place) = self.fee_mut(name) {
                *place = place.or(fee);
            }
        }
        self
    }
}

/// Prices of a call by the length of its prompt.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct TieredMembers {
    /// Prices of short prompts.
    pub base: Members,
    /// Prices of longer prompts, by the number of prompt tokens above which they apply.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub above: BTreeMap<i64, Members>,
}

/// All prices of a model as they are listed. `input` and `output` of the standard base are there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RateCard {
    /// Prices of the usual service.
    pub standard: TieredMembers,
    /// Prices of other service tiers; what they do not list follows the usual ones.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub services: BTreeMap<ServiceTier, TieredMembers>,
}

impl Serialize for ServiceTier {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for ServiceTier {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl RateCard {
    /// A card with nothing but a price of the prompt and one of the completion.
    pub fn flat(input: PicoUsd, output: PicoUsd) -> Self {
        let base = Members {
            input: Some(input),
            output: Some(output),
            ..Members::default()
        };
        Self::from(base)
    }

    /// Prices of the usual service for short prompts, every gap filled: a cache costs what other
    /// prompt tokens cost, an hour's write twice the input price where writes have a price of
    /// their own, reasoning what text costs, and sound and images the dearest comparable price.
    pub fn standard(&self) -> UnitPrices {
        self.standard.base.unit()
    }

    /// The members of a condition: those that it lists, and the usual ones in proportion to its
    /// input or output price.
    pub(super) fn follow(usual: &Members, listed: &Members) -> Members {
        let scale = |of: fn(&Members) -> Option<PicoUsd>, is_input: bool| {
            let (from, to) = if is_input {
                (usual.input, listed.input)
            } else {
                (usual.output, listed.output)
            };
            of(listed).or_else(|| of(usual).map(|price| price.in_proportion(from, to)))
        };
        Members {
            input: listed.input.or(usual.input),
            output: listed.output.or(usual.output),
            cache_read: scale(|m| m.cache_read, true),
            cache_write: scale(|m| m.cache_write, true),
            cache_write_1h: scale(|m| m.cache_write_1h, true),
            input_audio: scale(|m| m.input_audio, true),
            audio_cache_read: scale(|m| m.audio_cache_read, true),
            input_image: scale(|m| m.input_image, true),
            output_reasoning: scale(|m| m.output_reasoning, false),
            output_audio: scale(|m| m.output_audio, false),
            output_image: scale(|m| m.output_image, false),
            web_search: listed.web_search.or(usual.web_search),
            file_search: listed.file_search.or(usual.file_search),
            code_execution: listed.code_execution.or(usual.code_execution),
            request: listed.request.or(usual.request),
        }
    }
}

impl From<Members> for RateCard {
    fn from(base: Members) -> Self {
        let standard = TieredMembers {
            base,
            above: BTreeMap::new(),
        };
        Self {
            standard,
            services: BTreeMap::new(),
        }
    }
}

impl Members {
    /// Prices with every gap filled.
    pub(super) fn unit(&self) -> UnitPrices {
        let mut assumed = AssumedMembers::default();
        let mut or = |listed: Option<PicoUsd>, fallback: PicoUsd, bit: AssumedMembers| {
            listed.unwrap_or_else(|| {
                assumed = assumed.and(bit);
                fallback
            })
        };
        let input = self.input.unwrap_or_default();
        let output = self.output.unwrap_or_default();
        let cache_read = self.cache_read.unwrap_or(input);
        let cache_write = self.cache_write.unwrap_or(input);
        let dearest = input.max(cache_read).max(cache_write);
        let hour = if cache_write > input {
            dearest.max(input.twice())
        } else {
            dearest
        };
        let input_audio = or(self.input_audio, dearest, AssumedMembers::INPUT_AUDIO);
        let output_reasoning = self.output_reasoning.unwrap_or(output);
        let dearest_output = output.max(output_reasoning);
        UnitPrices {
            input,
            cache_read,
            cache_write,
            cache_write_1h: or(self.cache_write_1h, hour, AssumedMembers::CACHE_WRITE_1H),
            input_audio,
            audio_cache_read: or(
                self.audio_cache_read,
                input_audio,
                AssumedMembers::AUDIO_CACHE_READ,
            ),
            input_image: self.input_image.unwrap_or(input),
            output,
            output_reasoning,
            output_audio: or(
                self.output_audio,
                dearest_output.max(input_audio),
                AssumedMembers::OUTPUT_AUDIO,
            ),
            output_image: or(
                self.output_image,
                dearest_output,
                AssumedMembers::OUTPUT_IMAGE,
            ),
            fees: FeePrices::of([
                self.web_search,
                self.file_search,
                self.code_execution,
                self.request,
            ]),
            assumed,
        }
    }
}
