//! What can be done to a provider and to its keys.

use tollgate_common::command::Command;

use super::forms;
use super::row::{KeyRow, hint};
use crate::dashboard::change::{Change, Operation};
use crate::dashboard::context::Context;
use crate::dashboard::keys::Action;
use crate::dashboard::step::{Step, Tone};
use crate::dashboard::store::Query;
use crate::dashboard::store::providers::{ProviderRow, Query as Ask};
use crate::dashboard::tab::Tab;
use crate::dashboard::widgets::facts::{Fact, fact, styled};
use crate::dashboard::windows::confirm::{Confirm, Gravity};

/// Why an action is not possible for a provider, if so.
pub(super) fn refusal(action: Action, provider: Option<&ProviderRow>) -> Option<String> {
    let needs_provider = matches!(
        action,
        Action::Open
            | Action::Test
            | Action::AddCredential
            | Action::Rotate
            | Action::Edit
            | Action::Enable
            | Action::Remove
            | Action::ShowModels
    );
    let Some(provider) = provider else {
        return needs_provider.then(|| "no provider is selected".to_owned());
    };
    match action {
        Action::Test if provider.enabled_keys() == 0 => {
            Some("no key is enabled; enter shows its keys, each can be tested".to_owned())
        }
        _ => None,
    }
}

/// Does something to a provider.
pub(super) fn act(action: Action, provider: &ProviderRow, context: &Context) -> Vec<Step> {
    match action {
        Action::Test => test(provider, None),
        Action::AddCredential => vec![Step::Open(Box::new(forms::add_key(provider)))],
        Action::Rotate => vec![Step::Open(Box::new(forms::rotate(provider, context)))],
        Action::Edit => vec![Step::Open(Box::new(forms::settings(provider)))],
        Action::Enable => vec![enable(provider)],
        Action::Remove => vec![Step::Open(Box::new(remove(provider, context)))],
        Action::ShowModels => {
            let filter = format!("provider:{}", provider.listed.provider.name);
            vec![Step::Go(Tab::Models), Step::Filter(filter, true)]
        }
        _ => Vec::new(),
    }
}

/// Asks a provider with one of its keys, or with all that are enabled.
pub(super) fn test(provider: &ProviderRow, key: Option<&KeyRow>) -> Vec<Step> {
    let operation = Operation::TestProvider {
        provider: provider.listed.provider.clone(),
        credential: key.map(|row| row.key.id),
    };
    vec![
        Step::Change(Box::new(Change::new(operation, ""))),
        Step::Say(
            Tone::Warn,
            format!("asking {} (10 s at most)", provider.listed.base_url.host()),
        ),
    ]
}

fn enable(provider: &ProviderRow) -> Step {
    let (name, enabled) = (provider.name(), !provider.listed.enabled);
    let command = |enabled| Command::EnableProvider {
        provider: provider.listed.provider.clone(),
        enabled,
    };
    let word = |enabled| if enabled { "enabled" } else { "disabled" };
    let undo = Change::command(
        command(!enabled),
        format!("{name} {} again", word(!enabled)),
    );
    let models = match (enabled, provider.listed.models) {
        (true, _) | (_, 0) => String::new(),
        (false, 1) => "; 1 model names it".to_owned(),
        (false, count) => format!("; {count} models name it"),
    };
    let sentence = format!("{name} {}{models}", word(enabled));
    let change = Change::command(command(enabled), sentence);
    let change = change.unless_changed_since(provider.listed.updated_at);
    Step::Change(Box::new(change.undone_by(undo)))
}

fn remove(provider: &ProviderRow, context: &Context) -> Confirm {
    let name = provider.listed.provider.name.to_string();
    let keys = provider.listed.keys.len();
    let mut facts = vec![
        fact("Provider", provider.name()),
        fact("Base URL", provider.listed.base_url.to_string()),
        styled(
            "Keys",
            format!("{keys} deleted for good"),
            context.theme.bad,
        ),
    ];
    if provider.traffic.tries > 0 {
        let text = format!("{} tries in the last 15 minutes", provider.traffic.tries);
        facts.push(styled("! In use", text, context.theme.bad));
    }
    facts.push(fact("Instead", "p only disables it, and keeps its keys"));
    let command = Command::RemoveProvider {
        provider: provider.listed.provider.clone(),
    };
    let change = Change::command(command, format!("provider {} removed", provider.name()));
    let change = change.unless_changed_since(provider.listed.updated_at);
    let title = format!("Remove provider {}", provider.name());
    let query = Query::Providers(Ask::Impact(provider.listed.provider.clone()));
    Confirm::new(title, "Remove", facts, Gravity::Final(name), change).reading(query)
}

/// Why an action is not possible for a key, if so.
pub(super) fn key_refusal(action: Action, key: Option<&KeyRow>) -> Option<String> {
    let needs_key = matches!(
        action,
        Action::Test | Action::Enable | Action::RemoveCredential
    );
    (needs_key && key.is_none()).then(|| "it has no key: a adds one".to_owned())
}

/// Lets a key be used, or not.
pub(super) fn enable_key(provider: &ProviderRow, key: &KeyRow, context: &Context) -> Step {
    let enabled = !key.key.enabled;
    let shown = hint(&key.key, context);
    let command = |enabled| Command::EnableCredential {
        id: key.key.id,
        enabled,
    };
    let word = |enabled| if enabled { "enabled" } else { "disabled" };
    let is_last = !enabled && provider.enabled_keys() == 1;
    let warning = if is_last { ": no key is left" } else { "" };
    let undo = Change::command(
        command(!enabled),
        format!("key {shown} {} again", word(!enabled)),
    );
    let sentence = format!(
        "key {shown} of {} {}{warning}",
        provider.name(),
        word(enabled)
    );
    let change = Change::command(command(enabled), sentence);
    let change = change.unless_changed_since(provider.read_at);
    Step::Change(Box::new(change.undone_by(undo)))
}

/// Asks whether to delete a key.
pub(super) fn remove_key(provider: &ProviderRow, key: &KeyRow, context: &Context) -> Confirm {
    let shown = hint(&key.key, context);
    let others = provider.enabled_keys() - usize::from(key.key.enabled);
    let left: Fact = match (key.key.enabled, others) {
        (false, _) => fact("In use", "no: it is disabled"),
        (true, 0) => styled(
            "! In use",
            "it is the only one: the provider is left without",
            context.theme.bad,
        ),
        (true, 1) => fact("In use", "yes; 1 other is left"),
        (true, more) => fact("In use", format!("yes; {more} others are left")),
    };
    let facts = vec![
        fact("Provider", provider.name()),
        fact("Key", format!("{shown}, {}", key.key.id)),
        left,
        fact("In flight", "calls that have begun end with it"),
        fact("Undo", "there is none; p only disables it"),
    ];
    let command = Command::RemoveCredential { id: key.key.id };
    let sentence = format!("key {shown} of {} removed", provider.name());
    let change = Change::command(command, sentence).unless_changed_since(provider.read_at);
    let title = format!("Remove key {shown} of {}", provider.name());
    Confirm::new(title, "Remove", facts, Gravity::Hard, change)
}
