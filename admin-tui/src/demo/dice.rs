//! Numbers by chance that are the same for the same seed.

use std::sync::atomic::{AtomicU64, Ordering};

use tollgate_common::clock::Random;

/// The step of the sequence and the multipliers of `SplitMix64`.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
const FIRST: u64 = 0xbf58_476d_1ce4_e5b9;
const SECOND: u64 = 0x94d0_49bb_1331_11eb;

/// A sequence of numbers by chance.
#[derive(Debug)]
pub(crate) struct Dice(AtomicU64);

impl Dice {
    /// The sequence of this seed.
    pub(crate) const fn new(seed: u64) -> Self {
        Self(AtomicU64::new(seed))
    }

    /// Any number.
    pub(crate) fn next(&self) -> u64 {
        let state = self.0.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
        let mixed = (state ^ (state >> 30)).wrapping_mul(FIRST);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(SECOND);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`; zero if there is none.
    pub(crate) fn below(&self, bound: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as u64
    }

    /// A number of a range.
    pub(crate) fn between(&self, low: i64, high: i64) -> i64 {
        let width = high.saturating_sub(low).max(0) as u64 + 1;
        low.saturating_add(self.below(width).cast_signed())
    }

    /// Whether something that happens so many times in a thousand happens.
    pub(crate) fn chance(&self, per_mille: u64) -> bool {
        self.below(1_000) < per_mille
    }

    /// A number of a range whose large values are rare.
    pub(crate) fn skewed(&self, low: i64, high: i64) -> i64 {
        let width = high.saturating_sub(low).max(0) as u64;
        let part = self.below(1_024) * self.below(1_024) / 1_024 * self.below(1_024) / 1_024;
        low.saturating_add((width * part / 1_024).cast_signed())
    }

    /// The index of a weight, by sums of weights up to each.
    pub(crate) fn weighted(&self, sums: &[u64]) -> usize {
        let target = self.below(sums.last().copied().unwrap_or(0));
        sums.partition_point(|sum| *sum <= target)
    }
}

/// Sums of weights up to each.
pub(crate) fn sums(weights: impl IntoIterator<Item = u64>) -> Vec<u64> {
    let mut sum = 0;
    let add = |weight| {
        sum += weight;
        sum
    };
    weights.into_iter().map(add).collect()
}

impl Random for Dice {
    fn fill(&self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            let number = self.next().to_le_bytes();
            chunk.copy_from_slice(&number[..chunk.len()]);
        }
    }
}
