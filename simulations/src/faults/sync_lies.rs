use serde::{Deserialize, Serialize};

use super::{Blow, Fault, Undo};
use crate::random::Random;
use crate::world::World;

/// The disks of the victims say that they have synced and have not: what a
/// power failure makes of it nobody can promise. Not part of chaos.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SyncLies {}

impl Fault for SyncLies {
    fn strike(&self, world: &World, blow: &Blow<'_>, _: &mut Random) -> Option<Undo> {
        let set = |world: &World, victims: &[crate::host::HostId], lying| {
            let mut state = world.state();
            for host in victims {
                state.hosts[host.index()].disk.lie_about_syncs(lying);
                state.ledger.copies.distrust(*host);
            }
        };
        set(world, blow.victims, true);
        let victims = blow.victims.to_vec();
        Some(Box::new(move |world| set(world, &victims, false)))
    }
}
