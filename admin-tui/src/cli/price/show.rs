//! `tollgate-admin price show`.

use serde::Serialize;
use tollgate_common::db::model::list;
use tollgate_common::db::price::list as versions;
use tollgate_common::id::ModelAlias;
use tollgate_common::price::import::PriceEntry;
use tollgate_common::price::{CATALOG, ListedPrice, Price, PriceSource, day_text};

use super::list::{ListedView, source_word};
use crate::cli::charge::MembersView;
use crate::cli::error::Failure;
use crate::cli::output::{Output, Show, or_dash};
use crate::session::Session;

/// Prices of a condition, every gap filled.
#[derive(Debug, Serialize)]
struct ConditionView {
    condition: String,
    #[serde(flatten)]
    members: MembersView,
}

/// What a model costs, and why.
#[derive(Debug, Serialize)]
struct ShowView {
    model: String,
    provider: Option<String>,
    upstream_model: Option<String>,
    price_source: Option<&'static str>,
    price_version: Option<String>,
    effective_from: Option<String>,
    /// What calls are charged by, in dollars per million tokens.
    prices: Vec<ConditionView>,
    /// What the lists say, whatever the alias does.
    listed: Option<PriceEntry>,
    /// Every imported version, the latest first.
    versions: Vec<ListedView>,
    #[serde(skip)]
    notes: [String; 2],
}

impl Show for ShowView {
    fn fields(&self) -> Vec<(&'static str, String)> {
        let [source, listed] = self.notes.clone();
        let mut fields = vec![
            ("model", self.model.clone()),
            ("provider", or_dash(self.provider.as_ref())),
            ("upstream model", or_dash(self.upstream_model.as_ref())),
            ("price from", source),
            ("version", or_dash(self.price_version.as_ref())),
            ("effective from", or_dash(self.effective_from.as_ref())),
            ("the list says", listed),
        ];
        fields.extend(self.prices.iter().map(|prices| {
            let text = format!("{}: {}", prices.condition, prices.members.cell());
            ("prices $/million", text)
        }));
        fields
    }
}

/// What is known of where a model's price comes from.
struct Found {
    model: String,
    provider: Option<String>,
    upstream_model: Option<String>,
    price: Option<Price>,
    listed: Option<ListedPrice>,
}

impl Found {
    fn view(&self, versions: Vec<ListedView>) -> ShowView {
        let price = self.price.as_ref();
        let is_own = price.is_some_and(|price| price.source() == PriceSource::Alias);
        let source = match price.map(Price::source) {
            Some(PriceSource::Alias) => "own: the alias's own price always wins".to_owned(),
            Some(source) => source_word(source).to_owned(),
            None => "NO PRICE: teams charged by cost cannot call it".to_owned(),
        };
        let listed = self.listed.as_ref().map(|listed| {
            let base = listed.card.standard();
            format!(
                "in {} out {}, {}/{}, {} {}",
                base.input.per_million(),
                base.output.per_million(),
                listed.seller,
                listed.name,
                source_word(listed.source),
                listed.version
            )
        });
        let conditions = price.into_iter().flat_map(Price::conditions);
        let from = price.and_then(Price::effective_from);
        ShowView {
            model: self.model.clone(),
            provider: self.provider.clone(),
            upstream_model: self.upstream_model.clone(),
            price_source: price.map(|price| price.source().as_str()),
            price_version: price
                .filter(|_| !is_own)
                .map(|price| price.version().to_owned()),
            effective_from: from.map(day_text),
            prices: conditions
                .map(|condition| ConditionView {
                    condition: condition.label(),
                    members: MembersView::new(&condition.unit),
                })
                .collect(),
            listed: self.listed.as_ref().map(PriceEntry::new),
            versions,
            notes: [source, or_dash(listed)],
        }
    }
}

/// Shows an alias, or a model of the lists.
pub(super) async fn run(session: &Session, output: Output, model: &str) -> Result<(), Failure> {
    let found = match alias(session, model).await? {
        Some(found) => found,
        None => of_lists(session, model).await?,
    };
    let pool = session.database.pool();
    let versions = match &found.listed {
        Some(listed) => versions::versions(pool, (&listed.seller, &listed.name)).await?,
        None => Vec::new(),
    };
    let view = found.view(versions.into_iter().map(ListedView::from).collect());
    output.one_with(&view, &view.versions)
}

async fn alias(session: &Session, model: &str) -> Result<Option<Found>, Failure> {
    let Ok(alias) = model.parse::<ModelAlias>() else {
        return Ok(None);
    };
    let pool = session.database.pool();
    let Some(found) = list::find(pool, &alias).await? else {
        return Ok(None);
    };
    let model = found.model;
    let wanted = [(model.provider_at.clone(), model.upstream_model.clone())];
    let listed = versions::in_force(pool, &wanted).await?;
    Ok(Some(Found {
        model: model.alias.to_string(),
        provider: Some(model.provider.to_string()),
        upstream_model: Some(model.upstream_model.clone()),
        price: model.price().map(|price| Price::clone(price)),
        listed: listed.into_iter().next().flatten(),
    }))
}

/// A model of the imported lists or the catalogue, by its name with or without its seller.
async fn of_lists(session: &Session, model: &str) -> Result<Found, Failure> {
    let (pool, model) = (session.database.pool(), model.to_ascii_lowercase());
    let mut found: Vec<(String, String)> = Vec::new();
    let catalogue = CATALOG.names().into_iter();
    for (seller, name) in catalogue {
        if name == model || format!("{seller}/{name}") == model {
            found.push((seller.to_owned(), name.to_owned()));
        }
    }
    for name in [
        Some(model.as_str()),
        model.split_once('/').map(|(_, name)| name),
    ] {
        let Some(name) = name else {
            continue;
        };
        for seller in versions::sellers(pool, name).await? {
            if name == model || format!("{seller}/{name}") == model {
                found.push((seller, name.to_owned()));
            }
        }
    }
    found.sort_unstable();
    found.dedup();
    let (seller, name) = match found.as_slice() {
        [one] => one.clone(),
        [] => return Err(Failure::not_found("model", &model)),
        several => {
            let names = several
                .iter()
                .map(|(seller, name)| format!("{seller}/{name}"));
            let names: Vec<String> = names.collect();
            return Err(Failure::Usage(format!(
                "{model} is sold by several: name one of {}",
                names.join(", ")
            )));
        }
    };
    let listed = versions::exact(pool, (&seller, &name)).await?;
    Ok(Found {
        model: format!("{seller}/{name}"),
        provider: None,
        upstream_model: None,
        price: listed.as_ref().map(ListedPrice::price),
        listed,
    })
}
