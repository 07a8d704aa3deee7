use std::collections::BTreeSet;

use shoal_types::PeerId;

/// The groups of acceptors in each of which a majority is needed.
#[derive(Debug, Clone)]
pub(crate) struct Quorum {
    groups: Vec<BTreeSet<PeerId>>,
    /// A planted bug: one answer per group is taken for a majority.
    #[cfg(test)]
    pub(crate) of_one: bool,
    /// A planted bug: whoever answered a read is taken to hold the newest value.
    #[cfg(test)]
    pub(crate) of_answers: bool,
}

impl Quorum {
    pub(crate) fn new(groups: Vec<Vec<PeerId>>) -> Self {
        Self {
            groups: groups.into_iter().map(|group| group.into_iter().collect()).collect(),
            #[cfg(test)]
            of_one: false,
            #[cfg(test)]
            of_answers: false,
        }
    }

    /// Everyone in any group, once.
    pub(crate) fn everyone(&self) -> BTreeSet<PeerId> {
        self.groups.iter().flatten().copied().collect()
    }

    /// Whether those for whom `holds` is true are a majority of every group.
    /// No groups, or an empty one, is never a quorum: there nobody could remember.
    pub(crate) fn reached(&self, holds: impl Fn(&PeerId) -> bool) -> bool {
        !self.groups.is_empty()
            && self.groups.iter().all(|group| group.iter().filter(|peer| holds(peer)).count() >= self.needed(group))
    }

    /// Of the group that is furthest from a majority: how many members `holds`
    /// is true for, and how many are needed.
    pub(crate) fn shortest(&self, holds: impl Fn(&PeerId) -> bool) -> (u32, u32) {
        self.groups
            .iter()
            .map(|group| (group.iter().filter(|peer| holds(peer)).count(), self.needed(group)))
            .max_by_key(|(answered, needed)| needed.saturating_sub(*answered))
            .map_or((0, 1), |(answered, needed)| (answered as u32, needed as u32))
    }

    fn needed(&self, group: &BTreeSet<PeerId>) -> usize {
        #[cfg(test)]
        if self.of_one {
            return 1;
        }
        group.len() / 2 + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(n: u8) -> PeerId {
        PeerId::from_bytes([n; 32])
    }

    #[test]
    fn a_quorum_is_a_majority_in_each_group() {
        let quorum = Quorum::new(vec![vec![peer(1), peer(2), peer(3)], vec![peer(3), peer(4), peer(5)]]);
        let reached = |ids: &[u8]| quorum.reached(|p| ids.iter().any(|n| peer(*n) == *p));
        assert!(!reached(&[1, 2]), "none in the second");
        assert!(!reached(&[1, 2, 4]), "one in the second");
        assert!(reached(&[1, 3, 4]), "the one in both counts in both");
        assert_eq!(quorum.shortest(|p| *p == peer(1)), (0, 2));
    }

    #[test]
    fn no_group_and_an_empty_group_are_never_a_quorum() {
        assert!(!Quorum::new(vec![]).reached(|_| true));
        assert!(!Quorum::new(vec![vec![]]).reached(|_| true));
    }
}
