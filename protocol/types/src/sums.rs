//! What two peers compare, to find what one of them has and the other has not:
//! a Merkle tree of two levels over sums instead of hashes.
//!
//! ```text
//!   total ── 256 branches, each the sum of its 256 leaves, each the sum of what belongs to it
//! ```
//!
//! Whoever adds something says to which of the 65,536 leaves it belongs, and
//! what it adds: bits that depend on all that is to be the same. Sums wrap, and
//! come out the same in whatever order things are met. Things whose sums meet by
//! accident can be made on purpose, though not by chance; so sums that are the
//! same are a reason not to look now, and never to give something up.

use std::collections::BTreeMap;

/// Sums over many things: 24 bytes or so for each leaf that has any.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sums(BTreeMap<u16, u64>);

impl Sums {
    /// Branches, and leaves of each.
    pub const WIDTH: usize = 256;

    /// Sums over nothing.
    pub const fn new() -> Self {
        Self(BTreeMap::new())
    }

    /// Adds one thing; whether it is the first of its leaf.
    pub fn add(&mut self, leaf: u16, hash: u64) -> bool {
        let mut is_first = false;
        let sum = self.0.entry(leaf).or_insert_with(|| {
            is_first = true;
            0
        });
        *sum = sum.wrapping_add(hash);
        is_first
    }

    /// Leaves that have any.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The sum over everything, or over one branch.
    pub fn total(&self, branch: Option<u8>) -> u64 {
        let all = branch.map_or(0..=u16::MAX, range);
        self.0.range(all).fold(0, |total, (_, sum)| total.wrapping_add(*sum))
    }

    /// The sums of all branches.
    pub fn branches(&self) -> Vec<u64> {
        let mut branches = vec![0u64; Self::WIDTH];
        for (leaf, sum) in &self.0 {
            let branch = &mut branches[usize::from(leaf >> 8)];
            *branch = branch.wrapping_add(*sum);
        }
        branches
    }

    /// The sums of a branch's leaves.
    pub fn leaves(&self, branch: u8) -> Vec<u64> {
        let mut leaves = vec![0; Self::WIDTH];
        for (leaf, sum) in self.0.range(range(branch)) {
            leaves[usize::from(leaf & 0xff)] = *sum;
        }
        leaves
    }

    /// The leaves of a branch that have any.
    pub fn leaves_in(&self, branch: u8) -> impl Iterator<Item = u16> {
        self.0.range(range(branch)).map(|(leaf, _)| *leaf)
    }

    /// The branches that differ from those of another.
    pub fn differing_branches(&self, others: &[u64]) -> Vec<u8> {
        differing(&self.branches(), others)
    }

    /// The leaves of a branch that differ from those of another.
    pub fn differing_leaves(&self, branch: u8, others: &[u64]) -> Vec<u16> {
        let leaves = differing(&self.leaves(branch), others).into_iter();
        leaves.map(|leaf| u16::from(branch) << 8 | u16::from(leaf)).collect()
    }
}

/// The leaves of a branch.
fn range(branch: u8) -> std::ops::RangeInclusive<u16> {
    let first = u16::from(branch) << 8;
    first..=first | 0xff
}

fn differing(ours: &[u64], theirs: &[u64]) -> Vec<u8> {
    let pairs = (0..=u8::MAX).zip(ours.iter().zip(theirs));
    pairs.filter(|(_, (ours, theirs))| ours != theirs).map(|(at, _)| at).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ChunkId;

    /// Sums over so many things, each with a version.
    fn sums(things: impl IntoIterator<Item = (u64, u64)>) -> Sums {
        let mut sums = Sums::new();
        for (n, version) in things {
            let word = |bytes: &[u8]| {
                let id = ChunkId::of(bytes);
                u64::from_le_bytes(std::array::from_fn(|at| id.as_bytes()[at]))
            };
            let leaf = word(&n.to_le_bytes()) as u16;
            sums.add(leaf, word(&[n.to_le_bytes(), version.to_le_bytes()].concat()));
        }
        sums
    }

    /// The leaves that differ, by way of the branches that do.
    fn differing(one: &Sums, other: &Sums) -> Vec<u16> {
        let branches = one.differing_branches(&other.branches());
        branches.into_iter().flat_map(|branch| one.differing_leaves(branch, &other.leaves(branch))).collect()
    }

    #[test]
    fn the_same_things_have_the_same_sums_in_whatever_order() {
        let one = sums((0..5_000).map(|n| (n, n + 7)));
        let other = sums((0..5_000).rev().map(|n| (n, n + 7)));
        assert_eq!((&one, differing(&one, &other)), (&other, vec![]));
    }

    #[test]
    fn the_leaves_of_what_differs_differ_and_no_others() {
        let ours = sums((0..5_000).map(|n| (n, 1)));
        // One is older, one is missing, one is new.
        let theirs = sums((0..5_001).filter(|n| *n != 77).map(|n| (n, if n == 8 { 0 } else { 1 })));
        let of = |n| sums([(n, 1)]).0.into_keys();
        let mut expected: Vec<u16> = [8, 77, 5_000].into_iter().flat_map(of).collect();
        expected.sort();
        assert_eq!((differing(&ours, &theirs), differing(&theirs, &ours)), (expected.clone(), expected));
        assert_ne!(ours.total(None), theirs.total(None));
    }

    #[test]
    fn a_total_is_that_of_its_branches_and_these_are_those_of_their_leaves() {
        let sums = sums((0..20_000).map(|n| (n, 1)));
        let add = |sums: Vec<u64>| sums.into_iter().fold(0, u64::wrapping_add);
        let branches = sums.branches();
        assert!(branches.iter().all(|sum| *sum != 0));
        assert_eq!(sums.total(None), add(branches.clone()));
        for branch in 0..=u8::MAX {
            assert_eq!(sums.total(Some(branch)), branches[usize::from(branch)]);
            assert_eq!(add(sums.leaves(branch)), branches[usize::from(branch)]);
        }
        assert_eq!((0..=u8::MAX).map(|branch| sums.leaves_in(branch).count()).sum::<usize>(), sums.len());
    }

    #[test]
    fn an_answer_of_another_length_names_no_branch_that_is_not_there() {
        let ours = sums((0..100).map(|n| (n, 1)));
        assert_eq!(ours.differing_branches(&[]), []);
        assert!(ours.differing_branches(&vec![1; 100_000]).len() <= Sums::WIDTH);
    }
}
