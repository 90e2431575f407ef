//! What a call used and cost.

use std::sync::Arc;

use tollgate_common::db::work::CallResult;
use tollgate_common::id::CallId;
use tollgate_common::job::Terms;
use tollgate_common::ledger::PromptWeight;
use tollgate_common::price::{FeeCounts, Price, ServiceTier, Usage};
use tollgate_common::provider::ProviderKind;
use tollgate_common::usage_note::UsageNote;

use super::abandoned;
use crate::chat::{Chunk, Completion, Counted, FinishReason};
use crate::request::CallRequest;

/// Bytes of text that are taken for one token when the provider does not count.
const BYTES_PER_TOKEN: i64 = 4;

/// What providers may add to a prompt of their own accord and count with it: instructions,
/// descriptions of tools, templates. More than that beyond what the request can come to is no count
/// of this request.
const ADDED_INPUT_TOKENS_MAX: i64 = 10_000;

/// How many tokens a provider may count beyond the limit of an answer: marks of its end, calls of
/// tools that it still closes.
const OUTPUT_TOKENS_SLACK: i64 = 64;

/// The longest reasoning of any model, in tokens. Some providers do not count it under the limit of
/// the answer.
const REASONING_TOKENS_MAX: i64 = 200_000;

/// The longest answer that a model of unknown limits may give if none is asked of it, in tokens.
const UNLIMITED_OUTPUT_TOKENS_MAX: i64 = 1_000_000;

/// How many tokens of what it has found a provider may put into the prompt of a request that lets
/// it search.
const FOUND_INPUT_TOKENS_MAX: i64 = 1_000_000;

/// How many billed calls of a kind a provider may make for one request.
const FEES_MAX: i64 = 1_000;

/// What a request allows a provider to count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bounds {
    /// The most that the prompt can come to: it is held.
    pub(crate) prompt_held: PromptWeight,
    /// The same without regard to how much the model is said to take.
    pub(crate) prompt_max: PromptWeight,
    /// What the prompt probably comes to.
    pub(crate) prompt_estimated: PromptWeight,
    /// The billed calls as they were held.
    pub(crate) fees_held: FeeCounts,
    /// The tokens of all answers as they were held.
    pub(crate) output_held: i64,
    /// The limit of one answer, if one was sent.
    pub(crate) output_limit: Option<i64>,
    /// The longest answer of the model, if it is known.
    pub(crate) model_output_max: Option<i64>,
    /// How many answers were asked for.
    pub(crate) choices: i64,
}

impl Bounds {
    const fn input_max(&self, fees: &FeeCounts) -> i64 {
        let added = if fees.is_none() {
            ADDED_INPUT_TOKENS_MAX
        } else {
            FOUND_INPUT_TOKENS_MAX
        };
        let prompt = self.prompt_max.total();
        prompt.saturating_add(added)
    }

    fn output_max(&self) -> i64 {
        let one = self.output_limit.or(self.model_output_max);
        let one = one.unwrap_or(UNLIMITED_OUTPUT_TOKENS_MAX);
        let one = one.saturating_add(OUTPUT_TOKENS_SLACK);
        one.saturating_mul(self.choices.max(1))
    }

    /// The longest that all answers together can become.
    fn longest_output(&self) -> i64 {
        let own = self.model_output_max.unwrap_or(i64::MAX);
        self.output_limit.map_or(self.output_held, |one| {
            one.min(own).saturating_mul(self.choices)
        })
    }

    fn reasoning_max(&self) -> i64 {
        let longest = self.output_limit.max(self.model_output_max);
        let one = longest.unwrap_or(0).max(REASONING_TOKENS_MAX);
        one.saturating_mul(self.choices.max(1))
    }
}

/// A prompt in its buckets.
fn input_of(prompt: PromptWeight) -> Usage {
    Usage {
        input_uncached: prompt.text,
        input_image: prompt.image,
        input_audio: prompt.audio,
        ..Usage::default()
    }
}

/// What a call used, and what is to be known about that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Metered {
    pub(crate) usage: Usage,
    /// Why that is not simply what the provider counted.
    pub(crate) note: Option<UsageNote>,
    /// What the provider counted, if it is not that.
    pub(crate) reported: Option<Usage>,
    /// The service tier by which the provider served the call, if it tells.
    pub(crate) service_tier: Option<ServiceTier>,
}

