//! Lists as their publishers write them, in small.
#![expect(clippy::arithmetic_side_effects, reason = "numbers of tests are small")]

use std::collections::BTreeMap;

use super::*;
use crate::money::NanoUsd;
use crate::price::{ServiceTier, day_of};

mod change;

/// A day on which the shipped catalogue holds.
fn today() -> i64 {
    day_of("2026-11-30").unwrap()
}

fn usd(text: &str) -> Option<PicoUsd> {
    PicoUsd::parse_per_million(text).ok()
}

fn list_of(text: &str) -> PriceList {
    read(text.as_bytes(), None, today()).unwrap()
}

fn row<'l>(list: &'l PriceList, seller: &str, name: &str) -> &'l ListRow {
    let mut rows = list.rows.iter();
    rows.find(|row| row.seller == seller && row.name == name)
        .unwrap_or_else(|| panic!("{seller}/{name} is in {list:?}"))
}

fn why(text: &str, format: Option<ListFormat>) -> String {
    read(text.as_bytes(), format, today())
        .unwrap_err()
        .to_string()
}

/// The prices in force after an import into nothing.
fn imported(list: &PriceList) -> Vec<ListedPrice> {
    let rows = list.rows.iter();
    rows.flat_map(|row| row.listed("list 2026-11-30")).collect()
}

const NONE: Acceptance = Acceptance::Models(Vec::new());

const GENAI: &str = r#"{"units": {}, "providers": [
  {"id": "anthropic", "name": "Anthropic", "api_pattern": "x", "models": [
    {"id": "claude-test-1", "match": {"or": [{"starts_with": "claude-test-1"},
       {"equals": "claude-test-one"}]}, "context_window": 200000,
     "prices": [
       {"prices": {"input_mtok": {"base": 3, "tiers": [{"start": 200000, "price": 6}]},
          "output_mtok": {"base": 15, "tiers": [{"start": 200000, "price": 22.5}]},
          "cache_read_mtok": 0.3, "cache_write_mtok": 3.75, "cache_write_1h_mtok": 6,
          "web_searches_kcount": 10, "requests_kcount": 0.5}},
       {"constraint": {"start_date": "2026-06-01"},
        "prices": {"input_mtok": 2, "output_mtok": 10, "output_citation_mtok": 1}},
       {"constraint": {"start_date": "2027-01-01"},
        "prices": {"input_mtok": 1.5, "output_mtok": 7.5}}],
     "price_variants": [
       {"when": {"processing": "batch"}, "prices": {"input_mtok": 1},
        "constraint": {"start_date": "2026-06-01"}},
       {"when": {"service_tier": "priority"}, "prices": {"input_mtok": 4, "output_mtok": 20}},
       {"when": {"service_tier": "default"}, "prices": {"input_mtok": 9}},
       {"when": {"route": "eu"}, "prices": {"input_mtok": 9}}]},
    {"id": "claude-test-1-mini", "match": {"equals": "claude-test-1-mini"},
     "prices": {"input_mtok": 1, "output_mtok": 1}},
    {"id": "by-hours", "match": {"regex": "^by-hours"}, "prices": [
       {"prices": {"input_mtok": 1, "output_mtok": 8}},
       {"constraint": {"start_time": "00:30:00Z", "end_time": "16:30:00Z"},
        "prices": {"input_mtok": 2, "output_mtok": 4}}]},
    {"id": "speech", "match": {"equals": "speech"}, "prices": {"audio_hours": 0.36}}]},
  {"id": "nobody", "name": "Nobody", "api_pattern": "x", "models": [
    {"id": "m", "match": {"equals": "m"}, "prices": {"input_mtok": 1, "output_mtok": 1}}]}]}"#;

