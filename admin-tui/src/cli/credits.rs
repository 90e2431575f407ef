//! `tollgate-admin credits`.

use clap::Subcommand;
use tollgate_common::command::{Applied, Command};
use tollgate_common::db::job::find_job;
use tollgate_common::db::ledger::entries::{self, ENTRIES, EntryOrder};
use tollgate_common::db::ledger::holds;
use tollgate_common::db::page::{Request, Start};
use tollgate_common::db::verify::{self, LastCheck};
use tollgate_common::db::work::BalanceChange;
use tollgate_common::filter::Bind;
use tollgate_common::id::{JobId, TeamId};
use tollgate_common::money::Credits;

use super::error::Failure;
use super::every;
use super::job;
use super::output::Output;
use super::team;
use super::value;
use crate::session::Session;
pub(super) use view::BudgetsView;
use view::{BalanceView, EntryView, ReleasedView};

mod list;
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
        /// The job that they were spent on: at most what it was charged and has not got back yet
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
    /// List what all teams have
    List {
        /// Only these, as "org:acme available<100"
        #[arg(long, value_name = "FILTER", default_value = "")]
        filter: String,
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
        /// Only these, as "kind:refund since:7d"
        #[arg(long, value_name = "FILTER", default_value = "")]
        filter: String,
    },
    /// List the open jobs of a team with what each holds, the oldest first
    Holds {
        /// Whose
        team: TeamId,
        /// Only these, as "idle:1h"
        #[arg(long, value_name = "FILTER", default_value = "")]
        filter: String,
    },
    /// Give a stuck hold back: its job ends as failed, without a charge
    Release {
        /// The job
        job: JobId,
        /// Why
        #[arg(long, value_parser = value::text)]
        reason: String,
        /// Even if calls of the job are in flight: their part is released when they end, uncharged
        #[arg(long)]
        in_flight: bool,
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
            filter,
        } => return list_entries(session, output, &team, (limit, before), &filter).await,
        Verb::List { filter } => return list::accounts(session, output, &filter).await,
        Verb::Holds { team, filter } => {
            return list::holds(session, output, &team, &filter).await;
        }
        Verb::Release {
            job,
            reason,
            in_flight,
        } => return release(session, output, job, reason, in_flight).await,
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
        } => (team, BalanceChange::Refund(credits, job), reason),
    };
    change_balance(session, output, team, change, reason).await
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
    let mut sentence = format!(
        "Team {team}: {:+} credits, balance {} (was {}).",
        entry.amount.0, entry.after, entry.before
    );
    if let BalanceChange::Refund(_, Some(id)) = change {
        let charged = job::find(session, id).await?.charged.unwrap_or_default();
        let refunded = job::refunded(session, id).await?;
        let more = format!(" Job {id} was charged {charged}, of which {refunded} are given back.");
        sentence.push_str(&more);
    }
    output.done(&EntryView::from(*entry), &sentence)
}

async fn list_entries(
    session: &Session,
    output: Output,
    team: &TeamId,
    (limit, before): (i64, Option<i64>),
    filter: &str,
) -> Result<(), Failure> {
    team::account(session, team).await?;
    let text = format!("team:{team} {filter}");
    let filter = every::filter(&ENTRIES, &text, session.now())?;
    let place = before.map(|number| vec![Bind::Text(team.to_string()), Bind::Number(number)]);
    let start = place.map_or(Start::First, Start::After);
    let request = Request {
        filter: &filter,
        start: &start,
        limit,
        search: i64::MAX,
        counted: false,
    };
    let mut connection = session.database.dedicated_connection().await?;
    let part = entries::page(&mut connection, EntryOrder::Newest, &request).await?;
    let oldest = part.rows.last().map(|listed| listed.row.entry.number);
    let next = oldest
        .filter(|_| part.below)
        .map(|number| number.to_string());
    let rows = part.rows.into_iter().map(|listed| listed.row.entry);
    let views: Vec<EntryView> = rows.map(EntryView::from).collect();
    output.page(&views, "No entries.", next)
}

async fn release(
    session: &Session,
    output: Output,
    id: JobId,
    reason: String,
    in_flight: bool,
) -> Result<(), Failure> {
    let hold = holds::find(session.database.pool(), id).await?;
    let calls = hold.as_ref().map_or(0, |hold| hold.in_flight);
    if calls > 0 && !in_flight {
        return Err(Failure::refused(format!(
            "job {id} has {calls} call(s) in flight, so it is not stuck; with --in-flight it ends all the same, and nobody is charged for them"
        )));
    }
    let command = Command::FailJob {
        id,
        reason,
        release: true,
    };
    session.execute(&command).await?;
    let job = find_job(session.database.pool(), id).await?;
    let kept = job.map_or(Credits::ZERO, |job| job.hold);
    let credits = hold.map_or(Credits::ZERO, |hold| hold.credits).minus(kept);
    let released = ReleasedView {
        job_id: id,
        credits,
    };
    output.done(
        &released,
        &format!("Job {id} failed, {credits} credits released."),
    )
}

async fn verify(session: &Session, output: Output) -> Result<(), Failure> {
    let report = verify::verify(&session.database).await?;
    let check = LastCheck {
        at: session.now(),
        actor: session.actor().to_owned(),
        differences: i64::try_from(report.differences.len()).unwrap_or(i64::MAX),
    };
    if session.rights().read_only.is_none() {
        verify::remember(&session.database, &check).await?;
    }
    output.one_with(&report, &report.differences)?;
    match report.differences.len() {
        0 => Ok(()),
        count => Err(Failure::Differences(count)),
    }
}
