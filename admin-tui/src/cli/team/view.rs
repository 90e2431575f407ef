//! A team as it is shown.

use serde::Serialize;
use tollgate_common::clock::Timestamp;
use tollgate_common::db::team::list::ListedTeam;
use tollgate_common::id::{GroupName, ModelAlias, OrgId, TeamId};
use tollgate_common::limit::Limits;
use tollgate_common::money::Credits;

use crate::cli::credits::BudgetsView;
use crate::cli::limit;
use crate::cli::output::{Column, Row, Show, joined, numbers, optional_time, or_dash, time, words};

/// A team with its credits.
#[derive(Debug, Serialize)]
pub(super) struct TeamView {
    id: TeamId,
    org: OrgId,
    name: String,
    status: &'static str,
    paused_until: Option<Timestamp>,
    budget_mode: &'static str,
    credits_per_dollar: f64,
    tokens_per_credit: i64,
    markup_percent: f64,
    charge_failed: &'static str,
    round: &'static str,
    job_cost_max: Option<f64>,
    default_model: Option<ModelAlias>,
    groups: Vec<GroupName>,
    balance: Credits,
    held: Credits,
    owed: Credits,
    overdraft: Credits,
    #[serde(flatten)]
    limits: Limits,
    on_disconnect: &'static str,
    cache_ttl_seconds: Option<i64>,
    #[serde(flatten)]
    budgets: BudgetsView,
    created_at: Timestamp,
    updated_at: Timestamp,
}

impl TeamView {
    /// The team as it stands at `now`.
    pub(super) fn new(listed: ListedTeam, now: Timestamp) -> Self {
        let ListedTeam { team, account, .. } = listed;
        let standing = team.standing.at(now);
        Self {
            id: team.id,
            org: team.org_id,
            name: team.name,
            status: standing.word(),
            paused_until: standing.paused_until(),
            budget_mode: team.terms.mode.word(),
            credits_per_dollar: team.terms.credits_per_dollar.as_f64(),
            tokens_per_credit: team.terms.tokens_per_credit,
            markup_percent: team.terms.markup.basis_points() as f64 / 100.0,
            charge_failed: team.terms.charge_failed.as_str(),
            round: team.terms.rounding.as_str(),
            job_cost_max: team.terms.job_cost_max.map(|cost| cost.dollars(6)),
            default_model: team.default_model,
            groups: team.groups,
            balance: account.balance,
            held: account.held,
            owed: account.owed,
            overdraft: account.overdraft,
            limits: team.limits,
            on_disconnect: team.disconnect.word(),
            cache_ttl_seconds: team.cache_ttl_seconds,
            budgets: BudgetsView::new(&account, now),
            created_at: team.created_at,
            updated_at: team.updated_at,
        }
    }
}

impl Row for TeamView {
    const COLUMNS: &'static [Column] = &[
        words("ID"),
        words("ORG"),
        words("NAME"),
        words("STATUS"),
        words("BUDGET MODE"),
        numbers("BALANCE"),
        numbers("HELD"),
        words("DEFAULT MODEL"),
        words("GROUPS"),
    ];

    fn cells(&self) -> Vec<String> {
        vec![
            self.id.to_string(),
            self.org.to_string(),
            self.name.clone(),
            self.status.to_owned(),
            self.budget_mode.to_owned(),
            self.balance.to_string(),
            self.held.to_string(),
            or_dash(self.default_model.as_ref()),
            joined(&self.groups),
        ]
    }
}

impl Show for TeamView {
    fn fields(&self) -> Vec<(&'static str, String)> {
        let mut fields = vec![
            ("id", self.id.to_string()),
            ("org", self.org.to_string()),
            ("name", self.name.clone()),
            ("status", self.status.to_owned()),
            ("paused until", optional_time(self.paused_until)),
            ("budget mode", self.budget_mode.to_owned()),
            ("credits per dollar", self.credits_per_dollar.to_string()),
            ("tokens per credit", self.tokens_per_credit.to_string()),
            ("markup", format!("{:.2}%", self.markup_percent)),
            ("charge failed jobs", self.charge_failed.to_owned()),
            ("round credits", self.round.to_owned()),
            (
                "job cost at most",
                or_dash(self.job_cost_max.map(|cost| format!("${cost}"))),
            ),
            ("default model", or_dash(self.default_model.as_ref())),
            ("groups", joined(&self.groups)),
            ("balance", self.balance.to_string()),
            ("held", self.held.to_string()),
            ("owed", self.owed.to_string()),
            ("overdraft", self.overdraft.to_string()),
        ];
        fields.extend(self.budgets.fields());
        fields.extend(limit::fields(&self.limits));
        fields.extend([
            ("on disconnect", self.on_disconnect.to_owned()),
            ("cache seconds", or_dash(self.cache_ttl_seconds)),
            ("created", time(self.created_at)),
            ("updated", time(self.updated_at)),
        ]);
        fields
    }
}
