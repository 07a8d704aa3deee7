use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result as DfResult, Statistics, internal_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties, ReplaceChildrenOptions, StatisticsArgs,
};
use futures::stream::{self, StreamExt, TryStreamExt};

use super::bytes::stream_bytes;
use super::csv::CsvDecode;
use super::json::JsonDecode;
use super::locate::located;
use super::text::TextDecode;
use super::{Compression, Decode, RECORD_BYTES_MAX, Reader, RecordScan, ScanFile, Slice};
use crate::error::external;
use crate::exchange::BatchStream;
use crate::pins::{Pin, PinStore};

/// A leaf that reads CSV, JSON lines, lines or words.
#[derive(Debug, Clone)]
pub(crate) struct RecordScanExec {
    pub scan: Arc<RecordScan>,
    pub table: SchemaRef,
    pub statistics: Arc<Statistics>,
    store: Arc<PinStore>,
    properties: Arc<PlanProperties>,
}

impl RecordScanExec {
    /// `statistics` are of the columns that the scan gives.
    pub(crate) fn new(
        scan: RecordScan,
        table: SchemaRef,
        statistics: Statistics,
        store: Arc<PinStore>,
    ) -> DfResult<Self> {
        let schema = Arc::new(table.project(&scan.projection)?);
        let properties = Arc::new(PlanProperties::new(
            EquivalenceProperties::new(schema),
            Partitioning::UnknownPartitioning(scan.partitions.len()),
            EmissionType::Incremental,
            Boundedness::Bounded,
        ));
        Ok(Self { scan: Arc::new(scan), table, statistics: Arc::new(statistics), store, properties })
    }
}

impl DisplayAs for RecordScanExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.scan.reader {
            Reader::Csv => "csv",
            Reader::Json => "json",
            Reader::Lines { .. } => "lines",
            Reader::Words => "words",
        };
        let columns: Vec<_> = self.scan.projection.iter().map(|at| self.table.field(*at).name().as_str()).collect();
        let (files, partitions) = (self.scan.files.len(), self.scan.partitions.len());
        write!(f, "RecordScanExec: {what}, files={files}, partitions={partitions}, columns=[{}]", columns.join(", "))?;
        match self.scan.limit {
            Some(limit) => write!(f, ", limit={limit}"),
            None => Ok(()),
        }
    }
}

impl ExecutionPlan for RecordScanExec {
    fn name(&self) -> &'static str {
        "RecordScanExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> DfResult<TreeNodeRecursion>,
    ) -> DfResult<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        _: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> DfResult<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn with_new_children(self: Arc<Self>, _: Vec<Arc<dyn ExecutionPlan>>) -> DfResult<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn statistics_from_inputs(&self, _: &[Arc<Statistics>], args: &StatisticsArgs) -> DfResult<Arc<Statistics>> {
        Ok(match args.partition() {
            None => Arc::clone(&self.statistics),
            Some(_) => Arc::new(Statistics::new_unknown(&self.schema())),
        })
    }

    fn execute(&self, partition: usize, _: Arc<TaskContext>) -> DfResult<SendableRecordBatchStream> {
        let Some(slices) = self.scan.partitions.get(partition) else {
            return internal_err!("a scan has no partition {partition}");
        };
        let (scan, store, table) = (Arc::clone(&self.scan), Arc::clone(&self.store), Arc::clone(&self.table));
        let batches = stream::iter(slices.clone())
            .map(move |slice| Ok((slice, Arc::clone(&scan), Arc::clone(&store), Arc::clone(&table))))
            .and_then(|(slice, scan, store, table)| async move { read_slice(slice, scan, store, table) })
            .try_flatten();
        let batches = first_rows(batches.boxed(), self.scan.limit);
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), batches)))
    }
}

/// No more than `limit` rows, give or take a batch: whoever set it counts again.
fn first_rows(batches: BatchStream, limit: Option<usize>) -> BatchStream {
    let Some(limit) = limit else { return batches };
    let mut left = limit;
    batches
        .try_take_while(move |batch| {
            let more = left > 0;
            left = left.saturating_sub(batch.num_rows());
            async move { Ok(more) }
        })
        .boxed()
}

