//! Reads what the screen of organizations shows.

use tollgate_common::db::audit::{self, AuditRecord};
use tollgate_common::db::org::list::{self, ListedOrg, ORGS, OrgOrder};
use tollgate_common::db::page::{Place, Request, SEARCH, Start as PageStart};
use tollgate_common::db::team::list::{self as teams, ListedTeam, TEAMS, TeamOrder};
use tollgate_common::filter::Filter;
use tollgate_common::id::{OrgId, TeamId};

use super::{Source, page};
use crate::dashboard::format;
use crate::dashboard::problem::Problem;
use crate::dashboard::widgets::list::{Page, Start};

/// What can be asked.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Query {
    /// A part of the list.
    List {
        /// What it is narrowed to.
        filter: Filter,
        /// In what order, and whether that is turned around.
        order: (OrgOrder, bool),
        /// Which part.
        start: Start<Place>,
    },
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
const RECORDS_SHOWN: i64 = 20;

/// The most teams of one organization that a question is answered for.
const TEAMS_MAX: i64 = 10_000;

/// Reads it.
pub(super) async fn load(source: &Source, query: Query) -> Result<super::Answer, Problem> {
    match query {
        Query::List {
            filter,
            order,
            start,
        } => {
            let start = page::start(&start);
            let request = page::request(&filter, &start);
            let part = list::page(source.pool(), order, &request, source.now()).await?;
            let rows = page::page(part, |listed, place| OrgRow { listed, place });
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
    let filter = Filter::only_word(&ORGS, "org", id.as_str());
    let request = first(&filter, 1);
    let order = (OrgOrder::Id, false);
    let part = list::page(pool, order, &request, now).await?;
    let Some(found) = part.rows.into_iter().next() else {
        return Ok(None);
    };
    let target = format!("org:{id}");
    Ok(Some(Detail {
        listed: found.row,
        teams: teams_of(source, id, TEAMS_SHOWN).await?,
        records: audit::list(pool, Some(&target), None, RECORDS_SHOWN).await?,
    }))
}

/// The first rows, not counted.
const fn first(filter: &Filter, limit: i64) -> Request<'_> {
    Request {
        filter,
        start: &PageStart::First,
        limit,
        search: SEARCH,
        counted: false,
    }
}

/// Teams of an organization, those that have used most first.
async fn teams_of(source: &Source, id: &OrgId, limit: i64) -> Result<Vec<ListedTeam>, Problem> {
    let filter = Filter::only_word(&TEAMS, "org", id.as_str());
    let request = first(&filter, limit);
    let order = (TeamOrder::Used, false);
    let part = teams::page(source.pool(), order, &request, source.now()).await?;
    Ok(part.rows.into_iter().map(|listed| listed.row).collect())
}

async fn impact(source: &Source, id: &OrgId) -> Result<Vec<(String, String)>, Problem> {
    let teams = teams_of(source, id, TEAMS_MAX).await?;
    let ids: Vec<TeamId> = teams.into_iter().map(|listed| listed.team.id).collect();
    let count = format!("{} stop at once", format::number(ids.len() as i64));
    let mut lines = vec![("Teams".to_owned(), count)];
    lines.extend(super::teams::impact(source, &ids).await?);
    Ok(lines)
}
