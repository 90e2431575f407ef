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
use tollgate_common::db::work::{OpenJob, Replay};
use tollgate_common::id::{CallId, JobId};
use tollgate_common::ledger::LimitedBy;
use tollgate_common::metadata::Metadata;
use tollgate_common::policy::Routes;

use crate::api;
use crate::connections::{note_header_complete, note_request_complete};
use crate::context::Context;
use crate::error::ApiError;
use crate::figures::CallFigures;
use crate::limits::Grant;
use crate::operation::{Dialect, Home, Operation};
use crate::reply::Reply;
use crate::request::CallRequest;
use crate::services::Services;
use crate::steps::admit::admit;
use crate::steps::authenticate::{Caller, authenticate};
use crate::steps::look_up::{Found, look_up};
use crate::steps::receive::{self, BodyLimits};
use crate::steps::reserve::{OpenCall, Reserved, reserve};
use crate::steps::underway::{Underway, accepting, payable};
use crate::steps::{streamed, whole};

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
        note_header_complete();
        if session.is_body_empty() {
            note_request_complete();
        }
        context.identify(session, &self.services);
        let operation = Operation::of(session);
        let answered = match &operation {
            Some(operation) => self.call(session, context, operation).await,
            None => api::answer(&self.router, &self.services, session)
                .await
                .map(Some),
        };
        let dialect = Dialect::of_path(session.req_header().uri.path());
        let reply = answered.unwrap_or_else(|error| {
            self.services.figures.refused(error.code());
            Some(Reply::error(&error, dialect))
        });
        if let Some(reply) = reply {
            context.status = reply.status();
            let reply = self.finished(session, context, reply);
            reply.send(session).await?;
        }
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
        self.services.figures.request();
        context.log(session, error);
    }
}

impl Gateway {
    pub(crate) fn new(services: Arc<Services>) -> Self {
        let router = api::router(services.clone());
        Self { services, router }
    }

    /// Adds what every answer has, streamed or not.
    fn finished(&self, session: &mut Session, context: &Context, reply: Reply) -> Reply {
        if self.services.drain.is_draining() {
            session.set_keepalive(None);
        }
        let reply = api::cors::allow(&self.services, session, reply);
        let reply = reply.with("x-request-id", &context.request_id);
        reply.with("request-id", &context.request_id)
    }

    /// The story of an LLM call. Nothing is returned if the answer was streamed.
    async fn call(
        &self,
        session: &mut Session,
        context: &mut Context,
        operation: &Operation,
    ) -> Result<Option<Reply>, ApiError> {
        let services = &*self.services;
        let began_at = services.clock.now();
        let snapshot = services.policy.current();
        let headers = session.req_header().headers.clone();
        services.policy.require_fresh()?;
        let caller = authenticate(snapshot, &headers, began_at)?;
        services.figures.accepted(&caller.key_id, began_at);
        context.team_id = Some(caller.team.id.clone());
        caller.require_active(began_at)?;
        receive::require_json(&headers)?;
        let body = receive::read_body(session, self.call_limits()).await?;
        let (home, request) = operation.parse(&headers, &body, &services.config)?;
        let path = session.req_header().uri.path();
        let claim = receive::claim(&headers, caller.first_key_id(), path, &body)?;
        let opening = self.opening(&caller, home, began_at)?;
        context.job_id = Some(opening.job_id());
        let routes = self
            .route(&caller, operation, &opening, &request, began_at)
            .await?;
        let call_id = CallId::new(began_at, &*services.random);
        let job_id = opening.job_id();
        let figures = Arc::new(CallFigures::new(
            (call_id, job_id),
            caller.team.id.clone(),
            routes.public.alias.clone(),
            began_at,
            request.stream,
        ));
        let underway = Underway {
            services,
            caller: &caller,
            operation,
            request: &request,
            alias: &routes.public.alias,
            candidates: &routes.candidates,
            job_id,
            call_id,
            began_at,
            figures: &figures,
        };
        let tokens = underway.tokens_estimate();
        let grant = admit(&*services.limits, &caller, tokens, began_at).await?;
        let found = look_up(&underway, &headers).await?;
        let is_cached = matches!(found, Found::Hit(_));
        let work = underway.begin(opening.into_work(), claim, is_cached);
        match reserve(&services.writer, work).await? {
            Reserved::Replay(replay) => self.replay(operation, &request, &replay).map(Some),
            Reserved::Open(call) => {
                context.call_id = Some(underway.call_id);
                let _told = services.figures.enter(&figures);
                Ok(self
                    .carry_out(session, context, &underway, call, grant, found)
                    .await)
            }
        }
    }

