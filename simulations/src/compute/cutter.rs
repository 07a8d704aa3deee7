use bytes::{Bytes, BytesMut};
use shoal_ports::{Cut, Cutter};
use shoal_types::Result;

/// Cuts after so many bytes, whatever they are. No word is cut through.
pub(super) struct WordCutter {
    chunk_bytes: usize,
    buffer: BytesMut,
}

impl WordCutter {
    pub(super) fn new(chunk_bytes: usize) -> Self {
        Self { chunk_bytes: chunk_bytes.max(8).next_multiple_of(8), buffer: BytesMut::new() }
    }
}

impl Cutter for WordCutter {
    fn push(&mut self, bytes: Bytes) -> Result<Vec<Cut>> {
        self.buffer.extend_from_slice(&bytes);
        let mut cuts = Vec::new();
        while self.buffer.len() >= self.chunk_bytes {
            cuts.push(self.buffer.split_to(self.chunk_bytes).freeze());
        }
        Ok(cuts)
    }

    fn finish(&mut self) -> Result<Vec<Cut>> {
        let rest = self.buffer.split().freeze();
        Ok(if rest.is_empty() { vec![] } else { vec![rest] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_depend_on_the_bytes_and_not_on_the_pieces_in_which_they_came() {
        let bytes = Bytes::from((0..1_001u32).map(|n| n as u8).collect::<Vec<_>>());
        let cut = |piece: usize| {
            let mut cutter = WordCutter::new(97);
            let mut cuts = Vec::new();
            for at in (0..bytes.len()).step_by(piece) {
                cuts.extend(cutter.push(bytes.slice(at..bytes.len().min(at + piece))).unwrap());
            }
            cuts.extend(cutter.finish().unwrap());
            assert!(cutter.finish_some().unwrap().is_empty());
            cuts
        };
        let whole = cut(2_000);
        assert_eq!(whole.iter().map(Bytes::len).collect::<Vec<_>>(), [[104; 9].as_slice(), &[65]].concat());
        assert_eq!(whole.concat(), bytes);
        assert_eq!(cut(1), whole);
        assert_eq!(cut(104), whole);
    }
}
