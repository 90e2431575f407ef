//! The form of a model's price: what it costs, and what teams will pay by the markups they have.

use tollgate_common::command::{Command, ModelSettings};
use tollgate_common::model::Model;
use tollgate_common::money::{Markup, NanoUsd, PicoUsd};
use tollgate_common::price::{CATALOG, RateCard, UnitPrices};

use super::forms::{REASON, reason_entry};
use super::row::{per_million, percent};
use crate::cli::value;
use crate::dashboard::change::Change;
use crate::dashboard::context::Context;
use crate::dashboard::format;
use crate::dashboard::store::models::Desk;
use crate::dashboard::widgets::facts::{Fact, fact, styled};
use crate::dashboard::windows::form::{Check, Complaint, Entry, Form, Review, Values};

const SOURCE: &str = "Price";
const INPUT: &str = "Input";
const OUTPUT: &str = "Output";
const READ: &str = "Cache read";
const WRITE: &str = "Cache write";

const OWN: &str = "its own";
const SHIPPED: &str = "shipped table";

/// How many markups are told apart.
const MARKUPS_MAX: usize = 4;

const PRICE_CHECK: Check = |text| {
    if text.is_empty() {
        return Ok(());
    }
    value::price(text.trim_start_matches('$')).map(|_| ())
};

/// A price as it is typed: dollars without the sign.
fn typed(price: Option<PicoUsd>) -> String {
    let shown = price.map(per_million).unwrap_or_default();
    shown.replace(['$', ','], "")
}

fn price_of(values: Values<'_>, label: &'static str) -> Result<Option<PicoUsd>, Complaint> {
    let Some(text) = values.filled(label) else {
        return Ok(None);
    };
    let parsed = value::price(text.trim_start_matches('$'));
    parsed.map(Some).map_err(|why| Complaint::about(label, why))
}

/// The own price that the form says; `None` for the shipped table's. Members that the form does
/// not show stay as they are.
fn asked(values: Values<'_>, before: Option<&RateCard>) -> Result<Option<RateCard>, Complaint> {
    if values.text(SOURCE) == SHIPPED {
        return Ok(None);
    }
    let needed = |label| {
        price_of(values, label)?
            .ok_or_else(|| Complaint::about(label, "dollars per million tokens"))
    };
    let (input, output) = (needed(INPUT)?, needed(OUTPUT)?);
    let mut card = before
        .cloned()
        .unwrap_or_else(|| RateCard::flat(input, output));
    let base = &mut card.standard.base;
    base.input = Some(input);
    base.output = Some(output);
    base.cache_read = price_of(values, READ)?;
    base.cache_write = price_of(values, WRITE)?;
    Ok(Some(card))
}

/// What a model would cost with this own price or without.
fn unit_with(model: &Model, own: Option<&RateCard>) -> Option<UnitPrices> {
    let listed = model.resolved.listed_price.as_ref();
    own.map(RateCard::standard)
        .or_else(|| listed.map(|price| price.base().unit))
}

/// The form of a model's price.
pub(super) fn form(desk: &Desk) -> Option<Form> {
    let listed = desk.model.clone()?;
    let (model, seen) = (listed.model, listed.updated_at);
    let unit = model.price().map(|price| price.base().unit);
    let own = model.own_price.as_ref().map(|card| card.standard.base);
    let line = |label, price: Option<PicoUsd>, hint| {
        Entry::line(label, typed(price), hint).checked(PRICE_CHECK)
    };
    let read = match own {
        Some(own) => own.cache_read,
        None => unit.map(|unit| unit.cache_read),
    };
    let write = match own {
        Some(own) => own.cache_write,
        None => unit.map(|unit| unit.cache_write),
    };
    let entries = vec![
        Entry::one(SOURCE, &[OWN, SHIPPED], 0),
        line(INPUT, unit.map(|unit| unit.input), "$ per million"),
        line(OUTPUT, unit.map(|unit| unit.output), "$ per million"),
        line(READ, read, "empty: the input's"),
        line(WRITE, write, "empty: the input's"),
        reason_entry(),
    ];
    let title = format!("Price of model {}", model.alias);
    let (previewed, markups) = (model.clone(), desk.ties.markups.clone());
    let preview = move |values: Values<'_>, context: &Context| match asked(
        values,
        previewed.own_price.as_ref(),
    ) {
        Ok(own) => before_and_after(&previewed, own.as_ref(), &markups, context),
        Err(_) => Vec::new(),
    };
    let markups = desk.ties.markups.clone();
    let submit = move |values: Values<'_>, context: &Context| {
        let after = asked(values, model.own_price.as_ref())?;
        if after == model.own_price {
            let label = if after.is_some() { INPUT } else { SOURCE };
            return Err(Complaint::about(label, "nothing has changed"));
        }
        let mut facts = before_and_after(&model, after.as_ref(), &markups, context);
        facts.push(fact(
            "From",
            "calls that begin now; those in flight keep the old price",
        ));
        Ok(Review {
            facts,
            change: change(&model, after.as_ref())
                .unless_changed_since(seen)
                .because(values.text(REASON)),
        })
    };
    let form = Form::new(title, entries, Box::new(submit));
    Some(form.previewing(Box::new(preview)))
}

