//! Suspending, pausing and resuming teams.

use tollgate_common::command::Command;
use tollgate_common::db::team::list::ListedTeam;
use tollgate_common::id::TeamId;
use tollgate_common::standing::Standing;

use crate::cli::value::{self, Moment};
use crate::dashboard::change::{Change, Operation};
use crate::dashboard::context::Context;
use crate::dashboard::step::Step;
use crate::dashboard::store::Query;
use crate::dashboard::store::teams::Query as Asked;
use crate::dashboard::widgets::facts::{Fact, fact};
use crate::dashboard::windows::confirm::{Confirm, Gravity};
use crate::dashboard::windows::form::{Complaint, Entry, Form, Review};

use super::fields::{optional, parses};

/// How many names a window lists.
const NAMES_SHOWN: usize = 4;

fn set(listed: &ListedTeam, standing: Standing) -> Command {
    Command::SetTeamStanding {
        id: listed.team.id.clone(),
        standing,
    }
}

/// Suspends teams that may work, or else resumes teams that may not.
pub(super) fn turn(teams: &[&ListedTeam], context: &Context) -> Vec<Step> {
    let is_active = |listed: &&&ListedTeam| {
        let own = listed.team.standing.at(context.now);
        own == Standing::Active
    };
    let active: Vec<&ListedTeam> = teams.iter().filter(is_active).copied().collect();
    match (teams, active.as_slice()) {
        ([one], []) => vec![Step::Change(Box::new(resume(one)))],
        ([_], [one]) => vec![Step::Open(Box::new(suspend_one(one)))],
        (_, []) => vec![Step::Open(Box::new(resume_all(teams)))],
        _ => vec![Step::Open(Box::new(suspend_all(&active)))],
    }
}

/// Resuming is taken back by what it was before.
fn resume(listed: &ListedTeam) -> Change {
    let team = &listed.team;
    let before = match team.standing {
        Standing::Suspended => format!("team {} is suspended again", team.id),
        _ => format!("team {} is paused again", team.id),
    };
    let back = Change::command(set(listed, team.standing), before);
    let resumed = format!("team {} is resumed", team.id);
    Change::command(set(listed, Standing::Active), resumed)
        .unless_changed_since(team.updated_at)
        .undone_by(back)
}

fn stop(ids: &[TeamId], cancel_jobs: bool, sentence: &str) -> Change {
    let operation = Operation::StopTeams {
        ids: ids.to_vec(),
        cancel_jobs,
    };
    Change::new(operation, sentence)
}

fn effect() -> Vec<Fact> {
    vec![
        fact("Effect", "new requests get 403 on every node within 1 s"),
        fact("Undo", "p resumes at any time; cancelled jobs stay so"),
    ]
}

const ALSO_JOBS: &str = "also cancel the open jobs now";

fn suspend_one(listed: &ListedTeam) -> Confirm {
    let id = &listed.team.id;
    let ids = [id.clone()];
    let sentence = format!("team {id} is suspended");
    let seen = listed.team.updated_at;
    let change = |jobs| stop(&ids, jobs, &sentence).unless_changed_since(seen);
    Confirm::new(
        format!("Suspend team {id}"),
        "Suspend",
        effect(),
        Gravity::Hard,
        change(false),
    )
    .offering(ALSO_JOBS, change(true))
    .reading(Query::Teams(Asked::Impact(ids.to_vec())))
}

fn suspend_all(teams: &[&ListedTeam]) -> Confirm {
    let ids: Vec<TeamId> = teams.iter().map(|listed| listed.team.id.clone()).collect();
    let count = ids.len();
    let sentence = format!("{count} teams are suspended");
    let mut facts = vec![fact("Teams", listed_names(teams))];
    facts.extend(effect());
    Confirm::new(
        format!("Suspend {count} teams"),
        "Suspend",
        facts,
        Gravity::Final(count.to_string()),
        stop(&ids, false, &sentence),
    )
    .offering(ALSO_JOBS, stop(&ids, true, &sentence))
    .reading(Query::Teams(Asked::Impact(ids)))
}

