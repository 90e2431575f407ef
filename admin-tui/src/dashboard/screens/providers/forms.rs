//! Forms of providers: a new one, a key more, a key in the place of all, other settings. What is
//! typed as a key is never shown and goes nowhere but into the change.

use tollgate_common::command::{Command, ProviderRef};
use tollgate_common::db::provider::list::ListedProvider;
use tollgate_common::id::{OrgId, ProviderName};
use tollgate_common::provider::{BaseUrl, PassFields, ProviderKind};
use tollgate_common::secret::Secret;

use crate::cli::provider::key;
use crate::cli::value;
use crate::dashboard::change::{Change, Operation, SealedCommand};
use crate::dashboard::context::Context;
use crate::dashboard::store::providers::ProviderRow;
use crate::dashboard::widgets::facts::{Fact, fact, styled};
use crate::dashboard::windows::form::{Check, Complaint, Entry, Form, Review, Values};

const NAME: &str = "Name";
const KIND: &str = "Kind";
const BASE_URL: &str = "Base URL";
const ORG: &str = "Organization";
const KEY: &str = "Key";
const PASS_FIELDS: &str = "Pass fields";
const REASON: &str = "Reason";

const KINDS: [&str; 3] = ["openai", "anthropic", "gemini"];

const NAME_CHECK: Check = |text| {
    let parsed = text.parse::<ProviderName>();
    parsed.map(|_| ()).map_err(|error| error.to_string())
};
const ORG_CHECK: Check = |text| {
    if text.is_empty() {
        return Ok(());
    }
    let parsed = text.parse::<OrgId>();
    parsed.map(|_| ()).map_err(|error| error.to_string())
};
const URL_CHECK: Check = |text| {
    if text.is_empty() {
        return Ok(());
    }
    text.parse::<BaseUrl>().map(|_| ())
};
const FIELDS_CHECK: Check = |text| text.parse::<PassFields>().map(|_| ());
const REASON_CHECK: Check = |text| {
    if text.is_empty() {
        return Ok(());
    }
    value::text(text).map(|_| ())
};

fn key_entry() -> Entry {
    Entry::secret(KEY, "never shown").checked(key::checked)
}

fn reason_entry() -> Entry {
    Entry::line(REASON, "", "for the audit log").checked(REASON_CHECK)
}

/// The key that was typed, and what may be said of it.
fn key_of(values: Values<'_>, context: &Context) -> Result<(Secret, Fact), Complaint> {
    let text = Secret::new(values.text(KEY));
    key::checked(text.expose()).map_err(|why| Complaint::about(KEY, why))?;
    let length = text.expose().len();
    let end = key::hint(text.expose()).replace('…', context.charset.ellipsis());
    let told = fact(KEY, format!("{end}, {length} characters, stored sealed"));
    Ok((text, told))
}

/// Where a provider of this kind is, as the form says.
fn url_of(values: Values<'_>, kind: ProviderKind) -> Result<BaseUrl, Complaint> {
    let text = values.filled(BASE_URL);
    let text = text.unwrap_or_else(|| kind.default_base_url().to_owned());
    text.parse()
        .map_err(|why: String| Complaint::about(BASE_URL, why))
}

/// What an address is worth a warning for.
fn url_facts(url: &BaseUrl, context: &Context) -> Vec<Fact> {
    let mut facts = vec![fact(BASE_URL, url.to_string())];
    if !url.is_tls() {
        let text = "not encrypted: the key travels in clear";
        facts.push(styled("", text, context.theme.warn));
    }
    facts
}

/// A new provider.
pub(super) fn new() -> Form {
    let entries = vec![
        Entry::line(NAME, "", "what models will name").checked(NAME_CHECK),
        Entry::one(KIND, &KINDS, 0),
        Entry::line(BASE_URL, "", "empty: the kind's own").checked(URL_CHECK),
        Entry::line(ORG, "", "empty: for all").checked(ORG_CHECK),
        Entry::line(PASS_FIELDS, "", "openai only; empty: none").checked(FIELDS_CHECK),
        key_entry(),
        reason_entry(),
    ];
    let preview = |values: Values<'_>, context: &Context| {
        let kind: Result<ProviderKind, _> = values.parse(KIND);
        let url = kind.and_then(|kind| url_of(values, kind));
        url.map(|url| url_facts(&url, context)).unwrap_or_default()
    };
    Form::new("New provider", entries, Box::new(review_new)).previewing(Box::new(preview))
}

