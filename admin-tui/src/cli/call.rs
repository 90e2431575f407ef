//! `tollgate-admin call`: calls of models across all jobs, as they come.

use std::collections::BTreeSet;
use std::time::Duration;

use clap::Subcommand;
use serde::Serialize;
use tollgate_common::clock::Timestamp;
use tollgate_common::db::call::list::{self as calls, CallEntry, VOCABULARY};
use tollgate_common::filter::Filter;
use tollgate_common::id::{CallId, JobId, KeyId, NodeId, TeamId};
use tollgate_common::usage_note::UsageNote;

use super::charge::{PriceView, UsageView};
use super::error::Failure;
use super::output::{Column, Output, Row, numbers, or_dash, time, words};
use super::value;
use crate::session::Session;

/// How often new calls are looked for.
const LOOK: Duration = Duration::from_secs(1);

/// A call may be committed so long after its id was made.
const LATE: Duration = Duration::from_secs(5);

/// Decimals of a dollar.
const DOLLAR_DECIMALS: u32 = 9;

/// How wide the columns are where rows come one by one.
const WIDTHS: [usize; 10] = [20, 16, 36, 20, 28, 11, 9, 9, 7, 0];

/// What can be done with calls.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Show the newest calls of all jobs, the newest last
    Tail {
        /// Go on with each call that ends; with --json, one document a line
        #[arg(long)]
        follow: bool,
        #[arg(
            long,
            value_name = "WORDS",
            help = "Only those that fit: 'team:acme status:failed provider:openai error:~timeout \\
                    since:1h ms>5000 \"free text\"'; ! negates"
        )]
        filter: Option<String>,
        /// How many at first, at most
        #[arg(long, value_name = "N", allow_negative_numbers = true, default_value = "20", value_parser = value::limit)]
        limit: i64,
        /// Only calls older than this one
        #[arg(long, value_name = "CALL", conflicts_with = "follow")]
        before: Option<CallId>,
    },
}

/// A call with what only administrators see.
#[derive(Debug, Serialize)]
struct TailView {
    id: CallId,
    job: JobId,
    team: TeamId,
    key: KeyId,
    node: NodeId,
    status: &'static str,
    model: String,
    requested_model: String,
    provider: String,
    upstream_model: String,
    purpose: Option<String>,
    input_tokens: i64,
    output_tokens: i64,
    usage_estimated: bool,
    usage_note: Option<&'static str>,
    provider_cost_usd: f64,
    client_cost_usd: f64,
    service_tier: &'static str,
    price: Option<PriceView>,
    usage: UsageView,
    finish_reason: Option<String>,
    error_kind: Option<String>,
    error: Option<String>,
    latency_ms: Option<i64>,
    first_token_ms: Option<i64>,
    streamed: bool,
    cached: bool,
    started_at: Timestamp,
    ended_at: Option<Timestamp>,
}

impl From<CallEntry> for TailView {
    fn from(entry: CallEntry) -> Self {
        let call = entry.call;
        Self {
            id: call.id,
            job: entry.job_id,
            team: entry.team_id,
            key: entry.key_id,
            node: entry.node_id,
            status: call.state.word(),
            model: call.alias,
            requested_model: call.requested_model,
            provider: call.provider,
            upstream_model: call.upstream_model,
            purpose: call.purpose,
            input_tokens: call.input_tokens,
            output_tokens: call.output_tokens,
            usage_estimated: call.usage_estimated,
            usage_note: call.usage_note.map(UsageNote::as_str),
            provider_cost_usd: call.provider_cost.dollars(DOLLAR_DECIMALS),
            client_cost_usd: call.client_cost.dollars(DOLLAR_DECIMALS),
            service_tier: call.service_tier.as_str(),
            price: call
                .price
                .as_ref()
                .map(|price| PriceView::new(price, &call.usage)),
            usage: UsageView::new(&call.usage),
            finish_reason: call.finish_reason,
            error_kind: call.error_kind,
            error: call.error,
            latency_ms: call.latency_ms,
            first_token_ms: call.first_token_ms,
            streamed: call.streamed,
            cached: call.cached,
            started_at: call.started_at,
            ended_at: call.ended_at,
        }
    }
}

