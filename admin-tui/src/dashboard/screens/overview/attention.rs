//! What may need a look, the worst first, each line leading to its object.

use tollgate_common::clock::Timestamp;
use tollgate_common::db::overview::UNCHARGED_MAX;
use tollgate_common::live::{ProviderAlert, RestingKey};

use super::figures::{Condition, Figures};
use super::lines::{Health, Line, Look, Provider};
use crate::dashboard::format;
use crate::dashboard::store::overview::Standing;
use crate::dashboard::tab::Tab;

fn line(id: String, look: Look, left: String, target: (Tab, String)) -> Line {
    // A failure has a sign, so that it does not depend on colour.
    let sign = match look {
        Look::Bad => '!',
        _ => '.',
    };
    Line {
        id,
        left: format!("{sign} {left}"),
        right: String::new(),
        bar: None,
        look,
        target,
    }
}

/// Everything that may need a look.
pub(super) fn of(
    figures: &Figures,
    providers: &[Provider],
    standing: Option<&Standing>,
    now: Timestamp,
) -> Vec<Line> {
    let mut lines = Vec::new();
    lines.extend(standing.and_then(ledger));
    lines.extend(nodes(figures, now));
    lines.extend(refusals(figures));
    lines.extend(health_of_providers(providers));
    lines.extend(resting_keys(figures, standing));
    if let Some(standing) = standing {
        lines.extend(debts(standing));
        lines.extend(implausible(standing));
        lines.extend(uncharged(standing));
        lines.extend(balances(standing));
        lines.extend(holds(standing, now));
        lines.extend(failed(standing));
        lines.extend(ending(standing, now));
        lines.extend(unpriced(standing));
    }
    lines.sort_by_key(|line| line.look != Look::Bad);
    lines
}

fn ledger(standing: &Standing) -> Option<Line> {
    let check = standing.check.as_ref()?;
    (check.differences > 0).then(|| {
        let count = format::number(check.differences);
        let text = format!("ledger: the last check found {count} differences");
        line(
            "ledger".into(),
            Look::Bad,
            text,
            (Tab::Credits, String::new()),
        )
    })
}

fn nodes(figures: &Figures, now: Timestamp) -> Vec<Line> {
    let told = figures.nodes.iter().filter_map(|node| {
        let id = node.id.to_string();
        let short = format::short_id(&id);
        let age = format::age(node.at, now);
        let (look, text) = match node.condition {
            Condition::Silent => (Look::Bad, format!("proxy {short}: silent for {age}")),
            Condition::Mute => (
                Look::Warn,
                format!("proxy {short}: lives, but tells no figures"),
            ),
            Condition::Telling | Condition::Idle => return None,
        };
        Some(line(id, look, text, (Tab::Settings, String::new())))
    });
    told.collect()
}

/// What only the operator can end, each once, whichever nodes tell of it.
fn refusals(figures: &Figures) -> Vec<Line> {
    let key = |alert: &ProviderAlert| {
        let model = alert.upstream_model.clone();
        (alert.provider.clone(), alert.fault.clone(), model)
    };
    let mut alerts: Vec<&ProviderAlert> = figures.alerts.iter().collect();
    alerts.sort_by_key(|alert| key(alert));
    alerts.dedup_by_key(|alert| key(alert));
    let told = alerts.iter().map(|alert| {
        let ProviderAlert {
            provider,
            upstream_model,
            fault,
            message,
            ..
        } = alert;
        line(
            format!("alert {provider} {upstream_model} {fault}"),
            Look::Bad,
            format!("provider {provider}: {fault} ({upstream_model}): {message}"),
            (Tab::Providers, provider.clone()),
        )
    });
    told.collect()
}

fn health_of_providers(providers: &[Provider]) -> Vec<Line> {
    let mut lines = Vec::new();
    for provider in providers {
        let (tries, failures) = (provider.recent.tries, provider.recent.failures);
        let (look, text) = match provider.health {
            Health::Down if failures > 0 => (
                Look::Bad,
                format!("is down: {failures} of {tries} tries failed"),
            ),
            Health::Down => (Look::Bad, "is down: all its keys rest".to_owned()),
            Health::Slow => {
                let p95 = provider.recent.total_ms.quantile(950).unwrap_or(0);
                let p95 = format::millis(i64::try_from(p95).unwrap_or(i64::MAX));
                (Look::Warn, format!("is slower than usual: p95 {p95}"))
            }
            Health::Fine | Health::Idle | Health::Resting => continue,
        };
        let text = format!("provider {} {text}", provider.name);
        let target = (Tab::Providers, provider.name.clone());
        lines.push(line(
            format!("provider {}", provider.name),
            look,
            text,
            target,
        ));
    }
    lines
}

