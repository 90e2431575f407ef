//! What usage costs. One pure function prices every path.
#![deny(clippy::arithmetic_side_effects)]

use std::sync::LazyLock;

use crate::money::NanoUsd;

/// Tokens of one call in disjoint buckets: their sum is the total.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Prompt tokens that no cache served.
    pub input_uncached: i64,
    /// Prompt tokens read from the provider's cache.
    pub input_cache_read: i64,
    /// Prompt tokens written to the provider's cache.
    pub input_cache_write: i64,
    /// Completion tokens that the caller sees.
    pub output_text: i64,
    /// Completion tokens spent on reasoning.
    pub output_reasoning: i64,
}

impl Usage {
    /// All prompt tokens.
    pub const fn input(&self) -> i64 {
        self.input_uncached
            .saturating_add(self.input_cache_read)
            .saturating_add(self.input_cache_write)
    }

    /// All completion tokens.
    pub const fn output(&self) -> i64 {
        self.output_text.saturating_add(self.output_reasoning)
    }

    /// All tokens.
    pub const fn total(&self) -> i64 {
        self.input().saturating_add(self.output())
    }
}

/// Nano-dollars per token of each bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnitPrices {
    /// Prompt tokens that no cache served.
    pub input: NanoUsd,
    /// Prompt tokens read from the provider's cache.
    pub cache_read: NanoUsd,
    /// Prompt tokens written to the provider's cache.
    pub cache_write: NanoUsd,
    /// Completion tokens, reasoning among them.
    pub output: NanoUsd,
}

impl UnitPrices {
    /// Prices without a cache discount: what the provider reads from its cache costs the full
    /// price.
    pub const fn flat(input: NanoUsd, output: NanoUsd) -> Self {
        Self {
            input,
            cache_read: input,
            cache_write: input,
            output,
        }
    }

    /// The provider's cost of `usage`: exact, because unit prices are whole nano-dollars.
    pub fn cost(&self, usage: &Usage) -> NanoUsd {
        self.input
            .times(usage.input_uncached)
            .plus(self.cache_read.times(usage.input_cache_read))
            .plus(self.cache_write.times(usage.input_cache_write))
            .plus(self.output.times(usage.output()))
    }

    /// The higher price of each bucket: what a call may cost that either of two models may serve.
    #[must_use]
    pub fn dearest(self, other: Self) -> Self {
        Self {
            input: self.input.max(other.input),
            cache_read: self.cache_read.max(other.cache_read),
            cache_write: self.cache_write.max(other.cache_write),
            output: self.output.max(other.output),
        }
    }

    /// The most that `input` prompt tokens and `output` completion tokens can cost.
    pub fn worst_cost(&self, input: i64, output: i64) -> NanoUsd {
        let dearest_input = self.input.max(self.cache_read).max(self.cache_write);
        dearest_input.times(input).plus(self.output.times(output))
    }
}

/// Unit prices and where they come from, as stored with each call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Price {
    /// Nano-dollars per token.
    pub unit: UnitPrices,
    /// The dated table's version, or `alias` for a price set on the alias.
    pub version: String,
}

/// One row of the shipped table: model, input, cached input, output ($ per million), output limit,
/// and input written to the cache if that costs more than other input.
#[derive(Debug)]
struct CatalogRow {
    model: &'static str,
    unit: UnitPrices,
    output_tokens_max: i64,
}

/// The table that this build ships.
#[derive(Debug)]
pub struct Catalog {
    version: &'static str,
    rows: Vec<CatalogRow>,
}

/// The prices shipped with this build; their version is the day the table last changed.
pub static CATALOG: LazyLock<Catalog> =
    LazyLock::new(|| Catalog::parse(include_str!("prices.txt")));

/// Suffixes under which providers publish one model: a date or `latest`.
fn is_release_suffix(suffix: &str) -> bool {
    suffix == "latest"
        || (suffix.len() >= 4 && suffix.bytes().all(|b| b.is_ascii_digit() || b == b'-'))
}

impl Catalog {
    /// Reads the table's text; a line that is not a row of it is left out, and a test counts them.
    fn parse(text: &'static str) -> Self {
        let version = text
            .lines()
            .find_map(|l| l.strip_prefix("version "))
            .unwrap_or("unknown");
        let rows = text.lines().filter_map(Self::parse_row).collect();
        Self { version, rows }
    }

