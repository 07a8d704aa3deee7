use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::buffer::Buffer;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow::ipc::convert::fb_to_schema;
use arrow::ipc::reader::read_record_batch;
use arrow::ipc::root_as_message;
use bytes::Bytes;
use shoal_types::{Error, Result};

/// A message's metadata is at most this long: some hundred bytes per column.
const METADATA_BYTES_MAX: usize = 64 << 20;

/// A message's body is at most this long. Most are below a frame; only a
/// row with a very large value comes near.
const BODY_BYTES_MAX: usize = 4 << 30;

/// The marker with which a message begins, before the length of its metadata.
const CONTINUATION: [u8; 4] = [0xff; 4];
const PREFIX_BYTES: usize = 8;

/// Reads the frames of an answer as they come.
///
/// A frame holds at most one message, so it completes at most one batch. The
/// schema is known once the first message is complete, which is most often
/// the first frame.
#[derive(Default)]
pub struct AnswerReader {
    /// What has come of a message of several frames.
    pending: Vec<u8>,
    schema: Option<SchemaRef>,
}

impl AnswerReader {
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes a frame; gives the batch that it completes.
    pub fn push(&mut self, frame: Bytes) -> Result<Option<RecordBatch>> {
        let message: Buffer = if self.pending.is_empty() && is_complete(&frame)? {
            frame.into()
        } else {
            self.pending.extend_from_slice(&frame);
            if !is_complete(&self.pending)? {
                return Ok(None);
            }
            std::mem::take(&mut self.pending).into()
        };
        self.read(&message).map_err(|error| bad(error.to_string()))
    }

    /// The columns, once they are known.
    pub fn schema(&self) -> Option<SchemaRef> {
        self.schema.clone()
    }

    /// Says that no more frames come; an error when a message is incomplete.
    pub fn finish(self) -> Result<()> {
        if self.pending.is_empty() { Ok(()) } else { Err(bad("the frames end within a message".into())) }
    }

    fn read(&mut self, bytes: &Buffer) -> Result<Option<RecordBatch>, ArrowError> {
        let invalid = |what: &str| ArrowError::IpcError(what.to_owned());
        let (metadata, _) = lengths(bytes).ok_or_else(|| invalid("no message"))?;
        let message = root_as_message(&bytes[PREFIX_BYTES..PREFIX_BYTES + metadata])
            .map_err(|error| ArrowError::IpcError(error.to_string()))?;
        if let Some(schema) = message.header_as_schema() {
            if self.schema.is_some() {
                return Err(invalid("a second schema"));
            }
            self.schema = Some(Arc::new(fb_to_schema(schema)));
            return Ok(None);
        }
        let rows = message.header_as_record_batch().ok_or_else(|| invalid("a message that is no batch"))?;
        let schema = self.schema.clone().ok_or_else(|| invalid("a batch before the schema"))?;
        let body = bytes.slice(PREFIX_BYTES + metadata);
        read_record_batch(&body, rows, schema, &HashMap::new(), None, &message.version()).map(Some)
    }
}

/// The lengths of metadata and body of a message, once its metadata is there.
fn lengths(bytes: &[u8]) -> Option<(usize, usize)> {
    let metadata = u32::from_le_bytes(bytes.get(4..PREFIX_BYTES)?.try_into().ok()?) as usize;
    let message = root_as_message(bytes.get(PREFIX_BYTES..PREFIX_BYTES + metadata)?).ok()?;
    Some((metadata, usize::try_from(message.bodyLength()).ok()?))
}

/// Whether the bytes are a message, whole; an error when they cannot become one.
fn is_complete(bytes: &[u8]) -> Result<bool> {
    let Some(prefix) = bytes.get(..PREFIX_BYTES) else { return Ok(false) };
    let (marker, length) = prefix.split_at(4);
    let metadata = length.try_into().map_or(usize::MAX, |length| u32::from_le_bytes(length) as usize);
    if marker != CONTINUATION || metadata == 0 || metadata > METADATA_BYTES_MAX {
        return Err(bad("no Arrow message begins here".into()));
    }
    if bytes.len() < PREFIX_BYTES + metadata {
        return Ok(false);
    }
    let (_, body) = lengths(bytes).ok_or_else(|| bad("a message's metadata does not decode".into()))?;
    if body > BODY_BYTES_MAX {
        return Err(bad(format!("a message of {body} bytes")));
    }
    match bytes.len().cmp(&(PREFIX_BYTES + metadata + body)) {
        std::cmp::Ordering::Less => Ok(false),
        std::cmp::Ordering::Equal => Ok(true),
        std::cmp::Ordering::Greater => Err(bad("bytes after a message".into())),
    }
}

