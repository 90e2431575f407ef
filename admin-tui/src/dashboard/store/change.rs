//! Carries out what the dashboard asks for.

use tollgate_common::clock::SystemRandom;
use tollgate_common::command::{Command, NewKey as StoredKey};
use tollgate_common::key::PlainKey;

use super::Source;
use crate::dashboard::change::{Change, NewKey, Operation, Outcome};
use crate::dashboard::memory;
use crate::dashboard::problem::Problem;
use crate::session::Grounds;

mod save;

/// Carries out a change and says what came of it.
pub(super) async fn make(source: &Source, change: &Change) -> Result<Outcome, Problem> {
    if let Some(action) = change.operation.writes_file() {
        let target = "dashboard".to_owned();
        source.session.require_files(action, target).await?;
    }
    match &change.operation {
        Operation::Command(command) => execute(source, change, command).await,
        Operation::Commands(commands) => execute_all(source, change, commands).await,
        Operation::StopTeams { ids, cancel_jobs } => {
            super::teams::stop(source, change, (ids, *cancel_jobs)).await
        }
        Operation::CreateKey { .. } | Operation::RotateKey { .. } => make_key(source, change).await,
        Operation::WithSecret { secret, command } => {
            let sealed = super::providers::sealed(source, secret, command)?;
            let outcome = execute(source, change, &sealed).await?;
            match super::providers::followed_by(command) {
                Some(next) => execute(source, change, &next).await,
                None => Ok(outcome),
            }
        }
        Operation::TestProvider {
            provider,
            credential,
        } => super::providers::test(source, provider, *credential).await,
        Operation::Export(export) => super::super::export::write(source, export).await,
        Operation::Save { secret, name } => save::save(&source.files, name, secret),
        Operation::Verify => super::credits::verify(source).await,
        Operation::SaveFilter(filter) => remembered(change, memory::save(&source.files, filter)),
        Operation::ForgetFilter(name) => remembered(change, memory::forget(&source.files, name)),
    }
}

async fn execute_all(
    source: &Source,
    change: &Change,
    commands: &[Command],
) -> Result<Outcome, Problem> {
    for (done, command) in commands.iter().enumerate() {
        if let Err(problem) = execute(source, change, command).await {
            let sentence = format!(
                "{done} of {} done, then: {}",
                commands.len(),
                problem.sentence
            );
            return Err(Problem {
                sentence,
                ..problem
            });
        }
    }
    Ok(Outcome::good(change.sentence.clone()))
}

/// On which grounds a change is made.
pub(super) fn grounds(change: &Change) -> Grounds<'_> {
    Grounds {
        reason: change.reason.as_deref(),
        expected: change.expected,
    }
}

fn remembered(change: &Change, result: std::io::Result<()>) -> Result<Outcome, Problem> {
    result.map_err(|why| Problem::new(format!("the file of saved filters: {why}")))?;
    Ok(Outcome::good(change.sentence.clone()))
}

/// Makes one change in the name of whoever sits at the dashboard.
pub(super) async fn execute(
    source: &Source,
    change: &Change,
    command: &Command,
) -> Result<Outcome, Problem> {
    if matches!(command, Command::CancelJob { .. } | Command::FailJob { .. }) {
        return super::jobs::end(source, change, command).await;
    }
    let grounds = grounds(change);
    source.session.execute_on(grounds, command).await?;
    Ok(Outcome::good(change.sentence.clone()))
}

/// Makes a key and the command that stores its hash; the key itself goes nowhere but into the
/// outcome.
async fn make_key(source: &Source, change: &Change) -> Result<Outcome, Problem> {
    let plain = PlainKey::generate(&SystemRandom);
    let stored = StoredKey {
        id: plain.id().clone(),
        hash: plain.hash(),
    };
    // Whose key it is must be known before: once it is stored, nothing may keep it from being
    // shown.
    let (team_id, command) = match &change.operation {
        Operation::CreateKey {
            team_id,
            label,
            limits,
            expires_at,
        } => {
            let command = Command::CreateKey {
                team_id: team_id.clone(),
                key: stored,
                label: label.clone(),
                limits: *limits,
                expires_at: *expires_at,
            };
            (team_id.clone(), command)
        }
        Operation::RotateKey { id, ends_at } => {
            let command = Command::RotateKey {
                id: id.clone(),
                successor: stored,
                ends_at: *ends_at,
            };
            (super::keys::team_of(source, id).await?, command)
        }
        _ => return Err(Problem::new("no key is made by this")),
    };
    let mut outcome = execute(source, change, &command).await?;
    outcome.key = Some(NewKey { team_id, plain });
    Ok(outcome)
}
