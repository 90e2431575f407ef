//! Jobs and calls as rows of lists.

use std::time::Duration;

use ratatui::style::Style;
use serde_json::{Value, json};
use tollgate_common::clock::Timestamp;
use tollgate_common::db::call::list::CallEntry;
use tollgate_common::db::job::list::{JobEntry, Place};
use tollgate_common::id::CallId;
use tollgate_common::job::{CallState, JobState};
use tollgate_common::live::LiveCall;
use tollgate_common::money::NanoUsd;
use tollgate_common::usage_note::UsageNote;

use crate::dashboard::context::Context;
use crate::dashboard::format;
use crate::dashboard::theme::Theme;
use crate::dashboard::widgets::columns::{Column, ONLY_WIDE, numbers, words};
use crate::dashboard::widgets::list::{Cell, Row, cell};

/// Decimals of a dollar in copies.
const DOLLAR_DECIMALS: u32 = 9;

/// A job in the list.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct JobRow {
    /// The job and what its calls come to.
    pub(crate) entry: JobEntry,
    /// Tokens of answers that are under way, as nodes estimate them.
    pub(crate) live_tokens: i64,
}

/// The word for a state, and how it looks. A failure has a sign of its own.
pub(super) const fn job_state(state: JobState, theme: &Theme) -> (&'static str, Style) {
    match state {
        JobState::Pending => ("PENDING", theme.accent),
        JobState::InProgress => ("RUNNING", theme.accent),
        JobState::Completed => ("completed", theme.good),
        JobState::Failed => ("! FAILED", theme.bad),
        JobState::Cancelled => ("x CANCELLED", theme.warn),
    }
}

/// The word for a call's state, and how it looks.
pub(super) const fn call_state(state: CallState, theme: &Theme) -> (&'static str, Style) {
    match state {
        CallState::InFlight => ("IN FLIGHT", theme.accent),
        CallState::Succeeded => ("ok", theme.good),
        CallState::Failed => ("! FAILED", theme.bad),
        CallState::Interrupted => ("! LOST", theme.bad),
    }
}

impl JobRow {
    /// How long it took, or has been open.
    pub(super) fn time(&self, now: Timestamp) -> Duration {
        let job = &self.entry.job;
        job.completed_at.unwrap_or(now).since(job.created_at)
    }

    /// Tokens of its calls, those under way among them.
    pub(super) const fn tokens(&self) -> i64 {
        self.entry.totals.tokens.saturating_add(self.live_tokens)
    }
}

/// A number, or a dash for none.
pub(super) fn number_or_dash(number: i64) -> String {
    if number == 0 {
        "-".to_owned()
    } else {
        format::number(number)
    }
}

fn dollars_json(amount: NanoUsd) -> f64 {
    amount.dollars(DOLLAR_DECIMALS)
}

impl Row for JobRow {
    type Cursor = Place;

    const COLUMNS: &'static [Column] = &[
        words("JOB", 8, 8, 0),
        words("TEAM", 8, 14, 1),
        words("TYPE", 10, 12, 2),
        words("STATUS", 11, 11, 0),
        numbers("CALLS", 5, 4),
        numbers("TOKENS", 9, 6),
        numbers("COST", 9, 7),
        numbers("HELD", 6, 5),
        numbers("CREDITS", 7, 1),
        numbers("TOOK", 6, 8),
        numbers("AGE", 5, 0),
        words("USER", 8, 16, ONLY_WIDE),
        words("ERROR", 10, 30, ONLY_WIDE),
    ];

    fn cursor(&self) -> Place {
        self.entry.place()
    }

    fn id(&self) -> String {
        self.entry.job.id.to_string()
    }

    fn cells(&self, context: &Context) -> Vec<Cell> {
        let theme = &context.theme;
        let (job, totals) = (&self.entry.job, &self.entry.totals);
        let (state, style) = job_state(job.state, theme);
        let calls_style = if totals.failed > 0 {
            theme.warn
        } else {
            theme.text
        };
        let charged = job.charged.map_or_else(|| "-".to_owned(), format::credits);
        vec![
            format::short_id(&self.id()).into(),
            job.team_id.as_str().into(),
            job.job_type.as_str().into(),
            cell(state, style),
            cell(number_or_dash(totals.calls), calls_style),
            number_or_dash(self.tokens()).into(),
            format::dollars(totals.cost).into(),
            number_or_dash(job.hold.0).into(),
            charged.into(),
            cell(format::span(self.time(context.now)), theme.dim),
            format::age(job.created_at, context.now).into(),
            job.user_id.as_deref().unwrap_or("-").into(),
            job.error_message.as_deref().unwrap_or("-").into(),
        ]
    }

    fn json(&self) -> Value {
        let (job, totals) = (&self.entry.job, &self.entry.totals);
        json!({
            "id": job.id,
            "team": job.team_id,
            "org": job.org_id,
            "status": job.state.word(),
            "job_type": job.job_type,
            "user_id": job.user_id,
            "budget_mode": job.terms.mode.word(),
            "held": job.hold.0,
            "charged": job.charged.map(|credits| credits.0),
            "max_credits": job.credits_max.map(|credits| credits.0),
            "error_message": job.error_message,
            "metadata": serde_json::from_str::<Value>(&job.metadata).ok(),
            "calls": totals.calls,
            "succeeded_calls": totals.succeeded,
            "failed_calls": totals.failed,
            "total_tokens": totals.tokens,
            "client_cost_usd": dollars_json(totals.cost),
            "provider_cost_usd": dollars_json(totals.provider_cost),
            "created_at": job.created_at,
            "started_at": job.started_at,
            "completed_at": job.completed_at,
        })
    }
}

