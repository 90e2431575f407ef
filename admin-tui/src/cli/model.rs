//! `tollgate-admin model`. Prices are dollars per million tokens.

use clap::{ArgGroup, Subcommand};
use serde::Serialize;
use tollgate_common::command::{Command, ModelSettings};
use tollgate_common::db::model::list::{self, MODELS, ModelOrder};
use tollgate_common::db::{model, page};
use tollgate_common::id::{GroupName, ModelAlias, ProviderName};

use super::error::Failure;
use super::output::Output;
use super::value;
use crate::session::Session;
use settings::Settings;
use view::ModelView;

mod own_price;
pub(crate) mod settings;
mod view;

/// The options of `set` alone by their fields; it needs at least one of these or of the others.
const CHANGES: [&str; 5] = [
    "provider",
    "upstream_model",
    "catalog_price",
    "default_timeout",
    "no_fallbacks",
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
        settings: Box<Settings>,
        /// A group to put it in, at the end; repeat it for several
        #[arg(long = "group", value_name = "GROUP")]
        groups: Vec<GroupName>,
    },
    /// List all models
    List {
        #[arg(
            long,
            value_name = "TEXT",
            help = "Only those that fit, in the words of the dashboard: 'provider:openai price:own'"
        )]
        filter: Option<String>,
    },
    /// Show one model
    Show {
        /// Which
        alias: ModelAlias,
    },
    /// Change a model
    #[command(group = ArgGroup::new("changes").required(true).multiple(true)
        .args(CHANGES).args(settings::OPTIONS))]
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
        settings: Box<Settings>,
        /// Drop its own price: the shipped table's counts again
        #[arg(long, conflicts_with_all = ["input_price", "output_price"])]
        catalog_price: bool,
        /// Drop its own time-out: the proxy's setting counts again
        #[arg(long, conflicts_with = "timeout")]
        default_timeout: bool,
        /// Take all its fallbacks away
        #[arg(long, conflicts_with = "fallbacks")]
        no_fallbacks: bool,
    },
    /// Remove a model from everywhere
    Remove {
        /// Which
        alias: ModelAlias,
    },
}

#[derive(Debug, Serialize)]
struct RemovedView {
    alias: ModelAlias,
    removed: bool,
}

/// Does what the verb says.
pub(super) async fn run(session: &Session, output: Output, verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::List { filter } => list(session, output, filter.as_deref()).await,
        Verb::Show { alias } => output.one(&find(session, &alias).await?),
        Verb::Remove { alias } => remove(session, output, alias).await,
        Verb::Add {
            alias,
            provider,
            upstream_model,
            settings,
            groups,
        } => {
            let settings = settings.into_model_settings(Some(provider), Some(upstream_model), None);
            add(session, output, alias, settings, groups).await
        }
        Verb::Set {
            alias,
            provider,
            upstream_model,
            settings,
            catalog_price,
            default_timeout,
            no_fallbacks,
        } => {
            let no_fallbacks = no_fallbacks.then(Vec::new);
            let mut settings = settings.into_model_settings(provider, upstream_model, no_fallbacks);
            if catalog_price {
                settings.price = Some(None);
            }
            if default_timeout {
                settings.timeout = Some(None);
            }
            set(session, output, alias, settings).await
        }
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

async fn list(session: &Session, output: Output, filter: Option<&str>) -> Result<(), Failure> {
    let filter = value::filter(&MODELS, filter, session.now())?;
    let mut connection = session.database.dedicated_connection().await?;
    let order = (ModelOrder::Alias, false);
    let part = list::page(&mut connection, order, &page::everything(&filter)).await?;
    let rows = part.rows.into_iter();
    let views: Vec<ModelView> = rows.map(|listed| ModelView::new(listed.row)).collect();
    output.list(
        &views,
        if filter.is_all() {
            "No models yet. Add one: tollgate-admin model add <alias> --provider <name> --upstream-model <model>"
        } else {
            "No model fits this filter."
        },
    )
}

async fn find(session: &Session, alias: &ModelAlias) -> Result<ModelView, Failure> {
    let found = list::find(session.database.pool(), alias).await?;
    found
        .map(ModelView::new)
        .ok_or_else(|| Failure::not_found("model", alias))
}
