use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use shoal_types::{Ballot, PeerId};

use crate::quorum::Quorum;

/// A first round that only asks what acceptors hold: it promises nothing, and
/// nobody writes anything to disk for it.
#[derive(Default)]
pub(super) struct Asking {
    held: BTreeMap<PeerId, Ballot>,
    absent: BTreeSet<PeerId>,
    newest: Option<(Ballot, Option<Bytes>)>,
    waits: bool,
}

/// What the answers so far amount to.
pub(super) enum Heard {
    /// A quorum holds this, and nobody who answered anything newer.
    Agreed(Ballot, Option<Bytes>),
    /// A quorum has answered and does not agree; others may yet.
    Divided,
    /// No quorum will agree any more.
    Hopeless,
    /// Too few have answered.
    TooFew,
}

impl Asking {
    pub(super) fn awaits(&self, peer: &PeerId) -> bool {
        !self.held.contains_key(peer) && !self.absent.contains(peer)
    }

    pub(super) fn holds(&mut self, peer: PeerId, accepted: Ballot, value: Option<Bytes>) {
        self.held.insert(peer, accepted);
        if self.newest.as_ref().is_none_or(|(newest, _)| accepted > *newest) {
            self.newest = Some((accepted, value));
        }
    }

    pub(super) fn lost(&mut self, peer: PeerId) {
        self.absent.insert(peer);
    }

    /// When a quorum holds the newest ballot that was met, its value is
    /// committed; and no write that was complete before the question can be
    /// newer, or this quorum would have met it. So it is what the register
    /// holds, and every later operation meets it too.
    pub(super) fn heard(&self, quorum: &Quorum) -> Heard {
        let Some((newest, value)) = &self.newest else {
            return if quorum.reached(|peer| !self.absent.contains(peer)) { Heard::TooFew } else { Heard::Hopeless };
        };
        #[cfg(test)]
        if quorum.of_answers && quorum.reached(|peer| self.held.contains_key(peer)) {
            return Heard::Agreed(*newest, value.clone());
        }
        if quorum.reached(|peer| self.held.get(peer) == Some(newest)) {
            Heard::Agreed(*newest, value.clone())
        } else if !quorum.reached(|peer| self.held.get(peer) == Some(newest) || self.awaits(peer)) {
            Heard::Hopeless
        } else if quorum.reached(|peer| self.held.contains_key(peer)) {
            Heard::Divided
        } else {
            Heard::TooFew
        }
    }

    /// Whether this is the first time that it waits for those who may yet agree.
    pub(super) fn begins_to_wait(&mut self) -> bool {
        !std::mem::replace(&mut self.waits, true)
    }
}
