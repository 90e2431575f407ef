//! Everything about a team, as sections of facts: beside the list, or on a page of its own.

use tollgate_common::clock::Timestamp;
use tollgate_common::db::team::list::{ListedTeam, TeamKey, Today};
use tollgate_common::id::GroupName;
use tollgate_common::ledger::{Budget, Window};
use tollgate_common::live::LiveCall;
use tollgate_common::money::{Credits, NanoUsd};

use super::row::standing_cell;
use crate::dashboard::context::Context;
use crate::dashboard::format;
use crate::dashboard::screens::sections::{Section, records, section};
use crate::dashboard::store::teams::Detail;
use crate::dashboard::widgets::facts::{Fact, fact, styled};

/// What is known of a team; what only its detail says stands there once that has arrived.
pub(super) fn sections(
    listed: &ListedTeam,
    detail: Option<&Detail>,
    context: &Context,
) -> Vec<Section> {
    let mut sections = vec![
        section("Standing", standing(listed, context)),
        section("Credits", credits(listed, detail, context)),
    ];
    if let Some(detail) = detail {
        sections.push(section("Jobs of today", today(&detail.today)));
        let title = format!("Calls in flight: {}", detail.calls.len());
        sections.push(section(title, calls(&detail.calls, context)));
    }
    sections.push(section("Terms", terms(listed)));
    sections.push(section("Limits", limits(listed)));
    let title = format!("Keys: {} live", listed.live_keys);
    sections.push(match detail {
        Some(detail) => section(title, keys(&detail.keys, context)),
        None => section(title, Vec::new()),
    });
    if let Some(detail) = detail {
        let facts = records(&detail.records, context.now);
        sections.push(section("Latest changes", facts));
    }
    sections
}

fn standing(listed: &ListedTeam, context: &Context) -> Vec<Fact> {
    let team = &listed.team;
    let own = standing_cell(team.standing.at(context.now), context);
    let mut facts = vec![styled("status", own.text, own.style)];
    if let Some(until) = team.standing.at(context.now).paused_until() {
        facts.push(fact("until", format::moment(until)));
    }
    let org = standing_cell(listed.org_standing.at(context.now), context);
    let value = format!("{} ({})", team.org_id, org.text);
    facts.push(styled("organization", value, org.style));
    facts.push(fact("created", format::moment(team.created_at)));
    facts.push(fact("changed", format::moment(team.updated_at)));
    facts
}

fn credits(listed: &ListedTeam, detail: Option<&Detail>, context: &Context) -> Vec<Fact> {
    let account = &listed.account;
    let held = match detail {
        Some(detail) => format!(
            "{} by {} open jobs",
            format::credits(account.held),
            format::number(detail.open_jobs.0)
        ),
        None => format::credits(account.held),
    };
    let (available, spendable) = (account.available(), account.spendable(context.now));
    let style = if spendable.is_positive() {
        context.theme.text
    } else {
        context.theme.bad
    };
    let left = if spendable < available {
        let spendable = format::credits(spendable);
        format!("{}, {spendable} within budgets", format::credits(available))
    } else {
        format::credits(available)
    };
    let budget = |window, budget: &Budget| {
        let charged = account.charged_in(window, context.now);
        let Some(limit) = budget.limit else {
            return format!("{} (no budget)", format::credits(charged));
        };
        let share = format::percent(charged.0, limit.0);
        format!(
            "{} of {} ({share})",
            format::credits(charged),
            format::credits(limit)
        )
    };
    vec![
        fact("balance", format::credits(account.balance)),
        fact("held", held),
        styled("available", left, style),
        if account.owed.is_positive() {
            let owed = format!("! {}", format::credits(account.owed));
            styled("owed", owed, context.theme.bad)
        } else {
            fact("owed", format::credits(account.owed))
        },
        fact("overdraft", format::credits(account.overdraft)),
        fact("used", format::credits(account.used)),
        fact("put in", format::credits(account.allocated)),
        fact("today", budget(Window::Day, &account.budget_day)),
        fact("this month", budget(Window::Month, &account.budget_month)),
        fact("lasts", lasts(account.balance, listed, context.now)),
    ]
}

