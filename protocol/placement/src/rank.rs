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
}

/// Members of one weight, the highest hash on top.
type Class = BinaryHeap<(u64, Reverse<PeerId>, usize)>;

/// Where a member stands: its class, and its index among all.
type Place = (usize, usize);

impl<'a> Ranked<'a> {
    pub(crate) fn new(key: PlacementKey, members: impl IntoIterator<Item = &'a Member>) -> Self {
        let members: Vec<&Member> = members.into_iter().filter(|member| member.weight > 0).collect();
        let mut classes: BTreeMap<u32, Vec<(u64, Reverse<PeerId>, usize)>> = BTreeMap::new();
        for (index, member) in members.iter().enumerate() {
            let hash = straw::hash(key.0, first_word(member.id.as_bytes()));
            classes.entry(member.weight).or_default().push((hash, Reverse(member.id), index));
        }
        let classes: Vec<Class> = classes.into_values().map(BinaryHeap::from).collect();
        let mut ranked = Self { members, heads: BinaryHeap::with_capacity(classes.len()), classes };
        for class in 0..ranked.classes.len() {
            ranked.draw(class);
        }
        ranked
    }

    fn draw(&mut self, class: usize) {
        if let Some((hash, Reverse(id), index)) = self.classes[class].pop() {
            let straw = Straw::new(hash, self.members[index].weight);
            self.heads.push(Reverse((straw, id, (class, index))));
        }
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
    fn the_order_is_that_of_the_straws() {
        let members: Vec<Member> = (0..200u8)
            .map(|n| Member {
                id: PeerId::from_bytes([n.wrapping_mul(37); 32]),
                name: String::new(),
                zone: String::new(),
                weight: [0, 1, 50, 50, 51, u32::MAX][usize::from(n) % 6],
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
