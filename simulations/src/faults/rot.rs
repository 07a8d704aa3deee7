use serde::{Deserialize, Serialize};

use super::{Blow, Fault, Undo};
use crate::disk::chunk_at;
use crate::ledger::Damage;
use crate::random::Random;
use crate::world::World;

/// Bits of chunks flip on the disks of the victims. It stays so.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Rot {
    /// One bit in so many chunks of each.
    pub chunks: u32,
}

impl Default for Rot {
    fn default() -> Self {
        Self { chunks: 1 }
    }
}

impl Fault for Rot {
    fn strike(&self, world: &World, blow: &Blow<'_>, _: &mut Random) -> Option<Undo> {
        for host in blow.victims.iter().copied() {
            let mut state = world.state();
            let now = state.heap.now();
            let rotten = state.hosts[host.index()].disk.rot(self.chunks as usize);
            for (chunk, _) in rotten.iter().filter_map(|path| chunk_at(path)) {
                state.ledger.copies.harmed(now, host, chunk, Damage::Rotten);
                state.trace.line(now, Some(host), format!("its copy of chunk {} rots", chunk.short()));
            }
        }
        None
    }
}
