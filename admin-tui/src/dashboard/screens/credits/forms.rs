//! Forms that move credits: add, refund, adjust. Each shows what it would lead to while it is
//! filled, and what will be written before it is.

use tollgate_common::command::Command;
use tollgate_common::db::ledger::accounts::ListedAccount;
use tollgate_common::db::work::BalanceChange;
use tollgate_common::id::{JobId, TeamId};
use tollgate_common::money::Credits;

use super::facts::lasts;
use super::row::signed;
use crate::cli::value;
use crate::dashboard::change::Change;
use crate::dashboard::context::Context;
use crate::dashboard::format;
use crate::dashboard::keys::Action;
use crate::dashboard::step::Step;
use crate::dashboard::store::credits::{Answer as Read, ChargedJob, Query as Ask};
use crate::dashboard::store::{Answer, Query};
use crate::dashboard::widgets::facts::{Fact, fact, styled};
use crate::dashboard::windows::form::{Check, Complaint, Entry, Form, Lookup, Review, Values};

const AMOUNT: &str = "Amount";
const JOB: &str = "Job";
const REFERENCE: &str = "Reference";
const REASON: &str = "Reason";

const GIVEN: Check = |text| value::credits_given(&plain(text)).map(|_| ());
const CORRECTION: Check = |text| value::correction(&plain(text)).map(|_| ());
const TEXT: Check = |text| value::text(text).map(|_| ());
const OPTIONAL_TEXT: Check = |text| {
    if text.is_empty() {
        return Ok(());
    }
    value::text(text).map(|_| ())
};
const OPTIONAL_JOB: Check = |text| {
    if text.is_empty() {
        return Ok(());
    }
    let parsed = text.parse::<JobId>();
    parsed.map(|_| ()).map_err(|error| error.to_string())
};

/// Amounts may be typed as they are shown: `5,000`, `+5`.
fn plain(text: &str) -> String {
    text.trim_start_matches('+').replace([',', '_', ' '], "")
}

/// Why an action is not possible for this account, if so.
pub(super) fn refusal(action: Action, account: Option<&ListedAccount>) -> Option<String> {
    let needs_account = matches!(
        action,
        Action::Open | Action::AddCredits | Action::Refund | Action::Adjust
    );
    let account = match account {
        None if needs_account => return Some("no account is selected".to_owned()),
        None => return None,
        Some(account) => &account.account,
    };
    let has_used = account.used.is_positive();
    (action == Action::Refund && !has_used).then(|| "nothing was spent yet".to_owned())
}

/// Opens the form of an action.
pub(in crate::dashboard::screens) fn act(action: Action, account: &ListedAccount) -> Vec<Step> {
    let form = match action {
        Action::AddCredits => add(account),
        Action::Refund => refund(account),
        Action::Adjust => adjust(account),
        _ => return Vec::new(),
    };
    vec![Step::Open(Box::new(form))]
}

fn add(account: &ListedAccount) -> Form {
    let entries = vec![
        Entry::line(AMOUNT, "", "credits").checked(GIVEN),
        Entry::line(REFERENCE, "", "invoice or order; may be empty").checked(OPTIONAL_TEXT),
        Entry::line(REASON, "", "goes to the ledger and the audit log").checked(TEXT),
    ];
    let title = format!("Add credits to team {}", account.account.team_id);
    form(title, entries, account, |values| {
        let credits = given(values)?;
        Ok(Move {
            kind: "allocation",
            amount: credits,
            change: BalanceChange::Allocate(credits),
        })
    })
}

fn refund(account: &ListedAccount) -> Form {
    let entries = vec![
        Entry::line(AMOUNT, "", "credits").checked(GIVEN),
        Entry::line(JOB, "", "its id; may be empty").checked(OPTIONAL_JOB),
        Entry::line(REASON, "", "goes to the ledger and the audit log").checked(TEXT),
    ];
    let title = format!("Refund team {}", account.account.team_id);
    let used = account.account.used;
    let team = account.account.team_id.clone();
    let lookup = Lookup {
        query: Box::new(|values: Values<'_>| {
            let job: Option<JobId> = values.parse_filled(JOB).ok().flatten();
            job.map(|job| Query::Credits(Ask::JobCharge(job)))
        }),
        describe: Box::new(move |answer, context| match answer {
            Answer::Credits(Read::JobCharge(job)) => vec![charge_of(job.as_ref(), &team, context)],
            _ => Vec::new(),
        }),
    };
    let form = form(title, entries, account, move |values| {
        let credits = given(values)?;
        if credits > used {
            let used = format::credits(used);
            return Err(Complaint::about(AMOUNT, format!("only {used} were spent")));
        }
        let job = values.parse_filled(JOB)?;
        Ok(Move {
            kind: "refund",
            amount: credits,
            change: BalanceChange::Refund(credits, job),
        })
    });
    form.looking_up(lookup)
}

