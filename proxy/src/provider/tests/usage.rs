//! Usage of every provider's shape, read into buckets.

use proptest::prelude::*;
use serde_json::{Value, json};
use tollgate_common::price::{ServiceTier, Usage};
use tollgate_common::provider::ProviderKind;
use tollgate_common::usage_note::UsageNote;

use super::read_stream;
use crate::chat::Counted;
use crate::provider::decode;

fn counted(kind: ProviderKind, usage: &Value) -> Counted {
    let body = match kind {
        ProviderKind::OpenAi => json!({"choices": [{"message": {"content": "x"}}], "usage": usage}),
        ProviderKind::Anthropic => json!({"content": [], "usage": usage}),
        ProviderKind::Gemini => json!({"candidates": [{}], "usageMetadata": usage}),
    };
    decode(kind, body.to_string().as_bytes())
        .unwrap()
        .counted
        .unwrap()
}

fn buckets(usage: &Usage) -> [i64; 5] {
    [
        usage.input_uncached,
        usage.input_cache_read,
        usage.input_cache_write,
        usage.output_text,
        usage.output_reasoning,
    ]
}

/// A dialect, a usage in it, and the tokens of the five usual buckets.
type Shape = (ProviderKind, Value, [i64; 5]);

fn shapes_of_totals_and_reasoning() -> Vec<Shape> {
    use ProviderKind::OpenAi;
    vec![
        (
            OpenAi,
            json!({"prompt_tokens": 10, "completion_tokens": 8, "total_tokens": 18,
            "prompt_tokens_details": {"cached_tokens": 4},
            "completion_tokens_details": {"reasoning_tokens": 3}}),
            [6, 4, 0, 5, 3],
        ),
        // xAI counts reasoning beside the completion.
        (
            OpenAi,
            json!({"prompt_tokens": 36, "completion_tokens": 10, "total_tokens": 736,
            "completion_tokens_details": {"reasoning_tokens": 690}}),
            [36, 0, 0, 10, 690],
        ),
        (
            OpenAi,
            json!({"prompt_tokens": 12, "completion_tokens": 500, "total_tokens": 612,
            "completion_tokens_details": {"reasoning_tokens": 100}}),
            [12, 0, 0, 500, 100],
        ),
        (
            OpenAi,
            json!({"prompt_tokens": 32, "completion_tokens": 9,
            "completion_tokens_details": {"reasoning_tokens": 100_000}}),
            [32, 0, 0, 9, 100_000],
        ),
    ]
}

fn shapes_of_caches_and_predictions() -> Vec<Shape> {
    use ProviderKind::{Anthropic, Gemini, OpenAi};
    vec![
        // DeepSeek, Moonshot, OpenRouter.
        (
            OpenAi,
            json!({"prompt_tokens": 1000, "completion_tokens": 5, "total_tokens": 1005,
            "prompt_cache_hit_tokens": 900, "prompt_cache_miss_tokens": 100}),
            [100, 900, 0, 5, 0],
        ),
        (
            OpenAi,
            json!({"prompt_tokens": 1000, "completion_tokens": 5, "cached_tokens": 900}),
            [100, 900, 0, 5, 0],
        ),
        (
            OpenAi,
            json!({"prompt_tokens": 1000, "completion_tokens": 5, "prompt_tokens_details":
            {"cached_tokens": 500, "cache_write_tokens": 200}}),
            [300, 500, 200, 5, 0],
        ),
        (
            OpenAi,
            json!({"input_tokens": 10, "output_tokens": 8, "total_tokens": 18,
            "input_tokens_details": {"cached_tokens": 4},
            "output_tokens_details": {"reasoning_tokens": 3}}),
            [6, 4, 0, 5, 3],
        ),
        // Predicted tokens that were not taken are billed as output.
        (
            OpenAi,
            json!({"prompt_tokens": 10, "completion_tokens": 8, "total_tokens": 25,
            "completion_tokens_details": {"rejected_prediction_tokens": 7}}),
            [10, 0, 0, 15, 0],
        ),
        (
            OpenAi,
            json!({"prompt_tokens": 10, "completion_tokens": 8, "total_tokens": 18,
            "completion_tokens_details": {"rejected_prediction_tokens": 7}}),
            [10, 0, 0, 8, 0],
        ),
        (
            OpenAi,
            json!({"prompt_tokens": "10", "completion_tokens": 8.0}),
            [10, 0, 0, 8, 0],
        ),
        (
            Anthropic,
            json!({"input_tokens": 10, "cache_read_input_tokens": 100,
            "cache_creation_input_tokens": 1000, "output_tokens": 8, "cache_creation":
            {"ephemeral_5m_input_tokens": 300, "ephemeral_1h_input_tokens": 700},
            "output_tokens_details": {"thinking_tokens": 3}}),
            [10, 100, 300, 5, 3],
        ),
        (
            Gemini,
            json!({"promptTokenCount": 1000, "cachedContentTokenCount": 900,
            "candidatesTokenCount": 5, "thoughtsTokenCount": 7, "toolUsePromptTokenCount": 11,
            "totalTokenCount": 1023}),
            [111, 900, 0, 5, 7],
        ),
    ]
}

