//! A call whose answer is given as a whole: nothing is shown before it is settled.

use std::time::{Duration, Instant};

use bytes::Bytes;
use pingora::proxy::Session;
use tollgate_common::db::work::CallResult;
use tollgate_common::job::{CallState, Job};
use tollgate_common::price::ServiceTier;
use tollgate_common::provider::ProviderKind;

use super::downstream::{Gone, while_there};
use super::forward::UpstreamFailure;
use super::meter::Metered;
use super::plan::{Plan, Try};
use super::reserve::OpenCall;
use super::underway::{Underway, note_service};
use super::wasted::TryFailure;
use super::{meter, settle};
use crate::answer::{Answer, completions, embeddings, envelope, messages, single};
use crate::cache::CacheKey;
use crate::chat::{Choice, Completion, FinishReason};
use crate::error::ApiError;
use crate::operation::Operation;
use crate::provider::failure::Phase;
use crate::provider::{self, Encoded};
use crate::reply::Reply;
use crate::request::{CallRequest, Prompt};

/// What a provider answered, read.
#[derive(Debug)]
enum Decoded<'a> {
    Completion(Completion<'a>),
    Embeddings(embeddings::Embeddings<'a>),
}

impl<'a> Decoded<'a> {
    fn read(
        kind: ProviderKind,
        request: &CallRequest<'_>,
        body: &'a [u8],
    ) -> Result<Self, UpstreamFailure> {
        match &request.prompt {
            Prompt::Embeddings(_) => embeddings::decode(body).map(Self::Embeddings),
            _ => provider::decode(kind, body).map(Self::Completion),
        }
    }
}

impl Decoded<'_> {
    /// Whether an answer ends at the limit of its length.
    fn is_cut(&self) -> bool {
        let is_cut = |choice: &Choice<'_>| {
            matches!(
                choice.finish_reason,
                FinishReason::Length | FinishReason::Foreign(_)
            )
        };
        match self {
            Self::Completion(completion) => completion.choices.iter().any(is_cut),
            Self::Embeddings(_) => false,
        }
    }
}

/// Where an answer may be kept for others that ask the same, and for how long.
#[derive(Debug)]
pub(crate) struct Keep {
    pub(crate) key: CacheKey,
    pub(crate) ttl: Duration,
}

/// Sends a call that is on record, and settles it whatever happens.
pub(crate) async fn carry_out(
    underway: &Underway<'_>,
    call: OpenCall,
    session: &mut Session,
    keep: Option<Keep>,
) -> (Reply, i64) {
    let services = underway.services;
    let mut plan = underway.plan();
    loop {
        let next = plan.next(&services.breakers, &*services.random);
        let Some(attempt) = underway.figures.waiting(next).await else {
            break;
        };
        let encoded = match underway.encode(&attempt, &call) {
            Ok(encoded) => encoded,
            Err(refusal) => {
                plan.skipped(&attempt, refusal);
                continue;
            }
        };
        let deadline = plan.deadline_of(&attempt);
        let exchange = exchange(underway, session, &attempt, &encoded, deadline);
        let body = match underway.figures.waiting(exchange).await {
            Ok(body) => body,
            Err(TryFailure { failure, counted }) => match failure {
                UpstreamFailure::CallerGone => {
                    let tokens = settle::abandon(underway, call, plan, Some(attempt)).await;
                    return (underway.refusal(failure), tokens);
                }
                UpstreamFailure::TooLarge { .. } => {
                    let tokens = settle::exceed(underway, call, plan, attempt, &failure).await;
                    return (underway.refusal(failure), tokens);
                }
                failure => {
                    let failed = TryFailure { failure, counted };
                    underway.note_failed(&mut plan, attempt, &call, failed);
                    continue;
                }
            },
        };
        match Decoded::read(attempt.route.provider.kind, underway.request, &body) {
            Ok(decoded) => {
                let is_cut = decoded.is_cut() && Underway::is_cut_by_credits(&call);
                // What only the lack of credits cut short is not the answer for another day.
                if let Some(keep) = keep.filter(|_| !is_cut) {
                    services
                        .cache
                        .put(keep.key, cached_form(&attempt, &body), keep.ttl)
                        .await;
                }
                return answer(underway, call, plan, attempt, &decoded).await;
            }
            Err(failure) => {
                let failed = underway.failure_in(&attempt, &body, failure);
                underway.note_failed(&mut plan, attempt, &call, failed);
            }
        }
    }
    let failure = settle::fail(underway, call, plan).await;
    (underway.refusal(failure), 0)
}

/// One try, bounded in time, and by the caller's presence if its team wants that.
async fn exchange(
    underway: &Underway<'_>,
    session: &mut Session,
    attempt: &Try<'_>,
    encoded: &Encoded,
    deadline: Instant,
) -> Result<Bytes, TryFailure> {
    let work = Box::pin(async {
        let exchange = underway.open(attempt.route, attempt.key, encoded).await?;
        Ok(exchange.read_whole().await?.body)
    });
    let bounded = async {
        tokio::time::timeout_at(deadline.into(), work)
            .await
            .unwrap_or_else(|_| {
                let phase = Phase::Total;
                Err(UpstreamFailure::Timeout { phase }.into())
            })
    };
    if underway.ends_with_caller() {
        let left = |Gone| Err(UpstreamFailure::CallerGone.into());
        while_there(session, bounded).await.unwrap_or_else(left)
    } else {
        bounded.await
    }
}