fn resume_all(teams: &[&ListedTeam]) -> Confirm {
    let count = teams.len();
    let commands = teams.iter().map(|listed| set(listed, Standing::Active));
    let operation = Operation::Commands(commands.collect());
    let facts = vec![
        fact("Teams", listed_names(teams)),
        fact("Effect", "their requests are accepted again within 1 s"),
    ];
    Confirm::new(
        format!("Resume {count} teams"),
        "Resume",
        facts,
        Gravity::Final(count.to_string()),
        Change::new(operation, format!("{count} teams are resumed")),
    )
}

/// The first names, and how many more there are.
fn listed_names(teams: &[&ListedTeam]) -> String {
    let names: Vec<&str> = teams
        .iter()
        .take(NAMES_SHOWN)
        .map(|listed| listed.team.id.as_str())
        .collect();
    let more = teams.len().saturating_sub(NAMES_SHOWN);
    if more == 0 {
        names.join(", ")
    } else {
        format!("{} and {more} more", names.join(", "))
    }
}

const UNTIL: &str = "Until";
const REASON: &str = "Reason";
const COUNT: &str = "How many teams";

/// Asks until when teams are to rest.
pub(super) fn pause(teams: &[&ListedTeam]) -> Form {
    let count = teams.len();
    let title = match teams {
        [one] => format!("Pause team {}", one.team.id),
        _ => format!("Pause {count} teams"),
    };
    let mut entries = vec![
        Entry::line(UNTIL, "", "2h, 7d or a time; empty: open end").checked(optional::<Moment>),
        Entry::line(REASON, "", "for the audit log"),
    ];
    if count > 1 {
        entries.push(Entry::line(COUNT, "", "type it to confirm").checked(parses::<usize>));
    }
    let teams: Vec<ListedTeam> = teams.iter().map(|listed| (*listed).clone()).collect();
    let submit = move |values: crate::dashboard::windows::form::Values<'_>, context: &Context| {
        if count > 1 {
            require(count, values.parse(COUNT)?, values.filled(REASON).is_some())?;
        }
        let until = values.parse_filled::<Moment>(UNTIL)?;
        let standing = value::pause(until, context.now)
            .map_err(|_| Complaint::about(UNTIL, "this is not in the future"))?;
        let change = paused(&teams, standing).because(values.text(REASON));
        let end = match standing.paused_until() {
            Some(end) => format!("until {}", crate::dashboard::format::moment(end)),
            None => "until someone resumes it".to_owned(),
        };
        let borrowed: Vec<&ListedTeam> = teams.iter().collect();
        let mut facts = vec![
            fact("Teams", listed_names(&borrowed)),
            fact("Paused", end),
            fact("Effect", "new requests get 429 with Retry-After"),
        ];
        let suspended = teams
            .iter()
            .filter(|t| t.team.standing == Standing::Suspended);
        match suspended.count() {
            0 => {}
            1 => facts.push(fact("Suspended", "1 now: a pause can end by itself")),
            many => facts.push(fact(
                "Suspended",
                format!("{many} now: a pause can end by itself"),
            )),
        }
        Ok(Review { facts, change })
    };
    Form::new(title, entries, Box::new(submit))
}

fn require(count: usize, typed: usize, has_reason: bool) -> Result<(), Complaint> {
    if typed != count {
        return Err(Complaint::about(COUNT, format!("there are {count}")));
    }
    if !has_reason {
        return Err(Complaint::about(REASON, "is required for several teams"));
    }
    Ok(())
}

fn paused(teams: &[ListedTeam], standing: Standing) -> Change {
    match teams {
        [one] => {
            let id = &one.team.id;
            let back = set(one, one.team.standing);
            let back = Change::command(back, format!("team {id} is as it was"));
            Change::command(set(one, standing), format!("team {id} is paused"))
                .unless_changed_since(one.team.updated_at)
                .undone_by(back)
        }
        _ => {
            let commands = teams.iter().map(|listed| set(listed, standing));
            let sentence = format!("{} teams are paused", teams.len());
            Change::new(Operation::Commands(commands.collect()), sentence)
        }
    }
}
