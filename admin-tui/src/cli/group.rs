//! `tollgate-admin group`.

use clap::Subcommand;
use serde::Serialize;
use tollgate_common::command::Command;
use tollgate_common::db::model::group::{self, GROUPS};
use tollgate_common::db::page;
use tollgate_common::filter::Filter;
use tollgate_common::id::{GroupName, ModelAlias};

use super::error::Failure;
use super::output::{Column, Output, Row, joined, words};
use super::value;
use crate::session::Session;

/// What can be done with groups of models.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Create a group
    Create {
        /// Its name
        name: GroupName,
        /// A model in it; repeat it in the order in which the group is to try them
        #[arg(long = "model", value_name = "ALIAS")]
        models: Vec<ModelAlias>,
    },
    /// Add a model at the end of a group
    Add {
        /// Which group
        name: GroupName,
        /// Which model
        alias: ModelAlias,
    },
    /// Take a model out of a group
    Remove {
        /// Which group
        name: GroupName,
        /// Which model
        alias: ModelAlias,
    },
    /// List all groups
    List {
        #[arg(
            long,
            value_name = "TEXT",
            help = "Only those that fit, in the words of the dashboard: 'model:gpt-4o team:acme'"
        )]
        filter: Option<String>,
    },
}

#[derive(Debug, Serialize)]
struct GroupView {
    name: GroupName,
    models: Vec<ModelAlias>,
}

impl Row for GroupView {
    const COLUMNS: &'static [Column] = &[words("NAME"), words("MODELS")];

    fn cells(&self) -> Vec<String> {
        vec![self.name.to_string(), joined(&self.models)]
    }
}

/// Does what the verb says.
pub(super) async fn run(session: &Session, output: Output, verb: Verb) -> Result<(), Failure> {
    let (name, command, sentence) = match verb {
        Verb::List { filter } => return list(session, output, filter.as_deref()).await,
        Verb::Create { name, models } => {
            let sentence = format!("Group {name} created.");
            let command = Command::CreateGroup {
                name: name.clone(),
                models,
            };
            (name, command, sentence)
        }
        Verb::Add { name, alias } => {
            let sentence = format!("Model {alias} added to group {name}.");
            let command = Command::AddToGroup {
                name: name.clone(),
                alias,
            };
            (name, command, sentence)
        }
        Verb::Remove { name, alias } => {
            let sentence = format!("Model {alias} taken out of group {name}.");
            let command = Command::RemoveFromGroup {
                name: name.clone(),
                alias,
            };
            (name, command, sentence)
        }
    };
    session.execute(&command).await?;
    output.done(&find(session, &name).await?, &sentence)
}

/// The groups that fit a filter, by name.
async fn views(session: &Session, filter: &Filter) -> Result<Vec<GroupView>, Failure> {
    let mut connection = session.database.dedicated_connection().await?;
    let part = group::page(&mut connection, false, &page::everything(filter)).await?;
    let groups = part.rows.into_iter().map(|listed| listed.row);
    Ok(groups
        .map(|group| GroupView {
            name: group.name,
            models: group.models,
        })
        .collect())
}

async fn list(session: &Session, output: Output, filter: Option<&str>) -> Result<(), Failure> {
    let filter = value::filter(&GROUPS, filter, session.now())?;
    output.list(
        &views(session, &filter).await?,
        if filter.is_all() {
            "No groups yet. Create one: tollgate-admin group create <name> --model <alias>"
        } else {
            "No group fits this filter."
        },
    )
}

async fn find(session: &Session, name: &GroupName) -> Result<GroupView, Failure> {
    let mut views = views(session, &Filter::all(&GROUPS)).await?.into_iter();
    views
        .find(|view| view.name == *name)
        .ok_or_else(|| Failure::not_found("group", name))
}
