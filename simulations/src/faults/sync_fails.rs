use serde::{Deserialize, Serialize};

use super::{Blow, Fault, Undo};
use crate::host::Death;
use crate::random::Random;
use crate::world::World;

/// The disks of the victims fail to sync. A store writes nothing more then
/// until its peer starts again, which it does when the fault ends.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SyncFails {
    /// How the peer is stopped to start again: `power` for a machine that is
    /// restarted, `kill` for the process alone.
    pub restart: Death,
}

impl Default for SyncFails {
    fn default() -> Self {
        Self { restart: Death::Power }
    }
}

impl Fault for SyncFails {
    fn strike(&self, world: &World, blow: &Blow<'_>, _: &mut Random) -> Option<Undo> {
        for host in blow.victims {
            world.state().hosts[host.index()].disk.fail_syncs(true);
        }
        let (victims, restart) = (blow.victims.to_vec(), self.restart);
        Some(Box::new(move |world| {
            for host in victims {
                world.state().hosts[host.index()].disk.fail_syncs(false);
                world.crash(host, restart);
                world.start(host);
            }
        }))
    }
}
