//! Reads what the screens of jobs and calls show, and ends jobs.

use std::collections::HashMap;

use tollgate_common::clock::Timestamp;
use tollgate_common::command::{Applied, Command};
use tollgate_common::db::call::{self, AttemptRow, list as calls};
use tollgate_common::db::job::list::recent::{Recent, recent};
use tollgate_common::db::job::list::{self as jobs, JobEntry, Place};
use tollgate_common::db::{job, live};
use tollgate_common::filter::Filter;
use tollgate_common::id::{CallId, JobId};
use tollgate_common::job::Job;
use tollgate_common::live::LiveCall;

use super::Source;
use crate::dashboard::change::{Change, Outcome};
use crate::dashboard::format;
use crate::dashboard::problem::Problem;
use crate::dashboard::screens::jobs::row::{CallLine, JobRow};
use crate::dashboard::widgets::list::{PAGE_ROWS, Page, Start};

/// How many of a job's latest calls a detail beside the list shows.
const DETAIL_CALLS: i64 = 40;

/// What can be asked.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Query {
    /// A part of the list, and how many jobs have come in above `seen`.
    Page {
        /// Which jobs.
        filter: Filter,
        /// Which part.
        start: Start<Place>,
        /// The newest job that was shown while the list followed.
        seen: Option<Place>,
    },
    /// How many jobs there are.
    Count(Filter),
    /// What came in during the last hour.
    Recent(Filter),
    /// One step further of a search, below a moment.
    More(Filter, Timestamp),
    /// The same jobs as they are now.
    Again(Vec<JobId>),
    /// One job and its latest calls.
    Detail(JobId),
    /// A part of a job's calls.
    Calls(JobId, Start<CallId>),
    /// One call with its tries.
    Call(CallId),
    /// What ending these jobs would touch.
    Impact(Vec<JobId>),
}

/// What is answered.
#[derive(Debug)]
pub(crate) enum Answer {
    /// A part of the list.
    Page(Box<JobsPage>),
    /// How many there are, in words.
    Count(String),
    /// What came in during the last hour.
    Recent(Box<Recent>),
    /// What a further step of a search has found, and how far it went if not to the end.
    More(Vec<JobRow>, Option<Timestamp>),
    /// Jobs as they are now.
    Again(Vec<JobRow>),
    /// A job and its latest calls.
    Detail(Box<Detail>),
    /// A part of a job's calls.
    Calls(Page<CallLine>),
    /// A call with its tries.
    Call(Box<CallDetail>),
}

/// A part of the list of jobs.
#[derive(Debug)]
pub(crate) struct JobsPage {
    /// The rows.
    pub(crate) page: Page<JobRow>,
    /// How far a search went that did not see everything.
    pub(crate) reach: Option<Timestamp>,
    /// How many jobs have come in since the list was followed.
    pub(crate) newer: usize,
}

/// A job and its latest calls.
#[derive(Debug, Clone)]
pub(crate) struct Detail {
    /// The job, with all of its metadata.
    pub(crate) job: JobRow,
    /// Its latest calls in their order.
    pub(crate) calls: Vec<CallLine>,
    /// How many calls come before them.
    pub(crate) earlier: i64,
}

/// A call with its tries.
#[derive(Debug, Clone)]
pub(crate) struct CallDetail {
    /// The call.
    pub(crate) line: CallLine,
    /// Tries that failed, in their order; known when the call has ended.
    pub(crate) attempts: Vec<AttemptRow>,
}

/// Reads it.
pub(super) async fn load(source: &Source, query: Query) -> Result<super::Answer, Problem> {
    let pool = source.pool();
    let answer = match query {
        Query::Page {
            filter,
            start,
            seen,
        } => Answer::Page(Box::new(page(source, &filter, start, seen).await?)),
        Query::Count(filter) => {
            let (count, reach) = jobs::count(pool, &filter).await?;
            Answer::Count(counted(count, reach.is_some()))
        }
        Query::Recent(filter) => {
            let recent = recent(pool, &filter, source.now()).await?;
            Answer::Recent(Box::new(recent))
        }
        Query::More(filter, below) => {
            let start = jobs::Start::At(Place {
                created_at: below,
                id: None,
            });
            let found = jobs::page(pool, &filter, start, page_rows()).await?;
            Answer::More(with_live(source, found.jobs).await?, found.reach)
        }
        Query::Again(ids) => {
            let found = jobs::by_ids(pool, &ids).await?;
            Answer::Again(with_live(source, found).await?)
        }
        Query::Detail(id) => Answer::Detail(Box::new(detail(source, id).await?)),
        Query::Calls(id, start) => Answer::Calls(calls_of(source, id, start).await?),
        Query::Call(id) => Answer::Call(Box::new(call_detail(source, id).await?)),
        Query::Impact(ids) => return impact(source, &ids).await.map(super::Answer::Impact),
    };
    Ok(super::Answer::Jobs(answer))
}

