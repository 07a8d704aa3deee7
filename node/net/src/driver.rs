//! The task that owns the swarm: listens, dials, closes.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::num::NonZeroU8;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::time::Duration;

use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use libp2p::core::transport::{ListenerId, TransportError};
use libp2p::core::upgrade::Version;
use libp2p::identity::Keypair;
use libp2p::swarm::behaviour::toggle::Toggle;
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p::swarm::{ConnectionId, NetworkBehaviour, Swarm, SwarmEvent};
use libp2p::{Multiaddr, connection_limits, mdns};
use shoal_ports::Inbound;
use shoal_types::{Error, PeerId, Result};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

use crate::behaviour::Behaviour;
use crate::handler::Intent;
use crate::identity::{from_libp2p, to_libp2p};
use crate::link::Role;
use crate::shared::{Asked, Failure, Shared, Target};
use crate::{Limits, address, socket};

/// How often dials that rest after a failure are looked at again.
const TICK: Duration = Duration::from_millis(200);

/// How long the system may take to name its interfaces after listening.
const LISTEN_TIMEOUT: Duration = Duration::from_secs(2);

/// All interfaces are known once none was told for so long.
const INTERFACES_QUIET: Duration = Duration::from_millis(100);

/// How long stopping waits for connections to say goodbye.
const STOP_TIMEOUT: Duration = Duration::from_secs(2);

/// Addresses of one peer dialed at the same time.
const DIALED_AT_ONCE: NonZeroU8 = NonZeroU8::new(8).unwrap();

/// Addresses tried in one dial.
const DIALED_MAX: usize = 32;

/// Peers found on the local network that are remembered.
const FOUND_MAX: usize = 256;

/// A peer found and not yet linked is mentioned again after this time: it may
/// have been starting.
const MENTION_AGAIN: Duration = Duration::from_secs(15);

/// How often the local network is asked who is there.
const MDNS_QUERY: Duration = Duration::from_secs(30);

#[derive(NetworkBehaviour)]
struct Parts {
    limits: connection_limits::Behaviour,
    links: Behaviour,
    mdns: Toggle<mdns::tokio::Behaviour>,
}

pub(crate) struct Driver {
    swarm: Swarm<Parts>,
    shared: Arc<Shared>,
    /// Addresses to dial of which the peer is not known.
    dials: mpsc::Receiver<String>,
    closes: mpsc::UnboundedReceiver<ConnectionId>,
    resolving: FuturesUnordered<BoxFuture<'static, Resolved>>,
    found: HashMap<libp2p::PeerId, Found>,
}

struct Resolved {
    intent: Intended,
    addresses: Result<Vec<Multiaddr>, String>,
}

enum Intended {
    Peer(PeerId, Role),
    Address(String),
}

struct Found {
    address: String,
    mentioned: Instant,
}

impl Driver {
    pub(crate) fn new(
        key: &Keypair,
        shared: Arc<Shared>,
        mdns: bool,
        dials: mpsc::Receiver<String>,
        closes: mpsc::UnboundedReceiver<ConnectionId>,
    ) -> Result<Self> {
        let me = key.public().to_peer_id();
        let parts = Parts {
            limits: connection_limits::Behaviour::new(connection_limits(&shared.limits)),
            links: Behaviour::new(shared.clone()),
            mdns: discovery(mdns, me).into(),
        };
        let transport = socket::transport(key, &shared.limits, shared.counters.clone())?;
        let config = libp2p::swarm::Config::with_tokio_executor()
            // A stream's first bytes leave with its negotiation.
            .with_substream_upgrade_protocol_override(Version::V1Lazy)
            .with_dial_concurrency_factor(DIALED_AT_ONCE);
        Ok(Self {
            swarm: Swarm::new(transport, parts, me, config),
            shared,
            dials,
            closes,
            resolving: FuturesUnordered::new(),
            found: HashMap::new(),
        })
    }

