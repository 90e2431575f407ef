//! Virtual keys: what a team's application shows at the door.
//!
//! A key is `sk-`, eight public characters and forty secret ones. Only the public part and the
//! SHA-256 of the whole are stored; 40 characters of 62 are 238 bits, so a plain hash suffices.

use sha2::{Digest as _, Sha256};

use crate::clock::{Random, Timestamp};
use crate::id::{KeyId, TeamId};
use crate::limit::Limits;
use crate::secret::Secret;

const ALPHABET: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
const PREFIX: &str = "sk-";
const PUBLIC_LENGTH: usize = 8;
const SECRET_LENGTH: usize = 40;
/// Characters after `sk-` from which on an imported key counts as hard to guess.
pub const STRONG_SECRET_LENGTH: usize = 24;

const IMPORTED_LENGTH: std::ops::RangeInclusive<usize> = 7..=200;

/// SHA-256 of a whole key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyHash([u8; 32]);

impl KeyHash {
    /// Hashes a key as a caller sent it.
    pub fn of(key: &str) -> Self {
        Self(Sha256::digest(key.as_bytes()).into())
    }

    /// Reads the stored hexadecimal form.
    pub fn from_hex(text: &str) -> Option<Self> {
        let mut bytes = [0_u8; 32];
        if text.len() != 64 || !text.is_ascii() {
            return None;
        }
        for (index, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[index * 2..index * 2 + 2], 16).ok()?;
        }
        Some(Self(bytes))
    }

    /// The hexadecimal form that is stored.
    pub fn to_hex(self) -> String {
        self.0.iter().map(|b| format!("{b:02x}")).collect()
    }
}

/// A key in clear, as it exists only while it is made: shown once, never stored.
#[derive(Debug)]
pub struct PlainKey {
    text: Secret,
    id: KeyId,
}

/// Why a text cannot be imported as a key.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("an imported key must be 'sk-' followed by 4 to 197 visible ASCII characters")]
pub struct NotAKey;

impl PlainKey {
    /// Makes a new key.
    pub fn generate(random: &dyn Random) -> Self {
        let characters = random_characters(PUBLIC_LENGTH + SECRET_LENGTH, random);
        let id = KeyId::new(&characters[..PUBLIC_LENGTH]);
        Self {
            text: Secret::new(format!("{PREFIX}{characters}")),
            id,
        }
    }

    /// Takes a key that callers use already. Its id is random: one that is made from the key would
    /// let whoever sees ids try guesses without asking the proxy.
    pub fn import(text: &str, random: &dyn Random) -> Result<Self, NotAKey> {
        let visible = text.bytes().all(|b| b.is_ascii_graphic());
        if !text.starts_with(PREFIX) || !visible || !IMPORTED_LENGTH.contains(&text.len()) {
            return Err(NotAKey);
        }
        let id = KeyId::new(&random_characters(PUBLIC_LENGTH, random));
        Ok(Self {
            text: Secret::new(text),
            id,
        })
    }

    /// Whether the key has fewer characters after `sk-` than keep it from being guessed.
    pub fn is_weak(&self) -> bool {
        let secret = self.text.expose().len().saturating_sub(PREFIX.len());
        secret < STRONG_SECRET_LENGTH
    }

    /// The name under which the key is listed.
    pub fn id(&self) -> &KeyId {
        &self.id
    }

    /// What is stored to recognize the key.
    pub fn hash(&self) -> KeyHash {
        KeyHash::of(self.text.expose())
    }

    /// The key in clear, to be shown once.
    pub fn reveal(&self) -> &str {
        self.text.expose()
    }
}

/// Characters of the alphabet, each equally likely: bytes above the largest multiple are drawn
/// again.
fn random_characters(count: usize, random: &dyn Random) -> String {
    const FAIR_BELOW: u8 = 248; // 4 × 62
    let mut characters = String::with_capacity(count);
    let mut bytes = [0_u8; 64];
    while characters.len() < count {
        random.fill(&mut bytes);
        let fair = bytes.iter().filter(|byte| **byte < FAIR_BELOW);
        let wanted = count - characters.len();
        characters.extend(
            fair.take(wanted)
                .map(|b| char::from(ALPHABET[usize::from(b % 62)])),
        );
    }
    characters
}

/// A stored key.
#[derive(Debug, Clone)]
pub struct VirtualKey {
    /// Public part.
    pub id: KeyId,
    /// Whom it admits.
    pub team_id: TeamId,
    /// What an administrator called it.
    pub label: Option<String>,
    /// SHA-256 of the whole key.
    pub hash: KeyHash,
    /// How much it may ask for, within its team's limits.
    pub limits: Limits,
    /// From when on it is refused; a rotated key gets one at the end of its grace.
    pub expires_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
}

impl VirtualKey {
    /// Whether the key admits anyone at `now`.
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|end| now < end)
    }

    /// `live`, `expired` or `revoked`, for lists.
    pub fn status(&self, now: Timestamp) -> &'static str {
        match (self.revoked_at, self.is_live(now)) {
            (Some(_), _) => "revoked",
            (None, true) => "live",
            (None, false) => "expired",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemRandom;

    #[test]
    fn a_generated_key_has_the_documented_form() {
        let key = PlainKey::generate(&SystemRandom);
        let rest = key.reveal().strip_prefix("sk-").unwrap();
        assert_eq!(rest.len(), 48);
        assert!(rest.bytes().all(|b| b.is_ascii_alphanumeric()));
        assert_eq!(key.id().as_str(), &rest[..8]);
        assert_eq!(KeyHash::from_hex(&key.hash().to_hex()), Some(key.hash()));
    }

    #[test]
    fn importing_takes_visible_sk_keys_and_reveals_nothing_of_them() {
        let import = |text: &str| PlainKey::import(text, &SystemRandom);
        let key = import("sk-your-virtual-key-here").unwrap();
        assert!(!key.reveal().contains(key.id().as_str()));
        let again = import("sk-your-virtual-key-here").unwrap();
        assert_eq!(key.hash(), again.hash());
        assert_ne!(
            key.id(),
            again.id(),
            "nobody can compute an id from a guess"
        );
        assert!(key.is_weak());
        assert!(import(&format!("sk-{}", "x".repeat(23))).unwrap().is_weak());
        assert!(!import(&format!("sk-{}", "x".repeat(24))).unwrap().is_weak());
        for bad in [
            "",
            "sk-",
            "sk-1",
            "pk-12345678",
            "sk-with space",
            "sk-ümlaut",
        ] {
            assert!(import(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_key_lives_until_it_is_revoked_or_expires() {
        let now = Timestamp::from_micros(100);
        let plain = PlainKey::import("sk-1234", &SystemRandom).unwrap();
        let mut key = VirtualKey {
            id: plain.id().clone(),
            team_id: "t".parse().unwrap(),
            label: None,
            hash: plain.hash(),
            limits: Limits::default(),
            expires_at: None,
            revoked_at: None,
            created_at: now,
        };
        assert!(key.is_live(now));
        key.expires_at = Some(now);
        assert_eq!(key.status(now), "expired");
        key.revoked_at = Some(now);
        assert_eq!(key.status(now), "revoked");
    }
}
