//! The options by which a model gets a price of its own.

use std::str::FromStr;

use tollgate_common::money::{NanoUsd, PicoUsd};
use tollgate_common::price::{Members, PRICE_NAMES, RateCard, ServiceTier};

use crate::cli::value;

/// What a model costs, whatever the lists say.
#[derive(Debug, clap::Args)]
pub(super) struct PriceOptions {
    /// Its own price of prompt tokens, in dollars per million
    #[arg(long, value_name = "DOLLARS", allow_negative_numbers = true, requires = "output_price", value_parser = value::price)]
    input_price: Option<PicoUsd>,
    /// Its own price of completion tokens, in dollars per million
    #[arg(long, value_name = "DOLLARS", allow_negative_numbers = true, requires = "input_price", value_parser = value::price)]
    output_price: Option<PicoUsd>,
    /// Its own price of prompt tokens read from the provider's cache [default: the input price]
    #[arg(long, value_name = "DOLLARS", allow_negative_numbers = true, requires = "input_price", value_parser = value::price)]
    cache_read_price: Option<PicoUsd>,
    /// Its own price of prompt tokens written to the provider's cache [default: the input price]
    #[arg(long, value_name = "DOLLARS", allow_negative_numbers = true, requires = "input_price", value_parser = value::price)]
    cache_write_price: Option<PicoUsd>,
    /// The same for writes that last an hour [default: twice the input price if writes have one]
    #[arg(long, value_name = "DOLLARS", allow_negative_numbers = true, requires = "input_price", value_parser = value::price)]
    cache_write_1h_price: Option<PicoUsd>,
    /// Its own price of completion tokens spent on reasoning [default: the output price]
    #[arg(long, value_name = "DOLLARS", allow_negative_numbers = true, requires = "input_price", value_parser = value::price)]
    reasoning_price: Option<PicoUsd>,
    /// Its own price of audio tokens of the prompt [default: the dearest price of prompt tokens]
    #[arg(long, value_name = "DOLLARS", allow_negative_numbers = true, requires = "input_price", value_parser = value::price)]
    audio_input_price: Option<PicoUsd>,
    /// Its own price of audio tokens of the answer [default: the dearest comparable price]
    #[arg(long, value_name = "DOLLARS", allow_negative_numbers = true, requires = "input_price", value_parser = value::price)]
    audio_output_price: Option<PicoUsd>,
    /// Its own price of image tokens of the prompt [default: the input price]
    #[arg(long, value_name = "DOLLARS", allow_negative_numbers = true, requires = "input_price", value_parser = value::price)]
    image_input_price: Option<PicoUsd>,
    /// Its own price of image tokens of the answer [default: the output price]
    #[arg(long, value_name = "DOLLARS", allow_negative_numbers = true, requires = "input_price", value_parser = value::price)]
    image_output_price: Option<PicoUsd>,
    /// Its own price of audio tokens read from the provider's cache [default: the audio price]
    #[arg(long, value_name = "DOLLARS", allow_negative_numbers = true, requires = "input_price", value_parser = value::price)]
    audio_cache_read_price: Option<PicoUsd>,
    /// Its own fee of a search of the web, in dollars per thousand [default: none is known]
    #[arg(long, value_name = "DOLLARS", allow_negative_numbers = true, requires = "input_price", value_parser = value::fee)]
    web_search_fee: Option<NanoUsd>,
    /// Its own fee of a search of files at the provider, in dollars per thousand
    #[arg(long, value_name = "DOLLARS", allow_negative_numbers = true, requires = "input_price", value_parser = value::fee)]
    file_search_fee: Option<NanoUsd>,
    /// Its own fee of a run of code at the provider, in dollars per thousand
    #[arg(long, value_name = "DOLLARS", allow_negative_numbers = true, requires = "input_price", value_parser = value::fee)]
    code_execution_fee: Option<NanoUsd>,
    /// Its own fee of a request, in dollars per thousand
    #[arg(long, value_name = "DOLLARS", allow_negative_numbers = true, requires = "input_price", value_parser = value::fee)]
    request_fee: Option<NanoUsd>,
    #[arg(
        long,
        value_name = "TOKENS:INPUT:OUTPUT[:MEMBER=PRICE]",
        requires = "input_price",
        help = "Its own prices of calls whose prompt has more tokens than that; repeat it for \
                more steps. Other prices follow in proportion, unless they are named, as \
                200000:2.50:15:cache_read=0.25"
    )]
    price_above: Vec<AboveOption>,
    #[arg(
        long,
        value_name = "TIER:INPUT:OUTPUT[:MEMBER=PRICE]",
        requires = "input_price",
        help = "Its own prices by another service tier: flex, priority, batch, fast or scale; \
                repeat it for more. Other prices follow in proportion, unless they are named"
    )]
    price_service: Vec<ServiceOption>,
}

