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
use super::forwarded::Forwarded;
use crate::chat::{Chunk, Completion, Counted, FinishReason};
use crate::request::{CallRequest, Prompt};

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
    /// The billed calls that the request causes for certain, unless the provider says otherwise.
    pub(crate) fees_min: FeeCounts,
    /// The tokens of all answers as they were held.
    pub(crate) output_held: i64,
    /// The limit of one answer, if one was sent.
    pub(crate) output_limit: Option<i64>,
    /// The longest answer of the model, if it is known.
    pub(crate) model_output_max: Option<i64>,
    /// How many answers were asked for.
    pub(crate) choices: i64,
    /// How many prompts the request has: texts of one request for vectors are read each by itself.
    pub(crate) inputs: i64,
}

impl Bounds {
    const fn input_max(&self, fees: &FeeCounts) -> i64 {
        let added = if fees.is_none() {
            ADDED_INPUT_TOKENS_MAX
        } else {
            FOUND_INPUT_TOKENS_MAX
        };
        let added = added.saturating_mul(self.inputs);
        self.prompt_max.total().saturating_add(added)
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
    /// by what was handed on of the answer; what the request makes impossible is replaced by the
    /// most that was held for it, but never by less than was handed on.
    fn of(counted: Option<Counted>, forwarded: &Forwarded, bounds: &Bounds) -> Self {
        let Some(counted) = counted else {
            let mut usage = estimate(bounds, forwarded);
            usage.fees = bounds.fees_min;
            return Self {
                usage,
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
        metered.fill_fees(&counted, bounds.fees_min);
        metered.fill(&counted, forwarded, bounds);
        metered.cover(&counted, forwarded);
        metered.bound(forwarded, bounds);
        metered.reported = metered.note.map(|_| counted.usage);
        metered
    }

    fn mark(&mut self, note: UsageNote) {
        self.note = self.note.max(Some(note));
    }

    /// Adds the billed calls that the provider does not count.
    fn fill_fees(&mut self, counted: &Counted, mut least: FeeCounts) {
        if counted.names_searches {
            least.web_searches = 0;
        }
        self.usage.fees = self.usage.fees.max(least);
    }

    /// Estimates what is missing.
    fn fill(&mut self, counted: &Counted, forwarded: &Forwarded, bounds: &Bounds) {
        if counted.lacks_input {
            let estimated = bounds.prompt_estimated.total();
            let missing = estimated.saturating_sub(self.usage.input()).max(0);
            self.usage.input_uncached = self.usage.input_uncached.saturating_add(missing);
            self.mark(UsageNote::PartlyEstimated);
        }
        if counted.lacks_output {
            let said = forwarded.tokens().max(1);
            self.raise_output(said.saturating_sub(self.visible_output(forwarded)));
            self.mark(UsageNote::PartlyEstimated);
        }
        if counted.lacks_input || counted.lacks_output {
            self.raise_output(counted.total.saturating_sub(self.usage.total()));
        }
    }

    /// Does not believe counts of the output that came before later words, or that are too few for
    /// the words that were handed on.
    fn cover(&mut self, counted: &Counted, forwarded: &Forwarded) {
        let uncounted = forwarded.uncounted_tokens();
        if uncounted > 0 && !counted.lacks_output {
            self.raise_output(uncounted);
        }
        let visible = self.visible_output(forwarded);
        if uncounted > 0 || visible < forwarded.tokens_min() {
            self.raise_output(forwarded.tokens().saturating_sub(visible));
            self.mark(UsageNote::PartlyEstimated);
        }
    }

    /// The tokens that were handed on, by the counts.
    const fn visible_output(&self, forwarded: &Forwarded) -> i64 {
        let output = self.usage.output();
        if forwarded.shows_reasoning() {
            output
        } else {
            output.saturating_sub(self.usage.output_reasoning)
        }
    }

    fn raise_output(&mut self, tokens: i64) {
        self.usage.output_text = self.usage.output_text.saturating_add(tokens.max(0));
    }

    /// Does not believe what the request makes impossible. What was handed on is possible, whatever
    /// the request says.
    fn bound(&mut self, forwarded: &Forwarded, bounds: &Bounds) {
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
        let shown_max = forwarded.tokens_max();
        let text_max = bounds.output_max().max(shown_max);
        if text > text_max || reasoning > bounds.reasoning_max().max(shown_max) {
            self.usage = Usage {
                output_text: bounds.output_held.max(forwarded.tokens()),
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
    let forwarded = Forwarded::of_completion(completion);
    Metered::of(completion.counted, &forwarded, bounds)
}

/// What vectors used.
pub(crate) fn usage_of_embeddings(counted: Option<Counted>, bounds: &Bounds) -> Metered {
    let mut metered = Metered::of(counted, &Forwarded::default(), bounds);
    if metered.note == Some(UsageNote::Estimated) {
        // Vectors have no tokens.
        metered.usage.output_text = 0;
    }
    metered
}

/// What a provider counted with a failure, before anything was handed on.
pub(crate) fn usage_of_failure(counted: Counted, bounds: &Bounds) -> Metered {
    let mut metered = Metered::of(Some(counted), &Forwarded::default(), bounds);
    metered.mark(UsageNote::BrokenOff);
    metered
}

/// What an answer has probably used of which so much was handed on.
fn estimate(bounds: &Bounds, forwarded: &Forwarded) -> Usage {
    Usage {
        // Even an answer without words has a mark of its end.
        output_text: forwarded.tokens().max(1),
        ..input_of(bounds.prompt_estimated)
    }
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
    /// How long the texts are, as JSON.
    text_bytes: usize,
    /// What was handed on.
    forwarded: Forwarded,
    /// How many tokens what was shown may have at most.
    shown_tokens: i64,
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
        self.forwarded.add_chunk(chunk);
        self.add_count(chunk.counted);
        let mut first = chunk.deltas.iter().filter(|delta| delta.index == 0);
        let reason = first.find_map(|delta| delta.finish_reason);
        self.finish_reason = self.finish_reason.or(reason);
    }

    /// Takes over what an event has counted, whether or not it could be read beside.
    pub(crate) fn add_count(&mut self, counted: Option<Counted>) {
        let Some(counted) = counted else { return };
        if counted.output_is_new {
            self.forwarded.note_count();
        }
        self.counted = Some(counted);
    }

    /// Whether the provider has counted anything.
    pub(crate) const fn has_counted(&self) -> bool {
        self.counted.is_some()
    }

    /// Whether the provider counts what it says or thinks while it does so. Some count nothing but
    /// the prompt before the end.
    const fn has_counted_output(&self) -> bool {
        match &self.counted {
            Some(counted) => counted.usage.output() > 0,
            None => false,
        }
    }

    /// What an answer used that its caller broke off: what was shown is not underestimated, and
    /// what may have been thought in silence is taken for the longest answer, unless the provider
    /// counts along.
    pub(crate) fn abandoned_usage(&self, broken: &BrokenOff<'_>) -> Metered {
        let mut metered = self.partial_usage(&broken.bounds);
        let counts_along = broken.kind == ProviderKind::Gemini && self.has_counted_output();
        let hides = !counts_along
            && abandoned::may_hide(
                broken.kind,
                broken.upstream_model,
                broken.request,
                self.forwarded.shows_reasoning(),
            );
        let longest = broken.bounds.longest_output();
        // No more than what was asked for can have been shown.
        let shown = self.shown_tokens.min(longest);
        abandoned::cover(&mut metered.usage, shown, hides.then_some(longest));
        metered
    }

    /// What an answer used of which nothing can be known: the longest that was asked for.
    pub(crate) fn unknown_usage(broken: &BrokenOff<'_>) -> Metered {
        let mut metered = Self::default().partial_usage(&broken.bounds);
        if !matches!(broken.request.prompt, Prompt::Embeddings(_)) {
            let longest = broken.bounds.longest_output();
            abandoned::cover(&mut metered.usage, longest, None);
        }
        metered
    }

    /// What the provider has counted up to now, as far as it can be believed.
    pub(crate) fn counted(&self, bounds: &Bounds) -> Option<Usage> {
        self.counted
            .map(|counted| Metered::of(Some(counted), &Forwarded::default(), bounds).usage)
    }

    /// What a complete answer used: as counted, else estimated.
    pub(crate) fn usage(&self, bounds: &Bounds) -> Metered {
        Metered::of(self.counted, &self.forwarded, bounds)
    }

    /// What an answer that was broken off used: what was counted, but at least what has come.
    pub(crate) fn partial_usage(&self, bounds: &Bounds) -> Metered {
        let mut metered = self.usage(bounds);
        if self.counted.is_none() {
            metered.usage.output_text = self.forwarded.tokens();
        }
        let visible = metered.visible_output(&self.forwarded);
        metered.raise_output(self.forwarded.tokens().saturating_sub(visible));
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
mod tests;