impl Row for TailView {
    const COLUMNS: &'static [Column] = &[
        words("TIME"),
        words("TEAM"),
        words("JOB"),
        words("MODEL"),
        words("SERVED BY"),
        words("STATUS"),
        numbers("INPUT"),
        numbers("OUTPUT"),
        numbers("MS"),
        words("END"),
    ];

    fn cells(&self) -> Vec<String> {
        let end = self.error_kind.as_ref().or(self.finish_reason.as_ref());
        vec![
            time(self.started_at),
            self.team.to_string(),
            self.job.to_string(),
            self.model.clone(),
            format!("{}/{}", self.provider, self.upstream_model),
            self.status.to_owned(),
            self.input_tokens.to_string(),
            self.output_tokens.to_string(),
            or_dash(self.latency_ms),
            or_dash(end),
        ]
    }
}

/// Does what the verb says.
pub(super) async fn run(session: &Session, output: Output, verb: Verb) -> Result<(), Failure> {
    let Verb::Tail {
        follow,
        filter,
        limit,
        before,
    } = verb;
    let filter = filter.unwrap_or_default();
    let filter = Filter::parse(&VOCABULARY, &filter, session.now())
        .map_err(|why| Failure::Usage(format!("--filter: {why}")))?;
    let newest = newest(session, &filter, limit, before).await?;
    if follow {
        return tail(session, output, &filter, newest).await;
    }
    let is_full = i64::try_from(newest.len()) == Ok(limit);
    let oldest = newest.first().filter(|_| is_full);
    let next = oldest.map(|entry| entry.call.id.to_string());
    let views: Vec<TailView> = newest.into_iter().map(TailView::from).collect();
    output.page(&views, "No calls.", next)
}

/// The newest calls that fit, the newest last; goes back until it has found enough or seen all.
async fn newest(
    session: &Session,
    filter: &Filter,
    limit: i64,
    mut before: Option<CallId>,
) -> Result<Vec<CallEntry>, Failure> {
    let mut found = Vec::new();
    let mut missing = limit;
    loop {
        let step = calls::newest(session.database.pool(), filter, before, missing).await?;
        missing -= i64::try_from(step.calls.len()).unwrap_or(missing);
        found.extend(step.calls);
        match step.reach {
            Some(reach) if missing > 0 => before = Some(reach),
            _ => break,
        }
    }
    found.reverse();
    Ok(found)
}

/// Prints calls that have ended, then each further one when it ends, until nobody reads.
async fn tail(
    session: &Session,
    output: Output,
    filter: &Filter,
    newest: Vec<CallEntry>,
) -> Result<(), Failure> {
    let pool = session.database.pool();
    let is_over = |entry: &CallEntry| entry.call.ended_at.is_some();
    let mut known: BTreeSet<CallId> = calls::begun_since(pool, session.now().minus(LATE))
        .await?
        .into_iter()
        .collect();
    let mut pending: BTreeSet<CallId> = known.clone();
    // What is older than the first ones shown is left to those who ask for more of them.
    if let Some(oldest) = newest.first() {
        pending.retain(|id| *id >= oldest.call.id);
    }
    pending.extend(newest.iter().filter(|e| !is_over(e)).map(|e| e.call.id));
    for entry in newest.into_iter().filter(is_over) {
        pending.remove(&entry.call.id);
        if !output.line(&TailView::from(entry), &WIDTHS)? {
            return Ok(());
        }
    }
    loop {
        tokio::time::sleep(LOOK).await;
        let begun = calls::begun_since(pool, session.now().minus(LATE)).await?;
        pending.extend(begun.iter().filter(|id| !known.contains(*id)));
        known = begun.into_iter().collect();
        let asked: Vec<CallId> = pending.iter().copied().collect();
        let ended = calls::ended(pool, &asked).await?;
        for id in &ended {
            pending.remove(id);
        }
        for entry in calls::by_ids_that(pool, &ended, filter).await? {
            if !output.line(&TailView::from(entry), &WIDTHS)? {
                return Ok(());
            }
        }
    }
}
