use std::sync::atomic::{AtomicU64, Ordering};

use proptest::prelude::*;

use super::*;
use crate::clock::Random;
use crate::id::CredentialId;
use crate::job::{BudgetMode, ChargeFailed, Terms};
use crate::limit::Limits;
use crate::model::{Fallback, ProviderAt, Resolved};
use crate::money::{CreditRate, Markup, Rounding};
use crate::provider::{ProviderKind, SealedCredential};
use crate::team::DisconnectPolicy;

/// Numbers that look random and are the same for the same seed (`SplitMix64`).
#[derive(Debug)]
struct SeededRandom(AtomicU64);

impl Random for SeededRandom {
    fn fill(&self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            let step = 0x9e37_79b9_7f4a_7c15;
            let mut mixed = self.0.fetch_add(step, Ordering::Relaxed);
            mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            let random = (mixed ^ (mixed >> 31)).to_le_bytes();
            chunk.copy_from_slice(&random[..chunk.len()]);
        }
    }
}

fn seeded(seed: u64) -> SeededRandom {
    SeededRandom(AtomicU64::new(seed))
}

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
            charge_failed: ChargeFailed::Never,
            rounding: Rounding::Down,
            job_cost_max: None,
        },
        charge_failed: None,
        default_model: default_model.map(|alias| alias.parse().unwrap()),
        groups: groups.iter().map(|group| group.parse().unwrap()).collect(),
        limits: Limits::default(),
        disconnect: DisconnectPolicy::Drain,
        cache_ttl_seconds: None,
        created_at: Timestamp::default(),
        updated_at: Timestamp::default(),
    }
}

fn provider(org: Option<&str>, name: &str, base_url: &str) -> Provider {
    let credential = SealedCredential {
        id: CredentialId::new(Timestamp::default(), &seeded(1)),
        sealed_key: "sealed".to_owned(),
    };
    Provider {
        org_id: org.map(|org| org.parse().unwrap()),
        name: name.parse().unwrap(),
        kind: ProviderKind::OpenAi,
        base_url: base_url.parse().unwrap(),
        pass_fields: crate::provider::PassFields::default(),
        enabled: true,
        credentials: vec![credential],
    }
}

fn model(alias: &str, provider: &str, weight: i64, fallbacks: &[(&str, i64, i64)]) -> Model {
    let fallback = |(alias, priority, weight): &(&str, i64, i64)| Fallback {
        alias: alias.parse().unwrap(),
        priority: *priority,
        weight: *weight,
    };
    Model {
        alias: alias.parse().unwrap(),
        provider: provider.parse().unwrap(),
        upstream_model: format!("real-{alias}"),
        own_price: None,
        own_output_tokens_max: None,
        resolved: Resolved::default(),
        timeout: None,
        provider_at: ProviderAt::default(),
        resolved_by_org: Vec::new(),
        weight,
        fallbacks: fallbacks.iter().map(fallback).collect(),
    }
}

/// A policy with these models, one group of some of them, and the provider `p`.
fn policy(models: Vec<Model>, group: &[&str]) -> Policy {
    let mut policy = Policy::default();
    for model in models {
        policy.models.insert(model.alias.clone(), model);
    }
    let aliases = group.iter().map(|alias| alias.parse().unwrap()).collect();
    policy.groups.insert("g".parse().unwrap(), aliases);
    let all = provider(None, "p", "https://all");
    policy.providers.insert((None, all.name.clone()), all);
    policy
}

fn two_models() -> Policy {
    let models = ["fast", "smart"].map(|alias| model(alias, "p", 1, &[]));
    policy(models.to_vec(), &["fast"])
}

/// The aliases of the candidates for what a member of the group `g` asked for.
fn order(policy: &Policy, requested: &str, seed: u64) -> Vec<String> {
    let routes = policy.route(&team(&["g"], None), Some(requested), &seeded(seed));
    let candidates = routes.unwrap().candidates.into_iter();
    candidates
        .map(|route| route.model.alias.to_string())
        .collect()
}

