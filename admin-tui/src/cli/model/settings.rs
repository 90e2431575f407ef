//! The options with which a model is added and changed.

use std::str::FromStr;
use std::time::Duration;

use tollgate_common::command::ModelSettings;
use tollgate_common::id::{ModelAlias, ProviderName};
use tollgate_common::model::{Fallback, TIMEOUTS, WEIGHTS};

use super::own_price::PriceOptions;
use crate::cli::value;

/// The options below by their fields.
pub(super) const OPTIONS: [&str; 21] = [
    "input_price",
    "output_price",
    "cache_read_price",
    "cache_write_price",
    "cache_write_1h_price",
    "reasoning_price",
    "audio_input_price",
    "audio_output_price",
    "image_input_price",
    "image_output_price",
    "audio_cache_read_price",
    "web_search_fee",
    "file_search_fee",
    "code_execution_fee",
    "request_fee",
    "price_above",
    "price_service",
    "max_output_tokens",
    "weight",
    "timeout",
    "fallbacks",
];

/// The highest priority number that a fallback may be given.
const PRIORITY_MAX: i64 = 1_000;

/// What a model costs, how long its answers may get, and who else may serve its calls.
#[derive(Debug, clap::Args)]
pub(crate) struct Settings {
    #[command(flatten)]
    price: PriceOptions,
    /// How many tokens an answer may have at most
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = clap::value_parser!(i64).range(1..=10_000_000))]
    max_output_tokens: Option<i64>,
    /// Its own share of the load beside fallbacks of priority 0, from 1 to 1000 [default: 1]
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = clap::value_parser!(i64).range(WEIGHTS))]
    weight: Option<i64>,
    #[arg(
        long,
        value_name = "SPAN",
        value_parser = timeout,
        help = "How long a provider may take for a whole answer, or until a streamed one begins: \
                90s, 10m [default: the proxy's upstream.total_timeout_ms]"
    )]
    timeout: Option<Duration>,
    #[arg(
        long = "fallback",
        value_name = "ALIAS[:PRIORITY[:WEIGHT]]",
        help = "A model that serves its calls when it cannot; repeat it to name all of them. \
                Priority 0 shares the load by weight, higher numbers are tried later [default: \
                one more than the fallback before, weight 1]"
    )]
    fallbacks: Vec<FallbackOption>,
}

/// Reads how long a model's answers may take.
pub(crate) fn timeout(text: &str) -> Result<Duration, String> {
    let span = value::span(text)?;
    let within = Some(span).filter(|span| TIMEOUTS.contains(span));
    within.ok_or_else(|| "write a span from 1s to 24h".to_owned())
}

/// A fallback as it is given. Aliases may hold colons too: up to two numbers at the end are the
/// priority and the weight.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FallbackOption {
    alias: ModelAlias,
    priority: Option<i64>,
    weight: i64,
}

/// Takes a number after the last colon off the end.
fn split_number(text: &str) -> Option<(&str, &str)> {
    text.rsplit_once(':')
        .filter(|(_, end)| !end.is_empty() && end.bytes().all(|b| b.is_ascii_digit()))
}

impl FromStr for FallbackOption {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (rest, last) = match split_number(text) {
            Some((rest, number)) => (rest, Some(number)),
            None => (text, None),
        };
        let (alias, priority, weight) = match split_number(rest) {
            Some((alias, priority)) => (alias, Some(priority), last),
            None => (rest, last, None),
        };
        let within = |number: &str, range: std::ops::RangeInclusive<i64>, what: &str| {
            number
                .parse()
                .ok()
                .filter(|number| range.contains(number))
                .ok_or_else(|| {
                    let (start, end) = (range.start(), range.end());
                    format!("{what} is from {start} to {end}; if the alias itself ends in a number, write priority and weight after it")
                })
        };
        let priority = priority.map(|number| within(number, 0..=PRIORITY_MAX, "a priority"));
        let weight = weight.map(|number| within(number, WEIGHTS, "a weight"));
        Ok(Self {
            alias: alias
                .parse()
                .map_err(|why| format!("{why}, then :PRIORITY and :WEIGHT if need be"))?,
            priority: priority.transpose()?,
            weight: weight.transpose()?.unwrap_or(1),
        })
    }
}

/// Gives each fallback without a priority the one after that of the fallback before it.
pub(crate) fn in_order(given: Vec<FallbackOption>) -> Vec<Fallback> {
    let mut previous = 0;
    given
        .into_iter()
        .map(|option| {
            previous = option.priority.unwrap_or(previous + 1);
            Fallback {
                alias: option.alias,
                priority: previous,
                weight: option.weight,
            }
        })
        .collect()
}

impl Settings {
    /// The settings as data; `fallbacks` stand in if no option names any.
    pub(super) fn into_model_settings(
        self,
        provider: Option<ProviderName>,
        upstream_model: Option<String>,
        fallbacks: Option<Vec<Fallback>>,
    ) -> ModelSettings {
        let price = self.price.into_card();
        let given = Some(in_order(self.fallbacks)).filter(|given| !given.is_empty());
        ModelSettings {
            provider,
            upstream_model,
            price: price.map(Some),
            output_tokens_max: self.max_output_tokens,
            weight: self.weight,
            timeout: self.timeout.map(Some),
            fallbacks: given.or(fallbacks),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (String, Option<i64>, i64) {
        let option: FallbackOption = text.parse().unwrap();
        (option.alias.to_string(), option.priority, option.weight)
    }

    #[test]
    fn a_fallback_is_an_alias_and_up_to_two_numbers() {
        assert_eq!(read("smart"), ("smart".to_owned(), None, 1));
        assert_eq!(read("smart:0"), ("smart".to_owned(), Some(0), 1));
        assert_eq!(read("smart:2:30"), ("smart".to_owned(), Some(2), 30));
        let with_colon = "meta/llama:70b";
        assert_eq!(read(with_colon), (with_colon.to_owned(), None, 1));
        assert_eq!(read("llama:7:1:2"), ("llama:7".to_owned(), Some(1), 2));
        for bad in ["", ":1", "a b", "a:1:0", "a:1:1001", "a:1001"] {
            assert!(bad.parse::<FallbackOption>().is_err(), "{bad}");
        }
    }

    #[test]
    fn priorities_follow_one_another_unless_they_are_given() {
        let priorities = |given: &[&str]| {
            let given = given.iter().map(|text| text.parse().unwrap()).collect();
            let fallbacks = in_order(given).into_iter();
            fallbacks
                .map(|fallback| fallback.priority)
                .collect::<Vec<_>>()
        };
        assert_eq!(priorities(&["a", "b", "c"]), [1, 2, 3]);
        assert_eq!(priorities(&["a:0", "b", "c:5:2", "d"]), [0, 1, 5, 6]);
    }
}
