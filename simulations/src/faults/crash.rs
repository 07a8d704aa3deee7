use serde::{Deserialize, Serialize};

use super::{Blow, Fault, Undo};
use crate::disk::Outage;
use crate::host::{Death, HostId};
use crate::random::Random;
use crate::world::World;

/// A peer dies, and comes back with the disk that it had once the fault ends.
///
/// With `zone` and `peers = "100%"` a whole zone goes in one moment, with
/// `peers = "100%"` alone everyone does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Crash {
    /// `kill` or `power`.
    pub by: Death,
    /// With `power`: in the middle of one of the next so many changes of the
    /// disk, rather than between two. 0: at once.
    pub within_changes: u64,
}

impl Default for Crash {
    fn default() -> Self {
        Self { by: Death::Kill, within_changes: 0 }
    }
}

impl Fault for Crash {
    fn strike(&self, world: &World, blow: &Blow<'_>, random: &mut Random) -> Option<Undo> {
        for host in blow.victims {
            match self.by {
                Death::Power if self.within_changes > 0 => {
                    let changes = random.below(self.within_changes);
                    world.state().hosts[host.index()].disk.power_off_after(changes);
                }
                Death::Kill | Death::Power => {
                    world.hold(*host);
                    world.crash(*host, self.by);
                }
            }
        }
        let (victims, in_the_middle) = (blow.victims.to_vec(), self.by == Death::Power && self.within_changes > 0);
        Some(Box::new(move |world| {
            for host in victims {
                if in_the_middle {
                    cut_the_power(world, host);
                    world.start(host);
                } else {
                    world.release(host);
                }
            }
        }))
    }
}

/// A host that had nothing to write still has its power: it goes now, so that
/// none of it is left for later.
fn cut_the_power(world: &World, host: HostId) {
    world.crash(host, Death::Power);
    world.state().hosts[host.index()].disk.outage(Outage::Power);
}