/// Prices of long prompts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct AboveOption {
    tokens: i64,
    members: Members,
}

/// Prices by a service tier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ServiceOption {
    tier: ServiceTier,
    members: Members,
}

/// Reads `INPUT:OUTPUT` and other members after it, as `cache_read=0.25`.
fn read_members(text: &str) -> Result<Members, String> {
    let mut parts = text.split(':');
    let (input, output) = parts
        .next()
        .zip(parts.next())
        .ok_or("write the input price, a colon and the output price")?;
    let mut members = Members {
        input: Some(value::price(input)?),
        output: Some(value::price(output)?),
        ..Members::default()
    };
    for part in parts {
        let (name, price) = part.split_once('=').unwrap_or((part, ""));
        let place = members.price_mut(name).filter(|place| place.is_none());
        let place = place.ok_or_else(|| {
            let names = PRICE_NAMES.get(2..).unwrap_or_default().join(", ");
            format!("'{name}' cannot be set here: write, each once, {names}")
        })?;
        *place = Some(value::price(price)?);
    }
    Ok(members)
}

impl FromStr for AboveOption {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (tokens, prices) = text.split_once(':').unwrap_or((text, ""));
        let tokens = tokens.parse().ok().filter(|tokens| *tokens > 0);
        Ok(Self {
            tokens: tokens.ok_or("begin with a number of prompt tokens above 0")?,
            members: read_members(prices)?,
        })
    }
}

impl FromStr for ServiceOption {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (tier, prices) = text.split_once(':').unwrap_or((text, ""));
        let tier: ServiceTier = tier.parse()?;
        if tier == ServiceTier::Standard {
            return Err("standard is what --input-price and --output-price say".to_owned());
        }
        Ok(Self {
            tier,
            members: read_members(prices)?,
        })
    }
}

impl PriceOptions {
    /// The price that the options say, if they say one.
    pub(super) fn into_card(self) -> Option<RateCard> {
        let (input, output) = self.input_price.zip(self.output_price)?;
        let mut card = RateCard::from(Members {
            input: Some(input),
            output: Some(output),
            cache_read: self.cache_read_price,
            cache_write: self.cache_write_price,
            cache_write_1h: self.cache_write_1h_price,
            output_reasoning: self.reasoning_price,
            input_audio: self.audio_input_price,
            output_audio: self.audio_output_price,
            input_image: self.image_input_price,
            output_image: self.image_output_price,
            audio_cache_read: self.audio_cache_read_price,
            web_search: self.web_search_fee,
            file_search: self.file_search_fee,
            code_execution: self.code_execution_fee,
            request: self.request_fee,
        });
        for above in self.price_above {
            card.standard.above.insert(above.tokens, above.members);
        }
        for service in self.price_service {
            let tiered = RateCard::from(service.members).standard;
            card.services.insert(service.tier, tiered);
        }
        Some(card)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_and_services_are_read_or_refused_with_what_would_do() {
        let above: AboveOption = "200000:2.5:15".parse().unwrap();
        assert_eq!(above.tokens, 200_000);
        assert_eq!(above.members.output, Some(PicoUsd(15_000_000)));
        let service: ServiceOption = "priority:4.25:17".parse().unwrap();
        assert_eq!(service.tier, ServiceTier::Priority);
        let named: AboveOption = "1:2:3:cache_read=0.5:output_audio=9".parse().unwrap();
        assert_eq!(named.members.cache_read, Some(PicoUsd(500_000)));
        assert_eq!(named.members.output_audio, Some(PicoUsd(9_000_000)));
        for bad in [
            "1:2:3:input=4",
            "1:2:3:cache_read=1:cache_read=1",
            "1:2:3:web_search=1",
        ] {
            assert!(bad.parse::<AboveOption>().is_err(), "{bad}");
        }
        for bad in ["", "0:1:2", "x:1:2", "200000", "200000:1", "200000:1:2:3"] {
            assert!(bad.parse::<AboveOption>().is_err(), "{bad}");
        }
        for bad in ["standard:1:2", "gold:1:2", "flex:1", "flex:1:9000000"] {
            assert!(bad.parse::<ServiceOption>().is_err(), "{bad}");
        }
    }
}
