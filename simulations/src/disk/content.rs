use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::luck::{Fate, Luck};
use super::pages::{PAGE_BYTES, Pages, pages_of};

/// A file, by however many names and handles.
#[derive(Clone)]
pub(super) struct File(Arc<Mutex<Content>>);

impl File {
    pub(super) fn new(used: Used) -> Self {
        let content = Content { now: Pages::default(), synced: Pages::default(), unsynced: VecDeque::new(), used };
        Self(Arc::new(Mutex::new(content)))
    }

    pub(super) fn content(&self) -> MutexGuard<'_, Content> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Pages that the files of a disk take.
#[derive(Clone, Default)]
pub(super) struct Used(Arc<AtomicU64>);

impl Used {
    pub(super) fn bytes(&self) -> u64 {
        self.0.load(Ordering::Relaxed) * PAGE_BYTES
    }
}

/// What a file holds, as it is read and as it would be after a power cut.
/// Both share their pages, so what is synced is there once.
pub(super) struct Content {
    now: Pages,
    synced: Pages,
    /// From `synced` to `now`, in order.
    unsynced: VecDeque<Change>,
    used: Used,
}

enum Change {
    Write(u64, Box<[u8]>),
    Len(u64),
}

impl Change {
    fn bytes(&self) -> usize {
        match self {
            Self::Write(_, bytes) => bytes.len(),
            Self::Len(_) => 0,
        }
    }
}

impl Content {
    /// What a file keeps unsynced. What is older goes to the disk by and by,
    /// as from any page cache; one change alone may be larger.
    const UNSYNCED_BYTES_MAX: usize = 1 << 20;

    pub(super) fn now(&self) -> &Pages {
        &self.now
    }

    /// What would be there after a power cut in the worst case.
    pub(super) fn synced(&self) -> &Pages {
        &self.synced
    }

    pub(super) fn is_synced(&self) -> bool {
        self.unsynced.is_empty()
    }

    /// Bytes of memory in pages and unsynced changes, as good as.
    pub(super) fn resident_bytes(&self) -> u64 {
        let unsynced: usize = self.unsynced.iter().map(Change::bytes).sum();
        self.now.resident_bytes() + unsynced as u64
    }

    pub(super) fn read(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.now.read(offset, buffer)
    }

    /// How many of `bytes` find room on a disk with so many free.
    pub(super) fn room(&self, offset: u64, bytes: usize, free_bytes: u64) -> usize {
        let mut pages_left = free_bytes / PAGE_BYTES;
        for page in pages_of(offset, bytes) {
            if self.now.has(page) {
                continue;
            }
            if pages_left == 0 {
                return (page * PAGE_BYTES).saturating_sub(offset) as usize;
            }
            pages_left -= 1;
        }
        bytes
    }

    pub(super) fn write(&mut self, offset: u64, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.change(Change::Write(offset, bytes.into()));
        }
    }

    pub(super) fn set_len(&mut self, len: u64) {
        self.change(Change::Len(len));
    }

    fn change(&mut self, change: Change) {
        self.change_now(|now| apply(now, &change));
        self.unsynced.push_back(change);
        let mut bytes: usize = self.unsynced.iter().map(Change::bytes).sum();
        while bytes > Self::UNSYNCED_BYTES_MAX
            && self.unsynced.len() > 1
            && let Some(oldest) = self.unsynced.pop_front()
        {
            bytes -= oldest.bytes();
            apply(&mut self.synced, &oldest);
        }
    }

    pub(super) fn sync(&mut self) {
        for change in self.unsynced.drain(..) {
            match change {
                Change::Write(offset, bytes) => {
                    for page in pages_of(offset, bytes.len()) {
                        self.synced.take_page(&self.now, page);
                    }
                }
                Change::Len(len) => self.synced.set_len(len),
            }
        }
        self.synced.set_len(self.now.len());
    }

    /// As Linux has it: the changes came or not and are not tried again, the
    /// page cache goes on showing some of those that did not.
    pub(super) fn fail_sync(&mut self, luck: &mut Luck) {
        let unsynced = std::mem::take(&mut self.unsynced);
        for change in &unsynced {
            befall(&mut self.synced, change, luck);
        }
        for change in &unsynced {
            if let Change::Write(offset, bytes) = change
                && luck.coin()
            {
                let synced = self.synced.clone();
                self.change_now(|now| {
                    pages_of(*offset, bytes.len()).for_each(|page| now.take_page(&synced, page));
                });
            }
        }
    }

    /// The power is gone and came again.
    pub(super) fn cut(&mut self, luck: &mut Luck) {
        for change in std::mem::take(&mut self.unsynced) {
            befall(&mut self.synced, &change, luck);
        }
        let synced = self.synced.clone();
        self.change_now(|now| *now = synced);
    }

    /// Of a file that is synced.
    pub(super) fn flip_bit(&mut self, offset: u64, bit: u32) {
        self.synced.flip_bit(offset, bit);
        self.now.take_page(&self.synced, offset / PAGE_BYTES);
    }

    fn change_now(&mut self, change: impl FnOnce(&mut Pages)) {
        let before = self.now.count();
        change(&mut self.now);
        self.used.0.fetch_add(self.now.count().wrapping_sub(before), Ordering::Relaxed);
    }
}

impl Drop for Content {
    fn drop(&mut self) {
        self.used.0.fetch_sub(self.now.count(), Ordering::Relaxed);
    }
}

fn apply(pages: &mut Pages, change: &Change) {
    match change {
        Change::Write(offset, bytes) => pages.write(*offset, bytes),
        Change::Len(len) => pages.set_len(*len),
    }
}

/// Does to what is synced what luck makes of a change that is not.
fn befall(synced: &mut Pages, change: &Change, luck: &mut Luck) {
    match change {
        Change::Write(offset, bytes) => match luck.fate(*offset, bytes.len()) {
            Fate::Kept => synced.write(*offset, bytes),
            Fate::Torn(0) | Fate::Lost => {}
            Fate::Torn(kept) => synced.write(*offset, &bytes[..kept]),
            Fate::LengthOnly => synced.set_len(synced.len().max(offset + bytes.len() as u64)),
        },
        Change::Len(len) => {
            if luck.keeps() {
                synced.set_len(*len);
            }
        }
    }
}
