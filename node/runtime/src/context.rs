//! What every actor and service of a peer shares.

use std::future::Future;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures::future::{Either, FutureExt, select};
use ractor::{ActorCell, ActorRef};
use shoal_ports::{Ports, TaskHandle};
use shoal_types::{AppendId, Error, Layout, LayoutId, PeerId, PeerInfo, Request, Response, Result, Secrets, wire};
use tokio::sync::{Mutex as AsyncMutex, Semaphore};

use crate::buckets::Buckets;
use crate::chunks::{self, Acks, ChunkCache, Patience, Ranges};
use crate::compared::Compared;
use crate::config::PeerConfig;
use crate::foreground::Foreground;
use crate::gauges::Levels;
use crate::in_use::InUse;
use crate::jobs::Jobs;
use crate::layouts::{LayoutMsg, Stranger, Theirs};
use crate::members::{MemberTable, MembersMsg};
use crate::moving::Progress;

use crate::names::Turns;
use crate::objects::AppendTurns;
use crate::placed::Placed;
use crate::published::Published;
use crate::registers::{Fence, Met, Queues, RegistersMsg, Swept};
use crate::replicate::yielding;
use crate::serve;
use crate::supervisor::SupervisorMsg;
use crate::surplus::Surplus;
use crate::worker::WorkerMsg;

/// The peer's core actors.
#[derive(Clone)]
pub(crate) struct Actors {
    pub(crate) members: ActorRef<MembersMsg>,
    pub(crate) layouts: ActorRef<LayoutMsg>,
    pub(crate) registers: ActorRef<RegistersMsg>,
    pub(crate) worker: ActorRef<WorkerMsg>,
    pub(crate) supervisor: ActorRef<SupervisorMsg>,
}

impl Actors {
    /// Those that the supervisor started, in the order in which they are stopped.
    pub(crate) fn core(&self) -> [ActorCell; 4] {
        [self.layouts.get_cell(), self.members.get_cell(), self.worker.get_cell(), self.registers.get_cell()]
    }
}

/// Shared by everything that a peer runs. Truth lives in the actors; here are
/// their addresses, and the latest views that they published.
pub(crate) struct Context {
    pub(crate) me: PeerId,
    pub(crate) config: PeerConfig,
    /// When this peer started, by the monotonic clock.
    pub(crate) started: Duration,
    pub(crate) ports: Ports,
    pub(crate) actors: OnceLock<Actors>,
    /// Everyone but this peer, as last seen.
    pub(crate) members: Published<MemberTable>,
    /// The layout in force here, if this peer knows one.
    pub(crate) layout: Published<Option<Arc<Placed>>>,
    pub(crate) jobs: Jobs,
    pub(crate) cache: ChunkCache,
    pub(crate) patience: Patience,
    pub(crate) acks: Acks,
    pub(crate) ranges: Ranges,
    pub(crate) foreground: Foreground,
    pub(crate) repair_turns: yielding::Turns,
    pub(crate) inbound_chunks: Semaphore,
    /// Whose chunks are written here of those that are put here.
    pub(crate) keeping_turns: Arc<Semaphore>,
    /// A permit for each byte.
    pub(crate) lagging_bytes: Arc<Semaphore>,
    pub(crate) levels: Levels,
    /// Whom this peer could not bring anything to while it brought all else
    /// to the owners of that layout.
    pub(crate) synced: Mutex<Option<(LayoutId, Vec<PeerId>)>>,
    /// Under which layout a disk keeps that from being, and how.
    pub(crate) refused: Mutex<Option<(LayoutId, Error)>>,
    /// Why an attempt to have another follow that layout was in vain, last.
    pub(crate) held_up: Mutex<Option<(LayoutId, Error)>>,
    /// How far it is with that.
    pub(crate) progress: Progress,
    pub(crate) surplus: Surplus,
    /// Chunks that jobs and readers here use.
    pub(crate) in_use: InUse,
    /// How objects of buckets are kept, as far as somebody has asked lately.
    pub(crate) buckets: Buckets,
    /// Whose turn it is to change a name.
    pub(crate) turns: Turns,
    /// The layout under which registers are operated here.
    pub(crate) fence: Mutex<Fence>,
    /// The highest ballot of registers that was met.
    pub(crate) met: Met,
    /// Who changes a register at the same time as others.
    pub(crate) queues: Queues,
    /// The layout under which registers that others keep are gone here.
    pub(crate) swept: Swept,
    /// What is compared with the registers of others.
    pub(crate) compared: Compared,
    /// What is compared with their chunks.
    pub(crate) chunks_compared: Compared,
    /// Whether somebody has this peer scrub all of its copies now.
    pub(crate) scrub_turn: AtomicBool,
    pub(crate) append_turns: AppendTurns,
    stranger: Mutex<Option<Stranger>>,
    /// What this peer says of itself.
    info: Mutex<Arc<PeerInfo>>,
    /// Held while that is changed.
    pub(crate) role_turn: AsyncMutex<()>,
    /// What admits to the mesh.
    pub(crate) secrets: Published<Secrets>,
    /// Held while that is changed.
    pub(crate) secrets_turn: AsyncMutex<()>,
}

