//! Refusals of providers that only the operator can end, kept for a while so that nodes can tell
//! of them: a key that is not accepted, an account without money, a model that is retired.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tollgate_common::clock::Timestamp;
use tollgate_common::id::{CredentialId, ProviderName};
use tollgate_common::live::ProviderAlert;

use crate::provider::failure::OperatorFault;

/// How long an alert is told after it was seen last.
const ALERT_AGE_MAX: Duration = Duration::from_mins(10);

/// How many alerts are kept, those that were seen last.
const ALERTS_MAX: usize = 32;

/// What was refused.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Refused {
    pub(crate) provider: ProviderName,
    pub(crate) credential: CredentialId,
    pub(crate) upstream_model: String,
}

#[derive(Debug)]
struct Alert {
    fault: OperatorFault,
    message: String,
    count: u64,
    last_at: Instant,
}

/// The alerts of this node.
#[derive(Debug, Default)]
pub(crate) struct Alerts {
    alerts: Mutex<HashMap<Refused, Alert>>,
    /// Whether there may be any, so that requests that succeed need no lock.
    is_raised: AtomicBool,
}

impl Alerts {
    /// A provider has refused.
    pub(crate) fn raise(
        &self,
        refused: Refused,
        fault: OperatorFault,
        message: &str,
        now: Instant,
    ) {
        let mut alerts = self.lock();
        alerts.retain(|_, alert| now < alert.last_at + ALERT_AGE_MAX);
        if alerts.len() >= ALERTS_MAX && !alerts.contains_key(&refused) {
            let oldest = alerts.iter().min_by_key(|(_, alert)| alert.last_at);
            let oldest = oldest.map(|(refused, _)| refused.clone());
            if let Some(oldest) = oldest {
                alerts.remove(&oldest);
            }
        }
        let alert = alerts.entry(refused).or_insert(Alert {
            fault,
            message: String::new(),
            count: 0,
            last_at: now,
        });
        alert.fault = fault;
        message.clone_into(&mut alert.message);
        alert.count += 1;
        alert.last_at = now;
        self.is_raised.store(true, Ordering::Release);
    }

    /// A provider has served with this key: what was said of the key and of this model is over.
    pub(crate) fn clear(&self, credential: CredentialId, upstream_model: &str) {
        if !self.is_raised.load(Ordering::Acquire) {
            return;
        }
        let mut alerts = self.lock();
        alerts.retain(|refused, alert| {
            let concerns_key = matches!(alert.fault, OperatorFault::Key | OperatorFault::Account);
            refused.credential != credential
                || (refused.upstream_model != upstream_model && !concerns_key)
        });
        self.is_raised.store(!alerts.is_empty(), Ordering::Release);
    }

    /// What there is to tell, the provider's name first.
    pub(crate) fn current(&self, now: Instant, at: Timestamp) -> Vec<ProviderAlert> {
        if !self.is_raised.load(Ordering::Acquire) {
            return Vec::new();
        }
        let mut alerts = self.lock();
        alerts.retain(|_, alert| now < alert.last_at + ALERT_AGE_MAX);
        self.is_raised.store(!alerts.is_empty(), Ordering::Release);
        let told = alerts.iter().map(|(refused, alert)| ProviderAlert {
            provider: refused.provider.to_string(),
            credential_id: refused.credential.to_string(),
            upstream_model: refused.upstream_model.clone(),
            fault: alert.fault.as_str().to_owned(),
            message: alert.message.clone(),
            count: alert.count,
            last_at: at.minus(now - alert.last_at).as_seconds() * 1_000_000,
        });
        let mut told: Vec<ProviderAlert> = told.collect();
        told.sort_unstable_by(|one, other| {
            let key = |alert: &ProviderAlert| {
                let model = alert.upstream_model.clone();
                (alert.provider.clone(), alert.credential_id.clone(), model)
            };
            key(one).cmp(&key(other))
        });
        told
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Refused, Alert>> {
        self.alerts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use tollgate_common::clock::SystemRandom;

    use super::*;

    fn refused(credential: CredentialId, upstream_model: &str) -> Refused {
        Refused {
            provider: "one".parse().unwrap(),
            credential,
            upstream_model: upstream_model.to_owned(),
        }
    }

    fn credential() -> CredentialId {
        CredentialId::new(Timestamp::default(), &SystemRandom)
    }

    #[test]
    fn an_alert_ends_with_an_answer_or_with_time() {
        let (alerts, id, now) = (Alerts::default(), credential(), Instant::now());
        let at = Timestamp::from_micros(1_000_000_000);
        alerts.raise(refused(id, "a"), OperatorFault::Account, "no money", now);
        alerts.raise(refused(id, "a"), OperatorFault::Account, "no money", now);
        alerts.raise(refused(id, "b"), OperatorFault::Model, "retired", now);
        let told = alerts.current(now, at);
        assert_eq!(told.len(), 2);
        assert_eq!((told[0].count, told[0].message.as_str()), (2, "no money"));
        alerts.clear(credential(), "a");
        assert_eq!(alerts.current(now, at).len(), 2, "another key has served");
        alerts.clear(id, "c");
        let told = alerts.current(now, at);
        assert_eq!(told.len(), 1, "the account has money again");
        assert_eq!(told[0].upstream_model, "b");
        assert!(alerts.current(now + ALERT_AGE_MAX, at).is_empty());
    }

    #[test]
    fn there_are_never_more_alerts_than_are_kept() {
        let (alerts, now) = (Alerts::default(), Instant::now());
        for index in 0..100 {
            let model = format!("model-{index}");
            let at = now + Duration::from_millis(index);
            alerts.raise(refused(credential(), &model), OperatorFault::Model, "", at);
        }
        let told = alerts.current(now + Duration::from_secs(1), Timestamp::default());
        assert_eq!(told.len(), ALERTS_MAX);
        assert!(told.iter().any(|alert| alert.upstream_model == "model-99"));
    }
}
