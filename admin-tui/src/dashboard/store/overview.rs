//! Reads what the screen of overview shows: what nodes tell of the present, often, and what changes
//! slowly, seldom.

use std::time::Duration;

use tollgate_common::clock::Timestamp;
use tollgate_common::db::live::{self, Told};
use tollgate_common::db::overview::{
    self, DaySums, EndingKey, FailedJob, IdleHold, ImplausibleCall, LowBalance, OwingTeam,
    Uncharged,
};
use tollgate_common::db::verify::{self, LastCheck};
use tollgate_common::db::{model, node, provider};
use tollgate_common::id::{ModelAlias, NodeId};
use tollgate_common::live::Traffic;

use super::Source;
use crate::dashboard::problem::Problem;

/// How many objects of each kind are listed; more are not looked at one by one.
const LISTED: i64 = 20;

/// For how long a failed job needs a look.
const FAILED_LATELY: Duration = Duration::from_hours(1);

/// For how long cost without a charge and charges by impossible counts need a look.
const UNCLEAR_LATELY: Duration = Duration::from_hours(24);

/// How long a hold may wait for a call before it needs a look.
const IDLE_LONG: Duration = Duration::from_mins(10);

/// How long before its end a key needs a look.
const ENDS_SOON: Duration = Duration::from_hours(7 * 24);

/// What can be asked.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Query {
    /// What nodes tell, with the traffic from this minute on.
    Present(i64),
    /// What changes slowly.
    Standing,
}

/// What is answered.
#[derive(Debug)]
pub(crate) enum Answer {
    /// What nodes tell.
    Present(Box<Present>),
    /// What changes slowly.
    Standing(Box<Standing>),
}

/// What nodes tell of the present.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Present {
    /// When it was read.
    pub(crate) at: Timestamp,
    /// All nodes, each with its last heartbeat.
    pub(crate) nodes: Vec<(NodeId, Timestamp)>,
    /// What each has told last; a node that never had anything to tell is not here.
    pub(crate) told: Vec<Told>,
    /// From which minute on traffic was read.
    pub(crate) since: i64,
    /// The traffic of each minute in which there was some.
    pub(crate) minutes: Vec<(i64, Traffic)>,
}

/// A provider's key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Credential {
    /// Its id.
    pub(crate) id: String,
    /// The provider's name.
    pub(crate) provider: String,
    /// The last characters of the key.
    pub(crate) hint: String,
}

/// What changes slowly.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Standing {
    /// When it was read.
    pub(crate) at: Timestamp,
    /// Today's sums.
    pub(crate) today: DaySums,
    /// Yesterday's.
    pub(crate) yesterday: DaySums,
    /// Teams with little left, and how many they are.
    pub(crate) low: (Vec<LowBalance>, i64),
    /// Teams that owe credits.
    pub(crate) owing: Vec<OwingTeam>,
    /// Calls of the last day that were charged at their worst case, because their providers
    /// counted what is impossible.
    pub(crate) implausible: Vec<ImplausibleCall>,
    /// What providers ask for calls of the last day that nobody was charged for.
    pub(crate) uncharged: Option<Uncharged>,
    /// Jobs that failed lately.
    pub(crate) failed: Vec<FailedJob>,
    /// Credits that are held though nothing goes on.
    pub(crate) idle: Vec<IdleHold>,
    /// Keys that end soon.
    pub(crate) ending: Vec<EndingKey>,
    /// Models that cannot be charged for where they are granted.
    pub(crate) unpriced: Vec<ModelAlias>,
    /// The latest check of the ledger.
    pub(crate) check: Option<LastCheck>,
    /// Keys of providers that may be used.
    pub(crate) credentials: Vec<Credential>,
}

/// Reads it.
pub(super) async fn load(source: &Source, query: Query) -> Result<super::Answer, Problem> {
    let answer = match query {
        Query::Present(since) => Answer::Present(Box::new(present(source, since).await?)),
        Query::Standing => Answer::Standing(Box::new(standing(source).await?)),
    };
    Ok(super::Answer::Overview(answer))
}

async fn present(source: &Source, since: i64) -> Result<Present, Problem> {
    let pool = source.pool();
    Ok(Present {
        nodes: node::list(pool).await?,
        told: live::list(pool).await?,
        since,
        minutes: live::traffic(pool, since).await?,
        at: source.now(),
    })
}

async fn standing(source: &Source) -> Result<Standing, Problem> {
    let pool = source.pool();
    let now = source.now();
    let soon = (now, now.plus(ENDS_SOON));
    Ok(Standing {
        at: now,
        today: overview::day(pool, now.day()).await?,
        yesterday: overview::day(pool, now.day() - 1).await?,
        low: overview::low_balances(pool, LISTED).await?,
        owing: overview::owing_teams(pool, LISTED).await?,
        implausible: overview::implausible_calls(pool, now.minus(UNCLEAR_LATELY), LISTED).await?,
        uncharged: overview::uncharged(pool, now.minus(UNCLEAR_LATELY)).await?,
        failed: overview::failed_jobs(pool, now.minus(FAILED_LATELY), LISTED).await?,
        idle: overview::idle_holds(pool, now.minus(IDLE_LONG), LISTED).await?,
        ending: overview::ending_keys(pool, soon, LISTED).await?,
        unpriced: unpriced(source).await?,
        check: verify::last(pool).await?,
        credentials: credentials(source).await?,
    })
}

async fn unpriced(source: &Source) -> Result<Vec<ModelAlias>, Problem> {
    let charged = overview::charged_by_cost(source.pool()).await?;
    let models = model::list(source.pool(), &[]).await?;
    let without = models.into_iter().filter(|model| model.price().is_none());
    Ok(without
        .map(|model| model.alias)
        .filter(|alias| charged.contains(alias))
        .collect())
}

async fn credentials(source: &Source) -> Result<Vec<Credential>, Problem> {
    let rows = provider::list_credentials(source.pool()).await?;
    let usable = rows.into_iter().filter(|row| row.enabled);
    Ok(usable
        .map(|row| Credential {
            id: row.sealed.id.to_string(),
            provider: row.provider.name.to_string(),
            hint: row.hint,
        })
        .collect())
}
