//! A group of members, prepared for many lookups.

mod bar;

use std::collections::BTreeMap;
use std::ops::Range;

use bar::Bar;
use shoal_types::{Layout, Member, PeerId};

use crate::spread::Spread;
use crate::straw::{self, Straw};
use crate::{Owners, PlacementKey, first_word};

/// A group of members, prepared once for the owners of many keys: the same
/// owners as those of [`owners`](crate::owners), sooner.
///
/// Everybody's hash is computed, but only those few that reach a bar are looked
/// at further; should they not be enough, the bar is lowered. About
/// 1.5 ns per member and key, 3 ns where all weights differ, and up to three
/// times that where zones are few and one of them is small. Preparing costs as
/// much as twenty lookups with `owners`.
#[derive(Debug, Clone)]
pub struct Group {
    /// Of members that carry weight, by weight and id.
    ids: Vec<PeerId>,
    /// The first words of the ids, with which straws are drawn.
    words: Vec<u64>,
    /// Their zones, numbered from 0.
    zones: Vec<u32>,
    zone_count: usize,
    classes: Vec<Class>,
    /// From the highest on.
    bars: Vec<Bar>,
    /// The one that everybody reaches.
    lowest: Bar,
}

/// Members of one weight.
#[derive(Debug, Clone)]
struct Class {
    weight: u32,
    members: Range<usize>,
}

impl Group {
    /// The ids of `members` are distinct.
    pub fn new<'a>(members: impl IntoIterator<Item = &'a Member>) -> Self {
        let mut members: Vec<&Member> = members.into_iter().filter(|member| member.weight > 0).collect();
        members.sort_unstable_by_key(|member| (member.weight, member.id));
        let mut numbers: BTreeMap<&str, u32> = BTreeMap::new();
        let mut classes: BTreeMap<u32, Range<usize>> = BTreeMap::new();
        let mut zones = Vec::with_capacity(members.len());
        for (index, member) in members.iter().enumerate() {
            let next = numbers.len() as u32;
            zones.push(*numbers.entry(&member.zone).or_insert(next));
            classes.entry(member.weight).or_insert(index..index).end = index + 1;
        }
        let classes: Vec<Class> = classes.into_iter().map(|(weight, members)| Class { weight, members }).collect();
        Self {
            ids: members.iter().map(|member| member.id).collect(),
            words: members.iter().map(|member| first_word(member.id.as_bytes())).collect(),
            zone_count: numbers.len(),
            zones,
            bars: Bar::all(&classes),
            lowest: Bar::lowest(&classes),
            classes,
        }
    }

    /// The `replicas` owners of `key`, first choice first.
    pub fn owners(&self, key: PlacementKey, replicas: usize) -> Vec<PeerId> {
        self.owners_where(key, replicas, |_| true)
    }

    /// The owners of `key` among those members that are wanted. Few are asked
    /// about, unless a whole zone is unwanted: for that, and for many keys,
    /// prepare a group of those who are left.
    pub fn owners_where(&self, key: PlacementKey, replicas: usize, is_wanted: impl Fn(PeerId) -> bool) -> Vec<PeerId> {
        let highest = self.bars.partition_point(|bar| bar.expected < Bar::EXPECTED_PER_REPLICA * replicas);
        for bar in self.bars.iter().skip(highest).step_by(Bar::LOWERED_BY) {
            let mut drawn = self.drawn(key, bar, &is_wanted);
            let spread = self.spread(&mut drawn, replicas);
            if spread.is_complete() {
                return self.named(spread);
            }
            if drawn.len() < replicas {
                continue;
            }
            // Enough, but of too few zones: any other owner is the best of a
            // zone that none of these is in.
            let most = bar.expected << Bar::LOWERED_BY;
            let others = self.drawn_elsewhere(key, &drawn, most, &is_wanted);
            if others.len() <= most {
                drawn.extend(others);
                return self.named(self.spread(&mut drawn, replicas));
            }
        }
        self.named(self.spread(&mut self.drawn(key, &self.lowest, &is_wanted), replicas))
    }

    /// What this takes of memory, in bytes.
    pub fn memory_bytes(&self) -> usize {
        let member = size_of::<PeerId>() + size_of::<u64>() + size_of::<u32>();
        let class = size_of::<Class>() + (self.bars.len() + 1) * size_of::<u64>();
        self.ids.len() * member + self.classes.len() * class
    }

    /// The straws of all wanted members that reach the bar, in no order: a
    /// better one nobody else has.
    fn drawn(&self, key: PlacementKey, bar: &Bar, is_wanted: impl Fn(PeerId) -> bool) -> Vec<(Straw, usize)> {
        let mut drawn = Vec::with_capacity(2 * bar.expected);
        for (class, lowest) in self.classes.iter().zip(&bar.hashes) {
            for (word, index) in self.words[class.members.clone()].iter().zip(class.members.clone()) {
                let hash = straw::hash(key.0, *word);
                if hash > *lowest && is_wanted(self.ids[index]) {
                    drawn.push((self.straw(hash, class), index));
                }
            }
        }
        // Beyond the horizon somebody of another class may come sooner, who did not reach the bar.
        if let Some(horizon) = bar.horizon {
            drawn.retain(|(straw, _)| *straw < horizon);
        }
        drawn
    }

    /// The straws of all wanted members of zones that nobody `drawn` is in;
    /// should they be more than `most`, of some of them and more than `most`.
    fn drawn_elsewhere(
        &self,
        key: PlacementKey,
        drawn: &[(Straw, usize)],
        most: usize,
        is_wanted: impl Fn(PeerId) -> bool,
    ) -> Vec<(Straw, usize)> {
        let mut has_any = vec![false; self.zone_count];
        for (_, index) in drawn {
            has_any[self.zones[*index] as usize] = true;
        }
        let members = self.classes.iter().flat_map(|class| class.members.clone().map(move |index| (class, index)));
        members
            .filter(|(_, index)| !has_any[self.zones[*index] as usize] && is_wanted(self.ids[*index]))
            .take(most + 1)
            .map(|(class, index)| (self.straw(straw::hash(key.0, self.words[index]), class), index))
            .collect()
    }

    fn straw(&self, hash: u64, class: &Class) -> Straw {
        match self.classes.len() {
            1 => Straw::of_one_weight(hash),
            _ => Straw::new(hash, class.weight),
        }
    }

    /// Those who have drawn, put in rank and taken until there are enough.
    fn spread(&self, drawn: &mut [(Straw, usize)], replicas: usize) -> Spread<usize, u32> {
        drawn.sort_unstable_by(|(straw, index), (other_straw, other)| {
            straw.cmp(other_straw).then_with(|| self.ids[*index].cmp(&self.ids[*other]))
        });
        let mut spread = Spread::new(replicas, self.zone_count);
        for (_, index) in drawn {
            if spread.is_complete() {
                break;
            }
            spread.take(*index, self.zones[*index]);
        }
        spread
    }

    fn named(&self, spread: Spread<usize, u32>) -> Vec<PeerId> {
        spread.into_owners().map(|index| self.ids[index]).collect()
    }
}

