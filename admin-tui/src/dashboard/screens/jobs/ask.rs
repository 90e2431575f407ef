//! The questions before a job is ended.

use tollgate_common::command::Command;
use tollgate_common::id::JobId;

use super::row::JobRow;
use crate::dashboard::change::{Change, Operation};
use crate::dashboard::format;
use crate::dashboard::keys::Action;
use crate::dashboard::store::Query as AnyQuery;
use crate::dashboard::store::jobs::Query;
use crate::dashboard::widgets::facts::{Fact, fact};
use crate::dashboard::widgets::list::List;
use crate::dashboard::windows::confirm::{Confirm, Gravity};

/// What the log and the team read if the administrator says nothing else.
const CANCELLED: &str = "Cancelled by an administrator";
const FAILED: &str = "Ended as failed by an administrator";

/// Why no job can be ended now, if so.
pub(super) fn refusal(list: &List<JobRow>) -> Option<String> {
    let targets = list.targets();
    let is_open = |row: &&&JobRow| row.entry.job.state.is_open();
    if list.marked() > targets.len() || targets.iter().any(|row| is_open(&row)) {
        return None;
    }
    Some(match targets.as_slice() {
        [] => "there is no job here".to_owned(),
        [one] => format!("the job has ended: {}", one.entry.job.state),
        _ => "all marked jobs have ended".to_owned(),
    })
}

/// Why this job cannot be ended, if so.
pub(super) fn refusal_of(row: &JobRow) -> Option<String> {
    let state = row.entry.job.state;
    (!state.is_open()).then(|| format!("the job has ended: {state}"))
}

fn command(action: Action, id: JobId) -> Command {
    if action == Action::FailJob {
        let reason = FAILED.to_owned();
        Command::FailJob {
            id,
            reason,
            release: false,
        }
    } else {
        let reason = CANCELLED.to_owned();
        Command::CancelJob {
            id,
            reason,
            release: false,
        }
    }
}

/// Asks whether to end jobs; those of which it is known that they have ended are left out.
pub(super) fn ending(action: Action, ids: &[JobId], known: &[&JobRow]) -> Confirm {
    let row_of = |id: &JobId| known.iter().find(|row| row.entry.job.id == *id);
    let is_over = |id: &&JobId| row_of(id).is_some_and(|row| !row.entry.job.state.is_open());
    let open: Vec<JobId> = ids.iter().filter(|id| !is_over(id)).copied().collect();
    let (verb, what) = if action == Action::FailJob {
        (
            "Fail job",
            "failed, charged as its terms say for jobs that fail",
        )
    } else {
        (
            "Cancel job",
            "cancelled, charged as its terms say for jobs that fail",
        )
    };
    let effect = fact("Effect", what);
    let team_reads = fact("Reason", "its team reads it as the job's error message");
    let query = AnyQuery::Jobs(Query::Impact(open.clone()));
    if let [id] = open.as_slice() {
        let mut facts = row_of(id).map(|row| facts_of(row)).unwrap_or_default();
        facts.extend([effect, team_reads]);
        let short = format::short_id(&id.to_string());
        let title = format!("{verb} {short}");
        let change = Change::command(command(action, *id), format!("job {short} ended"));
        return Confirm::new(title, verb, facts, Gravity::Hard, change).reading(query);
    }
    let count = open.len();
    let facts = vec![
        fact("Jobs", format!("{count} open of {} marked", ids.len())),
        fact("Effect", format!("each: {what}")),
        team_reads,
    ];
    let commands = open.iter().map(|id| command(action, *id)).collect();
    let sentence = format!("{count} jobs ended");
    let change = Change::new(Operation::Commands(commands), sentence);
    let title = format!("{verb}: {count} jobs");
    let gravity = Gravity::Final(count.to_string());
    Confirm::new(title, verb, facts, gravity, change).reading(query)
}

fn facts_of(row: &JobRow) -> Vec<Fact> {
    let job = &row.entry.job;
    vec![
        fact("Job", job.id.to_string()),
        fact("Team", format!("{}  type {}", job.team_id, job.job_type)),
        fact(
            "Status",
            format!("{}, {} calls so far", job.state, row.entry.totals.calls),
        ),
    ]
}
