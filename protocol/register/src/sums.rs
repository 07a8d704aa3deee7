//! What two acceptors compare, to find registers that one of them holds an
//! older value of: a Merkle tree of two levels over sums instead of hashes.
//!
//! ```text
//!   256 branches ── each the sum of its 256 leaves ── each the sum of its registers
//! ```
//!
//! By a hash of its key a register has one of 65,536 leaves; what it adds is a
//! hash of key and accepted ballot. Sums wrap, and come out the same in
//! whatever order registers are met. Nobody is kept from choosing names whose
//! sums meet by accident: what comes of it is that a difference is found
//! later, when either of them is changed.

use std::collections::BTreeMap;

use shoal_types::{Ballot, RegisterKey};

/// Sums over registers: 24 bytes or so for each leaf that has any.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sums(BTreeMap<u16, u64>);

impl Sums {
    /// Branches, and leaves of each.
    pub const WIDTH: usize = 256;

    /// The leaf that a register belongs to.
    pub fn leaf_of(key: &RegisterKey) -> u16 {
        (hash_of(key) >> 48) as u16
    }

    pub fn add(&mut self, key: &RegisterKey, accepted: Ballot) {
        let hash = hash_of(key);
        let mut ballot = Hash::default();
        ballot.take(&accepted.counter.to_le_bytes());
        ballot.take(accepted.proposer.as_bytes());
        let sum = self.0.entry((hash >> 48) as u16).or_default();
        *sum = sum.wrapping_add(mixed(hash ^ ballot.0.rotate_left(32)));
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
        let first = u16::from(branch) << 8;
        for (leaf, sum) in self.0.range(first..=first | 0xff) {
            leaves[usize::from(leaf & 0xff)] = *sum;
        }
        leaves
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

fn differing(ours: &[u64], theirs: &[u64]) -> Vec<u8> {
    let pairs = (0..=u8::MAX).zip(ours.iter().zip(theirs));
    pairs.filter(|(_, (ours, theirs))| ours != theirs).map(|(at, _)| at).collect()
}

fn hash_of(key: &RegisterKey) -> u64 {
    let mut hash = Hash::default();
    match key {
        RegisterKey::Layout(mesh, version) => {
            hash.take(&[0]);
            hash.take(mesh.as_bytes());
            hash.take(&version.to_le_bytes());
        }
        RegisterKey::Object(name) => {
            hash.take(&[1]);
            hash.take(name.as_str().as_bytes());
        }
        RegisterKey::Version(name, version) => {
            hash.take(&[2]);
            hash.take(&version.to_le_bytes());
            hash.take(name.as_str().as_bytes());
        }
        RegisterKey::Bucket(bucket) => {
            hash.take(&[3]);
            hash.take(bucket.as_str().as_bytes());
        }
    }
    mixed(hash.0)
}

/// FNV-1a (Fowler, Noll and Vo 1991): the same in every build.
struct Hash(u64);

impl Default for Hash {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Hash {
    fn take(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}

/// The last step of SplitMix64: all bits depend on all.
fn mixed(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use shoal_types::PeerId;

    use super::*;

    fn key(n: u64) -> RegisterKey {
        match n % 3 {
            0 => RegisterKey::Object(format!("b/{n}").parse().unwrap()),
            1 => RegisterKey::Version(format!("b/{}", n % 7).parse().unwrap(), n),
            _ => RegisterKey::Bucket(format!("bucket-{n}").parse().unwrap()),
        }
    }

    fn ballot(counter: u64) -> Ballot {
        Ballot { counter, proposer: PeerId::from_bytes([1; 32]) }
    }

    fn sums(registers: impl IntoIterator<Item = (u64, u64)>) -> Sums {
        let mut sums = Sums::default();
        for (n, counter) in registers {
            sums.add(&key(n), ballot(counter));
        }
        sums
    }

    /// The leaves that differ, by way of the branches that do.
    fn differing(one: &Sums, other: &Sums) -> Vec<u16> {
        let branches = one.differing_branches(&other.branches());
        branches.into_iter().flat_map(|branch| one.differing_leaves(branch, &other.leaves(branch))).collect()
    }

    #[test]
    fn the_same_registers_have_the_same_sums_in_whatever_order() {
        let one = sums((0..5_000).map(|n| (n, n + 7)));
        let other = sums((0..5_000).rev().map(|n| (n, n + 7)));
        assert_eq!((&one, differing(&one, &other)), (&other, vec![]));
    }

    #[test]
    fn the_leaves_of_what_differs_differ_and_no_others() {
        let ours = sums((0..5_000).map(|n| (n, 1)));
        // One is older, one is missing, one is new.
        let theirs = sums((0..5_001).filter(|n| *n != 77).map(|n| (n, if n == 8 { 0 } else { 1 })));
        let mut expected = [8, 77, 5_000].map(|n| Sums::leaf_of(&key(n)));
        expected.sort();
        assert_eq!((differing(&ours, &theirs), differing(&theirs, &ours)), (expected.to_vec(), expected.to_vec()));
    }

    #[test]
    fn registers_are_spread_over_all_branches() {
        let branches = sums((0..20_000).map(|n| (n, 1))).branches();
        assert!(branches.iter().all(|sum| *sum != 0));
    }

    #[test]
    fn an_answer_of_another_length_names_no_branch_that_is_not_there() {
        let ours = sums((0..100).map(|n| (n, 1)));
        assert_eq!(ours.differing_branches(&[]), []);
        assert!(ours.differing_branches(&vec![1; 100_000]).len() <= Sums::WIDTH);
    }
}
