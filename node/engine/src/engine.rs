use std::collections::VecDeque;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use datafusion::execution::cache::cache_manager::FileMetadataCache;
use datafusion::execution::cache::default_cache::DefaultCache;
use futures::future::{BoxFuture, FutureExt};
use futures::stream::{self, StreamExt};
use shoal_ports::{Compute, Cutter, FrameStream, Planning, TaskIo};
use shoal_types::{
    Error, Format, FragmentId, JobId, JobPlan, OutputId, PeerId, Query, Result, TaskReport, TaskSpec, wire,
};
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::config::EngineConfig;
use crate::cut::{CutLimits, cutter, ends_record};
use crate::exchange::{Outputs, SpillDir, output_frames};
use crate::plan::{Fragment, Planner};
use crate::run::{TaskRunner, Workshop};
use crate::session::{Surroundings, running_state, runtime_env};

/// Frames of an output that wait for the transport.
const FRAMES_AHEAD: usize = 4;

/// The engine of one peer.
///
/// Tasks and planning run on threads of its own, so that whatever else the
/// peer does never waits behind a query.
pub struct Engine {
    peer: PeerId,
    workshop: Arc<Workshop>,
    fragments: Mutex<VecDeque<(FragmentId, Arc<Fragment>)>>,
    /// There until the engine is dropped.
    runtime: Option<Runtime>,
}

impl Engine {
    /// An engine for `peer`. Empties its spill directory.
    pub fn new(config: EngineConfig, peer: PeerId) -> Result<Arc<Self>> {
        let disk = |why: String| Error::DiskFailed { peer, why };
        let spill_dir = Arc::new(SpillDir::new(config.spill_dir.join("outputs"), peer)?);
        let operators = config.spill_dir.join("operators");
        let made = SpillDir::new(operators.clone(), peer);
        made.map_err(|error| disk(format!("making {}: {error}", operators.display())))?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(config.threads.max(1))
            .thread_name("shoal-engine")
            .enable_all()
            .build()
            .map_err(|error| Error::NotReady { peer, why: format!("no threads for the engine: {error}") })?;

        let footers: Arc<FileMetadataCache> =
            Arc::new(DefaultCache::new(config.footer_cache_bytes).with_name("footers"));
        let config = EngineConfig { spill_dir: operators, ..config };
        let nothing: Arc<dyn object_store::ObjectStore> = Arc::new(object_store::memory::InMemory::new());
        let around =
            Surroundings { store: nothing, footers: Arc::clone(&footers), config: &config, memory_bytes: None };
        let env = runtime_env(&around).map_err(|error| Error::bug(error.strip_backtrace()))?;
        let outputs = Arc::new(Outputs::new(config.exchange_memory_bytes));
        let planner = Planner { config, footers, version: version() };
        let workshop = Arc::new(Workshop { planner, functions: running_state(env), outputs, spill_dir });
        Ok(Arc::new(Self { peer, workshop, fragments: Mutex::default(), runtime: Some(runtime) }))
    }

    /// The fragment in `bytes`, decoded once for all tasks of its stage.
    fn fragment(&self, id: FragmentId, bytes: &Bytes) -> Result<Arc<Fragment>> {
        let known = |fragments: &VecDeque<(FragmentId, Arc<Fragment>)>| {
            fragments.iter().find(|(known, _)| *known == id).map(|(_, fragment)| Arc::clone(fragment))
        };
        if let Some(fragment) = known(&self.fragments.lock().unwrap_or_else(PoisonError::into_inner)) {
            return Ok(fragment);
        }
        if FragmentId::of(bytes) != id {
            return Err(Error::BadFrame { what: format!("a fragment that is not {}", id.short()) });
        }
        let fragment: Arc<Fragment> = Arc::new(wire::decode(bytes)?);
        let ours = version();
        if fragment.engine != ours {
            let why = format!("its engine is {ours}, the job was planned by {}", fragment.engine);
            return Err(Error::NotReady { peer: self.peer, why });
        }
        let mut fragments = self.fragments.lock().unwrap_or_else(PoisonError::into_inner);
        fragments.push_back((id, Arc::clone(&fragment)));
        while fragments.len() > self.workshop.planner.config.fragment_cache_entries {
            fragments.pop_front();
        }
        Ok(fragment)
    }

    /// Runs `work` on the engine's threads; dropping what this gives ends it.
    fn spawn<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T>> + Send + 'static,
    ) -> BoxFuture<'static, Result<T>> {
        let Some(runtime) = &self.runtime else {
            let error = Error::NotReady { peer: self.peer, why: "the engine stops".into() };
            return futures::future::ready(Err(error)).boxed();
        };
        let mut running = AbortOnDrop(runtime.spawn(work));
        async move {
            match (&mut running.0).await {
                Ok(result) => result,
                Err(error) if error.is_panic() => Err(Error::bug(format!("the engine panicked: {error}"))),
                Err(_) => Err(Error::Cancelled),
            }
        }
        .boxed()
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // Tasks end at their next await; nobody waits for them here, which
        // may be a thread of another runtime.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// What must be the same for a fragment to be understood, and to give the same bits.
fn version() -> String {
    format!("shoal {} datafusion {}", env!("CARGO_PKG_VERSION"), datafusion::DATAFUSION_VERSION)
}

struct AbortOnDrop<T>(JoinHandle<T>);

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Compute for Engine {
    fn version(&self) -> String {
        version()
    }

    fn plan(&self, query: Query, planning: Arc<dyn Planning>) -> BoxFuture<'static, Result<JobPlan>> {
        let workshop = Arc::clone(&self.workshop);
        self.spawn(async move { workshop.planner.plan(query, planning).await })
    }

    fn run(&self, task: TaskSpec, fragment: Bytes, io: Arc<dyn TaskIo>) -> BoxFuture<'static, Result<TaskReport>> {
        let fragment = match self.fragment(task.fragment, &fragment) {
            Ok(fragment) => fragment,
            Err(error) => return futures::future::ready(Err(error)).boxed(),
        };
        let runner = TaskRunner { workshop: Arc::clone(&self.workshop), task, io };
        self.spawn(async move { runner.run(&fragment.part).await })
    }

    fn output(&self, output: OutputId, bucket: u32) -> Result<FrameStream> {
        let kept = self.workshop.outputs.get(output).ok_or(Error::OutputLost { output, holder: self.peer })?;
        let Some(runtime) = &self.runtime else {
            return Err(Error::NotReady { peer: self.peer, why: "the engine stops".into() });
        };
        let mut frames = output_frames(&kept, bucket)?;
        let (to_reader, mut arrived) = mpsc::channel(FRAMES_AHEAD);
        // Encoding costs time of a core, so it is done here and not where
        // the transport polls. It ends with the frames or with the reader.
        runtime.spawn(async move {
            for frame in &mut frames {
                let broken = frame.is_err();
                if to_reader.send(frame).await.is_err() || broken {
                    break;
                }
            }
        });
        Ok(stream::poll_fn(move |cx| arrived.poll_recv(cx)).boxed())
    }

    fn forget(&self, job: JobId) {
        self.workshop.outputs.forget(job);
    }

    fn release(&self, job: JobId) {
        self.workshop.outputs.release(job);
    }

    fn cutter(&self, name: &str, format: Format) -> Box<dyn Cutter> {
        cutter(name, format, CutLimits::default())
    }

    fn ends_record(&self, name: &str, format: Format, bytes: &[u8]) -> bool {
        ends_record(name, format, bytes)
    }
}
