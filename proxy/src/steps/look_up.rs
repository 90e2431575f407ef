//! Whether an answer may come from the response cache, and whether it is there.
//!
//! A team's own setting covers requests whose answer should not vary: temperature 0 and no tools,
//! and embeddings. A request that asks for it by `x-tollgate-cache` is covered whatever it says.
//! Streams are never covered.

use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use serde_json::value::RawValue;
use tollgate_common::policy::Route;

use super::underway::Underway;
use super::whole::Keep;
use crate::cache::{CacheKey, canonical};
use crate::error::ApiError;
use crate::request::{CallRequest, Prompt};

/// How long an answer is kept if the request asks for it without saying how long, in seconds.
const TTL_SECONDS_DEFAULT: i64 = 300;

/// The longest that an answer is kept, in seconds: 30 days.
const TTL_SECONDS_MAX: i64 = 2_592_000;

/// What a request wants of the cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wish {
    /// What the team's setting says.
    Unsaid,
    Off,
    On {
        ttl_seconds: Option<i64>,
    },
}

/// What the cache has for a request.
#[derive(Debug)]
pub(crate) enum Found {
    /// The request is not covered.
    Bypass,
    /// Nothing yet: the answer is to be kept.
    Miss(Keep),
    /// An answer.
    Hit(Bytes),
}

impl Found {
    /// What the answer's header says.
    pub(crate) const fn word(&self) -> &'static str {
        match self {
            Self::Bypass => "bypass",
            Self::Miss(_) => "miss",
            Self::Hit(_) => "hit",
        }
    }
}

/// Looks for an answer to the same request of the same team.
pub(crate) async fn look_up(
    underway: &Underway<'_>,
    headers: &HeaderMap,
) -> Result<Found, ApiError> {
    let team_ttl = underway.caller.team.cache_ttl_seconds;
    let Some(ttl_seconds) = ttl_seconds(read_wish(headers)?, team_ttl, underway.request) else {
        return Ok(Found::Bypass);
    };
    let Some(mut text) = canonical_form(underway.request) else {
        return Ok(Found::Bypass);
    };
    add_service(&mut text, underway.candidates[0]);
    let key = CacheKey::new(&underway.caller.team.id, underway.alias, &text);
    let cached = underway.services.cache.get(&key).await;
    let ttl = Duration::from_secs(ttl_seconds.unsigned_abs());
    Ok(cached.map_or(Found::Miss(Keep { key, ttl }), Found::Hit))
}

/// Reads `x-tollgate-cache`: `on`, `off`, or a number of seconds.
fn read_wish(headers: &HeaderMap) -> Result<Wish, ApiError> {
    let Some(value) = headers.get("x-tollgate-cache") else {
        return Ok(Wish::Unsaid);
    };
    match value.to_str().unwrap_or_default() {
        "off" | "no-store" => Ok(Wish::Off),
        "on" => Ok(Wish::On { ttl_seconds: None }),
        text => match text.parse() {
            Ok(seconds) if (1..=TTL_SECONDS_MAX).contains(&seconds) => Ok(Wish::On {
                ttl_seconds: Some(seconds),
            }),
            _ => Err(ApiError::MalformedRequest(format!(
                "x-tollgate-cache must be on, off, or a number of seconds from 1 to {TTL_SECONDS_MAX}"
            ))),
        },
    }
}

fn ttl_seconds(wish: Wish, team_ttl: Option<i64>, request: &CallRequest<'_>) -> Option<i64> {
    if request.stream {
        return None;
    }
    match wish {
        Wish::Off => None,
        Wish::On { ttl_seconds } => Some(ttl_seconds.or(team_ttl).unwrap_or(TTL_SECONDS_DEFAULT)),
        Wish::Unsaid => team_ttl.filter(|_| is_steady(&request.prompt)),
    }
}

