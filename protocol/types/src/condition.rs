//! What a peer says of its disk and of the copies on it.

use serde::{Deserialize, Serialize};

use crate::Moving;

/// Whether a disk takes new data.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum DiskState {
    #[default]
    Fine,
    /// Chunks are refused for want of room; reads and deletes still go.
    Full { free_bytes: u64, needed_bytes: u64 },
    /// A sync failed: nothing is written until the peer starts again; chunks
    /// are still read.
    Failed { why: String },
    /// The data directory is not there any more, or another has its place:
    /// nothing that is written now would be found again.
    Gone { why: String },
    /// Names are refused too, for want of room; reads still go.
    FullForNames { free_bytes: u64, needed_bytes: u64 },
}

impl DiskState {
    /// Whether it can be written to at all: one that is full for chunks may
    /// still take names.
    pub const fn takes_names(&self) -> bool {
        matches!(self, Self::Fine | Self::Full { .. })
    }
}

/// How far a scrub of one peer is, or what it came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ScrubProgress {
    /// Copies read so far, of about so many.
    pub copies: u64,
    pub copies_held: u64,
    pub bytes: u64,
    pub bytes_held: u64,
    /// Copies that were not what their names say, or could not be read.
    pub bad: u64,
    /// Of those, how many are whole again, or are kept whole by those to whom
    /// they belong.
    pub mended: u64,
    pub since_ms: u64,
    /// Nothing follows.
    pub is_done: bool,
}

impl ScrubProgress {
    /// Bytes read per second, on average; 0 while no time has gone by.
    pub fn bytes_per_second(&self) -> u64 {
        per_second(self.bytes, self.since_ms).unwrap_or(0)
    }
}

/// A scrub of all copies of a peer that came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct LastScrub {
    /// Wall-clock time, in ms since the epoch.
    pub ended_ms: u64,
    pub copies: u64,
    pub bytes: u64,
    pub bad: u64,
    pub mended: u64,
}

/// What a peer says of its disk, and of the copies on it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PeerCondition {
    pub disk: DiskState,
    pub chunks: u64,
    pub chunk_bytes: u64,
    pub free_bytes: u64,
    /// Copies that were set aside since the peer started, because they were
    /// not what their names say or could not be read: whoever read them.
    pub bad_copies: u64,
    pub last_scrub: Option<LastScrub>,
    /// What it is bringing to its owners.
    pub moving: Option<Moving>,
}

/// So many in so many ms as a rate per second; `None` while there is none.
pub(crate) fn per_second(count: u64, ms: u64) -> Option<u64> {
    let rate = u128::from(count) * 1_000 / u128::from(ms).max(1);
    u64::try_from(rate).ok().filter(|rate| ms > 0 && *rate > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_told_once_time_has_gone_by_and_never_overflows() {
        assert_eq!(
            ScrubProgress { bytes: 3_000, since_ms: 1_500, ..ScrubProgress::default() }.bytes_per_second(),
            2_000
        );
        assert_eq!(ScrubProgress { bytes: 3_000, ..ScrubProgress::default() }.bytes_per_second(), 0);
        assert_eq!(per_second(u64::MAX, 1), None);
        assert_eq!(per_second(u64::MAX, 1_000), Some(u64::MAX));
    }
}
