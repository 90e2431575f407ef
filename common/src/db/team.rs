//! SQL of teams.

use std::collections::HashMap;

use sqlx::{AnyConnection, AnyPool};

use super::StoreError;
use super::ledger;
use super::limit::{limit_query, read_limits};
use super::org::read_standing;
use super::rows::Columns;
use crate::clock::Timestamp;
use crate::command::{CommandError, TeamSettings};
use crate::id::{GroupName, OrgId, TeamId};
use crate::job::{BudgetMode, ChargeFailed, Terms};
use crate::ledger::Account;
use crate::money::{CreditRate, Credits, Markup, NanoUsd, Rounding};
use crate::standing::Standing;
use crate::team::Team;

pub mod list;

const INSERT_TEAM: &str = "
    INSERT INTO teams
        (id, org_id, name, status, paused_until, budget_mode, credits_per_dollar,
         tokens_per_credit, markup, default_model, on_disconnect, cache_ttl_seconds,
         requests_per_minute, tokens_per_minute, parallel_calls, created_at, updated_at,
         charge_failed, rounding, job_cost_max)
    VALUES ($1, $2, $3, 'active', NULL, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $14, $15,
            $16, $17)";

const FIND_ORG: &str = "SELECT id FROM organizations WHERE id = $1";

pub(crate) async fn insert(
    connection: &mut AnyConnection,
    id: &TeamId,
    org_id: &OrgId,
    settings: &TeamSettings,
    now: Timestamp,
) -> Result<(), CommandError> {
    let org = sqlx::query(FIND_ORG)
        .bind(org_id.to_string())
        .fetch_optional(&mut *connection)
        .await?;
    if org.is_none() {
        return Err(CommandError::not_found("organization", org_id));
    }
    let rate = settings.credits_per_dollar.unwrap_or(CreditRate::DEFAULT);
    let default_model = settings.default_model.clone().flatten();
    let limits = settings.limits.of_new();
    sqlx::query(INSERT_TEAM)
        .bind(id.to_string())
        .bind(org_id.to_string())
        .bind(settings.name.clone().unwrap_or_else(|| id.to_string()))
        .bind(settings.budget_mode.unwrap_or(BudgetMode::JobBased).word())
        .bind(rate.micros())
        .bind(
            settings
                .tokens_per_credit
                .unwrap_or(Terms::TOKENS_PER_CREDIT_DEFAULT),
        )
        .bind(settings.markup.unwrap_or_default().basis_points())
        .bind(default_model.map(|alias| alias.to_string()))
        .bind(settings.disconnect.unwrap_or_default().word())
        .bind(settings.cache_ttl_seconds.flatten())
        .bind(limits.requests_per_minute)
        .bind(limits.tokens_per_minute)
        .bind(limits.parallel_calls)
        .bind(now.as_micros())
        .bind(settings.charge_failed.flatten().map(ChargeFailed::as_str))
        .bind(settings.rounding.unwrap_or_default().as_str())
        .bind(settings.job_cost_max.flatten().map(|cost| cost.0))
        .execute(&mut *connection)
        .await
        .map_err(|error| CommandError::on_insert(error.into(), "team", id))?;
    let mut account = Account::new(id.clone());
    account.overdraft = settings.overdraft.unwrap_or(Credits::ZERO);
    account.budget_day.limit = settings.budget_day.flatten();
    account.budget_month.limit = settings.budget_month.flatten();
    ledger::insert_account(connection, &account).await?;
    grant(connection, id, settings.groups.as_deref()).await
}

const UPDATE_TEAM: &str = "
    UPDATE teams
    SET name = COALESCE($2, name)
      , budget_mode = COALESCE($3, budget_mode)
      , credits_per_dollar = COALESCE($4, credits_per_dollar)
      , tokens_per_credit = COALESCE($5, tokens_per_credit)
      , markup = COALESCE($6, markup)
      , default_model = CASE WHEN $7 = 1 THEN $8 ELSE default_model END
      , on_disconnect = COALESCE($9, on_disconnect)
      , cache_ttl_seconds = CASE WHEN $10 = 1 THEN $11 ELSE cache_ttl_seconds END
      , updated_at = $12
      , charge_failed = CASE WHEN $13 = 1 THEN $14 ELSE charge_failed END
      , rounding = COALESCE($15, rounding)
      , job_cost_max = CASE WHEN $16 = 1 THEN $17 ELSE job_cost_max END
    WHERE id = $1";

