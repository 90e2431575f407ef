//! `tollgate-admin model`. Prices are dollars per million tokens.

use clap::{ArgGroup, Subcommand};
use serde::Serialize;
use tollgate_common::command::{Command, ModelSettings};
use tollgate_common::db::model;
use tollgate_common::id::{GroupName, ModelAlias, ProviderName};
use tollgate_common::model::{Model, OwnPrice};
use tollgate_common::money::NanoUsd;

use super::error::Failure;
use super::output::{Column, Output, Row, Show, joined, numbers, or_dash, words};
use super::value;
use crate::session::Session;

/// The options of `set` by their fields, of which it needs at least one.
const CHANGES: [&str; 6] = [
    "provider",
    "upstream_model",
    "input_price",
    "output_price",
    "max_output_tokens",
    "catalog_price",
];

/// What can be done with models.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Add a model
    Add {
        /// Its public name, the only one that teams see
        alias: ModelAlias,
        /// The provider account that serves it
        #[arg(long)]
        provider: ProviderName,
        /// What the provider calls it
        #[arg(long, value_name = "MODEL", value_parser = value::text)]
        upstream_model: String,
        #[command(flatten)]
        limits: Limits,
        /// A group to put it in, at the end; repeat it for several
        #[arg(long = "group", value_name = "GROUP")]
        groups: Vec<GroupName>,
    },
    /// List all models
    List,
    /// Show one model
    Show {
        /// Which
        alias: ModelAlias,
    },
    /// Change a model
    #[command(group = ArgGroup::new("changes").required(true).multiple(true).args(CHANGES))]
    Set {
        /// Which
        alias: ModelAlias,
        /// The provider account that serves it
        #[arg(long)]
        provider: Option<ProviderName>,
        /// What the provider calls it
        #[arg(long, value_name = "MODEL", value_parser = value::text)]
        upstream_model: Option<String>,
        #[command(flatten)]
        limits: Limits,
        /// Drop its own price: the shipped table's counts again
        #[arg(long, conflicts_with_all = ["input_price", "output_price"])]
        catalog_price: bool,
    },
    /// Remove a model from everywhere
    Remove {
        /// Which
        alias: ModelAlias,
    },
}

/// What a model costs and how long its answers may get, if not what the shipped table says.
#[derive(Debug, clap::Args)]
pub(crate) struct Limits {
    /// Its own price of prompt tokens, in dollars per million
    #[arg(long, value_name = "DOLLARS", allow_negative_numbers = true, requires = "output_price", value_parser = value::price)]
    input_price: Option<NanoUsd>,
    /// Its own price of completion tokens, in dollars per million
    #[arg(long, value_name = "DOLLARS", allow_negative_numbers = true, requires = "input_price", value_parser = value::price)]
    output_price: Option<NanoUsd>,
    /// How many tokens an answer may have at most
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = clap::value_parser!(i64).range(1..=10_000_000))]
    max_output_tokens: Option<i64>,
}

#[derive(Debug, Serialize)]
struct ModelView {
    alias: ModelAlias,
    provider: ProviderName,
    upstream_model: String,
    input_price: Option<f64>,
    output_price: Option<f64>,
    price_version: Option<String>,
    max_output_tokens: Option<i64>,
    groups: Vec<GroupName>,
}

impl ModelView {
    fn new(model: &Model, groups: &[(GroupName, Vec<ModelAlias>)]) -> Self {
        let price = model.price();
        let unit = price.as_ref().map(|price| price.unit);
        let holding = groups
            .iter()
            .filter(|(_, aliases)| aliases.contains(&model.alias));
        Self {
            alias: model.alias.clone(),
            provider: model.provider.clone(),
            upstream_model: model.upstream_model.clone(),
            input_price: unit.map(|unit| value::per_million(unit.input)),
            output_price: unit.map(|unit| value::per_million(unit.output)),
            price_version: price.map(|price| price.version),
            max_output_tokens: model.output_tokens_max(),
            groups: holding.map(|(name, _)| name.clone()).collect(),
        }
    }
}

fn price_cell(price: Option<f64>) -> String {
    price.map_or_else(|| "-".to_owned(), |dollars| format!("{dollars:.3}"))
}

impl Row for ModelView {
    const COLUMNS: &'static [Column] = &[
        words("ALIAS"),
        words("PROVIDER"),
        words("UPSTREAM MODEL"),
        numbers("INPUT $/M"),
        numbers("OUTPUT $/M"),
        words("PRICE FROM"),
        numbers("MAX OUTPUT"),
        words("GROUPS"),
    ];

    fn cells(&self) -> Vec<String> {
        vec![
            self.alias.to_string(),
            self.provider.to_string(),
            self.upstream_model.clone(),
            price_cell(self.input_price),
            price_cell(self.output_price),
            or_dash(self.price_version.as_ref()),
            or_dash(self.max_output_tokens),
            joined(&self.groups),
        ]
    }
}

