//! Secrets: values without a printable form, and the seal under which they rest.

use std::fmt;
use std::io::Write as _;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use sha2::{Digest as _, Sha256};

use crate::clock::Random;
use crate::id::{CredentialId, KeyId};

/// A text that must not be shown: it has no `Display`, no `Serialize`, and a `Debug` without
/// content.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// Wraps a text that must not be shown.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for the one place that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

/// The memory is handed back without the text.
impl Drop for Secret {
    fn drop(&mut self) {
        let mut bytes = std::mem::take(&mut self.0).into_bytes();
        bytes.fill(0);
        std::hint::black_box(&bytes);
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Why a secret could not be sealed, opened, or its key read.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The text is not 32 bytes in base64.
    #[error("{source_name} does not hold a secret key: it must be 32 bytes in base64")]
    BadKey {
        /// The variable or file that was read.
        source_name: String,
    },
    /// The file could not be read or written.
    #[error("the key file {path}: {error}")]
    File {
        /// The file.
        path: String,
        /// What the system said.
        error: std::io::Error,
    },
    /// The file may be read by others than its owner.
    #[error("the key file {path} may be read by others: run chmod 600 {path}")]
    Exposed {
        /// The file.
        path: String,
    },
    /// Sealed under another key.
    #[error("a stored secret was sealed with key {wanted}, but key {present} is loaded")]
    CannotOpen {
        /// The id of the key that sealed it.
        wanted: String,
        /// The id of the key at hand.
        present: String,
    },
    /// Damaged, or moved from where it was stored.
    #[error(
        "a stored secret does not open with the loaded key {present}, although no other key sealed it: it is damaged, or was moved from another row. Store it anew"
    )]
    Damaged {
        /// The id of the key at hand.
        present: String,
    },
}

/// The installation's key that seals what must rest encrypted (XChaCha20-Poly1305).
#[derive(Clone)]
pub struct SealingKey {
    cipher: XChaCha20Poly1305,
    key_id: String,
}

impl fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealingKey")
            .field("key_id", &self.key_id)
            .finish_non_exhaustive()
    }
}

impl SealingKey {
    fn from_bytes(bytes: [u8; 32]) -> Self {
        let digest = Sha256::digest(bytes);
        let key_id = digest[..4].iter().map(|b| format!("{b:02x}")).collect();
        Self {
            cipher: XChaCha20Poly1305::new(&bytes.into()),
            key_id,
        }
    }

    /// Reads the key from base64 text; `source_name` is what an error names.
    pub fn parse(text: &str, source_name: &str) -> Result<Self, SecretError> {
        let bytes = BASE64
            .decode(text.trim())
            .ok()
            .and_then(|b| <[u8; 32]>::try_from(b).ok());
        bytes
            .map(Self::from_bytes)
            .ok_or_else(|| SecretError::BadKey {
                source_name: source_name.to_owned(),
            })
    }

