//! SQL that writes a history which nobody has lived through, for demonstrations and tests of large
//! databases. Everything else goes through the ledger's writer.

use std::sync::Arc;

use sqlx::{AnyConnection, AnyPool};

use super::admin::Actor;
use super::rows::{Columns, Values, execute_tuples};
use super::work::FailedAttempt;
use super::{Database, StoreError, audit, ledger, live, node};
use crate::clock::Timestamp;
use crate::command::Command;
use crate::id::{CallId, JobId, KeyId, ModelAlias, NodeId, ProviderName, TeamId};
use crate::job::{CallState, Job, Spend};
use crate::ledger::{Account, Entry};
use crate::live::{NodeFigures, Traffic};
use crate::money::NanoUsd;
use crate::price::{AppliedPrice, Usage};

const COUNT_TEAMS: &str = "SELECT CAST(COUNT(*) AS BIGINT) FROM teams";

/// How many teams there are.
pub async fn count_teams(pool: &AnyPool) -> Result<i64, StoreError> {
    let row = sqlx::query(COUNT_TEAMS).fetch_one(pool).await?;
    Columns::of(&row).take()
}

/// What the calls of a job add up to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    /// Calls, those in flight included.
    pub calls: i64,
    /// Calls in flight.
    pub in_flight: i64,
    /// Those that were answered.
    pub succeeded: i64,
    /// Those that were not.
    pub failed: i64,
    /// Tokens of prompts.
    pub input_tokens: i64,
    /// Tokens of answers.
    pub output_tokens: i64,
    /// Cost to the customer.
    pub client_cost: NanoUsd,
    /// Cost of the providers.
    pub provider_cost: NanoUsd,
    /// Milliseconds of all calls.
    pub latency_ms: i64,
}

impl Totals {
    /// Adds others.
    pub const fn add(&mut self, other: &Self) {
        self.calls += other.calls;
        self.in_flight += other.in_flight;
        self.succeeded += other.succeeded;
        self.failed += other.failed;
        self.input_tokens += other.input_tokens;
        self.output_tokens += other.output_tokens;
        self.client_cost = self.client_cost.plus(other.client_cost);
        self.provider_cost = self.provider_cost.plus(other.provider_cost);
        self.latency_ms += other.latency_ms;
    }
}

