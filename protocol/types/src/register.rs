//! Registers: one compare-and-set value per key (CASPaxos, Rystsov 2018).

use std::fmt;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{BucketName, MeshId, ObjectName, PeerId, wire};

/// What a register holds the value of. Ordered, so that a prefix can be
/// listed in byte order.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum RegisterKey {
    /// The decision of a layout version: written once. Its acceptors are the
    /// members of the version before. Mesh and version.
    Layout(MeshId, u64),
    /// An object's name; the value is its manifest, absent when removed.
    Object(ObjectName),
    /// What a name stood for before; which that was, says the number. It has
    /// the acceptors of the name.
    Version(ObjectName, u64),
    /// How objects in a bucket are kept.
    Bucket(BucketName),
}

impl RegisterKey {
    /// By what its acceptors are found; `None` for a layout, which has the
    /// members for that.
    pub fn placed_by(&self) -> Option<&str> {
        match self {
            Self::Layout(..) => None,
            Self::Object(name) | Self::Version(name, _) => Some(name.as_str()),
            Self::Bucket(bucket) => Some(bucket.as_str()),
        }
    }

    /// Where it comes in the order of its kind; `None` for a layout.
    pub fn place(&self) -> Option<RegisterPlace> {
        let (name, version) = match self {
            Self::Layout(..) => return None,
            Self::Object(name) => (name.to_string(), 0),
            Self::Version(name, version) => (name.to_string(), *version),
            Self::Bucket(bucket) => (bucket.to_string(), 0),
        };
        Some(RegisterPlace { name, version })
    }
}

/// The kinds of registers that are kept with the data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum RegisterKind {
    Object,
    Version,
    Bucket,
}

impl RegisterKind {
    /// All of them, in the order of [`RegisterKey`].
    pub const ALL: [Self; 3] = [Self::Object, Self::Version, Self::Bucket];

    /// The kind after this one.
    pub fn next(self) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind > self)
    }
}

/// Registers of one kind whose names begin alike, in the order of their keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegisterSpan {
    pub kind: RegisterKind,
    /// In bytes; need not be a name, nor the beginning of one that is.
    pub prefix: String,
}

impl RegisterSpan {
    /// All of a kind.
    pub fn all(kind: RegisterKind) -> Self {
        Self::under(kind, "")
    }

    pub fn under(kind: RegisterKind, prefix: &str) -> Self {
        Self { kind, prefix: prefix.into() }
    }

    /// Former versions of that name, and of no longer one.
    pub fn versions_of(name: &ObjectName) -> Self {
        // No name has that character: it ends the name.
        Self::under(RegisterKind::Version, &format!("{name}\0"))
    }

    pub fn contains(&self, key: &RegisterKey) -> bool {
        let begins = |name: &str| match self.prefix.strip_suffix('\0') {
            Some(whole) => name == whole,
            None => name.starts_with(&self.prefix),
        };
        match (self.kind, key) {
            (RegisterKind::Object, RegisterKey::Object(name)) => begins(name.as_str()),
            (RegisterKind::Version, RegisterKey::Version(name, _)) => begins(name.as_str()),
            (RegisterKind::Bucket, RegisterKey::Bucket(bucket)) => begins(bucket.as_str()),
            _ => false,
        }
    }
}

/// A place in the order of a kind: that of a register, or between two.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RegisterPlace {
    pub name: String,
    /// Of a version its number, 0 elsewhere.
    pub version: u64,
}

impl RegisterPlace {
    pub fn of_name(name: &str) -> Self {
        Self { name: name.into(), version: 0 }
    }
}

impl fmt::Display for RegisterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Layout(mesh, version) => write!(f, "layout {version} of mesh {}", mesh.short()),
            Self::Object(name) => write!(f, "{name}"),
            Self::Version(name, version) => write!(f, "version {version:016x} of {name}"),
            Self::Bucket(bucket) => write!(f, "bucket {bucket}"),
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
    /// All acceptors have accepted this, and it is as good as nothing: the
    /// acceptor is to forget the register, if this is what it has accepted last.
    Forget {
        ballot: Ballot,
    },
}

impl RegisterOp {
    /// The longest value of a register, in bytes: what leaves room in a frame
    /// for all that goes with it. A longer one could be told to nobody, and the
    /// proposer's own acceptor would be alone with it.
    pub const VALUE_BYTES_MAX: usize = wire::FRAME_BYTES_MAX - (4 << 10);
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
    /// It has promised this higher ballot. What it has accepted last, and
    /// perhaps forgotten since, was not above `accepted`: when that is below the
    /// refused ballot, the refused value was never accepted here and never will be.
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
    /// To [`RegisterOp::Forget`]: whether nothing is left of it.
    Forgotten(bool),
}

/// What an acceptor holds of one register.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegisterEntry {
    pub key: RegisterKey,
    pub promised: Ballot,
    pub accepted: Ballot,
    pub value: Option<Bytes>,
}
