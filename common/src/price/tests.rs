#![expect(clippy::arithmetic_side_effects, reason = "numbers of tests are small")]

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::ledger::PromptWeight;
use crate::money::{CALL_COST_MAX, NanoUsd, PicoUsd};
use crate::provider::ProviderKind;

mod sellers;

/// A price in dollars per million tokens.
fn usd(text: &str) -> PicoUsd {
    PicoUsd::parse_per_million(text).unwrap()
}

fn price_of(card: &RateCard) -> Price {
    Price::new(card, PriceSource::Alias, "alias", None)
}

/// A model with a long-context tier, a priority service and a price of every kind.
fn full_card() -> RateCard {
    let base = Members {
        cache_read: Some(usd("0.125")),
        input_audio: Some(usd("5")),
        web_search: Some(NanoUsd(10_000_000)),
        ..RateCard::flat(usd("1.25"), usd("10")).standard.base
    };
    let mut card = RateCard::from(base);
    let above = Members {
        input: Some(usd("2.50")),
        output: Some(usd("15")),
        ..Members::default()
    };
    card.standard.above.insert(200_000, above);
    let priority = Members {
        input: Some(usd("2.50")),
        output: Some(usd("20")),
        ..Members::default()
    };
    let priority = RateCard::from(priority).standard;
    card.services.insert(ServiceTier::Priority, priority);
    card
}

#[test]
fn tokens_of_every_bucket_have_their_own_price_and_the_sum_is_rounded_once() {
    let unit = price_of(&full_card()).base().unit;
    let one_each = Usage {
        input_uncached: 1_000_000,
        input_cache_read: 1_000_000,
        input_cache_write: 1_000_000,
        input_audio: 1_000_000,
        output_text: 1_000_000,
        output_reasoning: 1_000_000,
        fees: FeeCounts {
            web_searches: 3,
            ..FeeCounts::NONE
        },
        ..Usage::default()
    };
    let dollars = 1.25 + 0.125 + 1.25 + 5.0 + 10.0 + 10.0 + 0.03;
    assert!((unit.cost(&one_each).dollars(9) - dollars).abs() < 1e-9);
    // $0.0028 per million tokens: one token is 2.8 nano-dollars, a thousand are exact.
    let tiny = UnitPrices::flat(usd("0.0028"), usd("0.0028"));
    let tokens = |input_uncached| Usage {
        input_uncached,
        ..Usage::default()
    };
    assert_eq!(tiny.cost(&tokens(1)), NanoUsd(3));
    assert_eq!(tiny.cost(&tokens(1_000)), NanoUsd(2_800));
}

#[test]
fn the_length_of_the_prompt_decides_the_price_of_the_whole_call() {
    let price = price_of(&full_card());
    let short = price.served(200_000, ServiceTier::Standard);
    let long = price.served(200_001, ServiceTier::Standard);
    assert_eq!(
        (short.unit.input, short.unit.output),
        (usd("1.25"), usd("10"))
    );
    assert_eq!(
        (long.unit.input, long.unit.output),
        (usd("2.50"), usd("15"))
    );
    assert_eq!(
        long.unit.cache_read,
        usd("0.25"),
        "in proportion to the input"
    );
    assert_ne!(short.id, long.id);
}

#[test]
fn the_served_tier_decides_the_price_and_an_unlisted_one_is_marked() {
    let price = price_of(&full_card());
    let priority = price.served(1, ServiceTier::Priority);
    assert_eq!(priority.unit.output, usd("20"));
    let long_priority = price.served(300_000, ServiceTier::Priority);
    assert_eq!(
        long_priority.unit.input,
        usd("5"),
        "both conditions together"
    );
    let usage = Usage {
        output_text: 1,
        ..Usage::default()
    };
    assert!(priority.unit.assumed_in(&usage).is_empty());
    let unlisted = price.served(1, ServiceTier::Fast);
    assert_eq!(
        unlisted.unit.output,
        usd("20"),
        "the dearest that is listed"
    );
    assert_eq!(unlisted.unit.assumed_in(&usage), ["service_tier"]);
}

#[test]
fn the_hold_covers_every_tier_that_the_request_can_reach() {
    let price = price_of(&full_card());
    let output = |tokens, tier| price.reachable(tokens, tier).map(|unit| unit.output);
    assert_eq!(output(1, RequestedTier::Standard), Some(usd("10")));
    assert_eq!(output(200_001, RequestedTier::Standard), Some(usd("15")));
    let priority = RequestedTier::Named(ServiceTier::Priority);
    assert_eq!(output(1, priority), Some(usd("20")));
    assert_eq!(output(1, RequestedTier::Auto), Some(usd("20")));
    assert_eq!(output(1, RequestedTier::Named(ServiceTier::Flex)), None);
}

