use std::sync::Arc;

use serde::{Deserialize, Serialize};
use shoal_types::{PeerId, PeerInfo};

/// A member as gossip names it: who, since when, and where. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    pub peer: PeerId,
    /// A later incarnation of the same peer replaces an earlier one.
    pub incarnation: u64,
    /// Where it listens, as `HOST:PORT`.
    pub addresses: Arc<[String]>,
}

impl Identity {
    pub fn of(info: &PeerInfo) -> Self {
        Self { peer: info.id, incarnation: info.incarnation, addresses: info.addresses.as_slice().into() }
    }
}

impl foca::Identity for Identity {
    type Addr = PeerId;

    /// A peer that was declared dead while it was only slow comes back as a
    /// later incarnation of itself.
    fn renew(&self) -> Option<Self> {
        Some(Self { incarnation: self.incarnation.checked_add(1)?, ..self.clone() })
    }

    fn addr(&self) -> PeerId {
        self.peer
    }

    fn win_addr_conflict(&self, adversary: &Self) -> bool {
        self.incarnation > adversary.incarnation
    }
}
