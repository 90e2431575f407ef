//! The options with which a team is created and changed.

use std::str::FromStr;

use tollgate_common::command::TeamSettings;
use tollgate_common::id::{GroupName, InvalidId, ModelAlias};
use tollgate_common::job::BudgetMode;
use tollgate_common::money::{CreditRate, Credits, Markup};

use crate::cli::value;

/// What takes the default model away.
const NO_MODEL: &str = "none";

/// The options below by their fields, of which a change needs at least one.
pub(super) const OPTIONS: [&str; 10] = [
    "name",
    "budget_mode",
    "credits_per_dollar",
    "tokens_per_credit",
    "markup",
    "default_model",
    "groups",
    "overdraft",
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
    /// The model of calls that name none; "none" removes it
    #[arg(long, value_name = "ALIAS")]
    default_model: Option<DefaultModel>,
    /// A group whose models it may use; repeat it to name all of them
    #[arg(long = "group", value_name = "GROUP")]
    groups: Vec<GroupName>,
    /// How many credits below zero it may go
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = value::credits_allowed)]
    overdraft: Option<Credits>,
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
        if text == NO_MODEL {
            return Ok(Self(None));
        }
        text.parse().map(|alias| Self(Some(alias)))
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
            default_model: self.default_model.map(|model| model.0),
            groups: Some(self.groups)
                .filter(|groups| !groups.is_empty())
                .or(groups),
            overdraft: self.overdraft,
            budget_day: self.budget_day.map(|budget| budget.0),
            budget_month: self.budget_month.map(|budget| budget.0),
        }
    }
}
