//! Carries out what the dashboard asks for.

use tollgate_common::clock::SystemRandom;
use tollgate_common::command::{Command, NewKey as StoredKey};
use tollgate_common::db::verify;
use tollgate_common::key::PlainKey;

use super::Source;
use crate::dashboard::change::{Change, NewKey, Operation, Outcome};
use crate::dashboard::problem::Problem;

mod save;

/// Carries out a change and says what came of it.
pub(super) async fn make(source: &Source, change: &Change) -> Result<Outcome, Problem> {
    match &change.operation {
        Operation::Command(command) => execute(source, change, command).await,
        Operation::Commands(commands) => {
            for (done, command) in commands.iter().enumerate() {
                let executed = execute(source, change, command).await;
                executed.map_err(|problem| problem.after(done, commands.len()))?;
            }
            Ok(Outcome::good(change.sentence.clone()))
        }
        Operation::StopTeams { ids, cancel_jobs } => {
            super::teams::stop(source, change, (ids, *cancel_jobs)).await
        }
        Operation::CreateKey { .. } | Operation::RotateKey { .. } => make_key(source, change).await,
        Operation::WithSecret { secret, command } => {
            let command = super::providers::sealed(source, secret, command)?;
            execute(source, change, &command).await
        }
        Operation::TestProvider {
            provider,
            credential,
        } => super::providers::test(source, provider, *credential).await,
        Operation::Export(export) => super::super::export::write(source, export).await,
        Operation::Save { secret, name } => save::save(&source.files, name, secret),
        Operation::Verify => verify_ledger(source).await,
    }
}

/// Makes one change in the name of whoever sits at the dashboard.
pub(super) async fn execute(
    source: &Source,
    change: &Change,
    command: &Command,
) -> Result<Outcome, Problem> {
    source.session.execute(command).await?;
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
    // Whose key it is must be known before: once it is stored, nothing may keep it from being shown.
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

async fn verify_ledger(source: &Source) -> Result<Outcome, Problem> {
    let report = verify::verify(&source.session.database).await?;
    let lines: Vec<String> = report
        .differences
        .iter()
        .map(|difference| format!("{difference:?}"))
        .collect();
    let mut outcome = Outcome::good(if lines.is_empty() {
        "the ledger is balanced".to_owned()
    } else {
        format!("{} differences in the ledger", lines.len())
    });
    outcome.is_bad = !lines.is_empty();
    outcome.lines = lines;
    Ok(outcome)
}
