//! A call whose answer is given piece by piece, as the provider makes it.
//!
//! Until the first piece of the answer has come, another provider may be tried, and a refusal still
//! has its own status. The end of the stream is told after the call is settled.

use std::time::{Duration, Instant};

use bytes::Bytes;
use pingora::proxy::Session;
use tollgate_common::db::work::CallResult;
use tollgate_common::job::{CallState, Terms};
use tollgate_common::money::NanoUsd;
use tollgate_common::price::Usage;
use tollgate_common::provider::ProviderKind;

use super::downstream::{Downstream, Stop};
use super::forward::{Exchange, UpstreamFailure};
use super::meter::{self, BrokenOff, StreamMeter};
use super::plan::{Plan, Try};
use super::reserve::OpenCall;
use super::settle;
use super::underway::{Underway, note_service};
use super::wasted::TryFailure;
use crate::answer::{Answer, StreamWriter};
use crate::chat::{Chunk, Counted};
use crate::error::ApiError;
use crate::provider::ending::Progress;
use crate::provider::failure::Phase;
use crate::provider::{self, Encoded, StreamDecoder};
use crate::recording::Recording;
use crate::reply::Reply;
use crate::sse::Parser;

/// How long the provider may take to end the body after its last event, so that the connection can
/// be used again.
const TRAILER_MAX: Duration = Duration::from_millis(50);

/// How long the provider may take to tell the usage after the last words of the answer. Some
/// servers never tell it, and do not hang up either.
const LAST_WORDS_MAX: Duration = Duration::from_secs(10);

/// The time of a try, or of a stream, is over.
const LATE: UpstreamFailure = UpstreamFailure::Timeout {
    phase: Phase::Total,
};

/// A provider's stream.
struct Upstream<'f> {
    exchange: Exchange<'f>,
    parser: Parser,
    decoder: StreamDecoder,
    /// The answer of a provider that was asked for a stream and gave a whole.
    whole: Option<Bytes>,
    /// Whether all has been handed on.
    has_ended: bool,
}

impl Upstream<'_> {
    /// The next piece of the answer; nothing once it is complete.
    async fn next(
        &mut self,
        kind: ProviderKind,
    ) -> Result<Option<Chunk<'static>>, UpstreamFailure> {
        if self.has_ended {
            return Ok(None);
        }
        if !self.exchange.is_event_stream {
            self.has_ended = true;
            let Some(body) = self.whole.take() else {
                return Ok(None);
            };
            return match provider::decode(kind, &body) {
                Ok(whole) => Ok(Some(whole.into_chunk().into_owned())),
                Err(failure) => {
                    self.whole = Some(body);
                    Err(failure)
                }
            };
        }
        if let Some(chunk) = self.next_piece().await? {
            return Ok(Some(chunk));
        }
        self.has_ended = true;
        let end = self.decoder.finish();
        Ok((!end.is_empty()).then_some(end))
    }

    /// Whether at most the usage is missing, as far as one can tell.
    fn has_said_all(&self) -> bool {
        matches!(self.decoder.progress(), Progress::Likely | Progress::Ended)
    }

    /// The next piece of a stream of events; nothing once no more is to come.
    async fn next_piece(&mut self) -> Result<Option<Chunk<'static>>, UpstreamFailure> {
        let progress = self.decoder.progress();
        if matches!(progress, Progress::Open | Progress::Doubtful) {
            return self.next_event().await;
        }
        // Everything seems to have been said. What is missing is the usage at most, which can be
        // estimated, so that nothing that goes wrong from here on spoils the answer; but if it is
        // only likely that this was the end, a connection that breaks says that it was not.
        match tokio::time::timeout(LAST_WORDS_MAX, self.next_event()).await {
            Ok(Err(failure)) if progress == Progress::Likely => Err(failure),
            Ok(Ok(piece)) => Ok(piece),
            Ok(Err(_)) | Err(_) => Ok(None),
        }
    }

    async fn next_event(&mut self) -> Result<Option<Chunk<'static>>, UpstreamFailure> {
        loop {
            let event = self
                .parser
                .next()
                .map_err(|error| UpstreamFailure::TooLarge {
                    bytes_max: error.bytes_max,
                })?;
            if let Some(event) = event {
                let chunk = self.decoder.read(&event)?;
                if !chunk.is_empty() {
                    return Ok(Some(chunk.into_owned()));
                }
            } else if self.decoder.is_done() {
                return Ok(None);
            } else if let Some(piece) = self.exchange.next_piece().await? {
                self.parser.push(&piece);
            } else if self.decoder.progress().may_end() && !self.parser.is_mid_event() {
                return Ok(None);
            } else {
                let place = if self.parser.is_mid_event() {
                    "within"
                } else {
                    "after"
                };
                let reason = format!("the stream ended early, {place} an event");
                return Err(UpstreamFailure::Cut { reason });
            }
        }
    }

    /// Gives the connection back if the answer has been read to its end.
    async fn release(mut self) {
        let ended = tokio::time::timeout(TRAILER_MAX, self.exchange.next_piece()).await;
        if matches!(ended, Ok(Ok(None))) {
            self.exchange.release().await;
        }
    }
}

