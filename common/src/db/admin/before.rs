//! Reads what a change is about to replace, for the audit log: as the command that would set what
//! is there now, so that both are recorded in the same words.

use serde_json::{Map, Value};
use sqlx::AnyConnection;
use sqlx::any::AnyRow;

use crate::command::{Command, KeySettings, ModelSettings, ProviderRef, TeamSettings};
use crate::db::StoreError;
use crate::db::limit::read_limits;
use crate::db::model::{read_card, read_timeout};
use crate::db::org::read_standing;
use crate::db::provider::org_column;
use crate::db::rows::Columns;
use crate::id::{GroupName, ModelAlias, TeamId};
use crate::limit::{LimitSettings, Limits};
use crate::model::Fallback;
use crate::money::{CreditRate, Credits, Markup, NanoUsd};

/// What a command is about to replace, with the keys of its detail; nothing for what adds or ends
/// something, or has no target.
pub(super) async fn of(
    connection: &mut AnyConnection,
    command: &Command,
) -> Result<Option<Value>, StoreError> {
    let present = present(connection, command).await?;
    let detail = present.map(|command| command.detail());
    Ok(match command {
        // Of settings, what is null stays as it is.
        Command::SetTeam { .. } | Command::SetKey { .. } | Command::SetModel { .. } => {
            detail.map(|detail| masked(detail, &command.detail()))
        }
        _ => detail,
    })
}

/// Keeps of `before` what `detail` changes.
fn masked(before: Value, detail: &Value) -> Value {
    let Value::Object(fields) = before else {
        return before;
    };
    let kept = fields.into_iter().filter_map(|(key, value)| {
        let value = match detail.get(&key)? {
            Value::Null => return None,
            inner if key == "limits" => masked(value, inner),
            _ => value,
        };
        let is_empty = value.as_object().is_some_and(Map::is_empty);
        (!is_empty).then_some((key, value))
    });
    Value::Object(kept.collect())
}

/// The command that would set what is there now.
async fn present(
    connection: &mut AnyConnection,
    command: &Command,
) -> Result<Option<Command>, StoreError> {
    match command {
        Command::RenameOrg { id, .. } => {
            let row = one(connection, ORG_NAME, id).await?;
            let command = |name| Command::RenameOrg {
                id: id.clone(),
                name,
            };
            read(row, |columns| columns.take().map(command))
        }
        Command::SetOrgStanding { id, .. } => {
            let row = one(connection, ORG_STANDING, id).await?;
            let command = |standing| Command::SetOrgStanding {
                id: id.clone(),
                standing,
            };
            read(row, |columns| read_standing(columns).map(command))
        }
        Command::SetTeamStanding { id, .. } => {
            let row = one(connection, TEAM_STANDING, id).await?;
            let command = |standing| Command::SetTeamStanding {
                id: id.clone(),
                standing,
            };
            read(row, |columns| read_standing(columns).map(command))
        }
        Command::SetTeam { id, .. } => team(connection, id).await,
        Command::SetKey { id, .. } => {
            let row = one(connection, KEY_SETTINGS, id).await?;
            let command = |settings| Command::SetKey {
                id: id.clone(),
                settings,
            };
            read(row, |columns| key_settings(columns).map(command))
        }
        Command::SetModel { alias, .. } | Command::RemoveModel { alias } => {
            model(connection, alias).await
        }
        Command::SetProvider { provider, .. }
        | Command::SetPassFields { provider, .. }
        | Command::EnableProvider { provider, .. }
        | Command::RemoveProvider { provider } => {
            let row = sqlx::query(PROVIDER_SETTINGS)
                .bind(org_column(provider))
                .bind(provider.name.to_string())
                .fetch_optional(connection)
                .await?;
            read(row, |columns| provider_command(columns, provider, command))
        }
        Command::EnableCredential { id, .. } => {
            let row = one(connection, CREDENTIAL_ENABLED, id).await?;
            let command = |enabled| Command::EnableCredential { id: *id, enabled };
            read(row, |columns| columns.flag().map(command))
        }
        _ => Ok(None),
    }
}

async fn one(
    connection: &mut AnyConnection,
    sql: &'static str,
    id: &impl ToString,
) -> Result<Option<AnyRow>, StoreError> {
    let query = sqlx::query(sql).bind(id.to_string());
    Ok(query.fetch_optional(connection).await?)
}

