use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt;
use futures::future::try_join_all;
use shoal_ports::TaskIo;
use shoal_types::{Error, InputPin, Result, TaskReport, TaskSpec};

use super::attempt::{Disorder, ordered_frames};
use super::cost::Meter;
use super::engine::Workshop;
use super::frames::FrameReader;
use super::outputs::Output;
use super::plan::{Fragment, Part, Split};
use super::rows::{Row, Table, fingerprint};

/// Producers from which a task fetches at the same time.
const FETCH_TOGETHER: usize = 4;

/// One task, about to run.
pub(super) struct TaskRun {
    pub(super) workshop: Arc<Workshop>,
    pub(super) task: TaskSpec,
    pub(super) io: Arc<dyn TaskIo>,
    pub(super) fragment: Arc<Fragment>,
}

impl TaskRun {
    /// Runs the task and keeps its output. The report has no time yet.
    pub(super) async fn run(self) -> Result<TaskReport> {
        let Self { workshop, task, fragment, .. } = &self;
        if task.buckets != fragment.buckets {
            let (asked, planned) = (task.buckets, fragment.buckets);
            return Err(Error::bug(format!("a task was asked for {asked} buckets, its stage has {planned}")));
        }
        let config = &workshop.config;
        let (clock, slowness) = (workshop.clock.clone(), workshop.slowness.clone());
        let mut meter = Meter::new(clock, slowness, config.bytes_scale, fragment.seconds_per_gb);
        let mut report = TaskReport::default();
        let rows = match &fragment.part {
            Part::Map { groups, splits } => self.map(*groups, splits, &mut meter, &mut report).await?,
            Part::Reduce => {
                let mut table = Table::default();
                let bucket = task.output.task.partition;
                self.read_inputs(bucket, &mut meter, &mut report, |rows| table.append(&rows)).await?;
                table.into_rows()
            }
            Part::Gather { .. } => {
                let mut all = Vec::new();
                let bucket = task.output.task.partition;
                self.read_inputs(bucket, &mut meter, &mut report, |rows| all.extend(rows)).await?;
                all
            }
        };
        meter.settle().await;

        report.fingerprint = fingerprint(&rows);
        let mut dealt = vec![Vec::new(); fragment.buckets as usize];
        for row in rows {
            dealt[(row.key % u64::from(fragment.buckets)) as usize].push(row);
        }
        report.rows = dealt.iter().map(|rows| rows.len() as u64).collect();
        report.bytes = report.rows.iter().map(|rows| rows * Row::BYTES as u64).collect();
        let buckets = match fragment.part {
            Part::Gather { ordered: true } => dealt.into_iter().map(ordered_frames).collect(),
            Part::Map { .. } | Part::Reduce | Part::Gather { ordered: false } => {
                let mut disorder = Disorder::of(config.seed, workshop.peer, task.output);
                dealt.into_iter().map(|rows| disorder.frames(rows)).collect()
            }
        };
        workshop.outputs.put(task.output, Output { buckets });
        Ok(report)
    }

    async fn map(&self, groups: u64, splits: &[Split], meter: &mut Meter, report: &mut TaskReport) -> Result<Vec<Row>> {
        let partition = self.task.output.task.partition;
        let bytes = match splits.get(partition as usize) {
            Some(Split::Chunk(chunk)) => {
                let (bytes, here) = self.io.read_chunk(*chunk, None).await?;
                let counter = if here { &mut report.scanned_local_bytes } else { &mut report.scanned_remote_bytes };
                *counter += bytes.len() as u64;
                bytes
            }
            Some(Split::Inline(bytes)) => bytes.clone(),
            None => {
                let count = splits.len();
                return Err(Error::bug(format!("task {partition} of a stage of {count} was asked for")));
            }
        };
        meter.charge(bytes.len()).await;
        let mut table = Table::default();
        table.add(&bytes, groups);
        Ok(table.into_rows())
    }

    /// Reads one bucket of every pinned output, in the order of the pins, a
    /// few at a time, and takes the time that it costs in between: so a
    /// producer may die while its reader is at work.
    async fn read_inputs(
        &self,
        bucket: u32,
        meter: &mut Meter,
        report: &mut TaskReport,
        mut take: impl FnMut(Vec<Row>),
    ) -> Result<()> {
        let [pins] = self.task.inputs.as_slice() else {
            let count = self.task.inputs.len();
            return Err(Error::bug(format!("a task with one input was given pins for {count}")));
        };
        for pins in pins.chunks(FETCH_TOGETHER) {
            for (rows, fetched_bytes) in try_join_all(pins.iter().map(|pin| self.read_bucket(*pin, bucket))).await? {
                report.fetched_bytes += fetched_bytes;
                meter.charge(rows.len() * Row::BYTES).await;
                take(rows);
            }
        }
        Ok(())
    }

    /// The rows of one bucket, and how many bytes of them came from another peer.
    async fn read_bucket(&self, pin: InputPin, bucket: u32) -> Result<(Vec<Row>, u64)> {
        let mut reader = FrameReader::default();
        let mut fetched_bytes = 0;
        if self.io.is_local(&pin) {
            let lost = Error::OutputLost { output: pin.output, holder: pin.holder };
            for frame in self.workshop.outputs.get(pin.output).ok_or(lost)?.bucket(bucket)? {
                reader.push(&frame)?;
            }
        } else {
            let mut frames = self.io.fetch(pin, bucket).await?;
            while let Some(frame) = frames.next().await {
                let frame: Bytes = frame?;
                fetched_bytes += frame.len() as u64;
                reader.push(&frame)?;
            }
        }
        Ok((reader.finish()?, fetched_bytes))
    }
}