    /// Answers a call that is on record: from the cache, piece by piece, or as a whole.
    async fn carry_out(
        &self,
        session: &mut Session,
        context: &mut Context,
        underway: &Underway<'_>,
        call: OpenCall,
        grant: Grant,
        found: Found,
    ) -> Option<Reply> {
        let limit_headers = grant.status().headers();
        let with_limits = |reply: Reply| {
            limit_headers
                .iter()
                .fold(reply, |reply, (name, value)| reply.with(name, value))
        };
        let cache_word = found.word();
        let limited_by = call.limited_by().map(LimitedBy::as_str);
        let with_limits = |reply: Reply| match limited_by {
            Some(word) => with_limits(reply).with("x-tollgate-limited-by", word),
            None => with_limits(reply),
        };
        let (reply, tokens) = match found {
            Found::Hit(cached) => (Some(whole::answer_cached(underway, call, &cached).await), 0),
            _ if underway.request.stream => {
                let head = with_limits(underway.with_headers(Reply::events(Bytes::new())));
                let head = head.with("x-tollgate-cache", cache_word);
                let memory = &underway.services.recording_memory;
                let recording = call.claim().and_then(|_| memory.begin());
                let head = if call.claim().is_some() && recording.is_none() {
                    head.with("x-tollgate-idempotency", "not recorded")
                } else {
                    head
                };
                let head = self.finished(session, context, head);
                context.status = head.status();
                // Boxed, so that only streams need the memory of one.
                Box::pin(streamed::carry_out(
                    underway,
                    call,
                    session,
                    (head, recording),
                ))
                .await
            }
            found => {
                let keep = match found {
                    Found::Miss(keep) => Some(keep),
                    _ => None,
                };
                let (reply, tokens) = whole::carry_out(underway, call, session, keep).await;
                (Some(reply), tokens)
            }
        };
        grant.settle(tokens);
        Some(with_limits(reply?).with("x-tollgate-cache", cache_word))
    }

    /// The job that the call belongs to, or how it is opened.
    fn opening(&self, caller: &Caller, home: Home, now: Timestamp) -> Result<Opening, ApiError> {
        match home {
            Home::Open(job_id) => Ok(Opening::Known(job_id)),
            Home::Own(spec) => {
                spec.require_team_of(caller)?;
                let id = JobId::new(now, &*self.services.random);
                Ok(Opening::New(Box::new(
                    spec.into_work(caller, id, true, None, now),
                )))
            }
        }
    }

    /// Finds where the call goes. Before saying that it goes nowhere, an open job is looked up: its
    /// absence is the more important news. A job that was to be created with the call is recorded
    /// as failed.
    async fn route<'c>(
        &self,
        caller: &'c Caller,
        operation: &Operation,
        opening: &Opening,
        request: &CallRequest<'_>,
        now: Timestamp,
    ) -> Result<Routes<'c>, ApiError> {
        let policy = &caller.snapshot.policy;
        let random = &*self.services.random;
        let found = policy.route(&caller.team, request.model.as_deref(), random);
        let payable = found.and_then(|routes| payable(caller, routes));
        let accepted = payable.map_err(ApiError::Route);
        let refusal = match accepted.and_then(|routes| accepting(request, routes)) {
            Ok(routes) => return Ok(routes),
            Err(refusal) => refusal,
        };
        // Who asks for what is not there is counted too: each refusal may write a job.
        drop(admit(&*self.services.limits, caller, request.weight.total(), now).await?);
        match opening {
            Opening::Known(job_id) => {
                api::job::find_own(&self.services, caller, *job_id).await?;
            }
            Opening::New(work)
                if operation.records_refusals()
                    && self.services.refusals.may_record(&caller.team.id, now) =>
            {
                let failed = Some(refusal.detail());
                let work = OpenJob {
                    failed,
                    metadata: Metadata::default(),
                    ..(**work).clone()
                };
                self.services.writer.open_job(work).await?;
            }
            Opening::New(_) => {}
        }
        Err(refusal)
    }

    /// Opens the stored answer to the same request.
    fn replay(
        &self,
        operation: &Operation,
        request: &CallRequest<'_>,
        replay: &Replay,
    ) -> Result<Reply, ApiError> {
        let answer = self
            .services
            .policy
            .sealing_key()
            .open(&replay.sealed_answer, replay.claim.sealed_at());
        let answer = answer.map_err(|error| ApiError::Internal(error.to_string()))?;
        let body = Bytes::copy_from_slice(answer.expose().as_bytes());
        let shown = if request.stream {
            Reply::events(body)
        } else {
            Reply::json(whole::close(operation, body, Some(&replay.job)))
        };
        // Not every answer names its call in its body.
        let shown = match replay.call_id {
            Some(call_id) => shown.with("x-tollgate-call-id", &call_id.to_string()),
            None => shown,
        };
        let job_id = replay.job.id.to_string();
        Ok(shown
            .with("idempotent-replayed", "true")
            .with("x-tollgate-job-id", &job_id)
            .with("x-job-id", &job_id))
    }

    fn call_limits(&self) -> BodyLimits {
        BodyLimits {
            bytes_max: self.services.config.call_body_bytes_max,
            timeout: self.services.config.body_read_timeout,
        }
    }
}

/// The job of a call before the call is on record.
#[derive(Debug)]
enum Opening {
    /// It is open, or so its caller says.
    Known(JobId),
    /// It is opened with the call.
    New(Box<OpenJob>),
}

impl Opening {
    fn job_id(&self) -> JobId {
        match self {
            Self::Known(id) => *id,
            Self::New(work) => work.id,
        }
    }

    fn into_work(self) -> Option<OpenJob> {
        match self {
            Self::Known(_) => None,
            Self::New(work) => Some(*work),
        }
    }
}
