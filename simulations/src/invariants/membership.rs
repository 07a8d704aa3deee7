use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use shoal_runtime::Peer;
use shoal_types::PeerId;

use super::calm::{Calm, Turns};
use super::{Invariant, Moment, short};
use crate::host::HostId;
use crate::world::World;

/// How long the failure detector may take, in a mesh in which nothing else
/// goes wrong.
const PATIENCE: Duration = Duration::from_secs(30);

/// Peers of which one is looked at per tick, so that a large mesh costs no
/// more than a small one.
const VIEWS: usize = 32;

/// Who is down is soon held to be dead by everyone, who is up is not, and
/// after the last fault every peer knows exactly those that are there.
#[derive(Default)]
pub(crate) struct MembershipConverges {
    calm: Calm,
    turns: Turns,
    /// When each identity was there last, and where.
    there: BTreeMap<PeerId, (HostId, Duration)>,
}

impl Invariant for MembershipConverges {
    fn name(&self) -> &'static str {
        "membership-converges"
    }

    fn check(&mut self, world: &World, moment: Moment) -> bool {
        self.look(world);
        let peers = world.peers();
        let now = world.now();
        if now < self.calm.network_since() + PATIENCE {
            return false;
        }
        let most = if moment == Moment::End { usize::MAX } else { VIEWS };
        let steady: Vec<(HostId, Peer)> = peers.into_iter().filter(|(host, _)| self.is_steady(*host, now)).collect();
        let wanted: BTreeMap<PeerId, HostId> = steady.iter().map(|(host, peer)| (peer.id(), *host)).collect();
        let viewers = self.turns.next(&steady, most);
        for (viewer, peer) in &viewers {
            if let Some((about, wrong)) = self.wrong(*viewer, &peer.live(), &wanted, now) {
                world.violate(self.name(), &[*viewer, about], wrong);
            }
        }
        !viewers.is_empty()
    }

    fn is_whole(&mut self, world: &World) -> bool {
        first_wrong(world).is_none()
    }

    fn symptom(&mut self, world: &World) -> Option<String> {
        first_wrong(world)
    }
}

impl MembershipConverges {
    fn look(&mut self, world: &World) {
        self.calm.look(world);
        let state = world.state();
        let now = state.heap.now();
        for (n, host) in (0..).zip(&state.hosts) {
            if host.is_up() {
                self.there.insert(host.id, (HostId(n), now));
            }
        }
    }

    /// Whether it has long been up, and could be heard.
    fn is_steady(&self, host: HostId, now: Duration) -> bool {
        self.calm.host_since(host).is_some_and(|since| now >= since + PATIENCE)
    }

    /// What is wrong with a view, and with whom.
    fn wrong(
        &self,
        viewer: HostId,
        live: &[PeerId],
        steady: &BTreeMap<PeerId, HostId>,
        now: Duration,
    ) -> Option<(HostId, String)> {
        let dead = live.iter().filter_map(|peer| self.there.get(peer));
        if let Some((host, since)) = dead.into_iter().find(|(_, since)| now > *since + PATIENCE) {
            let down = (now - *since).as_secs();
            return Some((*host, format!("{host} has been down for {down} s, and {viewer} holds it to be alive")));
        }
        // Both are sorted by id.
        let mut live = live.iter().peekable();
        for (peer, host) in steady.iter().filter(|(_, host)| **host != viewer) {
            while live.next_if(|other| *other < peer).is_some() {}
            if live.peek() != Some(&peer) {
                let up = PATIENCE.as_secs();
                return Some((*host, format!("{host} has been up for {up} s, and {viewer} holds it to be dead")));
            }
        }
        None
    }
}

/// The first peer that does not know exactly who is there.
fn first_wrong(world: &World) -> Option<String> {
    let (up, names) = {
        let state = world.state();
        let up: BTreeSet<PeerId> = state.hosts.iter().filter(|host| host.is_up()).map(|host| host.id).collect();
        (up, state.by_id.clone())
    };
    let peers = world.peers();
    if peers.len() < up.len() {
        return Some(format!("{} peers are still starting", up.len() - peers.len()));
    }
    let name = |peer: &PeerId| names.get(peer).map_or_else(|| peer.short(), |host| host.name());
    for (host, peer) in peers {
        let live = peer.live();
        if live.len() + 1 == up.len() && live.iter().all(|other| up.contains(other)) {
            continue;
        }
        let live: BTreeSet<PeerId> = live.into_iter().chain([peer.id()]).collect();
        let missing = short(up.difference(&live), name);
        let extra = short(live.difference(&up), name);
        let said = |what: &str, who: String| if who.is_empty() { String::new() } else { format!(" {what} {who}") };
        return Some(format!("{host}{}{}", said("does not know of", missing), said("still counts on", extra)));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_view_with_the_dead_or_without_the_living_is_wrong() {
        let second = Duration::from_secs(1);
        let peers = [1, 2, 3].map(|n| PeerId::from_bytes([n; 32]));
        let mut membership = MembershipConverges::default();
        for (n, last) in [(0, 100), (1, 100), (2, 60)] {
            membership.there.insert(peers[n], (HostId(n as u32), last * second));
        }
        let steady = BTreeMap::from([(peers[0], HostId(0)), (peers[1], HostId(1))]);
        let check = |live: &[PeerId], words: &str| match membership.wrong(HostId(0), live, &steady, 100 * second) {
            None => assert_eq!(words, ""),
            Some((_, wrong)) => assert!(!words.is_empty() && wrong.contains(words), "{wrong}"),
        };
        check(&[peers[1]], "");
        check(&[peers[1], peers[2]], "peer-2 has been down for 40 s, and peer-0 holds it to be alive");
        check(&[], "peer-1 has been up for 30 s, and peer-0 holds it to be dead");
    }
}
