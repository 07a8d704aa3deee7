//! The machines of a world, and the peers that run on them.

mod life;
mod renewal;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use shoal_ports::Inbound;
use shoal_runtime::Peer;
use shoal_types::{PeerId, PeerInfo, Secrets};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use crate::compute::{SimCompute, Slowness};
use crate::disk::SimDisk;
pub use life::Death;
use life::EPOCH_MS;

/// A machine, by its number in the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct HostId(pub(crate) u32);

impl HostId {
    /// What it is called, `peer-7`.
    pub(crate) fn name(self) -> String {
        format!("peer-{}", self.0)
    }

    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }

    /// Where its peer listens.
    pub(crate) fn address(self) -> String {
        format!("{}:7400", self.name())
    }

    pub(crate) fn at_address(address: &str) -> Option<Self> {
        address.strip_suffix(":7400")?.strip_prefix("peer-")?.parse().ok().map(Self)
    }
}

impl fmt::Display for HostId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "peer-{}", self.0)
    }
}

/// One life of a peer, from its start to its crash. What it spawned, and what
/// it still wants of disk and network, ends with it.
pub(crate) struct Incarnation {
    pub(crate) host: HostId,
    pub(crate) number: u64,
    alive: AtomicBool,
    tasks: Mutex<Tasks>,
}

#[derive(Default)]
struct Tasks {
    entered: u64,
    running: BTreeMap<u64, (&'static str, AbortHandle)>,
}

impl Incarnation {
    pub(crate) fn new(host: HostId, number: u64) -> Arc<Self> {
        Arc::new(Self { host, number, alive: AtomicBool::new(true), tasks: Mutex::default() })
    }

    pub(crate) fn is_alive(&self) -> bool {
        self.alive.load(Relaxed)
    }

    fn tasks(&self) -> MutexGuard<'_, Tasks> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs a task that ends with this life, at the latest.
    pub(crate) fn spawn(
        self: &Arc<Self>,
        name: &'static str,
        task: impl Future<Output = ()> + Send + 'static,
    ) -> Option<AbortHandle> {
        if !self.is_alive() {
            return None;
        }
        let number = {
            let mut tasks = self.tasks();
            tasks.entered += 1;
            tasks.entered
        };
        let listed = Listed { incarnation: self.clone(), number };
        let handle = tokio::spawn(async move {
            let _listed = listed;
            task.await;
        })
        .abort_handle();
        self.tasks().running.insert(number, (name, handle.clone()));
        Some(handle)
    }

    /// Tasks that run, by name.
    pub(crate) fn running(&self) -> BTreeMap<&'static str, usize> {
        let mut names = BTreeMap::new();
        for (name, _) in self.tasks().running.values() {
            *names.entry(*name).or_default() += 1;
        }
        names
    }

    /// Those that run since before the task of this number.
    pub(crate) fn older(&self, number: u64) -> BTreeMap<&'static str, usize> {
        let mut names = BTreeMap::new();
        for (name, _) in self.tasks().running.range(..=number).map(|(_, task)| task) {
            *names.entry(*name).or_default() += 1;
        }
        names
    }

    /// How many tasks there have been.
    pub(crate) fn last_task(&self) -> u64 {
        self.tasks().entered
    }

    /// Nothing of it reaches the world from here on.
    fn end(&self) {
        self.alive.store(false, Relaxed);
        let running = std::mem::take(&mut self.tasks().running);
        for (_, handle) in running.into_values() {
            handle.abort();
        }
    }
}

/// Takes a task off the list when it has ended, however it did.
struct Listed {
    incarnation: Arc<Incarnation>,
    number: u64,
}

impl Drop for Listed {
    fn drop(&mut self) {
        self.incarnation.tasks().running.remove(&self.number);
    }
}

/// What a host's clocks show, next to virtual time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct ClockConditions {
    /// Of the wall clock, in ms.
    skew_ms: i64,
    /// Of the monotonic clock, in millionths: 1,000 gains 3.6 s an hour.
    drift_ppm: i64,
    /// Since when it drifts so, and what it showed then.
    since: Duration,
    shown: Duration,
}

