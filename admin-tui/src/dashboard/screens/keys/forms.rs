//! Forms of keys: a new one, its label and end, its limits.

use tollgate_common::clock::Timestamp;
use tollgate_common::command::{Command, KeySettings};
use tollgate_common::id::TeamId;
use tollgate_common::limit::{LimitSettings, Limits};

use crate::cli::limit::Limit;
use crate::cli::value::{self, Expiry};
use crate::dashboard::change::{Change, Operation};
use crate::dashboard::context::Context;
use crate::dashboard::format;
use crate::dashboard::store::keys::KeyRow;
use crate::dashboard::widgets::facts::{Fact, fact};
use crate::dashboard::widgets::list::Row as _;
use crate::dashboard::windows::form::{Check, Complaint, Entry, Form, Review, Values};

const TEAM: &str = "Team";
const LABEL: &str = "Label";
const EXPIRES: &str = "Expires";
const RPM: &str = "Calls per minute";
const TPM: &str = "Tokens per minute";
const PARALLEL: &str = "Parallel calls";
const REASON: &str = "Reason";

const NEVER: &str = "never";
const NO_LIMIT: &str = "none";

const LABEL_CHECK: Check = |text| {
    if text.is_empty() {
        return Ok(());
    }
    value::text(text).map(|_| ())
};
const EXPIRES_CHECK: Check = |text| text.parse::<Expiry>().map(|_| ());
const LIMIT_CHECK: Check = |text| text.parse::<Limit>().map(|_| ());
const TEAM_CHECK: Check = |text| {
    let parsed = text.parse::<TeamId>();
    parsed.map(|_| ()).map_err(|error| error.to_string())
};

fn limit_entries(limits: &Limits) -> [Entry; 3] {
    let line = |label, limit: Option<i64>| {
        let text = limit.map_or_else(|| NO_LIMIT.to_owned(), |limit| limit.to_string());
        Entry::line(label, text, "a number or none").checked(LIMIT_CHECK)
    };
    [
        line(RPM, limits.requests_per_minute),
        line(TPM, limits.tokens_per_minute),
        line(PARALLEL, limits.parallel_calls),
    ]
}

fn reason_entry() -> Entry {
    Entry::line(REASON, "", "for the audit log").checked(LABEL_CHECK)
}

fn limits_of(values: Values<'_>) -> Result<Limits, Complaint> {
    Ok(Limits {
        requests_per_minute: values.parse::<Limit>(RPM)?.0,
        tokens_per_minute: values.parse::<Limit>(TPM)?.0,
        parallel_calls: values.parse::<Limit>(PARALLEL)?.0,
    })
}

fn end_of(values: Values<'_>, context: &Context) -> Result<Option<Timestamp>, Complaint> {
    let expiry: Expiry = values.parse(EXPIRES)?;
    expiry
        .after(context.now, "the end")
        .map_err(|failure| Complaint::about(EXPIRES, failure.to_string()))
}

fn shown_end(end: Option<Timestamp>) -> String {
    end.map_or_else(
        || NEVER.to_owned(),
        |at| format!("{} UTC", format::moment(at)),
    )
}

fn shown_limit(limit: Option<i64>) -> String {
    limit.map_or_else(|| NO_LIMIT.to_owned(), format::number)
}

fn limit_facts(limits: &Limits) -> [Fact; 3] {
    [
        fact(RPM, shown_limit(limits.requests_per_minute)),
        fact(TPM, shown_limit(limits.tokens_per_minute)),
        fact(PARALLEL, shown_limit(limits.parallel_calls)),
    ]
}

/// A new key, of this team if it is known.
pub(in crate::dashboard::screens) fn new(team: Option<String>) -> Form {
    let mut entries = vec![
        Entry::line(TEAM, team.unwrap_or_default(), "its id").checked(TEAM_CHECK),
        Entry::line(LABEL, "", "where it is used").checked(LABEL_CHECK),
        Entry::line(EXPIRES, NEVER, "90d, a time, or never").checked(EXPIRES_CHECK),
    ];
    entries.extend(limit_entries(&Limits::default()));
    entries.push(reason_entry());
    Form::new("New key", entries, Box::new(review_new))
}

