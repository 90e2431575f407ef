//! Jobs and calls as administrators see them.

use serde::Serialize;
use serde_json::Value;
use tollgate_common::clock::Timestamp;
use tollgate_common::db::call::CallRow;
use tollgate_common::db::job::JobTotals;
use tollgate_common::id::{CallId, JobId, OrgId, TeamId};
use tollgate_common::job::Job;
use tollgate_common::money::{Credits, NanoUsd};
use tollgate_common::usage_note::UsageNote;

use crate::cli::charge::{PriceView, UsageView};
use crate::cli::output::{
    Column, Row, Show, dollars, numbers, optional_time, or_dash, time, words,
};

/// How many decimals of a dollar are shown.
const DOLLAR_DECIMALS: u32 = 6;

/// A job.
#[derive(Debug, Serialize)]
pub(super) struct JobView {
    id: JobId,
    team: TeamId,
    org: OrgId,
    status: &'static str,
    job_type: String,
    user_id: Option<String>,
    budget_mode: &'static str,
    held: Credits,
    charged: Option<Credits>,
    max_credits: Option<Credits>,
    error_message: Option<String>,
    metadata: Value,
    created_at: Timestamp,
    started_at: Option<Timestamp>,
    completed_at: Option<Timestamp>,
}

impl From<Job> for JobView {
    fn from(job: Job) -> Self {
        Self {
            id: job.id,
            team: job.team_id,
            org: job.org_id,
            status: job.state.word(),
            job_type: job.job_type,
            user_id: job.user_id,
            budget_mode: job.terms.mode.word(),
            held: job.hold,
            charged: job.charged,
            max_credits: job.credits_max,
            error_message: job.error_message,
            metadata: serde_json::from_str(&job.metadata).unwrap_or(Value::Null),
            created_at: job.created_at,
            started_at: job.started_at,
            completed_at: job.completed_at,
        }
    }
}

impl Row for JobView {
    const COLUMNS: &'static [Column] = &[
        words("ID"),
        words("TEAM"),
        words("STATUS"),
        words("TYPE"),
        numbers("HELD"),
        numbers("CHARGED"),
        words("CREATED"),
        words("COMPLETED"),
    ];

    fn cells(&self) -> Vec<String> {
        vec![
            self.id.to_string(),
            self.team.to_string(),
            self.status.to_owned(),
            self.job_type.clone(),
            self.held.to_string(),
            or_dash(self.charged),
            time(self.created_at),
            optional_time(self.completed_at),
        ]
    }
}

/// A call.
#[derive(Debug, Serialize)]
pub(super) struct CallView {
    id: CallId,
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
    price_version: Option<String>,
    service_tier: &'static str,
    price: Option<PriceView>,
    usage: UsageView,
    finish_reason: Option<String>,
    error_kind: Option<String>,
    error: Option<String>,
    latency_ms: Option<i64>,
    started_at: Timestamp,
    ended_at: Option<Timestamp>,
}

impl From<CallRow> for CallView {
    fn from(call: CallRow) -> Self {
        Self {
            id: call.id,
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
            price_version: call.price.as_ref().map(|price| price.version.clone()),
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
            started_at: call.started_at,
            ended_at: call.ended_at,
        }
    }
}

impl Row for CallView {
    const COLUMNS: &'static [Column] = &[
        words("CALL"),
        words("STATUS"),
        words("MODEL"),
        words("PROVIDER"),
        words("UPSTREAM MODEL"),
        numbers("INPUT"),
        numbers("OUTPUT"),
        numbers("PROVIDER $"),
        numbers("CLIENT $"),
        numbers("MS"),
        words("ERROR"),
    ];

    fn cells(&self) -> Vec<String> {
        vec![
            self.id.to_string(),
            self.status.to_owned(),
            self.model.clone(),
            self.provider.clone(),
            self.upstream_model.clone(),
            self.input_tokens.to_string(),
            self.output_tokens.to_string(),
            format!("{:.6}", self.provider_cost_usd),
            format!("{:.6}", self.client_cost_usd),
            or_dash(self.latency_ms),
            // A call whose caller has left may well have succeeded: then only the kind is told.
            or_dash(self.error.as_ref().or(self.error_kind.as_ref())),
        ]
    }
}

/// A job with its calls and what they add up to.
#[derive(Debug, Serialize)]
pub(super) struct JobDetail {
    #[serde(flatten)]
    job: JobView,
    refunded: Credits,
    total_calls: i64,
    succeeded_calls: i64,
    total_tokens: i64,
    provider_cost_usd: f64,
    client_cost_usd: f64,
    calls: Vec<CallView>,
    #[serde(skip)]
    provider_cost: NanoUsd,
    #[serde(skip)]
    client_cost: NanoUsd,
}

impl JobDetail {
    /// Adds up the calls of a job.
    pub(super) fn new(job: Job, refunded: Credits, calls: Vec<CallRow>) -> Self {
        let totals = JobTotals::of(&calls);
        let provider_cost = calls
            .iter()
            .fold(NanoUsd::ZERO, |sum, call| sum.plus(call.provider_cost));
        Self {
            job: JobView::from(job),
            refunded,
            total_calls: totals.calls,
            succeeded_calls: totals.succeeded,
            total_tokens: totals.tokens,
            provider_cost_usd: provider_cost.dollars(DOLLAR_DECIMALS),
            client_cost_usd: totals.cost.dollars(DOLLAR_DECIMALS),
            calls: calls.into_iter().map(CallView::from).collect(),
            provider_cost,
            client_cost: totals.cost,
        }
    }

    /// The calls in the order in which they began.
    pub(super) fn calls(&self) -> &[CallView] {
        &self.calls
    }
}

impl Show for JobDetail {
    fn fields(&self) -> Vec<(&'static str, String)> {
        let job = &self.job;
        vec![
            ("id", job.id.to_string()),
            ("team", job.team.to_string()),
            ("org", job.org.to_string()),
            ("status", job.status.to_owned()),
            ("type", job.job_type.clone()),
            ("user", or_dash(job.user_id.as_ref())),
            ("budget mode", job.budget_mode.to_owned()),
            ("held", job.held.to_string()),
            ("charged", or_dash(job.charged)),
            ("refunded", self.refunded.to_string()),
            ("max credits", or_dash(job.max_credits)),
            ("error", or_dash(job.error_message.as_ref())),
            ("metadata", job.metadata.to_string()),
            ("created", time(job.created_at)),
            ("started", optional_time(job.started_at)),
            ("completed", optional_time(job.completed_at)),
            ("calls", self.total_calls.to_string()),
            ("succeeded", self.succeeded_calls.to_string()),
            ("tokens", self.total_tokens.to_string()),
            ("provider cost $", dollars(self.provider_cost)),
            ("client cost $", dollars(self.client_cost)),
        ]
    }
}