#[test]
fn genai_prices_are_read_with_days_tiers_variants_and_names() {
    let list = list_of(GENAI);
    assert_eq!(list.format, ListFormat::GenaiPrices);
    let one = row(&list, "anthropic", "claude-test-1");
    assert_eq!(one.context_tokens_max, Some(200_000));
    let days: Vec<Option<i64>> = one.cards.iter().map(|dated| dated.from).collect();
    assert_eq!(days, [day_of("2026-06-01"), day_of("2027-01-01")]);
    let now = &one.cards[0].card;
    assert_eq!(now.standard.base.input, usd("2"));
    assert_eq!(
        now.standard.base.cache_read, None,
        "a new price names all that it has"
    );
    let batch = &now.services[&ServiceTier::Batch].base;
    assert_eq!((batch.input, batch.output), (usd("1"), usd("10")));
    let priority = &now.services[&ServiceTier::Priority].base;
    assert_eq!(priority.output, usd("20"));
    assert_eq!(one.cards[1].card.standard.base.output, usd("7.5"));
    let alias = row(&list, "anthropic", "claude-test-one");
    assert_eq!(alias.cards, one.cards);
    let hours = &row(&list, "anthropic", "by-hours").cards[0]
        .card
        .standard
        .base;
    assert_eq!(
        (hours.input, hours.output),
        (usd("2"), usd("8")),
        "the dearer hour"
    );
    assert_eq!(list.rows.len(), 4);
    assert_eq!(
        list.skipped.providers,
        BTreeMap::from([("nobody".to_owned(), 1)])
    );
    assert_eq!(list.skipped.not_by_token, 1);
    assert_eq!(list.skipped.members["output_citation_mtok"], 1);
    let earlier = read(GENAI.as_bytes(), None, day_of("2026-01-01").unwrap()).unwrap();
    let first = &row(&earlier, "anthropic", "claude-test-1").cards;
    assert_eq!(first.len(), 3, "all that is still to come");
    let base = first[0].card.standard.base;
    assert_eq!(
        (base.cache_write, base.cache_write_1h),
        (usd("3.75"), usd("6"))
    );
    assert_eq!(base.web_search, Some(NanoUsd(10_000_000)));
    assert_eq!(base.request, Some(NanoUsd(500_000)));
    let above = first[0].card.standard.above[&200_000];
    assert_eq!((above.input, above.output), (usd("6"), usd("22.5")));
}

#[test]
fn the_older_list_of_genai_prices_is_a_list_of_providers() {
    let list = list_of(
        r#"[{"id": "x-ai", "models": [{"id": "Grok-T", "match": {"equals": "grok-t"},
            "prices": {"input_mtok": 0.1, "output_mtok": 0.3}},
          {"id": "~x-ai/grok-latest", "prices": {"input_mtok": 1, "output_mtok": 3}},
          {"id": "grok t", "prices": {"input_mtok": 1, "output_mtok": 3}}]}]"#,
    );
    assert_eq!(list.format, ListFormat::GenaiPrices);
    let _ = row(&list, "xai", "~x-ai/grok-latest");
    assert_eq!(list.refused[0].name, "xai/grok t");
    assert_eq!(
        row(&list, "xai", "grok-t").cards[0]
            .card
            .standard
            .base
            .input,
        usd("0.1")
    );
}

const MODELS_DEV: &str = r#"{
  "openai": {"id": "openai", "models": {
    "gpt-t": {"id": "gpt-t", "cost": {"input": 1.25, "output": 10, "cache_read": 0.125,
        "reasoning": 12, "input_audio": 32, "output_audio": 64,
        "context_over_200k": {"input": 2.5, "output": 15}},
      "experimental": {"modes": {"fast": {"cost": {"input": 3, "output": 20}}, "odd": {}}},
      "limit": {"context": 400000, "output": 128000}},
    "gpt-tiers": {"cost": {"input": 1, "output": 2,
        "tiers": [{"input": 2, "output": 4, "tier": {"type": "context", "size": 128000}}],
        "context_over_200k": {"input": 3, "output": 6}}, "limit": {"context": 0, "output": 0}},
    "no-cost": {"id": "no-cost"}}},
  "elsewhere": {"id": "elsewhere", "models": {"a": {}, "b": {}}}}"#;

#[test]
fn models_dev_is_read_with_long_contexts_modes_and_limits() {
    let list = list_of(MODELS_DEV);
    assert_eq!(list.format, ListFormat::ModelsDev);
    let one = row(&list, "openai", "gpt-t");
    let limits = (one.output_tokens_max, one.context_tokens_max);
    assert_eq!(limits, (Some(128_000), Some(400_000)));
    let card = &one.cards[0].card;
    let base = card.standard.base;
    assert_eq!(
        (base.cache_read, base.output_reasoning),
        (usd("0.125"), usd("12"))
    );
    assert_eq!(
        (base.input_audio, base.output_audio),
        (usd("32"), usd("64"))
    );
    assert_eq!(card.standard.above[&200_000].output, usd("15"));
    assert_eq!(card.services[&ServiceTier::Fast].base.input, usd("3"));
    let tiers = &row(&list, "openai", "gpt-tiers").cards[0]
        .card
        .standard
        .above;
    assert_eq!(
        tiers.keys().copied().collect::<Vec<_>>(),
        [128_000, 200_000]
    );
    assert_eq!(list.skipped.not_by_token, 1);
    assert_eq!(list.skipped.providers["elsewhere"], 2);
}

