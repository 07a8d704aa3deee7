use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use shoal_types::{Error, PeerId, PeerInfo, Result, Secrets};

/// Links to other peers: authenticated, encrypted, admitted by the mesh's secret.
///
/// What comes from others arrives as [`Inbound`] on a channel made together
/// with the transport. Control (gossip, calls) and bulk (flows) never delay
/// each other.
pub trait Transport: Send + Sync {
    /// This peer.
    fn local(&self) -> PeerId;

    /// The addresses at which others can reach this peer, as `HOST:PORT`.
    fn addresses(&self) -> Vec<String>;

    /// Which secrets admit from now on. Links that are there stay.
    ///
    /// # Errors
    /// [`Error::Invalid`] for one that is too easily guessed; then nothing changes.
    fn admit_by(&self, secrets: &Secrets) -> Result<()>;

    /// What this peer says of itself from now on, on links to come. Its id
    /// and addresses are filled in.
    fn present(&self, info: PeerInfo);

    /// Sends a small frame (at most [`shoal_types::wire::GOSSIP_BYTES_MAX`])
    /// without waiting. It may be lost.
    fn gossip(&self, to: PeerId, frame: Bytes);

    /// Sends a request (at most [`shoal_types::wire::FRAME_BYTES_MAX`]) and
    /// waits for its answer. [`Error::Unreachable`] when there is no link and
    /// none can be made, [`Error::Timeout`] when no answer came in time: then
    /// it may have been carried out.
    fn call(&self, to: PeerId, request: Bytes, timeout: Duration) -> BoxFuture<'static, Result<Bytes>>;

    /// Opens a two-way flow of frames. `header` says what it is for.
    fn open(&self, to: PeerId, header: Bytes) -> BoxFuture<'static, Result<Flow>>;

    /// Where `peer` may be reached. Tried when there is no link to it.
    fn learn(&self, peer: PeerId, addresses: &[String]);

    /// Dials an address of which the peer is not known; it shows up as
    /// [`Inbound::Up`], or as [`Inbound::Refused`].
    fn dial(&self, address: String);

    /// Whether anybody listens at an address, without saying anything to whoever
    /// does. [`Error::Timeout`] and [`Error::Invalid`] say why not.
    fn knock(&self, address: String) -> BoxFuture<'static, Result<()>>;

    /// Forgets a peer's addresses and closes its links.
    fn forget(&self, peer: PeerId);

    /// What it has counted so far.
    fn stats(&self) -> TransportStats;

    /// Closes every link and the listening ports.
    fn close(&self) -> BoxFuture<'static, ()>;
}

/// What comes from others.
pub enum Inbound {
    /// A link to an admitted peer is there.
    Up {
        peer: PeerId,
        info: Arc<PeerInfo>,
    },
    /// The last link to it is gone.
    Down {
        peer: PeerId,
    },
    Gossip {
        from: PeerId,
        frame: Bytes,
    },
    Call {
        from: PeerId,
        request: Bytes,
        reply: Reply,
    },
    Open {
        from: PeerId,
        header: Bytes,
        flow: Flow,
    },
    /// Somebody was not admitted, or did not admit us: where, and why in words.
    Refused {
        address: String,
        why: String,
    },
    /// An address at which a peer may be, found on the local network.
    Found {
        address: String,
    },
}

/// Where the answer to a call goes. Dropped unanswered, the caller sees a failure.
pub struct Reply(Box<dyn FnOnce(Bytes) + Send>);

impl Reply {
    pub fn new(answer: impl FnOnce(Bytes) + Send + 'static) -> Self {
        Self(Box::new(answer))
    }

    pub fn send(self, answer: Bytes) {
        (self.0)(answer);
    }
}

/// A two-way flow of frames. Each direction ends by itself; dropping a half
/// before it has ended resets it, and the other side sees [`Error::Unreachable`].
pub struct Flow {
    pub writer: Box<dyn FlowWriter>,
    pub reader: Box<dyn FlowReader>,
}

/// The sending half.
pub trait FlowWriter: Send {
    /// Sends one frame (at most [`shoal_types::wire::FRAME_BYTES_MAX`]); waits
    /// while the receiver lags.
    fn send(&mut self, frame: Bytes) -> BoxFuture<'_, Result<()>>;

    /// Says that this was all; ready when it is on its way.
    fn finish(self: Box<Self>) -> BoxFuture<'static, Result<()>>;
}

/// The receiving half.
pub trait FlowReader: Send {
    /// The next frame; `None` after the sender's finish; an error when the
    /// sender reset it or went away.
    fn next(&mut self) -> BoxFuture<'_, Result<Option<Bytes>, Error>>;
}

/// Counters since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TransportStats {
    pub sent_bytes: u64,
    pub received_bytes: u64,
    /// Connections that did not get past admission.
    pub refused: u64,
}