const SET_LIMITS: &str = "
    UPDATE teams
    SET requests_per_minute = CASE WHEN $2 = 1 THEN $3 ELSE requests_per_minute END
      , tokens_per_minute = CASE WHEN $4 = 1 THEN $5 ELSE tokens_per_minute END
      , parallel_calls = CASE WHEN $6 = 1 THEN $7 ELSE parallel_calls END
    WHERE id = $1";

const SET_OVERDRAFT: &str = "
    UPDATE accounts
    SET overdraft = $2, version = version + 1
    WHERE team_id = $1 AND balance - held >= -$2";

const SET_BUDGETS: &str = "
    UPDATE accounts
    SET budget_day = CASE WHEN $2 = 1 THEN $3 ELSE budget_day END
      , budget_month = CASE WHEN $4 = 1 THEN $5 ELSE budget_month END
      , version = version + 1
    WHERE team_id = $1";

/// A budget may be set below what is charged and held: it refuses what comes then.
async fn set_budgets(
    connection: &mut AnyConnection,
    id: &TeamId,
    settings: &TeamSettings,
) -> Result<(), StoreError> {
    let (day, month) = (settings.budget_day, settings.budget_month);
    if day.is_some() || month.is_some() {
        sqlx::query(SET_BUDGETS)
            .bind(id.to_string())
            .bind(i64::from(day.is_some()))
            .bind(day.flatten().map(|credits| credits.0))
            .bind(i64::from(month.is_some()))
            .bind(month.flatten().map(|credits| credits.0))
            .execute(connection)
            .await?;
    }
    Ok(())
}

pub(crate) async fn update(
    connection: &mut AnyConnection,
    id: &TeamId,
    settings: &TeamSettings,
    now: Timestamp,
) -> Result<(), CommandError> {
    let default_model = settings.default_model.clone();
    let result = sqlx::query(UPDATE_TEAM)
        .bind(id.to_string())
        .bind(settings.name.clone())
        .bind(settings.budget_mode.map(|mode| mode.word().to_owned()))
        .bind(settings.credits_per_dollar.map(CreditRate::micros))
        .bind(settings.tokens_per_credit)
        .bind(settings.markup.map(Markup::basis_points))
        .bind(i64::from(default_model.is_some()))
        .bind(default_model.flatten().map(|alias| alias.to_string()))
        .bind(settings.disconnect.map(|policy| policy.word().to_owned()))
        .bind(i64::from(settings.cache_ttl_seconds.is_some()))
        .bind(settings.cache_ttl_seconds.flatten())
        .bind(now.as_micros())
        .bind(i64::from(settings.charge_failed.is_some()))
        .bind(settings.charge_failed.flatten().map(ChargeFailed::as_str))
        .bind(settings.rounding.map(Rounding::as_str))
        .bind(i64::from(settings.job_cost_max.is_some()))
        .bind(settings.job_cost_max.flatten().map(|cost| cost.0))
        .execute(&mut *connection)
        .await?;
    if result.rows_affected() == 0 {
        return Err(CommandError::not_found("team", id));
    }
    limit_query(SET_LIMITS, id.to_string(), &settings.limits)
        .execute(&mut *connection)
        .await?;
    set_budgets(connection, id, settings).await?;
    set_overdraft(connection, id, settings.overdraft).await?;
    grant(connection, id, settings.groups.as_deref()).await
}

async fn set_overdraft(
    connection: &mut AnyConnection,
    id: &TeamId,
    overdraft: Option<Credits>,
) -> Result<(), CommandError> {
    let Some(overdraft) = overdraft else {
        return Ok(());
    };
    let result = sqlx::query(SET_OVERDRAFT)
        .bind(id.to_string())
        .bind(overdraft.0)
        .execute(connection)
        .await?;
    if result.rows_affected() == 0 {
        return Err(CommandError::Refused(format!(
            "the overdraft cannot be lowered to {overdraft}: the team has used more of it"
        )));
    }
    Ok(())
}

const DELETE_GRANTS: &str = "DELETE FROM team_groups WHERE team_id = $1";
const INSERT_GRANT: &str = "
    INSERT INTO team_groups (team_id, group_name)
    SELECT $1, name FROM model_groups WHERE name = $2";

