//! Reads what the screen of settings shows.

use std::path::PathBuf;

use tollgate_common::clock::Timestamp;
use tollgate_common::config::Config;
use tollgate_common::db::about::{self, About};
use tollgate_common::db::live::{self, Told};
use tollgate_common::db::{Engine, node, policy};
use tollgate_common::id::NodeId;
use tollgate_common::role::Role;

use super::Source;
use crate::dashboard::problem::Problem;
use crate::dashboard::settings_file;

/// What can be asked.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Query {
    /// Everything.
    All,
}

/// What is answered.
#[derive(Debug)]
pub(crate) enum Answer {
    /// Everything.
    All(Box<Installation>),
}

/// What this is connected to.
#[derive(Debug, Clone)]
pub(crate) struct Installation {
    /// The database's engine.
    pub(crate) engine: Engine,
    /// What the database tells of itself.
    pub(crate) about: About,
    /// When it was asked, by this machine's clock.
    pub(crate) asked_at: Timestamp,
    /// The revision of the policy.
    pub(crate) revision: i64,
    /// The nodes.
    pub(crate) nodes: Vec<Node>,
    /// The configuration of this machine.
    pub(crate) config: Config,
    /// What the administrator may do.
    pub(crate) role: Role,
    /// The dashboard's own file.
    pub(crate) settings_file: PathBuf,
    /// Whether it is there.
    pub(crate) has_settings_file: bool,
    /// Where keys, exports and reports go.
    pub(crate) files: PathBuf,
}

/// A node, and what it has told last.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    /// Its id.
    pub(crate) id: NodeId,
    /// When it last said that it lives.
    pub(crate) seen_at: Timestamp,
    /// What it has told.
    pub(crate) told: Option<Told>,
}

/// Reads it.
pub(super) async fn load(source: &Source, query: Query) -> Result<super::Answer, Problem> {
    let Query::All = query;
    let database = &source.session.database;
    let asked_at = source.now();
    let about = about::about(database).await?;
    let revision = policy::revision(database).await?;
    let mut told = live::list(database.pool()).await?;
    let nodes = node::list(database.pool()).await?;
    let nodes = nodes.into_iter().map(|(id, seen_at)| {
        let place = told.iter().position(|told| told.node_id == id);
        Node {
            id,
            seen_at,
            told: place.map(|place| told.swap_remove(place)),
        }
    });
    let settings_file = settings_file::path();
    let installation = Installation {
        engine: database.engine(),
        about,
        asked_at,
        revision,
        nodes: nodes.collect(),
        config: source.session.config().clone(),
        role: source.session.rights().role,
        has_settings_file: settings_file.exists(),
        settings_file,
        files: source.files.clone(),
    };
    Ok(super::Answer::Settings(Answer::All(Box::new(installation))))
}
