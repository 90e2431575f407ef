//! Every administrative change as data: what the subcommands and the dashboard ask for, what the
//! audit log records, and what `db::admin` carries out.

use std::time::Duration;

use crate::clock::Timestamp;
use crate::db::StoreError;
use crate::db::work::{BalanceChange, WorkError};
use crate::id::{CredentialId, GroupName, JobId, KeyId, ModelAlias, OrgId, ProviderName, TeamId};
use crate::job::{BudgetMode, ChargeFailed, Job};
use crate::key::KeyHash;
use crate::ledger::Entry;
use crate::limit::{LimitSettings, Limits};
use crate::model::Fallback;
use crate::money::{CreditRate, Credits, Markup, NanoUsd, Rounding};
use crate::price::RateCard;
use crate::price::import::{Acceptance, ImportCounts, PriceList};
use crate::provider::{BaseUrl, PassFields, ProviderKind};
use crate::role::NotAllowed;
use crate::standing::Standing;
use crate::team::DisconnectPolicy;

mod record;

pub use record::provider_target;

/// Settings of a team; `None` leaves one as it is, or at its default for a new team.
#[derive(Debug, Clone, Default)]
pub struct TeamSettings {
    /// Its name for people.
    pub name: Option<String>,
    /// How its jobs become credits from now on.
    pub budget_mode: Option<BudgetMode>,
    /// Credits per dollar.
    pub credits_per_dollar: Option<CreditRate>,
    /// Tokens per credit, at least 1.
    pub tokens_per_credit: Option<i64>,
    /// The reseller's markup.
    pub markup: Option<Markup>,
    /// What its jobs are charged that do not complete; an inner `None` follows the budget mode.
    pub charge_failed: Option<Option<ChargeFailed>>,
    /// Which way a job's credits are made whole.
    pub rounding: Option<Rounding>,
    /// What a `job_based` job may cost the operator; an inner `None` takes the limit away.
    pub job_cost_max: Option<Option<NanoUsd>>,
    /// The model of calls that name none; an inner `None` takes it away.
    pub default_model: Option<Option<ModelAlias>>,
    /// All groups that it is granted.
    pub groups: Option<Vec<GroupName>>,
    /// How far below zero it may go.
    pub overdraft: Option<Credits>,
    /// How much all its keys together may ask for.
    pub limits: LimitSettings,
    /// What becomes of calls whose caller leaves.
    pub disconnect: Option<DisconnectPolicy>,
    /// For how many seconds answers are cached, from 1 to [`CACHE_TTL_SECONDS_MAX`]; an inner
    /// `None` ends caching.
    pub cache_ttl_seconds: Option<Option<i64>>,
    /// What it may be charged in a calendar day in UTC; an inner `None` takes the limit away.
    pub budget_day: Option<Option<Credits>>,
    /// What it may be charged in a calendar month in UTC; an inner `None` takes the limit away.
    pub budget_month: Option<Option<Credits>>,
}

/// Answers are cached for at most 30 days.
pub const CACHE_TTL_SECONDS_MAX: i64 = 2_592_000;

/// A key to be stored: what recognizes it, not the key.
#[derive(Debug, Clone)]
pub struct NewKey {
    /// Public part.
    pub id: KeyId,
    /// SHA-256 of the whole.
    pub hash: KeyHash,
}

/// Settings of a key; `None` leaves one as it is.
#[derive(Debug, Clone, Default)]
pub struct KeySettings {
    /// What it is called.
    pub label: Option<String>,
    /// How much it may ask for.
    pub limits: LimitSettings,
    /// When it ends; an inner `None` lets it live on.
    pub expires_at: Option<Option<Timestamp>>,
}

/// A provider's secret to be stored: sealed, and how people tell it apart.
#[derive(Debug, Clone)]
pub struct NewCredential {
    /// Its id.
    pub id: CredentialId,
    /// The sealed secret.
    pub sealed_key: String,
    /// The last characters of the secret.
    pub hint: String,
}

/// A provider, by its name and the one organization that may use it, if it is not for all.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ProviderRef {
    /// The organization.
    pub org_id: Option<OrgId>,
    /// The name.
    pub name: ProviderName,
}

