//! What keeps one layout from being followed by the next.

use shoal_types::{Error, PeerId};

/// Attempts in vain, in a row, that are each followed by another in the next tick.
const QUICK_ATTEMPTS: u32 = 25;

/// Ticks between two attempts after those. Data may move for hours, and in a
/// large mesh everybody asks the one who is not done.
const REST_TICKS: u64 = 10;

/// Attempts to end a layout that were in vain.
#[derive(Debug, Default)]
pub(super) struct HeldUp {
    times: u32,
    /// The tick from which another one may be made.
    resume: u64,
    why: Option<Error>,
}

impl HeldUp {
    pub(super) fn may_try(&self, tick: u64) -> bool {
        tick >= self.resume
    }

    /// Whoever was not ready when asked last.
    pub(super) fn unready(&self) -> Option<PeerId> {
        match self.why {
            Some(Error::NotReady { peer, .. }) => Some(peer),
            _ => None,
        }
    }

    /// One more was in vain. Returns whether for another reason than the one before.
    pub(super) fn note(&mut self, tick: u64, why: Error) -> bool {
        self.times = self.times.saturating_add(1);
        self.resume = tick + if self.times < QUICK_ATTEMPTS { 0 } else { REST_TICKS };
        let before = self.why.replace(why);
        before.as_ref().map(kind) != self.why.as_ref().map(kind)
    }
}

/// What it is about, and whom. How many bytes are free, say, is no news.
fn kind(why: &Error) -> (std::mem::Discriminant<Error>, Option<PeerId>) {
    let peer = match why {
        Error::NotReady { peer, .. } | Error::DiskFull { peer, .. } | Error::DiskFailed { peer, .. } => Some(*peer),
        _ => None,
    };
    (std::mem::discriminant(why), peer)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: PeerId = PeerId::from_bytes([1; 32]);

    #[test]
    fn the_same_reason_is_told_once_and_what_lasts_is_tried_less_often() {
        let mut held_up = HeldUp::default();
        let full = |free_bytes| Error::DiskFull { peer: PEER, free_bytes, needed_bytes: 9 };
        let unready = || Error::NotReady { peer: PEER, why: String::new() };
        assert!(held_up.may_try(0) && held_up.note(0, unready()));
        assert_eq!(held_up.unready(), Some(PEER));
        assert!(held_up.note(1, full(1)) && !held_up.note(2, full(2)));
        assert_eq!(held_up.unready(), None);
        for tick in 3..u64::from(QUICK_ATTEMPTS) - 1 {
            assert!(held_up.may_try(tick) && !held_up.note(tick, full(3)));
        }
        held_up.note(100, full(3));
        assert!(!held_up.may_try(99 + REST_TICKS) && held_up.may_try(100 + REST_TICKS));
        assert!(held_up.note(200, unready()));
    }
}
