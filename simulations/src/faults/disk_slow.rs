use serde::{Deserialize, Serialize};

use super::slow_peer::percent;
use super::{Blow, Fault, Undo};
use crate::random::Random;
use crate::world::World;

/// The disks of the victims are slow: a bad one, or one with many users.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DiskSlow {
    /// Everything takes so many times as long.
    pub times: f64,
}

impl Default for DiskSlow {
    fn default() -> Self {
        Self { times: 20.0 }
    }
}

impl Fault for DiskSlow {
    fn strike(&self, world: &World, blow: &Blow<'_>, _: &mut Random) -> Option<Undo> {
        for host in blow.victims {
            world.state().hosts[host.index()].disk.set_slowness(percent(self.times));
        }
        let victims = blow.victims.to_vec();
        Some(Box::new(move |world| {
            for host in victims {
                world.state().hosts[host.index()].disk.set_slowness(100);
            }
        }))
    }
}
