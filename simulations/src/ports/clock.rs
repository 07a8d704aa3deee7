use std::time::Duration;

use futures::future::BoxFuture;
use shoal_ports::Clock;

use crate::host::{ClockConditions, HostId};
use crate::world::World;

/// The clocks of a host, for one life of its peer.
pub(crate) struct ClockPort {
    world: World,
    host: HostId,
    incarnation: u64,
}

impl ClockPort {
    pub(crate) fn new(world: World, host: HostId, incarnation: u64) -> Self {
        Self { world, host, incarnation }
    }

    /// Its conditions now, and virtual time.
    fn read(&self) -> (ClockConditions, Duration) {
        let state = self.world.state();
        (state.hosts[self.host.index()].clock, state.heap.now())
    }
}

impl Clock for ClockPort {
    fn now(&self) -> Duration {
        let (clock, now) = self.read();
        // It began some time before the peer, as real ones do.
        Duration::from_secs(1_000) + clock.local(now)
    }

    fn wall_ms(&self) -> u64 {
        let (clock, now) = self.read();
        clock.wall_ms(now)
    }

    /// A change of the clock's rate holds for the next sleep.
    fn sleep(&self, delay: Duration) -> BoxFuture<'static, ()> {
        let (clock, _) = self.read();
        self.world.sleep_at(Some(self.host), self.incarnation, clock.world(delay))
    }
}
