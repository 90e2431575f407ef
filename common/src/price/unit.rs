//! Prices of each bucket of tokens, and the cost of usage by them.
#![deny(clippy::arithmetic_side_effects)]

use super::usage::{FeeCounts, Usage};
use crate::ledger::PromptWeight;
use crate::money::{CALL_COST_MAX, NanoUsd, PicoUsd};

/// The fee that a billed call counts with if its price is not known: above all that are listed, so
/// that what was used is never free. In the order of [`FeeCounts::all`].
pub const UNKNOWN_FEES: [NanoUsd; 4] = [
    NanoUsd(50_000_000),
    NanoUsd(10_000_000),
    NanoUsd(50_000_000),
    NanoUsd(50_000_000),
];

/// Pico-dollars per token of each bucket, and fees per billed call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct UnitPrices {
    /// Text tokens of the prompt that no cache served.
    pub input: PicoUsd,
    /// Prompt tokens read from the provider's cache.
    pub cache_read: PicoUsd,
    /// Prompt tokens written to the provider's cache for its usual lifetime.
    pub cache_write: PicoUsd,
    /// Prompt tokens written to the provider's cache for one hour.
    pub cache_write_1h: PicoUsd,
    /// Audio tokens of the prompt that no cache served.
    pub input_audio: PicoUsd,
    /// Audio tokens of the prompt read from the provider's cache.
    pub audio_cache_read: PicoUsd,
    /// Image tokens of the prompt.
    pub input_image: PicoUsd,
    /// Text tokens of the completion.
    pub output: PicoUsd,
    /// Completion tokens spent on reasoning.
    pub output_reasoning: PicoUsd,
    /// Audio tokens of the completion.
    pub output_audio: PicoUsd,
    /// Image tokens of the completion.
    pub output_image: PicoUsd,
    /// Fees per billed call.
    pub fees: FeePrices,
    /// Members that no list names and that stand at the dearest comparable one.
    pub assumed: AssumedMembers,
}

/// Nano-dollars per billed call of each kind; `None` if nobody knows its price.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct FeePrices {
    /// A search of the web.
    pub web_search: Option<NanoUsd>,
    /// A search of files that the provider keeps.
    pub file_search: Option<NanoUsd>,
    /// A run of code in the provider's sandbox.
    pub code_execution: Option<NanoUsd>,
    /// A request.
    pub request: Option<NanoUsd>,
}

/// Names of the fees, in the order of [`FeeCounts::all`].
pub const FEE_NAMES: [&str; 4] = ["web_search", "file_search", "code_execution", "request"];

impl FeePrices {
    /// The fees in the order of [`FeeCounts::all`].
    pub const fn all(&self) -> [Option<NanoUsd>; 4] {
        [
            self.web_search,
            self.file_search,
            self.code_execution,
            self.request,
        ]
    }

    /// Fees in the order of [`FeeCounts::all`].
    pub const fn of(fees: [Option<NanoUsd>; 4]) -> Self {
        let [web_search, file_search, code_execution, request] = fees;
        Self {
            web_search,
            file_search,
            code_execution,
            request,
        }
    }

    /// The fees in the order of [`FeeCounts::all`]. A fee for each request covers the searches that
    /// have none of their own.
    fn effective(&self) -> [Option<NanoUsd>; 4] {
        let covered = self.request.map(|_| NanoUsd(0));
        let web_search = self.web_search.or(covered);
        Self {
            web_search,
            ..*self
        }
        .all()
    }