#[test]
fn a_name_is_an_alias_or_a_group_and_must_be_granted() {
    let policy = two_models();
    let granted = team(&["g"], Some("fast"));
    for requested in [Some("fast"), Some("g"), None] {
        let routes = policy.route(&granted, requested, &seeded(1)).unwrap();
        assert_eq!(routes.public.upstream_model, "real-fast");
        assert_eq!(routes.candidates.len(), 1);
        assert_eq!(routes.candidates[0].model, routes.public);
    }
    let refusal = |requested| {
        let refused = policy.route(&granted, Some(requested), &seeded(1));
        refused.unwrap_err().to_string()
    };
    assert_eq!(
        refusal("smart"),
        "Team 't' does not have access to model alias 'smart'"
    );
    assert_eq!(
        refusal("nope"),
        "Team 't' does not have access to model group 'nope'"
    );
    let nameless = policy.route(&team(&["g"], None), None, &seeded(1));
    assert!(matches!(
        nameless.unwrap_err(),
        RouteRefusal::NoModel { .. }
    ));
}

#[test]
fn an_organizations_own_provider_comes_first_and_one_without_a_key_is_none() {
    let mut policy = two_models();
    let own = (Some("o".parse().unwrap()), "p".parse().unwrap());
    let of_org = provider(Some("o"), "p", "https://own");
    policy.providers.insert(own.clone(), of_org);
    let team = team(&["g"], Some("fast"));
    let routes = policy.route(&team, None, &seeded(1)).unwrap();
    assert_eq!(
        routes.candidates[0].provider.base_url.as_str(),
        "https://own"
    );
    let own = policy.providers.get_mut(&own).unwrap();
    own.credentials.clear();
    let refusal = policy.route(&team, None, &seeded(1)).unwrap_err();
    assert!(matches!(refusal, RouteRefusal::NoCredentials { .. }));
}

#[test]
fn fallbacks_follow_by_priority_and_their_own_fallbacks_do_not() {
    let models = vec![
        model("a", "p", 1, &[("c", 2, 1), ("b", 1, 1), ("gone", 3, 1)]),
        model("b", "p", 1, &[("d", 1, 1)]),
        model("c", "p", 1, &[]),
        model("d", "p", 1, &[]),
    ];
    let policy = policy(models, &["a"]);
    assert_eq!(order(&policy, "a", 7), ["a", "b", "c"]);
    let refused = policy.route(&team(&["g"], None), Some("b"), &seeded(1));
    assert!(matches!(
        refused.unwrap_err(),
        RouteRefusal::AliasNotGranted { .. }
    ));
}

#[test]
fn a_group_is_tried_in_its_order_each_model_before_its_fallbacks() {
    let models = vec![
        model("a", "p", 1, &[("x", 1, 1), ("c", 2, 1)]),
        model("b", "p", 1, &[("x", 1, 1), ("y", 1, 1)]),
        model("c", "p", 1, &[]),
        model("x", "p", 1, &[]),
        model("y", "p", 1, &[]),
    ];
    let policy = policy(models, &["b", "a", "c"]);
    for seed in 0..20 {
        let order = order(&policy, "g", seed);
        assert_eq!(order[0], "b");
        let mut shared = order[1..3].to_vec();
        shared.sort();
        assert_eq!(shared, ["x", "y"]);
        assert_eq!(order[3..], ["a", "c"]);
    }
    let routes = policy.route(&team(&["g"], None), Some("g"), &seeded(1));
    assert_eq!(routes.unwrap().public.alias.as_str(), "b");
}

#[test]
fn candidates_that_cannot_serve_are_left_out() {
    let models = vec![
        model("a", "off", 1, &[("b", 0, 1000), ("c", 1, 1)]),
        model("b", "nowhere", 1, &[]),
        model("c", "p", 1, &[]),
    ];
    let mut policy = policy(models, &["a"]);
    let mut off = provider(None, "off", "https://off");
    off.enabled = false;
    policy.providers.insert((None, off.name.clone()), off);
    assert_eq!(order(&policy, "a", 3), ["c"]);
    let routes = policy.route(&team(&["g"], None), Some("a"), &seeded(1));
    assert_eq!(routes.unwrap().public.alias.as_str(), "a");
    policy.providers.remove(&(None, "p".parse().unwrap()));
    let refused = policy.route(&team(&["g"], None), Some("a"), &seeded(1));
    assert_eq!(
        refused.unwrap_err(),
        RouteRefusal::NoCredentials {
            provider: "off".parse().unwrap()
        }
    );
}

