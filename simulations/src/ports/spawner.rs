use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use shoal_ports::{Spawner, TaskHandle};

use crate::host::Incarnation;
use crate::world::{Event, World};

/// What a call to the disk costs at least, and what chance adds to it.
const DISK_CALL: Duration = Duration::from_micros(20);
const DISK_JITTER: Duration = Duration::from_micros(60);

/// Tasks that end with one life of a peer, and its disk's queue.
pub(crate) struct SpawnerPort {
    world: World,
    incarnation: Arc<Incarnation>,
}

impl SpawnerPort {
    pub(crate) fn new(world: World, incarnation: Arc<Incarnation>) -> Self {
        Self { world, incarnation }
    }
}

impl Spawner for SpawnerPort {
    fn spawn(&self, name: &'static str, task: BoxFuture<'static, ()>) -> TaskHandle {
        match self.incarnation.spawn(name, task) {
            Some(handle) => TaskHandle::new(move || handle.abort()),
            None => TaskHandle::new(|| {}),
        }
    }

    /// Work waits for what the disk was asked before. What it costs itself is
    /// known once it is done, and makes the next wait.
    fn blocking(&self, work: Box<dyn FnOnce() + Send>) {
        let mut state = self.world.state();
        let id = self.incarnation.host;
        if !self.incarnation.is_alive() || !state.hosts[id.index()].lives(self.incarnation.number) {
            // Dropping it wakes whoever waits for it.
            drop(state);
            drop(work);
            return;
        }
        let host = &mut state.hosts[id.index()];
        host.packets += 1;
        let mut random =
            crate::random::Random::of(self.world.seed(), &[3, u64::from(id.0), host.incarnations, host.packets]);
        let at = host.disk_ready + DISK_CALL + random.time_below(DISK_JITTER);
        let at = at.max(state.heap.now() + DISK_CALL);
        state.heap.push_at(at, Event::Disk { host: id, incarnation: self.incarnation.number, work });
    }
}
