//! Machines that come with an empty disk: for the first time, or again.

use shoal_types::PeerId;

use super::{Death, HostId};
use crate::random::Random;
use crate::world::World;

/// Peers of a mesh that a newcomer is told of.
const CONTACTS: usize = 5;

impl World {
    /// Keeps a host from starting, until [`World::release`].
    pub(crate) fn hold(&self, id: HostId) {
        self.state().hosts[id.index()].held += 1;
    }

    /// Ends one [`World::hold`], and starts the host if it was the last.
    pub(crate) fn release(&self, id: HostId) {
        {
            let host = &mut self.state().hosts[id.index()];
            host.held = host.held.saturating_sub(1);
        }
        self.start(id);
    }

    /// Takes a host down, and all that it keeps.
    pub(crate) fn lose(&self, id: HostId, by: Death) {
        self.crash(id, by);
        let mut state = self.state();
        let now = state.heap.now();
        state.hosts[id.index()].disk.lose_everything();
        state.ledger.copies.disk_lost(now, id);
        state.trace.line(now, Some(id), "has lost its disk".into());
    }

    /// Takes a host down whose peer has left the mesh, and what it still keeps.
    pub(crate) fn give_away(&self, id: HostId) {
        self.crash(id, Death::Kill);
        let mut state = self.state();
        let now = state.heap.now();
        state.hosts[id.index()].disk.lose_everything();
        state.ledger.copies.disk_left(now, id);
        state.trace.line(now, Some(id), "has left, and its disk is given away".into());
    }

    /// Makes a host that is down forget who it was. The key of a peer is kept
    /// beside its data: without the one it has not the other, and comes back
    /// as somebody else who has to be taken in.
    pub(crate) fn renew(&self, id: HostId, random: &mut Random) {
        let links: Vec<_> = self.state().network.links.at(id).collect();
        // Whoever has not noticed yet does when the new peer answers in the old one's place.
        for (other, epoch) in links {
            self.link_down(other, id, epoch);
        }
        let mut key = [0; 32];
        for word in key.chunks_mut(8) {
            word.copy_from_slice(&random.next_u64().to_le_bytes());
        }
        {
            let state = &mut *self.state();
            let host = &mut state.hosts[id.index()];
            state.by_id.remove(&host.id);
            host.id = PeerId::from_bytes(key);
            state.by_id.insert(host.id, id);
        }
        self.introduce(id, random);
    }

    /// Tells a host of a few members, for it to join by.
    pub(crate) fn introduce(&self, id: HostId, random: &mut Random) {
        let state = &mut *self.state();
        let others = |is_fit: fn(&super::Host) -> bool| -> Vec<HostId> {
            let hosts = (0u32..).map(HostId).zip(&state.hosts);
            hosts.filter(|(other, host)| *other != id && is_fit(host)).map(|(other, _)| other).collect()
        };
        let up = others(|host| host.is_up());
        // Nobody there: some who will be. Nobody at all would make it form a mesh of its own.
        let mut candidates = if up.is_empty() { others(|host| host.held == 0) } else { up };
        if candidates.is_empty() {
            candidates = others(|_| true);
        }
        let join = random.sample(&candidates, CONTACTS);
        let host = &mut state.hosts[id.index()];
        host.forms = false;
        host.replicas = None;
        host.join = join;
    }

    /// Sets a host's clocks: the wall clock so many ms off, the monotonic one
    /// drifting so many millionths from now on.
    pub(crate) fn set_clock(&self, id: HostId, skew_ms: i64, drift_ppm: i64) {
        let mut state = self.state();
        let now = state.heap.now();
        state.hosts[id.index()].clock.set(now, skew_ms, drift_ppm);
    }
}