/// How a stream ended.
enum End {
    /// The provider has said everything.
    Complete,
    /// The caller has gone, and the rest is not waited for.
    Abandoned,
    /// The answer came to a limit of ours after a piece of it was shown: too large, or too long
    /// under way. A caller can bring that about, so that it pays for what came.
    Limited(UpstreamFailure),
    /// The provider failed after a piece of the answer was shown.
    Failed(UpstreamFailure),
}

/// Sends a call that is on record, relays its answer, and settles it whatever happens. Returns the
/// tokens that were used, and a reply if nothing has been shown.
pub(crate) async fn carry_out(
    underway: &Underway<'_>,
    call: OpenCall,
    session: &mut Session,
    (head, recording): (Reply, Option<Recording>),
) -> (Option<Reply>, i64) {
    let services = underway.services;
    let writer = StreamWriter::new(
        underway.operation.dialect(),
        underway.request.include_usage,
        &shown(underway),
    );
    let mut downstream = Downstream::new(session, head, writer.ping(), underway.manners());
    downstream.record(recording);
    let mut opening = underway.operation.begins_at_once().then(|| writer.ping());
    let mut plan = underway.plan();
    let deadline = plan.deadline();
    loop {
        let next = plan.next(&services.breakers, &*services.random);
        let next = underway
            .figures
            .waiting(downstream.wait(next, deadline))
            .await;
        let attempt = match next {
            Ok(Some(attempt)) => attempt,
            Ok(None) | Err(Stop::Late) => {
                return give_up(underway, call, plan, downstream, writer).await;
            }
            Err(Stop::Gone) => return abandon(underway, call, plan, None, &downstream).await,
        };
        let encoded = match underway.encode(&attempt, &call) {
            Ok(encoded) => encoded,
            Err(refusal) => {
                plan.skipped(&attempt, refusal);
                continue;
            }
        };
        if let Some(comment) = opening.take() {
            downstream.write(comment).await;
        }
        let begun = Box::pin(begin(underway, &attempt, &encoded));
        let begun = underway
            .figures
            .waiting(downstream.wait(begun, plan.deadline_of(&attempt)))
            .await;
        match begun {
            Ok(Ok((upstream, first))) => {
                drop(encoded);
                let served = Served {
                    plan,
                    attempt,
                    upstream,
                };
                // Boxed, because it lives long and the tries before it need its memory, too.
                return Box::pin(relay(underway, call, served, first, downstream, writer)).await;
            }
            Ok(Err(failed)) if matches!(failed.failure, UpstreamFailure::TooLarge { .. }) => {
                let failure = failed.failure;
                let tokens = settle::exceed(underway, call, plan, attempt, &failure).await;
                return (refuse(underway, failure, downstream, writer).await, tokens);
            }
            Ok(Err(failed)) => underway.note_failed(&mut plan, attempt, &call, failed),
            Err(Stop::Late) => plan.failed(attempt, LATE, None),
            Err(Stop::Gone) => {
                return abandon(underway, call, plan, Some(attempt), &downstream).await;
            }
        }
    }
}

fn shown<'u>(underway: &'u Underway<'_>) -> Answer<'u> {
    Answer {
        call_id: underway.call_id,
        alias: underway.alias.as_str(),
        requested_model: underway.requested_model(),
        usage: Usage::default(),
        latency_ms: 0,
        created_at: underway.began_at,
        is_cached: false,
    }
}

