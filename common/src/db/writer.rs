//! The group-commit writer: one task per proxy that does all queued work in one transaction.
//!
//! Under load hundreds of pieces share one commit; alone, one pays one commit. Whoever asked is
//! answered only after the commit.

use std::time::Duration;

use sqlx::AnyConnection;
use tokio::sync::{mpsc, oneshot};

use super::batch::{self, Outcomes};
use super::known::Known;
use super::work::{
    BeginCall, CallBegun, CallResult, CompleteJob, EndJob, OpenJob, Outcome, PatchMetadata, Replay,
    SettleCall, Work, WorkError,
};
use super::{Database, StoreError};
use crate::job::{CallState, Job};

/// How much may wait; beyond it callers wait to be queued. Each piece is at most a few kilobytes.
const QUEUE_LENGTH: usize = 8_192;

/// How much one transaction does: bounds what a rollback repeats and how long others wait.
const BATCH_MAX: usize = 512;

/// How often a batch that the engine could not serialize is tried before it fails.
const ATTEMPTS_MAX: u32 = 10;

/// How long to wait before a settlement is tried again while the database is away.
const RETRY_PAUSE: Duration = Duration::from_millis(500);

/// How long a transaction may take before its connection is given up.
const COMMIT_MAX: Duration = Duration::from_secs(30);

#[derive(Debug)]
struct Queued {
    work: Work,
    answer: oneshot::Sender<Result<Outcome, WorkError>>,
}

/// What the writer will say to one piece of work.
pub type Answer = oneshot::Receiver<Result<Outcome, WorkError>>;

/// The way to the writer.
#[derive(Debug, Clone)]
pub struct LedgerWriter {
    queue: mpsc::Sender<Queued>,
}

/// The writer's task: dropping all [`LedgerWriter`]s lets it finish its queue and end.
#[derive(Debug)]
pub struct WriterTask {
    database: Database,
    queue: mpsc::Receiver<Queued>,
    connection: Option<AnyConnection>,
    known: Known,
}

/// Makes a writer; its task is to be run by the caller.
pub fn writer(database: Database) -> (LedgerWriter, WriterTask) {
    let (sender, receiver) = mpsc::channel(QUEUE_LENGTH);
    let task = WriterTask {
        database,
        queue: receiver,
        connection: None,
        known: Known::default(),
    };
    (LedgerWriter { queue: sender }, task)
}

fn stopped() -> WorkError {
    WorkError::Unavailable("the writer has stopped".to_owned())
}

fn unexpected(outcome: &Outcome) -> WorkError {
    WorkError::Unavailable(format!("the writer answered with {outcome:?}"))
}

impl LedgerWriter {
    async fn ask(&self, work: Work) -> Result<Outcome, WorkError> {
        let (answer, answered) = oneshot::channel();
        self.queue
            .send(Queued { work, answer })
            .await
            .map_err(|_| stopped())?;
        answered.await.map_err(|_| stopped())?
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
        let queued = Queued {
            work: Work::SettleCall(Box::new(work)),
            answer,
        };
        if let Err(mpsc::error::TrySendError::Full(queued)) = self.queue.try_send(queued) {
            let queue = self.queue.clone();
            // There are at most as many of these as calls in flight. Without a runtime the process
            // is ending, and the next start closes the call.
            if let Ok(runtime) = tokio::runtime::Handle::try_current() {
                runtime.spawn(async move { queue.send(queued).await.is_ok() });
            }
        }
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
            let mut batch = std::mem::take(&mut retained);
            // What is retained does not keep new work from being taken, and failed at once if need
            // be.
            if batch.is_empty() && self.queue.recv_many(&mut batch, BATCH_MAX).await == 0 {
                return;
            }
            for _ in 0..BATCH_MAX {
                let Ok(queued) = self.queue.try_recv() else {
                    break;
                };
                batch.push(queued);
            }
            retained = self.work_off(batch).await;
            if !retained.is_empty() {
                tokio::time::sleep(RETRY_PAUSE).await;
            }
        }
    }

    /// Does a batch and answers; returns the settlements that the database could not take now.
    async fn work_off(&mut self, batch: Vec<Queued>) -> Vec<Queued> {
        let works: Vec<&Work> = batch.iter().map(|queued| &queued.work).collect();
        match self.commit(&works).await {
            Ok(outcomes) => {
                answer(batch, outcomes);
                Vec::new()
            }
            Err(error) if batch.len() > 1 && error.is_about_data() => self.one_by_one(batch).await,
            Err(error) => fail(batch, &error),
        }
    }

    /// One piece that the engine refuses must not take the others down with it.
    async fn one_by_one(&mut self, batch: Vec<Queued>) -> Vec<Queued> {
        let mut left = Vec::new();
        for queued in batch {
            match self.commit(&[&queued.work]).await {
                Ok(outcomes) => answer(vec![queued], outcomes),
                Err(error) => left.extend(fail(vec![queued], &error)),
            }
        }
        left
    }

    async fn commit(&mut self, works: &[&Work]) -> Result<Outcomes, StoreError> {
        let mut attempt = 0;
        loop {
            attempt += 1;
            let committed = self.try_commit(works).await;
            if committed.is_err() {
                self.known = Known::default();
            }
            match committed {
                Err(error) if error.is_transient() && attempt < ATTEMPTS_MAX => {}
                Err(error) => {
                    // What is left of a broken connection or transaction is not worth keeping.
                    self.connection = None;
                    return Err(error);
                }
                Ok(outcomes) => return Ok(outcomes),
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

fn answer(batch: Vec<Queued>, outcomes: Outcomes) {
    for (queued, outcome) in batch.into_iter().zip(outcomes) {
        // Whoever asked may have gone; what was done stays done.
        let _ = queued.answer.send(outcome);
    }
}

/// Without a connection nothing was begun, so nothing can have been committed.
fn not_begun(error: StoreError) -> StoreError {
    if error.is_transient() {
        error
    } else {
        StoreError::Unavailable(error.to_string())
    }
}

/// Fails new work at once; keeps settlements, whose upstream cost has arisen already. A call that
/// may be on record although nobody could be told so is closed as failed: it never went upstream.
fn fail(batch: Vec<Queued>, error: &StoreError) -> Vec<Queued> {
    tracing::error!(%error, pieces = batch.len(), "the ledger could not be written");
    let mut kept = Vec::new();
    for queued in batch {
        match &queued.work {
            Work::SettleCall(_) if !error.is_about_data() => {
                kept.push(queued);
                continue;
            }
            Work::BeginCall(begin) if error.leaves_outcome_unknown() => {
                let (answer, _) = oneshot::channel();
                let work = Work::SettleCall(Box::new(never_sent(begin)));
                kept.push(Queued { work, answer });
            }
            _ => {}
        }
        let _ = queued
            .answer
            .send(Err(WorkError::Unavailable(error.to_string())));
    }
    kept
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