/// A call in the list of its job.
#[derive(Debug, Clone)]
pub(crate) struct CallLine {
    /// Which of the job's calls, from 1 on.
    pub(crate) number: i64,
    /// The call.
    pub(crate) entry: CallEntry,
    /// What its node tells of it while it is in flight.
    pub(crate) live: Option<LiveCall>,
}

impl CallLine {
    /// Whether it has not ended.
    pub(super) const fn is_in_flight(&self) -> bool {
        matches!(self.entry.call.state, CallState::InFlight)
    }

    /// How long it took, or has been in flight, in milliseconds.
    pub(super) fn millis(&self, now: Timestamp) -> i64 {
        let call = &self.entry.call;
        let so_far = || now.since(call.started_at).as_millis() as i64;
        call.latency_ms.unwrap_or_else(so_far)
    }

    /// Tokens of prompt and answer; of an answer under way as its node estimates them.
    pub(super) fn tokens(&self) -> i64 {
        let counted = self.entry.call.usage.total();
        let live = self.live.as_ref().map_or(0, |live| live.output_tokens);
        if self.is_in_flight() { live } else { counted }
    }

    /// Who serves it: at present, or in the end.
    pub(super) fn served_by(&self) -> String {
        let call = &self.entry.call;
        if call.cached {
            return "cache".to_owned();
        }
        let now = self.live.as_ref().and_then(|live| live.provider.as_deref());
        let provider = now.unwrap_or(&call.provider);
        format!("{provider}/{}", call.upstream_model)
    }
}

impl Row for CallLine {
    type Cursor = CallId;

    const COLUMNS: &'static [Column] = &[
        numbers("#", 4, 0),
        words("ALIAS", 10, 16, 1),
        words("SERVED BY", 18, 28, 2),
        numbers("FIRST", 6, 4),
        numbers("TOTAL", 6, 0),
        numbers("TOKENS", 9, 3),
        numbers("COST", 9, 5),
        words("STATE", 9, 9, 0),
        words("END", 6, 20, 6),
        words("PURPOSE", 8, 16, ONLY_WIDE),
    ];

    fn cursor(&self) -> CallId {
        self.entry.call.id
    }

    fn id(&self) -> String {
        self.entry.call.id.to_string()
    }

    fn cells(&self, context: &Context) -> Vec<Cell> {
        let call = &self.entry.call;
        let (state, style) = call_state(call.state, &context.theme);
        let first = call.first_token_ms.map(format::millis);
        let tokens = number_or_dash(self.tokens());
        let estimated = if call.usage_estimated || (self.is_in_flight() && tokens != "-") {
            "~"
        } else {
            ""
        };
        let end = call.error_kind.as_ref().or(call.finish_reason.as_ref());
        vec![
            format::number(self.number).into(),
            call.alias.as_str().into(),
            self.served_by().into(),
            first.unwrap_or_else(|| "-".to_owned()).into(),
            format::millis(self.millis(context.now)).into(),
            format!("{estimated}{tokens}").into(),
            format::dollars(call.client_cost).into(),
            cell(state, style),
            end.map_or("-", String::as_str).into(),
            call.purpose.as_deref().unwrap_or("-").into(),
        ]
    }

    fn json(&self) -> Value {
        let (entry, call) = (&self.entry, &self.entry.call);
        json!({
            "id": call.id,
            "job": entry.job_id,
            "team": entry.team_id,
            "key": entry.key_id,
            "node": entry.node_id,
            "status": call.state.word(),
            "model": call.alias,
            "requested_model": call.requested_model,
            "provider": call.provider,
            "upstream_model": call.upstream_model,
            "purpose": call.purpose,
            "input_tokens": call.input_tokens,
            "output_tokens": call.output_tokens,
            "usage_estimated": call.usage_estimated,
            "usage_note": call.usage_note.map(UsageNote::as_str),
            "provider_cost_usd": dollars_json(call.provider_cost),
            "client_cost_usd": dollars_json(call.client_cost),
            "price_version": call.price.as_ref().map(|price| &price.version),
            "finish_reason": call.finish_reason,
            "error_kind": call.error_kind,
            "error": call.error,
            "latency_ms": call.latency_ms,
            "first_token_ms": call.first_token_ms,
            "streamed": call.streamed,
            "cached": call.cached,
            "started_at": call.started_at,
            "ended_at": call.ended_at,
        })
    }
}
