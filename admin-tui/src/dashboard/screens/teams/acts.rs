//! What can be done with teams, from the list and from a team's page.

use tollgate_common::db::team::list::ListedTeam;

use super::{forms, standing};
use crate::dashboard::context::Context;
use crate::dashboard::keys::Action;
use crate::dashboard::screens::{credits, keys};
use crate::dashboard::step::{Slot, Step};
use crate::dashboard::store::teams::Names;
use crate::dashboard::store::{self, Query};
use crate::dashboard::tab::Tab;

/// Whether an action is about the team under the cursor or those that are marked.
pub(super) const fn is_about_teams(action: Action) -> bool {
    is_about_one(action) || matches!(action, Action::Standing | Action::Pause)
}

/// Whether an action is about a single team.
const fn is_about_one(action: Action) -> bool {
    matches!(
        action,
        Action::Edit
            | Action::Limits
            | Action::Groups
            | Action::AddCredits
            | Action::NewKey
            | Action::ShowKeys
            | Action::ShowJobs
            | Action::ShowCredits
            | Action::ShowAudit
    )
}

/// Whether the form of an action offers names of organizations, groups or models.
pub(super) const fn needs_names(action: Action) -> bool {
    matches!(action, Action::New | Action::Edit | Action::Groups)
}

/// Why an action is not possible with so many teams, if so.
pub(super) fn refusal(action: Action, teams: usize, names: Option<&Names>) -> Option<String> {
    match action {
        Action::New if names.is_some_and(|names| names.orgs.is_empty()) => {
            Some("a team belongs to an organization: make one first (4, n)".to_owned())
        }
        _ if teams == 0 && is_about_teams(action) => Some("there is no team here".to_owned()),
        _ if teams > 1 && is_about_one(action) => {
            Some(format!("one team at a time: {teams} are marked"))
        }
        _ => None,
    }
}

/// Does what an action asks of these teams.
pub(super) fn act(
    action: Action,
    teams: &[&ListedTeam],
    names: &Names,
    context: &Context,
) -> Vec<Step> {
    if action == Action::New {
        let org = teams.first().map(|listed| listed.team.org_id.to_string());
        return open(forms::create(names, org.unwrap_or_default()));
    }
    let Some(first) = teams.first() else {
        return Vec::new();
    };
    match action {
        Action::Edit => open(forms::edit(first, names)),
        Action::Limits => open(forms::limits(first)),
        Action::Groups => open(forms::groups(first, names)),
        Action::AddCredits => vec![ask_credits(first)],
        Action::NewKey => open(keys::forms::new(Some(first.team.id.to_string()))),
        Action::Pause => open(standing::pause(teams)),
        Action::Standing => standing::turn(teams, context),
        Action::ShowKeys => show(Tab::Keys, "", first),
        Action::ShowJobs => show(Tab::Jobs, "", first),
        Action::ShowCredits => show(Tab::Credits, "", first),
        Action::ShowAudit => show(Tab::Audit, "target:", first),
        _ => Vec::new(),
    }
}

fn open(window: impl crate::dashboard::windows::Window + 'static) -> Vec<Step> {
    vec![Step::Open(Box::new(window))]
}

/// The slot in which an account is read before credits are added to it.
const ACCOUNT: Slot = 3;

/// Credits are added to what there is now, so that is read first.
fn ask_credits(listed: &ListedTeam) -> Step {
    let asked = store::credits::Query::Account(listed.team.id.clone());
    Step::Load(ACCOUNT, Query::Credits(asked))
}

/// Takes the account that was read: the form that adds credits to it.
pub(super) fn receive(found: store::credits::Answer) -> Vec<Step> {
    match found {
        store::credits::Answer::Account(Some(found)) => {
            credits::forms::act(Action::AddCredits, &found.listed)
        }
        _ => Vec::new(),
    }
}

/// Goes to another list, narrowed to a team.
fn show(tab: Tab, word: &str, listed: &ListedTeam) -> Vec<Step> {
    let filter = format!("{word}team:{}", listed.team.id);
    vec![Step::Go(tab), Step::Filter(filter, true)]
}
