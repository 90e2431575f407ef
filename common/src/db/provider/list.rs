//! Lists of providers with what is known of their keys: never the keys themselves.

use std::collections::HashMap;

use sqlx::{AnyConnection, AnyPool};

use super::{org_column, read_org};
use crate::clock::Timestamp;
use crate::command::ProviderRef;
use crate::db::StoreError;
use crate::db::page::{self, Listed, Listing, Order, Part, Place, Request};
use crate::db::rows::{Columns, select_in, select_pairs};
use crate::filter::{Bind, Choice, Kind, Vocabulary, Word};
use crate::id::{CredentialId, ModelAlias, ProviderName};
use crate::provider::{BaseUrl, PassFields, ProviderKind};

/// A provider as lists show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedProvider {
    /// Its name and whose it is.
    pub provider: ProviderRef,
    /// The dialect it speaks.
    pub kind: ProviderKind,
    /// Where it is.
    pub base_url: BaseUrl,
    /// Fields that it is sent although the table of fields does not have them.
    pub pass_fields: PassFields,
    /// Whether it may be used.
    pub enabled: bool,
    /// When it was added.
    pub created_at: Timestamp,
    /// When it or the list of its keys was last changed.
    pub updated_at: Timestamp,
    /// Its keys, oldest first.
    pub keys: Vec<ListedKey>,
    /// How many models name a provider of this name.
    pub models: i64,
}

/// What is known of a provider's key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedKey {
    /// Its id.
    pub id: CredentialId,
    /// The last characters of the key.
    pub hint: String,
    /// Whether it may be used.
    pub enabled: bool,
    /// When it was stored.
    pub created_at: Timestamp,
}

const KINDS: &[Choice] = &[
    Choice {
        word: "openai",
        sql: "kind = 'openai'",
    },
    Choice {
        word: "anthropic",
        sql: "kind = 'anthropic'",
    },
    Choice {
        word: "gemini",
        sql: "kind = 'gemini'",
    },
];

const STATUS: &[Choice] = &[
    Choice {
        word: "enabled",
        sql: "enabled = 1",
    },
    Choice {
        word: "disabled",
        sql: "enabled = 0",
    },
];

const fn word(name: &'static str, kind: Kind, column: &'static str) -> Word {
    Word {
        name,
        kind,
        column,
        is_indexed: false,
    }
}

/// What providers can be filtered by. An organization's name in place of a provider's owner is
/// empty for those that all may use.
pub const PROVIDERS: Vocabulary = Vocabulary {
    noun: "providers",
    words: &[
        word("provider", Kind::Name, "name"),
        word("org", Kind::Name, "org_id"),
        word("kind", Kind::Choice(KINDS), ""),
        word("status", Kind::Choice(STATUS), ""),
        word("url", Kind::Name, "base_url"),
        word(
            "keys",
            Kind::Count,
            "(SELECT COUNT(*) FROM provider_credentials AS c \
              WHERE c.org_id = s.org_id AND c.provider_name = s.name)",
        ),
        word(
            "model",
            Kind::Name,
            "EXISTS (SELECT 1 FROM models AS m WHERE m.provider_name = s.name AND {m.alias})",
        ),
        word("changed", Kind::Since, "updated_at"),
    ],
    text: &["name", "base_url"],
};

/// What providers can be sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProviderOrder {
    /// By name.
    Name,
    /// By organization; those for all come first.
    Org,
    /// By their last change, the latest first.
    Changed,
}

impl ProviderOrder {
    /// The order as it is meant, or turned around.
    const fn order(self, reversed: bool) -> Order {
        let columns: &[&str] = match self {
            Self::Name => &["name", "org_id"],
            Self::Org => &["org_id", "name"],
            Self::Changed => &["updated_at", "name", "org_id"],
        };
        let descending = matches!(self, Self::Changed);
        Order {
            columns,
            descending: descending != reversed,
        }
    }

    fn place(self, listed: &ListedProvider) -> Place {
        let name = Bind::Text(listed.provider.name.to_string());
        let org = Bind::Text(org_column(&listed.provider));
        match self {
            Self::Name => vec![name, org],
            Self::Org => vec![org, name],
            Self::Changed => vec![Bind::Number(listed.updated_at.as_micros()), name, org],
        }
    }
}

const LISTING: Listing = Listing {
    rows: "SELECT org_id, name, kind, base_url, pass_fields, enabled, created_at, updated_at \
           FROM providers",
    condition: "TRUE",
    shown: "org_id, name, kind, base_url, pass_fields, enabled, created_at, updated_at",
};

/// Reads a part of the list of providers.
pub async fn page(
    connection: &mut AnyConnection,
    (order, reversed): (ProviderOrder, bool),
    request: &Request<'_>,
) -> Result<Part<ListedProvider>, StoreError> {
    let place = |listed: &ListedProvider| order.place(listed);
    let list = (&LISTING, order.order(reversed), 0);
    let mut part = page::read(connection, list, request, (read_listed, place)).await?;
    complete(
        connection,
        part.rows
            .iter_mut()
            .map(|listed: &mut Listed<_>| &mut listed.row),
    )
    .await?;
    Ok(part)
}

