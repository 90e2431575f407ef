//! Answers in the memory of one node, bounded in bytes and in time.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use moka::Expiry;
use moka::sync::Cache;
use tollgate_common::clock::{Clock, Timestamp};

use super::{CacheKey, ResponseCache};

/// About what an entry takes besides its answer.
const ENTRY_OVERHEAD_BYTES: usize = 256;

/// An answer and when it is too old.
#[derive(Clone)]
struct Entry {
    response: Bytes,
    ttl: Duration,
    expires_at: Timestamp,
}

/// Lets the cache free the memory of what is too old before anyone asks for it.
struct ByEntry;

impl Expiry<CacheKey, Entry> for ByEntry {
    fn expire_after_create(&self, _: &CacheKey, entry: &Entry, _: Instant) -> Option<Duration> {
        Some(entry.ttl)
    }

    fn expire_after_update(
        &self,
        _: &CacheKey,
        entry: &Entry,
        _: Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        Some(entry.ttl)
    }
}

/// Keeps answers in the memory of this node. What is asked for often stays longest.
pub(crate) struct MemoryCache {
    entries: Cache<CacheKey, Entry>,
    clock: Arc<dyn Clock>,
}

// === impl MemoryCache ===

impl MemoryCache {
    /// A cache that takes about so much memory at most.
    pub(crate) fn new(bytes_max: usize, clock: Arc<dyn Clock>) -> Self {
        let entries = Cache::builder()
            .max_capacity(bytes_max as u64)
            .weigher(|_, entry: &Entry| {
                let bytes = entry.response.len().saturating_add(ENTRY_OVERHEAD_BYTES);
                u32::try_from(bytes).unwrap_or(u32::MAX)
            })
            .expire_after(ByEntry)
            .build();
        Self { entries, clock }
    }

    /// How much memory the entries take.
    pub(crate) fn bytes(&self) -> u64 {
        self.entries.weighted_size()
    }
}

impl fmt::Debug for MemoryCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryCache")
            .field("bytes", &self.bytes())
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl ResponseCache for MemoryCache {
    async fn get(&self, key: &CacheKey) -> Option<Bytes> {
        let entry = self.entries.get(key)?;
        (self.clock.now() < entry.expires_at).then_some(entry.response)
    }

    async fn put(&self, key: CacheKey, response: Bytes, ttl: Duration) {
        let entry = Entry {
            // A piece of a larger buffer would keep all of that buffer.
            response: Bytes::copy_from_slice(&response),
            ttl,
            expires_at: self.clock.now().plus(ttl),
        };
        self.entries.insert(key, entry);
        // Without this, many large answers could wait for their turn to be evicted.
        self.entries.run_pending_tasks();
    }
}
