//! The prices that this build ships.

use std::sync::{Arc, LazyLock};

use super::{Members, Price, PriceSource, RateCard};
use crate::money::PicoUsd;

/// One row of the shipped table: model, input, cached input, output ($ per million), output limit,
/// and input written to the cache if that costs more than other input.
#[derive(Debug)]
struct CatalogRow {
    model: &'static str,
    price: Arc<Price>,
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
        let rows = text
            .lines()
            .filter_map(|line| Self::parse_row(line, version));
        Self {
            version,
            rows: rows.collect(),
        }
    }

    fn parse_row(line: &'static str, version: &str) -> Option<CatalogRow> {
        let mut words = line.split_whitespace();
        let model = words
            .next()
            .filter(|word| !word.starts_with('#') && *word != "version")?;
        let mut price = || {
            words
                .next()
                .and_then(|w| PicoUsd::parse_per_million(w).ok())
        };
        let (input, cache_read, output) = (price()?, price()?, price()?);
        let output_tokens_max = words.next()?.parse().ok()?;
        let cache_write = match words.next() {
            Some(word) => Some(PicoUsd::parse_per_million(word).ok()?),
            None => None,
        };
        let card = RateCard::from(Members {
            input: Some(input),
            output: Some(output),
            cache_read: Some(cache_read),
            cache_write,
            ..Members::default()
        });
        Some(CatalogRow {
            model,
            price: Arc::new(Price::new(&card, PriceSource::Catalogue, version, None)),
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
    pub fn price(&self, upstream_model: &str) -> Option<Arc<Price>> {
        self.row(upstream_model).map(|row| Arc::clone(&row.price))
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
