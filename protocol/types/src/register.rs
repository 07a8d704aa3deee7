//! Registers: one compare-and-set value per key (CASPaxos, Rystsov 2018).

use std::fmt;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{MeshId, ObjectName, PeerId};

/// What a register holds the value of. Ordered, so that a prefix can be
/// listed in byte order.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum RegisterKey {
    /// The decision of a layout version: written once. Its acceptors are the
    /// members of the version before. Mesh and version.
    Layout(MeshId, u64),
    /// An object's name; the value is its manifest, absent when removed.
    Object(ObjectName),
}

impl fmt::Display for RegisterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Layout(mesh, version) => write!(f, "layout {version} of mesh {}", mesh.short()),
            Self::Object(name) => write!(f, "{name}"),
        }
    }
}

/// The order of proposals: a later one overrides an earlier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Ballot {
    pub counter: u64,
    pub proposer: PeerId,
}

impl Ballot {
    /// Below every ballot that is ever proposed.
    pub const ZERO: Self = Self { counter: 0, proposer: PeerId::from_bytes([0; 32]) };
}

/// What a proposer asks of an acceptor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum RegisterOp {
    Prepare {
        ballot: Ballot,
    },
    Accept {
        ballot: Ballot,
        value: Option<Bytes>,
    },
    /// What the acceptor has accepted last. Promises nothing, and writes nothing.
    Read,
}

/// An acceptor's answer to [`RegisterOp::Prepare`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum PrepareReply {
    /// It will accept nothing below the ballot; what it accepted last.
    Promised { accepted: Ballot, value: Option<Bytes> },
    /// It has promised or accepted this higher ballot.
    Conflict { seen: Ballot },
}

/// An acceptor's answer to [`RegisterOp::Accept`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum AcceptReply {
    Accepted,
    /// It has promised this higher ballot. What it holds was accepted at
    /// `accepted`: when that is below the refused ballot, the refused value
    /// was never accepted here and never will be.
    Conflict {
        seen: Ballot,
        accepted: Ballot,
    },
}

/// An acceptor's answer to a [`RegisterOp`], of the same kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum RegisterReply {
    Prepare(PrepareReply),
    Accept(AcceptReply),
    /// To [`RegisterOp::Read`]: what it accepted last, nothing at [`Ballot::ZERO`].
    Read {
        accepted: Ballot,
        value: Option<Bytes>,
    },
}

/// What an acceptor holds of one register.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegisterEntry {
    pub key: RegisterKey,
    pub promised: Ballot,
    pub accepted: Ballot,
    pub value: Option<Bytes>,
}
