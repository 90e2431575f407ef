//! The group-commit writer: one task per proxy that does all queued work in one transaction.
//!
//! Under load hundreds of pieces share one commit; alone, one pays one commit. Whoever asked is
//! answered only after the commit.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use sqlx::AnyConnection;
use tokio::sync::oneshot;

use super::batch::{self, Outcomes};
use super::known::Known;
use super::work::{
    BeginCall, CallBegun, CallResult, CompleteJob, EndJob, OpenJob, Outcome, PatchMetadata, Replay,
    SettleCall, Work, WorkError,
};
use super::{Database, StoreError};
use crate::id::TeamId;
use crate::job::{CallState, Job, JobState};
use queue::{FairQueue, QueueFull};

mod queue;

/// How often a batch that the engine could not serialize is tried in a row.
const ATTEMPTS_MAX: u32 = 10;

/// How long to wait before a settlement is tried again while the database is away.
const RETRY_PAUSE: Duration = Duration::from_millis(250);

/// How long a transaction may take before its connection is given up.
const COMMIT_MAX: Duration = Duration::from_secs(30);

/// How long a batch is repeated while the engine is busy, before others are let in between.
const TRANSIENT_MAX: Duration = Duration::from_secs(2);

#[derive(Debug)]
struct Queued {
    work: Work,
    answer: oneshot::Sender<Result<Outcome, WorkError>>,
}

impl Queued {
    /// A piece whose outcome nobody waits for.
    fn unasked(work: Work) -> Self {
        let (answer, _) = oneshot::channel();
        Self { work, answer }
    }

    /// Settlements are done in any case: their upstream cost has arisen already. New work is not if
    /// nobody waits for it any more.
    fn is_wanted(&self) -> bool {
        matches!(self.work, Work::SettleCall(_) | Work::EndJob(_)) || !self.answer.is_closed()
    }
}

/// What the writer will say to one piece of work.
pub type Answer = oneshot::Receiver<Result<Outcome, WorkError>>;

