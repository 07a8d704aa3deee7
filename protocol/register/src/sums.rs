//! What acceptors compare in [`Sums`](shoal_types::Sums), to find registers
//! that one of them holds an older value of.
//!
//! By a hash of its key a register has one of the leaves; what it adds is a
//! hash of key and accepted ballot. Nobody is kept from choosing names whose
//! sums meet by accident: what comes of it is that a difference is found
//! later, when either of them is changed.

use shoal_types::{Ballot, RegisterKey};

/// The leaf that a register belongs to.
pub fn leaf_of(key: &RegisterKey) -> u16 {
    (bits_of(key) >> 48) as u16
}

/// What a register adds to it.
pub fn hash_of(key: &RegisterKey, accepted: Ballot) -> u64 {
    let mut ballot = Hash::default();
    ballot.take(&accepted.counter.to_le_bytes());
    ballot.take(accepted.proposer.as_bytes());
    mixed(bits_of(key) ^ ballot.0.rotate_left(32))
}

/// All bits of a key.
fn bits_of(key: &RegisterKey) -> u64 {
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
    use shoal_types::{PeerId, Sums};

    use super::*;

    fn key(n: u64) -> RegisterKey {
        match n % 3 {
            0 => RegisterKey::Object(format!("b/{n}").parse().unwrap()),
            1 => RegisterKey::Version(format!("b/{}", n % 7).parse().unwrap(), n),
            _ => RegisterKey::Bucket(format!("bucket-{n}").parse().unwrap()),
        }
    }

    fn sums(registers: impl IntoIterator<Item = (u64, u64)>) -> Sums {
        let mut sums = Sums::new();
        for (n, counter) in registers {
            let ballot = Ballot { counter, proposer: PeerId::from_bytes([1; 32]) };
            sums.add(leaf_of(&key(n)), hash_of(&key(n), ballot));
        }
        sums
    }

    #[test]
    fn a_register_with_another_ballot_and_one_that_is_missing_show_in_their_leaves() {
        let ours = sums((0..5_000).map(|n| (n, 1)));
        let theirs = sums((0..5_001).filter(|n| *n != 77).map(|n| (n, if n == 8 { 0 } else { 1 })));
        let branches = ours.differing_branches(&theirs.branches()).into_iter();
        let leaves = branches.flat_map(|branch| ours.differing_leaves(branch, &theirs.leaves(branch)));
        let mut expected = [8, 77, 5_000].map(|n| leaf_of(&key(n)));
        expected.sort();
        assert_eq!(leaves.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn registers_are_spread_over_all_branches() {
        let branches = sums((0..20_000).map(|n| (n, 1))).branches();
        assert!(branches.iter().all(|sum| *sum != 0));
    }
}