const FIND_PROVIDER: &str = "
    SELECT org_id, name, kind, base_url, pass_fields, enabled, created_at, updated_at
    FROM providers
    WHERE org_id = $1 AND name = $2";

/// Reads one provider, if there is such a one.
pub async fn find(
    pool: &AnyPool,
    provider: &ProviderRef,
) -> Result<Option<ListedProvider>, StoreError> {
    let mut connection = pool.acquire().await?;
    let row = sqlx::query(FIND_PROVIDER)
        .bind(org_column(provider))
        .bind(provider.name.to_string())
        .fetch_optional(&mut *connection)
        .await?;
    let Some(row) = row else {
        return Ok(None);
    };
    let mut listed = read_listed(&mut Columns::of(&row))?;
    complete(&mut connection, std::iter::once(&mut listed)).await?;
    Ok(Some(listed))
}

fn read_listed(columns: &mut Columns<'_>) -> Result<ListedProvider, StoreError> {
    let org: String = columns.take()?;
    Ok(ListedProvider {
        provider: ProviderRef {
            org_id: read_org(&org)?,
            name: columns.parse()?,
        },
        kind: columns.parse()?,
        base_url: columns.parse()?,
        pass_fields: columns.parse()?,
        enabled: columns.flag()?,
        created_at: columns.time()?,
        updated_at: columns.time()?,
        keys: Vec::new(),
        models: 0,
    })
}

const KEYS_OF: (&str, &str) = (
    "SELECT org_id, provider_name, id, hint, enabled, created_at
     FROM provider_credentials
     WHERE (org_id, provider_name) IN (VALUES ",
    ") ORDER BY created_at, id",
);

const MODELS_OF: (&str, &str) = (
    "SELECT provider_name, COUNT(*) FROM models WHERE provider_name IN ",
    " GROUP BY provider_name",
);

/// Adds the keys and how many models there are.
async fn complete(
    connection: &mut AnyConnection,
    listed: impl Iterator<Item = &mut ListedProvider>,
) -> Result<(), StoreError> {
    let mut listed: Vec<&mut ListedProvider> = listed.collect();
    let pair = |listed: &ListedProvider| {
        let provider = &listed.provider;
        (org_column(provider), provider.name.to_string())
    };
    let pairs: Vec<(String, String)> = listed.iter().map(|listed| pair(listed)).collect();
    let mut keys: HashMap<(String, String), Vec<ListedKey>> = HashMap::new();
    for (pair, key) in select_pairs(connection, KEYS_OF, &pairs, read_key).await? {
        keys.entry(pair).or_default().push(key);
    }
    let mut names: Vec<ProviderName> = listed.iter().map(|l| l.provider.name.clone()).collect();
    names.sort_unstable();
    names.dedup();
    let read = |columns: &mut Columns<'_>| Ok((columns.parse()?, columns.take()?));
    let models = select_in(connection, MODELS_OF, &names, read).await?;
    let models: HashMap<ProviderName, i64> = models.into_iter().collect();
    for listed in &mut listed {
        listed.keys = keys.remove(&pair(listed)).unwrap_or_default();
        let name = &listed.provider.name;
        listed.models = models.get(name).copied().unwrap_or_default();
    }
    Ok(())
}

fn read_key(columns: &mut Columns<'_>) -> Result<((String, String), ListedKey), StoreError> {
    let pair = (columns.take()?, columns.take()?);
    let key = ListedKey {
        id: columns.parse()?,
        hint: columns.take()?,
        enabled: columns.flag()?,
        created_at: columns.time()?,
    };
    Ok((pair, key))
}

const LIST_NAMES: &str = "SELECT DISTINCT name FROM providers ORDER BY name LIMIT $1";

/// The first names of providers.
pub async fn names(pool: &AnyPool, limit: i64) -> Result<Vec<ProviderName>, StoreError> {
    let rows = sqlx::query(LIST_NAMES).bind(limit).fetch_all(pool).await?;
    rows.iter().map(|row| Columns::of(row).parse()).collect()
}

const LIST_USERS: &str =
    "SELECT alias FROM models WHERE provider_name = $1 ORDER BY alias LIMIT $2";

/// The first models that name a provider.
pub async fn users(
    pool: &AnyPool,
    name: &ProviderName,
    limit: i64,
) -> Result<Vec<ModelAlias>, StoreError> {
    let rows = sqlx::query(LIST_USERS)
        .bind(name.to_string())
        .bind(limit)
        .fetch_all(pool)
        .await?;
    rows.iter().map(|row| Columns::of(row).parse()).collect()
}