/// How long credits last if they are spent like today so far.
fn lasts(credits: Credits, listed: &ListedTeam, now: Timestamp) -> String {
    let today = listed.charged_today(now);
    if !today.is_positive() || !credits.is_positive() {
        return "-".to_owned();
    }
    let midnight = Timestamp::of_day(now.day());
    let elapsed = now.since(midnight).as_secs_f64().max(1.0);
    let days = credits.0 as f64 / (today.0 as f64 * 86_400.0 / elapsed);
    if days > 999.0 {
        "over 999 days at today's pace".to_owned()
    } else if days > 9.0 {
        format!("about {days:.0} days at today's pace")
    } else {
        format!("about {days:.1} days at today's pace")
    }
}

fn terms(listed: &ListedTeam) -> Vec<Fact> {
    let (team, terms) = (&listed.team, &listed.team.terms);
    let groups: Vec<&str> = team.groups.iter().map(GroupName::as_str).collect();
    let groups = if groups.is_empty() {
        "none: every call is refused".to_owned()
    } else {
        groups.join(", ")
    };
    let model = team.default_model.as_ref();
    let cache = match team.cache_ttl_seconds {
        Some(seconds) => format!("for {seconds} seconds"),
        None => "never".to_owned(),
    };
    vec![
        fact("groups", groups),
        fact(
            "default model",
            model.map_or("none", |alias| alias.as_str()),
        ),
        fact("budget mode", terms.mode.word()),
        fact(
            "credits per $",
            terms.credits_per_dollar.as_f64().to_string(),
        ),
        fact("tokens per credit", format::number(terms.tokens_per_credit)),
        fact("failed jobs", {
            let rule = terms.charge_failed.as_str();
            let origin = team.charge_failed.map_or(", the default", |_| "");
            format!("charged {rule}{origin}")
        }),
        fact("rounding", terms.rounding.as_str()),
        fact(
            "job cost max",
            terms.job_cost_max.map_or_else(
                || "none".to_owned(),
                |cost| format!("${} for job_based", cost.dollars(6)),
            ),
        ),
        fact("markup", terms.markup.to_string()),
        fact("caller leaves", team.disconnect.word()),
        fact("answers cached", cache),
    ]
}

fn limits(listed: &ListedTeam) -> Vec<Fact> {
    let limits = &listed.team.limits;
    let shown = |limit: Option<i64>| limit.map_or_else(|| "no limit".to_owned(), format::number);
    vec![
        fact("calls per minute", shown(limits.requests_per_minute)),
        fact("tokens per minute", shown(limits.tokens_per_minute)),
        fact("parallel calls", shown(limits.parallel_calls)),
    ]
}

fn today(today: &Today) -> Vec<Fact> {
    let jobs = format!(
        "{} ok, {} failed, {} cancelled",
        format::number(today.completed),
        format::number(today.failed),
        format::number(today.cancelled)
    );
    let calls = format!(
        "{}, {} failed",
        format::number(today.calls),
        format::number(today.failed_calls)
    );
    let margin = today.client_cost - today.provider_cost;
    let cost = format!(
        "{} of {} (margin {})",
        format::dollars(NanoUsd(today.provider_cost)),
        format::dollars(NanoUsd(today.client_cost)),
        format::percent(margin, today.client_cost)
    );
    vec![
        fact("ended", jobs),
        fact("calls", calls),
        fact("tokens", format::number(today.tokens)),
        fact("cost", cost),
    ]
}

fn calls(calls: &[LiveCall], context: &Context) -> Vec<Fact> {
    let told = calls.iter().map(|call| {
        let began = Timestamp::from_micros(call.began_at);
        let provider = call.provider.as_deref().unwrap_or("waiting");
        let value = format!(
            "{} {} {provider}",
            format::age(began, context.now),
            call.alias
        );
        fact(format::short_id(&call.id), value)
    });
    told.collect()
}

fn keys(keys: &[TeamKey], context: &Context) -> Vec<Fact> {
    let shown = keys.iter().map(|key| {
        let status = key.status(context.now);
        let used = match key.used_at {
            Some(at) => format!("used {} ago", format::age(at, context.now)),
            None => "never used".to_owned(),
        };
        let label = key.label.as_deref().unwrap_or("-");
        let style = if status == "live" {
            context.theme.text
        } else {
            context.theme.dim
        };
        styled(key.id.as_str(), format!("{status}, {used}, {label}"), style)
    });
    shown.collect()
}
