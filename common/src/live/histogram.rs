//! Counts by size, in buckets that grow by a quarter of a power of two: quantiles are right to
//! about a tenth, and histograms of several nodes can be added.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Buckets within each power of two.
const STEPS: u32 = 4;

/// Counts by size.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Histogram(BTreeMap<u32, u64>);

/// The bucket of a value: below [`STEPS`] each has its own, then each power of two has [`STEPS`].
fn bucket(value: u64) -> u32 {
    if value < u64::from(STEPS) {
        return value as u32;
    }
    let power = value.ilog2();
    let step = (value >> (power - STEPS.ilog2())) as u32 - STEPS;
    (power - STEPS.ilog2()) * STEPS + STEPS + step
}

/// The largest value of a bucket.
fn upper_end(bucket: u32) -> u64 {
    if bucket < STEPS {
        return u64::from(bucket);
    }
    let power = (bucket - STEPS) / STEPS;
    let step = (bucket - STEPS) % STEPS;
    (u64::from(STEPS + step + 1) << power) - 1
}

impl Histogram {
    /// Counts a value.
    pub fn record(&mut self, value: u64) {
        // Values that need more bits than any time has are counted as the largest.
        *self.0.entry(bucket(value.min(u64::MAX >> 4))).or_default() += 1;
    }

    /// Adds another's counts.
    pub fn add(&mut self, other: &Self) {
        for (bucket, count) in &other.0 {
            *self.0.entry(*bucket).or_default() += count;
        }
    }

    /// How many values were counted.
    pub fn count(&self) -> u64 {
        self.0.values().sum()
    }

    /// The value that so many per mille of all do not exceed; nothing of nothing.
    pub fn quantile(&self, per_mille: u64) -> Option<u64> {
        let rank = (self.count() * per_mille).div_ceil(1_000).max(1);
        let mut seen = 0;
        self.0.iter().find_map(|(bucket, count)| {
            seen += count;
            (seen >= rank).then(|| upper_end(*bucket))
        })
    }

    /// The largest bucket's end.
    pub fn max(&self) -> Option<u64> {
        self.0.keys().last().map(|bucket| upper_end(*bucket))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_bucket_is_at_most_a_quarter_wide(value in 0..u64::MAX >> 4) {
            let end = upper_end(bucket(value));
            prop_assert!(end >= value);
            prop_assert!(end - value <= value / 4);
            prop_assert_eq!(bucket(end), bucket(value));
            prop_assert_eq!(bucket(end + 1), bucket(value) + 1);
        }

        #[test]
        fn sums_of_histograms_are_histograms_of_sums(
            one in proptest::collection::vec(0u64..100_000, 0..50),
            other in proptest::collection::vec(0u64..100_000, 0..50),
        ) {
            let of = |values: &[u64]| {
                let mut histogram = Histogram::default();
                for value in values {
                    histogram.record(*value);
                }
                histogram
            };
            let mut sum = of(&one);
            sum.add(&of(&other));
            let both: Vec<u64> = one.into_iter().chain(other).collect();
            prop_assert_eq!(&sum, &of(&both));
            prop_assert_eq!(sum.count(), both.len() as u64);
        }
    }

    #[test]
    fn quantiles_are_values_that_were_counted() {
        let mut histogram = Histogram::default();
        (1..=100).for_each(|value| histogram.record(value));
        assert_eq!(histogram.quantile(500), Some(55));
        assert_eq!(histogram.quantile(990), Some(111));
        assert_eq!(Histogram::default().quantile(500), None);
    }
}
