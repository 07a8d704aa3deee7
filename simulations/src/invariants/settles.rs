use std::sync::Arc;
use std::time::Duration;

use shoal_types::{Layout, PeerId};

use super::calm::Calm;
use super::{Invariant, Moment, short};
use crate::host::HostId;
use crate::world::World;

/// How long a layout may stay joint while nothing goes wrong.
const JOINT: Duration = Duration::from_secs(120);

/// After the last fault everyone comes to one layout, which is not joint and
/// has exactly those who are there; and no layout is joint for long before.
#[derive(Default)]
pub(crate) struct Settles {
    calm: Calm,
    /// The newest version, and when it was seen first.
    newest: Option<(u64, Duration)>,
}

impl Invariant for Settles {
    fn name(&self) -> &'static str {
        "settles"
    }

    fn check(&mut self, world: &World, _: Moment) -> bool {
        self.calm.look(world);
        let now = world.now();
        let newest = world.peers().into_iter().filter_map(|(host, peer)| Some((host, peer.layout()?)));
        let Some((host, layout)) = newest.max_by_key(|(_, layout)| layout.version) else {
            return false;
        };
        // A disk that has no room for its share holds it up as well.
        let is_filled = world.state().hosts.iter().any(|host| host.disk.is_filled());
        if is_filled || self.newest.is_none_or(|(version, _)| version != layout.version) {
            self.newest = Some((layout.version, now));
        }
        let joint_since = self.newest.filter(|_| layout.is_joint()).map(|(_, since)| since);
        // A peer that is away holds it up: wait for the last of them.
        let involved = involved(world, &layout);
        let calm_since = involved.iter().map(|host| self.calm.host_since(*host)).collect::<Option<Vec<Duration>>>();
        if let (Some(joint), Some(calm)) = (joint_since, calm_since.and_then(|all| all.into_iter().max()))
            && now > joint.max(calm) + JOINT
        {
            let what = format!(
                "layout {} has been joint for {} s while everyone in it was there",
                layout.version,
                (now - joint).as_secs()
            );
            world.violate(self.name(), &[host], what);
        }
        true
    }

    fn is_whole(&mut self, world: &World) -> bool {
        first_wrong(world).is_none()
    }

    fn symptom(&mut self, world: &World) -> Option<String> {
        first_wrong(world)
    }
}

/// The hosts of a layout's members; one for nobody makes it unjudgeable.
fn involved(world: &World, layout: &Layout) -> Vec<HostId> {
    let state = world.state();
    let nobody = HostId(u32::MAX);
    layout.everyone().into_iter().map(|peer| state.by_id.get(&peer).copied().unwrap_or(nobody)).collect()
}

/// The first peer whose layout is not the one that all should have.
fn first_wrong(world: &World) -> Option<String> {
    let (up, names) = {
        let state = world.state();
        let mut up: Vec<PeerId> = state.hosts.iter().filter(|host| host.is_up()).map(|host| host.id).collect();
        up.sort();
        (up, state.by_id.clone())
    };
    let name = |peer: &PeerId| names.get(peer).map_or_else(|| peer.short(), |host| host.name());
    let mut first: Option<Arc<Layout>> = None;
    for (host, peer) in world.peers() {
        let Some(layout) = peer.layout() else {
            return Some(format!("{host} has no layout"));
        };
        if let Some(first) = &first {
            if first.version != layout.version || first.mesh != layout.mesh {
                return Some(format!("{host} is in layout {}, others are in {}", layout.version, first.version));
            }
            continue;
        }
        if layout.is_joint() {
            return Some(format!("layout {} is joint", layout.version));
        }
        let members: Vec<PeerId> = layout.members.iter().map(|member| member.id).collect();
        if members != up {
            let missing = short(up.iter().filter(|peer| !members.contains(peer)), name);
            let extra = short(members.iter().filter(|peer| !up.contains(peer)), name);
            let said = |what: &str, who: String| if who.is_empty() { String::new() } else { format!(" {what} {who}") };
            return Some(format!(
                "layout {}{}{}",
                layout.version,
                said("is without", missing),
                said("still has", extra)
            ));
        }
        first = Some(layout);
    }
    None
}
