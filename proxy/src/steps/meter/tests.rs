use proptest::prelude::*;

use super::*;

const BOUNDS: Bounds = Bounds {
    prompt_held: PromptWeight::of_text(60),
    prompt_max: PromptWeight::of_text(60),
    prompt_estimated: PromptWeight::of_text(40),
    fees_held: FeeCounts::NONE,
    fees_min: FeeCounts::NONE,
    output_held: 200,
    output_limit: Some(100),
    model_output_max: Some(4_096),
    choices: 2,
    inputs: 1,
};

fn counted(input: i64, text: i64, reasoning: i64) -> Counted {
    Counted {
        usage: Usage {
            input_uncached: input,
            output_text: text,
            output_reasoning: reasoning,
            ..Usage::default()
        },
        output_is_new: true,
        ..Counted::default()
    }
}

/// So many bytes, all of them before the last count.
fn forwarded(bytes: usize) -> Forwarded {
    Forwarded::of_bytes(bytes, 0, i64::try_from(bytes).unwrap())
}

fn metered(counted: Counted) -> Metered {
    Metered::of(Some(counted), &forwarded(400), &BOUNDS)
}

#[test]
fn plausible_counts_are_taken_as_they_are() {
    for plausible in [
        counted(1, 25, 0),
        counted(40, 200, 0),
        // Instructions of the provider's own, and reasoning beside the limit.
        counted(5_000, 200, 100_000),
    ] {
        let metered = metered(plausible);
        assert_eq!((metered.usage, metered.note), (plausible.usage, None));
    }
}

#[test]
fn counts_that_the_request_makes_impossible_are_charged_as_held() {
    let absurd_prompt = metered(counted(900_000_000, 35, 3));
    assert_eq!(absurd_prompt.usage, counted(60, 35, 3).usage);
    let absurd_text = metered(counted(10, 100_000, 0));
    assert_eq!(absurd_text.usage, counted(10, 200, 0).usage);
    let absurd_thoughts = metered(counted(10, 35, 900_000));
    assert_eq!(absurd_thoughts.usage, counted(10, 200, 0).usage);
    for metered in [absurd_prompt, absurd_text, absurd_thoughts] {
        assert_eq!(metered.note, Some(UsageNote::Implausible));
        assert!(metered.reported.is_some());
    }
}

#[test]
fn searches_explain_a_long_prompt_but_not_any_number_of_them() {
    let with_searches = |web_searches| {
        let mut counted = counted(30_000, 35, 0);
        counted.usage.fees.web_searches = web_searches;
        metered(counted)
    };
    assert_eq!(with_searches(3).note, None);
    assert_eq!(with_searches(3).usage.input(), 30_000);
    let absurd = with_searches(1_000_000);
    assert_eq!(absurd.note, Some(UsageNote::Implausible));
    assert!(absurd.usage.fees.is_none());
    assert_eq!(absurd.usage.input(), 60);
}

#[test]
fn what_a_request_causes_for_certain_is_charged_without_a_count() {
    let least = FeeCounts {
        web_searches: 1,
        requests: 1,
        ..FeeCounts::NONE
    };
    let bounds = Bounds {
        fees_held: least,
        fees_min: least,
        ..BOUNDS
    };
    let fees = |counted| Metered::of(counted, &forwarded(4), &bounds).usage.fees;
    assert_eq!(fees(None), least);
    assert_eq!(fees(Some(counted(9, 3, 0))), least);
    let mut named = counted(9, 3, 0);
    named.names_searches = true;
    let without = FeeCounts {
        web_searches: 0,
        ..least
    };
    assert_eq!(
        fees(Some(named)),
        without,
        "it says that it has not searched"
    );
    named.usage.fees.web_searches = 3;
    assert_eq!(fees(Some(named)).web_searches, 3);
}

#[test]
fn without_a_limit_the_models_own_counts() {
    let unlimited = Bounds {
        output_limit: None,
        ..BOUNDS
    };
    let long = counted(10, 8_000, 0);
    assert_eq!(
        Metered::of(Some(long), &forwarded(1), &unlimited).note,
        None
    );
    let too_long = counted(10, 9_000, 0);
    let note = Metered::of(Some(too_long), &forwarded(1), &unlimited).note;
    assert_eq!(note, Some(UsageNote::Implausible));
}