fn page_rows() -> i64 {
    i64::try_from(PAGE_ROWS).unwrap_or(i64::MAX)
}

fn counted(count: i64, is_part: bool) -> String {
    let sign = if is_part || count > jobs::COUNTED_MAX {
        "+"
    } else {
        ""
    };
    format!("{}{sign}", format::number(count.min(jobs::COUNTED_MAX)))
}

async fn page(
    source: &Source,
    filter: &Filter,
    start: Start<Place>,
    seen: Option<Place>,
) -> Result<JobsPage, Problem> {
    let pool = source.pool();
    let limit = page_rows();
    let asked = match &start {
        Start::First => jobs::Start::First,
        Start::At(place) => jobs::Start::At(*place),
        Start::Before(place) => jobs::Start::Before(*place),
        Start::Last => jobs::Start::Last,
    };
    let mut found = jobs::page(pool, filter, asked, limit).await?;
    let is_up = matches!(start, Start::Before(_) | Start::Last);
    if matches!(start, Start::Before(_)) && !found.more && found.reach.is_none() {
        // So near to the top, the first page shows them too, and those below.
        found = jobs::page(pool, filter, jobs::Start::First, limit).await?;
        return finish(source, found, (0, 0)).await;
    }
    let first = found.jobs.first().map(JobEntry::place);
    let above = match (&start, first) {
        (Start::First, _) | (_, None) => 0,
        (_, Some(first)) => jobs::count_newer(pool, filter, first).await?,
    };
    let newer = match seen {
        _ if start == Start::First => 0,
        Some(seen) if Some(seen) != first => jobs::count_newer(pool, filter, seen).await?,
        Some(_) => above,
        None => 0,
    };
    if is_up {
        // What was found is in the middle: there are jobs below, but for the very last ones.
        found.more = start != Start::Last;
        found.reach = None;
    }
    finish(source, found, (above, newer)).await
}

async fn finish(
    source: &Source,
    found: jobs::Found,
    (above, newer): (i64, i64),
) -> Result<JobsPage, Problem> {
    Ok(JobsPage {
        page: Page {
            rows: with_live(source, found.jobs).await?,
            above: usize::try_from(above).unwrap_or(0),
            below: found.more,
            count: String::new(),
            note: String::new(),
        },
        reach: found.reach,
        newer: usize::try_from(newer).unwrap_or(0),
    })
}

/// Gives open jobs what nodes tell of their calls in flight.
async fn with_live(source: &Source, jobs: Vec<JobEntry>) -> Result<Vec<JobRow>, Problem> {
    let is_open = jobs.iter().any(|entry| entry.job.state.is_open());
    let mut by_job: HashMap<String, i64> = HashMap::new();
    if is_open {
        for call in live_calls(source).await? {
            *by_job.entry(call.job_id).or_default() += call.output_tokens;
        }
    }
    let rows = jobs.into_iter().map(|entry| JobRow {
        live_tokens: by_job.get(&entry.job.id.to_string()).copied().unwrap_or(0),
        entry,
    });
    Ok(rows.collect())
}

async fn live_calls(source: &Source) -> Result<Vec<LiveCall>, Problem> {
    let told = live::list(source.pool()).await?.into_iter();
    Ok(told.flat_map(|told| told.figures.calls).collect())
}

async fn detail(source: &Source, id: JobId) -> Result<Detail, Problem> {
    let pool = source.pool();
    let mut found = jobs::by_ids(pool, &[id]).await?;
    let whole = job::find_job(pool, id).await?;
    let (Some(mut entry), Some(whole)) = (found.pop(), whole) else {
        return Err(Problem::new(format!("job {id} is gone")));
    };
    entry.job = whole;
    let mut rows = with_live(source, vec![entry]).await?;
    let Some(job) = rows.pop() else {
        return Err(Problem::new(format!("job {id} is gone")));
    };
    let (latest, _) = calls::of_job(pool, id, calls::Start::Last, DETAIL_CALLS).await?;
    let earlier = (job.entry.totals.calls - i64::try_from(latest.len()).unwrap_or(0)).max(0);
    let calls = lines(source, latest, earlier).await?;
    Ok(Detail {
        job,
        calls,
        earlier,
    })
}

async fn lines(
    source: &Source,
    entries: Vec<calls::CallEntry>,
    before: i64,
) -> Result<Vec<CallLine>, Problem> {
    let in_flight = entries.iter().any(|entry| entry.call.ended_at.is_none());
    let live = if in_flight {
        live_calls(source).await?
    } else {
        Vec::new()
    };
    let numbered = entries.into_iter().zip(before + 1..);
    let lines = numbered.map(|(entry, number)| {
        let id = entry.call.id.to_string();
        CallLine {
            number,
            live: live.iter().find(|call| call.id == id).cloned(),
            entry,
        }
    });
    Ok(lines.collect())
}

