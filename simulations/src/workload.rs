//! What clients do with the mesh.

mod appends;
mod asking;
mod content;
mod data;
mod former;
mod jobs;
mod names;
mod scratch;

use std::future::Future;

use shoal_runtime::Peer;

use crate::host::HostId;
use crate::random::Random;
use crate::world::World;
pub(crate) use data::objects as data_objects;
pub(crate) use jobs::schedule as schedule_jobs;
pub(crate) use scratch::{BUCKET as SCRATCH, copies_of};

impl World {
    /// A peer that is up and has started, by chance.
    pub(crate) fn any_peer(&self, random: &mut Random) -> Option<(HostId, Peer)> {
        let state = self.state();
        let first = random.below(state.hosts.len() as u64) as usize;
        // From there on, whoever is up.
        (first..state.hosts.len()).chain(0..first).find_map(|n| {
            let host = &state.hosts[n];
            let peer = host.running.as_ref().filter(|_| host.paused_until.is_none())?.peer.clone()?;
            Some((HostId(n as u32), peer))
        })
    }

    /// All peers that are up and have started.
    pub(crate) fn peers(&self) -> Vec<(HostId, Peer)> {
        let state = self.state();
        (0u32..)
            .zip(&state.hosts)
            .filter_map(|(n, host)| Some((HostId(n), host.running.as_ref()?.peer.clone()?)))
            .collect()
    }

    /// Whether everyone is up and in one settled layout.
    pub(crate) fn is_formed(&self) -> bool {
        let peers = self.peers();
        let everyone = self.state().hosts.iter().filter(|host| host.held == 0).count();
        peers.len() == everyone
            && peers.iter().all(|(_, peer)| {
                peer.layout().is_some_and(|layout| layout.members.len() == everyone && !layout.is_joint())
            })
    }

    /// Waits for that.
    pub(crate) async fn until_formed(&self) {
        while !self.is_formed() {
            self.sleep(std::time::Duration::from_millis(100)).await;
        }
    }

    /// Runs a client's request at a host: it ends when the peer does.
    fn at_host(&self, host: HostId, task: impl Future<Output = ()> + Send + 'static) {
        let incarnation = self.state().hosts[host.index()].running.as_ref().map(|running| running.incarnation.clone());
        if let Some(incarnation) = incarnation {
            // One that has just died has no clients.
            let _ = incarnation.spawn("client", task);
        }
    }
}
