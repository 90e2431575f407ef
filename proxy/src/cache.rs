//! The cache of answers: what counts as the same request, and where answers are kept.
//!
//! Two requests are the same if team, alias, who serves it, and JSON are, whatever the order of
//! keys and the white space. A key is a SHA-256, so a cache never holds a prompt, and teams never
//! share an answer.

pub(crate) mod memory;

use std::fmt;
use std::ops::Range;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};
use tollgate_common::id::{ModelAlias, TeamId};

/// Where answers are kept. A cache may forget at any time.
#[async_trait]
pub(crate) trait ResponseCache: Send + Sync + fmt::Debug {
    /// The answer that was put under this key, unless its time is over.
    async fn get(&self, key: &CacheKey) -> Option<Bytes>;

    /// Keeps an answer for so long.
    async fn put(&self, key: CacheKey, response: Bytes, ttl: Duration);
}

/// Names the answer to one request of one team.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct CacheKey([u8; 32]);

// === impl CacheKey ===

impl CacheKey {
    /// The key of a request that [`canonical`] has written.
    pub(crate) fn new(team: &TeamId, alias: &ModelAlias, canonical_request: &[u8]) -> Self {
        let mut hash = Sha256::new();
        for part in [
            team.as_str().as_bytes(),
            alias.as_str().as_bytes(),
            canonical_request,
        ] {
            hash.update(length_of(part));
            hash.update(part);
        }
        Self(hash.finalize().into())
    }
}

/// A short prompt could be guessed from its hash, so the hash is not shown.
impl fmt::Debug for CacheKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CacheKey(…)")
    }
}

/// Stands before bytes, so that where they end does not depend on them.
fn length_of(bytes: &[u8]) -> [u8; 8] {
    (bytes.len() as u64).to_be_bytes()
}

/// Writes a request so that the same one has the same bytes: white space, the order of keys and
/// how a text is escaped do not matter. A number is what it parses to, and `1` is not `1.0`. A key
/// that is given twice counts twice, in that order.
///
/// The bytes are short, because long values within objects are hashed; the work grows with the
/// length of the JSON alone.
pub(crate) fn canonical(parameters: &[(&str, &RawValue)], messages: &RawValue) -> Vec<u8> {
    let mut out = Vec::new();
    let mut members = Vec::new();
    out.push(b'{');
    for (name, value) in parameters {
        let start = out.len();
        write_text(&mut out, name);
        let value_start = out.len();
        write_raw(&mut out, value);
        members.push(Member::end(&mut out, start, value_start));
    }
    end_object(&mut out, &members);
    write_raw(&mut out, messages);
    out
}

/// Writes a value. One that serde does not read, as it is nested too deep, stays as it is.
fn write_raw(out: &mut Vec<u8>, raw: &RawValue) {
    let start = out.len();
    let mut deserializer = serde_json::Deserializer::from_str(raw.get());
    if Writer(out).deserialize(&mut deserializer).is_err() {
        out.truncate(start);
        out.push(b'r');
        out.extend_from_slice(&length_of(raw.get().as_bytes()));
        out.extend_from_slice(raw.get().as_bytes());
    }
}

fn write_text(out: &mut Vec<u8>, text: &str) {
    out.push(b's');
    out.extend_from_slice(&length_of(text.as_bytes()));
    out.extend_from_slice(text.as_bytes());
}

/// Where a name and its value are written.
struct Member {
    name: Range<usize>,
    whole: Range<usize>,
}

impl Member {
    /// Longer values are hashed. Else a value would be moved once for each object that it is in.
    const VALUE_BYTES_MAX: usize = 64;

    /// Ends a member whose name and value were written from here and there on.
    fn end(out: &mut Vec<u8>, start: usize, value_start: usize) -> Self {
        if out.len() - value_start > Self::VALUE_BYTES_MAX {
            let hash = Sha256::digest(&out[value_start..]);
            out.truncate(value_start);
            out.push(b'h');
            out.extend_from_slice(&hash);
        }
        Self {
            name: start..value_start,
            whole: start..out.len(),
        }
    }
}

/// Ends an object: brings its members into order, those of the same name staying as they are.
fn end_object(out: &mut Vec<u8>, members: &[Member]) {
    if !members.is_sorted_by_key(|member| &out[member.name.clone()]) {
        let mut sorted: Vec<&Member> = members.iter().collect();
        sorted.sort_by_key(|member| &out[member.name.clone()]);
        let parts: Vec<&[u8]> = sorted.iter().map(|m| &out[m.whole.clone()]).collect();
        let ordered = parts.concat();
        out.truncate(out.len() - ordered.len());
        out.extend_from_slice(&ordered);
    }
    out.push(b'}');
}

/// Writes a value while serde reads it. Each kind of value begins with a byte of its own.
struct Writer<'a>(&'a mut Vec<u8>);

impl Writer<'_> {
    fn number(self, kind: u8, bytes: [u8; 8]) {
        self.0.push(kind);
        self.0.extend_from_slice(&bytes);
    }
}

impl<'de> DeserializeSeed<'de> for Writer<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Writer<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.0.push(b'n');
        Ok(())
    }

    fn visit_bool<E>(self, value: bool) -> Result<(), E> {
        self.0.push(if value { b't' } else { b'f' });
        Ok(())
    }

    fn visit_u64<E>(self, value: u64) -> Result<(), E> {
        self.number(b'u', value.to_be_bytes());
        Ok(())
    }

    fn visit_i64<E>(self, value: i64) -> Result<(), E> {
        self.number(b'i', value.to_be_bytes());
        Ok(())
    }

    fn visit_f64<E>(self, value: f64) -> Result<(), E> {
        self.number(b'd', value.to_bits().to_be_bytes());
        Ok(())
    }

    fn visit_str<E>(self, value: &str) -> Result<(), E> {
        write_text(self.0, value);
        Ok(())
    }

    fn visit_seq<S: SeqAccess<'de>>(self, mut items: S) -> Result<(), S::Error> {
        self.0.push(b'[');
        while items.next_element_seed(Writer(self.0))?.is_some() {}
        self.0.push(b']');
        Ok(())
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<(), M::Error> {
        let out = self.0;
        let mut members = Vec::new();
        out.push(b'{');
        loop {
            let start = out.len();
            if map.next_key_seed(Writer(out))?.is_none() {
                break;
            }
            let value_start = out.len();
            map.next_value_seed(Writer(out))?;
            members.push(Member::end(out, start, value_start));
        }
        end_object(out, &members);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