impl Metered {
    /// What a call used that no provider was asked for.
    pub(crate) fn nothing() -> Self {
        Self {
            usage: Usage::default(),
            note: None,
            reported: None,
            service_tier: None,
        }
    }

    /// Usage as the provider counted it. What it has not counted is estimated, by the request and
    /// by the answer's length; what the request makes impossible is replaced by the most that was
    /// held for it.
    fn of(counted: Option<Counted>, text_bytes: usize, bounds: &Bounds) -> Self {
        let Some(counted) = counted else {
            return Self {
                usage: estimate(bounds, text_bytes),
                note: Some(UsageNote::Estimated),
                ..Self::nothing()
            };
        };
        let mut metered = Self {
            usage: counted.usage,
            note: counted.note,
            reported: None,
            service_tier: counted.service_tier,
        };
        metered.fill(&counted, text_bytes, bounds);
        metered.bound(bounds);
        metered.reported = metered.note.map(|_| counted.usage);
        metered
    }

    fn mark(&mut self, note: UsageNote) {
        self.note = self.note.max(Some(note));
    }

    /// Estimates what is missing.
    fn fill(&mut self, counted: &Counted, text_bytes: usize, bounds: &Bounds) {
        if counted.lacks_input {
            let estimated = bounds.prompt_estimated.total();
            let missing = estimated.saturating_sub(self.usage.input()).max(0);
            self.usage.input_uncached = self.usage.input_uncached.saturating_add(missing);
            self.mark(UsageNote::PartlyEstimated);
        }
        if counted.lacks_output {
            let said = tokens_in(text_bytes);
            self.raise_output(said.saturating_sub(self.usage.output()));
            self.mark(UsageNote::PartlyEstimated);
        }
        if counted.lacks_input || counted.lacks_output {
            self.raise_output(counted.total.saturating_sub(self.usage.total()));
        }
    }

    fn raise_output(&mut self, tokens: i64) {
        self.usage.output_text = self.usage.output_text.saturating_add(tokens.max(0));
    }

    /// Does not believe what the request makes impossible.
    fn bound(&mut self, bounds: &Bounds) {
        self.bound_fees(&bounds.fees_held);
        let used = self.usage;
        if used.input() > bounds.input_max(&used.fees) {
            self.usage = Usage {
                output_text: used.output_text,
                output_reasoning: used.output_reasoning,
                output_audio: used.output_audio,
                output_image: used.output_image,
                fees: used.fees,
                ..input_of(bounds.prompt_held)
            };
            self.mark(UsageNote::Implausible);
        }
        let reasoning = used.output_reasoning;
        let text = used.output().saturating_sub(reasoning);
        if text > bounds.output_max() || reasoning > bounds.reasoning_max() {
            self.usage = Usage {
                output_text: bounds.output_held,
                output_reasoning: 0,
                output_audio: 0,
                output_image: 0,
                ..self.usage
            };
            self.mark(UsageNote::Implausible);
        }
    }

    fn bound_fees(&mut self, held: &FeeCounts) {
        let fees = &mut self.usage.fees;
        let mut is_implausible = false;
        for (count, held) in [
            (&mut fees.web_searches, held.web_searches),
            (&mut fees.file_searches, held.file_searches),
            (&mut fees.code_executions, held.code_executions),
            (&mut fees.requests, held.requests),
        ] {
            if *count > held.max(FEES_MAX) {
                *count = held;
                is_implausible = true;
            }
        }
        if is_implausible {
            self.mark(UsageNote::Implausible);
        }
    }

    /// Tells operators of counts that were not taken as they came.
    pub(crate) fn report(&self, call_id: CallId) {
        let (Some(note), Some(reported)) = (self.note, self.reported) else {
            return;
        };
        if matches!(note, UsageNote::Implausible | UsageNote::TotalsDisagree) {
            tracing::warn!(
                %call_id,
                note = note.as_str(),
                reported_input = reported.input(),
                reported_output = reported.output(),
                charged_input = self.usage.input(),
                charged_output = self.usage.output(),
                "the provider's counts were not taken as they came"
            );
        }
    }
}

