use serde::{Deserialize, Serialize};

use super::{Blow, Fault, Undo};
use crate::host::{Death, HostId};
use crate::random::Random;
use crate::world::World;

/// The peer's directory is gone, and its process with it. Once it ends the
/// peer starts again with an empty one, as a new peer: its key was there too.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DiskLost {}

impl Fault for DiskLost {
    fn strike(&self, world: &World, blow: &Blow<'_>, random: &mut Random) -> Option<Undo> {
        for host in blow.victims {
            world.hold(*host);
            lose(world, *host, Death::Kill);
        }
        let (victims, mut random) = (blow.victims.to_vec(), random.clone());
        Some(Box::new(move |world| {
            for host in victims {
                world.renew(host, &mut random);
                world.release(host);
            }
        }))
    }
}

/// Takes a host down, and all that it keeps.
pub(super) fn lose(world: &World, host: HostId, by: Death) {
    world.crash(host, by);
    let mut state = world.state();
    let now = state.heap.now();
    state.hosts[host.index()].disk.lose_everything();
    state.ledger.copies.disk_lost(now, host);
    state.trace.line(now, Some(host), "has lost its disk".into());
}
