//! A call on its way: everything that its steps share.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use tollgate_common::clock::Timestamp;
use tollgate_common::db::work::{BeginCall, CallResult, IdempotencyClaim, OpenJob, ServedBy};
use tollgate_common::id::{CallId, JobId, ModelAlias};
use tollgate_common::ledger::{CallEstimate, OutputShares, PromptWeight};
use tollgate_common::policy::{Route, RouteRefusal, Routes};
use tollgate_common::price::{FeeCounts, OutputKinds, ServiceTier, UnitPrices};
use tollgate_common::secret::Secret;
use tollgate_common::team::DisconnectPolicy;

use super::authenticate::Caller;
use super::downstream::Manners;
use super::forward::{Exchange, Target, UpstreamFailure, UpstreamReply};
use super::meter;
use super::plan::{Bounds, Plan, Try};
use super::reserve::OpenCall;
use super::wasted::{self, TryFailure};
use crate::chat::Untranslatable;
use crate::error::ApiError;
use crate::figures::CallFigures;
use crate::operation::Operation;
use crate::provider::{self, Encoded, Order, failure};
use crate::reply::Reply;
use crate::request::content::ModelFacts;
use crate::request::{CallRequest, Prompt};
use crate::services::Services;

/// A call on its way.
#[derive(Debug)]
pub(crate) struct Underway<'c> {
    pub(crate) services: &'c Services,
    pub(crate) caller: &'c Caller,
    pub(crate) operation: &'c Operation,
    pub(crate) request: &'c CallRequest<'c>,
    /// The name that callers know the model by.
    pub(crate) alias: &'c ModelAlias,
    /// At least one.
    pub(crate) candidates: &'c [Route<'c>],
    pub(crate) job_id: JobId,
    pub(crate) call_id: CallId,
    pub(crate) began_at: Timestamp,
    /// What administrators are told of it.
    pub(crate) figures: &'c CallFigures,
}

impl<'c> Underway<'c> {
    /// The name that the caller used.
    pub(crate) fn requested_model(&self) -> &str {
        let named = self.request.model.as_deref();
        named.unwrap_or(self.alias.as_str())
    }

    /// What the ledger is asked. It holds for the dearest of the models that may serve.
    pub(crate) fn begin(
        &self,
        opens: Option<OpenJob>,
        claim: Option<IdempotencyClaim>,
        cached: bool,
    ) -> BeginCall {
        let planned = self.candidates[0];
        BeginCall {
            id: self.call_id,
            job_id: self.job_id,
            opens: opens.map(Box::new),
            team_id: self.caller.team.id.clone(),
            key_id: self.caller.key_id.clone(),
            node_id: self.services.node_id,
            alias: self.alias.clone(),
            requested_model: self.requested_model().to_owned(),
            provider: planned.provider.name.clone(),
            upstream_model: planned.model.upstream_model.clone(),
            purpose: self.request.purpose.clone(),
            estimate: if cached {
                self.nothing()
            } else {
                self.worst_case()
            },
            price: planned.price().map(|price| Arc::clone(price.base())),
            streamed: self.request.stream,
            cached,
            metadata: self.request.call_metadata.clone(),
            metadata_bytes_max: self.services.config.metadata_bytes_max,
            claim,
            now: self.began_at,
        }
    }

    /// The dearest prices that any model may serve the request by; `None` if none has a price.
    fn dearest_unit(&self) -> Option<UnitPrices> {
        let units = self.candidates.iter().filter_map(|route| {
            let prompt_tokens_max = self.weight_for(route).total();
            // A model without the tier that is asked refuses the request by that field's name.
            let price = route.price()?;
            price.reachable(prompt_tokens_max, self.request.service_tier)
        });
        units.reduce(UnitPrices::max_per_bucket)
    }

    /// The service tier of an answer that does not tell its own.
    pub(crate) const fn untold_tier(&self) -> ServiceTier {
        self.request.service_tier.if_untold()
    }

    /// The longest answer of a model, as far as anyone knows.
    fn longest_answer(&self, route: &Route<'_>) -> i64 {
        let default = self.services.config.default_output_tokens_max;
        route.output_tokens_max().unwrap_or(default)
    }

    /// The completion tokens that the request may cause at one of the models that may serve it.
    fn output_shares(&self, route: &Route<'_>) -> OutputShares {
        let longest = self
            .candidates
            .iter()
            .map(|route| self.longest_answer(route));
        let longest = longest.max().unwrap_or(1);
        OutputShares {
            limit: self.request.max_tokens.unwrap_or(longest),
            limit_min: self.request.limit_min(),
            beside: self.output_beside(route),
            choices: self.request.choices,
        }
    }