#[test]
fn what_no_list_names_costs_the_dearest_comparable_price_and_is_marked() {
    let card = RateCard::flat(usd("3"), usd("15"));
    let unit = card.standard();
    let usage = Usage {
        input_audio: 10,
        output_audio: 10,
        output_image: 10,
        input_cache_write_1h: 10,
        fees: FeeCounts {
            web_searches: 1,
            ..FeeCounts::NONE
        },
        ..Usage::default()
    };
    let marked = [
        "cache_write_1h",
        "input_audio",
        "output_audio",
        "output_image",
        "web_search",
    ];
    assert_eq!(unit.assumed_in(&usage), marked);
    assert_eq!(unit.output_audio, usd("15"));
    assert!(unit.cost(&usage) >= UNKNOWN_FEES[0]);
    let writes = Members {
        cache_write: Some(usd("3.75")),
        ..card.standard.base
    };
    let writes = RateCard::from(writes).standard();
    assert_eq!(
        writes.cache_write_1h,
        usd("6"),
        "an hour's write is twice the input"
    );
}

#[test]
fn equal_prices_have_equal_ids_and_others_do_not() {
    let one = price_of(&full_card());
    assert_eq!(one.base().id, price_of(&full_card()).base().id);
    let other = Price::new(&full_card(), PriceSource::Catalogue, "alias", None);
    assert_ne!(one.base().id, other.base().id);
    let text = one.base().id.to_string();
    assert_eq!(text.parse(), Ok(one.base().id));
}

#[test]
fn a_rate_card_survives_being_stored() {
    let card = full_card();
    let json = serde_json::to_string(&card).unwrap();
    assert_eq!(serde_json::from_str::<RateCard>(&json).unwrap(), card);
}

#[test]
fn absurd_prices_and_counts_stay_within_what_a_call_may_cost() {
    let unit = UnitPrices::flat(usd("1000000"), usd("1000000"));
    let usage = Usage {
        input_uncached: i64::MAX,
        output_text: i64::MAX,
        ..Usage::default()
    };
    assert_eq!(unit.cost(&usage), CALL_COST_MAX);
    let prompt = PromptWeight::of_text(i64::MAX);
    let output = (i64::MAX, OutputKinds::default());
    assert_eq!(
        unit.worst_cost(&prompt, output, &FeeCounts::NONE),
        CALL_COST_MAX
    );
}

const OPENAI: (ProviderKind, &str) = (ProviderKind::OpenAi, "api.openai.com");

/// The day of the catalogue.
fn catalogue_day() -> i64 {
    day_of(CATALOG.version()).unwrap()
}

/// Input and output price of a model in dollars per million tokens, by the shipped catalogue.
fn listed(at: (ProviderKind, &str), model: &str) -> Option<(String, String)> {
    let found = CATALOG.find(at, model, catalogue_day())?;
    let unit = found.card.standard();
    Some((unit.input.per_million(), unit.output.per_million()))
}

fn pair(input: &str, output: &str) -> (String, String) {
    (input.to_owned(), output.to_owned())
}

/// A host at which a seller's list holds.
fn host_of(seller: &str) -> (ProviderKind, &'static str) {
    let kind = match seller {
        "anthropic" => ProviderKind::Anthropic,
        "google" => ProviderKind::Gemini,
        _ => ProviderKind::OpenAi,
    };
    let host = match seller {
        "alibaba" => "dashscope-intl.aliyuncs.com",
        "anthropic" => "api.anthropic.com",
        "aws" => "bedrock-runtime.us-east-1.amazonaws.com",
        "azure" => "acme.openai.azure.com",
        "cerebras" => "api.cerebras.ai",
        "cohere" => "api.cohere.com",
        "deepseek" => "api.deepseek.com",
        "fireworks" => "api.fireworks.ai",
        "google" => "generativelanguage.googleapis.com",
        "groq" => "api.groq.com",
        "minimax" => "api.minimax.io",
        "mistral" => "api.mistral.ai",
        "moonshot" => "api.moonshot.ai",
        "openai" => "api.openai.com",
        "openrouter" => "openrouter.ai",
        "perplexity" => "api.perplexity.ai",
        "together" => "api.together.xyz",
        "voyage" => "api.voyageai.com",
        "xai" => "api.x.ai",
        "zai" => "api.z.ai",
        _ => "",
    };
    (kind, host)
}

#[test]
fn every_row_of_the_catalogue_is_read_and_has_a_price() {
    let names = CATALOG.names();
    assert!(names.len() > 2_000, "{}", names.len());
    for (seller, name) in names {
        let row = CATALOG.exact(seller, name, catalogue_day());
        let later = CATALOG.exact(seller, name, i64::MAX);
        assert!(row.or(later).is_some(), "{seller} {name}");
    }
}

