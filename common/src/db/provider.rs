//! SQL of providers and their credentials.

use std::collections::HashMap;

use sqlx::{AnyConnection, AnyPool};

use super::StoreError;
use super::rows::Columns;
use crate::clock::Timestamp;
use crate::command::{Command, CommandError, NewCredential, ProviderRef};
use crate::id::{CredentialId, OrgId};
use crate::provider::{BaseUrl, PassFields, Provider, ProviderKind, SealedCredential};

pub mod list;

pub(crate) async fn apply(
    connection: &mut AnyConnection,
    command: &Command,
    now: Timestamp,
) -> Result<(), CommandError> {
    match command {
        Command::AddProvider {
            provider,
            kind,
            base_url,
            credential,
        } => {
            insert(connection, provider, *kind, base_url, now).await?;
            insert_credential(connection, provider, credential, now).await
        }
        Command::SetProvider { provider, base_url } => {
            set_base_url(connection, provider, base_url, now).await
        }
        Command::SetPassFields {
            provider,
            pass_fields,
        } => set_pass_fields(connection, provider, pass_fields, now).await,
        Command::AddCredential {
            provider,
            credential,
        } => {
            touch(connection, provider, now).await?;
            insert_credential(connection, provider, credential, now).await
        }
        Command::EnableCredential { id, enabled } => {
            enable_credential(connection, *id, *enabled).await
        }
        Command::RemoveCredential { id } => delete_credential(connection, *id).await,
        Command::RotateProvider {
            provider,
            credential,
        } => {
            touch(connection, provider, now).await?;
            disable_credentials(connection, provider).await?;
            insert_credential(connection, provider, credential, now).await
        }
        Command::EnableProvider { provider, enabled } => {
            enable(connection, provider, *enabled, now).await
        }
        Command::RemoveProvider { provider } => {
            delete(connection, provider).await?;
            require_unused(connection, provider).await
        }
        _ => Ok(()),
    }
}

/// The stored form of "for all organizations".
const ALL_ORGS: &str = "";

pub(crate) fn org_column(provider: &ProviderRef) -> String {
    provider
        .org_id
        .as_ref()
        .map_or_else(|| ALL_ORGS.to_owned(), ToString::to_string)
}

const FIND_ORG: &str = "SELECT id FROM organizations WHERE id = $1";

const INSERT_PROVIDER: &str = "
    INSERT INTO providers (org_id, name, kind, base_url, enabled, created_at, updated_at)
    VALUES ($1, $2, $3, $4, 1, $5, $5)";

async fn insert(
    connection: &mut AnyConnection,
    provider: &ProviderRef,
    kind: ProviderKind,
    base_url: &BaseUrl,
    now: Timestamp,
) -> Result<(), CommandError> {
    if let Some(org) = &provider.org_id {
        let found = sqlx::query(FIND_ORG)
            .bind(org.to_string())
            .fetch_optional(&mut *connection);
        if found.await?.is_none() {
            return Err(CommandError::not_found("organization", org));
        }
    }
    sqlx::query(INSERT_PROVIDER)
        .bind(org_column(provider))
        .bind(provider.name.to_string())
        .bind(kind.word())
        .bind(base_url.as_str().to_owned())
        .bind(now.as_micros())
        .execute(connection)
        .await
        .map_err(|error| CommandError::on_insert(error.into(), "provider", &provider.name))?;
    Ok(())
}

const INSERT_CREDENTIAL: &str = "
    INSERT INTO provider_credentials
        (id, org_id, provider_name, sealed_key, hint, enabled, created_at)
    VALUES ($1, $2, $3, $4, $5, 1, $6)";

async fn insert_credential(
    connection: &mut AnyConnection,
    provider: &ProviderRef,
    credential: &NewCredential,
    now: Timestamp,
) -> Result<(), CommandError> {
    sqlx::query(INSERT_CREDENTIAL)
        .bind(credential.id.to_string())
        .bind(org_column(provider))
        .bind(provider.name.to_string())
        .bind(credential.sealed_key.clone())
        .bind(credential.hint.clone())
        .bind(now.as_micros())
        .execute(connection)
        .await?;
    Ok(())
}

const TOUCH_PROVIDER: &str = "UPDATE providers SET updated_at = $3 WHERE org_id = $1 AND name = $2";

async fn touch(
    connection: &mut AnyConnection,
    provider: &ProviderRef,
    now: Timestamp,
) -> Result<(), CommandError> {
    let result = sqlx::query(TOUCH_PROVIDER)
        .bind(org_column(provider))
        .bind(provider.name.to_string())
        .bind(now.as_micros())
        .execute(connection)
        .await?;
    found(result.rows_affected(), provider)
}

