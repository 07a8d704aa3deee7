use std::collections::BTreeMap;
use std::sync::Mutex;

use shoal_types::ChunkId;

use crate::context::lock;

/// Of which chunks that are elsewhere ranges were read lately: who reads many
/// of one, as a scan of columns does, is better off with the whole in memory.
#[derive(Default)]
pub(crate) struct Ranges(Mutex<BTreeMap<ChunkId, u32>>);

impl Ranges {
    /// So many ranges of a chunk are fetched one by one; the next one brings all of it.
    const ALONE_MAX: u32 = 2;

    /// Chunks that are counted. Then it is begun anew: what is forgotten costs
    /// some ranges more.
    const CHUNKS_MAX: usize = 4_096;

    /// Counts a range; whether it is to be fetched without the rest.
    pub(crate) fn is_alone(&self, chunk: ChunkId) -> bool {
        let counts = &mut *lock(&self.0);
        if counts.len() >= Self::CHUNKS_MAX && !counts.contains_key(&chunk) {
            counts.clear();
        }
        let count = counts.entry(chunk).or_default();
        *count += 1;
        let is_alone = *count <= Self::ALONE_MAX;
        if !is_alone {
            counts.remove(&chunk);
        }
        is_alone
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_reads_range_after_range_is_brought_the_whole() {
        let ranges = Ranges::default();
        let alone: Vec<bool> = (0..4).map(|_| ranges.is_alone(ChunkId::of(b"x"))).collect();
        assert_eq!(alone, [true, true, false, true]);
        for n in 0..Ranges::CHUNKS_MAX * 2 {
            ranges.is_alone(ChunkId::of(&n.to_le_bytes()));
        }
        assert!(lock(&ranges.0).len() <= Ranges::CHUNKS_MAX);
    }
}
