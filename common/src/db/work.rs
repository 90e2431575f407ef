//! What the writer can be asked to do: every change of credits, jobs and calls, as data.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::Timestamp;
use crate::id::{
    CallId, CredentialId, JobId, KeyId, ModelAlias, NodeId, OrgId, ProviderName, TeamId,
};
use crate::job::{CallState, Job, JobState, Spend, Terms};
use crate::ledger::{Admission, CallEstimate, Entry, Refusal};
use crate::metadata::{Metadata, MetadataTooLarge};
use crate::money::{Credits, NanoUsd};
use crate::price::{AppliedPrice, PriceId, ServiceTier, Usage};
use crate::secret::SealedAt;
use crate::usage_note::UsageNote;

/// An `Idempotency-Key` and what it stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyClaim {
    /// The virtual key in whose scope it is.
    pub key_id: KeyId,
    /// The caller's text.
    pub idempotency_key: String,
    /// A hash of the request: the same key must come with the same request.
    pub fingerprint: String,
}

impl IdempotencyClaim {
    /// Where the answer to its request is stored, sealed.
    pub fn sealed_at(&self) -> SealedAt<'_> {
        SealedAt::StoredAnswer {
            key_id: &self.key_id,
            idempotency_key: &self.idempotency_key,
        }
    }
}

/// How long a claim is remembered.
pub const IDEMPOTENCY_WINDOW: Duration = Duration::from_hours(24);

/// Creates a job and holds its minimum.
#[derive(Debug, Clone)]
pub struct OpenJob {
    /// Its id.
    pub id: JobId,
    /// Who pays.
    pub team_id: TeamId,
    /// The team's organization.
    pub org_id: OrgId,
    /// The terms from now on.
    pub terms: Terms,
    /// What kind of operation it is.
    pub job_type: String,
    /// The end user.
    pub user_id: Option<String>,
    /// The creator's JSON object.
    pub metadata: Metadata,
    /// The most that it may cost.
    pub credits_max: Option<Credits>,
    /// Whether it consists of one call, and ends with it.
    pub single_call: bool,
    /// Why it has failed already: it is recorded, and nothing is held.
    pub failed: Option<String>,
    /// The caller's claim on doing this once.
    pub claim: Option<IdempotencyClaim>,
    /// When.
    pub now: Timestamp,
}

/// Records a call about to go upstream and holds its worst case.
#[derive(Debug, Clone)]
pub struct BeginCall {
    /// Its id.
    pub id: CallId,
    /// The job it belongs to.
    pub job_id: JobId,
    /// The job of a single call, which is opened with the call or not at all.
    pub opens: Option<Box<OpenJob>>,
    /// The caller's team.
    pub team_id: TeamId,
    /// The caller's key.
    pub key_id: KeyId,
    /// The process that makes the call.
    pub node_id: NodeId,
    /// The model's public name.
    pub alias: ModelAlias,
    /// The name that the caller used.
    pub requested_model: String,
    /// The provider account.
    pub provider: ProviderName,
    /// What the provider calls the model.
    pub upstream_model: String,
    /// The caller's label.
    pub purpose: Option<String>,
    /// What it may use at most.
    pub estimate: CallEstimate,
    /// The price that is written down beforehand: that of the planned model's usual service.
    pub price: Option<Arc<AppliedPrice>>,
    /// Whether the answer is given piece by piece.
    pub streamed: bool,
    /// Whether the answer comes from the cache.
    pub cached: bool,
    /// What will be merged into the job's metadata if the call succeeds.
    pub metadata: Option<Metadata>,
    /// The largest metadata that a job may have.
    pub metadata_bytes_max: usize,
    /// The caller's claim on doing this once.
    pub claim: Option<IdempotencyClaim>,
    /// When.
    pub now: Timestamp,
}

/// What came of a call.
#[derive(Debug, Clone, Default)]
pub struct CallResult {
    /// Tokens by bucket.
    pub usage: Usage,
    /// Whether the tokens were counted by us because the provider did not tell.
    pub usage_estimated: bool,
    /// The service tier by which the provider served it.
    pub service_tier: ServiceTier,
    /// What it was priced by; `None` if nothing was used, or nobody knows a price.
    pub price: Option<Arc<AppliedPrice>>,
    /// Why it is not simply what the provider counted.
    pub usage_note: Option<UsageNote>,
    /// What the provider asks.
    pub provider_cost: NanoUsd,
    /// What the customer is asked.
    pub client_cost: NanoUsd,
    /// Why the answer ended.
    pub finish_reason: Option<String>,
    /// Which class of error it was.
    pub error_kind: Option<&'static str>,
    /// The error in words, without secrets.
    pub error: Option<String>,
    /// The error in the words that the caller was told.
    pub public_error: Option<String>,
    /// From the caller's request to the provider's last byte.
    pub latency_ms: i64,
    /// From the caller's request to the first piece of a streamed answer.
    pub first_token_ms: Option<i64>,
    /// Who served it, if it was not the one that was planned.
    pub served_by: Option<ServedBy>,
    /// Tries that failed before, in order.
    pub failed_attempts: Vec<FailedAttempt>,
}

