use std::collections::BTreeMap;

use shoal_types::{PeerId, PeerInfo};

/// No peer is given more tasks at once, whatever it says.
const SLOTS_MAX: u32 = 1024;

/// A peer that a job counts on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Worker {
    /// Tasks that it is given at once.
    pub(super) slots: u32,
    pub(super) incarnation: u64,
    leaves: bool,
}

impl Worker {
    pub(super) fn of(info: &PeerInfo) -> Self {
        Self { slots: info.slots.clamp(1, SLOTS_MAX), incarnation: info.incarnation, leaves: info.leaves }
    }
}

/// Takes the slots of those that leave, unless nobody stays: what such a peer
/// runs may end, and what it holds is read, but nothing new begins there that
/// would be lost when it goes.
pub(super) fn spare_leaving(workers: &mut BTreeMap<PeerId, Worker>) {
    if workers.values().any(|worker| !worker.leaves) {
        for worker in workers.values_mut().filter(|worker| worker.leaves) {
            worker.slots = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::info;

    /// Slots given to peers of two slots each, of whom some leave.
    fn slots(leaving: &[bool]) -> Vec<u32> {
        let worker = |(n, leaves): (u8, &bool)| {
            let info = PeerInfo { leaves: *leaves, ..info(n) };
            (info.id, Worker::of(&info))
        };
        let mut workers = (1..).zip(leaving).map(worker).collect();
        spare_leaving(&mut workers);
        workers.values().map(|worker| worker.slots).collect()
    }

    #[test]
    fn who_leaves_is_given_nothing_while_somebody_stays() {
        assert_eq!(slots(&[false, true, false]), [2, 0, 2]);
        assert_eq!(slots(&[true, true, false]), [0, 0, 2]);
        assert_eq!(slots(&[false, false]), [2, 2]);
    }

    #[test]
    fn where_all_leave_they_do_the_work() {
        assert_eq!(slots(&[true, true]), [2, 2]);
        assert_eq!(slots(&[true]), [2]);
        assert_eq!(slots(&[]), []);
    }

    #[test]
    fn what_a_peer_says_of_its_slots_is_bounded() {
        let of = |slots| Worker::of(&PeerInfo { slots, ..info(1) }).slots;
        assert_eq!([of(0), of(7), of(u32::MAX)], [1, 7, SLOTS_MAX]);
    }
}
