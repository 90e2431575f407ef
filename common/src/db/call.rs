//! SQL of calls.

use std::collections::HashMap;
use std::sync::Arc;

use sqlx::{AnyConnection, AnyPool};

pub use self::note::UPDATE_USAGE_NOTES;
use self::note::{read_note, update_usage_notes};
use super::StoreError;
use super::job::JobTotals;
use super::job::totals::CallSums;
use super::price;
use super::rows::{Columns, Values, execute_tuples, select_in};
use super::work::{BeginCall, FailedAttempt, ServedBy, SettleCall};
use crate::clock::Timestamp;
use crate::id::{CallId, JobId, NodeId, TeamId};
use crate::job::{CallState, Spend};
use crate::ledger::Admission;
use crate::money::NanoUsd;
use crate::price::{AppliedPrice, FeeCounts, PriceId, ServiceTier, Usage};
use crate::usage_note::UsageNote;

const INSERT_CALLS: &str = "
    INSERT INTO calls
        (id, job_id, team_id, key_id, node_id, alias, requested_model, provider_name,
         upstream_model, purpose, state, reserved_cost, reserved_tokens, price_id, started_at,
         streamed, cached)
    VALUES ";

/// Writes calls that are about to go upstream.
pub(crate) async fn insert_calls(
    connection: &mut AnyConnection,
    calls: &[(&BeginCall, Admission)],
) -> Result<(), StoreError> {
    let bind = |values: &mut Values, (call, admission): &(&BeginCall, Admission)| {
        values.push_text(call.id);
        values.push_text(call.job_id);
        values.push_text(&call.team_id);
        values.push_text(&call.key_id);
        values.push_text(call.node_id);
        values.push_text(&call.alias);
        values.push(call.requested_model.clone());
        values.push_text(&call.provider);
        values.push(call.upstream_model.clone());
        values.push(call.purpose.clone());
        values.push(CallState::InFlight.word());
        values.push(admission.reserved.cost.0);
        values.push(admission.reserved.tokens);
        values.push(call.price.as_ref().map(|price| price.id.to_string()));
        values.push_time(call.now);
        values.push(i32::from(call.streamed));
        values.push(i32::from(call.cached));
    };
    execute_tuples(connection, (INSERT_CALLS, ""), 17, calls, bind).await?;
    Ok(())
}

/// A call as the writer needs it to settle.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OpenCall {
    pub(crate) id: CallId,
    pub(crate) state: CallState,
    pub(crate) reserved: Spend,
    /// What its end has added to its job; nothing while it is in flight.
    pub(crate) recorded: CallSums,
}

/// Calls by id, before the list of ids.
pub const SELECT_CALLS: &str = concat!(
    "SELECT id, state, reserved_cost, reserved_tokens, ",
    price::input_tokens!(),
    ", ",
    price::output_tokens!(),
    ", client_cost, provider_cost, COALESCE(latency_ms, 0) FROM calls WHERE id IN "
);

pub(crate) async fn select_calls(
    connection: &mut AnyConnection,
    ids: &[CallId],
) -> Result<Vec<OpenCall>, StoreError> {
    let read = |columns: &mut Columns<'_>| {
        Ok(OpenCall {
            id: columns.parse()?,
            state: columns.parse()?,
            reserved: Spend {
                cost: NanoUsd(columns.take()?),
                tokens: columns.take()?,
            },
            recorded: CallSums {
                input_tokens: columns.take()?,
                output_tokens: columns.take()?,
                client_cost: columns.take()?,
                provider_cost: columns.take()?,
                latency_ms: columns.take()?,
            },
        })
    };
    select_in(connection, (SELECT_CALLS, ""), ids, read).await
}

