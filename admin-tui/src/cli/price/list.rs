//! `tollgate-admin price list`.

use serde::Serialize;
use tollgate_common::clock::Timestamp;
use tollgate_common::db::model::list::{self as models, ListedModel, MODELS, ModelOrder};
use tollgate_common::db::page;
use tollgate_common::db::price::list::{self as versions, PRICES, PriceVersion};
use tollgate_common::id::{ModelAlias, ProviderName};
use tollgate_common::price::import::PriceEntry;
use tollgate_common::price::{CATALOG, ListedPrice, Price, PriceSource, day_text};

use super::List;
use crate::cli::error::Failure;
use crate::cli::every;
use crate::cli::output::{Column, Output, Row, numbers, or_dash, time, words};
use crate::cli::value;
use crate::session::Session;

/// Where a price comes from, in a word for people.
pub(super) const fn source_word(source: PriceSource) -> &'static str {
    match source {
        PriceSource::Alias => "own",
        PriceSource::Imported => "imported",
        PriceSource::Catalogue => "catalogue",
    }
}

/// Input and output as a cell, in dollars per million tokens.
fn both_cell(price: &Price) -> String {
    let unit = price.base().unit;
    let (input, output) = (unit.input.per_million(), unit.output.per_million());
    format!("{input} / {output}")
}

/// What an alias costs.
#[derive(Debug, Serialize)]
struct AliasView {
    alias: ModelAlias,
    provider: ProviderName,
    upstream_model: String,
    input_price: Option<f64>,
    output_price: Option<f64>,
    price_source: Option<&'static str>,
    price_version: Option<String>,
    effective_from: Option<String>,
    listed_input_price: Option<f64>,
    listed_output_price: Option<f64>,
    listed_version: Option<String>,
    #[serde(skip)]
    cells: [String; 4],
}

impl AliasView {
    fn new(listed: &ListedModel) -> Self {
        let model = &listed.model;
        let price = model.price();
        let unit = price.map(|price| price.base().unit);
        let of_list = model.resolved.listed_price.as_ref();
        let listed_unit = of_list.map(|price| price.base().unit);
        let is_own = price.is_some_and(|price| price.source() == PriceSource::Alias);
        let beside = of_list.filter(|_| is_own);
        let beside = beside.map(|price| format!("{} ({})", both_cell(price), price.version()));
        let from = price.and_then(|price| price.effective_from());
        Self {
            alias: model.alias.clone(),
            provider: model.provider.clone(),
            upstream_model: model.upstream_model.clone(),
            input_price: unit.map(|unit| value::per_million(unit.input)),
            output_price: unit.map(|unit| value::per_million(unit.output)),
            price_source: price.map(|price| price.source().as_str()),
            price_version: price.map(|price| price.version().to_owned()),
            effective_from: from.map(day_text),
            listed_input_price: listed_unit.map(|unit| value::per_million(unit.input)),
            listed_output_price: listed_unit.map(|unit| value::per_million(unit.output)),
            listed_version: of_list.map(|price| price.version().to_owned()),
            cells: [
                or_dash(price.map(|price| both_cell(price))),
                price
                    .map_or("NO PRICE", |price| source_word(price.source()))
                    .to_owned(),
                or_dash(
                    price
                        .filter(|_| !is_own)
                        .map(|price| price.version().to_owned()),
                ),
                or_dash(beside),
            ],
        }
    }
}

impl Row for AliasView {
    const COLUMNS: &'static [Column] = &[
        words("ALIAS"),
        words("PROVIDER"),
        words("UPSTREAM MODEL"),
        numbers("INPUT / OUTPUT $/M"),
        words("SOURCE"),
        words("VERSION"),
        words("FROM"),
        words("THE LIST SAYS"),
    ];

    fn cells(&self) -> Vec<String> {
        let [both, source, version, listed] = self.cells.clone();
        vec![
            self.alias.to_string(),
            self.provider.to_string(),
            self.upstream_model.clone(),
            both,
            source,
            version,
            or_dash(self.effective_from.as_ref()),
            listed,
        ]
    }
}

/// A price of a list.
#[derive(Debug, Serialize)]
pub(super) struct ListedView {
    #[serde(flatten)]
    entry: PriceEntry,
    #[serde(skip_serializing_if = "Option::is_none")]
    import: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    confirmed_at: Option<Timestamp>,
    #[serde(skip)]
    listed: ListedPrice,
}

impl From<ListedPrice> for ListedView {
    fn from(listed: ListedPrice) -> Self {
        Self {
            entry: PriceEntry::new(&listed),
            import: None,
            status: None,
            confirmed_at: None,
            listed,
        }
    }
}

