//! Forms of groups: a new one, a model more, a model less.

use tollgate_common::command::Command;
use tollgate_common::id::{GroupName, ModelAlias};

use crate::dashboard::change::Change;
use crate::dashboard::context::Context;
use crate::dashboard::format;
use crate::dashboard::screens::models::forms::{REASON, reason_entry};
use crate::dashboard::screens::models::row::joined;
use crate::dashboard::store::models::{Desk, GroupRow};
use crate::dashboard::widgets::facts::{fact, styled};
use crate::dashboard::widgets::list::Row as _;
use crate::dashboard::windows::form::{Check, Complaint, Entry, Form, Review, Values};

const NAME: &str = "Name";
const MODELS: &str = "Models";
const MODEL: &str = "Model";

/// How many models a form names as those that there are.
const NAMED_MAX: usize = 12;

const NAME_CHECK: Check = |text| {
    let parsed = text.parse::<GroupName>();
    parsed.map(|_| ()).map_err(|error| error.to_string())
};
const ALIASES_CHECK: Check = |text| aliases(text).map(|_| ());
const ALIAS_CHECK: Check = |text| {
    let parsed = text.parse::<ModelAlias>();
    parsed.map(|_| ()).map_err(|error| error.to_string())
};

/// Aliases with commas or spaces between them.
fn aliases(text: &str) -> Result<Vec<ModelAlias>, String> {
    let words = text.split([',', ' ']).filter(|word| !word.is_empty());
    words
        .map(str::parse)
        .collect::<Result<_, tollgate_common::id::InvalidId>>()
        .map_err(|error| error.to_string())
}

fn named(aliases: &[ModelAlias]) -> String {
    let mut named = joined(aliases.iter().take(NAMED_MAX));
    if aliases.len() > NAMED_MAX {
        named.push_str(", ...");
    }
    named
}

/// A new group.
pub(super) fn new(desk: &Desk) -> Form {
    let entries = vec![
        Entry::line(NAME, "", "what teams are granted").checked(NAME_CHECK),
        Entry::line(MODELS, "", "in order, with commas").checked(ALIASES_CHECK),
        reason_entry(),
    ];
    let (known, shown) = (desk.aliases.clone(), named(&desk.aliases));
    let taken = desk.groups.clone();
    let submit = move |values: Values<'_>, _: &Context| {
        let name: GroupName = values.parse(NAME)?;
        if taken.contains(&name) {
            return Err(Complaint::about(NAME, "there is such a group already"));
        }
        let models = aliases(&values.text(MODELS));
        let models = models.map_err(|why| Complaint::about(MODELS, why))?;
        if let Some(unknown) = models.iter().find(|alias| !known.contains(alias)) {
            let why = format!("there is no model {unknown}");
            return Err(Complaint::about(MODELS, why));
        }
        let facts = vec![
            fact("Group", name.to_string()),
            fact(MODELS, joined(models.iter())),
            fact("Teams", "none yet: grants are settings of teams"),
        ];
        let sentence = format!("group {name} made");
        let change = Change::command(Command::CreateGroup { name, models }, sentence);
        Ok(Review {
            facts,
            change: change.because(values.text(REASON)),
        })
    };
    let preview = move |_: Values<'_>, _: &Context| vec![fact("There are", shown.clone())];
    Form::new("New group", entries, Box::new(submit)).previewing(Box::new(preview))
}

fn add_command(name: &GroupName, alias: &ModelAlias) -> Command {
    Command::AddToGroup {
        name: name.clone(),
        alias: alias.clone(),
    }
}

fn remove_command(name: &GroupName, alias: &ModelAlias) -> Command {
    Command::RemoveFromGroup {
        name: name.clone(),
        alias: alias.clone(),
    }
}

/// A model more, at the end.
pub(super) fn add(row: &GroupRow, desk: &Desk) -> Form {
    let (name, held, teams) = (
        row.listed.name.clone(),
        row.listed.models.clone(),
        row.listed.teams,
    );
    let others = desk.aliases.iter().filter(|alias| !held.contains(alias));
    let others: Vec<ModelAlias> = others.cloned().collect();
    let (known, shown) = (desk.aliases.clone(), named(&others));
    let seen = row.read_at;
    let submit = move |values: Values<'_>, _: &Context| {
        let alias: ModelAlias = values.parse(MODEL)?;
        if held.contains(&alias) {
            return Err(Complaint::about(MODEL, "the group holds it already"));
        }
        if !known.contains(&alias) {
            return Err(Complaint::about(MODEL, "there is no such model"));
        }
        let teams = format::number(teams);
        let facts = vec![
            fact("Group", name.to_string()),
            fact(MODEL, format!("{alias}, at the end")),
            fact("Teams", format!("{teams} may call it from now on")),
        ];
        let undo = format!("model {alias} is out of group {name} again");
        let undo = Change::command(remove_command(&name, &alias), undo);
        let sentence = format!("model {alias} added to group {name}");
        let change = Change::command(add_command(&name, &alias), sentence);
        let change = change.unless_changed_since(seen).undone_by(undo);
        Ok(Review {
            facts,
            change: change.because(values.text(REASON)),
        })
    };
    let entries = vec![
        Entry::line(MODEL, "", "its alias").checked(ALIAS_CHECK),
        reason_entry(),
    ];
    let preview = move |_: Values<'_>, _: &Context| vec![fact("There are", shown.clone())];
    let form = Form::new(
        format!("Add to group {}", row.id()),
        entries,
        Box::new(submit),
    );
    form.previewing(Box::new(preview))
}

/// A model less.
pub(super) fn remove(row: &GroupRow, context: &Context) -> Form {
    let (name, held, teams) = (
        row.listed.name.clone(),
        row.listed.models.clone(),
        row.listed.teams,
    );
    let (seen, calls) = (row.read_at, row.calls.clone());
    let warn = context.theme.warn;
    let shown = named(&held);
    let submit = move |values: Values<'_>, _: &Context| {
        let alias: ModelAlias = values.parse(MODEL)?;
        let Some(place) = held.iter().position(|model| *model == alias) else {
            return Err(Complaint::about(MODEL, "the group does not hold it"));
        };
        let is_last = place + 1 == held.len();
        let calls = calls.get(place).copied().unwrap_or_default();
        let teams = format::number(teams);
        let mut facts = vec![
            fact("Group", name.to_string()),
            fact(MODEL, alias.to_string()),
            styled(
                "Teams",
                format!("{teams} lose it, unless another group of theirs holds it"),
                warn,
            ),
            fact(
                "15 minutes",
                format!("{} calls of it", format::count(calls)),
            ),
        ];
        let sentence = format!("model {alias} taken out of group {name}");
        let change = Change::command(remove_command(&name, &alias), sentence);
        let change = change.unless_changed_since(seen);
        // What is added comes last, so only the last one returns to its place.
        let change = if is_last {
            let undo = format!("group {name} holds {alias} again");
            change.undone_by(Change::command(add_command(&name, &alias), undo))
        } else {
            facts.push(fact("Undo", "a adds it again, but at the end"));
            change
        };
        Ok(Review {
            facts,
            change: change.because(values.text(REASON)),
        })
    };
    let entries = vec![
        Entry::line(MODEL, "", "its alias").checked(ALIAS_CHECK),
        reason_entry(),
    ];
    let preview = move |_: Values<'_>, _: &Context| vec![fact("It holds", shown.clone())];
    let title = format!("Take out of group {}", row.id());
    Form::new(title, entries, Box::new(submit)).previewing(Box::new(preview))
}