    /// Reads the key file, which only its owner may be able to read.
    pub fn read(path: &Path) -> Result<Self, SecretError> {
        let file_error = |error| SecretError::File {
            path: path.display().to_string(),
            error,
        };
        let text = std::fs::read_to_string(path).map_err(file_error)?;
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = std::fs::metadata(path)
                .map_err(file_error)?
                .permissions()
                .mode();
            if mode & 0o077 != 0 {
                return Err(SecretError::Exposed {
                    path: path.display().to_string(),
                });
            }
        }
        Self::parse(&text, &path.display().to_string())
    }

    /// Reads the key file, making it first (mode 0600) if it is not there.
    pub fn read_or_create(path: &Path, random: &dyn Random) -> Result<Self, SecretError> {
        if path.exists() {
            return Self::read(path);
        }
        let mut bytes = [0_u8; 32];
        random.fill(&mut bytes);
        let file_error = |error| SecretError::File {
            path: path.display().to_string(),
            error,
        };
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        {
            use std::os::unix::fs::OpenOptionsExt as _;
            options.mode(0o600);
        }
        let mut file = options.open(path).map_err(file_error)?;
        writeln!(file, "{}", BASE64.encode(bytes)).map_err(file_error)?;
        Ok(Self::from_bytes(bytes))
    }

    /// Seals a text for one place as `v2.<key id>.<nonce>.<ciphertext>`.
    pub fn seal(&self, plain: &str, place: SealedAt<'_>, random: &dyn Random) -> String {
        let mut nonce = [0_u8; 24];
        random.fill(&mut nonce);
        let payload = Payload {
            msg: plain.as_bytes(),
            aad: &place.associated_data(),
        };
        // Encryption fails only above 256 GiB; an empty ciphertext cannot be opened, so it is safe.
        let sealed = self.cipher.encrypt(XNonce::from_slice(&nonce), payload);
        let sealed = sealed.unwrap_or_default();
        format!(
            "{BOUND_FORM}.{}.{}.{}",
            self.key_id,
            BASE64.encode(nonce),
            BASE64.encode(sealed)
        )
    }

    /// Opens what [`Self::seal`] made for this place.
    pub fn open(&self, sealed: &str, place: SealedAt<'_>) -> Result<Secret, SecretError> {
        self.open_form(BOUND_FORM, sealed, &place.associated_data())
    }

    /// Opens a text of the form without a place, which is only read to be sealed again.
    pub(crate) fn open_unbound(&self, sealed: &str) -> Result<Secret, SecretError> {
        self.open_form(UNBOUND_FORM, sealed, &[])
    }

    /// Whether a sealed text names this key.
    pub(crate) fn is_named_by(&self, sealed: &str) -> bool {
        sealed.split('.').nth(1) == Some(self.key_id.as_str())
    }

    fn open_form(&self, form: &str, sealed: &str, aad: &[u8]) -> Result<Secret, SecretError> {
        let parts: Vec<&str> = sealed.split('.').collect();
        let opened = self.open_parts(form, &parts, aad);
        opened.map(Secret::new).ok_or_else(|| {
            let present = self.key_id.clone();
            match parts.get(1).filter(|wanted| **wanted != present) {
                Some(wanted) => SecretError::CannotOpen {
                    wanted: (*wanted).to_owned(),
                    present,
                },
                None => SecretError::Damaged { present },
            }
        })
    }

    fn open_parts(&self, form: &str, parts: &[&str], aad: &[u8]) -> Option<String> {
        let [found, _, nonce, ciphertext] = parts else {
            return None;
        };
        if *found != form {
            return None;
        }
        let nonce = <[u8; 24]>::try_from(BASE64.decode(nonce).ok()?).ok()?;
        let ciphertext = BASE64.decode(ciphertext).ok()?;
        let payload = Payload {
            msg: ciphertext.as_slice(),
            aad,
        };
        let plain = self
            .cipher
            .decrypt(XNonce::from_slice(&nonce), payload)
            .ok()?;
        String::from_utf8(plain).ok()
    }
}

/// The form of texts that open only at the place that they were sealed for.
const BOUND_FORM: &str = "v2";

/// The earlier form of texts, which opened wherever they stood.
const UNBOUND_FORM: &str = "v1";

/// Where a sealed text is stored and what it is for: it opens nowhere else, so that nobody who can
/// write to the database gets one shown by moving it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SealedAt<'a> {
    /// `provider_credentials.sealed_key` of a row: a provider's key.
    ProviderKey(CredentialId),
    /// `idempotency.sealed_body` of a row: an answer, for requests that repeat the first.
    StoredAnswer {
        /// The virtual key in whose scope it is.
        key_id: &'a KeyId,
        /// The caller's text.
        idempotency_key: &'a str,
    },
}