fn resting_keys(figures: &Figures, standing: Option<&Standing>) -> Vec<Line> {
    let mut lines = Vec::new();
    let known = standing.map_or(&[][..], |standing| &standing.credentials);
    // Each node has circuits of its own for the same key.
    let mut resting: Vec<&RestingKey> = figures.resting.iter().collect();
    resting.sort_by_key(|key| (&key.credential_id, &key.upstream_model));
    resting.dedup_by_key(|key| (&key.credential_id, &key.upstream_model));
    for key in resting {
        let found = known.iter().find(|known| known.id == key.credential_id);
        let name = found.map_or_else(
            || format!("key {}", format::short_id(&key.credential_id)),
            |known| format!("key ..{} of provider {}", known.hint, known.provider),
        );
        let (id, what) = match &key.upstream_model {
            None => (key.credential_id.clone(), name),
            Some(model) => (
                format!("{} {model}", key.credential_id),
                format!("model {model} with {name}"),
            ),
        };
        let condition = match key.condition.as_str() {
            "half_open" => "is being tried again",
            "rate_limited" => "rests: rate limited",
            _ if key.is_unreachable => "rests: host unreachable",
            _ if key.upstream_model.is_none() => "rests: key or account refused",
            _ => "rests: circuit open",
        };
        let failures = match key.failures {
            0 => String::new(),
            failures => format!(", {failures} failures lately"),
        };
        let filter = found.map_or_else(String::new, |known| known.provider.clone());
        let text = format!("{what} {condition}{failures}");
        lines.push(line(id, Look::Warn, text, (Tab::Providers, filter)));
    }
    lines
}

fn debts(standing: &Standing) -> Vec<Line> {
    let lines = standing.owing.iter().map(|team| {
        let id = team.team_id.to_string();
        let owed = format::credits(team.owed);
        let text = format!("team {id} owes {owed} credits: no work begins until they are paid");
        let target = (Tab::Credits, format!("team:{id}"));
        line(format!("debt {id}"), Look::Bad, text, target)
    });
    lines.collect()
}

fn implausible(standing: &Standing) -> Vec<Line> {
    let lines = standing.implausible.iter().map(|call| {
        let job = call.job_id.to_string();
        let text = format!(
            "{} job {} of {}: provider {} counted impossible usage, worst case of {} charged",
            format::clock(call.at),
            format::short_id(&job),
            call.team_id,
            call.provider,
            format::dollars(call.client_cost),
        );
        line(
            format!("usage {}", call.id),
            Look::Warn,
            text,
            (Tab::Jobs, job),
        )
    });
    lines.collect()
}

fn uncharged(standing: &Standing) -> Option<Line> {
    let uncharged = standing.uncharged.as_ref()?;
    let job = uncharged.job_id.to_string();
    let calls = match uncharged.calls {
        1 => "1 call".to_owned(),
        UNCHARGED_MAX => format!("the newest {} calls", format::number(UNCHARGED_MAX)),
        count => format!("{} calls", format::number(count)),
    };
    let text = format!(
        "{} of provider cost in 24 h for {calls} that nobody was charged for, the newest in job {}",
        format::dollars(uncharged.provider_cost),
        format::short_id(&job),
    );
    Some(line("uncharged".into(), Look::Warn, text, (Tab::Jobs, job)))
}

fn balances(standing: &Standing) -> Vec<Line> {
    let (teams, count) = &standing.low;
    let told = teams.iter().map(|team| {
        let available = format::credits(team.available);
        let (look, text) = if team.available.is_positive() {
            let share = format::percent(team.available.0, team.allocated.0);
            let text = format!("{share} of credits left ({available})");
            (Look::Warn, text)
        } else {
            (Look::Bad, format!("no credits left ({available})"))
        };
        let id = team.team_id.to_string();
        let target = (Tab::Credits, format!("team:{id}"));
        line(
            format!("team {id}"),
            look,
            format!("team {id}: {text}"),
            target,
        )
    });
    let mut lines: Vec<Line> = told.collect();
    let more = count - i64::try_from(teams.len()).unwrap_or(i64::MAX);
    if more > 0 {
        let text = format!("{} more teams with few credits", format::number(more));
        let target = (Tab::Credits, "status:active".to_owned());
        lines.push(line("more teams".into(), Look::Warn, text, target));
    }
    lines
}

fn holds(standing: &Standing, now: Timestamp) -> Vec<Line> {
    let told = standing.idle.iter().map(|hold| {
        let id = hold.job_id.to_string();
        let text = format!(
            "job {} of {}: {} credits held for {} without a call",
            format::short_id(&id),
            hold.team_id,
            format::credits(hold.credits),
            format::age(hold.active_at, now),
        );
        line(format!("hold {id}"), Look::Warn, text, (Tab::Jobs, id))
    });
    told.collect()
}

fn failed(standing: &Standing) -> Vec<Line> {
    let told = standing.failed.iter().map(|job| {
        let id = job.id.to_string();
        let text = format!(
            "{} job {} of {} failed: {}",
            format::clock(job.at),
            format::short_id(&id),
            job.team_id,
            job.error.as_deref().unwrap_or("no reason given"),
        );
        line(format!("job {id}"), Look::Warn, text, (Tab::Jobs, id))
    });
    told.collect()
}

fn ending(standing: &Standing, now: Timestamp) -> Vec<Line> {
    let told = standing.ending.iter().map(|key| {
        let id = key.id.to_string();
        let rest = format::span(key.expires_at.since(now));
        let text = format!("key {id} of {} expires in {rest}", key.team_id);
        line(format!("key {id}"), Look::Warn, text, (Tab::Keys, id))
    });
    told.collect()
}

fn unpriced(standing: &Standing) -> Vec<Line> {
    let told = standing.unpriced.iter().map(|alias| {
        let id = alias.to_string();
        let text = format!("model {id} has no price: teams charged by cost are refused");
        line(format!("model {id}"), Look::Warn, text, (Tab::Models, id))
    });
    told.collect()
}
