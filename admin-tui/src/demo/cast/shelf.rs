//! Providers, their keys, models and groups.

use std::sync::Arc;

use tollgate_common::clock::Timestamp;
use tollgate_common::command::{Command, ModelSettings, NewCredential, ProviderRef};
use tollgate_common::id::{CredentialId, InvalidId, ModelAlias, ProviderName};
use tollgate_common::model::{ALIAS_VERSION, Fallback};
use tollgate_common::money::PicoUsd;
use tollgate_common::price::{CATALOG, ListedPrice, Price, PriceSource, RateCard};
use tollgate_common::provider::{BaseUrl, ProviderKind};
use tollgate_common::secret::{SealedAt, SealingKey};

use super::{Casting, days};

/// A model as calls need it.
#[derive(Debug)]
pub(crate) struct Offer {
    /// Its public name.
    pub(crate) alias: ModelAlias,
    /// Who serves it.
    pub(crate) provider: ProviderName,
    /// A key of who serves it.
    pub(crate) credential: CredentialId,
    /// What they call it.
    pub(crate) upstream_model: String,
    /// What it costs.
    pub(crate) price: Option<Arc<Price>>,
    /// The longest answer.
    pub(crate) output_tokens_max: i64,
    /// How often it is asked beside others.
    pub(crate) weight: u64,
    /// Milliseconds that it takes at least.
    pub(crate) pace_ms: i64,
}

const PROVIDERS: [(&str, ProviderKind); 5] = [
    ("demo-openai", ProviderKind::OpenAi),
    ("demo-anthropic", ProviderKind::Anthropic),
    ("demo-gemini", ProviderKind::Gemini),
    ("demo-fireworks", ProviderKind::OpenAi),
    ("demo-retired", ProviderKind::OpenAi),
];

/// Alias, provider, what it calls the model, weight, milliseconds.
type Shelved = (&'static str, usize, &'static str, u64, i64);

const MODELS: [Shelved; 9] = [
    ("demo/small", 0, "gpt-4.1-mini", 30, 500),
    ("demo/large", 0, "gpt-4.1", 12, 1_400),
    ("demo/reasoning", 0, "o4-mini", 5, 4_000),
    ("demo/embed", 0, "text-embedding-3-small", 10, 90),
    ("demo/sonnet", 1, "claude-sonnet-4-5", 14, 1_800),
    ("demo/haiku", 1, "claude-haiku-4-5", 10, 600),
    ("demo/flash", 2, "gemini-2.5-flash", 12, 450),
    ("demo/pro", 2, "gemini-2.5-pro", 4, 2_500),
    ("demo/llama", 3, "llama-v3p3-70b-instruct", 3, 900),
];

