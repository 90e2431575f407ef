//! `tollgate-admin org`.

use clap::Subcommand;
use serde::Serialize;
use tollgate_common::clock::Timestamp;
use tollgate_common::command::Command;
use tollgate_common::db::org;
use tollgate_common::id::OrgId;
use tollgate_common::org::Organization;
use tollgate_common::standing::Standing;

use super::error::Failure;
use super::output::{Column, Output, Row, Show, optional_time, time, words};
use super::value::{self, Moment};
use crate::session::Session;

/// What can be done with organizations.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Create an organization
    Create {
        /// Its id, for good
        id: OrgId,
        /// Its name for people
        #[arg(long, value_parser = value::text)]
        name: String,
    },
    /// List all organizations
    List,
    /// Show one organization
    Show {
        /// Which
        id: OrgId,
    },
    /// Rename an organization
    Set {
        /// Which
        id: OrgId,
        /// Its new name
        #[arg(long, value_parser = value::text)]
        name: String,
    },
    /// Refuse all work of its teams until it is resumed
    Suspend {
        /// Which
        id: OrgId,
    },
    /// Refuse all work of its teams for a while, or until it is resumed
    Pause {
        /// Which
        id: OrgId,
        /// When the pause ends: a time as 2026-12-31T23:59:59Z or a span as 2h
        #[arg(long, value_name = "TIME")]
        until: Option<Moment>,
    },
    /// End a suspension or pause
    Resume {
        /// Which
        id: OrgId,
    },
}

#[derive(Debug, Serialize)]
struct OrgView {
    id: OrgId,
    name: String,
    status: &'static str,
    paused_until: Option<Timestamp>,
    created_at: Timestamp,
}

impl OrgView {
    fn new(org: Organization, now: Timestamp) -> Self {
        let standing = org.standing.at(now);
        Self {
            id: org.id,
            name: org.name,
            status: standing.word(),
            paused_until: standing.paused_until(),
            created_at: org.created_at,
        }
    }
}

impl Row for OrgView {
    const COLUMNS: &'static [Column] = &[
        words("ID"),
        words("NAME"),
        words("STATUS"),
        words("PAUSED UNTIL"),
        words("CREATED"),
    ];

    fn cells(&self) -> Vec<String> {
        vec![
            self.id.to_string(),
            self.name.clone(),
            self.status.to_owned(),
            optional_time(self.paused_until),
            time(self.created_at),
        ]
    }
}

impl Show for OrgView {
    fn fields(&self) -> Vec<(&'static str, String)> {
        vec![
            ("id", self.id.to_string()),
            ("name", self.name.clone()),
            ("status", self.status.to_owned()),
            ("paused until", optional_time(self.paused_until)),
            ("created", time(self.created_at)),
        ]
    }
}

/// Does what the verb says.
pub(super) async fn run(session: &Session, output: Output, verb: Verb) -> Result<(), Failure> {
    let (id, command, done) = match verb {
        Verb::List => return list(session, output).await,
        Verb::Show { id } => return output.one(&find(session, &id).await?),
        Verb::Create { id, name } => (id.clone(), Command::CreateOrg { id, name }, "created"),
        Verb::Set { id, name } => (id.clone(), Command::RenameOrg { id, name }, "renamed"),
        Verb::Suspend { id } => standing(id, Standing::Suspended, "suspended"),
        Verb::Resume { id } => standing(id, Standing::Active, "resumed"),
        Verb::Pause { id, until } => standing(id, value::pause(until, session.now())?, "paused"),
    };
    session.execute(&command).await?;
    let view = find(session, &id).await?;
    output.done(&view, &format!("Organization {id} {done}."))
}

fn standing(id: OrgId, standing: Standing, done: &'static str) -> (OrgId, Command, &'static str) {
    let command = Command::SetOrgStanding {
        id: id.clone(),
        standing,
    };
    (id, command, done)
}

async fn views(session: &Session) -> Result<Vec<OrgView>, Failure> {
    let now = session.now();
    let orgs = org::list(session.database.pool()).await?;
    Ok(orgs.into_iter().map(|org| OrgView::new(org, now)).collect())
}

async fn list(session: &Session, output: Output) -> Result<(), Failure> {
    output.list(
        &views(session).await?,
        "No organizations yet. Make one: tollgate-admin org create <id> --name <name>",
    )
}

async fn find(session: &Session, id: &OrgId) -> Result<OrgView, Failure> {
    let mut views = views(session).await?.into_iter();
    views
        .find(|view| view.id == *id)
        .ok_or_else(|| Failure::not_found("organization", id))
}

/// Fails if there is no such organization.
pub(super) async fn require(session: &Session, id: &OrgId) -> Result<(), Failure> {
    find(session, id).await.map(drop)
}
