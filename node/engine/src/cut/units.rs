//! Files that are a row of units, each of which says how long it is.

mod arrow;
mod avro;
mod bgzf;
mod bzip2;
mod zstd;

use super::CutLimits;
use super::scan::{Choice, Ends, Seek};

pub(super) use self::arrow::Arrow;
pub(super) use self::avro::Avro;
pub(super) use self::bgzf::Bgzf;
pub(super) use self::bzip2::Bzip2;
pub(super) use self::zstd::Zstd;

/// The longest head of a unit (a schema, mostly) that is looked into: a file
/// with a longer one is cut as plain bytes.
const HEAD_BYTES_MAX: usize = 1 << 20;

/// Goes through a file, unit by unit. The bytes are foreign: what does not
/// read as the format is [`Step::Lost`], and never an error.
pub(super) trait Units: Send {
    /// What `bytes` begin with, where the step before led.
    fn step(&mut self, bytes: &[u8]) -> Step;

    /// The next step is again at the beginning of a unit.
    fn rewind(&mut self);
}

/// A step through a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// So many bytes, at least one, and what follows at once are within a unit. They need not be there yet.
    Within(u64),
    /// After so many bytes, at least one, a unit ends.
    End(u64),
    /// More bytes must be there to tell: so many at least.
    Need(usize),
    /// This is nothing that is known.
    Lost,
}

/// Seeks the end of a unit nearest the target.
///
/// Looks at heads only, where the format says lengths; at most a few times
/// into the same one, in whatever pieces it comes. Where it is lost it cuts
/// plainly from there on.
pub(super) struct UnitScan<U> {
    units: U,
    limits: CutLimits,
    /// Up to here every end is known.
    seen: usize,
    /// Bytes from there on that are within a unit, and whether it ends after them.
    ahead: u64,
    ends_ahead: bool,
    /// So many bytes must be there before there is more to see.
    needed: usize,
    is_lost: bool,
    ends: Ends,
}

impl<U: Units> UnitScan<U> {
    pub(super) fn new(units: U, limits: CutLimits) -> Self {
        Self { units, limits, seen: 0, ahead: 0, ends_ahead: false, needed: 0, is_lost: false, ends: Ends::default() }
    }

    fn advance(&mut self, bytes: &[u8], at_end: bool) {
        while !self.is_lost && self.ends.after.is_none() {
            let there = (bytes.len() - self.seen) as u64;
            let passed = self.ahead.min(there);
            // At most what is there, so within usize.
            self.seen += passed as usize;
            self.ahead -= passed;
            if self.ahead > 0 {
                return;
            }
            if std::mem::take(&mut self.ends_ahead) {
                self.note(self.seen);
                continue;
            }
            let rest = &bytes[self.seen..];
            if rest.is_empty() || rest.len() < self.needed && !at_end {
                return;
            }
            match self.units.step(rest) {
                Step::Within(bytes) => (self.ahead, self.needed) = (bytes.max(1), 0),
                Step::End(bytes) => (self.ahead, self.ends_ahead, self.needed) = (bytes.max(1), true, 0),
                // Cut short: no unit ends any more.
                Step::Need(needed) if at_end && needed <= HEAD_BYTES_MAX => {
                    self.seen = bytes.len();
                    return;
                }
                Step::Need(bytes) if bytes <= HEAD_BYTES_MAX => {
                    // Twice what is there, so that a head in small pieces is looked at a few times.
                    self.needed = bytes.max(rest.len() + 1).max((rest.len() * 2).min(HEAD_BYTES_MAX));
                    return;
                }
                Step::Need(_) | Step::Lost => self.is_lost = true,
            }
        }
    }

    fn note(&mut self, end: usize) {
        if end > self.limits.target_bytes {
            self.ends.after = Some(end);
        } else if end >= self.limits.min_bytes {
            self.ends.before = Some(end);
        }
    }

    /// Where it was lost any place behind that is as good as another: the one
    /// nearest the target. Behind, since that it is lost there is told by what follows.
    fn plain(&self) -> usize {
        self.limits.target_bytes.max(self.seen + 1)
    }

    fn plainly(&mut self, len: usize) {
        let plain = self.plain();
        if plain > self.limits.target_bytes {
            self.ends.after.get_or_insert(plain);
        } else if len >= plain {
            self.ends.before = Some(plain);
        }
    }
}

impl<U: Units> Seek for UnitScan<U> {
    fn cut(&mut self, bytes: &[u8], at_end: bool) -> Option<usize> {
        self.advance(bytes, at_end);
        let mut seen = self.seen;
        if self.is_lost {
            self.plainly(bytes.len());
            seen = bytes.len();
        }
        match self.ends.choose(self.limits, seen, bytes.len(), at_end) {
            Choice::Cut(at) => Some(at),
            Choice::Wait => None,
            Choice::Force => Some(self.limits.max_bytes.min(bytes.len())),
        }
    }

    fn restart(&mut self, at: usize) {
        let Ends { before, after } = std::mem::take(&mut self.ends);
        let is_plain = self.is_lost && at == self.plain();
        if !is_plain && (before == Some(at) || after == Some(at)) {
            // What follows is gone through again: of its ends only one was kept.
            self.units.rewind();
            (self.seen, self.ahead, self.ends_ahead, self.needed, self.is_lost) = (0, 0, false, 0, false);
            return;
        }
        // Within a unit that is longer than a chunk may be; its end may be known.
        self.seen = self.seen.saturating_sub(at);
        if let Some(end) = after.filter(|end| *end > at && !self.is_lost) {
            self.note(end - at);
        }
    }
}

/// The little-endian number of `N` bytes (4 at most) at an offset.
fn number<const N: usize>(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..at + N)?;
    Some(bytes.iter().rev().fold(0, |number, byte| number << 8 | u32::from(*byte)))
}
