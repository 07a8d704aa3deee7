//! What is believed of what others say.
//!
//! Incarnations only grow, and everybody passes on the latest one that it has
//! heard of: a single lie about a member, or a single clock that shows the year
//! 9999, would stay for ever, and at the end of the numbers the member could
//! not even become a later one. So there is a rule.
//!
//! *An incarnation is believed up to [`AHEAD_MS_MAX`] after the present time by
//! the believer's own wall clock. Whatever names a later one is ignored: as a
//! sender, as a member in a packet, in whatever state, or as one of our own
//! that somebody holds to be dead or knows.*
//!
//! Two peers draw this line as far apart as their clocks are. Somebody who
//! names a member at the very line of one can so hide it from another, for as
//! long as their clocks differ, and no longer: the line moves with the time,
//! and the member becomes one later than was said of it.

use shoal_types::{PeerId, PeerInfo};

use crate::news::Heard;

/// How far in the future an incarnation may lie, in ms: a hundred years. An
/// incarnation is a wall clock's time at a start, perhaps plus a few, and
/// clocks differ by hours; but one that begins in 1970 at each start, having
/// no battery, is to hear of those whose clocks are right.
pub const AHEAD_MS_MAX: u64 = 100 * 365 * 24 * 3_600_000;

/// The longest address, in bytes, that is passed on: longer than any that can be dialed.
const ADDRESS_BYTES_MAX: usize = 512;

/// What a peer believes.
#[derive(Debug, Clone)]
pub(crate) struct Belief {
    latest: u64,
}

impl Belief {
    /// Of a peer whose wall clock shows this time, in ms since the epoch.
    pub(crate) fn at(wall_ms: u64) -> Self {
        Self { latest: wall_ms.saturating_add(AHEAD_MS_MAX) }
    }

    /// Whether some peer may be this incarnation.
    pub(crate) fn in_incarnation(&self, incarnation: u64) -> bool {
        incarnation <= self.latest
    }

    /// Whether there may be somebody like this.
    pub(crate) fn in_member(&self, heard: &Heard<'_>) -> bool {
        let mut addresses = heard.addresses.iter();
        self.in_incarnation(heard.incarnation)
            && addresses.by_ref().take(PeerInfo::ADDRESSES_MAX).all(|address| address.len() <= ADDRESS_BYTES_MAX)
            && addresses.next().is_none()
    }
}

/// Somebody of whom something was said that is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Disbelieved {
    pub(crate) member: PeerId,
    pub(crate) incarnation: u64,
}

impl Disbelieved {
    pub(crate) fn of(heard: &Heard<'_>) -> Self {
        Self { member: heard.peer, incarnation: heard.incarnation }
    }
}
