//! What the audit log records of a command. Never a secret: commands do not hold any in clear.

use std::time::Duration;

use serde::Serialize;
use serde_json::{Value, json};

use super::{Command, KeySettings, ModelSettings, PriceImport, ProviderRef, TeamSettings};
use crate::db::work::BalanceChange;
use crate::job::{BudgetMode, ChargeFailed};
use crate::limit::LimitSettings;
use crate::money::{CreditRate, Rounding};
use crate::price::import::Acceptance;
use crate::standing::Standing;
use crate::team::DisconnectPolicy;

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
            Self::SetKey { .. } => "key.set",
            Self::RotateKey { .. } => "key.rotate",
            Self::RevokeKey { .. } => "key.revoke",
            Self::ChangeBalance { change, .. } => match change {
                BalanceChange::Allocate(_) => "credits.add",
                BalanceChange::Refund(..) => "credits.refund",
                BalanceChange::Adjust(_) => "credits.adjust",
            },
            Self::AddProvider { .. } => "provider.add",
            Self::SetProvider { .. } | Self::SetPassFields { .. } => "provider.set",
            Self::AddCredential { .. } => "provider.add_key",
            Self::EnableCredential { enabled: true, .. } => "provider.enable_key",
            Self::EnableCredential { enabled: false, .. } => "provider.disable_key",
            Self::RemoveCredential { .. } => "provider.remove_key",
            Self::RotateProvider { .. } => "provider.rotate",
            Self::EnableProvider { enabled: true, .. } => "provider.enable",
            Self::EnableProvider { enabled: false, .. } => "provider.disable",
            Self::RemoveProvider { .. } => "provider.remove",
            Self::AddModel { .. } => "model.add",
            Self::SetModel { .. } => "model.set",
            Self::RemoveModel { .. } => "model.remove",
            Self::ImportPrices { .. } => "price.sync",
            Self::CreateGroup { .. } => "group.create",
            Self::AddToGroup { .. } => "group.add",
            Self::RemoveFromGroup { .. } => "group.remove",
            Self::CancelJob { .. } => "job.cancel",
            Self::FailJob { .. } => "job.fail",
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
            Self::SetKey { id, .. } | Self::RotateKey { id, .. } | Self::RevokeKey { id } => {
                format!("key:{id}")
            }
            Self::AddProvider { provider, .. }
            | Self::SetProvider { provider, .. }
            | Self::SetPassFields { provider, .. }
            | Self::AddCredential { provider, .. }
            | Self::RotateProvider { provider, .. }
            | Self::EnableProvider { provider, .. }
            | Self::RemoveProvider { provider } => provider_target(provider),
            Self::EnableCredential { id, .. } | Self::RemoveCredential { id } => {
                format!("credential:{id}")
            }
            Self::AddModel { alias, .. }
            | Self::SetModel { alias, .. }
            | Self::RemoveModel { alias } => format!("model:{alias}"),
            Self::ImportPrices { import } => format!("prices:{}", import.list.format),
            Self::CreateGroup { name, .. }
            | Self::AddToGroup { name, .. }
            | Self::RemoveFromGroup { name, .. } => format!("group:{name}"),
            Self::CancelJob { id, .. } | Self::FailJob { id, .. } => format!("job:{id}"),
        }
    }

    /// Why, if it says so itself.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::ChangeBalance { reason, .. }
            | Self::CancelJob { reason, .. }
            | Self::FailJob { reason, .. } => Some(reason.as_str()).filter(|text| !text.is_empty()),
            _ => None,
        }
    }

    /// What it changes, for the audit log.
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
                limits,
                expires_at,
                ..
            } => {
                json!({ "team": team_id, "label": label, "limits": limits, "expires_at": expires_at })
            }
            Self::SetKey { settings, .. } => key_detail(settings),
            Self::RotateKey {
                successor, ends_at, ..
            } => {
                json!({ "successor": successor.id, "ends_at": ends_at })
            }
            Self::ChangeBalance { change, reason, .. } => balance_detail(change, reason),
            Self::RevokeKey { .. }
            | Self::RemoveProvider { .. }
            | Self::RemoveCredential { .. }
            | Self::RemoveModel { .. } => json!({}),
            Self::AddProvider {
                kind,
                base_url,
                credential,
                ..
            } => json!({
                "kind": kind.word(), "base_url": base_url.as_str(), "key": credential.hint
            }),
            Self::SetProvider { base_url, .. } => json!({ "base_url": base_url.as_str() }),
            Self::SetPassFields { pass_fields, .. } => {
                json!({ "pass_fields": pass_fields.to_string() })
            }
            Self::AddCredential { credential, .. } => {
                json!({ "credential": credential.id, "key": credential.hint })
            }
            Self::RotateProvider { credential, .. } => json!({ "key": credential.hint }),
            Self::EnableProvider { enabled, .. } | Self::EnableCredential { enabled, .. } => {
                json!({ "enabled": enabled })
            }
            Self::AddModel { settings, .. } | Self::SetModel { settings, .. } => {
                model_detail(settings)
            }
            Self::ImportPrices { import } => import_detail(import),
            Self::CreateGroup { models, .. } => json!({ "models": models }),
            Self::AddToGroup { alias, .. } | Self::RemoveFromGroup { alias, .. } => {
                json!({ "model": alias })
            }
            Self::CancelJob {
                reason, release, ..
            }
            | Self::FailJob {
                reason, release, ..
            } => json!({ "reason": reason, "release": release }),
        }
    }
}