/// A provider's model that served a call in place of the planned one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServedBy {
    /// The provider account.
    pub provider: ProviderName,
    /// What the provider calls the model.
    pub upstream_model: String,
}

/// A try that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedAttempt {
    /// The provider account.
    pub provider: ProviderName,
    /// The key that was used.
    pub credential_id: CredentialId,
    /// What the provider calls the model.
    pub upstream_model: String,
    /// The class of the error.
    pub error_kind: &'static str,
    /// The error in words, without secrets.
    pub error: String,
    /// How long it took.
    pub latency_ms: i64,
}

/// Records how a call ended and lets its hold follow.
#[derive(Debug, Clone)]
pub struct SettleCall {
    /// The call.
    pub id: CallId,
    /// Its job.
    pub job_id: JobId,
    /// Who pays.
    pub team_id: TeamId,
    /// Whether the job's row adds up what its calls use.
    pub tracked: bool,
    /// Whether the job may end with this call.
    pub single_call: bool,
    /// `Succeeded`, `Failed` or `Interrupted`.
    pub state: CallState,
    /// The price that was written down when the call began.
    pub planned_price: Option<PriceId>,
    /// What came of it.
    pub result: CallResult,
    /// Merged into the job's metadata if the call succeeded.
    pub metadata: Option<Metadata>,
    /// The largest metadata that a job may have.
    pub metadata_bytes_max: usize,
    /// The claim of its request, and the sealed answer to replay if it succeeded.
    pub claim: Option<(IdempotencyClaim, Option<String>)>,
    /// When.
    pub now: Timestamp,
}

/// Ends a job as its owner says.
#[derive(Debug, Clone)]
pub struct CompleteJob {
    /// The job.
    pub id: JobId,
    /// The caller's team.
    pub team_id: TeamId,
    /// Whether it ended well.
    pub succeeded: bool,
    /// Merged into its metadata.
    pub metadata: Option<Metadata>,
    /// The largest metadata that a job may have.
    pub metadata_bytes_max: usize,
    /// Why it failed.
    pub error_message: Option<String>,
    /// The caller's claim on doing this once.
    pub claim: Option<IdempotencyClaim>,
    /// When.
    pub now: Timestamp,
}

/// Ends a job without its owner: an administrator cancels it, or it expires.
#[derive(Debug, Clone)]
pub struct EndJob {
    /// The job.
    pub id: JobId,
    /// Whose it is.
    pub team_id: TeamId,
    /// `Failed` or `Cancelled`.
    pub state: JobState,
    /// Why.
    pub message: String,
    /// Only if it was not worked on since then.
    pub unless_active_since: Option<Timestamp>,
    /// Whether it costs nothing, whatever its terms say.
    pub release: bool,
    /// When.
    pub now: Timestamp,
}

/// Merges an object into a job's metadata.
#[derive(Debug, Clone)]
pub struct PatchMetadata {
    /// The job.
    pub id: JobId,
    /// The caller's team.
    pub team_id: TeamId,
    /// What to merge, key by key.
    pub metadata: Metadata,
    /// The largest metadata that a job may have.
    pub metadata_bytes_max: usize,
    /// When.
    pub now: Timestamp,
}

/// How an administrator changes a balance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BalanceChange {
    /// Puts credits in.
    Allocate(Credits),
    /// Gives spent credits back, perhaps those of a job.
    Refund(Credits, Option<JobId>),
    /// Corrects up or down.
    Adjust(Credits),
}

/// Changes a balance.
#[derive(Debug, Clone)]
pub struct ChangeBalance {
    /// Whose.
    pub team_id: TeamId,
    /// How.
    pub change: BalanceChange,
    /// Why, in words.
    pub reason: String,
    /// Who.
    pub actor: String,
    /// When.
    pub now: Timestamp,
}

/// One piece of work for the writer.
#[derive(Debug, Clone)]
pub enum Work {
    /// See [`OpenJob`].
    OpenJob(Box<OpenJob>),
    /// See [`BeginCall`].
    BeginCall(Box<BeginCall>),
    /// See [`SettleCall`].
    SettleCall(Box<SettleCall>),
    /// See [`CompleteJob`].
    CompleteJob(Box<CompleteJob>),
    /// See [`EndJob`].
    EndJob(Box<EndJob>),
    /// See [`PatchMetadata`].
    PatchMetadata(Box<PatchMetadata>),
    /// See [`ChangeBalance`].
    ChangeBalance(Box<ChangeBalance>),
}

impl Work {
    /// The moment that it is dated with.
    pub fn now(&self) -> Timestamp {
        match self {
            Self::OpenJob(work) => work.now,
            Self::BeginCall(work) => work.now,
            Self::SettleCall(work) => work.now,
            Self::CompleteJob(work) => work.now,
            Self::EndJob(work) => work.now,
            Self::PatchMetadata(work) => work.now,
            Self::ChangeBalance(work) => work.now,
        }
    }

