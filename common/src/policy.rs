//! Everything a proxy needs to decide who may do what, as one immutable snapshot.

use std::collections::HashMap;
use std::sync::Arc;

use crate::clock::Timestamp;
use crate::id::{GroupName, ModelAlias, OrgId, ProviderName, TeamId};
use crate::key::{KeyHash, VirtualKey};
use crate::model::Model;
use crate::org::Organization;
use crate::provider::Provider;
use crate::standing::Standing;
use crate::team::Team;

/// A snapshot of organizations, teams, keys, models, groups and providers.
#[derive(Debug, Default)]
pub struct Policy {
    /// Moves with each change of any of them.
    pub revision: i64,
    /// Keys by their hash.
    pub keys: HashMap<KeyHash, VirtualKey>,
    /// Teams.
    pub teams: HashMap<TeamId, Arc<Team>>,
    /// Organizations.
    pub orgs: HashMap<OrgId, Organization>,
    /// Models by alias.
    pub models: HashMap<ModelAlias, Model>,
    /// The aliases of each group, in the group's order.
    pub groups: HashMap<GroupName, Vec<ModelAlias>>,
    /// Providers, those of an organization and those for all (`None`).
    pub providers: HashMap<(Option<OrgId>, ProviderName), Provider>,
}

/// Why a call has nowhere to go.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RouteRefusal {
    /// The call names no model and its team has no default.
    #[error("model: required, because team '{team}' has no default model")]
    NoModel {
        /// The team.
        team: TeamId,
    },
    /// The alias exists, but no group of the team has it.
    #[error("Team '{team}' does not have access to model alias '{alias}'")]
    AliasNotGranted {
        /// The team.
        team: TeamId,
        /// What it asked for.
        alias: String,
    },
    /// There is no such alias, and no such group among the team's.
    #[error("Team '{team}' does not have access to model group '{name}'")]
    GroupNotGranted {
        /// The team.
        team: TeamId,
        /// What it asked for.
        name: String,
    },
    /// Nobody has given this provider a usable key.
    #[error(
        "No provider credentials configured for {provider}. Please add credentials with tollgate-admin provider add"
    )]
    NoCredentials {
        /// The provider's name. For operators: teams do not learn it.
        provider: ProviderName,
    },
}

/// Where a call goes.
#[derive(Debug, Clone, Copy)]
pub struct Route<'a> {
    /// The model.
    pub model: &'a Model,
    /// The provider account that serves it.
    pub provider: &'a Provider,
}

impl Policy {
    /// Finds the live key that a caller presented, and its team.
    ///
    /// The lookup is by SHA-256, so its timing tells nothing about stored keys.
    pub fn authenticate(
        &self,
        presented: &str,
        now: Timestamp,
    ) -> Option<(&VirtualKey, &Arc<Team>)> {
        let key = self
            .keys
            .get(&KeyHash::of(presented))
            .filter(|key| key.is_live(now))?;
        let team = self.teams.get(&key.team_id)?;
        Some((key, team))
    }

    /// The standing of a team: its own or its organization's, whichever is stricter.
    pub fn standing(&self, team: &Team, now: Timestamp) -> Standing {
        let org = self
            .orgs
            .get(&team.org_id)
            .map_or(Standing::Suspended, |org| org.standing);
        team.standing.at(now).stricter(org.at(now))
    }

