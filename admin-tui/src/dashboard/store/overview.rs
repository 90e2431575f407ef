//! Reads what the overview shows.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use tollgate_common::clock::Timestamp;
use tollgate_common::db::job::{self, JobFilter};
use tollgate_common::db::live::{self, Told};
use tollgate_common::db::overview::{self, DaySums, LowBalance, OddJob};
use tollgate_common::db::verify::{self, LastCheck};
use tollgate_common::db::{model, node, provider};
use tollgate_common::id::{KeyId, ModelAlias, NodeId, TeamId};
use tollgate_common::job::Job;
use tollgate_common::live::{Traffic, minute_of};

use super::Source;
use crate::dashboard::problem::Problem;

/// How many lines of each kind ask for attention at most.
const LINES_MAX: i64 = 5;

/// How long ago a job may have failed to ask for attention.
const FAILED_SINCE: Duration = Duration::from_mins(30);

/// After what time without work an open job's hold asks for attention.
const STUCK_AFTER: Duration = Duration::from_hours(1);

/// How long before their end keys ask for attention.
const EXPIRES_WITHIN: Duration = Duration::from_hours(7 * 24);

/// How many minutes the busiest teams are looked for in.
pub(crate) const RECENT_MINUTES: i64 = 5;

/// How many of the newest jobs are shown.
const JOBS_SHOWN: i64 = 30;

/// What can be asked.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Query {
    /// The present of all nodes, and the newest jobs.
    Present,
    /// What passed in so many minutes.
    Past(i64),
    /// Money of the day, and what asks for attention.
    Books,
}

/// What is answered.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    /// See [`Query::Present`].
    Present(Box<Present>),
    /// See [`Query::Past`].
    Past(Box<Past>),
    /// See [`Query::Books`].
    Books(Box<Books>),
}

/// A node: when it last said that it lives, and what it told.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct NodeLine {
    /// The node.
    pub(crate) id: NodeId,
    /// When it last said that it lives, by its own clock.
    pub(crate) seen_at: Timestamp,
    /// What it told last.
    pub(crate) told: Option<Told>,
}

/// A provider's keys that may be used.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct ProviderKeys {
    /// Whether the provider may be used.
    pub(crate) enabled: bool,
    /// The ids of its enabled keys.
    pub(crate) keys: Vec<String>,
}

/// The present of all nodes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Present {
    /// The nodes.
    pub(crate) nodes: Vec<NodeLine>,
    /// The providers by name, in their order.
    pub(crate) providers: Vec<(String, ProviderKeys)>,
    /// The newest jobs.
    pub(crate) jobs: Vec<Job>,
}

/// What passed in the range that is shown.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Past {
    /// How many minutes the range has.
    pub(crate) minutes: i64,
    /// The minute that was current when this was read.
    pub(crate) until: i64,
    /// Calls and errors of each minute, the latest last; as many as the range has.
    pub(crate) calls: Vec<u64>,
    /// All minutes together.
    pub(crate) all: Traffic,
    /// The last [`RECENT_MINUTES`] together.
    pub(crate) recent: Traffic,
}

/// Money of the day, and what asks for attention.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Books {
    /// When it was read.
    pub(crate) at: Timestamp,
    /// Sums of the day.
    pub(crate) day: DaySums,
    /// The poorest teams.
    pub(crate) low: Vec<LowBalance>,
    /// How many teams are poor.
    pub(crate) low_count: i64,
    /// The last check of the ledger.
    pub(crate) check: Option<LastCheck>,
    /// Jobs that failed.
    pub(crate) failed: Vec<OddJob>,
    /// Jobs with stuck holds.
    pub(crate) stuck: Vec<OddJob>,
    /// Keys that end soon.
    pub(crate) expiring: Vec<(KeyId, TeamId, Timestamp)>,
    /// Models without a price that need one.
    pub(crate) unpriced: Vec<ModelAlias>,
}

/// Reads it.
pub(super) async fn load(source: &Source, query: Query) -> Result<super::Answer, Problem> {
    let answer = match query {
        Query::Present => Answer::Present(Box::new(present(source).await?)),
        Query::Past(minutes) => Answer::Past(Box::new(past(source, minutes).await?)),
        Query::Books => Answer::Books(Box::new(books(source).await?)),
    };
    Ok(super::Answer::Overview(answer))
}

async fn present(source: &Source) -> Result<Present, Problem> {
    let pool = source.pool();
    let told = live::list(pool).await?;
    let mut told: HashMap<NodeId, Told> =
        told.into_iter().map(|told| (told.node_id, told)).collect();
    let nodes = node::list(pool).await?.into_iter();
    let nodes = nodes.map(|(id, seen_at)| NodeLine {
        id,
        seen_at,
        told: told.remove(&id),
    });
    let filter = JobFilter::default();
    Ok(Present {
        nodes: nodes.collect(),
        providers: providers(source).await?,
        jobs: job::list_jobs(pool, &filter, JOBS_SHOWN).await?,
    })
}

async fn providers(source: &Source) -> Result<Vec<(String, ProviderKeys)>, Problem> {
    // Organizations may have accounts of the same name; traffic is told by name.
    let mut found: BTreeMap<String, ProviderKeys> = BTreeMap::new();
    for provider in provider::list(source.pool()).await? {
        let known = found.entry(provider.name.to_string()).or_default();
        known.enabled |= provider.enabled;
        let keys = provider.credentials.iter().map(|key| key.id.to_string());
        known.keys.extend(keys);
    }
    Ok(found.into_iter().collect())
}

async fn past(source: &Source, minutes: i64) -> Result<Past, Problem> {
    let until = minute_of(source.now());
    let first = until - minutes + 1;
    let mut past = Past {
        minutes,
        until,
        calls: vec![0; usize::try_from(minutes).unwrap_or(0)],
        all: Traffic::default(),
        recent: Traffic::default(),
    };
    for (minute, traffic) in live::traffic(source.pool(), first).await? {
        let place = usize::try_from(minute - first).unwrap_or(0);
        if let Some(calls) = past.calls.get_mut(place) {
            *calls = traffic.calls;
        }
        past.all.add(&traffic);
        if minute > until - RECENT_MINUTES {
            past.recent.add(&traffic);
        }
    }
    Ok(past)
}

async fn books(source: &Source) -> Result<Books, Problem> {
    let (pool, now) = (source.pool(), source.now());
    let (low, low_count) = overview::low_balances(pool, LINES_MAX).await?;
    let soon = (now, now.plus(EXPIRES_WITHIN));
    Ok(Books {
        at: now,
        day: overview::day(pool, now).await?,
        low,
        low_count,
        check: verify::last(pool).await?,
        failed: overview::failed_jobs(pool, now.minus(FAILED_SINCE), LINES_MAX).await?,
        stuck: overview::stuck_jobs(pool, now.minus(STUCK_AFTER), LINES_MAX).await?,
        expiring: overview::expiring_keys(pool, soon, LINES_MAX).await?,
        unpriced: unpriced(source).await?,
    })
}

async fn unpriced(source: &Source) -> Result<Vec<ModelAlias>, Problem> {
    let charged = overview::models_charged_by_cost(source.pool()).await?;
    let models = model::list(source.pool()).await?.into_iter();
    let unpriced = models.filter(|model| model.price().is_none());
    Ok(unpriced
        .map(|model| model.alias)
        .filter(|alias| charged.contains(alias))
        .take(usize::try_from(LINES_MAX).unwrap_or(0))
        .collect())
}
