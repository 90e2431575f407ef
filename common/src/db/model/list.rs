//! Lists of models: narrowed by a filter, in several orders, part by part; and what hangs on one.

use std::collections::HashMap;

use sqlx::{AnyConnection, AnyPool};

use crate::clock::Timestamp;
use crate::db::StoreError;
use crate::db::page::{self, Listing, Order, Part, Place, Request};
use crate::db::rows::{Columns, select_in};
use crate::filter::{Bind, Choice, Kind, Vocabulary, Word};
use crate::id::{GroupName, ModelAlias};
use crate::model::{Fallback, Model};
use crate::money::Markup;

/// A model as lists show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedModel {
    /// The model.
    pub model: Model,
    /// The groups that hold it, by name.
    pub groups: Vec<GroupName>,
    /// When its settings were last changed.
    pub updated_at: Timestamp,
}

/// Where a price comes from. Models that the shipped table does not know look like others here: the
/// table is not in the database.
const PRICES: &[Choice] = &[
    Choice {
        word: "own",
        sql: "rate_card IS NOT NULL",
    },
    Choice {
        word: "shipped",
        sql: "rate_card IS NULL",
    },
];

const fn word(name: &'static str, kind: Kind, column: &'static str, is_indexed: bool) -> Word {
    Word {
        name,
        kind,
        column,
        is_indexed,
    }
}

/// What models can be filtered by.
pub const MODELS: Vocabulary = Vocabulary {
    noun: "models",
    words: &[
        word("model", Kind::Name, "alias", true),
        word("provider", Kind::Name, "provider_name", false),
        word("upstream", Kind::Name, "upstream_model", false),
        word(
            "group",
            Kind::Name,
            "EXISTS (SELECT 1 FROM model_group_members AS m \
             WHERE m.alias = s.alias AND {m.group_name})",
            false,
        ),
        word(
            "fallback",
            Kind::Name,
            "EXISTS (SELECT 1 FROM model_fallbacks AS f \
             WHERE f.alias = s.alias AND {f.fallback})",
            false,
        ),
        word("price", Kind::Choice(PRICES), "", false),
        word("changed", Kind::Since, "updated_at", false),
    ],
    text: &["alias", "upstream_model"],
};

/// What models can be sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ModelOrder {
    /// By alias.
    Alias,
    /// By provider.
    Provider,
    /// By their last change, the latest first.
    Changed,
}

impl ModelOrder {
    /// The order as it is meant, or turned around.
    const fn order(self, reversed: bool) -> Order {
        let columns: &[&str] = match self {
            Self::Alias => &["alias"],
            Self::Provider => &["provider_name", "alias"],
            Self::Changed => &["updated_at", "alias"],
        };
        let descending = matches!(self, Self::Changed);
        Order {
            columns,
            descending: descending != reversed,
        }
    }

    fn place(self, listed: &ListedModel) -> Place {
        let alias = Bind::Text(listed.model.alias.to_string());
        match self {
            Self::Alias => vec![alias],
            Self::Provider => vec![Bind::Text(listed.model.provider.to_string()), alias],
            Self::Changed => vec![Bind::Number(listed.updated_at.as_micros()), alias],
        }
    }
}

const LISTING: Listing = Listing {
    rows: "SELECT alias, provider_name, upstream_model, rate_card, output_tokens_max, weight,
                  timeout_ms,
                  (SELECT p.kind FROM providers AS p WHERE p.name = models.provider_name
                   ORDER BY p.org_id LIMIT 1) AS provider_kind,
                  (SELECT p.base_url FROM providers AS p WHERE p.name = models.provider_name
                   ORDER BY p.org_id LIMIT 1) AS provider_url,
                  updated_at
           FROM models",
    condition: "TRUE",
    shown: "alias, provider_name, upstream_model, rate_card, output_tokens_max, weight,
            timeout_ms, provider_kind, provider_url, updated_at",
};

/// Reads a part of the list of models.
pub async fn page(
    connection: &mut AnyConnection,
    (order, reversed): (ModelOrder, bool),
    request: &Request<'_>,
) -> Result<Part<ListedModel>, StoreError> {
    let place = |listed: &ListedModel| order.place(listed);
    let list = (&LISTING, order.order(reversed), 0);
    let mut part = page::read(connection, list, request, (read_listed, place)).await?;
    let aliases = part.rows.iter().map(|listed| &listed.row.model.alias);
    let aliases: Vec<ModelAlias> = aliases.cloned().collect();
    let mut fallbacks = fallbacks_of(connection, &aliases).await?;
    let mut groups = groups_of(connection, &aliases).await?;
    let models = part.rows.iter_mut().map(|listed| &mut listed.row.model);
    super::resolve(connection, models).await?;
    for listed in &mut part.rows {
        let alias = &listed.row.model.alias;
        listed.row.groups = groups.remove(alias).unwrap_or_default();
        listed.row.model.fallbacks = fallbacks.remove(alias).unwrap_or_default();
    }
    Ok(part)
}

/// The statement of a part, for tests of its plan.
pub fn page_statement(
    (order, reversed): (ModelOrder, bool),
    request: &Request<'_>,
) -> (String, Vec<Bind>) {
    page::page_sql(&LISTING, order.order(reversed), request, 0)
}

const FIND_MODEL: &str = "
    SELECT alias, provider_name, upstream_model, rate_card, output_tokens_max, weight, timeout_ms
         , (SELECT p.kind FROM providers AS p WHERE p.name = models.provider_name
            ORDER BY p.org_id LIMIT 1)
         , (SELECT p.base_url FROM providers AS p WHERE p.name = models.provider_name
            ORDER BY p.org_id LIMIT 1)
         , updated_at
    FROM models
    WHERE alias = $1";

