//! Lists of imported prices: every version, narrowed by a filter, part by part.

use sqlx::{AnyConnection, AnyPool};

use super::read_imported;
use crate::clock::{Clock as _, SystemClock, Timestamp};
use crate::db::StoreError;
use crate::db::page::{self, Listing, Order, Part, Place, Request};
use crate::db::rows::Columns;
use crate::filter::{Bind, Choice, Kind, Vocabulary, Word};
use crate::model::ProviderAt;
use crate::price::{ListedPrice, PriceBook};

/// A version of an imported price.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PriceVersion {
    /// The price.
    pub listed: ListedPrice,
    /// The number of the import that brought it.
    pub import: i64,
    /// When it was imported.
    pub imported_at: Timestamp,
    /// Whether it is in force; a version that begins later is too.
    pub is_current: bool,
    /// When the latest import was made that said the same.
    pub confirmed_at: Timestamp,
}

const STATUSES: &[Choice] = &[
    Choice {
        word: "current",
        sql: "is_current = 1",
    },
    Choice {
        word: "replaced",
        sql: "is_current = 0",
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

/// What imported prices can be filtered by.
pub const PRICES: Vocabulary = Vocabulary {
    noun: "prices",
    words: &[
        word("seller", Kind::Name, "maker", true),
        word("model", Kind::Name, "model", false),
        word("format", Kind::Name, "format", false),
        word("status", Kind::Choice(STATUSES), "", false),
        word("import", Kind::Count, "import_number", false),
        word("since", Kind::Since, "imported_at", false),
    ],
    text: &["model"],
};

const ORDER: Order = Order {
    columns: &["maker", "model", "import_number", "starts_on"],
    descending: false,
};

const LISTING: Listing = Listing {
    rows: "SELECT v.maker, v.model, v.rate_card, v.starts_on, v.output_tokens_max,
                  v.context_tokens_max, i.format, i.imported_at, v.import_number, v.is_current,
                  c.imported_at AS confirmed_at
           FROM price_versions AS v
           JOIN price_imports AS i ON i.number = v.import_number
           JOIN price_imports AS c ON c.number = v.confirmed_by",
    condition: "TRUE",
    shown: "maker, model, rate_card, starts_on, output_tokens_max, context_tokens_max, format,
            imported_at, import_number, is_current, confirmed_at, imported_at",
};

fn read(columns: &mut Columns<'_>) -> Result<PriceVersion, StoreError> {
    let listed = read_imported(columns)?;
    Ok(PriceVersion {
        listed,
        import: columns.take()?,
        is_current: columns.flag()?,
        confirmed_at: columns.time()?,
        imported_at: columns.time()?,
    })
}

fn place(version: &PriceVersion) -> Place {
    let listed = &version.listed;
    vec![
        Bind::Text(listed.seller.clone()),
        Bind::Text(listed.name.clone()),
        Bind::Number(version.import),
        Bind::Number(listed.effective_from.unwrap_or(0)),
    ]
}

/// Reads a part of the list of versions, by seller, name and import.
pub async fn page(
    connection: &mut AnyConnection,
    request: &Request<'_>,
) -> Result<Part<PriceVersion>, StoreError> {
    page::read(connection, (&LISTING, ORDER, 0), request, (read, place)).await
}

/// The statement of a part, for tests of its plan.
pub fn page_statement(request: &Request<'_>) -> (String, Vec<Bind>) {
    page::page_sql(&LISTING, ORDER, request, 0)
}

/// Every version of the prices of a name, the latest import first.
pub const VERSIONS_OF: &str = "
    SELECT v.maker, v.model, v.rate_card, v.starts_on, v.output_tokens_max, v.context_tokens_max
         , i.format, i.imported_at, v.import_number, v.is_current, c.imported_at, i.imported_at
    FROM price_versions AS v
    JOIN price_imports AS i ON i.number = v.import_number
    JOIN price_imports AS c ON c.number = v.confirmed_by
    WHERE v.maker = $1 AND v.model = $2
    ORDER BY v.import_number DESC, v.starts_on DESC";

/// Reads every version of the prices of a seller's model, the latest import first.
pub async fn versions(
    pool: &AnyPool,
    (seller, name): (&str, &str),
) -> Result<Vec<PriceVersion>, StoreError> {
    let rows = sqlx::query(VERSIONS_OF)
        .bind(seller.to_owned())
        .bind(name.to_owned())
        .fetch_all(pool)
        .await?;
    rows.iter().map(|row| read(&mut Columns::of(row))).collect()
}

const SELLERS_OF: &str = "
    SELECT DISTINCT maker FROM price_versions WHERE model = $1 ORDER BY maker";

/// Sellers of whose model of this name a price was imported.
pub async fn sellers(pool: &AnyPool, name: &str) -> Result<Vec<String>, StoreError> {
    let rows = sqlx::query(SELLERS_OF).bind(name.to_owned());
    let rows = rows.fetch_all(pool).await?;
    rows.iter().map(|row| Columns::of(row).take()).collect()
}

/// What is listed of each of these models today, whatever their aliases say.
pub async fn in_force(
    pool: &AnyPool,
    models: &[(ProviderAt, String)],
) -> Result<Vec<Option<ListedPrice>>, StoreError> {
    let book = super::book(&mut *pool.acquire().await?, models).await?;
    let found = models
        .iter()
        .map(|(at, upstream_model)| book.find((at.kind, &at.host), upstream_model));
    Ok(found.collect())
}

/// What is listed today of a seller's model of exactly this name.
pub async fn exact(
    pool: &AnyPool,
    (seller, name): (&str, &str),
) -> Result<Option<ListedPrice>, StoreError> {
    let versions = versions(pool, (seller, name)).await?.into_iter();
    let current = versions.filter(|version| version.is_current);
    let current = current.map(|version| version.listed).collect();
    let today = SystemClock.now().day();
    let book = PriceBook::new(current, today);
    Ok(book.exact_on(seller, name, today))
}
