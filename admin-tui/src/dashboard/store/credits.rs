//! Reads what the screen of credits shows, and checks the ledger.

use tollgate_common::clock::{Clock as _, SystemClock, Timestamp};
use tollgate_common::db::ledger::accounts::{self, ACCOUNTS, AccountOrder, ListedAccount};
use tollgate_common::db::ledger::entries::{self, ENTRIES, EntryOrder, ListedEntry};
use tollgate_common::db::ledger::holds::{self, HOLDS, Hold, HoldSums};
use tollgate_common::db::page::{Listed, Place};
use tollgate_common::db::verify::{self, Difference, LastCheck, Progress, Report};
use tollgate_common::db::{job, ledger, usage};
use tollgate_common::id::{JobId, TeamId};
use tollgate_common::job::JobState;
use tollgate_common::money::Credits;

use super::Source;
use super::part::{self, Ask};
use crate::dashboard::change::Outcome;
use crate::dashboard::format;
use crate::dashboard::problem::Problem;
use crate::dashboard::widgets::list::{Page, Start};

/// How many days of spending are shown.
pub(crate) const DAYS: i64 = 30;

/// What can be asked.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Query {
    /// A part of the list of accounts, in this order or in its reverse.
    Accounts(Ask, AccountOrder, bool),
    /// One account with what belongs to it.
    Account(TeamId),
    /// A part of the list of open holds.
    Holds(Ask),
    /// A part of the list of entries, the newest first.
    Entries(Ask),
    /// What a job was charged, and what of it was given back.
    JobCharge(JobId),
    /// How far the check of the ledger has come.
    Progress,
}

/// What is answered.
#[derive(Debug)]
pub(crate) enum Answer {
    /// A part of the list of accounts, and the latest check of the ledger.
    Accounts(Page<AccountRow>, Option<LastCheck>),
    /// The account, if it is there.
    Account(Option<Box<AccountFacts>>),
    /// A part of the list of holds.
    Holds(Page<HoldRow>),
    /// A part of the list of entries.
    Entries(Page<LedgerRow>),
    /// What a job was charged, if there is such a job.
    JobCharge(Option<ChargedJob>),
    /// How far the check has come, while there is one.
    Progress(Option<Progress>),
}

/// An account with its place in the list.
#[derive(Debug, Clone)]
pub(crate) struct AccountRow {
    /// Its place.
    pub(crate) place: Place,
    /// The account.
    pub(crate) listed: ListedAccount,
}

/// A hold with its place in the list.
#[derive(Debug, Clone)]
pub(crate) struct HoldRow {
    /// Its place.
    pub(crate) place: Place,
    /// The hold.
    pub(crate) hold: Hold,
}

/// An entry with its place in the list.
#[derive(Debug, Clone)]
pub(crate) struct LedgerRow {
    /// Its place.
    pub(crate) place: Place,
    /// The entry.
    pub(crate) listed: ListedEntry,
}

/// An account with what belongs to it.
#[derive(Debug, Clone)]
pub(crate) struct AccountFacts {
    /// The account.
    pub(crate) listed: ListedAccount,
    /// Its open jobs, and what they hold together.
    pub(crate) sums: HoldSums,
    /// What was spent on each of the last [`DAYS`] days, today last.
    pub(crate) days: Vec<Credits>,
}

/// What a job was charged, and what of it was given back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ChargedJob {
    /// Whose it is.
    pub(crate) team_id: TeamId,
    /// Its state.
    pub(crate) state: JobState,
    /// What it was charged.
    pub(crate) charged: Credits,
    /// What its refunds gave back.
    pub(crate) refunded: Credits,
}