    /// Listens, and waits until the addresses are known.
    pub(crate) async fn listen(&mut self, listen: &[SocketAddr]) -> Result<()> {
        let mut silent: Vec<ListenerId> = Vec::new();
        for wanted in listen {
            address::check_free(*wanted)?;
            silent.push(self.swarm.listen_on(address::to_multiaddr(*wanted)).map_err(|error| match error {
                TransportError::Other(error) => address::cannot_listen(*wanted, &error),
                TransportError::MultiaddrNotSupported(_) => {
                    Error::invalid(format!("cannot listen at {wanted}"), "an address is IP:PORT")
                }
            })?);
        }
        let everywhere = listen.iter().any(|wanted| wanted.ip().is_unspecified());
        // A machine without any network has nothing to tell.
        let _ = timeout(LISTEN_TIMEOUT, async {
            while !silent.is_empty() {
                let event = self.swarm.select_next_some().await;
                if let SwarmEvent::NewListenAddr { listener_id, .. } = &event {
                    silent.retain(|id| id != listener_id);
                }
                self.on_event(event);
            }
            // The interfaces of the machine are told one after the other,
            // loopback first, which is no address for others.
            if everywhere {
                while let Ok(event) = timeout(INTERFACES_QUIET, self.swarm.select_next_some()).await {
                    self.on_event(event);
                }
            }
        })
        .await;
        Ok(())
    }

