use async_trait::async_trait;
use bytes::Bytes;
use serde_json::value::RawValue;
use std::time::Duration;
use tollgate_common::id::{ModelAlias, TeamId};
#[derive(Debug)]
pub(crate) struct CacheKey([u8; 32]);
impl CacheKey {
    pub(crate) fn new(_t: &TeamId, _a: &ModelAlias, _c: &[u8]) -> Self {
        Self([0; 32])
    }
}
pub(crate) fn canonical(_p: &[(&str, &RawValue)], _m: &RawValue) -> Vec<u8> {
    Vec::new()
}
#[async_trait]
pub(crate) trait ResponseCache: Send + Sync + std::fmt::Debug {
    async fn get(&self, k: &CacheKey) -> Option<Bytes>;
    async fn put(&self, k: CacheKey, b: Bytes, ttl: Duration);
}
#[derive(Debug)]
pub(crate) struct MemoryCache(u64);
impl MemoryCache {
    pub(crate) fn new(b: u64) -> Self {
        Self(b)
    }
}
#[async_trait]
impl ResponseCache for MemoryCache {
    async fn get(&self, _: &CacheKey) -> Option<Bytes> {
        None
    }
    async fn put(&self, _: CacheKey, _: Bytes, _: Duration) {}
}
