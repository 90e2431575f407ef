//! Providers: the accounts under which models are bought.

use std::fmt;
use std::str::FromStr;

use crate::id::{CredentialId, OrgId, ProviderName};

pub use field::{Endpoint, FieldRule, PassFields};

pub mod field;

/// The dialect that a provider speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProviderKind {
    /// OpenAI's chat completions, which most providers and local servers offer too.
    OpenAi,
    /// Anthropic's messages.
    Anthropic,
    /// Google's Gemini: content generation.
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
        [Self::OpenAi, Self::Anthropic, Self::Gemini]
            .into_iter()
            .find(|kind| kind.word() == text)
            .ok_or_else(|| {
                format!(
                    "'{text}' is not a provider kind: use anthropic, gemini, or openai, which serves every OpenAI-compatible base URL"
                )
            })
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
    api_version: Option<String>,
}

/// The one query parameter that a base URL may have. Azure's deployments are not found without it.
const API_VERSION: &str = "api-version";

/// The longest version that is taken.
const API_VERSION_LENGTH_MAX: usize = 64;

/// Where Azure serves OpenAI's models. It takes keys in a header of its own.
const AZURE_DOMAIN: &str = ".openai.azure.com";

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
        self.with_version(&self.path, endpoint)
    }

    /// The whole URL of the list of models, with this query. Azure keeps the list beside the
    /// deployments, not below each.
    pub fn models_url(&self, query: &str) -> String {
        let root = self.path.split("/deployments/").next().unwrap_or_default();
        let scheme = if self.tls { "https" } else { "http" };
        let path = self.with_version(root, &format!("/models{query}"));
        format!("{scheme}://{}{path}", self.authority())
    }

    fn with_version(&self, root: &str, endpoint: &str) -> String {
        let Some(version) = &self.api_version else {
            return format!("{root}{endpoint}");
        };
        let separator = if endpoint.contains('?') { '&' } else { '?' };
        format!("{root}{endpoint}{separator}{API_VERSION}={version}")
    }

    /// Whether the key belongs in the header `api-key`, as on Azure, instead of `authorization`.
    pub fn takes_api_key_header(&self) -> bool {
        self.api_version.is_some() || self.host.ends_with(AZURE_DOMAIN)
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
        let api_version = read_api_version(&url)?;
        let host = url.host_str().ok_or_else(|| problem("no host"))?;
        let root = text.split('?').next().unwrap_or(text).trim_end_matches('/');
        Ok(Self {
            text: match &api_version {
                Some(version) => format!("{root}?{API_VERSION}={version}"),
                None => root.to_owned(),
            },
            host: host.trim_matches(['[', ']']).to_owned(),
            port: url
                .port_or_known_default()
                .ok_or_else(|| problem("no port"))?,
            tls,
            path: url.path().trim_end_matches('/').to_owned(),
            api_version,
        })
    }
}

/// Takes a query that is a version and nothing else. The text is not repeated: it may hold a key.
fn read_api_version(url: &url::Url) -> Result<Option<String>, String> {
    let is_version = |text: &str| {
        let is_known = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
        (1..=API_VERSION_LENGTH_MAX).contains(&text.len()) && text.bytes().all(is_known)
    };
    let version = url.query().map(|query| {
        let value = query.strip_prefix(API_VERSION)?.strip_prefix('=')?;
        is_version(value).then(|| value.to_owned())
    });
    match version {
        None if url.fragment().is_none() => Ok(None),
        Some(Some(version)) if url.fragment().is_none() => Ok(Some(version)),
        _ => Err(format!(
            "a base URL must have no fragment and no query but {API_VERSION}=VERSION: give the key apart"
        )),
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A key of a provider account, as it rests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedCredential {
    /// Its id.
    pub id: CredentialId,
    /// The key, sealed.
    pub sealed_key: String,
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
    /// Fields that it is sent although the table of fields does not have them.
    pub pass_fields: PassFields,
    /// Whether it may be used.
    pub enabled: bool,
    /// Its enabled keys, oldest first.
    pub credentials: Vec<SealedCredential>,
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
            "https://h/?",
            "https://h/?api-version=",
            "https://h/?api-version=1&key=2",
            "https://h/?api-version=1#part",
            "https://h/#part",
        ] {
            assert!(bad.parse::<BaseUrl>().is_err(), "{bad}");
        }
        let error = "https://user:hunter2@host/".parse::<BaseUrl>().unwrap_err();
        assert!(!error.contains("hunter2"));
        let error = "https://h/?key=hunter2".parse::<BaseUrl>().unwrap_err();
        assert!(!error.contains("hunter2"));
    }

    #[test]
    fn an_azure_deployment_has_a_version_and_a_header_of_its_own() {
        let text = "https://x.openai.azure.com/openai/deployments/gpt4o?api-version=2024-10-21";
        let deployment: BaseUrl = text.parse().unwrap();
        assert_eq!(deployment.as_str(), text);
        assert_eq!(
            deployment.path_of("/chat/completions"),
            "/openai/deployments/gpt4o/chat/completions?api-version=2024-10-21"
        );
        assert_eq!(
            deployment.path_of("/a?b=c"),
            "/openai/deployments/gpt4o/a?b=c&api-version=2024-10-21"
        );
        assert_eq!(
            deployment.models_url(""),
            "https://x.openai.azure.com/openai/models?api-version=2024-10-21"
        );
        let local: BaseUrl = "http://[::1]:9191/v1".parse().unwrap();
        assert_eq!(
            local.models_url("?limit=9"),
            "http://[::1]:9191/v1/models?limit=9"
        );
        assert_eq!(deployment.authority(), "x.openai.azure.com");
        let takes_api_key_header = |text: &str| {
            let url: BaseUrl = text.parse().unwrap();
            url.takes_api_key_header()
        };
        assert!(deployment.takes_api_key_header());
        assert!(takes_api_key_header(
            "https://gate.example/llm/?api-version=1"
        ));
        assert!(takes_api_key_header("https://x.openai.azure.com/openai/v1"));
        assert!(!takes_api_key_header("https://openai.azure.com.example/v1"));
    }

    #[test]
    fn the_word_of_a_kind_is_read_back() {
        for kind in [
            ProviderKind::OpenAi,
            ProviderKind::Anthropic,
            ProviderKind::Gemini,
        ] {
            assert_eq!(kind.word().parse(), Ok(kind));
            assert!(kind.default_base_url().parse::<BaseUrl>().is_ok());
        }
        let error = "azure".parse::<ProviderKind>().unwrap_err();
        assert!(error.contains("anthropic, gemini, or openai"), "{error}");
    }
}
