//! Ways from a job to what belongs to it.

use tollgate_common::job::Job;

use crate::dashboard::keys::Action;
use crate::dashboard::step::Step;
use crate::dashboard::tab::Tab;

/// Goes to the job's team, its credits or what administrators did to the job.
pub(super) fn follow(action: Action, job: &Job) -> Vec<Step> {
    let (tab, filter) = match action {
        Action::ShowTeam => (Tab::Teams, job.team_id.to_string()),
        Action::ShowCredits => (Tab::Credits, format!("team:{}", job.team_id)),
        Action::ShowAudit => (Tab::Audit, format!("target:job:{}", job.id)),
        _ => return Vec::new(),
    };
    vec![Step::Go(tab), Step::Filter(filter, true)]
}
