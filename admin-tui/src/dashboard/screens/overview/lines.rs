//! Lines that stand for objects and open them.

use std::collections::BTreeMap;

use ratatui::style::Style;
use tollgate_common::clock::Timestamp;
use tollgate_common::live::{ProviderTraffic, Traffic};
use tollgate_common::money::NanoUsd;

use super::figures::{Condition, Figures, Node};
use crate::dashboard::format;
use crate::dashboard::step::Step;
use crate::dashboard::store::overview::Credential;
use crate::dashboard::tab::Tab;
use crate::dashboard::theme::Theme;

/// How a line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    /// As ordinary text.
    Plain,
    /// As what matters less.
    Dim,
    /// As what is well.
    Good,
    /// As what needs a look.
    Warn,
    /// As what is wrong.
    Bad,
}

impl Look {
    /// Its style.
    pub(super) const fn style(self, theme: &Theme) -> Style {
        match self {
            Self::Plain => theme.text,
            Self::Dim => theme.dim,
            Self::Good => theme.good,
            Self::Warn => theme.warn,
            Self::Bad => theme.bad,
        }
    }
}

/// A line that stands for an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    /// What it is, so that the cursor stays on it.
    pub(super) id: String,
    /// What stands at its left.
    pub(super) left: String,
    /// What stands at its right.
    pub(super) right: String,
    /// How long a bar between them is, if there is one.
    pub(super) bar: Option<u64>,
    /// How it looks.
    pub(super) look: Look,
    /// Where it leads: a tab, and what its list is narrowed to.
    pub(super) target: (Tab, String),
}

impl Line {
    /// What leads to its object.
    pub(super) fn open(&self) -> Vec<Step> {
        let (tab, filter) = &self.target;
        let mut steps = vec![Step::Go(*tab)];
        if !filter.is_empty() {
            steps.push(Step::Filter(filter.clone(), true));
        }
        steps
    }
}

/// Tries after which a provider can be called down by its failures alone.
const TRIES_LEAST: u64 = 5;

/// Answers after which times can be compared.
const ANSWERS_LEAST: u64 = 20;

/// How a provider is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Health {
    /// Its answers come as usual.
    Fine,
    /// It was asked nothing lately.
    Idle,
    /// Some of its keys rest.
    Resting,
    /// Its answers take more than twice as long as they usually do.
    Slow,
    /// Half of its tries fail, or all its keys rest on all nodes.
    Down,
}

impl Health {
    /// Its name.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Fine => "ok",
            Self::Idle => "idle",
            Self::Resting => "resting",
            Self::Slow => "SLOW",
            Self::Down => "DOWN",
        }
    }

    const fn look(self) -> Look {
        match self {
            Self::Fine => Look::Good,
            Self::Idle => Look::Dim,
            Self::Resting | Self::Slow => Look::Warn,
            Self::Down => Look::Bad,
        }
    }
}

/// A provider with how it is.
#[derive(Debug, Clone)]
pub(super) struct Provider {
    /// Its name.
    pub(super) name: String,
    /// How it is.
    pub(super) health: Health,
    /// Its last minutes.
    pub(super) recent: ProviderTraffic,
}

/// All providers that have keys or were asked lately, by name.
pub(super) fn providers(figures: &Figures, credentials: &[Credential]) -> Vec<Provider> {
    let mut names: BTreeMap<&str, Vec<&Credential>> = BTreeMap::new();
    for name in figures.usual.providers.keys() {
        names.entry(name).or_default();
    }
    for credential in credentials {
        names
            .entry(&credential.provider)
            .or_default()
            .push(credential);
    }
    let provider = |(name, keys): (&str, Vec<&Credential>)| {
        let recent = figures
            .recent
            .providers
            .get(name)
            .cloned()
            .unwrap_or_default();
        let usual = figures.usual.providers.get(name);
        Provider {
            name: name.to_owned(),
            health: health(figures, &keys, &recent, usual),
            recent,
        }
    };
    names.into_iter().map(provider).collect()
}

fn health(
    figures: &Figures,
    keys: &[&Credential],
    recent: &ProviderTraffic,
    usual: Option<&ProviderTraffic>,
) -> Health {
    // Each node has a breaker of its own: a key is gone only if it rests on all of them.
    let nodes = figures.told().0.max(1);
    let rests_of = |key: &&Credential| {
        let id = key.id.clone();
        let all = figures.resting.iter();
        all.filter(move |resting| resting.credential_id == id)
    };
    // A model that is left alone does not concern the others behind the same key.
    let own_rests = |key: &&Credential| {
        let of_key = rests_of(key).filter(|resting| resting.upstream_model.is_none());
        of_key.count()
    };
    let resting = keys.iter().filter(|key| rests_of(key).count() > 0).count();
    let all_rest = !keys.is_empty() && keys.iter().all(|key| own_rests(key) >= nodes);
    let fails = recent.tries >= TRIES_LEAST && recent.failures * 2 >= recent.tries;
    let p95 = |traffic: &ProviderTraffic| traffic.total_ms.quantile(950);
    let is_slow = recent.total_ms.count() >= ANSWERS_LEAST
        && usual.is_some_and(|usual| {
            let middle = usual.total_ms.quantile(500).unwrap_or(0);
            let before = usual.total_ms.count() > recent.total_ms.count();
            let recent_middle = recent.total_ms.quantile(500).unwrap_or(0);
            before && recent_middle > middle.saturating_mul(2) && p95(recent) >= p95(usual)
        });
    if fails || all_rest {
        Health::Down
    } else if is_slow {
        Health::Slow
    } else if resting > 0 {
        Health::Resting
    } else if recent.tries == 0 {
        Health::Idle
    } else {
        Health::Fine
    }
}

