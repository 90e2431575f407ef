//! The forms that make and change teams.

use tollgate_common::command::{Command, TeamSettings};
use tollgate_common::db::team::list::ListedTeam;
use tollgate_common::id::{OrgId, TeamId};
use tollgate_common::money::Credits;

use super::fields::{
    CACHE, DAY, FAILED, GROUPS, JOB_COST, LEAVE, MARKUP, MODE, MODEL, MONTH, NAME, OVERDRAFT,
    PARALLEL, RATE, ROUND, RPM, TOKENS, TPM, entry, parses, plain, read, require_model, text_of,
};
use crate::cli::value;
use crate::dashboard::change::Change;
use crate::dashboard::context::Context;
use crate::dashboard::format;
use crate::dashboard::screens::keys;
use crate::dashboard::step::Step;
use crate::dashboard::store::teams::Names;
use crate::dashboard::widgets::facts::{Fact, fact};
use crate::dashboard::windows::form::{Complaint, Entry, Form, Review, Values};

const ID: &str = "Team";
const ORG: &str = "Organization";
const OPENING: &str = "Opening credits";

/// What a new team may be given, in the order of the form.
const OF_NEW: [&str; 16] = [
    NAME, GROUPS, MODEL, MODE, RATE, TOKENS, MARKUP, FAILED, ROUND, JOB_COST, OVERDRAFT, DAY,
    MONTH, RPM, TPM, PARALLEL,
];

const OF_EDIT: [&str; 14] = [
    NAME, MODE, RATE, TOKENS, MARKUP, FAILED, ROUND, JOB_COST, MODEL, OVERDRAFT, DAY, MONTH, CACHE,
    LEAVE,
];

const OF_LIMITS: [&str; 3] = [RPM, TPM, PARALLEL];

fn opening(text: &str) -> Result<Credits, String> {
    if text.is_empty() {
        return Ok(Credits::ZERO);
    }
    value::credits_allowed(&plain(text))
}

/// Makes a team; once it is made, a key of it is offered.
pub(super) fn create(names: &Names, org: String) -> Form {
    let only = names.orgs.first().filter(|_| names.orgs.len() == 1);
    let org = only.cloned().unwrap_or(org);
    let mut entries = vec![
        Entry::line(ID, "", "its id, for good").checked(parses::<TeamId>),
        Entry::line(ORG, org, "").checked(parses::<OrgId>),
        Entry::line(OPENING, "", "empty: 0").checked(|text| opening(text).map(drop)),
    ];
    let fields = OF_NEW.into_iter();
    entries.extend(fields.map(|label| entry(label, String::new(), names)));
    let names = names.clone();
    let submit = move |values: Values<'_>, _: &Context| created(values, &names);
    Form::new("New team", entries, Box::new(submit)).then(Box::new(offer_key))
}

fn offer_key(values: Values<'_>, _context: &Context) -> Vec<Step> {
    let id = values.parse::<TeamId>(ID);
    let form = id.map(|id| Step::Open(Box::new(keys::forms::new(Some(id.to_string())))));
    form.into_iter().collect()
}

fn created(values: Values<'_>, names: &Names) -> Result<Review, Complaint> {
    let id: TeamId = values.parse(ID)?;
    let org_id: OrgId = values.parse(ORG)?;
    if !names.orgs.iter().any(|name| name == org_id.as_str()) {
        return Err(Complaint::about(
            ORG,
            format!("there is no organization {org_id}"),
        ));
    }
    require_model(&values.text(MODEL), names)?;
    let credits = opening(&values.text(OPENING)).map_err(|why| Complaint::about(OPENING, why))?;
    let mut settings = TeamSettings::default();
    let mut facts = vec![
        fact("Team", format!("{id} in organization {org_id}")),
        fact(
            "Account",
            format!("opens with {} credits", format::credits(credits)),
        ),
    ];
    for label in OF_NEW {
        let text = values.text(label);
        if !text.is_empty() {
            read(&mut settings, label, &text)?;
            facts.push(fact(label, text));
        }
    }
    if settings.groups.is_none() {
        facts.push(fact(GROUPS, "none: it may use no model until it has one"));
    }
    let sentence = format!("team {id} is made");
    let command = Command::CreateTeam {
        id,
        org_id,
        credits,
        settings,
    };
    facts.push(fact("Then", "a key can be made at once"));
    Ok(Review {
        facts,
        change: Change::command(command, sentence),
    })
}

/// Changes settings.
pub(super) fn edit(listed: &ListedTeam, names: &Names) -> Form {
    let title = format!("Edit team {}", listed.team.id);
    change(title, &OF_EDIT, listed, names)
}

/// Changes limits.
pub(super) fn limits(listed: &ListedTeam) -> Form {
    let title = format!("Limits of team {}", listed.team.id);
    change(title, &OF_LIMITS, listed, &Names::default())
}

/// Changes which groups of models a team is granted.
pub(super) fn groups(listed: &ListedTeam, names: &Names) -> Form {
    let title = format!("Groups of team {}", listed.team.id);
    change(title, &[GROUPS], listed, names)
}

const REASON: &str = "Reason";

fn change(
    title: String,
    labels: &'static [&'static str],
    listed: &ListedTeam,
    names: &Names,
) -> Form {
    let mut entries: Vec<Entry> = labels
        .iter()
        .map(|label| entry(label, text_of(label, listed), names))
        .collect();
    entries.push(Entry::line(REASON, "", "for the audit log"));
    let (listed, names) = (listed.clone(), names.clone());
    let submit = move |values: Values<'_>, context: &Context| {
        changed(values, labels, (&listed, &names), context)
    };
    Form::new(title, entries, Box::new(submit))
}

/// What of the fields is another than before becomes a change, and what was before its inverse.
fn changed(
    values: Values<'_>,
    labels: &[&'static str],
    (listed, names): (&ListedTeam, &Names),
    context: &Context,
) -> Result<Review, Complaint> {
    let (mut to, mut back) = (TeamSettings::default(), TeamSettings::default());
    let mut facts: Vec<Fact> = Vec::new();
    for label in labels {
        let (text, before) = (values.text(label), text_of(label, listed));
        if text == before {
            continue;
        }
        if *label == MODEL {
            require_model(&text, names)?;
        }
        read(&mut to, label, &text)?;
        read(&mut back, label, &before)?;
        let shown = |text: &str| {
            if text.is_empty() {
                "none".to_owned()
            } else {
                text.to_owned()
            }
        };
        let arrow = context.charset.arrow();
        let value = format!("{} {arrow} {}", shown(&before), shown(&text));
        facts.push(fact(*label, value));
    }
    if facts.is_empty() {
        return Err(Complaint::about("", "nothing is changed yet"));
    }
    if to.budget_mode.is_some() || to.markup.is_some() {
        facts.push(fact("Open jobs", "keep the terms that they began with"));
    }
    let id = &listed.team.id;
    let set = |settings| Command::SetTeam {
        id: id.clone(),
        settings,
    };
    let inverse = Change::command(set(back), format!("team {id} is as it was"));
    let change = Change::command(set(to), format!("team {id} is changed"))
        .because(values.text(REASON))
        .unless_changed_since(listed.team.updated_at)
        .undone_by(inverse);
    Ok(Review { facts, change })
}
