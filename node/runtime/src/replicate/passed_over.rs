//! Whom a pass passes over.

use std::collections::BTreeMap;
use std::sync::Mutex;

use shoal_types::{Error, PeerId};

use super::is_of_a_disk;
use crate::context::lock;

/// What went wrong in a pass. One owner that does not answer, or whose disk
/// takes nothing, keeps no other from being repaired: it is passed over until
/// the next pass.
#[derive(Default)]
pub(super) struct PassedOver(Mutex<State>);

#[derive(Default)]
struct State {
    owners: BTreeMap<PeerId, Why>,
    /// The first refusal of a disk.
    refusal: Option<Error>,
    /// The first error of another kind.
    other: Option<Error>,
}

/// Ordered by how much is kept from an owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Why {
    /// Its disk has no room for chunks of so many bytes, or of more.
    Full { bytes: u64 },
    /// Its disk takes nothing.
    Failed,
    /// It is not asked for anything, either.
    Silent,
}

impl PassedOver {
    /// An owner did not take a chunk of so many bytes, or did not say what it has.
    pub(super) fn note(&self, owner: PeerId, bytes: u64, error: Error) {
        let why = match &error {
            Error::DiskFull { .. } => Some(Why::Full { bytes }),
            Error::DiskFailed { .. } => Some(Why::Failed),
            // It takes others, one after the other.
            Error::Busy { .. } => None,
            _ => Some(Why::Silent),
        };
        if let Some(why) = why {
            let owners = &mut lock(&self.0).owners;
            let known = owners.entry(owner).or_insert(why);
            *known = match (*known, why) {
                (Why::Full { bytes: one }, Why::Full { bytes: other }) => Why::Full { bytes: one.min(other) },
                (one, other) => one.max(other),
            };
        }
        self.remember(error);
    }

    /// Something is not brought for a reason that is no owner's.
    pub(super) fn remember(&self, error: Error) {
        let state = &mut *lock(&self.0);
        let place = if is_of_a_disk(&error) { &mut state.refusal } else { &mut state.other };
        place.get_or_insert(error);
    }

    /// Whether it is worth while to ask it.
    pub(super) fn answers(&self, owner: PeerId) -> bool {
        lock(&self.0).owners.get(&owner) != Some(&Why::Silent)
    }

    /// Whether it is worth while to send it a chunk of so many bytes.
    pub(super) fn takes(&self, owner: PeerId, bytes: u64) -> bool {
        match lock(&self.0).owners.get(&owner) {
            None => true,
            Some(Why::Full { bytes: refused }) => bytes < *refused,
            Some(Why::Failed | Why::Silent) => false,
        }
    }

    /// Why not everything was brought: a refusal of a disk rather than others.
    pub(super) fn into_result(self) -> shoal_types::Result<()> {
        let state = self.0.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        state.refusal.or(state.other).map_or(Ok(()), Err)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(n: u8) -> PeerId {
        PeerId::from_bytes([n; 32])
    }

    #[test]
    fn a_full_disk_is_sent_what_is_smaller_and_a_silent_peer_nothing() {
        let passed_over = PassedOver::default();
        let full = || Error::DiskFull { peer: peer(1), free_bytes: 1, needed_bytes: 2 };
        passed_over.note(peer(2), 0, Error::Timeout { what: "it".into(), ms: 1 });
        passed_over.note(peer(1), 100, full());
        passed_over.note(peer(1), 200, full());
        assert!(passed_over.answers(peer(1)) && passed_over.takes(peer(1), 99));
        assert!(!passed_over.takes(peer(1), 100));
        assert!(!passed_over.answers(peer(2)) && !passed_over.takes(peer(2), 1));
        passed_over.note(peer(3), 100, Error::Busy { peer: peer(3), retry_after_ms: 1 });
        assert!(passed_over.answers(peer(3)) && passed_over.takes(peer(3), 100));
        passed_over.note(peer(1), 1, Error::DiskFailed { peer: peer(1), why: String::new() });
        assert!(passed_over.answers(peer(1)) && !passed_over.takes(peer(1), 1));
        assert_eq!(passed_over.into_result(), Err(full()));
    }
}
