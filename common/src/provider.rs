//! Providers: the accounts under which models are bought.

use std::fmt;
use std::str::FromStr;

use crate::id::{OrgId, ProviderName};

/// The dialect that a provider speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProviderKind {
    /// OpenAI's chat completions, which most providers and local servers offer too.
    OpenAi,
    /// Anthropic's Messages API.
    Anthropic,
    /// Google's Gemini API.
    Gemini,
}

impl ProviderKind {
    /// The stored and shown word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::OpenAi => "openai",
            Self::Anthropic => "anthropic",
            Self::Gemini => "gemini",
        }
    }

    /// Where a provider of this kind is, if nobody says otherwise.
    pub const fn default_base_url(self) -> &'static str {
        match self {
            Self::OpenAi => "https://api.openai.com/v1",
            Self::Anthropic => "https://api.anthropic.com/v1",
            Self::Gemini => "https://generativelanguage.googleapis.com/v1beta",
        }
    }
}

impl FromStr for ProviderKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "openai" => Ok(Self::OpenAi),
            "anthropic" => Ok(Self::Anthropic),
            "gemini" => Ok(Self::Gemini),
            _ => Err(format!(
                "'{text}' is not a provider kind: use openai, which serves every OpenAI-compatible base URL"
            )),
        }
    }
}

/// The root of a provider's API, such as `https://api.openai.com/v1`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct BaseUrl {
    text: String,
    host: String,
    port: u16,
    tls: bool,
    path: String,
}

impl BaseUrl {
    /// The host's name or address, without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, given or by scheme.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Whether the connection is encrypted.
    pub const fn is_tls(&self) -> bool {
        self.tls
    }

    /// The path of an endpoint below this root.
    pub fn path_of(&self, endpoint: &str) -> String {
        format!("{}{endpoint}", self.path)
    }

    /// Whether the key is wanted in a header `api-key`, as Azure wants it.
    pub fn takes_api_key_header(&self) -> bool {
        self.host.ends_with(".openai.azure.com")
    }

    /// The text as stored.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// What the `Host` header says: the port only if it is not the scheme's.
    pub fn authority(&self) -> String {
        let host = if self.host.contains(':') {
            format!("[{}]", self.host)
        } else {
            self.host.clone()
        };
        let default_port = if self.tls { 443 } else { 80 };
        if self.port == default_port {
            host
        } else {
            format!("{host}:{}", self.port)
        }
    }
}

impl FromStr for BaseUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let problem = |why: &str| {
            format!("'{text}' is not a base URL ({why}): write it as https://api.openai.com/v1")
        };
        let url = url::Url::parse(text).map_err(|error| problem(&error.to_string()))?;
        let tls = match url.scheme() {
            "https" => true,
            "http" => false,
            _ => return Err(problem("only http and https are known")),
        };
        if !url.username().is_empty() || url.password().is_some() {
            // The text is not repeated: it holds a password.
            return Err(
                "a base URL must not hold a user or password: give the key apart".to_owned(),
            );
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(
                "a base URL must not have a query or a fragment: give the key apart".to_owned(),
            );
        }
        let host = url.host_str().ok_or_else(|| problem("no host"))?;
        Ok(Self {
            text: text.trim_end_matches('/').to_owned(),
            host: host.trim_matches(['[', ']']).to_owned(),
            port: url
                .port_or_known_default()
                .ok_or_else(|| problem("no port"))?,
            tls,
            path: url.path().trim_end_matches('/').to_owned(),
        })
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A provider account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Provider {
    /// The one organization that may use it; `None` if all may.
    pub org_id: Option<OrgId>,
    /// What administrators call it.
    pub name: ProviderName,
    /// The dialect it speaks.
    pub kind: ProviderKind,
    /// Where it is.
    pub base_url: BaseUrl,
    /// Whether it may be used.
    pub enabled: bool,
    /// Its enabled keys, sealed, oldest first.
    pub sealed_keys: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base_urls_are_taken_apart_or_refused() {
        let url: BaseUrl = "https://api.groq.com/openai/v1/".parse().unwrap();
        assert_eq!(
            url.path_of("/chat/completions"),
            "/openai/v1/chat/completions"
        );
        assert_eq!(
            (url.host(), url.port(), url.is_tls()),
            ("api.groq.com", 443, true)
        );
        assert_eq!(url.authority(), "api.groq.com");
        let local: BaseUrl = "http://[::1]:9191".parse().unwrap();
        assert_eq!(
            (local.host(), local.authority().as_str()),
            ("::1", "[::1]:9191")
        );
        assert_eq!(local.path_of("/chat/completions"), "/chat/completions");
        for bad in [
            "",
            "api.openai.com",
            "ftp://x/",
            "https://",
            "https://h/?key=1",
        ] {
            assert!(bad.parse::<BaseUrl>().is_err(), "{bad}");
        }
        let error = "https://user:hunter2@host/".parse::<BaseUrl>().unwrap_err();
        assert!(!error.contains("hunter2"));
    }
}
