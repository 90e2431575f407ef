//! The same request has the same key, another one another, and the memory stays in its bounds.

use std::collections::HashSet;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::task::{Context, Poll, Waker};

use proptest::prelude::*;
use serde_json::Value;
use tollgate_common::clock::{Clock, Timestamp};

use super::memory::MemoryCache;
use super::*;

fn raw(json: &str) -> Box<RawValue> {
    RawValue::from_string(json.to_owned()).unwrap()
}

fn key_of(messages: &str) -> CacheKey {
    let request = canonical(&[], &raw(messages));
    CacheKey::new(&"acme".parse().unwrap(), &"fast".parse().unwrap(), &request)
}

#[test]
fn only_order_and_white_space_and_escapes_do_not_matter() {
    for (one, other) in [
        (
            r#"{"a":1,"b":[2,{"d":3,"c":4}]}"#,
            r#" { "b" : [2, {"c":4,"d":3} ] , "a":1 } "#,
        ),
        (r#""\u0061\/ü""#, r#""a/\u00fc""#),
        (r#"{"\u0061":1,"b":2}"#, r#"{"b":2,"a":1}"#),
        ("1.50", "15e-1"),
    ] {
        assert_eq!(key_of(one), key_of(other), "{one} {other}");
    }
    let different = [
        "null",
        "true",
        "false",
        "0",
        "1",
        "-1",
        "1.0",
        "1.5",
        "\"\"",
        "\"1\"",
        "\"null\"",
        "[]",
        "[[]]",
        "[1,2]",
        "[2,1]",
        "[[1],2]",
        "[[1,2]]",
        "{}",
        "[{}]",
        r#"{"a":null}"#,
        r#"{"b":0,"a":2,"a":1}"#,
        r#"{"b":0,"a":1,"a":2}"#,
        r#"{"a":1,"a":2}"#,
        r#"{"a":2,"a":1}"#,
        r#"{"a":2}"#,
        r#"{"a":1,"b":2}"#,
        r#"{"a":2,"b":1}"#,
        r#"{"a":{"b":2}}"#,
        r#"{"a":"b"}"#,
        r#"["a","b"]"#,
        r#"["ab"]"#,
    ];
    let keys: HashSet<CacheKey> = different.iter().map(|json| key_of(json)).collect();
    assert_eq!(keys.len(), different.len());
}

#[test]
fn parameters_count_by_name_and_not_as_messages() {
    let (one, two, list) = (raw("1"), raw("2"), raw("[]"));
    let same = canonical(&[("seed", &*one), ("n", &*two)], &list);
    assert_eq!(same, canonical(&[("n", &*two), ("seed", &*one)], &list));
    for other in [
        canonical(&[("seed", &*two), ("n", &*one)], &list),
        canonical(&[("seed", &*one)], &list),
        canonical(&[], &list),
        canonical(&[("seed", &*one), ("n", &*two)], &one),
    ] {
        assert_ne!(same, other);
    }
}

#[test]
fn teams_and_aliases_never_share() {
    let names = ["a", "ab", "b", "bc", "c", "abc"];
    let mut keys = HashSet::new();
    for team in names {
        for alias in names {
            for request in ["", "a", "c"] {
                let (team, alias) = (team.parse().unwrap(), alias.parse().unwrap());
                keys.insert(CacheKey::new(&team, &alias, request.as_bytes()));
            }
        }
    }
    assert_eq!(keys.len(), names.len() * names.len() * 3);
}

#[test]
fn deep_and_large_requests_cost_what_they_weigh() {
    let deep = |inner: &str| format!("{}{inner}{}", "[".repeat(5_000), "]".repeat(5_000));
    assert_eq!(key_of(&deep("1")), key_of(&deep("1")));
    assert_ne!(key_of(&deep("1")), key_of(&deep("2")));
    // Each object is out of order around a large text.
    let text = "x".repeat(1_000_000);
    let nested = |text: &str| {
        let (left, right) = (r#"{"b":0,"a":"#.repeat(100), "}".repeat(100));
        format!("{left}\"{text}\"{right}")
    };
    assert!(canonical(&[], &raw(&nested(&text))).len() < 200);
    assert_ne!(key_of(&nested(&text)), key_of(&nested(&text[1..])));
}

/// A clock that only moves by hand.
#[derive(Debug, Default)]
struct HandClock(AtomicI64);

impl HandClock {
    fn wait(&self, seconds: i64) {
        self.0.fetch_add(seconds * 1_000_000, Ordering::SeqCst);
    }
}

impl Clock for HandClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.load(Ordering::SeqCst))
    }
}

