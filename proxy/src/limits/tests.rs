//! Sliding windows against a model that remembers every call.

use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::thread;

use proptest::prelude::*;

use super::memory::MemoryLimits;
use super::*;

const WINDOW: Duration = Duration::from_mins(1);

/// The memory answers without waiting.
fn take(
    store: &dyn LimitStore,
    scopes: &[Scope],
    tokens: i64,
    now: Timestamp,
) -> Result<Grant, Exceeded> {
    let future = pin!(store.take(scopes, tokens, now));
    match future.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => result,
        Poll::Pending => panic!("the memory waits for something"),
    }
}

fn limits(requests: i64, tokens: i64, parallel_calls: i64) -> Limits {
    let above_zero = |limit: i64| (limit > 0).then_some(limit);
    Limits {
        requests_per_minute: above_zero(requests),
        tokens_per_minute: above_zero(tokens),
        parallel_calls: above_zero(parallel_calls),
    }
}

fn key(limits: Limits) -> Scope {
    let subject = Subject::Key(KeyId::new("abcdefgh"));
    Scope { subject, limits }
}

fn team(limits: Limits) -> Scope {
    let subject = Subject::Team("acme".parse().unwrap());
    Scope { subject, limits }
}

fn at(millis: i64) -> Timestamp {
    Timestamp::from_micros(1_700_000_000_000_000 + millis * 1_000)
}

/// The grant's or the refusal's remaining requests and tokens.
fn remaining(status: LimitStatus) -> (Option<i64>, Option<i64>) {
    let remaining = |allowance: Allowance| allowance.remaining;
    (status.requests.map(remaining), status.tokens.map(remaining))
}

#[test]
fn the_sixty_first_request_waits_until_the_first_is_a_minute_old() {
    let store = MemoryLimits::default();
    let scopes = [key(limits(60, 0, 0))];
    for second in 0..60 {
        take(&store, &scopes, 1, at(500 + second * 990))
            .unwrap()
            .settle(1);
    }
    let refused = take(&store, &scopes, 1, at(59_500)).unwrap_err();
    assert_eq!(
        (refused.kind, refused.retry_after),
        (LimitKind::Requests, RETRY_AFTER_MIN)
    );
    assert!(take(&store, &scopes, 1, at(60_499)).is_err());
    let granted = take(&store, &scopes, 1, at(60_500)).unwrap();
    assert_eq!(remaining(granted.status()), (Some(0), None));
}

#[test]
fn tokens_are_held_by_estimate_and_counted_as_they_were() {
    let store = MemoryLimits::default();
    let scopes = [key(limits(0, 100, 0))];
    let first = take(&store, &scopes, 60, at(0)).unwrap();
    let refused = take(&store, &scopes, 50, at(1_000)).unwrap_err();
    assert_eq!(
        (refused.kind, remaining(refused.status)),
        (LimitKind::Tokens, (None, Some(40)))
    );
    assert_eq!(refused.retry_after, Duration::from_secs(59));
    first.settle(10);
    let second = take(&store, &scopes, 50, at(1_000)).unwrap();
    assert_eq!(remaining(second.status()), (None, Some(40)));
    second.settle(500);
    let refused = take(&store, &scopes, 1, at(2_000)).unwrap_err();
    assert_eq!(remaining(refused.status), (None, Some(0)));
    // A call that ends after its minute has nothing to correct.
    let long = take(&store, &scopes, 1, at(61_000)).unwrap();
    let _other = take(&store, &scopes, 1, at(121_000)).unwrap();
    long.settle(1_000);
    assert!(take(&store, &scopes, 99, at(121_000)).is_ok());
}

#[test]
fn an_estimate_above_the_limit_passes_when_the_window_is_empty() {
    let store = MemoryLimits::default();
    let scopes = [key(limits(0, 100, 0))];
    let large = take(&store, &scopes, 1_000_000, at(0)).unwrap();
    assert!(take(&store, &scopes, 1, at(1)).is_err());
    large.settle(30);
    assert!(take(&store, &scopes, i64::MAX, at(2)).is_err());
    assert!(take(&store, &scopes, 70, at(3)).is_ok());
    assert!(take(&store, &scopes, i64::MAX, at(60_003)).is_ok());
}

#[test]
fn a_dropped_grant_returns_its_tokens_and_its_place_but_not_its_request() {
    let store = MemoryLimits::default();
    let scopes = [team(limits(2, 100, 1))];
    let first = take(&store, &scopes, 100, at(0)).unwrap();
    let refused = take(&store, &scopes, 100, at(0)).unwrap_err();
    assert_eq!(
        (refused.kind, refused.retry_after),
        (LimitKind::Tokens, WINDOW)
    );
    drop(first);
    let second = take(&store, &scopes, 10, at(0)).unwrap();
    assert_eq!(remaining(second.status()), (Some(0), Some(90)));
    second.settle(10);
    let refused = take(&store, &scopes, 10, at(0)).unwrap_err();
    assert_eq!(
        (refused.kind, refused.retry_after),
        (LimitKind::Requests, WINDOW)
    );
}

#[test]
fn a_call_in_flight_takes_its_place_for_as_long_as_it_lives() {
    let store = MemoryLimits::default();
    let scopes = [key(limits(0, 0, 2)), team(limits(0, 0, 3))];
    let mut calls: Vec<Grant> = (0..2)
        .map(|_| take(&store, &scopes, 1, at(0)).unwrap())
        .collect();
    for millis in [0, 3_600_000] {
        store.sweep(at(millis));
        let refused = take(&store, &scopes, 1, at(millis)).unwrap_err();
        assert_eq!(
            (refused.kind, refused.retry_after),
            (LimitKind::Parallel, RETRY_AFTER_MIN)
        );
    }
    // A refused call has taken nothing of the team either.
    let _third = take(&store, &scopes[1..], 1, at(3_600_000)).unwrap();
    assert!(take(&store, &scopes[1..], 1, at(3_600_000)).is_err());
    calls.pop().unwrap().settle(5);
    assert!(take(&store, &scopes, 1, at(3_600_000)).is_ok());
}

