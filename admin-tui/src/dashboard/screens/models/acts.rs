//! What can be done to a model, from the list and from its own screen.

use tollgate_common::command::Command;
use tollgate_common::id::ModelAlias;

use super::{fallbacks, forms, price};
use crate::dashboard::change::Change;
use crate::dashboard::context::Context;
use crate::dashboard::format;
use crate::dashboard::keys::Action;
use crate::dashboard::step::{Slot, Step, Tone};
use crate::dashboard::store::Query;
use crate::dashboard::store::models::{Desk, ModelRow, Query as Ask};
use crate::dashboard::tab::Tab;
use crate::dashboard::widgets::facts::{fact, styled};
use crate::dashboard::windows::Window;
use crate::dashboard::windows::confirm::{Confirm, Gravity};

/// What forms need comes to these slots, one for each form.
const NEW: Slot = 10;
const EDIT: Slot = 11;
const PRICE: Slot = 12;
const FALLBACKS: Slot = 13;

/// Why an action is not possible for a model, if so.
pub(super) fn refusal(action: Action, model: Option<&ModelRow>) -> Option<String> {
    if action == Action::Enable {
        let why = "models have no such state: take it out of its groups, or disable its provider";
        return Some(why.to_owned());
    }
    let needs_model = matches!(
        action,
        Action::Open
            | Action::Edit
            | Action::Price
            | Action::Fallbacks
            | Action::Remove
            | Action::ShowProvider
    );
    (needs_model && model.is_none()).then(|| "no model is selected".to_owned())
}

/// Asks for what a new model's form needs.
pub(super) const fn new() -> Step {
    Step::Load(NEW, Query::Models(Ask::Desk(None)))
}

/// Does something to a model.
pub(super) fn act(action: Action, row: &ModelRow, context: &Context) -> Vec<Step> {
    let alias = &row.listed.model.alias;
    match action {
        Action::Edit => vec![ask(EDIT, alias)],
        Action::Price => vec![ask(PRICE, alias)],
        Action::Fallbacks => vec![ask(FALLBACKS, alias)],
        Action::Remove => vec![Step::Open(Box::new(remove(row, context)))],
        Action::ShowProvider => {
            let filter = format!("provider:{}", row.listed.model.provider);
            vec![Step::Go(Tab::Providers), Step::Filter(filter, true)]
        }
        _ => Vec::new(),
    }
}

fn ask(slot: Slot, alias: &ModelAlias) -> Step {
    Step::Load(slot, Query::Models(Ask::Desk(Some(alias.clone()))))
}

/// Opens the form whose needs have arrived.
pub(super) fn open(slot: Slot, desk: &Desk) -> Vec<Step> {
    let form = match slot {
        NEW => Some(forms::new(desk)),
        EDIT => forms::edit(desk),
        PRICE => price::form(desk),
        FALLBACKS => fallbacks::form(desk),
        _ => None,
    };
    match form {
        Some(form) => vec![Step::Open(Box::new(form) as Box<dyn Window>)],
        None => vec![Step::Say(Tone::Warn, "the model is gone".to_owned())],
    }
}

fn remove(row: &ModelRow, context: &Context) -> Confirm {
    let (model, theme) = (&row.listed.model, &context.theme);
    let alias = model.alias.to_string();
    let mut facts = vec![fact(
        "Model",
        format!("{} at {}", model.upstream_model, model.provider),
    )];
    if row.calls > 0 {
        let calls = format::count(row.calls);
        let text = format!("{calls} calls in the last 15 minutes");
        facts.push(styled("! In use", text, theme.bad));
    }
    if model.own_price.is_some() {
        facts.push(styled("Price", "its own price is lost", theme.warn));
    }
    facts.push(fact("Undo", "there is none: it must be added anew"));
    let command = Command::RemoveModel {
        alias: model.alias.clone(),
    };
    let change = Change::command(command, format!("model {alias} removed"));
    let change = change.unless_changed_since(row.listed.updated_at);
    let query = Query::Models(Ask::Impact(model.alias.clone()));
    let title = format!("Remove model {alias}");
    Confirm::new(title, "Remove", facts, Gravity::Final(alias), change).reading(query)
}
