//! Forms of models: a new one, and its settings other than price and fallbacks.

use std::time::Duration;

use tollgate_common::command::{Command, ModelSettings};
use tollgate_common::id::{GroupName, ModelAlias, ProviderName};
use tollgate_common::model::{Model, WEIGHTS};

use super::price;
use super::row::per_million;
use crate::cli::model::settings;
use crate::cli::value;
use crate::dashboard::change::{Change, Operation};
use crate::dashboard::context::Context;
use crate::dashboard::format;
use crate::dashboard::store::models::Desk;
use crate::dashboard::widgets::facts::{Fact, fact, styled};
use crate::dashboard::windows::form::{Check, Complaint, Entry, Form, Review, Values};

const ALIAS: &str = "Alias";
const PROVIDER: &str = "Provider";
const UPSTREAM: &str = "Upstream model";
const OUTPUT: &str = "Longest answer";
const WEIGHT: &str = "Weight";
const TIMEOUT: &str = "Time-out";
const GROUPS: &str = "Groups";
pub(super) const REASON: &str = "Reason";

/// The longest answer that may be allowed, in tokens.
const OUTPUT_MAX: i64 = 10_000_000;

const ALIAS_CHECK: Check = |text| {
    let parsed = text.parse::<ModelAlias>();
    parsed.map(|_| ()).map_err(|error| error.to_string())
};
const PROVIDER_CHECK: Check = |text| {
    let parsed = text.parse::<ProviderName>();
    parsed.map(|_| ()).map_err(|error| error.to_string())
};
const TEXT_CHECK: Check = |text| value::text(text).map(|_| ());
const REASON_CHECK: Check = |text| {
    if text.is_empty() {
        return Ok(());
    }
    value::text(text).map(|_| ())
};
const WEIGHT_CHECK: Check = |text| weight(text).map(|_| ());
const OUTPUT_CHECK: Check = |text| {
    if text.is_empty() {
        return Ok(());
    }
    output(text).map(|_| ())
};

const TIMEOUT_CHECK: Check = |text| timeout(text).map(|_| ());

/// A time-out as it is written; nothing leaves it to the proxy's setting.
fn timeout(text: &str) -> Result<Option<Duration>, String> {
    (!text.is_empty())
        .then(|| settings::timeout(text))
        .transpose()
}

fn weight(text: &str) -> Result<i64, String> {
    let parsed = text.parse().ok().filter(|weight| WEIGHTS.contains(weight));
    parsed.ok_or_else(|| format!("from {} to {}", WEIGHTS.start(), WEIGHTS.end()))
}

fn output(text: &str) -> Result<i64, String> {
    let text = text.replace(',', "");
    let parsed = text.parse().ok();
    let parsed = parsed.filter(|tokens| (1..=OUTPUT_MAX).contains(tokens));
    parsed.ok_or_else(|| format!("tokens, from 1 to {OUTPUT_MAX}"))
}

/// Where the reason goes.
pub(super) fn reason_entry() -> Entry {
    Entry::line(REASON, "", "for the audit log").checked(REASON_CHECK)
}

fn providers_fact(providers: &[ProviderName]) -> Fact {
    let named: Vec<String> = providers.iter().map(ToString::to_string).collect();
    let named = if named.is_empty() {
        "none yet: add one under Providers".to_owned()
    } else {
        named.join(", ")
    };
    fact("Providers", named)
}

/// The provider that was typed, which must be there.
fn provider_of(values: Values<'_>, known: &[ProviderName]) -> Result<ProviderName, Complaint> {
    let name: ProviderName = values.parse(PROVIDER)?;
    if known.contains(&name) {
        Ok(name)
    } else {
        Err(Complaint::about(
            PROVIDER,
            "there is no provider of this name",
        ))
    }
}

/// What a model of this upstream name would cost without a price of its own, at its maker.
fn shipped(upstream: &str, context: &Context) -> Fact {
    let maker = (tollgate_common::provider::ProviderKind::OpenAi, "");
    let day = context.now.day();
    let listed = tollgate_common::price::CATALOG.find(maker, upstream, day);
    match listed.map(|listed| listed.price()) {
        Some(price) => fact(
            "Price",
            format!(
                "{} in, {} out per million; shipped, {}",
                per_million(price.base().unit.input),
                per_million(price.base().unit.output),
                price.version()
            ),
        ),
        None => styled(
            "Price",
            "the shipped table has none: set one with $, or nobody is charged by cost",
            context.theme.warn,
        ),
    }
}