fn read<T>(
    row: Option<AnyRow>,
    read: impl FnOnce(&mut Columns<'_>) -> Result<T, StoreError>,
) -> Result<Option<T>, StoreError> {
    row.map(|row| read(&mut Columns::of(&row))).transpose()
}

const ORG_NAME: &str = "SELECT name FROM organizations WHERE id = $1";
const ORG_STANDING: &str = "SELECT status, paused_until FROM organizations WHERE id = $1";
const TEAM_STANDING: &str = "SELECT status, paused_until FROM teams WHERE id = $1";

const TEAM_SETTINGS: &str = "
    SELECT t.name, t.budget_mode, t.credits_per_dollar, t.tokens_per_credit, t.markup,
           t.default_model, t.on_disconnect, t.cache_ttl_seconds, t.requests_per_minute,
           t.tokens_per_minute, t.parallel_calls, a.overdraft, a.budget_day, a.budget_month,
           t.charge_failed, t.rounding, t.job_cost_max
    FROM teams AS t
    JOIN accounts AS a ON a.team_id = t.id
    WHERE t.id = $1";

const TEAM_GROUPS: &str =
    "SELECT group_name FROM team_groups WHERE team_id = $1 ORDER BY group_name";

async fn team(connection: &mut AnyConnection, id: &TeamId) -> Result<Option<Command>, StoreError> {
    let row = one(connection, TEAM_SETTINGS, id).await?;
    let Some(mut settings) = read(row, team_settings)? else {
        return Ok(None);
    };
    let rows = sqlx::query(TEAM_GROUPS)
        .bind(id.to_string())
        .fetch_all(connection)
        .await?;
    let groups: Result<Vec<GroupName>, _> =
        rows.iter().map(|row| Columns::of(row).parse()).collect();
    settings.groups = Some(groups?);
    Ok(Some(Command::SetTeam {
        id: id.clone(),
        settings,
    }))
}

fn team_settings(columns: &mut Columns<'_>) -> Result<TeamSettings, StoreError> {
    Ok(TeamSettings {
        name: Some(columns.take()?),
        budget_mode: Some(columns.parse()?),
        credits_per_dollar: Some(CreditRate::from_micros(columns.take()?)),
        tokens_per_credit: Some(columns.take()?),
        markup: Some(Markup::from_basis_points(columns.take()?)),
        default_model: Some(columns.parse_optional()?),
        groups: None,
        disconnect: Some(columns.parse()?),
        cache_ttl_seconds: Some(columns.take()?),
        limits: present_limits(read_limits(columns)?),
        overdraft: Some(Credits(columns.take()?)),
        budget_day: Some(columns.take::<Option<i64>>()?.map(Credits)),
        budget_month: Some(columns.take::<Option<i64>>()?.map(Credits)),
        charge_failed: Some(columns.parse_optional()?),
        rounding: Some(columns.parse()?),
        job_cost_max: Some(columns.take::<Option<i64>>()?.map(NanoUsd)),
    })
}

const fn present_limits(limits: Limits) -> LimitSettings {
    LimitSettings {
        requests_per_minute: Some(limits.requests_per_minute),
        tokens_per_minute: Some(limits.tokens_per_minute),
        parallel_calls: Some(limits.parallel_calls),
    }
}

const KEY_SETTINGS: &str = "
    SELECT label, expires_at, requests_per_minute, tokens_per_minute, parallel_calls
    FROM virtual_keys
    WHERE id = $1";

fn key_settings(columns: &mut Columns<'_>) -> Result<KeySettings, StoreError> {
    Ok(KeySettings {
        label: columns.take()?,
        expires_at: Some(columns.optional_time()?),
        limits: present_limits(read_limits(columns)?),
    })
}

const MODEL_SETTINGS: &str = "
    SELECT provider_name, upstream_model, rate_card, output_tokens_max, weight, timeout_ms
    FROM models
    WHERE alias = $1";

const MODEL_FALLBACKS: &str = "
    SELECT fallback, priority, weight
    FROM model_fallbacks
    WHERE alias = $1
    ORDER BY priority, fallback";

async fn model(
    connection: &mut AnyConnection,
    alias: &ModelAlias,
) -> Result<Option<Command>, StoreError> {
    let row = one(connection, MODEL_SETTINGS, alias).await?;
    let Some(mut settings) = read(row, model_settings)? else {
        return Ok(None);
    };
    let rows = sqlx::query(MODEL_FALLBACKS)
        .bind(alias.to_string())
        .fetch_all(connection)
        .await?;
    let fallbacks = rows.iter().map(|row| {
        let mut columns = Columns::of(row);
        Ok::<_, StoreError>(Fallback {
            alias: columns.parse()?,
            priority: columns.take()?,
            weight: columns.take()?,
        })
    });
    settings.fallbacks = Some(fallbacks.collect::<Result<_, _>>()?);
    Ok(Some(Command::SetModel {
        alias: alias.clone(),
        settings,
    }))
}

fn model_settings(columns: &mut Columns<'_>) -> Result<ModelSettings, StoreError> {
    Ok(ModelSettings {
        provider: Some(columns.parse()?),
        upstream_model: Some(columns.take()?),
        price: Some(read_card(columns)?),
        output_tokens_max: columns.take()?,
        weight: Some(columns.take()?),
        timeout: Some(read_timeout(columns)?),
        fallbacks: None,
    })
}

const PROVIDER_SETTINGS: &str =
    "SELECT base_url, enabled, pass_fields FROM providers WHERE org_id = $1 AND name = $2";

const CREDENTIAL_ENABLED: &str = "SELECT enabled FROM provider_credentials WHERE id = $1";

fn provider_command(
    columns: &mut Columns<'_>,
    provider: &ProviderRef,
    command: &Command,
) -> Result<Command, StoreError> {
    let (provider, base_url) = (provider.clone(), columns.parse()?);
    let enabled = columns.flag()?;
    let pass_fields = columns.parse()?;
    Ok(match command {
        Command::SetPassFields { .. } => Command::SetPassFields {
            provider,
            pass_fields,
        },
        Command::EnableProvider { .. } => Command::EnableProvider { provider, enabled },
        _ => Command::SetProvider { provider, base_url },
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_changes_is_kept() {
        let before = json!({
            "name": "Old", "markup": "5", "default_model": "none",
            "limits": { "requests_per_minute": 60, "parallel_calls": "none" },
        });
        let detail = json!({
            "name": "New", "markup": null, "default_model": "m",
            "limits": { "requests_per_minute": "none", "parallel_calls": null },
        });
        let expected = json!({
            "name": "Old", "default_model": "none", "limits": { "requests_per_minute": 60 },
        });
        assert_eq!(masked(before, &detail), expected);
        let untouched = json!({ "limits": { "requests_per_minute": 60 } });
        let other = json!({ "name": "N", "limits": { "requests_per_minute": null } });
        assert_eq!(masked(untouched, &other), json!({}));
    }
}