/// Whether the ledger could be written when that was last tried.
#[derive(Debug, Default)]
pub struct WriteHealth(Mutex<Option<(Instant, &'static str)>>);

impl WriteHealth {
    /// The ledger was written.
    pub fn note_success(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// The ledger could not be written.
    pub fn note_failure(&self, error: &StoreError) {
        let mut failing = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let since = failing.map_or_else(Instant::now, |(since, _)| since);
        *failing = Some((since, error.reason()));
    }

    /// Why the ledger cannot be written, in words for anybody; nothing while it can be.
    pub fn problem(&self) -> Option<&'static str> {
        let failing = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        failing.map(|(_, reason)| reason)
    }
}

/// The way to the writer.
#[derive(Debug, Clone)]
pub struct LedgerWriter {
    handle: Arc<Handle>,
    /// How long new work waits for its commit.
    wait_max: Duration,
}

/// Closes the queue when the last [`LedgerWriter`] is gone.
#[derive(Debug)]
struct Handle {
    queue: Arc<FairQueue<Queued>>,
    health: Arc<WriteHealth>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.queue.close();
    }
}

/// The writer's task: dropping all [`LedgerWriter`]s lets it finish its queue and end.
#[derive(Debug)]
pub struct WriterTask {
    database: Database,
    queue: Arc<FairQueue<Queued>>,
    health: Arc<WriteHealth>,
    connection: Option<AnyConnection>,
    known: Known,
}

/// Makes a writer, for which new work waits at most `wait_max`; the caller runs its task.
pub fn writer(database: Database, wait_max: Duration) -> (LedgerWriter, WriterTask) {
    let queue = Arc::new(FairQueue::default());
    let health = Arc::new(WriteHealth::default());
    let task = WriterTask {
        database,
        queue: queue.clone(),
        health: health.clone(),
        connection: None,
        known: Known::default(),
    };
    let handle = Arc::new(Handle { queue, health });
    (LedgerWriter { handle, wait_max }, task)
}

fn stopped() -> WorkError {
    WorkError::Unavailable("the writer has stopped".to_owned())
}

fn unexpected(outcome: &Outcome) -> WorkError {
    WorkError::Unavailable(format!("the writer answered with {outcome:?}"))
}

impl LedgerWriter {
    /// Asks for new work. It is not done if it has not been begun when the wait is over.
    async fn ask(&self, work: Work) -> Result<Outcome, WorkError> {
        let (answer, answered) = oneshot::channel();
        let team_id = work.team_id().clone();
        let queued = Queued { work, answer };
        match self.handle.queue.try_push(&team_id, queued) {
            Ok(()) => {}
            Err(QueueFull::Team) => return Err(WorkError::QueueFull),
            Err(QueueFull::All) => {
                return Err(WorkError::Unavailable(
                    "the ledger's queue is full".to_owned(),
                ));
            }
        }
        match tokio::time::timeout(self.wait_max, answered).await {
            Ok(answered) => answered.map_err(|_| stopped())?,
            Err(_) => Err(WorkError::TimedOut(self.wait_max)),
        }
    }

    /// Whether the ledger could be written when that was last tried.
    pub fn health(&self) -> &WriteHealth {
        &self.handle.health
    }

    /// Creates a job, or returns the one that the same request created before.
    pub async fn open_job(&self, work: OpenJob) -> Result<Job, WorkError> {
        match self.ask(Work::OpenJob(Box::new(work))).await? {
            Outcome::JobOpened(job) => Ok(*job),
            other => Err(unexpected(&other)),
        }
    }

    /// Records and holds a call; `Err` of the inner result is the earlier answer to replay.
    pub async fn begin_call(
        &self,
        work: BeginCall,
    ) -> Result<Result<CallBegun, Box<Replay>>, WorkError> {
        match self.ask(Work::BeginCall(Box::new(work))).await? {
            Outcome::CallBegun(begun) => Ok(Ok(begun)),
            Outcome::CallReplayed(replay) => Ok(Err(replay)),
            other => Err(unexpected(&other)),
        }
    }

    /// Records how a call ended. The writer keeps trying while the database is away.
    pub async fn settle_call(&self, work: SettleCall) -> Result<bool, WorkError> {
        match self
            .settle_call_later(work)
            .await
            .map_err(|_| stopped())??
        {
            Outcome::CallSettled(settled) => Ok(settled.is_first),
            other => Err(unexpected(&other)),
        }
    }

    /// Queues a settlement at once; it is carried out whether or not anyone waits for the answer.
    pub fn settle_call_later(&self, work: SettleCall) -> Answer {
        let (answer, answered) = oneshot::channel();
        let team_id = work.team_id.clone();
        let queued = Queued {
            work: Work::SettleCall(Box::new(work)),
            answer,
        };
        // There are at most as many of these as calls in flight.
        self.handle.queue.push(&team_id, queued);
        answered
    }

    /// Ends a job as its owner says, once.
    pub async fn complete_job(&self, work: CompleteJob) -> Result<Job, WorkError> {
        match self.ask(Work::CompleteJob(Box::new(work))).await? {
            Outcome::JobEnded(job) => Ok(*job),
            other => Err(unexpected(&other)),
        }
    }

    /// Ends a job without its owner.
    pub async fn end_job(&self, work: EndJob) -> Result<Job, WorkError> {
        match self.ask(Work::EndJob(Box::new(work))).await? {
            Outcome::JobEnded(job) => Ok(*job),
            other => Err(unexpected(&other)),
        }
    }

    /// Merges an object into a job's metadata.
    pub async fn patch_metadata(&self, work: PatchMetadata) -> Result<Job, WorkError> {
        match self.ask(Work::PatchMetadata(Box::new(work))).await? {
            Outcome::MetadataPatched(job) => Ok(*job),
            other => Err(unexpected(&other)),
        }
    }
}

impl WriterTask {
    /// Works until every [`LedgerWriter`] is gone and the queue is empty.
    pub async fn run(mut self) {
        let mut retained = Vec::new();
        loop {
            let mut batch: Vec<Queued> = std::mem::take(&mut retained);
            if batch.is_empty() {
                let Some(next) = self.queue.next().await else {
                    return;
                };
                batch = next;
            } else {
                // What is retained does not keep new work from being taken.
                batch.extend(self.queue.take());
            }
            batch.retain(Queued::is_wanted);
            if batch.is_empty() {
                continue;
            }
            retained = self.process_batch(batch).await;
            if self.health.problem().is_some() && !retained.is_empty() {
                tokio::time::sleep(RETRY_PAUSE).await;
            }
        }
    }

    /// Does a batch and answers; returns what is to be tried again.
    async fn process_batch(&mut self, batch: Vec<Queued>) -> Vec<Queued> {
        let works: Vec<&Work> = batch.iter().map(|queued| &queued.work).collect();
        match self.commit(&works).await {
            Ok(outcomes) => answer(batch, outcomes),
            Err(error) if batch.len() > 1 && error.is_about_piece() => self.bisect(batch).await,
            Err(error) if error.is_about_piece() => self.reject(batch, &error).await,
            Err(error) if error.is_lock_timeout() => self.team_by_team(batch, &error).await,
            Err(error) => fail(batch, &error),
        }
    }

    /// Somebody has locked a team's account for long: the other teams go on.
    async fn team_by_team(&mut self, batch: Vec<Queued>, error: &StoreError) -> Vec<Queued> {
        let mut teams: BTreeMap<TeamId, Vec<Queued>> = BTreeMap::new();
        for queued in batch {
            let team_id = queued.work.team_id().clone();
            teams.entry(team_id).or_default().push(queued);
        }
        if teams.len() == 1 {
            return fail(teams.into_values().flatten().collect(), error);
        }
        let mut retained = Vec::new();
        for part in teams.into_values() {
            let works: Vec<&Work> = part.iter().map(|queued| &queued.work).collect();
            match self.commit(&works).await {
                Ok(outcomes) => retained.extend(answer(part, outcomes)),
                Err(error) => retained.extend(fail(part, &error)),
            }
        }
        retained
    }

    /// Finds the pieces that the engine refuses, so that their neighbours are done: each half is a
    /// transaction of its own.
    async fn bisect(&mut self, batch: Vec<Queued>) -> Vec<Queued> {
        // The earlier half is above the later one, so that the order is kept.
        let mut parts = Vec::from(halves(batch));
        let mut retained = Vec::new();
        while let Some(part) = parts.pop() {
            let works: Vec<&Work> = part.iter().map(|queued| &queued.work).collect();
            match self.commit(&works).await {
                Ok(outcomes) => retained.extend(answer(part, outcomes)),
                Err(error) if part.len() > 1 && error.is_about_piece() => {
                    parts.extend(halves(part));
                }
                Err(error) if error.is_about_piece() => {
                    retained.extend(self.reject(part, &error).await);
                }
                Err(error) => retained.extend(fail(part, &error)),
            }
        }
        retained
    }

    /// Answers a command that the engine refuses. A settlement is recorded without its texts, so
    /// that its counts are charged, or else without what came of the call, so that its job can end.
    async fn reject(&mut self, pieces: Vec<Queued>, error: &StoreError) -> Vec<Queued> {
        for queued in pieces {
            let (what, id) = queued.work.subject();
            tracing::error!(%error, what, %id, "the database refuses a ledger command");
            let mut outcome = Err(WorkError::Unrecordable(error.to_string()));
            if let Work::SettleCall(settle) = &queued.work {
                for settle in [without_texts(settle), unrecordable(settle)] {
                    let work = Work::SettleCall(Box::new(settle));
                    match self.commit(&[&work]).await {
                        Ok(mut outcomes) => {
                            outcome = outcomes.pop().unwrap_or(outcome);
                            break;
                        }
                        Err(error) => tracing::error!(%error, %id, "a call cannot be settled"),
                    }
                }
            }
            let _ = queued.answer.send(outcome);
        }
        Vec::new()
    }

    async fn commit(&mut self, works: &[&Work]) -> Result<Outcomes, StoreError> {
        let began = Instant::now();
        let mut attempt = 0;
        loop {
            attempt += 1;
            let committed = self.try_commit(works).await;
            if committed.is_err() {
                self.known = Known::default();
                // What is left of a broken connection or transaction is not worth keeping.
                self.connection = None;
            }
            match committed {
                Err(error)
                    if error.is_transient()
                        && began.elapsed() < TRANSIENT_MAX
                        && attempt < ATTEMPTS_MAX => {}
                Err(error) => {
                    if !error.is_about_piece() && !error.is_lock_timeout() {
                        self.health.note_failure(&error);
                    }
                    return Err(error);
                }
                Ok(outcomes) => {
                    self.health.note_success();
                    return Ok(outcomes);
                }
            }
        }
    }

    /// One attempt, bounded in time: a connection that has silently gone must not stop everything.
    async fn try_commit(&mut self, works: &[&Work]) -> Result<Outcomes, StoreError> {
        tokio::time::timeout(COMMIT_MAX, self.try_commit_unbounded(works))
            .await
            .unwrap_or_else(|_| {
                Err(sqlx::Error::Protocol(format!("no commit within {COMMIT_MAX:?}")).into())
            })
    }

    async fn try_commit_unbounded(&mut self, works: &[&Work]) -> Result<Outcomes, StoreError> {
        let connection = match &mut self.connection {
            Some(connection) => connection,
            none => {
                let connected = self.database.dedicated_connection().await;
                none.insert(connected.map_err(not_begun)?)
            }
        };
        batch::commit(connection, &self.database, works, &mut self.known).await
    }
}

/// The later and the earlier half.
fn halves(mut pieces: Vec<Queued>) -> [Vec<Queued>; 2] {
    let later = pieces.split_off(pieces.len() / 2);
    [later, pieces]
}

/// Answers a batch that is committed. Returns what undoes the work of callers who have given up
/// waiting meanwhile: they were told that nothing was done.
fn answer(batch: Vec<Queued>, outcomes: Outcomes) -> Vec<Queued> {
    let mut undone = Vec::new();
    for (queued, outcome) in batch.into_iter().zip(outcomes) {
        let Err(undelivered) = queued.answer.send(outcome) else {
            continue;
        };
        match (&queued.work, undelivered) {
            (Work::BeginCall(begin), Ok(Outcome::CallBegun(_))) => {
                let work = Work::SettleCall(Box::new(never_sent(begin)));
                undone.push(Queued::unasked(work));
            }
            (Work::OpenJob(open), Ok(Outcome::JobOpened(_)))
                if open.claim.is_none() && open.failed.is_none() =>
            {
                undone.push(Queued::unasked(Work::EndJob(Box::new(never_told(open)))));
            }
            _ => {}
        }
    }
    undone
}

/// Without a connection nothing was begun, so nothing can have been committed.
fn not_begun(error: StoreError) -> StoreError {
    if error.is_transient() {
        error
    } else {
        StoreError::Unavailable(error.to_string())
    }
}

/// Fails new work at once, or keeps it for as long as its caller waits if the engine was only busy;
/// keeps settlements, whose upstream cost has arisen already. A call that may be on record although
/// nobody could be told so is closed as failed: it never went upstream.
fn fail(batch: Vec<Queued>, error: &StoreError) -> Vec<Queued> {
    tracing::error!(%error, pieces = batch.len(), "the ledger could not be written");
    let mut kept = Vec::new();
    for queued in batch {
        match &queued.work {
            Work::SettleCall(_) => {
                kept.push(queued);
                continue;
            }
            _ if error.is_transient() => {
                kept.push(queued);
                continue;
            }
            Work::BeginCall(begin) if error.leaves_outcome_unknown() => {
                let work = Work::SettleCall(Box::new(never_sent(begin)));
                kept.push(Queued::unasked(work));
            }
            _ => {}
        }
        let _ = queued
            .answer
            .send(Err(WorkError::Unavailable(error.to_string())));
    }
    kept
}

/// Ends a job whose creator was told that it could not be created.
fn never_told(open: &OpenJob) -> EndJob {
    EndJob {
        id: open.id,
        team_id: open.team_id.clone(),
        state: JobState::Failed,
        message: "the creator did not wait until the job was created".to_owned(),
        unless_active_since: None,
        release: true,
        now: open.now,
    }
}

/// The end of a call with its counts and costs, without texts of callers and providers.
fn without_texts(settle: &SettleCall) -> SettleCall {
    SettleCall {
        result: CallResult {
            error: None,
            public_error: None,
            ..settle.result.clone()
        },
        metadata: None,
        claim: settle.claim.clone().map(|(claim, _)| (claim, None)),
        ..settle.clone()
    }
}

/// The end of a call of which nothing can be stored but that it has ended.
fn unrecordable(settle: &SettleCall) -> SettleCall {
    SettleCall {
        state: CallState::Failed,
        result: CallResult {
            error_kind: Some("gateway_unrecordable"),
            error: Some("the database refused what came of the call".to_owned()),
            public_error: Some("The call could not be recorded".to_owned()),
            ..CallResult::default()
        },
        metadata: None,
        ..settle.clone()
    }
}

/// Closes a call that did not go upstream. It does nothing if the call is not on record.
fn never_sent(begin: &BeginCall) -> SettleCall {
    SettleCall {
        id: begin.id,
        job_id: begin.job_id,
        team_id: begin.team_id.clone(),
        tracked: true,
        single_call: true,
        state: CallState::Failed,
        planned_price: begin.price.as_ref().map(|price| price.id),
        result: CallResult {
            error_kind: Some("gateway_abandoned"),
            error: Some("the database broke off while the call began".to_owned()),
            public_error: Some("The service was temporarily unavailable".to_owned()),
            ..CallResult::default()
        },
        metadata: None,
        metadata_bytes_max: begin.metadata_bytes_max,
        claim: begin.claim.clone().map(|claim| (claim, None)),
        now: begin.now,
    }
}
