//! Teams as rows, by id.

use tollgate_common::db::page::Place;
use tollgate_common::db::team::list::{self, ListedTeam, TEAMS, TeamOrder};
use tollgate_common::filter::{Filter, Vocabulary};
use tollgate_common::id::GroupName;
use tollgate_common::money::Credits;

use crate::dashboard::export::{Exported, Field, Reader, marked, request, start};
use crate::dashboard::problem::Problem;

impl Exported for ListedTeam {
    type Mark = Place;

    const VOCABULARY: &'static Vocabulary = &TEAMS;

    const HEADINGS: &'static [&'static str] = &[
        "id",
        "org",
        "name",
        "status",
        "created_at",
        "budget_mode",
        "default_model",
        "groups",
        "balance",
        "held",
        "available",
        "used",
        "allocated",
        "overdraft",
        "budget_day",
        "budget_month",
        "charge_failed",
        "round",
        "job_cost_max",
        "owed",
        "requests_per_minute",
        "tokens_per_minute",
        "parallel_calls",
        "live_keys",
    ];

    fn csv_row(&self) -> Vec<Field> {
        let (team, account) = (&self.team, &self.account);
        let budget = |limit: Option<Credits>| Field::number(limit.map(|credits| credits.0));
        let groups: Vec<&str> = team.groups.iter().map(GroupName::as_str).collect();
        vec![
            Field::text(&team.id),
            Field::text(&team.org_id),
            Field::text(&team.name),
            Field::text(team.standing.word()),
            Field::text(team.created_at),
            Field::text(team.terms.mode.word()),
            Field::optional(team.default_model.as_ref()),
            Field::text(groups.join(" ")),
            Field::Number(account.balance.0),
            Field::Number(account.held.0),
            Field::Number(account.available().0),
            Field::Number(account.used.0),
            Field::Number(account.allocated.0),
            Field::Number(account.overdraft.0),
            budget(account.budget_day.limit),
            budget(account.budget_month.limit),
            Field::text(team.terms.charge_failed.as_str()),
            Field::text(team.terms.rounding.as_str()),
            Field::optional(team.terms.job_cost_max.map(|cost| cost.dollars(6)).as_ref()),
            Field::Number(account.owed.0),
            Field::number(team.limits.requests_per_minute),
            Field::number(team.limits.tokens_per_minute),
            Field::number(team.limits.parallel_calls),
            Field::Number(self.live_keys),
        ]
    }

    async fn next(
        reader: &mut Reader<'_>,
        filter: &Filter,
        after: Option<Place>,
        limit: i64,
    ) -> Result<(Vec<Self>, Option<Place>), Problem> {
        let (start, order) = (start(after), (TeamOrder::Id, false));
        let request = request(filter, &start, limit);
        let part = list::page(reader.pool, order, &request, reader.now).await?;
        Ok(marked(part))
    }
}
