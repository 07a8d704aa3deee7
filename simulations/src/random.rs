use shoal_ports::Rng;
use std::sync::{Mutex, PoisonError};

/// A small seeded generator (xorshift64*, Vigna 2014): not for secrets.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    pub const fn from_seed(seed: u64) -> Self {
        // Zero would stay zero.
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A stream of its own for each purpose: a draw more for one does not
    /// move the others.
    pub const fn of(seed: u64, purpose: &[u64]) -> Self {
        let mut mixed = mix(seed);
        let mut at = 0;
        while at < purpose.len() {
            mixed = mix(mixed ^ purpose[at].wrapping_add(0x9e37_79b9_7f4a_7c15));
            at += 1;
        }
        Self(mixed | 1)
    }

    pub const fn next_u64(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below `bound`; 0 when there is none.
    pub const fn below(&mut self, bound: u64) -> u64 {
        if bound == 0 { 0 } else { self.next_u64() % bound }
    }

    /// Whether something of this probability (0–1) happens.
    pub fn chance(&mut self, probability: f64) -> bool {
        // 53 bits: every value is a float.
        ((self.next_u64() >> 11) as f64) < probability * (1u64 << 53) as f64
    }

    /// A time below `bound`.
    pub fn time_below(&mut self, bound: std::time::Duration) -> std::time::Duration {
        std::time::Duration::from_nanos(self.below(u64::try_from(bound.as_nanos()).unwrap_or(u64::MAX)))
    }

    /// One of them.
    pub fn pick<'a, T>(&mut self, of: &'a [T]) -> Option<&'a T> {
        of.get(self.below(of.len() as u64) as usize)
    }

    /// `count` of them (all, if there are fewer), each once, in their order.
    pub fn sample<T: Clone>(&mut self, of: &[T], count: usize) -> Vec<T> {
        let mut left = count.min(of.len());
        let mut taken = Vec::with_capacity(left);
        for (at, item) in of.iter().enumerate() {
            if self.below((of.len() - at) as u64) < left as u64 {
                taken.push(item.clone());
                left -= 1;
            }
        }
        taken
    }
}

/// Scatters the bits of a number (the finaliser of SplitMix64, Steele et al. 2014).
const fn mix(mut z: u64) -> u64 {
    z = z.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A generator as the peers' port.
pub(crate) struct RngPort(Mutex<Random>);

impl RngPort {
    pub(crate) fn new(random: Random) -> Self {
        Self(Mutex::new(random))
    }
}

impl Rng for RngPort {
    fn next_u64(&self) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).next_u64()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chance_and_samples_are_about_as_asked_and_repeatable() {
        let mut random = Random::of(7, &[1, 2]);
        let hits = (0..10_000).filter(|_| random.chance(0.1)).count();
        assert!((800..1200).contains(&hits), "{hits}");
        let all: Vec<u32> = (0..100).collect();
        let sample = random.sample(&all, 10);
        assert_eq!(sample.len(), 10);
        assert!(sample.is_sorted_by(|a, b| a < b));
        assert_ne!(Random::of(7, &[1, 2]).next_u64(), Random::of(7, &[2, 1]).next_u64());
        assert_eq!(Random::of(7, &[1, 2]).next_u64(), Random::of(7, &[1, 2]).next_u64());
    }
}