/// A layout, prepared once for the owners of many keys: the same as
/// [`layout_owners`](crate::layout_owners) gives.
#[derive(Debug, Clone)]
pub struct Placement {
    /// The present members.
    pub current: Group,
    /// The members being replaced, while the layout is joint.
    pub previous: Option<Group>,
}

impl Placement {
    pub fn of(layout: &Layout) -> Self {
        Self { current: Group::new(&layout.members), previous: layout.previous.as_ref().map(Group::new) }
    }

    /// The owners of `key`: `replicas` of each group, fewer where there are fewer members.
    pub fn owners(&self, key: PlacementKey, replicas: usize) -> Owners {
        Owners {
            current: self.current.owners(key, replicas),
            previous: self.previous.as_ref().map(|group| group.owners(key, replicas)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{layout_owners, owners};

    /// `count` members, everything about them drawn from `seed`.
    fn members(seed: u64, count: usize, zones: &[u64], weights: &[u32], collide: bool) -> Vec<Member> {
        let one = |n: usize| {
            let drawn = blake3::hash(&[seed.to_le_bytes(), (n as u64).to_le_bytes()].concat());
            let mut id = *drawn.as_bytes();
            // Where the zone and the weight come from is of no account to the straws.
            let (zone, weight) = (u64::from(id[30]) << 8 | u64::from(id[31]), usize::from(id[29]));
            if collide {
                let word = u64::from(id[0]) % 5;
                id[..8].copy_from_slice(&word.to_le_bytes());
            }
            Member {
                id: PeerId::from_bytes(id),
                name: String::new(),
                // Small zones beside large ones.
                zone: zones.iter().find(|of| zone % **of == 0).map_or("rest".into(), |of| format!("zone-{of}")),
                weight: weights[weight % weights.len()],
                revision: 0,
                since: 0,
            }
        };
        (0..count).map(one).collect()
    }

    fn keys(seed: u64, count: u64) -> impl Iterator<Item = PlacementKey> {
        (seed * count..(seed + 1) * count).map(|n| PlacementKey::from_u64(n.wrapping_mul(0x9e37_79b9_7f4a_7c15)))
    }

    const ZONES: &[&[u64]] = &[&[], &[2], &[3, 2], &[100, 50, 7], &[11, 7, 5, 3, 2]];
    const WEIGHTS: &[&[u32]] =
        &[&[100], &[100, 200], &[1, 1, 1, 0], &[0], &[1, 1, 1, 1, 1, u32::MAX], &[1, 2, 3, 5, 8, 13, 1_000, 70_000]];

    /// Each mix of zones and weights, with and without ids whose first words are equal.
    fn check(counts: impl Iterator<Item = usize> + Clone, test: impl Fn(u64, &[Member])) {
        let mut seed = 0;
        for count in counts {
            for zones in ZONES {
                for weights in WEIGHTS {
                    seed += 1;
                    test(seed, &members(seed, count, zones, weights, seed % 3 == 0));
                }
            }
        }
    }

    #[test]
    fn a_prepared_group_gives_the_owners_that_its_members_give() {
        check((0..40).chain([64, 99, 200]), |seed, members| {
            let group = Group::new(members);
            for replicas in 0..=7 {
                for key in keys(seed, 6) {
                    assert_eq!(group.owners(key, replicas), owners(key, members, replicas), "seed {seed}");
                }
            }
        });
    }

    #[test]
    fn every_member_may_have_a_zone_and_a_weight_of_its_own() {
        for count in [1, 5, 40, 200] {
            let mut members = members(1, count, &[], &[1], false);
            for (n, member) in members.iter_mut().enumerate() {
                (member.zone, member.weight) = (n.to_string(), 1 + n as u32 * n as u32);
            }
            let group = Group::new(&members);
            for key in keys(1, 300) {
                assert_eq!(group.owners(key, 3), owners(key, &members, 3));
            }
        }
    }

    #[test]
    fn unwanted_members_are_as_if_they_were_not_there() {
        check([1, 7, 30, 64, 150].into_iter(), |seed, members| {
            let group = Group::new(members);
            let zone = |peer| &members.iter().find(|member| member.id == peer).unwrap().zone;
            let some: &dyn Fn(PeerId) -> bool = &|peer| peer.as_bytes()[20] % 4 > 0;
            // A whole zone is away, or all but one.
            let other_zones: &dyn Fn(PeerId) -> bool = &|peer| zone(peer) != &members[0].zone;
            let one_zone: &dyn Fn(PeerId) -> bool = &|peer| zone(peer) == &members[0].zone;
            for is_wanted in [some, other_zones, one_zone, &|_| false] {
                let wanted = || members.iter().filter(|member| is_wanted(member.id));
                for replicas in [1, 3, 5] {
                    for key in keys(seed, 4) {
                        let found = group.owners_where(key, replicas, is_wanted);
                        assert_eq!(found, owners(key, wanted(), replicas), "seed {seed}");
                    }
                }
            }
        });
    }

    #[test]
    fn a_prepared_layout_gives_the_owners_of_both_its_groups() {
        let mesh = shoal_types::MeshId::from_bytes([1; 16]);
        let mut layout = Layout::first(mesh, members(1, 1, &[], &[1], false).remove(0), 3);
        layout = layout.replaced_by(members(2, 30, &[3, 2], &[100, 200], false));
        for layout in [layout.settled(), layout] {
            let placement = Placement::of(&layout);
            for key in keys(1, 50) {
                assert_eq!(placement.owners(key, 3), layout_owners(key, &layout, 3));
            }
        }
    }

    #[test]
    fn a_bar_that_is_uneven_hides_nobody() {
        for seed in 0..50 {
            let members = members(seed, 60, &[3, 2], &[100, 150, 400], false);
            let mut group = Group::new(&members);
            let hashes = keys(seed, group.classes.len() as u64).map(|key| straw::hash(key.0, seed));
            group.bars = vec![Bar::at(30, hashes.collect(), &group.classes)];
            for key in keys(seed, 50) {
                assert_eq!(group.owners(key, 3), owners(key, &members, 3));
            }
        }
    }

    #[test]
    fn about_as_many_reach_a_bar_as_are_expected() {
        for weights in WEIGHTS.iter().filter(|weights| **weights != [0]) {
            let group = Group::new(&members(1, 2_000, &[], weights, false));
            assert!(group.bars.len() > 5);
            for bar in &group.bars {
                let reached: usize = keys(1, 100).map(|key| group.drawn(key, bar, |_| true).len()).sum();
                let expected = bar.expected * 100;
                assert!((expected / 2..expected * 3 / 2).contains(&reached), "{reached} of {expected}");
            }
        }
    }
}