/// What may still be given back of the job that is named.
fn charge_of(job: Option<&ChargedJob>, team: &TeamId, context: &Context) -> Fact {
    const LABEL: &str = "job";
    let bad = |text: String| styled(LABEL, text, context.theme.bad);
    match job {
        None => bad("there is no job with this id".to_owned()),
        Some(job) if job.team_id != *team => bad(format!("belongs to team {}", job.team_id)),
        Some(job) if job.state.is_open() => bad("has not ended: nothing was charged".to_owned()),
        Some(job) => {
            let left = job.charged.minus(job.refunded);
            let text = format!(
                "charged {}, refunded {}: {} left",
                format::credits(job.charged),
                format::credits(job.refunded),
                format::credits(left)
            );
            if left.is_positive() {
                fact(LABEL, text)
            } else {
                bad(text)
            }
        }
    }
}

fn adjust(account: &ListedAccount) -> Form {
    let entries = vec![
        Entry::line(AMOUNT, "", "up, or down with -").checked(CORRECTION),
        Entry::line(REFERENCE, "", "invoice or order; may be empty").checked(OPTIONAL_TEXT),
        Entry::line(REASON, "", "goes to the ledger and the audit log").checked(TEXT),
    ];
    let team = account.account.team_id.to_string();
    let available = account.account.available();
    let form = form(
        format!("Adjust team {team}"),
        entries,
        account,
        move |values| {
            let amount = corrected(values)?;
            if amount.0 < 0 && Credits::ZERO.minus(amount) > available {
                let available = format::credits(available);
                let why = format!("only {available} are neither spent nor held");
                return Err(Complaint::about(AMOUNT, why));
            }
            Ok(Move {
                kind: "adjustment",
                amount,
                change: BalanceChange::Adjust(amount),
            })
        },
    );
    form.guarded(Box::new(move |values| {
        let is_down = corrected(values).is_ok_and(|amount| amount.0 < 0);
        is_down.then(|| ("Take credits", team.clone()))
    }))
}

fn given(values: Values<'_>) -> Result<Credits, Complaint> {
    let parsed = value::credits_given(&plain(&values.text(AMOUNT)));
    parsed.map_err(|why| Complaint::about(AMOUNT, why))
}

fn corrected(values: Values<'_>) -> Result<Credits, Complaint> {
    let parsed = value::correction(&plain(&values.text(AMOUNT)));
    parsed.map_err(|why| Complaint::about(AMOUNT, why))
}

/// What a form comes to: one entry of the ledger.
struct Move {
    kind: &'static str,
    amount: Credits,
    change: BalanceChange,
}

/// A form whose values are one entry.
fn form(
    title: String,
    entries: Vec<Entry>,
    account: &ListedAccount,
    read: impl Fn(Values<'_>) -> Result<Move, Complaint> + Clone + Send + 'static,
) -> Form {
    let (before, seen) = (account.clone(), account.clone());
    let (parse, preview_of) = (read.clone(), read);
    let submit = move |values: Values<'_>, context: &Context| {
        let moved = parse(values)?;
        let reason = reason(values);
        let team_id = before.account.team_id.clone();
        let mut facts = preview(&before, &moved, context);
        facts.push(fact("reason", reason.clone()));
        facts.push(fact("", "entries are never changed or deleted"));
        let sentence = format!("team {team_id}: {} credits", signed(moved.amount));
        let command = Command::ChangeBalance {
            team_id,
            change: moved.change,
            reason: reason.clone(),
        };
        let change = Change::command(command, sentence).because(reason);
        Ok(Review { facts, change })
    };
    let watch = move |values: Values<'_>, context: &Context| match preview_of(values) {
        Ok(moved) => preview(&seen, &moved, context),
        Err(_) => now(&seen),
    };
    Form::new(title, entries, Box::new(submit)).previewing(Box::new(watch))
}

/// The reason with the reference, as the ledger keeps it.
fn reason(values: Values<'_>) -> String {
    let reason = values.text(REASON);
    match values.filled(REFERENCE) {
        Some(reference) => format!("{reason} ({reference})"),
        None => reason,
    }
}

/// What there is before anything is typed.
fn now(listed: &ListedAccount) -> Vec<Fact> {
    let account = &listed.account;
    vec![
        fact("available", format::credits(account.available())),
        fact("balance", format::credits(account.balance)),
        fact("held", format::credits(account.held)),
        fact("used", format::credits(account.used)),
    ]
}

/// What it would lead to.
fn preview(listed: &ListedAccount, moved: &Move, context: &Context) -> Vec<Fact> {
    let account = &listed.account;
    let arrow = context.charset.arrow();
    let turn = |before: Credits, after: Credits| {
        format!(
            "{}  {arrow}  {}",
            format::credits(before),
            format::credits(after)
        )
    };
    let balance = account.balance.plus(moved.amount);
    let available = balance
        .minus(account.held)
        .plus(account.overdraft)
        .max(Credits::ZERO);
    let (allocated, used) = match moved.change {
        BalanceChange::Refund(..) => (account.allocated, account.used.minus(moved.amount)),
        _ => (account.allocated.plus(moved.amount), account.used),
    };
    let which = match moved.change {
        BalanceChange::Refund(..) => fact("used", turn(account.used, used)),
        _ => fact("allocated", turn(account.allocated, allocated)),
    };
    let style = if available.is_positive() {
        context.theme.good
    } else {
        context.theme.bad
    };
    let entry = format!("{} {}", moved.kind, signed(moved.amount));
    vec![
        styled("available", turn(account.available(), available), style),
        fact("balance", turn(account.balance, balance)),
        which,
        fact("entry", entry),
        fact("lasts", lasts(listed, available, context)),
    ]
}
