//! `tollgate-admin job`. Administrators see what teams do not: providers and what these ask.

use clap::Subcommand;
use tollgate_common::command::Command;
use tollgate_common::db::call;
use tollgate_common::db::job::list::{self as jobs, Place, Start, VOCABULARY};
use tollgate_common::db::job::{self, JobFilter};
use tollgate_common::db::ledger;
use tollgate_common::filter::Filter;
use tollgate_common::id::{JobId, TeamId};
use tollgate_common::job::{Job, JobState};
use tollgate_common::money::Credits;

use super::error::Failure;
use super::output::Output;
use super::team;
use super::value;
use crate::session::Session;
use view::{JobDetail, JobView};

mod view;

/// What can be done with jobs.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// List the newest jobs
    List {
        /// Only this team's
        #[arg(long)]
        team: Option<TeamId>,
        #[arg(
            long,
            help = "Only those that are pending, in_progress, completed, failed or cancelled"
        )]
        status: Option<JobState>,
        #[arg(
            long,
            value_name = "WORDS",
            conflicts_with_all = ["team", "status"],
            help = "Only those that fit, in the words of the dashboard: 'team:acme status:failed,running \
                    since:1h type:~chat calls>3 cost>0.5 \"free text\"'; ! negates"
        )]
        filter: Option<String>,
        /// How many at most
        #[arg(long, value_name = "N", allow_negative_numbers = true, default_value = "50", value_parser = value::limit)]
        limit: i64,
        /// Only jobs older than this one
        #[arg(long, value_name = "JOB")]
        before: Option<JobId>,
    },
    /// Show one job with its calls, their providers and real costs
    Show {
        /// Which
        id: JobId,
    },
    /// End an open job as failed, charged as its team's terms say
    Fail {
        /// Which
        id: JobId,
        /// Why; the team reads it as the job's error message
        #[arg(long, default_value = "Ended as failed by an administrator", value_parser = value::text)]
        reason: String,
        /// Without a charge, whatever the terms say
        #[arg(long)]
        release: bool,
    },
    /// End an open job as cancelled, charged as its team's terms say
    Cancel {
        /// Which
        id: JobId,
        /// Why
        #[arg(long, default_value = "Cancelled by an administrator", value_parser = value::text)]
        reason: String,
        /// Without a charge, whatever the terms say
        #[arg(long)]
        release: bool,
    },
}

/// Does what the verb says.
pub(super) async fn run(session: &Session, output: Output, verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::Show { id } => show(session, output, id).await,
        Verb::Cancel {
            id,
            reason,
            release,
        } => {
            let command = Command::CancelJob {
                id,
                reason,
                release,
            };
            end(session, output, id, &command).await
        }
        Verb::Fail {
            id,
            reason,
            release,
        } => {
            let command = Command::FailJob {
                id,
                reason,
                release,
            };
            end(session, output, id, &command).await
        }
        Verb::List {
            filter: Some(filter),
            limit,
            before,
            ..
        } => list_filtered(session, output, &filter, limit, before).await,
        Verb::List {
            team,
            status,
            filter: None,
            limit,
            before,
        } => list(session, output, (team, status), limit, before).await,
    }
}

async fn list(
    session: &Session,
    output: Output,
    (team_id, state): (Option<TeamId>, Option<JobState>),
    limit: i64,
    before: Option<JobId>,
) -> Result<(), Failure> {
    if let Some(team_id) = &team_id {
        team::account(session, team_id).await?;
    }
    let before = match before {
        Some(id) => Some((find(session, id).await?.created_at, id)),
        None => None,
    };
    let filter = JobFilter {
        team_id,
        state,
        before,
    };
    let jobs = job::list_jobs(session.database.pool(), &filter, limit).await?;
    let is_full = i64::try_from(jobs.len()) == Ok(limit);
    let next = jobs
        .last()
        .filter(|_| is_full)
        .map(|job| job.id.to_string());
    let views: Vec<JobView> = jobs.into_iter().map(JobView::from).collect();
    output.page(&views, "No jobs.", next)
}

