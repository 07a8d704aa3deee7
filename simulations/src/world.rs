//! A world: hosts, a network between them, and a future.

mod build;
mod event;
mod run;
mod verdict;

#[cfg(test)]
mod tests;

use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use futures::channel::oneshot;
use futures::future::BoxFuture;
use shoal_types::PeerId;

use crate::heap::{EventHeap, EventKey};
use crate::host::{Host, HostId};
use crate::invariants::Broken;
use crate::ledger::Ledger;
use crate::network::Network;
use crate::random::Random;
use crate::trace::{Entry, Trace};
use crate::voice::Voice;
use crate::watch::Watch;
pub(crate) use build::HostSpec;
pub(crate) use event::Event;

/// A handle on a world. All of it lives on one thread.
#[derive(Clone)]
pub(crate) struct World(Arc<Shared>);

struct Shared {
    seed: u64,
    config: WorldConfig,
    state: Mutex<State>,
}

/// What holds for a whole world.
#[derive(Debug, Clone)]
pub(crate) struct WorldConfig {
    pub(crate) replicas: u32,
    pub(crate) timing: shoal_runtime::Timing,
    pub(crate) bounds: shoal_runtime::Bounds,
    pub(crate) planted: Option<shoal_runtime::Planted>,
    /// A bug planted in the simulated engine rather than in the runtime.
    pub(crate) mixes_attempts: bool,
    /// Bytes of a chunk.
    pub(crate) chunk_bytes: usize,
    /// Each byte of bulk stands for so many.
    pub(crate) bytes_scale: u64,
    /// Inbound events that may wait at a peer.
    pub(crate) inbound_max: usize,
}

pub(crate) struct State {
    pub(crate) heap: EventHeap<Event>,
    pub(crate) trace: Trace,
    pub(crate) hosts: Vec<Host>,
    pub(crate) by_id: std::collections::BTreeMap<PeerId, HostId>,
    pub(crate) network: Network,
    pub(crate) ledger: Ledger,
    /// What was found to be broken, and what had happened before.
    pub(crate) broken: Vec<(Broken, Vec<Entry>)>,
    /// Set when the run is to end now.
    pub(crate) stopped: bool,
    /// Who looks at it from outside.
    pub(crate) watch: Watch,
    /// What its peers log.
    pub(crate) voice: Voice,
}

impl World {
    pub(crate) fn new(seed: u64, config: WorldConfig, hosts: Vec<Host>, network: Network) -> Self {
        let by_id = hosts.iter().enumerate().map(|(n, host)| (host.id, HostId(n as u32))).collect();
        let state = State {
            heap: EventHeap::default(),
            trace: Trace::new(),
            hosts,
            by_id,
            network,
            ledger: Ledger::default(),
            broken: Vec::new(),
            stopped: false,
            watch: Watch::default(),
            voice: Voice::default(),
        };
        Self(Arc::new(Shared { seed, config, state: Mutex::new(state) }))
    }

    pub(crate) fn seed(&self) -> u64 {
        self.0.seed
    }

    pub(crate) fn config(&self) -> &WorldConfig {
        &self.0.config
    }

    /// The state. Nothing that may call back into the world is called while it is held.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Virtual time since the beginning.
    pub(crate) fn now(&self) -> Duration {
        self.state().heap.now()
    }

    /// A generator for one purpose.
    pub(crate) fn random(&self, purpose: &[u64]) -> Random {
        Random::of(self.0.seed, purpose)
    }

    pub(crate) fn hosts(&self) -> Vec<HostId> {
        (0..self.state().hosts.len() as u32).map(HostId).collect()
    }

    /// Has something done `after` now.
    pub(crate) fn after(&self, after: Duration, what: &'static str, act: impl FnOnce(&World) + Send + 'static) {
        self.state().heap.push(after, Event::Act { what, act: Box::new(act) });
    }

    /// Sleeps in world time.
    pub(crate) fn sleep(&self, delay: Duration) -> BoxFuture<'static, ()> {
        self.sleep_at(None, 0, delay)
    }

    /// Sleeps, as a task of a host or of the world. Taken back when dropped.
    pub(crate) fn sleep_at(&self, host: Option<HostId>, incarnation: u64, delay: Duration) -> BoxFuture<'static, ()> {
        let (sleeper, awake) = oneshot::channel();
        let key = self.state().heap.push(delay, Event::Awake { host, incarnation, sleeper });
        Sleep { world: self.clone(), key: Some(key), awake }.boxed()
    }

    /// A line of the story.
    pub(crate) fn tell(&self, host: Option<HostId>, what: impl Into<String>) {
        let mut state = self.state();
        let at = state.heap.now();
        state.trace.line(at, host, what.into());
    }

    /// Ends everything in it. Tasks and events hold handles on the world: they
    /// go first.
    pub(crate) fn clear(&self) {
        self.end_all();
        let left = std::mem::take(&mut self.state().heap);
        drop(left);
    }
}

struct Sleep {
    world: World,
    key: Option<EventKey>,
    awake: oneshot::Receiver<()>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: std::pin::Pin<&mut Self>, cx: &mut std::task::Context<'_>) -> std::task::Poll<()> {
        // A sender that was dropped belonged to a life that is over: nobody awakes.
        match self.awake.poll_unpin(cx) {
            std::task::Poll::Ready(Ok(())) => {
                self.key = None;
                std::task::Poll::Ready(())
            }
            std::task::Poll::Ready(Err(_)) | std::task::Poll::Pending => std::task::Poll::Pending,
        }
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            // The event owns a sender only: dropping it here wakes nobody.
            let cancelled = self.world.state().heap.cancel(key);
            drop(cancelled);
        }
    }
}