    /// Finds the model and provider for what a call asked for.
    pub fn route(&self, team: &Team, requested: Option<&str>) -> Result<Route<'_>, RouteRefusal> {
        let model = match (requested, &team.default_model) {
            (Some(name), _) => self.granted_model(team, name)?,
            (None, Some(alias)) => self.granted_model(team, alias.as_str())?,
            (None, None) => {
                return Err(RouteRefusal::NoModel {
                    team: team.id.clone(),
                });
            }
        };
        let provider = self
            .provider(&team.org_id, &model.provider)
            .filter(|provider| provider.enabled && !provider.sealed_keys.is_empty())
            .ok_or_else(|| RouteRefusal::NoCredentials {
                provider: model.provider.clone(),
            })?;
        Ok(Route { model, provider })
    }

    /// An alias that the team is granted, or the first alias of a group that it is granted.
    fn granted_model(&self, team: &Team, name: &str) -> Result<&Model, RouteRefusal> {
        if let Some(model) = self.models.get(name) {
            let granted = team
                .groups
                .iter()
                .filter_map(|group| self.groups.get(group))
                .any(|aliases| aliases.contains(&model.alias));
            return if granted {
                Ok(model)
            } else {
                Err(RouteRefusal::AliasNotGranted {
                    team: team.id.clone(),
                    alias: name.to_owned(),
                })
            };
        }
        team.groups
            .iter()
            .find(|group| group.as_str() == name)
            .and_then(|group| self.groups.get(group)?.first())
            .and_then(|alias| self.models.get(alias))
            .ok_or_else(|| RouteRefusal::GroupNotGranted {
                team: team.id.clone(),
                name: name.chars().take(128).collect(),
            })
    }

    /// The organization's own provider of that name, else the one for all.
    fn provider(&self, org: &OrgId, name: &ProviderName) -> Option<&Provider> {
        self.providers
            .get(&(Some(org.clone()), name.clone()))
            .or_else(|| self.providers.get(&(None, name.clone())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::{BudgetMode, Terms};
    use crate::money::{CreditRate, Markup};
    use crate::provider::ProviderKind;

    fn team(groups: &[&str], default_model: Option<&str>) -> Team {
        Team {
            id: "t".parse().unwrap(),
            org_id: "o".parse().unwrap(),
            name: "T".to_owned(),
            standing: Standing::Active,
            terms: Terms {
                mode: BudgetMode::JobBased,
                credits_per_dollar: CreditRate::DEFAULT,
                tokens_per_credit: 1,
                markup: Markup::default(),
            },
            default_model: default_model.map(|alias| alias.parse().unwrap()),
            groups: groups.iter().map(|group| group.parse().unwrap()).collect(),
            created_at: Timestamp::default(),
            updated_at: Timestamp::default(),
        }
    }

    fn provider(org: Option<&str>, base_url: &str) -> Provider {
        Provider {
            org_id: org.map(|org| org.parse().unwrap()),
            name: "p".parse().unwrap(),
            kind: ProviderKind::OpenAi,
            base_url: base_url.parse().unwrap(),
            enabled: true,
            sealed_keys: vec!["sealed".to_owned()],
        }
    }

    fn policy() -> Policy {
        let mut policy = Policy::default();
        for alias in ["fast", "smart"] {
            let model = Model {
                alias: alias.parse().unwrap(),
                provider: "p".parse().unwrap(),
                upstream_model: format!("real-{alias}"),
                own_price: None,
                own_output_tokens_max: None,
            };
            policy.models.insert(model.alias.clone(), model);
        }
        policy
            .groups
            .insert("g".parse().unwrap(), vec!["fast".parse().unwrap()]);
        policy
            .providers
            .insert((None, "p".parse().unwrap()), provider(None, "https://all"));
        policy
    }

    #[test]
    fn a_name_is_an_alias_or_a_group_and_must_be_granted() {
        let policy = policy();
        let granted = team(&["g"], Some("fast"));
        for requested in [Some("fast"), Some("g"), None] {
            let route = policy.route(&granted, requested).unwrap();
            assert_eq!(route.model.upstream_model, "real-fast");
        }
        let refusal = |requested| {
            policy
                .route(&granted, Some(requested))
                .unwrap_err()
                .to_string()
        };
        assert_eq!(
            refusal("smart"),
            "Team 't' does not have access to model alias 'smart'"
        );
        assert_eq!(
            refusal("nope"),
            "Team 't' does not have access to model group 'nope'"
        );
        let nameless = policy.route(&team(&["g"], None), None).unwrap_err();
        assert!(matches!(nameless, RouteRefusal::NoModel { .. }));
    }

    #[test]
    fn an_organizations_own_provider_comes_first_and_one_without_a_key_is_none() {
        let mut policy = policy();
        let own = (Some("o".parse().unwrap()), "p".parse().unwrap());
        policy
            .providers
            .insert(own.clone(), provider(Some("o"), "https://own"));
        let team = team(&["g"], Some("fast"));
        assert_eq!(
            policy
                .route(&team, None)
                .unwrap()
                .provider
                .base_url
                .as_str(),
            "https://own"
        );
        policy.providers.get_mut(&own).unwrap().sealed_keys.clear();
        let refusal = policy.route(&team, None).unwrap_err();
        assert!(matches!(refusal, RouteRefusal::NoCredentials { .. }));
    }
}