impl From<PriceVersion> for ListedView {
    fn from(version: PriceVersion) -> Self {
        let status = if version.is_current {
            "current"
        } else {
            "replaced"
        };
        Self {
            import: Some(version.import),
            status: Some(status),
            confirmed_at: Some(version.confirmed_at),
            ..Self::from(version.listed)
        }
    }
}

impl Row for ListedView {
    const COLUMNS: &'static [Column] = &[
        words("SELLER"),
        words("MODEL"),
        numbers("INPUT / OUTPUT $/M"),
        numbers("CONDITIONS"),
        words("SOURCE"),
        words("VERSION"),
        words("FROM"),
        numbers("IMPORT"),
        words("STATUS"),
        words("CONFIRMED"),
    ];

    fn cells(&self) -> Vec<String> {
        let price = self.listed.price();
        vec![
            self.listed.seller.clone(),
            self.listed.name.clone(),
            both_cell(&price),
            price.conditions().count().to_string(),
            source_word(self.listed.source).to_owned(),
            self.listed.version.clone(),
            or_dash(self.listed.effective_from.map(day_text)),
            or_dash(self.import),
            or_dash(self.status),
            or_dash(self.confirmed_at.map(time)),
        ]
    }
}

/// Lists what is asked for.
pub(super) async fn run(session: &Session, output: Output, asked: List) -> Result<(), Failure> {
    let filter = asked.filter.as_deref().unwrap_or_default();
    if asked.imported {
        imported(session, output, filter).await
    } else if asked.catalogue {
        catalogue(output, filter, session.now().day())
    } else {
        aliases(session, output, filter).await
    }
}

async fn aliases(session: &Session, output: Output, filter: &str) -> Result<(), Failure> {
    let filter = value::filter(&MODELS, Some(filter), session.now())?;
    let mut connection = session.database.dedicated_connection().await?;
    let order = (ModelOrder::Alias, false);
    let part = models::page(&mut connection, order, &page::everything(&filter)).await?;
    let views = part.rows.iter().map(|listed| AliasView::new(&listed.row));
    let views: Vec<AliasView> = views.collect();
    output.list(&views, "No model fits.")
}

async fn imported(session: &Session, output: Output, filter: &str) -> Result<(), Failure> {
    // Those in force, unless others are asked for.
    let text = if filter.contains("status:") {
        filter.to_owned()
    } else {
        format!("status:current {filter}")
    };
    let filter = every::filter(&PRICES, &text, session.now())?;
    let mut connection = session.database.dedicated_connection().await?;
    let rows = every::row(&filter, async |request| {
        versions::page(&mut connection, request).await
    });
    let views: Vec<ListedView> = rows.await?.into_iter().map(ListedView::from).collect();
    output.list(
        &views,
        "No imported price fits. Import some: tollgate-admin price sync <file>",
    )
}

fn catalogue(output: Output, filter: &str, day: i64) -> Result<(), Failure> {
    let terms = filter.split_whitespace().map(catalogue_term);
    let terms: Vec<CatalogueTerm<'_>> = terms.collect::<Result<_, _>>()?;
    let names = CATALOG.names().into_iter();
    let names = names.filter(|(seller, name)| terms.iter().all(|term| term.fits(seller, name)));
    // A name that stands for another one has that one's row.
    let rows = names.filter_map(|(seller, name)| {
        let listed = CATALOG.exact(seller, name, day)?;
        Some(ListedPrice {
            name: name.to_owned(),
            ..listed
        })
    });
    let views: Vec<ListedView> = rows.map(ListedView::from).collect();
    output.list(&views, "No price of the catalogue fits.")
}

/// A term of a filter of the catalogue, which is not in the database.
enum CatalogueTerm<'t> {
    Seller(&'t str),
    Model(&'t str),
    Part(&'t str),
}

impl CatalogueTerm<'_> {
    fn fits(&self, seller: &str, name: &str) -> bool {
        match self {
            Self::Seller(wanted) => seller == *wanted,
            Self::Model(wanted) => name == *wanted,
            Self::Part(part) => name.contains(part),
        }
    }
}

fn catalogue_term(term: &str) -> Result<CatalogueTerm<'_>, Failure> {
    match term.split_once(':') {
        Some(("seller", wanted)) => Ok(CatalogueTerm::Seller(wanted)),
        Some(("model", wanted)) => Ok(match wanted.strip_prefix('~') {
            Some(part) => CatalogueTerm::Part(part),
            None => CatalogueTerm::Model(wanted),
        }),
        None => Ok(CatalogueTerm::Part(term)),
        Some((word, _)) => Err(Failure::Usage(format!(
            "--filter: '{word}' is no word for the catalogue: write seller:, model: or a part of \
             a name"
        ))),
    }
}