/// Settings of a model; `None` leaves one as it is.
#[derive(Debug, Clone, Default)]
pub struct ModelSettings {
    /// The provider account.
    pub provider: Option<ProviderName>,
    /// What the provider calls it.
    pub upstream_model: Option<String>,
    /// Its own price as a whole; an inner `None` returns to the shipped table's.
    pub price: Option<Option<RateCard>>,
    /// How many tokens an answer may have at most.
    pub output_tokens_max: Option<i64>,
    /// Its own share of the load beside fallbacks of priority 0.
    pub weight: Option<i64>,
    /// How long its answers may take; an inner `None` returns to the proxy's setting.
    pub timeout: Option<Option<Duration>>,
    /// All its fallbacks.
    pub fallbacks: Option<Vec<Fallback>>,
}

/// A price list to be imported.
#[derive(Debug, Clone)]
pub struct PriceImport {
    /// What was read.
    pub list: PriceList,
    /// The name of the file that it was read from.
    pub file_name: String,
    /// The SHA-256 of the file, in hexadecimal digits.
    pub file_sha256: String,
    /// Which changes beyond a factor of 2 are accepted.
    pub accepted: Acceptance,
    /// What whoever asks was shown that it does: if it would do something else, nothing is done.
    pub counts: ImportCounts,
}

/// One administrative change.
#[derive(Debug, Clone)]
pub enum Command {
    /// Creates an organization.
    CreateOrg {
        /** Its id. */
        id: OrgId,
        /** Its name. */
        name: String,
    },
    /// Renames an organization.
    RenameOrg {
        /** Which. */
        id: OrgId,
        /** Its new name. */
        name: String,
    },
    /// Suspends, pauses or resumes an organization.
    SetOrgStanding {
        /** Which. */
        id: OrgId,
        /** Its new standing. */
        standing: Standing,
    },
    /// Creates a team with its account and first credits.
    CreateTeam {
        /** Its id. */
        id: TeamId,
        /** Its organization. */
        org_id: OrgId,
        /** Its first credits. */
        credits: Credits,
        /** Its settings. */
        settings: TeamSettings,
    },
    /// Changes settings of a team.
    SetTeam {
        /** Which. */
        id: TeamId,
        /** What changes. */
        settings: TeamSettings,
    },
    /// Suspends, pauses or resumes a team.
    SetTeamStanding {
        /** Which. */
        id: TeamId,
        /** Its new standing. */
        standing: Standing,
    },
    /// Stores a key of a team.
    CreateKey {
        /** Whose. */
        team_id: TeamId,
        /** The key. */
        key: NewKey,
        /** What it is called. */
        label: Option<String>,
        /** How much it may ask for. */
        limits: Limits,
        /** When it ends. */
        expires_at: Option<Timestamp>,
    },
    /// Changes a key that is not revoked.
    SetKey {
        /** Which. */
        id: KeyId,
        /** What changes. */
        settings: KeySettings,
    },
    /// Stores a successor of a key, which itself ends at the given moment. The successor has its
    /// label, limits and expiry.
    RotateKey {
        /** Which. */
        id: KeyId,
        /** Its successor. */
        successor: NewKey,
        /** When the old one ends. */
        ends_at: Timestamp,
    },
    /// Ends a key at once.
    RevokeKey {
        /** Which. */
        id: KeyId,
    },
    /// Changes a team's credits.
    ChangeBalance {
        /** Whose. */
        team_id: TeamId,
        /** How. */
        change: BalanceChange,
        /** Why. */
        reason: String,
    },
    /// Adds a provider account with its secret.
    AddProvider {
        /** Which. */
        provider: ProviderRef,
        /** Its dialect. */
        kind: ProviderKind,
        /** Where it is. */
        base_url: BaseUrl,
        /** Its secret. */
        credential: NewCredential,
    },
    /// Changes where a provider is.
    SetProvider {
        /** Which. */
        provider: ProviderRef,
        /** Where it is from now on. */
        base_url: BaseUrl,
    },
    /// Changes which fields of requests a provider of kind `openai` is sent beside those of the
    /// table of fields.
    SetPassFields {
        /** Which. */
        provider: ProviderRef,
        /** All of them. */
        pass_fields: PassFields,
    },
    /// Adds a secret to a provider beside those that it has.
    AddCredential {
        /** Which. */
        provider: ProviderRef,
        /** The secret. */
        credential: NewCredential,
    },
    /// Enables or disables one secret of a provider.
    EnableCredential {
        /** Which. */
        id: CredentialId,
        /** Whether it may be used. */
        enabled: bool,
    },
    /// Removes one secret of a provider.
    RemoveCredential {
        /** Which. */
        id: CredentialId,
    },
    /// Replaces the secrets of a provider by a new one.
    RotateProvider {
        /** Which. */
        provider: ProviderRef,
        /** Its new secret. */
        credential: NewCredential,
    },
    /// Enables or disables a provider.
    EnableProvider {
        /** Which. */
        provider: ProviderRef,
        /** Whether it may be used. */
        enabled: bool,
    },
    /// Removes a provider and its secrets, unless models would be left without one.
    RemoveProvider {
        /** Which. */
        provider: ProviderRef,
    },
    /// Adds a model.
    AddModel {
        /** Its public name. */
        alias: ModelAlias,
        /** What stands behind it. */
        settings: ModelSettings,
    },
    /// Changes a model.
    SetModel {
        /** Which. */
        alias: ModelAlias,
        /** What changes. */
        settings: ModelSettings,
    },
    /// Removes a model from everywhere.
    RemoveModel {
        /** Which. */
        alias: ModelAlias,
    },
    /// Imports a price list.
    ImportPrices {
        /** The list, and what is accepted of it. */
        import: Box<PriceImport>,
    },
    /// Creates a group of models.
    CreateGroup {
        /** Its name. */
        name: GroupName,
        /** Its models, in order. */
        models: Vec<ModelAlias>,
    },
    /// Adds a model at the end of a group.
    AddToGroup {
        /** Which. */
        name: GroupName,
        /** What. */
        alias: ModelAlias,
    },
    /// Takes a model out of a group.
    RemoveFromGroup {
        /** Which. */
        name: GroupName,
        /** What. */
        alias: ModelAlias,
    },
    /// Ends an open job as cancelled, charged as its terms say.
    CancelJob {
        /** Which. */
        id: JobId,
        /** Why. */
        reason: String,
        /** Whether it costs nothing, whatever its terms say. */
        release: bool,
    },
    /// Ends an open job as failed, charged as its terms say: for one whose owner will not end it
    /// and whose hold is stuck.
    FailJob {
        /** Which. */
        id: JobId,
        /** Why. */
        reason: String,
        /** Whether it costs nothing, whatever its terms say. */
        release: bool,
    },
}