#[test]
fn only_a_date_or_latest_may_follow_a_listed_name() {
    for (seller, name) in CATALOG.names() {
        let at = host_of(seller);
        if at.1.is_empty() {
            continue;
        }
        for suffix in [
            "-5",
            "-5-20251101",
            "-mini",
            "-99999999",
            "-20259999",
            "-1",
            "x",
        ] {
            let other = format!("{name}{suffix}");
            let is_listed = |name: &str| CATALOG.exact(seller, name, i64::MAX).is_some();
            let undated = other.trim_end_matches("-20251101");
            if !is_listed(&other) && !is_listed(undated) {
                let found = CATALOG.find(at, &other, i64::MAX);
                let found = found.filter(|found| found.seller == seller);
                assert_eq!(found, None, "{seller} {other}");
            }
        }
        for suffix in ["-20260401", "-2026-04-01", "@20260401", "-latest"] {
            let dated = format!("{name}{suffix}");
            assert!(
                CATALOG.find(at, &dated, i64::MAX).is_some(),
                "{seller} {dated}"
            );
        }
    }
}

#[test]
fn prices_are_what_the_providers_ask() {
    let anthropic = host_of("anthropic");
    let google = host_of("google");
    for (at, model, input, output) in [
        (OPENAI, "o3", "2.00", "8.00"),
        (OPENAI, "o4-mini", "1.10", "4.40"),
        (OPENAI, "gpt-4o", "2.50", "10.00"),
        (OPENAI, "gpt-4o-2024-08-06", "2.50", "10.00"),
        (OPENAI, "gpt-4o-2024-05-13", "5.00", "15.00"),
        (OPENAI, "text-embedding-3-small", "0.02", "0.00"),
        (anthropic, "claude-opus-4-5-20251101", "5.00", "25.00"),
        (anthropic, "claude-opus-4-5", "5.00", "25.00"),
        (anthropic, "claude-opus-4-1-20250805", "15.00", "75.00"),
        (google, "gemini-2.5-flash", "0.30", "2.50"),
        (google, "models/gemini-2.5-flash-lite", "0.10", "0.40"),
        (google, "gemini-2.5-pro", "1.25", "10.00"),
    ] {
        assert_eq!(listed(at, model), Some(pair(input, output)), "{model}");
    }
    let pro = CATALOG
        .find(google, "gemini-2.5-pro", catalogue_day())
        .unwrap()
        .price();
    let long = pro.served(200_001, ServiceTier::Standard).unit;
    assert_eq!((long.input, long.output), (usd("2.50"), usd("15")));
    let opus = CATALOG
        .find(anthropic, "claude-opus-4-5", catalogue_day())
        .unwrap();
    let unit = opus.card.standard();
    assert_eq!(
        (unit.cache_write, unit.cache_write_1h),
        (usd("6.25"), usd("10"))
    );
    assert_eq!(
        (opus.output_tokens_max, opus.context_tokens_max),
        (Some(64_000), Some(200_000))
    );
    let gpt = CATALOG
        .find(OPENAI, "gpt-4o", catalogue_day())
        .unwrap()
        .price();
    let priority = gpt.served(10, ServiceTier::Priority).unit;
    assert_eq!((priority.input, priority.output), (usd("4.25"), usd("17")));
    let flash = CATALOG
        .find(google, "gemini-2.5-flash", catalogue_day())
        .unwrap();
    assert_eq!(flash.card.standard().input_audio, usd("1"));
}

#[test]
fn the_same_name_has_the_price_of_the_provider_that_is_asked() {
    let embedding = "text-embedding-3-small";
    let azure = (ProviderKind::OpenAi, "acme.openai.azure.com");
    assert_eq!(listed(azure, embedding).unwrap().0, "0.022");
    assert_eq!(listed(OPENAI, embedding).unwrap().0, "0.02");
    // A deployment whose name Azure's list lacks costs what its maker asks.
    assert_eq!(
        listed(azure, "claude-opus-4-5"),
        Some(pair("5.00", "25.00"))
    );
    let openrouter = (ProviderKind::OpenAi, "openrouter.ai");
    assert!(listed(openrouter, "openai/gpt-4o").is_some());
    let groq = (ProviderKind::OpenAi, "api.groq.com");
    assert_eq!(listed(groq, "gpt-4o"), None, "Groq does not sell it");
    // A server of one's own, or another gateway.
    for host in [
        "127.0.0.1",
        "litellm.internal",
        "api.openai.com.evil.example",
    ] {
        let unknown = (ProviderKind::OpenAi, host);
        assert_eq!(listed(unknown, "gpt-4o"), Some(pair("2.50", "10.00")));
        assert_eq!(
            listed(unknown, "openai/gpt-4o"),
            Some(pair("2.50", "10.00"))
        );
        assert_eq!(
            listed(unknown, "gemini/gemini-2.5-pro"),
            Some(pair("1.25", "10.00"))
        );
        assert_eq!(listed(unknown, "house-model"), None);
        assert_eq!(listed(unknown, "demo-model"), Some(pair("0.15", "0.60")));
        let bedrock = "anthropic.claude-sonnet-4-5-20250929-v1:0";
        assert_eq!(listed(unknown, bedrock), Some(pair("3.00", "15.00")));
    }
}

