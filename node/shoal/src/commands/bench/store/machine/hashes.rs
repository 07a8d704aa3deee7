//! The hashes that every put computes, alone over a buffer.

use std::hint::black_box;
use std::time::{Duration, Instant};

use md5::{Digest, Md5};

/// Hashed at a time: more than the caches of a core hold.
const BUFFER_BYTES: usize = 16 << 20;

/// Handed to the hash at a time.
const PIECE_BYTES: usize = 256 << 10;

pub(super) fn blake3_mb_per_second(time: Duration) -> f64 {
    let mut hash = blake3::Hasher::new();
    let speed = over_a_buffer(time, |piece| {
        hash.update(piece);
    });
    black_box(hash.finalize());
    speed
}

pub(super) fn md5_mb_per_second(time: Duration) -> f64 {
    let mut hash = Md5::new();
    let speed = over_a_buffer(time, |piece| hash.update(piece));
    black_box(hash.finalize());
    speed
}

/// Gives out the pieces of a buffer for at least `time`.
fn over_a_buffer(time: Duration, mut take: impl FnMut(&[u8])) -> f64 {
    // Written to, so that it is memory and not one page of zeros.
    let buffer = vec![1; BUFFER_BYTES];
    let (started, mut bytes) = (Instant::now(), 0);
    for piece in buffer.chunks(PIECE_BYTES).cycle() {
        take(piece);
        bytes += piece.len() as u64;
        if started.elapsed() >= time {
            break;
        }
    }
    super::super::mb_per_second(bytes, started.elapsed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashing_has_a_speed() {
        assert!(blake3_mb_per_second(Duration::from_millis(1)) > 0.0);
        assert!(md5_mb_per_second(Duration::from_millis(1)) > 0.0);
    }
}