/// A new model.
pub(super) fn new(desk: &Desk) -> Form {
    let provider = match desk.providers.as_slice() {
        [only] => only.to_string(),
        _ => String::new(),
    };
    let groups = desk.groups.iter().map(|name| (name.to_string(), false));
    let mut entries = vec![
        Entry::line(ALIAS, "", "what teams call it").checked(ALIAS_CHECK),
        Entry::line(PROVIDER, provider, "one of those below").checked(PROVIDER_CHECK),
        Entry::line(UPSTREAM, "", "the provider's name").checked(TEXT_CHECK),
        Entry::line(OUTPUT, "", "tokens; or the table's").checked(OUTPUT_CHECK),
        Entry::line(TIMEOUT, "", "90s, 10m; or the proxy's").checked(TIMEOUT_CHECK),
    ];
    if !desk.groups.is_empty() {
        entries.push(Entry::many(GROUPS, groups.collect()));
    }
    entries.push(reason_entry());
    let (known, shown) = (desk.providers.clone(), desk.providers.clone());
    let preview = move |values: Values<'_>, context: &Context| {
        let upstream = values.filled(UPSTREAM);
        let mut facts = vec![providers_fact(&shown)];
        facts.extend(upstream.map(|upstream| shipped(&upstream, context)));
        facts
    };
    let submit = move |values: Values<'_>, context: &Context| review_new(values, context, &known);
    Form::new("New model", entries, Box::new(submit)).previewing(Box::new(preview))
}

fn review_new(
    values: Values<'_>,
    context: &Context,
    known: &[ProviderName],
) -> Result<Review, Complaint> {
    let alias: ModelAlias = values.parse(ALIAS)?;
    let (provider, upstream) = (provider_of(values, known)?, values.text(UPSTREAM));
    let tokens = values.filled(OUTPUT).map(|text| output(&text)).transpose();
    let tokens = tokens.map_err(|why| Complaint::about(OUTPUT, why))?;
    let own_timeout = timeout(&values.text(TIMEOUT));
    let own_timeout = own_timeout.map_err(|why| Complaint::about(TIMEOUT, why))?;
    let groups = values.chosen(GROUPS);
    let mut facts = vec![
        fact(ALIAS, alias.to_string()),
        fact("Behind it", format!("{upstream} at {provider}")),
        shipped(&upstream, context),
        fact(
            GROUPS,
            if groups.is_empty() {
                "none: no team may call it until a group holds it".to_owned()
            } else {
                groups.join(", ")
            },
        ),
    ];
    if let Some(tokens) = tokens {
        facts.push(fact(OUTPUT, format!("{tokens} tokens")));
    }
    if let Some(timeout) = own_timeout {
        facts.push(fact(TIMEOUT, format::span(timeout)));
    }
    let settings = ModelSettings {
        provider: Some(provider),
        upstream_model: Some(upstream),
        output_tokens_max: tokens,
        timeout: own_timeout.map(Some),
        ..ModelSettings::default()
    };
    let mut commands = vec![Command::AddModel {
        alias: alias.clone(),
        settings,
    }];
    for name in groups {
        let name: GroupName = name
            .parse()
            .map_err(|error: tollgate_common::id::InvalidId| {
                Complaint::about(GROUPS, error.to_string())
            })?;
        commands.push(Command::AddToGroup {
            name,
            alias: alias.clone(),
        });
    }
    let change = Change::new(
        Operation::Commands(commands),
        format!("model {alias} added"),
    );
    Ok(Review {
        facts,
        change: change.because(values.text(REASON)),
    })
}

/// A model's own time-out as the form takes it.
fn timeout_text(model: &Model) -> String {
    let seconds = model.timeout.map(|timeout| timeout.as_secs());
    seconds.map_or_else(String::new, |seconds| format!("{seconds}s"))
}

