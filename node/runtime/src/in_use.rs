//! Chunks that somebody here reads, whatever has become of the objects' names.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, Mutex};

use shoal_types::ChunkId;

use crate::context::lock;

/// Chunks in use, and by how many.
#[derive(Default, Clone)]
pub(crate) struct InUse(Arc<Mutex<BTreeMap<ChunkId, usize>>>);

/// As long as it lives its chunks are not collected anywhere.
pub(crate) struct Hold {
    in_use: InUse,
    chunks: Vec<ChunkId>,
}

impl InUse {
    pub(crate) fn hold(&self, chunks: Vec<ChunkId>) -> Hold {
        let mut in_use = lock(&self.0);
        for chunk in &chunks {
            *in_use.entry(*chunk).or_default() += 1;
        }
        Hold { in_use: self.clone(), chunks }
    }

    /// In the order of their ids, after `after`, at most `limit`.
    pub(crate) fn page(&self, after: Option<ChunkId>, limit: usize) -> Vec<ChunkId> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        lock(&self.0).range((from, Bound::Unbounded)).map(|(chunk, _)| *chunk).take(limit).collect()
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let mut in_use = lock(&self.in_use.0);
        for chunk in &self.chunks {
            if let Some(count) = in_use.get_mut(chunk) {
                *count -= 1;
                if *count == 0 {
                    in_use.remove(chunk);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_is_in_use_until_the_last_who_uses_it_has_gone() {
        let in_use = InUse::default();
        let mut chunks: Vec<ChunkId> = (0..3u8).map(|n| ChunkId::of(&[n])).collect();
        chunks.sort();
        let first = in_use.hold(chunks.clone());
        let second = in_use.hold(vec![chunks[1]]);
        assert_eq!(in_use.page(None, 2), chunks[..2]);
        assert_eq!(in_use.page(Some(chunks[1]), 2), chunks[2..]);
        drop(first);
        assert_eq!(in_use.page(None, 9), [chunks[1]]);
        drop(second);
        assert!(in_use.page(None, 9).is_empty());
    }
}
