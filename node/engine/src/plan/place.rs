//! Which partition of a stage reads what.

use std::sync::Arc;

use datafusion::datasource::physical_plan::FileScanConfig;
use datafusion::datasource::source::DataSourceExec;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::execution_plan::replace_children_if_necessary;
use datafusion::physical_plan::union::UnionExec;
use shoal_types::{StageId, StageInput};

use super::split::{partitions, read_whole};
use crate::exchange::ExchangeReadExec;
use crate::scan::RecordScanExec;

/// A range of a pinned file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FileRange {
    pub key: String,
    pub start: u64,
    pub end: u64,
}

/// A stage's plan with its readers in their places.
pub(super) struct Placed {
    pub plan: Arc<dyn ExecutionPlan>,
    pub inputs: Vec<StageInput>,
    pub reads: Vec<Vec<FileRange>>,
    /// Producers, with the bucket of the reader's first partition and the
    /// number of buckets.
    pub dealt: Vec<(StageId, usize, usize)>,
}

/// Where in the stage a node is run.
#[derive(Clone, Copy)]
enum Place {
    /// Its partition `p` is run by partition `offset + p` of the stage.
    At(usize),
    /// Its one partition is run by every partition of the stage.
    Everywhere,
}

/// Finds the place of every leaf. Partition numbers differ between a node
/// and its stage only below unions, whose branches come one after the other.
pub(super) fn place(plan: &Arc<dyn ExecutionPlan>) -> Result<Placed, String> {
    let total = partitions(plan);
    let mut placer = Placer { total, inputs: Vec::new(), reads: vec![Vec::new(); total], dealt: Vec::new() };
    let plan = placer.node(plan, Place::At(0))?;
    Ok(Placed { plan, inputs: placer.inputs, reads: placer.reads, dealt: placer.dealt })
}

struct Placer {
    total: usize,
    inputs: Vec<StageInput>,
    reads: Vec<Vec<FileRange>>,
    dealt: Vec<(StageId, usize, usize)>,
}

impl Placer {
    fn node(&mut self, plan: &Arc<dyn ExecutionPlan>, place: Place) -> Result<Arc<dyn ExecutionPlan>, String> {
        if let Some(reader) = plan.downcast_ref::<ExchangeReadExec>() {
            return self.reader(reader, place);
        }
        if plan.children().is_empty() {
            self.scan(plan, place)?;
            return Ok(Arc::clone(plan));
        }
        let union = plan.downcast_ref::<UnionExec>().is_some();
        let whole = read_whole(plan.as_ref());
        let mut children = Vec::new();
        let mut before = 0;
        for (child, whole) in plan.children().into_iter().zip(whole) {
            let place = match place {
                Place::Everywhere => Place::Everywhere,
                Place::At(_) if whole && self.total > 1 => Place::Everywhere,
                Place::At(offset) if union => Place::At(offset + before),
                Place::At(offset) => {
                    if partitions(child) != partitions(plan) && !whole {
                        return Err(format!("{} has other partitions than its input", plan.name()));
                    }
                    Place::At(offset)
                }
            };
            before += partitions(child);
            children.push(self.node(child, place)?);
        }
        replace_children_if_necessary(Arc::clone(plan), children).map_err(|error| error.strip_backtrace())
    }

    fn reader(&mut self, reader: &ExchangeReadExec, place: Place) -> Result<Arc<dyn ExecutionPlan>, String> {
        let mut reader = reader.clone();
        reader.input = self.inputs.len();
        match place {
            Place::Everywhere if reader.partitions() != 1 => return Err("a broadcast of several partitions".into()),
            Place::Everywhere => {
                reader.broadcast = true;
                self.inputs.push(StageInput::Broadcast(reader.producer));
                self.dealt.push((reader.producer, 0, 1));
            }
            Place::At(offset) if offset + reader.partitions() > self.total => {
                return Err("an exchange with more partitions than its stage".into());
            }
            Place::At(offset) => {
                reader.offset = offset;
                self.inputs.push(StageInput::Partitioned(reader.producer));
                self.dealt.push((reader.producer, offset, self.total));
            }
        }
        Ok(Arc::new(reader))
    }

    fn scan(&mut self, leaf: &Arc<dyn ExecutionPlan>, place: Place) -> Result<(), String> {
        let groups = file_ranges(leaf.as_ref());
        if groups.is_empty() {
            return Ok(());
        }
        let Place::At(offset) = place else {
            return Err("a scan that every task would repeat".into());
        };
        for (at, group) in groups.into_iter().enumerate() {
            let Some(reads) = self.reads.get_mut(offset + at) else {
                return Err("a scan with more partitions than its stage".into());
            };
            reads.extend(group);
        }
        Ok(())
    }
}

/// The files that each partition of a leaf reads.
fn file_ranges(leaf: &dyn ExecutionPlan) -> Vec<Vec<FileRange>> {
    if let Some(scan) = leaf.downcast_ref::<RecordScanExec>() {
        let scan = &scan.scan;
        let range = |slice: &crate::scan::Slice| {
            let key = scan.files.get(slice.file as usize).map(|file| file.key.clone()).unwrap_or_default();
            FileRange { key, start: slice.start, end: slice.end }
        };
        return scan.partitions.iter().map(|slices| slices.iter().map(range).collect()).collect();
    }
    let Some(source) = leaf.downcast_ref::<DataSourceExec>() else { return Vec::new() };
    let Some(config) = source.data_source().downcast_ref::<FileScanConfig>() else { return Vec::new() };
    let range = |file: &datafusion::datasource::listing::PartitionedFile| {
        let (start, end) = file.range();
        FileRange { key: file.path().to_string(), start, end }
    };
    config.file_groups.iter().map(|group| group.iter().map(range).collect()).collect()
}