    /// Tokens that the provider of a model may bill for each answer beside its limit.
    fn output_beside(&self, route: &Route<'_>) -> i64 {
        let longest = self.longest_answer(route);
        self.request.output_beside(route.provider.kind, longest)
    }

    /// The most that `tokens_of` says of any model that may serve; vectors have no tokens.
    fn output_tokens(&self, tokens_of: fn(OutputShares) -> i64) -> i64 {
        if matches!(self.request.prompt, Prompt::Embeddings(_)) {
            return 0;
        }
        let shares = self
            .candidates
            .iter()
            .map(|route| self.output_shares(route));
        shares.map(tokens_of).max().unwrap_or_default()
    }

    /// The completion tokens that the request may cause at most.
    fn output_tokens_max(&self) -> i64 {
        self.output_tokens(OutputShares::most)
    }

    /// The most that the prompt can weigh for one of the models that may serve.
    fn weight_for(&self, route: &Route<'_>) -> PromptWeight {
        self.request.ask.content.weight(ModelFacts {
            kind: route.provider.kind,
            upstream_model: &route.model.upstream_model,
            context_tokens_max: route.context_tokens_max(),
        })
    }

    /// The most that the prompt can weigh, of each kind of tokens, for any model that may serve.
    pub(crate) fn prompt_weight_max(&self) -> PromptWeight {
        let weights = self.candidates.iter().map(|route| self.weight_for(route));
        weights.fold(PromptWeight::default(), |most, weight| PromptWeight {
            text: most.text.max(weight.text),
            image: most.image.max(weight.image),
            audio: most.audio.max(weight.audio),
            cache_write_1h: most.cache_write_1h || weight.cache_write_1h,
        })
    }

    /// Kinds of output beside text that any of the models may give.
    fn output_kinds(&self) -> OutputKinds {
        let mut models = self
            .candidates
            .iter()
            .map(|route| &route.model.upstream_model);
        let asked = self.request.output_kinds;
        OutputKinds {
            // Some models answer in images without being asked to.
            image: asked.image || models.any(|name| name.contains("-image")),
            ..asked
        }
    }

    /// The billed calls that the request may cause at any of the models that may serve.
    fn fees_max(&self) -> FeeCounts {
        let fees = self
            .candidates
            .iter()
            .map(|route| self.request.fees_min(route));
        fees.fold(self.request.fees_max, FeeCounts::max)
    }

    fn worst_case(&self) -> CallEstimate {
        CallEstimate {
            prompt: self.prompt_weight_max(),
            output_tokens_max: self.output_tokens_max(),
            output_kinds: self.output_kinds(),
            fees_max: self.fees_max(),
            output_tokens_min: self.output_tokens(OutputShares::least),
            unit: self.dearest_unit(),
        }
    }

    fn nothing(&self) -> CallEstimate {
        CallEstimate {
            prompt: PromptWeight::default(),
            output_tokens_max: 1,
            output_kinds: OutputKinds::default(),
            fees_max: FeeCounts::NONE,
            output_tokens_min: 1,
            unit: self.dearest_unit(),
        }
    }

    /// About how many tokens the call takes from a limit of tokens per minute.
    pub(crate) fn tokens_estimate(&self) -> i64 {
        self.request
            .weight
            .total()
            .saturating_add(self.output_tokens_max())
    }

