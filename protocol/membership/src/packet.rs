//! What members send each other.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use shoal_types::PeerId;

use crate::swim::Call;

/// One packet of gossip. What is in it is decoded by whoever it is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Packet<'a> {
    /// Of the failure detector.
    Swim(&'a [u8]),
    /// The sender's [`Digest`](crate::digest::Digest).
    Digest(&'a [u8]),
    /// Members in some buckets of the digest, the sender perhaps too: one
    /// encoded after the other.
    Members {
        buckets: &'a [u8],
        members: &'a [u8],
        /// Whether these are all that live there for the sender, who wants to
        /// be told of others.
        asks: bool,
    },
    /// Whether the receiver lives: it answers whoever this comes from.
    Ping(Call),
    /// The answer. One that is for somebody else is passed on.
    Pong(Call),
    /// The receiver is to ask a peer in place of the sender.
    Relay { peer: PeerId, call: Call },
}

impl<'a> Packet<'a> {
    /// `None` where it is none, whole.
    pub(crate) fn from_bytes(bytes: &'a [u8]) -> Option<Self> {
        let (packet, rest) = postcard::take_from_bytes(bytes).ok()?;
        rest.is_empty().then_some(packet)
    }

    pub(crate) fn to_bytes(&self) -> Bytes {
        let bytes = match self {
            Self::Swim(bytes) | Self::Digest(bytes) => bytes.len(),
            Self::Members { buckets, members, .. } => buckets.len() + members.len(),
            Self::Ping(_) | Self::Pong(_) => size_of::<Call>(),
            Self::Relay { .. } => size_of::<Call>() + size_of::<PeerId>(),
        };
        // Writing to memory does not fail.
        postcard::to_extend(self, Vec::with_capacity(bytes + 16)).unwrap_or_default().into()
    }
}
