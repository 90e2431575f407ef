//! `tollgate-admin job`. Administrators see what teams do not: providers and what these ask.

use clap::Subcommand;
use tollgate_common::command::Command;
use tollgate_common::db::call;
use tollgate_common::db::job::{self, JobFilter};
use tollgate_common::id::{JobId, TeamId};
use tollgate_common::job::{Job, JobState};

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
    /// End an open job without a charge
    Cancel {
        /// Which
        id: JobId,
        /// Why
        #[arg(long, default_value = "Cancelled by an administrator", value_parser = value::text)]
        reason: String,
    },
}

/// Does what the verb says.
pub(super) async fn run(session: &Session, output: Output, verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::Show { id } => show(session, output, id).await,
        Verb::Cancel { id, reason } => cancel(session, output, id, reason).await,
        Verb::List {
            team,
            status,
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

async fn show(session: &Session, output: Output, id: JobId) -> Result<(), Failure> {
    let job = find(session, id).await?;
    let calls = call::list_calls(session.database.pool(), id).await?;
    let detail = JobDetail::new(job, calls);
    output.one_with(&detail, detail.calls())
}

async fn cancel(
    session: &Session,
    output: Output,
    id: JobId,
    reason: String,
) -> Result<(), Failure> {
    session.execute(&Command::CancelJob { id, reason }).await?;
    let view = JobView::from(find(session, id).await?);
    output.done(&view, &format!("Job {id} cancelled; it is not charged."))
}

async fn find(session: &Session, id: JobId) -> Result<Job, Failure> {
    job::find_job(session.database.pool(), id)
        .await?
        .ok_or_else(|| Failure::not_found("job", id))
}
