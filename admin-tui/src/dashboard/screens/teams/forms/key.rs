//! The form that makes a key of a team.

use tollgate_common::id::TeamId;
use tollgate_common::limit::Limits;

use crate::cli::value::{self, Moment};
use crate::dashboard::change::{Change, Operation};
use crate::dashboard::context::Context;
use crate::dashboard::format;
use crate::dashboard::screens::teams::fields::{self, PARALLEL, RPM, TPM, entry, optional};
use crate::dashboard::store::teams::Names;
use crate::dashboard::widgets::facts::fact;
use crate::dashboard::windows::form::{Complaint, Entry, Form, Review, Values};

const LABEL: &str = "Label";
const EXPIRES: &str = "Expires";

/// Makes a key, which is shown once.
pub(in crate::dashboard::screens::teams) fn create(team_id: &TeamId) -> Form {
    let none = Names::default();
    let mut entries = vec![
        Entry::line(LABEL, "", "what it is for").checked(label),
        Entry::line(EXPIRES, "", "90d, a time; empty: never").checked(optional::<Moment>),
    ];
    let limits = [RPM, TPM, PARALLEL].into_iter();
    entries.extend(limits.map(|label| entry(label, String::new(), &none)));
    let title = format!("New key of team {team_id}");
    let team_id = team_id.clone();
    let submit = move |values: Values<'_>, context: &Context| submit(values, &team_id, context);
    Form::new(title, entries, Box::new(submit))
}

fn label(text: &str) -> Result<(), String> {
    if text.is_empty() {
        return Ok(());
    }
    value::text(text).map(drop)
}

fn submit(values: Values<'_>, team_id: &TeamId, context: &Context) -> Result<Review, Complaint> {
    let end = values.parse_filled::<Moment>(EXPIRES)?;
    let end = end.map(|moment| moment.after(context.now, EXPIRES));
    let expires_at = end
        .transpose()
        .map_err(|_| Complaint::about(EXPIRES, "this is not in the future"))?;
    let limits = limits(values)?;
    let label = values.filled(LABEL);
    let shown = |limit: Option<i64>| limit.map_or_else(|| "the team's".to_owned(), format::number);
    let facts = vec![
        fact("Team", team_id.to_string()),
        fact("Label", label.clone().unwrap_or_else(|| "none".to_owned())),
        fact(
            "Expires",
            expires_at.map_or_else(|| "never".to_owned(), format::moment),
        ),
        fact("Calls per minute", shown(limits.requests_per_minute)),
        fact("Tokens per minute", shown(limits.tokens_per_minute)),
        fact("Parallel calls", shown(limits.parallel_calls)),
        fact("Then", "the key is shown once; only a hash is stored"),
    ];
    let operation = Operation::CreateKey {
        team_id: team_id.clone(),
        label,
        limits,
        expires_at,
    };
    let sentence = format!("a key of team {team_id} is made");
    Ok(Review {
        facts,
        change: Change::new(operation, sentence),
    })
}

fn limits(values: Values<'_>) -> Result<Limits, Complaint> {
    let mut settings = tollgate_common::command::TeamSettings::default();
    for label in [RPM, TPM, PARALLEL] {
        fields::read(&mut settings, label, &values.text(label))?;
    }
    Ok(settings.limits.of_new())
}
