//! Settings of a team as texts in fields: how each is shown, checked and read.

use std::fmt;
use std::str::FromStr;

use tollgate_common::command::TeamSettings;
use tollgate_common::db::team::list::ListedTeam;
use tollgate_common::id::{GroupName, ModelAlias};
use tollgate_common::job::{BudgetMode, ChargeFailed};
use tollgate_common::money::{CreditRate, Credits, Markup, NanoUsd, Rounding};
use tollgate_common::team::DisconnectPolicy;

use crate::cli::limit::Limit;
use crate::cli::team::settings::CacheTtl;
use crate::cli::value;
use crate::dashboard::store::teams::Names;
use crate::dashboard::windows::form::{Complaint, Entry};

pub(super) const NAME: &str = "Name";
pub(super) const MODE: &str = "Budget mode";
pub(super) const RATE: &str = "Credits per dollar";
pub(super) const TOKENS: &str = "Tokens per credit";
pub(super) const MARKUP: &str = "Markup";
pub(super) const FAILED: &str = "Charge failed jobs";
pub(super) const ROUND: &str = "Round credits";
pub(super) const JOB_COST: &str = "Job cost at most";
pub(super) const MODEL: &str = "Default model";
pub(super) const OVERDRAFT: &str = "Overdraft";
pub(super) const DAY: &str = "Budget per day";
pub(super) const MONTH: &str = "Budget per month";
pub(super) const CACHE: &str = "Cache answers";
pub(super) const LEAVE: &str = "Caller leaves";
pub(super) const RPM: &str = "Calls per minute";
pub(super) const TPM: &str = "Tokens per minute";
pub(super) const PARALLEL: &str = "Parallel calls";
pub(super) const GROUPS: &str = "Groups";

const MODES: [&str; 3] = ["job_based", "consumption_usd", "consumption_tokens"];
const LEAVES: [&str; 2] = ["drain", "cancel"];
const FAILED_RULES: [&str; 4] = ["default", "never", "used", "always"];
const ROUNDINGS: [&str; 2] = ["down", "up"];

/// The most tokens that one credit may stand for.
const TOKENS_MAX: i64 = 1_000_000_000_000;

/// Whether a text can be read as a type.
pub(in crate::dashboard::screens) fn parses<T>(text: &str) -> Result<(), String>
where
    T: FromStr,
    T::Err: fmt::Display,
{
    let parsed = text.parse::<T>();
    parsed.map(drop).map_err(|why| why.to_string())
}

/// The same; an empty text is fine.
pub(in crate::dashboard::screens) fn optional<T>(text: &str) -> Result<(), String>
where
    T: FromStr,
    T::Err: fmt::Display,
{
    if text.is_empty() {
        return Ok(());
    }
    parses::<T>(text)
}

/// A number as people write it, without what sets thousands apart.
pub(super) fn plain(text: &str) -> String {
    text.replace([',', '_'], "")
}

fn credits(text: &str) -> Result<Credits, String> {
    value::credits_allowed(&plain(text))
}

fn budget(text: &str) -> Result<Option<Credits>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    value::budget(&plain(text)).map(|budget| budget.0)
}

fn limit(text: &str) -> Result<Option<i64>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    plain(text).parse::<Limit>().map(|limit| limit.0)
}

fn cache(text: &str) -> Result<Option<i64>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    plain(text).parse::<CacheTtl>().map(|ttl| ttl.0)
}

fn job_cost(text: &str) -> Result<Option<NanoUsd>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    plain(text).parse::<value::JobCost>().map(|cost| cost.0)
}

fn tokens(text: &str) -> Result<i64, String> {
    let parsed = plain(text).parse().ok();
    parsed
        .filter(|tokens| (1..=TOKENS_MAX).contains(tokens))
        .ok_or_else(|| format!("write a number from 1 to {TOKENS_MAX}"))
}

fn unless_empty(text: &str, check: impl Fn(&str) -> Result<(), String>) -> Result<(), String> {
    if text.is_empty() {
        return Ok(());
    }
    check(text)
}

/// The field of a setting that holds a text already; in a field of a new team an empty text is the
/// default.
pub(super) fn entry(label: &'static str, text: String, names: &Names) -> Entry {
    let line = |hint| Entry::line(label, text.clone(), hint);
    match label {
        NAME => line("for people").checked(|t| unless_empty(t, |t| value::text(t).map(drop))),
        MODE => Entry::one(label, &MODES, place(&MODES, &text)),
        LEAVE => Entry::one(label, &LEAVES, place(&LEAVES, &text)).hinted("its calls then"),
        FAILED => Entry::one(label, &FAILED_RULES, place(&FAILED_RULES, &text))
            .hinted("default: by the mode"),
        ROUND => Entry::one(label, &ROUNDINGS, place(&ROUNDINGS, &text)).hinted("parts of one"),
        JOB_COST => line("$, for job_based; empty: none").checked(|t| job_cost(t).map(drop)),
        RATE => line("for consumption_usd").checked(optional::<CreditRate>),
        TOKENS => {
            line("for consumption_tokens").checked(|t| unless_empty(t, |t| tokens(t).map(drop)))
        }
        MARKUP => line("percent").checked(optional::<Markup>),
        MODEL => line("an alias; empty: none").checked(optional::<ModelAlias>),
        OVERDRAFT => {
            line("credits below zero").checked(|t| unless_empty(t, |t| credits(t).map(drop)))
        }
        DAY | MONTH => line("credits; empty: none").checked(|t| budget(t).map(drop)),
        CACHE => line("seconds; empty: never").checked(|t| cache(t).map(drop)),
        GROUPS => Entry::many(label, group_options(&text, names)),
        _ => line("empty: no limit").checked(|t| limit(t).map(drop)),
    }
}

