//! Work that is watched: JSON, one object a line.
//!
//! ```text
//!   {"progress": {...}}     none, one or many
//!   {"report": {...}}       or {"error": {...}}: the last line
//! ```
//!
//! A stream that ends without one of those was cut. Whoever closes the
//! connection ends the work.

use axum::body::Body;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use futures::stream::BoxStream;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use shoal_types::{Error, Result};

use crate::view::ErrorView;

/// The longest line, in bytes: a report of thousands of members is well below.
pub(crate) const LINE_BYTES_MAX: usize = 16 << 20;

/// One line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Line<P, R> {
    Progress(P),
    Report(R),
    Error(ErrorView),
}

/// An answer of such lines.
pub(crate) fn answer<P: Serialize + 'static, R: Serialize + 'static>(
    lines: BoxStream<'static, Line<P, R>>,
) -> Response {
    let body = Body::from_stream(lines.map(|line| encode(&line)));
    let kind = [(header::CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"))];
    (kind, body).into_response()
}

fn encode<T: Serialize>(line: &T) -> Result<Bytes> {
    let mut text = serde_json::to_vec(line).map_err(|error| Error::bug(format!("cannot write a line: {error}")))?;
    text.push(b'\n');
    Ok(text.into())
}

/// Finds the lines in bytes that come piece by piece. Keeps at most one line
/// and one piece.
#[derive(Debug, Default)]
pub(crate) struct LineDecoder {
    buffer: BytesMut,
    /// Bytes in which there is no end of a line.
    looked_at: usize,
}

impl LineDecoder {
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole line; `None` until more bytes come. `BadFrame` when it
    /// is none that was expected.
    pub(crate) fn next_line<T: DeserializeOwned>(&mut self) -> Result<Option<T>> {
        let bad = |what: String| Error::BadFrame { what };
        let end = self.buffer.iter().skip(self.looked_at).position(|byte| *byte == b'\n');
        let Some(end) = end else {
            self.looked_at = self.buffer.len();
            return match self.looked_at > LINE_BYTES_MAX {
                true => Err(bad(format!("a line of more than {LINE_BYTES_MAX} bytes"))),
                false => Ok(None),
            };
        };
        let line = self.buffer.split_to(self.looked_at + end + 1);
        self.looked_at = 0;
        serde_json::from_slice(&line).map(Some).map_err(|error| bad(format!("not a line that was expected: {error}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Numbers = Line<u64, String>;

    fn decode_in_pieces(bytes: &[u8], piece: usize) -> Result<Vec<Numbers>> {
        let (mut decoder, mut found) = (LineDecoder::default(), Vec::new());
        for piece in bytes.chunks(piece) {
            decoder.push(piece);
            while let Some(line) = decoder.next_line()? {
                found.push(line);
            }
        }
        Ok(found)
    }

    #[test]
    fn lines_come_back_whole_however_they_are_cut() {
        let error = ErrorView::from(&Error::Cancelled);
        let lines = vec![Line::Progress(7), Line::Report("a\nb".into()), Line::Error(error)];
        let bytes: Vec<u8> = lines.iter().flat_map(|line| encode(line).unwrap()).collect();
        assert!(bytes.starts_with(b"{\"progress\":7}\n"));
        for piece in [1, 2, 5, 1000] {
            assert_eq!(decode_in_pieces(&bytes, piece).unwrap(), lines);
        }
    }

    #[test]
    fn a_line_without_an_end_is_refused() {
        let mut decoder = LineDecoder::default();
        decoder.push(&vec![b'x'; LINE_BYTES_MAX + 1]);
        assert!(matches!(decoder.next_line::<Numbers>(), Err(Error::BadFrame { .. })));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), piece in 1usize..20) {
            let _ = decode_in_pieces(&bytes, piece);
        }
    }
}
