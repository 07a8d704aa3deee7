//! A mesh in one process: engines as peers, without anything between them.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use bytes::Bytes;
use futures::StreamExt;
use futures::future::{BoxFuture, FutureExt};
use globset::Glob;
use shoal_ports::{Compute, FrameStream, Planning, TableFile, TableSource, TaskIo};
use shoal_types::{
    ChunkId, ChunkRef, Error, Etag, Fingerprint, Format, FragmentId, InputPin, JobId, JobPlan, Manifest, ObjectName,
    OutputId, PeerId, Query, Result, StageId, TaskId, TaskReport, TaskSpec,
};
use tempfile::TempDir;

use crate::{CutLimits, Engine, EngineConfig, cutter, read_frames};

/// Chunks are small here, so that little data has many.
pub(super) const CUTS: CutLimits = CutLimits { target_bytes: 16 << 10, max_bytes: 1 << 20, min_bytes: 256 };

pub(super) struct Mesh {
    pub engines: Vec<Arc<Engine>>,
    objects: Mutex<BTreeMap<String, Manifest>>,
    chunks: Mutex<HashMap<ChunkId, Bytes>>,
    jobs: AtomicU64,
    /// Where random choices of the mesh (who runs what, in which order) come from.
    odds: AtomicU64,
    _dirs: Vec<TempDir>,
}

/// A finished job.
pub(super) struct Answer {
    pub schema: SchemaRef,
    pub batches: Vec<RecordBatch>,
    pub fingerprint: Fingerprint,
    pub plan: JobPlan,
    pub reports: Vec<TaskReport>,
}

impl Answer {
    pub(super) fn rows(&self) -> usize {
        self.batches.iter().map(RecordBatch::num_rows).sum()
    }

    /// All rows in their order, as one batch.
    pub(super) fn table(&self) -> RecordBatch {
        arrow::compute::concat_batches(&self.schema, &self.batches).unwrap()
    }

    pub(super) fn text(&self) -> String {
        arrow::util::pretty::pretty_format_batches(&self.batches).unwrap().to_string()
    }

    /// Whether it ran in one task only because it could not be cut.
    pub(super) fn is_whole(&self) -> bool {
        self.plan.stages.len() == 1 && self.plan.stages[0].title == "the whole query"
    }
}

pub(super) fn small_config(dir: &TempDir) -> EngineConfig {
    EngineConfig {
        scan_bytes_target: 24 << 10,
        shuffle_bytes_target: 64 << 10,
        exchange_memory_bytes: 64 << 20,
        ..EngineConfig::new(2, dir.path())
    }
}

impl Mesh {
    pub(super) fn new(peers: usize) -> Arc<Self> {
        Self::with(peers, |config| config)
    }

    pub(super) fn with(peers: usize, change: impl Fn(EngineConfig) -> EngineConfig) -> Arc<Self> {
        let dirs: Vec<_> = (0..peers).map(|_| TempDir::new().unwrap()).collect();
        let engines = dirs
            .iter()
            .enumerate()
            .map(|(at, dir)| Engine::new(change(small_config(dir)), peer(at)).unwrap())
            .collect();
        Arc::new(Self {
            engines,
            objects: Mutex::default(),
            chunks: Mutex::default(),
            jobs: AtomicU64::new(0),
            odds: AtomicU64::new(peers as u64),
            _dirs: dirs,
        })
    }

    /// Puts an object, cut as its format says.
    pub(super) fn put(&self, name: &str, bytes: impl Into<Bytes>) {
        self.put_cut(name, bytes, CUTS);
    }