fn review_new(values: Values<'_>, context: &Context) -> Result<Review, Complaint> {
    let provider = ProviderRef {
        org_id: values.parse_filled(ORG)?,
        name: values.parse(NAME)?,
    };
    let kind: ProviderKind = values.parse(KIND)?;
    let base_url = url_of(values, kind)?;
    let pass_fields: PassFields = values.parse(PASS_FIELDS)?;
    if kind != ProviderKind::OpenAi && !pass_fields.is_empty() {
        let why = "only providers of kind openai are sent fields as callers wrote them";
        return Err(Complaint::about(PASS_FIELDS, why));
    }
    let (secret, key) = key_of(values, context)?;
    let owner = provider.org_id.as_ref();
    let owner = owner.map_or_else(|| "all organizations".to_owned(), ToString::to_string);
    let mut facts = vec![
        fact(NAME, provider.name.to_string()),
        fact("For", owner),
        fact(KIND, kind.word()),
    ];
    facts.extend(url_facts(&base_url, context));
    if !pass_fields.is_empty() {
        facts.extend(pass_facts(&pass_fields, context));
    }
    facts.extend([key, fact("", "models that name it are added under Models")]);
    let sentence = format!("provider {} added; t tests its key", provider.name);
    let command = SealedCommand::AddProvider {
        provider,
        kind,
        base_url,
        pass_fields,
    };
    Ok(Review {
        facts,
        change: with_secret(secret, command, sentence).because(values.text(REASON)),
    })
}

fn with_secret(secret: Secret, command: SealedCommand, sentence: String) -> Change {
    Change::new(Operation::WithSecret { secret, command }, sentence)
}

/// One key more.
pub(super) fn add_key(row: &ProviderRow) -> Form {
    let (name, provider) = (row.name(), row.listed.provider.clone());
    let (enabled, seen) = (row.enabled_keys(), row.listed.updated_at);
    let submit = move |values: Values<'_>, context: &Context| {
        let (secret, key) = key_of(values, context)?;
        let beside = match enabled {
            0 => "it will be the only one in use".to_owned(),
            1 => "beside 1 that is in use: nodes share calls among them".to_owned(),
            more => format!("beside {more} that are in use: nodes share calls among them"),
        };
        let command = SealedCommand::AddCredential {
            provider: provider.clone(),
        };
        let sentence = format!("key added to provider {}", provider.name);
        let change = with_secret(secret, command, sentence).unless_changed_since(seen);
        Ok(Review {
            facts: vec![key, fact("", beside)],
            change: change.because(values.text(REASON)),
        })
    };
    let entries = vec![key_entry(), reason_entry()];
    Form::new(format!("New key of {name}"), entries, Box::new(submit))
}

/// A key in the place of all others.
pub(super) fn rotate(row: &ProviderRow, context: &Context) -> Form {
    let (name, provider) = (row.name(), row.listed.provider.clone());
    let seen = row.listed.updated_at;
    let replaced: Vec<String> = row
        .listed
        .keys
        .iter()
        .filter(|key| key.enabled)
        .map(|key| super::row::hint(key, context))
        .collect();
    let replaced = match replaced.as_slice() {
        [] => "none is in use".to_owned(),
        keys => format!("{} disabled at once: {}", keys.len(), keys.join(", ")),
    };
    let models = row.listed.models;
    let submit = move |values: Values<'_>, context: &Context| {
        let (secret, key) = key_of(values, context)?;
        let facts = vec![
            key,
            styled("Old keys", replaced.clone(), context.theme.warn),
            fact(
                "Models",
                format!("{models} are served with the new key alone"),
            ),
            fact(
                "In flight",
                "calls that have begun end with the key they have",
            ),
            fact(
                "Undo",
                "enable an old key in the list of keys; none is deleted",
            ),
        ];
        let command = SealedCommand::Rotate {
            provider: provider.clone(),
        };
        let sentence = format!("provider {} has a new key; t tests it", provider.name);
        let change = with_secret(secret, command, sentence).unless_changed_since(seen);
        Ok(Review {
            facts,
            change: change.because(values.text(REASON)),
        })
    };
    let entries = vec![key_entry(), reason_entry()];
    Form::new(format!("Rotate keys of {name}"), entries, Box::new(submit))
}

