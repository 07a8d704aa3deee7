use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::{BoxFuture, Either, select};
use shoal_ports::{Flow, Transport, TransportStats};
use shoal_types::wire::{FRAME_BYTES_MAX, GOSSIP_BYTES_MAX};
use shoal_types::{Error, PeerId, PeerInfo, Result, Secrets};

use crate::host::{HostId, Incarnation};
use crate::world::World;

/// How long the other side has to take a flow. As in the real transport.
const OPEN: Duration = Duration::from_secs(5);

/// The network, for one life of a peer.
pub(crate) struct TransportPort {
    world: World,
    incarnation: Arc<Incarnation>,
    peer: PeerId,
}

impl TransportPort {
    pub(crate) fn new(world: World, incarnation: Arc<Incarnation>, peer: PeerId) -> Self {
        Self { world, incarnation, peer }
    }

    fn here(&self) -> HostId {
        self.incarnation.host
    }

    fn host(&self, peer: PeerId) -> Option<HostId> {
        self.world.state().by_id.get(&peer).copied()
    }
}

fn unknown(peer: PeerId) -> Error {
    Error::Unreachable { peer, why: "no address of it is known".into() }
}

impl Transport for TransportPort {
    fn local(&self) -> PeerId {
        self.peer
    }

    fn addresses(&self) -> Vec<String> {
        vec![self.here().address()]
    }

    fn admit_by(&self, secrets: &Secrets) -> Result<()> {
        let mut state = self.world.state();
        if let Some(running) = state.hosts[self.here().index()].running.as_mut().filter(|_| self.incarnation.is_alive())
        {
            running.secrets = secrets.clone();
        }
        Ok(())
    }

    fn present(&self, info: PeerInfo) {
        let mut state = self.world.state();
        let host = &mut state.hosts[self.here().index()];
        if let Some(running) = host.running.as_mut().filter(|_| self.incarnation.is_alive()) {
            running.info = Arc::new(PeerInfo { id: self.peer, addresses: vec![self.here().address()], ..info });
        }
    }

    fn gossip(&self, to: PeerId, frame: Bytes) {
        assert!(frame.len() <= GOSSIP_BYTES_MAX, "a gossip frame of {} bytes", frame.len());
        if let Some(to) = self.host(to).filter(|to| self.incarnation.is_alive() && *to != self.here()) {
            self.world.gossip(self.here(), to, frame);
        }
    }

    fn call(&self, to: PeerId, request: Bytes, timeout: Duration) -> BoxFuture<'static, Result<Bytes>> {
        let (world, here, incarnation) = (self.world.clone(), self.here(), self.incarnation.clone());
        let host = self.host(to);
        async move {
            assert!(request.len() <= FRAME_BYTES_MAX, "a request of {} bytes", request.len());
            let Some(host) = host.filter(|_| incarnation.is_alive()) else {
                return Err(unknown(to));
            };
            let deadline = world.sleep_at(Some(here), incarnation.number, timeout);
            let calling = std::pin::pin!(world.call(here, host, to, request));
            match select(calling, deadline).await {
                Either::Left((result, _)) => result,
                Either::Right(_) => {
                    let ms = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
                    Err(Error::Timeout { what: format!("a call to peer {}", to.short()), ms })
                }
            }
        }
        .boxed()
    }

    fn open(&self, to: PeerId, header: Bytes) -> BoxFuture<'static, Result<Flow>> {
        let (world, here, incarnation) = (self.world.clone(), self.here(), self.incarnation.clone());
        let host = self.host(to);
        async move {
            assert!(header.len() <= FRAME_BYTES_MAX, "a header of {} bytes", header.len());
            let Some(host) = host.filter(|_| incarnation.is_alive()) else {
                return Err(unknown(to));
            };
            let deadline = world.sleep_at(Some(here), incarnation.number, OPEN);
            let opening = std::pin::pin!(world.open(here, host, incarnation.number, header));
            match select(opening, deadline).await {
                Either::Left((result, _)) => result,
                Either::Right(_) => Err(Error::Unreachable { peer: to, why: "it did not take a flow in time".into() }),
            }
        }
        .boxed()
    }

    fn learn(&self, peer: PeerId, addresses: &[String]) {
        let mut state = self.world.state();
        let is_there = |host: &HostId| state.hosts.get(host.index()).is_some_and(|host| host.id == peer);
        let found = addresses.iter().filter_map(|address| HostId::at_address(address)).find(is_there);
        if let Some(found) = found.filter(|found| *found != self.here() && self.incarnation.is_alive()) {
            state.hosts[self.here().index()].known.insert(found);
        }
    }

    fn dial(&self, address: String) {
        let Some(host) = HostId::at_address(&address).filter(|host| *host != self.here()) else {
            return;
        };
        {
            let mut state = self.world.state();
            if host.index() >= state.hosts.len() || !self.incarnation.is_alive() {
                return;
            }
            state.hosts[self.here().index()].known.insert(host);
        }
        self.world.dial(self.here(), host);
    }

    fn knock(&self, address: String) -> BoxFuture<'static, Result<()>> {
        let host = HostId::at_address(&address).filter(|host| {
            let state = self.world.state();
            state.hosts.get(host.index()).is_some_and(|there| there.is_up())
                && !state.network.is_blocked(self.here(), *host)
        });
        let outcome = host.map(drop).ok_or_else(|| Error::invalid("nobody listens there", ""));
        std::future::ready(outcome).boxed()
    }

    fn forget(&self, peer: PeerId) {
        let Some(host) = self.host(peer).filter(|_| self.incarnation.is_alive()) else {
            return;
        };
        self.world.state().hosts[self.here().index()].known.remove(&host);
        self.world.close_link(self.here(), host);
    }

    fn stats(&self) -> TransportStats {
        let stats = self.world.state().hosts[self.here().index()].stats;
        TransportStats { sent_bytes: stats.sent_bytes, received_bytes: stats.received_bytes, refused: 0 }
    }

    fn close(&self) -> BoxFuture<'static, ()> {
        if self.incarnation.is_alive() {
            let links = self.world.state().network.links.of(self.here());
            for (other, _) in links {
                self.world.close_link(self.here(), other);
            }
        }
        async {}.boxed()
    }
}
