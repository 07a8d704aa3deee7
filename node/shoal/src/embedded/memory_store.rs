use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use shoal_ports::{RegisterPut, Store, StoreUsage};
use shoal_types::{
    Ballot, ChunkId, DiskState, Error, PeerId, RegisterEntry, RegisterKey, RegisterPlace, RegisterSpan, Result,
};

/// Bytes of chunks that are kept. A mesh of one that lives for one query
/// stores no objects; broadcast sides and answers are the engine's.
const CHUNK_BYTES_MAX: u64 = 1 << 30;

/// A store that is gone with the process, and costs nothing to open.
pub(crate) struct MemoryStore {
    peer: PeerId,
    kept: Mutex<Kept>,
}

struct Kept {
    chunks: BTreeMap<ChunkId, Bytes>,
    chunk_bytes: u64,
    registers: BTreeMap<RegisterKey, RegisterEntry>,
    horizon: Ballot,
    notes: BTreeMap<String, Bytes>,
}

impl MemoryStore {
    pub(crate) fn new(peer: PeerId) -> Self {
        let kept = Kept {
            chunks: BTreeMap::new(),
            chunk_bytes: 0,
            registers: BTreeMap::new(),
            horizon: Ballot::ZERO,
            notes: BTreeMap::new(),
        };
        Self { peer, kept: Mutex::new(kept) }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store for MemoryStore {
    fn chunk_put(&self, id: ChunkId, bytes: &[u8]) -> Result<()> {
        if ChunkId::of(bytes) != id {
            return Err(Error::BadFrame { what: format!("the bytes of chunk {} are others", id.short()) });
        }
        let mut kept = self.kept();
        let needed_bytes = bytes.len() as u64;
        let free_bytes = CHUNK_BYTES_MAX.saturating_sub(kept.chunk_bytes);
        if needed_bytes > free_bytes {
            return Err(Error::DiskFull { peer: self.peer, free_bytes, needed_bytes });
        }
        if kept.chunks.insert(id, Bytes::copy_from_slice(bytes)).is_none() {
            kept.chunk_bytes += needed_bytes;
        }
        Ok(())
    }

    fn chunk_len(&self, id: ChunkId) -> Result<Option<u32>> {
        Ok(self.kept().chunks.get(&id).map(|chunk| chunk.len() as u32))
    }

    fn chunk_get(&self, id: ChunkId, range: Option<(u32, u32)>) -> Result<Option<Bytes>> {
        let chunk = self.kept().chunks.get(&id).cloned();
        Ok(chunk.map(|chunk| match range {
            None => chunk,
            Some((start, end)) => {
                let end = (end as usize).min(chunk.len());
                chunk.slice((start as usize).min(end)..end)
            }
        }))
    }

    fn chunk_delete(&self, id: ChunkId) -> Result<()> {
        let mut kept = self.kept();
        if let Some(chunk) = kept.chunks.remove(&id) {
            kept.chunk_bytes -= chunk.len() as u64;
        }
        Ok(())
    }

    fn chunk_list(&self, after: Option<ChunkId>, limit: usize) -> Result<Vec<ChunkId>> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        Ok(self.kept().chunks.range((from, Bound::Unbounded)).map(|(id, _)| *id).take(limit).collect())
    }

    fn register_get(&self, key: &RegisterKey) -> Result<Option<RegisterEntry>> {
        Ok(self.kept().registers.get(key).cloned())
    }

    fn register_put(&self, puts: &[RegisterPut]) -> Result<()> {
        self.kept().registers.extend(puts.iter().map(|put| (put.entry.key.clone(), put.entry.clone())));
        Ok(())
    }

    fn register_forget(&self, keys: &[RegisterKey], horizon: Ballot) -> Result<()> {
        let mut kept = self.kept();
        for key in keys {
            kept.registers.remove(key);
        }
        kept.horizon = kept.horizon.max(horizon);
        Ok(())
    }

    fn register_horizon(&self) -> Result<Ballot> {
        Ok(self.kept().horizon)
    }

    fn register_clear(&self) -> Result<()> {
        let mut kept = self.kept();
        kept.registers.retain(|key, _| matches!(key, RegisterKey::Layout(..)));
        kept.horizon = Ballot::ZERO;
        Ok(())
    }

    fn register_scan(
        &self,
        span: &RegisterSpan,
        after: Option<&RegisterPlace>,
        limit: usize,
    ) -> Result<Vec<RegisterEntry>> {
        let kept = self.kept();
        let names = kept.registers.iter().filter(|(key, _)| {
            span.contains(key) && after.is_none_or(|after| key.place().is_some_and(|place| place > *after))
        });
        Ok(names.map(|(_, entry)| entry.clone()).take(limit).collect())
    }

    fn note_get(&self, name: &str) -> Result<Option<Bytes>> {
        Ok(self.kept().notes.get(name).cloned())
    }

    fn note_put(&self, name: &str, value: &[u8]) -> Result<()> {
        self.kept().notes.insert(name.into(), Bytes::copy_from_slice(value));
        Ok(())
    }

    fn usage(&self) -> Result<StoreUsage> {
        let kept = self.kept();
        Ok(StoreUsage {
            chunks: kept.chunks.len() as u64,
            chunk_bytes: kept.chunk_bytes,
            free_bytes: CHUNK_BYTES_MAX - kept.chunk_bytes,
            bad_copies: 0,
        })
    }

    fn disk(&self) -> DiskState {
        DiskState::Fine
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use shoal_types::RegisterKind;

    #[test]
    fn a_chunk_is_what_its_name_says_or_refused() {
        let store = MemoryStore::new(PeerId::from_bytes([0; 32]));
        let id = ChunkId::of(b"abcdef");
        assert!(store.chunk_put(id, b"other").is_err());
        store.chunk_put(id, b"abcdef").unwrap();
        store.chunk_put(id, b"abcdef").unwrap();
        assert_eq!(store.chunk_get(id, Some((2, 99))).unwrap().as_deref(), Some(&b"cdef"[..]));
        assert_eq!(store.usage().unwrap().chunk_bytes, 6);
        store.chunk_delete(id).unwrap();
        assert_eq!((store.chunk_len(id).unwrap(), store.usage().unwrap().chunk_bytes), (None, 0));
    }

    #[test]
    fn names_are_scanned_in_byte_order_after_a_name() {
        let store = MemoryStore::new(PeerId::from_bytes([0; 32]));
        let entry =
            |key| RegisterPut::from(RegisterEntry { key, promised: Ballot::ZERO, accepted: Ballot::ZERO, value: None });
        let names = ["b/2", "b/1", "a/1", "b/3"].map(|name| entry(RegisterKey::Object(name.parse().unwrap())));
        store.register_put(&names).unwrap();
        store.register_put(&[entry(RegisterKey::Layout(shoal_types::MeshId::from_bytes([0; 16]), 1))]).unwrap();
        let found = store
            .register_scan(&RegisterSpan::under(RegisterKind::Object, "b/"), Some(&RegisterPlace::of_name("b/1")), 10)
            .unwrap();
        assert_eq!(found.iter().map(|e| e.key.to_string()).collect::<Vec<_>>(), ["b/2", "b/3"]);
    }
}