/// Replaces the groups that a team is granted.
async fn grant(
    connection: &mut AnyConnection,
    id: &TeamId,
    groups: Option<&[GroupName]>,
) -> Result<(), CommandError> {
    let Some(groups) = groups else { return Ok(()) };
    sqlx::query(DELETE_GRANTS)
        .bind(id.to_string())
        .execute(&mut *connection)
        .await?;
    for group in groups {
        let result = sqlx::query(INSERT_GRANT)
            .bind(id.to_string())
            .bind(group.to_string())
            .execute(&mut *connection)
            .await?;
        if result.rows_affected() == 0 {
            return Err(CommandError::not_found("group", group));
        }
    }
    Ok(())
}

const SET_STANDING: &str = "
    UPDATE teams
    SET status = $2, paused_until = $3, updated_at = $4
    WHERE id = $1";

pub(crate) async fn set_standing(
    connection: &mut AnyConnection,
    id: &TeamId,
    standing: Standing,
    now: Timestamp,
) -> Result<(), CommandError> {
    let result = sqlx::query(SET_STANDING)
        .bind(id.to_string())
        .bind(standing.word())
        .bind(standing.paused_until().map(Timestamp::as_micros))
        .bind(now.as_micros())
        .execute(connection)
        .await?;
    if result.rows_affected() == 0 {
        return Err(CommandError::not_found("team", id));
    }
    Ok(())
}

macro_rules! team_columns {
    () => {
        "t.id, t.org_id, t.name, t.status, t.paused_until, t.budget_mode, t.credits_per_dollar, \
         t.tokens_per_credit, t.markup, t.default_model, t.on_disconnect, t.cache_ttl_seconds, \
         t.requests_per_minute, t.tokens_per_minute, t.parallel_calls, t.created_at, t.updated_at, \
         t.charge_failed, t.rounding, t.job_cost_max"
    };
}
use team_columns;

const LIST_TEAMS: &str = concat!("SELECT ", team_columns!(), " FROM teams AS t ORDER BY t.id");

const LIST_GRANTS: &str = "SELECT team_id, group_name FROM team_groups ORDER BY group_name";

/// All teams by id, with the groups that they are granted.
pub async fn list(pool: &AnyPool) -> Result<Vec<Team>, StoreError> {
    let rows = sqlx::query(LIST_TEAMS).fetch_all(pool).await?;
    let mut teams: Vec<Team> = rows
        .iter()
        .map(|row| read_team(&mut Columns::of(row)))
        .collect::<Result<_, _>>()?;
    let mut groups: HashMap<TeamId, Vec<GroupName>> = HashMap::new();
    for row in &sqlx::query(LIST_GRANTS).fetch_all(pool).await? {
        let mut columns = Columns::of(row);
        groups
            .entry(columns.parse()?)
            .or_default()
            .push(columns.parse()?);
    }
    for team in &mut teams {
        team.groups = groups.remove(&team.id).unwrap_or_default();
    }
    Ok(teams)
}

fn read_team(columns: &mut Columns<'_>) -> Result<Team, StoreError> {
    let mut team = Team {
        id: columns.parse()?,
        org_id: columns.parse()?,
        name: columns.take()?,
        standing: read_standing(columns)?,
        terms: Terms {
            mode: columns.parse()?,
            credits_per_dollar: CreditRate::from_micros(columns.take()?),
            tokens_per_credit: columns.take()?,
            markup: Markup::from_basis_points(columns.take()?),
            charge_failed: ChargeFailed::Never,
            rounding: Rounding::Down,
            job_cost_max: None,
        },
        charge_failed: None,
        default_model: columns.parse_optional()?,
        groups: Vec::new(),
        disconnect: columns.parse()?,
        cache_ttl_seconds: columns.take()?,
        limits: read_limits(columns)?,
        created_at: columns.time()?,
        updated_at: columns.time()?,
    };
    team.charge_failed = columns.parse_optional()?;
    let terms = &mut team.terms;
    terms.charge_failed = team
        .charge_failed
        .unwrap_or_else(|| ChargeFailed::default_of(terms.mode));
    terms.rounding = columns.parse()?;
    terms.job_cost_max = columns.take::<Option<i64>>()?.map(NanoUsd);
    Ok(team)
}
