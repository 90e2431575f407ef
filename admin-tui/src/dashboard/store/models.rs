//! Reads what the screens of models and groups show.

use std::collections::BTreeMap;

use tollgate_common::clock::Timestamp;
use tollgate_common::db::model::group::{self, GROUPS, ListedGroup};
use tollgate_common::db::model::list::{self, ListedModel, MODELS, ModelOrder, Ties};
use tollgate_common::db::page::{Listed, Place};
use tollgate_common::db::provider;
use tollgate_common::id::{GroupName, ModelAlias, ProviderName, TeamId};

use super::Source;
use super::part::{self, Ask};
use crate::dashboard::problem::Problem;
use crate::dashboard::widgets::list::Page;

#[cfg(test)]
mod tests;

/// How many names a form knows: of providers and of models.
const KNOWN_MAX: i64 = 500;

/// How many teams with a grant are named.
const GRANTED_MAX: i64 = 30;

/// How many models that something touches are named.
const NAMED_MAX: usize = 6;

/// What can be asked.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Query {
    /// A part of the list of models, in this order or in its reverse.
    Page(Ask, ModelOrder, bool),
    /// One model with what hangs on it.
    One(ModelAlias),
    /// What somebody must know to fill in a form about a model, or about a new one.
    Desk(Option<ModelAlias>),
    /// What removing a model would touch.
    Impact(ModelAlias),
    /// A part of the list of groups, by name or in reverse.
    Groups(Ask, bool),
    /// The teams that are granted a group.
    Granted(GroupName),
}

/// What is answered.
#[derive(Debug)]
pub(crate) enum Answer {
    /// A part of the list of models.
    Page(Page<ModelRow>),
    /// The model with what hangs on it, if it is there.
    One(Option<Box<(ModelRow, Ties)>>),
    /// What a form needs.
    Desk(Box<Desk>),
    /// A part of the list of groups.
    Groups(Page<GroupRow>),
    /// The first teams that are granted a group.
    Granted(GroupName, Vec<TeamId>),
}

/// A model with its place in the list.
#[derive(Debug, Clone)]
pub(crate) struct ModelRow {
    /// Its place.
    pub(crate) place: Place,
    /// The model.
    pub(crate) listed: ListedModel,
    /// Answered calls in the last minutes.
    pub(crate) calls: u64,
    /// Whether there is a provider of the name that it names.
    pub(crate) has_provider: bool,
}

/// A group with its place in the list.
#[derive(Debug, Clone)]
pub(crate) struct GroupRow {
    /// Its place.
    pub(crate) place: Place,
    /// The group.
    pub(crate) listed: ListedGroup,
    /// Answered calls of each of its models in the last minutes.
    pub(crate) calls: Vec<u64>,
    /// When this was read.
    pub(crate) read_at: Timestamp,
}

/// What a form about a model needs.
#[derive(Debug, Clone, Default)]
pub(crate) struct Desk {
    /// The model, if it is about one that is there.
    pub(crate) model: Option<ListedModel>,
    /// What hangs on it.
    pub(crate) ties: Ties,
    /// Names of providers.
    pub(crate) providers: Vec<ProviderName>,
    /// Models.
    pub(crate) aliases: Vec<ModelAlias>,
    /// Groups.
    pub(crate) groups: Vec<GroupName>,
}

/// What is beside the rows of models.
struct Present {
    calls: BTreeMap<String, u64>,
    providers: Vec<ProviderName>,
}

impl Present {
    async fn read(source: &Source) -> Result<Self, Problem> {
        Ok(Self {
            calls: super::providers::recent(source).await?.models,
            providers: provider::list::names(source.pool(), i64::MAX).await?,
        })
    }

    fn row(&self, place: Place, listed: ListedModel) -> ModelRow {
        let alias = listed.model.alias.to_string();
        ModelRow {
            place,
            calls: self.calls.get(&alias).copied().unwrap_or_default(),
            has_provider: self.providers.contains(&listed.model.provider),
            listed,
        }
    }
}