#[test]
fn a_price_begins_on_its_day() {
    let google = host_of("google");
    let input = |day: &str| {
        let found = CATALOG.find(google, "gemini-4-argon", day_of(day).unwrap());
        found.map(|found| found.card.standard().input)
    };
    assert_eq!(input("2026-11-30"), Some(usd("2")));
    assert_eq!(input("2026-12-01"), Some(usd("4")));
}

#[test]
fn fees_that_nobody_lists_are_above_all_that_are_listed() {
    for (seller, name) in CATALOG.names() {
        let Some(row) = CATALOG.exact(seller, name, i64::MAX) else {
            continue;
        };
        let fees = row.card.standard().fees.all();
        for (fee, unknown) in fees.into_iter().zip(UNKNOWN_FEES) {
            assert!(fee.is_none_or(|fee| fee <= unknown), "{seller} {name}");
        }
    }
}

fn member() -> impl Strategy<Value = Option<PicoUsd>> {
    prop::option::of((0..=100_000_000_i64).prop_map(PicoUsd))
}

prop_compose! {
    fn members()(
        input in 0..=100_000_000_i64,
        output in 0..=100_000_000_i64,
        others in prop::array::uniform9(member()),
    ) -> Members {
        let [cache_read, cache_write, cache_write_1h, input_audio, audio_cache_read,
            input_image, output_reasoning, output_audio, output_image] = others;
        Members {
            input: Some(PicoUsd(input)),
            output: Some(PicoUsd(output)),
            cache_read, cache_write, cache_write_1h, input_audio, audio_cache_read,
            input_image, output_reasoning, output_audio, output_image,
            ..Members::default()
        }
    }
}

prop_compose! {
    fn cards()(
        base in members(),
        above in prop::option::of((1..=1_000_i64, members())),
        priority in prop::option::of(members()),
    ) -> RateCard {
        let mut card = RateCard::from(base);
        card.standard.above = above.into_iter().collect::<BTreeMap<_, _>>();
        let services = priority.map(|listed| {
            (ServiceTier::Priority, RateCard::from(listed).standard)
        });
        card.services = services.into_iter().collect();
        card
    }
}

prop_compose! {
    fn weights()(
        text in 0..=2_000_i64,
        image in 0..=2_000_i64,
        audio in 0..=2_000_i64,
        cache_write_1h in any::<bool>(),
    ) -> PromptWeight {
        PromptWeight { text, image, audio, cache_write_1h }
    }
}

proptest! {
    /// Whatever a call uses within its weight, in whichever tier it can be served: the hold covers
    /// the charge.
    #[test]
    fn no_served_call_costs_more_than_the_dearest_that_was_reachable(
        card in cards(),
        weight in weights(),
        parts in prop::array::uniform6(0..=1_000_i64),
        (text, reasoning) in (0..=1_000_i64, 0..=1_000_i64),
        is_priority in any::<bool>(),
    ) {
        let price = price_of(&card);
        let asked = RequestedTier::Named(ServiceTier::Priority);
        let reachable = price.reachable(weight.total(), asked);
        prop_assume!(reachable.is_some());
        let share = |total: i64, of: i64| total * of / 1_000;
        let [read, write, hour, audio_read, image, uncached] = parts;
        let all = (read + write + hour + uncached).max(1);
        let hour_tokens = weight.text * hour / all;
        let (hour_tokens, plain) = if weight.cache_write_1h {
            (hour_tokens, weight.text * uncached / all)
        } else {
            (0, weight.text * (uncached + hour) / all)
        };
        let usage = Usage {
            input_uncached: plain,
            input_cache_read: weight.text * read / all,
            input_cache_write: weight.text * write / all,
            input_cache_write_1h: hour_tokens,
            input_audio: weight.audio - share(weight.audio, audio_read),
            input_audio_cache_read: share(weight.audio, audio_read),
            input_image: share(weight.image, image),
            output_text: text,
            output_reasoning: reasoning,
            ..Usage::default()
        };
        let tier = if is_priority { ServiceTier::Priority } else { ServiceTier::Standard };
        let cost = price.served(usage.input(), tier).unit.cost(&usage);
        let output = (text + reasoning, OutputKinds::default());
        let worst = reachable.unwrap_or(price.base().unit)
            .worst_cost(&weight, output, &FeeCounts::NONE);
        prop_assert!(cost <= worst, "{cost} > {worst}");
    }
}
