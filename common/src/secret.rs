//! Secrets: values without a printable form, and the seal under which they rest.

use std::fmt;
use std::io::Write as _;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use chacha20poly1305::aead::{Aead as _, KeyInit as _};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use sha2::{Digest as _, Sha256};

use crate::clock::Random;

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
    /// Sealed under another key, or damaged.
    #[error(
        "a stored secret was sealed with key {wanted}, but key {present} is loaded, or it is damaged"
    )]
    CannotOpen {
        /// The id of the key that sealed it.
        wanted: String,
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

    /// Seals a text as `v1.<key id>.<nonce>.<ciphertext>`.
    pub fn seal(&self, plain: &str, random: &dyn Random) -> String {
        let mut nonce = [0_u8; 24];
        random.fill(&mut nonce);
        // Encryption fails only above 256 GiB; an empty ciphertext cannot be opened, so it is safe.
        let sealed = self
            .cipher
            .encrypt(XNonce::from_slice(&nonce), plain.as_bytes());
        let sealed = sealed.unwrap_or_default();
        format!(
            "v1.{}.{}.{}",
            self.key_id,
            BASE64.encode(nonce),
            BASE64.encode(sealed)
        )
    }

    /// Opens what [`Self::seal`] made.
    pub fn open(&self, sealed: &str) -> Result<Secret, SecretError> {
        let parts: Vec<&str> = sealed.split('.').collect();
        let wanted = parts.get(1).copied().unwrap_or("unknown").to_owned();
        self.open_parts(&parts)
            .map(Secret::new)
            .ok_or_else(|| SecretError::CannotOpen {
                wanted,
                present: self.key_id.clone(),
            })
    }

    fn open_parts(&self, parts: &[&str]) -> Option<String> {
        let ["v1", _, nonce, ciphertext] = parts else {
            return None;
        };
        let nonce = <[u8; 24]>::try_from(BASE64.decode(nonce).ok()?).ok()?;
        let ciphertext = BASE64.decode(ciphertext).ok()?;
        let plain = self
            .cipher
            .decrypt(XNonce::from_slice(&nonce), ciphertext.as_slice())
            .ok()?;
        String::from_utf8(plain).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemRandom;

    #[test]
    fn a_sealed_text_opens_with_its_key_only() {
        let key = SealingKey::from_bytes([7; 32]);
        let sealed = key.seal("sk-upstream", &SystemRandom);
        assert!(!sealed.contains("sk-upstream"));
        assert_eq!(key.open(&sealed).unwrap().expose(), "sk-upstream");
        let other = SealingKey::from_bytes([8; 32]);
        assert!(matches!(
            other.open(&sealed),
            Err(SecretError::CannotOpen { .. })
        ));
        for damaged in ["", "v1", "v1.a.b.c", &sealed[..sealed.len() - 4]] {
            assert!(key.open(damaged).is_err(), "{damaged}");
        }
    }

    #[test]
    fn a_secret_has_no_printable_form() {
        assert_eq!(format!("{:?}", Secret::new("sk-upstream")), "Secret(…)");
    }
}
