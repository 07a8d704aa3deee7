use futures::channel::oneshot;

use crate::host::HostId;
use crate::network::{Packet, Transfer};
use crate::world::World;

/// Something that happens at a moment of virtual time.
pub(crate) enum Event {
    /// Somebody has slept long enough: a task of a host, or the world's own (no host).
    Awake { host: Option<HostId>, incarnation: u64, sleeper: oneshot::Sender<()> },
    /// Something has arrived at a host over the network.
    Arrive { at: HostId, packet: Packet },
    /// Something has that had to wait for the line.
    Transfer(Box<Transfer>),
    /// A host's disk gets to work that was asked of it.
    Disk { host: HostId, incarnation: u64, work: Box<dyn FnOnce() + Send> },
    /// The world itself acts: a fault, a client, a check.
    Act { what: &'static str, act: Box<dyn FnOnce(&World) + Send> },
}

impl Event {
    /// The host at which it happens.
    pub(crate) fn host(&self) -> Option<HostId> {
        match self {
            Self::Awake { host, .. } => *host,
            Self::Arrive { at, .. } => Some(*at),
            Self::Transfer(transfer) => Some(transfer.to),
            Self::Disk { host, .. } => Some(*host),
            Self::Act { .. } => None,
        }
    }
}
