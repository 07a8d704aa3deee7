use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures::future::{BoxFuture, FutureExt};
use futures::stream::{self, StreamExt};
use shoal_ports::{Clock, Compute, Cutter, FrameStream, Planning, TaskIo};
use shoal_types::{Error, Format, FragmentId, JobId, JobPlan, OutputId, PeerId, Query, Result, TaskReport, TaskSpec};

use super::cost::Slowness;
use super::cutter::WordCutter;
use super::outputs::Outputs;
use super::plan::{self, Fragment};
use super::tally::{ComputeCounters, Tally};
use super::task::TaskRun;

/// Decoded fragments kept for the tasks to come.
const FRAGMENTS_MAX: usize = 16;

/// What all engines of a world have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ComputeConfig {
    /// The world's: the disorder of attempts comes from it.
    pub seed: u64,
    /// Nominal bytes for each real one: small chunks stand for large ones.
    pub bytes_scale: u64,
    /// Real bytes of a chunk, rounded up to whole words.
    pub chunk_bytes: usize,
    /// A planted bug, for tests of the simulator only: outputs are looked up
    /// by task and not by attempt. An attempt that is not kept is served from
    /// another one of the same task; where several are kept, the first half of
    /// the frames comes from the oldest and the second from the newest.
    pub mixes_attempts: bool,
}

impl Default for ComputeConfig {
    /// 4 KiB that stand for 16 MiB.
    fn default() -> Self {
        Self { seed: 0, bytes_scale: 4_096, chunk_bytes: 4_096, mixes_attempts: false }
    }
}

/// The engine of one peer's incarnation, in virtual time. All that it keeps is
/// in memory and is gone with it.
pub struct SimCompute {
    workshop: Arc<Workshop>,
    fragments: Mutex<VecDeque<(FragmentId, Arc<Fragment>)>>,
}

/// What all tasks of an engine share.
pub(super) struct Workshop {
    pub(super) config: ComputeConfig,
    pub(super) peer: PeerId,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) slowness: Slowness,
    pub(super) outputs: Outputs,
    tally: Arc<Tally>,
}

impl SimCompute {
    /// An engine for `peer`, whose work takes as much longer as `slowness` says.
    pub fn new(config: ComputeConfig, peer: PeerId, clock: Arc<dyn Clock>, slowness: Slowness) -> Arc<Self> {
        let outputs = Outputs::new(config.mixes_attempts);
        let tally = Arc::new(Tally::new(clock.clone()));
        let workshop = Arc::new(Workshop { config, peer, clock, slowness, outputs, tally });
        Arc::new(Self { workshop, fragments: Mutex::default() })
    }

    /// Tasks that run now, in the order in which they started, and since when.
    pub fn running(&self) -> Vec<(OutputId, Duration)> {
        self.workshop.tally.running()
    }

    /// Jobs of which outputs are kept, and how many bytes of frames.
    pub fn kept(&self) -> Vec<(JobId, u64)> {
        self.workshop.outputs.kept()
    }

    pub fn counters(&self) -> ComputeCounters {
        self.workshop.tally.counters()
    }

    /// The fragment in `bytes`, decoded once for all tasks of its stage.
    fn fragment(&self, id: FragmentId, bytes: &Bytes) -> Result<Arc<Fragment>> {
        let mut known = self.fragments.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, fragment)) = known.iter().find(|(known, _)| *known == id) {
            return Ok(fragment.clone());
        }
        if FragmentId::of(bytes) != id {
            return Err(Error::BadFrame { what: format!("a fragment that is not {}", id.short()) });
        }
        let fragment = Arc::new(Fragment::decode(bytes)?);
        let ours = version();
        if fragment.engine != ours {
            let why = format!("its engine is {ours}, the job was planned by {}", fragment.engine);
            return Err(Error::NotReady { peer: self.workshop.peer, why });
        }
        known.push_back((id, fragment.clone()));
        if known.len() > FRAGMENTS_MAX {
            known.pop_front();
        }
        Ok(fragment)
    }
}

fn version() -> String {
    format!("shoal {} simulated engine", env!("CARGO_PKG_VERSION"))
}

impl Compute for SimCompute {
    fn version(&self) -> String {
        version()
    }

    fn plan(&self, query: Query, planning: Arc<dyn Planning>) -> BoxFuture<'static, Result<JobPlan>> {
        plan::plan(version(), self.workshop.clock.clone(), query, planning).boxed()
    }

    fn run(&self, task: TaskSpec, fragment: Bytes, io: Arc<dyn TaskIo>) -> BoxFuture<'static, Result<TaskReport>> {
        let fragment = self.fragment(task.fragment, &fragment);
        let workshop = self.workshop.clone();
        async move {
            let entry = workshop.tally.enter(task.output);
            let result = match fragment {
                Ok(fragment) => TaskRun { workshop, task, io, fragment }.run().await,
                Err(error) => Err(error),
            };
            let elapsed_ms = u64::try_from(entry.elapsed().as_millis()).unwrap_or(u64::MAX);
            entry.end(result.is_ok());
            Ok(TaskReport { elapsed_ms, ..result? })
        }
        .boxed()
    }

    fn output(&self, output: OutputId, bucket: u32) -> Result<FrameStream> {
        let holder = self.workshop.peer;
        let kept = self.workshop.outputs.get(output).ok_or(Error::OutputLost { output, holder })?;
        Ok(stream::iter(kept.bucket(bucket)?.into_iter().map(Ok)).boxed())
    }

    fn forget(&self, job: JobId) {
        self.workshop.outputs.forget(job);
    }

    fn release(&self, job: JobId) {
        self.workshop.outputs.release(job);
    }

    fn cutter(&self, _: &str, _: Format) -> Box<dyn Cutter> {
        Box::new(WordCutter::new(self.workshop.config.chunk_bytes))
    }

    fn ends_record(&self, _: &str, _: Format, _: &[u8]) -> bool {
        false
    }
}