    /// The tries of this call, for the longest time that a model has which may serve it.
    pub(crate) fn plan(&self) -> Plan<'c> {
        let config = &self.services.config;
        let usual = config.upstream_total_timeout;
        let times = self.candidates.iter().map(|route| route.model.timeout);
        let times = times.map(|own| own.unwrap_or(usual));
        let time = times.max().unwrap_or(usual);
        let bounds = Bounds {
            tries_max: config.tries_max,
            pause_max: config.retry_pause_max,
            deadline: Instant::now() + time,
        };
        Plan::new(
            &self.caller.snapshot,
            &self.caller.team.id,
            self.candidates,
            bounds,
            &*self.services.random,
            &self.services.alerts,
        )
    }

    /// The request in the dialect of the provider that is tried.
    pub(crate) fn encode(
        &self,
        attempt: &Try<'_>,
        call: &OpenCall,
    ) -> Result<Encoded, Untranslatable> {
        let model = attempt.route.model;
        let order = Order {
            upstream_model: &model.upstream_model,
            output_tokens_max: self.output_tokens_of(attempt, call),
            thoughts_max: self.thoughts_of(attempt, call),
            stream: self.request.stream,
        };
        provider::encode(attempt.route.provider.kind, self.request, order)
    }

    /// The longest answer that a model is asked for, if anyone limits it. Providers refuse limits
    /// above their own, so a limit that the caller did not mean for this model is lowered.
    fn output_tokens_of(&self, attempt: &Try<'_>, call: &OpenCall) -> Option<i64> {
        let model = attempt.route.model;
        let paid_for = call
            .output_tokens_max()
            .map(|total| self.output_shares(&attempt.route).limit_within(total));
        let asked = paid_for.or(self.request.max_tokens)?;
        let is_meant = self.request.max_tokens.is_some() && model.alias == *self.alias;
        let own = attempt.route.output_tokens_max().filter(|_| !is_meant);
        Some(own.map_or(asked, |own| asked.min(own)))
    }

    /// The budget of thoughts that the request asks for without one, if they are paid for.
    fn thoughts_of(&self, attempt: &Try<'_>, call: &OpenCall) -> Option<i64> {
        let _is_held = call.output_tokens_max()?;
        let longest = self.longest_answer(&attempt.route);
        self.request.ask.thoughts.budget_to_send(longest)
    }

    /// What the provider of a try can count for this request.
    pub(crate) fn usage_bounds(&self, attempt: &Try<'_>, call: &OpenCall) -> meter::Bounds {
        let model = attempt.route.model;
        let output_held = call
            .output_tokens_max()
            .unwrap_or_else(|| self.output_tokens_max());
        let beside = self.output_beside(&attempt.route);
        let with_beside = |limit: Option<i64>| limit.map(|limit| limit.saturating_add(beside));
        meter::Bounds {
            prompt_held: self.weight_for(&attempt.route),
            prompt_max: self.request.ask.content.weight(ModelFacts {
                kind: attempt.route.provider.kind,
                upstream_model: &model.upstream_model,
                // Catalogues may be older than the model.
                context_tokens_max: None,
            }),
            prompt_estimated: self.request.weight,
            fees_held: self.fees_max(),
            fees_min: self.request.fees_min(&attempt.route),
            output_held,
            output_limit: with_beside(self.output_tokens_of(attempt, call)),
            model_output_max: with_beside(attempt.route.output_tokens_max()),
            choices: self.request.choices,
            inputs: self.request.ask.content.inputs(),
        }
    }

    /// A try has failed: what its provider has counted all the same is the operator's cost.
    pub(crate) fn note_failed(
        &self,
        plan: &mut Plan<'c>,
        attempt: Try<'c>,
        call: &OpenCall,
        failed: TryFailure,
    ) {
        let bounds = self.usage_bounds(&attempt, call);
        let counted = failed.counted;
        let counted = counted.map(|counted| Box::new(meter::usage_of_failure(*counted, &bounds)));
        plan.failed(attempt, failed.failure, counted);
    }

    /// An answer of this try that its caller does not wait for.
    pub(crate) fn broken_off<'a>(
        &'a self,
        attempt: &Try<'a>,
        call: &OpenCall,
    ) -> meter::BrokenOff<'a> {
        meter::BrokenOff {
            kind: attempt.route.provider.kind,
            upstream_model: &attempt.route.model.upstream_model,
            request: self.request,
            bounds: self.usage_bounds(attempt, call),
        }
    }

    /// Whether credits limit the answer more than the caller does.
    pub(crate) const fn is_cut_by_credits(call: &OpenCall) -> bool {
        call.limited_by().is_some()
    }

    /// Sends a request. Anything but a 200 is a failure.
    pub(crate) async fn open(
        &self,
        route: Route<'_>,
        key: &Secret,
        request: &Encoded,
    ) -> Result<Exchange<'c>, TryFailure> {
        let target = Target {
            base_url: &route.provider.base_url,
            kind: route.provider.kind,
            key,
            stream: self.request.stream,
            request,
        };
        self.figures.asks(&route.provider.name);
        // Boxed, because connecting needs much memory for a short time only.
        let exchange = Box::pin(self.services.forwarder.open(target)).await?;
        if exchange.status == 200 {
            return Ok(exchange);
        }
        let (status, retry_after) = (exchange.status, exchange.retry_after);
        let reply = match exchange.read_whole().await {
            Ok(reply) => reply,
            // No answer that anybody has to pay for is larger than is taken here.
            Err(UpstreamFailure::TooLarge { .. }) => UpstreamReply {
                status,
                retry_after,
                body: Bytes::new(),
            },
            Err(failure) => return Err(failure.into()),
        };
        Err(TryFailure {
            failure: failure::failure(&reply, self.scrub(route, key)),
            counted: provider::counted_in(route.provider.kind, &reply.body).map(Box::new),
        })
    }

    /// What an answer with status 200 means that could not be read: some providers tell errors so.
    pub(crate) fn failure_in(
        &self,
        attempt: &Try<'_>,
        body: &[u8],
        failure: UpstreamFailure,
    ) -> TryFailure {
        let scrub = self.scrub(attempt.route, attempt.key);
        TryFailure {
            failure: failure::in_body(body, scrub).unwrap_or(failure),
            counted: provider::counted_in(attempt.route.provider.kind, body).map(Box::new),
        }
    }

    fn scrub<'a>(&'a self, route: Route<'a>, key: &'a Secret) -> failure::Scrub<'a> {
        failure::Scrub {
            key,
            host: route.provider.base_url.host(),
            upstream_model: &route.model.upstream_model,
            alias: self.alias.as_str(),
        }
    }

    /// Whether the work ends when the caller leaves.
    pub(crate) fn ends_with_caller(&self) -> bool {
        self.caller.team.disconnect == DisconnectPolicy::Cancel
    }

    /// How the caller of a stream is dealt with.
    pub(crate) fn manners(&self) -> Manners {
        let config = &self.services.config;
        Manners {
            heartbeat: config.stream_heartbeat,
            drain: (!self.ends_with_caller()).then_some(config.stream_drain),
            held_up_max: config.stream_total_timeout,
        }
    }

    /// From the caller's request until now.
    pub(crate) fn latency_ms(&self) -> i64 {
        let passed = self.services.clock.now().since(self.began_at);
        i64::try_from(passed.as_millis()).unwrap_or(i64::MAX)
    }

    /// The headers that every answer to a call has.
    pub(crate) fn with_headers(&self, reply: Reply) -> Reply {
        let job_id = self.job_id.to_string();
        reply
            .with("x-tollgate-call-id", &self.call_id.to_string())
            .with("x-tollgate-job-id", &job_id)
            .with("x-job-id", &job_id)
    }

    /// What the caller is told of a call that was given up.
    pub(crate) fn refusal(&self, failure: UpstreamFailure) -> Reply {
        self.with_headers(Reply::error(
            &ApiError::Upstream(failure),
            self.operation.dialect(),
        ))
    }
}

