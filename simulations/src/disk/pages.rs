use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::ops::Range;
use std::sync::Arc;

/// What a file takes of the disk is counted in these.
pub(super) const PAGE_BYTES: u64 = 4096;

/// Pages are kept without the zeros at their end, to this many bytes.
const TRIM_BYTES: usize = 256;

/// The bytes of a file. A page that is absent is zero, and so is what a short
/// page leaves out. A clone shares its pages.
#[derive(Clone, Default)]
pub(super) struct Pages {
    len: u64,
    pages: BTreeMap<u64, Arc<[u8]>>,
}

impl Pages {
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Pages that were written.
    pub(super) fn count(&self) -> u64 {
        self.pages.len() as u64
    }

    pub(super) fn has(&self, page: u64) -> bool {
        self.pages.contains_key(&page)
    }

    /// Bytes of memory in pages.
    pub(super) fn resident_bytes(&self) -> u64 {
        self.pages.values().map(|page| page.len() as u64).sum()
    }

    /// `UnexpectedEof` past the end.
    pub(super) fn read(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        if offset.checked_add(buffer.len() as u64).is_none_or(|end| end > self.len) {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        for (page, start, range) in pieces(offset, buffer.len()) {
            let out = &mut buffer[range];
            let bytes = self.pages.get(&page).and_then(|page| page.get(start..)).unwrap_or_default();
            let there = bytes.len().min(out.len());
            out[..there].copy_from_slice(&bytes[..there]);
            out[there..].fill(0);
        }
        Ok(())
    }

    pub(super) fn write(&mut self, offset: u64, bytes: &[u8]) {
        for (page, start, range) in pieces(offset, bytes.len()) {
            let bytes = &bytes[range];
            let old = self.pages.get(&page).map_or(&[][..], |page| page);
            let new = if start == 0 && bytes.len() >= old.len() {
                Arc::from(trimmed(bytes))
            } else {
                let mut whole = old.to_vec();
                whole.resize(old.len().max(start + bytes.len()), 0);
                whole[start..start + bytes.len()].copy_from_slice(bytes);
                Arc::from(trimmed(&whole))
            };
            self.pages.insert(page, new);
        }
        self.len = self.len.max(offset + bytes.len() as u64);
    }

    pub(super) fn set_len(&mut self, len: u64) {
        if len < self.len {
            self.pages.split_off(&len.div_ceil(PAGE_BYTES));
            let last = (len % PAGE_BYTES) as usize;
            if let Some(page) = self.pages.get_mut(&(len / PAGE_BYTES))
                && page.len() > last
            {
                *page = Arc::from(&page[..last]);
            }
        }
        self.len = len;
    }

    /// Makes one page what it is in `other`.
    pub(super) fn take_page(&mut self, other: &Self, page: u64) {
        match other.pages.get(&page) {
            Some(bytes) => self.pages.insert(page, bytes.clone()),
            None => self.pages.remove(&page),
        };
    }

    pub(super) fn flip_bit(&mut self, offset: u64, bit: u32) {
        let mut byte = [0];
        if self.read(offset, &mut byte).is_ok() {
            self.write(offset, &[byte[0] ^ (1 << (bit % 8))]);
        }
    }

    pub(super) fn to_vec(&self) -> Vec<u8> {
        let mut bytes = vec![0; usize::try_from(self.len).unwrap_or(0)];
        // It is as long as the file.
        let _ = self.read(0, &mut bytes);
        bytes
    }
}

/// The pages that a range lies in.
pub(super) fn pages_of(offset: u64, bytes: usize) -> Range<u64> {
    offset / PAGE_BYTES..(offset + bytes as u64).div_ceil(PAGE_BYTES)
}

/// A range page by page: the page, where in it, and which bytes of the range.
fn pieces(offset: u64, bytes: usize) -> impl Iterator<Item = (u64, usize, Range<usize>)> {
    let mut done = 0;
    std::iter::from_fn(move || {
        let at = offset + done as u64;
        let start = (at % PAGE_BYTES) as usize;
        let piece = (PAGE_BYTES as usize - start).min(bytes - done);
        let range = done..done + piece;
        done += piece;
        (piece > 0).then_some((at / PAGE_BYTES, start, range))
    })
}

fn trimmed(bytes: &[u8]) -> &[u8] {
    const ZEROS: [u8; TRIM_BYTES] = [0; TRIM_BYTES];
    let used = bytes.chunks(TRIM_BYTES).rposition(|piece| piece != &ZEROS[..piece.len()]);
    &bytes[..used.map_or(0, |piece| ((piece + 1) * TRIM_BYTES).min(bytes.len()))]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Random;

    #[test]
    fn sparse_pages_are_what_a_plain_array_would_be() {
        let mut random = Random::from_seed(3);
        let (mut pages, mut plain) = (Pages::default(), Vec::new());
        for _ in 0..2000 {
            if random.below(8) == 0 {
                let len = random.below(20_000);
                pages.set_len(len);
                plain.resize(len as usize, 0);
            } else {
                let offset = random.below(20_000) as usize;
                let bytes: Vec<u8> = (0..random.below(9000)).map(|_| (random.below(3) * 7) as u8).collect();
                let bytes = if random.below(3) == 0 { vec![0; bytes.len()] } else { bytes };
                pages.write(offset as u64, &bytes);
                plain.resize(plain.len().max(offset + bytes.len()), 0);
                plain[offset..offset + bytes.len()].copy_from_slice(&bytes);
            }
            assert!(pages.to_vec() == plain);
        }
        assert!(pages.read(plain.len() as u64, &mut [0]).is_err());
    }

    #[test]
    fn zeros_take_no_memory() {
        let mut pages = Pages::default();
        pages.write(0, &[0; 100_000]);
        pages.write(8192, b"x");
        assert_eq!((pages.len(), pages.count(), pages.resident_bytes()), (100_000, 25, 1));
    }
}