fn review_new(values: Values<'_>, context: &Context) -> Result<Review, Complaint> {
    let team_id: TeamId = values.parse(TEAM)?;
    let label = values.filled(LABEL);
    let (limits, expires_at) = (limits_of(values)?, end_of(values, context)?);
    let mut facts = vec![
        fact(TEAM, team_id.to_string()),
        fact(LABEL, label.clone().unwrap_or_else(|| "-".to_owned())),
        fact(EXPIRES, shown_end(expires_at)),
    ];
    facts.extend(limit_facts(&limits));
    facts.push(fact("", "the key is shown once, when it is made"));
    let sentence = format!("key of team {team_id} made");
    let operation = Operation::CreateKey {
        team_id,
        label,
        limits,
        expires_at,
    };
    Ok(Review {
        facts,
        change: Change::new(operation, sentence).because(values.text(REASON)),
    })
}

/// The label and the end of a key.
pub(super) fn edit(row: &KeyRow) -> Form {
    let key = &row.listed.key;
    let end = key
        .expires_at
        .map_or_else(|| NEVER.to_owned(), |at| at.to_string());
    let label = key.label.clone().unwrap_or_default();
    let entries = vec![
        Entry::line(LABEL, label.clone(), "where it is used").checked(LABEL_CHECK),
        Entry::line(EXPIRES, end.clone(), "90d, a time, or never").checked(EXPIRES_CHECK),
        reason_entry(),
    ];
    let (id, before) = (key.id.clone(), key.expires_at);
    let submit = move |values: Values<'_>, context: &Context| {
        let new_label = values.filled(LABEL).filter(|text| *text != label);
        let moved = values.text(EXPIRES) != end;
        let expires_at = if moved {
            Some(end_of(values, context)?)
        } else {
            None
        };
        if new_label.is_none() && expires_at.is_none() {
            return Err(Complaint::about(LABEL, "nothing has changed"));
        }
        let mut facts = Vec::new();
        if let Some(new) = &new_label {
            facts.push(changed(LABEL, &label, new, context));
        }
        if let Some(new) = expires_at {
            facts.push(changed(
                EXPIRES,
                &shown_end(before),
                &shown_end(new),
                context,
            ));
        }
        let inverse = KeySettings {
            label: new_label.as_ref().map(|_| label.clone()),
            expires_at: expires_at.map(|_| before),
            ..KeySettings::default()
        };
        let settings = KeySettings {
            label: new_label,
            expires_at,
            ..KeySettings::default()
        };
        let change = set(&id, settings, inverse).because(values.text(REASON));
        Ok(Review { facts, change })
    };
    Form::new(format!("Edit key {}", row.id()), entries, Box::new(submit))
}

/// The limits of a key.
pub(super) fn limits(row: &KeyRow) -> Form {
    let (before, id) = (row.listed.key.limits, row.listed.key.id.clone());
    let mut entries: Vec<Entry> = limit_entries(&before).into();
    entries.push(reason_entry());
    let submit = move |values: Values<'_>, context: &Context| {
        let after = limits_of(values)?;
        if after == before {
            return Err(Complaint::about(RPM, "nothing has changed"));
        }
        let facts = limit_facts(&before).into_iter().zip(limit_facts(&after));
        let facts = facts.filter(|(old, new)| old != new);
        let facts = facts.map(|(old, new)| changed(&old.label, &old.value, &new.value, context));
        let facts: Vec<Fact> = facts.collect();
        let settings = |limits: Limits| KeySettings {
            limits: LimitSettings {
                requests_per_minute: Some(limits.requests_per_minute),
                tokens_per_minute: Some(limits.tokens_per_minute),
                parallel_calls: Some(limits.parallel_calls),
            },
            ..KeySettings::default()
        };
        let change = set(&id, settings(after), settings(before));
        Ok(Review {
            facts,
            change: change.because(values.text(REASON)),
        })
    };
    Form::new(
        format!("Limits of key {}", row.id()),
        entries,
        Box::new(submit),
    )
}

fn changed(label: &str, old: &str, new: &str, context: &Context) -> Fact {
    let old = if old.is_empty() { "-" } else { old };
    let arrow = context.charset.arrow();
    fact(label, format!("{old}  {arrow}  {new}"))
}

fn set(id: &tollgate_common::id::KeyId, settings: KeySettings, inverse: KeySettings) -> Change {
    let command = |settings| Command::SetKey {
        id: id.clone(),
        settings,
    };
    let undo = Change::command(command(inverse), format!("key {id} is as it was"));
    Change::command(command(settings), format!("key {id} changed")).undone_by(undo)
}
