//! The current policy snapshot. Requests read it without a lock; a task replaces it when the
//! policy's revision moves.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use tollgate_common::clock::Timestamp;
use tollgate_common::db::{Database, StoreError, policy};
use tollgate_common::id::{CredentialId, OrgId, ProviderName};
use tollgate_common::policy::Policy;
use tollgate_common::provider::Provider;
use tollgate_common::secret::{SealedAt, SealingKey, Secret};

use crate::error::ApiError;

/// A node that could not confirm its snapshot for so long says that it is not ready, if it does not
/// refuse requests before.
const CONFIRMATION_AGE_MAX: Duration = Duration::from_secs(30);

/// The keys of a provider in clear, oldest first.
type OpenedKeys = Vec<(CredentialId, Secret)>;

/// A policy and the providers' keys in clear, which exist only here.
#[derive(Debug, Default)]
pub(crate) struct Snapshot {
    pub(crate) policy: Policy,
    provider_keys: HashMap<(Option<OrgId>, ProviderName), OpenedKeys>,
}

impl Snapshot {
    /// Opens the providers' keys. One that cannot be opened is left out, so that a provider with
    /// no other has none.
    fn new(mut policy: Policy, sealing_key: &SealingKey) -> Self {
        let mut provider_keys = HashMap::new();
        for (name, provider) in &mut policy.providers {
            let mut opened = Vec::with_capacity(provider.credentials.len());
            provider.credentials.retain(|credential| {
                let place = SealedAt::ProviderKey(credential.id);
                match sealing_key.open(&credential.sealed_key, place) {
                    Ok(key) => opened.push((credential.id, key)),
                    Err(error) => {
                        tracing::error!(provider = %name.1, credential = %credential.id, %error, "a provider's key cannot be opened");
                        return false;
                    }
                }
                true
            });
            provider_keys.insert(name.clone(), opened);
        }
        Self {
            policy,
            provider_keys,
        }
    }

    /// All keys that there are.
    pub(crate) fn credentials(&self) -> HashSet<CredentialId> {
        self.provider_keys
            .values()
            .flatten()
            .map(|(id, _)| *id)
            .collect()
    }

    /// All keys of the providers at a host.
    pub(crate) fn credentials_at<'s>(
        &'s self,
        host: &'s str,
        port: u16,
    ) -> impl Iterator<Item = CredentialId> + 's {
        let providers = self.policy.providers.iter().filter(move |(_, provider)| {
            (provider.base_url.host(), provider.base_url.port()) == (host, port)
        });
        let keys = providers.filter_map(|(name, _)| self.provider_keys.get(name));
        keys.flatten().map(|(id, _)| *id)
    }

    /// The keys of a provider, oldest first. One that [`Policy::route`] returned has at least one.
    pub(crate) fn keys_of(&self, provider: &Provider) -> &[(CredentialId, Secret)] {
        self.provider_keys
            .get(&(provider.org_id.clone(), provider.name.clone()))
            .map_or(&[], Vec::as_slice)
    }
}

/// Holds the current snapshot.
#[derive(Debug)]
pub(crate) struct PolicyCache {
    current: ArcSwap<Snapshot>,
    /// The day, in days since 1970, on which the snapshot was read: prices begin on days.
    read_on: AtomicI64,
    confirmed_at: Mutex<Instant>,
    /// How old the snapshot may be before nothing is decided by it.
    age_max: Duration,
    sealing_key: SealingKey,
}

impl PolicyCache {
    /// Reads the first snapshot.
    pub(crate) async fn load(
        database: &Database,
        sealing_key: SealingKey,
        age_max: Duration,
        now: Timestamp,
    ) -> Result<Self, StoreError> {
        let confirmed_at = Mutex::new(Instant::now());
        let snapshot = Snapshot::new(policy::load(database).await?, &sealing_key);
        Ok(Self {
            current: ArcSwap::from_pointee(snapshot),
            read_on: AtomicI64::new(now.day()),
            confirmed_at,
            age_max,
            sealing_key,
        })
    }

    /// The snapshot to decide by.
    pub(crate) fn current(&self) -> Arc<Snapshot> {
        self.current.load_full()
    }