/// Reads it.
pub(super) async fn load(source: &Source, query: Query) -> Result<super::Answer, Problem> {
    let now = source.now();
    let mut connection = source.pool().acquire().await?;
    let answer = match query {
        Query::Accounts(ask, order, reversed) => {
            let read = ask.read(&ACCOUNTS, now)?;
            let request = ask.request(&read);
            let order = (order, reversed);
            let found = accounts::page(&mut connection, order, &request, now).await?;
            drop(connection);
            let check = verify::last(source.pool()).await?;
            let row = |Listed { place, row }| AccountRow { place, listed: row };
            Answer::Accounts(part::page(found, row), check)
        }
        Query::Account(team) => {
            drop(connection);
            Answer::Account(account(source, team, now).await?.map(Box::new))
        }
        Query::Holds(ask) => {
            let read = ask.read(&HOLDS, now)?;
            let found = holds::page(&mut connection, &ask.request(&read)).await?;
            let row = |Listed { place, row }| HoldRow { place, hold: row };
            Answer::Holds(part::page(found, row))
        }
        Query::Entries(ask) => {
            let read = ask.read(&ENTRIES, now)?;
            let request = ask.request(&read);
            let found = entries::page(&mut connection, EntryOrder::Newest, &request).await?;
            let row = |Listed { place, row }| LedgerRow { place, listed: row };
            Answer::Entries(part::page(found, row))
        }
        Query::JobCharge(id) => {
            let refunded = ledger::refunded(&mut connection, &[id]).await?;
            drop(connection);
            let found = job::find_job(source.pool(), id).await?;
            Answer::JobCharge(found.map(|job| {
                ChargedJob {
                    team_id: job.team_id,
                    state: job.state,
                    charged: job.charged.unwrap_or_default(),
                    refunded: refunded
                        .first()
                        .map_or(Credits::ZERO, |(_, credits)| *credits),
                }
            }))
        }
        Query::Progress => Answer::Progress(source.check.get()),
    };
    Ok(super::Answer::Credits(answer))
}

async fn account(
    source: &Source,
    team: TeamId,
    now: Timestamp,
) -> Result<Option<AccountFacts>, Problem> {
    let ask = Ask::new(format!("team:{team}"), Start::First);
    let read = ask.read(&ACCOUNTS, now)?;
    let request = ask.request(&read);
    let mut connection = source.pool().acquire().await?;
    let order = (AccountOrder::Team, false);
    let found = accounts::page(&mut connection, order, &request, now).await?;
    drop(connection);
    let Some(Listed { row: listed, .. }) = found.rows.into_iter().next() else {
        return Ok(None);
    };
    let sums = holds::sum(source.pool(), &team).await?;
    let since = now.day() - DAYS + 1;
    let spent = usage::credits_per_day(source.pool(), &team, since).await?;
    let day = |day: i64| {
        let found = spent.iter().find(|(spent_on, _)| *spent_on == day);
        found.map_or(Credits::ZERO, |(_, credits)| *credits)
    };
    Ok(Some(AccountFacts {
        listed,
        sums,
        days: (since..=now.day()).map(day).collect(),
    }))
}

/// Checks the whole ledger, tells how far it is, and remembers what came of it.
pub(super) async fn verify(source: &Source) -> Result<Outcome, Problem> {
    let database = &source.session.database;
    let began_at = SystemClock.now();
    let report = verify::verify_telling(database, |step| source.check.set(Some(step))).await;
    source.check.set(None);
    let report = report?;
    let took = source.now().since(began_at);
    if source.session.rights().read_only.is_none() {
        let check = LastCheck {
            at: source.now(),
            actor: source.session.actor().to_owned(),
            differences: i64::try_from(report.differences.len()).unwrap_or(i64::MAX),
        };
        verify::remember(database, &check).await?;
    }
    Ok(outcome(&report, took))
}

fn outcome(report: &Report, took: std::time::Duration) -> Outcome {
    let count = report.differences.len();
    let mut outcome = Outcome::good(match count {
        0 => "the ledger is balanced".to_owned(),
        1 => "1 difference in the ledger".to_owned(),
        _ => format!("{count} differences in the ledger"),
    });
    outcome.is_bad = count > 0;
    let number = format::number;
    let millis = i64::try_from(took.as_millis()).unwrap_or(i64::MAX);
    outcome.lines = vec![
        format!(
            "checked {} accounts, {} entries, {} jobs and {} calls in {}",
            number(report.accounts),
            number(report.entries),
            number(report.jobs),
            number(report.calls),
            format::millis(millis),
        ),
        String::new(),
    ];
    if count == 0 {
        outcome.lines.extend([
            "every balance is the sum of its entries, without a gap;".to_owned(),
            "what is held is what open jobs hold; no job was charged twice;".to_owned(),
            "the sums of each day are what its jobs add up to.".to_owned(),
        ]);
    }
    let differences = report.differences.iter().map(described);
    outcome.lines.extend(differences);
    outcome
}

fn described(difference: &Difference) -> String {
    format!(
        "! {}: {}: stored {}, expected {}",
        difference.place,
        difference.rule,
        format::number(difference.stored),
        format::number(difference.expected)
    )
}