const LITELLM: &str = r#"{
  "sample_spec": {"litellm_provider": "one of ...", "mode": "one of ...", "max_tokens": "words"},
  "gpt-t": {"litellm_provider": "openai", "mode": "chat", "input_cost_per_token": 1.25e-06,
    "output_cost_per_token": 1e-05, "cache_read_input_token_cost": 1.25e-07,
    "input_cost_per_token_priority": 2.5e-06, "output_cost_per_token_priority": 2e-05,
    "input_cost_per_token_flex": 6.25e-07, "output_cost_per_token_batches": 5e-06,
    "input_cost_per_token_above_272k_tokens": 2.5e-06,
    "output_cost_per_token_above_272k_tokens_priority": 4.5e-05,
    "input_cost_per_token_ultrafast": 9e-06, "cost_of_nothing": 0.0,
    "cache_creation_input_token_cost": null,
    "search_context_cost_per_query": {"search_context_size_low": 0.01,
      "search_context_size_high": 0.025},
    "file_search_cost_per_1k_calls": 2.5, "code_interpreter_cost_per_session": 0.03,
    "input_cost_per_request": 0.005,
    "max_input_tokens": 272000, "max_output_tokens": 128000.0},
  "anthropic/claude-t": {"litellm_provider": "anthropic", "mode": "chat",
    "input_cost_per_token": 3e-06, "output_cost_per_token": 1.5e-05,
    "cache_creation_input_token_cost": 3.75e-06,
    "cache_creation_input_token_cost_above_1hr": 6e-06,
    "cache_creation_input_token_cost_above_1hr_above_200k_tokens": 1.2e-05},
  "gemini/gem-t": {"litellm_provider": "gemini", "mode": "chat", "input_cost_per_token": 3e-07,
    "output_cost_per_token": 2.5e-06, "input_cost_per_audio_token": 1e-06,
    "cache_read_input_audio_token_cost": 1e-07, "output_cost_per_image_token": 3e-05,
    "output_cost_per_reasoning_token": 2.5e-06, "input_cost_per_image_token": 3e-07},
  "gem-t": {"litellm_provider": "vertex_ai-language-models", "mode": "chat",
    "input_cost_per_token": 2e-07, "output_cost_per_token": 2e-06},
  "dashscope/qwen-t": {"litellm_provider": "dashscope", "mode": "chat", "tiered_pricing": [
    {"range": [0, 256000.0], "input_cost_per_token": 5e-08, "output_cost_per_token": 4e-07},
    {"range": [256000.0, 1000000.0], "input_cost_per_token": 2.5e-07,
     "output_cost_per_token": 2e-06}]},
  "text-embedding-t": {"litellm_provider": "openai", "mode": "embedding",
    "input_cost_per_token": 2e-08},
  "azure/eu/gpt-t": {"litellm_provider": "azure", "mode": "chat", "input_cost_per_token": 1e-06,
    "output_cost_per_token": 1e-06},
  "azure/gpt-t": {"litellm_provider": "azure", "mode": "chat", "input_cost_per_token": 1e-06,
    "output_cost_per_token": 8.999999999999999e-07},
  "dall-e": {"litellm_provider": "openai", "mode": "image_generation"},
  "elsewhere/m": {"litellm_provider": "novita", "mode": "chat", "input_cost_per_token": 1}}"#;

#[test]
fn litellm_is_read_with_every_member_that_a_name_can_say() {
    let list = list_of(LITELLM);
    assert_eq!(list.format, ListFormat::LiteLlm);
    assert_eq!(list.refused, Vec::new());
    let one = row(&list, "openai", "gpt-t");
    let limits = (one.output_tokens_max, one.context_tokens_max);
    assert_eq!(limits, (Some(128_000), Some(272_000)));
    let card = &one.cards[0].card;
    let base = card.standard.base;
    assert_eq!((base.input, base.output), (usd("1.25"), usd("10")));
    assert_eq!((base.cache_read, base.cache_write), (usd("0.125"), None));
    let fees = base.fees().map(|fee| fee.map(|fee| fee.0));
    assert_eq!(
        fees,
        [25_000_000, 2_500_000, 30_000_000, 5_000_000].map(Some)
    );
    assert_eq!(card.standard.above[&272_000].input, usd("2.5"));
    let priority = &card.services[&ServiceTier::Priority];
    assert_eq!(priority.base.output, usd("20"));
    assert_eq!(priority.above[&272_000].output, usd("45"));
    assert_eq!(card.services[&ServiceTier::Flex].base.input, usd("0.625"));
    assert_eq!(card.services[&ServiceTier::Batch].base.output, usd("5"));
    let skipped: Vec<&String> = list.skipped.members.keys().collect();
    assert_eq!(skipped, ["input_cost_per_token_ultrafast"]);
    let claude = &row(&list, "anthropic", "claude-t").cards[0].card.standard;
    assert_eq!(
        (claude.base.cache_write, claude.base.cache_write_1h),
        (usd("3.75"), usd("6"))
    );
    assert_eq!(claude.above[&200_000].cache_write_1h, usd("12"));
    let gem = row(&list, "google", "gem-t").cards[0].card.standard.base;
    assert_eq!(
        (gem.input, gem.input_audio),
        (usd("0.3"), usd("1")),
        "the dearer of two rows"
    );
    assert_eq!(
        (gem.audio_cache_read, gem.output_image),
        (usd("0.1"), usd("30"))
    );
    let qwen = &row(&list, "alibaba", "qwen-t").cards[0].card.standard;
    assert_eq!(
        (qwen.base.input, qwen.above[&256_000].output),
        (usd("0.05"), usd("2"))
    );
    let embedding = row(&list, "openai", "text-embedding-t").cards[0]
        .card
        .standard
        .base;
    assert_eq!(embedding.output, usd("0"));
    let azure = row(&list, "azure", "gpt-t").cards[0].card.standard.base;
    assert_eq!(
        azure.output,
        usd("0.9"),
        "the artefact of a floating-point number is gone"
    );
    assert_eq!(list.skipped.providers["novita"], 1);
    assert_eq!(list.skipped.not_by_token, 2);
}