/// How calls ended, around the rows.
pub const UPDATE_CALLS: (&str, &str) = (
    "UPDATE calls
     SET state = v.column2
       , input_uncached = v.column3
       , input_cache_read = v.column4
       , input_cache_write = v.column5
       , output_text = v.column6
       , output_reasoning = v.column7
       , usage_estimated = v.column8
       , provider_cost = v.column9
       , client_cost = v.column10
       , finish_reason = v.column11
       , error_kind = v.column12
       , error = v.column13
       , latency_ms = v.column14
       , ended_at = v.column15
       , first_token_ms = v.column16
     FROM (VALUES ",
    ") AS v WHERE calls.id = v.column1",
);

/// Writes how calls ended.
pub(crate) async fn update_calls(
    connection: &mut AnyConnection,
    calls: &[&SettleCall],
) -> Result<(), StoreError> {
    let bind = |values: &mut Values, call: &&SettleCall| {
        let result = &call.result;
        values.push_text(call.id);
        values.push(call.state.word());
        values.push(result.usage.input_uncached);
        values.push(result.usage.input_cache_read);
        values.push(result.usage.input_cache_write);
        values.push(result.usage.output_text);
        values.push(result.usage.output_reasoning);
        values.push(i32::from(result.usage_estimated));
        values.push(result.provider_cost.0);
        values.push(result.client_cost.0);
        values.push(result.finish_reason.clone());
        values.push(result.error_kind);
        values.push(result.error.clone());
        values.push(result.latency_ms);
        values.push_time(call.now);
        values.push(result.first_token_ms);
    };
    execute_tuples(connection, UPDATE_CALLS, 16, calls, bind).await?;
    update_rare_usage(connection, calls).await?;
    update_prices(connection, calls).await?;
    update_usage_notes(connection, calls).await?;
    update_served_by(connection, calls).await?;
    insert_attempts(connection, calls).await
}

/// Buckets that most calls do not have, around the rows.
pub const UPDATE_RARE_USAGE: (&str, &str) = (
    "UPDATE calls
     SET input_cache_write_1h = v.column2
       , input_audio = v.column3
       , input_audio_cache_read = v.column4
       , input_image = v.column5
       , output_audio = v.column6
       , output_image = v.column7
       , web_searches = v.column8
       , file_searches = v.column9
       , code_executions = v.column10
       , billed_requests = v.column11
     FROM (VALUES ",
    ") AS v WHERE calls.id = v.column1",
);

async fn update_rare_usage(
    connection: &mut AnyConnection,
    calls: &[&SettleCall],
) -> Result<(), StoreError> {
    let rare = |call: &&SettleCall| {
        let usage = call.result.usage;
        usage.has_rare_buckets().then_some((call.id, usage))
    };
    let rare: Vec<(CallId, Usage)> = calls.iter().filter_map(rare).collect();
    let bind = |values: &mut Values, (id, usage): &(CallId, Usage)| {
        values.push_text(id);
        values.push(usage.input_cache_write_1h);
        values.push(usage.input_audio);
        values.push(usage.input_audio_cache_read);
        values.push(usage.input_image);
        values.push(usage.output_audio);
        values.push(usage.output_image);
        for count in usage.fees.all() {
            values.push(count);
        }
    };
    execute_tuples(connection, UPDATE_RARE_USAGE, 11, &rare, bind).await?;
    Ok(())
}

/// Prices and service tiers other than the planned ones, around the rows.
pub const UPDATE_PRICES: (&str, &str) = (
    "UPDATE calls
     SET price_id = v.column2
       , service_tier = v.column3
     FROM (VALUES ",
    ") AS v WHERE calls.id = v.column1",
);

/// What a call was priced by. The planned price stays if the call used nothing; that of a model
/// that served in place of the planned one is its own, or unknown.
fn applied_price(call: &SettleCall) -> Option<PriceId> {
    let applied = call.result.price.as_ref().map(|price| price.id);
    match &call.result.served_by {
        Some(_) => applied,
        None => applied.or(call.planned_price),
    }
}

/// Writes by what calls were priced, if it is not what was written when they began.
async fn update_prices(
    connection: &mut AnyConnection,
    calls: &[&SettleCall],
) -> Result<(), StoreError> {
    let differs = |call: &&&SettleCall| {
        let result = &call.result;
        let is_standard = result.service_tier == ServiceTier::Standard;
        !is_standard || applied_price(call) != call.planned_price
    };
    let other: Vec<&SettleCall> = calls.iter().filter(differs).copied().collect();
    let bind = |values: &mut Values, call: &&SettleCall| {
        values.push_text(call.id);
        values.push(applied_price(call).map(|id| id.to_string()));
        values.push(call.result.service_tier.as_str());
    };
    execute_tuples(connection, UPDATE_PRICES, 3, &other, bind).await?;
    Ok(())
}

/// Who served calls in place of the planned provider, around the rows.
pub const UPDATE_SERVED_BY: (&str, &str) = (
    "UPDATE calls
     SET provider_name = v.column2
       , upstream_model = v.column3
     FROM (VALUES ",
    ") AS v WHERE calls.id = v.column1",
);

async fn update_served_by(
    connection: &mut AnyConnection,
    calls: &[&SettleCall],
) -> Result<(), StoreError> {
    let served = |call: &&SettleCall| Some((call.id, call.result.served_by.clone()?));
    let served: Vec<(CallId, ServedBy)> = calls.iter().filter_map(served).collect();
    let bind = |values: &mut Values, (id, by): &(CallId, ServedBy)| {
        values.push_text(id);
        values.push_text(&by.provider);
        values.push(by.upstream_model.clone());
    };
    execute_tuples(connection, UPDATE_SERVED_BY, 3, &served, bind).await?;
    Ok(())
}

/// A call that is settled a second time, late, keeps the tries of the first.
const INSERT_ATTEMPTS: (&str, &str) = (
    "INSERT INTO call_attempts
        (call_id, number, provider_name, credential_id, upstream_model, error_kind, error,
         latency_ms)
    VALUES ",
    " ON CONFLICT (call_id, number) DO NOTHING",
);

async fn insert_attempts(
    connection: &mut AnyConnection,
    calls: &[&SettleCall],
) -> Result<(), StoreError> {
    let numbered = calls.iter().flat_map(|call| {
        let attempts = call.result.failed_attempts.iter();
        attempts
            .zip(1_i64..)
            .map(|(attempt, number)| (call.id, number, attempt))
    });
    let numbered: Vec<(CallId, i64, &FailedAttempt)> = numbered.collect();
    let bind = |values: &mut Values, (id, number, attempt): &(CallId, i64, &FailedAttempt)| {
        values.push_text(id);
        values.push(*number);
        values.push_text(&attempt.provider);
        values.push_text(attempt.credential_id);
        values.push(attempt.upstream_model.clone());
        values.push(attempt.error_kind);
        values.push(attempt.error.clone());
        values.push(attempt.latency_ms);
    };
    execute_tuples(connection, INSERT_ATTEMPTS, 8, &numbered, bind).await?;
    Ok(())
}

/// A failed try as it is listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptRow {
    /// From 1 on.
    pub number: i64,
    /// The provider account.
    pub provider: String,
    /// The key that was used.
    pub credential_id: String,
    /// What the provider calls the model.
    pub upstream_model: String,
    /// The class of the error.
    pub error_kind: String,
    /// The error in words.
    pub error: String,
    /// How long it took.
    pub latency_ms: i64,
}

/// The failed tries of a call in their order.
pub const SELECT_ATTEMPTS: &str = "
    SELECT number, provider_name, credential_id, upstream_model, error_kind, error, latency_ms
    FROM call_attempts
    WHERE call_id = $1
    ORDER BY number";

/// The failed tries of a call. Not for teams.
pub async fn list_attempts(pool: &AnyPool, call_id: CallId) -> Result<Vec<AttemptRow>, StoreError> {
    let rows = sqlx::query(SELECT_ATTEMPTS)
        .bind(call_id.to_string())
        .fetch_all(pool)
        .await?;
    rows.iter()
        .map(|row| {
            let mut columns = Columns::of(row);
            Ok(AttemptRow {
                number: columns.take()?,
                provider: columns.take()?,
                credential_id: columns.take()?,
                upstream_model: columns.take()?,
                error_kind: columns.take()?,
                error: columns.take()?,
                latency_ms: columns.take()?,
            })
        })
        .collect()
}

/// A call whose node is gone.
#[derive(Debug, Clone)]
pub struct OrphanedCall {
    /// The call.
    pub id: CallId,
    /// Its job.
    pub job_id: JobId,
    /// Who pays.
    pub team_id: TeamId,
    /// The node that is gone.
    pub node_id: NodeId,
}

/// Calls in flight whose node is gone.
pub const SELECT_ORPHANED: &str = "
    SELECT id, job_id, team_id, node_id
    FROM calls
    WHERE state = 'in_flight'
      AND node_id NOT IN (SELECT id FROM nodes)
      AND (node_id, id) > ($1, $2)
    ORDER BY node_id, id
    LIMIT $3";

/// Calls in flight whose node is not among the nodes any more, from behind `after` on.
pub async fn list_orphaned(
    pool: &AnyPool,
    after: Option<&OrphanedCall>,
    limit: i64,
) -> Result<Vec<OrphanedCall>, StoreError> {
    let (node_id, id) = after.map_or_else(Default::default, |call| {
        (call.node_id.to_string(), call.id.to_string())
    });
    let rows = sqlx::query(SELECT_ORPHANED)
        .bind(node_id)
        .bind(id)
        .bind(limit)
        .fetch_all(pool)
        .await?;
    rows.iter()
        .map(|row| {
            let mut columns = Columns::of(row);
            Ok(OrphanedCall {
                id: columns.parse()?,
                job_id: columns.parse()?,
                team_id: columns.parse()?,
                node_id: columns.parse()?,
            })
        })
        .collect()
}

/// A call as it is listed.
#[derive(Debug, Clone)]
pub struct CallRow {
    /// Its id.
    pub id: CallId,
    /// The model's public name.
    pub alias: String,
    /// The name that the caller used.
    pub requested_model: String,
    /// The provider account. Not for teams.
    pub provider: String,
    /// The provider's model. Not for teams.
    pub upstream_model: String,
    /// The caller's label.
    pub purpose: Option<String>,
    /// Its state.
    pub state: CallState,
    /// Tokens by bucket.
    pub usage: Usage,
    /// Prompt tokens of all buckets.
    pub input_tokens: i64,
    /// Completion tokens of all buckets.
    pub output_tokens: i64,
    /// Whether the tokens were counted by us.
    pub usage_estimated: bool,
    /// Why the usage is not simply what the provider counted. Not for teams.
    pub usage_note: Option<UsageNote>,
    /// What the provider asks. Not for teams.
    pub provider_cost: NanoUsd,
    /// What the customer is asked.
    pub client_cost: NanoUsd,
    /// What it was priced by; of a call in flight, what it was planned with. Not for teams.
    pub price: Option<Arc<AppliedPrice>>,
    /// The service tier by which the provider served it.
    pub service_tier: ServiceTier,
    /// Why the answer ended.
    pub finish_reason: Option<String>,
    /// The class of the error.
    pub error_kind: Option<String>,
    /// The error in words.
    pub error: Option<String>,
    /// How long it took.
    pub latency_ms: Option<i64>,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// Whether the answer was given piece by piece.
    pub streamed: bool,
    /// Whether the answer came from the cache.
    pub cached: bool,
    /// From the caller's request to the first piece of a streamed answer.
    pub first_token_ms: Option<i64>,
}

macro_rules! call_columns {
    () => {
        "id, alias, requested_model, provider_name, upstream_model, purpose, state, \
         input_uncached, input_cache_read, input_cache_write, input_cache_write_1h, input_audio, \
         input_audio_cache_read, input_image, output_text, output_reasoning, output_audio, \
         output_image, web_searches, file_searches, code_executions, billed_requests, \
         usage_estimated, usage_note, provider_cost, client_cost, service_tier, price_id, \
         price_version, input_price, cache_read_price, cache_write_price, output_price, \
         finish_reason, error_kind, error, latency_ms, started_at, ended_at, streamed, cached, \
         first_token_ms"
    };
}

pub mod list;
mod note;

/// The calls of a job in their order.
pub const SELECT_CALLS_OF_JOB: &str = concat!(
    "SELECT ",
    call_columns!(),
    " FROM calls
     WHERE job_id = $1
     ORDER BY id
     LIMIT $2"
);

/// The most calls of one job that are listed in one answer.
pub const CALLS_LISTED_MAX: i64 = 10_000;

/// The calls of a job in the order in which they began.
pub async fn list_calls(pool: &AnyPool, job_id: JobId) -> Result<Vec<CallRow>, StoreError> {
    let rows = sqlx::query(SELECT_CALLS_OF_JOB)
        .bind(job_id.to_string())
        .bind(CALLS_LISTED_MAX)
        .fetch_all(pool)
        .await?;
    let read = rows.iter().map(|row| read_call(&mut Columns::of(row)));
    let mut calls: Vec<CallRow> = read.collect::<Result<_, _>>()?;
    let mut connection = pool.acquire().await?;
    price::attach(&mut connection, calls.iter_mut()).await?;
    Ok(calls)
}

fn read_usage(columns: &mut Columns<'_>) -> Result<Usage, StoreError> {
    Ok(Usage {
        input_uncached: columns.take()?,
        input_cache_read: columns.take()?,
        input_cache_write: columns.take()?,
        input_cache_write_1h: columns.take()?,
        input_audio: columns.take()?,
        input_audio_cache_read: columns.take()?,
        input_image: columns.take()?,
        output_text: columns.take()?,
        output_reasoning: columns.take()?,
        output_audio: columns.take()?,
        output_image: columns.take()?,
        fees: FeeCounts {
            web_searches: columns.take()?,
            file_searches: columns.take()?,
            code_executions: columns.take()?,
            requests: columns.take()?,
        },
    })
}

fn read_call(columns: &mut Columns<'_>) -> Result<CallRow, StoreError> {
    let id = columns.parse()?;
    let alias = columns.take()?;
    let requested_model = columns.take()?;
    let provider = columns.take()?;
    let upstream_model = columns.take()?;
    let purpose = columns.take()?;
    let state = columns.parse()?;
    let usage = read_usage(columns)?;
    Ok(CallRow {
        id,
        alias,
        requested_model,
        provider,
        upstream_model,
        purpose,
        state,
        input_tokens: usage.input(),
        output_tokens: usage.output(),
        usage,
        usage_estimated: columns.flag()?,
        usage_note: read_note(columns)?,
        provider_cost: NanoUsd(columns.take()?),
        client_cost: NanoUsd(columns.take()?),
        service_tier: columns.parse()?,
        price: price::read_reference(columns)?,
        finish_reason: columns.take()?,
        error_kind: columns.take()?,
        error: columns.take()?,
        latency_ms: columns.take()?,
        started_at: columns.time()?,
        ended_at: columns.optional_time()?,
        streamed: columns.flag()?,
        cached: columns.flag()?,
        first_token_ms: columns.take()?,
    })
}

/// The names by which each of some jobs called models, around the list of jobs.
pub const MODELS_USED: (&str, &str) = (
    "SELECT job_id, requested_model, MIN(id) FROM calls WHERE job_id IN ",
    " GROUP BY job_id, requested_model",
);

/// The names by which each of these jobs called models, in the order of their first calls; jobs
/// without calls are left out.
pub async fn models_used(
    pool: &AnyPool,
    jobs: &[JobId],
) -> Result<HashMap<JobId, Vec<String>>, StoreError> {
    let mut connection = pool.acquire().await?;
    let read = |columns: &mut Columns<'_>| {
        let (job, model): (JobId, String) = (columns.parse()?, columns.take()?);
        Ok((columns.parse::<CallId>()?, job, model))
    };
    let mut first_calls = select_in(&mut connection, MODELS_USED, jobs, read).await?;
    first_calls.sort_unstable();
    let mut models: HashMap<JobId, Vec<String>> = HashMap::new();
    for (_, job, model) in first_calls {
        models.entry(job).or_default().push(model);
    }
    Ok(models)
}

impl JobTotals {
    /// Adds up listed calls.
    pub fn of(calls: &[CallRow]) -> Self {
        let mut totals = Self::default();
        for call in calls {
            totals.calls += 1;
            let count = match call.state {
                CallState::InFlight => &mut totals.in_flight,
                CallState::Succeeded => &mut totals.succeeded,
                CallState::Failed | CallState::Interrupted => &mut totals.failed,
            };
            *count += 1;
            let tokens = call.input_tokens.saturating_add(call.output_tokens);
            totals.tokens = totals.tokens.saturating_add(tokens);
            totals.cost = totals.cost.plus(call.client_cost);
            totals.latency_ms += call.latency_ms.unwrap_or(0);
        }
        totals
    }
}
