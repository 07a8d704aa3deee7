//! What the ledger sees at the moment itself; here it is only counted.

use super::{Invariant, Moment};
use crate::ledger::Looks;
use crate::world::World;

/// A chunk that is read is what its name says, and an object what somebody
/// put. Judged whenever a store hands out a chunk, and whenever a client gets
/// an object.
#[derive(Default)]
pub(crate) struct ReadsAreWhole(Looks);

impl Invariant for ReadsAreWhole {
    fn name(&self) -> &'static str {
        "reads-are-whole"
    }

    fn check(&mut self, world: &World, _: Moment) -> bool {
        let looks = world.state().ledger.looks;
        std::mem::replace(&mut self.0, looks).chunks < looks.chunks
    }
}

/// What a disk has acknowledged is there, after any crash of a disk that keeps
/// its word: chunks, and what acceptors have promised and accepted. Judged
/// whenever a peer looks for it.
#[derive(Default)]
pub(crate) struct SyncedStays(Looks);

impl Invariant for SyncedStays {
    fn name(&self) -> &'static str {
        "synced-stays"
    }

    fn check(&mut self, world: &World, _: Moment) -> bool {
        let looks = world.state().ledger.looks;
        std::mem::replace(&mut self.0, looks).kept < looks.kept
    }
}

/// In a bucket with a history, what somebody has put under a name is found by
/// its ETag ever after. Judged whenever a client asks for it. Not judged where a
/// disk was lost, or lies.
#[derive(Default)]
pub(crate) struct HistoryIsKept(Looks);

impl Invariant for HistoryIsKept {
    fn name(&self) -> &'static str {
        "history-is-kept"
    }

    fn check(&mut self, world: &World, _: Moment) -> bool {
        let looks = world.state().ledger.looks;
        std::mem::replace(&mut self.0, looks).former < looks.former
    }
}

/// An object that is appended to holds each append once, whole, in one order
/// for everybody, in which each is behind those that were over when it began;
/// and none that was acknowledged is missing. Judged whenever a client has read
/// one. Not judged once so many disks are lost that a name could have been
/// forgotten, or once a disk lies.
#[derive(Default)]
pub(crate) struct AppendsOnce(u64);

impl Invariant for AppendsOnce {
    fn name(&self) -> &'static str {
        "appends-once"
    }

    fn check(&mut self, world: &World, _: Moment) -> bool {
        let looks = world.state().ledger.appended.looks;
        std::mem::replace(&mut self.0, looks) < looks
    }
}