/// The memory answers without waiting.
fn ready<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("the memory waits for something"),
    }
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn an_answer_is_there_until_its_own_time_is_over() {
    let clock = Arc::new(HandClock::default());
    let cache = MemoryCache::new(1_000_000, clock.clone());
    let (short, long) = (key_of("1"), key_of("2"));
    ready(cache.put(short, Bytes::from_static(b"short"), seconds(60)));
    ready(cache.put(long, Bytes::from_static(b"long"), seconds(3_600)));
    ready(cache.put(key_of("3"), Bytes::from_static(b"never"), Duration::ZERO));
    clock.wait(59);
    assert_eq!(ready(cache.get(&short)).unwrap(), "short");
    clock.wait(1);
    assert_eq!(ready(cache.get(&short)), None);
    assert_eq!(ready(cache.get(&long)).unwrap(), "long");
    assert_eq!(ready(cache.get(&key_of("3"))), None);
    // A new answer has a time of its own.
    ready(cache.put(short, Bytes::from_static(b"again"), Duration::MAX));
    clock.wait(1_000_000_000);
    assert_eq!(ready(cache.get(&short)).unwrap(), "again");
    assert_eq!(ready(cache.get(&long)), None);
}

#[test]
fn the_memory_is_bounded_in_bytes() {
    const BYTES_MAX: usize = 100_000;
    let cache = MemoryCache::new(BYTES_MAX, Arc::new(HandClock::default()));
    let mut kept = 0;
    for number in 0..200 {
        let key = key_of(&number.to_string());
        let buffer = Bytes::from(vec![b'x'; 5_000]);
        ready(cache.put(key, buffer.slice(..1_000), seconds(60)));
        assert!(cache.bytes() <= BYTES_MAX as u64, "{}", cache.bytes());
        // The cache holds a copy, or the whole buffer would live as long as the piece.
        assert!(buffer.is_unique());
        kept += usize::from(ready(cache.get(&key)).is_some());
    }
    assert!(kept >= 50, "{kept}");
    let large = key_of("\"large\"");
    ready(cache.put(large, Bytes::from(vec![b'x'; BYTES_MAX]), seconds(60)));
    assert_eq!(ready(cache.get(&large)), None);
    assert!(cache.bytes() > 50_000 && cache.bytes() <= BYTES_MAX as u64);
    assert!(!format!("{cache:?}").contains("xx"));
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-1_000_i32..1_000).prop_map(|number| Value::from(f64::from(number) / 8.0)),
        "(?s).{0,8}".prop_map(Value::from),
        "[a-z ]{60,80}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            proptest::collection::vec(("[a-c\"é]{0,3}", inner), 0..6)
                .prop_map(|members| { Value::Object(members.into_iter().collect()) }),
        ]
    })
}

/// Writes a value with keys in any order, any white space and any escapes, as the numbers say.
fn write(value: &Value, numbers: &mut impl Iterator<Item = usize>, out: &mut String) {
    let mut number = || numbers.next().unwrap_or(0);
    out.push_str(["", " ", "\n\t", "\r\n  "][number() % 4]);
    match value {
        Value::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                out.push_str(if index > 0 { "," } else { "" });
                write(item, numbers, out);
            }
            out.push(']');
        }
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            for index in (1..members.len()).rev() {
                members.swap(index, number() % (index + 1));
            }
            out.push('{');
            for (index, (name, member)) in members.into_iter().enumerate() {
                out.push_str(if index > 0 { "," } else { "" });
                write(&Value::from(name.as_str()), numbers, out);
                out.push(':');
                write(member, numbers, out);
            }
            out.push('}');
        }
        Value::String(text) if number() % 2 == 0 => {
            let escaped = text.encode_utf16().map(|unit| format!("\\u{unit:04x}"));
            out.push('"');
            out.extend(escaped);
            out.push('"');
        }
        leaf => out.push_str(&leaf.to_string()),
    }
    out.push_str(["", " "][numbers.next().unwrap_or(0) % 2]);
}

/// Changes the value at this place, counted from the outside; returns how many values there are.
fn change(value: &mut Value, place: usize) -> usize {
    let mut count = 1;
    match value {
        Value::Array(items) => {
            for item in items.iter_mut() {
                count += change(item, place.wrapping_sub(count));
            }
        }
        Value::Object(members) => {
            for member in members.values_mut() {
                count += change(member, place.wrapping_sub(count));
            }
        }
        _ => {}
    }
    if place == 0 {
        match value {
            Value::Null => *value = Value::from(false),
            Value::Bool(bool) => *bool = !*bool,
            Value::Number(_) => *value = Value::from(value.to_string()),
            Value::String(text) => text.push('x'),
            Value::Array(items) => items.push(Value::Null),
            Value::Object(members) => drop(members.insert("new".to_owned(), Value::Null)),
        }
    }
    count
}

proptest! {
    #[test]
    fn however_it_is_written_it_is_the_same_request(
        value in value(),
        numbers in proptest::collection::vec(any::<usize>(), 400),
    ) {
        let mut written = String::new();
        write(&value, &mut numbers.into_iter(), &mut written);
        prop_assert_eq!(serde_json::from_str::<Value>(&written).unwrap(), value.clone());
        prop_assert_eq!(key_of(&written), key_of(&value.to_string()), "{}", written);
    }

    #[test]
    fn any_change_of_any_value_makes_another_request(value in value(), place in any::<usize>()) {
        let count = change(&mut value.clone(), usize::MAX);
        let mut changed = value.clone();
        change(&mut changed, place % count);
        prop_assert_ne!(&changed, &value);
        prop_assert_ne!(key_of(&changed.to_string()), key_of(&value.to_string()), "{}", changed);
    }
}
