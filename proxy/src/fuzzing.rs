//! What fuzzing reaches: the parsers and translators that read what strangers send.
//!
//! Each function takes arbitrary bytes and panics only if a rule is broken: whatever is accepted is
//! written as valid JSON in every dialect. `tests/fuzz` calls them with libFuzzer, the tests below
//! with the corpus and its neighbours.

use bytes::Bytes;
use serde_json::Value;
use tollgate_common::clock::{Clock as _, SystemClock, SystemRandom};
use tollgate_common::id::CallId;
use tollgate_common::price::Usage;
use tollgate_common::provider::ProviderKind;

use crate::answer::{Answer, StreamWriter, completions, embeddings, envelope, messages};
use crate::operation::Dialect;
use crate::provider::{self, Order, StreamDecoder};
use crate::request::{self, CallRequest, Prompt};
use crate::sse::Parser;

/// The most that an event may have here, in bytes.
const EVENT_BYTES_MAX: usize = 64 * 1024;

const KINDS: [ProviderKind; 3] = [
    ProviderKind::OpenAi,
    ProviderKind::Anthropic,
    ProviderKind::Gemini,
];

const DIALECTS: [Dialect; 3] = [Dialect::Job, Dialect::OpenAi, Dialect::Anthropic];

/// Takes the first byte as a choice.
fn chosen(bytes: &[u8]) -> (ProviderKind, &[u8]) {
    let (first, rest) = bytes.split_first().unwrap_or((&0, &[]));
    (KINDS[usize::from(*first) % KINDS.len()], rest)
}

fn answer_of(call_id: CallId) -> Answer<'static> {
    Answer {
        call_id,
        alias: "fast",
        requested_model: "fast",
        usage: Usage::default(),
        latency_ms: 1,
        created_at: SystemClock.now(),
        is_cached: false,
    }
}

fn new_answer() -> Answer<'static> {
    answer_of(CallId::new(SystemClock.now(), &SystemRandom))
}

fn must_be_json(bytes: &Bytes, what: &str) {
    assert!(
        serde_json::from_slice::<Value>(bytes).is_ok(),
        "{what} is no JSON: {}",
        String::from_utf8_lossy(bytes)
    );
}

/// Events come out the same however the bytes are cut.
///
/// # Panics
///
/// If a cut changes the events.
pub fn events(bytes: &[u8]) {
    let (cut, stream) = bytes.split_first().unwrap_or((&0, &[]));
    let cut = usize::from(*cut).min(stream.len());
    let read = |pieces: [&[u8]; 2]| {
        let mut parser = Parser::new(EVENT_BYTES_MAX);
        let mut events = Vec::new();
        for piece in pieces {
            parser.push(piece);
            while let Ok(Some(event)) = parser.next() {
                events.push(event);
            }
        }
        events
    };
    let whole = read([stream, &[]]);
    assert!(
        whole == read([&stream[..cut], &stream[cut..]]),
        "a cut changes the events"
    );
}

/// The largest metadata of the requests that are parsed here.
const METADATA_BYTES_MAX: usize = 10_240;

/// Requests that are accepted are said as JSON to every provider that has words for them.
///
/// # Panics
///
/// If something else than JSON is written.
pub fn request(bytes: &[u8]) {
    let parsed = [
        CallRequest::parse(bytes, METADATA_BYTES_MAX),
        CallRequest::parse_completions(bytes),
        request::messages::parse(bytes),
        request::embeddings::parse(bytes),
    ];
    for request in parsed.into_iter().flatten() {
        for kind in KINDS {
            for stream in [false, true] {
                let is_embeddings = matches!(request.prompt, Prompt::Embeddings(_));
                let order = Order {
                    upstream_model: "m",
                    output_tokens_max: request.max_tokens,
                    thoughts_max: None,
                    stream: stream && !is_embeddings,
                };
                if let Ok(encoded) = provider::encode(kind, &request, order) {
                    must_be_json(&encoded.body, "a request");
                }
            }
        }
    }
}