/// What a whole answer used.
pub(crate) fn usage_of(completion: &Completion<'_>, bounds: &Bounds) -> Metered {
    Metered::of(completion.counted, completion.text_bytes(), bounds)
}

/// What vectors used.
pub(crate) fn usage_of_embeddings(counted: Option<Counted>, bounds: &Bounds) -> Metered {
    let mut metered = Metered::of(counted, 0, bounds);
    if metered.note == Some(UsageNote::Estimated) {
        // Vectors have no tokens.
        metered.usage.output_text = 0;
    }
    metered
}

/// What an answer of so many bytes has probably used.
fn estimate(bounds: &Bounds, text_bytes: usize) -> Usage {
    Usage {
        output_text: tokens_in(text_bytes),
        ..input_of(bounds.prompt_estimated)
    }
}

fn tokens_in(text_bytes: usize) -> i64 {
    i64::try_from(text_bytes).unwrap_or(i64::MAX) / BYTES_PER_TOKEN + 1
}

/// An answer that its caller broke off: who gave it to which request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BrokenOff<'a> {
    pub(crate) kind: ProviderKind,
    pub(crate) upstream_model: &'a str,
    pub(crate) request: &'a CallRequest<'a>,
    pub(crate) bounds: Bounds,
}

/// Counts a streamed answer as it passes.
#[derive(Debug, Default)]
pub(crate) struct StreamMeter {
    /// What the provider has counted up to now.
    counted: Option<Counted>,
    text_bytes: usize,
    /// How many tokens what was shown may have at most.
    shown_tokens: i64,
    /// Whether reasoning has come as text.
    shows_reasoning: bool,
    /// Why the first answer ended.
    pub(crate) finish_reason: Option<FinishReason>,
    /// From the caller's request to the first piece.
    pub(crate) first_token_ms: i64,
}

impl StreamMeter {
    /// The first piece has come.
    pub(crate) fn began(first_token_ms: i64) -> Self {
        Self {
            first_token_ms,
            ..Self::default()
        }
    }

    /// How long the texts are so far, as JSON.
    pub(crate) const fn text_bytes(&self) -> usize {
        self.text_bytes
    }

    pub(crate) fn add(&mut self, chunk: &Chunk<'_>) {
        self.text_bytes += chunk.text_bytes();
        self.shown_tokens += abandoned::tokens_at_most(chunk);
        let mut deltas = chunk.deltas.iter();
        self.shows_reasoning |= deltas.any(|delta| delta.said.reasoning.is_some());
        self.counted = chunk.counted.or(self.counted);
        let mut first = chunk.deltas.iter().filter(|delta| delta.index == 0);
        let reason = first.find_map(|delta| delta.finish_reason);
        self.finish_reason = self.finish_reason.or(reason);
    }

    /// Whether the provider has counted anything.
    pub(crate) const fn has_counted(&self) -> bool {
        self.counted.is_some()
    }

    /// What an answer used that its caller broke off: what was shown is not underestimated, and
    /// what may have been thought in silence is taken for the longest answer, unless the provider
    /// counts along.
    pub(crate) fn abandoned_usage(&self, broken: &BrokenOff<'_>) -> Metered {
        let mut metered = self.partial_usage(&broken.bounds);
        let counts_along = broken.kind == ProviderKind::Gemini && self.has_counted();
        let hides = !counts_along
            && abandoned::may_hide(
                broken.kind,
                broken.upstream_model,
                broken.request,
                self.shows_reasoning,
            );
        let longest = broken.bounds.longest_output();
        // No more than what was asked for can have been shown.
        let shown = self.shown_tokens.min(longest);
        abandoned::cover(&mut metered.usage, shown, hides.then_some(longest));
        metered
    }

    /// What the provider has counted up to now, as far as it can be believed.
    pub(crate) fn counted(&self, bounds: &Bounds) -> Option<Usage> {
        self.counted
            .map(|counted| Metered::of(Some(counted), self.text_bytes, bounds).usage)
    }

    /// What a complete answer used: as counted, else estimated.
    pub(crate) fn usage(&self, bounds: &Bounds) -> Metered {
        Metered::of(self.counted, self.text_bytes, bounds)
    }

