//! The options with which a team is created and changed.

use std::str::FromStr;

use tollgate_common::command::{CACHE_TTL_SECONDS_MAX, TeamSettings};
use tollgate_common::id::{GroupName, InvalidId, ModelAlias};
use tollgate_common::job::BudgetMode;
use tollgate_common::money::{CreditRate, Credits, Markup, Rounding};
use tollgate_common::team::DisconnectPolicy;

use crate::cli::limit::LimitOptions;
use crate::cli::value;

/// What takes a setting away.
const NONE: &str = "none";

/// The options below by their fields, without limits; a change needs at least one of either.
pub(super) const OPTIONS: [&str; 15] = [
    "name",
    "budget_mode",
    "credits_per_dollar",
    "tokens_per_credit",
    "markup",
    "charge_failed",
    "round",
    "job_cost_max",
    "default_model",
    "groups",
    "overdraft",
    "on_disconnect",
    "cache_ttl",
    "budget_day",
    "budget_month",
];

/// Settings of a team; what is not given stays, or is the default of a new team.
#[derive(Debug, clap::Args)]
pub(crate) struct Settings {
    /// Its name for people
    #[arg(long, value_parser = value::text)]
    name: Option<String>,
    #[arg(
        long,
        value_name = "MODE",
        help = "How its completed jobs become credits: job_based, consumption_usd or \
                consumption_tokens"
    )]
    budget_mode: Option<BudgetMode>,
    #[arg(
        long,
        value_name = "X",
        allow_negative_numbers = true,
        help = "Credits per dollar, for consumption_usd"
    )]
    credits_per_dollar: Option<CreditRate>,
    #[arg(
        long,
        value_name = "N", allow_negative_numbers = true,
        help = "Tokens per credit, for consumption_tokens",
        value_parser = clap::value_parser!(i64).range(1..=1_000_000_000_000)
    )]
    tokens_per_credit: Option<i64>,
    /// The reseller's markup on the provider's cost
    #[arg(long, value_name = "PERCENT", allow_negative_numbers = true)]
    markup: Option<Markup>,
    #[arg(
        long,
        value_name = "RULE",
        help = "What a job is charged that fails, expires or is cancelled: never nothing, used as if \
                it had completed if a call used something, always the minimum at least; default: \
                never for job_based, used otherwise"
    )]
    charge_failed: Option<value::FailedCharge>,
    /// Which way a job's credits are made whole: down or up
    #[arg(long, value_name = "WAY")]
    round: Option<Rounding>,
    #[arg(
        long,
        value_name = "USD",
        allow_negative_numbers = true,
        help = "What a job of a job_based team may cost you at its providers; \"none\" removes the \
                limit"
    )]
    job_cost_max: Option<value::JobCost>,
    /// The model of calls that name none; "none" removes it
    #[arg(long, value_name = "ALIAS")]
    default_model: Option<DefaultModel>,
    /// A group whose models it may use; repeat it to name all of them
    #[arg(long = "group", value_name = "GROUP")]
    groups: Vec<GroupName>,
    /// How many credits below zero it may go
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = value::credits_allowed)]
    overdraft: Option<Credits>,
    #[command(flatten)]
    limits: LimitOptions,
    #[arg(
        long,
        value_name = "POLICY",
        help = "What becomes of calls whose caller leaves: drain finishes them, cancel cuts them off"
    )]
    on_disconnect: Option<DisconnectPolicy>,
    /// How long answers are cached, at most 30 days; "none" ends caching
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true)]
    cache_ttl: Option<CacheTtl>,
    /// How many credits it may be charged in a calendar day in UTC; "none" removes the limit
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = value::budget)]
    budget_day: Option<value::Budget>,
    /// How many credits it may be charged in a calendar month in UTC; "none" removes the limit
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = value::budget)]
    budget_month: Option<value::Budget>,
}

#[derive(Debug, Clone)]
struct DefaultModel(Option<ModelAlias>);

impl FromStr for DefaultModel {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        if text == NONE {
            return Ok(Self(None));
        }
        text.parse().map(|alias| Self(Some(alias)))
    }
}

/// For how many seconds answers are cached, if at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CacheTtl(pub(crate) Option<i64>);

impl FromStr for CacheTtl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == NONE {
            return Ok(Self(None));
        }
        match text.parse() {
            Ok(seconds @ 1..=CACHE_TTL_SECONDS_MAX) => Ok(Self(Some(seconds))),
            _ => Err(format!(
                "write seconds from 1 to {CACHE_TTL_SECONDS_MAX}, or {NONE} for no cache"
            )),
        }
    }
}

impl Settings {
    /// The model that calls are to use if they name none.
    pub(super) fn default_model(&self) -> Option<&ModelAlias> {
        self.default_model
            .as_ref()
            .and_then(|model| model.0.as_ref())
    }

    /// The settings as data; `groups` stands in if no option names any.
    pub(super) fn into_team_settings(mut self, groups: Option<Vec<GroupName>>) -> TeamSettings {
        self.groups.sort_unstable();
        self.groups.dedup();
        TeamSettings {
            name: self.name,
            budget_mode: self.budget_mode,
            credits_per_dollar: self.credits_per_dollar,
            tokens_per_credit: self.tokens_per_credit,
            markup: self.markup,
            charge_failed: self.charge_failed.map(|rule| rule.0),
            rounding: self.round,
            job_cost_max: self.job_cost_max.map(|cost| cost.0),
            default_model: self.default_model.map(|model| model.0),
            groups: Some(self.groups)
                .filter(|groups| !groups.is_empty())
                .or(groups),
            overdraft: self.overdraft,
            limits: self.limits.settings(),
            disconnect: self.on_disconnect,
            cache_ttl_seconds: self.cache_ttl.map(|ttl| ttl.0),
            budget_day: self.budget_day.map(|budget| budget.0),
            budget_month: self.budget_month.map(|budget| budget.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_cached_for_a_month_at_most() {
        assert_eq!("none".parse(), Ok(CacheTtl(None)));
        assert_eq!("2592000".parse(), Ok(CacheTtl(Some(2_592_000))));
        for bad in ["0", "-1", "2592001", "1h", ""] {
            assert!(bad.parse::<CacheTtl>().is_err(), "{bad}");
        }
    }
}
