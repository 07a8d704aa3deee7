use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use libp2p::swarm::ConnectionId;
use libp2p::{Stream, StreamProtocol};
use shoal_types::{Error, PeerId, PeerInfo, Result};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::Limits;
use crate::calls::Calls;
use crate::flows::Flows;

/// What a connection is for. Small messages beside bulk on one connection
/// wait hundreds of times longer, so a pair of peers has one of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Role {
    /// Gossip and calls.
    Control,
    /// Flows.
    Bulk,
}

impl Role {
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Control => 1,
            Self::Bulk => 2,
        }
    }

    pub(crate) const fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Control),
            2 => Some(Self::Bulk),
            _ => None,
        }
    }
}

/// The first word on an unadmitted connection. Never changes.
pub(crate) const ADMIT: StreamProtocol = StreamProtocol::new("/shoal/admit");
/// Gossip frames, one direction.
pub(crate) const GOSSIP: StreamProtocol = StreamProtocol::new("/shoal/gossip");
/// Requests one way, answers the other.
pub(crate) const CALLS: StreamProtocol = StreamProtocol::new("/shoal/calls");
/// A flow's frames from its opener.
pub(crate) const FLOW: StreamProtocol = StreamProtocol::new("/shoal/flow");
/// A flow's frames to its opener.
pub(crate) const BACK: StreamProtocol = StreamProtocol::new("/shoal/back");

/// Streams asked for and not yet opened, per link. Past it, openers wait.
pub(crate) const OPENS_MAX: usize = 64;

/// A redundant link is closed once it has been idle for this long: time for
/// what was sent on it before both sides knew.
const RETIREMENT: Duration = Duration::from_secs(2);

/// An admitted connection.
pub(crate) struct Link {
    pub(crate) id: ConnectionId,
    pub(crate) peer: PeerId,
    pub(crate) role: Role,
    /// Whether this side dialed it.
    pub(crate) dialed: bool,
    /// The other end, as `HOST:PORT`.
    pub(crate) address: String,
    pub(crate) info: PeerInfo,
    pub(crate) since: Instant,
    /// Cancelled when the link is no more: everything on it ends.
    pub(crate) closed: CancellationToken,
    /// Cancelled when the runtime has heard of the peer: what came from it is
    /// shown only then.
    pub(crate) announced: CancellationToken,
    pub(crate) gossip: mpsc::Sender<Bytes>,
    pub(crate) calls: Calls,
    pub(crate) flows: Flows,
    /// Room for flows that the peer opens.
    pub(crate) flow_room: Arc<Semaphore>,
    pub(crate) feeds: Mutex<Option<Feeds>>,
    opens: mpsc::Sender<OpenStream>,
    closes: mpsc::UnboundedSender<ConnectionId>,
    close_asked: AtomicBool,
    busy: AtomicUsize,
}

/// What the link's own tasks read from.
pub(crate) struct Feeds {
    pub(crate) gossip: mpsc::Receiver<Bytes>,
    pub(crate) requests: mpsc::Receiver<crate::calls::Request>,
}

/// A stream that the connection is asked to open.
pub(crate) struct OpenStream {
    pub(crate) protocol: StreamProtocol,
    pub(crate) opened: oneshot::Sender<Result<Stream, String>>,
}

/// What is known of a connection before it is admitted.
pub(crate) struct Connection {
    pub(crate) id: ConnectionId,
    pub(crate) peer: PeerId,
    pub(crate) dialed: bool,
    pub(crate) address: String,
    pub(crate) opens: mpsc::Sender<OpenStream>,
    /// Asks the swarm to close a connection. Unbounded, but each connection
    /// asks once at most.
    pub(crate) closes: mpsc::UnboundedSender<ConnectionId>,
}

impl Link {
    pub(crate) fn new(connection: Connection, role: Role, info: PeerInfo, limits: &Limits) -> Arc<Self> {
        let Connection { id, peer, dialed, address, opens, closes } = connection;
        let (gossip, gossip_feed) = mpsc::channel(limits.gossip_queue.max(1));
        let (calls, requests) = Calls::new(peer, limits.calls_per_peer);
        Arc::new(Self {
            id,
            peer,
            role,
            dialed,
            address,
            info,
            since: Instant::now(),
            closed: CancellationToken::new(),
            announced: CancellationToken::new(),
            gossip,
            calls,
            flows: Flows::default(),
            flow_room: Arc::new(Semaphore::new(limits.flows_per_peer)),
            feeds: Mutex::new(Some(Feeds { gossip: gossip_feed, requests })),
            opens,
            closes,
            close_asked: AtomicBool::new(false),
            busy: AtomicUsize::new(0),
        })
    }

    /// Ends everything on the link and closes its connection. At once, and
    /// without waiting: the other end may have vanished.
    pub(crate) fn close(&self) {
        self.closed.cancel();
        if !self.close_asked.swap(true, Relaxed) {
            // Nobody listens when the transport has stopped; then it is closed.
            let _ = self.closes.send(self.id);
        }
    }

    pub(crate) fn unreachable(&self) -> Error {
        gone(self.peer)
    }

    /// Opens a stream.
    pub(crate) async fn stream(&self, protocol: StreamProtocol) -> Result<Stream> {
        let (opened, stream) = oneshot::channel();
        let opening = async {
            self.opens.send(OpenStream { protocol, opened }).await.map_err(|_| self.unreachable())?;
            stream.await.map_err(|_| self.unreachable())?.map_err(|why| Error::Unreachable { peer: self.peer, why })
        };
        self.closed.run_until_cancelled(opening).await.unwrap_or_else(|| Err(self.unreachable()))
    }

    /// Runs `work` beside everything else, until it ends or the link does.
    pub(crate) fn spawn(self: &Arc<Self>, work: impl Future<Output = ()> + Send + 'static) {
        let closed = self.closed.clone();
        tokio::spawn(async move {
            closed.run_until_cancelled(work).await;
        });
    }

    /// Counts as use of the link until dropped.
    pub(crate) fn busy(self: &Arc<Self>) -> Busy {
        self.busy.fetch_add(1, Relaxed);
        Busy(self.clone())
    }

    /// Closes the link when it is no longer in use.
    pub(crate) fn retire(self: Arc<Self>) {
        tokio::spawn(async move {
            let idle = async {
                loop {
                    tokio::time::sleep(RETIREMENT).await;
                    if self.busy.load(Relaxed) == 0 {
                        return;
                    }
                }
            };
            if self.closed.run_until_cancelled(idle).await.is_some() {
                tracing::debug!(peer = %self.peer.short(), role = ?self.role, "closing a redundant link");
                self.close();
            }
        });
    }

    pub(crate) fn take_feeds(&self) -> Option<Feeds> {
        self.feeds.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, peer, role, dialed, address, .. } = self;
        write!(f, "{role:?} {id} {} {peer:?} at {address}", if *dialed { "to" } else { "from" })
    }
}

/// Something under way on a link.
pub(crate) struct Busy(Arc<Link>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.busy.fetch_sub(1, Relaxed);
    }
}

pub(crate) fn gone(peer: PeerId) -> Error {
    Error::Unreachable { peer, why: "the link to it broke".into() }
}