/// Reads it.
pub(super) async fn load(source: &Source, query: Query) -> Result<super::Answer, Problem> {
    let answer = match query {
        Query::Page(ask, order, reversed) => {
            let present = Present::read(source).await?;
            let read = ask.read(&MODELS, source.now())?;
            let request = ask.request(&read);
            let mut connection = source.pool().acquire().await?;
            let found = list::page(&mut connection, (order, reversed), &request).await?;
            let row = |listed: Listed<ListedModel>| present.row(listed.place, listed.row);
            Answer::Page(part::page(found, row))
        }
        Query::One(alias) => {
            let present = Present::read(source).await?;
            let found = list::find(source.pool(), &alias).await?;
            let ties = list::ties(source.pool(), &alias).await?;
            let row = found.map(|listed| present.row(Place::new(), listed));
            Answer::One(row.map(|row| Box::new((row, ties))))
        }
        Query::Desk(alias) => Answer::Desk(Box::new(desk(source, alias).await?)),
        Query::Impact(alias) => {
            let lines = impact(source, &alias).await?;
            return Ok(super::Answer::Impact(lines));
        }
        Query::Groups(ask, reversed) => groups(source, &ask, reversed).await?,
        Query::Granted(name) => {
            let teams = group::granted(source.pool(), &name, GRANTED_MAX).await?;
            Answer::Granted(name, teams)
        }
    };
    Ok(super::Answer::Models(answer))
}

async fn groups(source: &Source, ask: &Ask, reversed: bool) -> Result<Answer, Problem> {
    let read_at = source.now();
    let calls = super::providers::recent(source).await?.models;
    let read = ask.read(&GROUPS, read_at)?;
    let mut connection = source.pool().acquire().await?;
    let found = group::page(&mut connection, reversed, &ask.request(&read)).await?;
    let of = |alias: &ModelAlias| calls.get(&alias.to_string()).copied().unwrap_or_default();
    let row = |listed: Listed<ListedGroup>| GroupRow {
        place: listed.place,
        calls: listed.row.models.iter().map(of).collect(),
        listed: listed.row,
        read_at,
    };
    Ok(Answer::Groups(part::page(found, row)))
}

async fn desk(source: &Source, alias: Option<ModelAlias>) -> Result<Desk, Problem> {
    let pool = source.pool();
    let groups = tollgate_common::db::model::list_groups(pool).await?;
    let mut desk = Desk {
        providers: provider::list::names(pool, KNOWN_MAX).await?,
        aliases: list::aliases(pool, KNOWN_MAX).await?,
        groups: groups.into_iter().map(|(name, _)| name).collect(),
        ..Desk::default()
    };
    if let Some(alias) = alias {
        let found = list::find(pool, &alias).await?;
        let gone = || Problem::new(format!("model {alias} is gone"));
        desk.model = Some(found.ok_or_else(gone)?);
        desk.ties = list::ties(pool, &alias).await?;
    }
    Ok(desk)
}

async fn impact(source: &Source, alias: &ModelAlias) -> Result<Vec<(String, String)>, Problem> {
    let found = list::find(source.pool(), alias).await?;
    let groups = found.map(|listed| listed.groups).unwrap_or_default();
    let ties = list::ties(source.pool(), alias).await?;
    let groups = match groups.as_slice() {
        [] => "in none".to_owned(),
        groups => format!("taken out of {}", named(groups)),
    };
    let stands_in = match ties.stands_in_for.as_slice() {
        [] => "it stands in for no model".to_owned(),
        models => format!("no longer stands in for {}", named(models)),
    };
    let default = match ties.default_of {
        0 => "no team's".to_owned(),
        1 => "1 team has none any more".to_owned(),
        teams => format!("{teams} teams have none any more"),
    };
    let teams = match ties.teams() {
        0 => "no team may call it".to_owned(),
        1 => "1 team can no longer call it".to_owned(),
        teams => format!("{teams} teams can no longer call it"),
    };
    let lines = [
        ("Teams", teams),
        ("Groups", groups),
        ("Fallbacks", stands_in),
        ("Default", default),
    ];
    Ok(lines.map(|(label, text)| (label.to_owned(), text)).into())
}

fn named(names: &[impl ToString]) -> String {
    let shown: Vec<String> = names
        .iter()
        .take(NAMED_MAX)
        .map(ToString::to_string)
        .collect();
    match names.len().saturating_sub(NAMED_MAX) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}
