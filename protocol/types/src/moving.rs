//! How far data on its way to its owners has got.

use serde::{Deserialize, Serialize};

use crate::condition::per_second;

/// What one peer has done so far of bringing what it holds to its owners.
///
/// A copy is one chunk for one owner. Each holder of a chunk looks for itself
/// whether the owners have theirs, so that the same copy may be on its way
/// from two peers, and counts at both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Moving {
    /// Names that a majority of the new owners knows by now, of those `seen`
    /// so far: these are looked up a page at a time.
    pub names_settled: u64,
    pub names_seen: u64,
    /// Chunks whose owners were asked whether they have them, of those held.
    pub chunks_looked_at: u64,
    pub chunks_held: u64,
    pub copies_brought: u64,
    pub bytes_brought: u64,
    /// Found missing at their owners, and not brought yet. More may be found
    /// while not all chunks are looked at.
    pub copies_missing: u64,
    pub bytes_missing: u64,
    /// For how long it has been going on, in ms.
    pub since_ms: u64,
}

impl Moving {
    /// A copy of so many bytes that was missing is not any more: it was
    /// brought, or is for others to bring.
    pub fn settle(&mut self, bytes: u64, is_brought: bool) {
        self.copies_missing = self.copies_missing.saturating_sub(1);
        self.bytes_missing = self.bytes_missing.saturating_sub(bytes);
        if is_brought {
            self.copies_brought += 1;
            self.bytes_brought += bytes;
        }
    }

    /// Bytes brought per second since it began; `None` while none was.
    pub fn bytes_per_second(&self) -> Option<u64> {
        per_second(self.bytes_brought, self.since_ms)
    }

    /// About how long what is known to be missing takes at the rate so far, in
    /// ms: the least there is to do while not all chunks are looked at.
    /// `None` while there is no rate, or nothing missing.
    pub fn left_ms(&self) -> Option<u64> {
        let rate = self.bytes_per_second().filter(|_| self.bytes_missing > 0)?;
        u64::try_from(u128::from(self.bytes_missing) * 1_000 / u128::from(rate)).ok()
    }

    /// Both together; since the earlier of the two. Peers say these numbers:
    /// a sum that does not fit is cut off.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            names_settled: self.names_settled.saturating_add(other.names_settled),
            names_seen: self.names_seen.saturating_add(other.names_seen),
            chunks_looked_at: self.chunks_looked_at.saturating_add(other.chunks_looked_at),
            chunks_held: self.chunks_held.saturating_add(other.chunks_held),
            copies_brought: self.copies_brought.saturating_add(other.copies_brought),
            bytes_brought: self.bytes_brought.saturating_add(other.bytes_brought),
            copies_missing: self.copies_missing.saturating_add(other.copies_missing),
            bytes_missing: self.bytes_missing.saturating_add(other.bytes_missing),
            since_ms: self.since_ms.max(other.since_ms),
        }
    }
}

/// The same of all peers that said so in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MeshMoving {
    pub all: Moving,
    /// Peers that bring something.
    pub peers: u32,
    /// Live peers that did not answer in time: what they bring is not in it.
    pub silent: u32,
}

impl MeshMoving {
    /// With what another peer said, which may be that it brings nothing.
    #[must_use]
    pub fn with(self, said: Option<Moving>) -> Self {
        match said {
            Some(moving) => Self { all: self.all.and(moving), peers: self.peers.saturating_add(1), ..self },
            None => self,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moving(n: u64) -> Moving {
        Moving {
            names_settled: n,
            names_seen: 2 * n,
            chunks_looked_at: 3 * n,
            chunks_held: 4 * n,
            copies_brought: 5 * n,
            bytes_brought: 6 * n,
            copies_missing: 7 * n,
            bytes_missing: 8 * n,
            since_ms: 9 * n,
        }
    }

    #[test]
    fn of_the_mesh_is_the_sum_of_those_who_bring_something_since_the_first_began() {
        let mesh = [Some(moving(1)), None, Some(moving(10))].into_iter().fold(MeshMoving::default(), MeshMoving::with);
        assert_eq!(mesh, MeshMoving { all: Moving { since_ms: 90, ..moving(11) }, peers: 2, silent: 0 });
        assert_eq!([None, None].into_iter().fold(MeshMoving::default(), MeshMoving::with), MeshMoving::default());
    }

    #[test]
    fn the_time_left_follows_from_what_was_brought_so_far() {
        let half = Moving { bytes_brought: 30, bytes_missing: 60, since_ms: 1_000, ..Moving::default() };
        assert_eq!((half.bytes_per_second(), half.left_ms()), (Some(30), Some(2_000)));
        assert_eq!(Moving { bytes_missing: 0, ..half }.left_ms(), None);
        assert_eq!(Moving { bytes_brought: 0, ..half }.left_ms(), None);
        assert_eq!(Moving { bytes_missing: u64::MAX, bytes_brought: 1, ..half }.left_ms(), None);
    }

    #[test]
    fn a_peer_that_says_absurd_numbers_makes_no_sum_overflow() {
        let absurd = Moving { bytes_missing: u64::MAX, names_seen: u64::MAX, ..moving(1) };
        let sum = absurd.and(absurd);
        assert_eq!((sum.bytes_missing, sum.names_seen, sum.copies_brought), (u64::MAX, u64::MAX, 10));
    }
}