/// Waits for the first piece of an answer. What only counts tokens is none: as long as nothing was
/// said, another provider may be asked.
async fn begin<'f>(
    underway: &Underway<'f>,
    attempt: &Try<'_>,
    encoded: &Encoded,
) -> Result<(Upstream<'f>, Chunk<'static>), TryFailure> {
    let kind = attempt.route.provider.kind;
    let bytes_max = underway.services.config.response_bytes_max;
    let choices = usize::try_from(underway.request.choices).unwrap_or(1);
    let mut exchange = underway.open(attempt.route, attempt.key, encoded).await?;
    let whole = if exchange.is_event_stream {
        None
    } else {
        Some(exchange.read_body().await?)
    };
    let mut upstream = Upstream {
        exchange,
        parser: Parser::new(bytes_max),
        decoder: StreamDecoder::new(kind, choices),
        whole,
        has_ended: false,
    };
    let mut counted: Option<Counted> = None;
    loop {
        let chunk = match upstream.next(kind).await {
            Ok(Some(chunk)) => chunk,
            Ok(None) => break,
            Err(failure) => {
                let body = upstream.whole.take().unwrap_or_default();
                let failed = underway.failure_in(attempt, &body, failure);
                let last = upstream.decoder.counted_last().or(counted);
                let counted = failed.counted.or_else(|| last.map(Box::new));
                return Err(TryFailure { counted, ..failed });
            }
        };
        // What was counted before the first words does not count them.
        let before = counted.map(|counted| Counted {
            output_is_new: false,
            ..counted
        });
        counted = chunk.counted.or(before);
        if !chunk.deltas.is_empty() {
            return Ok((upstream, Chunk { counted, ..chunk }));
        }
    }
    let reason = "the stream was empty".to_owned();
    Err(TryFailure {
        failure: UpstreamFailure::Cut { reason },
        counted: counted.map(Box::new),
    })
}

/// An answer that has begun.
struct Served<'f, 'p> {
    plan: Plan<'p>,
    attempt: Try<'p>,
    upstream: Upstream<'f>,
}

/// Hands on piece after piece, then settles, then tells the end.
async fn relay(
    underway: &Underway<'_>,
    call: OpenCall,
    mut served: Served<'_, '_>,
    first: Chunk<'static>,
    mut downstream: Downstream<'_>,
    mut writer: StreamWriter,
) -> (Option<Reply>, i64) {
    let mut meter = StreamMeter::began(underway.latency_ms());
    meter.add(&first);
    let bounds = underway.usage_bounds(&served.attempt, &call);
    let counted = meter.counted(&bounds);
    downstream.write(writer.begin(counted.as_ref())).await;
    downstream.write(writer.chunk(&first)).await;
    underway.figures.has_shown(underway.services.clock.now());
    drop(first);
    let end = pump(
        underway,
        &mut served,
        &mut downstream,
        &mut writer,
        &mut meter,
    )
    .await;

    let last = last_words(&end, &meter.usage(&bounds).usage, &mut writer);
    let recorded = downstream.take_recorded().map(|mut pieces| {
        pieces.extend_from_slice(&last);
        Bytes::from(pieces)
    });
    let Served {
        mut plan,
        attempt,
        upstream,
    } = served;
    let broken = underway.broken_off(&attempt, &call);
    let mut result = result_of(underway, &end, (&meter, &broken), &attempt, call.terms());
    if downstream.is_gone() {
        result
            .error_kind
            .get_or_insert(UpstreamFailure::CallerGone.kind());
    }
    note_service(&mut result, underway, &attempt, &mut plan);
    let tokens = result.usage.total();
    if let End::Failed(failure) = &end {
        tracing::warn!(call_id = %underway.call_id, reason = failure.for_operators(), "LLM stream failed");
        attempt.failed(failure);
        settle::settle(underway, call, CallState::Failed, result, None).await;
    } else {
        // What was not waited for tells nothing about the provider.
        if matches!(end, End::Complete) {
            attempt.succeeded();
        }
        let answer = recorded.filter(|_| matches!(end, End::Complete));
        settle::settle(
            underway,
            call,
            CallState::Succeeded,
            result,
            answer.as_ref(),
        )
        .await;
    }
    downstream.write(last).await;
    downstream.end().await;
    if matches!(end, End::Complete) {
        upstream.release().await;
    }
    (None, tokens)
}

/// What the caller is told after the last piece.
fn last_words(end: &End, usage: &Usage, writer: &mut StreamWriter) -> Bytes {
    match end {
        End::Complete => {
            let last = writer.finish(usage);
            [last, writer.done()].concat().into()
        }
        End::Limited(failure) | End::Failed(failure) => {
            writer.failure(&ApiError::Upstream(failure.clone()))
        }
        End::Abandoned => Bytes::new(),
    }
}

/// Hands on piece after piece until the answer has ended, one way or another.
async fn pump(
    underway: &Underway<'_>,
    served: &mut Served<'_, '_>,
    downstream: &mut Downstream<'_>,
    writer: &mut StreamWriter,
    meter: &mut StreamMeter,
) -> End {
    let config = &underway.services.config;
    let kind = served.attempt.route.provider.kind;
    let deadline = Instant::now() + config.stream_total_timeout;
    let bytes_max = config.response_bytes_max;
    loop {
        let next = served.upstream.next(kind);
        match downstream.wait(next, deadline).await {
            Ok(Ok(Some(chunk))) => {
                meter.add(&chunk);
                underway.figures.has_come(meter.text_bytes());
                if meter.text_bytes() > bytes_max {
                    return End::Limited(UpstreamFailure::TooLarge { bytes_max });
                }
                downstream.write(writer.chunk(&chunk)).await;
            }
            Ok(Ok(None)) => return End::Complete,
            Ok(Err(failure)) => {
                meter.add_count(served.upstream.decoder.counted_last());
                return broken_by(failure, downstream);
            }
            Err(Stop::Gone) => return finish_unheard(underway, served, meter).await,
            Err(Stop::Late) => return End::Limited(LATE),
        }
    }
}