fn bad(what: String) -> Error {
    Error::BadFrame { what: format!("an exchange frame: {what}") }
}

/// All batches of an answer, and its schema.
pub fn read_frames(frames: impl IntoIterator<Item = Bytes>) -> Result<(SchemaRef, Vec<RecordBatch>)> {
    let mut reader = AnswerReader::new();
    let mut batches = Vec::new();
    for frame in frames {
        batches.extend(reader.push(frame)?);
    }
    let schema = reader.schema().ok_or_else(|| Error::BadFrame { what: "an answer without a schema".into() })?;
    reader.finish()?;
    Ok((schema, batches))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Int64Array, StringViewArray};
    use shoal_types::wire::FRAME_BYTES_MAX;

    use super::super::frames::FrameEncoder;
    use super::*;

    #[test]
    fn a_value_longer_than_a_frame_comes_through_in_several() {
        let noise: String = (0..3 * FRAME_BYTES_MAX as u64)
            .map(|at| char::from(b'a' + (at.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40) as u8 % 26))
            .collect();
        let batch = RecordBatch::try_from_iter([
            ("n", Arc::new(Int64Array::from(vec![1, 2])) as _),
            ("s", Arc::new(StringViewArray::from(vec![noise.as_str(), "short"])) as _),
        ])
        .unwrap();
        let (mut encoder, mut frames) = FrameEncoder::new(&batch.schema()).unwrap();
        frames.extend(encoder.encode(&batch).unwrap());
        assert!(frames.len() > 2 && frames.iter().all(|frame| frame.len() <= FRAME_BYTES_MAX));
        let (schema, back) = read_frames(frames).unwrap();
        assert_eq!(schema, batch.schema());
        assert_eq!(arrow::compute::concat_batches(&schema, &back).unwrap(), batch);
    }

    #[test]
    fn rows_without_columns_are_counted() {
        let schema = Arc::new(arrow::datatypes::Schema::empty());
        let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(7));
        let batch = RecordBatch::try_new_with_options(Arc::clone(&schema), vec![], &options).unwrap();
        let (mut encoder, mut frames) = FrameEncoder::new(&schema).unwrap();
        frames.extend(encoder.encode(&batch).unwrap());
        assert_eq!(read_frames(frames).unwrap().1, [batch]);
    }

    #[test]
    fn frames_of_two_producers_are_one_stream_without_the_second_schema() {
        let batch = RecordBatch::try_from_iter([("n", Arc::new(Int64Array::from(vec![1, 2])) as _)]).unwrap();
        let (mut first, mut frames) = FrameEncoder::new(&batch.schema()).unwrap();
        frames.extend(first.encode(&batch).unwrap());
        let (mut second, _) = FrameEncoder::new(&batch.schema()).unwrap();
        frames.extend(second.encode(&batch).unwrap());
        assert_eq!(read_frames(frames).unwrap().1.len(), 2);
    }

    #[test]
    fn frames_that_stop_in_the_middle_are_an_error() {
        let batch = RecordBatch::try_from_iter([("n", Arc::new(Int64Array::from(vec![1, 2])) as _)]).unwrap();
        let (mut encoder, mut frames) = FrameEncoder::new(&batch.schema()).unwrap();
        frames.extend(encoder.encode(&batch).unwrap());
        let last = frames.pop().unwrap();
        frames.push(last.slice(0..last.len() / 2));
        assert!(matches!(read_frames(frames), Err(Error::BadFrame { .. })));
        let garbage = AnswerReader::new().push(Bytes::from_static(b"garbage in, error out"));
        assert!(matches!(garbage, Err(Error::BadFrame { .. })));
    }
}
