use shoal_types::{Member, PeerId};

use super::{Candidate, USUAL_WEIGHT, Zoned, draw};

/// Consistent hashing (Karger et al., 1997): each member stands at as many
/// points of a ring as its weight says; a key belongs to whoever comes next.
pub(in super::super) struct Ring {
    members: Zoned,
    /// Places and who stands there, in order.
    points: Vec<(u64, u32)>,
}

impl Ring {
    /// With `nodes` points for a member of the usual weight.
    pub(in super::super) fn new(members: &[Member], nodes: u32) -> Self {
        let members = Zoned::new(members);
        let mut points = Vec::new();
        for (index, (id, weight)) in members.ids.iter().zip(&members.weights).enumerate() {
            let count = (u64::from(nodes) * u64::from(*weight)).div_ceil(u64::from(USUAL_WEIGHT));
            points.extend((0..count).map(|number| (draw(*id, number), index as u32)));
        }
        points.sort_unstable();
        Self { members, points }
    }
}

impl Candidate for Ring {
    fn owners(&self, key: u64, replicas: usize) -> Vec<PeerId> {
        let (before, after) = self.points.split_at(self.points.partition_point(|(place, _)| *place < key));
        self.members.spread(after.iter().chain(before).map(|(_, index)| *index), replicas)
    }

    fn memory_bytes(&self) -> usize {
        self.members.memory_bytes() + self.points.len() * size_of::<(u64, u32)>()
    }
}
