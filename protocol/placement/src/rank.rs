//! The order in which members come for a key.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use shoal_types::{Member, PeerId};

use crate::straw::{self, Straw};
use crate::{PlacementKey, first_word};

/// Members that carry weight, the best for a key first.
///
/// A straw's length is dear to compute and, among members of one weight, in
/// the order of its hash: so it is computed for the first of each weight only.
/// Many members of few weights cost about 10 ns each.
pub(crate) struct Ranked<'a> {
    members: Vec<&'a Member>,
    classes: Vec<Class>,
    /// The best that is left of each class.
    heads: BinaryHeap<Reverse<(Straw, PeerId, Place)>>,
    /// Drawn with another of the same hash, and put back.
    later: Vec<(u64, usize)>,
}

/// Members of one weight by hash and index, the highest hash on top.
type Class = BinaryHeap<(u64, usize)>;

/// Where a member stands: its class, and its index among all.
type Place = (usize, usize);

impl<'a> Ranked<'a> {
    pub(crate) fn new(key: PlacementKey, members: impl IntoIterator<Item = &'a Member>) -> Self {
        let members: Vec<&Member> = members.into_iter().filter(|member| member.weight > 0).collect();
        let mut classes: BTreeMap<u32, Vec<(u64, usize)>> = BTreeMap::new();
        for (index, member) in members.iter().enumerate() {
            let hash = straw::hash(key.0, first_word(member.id.as_bytes()));
            classes.entry(member.weight).or_default().push((hash, index));
        }
        let classes: Vec<Class> = classes.into_values().map(BinaryHeap::from).collect();
        let mut ranked = Self { members, heads: BinaryHeap::with_capacity(classes.len()), classes, later: Vec::new() };
        for class in 0..ranked.classes.len() {
            ranked.draw(class);
        }
        ranked
    }

    fn draw(&mut self, class: usize) {
        let Some((hash, mut index)) = self.classes[class].pop() else {
            return;
        };
        // Of the same hash, which hardly ever happens, the smaller id comes first.
        while let Some((_, other)) = self.classes[class].peek().copied().filter(|(other, _)| *other == hash) {
            self.classes[class].pop();
            let (first, second) =
                if self.members[other].id < self.members[index].id { (other, index) } else { (index, other) };
            index = first;
            self.later.push((hash, second));
        }
        self.classes[class].extend(self.later.drain(..));
        let member = self.members[index];
        self.heads.push(Reverse((Straw::new(hash, member.weight), member.id, (class, index))));
    }

    /// In how many zones they are, counted up to `most`.
    pub(crate) fn zones(&self, most: usize) -> usize {
        let mut zones: Vec<&str> = Vec::with_capacity(most);
        for member in &self.members {
            if zones.len() >= most {
                break;
            }
            if !zones.contains(&member.zone.as_str()) {
                zones.push(&member.zone);
            }
        }
        zones.len()
    }
}

impl<'a> Iterator for Ranked<'a> {
    type Item = &'a Member;

    fn next(&mut self) -> Option<&'a Member> {
        let Reverse((_, _, (class, index))) = self.heads.pop()?;
        self.draw(class);
        Some(self.members[index])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_the_same_hash_the_smaller_id_comes_first() {
        // The hash sees the first eight bytes only.
        let members: Vec<Member> = [3u8, 1, 2]
            .map(|last| {
                let mut id = [7; 32];
                id[31] = last;
                Member {
                    id: PeerId::from_bytes(id),
                    name: String::new(),
                    zone: String::new(),
                    weight: 1,
                    revision: 0,
                    since: 0,
                }
            })
            .into();
        let ranked: Vec<u8> = Ranked::new(PlacementKey(5), &members).map(|member| member.id.as_bytes()[31]).collect();
        assert_eq!(ranked, [1, 2, 3]);
    }

    #[test]
    fn the_order_is_that_of_the_straws() {
        let members: Vec<Member> = (0..200u8)
            .map(|n| Member {
                id: PeerId::from_bytes([n.wrapping_mul(37); 32]),
                name: String::new(),
                zone: String::new(),
                weight: [0, 1, 50, 50, 51, u32::MAX][usize::from(n) % 6],
                revision: 0,
                since: 0,
            })
            .collect();
        for key in 0..100 {
            let mut drawn: Vec<(Straw, PeerId)> = members
                .iter()
                .filter(|member| member.weight > 0)
                .map(|member| {
                    let hash = straw::hash(key, first_word(member.id.as_bytes()));
                    (Straw::new(hash, member.weight), member.id)
                })
                .collect();
            drawn.sort();
            let ranked: Vec<PeerId> = Ranked::new(PlacementKey(key), &members).map(|member| member.id).collect();
            assert_eq!(ranked, drawn.into_iter().map(|(_, id)| id).collect::<Vec<_>>());
        }
    }
}