    /// What an answer that was broken off used: what was counted, but at least what has come.
    pub(crate) fn partial_usage(&self, bounds: &Bounds) -> Metered {
        let mut metered = self.usage(bounds);
        let came = if self.text_bytes == 0 {
            0
        } else {
            tokens_in(self.text_bytes)
        };
        if self.counted.is_none() {
            metered.usage.output_text = came;
        }
        metered.raise_output(came.saturating_sub(metered.usage.output()));
        metered.mark(UsageNote::BrokenOff);
        metered
    }
}

/// Prices usage under a job's terms, by the service tier in which the provider served it. Without
/// a price the cost is nothing, and the call's row says that no price was known.
pub(crate) fn result_of(
    metered: &Metered,
    (price, untold_tier): (Option<&Arc<Price>>, ServiceTier),
    terms: &Terms,
    latency_ms: i64,
) -> CallResult {
    let usage = metered.usage;
    let service_tier = metered.service_tier.unwrap_or(untold_tier);
    let price = price.map(|price| price.served(usage.input(), service_tier));
    let provider_cost = price
        .as_ref()
        .map(|price| price.unit.cost(&usage))
        .unwrap_or_default();
    CallResult {
        usage,
        usage_estimated: metered.note.is_some(),
        usage_note: metered.note,
        service_tier,
        price,
        provider_cost,
        client_cost: terms.markup.apply(provider_cost),
        latency_ms,
        ..CallResult::default()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BOUNDS: Bounds = Bounds {
        prompt_held: PromptWeight::of_text(60),
        prompt_max: PromptWeight::of_text(60),
        prompt_estimated: PromptWeight::of_text(40),
        fees_held: FeeCounts::NONE,
        output_held: 200,
        output_limit: Some(100),
        model_output_max: Some(4_096),
        choices: 2,
    };

    fn counted(input: i64, text: i64, reasoning: i64) -> Counted {
        Counted {
            usage: Usage {
                input_uncached: input,
                output_text: text,
                output_reasoning: reasoning,
                ..Usage::default()
            },
            ..Counted::default()
        }
    }

    fn metered(counted: Counted) -> Metered {
        Metered::of(Some(counted), 400, &BOUNDS)
    }

    #[test]
    fn plausible_counts_are_taken_as_they_are() {
        for plausible in [
            counted(1, 0, 0),
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
        let absurd_prompt = metered(counted(900_000_000, 5, 3));
        assert_eq!(absurd_prompt.usage, counted(60, 5, 3).usage);
        let absurd_text = metered(counted(10, 100_000, 0));
        assert_eq!(absurd_text.usage, counted(10, 200, 0).usage);
        let absurd_thoughts = metered(counted(10, 5, 900_000));
        assert_eq!(absurd_thoughts.usage, counted(10, 200, 0).usage);
        for metered in [absurd_prompt, absurd_text, absurd_thoughts] {
            assert_eq!(metered.note, Some(UsageNote::Implausible));
            assert!(metered.reported.is_some());
        }
    }

    #[test]
    fn searches_explain_a_long_prompt_but_not_any_number_of_them() {
        let with_searches = |web_searches| {
            let mut counted = counted(30_000, 5, 0);
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
    fn without_a_limit_the_models_own_counts() {
        let unlimited = Bounds {
            output_limit: None,
            ..BOUNDS
        };
        let long = counted(10, 8_000, 0);
        assert_eq!(Metered::of(Some(long), 1, &unlimited).note, None);
        let too_long = counted(10, 9_000, 0);
        let note = Metered::of(Some(too_long), 1, &unlimited).note;
        assert_eq!(note, Some(UsageNote::Implausible));
    }

    #[test]
    fn only_what_is_missing_is_estimated() {
        let lacks_input = Counted {
            lacks_input: true,
            ..counted(0, 7, 0)
        };
        assert_eq!(metered(lacks_input).usage, counted(40, 7, 0).usage);
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
        let nothing = Metered::of(None, 400, &BOUNDS);
        assert_eq!(nothing.usage, counted(40, 101, 0).usage);
        assert_eq!(nothing.note, Some(UsageNote::Estimated));
    }

    #[test]
    fn a_broken_answer_used_at_least_what_came() {
        let mut meter = StreamMeter {
            text_bytes: 400,
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
}
