use std::net::SocketAddr;
use std::time::Duration;

use shoal_types::PeerInfo;

use crate::Secret;

/// The version of what peers of this build say to each other on a link.
/// Peers of different versions do not admit each other.
pub const PROTOCOL: u16 = 7;

/// What a transport is started with.
pub struct NetConfig {
    /// The seed of the peer's ed25519 key. [`peer_id`](crate::peer_id) says
    /// which peer it makes.
    pub identity: [u8; 32],
    /// What every peer of the mesh knows, and nobody else.
    pub secret: Secret,
    /// Where to listen. Port 0 takes any free one; no address at all makes a
    /// peer that can only dial out.
    pub listen: Vec<SocketAddr>,
    /// Further addresses at which this peer can be reached, as `HOST:PORT`:
    /// the outside of a port mapping, a name in DNS.
    pub advertise: Vec<String>,
    /// What this peer says of itself. Its id and addresses are filled in.
    pub info: PeerInfo,
    /// Whether to look for peers on the local network, and to be found there.
    pub mdns: bool,
    pub limits: Limits,
    /// [`PROTOCOL`], except in tests of what happens between versions.
    pub protocol: u16,
}

impl NetConfig {
    /// Listens nowhere, looks for nobody, has the default limits.
    pub fn new(identity: [u8; 32], secret: Secret, info: PeerInfo) -> Self {
        Self {
            identity,
            secret,
            listen: Vec::new(),
            advertise: Vec::new(),
            info,
            mdns: false,
            limits: Limits::default(),
            protocol: PROTOCOL,
        }
    }
}

/// Bounds on what links may cost. The defaults suit a machine with 1 GiB to
/// spare and a mesh of up to a thousand peers.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Admitted peers. More are refused. 10 to 10,000; each costs about
    /// 100 KiB when idle.
    pub peers: usize,
    /// Connections in the middle of their handshake, in each direction.
    /// Strangers can fill the inbound ones for [`Limits::handshake`] each.
    pub pending_connections: u32,
    /// Connections to one peer. A pair of peers uses two, twice as many while
    /// both dial at once, and again while one restarts.
    pub connections_per_peer: u32,
    /// Calls under way with one peer, in each direction. 16 to 4096. Past it
    /// callers wait.
    pub calls_per_peer: usize,
    /// Flows that one peer may have opened to this one. 16 to 256. Past it
    /// the opener sees `Busy`.
    pub flows_per_peer: usize,
    /// Flows that all peers together may have opened to this one.
    pub flows: usize,
    /// Gossip frames (at most 64 KiB each) waiting for one peer's link. Past
    /// it new ones are dropped.
    pub gossip_queue: usize,
    /// Events waiting for the runtime. Past it calls and flows are refused
    /// as `Busy`, and gossip is dropped.
    pub inbound_queue: usize,
    /// Addresses kept per peer. The oldest go first.
    pub addresses_per_peer: usize,
    /// Dials of unknown peers that wait or are under way. Past it they are
    /// refused.
    pub dials: usize,
    /// How long a TCP connection may take to be made.
    pub connect: Duration,
    /// How long connecting and the encryption handshake may take together.
    pub handshake: Duration,
    /// How long an encrypted connection may stay unadmitted.
    pub admission: Duration,
    /// How long opening a flow may take, dialing included.
    pub open: Duration,
    /// How long a peer that could not be dialed is left alone: this after the
    /// first failure, twice as long after each further one.
    pub backoff_min: Duration,
    /// The most that [`Limits::backoff_min`] grows to.
    pub backoff_max: Duration,
    /// How long a link may carry nothing, acknowledge nothing and answer no
    /// probe of the kernel before it counts as broken.
    pub silence: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            peers: 1024,
            pending_connections: 256,
            connections_per_peer: 8,
            calls_per_peer: 256,
            flows_per_peer: 128,
            flows: 2048,
            gossip_queue: 64,
            inbound_queue: 1024,
            addresses_per_peer: 16,
            dials: 64,
            connect: Duration::from_secs(3),
            handshake: Duration::from_secs(5),
            admission: Duration::from_secs(5),
            open: Duration::from_secs(5),
            backoff_min: Duration::from_millis(100),
            backoff_max: Duration::from_secs(3),
            silence: Duration::from_secs(20),
        }
    }
}