/// A provider as the target of a record, as `provider:acme/openai`.
pub fn provider_target(provider: &ProviderRef) -> String {
    match &provider.org_id {
        Some(org) => format!("provider:{org}/{}", provider.name),
        None => format!("provider:{}", provider.name),
    }
}

/// A setting that can be taken away: null if it stays, `none` if it goes.
fn removable<T: Serialize>(setting: Option<&Option<T>>) -> Value {
    match setting {
        None => Value::Null,
        Some(None) => json!("none"),
        Some(Some(value)) => json!(value),
    }
}

fn limit_detail(limits: &LimitSettings) -> Value {
    json!({
        "requests_per_minute": removable(limits.requests_per_minute.as_ref()),
        "tokens_per_minute": removable(limits.tokens_per_minute.as_ref()),
        "parallel_calls": removable(limits.parallel_calls.as_ref()),
    })
}

fn team_detail(settings: &TeamSettings) -> Value {
    json!({
        "name": settings.name,
        "budget_mode": settings.budget_mode.map(BudgetMode::word),
        "credits_per_dollar": settings.credits_per_dollar.map(CreditRate::as_f64),
        "tokens_per_credit": settings.tokens_per_credit,
        "markup": settings.markup.map(|markup| markup.to_string()),
        "charge_failed": settings
            .charge_failed
            .map(|rule| rule.map_or("default", ChargeFailed::as_str)),
        "round": settings.rounding.map(Rounding::as_str),
        "job_cost_max": removable(
            settings.job_cost_max.map(|max| max.map(|cost| cost.dollars(6))).as_ref()
        ),
        "default_model": removable(settings.default_model.as_ref()),
        "groups": settings.groups,
        "overdraft": settings.overdraft,
        "limits": limit_detail(&settings.limits),
        "on_disconnect": settings.disconnect.map(DisconnectPolicy::word),
        "cache_ttl_seconds": removable(settings.cache_ttl_seconds.as_ref()),
        "budget_day": removable(settings.budget_day.as_ref()),
        "budget_month": removable(settings.budget_month.as_ref()),
    })
}

fn key_detail(settings: &KeySettings) -> Value {
    json!({
        "label": settings.label,
        "limits": limit_detail(&settings.limits),
        "expires_at": removable(settings.expires_at.as_ref()),
    })
}

fn model_detail(settings: &ModelSettings) -> Value {
    let millis = |timeout: Duration| i64::try_from(timeout.as_millis()).unwrap_or(i64::MAX);
    let timeout_ms = settings.timeout.map(|timeout| timeout.map(millis));
    json!({
        "provider": settings.provider,
        "upstream_model": settings.upstream_model,
        "price": removable(settings.price.as_ref()),
        "output_tokens_max": settings.output_tokens_max,
        "weight": settings.weight,
        "timeout_ms": removable(timeout_ms.as_ref()),
        "fallbacks": settings.fallbacks,
    })
}

fn import_detail(import: &PriceImport) -> Value {
    let list = &import.list;
    let accepted = match &import.accepted {
        Acceptance::All => json!("all"),
        Acceptance::Models(models) => json!(models),
    };
    json!({
        "format": list.format.as_str(),
        "file": import.file_name,
        "sha256": import.file_sha256,
        "accepted": accepted,
        "prices": import.counts,
        "refused_rows": list.refused.len(),
        "skipped_rows": list.skipped.rows(),
    })
}

fn balance_detail(change: &BalanceChange, reason: &str) -> Value {
    let (credits, job_id) = match change {
        BalanceChange::Allocate(credits) | BalanceChange::Adjust(credits) => (credits, None),
        BalanceChange::Refund(credits, job_id) => (credits, *job_id),
    };
    json!({ "credits": credits, "job_id": job_id, "reason": reason })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{SystemRandom, Timestamp};
    use crate::command::NewCredential;
    use crate::id::CredentialId;

    #[test]
    fn what_is_taken_away_differs_from_what_stays() {
        let limits = LimitSettings {
            requests_per_minute: Some(Some(60)),
            tokens_per_minute: Some(None),
            parallel_calls: None,
        };
        let settings = TeamSettings {
            limits,
            cache_ttl_seconds: Some(None),
            ..TeamSettings::default()
        };
        let id = "t".parse().unwrap();
        let detail = Command::SetTeam { id, settings }.detail();
        let expected = json!({
            "requests_per_minute": 60, "tokens_per_minute": "none", "parallel_calls": null
        });
        assert_eq!(detail["limits"], expected);
        assert_eq!(detail["cache_ttl_seconds"], "none");
        assert_eq!(detail["default_model"], Value::Null);
    }

    #[test]
    fn keys_of_providers_are_recorded_by_id_and_hint() {
        let id = CredentialId::new(Timestamp::default(), &SystemRandom);
        let provider = ProviderRef {
            org_id: Some("acme".parse().unwrap()),
            name: "p".parse().unwrap(),
        };
        let credential = NewCredential {
            id,
            sealed_key: "v1.sealed".to_owned(),
            hint: "…1111".to_owned(),
        };
        let add = Command::AddCredential {
            provider,
            credential,
        };
        assert_eq!(add.target(), "provider:acme/p");
        assert_eq!(add.detail(), json!({ "credential": id, "key": "…1111" }));
        let enable = Command::EnableCredential { id, enabled: false };
        assert_eq!(enable.action(), "provider.disable_key");
        assert_eq!(enable.target(), format!("credential:{id}"));
    }
}