impl ClockConditions {
    /// Sets the wall clock and has the monotonic one drift otherwise from
    /// `world` on: it goes on from what it shows then.
    pub(crate) fn set(&mut self, world: Duration, skew_ms: i64, drift_ppm: i64) {
        *self = Self { skew_ms, drift_ppm, since: world, shown: self.local(world) };
    }

    /// What its monotonic clock shows.
    pub(crate) fn local(self, world: Duration) -> Duration {
        self.shown + scale(world.saturating_sub(self.since), 1_000_000 + self.drift_ppm, 1_000_000)
    }

    /// What its wall clock shows, in ms since the epoch.
    pub(crate) fn wall_ms(self, world: Duration) -> u64 {
        let passed = u64::try_from(self.local(world).as_millis()).unwrap_or(u64::MAX);
        EPOCH_MS.saturating_add(passed).saturating_add_signed(self.skew_ms)
    }

    /// How much virtual time passes while `local` passes on its monotonic clock.
    pub(crate) fn world(self, local: Duration) -> Duration {
        scale(local, 1_000_000, 1_000_000 + self.drift_ppm)
    }
}

fn scale(time: Duration, by: i64, of: i64) -> Duration {
    let nanos = time.as_nanos().saturating_mul(by.max(1) as u128) / of.max(1) as u128;
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

/// The peer that is up on a host.
#[derive(Clone)]
pub(crate) struct Running {
    pub(crate) incarnation: Arc<Incarnation>,
    pub(crate) inbound: mpsc::Sender<Inbound>,
    pub(crate) compute: Arc<SimCompute>,
    /// For tests that do something to what is in it.
    #[cfg(test)]
    pub(crate) store: Arc<dyn shoal_ports::Store>,
    pub(crate) info: Arc<PeerInfo>,
    /// By which it admits and is admitted.
    pub(crate) secrets: Secrets,
    /// There once it has started.
    pub(crate) peer: Option<Peer>,
    pub(crate) since: Duration,
}

/// Counters of a host over all its lives.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct HostStats {
    pub(crate) sent_bytes: u64,
    pub(crate) received_bytes: u64,
    pub(crate) up: Duration,
    pub(crate) tasks: u64,
    pub(crate) busy: Duration,
    /// The longest that its inbound queue has been.
    pub(crate) inbound_max: usize,
}

/// A machine.
pub(crate) struct Host {
    pub(crate) id: PeerId,
    pub(crate) zone: String,
    pub(crate) weight: u32,
    pub(crate) slots: u32,
    pub(crate) disk: SimDisk,
    /// Whom it dials when it starts, and whether it forms a mesh if it finds none.
    pub(crate) join: Vec<HostId>,
    pub(crate) forms: bool,
    /// Copies of each chunk that its peer is told of at its start.
    pub(crate) replicas: Option<u32>,
    /// Whether the machine itself is off.
    pub(crate) powerless: bool,
    /// How many faults keep it from starting. One that comes later is held
    /// until then, one that is gone for good is held for ever.
    pub(crate) held: u32,
    /// What it keeps is gone once its peer has left the mesh.
    pub(crate) wiped_when_left: bool,
    pub(crate) running: Option<Running>,
    pub(crate) incarnations: u64,
    /// The world is stopped for it until then.
    pub(crate) paused_until: Option<Duration>,
    pub(crate) clock: ClockConditions,
    /// Added to every event of its own, at most.
    pub(crate) lag: Duration,
    /// How slow its CPUs are.
    pub(crate) slowness: Slowness,
    /// When the disk is done with what was asked of it.
    pub(crate) disk_ready: Duration,
    /// When its line is done with the bulk that was sent, up and down.
    pub(crate) up_ready: Duration,
    pub(crate) down_ready: Duration,
    /// Peers of which it knows an address.
    pub(crate) known: BTreeSet<HostId>,
    /// Packets sent: each has its own fate.
    pub(crate) packets: u64,
    pub(crate) stats: HostStats,
}

impl Host {
    pub(crate) fn is_up(&self) -> bool {
        self.running.is_some()
    }

    /// Whether this life of it is the present one.
    pub(crate) fn lives(&self, incarnation: u64) -> bool {
        self.running.as_ref().is_some_and(|running| running.incarnation.number == incarnation)
    }
}
