//! Carries out administrative commands: the change, the policy revision and the audit record in one
//! transaction.

use sqlx::AnyConnection;

use super::work::{BalanceChange, ChangeBalance, EndJob, Outcome, Work, WorkError};
use super::{Database, StoreError, audit, batch, job, key, model, org, price, provider, team};
use crate::clock::{Random, Timestamp};
use crate::command::{Applied, Command, CommandError};
use crate::id::{JobId, TeamId};
use crate::job::JobState;
use crate::role::Role;

mod before;
mod conflict;

/// Who makes a change: under which name and role, when, why and from where.
#[derive(Debug, Clone, Copy)]
pub struct Actor<'a> {
    /// The name that the audit log and the ledger show.
    pub name: &'a str,
    /// When.
    pub now: Timestamp,
    /// Makes the audit record's id.
    pub random: &'a dyn Random,
    /// What this administrator may do.
    pub role: Role,
    /// Why, for the audit log; commands that hold a reason of their own need none.
    pub reason: Option<&'a str>,
    /// The address that the change is asked from, for the audit log.
    pub origin: Option<&'a str>,
    /// When the target, as it was shown, was last changed: if it was changed since, nothing is
    /// done.
    pub expected: Option<Timestamp>,
}

impl<'a> Actor<'a> {
    /// An owner of whom no more is known than a name.
    pub const fn new(name: &'a str, now: Timestamp, random: &'a dyn Random) -> Self {
        Self {
            name,
            now,
            random,
            role: Role::Owner,
            reason: None,
            origin: None,
            expected: None,
        }
    }
}

const BUMP_REVISION: &str = "UPDATE policy_revision SET revision = revision + 1 WHERE id = 1";

/// Makes one change, if the actor's role allows it and nobody was faster.
pub async fn execute(
    database: &Database,
    actor: Actor<'_>,
    command: &Command,
) -> Result<Applied, CommandError> {
    actor.role.allows(command)?;
    database
        .write(async |connection| {
            // Locks out other administrators, so that what is read below stays as it is.
            sqlx::query(BUMP_REVISION).execute(&mut *connection).await?;
            change(connection, database, actor, command).await
        })
        .await
}