/// The bytes of a slice being decoded.
struct Reading<S> {
    bytes: S,
    decoder: Box<dyn Decode>,
    ready: VecDeque<RecordBatch>,
    /// The last byte that came, and whether all have come.
    last: Option<u8>,
    ended: bool,
}

fn read_slice(slice: Slice, scan: Arc<RecordScan>, store: Arc<PinStore>, table: SchemaRef) -> DfResult<BatchStream> {
    let Some(file) = scan.files.get(slice.file as usize) else {
        return internal_err!("a scan has no file {}", slice.file);
    };
    let pin = Arc::clone(store.pin(&file.key).map_err(external)?);
    let decoder = decoder(&scan, &table, slice, file, &pin)?;
    let bytes = stream_bytes(Arc::clone(&store), Arc::clone(&pin), slice.start..slice.end, file.compression);
    let reading = Reading { bytes, decoder, ready: VecDeque::new(), last: None, ended: false };
    let batches = stream::try_unfold((reading, scan, store, pin, table), move |mut state| async move {
        let (reading, scan, store, pin, table) = &mut state;
        while reading.ready.is_empty() && !reading.ended {
            let mut out = Vec::new();
            let decoded = match reading.bytes.try_next().await? {
                Some(bytes) => {
                    reading.last = bytes.last().copied().or(reading.last);
                    reading.decoder.push(&bytes, &mut out)
                }
                None => {
                    reading.ended = true;
                    let is_cut = reading.last.is_some_and(|last| last != b'\n') || reading.decoder.is_open();
                    if slice.end < pin.bytes && is_cut {
                        return Err(external(unaligned(pin, slice)));
                    }
                    reading.decoder.finish(&mut out)
                }
            };
            if let Err(error) = decoded {
                return Err(external(located(store, pin, scan, table, slice, error).await));
            }
            if reading.decoder.unfinished_bytes() > RECORD_BYTES_MAX {
                return Err(external(endless(pin)));
            }
            reading.ready.extend(out);
        }
        Ok(reading.ready.pop_front().map(|batch| (batch, state)))
    });
    Ok(batches.boxed())
}

fn decoder(scan: &RecordScan, table: &Schema, slice: Slice, file: &ScanFile, pin: &Pin) -> DfResult<Box<dyn Decode>> {
    Ok(match scan.reader {
        Reader::Csv => {
            // Nothing shorter than the longest record has a longer one.
            let is_short = file.compression == Compression::None && slice.end - slice.start <= RECORD_BYTES_MAX as u64;
            let may_be_cut = slice.end < pin.bytes || !is_short;
            Box::new(CsvDecode::new(table, &scan.projection, file, slice.start == 0, may_be_cut)?)
        }
        Reader::Json => Box::new(JsonDecode::new(table, &scan.projection)?),
        Reader::Lines { with_file } => {
            let file = with_file.then(|| pin.name.clone());
            Box::new(TextDecode::new(table, &scan.projection, file, false)?)
        }
        Reader::Words => Box::new(TextDecode::new(table, &scan.projection, None, true)?),
    })
}

/// A record that goes on in the next chunk would be read as two wrong ones.
fn unaligned(pin: &Pin, slice: Slice) -> shoal_types::Error {
    shoal_types::Error::BadData {
        object: pin.name.clone(),
        what: format!("the record around byte {} is longer than a chunk", slice.end),
        hint: "a quote before it may never close; a record has at most 64 MiB".into(),
    }
}

fn endless(pin: &Pin) -> shoal_types::Error {
    shoal_types::Error::BadData {
        object: pin.name.clone(),
        what: format!("a record is longer than {} MiB", RECORD_BYTES_MAX >> 20),
        hint: "records end at newlines; look at how the object begins and ends, or name another format for it".into(),
    }
}