    pub(super) fn put_cut(&self, name: &str, bytes: impl Into<Bytes>, limits: CutLimits) {
        let bytes = bytes.into();
        let format = Format::of_name(name);
        let mut cutter = cutter(name, format, limits);
        let mut cuts = cutter.push(bytes.clone()).unwrap();
        cuts.extend(cutter.finish().unwrap());
        assert_eq!(cuts.iter().map(Bytes::len).sum::<usize>(), bytes.len());
        let inline = (bytes.len() <= 64).then(|| bytes.clone());
        let mut chunks = Vec::new();
        if inline.is_none() {
            for cut in cuts {
                let id = ChunkId::of(&cut);
                chunks.push(ChunkRef { id, bytes: cut.len() as u32 });
                self.chunks.lock().unwrap().insert(id, cut);
            }
        }
        let manifest = Manifest {
            bytes: bytes.len() as u64,
            etag: Etag(blake3::hash(&bytes).to_hex().to_string()),
            md5: None,
            format,
            modified_ms: 0,
            chunks,
            inline,
        };
        self.objects.lock().unwrap().insert(name.into(), manifest);
    }

    pub(super) fn chunks_of(&self, name: &str) -> usize {
        self.objects.lock().unwrap()[name].chunks.len()
    }

    pub(super) async fn sql(self: &Arc<Self>, sql: &str) -> Result<Answer> {
        self.query(Query::new(sql)).await
    }

    pub(super) async fn query(self: &Arc<Self>, query: Query) -> Result<Answer> {
        let memory_bytes = query.task_memory_bytes;
        let plan = self.engines[0].plan(query, Arc::new(Asker(Arc::clone(self)))).await?;
        self.run(plan, memory_bytes).await
    }

