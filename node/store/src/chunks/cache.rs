use std::collections::BTreeMap;
use std::sync::Mutex;

use bytes::Bytes;
use shoal_types::ChunkId;

use super::lock;

/// Whole, verified chunks of which ranges were read lately, within a budget
/// of bytes; the one that was asked for longest ago goes first.
pub(super) struct Cache {
    bytes_max: u64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    chunks: BTreeMap<ChunkId, (u64, Bytes)>,
    /// When each was asked for last, as a count of questions.
    by_use: BTreeMap<u64, ChunkId>,
    uses: u64,
    bytes: u64,
}

impl Cache {
    pub(super) fn new(bytes_max: u64) -> Self {
        Self { bytes_max, state: Mutex::default() }
    }

    pub(super) fn get(&self, id: ChunkId) -> Option<Bytes> {
        let mut state = lock(&self.state);
        let bytes = state.take(id)?;
        state.put(id, bytes.clone());
        Some(bytes)
    }

    /// One that is larger than the budget is not kept.
    pub(super) fn insert(&self, id: ChunkId, bytes: Bytes) {
        if bytes.len() as u64 > self.bytes_max {
            return;
        }
        let mut state = lock(&self.state);
        state.take(id);
        state.put(id, bytes);
        while state.bytes > self.bytes_max
            && let Some((_, oldest)) = state.by_use.first_key_value()
        {
            let oldest = *oldest;
            state.take(oldest);
        }
    }

    pub(super) fn remove(&self, id: ChunkId) {
        lock(&self.state).take(id);
    }
}

impl State {
    fn take(&mut self, id: ChunkId) -> Option<Bytes> {
        let (used, bytes) = self.chunks.remove(&id)?;
        self.by_use.remove(&used);
        self.bytes -= bytes.len() as u64;
        Some(bytes)
    }

    fn put(&mut self, id: ChunkId, bytes: Bytes) {
        self.uses += 1;
        self.by_use.insert(self.uses, id);
        self.bytes += bytes.len() as u64;
        self.chunks.insert(id, (self.uses, bytes));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(n: u8) -> (ChunkId, Bytes) {
        let bytes = Bytes::from(vec![n; 10]);
        (ChunkId::of(&bytes), bytes)
    }

    #[test]
    fn the_budget_holds_and_what_was_asked_for_longest_ago_goes_first() {
        let cache = Cache::new(30);
        for n in 0..3 {
            let (id, bytes) = chunk(n);
            cache.insert(id, bytes);
        }
        assert!(cache.get(chunk(0).0).is_some());
        let (id, bytes) = chunk(3);
        cache.insert(id, bytes);
        let here: Vec<bool> = (0..4).map(|n| cache.get(chunk(n).0).is_some()).collect();
        assert_eq!(here, [true, false, true, true]);
    }

    #[test]
    fn what_is_larger_than_the_budget_is_not_kept() {
        let cache = Cache::new(9);
        let (id, bytes) = chunk(1);
        cache.insert(id, bytes);
        assert!(cache.get(id).is_none());
    }
}
