use std::sync::Arc;

use shoal_placement::{PlacementKey, layout_owners};
use shoal_runtime::Peer;
use shoal_types::{ChunkId, Layout, PeerId};

use super::calm::Turns;
use super::{Invariant, Moment, short};
use crate::host::HostId;
use crate::ledger::Place;
use crate::world::World;

/// Peers that are asked at each tick who owns what.
const ASKED: usize = 8;

/// Chunks that each of them is asked for.
const SAMPLES: u64 = 4;

/// A version of the layout is the same wherever it is seen, in force or on
/// disk, peers with the same version give the same owners to every key, and no
/// peer goes back to an earlier one.
#[derive(Default)]
pub(crate) struct SameOwners {
    turns: Turns,
    looks: u64,
}

impl Invariant for SameOwners {
    fn name(&self) -> &'static str {
        "same-owners"
    }

    fn check(&mut self, world: &World, _: Moment) -> bool {
        let mut in_force: Vec<(HostId, Peer, Arc<Layout>)> = Vec::new();
        for (host, peer) in world.peers() {
            let Some(layout) = peer.layout() else {
                continue;
            };
            let wrong = world.state().ledger.layouts.seen(peer.id(), Place::InForce, &layout);
            if let Some(wrong) = wrong.filter(|_| world.state().ledger.copies.is_reliable(host)) {
                world.violate(self.name(), &[host], format!("{host}: {wrong}"));
            }
            in_force.push((host, peer, layout));
        }
        let now = world.now().as_secs();
        for (host, peer, layout) in self.turns.next(&in_force, ASKED) {
            for sample in 0..SAMPLES {
                let chunk = ChunkId::of(&(now * SAMPLES + sample).to_le_bytes());
                let asked = (peer.owners_of_chunk(chunk), peer.layout());
                if asked.1.is_some_and(|present| Arc::ptr_eq(&present, &layout)) {
                    judge_owners(world, host, chunk, &layout, &asked.0);
                }
            }
        }
        let looks = world.state().ledger.layouts.looks();
        std::mem::replace(&mut self.looks, looks) < looks
    }
}

/// Compares owners with those that everyone must compute.
fn judge_owners(world: &World, host: HostId, chunk: ChunkId, layout: &Layout, owners: &[PeerId]) {
    let known = world.state().ledger.layouts.value(layout.mesh, layout.version).cloned();
    let Some(known) = known else {
        return;
    };
    let expected = layout_owners(PlacementKey::of_chunk(chunk), &known, known.replicas as usize).all();
    if expected != owners {
        let [expected, owners] = [expected.as_slice(), owners].map(|owners| short(owners, |peer| peer.short()));
        let what = format!(
            "{host} gives chunk {} to {owners}, by layout {} it belongs to {expected}",
            chunk.short(),
            layout.version
        );
        world.violate("same-owners", &[host], what);
    }
}
