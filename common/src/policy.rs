//! Everything a proxy needs to decide who may do what, as one immutable snapshot.

use std::collections::HashMap;
use std::sync::Arc;

use crate::clock::Timestamp;
use crate::id::{GroupName, KeyId, ModelAlias, OrgId, ProviderName, TeamId};
use crate::key::{KeyHash, VirtualKey};
use crate::model::Model;
use crate::org::Organization;
use crate::price::Price;
use crate::provider::Provider;
use crate::standing::Standing;
use crate::team::Team;

mod route;

/// A snapshot of organizations, teams, keys, models, groups and providers.
#[derive(Debug, Default)]
pub struct Policy {
    /// Moves with each change of any of them.
    pub revision: i64,
    /// Keys by their hash.
    pub keys: HashMap<KeyHash, VirtualKey>,
    /// The key that each rotated key has replaced.
    pub rotations: HashMap<KeyId, KeyId>,
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
    /// There is no such alias, and no such group with models among the team's.
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

/// A model and who serves it.
#[derive(Debug, Clone, Copy)]
pub struct Route<'a> {
    /// The model.
    pub model: &'a Model,
    /// The provider account that serves it. It has at least one key.
    pub provider: &'a Provider,
}

impl<'a> Route<'a> {
    /// What the model costs at this provider, if anyone knows.
    pub fn price(&self) -> Option<&'a Arc<Price>> {
        self.model.at(self.provider).price.as_ref()
    }

    /// How many tokens an answer may have at most, if anyone knows.
    pub fn output_tokens_max(&self) -> Option<i64> {
        self.model.at(self.provider).output_tokens_max
    }

    /// How many tokens prompt and answer may have together, if anyone knows.
    pub fn context_tokens_max(&self) -> Option<i64> {
        self.model.at(self.provider).context_tokens_max
    }
}

/// Where a call may go.
#[derive(Debug, Clone)]
pub struct Routes<'a> {
    /// The model whose alias the caller sees, whoever serves the call.
    pub public: &'a Model,
    /// Where to send the call, in the order to try; at least one.
    pub candidates: Vec<Route<'a>>,
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

    /// The key that a chain of rotations began with; the key itself if it has replaced none.
    /// Whoever holds the new key is whoever held the old one.
    pub fn first_key<'k>(&'k self, id: &'k KeyId) -> &'k KeyId {
        let mut first = id;
        // As many steps as there are rotations: a circle would never end.
        for _ in 0..self.rotations.len() {
            match self.rotations.get(first) {
                Some(earlier) => first = earlier,
                None => break,
            }
        }
        first
    }

    /// The standing of a team: its own or its organization's, whichever is stricter.
    pub fn standing(&self, team: &Team, now: Timestamp) -> Standing {
        let org = self
            .orgs
            .get(&team.org_id)
            .map_or(Standing::Suspended, |org| org.standing);
        team.standing.at(now).stricter(org.at(now))
    }

    /// The organization's own provider of that name, else the one for all.
    fn provider(&self, org: &OrgId, name: &ProviderName) -> Option<&Provider> {
        self.providers
            .get(&(Some(org.clone()), name.clone()))
            .or_else(|| self.providers.get(&(None, name.clone())))
    }
}

#[cfg(test)]
mod tests;
