use memchr::{memchr, memrchr};

use super::CutLimits;
use super::quotes::{is_mark, opens};

/// Where a record may end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rule {
    Anywhere,
    /// After a newline.
    Lines,
    /// After a newline that is not inside quotes (RFC 4180). As the reader
    /// has it, a quote opens only at the beginning of a field.
    Csv {
        delimiter: u8,
    },
}

/// Whether bytes that begin where a record does end where one does.
pub(super) fn ends_record(rule: Rule, bytes: &[u8]) -> bool {
    let all = CutLimits { target_bytes: usize::MAX, max_bytes: usize::MAX, min_bytes: 1 };
    let mut scan = Scan::new(rule, all);
    scan.advance(bytes);
    match rule {
        Rule::Anywhere => true,
        Rule::Lines | Rule::Csv { .. } => !scan.in_quotes && bytes.last().is_none_or(|byte| *byte == b'\n'),
    }
}

/// Seeks where to cut the bytes since the last cut.
pub(super) trait Seek: Send {
    /// Where to cut `bytes`, which are those of the last call and more;
    /// `None` while that depends on what comes, and at the end when they are one chunk.
    fn cut(&mut self, bytes: &[u8], at_end: bool) -> Option<usize>;

    /// A cut was made there: the bytes of the next call are those behind it.
    fn restart(&mut self, at: usize);
}

/// The ends of records about the target that are known so far.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Ends {
    /// The last one from the minimum to the target.
    pub(super) before: Option<usize>,
    /// The first one past the target.
    pub(super) after: Option<usize>,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Choice {
    Cut(usize),
    Wait,
    /// No record ends up to the maximum.
    Force,
}

impl Ends {
    /// Which is nearest the target, of `len` bytes of which all ends up to
    /// `seen` are known.
    pub(super) fn choose(self, limits: CutLimits, seen: usize, len: usize, at_end: bool) -> Choice {
        let CutLimits { target_bytes: target, max_bytes: max, .. } = limits;
        let after = self.after.filter(|after| *after <= max);
        let whole = (at_end && len > target && len <= max).then_some(len);
        let wait_until = |is_known: bool, choice| if is_known { choice } else { Choice::Wait };
        match (self.before, after.or(whole)) {
            (Some(before), Some(after)) => Choice::Cut(if target - before <= after - target { before } else { after }),
            // Whatever ends beyond this is farther from the target.
            (Some(before), None) if at_end && len > target => Choice::Cut(before),
            (Some(before), None) => wait_until(seen >= max.min(2 * target - before), Choice::Cut(before)),
            (None, Some(after)) => Choice::Cut(after),
            (None, None) => wait_until(seen >= max || len > max && at_end, Choice::Force),
        }
    }
}

/// Seeks the record end nearest the target in the bytes since the last cut.
///
/// Each byte is looked at once; memchr passes over what is of no interest.
#[derive(Debug)]
pub(super) struct Scan {
    rule: Rule,
    limits: CutLimits,
    /// No cut was made yet: a byte order mark may stand here.
    at_start: bool,
    /// Up to here everything is known.
    seen: usize,
    in_quotes: bool,
    ends: Ends,
}

impl Seek for Scan {
    fn cut(&mut self, bytes: &[u8], at_end: bool) -> Option<usize> {
        if self.ends.after.is_none() {
            self.advance(bytes);
        }
        match self.ends.choose(self.limits, self.seen, bytes.len(), at_end) {
            Choice::Cut(at) => Some(at),
            Choice::Wait => None,
            Choice::Force => Some(self.forced(bytes)),
        }
    }

    fn restart(&mut self, _: usize) {
        *self = Self { at_start: false, ..Self::new(self.rule, self.limits) };
    }
}

impl Scan {
    pub(super) fn new(rule: Rule, limits: CutLimits) -> Self {
        Self { rule, limits, at_start: true, seen: 0, in_quotes: false, ends: Ends::default() }
    }

    /// No record ends up to the maximum.
    fn forced(&self, bytes: &[u8]) -> usize {
        let max = self.limits.max_bytes.min(bytes.len());
        match self.rule {
            Rule::Anywhere | Rule::Lines => max,
            // A quote that never closes: a line's end is a better guess than the middle of one.
            Rule::Csv { .. } => memrchr(b'\n', &bytes[..max]).map_or(max, |newline| newline + 1),
        }
    }

    fn advance(&mut self, bytes: &[u8]) {
        match self.rule {
            Rule::Anywhere => {
                if bytes.len() >= self.limits.target_bytes {
                    self.ends.before = Some(self.limits.target_bytes);
                }
                self.seen = bytes.len();
            }
            Rule::Lines => {
                self.note(bytes, self.seen, bytes.len());
                self.seen = bytes.len();
            }
            Rule::Csv { delimiter } => self.advance_csv(bytes, delimiter),
        }
    }

    fn advance_csv(&mut self, bytes: &[u8], delimiter: u8) {
        while let Some(quote) = memchr(b'"', &bytes[self.seen..]).map(|at| self.seen + at) {
            if !self.in_quotes {
                self.note(bytes, self.seen, quote);
                self.in_quotes = self.opens(bytes, quote, delimiter);
                self.seen = quote + 1;
                if self.ends.after.is_some() {
                    return;
                }
                continue;
            }
            match bytes.get(quote + 1) {
                Some(b'"') => self.seen = quote + 2,
                Some(_) => {
                    self.in_quotes = false;
                    self.seen = quote + 1;
                }
                // Whether this quote closes is told by the byte after it.
                None => {
                    self.seen = quote;
                    return;
                }
            }
        }
        if !self.in_quotes {
            self.note(bytes, self.seen, bytes.len());
        }
        self.seen = bytes.len();
    }

    /// Whether the quote stands at the beginning of a field.
    fn opens(&self, bytes: &[u8], quote: usize, delimiter: u8) -> bool {
        match quote.checked_sub(1).and_then(|before| bytes.get(before)) {
            None => true,
            Some(before) => opens(*before, delimiter) || self.at_start && is_mark(&bytes[..quote]),
        }
    }

    /// `bytes[from..to]` is outside quotes: every newline ends a record.
    fn note(&mut self, bytes: &[u8], from: usize, to: usize) {
        let CutLimits { target_bytes: target, min_bytes: min, .. } = self.limits;
        let (near, far) = (from.max(min - 1)..to.min(target), from.max(target)..to);
        if let Some(newline) = bytes.get(near.clone()).and_then(|bytes| memrchr(b'\n', bytes)) {
            self.ends.before = Some(near.start + newline + 1);
        }
        if self.ends.after.is_none()
            && let Some(newline) = bytes.get(far.clone()).and_then(|bytes| memchr(b'\n', bytes))
        {
            self.ends.after = Some(far.start + newline + 1);
        }
    }
}
