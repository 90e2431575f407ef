//! SQL of models and groups of models.

use std::collections::HashMap;
use std::time::Duration;

use sqlx::{AnyConnection, AnyPool};

use super::rows::Columns;
use super::{StoreError, price};
use crate::clock::Timestamp;
use crate::command::{Command, CommandError, ModelSettings};
use crate::id::{GroupName, ModelAlias, ProviderName};
use crate::model::{Model, ProviderAt, Resolved, TIMEOUTS};
use crate::price::RateCard;
use crate::provider::{BaseUrl, Provider, ProviderKind};

mod fallback;
pub mod group;
pub mod list;

pub(crate) async fn apply(
    connection: &mut AnyConnection,
    command: &Command,
    now: Timestamp,
) -> Result<(), CommandError> {
    match command {
        Command::AddModel { alias, settings } => {
            insert(connection, alias, settings, now).await?;
            fallback::replace(connection, alias, settings.fallbacks.as_deref()).await
        }
        Command::SetModel { alias, settings } => {
            update(connection, alias, settings, now).await?;
            fallback::replace(connection, alias, settings.fallbacks.as_deref()).await
        }
        Command::RemoveModel { alias } => delete(connection, alias).await,
        Command::CreateGroup { name, models } => {
            insert_group(connection, name, now).await?;
            for alias in models {
                add_member(connection, name, alias).await?;
            }
            Ok(())
        }
        Command::AddToGroup { name, alias } => add_member(connection, name, alias).await,
        Command::RemoveFromGroup { name, alias } => remove_member(connection, name, alias).await,
        _ => Ok(()),
    }
}

const FIND_PROVIDER: &str = "SELECT name FROM providers WHERE name = $1 LIMIT 1";

async fn require_provider(
    connection: &mut AnyConnection,
    name: &ProviderName,
) -> Result<(), CommandError> {
    let found = sqlx::query(FIND_PROVIDER)
        .bind(name.to_string())
        .fetch_optional(connection)
        .await?;
    found
        .map(|_| ())
        .ok_or_else(|| CommandError::not_found("provider", name))
}

const INSERT_MODEL: &str = "
    INSERT INTO models
        (alias, provider_name, upstream_model, rate_card, output_tokens_max, weight, created_at,
         updated_at, price_set_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $7, CASE WHEN $4 IS NULL THEN NULL ELSE $7 END)";

/// The share of a model that nobody has given another.
const DEFAULT_WEIGHT: i64 = 1;

async fn insert(
    connection: &mut AnyConnection,
    alias: &ModelAlias,
    settings: &ModelSettings,
    now: Timestamp,
) -> Result<(), CommandError> {
    let (Some(provider), Some(upstream_model)) = (&settings.provider, &settings.upstream_model)
    else {
        let message = "a model needs a provider and an upstream model";
        return Err(CommandError::Conflict(message.to_owned()));
    };
    require_provider(connection, provider).await?;
    sqlx::query(INSERT_MODEL)
        .bind(alias.to_string())
        .bind(provider.to_string())
        .bind(upstream_model.clone())
        .bind(stored_card(settings.price.as_ref())?)
        .bind(settings.output_tokens_max)
        .bind(settings.weight.unwrap_or(DEFAULT_WEIGHT))
        .bind(now.as_micros())
        .execute(&mut *connection)
        .await
        .map_err(|error| CommandError::on_insert(error.into(), "model", alias))?;
    set_timeout(connection, alias, settings).await
}

const UPDATE_TIMEOUT: &str = "UPDATE models SET timeout_ms = $2 WHERE alias = $1";

/// Sets how long a model's answers may take, if that is to change.
async fn set_timeout(
    connection: &mut AnyConnection,
    alias: &ModelAlias,
    settings: &ModelSettings,
) -> Result<(), CommandError> {
    let Some(timeout) = settings.timeout else {
        return Ok(());
    };
    if timeout.is_some_and(|timeout| !TIMEOUTS.contains(&timeout)) {
        let message = "a model's time-out is from 1 second to 24 hours";
        return Err(CommandError::Conflict(message.to_owned()));
    }
    let millis = timeout.and_then(|timeout| i64::try_from(timeout.as_millis()).ok());
    sqlx::query(UPDATE_TIMEOUT)
        .bind(alias.to_string())
        .bind(millis)
        .execute(connection)
        .await?;
    Ok(())
}

const UPDATE_MODEL: &str = "
    UPDATE models
    SET provider_name = COALESCE($2, provider_name)
      , upstream_model = COALESCE($3, upstream_model)
      , rate_card = CASE WHEN $4 = 1 THEN $5 ELSE rate_card END
      , price_set_at = CASE WHEN $4 = 1 THEN $8 ELSE price_set_at END
      , output_tokens_max = COALESCE($6, output_tokens_max)
      , weight = COALESCE($7, weight)
      , updated_at = $8
    WHERE alias = $1";

