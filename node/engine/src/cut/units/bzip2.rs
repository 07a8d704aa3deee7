use memchr::memmem;

use super::{Step, Units};

/// The streams of a bzip2 file, of which parallel compressors make many. None
/// says how long it is, but each begins at a byte with ten that stand nowhere
/// else but by a chance of 2⁻⁷⁶ for each byte.
#[derive(Debug, Default)]
pub(crate) struct Bzip2 {
    is_within: bool,
}

const HEAD_BYTES: usize = 10;

/// Of the first block; or of the end, where a stream has none.
const BLOCKS: [&[u8]; 2] = [b"1AY&SY", b"\x17\x72\x45\x38\x50\x90"];

fn begins(bytes: &[u8]) -> bool {
    bytes.starts_with(b"BZh")
        && bytes.get(3).is_some_and(|level| (b'1'..=b'9').contains(level))
        && BLOCKS.iter().any(|block| bytes.get(4..).is_some_and(|rest| rest.starts_with(block)))
}

impl Units for Bzip2 {
    fn step(&mut self, bytes: &[u8]) -> Step {
        if bytes.len() < HEAD_BYTES {
            return Step::Need(HEAD_BYTES);
        }
        if !self.is_within {
            if !begins(bytes) {
                return Step::Lost;
            }
            self.is_within = true;
            return Step::Within(1);
        }
        if let Some(next) = memmem::find_iter(bytes, b"BZh").find(|at| begins(&bytes[*at..])) {
            self.is_within = false;
            return Step::End(next as u64);
        }
        // No head begins up to ten bytes before the end; the last of these stay, so that where
        // it has come to is known to be within.
        match bytes.len() - HEAD_BYTES {
            0 => Step::Need(HEAD_BYTES + 1),
            within => Step::Within(within as u64),
        }
    }

    fn rewind(&mut self) {
        self.is_within = false;
    }
}
