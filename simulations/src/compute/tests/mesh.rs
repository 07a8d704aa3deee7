//! A mesh in miniature: engines, chunks and a clock, driven by hand.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use futures::channel::oneshot;
use futures::future::{BoxFuture, FutureExt};
use futures::stream::StreamExt;
use shoal_ports::{Clock, Compute, FrameStream, Planning, TableFile, TableSource, TaskIo};
use shoal_types::{
    ChunkId, ChunkRef, Error, Etag, Format, FragmentId, InputPin, JobId, JobPlan, Manifest, ObjectName, OutputId,
    PeerId, Query, Result, StageId, StagePlan, TaskId, TaskReport, TaskSpec,
};

use crate::compute::{ComputeConfig, JobSpec, Row, SimCompute, Slowness, expected};
use crate::random::Random;

/// Asking another peer takes this long.
pub(super) const ROUND_TRIP: Duration = Duration::from_millis(1);

/// Time that goes on when it is told to.
#[derive(Default)]
pub(super) struct ManualClock(Mutex<(Duration, Vec<Sleeper>)>);

/// When somebody is to be woken, and how.
type Sleeper = (Duration, oneshot::Sender<()>);

impl ManualClock {
    /// Goes on to when the next sleeper wakes; false when nobody sleeps.
    pub(super) fn step(&self) -> bool {
        let (now, sleepers) = &mut *self.0.lock().unwrap();
        sleepers.retain(|(_, sleeper)| !sleeper.is_canceled());
        let next = sleepers.iter().map(|(at, _)| *at).min();
        let Some(next) = next else { return false };
        *now = next;
        for (_, sleeper) in sleepers.extract_if(.., |(at, _)| *at <= next) {
            let _ = sleeper.send(());
        }
        true
    }

    /// Drives a future to its end, and time as far as it needs.
    pub(super) fn drive<T>(&self, future: impl Future<Output = T>) -> T {
        let mut future = pin!(future);
        loop {
            if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                return value;
            }
            assert!(self.step(), "a future waits for something other than time");
        }
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Duration {
        self.0.lock().unwrap().0
    }

    fn wall_ms(&self) -> u64 {
        0
    }

    fn sleep(&self, delay: Duration) -> BoxFuture<'static, ()> {
        let (sleeper, woken) = oneshot::channel();
        let (now, sleepers) = &mut *self.0.lock().unwrap();
        sleepers.push((*now + delay, sleeper));
        woken.map(|_| ()).boxed()
    }
}

pub(super) struct Mesh {
    pub(super) clock: Arc<ManualClock>,
    pub(super) slowness: Slowness,
    pub(super) engines: Vec<Arc<SimCompute>>,
    pub(super) objects: BTreeMap<String, (Bytes, Manifest)>,
    pub(super) chunks: BTreeMap<ChunkId, Bytes>,
    this: Weak<Self>,
}

pub(super) fn peer(at: usize) -> PeerId {
    PeerId::from_bytes([at as u8 + 1; 32])
}

pub(super) const JOB: JobId = JobId::from_bytes([7; 10]);

impl Mesh {
    /// Engines for so many peers, over objects given by name and length in bytes.
    pub(super) fn new(peers: usize, config: ComputeConfig, objects: &[(&str, usize)]) -> Arc<Self> {
        let clock = Arc::new(ManualClock::default());
        let slowness = Slowness::default();
        let engine = |at| SimCompute::new(config.clone(), peer(at), clock.clone(), slowness.clone());
        let engines: Vec<_> = (0..peers).map(engine).collect();
        let (mut kept, mut chunks) = (BTreeMap::new(), BTreeMap::new());
        let mut random = Random::from_seed(11);
        for (name, length) in objects {
            let bytes: Bytes = (0..*length).map(|_| random.next_u64() as u8).collect();
            let mut cutter = engines[0].cutter(name, Format::Bytes);
            let mut cuts = cutter.push(bytes.clone()).unwrap();
            cuts.extend(cutter.finish().unwrap());
            let inline = (bytes.len() <= Manifest::INLINE_BYTES_MAX).then(|| bytes.clone());
            let mut manifest = Manifest {
                bytes: bytes.len() as u64,
                etag: Etag(String::new()),
                md5: None,
                format: Format::Bytes,
                modified_ms: 0,
                chunks: vec![],
                inline,
            };
            if manifest.inline.is_none() {
                for cut in cuts {
                    let id = ChunkId::of(&cut);
                    manifest.chunks.push(ChunkRef { id, bytes: cut.len() as u32 });
                    chunks.insert(id, cut);
                }
            }
            kept.insert((*name).to_owned(), (bytes, manifest));
        }
        Arc::new_cyclic(|this| Self { clock, slowness, engines, objects: kept, chunks, this: this.clone() })
    }

    pub(super) fn arc(&self) -> Arc<Self> {
        self.this.upgrade().unwrap()
    }

    pub(super) fn plan(&self, text: &str) -> Result<JobPlan> {
        self.clock.drive(self.engines[0].plan(Query::new(text), self.arc()))
    }

