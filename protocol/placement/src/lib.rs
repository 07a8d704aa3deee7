//! Layout and key to owners, by weighted rendezvous hashing over zones.
//!
//! Every peer that knows the same members computes the same owners without
//! asking anybody. Each member draws a straw for the key, the longer the
//! heavier it is (Thaler and Ravishankar, *Using name-based mappings to
//! increase hit rates*, 1998; weights as in Ceph's straw2); the longest straws
//! own it, in distinct zones while there are enough. When a member comes or
//! goes, only the keys that it wins or held move.
//!
//! Why this: of 1,000 peers with 3,000 copies each in ten zones the fullest
//! holds 1.05 times the mean (a ring with 256 virtual nodes each: 1.16; with
//! 64: 1.28), and one that joins moves what it then holds and nothing else (a
//! Maglev table of 65,537 entries: 8 times that; partitions with bounded
//! loads: 1.4). A prepared [`Group`] takes 44 KB and about 2 us for a lookup,
//! and 0.1 ms to prepare; a ring is looked up in 0.2 us, but takes 1 MB to 4 MB.
//! `shoal bench placement` measures it.
//!
//! All arithmetic is on integers: a logarithm in floating point may differ in
//! its last bit between two machines, and then so would the owners.

mod beyond;
mod group;
mod most;
mod rank;
mod spread;
mod straw;

pub use beyond::is_beyond;
pub use group::{Group, Placement};
pub use most::most_owners_among;
use rank::Ranked;
use shoal_types::{ChunkId, Layout, Member, PeerId};
use spread::Spread;

/// What is placed: 64 bits drawn from the hash of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PlacementKey(u64);

impl PlacementKey {
    pub fn of_chunk(chunk: ChunkId) -> Self {
        Self(first_word(chunk.as_bytes()))
    }

    pub fn of_name(name: &str) -> Self {
        Self(first_word(blake3::hash(name.as_bytes()).as_bytes()))
    }

    pub const fn from_u64(word: u64) -> Self {
        Self(word)
    }
}

/// The owners of a key in a layout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owners {
    /// Those of the present members, first choice first.
    pub current: Vec<PeerId>,
    /// Those of the members being replaced, while the layout is joint.
    pub previous: Option<Vec<PeerId>>,
}

impl Owners {
    /// Everyone who may hold the key, present owners first, each once.
    pub fn all(&self) -> Vec<PeerId> {
        let mut all = self.current.clone();
        for peer in self.previous.iter().flatten() {
            if !all.contains(peer) {
                all.push(*peer);
            }
        }
        all
    }

    /// The sets in each of which a register needs a majority.
    pub fn groups(&self) -> Vec<Vec<PeerId>> {
        std::iter::once(self.current.clone()).chain(self.previous.clone()).collect()
    }

    pub fn contains(&self, peer: PeerId) -> bool {
        self.current.contains(&peer) || self.previous.iter().flatten().any(|owner| *owner == peer)
    }
}

/// The owners of `key` in `layout`: `replicas` of each group, fewer where
/// there are fewer members. About 10 ns per member; for many keys prepare a
/// [`Placement`].
pub fn layout_owners(key: PlacementKey, layout: &Layout, replicas: usize) -> Owners {
    Owners {
        current: owners(key, &layout.members, replicas),
        previous: layout.previous.as_deref().map(|members| owners(key, members, replicas)),
    }
}

/// The `replicas` owners of `key` among `members`, first choice first. For many
/// keys prepare a [`Group`].
pub fn owners<'a>(key: PlacementKey, members: impl IntoIterator<Item = &'a Member>, replicas: usize) -> Vec<PeerId> {
    let mut ranked = Ranked::new(key, members);
    let mut spread = Spread::new(replicas, ranked.zones(replicas));
    while !spread.is_complete()
        && let Some(member) = ranked.next()
    {
        spread.take(member, member.zone.as_str());
    }
    spread.into_owners().map(|member| member.id).collect()
}

/// All members that carry weight, the best for `key` first.
pub fn rank<'a>(key: PlacementKey, members: impl IntoIterator<Item = &'a Member>) -> Vec<&'a Member> {
    Ranked::new(key, members).collect()
}

