//! What can be done to keys, from the list and from a key's own screen.

use tollgate_common::command::Command;

use super::{forms, rotate};
use crate::dashboard::change::{Change, Operation};
use crate::dashboard::context::Context;
use crate::dashboard::keys::Action;
use crate::dashboard::step::Step;
use crate::dashboard::store::keys::KeyRow;
use crate::dashboard::tab::Tab;
use crate::dashboard::widgets::facts::{Fact, fact, styled};
use crate::dashboard::widgets::list::Row as _;
use crate::dashboard::windows::confirm::{Confirm, Gravity};

/// How many keys a question names one by one.
const NAMED_MAX: usize = 6;

/// Why an action is not possible for these keys, if so.
pub(super) fn refusal(action: Action, targets: &[&KeyRow], context: &Context) -> Option<String> {
    let needs_key = matches!(
        action,
        Action::Open
            | Action::Rotate
            | Action::Revoke
            | Action::Edit
            | Action::Limits
            | Action::ShowCredits
    );
    if !needs_key {
        return None;
    }
    let Some(first) = targets.first() else {
        return Some("no key is selected".to_owned());
    };
    let is_for_one = matches!(action, Action::Rotate | Action::Edit | Action::Limits);
    if is_for_one && targets.len() > 1 {
        return Some("for one key at a time: ctrl-\\ clears the marks".to_owned());
    }
    let status = first.status(context.now);
    match action {
        Action::Rotate if status == "revoked" || status == "expired" => Some(
            format!("key {} has {status}: n makes another", first.id())
                .replace("has revoked", "is revoked"),
        ),
        Action::Rotate => {
            first.listed.successor.as_ref().map(|successor| {
                format!("it has a successor already, {successor}: rotate that one")
            })
        }
        Action::Edit | Action::Limits if status == "revoked" => {
            Some("a revoked key stays as it is".to_owned())
        }
        Action::Revoke
            if targets
                .iter()
                .all(|key| key.listed.key.revoked_at.is_some()) =>
        {
            Some("revoked already".to_owned())
        }
        _ => None,
    }
}

/// Does something to these keys.
pub(super) fn act(action: Action, targets: &[&KeyRow], context: &Context) -> Vec<Step> {
    let Some(first) = targets.first() else {
        return Vec::new();
    };
    match action {
        Action::Rotate => vec![Step::Open(Box::new(rotate::Rotate::new(first)))],
        Action::Revoke => vec![Step::Open(Box::new(revoke(targets, context)))],
        Action::Edit => vec![Step::Open(Box::new(forms::edit(first)))],
        Action::Limits => vec![Step::Open(Box::new(forms::limits(first)))],
        Action::ShowCredits => {
            let team = first.listed.key.team_id.to_string();
            vec![
                Step::Go(Tab::Credits),
                Step::Filter(format!("team:{team}"), true),
            ]
        }
        _ => Vec::new(),
    }
}

/// Asks whether to end keys for good.
fn revoke(targets: &[&KeyRow], context: &Context) -> Confirm {
    let live: Vec<&KeyRow> = targets
        .iter()
        .copied()
        .filter(|key| key.listed.key.revoked_at.is_none())
        .collect();
    let commands: Vec<Command> = live
        .iter()
        .map(|key| Command::RevokeKey {
            id: key.listed.key.id.clone(),
        })
        .collect();
    let in_use = live.iter().filter(|key| key.is_in_use(context.now)).count();
    let mut facts: Vec<Fact> = live
        .iter()
        .take(NAMED_MAX)
        .map(|key| described(key, context))
        .collect();
    if live.len() > NAMED_MAX {
        facts.push(fact("", format!("and {} more", live.len() - NAMED_MAX)));
    }
    facts.push(fact(
        "Effect",
        "callers get 401 within a second, on every node",
    ));
    if in_use > 0 {
        let text = format!("{in_use} of {} used in the last 5 minutes", live.len());
        facts.push(styled("! In use", text, context.theme.bad));
    }
    facts.push(fact(
        "In flight",
        "calls that have begun are finished and charged",
    ));
    facts.push(fact(
        "Undo",
        "there is none: R hands over instead, with an overlap",
    ));
    let (title, word, change) = match live.as_slice() {
        [one] => {
            let id = one.id();
            let operation = Operation::Commands(commands);
            let change = Change::new(operation, format!("key {id} revoked"));
            (format!("Revoke key {id}"), id, change)
        }
        more => {
            let count = more.len();
            let change = Change::new(
                Operation::Commands(commands),
                format!("{count} keys revoked"),
            );
            (format!("Revoke {count} keys"), count.to_string(), change)
        }
    };
    Confirm::new(title, "Revoke", facts, Gravity::Final(word), change)
}

fn described(row: &KeyRow, context: &Context) -> Fact {
    let key = &row.listed.key;
    let label = key.label.as_deref().unwrap_or("no label");
    let used = row.last_use(context.now);
    fact(
        key.id.to_string(),
        format!("{} ({label}), last used {used}", key.team_id),
    )
}