async fn update(
    connection: &mut AnyConnection,
    alias: &ModelAlias,
    settings: &ModelSettings,
    now: Timestamp,
) -> Result<(), CommandError> {
    if let Some(provider) = &settings.provider {
        require_provider(connection, provider).await?;
    }
    let result = sqlx::query(UPDATE_MODEL)
        .bind(alias.to_string())
        .bind(settings.provider.as_ref().map(ToString::to_string))
        .bind(settings.upstream_model.clone())
        .bind(i64::from(settings.price.is_some()))
        .bind(stored_card(settings.price.as_ref())?)
        .bind(settings.output_tokens_max)
        .bind(settings.weight)
        .bind(now.as_micros())
        .execute(&mut *connection)
        .await?;
    found(result.rows_affected(), "model", alias)?;
    set_timeout(connection, alias, settings).await
}

const DELETE_MEMBERSHIPS: &str = "DELETE FROM model_group_members WHERE alias = $1";
const FORGET_DEFAULT: &str = "UPDATE teams SET default_model = NULL WHERE default_model = $1";
const DELETE_MODEL: &str = "DELETE FROM models WHERE alias = $1";

async fn delete(connection: &mut AnyConnection, alias: &ModelAlias) -> Result<(), CommandError> {
    for sql in [DELETE_MEMBERSHIPS, FORGET_DEFAULT] {
        sqlx::query(sql)
            .bind(alias.to_string())
            .execute(&mut *connection)
            .await?;
    }
    let result = sqlx::query(DELETE_MODEL)
        .bind(alias.to_string())
        .execute(connection)
        .await?;
    found(result.rows_affected(), "model", alias)
}

const INSERT_GROUP: &str = "INSERT INTO model_groups (name, created_at) VALUES ($1, $2)";

async fn insert_group(
    connection: &mut AnyConnection,
    name: &GroupName,
    now: Timestamp,
) -> Result<(), CommandError> {
    sqlx::query(INSERT_GROUP)
        .bind(name.to_string())
        .bind(now.as_micros())
        .execute(connection)
        .await
        .map_err(|error| CommandError::on_insert(error.into(), "group", name))?;
    Ok(())
}

const FIND_GROUP: &str = "SELECT name FROM model_groups WHERE name = $1";

const INSERT_MEMBER: &str = "
    INSERT INTO model_group_members (group_name, alias, position)
    SELECT $1, alias,
           (SELECT COALESCE(MAX(position), 0) + 1 FROM model_group_members WHERE group_name = $1)
    FROM models
    WHERE alias = $2";

async fn add_member(
    connection: &mut AnyConnection,
    name: &GroupName,
    alias: &ModelAlias,
) -> Result<(), CommandError> {
    let group = sqlx::query(FIND_GROUP)
        .bind(name.to_string())
        .fetch_optional(&mut *connection);
    if group.await?.is_none() {
        return Err(CommandError::not_found("group", name));
    }
    let result = sqlx::query(INSERT_MEMBER)
        .bind(name.to_string())
        .bind(alias.to_string())
        .execute(connection)
        .await
        .map_err(|error| CommandError::on_insert(error.into(), "model in the group", alias))?;
    found(result.rows_affected(), "model", alias)
}

const DELETE_MEMBER: &str = "DELETE FROM model_group_members WHERE group_name = $1 AND alias = $2";

async fn remove_member(
    connection: &mut AnyConnection,
    name: &GroupName,
    alias: &ModelAlias,
) -> Result<(), CommandError> {
    let result = sqlx::query(DELETE_MEMBER)
        .bind(name.to_string())
        .bind(alias.to_string())
        .execute(connection)
        .await?;
    found(result.rows_affected(), "model in the group", alias)
}

fn found(rows_affected: u64, noun: &'static str, id: impl ToString) -> Result<(), CommandError> {
    if rows_affected == 0 {
        return Err(CommandError::not_found(noun, id));
    }
    Ok(())
}

const LIST_MODELS: &str = "
    SELECT alias, provider_name, upstream_model, rate_card, output_tokens_max, weight, timeout_ms
         , (SELECT p.kind FROM providers AS p WHERE p.name = models.provider_name
            ORDER BY p.org_id LIMIT 1)
         , (SELECT p.base_url FROM providers AS p WHERE p.name = models.provider_name
            ORDER BY p.org_id LIMIT 1)
    FROM models
    ORDER BY alias";

/// All models by alias, with their fallbacks, and with their prices at these providers.
pub async fn list(pool: &AnyPool, providers: &[Provider]) -> Result<Vec<Model>, StoreError> {
    let rows = sqlx::query(LIST_MODELS).fetch_all(pool).await?;
    let mut fallbacks = fallback::list(pool).await?;
    let read = rows.iter().map(|row| {
        let mut model = read(&mut Columns::of(row))?;
        model.fallbacks = fallbacks.remove(&model.alias).unwrap_or_default();
        Ok::<_, StoreError>(model)
    });
    let mut models: Vec<Model> = read.collect::<Result<_, _>>()?;
    let of = |model: &Model| {
        let own = providers.iter().filter(|own| own.name == model.provider);
        let own = own.filter(|own| own.org_id.is_some()).cloned();
        own.collect::<Vec<Provider>>()
    };
    let own: Vec<Vec<Provider>> = models.iter().map(of).collect();
    let mut wanted: Vec<(ProviderAt, String)> = Vec::new();
    for (model, own) in models.iter().zip(&own) {
        wanted.push((model.provider_at.clone(), model.upstream_model.clone()));
        let own = own.iter().map(ProviderAt::of);
        wanted.extend(own.map(|at| (at, model.upstream_model.clone())));
    }
    let book = price::book(&mut *pool.acquire().await?, &wanted).await?;
    for (model, own) in models.iter_mut().zip(own) {
        model.resolve(&book);
        for provider in own {
            if let Some(org_id) = provider.org_id.clone() {
                model.resolve_for(org_id, &provider, &book);
            }
        }
    }
    Ok(models)
}

