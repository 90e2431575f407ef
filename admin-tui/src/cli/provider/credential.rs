//! The keys of a provider, one by one: listed, added, disabled, removed and tested.

use serde::Serialize;
use serde_json::json;
use tollgate_common::clock::{SystemClock, SystemRandom, Timestamp};
use tollgate_common::command::{Command, ProviderRef, provider_target};
use tollgate_common::db::audit::NoticeKind;
use tollgate_common::db::provider::{self, CredentialRow};
use tollgate_common::db::seal;
use tollgate_common::id::CredentialId;
use tollgate_common::provider::Provider;
use tollgate_common::role::Role;
use tollgate_common::secret::SealedAt;

use super::key::KeySource;
use super::probe::{self, Probe, Verdict};
use crate::cli::error::Failure;
use crate::cli::output::{Column, Output, Row, numbers, or_dash, time, words};
use crate::session::Session;

#[derive(Debug, Serialize)]
struct CredentialView {
    id: CredentialId,
    hint: String,
    enabled: bool,
    created_at: Timestamp,
}

impl From<CredentialRow> for CredentialView {
    fn from(row: CredentialRow) -> Self {
        Self {
            id: row.sealed.id,
            hint: row.hint,
            enabled: row.enabled,
            created_at: row.created_at,
        }
    }
}

impl Row for CredentialView {
    const COLUMNS: &'static [Column] =
        &[words("ID"), words("KEY"), words("STATUS"), words("CREATED")];

    fn cells(&self) -> Vec<String> {
        let status = if self.enabled { "enabled" } else { "disabled" };
        vec![
            self.id.to_string(),
            self.hint.clone(),
            status.to_owned(),
            time(self.created_at),
        ]
    }
}

#[derive(Debug, Serialize)]
struct RemovedView {
    id: CredentialId,
    removed: bool,
}

/// Reads a key's id. What stands in its place may be a key, and is not repeated in the error.
pub(super) fn credential_id(text: &str) -> Result<CredentialId, Failure> {
    text.parse().map_err(|_| {
        let message = "this is not the id of a provider's key: use one that tollgate-admin provider keys NAME shows, as cred_...";
        Failure::Usage(message.to_owned())
    })
}

async fn rows_of(
    session: &Session,
    reference: &ProviderRef,
) -> Result<Vec<CredentialRow>, Failure> {
    let rows = provider::list_credentials(session.database.pool()).await?;
    Ok(rows
        .into_iter()
        .filter(|row| row.provider == *reference)
        .collect())
}

async fn require_provider(session: &Session, reference: &ProviderRef) -> Result<Provider, Failure> {
    let providers = provider::list(session.database.pool()).await?;
    providers
        .into_iter()
        .find(|provider| super::is(provider, reference))
        .ok_or_else(|| Failure::not_found("provider", &reference.name))
}

/// Lists the keys of a provider, disabled ones too.
pub(super) async fn list(
    session: &Session,
    output: Output,
    reference: &ProviderRef,
) -> Result<(), Failure> {
    let _ = require_provider(session, reference).await?;
    let rows = rows_of(session, reference).await?.into_iter();
    let views: Vec<CredentialView> = rows.map(CredentialView::from).collect();
    output.list(
        &views,
        "No keys. Add one: tollgate-admin provider add-key <name> --key-env <variable>",
    )
}

/// Adds a key beside those that a provider has.
pub(super) async fn add(
    session: &Session,
    output: Output,
    reference: ProviderRef,
    source: &KeySource,
) -> Result<(), Failure> {
    let credential = source.read(session)?;
    let id = credential.id;
    let command = Command::AddCredential {
        provider: reference.clone(),
        credential,
    };
    session.execute(&command).await?;
    let view = find(session, id).await?;
    let sentence = format!("Key {id} added to provider {}.", reference.name);
    output.done(&view, &sentence)
}

/// Lets a key be used, or not.
pub(super) async fn enable(
    session: &Session,
    output: Output,
    id: CredentialId,
    enabled: bool,
) -> Result<(), Failure> {
    let command = Command::EnableCredential { id, enabled };
    session.execute(&command).await?;
    let view = find(session, id).await?;
    let done = if enabled { "enabled" } else { "disabled" };
    output.done(&view, &format!("Key {id} {done}."))
}

/// Removes a key.
pub(super) async fn remove(
    session: &Session,
    output: Output,
    id: CredentialId,
) -> Result<(), Failure> {
    session.execute(&Command::RemoveCredential { id }).await?;
    let removed = true;
    output.done(&RemovedView { id, removed }, &format!("Key {id} removed."))
}

async fn find(session: &Session, id: CredentialId) -> Result<CredentialView, Failure> {
    let rows = provider::list_credentials(session.database.pool()).await?;
    rows.into_iter()
        .find(|row| row.sealed.id == id)
        .map(CredentialView::from)
        .ok_or_else(|| Failure::not_found("provider key", id))
}