    /// The key that seals what must rest encrypted.
    pub(crate) const fn sealing_key(&self) -> &SealingKey {
        &self.sealing_key
    }

    /// Reads the policy again if its revision has moved, or a new day may have new prices.
    pub(crate) async fn refresh(
        &self,
        database: &Database,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let began = Instant::now();
        let has_moved = policy::revision(database).await? != self.current.load().policy.revision;
        if has_moved || self.read_on.load(Ordering::Relaxed) != now.day() {
            let snapshot = Snapshot::new(policy::load(database).await?, &self.sealing_key);
            tracing::debug!(revision = snapshot.policy.revision, "policy refreshed");
            self.current.store(Arc::new(snapshot));
            self.read_on.store(now.day(), Ordering::Relaxed);
        }
        let confirmed_at = self.confirmed_at.lock();
        *confirmed_at.unwrap_or_else(PoisonError::into_inner) = began;
        Ok(())
    }

    /// Whether the snapshot was confirmed lately.
    pub(crate) fn is_fresh(&self) -> bool {
        self.age() < CONFIRMATION_AGE_MAX.min(self.age_max)
    }

    /// Refuses to decide by a snapshot that could not be confirmed for long: a key may have been
    /// revoked, a team suspended.
    pub(crate) fn require_fresh(&self) -> Result<(), ApiError> {
        if self.age() < self.age_max {
            Ok(())
        } else {
            Err(ApiError::StalePolicy(self.age_max))
        }
    }

    /// How long ago the snapshot was confirmed.
    fn age(&self) -> Duration {
        let confirmed_at = self.confirmed_at.lock();
        confirmed_at
            .unwrap_or_else(PoisonError::into_inner)
            .elapsed()
    }
}

#[cfg(test)]
mod tests {
    use tollgate_common::clock::{SystemRandom, Timestamp};
    use tollgate_common::provider::{ProviderKind, SealedCredential};

    use super::*;

    /// A key of 32 bytes: the same four characters of base64 again and again.
    fn sealing_key(four: &str) -> SealingKey {
        let text = format!("{}{}=", four.repeat(10), &four[..3]);
        SealingKey::parse(&text, "test").unwrap()
    }

    fn sealed(key: &SealingKey, text: &str) -> SealedCredential {
        let id = CredentialId::new(Timestamp::default(), &SystemRandom);
        let place = SealedAt::ProviderKey(id);
        SealedCredential {
            id,
            sealed_key: key.seal(text, place, &SystemRandom),
        }
    }

    fn provider(name: &str, credentials: &[SealedCredential]) -> Provider {
        Provider {
            org_id: None,
            name: name.parse().unwrap(),
            kind: ProviderKind::OpenAi,
            base_url: "https://provider.example/v1".parse().unwrap(),
            pass_fields: tollgate_common::provider::PassFields::default(),
            enabled: true,
            credentials: credentials.to_vec(),
        }
    }

    #[test]
    fn keys_that_cannot_be_opened_are_left_out() {
        let (ours, other) = (sealing_key("AAAA"), sealing_key("EEEE"));
        let lost = sealed(&other, "lost");
        let mut moved = sealed(&ours, "moved");
        moved.id = CredentialId::new(Timestamp::default(), &SystemRandom);
        let some = [
            sealed(&ours, "one"),
            lost.clone(),
            moved,
            sealed(&ours, "two"),
        ];
        let mut policy = Policy::default();
        for provider in [provider("some", &some), provider("none", &[lost])] {
            let name = (None, provider.name.clone());
            policy.providers.insert(name, provider);
        }
        let snapshot = Snapshot::new(policy, &ours);
        let found = |name: &str| {
            let provider = &snapshot.policy.providers[&(None, name.parse().unwrap())];
            let keys = snapshot.keys_of(provider);
            let ids: Vec<CredentialId> = keys.iter().map(|(id, _)| *id).collect();
            let left: Vec<CredentialId> = provider.credentials.iter().map(|c| c.id).collect();
            assert_eq!(ids, left);
            let texts = keys.iter().map(|(_, key)| key.expose().to_owned());
            texts.collect::<Vec<_>>()
        };
        assert_eq!(found("some"), ["one", "two"]);
        assert!(found("none").is_empty());
    }
}
