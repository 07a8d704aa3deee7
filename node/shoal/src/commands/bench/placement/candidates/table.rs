use std::cell::RefCell;
use std::collections::BTreeMap;

use shoal_placement::{Group, PlacementKey};
use shoal_types::{Member, PeerId};

use super::{Candidate, Zoned, word};

/// Partitions for each member, so that each member has about its share of them.
const PARTITIONS_PER_MEMBER: usize = 64;

/// How much more than its share of partitions a member may hold where that is bounded.
const BOUND: f64 = 1.05;

/// Partitions whose owners are found beforehand, by rendezvous; a key belongs
/// to a partition by its first bits. A lookup reads one entry.
pub(in super::super) struct Table {
    members: Zoned,
    partition_bits: u32,
    replicas: usize,
    /// The owners of each partition, one partition after the other.
    owners: Vec<u32>,
}

impl Table {
    pub(in super::super) fn new(members: &[Member], replicas: usize) -> Self {
        Self::placed(members, replicas, |group, key, replicas| group.owners(key, replicas))
    }

    /// One in which nobody holds much more than its share: a partition passes
    /// over those who are full (bounded loads: Mirrokni, Thorup and
    /// Zadimoghaddam, 2018).
    pub(in super::super) fn bounded(members: &[Member], replicas: usize) -> Self {
        let weight: f64 = members.iter().map(|member| f64::from(member.weight)).sum();
        let copies = (partitions(members.len()) * replicas) as f64;
        let room = |member: &Member| (copies * f64::from(member.weight) / weight * BOUND).ceil();
        let room = RefCell::new(members.iter().map(|member| (member.id, room(member))).collect::<BTreeMap<_, _>>());
        Self::placed(members, replicas, |group, key, replicas| {
            let has_room = |peer| room.borrow().get(&peer).is_some_and(|room| *room > 0.0);
            let mut owners = group.owners_where(key, replicas, has_room);
            // So many are full that too few are left.
            let others = group.owners_where(key, replicas, |peer| !owners.contains(&peer));
            owners.extend(others.into_iter().take(replicas - owners.len()));
            for owner in &owners {
                room.borrow_mut().entry(*owner).and_modify(|room| *room -= 1.0);
            }
            owners
        })
    }

    fn placed(members: &[Member], replicas: usize, place: impl Fn(&Group, PlacementKey, usize) -> Vec<PeerId>) -> Self {
        let group = Group::new(members);
        let zoned = Zoned::new(members);
        let numbers: BTreeMap<PeerId, u32> = zoned.ids.iter().copied().zip(0..).collect();
        let partitions = partitions(zoned.ids.len());
        let replicas = replicas.min(zoned.ids.len());
        let mut owners = Vec::with_capacity(partitions * replicas);
        for partition in 0..partitions as u64 {
            let key = PlacementKey::from_u64(word(&partition.to_le_bytes()));
            owners.extend(place(&group, key, replicas).iter().filter_map(|owner| numbers.get(owner)));
        }
        Self { members: zoned, partition_bits: partitions.trailing_zeros(), replicas, owners }
    }
}

/// A power of two, so that members that come hardly ever change it.
fn partitions(members: usize) -> usize {
    (members * PARTITIONS_PER_MEMBER).next_power_of_two().max(2)
}

impl Candidate for Table {
    fn owners(&self, key: u64, replicas: usize) -> Vec<PeerId> {
        let first = (key >> (u64::BITS - self.partition_bits)) as usize * self.replicas;
        let owners = &self.owners[first..first + replicas.min(self.replicas)];
        owners.iter().map(|index| self.members.ids[*index as usize]).collect()
    }

    fn memory_bytes(&self) -> usize {
        self.members.memory_bytes() + self.owners.len() * size_of::<u32>()
    }
}
