//! Batches as frames: an Arrow IPC stream cut at its messages.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow::ipc::CompressionType;
use arrow::ipc::writer::{IpcWriteOptions, StreamWriter};
use bytes::Bytes;
use shoal_types::{Error, Result, wire};

use super::outputs::Output;

/// Batches are cut into messages of about this many bytes in memory, so that
/// most messages are one frame.
const MESSAGE_BYTES_TARGET: usize = wire::FRAME_BYTES_MAX / 2;

/// Writes frames of one schema.
pub(crate) struct FrameEncoder {
    writer: StreamWriter<Vec<u8>>,
}

impl FrameEncoder {
    /// An encoder, and the schema's frames.
    pub(crate) fn new(schema: &SchemaRef) -> Result<(Self, Vec<Bytes>)> {
        let options = IpcWriteOptions::default().try_with_compression(Some(CompressionType::LZ4_FRAME)).map_err(bug)?;
        let mut writer = StreamWriter::try_new_with_options(Vec::new(), schema, options).map_err(bug)?;
        let schema = frames_of(std::mem::take(writer.get_mut()).into());
        Ok((Self { writer }, schema))
    }

    /// The frames of a batch; none for one without rows.
    pub(crate) fn encode(&mut self, batch: &RecordBatch) -> Result<Vec<Bytes>> {
        let mut frames = Vec::new();
        let rows = batch.num_rows();
        let bytes = batch.get_array_memory_size().max(1);
        let step = if bytes <= MESSAGE_BYTES_TARGET {
            rows.max(1)
        } else {
            (rows as u128 * MESSAGE_BYTES_TARGET as u128 / bytes as u128).clamp(1, rows.max(1) as u128) as usize
        };
        for at in (0..rows).step_by(step) {
            self.writer.write(&batch.slice(at, step.min(rows - at))).map_err(bug)?;
            frames.extend(frames_of(std::mem::take(self.writer.get_mut()).into()));
        }
        Ok(frames)
    }
}

/// A message as frames: one, or more when it is longer than a frame may be.
pub(crate) fn frames_of(message: Bytes) -> Vec<Bytes> {
    let mut frames = Vec::with_capacity(message.len().div_ceil(wire::FRAME_BYTES_MAX));
    let mut rest = message;
    while rest.len() > wire::FRAME_BYTES_MAX {
        frames.push(rest.split_to(wire::FRAME_BYTES_MAX));
    }
    if !rest.is_empty() {
        frames.push(rest);
    }
    frames
}

/// The frames of a bucket's spilled part, the schema first.
pub(super) fn spilled_frames(
    output: &Arc<Output>,
    bucket: u32,
) -> Result<impl Iterator<Item = Result<Bytes>> + Send + use<>> {
    let (_, schema) = FrameEncoder::new(&output.schema)?;
    let output = Arc::clone(output);
    let spans = output.buckets.get(bucket as usize).map(|bucket| bucket.spans.clone()).unwrap_or_default();
    let read = move |span| match &output.spilled {
        Some(file) => file.read(span),
        None => Err(Error::bug("an output has spilled rows and no spill file")),
    };
    Ok(schema.into_iter().map(Ok).chain(spans.into_iter().map(read)))
}

/// All frames of a bucket of an output, the schema first, encoded as they
/// are asked for.
pub(crate) fn output_frames(
    output: &Arc<Output>,
    bucket: u32,
) -> Result<impl Iterator<Item = Result<Bytes>> + Send + use<>> {
    let count = output.buckets.len();
    let Some(kept) = output.buckets.get(bucket as usize) else {
        return Err(Error::bug(format!("bucket {bucket} of {count} was asked for")));
    };
    let batches = kept.batches.clone();
    let (mut encoder, _) = FrameEncoder::new(&output.schema)?;
    let encoded = batches.into_iter().flat_map(move |batch| match encoder.encode(&batch) {
        Ok(frames) => frames.into_iter().map(Ok).collect(),
        Err(error) => vec![Err(error)],
    });
    Ok(spilled_frames(output, bucket)?.chain(encoded))
}

fn bug(error: ArrowError) -> Error {
    Error::bug(format!("writing an exchange frame: {error}"))
}