/// Whether the same request should be answered the same.
fn is_steady(prompt: &Prompt<'_>) -> bool {
    let Prompt::Completions(chat) = prompt else {
        return matches!(prompt, Prompt::Embeddings(_));
    };
    let field = |name: &str| chat.parameters.iter().find(|(known, _)| known == name);
    let temperature = field("temperature").and_then(|(_, raw)| raw.get().parse::<f64>().ok());
    temperature == Some(0.0) && field("tools").is_none()
}

/// Adds who serves the alias: once it stands for another model, old answers are not its own.
fn add_service(form: &mut Vec<u8>, route: Route<'_>) {
    let provider = route.provider;
    for part in [
        provider.name.as_str(),
        provider.base_url.as_str(),
        &route.model.upstream_model,
    ] {
        form.extend_from_slice(&(part.len() as u64).to_be_bytes());
        form.extend_from_slice(part.as_bytes());
    }
}

/// The same bytes for the same request.
fn canonical_form(request: &CallRequest<'_>) -> Option<Vec<u8>> {
    let borrowed =
        |fields: &'_ [(std::borrow::Cow<'_, str>, &'_ RawValue)]| -> Vec<(String, Box<RawValue>)> {
            fields
                .iter()
                .map(|(name, raw)| (name.to_string(), (*raw).to_owned()))
                .collect()
        };
    let (kind, fields, messages) = match &request.prompt {
        Prompt::Completions(chat) => (b'c', borrowed(&chat.parameters), chat.messages),
        Prompt::Embeddings(fields) => (b'e', borrowed(fields), fields.first()?.1),
        Prompt::Messages(_) => return None,
    };
    let fields: Vec<(&str, &RawValue)> = fields
        .iter()
        .map(|(name, raw)| (name.as_str(), raw.as_ref()))
        .collect();
    let mut form = canonical(&fields, messages);
    form.push(kind);
    form.extend_from_slice(&request.max_tokens.unwrap_or(0).to_be_bytes());
    Some(form)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn covered(wish: Wish, team_ttl: Option<i64>, fields: &str) -> Option<i64> {
        let body = format!(r#"{{"messages":[{{"role":"user","content":"hi"}}]{fields}}}"#);
        let request = CallRequest::parse_completions(body.as_bytes()).unwrap();
        ttl_seconds(wish, team_ttl, &request)
    }

    #[test]
    fn a_teams_setting_covers_only_what_should_not_vary() {
        let steady = r#","temperature":0"#;
        assert_eq!(covered(Wish::Unsaid, Some(60), steady), Some(60));
        assert_eq!(covered(Wish::Unsaid, None, steady), None);
        assert_eq!(covered(Wish::Off, Some(60), steady), None);
        assert_eq!(covered(Wish::Unsaid, Some(60), ""), None);
        assert_eq!(
            covered(
                Wish::Unsaid,
                Some(60),
                r#","temperature":0,"tools":[{"type":"function"}]"#
            ),
            None
        );
        assert_eq!(
            covered(Wish::Unsaid, Some(60), r#","temperature":0,"stream":true"#),
            None
        );
        let on = |ttl_seconds| Wish::On { ttl_seconds };
        assert_eq!(covered(on(None), None, ""), Some(TTL_SECONDS_DEFAULT));
        assert_eq!(covered(on(Some(5)), Some(60), ""), Some(5));
        assert_eq!(covered(on(Some(5)), None, r#","stream":true"#), None);
    }

    #[test]
    fn the_header_is_a_word_or_a_time() {
        let wish = |text: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert("x-tollgate-cache", text.parse().unwrap());
            read_wish(&headers).ok()
        };
        assert_eq!(wish("on"), Some(Wish::On { ttl_seconds: None }));
        assert_eq!(
            wish("90"),
            Some(Wish::On {
                ttl_seconds: Some(90)
            })
        );
        assert_eq!(wish("off"), Some(Wish::Off));
        for bad in ["0", "-5", "yes", "", "99999999999"] {
            assert_eq!(wish(bad), None, "{bad}");
        }
        assert_eq!(read_wish(&HeaderMap::new()).unwrap(), Wish::Unsaid);
    }
}