/// Another base URL, or other fields to pass: one of both at a time, as each can be undone alone.
pub(super) fn settings(row: &ProviderRow) -> Form {
    let listed = row.listed.clone();
    let mut entries = vec![
        Entry::line(
            BASE_URL,
            listed.base_url.to_string(),
            "empty: the kind's own",
        )
        .checked(URL_CHECK),
    ];
    if listed.kind == ProviderKind::OpenAi {
        let fields = listed.pass_fields.to_string();
        entries.push(Entry::line(PASS_FIELDS, fields, "empty: none").checked(FIELDS_CHECK));
    }
    entries.push(reason_entry());
    let title = format!("Settings of {}", row.name());
    let submit = move |values: Values<'_>, context: &Context| {
        let base_url = url_of(values, listed.kind)?;
        let pass_fields = match listed.kind {
            ProviderKind::OpenAi => values.parse(PASS_FIELDS)?,
            _ => PassFields::default(),
        };
        let review = match (
            base_url == listed.base_url,
            pass_fields == listed.pass_fields,
        ) {
            (true, true) => Err(Complaint::about(BASE_URL, "nothing has changed")),
            (false, false) => {
                let why = "change the base URL or the fields, one after the other";
                Err(Complaint::about(PASS_FIELDS, why))
            }
            (false, true) => Ok(review_base_url(&listed, &base_url, context)),
            (true, false) => Ok(review_pass_fields(&listed, &pass_fields, context)),
        }?;
        Ok(Review {
            change: review.change.because(values.text(REASON)),
            ..review
        })
    };
    Form::new(title, entries, Box::new(submit))
}

fn review_base_url(listed: &ListedProvider, after: &BaseUrl, context: &Context) -> Review {
    let name = &listed.provider.name;
    let mut facts = vec![fact("Before", listed.base_url.to_string())];
    facts.extend(url_facts(after, context));
    let text = "all its keys will be sent there";
    facts.push(styled("Keys", text, context.theme.warn));
    let command = |base_url: &BaseUrl| Command::SetProvider {
        provider: listed.provider.clone(),
        base_url: base_url.clone(),
    };
    let undo = Change::command(command(&listed.base_url), format!("{name} is where it was"));
    let change = Change::command(command(after), format!("{name} is elsewhere now"));
    Review {
        facts,
        change: change
            .unless_changed_since(listed.updated_at)
            .undone_by(undo),
    }
}

fn shown(fields: &PassFields) -> String {
    if fields.is_empty() {
        "none".to_owned()
    } else {
        fields.to_string()
    }
}

/// The fields that are passed, and what that means.
fn pass_facts(fields: &PassFields, context: &Context) -> [Fact; 2] {
    let text = "what they make dearer is not held and not charged";
    [
        fact(PASS_FIELDS, shown(fields)),
        styled("Cost", text, context.theme.warn),
    ]
}

fn review_pass_fields(listed: &ListedProvider, after: &PassFields, context: &Context) -> Review {
    let name = &listed.provider.name;
    let mut facts = vec![fact("Before", shown(&listed.pass_fields))];
    facts.extend(pass_facts(after, context));
    let command = |pass_fields: &PassFields| Command::SetPassFields {
        provider: listed.provider.clone(),
        pass_fields: pass_fields.clone(),
    };
    let undo = Change::command(
        command(&listed.pass_fields),
        format!("{name} is sent the fields of before"),
    );
    let change = Change::command(command(after), format!("{name} is sent other fields now"));
    Review {
        facts,
        change: change
            .unless_changed_since(listed.updated_at)
            .undone_by(undo),
    }
}