/// Answers that are accepted are told as JSON in every dialect.
///
/// # Panics
///
/// If something else than JSON is written.
pub fn answer(bytes: &[u8]) {
    let (kind, body) = chosen(bytes);
    let answer = new_answer();
    if let Ok(completion) = provider::decode(kind, body) {
        must_be_json(&completions::write(&answer, &completion), "a completion");
        must_be_json(&messages::write(&answer, &completion), "a message");
        must_be_json(&envelope::write(&answer, &completion), "an envelope");
        let chunk = completion.into_chunk().into_owned();
        for dialect in DIALECTS {
            let mut writer = StreamWriter::new(dialect, true, &answer);
            must_be_events(&writer.begin(None));
            must_be_events(&writer.chunk(&chunk));
            must_be_events(&writer.finish(&Usage::default()));
        }
    }
    if let Ok(vectors) = embeddings::decode(body) {
        must_be_json(&embeddings::write(&answer, &vectors), "embeddings");
    }
}

/// Streams are told as events of JSON in every dialect, until they end or go wrong.
///
/// # Panics
///
/// If something else than events of JSON is written.
pub fn stream(bytes: &[u8]) {
    let (kind, stream) = chosen(bytes);
    let answer = new_answer();
    let mut writers = DIALECTS.map(|dialect| StreamWriter::new(dialect, true, &answer));
    let mut parser = Parser::new(EVENT_BYTES_MAX);
    let mut decoder = StreamDecoder::new(kind, 1);
    parser.push(stream);
    while let Ok(Some(event)) = parser.next() {
        let Ok(chunk) = decoder.read(&event) else {
            break;
        };
        let mut deltas = chunk.deltas.iter();
        let is_early = deltas.any(|delta| delta.finish_reason.is_some());
        assert!(!is_early, "an end is told before the last words");
        for writer in &mut writers {
            must_be_events(&writer.chunk(&chunk));
        }
    }
    let end = decoder.finish();
    for writer in &mut writers {
        must_be_events(&writer.chunk(&end));
        must_be_events(&writer.finish(&Usage::default()));
    }
}

/// What is written can be read back, and each event is JSON.
fn must_be_events(bytes: &Bytes) {
    let mut parser = Parser::new(usize::MAX);
    parser.push(bytes);
    while let Ok(Some(event)) = parser.next() {
        let is_json = serde_json::from_str::<Value>(&event.data).is_ok();
        assert!(is_json || event.data == "[DONE]", "an event is no JSON");
    }
    assert!(!parser.is_mid_event(), "an event has no end");
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    /// How many neighbours of each file are tried.
    const NEIGHBOURS: u64 = 60;

    /// The same file with some bytes changed, left out or said twice; which follows from the seed.
    fn neighbour(original: &[u8], seed: u64) -> Vec<u8> {
        let mut bytes = original.to_vec();
        let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        let mut next = |limit: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            usize::try_from(state % limit.max(1) as u64).unwrap()
        };
        for _ in 0..=next(4) {
            let at = next(bytes.len());
            match next(4) {
                _ if bytes.is_empty() => {}
                0 => bytes[at] = u8::try_from(next(256)).unwrap(),
                1 => drop(bytes.remove(at)),
                2 => bytes[at] ^= 1 << next(8),
                _ => {
                    let end = (at + next(40)).min(bytes.len());
                    let copy = bytes[at..end].to_vec();
                    bytes.splice(at..at, copy);
                }
            }
        }
        bytes
    }

    fn run(target: &str, check: fn(&[u8])) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fuzz/corpus");
        let files: Vec<_> = fs::read_dir(folder.join(target)).unwrap().collect();
        assert!(files.len() >= 3, "{target} has a corpus");
        for file in files {
            let original = fs::read(file.unwrap().path()).unwrap();
            check(&original);
            for seed in 0..NEIGHBOURS {
                check(&neighbour(&original, seed));
            }
        }
    }

    #[test]
    fn the_corpus_of_events_breaks_no_rule() {
        run("events", events);
    }

    #[test]
    fn the_corpus_of_requests_breaks_no_rule() {
        run("request", request);
    }

    #[test]
    fn the_corpus_of_answers_breaks_no_rule() {
        run("answer", answer);
    }

    #[test]
    fn the_corpus_of_streams_breaks_no_rule() {
        run("stream", stream);
    }
}
