//! What there is to say of one account: what it has, whether that adds up, how long it lasts.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use tollgate_common::db::ledger::accounts::{BURN_DAYS, ListedAccount};
use tollgate_common::ledger::{Account, Window};
use tollgate_common::money::Credits;

use super::row::SOON;
use crate::dashboard::context::Context;
use crate::dashboard::format;
use crate::dashboard::store::credits::AccountFacts;
use crate::dashboard::widgets::facts::{self, Fact, fact, styled};
use crate::dashboard::widgets::pane::{line, pane};

/// How long what is available lasts, in words.
pub(super) fn lasts(listed: &ListedAccount, available: Credits, context: &Context) -> String {
    let burn = listed.burn(context.now);
    if !burn.is_positive() {
        return format!("nothing was spent in {BURN_DAYS} days");
    }
    let days = available.0.max(0) / burn.0;
    let burn = format::credits(burn);
    match days {
        0 => format!("less than a day at {burn} a day"),
        1 => format!("about a day at {burn} a day"),
        _ => format!("about {} days at {burn} a day", format::number(days)),
    }
}

/// What the account has.
pub(super) fn balance(listed: &ListedAccount, context: &Context) -> Vec<Fact> {
    let (account, theme) = (&listed.account, &context.theme);
    let available = account.available();
    let days = listed.days_left(context.now);
    let style = if !available.is_positive() {
        theme.bad
    } else if days.is_some_and(|days| days < SOON) {
        theme.warn
    } else {
        theme.good
    };
    let mark = if available.is_positive() { "" } else { "! " };
    let credits = format::credits;
    let shown = format!("{mark}{}", credits(available));
    vec![
        styled("available", shown, style),
        fact("balance", credits(account.balance)),
        fact("held", credits(account.held)),
        if account.owed.is_positive() {
            styled("owed", format!("! {}", credits(account.owed)), theme.bad)
        } else {
            fact("owed", credits(account.owed))
        },
        fact("overdraft", credits(account.overdraft)),
        fact("allocated", credits(account.allocated)),
        fact("used", credits(account.used)),
        fact("today", window(account, Window::Day, context)),
        fact("month", window(account, Window::Month, context)),
        styled("lasts", lasts(listed, available, context), style),
    ]
}

fn window(account: &Account, window: Window, context: &Context) -> String {
    let charged = account.charged_in(window, context.now);
    let limit = match window {
        Window::Day => account.budget_day.limit,
        Window::Month => account.budget_month.limit,
    };
    let credits = format::credits;
    match limit {
        None => format!("{} charged, no budget", credits(charged)),
        Some(limit) => {
            let share = format::percent(charged.0, limit.0);
            format!(
                "{} of {} charged ({share})",
                credits(charged),
                credits(limit)
            )
        }
    }
}

/// Whether the account adds up.
pub(super) fn checks(facts: &AccountFacts, context: &Context) -> Vec<Fact> {
    let account = &facts.listed.account;
    let credits = format::credits;
    let verdict = |holds: bool, text: String| {
        if holds {
            styled("check", format!("ok  {text}"), context.theme.good)
        } else {
            styled("check", format!("! WRONG  {text}"), context.theme.bad)
        }
    };
    let sums = facts.sums;
    let jobs = match sums.jobs {
        1 => "1 job holds".to_owned(),
        count => format!("{} jobs hold", format::number(count)),
    };
    let sum = account.allocated.minus(account.used);
    let is_sum = sum == account.balance;
    let is_held = sums.holds == sums.held;
    let beside = |is_right: bool, text: String| if is_right { String::new() } else { text };
    let of_balance = beside(is_sum, format!(", balance {}", credits(account.balance)));
    let of_holds = beside(is_held, format!(", held {}", credits(sums.held)));
    let holds = credits(sums.holds);
    vec![
        verdict(
            is_sum,
            format!("allocated - used = {}{of_balance}", credits(sum)),
        ),
        verdict(is_held, format!("{jobs} {holds}{of_holds}")),
    ]
}

/// Draws what the list knows of an account.
pub(super) fn draw_listed(
    area: Rect,
    buffer: &mut Buffer,
    context: &Context,
    listed: Option<&ListedAccount>,
) {
    let title = listed.map(|listed| listed.account.team_id.to_string());
    let title = title.unwrap_or_else(|| "Account".to_owned());
    let inside = pane(area, buffer, context, (&title, ""), false);
    let Some(listed) = listed else {
        let (text, end) = ("nothing is selected", inside.right());
        line(inside.x + 1, inside.y, end, buffer, text, context.theme.dim);
        return;
    };
    let mut lines = vec![
        fact("name", listed.name.clone()),
        fact("org", listed.org_id.to_string()),
        fact("status", listed.status.clone()),
    ];
    lines.extend(balance(listed, context));
    lines.push(fact("entries", format::number(listed.account.entry_count)));
    let room = Rect {
        x: inside.x + 1.min(inside.width),
        width: inside.width.saturating_sub(2),
        ..inside
    };
    facts::draw(room, buffer, context, &lines, 0);
}