#[test]
fn the_buckets_of_every_providers_shape_add_up_to_its_total() {
    let shapes = shapes_of_totals_and_reasoning();
    let shapes = shapes.into_iter().chain(shapes_of_caches_and_predictions());
    for (kind, usage, expected) in shapes {
        let counted = counted(kind, &usage);
        assert_eq!(buckets(&counted.usage), expected, "{usage}");
        assert_eq!(counted.note, None, "{usage}");
        let total = usage["total_tokens"]
            .as_i64()
            .or_else(|| usage["totalTokenCount"].as_i64());
        assert_eq!(
            total.unwrap_or_else(|| counted.usage.total()),
            counted.usage.total(),
            "{usage}"
        );
    }
}

#[test]
fn counts_that_contradict_each_other_are_read_the_dearer_way_and_marked() {
    use ProviderKind::{Anthropic, Gemini, OpenAi};
    for (kind, usage, expected) in [
        (
            OpenAi,
            json!({"prompt_tokens": 10, "completion_tokens": 8, "total_tokens": 100}),
            [10, 0, 0, 90, 0],
        ),
        (
            OpenAi,
            json!({"prompt_tokens": 10, "completion_tokens": 8, "total_tokens": 5}),
            [10, 0, 0, 8, 0],
        ),
        (
            OpenAi,
            json!({"prompt_tokens": 10, "completion_tokens": 8, "prompt_cache_hit_tokens": 50,
            "prompt_cache_miss_tokens": 7}),
            [7, 50, 0, 8, 0],
        ),
        // Perplexity's sources and thoughts are on top of its total.
        (
            OpenAi,
            json!({"prompt_tokens": 33, "completion_tokens": 7163, "total_tokens": 7196,
            "citation_tokens": 20016, "reasoning_tokens": 73997}),
            [20049, 0, 0, 7163, 73997],
        ),
        (
            Anthropic,
            json!({"input_tokens": 10, "output_tokens": 8, "output_tokens_details":
            {"thinking_tokens": 20}, "total_tokens": 18}),
            [10, 0, 0, 8, 20],
        ),
        (
            Gemini,
            json!({"promptTokenCount": 10, "candidatesTokenCount": 8,
            "thoughtsTokenCount": 5, "totalTokenCount": 18}),
            [10, 0, 0, 8, 5],
        ),
    ] {
        let counted = counted(kind, &usage);
        assert_eq!(buckets(&counted.usage), expected, "{usage}");
        assert_eq!(counted.note, Some(UsageNote::TotalsDisagree), "{usage}");
    }
}

#[test]
fn counts_are_found_where_servers_put_them() {
    let usage = json!({"prompt_tokens": 100, "completion_tokens": 50, "total_tokens": 150});
    for last in [
        json!({"choices": [], "usage": usage}),
        json!({"choices": null, "usage": usage}),
        json!({"choices": [{"index": 0, "delta": {}, "usage": usage}]}),
        json!({"choices": [], "x_groq": {"id": "r", "usage": usage}}),
    ] {
        let (_, counted) = read_stream(ProviderKind::OpenAi, &[last.to_string()]);
        let usage = counted.unwrap().usage;
        assert_eq!((usage.input(), usage.output()), (100, 50), "{last}");
    }
}

#[test]
fn a_missing_count_follows_from_the_total_or_is_left_to_an_estimate() {
    let derived = counted(
        ProviderKind::OpenAi,
        &json!({"prompt_tokens": null, "completion_tokens": 8, "total_tokens": 18}),
    );
    assert_eq!(buckets(&derived.usage), [10, 0, 0, 8, 0]);
    assert!(!derived.lacks_input && !derived.lacks_output);
    let lacking = counted(
        ProviderKind::OpenAi,
        &json!({"prompt_tokens": 10, "completion_tokens": "x"}),
    );
    assert!(lacking.lacks_output && !lacking.lacks_input);
    assert_eq!(lacking.usage.input(), 10);
}

