//! The path of a request, from the socket to the ledger and back.
//!
//! Pingora frames the request; `request_filter` answers it. An LLM call takes the steps of
//! [`Gateway::call`], in this order; everything else is answered by the router of `api`.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use pingora::modules::http::HttpModules;
use pingora::proxy::{ProxyHttp, Session};
use pingora::upstreams::peer::HttpPeer;
use tollgate_common::clock::Timestamp;
use tollgate_common::db::work::{BeginCall, IdempotencyClaim};
use tollgate_common::id::{CallId, JobId};
use tollgate_common::job::Job;
use tollgate_common::ledger::CallEstimate;
use tollgate_common::policy::Route;

use crate::answer::{Answer, envelope};
use crate::api;
use crate::context::Context;
use crate::error::ApiError;
use crate::provider::{self, Order, failure};
use crate::reply::Reply;
use crate::request::CallRequest;
use crate::services::Services;
use crate::steps::authenticate::{Caller, authenticate};
use crate::steps::forward::{Target, UpstreamFailure, UpstreamReply};
use crate::steps::receive::{self, BodyLimits};
use crate::steps::reserve::{OpenCall, Reserved, reserve};
use crate::steps::{meter, settle};

/// Answers requests.
#[derive(Debug)]
pub(crate) struct Gateway {
    services: Arc<Services>,
    router: axum::Router,
}

#[async_trait]
impl ProxyHttp for Gateway {
    type CTX = Context;

    fn new_ctx(&self) -> Context {
        Context::new(&self.services.drain)
    }

    fn init_downstream_modules(&self, _modules: &mut HttpModules) {}

    async fn request_filter(
        &self,
        session: &mut Session,
        context: &mut Context,
    ) -> pingora::Result<bool> {
        context.identify(session, &self.services);
        let answered = match call_path(session) {
            Some(job) => self.call(session, context, &job).await,
            None => api::answer(&self.router, &self.services, session).await,
        };
        let reply = answered.unwrap_or_else(|error| Reply::error(&error));
        context.status = reply.status();
        let reply = api::cors::allow(&self.services, session, reply);
        if self.services.drain.is_draining() {
            session.set_keepalive(None);
        }
        reply
            .with("x-request-id", &context.request_id)
            .send(session)
            .await?;
        receive::discard_rest(session).await;
        Ok(true)
    }

    /// Every request is answered by the filter above, which also takes calls to their providers: an
    /// answer is settled before it is shown, and its status is known before it is sent. Pingora's
    /// own way to an upstream would have sent the header by then.
    async fn upstream_peer(
        &self,
        _session: &mut Session,
        _context: &mut Context,
    ) -> pingora::Result<Box<HttpPeer>> {
        pingora::Error::e_explain(
            pingora::ErrorType::InternalError,
            "no request is passed through",
        )
    }

    async fn logging(
        &self,
        session: &mut Session,
        error: Option<&pingora::Error>,
        context: &mut Context,
    ) {
        context.log(session, error);
    }
}

/// The job's id, as the caller wrote it, if the request is an LLM call.
fn call_path(session: &Session) -> Option<String> {
    let header = session.req_header();
    let rest = header.uri.path().strip_prefix("/api/jobs/")?;
    let job = rest
        .strip_suffix("/llm-call")
        .filter(|job| !job.contains('/'))?;
    (header.method == http::Method::POST).then(|| job.to_owned())
}

impl Gateway {
    pub(crate) fn new(services: Arc<Services>) -> Self {
        let router = api::router(services.clone());
        Self { services, router }
    }

    /// The story of an LLM call.
    async fn call(
        &self,
        session: &mut Session,
        context: &mut Context,
        job_text: &str,
    ) -> Result<Reply, ApiError> {
        let began_at = self.services.clock.now();
        let snapshot = self.services.policy.current();
        let caller = authenticate(snapshot, &session.req_header().headers, began_at)?;
        context.team_id = Some(caller.team.id.clone());
        caller.require_active(began_at)?;
        receive::require_json(&session.req_header().headers)?;
        let body = receive::read_body(session, self.call_limits()).await?;
        let job_id = api::job::parse_id(job_text)?;
        context.job_id = Some(job_id);
        let request = CallRequest::parse(&body)?;
        let path = session.req_header().uri.path().to_owned();
        let headers = &session.req_header().headers;
        let claim = receive::claim(headers, &caller.key_id, &path, &body)?;
        let route = self.route(&caller, job_id, &request).await?;
        let call_id = CallId::new(began_at, &*self.services.random);
        context.call_id = Some(call_id);
        let work = self.begin(&caller, job_id, call_id, &request, route, claim, began_at);
        let reply = match reserve(&self.services.writer, work).await? {
            Reserved::Replay(sealed) => self.replay(&sealed)?,
            Reserved::Open(call) => {
                self.carry_out(&caller, route, &request, call, call_id, began_at)
                    .await?
            }
        };
        Ok(reply.with("x-tollgate-job-id", &job_id.to_string()))
    }

