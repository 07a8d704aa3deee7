//! The hash that every put and get computes, alone over a buffer.

use std::hint::black_box;
use std::time::{Duration, Instant};

/// Hashed at a time: more than the caches of a core hold.
const BUFFER_BYTES: usize = 16 << 20;

/// Handed to the hash at a time.
const PIECE_BYTES: usize = 256 << 10;

/// Hashes the pieces of a buffer for at least `time`.
pub(super) fn blake3_mb_per_second(time: Duration) -> f64 {
    // Written to, so that it is memory and not one page of zeros.
    let buffer = vec![1; BUFFER_BYTES];
    let (mut hash, started, mut bytes) = (blake3::Hasher::new(), Instant::now(), 0);
    for piece in buffer.chunks(PIECE_BYTES).cycle() {
        hash.update(piece);
        bytes += piece.len() as u64;
        if started.elapsed() >= time {
            break;
        }
    }
    black_box(hash.finalize());
    super::super::mb_per_second(bytes, started.elapsed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashing_has_a_speed() {
        assert!(blake3_mb_per_second(Duration::from_millis(1)) > 0.0);
    }
}