const LIST_OWN_PRICES: &str = "
    SELECT alias, COALESCE(price_set_at, updated_at) FROM models WHERE rate_card IS NOT NULL";

/// When prices of aliases were set; of those that an earlier release has set, when the alias was
/// last changed.
pub async fn own_prices_set(pool: &AnyPool) -> Result<HashMap<ModelAlias, Timestamp>, StoreError> {
    let rows = sqlx::query(LIST_OWN_PRICES).fetch_all(pool).await?;
    rows.iter()
        .map(|row| {
            let mut columns = Columns::of(row);
            Ok((columns.parse()?, columns.time()?))
        })
        .collect()
}

/// Looks up prices and limits of models that were read by themselves.
pub(crate) async fn resolve<'m>(
    connection: &mut AnyConnection,
    models: impl Iterator<Item = &'m mut Model>,
) -> Result<(), StoreError> {
    let models: Vec<&mut Model> = models.collect();
    let wanted = models.iter().map(|model| {
        let at = model.provider_at.clone();
        (at, model.upstream_model.clone())
    });
    let wanted: Vec<(ProviderAt, String)> = wanted.collect();
    let book = price::book(connection, &wanted).await?;
    for model in models {
        model.resolve(&book);
    }
    Ok(())
}

/// Reads the columns of a model and of where its provider is; fallbacks and prices are read apart.
pub(crate) fn read(columns: &mut Columns<'_>) -> Result<Model, StoreError> {
    let (alias, provider) = (columns.parse()?, columns.parse()?);
    let upstream_model: String = columns.take()?;
    let own_price = read_card(columns)?;
    let own_output_tokens_max = columns.take()?;
    Ok(Model {
        alias,
        provider,
        upstream_model,
        own_price,
        own_output_tokens_max,
        weight: columns.take()?,
        timeout: read_timeout(columns)?,
        fallbacks: Vec::new(),
        provider_at: read_place(columns)?,
        resolved: Resolved::default(),
        resolved_by_org: Vec::new(),
    })
}

fn read_place(columns: &mut Columns<'_>) -> Result<ProviderAt, StoreError> {
    let kind: Option<ProviderKind> = columns.parse_optional()?;
    let base_url: Option<BaseUrl> = columns.parse_optional()?;
    let place = kind.zip(base_url).map(|(kind, base_url)| ProviderAt {
        kind,
        host: base_url.host().to_owned(),
    });
    Ok(place.unwrap_or_default())
}

/// Reads a rate card, or nothing.
pub(crate) fn read_card(columns: &mut Columns<'_>) -> Result<Option<RateCard>, StoreError> {
    let json: Option<String> = columns.take()?;
    let card = json.map(|json| serde_json::from_str(&json)).transpose();
    card.map_err(|error| StoreError::Inconsistent(format!("a rate card: {error}")))
}

/// A rate card as it is stored.
fn stored_card(price: Option<&Option<RateCard>>) -> Result<Option<String>, CommandError> {
    let card = price.and_then(Option::as_ref);
    let json = card.map(serde_json::to_string).transpose();
    json.map_err(|error| CommandError::Conflict(format!("the price cannot be kept: {error}")))
}

/// Reads how long a model's answers may take.
pub(crate) fn read_timeout(columns: &mut Columns<'_>) -> Result<Option<Duration>, StoreError> {
    let millis: Option<i64> = columns.take()?;
    Ok(millis.map(|millis| Duration::from_millis(u64::try_from(millis).unwrap_or_default())))
}

const LIST_GROUPS: &str = "
    SELECT g.name, m.alias
    FROM model_groups AS g
    LEFT JOIN model_group_members AS m ON m.group_name = g.name
    ORDER BY g.name, m.position";

/// All groups by name, each with its models in order.
pub async fn list_groups(pool: &AnyPool) -> Result<Vec<(GroupName, Vec<ModelAlias>)>, StoreError> {
    let mut groups: Vec<(GroupName, Vec<ModelAlias>)> = Vec::new();
    for row in &sqlx::query(LIST_GROUPS).fetch_all(pool).await? {
        let mut columns = Columns::of(row);
        let name: GroupName = columns.parse()?;
        let alias: Option<ModelAlias> = columns.parse_optional()?;
        match groups.last_mut() {
            Some((last, aliases)) if *last == name => aliases.extend(alias),
            _ => groups.push((name, alias.into_iter().collect())),
        }
    }
    Ok(groups)
}
