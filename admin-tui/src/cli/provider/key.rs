//! Where a provider's key comes from, and how it is sealed. No error here repeats what was read.

use std::io::{BufRead as _, IsTerminal as _, Read as _, Write as _};

use tollgate_common::clock::SystemRandom;
use tollgate_common::command::NewCredential;
use tollgate_common::id::CredentialId;
use tollgate_common::secret::{SealedAt, Secret};

use crate::cli::error::Failure;
use crate::session::Session;

/// The longest key that any provider is known to give is far shorter.
const KEY_BYTES_MAX: usize = 8_192;

/// A key at least this long stays secret when its last characters are shown.
const HINTED_LENGTH_MIN: usize = 20;

/// How many of its last characters are shown.
const HINT_LENGTH: usize = 4;

/// Where the key comes from.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
pub(crate) struct KeySource {
    /// Read the key from this environment variable
    #[arg(long, value_name = "VARIABLE")]
    key_env: Option<String>,
    /// Read the key from the first line of standard input
    #[arg(long)]
    key_stdin: bool,
}

impl KeySource {
    /// Reads the key and seals it.
    pub(super) fn read(&self, session: &Session) -> Result<NewCredential, Failure> {
        // Before the key is asked for, so that nobody gives one in vain.
        let _ = session.sealing_key()?;
        let (option, text) = match &self.key_env {
            Some(name) => ("--key-env", from_variable(name)?),
            None => ("--key-stdin", from_stdin()?),
        };
        checked(text.expose().trim())
            .map_err(|problem| Failure::Usage(format!("{option}: {problem}")))?;
        sealed(session, &text)
    }
}

/// Seals a provider's key, which [`checked`] has found to be one.
pub(crate) fn sealed(session: &Session, text: &Secret) -> Result<NewCredential, Failure> {
    let sealing_key = session.sealing_key()?;
    let key = text.expose().trim();
    let id = CredentialId::new(session.now(), &SystemRandom);
    Ok(NewCredential {
        id,
        sealed_key: sealing_key.seal(key, SealedAt::ProviderKey(id), &SystemRandom),
        hint: hint(key),
    })
}

fn from_variable(name: &str) -> Result<Secret, Failure> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if name.is_empty() || !name.chars().all(is_name) {
        let message = "--key-env takes the name of an environment variable, not the key itself: write it as OPENAI_API_KEY";
        return Err(Failure::Usage(message.to_owned()));
    }
    std::env::var(name).map(Secret::new).map_err(|_| {
        let message =
            "--key-env: there is no such environment variable; export it, or use --key-stdin";
        Failure::Usage(message.to_owned())
    })
}

fn from_stdin() -> Result<Secret, Failure> {
    let stdin = std::io::stdin().lock();
    if stdin.is_terminal() {
        // A prompt that cannot be shown does not keep the key from being read.
        let _ = write!(std::io::stderr(), "Provider key (it will be visible): ");
    }
    let mut line = String::new();
    stdin
        .take(KEY_BYTES_MAX as u64 + 1)
        .read_line(&mut line)
        .map_err(Failure::Input)?;
    Ok(Secret::new(line))
}

/// Says what is wrong with a key, without repeating it.
pub(crate) fn checked(key: &str) -> Result<(), String> {
    if key.is_empty() {
        Err("the key is empty".to_owned())
    } else if key.len() > KEY_BYTES_MAX {
        Err(format!("the key is longer than {KEY_BYTES_MAX} bytes"))
    } else if !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        Err("a key has only visible ASCII characters and no spaces".to_owned())
    } else {
        Ok(())
    }
}

/// The last characters of a key, if that leaves enough of it unknown.
pub(crate) fn hint(key: &str) -> String {
    if key.len() < HINTED_LENGTH_MIN {
        return "…".to_owned();
    }
    let hidden = key.len() - HINT_LENGTH;
    format!("…{}", &key[hidden..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hint_shows_the_end_of_long_keys_only() {
        assert_eq!(hint("sk-0123456789abcdefg"), "…defg");
        assert_eq!(hint("sk-0123456789abcdef"), "…");
    }

    #[test]
    fn keys_are_visible_ascii_and_errors_do_not_repeat_them() {
        assert!(checked("sk-1").is_ok());
        for bad in ["", "sk secret", "sk-secret\u{e4}", &"secret".repeat(2_000)] {
            let error = checked(bad).unwrap_err();
            assert!(!error.contains("secret"), "{error}");
        }
        let error = from_variable("sk-secret").unwrap_err().to_string();
        assert!(!error.contains("secret"), "{error}");
    }
}
