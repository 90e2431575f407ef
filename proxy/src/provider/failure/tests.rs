//! Errors as providers write them, and whose trouble each is.

use http::{HeaderMap, HeaderValue};
use proptest::prelude::*;
use serde_json::{Value, json};
use tollgate_common::clock::Timestamp;
use tollgate_common::secret::Secret;

use super::in_body as failure_in_body;
use super::*;

const MODEL: &str = "gpt-4o-upstream";

/// Whose trouble it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Whose {
    /// The caller's, with a code.
    Caller(u16, &'static str),
    /// The caller's, without one.
    CallerPlain,
    Operator(OperatorFault),
    /// The provider's: it is tried again.
    Provider,
    /// Nobody's: it is waited for.
    Limit(Option<u64>),
}

use OperatorFault::{Access, Account, Endpoint, Key, Model};
use Whose::{Caller, CallerPlain, Limit, Operator, Provider};

fn reply(status: u16, body: &str) -> UpstreamReply {
    UpstreamReply {
        status,
        retry_after: None,
        body: body.to_owned().into(),
    }
}

fn read(status: u16, body: &str) -> UpstreamFailure {
    let key = Secret::new("sk-real-secret");
    failure(&reply(status, body), scrub(&key))
}

fn scrub(key: &Secret) -> Scrub<'_> {
    Scrub {
        key,
        host: "api.x.com",
        upstream_model: MODEL,
        alias: "fast",
    }
}

fn whose(failure: &UpstreamFailure) -> Whose {
    match failure {
        UpstreamFailure::Rejected(rejection) => match rejection.code {
            Some(code) => Caller(failure.status().as_u16(), code),
            None => CallerPlain,
        },
        UpstreamFailure::Operator { fault, .. } => Operator(*fault),
        UpstreamFailure::RateLimited { retry_after } => {
            Limit(retry_after.map(|wait| wait.as_millis() as u64))
        }
        UpstreamFailure::ServerError { .. } => Provider,
        other => panic!("{other:?}"),
    }
}

/// An error in OpenAI's form.
fn openai(message: &str, kind: &str, param: Value, code: Value) -> String {
    json!({ "error": { "message": message, "type": kind, "param": param, "code": code } })
        .to_string()
}

/// An error in Anthropic's form.
fn anthropic(kind: &str, message: &str) -> String {
    json!({ "type": "error", "error": { "type": kind, "message": message } }).to_string()
}

/// An error in Gemini's form.
fn gemini(code: u16, status: &str, message: &str, details: Value) -> String {
    let error = json!({ "code": code, "message": message, "status": status, "details": details });
    json!({ "error": error }).to_string()
}

#[track_caller]
fn check(cases: &[(u16, String, Whose)]) {
    for (status, body, wanted) in cases {
        let failure = read(*status, body);
        assert_eq!(whose(&failure), *wanted, "{status} {body}");
        if let Operator(_) = wanted {
            assert_eq!(failure.status().as_u16(), 503, "{body}");
            assert_eq!(failure.to_string(), "The model is temporarily unavailable");
            assert!(
                failure.for_operators().contains(&status.to_string()),
                "{body}"
            );
        }
    }
}

