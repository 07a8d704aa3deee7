//! A part of a chunk that can be checked without the rest.
//!
//! BLAKE3 hashes a tree over pieces of 1 KiB. Whoever has the chunk sends the
//! part, and the hashes of the subtrees beside it: at most two on each level.
//! Up to the root everything else follows, and the root is the chunk's name.
//!
//! ```text
//!                 name
//!            ╱            ╲
//!         ╱    ╲         (hash)        sent: (hash), (hash), and the part
//!     (hash)   part
//! ```

use blake3::Hasher;
use blake3::hazmat::{ChainingValue, HasherExt, Mode, left_subtree_len, merge_subtrees_non_root, merge_subtrees_root};
use serde::{Deserialize, Serialize};

use crate::ChunkId;

/// Which part of a chunk a slice is, and the hashes beside it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SliceProof {
    /// Of the whole chunk.
    pub chunk_bytes: u32,
    /// Where the slice begins, and where it ends: at bounds of groups, or of
    /// the chunk.
    pub start: u32,
    pub end: u32,
    /// From left to right.
    pub beside: Vec<ChainingValue>,
}

impl SliceProof {
    /// A slice begins and ends at multiples of this. Smaller ones are not worth
    /// their hashes and their way.
    pub const GROUP_BYTES: u32 = 64 << 10;

    /// The slice of a chunk that has a range in it; all of the chunk where it
    /// would be more than a half. Hashes what is beside the slice.
    pub fn of(chunk: &[u8], range: (u32, u32)) -> Self {
        // A chunk is much shorter than that.
        let chunk_bytes = u32::try_from(chunk.len()).unwrap_or(u32::MAX);
        let end = range.1.min(chunk_bytes);
        // Of what lies past the end the last group shows that it does.
        let start = range.0.min(end.saturating_sub(1));
        let start = start - start % Self::GROUP_BYTES;
        let end = end.max(1).next_multiple_of(Self::GROUP_BYTES).min(chunk_bytes);
        let mut proof = Self { chunk_bytes, start, end, beside: Vec::new() };
        if u64::from(end - start) * 2 > u64::from(chunk_bytes) {
            proof.start = 0;
            proof.end = chunk_bytes;
        } else {
            let mut beside = Vec::new();
            proof.collect(chunk, 0, &mut beside);
            proof.beside = beside;
        }
        proof
    }

    /// Whether the slice is the whole chunk: it is checked by its name alone.
    pub fn is_whole(&self) -> bool {
        self.start == 0 && self.end == self.chunk_bytes
    }

    /// Whether these bytes are that slice of that chunk.
    pub fn is_of(&self, chunk: ChunkId, slice: &[u8]) -> bool {
        let is_bound = |at: u32| at.is_multiple_of(Self::GROUP_BYTES) || at == self.chunk_bytes;
        if (self.start >= self.end && !self.is_whole()) || self.end > self.chunk_bytes {
            return false;
        }
        if !is_bound(self.start) || !is_bound(self.end) {
            return false;
        }
        if slice.len() as u64 != u64::from(self.end - self.start) {
            return false;
        }
        if self.is_whole() {
            return self.beside.is_empty() && ChunkId::of(slice) == chunk;
        }
        let mut beside = self.beside.iter();
        let left = left_subtree_len(u64::from(self.chunk_bytes));
        let root = self.subtree(slice, 0, left, &mut beside).and_then(|one| {
            let other = self.subtree(slice, left, u64::from(self.chunk_bytes) - left, &mut beside)?;
            Some(merge_subtrees_root(&one, &other, Mode::Hash))
        });
        beside.next().is_none() && root.is_some_and(|root| root.as_bytes() == chunk.as_bytes())
    }

    /// What of the range is in the slice: the range's bytes, cut to the chunk,
    /// as offsets within the slice. `None` when some of them are not in it.
    pub fn within(&self, range: (u32, u32)) -> Option<(usize, usize)> {
        let end = range.1.min(self.chunk_bytes);
        let start = range.0.min(end);
        if start == end {
            // Only who has the chunk's end knows that nothing is there.
            return (range.0 >= range.1 || self.end == self.chunk_bytes).then_some((0, 0));
        }
        let is_in = self.start <= start && end <= self.end;
        is_in.then(|| ((start - self.start) as usize, (end - self.start) as usize))
    }

    /// How a subtree lies to the slice.
    fn lies(&self, at: u64, bytes: u64) -> Lies {
        let (start, end) = (u64::from(self.start), u64::from(self.end));
        if at + bytes <= start || end <= at {
            Lies::Beside
        } else if start <= at && at + bytes <= end {
            Lies::Within
        } else {
            Lies::Across
        }
    }

    /// The hashes of all subtrees beside the slice.
    fn collect(&self, subtree: &[u8], at: u64, beside: &mut Vec<ChainingValue>) {
        match self.lies(at, subtree.len() as u64) {
            Lies::Within => {}
            Lies::Beside => beside.push(value(subtree, at)),
            Lies::Across => {
                let left = left_subtree_len(subtree.len() as u64);
                let (one, other) = subtree.split_at(left as usize);
                self.collect(one, at, beside);
                self.collect(other, at + left, beside);
            }
        }
    }