/// Who is to blame for an answer that breaks: a provider gives up, too, if its answer is not read,
/// because the caller does not read it. A caller that had left before has ended the answer itself.
fn broken_by(failure: UpstreamFailure, downstream: &Downstream<'_>) -> End {
    match failure {
        UpstreamFailure::TooLarge { .. } => End::Limited(failure),
        _ if downstream.is_slow() || downstream.is_gone() => End::Abandoned,
        _ => End::Failed(failure),
    }
}

/// The caller has gone. An answer of which only the usage is missing is read to its end, because
/// nothing else tells what was thought.
async fn finish_unheard(
    underway: &Underway<'_>,
    served: &mut Served<'_, '_>,
    meter: &mut StreamMeter,
) -> End {
    if !served.upstream.has_said_all() {
        return End::Abandoned;
    }
    tracing::debug!(call_id = %underway.call_id, "caller has left; waiting for the usage");
    let kind = served.attempt.route.provider.kind;
    let rest = async {
        while let Ok(Some(chunk)) = served.upstream.next(kind).await {
            meter.add(&chunk);
        }
    };
    let _ = tokio::time::timeout(LAST_WORDS_MAX, rest).await;
    if meter.has_counted() && served.upstream.has_said_all() {
        End::Complete
    } else {
        End::Abandoned
    }
}

/// What came of a stream. What the caller has brought about is charged; an answer that its provider
/// broke costs the customer nothing; what the provider will probably ask for it is kept for the
/// operator.
fn result_of(
    underway: &Underway<'_>,
    end: &End,
    (meter, broken): (&StreamMeter, &BrokenOff<'_>),
    attempt: &Try<'_>,
    terms: &Terms,
) -> CallResult {
    let metered = match end {
        End::Complete => meter.usage(&broken.bounds),
        End::Abandoned | End::Limited(_) => meter.abandoned_usage(broken),
        End::Failed(_) => meter.partial_usage(&broken.bounds),
    };
    metered.report(underway.call_id);
    let price = (attempt.route.price(), underway.untold_tier());
    let mut result = meter::result_of(&metered, price, terms, underway.latency_ms());
    result.first_token_ms = Some(meter.first_token_ms);
    result.finish_reason = meter.finish_reason.map(|reason| reason.word().to_owned());
    match end {
        End::Complete => {}
        End::Abandoned => result.error_kind = Some(UpstreamFailure::CallerGone.kind()),
        End::Limited(failure) => settle::describe(&mut result, failure),
        End::Failed(failure) => {
            result.client_cost = NanoUsd::ZERO;
            settle::describe(&mut result, failure);
        }
    }
    result
}

/// No provider has begun an answer.
async fn give_up(
    underway: &Underway<'_>,
    call: OpenCall,
    plan: Plan<'_>,
    downstream: Downstream<'_>,
    writer: StreamWriter,
) -> (Option<Reply>, i64) {
    let failure = settle::fail(underway, call, plan).await;
    (refuse(underway, failure, downstream, writer).await, 0)
}

/// Tells the caller why there is no answer: by the status, if that is still open, else by an event.
async fn refuse(
    underway: &Underway<'_>,
    failure: UpstreamFailure,
    mut downstream: Downstream<'_>,
    writer: StreamWriter,
) -> Option<Reply> {
    if !downstream.has_begun() {
        return Some(underway.refusal(failure));
    }
    downstream
        .write(writer.failure(&ApiError::Upstream(failure)))
        .await;
    downstream.end().await;
    None
}

/// The caller has gone before an answer began, and is not worked for any longer.
async fn abandon(
    underway: &Underway<'_>,
    call: OpenCall,
    plan: Plan<'_>,
    attempt: Option<Try<'_>>,
    downstream: &Downstream<'_>,
) -> (Option<Reply>, i64) {
    let tokens = settle::abandon(underway, call, plan, attempt).await;
    // Nobody reads it, but it is what the log says.
    let refusal = underway.refusal(UpstreamFailure::CallerGone);
    ((!downstream.has_begun()).then_some(refusal), tokens)
}