/// What a change resulted in.
#[derive(Debug, Clone)]
pub enum Applied {
    /// Nothing but the change itself.
    Done,
    /// A ledger entry.
    Entry(Box<Entry>),
    /// A job that has ended.
    Job(Box<Job>),
}

/// Why a change was not made. Nothing has changed.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// There is no such thing.
    #[error("{noun} '{id}' not found")]
    NotFound {
        /// What was looked for.
        noun: &'static str,
        /// Under which name.
        id: String,
    },
    /// There is such a thing already.
    #[error("{noun} '{id}' already exists")]
    Exists {
        /// What was to be made.
        noun: &'static str,
        /// Under which name.
        id: String,
    },
    /// Something else stands in the way.
    #[error("{0}")]
    Conflict(String),
    /// A rule said no.
    #[error("{0}")]
    Refused(String),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl CommandError {
    /// Something that is not there.
    pub fn not_found(noun: &'static str, id: impl ToString) -> Self {
        Self::NotFound {
            noun,
            id: id.to_string(),
        }
    }

    /// A failed insertion: if the name is taken, that is what it was.
    pub fn on_insert(error: StoreError, noun: &'static str, id: impl ToString) -> Self {
        if error.is_unique_violation() {
            Self::Exists {
                noun,
                id: id.to_string(),
            }
        } else {
            Self::Store(error)
        }
    }
}

impl From<NotAllowed> for CommandError {
    fn from(error: NotAllowed) -> Self {
        Self::Refused(error.to_string())
    }
}

impl From<sqlx::Error> for CommandError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

impl From<WorkError> for CommandError {
    fn from(error: WorkError) -> Self {
        match error {
            WorkError::JobNotFound => Self::NotFound {
                noun: "job",
                id: String::new(),
            },
            WorkError::NoAccount(team) => Self::not_found("team", team),
            WorkError::Unavailable(why) => Self::Store(StoreError::Unavailable(why)),
            other => Self::Refused(other.to_string()),
        }
    }
}