    /// Runs until told to stop.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let shared = self.shared.clone();
        loop {
            let room = self.resolving.len() < shared.limits.dials;
            tokio::select! {
                () = stop.cancelled() => break,
                event = self.swarm.select_next_some() => self.on_event(event),
                Some(id) = self.closes.recv() => drop(self.swarm.close_connection(id)),
                Some(address) = self.dials.recv(), if room => self.dial_address(address),
                Some(resolved) = self.resolving.next() => self.dial(resolved),
                () = shared.dial_wanted.notified() => self.dial_due(),
                _ = tick.tick() => {
                    self.dial_due();
                    self.mention_again();
                }
            }
        }
        self.stop().await;
    }

    async fn stop(mut self) {
        self.shared.links().stop();
        let _ = timeout(STOP_TIMEOUT, async {
            while self.swarm.network_info().connection_counters().num_established() > 0 {
                tokio::select! {
                    event = self.swarm.select_next_some() => self.on_event(event),
                    Some(id) = self.closes.recv() => drop(self.swarm.close_connection(id)),
                }
            }
        })
        .await;
        // The swarm's end is the end of its listeners and of what is left.
    }

    fn dial_due(&mut self) {
        for due in self.shared.due() {
            let intent = Intended::Peer(due.peer, due.role);
            self.resolve(intent, due.addresses);
        }
    }

    fn dial_address(&mut self, address: String) {
        if self.shared.links().is_linked_at(&address) {
            return;
        }
        if !address::is_host_port(&address) {
            let why = "it is not HOST:PORT".to_string();
            return self.shared.tell(Inbound::Refused { address, why });
        }
        self.resolve(Intended::Address(address.clone()), vec![address]);
    }

    /// Looks names up, beside everything else.
    fn resolve(&mut self, intent: Intended, addresses: Vec<String>) {
        let limit = self.shared.limits.connect;
        self.resolving.push(Box::pin(async move {
            let found = timeout(limit, address::resolve(&addresses)).await;
            let addresses = found.unwrap_or_else(|_| Err("its name was not resolved in time".into()));
            Resolved { intent, addresses }
        }));
    }

    fn dial(&mut self, Resolved { intent, addresses }: Resolved) {
        match (intent, addresses) {
            (Intended::Peer(peer, role), Ok(mut addresses)) => {
                addresses.truncate(DIALED_MAX);
                let target = Target::Peer(peer);
                let Some(id) = to_libp2p(peer) else {
                    let failure = Failure::NoConnection("its id is not a key".into());
                    return self.shared.dial_failed(&target, role, "", &failure);
                };
                let opts = DialOpts::peer_id(id).addresses(addresses).condition(PeerCondition::Always);
                self.start_dial(opts.allocate_new_port().build(), Intent { role, target });
            }
            (Intended::Peer(peer, role), Err(why)) => {
                self.shared.dial_failed(&Target::Peer(peer), role, "", &Failure::NoConnection(why));
            }
            // A name may stand for many peers: each is dialed.
            (Intended::Address(address), Ok(mut addresses)) => {
                addresses.truncate(DIALED_MAX);
                let asked = Arc::new(Asked {
                    address,
                    left: AtomicUsize::new(addresses.len()),
                    reached: AtomicBool::new(false),
                });
                for address in addresses {
                    let opts = DialOpts::unknown_peer_id().address(address).allocate_new_port().build();
                    self.start_dial(opts, Intent { role: Role::Control, target: Target::Address(asked.clone()) });
                }
            }
            (Intended::Address(address), Err(why)) => self.shared.tell(Inbound::Refused { address, why }),
        }
    }

    fn start_dial(&mut self, opts: DialOpts, intent: Intent) {
        self.swarm.behaviour_mut().links.expect(opts.connection_id(), intent);
        // A dial that fails at once is told to the behaviour, like any other.
        if let Err(error) = self.swarm.dial(opts) {
            tracing::debug!(%error, "a dial failed at once");
        }
    }

    fn on_event(&mut self, event: SwarmEvent<PartsEvent>) {
        match event {
            SwarmEvent::NewListenAddr { address, .. } => {
                if let Some(address) = address::from_multiaddr(&address) {
                    tracing::debug!(%address, "listening");
                    self.shared.listens_at(address);
                }
            }
            SwarmEvent::ExpiredListenAddr { address, .. } => {
                if let Some(address) = address::from_multiaddr(&address) {
                    self.shared.listens_no_more_at(address);
                }
            }
            SwarmEvent::ListenerClosed { addresses, reason, .. } => {
                for address in addresses.iter().filter_map(address::from_multiaddr) {
                    self.shared.listens_no_more_at(address);
                }
                if let Err(error) = reason {
                    tracing::error!(%error, "a listening port is lost: nobody can dial this peer there any more");
                }
            }
            SwarmEvent::ListenerError { error, .. } => tracing::warn!(%error, "listening has trouble"),
            SwarmEvent::Behaviour(PartsEvent::Mdns(mdns::Event::Discovered(peers))) => {
                for (peer, address) in peers {
                    self.on_found(peer, &address);
                }
            }
            SwarmEvent::Behaviour(PartsEvent::Mdns(mdns::Event::Expired(peers))) => {
                for (peer, _) in peers {
                    self.found.remove(&peer);
                }
            }
            // Connections are followed by the behaviour and their handlers.
            _ => {}
        }
    }

    fn on_found(&mut self, peer: libp2p::PeerId, address: &Multiaddr) {
        let Some(address) = address::from_multiaddr(address).map(|address| address.to_string()) else {
            return;
        };
        if self.found.len() < FOUND_MAX {
            self.found.insert(peer, Found { address: address.clone(), mentioned: Instant::now() });
        }
        if !self.is_linked(&peer) {
            self.shared.tell(Inbound::Found { address });
        }
    }

    fn mention_again(&mut self) {
        let now = Instant::now();
        let linked: Vec<_> = self.found.keys().filter(|peer| self.is_linked(peer)).copied().collect();
        for (peer, found) in &mut self.found {
            if !linked.contains(peer) && now.saturating_duration_since(found.mentioned) >= MENTION_AGAIN {
                found.mentioned = now;
                self.shared.tell(Inbound::Found { address: found.address.clone() });
            }
        }
    }

    fn is_linked(&self, peer: &libp2p::PeerId) -> bool {
        from_libp2p(peer).is_some_and(|peer| self.shared.links().is_up(peer))
    }
}

fn connection_limits(limits: &Limits) -> connection_limits::ConnectionLimits {
    // Control and bulk, and as many again while peers restart.
    let all = u32::try_from(limits.peers.saturating_mul(4)).unwrap_or(u32::MAX);
    connection_limits::ConnectionLimits::default()
        .with_max_pending_incoming(Some(limits.pending_connections))
        .with_max_pending_outgoing(Some(limits.pending_connections))
        .with_max_established_per_peer(Some(limits.connections_per_peer))
        .with_max_established(Some(all))
}

/// Discovery on the local network. A machine that cannot do it is found by
/// other means.
fn discovery(on: bool, me: libp2p::PeerId) -> Option<mdns::tokio::Behaviour> {
    if !on {
        return None;
    }
    let config = mdns::Config { query_interval: MDNS_QUERY, ..mdns::Config::default() };
    mdns::tokio::Behaviour::new(config, me)
        .inspect_err(|error| tracing::warn!(%error, "peers on the local network cannot be looked for"))
        .ok()
}