    /// The team whose account is concerned.
    pub(crate) const fn team_id(&self) -> &TeamId {
        match self {
            Self::OpenJob(work) => &work.team_id,
            Self::BeginCall(work) => &work.team_id,
            Self::SettleCall(work) => &work.team_id,
            Self::CompleteJob(work) => &work.team_id,
            Self::EndJob(work) => &work.team_id,
            Self::PatchMetadata(work) => &work.team_id,
            Self::ChangeBalance(work) => &work.team_id,
        }
    }

    /// What is asked for and the job or call that it is about, for the log.
    pub(crate) fn subject(&self) -> (&'static str, String) {
        match self {
            Self::OpenJob(work) => ("open job", work.id.to_string()),
            Self::BeginCall(work) => ("begin call", work.id.to_string()),
            Self::SettleCall(work) => ("settle call", work.id.to_string()),
            Self::CompleteJob(work) => ("complete job", work.id.to_string()),
            Self::EndJob(work) => ("end job", work.id.to_string()),
            Self::PatchMetadata(work) => ("patch metadata", work.id.to_string()),
            Self::ChangeBalance(work) => ("change balance", work.team_id.to_string()),
        }
    }
}

/// What came of one piece of work.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// The job, as it is or (replayed) as it was made.
    JobOpened(Box<Job>),
    /// The call may go.
    CallBegun(CallBegun),
    /// The same request was answered before.
    CallReplayed(Box<Replay>),
    /// The call is recorded.
    CallSettled(Settled),
    /// The job as it is now. It may have ended earlier.
    JobEnded(Box<Job>),
    /// The job with its new metadata.
    MetadataPatched(Box<Job>),
    /// The entry that was written.
    BalanceChanged(Box<Entry>),
}

/// An earlier answer to the same request.
#[derive(Debug, Clone)]
pub struct Replay {
    /// The answer, sealed.
    pub sealed_answer: String,
    /// The claim that it was stored under.
    pub claim: IdempotencyClaim,
    /// The call that it was the answer to.
    pub call_id: Option<CallId>,
    /// The call's job as it is now.
    pub job: Job,
}

/// A call is recorded.
#[derive(Debug, Clone)]
pub struct Settled {
    /// False if it had been before; nothing has changed then.
    pub is_first: bool,
    /// The job, if it ended with the call.
    pub job: Option<Box<Job>>,
}

/// A call may go.
#[derive(Debug, Clone, Copy)]
pub struct CallBegun {
    /// What it holds and how long its answer may get.
    pub admission: Admission,
    /// The job's terms.
    pub terms: Terms,
}

/// Why one piece of work was not done. Nothing has changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WorkError {
    /// A rule said no.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// There is no such job.
    #[error("Job not found")]
    JobNotFound,
    /// The job is another team's.
    #[error("Job does not belong to your team")]
    NotYourJob,
    /// The team has no account.
    #[error("No credit account found for team '{0}'")]
    NoAccount(TeamId),
    /// The merged metadata would be too large.
    #[error("metadata: at most {bytes_max} bytes as JSON after merging; it would be {bytes}")]
    MetadataTooLarge {
        /// What it would be.
        bytes: usize,
        /// What it may be.
        bytes_max: usize,
    },
    /// So much work of the team waits that no more is taken.
    #[error("Too many requests of your team are waiting. Retry in a moment")]
    QueueFull,
    /// The database refuses what is to be recorded.
    #[error("the database refuses the record: {0}")]
    Unrecordable(String),
    /// The ledger could not be written in time. Nothing was done, or it is undone.
    #[error(
        "The service is temporarily unavailable: the ledger could not be written within {0:?}. Nothing was charged. Retry in a moment"
    )]
    TimedOut(Duration),
    /// The key was used with another request.
    #[error(
        "Idempotency-Key was used before with a different request. Use a new key for a new request"
    )]
    ClaimMismatch,
    /// The first request with this key has not been answered yet.
    #[error("A request with this Idempotency-Key is still running. Retry in a moment")]
    ClaimRunning,
    /// The database did not take the batch.
    #[error("the database is not available: {0}")]
    Unavailable(String),
}

/// What a call used, in the ledger's terms.
impl CallResult {
    /// What counts for the job. A call that failed used nothing for the customer; what it cost the
    /// operator counts where that is limited.
    pub const fn spend(&self, terms: &Terms, succeeded: bool) -> Spend {
        let cost = if !terms.is_metered() {
            self.provider_cost
        } else if succeeded {
            self.client_cost
        } else {
            NanoUsd::ZERO
        };
        Spend {
            cost,
            tokens: if succeeded { self.usage.total() } else { 0 },
        }
    }
}

impl From<MetadataTooLarge> for WorkError {
    fn from(MetadataTooLarge { bytes, bytes_max }: MetadataTooLarge) -> Self {
        Self::MetadataTooLarge { bytes, bytes_max }
    }
}