    /// The kinds of billed calls that occur in `counts` and have no known price, by name.
    pub fn unknown_in(&self, counts: &FeeCounts) -> Vec<&'static str> {
        let pairs = counts
            .all()
            .into_iter()
            .zip(self.effective())
            .zip(FEE_NAMES);
        let unknown = pairs.filter(|((count, fee), _)| *count > 0 && fee.is_none());
        unknown.map(|(_, name)| name).collect()
    }

    /// The higher fee of each kind; unknown if either is. Where requests have no fee of their own,
    /// there is none.
    #[must_use]
    fn max(self, other: Self) -> Self {
        let mut fees = self.effective();
        for (fee, other) in fees.iter_mut().zip(other.effective()) {
            *fee = fee.zip(other).map(|(one, other)| one.max(other));
        }
        Self {
            request: self.request.max(other.request),
            ..Self::of(fees)
        }
    }

    /// Pico-dollars of `counts`; what has no known price counts with [`UNKNOWN_FEES`].
    fn cost_pico(&self, counts: &FeeCounts) -> i128 {
        let mut sum = 0_i128;
        let fees = counts.all().into_iter().zip(self.effective());
        for ((count, fee), unknown) in fees.zip(UNKNOWN_FEES) {
            let fee = fee.unwrap_or(unknown);
            let nanos = i128::from(count.max(0)).saturating_mul(i128::from(fee.0));
            sum = sum.saturating_add(nanos.saturating_mul(1_000));
        }
        sum
    }
}

/// A set of members whose price is assumed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct AssumedMembers(u8);

