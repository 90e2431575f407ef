//! Takes out of a provider's words what must not leave us.

use std::borrow::Cow;

use tollgate_common::secret::Secret;

/// What must not leave us in a provider's words.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scrub<'a> {
    /// The key that was sent.
    pub(crate) key: &'a Secret,
    /// The provider's host.
    pub(crate) host: &'a str,
    /// The provider's name of the model.
    pub(crate) upstream_model: &'a str,
    /// What callers call the model.
    pub(crate) alias: &'a str,
}

/// The longest message of a provider that is kept, in characters.
const MESSAGE_LENGTH_MAX: usize = 500;

/// How words begin that are keys or accounts.
const SECRET_PREFIXES: &[&str] = &[
    "sk-", "sk_", "org-", "proj_", "gsk_", "xai-", "AIza", "key-", "user-", "acct_",
];

/// Providers that teams are not to learn of, in lower case.
const PROVIDER_NAMES: &[&str] = &[
    "openai",
    "azure",
    "anthropic",
    "google",
    "vertex",
    "mistral",
    "groq",
    "deepseek",
    "openrouter",
    "xai",
    "together",
    "fireworks",
    "cohere",
    "bedrock",
    "vllm",
    "ollama",
    "moonshot",
    "perplexity",
    "cerebras",
];

impl Scrub<'_> {
    /// Takes keys, hosts, addresses, providers' names and the real model out of a message.
    pub(super) fn clean(&self, message: &str) -> String {
        // Databases refuse NUL, and terminals obey control characters.
        let message: String = message
            .chars()
            .take(MESSAGE_LENGTH_MAX * 4)
            .filter(|c| !c.is_control() || *c == '\n')
            .collect();
        let message = replaced(&message, self.key.expose(), "[key]");
        let message = replaced(&message, self.host, "[provider]");
        let message = replaced(&message, self.upstream_model, self.alias);
        let words = message.split_whitespace();
        let words = words.map(|word| self.shown(word));
        let text = words.collect::<Vec<_>>().join(" ");
        text.chars().take(MESSAGE_LENGTH_MAX).collect()
    }

    fn shown<'w>(&self, word: &'w str) -> &'w str {
        let bare = word.trim_matches(|c: char| !c.is_ascii_alphanumeric());
        let is_name = PROVIDER_NAMES
            .iter()
            .any(|name| bare.eq_ignore_ascii_case(name));
        if is_name && bare != self.alias {
            "[provider]"
        } else if is_secret(word) {
            "[removed]"
        } else {
            word
        }
    }
}

fn is_secret(word: &str) -> bool {
    let word = word.trim_start_matches(|c: char| !c.is_ascii_alphanumeric());
    word.contains("http://")
        || word.contains("https://")
        || SECRET_PREFIXES
            .iter()
            .any(|prefix| word.starts_with(prefix))
}

fn replaced<'t>(text: &'t str, what: &str, with: &str) -> Cow<'t, str> {
    if what.is_empty() {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(text.replace(what, with))
    }
}