#[test]
fn only_what_is_missing_is_estimated() {
    let lacks_input = Counted {
        lacks_input: true,
        ..counted(0, 37, 0)
    };
    assert_eq!(metered(lacks_input).usage, counted(40, 37, 0).usage);
    let lacks_output = Counted {
        lacks_output: true,
        ..counted(9, 0, 0)
    };
    assert_eq!(metered(lacks_output).usage, counted(9, 101, 0).usage);
    let with_total = Counted {
        total: 150,
        ..lacks_output
    };
    assert_eq!(metered(with_total).usage, counted(9, 141, 0).usage);
    for counted in [lacks_input, lacks_output, with_total] {
        assert_eq!(metered(counted).note, Some(UsageNote::PartlyEstimated));
    }
    let nothing = Metered::of(None, &forwarded(400), &BOUNDS);
    assert_eq!(nothing.usage, counted(40, 101, 0).usage);
    assert_eq!(nothing.note, Some(UsageNote::Estimated));
}

#[test]
fn a_broken_answer_used_at_least_what_came() {
    let mut meter = StreamMeter {
        forwarded: forwarded(400),
        ..StreamMeter::default()
    };
    let estimated = meter.partial_usage(&BOUNDS);
    assert_eq!(estimated.usage, counted(40, 101, 0).usage);
    meter.counted = Some(counted(12, 1, 0));
    let partly_counted = meter.partial_usage(&BOUNDS);
    assert_eq!(partly_counted.usage, counted(12, 101, 0).usage);
    let nothing_came = StreamMeter::default().partial_usage(&BOUNDS);
    assert_eq!(nothing_came.usage, counted(40, 0, 0).usage);
    for metered in [estimated, partly_counted, nothing_came] {
        assert_eq!(metered.note, Some(UsageNote::BrokenOff));
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn no_count_is_charged_beyond_what_the_request_allows(
        input in 0_i64..2_000_000_000_000,
        text in 0_i64..2_000_000_000_000,
        reasoning in 0_i64..2_000_000_000_000,
    ) {
        let metered = metered(counted(input, text, reasoning));
        prop_assert!(metered.usage.input() <= BOUNDS.input_max(&FeeCounts::NONE));
        let most = BOUNDS.output_max() + BOUNDS.reasoning_max();
        prop_assert!(metered.usage.output() <= most);
        if metered.usage != counted(input, text, reasoning).usage {
            prop_assert_eq!(metered.note, Some(UsageNote::Implausible));
        }
    }
}

/// What happens in a stream.
#[derive(Debug, Clone)]
enum Happening {
    /// So many words of text.
    Words(usize),
    /// The output is counted, together with the prompt.
    Count(i64),
    /// The prompt alone is counted.
    PromptCount,
}

fn happenings() -> impl Strategy<Value = Vec<Happening>> {
    let one = prop_oneof![
        (1_usize..200).prop_map(Happening::Words),
        (1_i64..5_000).prop_map(Happening::Count),
        Just(Happening::PromptCount),
    ];
    prop::collection::vec(one, 0..12)
}

fn event_of(kind: ProviderKind, happening: &Happening) -> serde_json::Value {
    use serde_json::json;
    match (kind, happening) {
        (ProviderKind::OpenAi, Happening::Words(count)) => {
            json!({"choices": [{"index": 0, "delta": {"content": "wordy ".repeat(*count)}}]})
        }
        (ProviderKind::OpenAi, Happening::Count(tokens)) => {
            json!({"choices": [], "usage": {"prompt_tokens": 10, "completion_tokens": tokens}})
        }
        (ProviderKind::OpenAi, Happening::PromptCount) => {
            json!({"choices": [], "usage": {"prompt_tokens": 10}})
        }
        (ProviderKind::Anthropic, Happening::Words(count)) => {
            json!({"type": "content_block_delta", "index": 0,
                "delta": {"type": "text_delta", "text": "wordy ".repeat(*count)}})
        }
        (ProviderKind::Anthropic, Happening::Count(tokens)) => {
            json!({"type": "message_delta", "delta": {}, "usage": {"output_tokens": tokens}})
        }
        (ProviderKind::Anthropic, Happening::PromptCount) => {
            json!({"type": "message_start", "message": {"usage": {"input_tokens": 10}}})
        }
        (ProviderKind::Gemini, Happening::Words(count)) => {
            let parts = json!([{"text": "wordy ".repeat(*count)}]);
            json!({"candidates": [{"index": 0, "content": {"parts": parts}}]})
        }
        (ProviderKind::Gemini, Happening::Count(tokens)) => {
            json!({"usageMetadata": {"promptTokenCount": 10, "candidatesTokenCount": tokens}})
        }
        (ProviderKind::Gemini, Happening::PromptCount) => {
            json!({"usageMetadata": {"promptTokenCount": 10}})
        }
    }
}

/// A meter that has seen all that, in a dialect.
fn meter_of(kind: ProviderKind, happenings: &[Happening]) -> StreamMeter {
    let mut decoder = crate::provider::StreamDecoder::new(kind, 1);
    let mut meter = StreamMeter::default();
    for happening in happenings {
        let event = crate::sse::Event {
            name: None,
            data: event_of(kind, happening).to_string(),
        };
        meter.add(&decoder.read(&event).unwrap());
    }
    meter
}

/// What was handed on, in bytes of JSON, and the last count if it came after all of that.
fn handed_on(happenings: &[Happening]) -> (usize, Option<i64>) {
    let mut bytes = 0;
    let mut last = None;
    for happening in happenings {
        match happening {
            Happening::Words(count) => {
                bytes += "wordy ".len() * count + 2;
                last = None;
            }
            Happening::Count(tokens) => last = Some(*tokens),
            Happening::PromptCount => {}
        }
    }
    (bytes, last)
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// Only a count that came after the last words, and that a text of their length can have, is
    /// believed if it is less than the estimate.
    #[test]
    fn no_stream_is_charged_less_than_was_handed_on(happenings in happenings()) {
        for kind in [ProviderKind::OpenAi, ProviderKind::Anthropic, ProviderKind::Gemini] {
            let meter = meter_of(kind, &happenings);
            let (bytes, last) = handed_on(&happenings);
            let length = i64::try_from(bytes).unwrap();
            let estimate = if bytes == 0 { 0 } else { length / 4 + 1 };
            let charged = meter.usage(&BOUNDS);
            let output = charged.usage.output();
            let believed = last.filter(|tokens| *tokens >= length / 16);
            let least = believed.map_or(estimate, |tokens| tokens.min(estimate));
            prop_assert!(output >= least, "{kind:?}: {output} of {least}");
            if last.is_none() && bytes > 0 {
                prop_assert!(charged.note.is_some(), "{kind:?}");
            }
            let broken = meter.partial_usage(&BOUNDS).usage.output();
            prop_assert!(broken >= estimate.max(output.min(estimate)), "{kind:?}: {broken}");
        }
    }

    #[test]
    fn whatever_is_counted_no_less_is_charged_than_was_handed_on(
        input in 0_i64..1_000_000,
        text in 0_i64..2_000_000,
        reasoning in 0_i64..2_000_000,
        bytes in 1_usize..100_000,
        uncounted in 0_usize..100_000,
    ) {
        let most = i64::try_from(bytes).unwrap();
        let forwarded = Forwarded::of_bytes(bytes, uncounted.min(bytes), most);
        let counted = counted(input, text, reasoning);
        let metered = Metered::of(Some(counted), &forwarded, &BOUNDS);
        let is_believed = uncounted == 0 && text >= forwarded.tokens_min();
        let least = if is_believed { forwarded.tokens().min(text) } else { forwarded.tokens() };
        prop_assert!(metered.usage.output() >= least);
        if uncounted > 0 {
            prop_assert!(metered.note.is_some());
        }
    }
}

#[test]
fn a_stream_that_counts_its_prompt_alone_may_hide_thoughts() {
    let body = br#"{"messages": [{"role": "user", "content": "Hi"}]}"#;
    let request = CallRequest::parse(body, 10_240).unwrap();
    let broken = BrokenOff {
        kind: ProviderKind::Gemini,
        upstream_model: "gemini-2.5-flash",
        request: &request,
        bounds: BOUNDS,
    };
    let left_after = |counted| {
        let meter = StreamMeter {
            counted: Some(counted),
            ..StreamMeter::default()
        };
        meter.abandoned_usage(&broken).usage.output()
    };
    assert_eq!(left_after(counted(40, 0, 0)), BOUNDS.longest_output());
    assert_eq!(left_after(counted(40, 0, 7)), 7, "it counts along");
    assert_eq!(left_after(counted(40, 5, 7)), 12);
}
