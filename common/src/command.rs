//! Every administrative change as data: what the subcommands and the dashboard ask for, what the
//! audit log records, and what `db::admin` carries out.

use serde_json::{Value, json};

use crate::clock::Timestamp;
use crate::db::StoreError;
use crate::db::work::{BalanceChange, WorkError};
use crate::id::{CredentialId, GroupName, JobId, KeyId, ModelAlias, OrgId, ProviderName, TeamId};
use crate::job::{BudgetMode, Job};
use crate::key::KeyHash;
use crate::ledger::Entry;
use crate::money::{CreditRate, Credits, Markup, NanoUsd};
use crate::provider::{BaseUrl, ProviderKind};
use crate::standing::Standing;

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
    /// The model of calls that name none; an inner `None` takes it away.
    pub default_model: Option<Option<ModelAlias>>,
    /// All groups that it is granted.
    pub groups: Option<Vec<GroupName>>,
    /// How far below zero it may go.
    pub overdraft: Option<Credits>,
    /// What it may be charged in a calendar day in UTC; an inner `None` takes the limit away.
    pub budget_day: Option<Option<Credits>>,
    /// What it may be charged in a calendar month in UTC; an inner `None` takes the limit away.
    pub budget_month: Option<Option<Credits>>,
}

/// A key to be stored: what recognizes it, not the key.
#[derive(Debug, Clone)]
pub struct NewKey {
    /// Public part.
    pub id: KeyId,
    /// SHA-256 of the whole.
    pub hash: KeyHash,
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
#[derive(Debug, Clone, PartialEq, Eq)]
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
    /// Own prices per token (input, output); an inner `None` returns to the shipped table's.
    pub price: Option<Option<(NanoUsd, NanoUsd)>>,
    /// How many tokens an answer may have at most.
    pub output_tokens_max: Option<i64>,
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
        /** When it ends. */
        expires_at: Option<Timestamp>,
    },
    /// Stores a successor of a key, which itself ends at the given moment.
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
    /// Removes a provider and its secrets.
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
    /// Ends an open job without a charge.
    CancelJob {
        /** Which. */
        id: JobId,
        /** Why. */
        reason: String,
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

impl Command {
    /// What the audit log calls it.
    pub const fn action(&self) -> &'static str {
        match self {
            Self::CreateOrg { .. } => "org.create",
            Self::RenameOrg { .. } => "org.set",
            Self::SetOrgStanding { standing, .. } => match standing {
                Standing::Active => "org.resume",
                Standing::Paused { .. } => "org.pause",
                Standing::Suspended => "org.suspend",
            },
            Self::CreateTeam { .. } => "team.create",
            Self::SetTeam { .. } => "team.set",
            Self::SetTeamStanding { standing, .. } => match standing {
                Standing::Active => "team.resume",
                Standing::Paused { .. } => "team.pause",
                Standing::Suspended => "team.suspend",
            },
            Self::CreateKey { .. } => "key.create",
            Self::RotateKey { .. } => "key.rotate",
            Self::RevokeKey { .. } => "key.revoke",
            Self::ChangeBalance { change, .. } => match change {
                BalanceChange::Allocate(_) => "credits.add",
                BalanceChange::Refund(..) => "credits.refund",
                BalanceChange::Adjust(_) => "credits.adjust",
            },
            Self::AddProvider { .. } => "provider.add",
            Self::RotateProvider { .. } => "provider.rotate",
            Self::EnableProvider { enabled: true, .. } => "provider.enable",
            Self::EnableProvider { enabled: false, .. } => "provider.disable",
            Self::RemoveProvider { .. } => "provider.remove",
            Self::AddModel { .. } => "model.add",
            Self::SetModel { .. } => "model.set",
            Self::RemoveModel { .. } => "model.remove",
            Self::CreateGroup { .. } => "group.create",
            Self::AddToGroup { .. } => "group.add",
            Self::RemoveFromGroup { .. } => "group.remove",
            Self::CancelJob { .. } => "job.cancel",
        }
    }

    /// Whom or what it concerns, as `team:acme-corp`.
    pub fn target(&self) -> String {
        match self {
            Self::CreateOrg { id, .. }
            | Self::RenameOrg { id, .. }
            | Self::SetOrgStanding { id, .. } => format!("org:{id}"),
            Self::CreateTeam { id, .. }
            | Self::SetTeam { id, .. }
            | Self::SetTeamStanding { id, .. }
            | Self::ChangeBalance { team_id: id, .. } => format!("team:{id}"),
            Self::CreateKey { key, .. } => format!("key:{}", key.id),
            Self::RotateKey { id, .. } | Self::RevokeKey { id } => format!("key:{id}"),
            Self::AddProvider { provider, .. }
            | Self::RotateProvider { provider, .. }
            | Self::EnableProvider { provider, .. }
            | Self::RemoveProvider { provider } => match &provider.org_id {
                Some(org) => format!("provider:{org}/{}", provider.name),
                None => format!("provider:{}", provider.name),
            },
            Self::AddModel { alias, .. }
            | Self::SetModel { alias, .. }
            | Self::RemoveModel { alias } => format!("model:{alias}"),
            Self::CreateGroup { name, .. }
            | Self::AddToGroup { name, .. }
            | Self::RemoveFromGroup { name, .. } => format!("group:{name}"),
            Self::CancelJob { id, .. } => format!("job:{id}"),
        }
    }

    /// What it changes, for the audit log. Never a secret: commands do not hold any in clear.
    pub fn detail(&self) -> Value {
        match self {
            Self::CreateOrg { name, .. } | Self::RenameOrg { name, .. } => json!({ "name": name }),
            Self::SetOrgStanding { standing, .. } | Self::SetTeamStanding { standing, .. } => {
                json!({ "status": standing.word(), "until": standing.paused_until() })
            }
            Self::CreateTeam {
                org_id,
                credits,
                settings,
                ..
            } => {
                json!({ "org": org_id, "credits": credits, "settings": team_detail(settings) })
            }
            Self::SetTeam { settings, .. } => team_detail(settings),
            Self::CreateKey {
                team_id,
                label,
                expires_at,
                ..
            } => {
                json!({ "team": team_id, "label": label, "expires_at": expires_at })
            }
            Self::RotateKey {
                successor, ends_at, ..
            } => {
                json!({ "successor": successor.id, "ends_at": ends_at })
            }
            Self::RevokeKey { .. } | Self::RemoveProvider { .. } | Self::RemoveModel { .. } => {
                json!({})
            }
            Self::ChangeBalance { change, reason, .. } => {
                let (credits, job_id) = match change {
                    BalanceChange::Allocate(credits) | BalanceChange::Adjust(credits) => {
                        (credits, None)
                    }
                    BalanceChange::Refund(credits, job_id) => (credits, *job_id),
                };
                json!({ "credits": credits, "job_id": job_id, "reason": reason })
            }
            Self::AddProvider {
                kind,
                base_url,
                credential,
                ..
            } => json!({
                "kind": kind.word(), "base_url": base_url.as_str(), "key": credential.hint
            }),
            Self::RotateProvider { credential, .. } => json!({ "key": credential.hint }),
            Self::EnableProvider { enabled, .. } => json!({ "enabled": enabled }),
            Self::AddModel { settings, .. } | Self::SetModel { settings, .. } => json!({
                "provider": settings.provider,
                "upstream_model": settings.upstream_model,
                "price": settings.price,
                "output_tokens_max": settings.output_tokens_max,
            }),
            Self::CreateGroup { models, .. } => json!({ "models": models }),
            Self::AddToGroup { alias, .. } | Self::RemoveFromGroup { alias, .. } => {
                json!({ "model": alias })
            }
            Self::CancelJob { reason, .. } => json!({ "reason": reason }),
        }
    }
}

fn team_detail(settings: &TeamSettings) -> Value {
    json!({
        "name": settings.name,
        "budget_mode": settings.budget_mode.map(BudgetMode::word),
        "credits_per_dollar": settings.credits_per_dollar.map(CreditRate::as_f64),
        "tokens_per_credit": settings.tokens_per_credit,
        "markup": settings.markup.map(|markup| markup.to_string()),
        "default_model": settings.default_model,
        "groups": settings.groups,
        "overdraft": settings.overdraft,
        "budget_day": settings.budget_day.map(budget_detail),
        "budget_month": settings.budget_month.map(budget_detail),
    })
}

/// A budget that was taken away is not one that was left as it is.
fn budget_detail(limit: Option<Credits>) -> Value {
    limit.map_or_else(|| json!("none"), |credits| json!(credits))
}
