use tollgate_common::clock::SystemRandom;
use tollgate_common::db::work::FailedAttempt;
use tollgate_common::id::CredentialId;
use tollgate_common::money::NanoUsd;
use tollgate_common::price::Usage;

use super::*;

const BEGAN: Timestamp = Timestamp::from_micros(60_000_000);

fn later(micros: u64) -> Timestamp {
    BEGAN.plus(Duration::from_micros(micros))
}

fn call(streamed: bool) -> Arc<CallFigures> {
    let ids = (
        CallId::new(BEGAN, &SystemRandom),
        JobId::new(BEGAN, &SystemRandom),
    );
    let (team, alias) = ("acme".parse().unwrap(), "fast".parse().unwrap());
    Arc::new(CallFigures::new(ids, team, alias, BEGAN, streamed))
}

fn provider(name: &str) -> ProviderName {
    name.parse().unwrap()
}

#[test]
fn a_call_is_told_of_while_it_is_in_flight() {
    let figures = Arc::new(Figures::default());
    let call = call(true);
    let told = figures.enter(&call);
    call.asks(&provider("openai"));
    let now = figures.in_flight();
    assert_eq!((now.count, now.streams), (1, 0));
    call.has_shown(later(10));
    call.has_come(9);
    let now = figures.in_flight();
    assert_eq!((now.count, now.streams), (1, 1));
    assert_eq!(now.calls[0].output_tokens, 3);
    assert_eq!(now.calls[0].provider.as_deref(), Some("openai"));
    drop(told);
    assert_eq!(figures.in_flight().count, 0);
}

#[test]
fn what_has_ended_is_counted_once_and_overhead_is_what_nobody_was_waited_for() {
    let figures = Arc::new(Figures::default());
    let call = call(false);
    call.asks(&provider("second"));
    call.waited(Duration::from_micros(900));
    let result = CallResult {
        usage: Usage {
            input_uncached: 7,
            output_text: 5,
            ..Usage::default()
        },
        client_cost: NanoUsd(11),
        latency_ms: 1,
        failed_attempts: vec![FailedAttempt {
            provider: provider("first"),
            credential_id: CredentialId::new(BEGAN, &SystemRandom),
            upstream_model: "m".to_owned(),
            error_kind: "provider_timeout",
            error: String::new(),
            latency_ms: 1,
        }],
        ..CallResult::default()
    };
    let ending = Ending::new(CallState::Succeeded, &result);
    figures.ended(&call, &ending, later(1_000));
    figures.request();
    let ended = figures.take().ended;
    assert_eq!((ended.requests, ended.calls, ended.retries), (1, 1, 1));
    assert_eq!((ended.input_tokens, ended.output_tokens), (7, 5));
    assert_eq!(ended.overhead_us.quantile(500), Some(111));
    let first = &ended.providers["first"];
    assert_eq!((first.tries, first.failures), (1, 1));
    let second = &ended.providers["second"];
    assert_eq!((second.tries, second.failures), (1, 0));
    assert_eq!(ended.teams["acme"].client_cost, 11);
    assert_eq!(ended.models["fast"], 1);
    assert_eq!(figures.take().ended, Traffic::default());
}

#[test]
fn refusals_are_counted_by_cause_and_keys_by_their_last_minute() {
    let figures = Figures::default();
    let key = KeyId::new("abcdefgh");
    for _ in 0..20 {
        figures.refused("rate_limit_exceeded");
        figures.accepted(&key, later(0));
        figures.accepted(&key, later(60_000_000));
    }
    let taken = figures.take();
    assert_eq!(taken.ended.errors["rate_limit_exceeded"], 20);
    assert_eq!(taken.used_keys[&key], 2);
}
