//! `tollgate-admin org`.

use clap::Subcommand;
use serde::Serialize;
use tollgate_common::clock::Timestamp;
use tollgate_common::command::Command;
use tollgate_common::db::org::list::{self, ListedOrg, ORGS, OrgOrder};
use tollgate_common::db::page;
use tollgate_common::id::OrgId;
use tollgate_common::money::Credits;
use tollgate_common::standing::Standing;

use super::error::Failure;
use super::output::{Column, Output, Row, Show, numbers, optional_time, time, words};
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
    /// List organizations
    List {
        #[arg(
            long,
            value_name = "TEXT",
            help = "Only those that fit, in the words of the dashboard: 'status:active teams>5'"
        )]
        filter: Option<String>,
        /// In what order: id, teams, balance or used
        #[arg(long, value_name = "ORDER", default_value = "id")]
        sort: OrgOrder,
        /// The order turned around
        #[arg(long)]
        reverse: bool,
    },
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
    teams: i64,
    stopped_teams: i64,
    balance: Credits,
    held: Credits,
    used: Credits,
    used_today: Credits,
    created_at: Timestamp,
}

impl OrgView {
    fn new(listed: ListedOrg, now: Timestamp) -> Self {
        let org = listed.org;
        let standing = org.standing.at(now);
        Self {
            id: org.id,
            name: org.name,
            status: standing.word(),
            paused_until: standing.paused_until(),
            teams: listed.teams,
            stopped_teams: listed.stopped_teams,
            balance: listed.balance,
            held: listed.held,
            used: listed.used,
            used_today: listed.today,
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
        numbers("TEAMS"),
        numbers("BALANCE"),
        numbers("USED"),
        words("CREATED"),
    ];

    fn cells(&self) -> Vec<String> {
        vec![
            self.id.to_string(),
            self.name.clone(),
            self.status.to_owned(),
            optional_time(self.paused_until),
            self.teams.to_string(),
            self.balance.to_string(),
            self.used.to_string(),
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
            ("teams", self.teams.to_string()),
            ("stopped teams", self.stopped_teams.to_string()),
            ("balance", self.balance.to_string()),
            ("held", self.held.to_string()),
            ("used", self.used.to_string()),
            ("used today", self.used_today.to_string()),
            ("created", time(self.created_at)),
        ]
    }
}

/// Does what the verb says.
pub(super) async fn run(session: &Session, output: Output, verb: Verb) -> Result<(), Failure> {
    let (id, command, done) = match verb {
        Verb::List {
            filter,
            sort,
            reverse,
        } => return list(session, output, filter.as_deref(), (sort, reverse)).await,
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

async fn list(
    session: &Session,
    output: Output,
    filter: Option<&str>,
    order: (OrgOrder, bool),
) -> Result<(), Failure> {
    let now = session.now();
    let filter = value::filter(&ORGS, filter, now)?;
    let pool = session.database.pool();
    let part = list::page(pool, order, &page::everything(&filter), now).await?;
    let rows = part.rows.into_iter();
    let views: Vec<OrgView> = rows.map(|listed| OrgView::new(listed.row, now)).collect();
    output.list(
        &views,
        if filter.is_all() {
            "No organizations yet. Make one: tollgate-admin org create <id> --name <name>"
        } else {
            "No organization fits this filter."
        },
    )
}

async fn find(session: &Session, id: &OrgId) -> Result<OrgView, Failure> {
    let now = session.now();
    let found = list::find(session.database.pool(), id, now).await?;
    found
        .map(|listed| OrgView::new(listed, now))
        .ok_or_else(|| Failure::not_found("organization", id))
}

/// Fails if there is no such organization.
pub(super) async fn require(session: &Session, id: &OrgId) -> Result<(), Failure> {
    find(session, id).await.map(drop)
}