#[test]
fn granted_models_are_listed_once_by_alias() {
    let models = ["c", "a", "b", "d"].map(|alias| model(alias, "p", 1, &[("d", 1, 1)]));
    let mut policy = policy(models.to_vec(), &["c", "a"]);
    let second = ["b", "a"].map(|alias| alias.parse().unwrap()).to_vec();
    policy.groups.insert("h".parse().unwrap(), second);
    let listed = |groups: &[&str]| {
        let models = policy.granted_models(&team(groups, Some("d")));
        let aliases = models.iter().map(|model| model.alias.to_string());
        aliases.collect::<Vec<_>>()
    };
    assert_eq!(listed(&["g", "h", "gone"]), ["a", "b", "c"]);
    assert_eq!(listed(&["h"]), ["a", "b"]);
    assert!(listed(&[]).is_empty());
}

const LOTS: usize = 3_000;

/// Whether an event that is to happen with this probability happened so often in [`LOTS`] lots:
/// within six standard deviations, which chance leaves about twice in a thousand million.
fn is_likely(count: usize, probability: f64) -> bool {
    let lots = LOTS as f64;
    let deviation = (lots * probability * (1.0 - probability)).sqrt();
    (count as f64 - lots * probability).abs() <= 6.0 * deviation + 1.0
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn every_order_is_as_likely_as_the_weights_say(
        weights in prop::array::uniform3(1_i64..=1_000),
        seed: u64,
    ) {
        let fallbacks = [("b", 0, weights[1]), ("c", 0, weights[2])];
        let mut models = ["b", "c"].map(|alias| model(alias, "p", 999, &[])).to_vec();
        models.push(model("a", "p", weights[0], &fallbacks));
        let policy = policy(models, &["a"]);
        let (team, random) = (team(&["g"], Some("a")), seeded(seed));
        let mut counts: HashMap<Vec<usize>, usize> = HashMap::new();
        for _ in 0..LOTS {
            let routes = policy.route(&team, None, &random).unwrap();
            prop_assert_eq!(routes.public.alias.as_str(), "a");
            let place = |route: &Route<'_>| {
                ["a", "b", "c"].iter().position(|alias| route.model.alias.as_str() == *alias)
            };
            let order = routes.candidates.iter().filter_map(place).collect();
            *counts.entry(order).or_default() += 1;
        }
        let total: i64 = weights.iter().sum();
        for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
            let [first, second, _] = order.map(|place| weights[place] as f64);
            let probability = first / total as f64 * second / (total as f64 - first);
            let count = counts.get(&order[..]).copied().unwrap_or(0);
            prop_assert!(is_likely(count, probability), "{:?}: {} {}", order, count, probability);
        }
    }

    #[test]
    fn lower_priorities_always_come_first_and_nobody_is_lost(
        fallbacks in prop::collection::vec((0_i64..4, 1_i64..=1_000), 0..8),
        weight in 1_i64..=1_000,
        seed: u64,
    ) {
        let names: Vec<String> = (0..fallbacks.len()).map(|n| format!("f{n}")).collect();
        let given: Vec<(&str, i64, i64)> = names
            .iter()
            .zip(&fallbacks)
            .map(|(name, (priority, weight))| (name.as_str(), *priority, *weight))
            .collect();
        let mut models = vec![model("a", "p", weight, &given)];
        models.extend(names.iter().map(|name| model(name, "p", 1, &[])));
        let order = order(&policy(models, &["a"]), "a", seed);
        let priority = |alias: &String| {
            given.iter().find(|(name, ..)| name == alias).map_or(0, |(_, priority, _)| *priority)
        };
        let priorities: Vec<i64> = order.iter().map(priority).collect();
        prop_assert!(priorities.is_sorted(), "{:?} {:?}", order, priorities);
        let mut all = [vec!["a".to_owned()], names.clone()].concat();
        let mut tried = order.clone();
        all.sort();
        tried.sort();
        prop_assert_eq!(tried, all);
    }
}
