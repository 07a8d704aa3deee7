//! Seeds made into what their decoders may not expect.

/// SplitMix64 (Steele, Lea, Flood 2014): enough to choose by.
pub(super) struct Random(pub(crate) u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Less than `end`; 0 where there is nothing less.
    fn below(&mut self, end: usize) -> usize {
        (self.next() % (end as u64).max(1)) as usize
    }

    fn choose<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }
}

/// Lengths, counts and numbers at the end of what they can be: little-endian
/// and as postcard's varints.
const EXTREMES: [&[u8]; 10] = [
    &[0],
    &[0xff],
    &[0xff; 2],
    &[0xff; 4],
    &[0, 0, 1, 0],
    &[0xff; 8],
    &[0xff, 0xff, 0x03],
    &[0xff, 0xff, 0xff, 0xff, 0x0f],
    &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
    &[0x80; 10],
];

/// No longer input is tried: a frame's length and a little more.
const BYTES_MAX: usize = (1 << 20) + 64;

/// One of the seeds, changed in a few places.
pub(super) fn mutated(seeds: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let mut bytes = random.choose(seeds).clone();
    for _ in 0..1 + random.below(4) {
        let at = random.below(bytes.len());
        let end = at + random.below(bytes.len() + 1 - at);
        match random.below(9) {
            0 | 1 if !bytes.is_empty() => bytes[at] ^= 1 << random.below(8),
            2 if !bytes.is_empty() => bytes[at] = random.next() as u8,
            3 => bytes.truncate(at),
            4 => drop(bytes.drain(at..end)),
            5 => {
                let again: Vec<u8> = bytes[at..end].to_vec();
                let times = 1 << random.below(6);
                bytes.splice(at..at, again.repeat(times));
            }
            6 => {
                let other = random.choose(seeds);
                let from = random.below(other.len());
                bytes.splice(at.., other[from..].iter().copied());
            }
            7 => {
                let extreme = *random.choose(&EXTREMES);
                let replaced = at..(at + extreme.len()).min(bytes.len());
                bytes.splice(replaced, extreme.iter().copied());
            }
            _ => {
                let extreme = *random.choose(&EXTREMES);
                bytes.splice(at..(at + 1).min(bytes.len()), extreme.iter().copied());
            }
        }
        bytes.truncate(BYTES_MAX);
    }
    bytes
}