/// What stands behind a model, how long its answers get and may take, and its share of the load.
pub(super) fn edit(desk: &Desk) -> Option<Form> {
    let listed = desk.model.clone()?;
    let model = listed.model;
    let tokens = model.own_output_tokens_max;
    let tokens = tokens.map(|tokens| tokens.to_string()).unwrap_or_default();
    let entries = vec![
        Entry::line(PROVIDER, model.provider.to_string(), "").checked(PROVIDER_CHECK),
        Entry::line(UPSTREAM, model.upstream_model.clone(), "").checked(TEXT_CHECK),
        Entry::line(OUTPUT, tokens, "tokens; or the table's").checked(OUTPUT_CHECK),
        Entry::line(WEIGHT, model.weight.to_string(), "1 to 1000").checked(WEIGHT_CHECK),
        Entry::line(TIMEOUT, timeout_text(&model), "90s, 10m; or the proxy's")
            .checked(TIMEOUT_CHECK),
        reason_entry(),
    ];
    let (known, shown) = (desk.providers.clone(), desk.providers.clone());
    let title = format!("Edit model {}", model.alias);
    let seen = listed.updated_at;
    let submit = move |values: Values<'_>, context: &Context| {
        let (settings, inverse, facts) = changes(values, context, &model, &known)?;
        let set = |settings| Command::SetModel {
            alias: model.alias.clone(),
            settings,
        };
        let sentence = format!("model {} changed", model.alias);
        let change = Change::command(set(settings), sentence).unless_changed_since(seen);
        let change = match inverse {
            Some(inverse) => {
                let sentence = format!("model {} is as it was", model.alias);
                change.undone_by(Change::command(set(inverse), sentence))
            }
            None => change,
        };
        Ok(Review {
            facts,
            change: change.because(values.text(REASON)),
        })
    };
    let preview = move |_: Values<'_>, _: &Context| vec![providers_fact(&shown)];
    let form = Form::new(title, entries, Box::new(submit));
    Some(form.previewing(Box::new(preview)))
}

/// What changes, what takes it back if something does, and both in words.
type Changes = (ModelSettings, Option<ModelSettings>, Vec<Fact>);

fn changes(
    values: Values<'_>,
    context: &Context,
    model: &Model,
    known: &[ProviderName],
) -> Result<Changes, Complaint> {
    let arrow = context.charset.arrow();
    let (mut after, mut before) = (ModelSettings::default(), ModelSettings::default());
    let mut facts = Vec::new();
    if values.text(PROVIDER) != model.provider.to_string() {
        let new = provider_of(values, known)?;
        facts.push(fact(
            PROVIDER,
            format!("{}  {arrow}  {new}", model.provider),
        ));
        (after.provider, before.provider) = (Some(new), Some(model.provider.clone()));
    }
    let upstream = values.text(UPSTREAM);
    if upstream != model.upstream_model {
        facts.push(fact(
            UPSTREAM,
            format!("{}  {arrow}  {upstream}", model.upstream_model),
        ));
        if model.own_price.is_none() {
            facts.extend(price::moved(model, &upstream, context));
        }
        before.upstream_model = Some(model.upstream_model.clone());
        after.upstream_model = Some(upstream);
    }
    let tokens = values.filled(OUTPUT).map(|text| output(&text)).transpose();
    let tokens = tokens.map_err(|why| Complaint::about(OUTPUT, why))?;
    if tokens != model.own_output_tokens_max {
        let Some(tokens) = tokens else {
            let why = "a limit once set cannot be taken away, only changed";
            return Err(Complaint::about(OUTPUT, why));
        };
        let old = model.output_tokens_max();
        let old = old.map_or_else(|| "unknown".to_owned(), |old| old.to_string());
        facts.push(fact(OUTPUT, format!("{old}  {arrow}  {tokens} tokens")));
        (after.output_tokens_max, before.output_tokens_max) =
            (Some(tokens), model.own_output_tokens_max);
    }
    let new = weight(&values.text(WEIGHT)).map_err(|why| Complaint::about(WEIGHT, why))?;
    if new != model.weight {
        facts.push(fact(WEIGHT, format!("{}  {arrow}  {new}", model.weight)));
        (after.weight, before.weight) = (Some(new), Some(model.weight));
    }
    let new = timeout(&values.text(TIMEOUT)).map_err(|why| Complaint::about(TIMEOUT, why))?;
    if new != model.timeout {
        let shown = |timeout: Option<Duration>| {
            timeout.map_or_else(|| "the proxy's setting".to_owned(), format::span)
        };
        let text = format!("{}  {arrow}  {}", shown(model.timeout), shown(new));
        facts.push(fact(TIMEOUT, text));
        (after.timeout, before.timeout) = (Some(new), Some(model.timeout));
    }
    if facts.is_empty() {
        return Err(Complaint::about(UPSTREAM, "nothing has changed"));
    }
    // A first limit cannot be taken away again, so nothing would take such a change back.
    let is_first = after.output_tokens_max.is_some() && before.output_tokens_max.is_none();
    Ok((after, (!is_first).then_some(before), facts))
}
