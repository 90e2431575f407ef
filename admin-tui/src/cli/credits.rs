//! `tollgate-admin credits`.

use clap::Subcommand;
use tollgate_common::command::{Applied, Command};
use tollgate_common::db::work::BalanceChange;
use tollgate_common::db::{job, ledger, verify};
use tollgate_common::id::{JobId, TeamId};
use tollgate_common::money::Credits;

use super::error::Failure;
use super::output::Output;
use super::team;
use super::value;
use crate::session::Session;
pub(super) use view::BudgetsView;
use view::{BalanceView, EntryView};

mod view;

/// What can be done with credits.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Put credits in
    Add {
        /// Whose
        team: TeamId,
        /// How many
        #[arg(value_name = "N", allow_negative_numbers = true, value_parser = value::credits_given)]
        credits: Credits,
        /// Why
        #[arg(long, default_value = "Credits added", value_parser = value::text)]
        reason: String,
    },
    /// Give spent credits back
    Refund {
        /// Whose
        team: TeamId,
        /// How many
        #[arg(value_name = "N", allow_negative_numbers = true, value_parser = value::credits_given)]
        credits: Credits,
        /// The job that they were spent on
        #[arg(long)]
        job: Option<JobId>,
        /// Why
        #[arg(long, default_value = "Refund", value_parser = value::text)]
        reason: String,
    },
    /// Correct a balance up or, with a negative number, down
    Adjust {
        /// Whose
        team: TeamId,
        /// By how many
        #[arg(value_name = "N", allow_negative_numbers = true, value_parser = value::correction)]
        credits: Credits,
        /// Why
        #[arg(long, value_parser = value::text)]
        reason: String,
    },
    /// Show what a team has
    Balance {
        /// Whose
        team: TeamId,
    },
    /// List the newest entries of a team's account
    Ledger {
        /// Whose
        team: TeamId,
        /// How many at most
        #[arg(long, value_name = "N", allow_negative_numbers = true, default_value = "50", value_parser = value::limit)]
        limit: i64,
        /// Only entries with a smaller number
        #[arg(long, value_name = "NUMBER", allow_negative_numbers = true)]
        before: Option<i64>,
    },
    /// Recompute every balance and hold, and list the differences
    Verify,
}

/// Does what the verb says.
pub(super) async fn run(session: &Session, output: Output, verb: Verb) -> Result<(), Failure> {
    let (team, change, reason) = match verb {
        Verb::Verify => return verify(session, output).await,
        Verb::Balance { team } => {
            let account = team::account(session, &team).await?;
            return output.one(&BalanceView::new(account, session.now()));
        }
        Verb::Ledger {
            team,
            limit,
            before,
        } => return list_entries(session, output, &team, limit, before).await,
        Verb::Add {
            team,
            credits,
            reason,
        } => (team, BalanceChange::Allocate(credits), reason),
        Verb::Adjust {
            team,
            credits,
            reason,
        } => (team, BalanceChange::Adjust(credits), reason),
        Verb::Refund {
            team,
            credits,
            job,
            reason,
        } => {
            require_own_job(session, &team, job).await?;
            (team, BalanceChange::Refund(credits, job), reason)
        }
    };
    change_balance(session, output, team, change, reason).await
}

/// A refund that names a job must name one of the team's: the ledger keeps the name for good.
async fn require_own_job(
    session: &Session,
    team: &TeamId,
    id: Option<JobId>,
) -> Result<(), Failure> {
    let Some(id) = id else { return Ok(()) };
    let job = job::find_job(session.database.pool(), id).await?;
    match job {
        None => Err(Failure::not_found("job", id)),
        Some(job) if job.team_id != *team => Err(Failure::refused(format!(
            "job {id} belongs to team {}, not to team {team}",
            job.team_id
        ))),
        Some(_) => Ok(()),
    }
}

async fn change_balance(
    session: &Session,
    output: Output,
    team: TeamId,
    change: BalanceChange,
    reason: String,
) -> Result<(), Failure> {
    let command = Command::ChangeBalance {
        team_id: team.clone(),
        change,
        reason,
    };
    let applied = session.execute(&command).await?;
    let Applied::Entry(entry) = applied else {
        let account = team::account(session, &team).await?;
        return output.one(&BalanceView::new(account, session.now()));
    };
    let sentence = format!(
        "Team {team}: {:+} credits, balance {} (was {}).",
        entry.amount.0, entry.after, entry.before
    );
    output.done(&EntryView::from(*entry), &sentence)
}

async fn list_entries(
    session: &Session,
    output: Output,
    team: &TeamId,
    limit: i64,
    before: Option<i64>,
) -> Result<(), Failure> {
    team::account(session, team).await?;
    let entries = ledger::list_entries(session.database.pool(), team, before, limit).await?;
    let oldest = entries.last().map(|entry| entry.number);
    let views: Vec<EntryView> = entries.into_iter().map(EntryView::from).collect();
    let next = oldest
        .filter(|number| *number > 1)
        .map(|number| number.to_string());
    output.page(&views, "No entries.", next)
}

async fn verify(session: &Session, output: Output) -> Result<(), Failure> {
    let report = verify::verify(&session.database).await?;
    output.one_with(&report, &report.differences)?;
    match report.differences.len() {
        0 => Ok(()),
        count => Err(Failure::Differences(count)),
    }
}
