//! Reads what the screen of teams shows.

use tollgate_common::command::Command;
use tollgate_common::db::audit::AuditRecord;
use tollgate_common::db::live::{self, Told};
use tollgate_common::db::page::Place;
use tollgate_common::db::team::list::{self, ListedTeam, TEAMS, TeamKey, TeamOrder, Today};
use tollgate_common::db::{model, org};
use tollgate_common::id::TeamId;
use tollgate_common::live::LiveCall;
use tollgate_common::money::Credits;
use tollgate_common::standing::Standing;

use super::part::Ask;
use super::{Source, part};
use crate::dashboard::change::{Change, Outcome};
use crate::dashboard::format;
use crate::dashboard::problem::Problem;
use crate::dashboard::widgets::list::Page;

/// What can be asked.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Query {
    /// A part of the list, in an order, which may be turned around.
    List(Ask, (TeamOrder, bool)),
    /// Everything about one team.
    Detail(TeamId),
    /// What organizations, groups and models there are.
    Names,
    /// What it would mean to suspend these teams.
    Impact(Vec<TeamId>),
}

/// What is answered.
#[derive(Debug)]
pub(crate) enum Answer {
    /// A part of the list.
    List(Page<TeamRow>),
    /// Everything about a team; nothing if it is gone.
    Detail(Option<Box<Detail>>),
    /// What there is.
    Names(Names),
}

/// A team with its place in the order in which it was read.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TeamRow {
    /// The team.
    pub(crate) listed: ListedTeam,
    /// Its place.
    pub(crate) place: Place,
}

/// What lists do not show of a team.
#[derive(Debug, Clone)]
pub(crate) struct Detail {
    /// The team.
    pub(crate) listed: ListedTeam,
    /// Its first keys, those in use before others.
    pub(crate) keys: Vec<TeamKey>,
    /// What its jobs of today have come to.
    pub(crate) today: Today,
    /// How many open jobs it has, and what they hold.
    pub(crate) open_jobs: (i64, Credits),
    /// What administrators did to it last.
    pub(crate) records: Vec<AuditRecord>,
    /// Its calls in flight that nodes tell of.
    pub(crate) calls: Vec<LiveCall>,
}

/// Names that can be chosen from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Names {
    /// Organizations.
    pub(crate) orgs: Vec<String>,
    /// Groups of models.
    pub(crate) groups: Vec<String>,
    /// Models.
    pub(crate) models: Vec<String>,
}

/// How many keys and records of a team are read.
const KEYS_SHOWN: i64 = 50;
const RECORDS_SHOWN: usize = 20;

/// Reads it.
pub(super) async fn load(source: &Source, query: Query) -> Result<super::Answer, Problem> {
    match query {
        Query::List(ask, order) => {
            let read = ask.read(&TEAMS, source.now())?;
            let request = ask.request(&read);
            let found = list::page(source.pool(), order, &request, source.now()).await?;
            let rows = part::page(found, |listed| TeamRow {
                listed: listed.row,
                place: listed.place,
            });
            Ok(super::Answer::Teams(Answer::List(rows)))
        }
        Query::Detail(id) => {
            let detail = detail(source, &id).await?.map(Box::new);
            Ok(super::Answer::Teams(Answer::Detail(detail)))
        }
        Query::Names => Ok(super::Answer::Teams(Answer::Names(names(source).await?))),
        Query::Impact(ids) => Ok(super::Answer::Impact(impact(source, &ids).await?)),
    }
}

async fn detail(source: &Source, id: &TeamId) -> Result<Option<Detail>, Problem> {
    let (pool, now) = (source.pool(), source.now());
    let Some(listed) = list::find(pool, id, now).await? else {
        return Ok(None);
    };
    let target = format!("team:{id}");
    let told = live::list(pool).await?.into_iter();
    let calls = told.flat_map(|node| node.figures.calls);
    Ok(Some(Detail {
        listed,
        keys: list::keys(pool, id, KEYS_SHOWN).await?,
        today: list::today(pool, id, now).await?,
        open_jobs: list::open_jobs(pool, id).await?,
        records: super::audit::latest_of(source, &target, RECORDS_SHOWN).await?,
        calls: calls.filter(|call| call.team_id == id.as_str()).collect(),
    }))
}

async fn names(source: &Source) -> Result<Names, Problem> {
    let pool = source.pool();
    let orgs = org::list(pool).await?.into_iter();
    let groups = model::list_groups(pool).await?.into_iter();
    let models = model::list(pool, &[]).await?.into_iter();
    Ok(Names {
        orgs: orgs.map(|org| org.id.to_string()).collect(),
        groups: groups.map(|(name, _)| name.to_string()).collect(),
        models: models.map(|model| model.alias.to_string()).collect(),
    })
}

/// What it means for these teams to be stopped, in numbers.
async fn impact(source: &Source, ids: &[TeamId]) -> Result<Vec<(String, String)>, Problem> {
    let (pool, now) = (source.pool(), source.now());
    let (mut jobs, mut held, mut keys) = (0, Credits::ZERO, 0);
    for id in ids {
        let (count, credits) = list::open_jobs(pool, id).await?;
        jobs += count;
        held = held.plus(credits);
        keys += list::find(pool, id, now)
            .await?
            .map_or(0, |listed| listed.live_keys);
    }
    let nodes = live::list(pool).await?;
    let calls = nodes.iter().flat_map(|node| &node.figures.calls);
    let calls: Vec<&LiveCall> = calls
        .filter(|call| ids.iter().any(|id| id.as_str() == call.team_id))
        .collect();
    Ok(told(&nodes, &calls, ((jobs, held), keys)))
}

/// Numbers of what is stopped: calls in flight, open jobs with what they hold, keys.
pub(super) fn told(
    nodes: &[Told],
    calls: &[&LiveCall],
    ((jobs, held), keys): ((i64, Credits), i64),
) -> Vec<(String, String)> {
    let streams = calls.iter().filter(|call| call.streamed).count();
    let in_flight = if nodes.is_empty() {
        "no node is running".to_owned()
    } else {
        let count = calls.len();
        format!("{count} calls ({streams} streams) may finish")
    };
    let jobs = format!(
        "{} open, {} credits held until they settle",
        format::number(jobs),
        format::credits(held)
    );
    let keys = format!("{} stop working, none are deleted", format::number(keys));
    vec![
        ("In flight".to_owned(), in_flight),
        ("Jobs".to_owned(), jobs),
        ("Keys".to_owned(), keys),
    ]
}

/// Suspends teams, one after the other, and cancels their open jobs if that is asked for.
pub(super) async fn stop(
    source: &Source,
    change: &Change,
    (ids, cancel_jobs): (&[TeamId], bool),
) -> Result<Outcome, Problem> {
    let mut cancelled = 0;
    for (done, id) in ids.iter().enumerate() {
        let told = |problem: Problem| problem.after(done, ids.len());
        let command = Command::SetTeamStanding {
            id: id.clone(),
            standing: Standing::Suspended,
        };
        let executed = super::change::execute(source, change, &command).await;
        executed.map_err(told)?;
        if cancel_jobs {
            let why = change.reason.as_deref();
            let jobs = source.session.cancel_open_jobs(id, why).await;
            cancelled += jobs.map_err(|failure| told(failure.into()))?;
        }
    }
    let mut sentence = change.sentence.clone();
    if cancel_jobs {
        sentence = format!("{sentence}, {cancelled} jobs cancelled");
    }
    Ok(Outcome::good(sentence))
}
