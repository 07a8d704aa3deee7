use serde::{Deserialize, Serialize};

use super::{Blow, Fault, Undo};
use crate::random::Random;
use crate::scenario::Bytes;
use crate::world::World;

/// Somebody else fills the disks of the victims.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DiskFull {
    /// Left free.
    pub free: Bytes,
}

impl Fault for DiskFull {
    fn strike(&self, world: &World, blow: &Blow<'_>, _: &mut Random) -> Option<Undo> {
        let free = self.free.0 / world.config().bytes_scale.max(1);
        for host in blow.victims {
            world.state().hosts[host.index()].disk.set_free_bytes(Some(free));
        }
        let victims = blow.victims.to_vec();
        Some(Box::new(move |world| {
            for host in victims {
                world.state().hosts[host.index()].disk.set_free_bytes(None);
            }
        }))
    }
}