/// Who stands in: alias, priority, weight.
type Way = (&'static str, i64, i64);

/// The longest answer that a demonstration asks for.
const OUTPUT_TOKENS_MAX: i64 = 4_096;

impl Casting<'_> {
    /// Models with their prices, and the key of a provider that rests.
    pub(super) fn stock_the_shelf(
        &mut self,
        sealing: &SealingKey,
    ) -> Result<(Vec<Offer>, CredentialId), InvalidId> {
        let mut credentials = Vec::new();
        for (name, kind) in PROVIDERS {
            credentials.push(self.provider(name.parse()?, kind, sealing));
        }
        let spare = self.credential(self.early(20), sealing);
        let resting = spare.id;
        let provider = shared(PROVIDERS[0].0.parse()?);
        let credential = spare;
        self.record(
            self.early(20),
            Command::AddCredential {
                provider,
                credential,
            },
        );
        let mut offers = Vec::new();
        for (index, shelved) in MODELS.into_iter().enumerate() {
            let at = self.early(30 + index as u64);
            let place = shelved.1;
            let provider: ProviderName = PROVIDERS[place].0.parse()?;
            let alias: ModelAlias = shelved.0.parse()?;
            offers.push(self.model(at, shelved, (provider, credentials[place]), alias));
        }
        self.ways_out()?;
        self.groups()?;
        let retired = shared(PROVIDERS[4].0.parse()?);
        let command = Command::EnableProvider {
            provider: retired,
            enabled: false,
        };
        self.record(self.size.now.minus(days(6)), command);
        Ok((offers, resting))
    }

    fn credential(&self, at: Timestamp, sealing: &SealingKey) -> NewCredential {
        let number = self.dice.below(10_000);
        let secret = format!("sk-demo-opens-nothing-{number:04}");
        let id = CredentialId::new(at, self.dice);
        NewCredential {
            id,
            sealed_key: sealing.seal(&secret, SealedAt::ProviderKey(id), self.secrets),
            hint: format!("…{number:04}"),
        }
    }

    fn provider(
        &mut self,
        name: ProviderName,
        kind: ProviderKind,
        sealing: &SealingKey,
    ) -> CredentialId {
        let at = self.early(self.dice.below(15));
        let credential = self.credential(at, sealing);
        let id = credential.id;
        // A name that never has an address: nobody is asked by mistake.
        let url = format!("https://{name}.invalid/v1");
        if let Ok(base_url) = url.parse::<BaseUrl>() {
            let provider = shared(name);
            let command = Command::AddProvider {
                provider,
                kind,
                base_url,
                credential,
            };
            self.record(at, command);
        }
        id
    }

    fn model(
        &mut self,
        at: Timestamp,
        (_, place, upstream_model, weight, pace_ms): Shelved,
        (provider, credential): (ProviderName, CredentialId),
        alias: ModelAlias,
    ) -> Offer {
        let own = (upstream_model == "llama-v3p3-70b-instruct")
            .then(|| RateCard::flat(PicoUsd(700_000), PicoUsd(800_000)));
        let command = Command::AddModel {
            alias: alias.clone(),
            settings: ModelSettings {
                provider: Some(provider.clone()),
                upstream_model: Some(upstream_model.to_owned()),
                price: own.clone().map(Some),
                ..ModelSettings::default()
            },
        };
        self.record(at, command);
        let of_alias = own
            .as_ref()
            .map(|card| Price::new(card, PriceSource::Alias, ALIAS_VERSION, None));
        let (_, kind) = PROVIDERS[place];
        let listed = CATALOG.find((kind, ""), upstream_model, self.size.now.day());
        let longest = listed.as_ref().and_then(|listed| listed.output_tokens_max);
        let price = of_alias.or_else(|| listed.as_ref().map(ListedPrice::price));
        Offer {
            alias,
            provider,
            credential,
            upstream_model: upstream_model.to_owned(),
            price: price.map(Arc::new),
            output_tokens_max: longest.unwrap_or(OUTPUT_TOKENS_MAX).min(OUTPUT_TOKENS_MAX),
            weight,
            pace_ms,
        }
    }

    /// Who stands in for whom.
    fn ways_out(&mut self) -> Result<(), InvalidId> {
        let ways: [(&str, &[Way]); 4] = [
            ("demo/large", &[("demo/sonnet", 1, 1), ("demo/pro", 2, 1)]),
            ("demo/sonnet", &[("demo/pro", 1, 2), ("demo/large", 1, 1)]),
            ("demo/small", &[("demo/flash", 0, 2), ("demo/haiku", 1, 1)]),
            ("demo/haiku", &[("demo/flash", 1, 1)]),
        ];
        for (index, (alias, ways)) in ways.into_iter().enumerate() {
            let to = |(alias, priority, weight): &Way| {
                Ok(Fallback {
                    alias: alias.parse()?,
                    priority: *priority,
                    weight: *weight,
                })
            };
            let fallbacks: Result<Vec<Fallback>, InvalidId> = ways.iter().map(to).collect();
            let command = Command::SetModel {
                alias: alias.parse()?,
                settings: ModelSettings {
                    fallbacks: Some(fallbacks?),
                    ..ModelSettings::default()
                },
            };
            self.record(self.early(50 + index as u64), command);
        }
        Ok(())
    }

    fn groups(&mut self) -> Result<(), InvalidId> {
        let groups: [(&str, &[usize]); 2] = [
            ("demo-standard", &[0, 3, 5, 6, 8]),
            ("demo-premium", &[1, 2, 4, 7]),
        ];
        for (name, members) in groups {
            let models: Result<_, _> = members.iter().map(|at| MODELS[*at].0.parse()).collect();
            let command = Command::CreateGroup {
                name: name.parse()?,
                models: models?,
            };
            self.record(self.early(60), command);
        }
        Ok(())
    }
}

const fn shared(name: ProviderName) -> ProviderRef {
    ProviderRef { org_id: None, name }
}
