use std::collections::BTreeMap;
use std::sync::Mutex;

use shoal_types::{ChunkId, HashedChunk};

use crate::context::lock;

/// Verified chunks of other peers, the least recently used dropped first, so
/// that a task that reads a chunk range by range fetches it once.
pub(crate) struct ChunkCache {
    bytes_max: u64,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    bytes: u64,
    turn: u64,
    chunks: BTreeMap<ChunkId, (u64, HashedChunk)>,
    turns: BTreeMap<u64, ChunkId>,
}

impl ChunkCache {
    pub(crate) fn new(bytes_max: u64) -> Self {
        Self { bytes_max, inner: Mutex::default() }
    }

    /// Bytes that it holds now.
    pub(crate) fn bytes(&self) -> usize {
        usize::try_from(lock(&self.inner).bytes).unwrap_or(usize::MAX)
    }

    pub(crate) fn get(&self, chunk: ChunkId) -> Option<HashedChunk> {
        let inner = &mut *lock(&self.inner);
        let (turn, whole) = inner.chunks.get_mut(&chunk)?;
        inner.turns.remove(turn);
        inner.turn += 1;
        *turn = inner.turn;
        inner.turns.insert(inner.turn, chunk);
        Some(whole.clone())
    }

    pub(crate) fn put(&self, whole: HashedChunk) {
        let inner = &mut *lock(&self.inner);
        let (chunk, bytes) = (whole.id(), whole.bytes().len() as u64);
        if bytes > self.bytes_max || inner.chunks.contains_key(&chunk) {
            return;
        }
        inner.turn += 1;
        inner.bytes += bytes;
        inner.turns.insert(inner.turn, chunk);
        inner.chunks.insert(chunk, (inner.turn, whole));
        while inner.bytes > self.bytes_max {
            let Some((_, oldest)) = inner.turns.pop_first() else {
                break;
            };
            if let Some((_, dropped)) = inner.chunks.remove(&oldest) {
                inner.bytes -= dropped.bytes().len() as u64;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn the_least_recently_used_goes_first_and_the_bound_holds() {
        let cache = ChunkCache::new(100);
        let chunk = |n: u8| HashedChunk::of(Bytes::from(vec![n; 40]));
        for n in 0..2 {
            cache.put(chunk(n));
        }
        assert!(cache.get(chunk(0).id()).is_some());
        cache.put(chunk(2));
        assert!(cache.get(chunk(1).id()).is_none());
        assert!(cache.get(chunk(0).id()).is_some());
        assert!(cache.get(chunk(2).id()).is_some());
        assert!(lock(&cache.inner).bytes <= 100);
    }
}