    /// The hash of a subtree; `None` when one beside the slice is missing.
    fn subtree<'a>(
        &self,
        slice: &[u8],
        at: u64,
        bytes: u64,
        beside: &mut impl Iterator<Item = &'a ChainingValue>,
    ) -> Option<ChainingValue> {
        match self.lies(at, bytes) {
            Lies::Beside => beside.next().copied(),
            Lies::Within => {
                let from = (at - u64::from(self.start)) as usize;
                Some(value(slice.get(from..from + bytes as usize)?, at))
            }
            Lies::Across => {
                let left = left_subtree_len(bytes);
                let one = self.subtree(slice, at, left, beside)?;
                let other = self.subtree(slice, at + left, bytes - left, beside)?;
                Some(merge_subtrees_non_root(&one, &other, Mode::Hash))
            }
        }
    }
}

enum Lies {
    Beside,
    Within,
    /// Some of it is in the slice. It is longer than a group, as no group is.
    Across,
}

/// The hash of a subtree that begins at `at` and is not the whole.
fn value(bytes: &[u8], at: u64) -> ChainingValue {
    Hasher::new().set_input_offset(at).update(bytes).finalize_non_root()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GROUP: u32 = SliceProof::GROUP_BYTES;

    fn chunk(bytes: u32) -> Vec<u8> {
        (0..bytes).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
    }

    fn slice<'a>(chunk: &'a [u8], proof: &SliceProof) -> &'a [u8] {
        &chunk[proof.start as usize..proof.end as usize]
    }

    #[test]
    fn every_range_of_every_length_is_shown_by_few_hashes() {
        for bytes in [1, 1024, GROUP - 1, GROUP, GROUP + 1, 3 * GROUP, 8 * GROUP, 9 * GROUP + 7, 16 * GROUP + 1024] {
            let (chunk, id) = (chunk(bytes), ChunkId::of(&chunk(bytes)));
            let bounds = [0, 1, GROUP, 2 * GROUP + 3, 5 * GROUP, 8 * GROUP + 1, bytes - 1, bytes, bytes + 9];
            for (from, to) in bounds.iter().flat_map(|from| bounds.iter().map(move |to| (*from, *to))) {
                let proof = SliceProof::of(&chunk, (from, to));
                let part = slice(&chunk, &proof);
                assert!(proof.is_of(id, part), "{from}..{to} of {bytes}: {proof:?}");
                assert!(proof.beside.len() <= 10 && (proof.is_whole() || part.len() * 2 <= chunk.len()));
                let end = to.min(bytes);
                let within = proof.within((from, to)).map(|(from, to)| &part[from..to]);
                assert_eq!(within, Some(&chunk[from.min(end) as usize..end as usize]), "{from}..{to} of {bytes}");
            }
        }
    }

    #[test]
    fn a_lie_about_anything_is_found() {
        let chunk = chunk(9 * GROUP + 7);
        let id = ChunkId::of(&chunk);
        let proof = SliceProof::of(&chunk, (3 * GROUP + 5, 4 * GROUP + 5));
        let part = slice(&chunk, &proof).to_vec();
        assert_eq!((proof.start, proof.end), (3 * GROUP, 5 * GROUP));
        assert!(proof.is_of(id, &part));
        let lies = |change: &dyn Fn(&mut SliceProof, &mut Vec<u8>)| {
            let (mut proof, mut part) = (proof.clone(), part.clone());
            change(&mut proof, &mut part);
            assert!(!proof.is_of(id, &part), "{proof:?}");
        };
        for at in [0, 1023, part.len() / 2, part.len() - 1] {
            lies(&|_, part| part[at] ^= 1);
        }
        for at in 0..proof.beside.len() {
            lies(&|proof, _| proof.beside[at][at] ^= 1);
            lies(&|proof, _| _ = proof.beside.remove(at));
            lies(&|proof, _| proof.beside.insert(at, [7; 32]));
        }
        lies(&|proof, _| proof.beside.swap(0, 1));
        lies(&|_, part| _ = part.pop());
        lies(&|proof, _| (proof.start, proof.end) = (2 * GROUP, 4 * GROUP));
        lies(&|proof, _| (proof.start, proof.end) = (0, 2 * GROUP));
        lies(&|proof, _| proof.chunk_bytes = 5 * GROUP);
        lies(&|proof, _| proof.chunk_bytes = 2 * GROUP);
        lies(&|proof, _| proof.chunk_bytes = u32::MAX);
        lies(&|proof, _| (proof.start, proof.end, proof.chunk_bytes) = (0, 2 * GROUP, 2 * GROUP));
        lies(&|proof, _| (proof.start, proof.end) = (5 * GROUP, 3 * GROUP));
    }

    #[test]
    fn that_nothing_is_past_the_end_is_shown_by_the_end() {
        let chunk = chunk(9 * GROUP + 7);
        let proof = SliceProof::of(&chunk, (20 * GROUP, 21 * GROUP));
        assert_eq!((proof.start, proof.end), (9 * GROUP, 9 * GROUP + 7));
        assert!(proof.is_of(ChunkId::of(&chunk), slice(&chunk, &proof)));
        let other = SliceProof::of(&chunk, (0, 5));
        assert_eq!(other.within((20 * GROUP, 21 * GROUP)), None);
        assert_eq!(other.within((0, GROUP + 1)), None);
    }
}
