use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, MutableArrayData, RecordBatch, RecordBatchOptions, make_array};
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, SchemaRef};
use arrow::error::ArrowError;
use shoal_types::{Error, Result};

use super::frames::FrameEncoder;
use super::outputs::{Bucket, MemoryShare, Output, Outputs};
use super::spill::{SpillDir, SpillWriter};
use crate::session::BATCH_ROWS;

/// Rows of a bucket are put together into batches of about this many bytes
/// (or [`BATCH_ROWS`] rows): smaller ones cost more than they hold.
const BATCH_BYTES_TARGET: usize = 1 << 20;

/// Collects a task's rows by bucket, spilling when memory is short.
pub(crate) struct BucketWriter {
    schema: SchemaRef,
    buckets: Vec<Open>,
    memory: MemoryShare,
    outputs: Arc<Outputs>,
    spill_dir: Arc<SpillDir>,
    spill: Option<(SpillWriter, FrameEncoder)>,
}

/// A bucket being filled.
#[derive(Default)]
struct Open {
    bucket: Bucket,
    /// Small pieces, not yet put together.
    pieces: Vec<RecordBatch>,
    piece_rows: usize,
    piece_bytes: usize,
    rows: u64,
    bytes: u64,
}

impl BucketWriter {
    pub(crate) fn new(schema: SchemaRef, buckets: usize, outputs: Arc<Outputs>, spill_dir: Arc<SpillDir>) -> Self {
        let memory = outputs.memory().add(0);
        let buckets = (0..buckets).map(|_| Open::default()).collect();
        Self { schema, buckets, memory, outputs, spill_dir, spill: None }
    }

    pub(crate) fn push(&mut self, bucket: usize, batch: RecordBatch) -> Result<()> {
        let count = self.buckets.len();
        let Some(open) = self.buckets.get_mut(bucket) else {
            return Err(Error::bug(format!("rows for bucket {bucket} of {count}")));
        };
        if batch.num_rows() == 0 {
            return Ok(());
        }
        open.piece_rows += batch.num_rows();
        open.piece_bytes += row_bytes(&batch);
        open.pieces.push(batch);
        if open.piece_rows >= BATCH_ROWS || open.piece_bytes >= BATCH_BYTES_TARGET {
            self.put_together(bucket)?;
            if self.outputs.memory().is_over() {
                self.spill()?;
            }
        }
        Ok(())
    }

    /// The finished output, with rows and bytes per bucket.
    pub(crate) fn finish(mut self) -> Result<(Output, Vec<u64>, Vec<u64>)> {
        for bucket in 0..self.buckets.len() {
            self.put_together(bucket)?;
        }
        if self.outputs.memory().is_over() {
            self.spill()?;
        }
        let rows = self.buckets.iter().map(|open| open.rows).collect();
        let bytes = self.buckets.iter().map(|open| open.bytes).collect();
        let output = Output {
            schema: self.schema,
            buckets: self.buckets.into_iter().map(|open| open.bucket).collect(),
            spilled: self.spill.map(|(writer, _)| writer.finish()),
            _memory: self.memory,
        };
        Ok((output, rows, bytes))
    }

    fn put_together(&mut self, bucket: usize) -> Result<()> {
        let open = &mut self.buckets[bucket];
        if open.pieces.is_empty() {
            return Ok(());
        }
        let pieces = std::mem::take(&mut open.pieces);
        (open.piece_rows, open.piece_bytes) = (0, 0);
        let batch = compact(&self.schema, &pieces)
            .map_err(|error| Error::bug(format!("putting batches of an output together: {error}")))?;
        let bytes = batch.get_array_memory_size() as u64;
        open.rows += batch.num_rows() as u64;
        open.bytes += bytes;
        open.bucket.batches.push(batch);
        self.memory.grow(bytes);
        Ok(())
    }

    /// Moves everything that is in memory to the spill file.
    fn spill(&mut self) -> Result<()> {
        let (writer, encoder) = match &mut self.spill {
            Some(spill) => spill,
            None => {
                let (encoder, _) = FrameEncoder::new(&self.schema)?;
                self.spill.insert((self.spill_dir.create()?, encoder))
            }
        };
        for open in &mut self.buckets {
            for batch in std::mem::take(&mut open.bucket.batches) {
                for frame in encoder.encode(&batch)? {
                    open.bucket.spans.push(writer.append(&frame)?);
                }
            }
        }
        self.memory.clear();
        Ok(())
    }
}

/// The bytes that a batch's rows need, whatever larger buffers they lie in.
fn row_bytes(batch: &RecordBatch) -> usize {
    batch.columns().iter().map(|column| column.to_data().get_slice_memory_size().unwrap_or(0)).sum()
}

/// One batch of all rows, holding on to no more memory than they need.
fn compact(schema: &SchemaRef, pieces: &[RecordBatch]) -> Result<RecordBatch, ArrowError> {
    let batch = match pieces {
        [one] => one.clone(),
        several => concat_batches(schema, several)?,
    };
    let columns = batch.columns().iter().map(own).collect();
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)
}

/// The column, in buffers of its own where it is a view of larger ones.
fn own(column: &ArrayRef) -> ArrayRef {
    match column.data_type() {
        DataType::Utf8View => {
            let view = column.as_string_view();
            if view.data_buffers().is_empty() { Arc::clone(column) } else { Arc::new(view.gc()) }
        }
        DataType::BinaryView => {
            let view = column.as_binary_view();
            if view.data_buffers().is_empty() { Arc::clone(column) } else { Arc::new(view.gc()) }
        }
        _ => {
            let needed = column.to_data().get_slice_memory_size().unwrap_or(usize::MAX);
            if column.get_buffer_memory_size() > needed.saturating_mul(2).saturating_add(4096) {
                let data = column.to_data();
                let mut copy = MutableArrayData::new(vec![&data], false, column.len());
                match copy.try_extend(0, 0, column.len()) {
                    Ok(()) => make_array(copy.freeze()),
                    Err(_) => Arc::clone(column),
                }
            } else {
                Arc::clone(column)
            }
        }
    }
}
