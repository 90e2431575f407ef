//! A team as a line of the list.

use serde_json::json;
use tollgate_common::db::page::Place;
use tollgate_common::db::team::list::ListedTeam;
use tollgate_common::id::GroupName;
use tollgate_common::money::Credits;
use tollgate_common::standing::Standing;

use crate::dashboard::context::Context;
use crate::dashboard::format;
use crate::dashboard::store::teams::TeamRow;
use crate::dashboard::widgets::columns::{Column, ONLY_WIDE, numbers, words};
use crate::dashboard::widgets::list::{Cell, Row, cell};

impl Row for TeamRow {
    type Cursor = Place;

    const COLUMNS: &'static [Column] = &[
        words("TEAM", 16, 28, 0),
        words("STATUS", 11, 11, 1),
        words("ORG", 8, 16, 4),
        numbers("BALANCE", 9, 2),
        numbers("HELD", 9, 6),
        numbers("AVAILABLE", 9, 3),
        numbers("TODAY", 9, 5),
        numbers("USED", 9, 7),
        numbers("KEYS", 4, 7),
        words("MODE", 18, 18, 8),
        words("NAME", 10, 24, ONLY_WIDE),
        words("DEFAULT MODEL", 10, 20, ONLY_WIDE),
        words("GROUPS", 8, 20, ONLY_WIDE),
    ];

    fn cursor(&self) -> Place {
        self.place.clone()
    }

    fn id(&self) -> String {
        self.listed.team.id.to_string()
    }

    fn cells(&self, context: &Context) -> Vec<Cell> {
        let (team, account) = (&self.listed.team, &self.listed.account);
        let available = account.available();
        let groups: Vec<&str> = team.groups.iter().map(GroupName::as_str).collect();
        let model = team.default_model.as_ref();
        vec![
            team.id.as_str().into(),
            status_cell(&self.listed, context),
            team.org_id.as_str().into(),
            in_style(account.balance, context),
            amount(account.held).into(),
            in_style(available, context),
            amount(self.listed.charged_today(context.now)).into(),
            amount(account.used).into(),
            format::number(self.listed.live_keys).into(),
            team.terms.mode.word().into(),
            team.name.as_str().into(),
            model.map_or("-", |alias| alias.as_str()).into(),
            groups.join(",").into(),
        ]
    }

    fn json(&self) -> serde_json::Value {
        let (team, account) = (&self.listed.team, &self.listed.account);
        json!({
            "id": team.id,
            "org": team.org_id,
            "name": team.name,
            "status": team.standing.word(),
            "paused_until": team.standing.paused_until(),
            "budget_mode": team.terms.mode.word(),
            "default_model": team.default_model,
            "groups": team.groups,
            "balance": account.balance,
            "held": account.held,
            "overdraft": account.overdraft,
            "used": account.used,
            "owed": account.owed,
            "charge_failed": team.terms.charge_failed.as_str(),
            "round": team.terms.rounding.as_str(),
            "job_cost_max": team.terms.job_cost_max.map(|cost| cost.dollars(6)),
            "budget_day": account.budget_day.limit,
            "budget_month": account.budget_month.limit,
            "limits": team.limits,
            "live_keys": self.listed.live_keys,
            "created_at": team.created_at,
            "updated_at": team.updated_at,
        })
    }
}

/// Credits within nine columns: large amounts in millions and more, never cut off.
pub(in crate::dashboard::screens) fn amount(credits: Credits) -> String {
    let text = format::credits(credits);
    if text.len() <= 9 {
        return text;
    }
    let (unit, letter) = match credits.0.unsigned_abs() {
        ..10_000_000_000 => (1_000_000, 'M'),
        10_000_000_000..10_000_000_000_000 => (1_000_000_000, 'G'),
        _ => (1_000_000_000_000, 'T'),
    };
    let sign = if credits.0 < 0 { "-" } else { "" };
    let tenths = credits.0.unsigned_abs() / (unit / 10);
    let whole = format::number((tenths / 10).cast_signed());
    format!("{sign}{whole}.{}{letter}", tenths % 10)
}

fn in_style(credits: Credits, context: &Context) -> Cell {
    let style = if credits.is_positive() {
        context.theme.text
    } else {
        context.theme.bad
    };
    cell(amount(credits), style)
}

/// Its own standing, or that of its organization if only that stops it.
fn status_cell(listed: &ListedTeam, context: &Context) -> Cell {
    let own = listed.team.standing.at(context.now);
    match (own, listed.standing(context.now)) {
        (Standing::Active, Standing::Active) => standing_cell(own, context),
        (Standing::Active, by_org) => {
            let standing = standing_cell(by_org, context);
            cell("org stopped", standing.style)
        }
        (own, _) => standing_cell(own, context),
    }
}

/// A standing in a word, and how much of a pause is left.
pub(in crate::dashboard::screens) fn standing_cell(standing: Standing, context: &Context) -> Cell {
    let theme = &context.theme;
    match standing {
        Standing::Active => cell("active", theme.good),
        Standing::Paused { until: None } => cell("paused", theme.warn),
        Standing::Paused { until: Some(until) } => {
            let left = format::span(until.since(context.now));
            cell(format!("paused {left}"), theme.warn)
        }
        Standing::Suspended => cell("suspended", theme.bad),
    }
}
