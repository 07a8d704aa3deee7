//! For how long nothing has gone wrong: what must hold soon after a fault can
//! only be judged when there was none for a while.

use std::time::Duration;

use crate::host::{Host, HostId};
use crate::world::{State, World};

/// Since when the network has carried everything, and each host has been up
/// and at its usual speed. Looked at once a second; shorter faults pass unseen
/// unless they are a restart or a rule of the network.
#[derive(Default)]
pub(super) struct Calm {
    rules: u64,
    network: Duration,
    hosts: Vec<HostCalm>,
}

#[derive(Clone, Copy)]
struct HostCalm {
    incarnation: u64,
    since: Option<Duration>,
}

impl Calm {
    /// To be called at every tick.
    pub(super) fn look(&mut self, world: &World) {
        let state = world.state();
        self.look_at(&state);
    }

    fn look_at(&mut self, state: &State) {
        let now = state.heap.now();
        let (ever, present) = state.network.rules();
        if present > 0 || ever != self.rules {
            self.network = now;
            self.rules = ever;
        }
        self.hosts.resize(state.hosts.len(), HostCalm { incarnation: 0, since: None });
        for (calm, host) in self.hosts.iter_mut().zip(&state.hosts) {
            let present = host.incarnations;
            if !is_calm(host) {
                calm.since = None;
            } else if calm.since.is_none() || calm.incarnation != present {
                calm.since = Some(now);
            }
            calm.incarnation = present;
        }
    }

    /// Since when the network has been whole.
    pub(super) fn network_since(&self) -> Duration {
        self.network
    }

    /// Since when this host and the network have been whole, if they are.
    pub(super) fn host_since(&self, host: HostId) -> Option<Duration> {
        self.hosts.get(host.index())?.since.map(|since| since.max(self.network))
    }
}

/// Up, started, and neither paused nor late.
fn is_calm(host: &Host) -> bool {
    let started = host.running.as_ref().is_some_and(|running| running.peer.is_some());
    started && host.paused_until.is_none() && host.lag.is_zero()
}

/// Some of many in turn, so that a look at a large mesh costs no more than one
/// at a small one.
#[derive(Default)]
pub(super) struct Turns(usize);

impl Turns {
    /// The next `most` of them.
    pub(super) fn next<T: Clone>(&mut self, of: &[T], most: usize) -> Vec<T> {
        if of.len() <= most {
            return of.to_vec();
        }
        let from = self.0 % of.len();
        self.0 = from + most;
        of.iter().cycle().skip(from).take(most).cloned().collect()
    }
}