fn change(model: &Model, own: Option<&RateCard>) -> Change {
    let set = |price: Option<&RateCard>| Command::SetModel {
        alias: model.alias.clone(),
        settings: ModelSettings {
            price: Some(price.cloned()),
            ..ModelSettings::default()
        },
    };
    let sentence = match own {
        Some(_) => format!("price of model {} changed", model.alias),
        None => format!("model {} costs what the shipped table says", model.alias),
    };
    let undo = format!("price of model {} is as it was", model.alias);
    let undo = Change::command(set(model.own_price.as_ref()), undo);
    Change::command(set(own), sentence).undone_by(undo)
}

/// Both prices, and what a million tokens cost the teams by their markups.
fn before_and_after(
    model: &Model,
    own: Option<&RateCard>,
    markups: &[(Markup, i64)],
    context: &Context,
) -> Vec<Fact> {
    let before = model.price().map(|price| price.base().unit);
    let Some(after) = unit_with(model, own) else {
        let text = "none: teams that are charged by cost can no longer call it";
        return vec![styled("After", text, context.theme.bad)];
    };
    let mut facts: Vec<Fact> = buckets(before.as_ref(), &after)
        .into_iter()
        .map(|(label, old, new)| moved_price(label, old, new, context))
        .collect();
    if before.is_some_and(|before| after.input < before.input || after.output < before.output) {
        let text = "teams are charged less: make sure that the provider charges less";
        facts.push(styled("! Margin", text, context.theme.warn));
    }
    for (markup, teams) in markups.iter().take(MARKUPS_MAX) {
        facts.push(paid(*markup, *teams, before.as_ref(), &after, context));
    }
    if markups.is_empty() {
        facts.push(fact("Teams", "none may call it"));
    }
    let others: i64 = markups
        .iter()
        .skip(MARKUPS_MAX)
        .map(|(_, teams)| teams)
        .sum();
    if others > 0 {
        facts.push(fact("", format!("{others} teams have other markups")));
    }
    facts
}

type Bucket = (&'static str, Option<PicoUsd>, PicoUsd);

/// The prices of each bucket; of the caches only if they change or differ from the input's.
fn buckets(before: Option<&UnitPrices>, after: &UnitPrices) -> Vec<Bucket> {
    let old = |of: fn(&UnitPrices) -> PicoUsd| before.map(of);
    let mut buckets = vec![
        (INPUT, old(|unit| unit.input), after.input),
        (OUTPUT, old(|unit| unit.output), after.output),
    ];
    let caches = [
        (READ, old(|unit| unit.cache_read), after.cache_read),
        (WRITE, old(|unit| unit.cache_write), after.cache_write),
    ];
    let is_told = |(_, old, new): &Bucket| *old != Some(*new) || *new != after.input;
    buckets.extend(caches.into_iter().filter(is_told));
    buckets
}

fn moved_price(label: &str, old: Option<PicoUsd>, new: PicoUsd, context: &Context) -> Fact {
    let arrow = context.charset.arrow();
    let Some(old) = old else {
        return fact(label, format!("no price  {arrow}  {}", per_million(new)));
    };
    if old == new {
        return styled(
            label,
            format!("{} as before", per_million(new)),
            context.theme.dim,
        );
    }
    let share = share(old, new);
    let text = format!(
        "{}  {arrow}  {}  {share}",
        per_million(old),
        per_million(new)
    );
    fact(label, text)
}

/// By how much a price grows, in percent with a sign.
fn share(old: PicoUsd, new: PicoUsd) -> String {
    if old.0 == 0 {
        return String::new();
    }
    let sign = if new >= old { "+" } else { "-" };
    let by = new.0.saturating_sub(old.0).saturating_abs();
    format!("({sign}{})", format::percent(by, old.0))
}

/// What teams of one markup pay for a million tokens in and a million out.
fn paid(
    markup: Markup,
    teams: i64,
    before: Option<&UnitPrices>,
    after: &UnitPrices,
    context: &Context,
) -> Fact {
    let both = |unit: &UnitPrices| {
        let marked_up = |price: PicoUsd| PicoUsd(markup.apply(NanoUsd(price.0)).0);
        let (input, output) = (marked_up(unit.input), marked_up(unit.output));
        format!("{}/{}", per_million(input), per_million(output))
    };
    let teams = match teams {
        1 => "1 team".to_owned(),
        teams => format!("{} teams", format::number(teams)),
    };
    let arrow = context.charset.arrow();
    let before = before.map_or_else(|| "-".to_owned(), both);
    let text = format!("{before}  {arrow}  {}  in/out, {teams}", both(after));
    fact(format!("Markup {}", percent(markup)), text)
}

/// How the listed price changes with the upstream model, if it does.
pub(super) fn moved(model: &Model, new: &str, context: &Context) -> Vec<Fact> {
    let (at, day) = (&model.provider_at, context.now.day());
    let unit = |upstream| {
        let listed = CATALOG.find((at.kind, &at.host), upstream, day);
        listed.map(|listed| listed.card.standard())
    };
    let Some(after) = unit(new) else {
        let text = "the shipped table has none for it: set one with $";
        return vec![styled("Price", text, context.theme.bad)];
    };
    let before = unit(&model.upstream_model);
    buckets(before.as_ref(), &after)
        .into_iter()
        .map(|(label, old, new)| moved_price(label, old, new, context))
        .collect()
}
