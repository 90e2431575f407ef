//! Asks a provider for the list of its models, which costs nothing and needs a key that it takes.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tollgate_common::clock::Clock;
use tollgate_common::provider::{BaseUrl, ProviderKind};
use tollgate_common::secret::Secret;
use ureq::tls::{Certificate, RootCerts, TlsConfig};

/// How long a provider may take from the first step to the last byte.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The longest list of models that is read.
const LIST_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// The version of Anthropic's API whose list is read.
const ANTHROPIC_VERSION: &str = "2023-06-01";

/// What Gemini's answer to a key that it does not know holds, with a 400 like any other mistake.
const GEMINI_BAD_KEY: &str = "API_KEY_INVALID";

/// How a provider took a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It listed so many models.
    Ok(usize),
    /// It does not take the key.
    Unauthorized(u16),
    /// It answered something else: its status, and what was wrong with it.
    Status(u16, &'static str),
    /// It could not be asked, or did not answer in time.
    Unreachable(String),
}

/// A verdict and how long it took.
#[derive(Debug)]
pub(super) struct Probe {
    pub(super) verdict: Verdict,
    pub(super) latency_ms: u64,
}

/// What makes the requests: straight, as the proxy does, and without following a redirect, which
/// would carry the key elsewhere.
pub(super) fn agent() -> ureq::Agent {
    let system_roots = rustls_native_certs::load_native_certs().certs;
    let roots: Vec<Certificate<'static>> = system_roots
        .iter()
        .map(|der| Certificate::from_der(der).to_owned())
        .collect();
    let crypto = Arc::new(rustls::crypto::ring::default_provider());
    let tls = TlsConfig::builder()
        .root_certs(RootCerts::new_with_certs(&roots))
        .unversioned_rustls_crypto_provider(crypto)
        .build();
    ureq::Agent::config_builder()
        .tls_config(tls)
        .timeout_global(Some(TIMEOUT))
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .proxy(None)
        .user_agent(concat!("tollgate-admin/", env!("CARGO_PKG_VERSION")))
        .build()
        .into()
}

/// Lists the models with one key.
pub(super) fn probe(
    agent: &ureq::Agent,
    kind: ProviderKind,
    base_url: &BaseUrl,
    key: &Secret,
    clock: &dyn Clock,
) -> Probe {
    let began_at = clock.now();
    let verdict = match ask(agent, kind, base_url, key) {
        Ok((status, body)) => judge(kind, status, &body),
        // No error of the client is known to hold a header; this makes sure of it.
        Err(error) => Verdict::Unreachable(error.to_string().replace(key.expose(), "…")),
    };
    let latency = clock.now().since(began_at);
    Probe {
        verdict,
        latency_ms: u64::try_from(latency.as_millis()).unwrap_or(u64::MAX),
    }
}

/// The key goes into a header, never into the URL, which ends up in logs.
fn ask(
    agent: &ureq::Agent,
    kind: ProviderKind,
    base_url: &BaseUrl,
    key: &Secret,
) -> Result<(u16, Vec<u8>), ureq::Error> {
    let request = match kind {
        ProviderKind::OpenAi if base_url.takes_api_key_header() => agent
            .get(base_url.models_url(""))
            .header("api-key", key.expose()),
        ProviderKind::OpenAi => agent
            .get(base_url.models_url(""))
            .header("authorization", format!("Bearer {}", key.expose())),
        ProviderKind::Anthropic => agent
            .get(base_url.models_url("?limit=1000"))
            .header("x-api-key", key.expose())
            .header("anthropic-version", ANTHROPIC_VERSION),
        ProviderKind::Gemini => agent
            .get(base_url.models_url("?pageSize=1000"))
            .header("x-goog-api-key", key.expose()),
    };
    let mut response = request.call()?;
    let status = response.status().as_u16();
    let body = response.body_mut().with_config().limit(LIST_BYTES_MAX);
    Ok((status, body.read_to_vec()?))
}

fn judge(kind: ProviderKind, status: u16, body: &[u8]) -> Verdict {
    match status {
        200 => count_models(body).map_or(
            Verdict::Status(status, "the answer is not a list of models"),
            Verdict::Ok,
        ),
        401 | 403 => Verdict::Unauthorized(status),
        400 if kind == ProviderKind::Gemini && holds(body, GEMINI_BAD_KEY) => {
            Verdict::Unauthorized(status)
        }
        404 => Verdict::Status(status, "there is no list of models at this base URL"),
        429 => Verdict::Status(status, "it takes no more requests for now"),
        300..400 => Verdict::Status(status, "it points elsewhere: change the base URL"),
        _ => Verdict::Status(status, "it answered with an error"),
    }
}

/// OpenAI and Anthropic call the list `data`, Gemini calls it `models`, some servers give it bare.
fn count_models(body: &[u8]) -> Option<usize> {
    let answer: Value = serde_json::from_slice(body).ok()?;
    let named = answer.get("data").or_else(|| answer.get("models"));
    named.unwrap_or(&answer).as_array().map(Vec::len)
}

fn holds(body: &[u8], text: &str) -> bool {
    String::from_utf8_lossy(body).contains(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_are_counted_in_every_form_of_list() {
        for body in [
            r#"{"object": "list", "data": [{"id": "a"}, {"id": "b"}]}"#,
            r#"{"models": [{"name": "models/a"}, {"name": "models/b"}]}"#,
            r#"[{"id": "a"}, {"id": "b"}]"#,
        ] {
            assert_eq!(count_models(body.as_bytes()), Some(2), "{body}");
        }
        for body in ["", "<html>", "{}", r#"{"data": {}}"#] {
            assert_eq!(count_models(body.as_bytes()), None, "{body}");
        }
    }

    #[test]
    fn a_status_tells_a_bad_key_from_another_fault() {
        let bad_key = br#"{"error": {"status": "INVALID_ARGUMENT", "details":
            [{"reason": "API_KEY_INVALID"}]}}"#;
        let (openai, gemini) = (ProviderKind::OpenAi, ProviderKind::Gemini);
        assert_eq!(judge(gemini, 400, bad_key), Verdict::Unauthorized(400));
        assert!(matches!(judge(gemini, 400, b"{}"), Verdict::Status(400, _)));
        assert!(matches!(
            judge(openai, 400, bad_key),
            Verdict::Status(400, _)
        ));
        for status in [401, 403] {
            assert_eq!(judge(openai, status, b""), Verdict::Unauthorized(status));
        }
        for status in [200, 302, 404, 429, 500] {
            assert!(matches!(judge(openai, status, b"{}"), Verdict::Status(s, _) if s == status));
        }
        assert_eq!(judge(openai, 200, br#"{"data": []}"#), Verdict::Ok(0));
    }
}