/// The lines of providers.
pub(super) fn of_providers(providers: &[Provider]) -> Vec<Line> {
    let width = providers.iter().map(|p| p.name.chars().count()).max();
    let width = width.unwrap_or(0).min(16);
    let line = |provider: &Provider| {
        let recent = &provider.recent;
        let p95 = recent.total_ms.quantile(950);
        let p95 = p95.map_or_else(
            || "-".to_owned(),
            |ms| format::millis(i64::try_from(ms).unwrap_or(i64::MAX)),
        );
        let errors = format::percent(recent.failures, recent.tries);
        Line {
            id: provider.name.clone(),
            left: format!("{:width$}  {}", provider.name, provider.health.word()),
            right: format!("p95 {p95:>5}  err {errors:>6}"),
            bar: None,
            look: provider.health.look(),
            target: (Tab::Providers, provider.name.clone()),
        }
    };
    providers.iter().map(line).collect()
}

/// How many lines of what is ranked are made at most.
const RANKED: usize = 30;

fn ranked(counts: Vec<(String, u64, String)>, target: impl Fn(&str) -> (Tab, String)) -> Vec<Line> {
    let mut counts = counts;
    counts.sort_by(|one, other| other.1.cmp(&one.1).then_with(|| one.0.cmp(&other.0)));
    counts.truncate(RANKED);
    let line = |(name, count, right): (String, u64, String)| Line {
        target: target(&name),
        left: name.clone(),
        id: name,
        right,
        bar: Some(count),
        look: Look::Plain,
    };
    counts.into_iter().map(line).collect()
}

/// The busiest teams by what their calls cost, or by their calls if nothing has cost anything.
pub(super) fn of_teams(recent: &Traffic) -> Vec<Line> {
    let costs = recent.teams.values().any(|team| team.client_cost > 0);
    let teams = recent.teams.iter().map(|(id, team)| {
        let calls = format::count(team.calls);
        if costs {
            let cost =
                format::dollars(NanoUsd(i64::try_from(team.client_cost).unwrap_or(i64::MAX)));
            (
                id.clone(),
                team.client_cost,
                format!("{calls:>6}  {cost:>9}"),
            )
        } else {
            (id.clone(), team.calls, calls)
        }
    });
    ranked(teams.collect(), |id| (Tab::Teams, id.to_owned()))
}

/// Models by their answered calls.
pub(super) fn of_models(sum: &Traffic) -> Vec<Line> {
    let models = sum.models.iter();
    let models = models.map(|(alias, n)| (alias.clone(), *n, format::count(*n)));
    ranked(models.collect(), |alias| (Tab::Models, alias.to_owned()))
}

/// What is counted among the causes though nothing has failed.
pub(super) const CALLER_GONE: &str = "caller_gone";

/// Errors by cause; callers that have left stand among them, but are none.
pub(super) fn of_errors(sum: &Traffic) -> Vec<Line> {
    let errors = sum.errors.iter();
    let errors = errors.map(|(cause, n)| (cause.clone(), *n, format::count(*n)));
    let mut lines = ranked(errors.collect(), |_| {
        (Tab::Jobs, "status:failed".to_owned())
    });
    for line in &mut lines {
        if line.id == CALLER_GONE {
            line.look = Look::Dim;
        }
    }
    lines
}

/// How many errors there were.
pub(super) fn errors(sum: &Traffic) -> u64 {
    let real = sum.errors.iter().filter(|(cause, _)| *cause != CALLER_GONE);
    real.map(|(_, count)| count).sum()
}

/// The nodes.
pub(super) fn of_nodes(nodes: &[Node], now: Timestamp) -> Vec<Line> {
    let line = |node: &Node| {
        let figures = node.figures.as_ref().filter(|_| node.condition.is_known());
        let version = node
            .figures
            .as_ref()
            .map_or("-", |figures| &figures.version);
        let load = figures.map_or_else(
            || "in flight ?".to_owned(),
            |figures| format!("in flight {}", format::count(figures.calls_in_flight)),
        );
        Line {
            id: node.id.to_string(),
            left: format!(
                "{}  {}  {version}",
                format::short_id(&node.id.to_string()),
                node.condition.word()
            ),
            right: format!("{load}  told {} ago", format::age(node.at, now)),
            bar: None,
            look: match node.condition {
                Condition::Telling => Look::Good,
                Condition::Idle => Look::Dim,
                Condition::Mute => Look::Warn,
                Condition::Silent => Look::Bad,
            },
            target: (Tab::Settings, String::new()),
        }
    };
    nodes.iter().map(line).collect()
}

/// Calls in flight, the oldest first.
pub(super) fn of_calls(figures: &Figures, now: Timestamp) -> Vec<Line> {
    let line = |call: &tollgate_common::live::LiveCall| {
        let began_at = Timestamp::from_micros(call.began_at);
        let kind = if call.streamed { "stream" } else { "whole" };
        let tokens = format::number(call.output_tokens);
        Line {
            id: call.id.clone(),
            left: format!(
                "{}  {:20}  {:20}  {:12}  {kind}",
                format::short_id(&call.job_id),
                call.team_id,
                call.alias,
                call.provider.as_deref().unwrap_or("-"),
            ),
            right: format!("{tokens:>8} tok  {:>6}", format::age(began_at, now)),
            bar: None,
            look: Look::Plain,
            target: (Tab::Jobs, call.job_id.clone()),
        }
    };
    figures.calls.iter().map(line).collect()
}
