//! Refuses a change of something that was changed since the administrator has looked at it.

use sqlx::AnyConnection;
use sqlx::any::AnyRow;

use crate::clock::Timestamp;
use crate::command::{Command, CommandError};
use crate::db::provider::org_column;
use crate::db::rows::Columns;
use crate::db::{StoreError, audit};

const ORG_CHANGED: &str = "SELECT updated_at FROM organizations WHERE id = $1";
const TEAM_CHANGED: &str = "SELECT updated_at FROM teams WHERE id = $1";
const MODEL_CHANGED: &str = "SELECT updated_at FROM models WHERE alias = $1";
const PROVIDER_CHANGED: &str = "SELECT updated_at FROM providers WHERE org_id = $1 AND name = $2";

/// Fails if the command's target was changed after `expected`. What does not exist yet, or no
/// more, cannot have changed.
pub(super) async fn check(
    connection: &mut AnyConnection,
    command: &Command,
    expected: Timestamp,
    now: Timestamp,
) -> Result<(), CommandError> {
    let row = changed_at(connection, command).await?;
    let changed_at = row.map(|row| Columns::of(&row).time()).transpose()?;
    let Some(changed_at) = changed_at.filter(|at| *at > expected) else {
        return Ok(());
    };
    let actor = sqlx::query_scalar::<_, String>(audit::ACTOR_AT)
        .bind(command.target())
        .bind(changed_at.as_micros())
        .fetch_optional(connection)
        .await?;
    let by = actor.map_or_else(String::new, |name| format!(" by {name}"));
    Err(CommandError::Conflict(format!(
        "{} was changed{by} {} ago: look at it again, then repeat what you want",
        command.target(),
        span(now.since(changed_at).as_secs())
    )))
}

async fn changed_at(
    connection: &mut AnyConnection,
    command: &Command,
) -> Result<Option<AnyRow>, StoreError> {
    let (sql, first, second) = match command {
        Command::CreateOrg { .. }
        | Command::CreateTeam { .. }
        | Command::CreateKey { .. }
        | Command::AddProvider { .. }
        | Command::AddModel { .. }
        | Command::ImportPrices { .. }
        | Command::CreateGroup { .. } => return Ok(None),
        Command::RenameOrg { id, .. } | Command::SetOrgStanding { id, .. } => {
            (ORG_CHANGED, id.to_string(), None)
        }
        Command::SetTeam { id, .. }
        | Command::SetTeamStanding { id, .. }
        | Command::ChangeBalance { team_id: id, .. } => (TEAM_CHANGED, id.to_string(), None),
        Command::SetModel { alias, .. } | Command::RemoveModel { alias } => {
            (MODEL_CHANGED, alias.to_string(), None)
        }
        Command::SetProvider { provider, .. }
        | Command::SetPassFields { provider, .. }
        | Command::AddCredential { provider, .. }
        | Command::RotateProvider { provider, .. }
        | Command::EnableProvider { provider, .. }
        | Command::RemoveProvider { provider } => {
            let name = provider.name.to_string();
            (PROVIDER_CHANGED, org_column(provider), Some(name))
        }
        Command::SetKey { .. }
        | Command::RotateKey { .. }
        | Command::RevokeKey { .. }
        | Command::EnableCredential { .. }
        | Command::RemoveCredential { .. }
        | Command::AddToGroup { .. }
        | Command::RemoveFromGroup { .. }
        | Command::CancelJob { .. }
        | Command::FailJob { .. } => (audit::LAST_CHANGE, command.target(), None),
    };
    let mut query = sqlx::query(sql).bind(first);
    if let Some(second) = second {
        query = query.bind(second);
    }
    Ok(query.fetch_optional(connection).await?)
}

/// A number of seconds for people.
fn span(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}
