//! Rows as frames: first one that says what follows, then rows.
//!
//! ```text
//!   schema frame: its text         row frame: 1 | row | row | ...    (40 bytes each)
//! ```

use bytes::{BufMut, Bytes, BytesMut};
use shoal_types::{Error, Result};

use super::rows::Row;

const SCHEMA: &[u8] = b"rows: key, count, sum, xor, order";

/// The first byte of a frame of rows.
const ROWS: u8 = 1;

/// The most rows in a frame: about 10 KiB.
pub(super) const FRAME_ROWS_MAX: usize = 256;

/// Rows in their order as frames; `length` says how many rows go into the next one.
pub(super) fn encode(mut rows: &[Row], mut length: impl FnMut() -> usize) -> Vec<Bytes> {
    let mut frames = vec![Bytes::from_static(SCHEMA)];
    while !rows.is_empty() {
        let (now, later) = rows.split_at(length().clamp(1, rows.len().min(FRAME_ROWS_MAX)));
        let mut frame = BytesMut::with_capacity(1 + now.len() * Row::BYTES);
        frame.put_u8(ROWS);
        for row in now {
            frame.put_slice(&row.to_bytes());
        }
        frames.push(frame.freeze());
        rows = later;
    }
    frames
}

/// Reads the frames of one bucket, or of an answer.
#[derive(Debug, Default)]
pub(super) struct FrameReader {
    has_schema: bool,
    rows: Vec<Row>,
}

impl FrameReader {
    pub(super) fn push(&mut self, frame: &[u8]) -> Result<()> {
        let bad = |what: &str| Err(Error::BadFrame { what: what.into() });
        if !self.has_schema {
            self.has_schema = frame == SCHEMA;
            return if self.has_schema { Ok(()) } else { bad("rows of an unknown schema") };
        }
        let Some((&ROWS, body)) = frame.split_first() else {
            return bad("a frame that has no rows where rows should be");
        };
        let (rows, rest) = body.as_chunks::<{ Row::BYTES }>();
        if rows.is_empty() || rows.len() > FRAME_ROWS_MAX || !rest.is_empty() {
            return bad("a frame of rows with a length that none has");
        }
        self.rows.extend(rows.iter().map(Row::from_bytes));
        Ok(())
    }

    pub(super) fn finish(self) -> Result<Vec<Row>> {
        if self.has_schema {
            Ok(self.rows)
        } else {
            Err(Error::BadFrame { what: "rows that end before their schema".into() })
        }
    }
}

/// The rows of an answer, in the order in which they came;
/// [`Error::BadFrame`] when the frames are not those of an answer.
pub fn decode_answer(frames: &[Bytes]) -> Result<Vec<Row>> {
    let mut reader = FrameReader::default();
    for frame in frames {
        reader.push(frame)?;
    }
    reader.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_read_back_however_they_were_cut_and_other_frames_are_refused() {
        let rows: Vec<Row> = (0..1_000).map(|key| Row { key, count: key + 1, ..Row::default() }).collect();
        for length in [1, 7, 256, 100_000] {
            let frames = encode(&rows, || length);
            assert_eq!(decode_answer(&frames), Ok(rows.clone()));
            assert_eq!(frames.len() - 1, 1_000usize.div_ceil(length.min(FRAME_ROWS_MAX)));
        }
        assert_eq!(decode_answer(&encode(&[], || 1)), Ok(vec![]));

        let good = encode(&rows[..3], || 3);
        let cut = vec![good[0].clone(), good[1].slice(..good[1].len() - 1)];
        for bad in [vec![], good[1..].to_vec(), vec![good[0].clone(), good[0].clone()], cut] {
            assert!(matches!(decode_answer(&bad), Err(Error::BadFrame { .. })), "{bad:?}");
        }
    }
}
