//! Ways to place keys on members, behind one trait.

mod maglev;
mod ring;
mod table;

pub(super) use maglev::Maglev;
pub(super) use ring::Ring;
use shoal_placement::{Group, PlacementKey};
use shoal_types::{Member, PeerId};
pub(super) use table::Table;

/// The weight of a member that nobody has given another.
pub(super) const USUAL_WEIGHT: u32 = 100;

/// A way to place keys, prepared for some members.
pub(super) trait Candidate {
    /// The `replicas` owners of a key, in distinct zones while there are enough.
    fn owners(&self, key: u64, replicas: usize) -> Vec<PeerId>;

    fn memory_bytes(&self) -> usize;
}

/// What is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Weighted rendezvous over zones: the one in use.
    Rendezvous,
    /// A ring with so many virtual nodes for each member of the usual weight.
    Ring(u32),
    /// Partitions, placed by rendezvous beforehand.
    Table,
    /// Partitions, placed by rendezvous on members that are not full yet.
    BoundedTable,
    Maglev,
}

impl Kind {
    pub(super) const ALL: [Self; 6] =
        [Self::Rendezvous, Self::Ring(64), Self::Ring(256), Self::Table, Self::BoundedTable, Self::Maglev];

    pub(super) fn name(self) -> String {
        match self {
            Self::Rendezvous => "rendezvous".into(),
            Self::Ring(nodes) => format!("ring, {nodes}"),
            Self::Table => "table".into(),
            Self::BoundedTable => "table, bounded".into(),
            Self::Maglev => "maglev".into(),
        }
    }

    pub(super) fn prepare(self, members: &[Member], replicas: usize) -> Box<dyn Candidate> {
        match self {
            Self::Rendezvous => Box::new(Group::new(members)),
            Self::Ring(nodes) => Box::new(Ring::new(members, nodes)),
            Self::Table => Box::new(Table::new(members, replicas)),
            Self::BoundedTable => Box::new(Table::bounded(members, replicas)),
            Self::Maglev => Box::new(Maglev::new(members)),
        }
    }
}

impl Candidate for Group {
    fn owners(&self, key: u64, replicas: usize) -> Vec<PeerId> {
        Group::owners(self, PlacementKey::from_u64(key), replicas)
    }

    fn memory_bytes(&self) -> usize {
        Group::memory_bytes(self)
    }
}

/// Members that carry weight, and the number of each one's zone.
struct Zoned {
    ids: Vec<PeerId>,
    weights: Vec<u32>,
    zones: Vec<u32>,
    zone_count: usize,
}

impl Zoned {
    fn new(members: &[Member]) -> Self {
        let members: Vec<&Member> = members.iter().filter(|member| member.weight > 0).collect();
        let mut names: Vec<&str> = members.iter().map(|member| member.zone.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        let number = |member: &&Member| names.binary_search(&member.zone.as_str()).unwrap_or_default() as u32;
        Self {
            ids: members.iter().map(|member| member.id).collect(),
            weights: members.iter().map(|member| member.weight).collect(),
            zones: members.iter().map(number).collect(),
            zone_count: names.len(),
        }
    }

    /// The first `replicas` of a walk, in distinct zones while there are
    /// enough. A walk may come upon a member again.
    fn spread(&self, walk: impl Iterator<Item = u32>, replicas: usize) -> Vec<PeerId> {
        let replicas = replicas.min(self.ids.len());
        let (mut chosen, mut passed_over) = (Vec::with_capacity(replicas), Vec::new());
        for index in walk {
            let zone = |index: u32| self.zones[index as usize];
            if !chosen.iter().any(|other| zone(*other) == zone(index)) {
                chosen.push(index);
            } else if !chosen.contains(&index) && !passed_over.contains(&index) && passed_over.len() < replicas {
                passed_over.push(index);
            }
            let is_spread = chosen.len() >= replicas.min(self.zone_count);
            if is_spread && chosen.len() + passed_over.len() >= replicas {
                break;
            }
        }
        chosen.into_iter().chain(passed_over).take(replicas).map(|index| self.ids[index as usize]).collect()
    }

    fn memory_bytes(&self) -> usize {
        self.ids.len() * (size_of::<PeerId>() + 2 * size_of::<u32>())
    }
}

/// A word drawn from a member and a number.
fn draw(id: PeerId, number: u64) -> u64 {
    word(&[&id.as_bytes()[..], &number.to_le_bytes()].concat())
}

/// A word drawn from bytes.
pub(super) fn word(bytes: &[u8]) -> u64 {
    blake3::hash(bytes).as_bytes().first_chunk().copied().map_or(0, u64::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use super::super::figures::members;
    use super::*;

    fn keys(count: u64) -> impl Iterator<Item = u64> {
        (0..count).map(|n| word(&n.to_le_bytes()))
    }

    #[test]
    fn owners_are_distinct_and_in_distinct_zones() {
        for (count, zones) in [(0, 1), (1, 1), (2, 2), (4, 1), (5, 2), (9, 3), (20, 10)] {
            let members = members(count, zones);
            for kind in Kind::ALL {
                let candidate = kind.prepare(&members, 3);
                for key in keys(50) {
                    let owners = candidate.owners(key, 3);
                    let distinct = |mut all: Vec<String>| {
                        all.sort();
                        all.dedup();
                        all.len()
                    };
                    let zone = |peer: &PeerId| members.iter().find(|member| member.id == *peer).unwrap().zone.clone();
                    assert_eq!(owners.len(), 3.min(count), "{kind:?}");
                    assert_eq!(distinct(owners.iter().map(PeerId::to_string).collect()), owners.len(), "{kind:?}");
                    assert_eq!(distinct(owners.iter().map(zone).collect()), 3.min(count).min(zones), "{kind:?}");
                }
            }
        }
    }

    #[test]
    fn a_member_without_weight_owns_nothing() {
        let mut members = members(8, 4);
        members[3].weight = 0;
        for kind in Kind::ALL {
            let candidate = kind.prepare(&members, 3);
            assert!(keys(300).all(|key| !candidate.owners(key, 3).contains(&members[3].id)), "{kind:?}");
        }
    }

    #[test]
    fn a_member_of_double_weight_has_about_twice_as_much() {
        let mut members = members(10, 10);
        members[3].weight *= 2;
        for kind in Kind::ALL {
            let candidate = kind.prepare(&members, 1);
            let share = keys(11_000).filter(|key| candidate.owners(*key, 1) == [members[3].id]).count();
            assert!((1_500..2_500).contains(&share), "{kind:?}: {share} of 2,000");
        }
    }

    #[test]
    fn every_order_of_members_gives_the_same_owners() {
        let members = members(12, 4);
        let reversed: Vec<Member> = members.iter().rev().cloned().collect();
        for kind in Kind::ALL {
            let (one, other) = (kind.prepare(&members, 3), kind.prepare(&reversed, 3));
            assert!(keys(200).all(|key| one.owners(key, 3) == other.owners(key, 3)), "{kind:?}");
        }
    }
}
