//! The straw that a member draws for a key.

use std::cmp::Ordering;

/// Fraction bits of a length.
const FRACTION_BITS: u32 = 32;

/// `-log2(h) / weight` for a hash `h` taken as a number in (0, 1): the
/// smallest wins, with a probability in proportion to the weight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Straw {
    /// `-log2(h)` with [`FRACTION_BITS`] fraction bits.
    length: u64,
    weight: u32,
    /// Breaks ties of equal lengths.
    hash: u64,
}

impl Ord for Straw {
    fn cmp(&self, other: &Self) -> Ordering {
        let left = u128::from(self.length) * u128::from(other.weight);
        let right = u128::from(other.length) * u128::from(self.weight);
        left.cmp(&right).then_with(|| other.hash.cmp(&self.hash))
    }
}

impl PartialOrd for Straw {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Straw {
    /// `weight` is above zero.
    pub(crate) fn new(hash: u64, weight: u32) -> Self {
        Self { length: minus_log2(hash), weight, hash }
    }

    /// To compare with others of the same weight only, whose order is that of
    /// their hashes: without its length, which is dear to compute.
    pub(crate) fn of_one_weight(hash: u64) -> Self {
        Self { length: 0, weight: 1, hash }
    }
}

/// What decides a member's straw for a key. Of one weight, the higher is the
/// better.
pub(crate) fn hash(key: u64, member: u64) -> u64 {
    mix(key, member) | 1
}

/// A well-mixed word of both (the finaliser of MurmurHash3, twice).
fn mix(key: u64, member: u64) -> u64 {
    let finalise = |mut word: u64| {
        word ^= word >> 33;
        word = word.wrapping_mul(0xff51_afd7_ed55_8ccd);
        word ^= word >> 33;
        word = word.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
        word ^ (word >> 33)
    };
    finalise(finalise(key) ^ member.rotate_left(32))
}

/// `-log2(hash / 2^64)`, bit by bit through repeated squaring (Knuth, TAOCP
/// volume 1, exercise 1.2.2-25): the same on every machine.
fn minus_log2(hash: u64) -> u64 {
    let zeros = hash.leading_zeros();
    // In [1, 2) with 63 fraction bits.
    let mut mantissa = hash << zeros;
    let mut fraction = 0u64;
    for _ in 0..FRACTION_BITS {
        let square = (u128::from(mantissa) * u128::from(mantissa)) >> 63;
        fraction <<= 1;
        if square >> 64 == 0 {
            mantissa = square as u64;
        } else {
            fraction |= 1;
            mantissa = (square >> 1) as u64;
        }
    }
    (u64::from(zeros + 1) << FRACTION_BITS) - fraction
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_integer_logarithm_agrees_with_the_real_one() {
        for hash in [1u64, 3, 1 << 20, 0x1234_5678_9abc_def1, u64::MAX / 3, u64::MAX / 2 + 1, u64::MAX - 2, u64::MAX] {
            let exact = 64.0 - (hash as f64).log2();
            let ours = minus_log2(hash) as f64 / (1u64 << FRACTION_BITS) as f64;
            assert!((exact - ours).abs() < 1e-8, "{hash}: {exact} {ours}");
        }
    }
}
