//! What can be done with organizations, from the list and from an organization's page.

use tollgate_common::command::Command;
use tollgate_common::db::org::list::ListedOrg;
use tollgate_common::id::OrgId;
use tollgate_common::standing::Standing;

use crate::cli::value::{self, Moment};
use crate::dashboard::change::Change;
use crate::dashboard::context::Context;
use crate::dashboard::format;
use crate::dashboard::keys::Action;
use crate::dashboard::screens::teams::fields::{optional, parses};
use crate::dashboard::step::Step;
use crate::dashboard::store::Query;
use crate::dashboard::store::orgs::Query as Asked;
use crate::dashboard::tab::Tab;
use crate::dashboard::widgets::facts::fact;
use crate::dashboard::windows::Window;
use crate::dashboard::windows::confirm::{Confirm, Gravity};
use crate::dashboard::windows::form::{Complaint, Entry, Form, Review, Values};

/// Whether an action is about a single organization.
pub(super) const fn is_about_one(action: Action) -> bool {
    matches!(
        action,
        Action::Edit
            | Action::Standing
            | Action::Pause
            | Action::ShowTeams
            | Action::ShowJobs
            | Action::ShowAudit
    )
}

/// Why an action is not possible, if so.
pub(super) fn refusal(action: Action, is_there: bool) -> Option<String> {
    let is_refused = !is_there && is_about_one(action);
    is_refused.then(|| "there is no organization here".to_owned())
}

/// Does what an action asks of an organization.
pub(super) fn act(action: Action, org: Option<&ListedOrg>, context: &Context) -> Vec<Step> {
    if action == Action::New {
        return open(create());
    }
    let Some(listed) = org else {
        return Vec::new();
    };
    match action {
        Action::Edit => open(rename(listed)),
        Action::Pause => open(pause(listed)),
        Action::Standing => match listed.org.standing.at(context.now) {
            Standing::Active => open(suspend(listed)),
            _ => vec![Step::Change(Box::new(resume(listed)))],
        },
        Action::ShowTeams => show(Tab::Teams, "org", listed),
        Action::ShowJobs => show(Tab::Jobs, "org", listed),
        Action::ShowAudit => show(Tab::Audit, "target:org", listed),
        _ => Vec::new(),
    }
}

fn open(window: impl Window + 'static) -> Vec<Step> {
    vec![Step::Open(Box::new(window))]
}

/// Goes to another list, narrowed to an organization.
fn show(tab: Tab, word: &str, listed: &ListedOrg) -> Vec<Step> {
    let filter = format!("{word}:{}", listed.org.id);
    vec![Step::Go(tab), Step::Filter(filter, true)]
}

const ID: &str = "Organization";
const NAME: &str = "Name";
const UNTIL: &str = "Until";
const REASON: &str = "Reason";

fn create() -> Form {
    let entries = vec![
        Entry::line(ID, "", "its id, for good").checked(parses::<OrgId>),
        Entry::line(NAME, "", "for people").checked(|text| value::text(text).map(drop)),
    ];
    let submit = |values: Values<'_>, _: &Context| {
        let id: OrgId = values.parse(ID)?;
        let name = values.text(NAME);
        let facts = vec![
            fact(ID, id.to_string()),
            fact(NAME, name.clone()),
            fact("Then", "make a team in it: 3, n"),
        ];
        let sentence = format!("organization {id} is made");
        let change = Change::command(Command::CreateOrg { id, name }, sentence);
        Ok(Review { facts, change })
    };
    Form::new("New organization", entries, Box::new(submit))
}

fn rename(listed: &ListedOrg) -> Form {
    let before = listed.clone();
    let name = before.org.name.clone();
    let entries = vec![
        Entry::line(NAME, name, "for people").checked(|text| value::text(text).map(drop)),
        Entry::line(REASON, "", "for the audit log"),
    ];
    let title = format!("Rename organization {}", listed.org.id);
    let submit = move |values: Values<'_>, context: &Context| {
        let (id, old) = (&before.org.id, &before.org.name);
        let name = values.text(NAME);
        if name == *old {
            return Err(Complaint::about("", "nothing is changed yet"));
        }
        let arrow = context.charset.arrow();
        let facts = vec![fact(NAME, format!("{old} {arrow} {name}"))];
        let named = |name: &str| Command::RenameOrg {
            id: id.clone(),
            name: name.to_owned(),
        };
        let back = Change::command(named(old), format!("organization {id} is named as before"));
        let change = Change::command(named(&name), format!("organization {id} is renamed"))
            .because(values.text(REASON))
            .unless_changed_since(before.updated_at)
            .undone_by(back);
        Ok(Review { facts, change })
    };
    Form::new(title, entries, Box::new(submit))
}

fn set(listed: &ListedOrg, standing: Standing) -> Command {
    Command::SetOrgStanding {
        id: listed.org.id.clone(),
        standing,
    }
}

/// The same standing as it is now, to take a change back.
fn back(listed: &ListedOrg) -> Change {
    let sentence = format!("organization {} is as it was", listed.org.id);
    Change::command(set(listed, listed.org.standing), sentence)
}

fn resume(listed: &ListedOrg) -> Change {
    let sentence = format!("organization {} is resumed", listed.org.id);
    Change::command(set(listed, Standing::Active), sentence)
        .unless_changed_since(listed.updated_at)
        .undone_by(back(listed))
}

/// All its teams stop, so its name must be typed.
fn suspend(listed: &ListedOrg) -> Confirm {
    let id = &listed.org.id;
    let facts = vec![
        fact("Effect", "all its teams get 403 on every node within 1 s"),
        fact("Undo", "p resumes; teams stopped by themselves stay so"),
    ];
    let sentence = format!("organization {id} is suspended");
    let change = Change::command(set(listed, Standing::Suspended), sentence)
        .unless_changed_since(listed.updated_at);
    Confirm::new(
        format!("Suspend organization {id}"),
        "Suspend",
        facts,
        Gravity::Final(id.to_string()),
        change,
    )
    .reading(Query::Orgs(Asked::Impact(id.clone())))
}

fn pause(listed: &ListedOrg) -> Form {
    let entries = vec![
        Entry::line(UNTIL, "", "2h, 7d or a time; empty: open end").checked(optional::<Moment>),
        Entry::line(REASON, "", "for the audit log").checked(|text| match text {
            "" => Err("is required: all its teams stop".to_owned()),
            _ => Ok(()),
        }),
    ];
    let title = format!("Pause organization {}", listed.org.id);
    let listed = listed.clone();
    let submit = move |values: Values<'_>, context: &Context| {
        let until = values.parse_filled::<Moment>(UNTIL)?;
        let standing = value::pause(until, context.now)
            .map_err(|_| Complaint::about(UNTIL, "this is not in the future"))?;
        let end = match standing.paused_until() {
            Some(end) => format!("until {}", format::moment(end)),
            None => "until someone resumes it".to_owned(),
        };
        let teams = format!("{} get 429 with Retry-After", format::number(listed.teams));
        let facts = vec![fact("Paused", end), fact("Teams", teams)];
        let sentence = format!("organization {} is paused", listed.org.id);
        let change = Change::command(set(&listed, standing), sentence)
            .because(values.text(REASON))
            .unless_changed_since(listed.updated_at)
            .undone_by(back(&listed));
        Ok(Review { facts, change })
    };
    Form::new(title, entries, Box::new(submit))
}