/// A member that may be assumed: its name, its bit, and its count in some usage.
type Assumable = (&'static str, AssumedMembers, fn(&Usage) -> i64);

const ASSUMABLE: [Assumable; 6] = [
    ("cache_write_1h", AssumedMembers::CACHE_WRITE_1H, |usage| {
        usage.input_cache_write_1h
    }),
    ("input_audio", AssumedMembers::INPUT_AUDIO, |usage| {
        usage.input_audio
    }),
    (
        "audio_cache_read",
        AssumedMembers::AUDIO_CACHE_READ,
        |usage| usage.input_audio_cache_read,
    ),
    ("output_audio", AssumedMembers::OUTPUT_AUDIO, |usage| {
        usage.output_audio
    }),
    ("output_image", AssumedMembers::OUTPUT_IMAGE, |usage| {
        usage.output_image
    }),
    ("service_tier", AssumedMembers::SERVICE_TIER, Usage::total),
];

impl AssumedMembers {
    /// Writes to the cache for one hour.
    pub const CACHE_WRITE_1H: Self = Self(1);
    /// Audio in the prompt.
    pub const INPUT_AUDIO: Self = Self(2);
    /// Audio read from the cache.
    pub const AUDIO_CACHE_READ: Self = Self(4);
    /// Audio in the completion.
    pub const OUTPUT_AUDIO: Self = Self(8);
    /// Images in the completion.
    pub const OUTPUT_IMAGE: Self = Self(16);
    /// The whole service tier: it is not listed, and the dearest one that is stands for it.
    pub const SERVICE_TIER: Self = Self(32);

    /// The set as stored.
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// Reads a stored set; unknown bits are dropped.
    pub const fn from_bits(bits: i64) -> Self {
        Self((bits & 63) as u8)
    }

    /// Both sets.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether the member of this name is in the set.
    pub fn has_named(self, name: &str) -> bool {
        let mut named = ASSUMABLE.into_iter();
        named.any(|(member, bit, _)| member == name && self.has(bit))
    }

    /// Whether all of `other` is in this set.
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// Tokens times pico-dollars; counts below nothing are nothing.
fn pico(price: PicoUsd, count: i64) -> i128 {
    i128::from(price.0).saturating_mul(i128::from(count.max(0)))
}

/// Rounds pico-dollars to nano-dollars, half up, and keeps them within what a call may cost.
fn nano(pico: i128) -> NanoUsd {
    let nanos = pico.saturating_add(500).div_euclid(1_000);
    NanoUsd(i64::try_from(nanos).unwrap_or(i64::MAX)).min(CALL_COST_MAX)
}

/// Kinds of output beside text that a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OutputKinds {
    /// Sound.
    pub audio: bool,
    /// Images.
    pub image: bool,
}

impl UnitPrices {
    /// The prices per token, in the order of [`PRICE_NAMES`](super::PRICE_NAMES).
    pub const fn prices(&self) -> [PicoUsd; 11] {
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

    /// Prices without a cache discount, and the same for every kind of token.
    pub const fn flat(input: PicoUsd, output: PicoUsd) -> Self {
        Self {
            input,
            cache_read: input,
            cache_write: input,
            cache_write_1h: input,
            input_audio: input,
            audio_cache_read: input,
            input_image: input,
            output,
            output_reasoning: output,
            output_audio: output,
            output_image: output,
            fees: FeePrices {
                web_search: None,
                file_search: None,
                code_execution: None,
                request: None,
            },
            assumed: AssumedMembers(0),
        }
    }

    /// The provider's cost of `usage`, rounded once; at most [`CALL_COST_MAX`].
    pub fn cost(&self, usage: &Usage) -> NanoUsd {
        let buckets = [
            (self.input, usage.input_uncached),
            (self.cache_read, usage.input_cache_read),
            (self.cache_write, usage.input_cache_write),
            (self.cache_write_1h, usage.input_cache_write_1h),
            (self.input_audio, usage.input_audio),
            (self.audio_cache_read, usage.input_audio_cache_read),
            (self.input_image, usage.input_image),
            (self.output, usage.output_text),
            (self.output_reasoning, usage.output_reasoning),
            (self.output_audio, usage.output_audio),
            (self.output_image, usage.output_image),
        ];
        let tokens = buckets.into_iter().fold(0_i128, |sum, (price, count)| {
            sum.saturating_add(pico(price, count))
        });
        nano(tokens.saturating_add(self.fees.cost_pico(&usage.fees)))
    }

    /// The members that `usage` was charged by though no list names them.
    pub fn assumed_in(&self, usage: &Usage) -> Vec<&'static str> {
        let assumed = ASSUMABLE.into_iter();
        let used = assumed.filter(|(_, bit, count)| self.assumed.has(*bit) && count(usage) > 0);
        let members = used.map(|(name, ..)| name);
        members.chain(self.fees.unknown_in(&usage.fees)).collect()
    }

    /// The higher price of each bucket: what a call may cost that either of two models may serve.
    #[must_use]
    pub fn max_per_bucket(self, other: Self) -> Self {
        Self {
            input: self.input.max(other.input),
            cache_read: self.cache_read.max(other.cache_read),
            cache_write: self.cache_write.max(other.cache_write),
            cache_write_1h: self.cache_write_1h.max(other.cache_write_1h),
            input_audio: self.input_audio.max(other.input_audio),
            audio_cache_read: self.audio_cache_read.max(other.audio_cache_read),
            input_image: self.input_image.max(other.input_image),
            output: self.output.max(other.output),
            output_reasoning: self.output_reasoning.max(other.output_reasoning),
            output_audio: self.output_audio.max(other.output_audio),
            output_image: self.output_image.max(other.output_image),
            fees: self.fees.max(other.fees),
            assumed: self.assumed.and(other.assumed),
        }
    }

    /// The most that a prompt, its answer of `output_tokens` and billed calls can cost.
    pub fn worst_cost(
        &self,
        prompt: &PromptWeight,
        (output_tokens, kinds): (i64, OutputKinds),
        fees: &FeeCounts,
    ) -> NanoUsd {
        let cached = self.cache_read.max(self.cache_write);
        let mut text = self.input.max(cached);
        if prompt.cache_write_1h {
            text = text.max(self.cache_write_1h);
        }
        let audio = text.max(self.input_audio).max(self.audio_cache_read);
        let mut output = self.output.max(self.output_reasoning);
        if kinds.audio {
            output = output.max(self.output_audio);
        }
        if kinds.image {
            output = output.max(self.output_image);
        }
        let sum = pico(text, prompt.text)
            .saturating_add(pico(text.max(self.input_image), prompt.image))
            .saturating_add(pico(audio, prompt.audio))
            .saturating_add(pico(output, output_tokens))
            .saturating_add(self.fees.cost_pico(fees));
        nano(sum)
    }
}