/// The value behind a lock. What it guards is whole even if a holder panicked.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Context {
    pub(crate) fn new(config: PeerConfig, ports: Ports) -> Arc<Self> {
        let bounds = config.bounds.clone();
        Arc::new(Self {
            me: config.info.id,
            started: ports.clock.now(),
            ports,
            actors: OnceLock::new(),
            members: Published::new(MemberTable::default()),
            layout: Published::new(None),
            jobs: Jobs::new(bounds.finished_jobs),
            cache: ChunkCache::new(bounds.chunk_cache_bytes),
            patience: Patience::new(),
            acks: Acks::new(config.info.id),
            ranges: Ranges::default(),
            foreground: Foreground::default(),
            repair_turns: yielding::Turns::default(),
            inbound_chunks: Semaphore::new(bounds.inbound_chunks),
            keeping_turns: Arc::new(Semaphore::new(chunks::KEEPING_AT_ONCE)),
            lagging_bytes: Arc::new(Semaphore::new(bounds.lagging_bytes)),
            levels: Levels::default(),
            synced: Mutex::new(None),
            refused: Mutex::new(None),
            held_up: Mutex::new(None),
            progress: Progress::default(),
            surplus: Surplus::default(),
            in_use: InUse::default(),
            buckets: Buckets::default(),
            turns: Turns::default(),
            fence: Mutex::default(),
            met: Met::default(),
            queues: Queues::default(),
            swept: Swept::default(),
            compared: Compared::default(),
            chunks_compared: Compared::default(),
            scrub_turn: AtomicBool::new(false),
            append_turns: AppendTurns::default(),
            stranger: Mutex::new(None),
            info: Mutex::new(Arc::new(config.info.clone())),
            role_turn: AsyncMutex::new(()),
            secrets: Published::new(config.secrets.clone()),
            secrets_turn: AsyncMutex::new(()),
            config,
        })
    }

    /// What this peer says of itself now.
    pub(crate) fn info(&self) -> Arc<PeerInfo> {
        lock(&self.info).clone()
    }

    /// Changes that. Whoever links to it from now on is told.
    pub(crate) fn change_info(&self, change: impl FnOnce(&mut PeerInfo)) {
        let mut info = lock(&self.info);
        let mut changed = (**info).clone();
        change(&mut changed);
        if changed != **info {
            self.ports.transport.present(changed.clone());
            *info = Arc::new(changed);
        }
    }

    pub(crate) fn actors(&self) -> Result<&Actors> {
        self.actors.get().ok_or_else(|| self.not_ready("it is starting"))
    }

    pub(crate) fn not_ready(&self, why: &str) -> Error {
        Error::NotReady { peer: self.me, why: why.into() }
    }

    /// The layout in force here, if this peer knows one.
    pub(crate) fn layout(&self) -> Option<Arc<Placed>> {
        self.layout.look(Clone::clone)
    }

    pub(crate) fn require_layout(&self) -> Result<Arc<Placed>> {
        self.layout().ok_or_else(|| self.not_ready("it has not found its mesh yet"))
    }

    /// Has the layout of a peer brought here, which says that it knows this
    /// one, if that is later than ours.
    ///
    /// # Errors
    /// [`Error::NotReady`] while this peer starts.
    pub(crate) fn hint_layout(&self, from: PeerId, theirs: LayoutId) -> Result<()> {
        let before = self.layout().filter(|ours| ours.mesh == theirs.mesh && ours.version < theirs.version);
        if let Some(ours) = before {
            let (version, theirs) = (theirs.version, Theirs::from(&**ours.layout()));
            let _ = self.actors()?.layouts.cast(LayoutMsg::Hint { from, theirs, version });
        }
        Ok(())
    }

    pub(crate) fn publish_layout(&self, layout: Option<Arc<Layout>>) {
        let layout = layout.map(|layout| Arc::new(Placed::new(layout)));
        self.change_info(|info| {
            info.mesh = layout.as_ref().map(|layout| layout.mesh);
            info.replicas = layout.as_ref().map_or(self.config.info.replicas, |layout| Some(layout.replicas));
        });
        self.layout.change(|current| {
            *current = layout;
            true
        });
    }

    /// The number of copies that this peer was started with, if a mesh of so many is another than it was to join.
    pub(crate) fn other_replicas(&self, theirs: u32) -> Option<u32> {
        self.config.info.replicas.filter(|wanted| *wanted != theirs)
    }

    /// Notes that another mesh with the same secret is about, or none any more.
    pub(crate) fn say_stranger(&self, stranger: Option<Stranger>) {
        *lock(&self.stranger) = stranger;
    }

    pub(crate) fn stranger(&self) -> Option<Stranger> {
        *lock(&self.stranger)
    }

    /// Whether a peer can be counted on now: this one always. To ask about
    /// many, look at the table once.
    pub(crate) fn is_live(&self, peer: PeerId) -> bool {
        peer == self.me || self.members.look(|table| table.is_live(peer))
    }

    pub(crate) fn spawn(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) -> TaskHandle {
        self.ports.spawner.spawn(name, task.boxed())
    }

    /// The value of `work`, which may block on the disk.
    pub(crate) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Result<T> {
        match self.ports.spawner.run_blocking(work).await {
            Some(result) => result,
            None => Err(self.not_ready("it is stopping")),
        }
    }

    /// `work`, or [`Error::Timeout`] after `limit`.
    pub(crate) async fn timeout<T>(
        &self,
        what: &str,
        limit: Duration,
        work: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let work = std::pin::pin!(work);
        match select(work, self.ports.clock.sleep(limit)).await {
            Either::Left((result, _)) => result,
            Either::Right(_) => {
                let ms = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
                Err(Error::Timeout { what: what.into(), ms })
            }
        }
    }

    /// Asks a peer, this one perhaps.
    pub(crate) async fn call(self: &Arc<Self>, to: PeerId, request: Request) -> Result<Response> {
        if to == self.me {
            return serve::answer(self, self.me, request).await;
        }
        self.call_frame(to, wire::encode(&request)?).await
    }

    /// Asks another peer what was encoded before.
    pub(crate) async fn call_frame(&self, to: PeerId, frame: Bytes) -> Result<Response> {
        let answer = self.ports.transport.call(to, frame, self.config.timing.call).await?;
        wire::decode::<Result<Response>>(&answer)?
    }

    pub(crate) fn unexpected(&self, what: &str) -> Error {
        Error::BadFrame { what: format!("an answer of another kind to {what}") }
    }

    pub(crate) fn random(&self) -> u64 {
        self.ports.rng.next_u64()
    }

    /// An id that no other request has.
    pub(crate) fn new_request_id(&self) -> AppendId {
        let mut id = [0; 16];
        for half in id.chunks_exact_mut(8) {
            half.copy_from_slice(&self.random().to_le_bytes());
        }
        AppendId::from_bytes(id)
    }
}
