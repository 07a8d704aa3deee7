use bytes::{Bytes, BytesMut};
use shoal_ports::{Cut, Cutter};
use shoal_types::Result;

use super::CutLimits;
use super::scan::Seek;

/// Cuts bytes in which a record's end is seen as it passes.
///
/// Keeps at most one chunk, what is needed to see past its end, and one step.
pub(super) struct RecordCutter<S> {
    limits: CutLimits,
    scan: S,
    /// From the last cut on.
    buffer: BytesMut,
}

impl<S: Seek> RecordCutter<S> {
    /// A piece is taken in by steps of this size, so that one of many
    /// gigabytes is not copied as a whole.
    const STEP_BYTES: usize = 1 << 20;

    pub(super) fn new(scan: S, limits: CutLimits) -> Self {
        Self { limits, scan, buffer: BytesMut::new() }
    }

    fn take(&mut self, piece: &[u8]) {
        let wanted = self.buffer.len() + piece.len();
        if wanted > self.buffer.capacity() {
            // By doubling while it may stay small, then once for the whole chunk.
            let chunk = self.limits.target_bytes + self.limits.min_bytes + 2 * Self::STEP_BYTES;
            let total = if wanted < chunk / 4 { wanted * 2 } else { wanted.max(chunk) };
            self.buffer.reserve(total - self.buffer.len());
        }
        self.buffer.extend_from_slice(piece);
    }

    fn cut(&mut self, at: usize, cuts: &mut Vec<Cut>) {
        cuts.push(self.buffer.split_to(at).freeze());
        self.scan.restart(at);
    }
}

impl<S: Seek> Cutter for RecordCutter<S> {
    fn push(&mut self, mut bytes: Bytes) -> Result<Vec<Cut>> {
        let mut cuts = Vec::new();
        while !bytes.is_empty() {
            let step = bytes.split_to(bytes.len().min(Self::STEP_BYTES));
            self.take(&step);
            while let Some(at) = self.scan.cut(&self.buffer, false) {
                // What follows may be too little for a chunk of its own.
                if self.buffer.len() < at + self.limits.min_bytes {
                    break;
                }
                self.cut(at, &mut cuts);
            }
        }
        Ok(cuts)
    }

    fn finish(&mut self) -> Result<Vec<Cut>> {
        let mut cuts = Vec::new();
        while !self.buffer.is_empty() {
            let len = self.buffer.len();
            let at = self.scan.cut(&self.buffer, true).unwrap_or(len);
            let too_little_follows = len - at < self.limits.min_bytes && len <= self.limits.max_bytes;
            self.cut(if too_little_follows { len } else { at }, &mut cuts);
        }
        Ok(cuts)
    }
}