async fn calls_of(
    source: &Source,
    job: JobId,
    start: Start<CallId>,
) -> Result<Page<CallLine>, Problem> {
    let pool = source.pool();
    let asked = match start {
        Start::First => calls::Start::First,
        Start::At(id) => calls::Start::At(id),
        Start::Before(id) => calls::Start::Before(id),
        Start::Last => calls::Start::Last,
    };
    let limit = page_rows();
    let (mut entries, mut more) = calls::of_job(pool, job, asked, limit).await?;
    if matches!(start, Start::Before(_)) && !more {
        (entries, more) = calls::of_job(pool, job, calls::Start::First, limit).await?;
    } else if start == Start::Last {
        more = false;
    } else if matches!(start, Start::Before(_)) {
        more = true;
    }
    let first = entries.first().map(|entry| entry.call.id);
    let most = jobs::COUNTED_MAX + 1;
    let before = match first {
        Some(id) if start != Start::First => calls::count_before(pool, job, Some(id), most).await?,
        _ => 0,
    };
    let count = calls::count_before(pool, job, None, most).await?;
    Ok(Page {
        rows: lines(source, entries, before).await?,
        above: usize::try_from(before).unwrap_or(0),
        below: more,
        count: counted(count, false),
        note: String::new(),
    })
}

async fn call_detail(source: &Source, id: CallId) -> Result<CallDetail, Problem> {
    let pool = source.pool();
    let found = calls::by_ids(pool, &[id]).await?;
    let before = match found.first() {
        Some(entry) => calls::count_before(pool, entry.job_id, Some(id), jobs::COUNTED_MAX).await?,
        None => 0,
    };
    let line = lines(source, found, before).await?.pop();
    let line = line.ok_or_else(|| Problem::new(format!("call {id} is gone")))?;
    let attempts = call::list_attempts(pool, id).await?;
    Ok(CallDetail { line, attempts })
}

/// What ending jobs would touch, as lines of the question before it.
async fn impact(source: &Source, ids: &[JobId]) -> Result<Vec<(String, String)>, Problem> {
    let found = jobs::by_ids(source.pool(), ids).await?;
    let open = || found.iter().filter(|entry| entry.job.state.is_open());
    let held: i64 = open().map(|entry| entry.job.hold.0).sum();
    let in_flight: i64 = open().map(|entry| entry.totals.in_flight()).sum();
    let cost: i64 = open().map(|entry| entry.totals.provider_cost.0).sum();
    let calls = match in_flight {
        0 => "none".to_owned(),
        1 => "1 goes on to its end, with its part of the hold".to_owned(),
        many => format!(
            "{} go on to their end, with their part of the hold",
            format::number(many)
        ),
    };
    let mut lines = vec![
        (
            "Held now".to_owned(),
            format!("{} credits", format::number(held)),
        ),
        ("In flight".to_owned(), calls),
        (
            "Spent".to_owned(),
            format!(
                "{} asked by providers so far",
                format::dollars(tollgate_common::money::NanoUsd(cost))
            ),
        ),
    ];
    let ended = ids.len().saturating_sub(open().count());
    if ended > 0 {
        lines.push((
            "Left out".to_owned(),
            format!("{ended} have ended meanwhile"),
        ));
    }
    Ok(lines)
}

/// Ends a job and tells what that has released. The reason becomes the job's message, unless there
/// is none.
pub(super) async fn end(
    source: &Source,
    change: &Change,
    command: &Command,
) -> Result<Outcome, Problem> {
    let mut command = command.clone();
    if let Command::CancelJob { reason, .. } | Command::FailJob { reason, .. } = &mut command
        && let Some(why) = &change.reason
    {
        reason.clone_from(why);
    }
    let before = match &command {
        Command::CancelJob { id, .. } | Command::FailJob { id, .. } => {
            jobs::by_ids(source.pool(), &[*id]).await?.pop()
        }
        _ => None,
    };
    let grounds = super::change::grounds(change);
    match source.session.execute_on(grounds, &command).await? {
        Applied::Job(job) => Ok(Outcome::good(ending(&job, before.as_ref()))),
        _ => Ok(Outcome::good(change.sentence.clone())),
    }
}

fn ending(job: &Job, before: Option<&JobEntry>) -> String {
    let held = before.map_or(0, |entry| entry.job.hold.0);
    let charged = job.charged.unwrap_or_default();
    let released = format::number(
        held.saturating_sub(job.hold.0)
            .saturating_sub(charged.0)
            .max(0),
    );
    let charged = format::credits(charged);
    let short = format::short_id(&job.id.to_string());
    let in_flight = before.map_or(0, |entry| entry.totals.in_flight());
    let calls = match in_flight {
        0 => String::new(),
        1 => "; 1 call in flight goes on".to_owned(),
        many => format!("; {many} calls in flight go on"),
    };
    format!(
        "job {short} {}: {charged} credits charged, {released} released{calls}",
        job.state.word()
    )
}
