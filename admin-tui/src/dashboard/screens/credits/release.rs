//! Releasing a hold that is stuck: its job ends as failed, without a charge.

use tollgate_common::command::Command;

use crate::dashboard::change::Change;
use crate::dashboard::context::Context;
use crate::dashboard::format;
use crate::dashboard::store::credits::HoldRow;
use crate::dashboard::widgets::facts::{fact, styled};
use crate::dashboard::widgets::list::Row as _;
use crate::dashboard::windows::confirm::{Confirm, Gravity};

/// What the job is told if the administrator gives no reason.
const NO_REASON: &str = "Released by an administrator";

/// Asks whether to end the job of a hold.
pub(super) fn release(row: &HoldRow, context: &Context) -> Confirm {
    let (hold, now) = (&row.hold, context.now);
    let id = format::short_id(&row.id());
    let credits = format::credits(hold.credits);
    let mut facts = vec![
        fact("Job", row.id()),
        fact("Team", format!("{}, {}", hold.team_id, hold.job_type)),
        fact(
            "Open for",
            format!(
                "{}, last activity {} ago",
                format::age(hold.created_at, now),
                format::age(hold.active_at, now)
            ),
        ),
        fact(
            "Effect",
            format!("the job fails; {credits} held credits come back"),
        ),
        fact("Undo", "there is none: a job that has ended stays ended"),
    ];
    let gravity = if hold.in_flight > 0 {
        let calls = match hold.in_flight {
            1 => "1 call is in flight".to_owned(),
            count => format!("{} calls are in flight", format::number(count)),
        };
        let text = format!("{calls}: this job is not stuck");
        facts.insert(0, styled("! At work", text, context.theme.bad));
        let text = "their part of the hold comes back when they end; nobody is charged";
        facts.insert(1, styled("", text, context.theme.bad));
        Gravity::Final(id.clone())
    } else {
        Gravity::Hard
    };
    let command = Command::FailJob {
        id: hold.job_id,
        reason: NO_REASON.to_owned(),
        release: true,
    };
    let change = Change::command(command, format!("{credits} credits of job {id} released"));
    Confirm::new(
        format!("Release the hold of job {id}"),
        "Release",
        facts,
        gravity,
        change,
    )
}