#[test]
fn errors_of_openai_and_azure_are_read() {
    let invalid = "invalid_request_error";
    let quota = "You exceeded your current quota, please check your plan and billing details.";
    let filtered = json!({ "error": {
        "message": "The response was filtered due to the prompt triggering the policy.",
        "type": null, "param": "prompt", "code": "content_filter", "status": 400,
        "innererror": { "code": "ResponsibleAIPolicyViolation", "content_filter_result": {} },
    } });
    let too_large = "Request too large for gpt-4o in organization org-1 on tokens per min (TPM): \
                     Limit 30000, Requested 50000.";
    let null = Value::Null;
    check(&[
        (401, openai("Incorrect API key provided: sk-rea***.", invalid, null.clone(), json!("invalid_api_key")), Operator(Key)),
        (429, openai(quota, "insufficient_quota", null.clone(), json!("insufficient_quota")), Operator(Account)),
        (400, openai("Billing hard limit has been reached", invalid, null.clone(), json!("billing_hard_limit_reached")), Operator(Account)),
        (404, openai("The model `x` does not exist or you do not have access to it.", invalid, null.clone(), json!("model_not_found")), Operator(Model)),
        (403, openai("Project `p` does not have access to model `x`", invalid, null.clone(), json!("model_not_found")), Operator(Access)),
        (400, openai("invalid model ID", invalid, null.clone(), null.clone()), Operator(Model)),
        (400, openai("Your organization must be verified to stream this model.", invalid, json!("stream"), json!("unsupported_value")), Operator(Access)),
        (403, openai("Country, region, or territory not supported", "request_forbidden", null.clone(), json!("unsupported_country_region_territory")), Operator(Access)),
        (429, openai("Rate limit reached. Please try again in 20s.", "tokens", null.clone(), json!("rate_limit_exceeded")), Limit(Some(20_000))),
        (429, openai("Please try again in 1m6.5s.", "requests", null.clone(), json!("rate_limit_exceeded")), Limit(Some(66_500))),
        (429, openai("Please try again in 120ms.", "requests", null.clone(), json!("rate_limit_exceeded")), Limit(Some(120))),
        (400, openai("This model's maximum context length is 8192 tokens.", invalid, json!("messages"), json!("context_length_exceeded")), Caller(400, "context_length_exceeded")),
        (400, openai("Unsupported parameter: 'max_tokens'", invalid, json!("max_tokens"), json!("unsupported_parameter")), Caller(400, "unsupported_parameter")),
        (400, openai("Invalid 'messages[0].name'", invalid, json!("messages[0].name"), json!("string_above_max_length")), Caller(400, "string_above_max_length")),
        (400, openai("x is wrong", invalid, null.clone(), null.clone()), CallerPlain),
        (500, openai("The server had an error", "server_error", null.clone(), null.clone()), Provider),
        (400, filtered.to_string(), Caller(400, "content_filter")),
        (404, json!({ "error": { "code": "DeploymentNotFound", "message": "The API deployment for this resource does not exist." } }).to_string(), Operator(Model)),
        (404, json!({ "error": { "code": "404", "message": "Resource not found" } }).to_string(), Operator(Model)),
        (401, json!({ "statusCode": 401, "message": "Unauthorized. Access token is missing, invalid, audience is incorrect, or have expired." }).to_string(), Operator(Key)),
        (429, json!({ "error": { "code": "429", "message": "Requests have exceeded the call rate limit. Please retry after 26 seconds." } }).to_string(), Limit(Some(26_000))),
    ]);
    let failure = read(
        429,
        &openai(too_large, "tokens", null, json!("rate_limit_exceeded")),
    );
    assert_eq!(failure.status().as_u16(), 413);
    assert!(!failure.ends_call(), "another model may take it");
    assert_eq!(
        failure.outcome(),
        Outcome::Answered,
        "it limits nobody else"
    );
    assert!(!failure.to_string().contains("org-1"));
}

#[test]
fn errors_of_anthropic_are_read() {
    let invalid = "invalid_request_error";
    check(&[
        (
            400,
            anthropic(
                invalid,
                "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing.",
            ),
            Operator(Account),
        ),
        (
            400,
            anthropic(
                invalid,
                "You have reached your specified API usage limits. You will regain access on 2026-12-01.",
            ),
            Operator(Account),
        ),
        (
            400,
            anthropic(invalid, "This organization has been disabled."),
            Operator(Account),
        ),
        (
            402,
            anthropic("billing_error", "There is an issue with your billing"),
            Operator(Account),
        ),
        (
            401,
            anthropic("authentication_error", "invalid x-api-key"),
            Operator(Key),
        ),
        (
            403,
            anthropic(
                "permission_error",
                "Your API key does not have permission to use the resource",
            ),
            Operator(Access),
        ),
        (
            404,
            anthropic("not_found_error", "model: claude-x"),
            Operator(Model),
        ),
        (
            413,
            anthropic("request_too_large", "Request exceeds the maximum size"),
            CallerPlain,
        ),
    ]);
}

