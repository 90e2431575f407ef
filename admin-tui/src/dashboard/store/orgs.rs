//! Reads what the screen of organizations shows.

use tollgate_common::db::audit::AuditRecord;
use tollgate_common::db::live;
use tollgate_common::db::org::list::{self, ListedOrg, ORGS, OrgOrder};
use tollgate_common::db::page::{Place, Request, SEARCH, Start as PageStart};
use tollgate_common::db::team::list::{self as teams, ListedTeam, TEAMS, TeamOrder};
use tollgate_common::filter::Filter;
use tollgate_common::id::OrgId;

use super::part::Ask;
use super::{Source, part};
use crate::dashboard::format;
use crate::dashboard::problem::Problem;
use crate::dashboard::widgets::list::Page;

/// What can be asked.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Query {
    /// A part of the list, in an order, which may be turned around.
    List(Ask, (OrgOrder, bool)),
    /// Everything about one organization.
    Detail(OrgId),
    /// What it would mean to suspend it.
    Impact(OrgId),
}

/// What is answered.
#[derive(Debug)]
pub(crate) enum Answer {
    /// A part of the list.
    List(Page<OrgRow>),
    /// Everything about an organization; nothing if it is gone.
    Detail(Option<Box<Detail>>),
}

/// An organization with its place in the order in which it was read.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct OrgRow {
    /// The organization.
    pub(crate) listed: ListedOrg,
    /// Its place.
    pub(crate) place: Place,
}

/// What lists do not show of an organization.
#[derive(Debug, Clone)]
pub(crate) struct Detail {
    /// The organization.
    pub(crate) listed: ListedOrg,
    /// Its teams that have used most.
    pub(crate) teams: Vec<ListedTeam>,
    /// What administrators did to it last.
    pub(crate) records: Vec<AuditRecord>,
}

/// How many teams and records of an organization are read.
const TEAMS_SHOWN: i64 = 20;
const RECORDS_SHOWN: usize = 20;

/// Reads it.
pub(super) async fn load(source: &Source, query: Query) -> Result<super::Answer, Problem> {
    match query {
        Query::List(ask, order) => {
            let read = ask.read(&ORGS, source.now())?;
            let request = ask.request(&read);
            let found = list::page(source.pool(), order, &request, source.now()).await?;
            let rows = part::page(found, |listed| OrgRow {
                listed: listed.row,
                place: listed.place,
            });
            Ok(super::Answer::Orgs(Answer::List(rows)))
        }
        Query::Detail(id) => {
            let detail = detail(source, &id).await?.map(Box::new);
            Ok(super::Answer::Orgs(Answer::Detail(detail)))
        }
        Query::Impact(id) => Ok(super::Answer::Impact(impact(source, &id).await?)),
    }
}

async fn detail(source: &Source, id: &OrgId) -> Result<Option<Detail>, Problem> {
    let (pool, now) = (source.pool(), source.now());
    let Some(listed) = list::find(pool, id, now).await? else {
        return Ok(None);
    };
    let target = format!("org:{id}");
    Ok(Some(Detail {
        listed,
        teams: teams_of(source, id).await?,
        records: super::audit::latest_of(source, &target, RECORDS_SHOWN).await?,
    }))
}

/// Teams of an organization, those that have used most first.
async fn teams_of(source: &Source, id: &OrgId) -> Result<Vec<ListedTeam>, Problem> {
    let filter = Filter::only_word(&TEAMS, "org", id.as_str());
    let request = Request {
        filter: &filter,
        start: &PageStart::First,
        limit: TEAMS_SHOWN,
        search: SEARCH,
        counted: false,
    };
    let order = (TeamOrder::Used, false);
    let part = teams::page(source.pool(), order, &request, source.now()).await?;
    Ok(part.rows.into_iter().map(|listed| listed.row).collect())
}

async fn impact(source: &Source, id: &OrgId) -> Result<Vec<(String, String)>, Problem> {
    let (pool, now) = (source.pool(), source.now());
    let listed = list::find(pool, id, now).await?;
    let listed = listed.ok_or_else(|| Problem::new(format!("organization {id} is gone")))?;
    let running = listed.teams - listed.stopped_teams;
    let count = format!(
        "{}, of which {} work now",
        format::number(listed.teams),
        format::number(running)
    );
    let mut lines = vec![("Teams".to_owned(), count)];
    let nodes = live::list(pool).await?;
    let mut calls = Vec::new();
    for call in nodes.iter().flat_map(|node| &node.figures.calls) {
        if is_of(source, &call.team_id, id).await? {
            calls.push(call);
        }
    }
    let open_jobs = list::open_jobs(pool, id).await?;
    let counts = (open_jobs, listed.keys);
    lines.extend(super::teams::told(&nodes, &calls, counts));
    Ok(lines)
}

/// Whether a team belongs to an organization.
async fn is_of(source: &Source, team: &str, org: &OrgId) -> Result<bool, Problem> {
    let Ok(team) = team.parse() else {
        return Ok(false);
    };
    let found = teams::find(source.pool(), &team, source.now()).await?;
    Ok(found.is_some_and(|listed| listed.team.org_id == *org))
}