impl Show for ModelView {
    fn fields(&self) -> Vec<(&'static str, String)> {
        vec![
            ("alias", self.alias.to_string()),
            ("provider", self.provider.to_string()),
            ("upstream model", self.upstream_model.clone()),
            ("input $/million", price_cell(self.input_price)),
            ("output $/million", price_cell(self.output_price)),
            ("price from", or_dash(self.price_version.as_ref())),
            ("max output tokens", or_dash(self.max_output_tokens)),
            ("groups", joined(&self.groups)),
        ]
    }
}

#[derive(Debug, Serialize)]
struct RemovedView {
    alias: ModelAlias,
    removed: bool,
}

/// Does what the verb says.
pub(super) async fn run(session: &Session, output: Output, verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::List => list(session, output).await,
        Verb::Show { alias } => output.one(&find(session, &alias).await?),
        Verb::Remove { alias } => remove(session, output, alias).await,
        Verb::Add {
            alias,
            provider,
            upstream_model,
            limits,
            groups,
        } => {
            let settings = settings(Some(provider), Some(upstream_model), &limits);
            add(session, output, alias, settings, groups).await
        }
        Verb::Set {
            alias,
            provider,
            upstream_model,
            limits,
            catalog_price,
        } => {
            let mut settings = settings(provider, upstream_model, &limits);
            if catalog_price {
                settings.price = Some(None);
            }
            set(session, output, alias, settings).await
        }
    }
}

fn settings(
    provider: Option<ProviderName>,
    upstream_model: Option<String>,
    limits: &Limits,
) -> ModelSettings {
    ModelSettings {
        provider,
        upstream_model,
        price: limits
            .input_price
            .zip(limits.output_price)
            .map(|(input, output)| Some(OwnPrice::new(input, output))),
        output_tokens_max: limits.max_output_tokens,
        ..ModelSettings::default()
    }
}

async fn add(
    session: &Session,
    output: Output,
    alias: ModelAlias,
    settings: ModelSettings,
    groups: Vec<GroupName>,
) -> Result<(), Failure> {
    require_groups(session, &groups).await?;
    let command = Command::AddModel {
        alias: alias.clone(),
        settings,
    };
    session.execute(&command).await?;
    add_to_groups(session, &alias, groups).await?;
    let view = find(session, &alias).await?;
    output.done(&view, &format!("Model {alias} added."))
}

async fn set(
    session: &Session,
    output: Output,
    alias: ModelAlias,
    settings: ModelSettings,
) -> Result<(), Failure> {
    let command = Command::SetModel {
        alias: alias.clone(),
        settings,
    };
    session.execute(&command).await?;
    let view = find(session, &alias).await?;
    output.done(&view, &format!("Model {alias} changed."))
}

/// Adding a model and putting it in groups are changes of their own: a group that is not there must
/// be found before the first of them.
async fn require_groups(session: &Session, wanted: &[GroupName]) -> Result<(), Failure> {
    let groups = model::list_groups(session.database.pool()).await?;
    let missing = wanted
        .iter()
        .find(|name| groups.iter().all(|(group, _)| group != *name));
    match missing {
        Some(name) => Err(Failure::not_found("group", name)),
        None => Ok(()),
    }
}

async fn add_to_groups(
    session: &Session,
    alias: &ModelAlias,
    mut groups: Vec<GroupName>,
) -> Result<(), Failure> {
    groups.sort_unstable();
    groups.dedup();
    for name in groups {
        let command = Command::AddToGroup {
            name,
            alias: alias.clone(),
        };
        session.execute(&command).await?;
    }
    Ok(())
}

async fn remove(session: &Session, output: Output, alias: ModelAlias) -> Result<(), Failure> {
    let command = Command::RemoveModel {
        alias: alias.clone(),
    };
    session.execute(&command).await?;
    let sentence = format!("Model {alias} removed.");
    let removed = true;
    output.done(&RemovedView { alias, removed }, &sentence)
}

async fn views(session: &Session) -> Result<Vec<ModelView>, Failure> {
    let pool = session.database.pool();
    let groups = model::list_groups(pool).await?;
    let models = model::list(pool).await?;
    Ok(models
        .iter()
        .map(|model| ModelView::new(model, &groups))
        .collect())
}

async fn list(session: &Session, output: Output) -> Result<(), Failure> {
    output.list(
        &views(session).await?,
        "No models yet. Add one: tollgate-admin model add <alias> --provider <name> --upstream-model <model>",
    )
}

async fn find(session: &Session, alias: &ModelAlias) -> Result<ModelView, Failure> {
    let mut views = views(session).await?.into_iter();
    views
        .find(|view| view.alias == *alias)
        .ok_or_else(|| Failure::not_found("model", alias))
}
