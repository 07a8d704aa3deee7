use std::collections::BTreeMap;

use shoal_types::Fingerprint;

/// What a set of words has under one key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Row {
    /// The word modulo the job's `groups`.
    pub key: u64,
    pub count: u64,
    /// Of the words' hashes.
    pub sum: u64,
    /// Of the words' hashes.
    pub xor: u64,
    /// A polynomial in the words' hashes: it depends on their order. That of
    /// two sequences follows from those of both, so that it can be merged,
    /// but only in the right order.
    pub order: u64,
}

/// The base of [`Row::order`]. Odd, so that no power of it vanishes.
const BASE: u64 = 0x9e37_79b9_7f4a_7c15;

impl Row {
    /// Bytes of a row in a frame.
    pub(super) const BYTES: usize = 40;

    const fn empty(key: u64) -> Self {
        Self { key, count: 0, sum: 0, xor: 0, order: 0 }
    }

    /// Takes one more word of this key.
    const fn add(&mut self, word: u64) {
        let hash = scatter(word);
        self.count += 1;
        self.sum = self.sum.wrapping_add(hash);
        self.xor ^= hash;
        self.order = self.order.wrapping_mul(BASE).wrapping_add(hash);
    }

    /// Takes what came after it, of the same key.
    pub(super) const fn append(&mut self, later: &Self) {
        self.order = self.order.wrapping_mul(power(BASE, later.count)).wrapping_add(later.order);
        // Counts come from other peers' bytes.
        self.count = self.count.wrapping_add(later.count);
        self.sum = self.sum.wrapping_add(later.sum);
        self.xor ^= later.xor;
    }

    pub(super) fn to_bytes(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        let words = [self.key, self.count, self.sum, self.xor, self.order];
        for (place, word) in bytes.chunks_exact_mut(8).zip(words) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }

    pub(super) fn from_bytes(bytes: &[u8; Self::BYTES]) -> Self {
        let mut words = words(bytes);
        let mut next = || words.next().unwrap_or(0);
        Self { key: next(), count: next(), sum: next(), xor: next(), order: next() }
    }
}

/// Rows under way, by key.
#[derive(Debug, Default)]
pub(super) struct Table(BTreeMap<u64, Row>);

impl Table {
    /// Takes the words of some bytes, each under its key.
    pub(super) fn add(&mut self, bytes: &[u8], groups: u64) {
        for word in words(bytes) {
            let key = word % groups.max(1);
            self.0.entry(key).or_insert(Row::empty(key)).add(word);
        }
    }

    /// Takes rows of words that came after all that were taken so far.
    pub(super) fn append(&mut self, rows: &[Row]) {
        for row in rows {
            self.0.entry(row.key).or_insert(Row::empty(row.key)).append(row);
        }
    }

    /// The rows in the order of their keys.
    pub(super) fn into_rows(self) -> Vec<Row> {
        self.0.into_values().collect()
    }
}

/// The fingerprint of rows, in whatever order.
pub fn fingerprint(rows: &[Row]) -> Fingerprint {
    rows.iter().fold(Fingerprint::default(), |sum, row| {
        let mut half = [0; 16];
        half.copy_from_slice(&blake3::hash(&row.to_bytes()).as_bytes()[..16]);
        sum.and(Fingerprint { rows: 1, sum: u128::from_le_bytes(half) })
    })
}

/// Bytes as little-endian words; zeros fill up the last one.
fn words(bytes: &[u8]) -> impl Iterator<Item = u64> {
    bytes.chunks(8).map(|piece| {
        let mut word = [0; 8];
        word[..piece.len()].copy_from_slice(piece);
        u64::from_le_bytes(word)
    })
}

/// Scatters the bits of a word (the finaliser of SplitMix64, Steele et al. 2014).
const fn scatter(word: u64) -> u64 {
    let z = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

const fn power(base: u64, mut exponent: u64) -> u64 {
    let (mut square, mut product) = (base, 1u64);
    while exponent > 0 {
        if exponent & 1 == 1 {
            product = product.wrapping_mul(square);
        }
        square = square.wrapping_mul(square);
        exponent >>= 1;
    }
    product
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows_of(bytes: &[u8]) -> Vec<Row> {
        let mut table = Table::default();
        table.add(bytes, 5);
        table.into_rows()
    }

    #[test]
    fn parts_merged_in_order_are_the_whole_and_out_of_order_are_not() {
        let bytes: Vec<u8> = (0..999u32).map(|n| (n * n % 251) as u8).collect();
        let whole = rows_of(&bytes);
        assert_eq!(whole.iter().map(|row| row.count).sum::<u64>(), 125);
        let (one, rest) = bytes.split_at(400);
        let (two, three) = rest.split_at(200);
        let merged = |parts: [&[u8]; 3]| {
            let mut table = Table::default();
            for part in parts {
                table.append(&rows_of(part));
            }
            table.into_rows()
        };
        assert_eq!(merged([one, two, three]), whole);
        assert_ne!(merged([two, one, three]), whole);
        assert_eq!(fingerprint(&merged([one, two, three])), fingerprint(&whole));
        assert_ne!(fingerprint(&merged([two, one, three])), fingerprint(&whole));
    }

    #[test]
    fn a_row_reads_back_and_a_fingerprint_knows_no_order() {
        let mut rows = rows_of(b"seventeen bytes!!");
        assert_eq!(rows.iter().map(|row| row.count).sum::<u64>(), 3);
        for row in &rows {
            assert_eq!(Row::from_bytes(&row.to_bytes()), *row);
        }
        let before = fingerprint(&rows);
        rows.reverse();
        assert_eq!(fingerprint(&rows), before);
        rows[0].xor ^= 1;
        assert_ne!(fingerprint(&rows), before);
    }
}