#[test]
fn all_scopes_count_or_none_and_the_tightest_is_told() {
    let store = MemoryLimits::default();
    let scopes = [key(limits(2, 1_000, 0)), team(limits(3, 100, 0))];
    take(&store, &scopes, 10, at(0)).unwrap().settle(10);
    let granted = take(&store, &scopes, 10, at(0)).unwrap();
    assert_eq!(remaining(granted.status()), (Some(0), Some(80)));
    assert_eq!(granted.status().tokens.unwrap().limit, 100);
    for _ in 0..5 {
        assert!(take(&store, &scopes, 10, at(0)).is_err());
    }
    // A subject named twice counts once.
    let twice = [scopes[1].clone(), scopes[1].clone()];
    let granted = take(&store, &twice, 10, at(0)).unwrap();
    assert_eq!(remaining(granted.status()), (Some(0), Some(70)));
}

#[test]
fn what_has_no_limit_is_not_stored_and_the_idle_is_forgotten() {
    let stored = |store: &MemoryLimits| format!("{store:?}").matches("latest").count();
    let store = MemoryLimits::default();
    let free = take(
        &store,
        &[key(limits(0, 0, 0)), team(limits(0, 0, 0))],
        5,
        at(0),
    )
    .unwrap();
    assert_eq!((stored(&store), free.status().headers().len()), (0, 0));
    free.settle(5);
    let scopes = [key(limits(1, 0, 0)), team(limits(1, 0, 0))];
    take(&store, &scopes[..1], 1, at(0)).unwrap().settle(1);
    let in_flight = take(&store, &scopes[1..], 1, at(0)).unwrap();
    store.sweep(at(119_999));
    assert_eq!(stored(&store), 2);
    store.sweep(at(120_000));
    assert_eq!(stored(&store), 1);
    drop(in_flight);
    store.sweep(at(120_000));
    assert_eq!(stored(&store), 0);
}

#[test]
fn a_clock_that_is_set_back_neither_forgets_nor_locks_out() {
    let store = MemoryLimits::default();
    let scopes = [key(limits(1, 0, 0))];
    take(&store, &scopes, 1, at(3_600_000)).unwrap().settle(1);
    let refused = take(&store, &scopes, 1, at(3_590_000)).unwrap_err();
    assert_eq!(refused.retry_after, WINDOW);
    take(&store, &scopes, 1, at(0)).unwrap().settle(1);
    assert!(take(&store, &scopes, 1, at(1)).is_err());
    assert!(take(&store, &scopes, 1, at(60_000)).is_ok());
}

#[test]
fn a_limit_below_one_lets_nothing_pass() {
    let store = MemoryLimits::default();
    for limit in [0, -1, i64::MIN] {
        let none = Some(limit);
        for (requests_per_minute, tokens_per_minute) in [(none, None), (None, none)] {
            let limits = Limits {
                requests_per_minute,
                tokens_per_minute,
                parallel_calls: None,
            };
            let refused = take(&store, &[key(limits)], 0, at(0)).unwrap_err();
            assert_eq!(refused.retry_after, WINDOW);
        }
    }
}

#[test]
fn headers_show_what_is_left_as_openai_does() {
    let allowance = |reset| Allowance {
        limit: 60,
        remaining: 59,
        reset: Duration::from_micros(reset),
    };
    let status = LimitStatus {
        requests: Some(allowance(6_000)),
        tokens: Some(allowance(90_000_000)),
    };
    let headers = status.headers();
    let shown: Vec<String> = headers
        .iter()
        .map(|(name, value)| format!("{name}: {value}"))
        .collect();
    assert_eq!(
        shown,
        [
            "x-ratelimit-limit-requests: 60",
            "x-ratelimit-remaining-requests: 59",
            "x-ratelimit-reset-requests: 6ms",
            "x-ratelimit-limit-tokens: 60",
            "x-ratelimit-remaining-tokens: 59",
            "x-ratelimit-reset-tokens: 1m30s",
        ]
    );
    for (micros, shown) in [
        (0, "0s"),
        (1, "1ms"),
        (999_001, "1s"),
        (1_000_001, "2s"),
        (59_000_001, "1m0s"),
        (60_000_000, "1m0s"),
    ] {
        assert_eq!(span(Duration::from_micros(micros)), shown);
    }
}

#[test]
fn callers_at_once_get_as_many_as_there_are() {
    let store = MemoryLimits::default();
    let scopes = [key(limits(100, 0, 0)), team(limits(0, 150, 0))];
    let reversed = [scopes[1].clone(), scopes[0].clone()];
    let granted = AtomicUsize::new(0);
    thread::scope(|scope| {
        for thread in 0..8 {
            let scopes = if thread % 2 == 0 { &scopes } else { &reversed };
            let (store, granted) = (&store, &granted);
            scope.spawn(move || {
                for _ in 0..50 {
                    if let Ok(grant) = take(store, scopes, 1, at(0)) {
                        grant.settle(1);
                        granted.fetch_add(1, Ordering::SeqCst);
                    }
                    store.sweep(at(0));
                }
            });
        }
    });
    assert_eq!(granted.into_inner(), 100);
}

mod model;