fn first_word(bytes: &[u8; 32]) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[..8]);
    u64::from_le_bytes(word)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn members(count: u8, zones: u8, weight: impl Fn(u8) -> u32) -> Vec<Member> {
        (0..count)
            .map(|n| Member {
                id: PeerId::from_bytes(*blake3::hash(&[n]).as_bytes()),
                name: format!("peer-{n}"),
                zone: format!("zone-{}", n % zones),
                weight: weight(n),
                revision: 0,
                since: 0,
            })
            .collect()
    }

    fn keys(count: u64) -> impl Iterator<Item = PlacementKey> {
        (0..count).map(|n| PlacementKey::of_name(&format!("key {n}")))
    }

    fn shares(members: &[Member], replicas: usize, count: u64) -> BTreeMap<PeerId, u64> {
        let mut shares = BTreeMap::new();
        for key in keys(count) {
            for owner in owners(key, members, replicas) {
                *shares.entry(owner).or_default() += 1;
            }
        }
        shares
    }

    #[test]
    fn owners_are_distinct_and_as_many_as_there_can_be() {
        for count in 0..8 {
            let members = members(count, 8, |_| 1);
            for key in keys(50) {
                let mut owners = owners(key, &members, 3);
                assert_eq!(owners.len(), 3.min(usize::from(count)));
                owners.sort();
                owners.dedup();
                assert_eq!(owners.len(), 3.min(usize::from(count)));
            }
        }
    }

    #[test]
    fn the_largest_share_is_within_a_tenth_of_the_mean() {
        let shares = shares(&members(10, 10, |_| 100), 3, 10_000);
        let mean = 3 * 10_000 / 10;
        let largest = *shares.values().max().unwrap();
        assert!(largest <= mean * 11 / 10, "{largest} of a mean of {mean}");
    }

    #[test]
    fn a_share_follows_the_weight() {
        let members = members(10, 10, |n| if n == 0 { 200 } else { 100 });
        let shares = shares(&members, 1, 20_000);
        let heavy = shares[&members[0].id] as f64;
        let light = (20_000.0 - heavy) / 9.0;
        assert!((1.8..2.2).contains(&(heavy / light)), "{}", heavy / light);
    }

    #[test]
    fn a_member_without_weight_owns_nothing() {
        let members = members(4, 4, |n| u32::from(n != 2));
        assert!(!shares(&members, 3, 200).contains_key(&members[2].id));
    }

    #[test]
    fn replicas_go_to_distinct_zones_while_there_are_enough() {
        let members = members(9, 3, |_| 1);
        let zone = |id| members.iter().find(|member| member.id == id).unwrap().zone.clone();
        for key in keys(200) {
            let mut zones: Vec<String> = owners(key, &members, 3).into_iter().map(zone).collect();
            zones.sort();
            zones.dedup();
            assert_eq!(zones.len(), 3);
        }
    }

    #[test]
    fn only_what_a_leaving_member_held_moves() {
        let before = members(10, 10, |_| 1);
        let after: Vec<Member> = before[1..].to_vec();
        for key in keys(2_000) {
            let had = owners(key, &before, 3);
            let has = owners(key, &after, 3);
            let kept = had.iter().filter(|peer| has.contains(peer)).count();
            assert_eq!(kept, if had.contains(&before[0].id) { 2 } else { 3 });
        }
    }

    #[test]
    fn a_joining_member_takes_its_share_and_nothing_else_moves() {
        let shapes: &[(u8, u8, &[u32])] =
            &[(10, 11, &[100]), (29, 6, &[100]), (19, 10, &[100, 200]), (39, 10, &[100, 150, 50, 400])];
        for (count, zones, weights) in shapes {
            // Zones of about the same weight: a heavier one would have less than its share.
            let after = members(count + 1, *zones, |n| weights[usize::from(n / zones) % weights.len()]);
            let (newcomer, before) = after.split_last().unwrap();
            let (had, has) = (Group::new(before), Group::new(&after));
            let mut moved = 0;
            for key in keys(30_000) {
                let (had, has) = (had.owners(key, 3), has.owners(key, 3));
                let new: Vec<&PeerId> = has.iter().filter(|peer| !had.contains(peer)).collect();
                assert!(new.is_empty() || new == [&newcomer.id]);
                moved += new.len();
            }
            let weight: f64 = after.iter().map(|member| f64::from(member.weight)).sum();
            let share = 90_000.0 * f64::from(newcomer.weight) / weight;
            assert!((moved as f64) < share * 1.05, "{moved} of {share} with {count} members in {zones} zones");
        }
    }

    #[test]
    fn the_same_layout_gives_the_same_owners_forever() {
        // Data on disk is found by these: a change of the function is a
        // change of format, and must be made on purpose.
        let members = members(5, 5, |n| 100 + u32::from(n));
        let digest =
            keys(100).flat_map(|key| owners(key, &members, 3)).fold(blake3::Hasher::new(), |mut hash, peer| {
                hash.update(peer.as_bytes());
                hash
            });
        assert_eq!(&digest.finalize().to_hex()[..16], "0cd8e1994c551f31");
    }
}
