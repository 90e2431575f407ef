//! `/api/credits`: what a team has, and what became of it.

use axum::Json;
use axum::extract::{Query, State};
use serde::Deserialize;
use serde_json::{Value, json};
use tollgate_common::db::ledger::{self, EntryRow};
use tollgate_common::ledger::{Account, Window};
use tollgate_common::money::Credits;

use super::{Segment, Shared};
use crate::error::{ApiError, FieldProblem};
use crate::services::Services;
use crate::steps::authenticate::Caller;

/// How many transactions are listed unless the caller says otherwise, and at most.
const TRANSACTIONS_DEFAULT: i64 = 50;
const TRANSACTIONS_MAX: i64 = 1_000;

/// Refuses callers that ask about another team, whether it exists or not.
pub(super) fn require_own(caller: &Caller, team: &str, what: &str) -> Result<(), ApiError> {
    if caller.team.id.as_str() == team {
        return Ok(());
    }
    Err(ApiError::Forbidden(format!(
        "Cannot {what} for a different team"
    )))
}

async fn account_of(services: &Services, caller: &Caller) -> Result<Account, ApiError> {
    let account = ledger::find_account(services.database.pool(), &caller.team.id).await?;
    account.ok_or_else(|| {
        tollgate_common::db::work::WorkError::NoAccount(caller.team.id.clone()).into()
    })
}

/// `GET /api/credits/teams/{team_id}/balance`. The operator's markup is not the team's to see.
pub(crate) async fn balance(
    State(services): Shared,
    caller: Caller,
    Segment(team): Segment,
) -> Result<Json<Value>, ApiError> {
    require_own(&caller, &team, "access credit balance")?;
    let account = account_of(&services, &caller).await?;
    let team = &caller.team;
    let now = services.clock.now();
    let standing = caller.snapshot.policy.standing(team, now);
    Ok(Json(json!({
        "team_id": team.id,
        "organization_id": team.org_id,
        "credits_allocated": account.allocated,
        "credits_used": account.used,
        "credits_remaining": account.balance,
        "credits_held": account.held,
        "credits_available": account.available(),
        "credits_owed": account.owed,
        "budget_day": account.budget_day.limit,
        "used_today": account.charged_in(Window::Day, now),
        "budget_month": account.budget_month.limit,
        "used_this_month": account.charged_in(Window::Month, now),
        "credit_limit": null,
        "auto_refill": false,
        "refill_amount": null,
        "refill_period": null,
        "last_refill_at": null,
        "budget_mode": team.terms.mode.word(),
        "credits_per_dollar": team.terms.credits_per_dollar.as_f64(),
        "tokens_per_credit": team.terms.tokens_per_credit,
        "cost_markup_percentage": null,
        "status": standing.word(),
        "created_at": team.created_at,
        "updated_at": team.updated_at,
    })))
}

/// Query of the list of transactions.
#[derive(Debug, Deserialize)]
pub(crate) struct TransactionsQuery {
    limit: Option<String>,
    before: Option<String>,
}

/// `GET /api/credits/teams/{team_id}/transactions`: newest first; `next_before` leads to the rest.
pub(crate) async fn transactions(
    State(services): Shared,
    caller: Caller,
    Segment(team): Segment,
    query: Result<Query<TransactionsQuery>, axum::extract::rejection::QueryRejection>,
) -> Result<Json<Value>, ApiError> {
    require_own(&caller, &team, "access credit transactions")?;
    let Query(query) = query.map_err(|error| ApiError::MalformedRequest(error.to_string()))?;
    let limit = query_number("limit", query.limit.as_deref(), 1, TRANSACTIONS_MAX)?;
    let limit = limit.unwrap_or(TRANSACTIONS_DEFAULT);
    let before = query_number("before", query.before.as_deref(), 1, i64::MAX)?;
    let pool = services.database.pool();
    let entries = ledger::list_entries(pool, &caller.team.id, before, limit).await?;
    let account = account_of(&services, &caller).await?;
    let next_before = entries
        .last()
        .map(|entry| entry.number)
        .filter(|number| *number > 1);
    let listed: Vec<Value> = entries
        .iter()
        .map(|entry| transaction(&caller, entry))
        .collect();
    Ok(Json(json!({
        "team_id": caller.team.id,
        "total": account.entry_count,
        "transactions": listed,
        "next_before": next_before,
    })))
}

/// Amounts of deductions are positive, as clients of this API expect; `before` and `after` tell the
/// direction.
fn transaction(caller: &Caller, entry: &EntryRow) -> Value {
    let amount = match entry.kind.as_str() {
        "deduction" | "overrun" => Credits(entry.amount.0.abs()),
        _ => entry.amount,
    };
    json!({
        "transaction_id": format!("{}-{}", caller.team.id, entry.number),
        "team_id": caller.team.id,
        "organization_id": caller.team.org_id,
        "job_id": entry.job_id,
        "transaction_type": entry.kind,
        "credits_amount": amount,
        "credits_before": entry.before,
        "credits_after": entry.after,
        "reason": entry.reason,
        "created_at": entry.at,
    })
}

/// Query of the check.
#[derive(Debug, Deserialize)]
pub(crate) struct CheckQuery {
    credits_needed: Option<String>,
}

/// `POST /api/credits/teams/{team_id}/check`: whether so much could be spent now. Holds nothing.
pub(crate) async fn check(
    State(services): Shared,
    caller: Caller,
    Segment(team): Segment,
    query: Result<Query<CheckQuery>, axum::extract::rejection::QueryRejection>,
) -> Result<Json<Value>, ApiError> {
    require_own(&caller, &team, "check credits")?;
    let Query(query) = query.map_err(|error| ApiError::MalformedRequest(error.to_string()))?;
    let text = query.credits_needed.as_deref();
    let needed = query_number("credits_needed", text, 1, i64::MAX)?.unwrap_or(1);
    let account = account_of(&services, &caller).await?;
    let now = services.clock.now();
    let required = account.require_no_debt();
    let required = required.and_then(|()| account.require(Credits(needed), now));
    let Err(error) = required else {
        return Ok(Json(json!({
            "team_id": caller.team.id,
            "has_credits": true,
            "credits_remaining": account.available(),
            "credits_needed": needed,
        })));
    };
    Ok(Json(json!({
        "team_id": caller.team.id,
        "has_credits": false,
        "error": error.to_string(),
        "credits_needed": needed,
    })))
}

/// Reads a whole number of a query, if it is there.
pub(super) fn query_number(
    name: &str,
    text: Option<&str>,
    least: i64,
    most: i64,
) -> Result<Option<i64>, ApiError> {
    let Some(text) = text else { return Ok(None) };
    match text.parse::<i64>() {
        Ok(number) if (least..=most).contains(&number) => Ok(Some(number)),
        _ => Err(ApiError::InvalidFields(vec![FieldProblem {
            location: vec![json!("query"), json!(name)],
            message: if most == i64::MAX {
                format!("must be a whole number of at least {least}")
            } else {
                format!("must be a whole number from {least} to {most}")
            },
            kind: "int_range",
        }])),
    }
}