impl SealedAt<'_> {
    /// Table, column and row, each after its length, so that no two places look the same.
    fn associated_data(self) -> Vec<u8> {
        let row = match self {
            Self::ProviderKey(id) => vec![id.to_string()],
            Self::StoredAnswer {
                key_id,
                idempotency_key,
            } => vec![key_id.to_string(), idempotency_key.to_owned()],
        };
        let (table, column) = match self {
            Self::ProviderKey(_) => ("provider_credentials", "sealed_key"),
            Self::StoredAnswer { .. } => ("idempotency", "sealed_body"),
        };
        let parts = [table, column].into_iter();
        let mut data = Vec::new();
        for part in parts.chain(row.iter().map(String::as_str)) {
            data.extend((part.len() as u64).to_be_bytes());
            data.extend(part.as_bytes());
        }
        data
    }
}

#[cfg(test)]
impl SealingKey {
    /// Seals a text in the earlier form, as databases from before hold it.
    pub(crate) fn seal_unbound(&self, plain: &str, random: &dyn Random) -> String {
        let mut nonce = [0_u8; 24];
        random.fill(&mut nonce);
        let sealed = self
            .cipher
            .encrypt(XNonce::from_slice(&nonce), plain.as_bytes())
            .unwrap();
        let (nonce, sealed) = (BASE64.encode(nonce), BASE64.encode(sealed));
        format!("{UNBOUND_FORM}.{}.{nonce}.{sealed}", self.key_id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{SystemRandom, Timestamp};

    fn credential(millis: i64) -> SealedAt<'static> {
        SealedAt::ProviderKey(CredentialId::least_at(Timestamp::from_micros(
            millis * 1_000,
        )))
    }

    #[test]
    fn a_sealed_text_opens_only_in_its_row_and_for_its_purpose() {
        let key = SealingKey::from_bytes([7; 32]);
        let (one, other) = (KeyId::new("one"), KeyId::new("other"));
        let answer = |key_id, idempotency_key| SealedAt::StoredAnswer {
            key_id,
            idempotency_key,
        };
        let places = [
            credential(1),
            credential(2),
            answer(&one, "a"),
            answer(&one, "b"),
            answer(&other, "a"),
            answer(&one, ""),
        ];
        for sealed_for in places {
            let sealed = key.seal("sk-upstream", sealed_for, &SystemRandom);
            for opened_at in places {
                let opens = key.open(&sealed, opened_at).is_ok();
                assert_eq!(
                    opens,
                    sealed_for == opened_at,
                    "{sealed_for:?} {opened_at:?}"
                );
            }
            assert!(key.open_unbound(&sealed).is_err());
            let earlier = key.seal_unbound("sk-upstream", &SystemRandom);
            assert!(key.open(&earlier, sealed_for).is_err());
            let renamed = earlier.replacen("v1", "v2", 1);
            assert!(key.open(&renamed, sealed_for).is_err());
        }
    }

    #[test]
    fn a_sealed_text_opens_with_its_key_only() {
        let key = SealingKey::from_bytes([7; 32]);
        let place = credential(1);
        let sealed = key.seal("sk-upstream", place, &SystemRandom);
        assert!(!sealed.contains("sk-upstream"));
        assert_eq!(key.open(&sealed, place).unwrap().expose(), "sk-upstream");
        let other = SealingKey::from_bytes([8; 32]);
        assert!(matches!(
            other.open(&sealed, place),
            Err(SecretError::CannotOpen { .. })
        ));
        for damaged in ["", "v1", "v1.a.b.c", &sealed[..sealed.len() - 4]] {
            assert!(key.open(damaged, place).is_err(), "{damaged}");
        }
        // The same key is not named as the wrong one.
        let elsewhere = key.open(&sealed, credential(2));
        assert!(matches!(elsewhere, Err(SecretError::Damaged { .. })));
        let why = elsewhere.unwrap_err().to_string();
        assert_eq!(why.matches(&key.key_id).count(), 1, "{why}");
    }

    #[test]
    fn a_secret_has_no_printable_form() {
        assert_eq!(format!("{:?}", Secret::new("sk-upstream")), "Secret(…)");
    }
}