    /// Runs every task of a job, those of a stage in any order, on any engine.
    pub(super) fn run(self: &Arc<Self>, plan: JobPlan, memory_bytes: u64) -> BoxFuture<'static, Result<Answer>> {
        let this = Arc::clone(self);
        async move {
            let mut id = [0; 10];
            id[..8].copy_from_slice(&this.jobs.fetch_add(1, Ordering::Relaxed).to_le_bytes());
            let job = JobId::from_bytes(id);
            let mut made: Vec<Vec<InputPin>> = Vec::new();
            let mut reports = Vec::new();
            for (at, stage) in plan.stages.iter().enumerate() {
                assert!(stage.partitions > 0 && stage.buckets > 0);
                assert_eq!(stage.chunks.len(), stage.partitions as usize);
                let inputs: Vec<Vec<InputPin>> =
                    stage.inputs.iter().map(|input| made[input.stage().0 as usize].clone()).collect();
                let mut order: Vec<u32> = (0..stage.partitions).collect();
                order.sort_by_cached_key(|_| this.odd());
                let run = |partition: u32| {
                    let this = Arc::clone(&this);
                    let engine = this.odd() as usize % this.engines.len();
                    let task = TaskId { job, stage: StageId(at as u32), partition };
                    let output = OutputId { task, attempt: 0 };
                    let spec = TaskSpec {
                        output,
                        coordinator: peer(0),
                        fragment: FragmentId::of(&stage.fragment),
                        buckets: stage.buckets,
                        inputs: inputs.clone(),
                        memory_bytes,
                    };
                    let io = this.io(engine);
                    let running = this.engines[engine].run(spec, stage.fragment.clone(), io);
                    async move { running.await.map(|report| (InputPin { output, holder: peer(engine) }, report)) }
                };
                let done: Vec<Result<(InputPin, TaskReport)>> =
                    futures::stream::iter(order).map(run).buffer_unordered(2).collect().await;
                let mut done = done.into_iter().collect::<Result<Vec<_>>>()?;
                done.sort_by_key(|(pin, _)| pin.output.task.partition);
                for (_, report) in &done {
                    assert_eq!(report.rows.len(), stage.buckets as usize);
                }
                made.push(done.iter().map(|(pin, _)| *pin).collect());
                reports.extend(done.into_iter().map(|(_, report)| report));
            }
            let pin = made.last().unwrap()[0];
            let frames: Vec<Result<Bytes>> = this.engine_of(pin.holder).output(pin.output, 0)?.collect().await;
            let (schema, batches) = read_frames(frames.into_iter().collect::<Result<Vec<_>>>()?)?;
            this.engines.iter().for_each(|engine| engine.release(job));
            let fingerprint = reports.last().unwrap().fingerprint;
            assert_eq!(fingerprint, crate::fingerprint(&batches)?, "the report is about the rows that arrived");
            Ok(Answer { schema, batches, fingerprint, plan, reports })
        }
        .boxed()
    }

    pub(super) fn engine_of(&self, holder: PeerId) -> &Arc<Engine> {
        let at = (0..self.engines.len()).find(|at| peer(*at) == holder).unwrap();
        &self.engines[at]
    }

    /// What tasks on this engine may ask.
    pub(super) fn io(self: &Arc<Self>, engine: usize) -> Arc<dyn TaskIo> {
        Arc::new(PeerIo { mesh: Arc::clone(self), engine })
    }

    fn odd(&self) -> u64 {
        let mut at = self.odds.fetch_add(0x9E37_79B9_7F4A_7C15, Ordering::Relaxed);
        at = (at ^ (at >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        at ^ (at >> 27)
    }

    fn read(&self, chunk: ChunkId, range: Option<(u32, u32)>) -> Result<Bytes> {
        let chunks = self.chunks.lock().unwrap();
        let bytes = chunks.get(&chunk).ok_or(Error::ChunkLost { chunk })?;
        Ok(match range {
            None => bytes.clone(),
            Some((start, end)) => bytes.slice(start as usize..end as usize),
        })
    }
}

pub(super) fn peer(at: usize) -> PeerId {
    PeerId::from_bytes([at as u8 + 1; 32])
}

/// What the mesh answers to a planner.
pub(super) struct Asker(pub Arc<Mesh>);

impl Planning for Asker {
    fn resolve(&self, table: String) -> BoxFuture<'static, Result<Vec<TableFile>>> {
        let objects = self.0.objects.lock().unwrap();
        let glob = Glob::new(&table).unwrap().compile_matcher();
        let files: Vec<_> = objects
            .iter()
            .filter(|(name, _)| {
                let stem = name.rsplit('/').next().unwrap().split('.').next().unwrap();
                glob.is_match(name) || stem == table
            })
            .map(|(name, manifest)| TableFile {
                name: name.clone(),
                source: TableSource::Object(ObjectName::new(name.as_str()).unwrap(), manifest.clone()),
            })
            .collect();
        let answer =
            if files.is_empty() { Err(Error::not_found(format!("no '{table}'"), "put it")) } else { Ok(files) };
        async move { answer }.boxed()
    }

    fn read_chunk(&self, chunk: ChunkId, range: Option<(u32, u32)>) -> BoxFuture<'static, Result<Bytes>> {
        let bytes = self.0.read(chunk, range);
        async move { bytes }.boxed()
    }

    fn evaluate(&self, plan: JobPlan) -> BoxFuture<'static, Result<Vec<Bytes>>> {
        let running = self.0.run(plan, Query::TASK_MEMORY_BYTES);
        async move {
            let answer = running.await?;
            let (mut encoder, mut frames) = crate::exchange::FrameEncoder::new(&answer.schema)?;
            for batch in &answer.batches {
                frames.extend(encoder.encode(batch)?);
            }
            Ok(frames)
        }
        .boxed()
    }
}

/// What an engine's peer does for its tasks.
struct PeerIo {
    mesh: Arc<Mesh>,
    engine: usize,
}

impl TaskIo for PeerIo {
    fn read_chunk(&self, chunk: ChunkId, range: Option<(u32, u32)>) -> BoxFuture<'static, Result<(Bytes, bool)>> {
        let bytes = self.mesh.read(chunk, range);
        let here = chunk.as_bytes()[0] as usize % self.mesh.engines.len() == self.engine;
        async move { Ok((bytes?, here)) }.boxed()
    }

    fn fetch(&self, pin: InputPin, bucket: u32) -> BoxFuture<'static, Result<FrameStream>> {
        let frames = self.mesh.engine_of(pin.holder).output(pin.output, bucket);
        async move { frames }.boxed()
    }

    fn is_local(&self, pin: &InputPin) -> bool {
        pin.holder == peer(self.engine)
    }
}
