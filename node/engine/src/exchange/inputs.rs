use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use bytes::Bytes;
use datafusion::common::{DataFusionError, Result as DfResult};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};
use shoal_ports::TaskIo;
use shoal_types::{Error, InputPin, Result};
use tokio::sync::mpsc;

use super::answer::AnswerReader;
use super::frames::spilled_frames;
use super::outputs::{Bucket, Output, Outputs};
use crate::error::external;

/// Producers from which frames are fetched at the same time, ahead of the
/// one that is being read.
pub(crate) const FETCH_AHEAD: usize = 4;

/// Frames of one producer that wait to be read.
const FRAMES_AHEAD: usize = 4;

pub(crate) type BatchStream = BoxStream<'static, DfResult<RecordBatch>>;

/// What a task reads of other tasks: for each input of its stage, the pinned
/// outputs in the fixed order of their partitions.
pub(crate) struct TaskInputs {
    pub(crate) pins: Vec<Vec<InputPin>>,
    io: Arc<dyn TaskIo>,
    outputs: Arc<Outputs>,
    fetched_bytes: Arc<AtomicU64>,
}

impl fmt::Debug for TaskInputs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TaskInputs({})", self.pins.len())
    }
}

impl TaskInputs {
    pub(crate) fn new(pins: Vec<Vec<InputPin>>, io: Arc<dyn TaskIo>, outputs: Arc<Outputs>) -> Self {
        Self { pins, io, outputs, fetched_bytes: Arc::default() }
    }

    pub(crate) fn fetched_bytes(&self) -> u64 {
        self.fetched_bytes.load(Ordering::Relaxed)
    }

    /// The pinned outputs of an input.
    pub(crate) fn producers(&self, input: usize) -> DfResult<&[InputPin]> {
        let pins = self.pins.get(input);
        pins.map(Vec::as_slice)
            .ok_or_else(|| external(Error::bug(format!("a task was given no pins for input {input}"))))
    }

    /// One bucket of every producer, one after the other, the next ones
    /// being fetched meanwhile.
    pub(crate) fn in_order(self: &Arc<Self>, pins: &[InputPin], bucket: u32, schema: &SchemaRef) -> BatchStream {
        let (this, schema) = (Arc::clone(self), Arc::clone(schema));
        stream::iter(pins.to_vec())
            .map(move |pin| Arc::clone(&this).open(pin, bucket, Arc::clone(&schema)))
            .buffered(FETCH_AHEAD)
            .try_flatten()
            .boxed()
    }

    /// One bucket of one producer.
    pub(crate) fn one(self: &Arc<Self>, pin: InputPin, bucket: u32, schema: &SchemaRef) -> SendableRecordBatchStream {
        let opened = Arc::clone(self).open(pin, bucket, Arc::clone(schema));
        let batches = stream::once(opened).try_flatten();
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(schema), batches))
    }

    async fn open(self: Arc<Self>, pin: InputPin, bucket: u32, schema: SchemaRef) -> DfResult<BatchStream> {
        if self.io.is_local(&pin) {
            let lost = || external(Error::OutputLost { output: pin.output, holder: pin.holder });
            let output = self.outputs.get(pin.output).ok_or_else(lost)?;
            return local(output, bucket, &schema);
        }
        let mut frames = self.io.fetch(pin, bucket).await.map_err(external)?;
        let (to_reader, mut arrived) = mpsc::channel::<Result<Bytes>>(FRAMES_AHEAD);
        let fetched = Arc::clone(&self.fetched_bytes);
        // The pump ends with the frames, or when nobody reads them any more.
        tokio::spawn(async move {
            while let Some(frame) = frames.next().await {
                if let Ok(frame) = &frame {
                    fetched.fetch_add(frame.len() as u64, Ordering::Relaxed);
                }
                let broken = frame.is_err();
                if to_reader.send(frame).await.is_err() || broken {
                    break;
                }
            }
        });
        let frames = stream::poll_fn(move |cx| arrived.poll_recv(cx)).boxed();
        Ok(decoded(frames, schema))
    }
}

/// The batches of one bucket of an output that is here, by reference.
fn local(output: Arc<Output>, bucket: u32, schema: &SchemaRef) -> DfResult<BatchStream> {
    let Some(Bucket { spans, batches }) = output.buckets.get(bucket as usize) else {
        return Err(external(Error::bug(format!("bucket {bucket} of {} was asked for", output.buckets.len()))));
    };
    let batches = stream::iter(batches.clone()).map(Ok);
    if spans.is_empty() {
        return Ok(batches.boxed());
    }
    let frames = stream::iter(spilled_frames(&output, bucket).map_err(external)?).boxed();
    Ok(decoded(frames, Arc::clone(schema)).chain(batches).boxed())
}

/// Frames as batches of the schema that the plan expects.
fn decoded(frames: BoxStream<'static, Result<Bytes>>, schema: SchemaRef) -> BatchStream {
    let start = (frames, Some(AnswerReader::new()), schema);
    stream::try_unfold(start, |(mut frames, mut reader, schema)| async move {
        loop {
            let Some(decoder) = &mut reader else { return Ok(None) };
            match frames.next().await {
                None => {
                    if let Some(decoder) = reader.take() {
                        decoder.finish().map_err(external)?;
                    }
                    return Ok(None);
                }
                Some(frame) => {
                    if let Some(batch) = decoder.push(frame.map_err(external)?).map_err(external)? {
                        let batch = batch.with_schema(Arc::clone(&schema)).map_err(|error| {
                            external(Error::BadFrame { what: format!("an exchange of another schema: {error}") })
                        })?;
                        return Ok::<_, DataFusionError>(Some((batch, (frames, reader, schema))));
                    }
                }
            }
        }
    })
    .boxed()
}
