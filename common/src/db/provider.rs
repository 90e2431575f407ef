//! SQL of providers and their credentials.

use std::collections::HashMap;

use sqlx::{AnyConnection, AnyPool};

use super::StoreError;
use super::rows::Columns;
use crate::clock::Timestamp;
use crate::command::{Command, CommandError, NewCredential, ProviderRef};
use crate::id::OrgId;
use crate::provider::{BaseUrl, Provider, ProviderKind};

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
        Command::RemoveProvider { provider } => delete(connection, provider).await,
        _ => Ok(()),
    }
}

/// The stored form of "for all organizations".
const ALL_ORGS: &str = "";

fn org_column(provider: &ProviderRef) -> String {
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

fn found(rows_affected: u64, provider: &ProviderRef) -> Result<(), CommandError> {
    if rows_affected == 0 {
        return Err(CommandError::not_found("provider", &provider.name));
    }
    Ok(())
}

const LIST_PROVIDERS: &str = "
    SELECT org_id, name, kind, base_url, enabled
    FROM providers
    ORDER BY org_id, name";

const LIST_CREDENTIALS: &str = "
    SELECT org_id, provider_name, sealed_key
    FROM provider_credentials
    WHERE enabled = 1
    ORDER BY created_at, id";

/// All providers with their enabled, sealed keys.
pub async fn list(pool: &AnyPool) -> Result<Vec<Provider>, StoreError> {
    let mut keys: HashMap<(String, String), Vec<String>> = HashMap::new();
    for row in &sqlx::query(LIST_CREDENTIALS).fetch_all(pool).await? {
        let mut columns = Columns::of(row);
        let provider = (columns.take()?, columns.take()?);
        keys.entry(provider).or_default().push(columns.take()?);
    }
    let rows = sqlx::query(LIST_PROVIDERS).fetch_all(pool).await?;
    rows.iter()
        .map(|row| {
            let mut columns = Columns::of(row);
            let (org, name): (String, String) = (columns.take()?, columns.take()?);
            let sealed_keys = keys
                .remove(&(org.clone(), name.clone()))
                .unwrap_or_default();
            Ok(Provider {
                org_id: read_org(&org)?,
                name: name.parse().map_err(inconsistent)?,
                kind: columns.parse()?,
                base_url: columns.parse()?,
                enabled: columns.flag()?,
                sealed_keys,
            })
        })
        .collect()
}

/// How people tell an enabled key of a provider apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyHint {
    /// Whose key it is.
    pub provider: ProviderRef,
    /// Its last characters.
    pub hint: String,
}

const LIST_HINTS: &str = "
    SELECT org_id, provider_name, hint
    FROM provider_credentials
    WHERE enabled = 1
    ORDER BY created_at, id";

/// The hints of all enabled keys, oldest first.
pub async fn list_hints(pool: &AnyPool) -> Result<Vec<KeyHint>, StoreError> {
    let rows = sqlx::query(LIST_HINTS).fetch_all(pool).await?;
    rows.iter()
        .map(|row| {
            let mut columns = Columns::of(row);
            let org: String = columns.take()?;
            Ok(KeyHint {
                provider: ProviderRef {
                    org_id: read_org(&org)?,
                    name: columns.parse()?,
                },
                hint: columns.take()?,
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