/// How a provider took one of its keys.
#[derive(Debug, Serialize)]
pub(crate) struct TestView {
    pub(crate) id: CredentialId,
    pub(crate) hint: String,
    /// `ok`, `unauthorized`, `status` or `unreachable`.
    pub(crate) result: &'static str,
    pub(crate) status: Option<u16>,
    pub(crate) models: Option<usize>,
    pub(crate) latency_ms: u64,
    pub(crate) reason: Option<String>,
}

impl TestView {
    fn new(row: CredentialRow, probe: Probe) -> Self {
        let (result, status, models, reason) = match probe.verdict {
            Verdict::Ok(models) => ("ok", Some(200), Some(models), None),
            Verdict::Unauthorized(status) => {
                let reason = "the provider does not take this key";
                ("unauthorized", Some(status), None, Some(reason.to_owned()))
            }
            Verdict::Status(status, reason) => {
                ("status", Some(status), None, Some(reason.to_owned()))
            }
            Verdict::Unreachable(reason) => ("unreachable", None, None, Some(reason)),
        };
        Self {
            id: row.sealed.id,
            hint: row.hint,
            result,
            status,
            models,
            latency_ms: probe.latency_ms,
            reason,
        }
    }
}

impl Row for TestView {
    const COLUMNS: &'static [Column] = &[
        words("ID"),
        words("KEY"),
        words("RESULT"),
        numbers("STATUS"),
        numbers("MODELS"),
        numbers("LATENCY MS"),
        words("REASON"),
    ];

    fn cells(&self) -> Vec<String> {
        vec![
            self.id.to_string(),
            self.hint.clone(),
            self.result.to_owned(),
            or_dash(self.status),
            or_dash(self.models),
            self.latency_ms.to_string(),
            or_dash(self.reason.as_ref()),
        ]
    }
}

/// Asks the provider for its models with each enabled key, all at once.
pub(super) async fn test(
    session: &Session,
    output: Output,
    reference: &ProviderRef,
) -> Result<(), Failure> {
    let views = ask(session, reference, None).await?;
    let hint =
        "No enabled keys. Add one: tollgate-admin provider add-key <name> --key-env <variable>";
    output.list(&views, hint)?;
    verdict_of(&views)
}

/// Asks the provider for its models, all at once: with this key, even if it is disabled, or with
/// each that is enabled.
pub(crate) async fn ask(
    session: &Session,
    reference: &ProviderRef,
    only: Option<CredentialId>,
) -> Result<Vec<TestView>, Failure> {
    let provider = require_provider(session, reference).await?;
    record_test(session, reference).await?;
    let sealing_key = session.sealing_key()?;
    if session.rights().read_only.is_none() {
        seal::bind_all(&session.database, &sealing_key, &SystemRandom).await?;
    }
    let agent = probe::agent();
    let mut asked = Vec::new();
    for row in rows_of(session, reference).await? {
        if only.map_or(row.enabled, |id| row.sealed.id == id) {
            let key =
                sealing_key.open(&row.sealed.sealed_key, SealedAt::ProviderKey(row.sealed.id))?;
            let (agent, kind, base_url) = (agent.clone(), provider.kind, provider.base_url.clone());
            let answer = tokio::task::spawn_blocking(move || {
                probe::probe(&agent, kind, &base_url, &key, &SystemClock)
            });
            asked.push((row, answer));
        }
    }
    let mut views = Vec::with_capacity(asked.len());
    for (row, answer) in asked {
        let probe = answer.await.map_err(|_| Failure::Probe)?;
        views.push(TestView::new(row, probe));
    }
    Ok(views)
}

/// A test sends the provider's keys out and counts against its limits, so it is no mere look.
async fn record_test(session: &Session, reference: &ProviderRef) -> Result<(), Failure> {
    let target = provider_target(reference);
    let role = session.rights().role;
    if role < Role::Operator {
        let why =
            format!("the role {role} may not test providers' keys: that takes the role operator");
        return Err(session.refuse("provider.test", target, &why).await);
    }
    let detail = json!({ "role": role.word() });
    session
        .record(NoticeKind::ProviderTest, target, detail)
        .await
}

fn verdict_of(views: &[TestView]) -> Result<(), Failure> {
    let count = |result: &str| views.iter().filter(|view| view.result == result).count();
    let well = count("ok");
    match count("unauthorized") {
        0 if views.is_empty() => Err(Failure::refused("the provider has no enabled key")),
        0 if well == views.len() => Ok(()),
        0 => Err(Failure::KeysUntested(views.len() - well)),
        refused => Err(Failure::KeysRefused(refused)),
    }
}