const SET_BASE_URL: &str =
    "UPDATE providers SET base_url = $3, updated_at = $4 WHERE org_id = $1 AND name = $2";

async fn set_base_url(
    connection: &mut AnyConnection,
    provider: &ProviderRef,
    base_url: &BaseUrl,
    now: Timestamp,
) -> Result<(), CommandError> {
    let result = sqlx::query(SET_BASE_URL)
        .bind(org_column(provider))
        .bind(provider.name.to_string())
        .bind(base_url.as_str().to_owned())
        .bind(now.as_micros())
        .execute(connection)
        .await?;
    found(result.rows_affected(), provider)
}

const FIND_KIND: &str = "SELECT kind FROM providers WHERE org_id = $1 AND name = $2";

const SET_PASS_FIELDS: &str =
    "UPDATE providers SET pass_fields = $3, updated_at = $4 WHERE org_id = $1 AND name = $2";

async fn set_pass_fields(
    connection: &mut AnyConnection,
    provider: &ProviderRef,
    pass_fields: &PassFields,
    now: Timestamp,
) -> Result<(), CommandError> {
    let row = sqlx::query(FIND_KIND)
        .bind(org_column(provider))
        .bind(provider.name.to_string())
        .fetch_optional(&mut *connection)
        .await?;
    let Some(row) = row else {
        return Err(CommandError::not_found("provider", &provider.name));
    };
    let kind: ProviderKind = Columns::of(&row).parse()?;
    if kind != ProviderKind::OpenAi && !pass_fields.is_empty() {
        return Err(CommandError::Refused(format!(
            "provider '{}' is of kind {}: only providers of kind openai are sent fields as callers \
             wrote them",
            provider.name,
            kind.word()
        )));
    }
    sqlx::query(SET_PASS_FIELDS)
        .bind(org_column(provider))
        .bind(provider.name.to_string())
        .bind(pass_fields.to_string())
        .bind(now.as_micros())
        .execute(connection)
        .await?;
    Ok(())
}

const ENABLE_CREDENTIAL: &str = "UPDATE provider_credentials SET enabled = $2 WHERE id = $1";

async fn enable_credential(
    connection: &mut AnyConnection,
    id: CredentialId,
    enabled: bool,
) -> Result<(), CommandError> {
    let result = sqlx::query(ENABLE_CREDENTIAL)
        .bind(id.to_string())
        .bind(i64::from(enabled))
        .execute(connection)
        .await?;
    found_credential(result.rows_affected(), id)
}

const DELETE_CREDENTIAL: &str = "DELETE FROM provider_credentials WHERE id = $1";

async fn delete_credential(
    connection: &mut AnyConnection,
    id: CredentialId,
) -> Result<(), CommandError> {
    let result = sqlx::query(DELETE_CREDENTIAL)
        .bind(id.to_string())
        .execute(connection)
        .await?;
    found_credential(result.rows_affected(), id)
}

fn found_credential(rows_affected: u64, id: CredentialId) -> Result<(), CommandError> {
    if rows_affected == 0 {
        return Err(CommandError::not_found("provider key", id));
    }
    Ok(())
}

const DISABLE_CREDENTIALS: &str =
    "UPDATE provider_credentials SET enabled = 0 WHERE org_id = $1 AND provider_name = $2";

async fn disable_credentials(
    connection: &mut AnyConnection,
    provider: &ProviderRef,
) -> Result<(), CommandError> {
    sqlx::query(DISABLE_CREDENTIALS)
        .bind(org_column(provider))
        .bind(provider.name.to_string())
        .execute(connection)
        .await?;
    Ok(())
}

const ENABLE_PROVIDER: &str =
    "UPDATE providers SET enabled = $3, updated_at = $4 WHERE org_id = $1 AND name = $2";

async fn enable(
    connection: &mut AnyConnection,
    provider: &ProviderRef,
    enabled: bool,
    now: Timestamp,
) -> Result<(), CommandError> {
    let result = sqlx::query(ENABLE_PROVIDER)
        .bind(org_column(provider))
        .bind(provider.name.to_string())
        .bind(i64::from(enabled))
        .bind(now.as_micros())
        .execute(connection)
        .await?;
    found(result.rows_affected(), provider)
}

const DELETE_CREDENTIALS: &str =
    "DELETE FROM provider_credentials WHERE org_id = $1 AND provider_name = $2";
const DELETE_PROVIDER: &str = "DELETE FROM providers WHERE org_id = $1 AND name = $2";

async fn delete(
    connection: &mut AnyConnection,
    provider: &ProviderRef,
) -> Result<(), CommandError> {
    sqlx::query(DELETE_CREDENTIALS)
        .bind(org_column(provider))
        .bind(provider.name.to_string())
        .execute(&mut *connection)
        .await?;
    let result = sqlx::query(DELETE_PROVIDER)
        .bind(org_column(provider))
        .bind(provider.name.to_string())
        .execute(connection)
        .await?;
    found(result.rows_affected(), provider)
}

