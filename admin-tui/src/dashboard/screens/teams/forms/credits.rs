//! The form that puts credits into a team's account.

use tollgate_common::command::Command;
use tollgate_common::db::team::list::ListedTeam;
use tollgate_common::db::work::BalanceChange;
use tollgate_common::money::Credits;

use crate::cli::value;
use crate::dashboard::change::Change;
use crate::dashboard::context::Context;
use crate::dashboard::format;
use crate::dashboard::screens::teams::detail::lasts;
use crate::dashboard::screens::teams::fields::plain;
use crate::dashboard::widgets::facts::{Fact, fact};
use crate::dashboard::windows::form::{Complaint, Entry, Form, Review, Values};

const AMOUNT: &str = "Amount";
const REASON: &str = "Reason";

fn given(text: &str) -> Result<Credits, String> {
    value::credits_given(&plain(text))
}

/// Puts credits in, with a preview of what they come to.
pub(in crate::dashboard::screens::teams) fn add(listed: &ListedTeam) -> Form {
    let entries = vec![
        Entry::line(AMOUNT, "", "credits").checked(|text| given(text).map(drop)),
        Entry::line(REASON, "", "for ledger and audit log").checked(reason),
    ];
    let title = format!("Add credits to team {}", listed.team.id);
    let (shown, added) = (listed.clone(), listed.clone());
    let preview = move |values: Values<'_>, context: &Context| {
        let amount = given(&values.text(AMOUNT)).unwrap_or(Credits::ZERO);
        preview(&shown, amount, context)
    };
    let submit = move |values: Values<'_>, context: &Context| submit(values, &added, context);
    Form::new(title, entries, Box::new(submit)).previewing(Box::new(preview))
}

fn reason(text: &str) -> Result<(), String> {
    if text.is_empty() {
        return Err("is required: the ledger keeps it".to_owned());
    }
    value::text(text).map(drop)
}

fn preview(listed: &ListedTeam, amount: Credits, context: &Context) -> Vec<Fact> {
    let account = &listed.account;
    let arrow = context.charset.arrow();
    let held = format!(
        "{} and {} held by open jobs",
        format::credits(account.balance),
        format::credits(account.held)
    );
    let between = |before: Credits| {
        format!(
            "{} {arrow} {}",
            format::credits(before),
            format::credits(before.plus(amount))
        )
    };
    let after = account.balance.plus(amount);
    vec![
        fact("Balance now", held),
        fact("Balance", between(account.balance)),
        fact("Available", between(account.available())),
        fact("Lasts", lasts(after, listed, context.now)),
    ]
}

fn submit(values: Values<'_>, listed: &ListedTeam, context: &Context) -> Result<Review, Complaint> {
    let amount = given(&values.text(AMOUNT)).map_err(|why| Complaint::about(AMOUNT, why))?;
    let reason = values.text(REASON);
    let id = &listed.team.id;
    let mut facts = vec![
        fact(
            "Ledger",
            format!("allocation of {} credits", format::credits(amount)),
        ),
        fact("Reason", reason.clone()),
    ];
    facts.extend(preview(listed, amount, context));
    facts.push(fact(
        "Once",
        "the form closes with the answer: y cannot add twice",
    ));
    let command = Command::ChangeBalance {
        team_id: id.clone(),
        change: BalanceChange::Allocate(amount),
        reason: reason.clone(),
    };
    let sentence = format!("{} credits are added to team {id}", format::credits(amount));
    Ok(Review {
        facts,
        change: Change::command(command, sentence).because(reason),
    })
}
