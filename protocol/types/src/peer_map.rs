//! Something for each of many peers, found fast.

use std::hash::{BuildHasherDefault, Hasher};

use indexmap::IndexMap;

use crate::PeerId;

/// A map by peer, for the tables that every message is looked up in: in a mesh
/// of thousands an ordered map takes a dozen cache misses where this takes
/// three. It is iterated in the order of insertion (a removal puts the last
/// one in the gap): the same in each run that does the same.
pub type PeerMap<V> = IndexMap<PeerId, V, BuildHasherDefault<PeerIdHasher>>;

/// Takes a word of the id as it is: ids are public keys, as good as random.
/// Somebody admitted who makes up many alike makes searches slower, for
/// a work that doubles with each further bit.
#[derive(Debug, Clone, Copy, Default)]
pub struct PeerIdHasher(u64);

impl Hasher for PeerIdHasher {
    fn write(&mut self, bytes: &[u8]) {
        let word = bytes.last_chunk().copied().map(u64::from_le_bytes);
        self.0 ^= word.unwrap_or_else(|| bytes.iter().fold(self.0, |sum, byte| sum << 8 ^ u64::from(*byte)));
    }

    /// The length of the id, always the same.
    fn write_usize(&mut self, _: usize) {}

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_peers_are_found_again_and_iterated_as_they_came() {
        let id = |n: u32| PeerId::from_bytes(*blake3::hash(&n.to_le_bytes()).as_bytes());
        let mut map: PeerMap<u32> = (0..5_000).map(|n| (id(n), n)).collect();
        assert!((0..5_000).all(|n| map.get(&id(n)) == Some(&n)) && map.get(&id(5_000)).is_none());
        assert!(map.values().copied().eq(0..5_000));
        assert_eq!(map.swap_remove(&id(7)), Some(7));
        assert_eq!(map.get_index(7).map(|(_, n)| *n), Some(4_999));
        // Ids that are alike are told apart all the same.
        let alike: PeerMap<u8> = (0..9)
            .map(|n| {
                let mut bytes = [0; 32];
                bytes[0] = n;
                (PeerId::from_bytes(bytes), n)
            })
            .collect();
        assert_eq!(alike.len(), 9);
    }
}