#[test]
fn refusals_and_failures_of_anthropic_are_read() {
    let invalid = "invalid_request_error";
    check(&[
        (
            429,
            anthropic(
                "rate_limit_error",
                "This request would exceed the rate limit",
            ),
            Limit(None),
        ),
        (529, anthropic("overloaded_error", "Overloaded"), Provider),
        (
            400,
            anthropic(
                invalid,
                "prompt is too long: 210000 tokens > 200000 maximum",
            ),
            Caller(400, "context_length_exceeded"),
        ),
        (
            400,
            anthropic(invalid, "messages: roles must alternate"),
            CallerPlain,
        ),
    ]);
    assert_eq!(
        read(413, &anthropic("request_too_large", "x"))
            .status()
            .as_u16(),
        413
    );
}

#[test]
fn errors_of_gemini_are_read() {
    let key = json!([{ "@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID" }]);
    let quota = json!([
        { "@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [] },
        { "@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "30s" },
    ]);
    let disabled = json!([{ "reason": "BILLING_DISABLED" }]);
    let exceeded = "You exceeded your current quota, please check your plan and billing details.";
    check(&[
        (
            400,
            gemini(
                400,
                "INVALID_ARGUMENT",
                "API key not valid. Please pass a valid API key.",
                key,
            ),
            Operator(Key),
        ),
        (
            429,
            gemini(429, "RESOURCE_EXHAUSTED", exceeded, quota.clone()),
            Limit(Some(30_000)),
        ),
        (
            429,
            format!("[{}]", gemini(429, "RESOURCE_EXHAUSTED", exceeded, quota)),
            Limit(Some(30_000)),
        ),
        (
            403,
            gemini(403, "PERMISSION_DENIED", "Billing is disabled", disabled),
            Operator(Account),
        ),
        (
            403,
            gemini(403, "PERMISSION_DENIED", "denied", json!([])),
            Operator(Access),
        ),
    ]);
}

#[test]
fn refusals_and_failures_of_gemini_are_read() {
    let none = json!([]);
    let listed = format!(
        "[{}]",
        gemini(404, "NOT_FOUND", "models/x is not found", none.clone())
    );
    check(&[
        (
            400,
            gemini(
                400,
                "FAILED_PRECONDITION",
                "User location is not supported for the API use.",
                none.clone(),
            ),
            Operator(Access),
        ),
        (
            404,
            gemini(
                404,
                "NOT_FOUND",
                "models/x is not found for API version v1beta",
                none.clone(),
            ),
            Operator(Model),
        ),
        (404, listed, Operator(Model)),
        (
            400,
            gemini(
                400,
                "INVALID_ARGUMENT",
                "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
                none.clone(),
            ),
            Caller(400, "context_length_exceeded"),
        ),
        (
            400,
            gemini(
                400,
                "INVALID_ARGUMENT",
                "Invalid value at 'contents'",
                none.clone(),
            ),
            CallerPlain,
        ),
        (
            503,
            gemini(503, "UNAVAILABLE", "The model is overloaded.", none),
            Provider,
        ),
    ]);
}

#[test]
fn errors_of_other_servers_are_read() {
    let vllm = |message: &str, kind: &str, code: u16| {
        json!({ "object": "error", "message": message, "type": kind, "param": null, "code": code })
            .to_string()
    };
    let mistral = json!({ "object": "error", "type": "invalid_request_error",
        "message": { "detail": [{ "type": "missing", "loc": ["body", "messages"], "msg": "Field required" }] } });
    let flagged = json!({ "error": { "code": 403, "message": "Moderation refused it",
        "metadata": { "reasons": ["violence"], "flagged_input": "some words", "provider_name": "X" } } });
    let behind = json!({ "error": { "code": 400, "message": "Provider returned error", "metadata": {
        "provider_name": "OpenAI",
        "raw": openai("too long", "invalid_request_error", json!("messages"), json!("context_length_exceeded")) } } });
    let texts = |code: &str, error: &str| json!({ "code": code, "error": error }).to_string();
    let null = Value::Null;
    check(&[
        (400, vllm("max_tokens must be at least 1", "BadRequestError", 400), CallerPlain),
        (404, vllm("The model `x` does not exist.", "NotFoundError", 404), Operator(Model)),
        (400, vllm("This model's maximum context length is 4096 tokens.", "BadRequestError", 400), Caller(400, "context_length_exceeded")),
        (401, json!({ "error": "Unauthorized" }).to_string(), Operator(Key)),
        (422, json!({ "detail": [{ "loc": ["body", "x"], "msg": "field required" }] }).to_string(), CallerPlain),
        (400, json!({ "detail": "temperature is too high" }).to_string(), CallerPlain),
        (404, json!({ "detail": "Not Found" }).to_string(), Operator(Model)),
        (422, mistral.to_string(), CallerPlain),
        (400, json!({ "object": "error", "message": "Invalid model: x", "type": "invalid_model", "param": null, "code": "1500" }).to_string(), Operator(Model)),
        (400, openai("The model `x` has been decommissioned and is no longer supported.", "invalid_request_error", null.clone(), json!("model_decommissioned")), Operator(Model)),
        (400, openai("Organization has been restricted.", "invalid_request_error", null.clone(), json!("organization_restricted")), Operator(Account)),
        (400, openai("Failed to call a function.", "invalid_request_error", null.clone(), json!("tool_use_failed")), Caller(400, "tool_use_failed")),
        (402, openai("Insufficient Balance", "unknown_error", null.clone(), json!("invalid_request_error")), Operator(Account)),
        (400, openai("Model Not Exist", "invalid_request_error", null.clone(), json!("invalid_request_error")), Operator(Model)),
        (400, openai("Content Exists Risk", "invalid_request_error", null.clone(), json!("invalid_request_error")), Caller(400, "content_filter")),
        (402, json!({ "error": { "message": "Insufficient credits", "code": 402 } }).to_string(), Operator(Account)),
        (400, json!({ "error": { "message": format!("{MODEL} is not a valid model ID"), "code": 400 } }).to_string(), Operator(Model)),
        (403, flagged.to_string(), Caller(400, "content_filter")),
        (400, behind.to_string(), Caller(400, "context_length_exceeded")),
        (400, texts("Client specified an invalid argument", "Incorrect API key provided: xa***."), Operator(Key)),
        (404, texts("Some requested entity was not found", "The model x does not exist or your team does not have access to it."), Operator(Model)),
        (403, texts("The caller does not have permission", "Your newly created team doesn't have any credits yet."), Operator(Account)),
        (429, texts("Some resource has been exhausted", "Your team has either used all available credits or reached its monthly spending limit."), Operator(Account)),
        (404, "<html><body>404 Not Found</body></html>".to_owned(), Operator(Endpoint)),
        (404, String::new(), Operator(Endpoint)),
        (404, "404 page not found".to_owned(), Operator(Model)),
        (405, json!({ "detail": "Method Not Allowed" }).to_string(), Operator(Endpoint)),
        (301, String::new(), Operator(Endpoint)),
        (410, json!({ "message": "gone" }).to_string(), Operator(Model)),
        (400, "<html>The plain HTTP request was sent to HTTPS port</html>".to_owned(), Operator(Endpoint)),
        (502, "<html>Bad Gateway</html>".to_owned(), Provider),
        (408, "slow".to_owned(), Provider),
    ]);
}

#[test]
fn the_words_of_every_shape_are_found() {
    for body in [
        json!({ "error": { "message": "the text" } }),
        json!({ "error": "the text" }),
        json!({ "message": "the text" }),
        json!({ "detail": "the text" }),
        json!({ "detail": [{ "msg": "the text" }] }),
        json!({ "detail": { "error": { "message": "the text" } } }),
        json!({ "errors": [{ "message": "the text" }] }),
        json!({ "errors": ["the text"] }),
        json!([{ "error": { "message": "the text" } }]),
        json!([[{ "message": "the text" }]]),
        json!({ "error": { "message": "{\"error\":{\"message\":\"the text\"}}" } }),
        json!({ "error": { "message": "", "detail": "the text" } }),
        json!("the text"),
    ] {
        let failure = read(400, &body.to_string());
        assert_eq!(failure.to_string(), "the text", "{body}");
        assert_eq!(failure.for_operators(), "status 400: the text", "{body}");
    }
    assert_eq!(read(400, "the text").to_string(), "the text");
    assert_eq!(
        read(400, "\u{feff}{\"error\":\"the text\"}").to_string(),
        "the text"
    );
    let named =
        json!({ "detail": [{ "loc": ["body", "tools", 0, "x"], "msg": "field required" }] });
    let UpstreamFailure::Rejected(rejection) = read(422, &named.to_string()) else {
        panic!("it is the caller's");
    };
    assert_eq!(rejection.param.as_deref(), Some("tools.0.x"));
    assert_eq!(rejection.message, "tools.0.x: field required");
}

/// What a caller writes is quoted in messages, and must not make others pay.
#[test]
fn what_is_quoted_from_a_caller_decides_nothing_about_the_key() {
    for quoted in [
        "your credit balance is too low",
        "insufficient_quota",
        "incorrect api key provided",
        "{\"error\":{\"code\":\"insufficient_quota\",\"type\":\"billing_error\"}}",
    ] {
        for text in [
            format!("Invalid value: '{quoted}'"),
            format!("messages: {quoted}"),
        ] {
            let body = openai(&text, "invalid_request_error", Value::Null, Value::Null);
            let failure = read(400, &body);
            assert_eq!(failure.outcome(), Outcome::Answered, "{body}");
        }
    }
    let nested = json!({ "error": { "message": "{\"code\":\"insufficient_quota\"}" } });
    assert_eq!(read(400, &nested.to_string()).outcome(), Outcome::Answered);
}

#[test]
fn messages_of_providers_are_scrubbed() {
    let text = "Incorrect value 'sk-real-secret' (sk-rea***) for gpt-4o-upstream of OpenAI, see \
                https://api.x.com/k";
    let body = json!({ "error": { "message": text } }).to_string();
    let message = read(400, &body).to_string();
    for secret in ["sk-", "api.x.com", MODEL, "OpenAI"] {
        assert!(!message.contains(secret), "{message}");
    }
    assert!(message.contains("fast"));
    let with_nul = read(400, &json!({ "error": "bad name 'a\0'" }).to_string());
    assert!(!with_nul.for_operators().contains('\0'));
    let long = read(500, &json!({ "error": "x ".repeat(5_000) }).to_string());
    assert!(long.for_operators().len() < 600);
    let huge = "x".repeat(1_000_000);
    assert!(read(500, &huge).for_operators().len() < 600);
}

#[test]
fn an_error_in_place_of_an_answer_is_told_from_an_answer() {
    let key = Secret::new("k");
    let in_body = |body: &Value| failure_in_body(body.to_string().as_bytes(), scrub(&key));
    for body in [
        json!({ "choices": [] }),
        json!({ "error": null, "choices": [] }),
        json!({ "type": "message", "content": 5 }),
        json!([]),
        json!(null),
    ] {
        assert_eq!(in_body(&body), None, "{body}");
    }
    let named = |code: u16| json!({ "error": { "message": "m", "code": code } });
    assert_eq!(
        in_body(&named(402)).as_ref().map(whose),
        Some(Operator(Account))
    );
    assert_eq!(in_body(&named(429)).as_ref().map(whose), Some(Limit(None)));
    assert_eq!(in_body(&named(400)).as_ref().map(whose), Some(CallerPlain));
    assert_eq!(in_body(&named(502)).as_ref().map(whose), Some(Provider));
    assert_eq!(
        in_body(&json!({ "error": "m" })).as_ref().map(whose),
        Some(Provider)
    );
}

#[test]
fn errors_within_a_stream_show_no_words() {
    for (data, wanted) in [
        (anthropic("overloaded_error", "secret"), Provider),
        (anthropic("api_error", "secret"), Provider),
        (anthropic("invalid_request_error", "secret"), CallerPlain),
        (anthropic("rate_limit_error", "secret"), Limit(None)),
        (anthropic("billing_error", "secret"), Operator(Account)),
        (gemini(503, "UNAVAILABLE", "secret", json!([])), Provider),
        (
            openai("secret", "x", Value::Null, json!("context_length_exceeded")),
            Caller(400, "context_length_exceeded"),
        ),
        ("secret".to_owned(), Provider),
    ] {
        let failure = in_stream(&data);
        assert_eq!(whose(&failure), wanted, "{data}");
        let told = format!("{failure} {}", failure.for_operators());
        assert!(!told.contains("secret"), "{told}");
    }
}

#[test]
fn every_form_of_retry_after_is_read() {
    let now = Timestamp::from_micros(1_700_000_000_000_000);
    let wait = |pairs: &[(&'static str, &'static str)]| {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.insert(*name, HeaderValue::from_static(value));
        }
        retry_after(&headers, now).map(|wait| wait.as_millis())
    };
    assert_eq!(wait(&[]), None);
    assert_eq!(wait(&[("retry-after", "7")]), Some(7_000));
    assert_eq!(wait(&[("retry-after", "0")]), Some(0));
    assert_eq!(wait(&[("retry-after", " 1.5 ")]), Some(1_500));
    assert_eq!(wait(&[("retry-after", "20s")]), Some(20_000));
    assert_eq!(wait(&[("retry-after-ms", "300")]), Some(300));
    assert_eq!(
        wait(&[("x-ms-retry-after-ms", "250"), ("retry-after", "1")]),
        Some(250)
    );
    // 1,700,000,000 is Tue, 14 Nov 2023 22:13:20 GMT.
    let date = ("retry-after", "Tue, 14 Nov 2023 22:13:24 GMT");
    assert_eq!(wait(&[date]), Some(4_000));
    let sent_at = ("date", "Tue, 14 Nov 2023 22:13:22 GMT");
    assert_eq!(wait(&[date, sent_at]), Some(2_000), "its own clock decides");
    assert_eq!(
        wait(&[("retry-after", "Tue, 14 Nov 2023 22:00:00 GMT")]),
        Some(0)
    );
    for bad in [
        "-1",
        "soon",
        "",
        "1e9",
        "NaN",
        "inf",
        "99999999",
        "Tue, 14 Nov 2033 22:13:24 GMT",
    ] {
        assert_eq!(wait(&[("retry-after", bad)]), None, "{bad}");
    }
}

proptest! {
    /// Whatever comes is read without a panic, and what is told is short and of one piece.
    #[test]
    fn any_body_is_read(status in 100_u16..700, body in ".{0,200}") {
        let told = read(status, &body);
        prop_assert!(told.for_operators().chars().count() < 700);
        let _ = in_stream(&body);
    }

    /// A message that does not begin with a phrase of the provider's own accuses no account.
    #[test]
    fn no_quoted_text_makes_a_key_unusable(text in ".{0,60}") {
        let body = openai(&format!("Invalid value: {text}"), "invalid_request_error", Value::Null, Value::Null);
        let failure = read(400, &body);
        prop_assert_ne!(failure.outcome(), Outcome::KeyRefused);
    }
}
