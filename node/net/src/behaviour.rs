//! Shoal's part in the swarm: gives every connection its handler, and passes
//! on which came to nothing and which have closed.

use std::collections::HashMap;
use std::convert::Infallible;
use std::error::Error as _;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll};

use libp2p::Multiaddr;
use libp2p::core::Endpoint;
use libp2p::core::transport::{PortUse, TransportError};
use libp2p::swarm::behaviour::{ConnectionClosed, DialFailure, ListenFailure};
use libp2p::swarm::{
    ConnectionDenied, ConnectionId, DialError, FromSwarm, NetworkBehaviour, THandler, THandlerInEvent, ToSwarm,
};

use shoal_types::PeerId;

use crate::address;
use crate::handler::{Handler, Intent};
use crate::identity::from_libp2p;
use crate::shared::{Failure, Shared, Target};

/// Addresses whose failure is told of a peer with many.
const TOLD_MAX: usize = 3;

pub(crate) struct Behaviour {
    shared: Arc<Shared>,
    /// What the dials under way are for.
    intents: HashMap<ConnectionId, Intent>,
}

impl Behaviour {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, intents: HashMap::new() }
    }

    /// Says what the connection, about to be dialed, is for.
    pub(crate) fn expect(&mut self, id: ConnectionId, intent: Intent) {
        self.intents.insert(id, intent);
    }

    fn handler(
        &self,
        id: ConnectionId,
        peer: libp2p::PeerId,
        remote: &Multiaddr,
        intent: Option<Intent>,
    ) -> Result<Handler, ConnectionDenied> {
        let address = address::describe(remote);
        let Some(peer) = from_libp2p(&peer) else {
            tracing::debug!(address, %peer, "not a peer: its key is not ed25519");
            return Err(ConnectionDenied::new(crate::admission::Refused::NoPeer.to_string()));
        };
        Ok(Handler::new(self.shared.clone(), id, peer, address, intent))
    }

    fn dial_failed(&mut self, id: ConnectionId, error: &DialError) {
        let Some(intent) = self.intents.remove(&id) else {
            return;
        };
        let failure = match error {
            // The swarm leaves out what it listens at itself, and then has nothing to dial.
            DialError::LocalPeerId { .. } | DialError::NoAddresses => Failure::Myself,
            DialError::WrongPeerId { .. } => Failure::SomebodyElse,
            DialError::Transport(errors) => Failure::NoConnection(tell(errors)),
            DialError::Denied { cause } => Failure::NoConnection(root(cause)),
            DialError::DialPeerConditionFalse(_) | DialError::Aborted => Failure::NoConnection(error.to_string()),
        };
        if let Target::Peer(peer) = intent.target {
            self.drop_wrong_addresses(peer, error);
        }
        self.shared.dial_failed(&intent.target, intent.role, "", &failure);
    }

    /// Addresses that turned out to be somebody else's, or this peer's own.
    fn drop_wrong_addresses(&self, peer: PeerId, error: &DialError) {
        match error {
            DialError::LocalPeerId { address } | DialError::WrongPeerId { address, .. } => {
                self.shared.links().unlearn(peer, &address::describe(address));
            }
            DialError::NoAddresses => {
                for own in self.shared.addresses() {
                    self.shared.links().unlearn(peer, &own);
                }
            }
            DialError::DialPeerConditionFalse(_)
            | DialError::Aborted
            | DialError::Denied { .. }
            | DialError::Transport(_) => {}
        }
    }
}

/// What went wrong at each address.
fn tell(errors: &[(Multiaddr, TransportError<std::io::Error>)]) -> String {
    let mut told: Vec<String> = errors
        .iter()
        .map(|(at, error)| {
            let why = match error {
                TransportError::MultiaddrNotSupported(_) => "not an address that can be dialed".into(),
                TransportError::Other(error) => root(error),
            };
            format!("{}: {why}", address::describe(at))
        })
        .collect();
    told.dedup();
    told.truncate(TOLD_MAX);
    told.join("; ")
}

/// The innermost cause, which is what people can act on.
fn root(error: &(dyn std::error::Error + 'static)) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    match error.to_string() {
        // As libp2p says it.
        why if why.contains("Timeout has been reached") => "no answer in time".into(),
        why => why,
    }
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = Handler;
    type ToSwarm = Infallible;

    fn handle_established_inbound_connection(
        &mut self,
        id: ConnectionId,
        peer: libp2p::PeerId,
        _: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.handler(id, peer, remote, None)
    }

    fn handle_established_outbound_connection(
        &mut self,
        id: ConnectionId,
        peer: libp2p::PeerId,
        remote: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        let Some(intent) = self.intents.remove(&id) else {
            return Err(ConnectionDenied::new("nobody asked for this dial"));
        };
        self.handler(id, peer, remote, Some(intent))
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::ConnectionClosed(ConnectionClosed { peer_id, connection_id, .. }) => {
                if let Some(peer) = from_libp2p(&peer_id) {
                    self.shared.lost(peer, connection_id);
                }
            }
            FromSwarm::DialFailure(DialFailure { error, connection_id, .. }) => self.dial_failed(connection_id, error),
            FromSwarm::ListenFailure(ListenFailure { error, send_back_addr, .. }) => {
                // Whatever it was, it did not even get as far as admission.
                self.shared.counters.refused.fetch_add(1, Relaxed);
                let cause = error.source().map_or_else(|| error.to_string(), root);
                tracing::debug!(address = address::describe(send_back_addr), cause, "a connection came to nothing");
            }
            // The rest, and what later versions add, needs nothing done.
            _ => {}
        }
    }

    fn on_connection_handler_event(&mut self, _: libp2p::PeerId, _: ConnectionId, event: Infallible) {
        match event {}
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Infallible, THandlerInEvent<Self>>> {
        Poll::Pending
    }
}