/// Leaves the models that may serve a team's call. Where cost matters, those with a price
/// serve one that has a price; one that has none is refused by the ledger, whoever could stand in.
pub(crate) fn payable<'p>(
    caller: &Caller,
    mut routes: Routes<'p>,
) -> Result<Routes<'p>, RouteRefusal> {
    if caller.team.terms.needs_price() {
        let mut own = routes.candidates.iter();
        let own = own.find(|route| route.model.alias == routes.public.alias);
        let wanted = own.map_or_else(
            || routes.public.price().is_some(),
            |route| route.price().is_some(),
        );
        routes
            .candidates
            .retain(|route| route.price().is_some() == wanted);
    }
    if routes.candidates.is_empty() {
        let provider = routes.public.provider.clone();
        return Err(RouteRefusal::NoCredentials { provider });
    }
    Ok(routes)
}

/// Leaves the models whose providers may be sent every field of a request at a price that is known.
pub(crate) fn accepting<'p>(
    request: &CallRequest<'_>,
    mut routes: Routes<'p>,
) -> Result<Routes<'p>, ApiError> {
    let mut refusal = None;
    routes.candidates.retain(|route| {
        let checked = request.check_demands(route);
        match checked {
            Ok(()) => true,
            Err(why) => {
                refusal.get_or_insert(why);
                false
            }
        }
    });
    match refusal {
        Some(why) if routes.candidates.is_empty() => {
            Err(ApiError::Upstream(UpstreamFailure::Untranslatable(why)))
        }
        _ => Ok(routes),
    }
}

/// Notes in the result who served, and which tries failed before.
pub(crate) fn note_service(
    result: &mut CallResult,
    underway: &Underway<'_>,
    attempt: &Try<'_>,
    plan: &mut Plan<'_>,
) {
    result.failed_attempts = plan.take_failed();
    wasted::note_cost(result, &plan.take_wasted(), underway);
    if !attempt.is_planned() {
        let model = attempt.route.model;
        result.served_by = Some(ServedBy {
            provider: attempt.route.provider.name.clone(),
            upstream_model: model.upstream_model.clone(),
        });
    }
}