/// Aliases without a provider of that name for all, which could stand in for the one removed.
const LIST_LEFT_ALONE: &str = "
    SELECT alias
    FROM models
    WHERE provider_name = $1
      AND NOT EXISTS (SELECT name FROM providers WHERE org_id = $2 AND name = $1)
    ORDER BY alias";

/// How many aliases a refusal names.
const NAMED_USERS_MAX: usize = 10;

/// Refuses, after a provider was removed, to leave models without one.
async fn require_unused(
    connection: &mut AnyConnection,
    provider: &ProviderRef,
) -> Result<(), CommandError> {
    let rows = sqlx::query(LIST_LEFT_ALONE)
        .bind(provider.name.to_string())
        .bind(ALL_ORGS)
        .fetch_all(connection)
        .await?;
    let aliases: Vec<String> = rows
        .iter()
        .map(|row| Columns::of(row).take())
        .collect::<Result<_, _>>()?;
    if aliases.is_empty() {
        return Ok(());
    }
    let more = match aliases.len().saturating_sub(NAMED_USERS_MAX) {
        0 => String::new(),
        count => format!(" and {count} more"),
    };
    let named = &aliases[..aliases.len().min(NAMED_USERS_MAX)];
    Err(CommandError::Conflict(format!(
        "provider '{}' is used by model {}{more}: give them another provider or remove them first",
        provider.name,
        named.join(", ")
    )))
}

fn found(rows_affected: u64, provider: &ProviderRef) -> Result<(), CommandError> {
    if rows_affected == 0 {
        return Err(CommandError::not_found("provider", &provider.name));
    }
    Ok(())
}

const LIST_PROVIDERS: &str = "
    SELECT org_id, name, kind, base_url, pass_fields, enabled
    FROM providers
    ORDER BY org_id, name";

const LIST_CREDENTIALS: &str = "
    SELECT id, org_id, provider_name, sealed_key, hint, enabled, created_at
    FROM provider_credentials
    ORDER BY created_at, id";

/// A key of a provider, as administrators see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CredentialRow {
    /// Whose key it is.
    pub provider: ProviderRef,
    /// The key, sealed.
    pub sealed: SealedCredential,
    /// The last characters of the key.
    pub hint: String,
    /// Whether it may be used.
    pub enabled: bool,
    /// When it was stored.
    pub created_at: Timestamp,
}

/// The keys of all providers, oldest first.
pub async fn list_credentials(pool: &AnyPool) -> Result<Vec<CredentialRow>, StoreError> {
    let rows = sqlx::query(LIST_CREDENTIALS).fetch_all(pool).await?;
    rows.iter()
        .map(|row| {
            let mut columns = Columns::of(row);
            let id = columns.parse()?;
            let org: String = columns.take()?;
            Ok(CredentialRow {
                provider: ProviderRef {
                    org_id: read_org(&org)?,
                    name: columns.parse()?,
                },
                sealed: SealedCredential {
                    id,
                    sealed_key: columns.take()?,
                },
                hint: columns.take()?,
                enabled: columns.flag()?,
                created_at: columns.time()?,
            })
        })
        .collect()
}

/// All providers with their enabled keys, sealed.
pub async fn list(pool: &AnyPool) -> Result<Vec<Provider>, StoreError> {
    let mut keys: HashMap<ProviderRef, Vec<SealedCredential>> = HashMap::new();
    for row in list_credentials(pool).await? {
        if row.enabled {
            keys.entry(row.provider).or_default().push(row.sealed);
        }
    }
    let rows = sqlx::query(LIST_PROVIDERS).fetch_all(pool).await?;
    rows.iter()
        .map(|row| {
            let mut columns = Columns::of(row);
            let org: String = columns.take()?;
            let reference = ProviderRef {
                org_id: read_org(&org)?,
                name: columns.parse()?,
            };
            Ok(Provider {
                credentials: keys.remove(&reference).unwrap_or_default(),
                org_id: reference.org_id,
                name: reference.name,
                kind: columns.parse()?,
                base_url: columns.parse()?,
                pass_fields: columns.parse()?,
                enabled: columns.flag()?,
            })
        })
        .collect()
}

fn read_org(column: &str) -> Result<Option<OrgId>, StoreError> {
    if column == ALL_ORGS {
        Ok(None)
    } else {
        column.parse().map(Some).map_err(inconsistent)
    }
}

fn inconsistent(error: impl ToString) -> StoreError {
    StoreError::Inconsistent(error.to_string())
}