#[test]
fn what_has_a_price_of_its_own_is_counted_apart() {
    let used = counted(
        ProviderKind::OpenAi,
        &json!({"prompt_tokens": 100, "completion_tokens": 50, "total_tokens": 150,
            "prompt_tokens_details": {"cached_tokens": 30, "audio_tokens": 40, "image_tokens": 5,
                "cached_tokens_details": {"audio_tokens": 10}},
            "completion_tokens_details": {"audio_tokens": 20, "reasoning_tokens": 10},
            "num_search_queries": 2}),
    );
    let expected = Usage {
        input_uncached: 35,
        input_cache_read: 20,
        input_audio: 30,
        input_audio_cache_read: 10,
        input_image: 5,
        output_text: 20,
        output_reasoning: 10,
        output_audio: 20,
        ..Usage::default()
    };
    assert_eq!(used.usage.fees.web_searches, 2);
    assert_eq!((used.usage.total(), used.note), (150, None));
    let fees = used.usage.fees;
    assert_eq!(used.usage, Usage { fees, ..expected });
    let used = counted(
        ProviderKind::Anthropic,
        &json!({"input_tokens": 10, "cache_creation_input_tokens": 1000, "output_tokens": 8,
            "cache_creation": {"ephemeral_5m_input_tokens": 300, "ephemeral_1h_input_tokens": 700},
            "server_tool_use": {"web_search_requests": 3}}),
    );
    let written = (
        used.usage.input_cache_write,
        used.usage.input_cache_write_1h,
    );
    assert_eq!((written, used.usage.fees.web_searches), ((300, 700), 3));
    let used = counted(
        ProviderKind::Gemini,
        &json!({"promptTokenCount": 100, "candidatesTokenCount": 50, "totalTokenCount": 150,
            "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 60},
                {"modality": "AUDIO", "tokenCount": 40}],
            "candidatesTokensDetails": [{"modality": "IMAGE", "tokenCount": 45}]}),
    );
    let usage = used.usage;
    assert_eq!((usage.input_uncached, usage.input_audio), (60, 40));
    assert_eq!((usage.output_text, usage.output_image), (5, 45));
}

#[test]
fn the_tier_that_served_is_read_from_the_answer() {
    let served = |kind, body: Value| {
        let body = body.to_string();
        decode(kind, body.as_bytes())
            .unwrap()
            .counted
            .unwrap()
            .service_tier
    };
    for (word, tier) in [
        ("default", Some(ServiceTier::Standard)),
        ("priority", Some(ServiceTier::Priority)),
        ("flex", Some(ServiceTier::Flex)),
        ("on_demand", Some(ServiceTier::Standard)),
        ("auto", None),
        ("of_tomorrow", None),
    ] {
        let body = json!({"service_tier": word, "choices": [{"message": {"content": "x"}}],
            "usage": {"prompt_tokens": 1, "completion_tokens": 1}});
        assert_eq!(served(ProviderKind::OpenAi, body), tier, "{word}");
        let usage = json!({"input_tokens": 1, "output_tokens": 1, "service_tier": word});
        let body = json!({"content": [], "usage": usage});
        assert_eq!(served(ProviderKind::Anthropic, body), tier, "{word}");
    }
    let usage = json!({"input_tokens": 1, "output_tokens": 1, "service_tier": "standard",
        "speed": "fast"});
    let fast = json!({"content": [], "usage": usage});
    assert_eq!(
        served(ProviderKind::Anthropic, fast),
        Some(ServiceTier::Fast)
    );
    let usage = json!({"promptTokenCount": 1, "trafficType": "ON_DEMAND_PRIORITY"});
    let body = json!({"candidates": [{}], "usageMetadata": usage});
    assert_eq!(
        served(ProviderKind::Gemini, body),
        Some(ServiceTier::Priority)
    );
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_count_is_lowered_and_the_total_is_reached_or_the_call_is_marked(
        prompt in 1_i64..1000,
        completion in 0_i64..1000,
        [cached, written, reasoning, sound] in [0_i64..1200, 0..300, 0..1500, 0..300],
        total in prop_oneof![Just(0_i64), 1_i64..5000],
        beside in any::<bool>(),
        kind in 0_usize..3,
    ) {
        let total = if beside { prompt + completion + reasoning } else { total };
        let (kind, usage) = [
            (ProviderKind::OpenAi, json!({"prompt_tokens": prompt, "completion_tokens": completion,
                "total_tokens": total, "prompt_tokens_details": {"cached_tokens": cached,
                    "cache_write_tokens": written, "audio_tokens": sound},
                "completion_tokens_details": {"reasoning_tokens": reasoning}})),
            (ProviderKind::Anthropic, json!({"input_tokens": prompt, "output_tokens": completion,
                "total_tokens": total, "cache_read_input_tokens": cached,
                "cache_creation_input_tokens": written,
                "output_tokens_details": {"thinking_tokens": reasoning}})),
            (ProviderKind::Gemini, json!({"promptTokenCount": prompt, "totalTokenCount": total,
                "candidatesTokenCount": completion, "cachedContentTokenCount": cached,
                "thoughtsTokenCount": reasoning})),
        ].swap_remove_at(kind);
        let counted = counted(kind, &usage);
        let used = counted.usage;
        prop_assert!(used.input() >= prompt.max(cached), "{usage}");
        prop_assert!(used.output() >= completion.max(reasoning), "{usage}");
        prop_assert!(used.total() >= total, "{usage}");
        prop_assert_eq!(used.output_reasoning, reasoning);
        if total > 0 && used.total() != total {
            prop_assert_eq!(counted.note, Some(UsageNote::TotalsDisagree), "{}", usage);
        }
        for bucket in buckets(&used) {
            prop_assert!(bucket >= 0);
        }
    }
}

/// Takes one of a few.
trait SwapRemoveAt<T> {
    fn swap_remove_at(self, index: usize) -> T;
}

impl<T, const N: usize> SwapRemoveAt<T> for [T; N] {
    fn swap_remove_at(self, index: usize) -> T {
        self.into_iter().nth(index).unwrap()
    }
}