    /// Sends a call that is on record, and settles it whatever happens.
    async fn carry_out(
        &self,
        caller: &Caller,
        route: Route<'_>,
        request: &CallRequest<'_>,
        call: OpenCall,
        call_id: CallId,
        began_at: Timestamp,
    ) -> Result<Reply, ApiError> {
        let writer = &self.services.writer;
        let order = Order {
            upstream_model: &route.model.upstream_model,
            output_tokens_max: call.output_tokens_max().or(request.max_tokens),
            stream: false,
        };
        let json = provider::encode(route.provider.kind, request, order)
            .map_err(|refusal| ApiError::field(&refusal.field, refusal.message))?;
        let answered = self.forward(caller, route, json.body).await;
        let ended_at = self.services.clock.now();
        let latency_ms = millis_between(began_at, ended_at);
        let decoded = answered
            .as_ref()
            .map_err(Clone::clone)
            .and_then(|r| provider::decode(route.provider.kind, &r.body));
        let completion = match decoded {
            Ok(completion) => completion,
            Err(failure) => {
                tracing::warn!(%call_id, provider = %route.provider.name, reason = failure.for_operators(), "LLM call failed");
                settle::fail(writer, call, &failure, latency_ms, ended_at).await;
                return Ok(
                    Reply::error(&failure.into()).with("x-tollgate-call-id", &call_id.to_string())
                );
            }
        };
        let usage = meter::usage_of(&completion, request.input_tokens);
        let mut result = meter::result_of(usage, call.price(), call.terms(), latency_ms);
        result.finish_reason = completion
            .choices
            .first()
            .map(|c| c.finish_reason.word().to_owned());
        let answer = Answer {
            call_id,
            alias: route.model.alias.as_str(),
            requested_model: requested_model(request, route),
            usage: result.usage,
            latency_ms,
            created_at: began_at,
        };
        let answer = envelope::write(&answer, &completion);
        let sealed = call.claim().map(|_| self.seal(&answer));
        settle::succeed(writer, call, result, sealed, ended_at).await;
        Ok(Reply::json(answer).with("x-tollgate-call-id", &call_id.to_string()))
    }

    /// Takes the request to the provider and back. Anything but a 200 is a failure.
    async fn forward(
        &self,
        caller: &Caller,
        route: Route<'_>,
        json: Bytes,
    ) -> Result<UpstreamReply, UpstreamFailure> {
        let key = caller.snapshot.key_of(route.provider);
        let key = key.ok_or_else(|| UpstreamFailure::Invalid {
            reason: "no key".to_owned(),
        })?;
        let target = Target {
            base_url: &route.provider.base_url,
            endpoint: "/chat/completions",
            key,
        };
        let reply = self.services.forwarder.post(target, json).await?;
        if reply.status == 200 {
            return Ok(reply);
        }
        let scrub = failure::Scrub {
            key,
            host: route.provider.base_url.host(),
            upstream_model: &route.model.upstream_model,
            alias: route.model.alias.as_str(),
        };
        Err(failure::failure(&reply, scrub))
    }

    /// Finds where the call goes. Before saying that it goes nowhere, the job is looked up: its
    /// absence is the more important news.
    async fn route<'c>(
        &self,
        caller: &'c Caller,
        job_id: JobId,
        request: &CallRequest<'_>,
    ) -> Result<Route<'c>, ApiError> {
        match caller
            .snapshot
            .policy
            .route(&caller.team, request.model.as_deref())
        {
            Ok(route) => Ok(route),
            Err(refusal) => {
                api::job::find_own(&self.services, caller, job_id)
                    .await
                    .map(|_: Job| ())?;
                Err(refusal.into())
            }
        }
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "a call's record has that many sources"
    )]
    fn begin(
        &self,
        caller: &Caller,
        job_id: JobId,
        call_id: CallId,
        request: &CallRequest<'_>,
        route: Route<'_>,
        claim: Option<IdempotencyClaim>,
        now: Timestamp,
    ) -> BeginCall {
        let config = &self.services.config;
        let price = route.model.price();
        let model_max = route
            .model
            .output_tokens_max()
            .unwrap_or(config.default_output_tokens_max);
        let estimate = CallEstimate {
            input_tokens: request.input_tokens,
            output_tokens_max: request.max_tokens.unwrap_or(model_max),
            unit: price.as_ref().map(|price| price.unit),
        };
        BeginCall {
            id: call_id,
            job_id,
            team_id: caller.team.id.clone(),
            key_id: caller.key_id.clone(),
            node_id: self.services.node_id,
            alias: route.model.alias.clone(),
            requested_model: requested_model(request, route).to_owned(),
            provider: route.provider.name.clone(),
            upstream_model: route.model.upstream_model.clone(),
            purpose: request.purpose.clone(),
            estimate,
            price,
            metadata: request.call_metadata.clone(),
            metadata_bytes_max: config.metadata_bytes_max,
            claim,
            now,
        }
    }

    fn seal(&self, answer: &Bytes) -> String {
        let key = self.services.policy.sealing_key();
        key.seal(&String::from_utf8_lossy(answer), &*self.services.random)
    }

    /// Opens the stored answer to the same request.
    fn replay(&self, sealed: &str) -> Result<Reply, ApiError> {
        let answer = self.services.policy.sealing_key().open(sealed);
        let answer = answer.map_err(|error| ApiError::Internal(error.to_string()))?;
        let body = Bytes::copy_from_slice(answer.expose().as_bytes());
        Ok(Reply::json(body).with("idempotent-replayed", "true"))
    }

    fn call_limits(&self) -> BodyLimits {
        BodyLimits {
            bytes_max: self.services.config.call_body_bytes_max,
            timeout: self.services.config.body_read_timeout,
        }
    }
}

fn requested_model<'a>(request: &'a CallRequest<'_>, route: Route<'a>) -> &'a str {
    request
        .model
        .as_deref()
        .unwrap_or(route.model.alias.as_str())
}

fn millis_between(from: Timestamp, to: Timestamp) -> i64 {
    i64::try_from(to.since(from).as_millis()).unwrap_or(i64::MAX)
}
