use bytes::Bytes;
use shoal_types::{OutputId, PeerId};

use super::frames::{self, FRAME_ROWS_MAX};
use super::rows::Row;
use crate::random::Random;

/// What is arbitrary in one attempt: the order of its rows and the cuts into
/// frames. As with a real engine, another attempt has the same rows in other
/// bytes.
pub(super) struct Disorder(Random);

impl Disorder {
    pub(super) fn of(seed: u64, peer: PeerId, output: OutputId) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(peer.as_bytes()).update(output.task.job.as_bytes());
        for number in [output.task.stage.0, output.task.partition, output.attempt] {
            hasher.update(&number.to_le_bytes());
        }
        let mut attempt = [0; 8];
        attempt.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
        Self(Random::of(seed, &[u64::from_le_bytes(attempt)]))
    }

    /// Rows in any order, in frames of any length; several frames where there are a few rows.
    pub(super) fn frames(&mut self, mut rows: Vec<Row>) -> Vec<Bytes> {
        for at in (1..rows.len()).rev() {
            rows.swap(at, self.0.below(at as u64 + 1) as usize);
        }
        let longest = rows.len().div_ceil(2).clamp(1, FRAME_ROWS_MAX);
        frames::encode(&rows, || 1 + self.0.below(longest as u64) as usize)
    }
}

/// Rows in the order of their keys, in frames that are the same whoever makes them.
pub(super) fn ordered_frames(mut rows: Vec<Row>) -> Vec<Bytes> {
    rows.sort_unstable();
    let length = rows.len().div_ceil(8);
    frames::encode(&rows, || length)
}