/// A call with all that is known of it.
#[derive(Debug, Clone)]
pub struct Call {
    /// Its id.
    pub id: CallId,
    /// Its job.
    pub job_id: JobId,
    /// Whose.
    pub team_id: TeamId,
    /// The key that was shown.
    pub key_id: KeyId,
    /// The node that served it.
    pub node_id: NodeId,
    /// The model's public name.
    pub alias: ModelAlias,
    /// The provider.
    pub provider: ProviderName,
    /// What the provider calls the model.
    pub upstream_model: String,
    /// What the caller said that it is for.
    pub purpose: Option<&'static str>,
    /// How it ended, or that it has not.
    pub state: CallState,
    /// Its worst case.
    pub reserved: Spend,
    /// What it used.
    pub usage: Usage,
    /// What the provider asks.
    pub provider_cost: NanoUsd,
    /// What the customer is asked.
    pub client_cost: NanoUsd,
    /// What it is priced by.
    pub price: Option<Arc<AppliedPrice>>,
    /// Why the answer ended.
    pub finish_reason: Option<&'static str>,
    /// The class of the error and the error in words.
    pub error: Option<(&'static str, String)>,
    /// Milliseconds from request to answer.
    pub latency_ms: Option<i64>,
    /// Milliseconds from request to the first piece of a stream.
    pub first_token_ms: Option<i64>,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// Whether the answer was given piece by piece.
    pub streamed: bool,
    /// Whether it came from the cache.
    pub cached: bool,
    /// Tries that failed before.
    pub attempts: Vec<FailedAttempt>,
}

/// A change that stands in the audit log, made by an administrator of this name.
#[derive(Debug, Clone)]
pub struct Record {
    /// When.
    pub at: Timestamp,
    /// Who.
    pub actor: &'static str,
    /// What.
    pub command: Command,
}

/// Rows of one transaction.
#[derive(Debug, Default)]
pub struct Rows {
    /// Jobs with the totals of their calls.
    pub jobs: Vec<(Job, Totals)>,
    /// Calls.
    pub calls: Vec<Call>,
    /// Entries, in the order of each account.
    pub entries: Vec<Entry>,
    /// Records of the audit log.
    pub records: Vec<Record>,
}

const INSERT_JOBS: &str = "
    INSERT INTO jobs
        (id, team_id, org_id, state, job_type, user_id, metadata, error_message, budget_mode,
         credits_per_dollar, tokens_per_credit, markup, credits_max, hold, spent_cost,
         spent_tokens, reserved_cost, reserved_tokens, charged, credits_remaining, created_at,
         started_at, completed_at, active_at, updated_at, single_call, charge_failed, rounding,
         job_cost_max, total_calls,
         succeeded_calls, failed_calls, total_tokens, total_input_tokens, total_cost,
         total_provider_cost, total_latency_ms, calls_in_flight)
    VALUES ";

fn bind_job(values: &mut Values, (job, totals): &(Job, Totals)) {
    super::job::bind_new_job(values, job);
    values.push(totals.calls);
    values.push(totals.succeeded);
    values.push(totals.failed);
    values.push(totals.input_tokens + totals.output_tokens);
    values.push(totals.input_tokens);
    values.push(totals.client_cost.0);
    values.push(totals.provider_cost.0);
    values.push(totals.latency_ms);
    values.push(totals.in_flight);
}

const INSERT_CALLS: &str = "
    INSERT INTO calls
        (id, job_id, team_id, key_id, node_id, alias, requested_model, provider_name,
         upstream_model, purpose, state, reserved_cost, reserved_tokens, input_uncached,
         input_cache_read, input_cache_write, output_text, output_reasoning, provider_cost,
         client_cost, price_id, finish_reason, error_kind, error, latency_ms, first_token_ms,
         started_at,
         ended_at, streamed, cached)
    VALUES ";

fn bind_call(values: &mut Values, call: &Call) {
    values.push_text(call.id);
    values.push_text(call.job_id);
    values.push_text(&call.team_id);
    values.push_text(&call.key_id);
    values.push_text(call.node_id);
    values.push_text(&call.alias);
    values.push_text(&call.alias);
    values.push_text(&call.provider);
    values.push(call.upstream_model.clone());
    values.push(call.purpose);
    values.push(call.state.word());
    values.push(call.reserved.cost.0);
    values.push(call.reserved.tokens);
    values.push(call.usage.input_uncached);
    values.push(call.usage.input_cache_read);
    values.push(call.usage.input_cache_write);
    values.push(call.usage.output_text);
    values.push(call.usage.output_reasoning);
    values.push(call.provider_cost.0);
    values.push(call.client_cost.0);
    values.push(call.price.as_ref().map(|price| price.id.to_string()));
    values.push(call.finish_reason);
    values.push(call.error.as_ref().map(|(kind, _)| *kind));
    values.push(call.error.as_ref().map(|(_, words)| words.clone()));
    values.push(call.latency_ms);
    values.push(call.first_token_ms);
    values.push_time(call.started_at);
    values.push_optional_time(call.ended_at);
    values.push(i32::from(call.streamed));
    values.push(i32::from(call.cached));
}

const INSERT_ATTEMPTS: &str = "
    INSERT INTO call_attempts
        (call_id, number, provider_name, credential_id, upstream_model, error_kind, error,
         latency_ms)
    VALUES ";

async fn insert_attempts(connection: &mut AnyConnection, calls: &[Call]) -> Result<(), StoreError> {
    let numbered = calls.iter().flat_map(|call| {
        let attempts = call.attempts.iter().zip(1_i64..);
        attempts.map(|(attempt, number)| (call.id, number, attempt))
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
    execute_tuples(connection, (INSERT_ATTEMPTS, ""), 8, &numbered, bind).await?;
    Ok(())
}

/// Writes rows in one transaction; `random` makes the ids of audit records.
pub async fn append(
    database: &Database,
    rows: &Rows,
    random: &dyn crate::clock::Random,
) -> Result<(), StoreError> {
    database
        .write(async |connection| {
            execute_tuples(connection, (INSERT_JOBS, ""), 38, &rows.jobs, bind_job).await?;
            let used = rows.calls.iter().filter_map(|call| call.price.clone());
            let prices = used.map(|price| (price.id, price)).collect();
            super::price::insert(connection, &prices).await?;
            execute_tuples(connection, (INSERT_CALLS, ""), 30, &rows.calls, bind_call).await?;
            insert_attempts(connection, &rows.calls).await?;
            ledger::insert_entries(connection, &rows.entries).await?;
            for record in &rows.records {
                let actor = Actor::new(record.actor, record.at, random);
                audit::insert(connection, actor, &record.command, None).await?;
            }
            Ok(())
        })
        .await
}

/// Sums of a team over one day and type of job.
#[derive(Debug, Clone)]
pub struct Day {
    /// Whose.
    pub team_id: TeamId,
    /// Days since 1970 UTC.
    pub day: i64,
    /// The type.
    pub job_type: &'static str,
    /// Jobs that completed, failed and were cancelled.
    pub ended: [i64; 3],
    /// What completed jobs were charged.
    pub credits: i64,
    /// Their calls.
    pub totals: Totals,
}

const INSERT_DAYS: &str = "
    INSERT INTO usage_daily
        (team_id, day, job_type, completed, failed, cancelled, calls, failed_calls, input_tokens,
         output_tokens, client_cost, provider_cost, credits, latency_ms)
    VALUES ";

fn bind_day(values: &mut Values, day: &Day) {
    values.push_text(&day.team_id);
    values.push(day.day);
    values.push(day.job_type);
    for count in day.ended {
        values.push(count);
    }
    values.push(day.totals.calls);
    values.push(day.totals.failed);
    values.push(day.totals.input_tokens);
    values.push(day.totals.output_tokens);
    values.push(day.totals.client_cost.0);
    values.push(day.totals.provider_cost.0);
    values.push(day.credits);
    values.push(day.totals.latency_ms);
}

const UPDATE_USES: (&str, &str) = (
    "UPDATE virtual_keys SET used_at = v.column2 FROM (VALUES ",
    ") AS v WHERE virtual_keys.id = v.column1",
);

/// How a history ends.
#[derive(Debug)]
pub struct Ending {
    /// The accounts after all entries and holds.
    pub accounts: Vec<Account>,
    /// The sums of all days.
    pub days: Vec<Day>,
    /// When keys were last used.
    pub uses: Vec<(KeyId, Timestamp)>,
    /// The node that runs, and when it began.
    pub node: (NodeId, Timestamp),
    /// What it tells.
    pub figures: NodeFigures,
    /// What passed through it, by minute.
    pub traffic: Vec<(i64, Traffic)>,
}

/// Rows of a transaction, where it is a matter of memory.
const ROWS_MAX: usize = 20_000;

/// Writes the end of a history.
pub async fn finish(
    database: &Database,
    ending: &Ending,
    now: Timestamp,
) -> Result<(), StoreError> {
    for days in ending.days.chunks(ROWS_MAX) {
        let rows = (INSERT_DAYS, "");
        database
            .write(async |connection| {
                execute_tuples(connection, rows, 14, days, bind_day).await?;
                Ok::<_, StoreError>(())
            })
            .await?;
    }
    database
        .write(async |connection| {
            ledger::update_accounts(connection, &ending.accounts).await?;
            let bind = |values: &mut Values, (id, at): &(KeyId, Timestamp)| {
                values.push_text(id);
                values.push_time(*at);
            };
            execute_tuples(connection, UPDATE_USES, 2, &ending.uses, bind).await?;
            let (id, started_at) = ending.node;
            node::beat(connection, id, started_at, now).await?;
            let mut news = live::News {
                node_id: id,
                now,
                figures: Some(&ending.figures),
                traffic: None,
                used_keys: &[],
                forget_before: None,
            };
            live::write(connection, &news).await?;
            news.figures = None;
            for (minute, traffic) in &ending.traffic {
                news.traffic = Some((*minute, traffic));
                live::write(connection, &news).await?;
            }
            Ok(())
        })
        .await
}