fn place(words: &[&str], text: &str) -> usize {
    words.iter().position(|word| *word == text).unwrap_or(0)
}

/// All groups, and those that the team has already.
fn group_options(text: &str, names: &Names) -> Vec<(String, bool)> {
    let granted: Vec<&str> = text.split(',').filter(|name| !name.is_empty()).collect();
    let mut all: Vec<&str> = names.groups.iter().map(String::as_str).collect();
    all.extend(&granted);
    all.sort_unstable();
    all.dedup();
    let options = all.into_iter();
    options
        .map(|name| (name.to_owned(), granted.contains(&name)))
        .collect()
}

/// The text of a setting as it is.
pub(super) fn text_of(label: &str, listed: &ListedTeam) -> String {
    let (team, account) = (&listed.team, &listed.account);
    let number = |value: Option<i64>| value.map(|value| value.to_string()).unwrap_or_default();
    match label {
        NAME => team.name.clone(),
        MODE => team.terms.mode.word().to_owned(),
        RATE => team.terms.credits_per_dollar.as_f64().to_string(),
        TOKENS => team.terms.tokens_per_credit.to_string(),
        MARKUP => team.terms.markup.to_string().replace('%', ""),
        FAILED => {
            let rule = team.charge_failed;
            rule.map_or("default", ChargeFailed::as_str).to_owned()
        }
        ROUND => team.terms.rounding.as_str().to_owned(),
        JOB_COST => {
            let cost = team.terms.job_cost_max;
            cost.map(|cost| cost.dollars(6).to_string())
                .unwrap_or_default()
        }
        MODEL => {
            let model = team.default_model.as_ref();
            model.map(ToString::to_string).unwrap_or_default()
        }
        OVERDRAFT => account.overdraft.to_string(),
        DAY => number(account.budget_day.limit.map(|credits| credits.0)),
        MONTH => number(account.budget_month.limit.map(|credits| credits.0)),
        CACHE => number(team.cache_ttl_seconds),
        LEAVE => team.disconnect.word().to_owned(),
        RPM => number(team.limits.requests_per_minute),
        TPM => number(team.limits.tokens_per_minute),
        PARALLEL => number(team.limits.parallel_calls),
        GROUPS => {
            let groups: Vec<&str> = team.groups.iter().map(GroupName::as_str).collect();
            groups.join(",")
        }
        _ => String::new(),
    }
}

/// Reads the text of a field into the settings.
pub(super) fn read(
    settings: &mut TeamSettings,
    label: &'static str,
    text: &str,
) -> Result<(), Complaint> {
    let wrong = |why: String| Complaint::about(label, why);
    match label {
        NAME => settings.name = Some(value::text(text).map_err(wrong)?),
        MODE => settings.budget_mode = Some(parsed::<BudgetMode>(label, text)?),
        RATE => settings.credits_per_dollar = Some(parsed::<CreditRate>(label, text)?),
        TOKENS => settings.tokens_per_credit = Some(tokens(text).map_err(wrong)?),
        MARKUP => settings.markup = Some(parsed::<Markup>(label, text)?),
        FAILED => {
            settings.charge_failed = Some(parsed::<value::FailedCharge>(label, text)?.0);
        }
        ROUND => settings.rounding = Some(parsed::<Rounding>(label, text)?),
        JOB_COST => settings.job_cost_max = Some(job_cost(text).map_err(wrong)?),
        MODEL if text.is_empty() => settings.default_model = Some(None),
        MODEL => settings.default_model = Some(Some(parsed::<ModelAlias>(label, text)?)),
        OVERDRAFT => settings.overdraft = Some(credits(text).map_err(wrong)?),
        DAY => settings.budget_day = Some(budget(text).map_err(wrong)?),
        MONTH => settings.budget_month = Some(budget(text).map_err(wrong)?),
        CACHE => settings.cache_ttl_seconds = Some(cache(text).map_err(wrong)?),
        LEAVE => settings.disconnect = Some(parsed::<DisconnectPolicy>(label, text)?),
        RPM => settings.limits.requests_per_minute = Some(limit(text).map_err(wrong)?),
        TPM => settings.limits.tokens_per_minute = Some(limit(text).map_err(wrong)?),
        PARALLEL => settings.limits.parallel_calls = Some(limit(text).map_err(wrong)?),
        GROUPS => {
            let names = text.split(',').filter(|name| !name.is_empty());
            let groups: Result<Vec<GroupName>, Complaint> =
                names.map(|name| parsed::<GroupName>(label, name)).collect();
            settings.groups = Some(groups?);
        }
        _ => {}
    }
    Ok(())
}

fn parsed<T>(label: &'static str, text: &str) -> Result<T, Complaint>
where
    T: FromStr,
    T::Err: fmt::Display,
{
    let parsed = text.parse();
    parsed.map_err(|why: T::Err| Complaint::about(label, why.to_string()))
}

/// A default model that does not exist would refuse every call that names none.
pub(super) fn require_model(text: &str, names: &Names) -> Result<(), Complaint> {
    if text.is_empty() || names.models.iter().any(|model| model == text) {
        return Ok(());
    }
    Err(Complaint::about(MODEL, format!("there is no model {text}")))
}
