//! Addresses of providers' names, looked up without blocking and remembered for a while.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long an answer of the name service is used. Providers move traffic by short-lived answers.
const LIFETIME: Duration = Duration::from_secs(30);

#[derive(Debug, Clone)]
struct Known {
    addresses: Vec<SocketAddr>,
    until: Instant,
}

/// Looks up names. There are as many entries as providers' hosts.
#[derive(Debug, Default)]
pub(crate) struct Resolver {
    known: Mutex<HashMap<(String, u16), Known>>,
}

impl Resolver {
    /// The addresses of a host. If the name service fails, the last answer is used again.
    pub(crate) async fn addresses(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, String> {
        if let Ok(ip) = host.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(ip, port)]);
        }
        let key = (host.to_owned(), port);
        let known = self.lock().get(&key).cloned();
        if let Some(known) = known.as_ref().filter(|known| Instant::now() < known.until) {
            return Ok(known.addresses.clone());
        }
        match tokio::net::lookup_host((host, port)).await {
            Ok(found) => {
                let addresses: Vec<SocketAddr> = found.collect();
                let until = Instant::now() + LIFETIME;
                self.lock().insert(
                    key,
                    Known {
                        addresses: addresses.clone(),
                        until,
                    },
                );
                Ok(addresses)
            }
            Err(error) => known
                .map(|known| known.addresses)
                .ok_or_else(|| format!("name lookup: {error}")),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<(String, u16), Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn addresses_need_no_lookup_and_names_are_looked_up() {
        let resolver = Resolver::default();
        let literal = resolver.addresses("::1", 80).await.unwrap();
        assert_eq!(literal, ["[::1]:80".parse().unwrap()]);
        assert!(
            !resolver
                .addresses("localhost", 80)
                .await
                .unwrap()
                .is_empty()
        );
        assert!(
            resolver
                .addresses("no-such-host.invalid", 80)
                .await
                .is_err()
        );
    }
}
