use std::time::Duration;

use serde::{Deserialize, Serialize};
use shoal_types::{PeerId, RoleChange};

use super::{Blow, Fault, Undo};
use crate::host::HostId;
use crate::random::Random;
use crate::world::World;

/// How often it is looked whether a peer has started.
const LOOK: Duration = Duration::from_millis(500);

/// The victims are told to take another part, as by `shoal leave`, `shoal
/// weight` and `shoal zone`; at the end, to take the one that they had, and
/// not to leave if they have not yet. One that has left is started again, and
/// comes as a newcomer; with `wiped` on an empty disk, as another machine in
/// its place.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Role {
    /// They hand their data over and go.
    pub leaves: bool,
    /// Their share of the data relative to the others'.
    pub weight: Option<u32>,
    /// What they kept is gone for good once they have left.
    pub wiped: bool,
    /// Their zone.
    pub zone: Option<String>,
}

impl Fault for Role {
    fn strike(&self, world: &World, blow: &Blow<'_>, _: &mut Random) -> Option<Undo> {
        let change = RoleChange { zone: self.zone.clone(), weight: self.weight, leaves: self.leaves.then_some(true) };
        for host in blow.victims {
            world.state().hosts[host.index()].wiped_when_left |= self.leaves && self.wiped;
            ask(world, *host, change.clone());
        }
        let (victims, self_wiped) = (blow.victims.to_vec(), self.wiped);
        Some(Box::new(move |world| {
            for host in victims {
                let (peer, before) = {
                    let host = &mut world.state().hosts[host.index()];
                    host.wiped_when_left &= !self_wiped;
                    let before = RoleChange {
                        zone: change.zone.is_some().then(|| host.zone.clone()),
                        weight: change.weight.is_some().then_some(host.weight),
                        leaves: change.leaves.is_some().then_some(false),
                    };
                    (host.id, before)
                };
                match change.leaves {
                    // One that is down goes on leaving.
                    Some(_) => ask(world, host, before),
                    None => ask_once_there(world, host, peer, before),
                }
            }
        }))
    }
}

/// Asks a peer that may have to start first, unless another comes in its place.
fn ask_once_there(world: &World, host: HostId, peer: PeerId, change: RoleChange) {
    let (is_it, is_there) = {
        let host = &world.state().hosts[host.index()];
        (host.id == peer, host.running.as_ref().is_some_and(|running| running.peer.is_some()))
    };
    if is_it && is_there {
        ask(world, host, change);
    } else if is_it {
        world.after(LOOK, "role", move |world| ask_once_there(world, host, peer, change));
    }
}

/// Asks a peer that is there; it may refuse, as a mesh of one does.
pub(super) fn ask(world: &World, host: HostId, change: RoleChange) {
    let (incarnation, peer) = {
        let state = world.state();
        let Some(running) = &state.hosts[host.index()].running else { return };
        let Some(peer) = running.peer.clone() else { return };
        (running.incarnation.clone(), peer)
    };
    let telling = world.clone();
    incarnation.spawn("role", async move {
        if let Err(error) = peer.change_role(peer.id(), change).await {
            telling.tell(Some(host), format!("takes no other part: {error}"));
        }
    });
}