async fn list_filtered(
    session: &Session,
    output: Output,
    filter: &str,
    limit: i64,
    before: Option<JobId>,
) -> Result<(), Failure> {
    let filter = Filter::parse(&VOCABULARY, filter, session.now())
        .map_err(|why| Failure::Usage(format!("--filter: {why}")))?;
    let mut start = match before {
        Some(id) => {
            let created_at = find(session, id).await?.created_at;
            let id = Some(id);
            Start::At(Place { created_at, id })
        }
        None => Start::First,
    };
    let pool = session.database.pool();
    // The job of --before is found once more.
    let mut missing = limit + i64::from(before.is_some());
    let mut found = Vec::new();
    // A search goes on step by step until it has found enough or seen everything.
    loop {
        let step = jobs::page(pool, &filter, start, missing).await?;
        missing -= i64::try_from(step.jobs.len()).unwrap_or(missing);
        found.extend(step.jobs);
        let Some(created_at) = step.reach.filter(|_| missing > 0) else {
            break;
        };
        start = Start::At(Place {
            created_at,
            id: None,
        });
    }
    found.retain(|entry| Some(entry.job.id) != before);
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    found.truncate(limit);
    let last = found.last().filter(|_| found.len() == limit);
    let next = last.map(|entry| entry.job.id.to_string());
    let whole = jobs::whole(pool, &found).await?;
    let views: Vec<JobView> = whole.into_iter().map(JobView::from).collect();
    output.page(&views, "No jobs.", next)
}

/// What was given back of a job.
pub(super) async fn refunded(session: &Session, id: JobId) -> Result<Credits, Failure> {
    let mut connection = session.database.dedicated_connection().await?;
    let found = ledger::refunded(&mut connection, &[id]).await?;
    let credits = found.into_iter().map(|(_, credits)| credits).next();
    Ok(credits.unwrap_or_default())
}

async fn show(session: &Session, output: Output, id: JobId) -> Result<(), Failure> {
    let job = find(session, id).await?;
    let calls = call::list_calls(session.database.pool(), id).await?;
    let refunded = refunded(session, id).await?;
    let detail = JobDetail::new(job, refunded, calls);
    output.one_with(&detail, detail.calls())
}

/// Ends a job and says what it was charged.
async fn end(
    session: &Session,
    output: Output,
    id: JobId,
    command: &Command,
) -> Result<(), Failure> {
    session.execute(command).await?;
    let job = find(session, id).await?;
    let charge = charge_sentence(job.charged, job.hold);
    let sentence = format!("Job {id} is {}; {charge}.", job.state);
    output.done(&JobView::from(job), &sentence)
}

/// What an ended job was charged. What is held for calls in flight is charged when they end.
fn charge_sentence(charged: Option<Credits>, hold: Credits) -> String {
    let charged = charged.map(|charged| format!("it was charged {charged} credits"));
    if hold == Credits::ZERO {
        return charged.unwrap_or_else(|| "it is not charged".to_owned());
    }
    let rest = format!(
        "its calls in flight, for which {hold} credits stay held, are charged when they end"
    );
    match charged {
        Some(charged) => format!("{charged} so far; {rest}"),
        None => rest,
    }
}

/// A job by its id.
pub(super) async fn find(session: &Session, id: JobId) -> Result<Job, Failure> {
    job::find_job(session.database.pool(), id)
        .await?
        .ok_or_else(|| Failure::not_found("job", id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_with_calls_in_flight_is_not_said_to_be_free() {
        let sentence =
            |charged: Option<i64>, hold| charge_sentence(charged.map(Credits), Credits(hold));
        assert_eq!(sentence(None, 0), "it is not charged");
        assert_eq!(sentence(Some(3), 0), "it was charged 3 credits");
        let open = "its calls in flight, for which 41 credits stay held, are charged when they end";
        assert_eq!(sentence(None, 41), open);
        assert_eq!(
            sentence(Some(3), 41),
            format!("it was charged 3 credits so far; {open}")
        );
    }
}
