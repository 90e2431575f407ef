//! What a provider has said of its keys, in words.

use tollgate_common::command::ProviderRef;

use crate::cli::provider::credential::TestView;
use crate::dashboard::change::Outcome;
use crate::dashboard::format;

/// The outcome of a test: a line for each key, and what the test does not tell. `left_out`: how
/// many disabled keys were not asked with.
pub(super) fn told(provider: &ProviderRef, views: &[TestView], left_out: usize) -> Outcome {
    let well = views.iter().filter(|view| view.result == "ok").count();
    let refused = views.iter().filter(|view| view.result == "unauthorized");
    let refused = refused.count();
    let untold = views.len() - well - refused;
    let sentence = if views.is_empty() {
        format!("{}: there is no enabled key to test", provider.name)
    } else {
        let mut parts = vec![format!("{well} of {} keys taken", views.len())];
        if refused > 0 {
            parts.push(format!("{refused} refused"));
        }
        if untold > 0 {
            parts.push(format!("{untold} could not be tested"));
        }
        format!("{}: {}", provider.name, parts.join(", "))
    };
    let mut lines: Vec<String> = views.iter().flat_map(lines_of).collect();
    if left_out > 0 {
        lines.push(format!(
            "{left_out} disabled, not asked: test one by itself"
        ));
    }
    if !views.is_empty() {
        lines.push(String::new());
        lines.push(
            "It was asked from here for the list of its models. Nodes may reach it".to_owned(),
        );
        lines.push("by another way, and a key may still lack the right to some models.".to_owned());
    }
    Outcome {
        lines,
        is_bad: well < views.len() || views.is_empty(),
        ..Outcome::good(sentence)
    }
}

fn lines_of(view: &TestView) -> Vec<String> {
    let took = format::millis(i64::try_from(view.latency_ms).unwrap_or(i64::MAX));
    let word = match view.result {
        "ok" => "taken",
        "unauthorized" => "REFUSED",
        _ => "NOT TESTED",
    };
    let status = view
        .status
        .map_or_else(|| "-".to_owned(), |s| s.to_string());
    let models = match view.models {
        Some(1) => "1 model".to_owned(),
        Some(count) => format!("{count} models"),
        None => String::new(),
    };
    let id = format::short_id(&view.id.to_string());
    let head = format!(
        "{id}  {:<6} {word:<10} {status:>4} {took:>7}  {models}",
        view.hint
    );
    let mut lines = vec![head.trim_end().to_owned()];
    lines.extend(
        view.reason
            .as_ref()
            .map(|reason| format!("          {reason}")),
    );
    lines
}
