//! Which models may serve a call, and in which order they are tried.

use std::iter;

use super::{Policy, Route, RouteRefusal, Routes};
use crate::clock::Random;
use crate::id::{ModelAlias, OrgId};
use crate::model::Model;
use crate::team::Team;

/// A candidate before its place in the order is known.
#[derive(Debug, Clone, Copy)]
struct Choice<'p> {
    priority: i64,
    weight: i64,
    route: Route<'p>,
}

impl Policy {
    /// Finds who may serve what a call asked for: a model and its fallbacks, or the models of a
    /// group one after the other, each followed by its own fallbacks.
    ///
    /// Fallbacks serve whether or not the team is granted them; their own fallbacks do not.
    pub fn route<'p>(
        &'p self,
        team: &Team,
        requested: Option<&str>,
        random: &dyn Random,
    ) -> Result<Routes<'p>, RouteRefusal> {
        let default_model = team.default_model.as_ref().map(ModelAlias::as_str);
        let name = requested
            .or(default_model)
            .ok_or_else(|| RouteRefusal::NoModel {
                team: team.id.clone(),
            })?;
        let (public, others) = self.granted(team, name)?;
        let others = others.iter().filter_map(|alias| self.models.get(alias));
        let mut candidates = Vec::new();
        for model in iter::once(public).chain(others) {
            self.add_candidates(&mut candidates, &team.org_id, model, random);
        }
        if candidates.is_empty() {
            return Err(RouteRefusal::NoCredentials {
                provider: public.provider.clone(),
            });
        }
        Ok(Routes { public, candidates })
    }

    /// All models that a team may ask for, by alias.
    pub fn granted_models(&self, team: &Team) -> Vec<&Model> {
        let aliases = team
            .groups
            .iter()
            .filter_map(|group| self.groups.get(group))
            .flatten();
        let mut models: Vec<&Model> = aliases.filter_map(|alias| self.models.get(alias)).collect();
        models.sort_unstable_by(|one, other| one.alias.cmp(&other.alias));
        models.dedup_by(|one, other| one.alias == other.alias);
        models
    }

    /// The model under an alias that the team is granted; or the first model of a group that it is
    /// granted, and the aliases after it.
    fn granted(&self, team: &Team, name: &str) -> Result<(&Model, &[ModelAlias]), RouteRefusal> {
        if let Some(model) = self.models.get(name) {
            let is_granted = team
                .groups
                .iter()
                .filter_map(|group| self.groups.get(group))
                .any(|aliases| aliases.contains(&model.alias));
            return if is_granted {
                Ok((model, &[]))
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
            .and_then(|group| self.groups.get(group)?.split_first())
            .and_then(|(first, others)| Some((self.models.get(first)?, others)))
            .ok_or_else(|| RouteRefusal::GroupNotGranted {
                team: team.id.clone(),
                name: name.chars().take(128).collect(),
            })
    }

    /// Adds a model and its fallbacks in the order to try, but those that are there already.
    fn add_candidates<'p>(
        &'p self,
        candidates: &mut Vec<Route<'p>>,
        org: &OrgId,
        model: &'p Model,
        random: &dyn Random,
    ) {
        let fallbacks = model.fallbacks.iter().filter_map(|fallback| {
            let model = self.models.get(&fallback.alias)?;
            Some((fallback.priority, fallback.weight, model))
        });
        let mut choices: Vec<Choice<'p>> = iter::once((0, model.weight, model))
            .chain(fallbacks)
            .filter(|(_, _, model)| {
                let is_there = |route: &Route<'_>| route.model.alias == model.alias;
                !candidates.iter().any(is_there)
            })
            .filter_map(|(priority, weight, model)| {
                let route = self.usable(org, model)?;
                Some(Choice {
                    priority,
                    weight,
                    route,
                })
            })
            .collect();
        choices.sort_by_key(|choice| choice.priority);
        for equals in choices.chunk_by_mut(|one, other| one.priority == other.priority) {
            shuffle(equals, random);
        }
        candidates.extend(choices.iter().map(|choice| choice.route));
    }

    /// The model with its provider, if that is enabled and has a key.
    fn usable<'p>(&'p self, org: &OrgId, model: &'p Model) -> Option<Route<'p>> {
        let provider = self
            .provider(org, &model.provider)
            .filter(|provider| provider.enabled && !provider.credentials.is_empty())?;
        Some(Route { model, provider })
    }
}

/// Draws one choice after the other, each as likely as its share of the weights that are left.
fn shuffle(choices: &mut [Choice<'_>], random: &dyn Random) {
    for start in 0..choices.len().saturating_sub(1) {
        let rest = &mut choices[start..];
        let weights = || {
            rest.iter()
                .map(|choice| choice.weight.max(1).unsigned_abs())
        };
        let ticket = below(weights().sum(), random);
        let sums = weights().scan(0, |sum, weight| {
            *sum += weight;
            Some(*sum)
        });
        let drawn = sums.take_while(|sum| *sum <= ticket).count();
        rest.swap(0, drawn);
    }
}

/// A number below `end`. Any is as likely as another, but for one part in 2^64.
fn below(end: u64, random: &dyn Random) -> u64 {
    let mut bytes = [0_u8; 8];
    random.fill(&mut bytes);
    let scaled = u128::from(u64::from_le_bytes(bytes)) * u128::from(end);
    (scaled >> 64) as u64
}