/// Makes many changes in their order, all or none.
pub async fn execute_all(
    database: &Database,
    changes: &[(Actor<'_>, &Command)],
) -> Result<(), CommandError> {
    for (actor, command) in changes {
        actor.role.allows(command)?;
    }
    database
        .write(async |connection| {
            sqlx::query(BUMP_REVISION).execute(&mut *connection).await?;
            for (actor, command) in changes {
                change(connection, database, *actor, command).await?;
            }
            Ok(())
        })
        .await
}

/// One change and its record, inside a transaction that has locked out other administrators.
async fn change(
    connection: &mut AnyConnection,
    database: &Database,
    actor: Actor<'_>,
    command: &Command,
) -> Result<Applied, CommandError> {
    if let Some(expected) = actor.expected {
        conflict::check(connection, command, expected, actor.now).await?;
    }
    let replaced = before::of(connection, command).await?;
    let applied = apply(connection, database, actor, command).await?;
    audit::insert(connection, actor, command, replaced).await?;
    Ok(applied)
}

async fn apply(
    connection: &mut AnyConnection,
    database: &Database,
    actor: Actor<'_>,
    command: &Command,
) -> Result<Applied, CommandError> {
    let now = actor.now;
    match command {
        Command::CreateOrg { id, name } => org::insert(connection, id, name, now).await?,
        Command::RenameOrg { id, name } => org::rename(connection, id, name, now).await?,
        Command::SetOrgStanding { id, standing } => {
            org::set_standing(connection, id, *standing, now).await?;
        }
        Command::CreateTeam {
            id,
            org_id,
            credits,
            settings,
        } => {
            team::insert(connection, id, org_id, settings, now).await?;
            if credits.is_positive() {
                let change = BalanceChange::Allocate(*credits);
                let work = balance_work(id.clone(), change, "Initial credits", actor);
                return do_work(connection, database, work).await;
            }
        }
        Command::SetTeam { id, settings } => team::update(connection, id, settings, now).await?,
        Command::SetTeamStanding { id, standing } => {
            team::set_standing(connection, id, *standing, now).await?;
        }
        Command::CreateKey { .. }
        | Command::SetKey { .. }
        | Command::RotateKey { .. }
        | Command::RevokeKey { .. } => key::apply(connection, command, now).await?,
        Command::ChangeBalance {
            team_id,
            change,
            reason,
        } => {
            if let BalanceChange::Refund(_, Some(id)) = change {
                require_own_job(connection, team_id, *id).await?;
            }
            let work = balance_work(team_id.clone(), *change, reason, actor);
            return do_work(connection, database, work).await;
        }
        Command::CancelJob { .. } | Command::FailJob { .. } => {
            return end_job(connection, database, command, now).await;
        }
        Command::AddProvider { .. }
        | Command::SetProvider { .. }
        | Command::SetPassFields { .. }
        | Command::AddCredential { .. }
        | Command::EnableCredential { .. }
        | Command::RemoveCredential { .. }
        | Command::RotateProvider { .. }
        | Command::EnableProvider { .. }
        | Command::RemoveProvider { .. } => provider::apply(connection, command, now).await?,
        Command::ImportPrices { import } => {
            price::import::insert(connection, import, (actor.name, now)).await?;
        }
        Command::AddModel { .. }
        | Command::SetModel { .. }
        | Command::RemoveModel { .. }
        | Command::CreateGroup { .. }
        | Command::AddToGroup { .. }
        | Command::RemoveFromGroup { .. } => model::apply(connection, command, now).await?,
    }
    Ok(Applied::Done)
}

/// A refund that names a job must name one of the team's: the ledger keeps the name for good.
async fn require_own_job(
    connection: &mut AnyConnection,
    team_id: &TeamId,
    id: JobId,
) -> Result<(), CommandError> {
    let jobs = job::select_jobs(connection, &[id]).await?;
    match jobs.first() {
        None => Err(CommandError::not_found("job", id)),
        Some(job) if job.team_id != *team_id => Err(CommandError::Refused(format!(
            "job {id} belongs to team {}, not to team {team_id}",
            job.team_id
        ))),
        Some(_) => Ok(()),
    }
}

fn balance_work(team_id: TeamId, change: BalanceChange, reason: &str, actor: Actor<'_>) -> Work {
    Work::ChangeBalance(Box::new(ChangeBalance {
        team_id,
        change,
        reason: reason.to_owned(),
        actor: actor.name.to_owned(),
        now: actor.now,
    }))
}

async fn do_work(
    connection: &mut AnyConnection,
    database: &Database,
    work: Work,
) -> Result<Applied, CommandError> {
    let outcomes = batch::apply(connection, database.engine(), &[&work]).await?;
    match outcomes.into_iter().next() {
        Some(Ok(Outcome::BalanceChanged(entry))) => Ok(Applied::Entry(entry)),
        Some(Ok(Outcome::JobEnded(job))) => Ok(Applied::Job(job)),
        Some(Err(error)) => Err(error.into()),
        other => Err(StoreError::Inconsistent(format!("unexpected outcome {other:?}")).into()),
    }
}

async fn end_job(
    connection: &mut AnyConnection,
    database: &Database,
    command: &Command,
    now: Timestamp,
) -> Result<Applied, CommandError> {
    let (id, state, message, release) = match command {
        Command::CancelJob {
            id,
            reason,
            release,
        } => (*id, JobState::Cancelled, reason, *release),
        Command::FailJob {
            id,
            reason,
            release,
        } => (*id, JobState::Failed, reason, *release),
        _ => return Ok(Applied::Done),
    };
    let jobs = job::select_jobs(connection, &[id]).await?;
    let job = jobs
        .first()
        .ok_or_else(|| CommandError::not_found("job", id))?;
    let work = Work::EndJob(Box::new(EndJob {
        id,
        team_id: job.team_id.clone(),
        state,
        message: message.clone(),
        unless_active_since: None,
        release,
        now,
    }));
    do_work(connection, database, work)
        .await
        .map_err(|error| match error {
            CommandError::NotFound { .. } => WorkError::JobNotFound.into(),
            other => other,
        })
}
