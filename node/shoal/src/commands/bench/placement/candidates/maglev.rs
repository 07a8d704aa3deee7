use shoal_types::{Member, PeerId};

use super::{Candidate, Zoned, draw};

/// Entries: a prime, a hundred times as many as the most members there are to be, about.
const ENTRIES: u64 = 65_537;

/// No member yet.
const FREE: u32 = u32::MAX;

/// The lookup table of Maglev (Eisenbud et al., 2016): members take entries in
/// turns, each in an order of its own, the heavier the more often. Further
/// owners are those of the entries that follow.
pub(in super::super) struct Maglev {
    members: Zoned,
    entries: Vec<u32>,
}

impl Maglev {
    pub(in super::super) fn new(members: &[Member]) -> Self {
        let mut members = members.to_vec();
        members.sort_by_key(|member| member.id);
        let members = Zoned::new(&members);
        let heaviest = members.weights.iter().copied().max().unwrap_or(0);
        let mut orders: Vec<Order> = members.ids.iter().map(|id| Order::of(*id)).collect();
        let mut credits = vec![0u64; orders.len()];
        let mut entries = vec![FREE; if orders.is_empty() { 0 } else { ENTRIES as usize }];
        let mut free = entries.len();
        while free > 0 {
            for (index, order) in orders.iter_mut().enumerate() {
                credits[index] += u64::from(members.weights[index]);
                if credits[index] < u64::from(heaviest) || free == 0 {
                    continue;
                }
                credits[index] -= u64::from(heaviest);
                while entries[order.at as usize] != FREE {
                    order.advance();
                }
                entries[order.at as usize] = index as u32;
                free -= 1;
            }
        }
        Self { members, entries }
    }
}

/// All entries, in an order that is a member's own.
struct Order {
    at: u64,
    step: u64,
}

impl Order {
    fn of(id: PeerId) -> Self {
        Self { at: draw(id, 0) % ENTRIES, step: 1 + draw(id, 1) % (ENTRIES - 1) }
    }

    fn advance(&mut self) {
        self.at = (self.at + self.step) % ENTRIES;
    }
}

impl Candidate for Maglev {
    fn owners(&self, key: u64, replicas: usize) -> Vec<PeerId> {
        let (before, after) = self.entries.split_at((key % ENTRIES) as usize % self.entries.len().max(1));
        self.members.spread(after.iter().chain(before).copied(), replicas)
    }

    fn memory_bytes(&self) -> usize {
        self.members.memory_bytes() + self.entries.len() * size_of::<u32>()
    }
}