    /// What the job should give.
    pub(super) fn expected(&self, text: &str) -> Vec<Row> {
        let spec = JobSpec::parse(text).unwrap();
        let inputs = self.objects.iter().filter(|(name, _)| spec.reads(name));
        expected(&spec, inputs.map(|(_, (bytes, _))| bytes.as_ref()))
    }

    /// Starts one attempt at one task on a peer.
    pub(super) fn start(
        &self,
        at: usize,
        stage: &StagePlan,
        output: OutputId,
        inputs: Vec<Vec<InputPin>>,
    ) -> BoxFuture<'static, Result<TaskReport>> {
        let spec = TaskSpec {
            output,
            coordinator: peer(0),
            fragment: FragmentId::of(&stage.fragment),
            buckets: stage.buckets,
            inputs,
            memory_bytes: 0,
        };
        let io = Arc::new(Io { mesh: self.arc(), at });
        self.engines[at].run(spec, stage.fragment.clone(), io)
    }

    /// Runs all tasks of a job, those of a stage in any order, on any peer,
    /// with any attempt; what is in `pins` has been done. The answer's frames.
    pub(super) fn finish(&self, plan: &JobPlan, mut pins: Vec<Vec<InputPin>>, odds: &mut Random) -> Result<Vec<Bytes>> {
        for (at, stage) in plan.stages.iter().enumerate().skip(pins.len()) {
            let inputs: Vec<_> = stage.inputs.iter().map(|input| pins[input.stage().0 as usize].clone()).collect();
            let mut order: Vec<u32> = (0..stage.partitions).collect();
            order.sort_by_cached_key(|_| odds.next_u64());
            let mut made = Vec::new();
            for partition in order {
                let runner = odds.below(self.engines.len() as u64) as usize;
                let output = output(at, partition, odds.below(3) as u32);
                let report = self.clock.drive(self.start(runner, stage, output, inputs.clone()))?;
                assert_eq!(report.rows.len(), stage.buckets as usize);
                made.push(InputPin { output, holder: peer(runner) });
            }
            made.sort_by_key(|pin| pin.output.task.partition);
            pins.push(made);
        }
        let answer = pins.last().unwrap()[0];
        self.frames(answer, 0)
    }

    pub(super) fn frames(&self, pin: InputPin, bucket: u32) -> Result<Vec<Bytes>> {
        let engine = (0..self.engines.len()).find(|at| peer(*at) == pin.holder).unwrap();
        let frames = self.engines[engine].output(pin.output, bucket)?;
        self.clock.drive(frames.collect::<Vec<_>>()).into_iter().collect()
    }
}

pub(super) fn output(stage: usize, partition: u32, attempt: u32) -> OutputId {
    OutputId { task: TaskId { job: JOB, stage: StageId(stage as u32), partition }, attempt }
}

impl Planning for Mesh {
    fn resolve(&self, table: String) -> BoxFuture<'static, Result<Vec<TableFile>>> {
        let found = self.objects.iter().filter(|(name, _)| name.starts_with(&table));
        let files: Vec<_> = found
            .map(|(name, (_, manifest))| TableFile {
                name: name.clone(),
                source: TableSource::Object(ObjectName::new(name.clone()).unwrap(), manifest.clone()),
            })
            .collect();
        let files = if files.is_empty() { Err(Error::not_found("no such table", "put it")) } else { Ok(files) };
        futures::future::ready(files).boxed()
    }

    fn read_chunk(&self, _: ChunkId, _: Option<(u32, u32)>) -> BoxFuture<'static, Result<Bytes>> {
        unreachable!("a plan reads no data")
    }

    fn evaluate(&self, _: JobPlan) -> BoxFuture<'static, Result<Vec<Bytes>>> {
        unreachable!("a job has no job inside")
    }
}

/// What a task on peer `at` may ask. Every third chunk or so is here.
struct Io {
    mesh: Arc<Mesh>,
    at: usize,
}

impl TaskIo for Io {
    fn read_chunk(&self, chunk: ChunkId, range: Option<(u32, u32)>) -> BoxFuture<'static, Result<(Bytes, bool)>> {
        assert_eq!(range, None);
        let here = chunk.as_bytes()[0] as usize % self.mesh.engines.len() == self.at;
        let found = self.mesh.chunks.get(&chunk).cloned().map(|bytes| (bytes, here));
        futures::future::ready(found.ok_or(Error::ChunkLost { chunk })).boxed()
    }

    fn fetch(&self, pin: InputPin, bucket: u32) -> BoxFuture<'static, Result<FrameStream>> {
        let mesh = self.mesh.clone();
        async move {
            mesh.clock.sleep(ROUND_TRIP).await;
            let frames: Vec<_> = mesh.frames(pin, bucket)?.into_iter().map(Ok).collect();
            Ok(futures::stream::iter(frames).boxed())
        }
        .boxed()
    }

    fn is_local(&self, pin: &InputPin) -> bool {
        pin.holder == peer(self.at)
    }
}

/// Polls a future once.
pub(super) fn poll<T>(future: &mut BoxFuture<'static, T>) -> Option<T> {
    match future.poll_unpin(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}
