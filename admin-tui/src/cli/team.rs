//! `tollgate-admin team`.

use clap::{ArgGroup, Subcommand};
use tollgate_common::command::Command;
use tollgate_common::db::team::list::{self, TEAMS, TeamOrder};
use tollgate_common::db::{ledger, model, page};
use tollgate_common::id::{OrgId, TeamId};
use tollgate_common::ledger::Account;
use tollgate_common::money::Credits;
use tollgate_common::standing::Standing;

use super::error::Failure;
use super::limit;
use super::org;
use super::output::Output;
use super::value::{self, Moment};
use crate::session::Session;
use settings::Settings;
use view::TeamView;

pub(crate) mod settings;
mod view;

/// What can be done with teams.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Create a team with its credit account
    Create {
        /// Its id, for good
        id: TeamId,
        /// Its organization
        #[arg(long)]
        org: OrgId,
        /// Its first credits
        #[arg(long, value_name = "N", allow_negative_numbers = true, default_value = "0", value_parser = value::credits_allowed)]
        credits: Credits,
        #[command(flatten)]
        settings: Box<Settings>,
    },
    /// List teams
    List {
        /// Only those of this organization
        #[arg(long)]
        org: Option<OrgId>,
        #[command(flatten)]
        narrowed: Narrowed,
    },
    /// Show one team with its credits
    Show {
        /// Which
        id: TeamId,
    },
    /// Change settings of a team
    #[command(group = ArgGroup::new("changes").required(true).multiple(true)
        .args(settings::OPTIONS).args(limit::OPTIONS).arg("no_groups"))]
    Set {
        /// Which
        id: TeamId,
        #[command(flatten)]
        settings: Box<Settings>,
        /// Take all groups away
        #[arg(long, conflicts_with = "groups")]
        no_groups: bool,
    },
    /// Refuse all its work until it is resumed
    Suspend {
        /// Which
        id: TeamId,
        /// Cancel its open jobs too, which releases what they hold
        #[arg(long)]
        cancel_jobs: bool,
    },
    /// Refuse all its work for a while, or until it is resumed
    Pause {
        /// Which
        id: TeamId,
        /// When the pause ends: a time as 2026-12-31T23:59:59Z or a span as 2h
        #[arg(long, value_name = "TIME")]
        until: Option<Moment>,
    },
    /// End a suspension or pause
    Resume {
        /// Which
        id: TeamId,
    },
}

/// Does what the verb says.
pub(super) async fn run(session: &Session, output: Output, verb: Verb) -> Result<(), Failure> {
    let (id, command, done) = match verb {
        Verb::List { org, narrowed } => {
            return list(session, output, org.as_ref(), &narrowed).await;
        }
        Verb::Suspend { id, cancel_jobs } if cancel_jobs => {
            return stop(session, output, id).await;
        }
        Verb::Show { id } => return output.one(&find(session, &id).await?),
        Verb::Create {
            id,
            org,
            credits,
            settings,
        } => {
            require_default_model(session, &settings).await?;
            let command = Command::CreateTeam {
                id: id.clone(),
                org_id: org,
                credits,
                settings: settings.into_team_settings(None),
            };
            (id, command, "created")
        }
        Verb::Set {
            id,
            settings,
            no_groups,
        } => {
            require_default_model(session, &settings).await?;
            let no_groups = no_groups.then(Vec::new);
            let command = Command::SetTeam {
                id: id.clone(),
                settings: settings.into_team_settings(no_groups),
            };
            (id, command, "changed")
        }
        Verb::Suspend { id, .. } => standing(id, Standing::Suspended, "suspended"),
        Verb::Resume { id } => standing(id, Standing::Active, "resumed"),
        Verb::Pause { id, until } => standing(id, value::pause(until, session.now())?, "paused"),
    };
    session.execute(&command).await?;
    let view = find(session, &id).await?;
    output.done(&view, &format!("Team {id} {done}."))
}

/// Which teams are listed, and in what order.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Narrowed {
    #[arg(
        long,
        value_name = "TEXT",
        help = "Only those that fit, in the words of the dashboard: 'status:suspended balance<100'"
    )]
    filter: Option<String>,
    /// In what order: id, balance, available or used
    #[arg(long, value_name = "ORDER", default_value = "id")]
    sort: TeamOrder,
    /// The order turned around
    #[arg(long)]
    reverse: bool,
}

/// Suspends a team and then cancels its open jobs, so that no new ones come in between.
async fn stop(session: &Session, output: Output, id: TeamId) -> Result<(), Failure> {
    let (id, command, _) = standing(id, Standing::Suspended, "");
    session.execute(&command).await?;
    let cancelled = session.cancel_open_jobs(&id, None).await?;
    let view = find(session, &id).await?;
    output.done(
        &view,
        &format!("Team {id} suspended, {cancelled} jobs cancelled."),
    )
}

fn standing(id: TeamId, standing: Standing, done: &'static str) -> (TeamId, Command, &'static str) {
    let command = Command::SetTeamStanding {
        id: id.clone(),
        standing,
    };
    (id, command, done)
}

/// A default model that does not exist would refuse every call that names none.
async fn require_default_model(session: &Session, settings: &Settings) -> Result<(), Failure> {
    let Some(alias) = settings.default_model() else {
        return Ok(());
    };
    let models = model::list(session.database.pool(), &[]).await?;
    if models.iter().any(|model| model.alias == *alias) {
        Ok(())
    } else {
        Err(Failure::not_found("model", alias))
    }
}

async fn list(
    session: &Session,
    output: Output,
    org: Option<&OrgId>,
    narrowed: &Narrowed,
) -> Result<(), Failure> {
    if let Some(org) = org {
        org::require(session, org).await?;
    }
    let now = session.now();
    let filter = value::filter(&TEAMS, narrowed.filter.as_deref(), now)?;
    let order = (narrowed.sort, narrowed.reverse);
    let pool = session.database.pool();
    let part = list::page(pool, order, &page::everything(&filter), now).await?;
    let views: Vec<TeamView> = part
        .rows
        .into_iter()
        .map(|listed| listed.row)
        .filter(|listed| org.is_none_or(|org| listed.team.org_id == *org))
        .map(|listed| TeamView::new(listed, now))
        .collect();
    output.list(
        &views,
        if filter.is_all() {
            "No teams. Make one: tollgate-admin team create <id> --org <organization>"
        } else {
            "No team fits this filter."
        },
    )
}

async fn find(session: &Session, id: &TeamId) -> Result<TeamView, Failure> {
    let now = session.now();
    let found = list::find(session.database.pool(), id, now).await?;
    found
        .map(|listed| TeamView::new(listed, now))
        .ok_or_else(|| Failure::not_found("team", id))
}

/// The account of a team, which every team has.
pub(super) async fn account(session: &Session, id: &TeamId) -> Result<Account, Failure> {
    ledger::find_account(session.database.pool(), id)
        .await?
        .ok_or_else(|| Failure::not_found("team", id))
}
