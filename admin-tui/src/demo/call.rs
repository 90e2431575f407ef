//! What calls come to: how long they take, what they use, how they fail.

use std::sync::Arc;

use tollgate_common::clock::Timestamp;
use tollgate_common::db::demo::Call;
use tollgate_common::db::work::FailedAttempt;
use tollgate_common::id::{CallId, JobId, KeyId, NodeId};
use tollgate_common::job::{CallState, Spend, Terms};
use tollgate_common::ledger::{Admission, CallEstimate, PromptWeight};
use tollgate_common::money::NanoUsd;
use tollgate_common::price::{FeeCounts, OutputKinds, Usage};

use super::cast::{Offer, Player};
use super::dice::Dice;

/// Kinds of failures and their words, the frequent ones first.
const FAILURES: [(&str, &str); 7] = [
    ("provider_rate_limited", "the provider limits its rate"),
    ("provider_timeout", "no answer within 60 s"),
    ("provider_error", "status 529: overloaded"),
    (
        "provider_rejected",
        "status 400: the prompt is too long for this model",
    ),
    ("provider_cut", "the stream ended before the answer did"),
    ("provider_unreachable", "the connection was refused"),
    ("caller_gone", "the caller left"),
];

/// How many they are; the first ones are the most frequent.
const FAILURES_COUNT: i64 = 7;

const PURPOSES: [Option<&str>; 4] = [None, None, Some("draft"), Some("review")];

/// What a call is going to be, decided when its job begins.
#[derive(Debug, Clone)]
pub(crate) struct Planned {
    /// Which model.
    pub(crate) offer: usize,
    /// Microseconds between the step before and its beginning.
    pub(crate) after: i64,
    /// How long it takes.
    pub(crate) latency_ms: i64,
    /// Tokens of the prompt and of the answer, if nothing cuts it.
    pub(crate) tokens: (i64, i64),
    /// The failure that ends it, if one does.
    pub(crate) failure: Option<usize>,
    streamed: bool,
    cached: bool,
}

impl Planned {
    /// A call by chance.
    pub(crate) fn new(dice: &Dice, offers: &[Offer], sums: &[u64]) -> Self {
        let place = dice.weighted(sums);
        let offer = &offers[place];
        let input = dice.skewed(40, 24_000);
        let output = dice.skewed(8, 3_500).min(offer.output_tokens_max);
        let failure = dice
            .chance(28)
            .then(|| dice.skewed(0, FAILURES_COUNT) as usize % FAILURES.len());
        let cached = failure.is_none() && dice.chance(25);
        let busy = offer.pace_ms + output * offer.pace_ms / 400;
        let latency_ms = if cached {
            dice.between(1, 4)
        } else {
            dice.between(busy / 2, busy * 2).min(180_000)
        };
        Self {
            offer: place,
            after: dice.between(2_000, 400_000),
            latency_ms,
            tokens: (input, output),
            failure,
            streamed: output > 100 && dice.chance(450),
            cached,
        }
    }

    /// What is known of it beforehand.
    pub(crate) fn estimate(&self, offer: &Offer) -> CallEstimate {
        CallEstimate {
            prompt: PromptWeight::of_text(self.tokens.0 + self.tokens.0 / 8),
            output_tokens_max: offer.output_tokens_max,
            output_tokens_min: 1,
            output_kinds: OutputKinds::default(),
            fees_max: FeeCounts::NONE,
            unit: offer.price.as_ref().map(|price| price.base().unit),
        }
    }

    /// The call as it begins.
    pub(crate) fn begin(
        &self,
        dice: &Dice,
        (player, key_id): (&Player, &KeyId),
        (job_id, node_id): (JobId, NodeId),
        offer: &Offer,
        (admission, now): (Admission, Timestamp),
    ) -> Call {
        Call {
            id: CallId::new(now, dice),
            job_id,
            team_id: player.id.clone(),
            key_id: key_id.clone(),
            node_id,
            alias: offer.alias.clone(),
            provider: offer.provider.clone(),
            upstream_model: offer.upstream_model.clone(),
            purpose: PURPOSES[dice.below(4) as usize],
            state: CallState::InFlight,
            reserved: admission.reserved,
            usage: Usage::default(),
            provider_cost: NanoUsd::ZERO,
            client_cost: NanoUsd::ZERO,
            price: offer.price.as_ref().map(|price| Arc::clone(price.base())),
            finish_reason: None,
            error: None,
            latency_ms: None,
            first_token_ms: None,
            started_at: now,
            ended_at: None,
            streamed: self.streamed,
            cached: self.cached,
            attempts: Vec::new(),
        }
    }

    /// The call ends; what it used.
    pub(crate) fn settle(
        &self,
        dice: &Dice,
        call: &mut Call,
        offer: &Offer,
        (terms, longest): (&Terms, Option<i64>),
        now: Timestamp,
    ) -> Spend {
        call.ended_at = Some(now);
        call.latency_ms = Some(self.latency_ms);
        if dice.chance(18) || self.failure.is_some() {
            let attempts = dice.between(1, 2);
            call.attempts = (0..attempts).map(|_| attempt(dice, offer)).collect();
        }
        if let Some(place) = self.failure {
            let (kind, words) = FAILURES[place];
            call.state = CallState::Failed;
            call.error = Some((kind, words.to_owned()));
            return Spend::default();
        }
        call.state = CallState::Succeeded;
        let whole = self.tokens.1;
        let output = longest.map_or(whole, |longest| whole.min(longest)).max(1);
        call.finish_reason = Some(if output < whole { "length" } else { "stop" });
        if self.streamed {
            call.first_token_ms = Some((self.latency_ms / 6).max(1));
        }
        let cache_read = if dice.chance(250) {
            self.tokens.0 / 2
        } else {
            0
        };
        let reasoning = if offer.pace_ms >= 2_500 {
            output * 2 / 3
        } else {
            0
        };
        call.usage = Usage {
            input_uncached: self.tokens.0 - cache_read,
            input_cache_read: cache_read,
            output_text: output - reasoning,
            output_reasoning: reasoning,
            ..Usage::default()
        };
        if !self.cached {
            let unit = call.price.as_ref().map(|price| price.unit);
            call.provider_cost = unit.map(|unit| unit.cost(&call.usage)).unwrap_or_default();
        }
        call.client_cost = terms.markup.apply(call.provider_cost);
        Spend {
            cost: call.client_cost,
            tokens: call.usage.total(),
        }
    }
}

fn attempt(dice: &Dice, offer: &Offer) -> FailedAttempt {
    let (kind, words) = FAILURES[dice.below(3) as usize];
    FailedAttempt {
        provider: offer.provider.clone(),
        credential_id: offer.credential,
        upstream_model: offer.upstream_model.clone(),
        error_kind: kind,
        error: words.to_owned(),
        latency_ms: dice.skewed(20, 9_000),
    }
}
