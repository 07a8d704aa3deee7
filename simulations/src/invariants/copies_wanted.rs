use std::collections::BTreeSet;

use shoal_placement::{PlacementKey, layout_owners};
use shoal_types::{ChunkId, Copies, PeerId};

use super::{Invariant, Moment};
use crate::disk::chunk_at;
use crate::host::HostId;
use crate::workload::SCRATCH;
use crate::world::World;

/// In the end every owner of a chunk that has a copy knows it if there are to
/// be more than one.
pub(crate) struct CopiesWanted;

impl Invariant for CopiesWanted {
    fn name(&self) -> &'static str {
        "copies-wanted"
    }

    fn check(&mut self, world: &World, moment: Moment) -> bool {
        moment == Moment::End && world.state().ledger.history.is_in_use(SCRATCH)
    }

    fn is_whole(&mut self, world: &World) -> bool {
        untold(world).is_none()
    }

    fn symptom(&mut self, world: &World) -> Option<String> {
        let (host, chunk) = untold(world)?;
        Some(format!(
            "{host} keeps chunk {} as one of which there is to be one copy, and there are to be more",
            chunk.short()
        ))
    }
}

/// An owner that has not heard of it.
fn untold(world: &World) -> Option<(HostId, ChunkId)> {
    let state = world.state();
    if !state.ledger.history.is_in_use(SCRATCH) {
        return None;
    }
    let (ledger, replicas) = (&state.ledger, world.config().replicas);
    let layout = ledger.layouts.newest()?;
    let hosts = (0u32..).map(HostId).zip(&state.hosts).filter(|(_, host)| host.is_up());
    hosts.into_iter().find_map(|(id, host)| {
        let one = Copies::from(1);
        let files = host.disk.durable_files("chunks/").into_iter().filter_map(|file| chunk_at(&file));
        let of_one = files.filter(|(_, copies)| *copies == one).map(|(chunk, _)| chunk);
        let chunk = of_one.into_iter().find(|chunk| {
            let wanted = ledger.copies_wanted(*chunk, replicas);
            let owners = || -> BTreeSet<PeerId> {
                layout_owners(PlacementKey::of_chunk(*chunk), layout, wanted as usize).all().into_iter().collect()
            };
            let is_relied_on = ledger.copies.is_here(id, *chunk) && ledger.copies.is_promised(*chunk);
            is_relied_on && ledger.is_wanted(*chunk) && wanted > 1 && owners().contains(&host.id)
        })?;
        Some((id, chunk))
    })
}