#[test]
fn a_row_with_an_impossible_figure_is_refused_by_itself() {
    let row_of = |name: &str, figure: &str| {
        format!(
            r#""{name}": {{"litellm_provider": "openai", "mode": "chat",
                "input_cost_per_token": {figure}, "output_cost_per_token": 1e-06}}"#
        )
    };
    let bad = [
        ("negative", "-1e-06", "negative"),
        ("nan", "NaN", "not a number"),
        ("infinite", "-Infinity", "not a number"),
        ("absurd", "2", "too much"),
        ("words", "\"cheap\"", "not a number"),
        ("yes", "true", "not a number"),
        ("dust", "1e-20", "finer"),
    ];
    let mut rows: Vec<String> = bad
        .iter()
        .map(|(name, figure, _)| row_of(name, figure))
        .collect();
    rows.push(row_of("good", "1e-06"));
    let list = list_of(&format!("{{{}}}", rows.join(",")));
    assert_eq!(list.rows.len(), 1);
    for (name, _, reason) in bad {
        let refused = list.refused.iter().find(|row| row.name == name).unwrap();
        let why = &refused.why;
        assert!(
            why.starts_with("input_cost_per_token: ") && why.contains(reason),
            "{why}"
        );
    }
    let twice = r#"{"a": {"litellm_provider": "openai", "mode": "chat",
        "input_cost_per_token": 1e-06, "input_cost_per_token": 2e-06}}"#;
    assert!(list_of(twice).refused[0].why.contains("twice"));
    let genai = GENAI.replace("\"input_mtok\": 2,", "\"input_mtok\": -2,");
    let list = list_of(&genai);
    assert_eq!(list.refused[0].name, "anthropic/claude-test-1");
    assert_eq!(
        list.refused[0].why,
        "prices[1].prices.input_mtok: -2 is negative"
    );
    let models_dev = MODELS_DEV.replace("\"input\": 2.5,", "\"input\": 1e7,");
    let list = list_of(&models_dev);
    assert!(
        list.refused[0]
            .why
            .starts_with("cost.context_over_200k.input: 1e7 is too much")
    );
}

#[test]
fn a_file_that_is_no_list_is_refused_with_its_format_and_member() {
    for (text, part) in [
        ("", "is not JSON"),
        ("{\"a\": ", "is not JSON"),
        ("[]", "none of the lists"),
        ("{}", "none of the lists"),
        ("7", "none of the lists"),
        ("[{\"hello\": 1}]", "--format"),
        (
            r#"{"providers": [{"id": 5, "models": []}]}"#,
            "providers[0].id: must be a text",
        ),
        (
            r#"{"providers": [{"id": "openai"}]}"#,
            "providers[0].models: must be a list",
        ),
        (r#"{"providers": []}"#, "genai-prices"),
        (
            r#"{"a": {"litellm_provider": "x"}, "a": {}}"#,
            "litellm: the document: 'a' is there twice",
        ),
    ] {
        let said = why(text, None);
        assert!(said.contains(part), "{text}: {said}");
    }
    let said = why(LITELLM, Some(ListFormat::ModelsDev));
    assert!(
        said.contains("models.dev") && said.contains("models: must be an object"),
        "{said}"
    );
    let said = why("[1]", Some(ListFormat::Tollgate));
    assert!(said.contains("tollgate: [0]: must be an object"), "{said}");
    assert!(
        read(&[0xff, 0xfe], None, 0)
            .unwrap_err()
            .to_string()
            .contains("UTF-8")
    );
    let large = vec![b' '; LIST_BYTES_MAX + 1];
    assert!(
        read(&large, None, 0)
            .unwrap_err()
            .to_string()
            .contains("32 MiB")
    );
    let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(why(&deep, None).contains("none of the lists") || why(&deep, None).contains("JSON"));
}
