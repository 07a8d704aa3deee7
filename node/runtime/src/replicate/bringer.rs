//! Who of its holders brings a chunk.

use std::collections::BTreeSet;

use shoal_placement::Owners;
use shoal_types::PeerId;

/// Who brings a chunk to one of its `living` owners, should it lack it: the
/// first other one who is there of those who should have had it before. The
/// first of the living ones may be one who has just become an owner; all others
/// would find that it lacks the chunk, and each bring it.
pub(super) fn bringer(owners: &Owners, living: &[PeerId], away: &BTreeSet<PeerId>, lacking: PeerId) -> Option<PeerId> {
    let holders = owners.previous.as_ref().unwrap_or(&owners.current);
    let brings = |peer: &&PeerId| **peer != lacking;
    holders.iter().filter(brings).find(|peer| !away.contains(peer)).or(living.iter().find(brings)).copied()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use shoal_placement::{Group, PlacementKey};
    use shoal_types::{ChunkId, Member};

    use super::*;

    const REPLICAS: usize = 3;

    fn member(n: u8) -> Member {
        let id = PeerId::from_bytes([n; 32]);
        Member { id, name: n.to_string(), zone: format!("zone-{}", n % 4), weight: 100, revision: 0, since: 0 }
    }

    /// Of many chunks who brings them, by whether that one had a copy before.
    fn bringers(before: &[Member], now: &[Member], dead: &[PeerId]) -> (BTreeMap<PeerId, usize>, usize) {
        let (before, now) = (Group::new(before), Group::new(now));
        let away = dead.iter().copied().collect();
        let (mut brought, mut strangers) = (BTreeMap::new(), 0);
        for key in 0..4_000u64 {
            let key = PlacementKey::of_chunk(ChunkId::of(&key.to_le_bytes()));
            let (had, current) = (before.owners(key, REPLICAS), now.owners(key, REPLICAS));
            let living = now.owners_where(key, REPLICAS, |peer| !dead.contains(&peer));
            if living.iter().all(|owner| had.contains(owner)) {
                continue;
            }
            let previous = (had != current).then(|| had.clone());
            let lacking = *living.iter().find(|owner| !had.contains(owner)).unwrap();
            let bringer = bringer(&Owners { current, previous }, &living, &away, lacking).unwrap();
            assert!(!dead.contains(&bringer) && bringer != lacking);
            strangers += usize::from(!had.contains(&bringer));
            *brought.entry(bringer).or_default() += 1;
        }
        (brought, strangers)
    }

    fn check_even(brought: &BTreeMap<PeerId, usize>, count: usize) {
        assert_eq!(brought.len(), count, "{brought:?}");
        let (least, most) = (brought.values().min().unwrap(), brought.values().max().unwrap());
        // Those of its own zone seldom have what it is to have.
        assert!(most < &(least * 5), "{brought:?}");
    }

    #[test]
    fn what_a_dead_peer_had_is_brought_by_all_others_alike_who_have_it() {
        let members: Vec<Member> = (0..12).map(member).collect();
        let (brought, strangers) = bringers(&members, &members, &[members[5].id]);
        assert_eq!(strangers, 0);
        // Of three zones there are nine; the other two are of its own.
        check_even(&brought, 9);
    }

    /// Once it was its first owner, also where that one lacked it: nobody
    /// brought it before all others did.
    #[test]
    fn what_its_first_owner_has_lost_the_next_one_brings() {
        let peer = |n| PeerId::from_bytes([n; 32]);
        let owners = Owners { current: vec![peer(1), peer(2), peer(3)], previous: None };
        let brings = |away: &[u8], lacking: u8| {
            let away: BTreeSet<PeerId> = away.iter().copied().map(peer).collect();
            let living: Vec<PeerId> = owners.current.iter().copied().filter(|peer| !away.contains(peer)).collect();
            bringer(&owners, &living, &away, peer(lacking))
        };
        assert_eq!((brings(&[], 2), brings(&[], 1)), (Some(peer(1)), Some(peer(2))));
        assert_eq!((brings(&[2], 1), brings(&[2, 3], 1)), (Some(peer(3)), None));
    }

    #[test]
    fn a_newcomer_brings_nothing_to_itself_and_is_brought_to_by_all_alike() {
        let members: Vec<Member> = (0..13).map(member).collect();
        let (brought, strangers) = bringers(&members[..12], &members, &[]);
        assert_eq!(strangers, 0);
        check_even(&brought, 12);
    }
}