/// Reads one model, if there is such a one.
pub async fn find(pool: &AnyPool, alias: &ModelAlias) -> Result<Option<ListedModel>, StoreError> {
    let mut connection = pool.acquire().await?;
    let row = sqlx::query(FIND_MODEL)
        .bind(alias.to_string())
        .fetch_optional(&mut *connection)
        .await?;
    let Some(row) = row else {
        return Ok(None);
    };
    let mut listed = read_listed(&mut Columns::of(&row))?;
    super::resolve(&mut connection, std::iter::once(&mut listed.model)).await?;
    let alias = std::slice::from_ref(alias);
    let mut fallbacks = fallbacks_of(&mut connection, alias).await?;
    let mut groups = groups_of(&mut connection, alias).await?;
    let alias = &listed.model.alias;
    listed.groups = groups.remove(alias).unwrap_or_default();
    listed.model.fallbacks = fallbacks.remove(alias).unwrap_or_default();
    Ok(Some(listed))
}

fn read_listed(columns: &mut Columns<'_>) -> Result<ListedModel, StoreError> {
    let model = super::read(columns)?;
    Ok(ListedModel {
        model,
        groups: Vec::new(),
        updated_at: columns.time()?,
    })
}

const FALLBACKS_OF: (&str, &str) = (
    "SELECT alias, fallback, priority, weight FROM model_fallbacks WHERE alias IN ",
    " ORDER BY alias, priority, fallback",
);

async fn fallbacks_of(
    connection: &mut AnyConnection,
    aliases: &[ModelAlias],
) -> Result<HashMap<ModelAlias, Vec<Fallback>>, StoreError> {
    let read = |columns: &mut Columns<'_>| {
        let alias: ModelAlias = columns.parse()?;
        let fallback = Fallback {
            alias: columns.parse()?,
            priority: columns.take()?,
            weight: columns.take()?,
        };
        Ok((alias, fallback))
    };
    let found = select_in(connection, FALLBACKS_OF, aliases, read).await?;
    Ok(gathered(found))
}

const GROUPS_OF: (&str, &str) = (
    "SELECT alias, group_name FROM model_group_members WHERE alias IN ",
    " ORDER BY alias, group_name",
);

async fn groups_of(
    connection: &mut AnyConnection,
    aliases: &[ModelAlias],
) -> Result<HashMap<ModelAlias, Vec<GroupName>>, StoreError> {
    let read = |columns: &mut Columns<'_>| Ok((columns.parse()?, columns.parse()?));
    let found = select_in(connection, GROUPS_OF, aliases, read).await?;
    Ok(gathered(found))
}

/// Values by their keys, in their order.
pub(super) fn gathered<K: std::hash::Hash + Eq, V>(found: Vec<(K, V)>) -> HashMap<K, Vec<V>> {
    let mut gathered: HashMap<K, Vec<V>> = HashMap::new();
    for (key, value) in found {
        gathered.entry(key).or_default().push(value);
    }
    gathered
}

/// What hangs on a model.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ties {
    /// Models that fall back on it, by alias.
    pub stands_in_for: Vec<ModelAlias>,
    /// How many teams have it as the model of calls that name none.
    pub default_of: i64,
    /// How many teams may call it, by the markup that they pay, the most frequent first.
    pub markups: Vec<(Markup, i64)>,
}

impl Ties {
    /// How many teams may call it.
    pub fn teams(&self) -> i64 {
        self.markups.iter().map(|(_, teams)| teams).sum()
    }
}

const LIST_STOOD_IN: &str = "SELECT alias FROM model_fallbacks WHERE fallback = $1 ORDER BY alias";

const COUNT_DEFAULTS: &str = "SELECT COUNT(*) FROM teams WHERE default_model = $1";

const COUNT_MARKUPS: &str = "
    SELECT markup, COUNT(*) AS teams
    FROM teams
    WHERE id IN (
        SELECT g.team_id
        FROM team_groups AS g
        WHERE g.group_name IN (SELECT group_name FROM model_group_members WHERE alias = $1)
    )
    GROUP BY markup
    ORDER BY teams DESC, markup";

/// What hangs on a model, for whoever is about to change it.
pub async fn ties(pool: &AnyPool, alias: &ModelAlias) -> Result<Ties, StoreError> {
    let alias = alias.to_string();
    let rows = sqlx::query(LIST_STOOD_IN)
        .bind(alias.clone())
        .fetch_all(pool)
        .await?;
    let stands_in_for: Result<Vec<ModelAlias>, StoreError> =
        rows.iter().map(|row| Columns::of(row).parse()).collect();
    let default_of = sqlx::query_scalar::<_, i64>(COUNT_DEFAULTS)
        .bind(alias.clone())
        .fetch_one(pool)
        .await?;
    let rows = sqlx::query(COUNT_MARKUPS)
        .bind(alias)
        .fetch_all(pool)
        .await?;
    let markups: Result<Vec<(Markup, i64)>, StoreError> = rows
        .iter()
        .map(|row| {
            let mut columns = Columns::of(row);
            Ok((Markup::from_basis_points(columns.take()?), columns.take()?))
        })
        .collect();
    Ok(Ties {
        stands_in_for: stands_in_for?,
        default_of,
        markups: markups?,
    })
}

const LIST_ALIASES: &str = "SELECT alias FROM models ORDER BY alias LIMIT $1";

/// The first aliases.
pub async fn aliases(pool: &AnyPool, limit: i64) -> Result<Vec<ModelAlias>, StoreError> {
    let rows = sqlx::query(LIST_ALIASES)
        .bind(limit)
        .fetch_all(pool)
        .await?;
    rows.iter().map(|row| Columns::of(row).parse()).collect()
}
