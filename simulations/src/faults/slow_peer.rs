use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Blow, Fault, Undo};
use crate::host::HostId;
use crate::random::Random;
use crate::scenario::Span;
use crate::world::World;

/// Everything that reaches the victims or that they send is late, and their
/// CPUs are slow: a machine that does too much else.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SlowPeer {
    /// Later by so much, at most.
    pub lag: Span,
    /// Tasks take so many times as long.
    pub times: f64,
}

impl Default for SlowPeer {
    fn default() -> Self {
        Self { lag: Span(Duration::from_millis(300)), times: 4.0 }
    }
}

impl Fault for SlowPeer {
    fn strike(&self, world: &World, blow: &Blow<'_>, _: &mut Random) -> Option<Undo> {
        set(world, blow.victims, self.lag.0, percent(self.times));
        let victims = blow.victims.to_vec();
        Some(Box::new(move |world| set(world, &victims, Duration::ZERO, 100)))
    }
}

fn set(world: &World, hosts: &[HostId], lag: Duration, percent: u32) {
    let mut state = world.state();
    for host in hosts {
        let host = &mut state.hosts[host.index()];
        host.lag = lag;
        host.slowness.set(percent);
    }
}

/// So many times as long, in percent.
pub(super) fn percent(times: f64) -> u32 {
    // A float beyond the integers becomes the largest.
    (times * 100.0).round() as u32
}
