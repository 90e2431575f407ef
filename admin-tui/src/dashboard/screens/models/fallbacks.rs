//! The form of a model's fallbacks: one line each, in the words of the command line.

use tollgate_common::command::{Command, ModelSettings};
use tollgate_common::id::ModelAlias;
use tollgate_common::model::{FALLBACKS_MAX, Fallback};

use super::forms::{REASON, reason_entry};
use super::row::{joined, written};
use crate::cli::model::settings::{FallbackOption, in_order};
use crate::dashboard::change::Change;
use crate::dashboard::context::Context;
use crate::dashboard::store::models::Desk;
use crate::dashboard::widgets::facts::{Fact, fact, styled};
use crate::dashboard::windows::form::{Check, Complaint, Entry, Form, Review, Values};

const LABELS: [&str; FALLBACKS_MAX] = [
    "1st", "2nd", "3rd", "4th", "5th", "6th", "7th", "8th", "9th", "10th", "11th", "12th", "13th",
    "14th", "15th", "16th",
];

/// How many lines stand ready for more fallbacks.
const FREE: usize = 2;

/// The least number of lines.
const LINES_MIN: usize = 4;

/// How many models a form names as those that there are.
const NAMED_MAX: usize = 12;

const CHECK: Check = |text| {
    if text.is_empty() {
        return Ok(());
    }
    text.parse::<FallbackOption>().map(|_| ())
};

/// The fallbacks that the lines say, each with the label of its line.
fn asked(values: Values<'_>) -> Result<Vec<(&'static str, Fallback)>, Complaint> {
    let mut labels = Vec::new();
    let mut given = Vec::new();
    for label in LABELS {
        if let Some(option) = values.parse_filled::<FallbackOption>(label)? {
            labels.push(label);
            given.push(option);
        }
    }
    Ok(labels.into_iter().zip(in_order(given)).collect())
}

fn checked(
    values: Values<'_>,
    alias: &ModelAlias,
    known: &[ModelAlias],
) -> Result<Vec<Fallback>, Complaint> {
    let asked = asked(values)?;
    for (place, (label, fallback)) in asked.iter().enumerate() {
        if fallback.alias == *alias {
            return Err(Complaint::about(label, "a model cannot be its own"));
        }
        if !known.contains(&fallback.alias) {
            return Err(Complaint::about(label, "there is no such model"));
        }
        let before = asked.iter().take(place);
        if before
            .into_iter()
            .any(|(_, other)| other.alias == fallback.alias)
        {
            return Err(Complaint::about(label, "it stands above already"));
        }
    }
    Ok(asked.into_iter().map(|(_, fallback)| fallback).collect())
}

/// In which order the model and its fallbacks are tried.
pub(super) fn order_of(alias: &ModelAlias, weight: i64, fallbacks: &[Fallback]) -> Vec<Fact> {
    let mut priorities: Vec<i64> = fallbacks.iter().map(|fallback| fallback.priority).collect();
    priorities.push(0);
    priorities.sort_unstable();
    priorities.dedup();
    let mut facts = Vec::new();
    for (place, priority) in priorities.iter().enumerate() {
        let own = (*priority == 0).then_some((alias, weight));
        let others = fallbacks.iter().filter(|other| other.priority == *priority);
        let others = others.map(|other| (&other.alias, other.weight));
        let tried: Vec<(&ModelAlias, i64)> = own.into_iter().chain(others).collect();
        let total: i64 = tried.iter().map(|(_, weight)| weight).sum();
        let text = match tried.as_slice() {
            [(one, _)] => one.to_string(),
            more => {
                let shares = more.iter().map(|(name, weight)| {
                    let percent = weight * 100 / total.max(1);
                    format!("{name} {percent}%")
                });
                joined(shares)
            }
        };
        let label = if place == 0 { "First" } else { "Then" };
        facts.push(fact(label, text));
    }
    facts
}

/// The form of a model's fallbacks.
pub(super) fn form(desk: &Desk) -> Option<Form> {
    let listed = desk.model.clone()?;
    let (model, seen) = (listed.model, listed.updated_at);
    let lines = (model.fallbacks.len() + FREE).clamp(LINES_MIN, FALLBACKS_MAX);
    let mut entries: Vec<Entry> = LABELS
        .iter()
        .take(lines)
        .enumerate()
        .map(|(place, label)| {
            let text = model.fallbacks.get(place).map(written).unwrap_or_default();
            Entry::line(label, text, "alias:priority:weight").checked(CHECK)
        })
        .collect();
    entries.push(reason_entry());
    let title = format!("Fallbacks of model {}", model.alias);
    let (alias, weight) = (model.alias.clone(), model.weight);
    let others: Vec<ModelAlias> = desk
        .aliases
        .iter()
        .filter(|other| **other != alias)
        .cloned()
        .collect();
    let mut named = joined(others.iter().take(NAMED_MAX));
    if others.len() > NAMED_MAX {
        named.push_str(", ...");
    }
    let preview = move |values: Values<'_>, context: &Context| {
        let mut facts = match asked(values) {
            Ok(asked) => {
                let asked: Vec<Fallback> = asked.into_iter().map(|(_, f)| f).collect();
                order_of(&alias, weight, &asked)
            }
            Err(_) => Vec::new(),
        };
        let text = "priority 0 shares the load by weight; higher ones wait";
        facts.push(styled("", text, context.theme.dim));
        facts.push(fact("Models", named.clone()));
        facts
    };
    let known = desk.aliases.clone();
    let submit = move |values: Values<'_>, _: &Context| {
        let after = checked(values, &model.alias, &known)?;
        if after == model.fallbacks {
            return Err(Complaint::about(LABELS[0], "nothing has changed"));
        }
        let facts = order_of(&model.alias, model.weight, &after);
        let set = |fallbacks| Command::SetModel {
            alias: model.alias.clone(),
            settings: ModelSettings {
                fallbacks: Some(fallbacks),
                ..ModelSettings::default()
            },
        };
        let sentence = format!("fallbacks of model {} changed", model.alias);
        let undo = format!("fallbacks of model {} are as they were", model.alias);
        let undo = Change::command(set(model.fallbacks.clone()), undo);
        let change = Change::command(set(after), sentence);
        let change = change.unless_changed_since(seen).undone_by(undo);
        Ok(Review {
            facts,
            change: change.because(values.text(REASON)),
        })
    };
    let form = Form::new(title, entries, Box::new(submit));
    Some(form.previewing(Box::new(preview)))
}
