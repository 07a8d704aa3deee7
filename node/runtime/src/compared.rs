//! Sums over what is here, kept for others to compare theirs with.
//!
//! One walk through the registers or the chunks makes those for all partners:
//! for each over that which both have a part in under one layout. They are kept
//! until the next walk.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use shoal_types::{LayoutId, PeerId, Sums};

use crate::context::lock;

/// Leaves of all partners together, of some 24 bytes each; twice that while a
/// walk makes the next ones. A peer has as many with fifty partners and
/// millions of things. With those partners for whom there is no room nothing is
/// compared.
const LEAVES_MAX: usize = 4 << 20;

/// The sums that are kept.
#[derive(Default)]
pub(crate) struct Compared(Mutex<Option<Arc<Table>>>);

impl Compared {
    pub(crate) fn publish(&self, table: Table) -> Arc<Table> {
        let table = Arc::new(table);
        *lock(&self.0) = Some(table.clone());
        table
    }

    /// They are of a time that is over.
    pub(crate) fn clear(&self) {
        *lock(&self.0) = None;
    }

    /// The sums over what is shared with a partner: of all branches, or of the leaves of one.
    pub(crate) fn sums(&self, layout: LayoutId, partner: PeerId, branch: Option<u8>) -> Option<Vec<u64>> {
        self.look(layout, partner, |sums| of(sums, branch))
    }

    /// The same, and nothing where they come to the partner's `total`.
    pub(crate) fn sums_unless(
        &self,
        layout: LayoutId,
        partner: PeerId,
        branch: Option<u8>,
        total: u64,
    ) -> Option<Vec<u64>> {
        let unless = |sums: &Sums| if sums.total(branch) == total { Vec::new() } else { of(sums, branch) };
        self.look(layout, partner, unless)
    }

    fn look<T>(&self, layout: LayoutId, partner: PeerId, look: impl FnOnce(&Sums) -> T) -> Option<T> {
        let table = lock(&self.0).clone().filter(|table| table.layout == layout)?;
        table.with(partner).map(look)
    }
}

fn of(sums: &Sums, branch: Option<u8>) -> Vec<u64> {
    branch.map_or_else(|| sums.branches(), |branch| sums.leaves(branch))
}

/// Sums over what is shared with each partner, under a layout.
pub(crate) struct Table {
    layout: LayoutId,
    partners: BTreeMap<PeerId, Sums>,
    leaves: usize,
    leaves_max: usize,
    /// Partners for whom there was no room.
    left_out: BTreeSet<PeerId>,
}

impl Table {
    pub(crate) fn new(layout: LayoutId) -> Self {
        Self::of_at_most(LEAVES_MAX, layout)
    }

    fn of_at_most(leaves_max: usize, layout: LayoutId) -> Self {
        Self { layout, partners: BTreeMap::new(), leaves: 0, leaves_max, left_out: BTreeSet::new() }
    }

    /// Adds something that is shared with a partner.
    pub(crate) fn add(&mut self, partner: PeerId, leaf: u16, hash: u64) {
        if self.left_out.contains(&partner) {
            return;
        }
        if self.partners.entry(partner).or_default().add(leaf, hash) {
            self.leaves += 1;
        }
        if self.leaves > self.leaves_max {
            self.leaves -= self.partners.remove(&partner).map_or(0, |sums| sums.len());
            self.left_out.insert(partner);
        }
    }

    /// Those with whom something is shared.
    pub(crate) fn partners(&self) -> BTreeSet<PeerId> {
        self.partners.keys().chain(&self.left_out).copied().collect()
    }

    /// What is shared with a partner, if it can be compared.
    pub(crate) fn with(&self, partner: PeerId) -> Option<&Sums> {
        static NOTHING: Sums = Sums::new();
        let is_left_out = self.left_out.contains(&partner);
        (!is_left_out).then(|| self.partners.get(&partner).unwrap_or(&NOTHING))
    }
}

#[cfg(test)]
mod tests {
    use shoal_types::MeshId;

    use super::*;

    fn layout(version: u64) -> LayoutId {
        LayoutId { mesh: MeshId::from_bytes([1; 16]), version }
    }

    fn peer(n: u8) -> PeerId {
        PeerId::from_bytes([n; 32])
    }

    #[test]
    fn sums_are_told_of_their_layout_only_and_not_where_they_are_the_same() {
        let (compared, mut table) = (Compared::default(), Table::new(layout(1)));
        assert_eq!(compared.sums(layout(1), peer(1), None), None);
        table.add(peer(1), 0x0203, 7);
        let table = compared.publish(table);
        assert_eq!(compared.sums(layout(2), peer(1), None), None);
        let branches = compared.sums(layout(1), peer(1), None).unwrap();
        assert_eq!((branches[2], branches.len()), (7, Sums::WIDTH));
        assert_eq!(compared.sums_unless(layout(1), peer(1), None, 8), Some(branches));
        let total = table.with(peer(1)).unwrap().total(Some(2));
        assert_eq!(compared.sums_unless(layout(1), peer(1), Some(2), total), Some(vec![]));
        // With whom nothing is shared there are sums over nothing.
        assert_eq!(compared.sums_unless(layout(1), peer(2), None, 0), Some(vec![]));
        compared.clear();
        assert_eq!(compared.sums(layout(1), peer(1), None), None);
    }

    #[test]
    fn who_comes_when_there_is_no_room_is_left_out_and_keeps_nobody_else_out() {
        let mut table = Table::of_at_most(2_000, layout(1));
        for leaf in 0..1_000 {
            table.add(peer(1), leaf, 1);
            table.add(peer(2), leaf, 1);
        }
        assert!(table.left_out.is_empty());
        for leaf in 0..100 {
            table.add(peer(3), leaf, 1);
            table.add(peer(1), leaf, 1);
        }
        assert!(table.with(peer(3)).is_none());
        assert_eq!(table.with(peer(1)).unwrap().leaves(0)[99], 2);
        assert_eq!((table.leaves, table.partners().len()), (2_000, 3));
    }
}
