use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::ready;
use shoal_ports::{BoxFuture, Flow, Inbound, Transport, TransportStats};
use shoal_types::{Error, PeerId, PeerInfo, Result, Secrets};
use tokio::sync::mpsc;

/// The transport of a peer that is alone: every call is unreachable, and
/// nothing ever comes.
pub(crate) struct Nobody {
    peer: PeerId,
    /// Held so that the channel does not say that the transport is gone.
    _inbound: mpsc::Sender<Inbound>,
}

impl Nobody {
    pub(crate) fn transport(peer: PeerId) -> (Arc<dyn Transport>, mpsc::Receiver<Inbound>) {
        let (sender, receiver) = mpsc::channel(1);
        (Arc::new(Self { peer, _inbound: sender }), receiver)
    }
}

fn unreachable<T: Send + 'static>(peer: PeerId) -> BoxFuture<'static, Result<T>> {
    ready(Err(Error::Unreachable { peer, why: "this peer is alone".into() })).boxed()
}

impl Transport for Nobody {
    fn local(&self) -> PeerId {
        self.peer
    }

    fn addresses(&self) -> Vec<String> {
        Vec::new()
    }

    fn admit_by(&self, _secrets: &Secrets) -> Result<()> {
        Ok(())
    }

    fn present(&self, _info: PeerInfo) {}

    fn gossip(&self, _to: PeerId, _frame: Bytes) {}

    fn call(&self, to: PeerId, _request: Bytes, _timeout: Duration) -> BoxFuture<'static, Result<Bytes>> {
        unreachable(to)
    }

    fn open(&self, to: PeerId, _header: Bytes) -> BoxFuture<'static, Result<Flow>> {
        unreachable(to)
    }

    fn learn(&self, _peer: PeerId, _addresses: &[String]) {}

    fn dial(&self, _address: String) {}

    fn knock(&self, _address: String) -> BoxFuture<'static, Result<()>> {
        unreachable(self.peer)
    }

    fn forget(&self, _peer: PeerId) {}

    fn stats(&self) -> TransportStats {
        TransportStats::default()
    }

    fn close(&self) -> BoxFuture<'static, ()> {
        ready(()).boxed()
    }
}