    fn parse_row(line: &'static str) -> Option<CatalogRow> {
        let mut words = line.split_whitespace();
        let model = words
            .next()
            .filter(|word| !word.starts_with('#') && *word != "version")?;
        let mut price = || {
            words
                .next()
                .and_then(|w| NanoUsd::parse_per_million(w).ok())
        };
        let (input, cache_read, output) = (price()?, price()?, price()?);
        let output_tokens_max = words.next()?.parse().ok()?;
        let cache_write = match words.next() {
            Some(word) => NanoUsd::parse_per_million(word).ok()?,
            None => input,
        };
        let unit = UnitPrices {
            input,
            cache_read,
            cache_write,
            output,
        };
        Some(CatalogRow {
            model,
            unit,
            output_tokens_max,
        })
    }

    /// The row of a provider's model: its exact name, or that name and a release date.
    fn row(&self, upstream_model: &str) -> Option<&CatalogRow> {
        let name = upstream_model.trim().to_ascii_lowercase();
        let base_name = name.rsplit('/').next().unwrap_or(&name);
        self.rows.iter().find(|row| {
            base_name.strip_prefix(row.model).is_some_and(|rest| {
                rest.is_empty() || rest.strip_prefix(['-', '@']).is_some_and(is_release_suffix)
            })
        })
    }

    /// The price of a provider's model, if the table has it. There is no default price.
    pub fn price(&self, upstream_model: &str) -> Option<Price> {
        self.row(upstream_model).map(|row| Price {
            unit: row.unit,
            version: self.version.to_owned(),
        })
    }

    /// How many tokens a provider's model can answer at most, if the table has it.
    pub fn output_tokens_max(&self, upstream_model: &str) -> Option<i64> {
        self.row(upstream_model).map(|row| row.output_tokens_max)
    }

    /// The day the table last changed.
    pub const fn version(&self) -> &str {
        self.version
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_table_is_a_row() {
        let rows = include_str!("prices.txt")
            .lines()
            .filter(|l| !l.is_empty() && !l.starts_with('#') && !l.starts_with("version "))
            .count();
        assert_eq!(CATALOG.rows.len(), rows);
        assert!(rows > 20 && CATALOG.version().starts_with("20"));
    }

    #[test]
    fn a_model_is_found_by_its_name_or_dated_name_only() {
        let input = |model: &str| CATALOG.price(model).map(|p| p.unit.input);
        assert_eq!(input("gpt-4o"), Some(NanoUsd(2_500)));
        assert_eq!(input("gpt-4o-2024-08-06"), Some(NanoUsd(2_500)));
        assert_eq!(input("GPT-4o-mini"), Some(NanoUsd(150)));
        assert_eq!(input("claude-sonnet-4-5-20250929"), Some(NanoUsd(3_000)));
        assert_eq!(input("o3"), Some(NanoUsd(1_000)));
        assert_eq!(input("o3-mini"), None);
        assert_eq!(input("gpt-4"), None);
        assert_eq!(input(""), None);
    }

    #[test]
    fn usage_is_priced_by_bucket() {
        let unit = CATALOG.price("gpt-4o").unwrap().unit;
        let usage = Usage {
            input_uncached: 10,
            output_text: 5,
            ..Usage::default()
        };
        assert_eq!(unit.cost(&usage), NanoUsd(75_000));
        let cached = Usage {
            input_cache_read: 1_000,
            output_reasoning: 2,
            ..Usage::default()
        };
        assert_eq!(unit.cost(&cached), NanoUsd(1_250_000 + 20_000));
        assert_eq!(unit.worst_cost(10, 5), NanoUsd(75_000));
    }

    #[test]
    fn writing_to_a_cache_costs_a_quarter_more_where_the_table_says_so() {
        let claude = CATALOG.price("claude-sonnet-4-5").unwrap().unit;
        assert_eq!(claude.cache_write, NanoUsd(3_750));
        assert_eq!(claude.worst_cost(1_000, 0), NanoUsd(3_750_000));
        let claude_rows = CATALOG
            .rows
            .iter()
            .filter(|row| row.model.starts_with("claude"));
        for row in claude_rows {
            assert!(row.unit.cache_write > row.unit.input, "{}", row.model);
        }
        let gpt = CATALOG.price("gpt-4o").unwrap().unit;
        assert_eq!(gpt.cache_write, gpt.input);
    }

    #[test]
    fn the_dearest_of_two_prices_covers_both() {
        let one = CATALOG.price("gpt-4o").unwrap().unit;
        let other = UnitPrices {
            cache_write: NanoUsd(9_000),
            ..UnitPrices::flat(NanoUsd(1), NanoUsd(20_000))
        };
        let dearest = UnitPrices {
            input: NanoUsd(2_500),
            cache_read: NanoUsd(1_250),
            cache_write: NanoUsd(9_000),
            output: NanoUsd(20_000),
        };
        assert_eq!(one.dearest(other), dearest);
        assert_eq!(other.dearest(one), dearest);
    }
}
