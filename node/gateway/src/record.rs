//! The answer of a query on the wire: a sequence of records.
//!
//! ```text
//!   0      1              5                5+n
//!   +------+--------------+----------------+
//!   | kind | n as u32, LE | payload        |
//!   +------+--------------+----------------+
//! ```
//!
//! Kind 1 is an event (JSON, [`TimedEvent`]), 2 a frame of an Arrow IPC stream
//! (the schema message first, the end mark left out), 3 the summary (JSON,
//! [`JobView`]), 4 an error (JSON, [`ErrorView`]). The last record is a
//! summary or an error; a stream that ends without one was cut.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use serde::Serialize;
use serde::de::DeserializeOwned;
use shoal_types::Error;

use crate::view::{ErrorView, JobView, TimedEvent};

/// The longest payload of a record, in bytes. Frames are at most 1 MiB; a
/// summary with all of its events may take a few.
pub const RECORD_BYTES_MAX: usize = 16 << 20;

const HEADER_BYTES: usize = 5;
const EVENT: u8 = 1;
const FRAME: u8 = 2;
const SUMMARY: u8 = 3;
const ERROR: u8 = 4;

/// One record of a query's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record {
    Event(TimedEvent),
    Frame(Bytes),
    Summary(Box<JobView>),
    Error(ErrorView),
}

impl Record {
    /// Whether nothing follows.
    pub const fn is_last(&self) -> bool {
        matches!(self, Self::Summary(_) | Self::Error(_))
    }

    /// The record as pieces to send one after the other; a frame's bytes are
    /// not copied.
    pub fn encode(&self) -> Result<Vec<Bytes>, Error> {
        let (kind, payload) = match self {
            Self::Event(event) => (EVENT, json(event)?),
            Self::Frame(frame) => (FRAME, frame.clone()),
            Self::Summary(job) => (SUMMARY, json(job)?),
            Self::Error(error) => (ERROR, json(error)?),
        };
        let length = u32::try_from(payload.len())
            .ok()
            .filter(|length| *length as usize <= RECORD_BYTES_MAX)
            .ok_or_else(|| Error::bug(format!("a record of {} bytes", payload.len())))?;
        let mut header = BytesMut::with_capacity(HEADER_BYTES);
        header.put_u8(kind);
        header.put_u32_le(length);
        Ok(vec![header.freeze(), payload])
    }
}

fn json<T: Serialize>(value: &T) -> Result<Bytes, Error> {
    serde_json::to_vec(value)
        .map(Bytes::from)
        .map_err(|error| Error::bug(format!("cannot write a {} as JSON: {error}", std::any::type_name::<T>())))
}

/// Finds the records in bytes that come piece by piece. Keeps at most one
/// record and one piece.
#[derive(Debug, Default)]
pub struct RecordDecoder {
    buffer: BytesMut,
}

impl RecordDecoder {
    /// Takes the next bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole record; `None` until more bytes come. `BadFrame` when
    /// the bytes are none.
    pub fn next_record(&mut self) -> Result<Option<Record>, Error> {
        let bad = |what: String| Error::BadFrame { what };
        let [kind, a, b, c, d, ..] = self.buffer[..] else { return Ok(None) };
        let length = u32::from_le_bytes([a, b, c, d]) as usize;
        if !(EVENT..=ERROR).contains(&kind) {
            return Err(bad(format!("a record of kind {kind}")));
        }
        if length > RECORD_BYTES_MAX {
            return Err(bad(format!("a record of {length} bytes, {RECORD_BYTES_MAX} are allowed")));
        }
        if self.buffer.len() < HEADER_BYTES + length {
            return Ok(None);
        }
        self.buffer.advance(HEADER_BYTES);
        let payload = self.buffer.split_to(length).freeze();
        let record = match kind {
            EVENT => Record::Event(parse(&payload)?),
            FRAME => Record::Frame(payload),
            SUMMARY => Record::Summary(Box::new(parse(&payload)?)),
            _ => Record::Error(parse(&payload)?),
        };
        Ok(Some(record))
    }
}

fn parse<T: DeserializeOwned>(payload: &[u8]) -> Result<T, Error> {
    serde_json::from_slice(payload)
        .map_err(|error| Error::BadFrame { what: format!("not a {}: {error}", std::any::type_name::<T>()) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::EventView;
    use proptest::prelude::*;

    fn records() -> Vec<Record> {
        vec![
            Record::Event(TimedEvent { at_ms: 7, event: EventView::Planned { stages: 2, tasks: 9 } }),
            Record::Frame(Bytes::from_static(b"\0\x01arrow")),
            Record::Frame(Bytes::new()),
            Record::Error(ErrorView::from(&Error::Cancelled)),
        ]
    }

    fn decode_in_pieces(bytes: &[u8], piece: usize) -> Result<Vec<Record>, Error> {
        let mut decoder = RecordDecoder::default();
        let mut found = Vec::new();
        for piece in bytes.chunks(piece) {
            decoder.push(piece);
            while let Some(record) = decoder.next_record()? {
                found.push(record);
            }
        }
        Ok(found)
    }

    #[test]
    fn records_come_back_whole_however_they_are_cut() {
        let bytes: Vec<u8> = records().iter().flat_map(|r| r.encode().unwrap()).flatten().collect();
        for piece in [1, 2, 5, 7, 1000] {
            assert_eq!(decode_in_pieces(&bytes, piece).unwrap(), records());
        }
    }

    #[test]
    fn a_record_that_claims_too_much_is_refused_before_it_is_read() {
        let mut decoder = RecordDecoder::default();
        decoder.push(&[FRAME, 0xff, 0xff, 0xff, 0xff]);
        assert!(matches!(decoder.next_record(), Err(Error::BadFrame { .. })));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), piece in 1usize..20) {
            let _ = decode_in_pieces(&bytes, piece);
        }
    }
}
