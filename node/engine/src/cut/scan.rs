use memchr::{memchr, memrchr};

use super::CutLimits;

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
    /// The last record end from the minimum to the target.
    before: Option<usize>,
    /// The first record end past the target.
    after: Option<usize>,
}

impl Scan {
    pub(super) fn new(rule: Rule, limits: CutLimits) -> Self {
        Self { rule, limits, at_start: true, seen: 0, in_quotes: false, before: None, after: None }
    }

    /// A cut was made: what follows is the beginning of a record.
    pub(super) fn restart(&mut self) {
        *self = Self { at_start: false, ..Self::new(self.rule, self.limits) };
    }

    /// Where to cut `bytes`, which are those of the last call and more;
    /// `None` while that depends on what comes, and at the end when they are one chunk.
    pub(super) fn cut(&mut self, bytes: &[u8], at_end: bool) -> Option<usize> {
        let CutLimits { target_bytes: target, max_bytes: max, .. } = self.limits;
        if self.after.is_none() {
            self.advance(bytes);
        }
        let after = self.after.filter(|after| *after <= max);
        let whole = (at_end && bytes.len() > target && bytes.len() <= max).then_some(bytes.len());
        match (self.before, after.or(whole)) {
            (Some(before), Some(after)) => Some(if target - before <= after - target { before } else { after }),
            // Whatever ends beyond this is farther from the target.
            (Some(before), None) if at_end && bytes.len() > target => Some(before),
            (Some(before), None) => (self.seen >= max.min(2 * target - before)).then_some(before),
            (None, Some(after)) => Some(after),
            (None, None) => (self.seen >= max || bytes.len() > max && at_end).then(|| self.forced(bytes)),
        }
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
                    self.before = Some(self.limits.target_bytes);
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
                if self.after.is_some() {
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
        const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
        match quote.checked_sub(1).and_then(|before| bytes.get(before)) {
            None | Some(b'\n' | b'\r') => true,
            Some(before) if *before == delimiter => true,
            Some(_) => self.at_start && &bytes[..quote] == BYTE_ORDER_MARK,
        }
    }

    /// `bytes[from..to]` is outside quotes: every newline ends a record.
    fn note(&mut self, bytes: &[u8], from: usize, to: usize) {
        let CutLimits { target_bytes: target, min_bytes: min, .. } = self.limits;
        let (near, far) = (from.max(min - 1)..to.min(target), from.max(target)..to);
        if let Some(newline) = bytes.get(near.clone()).and_then(|bytes| memrchr(b'\n', bytes)) {
            self.before = Some(near.start + newline + 1);
        }
        if self.after.is_none()
            && let Some(newline) = bytes.get(far.clone()).and_then(|bytes| memchr(b'\n', bytes))
        {
            self.after = Some(far.start + newline + 1);
        }
    }
}