/// Prices the answer, settles the call, then shows the answer.
async fn answer(
    underway: &Underway<'_>,
    call: OpenCall,
    mut plan: Plan<'_>,
    attempt: Try<'_>,
    decoded: &Decoded<'_>,
) -> (Reply, i64) {
    let bounds = underway.usage_bounds(&attempt, &call);
    let (metered, finish_reason) = match decoded {
        Decoded::Completion(completion) => (
            meter::usage_of(completion, &bounds),
            completion
                .choices
                .first()
                .map(|choice| choice.finish_reason.word().to_owned()),
        ),
        Decoded::Embeddings(vectors) => {
            let counted = vectors.counted();
            (meter::usage_of_embeddings(counted, &bounds), None)
        }
    };
    metered.report(underway.call_id);
    let price = (attempt.route.price(), underway.untold_tier());
    let mut result = meter::result_of(&metered, price, call.terms(), underway.latency_ms());
    result.finish_reason = finish_reason;
    note_service(&mut result, underway, &attempt, &mut plan);
    attempt.succeeded();
    let tokens = result.usage.total();
    let shown = Answer {
        call_id: underway.call_id,
        alias: underway.alias.as_str(),
        requested_model: underway.requested_model(),
        usage: result.usage,
        latency_ms: result.latency_ms,
        created_at: underway.began_at,
        is_cached: false,
    };
    let body = write(underway, &shown, decoded, &result);
    let settled = settle::settle(underway, call, CallState::Succeeded, result, Some(&body)).await;
    (
        underway.with_headers(Reply::json(close(
            underway.operation,
            body,
            settled.as_deref(),
        ))),
        tokens,
    )
}

/// Answers from the cache: the call is recorded, and uses nothing.
pub(crate) async fn answer_cached(
    underway: &Underway<'_>,
    call: OpenCall,
    cached: &Bytes,
) -> Reply {
    let read = |(kind, body)| Decoded::read(kind, underway.request, body).ok();
    let Some(decoded) = split_cached(cached).and_then(read) else {
        // Only answers that could be read are kept. Dropping the call settles it as failed.
        drop(call);
        let error = ApiError::Internal("a cached answer cannot be read".to_owned());
        return underway.with_headers(Reply::error(&error, underway.operation.dialect()));
    };
    let usage = Metered::nothing();
    let price = (underway.candidates[0].price(), ServiceTier::Standard);
    let result = meter::result_of(&usage, price, call.terms(), underway.latency_ms());
    let shown = Answer {
        call_id: underway.call_id,
        alias: underway.alias.as_str(),
        requested_model: underway.requested_model(),
        usage: result.usage,
        latency_ms: result.latency_ms,
        created_at: underway.began_at,
        is_cached: true,
    };
    let body = write(underway, &shown, &decoded, &result);
    let settled = settle::settle(underway, call, CallState::Succeeded, result, Some(&body)).await;
    let reply = Reply::json(close(underway.operation, body, settled.as_deref()));
    underway.with_headers(reply)
}

/// An answer as it is kept: the dialect in one byte, then the provider's bytes.
fn cached_form(attempt: &Try<'_>, body: &Bytes) -> Bytes {
    let kind = attempt.route.provider.kind.word();
    let mut form = Vec::with_capacity(body.len() + kind.len() + 1);
    form.extend_from_slice(kind.as_bytes());
    form.push(b'\n');
    form.extend_from_slice(body);
    form.into()
}

fn split_cached(form: &[u8]) -> Option<(ProviderKind, &[u8])> {
    let end = form.iter().position(|byte| *byte == b'\n')?;
    let kind = std::str::from_utf8(&form[..end]).ok()?.parse().ok()?;
    Some((kind, &form[end + 1..]))
}

/// The answer in the caller's dialect; that of a single-call job still lacks its end.
fn write(
    underway: &Underway<'_>,
    shown: &Answer<'_>,
    decoded: &Decoded<'_>,
    result: &CallResult,
) -> Bytes {
    let completion = match decoded {
        Decoded::Embeddings(vectors) => return embeddings::write(shown, vectors),
        Decoded::Completion(completion) => completion,
    };
    match underway.operation {
        Operation::SingleCall { .. } => single::write(shown, underway.job_id, completion, result),
        Operation::Messages => messages::write(shown, completion),
        Operation::Completions => completions::write(shown, completion),
        _ => envelope::write(shown, completion),
    }
}

/// What only the settled job knows is added to the answer of a single-call job.
pub(crate) fn close(operation: &Operation, body: Bytes, job: Option<&Job>) -> Bytes {
    match operation {
        Operation::SingleCall { .. } => single::close(&body, job),
        _ => body,
    }
}
